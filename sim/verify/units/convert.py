"""``lns_convert``, from one format and offset to another."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from lns import reference
from lns.design import Design, LogAccumulator
from lns.format import Event, LNSFormat, Rounding
from sim.verify.stimuli import hit_range, random_word, range_edges, special_words
from sim.verify.unit import Beat, Combinational, Coverage, Port, Transaction, Unit, flags, port_values

ROUND = {Rounding.NEAREST: 0, Rounding.DOWN: 1}  #: parameter ROUND


def octaves(fmt: LNSFormat) -> int:
    """Magnitudes at offset 0 lie within so many octaves of 1.0."""
    return 1 << (fmt.code_bits - 1 - fmt.frac_bits)


def octave_port(name: str, reach: int) -> Port:
    """A signed number of octaves; ``reach`` of them either way put every word out of range, and more change nothing."""
    return Port(name, reach.bit_length() + 1, signed=True)


@dataclass(frozen=True)
class Convert(Combinational):
    """A converter between two formats."""

    source: LNSFormat
    format: LNSFormat
    rounding: Rounding

    module: ClassVar[str] = "lns_convert"
    sources: ClassVar[tuple[str, ...]] = ("lns_range.v", "lns_convert.v")
    events: ClassVar[Event] = Event.SATURATE | Event.UNDERFLOW | Event.INVALID

    def __str__(self) -> str:
        return f"{self.source} to {self.format} {self.rounding.value}"

    def inputs(self) -> tuple[Port, ...]:
        offset = octave_port("offset_i", octaves(self.source) + octaves(self.format))
        return Port("a_i", self.source.bits, self.source), offset

    def outputs(self) -> tuple[Port, ...]:
        return Port("word_o", self.format.bits, self.format), *self.event_ports()

    def parameters(self) -> dict[str, int | str]:
        fmt, source = self.format, self.source
        return {
            "SOURCE_BITS": source.bits, "SOURCE_FRAC_BITS": source.frac_bits, "SOURCE_SIGNED": int(source.signed),
            "BITS": fmt.bits, "FRAC_BITS": fmt.frac_bits, "SIGNED": int(fmt.signed),
            "ROUND": ROUND[self.rounding], "OFFSET_BITS": self.inputs()[1].width,
        }  # fmt: skip

    def model(self, *operands: int) -> Sequence[int]:
        a, offset = operands
        word, events = reference.convert(a, self.source, self.format, offset, 0, self.rounding)
        return word, *flags(events, self.events)

    # --- stimuli

    @cached_property
    def _lost(self) -> int:
        """Fraction bits that the destination lacks."""
        return max(0, self.source.frac_bits - self.format.frac_bits)

    @cached_property
    def _gained(self) -> int:
        return max(0, self.format.frac_bits - self.source.frac_bits)

    @cached_property
    def _offsets(self) -> range:
        return port_values(self.inputs()[1])

    def _split(self, a: int, offset: int) -> tuple[int, int]:
        """The code rounded down, and what was cut off below it."""
        u = reference.raw(a, self.source) + (offset << self.source.frac_bits)
        return ((u << self._gained) >> self._lost) + self.format.bias, u % (1 << self._lost)

    def _operands(self, rng: random.Random, code: int, rest: int) -> Iterator[Beat]:
        """A word at a random offset with the given code and rest; none if there is none, or if chance misses it."""
        u = (((code - self.format.bias) << self._lost) + rest) >> self._gained
        least, most = (raw >> self.source.frac_bits for raw in (self.source.min_raw, self.source.max_raw))
        octave = u >> self.source.frac_bits
        for _ in range(8):
            offset = rng.randint(octave - most, octave - least)
            a = u - (offset << self.source.frac_bits) + self.source.bias
            if offset in self._offsets and 1 <= a <= self.source.max_code:
                yield random_word(rng, self.source, a), offset
                return

    def stimuli(self, rng: random.Random, count: int) -> Iterator[Beat]:
        fmt, offsets = self.format, self._offsets
        few = {offsets[0], offsets[0] + 1, -1, 0, 1, offsets[-1] - 1, offsets[-1]} | set(rng.choices(offsets, k=16))
        yield from ((a, offset) for a in special_words(self.source) for offset in sorted(few))
        half = 1 << self._lost >> 1
        rests = sorted({rest % (1 << self._lost) for rest in (0, 1, half - 1, half, half + 1, -1)})
        for edge in range_edges(fmt).values():
            for code in range(edge - 2, edge + 3):
                for rest in rests:
                    for _ in range(8):
                        yield from self._operands(rng, code, rest)
        # half of the rest all over the range of the result and at its ties, half of it anywhere
        for i in range(count):
            if i % 4 == 0:
                yield from self._operands(rng, rng.randint(0, fmt.max_code + 1), rng.choice(rests))
            elif i % 2 == 0:
                yield from self._operands(rng, rng.randint(0, fmt.max_code + 1), rng.randrange(1 << self._lost))
            yield rng.getrandbits(self.source.bits), rng.choice(offsets)

    # --- coverage

    def coverage(self) -> Coverage:
        source, fmt, nearest = self.source, self.format, self.rounding is Rounding.NEAREST
        bins = ["zero", "positive", "in range", "saturate", "underflow", "least offset", "largest offset"]
        # a destination with more fraction bits has codes that nothing is converted to
        edges = range_edges(fmt).items()
        bins += [name for name, code in edges if (code - fmt.bias) % (1 << self._gained) == 0]
        if source.signed:
            bins += ["zero with a sign", "negative" if fmt.signed else "negative into an unsigned format"]
        if self._lost:
            bins.append("exact")
            if nearest:
                bins += ["tie, down to even", "tie, up to even", "rounded up into saturation"]
        if self._lost > 1:
            bins += ["below half", "above half"]
            if nearest:
                bins.append("rounded up out of underflow")
        return Coverage(dict.fromkeys(bins, 1))

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        (a, offset), source, fmt = transaction[0], self.source, self.format
        if offset in (self._offsets[0], self._offsets[-1]):
            cover.hit("least offset" if offset < 0 else "largest offset")
        if reference.code(a, source) == 0:
            cover.hit("zero with a sign" if reference.sign(a, source) else "zero")
            return
        if reference.sign(a, source) and not fmt.signed:
            cover.hit("negative into an unsigned format")
            return
        cover.hit("negative" if reference.sign(a, source) else "positive")
        floor, rest = self._split(a, offset)
        code, half = floor, 1 << self._lost >> 1
        if self._lost:
            cover.hit(
                "exact" if rest == 0 else "tie" if rest == half else "below half" if rest < half else "above half"
            )
        if self.rounding is Rounding.NEAREST and self._lost and rest >= half:
            code += rest > half or floor % 2
            if rest == half:
                cover.hit("tie, up to even" if code > floor else "tie, down to even")
            if code > floor in (0, fmt.max_code):
                cover.hit("rounded up out of underflow" if floor == 0 else "rounded up into saturation")
        hit_range(cover, code, fmt)


def instances(design: Design) -> list[Unit]:
    """From the learnt weights to their compute copy, and from a log accumulator to its results."""
    formats, accumulator, rounding = design.formats, design.accumulator, design.conversion.rounding
    found: list[Unit] = []
    if formats.operand != formats.weight:  # else the compute copy is the weight itself
        found.append(Convert(formats.weight, formats.operand, rounding, label="operand"))
    if isinstance(accumulator, LogAccumulator):
        for name in ("activation", "error", "gradient"):
            found.append(Convert(accumulator.format, getattr(formats, name), rounding, label=name))
    return found
