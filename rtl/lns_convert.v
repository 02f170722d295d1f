// Converter between formats and offsets (docs/spec.md, section 1.6; lns/reference.py: convert).
//
// Combinational. Octaves between the offsets are whole, so that they meet the code above its fraction bits.
module lns_convert #(
  parameter int SOURCE_BITS      = 12,  // the word that comes in: width, F, and whether it has a sign
  parameter int SOURCE_FRAC_BITS = 9,
  parameter int SOURCE_SIGNED    = 1,
  parameter int BITS             = 8,   // the word that goes out
  parameter int FRAC_BITS        = 3,
  parameter int SIGNED           = 1,
  parameter int ROUND            = 0,   // 0: nearest, ties to the even code; 1: down, to the smaller magnitude
  parameter int OFFSET_BITS      = 5    // width of the difference of the offsets
) (
  input  logic        [SOURCE_BITS-1:0] a_i,
  input  logic signed [OFFSET_BITS-1:0] offset_i,  // the source's offset less the destination's, in octaves
  output logic        [       BITS-1:0] word_o,
  output logic                          saturate_o,
  output logic                          underflow_o,
  output logic                          invalid_o     // a negative number has no word in an unsigned format
);

  localparam int RoundNearest = 0;
  localparam int RoundDown    = 1;

  localparam int SourceCodeBits = SOURCE_BITS - SOURCE_SIGNED;
  localparam int CodeBits       = BITS - SIGNED;

  logic [SourceCodeBits-1:0] code_a;
  assign code_a = a_i[SourceCodeBits-1:0];

  logic negative;
  if (SOURCE_SIGNED != 0) begin : gen_sign
    assign negative = a_i[SOURCE_BITS-1];
  end else begin : gen_no_sign
    assign negative = 1'b0;
  end

  // the logarithm at the destination's offset, in codes of the source: a carry above the wider of the two terms
  localparam int OffsetCodeBits = OFFSET_BITS + SOURCE_FRAC_BITS;
  localparam int FineBits = ((SourceCodeBits > OffsetCodeBits) ? SourceCodeBits : OffsetCodeBits) + 1;
  localparam logic [FineBits-1:0] SourceBias = FineBits'(1) << (SourceCodeBits - 1);

  logic signed [FineBits-1:0] fine;
  assign fine = FineBits'(code_a) - SourceBias + (FineBits'(offset_i) << SOURCE_FRAC_BITS);

  // fraction bits that the destination lacks, or has beside the source's
  localparam int Lost   = (SOURCE_FRAC_BITS > FRAC_BITS) ? SOURCE_FRAC_BITS - FRAC_BITS : 0;
  localparam int Gained = (SOURCE_FRAC_BITS > FRAC_BITS) ? 0 : FRAC_BITS - SOURCE_FRAC_BITS;
  localparam int CalcBits = ((FineBits + Gained > CodeBits + 1) ? FineBits + Gained : CodeBits + 1) + 1;
  localparam logic [CalcBits-1:0] Bias = CalcBits'(1) << (CodeBits - 1);

  logic [CalcBits-1:0] code;
  if (Lost == 0) begin : gen_exact
    assign code = (CalcBits'(fine) << Gained) + Bias;
  end else begin : gen_round

    // the bias is in before the rounding: a tie goes to the even code, whose raw value is odd where the bias is
    logic [CalcBits-1:0] floor;
    assign floor = CalcBits'(fine >>> Lost) + Bias;

    if (ROUND == RoundNearest) begin : gen_nearest
      logic [Lost-1:0] rest;
      logic            half, more;  // at least a half, and more than just that
      assign rest = Lost'(fine);
      assign half = rest[Lost-1];
      assign more = Lost'(rest << 1) != '0;
      assign code = floor + CalcBits'(half && (more || floor[0]));
    end else begin : gen_down
      assign code = floor;
    end

  end

  logic zero, invalid;
  assign zero      = code_a == '0;
  assign invalid   = (SIGNED == 0) && negative && !zero;
  assign invalid_o = invalid;

  lns_range #(
    .BITS     (BITS),
    .SIGNED   (SIGNED),
    .CALC_BITS(CalcBits)
  ) u_range (
    .code_i     (code),
    .negative_i (negative),
    .zero_i     (zero || invalid),
    .word_o     (word_o),
    .saturate_o (saturate_o),
    .underflow_o(underflow_o)
  );

`ifndef SYNTHESIS
  initial begin
    if (ROUND != RoundNearest && ROUND != RoundDown) $fatal(1, "ROUND must be 0 or 1, got %0d", ROUND);
  end
`endif

endmodule
