"""The rows of ``lns error``: errors of results, summed up."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lns.format import Event, LNSFormat
from lns.kernels.elementwise import Events, Words
from sim.verify.unit import show_word

__all__ = [
    "SPREADS", "Error", "Floats", "Ints", "UnitError", "Where", "gaussian_log", "is_negative", "is_zero", "leave_out",
    "raw_codes", "summarise", "unit_row", "word_row", "words_text",
]  # fmt: skip

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: (spread, distance of the median below the format's largest code) of log2 of random magnitudes, in octaves: what
#: digits leave after 200 steps with madam8. Their offsets put the largest word near the largest code.
SPREADS = {"activation": (1.25, 2.0), "operand": (1.25, 2.0), "error": (3.0, 6.0)}

_BROKEN = Event.SATURATE | Event.UNDERFLOW | Event.DIVIDE_BY_ZERO | Event.INVALID | Event.ACC_SATURATE


@dataclass(frozen=True, slots=True)
class Error:
    """Mean, root mean square and worst of an error, with its sign."""

    bias: float
    rms: float
    worst: float


@dataclass(frozen=True, slots=True)
class UnitError:
    """What is known of the error of one unit.

    Attributes
    ----------
    unit, where, what : str
        The unit; where the design has it; its formats and table.
    exhaustive : bool
        Whether all values of all operands were taken.
    compared : int
        Results that the figures are over.
    left_out : dict
        Results that are not compared, by reason: ``zero`` where the exact one is zero, else the event.
    relative : Error
        Of (unit - exact)/exact; a positive one is a magnitude that is too large.
    absolute : Error
        The same error in what ``absolute_in`` says.
    worst_at : str
        The operands of the worst relative error.
    """

    unit: str
    where: str
    what: str
    exhaustive: bool
    compared: int
    left_out: dict[str, int]
    relative: Error
    absolute: Error
    absolute_in: str
    worst_at: str


Where = tuple[str, str, str, bool]  #: the first four fields of a `UnitError`


def raw_codes(words: Words, fmt: LNSFormat) -> Ints:
    return (words & fmt.max_code).astype(np.int64) - fmt.bias


def is_zero(words: Words, fmt: LNSFormat) -> npt.NDArray[np.bool_]:
    return np.asarray((words & fmt.max_code) == 0)


def is_negative(words: Words, fmt: LNSFormat) -> npt.NDArray[np.bool_]:
    return np.asarray((words & fmt.sign_bit) != 0)


def summarise(errors: Floats) -> Error:
    """NaN if there is nothing to summarise."""
    if errors.size == 0:
        return Error(math.nan, math.nan, math.nan)
    worst = errors[int(np.argmax(np.abs(errors)))]
    return Error(float(errors.mean()), float(np.sqrt(np.mean(errors * errors))), float(worst))


def leave_out(zero: npt.NDArray[np.bool_], events: Events) -> tuple[npt.NDArray[np.bool_], dict[str, int]]:
    """(what is compared, how many are not, by the first reason that holds)."""
    kept, counts = ~zero, {"zero": int(zero.sum())}
    for event in _BROKEN:
        out = kept & ((events & event) != 0)
        counts[str(event.name).lower()] = int(out.sum())
        kept &= ~out
    return kept, {name: count for name, count in counts.items() if count}


def unit_row(
    where: Where,
    zero: npt.NDArray[np.bool_],
    events: Events,
    relative: Floats,
    absolute: Floats,
    absolute_in: str,
    show: Callable[[int], str],
) -> UnitError:
    """1-D arrays of one length; ``show`` gives the operands at an index."""
    kept, left_out = leave_out(zero, events)
    at = np.flatnonzero(kept)
    worst = show(int(at[np.argmax(np.abs(relative[at]))])) if at.size and relative[at].any() else ""
    errors = summarise(relative[at]), summarise(absolute[at])
    return UnitError(*where, int(at.size), left_out, *errors, absolute_in, worst)


def word_row(
    where: Where,
    words: Words,
    events: Events,
    fmt: LNSFormat,
    negative: npt.NDArray[np.bool_],
    exact: Floats,
    show: Callable[[int], str],
) -> UnitError:
    """A row for emitted words; ``exact`` is the exact result's raw code, -inf where that result is zero."""
    zero = np.isneginf(exact)
    codes = np.where(zero, 0.0, raw_codes(words, fmt) - np.where(zero, 0.0, exact))
    with np.errstate(over="ignore"):  # of a saturated result, which is left out
        relative = np.expm1(codes * math.log(2) / (1 << fmt.frac_bits))
    relative = np.where(is_negative(words, fmt) == negative, relative, -2.0 - relative)
    relative = np.where(is_zero(words, fmt), -1.0, relative)
    return unit_row(where, zero, events, relative, codes, "codes", show)


def gaussian_log(d: Ints, frac_bits: int, unlike: bool) -> Floats:
    """2**F·log2(1 ± 2**(-d/2**F)) for d >= 0, -inf for the difference at d = 0."""
    x = d * (math.log(2) / (1 << frac_bits))
    with np.errstate(divide="ignore"):
        value = np.log(-np.expm1(-x)) if unlike else np.log1p(np.exp(-x))
    return np.asarray(value * ((1 << frac_bits) / math.log(2)))


def words_text(*operands: tuple[Words, LNSFormat]) -> Callable[[int], str]:
    """The operands of the unit's result number i, in the order of its arguments."""
    return lambda i: ", ".join(show_word(int(words[i]), fmt) for words, fmt in operands)
