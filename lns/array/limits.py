"""The limits of a format, as `numpy.finfo` gives those of a float."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lns.array.words import as_format, checked_offset
from lns.codec import decode
from lns.format import LNSFormat


def finfo(fmt: LNSFormat | str, offset: int = 0) -> FormatLimits:
    """The limits of a format at an offset, in octaves.

    Examples
    --------
    >>> finfo("lns<8,3>").max
    234.75303506039583
    >>> finfo("lns<8,3>", offset=-8).one_is_representable
    False
    """
    return FormatLimits(as_format(fmt), checked_offset(offset))


@dataclass(frozen=True, slots=True)
class FormatLimits:
    """What `finfo` gives; values are float64."""

    format: LNSFormat
    offset: int

    @property
    def bits(self) -> int:
        return self.format.bits

    @property
    def frac_bits(self) -> int:
        return self.format.frac_bits

    @property
    def max(self) -> float:
        """The largest value; infinity beyond float64."""
        return self._value(self.format.max_code)

    @property
    def min(self) -> float:
        """The negative value furthest from zero; 0.0 in an unsigned format."""
        return -self.max if self.format.signed else 0.0

    @property
    def smallest(self) -> float:
        """The smallest positive value; 0.0 below float64."""
        return self._value(1)

    tiny = smallest  # NumPy's name

    @property
    def max_exponent(self) -> float:
        """log2 of the largest value, exact."""
        return self.format.max_raw / (1 << self.frac_bits) + self.offset

    @property
    def min_exponent(self) -> float:
        """log2 of the smallest positive value, exact."""
        return self.format.min_raw / (1 << self.frac_bits) + self.offset

    @property
    def ratio(self) -> float:
        """Between neighbouring magnitudes, anywhere in the range."""
        return 1.0 + self.eps

    @property
    def eps(self) -> float:
        """ratio - 1: the relative step between neighbours, anywhere in the range."""
        return math.expm1(math.log(2) / (1 << self.frac_bits))

    @property
    def dynamic_range_db(self) -> float:
        """20·log10(max / smallest)."""
        return self.format.dynamic_range_db

    @property
    def decades(self) -> float:
        """log10(max / smallest)."""
        return self.dynamic_range_db / 20

    @property
    def one_is_representable(self) -> bool:
        """Whether 1.0 has a word at this offset."""
        return 1 <= self.format.bias - (self.offset << self.frac_bits) <= self.format.max_code

    def _value(self, code: int) -> float:
        return float(decode(np.array(code), self.format, offset=self.offset))

    def __str__(self) -> str:
        sign = "a sign bit, " if self.format.signed else ""
        return "\n".join(
            (
                f"Limits of {self.format} at offset {self.offset}",
                f"bits       {self.bits}: {sign}a code of {self.format.code_bits} bits, {self.frac_bits} of fraction",
                f"max        {self.max:.6g}   2**{self.max_exponent:g}",
                f"min        {self.min:.6g}",
                f"smallest   {self.smallest:.6g}   2**{self.min_exponent:g}",
                f"eps        {self.eps:.6g}",
                f"range      {self.dynamic_range_db:.1f} dB, {self.decades:.1f} decades",
                f"1.0        {'is a word' if self.one_is_representable else 'out of range'}",
            )
        )
