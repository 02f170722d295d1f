"""Dot products: ``lns_dot_linear`` and ``lns_dot_log``."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from lns import reference
from lns.design import Design, LinearAccumulator
from lns.format import Event
from lns.gausslog import Table, TableKind, table
from lns.reference import LinearDot, LogDot
from sim.verify.unit import Beat, Coverage, Port, Transaction, Unit, flags
from sim.verify.units.add import adder_parameters, adder_roms
from sim.verify.units.dot_operands import Dot, Factors, Words
from sim.verify.units.product import Product
from sim.verify.units.term import Term

__all__ = ["DotLinear", "DotLog", "instances"]

MOST_BEATS = 1 << 15  #: a linear accumulator that saturates later is not saturated
MOST_GROWTH = 1 << 10  #: and a log accumulator whose lane saturates later


@dataclass(frozen=True)
class DotLinear(Dot):
    """A dot product with an accumulator of ``bits`` bits in fixed point; ``depth`` pipeline stages before it,
    unless a wrapper says otherwise."""

    term: Term
    bits: int
    depth: int = 1

    module: ClassVar[str] = "lns_dot_linear"
    sources: ClassVar[tuple[str, ...]] = ("lns_pipeline.v", "lns_term.v", "lns_dot_linear.v")
    events: ClassVar[Event] = Event.ACC_SATURATE

    def __str__(self) -> str:
        return f"{self.term}, {self.bits} bits, {self.lanes} lanes"

    @property
    def factors(self) -> Factors:
        return self.term.factors

    @cached_property
    def unit(self) -> LinearDot:
        return self.term.dot(self.bits, self.lanes)

    def outputs(self) -> tuple[Port, ...]:
        return Port("acc_o", self.bits, signed=True), *self.event_ports()

    def parameters(self) -> dict[str, int | str]:
        return {"LANES": self.lanes, "ACC_BITS": self.bits, "DEPTH": self.depth} | self.term.parameters()

    def roms(self) -> dict[str, str]:
        return self.term.roms()

    def expect(self, transaction: Transaction) -> tuple[Beat, ...]:
        value, events = reference.dot_linear(*self.rows(transaction), self.unit)
        return ((value, *flags(events, self.events)),)

    # --- stimuli

    @cached_property
    def _steps(self) -> dict[int, int]:
        """Magnitude of a term -> the raw code of a product that has it: all, or some of each octave."""
        unit = 1 << self.factors.frac_bits
        stride = max(1, unit >> 8)
        raws = [octave * unit + i for octave in self.term.octaves for i in range(0, unit, stride)]
        steps = {self.unit.magnitude(raw): raw for raw in raws if self.factors.least <= raw <= self.factors.most}
        steps |= {self.unit.magnitude(raw): raw for raw in (self.factors.least, self.factors.most)}
        return {size: steps[size] for size in sorted(steps, reverse=True) if size}

    def _filling(self, negative: bool) -> tuple[list[tuple[int, int]], int] | None:
        """(raw code, how often) of terms that take the accumulator from 0 to one of its ends, or as near as terms of
        one sign come, and what is missing; None if that takes too long."""
        missing, terms = (1 << (self.bits - 1)) - (not negative), []
        for size, raw in self._steps.items():
            times, missing = divmod(missing, size)
            terms.append((raw, times))
        length = sum(times for _, times in terms)
        return (terms, missing) if length <= MOST_BEATS * self.lanes else None

    def corners(self, rng: random.Random) -> Iterator[list[Words]]:
        yield from self.shared_corners(rng)
        for negative in (False, True):
            filling = self._filling(negative)
            if filling is None:
                continue

            def some(raw: int, times: int, negative: bool = negative) -> list[Words]:
                words = self.factors.words(rng, raw, negative)
                return [words] * times if words else []

            row = [words for raw, times in filling[0] for words in some(raw, times)]
            yield row
            # the least term too many, a cycle of too much, and back by the least term
            least, largest = some(min(self._steps.items())[1], 1)[0], some(self.factors.most, 1)[0]
            row = [*row, least]
            row += [(0, 0)] * (-len(row) % self.lanes)
            yield [*row, *[largest] * self.lanes, self.factors.opposite(least)]

    # --- coverage

    def coverage(self) -> Coverage:
        bins = [*self.shared_bins(), "positive", "negative", "cancellation"]
        for negative, end in ((False, "upper"), (True, "lower")):
            filling = self._filling(negative)
            if filling is not None:
                bins += [f"saturates at the {end} end", f"back from the {end} end"]
                if filling[1] == 0:
                    bins.append(f"exactly the {end} end")
        if self.unit.magnitude(self.factors.least) == 0:
            bins.append("product truncated to zero")
        return Coverage(dict.fromkeys(bins, 1))

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        self.hit_shared(cover, transaction)
        sums: dict[Beat, int] = {}
        for beat in dict.fromkeys(transaction):
            words = self.cycle(beat)
            terms = [reference.term(*pair, self.unit) for pair in words]
            sums[beat] = sum(terms)
            if any(not term and not self.factors.is_zero(pair) for term, pair in zip(terms, words, strict=True)):
                cover.hit("product truncated to zero")
        ends = {"upper": (1 << (self.bits - 1)) - 1, "lower": -(1 << (self.bits - 1))}
        total, clamped, saturated = 0, "", False
        for beat in transaction:
            total += sums[beat]
            inside = max(ends["lower"], min(total, ends["upper"]))
            end = "" if inside == total else "upper" if total > 0 else "lower"
            if clamped and not end and sums[beat]:
                cover.hit(f"back from the {clamped} end")
                clamped = ""
            if end:
                cover.hit(f"saturates at the {end} end")
                clamped, saturated = end, True
            total = inside
        if not saturated and total in ends.values():
            cover.hit(f"exactly the {'upper' if total > 0 else 'lower'} end")
        if total == 0 and any(sums.values()):
            cover.hit("cancellation")
        elif total:
            cover.hit("positive" if total > 0 else "negative")


@dataclass(frozen=True)
class DotLog(Dot):
    """A dot product with accumulators that are words; ``depth`` pipeline stages between products and lanes,
    unless a wrapper says otherwise."""

    product: Product
    table: TableKind
    depth: int = 1

    module: ClassVar[str] = "lns_dot_log"
    sources: ClassVar[tuple[str, ...]] = (
        "lns_range.v", "lns_gausslog.v", "lns_add.v", "lns_pipeline.v", "lns_product.v", "lns_dot_log.v",
    )  # fmt: skip
    events: ClassVar[Event] = Event.ACC_SATURATE | Event.ACC_UNDERFLOW

    def __str__(self) -> str:
        return f"{self.product}, {self.table}, {self.lanes} lanes"

    @property
    def factors(self) -> Factors:
        return self.product.factors

    @cached_property
    def unit(self) -> LogDot:
        """The definition's; its tables are lists, which are indexed faster than arrays."""
        source = table(self.table, self.product.acc.frac_bits)
        roms = {name: rom.tolist() for name, rom in source.roms.items()}
        return self.product.dot(Table(source.kind, source.frac_bits, roms), self.lanes)

    def outputs(self) -> tuple[Port, ...]:
        return Port("word_o", self.product.acc.bits, self.product.acc), *self.event_ports()

    def parameters(self) -> dict[str, int | str]:
        own: dict[str, int | str] = {"LANES": self.lanes, "DEPTH": self.depth}
        return own | self.product.parameters() | adder_parameters(self.product.acc, self.table)

    def roms(self) -> dict[str, str]:
        return adder_roms(self.product.acc, self.table)

    def expect(self, transaction: Transaction) -> tuple[Beat, ...]:
        word, events = reference.dot_log(*self.rows(transaction), self.unit)
        return ((word, *flags(events, self.events)),)

    # --- stimuli

    @cached_property
    def _growing(self) -> int | None:
        """How many of the largest product a lane takes until it saturates; None if it never does, or too late."""
        acc, words = self.product.acc, (self.factors.a.max_code, self.factors.b.max_code)
        largest, _ = reference.product(*words, self.unit)
        lane = largest
        for number in range(2, MOST_GROWTH):
            grown, event = reference.add(lane, largest, acc, self.unit.table)
            if event:
                return number
            if grown == lane:
                return None
            lane = grown
        return None

    @cached_property
    def _sinking(self) -> Words | None:
        """Codes of two products, the larger one first, whose difference underflows; None if none was found."""
        for smaller in self.product.reachable_codes:
            for larger in self.product.reachable_codes:
                if larger > smaller and larger <= reference.db(larger - smaller, self.unit.table):
                    return larger, smaller
        return None

    def corners(self, rng: random.Random) -> Iterator[list[Words]]:
        yield from self.shared_corners(rng)
        largest = (self.factors.a.max_code, self.factors.b.max_code)
        smallest = (1, 1)
        yield [largest, self.factors.opposite(largest)]
        yield self._alone([largest, self.factors.opposite(largest)])
        yield [self.factors.opposite(largest)]
        # a last beat without an event follows one that may have one
        yield self._alone([largest, (0, 0)])
        yield self._alone([smallest, (0, 0)])
        if self._sinking is not None:
            for negative in (False, True):
                larger = self.product.words(rng, self._sinking[0], negative)
                smaller = self.product.words(rng, self._sinking[1], not negative)
                if larger is not None and smaller is not None:
                    yield [larger, smaller]
                    yield self._alone([smaller, larger])
                    yield self._alone([smaller, larger, (0, 0)])
        if self._growing is not None:
            for number in {1, self._growing - 1, self._growing}:
                yield [largest] * (number * self.lanes)
            yield [self.factors.opposite(largest)] * (self._growing * self.lanes)
            yield self._alone([*[largest] * self._growing, (0, 0)])

    def _alone(self, words: Sequence[Words]) -> list[Words]:
        """A row whose words all meet in lane 0, one a beat; the other lanes have none."""
        return [pair for one in words for pair in (one, *[(0, 0)] * (self.lanes - 1))]

    # --- coverage

    def coverage(self) -> Coverage:
        product, bins = self.product, self.shared_bins()
        places = ["lane", "tree"] if self.lanes > 1 else ["lane"]
        above, below = product.code(self.factors.most) > product.acc.max_code, product.code(self.factors.least) <= 0
        if above:
            bins.append("product: saturate")
        if below:
            bins.append("product: underflow")
        if above or self._growing is not None:
            bins.append("saturate before the last beat only")
        if below or self._sinking is not None:
            bins.append("underflow before the last beat only")
        if product.code(self.factors.most) > 0:
            bins += ["positive", "negative", *(f"{place}: cancellation" for place in places)]
        if self._sinking is not None:
            bins += [f"{place}: underflow" for place in places]
        if self._growing is not None:
            bins += [f"{place}: saturate" for place in places]
        return Coverage(dict.fromkeys(bins, 1))

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        self.hit_shared(cover, transaction)
        acc, source = self.product.acc, self.unit.table
        early = late = Event(0)  # what happened before the last beat, and from there on

        def add(place: str, a: int, b: int) -> int:
            nonlocal late
            word, event = reference.add(a, b, acc, source)
            if event:
                cover.hit(f"{place}: {'saturate' if event is Event.SATURATE else 'underflow'}")
                late |= reference.accumulator_event(event)
            elif a and not word:
                cover.hit(f"{place}: cancellation")
            return word

        partial = [0] * self.lanes
        for beat in transaction:
            early, late = early | late, Event(0)
            for lane, words in enumerate(self.cycle(beat)):
                word, event = reference.product(*words, self.unit)
                if event:
                    cover.hit(f"product: {'saturate' if event is Event.ACC_SATURATE else 'underflow'}")
                    late |= event
                partial[lane] = add("lane", partial[lane], word)
        while len(partial) > 1:
            partial = [add("tree", a, b) for a, b in zip(partial[::2], partial[1::2], strict=True)]
        if partial[0]:
            cover.hit("negative" if reference.sign(partial[0], acc) else "positive")
        for event, name in ((Event.ACC_SATURATE, "saturate"), (Event.ACC_UNDERFLOW, "underflow")):
            if event in early and event not in late:
                cover.hit(f"{name} before the last beat only")


def instances(design: Design) -> list[Unit]:
    """Terms or products, and dot products, of the three uses in a training step (docs/spec.md, section 12)."""
    formats, accumulator = design.formats, design.accumulator
    uses = {
        "forward": (formats.activation, formats.operand),
        "backward": (formats.error, formats.operand),
        "gradient": (formats.error, formats.activation),
    }
    units: list[Unit] = []
    for label, (a, b) in uses.items():
        if isinstance(accumulator, LinearAccumulator):
            term = Term(a, b, accumulator.antilog_bits, accumulator.guard, label=label)
            units += [term, DotLinear(accumulator.lanes, term, accumulator.bits, label=label)]
        else:
            product = Product(a, b, accumulator.format, accumulator.offset, label=label)
            units += [product, DotLog(accumulator.lanes, product, accumulator.table, label=label)]
    return units
