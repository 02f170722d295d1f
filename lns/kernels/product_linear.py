"""Linear accumulation on vectors (spec, section 5).

The terms of a product are added in 32-bit lanes, as long as they cannot overflow there; the sums then go to the 64-bit
accumulators, which saturate where the definition does. A term is found in one of three ways, which `plan_linear.plan`
chooses.

- *Bytes*: a step takes four neighbouring k. A saturating subtraction of bytes gives the index of the term, two
  registers hold 127 terms' low bytes and two their high bytes, and a dot product of bytes applies the signs and adds.
- *Words*: a step takes two neighbouring k. A term is one of the largest octave, from a table in registers, shifted
  right by octaves, and a dot product of 16-bit words applies the signs and adds. Where an octave has more than 64
  terms, 64 straight lines give them, but for a unit that some lack and that a bit of each adds.
- *Floats*: the product's code is, but for the fraction bits, the exponent of a float32 whose significand stands in a
  table, and the conversion to an integer truncates toward zero as the hardware does. The table is in a register for
  few fraction bits, else in memory.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from lns.format import Event
from lns.kernels.compiling import jit
from lns.kernels.packing import LEAST_WORK, ROWS, pack, tiles
from lns.kernels.plan_linear import FEW, MANY, Plan
from lns.kernels.tables import Threaded
from lns.kernels.vector import (
    add,
    add_saturating_unsigned,
    bit_and,
    bit_xor,
    broadcast,
    dot2,
    dot4,
    floats_to_integers,
    load,
    lookup,
    lookup_16,
    lookup_64,
    lookup_128,
    product_high,
    rotate_right,
    shift_left,
    shift_right,
    shift_right_far,
    splat,
    store,
    sub,
    sub_saturating_unsigned,
)
from lns.reference import LinearDot

Array = npt.NDArray[Any]

ACC_SATURATE = int(Event.ACC_SATURATE)

WIDTH = 16  #: columns of a tile: 32-bit lanes of a vector

_inline = nb.njit(inline="always")


@_inline
def _bytes_row(x, y, codes, signs, a, flips, i, low, high):  # type: ignore[no-untyped-def]
    """The sums of low and of high bytes after a step of one row."""
    index = sub_saturating_unsigned(codes, broadcast(a, i))
    signs = bit_xor(signs, broadcast(flips, i))
    return dot4(x, lookup_128(low, index), signs), dot4(y, lookup_128(high, index), signs)


@jit
def _bytes_tile(a, flips, b, signs, table, row, first, steps, sums):  # type: ignore[no-untyped-def]
    """The sums of one tile; ``row`` and ``first`` are the places, counted in steps, where its panels begin."""
    low, high = table[0], table[1]
    x0 = x1 = x2 = x3 = y0 = y1 = y2 = y3 = splat(np.int32(0))
    for step in range(steps):
        i, j = (row + step) * np.uint64(4), (first + step) * np.uint64(64)
        c, s = load(b, j), load(signs, j)
        x0, y0 = _bytes_row(x0, y0, c, s, a, flips, i, low, high)
        x1, y1 = _bytes_row(x1, y1, c, s, a, flips, i + np.uint64(1), low, high)
        x2, y2 = _bytes_row(x2, y2, c, s, a, flips, i + np.uint64(2), low, high)
        x3, y3 = _bytes_row(x3, y3, c, s, a, flips, i + np.uint64(3), low, high)
    eight = splat(np.int32(8))
    store(sums, 0, add(x0, shift_left(y0, eight)))
    store(sums, 16, add(x1, shift_left(y1, eight)))
    store(sums, 32, add(x2, shift_left(y2, eight)))
    store(sums, 48, add(x3, shift_left(y3, eight)))


@_inline
def _terms_row(x, codes, signs, a, flips, i, table, unit):  # type: ignore[no-untyped-def]
    """The sums after a step of one row."""
    p = add_saturating_unsigned(codes, broadcast(a, i))
    signs = bit_xor(signs, broadcast(flips, i))
    octaves = shift_right(p, splat(np.int16(FEW)))
    return dot2(x, shift_right_far(lookup_64(table[0], p), octaves), signs)


@_inline
def _lines_row(x, codes, signs, a, flips, i, table, unit):  # type: ignore[no-untyped-def]
    p = add_saturating_unsigned(codes, broadcast(a, i))
    signs = bit_xor(signs, broadcast(flips, i))
    line, octaves = shift_right(p, splat(np.int16(4))), shift_right(p, splat(np.int16(MANY)))
    fall = product_high(lookup_64(table[1], line), shift_left(p, splat(np.int16(12))))
    missing = bit_and(rotate_right(lookup_64(table[2], line), p), unit)
    term = add(sub(lookup_64(table[0], line), fall), missing)
    return dot2(x, shift_right_far(term, octaves), signs)


@_inline
def _words_sums(one_row, a, flips, b, signs, table, unit, row, first, steps, sums):  # type: ignore[no-untyped-def]
    one = splat(np.int16(unit))
    x0 = x1 = x2 = x3 = splat(np.int32(0))
    for step in range(steps):
        i, j = (row + step) * np.uint64(4), (first + step) * np.uint64(32)
        c, s = load(b, j), load(signs, j)
        x0 = one_row(x0, c, s, a, flips, i, table, one)
        x1 = one_row(x1, c, s, a, flips, i + np.uint64(1), table, one)
        x2 = one_row(x2, c, s, a, flips, i + np.uint64(2), table, one)
        x3 = one_row(x3, c, s, a, flips, i + np.uint64(3), table, one)
    store(sums, 0, x0)
    store(sums, 16, x1)
    store(sums, 32, x2)
    store(sums, 48, x3)


@jit
def _words_tile(a, flips, b, signs, table, direct, unit, row, first, steps, sums):  # type: ignore[no-untyped-def]
    """As `_bytes_tile`."""
    if direct:
        _words_sums(_terms_row, a, flips, b, signs, table, unit, row, first, steps, sums)
    else:
        _words_sums(_lines_row, a, flips, b, signs, table, unit, row, first, steps, sums)


@_inline
def _register_row(x, b, a, i, table, up, fraction):  # type: ignore[no-untyped-def]
    p = add(b, broadcast(a, i))
    return add(x, floats_to_integers(add(shift_left(p, up), lookup_16(table, p))))


@_inline
def _memory_row(x, b, a, i, table, up, fraction):  # type: ignore[no-untyped-def]
    p = add(b, broadcast(a, i))
    return add(x, floats_to_integers(add(shift_left(p, up), lookup(table, bit_and(p, fraction)))))


@_inline
def _floats_sums(one_row, a, b, table, frac_bits, row, first, steps, sums):  # type: ignore[no-untyped-def]
    up, fraction = splat(np.int32(23 - frac_bits)), splat(np.int32((1 << frac_bits) - 1))
    x0 = x1 = x2 = x3 = splat(np.int32(0))
    for step in range(steps):
        i, c = (row + step) * np.uint64(4), load(b, (first + step) * np.uint64(16))
        x0 = one_row(x0, c, a, i, table, up, fraction)
        x1 = one_row(x1, c, a, i + np.uint64(1), table, up, fraction)
        x2 = one_row(x2, c, a, i + np.uint64(2), table, up, fraction)
        x3 = one_row(x3, c, a, i + np.uint64(3), table, up, fraction)
    store(sums, 0, x0)
    store(sums, 16, x1)
    store(sums, 32, x2)
    store(sums, 48, x3)


@jit
def _floats_tile(a, b, table, direct, frac_bits, row, first, steps, sums):  # type: ignore[no-untyped-def]
    """As `_bytes_tile`."""
    if direct:
        _floats_sums(_register_row, a, b, table, frac_bits, row, first, steps, sums)
    else:
        _floats_sums(_memory_row, a, b, table, frac_bits, row, first, steps, sums)


@_inline
def accumulate(sums, totals, flags, least, most):  # type: ignore[no-untyped-def]
    """Sums of a few terms to the accumulators, which saturate."""
    for i in range(64):
        total = totals[i] + np.int64(sums[i])
        flags[i] |= np.uint8(ACC_SATURATE if (total > most) | (total < least) else 0)
        totals[i] = min(max(total, least), most)


@_inline
def _write_row(totals, flags, first, columns, place, step, out, events):  # type: ignore[no-untyped-def]
    for c in range(np.uint64(columns)):
        out[place + c * step], events[place + c * step] = totals[first + c], flags[first + c]


@_inline
def write(totals, flags, m, n, first_m, first_n, out, events, strides):  # type: ignore[no-untyped-def]
    """A tile into the (m, n) result."""
    columns, step, one = min(16, n - first_n), np.uint64(strides[1]), np.uint64(1)
    for r in range(min(4, m - first_m)):
        first, place = np.uint64(16 * r), np.uint64((first_m + r) * strides[0] + first_n * strides[1])
        if columns == 16 and step == one:  # in vectors
            _write_row(totals, flags, first, 16, place, one, out, events)
        else:
            _write_row(totals, flags, first, columns, place, step, out, events)


def _bytes_loop(begin, end, a, flips, b, signs, table, steps, m, n, out, events, strides):  # type: ignore[no-untyped-def]
    groups = -(-m // 4)
    sums, flags = np.empty(64, np.int32), np.zeros(64, np.uint8)
    for tile in range(begin, end):
        panel, group = tile // groups, tile % groups
        _bytes_tile(
            a, flips, b, signs, table, np.uint64(group * steps), np.uint64(panel * steps), np.uint64(steps), sums
        )
        write(sums, flags, m, n, 4 * group, 16 * panel, out, events, strides)


def _floats_loop(  # type: ignore[no-untyped-def]
    begin, end, a, b, table, direct, frac_bits, steps, span, least, most, m, n, out, events, strides
):
    groups = -(-m // 4)
    sums, totals, flags = np.empty(64, np.int32), np.empty(64, np.int64), np.empty(64, np.uint8)
    for tile in range(begin, end):
        panel, group = tile // groups, tile % groups
        totals[:], flags[:] = 0, 0
        for k in range(0, steps, span):
            _floats_tile(
                a, b, table, direct, frac_bits, np.uint64(group * steps + k), np.uint64(panel * steps + k),
                np.uint64(min(span, steps - k)), sums,
            )  # fmt: skip
            accumulate(sums, totals, flags, least, most)
        write(totals, flags, m, n, 4 * group, 16 * panel, out, events, strides)


def _words_loop(  # type: ignore[no-untyped-def]
    begin, end, a, flips, b, signs, table, direct, unit, steps, span, least, most, m, n, out, events, strides
):
    groups = -(-m // 4)
    sums, totals, flags = np.empty(64, np.int32), np.empty(64, np.int64), np.empty(64, np.uint8)
    for tile in range(begin, end):
        panel, group = tile // groups, tile % groups
        totals[:], flags[:] = 0, 0
        for k in range(0, steps, span):
            _words_tile(
                a, flips, b, signs, table, direct, unit, np.uint64(group * steps + k),
                np.uint64(panel * steps + k), np.uint64(min(span, steps - k)), sums,
            )  # fmt: skip
            accumulate(sums, totals, flags, least, most)
        write(totals, flags, m, n, 4 * group, 16 * panel, out, events, strides)


_bytes = Threaded(_bytes_loop, 8 * LEAST_WORK)
_words = Threaded(_words_loop, 2 * LEAST_WORK)
_floats = Threaded(_floats_loop, LEAST_WORK)


def product(a: Array, b: Array, unit: LinearDot, plan: Plan, transposed: bool = False) -> tuple[Array, Array]:
    """The accumulators of (M, K) times (K, N) and their events, as `lns.kernels.dot_linear` gives them, or the (N, M)
    transpose of both."""
    (m, k), n = a.shape, b.shape[1]
    shape, strides = ((n, m), (1, m)) if transposed else ((m, n), (n, 1))
    out, events = np.empty(shape, np.int64), np.empty(shape, np.uint8)
    work, result = (m * n * k, tiles(m, n, WIDTH)), (m, n, out.reshape(-1), events.reshape(-1), strides)
    if plan.way == "bytes":
        left, right = pack(a.T, plan.a, np.uint8, ROWS, 4), pack(b, plan.b, np.uint8, WIDTH, 4)
        _bytes(*work, *left, *right, plan.table, -(-k // 4), *result)
        return out, events
    span, limit = unit.lanes if k > unit.safe_length else max(1, ((1 << 31) - 1) // plan.largest), 1 << (unit.bits - 1)
    ends = -limit, limit - 1
    if plan.way == "words":
        left, right = pack(a.T, plan.a, np.uint16, ROWS, 2), pack(b, plan.b, np.uint16, WIDTH, 2)
        unit_bit = 1 << (15 - unit.guard)
        _words(*work, *left, *right, plan.table, plan.direct, unit_bit, -(-k // 2), span // 2, *ends, *result)
        return out, events
    codes, signs = pack(a.T, plan.a, np.int32, ROWS)
    codes += signs
    panels, signs = pack(b, plan.b, np.int32, WIDTH)
    panels += signs
    _floats(*work, codes, panels, plan.table, plan.direct, unit.frac_bits, k, span, *ends, *result)
    return out, events
