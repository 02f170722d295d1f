"""``lns_linear_to_log``, from a linear accumulator to a word."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from lns import reference
from lns.design import Design, LogAccumulator
from lns.files import memh_text
from lns.format import LNSFormat
from lns.gausslog import log_rom
from lns.units import Units
from sim.verify.stimuli import hit_range, range_edges
from sim.verify.unit import Beat, Combinational, Coverage, Port, Transaction, Unit, flags, port_values
from sim.verify.units.convert import octave_port, octaves


@dataclass(frozen=True)
class LinearToLog(Combinational):
    """A converter of accumulators of A bits, with an index of M bits (docs/spec.md, sections 5 and 6)."""

    bits: int
    format: LNSFormat
    index_bits: int

    module: ClassVar[str] = "lns_linear_to_log"
    sources: ClassVar[tuple[str, ...]] = ("lns_range.v", "lns_linear_to_log.v")

    def __str__(self) -> str:
        return f"{self.bits} bits to {self.format}, index {self.index_bits}"

    def inputs(self) -> tuple[Port, ...]:
        return Port("acc_i", self.bits, signed=True), octave_port("exponent_i", octaves(self.format) + self.bits)

    def outputs(self) -> tuple[Port, ...]:
        return Port("word_o", self.format.bits, self.format), *self.event_ports()

    def parameters(self) -> dict[str, int | str]:
        return {
            "ACC_BITS": self.bits, "BITS": self.format.bits, "FRAC_BITS": self.format.frac_bits,
            "INDEX_BITS": self.index_bits, "EXPONENT_BITS": self.inputs()[1].width, "ROM_FILE": "log.memh",
        }  # fmt: skip

    @cached_property
    def rom(self) -> list[int]:
        entries: list[int] = log_rom(self.format.frac_bits, self.index_bits).tolist()
        return entries

    def roms(self) -> dict[str, str]:
        f, m = self.format.frac_bits, self.index_bits
        return {"log.memh": memh_text(self.rom, f + 1, f"linear-to-log ROM, F = {f}, index of {m} bits")}

    def model(self, *operands: int) -> Sequence[int]:
        acc, exponent = operands
        word, events = reference.linear_to_log(acc, exponent, self.rom, self.index_bits, self.format)
        return word, *flags(events, self.events)

    # --- stimuli

    @cached_property
    def _indices(self) -> range:
        """The entries that an accumulator can read: the longest magnitude but one has A - 2 bits under its leading
        one."""
        free = min(self.index_bits, self.bits - 2)
        return range(0, 1 << self.index_bits, 1 << (self.index_bits - free))

    @cached_property
    def _by_fraction(self) -> dict[int, list[int]]:
        """Entries with the same fraction of an octave."""
        found: dict[int, list[int]] = {}
        for index in self._indices:
            found.setdefault(self.rom[index] % (1 << self.format.frac_bits), []).append(index)
        return found

    @cached_property
    def _accs(self) -> range:
        return port_values(self.inputs()[0])

    @cached_property
    def _exponents(self) -> range:
        return port_values(self.inputs()[1])

    def _split(self, acc: int) -> tuple[int, int]:
        """The place of the leading one of a nonzero accumulator, and the index below it."""
        magnitude = abs(acc)
        place = magnitude.bit_length() - 1
        return place, reference.shift(magnitude, self.index_bits - place) % (1 << self.index_bits)

    def _acc(self, rng: random.Random, index: int) -> int:
        """An accumulator that reads an entry: any place, any bits below the index, any sign."""
        used = self.index_bits - (((index & -index).bit_length() - 1) if index else self.index_bits)
        place = rng.randint(used, max(used, self.bits - 2))
        magnitude = 1 << place | reference.shift(index, place - self.index_bits)
        if place > self.index_bits:
            magnitude |= rng.getrandbits(place - self.index_bits)
        return -magnitude if rng.getrandbits(1) else magnitude

    def _with_entry(self, rng: random.Random, index: int, code: int) -> Iterator[Beat]:
        """An accumulator that reads an entry, and the exponent that brings it near a code."""
        acc = self._acc(rng, index)
        octave = (code - self.format.bias - self.rom[index]) >> self.format.frac_bits
        exponent = octave - self._split(acc)[0]
        if exponent in self._exponents:
            yield acc, exponent

    def stimuli(self, rng: random.Random, count: int) -> Iterator[Beat]:
        fmt, every, exponents = self.format, self._accs, self._exponents
        accs = {every[0], every[0] + 1, every[-1] - 1, every[-1], 0}
        accs |= {s * ((1 << place) + step) for place in range(self.bits - 1) for step in (-1, 0, 1) for s in (-1, 1)}
        few = [exponents[0], exponents[-1], -self.bits, 1 - self.bits, -1, 0, 1, rng.choice(exponents)]
        yield from ((acc, exponent) for acc in sorted(accs) for exponent in few if exponent in exponents)
        for edge in range_edges(fmt).values():
            for code in range(edge - 2, edge + 3):
                fraction = (code - fmt.bias) % (1 << fmt.frac_bits)
                for _ in range(64 if fraction in self._by_fraction else 0):
                    yield from self._with_entry(rng, rng.choice(self._by_fraction[fraction]), code)
        for index in self._indices:
            yield from self._with_entry(rng, index, rng.randint(1, fmt.max_code))
        # half of them with short and long numbers alike and in the range of the format, half of them anything
        for i in range(count):
            if i % 2 == 0:
                yield from self._with_entry(rng, rng.choice(self._indices), rng.randint(1, fmt.max_code))
            yield rng.choice(every) >> rng.randrange(self.bits), rng.choice(exponents)

    # --- coverage

    def coverage(self) -> Coverage:
        bins = ["zero", "positive", "negative", "in range", "saturate", "underflow"]
        bins += ["least accumulator", "largest accumulator", "least exponent", "largest exponent"]
        # with few bits of index not every fraction has an entry
        f = (1 << self.format.frac_bits) - 1
        edges = range_edges(self.format).items()
        bins += [name for name, code in edges if (code - self.format.bias) & f in self._by_fraction]
        if any(self.rom[index] > f for index in self._indices):
            bins.append("entry carries into the octave")
        return Coverage(dict.fromkeys(bins, 1) | {"places": self.bits, "indices": len(self._indices)})

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        acc, exponent = transaction[0]
        for value, values, name in ((acc, self._accs, "accumulator"), (exponent, self._exponents, "exponent")):
            if value in (values[0], values[-1]):
                cover.hit(f"{'least' if value < 0 else 'largest'} {name}")
        if acc == 0:
            cover.hit("zero")
            return
        cover.hit("negative" if acc < 0 else "positive")
        place, index = self._split(acc)
        cover.hit_distinct("places", place)
        cover.hit_distinct("indices", index)
        if self.rom[index] >> self.format.frac_bits:
            cover.hit("entry carries into the octave")
        code = ((place + exponent) << self.format.frac_bits) + self.rom[index] + self.format.bias
        hit_range(cover, code, self.format)


def instances(design: Design) -> list[Unit]:
    """One for each format that a linear accumulator is rounded to."""
    accumulator, formats = design.accumulator, design.formats
    if isinstance(accumulator, LogAccumulator):
        return []
    index_bits = Units(design).index_bits
    return [
        LinearToLog(accumulator.bits, fmt, index_bits(fmt), label=name)
        for name, fmt in (("activation", formats.activation), ("error", formats.error), ("gradient", formats.gradient))
    ]
