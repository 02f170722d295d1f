"""When a term of a linear product is the float32 product of two factors, and which (`product_factors` computes it)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lns.format import LNSFormat
from lns.reference import LinearDot

Array = npt.NDArray[Any]

_WORD_BITS = 16  # of operands: a factor of each word stands in a table
_FRACTION_BITS = 10  # of both: all pairs of significands are tried
_ROM_BITS = 22  # the float32's 24 less one to round by and one to spare
_FRACTION = 23  # bits of a float32 below its leading one


@dataclass(frozen=True, slots=True)
class Factors:
    """A term is the product of two factors as float32 bits, plus ``half``, and ``mask``, truncated to an integer.

    ``a`` and ``b`` are the factors of all words, as float32 bits in int32, 256 or 65536 of them. Without ``masked`` the
    mask would change nothing.
    """

    a: Array
    b: Array
    half: int
    mask: int
    masked: bool
    largest: int  #: term


def _significands(frac_bits: int) -> Array:
    return np.exp2(np.arange(1 << frac_bits) / (1 << frac_bits))


def _factors(fmt: LNSFormat, octaves: int, least: int) -> Array:
    """2**(raw / 2**F + octaves) with the sign, for every pattern of the words' dtype; 0 from below 2**least."""
    words = np.arange(1 << 8 * fmt.dtype.itemsize)
    codes = words & fmt.max_code
    raw = codes - fmt.bias
    exponents = (raw >> fmt.frac_bits) + octaves
    there = (codes > 0) & (exponents >= least)
    significands = _significands(fmt.frac_bits)[raw & ((1 << fmt.frac_bits) - 1)]
    factors = np.where(there, np.ldexp(significands, np.where(there, exponents, 0)), 0.0)
    return np.where(words > fmt.max_code, -factors, factors).astype(np.float32).view(np.int32)


def _half(unit: LinearDot) -> int | None:
    """What rounds the product of any two significands to the ROM's entry, as far as terms show it, or None.

    Factors are no more than nearly right, and so is their product. So each is tried, with half a unit of the ROM's last
    place and with a little less: the entries that the error of some product puts on the wrong side of a half are few.
    """
    f, unit_bits = unit.frac_bits, _FRACTION + 1 - unit.rom_bits
    hidden = max(0, unit.rom_bits - 1 - unit.guard)  # bits of an entry that no term shows
    a, b = (_significands(fmt.frac_bits).astype(np.float32) for fmt in (unit.a, unit.b))
    products = (a[:, None] * b).view(np.int32)
    steps = [np.arange(1 << fmt.frac_bits) << (f - fmt.frac_bits) for fmt in (unit.a, unit.b)]
    codes = steps[0][:, None] + steps[1]
    entries = np.asarray(unit.rom)[codes & ((1 << f) - 1)] - (1 << (unit.rom_bits - 1))
    right = (entries + ((127 + (codes >> f)) << (unit.rom_bits - 1))) >> hidden
    halves = ((1 << (unit_bits - 1)) - less for less in (0, 1))
    return next((half for half in halves if np.array_equal(products + half >> (unit_bits + hidden), right)), None)


def factors(unit: LinearDot, largest: int) -> Factors | None:
    """The factors of a unit whose terms are at most ``largest``; None if it has operands of more than 16 bits, more
    than 10 fraction bits, a ROM of more than 22 bits, or one whose entries no products of factors give."""
    if max(unit.a.bits, unit.b.bits) > _WORD_BITS or unit.frac_bits > _FRACTION_BITS or unit.rom_bits > _ROM_BITS:
        return None
    if (half := _half(unit)) is None:
        return None
    octaves = -(unit.a.max_raw >> unit.a.frac_bits)  # the largest of a is from 1 to 2, of b at most 2**(guard + 1)
    least = -unit.guard - 2  # beside the other operand's largest such a word gives less than 1
    unit_bits = _FRACTION + 1 - unit.rom_bits
    return Factors(
        _factors(unit.a, octaves, least), _factors(unit.b, -octaves - unit.least_exponent, least + unit.guard),
        half, -1 << unit_bits, unit.rom_bits <= unit.guard, largest,
    )  # fmt: skip
