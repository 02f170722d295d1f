"""Operands of products and dot products: pairs of words by the code of their product, and rows of pairs as beats."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from lns import reference
from lns.format import LNSFormat
from sim.verify.stimuli import random_word, special_words
from sim.verify.unit import Beat, Coverage, Port, Transaction, Unit

__all__ = ["OPERAND_BINS", "Dot", "Factors", "Words", "hit_operands"]

Words = tuple[int, int]  #: an operand of each format


@dataclass(frozen=True)
class Factors:
    """Two formats whose products are counted in codes at F fraction bits, at least those of either."""

    a: LNSFormat
    b: LNSFormat
    frac_bits: int

    @property
    def shifts(self) -> tuple[int, int]:
        return self.frac_bits - self.a.frac_bits, self.frac_bits - self.b.frac_bits

    def ports(self) -> tuple[Port, Port]:
        """Of one operand each."""
        return Port("a_i", self.a.bits, self.a), Port("b_i", self.b.bits, self.b)

    def parameters(self) -> dict[str, int | str]:
        """The Verilog parameters of the operands."""
        a_shift, b_shift = self.shifts
        return {"A_BITS": self.a.bits, "B_BITS": self.b.bits, "A_SHIFT": a_shift, "B_SHIFT": b_shift}

    @property
    def least(self) -> int:
        """The smallest product's raw code."""
        return (self.a.min_raw << self.shifts[0]) + (self.b.min_raw << self.shifts[1])

    @property
    def most(self) -> int:
        """The largest product's raw code."""
        return (self.a.max_raw << self.shifts[0]) + (self.b.max_raw << self.shifts[1])

    def raw(self, words: Words) -> int:
        """The raw code of a product of nonzero words."""
        a, b = reference.raw(words[0], self.a), reference.raw(words[1], self.b)
        return (a << self.shifts[0]) + (b << self.shifts[1])

    def words(self, rng: random.Random, raw: int, negative: bool | None = None) -> Words | None:
        """Random words whose product has a raw code, and a sign if one is asked for; None if there are none."""
        a_is_coarse = self.shifts[0] > self.shifts[1]
        coarse, fine = (self.a, self.b) if a_is_coarse else (self.b, self.a)
        high, low = max(self.shifts), min(self.shifts)
        if raw % (1 << low):
            return None
        first = max(coarse.min_raw, -((-raw + (fine.max_raw << low)) >> high))
        last = min(coarse.max_raw, (raw - (fine.min_raw << low)) >> high)
        if first > last:
            return None
        chosen = rng.randint(first, last)
        rest = (raw - (chosen << high)) >> low
        one = random_word(rng, coarse, chosen + coarse.bias)
        sign = rng.getrandbits(1) if negative is None else int(negative) ^ reference.sign(one, coarse)
        two = (rest + fine.bias) | (fine.sign_bit if sign else 0)
        return (one, two) if a_is_coarse else (two, one)

    def specials(self) -> Iterator[Words]:
        yield from ((a, b) for a in special_words(self.a) for b in special_words(self.b))

    def any(self, rng: random.Random) -> Words:
        return rng.getrandbits(self.a.bits), rng.getrandbits(self.b.bits)

    def opposite(self, words: Words) -> Words:
        """The words of the product's negative."""
        return words[0] ^ self.a.sign_bit, words[1]

    def zero(self, rng: random.Random) -> Words:
        """Words of which at least one is a zero, with or without a sign."""
        a, b = self.any(rng)
        zero_a, zero_b = random_word(rng, self.a, 0), random_word(rng, self.b, 0)
        return rng.choice([(zero_a, b), (a, zero_b), (zero_a, zero_b)])

    def is_zero(self, words: Words) -> bool:
        return reference.code(words[0], self.a) == 0 or reference.code(words[1], self.b) == 0


OPERAND_BINS = ("zero a", "zero b", "both zero", "zero with a sign", "signs equal", "signs unlike")


def hit_operands(cover: Coverage, words: Words, factors: Factors) -> bool:
    """The bins of `OPERAND_BINS`. Whether neither word is zero."""
    formats = (factors.a, factors.b)
    zeros = [reference.code(word, fmt) == 0 for word, fmt in zip(words, formats, strict=True)]
    signs = [reference.sign(word, fmt) for word, fmt in zip(words, formats, strict=True)]
    for zero, name in ((zeros[0], "zero a"), (zeros[1], "zero b"), (all(zeros), "both zero")):
        if zero:
            cover.hit(name)
    if any(zero and sign for zero, sign in zip(zeros, signs, strict=True)):
        cover.hit("zero with a sign")
    if any(zeros):
        return False
    cover.hit("signs equal" if signs[0] == signs[1] else "signs unlike")
    return True


@dataclass(frozen=True)
class Dot(Unit):
    """A sequential dot product of rows of words: a beat is ``(last, a, b)``, each a bus with lane 0 in its low bits."""

    sequential: ClassVar[bool] = True

    lanes: int

    @property
    @abstractmethod
    def factors(self) -> Factors:
        """The operands' formats, and what their products are counted in."""

    def inputs(self) -> tuple[Port, ...]:
        a, b = self.factors.a.bits, self.factors.b.bits
        return Port("last_i", 1), Port("a_i", self.lanes * a), Port("b_i", self.lanes * b)

    def beats(self, row: Sequence[Words]) -> Transaction:
        """The beats of a dot product; lanes without a term get zero words."""
        beats: list[Beat] = []
        known: dict[tuple[Words, ...], Beat] = {}  # long rows repeat themselves
        for first in range(0, len(row), self.lanes):
            cycle = tuple(row[first : first + self.lanes])
            if cycle not in known:
                a = sum(word << lane * self.factors.a.bits for lane, (word, _) in enumerate(cycle))
                b = sum(word << lane * self.factors.b.bits for lane, (_, word) in enumerate(cycle))
                known[cycle] = (0, a, b)
            beats.append(known[cycle])
        beats[-1] = (1, *beats[-1][1:])
        return tuple(beats)

    def cycle(self, beat: Beat) -> list[Words]:
        """The words of a beat, by lane."""
        _, a, b = beat
        bits_a, bits_b = self.factors.a.bits, self.factors.b.bits
        mask_a, mask_b = (1 << bits_a) - 1, (1 << bits_b) - 1
        return [(a >> lane * bits_a & mask_a, b >> lane * bits_b & mask_b) for lane in range(self.lanes)]

    def rows(self, transaction: Transaction) -> tuple[list[int], list[int]]:
        """The two rows of words of a transaction."""
        known: dict[Beat, list[Words]] = {}
        pairs: list[Words] = []
        for beat in transaction:
            if beat not in known:
                known[beat] = self.cycle(beat)
            pairs += known[beat]
        return [a for a, _ in pairs], [b for _, b in pairs]

    def transactions(self, seed: int, count: int, exhaustive: bool) -> list[Transaction]:
        rng = self.random(seed)
        return [self.beats(row) for row in (*self.corners(rng), *(self.random_row(rng) for _ in range(count)))]

    @abstractmethod
    def corners(self, rng: random.Random) -> Iterator[list[Words]]:
        """Rows of words that reach every bin, however few random ones there are."""

    def shared_corners(self, rng: random.Random) -> Iterator[list[Words]]:
        """Rows without a term, of special words, that cancel within a cycle and between cycles, of every length."""
        factors, lanes = self.factors, self.lanes
        yield [(0, 0)]
        yield [(factors.a.sign_bit, factors.b.sign_bit)] * (lanes + 1)
        yield [factors.zero(rng) for _ in range(3 * lanes)]
        specials = list(factors.specials())
        rng.shuffle(specials)
        yield from ([words] for words in specials)
        yield specials
        for raw in (factors.most, *(rng.randint(factors.least, factors.most) for _ in range(6))):
            words = factors.words(rng, raw)
            if words is not None:
                yield [words, factors.opposite(words)]
                yield [words, *[(0, 0)] * (lanes - 1), factors.opposite(words)]
        for length in range(1, 4 * lanes + 2):
            yield [factors.any(rng) for _ in range(length)]

    def random_row(self, rng: random.Random) -> list[Words]:
        """A random number of words of one or two kinds; half of the rows end with a full cycle."""
        lanes, factors = self.lanes, self.factors
        cycles = rng.choice([1, 1, 2, 2, 3, rng.randint(1, 8)])
        length = cycles * lanes - (rng.randrange(lanes) if rng.getrandbits(1) else 0)
        kinds = [rng.choice(self.kinds()) for _ in range(2)]
        row: list[Words] = []
        while len(row) < length:
            words = rng.choice(kinds)(rng)
            row.append(words)
            if rng.randrange(8) == 0:
                row.append(factors.opposite(rng.choice(row)))
        return row[:length]

    def kinds(self) -> list[Callable[[random.Random], Words]]:
        """How the words of a random row are drawn: anything, zeros, products near the largest one of one sign."""
        factors = self.factors
        unit = 1 << factors.frac_bits

        def large(rng: random.Random, negative: bool) -> Words:
            raw = max(factors.least, factors.most - rng.randrange(2 * unit))
            return factors.words(rng, raw, negative) or factors.any(rng)

        return [factors.any, factors.any, factors.zero, lambda rng: large(rng, False), lambda rng: large(rng, True)]

    def shared_bins(self) -> list[str]:
        bins = ["no product", "zero with a sign", "one beat", "several beats", "signs unlike"]
        return [*bins, "last beat not full", "last beat full"] if self.lanes > 1 else bins

    def hit_shared(self, cover: Coverage, transaction: Transaction) -> None:
        a, b = self.factors.a, self.factors.b
        signs: set[int] = set()
        for beat in dict.fromkeys(transaction):
            for words in self.cycle(beat):
                if not self.factors.is_zero(words):
                    signs.add(reference.sign(words[0], a) ^ reference.sign(words[1], b))
                elif words[0] == a.sign_bit or words[1] == b.sign_bit:
                    cover.hit("zero with a sign")
        if not signs:
            cover.hit("no product")
        elif len(signs) == 2:
            cover.hit("signs unlike")
        cover.hit("one beat" if len(transaction) == 1 else "several beats")
        if self.lanes > 1:
            cover.hit("last beat not full" if self.cycle(transaction[-1])[-1] == (0, 0) else "last beat full")
