// What a word stands for: sign, octave and significand (docs/spec.md, section 13.2).
//
// Combinational, the common part of the decoders.
module lns_decode #(
  parameter int BITS             = 8,   // the word: width, F, and whether it has a sign
  parameter int FRAC_BITS        = 3,
  parameter int SIGNED           = 1,
  parameter int OFFSET_BITS      = 9,
  parameter int OCTAVE_BITS      = 10,  // one more than the offset, and than the code has above its fraction
  parameter int SIGNIFICAND_BITS = 24,  // S, fraction bits of the significand
  parameter     ROM_FILE         = ""   // $readmemh image of 2**F entries of S + 1 bits
) (
  input  logic        [         BITS-1:0] word_i,
  input  logic signed [  OFFSET_BITS-1:0] offset_i,       // in octaves
  output logic                            zero_o,
  output logic                            negative_o,
  output logic signed [  OCTAVE_BITS-1:0] octave_o,       // e
  output logic        [SIGNIFICAND_BITS:0] significand_o,  // D, rounded down
  output logic                            exact_o         // nothing was cut off the significand: it is 1.0
);

  localparam int CodeBits = BITS - SIGNED;

  logic [CodeBits-1:0] code;
  assign code   = word_i[CodeBits-1:0];
  assign zero_o = code == '0;

  if (SIGNED != 0) begin : gen_sign
    assign negative_o = word_i[BITS-1];
  end else begin : gen_no_sign
    assign negative_o = 1'b0;
  end

  localparam logic [OCTAVE_BITS-1:0] BiasOctave = OCTAVE_BITS'(1) << (CodeBits - 1 - FRAC_BITS);
  assign octave_o = OCTAVE_BITS'(code >> FRAC_BITS) - BiasOctave + OCTAVE_BITS'(offset_i);

  localparam int IndexBits = (FRAC_BITS > 0) ? FRAC_BITS : 1;
  logic [IndexBits-1:0] index;
  if (FRAC_BITS > 0) begin : gen_index
    assign index = IndexBits'(code);
  end else begin : gen_no_index
    assign index = '0;
  end
  assign exact_o = index == '0;

  logic [SIGNIFICAND_BITS:0] rom[0:(1 << FRAC_BITS) - 1];
  if (ROM_FILE != "") begin : gen_rom_file
    initial $readmemh(ROM_FILE, rom);
  end
  assign significand_o = rom[index];

`ifndef SYNTHESIS
  // without this a forgotten parameter would read as a table of zeros in a two-state simulator
  initial begin
    if (ROM_FILE == "") $fatal(1, "ROM_FILE is required");
  end
`endif

endmodule
