// A floating-point word to a smaller format, to nearest even; above LARGEST it is LARGEST (docs/baselines.md).
//
// Combinational. Either both formats have the same exponents, or the subnormals of the wider one are nothing to the
// other. A zero keeps its sign, and so does what is rounded to zero.
module float_round #(
  parameter int FROM_EXP = 8,
  parameter int FROM_MAN = 23,
  parameter int EXP      = 4,
  parameter int MAN      = 3,       // less than FROM_MAN - 1
  parameter int LARGEST  = 'h7e     // the largest word without its sign
) (
  input  logic [FROM_EXP+FROM_MAN:0] word_i,
  output logic [        EXP+MAN:0] word_o
);

  logic [FROM_EXP-1:0] from;
  logic                normal;
  assign from   = word_i[FROM_MAN+:FROM_EXP];
  assign normal = |from;

  // the significand, half of its last bit, and what is less
  localparam int Kept = MAN + 3;
  logic [Kept-1:0] kept;
  assign kept = {normal, word_i[FROM_MAN-1-:MAN+1], |word_i[FROM_MAN-MAN-2:0]};

  // the exponent's field, before a carry out of the fraction; subnormals have 0
  localparam int ExponentBits = FROM_EXP + 2;
  localparam int RoundedBits  = ExponentBits + MAN;
  logic [ExponentBits-1:0] field;
  logic [        Kept-1:0] aligned;
  if (EXP == FROM_EXP) begin : gen_same_exponents
    assign field   = ExponentBits'(from);
    assign aligned = kept;
  end else begin : gen_fewer_exponents
    localparam logic [ExponentBits-1:0] Difference = ExponentBits'((1 << (FROM_EXP - 1)) - (1 << (EXP - 1)));
    localparam int ShiftBits = $clog2(Kept);
    logic signed [ExponentBits-1:0] exponent;
    logic        [ExponentBits-1:0] right;
    logic                           subnormal;
    logic        [      2*Kept-1:0] shifted;
    assign exponent  = $signed(ExponentBits'(from) - Difference);
    assign subnormal = exponent < ExponentBits'(1);
    assign right     = ExponentBits'(1) - exponent;
    assign field     = subnormal ? '0 : exponent;
    assign shifted   = {kept, {Kept{1'b0}}} >> right[ShiftBits-1:0];
    assign aligned   = !subnormal ? kept
      : (|right[ExponentBits-1:ShiftBits]) ? '0
      : {shifted[2*Kept-1:Kept+1], |shifted[Kept:0]};
  end

  logic                   up;
  logic [RoundedBits-1:0] rounded;
  logic                   unused_leading;  // the field says as much
  assign up      = aligned[1] && (aligned[0] || aligned[2]);
  assign rounded = {field, aligned[2+:MAN]} + RoundedBits'(up);

  // a signal of its own: in a concatenation Yosys 0.23 would take the cast parameter for 32 bits
  logic [EXP+MAN-1:0] size;
  assign size   = (rounded > RoundedBits'(LARGEST)) ? (EXP + MAN)'(LARGEST) : (EXP + MAN)'(rounded);
  assign word_o = {word_i[FROM_EXP+FROM_MAN], size};
  assign unused_leading = aligned[Kept-1];

endmodule
