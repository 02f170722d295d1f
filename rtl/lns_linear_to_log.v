// From a linear accumulator to a word (docs/spec.md, section 6; lns/reference.py: linear_to_log).
//
// Combinational. The place of the leading one gives the octave, the bits under it index a ROM of logarithms.
module lns_linear_to_log #(
  parameter int ACC_BITS      = 24,  // A, width of the accumulator, at least 2
  parameter int BITS          = 8,   // width B of the word, whose format is signed
  parameter int FRAC_BITS     = 3,   // F
  parameter int INDEX_BITS    = 7,   // M, bits under the leading one that are looked at
  parameter int EXPONENT_BITS = 7,
  parameter     ROM_FILE      = ""   // $readmemh image of 2**M entries from 0 to 2**F
) (
  input  logic signed [     ACC_BITS-1:0] acc_i,
  input  logic signed [EXPONENT_BITS-1:0] exponent_i,  // of the least bit, at the destination's offset, in octaves
  output logic        [         BITS-1:0] word_o,
  output logic                            saturate_o,
  output logic                            underflow_o
);

  localparam int CodeBits  = BITS - 1;
  localparam int PlaceBits = $clog2(ACC_BITS);

  // as an unsigned number, the magnitude of the least accumulator fits too
  logic [ACC_BITS-1:0] magnitude;
  logic                negative;
  assign negative  = acc_i[ACC_BITS-1];
  assign magnitude = negative ? -acc_i : acc_i;

  logic [PlaceBits-1:0] place;  // of the leading one
  always_comb begin
    place = '0;
    for (int i = 0; i < ACC_BITS; i++) begin
      if (magnitude[i]) place = PlaceBits'(i);
    end
  end

  localparam int IndexBits = (INDEX_BITS > 0) ? INDEX_BITS : 1;
  logic [IndexBits-1:0] index;
  if (INDEX_BITS > 0) begin : gen_index
    // zeros below, for numbers with fewer bits under the leading one; the leading one itself is cast away
    localparam int AlignedBits = ACC_BITS + INDEX_BITS;
    logic [AlignedBits-1:0] aligned;
    assign aligned = (AlignedBits'(magnitude) << INDEX_BITS) << (PlaceBits'(ACC_BITS - 1) - place);
    assign index   = IndexBits'(aligned >> (ACC_BITS - 1));
  end else begin : gen_no_index
    assign index = '0;
  end

  // an entry of 2**F, next to the next power of two, needs one bit more than a fraction
  logic [FRAC_BITS:0] rom[0:(1 << INDEX_BITS) - 1];
  if (ROM_FILE != "") begin : gen_rom_file
    initial $readmemh(ROM_FILE, rom);
  end

  localparam int OctaveBits = ((PlaceBits + 1 > EXPONENT_BITS) ? PlaceBits + 1 : EXPONENT_BITS) + 1;
  logic signed [OctaveBits-1:0] octave;
  assign octave = OctaveBits'(exponent_i) + $signed(OctaveBits'(place));

  // the entry is added and not appended: one of 2**F carries into the octave
  localparam int CalcBits = ((OctaveBits + FRAC_BITS > CodeBits + 1) ? OctaveBits + FRAC_BITS : CodeBits + 1) + 1;
  localparam logic [CalcBits-1:0] Bias = CalcBits'(1) << (CodeBits - 1);
  logic [CalcBits-1:0] code;
  assign code = (CalcBits'(octave) << FRAC_BITS) + CalcBits'(rom[index]) + Bias;

  lns_range #(
    .BITS     (BITS),
    .SIGNED   (1),
    .CALC_BITS(CalcBits)
  ) u_range (
    .code_i     (code),
    .negative_i (negative),
    .zero_i     (magnitude == '0),
    .word_o     (word_o),
    .saturate_o (saturate_o),
    .underflow_o(underflow_o)
  );

`ifndef SYNTHESIS
  // without this a forgotten parameter would read as a table of zeros in a two-state simulator
  initial begin
    if (ROM_FILE == "") $fatal(1, "ROM_FILE is required");
  end
`endif

endmodule
