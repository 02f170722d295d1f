"""Linear accumulation on vectors (spec, section 5) where a term is a product of two factors (`plan_factors`).

The factors of both operands are float32. Their product has the term's octave and sign; to its bits, taken for an
integer, half a unit of the ROM's last place is added, the bits below that place are cut off, and the conversion to an
integer truncates toward zero as the hardware does. No float is ever added.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from lns.kernels.packing import LEAST_WORK, ROWS, pack_by_table, tiles
from lns.kernels.plan_factors import Factors
from lns.kernels.product_linear import WIDTH, accumulate, write
from lns.kernels.tables import Threaded, jit
from lns.kernels.vector import add, bit_and, broadcast, floats_to_integers, load, multiply_floats, splat, store_wide
from lns.reference import LinearDot

Array = npt.NDArray[Any]

_inline = nb.njit(inline="always")


@_inline
def _row(x, b, a, i, half, mask):  # type: ignore[no-untyped-def]
    """The sums of one row after a step."""
    return add(x, floats_to_integers(add(multiply_floats(b, broadcast(a, i)), half)))


@_inline
def _masked_row(x, b, a, i, half, mask):  # type: ignore[no-untyped-def]
    return add(x, floats_to_integers(bit_and(add(multiply_floats(b, broadcast(a, i)), half), mask)))


@_inline
def _sums(one_row, a, b, half, mask, row, first, steps, out, place, stride):  # type: ignore[no-untyped-def]
    half, mask = splat(np.int32(half)), splat(np.int32(mask))
    x0 = x1 = x2 = x3 = splat(np.int32(0))
    for step in range(steps):
        i, c = (row + step) * np.uint64(4), load(b, (first + step) * np.uint64(16))
        x0 = one_row(x0, c, a, i, half, mask)
        x1 = one_row(x1, c, a, i + np.uint64(1), half, mask)
        x2 = one_row(x2, c, a, i + np.uint64(2), half, mask)
        x3 = one_row(x3, c, a, i + np.uint64(3), half, mask)
    store_wide(out, place, x0)
    store_wide(out, place + stride, x1)
    store_wide(out, place + np.uint64(2) * stride, x2)
    store_wide(out, place + np.uint64(3) * stride, x3)


@jit
def _tile(a, b, half, mask, masked, row, first, steps, out, place, stride):  # type: ignore[no-untyped-def]
    """The sums of one tile, a row every ``stride`` of ``out`` from ``place`` on; ``row`` and ``first`` are the places,
    counted in steps, where its panels begin."""
    if masked:
        _sums(_masked_row, a, b, half, mask, row, first, steps, out, place, stride)
    else:
        _sums(_row, a, b, half, mask, row, first, steps, out, place, stride)


@_inline
def _fits(totals, most):  # type: ignore[no-untyped-def]
    """Whether no total is further from 0 than ``most``."""
    furthest = np.int64(0)
    for i in range(64):
        furthest = max(furthest, abs(totals[i]))
    return furthest <= most


@jit
def _long_tile(  # type: ignore[no-untyped-def]
    a, b, half, mask, masked, row, first, steps, span, lanes, largest, limit, sums, totals, flags
):
    """The accumulators of one tile whose sums may leave their range. A span in which they cannot, from where they are,
    is summed at once, any other one cycle after another."""
    zero, sixteen = np.uint64(0), np.uint64(16)
    totals[:], flags[:] = 0, 0
    for k in range(0, steps, span):
        end = min(k + span, steps)
        at_once = _fits(totals, limit - 1 - (end - k) * largest)
        some = span if at_once else lanes
        for j in range(k, end, some):
            _tile(
                a, b, half, mask, masked, np.uint64(row + j), np.uint64(first + j), np.uint64(min(some, end - j)),
                sums, zero, sixteen,
            )  # fmt: skip
            accumulate(sums, totals, flags, -limit, limit - 1)


def _loop(  # type: ignore[no-untyped-def]
    begin, end, a, b, half, mask, masked, steps, safe, span, lanes, largest, limit, m, n, out, events, strides
):
    groups = -(-m // 4)
    sums, totals, flags = np.empty(64, np.int64), np.empty(64, np.int64), np.zeros(64, np.uint8)
    for tile in range(begin, end):
        panel, group = tile // groups, tile % groups
        row, first = group * steps, panel * steps
        if not safe:
            _long_tile(
                a, b, half, mask, masked, row, first, steps, span, lanes, largest, limit, sums, totals, flags
            )
            write(totals, flags, m, n, 4 * group, 16 * panel, out, events, strides)
            continue
        whole = strides[1] == 1 and 4 * group + 4 <= m and 16 * panel + 16 <= n
        target, place, stride = (out, 4 * group * n + 16 * panel, n) if whole else (sums, 0, 16)
        _tile(
            a, b, half, mask, masked, np.uint64(row), np.uint64(first), np.uint64(steps),
            target, np.uint64(place), np.uint64(stride),
        )  # fmt: skip
        if not whole:
            write(sums, flags, m, n, 4 * group, 16 * panel, out, events, strides)


_factors = Threaded(_loop, 4 * LEAST_WORK)


def product(a: Array, b: Array, unit: LinearDot, plan: Factors, transposed: bool = False) -> tuple[Array, Array]:
    """As `lns.kernels.product_linear.product`."""
    (m, k), n = a.shape, b.shape[1]
    shape, strides = ((n, m), (1, m)) if transposed else ((m, n), (n, 1))
    out, events = np.empty(shape, np.int64), np.zeros(shape, np.uint8)
    limit = 1 << (unit.bits - 1)
    lane = (1 << 31) - 1  # the largest sum in 32 bits
    safe = k <= min(lane, limit - 1) // plan.largest
    # sums that are not near the accumulator's ends have room for half of what the accumulator holds
    span = unit.lanes * max(1, min(lane, limit // 2) // (plan.largest * unit.lanes))
    left, right = pack_by_table(a.T, plan.a, ROWS), pack_by_table(b, plan.b, WIDTH)
    _factors(
        m * n * k, tiles(m, n, WIDTH), left, right, plan.half, plan.mask, plan.masked, k, safe, span,
        unit.lanes, plan.largest, limit, m, n, out.reshape(-1), events.reshape(-1), strides,
    )  # fmt: skip
    return out, events
