"""Bytes beside vectors of 16-bit lanes, and tables of bytes in registers (AVX2 only)."""

from __future__ import annotations

from functools import reduce
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.np.arrayobj import make_array

from lns.kernels import pieces
from lns.kernels.pieces import I16, I32, Vector, full, intrinsic

BYTES = Vector(8, 32)  #: half a vector: a byte for each 16-bit lane, in the order in which `narrow` leaves them

_FACTORS = ir.Constant(BYTES.llvm, [1, 255] * 16)


def narrowed(builder: Any, low: Any, high: Any) -> Any:
    """As `narrow`, of the halves of a vector."""
    return pieces.call(builder, "llvm.x86.avx2.packsswb", BYTES.llvm, low, high)


def interleaved(builder: Any, low: Any, high: Any) -> list[Any]:
    """Bytes of two vectors by turns, as the two halves of a vector of words: the lanes that `narrow` packed."""
    parts = [[i + n for i in (0, 16) for n in range(start, start + 8)] for start in (0, 8)]
    pairs = [pieces.lanes(builder, low, high, [i for n in part for i in (n, 32 + n)]) for part in parts]
    return [builder.bitcast(pair, ir.VectorType(I16, 16)) for pair in pairs]


def pair_sums_of(builder: Any, low: Any, high: Any) -> list[Any]:
    """As `pair_sums`, in halves."""
    halves = [builder.bitcast(half, BYTES.llvm) for half in interleaved(builder, low, high)]
    kind = ir.VectorType(I16, 16)
    return [pieces.call(builder, "llvm.x86.avx2.pmadd.ub.sw", kind, _FACTORS, half) for half in halves]


def look_up(builder: Any, entries: Any, index: Any) -> Any:
    """16 bytes that stand twice, each at the lowest four bits of an index; 0 where its top bit is set."""
    return pieces.call(builder, "llvm.x86.avx2.pshuf.b", index.type, entries, index)


@intrinsic
def narrow(typing: Any, words: Any) -> Any:
    """16-bit lanes to bytes, saturating as signed numbers; quarters change places, until `wide` or `pair_sums`."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return narrowed(builder, *pieces.halves(builder, args[0]))

    return BYTES(words), generate


@intrinsic
def wide(typing: Any, some: Any) -> Any:
    """Each byte twice in a 16-bit lane: the words 0 and -1 that `narrow` made bytes of."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return pieces.join(builder, *interleaved(builder, args[0], args[0]))

    return full(16)(some), generate


@intrinsic
def pair_sums(typing: Any, low: Any, high: Any) -> Any:
    """low + 255·high in 16-bit lanes, of signed bytes."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return pieces.join(builder, *pair_sums_of(builder, *args))

    return full(16)(low, high), generate


@intrinsic
def lowest_bytes(typing: Any, some: Any) -> Any:
    """-128 in every byte of such a vector."""
    return some(some), lambda context, builder, sig, args: pieces.constant(some.llvm, -128)


@intrinsic
def broadcast_bytes(typing: Any, array: Any, start: Any) -> Any:
    """The 32-bit word ``start`` of an array in every 32 bits of a vector of bytes."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        words = builder.bitcast(make_array(array)(context, builder, args[0]).data, I32.as_pointer())
        every = pieces.broadcast(builder, builder.gep(words, [args[1]]), 2)
        return builder.bitcast(pieces.halves(builder, every)[0], BYTES.llvm)

    return BYTES(array, types.uintp), generate


def _bytes_at(first: int, rows: int) -> Any:
    """A look-up of bytes 0 … 16·rows - 1 in rows first … of a table (…, 32) in registers; 0 for an index up to 127.

    Row first + j has, twice, the bytes from 16·j on, combined by an exclusive or with those 16 places further, and the
    last row its bytes as they are: the instruction that looks up 16 bytes gives 0 where the index's top bit is set, and
    an addition sets that from index 16·(j + 1) on.
    """

    @intrinsic
    def operation(typing: Any, table: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            found = []
            for j, entries in enumerate(
                pieces.registers(context, builder, table, args[0], index.llvm, first + rows)[first:]
            ):
                shifted = builder.add(args[1], pieces.constant(index.llvm, 0x70 - 16 * j))
                found.append(look_up(builder, entries, shifted))
            return reduce(builder.xor, found)

        return index(table, index), generate

    return operation


#: The tables of a log-adder: its sb, its db, and the higher bytes of the first 16 entries of both.
lookup_sb, lookup_db, lookup_sb_high, lookup_db_high = (
    _bytes_at(first, rows) for first, rows in ((0, 4), (4, 4), (8, 1), (9, 1))
)
