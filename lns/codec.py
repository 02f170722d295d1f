"""Real numbers to words and back, correctly rounded (docs/spec.md, section 1.4)."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from lns import exact
from lns.format import LNSFormat, Rounding
from lns.kernels.compiling import jit
from lns.kernels.elementwise import emit
from lns.kernels.tables import BLOCK, Threaded, float_bits, gather, leading_zeros

__all__ = ["decode", "encode"]

# Formats up to this F go by tables of significands; with finer ones, logarithms and powers are computed one by one.
_TABLE_BITS = 14

_FRACTION_BITS = 52  # of a float64
_EXPONENT_BIAS = 1023


@lru_cache(maxsize=16)
def _buckets(frac_bits: int, down: bool) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Tables by the top F + 1 fraction bits of a float64: (code at the bucket's lower end, fraction from which on it
    is one more).

    A code begins at a significand 2**((i + ½)/2**F), or 2**(i/2**F) if logarithms are rounded down. These are
    irrational, so that a float lies above one just if it is at least its ceiling. Neighbours are more than
    2**-(F + 1) apart: a bucket holds at most one (spec, section 13.1).
    """
    fine, first, step = (frac_bits, 1, 1) if down else (frac_bits + 1, 1, 2)
    guard = 9
    significands = np.array(exact.significands(fine, _FRACTION_BITS + 1 + guard), np.int64)[first::step]
    starts = (significands >> guard) + 1 - (1 << _FRACTION_BITS)
    # nearest may be the ceiling where no guard bit is left
    for i in np.flatnonzero(significands & ((1 << guard) - 1) == 0):
        real = partial(exact.exp2_interval, int(first + step * i) + (_FRACTION_BITS << fine), fine)
        starts[i] = exact.floor(real) + 1 - (1 << _FRACTION_BITS)
    starts = np.append(starts, 1 << _FRACTION_BITS)  # which no fraction reaches
    lower = np.arange(2 << frac_bits) << (_FRACTION_BITS - frac_bits - 1)
    base = np.searchsorted(starts, lower, side="right")
    return base.astype(np.int32), starts[base]


@jit
def _encode_block(x, base, threshold, frac_bits, start, max_code, out):  # type: ignore[no-untyped-def]
    """Words of float64; how many NaN and how many numbers below 0 there are."""
    nans, negatives = 0, 0
    shift, fractions = _FRACTION_BITS - frac_bits - 1, (1 << _FRACTION_BITS) - 1
    for i in range(x.size):
        pattern = np.int64(float_bits(x[i]))
        minus, magnitude = pattern < 0, pattern & np.int64((1 << 63) - 1)
        exponent, fraction = magnitude >> _FRACTION_BITS, magnitude & fractions
        if exponent == 0 and fraction:  # subnormal
            places = leading_zeros(fraction) - 11
            exponent, fraction = 1 - places, (fraction << places) & fractions
        bucket = fraction >> shift
        code = base[bucket] + (fraction >= threshold[bucket])
        computed = code + ((exponent - _EXPONENT_BIAS) << frac_bits) + start
        special = exponent == 2 * _EXPONENT_BIAS + 1
        nans += special & (fraction != 0)
        negatives += minus & (magnitude != 0)
        word, _ = emit(minus, max_code if special else computed, max_code)
        out[i] = word if magnitude else 0
    return nans, negatives


def _encode_loop(begin, end, x, base, threshold, frac_bits, start, max_code, out, nans, negatives):  # type: ignore[no-untyped-def]
    for block in range(begin, end):
        first, last = block * BLOCK, min((block + 1) * BLOCK, x.size)
        some = x[first:last].astype(np.float64)
        nans[block], negatives[block] = _encode_block(
            some, base, threshold, frac_bits, start, max_code, out[first:last]
        )


_encode = Threaded(_encode_loop, 1 << 17)


def _refuse(values: npt.NDArray[Any], nans: int, negatives: int, fmt: LNSFormat) -> None:
    if nans:
        raise ValueError(f"encode got {nans} NaN; words have none")
    if negatives and not fmt.signed:
        raise ValueError(f"{fmt} has no sign, got {float(values.min())}")


def _encode_fine(values: npt.NDArray[np.float64], fmt: LNSFormat, offset: int, down: bool) -> npt.NDArray[Any]:
    """The words of any format, with a logarithm for each number."""
    _refuse(values, int(np.isnan(values).sum()), int((values < 0).sum()), fmt)
    infinite = np.isinf(values)
    magnitude = np.where(infinite | (values == 0), 1.0, np.abs(values))
    mantissa, exponent = np.frexp(magnitude)
    log = exact.round_log2_of_floats(2.0 * mantissa, fmt.frac_bits, down)
    far = 1 << (60 - fmt.frac_bits)  # octaves beyond every float and every word
    offset = max(-far, min(offset, far))
    code = log + ((exponent.astype(np.int64) - 1 - offset) << fmt.frac_bits) + fmt.bias
    code = np.where(infinite | (code > fmt.max_code), fmt.max_code, np.where(code < 1, 0, code))
    code = np.where(values == 0, 0, code)
    return np.where((values < 0) & (code > 0), code | fmt.sign_bit, code).astype(fmt.dtype)


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
    down = rounding is Rounding.DOWN
    if fmt.frac_bits > _TABLE_BITS:
        return _encode_fine(values.astype(np.float64), fmt, offset, down)
    if values.dtype not in (np.float64, np.float32):
        values = values.astype(np.float64)
    flat, out = np.ascontiguousarray(values).reshape(-1), np.empty(values.shape, fmt.dtype)
    nans, negatives = np.zeros((2, -(-flat.size // BLOCK)), np.int64)
    # from far on every float saturates, below -far every one underflows
    far = 1 << 60
    start = max(-far, min(fmt.bias - (int(offset) << fmt.frac_bits), far))
    _encode(
        flat.size, nans.size, flat, *_buckets(fmt.frac_bits, down), fmt.frac_bits, start, fmt.max_code, out.reshape(-1),
        nans, negatives,
    )  # fmt: skip
    _refuse(values, int(nans.sum()), int(negatives.sum()), fmt)
    return out


@lru_cache(maxsize=16)
def _significands(frac_bits: int, precision: int) -> npt.NDArray[np.float64]:
    """2**(i/2**F) rounded to ``precision`` bits, as exact float64 in [1, 2]."""
    return np.array(exact.significands(frac_bits, precision), np.float64) * 2.0 ** (1 - precision)


def _decode_one(p: int, frac_bits: int, precision: int, least_exponent: int) -> float:
    """2**(p/2**F), rounded to the bits that a float of this precision has at this magnitude."""
    unit = max((p >> frac_bits) - (precision - 1), least_exponent)
    return float(np.ldexp(float(exact.round_exp2(p, frac_bits, -unit)), unit))


@lru_cache(maxsize=16)
def _decode_every(fmt: LNSFormat, offset: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """What every word of a format stands for, in the order of words."""
    return decode(np.arange(1 << fmt.bits, dtype=fmt.dtype), fmt, offset=offset, dtype=dtype)


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
    if fmt.bits <= 16 and array.size > 1 << fmt.bits:  # one look-up a word
        return gather(_decode_every(fmt, offset, target), array.astype(fmt.dtype, copy=False))
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
