// Multiply and accumulate, fused: acc + a * b, rounded once to nearest even (docs/baselines.md).
//
// Combinational: what a lane of float_element_mac computes, which has registers between the two halves.
module float_mac #(
  parameter  int EXP     = 8,  // float_accumulate
  parameter  int MAN     = 7,
  parameter  int ACC_EXP = 8,
  parameter  int ACC_MAN = 23,
  localparam int BITS    = 1 + EXP + MAN,
  localparam int ACC     = 1 + ACC_EXP + ACC_MAN
) (
  input  logic [BITS-1:0] a_i,
  input  logic [BITS-1:0] b_i,
  input  logic [ ACC-1:0] acc_i,
  output logic [ ACC-1:0] acc_o
);

  logic                    negative, zero;
  logic signed [  EXP+1:0] exponent;
  logic        [2*MAN+1:0] significand;
  localparam int Normalise = (2 * MAN + 1 <= ACC_MAN) ? 1 : 0;

  float_multiply #(
    .EXP      (EXP),
    .MAN      (MAN),
    .NORMALISE(Normalise)
  ) u_multiply (
    .a_i          (a_i),
    .b_i          (b_i),
    .negative_o   (negative),
    .zero_o       (zero),
    .exponent_o   (exponent),
    .significand_o(significand)
  );

  float_accumulate #(
    .EXP    (EXP),
    .MAN    (MAN),
    .ACC_EXP(ACC_EXP),
    .ACC_MAN(ACC_MAN)
  ) u_accumulate (
    .negative_i   (negative),
    .zero_i       (zero),
    .exponent_i   (exponent),
    .significand_i(significand),
    .acc_i        (acc_i),
    .acc_o        (acc_o)
  );

endmodule
