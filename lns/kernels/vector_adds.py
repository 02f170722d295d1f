"""Log-adds of all rows of a tile at once, tables in memory, in stages (AVX2 only).

An entry comes some thirty cycles after the codes that ask for it, and sixteen loads for sixteen lanes leave the
processor little room to look ahead for other work. So each half of a row is computed in two stages, and the first stage
of a half stands before the second of the half before it: while entries are loaded, the next indices are on their way.
Between stages stands a barrier that LLVM moves no memory access across. Partial sums are in memory, where they would be
anyway: sixteen registers do not hold them.

There is no range rule here, but the highest and lowest codes are noted (`lns.kernels.product_log`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from lns.kernels import pieces
from lns.kernels.pieces import I32, I64, intrinsic

_HALVES = 8  #: of four rows


class _Memory:
    """Halves of vectors from an address on."""

    def __init__(self, builder: Any, start: Any, half: Any) -> None:
        self._builder, self._start, self._half = builder, start, half

    def _address(self, place: int, kind: Any) -> Any:
        return self._builder.gep(self._builder.bitcast(self._start, kind.as_pointer()), [ir.Constant(I32, place)])

    def load(self, place: int) -> Any:
        return self._builder.load(self._address(place, self._half), align=self._half.element.width // 8)

    def store(self, place: int, value: Any) -> None:
        self._builder.store(value, self._address(place, self._half), align=self._half.element.width // 8)

    def broadcast(self, place: int) -> Any:
        """A word of 32 bits, counted in such, in every 32 bits."""
        words = pieces.broadcast(self._builder, self._address(place, I32), self._half.element.width // 8)
        return self._builder.bitcast(pieces.halves(self._builder, words)[0], self._half)


class _Adder:
    """Adds halves of rows, to sums ``to`` which are codes and then marks; ``high`` and ``low`` are the highest and the
    lowest codes so far.

    ``base`` is the address of the table's first entry, ``last`` the largest index.
    """

    def __init__(self, builder: Any, to: _Memory, base: Any, last: Any, high: Any, low: Any) -> None:
        self._builder, self._to, self._base, self._last, self.high, self.low = builder, to, base, last, high, low
        self._half = high.type

    def _call(self, operation: str, a: Any, b: Any) -> Any:
        half = self._half
        return pieces.call(self._builder, f"llvm.{operation}.v{half.count}i{half.element.width}", half, a, b)

    def _first(self, h: int, x: Any, s: Any, y: Any, t: Any) -> tuple[Any, list[Any]]:
        """The first stage, of the codes x and y with the marks s and t: the larger ones and the indices."""
        builder, large = self._builder, self._call("smax", x, y)
        distance = self._call("umin", builder.sub(large, self._call("smin", x, y)), self._last)
        words = pieces.words(builder, builder.or_(distance, builder.xor(s, t)))
        mark = builder.select(builder.icmp_signed(">=", x, y), s, t)
        if self._half.element.width == 32:  # lest LLVM store only those lanes that change, which takes twenty cycles
            mark = pieces.opaque(builder, mark)
        self._to.store(_HALVES + h, mark)
        return large, pieces.barrier(builder, words)

    def _second(self, h: int, large: Any, words: list[Any]) -> None:
        entries = pieces.entries_avx2(self._builder, self._base, self._half, words)
        code = pieces.add_sums(self._builder, large, entries)
        self._to.store(h, code)
        self.high, self.low = self._call("smax", self.high, code), self._call("umin", self.low, code)
        pieces.barrier(self._builder, [])

    def add(self, operands: Callable[[int], Iterable[Any]]) -> None:
        """Adds two operands for each half: a code and its mark, and again."""
        before = self._first(0, *operands(0))
        for h in range(1, _HALVES):
            now = self._first(h, *operands(h))
            self._second(h - 1, *before)
            before = now
        self._second(_HALVES - 1, *before)


def _products(builder: Any, half: Any, a: Any, b: Any) -> Callable[[int], tuple[Any, Any]]:
    """The codes and marks of the products of the shares and marks at two addresses."""
    left, right = _Memory(builder, a, half), _Memory(builder, b, half)

    def of(h: int) -> tuple[Any, Any]:
        row, side = divmod(h, 2)
        code = builder.add(right.load(side), left.broadcast(row))
        return code, builder.xor(right.load(2 + side), left.broadcast(4 + row))

    return of


@intrinsic
def halved(typing: Any, vector: Any) -> Any:
    """The lower half of a vector."""
    half = pieces.Vector(vector.bits, vector.count // 2)
    return half(vector), lambda context, builder, sig, args: pieces.halves(builder, args[0])[0]


@intrinsic
def twice(typing: Any, half: Any) -> Any:
    """A vector of two equal halves."""
    vector = pieces.Vector(half.bits, half.count * 2)
    return vector(half), lambda context, builder, sig, args: pieces.join(builder, args[0], args[0])


def _lane(module: Any, half: Any, kinds: list[Any]) -> Any:
    """A function that adds products in a loop: of its own, for there LLVM has registers for this and nothing else."""
    result = ir.LiteralStructType([half, half])
    function = ir.Function(module, ir.FunctionType(result, kinds), module.get_unique_name("lns.add_products"))
    function.linkage = "internal"
    function.attributes.add("noinline")
    sums, a, b, base, steps, a_stride, b_stride, last, high, low = function.args
    entry, loop, end = (function.append_basic_block(name) for name in ("entry", "loop", "end"))
    ir.IRBuilder(entry).branch(loop)
    builder = ir.IRBuilder(loop)
    start = a, b, steps, high, low
    now = [builder.phi(value.type) for value in start]
    a, b = (pieces.opaque(builder, pointer) for pointer in now[:2])  # lest LLVM add a common part in each access
    to, products = _Memory(builder, sums, half), _products(builder, half, a, b)
    adder = _Adder(builder, to, base, last, *now[3:])
    adder.add(lambda h: (to.load(h), to.load(_HALVES + h), *products(h)))
    left = builder.sub(now[2], ir.Constant(I64, 1))
    following = builder.gep(a, [a_stride]), builder.gep(b, [b_stride]), left, adder.high, adder.low
    for phi, first, value in zip(now, start, following, strict=True):
        phi.add_incoming(first, entry)
        phi.add_incoming(value, loop)
    builder.cbranch(builder.icmp_unsigned("==", left, ir.Constant(I64, 0)), end, loop)
    builder.position_at_end(end)
    found = builder.insert_value(ir.Constant(result, ir.Undefined), adder.high, 0)
    builder.ret(builder.insert_value(found, adder.low, 1))
    return function


@intrinsic
def set_products(typing: Any, sums: Any, to: Any, a: Any, i: Any, b: Any, j: Any) -> Any:
    """Four rows of sums, codes and then marks, at element ``to`` of an array: the products of four shares and marks of
    a, from element ``i`` on, and of a vector of shares and of marks of b, from element ``j`` on."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        half = ir.VectorType(ir.IntType(sums.dtype.bitwidth), pieces.BITS // 2 // sums.dtype.bitwidth)
        places = ((sums, *args[:2]), (a, *args[2:4]), (b, *args[4:6]))
        target, left, right = (pieces.address(context, builder, *place) for place in places)
        products, rows = _products(builder, half, left, right), _Memory(builder, target, half)
        for h in range(_HALVES):
            code, mark = products(h)
            rows.store(h, code)
            rows.store(_HALVES + h, mark)
        return context.get_dummy_value()

    uint = types.uintp
    return types.void(sums, uint, a, uint, b, uint), generate


@intrinsic
def add_products(
    typing: Any, sums: Any, to: Any, a: Any, i: Any, a_stride: Any, b: Any, j: Any, b_stride: Any, steps: Any,
    table: Any, last: Any, seen: Any,
) -> Any:  # fmt: skip
    """Adds such products to such sums, as many times as there are ``steps``, at least once; from one time to the next
    ``i`` and ``j`` grow by so many elements. Returns the highest and the lowest code of a sum, those ``seen`` before
    too, in half a vector each."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        places = ((sums, *args[:2]), (a, *args[2:4]), (b, *args[5:7]))
        addresses = [pieces.address(context, builder, *place) for place in places]
        base, (limit, _) = pieces.entries(context, builder, table, args[9]), pieces.halves(builder, args[10])
        high, low = cgutils.unpack_tuple(builder, args[11])
        arguments = [*addresses, base, args[8], args[4], args[7], limit, high, low]
        lane = _lane(builder.module, high.type, [argument.type for argument in arguments])
        found = builder.call(lane, arguments)
        return context.make_tuple(builder, seen, [builder.extract_value(found, i) for i in (0, 1)])

    uint = types.uintp
    return seen(sums, uint, a, uint, uint, b, uint, uint, uint, table, last, seen), generate


@intrinsic
def add_rows(typing: Any, sums: Any, to: Any, x: Any, y: Any, table: Any, last: Any, seen: Any) -> Any:
    """The sums of four rows at element ``x`` and four at ``y``, codes and then marks, to element ``to``. Returns the
    highest and the lowest code, those ``seen`` before too."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        high, low = cgutils.unpack_tuple(builder, args[6])
        target, left, right = (
            _Memory(builder, pieces.address(context, builder, sums, args[0], place), high.type) for place in args[1:4]
        )
        base, (limit, _) = pieces.entries(context, builder, table, args[4]), pieces.halves(builder, args[5])
        adder = _Adder(builder, target, base, limit, high, low)
        adder.add(lambda h: [rows.load(place) for rows in (left, right) for place in (h, _HALVES + h)])
        return context.make_tuple(builder, seen, (adder.high, adder.low))

    uint = types.uintp
    return seen(sums, uint, uint, uint, table, last, seen), generate
