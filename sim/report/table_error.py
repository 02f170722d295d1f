"""How far a table of Gaussian logarithms is from the exact values, over its whole domain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lns.gausslog import Table, TableKind, table
from lns.kernels.tables import dense


@dataclass(frozen=True, slots=True)
class TableError:
    """Error of sb or db over its whole domain, in codes (2**-F octaves)."""

    worst: float
    worst_at: int
    mean: float
    rms: float


def table_error(source: Table) -> dict[str, TableError]:
    """Worst, mean and RMS of table - exact for sb and db, over d to the last nonzero entry and an octave more."""
    scale = float(1 << source.frac_bits)
    sb, db = dense(source)
    full = table(TableKind(), source.frac_bits)
    size = max(full.roms["sb"].size, full.roms["db"].size) + (1 << source.frac_bits)
    out = {}
    for name, got, first, sign in (("sb", sb, 0, 1.0), ("db", db, 1, -1.0)):
        d = np.arange(first, size)
        values = np.zeros(size)
        values[: min(size, got.size)] = got[:size]
        error = values[first:] - sign * scale * np.log1p(sign * np.exp2(-d / scale)) / np.log(2.0)
        worst = int(np.argmax(np.abs(error)))
        out[name] = TableError(
            float(error[worst]), int(d[worst]), float(error.mean()), float(np.sqrt(np.mean(error**2)))
        )
    return out
