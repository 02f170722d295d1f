"""What the update unit and its halves share: the constants of a step are inputs, and their legal values those that the
controller of the design gives."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import cached_property

from lns import reference
from lns.design import Design
from lns.gausslog import Table
from lns.reference import UpdateConstants, UpdateUnit
from lns.units import Units
from sim.verify.unit import Combinational, Port

__all__ = ["UPDATES", "OfDesign"]

UPDATES = (1, 2, 10, 1000, 10**6)  #: numbers of an update: the bias correction at its largest, and gone


@dataclass(frozen=True)
class OfDesign(Combinational):
    """A unit that is built from a design's update section, with its constants as inputs."""

    design: Design

    def exhaustible_within(self, bits: int) -> bool:
        """Never: constants that no controller gives are not legal."""
        return False

    @cached_property
    def units(self) -> Units:
        return Units(self.design)

    @cached_property
    def unit(self) -> UpdateUnit:
        """Of the definition: plain integers, which index faster than arrays."""
        unit = self.units.update
        source = Table(unit.table.kind, unit.table.frac_bits, {k: rom.tolist() for k, rom in unit.table.roms.items()})
        return replace(unit, table=source, rom=[int(entry) for entry in unit.rom])

    @cached_property
    def shift(self) -> int:
        """Fraction bits that the moment has beside the gradient's."""
        return self.unit.moment.frac_bits - self.unit.gradient.frac_bits

    # --- the controller's constants

    @cached_property
    def falls(self) -> range:
        """Octaves by which the gradient's offset can have fallen since the last update (docs/spec.md, section 11)."""
        headroom, gradient = self.design.offsets.headroom, self.unit.gradient
        unused = (gradient.max_code - 1) >> gradient.frac_bits
        return range(-max(1, headroom), max(0, unused - headroom) + 1)

    @cached_property
    def lrs(self) -> range:
        """Constants of learning rates up to the design's; below the least every step is zero."""
        constants = self.units.update_constants(1, 0, 0)
        zero = -constants.clip - ((self.unit.step_frac_bits + 1) << self.unit.moment.frac_bits)
        return range(min(constants.lr, zero), constants.lr + 1)

    @cached_property
    def constant_bits(self) -> int:
        """Width that holds every constant."""
        first = self.units.update_constants(1, 0, self.falls[0])
        last = self.units.update_constants(UPDATES[-1], 0, self.falls[-1])
        values = [first.read, last.read, first.term, first.correction, last.correction, first.clip]
        values += [self.lrs[0], self.lrs[-1]]
        return max((value if value >= 0 else ~value).bit_length() for value in values) + 1

    def constants(self, rng: random.Random) -> UpdateConstants:
        """Those of a random step."""
        constants = self.units.update_constants(rng.choice(UPDATES), 0, rng.choice((0, 0, 0, *self.falls)))
        return replace(constants, lr=rng.choice((self.lrs[-1], rng.choice(self.lrs))))

    # --- ports and parameters

    def _constant(self, name: str) -> Port:
        return Port(f"{name}_i", self.constant_bits, signed=True)

    def _common(self) -> dict[str, int | str]:
        unit = self.unit
        return {
            "GRADIENT_BITS": unit.gradient.bits, "GRADIENT_SHIFT": self.shift, "MOMENT_BITS": unit.moment.bits,
            "FRAC_BITS": unit.moment.frac_bits, "CONSTANT_BITS": self.constant_bits,
        }  # fmt: skip

    def squared(self, g: int) -> int:
        """log2 of a nonzero gradient squared, in codes of the moment."""
        return 2 * reference.raw(g, self.unit.gradient) << self.shift

    def random_gradient(self, rng: random.Random) -> int:
        gradient = self.unit.gradient
        return rng.choice((0, gradient.sign_bit, 1, gradient.max_code, *(rng.getrandbits(gradient.bits),) * 8))

    def near_squared(self, rng: random.Random, g: int) -> int:
        """A moment near a gradient's square, or anywhere."""
        moment = self.unit.moment
        if reference.code(g, self.unit.gradient) and rng.random() < 0.6:
            octave = 1 << moment.frac_bits
            v = self.squared(g) + moment.bias + rng.randint(-8 * octave, 6 * octave)
            return max(0, min(moment.max_code, v))
        return rng.choice((0, 1, moment.max_code, rng.getrandbits(moment.bits)))
