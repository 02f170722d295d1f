// Random bits of one lane: r shifts of a 32-bit LFSR at once (docs/spec.md, section 8.1; lns/reference.py: lfsr_draw).
//
// Combinational; the state is kept outside. Fibonacci form; polynomial x^32 + x^22 + x^2 + x + 1.
module lns_lfsr #(
  parameter int DRAW_BITS = 8  // r, at most 32
) (
  input  logic [         31:0] state_i,
  output logic [         31:0] state_o,
  output logic [DRAW_BITS-1:0] random_o
);

  always_comb begin
    state_o = state_i;
    for (int i = 0; i < DRAW_BITS; i++) begin
      state_o = {state_o[30:0], state_o[31] ^ state_o[21] ^ state_o[1] ^ state_o[0]};
    end
  end

  assign random_o = state_o[DRAW_BITS-1:0];

endmodule
