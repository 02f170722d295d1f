"""``lns_encode_float``, ``lns_encode_fixed``, ``lns_decode_float``, ``lns_decode_fixed``: words and the outside."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from lns import reference
from lns.design import Design
from sim.verify.unit import Beat, Coverage, Port, Transaction, Unit, flags, port_values
from sim.verify.units.convert import octave_port, octaves
from sim.verify.units.decode import Decode
from sim.verify.units.encode import Encode

__all__ = ["FIXED_BITS", "DecodeFixed", "DecodeFloat", "EncodeFixed", "EncodeFloat", "instances"]

#: Width of the fixed-point numbers of a design, which has no field for it: that of the usual converters and sensors.
#: The units need no number of fraction bits, it is part of their offset.
FIXED_BITS = 16

_FLOAT_BITS = 24  # of a float32's significand
_FLOAT_REACH = 150  # octaves: float32 lie from 2**-149 to below 2**128, and half the least one is the last tie
_INFINITY = 255 << 23
_FLOAT_SIGN = 1 << 31
_LEAST_NORMAL, _MOST = -126, 127  # octaves


@dataclass(frozen=True)
class EncodeFloat(Encode):
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
class EncodeFixed(Encode):
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
        specials = {values[0], values[0] + 1, -2, -1, 0, 1, 2, values[-1] - 1, values[-1]}.intersection(values)
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
class DecodeFloat(Decode):
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
class DecodeFixed(Decode):
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
