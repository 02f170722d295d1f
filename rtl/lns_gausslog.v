// One Gaussian logarithm, sb or db, of a distance in codes (docs/spec.md, section 3.3; lns/reference.py: sb, db).
//
// Combinational. The contents of a ROM come from files; what is beyond a ROM's last entry is zero.
module lns_gausslog #(
  parameter int CODE_BITS  = 7,   // width of a distance
  parameter int FRAC_BITS  = 3,   // F; used by mitchell alone
  parameter int DIFFERENCE = 0,   // 0: sb, for equal signs; 1: db, for unlike signs
  parameter int KIND       = 0,   // 0: a ROM of buckets (full, coarse); 1: linear; 2: mitchell
  parameter int K          = 0,   // log2 of the codes in a bucket (full: 0) or in a segment
  parameter int G          = 0,   // linear: fraction bits of the coefficients; else 0
  parameter int ENTRIES    = 1,   // buckets or segments
  parameter int ROM_BITS   = 1,   // width of an entry; linear: of base
  parameter     ROM_FILE   = "",  // $readmemh image; linear: of base
  parameter int SLOPE_BITS = 1,   // linear
  parameter     SLOPE_FILE = "",  // linear
  parameter int FIRST_BITS = 1,   // linear, db: segment 0 is a ROM of 2**K exact entries
  parameter     FIRST_FILE = "",  // linear, db
  parameter int VALUE_BITS = 4    // width of the result; must hold the largest one
) (
  input  logic [CODE_BITS-1:0]  distance_i,  // d >= 0; the result of db at d = 0 is never used
  output logic [VALUE_BITS-1:0] value_o
);

  localparam int KindBuckets  = 0;
  localparam int KindLinear   = 1;
  localparam int KindMitchell = 2;

  if (KIND == KindBuckets || KIND == KindLinear) begin : gen_rom

    localparam int IndexBits = (ENTRIES > 1) ? $clog2(ENTRIES) : 1;

    logic [CODE_BITS-1:0] bucket;
    logic [IndexBits-1:0] index;
    logic                 in_rom;
    assign bucket = distance_i >> K;
    // one bit more than a code, so that a ROM as long as the code range compares right
    assign in_rom = 33'(bucket) < 33'(ENTRIES);
    // never beyond the last entry: Verilator reads the array even where the value is not used
    assign index  = in_rom ? IndexBits'(bucket) : '0;

    logic [ROM_BITS-1:0] rom[0:ENTRIES-1];
    if (ROM_FILE != "") begin : gen_rom_file
      initial $readmemh(ROM_FILE, rom);
    end

    if (KIND == KindBuckets) begin : gen_entry
      assign value_o = in_rom ? VALUE_BITS'(rom[index]) : '0;
    end else begin : gen_linear

      logic [SLOPE_BITS-1:0] slope[0:ENTRIES-1];
      if (SLOPE_FILE != "") begin : gen_slope_file
        initial $readmemh(SLOPE_FILE, slope);
      end

      // base - slope·x in full width; it is never negative
      localparam int FineBits = (ROM_BITS > SLOPE_BITS + K) ? ROM_BITS : SLOPE_BITS + K;

      logic [K-1:0]          position;
      logic [FineBits-1:0]   fine;
      logic [VALUE_BITS-1:0] height;
      assign position = K'(distance_i);
      assign fine     = FineBits'(rom[index]) - FineBits'(slope[index]) * FineBits'(position);
      assign height   = VALUE_BITS'(fine >> G);

      if (DIFFERENCE != 0) begin : gen_first
        // near d = 0 db falls too steeply for a straight line
        logic [FIRST_BITS-1:0] first[0:(1 << K) - 1];
        if (FIRST_FILE != "") begin : gen_first_file
          initial $readmemh(FIRST_FILE, first);
        end
        logic [VALUE_BITS-1:0] near, far;
        assign near    = VALUE_BITS'(first[position]);
        assign far     = in_rom ? height : '0;
        assign value_o = (bucket == '0) ? near : far;
      end else begin : gen_no_first
        assign value_o = in_rom ? height : '0;
      end

    end

  end else if (KIND == KindMitchell) begin : gen_mitchell

    // d = q·2^F + r: 2^-d is (1 - r/2) >> q to first order, and log2(1 + x) is x to first order
    localparam logic [FRAC_BITS:0] One = (FRAC_BITS + 1)'(1) << FRAC_BITS;

    logic [CODE_BITS-1:0] octaves;
    logic [FRAC_BITS+1:0] twice;  // 2 - r/2^F
    logic [FRAC_BITS:0]   x;
    assign octaves = distance_i >> FRAC_BITS;
    assign twice   = {One, 1'b0} - (FRAC_BITS + 2)'(distance_i & ~(octaves << FRAC_BITS));
    assign x       = (FRAC_BITS + 1)'((twice >> 1) >> octaves);

    if (DIFFERENCE == 0) begin : gen_sum
      assign value_o = VALUE_BITS'(x);
    end else begin : gen_difference

      // Mitchell's logarithm of y = 1 - x: the place of the leading one, and the bits under it as the fraction
      logic [FRAC_BITS:0]    y, fraction;
      logic [VALUE_BITS-1:0] below;
      assign y = One - x;

      // a function: Icarus 11 can run a process with this loop again and again, without an end
      function automatic logic [VALUE_BITS-1:0] octaves_below(input logic [FRAC_BITS:0] value);
        octaves_below = '0;
        for (int i = 0; i <= FRAC_BITS; i++) begin
          if (value[i]) octaves_below = VALUE_BITS'(FRAC_BITS - i);
        end
      endfunction
      assign below = octaves_below(y);

      assign fraction = (y << below) - One;
      assign value_o  = (below << FRAC_BITS) - VALUE_BITS'(fraction);
    end

  end

`ifndef SYNTHESIS
  // without these a forgotten parameter would read as a table of zeros in a two-state simulator
  initial begin
    if (KIND < KindBuckets || KIND > KindMitchell) $fatal(1, "KIND must be 0, 1 or 2, got %0d", KIND);
    if (KIND != KindMitchell && ROM_FILE == "") $fatal(1, "ROM_FILE is required");
    if (KIND == KindLinear && SLOPE_FILE == "") $fatal(1, "SLOPE_FILE is required");
    if (KIND == KindLinear && DIFFERENCE != 0 && FIRST_FILE == "") $fatal(1, "FIRST_FILE is required");
  end
`endif

endmodule
