// One term of a linear dot product: a product in fixed point (docs/spec.md, section 5; lns/reference.py: term).
//
// Combinational. Codes are added, the fraction of the sum is looked up, its integer part shifts what was found.
module lns_term #(
  parameter int A_BITS       = 8,   // B of a, whose format is signed
  parameter int B_BITS       = 8,   // B of b, whose format is signed
  parameter int A_SHIFT      = 0,   // F - F of a
  parameter int B_SHIFT      = 0,   // F - F of b
  parameter int FRAC_BITS    = 3,   // F, the larger of the operands'
  parameter int GUARD        = 12,  // octaves from the largest product's leading bit down to the term's least bit
  parameter int ANTILOG_BITS = 8,   // T
  parameter     ANTILOG_FILE = ""   // $readmemh image of 2**F entries
) (
  input  logic        [A_BITS-1:0] a_i,
  input  logic        [B_BITS-1:0] b_i,
  output logic signed [ GUARD+1:0] term_o
);

  localparam int CodeBitsA = A_BITS - 1;
  localparam int CodeBitsB = B_BITS - 1;
  localparam int WideA     = CodeBitsA + A_SHIFT;
  localparam int WideB     = CodeBitsB + B_SHIFT;
  // a carry and a sign above the wider of two codes
  localparam int ProductBits = ((WideA > WideB) ? WideA : WideB) + 2;

  localparam logic signed [ProductBits-1:0] One   = ProductBits'(1);
  localparam logic signed [ProductBits-1:0] BiasA = One <<< (CodeBitsA - 1);
  localparam logic signed [ProductBits-1:0] BiasB = One <<< (CodeBitsB - 1);
  // the largest product of the two formats: its octave is what the guard counts from
  localparam logic signed [ProductBits-1:0] Largest = ((BiasA - One) <<< A_SHIFT) + ((BiasB - One) <<< B_SHIFT);

  logic [CodeBitsA-1:0] code_a;
  logic [CodeBitsB-1:0] code_b;
  logic                 zero, negative;
  assign code_a   = a_i[CodeBitsA-1:0];
  assign code_b   = b_i[CodeBitsB-1:0];
  assign zero     = (code_a == '0) || (code_b == '0);
  assign negative = a_i[A_BITS-1] ^ b_i[B_BITS-1];

  logic signed [ProductBits-1:0] raw_a, raw_b, product;
  assign raw_a   = $signed(ProductBits'(code_a)) - BiasA;
  assign raw_b   = $signed(ProductBits'(code_b)) - BiasB;
  assign product = (raw_a <<< A_SHIFT) + (raw_b <<< B_SHIFT);

  logic [ANTILOG_BITS-1:0] rom[0:(1 << FRAC_BITS) - 1];
  if (ANTILOG_FILE != "") begin : gen_rom_file
    initial $readmemh(ANTILOG_FILE, rom);
  end

  // F may be 0: the one entry then has index 0
  localparam int IndexBits = (FRAC_BITS > 0) ? FRAC_BITS : 1;
  logic [IndexBits-1:0] index;
  if (FRAC_BITS > 0) begin : gen_index
    assign index = product[IndexBits-1:0];
  end else begin : gen_no_index
    assign index = '0;
  end

  // The significand starts at the top, where the largest product's stands, and moves down by the octaves between: one
  // shift, to the right. Bits below the least one fall away, as the definition's truncation has it.
  localparam int MagnitudeBits = GUARD + 1;
  localparam int ShiftBits     = (ANTILOG_BITS > MagnitudeBits) ? ANTILOG_BITS : MagnitudeBits;
  logic signed [  ProductBits-1:0] octaves;  // never negative
  logic        [    ShiftBits-1:0] top;
  logic        [MagnitudeBits-1:0] magnitude;
  assign octaves   = (Largest >>> FRAC_BITS) - (product >>> FRAC_BITS);
  assign top       = ShiftBits'(rom[index]) << (ShiftBits - ANTILOG_BITS);
  assign magnitude = MagnitudeBits'((top >> octaves) >> (ShiftBits - MagnitudeBits));

  logic signed [GUARD+1:0] positive;
  assign positive = $signed({1'b0, magnitude});
  // One assignment, not a default that a condition replaces: in vvp 11, many lanes' terms that took a wrong value for
  // no time at all woke each other without end.
  assign term_o = zero ? '0 : (negative ? -positive : positive);

`ifndef SYNTHESIS
  // without this a forgotten parameter would read as a table of zeros in a two-state simulator
  initial begin
    if (ANTILOG_FILE == "") $fatal(1, "ANTILOG_FILE is required");
  end
`endif

endmodule
