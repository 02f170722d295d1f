"""Log accumulation on vectors (spec, section 7): 16-bit lanes for narrow accumulators, 32-bit lanes for wide ones.

A lane holds a partial sum as a code and a mark of its sign. Codes are raised by a constant so that every nonzero
result before the range rule is positive, underflows too, and zeros are negative: far below everything, so that the
table gives nothing for them, and out of the way of an unsigned minimum, which finds the underflows.

The table is one array, sb from index 0 and db from index ``half``; the mark of a negative sign is ``half`` too, so
that "unlike signs" is the exclusive or of two marks, put on top of the distance. Small tables are in registers; with
AVX2 they and the marks, 0 and -1, are bytes there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt
from numba.extending import overload

from lns.format import Event
from lns.gausslog import Table
from lns.kernels import isa
from lns.kernels.adders import REGISTERS
from lns.kernels.compiling import jit
from lns.kernels.packing import LEAST_WORK, ROWS, Share, code_range, first_step, pack_steps, tiles
from lns.kernels.tables import Threaded, dense
from lns.kernels.vector import (
    absolute,
    add,
    add_sums,
    after,
    at_least,
    bit_or,
    bit_xor,
    both,
    broadcast,
    equal,
    less,
    load,
    lookup,
    lookup_2_64,
    maximum,
    minimum,
    minimum_unsigned,
    select,
    shift_right,
    splat,
    store,
    sub,
    sub_saturating,
    unequal,
)
from lns.kernels.vector_adds import add_products, add_rows, finish_marks, halved, set_products, twice
from lns.kernels.vector_bytes import (
    broadcast_bytes,
    lookup_db,
    lookup_db_high,
    lookup_sb,
    lookup_sb_high,
    lowest_bytes,
    narrow,
    pair_sums,
    wide,
)
from lns.reference import LogDot

Array = npt.NDArray[Any]

ACC_SATURATE, ACC_UNDERFLOW = int(Event.ACC_SATURATE), int(Event.ACC_UNDERFLOW)


class Numbers(NamedTuple):
    """Scalars of the lanes' dtype: the raised codes of 1, of the largest code and of a zero, the largest index into the
    table, the shift from a distance to an index, and how many registers hold sb if those of bytes do, else 0."""

    one: Any
    most: Any
    zero: Any
    last: Any
    shift: Any
    registers: Any


@dataclass(frozen=True, slots=True)
class Plan:
    """How products of one unit are computed; a ``table`` of two dimensions is held in registers: of int16, (2, 64), or
    of int8, (10, 32), see `_byte_sums`."""

    a: Share
    b: Share
    table: Array
    numbers: Numbers

    @property
    def width(self) -> int:
        """Columns of a tile."""
        return 64 // self.numbers.one.itemsize


@lru_cache(maxsize=32)
def _sums(table: Table) -> tuple[Array, int, int]:
    """(sb then db, half, the distance from which both are zero, which is the largest index); db at distance 0 is 0."""
    sb, db = dense(table)
    half = 1 << (sb.size - 1).bit_length()
    sums = np.zeros(2 * half, np.int64)
    sums[: sb.size], sums[half : half + db.size] = sb, -db
    return sums, half, sb.size - 1


def _coarse_sums(table: Table) -> Array | None:
    """64 buckets of sb, then 64 of db, for a coarse table that has no more."""
    if table.kind.kind != "coarse" or max(rom.size for rom in table.roms.values()) > 63:
        return None
    sums = np.zeros(128, np.int64)
    sums[: table.roms["sb"].size] = table.roms["sb"]
    sums[64 : 64 + table.roms["db"].size] = -table.roms["db"]
    return sums


_CANCEL = -128  #: as a higher byte takes any code to below all others


def _byte_sums(table: Table) -> tuple[Array, int, int] | None:
    """The tables of a log-adder in registers as bytes, (10, 32), the shift from a distance to an index, and how many
    registers of sb, or of db, have entries.

    An entry is low + 255·high, high being 0 but for the first 16 entries. None if there are more than 64, or if one
    behind the 16th does not fit.
    """
    k = table.kind.k if table.kind.kind == "coarse" else 0
    sb, db = (table.roms["sb"], table.roms["db"]) if k else dense(table)
    registers = -(-max(sb.size, db.size) // 16)
    if registers > REGISTERS:
        return None
    values = np.zeros((2, 80), np.int64)
    values[0, : sb.size], values[1, : db.size] = sb, -db
    high = np.where(values == 127, 0, (values + 128) // 255)  # which goes to 126
    if high[:, 16:].any():
        return None
    low = (values - 255 * high).astype(np.int8)
    rows = [*(low[:, :64] ^ low[:, 16:]).reshape(8, 16), *high[:, :16].astype(np.int8)]
    return np.tile(rows, 2), k, registers


@lru_cache(maxsize=64)
def plan(unit: LogDot) -> Plan | None:
    """The plan of a unit, or None where only plain loops fit: aligned codes of more than 25 bits."""
    f = unit.acc.frac_bits
    scales = [1 << (f - fmt.frac_bits) for fmt in (unit.a, unit.b)]
    tops = [fmt.max_code * scale for fmt, scale in zip((unit.a, unit.b), scales, strict=True)]
    sums, half, far = _sums(unit.table)
    # what the codes of a product add to: the product's code in the accumulator
    start = unit.acc.bias - (unit.offset << f) - sum(
        fmt.bias * scale for fmt, scale in zip((unit.a, unit.b), scales, strict=True)
    )  # fmt: skip
    raised = int(max(-sums.min(), 1 - (start + sum(scales)), 0))
    most = raised + unit.acc.max_code
    highest = max(most, start + sum(tops) + raised) + int(sums.max())
    if max(highest, -start, far, *tops) >= 1 << 26:
        return None
    # Raised codes in order: the sums of two zeros, zero, …, 0, underflows, one, …, most, highest. Zeros must stay so
    # low that they find no entry of the table beside a real code: without the range rule they creep up until they are
    # beyond the table themselves, and by an octave with each level of the tree. A cancelled code is a zero as well.
    zero = 1 - 2 * far - ((unit.lanes.bit_length() + 2) << f)
    nothing = [zero - (start + raised + tops[1]), zero - tops[0]]  # the shares of zeros: low enough beside the largest
    narrow = highest < 1 << 15 and half < 1 << 15 and most - (1 << 15) <= zero and sum(nothing) >= -(1 << 15)
    coarse = _coarse_sums(unit.table) if narrow and isa.VECTOR == "avx512" else None
    cancels = most + 255 * _CANCEL + 127 <= zero
    in_bytes = _byte_sums(unit.table) if narrow and cancels and isa.VECTOR == "avx2" else None
    last, shift, registers = far, 0, 0
    if in_bytes is not None:
        (table, shift, registers), half = in_bytes, -1
    elif coarse is not None:
        table, half, last, shift = coarse.astype(np.int16).reshape(2, 64), 64, 63, unit.table.kind.k
    else:
        table = np.concatenate([[0], sums, [0]]) if narrow else sums.copy()  # as `lookup` wants it
        table[half + narrow] = -(1 << 15) if narrow else -(1 << 27)  # cancels whatever code there is
        table = table.astype(np.int16 if narrow else np.int32)
    lane: Any = np.int16 if narrow else np.int32
    if not narrow:
        zero, nothing = -(1 << 27), [-(1 << 28), -(1 << 28)]
    return Plan(
        Share(unit.a, scales[0], 0, 1, nothing[0], half, 0),
        Share(unit.b, scales[1], start + raised, 1, nothing[1], half, 0),
        table,
        Numbers(*(lane(v) for v in (raised + 1, most, zero, last, shift, registers))),
    )


_inline = nb.njit(inline="always")


def _find(*operands: Any) -> Any:
    """The larger code plus its sb or minus its db; below every code if the operands cancel. Compiled code only."""
    raise NotImplementedError


@overload(_find, inline="always")
def _find_compiled(large, distance, s, t, x, y, table, last, shift, zero):  # type: ignore[no-untyped-def]
    def in_registers(large, distance, s, t, x, y, table, last, shift, zero):  # type: ignore[no-untyped-def]
        unlike = unequal(s, t)
        c = add_sums(large, lookup_2_64(table, minimum_unsigned(shift_right(distance, shift), last), unlike))
        return select(both(unlike, equal(x, y)), zero, c)

    def in_memory(large, distance, s, t, x, y, table, last, shift, zero):  # type: ignore[no-untyped-def]
        return add_sums(large, lookup(table, bit_or(minimum_unsigned(distance, last), bit_xor(s, t))))

    return in_registers if table.ndim == 2 else in_memory


@_inline
def _range(c, high, low, one, most, zero):  # type: ignore[no-untyped-def]
    """The range rule, and the highest and lowest codes that it has seen."""
    high, low = maximum(high, c), minimum_unsigned(low, c)
    c = minimum(c, most)
    return select(less(c, one), zero, c), high, low


def _kept(words: Any, table: Any) -> Any:
    """Marks of signs from memory as a loop keeps them. Compiled code only, as are the next two."""
    raise NotImplementedError


def _kept_of(signs: Any, start: Any, table: Any) -> Any:
    """As `_kept`, the mark ``start`` of an array of marks that stand twice, for all lanes."""
    raise NotImplementedError


def _stored(signs: Any) -> Any:
    """Marks of signs as they are in memory."""
    raise NotImplementedError


@overload(_kept, inline="always")
def _kept_compiled(words, table):  # type: ignore[no-untyped-def]
    if table.dtype.bitwidth == 8:
        return lambda words, table: narrow(words)
    return lambda words, table: words


@overload(_kept_of, inline="always")
def _kept_of_compiled(signs, start, table):  # type: ignore[no-untyped-def]
    if table.dtype.bitwidth == 8:
        return lambda signs, start, table: broadcast_bytes(signs, start)
    return lambda signs, start, table: broadcast(signs, start)


@overload(_stored, inline="always")
def _stored_compiled(signs):  # type: ignore[no-untyped-def]
    if signs.bits == 8:
        return lambda signs: wide(signs)
    return lambda signs: signs


def _sum_of(x: Any, s: Any, y: Any, t: Any, table: Any, last: Any, shift: Any, zero: Any) -> Any:
    """(code, sign) of the log-add of the code x with the sign s and the code y with the sign t, before the range rule:
    below every code if the operands cancel. Compiled code only."""
    raise NotImplementedError


@overload(_sum_of, inline="always")
def _sum_of_compiled(x, s, y, t, table, last, shift, zero):  # type: ignore[no-untyped-def]
    def in_words(x, s, y, t, table, last, shift, zero):  # type: ignore[no-untyped-def]
        large = maximum(x, y)
        c = _find(large, sub(large, minimum(x, y)), s, t, x, y, table, last, shift, zero)
        return c, select(at_least(x, y), s, t)

    def in_bytes(x, s, y, t, table, last, shift, zero):  # type: ignore[no-untyped-def]
        none = bit_xor(s, s)
        apart = sub_saturating(x, y)
        near, i = narrow(apart), narrow(shift_right(absolute(apart), shift))
        unlike = less(bit_xor(s, t), none)
        low = select(unlike, lookup_db(table, i), lookup_sb(table, i))
        high = select(unlike, lookup_db_high(table, i), lookup_sb_high(table, i))
        high = select(both(unlike, equal(near, none)), lowest_bytes(high), high)
        return add_sums(maximum(x, y), pair_sums(low, high)), select(less(near, none), t, s)

    return in_bytes if s.bits == 8 else in_words


@_inline
def _add(x, s, y, t, high, low, table, one, most, zero, last, shift, exact):  # type: ignore[no-untyped-def]
    """(code, sign, highest, lowest) after the log-add of the code x with the sign s and the code y with the sign t.

    Without ``exact`` there is no range rule, and ``highest`` and ``lowest`` stay as they are: that is right until a
    code has left the range, for which `_seen` is there.
    """
    c, s = _sum_of(x, s, y, t, table, last, shift, zero)
    if exact:
        c, high, low = _range(c, high, low, one, most, zero)
    return c, s, high, low


@_inline
def _seen(high, low, a, b):  # type: ignore[no-untyped-def]
    """The highest and the lowest code so far, after two more."""
    return maximum(high, maximum(a, b)), minimum_unsigned(low, minimum_unsigned(a, b))


@_inline
def _store_rows(array, to, width, row0, row1, row2, row3):  # type: ignore[no-untyped-def]
    store(array, to, row0)
    store(array, to + width, row1)
    store(array, to + np.uint64(2) * width, row2)
    store(array, to + np.uint64(3) * width, row3)


@_inline
def _products_at(a, b, row, start, step, width, table):  # type: ignore[no-untyped-def]
    """The codes of the four rows' products at a step of the panels, and the marks of their signs."""
    place = np.uint64(2) * (start + step) * width
    c, t = load(b, place), _kept(load(b, place + width), table)
    i0 = np.uint64(8) * (row + step)
    i1, i2, i3, i4 = i0 + np.uint64(1), i0 + np.uint64(2), i0 + np.uint64(3), i0 + np.uint64(4)
    i5, i6, i7 = i0 + np.uint64(5), i0 + np.uint64(6), i0 + np.uint64(7)
    return (
        add(c, broadcast(a, i0)), add(c, broadcast(a, i1)), add(c, broadcast(a, i2)), add(c, broadcast(a, i3)),
        bit_xor(t, _kept_of(a, i4, table)), bit_xor(t, _kept_of(a, i5, table)),
        bit_xor(t, _kept_of(a, i6, table)), bit_xor(t, _kept_of(a, i7, table)),
    )  # fmt: skip


@_inline
def _ranges(  # type: ignore[no-untyped-def]
    c0, c1, c2, c3, h0, h1, h2, h3, l0, l1, l2, l3, one, most, zero
):
    """`_range` of four rows."""
    c0, h0, l0 = _range(c0, h0, l0, one, most, zero)
    c1, h1, l1 = _range(c1, h1, l1, one, most, zero)
    c2, h2, l2 = _range(c2, h2, l2, one, most, zero)
    c3, h3, l3 = _range(c3, h3, l3, one, most, zero)
    return c0, c1, c2, c3, h0, h1, h2, h3, l0, l1, l2, l3


@_inline
def _tile(a, b, table, numbers, outside, row, start, steps, lanes, sums, highs, lows, exact):  # type: ignore[no-untyped-def]
    """The partial sums of all lanes of a tile into ``sums``, (lanes, 2, 4, width): codes, then marks of signs."""
    one, most, zero = splat(numbers.one), splat(numbers.most), splat(numbers.zero)
    last, shift = splat(numbers.last), splat(numbers.shift)
    width = np.uint64(highs.size // 4)
    none = _kept(sub(one, one), table)
    h0 = h1 = h2 = h3 = zero
    l0 = l1 = l2 = l3 = most
    for lane in range(lanes):
        x0 = x1 = x2 = x3 = zero
        s0 = s1 = s2 = s3 = none
        first, beyond = first_step(lane, steps, lanes), first_step(lane + np.uint64(1), steps, lanes)
        if first < beyond:  # added to zero, the first products stay what they are
            x0, x1, x2, x3, s0, s1, s2, s3 = _products_at(a, b, row, start, first, width, table)
            if exact and outside:  # the range rule of the products, where these operands need it
                x0, x1, x2, x3, h0, h1, h2, h3, l0, l1, l2, l3 = _ranges(
                    x0, x1, x2, x3, h0, h1, h2, h3, l0, l1, l2, l3, one, most, zero
                )
        for step in range(first + np.uint64(1), beyond):
            y0, y1, y2, y3, t0, t1, t2, t3 = _products_at(a, b, row, start, step, width, table)
            if exact and outside:
                y0, y1, y2, y3, h0, h1, h2, h3, l0, l1, l2, l3 = _ranges(
                    y0, y1, y2, y3, h0, h1, h2, h3, l0, l1, l2, l3, one, most, zero
                )
            x0, s0, h0, l0 = _add(x0, s0, y0, t0, h0, l0, table, one, most, zero, last, shift, exact)
            x1 = after(x1, x0)
            x1, s1, h1, l1 = _add(x1, s1, y1, t1, h1, l1, table, one, most, zero, last, shift, exact)
            x2 = after(x2, x1)
            x2, s2, h2, l2 = _add(x2, s2, y2, t2, h2, l2, table, one, most, zero, last, shift, exact)
            x3 = after(x3, x2)
            x3, s3, h3, l3 = _add(x3, s3, y3, t3, h3, l3, table, one, most, zero, last, shift, exact)
            if not exact:
                h0, l0 = _seen(h0, l0, x0, x1)
                h0, l0 = _seen(h0, l0, x2, x3)
        to = np.uint64(8) * lane * width
        _store_rows(sums, to, width, x0, x1, x2, x3)
        _store_rows(sums, to + np.uint64(4) * width, width, _stored(s0), _stored(s1), _stored(s2), _stored(s3))
    _store_rows(highs, np.uint64(0), width, h0, h1, h2, h3)
    _store_rows(lows, np.uint64(0), width, l0, l1, l2, l3)


@_inline
def _tree(table, numbers, lanes, sums, highs, lows, exact):  # type: ignore[no-untyped-def]
    """Neighbours added until one partial sum is left, in place."""
    one, most, zero = splat(numbers.one), splat(numbers.most), splat(numbers.zero)
    last, shift = splat(numbers.last), splat(numbers.shift)
    size, two = np.uint64(highs.size), np.uint64(2)
    width = size // np.uint64(4)
    while lanes > 1:
        lanes //= two
        for i in range(lanes):
            for r in range(np.uint64(0), size, width):
                to, x = two * i * size + r, two * two * i * size + r
                y = x + two * size
                c, s, high, low = _add(
                    load(sums, x), _kept(load(sums, x + size), table),
                    load(sums, y), _kept(load(sums, y + size), table),
                    load(highs, r), load(lows, r), table, one, most, zero, last, shift, exact,
                )  # fmt: skip
                if not exact:
                    high, low = _seen(high, low, c, c)
                store(sums, to, c)
                store(sums, to + size, _stored(s))
                store(highs, r, high)
                store(lows, r, low)


@_inline
def _by_rows(a, b, table, numbers, row, start, steps, lanes, sums, highs, lows):  # type: ignore[no-untyped-def]
    """A tile without the range rule, a row after another."""
    _tile(a, b, table, numbers, False, row, start, steps, lanes, sums, highs, lows, False)
    _tree(table, numbers, lanes, sums, highs, lows, False)


@_inline
def _in_stages(a, b, table, numbers, row, start, steps, lanes, sums, highs, lows):  # type: ignore[no-untyped-def]
    """The same in stages (`lns.kernels.adders`), AVX2 only; ``highs`` and ``lows`` are then those of all elements."""
    most, zero, last, shift = splat(numbers.most), splat(numbers.zero), numbers.last, numbers.shift
    width, one, two = np.uint64(highs.size // 4), np.uint64(1), np.uint64(2)
    a_step, b_step = width // two, two * width  # elements of a step of a's panels: eight times 32 bits
    size, none, seen = np.uint64(8) * width, sub(zero, zero), (halved(zero), halved(most))
    for lane in range(lanes):
        first, beyond = first_step(lane, steps, lanes), first_step(lane + one, steps, lanes)
        to, i, j = lane * size, a_step * (row + first), b_step * (start + first)
        if first < beyond:
            set_products(sums, to, a, i, b, j, table)
        else:
            _store_rows(sums, to, width, zero, zero, zero, zero)
            _store_rows(sums, to + size // two, width, none, none, none, none)
        if first + one < beyond:
            left, registers = beyond - first - one, numbers.registers
            seen = add_products(sums, to, a, i + a_step, b, j + b_step, left, table, last, shift, registers, seen)
    while lanes > 1:
        lanes //= two
        for i in range(lanes):
            x = two * i * size
            seen = add_rows(sums, i * size, x, x + size, table, last, shift, seen)
    finish_marks(sums, np.uint64(0), table)
    high, low = twice(seen[0]), twice(seen[1])
    _store_rows(highs, np.uint64(0), width, high, high, high, high)
    _store_rows(lows, np.uint64(0), width, low, low, low, low)


def _tried(
    a: Any, b: Any, table: Any, numbers: Any, row: Any, start: Any, steps: Any, lanes: Any, sums: Any, highs: Any,
    lows: Any,
) -> None:  # fmt: skip
    """The sums of a tile as the first (2, 4, width) of ``sums`` without the range rule. Compiled code only."""
    raise NotImplementedError


@overload(_tried, inline="always")
def _tried_compiled(a, b, table, numbers, row, start, steps, lanes, sums, highs, lows):  # type: ignore[no-untyped-def]
    way = _in_stages if isa.VECTOR == "avx2" else _by_rows
    return lambda a, b, table, numbers, row, start, steps, lanes, sums, highs, lows: way(
        a, b, table, numbers, row, start, steps, lanes, sums, highs, lows
    )


@jit
def _sum(a, b, table, numbers, outside, row, start, steps, lanes, sums, highs, lows, exact):  # type: ignore[no-untyped-def]
    """The sums of a tile as the first (2, 4, width) of ``sums``; returns whether they are exact.

    They are first tried without the range rule, unless ``exact`` says that it is needed.
    """
    if not exact:
        _tried(a, b, table, numbers, row, start, steps, lanes, sums, highs, lows)
        one, most = numbers.one, numbers.most
        for i in range(highs.size):
            exact |= (highs[i] > most) | (lows[i] < one)
    if exact:
        _tile(a, b, table, numbers, outside, row, start, steps, lanes, sums, highs, lows, True)
        _tree(table, numbers, lanes, sums, highs, lows, True)
    return exact


@_inline
def _write_row(  # type: ignore[no-untyped-def]
    sums, highs, lows, numbers, sign_bit, first, columns, place, step, out, events
):
    for c in range(np.uint64(columns)):
        i, to = first + c, place + c * step
        code = np.int32(sums[i]) - np.int32(numbers.one) + np.int32(1)
        sign = np.int32(sign_bit) if sums[i + np.uint64(highs.size)] else np.int32(0)
        out[to] = code | sign if code > 0 else 0
        events[to] = (ACC_SATURATE if highs[i] > numbers.most else 0) | (ACC_UNDERFLOW if lows[i] < numbers.one else 0)


@_inline
def _write(sums, highs, lows, numbers, sign_bit, m, n, first_m, first_n, out, events, strides):  # type: ignore[no-untyped-def]
    """A tile into the (m, n) result."""
    width, step, one = highs.size // 4, np.uint64(strides[1]), np.uint64(1)
    columns = min(width, n - first_n)
    for r in range(min(4, m - first_m)):
        first, place = np.uint64(r * width), np.uint64((first_m + r) * strides[0] + first_n * strides[1])
        if step == one:  # in vectors
            _write_row(sums, highs, lows, numbers, sign_bit, first, columns, place, one, out, events)
        else:
            _write_row(sums, highs, lows, numbers, sign_bit, first, columns, place, step, out, events)


def _loop(  # type: ignore[no-untyped-def]
    begin, end, a, b, table, numbers, outside, steps, lanes, sign_bit, m, n, out, events, strides
):
    width, groups = 64 // a.itemsize, -(-m // 4)
    sums, highs, lows = np.empty(lanes * 8 * width, a.dtype), np.empty(4 * width, a.dtype), np.empty(4 * width, a.dtype)
    exact = outside
    for tile in range(begin, end):
        panel, group = tile // groups, tile % groups
        exact = _sum(
            a, b, table, numbers, outside, np.uint64(group * steps), np.uint64(panel * steps), np.uint64(steps),
            np.uint64(lanes), sums, highs, lows, exact,
        )  # fmt: skip
        _write(sums, highs, lows, numbers, sign_bit, m, n, 4 * group, width * panel, out, events, strides)


_products = Threaded(_loop, LEAST_WORK)


def _outside(a: Array, b: Array, plan: Plan) -> bool:
    """Whether a product of these operands may fall outside the accumulator's codes."""
    one, most = int(plan.numbers.one), int(plan.numbers.most)
    start = plan.a.start + plan.b.start
    if start + plan.a.scale + plan.b.scale >= one and (
        start + plan.a.fmt.max_code * plan.a.scale + plan.b.fmt.max_code * plan.b.scale <= most
    ):
        return False  # whatever the operands
    least, largest = start, start
    for words, share in ((a, plan.a), (b, plan.b)):
        low, high = code_range(words, share.fmt.max_code)
        if low > high:
            return False  # nothing but zeros
        least += int(low) * share.scale
        largest += int(high) * share.scale
    return least < one or largest > most


def product(a: Array, b: Array, unit: LogDot, plan: Plan, transposed: bool = False) -> tuple[Array, Array]:
    """The accumulator words of (M, K) times (K, N) and their events, as `lns.kernels.dot_log` gives them, or the (N, M)
    transpose of both."""
    (m, k), n = a.shape, b.shape[1]
    shape, strides = ((n, m), (1, m)) if transposed else ((m, n), (n, 1))
    dtype = type(plan.numbers.one)
    twice = plan.width == 32  # 16-bit lanes
    left = pack_steps(a.T, plan.a, dtype, ROWS, unit.lanes, twice)
    right = pack_steps(b, plan.b, dtype, plan.width, unit.lanes)
    out, events = np.empty(shape, unit.acc.dtype), np.empty(shape, np.uint8)
    _products(
        m * n * k, tiles(m, n, plan.width), left, right, plan.table, plan.numbers, _outside(a, b, plan), k,
        unit.lanes, unit.acc.sign_bit, m, n, out.reshape(-1), events.reshape(-1), strides,
    )  # fmt: skip
    return out, events
