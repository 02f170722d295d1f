"""Log-adds of all rows of a tile at once, tables in memory, in stages (AVX2 only).

An entry is some thirty cycles behind the codes that ask for it, and sixteen loads for sixteen lanes leave the processor
little room to look ahead for other work. So each half of a row is computed in two stages, and the first stage of a half
stands before the second of the half before it: while entries are loaded, the next indices are on their way. Between
stages stands a barrier that LLVM moves no memory access across. Partial sums are in memory, where they would be anyway:
sixteen registers do not hold them.

There is no range rule here, but the highest and lowest codes are noted (`lns.kernels.product_log`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.np.arrayobj import make_array

from lns.kernels import pieces
from lns.kernels.pieces import I32, I64, intrinsic

_HALVES = 8  #: of four rows


class _Memory:
    """Halves of vectors in an array, counted from an element on, or from a word of 32 bits."""

    def __init__(
        self, context: Any, builder: Any, kind: Any, array: Any, start: Any, half: Any, words: bool = False
    ) -> None:
        data = make_array(kind)(context, builder, array).data
        if words:
            data = builder.bitcast(data, I32.as_pointer())
        self._builder, self._half, self._start = builder, half, builder.gep(data, [start])

    def _address(self, place: int, kind: Any) -> Any:
        return self._builder.gep(self._builder.bitcast(self._start, kind.as_pointer()), [ir.Constant(I32, place)])

    def load(self, place: int) -> Any:
        return self._builder.load(self._address(place, self._half), align=self._half.element.width // 8)

    def store(self, place: int, value: Any) -> None:
        self._builder.store(value, self._address(place, self._half), align=self._half.element.width // 8)

    def broadcast(self, place: int) -> Any:
        """A word of 32 bits, counted in such, in every 32 bits."""
        word = self._builder.load(self._address(place, I32), align=self._half.element.width // 8)
        return self._builder.bitcast(pieces.halves(self._builder, pieces.splat(self._builder, word))[0], self._half)


def _barrier(builder: Any, words: list[Any]) -> list[Any]:
    """The words, in general registers from here on. LLVM moves no access to memory across."""
    kind = ir.LiteralStructType([I64] * len(words)) if words else ir.VoidType()
    constraints = ["=r"] * len(words) + [str(i) for i in range(len(words))] + ["~{memory}"]
    barrier = ir.InlineAsm(ir.FunctionType(kind, [I64] * len(words)), "", ",".join(constraints), side_effect=True)
    out = builder.call(barrier, words)
    return [builder.extract_value(out, i) for i in range(len(words))]


def _in_stages(
    context: Any, builder: Any, half: Any, table: Any, last: Any, seen: Any, operands: Callable[[int], Any], to: _Memory
) -> list[Any]:
    """Adds each half's ``operands``, a code and a mark and again a code and a mark; ``table`` is its type and its
    array. Returns the highest and lowest code, those ``seen`` too."""
    name = f"v{half.count}i{half.element.width}"

    def call(operation: str, a: Any, b: Any) -> Any:
        return pieces.call(builder, f"llvm.{operation}.{name}", half, a, b)

    base = make_array(table[0])(context, builder, table[1]).data
    base = builder.gep(base, [ir.Constant(I32, 1)]) if half.element.width == 16 else base  # see `lookup`
    last = pieces.halves(builder, last)[0]
    highs, lows = (pieces.halves(builder, vector) for vector in cgutils.unpack_tuple(builder, seen))
    before: tuple[Any, list[Any]] | None = None
    for h in range(_HALVES + 1):
        now = None
        if h < _HALVES:
            x, s, y, t = operands(h)
            large = call("smax", x, y)
            distance = call("umin", builder.sub(large, call("smin", x, y)), last)
            words = pieces.words(builder, builder.or_(distance, builder.xor(s, t)))
            mark = builder.select(builder.icmp_signed(">=", x, y), s, t)
            if half.element.width == 32:  # lest LLVM store only those lanes that change, which takes twenty cycles
                mark = pieces.opaque(builder, mark)
            to.store(_HALVES + h, mark)
            now = large, _barrier(builder, words)
        if before is not None:
            large, words = before
            code, i = pieces.add_sums(builder, large, pieces.entries_avx2(builder, base, half, words)), h % 2
            to.store(h - 1, code)
            highs[i], lows[i] = call("smax", highs[i], code), call("umin", lows[i], code)
            _barrier(builder, [])
        before = now
    return [pieces.join(builder, *halves) for halves in (highs, lows)]


def _half(vector: Any) -> Any:
    return ir.VectorType(ir.IntType(vector.bits), vector.count // 2)


@intrinsic
def add_products(
    typing: Any, sums: Any, to: Any, a: Any, i: Any, b: Any, j: Any, table: Any, last: Any, seen: Any
) -> Any:
    """To four rows of sums at element ``to``, codes and then marks, the products of four shares and marks of a, from
    its 32-bit word ``i`` on, and of a vector of shares and of marks of b, from element ``j`` on.

    Returns the highest and the lowest code, those ``seen`` before too.
    """

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        half = _half(last)
        rows = _Memory(context, builder, sums, args[0], args[1], half)
        left = _Memory(context, builder, a, args[2], args[3], half, words=True)
        right = _Memory(context, builder, b, args[4], args[5], half)

        def operands(h: int) -> Any:
            row, side = divmod(h, 2)
            code = builder.add(right.load(side), left.broadcast(row))
            mark = builder.xor(right.load(2 + side), left.broadcast(4 + row))
            return rows.load(h), rows.load(_HALVES + h), code, mark

        found = _in_stages(context, builder, half, (table, args[6]), args[7], args[8], operands, rows)
        return context.make_tuple(builder, seen, found)

    uint = types.uintp
    return seen(sums, uint, a, uint, b, uint, table, last, seen), generate


@intrinsic
def add_rows(typing: Any, sums: Any, to: Any, x: Any, y: Any, table: Any, last: Any, seen: Any) -> Any:
    """The sums of four rows at element ``x`` and four at ``y``, codes and then marks, to element ``to``. Returns the
    highest and the lowest code, those ``seen`` before too."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        half = _half(last)
        target, left, right = (_Memory(context, builder, sums, args[0], place, half) for place in args[1:4])

        def operands(h: int) -> Any:
            return [rows.load(place) for rows in (left, right) for place in (h, _HALVES + h)]

        found = _in_stages(context, builder, half, (table, args[4]), args[5], args[6], operands, target)
        return context.make_tuple(builder, seen, found)

    uint = types.uintp
    return seen(sums, uint, uint, uint, table, last, seen), generate
