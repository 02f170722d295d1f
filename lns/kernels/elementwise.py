"""Units that take words one by one or in pairs."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from lns.format import Event, LNSFormat, Rounding
from lns.gausslog import Table
from lns.kernels.tables import dense

Words = npt.NDArray[Any]  #: unsigned integers of a format's dtype
Events = npt.NDArray[np.uint8]

SATURATE, UNDERFLOW = int(Event.SATURATE), int(Event.UNDERFLOW)
DIVIDE_BY_ZERO, INVALID = int(Event.DIVIDE_BY_ZERO), int(Event.INVALID)

_jit = nb.njit(cache=True, error_model="numpy")


@_jit
def emit(negative, computed, max_code):  # type: ignore[no-untyped-def]
    """The range rule: (word, event)."""
    if computed > max_code:
        return (max_code + 1 if negative else 0) | max_code, SATURATE
    if computed <= 0:
        return 0, UNDERFLOW
    return (max_code + 1 if negative else 0) | computed, 0


@_jit
def add_words(a, b, max_code, sb, db):  # type: ignore[no-untyped-def]
    """Log-add of two words: (word, event)."""
    ca, cb = a & max_code, b & max_code
    if ca == 0:
        return (b if cb else 0), 0
    if cb == 0:
        return a, 0
    large, d = (a, ca - cb) if ca >= cb else (b, cb - ca)
    negative = large > max_code
    near = min(d, sb.size - 1)
    if (a > max_code) == (b > max_code):
        return emit(negative, (large & max_code) + sb[near], max_code)
    if d == 0:
        return 0, 0
    return emit(negative, (large & max_code) - db[near], max_code)


@_jit
def convert_raw(u, negative, frac_bits, fmt_frac_bits, max_code, signed, nearest, offset):  # type: ignore[no-untyped-def]
    """The nonzero magnitude 2**(u/2**frac_bits) to a word at an offset: (word, event)."""
    if negative and not signed:
        return 0, INVALID
    bias = (max_code >> 1) + 1
    u -= offset << frac_bits
    t = frac_bits - fmt_frac_bits
    if t <= 0:
        r = u << -t
    else:
        r = u >> t
        rest, half = u - (r << t), 1 << (t - 1)
        if nearest and (rest > half or (rest == half and (r + bias) & 1)):
            r += 1
    return emit(negative, r + bias, max_code)


@_jit
def _mul(a, b, max_code, divide, out, events):  # type: ignore[no-untyped-def]
    bias = (max_code >> 1) + 1
    for i in range(a.size):
        x, y = np.int64(a[i]), np.int64(b[i])
        ca, cb = x & max_code, y & max_code
        negative = (x > max_code) != (y > max_code)
        word, event = 0, 0
        if ca and cb:
            word, event = emit(negative, ca - cb + bias if divide else ca + cb - bias, max_code)
        elif divide and not cb:
            word, event = ((x & ~max_code) | max_code, DIVIDE_BY_ZERO) if ca else (0, INVALID)
        out[i], events[i] = word, event


@_jit
def _square(a, max_code, root, out, events):  # type: ignore[no-untyped-def]
    bias = (max_code >> 1) + 1
    for i in range(a.size):
        x = np.int64(a[i])
        raw = (x & max_code) - bias
        word, event = 0, 0
        if x & max_code:
            if not root:
                word, event = emit(False, 2 * raw + bias, max_code)
            elif x > max_code:
                event = INVALID
            else:
                word = (raw >> 1) + bias
        out[i], events[i] = word, event


@_jit
def _add(a, b, max_code, sb, db, out, events):  # type: ignore[no-untyped-def]
    for i in range(a.size):
        out[i], events[i] = add_words(np.int64(a[i]), np.int64(b[i]), max_code, sb, db)


@_jit
def _convert(a, from_max, from_frac, source_offset, to_max, to_frac, signed, offset, nearest, out, events):  # type: ignore[no-untyped-def]
    bias = (from_max >> 1) + 1
    for i in range(a.size):
        x = np.int64(a[i])
        word, event = 0, 0
        if x & from_max:
            u = (x & from_max) - bias + (source_offset << from_frac)
            word, event = convert_raw(u, x > from_max, from_frac, to_frac, to_max, signed, nearest, offset)
        out[i], events[i] = word, event


def _flat(words: npt.ArrayLike, fmt: LNSFormat) -> Words:
    array = np.asarray(words)
    if array.dtype != fmt.dtype:
        raise TypeError(f"words of {fmt} must be {fmt.dtype}, got {array.dtype}")
    return np.ascontiguousarray(array).reshape(-1)


def _outputs(shape: tuple[int, ...], fmt: LNSFormat) -> tuple[Words, Events]:
    return np.empty(shape, fmt.dtype), np.empty(shape, np.uint8)


def _pair(a: Words, b: Words, fmt: LNSFormat) -> tuple[Words, Words, Words, Events]:
    a, b = np.broadcast_arrays(a, b)
    return _flat(a, fmt), _flat(b, fmt), *_outputs(a.shape, fmt)


def mul(a: Words, b: Words, fmt: LNSFormat) -> tuple[Words, Events]:
    """Products of words of one format (spec, section 2); operands broadcast."""
    x, y, out, events = _pair(a, b, fmt)
    _mul(x, y, fmt.max_code, False, out.reshape(-1), events.reshape(-1))
    return out, events


def div(a: Words, b: Words, fmt: LNSFormat) -> tuple[Words, Events]:
    """Quotients of words of one format (spec, section 2); operands broadcast."""
    x, y, out, events = _pair(a, b, fmt)
    _mul(x, y, fmt.max_code, True, out.reshape(-1), events.reshape(-1))
    return out, events


def add(a: Words, b: Words, fmt: LNSFormat, table: Table) -> tuple[Words, Events]:
    """Log-adds of words of one format with any table kind (spec, section 3); operands broadcast."""
    x, y, out, events = _pair(a, b, fmt)
    _add(x, y, fmt.max_code, *dense(table), out.reshape(-1), events.reshape(-1))
    return out, events


def square(a: Words, fmt: LNSFormat) -> tuple[Words, Events]:
    """Squares (spec, section 2)."""
    out, events = _outputs(np.shape(a), fmt)
    _square(_flat(a, fmt), fmt.max_code, False, out.reshape(-1), events.reshape(-1))
    return out, events


def sqrt(a: Words, fmt: LNSFormat) -> tuple[Words, Events]:
    """Square roots, raw/2 floored (spec, section 2)."""
    out, events = _outputs(np.shape(a), fmt)
    _square(_flat(a, fmt), fmt.max_code, True, out.reshape(-1), events.reshape(-1))
    return out, events


def convert(
    a: Words,
    source: LNSFormat,
    fmt: LNSFormat,
    source_offset: int = 0,
    offset: int = 0,
    rounding: Rounding = Rounding.NEAREST,
) -> tuple[Words, Events]:
    """Words of one format to another (spec, section 1.6)."""
    out, events = _outputs(np.shape(a), fmt)
    _convert(
        _flat(a, source), source.max_code, source.frac_bits, source_offset, fmt.max_code, fmt.frac_bits, fmt.signed,
        offset, rounding is Rounding.NEAREST, out.reshape(-1), events.reshape(-1),
    )  # fmt: skip
    return out, events


def relu(a: Words, fmt: LNSFormat) -> Words:
    """Negative words to zero (spec, section 10)."""
    drop = ((a & fmt.sign_bit) != 0) | ((a & fmt.max_code) == 0)
    return np.where(drop, 0, a).astype(fmt.dtype, copy=False)


def order_key(a: Words, fmt: LNSFormat) -> npt.NDArray[np.int64]:
    """Order of words is order of these (spec, section 10)."""
    codes = (a & fmt.max_code).astype(np.int64)
    return np.where((a & fmt.sign_bit) != 0, -codes, codes)


def maximum(a: Words, b: Words, fmt: LNSFormat) -> Words:
    """The larger word of each pair (spec, section 10)."""
    larger = np.where(order_key(a, fmt) >= order_key(b, fmt), a, b)
    return np.where((larger & fmt.max_code) == 0, 0, larger).astype(fmt.dtype)


def argmax(a: Words, fmt: LNSFormat) -> npt.NDArray[np.intp]:
    """Index of the largest word along the last axis, the lowest on a tie (spec, section 10)."""
    return np.argmax(order_key(a, fmt), axis=-1)
