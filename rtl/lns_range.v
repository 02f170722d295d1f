// Range rule: from a computed code to a word and its events (docs/spec.md, section 1.2).
//
// Combinational. The last step of every unit that emits a word.
module lns_range #(
  parameter int BITS      = 8,  // width B of the word
  parameter int SIGNED    = 1,  // 1: the word's top bit is a sign; 0: it has none
  parameter int CALC_BITS = 9   // width of the computed code, at least 2 more than the word's code has
) (
  input  logic [CALC_BITS-1:0] code_i,       // computed code, two's complement, already rounded
  input  logic                 negative_i,   // sign of the result
  input  logic                 zero_i,       // the result is exactly zero: no event, whatever code_i
  output logic [BITS-1:0]      word_o,
  output logic                 saturate_o,
  output logic                 underflow_o
);

  localparam int CodeBits = BITS - SIGNED;

  // max is all ones, so the bits above it tell an excess: no comparator is needed
  logic below, above;
  assign below = code_i[CALC_BITS-1] || (code_i == '0);
  assign above = !code_i[CALC_BITS-1] && (|code_i[CALC_BITS-2:CodeBits]);

  logic                empty;
  logic [CodeBits-1:0] code;
  assign empty = zero_i || below;
  assign code  = empty ? '0 : (above ? '1 : code_i[CodeBits-1:0]);

  assign saturate_o  = above && !zero_i;
  assign underflow_o = below && !zero_i;

  if (SIGNED != 0) begin : gen_signed
    // zero is canonical: it has no sign
    assign word_o = {negative_i && !empty, code};
  end else begin : gen_unsigned
    assign word_o = code;
    logic unused_negative;
    assign unused_negative = negative_i;
  end

endmodule
