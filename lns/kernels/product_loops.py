"""Matrix products as plain loops, on any machine: the same bits as the vector kernels (spec, sections 5 and 7).

Rows of the result are independent, so threads share them out and cannot change a bit. Inside a row the loop over n is
innermost: it runs over contiguous memory and each n is an accumulator of its own, so vectorising it changes no order
either.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from lns.format import Event, LNSFormat
from lns.kernels.compiling import jit
from lns.kernels.elementwise import Words
from lns.kernels.tables import Threaded, dense
from lns.reference import LinearDot, LogDot

ACC_SATURATE, ACC_UNDERFLOW = int(Event.ACC_SATURATE), int(Event.ACC_UNDERFLOW)

Array = npt.NDArray[Any]


def _shares(words: Words, fmt: LNSFormat, scale: int, start: int, zero: int, dtype: Any) -> Array:
    """What each word adds to a product's index: code·scale + start, or ``zero`` for a zero word. C-contiguous."""

    def values(some: Words) -> Array:
        codes = (some & fmt.max_code).astype(dtype)
        return np.where(codes == 0, dtype(zero), codes * dtype(scale) + dtype(start))

    if fmt.bits <= 16 and words.size > 1 << fmt.bits:  # one look-up a word
        return np.ascontiguousarray(values(np.arange(1 << fmt.bits, dtype=fmt.dtype))[words])
    return np.ascontiguousarray(values(words))


def _negative(words: Words, fmt: LNSFormat) -> npt.NDArray[np.bool_]:
    return np.ascontiguousarray((words & fmt.sign_bit) != 0)


# --- linear accumulator ----------------------------------------------------------------------------------------------
#
# A product looks up its signed term at index 2·(p - p_first) + sign, p_first being the first product code with a
# table entry.
# Products further below, and all products with a zero, have negative indices: they look up the two zeros at the front.


@lru_cache(maxsize=64)
def _terms(
    a: LNSFormat, b: LNSFormat, rom: bytes, rom_bits: int, guard: int, bits: int, lanes: int
) -> tuple[Array, Array, int]:
    """(terms for a positive a, terms for a negative a, p_first) of a linear dot product."""
    unit = LinearDot(a, b, np.frombuffer(rom, np.int64), rom_bits, guard, bits, lanes)
    largest, f = unit.product_code(a.max_raw, b.max_raw), unit.frac_bits
    first = max(largest - ((guard + 2) << f), unit.product_code(a.min_raw, b.min_raw))
    p = np.arange(first, largest + 1)
    places = (p >> f) - (rom_bits - 1) - unit.least_exponent
    significands = np.asarray(unit.rom)[p & ((1 << f) - 1)]
    magnitudes = np.where(places >= 0, significands << np.maximum(places, 0), significands >> np.clip(-places, 0, 63))
    # the sum of a cycle on top of a full accumulator must fit
    dtype = np.int32 if bits + lanes.bit_length() <= 32 else np.int64
    positive = np.zeros((p.size + 1, 2), dtype)
    positive[1:, 0], positive[1:, 1] = magnitudes, -magnitudes
    return positive.reshape(-1), np.ascontiguousarray(positive[:, ::-1]).reshape(-1), first


@jit
def _linear_row(row, negative, ib, positive_terms, negative_terms, acc):  # type: ignore[no-untyped-def]
    """One row of the product, for a K that cannot saturate."""
    acc[:] = 0
    for k in range(row.size):
        start = row[k]
        if start < -(1 << (28 if row.itemsize == 4 else 59)):  # a zero
            continue
        terms = negative_terms if negative[k] else positive_terms
        shares = ib[k]
        for n in range(acc.size):
            acc[n] += terms[max(start + shares[n], 0)]


@jit
def _linear_row_saturating(row, negative, ib, positive_terms, negative_terms, lanes, least, most, acc, events):  # type: ignore[no-untyped-def]
    """One row of the product, saturating after every cycle of ``lanes`` terms."""
    acc[:] = 0
    events[:] = 0
    for k in range(row.size):
        terms = negative_terms if negative[k] else positive_terms
        for n in range(acc.size):
            acc[n] += terms[max(row[k] + ib[k, n], 0)]
        if (k + 1) % lanes == 0 or k + 1 == row.size:
            for n in range(acc.size):
                if acc[n] > most:
                    acc[n], events[n] = most, ACC_SATURATE
                elif acc[n] < least:
                    acc[n], events[n] = least, ACC_SATURATE


def _linear_rows(  # type: ignore[no-untyped-def]
    begin, end, ia, negative, ib, positive_terms, negative_terms, saturating, lanes, least, most, out, events
):
    for m in range(begin, end):
        acc = np.empty(ib.shape[1], positive_terms.dtype)
        if saturating:
            _linear_row_saturating(
                ia[m], negative[m], ib, positive_terms, negative_terms, lanes, least, most, acc, events[m]
            )
        else:
            _linear_row(ia[m], negative[m], ib, positive_terms, negative_terms, acc)
        out[m] = acc


_linear = Threaded(_linear_rows, 1 << 20)


def linear(a: Words, b: Words, unit: LinearDot) -> tuple[Array, Array]:
    """As `lns.kernels.dot_linear`, whose checks have passed."""
    rom = np.ascontiguousarray(unit.rom, np.int64).tobytes()
    positive_terms, negative_terms, first = _terms(
        unit.a, unit.b, rom, unit.rom_bits, unit.guard, unit.bits, unit.lanes
    )
    f = unit.frac_bits
    wide = max(unit.a.code_bits + f - unit.a.frac_bits, unit.b.code_bits + f - unit.b.frac_bits) > 26
    dtype, zero = (np.int64, -(1 << 60)) if wide else (np.int32, -(1 << 29))
    least_product = unit.product_code(-unit.a.bias, -unit.b.bias)  # the share of raw = -bias is 0
    ia = _shares(a, unit.a, 2 << (f - unit.a.frac_bits), 2 * (least_product - first) + 2, zero, dtype)
    ib = _shares(b, unit.b, 2 << (f - unit.b.frac_bits), 0, zero, dtype)
    ib += _negative(b, unit.b)
    m, n = a.shape[0], b.shape[1]
    out, events = np.empty((m, n), np.int64), np.zeros((m, n), np.uint8)
    limit = 1 << (unit.bits - 1)
    saturating = a.shape[1] > unit.safe_length
    _linear(
        m * n * a.shape[1], m, ia, _negative(a, unit.a), ib, positive_terms, negative_terms,
        saturating, unit.lanes, -limit, limit - 1, out, events,
    )  # fmt: skip
    return out, events


# --- log accumulator -------------------------------------------------------------------------------------------------
#
# A partial sum is a code and a sign apart. Zero is a code far below every real one: its distance to anything is
# beyond the table, so "a zero operand returns the other" needs no case of its own. The table holds sb, then -db;
# its first -db entry, the distance
# 0 of unlike signs, takes any code to far below 1.

_ZERO = -(1 << 29)
_FAR = -(1 << 27)  # codes below this are zeros, not underflows


@lru_cache(maxsize=32)
def _sums(table: Any, dtype: Any) -> tuple[Array, int]:
    """([sb, -db], length of each) for the three-pass loop."""
    sb, db = dense(table)
    sums = np.concatenate([sb, -db])
    sums[sb.size] = _ZERO
    return sums.astype(dtype), sb.size


@nb.njit(inline="always")
def _add_rows(code, negative, other, other_negative, sums, half, max_code, index, flags):  # type: ignore[no-untyped-def]
    """code, negative ← their log-adds with other, other_negative; three passes, of which the first and last
    vectorise."""
    for n in range(code.size):
        d = abs(code[n] - other[n])
        index[n] = min(d, half - 1) + (half if negative[n] != other_negative[n] else 0)
    for n in range(code.size):
        index[n] = sums[index[n]]
    for n in range(code.size):
        mine = code[n] >= other[n]
        computed = (code[n] if mine else other[n]) + index[n]
        negative[n] = negative[n] if mine else other_negative[n]
        high = computed > max_code
        low = computed < 1
        flags[n] |= (ACC_SATURATE if high else 0) | (ACC_UNDERFLOW if low and computed > _FAR else 0)
        code[n] = max_code if high else (_ZERO if low else computed)


@jit
def _log_row(row, row_negative, ib, b_negative, sums, half, max_code, lanes, codes, negatives, out, flags):  # type: ignore[no-untyped-def]
    """One row of the product: partial sums of every lane, then the tree; words into out."""
    size = ib.shape[1]
    code, negative = np.empty(size, ib.dtype), np.empty(size, np.uint8)
    index = np.empty(size, ib.dtype)
    codes[:] = _ZERO
    negatives[:] = 0
    flags[:] = 0
    for lane in range(min(lanes, row.size)):
        for k in range(lane, row.size, lanes):
            if row[k] < _FAR:  # a zero adds nothing
                continue
            start, minus = row[k], np.uint8(row_negative[k])
            for n in range(size):
                p = start + ib[k, n]
                high = p > max_code
                low = p < 1
                flags[n] |= (ACC_SATURATE if high else 0) | (ACC_UNDERFLOW if low and p > _FAR else 0)
                code[n] = max_code if high else (_ZERO if low else p)
                negative[n] = b_negative[k, n] ^ minus
            _add_rows(codes[lane], negatives[lane], code, negative, sums, half, max_code, index, flags)
    width = lanes
    while width > 1:
        width //= 2
        for i in range(width):
            _add_rows(
                codes[2 * i],
                negatives[2 * i],
                codes[2 * i + 1],
                negatives[2 * i + 1],
                sums,
                half,
                max_code,
                index,
                flags,
            )
            codes[i], negatives[i] = codes[2 * i], negatives[2 * i]
    for n in range(size):
        out[n] = 0 if codes[0, n] < 1 else codes[0, n] | (max_code + 1 if negatives[0, n] else 0)


def _log_rows(  # type: ignore[no-untyped-def]
    begin, end, ia, a_negative, ib, b_negative, sums, half, max_code, lanes, out, events
):
    for m in range(begin, end):
        codes, negatives = np.empty((lanes, ib.shape[1]), ib.dtype), np.empty((lanes, ib.shape[1]), np.uint8)
        _log_row(ia[m], a_negative[m], ib, b_negative, sums, half, max_code, lanes, codes, negatives, out[m], events[m])


_log = Threaded(_log_rows, 1 << 18)


def log(a: Words, b: Words, unit: LogDot) -> tuple[Array, Array]:
    """As `lns.kernels.dot_log`, whose checks have passed."""
    f = unit.acc.frac_bits
    a_shift, b_shift = f - unit.a.frac_bits, f - unit.b.frac_bits
    start = -(unit.a.bias << a_shift) - (unit.b.bias << b_shift) - (unit.offset << f) + unit.acc.bias
    ia = _shares(a, unit.a, 1 << a_shift, start, _ZERO, np.int32)
    ib = _shares(b, unit.b, 1 << b_shift, 0, _ZERO, np.int32)
    sums, half = _sums(unit.table, np.int32)
    m, n = a.shape[0], b.shape[1]
    out, events = np.empty((m, n), unit.acc.dtype), np.empty((m, n), np.uint8)
    _log(
        m * n * a.shape[1], m, ia, _negative(a, unit.a), ib, _negative(b, unit.b).view(np.uint8),
        sums, half, unit.acc.max_code, unit.lanes, out, events,
    )  # fmt: skip
    return out, events
