"""Linear accumulation on vectors (spec, section 5) where a term is a product of two factors (`plan_factors`).

The factors of both operands are float32. Their product has the term's octave and sign; to its bits, taken for an
integer, half a unit of the ROM's last place is added, the bits below that place are cut off, and the conversion to an
integer truncates toward zero as the hardware does. One of the first two may not be needed: there is a loop for either
and one for both. No float is ever added.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from lns.kernels.packing import LEAST_WORK, ROWS, pack_by_table, tiles
from lns.kernels.plan_factors import Factors
from lns.kernels.product_linear import WIDTH, accumulate, write
from lns.kernels.tables import Threaded
from lns.kernels.vector import (
    add,
    bit_and,
    broadcast,
    floats_to_integers,
    load,
    multiply_floats,
    prefetch,
    splat,
    store_wide,
    together,
)
from lns.reference import LinearDot

Array = npt.NDArray[Any]

_inline = nb.njit(inline="always")


# What is done to a product in its second turn, and in its third.


@_inline
def _round(p, half, mask):  # type: ignore[no-untyped-def]
    return add(p, half)


@_inline
def _cut(p, half, mask):  # type: ignore[no-untyped-def]
    return bit_and(p, mask)


@_inline
def _term(q, half, mask):  # type: ignore[no-untyped-def]
    return floats_to_integers(q)


@_inline
def _cut_term(q, half, mask):  # type: ignore[no-untyped-def]
    return floats_to_integers(bit_and(q, mask))


@_inline
def _turn(second, third, a, i, b, j, p, q, x, half, mask):  # type: ignore[no-untyped-def]
    """(a row's product, that of the row before after its second turn, the sum x of the row before that)."""
    product = multiply_floats(load(b, j), broadcast(a, i))
    return together(product, second(p, half, mask), add(x, third(q, half, mask)))


@_inline
def _sums(second, third, a, b, half, mask, row, first, steps, out, place, stride):  # type: ignore[no-untyped-def]
    """The sums of a tile, with three rows on their way: an instruction that waits for the one just before it fills the
    queues in which a processor looks ahead."""
    half, mask = splat(np.int32(half)), splat(np.int32(mask))
    x0 = x1 = x2 = x3 = p = q = splat(np.int32(0))
    for step in range(steps):
        i, j = (row + step) * np.uint64(4), (first + step) * np.uint64(16)
        p, q, x2 = _turn(second, third, a, i, b, j, p, q, x2, half, mask)
        p, q, x3 = _turn(second, third, a, i + np.uint64(1), b, j, p, q, x3, half, mask)
        p, q, x0 = _turn(second, third, a, i + np.uint64(2), b, j, p, q, x0, half, mask)
        p, q, x1 = _turn(second, third, a, i + np.uint64(3), b, j, p, q, x1, half, mask)
    x2 = add(x2, third(q, half, mask))
    x3 = add(x3, third(second(p, half, mask), half, mask))
    store_wide(out, place, x0)
    store_wide(out, place + stride, x1)
    store_wide(out, place + np.uint64(2) * stride, x2)
    store_wide(out, place + np.uint64(3) * stride, x3)


@_inline
def _fits(totals, most):  # type: ignore[no-untyped-def]
    """Whether no total is further from 0 than ``most``."""
    furthest = np.int64(0)
    for i in range(64):
        furthest = max(furthest, abs(totals[i]))
    return furthest <= most


@_inline
def _tiles(  # type: ignore[no-untyped-def]
    second, third, begin, end, a, b, half, mask, steps, safe, span, lanes, largest, limit, m, n, out, events, strides
):
    """Accumulators tile by tile. Where they may leave their range (not ``safe``), a span in which they cannot, from
    where they are, is summed at once, any other one cycle after another."""
    groups = -(-m // 4)
    sums, totals, flags = np.empty(64, np.int64), np.empty(64, np.int64), np.zeros(64, np.uint8)
    for tile in range(begin, end):
        panel, group = tile // groups, tile % groups
        direct = safe and strides[1] == 1 and 4 * group + 4 <= m and 16 * panel + 16 <= n  # a whole tile, to the result
        target, place, stride = (out, 4 * group * n + 16 * panel, n) if direct else (sums, 0, 16)
        if direct:  # rows of a large result share a set of the first-level cache: no line of them is still there
            for row in range(4):
                for column in (0, 8, 15):  # up to three lines
                    prefetch(out, np.uint64(place + row * stride + column))
        if not safe:
            totals[:], flags[:] = 0, 0
        for k in range(0, steps, span):
            after = min(k + span, steps)
            some = span if safe or _fits(totals, limit - 1 - (after - k) * largest) else lanes
            for j in range(k, after, some):
                _sums(
                    second, third, a, b, half, mask, np.uint64(group * steps + j), np.uint64(panel * steps + j),
                    np.uint64(min(some, after - j)), target, np.uint64(place), np.uint64(stride),
                )  # fmt: skip
                if not safe:
                    accumulate(sums, totals, flags, -limit, limit - 1)
        if not direct:
            write(sums if safe else totals, flags, m, n, 4 * group, 16 * panel, out, events, strides)


def _masked_loop(  # type: ignore[no-untyped-def]
    begin, end, a, b, half, mask, steps, safe, span, lanes, largest, limit, m, n, out, events, strides
):
    _tiles(
        _cut, _term, begin, end, a, b, half, mask, steps, safe, span, lanes, largest, limit, m, n, out, events,
        strides,
    )  # fmt: skip


def _rounded_loop(  # type: ignore[no-untyped-def]
    begin, end, a, b, half, mask, steps, safe, span, lanes, largest, limit, m, n, out, events, strides
):
    _tiles(
        _round, _term, begin, end, a, b, half, mask, steps, safe, span, lanes, largest, limit, m, n, out, events,
        strides,
    )  # fmt: skip


def _both_loop(  # type: ignore[no-untyped-def]
    begin, end, a, b, half, mask, steps, safe, span, lanes, largest, limit, m, n, out, events, strides
):
    _tiles(
        _round, _cut_term, begin, end, a, b, half, mask, steps, safe, span, lanes, largest, limit, m, n, out, events,
        strides,
    )  # fmt: skip


_masked, _rounded, _both = (Threaded(loop, 4 * LEAST_WORK) for loop in (_masked_loop, _rounded_loop, _both_loop))


def product(a: Array, b: Array, unit: LinearDot, plan: Factors, transposed: bool = False) -> tuple[Array, Array]:
    """As `lns.kernels.product_linear.product`."""
    (m, k), n = a.shape, b.shape[1]
    shape, strides = ((n, m), (1, m)) if transposed else ((m, n), (n, 1))
    out, events = np.empty(shape, np.int64), np.zeros(shape, np.uint8)
    if k == 0:
        return np.zeros(shape, np.int64), events
    limit = 1 << (unit.bits - 1)
    lane = (1 << 31) - 1  # the largest sum in 32 bits
    safe = k <= min(lane, limit - 1) // plan.largest
    # sums that are not near the accumulator's ends have room for half of what the accumulator holds
    span = k if safe else unit.lanes * max(1, min(lane, limit // 2) // (plan.largest * unit.lanes))
    left, right = pack_by_table(a.T, plan.a, ROWS), pack_by_table(b, plan.b, WIDTH)
    loop = _masked if not plan.half else _both if plan.mask else _rounded
    loop(
        m * n * k, tiles(m, n, WIDTH), left, right, plan.half, plan.mask, k, safe, span,
        unit.lanes, plan.largest, limit, m, n, out.reshape(-1), events.reshape(-1), strides,
    )  # fmt: skip
    return out, events
