// Test only: LANES copies of a wrapped unit side by side, each with its own handshakes.
//
// A simulator spends most of a cocotb test at the border to Python; a packed bus crosses it once for all lanes. The
// module lns_lane, one wrapped unit with its ports packed as well, is written for each build by sim/verify/wrapper.py.
module lns_lanes #(
  parameter int LANES    = 16,
  parameter int DEPTH    = 2,   // register stages of a lane
  parameter int IN_BITS  = 16,  // all inputs of the unit
  parameter int OUT_BITS = 10   // all its outputs
) (
  input  logic                      clk_i,
  input  logic                      rst_ni,
  input  logic [         LANES-1:0] valid_i,
  output logic [         LANES-1:0] ready_o,
  input  logic [ LANES*IN_BITS-1:0] in_i,
  output logic [         LANES-1:0] valid_o,
  input  logic [         LANES-1:0] ready_i,
  output logic [LANES*OUT_BITS-1:0] out_o
);

  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    lns_lane #(
      .DEPTH(DEPTH)
    ) u_lane (
      .clk_i  (clk_i),
      .rst_ni (rst_ni),
      .valid_i(valid_i[l]),
      .ready_o(ready_o[l]),
      .in_i   (in_i[l*IN_BITS+:IN_BITS]),
      .valid_o(valid_o[l]),
      .ready_i(ready_i[l]),
      .out_o  (out_o[l*OUT_BITS+:OUT_BITS])
    );
  end

endmodule
