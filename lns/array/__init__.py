"""Words as NumPy's users hold arrays (docs/array.md)."""

from lns.array.arithmetic import Arithmetic
from lns.array.limits import finfo
from lns.array.lnsarray import LNSArray, matmul, with_events

__all__ = ["Arithmetic", "LNSArray", "finfo", "matmul", "with_events"]
