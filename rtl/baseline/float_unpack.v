// Exponent and significand of a floating-point magnitude (docs/baselines.md).
//
// Combinational. With NORMALISE the leading one of a subnormal is shifted to the top, and its exponent sinks under 1.
module float_unpack #(
  parameter int EXP       = 8,
  parameter int MAN       = 7,
  parameter int NORMALISE = 1
) (
  input  logic        [EXP+MAN-1:0] word_i,
  output logic signed [    EXP+1:0] exponent_o,    // biased
  output logic        [      MAN:0] significand_o  // MAN bits of fraction
);

  localparam int ExponentBits = EXP + 2;
  logic           normal;
  logic [EXP-1:0] field;
  assign normal = |word_i[MAN+:EXP];
  assign field  = word_i[MAN+:EXP];

  if (NORMALISE != 0) begin : gen_normalise
    localparam int CountBits = $clog2(MAN + 1);
    logic [CountBits-1:0] zeros;
    float_leading_zeros #(
      .WIDTH(MAN + 1)
    ) u_zeros (
      .bits_i ({normal, word_i[MAN-1:0]}),
      .count_o(zeros)
    );
    assign significand_o = {normal, word_i[MAN-1:0]} << zeros;
    assign exponent_o = ExponentBits'({field[EXP-1:1], field[0] || !normal}) - $signed(ExponentBits'(zeros));
  end else begin : gen_as_it_is
    assign significand_o = {normal, word_i[MAN-1:0]};
    assign exponent_o    = ExponentBits'({field[EXP-1:1], field[0] || !normal});
  end

endmodule
