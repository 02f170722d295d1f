// Processing element with a log accumulator: words in, a word out (docs/spec.md, sections 7 and 1.6;
// lns/reference.py: dot_log, then convert).
//
// lns_dot_log, whose result is in a register, lns_convert, and a register. A beat a clock, as the dot product takes
// them; the word of a dot product comes a clock after its sum, while the next one is under way.
module lns_element_log #(
  parameter int LANES          = 16,  // L, from here on: lns_dot_log
  parameter int DEPTH          = 1,
  parameter int A_BITS         = 8,
  parameter int B_BITS         = 8,
  parameter int A_SHIFT        = 5,
  parameter int B_SHIFT        = 5,
  parameter int BITS           = 14,
  parameter int FRAC_BITS      = 8,
  parameter int OFFSET         = 0,
  parameter int KIND           = 0,
  parameter int K              = 0,
  parameter int G              = 0,
  parameter int SB_ENTRIES     = 1,
  parameter int SB_BITS        = 1,
  parameter     SB_FILE        = "",
  parameter int SB_SLOPE_BITS  = 1,
  parameter     SB_SLOPE_FILE  = "",
  parameter int DB_ENTRIES     = 1,
  parameter int DB_BITS        = 1,
  parameter     DB_FILE        = "",
  parameter int DB_SLOPE_BITS  = 1,
  parameter     DB_SLOPE_FILE  = "",
  parameter int DB_FIRST_BITS  = 1,
  parameter     DB_FIRST_FILE  = "",
  parameter int WORD_BITS      = 8,   // from here on: lns_convert, whose word is signed
  parameter int WORD_FRAC_BITS = 3,
  parameter int ROUND          = 0,
  parameter int OFFSET_BITS    = 6
) (
  input  logic                           clk_i,
  input  logic                           rst_ni,
  input  logic                           valid_i,
  output logic                           ready_o,
  input  logic                           last_i,          // the dot product ends with this beat
  input  logic        [LANES*A_BITS-1:0] a_i,             // lane 0 in the low bits; a lane without a term gets a zero
  input  logic        [LANES*B_BITS-1:0] b_i,
  input  logic signed [ OFFSET_BITS-1:0] offset_i,        // as in lns_convert; that of the last beat is used
  output logic                           valid_o,
  input  logic                           ready_i,
  output logic        [   WORD_BITS-1:0] word_o,
  output logic                           saturate_o,      // the word
  output logic                           underflow_o,
  output logic                           acc_saturate_o,  // in any product or sum of the dot product
  output logic                           acc_underflow_o
);

  logic            sum_valid, sum_ready, sum_saturate, sum_underflow;
  logic [BITS-1:0] sum;
  lns_dot_log #(
    .LANES        (LANES),
    .DEPTH        (DEPTH),
    .A_BITS       (A_BITS),
    .B_BITS       (B_BITS),
    .A_SHIFT      (A_SHIFT),
    .B_SHIFT      (B_SHIFT),
    .BITS         (BITS),
    .FRAC_BITS    (FRAC_BITS),
    .OFFSET       (OFFSET),
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
  ) u_dot (
    .clk_i          (clk_i),
    .rst_ni         (rst_ni),
    .valid_i        (valid_i),
    .ready_o        (ready_o),
    .last_i         (last_i),
    .a_i            (a_i),
    .b_i            (b_i),
    .valid_o        (sum_valid),
    .ready_i        (sum_ready),
    .word_o         (sum),
    .acc_saturate_o (sum_saturate),
    .acc_underflow_o(sum_underflow)
  );

  // The offsets of the dot products under way: a stage for each that the unit beside it can hold, its lanes included,
  // so that there is always room, and each is at the end when its sum is.
  logic signed [OFFSET_BITS-1:0] offset;
  logic                          unused_room, unused_there;
  lns_pipeline #(
    .WIDTH(OFFSET_BITS),
    .DEPTH(DEPTH + 2)
  ) u_offsets (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .valid_i(valid_i && ready_o && last_i),
    .ready_o(unused_room),
    .data_i (offset_i),
    .valid_o(unused_there),
    .ready_i(sum_valid && sum_ready),
    .data_o (offset)
  );

  logic [WORD_BITS-1:0] word;
  logic                 saturate, underflow;
  logic                 unused_invalid;  // both formats have a sign
  lns_convert #(
    .SOURCE_BITS     (BITS),
    .SOURCE_FRAC_BITS(FRAC_BITS),
    .SOURCE_SIGNED   (1),
    .BITS            (WORD_BITS),
    .FRAC_BITS       (WORD_FRAC_BITS),
    .SIGNED          (1),
    .ROUND           (ROUND),
    .OFFSET_BITS     (OFFSET_BITS)
  ) u_word (
    .a_i        (sum),
    .offset_i   (offset),
    .word_o     (word),
    .saturate_o (saturate),
    .underflow_o(underflow),
    .invalid_o  (unused_invalid)
  );

  localparam int ResultBits = 4 + WORD_BITS;
  lns_pipeline #(  // of one stage
    .WIDTH(ResultBits)
  ) u_result (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .valid_i(sum_valid),
    .ready_o(sum_ready),
    .data_i ({sum_underflow, sum_saturate, underflow, saturate, word}),
    .valid_o(valid_o),
    .ready_i(ready_i),
    .data_o ({acc_underflow_o, acc_saturate_o, underflow_o, saturate_o, word_o})
  );

endmodule
