// The nearest word of a magnitude times a power of two (docs/spec.md, section 13.1; lns/reference.py: encode).
//
// Combinational, the common part of the encoders. The place of the leading one gives the octave; the bits under it find
// a bucket that holds one rounding boundary at most, and the rest of them is compared with it.
module lns_encode #(
  parameter int MAGNITUDE_BITS = 24,  // P, at least 2
  parameter int EXPONENT_BITS  = 11,
  parameter int BITS           = 8,   // the word: width, F, and whether it has a sign
  parameter int FRAC_BITS      = 3,
  parameter int SIGNED         = 1,
  parameter     BASE_FILE      = "",  // $readmemh image of 2**M entries from 0 to 2**F
  parameter     THRESHOLD_FILE = ""   // $readmemh image of 2**M entries from 1 to 2**r; none where r = 0
) (
  input  logic        [MAGNITUDE_BITS-1:0] magnitude_i,
  input  logic signed [ EXPONENT_BITS-1:0] exponent_i,  // of its least bit, at the word's offset, in octaves
  input  logic                             negative_i,
  output logic        [          BITS-1:0] word_o,
  output logic                             saturate_o,
  output logic                             underflow_o,
  output logic                             invalid_o    // a negative number has no word in an unsigned format
);

  localparam int CodeBits  = BITS - SIGNED;
  localparam int PlaceBits = $clog2(MAGNITUDE_BITS);

  logic [PlaceBits-1:0] place;  // of the leading one
  always_comb begin
    place = '0;
    for (int i = 0; i < MAGNITUDE_BITS; i++) begin
      if (magnitude_i[i]) place = PlaceBits'(i);
    end
  end

  // the bits under the leading one, which itself is cast away
  localparam int UnderBits = MAGNITUDE_BITS - 1;
  logic [UnderBits-1:0] under;
  assign under = UnderBits'(magnitude_i << (PlaceBits'(UnderBits) - place));

  // one bit more than F makes buckets narrower than the boundaries are apart
  localparam int IndexBits = (FRAC_BITS + 1 < UnderBits) ? FRAC_BITS + 1 : UnderBits;
  localparam int RestBits  = UnderBits - IndexBits;
  logic [IndexBits-1:0] index;
  assign index = under[UnderBits-1:RestBits];

  // an entry of 2**F, next to the next power of two, needs one bit more than a fraction
  logic [FRAC_BITS:0] base[0:(1 << IndexBits) - 1];
  if (BASE_FILE != "") begin : gen_base_file
    initial $readmemh(BASE_FILE, base);
  end

  logic above;  // the boundary in the bucket
  if (RestBits > 0) begin : gen_threshold
    // an entry of 2**r, of a bucket without a boundary, needs one bit more than the rest
    logic [RestBits:0] threshold[0:(1 << IndexBits) - 1];
    if (THRESHOLD_FILE != "") begin : gen_threshold_file
      initial $readmemh(THRESHOLD_FILE, threshold);
    end
    assign above = {1'b0, under[RestBits-1:0]} >= threshold[index];
  end else begin : gen_no_threshold
    assign above = 1'b0;
  end

  localparam int OctaveBits = ((PlaceBits + 1 > EXPONENT_BITS) ? PlaceBits + 1 : EXPONENT_BITS) + 1;
  logic signed [OctaveBits-1:0] octave;
  assign octave = OctaveBits'(exponent_i) + $signed(OctaveBits'(place));

  // the entry is added and not appended: it may carry into the octave
  localparam int CalcBits = ((OctaveBits + FRAC_BITS > CodeBits + 1) ? OctaveBits + FRAC_BITS : CodeBits + 1) + 1;
  localparam logic [CalcBits-1:0] Bias = CalcBits'(1) << (CodeBits - 1);
  logic [CalcBits-1:0] code;
  assign code = (CalcBits'(octave) << FRAC_BITS) + CalcBits'(base[index]) + CalcBits'(above) + Bias;

  logic zero, invalid;
  assign zero      = magnitude_i == '0;
  assign invalid   = (SIGNED == 0) && negative_i && !zero;
  assign invalid_o = invalid;

  lns_range #(
    .BITS     (BITS),
    .SIGNED   (SIGNED),
    .CALC_BITS(CalcBits)
  ) u_range (
    .code_i     (code),
    .negative_i (negative_i),
    .zero_i     (zero || invalid),
    .word_o     (word_o),
    .saturate_o (saturate_o),
    .underflow_o(underflow_o)
  );

`ifndef SYNTHESIS
  // without these a forgotten parameter would read as a table of zeros in a two-state simulator
  initial begin
    if (BASE_FILE == "") $fatal(1, "BASE_FILE is required");
    if (RestBits > 0 && THRESHOLD_FILE == "") $fatal(1, "THRESHOLD_FILE is required");
  end
`endif

endmodule
