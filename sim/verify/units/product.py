"""``lns_product``, a term of a dot product with a log accumulator."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from lns import reference
from lns.format import Event, LNSFormat
from lns.gausslog import Table, TableKind
from lns.reference import LogDot
from sim.verify.stimuli import hit_range, range_edges
from sim.verify.unit import Beat, Combinational, Coverage, Port, Transaction, flags
from sim.verify.units.dot_operands import OPERAND_BINS, Factors, Words, hit_operands

__all__ = ["Product"]


@dataclass(frozen=True)
class Product(Combinational):
    """A product of words of two formats as a word of a log accumulator at an offset."""

    a: LNSFormat
    b: LNSFormat
    acc: LNSFormat
    offset: int

    module: ClassVar[str] = "lns_product"
    sources: ClassVar[tuple[str, ...]] = ("lns_range.v", "lns_product.v")
    events: ClassVar[Event] = Event.ACC_SATURATE | Event.ACC_UNDERFLOW

    def __str__(self) -> str:
        return f"{self.a} x {self.b} to {self.acc}, offset {self.offset}"

    @cached_property
    def factors(self) -> Factors:
        return Factors(self.a, self.b, self.acc.frac_bits)

    def dot(self, source: Table, lanes: int) -> LogDot:
        """The definition's unit."""
        return LogDot(self.a, self.b, self.acc, self.offset, source, lanes)

    @cached_property
    def unit(self) -> LogDot:
        return self.dot(Table(TableKind("mitchell"), self.acc.frac_bits, {}), 1)  # a product needs no table

    def code(self, raw: int) -> int:
        """The computed code of a product's raw code."""
        return raw - (self.offset << self.acc.frac_bits) + self.acc.bias

    def words(self, rng: random.Random, code: int, negative: bool | None = None) -> Words | None:
        """Random words whose product has a computed code; None if there are none."""
        return self.factors.words(rng, code + (self.offset << self.acc.frac_bits) - self.acc.bias, negative)

    def inputs(self) -> tuple[Port, ...]:
        return self.factors.ports()

    def outputs(self) -> tuple[Port, ...]:
        return Port("word_o", self.acc.bits, self.acc), *self.event_ports()

    def parameters(self) -> dict[str, int | str]:
        return self.factors.parameters() | {
            "BITS": self.acc.bits,
            "FRAC_BITS": self.acc.frac_bits,
            "OFFSET": self.offset,
        }

    def model(self, *operands: int) -> Sequence[int]:
        a, b = operands
        word, events = reference.product(a, b, self.unit)
        return word, *flags(events, self.events)

    def stimuli(self, rng: random.Random, count: int) -> Iterator[Beat]:
        yield from self.factors.specials()
        for edge in (*range_edges(self.acc).values(), self.code(self.factors.least), self.code(self.factors.most)):
            for code in range(edge - 2, edge + 3):
                for _ in range(16):
                    words = self.words(rng, code)
                    if words is not None:
                        yield words
        for _ in range(count):
            yield self.factors.any(rng)

    def coverage(self) -> Coverage:
        least, most, rng = self.code(self.factors.least), self.code(self.factors.most), random.Random(0)
        bins = list(OPERAND_BINS)
        bins += [name for name, code in range_edges(self.acc).items() if self.words(rng, code) is not None]
        if most > self.acc.max_code:
            bins.append("saturate")
        if least <= 0:
            bins.append("underflow")
        if self.reachable_codes:
            bins.append("in range")
        return Coverage(dict.fromkeys(bins, 1))

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        words = (transaction[0][0], transaction[0][1])
        if hit_operands(cover, words, self.factors):
            hit_range(cover, self.code(self.factors.raw(words)), self.acc)

    @cached_property
    def reachable_codes(self) -> list[int]:
        """The smallest codes that products have in the accumulator's range, up to 16 of them."""
        rng, low, high = random.Random(0), min(self.factors.shifts), max(self.factors.shifts)
        step, first = 1 << low, max(1, self.code(self.factors.least))
        first += (self.code(0) - first) % step  # products are whole steps from the code of 1.0
        last = min(self.acc.max_code, self.code(self.factors.most), first + (16 << high))
        codes: list[int] = []
        for code in range(first, last + 1, step):
            if self.words(rng, code) is not None:
                codes.append(code)
                if len(codes) == 16:
                    break
        return codes
