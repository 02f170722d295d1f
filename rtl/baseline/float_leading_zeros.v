// How many zeros stand above the leading one: a tree, for loops of priority make chains.
//
// Combinational. Without a one the count is WIDTH - 1 or WIDTH.
module float_leading_zeros #(
  parameter  int WIDTH = 28,
  localparam int COUNT = $clog2(WIDTH)
) (
  input  logic [WIDTH-1:0] bits_i,
  output logic [COUNT-1:0] count_o
);

  // ones below, up to a power of two
  localparam int Leaves = 1 << COUNT;
  logic [Leaves-1:0] padded;
  if (Leaves > WIDTH) begin : gen_padded
    assign padded = {bits_i, {(Leaves - WIDTH) {1'b1}}};
  end else begin : gen_full
    assign padded = bits_i;
  end

  // level l has a node for each 2^l bits, node 0 the highest: does it hold a one, and how many zeros are above it
  for (genvar l = 1; l <= COUNT; l++) begin : gen_level
    localparam int Nodes = Leaves >> l;
    logic [Nodes-1:0]   any;
    logic [Nodes*l-1:0] count;
    for (genvar n = 0; n < Nodes; n++) begin : gen_node
      if (l == 1) begin : gen_leaf
        assign any[n]   = padded[Leaves-1-2*n] || padded[Leaves-2-2*n];
        assign count[n] = !padded[Leaves-1-2*n];
      end else begin : gen_inner
        assign any[n] = gen_level[l-1].any[2*n] || gen_level[l-1].any[2*n+1];
        assign count[n*l+:l] = gen_level[l-1].any[2*n]
          ? {1'b0, gen_level[l-1].count[2*n*(l-1)+:l-1]}
          : {1'b1, gen_level[l-1].count[(2*n+1)*(l-1)+:l-1]};
      end
    end
  end

  assign count_o = gen_level[COUNT].count;
  logic unused_any;
  assign unused_any = gen_level[COUNT].any;

endmodule
