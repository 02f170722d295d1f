// A sign and a magnitude to the nearest floating-point word, ties to even (docs/baselines.md).
//
// Combinational. Subnormal where it must be; above LARGEST it is LARGEST. The lowest bit of the magnitude may stand
// for any ones below it, if the magnitude has at least three bits more than the significand, or is exact.
module float_normalise #(
  parameter  int WIDTH    = 28,           // of the magnitude, at least MAN + 3
  parameter  int EXP      = 8,
  parameter  int MAN      = 23,
  parameter  int LARGEST  = 'h7f7f_ffff,  // the largest word without its sign
  parameter  int EXPONENT = EXP + 2       // bits of the exponent
) (
  input  logic                      negative_i,
  input  logic signed [EXPONENT-1:0] exponent_i,  // of the magnitude's highest bit, biased, at least 1
  input  logic        [   WIDTH-1:0] magnitude_i,
  output logic        [  EXP+MAN:0] word_o
);

  // a mark where subnormals have their highest bit stops the count of zeros
  localparam int CountBits = $clog2(WIDTH);
  logic [WIDTH-1:0] mark;
  logic [EXPONENT-1:0] room;
  assign room = exponent_i - EXPONENT'(1);
  assign mark = {1'b1, {(WIDTH - 1) {1'b0}}} >> room;

  logic [CountBits-1:0] zeros;
  float_leading_zeros #(
    .WIDTH(WIDTH)
  ) u_zeros (
    .bits_i (magnitude_i | mark),
    .count_o(zeros)
  );

  // the leading one, MAN bits of fraction, half of the last of them, and what is less
  logic [WIDTH-1:0] shifted;
  logic             normal, half, less, up;
  assign shifted = magnitude_i << zeros;
  assign normal  = shifted[WIDTH-1];
  assign half    = shifted[WIDTH-MAN-2];
  assign less    = |shifted[WIDTH-MAN-3:0];
  assign up      = half && (less || shifted[WIDTH-MAN-1]);

  // a carry out of the fraction is the next exponent
  localparam int RoundedBits = EXPONENT + MAN;
  logic [   EXPONENT-1:0] field;
  logic [RoundedBits-1:0] rounded;
  assign field   = normal ? exponent_i - EXPONENT'(zeros) : '0;
  assign rounded = {field, shifted[WIDTH-2-:MAN]} + RoundedBits'(up);

  // a signal of its own: in a concatenation Yosys 0.23 would take the cast parameter for 32 bits
  logic [EXP+MAN-1:0] size;
  assign size   = (rounded > RoundedBits'(LARGEST)) ? (EXP + MAN)'(LARGEST) : (EXP + MAN)'(rounded);
  assign word_o = {negative_i, size};

endmodule
