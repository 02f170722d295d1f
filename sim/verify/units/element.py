"""Processing elements, from words to a word: ``lns_element_linear`` and ``lns_element_log``."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from lns import reference
from lns.design import Design
from lns.format import Event, LNSFormat
from lns.units import Units
from sim.verify.unit import Beat, Combinational, Coverage, Port, Transaction, Unit, port_values
from sim.verify.units import dot
from sim.verify.units.convert import Convert
from sim.verify.units.dot import DotLinear, DotLog
from sim.verify.units.dot_operands import Dot
from sim.verify.units.linear_to_log import LinearToLog

__all__ = ["Element", "ElementLinear", "ElementLog", "instances"]

LONG = 256  #: beats of a transaction that fills an accumulator


@dataclass(frozen=True)
class Element(Unit):
    """A dot product, then the converter that makes a word of its sum: what `Backend.dot` emits for one output.

    A beat is ``(last, a, b, scale)``: that of `Dot`, and the octaves that the converter adds; those of a dot product's
    last beat are used.
    """

    dot: Dot
    word: Combinational

    sequential: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"{self.dot}, to {self.format}"

    @property
    @abstractmethod
    def format(self) -> LNSFormat:
        """Of the word."""

    @property
    @abstractmethod
    def base(self) -> int:
        """The scale where the sum of the operands' offsets and the word's offset are 0."""

    @abstractmethod
    def octave(self, value: int) -> int:
        """Of the magnitude of a nonzero accumulator: log2, rounded down."""

    @property
    def scale(self) -> Port:
        """The port of the converter's octaves."""
        return self.word.inputs()[1]

    def inputs(self) -> tuple[Port, ...]:
        return *self.dot.inputs(), self.scale

    def outputs(self) -> tuple[Port, ...]:
        return self.word.outputs()[0], *self.event_ports()

    def parameters(self) -> dict[str, int | str]:
        word = self.word.parameters()
        return self.dot.parameters() | {"WORD_BITS": word["BITS"], "WORD_FRAC_BITS": word["FRAC_BITS"]}

    def roms(self) -> dict[str, str]:
        return self.dot.roms() | self.word.roms()

    def expect(self, transaction: Transaction) -> tuple[Beat, ...]:
        ((value, *flags),) = self.dot.expect(_of_dot(transaction))
        word, saturate, underflow, *_ = self.word.model(value, transaction[-1][-1])
        return ((word, saturate, underflow, *flags),)

    # --- stimuli

    def transactions(self, seed: int, count: int, exhaustive: bool) -> list[Transaction]:
        """Those of the dot product, each at octaves that take its sum across the format of the word; the short ones,
        which fill the stages while a result waits, among the long ones. Of those that fill the accumulator the longest,
        which saturates it, is enough: the rest is the dot product's own affair."""
        rng, every = self.random(seed), port_values(self.scale)
        rows = self.dot.transactions(seed, count, exhaustive)
        longest = max(rows, key=len)
        rows = [row for row in rows if len(row) <= LONG or row is longest]
        rng.shuffle(rows)
        found = []
        for number, beats in enumerate(rows):
            ((value, *_),) = self.dot.expect(beats)
            scales = [rng.choice(every) for _ in beats[1:]]  # of which nothing is used
            scales.append(max(every[0], min(self._last_scale(rng, number, value), every[-1])))
            found.append(tuple((*beat, scale) for beat, scale in zip(beats, scales, strict=True)))
        return found

    def _last_scale(self, rng: random.Random, number: int, value: int) -> int:
        """To each octave of the word's format, to those beside it, and the port's ends, all in turn."""
        every, fmt = port_values(self.scale), self.format
        first, last = fmt.min_raw >> fmt.frac_bits, fmt.max_raw >> fmt.frac_bits
        wanted = (first - 1, first, last, last + 1, *(rng.randint(first, last) for _ in range(8)))
        number %= len(wanted) + 3
        if not value or number >= len(wanted):
            return (every[0], every[-1], rng.choice(every))[number % 3]
        return wanted[number] - self.octave(value)

    # --- coverage

    def coverage(self) -> Coverage:
        inner = self.dot.coverage().goals
        bins = ["zero", "one beat", "several beats", "least scale", "largest scale"]
        if "positive" in inner:
            bins += ["in range", "saturate_o", "underflow_o"]
        for event in self.dot.events:  # acc_saturate, acc_underflow
            name = str(event.name).lower()
            if any(name.removeprefix("acc_") in goal for goal in inner):
                bins.append(f"{name}_o")
        return Coverage(dict.fromkeys(bins, 1))

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        cover.hit("one beat" if len(transaction) == 1 else "several beats")
        scale, every = transaction[-1][-1], port_values(self.scale)
        if scale in (every[0], every[-1]):
            cover.hit("least scale" if scale < 0 else "largest scale")
        ((word, *raised),) = self.expect(transaction)
        for port, flag in zip(self.event_ports(), raised, strict=True):
            if flag:
                cover.hit(port.name)
        if not any(raised):
            cover.hit("in range" if word else "zero")


def _of_dot(transaction: Transaction) -> Transaction:
    """What the dot product sees of a transaction."""
    return tuple(beat[:-1] for beat in transaction)


@dataclass(frozen=True)
class ElementLinear(Element):
    """With an accumulator in fixed point."""

    dot: DotLinear
    word: LinearToLog

    module: ClassVar[str] = "lns_element_linear"
    sources: ClassVar[tuple[str, ...]] = (*DotLinear.sources, *LinearToLog.sources, "lns_element_linear.v")
    events: ClassVar[Event] = LinearToLog.events | DotLinear.events

    @property
    def format(self) -> LNSFormat:
        return self.word.format

    @property
    def base(self) -> int:
        return self.dot.unit.least_exponent

    def octave(self, value: int) -> int:
        return abs(value).bit_length() - 1

    def parameters(self) -> dict[str, int | str]:
        word = self.word.parameters()
        own = {name: word[name] for name in ("INDEX_BITS", "EXPONENT_BITS")}
        return super().parameters() | own | {"LOG_FILE": word["ROM_FILE"]}


@dataclass(frozen=True)
class ElementLog(Element):
    """With accumulators that are words."""

    dot: DotLog
    word: Convert

    module: ClassVar[str] = "lns_element_log"
    sources: ClassVar[tuple[str, ...]] = (*DotLog.sources, "lns_convert.v", "lns_element_log.v")
    events: ClassVar[Event] = Event.SATURATE | Event.UNDERFLOW | DotLog.events

    @property
    def format(self) -> LNSFormat:
        return self.word.format

    @property
    def base(self) -> int:
        return self.dot.unit.offset

    def octave(self, value: int) -> int:
        acc = self.dot.product.acc
        return reference.raw(value, acc) >> acc.frac_bits

    def parameters(self) -> dict[str, int | str]:
        word = self.word.parameters()
        return super().parameters() | {name: word[name] for name in ("ROUND", "OFFSET_BITS")}


def instances(design: Design) -> Iterator[Element]:
    """One for each of the three uses in a training step (docs/spec.md, section 12)."""
    formats = design.formats
    made = {"forward": formats.activation, "backward": formats.error, "gradient": formats.gradient}
    for one in dot.instances(design):
        if isinstance(one, DotLinear):
            fmt = made[one.label]
            yield ElementLinear(one, LinearToLog(one.bits, fmt, Units(design).index_bits(fmt)), label=one.label)
        elif isinstance(one, DotLog):
            to_word = Convert(one.product.acc, made[one.label], design.conversion.rounding)
            yield ElementLog(one, to_word, label=one.label)
