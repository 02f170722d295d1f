"""Log-adds of all rows of a tile at once (AVX2 only): the operations that `lns.kernels.adders` is for.

A tile is four rows of sums in memory, codes and then marks; with tables of bytes the marks are bytes until
`finish_marks`. ``seen`` is the highest and the lowest code of a sum so far, in half a vector each.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from lns.kernels import pieces
from lns.kernels.adders import REGISTERS, ByteAdder, Memory, Values, WordAdder
from lns.kernels.pieces import I16, I32, I64, intrinsic

_A_STEP, _B_STEP = 1, 4  #: halves of vectors that a step of a's panels takes, and of b's


def _adder(table: Any) -> Any:
    return ByteAdder if table.dtype.bitwidth == 8 else WordAdder


def _constants(context: Any, builder: Any, table: Any, array: Any, last: Any, shift: Any) -> list[Any]:
    """What the adder needs to know: of the table, the largest index, and the shift from a distance to an index."""
    if _adder(table) is ByteAdder:
        none = ir.Constant(ir.VectorType(I16, 8), None)
        data = pieces.address(context, builder, table, array, ir.Constant(I64, 0))
        return [data, builder.insert_element(none, shift, ir.Constant(I32, 0))]
    return [pieces.entries(context, builder, table, array), pieces.halves(builder, pieces.splat(builder, last))[0]]


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


@intrinsic
def set_products(typing: Any, sums: Any, to: Any, a: Any, i: Any, b: Any, j: Any, table: Any) -> Any:
    """A tile at element ``to`` of an array: the products of four shares and marks of a, from element ``i`` on, and of a
    vector of shares and of marks of b, from element ``j`` on."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        half = ir.VectorType(ir.IntType(sums.dtype.bitwidth), pieces.BITS // 2 // sums.dtype.bitwidth)
        places = ((sums, *args[:2]), (a, *args[2:4]), (b, *args[4:6]))
        target, left, right = (Memory(builder, pieces.address(context, builder, *place), half) for place in places)
        adder = _adder(table)
        products = adder.products(builder, left, right)
        for part in range(adder.parts):
            adder.store(target, part, *products(part))
        return context.get_dummy_value()

    uint = types.uintp
    return types.void(sums, uint, a, uint, b, uint, table), generate


def _loop(module: Any, kind: Any, registers: int, half: Any, of_arguments: list[Any]) -> Any:
    """A function that adds products step by step: of its own, for there LLVM has registers for this and nothing else.

    The first step stands before the loop, since nothing is on the way in it.
    """
    result = ir.LiteralStructType([half, half])
    name = module.get_unique_name(f"lns.add_products_{registers}")
    function = ir.Function(module, ir.FunctionType(result, of_arguments), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    sums, a, b, steps, high, low, *constants = function.args
    entry, loop, end = (function.append_basic_block(name) for name in ("entry", "loop", "end"))
    none, one = ir.Constant(I64, 0), ir.Constant(I64, 1)

    def step(builder: Any, left: Any, a: Any, b: Any, high: Any, low: Any, *others: Any) -> list[Any]:
        """What the next step begins with, from what this one does: so many steps are left, at a and b."""
        a, b = (pieces.opaque(builder, pointer) for pointer in (a, b))  # lest LLVM add a common part in each access
        tile, rows, columns = (Memory(builder, place, half) for place in (sums, a, b))
        values = Values(builder, others[: kind.places])
        to = values if kind.places else tile
        adder = kind(builder, constants, high, low, registers)
        adder.on_the_way = list(others[kind.places :])
        adder.add(to, adder.sums(builder, to), adder.products(builder, rows, columns))
        after = [builder.sub(left, one), rows.after(_A_STEP), columns.after(_B_STEP)]
        return [*after, adder.high, adder.low, *values.values, *adder.on_the_way]

    builder = ir.IRBuilder(entry)
    if kind is ByteAdder:  # not the other, which lacks the register that it takes
        pieces.align_stack(builder)
    tile = Memory(builder, sums, half)
    first = step(builder, steps, a, b, high, low, *(tile.load(place) for place in range(kind.places)))
    builder.cbranch(builder.icmp_unsigned("==", first[0], none), end, loop)
    builder = ir.IRBuilder(loop)
    now = [builder.phi(value.type) for value in first]
    following = step(builder, *now)
    builder.cbranch(builder.icmp_unsigned("==", following[0], none), end, loop)
    builder = ir.IRBuilder(end)
    final = [builder.phi(value.type) for value in first]
    for phi, last, begun, value in zip(now, final, first, following, strict=True):
        for one_of in (phi, last):
            one_of.add_incoming(begun, entry)
            one_of.add_incoming(value, loop)
    adder = kind(builder, constants, *final[3:5], registers)
    tile = Memory(builder, sums, half)
    for place in range(kind.places):
        tile.store(place, final[5 + place])
    adder.on_the_way = final[5 + kind.places :]
    adder.finish(tile)
    found = builder.insert_value(ir.Constant(result, ir.Undefined), adder.high, 0)
    builder.ret(builder.insert_value(found, adder.low, 1))
    return function


@intrinsic
def add_products(
    typing: Any, sums: Any, to: Any, a: Any, i: Any, b: Any, j: Any, steps: Any, table: Any, last: Any, shift: Any,
    registers: Any, seen: Any,
) -> Any:  # fmt: skip
    """Adds such products to such a tile, those of as many steps of the panels as there are ``steps``, at least one.
    Returns ``seen``. There is a loop for each number of ``registers`` with entries, from 1 on, if any have."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        places = ((sums, *args[:2]), (a, *args[2:4]), (b, *args[4:6]))
        addresses = [pieces.address(context, builder, *place) for place in places]
        high, low = cgutils.unpack_tuple(builder, args[11])
        arguments = [*addresses, args[6], high, low, *_constants(context, builder, table, *args[7:10])]
        kind, of_arguments = _adder(table), [argument.type for argument in arguments]
        numbers = range(1, REGISTERS + 1) if kind is ByteAdder else [0]
        loops = {number: _loop(builder.module, kind, number, high.type, of_arguments) for number in numbers}
        loop = loops[numbers[-1]]
        for number in numbers[:-1]:
            this = builder.icmp_signed("==", args[10], ir.Constant(args[10].type, number))
            loop = builder.select(this, loops[number], loop)
        found = builder.call(loop, arguments)
        return context.make_tuple(builder, seen, [builder.extract_value(found, i) for i in (0, 1)])

    uint = types.uintp
    return seen(sums, uint, a, uint, b, uint, uint, table, last, shift, registers, seen), generate


@intrinsic
def add_rows(typing: Any, sums: Any, to: Any, x: Any, y: Any, table: Any, last: Any, shift: Any, seen: Any) -> Any:
    """The sums of the tiles at elements ``x`` and ``y`` to element ``to``. Returns ``seen``."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        high, low = cgutils.unpack_tuple(builder, args[7])
        target, left, right = (
            Memory(builder, pieces.address(context, builder, sums, args[0], place), high.type) for place in args[1:4]
        )
        adder = _adder(table)(builder, _constants(context, builder, table, *args[4:7]), high, low)
        adder.add(target, adder.sums(builder, left), adder.sums(builder, right))
        adder.finish(target)
        return context.make_tuple(builder, seen, (adder.high, adder.low))

    uint = types.uintp
    return seen(sums, uint, uint, uint, table, last, shift, seen), generate


@intrinsic
def finish_marks(typing: Any, sums: Any, to: Any, table: Any) -> Any:
    """The marks of a tile as wide as its codes."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if _adder(table) is ByteAdder:
            half = ir.VectorType(I16, pieces.BITS // 2 // 16)
            ByteAdder.widen_marks(builder, Memory(builder, pieces.address(context, builder, sums, *args[:2]), half))
        return context.get_dummy_value()

    return types.void(sums, types.uintp, table), generate
