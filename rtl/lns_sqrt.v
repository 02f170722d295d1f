// Square root of a (docs/spec.md, section 2; lns/reference.py: sqrt).
//
// Combinational. The root of a magnitude is half its raw code, rounded down.
module lns_sqrt #(
  parameter int BITS   = 8,  // width B of a word
  parameter int SIGNED = 1   // 1: lns<B,F>; 0: ulns<B,F>, words without a sign bit
) (
  input  logic [BITS-1:0] a_i,
  output logic [BITS-1:0] word_o,
  output logic            invalid_o  // the root of a negative number
);

  localparam int CodeBits = BITS - SIGNED;
  localparam int SumBits  = CodeBits + 1;
  localparam logic [SumBits-1:0] Bias = SumBits'(1) << (CodeBits - 1);

  logic [CodeBits-1:0] code_a;
  logic                zero;
  assign code_a = a_i[CodeBits-1:0];
  assign zero   = code_a == '0;

  // (raw_a >> 1) + bias is (c_a + bias) >> 1, which is between 1 and max: no range rule
  logic [CodeBits-1:0] root;
  assign root = CodeBits'((SumBits'(code_a) + Bias) >> 1);

  if (SIGNED != 0) begin : gen_signed
    logic invalid;
    assign invalid   = a_i[BITS-1] && !zero;
    assign invalid_o = invalid;
    assign word_o    = {1'b0, (zero || invalid) ? '0 : root};
  end else begin : gen_unsigned
    assign invalid_o = 1'b0;
    assign word_o    = zero ? '0 : root;
  end

endmodule
