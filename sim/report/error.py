"""``lns error``: how far each unit of a design is from exact arithmetic on the same operands.

Exact means float64 in the log domain: a result is compared as a number of codes, 2**-F octaves each, and its exact
value is an integer, or a Gaussian logarithm or exponential of one. Each is right to a few units in the 16th digit, less
than 1e-8 codes at 20 fraction bits; a sum of K products is right to (K + 3)·2**-53 of the sum of their magnitudes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lns import kernels
from lns.codec import decode, encode
from lns.design import Design, LogAccumulator, load
from lns.format import Event, LNSFormat, Rounding
from lns.gausslog import table
from lns.kernels.elementwise import Events, Words
from lns.reference import LinearDot
from lns.units import Units
from sim.report import error_plot
from sim.verify.unit import show_word

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

EXHAUSTIVE_BITS = 20  #: up to so many bits of all operands together, all their values are taken
SAMPLES = 1 << 16
LENGTHS = (1, 4, 16, 64, 256, 1024)  #: K of the dot products

#: (spread, distance of the median below the format's largest code) of log2 of random magnitudes, in octaves: what
#: digits leave after 200 steps with madam8. Their offsets put the largest word near the largest code.
SPREADS = {"activation": (1.25, 2.0), "operand": (1.25, 2.0), "error": (3.0, 6.0)}
_UPDATE = 1000  # t of the update that is measured: its bias correction has settled
_CLASSES = 10
_LOGIT_SPREAD = 2.0  # standard deviation of the logits

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


@dataclass(frozen=True, slots=True)
class DotError:
    """Error of dot products of one length.

    ``left_out`` is as in `UnitError`; ``underflowed`` counts sums of which a log accumulator lost a part, compared or
    not. ``accumulator`` and ``word`` are (unit - exact)·sign(exact) over the sum of the products' magnitudes, before
    and after the result becomes a word; ``word_to_sum`` is the RMS error of the words over the RMS of the exact sums
    (the quotient of a single pair has no finite mean, because a sum may cancel), ``median_to_sum`` the median of that
    quotient's magnitude. Sums and errors below the bound of the exact arithmetic count as 0.
    """

    where: str
    what: str
    length: int
    compared: int
    left_out: dict[str, int]
    underflowed: int
    accumulator: Error
    word: Error
    word_to_sum: float
    median_to_sum: float


Where = tuple[str, str, str, bool]  #: the first four fields of a `UnitError`


def measure(design: Design, samples: int = SAMPLES, seed: int = 0) -> tuple[list[UnitError], list[DotError]]:
    """The errors of all units of a design.

    Parameters
    ----------
    design : Design
    samples : int
        Random operands of a unit whose operands have more than `EXHAUSTIVE_BITS` bits, and dot products of each
        length, at least 16.
    seed : int
        Of the random operands; the same ones for the same seed.

    Returns
    -------
    Units in the order of the specification; dot products by pair of formats and length.

    Raises
    ------
    ValueError
        If there are too few samples or the seed is negative.
    """
    if not 16 <= samples <= 1 << 24:
        raise ValueError(f"samples must be between 16 and {1 << 24}, got {samples}")
    if seed < 0:
        raise ValueError(f"a seed must not be negative, got {seed}")
    bench = _Bench(design, samples, seed)
    rows = [*bench.elementwise(), *bench.adders(), *bench.converters()]
    if not isinstance(design.accumulator, LogAccumulator):
        rows += [*bench.antilogs(), *bench.linear_to_logs()]
    return [*rows, bench.update(), *bench.loss()], bench.dots()


def _joined(kinds: Mapping[str, Hashable]) -> dict[Any, str]:
    """Distinct values and the names of those who have each."""
    out: dict[Any, str] = {}
    for name, kind in kinds.items():
        out[kind] = f"{out[kind]}+{name}" if kind in out else name
    return out


def _raw(words: Words, fmt: LNSFormat) -> Ints:
    return (words & fmt.max_code).astype(np.int64) - fmt.bias


def _zero(words: Words, fmt: LNSFormat) -> npt.NDArray[np.bool_]:
    return np.asarray((words & fmt.max_code) == 0)


def _negative(words: Words, fmt: LNSFormat) -> npt.NDArray[np.bool_]:
    return np.asarray((words & fmt.sign_bit) != 0)


def _summary(errors: Floats) -> Error:
    """NaN if there is nothing to summarise."""
    if errors.size == 0:
        return Error(math.nan, math.nan, math.nan)
    worst = errors[int(np.argmax(np.abs(errors)))]
    return Error(float(errors.mean()), float(np.sqrt(np.mean(errors * errors))), float(worst))


def _left_out(zero: npt.NDArray[np.bool_], events: Events) -> tuple[npt.NDArray[np.bool_], dict[str, int]]:
    """(what is compared, how many are not, by the first reason that holds)."""
    kept, counts = ~zero, {"zero": int(zero.sum())}
    for event in _BROKEN:
        out = kept & ((events & event) != 0)
        counts[str(event.name).lower()] = int(out.sum())
        kept &= ~out
    return kept, {name: count for name, count in counts.items() if count}


def _row(
    where: Where,
    zero: npt.NDArray[np.bool_],
    events: Events,
    relative: Floats,
    absolute: Floats,
    absolute_in: str,
    show: Callable[[int], str],
) -> UnitError:
    """1-D arrays of one length; ``show`` gives the operands at an index."""
    kept, left_out = _left_out(zero, events)
    at = np.flatnonzero(kept)
    worst = show(int(at[np.argmax(np.abs(relative[at]))])) if at.size and relative[at].any() else ""
    return UnitError(*where, int(at.size), left_out, _summary(relative[at]), _summary(absolute[at]), absolute_in, worst)


def _word_row(
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
    codes = np.where(zero, 0.0, _raw(words, fmt) - np.where(zero, 0.0, exact))
    with np.errstate(over="ignore"):  # of a saturated result, which is left out
        relative = np.expm1(codes * math.log(2) / (1 << fmt.frac_bits))
    relative = np.where(_negative(words, fmt) == negative, relative, -2.0 - relative)
    relative = np.where(_zero(words, fmt), -1.0, relative)
    return _row(where, zero, events, relative, codes, "codes", show)


def gaussian_log(d: Ints, frac_bits: int, unlike: bool) -> Floats:
    """2**F·log2(1 ± 2**(-d/2**F)) for d >= 0, -inf for the difference at d = 0."""
    x = d * (math.log(2) / (1 << frac_bits))
    with np.errstate(divide="ignore"):
        value = np.log(-np.expm1(-x)) if unlike else np.log1p(np.exp(-x))
    return np.asarray(value * ((1 << frac_bits) / math.log(2)))


def _log2(x: Floats) -> Floats:
    """log2 of magnitudes, -inf of zero."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log2(np.abs(x)))


class _Bench:
    """A design's units and the random operands that they are measured with."""

    def __init__(self, design: Design, samples: int, seed: int) -> None:
        self.design, self.units, self.formats = design, Units(design), design.formats
        self.samples, self.seed = samples, seed
        self.results = {name: getattr(design.formats, name) for name in ("activation", "error", "gradient")}

    def _rng(self, *what: object) -> np.random.Generator:
        """Another stream for each unit: measuring one leaves the operands of the others as they are."""
        return np.random.default_rng([self.seed, *" ".join(map(str, what)).encode()])

    def _words(self, fmt: LNSFormat, *what: object) -> tuple[Words, bool]:
        if fmt.bits <= EXHAUSTIVE_BITS:
            return np.arange(1 << fmt.bits).astype(fmt.dtype), True
        return self._rng(fmt, *what).integers(0, 1 << fmt.bits, self.samples).astype(fmt.dtype), False

    def _pairs(self, fmt: LNSFormat, *what: object) -> tuple[Words, Words, bool]:
        if 2 * fmt.bits <= EXHAUSTIVE_BITS:
            every = np.arange(1 << fmt.bits).astype(fmt.dtype)
            return np.repeat(every, every.size), np.tile(every, every.size), True
        a, b = self._rng(fmt, *what).integers(0, 1 << fmt.bits, (2, self.samples)).astype(fmt.dtype)
        return a, b, False

    # --- one unit each ---------------------------------------------------------------------------------------------

    def elementwise(self) -> list[UnitError]:
        """Multiply, divide, square, square root."""
        rows = []
        for fmt, where in _joined(self.results | {"operand": self.formats.operand}).items():
            rows.append(self._pair_row("mul", where, fmt))
        fmt = self.formats.activation
        rows.append(self._pair_row("div", "activation", fmt))
        words, every = self._words(fmt, "square")
        raw, zero = _raw(words, fmt).astype(np.float64), _zero(words, fmt)
        for unit, factor in (("square", 2.0), ("sqrt", 0.5)):
            out, events = getattr(kernels, unit)(words, fmt)
            exact, plus = np.where(zero, -np.inf, factor * raw), np.zeros(words.shape, np.bool_)
            where4 = (unit, "activation", str(fmt), every)
            rows.append(_word_row(where4, out, events, fmt, plus, exact, _words_text((words, fmt))))
        return rows

    def _pair_row(self, unit: str, where: str, fmt: LNSFormat) -> UnitError:
        a, b, every = self._pairs(fmt, unit)
        out, events = getattr(kernels, unit)(a, b, fmt)
        exact = (_raw(a, fmt) + _raw(b, fmt) * (1 if unit == "mul" else -1)).astype(np.float64)
        exact[_zero(a, fmt) | _zero(b, fmt) & (unit == "mul")] = -np.inf
        negative = _negative(a, fmt) != _negative(b, fmt)
        return _word_row(
            (unit, where, str(fmt), every), out, events, fmt, negative, exact, _words_text((a, fmt), (b, fmt))
        )

    def adders(self) -> list[UnitError]:
        """Log-adds, like and unlike signs apart; a pair with a zero is exact and left out."""
        acc, update, loss = self.design.accumulator, self.design.update, self.design.loss
        adders = {"activation": (self.formats.activation, self.design.adder.table)}
        if isinstance(acc, LogAccumulator):
            adders["accumulator"] = (acc.format, acc.table)
        adders |= {"moment": (update.moment, update.table), "loss": (loss.format, loss.table)}
        rows = []
        for (fmt, kind), where in _joined(adders).items():
            a, b, every = self._pairs(fmt, "add", kind)
            out, events = kernels.add(a, b, fmt, table(kind, fmt.frac_bits))
            raw_a, raw_b, zero = _raw(a, fmt), _raw(b, fmt), _zero(a, fmt) | _zero(b, fmt)
            differ = _negative(a, fmt) != _negative(b, fmt)
            negative = np.where(raw_a >= raw_b, _negative(a, fmt), _negative(b, fmt))
            for unlike in (False, True)[: 1 + fmt.signed]:
                exact = np.maximum(raw_a, raw_b) + gaussian_log(abs(raw_a - raw_b), fmt.frac_bits, unlike)
                exact[zero] = -np.inf
                at = np.flatnonzero(differ == unlike)
                name = ("add, unlike signs" if unlike else "add, like signs", where, f"{fmt} {kind}", every)
                show = _words_text((a[at], fmt), (b[at], fmt))
                rows.append(_word_row(name, out[at], events[at], fmt, negative[at], exact[at], show))
        return rows

    def converters(self) -> list[UnitError]:
        """Conversions to a format with fewer fraction bits, or other ones, at equal offsets."""
        acc, rounding = self.design.accumulator, self.design.conversion.rounding
        pairs = {"operand": (self.formats.weight, self.formats.operand)}
        if isinstance(acc, LogAccumulator):
            pairs |= {name: (acc.format, fmt) for name, fmt in self.results.items()}
        rows = []
        for (source, fmt), where in _joined({name: pair for name, pair in pairs.items() if len(set(pair)) > 1}).items():
            words, every = self._words(source, "convert")
            out, events = kernels.convert(words, source, fmt, 0, 0, rounding)
            exact = np.ldexp(_raw(words, source).astype(np.float64), fmt.frac_bits - source.frac_bits)
            exact[_zero(words, source)] = -np.inf
            name = ("convert", where, f"{source} to {fmt} {rounding.value}", every)
            rows.append(
                _word_row(name, out, events, fmt, _negative(words, source), exact, _words_text((words, source)))
            )
        return rows

    def antilogs(self) -> list[UnitError]:
        """Terms of linear dot products, of which those that are truncated to nothing are left out as underflows; and
        the ROMs that they come from."""
        rows = []
        for (a_fmt, b_fmt, _), where in _joined(self.products()).items():
            unit = self.units.dot(a_fmt, b_fmt)
            assert isinstance(unit, LinearDot)
            rows.append(self._antilog_rom(where, unit))
            every = a_fmt.code_bits + b_fmt.code_bits <= EXHAUSTIVE_BITS  # signs only negate
            sides = []
            for name, fmt in (("a", a_fmt), ("b", b_fmt)):
                codes = np.arange(1, fmt.max_code + 1)
                if not every:
                    codes = self._rng("antilog", name, fmt).choice(codes, math.isqrt(self.samples))
                sides.append(codes.astype(fmt.dtype))
            terms, _ = kernels.dot_linear(sides[0][:, None], sides[1][None, :], unit)
            raw_a, raw_b = _raw(sides[0], a_fmt)[:, None], _raw(sides[1], b_fmt)[None, :]
            f = unit.frac_bits
            p = (raw_a << (f - a_fmt.frac_bits)) + (raw_b << (f - b_fmt.frac_bits))
            exact = np.exp2((p - (unit.least_exponent << f)) / (1 << f)).reshape(-1)
            got = terms.reshape(-1).astype(np.float64)
            events = np.where(got == 0, int(Event.UNDERFLOW), 0).astype(np.uint8)
            a, b = (np.ascontiguousarray(x).reshape(-1) for x in np.broadcast_arrays(sides[0][:, None], sides[1]))
            with np.errstate(divide="ignore", invalid="ignore"):
                relative = np.where(got > 0, (got - exact) / exact, -1.0)
            what = f"{a_fmt} × {b_fmt}, ROM of {unit.rom_bits} bits, guard {unit.guard}"
            rows.append(
                _row(
                    ("antilog term", where, what, every), np.zeros(got.shape, np.bool_), events, relative,
                    got - exact, "least bits",
                    _words_text((a, a_fmt), (b, b_fmt)),
                )
            )  # fmt: skip
        return rows

    def _antilog_rom(self, where: str, unit: LinearDot) -> UnitError:
        got = np.asarray(unit.rom, np.float64)
        exact = np.exp2(unit.rom_bits - 1 + np.arange(got.size) / got.size)
        none = np.zeros(got.shape, np.uint8)
        what = f"{got.size} entries of {unit.rom_bits} bits"
        relative, absolute = (got - exact) / exact, got - exact
        return _row(
            ("antilog ROM", where, what, True), none > 0, none, relative, absolute, "least bits", lambda i: f"entry {i}"
        )

    def linear_to_logs(self) -> list[UnitError]:
        """Accumulators to words; random ones have every position of the leading one alike."""
        acc = self.design.accumulator
        assert not isinstance(acc, LogAccumulator)
        every = acc.bits <= EXHAUSTIVE_BITS
        if every:
            values = np.arange(-(1 << (acc.bits - 1)), 1 << (acc.bits - 1))
        else:
            rng = self._rng("linear to log", acc.bits)
            octave = rng.integers(0, acc.bits - 1, self.samples)
            magnitude = (1 << octave) + np.floor(np.ldexp(rng.random(self.samples), octave)).astype(np.int64)
            values = np.where(rng.random(self.samples) < 0.5, -magnitude, magnitude)
        rows = []
        for fmt, where in _joined(self.results).items():
            rom, index_bits = self.units.to_log_rom(fmt), self.units.index_bits(fmt)
            exponent = -(acc.bits // 2)  # the middle of the accumulator is the middle of the format
            words, events = kernels.linear_to_log(values, exponent, rom, index_bits, fmt)
            mantissa, octaves = np.frexp(values.astype(np.float64))
            exact = np.ldexp(_log2(mantissa), fmt.frac_bits) + np.ldexp(octaves + float(exponent), fmt.frac_bits)
            name = ("linear to log", where, f"{acc.bits} bits to {fmt}, index of {index_bits} bits", every)
            rows.append(_word_row(name, words, events, fmt, values < 0, exact, lambda i: f"accumulator {values[i]}"))
        return rows

    def update(self) -> UnitError:
        """Steps of weights in codes against Madam's in real numbers, at the design's learning rate.

        log2|g| is normal with a standard deviation of two octaves around the middle of its format, log2 of the moment
        with one octave around twice that middle.
        """
        unit, update = self.units.update, self.design.update
        g_fmt, v_fmt, w_fmt = unit.gradient, unit.moment, unit.weight
        rng = self._rng("update")
        w = (rng.integers(1, w_fmt.max_code + 1, self.samples) | self._signs(rng, w_fmt)).astype(w_fmt.dtype)
        g_code = np.rint(rng.normal(0.0, 2.0, self.samples) * (1 << g_fmt.frac_bits)) + g_fmt.bias
        g = (np.clip(g_code, 1, g_fmt.max_code).astype(np.int64) | self._signs(rng, g_fmt)).astype(g_fmt.dtype)
        v_code = np.rint((rng.normal(0.0, 1.0, self.samples) - update.moment_offset) * (1 << v_fmt.frac_bits))
        v = np.clip(v_code + v_fmt.bias, 1, v_fmt.max_code).astype(v_fmt.dtype)
        constants = self.units.update_constants(_UPDATE, 0, 0)
        lanes = kernels.lfsr_seeds(self.seed, update.lanes)
        random = kernels.draws(lanes, w.size, unit.step_frac_bits) if unit.rounding is Rounding.STOCHASTIC else None
        new_w, new_v = w.copy(), v.copy()
        w_events, v_events = kernels.update(new_w, g, new_v, unit, constants, random)
        moved = _raw(new_w, w_fmt) - _raw(w, w_fmt)
        step = np.where(_negative(g, g_fmt) == _negative(w, w_fmt), -moved, moved).astype(np.float64)
        # Madam with logarithms of magnitudes: v' = beta·v + (1 - beta)·g², n = |g|/sqrt(v'/(1 - beta**t))
        decay = -update.kappa / (1 << v_fmt.frac_bits)
        log_g = _raw(g, g_fmt) / (1 << g_fmt.frac_bits)
        log_v = _raw(v, v_fmt) / (1 << v_fmt.frac_bits) + update.moment_offset
        log_v = np.logaddexp2(log_v + decay, 2 * log_g + math.log2(-math.expm1(decay * math.log(2))))
        log_n = log_g - (log_v - math.log2(-math.expm1(_UPDATE * decay * math.log(2)))) / 2
        scale = math.log2(update.lr / math.log(2)) + w_fmt.frac_bits
        exact = np.exp2(np.minimum(log_n, math.log2(update.clip)) + scale)
        what = f"weight {w_fmt}, moment {v_fmt} {update.table}, {update.rounding.value} rounding"
        return _row(
            ("update step", "weight", what, False), np.zeros(w.shape, np.bool_), w_events | v_events,
            (step - exact) / exact, step - exact, "codes",
            _words_text((w, w_fmt), (g, g_fmt), (v, v_fmt)),
        )  # fmt: skip

    def _signs(self, rng: np.random.Generator, fmt: LNSFormat) -> Ints:
        return np.where(rng.random(self.samples) < 0.5, fmt.sign_bit, 0).astype(np.int64)

    def loss(self) -> list[UnitError]:
        """Error words against softmax of the logits' words: 10 classes, normal logits, the target apart from the
        others."""
        unit = self.units.loss
        z_fmt, fmt = unit.logit, unit.error
        rng = self._rng("loss")
        real = rng.normal(0.0, _LOGIT_SPREAD, (-(-self.samples // _CLASSES), _CLASSES))
        offset, error_offset = _holding(real, z_fmt), -fmt.one_offset_limit
        logits = encode(real, z_fmt, offset=offset)
        targets = rng.integers(0, _CLASSES, len(real))
        words, events, _ = kernels.loss(logits, targets, offset, error_offset, unit)
        power = np.exp(decode(logits, z_fmt, offset=offset))
        mine = np.arange(_CLASSES) == targets[:, None]
        # 1 - p of the target is the sum of the others': nothing cancels
        share = np.where(mine, (power * ~mine).sum(axis=1, keepdims=True), power) / power.sum(axis=1, keepdims=True)
        exact = np.ldexp(np.log2(share) - error_offset, fmt.frac_bits)
        rows = []
        for name, chosen in (("loss, target's error", mine), ("loss, other errors", ~mine)):
            sample, column = np.nonzero(chosen)

            def show(i: int, sample: Ints = sample, column: Ints = column) -> str:
                row = " ".join(f"{word:0{-(-z_fmt.bits // 4)}x}" for word in logits[sample[i]].tolist())
                return f"logits {row} at offset {offset}, target {targets[sample[i]]}, class {column[i]}"

            where4 = (name, "error", f"{z_fmt} to {fmt}, {unit.loss} {self.design.loss.table}", False)
            rows.append(_word_row(where4, words[chosen], events[chosen], fmt, mine[chosen], exact[chosen], show))
        return rows

    # --- dot products ----------------------------------------------------------------------------------------------

    def products(self) -> dict[str, tuple[LNSFormat, LNSFormat, LNSFormat]]:
        """Formats of a, b and the result of each kind of product."""
        f = self.formats
        return {
            "forward": (f.activation, f.operand, f.activation),
            "backward": (f.error, f.operand, f.error),
            "gradient": (f.error, f.activation, f.gradient),
        }

    def dots(self) -> list[DotError]:
        """Dot products of every length; a shorter one has the first terms of a longer one's."""
        kinds = {
            name: (pair, SPREADS[a], SPREADS[b])
            for (name, pair), (a, b) in zip(
                self.products().items(),
                (("activation", "operand"), ("error", "operand"), ("error", "activation")),
                strict=True,
            )
        }
        side = math.isqrt(self.samples)
        rows = []
        for ((a_fmt, b_fmt, fmt), a_spread, b_spread), where in _joined(kinds).items():
            a = self._operands(a_fmt, a_spread, (side, LENGTHS[-1]), "a", where)
            b = self._operands(b_fmt, b_spread, (side, LENGTHS[-1]), "b", where)
            rows += [self._dot(where, a[:, :k], b[:, :k].T, a_fmt, b_fmt, fmt) for k in LENGTHS]
        return rows

    def _operands(self, fmt: LNSFormat, spread: tuple[float, float], shape: tuple[int, int], *what: object) -> Words:
        """Log-normal magnitudes near the top of a format, cut off there and made zero below it; random signs."""
        rng = self._rng("dot", fmt, *what)
        deviation, below = spread
        codes = fmt.max_code + np.rint(rng.normal(-below, deviation, shape) * (1 << fmt.frac_bits)).astype(np.int64)
        codes = np.where(codes < 1, 0, np.minimum(codes, fmt.max_code))
        signs = np.where((rng.random(shape) < 0.5) & (codes > 0), fmt.sign_bit, 0)
        return (codes | signs).astype(fmt.dtype)

    def _dot(self, where: str, a: Words, b: Words, a_fmt: LNSFormat, b_fmt: LNSFormat, fmt: LNSFormat) -> DotError:
        """Real numbers are taken at offsets that bring the formats' largest words near 1."""
        unit = self.units.dot(a_fmt, b_fmt)
        tops = [1 << (f.code_bits - 1 - f.frac_bits) for f in (a_fmt, b_fmt)]
        real_a, real_b = (decode(x, f, offset=-top) for x, f, top in zip((a, b), (a_fmt, b_fmt), tops, strict=True))
        exact, size = real_a @ real_b, np.abs(real_a) @ np.abs(real_b)
        bound = (a.shape[1] + 3) * 2.0**-53 * size
        exact[np.abs(exact) <= bound] = 0.0  # the terms cancel
        offset = _holding(exact, fmt)
        if isinstance(unit, LinearDot):
            sums, inner = kernels.dot_linear(a, b, unit)
            weight = unit.least_exponent - sum(tops)
            got = np.ldexp(sums.astype(np.float64), weight)
            rom, index_bits = self.units.to_log_rom(fmt), self.units.index_bits(fmt)
            words, events = kernels.linear_to_log(sums, weight, rom, index_bits, fmt, offset)
            kind = f"linear accumulator of {unit.bits} bits, guard {unit.guard}, antilog ROM of {unit.rom_bits} bits"
        else:
            sums, inner = kernels.dot_log(a, b, unit)
            weight = unit.offset - sum(tops)
            got = decode(sums, unit.acc, offset=weight)
            words, events = kernels.convert(sums, unit.acc, fmt, weight, offset, self.design.conversion.rounding)
            kind = f"log accumulator {unit.acc} {unit.table.kind}"
        kept, left_out = _left_out((exact == 0).reshape(-1), (events | inner).reshape(-1))
        # a term too small for the accumulator is an error that is measured, no reason to leave the sum out
        underflowed = int(np.count_nonzero(inner & Event.ACC_UNDERFLOW))
        exact, size, got, bound = (x.reshape(-1)[kept] for x in (exact, size, got, bound))
        inner_error, error = got - exact, decode(words, fmt, offset=offset).reshape(-1)[kept] - exact
        for some in (inner_error, error):
            some[np.abs(some) <= bound] = 0.0
        ratios = (math.nan, math.nan)
        if exact.size:
            ratios = (
                float(np.sqrt(np.mean(error**2) / np.mean(exact**2))),
                float(np.median(np.abs(error / exact))),
            )
        return DotError(
            where, f"{a_fmt} × {b_fmt} to {fmt}, {kind}", a.shape[1], int(kept.sum()), left_out, underflowed,
            _summary(inner_error * np.sign(exact) / size), _summary(error * np.sign(exact) / size), *ratios,
        )  # fmt: skip


def _holding(real: Floats, fmt: LNSFormat) -> int:
    """The smallest offset at which the largest magnitude does not saturate a format; 0 where all is zero."""
    largest = float(np.abs(real).max())
    return math.ceil(math.log2(largest) - (fmt.max_raw + 0.5) / (1 << fmt.frac_bits)) if largest else 0


def _words_text(*operands: tuple[Words, LNSFormat]) -> Callable[[int], str]:
    """The operands of the unit's result number i, in the order of its arguments."""
    return lambda i: ", ".join(show_word(int(words[i]), fmt) for words, fmt in operands)


# --- as text ---------------------------------------------------------------------------------------------------------

_UNIT_ROW = "{:<21} {:<8} {:>9} {:>9} | {:>9} {:>9} {:>9} | {:>9} {:>9} {:>9}"
_DOT_ROW = "{:>5} {:>9} {:>9} | {:>9} {:>9} {:>9} | {:>9} {:>9} {:>9} | {:>9} {:>9}  {}"


def _number(value: float) -> str:
    return "0" if value == 0 else "-" if math.isnan(value) else f"{value:+.2e}"


def _triple(error: Error) -> tuple[str, str, str]:
    return _number(error.bias), _number(error.rms).lstrip("+"), _number(error.worst)


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def text(design: Design, units: list[UnitError], dots: list[DotError]) -> str:
    """`measure` as lines for a terminal."""
    lines = [
        f"{design.name}: error of each unit against exact arithmetic on the same operands",
        "",
        _UNIT_ROW.format(*4 * ("",), "relative", "", "", "in codes", "", ""),
        _UNIT_ROW.format("unit", "operands", "compared", "left out", *2 * ("bias", "RMS", "worst")),
    ]
    for row in units:
        operands, out = "all" if row.exhaustive else "random", sum(row.left_out.values())
        errors = (*_triple(row.relative), *_triple(row.absolute))
        unit = "" if row.absolute_in == "codes" else f"  {row.absolute_in}"
        lines.append(_UNIT_ROW.format(row.unit, operands, row.compared, out, *errors) + unit)
        lines.append(f"  {row.where}: {row.what}" + (f"; left out: {_reasons(row.left_out)}" if row.left_out else ""))
        if row.worst_at:
            lines.append(f"  worst at {row.worst_at}")
    lines += ["", "Dot products of random operands, log2 of whose magnitudes is normal"]
    for name, (deviation, below) in SPREADS.items():
        octaves = f"standard deviation {deviation:g} octaves, median {below:g} octaves below the largest word"
        lines.append(f"  {name + 's':<12} {octaves}")
    titles = _DOT_ROW.format(
        *3 * ("",), "error of", "the accu-", "mulator", "error of", "the word", "", "word to", "sum", ""
    )
    header = _DOT_ROW.format("K", "compared", "left out", *2 * ("bias", "RMS", "worst"), "RMS/RMS", "median", "")
    before = ""
    for dot in dots:
        if dot.what + dot.where != before:
            before = dot.what + dot.where
            lines += ["", f"{dot.where}: {dot.what}; errors over the sum of |a·b|", titles.rstrip(), header.rstrip()]
        counts = dot.length, dot.compared, sum(dot.left_out.values())
        ratios = (_number(value).lstrip("+") for value in (dot.word_to_sum, dot.median_to_sum))
        why = [_reasons(dot.left_out)] if dot.left_out else []
        why += [f"compared with acc_underflow: {dot.underflowed}"] if dot.underflowed else []
        errors = (*_triple(dot.accumulator), *_triple(dot.word))
        lines.append(_DOT_ROW.format(*counts, *errors, *ratios, "; ".join(why)).rstrip())
    return "\n".join(lines)


def _plain(row: UnitError | DotError) -> dict[str, Any]:
    """A row for JSON, which has no NaN: null where nothing was compared."""
    return dataclasses.asdict(
        row, dict_factory=lambda pairs: {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in pairs}
    )


# --- the command -----------------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``lns error``."""
    parser.add_argument("design", help="a preset or a design file (.toml)")
    parser.add_argument("--out", type=Path, metavar="PNG", help="plot the error of dot products against their length")
    parser.add_argument("--samples", type=int, default=SAMPLES, help=f"random operands of a unit (default {SAMPLES})")
    parser.add_argument("--seed", type=int, default=0, help="of the random operands")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Run ``lns error``."""
    design = load(args.design)
    units, dots = measure(design, args.samples, args.seed)
    if args.out is not None:
        error_plot.plot(dots, args.out, f"{design.name}: error of dot products")
    if args.json:
        rows = {"units": [_plain(row) for row in units], "dots": [_plain(row) for row in dots]}
        print(json.dumps({"design": design.name} | rows, indent=2, allow_nan=False))
    else:
        print(text(design, units, dots))
    return 0
