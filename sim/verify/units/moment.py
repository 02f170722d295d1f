"""``lns_moment``, the half of the update unit that keeps the second moment."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

from lns import reference
from lns.format import LNSFormat
from lns.reference import UpdateConstants
from sim.verify.stimuli import range_edges, special_words
from sim.verify.unit import Beat, Coverage, Port, Transaction, flags
from sim.verify.units.add import MOST_DISTANCES, adder_parameters, adder_roms, reach
from sim.verify.units.update_constants import OfDesign

__all__ = ["Moment"]


@dataclass(frozen=True)
class Moment(OfDesign):
    """The second moment of a design's update unit."""

    module: ClassVar[str] = "lns_moment"
    sources: ClassVar[tuple[str, ...]] = ("lns_range.v", "lns_gausslog.v", "lns_add.v", "lns_moment.v")

    def __str__(self) -> str:
        return f"{self.unit.gradient} {self.unit.moment} {self.design.update.table}"

    def inputs(self) -> tuple[Port, ...]:
        gradient, moment = self.unit.gradient, self.unit.moment
        words = Port("gradient_i", gradient.bits, gradient), Port("moment_i", moment.bits, moment)
        return *words, self._constant("read"), self._constant("term")

    def outputs(self) -> tuple[Port, ...]:
        return Port("moment_o", self.unit.moment.bits, self.unit.moment), *self.event_ports()

    def event_ports(self) -> tuple[Port, ...]:
        """Not the weight's events of the same names."""
        return tuple(replace(port, name=f"moment_{port.name}") for port in super().event_ports())

    def parameters(self) -> dict[str, int | str]:
        return self._common() | adder_parameters(self.unit.moment, self.design.update.table)

    def roms(self) -> dict[str, str]:
        return adder_roms(self.unit.moment, self.design.update.table)

    def model(self, *operands: int) -> Sequence[int]:
        g, v, read, term = operands
        word, events = reference.moment(g, v, self.unit, UpdateConstants(read, term, 0, 0, 0))
        return word, *flags(events, self.events)

    # --- stimuli

    @cached_property
    def term(self) -> int:
        """The one value of its constant."""
        return self.units.update_constants(1, 0, 0).term

    @cached_property
    def reads(self) -> list[int]:
        return [self.units.update_constants(1, 0, fall).read for fall in self.falls]

    def _computed_term(self, g: int) -> int:
        return self.squared(g) + self.term + self.unit.moment.bias

    @cached_property
    def _all_terms(self) -> range:
        """The terms of all gradients before the range rule."""
        most = self._computed_term(self.unit.gradient.max_code)
        return range(self._computed_term(1), most + 1, 2 << self.shift)

    @cached_property
    def _terms(self) -> range:
        """The terms of all gradients that raise no event."""
        least, most = self._all_terms[0], self._all_terms[-1]
        above_zero = least + max(0, -((least - 1) // self._all_terms.step)) * self._all_terms.step
        return range(above_zero, min(most, self.unit.moment.max_code) + 1, self._all_terms.step)

    @cached_property
    def _end(self) -> int:
        """The last distance of the sweep: to the end of the table, or of what two codes can be apart."""
        if not self._terms:
            return -1
        most = self.unit.moment.max_code - self.design.update.kappa
        return min(reach(self.unit.moment, self.units.update.table), max(most - self._terms[0], self._terms[-1] - 1))

    @property
    def _most_kept(self) -> int:
        """The largest that can be read without an event."""
        return self.unit.moment.max_code + min(0, self.reads[-1])

    @cached_property
    def last_vanished(self) -> list[int]:
        """The largest gradient whose term underflows; none if there is none."""
        below = self._all_terms[: max(0, -((self._all_terms[0] - 1) // self._all_terms.step))]
        return [len(below)] if below else []

    def _gradient(self, rng: random.Random, term: int) -> int:
        """The gradient with a term, under a random sign."""
        code = self._all_terms.index(term) + 1
        return code | (self.unit.gradient.sign_bit if rng.getrandbits(1) else 0)

    def _at_distance(self, rng: random.Random, distance: int) -> Iterator[Beat]:
        """What was read and the term a distance apart, without a fall of the offset; none if there is none."""
        read, most = -self.design.update.kappa, self.unit.moment.max_code - self.design.update.kappa
        above, below = most - distance, distance + 1  # the largest term below what was read, the least one above it
        lower = self._terms[: max(0, (above - self._terms.start) // self._terms.step + 1)]
        upper = self._terms[max(0, -(-(below - self._terms.start) // self._terms.step)) :]
        for terms, away in ((lower, distance), (upper, -distance)):
            if terms and terms[0] + away <= most:
                term = rng.choice(terms[: (most - away - terms[0]) // terms.step + 1])
                yield self._gradient(rng, term), term + away - read, read, self.term

    def stimuli(self, rng: random.Random, count: int) -> Iterator[Beat]:
        gradient, moment = self.unit.gradient, self.unit.moment
        few = sorted({-self.design.update.kappa, self.reads[0], self.reads[-1]})
        specials = special_words(gradient)
        yield from ((g, v, read, self.term) for g in specials for v in special_words(moment) for read in few)
        for edge in range_edges(moment).values():
            for computed in range(edge - 2, edge + 3):
                for read in self.reads:
                    if 1 <= computed - read <= moment.max_code:
                        yield self.random_gradient(rng), computed - read, read, self.term
                if computed in self._all_terms:
                    yield self._gradient(rng, computed), rng.getrandbits(moment.bits), rng.choice(self.reads), self.term
        yield from self._sums(rng)
        every = range(self._end + 1)
        for distance in every if len(every) <= MOST_DISTANCES else rng.sample(every, MOST_DISTANCES):
            yield from self._at_distance(rng, distance)
        for _ in range(count):
            g = self.random_gradient(rng)
            yield g, self.near_squared(rng, g), rng.choice((few[0], -self.design.update.kappa, *self.reads)), self.term

    def _sums(self, rng: random.Random) -> Iterator[Beat]:
        """Sums at the largest code and beside it, and the largest one."""
        moment = self.unit.moment
        for term in self._terms[-64:]:
            for slack in range(-2, 4):
                kept = moment.max_code
                for _ in range(8):  # the table's value changes slowly: this settles, or nearly
                    kept = moment.max_code + slack - reference.sb(abs(kept - term), self.unit.table)
                for wanted in (kept, self._most_kept):
                    for read in (-self.design.update.kappa, rng.choice(self.reads), self.reads[-1]):
                        if 1 <= wanted - read <= moment.max_code:
                            yield self._gradient(rng, term), wanted - read, read, self.term

    # --- coverage

    def coverage(self) -> Coverage:
        moment = self.unit.moment
        goals = dict.fromkeys(("gradient zero", "gradient zero with a sign", "positive", "negative"), 1)
        goals |= dict.fromkeys(("moment zero", "both zero"), 1)
        reads = [range(1 + read, moment.max_code + read + 1) for read in self.reads]
        for name, spans in (("read", reads), ("term", [self._all_terms])):
            for edge, code in range_edges(moment).items():
                if any(code in span for span in spans):
                    goals[f"{name}: {edge}"] = 1
            if max(span[-1] for span in spans) > moment.max_code:
                goals[f"{name}: saturate"] = 1
            if min(span[0] for span in spans) <= 0:
                goals[f"{name}: underflow"] = 1
        goals["read: in range"] = 1
        if self._terms:
            goals |= {"term: in range": 1, "sum: in range": 1}
            most, last = self._most_kept, self._terms[-1]
            if max(most, last) + reference.sb(abs(most - last), self.unit.table) > moment.max_code:
                goals["sum: saturate"] = 1
            goals |= {name: 1 for name, x in (("term larger", last > 1), ("read larger", most > self._terms[0])) if x}
            if self._end < MOST_DISTANCES:
                goals["distances"] = self._end + 1
        return Coverage(goals)

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        (g, v, read, term), moment = transaction[0], self.unit.moment
        kept = added = 0
        if v == 0:
            cover.hit("moment zero")
        else:
            kept = v + read
            _hit_range(cover, "read", kept, moment)
        negative = reference.sign(g, self.unit.gradient)
        if reference.code(g, self.unit.gradient) == 0:
            cover.hit("gradient zero with a sign" if negative else "gradient zero")
            if v == 0:
                cover.hit("both zero")
        else:
            cover.hit("negative" if negative else "positive")
            added = self.squared(g) + term + moment.bias
            _hit_range(cover, "term", added, moment)
        if 1 <= kept <= moment.max_code and 1 <= added <= moment.max_code:
            distance = abs(kept - added)
            if distance:
                cover.hit("term larger" if added > kept else "read larger")
            if distance <= self._end:
                cover.hit_distinct("distances", distance)
            saturates = max(kept, added) + reference.sb(distance, self.unit.table) > moment.max_code
            cover.hit("sum: saturate" if saturates else "sum: in range")


def _hit_range(cover: Coverage, name: str, computed: int, fmt: LNSFormat) -> None:
    """The bins of a code before the range rule, for one of several in a unit."""
    part = "saturate" if computed > fmt.max_code else "underflow" if computed <= 0 else "in range"
    cover.hit(f"{name}: {part}")
    for edge, code in range_edges(fmt).items():
        if computed == code:
            cover.hit(f"{name}: {edge}")
