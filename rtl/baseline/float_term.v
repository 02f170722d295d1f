// A product of floating-point words as a fixed-point term, truncated toward zero (docs/baselines.md).
//
// Combinational. The term's highest bit is the leading bit of the largest product whose exponent is top_i, its lowest
// stands GUARD octaves below. Its sign stays apart: the sum adds it where a negation would need a carry.
module float_term #(
  parameter  int EXP   = 4,
  parameter  int MAN   = 3,
  parameter  int GUARD = 12,  // at least 2 * MAN + 1
  localparam int BITS  = 1 + EXP + MAN
) (
  input  logic [ BITS-1:0] a_i,
  input  logic [ BITS-1:0] b_i,
  input  logic [    EXP:0] top_i,       // largest sum of the two biased exponents: no product may have a larger one
  output logic             negative_o,
  output logic [  GUARD:0] magnitude_o
);

  localparam int Product = 2 * (MAN + 1);
  logic                  zero;
  logic signed [EXP+1:0] exponent;
  logic [   Product-1:0] significand;
  float_multiply #(
    .EXP      (EXP),
    .MAN      (MAN),
    .NORMALISE(0)
  ) u_multiply (
    .a_i          (a_i),
    .b_i          (b_i),
    .negative_o   (negative_o),
    .zero_o       (zero),
    .exponent_o   (exponent),
    .significand_o(significand)
  );

  logic [EXP:0] octaves;
  assign octaves     = (EXP + 1)'($signed({1'b0, top_i}) - exponent);
  assign magnitude_o = {significand, {(GUARD + 1 - Product) {1'b0}}} >> octaves;

  logic unused_zero;
  assign unused_zero = zero;

endmodule
