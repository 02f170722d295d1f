// Divider: a/b of one format (docs/spec.md, section 2; lns/reference.py: div).
//
// Combinational. A quotient of magnitudes is a difference of raw codes, so the fraction bits play no part.
module lns_div #(
  parameter int BITS   = 8,  // width B of a word
  parameter int SIGNED = 1   // 1: lns<B,F>; 0: ulns<B,F>, words without a sign bit
) (
  input  logic [BITS-1:0] a_i,
  input  logic [BITS-1:0] b_i,
  output logic [BITS-1:0] word_o,
  output logic            saturate_o,
  output logic            underflow_o,
  output logic            divide_by_zero_o,  // x/0 with x != 0
  output logic            invalid_o          // 0/0
);

  localparam int CodeBits = BITS - SIGNED;
  // c_a - c_b + bias lies in -bias + 2 ... 3·bias - 2: one bit for the carry, one for the sign
  localparam int CalcBits = CodeBits + 2;
  localparam logic [CalcBits-1:0] Bias = CalcBits'(1) << (CodeBits - 1);
  localparam logic [CodeBits-1:0] Max  = {CodeBits{1'b1}};  // Yosys 0.23 would read '1 as 1 here

  logic [CodeBits-1:0] code_a, code_b;
  assign code_a = a_i[CodeBits-1:0];
  assign code_b = b_i[CodeBits-1:0];

  logic zero_a, zero_b, divide_by_zero;
  assign zero_a           = code_a == '0;
  assign zero_b           = code_b == '0;
  assign divide_by_zero   = zero_b && !zero_a;
  assign divide_by_zero_o = divide_by_zero;
  assign invalid_o        = zero_b && zero_a;

  // a zero divisor has no sign, whatever bit it carries
  logic negative;
  if (SIGNED != 0) begin : gen_sign
    assign negative = a_i[BITS-1] ^ (b_i[BITS-1] && !zero_b);
  end else begin : gen_no_sign
    assign negative = 1'b0;
  end

  // raw_a - raw_b + bias with raw = code - bias; the largest code of x/0 does not saturate
  logic [CalcBits-1:0] code;
  assign code = divide_by_zero ? CalcBits'(Max) : CalcBits'(code_a) - CalcBits'(code_b) + Bias;

  lns_range #(
    .BITS     (BITS),
    .SIGNED   (SIGNED),
    .CALC_BITS(CalcBits)
  ) u_range (
    .code_i     (code),
    .negative_i (negative),
    .zero_i     (zero_a),
    .word_o     (word_o),
    .saturate_o (saturate_o),
    .underflow_o(underflow_o)
  );

endmodule
