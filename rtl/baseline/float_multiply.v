// The exact product of two floating-point words: sign, exponent and significand (docs/baselines.md).
//
// Combinational. Subnormals are operands like others; with NORMALISE their significands are shifted up, so that the
// leading one of a product that is not zero is in one of the two highest bits. Words whose exponent is all ones are
// numbers too: the unit knows neither infinities nor NaN.
module float_multiply #(
  parameter  int EXP       = 8,
  parameter  int MAN       = 7,
  parameter  int NORMALISE = 1,
  localparam int BITS      = 1 + EXP + MAN,
  localparam int PRODUCT   = 2 * (MAN + 1)
) (
  input  logic        [   BITS-1:0] a_i,
  input  logic        [   BITS-1:0] b_i,
  output logic                      negative_o,
  output logic                      zero_o,
  output logic signed [    EXP+1:0] exponent_o,    // the sum of the two biased exponents, 1 for subnormals' own
  output logic        [PRODUCT-1:0] significand_o  // 2 * MAN bits of fraction
);

  logic signed [EXP+1:0] exponent_a, exponent_b;
  logic        [  MAN:0] significand_a, significand_b;
  float_unpack #(
    .EXP      (EXP),
    .MAN      (MAN),
    .NORMALISE(NORMALISE)
  ) u_a (
    .word_i       (a_i[BITS-2:0]),
    .exponent_o   (exponent_a),
    .significand_o(significand_a)
  );
  float_unpack #(
    .EXP      (EXP),
    .MAN      (MAN),
    .NORMALISE(NORMALISE)
  ) u_b (
    .word_i       (b_i[BITS-2:0]),
    .exponent_o   (exponent_b),
    .significand_o(significand_b)
  );

  // known before the product is; a leading one says it where there is one
  if (NORMALISE != 0) begin : gen_leading
    assign zero_o = !significand_a[MAN] || !significand_b[MAN];
  end else begin : gen_any
    assign zero_o = (significand_a == '0) || (significand_b == '0);
  end
  assign negative_o    = a_i[BITS-1] ^ b_i[BITS-1];
  assign exponent_o    = exponent_a + exponent_b;
  assign significand_o = PRODUCT'(significand_a) * PRODUCT'(significand_b);

endmodule
