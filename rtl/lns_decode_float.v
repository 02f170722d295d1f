// From a word to a float32 (docs/spec.md, section 13.2; lns/reference.py: decode_float).
//
// Combinational.
module lns_decode_float #(
  parameter int BITS        = 8,  // the word: width, F, and whether it has a sign
  parameter int FRAC_BITS   = 3,  // at most 24
  parameter int SIGNED      = 1,
  parameter int OFFSET_BITS = 9,
  parameter     ROM_FILE    = ""  // as of lns_decode, for significands of 24 fraction bits
) (
  input  logic        [       BITS-1:0] word_i,
  input  logic signed [OFFSET_BITS-1:0] offset_i,   // of the word, in octaves
  output logic        [           31:0] float_o,
  output logic                          saturate_o,
  output logic                          underflow_o
);

  localparam int FractionBits    = 23;                // of a float32
  localparam int SignificandBits = FractionBits + 1;  // and a guard bit below

  // octaves of a float32 need 9 bits
  localparam int WordOctaveBits = BITS - SIGNED - FRAC_BITS;
  localparam int FieldBits      = (WordOctaveBits > 9) ? WordOctaveBits : 9;
  localparam int OctaveBits     = ((OFFSET_BITS > FieldBits) ? OFFSET_BITS : FieldBits) + 1;
  localparam logic signed [OctaveBits-1:0] LeastNormal = OctaveBits'(126);  // negated
  localparam logic signed [OctaveBits-1:0] Largest     = OctaveBits'(127);

  logic                           zero, negative, exact;
  logic signed [  OctaveBits-1:0] octave;
  logic        [SignificandBits:0] significand;
  lns_decode #(
    .BITS            (BITS),
    .FRAC_BITS       (FRAC_BITS),
    .SIGNED          (SIGNED),
    .OFFSET_BITS     (OFFSET_BITS),
    .OCTAVE_BITS     (OctaveBits),
    .SIGNIFICAND_BITS(SignificandBits),
    .ROM_FILE        (ROM_FILE)
  ) u_decode (
    .word_i       (word_i),
    .offset_i     (offset_i),
    .zero_o       (zero),
    .negative_o   (negative),
    .octave_o     (octave),
    .significand_o(significand),
    .exact_o      (exact)
  );

  // a subnormal number loses the bits that weigh less than the guard bit
  logic signed [OctaveBits-1:0] above_least;  // octaves above the smallest normal numbers
  logic                         subnormal, above;
  logic [       OctaveBits-1:0] shift;
  logic [    SignificandBits:0] kept;
  assign above_least = octave + LeastNormal;
  assign subnormal   = above_least[OctaveBits-1];
  assign above       = octave > Largest;
  assign shift       = subnormal ? -above_least : '0;
  assign kept        = significand >> shift;

  // the leading one of a normal number is added to the exponent
  logic [7:0]  exponent;
  logic        up;
  logic [30:0] pattern;
  assign exponent = subnormal ? '0 : 8'(above_least);
  assign up       = kept[0] && !exact;  // an exact number with that bit is half the smallest one: a tie, to zero
  assign pattern  = {exponent, FractionBits'(0)} + 31'(kept >> 1) + 31'(up);

  localparam logic [30:0] Infinity = {8'hff, FractionBits'(0)};
  assign float_o     = zero ? '0 : {negative, above ? Infinity : pattern};
  assign saturate_o  = !zero && above;
  assign underflow_o = !zero && !above && (pattern == '0);

`ifndef SYNTHESIS
  // the largest significand of F = 25 rounds to 2, which would have to become infinity in the largest octave
  initial begin
    if (FRAC_BITS > 24) $fatal(1, "FRAC_BITS must be at most 24, got %0d", FRAC_BITS);
  end
`endif

endmodule
