// Loss unit, first half: the code of e^z for a logit z (docs/spec.md, section 9; lns/reference.py: loss_code).
//
// Combinational. z in fixed point, in units of 2^-F_l octaves of e^z, is that code less the bias: an antilogarithm does it.
module lns_loss_code #(
  parameter int LOGIT_BITS      = 8,   // B of a logit, signed
  parameter int LOGIT_FRAC_BITS = 3,   // F_Z
  parameter int LOSS_BITS       = 16,  // B_l of the loss format, unsigned
  parameter int LOSS_FRAC_BITS  = 10,  // F_l
  parameter int SCALE           = 4,   // c_e, log2(log2 e) in codes at F_Z
  parameter int OFFSET_BITS     = 6,
  parameter int ANTILOG_BITS    = 12,  // T
  parameter     ANTILOG_FILE    = ""   // $readmemh image of 2**F_Z entries
) (
  input  logic        [ LOGIT_BITS-1:0] word_i,
  input  logic signed [OFFSET_BITS-1:0] offset_i,       // of the logits, in octaves
  output logic        [  LOSS_BITS-1:0] code_o,         // 1 to max
  output logic                          acc_saturate_o  // the code was clamped, at either end
);

  localparam int LogitCodeBits = LOGIT_BITS - 1;

  // log2 of z·log2 e, in codes of the logit: four terms, each of which fits in the widest of these and a sign
  localparam int OffsetCodeBits = OFFSET_BITS + LOGIT_FRAC_BITS;
  localparam int ExponentBits = ((LogitCodeBits > OffsetCodeBits) ? LogitCodeBits : OffsetCodeBits) + 3;
  localparam logic signed [ExponentBits-1:0] Constant = ExponentBits'(SCALE) - (ExponentBits'(1) << (LogitCodeBits - 1));

  logic signed [ExponentBits-1:0] exponent;
  assign exponent = $signed(ExponentBits'(word_i[LogitCodeBits-1:0])) + Constant
                    + (ExponentBits'(offset_i) <<< LOGIT_FRAC_BITS);

  logic [ANTILOG_BITS-1:0] rom[0:(1 << LOGIT_FRAC_BITS) - 1];
  if (ANTILOG_FILE != "") begin : gen_rom_file
    initial $readmemh(ANTILOG_FILE, rom);
  end

  localparam int IndexBits = (LOGIT_FRAC_BITS > 0) ? LOGIT_FRAC_BITS : 1;
  logic [IndexBits-1:0] index;
  if (LOGIT_FRAC_BITS > 0) begin : gen_index
    assign index = IndexBits'(exponent);
  end else begin : gen_no_index
    assign index = '0;
  end

  // A magnitude up to bias - 1 keeps the code within 1 and max. The leading one of an entry is its top bit, hence the
  // octave alone tells what is beyond, and the rest is the largest octave that fits shifted down, never up.
  localparam int MagnitudeBits = LOSS_BITS - 1;
  localparam int TopOctave     = MagnitudeBits - 1 - LOSS_FRAC_BITS;
  localparam int OctaveBits    = ((ExponentBits > 6) ? ExponentBits : 6) + 1;  // 6: the top octave, at most 30
  logic signed [   OctaveBits-1:0] places;
  logic        [ ANTILOG_BITS-1:0] significand;
  logic        [MagnitudeBits-1:0] top, magnitude;
  assign places      = OctaveBits'(TopOctave) - OctaveBits'(exponent >>> LOGIT_FRAC_BITS);
  assign significand = rom[index];
  assign top         = MagnitudeBits'({significand, MagnitudeBits'(0)} >> ANTILOG_BITS);
  assign magnitude   = top >> $unsigned(places);

  logic negative, zero, clamped;
  assign negative = word_i[LOGIT_BITS-1];
  assign zero     = word_i[LogitCodeBits-1:0] == '0;
  assign clamped  = places[OctaveBits-1] && !zero;

  localparam logic [LOSS_BITS-1:0] Bias = LOSS_BITS'(1) << (LOSS_BITS - 1);
  always_comb begin
    code_o = negative ? Bias - LOSS_BITS'(magnitude) : Bias + LOSS_BITS'(magnitude);
    if (clamped) code_o = negative ? LOSS_BITS'(1) : '1;
    if (zero) code_o = Bias;
  end

  assign acc_saturate_o = clamped;

`ifndef SYNTHESIS
  // without this a forgotten parameter would read as a table of zeros in a two-state simulator
  initial begin
    if (ANTILOG_FILE == "") $fatal(1, "ANTILOG_FILE is required");
  end
`endif

endmodule
