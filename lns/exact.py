"""Roundings of 2**x and log2(x) that are decided, not approximated.

Two layers. The Python functions bound a real number by integer intervals of growing precision until its
rounding is certain. The compiled one does the bulk of a table in float64 with a proven error bound - it uses nothing
but IEEE multiplication and comparison, no library logarithm - and says which elements it could not decide; those go
to the first layer.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache, lru_cache
from math import isqrt
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

Interval = tuple[int, int]
#: bounds of x·2**prec for a real x: ``lo <= x·2**prec <= hi``
Real = Callable[[int], Interval]

_MAX_PRECISION = 1 << 14


def floor(real: Real) -> int:
    """⌊x⌋ of a real number that is no integer, or whose interval is a point.

    Raises
    ------
    ArithmeticError
        If x lies closer than 2**-16384 to an integer without being a point.
    """
    prec = 64
    while prec <= _MAX_PRECISION:
        lo, hi = real(prec)
        if lo >> prec == hi >> prec:
            return lo >> prec
        prec *= 2
    raise ArithmeticError("a rounding could not be decided: the real number is (nearly) an integer")


def nearest(real: Real) -> int:
    """The integer nearest to a real number that is no tie."""

    def shifted(prec: int) -> Interval:
        lo, hi = real(prec)
        half = 1 << (prec - 1)
        return lo + half, hi + half

    return floor(shifted)


def _log2_bound(num: int, den: int, digits: int, up: bool) -> int:
    """A lower (or upper) bound of 2**digits·log2(num/den): digit by digit, by squaring."""
    bits = digits + 16 + digits.bit_length()
    exponent = num.bit_length() - den.bit_length()
    shift = bits - exponent
    num, den = (num << shift, den) if shift >= 0 else (num, den << -shift)
    mantissa = -(-num // den) if up else num // den
    two = 2 << bits
    total = exponent
    for digit in range(digits + 1):
        if digit:
            total *= 2
            square = mantissa * mantissa
            mantissa = -(-square >> bits) if up else square >> bits
        while mantissa >= two:
            total += 1
            mantissa = (mantissa + 1) >> 1 if up else mantissa >> 1
        while mantissa < two >> 1:  # only before the first squaring
            total -= 1
            mantissa <<= 1
    return total + 1 if up else total


def log2_interval(interval: Interval, prec: int) -> Interval:
    """Bounds of log2 of a positive number that is given by bounds at ``prec``, again at ``prec``."""
    return _log2_bound(interval[0], 1 << prec, prec, False), _log2_bound(interval[1], 1 << prec, prec, True)


def log2_real(x: Fraction) -> Real:
    """log2 of a positive rational."""

    def real(prec: int) -> Interval:
        num, den = x.numerator, x.denominator
        if num & (num - 1) == 0 and den & (den - 1) == 0:
            point = (num.bit_length() - den.bit_length()) << prec
            return point, point
        return _log2_bound(num, den, prec, False), _log2_bound(num, den, prec, True)

    return real


@cache
def _root(level: int, prec: int) -> int:
    """⌊2**(2**-level)·2**prec⌋, exact for level 0, else within 2 units."""
    return 2 << prec if level == 0 else isqrt(_root(level - 1, prec) << prec)


def exp2_interval(p: int, frac_bits: int, prec: int) -> Interval:
    """Bounds of 2**(p/2**frac_bits)·2**prec."""
    octave = p >> frac_bits
    fraction = p - (octave << frac_bits)
    work = prec + 16
    lo = hi = 1 << work
    for level in range(1, frac_bits + 1):
        if (fraction >> (frac_bits - level)) & 1:
            lo = lo * _root(level, work) >> work
            hi = -(-hi * (_root(level, work) + 2) >> work)
    shift = 16 - octave
    return (lo >> shift, -(-hi >> shift)) if shift >= 0 else (lo << -shift, hi << -shift)


def gaussian_log(numerator: int, denominator_bits: int, scale_bits: int, difference: bool) -> int:
    """round(2**scale_bits·log2(1 + 2**-x)), or of -log2(1 - 2**-x), for x = numerator/2**denominator_bits."""

    def real(prec: int) -> Interval:
        # 1 - 2**-x keeps about log2(x) fewer good bits than the power has
        work = prec + scale_bits + denominator_bits + 8
        lo, hi = exp2_interval(-numerator, denominator_bits, work)
        one = 1 << work
        lo, hi = (one - hi, one - lo) if difference else (one + lo, one + hi)
        lo, hi = log2_interval((max(lo, 1), hi), work)
        if difference:
            lo, hi = -hi, -lo
        return lo >> (work - prec - scale_bits), -(-hi >> (work - prec - scale_bits))

    if numerator == 0:
        if difference:
            raise ValueError("log2(1 - 2**0) is not finite")
        return 1 << scale_bits  # log2 2, an exact integer
    return nearest(real)


@cache
def _ln2_interval(prec: int) -> Interval:
    """Bounds of ln 2 = sum of 1/(k·2**k)."""
    terms = prec + 8
    lo = sum((1 << prec) // (k << k) for k in range(1, terms))
    return lo, lo + terms + 1


def round_log2_over_ln2(x: Fraction, scale_bits: int) -> int:
    """round(2**scale_bits·log2(x / ln 2)) for a positive rational x."""

    def real(prec: int) -> Interval:
        work = prec + scale_bits
        lo, hi = log2_real(x)(work)
        ln_lo, ln_hi = log2_interval(_ln2_interval(work), work)
        return lo - ln_hi, hi - ln_lo

    return nearest(real)


def round_log2_log2_e(scale_bits: int) -> int:
    """round(2**scale_bits·log2(log2 e)): the logarithm of -ln 2's, negated."""

    def real(prec: int) -> Interval:
        lo, hi = log2_interval(_ln2_interval(prec + scale_bits), prec + scale_bits)
        return -hi, -lo

    return nearest(real)


@lru_cache(maxsize=4096)  # an encoder asks for the same number at every offset
def round_log2(x: Fraction, scale_bits: int, down: bool = False) -> int:
    """round(2**scale_bits·log2(x)), or its floor, for a positive rational x."""

    def real(prec: int) -> Interval:
        return log2_real(x)(prec + scale_bits)

    return floor(real) if down else nearest(real)


def round_exp2(p: int, frac_bits: int, scale_bits: int) -> int:
    """round(2**scale_bits·2**(p/2**frac_bits)); a point where the power is a whole octave."""
    if p & ((1 << frac_bits) - 1) == 0:
        exponent = (p >> frac_bits) + scale_bits
        return 1 << exponent if exponent >= 0 else 0  # one half to even

    def real(prec: int) -> Interval:
        return exp2_interval(p + (scale_bits << frac_bits), frac_bits, prec)

    return nearest(real)


def significands(frac_bits: int, bits: int) -> list[int]:
    """round(2**(bits-1)·2**(i/2**frac_bits)) for i = 0 … 2**frac_bits - 1 (the last may be 2**bits)."""
    low = frac_bits // 2
    prec = bits + 64
    fine = [exp2_interval(i, frac_bits, prec)[0] for i in range(1 << low)]
    coarse = [exp2_interval(i << low, frac_bits, prec)[0] for i in range(1 << (frac_bits - low))]
    shift = 2 * prec - (bits - 1)
    half, slack = 1 << (shift - 1), 1 << (prec + 8)
    out = []
    for i in range(1 << frac_bits):
        product = coarse[i >> low] * fine[i & ((1 << low) - 1)]
        lo, hi = (product + half) >> shift, (product + half + slack) >> shift
        out.append(lo if lo == hi or i == 0 else round_exp2(i, frac_bits, bits - 1))
    return out


@nb.njit(cache=True)
def log2_digits(
    y: npt.NDArray[np.float64], error: npt.NDArray[np.float64], digits: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """⌊2**digits·log2(y)⌋ for float64 y in [1, 2), digit by digit, by squaring.

    Parameters
    ----------
    y : float64 array, 1-D
        Arguments in [1, 2).
    error : float64 array, 1-D, of length 1 or len(y)
        A bound of the relative error of y; 0 where y is exact.
    digits : int
        0 to 40.

    Returns
    -------
    int64 array, bool array
        The floors, and where they are certain. Each multiplication is off by at most 2**-53 and each squaring
        doubles what was there, so the last
        square is off by less than 2**digits·(error + digits·2**-53); a last square further than that from 1 and
        from 2 has the true digits.
    """
    out = np.empty(y.size, np.int64)
    certain = np.empty(y.size, np.bool_)
    amplified = 2.0**digits
    for i in range(y.size):
        start = error[i % error.size]
        x = y[i]
        total = 0
        for _ in range(digits):
            x = x * x
            total <<= 1
            if x >= 2.0:
                x *= 0.5
                total += 1
        bound = 4.0 * amplified * (start + digits * 2.0**-53)
        out[i] = total
        certain[i] = (x - 1.0 > bound and 2.0 - x > bound) or (start == 0.0 and y[i] == 1.0)
    return out, certain


def round_log2_of_floats(y: npt.NDArray[np.float64], frac_bits: int, down: bool = False) -> npt.NDArray[np.int64]:
    """round(2**frac_bits·log2(y)), or its floor, for exact float64 y in [1, 2); any shape, every element right."""
    flat = np.ascontiguousarray(y, np.float64).reshape(-1)
    digits = frac_bits if down else frac_bits + 1
    floors, certain = log2_digits(flat, np.zeros(1), digits)
    out = floors if down else (floors + 1) >> 1
    for i in np.flatnonzero(~certain):
        out[i] = round_log2(Fraction(float(flat[i])), frac_bits, down)
    return out.reshape(np.shape(y))


def gaussian_logs(
    numerators: npt.NDArray[np.int64], denominator_bits: int, scale_bits: int, difference: bool
) -> npt.NDArray[np.int64]:
    """`gaussian_log` for an array of numerators (1-D; at least 1 for the difference)."""
    low = denominator_bits // 2

    def powers(count: int, step_bits: int) -> npt.NDArray[Any]:
        return np.array([round_exp2(-(i << step_bits), denominator_bits, 60) for i in range(count)]) * 2.0**-60

    fine, coarse = powers(1 << low, 0), powers(1 << (denominator_bits - low), low)
    octaves, fraction = numerators >> denominator_bits, numerators & ((1 << denominator_bits) - 1)
    # three roundings: two table entries and the product
    power = np.ldexp(
        coarse[fraction >> low] * fine[fraction & ((1 << low) - 1)], -np.minimum(octaves, 1000).astype(np.int32)
    )
    if difference:
        argument = np.maximum(1.0 - power, 2.0**-60)
        error = 2.0**-50 * np.maximum(power / argument, 1.0)
    else:
        argument, error = 1.0 + power, np.full(power.shape, 2.0**-50)
    mantissa, exponent = np.frexp(argument)
    floors, certain = log2_digits(2.0 * mantissa, error, scale_bits + 1)
    twice = floors + ((exponent.astype(np.int64) - 1) << (scale_bits + 1))
    # -⌊t⌋ = ⌈-t⌉, and t is no integer where certain: ⌊-t⌋ = -⌊t⌋ - 1
    out = (-twice if difference else twice + 1) >> 1
    for i in np.flatnonzero(~certain):
        out[i] = gaussian_log(int(numerators[i]), denominator_bits, scale_bits, difference)
    return out
