// An accumulator plus a product of two words of its own format, rounded once (docs/baselines.md).
//
// Combinational. The product stands still and the accumulator is shifted, while the multiplier still works; the window
// is wide enough for products of subnormals as they come (float_multiply without NORMALISE).
module float_add_wide #(
  parameter  int EXP     = 8,
  parameter  int MAN     = 23,
  localparam int PRODUCT = 2 * (MAN + 1)
) (
  input  logic                      negative_i,
  input  logic                      zero_i,
  input  logic signed [    EXP+1:0] exponent_i,
  input  logic        [PRODUCT-1:0] significand_i,
  input  logic        [  EXP+MAN:0] acc_i,
  output logic        [  EXP+MAN:0] acc_o
);

  // --- where the accumulator's highest bit stands under the window's

  // the window: the accumulator far above the product, two zeros, the product, two bits and one for all below
  localparam int Significand  = MAN + 1;
  localparam int Above        = Significand + 2;
  localparam int Window       = Above + PRODUCT + 3;
  localparam int ShiftBits    = $clog2(Window);
  localparam int ExponentBits = EXP + 3;
  localparam int Bias         = (1 << (EXP - 1)) - 1;
  localparam logic signed [ExponentBits-1:0] Offset = ExponentBits'(1 - Bias + Above);

  logic [EXP-1:0] field;
  logic           normal;
  assign field  = acc_i[MAN+:EXP];
  assign normal = |field;

  logic signed [ExponentBits-1:0] exponent_w, exponent_c, distance;
  logic                           far_above, far_below;
  assign exponent_w = ExponentBits'(exponent_i) + Offset;
  assign exponent_c = $signed(ExponentBits'({field[EXP-1:1], field[0] || !normal}));
  assign distance   = exponent_w - exponent_c;
  assign far_above  = distance[ExponentBits-1] || zero_i;
  assign far_below  = distance >= ExponentBits'(Window);

  logic [            Window-1:0] c;
  logic [Window+Significand-1:0] shifted;
  assign shifted = {normal, acc_i[MAN-1:0], {Window{1'b0}}} >> (far_above ? '0 : distance[ShiftBits-1:0]);
  assign c = (far_below && !far_above)
    ? {{(Window - 1) {1'b0}}, normal || (|acc_i[MAN-1:0])}
    : {shifted[Window+Significand-1:Significand+1], |shifted[Significand:0]};

  // --- added or subtracted

  // p - c is p + ~c + 1 and c - p is ~(p + ~c): both at once, and no carry after the sign is known
  logic              subtract, below;
  logic [Window-1:0] p, signed_c, sum;
  logic [  Window:0] sum_and_one;
  logic [Window-1:0] magnitude;
  assign subtract    = negative_i ^ acc_i[EXP+MAN];
  assign p           = {{Above{1'b0}}, significand_i, 3'b0};
  assign signed_c    = c ^ {Window{subtract}};
  assign sum         = p + signed_c;
  assign sum_and_one = {1'b0, p} + {1'b0, signed_c} + (Window + 1)'(1);
  assign below       = subtract && !sum_and_one[Window];
  assign magnitude   = (subtract && !below) ? sum_and_one[Window-1:0] : sum ^ {Window{below}};

  // exact cancellation gives the positive zero
  logic negative;
  assign negative = subtract ? (below ? acc_i[EXP+MAN] : negative_i) && (|magnitude) : negative_i;

  float_normalise #(
    .WIDTH   (Window),
    .EXP     (EXP),
    .MAN     (MAN),
    .LARGEST ((((1 << EXP) - 1) << MAN) - 1),
    .EXPONENT(ExponentBits)
  ) u_normalise (
    .negative_i (negative),
    .exponent_i (far_above ? exponent_c : exponent_w),
    .magnitude_i(magnitude),
    .word_o     (acc_o)
  );

endmodule
