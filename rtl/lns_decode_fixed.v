// From a word to fixed point (docs/spec.md, section 13.2; lns/reference.py: decode_fixed).
//
// Combinational. Where the point stands is in the offset.
module lns_decode_fixed #(
  parameter int FIXED_BITS  = 16,  // b, at least 2
  parameter int BITS        = 8,   // the word: width, F, and whether it has a sign
  parameter int FRAC_BITS   = 3,
  parameter int SIGNED      = 1,
  parameter int OFFSET_BITS = 6,
  parameter     ROM_FILE    = ""   // as of lns_decode, for significands of b fraction bits
) (
  input  logic        [       BITS-1:0] word_i,
  input  logic signed [OFFSET_BITS-1:0] offset_i,   // of the word, plus the number's fraction bits
  output logic signed [ FIXED_BITS-1:0] fixed_o,
  output logic                          saturate_o,
  output logic                          underflow_o
);

  // room for b as a signed number
  localparam int PlaceBits      = $clog2(FIXED_BITS) + 1;
  localparam int WordOctaveBits = BITS - SIGNED - FRAC_BITS;
  localparam int FieldBits      = (WordOctaveBits > PlaceBits) ? WordOctaveBits : PlaceBits;
  localparam int OctaveBits     = ((OFFSET_BITS > FieldBits) ? OFFSET_BITS : FieldBits) + 1;
  localparam logic signed [OctaveBits-1:0] TopPlace = OctaveBits'(FIXED_BITS - 1);

  logic                          zero, negative, exact;
  logic signed [ OctaveBits-1:0] octave;
  logic        [ FIXED_BITS:0]   significand;
  lns_decode #(
    .BITS            (BITS),
    .FRAC_BITS       (FRAC_BITS),
    .SIGNED          (SIGNED),
    .OFFSET_BITS     (OFFSET_BITS),
    .OCTAVE_BITS     (OctaveBits),
    .SIGNIFICAND_BITS(FIXED_BITS),
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

  // in the top octave, which holds the least number alone, the significand's last bit is the guard bit
  logic                    beyond, up;
  logic [ OctaveBits-1:0]  shift;
  logic [ FIXED_BITS:0]    kept, magnitude;
  assign beyond    = octave > TopPlace;
  assign shift     = TopPlace - octave;
  assign kept      = significand >> shift;
  assign up        = kept[0] && !exact;  // an exact number with that bit is one half: a tie, to zero
  assign magnitude = (kept >> 1) + (FIXED_BITS + 1)'(up);

  localparam logic [FIXED_BITS-1:0] Most  = {1'b0, {(FIXED_BITS - 1) {1'b1}}};
  localparam logic [FIXED_BITS-1:0] Least = ~Most;

  logic                  saturate;
  logic [FIXED_BITS-1:0] bound, value;
  assign bound    = negative ? Least : Most;
  assign saturate = beyond || (magnitude > {1'b0, bound});  // Least is its own magnitude
  assign value    = negative ? -magnitude[FIXED_BITS-1:0] : magnitude[FIXED_BITS-1:0];

  assign fixed_o     = zero ? '0 : (saturate ? bound : value);
  assign saturate_o  = !zero && saturate;
  assign underflow_o = !zero && !beyond && (magnitude == '0);

endmodule
