// Processing element with a linear accumulator: words in, a word out (docs/spec.md, sections 5 and 6;
// lns/reference.py: dot_linear, then linear_to_log).
//
// lns_dot_linear, whose result is in a register, lns_linear_to_log, and a register. A beat a clock, as the dot product
// takes them; the word of a dot product comes a clock after its sum, while the next one is under way.
module lns_element_linear #(
  parameter int LANES          = 16,  // L, from here on: lns_dot_linear
  parameter int ACC_BITS       = 24,
  parameter int DEPTH          = 1,
  parameter int A_BITS         = 8,
  parameter int B_BITS         = 8,
  parameter int A_SHIFT        = 0,
  parameter int B_SHIFT        = 0,
  parameter int FRAC_BITS      = 3,
  parameter int GUARD          = 12,
  parameter int ANTILOG_BITS   = 8,
  parameter     ANTILOG_FILE   = "",
  parameter int WORD_BITS      = 8,   // from here on: lns_linear_to_log
  parameter int WORD_FRAC_BITS = 3,
  parameter int INDEX_BITS     = 7,
  parameter int EXPONENT_BITS  = 7,
  parameter     LOG_FILE       = ""
) (
  input  logic                            clk_i,
  input  logic                            rst_ni,
  input  logic                            valid_i,
  output logic                            ready_o,
  input  logic                            last_i,         // the dot product ends with this beat
  input  logic        [ LANES*A_BITS-1:0] a_i,            // lane 0 in the low bits; a lane without a term gets a zero
  input  logic        [ LANES*B_BITS-1:0] b_i,
  input  logic signed [EXPONENT_BITS-1:0] exponent_i,     // as in lns_linear_to_log; that of the last beat is used
  output logic                            valid_o,
  input  logic                            ready_i,
  output logic        [    WORD_BITS-1:0] word_o,
  output logic                            saturate_o,     // the word
  output logic                            underflow_o,
  output logic                            acc_saturate_o  // in any cycle of the dot product
);

  logic                       sum_valid, sum_ready, sum_saturate;
  logic signed [ACC_BITS-1:0] sum;
  lns_dot_linear #(
    .LANES       (LANES),
    .ACC_BITS    (ACC_BITS),
    .DEPTH       (DEPTH),
    .A_BITS      (A_BITS),
    .B_BITS      (B_BITS),
    .A_SHIFT     (A_SHIFT),
    .B_SHIFT     (B_SHIFT),
    .FRAC_BITS   (FRAC_BITS),
    .GUARD       (GUARD),
    .ANTILOG_BITS(ANTILOG_BITS),
    .ANTILOG_FILE(ANTILOG_FILE)
  ) u_dot (
    .clk_i         (clk_i),
    .rst_ni        (rst_ni),
    .valid_i       (valid_i),
    .ready_o       (ready_o),
    .last_i        (last_i),
    .a_i           (a_i),
    .b_i           (b_i),
    .valid_o       (sum_valid),
    .ready_i       (sum_ready),
    .acc_o         (sum),
    .acc_saturate_o(sum_saturate)
  );

  // The exponents of the dot products under way: a stage for each that the unit beside it can hold, so that there is
  // always room, and each is at the end when its sum is.
  logic signed [EXPONENT_BITS-1:0] exponent;
  logic                            unused_room, unused_there;
  lns_pipeline #(
    .WIDTH(EXPONENT_BITS),
    .DEPTH(DEPTH + 1)
  ) u_exponents (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .valid_i(valid_i && ready_o && last_i),
    .ready_o(unused_room),
    .data_i (exponent_i),
    .valid_o(unused_there),
    .ready_i(sum_valid && sum_ready),
    .data_o (exponent)
  );

  logic [WORD_BITS-1:0] word;
  logic                 saturate, underflow;
  lns_linear_to_log #(
    .ACC_BITS     (ACC_BITS),
    .BITS         (WORD_BITS),
    .FRAC_BITS    (WORD_FRAC_BITS),
    .INDEX_BITS   (INDEX_BITS),
    .EXPONENT_BITS(EXPONENT_BITS),
    .ROM_FILE     (LOG_FILE)
  ) u_word (
    .acc_i      (sum),
    .exponent_i (exponent),
    .word_o     (word),
    .saturate_o (saturate),
    .underflow_o(underflow)
  );

  localparam int ResultBits = 3 + WORD_BITS;
  lns_pipeline #(  // of one stage
    .WIDTH(ResultBits)
  ) u_result (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .valid_i(sum_valid),
    .ready_o(sum_ready),
    .data_i ({sum_saturate, underflow, saturate, word}),
    .valid_o(valid_o),
    .ready_i(ready_i),
    .data_o ({acc_saturate_o, underflow_o, saturate_o, word_o})
  );

endmodule
