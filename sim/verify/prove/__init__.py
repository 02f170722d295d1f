"""``lns prove``: the Verilog of a unit is, for all inputs, what the definition says."""
