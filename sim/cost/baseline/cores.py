"""The combinational parts of the baselines: fused multiply-add, rounding, conversion from fixed point, requantising."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lns.format import Event
from sim.cost.baseline.formats import FloatFormat, Words, multiply_add, requantise
from sim.verify.unit import Beat, Combinational, Coverage, Port, Transaction

__all__ = ["ADDER", "MULTIPLIER", "NORMALISER", "FloatFromFixed", "FloatMac", "FloatRound", "IntRequantise", "edges"]

EXPONENT_BITS = 8  #: of the exponent that a result of a fixed-point sum is given

MULTIPLIER = ("float_leading_zeros.v", "float_unpack.v", "float_multiply.v")
NORMALISER = ("float_leading_zeros.v", "float_normalise.v")
ADDER = ("float_normalise.v", "float_add_narrow.v", "float_add_wide.v", "float_accumulate.v")


def edges(fmt: FloatFormat) -> list[int]:
    """Zero, subnormals and normal numbers where they meet, 1 and the largest, of both signs."""
    near_one = fmt.bias << fmt.man
    sizes = {0, 1, 2, (1 << fmt.man) - 1, 1 << fmt.man, near_one - 1, near_one, near_one + 1, fmt.largest - 1}
    return [size | sign << (fmt.bits - 1) for sign in (0, 1) for size in sorted(sizes | {fmt.largest})]


@dataclass(frozen=True)
class _Core(Combinational):
    """A core whose reference takes arrays."""

    events: ClassVar[Event] = Event(0)

    @abstractmethod
    def reference(self, *columns: Words) -> Words:
        """The output for arrays of the inputs, in the order of the ports."""

    def model(self, *operands: int) -> Sequence[int]:
        return self.reference(*(np.array([value]) for value in operands)).tolist()

    def coverage(self) -> Coverage:
        return Coverage(dict.fromkeys(("zero", "largest", "negative", "other"), 1))

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        ((result,),) = self.expect(transaction)
        (port,) = self.outputs()
        largest = (1 << (port.width - 1)) - 1 if port.signed else self.largest
        negative = result < 0 if port.signed else bool(result >> (port.width - 1))
        size = result if port.signed else result & ((1 << (port.width - 1)) - 1)
        cover.hit("zero" if size == 0 else "largest" if size == largest else "other")
        if negative:
            cover.hit("negative")

    @property
    def largest(self) -> int:
        """The largest result without its sign."""
        raise NotImplementedError


@dataclass(frozen=True)
class FloatMac(_Core):
    """acc + a·b in one rounding; a product as long as the accumulator's significand, or factors of its own format."""

    factor: FloatFormat
    acc: FloatFormat

    module: ClassVar[str] = "float_mac"
    sources: ClassVar[tuple[str, ...]] = (*MULTIPLIER, *ADDER, "float_mac.v")

    def __str__(self) -> str:
        return f"{self.factor} into {self.acc}"

    @property
    def largest(self) -> int:
        return self.acc.largest

    def inputs(self) -> tuple[Port, ...]:
        return Port("a_i", self.factor.bits), Port("b_i", self.factor.bits), Port("acc_i", self.acc.bits)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("acc_o", self.acc.bits),)

    def parameters(self) -> dict[str, int | str]:
        return {"EXP": self.factor.exp, "MAN": self.factor.man, "ACC_EXP": self.acc.exp, "ACC_MAN": self.acc.man}

    def reference(self, *columns: Words) -> Words:
        a, b, acc = columns
        return multiply_add(self.factor.decode(a), self.factor.decode(b), self.acc.decode(acc), self.acc)

    def stimuli(self, rng: random.Random, count: int) -> Iterable[Beat]:
        words, accs = edges(self.factor), edges(self.acc)
        yield from ((rng.choice(words), rng.choice(words), rng.choice(accs)) for _ in range(count))
        columns = self.draw(rng.getrandbits(63), count)
        yield from zip(*(column.tolist() for column in columns), strict=True)

    def draw(self, seed: int, count: int) -> tuple[Words, Words, Words]:
        """Random operands: any, subnormal, of few bits (then products are ties), and accumulators that are zero, near
        the product's negative, or far below it."""
        rng, fmt, acc_fmt = np.random.default_rng(seed), self.factor, self.acc
        a, b = (rng.integers(0, 1 << fmt.bits, count) for _ in range(2))
        acc = rng.integers(0, 1 << acc_fmt.bits, count)
        kind = rng.integers(0, 10, count)
        few = -(1 << max(fmt.man - 2, 0))
        a = np.where(kind == 1, a & few, a)
        b = np.where((kind <= 1) | (kind >= 7), b & few, b)
        a = np.where(kind == 2, a & ((1 << (fmt.bits - 1)) | ((1 << fmt.man) - 1)), a)
        a, b = (np.where(fmt.is_number(words), words, words & ~(3 << fmt.man)) for words in (a, b))
        octaves = np.where(kind >= 7, rng.integers(-acc_fmt.bias - acc_fmt.man, 0, count), rng.integers(-30, 30, count))
        factor = np.where(kind == 3, -1.0, np.ldexp(rng.uniform(-2, 2, count), octaves))
        near = acc_fmt.encode(fmt.decode(a) * fmt.decode(b) * factor) + rng.integers(-2, 3, count) * (kind == 5)
        acc = np.where(kind >= 3, near & ((1 << acc_fmt.bits) - 1), acc)
        acc = np.where(kind == 9, acc & (1 << (acc_fmt.bits - 1)), acc)
        return a, b, np.where(acc_fmt.is_number(acc), acc, acc & ~(3 << acc_fmt.man))


@dataclass(frozen=True)
class FloatRound(_Core):
    """A word to a smaller format."""

    source: FloatFormat
    target: FloatFormat

    module: ClassVar[str] = "float_round"
    sources: ClassVar[tuple[str, ...]] = ("float_round.v",)

    def __str__(self) -> str:
        return f"{self.source} to {self.target}"

    @property
    def largest(self) -> int:
        return self.target.largest

    def inputs(self) -> tuple[Port, ...]:
        return (Port("word_i", self.source.bits),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("word_o", self.target.bits),)

    def parameters(self) -> dict[str, int | str]:
        source, target = self.source, self.target
        own: dict[str, int | str] = {"FROM_EXP": source.exp, "FROM_MAN": source.man}
        return own | {"EXP": target.exp, "MAN": target.man, "LARGEST": target.largest}

    def reference(self, *columns: Words) -> Words:
        return self.target.encode(self.source.decode(columns[0]))

    def stimuli(self, rng: random.Random, count: int) -> Iterable[Beat]:
        yield from ((word,) for word in edges(self.source))
        yield from ((word,) for word in self.draw(rng.getrandbits(63), count).tolist())

    def draw(self, seed: int, count: int) -> Words:
        """All words of the target, ties between them, what is beside these, and any others."""
        rng, source, target = np.random.default_rng(seed), self.source, self.target
        sizes = np.arange(target.largest + 1)[rng.permutation(target.largest + 1)[:count]]
        values = source.encode(target.decode(sizes))
        half = 1 << (source.man - target.man - 1)
        beside = (values[:, None] + np.array([-1, 0, 1, half - 1, half, half + 1])).ravel()
        beside = beside[(beside >= 0) & source.is_number(beside)]
        small = rng.integers(0, 1 << (source.man + 1), count) + (
            rng.integers(source.bias - target.bias - target.man - 4, source.bias + target.bias + 4, count) << source.man
        )
        words = np.concatenate([beside, small & ((1 << (source.bits - 1)) - 1), rng.integers(0, source.largest, count)])
        words = words[source.is_number(words)]
        return words | rng.integers(0, 2, len(words)) << (source.bits - 1)


@dataclass(frozen=True)
class FloatFromFixed(_Core):
    """An integer in two's complement times a power of two to a word."""

    bits: int
    target: FloatFormat
    exponent_bits: int = EXPONENT_BITS

    module: ClassVar[str] = "float_from_fixed"
    sources: ClassVar[tuple[str, ...]] = (*NORMALISER, "float_from_fixed.v")

    def __str__(self) -> str:
        return f"{self.bits} bits to {self.target}"

    @property
    def largest(self) -> int:
        return self.target.largest

    def inputs(self) -> tuple[Port, ...]:
        return Port("acc_i", self.bits, signed=True), Port("exponent_i", self.exponent_bits, signed=True)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("word_o", self.target.bits),)

    def parameters(self) -> dict[str, int | str]:
        target = self.target
        own: dict[str, int | str] = {"ACC_BITS": self.bits, "EXPONENT_BITS": self.exponent_bits}
        return own | {"EXP": target.exp, "MAN": target.man, "LARGEST": target.largest}

    def reference(self, *columns: Words) -> Words:
        acc, exponent = columns
        return self.target.encode(np.ldexp(acc.astype(np.float64), exponent))

    def stimuli(self, rng: random.Random, count: int) -> Iterable[Beat]:
        least, most = -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        end = 1 << (self.exponent_bits - 1)
        for exponent in range(-end, end):
            yield from ((acc, exponent) for acc in (0, 1, -1, 3, -5, least, least + 1, most))
        for _ in range(count):
            size = rng.getrandbits(rng.randint(1, self.bits - 1))
            # few bits, so that ties occur
            size = size if rng.getrandbits(1) else size >> (shift := rng.randrange(self.bits)) << shift
            exponent = rng.randint(-self.bits - self.target.bias - self.target.man, self.target.bias + 2)
            yield size if rng.getrandbits(1) else -size, max(-end, min(exponent, end - 1))


@dataclass(frozen=True)
class IntRequantise(_Core):
    """An accumulator over a power of two to an integer of few bits."""

    acc_bits: int = 32
    bits: int = 8

    module: ClassVar[str] = "int_requantise"
    sources: ClassVar[tuple[str, ...]] = ("int_requantise.v",)

    def __str__(self) -> str:
        return f"{self.acc_bits} to {self.bits} bits"

    def inputs(self) -> tuple[Port, ...]:
        return Port("acc_i", self.acc_bits, signed=True), Port("shift_i", 5)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("word_o", self.bits, signed=True),)

    def parameters(self) -> dict[str, int | str]:
        return {"ACC_BITS": self.acc_bits, "BITS": self.bits}

    def reference(self, *columns: Words) -> Words:
        acc, shift = columns
        return requantise(acc, shift, self.bits)

    def stimuli(self, rng: random.Random, count: int) -> Iterable[Beat]:
        least, most = -(1 << (self.acc_bits - 1)), (1 << (self.acc_bits - 1)) - 1
        for shift in range(32):
            yield from ((acc, shift) for acc in (0, 1, -1, least, least + 1, most))
            # ties: odd multiples of half a unit, and what is beside them
            ties = [(odd << shift >> 1) + beside for odd in range(-9, 10, 2) for beside in (-1, 0, 1)]
            yield from ((acc, shift) for acc in ties if least <= acc <= most)
        for _ in range(count):
            shift = rng.randrange(32)
            yield max(least, min(int(rng.uniform(-140, 140) * 2**shift), most)), shift
