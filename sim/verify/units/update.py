"""``lns_update``, the update unit; ``lns_step``, its half that moves the weight; ``lns_lfsr``, its random bits."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from lns import reference
from lns.design import Design
from lns.files import memh_text
from lns.format import Event, Rounding
from lns.reference import UpdateConstants
from sim.verify.stimuli import range_edges, special_words
from sim.verify.unit import Beat, Combinational, Coverage, Port, Transaction, Unit, flags
from sim.verify.units.moment import Moment
from sim.verify.units.update_constants import UPDATES, OfDesign

__all__ = ["Lfsr", "Step", "Update", "instances"]

MOST_EXPONENTS = 1 << 16  #: of the steps' exponents, so many are looked through for ties

_PASS = -(1 << 62)  # a term so small that it vanishes: what was read is the new moment


@dataclass(frozen=True)
class Step(OfDesign):
    """What a design's update unit does to a weight once the new moment is there."""

    module: ClassVar[str] = "lns_step"
    sources: ClassVar[tuple[str, ...]] = ("lns_step.v",)
    events: ClassVar[Event] = Event.SATURATE | Event.UNDERFLOW | Event.CLIP

    def __str__(self) -> str:
        unit, update = self.unit, self.design.update
        how = f"{update.rounding.value} {update.sign_rule.value}, {unit.rom_bits} antilog bits, r {unit.step_frac_bits}"
        return f"{unit.weight} {unit.gradient} {unit.moment} {how}"

    def inputs(self) -> tuple[Port, ...]:
        unit = self.unit
        formats = (("weight", unit.weight), ("gradient", unit.gradient), ("moment", unit.moment))
        words = (Port(f"{name}_i", fmt.bits, fmt) for name, fmt in formats)
        constants = (self._constant(name) for name in ("correction", "clip", "lr"))
        return *words, Port("random_i", max(1, unit.step_frac_bits)), *constants

    def outputs(self) -> tuple[Port, ...]:
        return Port("weight_o", self.unit.weight.bits, self.unit.weight), *self.event_ports()

    def parameters(self) -> dict[str, int | str]:
        unit = self.unit
        return self._common() | {
            "WEIGHT_BITS": unit.weight.bits, "STEP_FRAC_BITS": unit.step_frac_bits,
            "STOCHASTIC": int(unit.rounding is Rounding.STOCHASTIC), "FLIP": int(unit.flip),
            "FINE_BITS": max(1, self.fine(self.clip + self.lrs[-1]).bit_length()),
            "ANTILOG_BITS": unit.rom_bits, "ANTILOG_FILE": "antilog.memh",
        }  # fmt: skip

    def roms(self) -> dict[str, str]:
        unit = self.unit
        title = f"antilog ROM of the update unit, F = {unit.moment.frac_bits}"
        return {"antilog.memh": memh_text(self.units.update.rom, unit.rom_bits, title)}

    def model(self, *operands: int) -> Sequence[int]:
        w, g, v, bits, correction, clip, lr = operands
        # the definition takes the old moment: with these constants the new one is the same
        constants = UpdateConstants(0, _PASS, correction, clip, lr)
        word, _, events, _ = reference.update(w, g, v, self.unit, constants, bits)
        return word, *flags(events, self.events)

    # --- stimuli

    @cached_property
    def clip(self) -> int:
        """The one value of its constant."""
        return self.units.update_constants(1, 0, 0).clip

    @cached_property
    def corrections(self) -> list[int]:
        return [self.units.update_constants(t, 0, 0).correction for t in UPDATES]

    def fine(self, exponent: int) -> int:
        """The step in units of 2**-r codes."""
        unit = self.unit
        return reference.antilog(exponent, unit.step_frac_bits, unit.rom, unit.rom_bits, unit.moment.frac_bits)

    def _normals(self, correction: int) -> tuple[int, int]:
        """The least and the largest normalised gradient, before the clip."""
        gradient, moment = self.unit.gradient, self.unit.moment
        least = self.squared(1) - moment.max_raw - correction
        return least >> 1, (self.squared(gradient.max_code) - moment.min_raw - correction) >> 1

    @cached_property
    def exponents(self) -> range:
        """Exponents of steps that are reached, from the least that is not cut away."""
        unit = self.unit
        most = min(self.clip, max(self._normals(c)[1] for c in self.corrections)) + self.lrs[-1]
        return range(-(unit.step_frac_bits << unit.moment.frac_bits), most + 1)

    @cached_property
    def ties(self) -> dict[int, list[int]]:
        """Exponents of steps half way between two codes, by the last bit of the lower one."""
        found: dict[int, list[int]] = {0: [], 1: []}
        r = self.unit.step_frac_bits
        if r:
            for exponent in self.exponents[:: -(-len(self.exponents) // MOST_EXPONENTS) or 1]:
                fine = self.fine(exponent)
                if 2 * (fine % (1 << r)) == 1 << r:
                    found[fine >> r & 1].append(exponent)
        return found

    def _operands(self, rng: random.Random, normal: int, odd: int | None = None) -> Iterator[tuple[int, int, int]]:
        """A gradient, moment and correction with a normalised gradient; none if there are none."""
        gradient, moment = self.unit.gradient, self.unit.moment
        step = 2 << self.shift
        for correction in rng.sample(self.corrections, len(self.corrections)):
            twice = 2 * normal + (rng.getrandbits(1) if odd is None else odd) + correction
            least = max(gradient.min_raw, -(-(twice + moment.min_raw) // step))
            most = min(gradient.max_raw, (twice + moment.max_raw) // step)
            if least <= most:
                g = rng.randint(least, most) + gradient.bias
                v = self.squared(g) - twice + moment.bias
                yield g | (gradient.sign_bit if rng.getrandbits(1) else 0), v, correction
                return

    def _at(self, rng: random.Random, exponent: int, bits: int | None = None) -> Iterator[Beat]:
        """Beats whose step has an exponent, without a clip: at every edge of the weight, and at a random weight."""
        unit = self.unit
        lr = self.lrs[-1]
        if exponent - lr < min(self._normals(c)[0] for c in self.corrections) or rng.getrandbits(1):
            lr = rng.choice(self.lrs[self.lrs.index(max(self.lrs[0], min(lr, exponent - self.clip))) :])
        for g, v, correction in self._operands(rng, exponent - lr) if exponent - lr <= self.clip else ():
            bits = rng.getrandbits(unit.step_frac_bits) if bits is None else bits
            step = self.step(exponent, bits)
            computed = {edge + side for edge in range_edges(unit.weight).values() for side in (-1, 0, 1)}
            codes = {c + way * step for c in computed for way in (-1, 1)} | {rng.randint(1, unit.weight.max_code)}
            for code in sorted(codes):
                if 1 <= code <= unit.weight.max_code:
                    w = code | (unit.weight.sign_bit if rng.getrandbits(1) else 0)
                    yield w, g, v, bits, correction, self.clip, lr

    def step(self, exponent: int, bits: int) -> int:
        """The step in codes."""
        fine, r = self.fine(exponent), self.unit.step_frac_bits
        if self.unit.rounding is Rounding.STOCHASTIC:
            return (fine + bits) >> r
        whole, rest = fine >> r, fine % (1 << r)
        return whole + (2 * rest > 1 << r or (2 * rest == 1 << r and whole % 2 == 1))

    def weights(self, rng: random.Random) -> int:
        """A weight anywhere or at an end; never zero."""
        weight = self.unit.weight
        edges = (1, min(2, weight.max_code), max(1, weight.max_code - 1), weight.max_code)
        return rng.choice((*edges, rng.randint(1, weight.max_code))) | rng.choice((0, weight.sign_bit))

    def stimuli(self, rng: random.Random, count: int) -> Iterator[Beat]:
        unit, r = self.unit, self.unit.step_frac_bits
        for w in special_words(unit.weight):
            for g in special_words(unit.gradient) if reference.code(w, unit.weight) else ():
                for v in special_words(unit.moment):
                    c = self.constants(rng)
                    yield w, g, v, rng.getrandbits(r), c.correction, c.clip, c.lr
        for normal in range(self.clip - 2, self.clip + 4):
            for odd in (0, 1) * 8:
                for g, v, correction in self._operands(rng, normal, odd):
                    yield self.weights(rng), g, v, rng.getrandbits(r), correction, self.clip, self.lrs[-1]
        for exponents in self.ties.values():
            for exponent in rng.sample(exponents, min(64, len(exponents))):
                yield from self._at(rng, exponent)
        for exponent in self._entries():
            rest = self.fine(exponent) % (1 << r)
            if unit.rounding is Rounding.STOCHASTIC and rest:  # the least random number that carries, and one less
                for bits in ((1 << r) - rest, (1 << r) - rest - 1):
                    yield from self._at(rng, exponent, bits)
            else:
                yield from self._at(rng, exponent)
        for _ in range(count):
            g, c = self.random_gradient(rng), self.constants(rng)
            yield self.weights(rng), g, self.near_squared(rng, g), rng.getrandbits(r), c.correction, c.clip, c.lr

    def _entries(self) -> Sequence[int]:
        """An exponent for each entry of the ROM, at the top, where most bits are seen; then octaves down."""
        octave = 1 << self.unit.moment.frac_bits
        entries = self.exponents[-octave:]
        return [*entries[:: -(-len(entries) // MOST_EXPONENTS)], *self.exponents[:: max(1, octave // 8)]]

    # --- coverage

    def coverage(self) -> Coverage:
        unit, r = self.unit, self.unit.step_frac_bits
        bins = ["hold: gradient zero", "hold: gradient zero with a sign", "hold: moment zero"]
        bins += [f"weight {w}, gradient {g}" for w in "+-" for g in "+-"]
        normals = [self._normals(c) for c in self.corrections]
        least, most = min(low for low, _ in normals), max(high for _, high in normals)
        for name, normal in (("at the clip", self.clip), ("one above the clip", self.clip + 1)):
            if least <= normal <= most:
                bins.append(name)
        if most > self.clip:
            bins.append("clip")
        if least <= self.clip:
            bins += ["no clip", "normalised gradient rounded down"]
        largest = self.step(self.exponents[-1], (1 << r) - 1) if self.exponents else 0
        if largest:
            bins += ["saturate", "underflow, positive", "underflow, negative"]
        if 1 <= largest < unit.weight.max_code:
            bins += ["code 1", "code max"]
        goals = dict.fromkeys(bins, 1)
        if len(self.exponents) >= 1 << unit.moment.frac_bits <= MOST_EXPONENTS:
            goals["entries"] = 1 << unit.moment.frac_bits
        if self.lrs[0] + self.clip < self.exponents.start:
            goals["step cut away"] = 1
        if unit.rounding is Rounding.STOCHASTIC:
            if any(self.fine(exponent) % (1 << r) for exponent in self.exponents[-256:]):
                goals |= {"random bits just carry": 1, "random bits just do not carry": 1}
        else:
            goals |= {name: 1 for bit, name in enumerate(("tie, down to even", "tie, up to even")) if self.ties[bit]}
        return Coverage(goals)

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        (w, g, v, bits, correction, clip, lr), unit, r = transaction[0], self.unit, self.unit.step_frac_bits
        signs = reference.sign(w, unit.weight), reference.sign(g, unit.gradient)
        if reference.code(g, unit.gradient) == 0:
            cover.hit("hold: gradient zero with a sign" if signs[1] else "hold: gradient zero")
            return
        if v == 0:
            cover.hit("hold: moment zero")
            return
        cover.hit(f"weight {'+-'[signs[0]]}, gradient {'+-'[signs[1]]}")
        twice = self.squared(g) - reference.raw(v, unit.moment) - correction
        normal = twice >> 1
        if normal in (clip, clip + 1):
            cover.hit("at the clip" if normal == clip else "one above the clip")
        cover.hit("clip" if normal > clip else "no clip")
        if normal <= clip and twice % 2:
            cover.hit("normalised gradient rounded down")
        exponent = min(normal, clip) + lr
        fine = self.fine(exponent)
        rest = fine % (1 << r)
        if fine:
            cover.hit_distinct("entries", exponent % (1 << unit.moment.frac_bits))
        else:
            cover.hit("step cut away")
        if unit.rounding is Rounding.STOCHASTIC:
            if rest and rest + bits in ((1 << r) - 1, 1 << r):
                cover.hit("random bits just carry" if rest + bits == 1 << r else "random bits just do not carry")
        elif 2 * rest == 1 << r and r:
            cover.hit("tie, up to even" if fine >> r & 1 else "tie, down to even")
        step = self.step(exponent, bits)
        code = reference.code(w, unit.weight) + (step if signs[0] != signs[1] else -step)
        if code > unit.weight.max_code:
            cover.hit("saturate")
        elif code < 1:
            cover.hit(f"underflow, {'negative' if signs[0] else 'positive'}")
        elif step and code in (1, unit.weight.max_code):
            cover.hit("code 1" if code == 1 else "code max")


@dataclass(frozen=True)
class Update(OfDesign):
    """A design's update unit: both halves together."""

    module: ClassVar[str] = "lns_update"
    sources: ClassVar[tuple[str, ...]] = (*Moment.sources, *Step.sources, "lns_update.v")
    events: ClassVar[Event] = Step.events

    def __str__(self) -> str:
        return f"{self.step}, {self.design.update.table}"

    @cached_property
    def moment(self) -> Moment:
        return Moment(self.design)

    @cached_property
    def step(self) -> Step:
        return Step(self.design)

    def inputs(self) -> tuple[Port, ...]:
        weight, gradient, moment, bits, *constants = self.step.inputs()
        return weight, gradient, moment, bits, self._constant("read"), self._constant("term"), *constants

    def outputs(self) -> tuple[Port, ...]:
        word, *moment_events = self.moment.outputs()
        weight, *events = self.step.outputs()
        return weight, word, *events, *moment_events

    def parameters(self) -> dict[str, int | str]:
        return self.step.parameters() | self.moment.parameters()

    def roms(self) -> dict[str, str]:
        return self.step.roms() | self.moment.roms()

    def model(self, *operands: int) -> Sequence[int]:
        w, g, v, bits, *constants = operands
        word, moment, events, moment_events = reference.update(w, g, v, self.unit, UpdateConstants(*constants), bits)
        return word, moment, *flags(events, self.events), *flags(moment_events, self.moment.events)

    # --- stimuli

    def _moment_for(self, wanted: int, g: int, v: int, constants: UpdateConstants) -> int:
        """A moment that the update brings to a wanted code, as near as a few corrections come."""
        for _ in range(8):
            v += wanted - reference.moment(g, v, self.unit, constants)[0]
            v = max(1, min(self.unit.moment.max_code, v))
        return v

    def stimuli(self, rng: random.Random, count: int) -> Iterator[Beat]:
        """As both halves have them: what only they can show is theirs to cover."""
        unit, gradient, moment = self.unit, self.unit.gradient, self.unit.moment
        corners = [(g, v) for g in special_words(gradient) for v in special_words(moment)]
        for i in range(len(corners) * 8 + count):
            c, w = self.constants(rng), self.step.weights(rng)
            if i < len(corners) * 8:
                g, v = corners[i // 8]
            else:
                g = self.random_gradient(rng)
                v = self.near_squared(rng, g)
                if reference.code(g, gradient) and rng.random() < 0.1:  # at the clip, or a code beside it
                    wanted = self.squared(g) + moment.bias - 2 * c.clip - c.correction + rng.randrange(-2, 4)
                    v = self._moment_for(wanted, g, v, c)
            yield w, g, v, rng.getrandbits(unit.step_frac_bits), c.read, c.term, c.correction, c.clip, c.lr

    # --- coverage

    def coverage(self) -> Coverage:
        moment, step = self.moment.coverage().goals, self.step
        bins = ["hold: gradient zero", "hold: gradient zero with a sign", "no clip"]
        bins += [f"weight {w}, gradient {g}" for w in "+-" for g in "+-"]
        if "term: underflow" in moment:
            bins.append("hold: moment zero")
        if self._largest_normal > step.clip:
            bins.append("clip")
        if step.step(min(self._largest_normal, step.clip) + self.lrs[-1], (1 << self.unit.step_frac_bits) - 1):
            bins += ["saturate", "underflow, positive", "underflow, negative", "weight: no event"]
        for event in ("saturate", "underflow"):
            if any(f"{part}: {event}" in moment for part in ("read", "term", "sum")):
                bins.append(f"moment: {event}")
        return Coverage(dict.fromkeys([*bins, "moment: no event"], 1))

    @cached_property
    def _largest_normal(self) -> int:
        """The largest normalised gradient: unlike the halves' own, it has its own term in the moment."""
        moment, least = self.unit.moment, min(self.step.corrections)
        found = []
        for g in (*special_words(self.unit.gradient), *self.moment.last_vanished):
            if reference.code(g, self.unit.gradient):
                computed = self.squared(g) + self.moment.term + moment.bias
                new = max(1, min(computed, moment.max_code))
                found.append((self.squared(g) - (new - moment.bias) - least) >> 1)
        return max(found)

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        (w, g, v, bits, *constants), unit = transaction[0], self.unit
        new, moment, events, moment_events = reference.update(w, g, v, unit, UpdateConstants(*constants), bits)
        for event, name in ((Event.SATURATE, "saturate"), (Event.UNDERFLOW, "underflow")):
            if event in moment_events:
                cover.hit(f"moment: {name}")
        if not moment_events:
            cover.hit("moment: no event")
        negative = reference.sign(g, unit.gradient)
        if reference.code(g, unit.gradient) == 0:
            cover.hit("hold: gradient zero with a sign" if negative else "hold: gradient zero")
            return
        if moment == 0:
            cover.hit("hold: moment zero")
            return
        signs = "+-"[reference.sign(w, unit.weight)], "+-"[negative]
        cover.hit(f"weight {signs[0]}, gradient {signs[1]}")
        cover.hit("clip" if Event.CLIP in events else "no clip")
        if Event.SATURATE in events:
            cover.hit("saturate")
        if Event.UNDERFLOW in events:
            cover.hit(f"underflow, {'negative' if signs[0] == '-' else 'positive'}")
        if not events and new != w:
            cover.hit("weight: no event")


@dataclass(frozen=True)
class Lfsr(Combinational):
    """The random bits of one draw."""

    draw_bits: int

    module: ClassVar[str] = "lns_lfsr"
    sources: ClassVar[tuple[str, ...]] = ("lns_lfsr.v",)
    events: ClassVar[Event] = Event(0)

    def __str__(self) -> str:
        return f"{self.draw_bits} bits a draw"

    def inputs(self) -> tuple[Port, ...]:
        return (Port("state_i", 32),)

    def outputs(self) -> tuple[Port, ...]:
        return Port("state_o", 32), Port("random_o", self.draw_bits)

    def parameters(self) -> dict[str, int | str]:
        return {"DRAW_BITS": self.draw_bits}

    def model(self, *operands: int) -> Sequence[int]:
        return reference.lfsr_draw(operands[0], self.draw_bits)

    def stimuli(self, rng: random.Random, count: int) -> Iterator[Beat]:
        # the draw is linear: the states of a single bit tell all of it
        yield from ((1 << bit,) for bit in range(32))
        yield ((1 << 32) - 1,)
        yield from ((rng.randrange(1, 1 << 32),) for _ in range(count))

    def coverage(self) -> Coverage:
        return Coverage({"single bits": 32, "random bits at 0": self.draw_bits, "random bits at 1": self.draw_bits})

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        ((state,),) = transaction
        if state & (state - 1) == 0:
            cover.hit_distinct("single bits", state)
        drawn = reference.lfsr_draw(state, self.draw_bits)[1]
        for bit in range(self.draw_bits):
            cover.hit_distinct(f"random bits at {drawn >> bit & 1}", bit)


def instances(design: Design) -> list[Unit]:
    """The update unit and its halves; its random bits if it draws any."""
    units: list[Unit] = [kind(design, label="update") for kind in (Moment, Step, Update)]
    if design.update.rounding is Rounding.STOCHASTIC:
        units.append(Lfsr(design.update.step_frac_bits, label="update"))
    return units
