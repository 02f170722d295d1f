// Log-adder: a + b of one format (docs/spec.md, section 3; lns/reference.py: add).
//
// Combinational. Parameters and ROM images come from the design; those of ROMs that the kind lacks keep their defaults.
module lns_add #(
  parameter int BITS          = 8,   // width B of a word
  parameter int FRAC_BITS     = 3,   // F
  parameter int SIGNED        = 1,   // 1: lns<B,F>; 0: ulns<B,F>, whose adder has no db
  parameter int KIND          = 0,   // 0: a ROM of buckets (full, coarse); 1: linear; 2: mitchell
  parameter int K             = 0,   // log2 of the codes in a bucket (full: 0) or in a segment
  parameter int G             = 0,   // linear: fraction bits of the coefficients; else 0
  parameter int SB_ENTRIES    = 1,   // of each function: buckets or segments,
  parameter int SB_BITS       = 1,   // width of a ROM entry and the ROM's image (linear: of base)
  parameter     SB_FILE       = "",
  parameter int SB_SLOPE_BITS = 1,
  parameter     SB_SLOPE_FILE = "",
  parameter int DB_ENTRIES    = 1,
  parameter int DB_BITS       = 1,
  parameter     DB_FILE       = "",
  parameter int DB_SLOPE_BITS = 1,
  parameter     DB_SLOPE_FILE = "",
  parameter int DB_FIRST_BITS = 1,
  parameter     DB_FIRST_FILE = ""
) (
  input  logic [BITS-1:0] a_i,
  input  logic [BITS-1:0] b_i,
  output logic [BITS-1:0] word_o,
  output logic            saturate_o,
  output logic            underflow_o
);

  localparam int CodeBits = BITS - SIGNED;

  // widest sb or db: db of mitchell reaches F octaves
  localparam int KindMitchell = 2;
  localparam int RomBits   = ((SB_BITS > DB_BITS) ? SB_BITS : DB_BITS) - G;
  localparam int TableBits = (RomBits > DB_FIRST_BITS) ? RomBits : DB_FIRST_BITS;
  localparam int ValueBits = (KIND == KindMitchell) ? FRAC_BITS + 1 + $clog2(FRAC_BITS + 1) : TableBits;
  // a carry and a sign above the wider of a code and a table value
  localparam int CalcBits = ((CodeBits > ValueBits) ? CodeBits : ValueBits) + 2;

  logic [CodeBits-1:0] code_a, code_b;
  logic                sign_a, sign_b;
  assign code_a = a_i[CodeBits-1:0];
  assign code_b = b_i[CodeBits-1:0];
  if (SIGNED != 0) begin : gen_sign
    assign sign_a = a_i[BITS-1];
    assign sign_b = b_i[BITS-1];
  end else begin : gen_no_sign
    assign sign_a = 1'b0;
    assign sign_b = 1'b0;
  end

  // the larger magnitude has the larger code, and its sign is the result's
  logic                a_is_larger, negative, unlike;
  logic [CodeBits-1:0] larger, smaller, distance;
  assign a_is_larger = code_a >= code_b;
  assign larger      = a_is_larger ? code_a : code_b;
  assign smaller     = a_is_larger ? code_b : code_a;
  assign negative    = a_is_larger ? sign_a : sign_b;
  assign unlike      = sign_a ^ sign_b;
  assign distance    = larger - smaller;

  logic [ValueBits-1:0] sum;
  lns_gausslog #(
    .CODE_BITS (CodeBits),
    .FRAC_BITS (FRAC_BITS),
    .DIFFERENCE(0),
    .KIND      (KIND),
    .K         (K),
    .G         (G),
    .ENTRIES   (SB_ENTRIES),
    .ROM_BITS  (SB_BITS),
    .ROM_FILE  (SB_FILE),
    .SLOPE_BITS(SB_SLOPE_BITS),
    .SLOPE_FILE(SB_SLOPE_FILE),
    .VALUE_BITS(ValueBits)
  ) u_sb (
    .distance_i(distance),
    .value_o   (sum)
  );

  logic [ValueBits-1:0] difference;
  if (SIGNED != 0) begin : gen_db
    lns_gausslog #(
      .CODE_BITS (CodeBits),
      .FRAC_BITS (FRAC_BITS),
      .DIFFERENCE(1),
      .KIND      (KIND),
      .K         (K),
      .G         (G),
      .ENTRIES   (DB_ENTRIES),
      .ROM_BITS  (DB_BITS),
      .ROM_FILE  (DB_FILE),
      .SLOPE_BITS(DB_SLOPE_BITS),
      .SLOPE_FILE(DB_SLOPE_FILE),
      .FIRST_BITS(DB_FIRST_BITS),
      .FIRST_FILE(DB_FIRST_FILE),
      .VALUE_BITS(ValueBits)
    ) u_db (
      .distance_i(distance),
      .value_o   (difference)
    );
  end else begin : gen_no_db
    assign difference = '0;
  end

  // A zero operand leaves the other one as it is: the larger code passes without a correction, and with it its sign.
  logic [CalcBits-1:0] code;
  always_comb begin
    code = CalcBits'(larger);
    if (smaller != '0) begin
      code = unlike ? CalcBits'(larger) - CalcBits'(difference) : CalcBits'(larger) + CalcBits'(sum);
    end
  end

  // both operands zero, or equal magnitudes that cancel: exact, hence no event
  logic zero;
  assign zero = (larger == '0) || (unlike && (distance == '0));

  lns_range #(
    .BITS     (BITS),
    .SIGNED   (SIGNED),
    .CALC_BITS(CalcBits)
  ) u_range (
    .code_i     (code),
    .negative_i (negative),
    .zero_i     (zero),
    .word_o     (word_o),
    .saturate_o (saturate_o),
    .underflow_o(underflow_o)
  );

endmodule
