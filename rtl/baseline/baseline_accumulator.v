// A saturating accumulator in two's complement that shows results and no partial sums (docs/baselines.md).
module baseline_accumulator #(
  parameter int ACC_BITS = 32,
  parameter int SUM_BITS = 20
) (
  input  logic                       clk_i,
  input  logic                       rst_ni,
  input  logic                       valid_i,
  output logic                       ready_o,
  input  logic                       last_i,
  input  logic signed [SUM_BITS-1:0] sum_i,
  output logic                       valid_o,
  input  logic                       ready_i,
  output logic signed [ACC_BITS-1:0] acc_o    // 0 while there is no result
);

  logic take, first;
  baseline_control u_control (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .valid_i(valid_i),
    .ready_o(ready_o),
    .last_i (last_i),
    .take_o (take),
    .first_o(first),
    .valid_o(valid_o),
    .ready_i(ready_i)
  );

  // a carry above the wider of the two
  localparam int TotalBits = ((ACC_BITS > SUM_BITS) ? ACC_BITS : SUM_BITS) + 1;
  logic signed [ ACC_BITS-1:0] acc_q, acc_d;
  logic signed [TotalBits-1:0] exact;
  logic                        negative, fits;
  assign exact    = TotalBits'($signed(first ? '0 : acc_q)) + TotalBits'(sum_i);
  assign negative = exact[TotalBits-1];
  assign fits     = exact[TotalBits-1:ACC_BITS-1] == {(TotalBits - ACC_BITS + 1) {negative}};
  assign acc_d    = fits ? exact[ACC_BITS-1:0] : {negative, {(ACC_BITS - 1) {!negative}}};

  always_ff @(posedge clk_i) begin
    if (take) acc_q <= acc_d;
  end

  assign acc_o = valid_o ? acc_q : '0;

endmodule
