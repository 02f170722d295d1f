"""Verification: the Verilog against the definition, bit for bit."""
