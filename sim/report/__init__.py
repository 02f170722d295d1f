"""What people read and look at: a design in words, tables' errors, learning curves."""
