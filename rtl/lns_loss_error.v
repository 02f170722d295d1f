// Loss unit, second half: one error word from a class's code and log-sum-exp (docs/spec.md, section 9; lns/reference.py:
// loss).
//
// Combinational. p is a difference of codes, and 1 - p the db of that difference: both are logarithms as they stand, and
// lns_convert brings them to the error's format.
module lns_loss_error #(
  parameter int LOSS_BITS       = 16,  // B_l of the loss format, unsigned
  parameter int LOSS_FRAC_BITS  = 10,  // F_l
  parameter int ERROR_BITS      = 8,   // B of an error word, signed
  parameter int ERROR_FRAC_BITS = 3,   // F_E
  parameter int ROUND           = 0,   // 0: nearest, ties to the even code; 1: down, to the smaller magnitude
  parameter int OFFSET_BITS     = 8,
  parameter int KIND            = 0,   // from here on: db of the loss table, as in lns_add
  parameter int K               = 0,
  parameter int G               = 0,
  parameter int DB_ENTRIES      = 1,
  parameter int DB_BITS         = 1,
  parameter     DB_FILE         = "",
  parameter int DB_SLOPE_BITS   = 1,
  parameter     DB_SLOPE_FILE   = "",
  parameter int DB_FIRST_BITS   = 1,
  parameter     DB_FIRST_FILE   = ""
) (
  input  logic        [  LOSS_BITS-1:0] code_i,      // of the class
  input  logic        [  LOSS_BITS-1:0] lse_i,       // at least code_i
  input  logic                          target_i,    // the class is the target
  input  logic signed [OFFSET_BITS-1:0] offset_i,    // of the errors, in octaves
  output logic        [ ERROR_BITS-1:0] word_o,
  output logic                          saturate_o,
  output logic                          underflow_o
);

  logic [LOSS_BITS-1:0] distance;
  assign distance = lse_i - code_i;

  // widest db: that of mitchell reaches F octaves
  localparam int KindMitchell = 2;
  localparam int RomBits   = DB_BITS - G;
  localparam int TableBits = (RomBits > DB_FIRST_BITS) ? RomBits : DB_FIRST_BITS;
  localparam int ValueBits = (KIND == KindMitchell) ? LOSS_FRAC_BITS + 1 + $clog2(LOSS_FRAC_BITS + 1) : TableBits;

  logic [ValueBits-1:0] rest;
  lns_gausslog #(
    .CODE_BITS (LOSS_BITS),
    .FRAC_BITS (LOSS_FRAC_BITS),
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
    .value_o   (rest)
  );

  // The error as a word of a signed format at F_l, wide enough for both magnitudes, which may be smaller than any of the
  // loss format: the error's offset may be small enough to hold them.
  localparam int DownBits     = (LOSS_BITS > ValueBits) ? LOSS_BITS : ValueBits;
  localparam int FineCodeBits = DownBits + 1;  // the bias is above all that is taken from it
  localparam int FineBits     = FineCodeBits + 1;
  localparam logic [FineCodeBits-1:0] FineBias = FineCodeBits'(1) << DownBits;

  logic [FineCodeBits-1:0] fine;
  always_comb begin
    fine = FineBias - (target_i ? FineCodeBits'(rest) : FineCodeBits'(distance));
    // p = 1 at the target leaves no error, which is exact
    if (target_i && (distance == '0)) fine = '0;
  end

  // what is taken from the source's offset, which is 0; one bit more for the least number's negation
  logic signed [OFFSET_BITS:0] octaves;
  assign octaves = (OFFSET_BITS + 1)'(0) - (OFFSET_BITS + 1)'(offset_i);

  logic unused_invalid;  // the error's format is signed
  lns_convert #(
    .SOURCE_BITS     (FineBits),
    .SOURCE_FRAC_BITS(LOSS_FRAC_BITS),
    .SOURCE_SIGNED   (1),
    .BITS            (ERROR_BITS),
    .FRAC_BITS       (ERROR_FRAC_BITS),
    .SIGNED          (1),
    .ROUND           (ROUND),
    .OFFSET_BITS     (OFFSET_BITS + 1)
  ) u_convert (
    .a_i        ({target_i, fine}),
    .offset_i   (octaves),
    .word_o     (word_o),
    .saturate_o (saturate_o),
    .underflow_o(underflow_o),
    .invalid_o  (unused_invalid)
  );

endmodule
