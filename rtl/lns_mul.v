// Multiplier: a·b of one format (docs/spec.md, section 2; lns/reference.py: mul).
//
// Combinational. A product of magnitudes is a sum of raw codes, so the fraction bits of the format play no part.
module lns_mul #(
  parameter int BITS   = 8,  // width B of a word
  parameter int SIGNED = 1   // 1: lns<B,F>; 0: ulns<B,F>, words without a sign bit
) (
  input  logic [BITS-1:0] a_i,
  input  logic [BITS-1:0] b_i,
  output logic [BITS-1:0] word_o,
  output logic            saturate_o,
  output logic            underflow_o
);

  localparam int CodeBits = BITS - SIGNED;
  // c_a + c_b - bias lies in -bias ... 3·bias - 2: one bit for the carry, one for the sign
  localparam int CalcBits = CodeBits + 2;
  localparam logic [CalcBits-1:0] Bias = CalcBits'(1) << (CodeBits - 1);

  logic [CodeBits-1:0] code_a, code_b;
  assign code_a = a_i[CodeBits-1:0];
  assign code_b = b_i[CodeBits-1:0];

  logic negative;
  if (SIGNED != 0) begin : gen_sign
    assign negative = a_i[BITS-1] ^ b_i[BITS-1];
  end else begin : gen_no_sign
    assign negative = 1'b0;
  end

  // raw_a + raw_b + bias with raw = code - bias
  logic [CalcBits-1:0] code;
  assign code = CalcBits'(code_a) + CalcBits'(code_b) - Bias;

  // a code of 0 is zero whatever the sign beside it
  logic zero;
  assign zero = (code_a == '0) || (code_b == '0);

  lns_range #(
    .BITS     (BITS),
    .SIGNED   (SIGNED),
    .CALC_BITS(CalcBits)
  ) u_range (
    .code_i     (code),
    .negative_i (negative),
    .zero_i     (zero),
    .word_o     (word_o),
    .saturate_o (saturate_o),
    .underflow_o(underflow_o)
  );

endmodule
