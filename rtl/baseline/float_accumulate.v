// An accumulator plus the product of float_multiply, rounded once to nearest even (docs/baselines.md).
//
// Combinational. Of two structures the cheaper that is right: a product as long as the factors' format allows has to
// stand still, one that fits in the accumulator's significand may be shifted like a summand.
module float_accumulate #(
  parameter  int EXP     = 8,   // of the factors
  parameter  int MAN     = 7,
  parameter  int ACC_EXP = 8,   // of the accumulator: the factors' own, or at least EXP with ACC_MAN > 2 * MAN
  parameter  int ACC_MAN = 23,
  localparam int PRODUCT = 2 * (MAN + 1),
  localparam int ACC     = 1 + ACC_EXP + ACC_MAN
) (
  input  logic                      negative_i,
  input  logic                      zero_i,
  input  logic signed [    EXP+1:0] exponent_i,
  input  logic        [PRODUCT-1:0] significand_i,
  input  logic        [    ACC-1:0] acc_i,
  output logic        [    ACC-1:0] acc_o
);

  if (PRODUCT <= ACC_MAN + 1) begin : gen_narrow
    float_add_narrow #(
      .EXP    (EXP),
      .MAN    (MAN),
      .ACC_EXP(ACC_EXP),
      .ACC_MAN(ACC_MAN)
    ) u_add (
      .negative_i   (negative_i),
      .zero_i       (zero_i),
      .exponent_i   (exponent_i),
      .significand_i(significand_i),
      .acc_i        (acc_i),
      .acc_o        (acc_o)
    );
  end else begin : gen_wide
    float_add_wide #(
      .EXP(EXP),
      .MAN(MAN)
    ) u_add (
      .negative_i   (negative_i),
      .zero_i       (zero_i),
      .exponent_i   (exponent_i),
      .significand_i(significand_i),
      .acc_i        (acc_i),
      .acc_o        (acc_o)
    );
  end

endmodule
