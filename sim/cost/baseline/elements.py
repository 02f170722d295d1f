"""Processing elements of the baselines: L lanes, accumulators and the conversion of results, as `Unit`s."""

from __future__ import annotations

import math
import random
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lns.format import Event
from sim.cost.baseline.cores import ADDER, EXPONENT_BITS, MULTIPLIER, edges
from sim.cost.baseline.formats import (
    BFLOAT16,
    E4M3,
    E5M2,
    FLOAT16,
    FLOAT32,
    Float64s,
    FloatFormat,
    Words,
    fixed_terms,
    multiply_add,
    requantise,
)
from sim.verify.unit import Beat, Coverage, Port, Transaction, Unit

__all__ = ["Element", "FloatElementDot", "FloatElementMac", "IntElement", "instances"]

_CONTROL = ("lns_pipeline.v", "baseline_control.v")
_ACCUMULATOR = (*_CONTROL, "baseline_accumulator.v")


@dataclass(frozen=True)
class Element(Unit):
    """A sequential unit whose beats are ``(last, a, b, constants…)``, a and b each a bus of words, lane 0 lowest.

    Attributes
    ----------
    lanes : int
    depth : int
        Register stages before the accumulators, unless a wrapper says otherwise.
    """

    events: ClassVar[Event] = Event(0)
    sequential: ClassVar[bool] = True

    lanes: int
    depth: int = 1

    @property
    @abstractmethod
    def word_bits(self) -> int:
        """Of an operand."""

    @property
    @abstractmethod
    def outputs_at_once(self) -> int:
        """Results of a transaction: one, to which all lanes add, or one a lane."""

    def constants(self) -> tuple[Port, ...]:
        """Inputs that belong to a tensor; those of a last beat are used."""
        return ()

    def inputs(self) -> tuple[Port, ...]:
        width = self.lanes * self.word_bits
        return Port("last_i", 1), Port("a_i", width), Port("b_i", width), *self.constants()

    # --- transactions from words and back

    def beats(self, a: Words, b: Words, constants: Sequence[int] = ()) -> Transaction:
        """A transaction from words, (beats, lanes) each."""
        buses = ([self._bus(row) for row in words.tolist()] for words in (a, b))
        rows = list(zip(*buses, strict=True))
        return tuple((int(k == len(rows) - 1), *row, *constants) for k, row in enumerate(rows))

    def _bus(self, words: Sequence[int]) -> int:
        mask = (1 << self.word_bits) - 1
        return sum((word & mask) << (lane * self.word_bits) for lane, word in enumerate(words))

    def words(self, transaction: Transaction) -> tuple[Words, Words]:
        """The words of a transaction, (beats, lanes) each, as unsigned numbers."""
        size = -(-self.lanes * self.word_bits // 8)
        columns = []
        for bus in (1, 2):
            data = b"".join(beat[bus].to_bytes(size, "little") for beat in transaction)
            columns.append(np.frombuffer(data, f"<u{self.word_bits // 8}").astype(np.int64).reshape(-1, self.lanes))
        return columns[0], columns[1]

    # --- stimuli

    @abstractmethod
    def special_words(self) -> list[int]:
        """Operands at the edges."""

    @abstractmethod
    def quantise(self, values: Float64s) -> Words:
        """A tensor as words, scaled by a power of two as training in the format does it.

        The largest magnitude becomes the format's (8-bit formats), at most 1 (float16, whose losses are scaled), or
        stays (float32 and bfloat16).
        """

    @abstractmethod
    def numbers(self, words: Words) -> Float64s:
        """What words stand for."""

    @abstractmethod
    def constants_for(self, factors: tuple[float, float], result: float) -> Beat:
        """The constants of a product of matrices, from the largest magnitudes of its two factors and of its results.

        Results that may be scaled are brought just under the largest word, less than an octave below it.
        """

    @abstractmethod
    def random_words(self, rng: np.random.Generator, beats: int) -> Words:
        """Uniform operands, (beats, lanes)."""

    @abstractmethod
    def random_constants(self, rng: random.Random, a: Words, b: Words) -> Beat:
        """Constants for words, (beats, lanes) each, under which results are neither all zero nor all saturated,
        mostly."""

    def transactions(self, seed: int, count: int, exhaustive: bool) -> list[Transaction]:
        rng = self.random(seed)
        numbers = np.random.default_rng(rng.getrandbits(63))
        rows = [*self._corners(numbers), *(self._row(numbers) for _ in range(count))]
        return [self.beats(a, b, self.random_constants(rng, a, b)) for a, b in rows]

    def _corners(self, rng: np.random.Generator) -> Iterator[tuple[Words, Words]]:
        special = np.array(self.special_words())
        pairs = np.stack(np.meshgrid(special, special), -1).reshape(-1, 2)
        pairs = np.concatenate([pairs, np.zeros((-len(pairs) % self.lanes, 2), np.int64)])
        beats = pairs[rng.permutation(len(pairs))].reshape(-1, self.lanes, 2)
        zero = np.zeros((1, self.lanes), np.int64)
        largest = np.full((64, self.lanes), self.special_words()[-1] & ((1 << (self.word_bits - 1)) - 1))
        yield zero, zero
        yield largest, largest
        yield largest, self.negative(largest)
        yield beats[..., 0], beats[..., 1]
        yield from ((beat[None, :, 0], beat[None, :, 1]) for beat in beats[:64])

    @abstractmethod
    def negative(self, words: Words) -> Words:
        """The words of the negatives."""

    def stimulus_words(self, rng: np.random.Generator, beats: int) -> Words:
        """Operands of a bench, (beats, lanes)."""
        return self.random_words(rng, beats)

    def _row(self, rng: np.random.Generator) -> tuple[Words, Words]:
        """Random words; now and then the row comes back with the other sign, so that sums cancel."""
        beats = int(rng.choice([1, 2, 3, int(rng.integers(1, 20))]))
        a, b = self.stimulus_words(rng, beats), self.stimulus_words(rng, beats)
        if rng.integers(0, 4) == 0:
            a, b = np.concatenate([a, self.negative(a)]), np.concatenate([b, b])
        return a, b

    # --- coverage

    @abstractmethod
    def results_of(self, transaction: Transaction) -> Words:
        """The results, as unsigned words."""

    def coverage(self) -> Coverage:
        return Coverage(dict.fromkeys(("one beat", "several beats", "zero", "largest", "negative", "other"), 1))

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        cover.hit("one beat" if len(transaction) == 1 else "several beats")
        for result in self.results_of(transaction).tolist():
            cover.hit(self.kind(result))
            if result >> (self.result_bits - 1):
                cover.hit("negative")

    @property
    @abstractmethod
    def result_bits(self) -> int:
        """Of one result."""

    @abstractmethod
    def kind(self, result: int) -> str:
        """``zero``, ``largest`` or ``other``."""


@dataclass(frozen=True, kw_only=True)
class _FloatElement(Element):
    """An element whose operands and results are floating-point words."""

    factor: FloatFormat

    @property
    @abstractmethod
    def result(self) -> FloatFormat:
        """The format of a result."""

    @property
    def word_bits(self) -> int:
        return self.factor.bits

    @property
    def result_bits(self) -> int:
        return self.result.bits

    def kind(self, result: int) -> str:
        size = result & ((1 << (self.result_bits - 1)) - 1)
        return "zero" if size == 0 else "largest" if size == self.result.largest else "other"

    def special_words(self) -> list[int]:
        return edges(self.factor)

    def negative(self, words: Words) -> Words:
        return words ^ (1 << (self.word_bits - 1))

    def random_words(self, rng: np.random.Generator, beats: int) -> Words:
        sizes = rng.integers(0, self.factor.largest + 1, (beats, self.lanes))
        return sizes | rng.integers(0, 2, (beats, self.lanes)) << (self.word_bits - 1)

    def quantise(self, values: Float64s) -> Words:
        if self.factor.operands_to is not None:
            values = np.ldexp(values, _octaves(self.factor.operands_to, values))
        return self.factor.encode(values)

    def numbers(self, words: Words) -> Float64s:
        return self.factor.decode(words)

    def values(self, transaction: Transaction) -> tuple[Float64s, Float64s]:
        """The numbers of a transaction, (beats, lanes) each."""
        a, b = self.words(transaction)
        return self.numbers(a), self.numbers(b)


@dataclass(frozen=True, kw_only=True)
class FloatElementMac(_FloatElement):
    """Lanes of fused multiply-accumulate, each with a sum and a result of its own."""

    acc: FloatFormat
    output: FloatFormat

    module: ClassVar[str] = "float_element_mac"
    sources: ClassVar[tuple[str, ...]] = (*_CONTROL, *MULTIPLIER, *ADDER, "float_round.v", "float_element_mac.v")

    def __str__(self) -> str:
        return f"{self.factor} into {self.acc}, result {self.output}, {self.lanes} lanes"

    @property
    def result(self) -> FloatFormat:
        return self.output

    @property
    def outputs_at_once(self) -> int:
        return self.lanes

    def outputs(self) -> tuple[Port, ...]:
        return (Port("word_o", self.lanes * self.output.bits),)

    def parameters(self) -> dict[str, int | str]:
        own: dict[str, int | str] = {"LANES": self.lanes, "EXP": self.factor.exp, "MAN": self.factor.man}
        own |= {"ACC_EXP": self.acc.exp, "ACC_MAN": self.acc.man, "DEPTH": self.depth}
        return own | {"OUT_EXP": self.output.exp, "OUT_MAN": self.output.man, "LARGEST": self.output.largest}

    def random_constants(self, rng: random.Random, a: Words, b: Words) -> Beat:
        return ()

    def constants_for(self, factors: tuple[float, float], result: float) -> Beat:
        return ()

    def coverage(self) -> Coverage:
        cover = super().coverage()
        if self.output.exp > self.factor.exp:  # nothing that large comes of a few products
            del cover.goals["largest"]
        return cover

    def results_of(self, transaction: Transaction) -> Words:
        acc = np.zeros(self.lanes)
        for a, b in zip(*self.values(transaction), strict=True):
            acc = self.acc.decode(multiply_add(a, b, acc, self.acc))
        return self.output.encode(acc)

    def expect(self, transaction: Transaction) -> tuple[Beat, ...]:
        words = self.results_of(transaction).tolist()
        return ((sum(word << (lane * self.output.bits) for lane, word in enumerate(words)),),)


@dataclass(frozen=True, kw_only=True)
class FloatElementDot(_FloatElement):
    """All lanes add to one sum in fixed point, whose least bit is ``guard`` octaves below the leading bit of the
    largest product; products are truncated to it, toward zero, and ``acc_bits`` bits saturate.

    The largest product is the format's, and the result is scaled; or, ``aligned``, it is that of the two matrices at
    hand, whose largest exponents the constant tells, and the result is what it is.
    """

    guard: int
    acc_bits: int
    aligned: bool = False

    def __post_init__(self) -> None:
        least = 2 * self.factor.man + 1
        if not (least <= self.guard <= self.acc_bits - 2 <= 51):  # beyond 53 bits the reference would round
            raise ValueError(
                f"guard must be at least {least}, and acc_bits from guard + 2 to 53; "
                f"got {self.guard} and {self.acc_bits}"
            )

    module: ClassVar[str] = "float_element_dot"
    sources: ClassVar[tuple[str, ...]] = (
        *_ACCUMULATOR, *MULTIPLIER, "float_term.v", "float_normalise.v", "float_from_fixed.v", "float_element_dot.v",
    )  # fmt: skip

    def __str__(self) -> str:
        where = "aligned, " if self.aligned else ""
        return f"{self.factor}, {where}guard {self.guard}, {self.acc_bits} bits, {self.lanes} lanes"

    @property
    def result(self) -> FloatFormat:
        return self.factor

    @property
    def outputs_at_once(self) -> int:
        return 1

    @property
    def least_exponent(self) -> int:
        """Of the accumulator's least bit under the format's largest product, in octaves."""
        return self._under(2 * self.factor.top)

    def _under(self, top: int) -> int:
        """Of the least bit, where no product has a larger sum of its factors' biased exponents."""
        return top - 2 * self.factor.bias + 1 - self.guard

    @property
    def exact(self) -> bool:
        """Whether no product is truncated, whatever the factors are."""
        return self.least_exponent <= 2 * (1 - self.factor.bias - self.factor.man)

    @property
    def exponent_bits(self) -> int:
        """Of the constant."""
        least = self._under(2)  # of two subnormals
        return max(EXPONENT_BITS, 1 + (-least - 1).bit_length()) if self.aligned else EXPONENT_BITS

    def constants(self) -> tuple[Port, ...]:
        return (Port("exponent_i", self.exponent_bits, signed=True),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("word_o", self.factor.bits),)

    def parameters(self) -> dict[str, int | str]:
        own: dict[str, int | str] = {"LANES": self.lanes, "EXP": self.factor.exp, "MAN": self.factor.man}
        own |= {"TOP": self.factor.top, "GUARD": self.guard, "ACC_BITS": self.acc_bits, "DEPTH": self.depth}
        own |= {"ALIGNED": int(self.aligned)}
        return own | {"LARGEST": self.factor.largest, "EXPONENT_BITS": self.exponent_bits}

    def random_constants(self, rng: random.Random, a: Words, b: Words) -> Beat:
        if self.aligned:
            needed = int((self._exponents(a) + self._exponents(b)).max())
            return (self._under(min(needed + rng.choice([0, 0, 1, 5]), 2 * self.factor.top)),)
        top = self.factor.top - self.factor.bias
        return (rng.randint(top - self.acc_bits - 4, top - self.guard + 6),)

    def _exponents(self, words: Words) -> Words:
        """Biased exponents of words, that of a subnormal being 1."""
        return np.maximum(words >> self.factor.man & ((1 << self.factor.exp) - 1), 1)

    def stimulus_words(self, rng: np.random.Generator, beats: int) -> Words:
        words = self.random_words(rng, beats)
        if not self.aligned or rng.integers(0, 4) == 0:
            return words
        # uniform words are so far apart that one product is the sum: here some octaves
        field = np.minimum(rng.integers(0, self.factor.top) + rng.integers(0, 12, words.shape), self.factor.top - 1)
        return words & ~(((1 << self.factor.exp) - 1) << self.factor.man) | field << self.factor.man

    def constants_for(self, factors: tuple[float, float], result: float) -> Beat:
        if self.aligned:
            return (self._under(int(self._exponents(self.factor.encode(np.array(factors))).sum())),)
        exponent = self.least_exponent + _octaves(self.factor.largest_value, np.array([result]))
        return (max(-(1 << (EXPONENT_BITS - 1)), min(exponent, (1 << (EXPONENT_BITS - 1)) - 1)),)

    def sum_of(self, transaction: Transaction) -> int:
        """The accumulator at the end.

        Raises
        ------
        ValueError
            If the constant puts it too low for a product.
        """
        least, most = -(1 << (self.acc_bits - 1)), (1 << (self.acc_bits - 1)) - 1
        exponent = transaction[-1][3] if self.aligned else self.least_exponent
        a, b = (self._exponents(words) for words in self.words(transaction))
        top = int((a + b).max())
        if exponent < self._under(top):
            raise ValueError(f"exponent_i must be at least {self._under(top)} for these products, got {exponent}")
        total = 0
        for terms in fixed_terms(*self.values(transaction), exponent).sum(axis=1).tolist():
            total = max(least, min(total + terms, most))
        return total

    def results_of(self, transaction: Transaction) -> Words:
        return self.factor.encode(np.ldexp(np.array([float(self.sum_of(transaction))]), transaction[-1][3]))

    def expect(self, transaction: Transaction) -> tuple[Beat, ...]:
        return ((int(self.results_of(transaction)[0]),),)


@dataclass(frozen=True, kw_only=True)
class IntElement(Element):
    """8-bit integers, exact sums in 32 bits that saturate, results scaled by a power of two and rounded to 8."""

    acc_bits: int = 32

    module: ClassVar[str] = "int_element"
    sources: ClassVar[tuple[str, ...]] = (*_ACCUMULATOR, "int_requantise.v", "int_element.v")

    def __str__(self) -> str:
        return f"int8 into {self.acc_bits} bits, {self.lanes} lanes"

    @property
    def word_bits(self) -> int:
        return 8

    @property
    def result_bits(self) -> int:
        return 8

    @property
    def outputs_at_once(self) -> int:
        return 1

    def constants(self) -> tuple[Port, ...]:
        return (Port("shift_i", 5),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("word_o", 8, signed=True),)

    def parameters(self) -> dict[str, int | str]:
        return {"LANES": self.lanes, "BITS": 8, "ACC_BITS": self.acc_bits, "DEPTH": self.depth}

    def special_words(self) -> list[int]:
        return [0, 1, 0xFF, 0x81, 0x80, 0x7F]

    def negative(self, words: Words) -> Words:
        return -words & 0xFF

    def random_words(self, rng: np.random.Generator, beats: int) -> Words:
        return rng.integers(0, 256, (beats, self.lanes))

    def random_constants(self, rng: random.Random, a: Words, b: Words) -> Beat:
        return (rng.choice([0, 3, 7, 8, 9, 10, 11, 31]),)

    def quantise(self, values: Float64s) -> Words:
        return np.rint(np.ldexp(values, _octaves(127.0, values))).astype(np.int64) & 0xFF

    def numbers(self, words: Words) -> Float64s:
        return words.astype(np.int8).astype(np.float64)

    def constants_for(self, factors: tuple[float, float], result: float) -> Beat:
        return (max(0, min(-_octaves(127.0, np.array([result])), 31)),)

    def kind(self, result: int) -> str:
        return "zero" if result == 0 else "largest" if result in (0x7F, 0x80) else "other"

    def sum_of(self, transaction: Transaction) -> int:
        """The accumulator at the end."""
        a, b = (self.numbers(words).astype(np.int64) for words in self.words(transaction))
        least, most = -(1 << (self.acc_bits - 1)), (1 << (self.acc_bits - 1)) - 1
        total = 0
        for terms in (a * b).sum(axis=1).tolist():
            total = max(least, min(total + terms, most))
        return total

    def _result(self, transaction: Transaction) -> int:
        return int(requantise(np.array([self.sum_of(transaction)]), np.array(transaction[-1][3:]), 8)[0])

    def results_of(self, transaction: Transaction) -> Words:
        return np.array([self._result(transaction) & 0xFF])

    def expect(self, transaction: Transaction) -> tuple[Beat, ...]:
        return ((self._result(transaction),),)


def _octaves(largest: float, values: Float64s) -> int:
    """By how many octaves a tensor may be scaled up, or must be down (negative), for its largest magnitude to fit."""
    top = float(np.abs(values).max(initial=0.0))
    return 0 if top == 0 else math.floor(math.log2(largest / top))


def instances(lanes: int) -> dict[str, Element]:
    """The baselines by name, with so many lanes each; `docs/baselines.md` says what each stands for."""

    def mac(factor: FloatFormat, output: FloatFormat) -> Element:
        return FloatElementMac(lanes, factor=factor, acc=FLOAT32, output=output)

    def dot(factor: FloatFormat, guard: int, acc_bits: int, aligned: bool = False) -> Element:
        return FloatElementDot(lanes, factor=factor, guard=guard, acc_bits=acc_bits, aligned=aligned)

    return {
        "float32": mac(FLOAT32, FLOAT32),
        "bfloat16": mac(BFLOAT16, BFLOAT16),
        "float16": mac(FLOAT16, FLOAT16),
        "bfloat16-fused": dot(BFLOAT16, 30, 42, aligned=True),
        "float16-fused": dot(FLOAT16, 30, 42, aligned=True),
        "fp8-e4m3-float32": mac(E4M3, BFLOAT16),
        "fp8-e5m2-float32": mac(E5M2, BFLOAT16),
        "fp8-e4m3": dot(E4M3, 12, 24),
        "fp8-e5m2": dot(E5M2, 12, 24),
        "fp8-e4m3-exact": dot(E4M3, 35, 48),
        "int8": IntElement(lanes),
    }
