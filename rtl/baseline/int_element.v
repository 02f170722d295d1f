// A processing element of integers: sums of products in two's complement, scaled by a power of two to a
// word at their end (docs/baselines.md).
//
// A beat is L products, whose exact sum is added to an accumulator that saturates. With last_i the sum ends and its
// word comes out; while it waits to be taken no beat is added.
module int_element #(
  parameter int LANES    = 16,
  parameter int BITS     = 8,
  parameter int ACC_BITS = 32,
  parameter int DEPTH    = 1    // register stages before the accumulator
) (
  input  logic                         clk_i,
  input  logic                         rst_ni,
  input  logic                         valid_i,
  output logic                         ready_o,
  input  logic                         last_i,
  input  logic        [LANES*BITS-1:0] a_i,           // lane 0 in the low bits; a lane without a term gets a zero
  input  logic        [LANES*BITS-1:0] b_i,
  input  logic        [           4:0] shift_i,  // int_requantise; that of the last beat is used
  output logic                         valid_o,
  input  logic                         ready_i,
  output logic signed [      BITS-1:0] word_o
);

  localparam int SumBits = 2 * BITS + $clog2(LANES);

  // Baugh and Wooley's products: rows under the signs are inverted and not negated, and what is missing is a constant.
  // Written out, because synthesis makes rows as wide as the sum of a signed product that is summed.
  localparam int Low = BITS - 1;
  localparam logic [SumBits-1:0] Missing = SumBits'(LANES) * ((SumBits'(1) << BITS) - (SumBits'(1) << (2 * BITS - 1)));

  function automatic logic [SumBits-1:0] total(input logic [LANES*BITS-1:0] a, input logic [LANES*BITS-1:0] b);
    logic [Low-1:0] low_a, low_b, row_a, row_b;
    logic           sign_a, sign_b;
    total = Missing;
    for (int l = 0; l < LANES; l++) begin
      low_a  = a[l*BITS+:Low];
      low_b  = b[l*BITS+:Low];
      sign_a = a[l*BITS+Low];
      sign_b = b[l*BITS+Low];
      row_a  = ~(low_a & {Low{sign_b}});
      row_b  = ~(low_b & {Low{sign_a}});
      total  = total + SumBits'(low_a) * SumBits'(low_b) + (SumBits'(row_a) << Low) + (SumBits'(row_b) << Low)
        + (SumBits'(sign_a && sign_b) << (2 * Low));
    end
  endfunction

  logic signed [SumBits-1:0] sum;
  assign sum = total(a_i, b_i);

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

  // Shifts of the sums under way: a stage for each that there is room for, and each is at the end when its sum is
  logic [4:0] shift;
  logic       unused_room, unused_there;
  lns_pipeline #(
    .WIDTH(5),
    .DEPTH(DEPTH + 1)
  ) u_constants (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .valid_i(valid_i && ready_o && last_i),
    .ready_o(unused_room),
    .data_i (shift_i),
    .valid_o(unused_there),
    .ready_i(valid_o && ready_i),
    .data_o (shift)
  );

  int_requantise #(
    .ACC_BITS(ACC_BITS),
    .BITS    (BITS)
  ) u_requantise (
    .acc_i  (acc),
    .shift_i(shift),
    .word_o (word_o)
  );

endmodule
