// Square: a·a (docs/spec.md, section 2; lns/reference.py: square).
//
// Combinational. The square of a magnitude is twice its raw code.
module lns_square #(
  parameter int BITS   = 8,  // width B of a word
  parameter int SIGNED = 1   // 1: lns<B,F>; 0: ulns<B,F>, words without a sign bit
) (
  input  logic [BITS-1:0] a_i,
  output logic [BITS-1:0] word_o,
  output logic            saturate_o,
  output logic            underflow_o
);

  localparam int CodeBits = BITS - SIGNED;
  // 2·c_a - bias lies in -bias ... 3·bias - 2: one bit for the carry, one for the sign
  localparam int CalcBits = CodeBits + 2;
  localparam logic [CalcBits-1:0] Bias = CalcBits'(1) << (CodeBits - 1);

  logic [CodeBits-1:0] code_a;
  assign code_a = a_i[CodeBits-1:0];

  if (SIGNED != 0) begin : gen_sign
    logic unused_sign;
    assign unused_sign = a_i[BITS-1];
  end

  // 2·raw_a + bias with raw = code - bias
  logic [CalcBits-1:0] code;
  assign code = (CalcBits'(code_a) << 1) - Bias;

  lns_range #(
    .BITS     (BITS),
    .SIGNED   (SIGNED),
    .CALC_BITS(CalcBits)
  ) u_range (
    .code_i     (code),
    .negative_i (1'b0),
    .zero_i     (code_a == '0),
    .word_o     (word_o),
    .saturate_o (saturate_o),
    .underflow_o(underflow_o)
  );

endmodule
