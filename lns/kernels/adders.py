"""Adders that log-add all rows of a tile at once, in an order that LLVM keeps (AVX2 only).

There is no range rule here, but the highest and lowest codes are noted (`lns.kernels.product_log`). Between stages
stands a barrier that LLVM moves no memory access across.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from lns.kernels import pieces
from lns.kernels.pieces import I1, I32
from lns.kernels.vector_bytes import BYTES, interleaved, look_up, narrowed, pair_sums_of

ROWS, HALVES = 4, 8  #: of a tile
REGISTERS = 4  #: that hold sb at most, and as many db

Operand = tuple[list[Any], Any]  #: codes, half a vector each, and the marks of their signs
Operands = Callable[[int], Operand]  #: of the part of a tile that has this number


class Memory:
    """Halves of vectors from an address on."""

    def __init__(self, builder: Any, start: Any, half: Any) -> None:
        self._builder, self._start, self._half = builder, start, half

    def _address(self, place: int, kind: Any) -> Any:
        return self._builder.gep(self._builder.bitcast(self._start, kind.as_pointer()), [ir.Constant(I32, place)])

    def after(self, places: int) -> Any:
        """The address so many halves further."""
        return self._builder.bitcast(self._address(places, self._half), self._start.type)

    def load(self, place: int) -> Any:
        return self._builder.load(self._address(place, self._half), align=self._half.element.width // 8)

    def store(self, place: int, value: Any) -> None:
        """Stores a value as wide as a half."""
        self._builder.store(value, self._address(place, value.type), align=self._half.element.width // 8)

    def broadcast(self, place: int) -> Any:
        """A word of 32 bits, counted in such, in every 32 bits."""
        words = pieces.broadcast(self._builder, self._address(place, I32), self._half.element.width // 8)
        return self._builder.bitcast(pieces.halves(self._builder, words)[0], self._half)


class Values:
    """The same places as values that LLVM keeps where it likes, each of the type that it has at first."""

    def __init__(self, builder: Any, values: Sequence[Any]) -> None:
        self._builder, self.values = builder, list(values)

    def load(self, place: int) -> Any:
        return self.values[place]

    def store(self, place: int, value: Any) -> None:
        self.values[place] = self._builder.bitcast(value, self.values[place].type)


class _Adder:
    """What both adders have: a sum of two operands, part by part of a tile, which may be begun in one call and finished
    in the next, and what of it is ``on_the_way`` between them."""

    parts: int  #: of a tile, which it adds one by one
    places: int  #: of a tile that are best `Values` while products are added to it, not in `Memory`

    def __init__(self, builder: Any, constants: Sequence[Any], high: Any, low: Any, registers: int = REGISTERS) -> None:
        self._builder, self._constants = builder, constants
        self.registers = registers  #: that hold sb, and as many db, where the table is in such
        self.high, self.low = high, low  #: the highest and the lowest codes so far, in half a vector
        self.on_the_way: list[Any] = []

    def _call(self, operation: str, a: Any, b: Any) -> Any:
        return pieces.call(self._builder, f"llvm.{operation}.v{a.type.count}i{a.type.element.width}", a.type, a, b)

    def _note(self, code: Any) -> None:
        self.high, self.low = self._call("smax", self.high, code), self._call("umin", self.low, code)


class WordAdder(_Adder):
    """Half a row after another, tables in memory. Its constants are the address of the table's first entry, and the
    largest index in every lane.

    Between a code and its entry lie some forty cycles, and a processor whose queues are full of what waits looks no
    further. So there are three stages, the index, its way to general registers, and the entry; and the first stage of a
    half stands before the second of the one before and the third of the one before that, from one addition to the next
    as well.
    """

    parts, places = HALVES, 0

    @staticmethod
    def products(builder: Any, a: Memory, b: Memory) -> Operands:
        """The codes and marks of the products of the shares and marks at two places."""

        def of(h: int) -> Operand:
            row, side = divmod(h, 2)
            code = builder.add(b.load(side), a.broadcast(row))
            return [code], builder.xor(b.load(2 + side), a.broadcast(ROWS + row))

        return of

    @staticmethod
    def sums(builder: Any, rows: Memory) -> Operands:
        """Such sums as `store` leaves at a place."""
        return lambda h: ([rows.load(h)], rows.load(HALVES + h))

    @staticmethod
    def store(to: Memory, h: int, codes: list[Any], mark: Any) -> None:
        to.store(h, codes[0])
        to.store(HALVES + h, mark)

    def _first(self, to: Memory, h: int, left: Operand, right: Operand) -> list[Any]:
        """The first stage: the larger codes and the indices."""
        builder, last = self._builder, self._constants[1]
        ((x,), s), ((y,), t) = left, right
        large = self._call("smax", x, y)
        distance = self._call("umin", builder.sub(large, self._call("smin", x, y)), last)
        index = builder.or_(distance, builder.xor(s, t))
        mark = builder.select(builder.icmp_signed(">=", x, y), s, t)
        if mark.type.element.width == 32:  # lest LLVM store only those lanes that change, which takes twenty cycles
            mark = pieces.opaque(builder, mark)
        to.store(HALVES + h, mark)
        return pieces.barrier(builder, [large, index])

    def _second(self, large: Any, index: Any) -> list[Any]:
        """The second stage: the larger codes, and the indices in general registers."""
        return [large, *pieces.barrier(self._builder, pieces.words(self._builder, index))]

    def _go_on(self, to: Memory, h: int, after_first: list[Any], after_second: list[Any]) -> list[Any]:
        """The third stage of one half, and in its middle the second of the next: no sooner, for general registers are
        few. Returns what that one leaves for its third."""
        builder, second = self._builder, []

        def between() -> None:
            if after_first:
                second.extend(self._second(*after_first))

        if not after_second:
            between()
            return second
        large, *words = after_second
        entries = pieces.entries_avx2(builder, self._constants[0], large.type, words, between)
        code = pieces.add_sums(builder, large, entries)
        to.store(h, code)
        self._note(code)
        pieces.barrier(builder, [])
        return second

    def add(self, to: Memory, left: Operands, right: Operands) -> None:
        """Begins the sums of two operands, which may be where the sums go; finishes those that are on the way there."""
        for h in range(HALVES):
            first = self._first(to, h, left(h), right(h))
            second = self._go_on(to, (h - 2) % HALVES, self.on_the_way[:2], self.on_the_way[2:])
            self.on_the_way = first + second

    def finish(self, to: Memory) -> None:
        """Finishes what is on the way."""
        second = self._go_on(to, HALVES - 2, self.on_the_way[:2], self.on_the_way[2:])
        self._go_on(to, HALVES - 1, [], second)


class ByteAdder(_Adder):
    """A row after another, tables of bytes in registers (`lns.kernels.product_log`). Its constants are the table's
    address, and the shift from a distance to an index.

    There are three stages, the index, the entry's bytes, and the sum, and each is done for all rows before the next
    one, so that a register of the table is loaded once. Nothing is on the way from one addition to the next, for which
    the sums would come too late.
    """

    parts, places = ROWS, HALVES + ROWS

    @staticmethod
    def products(builder: Any, a: Memory, b: Memory) -> Operands:
        """As `WordAdder.products`; the marks are bytes, in the order in which `narrowed` leaves them."""
        marks = narrowed(builder, b.load(2), b.load(3))

        def of(row: int) -> Operand:
            share, mark = a.broadcast(row), builder.bitcast(a.broadcast(ROWS + row), BYTES.llvm)
            return [builder.add(b.load(side), share) for side in (0, 1)], builder.xor(marks, mark)

        return of

    @staticmethod
    def sums(builder: Any, rows: Memory | Values) -> Operands:
        """Such sums as `store` leaves at a place."""

        def of(row: int) -> Operand:
            return [rows.load(2 * row + side) for side in (0, 1)], builder.bitcast(rows.load(HALVES + row), BYTES.llvm)

        return of

    @staticmethod
    def store(to: Memory | Values, row: int, codes: list[Any], mark: Any) -> None:
        for side in (0, 1):
            to.store(2 * row + side, codes[side])
        to.store(HALVES + row, mark)

    def _first(self, to: Memory | Values, row: int, left: Operand, right: Operand) -> list[Any]:
        """The first stage: indices, differences and unlike signs, as bytes. The larger codes go where the sums will be.

        An index has its top bit set from 16 on.
        """
        builder, shift = self._builder, self._constants[1]
        (codes, s), (others, t) = left, right
        apart = [self._call("ssub.sat", x, y) for x, y in zip(codes, others, strict=True)]
        near, steps = narrowed(builder, *apart), []
        for difference in apart:
            kind = difference.type
            distance = pieces.call(builder, f"llvm.abs.v{kind.count}i16", kind, difference, ir.Constant(I1, 0))
            steps.append(pieces.call(builder, "llvm.x86.avx2.psrl.w", kind, distance, shift))
        large = [self._call("smax", x, y) for x, y in zip(codes, others, strict=True)]
        index = builder.add(narrowed(builder, *steps), pieces.constant(BYTES.llvm, 0x70))
        mark = builder.select(_negative(builder, near), t, s)
        index, near, unlike, *large, mark = pieces.barrier(builder, [index, near, builder.xor(s, t), *large, mark])
        self.store(to, row, large, mark)
        return [index, near, unlike]

    def _high(self, index: Any, near: Any, unlike: Any, sb: Any, db: Any) -> Any:
        """The higher bytes of entries: the lowest that there is where the operands cancel."""
        builder, none = self._builder, ir.Constant(BYTES.llvm, None)
        equal, lowest = builder.icmp_signed("==", near, none), pieces.constant(BYTES.llvm, -128)
        of_db = builder.select(equal, lowest, look_up(builder, db, index))
        return builder.select(_negative(builder, unlike), of_db, look_up(builder, sb, index))

    def _second(self, firsts: Sequence[list[Any]]) -> list[list[Any]]:
        """The second stage: the lower and the higher bytes of entries.

        A register of the table answers to the first 16, 32, 48 or 64 indices, those that do not have their top bit set;
        what all that have entries find, combined by an exclusive or, is the lower byte.
        """
        builder = self._builder
        index, near, unlike = (list(values) for values in zip(*firsts, strict=True))
        table = Memory(builder, self._constants[0], BYTES.llvm)

        def look_ups(j: int) -> list[Any]:
            """What register j of sb has for all rows, and of db."""
            return [look_up(builder, table.load(part + j), one) for part in (0, REGISTERS) for one in index]

        sb, db = table.load(2 * REGISTERS), table.load(2 * REGISTERS + 1)
        high = [self._high(*values, sb, db) for values in zip(index, near, unlike, strict=True)]
        index, high = self._kept(index, high)
        found = look_ups(0)
        for j in range(1, self.registers):
            index, found = self._kept(index, found)
            index = [builder.add(one, pieces.constant(BYTES.llvm, -16)) for one in index]
            found = [builder.xor(a, b) for a, b in zip(found, look_ups(j), strict=True)]
        which = [_negative(builder, one) for one in unlike]
        low = [builder.select(*values) for values in zip(which, found[ROWS:], found[:ROWS], strict=True)]
        return [[a, b] for a, b in zip(pieces.barrier(builder, low), high, strict=True)]

    def _kept(self, some: list[Any], others: list[Any]) -> tuple[list[Any], list[Any]]:
        """Both behind one barrier."""
        kept = pieces.barrier(self._builder, some + others)
        return kept[: len(some)], kept[len(some) :]

    def _third(self, to: Memory | Values, row: int, low: Any, high: Any) -> None:
        """The third stage: the sums."""
        for side, entry in enumerate(pair_sums_of(self._builder, low, high)):
            code = pieces.add_sums(self._builder, to.load(2 * row + side), entry)
            to.store(2 * row + side, code)
            self._note(code)

    def add(self, to: Memory | Values, left: Operands, right: Operands) -> None:
        """The sums of two operands, which may be where the sums go."""
        firsts = [self._first(to, row, left(row), right(row)) for row in range(ROWS)]
        for row, bytes_ in enumerate(self._second(firsts)):
            self._third(to, row, *bytes_)

    def finish(self, to: Memory | Values) -> None:
        """Nothing is on the way."""

    @staticmethod
    def widen_marks(builder: Any, rows: Memory) -> None:
        """Marks as wide as codes, in place of the bytes."""
        marks = [builder.bitcast(rows.load(HALVES + row), BYTES.llvm) for row in range(ROWS)]
        for row, mark in enumerate(marks):
            for side, half in enumerate(interleaved(builder, mark, mark)):
                rows.store(HALVES + 2 * row + side, half)


def _negative(builder: Any, some: Any) -> Any:
    return builder.icmp_signed("<", some, ir.Constant(some.type, None))
