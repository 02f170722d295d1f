// Rectified linear unit: a, or zero for a negative number (docs/spec.md, section 10; lns/reference.py: relu).
//
// Combinational. No words but zero and those that come in can come out: it raises no event.
module lns_relu #(
  parameter int BITS   = 8,  // width B of a word
  parameter int SIGNED = 1   // 1: lns<B,F>; 0: ulns<B,F>, words without a sign bit
) (
  input  logic [BITS-1:0] a_i,
  output logic [BITS-1:0] word_o
);

  if (SIGNED != 0) begin : gen_signed
    // a zero with a sign becomes canonical like any other word with one
    assign word_o = a_i[BITS-1] ? '0 : a_i;
  end else begin : gen_unsigned
    assign word_o = a_i;
  end

endmodule
