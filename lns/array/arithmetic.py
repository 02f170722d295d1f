"""Which hardware computes: the table of the log-adder, the accumulator, and the rounding of conversions."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, cast

from lns.design import Accumulator, Design, LinearAccumulator, LogAccumulator
from lns.format import LNSFormat, Rounding
from lns.gausslog import Table, TableKind, table

_ACCUMULATORS = {kind.kind: kind for kind in (LinearAccumulator, LogAccumulator)}


@dataclass(frozen=True, slots=True, repr=False)
class Arithmetic:
    """What an `LNSArray` computes with.

    Parameters
    ----------
    table : TableKind or str
        Of the log-adder that ``+`` and ``-`` use, at the fraction bits of the array's format.
    accumulator : LinearAccumulator, LogAccumulator or None
        Of dot products, matrix products and sums. None is a multiplier and one log-adder in the array's own format:
        a log accumulator (spec, section 7) of one lane and offset 0, with ``table``.
    rounding : Rounding
        NEAREST or DOWN: of numbers to words, of `LNSArray.astype`, and of what a log accumulator in another format
        gives.

    Raises
    ------
    TypeError, ValueError
        If the accumulator is none, the table kind is not known, or the rounding is stochastic.

    Examples
    --------
    >>> Arithmetic("coarse<2>")
    Arithmetic(table='coarse<2>')
    """

    table: TableKind | str = field(default_factory=TableKind)
    accumulator: Accumulator | None = None
    rounding: Rounding = Rounding.NEAREST

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", TableKind.parse(str(self.table)))
        if not (self.accumulator is None or isinstance(self.accumulator, Accumulator)):
            raise TypeError(f"an accumulator is a LinearAccumulator or a LogAccumulator, got {self.accumulator!r}")
        if self.rounding not in (Rounding.NEAREST, Rounding.DOWN):
            raise ValueError(f"conversions round by Rounding.NEAREST or Rounding.DOWN, got {self.rounding!r}")

    @classmethod
    def of(cls, design: Design) -> Arithmetic:
        """What a design's chip computes with."""
        return cls(design.adder.table, design.accumulator, design.conversion.rounding)

    def adder(self, fmt: LNSFormat) -> Table:
        """The table of the log-adder for words of a format."""
        return table(cast(TableKind, self.table), fmt.frac_bits)

    def __repr__(self) -> str:
        given = []
        if self.table != TableKind():
            given.append(f"table={str(self.table)!r}")
        if self.accumulator is not None:
            given.append(f"accumulator={self.accumulator!r}")
        if self.rounding is not Rounding.NEAREST:
            given.append(f"rounding={self.rounding}")
        return f"Arithmetic({', '.join(given)})"

    def to_json(self) -> str:
        """Text that `from_json` reads back to an equal arithmetic."""
        accumulator: dict[str, Any] | None = None
        if self.accumulator is not None:
            accumulator = {"kind": self.accumulator.kind}
            for spec in dataclasses.fields(self.accumulator):
                value = getattr(self.accumulator, spec.name)
                accumulator[spec.name] = value if isinstance(value, int) else str(value)
        data = {"table": str(self.table), "accumulator": accumulator, "rounding": self.rounding.value}
        return json.dumps(data)

    @classmethod
    def from_json(cls, text: str) -> Arithmetic:
        """
        Raises
        ------
        ValueError, KeyError, TypeError
            If the text is none of `to_json`'s.
        """
        data = json.loads(text)
        accumulator = None
        if data["accumulator"] is not None:
            parsers: dict[str, Any] = {"format": LNSFormat.parse, "table": TableKind.parse}
            given = dict(data["accumulator"])
            kind: Any = _ACCUMULATORS[given.pop("kind")]
            accumulator = kind(**{name: parsers.get(name, int)(value) for name, value in given.items()})
        return cls(data["table"], accumulator, Rounding(data["rounding"]))
