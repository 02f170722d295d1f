// A processing element that sums the products of its lanes in fixed point (docs/baselines.md).
//
// A beat is L products, whose terms are summed exactly and added to an accumulator that saturates. With last_i the sum
// ends and its word comes out; while it waits to be taken no beat is added. Where the accumulator stands is known once
// for a whole product of matrices: under the format's largest product, or (ALIGNED) where exponent_i puts it.
module float_element_dot #(
  parameter  int LANES         = 16,
  parameter  int EXP           = 4,    // of the factors and the result
  parameter  int MAN           = 3,
  parameter  int TOP           = 15,   // largest exponent field of a number
  parameter  int ALIGNED       = 0,    // 1: exponent_i says where the least bit stands, for terms and result
  parameter  int GUARD         = 12,   // octaves from the leading bit of the largest product to the least bit
  parameter  int ACC_BITS      = 24,   // A, at least GUARD + 2
  parameter  int LARGEST       = 'h7e, // float_from_fixed
  parameter  int EXPONENT_BITS = 8,
  parameter  int DEPTH         = 1,    // register stages before the accumulator
  localparam int BITS          = 1 + EXP + MAN
) (
  input  logic                            clk_i,
  input  logic                            rst_ni,
  input  logic                            valid_i,
  output logic                            ready_o,
  input  logic                            last_i,
  input  logic        [   LANES*BITS-1:0] a_i,         // lane 0 in the low bits; a lane without a term gets a zero
  input  logic        [   LANES*BITS-1:0] b_i,
  input  logic signed [EXPONENT_BITS-1:0] exponent_i,  // of the accumulator's least bit in the result's units; the same in all beats of a sum
  output logic                            valid_o,
  input  logic                            ready_i,
  output logic        [         BITS-1:0] word_o
);

  // --- terms of a beat and their sum, exact

  localparam int TermBits = GUARD + 1;
  localparam int SumBits  = TermBits + 1 + $clog2(LANES);

  // The largest sum of two biased exponents: the significands' product has its leading bit one above their sum
  logic [EXP:0] top;
  if (ALIGNED == 0) begin : gen_fixed
    assign top = (EXP + 1)'(2 * TOP);
  end else begin : gen_aligned
    localparam int Bias      = (1 << (EXP - 1)) - 1;
    localparam int WholeBits = ((EXPONENT_BITS > EXP + 1) ? EXPONENT_BITS : EXP + 1) + 1;
    logic [WholeBits-1:0] whole;  // no negative one is asked for
    assign whole = WholeBits'(exponent_i) + WholeBits'(GUARD + 2 * Bias - 1);
    assign top   = whole[EXP:0];
    logic unused_whole;
    assign unused_whole = ^whole[WholeBits-1:EXP+1];
  end

  logic [         LANES-1:0] negatives;
  logic [LANES*TermBits-1:0] magnitudes;
  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    float_term #(
      .EXP  (EXP),
      .MAN  (MAN),
      .GUARD(GUARD)
    ) u_term (
      .a_i        (a_i[l*BITS+:BITS]),
      .b_i        (b_i[l*BITS+:BITS]),
      .top_i      (top),
      .negative_o (negatives[l]),
      .magnitude_o(magnitudes[l*TermBits+:TermBits])
    );
  end

  // -x is ~x + 1; the ones are summed with the rest
  function automatic logic signed [SumBits-1:0] total(input logic [LANES-1:0] signs, input logic [LANES*TermBits-1:0] sizes);
    total = '0;
    for (int l = 0; l < LANES; l++) begin
      total = total + SumBits'($signed({signs[l], sizes[l*TermBits+:TermBits] ^ {TermBits{signs[l]}}}))
        + SumBits'(signs[l]);
    end
  endfunction

  logic signed [SumBits-1:0] sum;
  assign sum = total(negatives, magnitudes);

  logic                      beat_valid, beat_ready, beat_last;
  logic signed [SumBits-1:0] beat_sum;
  localparam int BeatBits = 1 + SumBits;
  lns_pipeline #(
    .WIDTH(BeatBits),
    .DEPTH(DEPTH)
  ) u_beats (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .valid_i(valid_i),
    .ready_o(ready_o),
    .data_i ({last_i, sum}),
    .valid_o(beat_valid),
    .ready_i(beat_ready),
    .data_o ({beat_last, beat_sum})
  );

  // --- accumulator and result

  logic signed [ACC_BITS-1:0] acc;
  baseline_accumulator #(
    .ACC_BITS(ACC_BITS),
    .SUM_BITS(SumBits)
  ) u_accumulator (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .valid_i(beat_valid),
    .ready_o(beat_ready),
    .last_i (beat_last),
    .sum_i  (beat_sum),
    .valid_o(valid_o),
    .ready_i(ready_i),
    .acc_o  (acc)
  );

  // Exponents of the sums under way: a stage for each that there is room for, and each is at the end when its sum is
  logic signed [EXPONENT_BITS-1:0] exponent;
  logic                            unused_room, unused_there;
  lns_pipeline #(
    .WIDTH(EXPONENT_BITS),
    .DEPTH(DEPTH + 1)
  ) u_constants (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .valid_i(valid_i && ready_o && last_i),
    .ready_o(unused_room),
    .data_i (exponent_i),
    .valid_o(unused_there),
    .ready_i(valid_o && ready_i),
    .data_o (exponent)
  );

  float_from_fixed #(
    .ACC_BITS     (ACC_BITS),
    .EXP          (EXP),
    .MAN          (MAN),
    .LARGEST      (LARGEST),
    .EXPONENT_BITS(EXPONENT_BITS)
  ) u_convert (
    .acc_i     (acc),
    .exponent_i(exponent),
    .word_o    (word_o)
  );

endmodule
