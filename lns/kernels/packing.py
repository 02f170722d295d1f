"""Words laid out for the vector kernels: panels of b that are one vector wide, and of a that are one tile high.

A word becomes two numbers, its *share* of a product's index, code·scale + start, and a mark of its sign.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from lns.format import LNSFormat
from lns.kernels.compiling import jit
from lns.kernels.tables import Threaded

Array = npt.NDArray[Any]

ROWS = 4  #: rows of a tile of the result: the kernels name their accumulators one by one
LINE = 64  #: bytes of a cache line
LEAST_WORK = 1 << 22  #: multiply-accumulates from which on threads pay, at some 5e9 a second and core


@dataclass(frozen=True, slots=True)
class Share:
    """How words of one operand are laid out.

    A code of at least ``least`` has the share code·scale + start, any other (zero among them) the share ``zero``.
    The sign's mark is ``minus`` or ``plus``.
    """

    fmt: LNSFormat
    scale: int
    start: int
    least: int
    zero: int
    minus: int
    plus: int

    @property
    def numbers(self) -> tuple[int, ...]:
        """What the packing loops take."""
        return self.fmt.max_code, self.scale, self.start, self.least, self.zero, self.minus, self.plus


@nb.njit(inline="always")
def _share(word, numbers, low, factor):  # type: ignore[no-untyped-def]
    max_code, scale, start, least, zero, minus, plus = numbers
    code = np.int32(word & max_code)
    share = code * np.int32(scale) + np.int32(start) if code >= least else np.int32(zero)
    sign = np.int32(minus) if word > max_code else np.int32(plus)
    return (share & low) * factor, (sign & low) * factor


def _rows_loop(begin, end, words, numbers, low, factor, lanes, block):  # type: ignore[no-untyped-def]
    """Words (K, columns), whose columns are neighbours in memory, into a block (see `_packed`)."""
    apart, _, rows, behind, width = block.shape
    for p in range(begin, end):
        step = 0
        for lane in range(lanes):
            for k in range(lane, rows, lanes):
                for n in range(width):
                    share, sign = _share(words[k, p * width + n], numbers, low, factor)
                    block[0, p, step, 0, n] = share
                    block[apart - 1, p, step, behind - 1, n] = sign
                step += 1


@nb.njit(inline="always")
def _parts(words, first, depth, width, numbers, shares, signs):  # type: ignore[no-untyped-def]
    """One panel (steps, width) of 32-bit words, from so many k each; fastest if depth and width are constants."""
    bits = np.int32(32 // depth)
    low = (np.int32(1) << bits) - np.int32(1)
    for step in range(shares.shape[0]):
        for n in range(width):
            share = sign = np.int32(0)
            for j in range(depth):
                word = words[depth * step + j, first + n]
                a, b = _share(word, numbers, low, np.int32(1) << np.int32(bits * j))
                share, sign = share | a, sign | b
            shares[step, n], signs[step, n] = share, sign


def _parts_loop(begin, end, words, numbers, depth, shares, signs):  # type: ignore[no-untyped-def]
    """As `_rows_loop`, but four or two k in the parts of a 32-bit word, into (panels, steps, width)."""
    width = shares.shape[2]
    for p in range(begin, end):
        if depth == 4 and width == 16:
            _parts(words, p * 16, 4, 16, numbers, shares[p], signs[p])
        elif depth == 2 and width == 16:
            _parts(words, p * 16, 2, 16, numbers, shares[p], signs[p])
        else:
            _parts(words, p * width, depth, width, numbers, shares[p], signs[p])


@jit
def _columns(words, first, numbers, low, factor, shares, signs):  # type: ignore[no-untyped-def]
    """Words (columns, K): some columns, as they stand in memory, into shares and signs (width, K)."""
    for n in range(shares.shape[0]):
        for k in range(shares.shape[1]):
            shares[n, k], signs[n, k] = _share(words[first + n, k], numbers, low, factor)


@jit
def _interleave(columns, target, place, pitch, lanes):  # type: ignore[no-untyped-def]
    """(width, steps) into the steps of a panel, which begins at ``place`` and has a step every ``pitch`` elements."""
    width, steps, lanes = np.uint64(columns.shape[0]), np.uint64(columns.shape[1]), np.uint64(lanes)
    source, place, pitch = columns.reshape(-1), np.uint64(place), np.uint64(pitch)
    for lane in range(lanes):
        for step in range(lane, steps, lanes):
            for n in range(width):
                target[place + n] = source[n * steps + step]
            place += pitch


def _columns_loop(begin, end, words, numbers, low, factor, lanes, element, block):  # type: ignore[no-untyped-def]
    """Words (columns, K), whose k are neighbours in memory, into a block (see `_packed`) with a word a step; its words
    consist of elements like ``element``."""
    apart, panels, steps, behind, width = block.shape
    columns = np.empty((2, width, words.shape[1]), element.dtype)
    target = block.reshape(-1)
    for p in range(begin, end):
        _columns(words, p * width, numbers, low, factor, columns[0], columns[1])
        by_steps, first, pitch = columns.view(block.dtype), p * steps * behind * width, behind * width
        _interleave(by_steps[0], target, first, pitch, lanes)
        _interleave(by_steps[1], target, first + ((apart - 1) * panels * steps + behind - 1) * width, pitch, lanes)


_LEAST_WORDS = 1 << 18  # from which on threads pay
_pack_rows = Threaded(_rows_loop, _LEAST_WORDS)
_pack_parts = Threaded(_parts_loop, _LEAST_WORDS)
_pack_columns = Threaded(_columns_loop, _LEAST_WORDS)


def aligned(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """An array with any contents that begins at a cache line, so that no vector of its panels lies in two of them."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + LINE - 1, np.uint8)
    start = -memory.ctypes.data % LINE
    return memory[start : start + size].view(dtype).reshape(shape)


def pack(words: Array, share: Share, dtype: npt.DTypeLike, width: int, depth: int = 1) -> tuple[Array, Array]:
    """(shares, signs) of the words of a matrix in panels of ``width`` columns, filled up with zeros to whole panels and
    steps: flat, in the order (panel, step, column, term of the step).

    Parameters
    ----------
    words : (K, columns)
        b as it is, or a transposed. Fastest if it or its transpose is C-contiguous.
    dtype : int32, int16, uint16 or uint8
    width : int
        Columns of a panel: of a vector for b, rows of a tile for a.
    depth : int
        Terms of one step: 4 for uint8, 2 for uint16, else 1.
    """
    shares, signs = _packed(words, share, np.dtype(dtype), width, depth, apart=2).reshape(2, -1).view(dtype)
    return shares, signs


def pack_steps(words: Array, share: Share, dtype: npt.DTypeLike, width: int, lanes: int, twice: bool = False) -> Array:
    """As `pack`, the shares of each step before its signs, in one array: flat, in the order (panel, step, share or
    sign, column).

    Parameters
    ----------
    lanes : int
        Of the accumulator. The steps of the first lane, k = 0, lanes, 2·lanes, …, come first, those of the second
        behind them, and so on: `first_step`.
    twice : bool
        Whether each 16-bit share and sign stands twice, so that it can be broadcast as a word of 32 bits.
    """
    element = np.dtype(np.int32 if twice else dtype)
    return _packed(words, share, element, width, 1, apart=1, lanes=lanes, twice=twice).reshape(-1).view(dtype)


@nb.njit(inline="always")
def first_step(lane, steps, lanes):  # type: ignore[no-untyped-def]
    """The place of a lane's first step in such a panel, of ``steps`` steps."""
    return lane * (steps // lanes) + min(lane, steps % lanes)


def _packed(
    words: Array, share: Share, element: np.dtype[Any], width: int, depth: int, apart: int, lanes: int = 1,
    twice: bool = False,
) -> Array:  # fmt: skip
    """A block (apart, panels, steps, behind, width) with a word a step and column: shares and signs lie apart, in its
    halves, if ``apart`` is 2, else behind each other in each step."""
    k, n = words.shape
    panels, steps = -(-n // width), -(-k // depth)
    low, factor = (np.int32(0xFFFF), np.int32(0x10001)) if twice else (np.int32(-1), np.int32(1))
    block = aligned((apart, panels, steps, 2 // apart, width), f"i{element.itemsize * depth}")
    words = _filled_up(words, (steps * depth, panels * width))
    if words.T.flags.c_contiguous:
        _pack_columns(words.size, panels, words.T, share.numbers, low, factor, lanes, np.empty(0, element), block)
    elif depth > 1:
        _pack_parts(words.size, panels, words, share.numbers, depth, *block[:, :, :, 0])
    else:
        _pack_rows(words.size, panels, words, share.numbers, low, factor, lanes, block)
    return block


@nb.njit(inline="always")
def _table_rows(words, columns, table, out, first, place, steps, width):  # type: ignore[no-untyped-def]
    for k in range(steps):
        for n in range(width):
            out[place + k * width + n] = table[words[first + k * columns + n]]


@nb.njit(inline="always")
def _table_columns(words, depth, table, out, first, place, steps, width):  # type: ignore[no-untyped-def]
    for k in range(steps):
        for n in range(width):
            out[place + k * width + n] = table[words[first + n * depth + k]]


def _table_loop(begin, end, words, by_columns, steps, columns, table, width, out):  # type: ignore[no-untyped-def]
    """Words (K, columns) or ``by_columns`` (columns, K), flat, into entries of a table (panels, K, width), flat."""
    steps, columns, four, sixteen = np.uint64(steps), np.uint64(columns), np.uint64(4), np.uint64(16)
    for p in range(np.uint64(begin), np.uint64(end)):
        column = p * np.uint64(width)
        place = column * steps
        if by_columns and width == 4:  # constants, and unsigned: three instructions a word
            _table_columns(words, steps, table, out, place, place, steps, four)
        elif by_columns:
            _table_columns(words, steps, table, out, place, place, steps, sixteen)
        elif width == 4:
            _table_rows(words, columns, table, out, column, place, steps, four)
        else:
            _table_rows(words, columns, table, out, column, place, steps, sixteen)


_pack_table = Threaded(_table_loop, _LEAST_WORDS << 2)


def pack_by_table(words: Array, table: Array, width: int) -> Array:
    """table[word] of the words (K, columns) of a matrix in panels of 4 or 16 columns as `pack` lays them out, filled up
    with table[0].

    The table has an entry for every pattern of the words' dtype.
    """
    k, n = words.shape
    panels = -(-n // width)
    out = aligned((panels * k * width,), table.dtype)
    words = _filled_up(words, (k, panels * width))
    by_columns = words.T.flags.c_contiguous
    flat = words.reshape(-1, order="F" if by_columns else "C")
    _pack_table(words.size, panels, flat, by_columns, k, panels * width, table, width, out)
    return out


def _filled_up(words: Array, shape: tuple[int, int]) -> Array:
    """The words, and zeros behind their last rows and columns; C-contiguous, or its transpose if theirs is."""
    if words.shape == shape:
        return words if words.T.flags.c_contiguous else np.ascontiguousarray(words)
    out = np.zeros(shape, words.dtype, "F" if words.T.flags.c_contiguous else "C")
    out[: words.shape[0], : words.shape[1]] = words
    return out


@jit
def code_range(words, max_code):  # type: ignore[no-untyped-def]
    """The least code but zero and the largest code of an array; the first is above the second if all words are zero."""
    least, largest = np.int64(max_code + 1), np.int64(0)
    for m in range(words.shape[0]):
        for k in range(words.shape[1]):
            code = np.int64(words[m, k] & max_code)
            least = min(least, code if code else np.int64(max_code + 1))
            largest = max(largest, code)
    return least, largest


def transposed_is_smaller(m: int, n: int, width: int) -> bool:
    """Whether tiles of ``width`` columns cover an (n, m) result with less waste than an (m, n) one.

    A dot product is the same with its operands exchanged, so a result may be computed as its transpose.
    """
    return tiles(n, m, width) < tiles(m, n, width)


def tiles(m: int, n: int, width: int) -> int:
    """How many tiles of ``width`` columns cover an (m, n) result."""
    return -(-m // ROWS) * -(-n // width)
