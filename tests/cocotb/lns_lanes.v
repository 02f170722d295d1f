// Test only: LANES copies of a unit between registers, a transaction a lane a clock.
//
// A simulator spends most of a cocotb test at the border to Python; a packed bus crosses it once for all lanes. The
// module lns_lane, one unit with its ports packed as well, is written for each build by sim/verify/lane.py.
module lns_lanes #(
  parameter int LANES    = 64,
  parameter int IN_BITS  = 16,  // all inputs of the unit
  parameter int OUT_BITS = 10   // all its outputs
) (
  input  logic                      clk_i,
  input  logic [         LANES-1:0] valid_i,
  input  logic [ LANES*IN_BITS-1:0] in_i,
  output logic [         LANES-1:0] valid_o,
  output logic [LANES*OUT_BITS-1:0] out_o
);

  logic [LANES*OUT_BITS-1:0] out;

  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    lns_lane u_lane (
      .in_i (in_i[l*IN_BITS+:IN_BITS]),
      .out_o(out[l*OUT_BITS+:OUT_BITS])
    );
  end

  initial valid_o = '0;
  always_ff @(posedge clk_i) begin
    valid_o <= valid_i;
    out_o   <= out;
  end

endmodule
