// Product of two words as a word of a log accumulator (docs/spec.md, section 7; lns/reference.py: product).
//
// Combinational. Exact but for the range rule: the accumulator has at least the fraction bits of the operands.
module lns_product #(
  parameter int A_BITS    = 8,   // B of a, whose format is signed
  parameter int B_BITS    = 8,   // B of b, whose format is signed
  parameter int A_SHIFT   = 5,   // F_acc - F of a
  parameter int B_SHIFT   = 5,   // F_acc - F of b
  parameter int BITS      = 14,  // B of the accumulator, whose format is signed
  parameter int FRAC_BITS = 8,   // F_acc
  parameter int OFFSET    = 0    // o_acc, octaves
) (
  input  logic [A_BITS-1:0] a_i,
  input  logic [B_BITS-1:0] b_i,
  output logic [  BITS-1:0] word_o,
  output logic              acc_saturate_o,
  output logic              acc_underflow_o
);

  localparam int CodeBitsA = A_BITS - 1;
  localparam int CodeBitsB = B_BITS - 1;
  localparam int CodeBits  = BITS - 1;

  // five numbers are added; two bits for the carries and one for the sign above the widest
  localparam int WideA      = CodeBitsA + A_SHIFT;
  localparam int WideB      = CodeBitsB + B_SHIFT;
  localparam int WideOffset = $clog2(((OFFSET < 0) ? -OFFSET : OFFSET) + 1) + FRAC_BITS;
  localparam int WideFactor = (WideA > WideB) ? WideA : WideB;
  localparam int WideOwn    = (CodeBits > WideOffset) ? CodeBits : WideOffset;
  localparam int CalcBits   = ((WideFactor > WideOwn) ? WideFactor : WideOwn) + 3;

  // all that is constant in raw_a + raw_b - offset + bias, raw = code - bias
  localparam logic signed [CalcBits-1:0] One      = CalcBits'(1);
  localparam logic signed [CalcBits-1:0] BiasA    = One <<< (WideA - 1);
  localparam logic signed [CalcBits-1:0] BiasB    = One <<< (WideB - 1);
  localparam logic signed [CalcBits-1:0] Bias     = One <<< (CodeBits - 1);
  localparam logic signed [CalcBits-1:0] Octaves  = CalcBits'(OFFSET);
  localparam logic signed [CalcBits-1:0] Constant = Bias - BiasA - BiasB - (Octaves <<< FRAC_BITS);

  logic [CodeBitsA-1:0] code_a;
  logic [CodeBitsB-1:0] code_b;
  assign code_a = a_i[CodeBitsA-1:0];
  assign code_b = b_i[CodeBitsB-1:0];

  logic [CalcBits-1:0] code;
  assign code = (CalcBits'(code_a) << A_SHIFT) + (CalcBits'(code_b) << B_SHIFT) + Constant;

  lns_range #(
    .BITS     (BITS),
    .SIGNED   (1),
    .CALC_BITS(CalcBits)
  ) u_range (
    .code_i     (code),
    .negative_i (a_i[A_BITS-1] ^ b_i[B_BITS-1]),
    .zero_i     ((code_a == '0) || (code_b == '0)),
    .word_o     (word_o),
    .saturate_o (acc_saturate_o),
    .underflow_o(acc_underflow_o)
  );

endmodule
