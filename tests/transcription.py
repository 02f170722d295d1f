"""The dot products of the definition as plain compiled loops: one element after another, one term after another.

A transcription of `product`, `add`, `term`, `dot_linear` and `dot_log` of lns/reference.py, for more words than
Python's integers can take. It shares no code with lns/kernels. tests/test_transcription.py checks it against the
definition exhaustively at few bits, and tests/test_products.py judges the kernels by it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numba as nb
import numpy as np

from lns import reference
from lns.format import Event
from lns.reference import LinearDot

ACC_SATURATE, ACC_UNDERFLOW = int(Event.ACC_SATURATE), int(Event.ACC_UNDERFLOW)

_jit = nb.njit(cache=True)


class Format(NamedTuple):
    """What a loop needs of an `LNSFormat`."""

    max_code: int
    sign_bit: int
    bias: int
    frac_bits: int


class Linear(NamedTuple):
    """What a loop needs of a `LinearDot` besides its ROM."""

    a: Format
    b: Format
    frac_bits: int
    rom_bits: int
    least_exponent: int
    least: int
    most: int
    lanes: int


class Log(NamedTuple):
    """What a loop needs of a `LogDot` besides its table."""

    a: Format
    b: Format
    acc: Format
    offset: int
    lanes: int


# --- one word, one term ----------------------------------------------------------------------------------------------


@_jit
def emit(negative, computed, fmt):
    if computed > fmt.max_code:
        return (fmt.sign_bit if negative else 0) | fmt.max_code, ACC_SATURATE
    if computed <= 0:
        return 0, ACC_UNDERFLOW
    return (fmt.sign_bit if negative else 0) | computed, 0


@_jit
def add(a, b, fmt, sb, db):
    code_a, code_b = a & fmt.max_code, b & fmt.max_code
    if code_a == 0:
        return (b if code_b else 0), 0
    if code_b == 0:
        return a, 0
    if code_a < code_b:
        a, b, code_a, code_b = b, a, code_b, code_a
    d = code_a - code_b
    negative = a & fmt.sign_bit != 0
    if negative == (b & fmt.sign_bit != 0):
        return emit(negative, code_a + (sb[d] if d < sb.size else 0), fmt)
    if d == 0:
        return 0, 0
    return emit(negative, code_a - (db[d] if d < db.size else 0), fmt)


@_jit
def product_code(a, b, a_fmt, b_fmt, frac_bits):
    raw_a, raw_b = (a & a_fmt.max_code) - a_fmt.bias, (b & b_fmt.max_code) - b_fmt.bias
    return (raw_a << (frac_bits - a_fmt.frac_bits)) + (raw_b << (frac_bits - b_fmt.frac_bits))


@_jit
def product(a, b, unit):
    if a & unit.a.max_code == 0 or b & unit.b.max_code == 0:
        return 0, 0
    negative = (a & unit.a.sign_bit != 0) != (b & unit.b.sign_bit != 0)
    p = product_code(a, b, unit.a, unit.b, unit.acc.frac_bits)
    return emit(negative, p - (unit.offset << unit.acc.frac_bits) + unit.acc.bias, unit.acc)


@_jit
def term(a, b, unit, rom):
    if a & unit.a.max_code == 0 or b & unit.b.max_code == 0:
        return 0
    p = product_code(a, b, unit.a, unit.b, unit.frac_bits)
    places = (p >> unit.frac_bits) - (unit.rom_bits - 1) - unit.least_exponent
    magnitude = rom[p & ((1 << unit.frac_bits) - 1)]
    magnitude = magnitude << places if places >= 0 else magnitude >> min(-places, 63)
    return -magnitude if (a & unit.a.sign_bit != 0) != (b & unit.b.sign_bit != 0) else magnitude


# --- whole arrays ----------------------------------------------------------------------------------------------------


@_jit
def _adds(a, b, fmt, sb, db, out, events):
    for i in range(a.size):
        out[i], events[i] = add(a[i], b[i], fmt, sb, db)


@_jit
def _dot_linear(a, b, unit, rom, out, events):
    for m in range(a.shape[0]):
        for n in range(b.shape[0]):
            total, event = 0, 0
            for first in range(0, a.shape[1], unit.lanes):
                for k in range(first, min(first + unit.lanes, a.shape[1])):
                    total += term(a[m, k], b[n, k], unit, rom)
                if not unit.least <= total <= unit.most:
                    total, event = max(unit.least, min(total, unit.most)), ACC_SATURATE
            out[m, n], events[m, n] = total, event


@_jit
def _dot_log(a, b, unit, sb, db, out, events):
    partial = np.empty(unit.lanes, np.int64)
    for m in range(a.shape[0]):
        for n in range(b.shape[0]):
            partial[:] = 0
            event = 0
            for k in range(a.shape[1]):
                word, raised = product(a[m, k], b[n, k], unit)
                partial[k % unit.lanes], added = add(partial[k % unit.lanes], word, unit.acc, sb, db)
                event |= raised | added
            width = unit.lanes
            while width > 1:
                width //= 2
                for i in range(width):
                    partial[i], added = add(partial[2 * i], partial[2 * i + 1], unit.acc, sb, db)
                    event |= added
            out[m, n], events[m, n] = partial[0], event


def _format(fmt):
    return Format(fmt.max_code, fmt.sign_bit, fmt.bias, fmt.frac_bits)


def _integers(words):
    """One dtype and one layout, so that every loop is compiled once."""
    return np.ascontiguousarray(words, np.int64)


@lru_cache(maxsize=128)
def gaussian_logs(table):
    """(sb, db) of the definition for every distance up to where both are zero for good."""
    end = ((table.frac_bits + 4) << table.frac_bits) + (2 << table.kind.k)
    sb = np.array([reference.sb(d, table) for d in range(end)])
    db = np.array([0] + [reference.db(d, table) for d in range(1, end)])
    if sb[-1] or db[-1]:
        raise ValueError(f"the {table.kind} table at {table.frac_bits} fraction bits goes on beyond distance {end}")
    return sb, db


def add_words(a, b, fmt, table):
    """The log-adds of two rows of words: (words, events as accumulators call them)."""
    out, events = np.empty(a.size, np.int64), np.empty(a.size, np.uint8)
    _adds(_integers(a), _integers(b), _format(fmt), *gaussian_logs(table), out, events)
    return out, events


def dot(a, b, unit):
    """The accumulators and events of the matrix product of words (M, K) and (K, N) on either unit."""
    shape = a.shape[0], b.shape[1]
    out, events = np.empty(shape, np.int64), np.empty(shape, np.uint8)
    rows, columns = _integers(a), _integers(b.T)
    if isinstance(unit, LinearDot):
        limit = 1 << (unit.bits - 1)
        fields = Linear(
            _format(unit.a), _format(unit.b), unit.frac_bits, unit.rom_bits, unit.least_exponent,
            -limit, limit - 1, unit.lanes,
        )  # fmt: skip
        _dot_linear(rows, columns, fields, np.array(unit.rom, np.int64), out, events)
    else:
        fields = Log(_format(unit.a), _format(unit.b), _format(unit.acc), unit.offset, unit.lanes)
        _dot_log(rows, columns, fields, *gaussian_logs(unit.table), out, events)
    return out, events
