"""A bit-accurate model of logarithmic-number-system hardware: formats, tables, units and kernels."""

from lns import kernels, reference
from lns.array import Arithmetic, LNSArray, finfo, matmul, with_events
from lns.codec import decode, encode
from lns.design import Design, DesignError, LinearAccumulator, LogAccumulator, load, preset_names
from lns.format import Event, LNSFormat, Rounding
from lns.gausslog import TableKind, table

__version__ = "0.1.0"

__all__ = [
    "Arithmetic", "Design", "DesignError", "Event", "LNSArray", "LNSFormat", "LinearAccumulator", "LogAccumulator",
    "Rounding", "TableKind", "decode", "encode", "finfo", "kernels", "load", "matmul", "preset_names", "reference",
    "table", "with_events",
]  # fmt: skip
