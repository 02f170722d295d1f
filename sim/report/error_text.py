"""The rows of ``lns error`` as lines for a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lns.design import Design
from sim.report.error_rows import SPREADS, Error, UnitError

if TYPE_CHECKING:
    from sim.report.error import DotError

_UNIT_ROW = "{:<21} {:<8} {:>9} {:>9} | {:>9} {:>9} {:>9} | {:>9} {:>9} {:>9}"
_DOT_ROW = "{:>5} {:>9} {:>9} | {:>9} {:>9} {:>9} | {:>9} {:>9} {:>9} | {:>9} {:>9}  {}"


def _number(value: float) -> str:
    return "0" if value == 0 else "-" if math.isnan(value) else f"{value:+.2e}"


def _triple(error: Error) -> tuple[str, str, str]:
    return _number(error.bias), _number(error.rms).lstrip("+"), _number(error.worst)


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def text(design: Design, units: list[UnitError], dots: list[DotError]) -> str:
    """What `sim.report.error.measure` gives as lines for a terminal."""
    lines = [
        f"{design.name}: error of each unit against exact arithmetic on the same operands",
        "",
        _UNIT_ROW.format(*4 * ("",), "relative", "", "", "in codes", "", ""),
        _UNIT_ROW.format("unit", "operands", "compared", "left out", *2 * ("bias", "RMS", "worst")),
    ]
    for row in units:
        operands, out = "all" if row.exhaustive else "random", sum(row.left_out.values())
        errors = (*_triple(row.relative), *_triple(row.absolute))
        unit = "" if row.absolute_in == "codes" else f"  {row.absolute_in}"
        lines.append(_UNIT_ROW.format(row.unit, operands, row.compared, out, *errors) + unit)
        lines.append(f"  {row.where}: {row.what}" + (f"; left out: {_reasons(row.left_out)}" if row.left_out else ""))
        if row.worst_at:
            lines.append(f"  worst at {row.worst_at}")
    lines += ["", "Dot products of random operands, log2 of whose magnitudes is normal"]
    for name, (deviation, below) in SPREADS.items():
        octaves = f"standard deviation {deviation:g} octaves, median {below:g} octaves below the largest word"
        lines.append(f"  {name + 's':<12} {octaves}")
    titles = _DOT_ROW.format(
        *3 * ("",), "error of", "the accu-", "mulator", "error of", "the word", "", "word to", "sum", ""
    )
    header = _DOT_ROW.format("K", "compared", "left out", *2 * ("bias", "RMS", "worst"), "RMS/RMS", "median", "")
    before = ""
    for dot in dots:
        if dot.what + dot.where != before:
            before = dot.what + dot.where
            lines += ["", f"{dot.where}: {dot.what}; errors over the sum of |a·b|", titles.rstrip(), header.rstrip()]
        counts = dot.length, dot.compared, sum(dot.left_out.values())
        ratios = (_number(value).lstrip("+") for value in (dot.word_to_sum, dot.median_to_sum))
        why = [_reasons(dot.left_out)] if dot.left_out else []
        why += [f"compared with acc_underflow: {dot.underflowed}"] if dot.underflowed else []
        errors = (*_triple(dot.accumulator), *_triple(dot.word))
        lines.append(_DOT_ROW.format(*counts, *errors, *ratios, "; ".join(why)).rstrip())
    return "\n".join(lines)
