"""What encoders share, a significand that two ROMs turn into a code (``lns_encode``); what decoders share with them."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from lns.files import memh_text
from lns.format import Event, LNSFormat
from lns.gausslog import encoder_roms
from sim.verify.stimuli import hit_range, range_edges
from sim.verify.unit import Beat, Combinational, Coverage, Port, port_values
from sim.verify.units.convert import octaves

__all__ = ["Codec", "Encode"]


@dataclass(frozen=True)
class Codec(Combinational):
    """An encoder or decoder of words of one format."""

    format: LNSFormat

    def __str__(self) -> str:
        return str(self.format)

    @cached_property
    def _offsets(self) -> range:
        return port_values(self.inputs()[1])

    def parameters(self) -> dict[str, int | str]:
        fmt = self.format
        return {
            "BITS": fmt.bits, "FRAC_BITS": fmt.frac_bits, "SIGNED": int(fmt.signed),
            "OFFSET_BITS": self.inputs()[1].width,
        }  # fmt: skip

    def _few_offsets(self, rng: random.Random) -> list[int]:
        offsets = self._offsets
        return sorted({offsets[0], offsets[0] + 1, -1, 0, 1, offsets[-1] - 1, offsets[-1], *rng.choices(offsets, k=8)})

    def _hit_offset(self, cover: Coverage, offset: int) -> None:
        if offset in (self._offsets[0], self._offsets[-1]):
            cover.hit("least offset" if offset < 0 else "largest offset")


@dataclass(frozen=True)
class Encode(Codec):
    """An encoder: an octave, and a significand that is looked up in two ROMs."""

    significand_step: ClassVar[int]  # the significands that operands have are its multiples
    events: ClassVar[Event] = Event.SATURATE | Event.UNDERFLOW | Event.INVALID

    @property
    @abstractmethod
    def significand_bits(self) -> int:
        """P."""

    @abstractmethod
    def _operand(self, rng: random.Random, significand: int) -> tuple[int, int]:
        """An operand that has a significand, of a sign that the format has, and its octave."""

    def outputs(self) -> tuple[Port, ...]:
        return Port("word_o", self.format.bits, self.format), *self.event_ports()

    @cached_property
    def _tables(self) -> tuple[list[int], list[int]]:
        base, threshold = encoder_roms(self.format.frac_bits, self.significand_bits)
        return base.tolist(), threshold.tolist()

    @property
    def _rest_bits(self) -> int:
        return self.significand_bits - len(self._tables[0]).bit_length()

    def parameters(self) -> dict[str, int | str]:
        files = {"BASE_FILE": "base.memh"}
        if self._rest_bits:
            files["THRESHOLD_FILE"] = "threshold.memh"
        return super().parameters() | files

    def roms(self) -> dict[str, str]:
        base, threshold = self._tables
        of = f"of an encoder, F = {self.format.frac_bits}, significands of {self.significand_bits} bits"
        images = {"base.memh": memh_text(base, self.format.frac_bits + 1, f"bases {of}")}
        if self._rest_bits:
            images["threshold.memh"] = memh_text(threshold, self._rest_bits + 1, f"thresholds {of}")
        return images

    def _split(self, significand: int) -> tuple[int, int]:
        """Bucket and rest of a significand."""
        r = self._rest_bits
        return (significand >> r) % len(self._tables[0]), significand % (1 << r)

    def _fraction(self, significand: int) -> int:
        """Codes above the octave, 0 to 2**F."""
        (base, threshold), (m, rest) = self._tables, self._split(significand)
        return base[m] + (rest >= threshold[m])

    @cached_property
    def _edges(self) -> tuple[dict[int, int], dict[int, int]]:
        """The last significand below the boundary in a bucket, and the first above it; by bucket, where there are."""
        below, above = {}, {}
        r, step = self._rest_bits, self.significand_step
        for m, threshold in enumerate(self._tables[1]):
            if r and threshold < 1 << r:
                last = (threshold - 1) // step * step
                start = 1 << (self.significand_bits - 1) | m << r
                below[m] = start | last
                if last + step < 1 << r:
                    above[m] = start | last + step
        return below, above

    @cached_property
    def _sweep(self) -> list[int]:
        """Both ends of every bucket, and both sides of every boundary."""
        r, step, top = self._rest_bits, self.significand_step, 1 << (self.significand_bits - 1)
        starts = [top | m << r for m in range(len(self._tables[0]))]
        ends = [start + ((1 << r) - 1) // step * step for start in starts]
        below, above = self._edges
        found = {*starts, *ends, *below.values(), *above.values()}
        return sorted(y for y in found if y % step == 0)

    @cached_property
    def _by_fraction(self) -> dict[int, list[int]]:
        """Significands with the same fraction of a code."""
        found: dict[int, list[int]] = {}
        for y in self._sweep:
            found.setdefault(self._fraction(y) % (1 << self.format.frac_bits), []).append(y)
        return found

    def _at(self, rng: random.Random, significand: int, octave: int) -> Beat:
        """An operand with a significand, and the offset from which it is so many octaves away, clamped to the port."""
        operand, own = self._operand(rng, significand)
        return operand, max(self._offsets[0], min(own - octave, self._offsets[-1]))

    def _swept(self, rng: random.Random, count: int) -> Iterator[Beat]:
        """Every bucket and boundary, the edges of the range, and random significands in and near the range."""
        fmt = self.format
        for y in self._sweep:
            for octave in (-1, 0):  # next to 1.0 every format has words
                yield self._at(rng, y, octave)
        for edge in range_edges(fmt).values():
            for raw in range(edge - 2 - fmt.bias, edge + 3 - fmt.bias):
                found = self._by_fraction.get(raw % (1 << fmt.frac_bits), [])
                for y in rng.choices(found, k=16) if found else []:
                    yield self._at(rng, y, (raw - self._fraction(y)) >> fmt.frac_bits)
        top = 1 << (self.significand_bits - 1)
        reach = octaves(fmt)
        for _ in range(count):
            y = rng.randrange(top, 2 * top, self.significand_step)
            yield self._at(rng, y, rng.randint(-reach - 1, reach))

    def _bins(self) -> dict[str, int]:
        fmt = self.format
        bins = ["positive", "negative" if fmt.signed else "negative into an unsigned format"]
        bins += ["in range", "saturate", "underflow", "least offset", "largest offset"]
        edges = range_edges(fmt).items()
        bins += [name for name, code in edges if (code - fmt.bias) % (1 << fmt.frac_bits) in self._by_fraction]
        below, above = self._edges
        goals = dict.fromkeys(bins, 1) | {"buckets": len({self._split(y)[0] for y in self._sweep})}
        for name, edge in (("significands below a boundary", below), ("significands above a boundary", above)):
            if edge:
                goals[name] = len(edge)
        return goals

    def _hit_finite(self, cover: Coverage, negative: bool, magnitude: int, exponent: int) -> None:
        """The bins of the nonzero number ±magnitude·2**exponent, offset in."""
        fmt = self.format
        if negative and not fmt.signed:
            cover.hit("negative into an unsigned format")
            return
        cover.hit("negative" if negative else "positive")
        place = magnitude.bit_length() - 1
        y = magnitude << (self.significand_bits - 1 - place)
        octave = exponent + place
        m, _ = self._split(y)
        below, above = self._edges
        if octave in (-1, 0):
            cover.hit_distinct("buckets", m)
            if below.get(m) == y:
                cover.hit_distinct("significands below a boundary", m)
            if above.get(m) == y:
                cover.hit_distinct("significands above a boundary", m)
        hit_range(cover, (octave << fmt.frac_bits) + self._fraction(y) + fmt.bias, fmt)
