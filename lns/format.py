"""Formats of words, the events that units raise, and the rounding modes (docs/spec.md, section 1)."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Event", "LNSFormat", "Rounding"]


class Rounding(enum.Enum):
    """How a value between two codes becomes a code."""

    NEAREST = "nearest"  #: to the nearest code, a tie to the even one
    DOWN = "down"  #: to the next smaller magnitude
    STOCHASTIC = "stochastic"  #: up with the probability of the fraction; update unit only


class Event(enum.IntFlag):
    """Flags of one emitted word (docs/spec.md, section 1.3)."""

    SATURATE = 1
    UNDERFLOW = 2
    DIVIDE_BY_ZERO = 4
    INVALID = 8
    CLIP = 16
    ACC_SATURATE = 32
    ACC_UNDERFLOW = 64


_NAME = re.compile(r"(u?)lns<(\d+),(\d+)>")


@dataclass(frozen=True, slots=True)
class LNSFormat:
    """A logarithmic format: ``lns<bits,frac_bits>``, or ``ulns<bits,frac_bits>`` without a sign bit.

    Parameters
    ----------
    bits : int
        Word width B, 2 to 32.
    frac_bits : int
        Fraction bits F of log2, 0 to B - 2. Neighbouring magnitudes differ by the factor 2**(2**-F).
    signed : bool
        Whether the top bit of the word is a sign.

    Raises
    ------
    ValueError
        If a width is out of range.

    Examples
    --------
    >>> LNSFormat(8, 3)
    LNSFormat.parse('lns<8,3>')
    >>> LNSFormat.parse("ulns<17,11>").bias
    65536
    """

    bits: int
    frac_bits: int
    signed: bool = True

    def __post_init__(self) -> None:
        for field, value in (("bits", self.bits), ("frac_bits", self.frac_bits)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise ValueError(f"{field} must be an integer, got {value!r}")
            object.__setattr__(self, field, int(value))
        if not 2 <= self.bits <= 32:
            raise ValueError(f"bits must be between 2 and 32, got {self.bits}")
        if not 0 <= self.frac_bits <= self.bits - 2:
            raise ValueError(f"frac_bits must be between 0 and bits - 2 = {self.bits - 2}, got {self.frac_bits}")

    @classmethod
    def parse(cls, name: str) -> LNSFormat:
        """The format that a name like ``lns<8,3>`` or ``ulns<17,11>`` stands for."""
        match = _NAME.fullmatch(name.replace(" ", "")) if isinstance(name, str) else None
        if match is None:
            raise ValueError(f"a format is written lns<bits,frac_bits> or ulns<bits,frac_bits>, got {name!r}")
        return cls(int(match[2]), int(match[3]), signed=not match[1])

    def __str__(self) -> str:
        return f"{'' if self.signed else 'u'}lns<{self.bits},{self.frac_bits}>"

    def __repr__(self) -> str:
        return f"LNSFormat.parse('{self}')"

    @property
    def code_bits(self) -> int:
        """Width w of the code."""
        return self.bits - self.signed

    @property
    def bias(self) -> int:
        """The code of 1.0 at offset 0; raw = code - bias."""
        return 1 << (self.code_bits - 1)

    @property
    def max_code(self) -> int:
        """The largest code, 2**w - 1; it is also the mask of the code in a word."""
        return (1 << self.code_bits) - 1

    @property
    def max_raw(self) -> int:
        return self.max_code - self.bias

    @property
    def min_raw(self) -> int:
        """raw of the smallest nonzero code."""
        return 1 - self.bias

    @property
    def sign_bit(self) -> int:
        """The sign's mask in a word; 0 in an unsigned format."""
        return 1 << self.code_bits if self.signed else 0

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest unsigned dtype that holds a word."""
        return np.dtype(np.uint8 if self.bits <= 8 else np.uint16 if self.bits <= 16 else np.uint32)

    @property
    def one_offset_limit(self) -> int:
        """The largest |offset| at which 1.0 still has a code."""
        return (self.bias - 1) >> self.frac_bits

    @property
    def dynamic_range_db(self) -> float:
        """20·log10(largest / smallest nonzero magnitude)."""
        return float(20 * np.log10(2.0) * (self.max_code - 1) / (1 << self.frac_bits))
