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
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lns import kernels
from lns.codec import decode, encode
from lns.design import Design, LogAccumulator, load
from lns.format import Event, LNSFormat, Rounding
from lns.gausslog import table
from lns.kernels.elementwise import Words
from lns.reference import LinearDot
from lns.units import Units
from sim.report import error_plot
from sim.report.error_rows import (
    SPREADS,
    Error,
    Floats,
    Ints,
    UnitError,
    gaussian_log,
    is_negative,
    is_zero,
    leave_out,
    raw_codes,
    summarise,
    unit_row,
    word_row,
    words_text,
)
from sim.report.error_text import text

EXHAUSTIVE_BITS = 20  #: up to so many bits of all operands together, all their values are taken
SAMPLES = 1 << 16
LENGTHS = (1, 4, 16, 64, 256, 1024)  #: K of the dot products

_UPDATE = 1000  # t of the update that is measured: its bias correction has settled
_CLASSES = 10
_LOGIT_SPREAD = 2.0  # standard deviation of the logits


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
        raw, zero = raw_codes(words, fmt).astype(np.float64), is_zero(words, fmt)
        for unit, factor in (("square", 2.0), ("sqrt", 0.5)):
            out, events = getattr(kernels, unit)(words, fmt)
            exact, plus = np.where(zero, -np.inf, factor * raw), np.zeros(words.shape, np.bool_)
            where4 = (unit, "activation", str(fmt), every)
            rows.append(word_row(where4, out, events, fmt, plus, exact, words_text((words, fmt))))
        return rows

    def _pair_row(self, unit: str, where: str, fmt: LNSFormat) -> UnitError:
        a, b, every = self._pairs(fmt, unit)
        out, events = getattr(kernels, unit)(a, b, fmt)
        exact = (raw_codes(a, fmt) + raw_codes(b, fmt) * (1 if unit == "mul" else -1)).astype(np.float64)
        exact[is_zero(a, fmt) | is_zero(b, fmt) & (unit == "mul")] = -np.inf
        negative = is_negative(a, fmt) != is_negative(b, fmt)
        return word_row(
            (unit, where, str(fmt), every), out, events, fmt, negative, exact, words_text((a, fmt), (b, fmt))
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
            raw_a, raw_b, zero = raw_codes(a, fmt), raw_codes(b, fmt), is_zero(a, fmt) | is_zero(b, fmt)
            differ = is_negative(a, fmt) != is_negative(b, fmt)
            negative = np.where(raw_a >= raw_b, is_negative(a, fmt), is_negative(b, fmt))
            for unlike in (False, True)[: 1 + fmt.signed]:
                exact = np.maximum(raw_a, raw_b) + gaussian_log(abs(raw_a - raw_b), fmt.frac_bits, unlike)
                exact[zero] = -np.inf
                at = np.flatnonzero(differ == unlike)
                name = ("add, unlike signs" if unlike else "add, like signs", where, f"{fmt} {kind}", every)
                show = words_text((a[at], fmt), (b[at], fmt))
                rows.append(word_row(name, out[at], events[at], fmt, negative[at], exact[at], show))
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
            exact = np.ldexp(raw_codes(words, source).astype(np.float64), fmt.frac_bits - source.frac_bits)
            exact[is_zero(words, source)] = -np.inf
            name = ("convert", where, f"{source} to {fmt} {rounding.value}", every)
            rows.append(
                word_row(name, out, events, fmt, is_negative(words, source), exact, words_text((words, source)))
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
            raw_a, raw_b = raw_codes(sides[0], a_fmt)[:, None], raw_codes(sides[1], b_fmt)[None, :]
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
                unit_row(
                    ("antilog term", where, what, every), np.zeros(got.shape, np.bool_), events, relative,
                    got - exact, "least bits",
                    words_text((a, a_fmt), (b, b_fmt)),
                )
            )  # fmt: skip
        return rows

    def _antilog_rom(self, where: str, unit: LinearDot) -> UnitError:
        got = np.asarray(unit.rom, np.float64)
        exact = np.exp2(unit.rom_bits - 1 + np.arange(got.size) / got.size)
        none = np.zeros(got.shape, np.uint8)
        what = f"{got.size} entries of {unit.rom_bits} bits"
        relative, absolute = (got - exact) / exact, got - exact
        return unit_row(
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
            rows.append(word_row(name, words, events, fmt, values < 0, exact, lambda i: f"accumulator {values[i]}"))
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
        moved = raw_codes(new_w, w_fmt) - raw_codes(w, w_fmt)
        step = np.where(is_negative(g, g_fmt) == is_negative(w, w_fmt), -moved, moved).astype(np.float64)
        # Madam with logarithms of magnitudes: v' = beta·v + (1 - beta)·g², n = |g|/sqrt(v'/(1 - beta**t))
        decay = -update.kappa / (1 << v_fmt.frac_bits)
        log_g = raw_codes(g, g_fmt) / (1 << g_fmt.frac_bits)
        log_v = raw_codes(v, v_fmt) / (1 << v_fmt.frac_bits) + update.moment_offset
        log_v = np.logaddexp2(log_v + decay, 2 * log_g + math.log2(-math.expm1(decay * math.log(2))))
        log_n = log_g - (log_v - math.log2(-math.expm1(_UPDATE * decay * math.log(2)))) / 2
        scale = math.log2(update.lr / math.log(2)) + w_fmt.frac_bits
        exact = np.exp2(np.minimum(log_n, math.log2(update.clip)) + scale)
        what = f"weight {w_fmt}, moment {v_fmt} {update.table}, {update.rounding.value} rounding"
        return unit_row(
            ("update step", "weight", what, False), np.zeros(w.shape, np.bool_), w_events | v_events,
            (step - exact) / exact, step - exact, "codes",
            words_text((w, w_fmt), (g, g_fmt), (v, v_fmt)),
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
            rows.append(word_row(where4, words[chosen], events[chosen], fmt, mine[chosen], exact[chosen], show))
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
        kept, left_out = leave_out((exact == 0).reshape(-1), (events | inner).reshape(-1))
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
            summarise(inner_error * np.sign(exact) / size), summarise(error * np.sign(exact) / size), *ratios,
        )  # fmt: skip


def _holding(real: Floats, fmt: LNSFormat) -> int:
    """The smallest offset at which the largest magnitude does not saturate a format; 0 where all is zero."""
    largest = float(np.abs(real).max())
    return math.ceil(math.log2(largest) - (fmt.max_raw + 0.5) / (1 << fmt.frac_bits)) if largest else 0


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
