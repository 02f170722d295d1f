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

  // a function, since Icarus takes a process that reads what it writes for one that waits for its own results
  function automatic logic [31:0] shifted(input logic [31:0] state);
    shifted = state;
    for (int i = 0; i < DRAW_BITS; i++) begin
      shifted = {shifted[30:0], shifted[31] ^ shifted[21] ^ shifted[1] ^ shifted[0]};
    end
  endfunction

  assign state_o  = shifted(state_i);
  assign random_o = state_o[DRAW_BITS-1:0];

endmodule
