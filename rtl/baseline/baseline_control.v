// When a processing element adds, starts anew and has a result (docs/baselines.md).
//
// The accumulator needs neither a reset nor a register behind it: while first_o is high its content does not count, and
// a result stays in it until it is taken.
module baseline_control (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic valid_i,  // a beat waits to be added
  output logic ready_o,
  input  logic last_i,   // the sum ends with it
  output logic take_o,   // it is added in this clock
  output logic first_o,  // to nothing
  output logic valid_o,  // the accumulator holds a result
  input  logic ready_i
);

  logic first_q, complete_q;
  assign ready_o = !complete_q || ready_i;
  assign take_o  = valid_i && ready_o;
  assign first_o = first_q;
  assign valid_o = complete_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      first_q    <= 1'b1;
      complete_q <= 1'b0;
    end else begin
      if (take_o) first_q <= last_i;
      if (ready_o) complete_q <= take_o && last_i;
    end
  end

endmodule
