"""Vectors for kernels: a Numba type of 512 bits and the operations on it, each one LLVM instruction or intrinsic.

A vector lives in registers: one with AVX-512, two with AVX2; LLVM splits what the machine lacks. Only table look-ups
and what says "AVX-512 only" are written for an instruction set, the one that Numba compiles for (`lns.kernels.isa`).
Lanes are signless, like LLVM's integers: 64 of 8 bits, 32 of 16, 16 of 32. Masks are vectors of one bit.
Addresses count elements of the flat, C-contiguous array that they are given with; nothing is checked against its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any

from llvmlite import ir
from numba import extending
from numba.core import cgutils, types
from numba.core.datamodel import models, register_default
from numba.np.arrayobj import make_array

from lns.kernels import isa

BITS = 512

_intrinsic: Any = extending.intrinsic
_I1, _I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))


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


def _full(bits: int) -> Vector:
    return Vector(bits, BITS // bits)


# --- pieces of LLVM code -------------------------------------------------------------------------------------------


def _call(builder: Any, name: str, result: Any, *args: Any) -> Any:
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, [a.type for a in args]), name)
    return builder.call(function, args)


def _constant(kind: Any, value: int) -> Any:
    return ir.Constant(kind, [value] * kind.count)


def _lanes(builder: Any, a: Any, b: Any, indices: Iterable[int]) -> Any:
    indices = list(indices)
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, len(indices)), indices))


def _undefined(kind: Any) -> Any:
    return ir.Constant(kind, ir.Undefined)


def _splat(builder: Any, scalar: Any) -> Any:
    kind = ir.VectorType(scalar.type, BITS // scalar.type.width)
    first = builder.insert_element(_undefined(kind), scalar, ir.Constant(_I32, 0))
    return _lanes(builder, first, _undefined(kind), [0] * kind.count)


def _halves(builder: Any, vector: Any) -> list[Any]:
    n = vector.type.count
    return [_lanes(builder, vector, _undefined(vector.type), range(i, i + n // 2)) for i in (0, n // 2)]


def _join(builder: Any, low: Any, high: Any) -> Any:
    return _lanes(builder, low, high, range(2 * low.type.count))


def _address(context: Any, builder: Any, kind: Any, array: Any, start: Any) -> Any:
    return builder.gep(make_array(kind)(context, builder, array).data, [start])


# --- memory --------------------------------------------------------------------------------------------------------


@_intrinsic
def splat(typing: Any, scalar: Any) -> Any:
    """A scalar in every lane."""
    return _full(scalar.bitwidth)(scalar), lambda context, builder, sig, args: _splat(builder, args[0])


@_intrinsic
def broadcast(typing: Any, array: Any, start: Any) -> Any:
    """The 32-bit word ``start`` of an array in every 32 bits of a vector with the array's lanes."""
    vector = _full(array.dtype.bitwidth)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        words = builder.bitcast(make_array(array)(context, builder, args[0]).data, _I32.as_pointer())
        word = builder.load(builder.gep(words, [args[1]]), align=vector.bits // 8)
        return builder.bitcast(_splat(builder, word), vector.llvm)

    return vector(array, types.uintp), generate


@_intrinsic
def load(typing: Any, array: Any, start: Any) -> Any:
    """Consecutive elements of an array."""
    vector = _full(array.dtype.bitwidth)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = _address(context, builder, array, args[0], args[1])
        return builder.load(builder.bitcast(address, vector.llvm.as_pointer()), align=vector.bits // 8)

    return vector(array, types.uintp), generate


@_intrinsic
def store(typing: Any, array: Any, start: Any, vector: Any) -> Any:
    """A vector to consecutive elements of an array."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = _address(context, builder, array, args[0], args[1])
        builder.store(args[2], builder.bitcast(address, vector.llvm.as_pointer()), align=vector.bits // 8)
        return context.get_dummy_value()

    return types.void(array, types.uintp, vector), generate


@_intrinsic
def store_wide(typing: Any, array: Any, start: Any, vector: Any) -> Any:
    """The 32-bit lanes of a vector to consecutive 64-bit elements of an array, with their signs."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        wide = builder.sext(args[2], ir.VectorType(_I64, vector.count))
        address = _address(context, builder, array, args[0], args[1])
        builder.store(wide, builder.bitcast(address, wide.type.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(array, types.uintp, vector), generate


@_intrinsic
def prefetch(typing: Any, array: Any, start: Any) -> Any:
    """Asks for the line of an element that will be written, so that the store need not wait for it."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = builder.bitcast(_address(context, builder, array, args[0], args[1]), _I8.as_pointer())
        name, kind = "llvm.prefetch.p0i8", ir.FunctionType(ir.VoidType(), [address.type, *[_I32] * 3])
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        builder.call(function, [address, *(ir.Constant(_I32, i) for i in (1, 3, 1))])  # write, into all caches, data
        return context.get_dummy_value()

    return types.void(array, types.uintp), generate


# --- lane by lane ----------------------------------------------------------------------------------------------------


def _binary(emit: Callable[[Any, Any, Any], Any]) -> Any:
    @_intrinsic
    def operation(typing: Any, a: Any, b: Any) -> Any:
        return a(a, b), lambda context, builder, sig, args: emit(builder, *args)

    return operation


def _named(name: str) -> Any:
    def emit(builder: Any, a: Any, b: Any) -> Any:
        return _call(builder, f"llvm.{name}.v{a.type.count}i{a.type.element.width}", a.type, a, b)

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


@_intrinsic
def absolute(typing: Any, a: Any) -> Any:
    """Of signed lanes; the least number stays what it is, as an unsigned one."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _call(builder, f"llvm.abs.v{a.count}i{a.bits}", a.llvm, args[0], ir.Constant(_I1, 0))

    return a(a), generate


@_intrinsic
def rotate_right(typing: Any, a: Any, count: Any) -> Any:
    """Bits that leave a lane below come in above; counts are taken modulo the lane's width."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _call(builder, f"llvm.fshr.v{a.count}i{a.bits}", a.llvm, args[0], args[0], args[1])

    return a(a, count), generate


def _of_words(name: str) -> Any:
    """An instruction for 16-bit lanes that AVX-512 alone has."""
    return _binary(lambda builder, a, b: _call(builder, f"llvm.x86.avx512.{name}.w.512", a.type, a, b))


product_high = _of_words("pmulhu")  #: the upper 16 bits of the product of unsigned lanes; AVX-512 only
shift_right_far = _of_words("psrlv")  #: as `shift_right`, and 0 for counts of 16 and more; AVX-512 only


@_intrinsic
def add_sums(typing: Any, a: Any, b: Any) -> Any:
    """a + b; of 16-bit lanes the signed sum that saturates, which costs nothing there."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if a.bits == 16:
            return _call(builder, f"llvm.sadd.sat.v{a.count}i16", a.llvm, *args)
        return builder.add(*args)

    return a(a, b), generate


def _comparison(operator: str) -> Any:
    @_intrinsic
    def operation(typing: Any, a: Any, b: Any) -> Any:
        mask = Vector(1, a.count)
        return mask(a, b), lambda context, builder, sig, args: builder.icmp_signed(operator, *args)

    return operation


equal, unequal, less, at_least = _comparison("=="), _comparison("!="), _comparison("<"), _comparison(">=")


both = _binary(lambda builder, a, b: builder.and_(a, b))  #: of two masks


@_intrinsic
def select(typing: Any, mask: Any, a: Any, b: Any) -> Any:
    """a where the mask is set, else b."""
    return a(mask, a, b), lambda context, builder, sig, args: builder.select(*args)


@_intrinsic
def multiply_floats(typing: Any, a: Any, b: Any) -> Any:
    """The product of 32-bit lanes that hold float32 bits, rounded to the nearest, as float32 bits."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.VectorType(ir.FloatType(), a.count)
        return builder.bitcast(builder.fmul(*[builder.bitcast(arg, kind) for arg in args]), a.llvm)

    return a(a, b), generate


@_intrinsic
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
    every, name = _constant(ir.VectorType(_I1, 16), 1), "llvm.x86.avx512.mask.gather.dpi.512"
    return _call(builder, name, kind, ir.Constant(kind, None), base, index, every, ir.Constant(_I32, scale))


def _loads(builder: Any, base: Any, index: Any) -> Any:
    """base[index] for words as wide as a lane, one load a lane.

    Indices leave the vector 64 bits at a time. They are masked there, not truncated: LLVM would make one move a lane.
    """
    if isa.VECTOR == "avx2":
        return _join(builder, *[_loads_avx2(builder, base, half) for half in _halves(builder, index)])
    width = index.type.element.width
    words, mask = builder.bitcast(index, ir.VectorType(_I64, 8)), ir.Constant(_I64, (1 << width) - 1)
    out, each = _undefined(index.type), 64 // width
    for lane in range(index.type.count):
        word = builder.extract_element(words, ir.Constant(_I32, lane // each))
        place = builder.and_(builder.lshr(word, ir.Constant(_I64, lane % each * width)), mask)
        entry = builder.load(builder.gep(base, [place]), align=width // 8)
        out = builder.insert_element(out, entry, ir.Constant(_I32, lane))
    return out


def _loads_avx2(builder: Any, base: Any, index: Any) -> Any:
    """As `_loads`, in fewer instructions: one takes an index out of 64 bits where LLVM would shift and extend, and the
    first entry of 128 bits comes as a word of 32 bits into its vector, not by way of a general register."""
    width = index.type.element.width
    quarters, each, count = [], 64 // width, 128 // width
    words = builder.bitcast(index, ir.VectorType(_I64, 4))
    for half in (0, 1):
        entries = []
        for lane in range(count):
            word = builder.extract_element(words, ir.Constant(_I32, 2 * half + lane // each))
            first = lane % each * width  # the lowest and the highest bits need no such instruction
            if first + width == 64:
                place = builder.lshr(word, ir.Constant(_I64, first))
            elif first:
                place = _call(builder, "llvm.x86.bmi.bextr.64", _I64, word, ir.Constant(_I64, width << 8 | first))
            else:
                place = builder.and_(word, ir.Constant(_I64, (1 << width) - 1))
            entries.append(builder.gep(base, [place]))
        first = builder.load(builder.bitcast(entries[0], _I32.as_pointer()), align=width // 8)
        wide = ir.VectorType(_I32, 4)
        out = builder.insert_element(ir.Constant(wide, None), first, ir.Constant(_I32, 0))
        out = builder.bitcast(out, ir.VectorType(index.type.element, count))
        for lane in range(1, count):
            out = builder.insert_element(out, builder.load(entries[lane], align=width // 8), ir.Constant(_I32, lane))
        quarters.append(out)
    return _join(builder, *quarters)


@_intrinsic
def lookup(typing: Any, table: Any, index: Any) -> Any:
    """table[index] for a table in memory of the index's own width, 16 or 32 bits.

    A table of 16 bits has one spare element before its entries and one behind them.
    """

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = make_array(table)(context, builder, args[0]).data
        if not isa.GATHERS:
            first = 1 if index.bits == 16 else 0
            return _loads(builder, builder.gep(data, [ir.Constant(_I32, first)]), args[1])
        base = builder.bitcast(data, _I8.as_pointer())
        if index.bits == 32:
            return _gather(builder, base, args[1], 4)
        # two elements come with each word: for even lanes the lower one is the entry, for odd lanes the upper one
        wide = ir.VectorType(_I32, 16)
        pairs, low = builder.bitcast(args[1], wide), _constant(wide, 0xFFFF)
        even = _gather(builder, builder.gep(base, [ir.Constant(_I32, 2)]), builder.and_(pairs, low), 2)
        odd = _gather(builder, base, builder.lshr(pairs, _constant(wide, 16)), 2)
        entries = builder.or_(builder.and_(even, low), builder.and_(odd, builder.not_(low)))
        return builder.bitcast(entries, index.llvm)

    return index(table, index), generate


def _registers(context: Any, builder: Any, table: Any, array: Any, kind: Any, count: int) -> list[Any]:
    """The first ``count`` vectors of a table."""
    data = builder.bitcast(make_array(table)(context, builder, array).data, kind.as_pointer())
    places = [builder.gep(data, [ir.Constant(_I32, i)]) for i in range(count)]
    return [builder.load(place, align=kind.element.width // 8) for place in places]


@_intrinsic
def lookup_128(typing: Any, table: Any, index: Any) -> Any:
    """table[index mod 128] for 128 entries of 8 bits, held in registers. AVX-512 only."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        low, high = _registers(context, builder, table, args[0], index.llvm, 2)
        return _call(builder, "llvm.x86.avx512.vpermi2var.qi.512", index.llvm, low, args[1], high)

    return index(table, index), generate


def _lookup_64(builder: Any, low: Any, index: Any, high: Any) -> Any:
    return _call(builder, "llvm.x86.avx512.vpermi2var.hi.512", index.type, low, index, high)


@_intrinsic
def lookup_64(typing: Any, table: Any, index: Any) -> Any:
    """table[index mod 64] for 64 entries of 16 bits, held in registers. AVX-512 only."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        low, high = _registers(context, builder, table, args[0], index.llvm, 2)
        return _lookup_64(builder, low, args[1], high)

    return index(table, index), generate


@_intrinsic
def lookup_2_64(typing: Any, table: Any, index: Any, second: Any) -> Any:
    """table[0, index] or, where ``second`` is set, table[1, index], index mod 64, for 2 rows of 64 entries of 16 bits,
    held in registers. AVX-512 only."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        parts = _registers(context, builder, table, args[0], index.llvm, 4)
        rows = [_lookup_64(builder, parts[i], args[1], parts[i + 1]) for i in (0, 2)]
        return builder.select(args[2], rows[1], rows[0])

    return index(table, index, second), generate


@_intrinsic
def lookup_16(typing: Any, table: Any, index: Any) -> Any:
    """table[index mod 16] for 16 entries of 32 bits, the last 8 as the first, held in registers."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if isa.VECTOR == "avx512":
            (entries,) = _registers(context, builder, table, args[0], index.llvm, 1)
            return _call(builder, "llvm.x86.avx512.permvar.si.512", index.llvm, entries, args[1])
        half = ir.VectorType(_I32, 8)
        (entries,) = _registers(context, builder, table, args[0], half, 1)
        name = "llvm.x86.avx2.permd"
        return _join(builder, *[_call(builder, name, half, entries, i) for i in _halves(builder, args[1])])

    return index(table, index), generate


def _dot(name: str) -> Any:
    @_intrinsic
    def operation(typing: Any, sums: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return _call(builder, f"llvm.x86.avx512.{name}.512", sums.llvm, *args)

        return sums(sums, a, b), generate

    return operation


# sums + the products of the neighbours that stand in a 32-bit lane. AVX-512 VNNI only.
dot4 = _dot("vpdpbusd")  #: four bytes each, those of the first operand unsigned and of the second signed
dot2 = _dot("vpdpwssd")  #: two signed 16-bit words each


@_intrinsic
def after(typing: Any, a: Any, b: Any) -> Any:
    """a, which with AVX2 LLVM takes to depend on b: what comes of a is computed behind b, not interleaved with it.

    LLVM interleaves what is independent, and with 16 registers must then keep half of it in memory, for ten cycles each
    time. The processor finds by itself what is independent.
    """

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if isa.VECTOR == "avx512":
            return args[0]
        halves = []
        for x, y in zip(*(_halves(builder, v) for v in args), strict=True):
            kind = ir.FunctionType(x.type, [x.type, y.type])
            halves.append(builder.call(ir.InlineAsm(kind, "", "=x,0,x", side_effect=False), [x, y]))
        return _join(builder, *halves)

    return a(a, b), generate


# --- bytes beside 16-bit lanes, AVX2 only ----------------------------------------------------------------------------

_BYTES = Vector(8, 32)  #: half a vector: a byte for each 16-bit lane, in the order in which `narrow` leaves them


def _interleave(builder: Any, low: Any, high: Any) -> list[Any]:
    """Bytes of two vectors by turns, as the two halves of a vector of words: the lanes that `narrow` packed."""
    parts = [[i + n for i in (0, 16) for n in range(start, start + 8)] for start in (0, 8)]
    pairs = [_lanes(builder, low, high, [i for n in part for i in (n, 32 + n)]) for part in parts]
    return [builder.bitcast(pair, ir.VectorType(_I16, 16)) for pair in pairs]


@_intrinsic
def narrow(typing: Any, words: Any) -> Any:
    """16-bit lanes to bytes, saturating as signed numbers; quarters change places, until `wide` or `pair_sums`."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _call(builder, "llvm.x86.avx2.packsswb", _BYTES.llvm, *_halves(builder, args[0]))

    return _BYTES(words), generate


@_intrinsic
def wide(typing: Any, some: Any) -> Any:
    """Each byte twice in a 16-bit lane: the words 0 and -1 that `narrow` made bytes of."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _join(builder, *_interleave(builder, args[0], args[0]))

    return _full(16)(some), generate


@_intrinsic
def pair_sums(typing: Any, low: Any, high: Any) -> Any:
    """low + 255·high in 16-bit lanes, of signed bytes."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        factors = ir.Constant(_BYTES.llvm, [1, 255] * 16)
        halves = _interleave(builder, *args)
        name, kind = "llvm.x86.avx2.pmadd.ub.sw", halves[0].type
        return _join(builder, *[_call(builder, name, kind, factors, builder.bitcast(h, _BYTES.llvm)) for h in halves])

    return _full(16)(low, high), generate


@_intrinsic
def lowest_bytes(typing: Any, some: Any) -> Any:
    """-128 in every byte of such a vector."""
    return some(some), lambda context, builder, sig, args: _constant(some.llvm, -128)


@_intrinsic
def broadcast_bytes(typing: Any, array: Any, start: Any) -> Any:
    """The 32-bit word ``start`` of an array in every 32 bits of a vector of bytes."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        words = builder.bitcast(make_array(array)(context, builder, args[0]).data, _I32.as_pointer())
        word = builder.load(builder.gep(words, [args[1]]), align=2)
        return builder.bitcast(_halves(builder, _splat(builder, word))[0], _BYTES.llvm)

    return _BYTES(array, types.uintp), generate


def _bytes_at(first: int, rows: int) -> Any:
    """A look-up of bytes 0 … 16·rows - 1 in rows first … of a table (…, 32) in registers; 0 for an index up to 127.

    Row first + j has, twice, the bytes from 16·j on, combined by an exclusive or with those 16 places further, and the
    last row its bytes as they are: the instruction that looks up 16 bytes gives 0 where the index's top bit is set, and
    an addition sets that from index 16·(j + 1) on.
    """

    @_intrinsic
    def operation(typing: Any, table: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            found = []
            for j, entries in enumerate(_registers(context, builder, table, args[0], index.llvm, first + rows)[first:]):
                shifted = builder.add(args[1], _constant(index.llvm, 0x70 - 16 * j))
                found.append(_call(builder, "llvm.x86.avx2.pshuf.b", index.llvm, entries, shifted))
            return reduce(builder.xor, found)

        return index(table, index), generate

    return operation


#: The tables of a log-adder: its sb, its db, and the higher bytes of the first 16 entries of both.
lookup_sb, lookup_db, lookup_sb_high, lookup_db_high = (
    _bytes_at(first, rows) for first, rows in ((0, 4), (4, 4), (8, 1), (9, 1))
)
