// Register stages with a valid/ready handshake; no unit of docs/spec.md: what comes out is what went in, later.
//
// A beat moves when valid and ready are both high. Every stage takes a beat a clock, and one that is empty takes one
// even while those after it wait, so that bubbles vanish. valid_o does not depend on ready_i; data_o holds while it
// waits. ready_o follows ready_i in the same clock: what is after the last stage stalls what is before the first.
module lns_pipeline #(
  parameter int WIDTH = 8,
  parameter int DEPTH = 1   // stages; 0: wires
) (
  input  logic             clk_i,
  input  logic             rst_ni,   // asynchronous, empties the stages; data need none
  input  logic             valid_i,
  output logic             ready_o,
  input  logic [WIDTH-1:0] data_i,
  output logic             valid_o,
  input  logic             ready_i,
  output logic [WIDTH-1:0] data_o
);

  if (DEPTH == 0) begin : gen_wires

    assign valid_o = valid_i;
    assign ready_o = ready_i;
    assign data_o  = data_i;
    logic unused_clock;
    assign unused_clock = clk_i ^ rst_ni;

  end else begin : gen_stages

    logic [      DEPTH-1:0] valid_q;
    logic [DEPTH*WIDTH-1:0] data_q;

    // what a stage takes from: the one before it, or the input
    logic [          DEPTH:0] valid;
    logic [(DEPTH+1)*WIDTH-1:0] data;
    assign valid = {valid_q, valid_i};
    assign data  = {data_q, data_i};

    // a stage takes if it or any after it is empty, or if the last one is taken from
    logic [DEPTH-1:0] ready;
    for (genvar s = 0; s < DEPTH; s++) begin : gen_stage
      assign ready[s] = ready_i || !(&valid_q[DEPTH-1:s]);
      always_ff @(posedge clk_i) begin
        if (ready[s] && valid[s]) data_q[s*WIDTH+:WIDTH] <= data[s*WIDTH+:WIDTH];
      end
    end

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) valid_q <= '0;
      else valid_q <= (ready & valid[DEPTH-1:0]) | (~ready & valid_q);
    end

    assign ready_o = ready[0];
    assign valid_o = valid[DEPTH];
    assign data_o  = data[DEPTH*WIDTH+:WIDTH];

  end

endmodule
