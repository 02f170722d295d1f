"""What the loops over words share: how threads share their turns, and tables as dense arrays that they look up.

A loop computes in int32 where the widths of its formats keep every intermediate within 31 bits, else in int64: twice
the lanes in a vector. The caller decides, by a rule that stands beside the loop, and says so by the dtype of an array
that it passes. A loop that looks something up goes block by block: the arithmetic before and after, which vectorises,
and the look-ups, which do not, are passes of their own over scratch.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from itertools import count
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from lns.gausslog import Ints, Table
from lns.kernels.compiling import jit

BLOCK = 1024  #: elements; a few rows of scratch and their operands stay in the first-level cache


def integers(narrow: bool) -> npt.NDArray[Any]:
    """An empty array that says by its dtype, int32 or int64, in which integers a loop is to compute."""
    return np.empty(0, np.int32 if narrow else np.int64)


@cache
def _pool() -> ThreadPoolExecutor:
    """The threads beside the caller's own."""
    return ThreadPoolExecutor(max(1, nb.config.NUMBA_NUM_THREADS - 1), "lns")


os.register_at_fork(after_in_child=_pool.cache_clear)


class Threaded:
    """A loop whose turns threads share out: each takes the next part when it is done with one.

    A thread that gets no core takes nothing, and nobody waits for it. How many threads there are is Numba's setting
    (``numba.set_num_threads``).

    Parameters
    ----------
    loop : function of (first, last, arguments …)
        Turns first to last - 1. What a turn computes must not depend on other turns.
    least : int
        Work from which on threads pay: about half a millisecond's.
    """

    _PARTS = 8  # a thread at the most: enough that threads of unequal speed end together

    def __init__(self, loop: Any, least: int) -> None:
        self.loop, self.least = jit(loop), least

    def __call__(self, work: int, turns: int, *arguments: Any) -> None:
        threads = min(nb.get_num_threads(), turns) if work >= self.least else 1
        if threads <= 1:
            self.loop(0, turns, *arguments)
            return
        parts, numbers = min(turns, threads * min(self._PARTS, work // self.least)), count()

        def take_parts() -> None:
            while (part := next(numbers)) < parts:
                self.loop(part * turns // parts, (part + 1) * turns // parts, *arguments)

        others = [_pool().submit(take_parts) for _ in range(threads - 1)]
        try:
            take_parts()
        finally:
            for other in others:
                if not other.cancel():  # one that has begun
                    other.result()


def _leading_zeros(typingctx, x):  # type: ignore[no-untyped-def]
    """Zero bits above the leading one of an integer; all of its bits for 0."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return x(x), codegen


def _float_bits(typingctx, x):  # type: ignore[no-untyped-def]
    """The pattern of a float64, uint64."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.uint64(types.float64), codegen


#: callable in compiled loops alone
leading_zeros: Any = intrinsic(_leading_zeros)
float_bits: Any = intrinsic(_float_bits)


@jit
def look_up(table, indices):  # type: ignore[no-untyped-def]
    """Indices replaced by the entries of a table, in place."""
    for i in range(indices.size):
        indices[i] = table[np.uint32(indices[i])]  # unsigned: Numba need not think of indices from the end


def _gather_loop(first, last, table, indices, out):  # type: ignore[no-untyped-def]
    indices, out = indices[first:last], out[first:last]
    for i in range(indices.size):
        out[i] = table[indices[i]]


_gather = Threaded(_gather_loop, 1 << 20)


def gather(table: npt.NDArray[Any], indices: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """``table[indices]`` for unsigned indices that are all within the table, which nothing checks here."""
    out = np.empty(indices.shape, table.dtype)
    _gather(indices.size, indices.size, table, np.ascontiguousarray(indices).reshape(-1), out.reshape(-1))
    return out


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


@lru_cache(maxsize=64)
def sums(table: Table) -> npt.NDArray[np.int32]:
    """sb and then -db, of one length each: what is added to the larger code for equal and for unlike signs.

    int32 holds the entries of every table there is (F ≤ 24) in half the cache.
    """
    sb, db = dense(table)
    return np.concatenate([sb, -db]).astype(np.int32)
