"""The type of vectors, and pieces of LLVM code that the operations on them are made of (`lns.kernels.vector`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from llvmlite import ir
from numba import extending
from numba.core import cgutils, types
from numba.core.datamodel import models, register_default
from numba.np.arrayobj import make_array

BITS = 512

intrinsic: Any = extending.intrinsic
I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))


class Vector(types.Type):
    """``count`` lanes of ``bits``."""

    def __init__(self, bits: int, count: int) -> None:
        self.bits, self.count = bits, count
        super().__init__(name=f"Vector({bits}, {count})")

    @property
    def llvm(self) -> Any:
        return ir.VectorType(ir.IntType(self.bits), self.count)


@register_default(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, dmm: Any, fe_type: Vector) -> None:
        super().__init__(dmm, fe_type, fe_type.llvm)


def full(bits: int) -> Vector:
    """A whole vector of lanes of ``bits``."""
    return Vector(bits, BITS // bits)


def call(builder: Any, name: str, result: Any, *args: Any) -> Any:
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, [a.type for a in args]), name)
    return builder.call(function, args)


def constant(kind: Any, value: int) -> Any:
    return ir.Constant(kind, [value] * kind.count)


def lanes(builder: Any, a: Any, b: Any, indices: Iterable[int]) -> Any:
    indices = list(indices)
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(indices)), indices))


def undefined(kind: Any) -> Any:
    return ir.Constant(kind, ir.Undefined)


def splat(builder: Any, scalar: Any) -> Any:
    kind = ir.VectorType(scalar.type, BITS // scalar.type.width)
    first = builder.insert_element(undefined(kind), scalar, ir.Constant(I32, 0))
    return lanes(builder, first, undefined(kind), [0] * kind.count)


def broadcast(builder: Any, address: Any, align: int) -> Any:
    """The 32-bit word at an address in every 32 bits of a vector."""
    return splat(builder, builder.load(builder.bitcast(address, I32.as_pointer()), align=align))


def halves(builder: Any, vector: Any) -> list[Any]:
    n = vector.type.count
    return [lanes(builder, vector, undefined(vector.type), range(i, i + n // 2)) for i in (0, n // 2)]


def join(builder: Any, low: Any, high: Any) -> Any:
    return lanes(builder, low, high, range(2 * low.type.count))


def opaque(builder: Any, value: Any) -> Any:
    """The value in a register, of which LLVM no longer knows where it comes from."""
    kind, register = ir.FunctionType(value.type, [value.type]), "x" if isinstance(value.type, ir.VectorType) else "r"
    return builder.call(ir.InlineAsm(kind, "", f"={register},0", side_effect=False), [value])


def barrier(builder: Any, values: list[Any]) -> list[Any]:
    """The values, in registers from here on: what is made of them LLVM computes behind this, and it moves no access to
    memory across. It is no instruction."""
    kinds = [value.type for value in values]
    outs = ["=x" if isinstance(kind, ir.VectorType) else "=r" for kind in kinds]
    result = ir.LiteralStructType(kinds) if kinds else ir.VoidType()
    constraints = ",".join([*outs, *map(str, range(len(kinds))), "~{memory}"])
    out = builder.call(ir.InlineAsm(ir.FunctionType(result, kinds), "", constraints, side_effect=True), values)
    return [builder.extract_value(out, i) for i in range(len(kinds))]


def align_stack(builder: Any) -> None:
    """Lets the function keep vectors on its stack within cache lines, with AVX2. The builder is in its first block.

    LLVM does so only if something else needs it, and else they lie where the caller's stack happens to end.
    """
    place = builder.alloca(ir.VectorType(I64, 8))
    place.align = 64
    builder.call(ir.InlineAsm(ir.FunctionType(ir.VoidType(), [place.type]), "", "r", side_effect=True), [place])


def add_sums(builder: Any, a: Any, b: Any) -> Any:
    """a + b; of 16-bit lanes the signed sum that saturates, which costs nothing there."""
    if a.type.element.width == 16:
        return call(builder, f"llvm.sadd.sat.v{a.type.count}i16", a.type, a, b)
    return builder.add(a, b)


def words(builder: Any, half: Any) -> list[Any]:
    """A vector of 256 bits as four words of 64, in general registers."""
    quarters = builder.bitcast(half, ir.VectorType(I64, 4))
    return [builder.extract_element(quarters, ir.Constant(I32, i)) for i in range(4)]


def entries_avx2(
    builder: Any, base: Any, kind: Any, indices: Sequence[Any], between: Callable[[], None] = lambda: None
) -> Any:
    """base[index], one load a lane, for the indices of half a vector of this kind, given as its `words`; ``between`` is
    called in the middle, from where on half of the words are no longer needed.

    One instruction takes an index out of 64 bits where LLVM would shift and extend, and the first entry of 128 bits
    comes as a word of 32 bits into its vector, not by way of a general register.
    """
    width = kind.element.width
    each, count = 64 // width, 128 // width
    quarters: list[Any] = []
    for lane in range(count):
        if lane == each:
            between()
        for half in (0, 1):  # by turns, since an insertion waits for the one before it
            word = indices[2 * half + lane // each]
            first = lane % each * width  # the lowest and the highest bits need no such instruction
            if first + width == 64:
                place = builder.lshr(word, ir.Constant(I64, first))
            elif first:
                place = call(builder, "llvm.x86.bmi.bextr.64", I64, word, ir.Constant(I64, width << 8 | first))
            else:
                place = builder.and_(word, ir.Constant(I64, (1 << width) - 1))
            at = builder.gep(base, [place])
            if lane:
                entry = builder.load(at, align=width // 8)
                quarters[half] = builder.insert_element(quarters[half], entry, ir.Constant(I32, lane))
            else:
                entry = builder.load(builder.bitcast(at, I32.as_pointer()), align=width // 8)
                alone = builder.insert_element(ir.Constant(ir.VectorType(I32, 4), None), entry, ir.Constant(I32, 0))
                quarters.append(builder.bitcast(alone, ir.VectorType(kind.element, count)))
    return join(builder, *quarters)


def address(context: Any, builder: Any, kind: Any, array: Any, start: Any) -> Any:
    return builder.gep(make_array(kind)(context, builder, array).data, [start])


def entries(context: Any, builder: Any, kind: Any, table: Any) -> Any:
    """The address of a table's first entry: behind a spare element, if they have 16 bits."""
    data = make_array(kind)(context, builder, table).data
    return builder.gep(data, [ir.Constant(I32, 1)]) if kind.dtype.bitwidth == 16 else data


def registers(context: Any, builder: Any, table: Any, array: Any, kind: Any, count: int) -> list[Any]:
    """The first ``count`` vectors of a table."""
    data = builder.bitcast(make_array(table)(context, builder, array).data, kind.as_pointer())
    places = [builder.gep(data, [ir.Constant(I32, i)]) for i in range(count)]
    return [builder.load(place, align=kind.element.width // 8) for place in places]
