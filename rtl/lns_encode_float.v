// From a float32 to a word (docs/spec.md, section 13.1; lns/reference.py: encode_float).
//
// Combinational.
module lns_encode_float #(
  parameter int BITS           = 8,  // the word: width, F, and whether it has a sign
  parameter int FRAC_BITS      = 3,
  parameter int SIGNED         = 1,
  parameter int OFFSET_BITS    = 9,
  parameter     BASE_FILE      = "",  // as of lns_encode, for significands of 24 bits
  parameter     THRESHOLD_FILE = ""
) (
  input  logic        [           31:0] float_i,
  input  logic signed [OFFSET_BITS-1:0] offset_i,  // of the word, in octaves
  output logic        [       BITS-1:0] word_o,
  output logic                          saturate_o,
  output logic                          underflow_o,
  output logic                          invalid_o    // NaN, or a negative number for an unsigned format
);

  localparam int SignificandBits = 24;  // of a float32, the hidden bit included

  logic [ 7:0] biased;
  logic [22:0] fraction;
  logic        special, nan;  // special: infinity or NaN
  assign biased   = float_i[30:23];
  assign fraction = float_i[22:0];
  assign special  = &biased;
  assign nan      = special && (fraction != '0);

  // the hidden bit is 0 in zeros and subnormals, whose exponent is that of the smallest normal numbers
  logic                       normal;
  logic [SignificandBits-1:0] magnitude;
  assign normal    = biased != '0;
  assign magnitude = nan ? '0 : {normal, fraction};

  // room for the least bit's exponent, -149 to 104, and for one that is above every word
  localparam int WordOctaveBits = BITS - SIGNED - FRAC_BITS;
  localparam int FieldBits      = (WordOctaveBits > 9) ? WordOctaveBits : 9;
  localparam int ExponentBits   = ((OFFSET_BITS > FieldBits) ? OFFSET_BITS : FieldBits) + 1;
  localparam logic [ExponentBits-1:0] LeastExponent = ExponentBits'(150);  // negated, less 1 for biased = 1
  localparam logic [ExponentBits-1:0] BeyondWords   = ~(ExponentBits'(1) << (ExponentBits - 1));

  logic signed [ExponentBits-1:0] exponent, finite;
  assign finite   = ExponentBits'(biased) + ExponentBits'(!normal) - LeastExponent - ExponentBits'(offset_i);
  assign exponent = special ? BeyondWords : finite;

  logic negative_unsigned;
  lns_encode #(
    .MAGNITUDE_BITS(SignificandBits),
    .EXPONENT_BITS (ExponentBits),
    .BITS          (BITS),
    .FRAC_BITS     (FRAC_BITS),
    .SIGNED        (SIGNED),
    .BASE_FILE     (BASE_FILE),
    .THRESHOLD_FILE(THRESHOLD_FILE)
  ) u_encode (
    .magnitude_i(magnitude),
    .exponent_i (exponent),
    .negative_i (float_i[31]),
    .word_o     (word_o),
    .saturate_o (saturate_o),
    .underflow_o(underflow_o),
    .invalid_o  (negative_unsigned)
  );

  assign invalid_o = nan || negative_unsigned;

endmodule
