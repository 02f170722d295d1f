"""Units that take words one by one or in pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lns.format import Event, LNSFormat, Rounding
from lns.gausslog import Table
from lns.kernels.compiling import jit
from lns.kernels.tables import BLOCK, Threaded, integers, look_up, sums

Words = npt.NDArray[Any]  #: unsigned integers of a format's dtype
Events = npt.NDArray[np.uint8]

SATURATE, UNDERFLOW = int(Event.SATURATE), int(Event.UNDERFLOW)
DIVIDE_BY_ZERO, INVALID = int(Event.DIVIDE_BY_ZERO), int(Event.INVALID)


@jit
def emit(negative, computed, max_code):  # type: ignore[no-untyped-def]
    """The range rule: (word, event)."""
    high, low = computed > max_code, computed < 1
    code = max_code if high else computed
    word = 0 if low else code | (max_code + 1 if negative else 0)
    return word, (SATURATE if high else 0) | (UNDERFLOW if low else 0)


@jit
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


@jit
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


# The loops over one word or two are free of branches: where a case does not apply, what it gave is dropped.
# They compute in int32 for words of up to 24 bits.

_NARROW_BITS = 24


@jit
def _mul(a, b, max_code, divide, model, out, events):  # type: ignore[no-untyped-def]
    integer = model.dtype.type
    bias, top = (max_code >> 1) + 1, max_code + 1
    for i in range(a.size):
        x, y = integer(a[i]), integer(b[i])
        ca, cb = integer(x & max_code), integer(y & max_code)
        computed = integer(ca - cb + bias) if divide else integer(ca + cb - bias)
        word, event = emit((x > max_code) != (y > max_code), computed, max_code)
        zero_a, zero_b = ca == 0, cb == 0
        if divide:
            by_zero = (x & top) | max_code
            word = word if not zero_b else by_zero
            event = event if not zero_b else (INVALID if zero_a else DIVIDE_BY_ZERO)
            out[i], events[i] = 0 if zero_a else word, event if zero_b or not zero_a else 0
        else:
            zero = zero_a | zero_b
            out[i], events[i] = 0 if zero else word, 0 if zero else event


@jit
def _square(a, max_code, root, model, out, events):  # type: ignore[no-untyped-def]
    integer = model.dtype.type
    max_code, bias = integer(max_code), integer((max_code >> 1) + 1)
    for i in range(a.size):
        x = integer(a[i])
        code = integer(x & max_code)
        zero = code == 0
        if root:
            invalid = (x > max_code) & (not zero)
            word = integer(((code - bias) >> 1) + bias)
            out[i], events[i] = 0 if zero or invalid else word, INVALID if invalid else 0
        else:
            word, event = emit(False, integer(2 * code - bias), max_code)
            out[i], events[i] = 0 if zero else word, 0 if zero else event


@jit
def _distances(a, b, max_code, scratch, half):  # type: ignore[no-untyped-def]
    """Rows of scratch ← the larger code (0 if both cancel), where its change stands in the table, its sign bit."""
    integer = scratch.dtype.type
    max_code, top, half, last = integer(max_code), integer(max_code + 1), integer(half), integer(half - 1)
    for i in range(a.size):
        x, y = integer(a[i]), integer(b[i])
        ca, cb = integer(x & max_code), integer(y & max_code)
        large, small = integer(max(ca, cb)), integer(min(ca, cb))
        d = integer(large - small)
        unlike = ((x > max_code) != (y > max_code)) & (small > 0)
        cancel = unlike & (d == 0)
        d = integer(last if small == 0 else min(d, last))
        scratch[i] = 0 if cancel else large
        scratch[BLOCK + i] = integer(d + (half if unlike else 0))
        scratch[2 * BLOCK + i] = integer((x if ca >= cb else y) & top)


@jit
def _sums(scratch, max_code, out, events):  # type: ignore[no-untyped-def]
    integer = scratch.dtype.type
    max_code = integer(max_code)
    for i in range(out.size):
        large = scratch[i]
        computed = integer(large + scratch[BLOCK + i])
        word, event = emit(False, computed, max_code)
        nothing = large == 0
        out[i] = 0 if nothing or computed < 1 else word | scratch[2 * BLOCK + i]
        events[i] = 0 if nothing else event


@jit
def _add(a, b, max_code, sums, model, out, events):  # type: ignore[no-untyped-def]
    scratch = np.empty(3 * BLOCK, model.dtype)
    for first in range(0, a.size, BLOCK):
        last = min(first + BLOCK, a.size)
        _distances(a[first:last], b[first:last], max_code, scratch, sums.size >> 1)
        look_up(sums, scratch[BLOCK : BLOCK + last - first])
        _sums(scratch, max_code, out[first:last], events[first:last])


def _convert_loop(begin, end, a, mask, up, down, start, half, odd, max_code, signed, model, out, events):  # type: ignore[no-untyped-def]
    integer = model.dtype.type
    start, half, odd = integer(start), integer(half), integer(odd)
    a, out, events = a[begin:end], out[begin:end], events[begin:end]
    for i in range(a.size):
        x = integer(a[i])
        code = integer(x & mask)
        fine = integer((code << up) + start)
        computed = integer(integer(fine + half + ((fine >> down) & odd)) >> down)
        negative = x > mask
        word, event = emit(negative, computed, max_code)
        zero, invalid = code == 0, negative & (not signed)
        out[i] = 0 if zero or invalid else word
        events[i] = 0 if zero else (INVALID if invalid else event)


_convert = Threaded(_convert_loop, 1 << 20)


@jit
def _relu(a, sign_bit, max_code, out):  # type: ignore[no-untyped-def]
    for i in range(a.size):
        out[i] = 0 if (a[i] & sign_bit) != 0 or (a[i] & max_code) == 0 else a[i]


@jit
def _argmax(a, max_code, out):  # type: ignore[no-untyped-def]
    for row in range(a.shape[0]):
        best, largest = 0, -max_code - 1
        for i in range(a.shape[1]):
            word = np.int64(a[row, i])
            code = word & max_code
            key = -code if word > max_code else code
            if key > largest:
                best, largest = i, key
        out[row] = best


@jit
def _flags(events):  # type: ignore[no-untyped-def]
    seen = np.uint8(0)
    for i in range(events.size):
        seen = np.uint8(seen | events[i])
    return seen


@jit
def _flagged(events, flag):  # type: ignore[no-untyped-def]
    count = np.int32(0)
    for i in range(events.size):
        count = np.int32(count + np.int32(1 if np.uint8(events[i] & flag) else 0))
    return count


@jit
def _count(events, counts):  # type: ignore[no-untyped-def]
    for first in range(0, events.size, BLOCK):
        some = events[first : first + BLOCK]
        seen = _flags(some)
        for flag in range(counts.size):
            if (seen >> flag) & 1:
                counts[flag] += _flagged(some, np.uint8(1 << flag))


def _flat(words: npt.ArrayLike, fmt: LNSFormat) -> Words:
    array = np.asarray(words)
    if array.dtype != fmt.dtype:
        raise TypeError(f"words of {fmt} must be {fmt.dtype}, got {array.dtype}")
    return np.ascontiguousarray(array).reshape(-1)


def _integers(fmt: LNSFormat) -> npt.NDArray[Any]:
    return integers(fmt.bits <= _NARROW_BITS)


def _outputs(shape: tuple[int, ...], fmt: LNSFormat) -> tuple[Words, Events]:
    return np.empty(shape, fmt.dtype), np.empty(shape, np.uint8)


def _pair(a: Words, b: Words, fmt: LNSFormat) -> tuple[Words, Words, Words, Events]:
    a, b = np.broadcast_arrays(a, b)
    return _flat(a, fmt), _flat(b, fmt), *_outputs(a.shape, fmt)


def mul(a: Words, b: Words, fmt: LNSFormat) -> tuple[Words, Events]:
    """Products of words of one format (spec, section 2); operands broadcast."""
    x, y, out, events = _pair(a, b, fmt)
    _mul(x, y, fmt.max_code, False, _integers(fmt), out.reshape(-1), events.reshape(-1))
    return out, events


def div(a: Words, b: Words, fmt: LNSFormat) -> tuple[Words, Events]:
    """Quotients of words of one format (spec, section 2); operands broadcast."""
    x, y, out, events = _pair(a, b, fmt)
    _mul(x, y, fmt.max_code, True, _integers(fmt), out.reshape(-1), events.reshape(-1))
    return out, events


def add(a: Words, b: Words, fmt: LNSFormat, table: Table) -> tuple[Words, Events]:
    """Log-adds of words of one format with any table kind (spec, section 3); operands broadcast."""
    x, y, out, events = _pair(a, b, fmt)
    _add(x, y, fmt.max_code, sums(table), _integers(fmt), out.reshape(-1), events.reshape(-1))
    return out, events


def square(a: Words, fmt: LNSFormat) -> tuple[Words, Events]:
    """Squares (spec, section 2)."""
    out, events = _outputs(np.shape(a), fmt)
    _square(_flat(a, fmt), fmt.max_code, False, _integers(fmt), out.reshape(-1), events.reshape(-1))
    return out, events


def sqrt(a: Words, fmt: LNSFormat) -> tuple[Words, Events]:
    """Square roots, raw/2 floored (spec, section 2)."""
    out, events = _outputs(np.shape(a), fmt)
    _square(_flat(a, fmt), fmt.max_code, True, _integers(fmt), out.reshape(-1), events.reshape(-1))
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
    words = _flat(a, source)
    out, events = _outputs(np.shape(a), fmt)
    down = source.frac_bits - fmt.frac_bits  # fraction bits that go, or come
    up, down = max(-down, 0), max(down, 0)
    start = ((((source_offset - offset) << source.frac_bits) - source.bias) << up) + (fmt.bias << down)
    narrow = max(source.code_bits + up, fmt.code_bits + down) <= 28
    far = 1 << 29 if narrow else (1 << 62) - 1  # from here on every code saturates, below -far every code underflows
    tie = rounding is Rounding.NEAREST and down > 0
    _convert(
        words.size, words.size, words, source.max_code, up, down, max(-far, min(start, far)),
        (1 << (down - 1)) - 1 if tie else 0, int(tie), fmt.max_code, fmt.signed, integers(narrow),
        out.reshape(-1), events.reshape(-1),
    )  # fmt: skip
    return out, events


def relu(a: Words, fmt: LNSFormat) -> Words:
    """Negative words to zero (spec, section 10)."""
    words = _flat(a, fmt)
    out = np.empty(np.shape(a), fmt.dtype)
    _relu(words, fmt.sign_bit, fmt.max_code, out.reshape(-1))
    return out


def order_key(a: Words, fmt: LNSFormat) -> npt.NDArray[np.int64]:
    """Order of words is order of these (spec, section 10)."""
    codes = (a & fmt.max_code).astype(np.int64)
    return np.where((a & fmt.sign_bit) != 0, -codes, codes)


@jit
def _maximum(a, b, max_code, model, out):  # type: ignore[no-untyped-def]
    integer = model.dtype.type
    max_code = integer(max_code)
    for i in range(a.size):
        x, y = integer(a[i]), integer(b[i])
        cx, cy = integer(x & max_code), integer(y & max_code)
        larger = (integer(-cx) if x > max_code else cx) >= (integer(-cy) if y > max_code else cy)
        code, word = (cx, x) if larger else (cy, y)
        out[i] = word if code else 0


def maximum(a: Words, b: Words, fmt: LNSFormat) -> Words:
    """The larger word of each pair (spec, section 10); operands broadcast."""
    x, y, out, _ = _pair(a, b, fmt)
    _maximum(x, y, fmt.max_code, integers(fmt.bits <= 28), out.reshape(-1))
    return out


def argmax(a: Words, fmt: LNSFormat) -> npt.NDArray[np.intp]:
    """Index of the largest word along the last axis, the lowest on a tie (spec, section 10)."""
    if a.ndim == 0 or a.shape[-1] == 0:
        raise ValueError(f"argmax needs at least one word along the last axis, got shape {a.shape}")
    out = np.empty(a.shape[:-1], np.intp)
    _argmax(_flat(a, fmt).reshape(-1, a.shape[-1]), fmt.max_code, out.reshape(-1))
    return out


def largest_code(words: Words, fmt: LNSFormat) -> int:
    """The largest code of an array, 0 of an empty one: what a monitor sees (spec, section 11)."""
    return int((words & fmt.max_code).max(initial=0))


def count_events(events: Events) -> npt.NDArray[np.int64]:
    """How many words carry each flag (spec, section 1.3): int64, (7,), in the order of `Event`."""
    counts = np.zeros(len(Event), np.int64)
    _count(np.ascontiguousarray(events).reshape(-1), counts)
    return counts
