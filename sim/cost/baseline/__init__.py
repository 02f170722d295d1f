"""Multiply-accumulate hardware of ours in floating point and integers, to set the logarithmic one against."""
