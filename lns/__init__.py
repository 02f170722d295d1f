"""A bit-accurate model of logarithmic-number-system hardware: formats, tables, units and kernels."""

from lns import kernels, reference
from lns.codec import decode, encode
from lns.design import Design, DesignError, load, preset_names
from lns.format import Event, LNSFormat, Rounding
from lns.gausslog import TableKind, table

__version__ = "0.1.0"

__all__ = [
    "Design", "DesignError", "Event", "LNSFormat", "Rounding", "TableKind",
    "decode", "encode", "kernels", "load", "preset_names", "reference", "table",
]  # fmt: skip
