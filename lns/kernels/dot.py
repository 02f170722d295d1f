"""Matrix products: every element is one dot product, in the order of the specification (sections 5 and 7).

Vector kernels compute them where the machine and the unit's widths allow (`isa`, `plan_linear.plan`,
`product_log.plan`), else plain loops; which ones cannot change a bit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lns.kernels import isa, plan_linear, product_factors, product_linear, product_log, product_loops
from lns.kernels.elementwise import Events, Words
from lns.kernels.packing import transposed_is_smaller
from lns.kernels.plan_factors import Factors
from lns.reference import LinearDot, LogDot

LOG_CODE_BITS = 25  #: aligned codes that a log accumulator may have


def _check(a: Words, b: Words, unit: LinearDot | LogDot) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(f"a matrix product needs (M, K) and (K, N), got {a.shape} and {b.shape}")
    for words, fmt in ((a, unit.a), (b, unit.b)):
        if words.dtype != fmt.dtype:
            raise TypeError(f"words of {fmt} must be {fmt.dtype}, got {words.dtype}")


def _check_linear(unit: LinearDot) -> None:
    if unit.guard < 0 or unit.lanes < 1:
        raise ValueError(f"guard must be at least 0 and lanes at least 1, got {unit.guard} and {unit.lanes}")


def _check_log(unit: LogDot) -> None:
    f = unit.acc.frac_bits
    if max(unit.a.frac_bits, unit.b.frac_bits) > f:
        raise ValueError(
            f"a log accumulator in {unit.acc} has fewer fraction bits than its operands, {unit.a} and {unit.b}"
        )
    if not unit.acc.signed and (unit.a.signed or unit.b.signed):
        raise ValueError(f"signed operands need a signed accumulator, got {unit.a} times {unit.b} into {unit.acc}")
    if unit.lanes < 1 or unit.lanes & (unit.lanes - 1):
        raise ValueError(f"lanes must be a power of two, got {unit.lanes}")
    aligned = [fmt.code_bits + f - fmt.frac_bits for fmt in (unit.a, unit.b)]
    widest = max(*aligned, unit.acc.code_bits, abs(unit.offset << f).bit_length())
    if widest > LOG_CODE_BITS:
        raise ValueError(
            f"aligned codes of at most {LOG_CODE_BITS} bits are supported, "
            f"{unit.a} times {unit.b} into {unit.acc} needs {widest}"
        )


def dot_linear(a: Words, b: Words, unit: LinearDot) -> tuple[npt.NDArray[np.int64], Events]:
    """The accumulators of a matrix product (spec, section 5).

    Parameters
    ----------
    a : words of ``unit.a``, (M, K)
    b : words of ``unit.b``, (K, N)
        Any strides; a transposed view costs nothing.

    Returns
    -------
    int64, (M, N)
        In units of 2**(unit.least_exponent + offsets).
    uint8, (M, N)
        `Event.ACC_SATURATE` where an accumulator saturated.

    Raises
    ------
    ValueError, TypeError
        If shapes or dtypes do not fit.
    """
    _check(a, b, unit)
    _check_linear(unit)
    plan = None if isa.current() == "portable" else plan_linear.plan(unit, a.shape[1])
    if plan is None:
        return product_loops.linear(a, b, unit)
    if transposed_is_smaller(a.shape[0], b.shape[1], product_linear.WIDTH):
        turned = replace(unit, a=unit.b, b=unit.a)
        if (turned_plan := plan_linear.plan(turned, a.shape[1])) is not None:
            return _planned(b.T, a.T, turned, turned_plan, transposed=True)
    return _planned(a, b, unit, plan)


def _planned(
    a: Words, b: Words, unit: LinearDot, plan: plan_linear.Plan | Factors, transposed: bool = False
) -> tuple[npt.NDArray[np.int64], Events]:
    if isinstance(plan, Factors):
        return product_factors.product(a, b, unit, plan, transposed)
    return product_linear.product(a, b, unit, plan, transposed)


def dot_log(a: Words, b: Words, unit: LogDot) -> tuple[Words, Events]:
    """The accumulator words of a matrix product (spec, section 7, before the final conversion).

    Parameters
    ----------
    a : words of ``unit.a``, (M, K)
    b : words of ``unit.b``, (K, N)

    Returns
    -------
    words of ``unit.acc``, (M, N)
        Their offset is unit.offset plus the operands'.
    uint8, (M, N)
        `Event.ACC_SATURATE` and `Event.ACC_UNDERFLOW` of all products and sums of an element.

    Raises
    ------
    ValueError, TypeError
        If shapes or dtypes do not fit.
    ValueError
        If the unit is none: too few fraction bits or no sign in the accumulator, or lanes that are no power of two. Or
        if more than 25 bits are needed for a code of a or b at the accumulator's fraction bits, for a code of the
        accumulator, or for ``abs(unit.offset)`` in codes.
    """
    _check_log(unit)
    _check(a, b, unit)
    plan = None if isa.current() == "portable" else product_log.plan(unit)
    if plan is None:
        return product_loops.log(a, b, unit)
    if transposed_is_smaller(a.shape[0], b.shape[1], plan.width):
        turned = replace(unit, a=unit.b, b=unit.a)
        if (turned_plan := product_log.plan(turned)) is not None:
            return product_log.product(b.T, a.T, turned, turned_plan, transposed=True)
    return product_log.product(a, b, unit, plan)
