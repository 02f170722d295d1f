// A processing element of multiply-accumulate lanes, each with a sum and a result of its own (docs/baselines.md).
//
// A beat is one product a lane. With last_i the sums end: their words come out side by side, each lane rounding its
// own, and the next beat starts others. While results wait to be taken no beat is added.
module float_element_mac #(
  parameter  int LANES   = 16,
  parameter  int EXP     = 8,    // of the factors
  parameter  int MAN     = 7,
  parameter  int ACC_EXP = 8,    // of the accumulators: float_accumulate
  parameter  int ACC_MAN = 23,
  parameter  int OUT_EXP = 8,    // of the results: the accumulators' own format, or float_round
  parameter  int OUT_MAN = 7,
  parameter  int LARGEST = 'h7f7f,
  parameter  int DEPTH   = 1,    // register stages between products and accumulators
  localparam int BITS    = 1 + EXP + MAN,
  localparam int OUT     = 1 + OUT_EXP + OUT_MAN
) (
  input  logic                  clk_i,
  input  logic                  rst_ni,
  input  logic                  valid_i,
  output logic                  ready_o,
  input  logic                  last_i,
  input  logic [LANES*BITS-1:0] a_i,      // lane 0 in the low bits
  input  logic [LANES*BITS-1:0] b_i,
  output logic                  valid_o,
  input  logic                  ready_i,
  output logic [ LANES*OUT-1:0] word_o
);

  // --- products

  localparam int Acc         = 1 + ACC_EXP + ACC_MAN;
  localparam int Significand = 2 * (MAN + 1);
  localparam int Product     = 2 + (EXP + 2) + Significand;
  localparam int Normalise   = (Significand <= ACC_MAN + 1) ? 1 : 0;

  logic [LANES*Product-1:0] products, beat_products;
  for (genvar l = 0; l < LANES; l++) begin : gen_multiply
    float_multiply #(
      .EXP      (EXP),
      .MAN      (MAN),
      .NORMALISE(Normalise)
    ) u_multiply (
      .a_i          (a_i[l*BITS+:BITS]),
      .b_i          (b_i[l*BITS+:BITS]),
      .negative_o   (products[l*Product+Product-1]),
      .zero_o       (products[l*Product+Product-2]),
      .exponent_o   (products[l*Product+Significand+:EXP+2]),
      .significand_o(products[l*Product+:Significand])
    );
  end

  logic beat_valid, beat_ready, beat_last;
  localparam int BeatBits = 1 + LANES * Product;
  lns_pipeline #(
    .WIDTH(BeatBits),
    .DEPTH(DEPTH)
  ) u_beats (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .valid_i(valid_i),
    .ready_o(ready_o),
    .data_i ({last_i, products}),
    .valid_o(beat_valid),
    .ready_i(beat_ready),
    .data_o ({beat_last, beat_products})
  );

  // --- accumulators

  logic take, first;
  baseline_control u_control (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .valid_i(beat_valid),
    .ready_o(beat_ready),
    .last_i (beat_last),
    .take_o (take),
    .first_o(first),
    .valid_o(valid_o),
    .ready_i(ready_i)
  );

  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    logic [Acc-1:0] acc_q, acc_d;
    float_accumulate #(
      .EXP    (EXP),
      .MAN    (MAN),
      .ACC_EXP(ACC_EXP),
      .ACC_MAN(ACC_MAN)
    ) u_accumulate (
      .negative_i   (beat_products[l*Product+Product-1]),
      .zero_i       (beat_products[l*Product+Product-2]),
      .exponent_i   (beat_products[l*Product+Significand+:EXP+2]),
      .significand_i(beat_products[l*Product+:Significand]),
      .acc_i        (first ? '0 : acc_q),
      .acc_o        (acc_d)
    );
    always_ff @(posedge clk_i) begin
      if (take) acc_q <= acc_d;
    end

    if (ACC_EXP == OUT_EXP && ACC_MAN == OUT_MAN) begin : gen_as_it_is
      assign word_o[l*OUT+:OUT] = acc_q;
    end else begin : gen_round
      // results and no partial sums
      float_round #(
        .FROM_EXP(ACC_EXP),
        .FROM_MAN(ACC_MAN),
        .EXP     (OUT_EXP),
        .MAN     (OUT_MAN),
        .LARGEST (LARGEST)
      ) u_round (
        .word_i(valid_o ? acc_q : '0),
        .word_o(word_o[l*OUT+:OUT])
      );
    end
  end

endmodule
