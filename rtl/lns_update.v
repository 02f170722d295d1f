// Update unit, one weight a time: Madam (docs/spec.md, section 8; lns/reference.py: update).
//
// Combinational. The new moment goes to the second half as it goes out; the halves meet nowhere else.
module lns_update #(
  parameter int WEIGHT_BITS      = 12,  // B of the weight, signed
  parameter int GRADIENT_BITS    = 8,   // B of the gradient, signed
  parameter int GRADIENT_SHIFT   = 8,   // F_u - F of the gradient
  parameter int MOMENT_BITS      = 17,  // B of the moment, unsigned
  parameter int FRAC_BITS        = 11,  // F_u, fraction bits of the moment
  parameter int CONSTANT_BITS    = 20,  // width of every constant
  parameter int STEP_FRAC_BITS   = 8,   // r
  parameter int STOCHASTIC       = 0,   // 0: nearest, ties to even; 1: random bits are added and the fraction is cut
  parameter int FLIP             = 1,   // 0: a weight below code 1 keeps its sign; 1: it takes the other one
  parameter int FINE_BITS        = 17,  // width of the largest step, at clip_i + lr_i, in units of 2^-r codes
  parameter int ANTILOG_BITS     = 12,  // T
  parameter     ANTILOG_FILE     = "",  // $readmemh image of 2**F_u entries
  parameter int KIND             = 0,   // from here on: the moment's lns_add
  parameter int K                = 0,
  parameter int G                = 0,
  parameter int SB_ENTRIES       = 1,
  parameter int SB_BITS          = 1,
  parameter     SB_FILE          = "",
  parameter int SB_SLOPE_BITS    = 1,
  parameter     SB_SLOPE_FILE    = ""
) (
  input  logic        [  WEIGHT_BITS-1:0] weight_i,      // code 1 to max
  input  logic        [GRADIENT_BITS-1:0] gradient_i,
  input  logic        [  MOMENT_BITS-1:0] moment_i,
  input  logic        [((STEP_FRAC_BITS > 0) ? STEP_FRAC_BITS : 1)-1:0] random_i,
  input  logic signed [CONSTANT_BITS-1:0] read_i,
  input  logic signed [CONSTANT_BITS-1:0] term_i,
  input  logic signed [CONSTANT_BITS-1:0] correction_i,
  input  logic signed [CONSTANT_BITS-1:0] clip_i,
  input  logic signed [CONSTANT_BITS-1:0] lr_i,
  output logic        [  WEIGHT_BITS-1:0] weight_o,
  output logic        [  MOMENT_BITS-1:0] moment_o,
  output logic                            saturate_o,    // the weight met its cap
  output logic                            underflow_o,   // the weight would have fallen below code 1
  output logic                            clip_o,
  output logic                            moment_saturate_o,
  output logic                            moment_underflow_o
);

  logic [MOMENT_BITS-1:0] moment;
  assign moment_o = moment;

  lns_moment #(
    .GRADIENT_BITS (GRADIENT_BITS),
    .GRADIENT_SHIFT(GRADIENT_SHIFT),
    .MOMENT_BITS   (MOMENT_BITS),
    .FRAC_BITS     (FRAC_BITS),
    .CONSTANT_BITS (CONSTANT_BITS),
    .KIND          (KIND),
    .K             (K),
    .G             (G),
    .SB_ENTRIES    (SB_ENTRIES),
    .SB_BITS       (SB_BITS),
    .SB_FILE       (SB_FILE),
    .SB_SLOPE_BITS (SB_SLOPE_BITS),
    .SB_SLOPE_FILE (SB_SLOPE_FILE)
  ) u_moment (
    .gradient_i        (gradient_i),
    .moment_i          (moment_i),
    .read_i            (read_i),
    .term_i            (term_i),
    .moment_o          (moment),
    .moment_saturate_o (moment_saturate_o),
    .moment_underflow_o(moment_underflow_o)
  );

  lns_step #(
    .WEIGHT_BITS   (WEIGHT_BITS),
    .GRADIENT_BITS (GRADIENT_BITS),
    .GRADIENT_SHIFT(GRADIENT_SHIFT),
    .MOMENT_BITS   (MOMENT_BITS),
    .FRAC_BITS     (FRAC_BITS),
    .CONSTANT_BITS (CONSTANT_BITS),
    .STEP_FRAC_BITS(STEP_FRAC_BITS),
    .STOCHASTIC    (STOCHASTIC),
    .FLIP          (FLIP),
    .FINE_BITS     (FINE_BITS),
    .ANTILOG_BITS  (ANTILOG_BITS),
    .ANTILOG_FILE  (ANTILOG_FILE)
  ) u_step (
    .weight_i    (weight_i),
    .gradient_i  (gradient_i),
    .moment_i    (moment),
    .random_i    (random_i),
    .correction_i(correction_i),
    .clip_i      (clip_i),
    .lr_i        (lr_i),
    .weight_o    (weight_o),
    .saturate_o  (saturate_o),
    .underflow_o (underflow_o),
    .clip_o      (clip_o)
  );

endmodule
