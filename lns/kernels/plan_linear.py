"""How a linear product is laid out for its vector kernel (`product_linear`), and with which table.

Shares know codes only from their operand's largest code down: a word so small that it vanishes even beside the other
operand's largest is a zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lns.format import LNSFormat
from lns.kernels import isa
from lns.kernels.packing import Share
from lns.kernels.plan_factors import Factors, factors
from lns.reference import LinearDot

Array = npt.NDArray[Any]

FEW, MANY = 6, 10  #: fraction bits of a table of 64 terms, and of 64 lines
_ZERO_OCTAVES = 46  # a zero's exponent below its least nonzero share: two stay above 0, one beside any code is below 1


@dataclass(frozen=True, slots=True)
class Plan:
    """How products of one unit are computed: by "bytes", "words" or "floats".

    ``table`` is (low bytes, high bytes), or 64 terms or the lines in their place (three rows), or the significands. It
    is ``direct`` if it holds no lines, or if it is one of significands in a register.
    """

    a: Share
    b: Share
    table: Array
    way: str
    direct: bool
    largest: int


def _span(unit: LinearDot) -> int:
    """Codes from the least product whose term is not zero, of the accumulator's least bit, to the largest product."""
    least = max(unit.least_exponent << unit.frac_bits, unit.product_code(unit.a.min_raw, unit.b.min_raw))
    return unit.product_code(unit.a.max_raw, unit.b.max_raw) - least


def _bytes_plan(unit: LinearDot, span: int) -> Plan:
    """index = (code of b counted from its least one, from 1) - (code of a counted down from its largest one).

    The exclusive or of two marks of signs is the product's sign as a byte, 1 or -1.
    """
    f, largest = unit.frac_bits, unit.product_code(unit.a.max_raw, unit.b.max_raw)
    terms = np.array([unit.magnitude(p) for p in range(largest - span, largest + 1)])
    shares = []
    for fmt, sign, zero, marks in ((unit.a, -1, 255, (0xFE, 0)), (unit.b, 1, 0, (0xFF, 1))):
        scale = 1 << (f - fmt.frac_bits)
        top = fmt.max_code * scale
        start = top if sign < 0 else span - top + 1
        shares.append(Share(fmt, sign * scale, start, max(1, -((span - top) // scale)), zero, *marks))
    table = np.zeros((2, 128), np.uint8)
    table[0, 1 : span + 2], table[1, 1 : span + 2] = terms & 255, terms >> 8
    return Plan(shares[0], shares[1], table, "bytes", True, int(terms[-1]))


def _lines(terms: Array, down: int) -> Array | None:
    """Falling terms of the largest octave, (64, n) for n = 2 … 16, as 64 lines: (first values, falls, bits), or None.

    The term x sixteenths behind the beginning of a line is floor((first - floor(fall·x / 16)) / 2**down) plus its bit.
    """
    x, entries, one = np.arange(0, 16, 16 // terms.shape[1]), terms << down, 1 << down
    falls = (entries[:, :1] - entries[:, -1:]) * 16 // x[-1] + np.arange(-2 * one, 2 * one + 1)
    falls = np.maximum(falls, 0)
    # the first value must leave each entry either as it is or one too small
    begins = entries[:, None, :] + (falls[..., None] * x >> 4)
    least, most = begins.max(axis=2) - one, begins.min(axis=2) + one - 1
    best = (most - least).argmax(axis=1)[:, None]
    first, fall = (np.take_along_axis(values, best, axis=1) for values in ((least + most + 1) >> 1, falls))
    found = first - (fall * x >> 4)
    missing = terms - (found >> down)
    if found.min() < 0 or first.max() > 0xFFFF or missing.min() < 0 or missing.max() > 1:
        return None
    bits = (missing << (x + down) % 16).sum(axis=1)  # turned right by x, the bit counts a term's unit
    return np.stack([first[:, 0], fall[:, 0], bits])


def _words_plan(unit: LinearDot, most: int) -> Plan | None:
    """index = codes counted down from the largest octave's end, in units of 2**-6 or 2**-10 octaves; whole octaves are
    what a term of the largest octave is shifted down by. None if lines do not give the ROM's terms.

    Terms of lower octaves are the leading bits of those, since all are truncated.
    """
    f, down = unit.frac_bits, 15 - unit.guard
    bits = FEW if f <= FEW else MANY
    end, octave = (unit.largest_octave + 1) << f, 1 << (bits - f)
    terms = np.array([unit.magnitude(end - 1 - i) for i in range(1 << f)])
    if bits == FEW:
        table = np.zeros((3, 64), np.int64)
        table[0] = np.repeat(terms << down, octave)
    elif (lines := _lines(terms.reshape(64, -1), down)) is not None:
        table = lines
    else:
        return None
    first = (down << bits) + octave * (end - 1 - unit.product_code(unit.a.max_raw, unit.b.max_raw))
    shares = []
    for fmt, start, marks in ((unit.a, 0, (0xFFFE, 0)), (unit.b, first, (0xFFFF, 1))):
        scale = 1 << (bits - fmt.frac_bits)
        start += fmt.max_code * scale
        shares.append(Share(fmt, -scale, start, max(1, -((0xFFFF - start) // scale)), 0xFFFF, *marks))
    return Plan(shares[0], shares[1], table.astype(np.uint16), "words", bits == FEW, most)


def _floats_plan(unit: LinearDot, span: int, most: int) -> Plan:
    """index = product code, its octaves counted as a float32's exponent; the sign stands just above the exponent."""
    f = unit.frac_bits
    largest = unit.product_code(unit.a.max_raw, unit.b.max_raw) + ((127 - unit.least_exponent) << f)
    # the sum of the least nonzero shares: at least 127 + guard - 2·(guard + 1) octaves, and two zeros 91 below that
    least = largest - 2 * span
    shares = []
    for fmt, share, below in ((unit.a, 0, _ZERO_OCTAVES), (unit.b, least, _ZERO_OCTAVES - 1)):
        scale = 1 << (f - fmt.frac_bits)
        top = fmt.max_code * scale
        zero = share - (below << f)
        shares.append(Share(fmt, scale, share + span - top, max(1, -((span - top) // scale)), zero, 1 << (8 + f), 0))
    significands = (np.asarray(unit.rom) << (24 - unit.rom_bits)) - (1 << 23)
    places = np.arange(1 << f) << (23 - f)
    entries = significands - places  # on top of the fraction bits that are in the lane already
    direct = f <= (4 if isa.VECTOR == "avx512" else 3)
    table = np.resize(entries, 16) if direct else entries
    return Plan(shares[0], shares[1], table.astype(np.int32), "floats", direct, most)


@lru_cache(maxsize=64)
def _plan(
    a: LNSFormat, b: LNSFormat, rom: bytes, rom_bits: int, guard: int, lanes: int, short: bool
) -> Plan | Factors | None:
    unit = LinearDot(a, b, np.frombuffer(rom, np.int64), rom_bits, guard, 62, lanes)
    if rom_bits > 24 or guard > 29 or unit.frac_bits > 20 or max(a.code_bits, b.code_bits) > 31:
        return None
    span, most = _span(unit), unit.magnitude(unit.product_code(a.max_raw, b.max_raw))
    if lanes * most >= 1 << 31:
        return None
    if isa.VECTOR == "avx2" and (found := factors(unit, most)) is not None:
        return found
    if isa.VECTOR == "avx512" and short and span < 127 and most < 1 << 16:
        return _bytes_plan(unit, span)
    words = isa.VECTOR == "avx512" and guard <= 14 and unit.frac_bits <= MANY and (short or lanes % 2 == 0)
    return (_words_plan(unit, most) if words else None) or _floats_plan(unit, span, most)


def plan(unit: LinearDot, k: int) -> Plan | Factors | None:
    """The plan for a product of length k, or None where only plain loops fit: T > 24, guard > 29, F > 20, A > 62,
    codes of 32 bits, or the terms of one cycle beyond 32 bits."""
    if unit.bits > 62:
        return None
    rom = np.ascontiguousarray(unit.rom, np.int64).tobytes()
    short = k <= min(unit.safe_length, (1 << 15) - 1)  # sums of 16-bit terms that need no accumulator between
    return _plan(unit.a, unit.b, rom, unit.rom_bits, unit.guard, unit.lanes, short)
