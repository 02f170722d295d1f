// Dot product with a log accumulator (docs/spec.md, section 7; lns/reference.py: dot_log).
//
// A beat is L pairs of words, whose products are added each to its own lane. After the beat with last_i the lanes go
// down a tree of adders, all in the next clock, in which the lanes may take the first beat of another dot product.
// While a result waits to be taken one more may wait in the lanes, which then take no beat.
module lns_dot_log #(
  parameter int LANES         = 16,  // L, a power of two
  parameter int DEPTH         = 1,   // register stages between products and lanes
  parameter int A_BITS        = 8,   // from here on: lns_product
  parameter int B_BITS        = 8,
  parameter int A_SHIFT       = 5,
  parameter int B_SHIFT       = 5,
  parameter int BITS          = 14,  // B of the accumulator
  parameter int FRAC_BITS     = 8,
  parameter int OFFSET        = 0,
  parameter int KIND          = 0,   // from here on: lns_add
  parameter int K             = 0,
  parameter int G             = 0,
  parameter int SB_ENTRIES    = 1,
  parameter int SB_BITS       = 1,
  parameter     SB_FILE       = "",
  parameter int SB_SLOPE_BITS = 1,
  parameter     SB_SLOPE_FILE = "",
  parameter int DB_ENTRIES    = 1,
  parameter int DB_BITS       = 1,
  parameter     DB_FILE       = "",
  parameter int DB_SLOPE_BITS = 1,
  parameter     DB_SLOPE_FILE = "",
  parameter int DB_FIRST_BITS = 1,
  parameter     DB_FIRST_FILE = ""
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,
  input  logic                    valid_i,
  output logic                    ready_o,
  input  logic                    last_i,          // the dot product ends with this beat
  input  logic [LANES*A_BITS-1:0] a_i,             // lane 0 in the low bits; a lane without a term gets a zero
  input  logic [LANES*B_BITS-1:0] b_i,
  output logic                    valid_o,
  input  logic                    ready_i,
  output logic [        BITS-1:0] word_o,          // in the accumulator's format
  output logic                    acc_saturate_o,  // in any product or sum of the dot product
  output logic                    acc_underflow_o
);

  // --- products

  logic [LANES*BITS-1:0] products;
  logic [     LANES-1:0] products_above, products_below;
  for (genvar l = 0; l < LANES; l++) begin : gen_product
    lns_product #(
      .A_BITS   (A_BITS),
      .B_BITS   (B_BITS),
      .A_SHIFT  (A_SHIFT),
      .B_SHIFT  (B_SHIFT),
      .BITS     (BITS),
      .FRAC_BITS(FRAC_BITS),
      .OFFSET   (OFFSET)
    ) u_product (
      .a_i            (a_i[l*A_BITS+:A_BITS]),
      .b_i            (b_i[l*B_BITS+:B_BITS]),
      .word_o         (products[l*BITS+:BITS]),
      .acc_saturate_o (products_above[l]),
      .acc_underflow_o(products_below[l])
    );
  end

  logic                  beat_valid, beat_ready, beat_last, beat_above, beat_below;
  logic [LANES*BITS-1:0] beat;
  localparam int BeatBits = 3 + LANES * BITS;
  lns_pipeline #(
    .WIDTH(BeatBits),
    .DEPTH(DEPTH)
  ) u_beats (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .valid_i(valid_i),
    .ready_o(ready_o),
    .data_i ({last_i, |products_above, |products_below, products}),
    .valid_o(beat_valid),
    .ready_i(beat_ready),
    .data_o ({beat_last, beat_above, beat_below, beat})
  );

  // --- lanes

  // A dot product's first beat is added to zeros; complete lanes are a stage that the tree takes from.
  logic                  first_q, complete_q, result_ready, take;
  logic [LANES*BITS-1:0] lanes_q, lanes_d, partial;
  logic [     LANES-1:0] lanes_above, lanes_below;
  assign beat_ready = !complete_q || result_ready;
  assign take       = beat_valid && beat_ready;
  assign partial    = first_q ? '0 : lanes_q;

  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    lns_add #(
      .BITS         (BITS),
      .FRAC_BITS    (FRAC_BITS),
      .SIGNED       (1),
      .KIND         (KIND),
      .K            (K),
      .G            (G),
      .SB_ENTRIES   (SB_ENTRIES),
      .SB_BITS      (SB_BITS),
      .SB_FILE      (SB_FILE),
      .SB_SLOPE_BITS(SB_SLOPE_BITS),
      .SB_SLOPE_FILE(SB_SLOPE_FILE),
      .DB_ENTRIES   (DB_ENTRIES),
      .DB_BITS      (DB_BITS),
      .DB_FILE      (DB_FILE),
      .DB_SLOPE_BITS(DB_SLOPE_BITS),
      .DB_SLOPE_FILE(DB_SLOPE_FILE),
      .DB_FIRST_BITS(DB_FIRST_BITS),
      .DB_FIRST_FILE(DB_FIRST_FILE)
    ) u_add (
      .a_i        (partial[l*BITS+:BITS]),
      .b_i        (beat[l*BITS+:BITS]),
      .word_o     (lanes_d[l*BITS+:BITS]),
      .saturate_o (lanes_above[l]),
      .underflow_o(lanes_below[l])
    );
  end

  logic above_q, below_q;
  always_ff @(posedge clk_i) begin
    if (take) begin
      lanes_q <= lanes_d;
      above_q <= (above_q && !first_q) || beat_above || (|lanes_above);
      below_q <= (below_q && !first_q) || beat_below || (|lanes_below);
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      first_q    <= 1'b1;
      complete_q <= 1'b0;
    end else begin
      if (take) first_q <= beat_last;
      if (beat_ready) complete_q <= beat_valid && beat_last;
    end
  end

  // --- tree

  // Level 0 are the lanes; word i of a level is the sum of words 2i and 2i + 1 of the one before. The tree gets zeros until
  // the lanes are complete: it would otherwise work at every beat, for nothing.
  localparam int Levels = $clog2(LANES);
  for (genvar level = 0; level <= Levels; level++) begin : gen_level
    localparam int Words = LANES >> level;
    logic [Words*BITS-1:0] words;
    logic                  any_above, any_below;  // here or before

    if (level == 0) begin : gen_lanes
      assign words     = complete_q ? lanes_q : '0;
      assign any_above = above_q;
      assign any_below = below_q;
    end else begin : gen_sums
      logic [Words-1:0] above, below;
      assign any_above = gen_level[level-1].any_above || (|above);
      assign any_below = gen_level[level-1].any_below || (|below);
      for (genvar i = 0; i < Words; i++) begin : gen_sum
        lns_add #(
          .BITS         (BITS),
          .FRAC_BITS    (FRAC_BITS),
          .SIGNED       (1),
          .KIND         (KIND),
          .K            (K),
          .G            (G),
          .SB_ENTRIES   (SB_ENTRIES),
          .SB_BITS      (SB_BITS),
          .SB_FILE      (SB_FILE),
          .SB_SLOPE_BITS(SB_SLOPE_BITS),
          .SB_SLOPE_FILE(SB_SLOPE_FILE),
          .DB_ENTRIES   (DB_ENTRIES),
          .DB_BITS      (DB_BITS),
          .DB_FILE      (DB_FILE),
          .DB_SLOPE_BITS(DB_SLOPE_BITS),
          .DB_SLOPE_FILE(DB_SLOPE_FILE),
          .DB_FIRST_BITS(DB_FIRST_BITS),
          .DB_FIRST_FILE(DB_FIRST_FILE)
        ) u_add (
          .a_i        (gen_level[level-1].words[2*i*BITS+:BITS]),
          .b_i        (gen_level[level-1].words[(2*i+1)*BITS+:BITS]),
          .word_o     (words[i*BITS+:BITS]),
          .saturate_o (above[i]),
          .underflow_o(below[i])
        );
      end
    end
  end

  lns_pipeline #(
    .WIDTH(2 + BITS),
    .DEPTH(1)
  ) u_result (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .valid_i(complete_q),
    .ready_o(result_ready),
    .data_i ({gen_level[Levels].any_above, gen_level[Levels].any_below, gen_level[Levels].words}),
    .valid_o(valid_o),
    .ready_i(ready_i),
    .data_o ({acc_saturate_o, acc_underflow_o, word_o})
  );

endmodule
