"""What decoders share: a significand from a ROM that is shifted and rounded (``lns_decode``)."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lns import reference
from lns.files import memh_text
from lns.gausslog import decoder_rom
from sim.verify.stimuli import random_word, special_words
from sim.verify.unit import Beat, Coverage, Transaction
from sim.verify.units.convert import octaves
from sim.verify.units.encode import Codec

__all__ = ["Decode"]


@dataclass(frozen=True)
class Decode(Codec):
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
