// Dot product with a linear accumulator (docs/spec.md, section 5; lns/reference.py: dot_linear).
//
// A beat is one cycle of the definition: L pairs of words, whose terms are summed exactly and added; the accumulator
// saturates. After the beat with last_i the accumulator goes out and the next beat starts another dot product. While a
// result waits to be taken the accumulator takes no beat.
module lns_dot_linear #(
  parameter int LANES        = 16,  // L, a power of two
  parameter int ACC_BITS     = 24,  // A, at least GUARD + 2
  parameter int DEPTH        = 1,   // register stages before the accumulator
  parameter int A_BITS       = 8,   // from here on: lns_term
  parameter int B_BITS       = 8,
  parameter int A_SHIFT      = 0,
  parameter int B_SHIFT      = 0,
  parameter int FRAC_BITS    = 3,
  parameter int GUARD        = 12,
  parameter int ANTILOG_BITS = 8,
  parameter     ANTILOG_FILE = ""
) (
  input  logic                           clk_i,
  input  logic                           rst_ni,
  input  logic                           valid_i,
  output logic                           ready_o,
  input  logic                           last_i,         // the dot product ends with this beat
  input  logic        [LANES*A_BITS-1:0] a_i,            // lane 0 in the low bits; a lane without a term gets a zero
  input  logic        [LANES*B_BITS-1:0] b_i,
  output logic                           valid_o,
  input  logic                           ready_i,
  output logic signed [    ACC_BITS-1:0] acc_o,
  output logic                           acc_saturate_o  // in any cycle of the dot product
);

  // --- terms of a cycle and their sum, exact

  localparam int TermBits = GUARD + 2;
  localparam int SumBits  = TermBits + $clog2(LANES);

  logic [LANES*TermBits-1:0] terms;
  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    lns_term #(
      .A_BITS      (A_BITS),
      .B_BITS      (B_BITS),
      .A_SHIFT     (A_SHIFT),
      .B_SHIFT     (B_SHIFT),
      .FRAC_BITS   (FRAC_BITS),
      .GUARD       (GUARD),
      .ANTILOG_BITS(ANTILOG_BITS),
      .ANTILOG_FILE(ANTILOG_FILE)
    ) u_term (
      .a_i   (a_i[l*A_BITS+:A_BITS]),
      .b_i   (b_i[l*B_BITS+:B_BITS]),
      .term_o(terms[l*TermBits+:TermBits])
    );
  end

  function automatic logic signed [SumBits-1:0] total(input logic [LANES*TermBits-1:0] addends);
    total = '0;
    for (int l = 0; l < LANES; l++) begin
      total = total + SumBits'($signed(addends[l*TermBits+:TermBits]));
    end
  endfunction

  logic signed [SumBits-1:0] sum;
  assign sum = total(terms);

  // behind the sum and not before it, where there are L terms to keep
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

  // --- accumulator

  // a carry above the wider of the two
  localparam int TotalBits = ((ACC_BITS > SumBits) ? ACC_BITS : SumBits) + 1;
  localparam logic signed [TotalBits-1:0] Most  = (TotalBits'(1) << (ACC_BITS - 1)) - TotalBits'(1);
  localparam logic signed [TotalBits-1:0] Least = ~Most;

  logic signed [ ACC_BITS-1:0] acc_q, acc_d;
  logic                        saturate_q, saturate_d;
  logic signed [TotalBits-1:0] exact;
  logic                        above, below;
  assign exact      = TotalBits'(acc_q) + TotalBits'(beat_sum);
  assign above      = exact > Most;
  assign below      = exact < Least;
  assign acc_d      = above ? ACC_BITS'(Most) : (below ? ACC_BITS'(Least) : ACC_BITS'(exact));
  assign saturate_d = saturate_q || above || below;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      acc_q      <= '0;
      saturate_q <= 1'b0;
    end else if (beat_valid && beat_ready) begin
      acc_q      <= beat_last ? '0 : acc_d;
      saturate_q <= !beat_last && saturate_d;
    end
  end

  // a register of its own: what comes after it sees results, and no partial sums
  lns_pipeline #(
    .WIDTH(1 + ACC_BITS),
    .DEPTH(1)
  ) u_result (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .valid_i(beat_valid && beat_last),
    .ready_o(beat_ready),
    .data_i ({saturate_d, acc_d}),
    .valid_o(valid_o),
    .ready_i(ready_i),
    .data_o ({acc_saturate_o, acc_o})
  );

endmodule
