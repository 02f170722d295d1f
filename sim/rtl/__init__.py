"""A Verilog bundle of a design that stands alone: wrappers, ROM images, benches, a Makefile; no Python needed."""
