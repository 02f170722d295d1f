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
_NUDGES = 8  # units of a significand's last place
_FRACTION = 23  # bits of a float32 below its leading one


@dataclass(frozen=True, slots=True)
class Factors:
    """A term is the product of two factors, whose float32 bits plus ``half`` and under ``mask`` are truncated to an
    integer.

    ``a`` and ``b`` are the factors of all words, as float32 bits in int32, 256 or 65536 of them. Half or mask is 0
    where it is not needed, never both.
    """

    a: Array
    b: Array
    half: int
    mask: int
    largest: int  #: term


def _significands(frac_bits: int) -> Array:
    return np.exp2(np.arange(1 << frac_bits) / (1 << frac_bits))


def _factors(fmt: LNSFormat, significands: Array, octaves: int, least: int) -> Array:
    """The significand of the raw code's fraction, times 2**(its integer part + octaves), with the sign, for every
    pattern of the words' dtype; 0 where that power is below 2**least."""
    words = np.arange(1 << 8 * fmt.dtype.itemsize)
    codes = words & fmt.max_code
    raw = codes - fmt.bias
    exponents = (raw >> fmt.frac_bits) + octaves
    there = (codes > 0) & (exponents >= least)
    chosen = np.where(there, significands[raw & ((1 << fmt.frac_bits) - 1)], np.float32(0))
    factors = np.ldexp(chosen, np.where(there, exponents, 0).astype(np.int32))
    return np.where(words > fmt.max_code, -factors, factors).view(np.int32)


def _roundings(unit: LinearDot, shown: Array) -> list[tuple[float, int]]:
    """(scale, half) that may give the ROM's entries, as far as terms show them, from the exact products.

    Either truncation alone gives every entry, of products that are all larger by one scale; few fraction bits have such
    a scale. Or half a unit of the ROM's last place rounds them, or a little less.
    """
    exact = _significands(unit.frac_bits) * (1 << (unit.rom_bits - 1))
    hidden = max(0, unit.rom_bits - 1 - unit.guard)  # bits of an entry
    least, beyond = ((shown << hidden) / exact).max(), ((shown + 1 << hidden) / exact).min()
    half = 1 << (_FRACTION - unit.rom_bits)
    return ([(float(np.sqrt(least * beyond)), 0)] if least < beyond else []) + [(1.0, half), (1.0, half - 1)]


def _right(unit: LinearDot) -> tuple[Array, Array, int] | None:
    """Significands of both operands, float32, and half a unit, such that each product of two gives the ROM's entry, as
    far as terms show it; or None.

    Significands are rounded, and so are their products, which puts some on the wrong side of a half. So all pairs are
    tried, and a significand of a that has such a product gives way to one a little larger or smaller.
    """
    f, hidden = unit.frac_bits, max(0, unit.rom_bits - 1 - unit.guard)
    shown, down = np.asarray(unit.rom, np.int64) >> hidden, _FRACTION + 1 - unit.rom_bits + hidden
    codes = np.add.outer(*(np.arange(1 << fmt.frac_bits) << (f - fmt.frac_bits) for fmt in (unit.a, unit.b)))
    octave = 1 << (_FRACTION - down)  # of an exponent, in what is left of a float32
    right = ((shown - octave)[codes & ((1 << f) - 1)] + (127 + (codes >> f)) * octave).astype(np.int32)
    b = _significands(unit.b.frac_bits).astype(np.float32)
    for scale, half in _roundings(unit, shown):
        a = (_significands(unit.a.frac_bits) * scale).astype(np.float32).view(np.int32)
        nearest, left = a.copy(), np.arange(a.size)
        for nudge in sorted(range(-_NUDGES, _NUDGES + 1), key=abs):
            a[left] = nearest[left] + nudge
            products = (a[left].view(np.float32)[:, None] * b).view(np.int32)
            left = left[(products + half >> down != right[left]).any(axis=1)]
        if not left.size:
            return a.view(np.float32), b, half
    return None


def factors(unit: LinearDot, largest: int) -> Factors | None:
    """The factors of a unit whose terms are at most ``largest``; None if it has operands of more than 16 bits, more
    than 10 fraction bits, a ROM of more than 22 bits, or one whose entries no products of factors give."""
    if max(unit.a.bits, unit.b.bits) > _WORD_BITS or unit.frac_bits > _FRACTION_BITS or unit.rom_bits > _ROM_BITS:
        return None
    if (found := _right(unit)) is None:
        return None
    a, b, half = found
    octaves = -(unit.a.max_raw >> unit.a.frac_bits)  # the largest of a is from 1 to 2, of b at most 2**(guard + 1)
    least = -unit.guard - 2  # beside the other operand's largest such a word gives less than 1
    mask = -1 << (_FRACTION + 1 - unit.rom_bits) if unit.rom_bits <= unit.guard or not half else 0
    return Factors(
        _factors(unit.a, a, octaves, least), _factors(unit.b, b, -octaves - unit.least_exponent, least + unit.guard),
        half, mask, largest,
    )  # fmt: skip
