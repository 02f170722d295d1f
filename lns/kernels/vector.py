"""Vectors for kernels: a Numba type of 512 bits and the operations on it, each one LLVM instruction or intrinsic.

A vector lives in registers: one with AVX-512, two with AVX2; LLVM splits what the machine lacks. Only table look-ups
and what says "AVX-512 only" are written for an instruction set, the one that Numba compiles for (`lns.kernels.isa`).
Lanes are signless, like LLVM's integers: 64 of 8 bits, 32 of 16, 16 of 32. Masks are vectors of one bit.
Addresses count elements of the flat, C-contiguous array that they are given with; nothing is checked against its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.types.containers import UniTuple
from numba.np.arrayobj import make_array

from lns.kernels import isa, pieces
from lns.kernels.pieces import I1, I8, I32, I64, Vector, full, intrinsic

# --- memory --------------------------------------------------------------------------------------------------------


@intrinsic
def splat(typing: Any, scalar: Any) -> Any:
    """A scalar in every lane."""
    return full(scalar.bitwidth)(scalar), lambda context, builder, sig, args: pieces.splat(builder, args[0])


@intrinsic
def broadcast(typing: Any, array: Any, start: Any) -> Any:
    """The 32-bit word ``start`` of an array in every 32 bits of a vector with the array's lanes."""
    vector = full(array.dtype.bitwidth)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        words = builder.bitcast(make_array(array)(context, builder, args[0]).data, I32.as_pointer())
        every = pieces.broadcast(builder, builder.gep(words, [args[1]]), vector.bits // 8)
        return builder.bitcast(every, vector.llvm)

    return vector(array, types.uintp), generate


@intrinsic
def load(typing: Any, array: Any, start: Any) -> Any:
    """Consecutive elements of an array."""
    vector = full(array.dtype.bitwidth)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = pieces.address(context, builder, array, args[0], args[1])
        return builder.load(builder.bitcast(address, vector.llvm.as_pointer()), align=vector.bits // 8)

    return vector(array, types.uintp), generate


@intrinsic
def store(typing: Any, array: Any, start: Any, vector: Any) -> Any:
    """A vector to consecutive elements of an array."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = pieces.address(context, builder, array, args[0], args[1])
        builder.store(args[2], builder.bitcast(address, vector.llvm.as_pointer()), align=vector.bits // 8)
        return context.get_dummy_value()

    return types.void(array, types.uintp, vector), generate


@intrinsic
def store_wide(typing: Any, array: Any, start: Any, vector: Any) -> Any:
    """The 32-bit lanes of a vector to consecutive 64-bit elements of an array, with their signs."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        wide = builder.sext(args[2], ir.VectorType(I64, vector.count))
        address = pieces.address(context, builder, array, args[0], args[1])
        builder.store(wide, builder.bitcast(address, wide.type.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(array, types.uintp, vector), generate


@intrinsic
def prefetch(typing: Any, array: Any, start: Any) -> Any:
    """Asks for the line of an element that will be written, so that the store need not wait for it."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = builder.bitcast(pieces.address(context, builder, array, args[0], args[1]), I8.as_pointer())
        options = (ir.Constant(I32, i) for i in (1, 3, 1))  # write, into all caches, data
        pieces.call(builder, "llvm.prefetch.p0i8", ir.VoidType(), address, *options)
        return context.get_dummy_value()

    return types.void(array, types.uintp), generate


# --- lane by lane ----------------------------------------------------------------------------------------------------


def _binary(emit: Callable[[Any, Any, Any], Any]) -> Any:
    @intrinsic
    def operation(typing: Any, a: Any, b: Any) -> Any:
        return a(a, b), lambda context, builder, sig, args: emit(builder, *args)

    return operation


def _named(name: str) -> Any:
    def emit(builder: Any, a: Any, b: Any) -> Any:
        return pieces.call(builder, f"llvm.{name}.v{a.type.count}i{a.type.element.width}", a.type, a, b)

    return _binary(emit)


add = _binary(lambda builder, a, b: builder.add(a, b))
sub = _binary(lambda builder, a, b: builder.sub(a, b))
bit_and = _binary(lambda builder, a, b: builder.and_(a, b))
bit_or = _binary(lambda builder, a, b: builder.or_(a, b))
bit_xor = _binary(lambda builder, a, b: builder.xor(a, b))
shift_left = _binary(lambda builder, a, b: builder.shl(a, b))
shift_right = _binary(lambda builder, a, b: builder.lshr(a, b))  #: shifts zeros in
minimum, maximum = _named("smin"), _named("smax")  #: of signed lanes
minimum_unsigned = _named("umin")
sub_saturating = _named("ssub.sat")  #: of signed lanes
add_saturating_unsigned = _named("uadd.sat")  #: all ones where the sum does not fit
sub_saturating_unsigned = _named("usub.sat")  #: 0 where the difference is negative


@intrinsic
def absolute(typing: Any, a: Any) -> Any:
    """Of signed lanes; the least number stays what it is, as an unsigned one."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return pieces.call(builder, f"llvm.abs.v{a.count}i{a.bits}", a.llvm, args[0], ir.Constant(I1, 0))

    return a(a), generate


@intrinsic
def rotate_right(typing: Any, a: Any, count: Any) -> Any:
    """Bits that leave a lane below come in above; counts are taken modulo the lane's width."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return pieces.call(builder, f"llvm.fshr.v{a.count}i{a.bits}", a.llvm, args[0], args[0], args[1])

    return a(a, count), generate


def _of_words(name: str) -> Any:
    """An instruction for 16-bit lanes that AVX-512 alone has."""
    return _binary(lambda builder, a, b: pieces.call(builder, f"llvm.x86.avx512.{name}.w.512", a.type, a, b))


product_high = _of_words("pmulhu")  #: the upper 16 bits of the product of unsigned lanes; AVX-512 only
shift_right_far = _of_words("psrlv")  #: as `shift_right`, and 0 for counts of 16 and more; AVX-512 only


@intrinsic
def add_sums(typing: Any, a: Any, b: Any) -> Any:
    """a + b; of 16-bit lanes the signed sum that saturates, which costs nothing there."""
    return a(a, b), lambda context, builder, sig, args: pieces.add_sums(builder, *args)


def _comparison(operator: str) -> Any:
    @intrinsic
    def operation(typing: Any, a: Any, b: Any) -> Any:
        mask = Vector(1, a.count)
        return mask(a, b), lambda context, builder, sig, args: builder.icmp_signed(operator, *args)

    return operation


equal, unequal, less, at_least = _comparison("=="), _comparison("!="), _comparison("<"), _comparison(">=")


both = _binary(lambda builder, a, b: builder.and_(a, b))  #: of two masks


@intrinsic
def select(typing: Any, mask: Any, a: Any, b: Any) -> Any:
    """a where the mask is set, else b."""
    return a(mask, a, b), lambda context, builder, sig, args: builder.select(*args)


@intrinsic
def multiply_floats(typing: Any, a: Any, b: Any) -> Any:
    """The product of 32-bit lanes that hold float32 bits, rounded to the nearest, as float32 bits."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.VectorType(ir.FloatType(), a.count)
        return builder.bitcast(builder.fmul(*[builder.bitcast(arg, kind) for arg in args]), a.llvm)

    return a(a, b), generate


@intrinsic
def floats_to_integers(typing: Any, vector: Any) -> Any:
    """32-bit lanes that hold float32 bits to integers, truncated toward zero."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        floats = builder.bitcast(args[0], ir.VectorType(ir.FloatType(), vector.count))
        return builder.fptosi(floats, vector.llvm)

    return vector(vector), generate


# --- look-ups ------------------------------------------------------------------------------------------------------


def _gather(builder: Any, base: Any, index: Any, scale: int) -> Any:
    """The 32-bit words at base + scale·index bytes, for 16 lanes, by the instruction of AVX-512."""
    kind = index.type
    every, name = pieces.constant(ir.VectorType(I1, 16), 1), "llvm.x86.avx512.mask.gather.dpi.512"
    return pieces.call(builder, name, kind, ir.Constant(kind, None), base, index, every, ir.Constant(I32, scale))


def _loads(builder: Any, base: Any, index: Any) -> Any:
    """base[index] for words as wide as a lane, one load a lane.

    Indices leave the vector 64 bits at a time. They are masked there, not truncated: LLVM would make one move a lane.
    """
    if isa.VECTOR == "avx2":
        found = [
            pieces.entries_avx2(builder, base, half.type, pieces.words(builder, half))
            for half in pieces.halves(builder, index)
        ]
        return pieces.join(builder, *found)
    width = index.type.element.width
    words, mask = builder.bitcast(index, ir.VectorType(I64, 8)), ir.Constant(I64, (1 << width) - 1)
    out, each = pieces.undefined(index.type), 64 // width
    for lane in range(index.type.count):
        word = builder.extract_element(words, ir.Constant(I32, lane // each))
        place = builder.and_(builder.lshr(word, ir.Constant(I64, lane % each * width)), mask)
        entry = builder.load(builder.gep(base, [place]), align=width // 8)
        out = builder.insert_element(out, entry, ir.Constant(I32, lane))
    return out


@intrinsic
def lookup(typing: Any, table: Any, index: Any) -> Any:
    """table[index] for a table in memory of the index's own width, 16 or 32 bits.

    A table of 16 bits has one spare element before its entries and one behind them.
    """

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if not isa.GATHERS:
            return _loads(builder, pieces.entries(context, builder, table, args[0]), args[1])
        base = builder.bitcast(make_array(table)(context, builder, args[0]).data, I8.as_pointer())
        if index.bits == 32:
            return _gather(builder, base, args[1], 4)
        # two elements come with each word: for even lanes the lower one is the entry, for odd lanes the upper one
        wide = ir.VectorType(I32, 16)
        pairs, low = builder.bitcast(args[1], wide), pieces.constant(wide, 0xFFFF)
        even = _gather(builder, builder.gep(base, [ir.Constant(I32, 2)]), builder.and_(pairs, low), 2)
        odd = _gather(builder, base, builder.lshr(pairs, pieces.constant(wide, 16)), 2)
        entries = builder.or_(builder.and_(even, low), builder.and_(odd, builder.not_(low)))
        return builder.bitcast(entries, index.llvm)

    return index(table, index), generate


@intrinsic
def lookup_128(typing: Any, table: Any, index: Any) -> Any:
    """table[index mod 128] for 128 entries of 8 bits, held in registers. AVX-512 only."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        low, high = pieces.registers(context, builder, table, args[0], index.llvm, 2)
        return pieces.call(builder, "llvm.x86.avx512.vpermi2var.qi.512", index.llvm, low, args[1], high)

    return index(table, index), generate


def _lookup_64(builder: Any, low: Any, index: Any, high: Any) -> Any:
    return pieces.call(builder, "llvm.x86.avx512.vpermi2var.hi.512", index.type, low, index, high)


@intrinsic
def lookup_64(typing: Any, table: Any, index: Any) -> Any:
    """table[index mod 64] for 64 entries of 16 bits, held in registers. AVX-512 only."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        low, high = pieces.registers(context, builder, table, args[0], index.llvm, 2)
        return _lookup_64(builder, low, args[1], high)

    return index(table, index), generate


@intrinsic
def lookup_2_64(typing: Any, table: Any, index: Any, second: Any) -> Any:
    """table[0, index] or, where ``second`` is set, table[1, index], index mod 64, for 2 rows of 64 entries of 16 bits,
    held in registers. AVX-512 only."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        parts = pieces.registers(context, builder, table, args[0], index.llvm, 4)
        rows = [_lookup_64(builder, parts[i], args[1], parts[i + 1]) for i in (0, 2)]
        return builder.select(args[2], rows[1], rows[0])

    return index(table, index, second), generate


@intrinsic
def lookup_16(typing: Any, table: Any, index: Any) -> Any:
    """table[index mod 16] for 16 entries of 32 bits, the last 8 as the first, held in registers."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if isa.VECTOR == "avx512":
            (entries,) = pieces.registers(context, builder, table, args[0], index.llvm, 1)
            return pieces.call(builder, "llvm.x86.avx512.permvar.si.512", index.llvm, entries, args[1])
        half = ir.VectorType(I32, 8)
        (entries,) = pieces.registers(context, builder, table, args[0], half, 1)
        name = "llvm.x86.avx2.permd"
        return pieces.join(
            builder, *[pieces.call(builder, name, half, entries, i) for i in pieces.halves(builder, args[1])]
        )

    return index(table, index), generate


def _dot(name: str) -> Any:
    @intrinsic
    def operation(typing: Any, sums: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return pieces.call(builder, f"llvm.x86.avx512.{name}.512", sums.llvm, *args)

        return sums(sums, a, b), generate

    return operation


# sums + the products of the neighbours that stand in a 32-bit lane. AVX-512 VNNI only.
dot4 = _dot("vpdpbusd")  #: four bytes each, those of the first operand unsigned and of the second signed
dot2 = _dot("vpdpwssd")  #: two signed 16-bit words each


@intrinsic
def after(typing: Any, a: Any, b: Any) -> Any:
    """a, which with AVX2 LLVM takes to depend on b: what comes of a is computed behind b, not interleaved with it.

    LLVM interleaves what is independent, and with 16 registers must then keep half of it in memory, for ten cycles each
    time. The processor finds by itself what is independent.
    """

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if isa.VECTOR == "avx512":
            return args[0]
        halves = []
        for x, y in zip(*(pieces.halves(builder, v) for v in args), strict=True):
            kind = ir.FunctionType(x.type, [x.type, y.type])
            halves.append(builder.call(ir.InlineAsm(kind, "", "=x,0,x", side_effect=False), [x, y]))
        return pieces.join(builder, *halves)

    return a(a, b), generate


@intrinsic
def together(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """(a, b, c), all in registers at this point (AVX2 only).

    What is made of them comes behind it in the machine code, and so does what is loaded behind it; LLVM would put what
    depends on something next to it.
    """

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        parts = pieces.barrier(builder, [half for vector in args for half in pieces.halves(builder, vector)])
        return context.make_tuple(
            builder, sig.return_type, [pieces.join(builder, *parts[i : i + 2]) for i in range(0, 6, 2)]
        )

    return UniTuple(a, 3)(a, b, c), generate
