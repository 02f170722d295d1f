// An accumulator over a power of two to an integer of few bits, to nearest even, saturating (docs/baselines.md).
//
// Combinational.
module int_requantise #(
  parameter int ACC_BITS = 32,
  parameter int BITS     = 8
) (
  input  logic signed [ACC_BITS-1:0] acc_i,
  input  logic        [         4:0] shift_i,  // acc / 2^shift
  output logic signed [    BITS-1:0] word_o
);

  // the quotient's floor, and what is under its point
  localparam int Under = 31;
  logic signed [ACC_BITS+Under-1:0] shifted;
  logic signed [      ACC_BITS-1:0] below;
  logic                             half, less, up;
  assign shifted = $signed({acc_i, {Under{1'b0}}}) >>> shift_i;
  assign below   = shifted[ACC_BITS+Under-1:Under];
  assign half    = shifted[Under-1];
  assign less    = |shifted[Under-2:0];
  assign up      = half && (less || below[0]);

  logic signed [ACC_BITS:0] rounded;
  logic                     negative, fits;
  assign rounded  = (ACC_BITS + 1)'(below) + $signed({{ACC_BITS{1'b0}}, up});
  assign negative = rounded[ACC_BITS];
  assign fits     = rounded[ACC_BITS:BITS-1] == {(ACC_BITS - BITS + 2) {negative}};
  assign word_o   = fits ? rounded[BITS-1:0] : {negative, {(BITS - 1) {!negative}}};

endmodule
