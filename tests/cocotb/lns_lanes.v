// Test only: LANES copies of a two-operand unit between registers, a pair of operands a lane a clock.
//
// A simulator spends most of a cocotb test at the border to Python; a packed bus crosses it once for all lanes.
module lns_lanes #(
  parameter int LANES         = 64,
  parameter int UNIT          = 0,  // 0: lns_mul; 1: lns_add
  parameter int BITS          = 8,  // from here on: the unit's own parameters
  parameter int FRAC_BITS     = 3,
  parameter int SIGNED        = 1,
  parameter int KIND          = 0,
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
  input  logic                  clk_i,
  input  logic [     LANES-1:0] valid_i,
  input  logic [LANES*BITS-1:0] a_i,
  input  logic [LANES*BITS-1:0] b_i,
  output logic [     LANES-1:0] valid_o,
  output logic [LANES*BITS-1:0] word_o,
  output logic [     LANES-1:0] saturate_o,
  output logic [     LANES-1:0] underflow_o
);

  logic [LANES*BITS-1:0] word;
  logic [     LANES-1:0] saturate, underflow;

  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    if (UNIT == 0) begin : gen_mul
      lns_mul #(
        .BITS  (BITS),
        .SIGNED(SIGNED)
      ) u_mul (
        .a_i        (a_i[l*BITS+:BITS]),
        .b_i        (b_i[l*BITS+:BITS]),
        .word_o     (word[l*BITS+:BITS]),
        .saturate_o (saturate[l]),
        .underflow_o(underflow[l])
      );
    end else begin : gen_add
      lns_add #(
        .BITS         (BITS),
        .FRAC_BITS    (FRAC_BITS),
        .SIGNED       (SIGNED),
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
        .a_i        (a_i[l*BITS+:BITS]),
        .b_i        (b_i[l*BITS+:BITS]),
        .word_o     (word[l*BITS+:BITS]),
        .saturate_o (saturate[l]),
        .underflow_o(underflow[l])
      );
    end
  end

  initial valid_o = '0;
  always_ff @(posedge clk_i) begin
    valid_o     <= valid_i;
    word_o      <= word;
    saturate_o  <= saturate;
    underflow_o <= underflow;
  end

endmodule
