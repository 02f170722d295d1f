"""The units as compiled loops over arrays: the same names, words and events as lns.reference.

Every function takes words as unsigned arrays and returns words and a uint8 array of `Event` flags, one for each emitted
word. No function keeps state, and none uses fast-math.
"""

from lns.kernels.dot import dot_linear, dot_log
from lns.kernels.elementwise import (
    add,
    argmax,
    convert,
    count_events,
    div,
    largest_code,
    maximum,
    mul,
    relu,
    sqrt,
    square,
)  # fmt: skip
from lns.kernels.loss import loss
from lns.kernels.to_log import linear_to_log
from lns.kernels.update import draws, lfsr_seeds, update

__all__ = [
    "add", "argmax", "convert", "count_events", "div", "dot_linear", "dot_log", "draws", "largest_code", "lfsr_seeds",
    "linear_to_log", "loss", "maximum", "mul", "relu", "sqrt", "square", "update",
]  # fmt: skip
