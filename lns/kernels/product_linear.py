"""Linear accumulation on vectors (spec, section 5).

The terms of a product are added in 32-bit lanes, as long as they cannot overflow there; the sums then go to the 64-bit
accumulators, which saturate where the definition does. A term is found in one of two ways. Both know codes only from
their operand's largest code down: a word so small that it vanishes even beside the other operand's largest is a zero.

- *Bytes*: a step takes four neighbouring k. A saturating subtraction of bytes gives the index of the term, two
  registers hold 127 terms' low bytes and two their high bytes, and a dot product of bytes applies the signs and adds.
- *Floats*: the product's code is, but for the fraction bits, the exponent of a float32 whose significand stands in a
  table, and the conversion to an integer truncates toward zero as the hardware does. The table is in a register for
  few fraction bits, else in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from lns.format import Event, LNSFormat
from lns.kernels import isa
from lns.kernels.packing import LEAST_WORK, ROWS, Share, pack, tiles
from lns.kernels.tables import Threaded, jit
from lns.kernels.vector import (
    add,
    bit_and,
    bit_xor,
    broadcast,
    dot4,
    floats_to_integers,
    load,
    lookup,
    lookup_16,
    lookup_128,
    shift_left,
    splat,
    store,
    sub_saturating_unsigned,
)
from lns.reference import LinearDot

Array = npt.NDArray[Any]

ACC_SATURATE = int(Event.ACC_SATURATE)

WIDTH = 16  #: columns of a tile: 32-bit lanes of a vector
_ZERO_OCTAVES = 46  # a zero's exponent below its least nonzero share: two stay above 0, one beside any code is below 1


@dataclass(frozen=True, slots=True)
class Plan:
    """How products of one unit are computed; ``table`` is (low bytes, high bytes) or the significands."""

    a: Share
    b: Share
    table: Array
    by_bytes: bool
    in_register: bool
    largest: int


def _span(unit: LinearDot) -> int:
    """Codes from the least product whose term is not zero, of the accumulator's least bit, to the largest product."""
    least = max(unit.least_exponent << unit.frac_bits, unit.product_code(unit.a.min_raw, unit.b.min_raw))
    return unit.product_code(unit.a.max_raw, unit.b.max_raw) - least


def _bytes_plan(unit: LinearDot, span: int) -> Plan:
    """index = (code of b counted from its least one, from 1) - (code of a counted down from its largest one).

    The exclusive or of two marks of signs is the product's sign as a byte, 1 or -1.
    """
    f, largest = unit.frac_bits, unit.product_code(unit.a.max_raw, unit.b.max_raw)
    terms = np.array([unit.magnitude(p) for p in range(largest - span, largest + 1)])
    shares = []
    for fmt, sign, zero, marks in ((unit.a, -1, 255, (0xFE, 0)), (unit.b, 1, 0, (0xFF, 1))):
        scale = 1 << (f - fmt.frac_bits)
        top = fmt.max_code * scale
        start = top if sign < 0 else span - top + 1
        shares.append(Share(fmt, sign * scale, start, max(1, -((span - top) // scale)), zero, *marks))
    table = np.zeros((2, 128), np.uint8)
    table[0, 1 : span + 2], table[1, 1 : span + 2] = terms & 255, terms >> 8
    return Plan(shares[0], shares[1], table, True, True, int(terms[-1]))


def _floats_plan(unit: LinearDot, span: int, most: int) -> Plan:
    """index = product code, its octaves counted as a float32's exponent; the sign stands just above the exponent."""
    f = unit.frac_bits
    largest = unit.product_code(unit.a.max_raw, unit.b.max_raw) + ((127 - unit.least_exponent) << f)
    # the sum of the least nonzero shares: at least 127 + guard - 2·(guard + 1) octaves, and two zeros 91 below that
    least = largest - 2 * span
    shares = []
    for fmt, share, below in ((unit.a, 0, _ZERO_OCTAVES), (unit.b, least, _ZERO_OCTAVES - 1)):
        scale = 1 << (f - fmt.frac_bits)
        top = fmt.max_code * scale
        zero = share - (below << f)
        shares.append(Share(fmt, scale, share + span - top, max(1, -((span - top) // scale)), zero, 1 << (8 + f), 0))
    significands = (np.asarray(unit.rom) << (24 - unit.rom_bits)) - (1 << 23)
    places = np.arange(1 << f) << (23 - f)
    entries = significands - places  # on top of the fraction bits that are in the lane already
    in_register = f <= (4 if isa.VECTOR == "avx512" else 3)
    table = np.resize(entries, 16) if in_register else entries
    return Plan(shares[0], shares[1], table.astype(np.int32), False, in_register, most)


@lru_cache(maxsize=64)
def _plan(a: LNSFormat, b: LNSFormat, rom: bytes, rom_bits: int, guard: int, lanes: int, short: bool) -> Plan | None:
    unit = LinearDot(a, b, np.frombuffer(rom, np.int64), rom_bits, guard, 62, lanes)
    if rom_bits > 24 or guard > 29 or unit.frac_bits > 20 or max(a.code_bits, b.code_bits) > 31:
        return None
    span, most = _span(unit), unit.magnitude(unit.product_code(a.max_raw, b.max_raw))
    if lanes * most >= 1 << 31:
        return None
    if short and isa.VECTOR == "avx512" and span < 127 and most < 1 << 16:
        return _bytes_plan(unit, span)
    return _floats_plan(unit, span, most)


def plan(unit: LinearDot, k: int) -> Plan | None:
    """The plan for a product of length k, or None where only plain loops fit: T > 24, guard > 29, F > 20, A > 62,
    codes of 32 bits, or the terms of one cycle beyond 32 bits."""
    if unit.bits > 62:
        return None
    rom = np.ascontiguousarray(unit.rom, np.int64).tobytes()
    short = k <= min(unit.safe_length, (1 << 15) - 1)  # sums of 16-bit terms that need no accumulator between
    return _plan(unit.a, unit.b, rom, unit.rom_bits, unit.guard, unit.lanes, short)


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
def _floats_tile(a, b, table, in_register, frac_bits, row, first, steps, sums):  # type: ignore[no-untyped-def]
    """As `_bytes_tile`."""
    if in_register:
        _floats_sums(_register_row, a, b, table, frac_bits, row, first, steps, sums)
    else:
        _floats_sums(_memory_row, a, b, table, frac_bits, row, first, steps, sums)


@_inline
def _accumulate(sums, totals, flags, least, most):  # type: ignore[no-untyped-def]
    """Sums of a few terms to the accumulators, which saturate."""
    for i in range(64):
        total = totals[i] + np.int64(sums[i])
        flags[i] |= np.uint8(ACC_SATURATE if (total > most) | (total < least) else 0)
        totals[i] = min(max(total, least), most)


@_inline
def _write(totals, flags, m, n, first_m, first_n, out, events, strides):  # type: ignore[no-untyped-def]
    """A tile into the (m, n) result."""
    for r in range(min(4, m - first_m)):
        place = (first_m + r) * strides[0] + first_n * strides[1]
        for c in range(min(16, n - first_n)):
            out[place], events[place] = totals[16 * r + c], flags[16 * r + c]
            place += strides[1]


def _bytes_loop(begin, end, a, flips, b, signs, table, steps, m, n, out, events, strides):  # type: ignore[no-untyped-def]
    groups = -(-m // 4)
    sums, flags = np.empty(64, np.int32), np.zeros(64, np.uint8)
    for tile in range(begin, end):
        panel, group = tile // groups, tile % groups
        _bytes_tile(
            a, flips, b, signs, table, np.uint64(group * steps), np.uint64(panel * steps), np.uint64(steps), sums
        )
        _write(sums, flags, m, n, 4 * group, 16 * panel, out, events, strides)


def _floats_loop(  # type: ignore[no-untyped-def]
    begin, end, a, b, table, in_register, frac_bits, steps, span, least, most, m, n, out, events, strides
):
    groups = -(-m // 4)
    sums, totals, flags = np.empty(64, np.int32), np.empty(64, np.int64), np.empty(64, np.uint8)
    for tile in range(begin, end):
        panel, group = tile // groups, tile % groups
        totals[:], flags[:] = 0, 0
        for k in range(0, steps, span):
            _floats_tile(
                a, b, table, in_register, frac_bits, np.uint64(group * steps + k), np.uint64(panel * steps + k),
                np.uint64(min(span, steps - k)), sums,
            )  # fmt: skip
            _accumulate(sums, totals, flags, least, most)
        _write(totals, flags, m, n, 4 * group, 16 * panel, out, events, strides)


_bytes = Threaded(_bytes_loop, 8 * LEAST_WORK)
_floats = Threaded(_floats_loop, LEAST_WORK)


def product(a: Array, b: Array, unit: LinearDot, plan: Plan, transposed: bool = False) -> tuple[Array, Array]:
    """The accumulators of (M, K) times (K, N) and their events, as `lns.kernels.dot_linear` gives them, or the (N, M)
    transpose of both."""
    (m, k), n = a.shape, b.shape[1]
    shape, strides = ((n, m), (1, m)) if transposed else ((m, n), (n, 1))
    out, events = np.empty(shape, np.int64), np.empty(shape, np.uint8)
    work, result = (m * n * k, tiles(m, n, WIDTH)), (m, n, out.reshape(-1), events.reshape(-1), strides)
    if plan.by_bytes:
        left, right = pack(a.T, plan.a, np.uint8, ROWS, 4), pack(b, plan.b, np.uint8, WIDTH, 4)
        _bytes(*work, *left, *right, plan.table, -(-k // 4), *result)
        return out, events
    codes, signs = pack(a.T, plan.a, np.int32, ROWS)
    codes += signs
    panels, signs = pack(b, plan.b, np.int32, WIDTH)
    panels += signs
    limit = 1 << (unit.bits - 1)
    span = unit.lanes if k > unit.safe_length else max(1, ((1 << 31) - 1) // plan.largest)
    _floats(*work, codes, panels, plan.table, plan.in_register, unit.frac_bits, k, span, -limit, limit - 1, *result)
    return out, events
