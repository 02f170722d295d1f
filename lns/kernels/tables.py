"""Tables of any kind as two dense arrays: what the log-add loops look up."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lns.gausslog import Ints, Table


@lru_cache(maxsize=64)
def dense(table: Table) -> tuple[Ints, Ints]:
    """(sb, db) for d = 0, 1, …; zero beyond the end of each, and db[0] = 0 (never used).

    int64 arrays of one common length whose last entries are zero, so that a distance may be clamped to the last index.
    """
    f, k, g = table.frac_bits, table.kind.k, table.kind.g
    if table.kind.kind == "mitchell":
        d = np.arange(((f + 2) << f) + 1)
        q, r = d >> f, d & ((1 << f) - 1)
        sb = ((2 << f) - r) >> (q + 1)
        y = np.maximum((1 << f) - sb, 1)
        below = f - np.array([int(v).bit_length() - 1 for v in y])
        db = (below << f) - ((y << below) - (1 << f))
        db[0] = 0
        return sb, db
    roms = table.roms
    out = []
    for name in ("sb", "db"):
        if table.kind.kind == "linear":
            base, slope = roms[f"{name}_base"], roms[f"{name}_slope"]
            x = np.arange(1 << k)
            values = ((base[:, None] - slope[:, None] * x) >> g).reshape(-1)
            if name == "db":
                values[: 1 << k] = roms["db_first"]
        else:
            values = np.repeat(roms[name], 1 << k)
        out.append(values)
    out[1][0] = 0
    size = max(values.size for values in out) + 1
    sb, db = (np.concatenate([values, np.zeros(size - values.size, np.int64)]) for values in out)
    return sb, db
