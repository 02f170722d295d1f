// A fixed-point number to the nearest floating-point word, ties to even (docs/baselines.md).
//
// Combinational. Above LARGEST it is LARGEST; zero is positive.
module float_from_fixed #(
  parameter int ACC_BITS      = 24,
  parameter int EXP           = 4,
  parameter int MAN           = 3,
  parameter int LARGEST       = 'h7e,  // the largest word without its sign
  parameter int EXPONENT_BITS = 8
) (
  input  logic signed [     ACC_BITS-1:0] acc_i,
  input  logic signed [EXPONENT_BITS-1:0] exponent_i,  // of the least bit, in octaves
  output logic        [        EXP+MAN:0] word_o
);

  logic                negative;
  logic [ACC_BITS-1:0] magnitude;
  assign negative  = acc_i[ACC_BITS-1];
  assign magnitude = negative ? -acc_i : acc_i;

  // so many zeros above that a number whose exponent is cut off there is not more than half of the smallest subnormal:
  // only the least number has the magnitude's highest bit
  localparam int Zeros = MAN + 1;
  localparam int Bias  = (1 << (EXP - 1)) - 1;
  localparam int Sum   = (1 << (EXPONENT_BITS - 1)) + ACC_BITS + Bias + Zeros;
  localparam int ExponentBits = $clog2(Sum) + 2;
  localparam logic signed [ExponentBits-1:0] Offset = ExponentBits'(ACC_BITS - 1 + Bias + Zeros);
  localparam logic signed [ExponentBits-1:0] One = ExponentBits'(1);
  logic signed [ExponentBits-1:0] exponent;
  assign exponent = ExponentBits'(exponent_i) + Offset;

  float_normalise #(
    .WIDTH   (ACC_BITS + Zeros),
    .EXP     (EXP),
    .MAN     (MAN),
    .LARGEST (LARGEST),
    .EXPONENT(ExponentBits)
  ) u_normalise (
    .negative_i (negative),
    .exponent_i ((exponent < One) ? One : exponent),
    .magnitude_i({{Zeros{1'b0}}, magnitude}),
    .word_o     (word_o)
  );

endmodule
