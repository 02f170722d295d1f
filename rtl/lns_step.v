// Update unit, second half: the weight (docs/spec.md, section 8, from v' on; lns/reference.py: update).
//
// Combinational. The normalised gradient is a subtraction, the step a look-up and a shift: there is no multiplier. The
// controller gives the constants of a step; their names are the specification's without c_.
module lns_step #(
  parameter int WEIGHT_BITS    = 12,  // B of the weight, signed
  parameter int GRADIENT_BITS  = 8,   // B of the gradient, signed
  parameter int GRADIENT_SHIFT = 8,   // F_u - F of the gradient
  parameter int MOMENT_BITS    = 17,  // B of the moment, unsigned
  parameter int FRAC_BITS      = 11,  // F_u, fraction bits of the moment
  parameter int CONSTANT_BITS  = 20,  // width of every constant
  parameter int STEP_FRAC_BITS = 8,   // r
  parameter int STOCHASTIC     = 0,   // 0: nearest, ties to even; 1: random bits are added and the fraction is cut
  parameter int FLIP           = 1,   // 0: a weight below code 1 keeps its sign; 1: it takes the other one
  parameter int FINE_BITS      = 17,  // width of the largest step, at clip_i + lr_i, in units of 2^-r codes
  parameter int ANTILOG_BITS   = 12,  // T
  parameter     ANTILOG_FILE   = ""   // $readmemh image of 2**F_u entries
) (
  input  logic        [  WEIGHT_BITS-1:0] weight_i,      // code 1 to max
  input  logic        [GRADIENT_BITS-1:0] gradient_i,
  input  logic        [  MOMENT_BITS-1:0] moment_i,      // the new one, v'
  input  logic        [((STEP_FRAC_BITS > 0) ? STEP_FRAC_BITS : 1)-1:0] random_i,
  input  logic signed [CONSTANT_BITS-1:0] correction_i,
  input  logic signed [CONSTANT_BITS-1:0] clip_i,
  input  logic signed [CONSTANT_BITS-1:0] lr_i,
  output logic        [  WEIGHT_BITS-1:0] weight_o,
  output logic                            saturate_o,    // the weight met its cap
  output logic                            underflow_o,   // the weight would have fallen below code 1
  output logic                            clip_o
);

  localparam int WeightCodeBits   = WEIGHT_BITS - 1;
  localparam int GradientCodeBits = GRADIENT_BITS - 1;
  // every sum below has at most four terms, each of which fits in the widest of these and a sign; 5: T and r, to 32 each
  localparam int SquaredBits  = GradientCodeBits + 1 + GRADIENT_SHIFT;
  localparam int OperandBits  = (SquaredBits > MOMENT_BITS) ? SquaredBits : MOMENT_BITS;
  localparam int ConstantBits = (CONSTANT_BITS > 5) ? CONSTANT_BITS : 5;
  localparam int CalcBits     = ((OperandBits > ConstantBits) ? OperandBits : ConstantBits) + 3;
  localparam logic signed [CalcBits-1:0] GradientBias = CalcBits'(1) << (GradientCodeBits - 1);
  localparam logic signed [CalcBits-1:0] MomentBias   = CalcBits'(1) << (MOMENT_BITS - 1);

  // --- normalised gradient: log2 of |g| over the root of the moment, clipped

  logic                       hold;     // no gradient, or nothing to normalise it by: the weight stays
  logic signed [CalcBits-1:0] squared;  // log2 of the gradient squared, in codes of the moment
  logic signed [CalcBits-1:0] normal, exponent;
  logic                       clipped;
  assign hold     = (gradient_i[GradientCodeBits-1:0] == '0) || (moment_i == '0);
  assign squared  = ($signed(CalcBits'(gradient_i[GradientCodeBits-1:0])) - GradientBias) <<< (GRADIENT_SHIFT + 1);
  assign normal   = (squared - ($signed(CalcBits'(moment_i)) - MomentBias) - CalcBits'(correction_i)) >>> 1;
  assign clipped  = normal > CalcBits'(clip_i);
  assign exponent = (clipped ? CalcBits'(clip_i) : normal) + CalcBits'(lr_i);

  // --- step: antilogarithm in units of 2^-r codes, rounded to whole ones

  logic [ANTILOG_BITS-1:0] rom[0:(1 << FRAC_BITS) - 1];
  if (ANTILOG_FILE != "") begin : gen_rom_file
    initial $readmemh(ANTILOG_FILE, rom);
  end

  localparam int IndexBits = (FRAC_BITS > 0) ? FRAC_BITS : 1;
  logic [IndexBits-1:0] index;
  if (FRAC_BITS > 0) begin : gen_index
    assign index = IndexBits'(exponent);
  end else begin : gen_no_index
    assign index = '0;
  end

  localparam int RomOrFineBits = (FINE_BITS > ANTILOG_BITS) ? FINE_BITS : ANTILOG_BITS;
  localparam int ShiftBits     = (RomOrFineBits > STEP_FRAC_BITS) ? RomOrFineBits : STEP_FRAC_BITS;
  logic        [ANTILOG_BITS-1:0] significand;
  logic signed [    CalcBits-1:0] places;
  logic        [   ShiftBits-1:0] fine;
  assign significand = rom[index];
  assign places      = (exponent >>> FRAC_BITS) + CalcBits'(STEP_FRAC_BITS - (ANTILOG_BITS - 1));
  // beyond FINE_BITS nothing can be shifted: the clip bounds the exponent
  assign fine = places[CalcBits-1] ? ShiftBits'(significand) >> (-places) : ShiftBits'(significand) << places;

  localparam int StepBits = ShiftBits + 1;
  logic [StepBits-1:0] step;
  if (STEP_FRAC_BITS == 0) begin : gen_whole
    assign step = StepBits'(fine);
    logic unused_random;
    assign unused_random = ^random_i;
  end else if (STOCHASTIC != 0) begin : gen_stochastic
    assign step = (StepBits'(fine) + StepBits'(random_i)) >> STEP_FRAC_BITS;
  end else begin : gen_nearest
    localparam logic [STEP_FRAC_BITS-1:0] Half = STEP_FRAC_BITS'(1) << (STEP_FRAC_BITS - 1);
    logic [      StepBits-1:0] whole;
    logic [STEP_FRAC_BITS-1:0] rest;
    assign whole = StepBits'(fine) >> STEP_FRAC_BITS;
    assign rest  = fine[STEP_FRAC_BITS-1:0];
    // a tie goes to the even step
    assign step  = whole + StepBits'((rest > Half) || ((rest == Half) && whole[0]));
    logic unused_random;
    assign unused_random = ^random_i;
  end

  // --- weight: against the gradient's sign, a magnitude of the same sign shrinks

  localparam int CodeBits = ((WeightCodeBits > StepBits) ? WeightCodeBits : StepBits) + 2;
  logic signed [CodeBits-1:0] code, change;
  logic                       negative, grows, above, below;
  assign negative = weight_i[WEIGHT_BITS-1];
  assign grows    = gradient_i[GRADIENT_BITS-1] != negative;
  assign change   = CodeBits'(step);
  assign code     = $signed(CodeBits'(weight_i[WeightCodeBits-1:0])) + (grows ? change : -change);
  assign below    = code < CodeBits'(1);
  assign above    = !below && (|code[CodeBits-1:WeightCodeBits]);

  always_comb begin
    weight_o = {negative, code[WeightCodeBits-1:0]};
    if (above) weight_o = {negative, {WeightCodeBits{1'b1}}};
    if (below) weight_o = {negative ^ (FLIP != 0), WeightCodeBits'(1)};
    if (hold) weight_o = weight_i;
  end

  assign saturate_o  = above && !hold;
  assign underflow_o = below && !hold;
  assign clip_o      = clipped && !hold;

`ifndef SYNTHESIS
  // without this a forgotten parameter would read as a table of zeros in a two-state simulator
  initial begin
    if (ANTILOG_FILE == "") $fatal(1, "ANTILOG_FILE is required");
  end
`endif

endmodule
