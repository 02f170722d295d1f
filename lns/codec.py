"""Real numbers to words and back, correctly rounded (docs/spec.md, section 1.4)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lns import exact
from lns.format import LNSFormat, Rounding

__all__ = ["decode", "encode"]

_TABLE_BITS = (
    14  # significands of formats up to this F are tabulated, those of finer ones computed for the words that occur
)


def encode(
    x: npt.ArrayLike, fmt: LNSFormat, *, offset: int = 0, rounding: Rounding = Rounding.NEAREST
) -> npt.NDArray[Any]:
    """The words nearest to real numbers, in the log domain.

    Parameters
    ----------
    x : array_like of real numbers
        Any shape; taken as float64. Infinities saturate.
    fmt : LNSFormat
    offset : int
        Octaves; a word stands for 2**offset times its own value.
    rounding : Rounding
        NEAREST: code = round(2**F·(log2|x| - offset)) + bias; DOWN: the floor instead. No float64 is ever a tie.

    Returns
    -------
    Array of ``fmt.dtype``, of the shape of x
        Above the largest code it is the largest code, below code 1 it is zero.

    Raises
    ------
    ValueError
        If x holds a NaN, or a negative number and the format has no sign; if the rounding is stochastic.

    Examples
    --------
    >>> import lns
    >>> lns.encode([1.0, -2.0, 0.0, 3.0], lns.LNSFormat(8, 3)).tolist()
    [64, 200, 0, 77]
    """
    if rounding is Rounding.STOCHASTIC:
        raise ValueError("encode rounds to nearest or down; stochastic rounding exists in the update unit only")
    values = np.asarray(x)
    if values.dtype.kind not in "fiub" or values.dtype.itemsize > 8:
        raise ValueError(f"encode takes real numbers of at most 64 bits, got {values.dtype}")
    values = values.astype(np.float64)
    if np.isnan(values).any():
        raise ValueError(f"encode got {int(np.isnan(values).sum())} NaN; words have none")
    if not fmt.signed and (values < 0).any():
        raise ValueError(f"{fmt} has no sign, got {float(values.min())}")
    infinite = np.isinf(values)
    magnitude = np.where(infinite | (values == 0), 1.0, np.abs(values))
    mantissa, exponent = np.frexp(magnitude)
    log = exact.round_log2_of_floats(2.0 * mantissa, fmt.frac_bits, rounding is Rounding.DOWN)
    code = log + ((exponent.astype(np.int64) - 1 - offset) << fmt.frac_bits) + fmt.bias
    code = np.where(infinite | (code > fmt.max_code), fmt.max_code, np.where(code < 1, 0, code))
    code = np.where(values == 0, 0, code)
    return np.where((values < 0) & (code > 0), code | fmt.sign_bit, code).astype(fmt.dtype)


@lru_cache(maxsize=16)
def _significands(frac_bits: int, precision: int) -> npt.NDArray[np.float64]:
    """2**(i/2**F) rounded to ``precision`` bits, as exact float64 in [1, 2]."""
    return np.array(exact.significands(frac_bits, precision), np.float64) * 2.0 ** (1 - precision)


def _decode_one(p: int, frac_bits: int, precision: int, least_exponent: int) -> float:
    """2**(p/2**F), rounded to the bits that a float of this precision has at this magnitude."""
    unit = max((p >> frac_bits) - (precision - 1), least_exponent)
    return float(np.ldexp(float(exact.round_exp2(p, frac_bits, -unit)), unit))


def decode(
    words: npt.ArrayLike, fmt: LNSFormat, *, offset: int = 0, dtype: npt.DTypeLike = np.float64
) -> npt.NDArray[Any]:
    """The real numbers that words stand for, correctly rounded to float64 or float32.

    Parameters
    ----------
    words : array_like of unsigned integers
    fmt : LNSFormat
    offset : int
        Octaves.
    dtype : float64 or float32

    Returns
    -------
    Array of ``dtype``, of the shape of words
        Infinity where the value is beyond the largest float, subnormal numbers or zero where it is below the
        smallest normal one.

    Raises
    ------
    ValueError
        If a word has bits above the format's, or the dtype is neither.
    """
    target = np.dtype(dtype)
    if target not in (np.dtype(np.float64), np.dtype(np.float32)):
        raise ValueError(f"decode gives float64 or float32, got {target}")
    array = np.asarray(words)
    if array.size == 0:
        return np.zeros(array.shape, target)
    if array.dtype.kind not in "iu" or int(array.min()) < 0 or int(array.max()) >> fmt.bits:
        raise ValueError(f"words of {fmt} are integers from 0 to 2**{fmt.bits} - 1")
    info = np.finfo(target)
    precision, least_exponent = info.nmant + 1, int(info.minexp) - info.nmant
    bits = array.astype(np.int64)
    code = bits & fmt.max_code
    p = code - fmt.bias + (int(offset) << fmt.frac_bits)
    octave = np.clip(p >> fmt.frac_bits, -5000, 5000).astype(np.int32)  # beyond every float
    # below the smallest normal number fewer bits are kept: rounding twice would be wrong there
    single = (octave < info.minexp) if fmt.frac_bits <= _TABLE_BITS else (octave >= info.minexp - 60) & (octave < 1025)
    single &= (code > 0) & (octave >= least_exponent - 2)
    if fmt.frac_bits <= _TABLE_BITS:
        significand = _significands(fmt.frac_bits, precision)[p & ((1 << fmt.frac_bits) - 1)]
        with np.errstate(over="ignore", under="ignore"):
            value = np.ldexp(significand, octave)
    else:
        value = np.where(octave > 1023, np.inf, 0.0)
    if single.any():
        distinct, inverse = np.unique(p[single], return_inverse=True)
        with np.errstate(over="ignore", under="ignore"):
            exact_values = [_decode_one(int(q), fmt.frac_bits, precision, least_exponent) for q in distinct]
        value[single] = np.array(exact_values)[inverse]
    value = np.where(code == 0, 0.0, np.where((bits & fmt.sign_bit) != 0, -value, value))
    with np.errstate(over="ignore", under="ignore"):
        return value.astype(target)
