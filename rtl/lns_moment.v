// Update unit, first half: the second moment (docs/spec.md, section 8, up to v'; lns/reference.py: moment).
//
// Combinational. The old moment decayed, plus the gradient squared, by a log-add. The controller gives the constants of a
// step; their names are the specification's without c_.
module lns_moment #(
  parameter int GRADIENT_BITS  = 8,   // B of the gradient, signed
  parameter int GRADIENT_SHIFT = 8,   // F_u - F of the gradient
  parameter int MOMENT_BITS    = 17,  // B of the moment, unsigned
  parameter int FRAC_BITS      = 11,  // F_u, fraction bits of the moment
  parameter int CONSTANT_BITS  = 20,  // width of every constant
  parameter int KIND           = 0,   // from here on: the moment's lns_add
  parameter int K              = 0,
  parameter int G              = 0,
  parameter int SB_ENTRIES     = 1,
  parameter int SB_BITS        = 1,
  parameter     SB_FILE        = "",
  parameter int SB_SLOPE_BITS  = 1,
  parameter     SB_SLOPE_FILE  = ""
) (
  input  logic        [GRADIENT_BITS-1:0] gradient_i,
  input  logic        [  MOMENT_BITS-1:0] moment_i,
  input  logic signed [CONSTANT_BITS-1:0] read_i,
  input  logic signed [CONSTANT_BITS-1:0] term_i,
  output logic        [  MOMENT_BITS-1:0] moment_o,
  output logic                            moment_saturate_o,
  output logic                            moment_underflow_o
);

  localparam int GradientCodeBits = GRADIENT_BITS - 1;
  // every sum below has at most three terms, each of which fits in the widest of these and a sign
  localparam int SquaredBits  = GradientCodeBits + 1 + GRADIENT_SHIFT;
  localparam int OperandBits  = (SquaredBits > MOMENT_BITS) ? SquaredBits : MOMENT_BITS;
  localparam int CalcBits     = ((OperandBits > CONSTANT_BITS) ? OperandBits : CONSTANT_BITS) + 3;
  localparam logic signed [CalcBits-1:0] GradientBias = CalcBits'(1) << (GradientCodeBits - 1);
  localparam logic signed [CalcBits-1:0] MomentBias   = CalcBits'(1) << (MOMENT_BITS - 1);

  // a square has no sign
  logic unused_sign;
  assign unused_sign = gradient_i[GRADIENT_BITS-1];

  logic                       gradient_zero;
  logic signed [CalcBits-1:0] squared;  // log2 of the gradient squared, in codes of the moment
  assign gradient_zero = gradient_i[GradientCodeBits-1:0] == '0;
  assign squared = ($signed(CalcBits'(gradient_i[GradientCodeBits-1:0])) - GradientBias) <<< (GRADIENT_SHIFT + 1);

  logic [MOMENT_BITS-1:0] kept, term;
  logic                   kept_saturate, kept_underflow, term_saturate, term_underflow, sum_saturate, sum_underflow;

  lns_range #(
    .BITS     (MOMENT_BITS),
    .SIGNED   (0),
    .CALC_BITS(CalcBits)
  ) u_read (
    .code_i     ($signed(CalcBits'(moment_i)) + CalcBits'(read_i)),
    .negative_i (1'b0),
    .zero_i     (moment_i == '0),
    .word_o     (kept),
    .saturate_o (kept_saturate),
    .underflow_o(kept_underflow)
  );

  lns_range #(
    .BITS     (MOMENT_BITS),
    .SIGNED   (0),
    .CALC_BITS(CalcBits)
  ) u_term (
    .code_i     (squared + CalcBits'(term_i) + MomentBias),
    .negative_i (1'b0),
    .zero_i     (gradient_zero),
    .word_o     (term),
    .saturate_o (term_saturate),
    .underflow_o(term_underflow)
  );

  lns_add #(
    .BITS         (MOMENT_BITS),
    .FRAC_BITS    (FRAC_BITS),
    .SIGNED       (0),
    .KIND         (KIND),
    .K            (K),
    .G            (G),
    .SB_ENTRIES   (SB_ENTRIES),
    .SB_BITS      (SB_BITS),
    .SB_FILE      (SB_FILE),
    .SB_SLOPE_BITS(SB_SLOPE_BITS),
    .SB_SLOPE_FILE(SB_SLOPE_FILE)
  ) u_add (
    .a_i        (kept),
    .b_i        (term),
    .word_o     (moment_o),
    .saturate_o (sum_saturate),
    .underflow_o(sum_underflow)
  );

  assign moment_saturate_o  = kept_saturate || term_saturate || sum_saturate;
  assign moment_underflow_o = kept_underflow || term_underflow || sum_underflow;

endmodule
