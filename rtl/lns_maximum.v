// Maximum of a and b, and their order (docs/spec.md, section 10; lns/reference.py: maximum, order_key).
//
// Combinational. No words but zero and those that come in can come out: it raises no event.
module lns_maximum #(
  parameter int BITS   = 8,  // width B of a word
  parameter int SIGNED = 1   // 1: lns<B,F>; 0: ulns<B,F>, words without a sign bit
) (
  input  logic [BITS-1:0] a_i,
  input  logic [BITS-1:0] b_i,
  output logic [BITS-1:0] word_o,
  output logic            a_is_larger_o  // or equal: of equal words the first one counts
);

  localparam int CodeBits = BITS - SIGNED;

  logic a_is_larger;
  assign a_is_larger_o = a_is_larger;

  logic [BITS-1:0] larger;
  assign larger = a_is_larger ? a_i : b_i;

  if (SIGNED != 0) begin : gen_signed
    // order key: the code under the word's sign; both zeros have the key 0
    logic signed [CodeBits:0] code_a, code_b, key_a, key_b;
    assign code_a      = {1'b0, a_i[CodeBits-1:0]};
    assign code_b      = {1'b0, b_i[CodeBits-1:0]};
    assign key_a       = a_i[BITS-1] ? -code_a : code_a;
    assign key_b       = b_i[BITS-1] ? -code_b : code_b;
    assign a_is_larger = key_a >= key_b;
    // zero is canonical: it has no sign
    assign word_o      = (larger[CodeBits-1:0] == '0) ? '0 : larger;
  end else begin : gen_unsigned
    assign a_is_larger = a_i >= b_i;
    assign word_o      = larger;
  end

endmodule
