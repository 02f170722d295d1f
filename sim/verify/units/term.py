"""``lns_term``, a term of a dot product with a linear accumulator."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from lns import reference
from lns.files import memh_text
from lns.format import Event, LNSFormat
from lns.gausslog import antilog_rom
from lns.reference import LinearDot
from sim.verify.unit import Beat, Combinational, Coverage, Port, Transaction
from sim.verify.units.dot_operands import OPERAND_BINS, Factors, hit_operands

__all__ = ["Term"]

MOST_ENTRIES = 1 << 17  #: ROMs with more entries are sampled, not swept


@dataclass(frozen=True)
class Term(Combinational):
    """A term of a linear dot product of words of two formats."""

    a: LNSFormat
    b: LNSFormat
    antilog_bits: int
    guard: int

    module: ClassVar[str] = "lns_term"
    sources: ClassVar[tuple[str, ...]] = ("lns_term.v",)
    events: ClassVar[Event] = Event(0)

    def __str__(self) -> str:
        return f"{self.a} x {self.b}, antilog {self.antilog_bits} bits, guard {self.guard}"

    @cached_property
    def factors(self) -> Factors:
        return Factors(self.a, self.b, max(self.a.frac_bits, self.b.frac_bits))

    def dot(self, bits: int, lanes: int) -> LinearDot:
        """The definition's unit; its ROM a list, which is indexed faster than an array."""
        rom = antilog_rom(self.factors.frac_bits, self.antilog_bits).tolist()
        return LinearDot(self.a, self.b, rom, self.antilog_bits, self.guard, bits, lanes)

    @cached_property
    def unit(self) -> LinearDot:
        return self.dot(self.guard + 2, 1)

    def inputs(self) -> tuple[Port, ...]:
        return self.factors.ports()

    def outputs(self) -> tuple[Port, ...]:
        return (Port("term_o", self.guard + 2, signed=True),)

    def parameters(self) -> dict[str, int | str]:
        return self.factors.parameters() | {
            "FRAC_BITS": self.factors.frac_bits,
            "GUARD": self.guard,
            "ANTILOG_BITS": self.antilog_bits,
            "ANTILOG_FILE": "antilog.memh",
        }

    def roms(self) -> dict[str, str]:
        f, t = self.factors.frac_bits, self.antilog_bits
        return {"antilog.memh": memh_text(antilog_rom(f, t), t, f"antilog ROM, F = {f}, T = {t}")}

    def model(self, *operands: int) -> Sequence[int]:
        a, b = operands
        return (reference.term(a, b, self.unit),)

    @property
    def octaves(self) -> range:
        """The octaves of products, from the largest one's to the first that has no bit in the accumulator."""
        f, top = self.factors.frac_bits, self.unit.largest_octave
        return range(top, max(self.factors.least >> f, top - self.guard - 1) - 1, -1)

    def stimuli(self, rng: random.Random, count: int) -> Iterator[Beat]:
        factors, unit = self.factors, 1 << self.factors.frac_bits
        yield from factors.specials()
        for edge in (factors.least, factors.most):
            yield from self._products(rng, range(edge - 2, edge + 3))
        entries = range(unit) if unit <= MOST_ENTRIES else rng.sample(range(unit), MOST_ENTRIES)
        for octave in self.octaves:
            yield from self._products(rng, [octave * unit + i for i in (0, unit - 1, rng.randrange(unit))])
        # every entry in an octave that shows as many of its bits as there is room for
        for entry in entries:
            for octave in (self.octaves[0], *self.octaves[1:2]):
                yield from self._products(rng, [octave * unit + entry])
        for i in range(count):
            # half of them where the term is not zero: most products of wide formats are far too small
            raw = rng.randint(max(factors.least, self.octaves[-1] * unit), factors.most)
            words = factors.words(rng, raw) if i % 2 else None
            yield words or factors.any(rng)

    def _products(self, rng: random.Random, raws: Sequence[int]) -> Iterator[Beat]:
        """Words with each of some raw codes, as a positive and a negative product."""
        for raw in raws:
            for negative in (False, True):
                words = self.factors.words(rng, raw, negative)
                if words is not None:
                    yield words

    def coverage(self) -> Coverage:
        goals = dict.fromkeys((*OPERAND_BINS, "largest product"), 1) | {"octaves": len(self.octaves)}
        unit = 1 << self.factors.frac_bits
        if unit <= MOST_ENTRIES:
            goals["ROM entries"] = unit
        if self.unit.magnitude(self.factors.least) == 0:
            goals["truncated to zero"] = 1
        return Coverage(goals)

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        words = (transaction[0][0], transaction[0][1])
        if not hit_operands(cover, words, self.factors):
            return
        raw, f = self.factors.raw(words), self.factors.frac_bits
        cover.hit_distinct("ROM entries", raw % (1 << f))
        if raw >> f in self.octaves:
            cover.hit_distinct("octaves", raw >> f)
        if raw == self.factors.most:
            cover.hit("largest product")
        if self.unit.magnitude(raw) == 0:
            cover.hit("truncated to zero")
