"""``lns_encode_float``, ``lns_encode_fixed``, ``lns_decode_float``, ``lns_decode_fixed``: words and the outside."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from lns import reference
from lns.design import Design
from lns.files import memh_text
from lns.format import Event, LNSFormat
from lns.gausslog import decoder_rom, encoder_roms
from sim.verify.stimuli import hit_range, random_word, range_edges, special_words
from sim.verify.unit import Beat, Combinational, Coverage, Port, Transaction, Unit, flags, port_values
from sim.verify.units.convert import octave_port, octaves

#: Width of the fixed-point numbers of a design, which has no field for it: that of the usual converters and sensors.
#: The units need no number of fraction bits, it is part of their offset.
FIXED_BITS = 16

_FLOAT_BITS = 24  # of a float32's significand
_FLOAT_REACH = 150  # octaves: float32 lie from 2**-149 to below 2**128, and half the least one is the last tie
_INFINITY = 255 << 23
_FLOAT_SIGN = 1 << 31
_LEAST_NORMAL, _MOST = -126, 127  # octaves


@dataclass(frozen=True)
class _Codec(Combinational):
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
class _Encode(_Codec):
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


@dataclass(frozen=True)
class EncodeFloat(_Encode):
    """From float32."""

    module: ClassVar[str] = "lns_encode_float"
    sources: ClassVar[tuple[str, ...]] = ("lns_range.v", "lns_encode.v", "lns_encode_float.v")
    significand_step: ClassVar[int] = 1

    @property
    def significand_bits(self) -> int:
        return _FLOAT_BITS

    def inputs(self) -> tuple[Port, ...]:
        return Port("float_i", 32), octave_port("offset_i", octaves(self.format) + _FLOAT_REACH)

    def model(self, *operands: int) -> Sequence[int]:
        bits, offset = operands
        word, events = reference.encode_float(bits, self.format, offset)
        return word, *flags(events, self.events)

    def _operand(self, rng: random.Random, significand: int) -> tuple[int, int]:
        octave = rng.randint(_LEAST_NORMAL, _MOST)
        return self._signed(rng, ((octave + _MOST - 1) << 23) + significand), octave

    def _signed(self, rng: random.Random, pattern: int) -> int:
        """A number of any sign that the format has."""
        return pattern | (_FLOAT_SIGN if self.format.signed and rng.getrandbits(1) else 0)

    def stimuli(self, rng: random.Random, count: int) -> Iterator[Beat]:
        one, least_normal = 127 << 23, 1 << 23
        specials = [0, 1, 2, least_normal - 1, least_normal, one - 1, one, one + 1, _INFINITY - 1, _INFINITY]
        specials += [_INFINITY + 1, _INFINITY | 1 << 22, _FLOAT_SIGN - 1]  # NaN: signalling, quiet, all ones
        signed = [pattern | sign for pattern in specials for sign in (0, _FLOAT_SIGN)]
        yield from ((pattern, offset) for pattern in signed for offset in self._few_offsets(rng))
        for octave in range(_LEAST_NORMAL - 23, _MOST + 1):  # every exponent, and every length of a subnormal
            place = min(23, octave - _LEAST_NORMAL + 23)
            for _ in range(4):
                fraction = rng.getrandbits(place)
                pattern = fraction | (1 << place if place < 23 else (octave - _LEAST_NORMAL + 1) << 23)
                yield self._signed(rng, pattern), octave + rng.randint(-1, 1)
        yield from self._swept(rng, count - count // 2)
        for _ in range(count // 2):
            yield rng.getrandbits(32), rng.choice(self._offsets)

    def coverage(self) -> Coverage:
        bins = ["NaN", "+infinity", "-infinity", "+0", "-0"]
        return Coverage(dict.fromkeys(bins, 1) | {"octaves": _MOST + 1 - (_LEAST_NORMAL - 23)} | self._bins())

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        bits, offset = transaction[0]
        self._hit_offset(cover, offset)
        negative, pattern = bits >= _FLOAT_SIGN, bits % _FLOAT_SIGN
        if pattern > _INFINITY:
            cover.hit("NaN")
        elif pattern in (0, _INFINITY):
            cover.hit(f"{'-' if negative else '+'}{'infinity' if pattern else '0'}")
        else:
            exponent = max(pattern >> 23, 1)
            magnitude = pattern - ((exponent - 1) << 23)
            if self.format.signed or not negative:
                cover.hit_distinct("octaves", exponent + magnitude.bit_length())
            self._hit_finite(cover, negative, magnitude, exponent - _FLOAT_REACH - offset)


@dataclass(frozen=True)
class EncodeFixed(_Encode):
    """From two's complement of so many bits; the offset holds the number of fraction bits too."""

    bits: int

    module: ClassVar[str] = "lns_encode_fixed"
    sources: ClassVar[tuple[str, ...]] = ("lns_range.v", "lns_encode.v", "lns_encode_fixed.v")
    significand_step: ClassVar[int] = 2  # the least number alone has its leading one at the top, and nothing below

    def __str__(self) -> str:
        return f"{self.bits} bits to {self.format}"

    @property
    def significand_bits(self) -> int:
        return self.bits

    def inputs(self) -> tuple[Port, ...]:
        fixed = Port("fixed_i", self.bits, signed=True)
        return fixed, octave_port("offset_i", octaves(self.format) + self.bits)

    def parameters(self) -> dict[str, int | str]:
        return {"FIXED_BITS": self.bits} | super().parameters()

    def model(self, *operands: int) -> Sequence[int]:
        value, offset = operands
        word, events = reference.encode_fixed(value, 0, self.format, offset)
        return word, *flags(events, self.events)

    def _operand(self, rng: random.Random, significand: int) -> tuple[int, int]:
        zeros = (significand & -significand).bit_length() - 1
        shift = rng.randint(1, zeros)
        magnitude = significand >> shift
        return self._signed(rng, magnitude), self.bits - 1 - shift

    def _signed(self, rng: random.Random, magnitude: int) -> int:
        """A number of any sign that the format has."""
        return -magnitude if self.format.signed and rng.getrandbits(1) else magnitude

    def stimuli(self, rng: random.Random, count: int) -> Iterator[Beat]:
        values = port_values(self.inputs()[0])
        specials = {values[0], values[0] + 1, -2, -1, 0, 1, 2, values[-1] - 1, values[-1]}
        yield from ((value, offset) for value in sorted(specials) for offset in self._few_offsets(rng))
        for place in range(self.bits - 1):  # every length of a number
            for _ in range(4):
                magnitude = 1 << place | rng.getrandbits(place)
                yield self._signed(rng, magnitude), place + rng.randint(-1, 1)
        yield values[0], self.bits - 1
        yield from self._swept(rng, count - count // 2)
        for _ in range(count // 2):
            yield rng.choice(values), rng.choice(self._offsets)

    def coverage(self) -> Coverage:
        bins = ["zero", "least number", "largest number"]
        # the least number, which alone is that long, is negative
        return Coverage(dict.fromkeys(bins, 1) | {"places": self.bits - (not self.format.signed)} | self._bins())

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        value, offset = transaction[0]
        self._hit_offset(cover, offset)
        values = port_values(self.inputs()[0])
        if value in (values[0], values[-1]):
            cover.hit(f"{'least' if value < 0 else 'largest'} number")
        if value == 0:
            cover.hit("zero")
            return
        if self.format.signed or value > 0:
            cover.hit_distinct("places", abs(value).bit_length())
        self._hit_finite(cover, value < 0, abs(value), -offset)


@dataclass(frozen=True)
class _Decode(_Codec):
    """A decoder: an octave, and a significand from a ROM that is shifted and rounded."""

    @property
    @abstractmethod
    def rom_bits(self) -> int:
        """S."""

    @abstractmethod
    def _octaves(self) -> range:
        """The octaves of results that are not beyond every number, and one more at either end."""

    @abstractmethod
    def _shift(self, octave: int) -> int:
        """How many bits of the significand lie below the guard bit in an octave."""

    @cached_property
    def rom(self) -> list[int]:
        entries: list[int] = decoder_rom(self.format.frac_bits, self.rom_bits).tolist()
        return entries

    def roms(self) -> dict[str, str]:
        title = f"significands of a decoder, F = {self.format.frac_bits}, {self.rom_bits} fraction bits"
        return {"significand.memh": memh_text(self.rom, self.rom_bits + 1, title)}

    def parameters(self) -> dict[str, int | str]:
        return super().parameters() | {"ROM_FILE": "significand.memh"}

    @cached_property
    def _whole(self) -> list[int]:
        """The octaves below the top one in which as little of an entry as can be is cut off."""
        every = self._octaves()[:-2]
        return [octave for octave in every if self._shift(octave) == self._shift(every[-1])]

    def _edge(self, i: int) -> int:
        """The octave in which the result tells an entry from the one above or below it, of which those of `_whole`
        tell only the other: there the even one of entry and neighbour is an odd number of halves."""
        entry = self.rom[i] >> self._shift(self._whole[0])
        even = entry + entry % 2
        return self._whole[0] - ((even & -even).bit_length() - 1)

    def _rounded(self, shift: int, up: bool) -> list[int]:
        """The entries but 0 that round up, or do not, with so many bits cut off below the guard bit."""
        guard = decoder_rom(self.format.frac_bits, self.rom_bits)[1:] >> shift & 1
        found: list[int] = (np.flatnonzero(guard == up) + 1).tolist()
        return found

    def _split(self, word: int, offset: int) -> tuple[int, int]:
        """Octave and entry of a nonzero word."""
        p = reference.raw(word, self.format) + (offset << self.format.frac_bits)
        return p >> self.format.frac_bits, p % (1 << self.format.frac_bits)

    def _at(self, rng: random.Random, octave: int, i: int) -> Beat:
        """A word that reads an entry, any sign, and the offset that brings it to an octave."""
        fmt = self.format
        own = rng.randrange(i == 0, 2 * octaves(fmt))
        return random_word(rng, fmt, own << fmt.frac_bits | i), octave - own + octaves(fmt)

    def stimuli(self, rng: random.Random, count: int) -> Iterator[Beat]:
        every = self._octaves()
        few = self._few_offsets(rng)
        yield from ((word, offset) for word in special_words(self.format) for offset in few)
        # the octaves of float32, and as many beyond: no field may wrap around
        for offset in range(max(self._offsets[0], -400), min(self._offsets[-1], 400) + 1):
            for sign in sorted({0, self.format.sign_bit}):
                yield sign | self.format.bias, offset
        for i in range(len(self.rom)):
            yield self._at(rng, rng.choice(self._whole), i)
            yield self._at(rng, self._edge(i), i)
        for octave in every:  # every octave, and every rounding in it
            for i in (0, 0, 0, 0, len(self.rom) - 1, len(self.rom) - 1):
                yield self._at(rng, octave, i)
            for up in (False, True):
                found = self._rounded(self._shift(octave), up)
                for i in rng.choices(found, k=4) if found else []:
                    yield self._at(rng, octave, i)
        for i in range(count):
            if i % 2:
                yield rng.getrandbits(self.format.bits), rng.choice(self._offsets)
            else:
                yield self._at(rng, rng.choice(every), rng.randrange(len(self.rom)))

    def coverage(self) -> Coverage:
        bins = ["zero", "saturate", "underflow", "tie", "least offset", "largest offset"]
        if self.format.signed:
            bins += ["zero with a sign", "negative saturate", "negative underflow"]
        goals = dict.fromkeys(bins, 1) | {"octaves": len(self._octaves())}
        goals |= dict.fromkeys(("entries", "entries next to a rounding edge"), len(self.rom))
        for shift in sorted({self._shift(octave) for octave in self._octaves()}):
            for up, name in ((False, "down"), (True, "up")):
                if self._rounded(shift, up):
                    goals[f"{shift} bits below the guard bit, {name}"] = 1
        return Coverage(goals)

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        word, offset = transaction[0]
        self._hit_offset(cover, offset)
        sign = reference.sign(word, self.format)
        if reference.code(word, self.format) == 0:
            cover.hit("zero with a sign" if sign else "zero")
            return
        _, saturate, underflow = self.model(word, offset)
        for event, name in ((saturate, "saturate"), (underflow, "underflow")):
            if event:
                cover.hit(f"negative {name}" if sign else name)
        octave, i = self._split(word, offset)
        if octave not in self._octaves():
            return
        cover.hit_distinct("octaves", octave)
        if octave in self._whole:
            cover.hit_distinct("entries", i)
        if octave == self._edge(i):
            cover.hit_distinct("entries next to a rounding edge", i)
        shift = self._shift(octave)
        if i:
            up = self.rom[i] >> shift & 1
            cover.hit(f"{shift} bits below the guard bit, {'up' if up else 'down'}")
        elif shift == self.rom_bits:
            cover.hit("tie")


@dataclass(frozen=True)
class DecodeFloat(_Decode):
    """To float32."""

    module: ClassVar[str] = "lns_decode_float"
    sources: ClassVar[tuple[str, ...]] = ("lns_decode.v", "lns_decode_float.v")

    @property
    def rom_bits(self) -> int:
        return _FLOAT_BITS

    def inputs(self) -> tuple[Port, ...]:
        word = Port("word_i", self.format.bits, self.format)
        return word, octave_port("offset_i", octaves(self.format) + _FLOAT_REACH)

    def outputs(self) -> tuple[Port, ...]:
        return Port("float_o", 32), *self.event_ports()

    def model(self, *operands: int) -> Sequence[int]:
        word, offset = operands
        bits, events = reference.decode_float(word, self.format, offset)
        return bits, *flags(events, self.events)

    def _octaves(self) -> range:
        return range(-_FLOAT_REACH - 1, _MOST + 2)

    def _shift(self, octave: int) -> int:
        return max(0, _LEAST_NORMAL - octave)


@dataclass(frozen=True)
class DecodeFixed(_Decode):
    """To two's complement of so many bits; the offset holds the number of fraction bits too."""

    bits: int

    module: ClassVar[str] = "lns_decode_fixed"
    sources: ClassVar[tuple[str, ...]] = ("lns_decode.v", "lns_decode_fixed.v")

    def __str__(self) -> str:
        return f"{self.format} to {self.bits} bits"

    @property
    def rom_bits(self) -> int:
        return self.bits

    def inputs(self) -> tuple[Port, ...]:
        word = Port("word_i", self.format.bits, self.format)
        return word, octave_port("offset_i", octaves(self.format) + self.bits)

    def outputs(self) -> tuple[Port, ...]:
        return Port("fixed_o", self.bits, signed=True), *self.event_ports()

    def parameters(self) -> dict[str, int | str]:
        return {"FIXED_BITS": self.bits} | super().parameters()

    def model(self, *operands: int) -> Sequence[int]:
        word, offset = operands
        value, events = reference.decode_fixed(word, self.format, offset, self.bits, 0)
        return value, *flags(events, self.events)

    def _octaves(self) -> range:
        return range(-2, self.bits + 1)

    def _shift(self, octave: int) -> int:
        return max(0, self.bits - 1 - octave)

    def coverage(self) -> Coverage:
        cover = super().coverage()
        if self.format.signed:
            cover.goals["least number"] = 1
        return Coverage(cover.goals)

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        super().sample(cover, transaction)
        value, saturate, _ = self.model(*transaction[0])
        if value == -1 << (self.bits - 1) and not saturate:
            cover.hit("least number")


def instances(design: Design) -> list[Unit]:
    """All four of the activation format: inputs come in and results go out as activations."""
    fmt = design.formats.activation
    return [
        EncodeFloat(fmt, label="input"),
        EncodeFixed(fmt, FIXED_BITS, label="input"),
        DecodeFloat(fmt, label="output"),
        DecodeFixed(fmt, FIXED_BITS, label="output"),
    ]
