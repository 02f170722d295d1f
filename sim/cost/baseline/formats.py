"""Floating-point formats and the arithmetic of the baselines, by NumPy and ml_dtypes: the reference of `rtl/baseline`.

Everything is finite: a result beyond the largest finite magnitude is that magnitude with its sign, and words whose
exponent field belongs to infinities and NaN are no operands. Subnormals and the signs of zeros are IEEE 754's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.verify.tools import MissingTool

__all__ = [
    "BFLOAT16", "E4M3", "E5M2", "FLOAT16", "FLOAT32", "Float64s", "FloatFormat", "Words", "fixed_terms", "multiply_add",
    "requantise",
]  # fmt: skip

Float64s = npt.NDArray[np.float64]
Words = npt.NDArray[np.int64]  #: bit patterns


@dataclass(frozen=True)
class FloatFormat:
    """A sign, ``exp`` bits of biased exponent and ``man`` bits of fraction.

    Attributes
    ----------
    name : str
        Of the NumPy or ml_dtypes type that has its bits.
    exp, man : int
    largest : int
        The word of the largest finite number.
    operands_to : float or None
        Up to here a tensor of operands is scaled, by a power of two; None: not at all.
    """

    name: str
    exp: int
    man: int
    largest: int
    operands_to: float | None

    def __str__(self) -> str:
        return self.name

    @property
    def bits(self) -> int:
        return 1 + self.exp + self.man

    @property
    def bias(self) -> int:
        return (1 << (self.exp - 1)) - 1

    @property
    def top(self) -> int:
        """The largest exponent field of a number."""
        return self.largest >> self.man

    @property
    def largest_value(self) -> float:
        return float(self.decode(np.array([self.largest]))[0])

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The type whose casts are the reference.

        Raises
        ------
        MissingTool
            If it is one of ml_dtypes, which is not installed.
        """
        if self.name in ("float32", "float16"):
            return np.dtype(self.name)
        try:
            import ml_dtypes
        except ImportError as error:
            raise MissingTool("ml_dtypes is not installed: pip install ml_dtypes") from error
        return np.dtype(getattr(ml_dtypes, self.name))

    def decode(self, words: Words) -> Float64s:
        """The numbers that words stand for."""
        return np.asarray(words).astype(f"u{self.bits // 8}").view(self.dtype).astype(np.float64)

    def encode(self, values: Float64s) -> Words:
        """The nearest words, ties to even, saturating; of any float64, rounded once."""
        clipped = np.clip(np.asarray(values, np.float64), -self.largest_value, self.largest_value)
        native = self.name in ("float32", "float16")  # casts of ml_dtypes start from float32
        rounded = (clipped if native else _float32_to_odd(clipped)).astype(self.dtype)
        return rounded.view(f"u{self.bits // 8}").astype(np.int64)

    def is_number(self, words: Words) -> npt.NDArray[np.bool_]:
        """Whether words are operands: neither infinities nor NaN."""
        return (np.asarray(words) & ((1 << (self.bits - 1)) - 1)) <= self.largest


FLOAT32 = FloatFormat("float32", 8, 23, 0x7F7FFFFF, None)
BFLOAT16 = FloatFormat("bfloat16", 8, 7, 0x7F7F, None)
FLOAT16 = FloatFormat("float16", 5, 10, 0x7BFF, 1.0)
E4M3 = FloatFormat("float8_e4m3fn", 4, 3, 0x7E, 448.0)
E5M2 = FloatFormat("float8_e5m2", 5, 2, 0x7B, 57344.0)


def _float32_to_odd(values: Float64s) -> npt.NDArray[np.float32]:
    """To float32, what is not exact to the neighbour with an odd fraction: then another rounding to fewer bits gives
    what a single one would (Boldo and Melquiond, 2008, Emulation of FMA and correctly rounded sums)."""
    near = values.astype(np.float32)
    back = near.astype(np.float64)
    toward = np.where(values > back, np.inf, -np.inf).astype(np.float32)
    even = (near.view(np.uint32) & 1) == 0
    return np.where((back != values) & even, np.nextafter(near, toward), near)


def multiply_add(a: Float64s, b: Float64s, acc: Float64s, fmt: FloatFormat) -> Words:
    """acc + a·b rounded once to the nearest word of ``fmt``, ties to even, saturating.

    The product of two significands of up to 24 bits is exact in float64. Its sum with ``acc`` is rounded to odd in
    float64 (the error of a float64 sum is exact by Knuth's TwoSum), and 53 bits are enough for the second rounding to
    give what a single one would.
    """
    product = a * b
    total = product + acc
    rest = total - product
    error = (product - (total - rest)) + (acc - rest)
    even = (total.view(np.uint64) & np.uint64(1)) == 0
    odd = np.nextafter(total, np.where(error > 0, np.inf, -np.inf))
    return fmt.encode(np.where((error != 0) & even, odd, total))


def fixed_terms(a: Float64s, b: Float64s, exponent: int) -> Words:
    """Products in units of 2**exponent, truncated toward zero."""
    return np.trunc(np.ldexp(a * b, -exponent)).astype(np.int64)


def requantise(acc: Words, shift: Words, bits: int) -> Words:
    """acc / 2**shift to the nearest integer, ties to even, saturating at ``bits`` bits."""
    nearest = np.rint(np.ldexp(acc.astype(np.float64), -shift))
    return np.clip(nearest, -(1 << (bits - 1)), (1 << (bits - 1)) - 1).astype(np.int64)
