"""Dot products of words through the accumulator that an `Arithmetic` names."""

from __future__ import annotations

import numpy as np

from lns import kernels
from lns.array.arithmetic import Arithmetic
from lns.design import LinearAccumulator
from lns.format import Event, LNSFormat
from lns.gausslog import log_rom
from lns.kernels.dot import LOG_CODE_BITS
from lns.kernels.elementwise import Events, Words
from lns.reference import LogDot
from lns.units import dot_unit

ONE = LNSFormat(2, 0)  #: its only magnitude is 1.0: the second operand of a sum
ONE_WORD = ONE.bias

_LINEAR_FRAC_BITS = 20  # the antilog ROM has 2**F entries; designs have the same limit


def dot(
    a: Words,
    b: Words,
    formats: tuple[LNSFormat, LNSFormat],
    offsets: int,
    fmt: LNSFormat,
    offset: int,
    arithmetic: Arithmetic,
) -> tuple[Words, Events]:
    """(M, K) times (K, N) to words of fmt at ``offset``; ``offsets`` is the sum of the operands'.

    Raises
    ------
    ValueError
        If the accumulator cannot take the formats.
    """
    accumulator = arithmetic.accumulator
    if accumulator is None:
        return _dot_own(a, b, formats, offsets, fmt, offset, arithmetic)
    if isinstance(accumulator, LinearAccumulator):
        return _dot_linear(a, b, formats, offsets, fmt, offset, accumulator)
    acc = accumulator.format
    sums, inner = kernels.dot_log(a, b, dot_unit(accumulator, *formats))
    words, events = kernels.convert(sums, acc, fmt, offsets + accumulator.offset, offset, arithmetic.rounding)
    return words, events | inner


def _dot_linear(
    a: Words,
    b: Words,
    formats: tuple[LNSFormat, LNSFormat],
    offsets: int,
    fmt: LNSFormat,
    offset: int,
    accumulator: LinearAccumulator,
) -> tuple[Words, Events]:
    if max(f.frac_bits for f in (*formats, fmt)) > _LINEAR_FRAC_BITS:
        raise ValueError(
            f"a linear accumulator takes and gives at most {_LINEAR_FRAC_BITS} fraction bits, "
            f"got {formats[0]} and {formats[1]} to {fmt}"
        )
    unit = dot_unit(accumulator, *formats)
    sums, inner = kernels.dot_linear(a, b, unit)
    index_bits = fmt.frac_bits + accumulator.index_extra_bits
    words, events = kernels.linear_to_log(
        sums, unit.least_exponent + offsets, log_rom(fmt.frac_bits, index_bits), index_bits, fmt, offset
    )
    return words, events | inner


def _dot_own(
    a: Words,
    b: Words,
    formats: tuple[LNSFormat, LNSFormat],
    offsets: int,
    fmt: LNSFormat,
    offset: int,
    arithmetic: Arithmetic,
) -> tuple[Words, Events]:
    """A multiplier and a log-adder in the format of both operands; a first operand of ones has none of its own."""
    first, second = formats
    own = second if first == ONE else first
    adder = arithmetic.adder(own)
    if own.code_bits <= LOG_CODE_BITS:
        acc = LNSFormat(own.code_bits + 1, own.frac_bits)  # accumulators are signed
        sums, inner = kernels.dot_log(a, b, LogDot(first, second, acc, 0, adder, 1))
    else:
        acc = own
        a, b = (kernels.convert(words, source, own)[0] for words, source in ((a, first), (b, second)))
        sums, inner = np.zeros((a.shape[0], b.shape[1]), own.dtype), np.zeros((a.shape[0], b.shape[1]), np.uint8)
        for k in range(b.shape[0]):
            products, events = kernels.mul(a[:, k, None], b[k], own)
            sums, added = kernels.add(sums, products, own, adder)
            inner |= _accumulator_events(events | added)
    words, events = kernels.convert(sums, acc, fmt, offsets, offset, arithmetic.rounding)
    return words, events | inner


def _accumulator_events(events: Events) -> Events:
    """What saturate and underflow are called inside an accumulator."""
    saturated = np.where(events & int(Event.SATURATE), int(Event.ACC_SATURATE), 0)
    return (saturated | np.where(events & int(Event.UNDERFLOW), int(Event.ACC_UNDERFLOW), 0)).astype(np.uint8)
