// An accumulator plus a product that is no longer than the accumulator's significand, rounded once (docs/baselines.md).
//
// Combinational. The one of smaller exponent is shifted, so that the sum is little longer than its result. That needs
// a product with its leading one in one of the two highest bits (float_multiply with NORMALISE).
module float_add_narrow #(
  parameter  int EXP     = 8,   // of the factors
  parameter  int MAN     = 7,
  parameter  int ACC_EXP = 8,   // at least EXP
  parameter  int ACC_MAN = 23,  // at least 2 * MAN + 1
  localparam int PRODUCT = 2 * (MAN + 1)
) (
  input  logic                          negative_i,
  input  logic                          zero_i,
  input  logic signed [        EXP+1:0] exponent_i,
  input  logic        [    PRODUCT-1:0] significand_i,
  input  logic        [ACC_EXP+ACC_MAN:0] acc_i,
  output logic        [ACC_EXP+ACC_MAN:0] acc_o
);

  // --- which is larger, and by how many octaves; exponents are those of the highest bits

  localparam int ExponentBits = ACC_EXP + 3;
  localparam int Bias = (1 << (EXP - 1)) - 1;
  localparam int AccBias = (1 << (ACC_EXP - 1)) - 1;
  localparam logic signed [ExponentBits-1:0] Offset = ExponentBits'(AccBias - 2 * Bias + 1);

  logic [ACC_EXP-1:0] field;
  logic               normal;
  assign field  = acc_i[ACC_MAN+:ACC_EXP];
  assign normal = |field;

  logic signed [ExponentBits-1:0] exponent_p, exponent_c, difference;
  logic                           c_larger;
  assign exponent_p = ExponentBits'(exponent_i) + Offset;
  assign exponent_c = $signed(ExponentBits'({field[ACC_EXP-1:1], field[0] || !normal}));
  assign difference = exponent_c - exponent_p;
  assign c_larger   = !difference[ExponentBits-1] || zero_i;

  // --- aligned: two bits under the significand for what cancels, one to round, one for all below

  localparam int Significand = ACC_MAN + 1;
  localparam int Aligned = Significand + 4;
  localparam int ShiftBits = $clog2(Aligned);
  logic [ExponentBits-1:0] distance;
  logic [     Aligned-1:0] larger, smaller;
  logic [   2*Aligned-1:0] shifted;
  logic [     Aligned-1:0] p, c;
  assign p = {significand_i, {(Aligned - PRODUCT) {1'b0}}};
  assign c = {normal, acc_i[ACC_MAN-1:0], 4'b0};
  assign distance = c_larger ? difference : -difference;
  assign larger   = c_larger ? c : p;
  assign shifted  = {c_larger ? p : c, {Aligned{1'b0}}} >> distance[ShiftBits-1:0];
  assign smaller  = (|distance[ExponentBits-1:ShiftBits])
    ? {{(Aligned - 1) {1'b0}}, !zero_i}  // the larger one is a word, which an accumulator's remains do not change
    : {shifted[2*Aligned-1:Aligned+1], |shifted[Aligned:0]};

  // --- added or subtracted; the smaller exponent may have the larger magnitude

  localparam int SumBits = Aligned + 1;
  logic               subtract, below;
  logic [  SumBits:0] sum;
  logic [SumBits-1:0] magnitude;
  assign subtract  = negative_i ^ acc_i[ACC_EXP+ACC_MAN];
  assign sum       = {2'b0, larger} + ({2'b0, smaller} ^ {(SumBits + 1) {subtract}}) + (SumBits + 1)'(subtract);
  assign below     = sum[SumBits];
  assign magnitude = below ? -sum[SumBits-1:0] : sum[SumBits-1:0];

  // exact cancellation gives the positive zero
  logic negative;
  assign negative = subtract
    ? ((c_larger ^ below) ? acc_i[ACC_EXP+ACC_MAN] : negative_i) && (|magnitude)
    : negative_i;

  logic signed [ExponentBits-1:0] exponent;
  assign exponent = (c_larger ? exponent_c : exponent_p) + ExponentBits'(1);
  float_normalise #(
    .WIDTH   (SumBits),
    .EXP     (ACC_EXP),
    .MAN     (ACC_MAN),
    .LARGEST ((((1 << ACC_EXP) - 1) << ACC_MAN) - 1),
    .EXPONENT(ExponentBits)
  ) u_normalise (
    .negative_i (negative),
    .exponent_i (exponent),
    .magnitude_i(magnitude),
    .word_o     (acc_o)
  );

endmodule
