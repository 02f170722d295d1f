// From fixed point to a word (docs/spec.md, section 13.1; lns/reference.py: encode_fixed).
//
// Combinational. Where the point stands is in the offset.
module lns_encode_fixed #(
  parameter int FIXED_BITS     = 16,  // b, at least 2
  parameter int BITS           = 8,   // the word: width, F, and whether it has a sign
  parameter int FRAC_BITS      = 3,
  parameter int SIGNED         = 1,
  parameter int OFFSET_BITS    = 6,
  parameter     BASE_FILE      = "",  // as of lns_encode, for significands of b bits
  parameter     THRESHOLD_FILE = ""
) (
  input  logic signed [ FIXED_BITS-1:0] fixed_i,
  input  logic signed [OFFSET_BITS-1:0] offset_i,  // of the word, plus the number's fraction bits
  output logic        [       BITS-1:0] word_o,
  output logic                          saturate_o,
  output logic                          underflow_o,
  output logic                          invalid_o    // a negative number for an unsigned format
);

  // as an unsigned number, the magnitude of the least number fits too
  logic [FIXED_BITS-1:0] magnitude;
  logic                  negative;
  assign negative  = fixed_i[FIXED_BITS-1];
  assign magnitude = negative ? -fixed_i : fixed_i;

  localparam int ExponentBits = OFFSET_BITS + 1;  // the least offset is negated too
  logic signed [ExponentBits-1:0] offset, exponent;
  assign offset   = ExponentBits'(offset_i);
  assign exponent = -offset;

  lns_encode #(
    .MAGNITUDE_BITS(FIXED_BITS),
    .EXPONENT_BITS (ExponentBits),
    .BITS          (BITS),
    .FRAC_BITS     (FRAC_BITS),
    .SIGNED        (SIGNED),
    .BASE_FILE     (BASE_FILE),
    .THRESHOLD_FILE(THRESHOLD_FILE)
  ) u_encode (
    .magnitude_i(magnitude),
    .exponent_i (exponent),
    .negative_i (negative),
    .word_o     (word_o),
    .saturate_o (saturate_o),
    .underflow_o(underflow_o),
    .invalid_o  (invalid_o)
  );

endmodule
