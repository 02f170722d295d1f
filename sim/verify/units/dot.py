"""Dot products: ``lns_term`` and ``lns_dot_linear``, ``lns_product`` and ``lns_dot_log``."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from lns import reference
from lns.design import Design, LinearAccumulator
from lns.files import memh_text
from lns.format import Event, LNSFormat
from lns.gausslog import Table, TableKind, antilog_rom, table
from lns.reference import LinearDot, LogDot
from sim.verify.stimuli import hit_range, random_word, range_edges, special_words
from sim.verify.unit import Beat, Combinational, Coverage, Port, Transaction, Unit, flags
from sim.verify.units.add import adder_parameters, adder_roms

__all__ = ["DotLinear", "DotLog", "Product", "Term", "instances"]

MOST_ENTRIES = 1 << 17  #: ROMs with more entries are sampled, not swept
MOST_BEATS = 1 << 15  #: a linear accumulator that saturates later is not saturated
MOST_GROWTH = 1 << 10  #: and a log accumulator whose lane saturates later

Words = tuple[int, int]  # an operand of each format


# --- operands ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Factors:
    """Two formats whose products are counted in codes at F fraction bits, at least those of either."""

    a: LNSFormat
    b: LNSFormat
    frac_bits: int

    @property
    def shifts(self) -> tuple[int, int]:
        return self.frac_bits - self.a.frac_bits, self.frac_bits - self.b.frac_bits

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


_OPERAND_BINS = ("zero a", "zero b", "both zero", "zero with a sign", "signs equal", "signs unlike")


def _hit_operands(cover: Coverage, words: Words, factors: Factors) -> bool:
    """The bins of `_OPERAND_BINS`. Whether neither word is zero."""
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


# --- one term of a linear accumulator --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Term(Combinational):
    """A term of a linear dot product of words of two formats."""

    a: LNSFormat
    b: LNSFormat
    antilog_bits: int
    guard: int

    module: ClassVar[str] = "lns_term"
    sources: ClassVar[tuple[str, ...]] = ("lns_term.v",)
    events: ClassVar[Event] = Event(0)

    def __str__(self) -> str:
        return f"{self.a} x {self.b}, antilog {self.antilog_bits} bits, guard {self.guard}"

    @cached_property
    def factors(self) -> Factors:
        return Factors(self.a, self.b, max(self.a.frac_bits, self.b.frac_bits))

    def dot(self, bits: int, lanes: int) -> LinearDot:
        """The definition's unit; its ROM a list, which is indexed faster than an array."""
        rom = antilog_rom(self.factors.frac_bits, self.antilog_bits).tolist()
        return LinearDot(self.a, self.b, rom, self.antilog_bits, self.guard, bits, lanes)

    @cached_property
    def unit(self) -> LinearDot:
        return self.dot(self.guard + 2, 1)

    def inputs(self) -> tuple[Port, ...]:
        return Port("a_i", self.a.bits, self.a), Port("b_i", self.b.bits, self.b)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("term_o", self.guard + 2, signed=True),)

    def parameters(self) -> dict[str, int | str]:
        return {
            "A_BITS": self.a.bits,
            "B_BITS": self.b.bits,
            "A_SHIFT": self.factors.shifts[0],
            "B_SHIFT": self.factors.shifts[1],
            "FRAC_BITS": self.factors.frac_bits,
            "GUARD": self.guard,
            "ANTILOG_BITS": self.antilog_bits,
            "ANTILOG_FILE": "antilog.memh",
        }

    def roms(self) -> dict[str, str]:
        f, t = self.factors.frac_bits, self.antilog_bits
        return {"antilog.memh": memh_text(antilog_rom(f, t), t, f"antilog ROM, F = {f}, T = {t}")}

    def model(self, *operands: int) -> Sequence[int]:
        a, b = operands
        return (reference.term(a, b, self.unit),)

    @property
    def octaves(self) -> range:
        """The octaves of products, from the largest one's to the first that has no bit in the accumulator."""
        f, top = self.factors.frac_bits, self.unit.largest_octave
        return range(top, max(self.factors.least >> f, top - self.guard - 1) - 1, -1)

    def stimuli(self, rng: random.Random, count: int) -> Iterator[Beat]:
        factors, unit = self.factors, 1 << self.factors.frac_bits
        yield from factors.specials()
        for edge in (factors.least, factors.most):
            yield from self._products(rng, range(edge - 2, edge + 3))
        entries = range(unit) if unit <= MOST_ENTRIES else rng.sample(range(unit), MOST_ENTRIES)
        for octave in self.octaves:
            yield from self._products(rng, [octave * unit + i for i in (0, unit - 1, rng.randrange(unit))])
        # every entry in an octave that shows as many of its bits as there is room for
        for entry in entries:
            for octave in (self.octaves[0], *self.octaves[1:2]):
                yield from self._products(rng, [octave * unit + entry])
        for i in range(count):
            # half of them where the term is not zero: most products of wide formats are far too small
            raw = rng.randint(max(factors.least, self.octaves[-1] * unit), factors.most)
            words = factors.words(rng, raw) if i % 2 else None
            yield words or factors.any(rng)

    def _products(self, rng: random.Random, raws: Sequence[int]) -> Iterator[Beat]:
        """Words with each of some raw codes, as a positive and a negative product."""
        for raw in raws:
            for negative in (False, True):
                words = self.factors.words(rng, raw, negative)
                if words is not None:
                    yield words

    def coverage(self) -> Coverage:
        goals = dict.fromkeys((*_OPERAND_BINS, "largest product"), 1) | {"octaves": len(self.octaves)}
        unit = 1 << self.factors.frac_bits
        if unit <= MOST_ENTRIES:
            goals["ROM entries"] = unit
        if self.unit.magnitude(self.factors.least) == 0:
            goals["truncated to zero"] = 1
        return Coverage(goals)

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        words = (transaction[0][0], transaction[0][1])
        if not _hit_operands(cover, words, self.factors):
            return
        raw, f = self.factors.raw(words), self.factors.frac_bits
        cover.hit_distinct("ROM entries", raw % (1 << f))
        if raw >> f in self.octaves:
            cover.hit_distinct("octaves", raw >> f)
        if raw == self.factors.most:
            cover.hit("largest product")
        if self.unit.magnitude(raw) == 0:
            cover.hit("truncated to zero")


# --- beats of a sequential unit --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Dot(Unit):
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


# --- linear accumulator ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DotLinear(_Dot):
    """A dot product with an accumulator of ``bits`` bits in fixed point; ``depth`` pipeline stages before it,
    unless a wrapper says otherwise."""

    term: Term
    bits: int
    depth: int = 1

    module: ClassVar[str] = "lns_dot_linear"
    sources: ClassVar[tuple[str, ...]] = ("lns_pipeline.v", "lns_term.v", "lns_dot_linear.v")
    events: ClassVar[Event] = Event.ACC_SATURATE

    def __str__(self) -> str:
        return f"{self.term}, {self.bits} bits, {self.lanes} lanes"

    @property
    def factors(self) -> Factors:
        return self.term.factors

    @cached_property
    def unit(self) -> LinearDot:
        return self.term.dot(self.bits, self.lanes)

    def outputs(self) -> tuple[Port, ...]:
        return Port("acc_o", self.bits, signed=True), *self.event_ports()

    def parameters(self) -> dict[str, int | str]:
        return {"LANES": self.lanes, "ACC_BITS": self.bits, "DEPTH": self.depth} | self.term.parameters()

    def roms(self) -> dict[str, str]:
        return self.term.roms()

    def expect(self, transaction: Transaction) -> tuple[Beat, ...]:
        value, events = reference.dot_linear(*self.rows(transaction), self.unit)
        return ((value, *flags(events, self.events)),)

    # --- stimuli

    @cached_property
    def _steps(self) -> dict[int, int]:
        """Magnitude of a term -> the raw code of a product that has it: all, or some of each octave."""
        unit = 1 << self.factors.frac_bits
        stride = max(1, unit >> 8)
        raws = [octave * unit + i for octave in self.term.octaves for i in range(0, unit, stride)]
        steps = {self.unit.magnitude(raw): raw for raw in raws if self.factors.least <= raw <= self.factors.most}
        steps |= {self.unit.magnitude(raw): raw for raw in (self.factors.least, self.factors.most)}
        return {size: steps[size] for size in sorted(steps, reverse=True) if size}

    def _filling(self, negative: bool) -> tuple[list[tuple[int, int]], int] | None:
        """(raw code, how often) of terms that take the accumulator from 0 to one of its ends, or as near as terms of
        one sign come, and what is missing; None if that takes too long."""
        missing, terms = (1 << (self.bits - 1)) - (not negative), []
        for size, raw in self._steps.items():
            times, missing = divmod(missing, size)
            terms.append((raw, times))
        length = sum(times for _, times in terms)
        return (terms, missing) if length <= MOST_BEATS * self.lanes else None

    def corners(self, rng: random.Random) -> Iterator[list[Words]]:
        yield from self.shared_corners(rng)
        for negative in (False, True):
            filling = self._filling(negative)
            if filling is None:
                continue

            def some(raw: int, times: int, negative: bool = negative) -> list[Words]:
                words = self.factors.words(rng, raw, negative)
                return [words] * times if words else []

            row = [words for raw, times in filling[0] for words in some(raw, times)]
            yield row
            # the least term too many, a cycle of too much, and back by the least term
            least, largest = some(min(self._steps.items())[1], 1)[0], some(self.factors.most, 1)[0]
            row = [*row, least]
            row += [(0, 0)] * (-len(row) % self.lanes)
            yield [*row, *[largest] * self.lanes, self.factors.opposite(least)]

    # --- coverage

    def coverage(self) -> Coverage:
        bins = [*self.shared_bins(), "positive", "negative", "cancellation"]
        for negative, end in ((False, "upper"), (True, "lower")):
            filling = self._filling(negative)
            if filling is not None:
                bins += [f"saturates at the {end} end", f"back from the {end} end"]
                if filling[1] == 0:
                    bins.append(f"exactly the {end} end")
        if self.unit.magnitude(self.factors.least) == 0:
            bins.append("product truncated to zero")
        return Coverage(dict.fromkeys(bins, 1))

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        self.hit_shared(cover, transaction)
        sums: dict[Beat, int] = {}
        for beat in dict.fromkeys(transaction):
            words = self.cycle(beat)
            terms = [reference.term(*pair, self.unit) for pair in words]
            sums[beat] = sum(terms)
            if any(not term and not self.factors.is_zero(pair) for term, pair in zip(terms, words, strict=True)):
                cover.hit("product truncated to zero")
        ends = {"upper": (1 << (self.bits - 1)) - 1, "lower": -(1 << (self.bits - 1))}
        total, clamped, saturated = 0, "", False
        for beat in transaction:
            total += sums[beat]
            inside = max(ends["lower"], min(total, ends["upper"]))
            end = "" if inside == total else "upper" if total > 0 else "lower"
            if clamped and not end and sums[beat]:
                cover.hit(f"back from the {clamped} end")
                clamped = ""
            if end:
                cover.hit(f"saturates at the {end} end")
                clamped, saturated = end, True
            total = inside
        if not saturated and total in ends.values():
            cover.hit(f"exactly the {'upper' if total > 0 else 'lower'} end")
        if total == 0 and any(sums.values()):
            cover.hit("cancellation")
        elif total:
            cover.hit("positive" if total > 0 else "negative")


# --- log accumulator -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Product(Combinational):
    """A product of words of two formats as a word of a log accumulator at an offset."""

    a: LNSFormat
    b: LNSFormat
    acc: LNSFormat
    offset: int

    module: ClassVar[str] = "lns_product"
    sources: ClassVar[tuple[str, ...]] = ("lns_range.v", "lns_product.v")
    events: ClassVar[Event] = Event.ACC_SATURATE | Event.ACC_UNDERFLOW

    def __str__(self) -> str:
        return f"{self.a} x {self.b} to {self.acc}, offset {self.offset}"

    @cached_property
    def factors(self) -> Factors:
        return Factors(self.a, self.b, self.acc.frac_bits)

    def dot(self, source: Table, lanes: int) -> LogDot:
        """The definition's unit."""
        return LogDot(self.a, self.b, self.acc, self.offset, source, lanes)

    @cached_property
    def unit(self) -> LogDot:
        return self.dot(Table(TableKind("mitchell"), self.acc.frac_bits, {}), 1)  # a product needs no table

    def code(self, raw: int) -> int:
        """The computed code of a product's raw code."""
        return raw - (self.offset << self.acc.frac_bits) + self.acc.bias

    def words(self, rng: random.Random, code: int, negative: bool | None = None) -> Words | None:
        """Random words whose product has a computed code; None if there are none."""
        return self.factors.words(rng, code + (self.offset << self.acc.frac_bits) - self.acc.bias, negative)

    def inputs(self) -> tuple[Port, ...]:
        return Port("a_i", self.a.bits, self.a), Port("b_i", self.b.bits, self.b)

    def outputs(self) -> tuple[Port, ...]:
        return Port("word_o", self.acc.bits, self.acc), *self.event_ports()

    def parameters(self) -> dict[str, int | str]:
        return {
            "A_BITS": self.a.bits,
            "B_BITS": self.b.bits,
            "A_SHIFT": self.factors.shifts[0],
            "B_SHIFT": self.factors.shifts[1],
            "BITS": self.acc.bits,
            "FRAC_BITS": self.acc.frac_bits,
            "OFFSET": self.offset,
        }

    def model(self, *operands: int) -> Sequence[int]:
        a, b = operands
        word, events = reference.product(a, b, self.unit)
        return word, *flags(events, self.events)

    def stimuli(self, rng: random.Random, count: int) -> Iterator[Beat]:
        yield from self.factors.specials()
        for edge in (*range_edges(self.acc).values(), self.code(self.factors.least), self.code(self.factors.most)):
            for code in range(edge - 2, edge + 3):
                for _ in range(16):
                    words = self.words(rng, code)
                    if words is not None:
                        yield words
        for _ in range(count):
            yield self.factors.any(rng)

    def coverage(self) -> Coverage:
        least, most, rng = self.code(self.factors.least), self.code(self.factors.most), random.Random(0)
        bins = list(_OPERAND_BINS)
        bins += [name for name, code in range_edges(self.acc).items() if self.words(rng, code) is not None]
        if most > self.acc.max_code:
            bins.append("saturate")
        if least <= 0:
            bins.append("underflow")
        if self.reachable_codes:
            bins.append("in range")
        return Coverage(dict.fromkeys(bins, 1))

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        words = (transaction[0][0], transaction[0][1])
        if _hit_operands(cover, words, self.factors):
            hit_range(cover, self.code(self.factors.raw(words)), self.acc)

    @cached_property
    def reachable_codes(self) -> list[int]:
        """The smallest codes that products have in the accumulator's range, up to 16 of them."""
        rng, low, high = random.Random(0), min(self.factors.shifts), max(self.factors.shifts)
        step, first = 1 << low, max(1, self.code(self.factors.least))
        first += (self.code(0) - first) % step  # products are whole steps from the code of 1.0
        last = min(self.acc.max_code, self.code(self.factors.most), first + (16 << high))
        codes: list[int] = []
        for code in range(first, last + 1, step):
            if self.words(rng, code) is not None:
                codes.append(code)
                if len(codes) == 16:
                    break
        return codes


@dataclass(frozen=True)
class DotLog(_Dot):
    """A dot product with accumulators that are words; ``depth`` pipeline stages between products and lanes,
    unless a wrapper says otherwise."""

    product: Product
    table: TableKind
    depth: int = 1

    module: ClassVar[str] = "lns_dot_log"
    sources: ClassVar[tuple[str, ...]] = (
        "lns_range.v", "lns_gausslog.v", "lns_add.v", "lns_pipeline.v", "lns_product.v", "lns_dot_log.v",
    )  # fmt: skip
    events: ClassVar[Event] = Event.ACC_SATURATE | Event.ACC_UNDERFLOW

    def __str__(self) -> str:
        return f"{self.product}, {self.table}, {self.lanes} lanes"

    @property
    def factors(self) -> Factors:
        return self.product.factors

    @cached_property
    def unit(self) -> LogDot:
        """The definition's; its tables are lists, which are indexed faster than arrays."""
        source = table(self.table, self.product.acc.frac_bits)
        roms = {name: rom.tolist() for name, rom in source.roms.items()}
        return self.product.dot(Table(source.kind, source.frac_bits, roms), self.lanes)

    def outputs(self) -> tuple[Port, ...]:
        return Port("word_o", self.product.acc.bits, self.product.acc), *self.event_ports()

    def parameters(self) -> dict[str, int | str]:
        own: dict[str, int | str] = {"LANES": self.lanes, "DEPTH": self.depth}
        return own | self.product.parameters() | adder_parameters(self.product.acc, self.table)

    def roms(self) -> dict[str, str]:
        return adder_roms(self.product.acc, self.table)

    def expect(self, transaction: Transaction) -> tuple[Beat, ...]:
        word, events = reference.dot_log(*self.rows(transaction), self.unit)
        return ((word, *flags(events, self.events)),)

    # --- stimuli

    @cached_property
    def _growing(self) -> int | None:
        """How many of the largest product a lane takes until it saturates; None if it never does, or too late."""
        acc, words = self.product.acc, (self.factors.a.max_code, self.factors.b.max_code)
        largest, _ = reference.product(*words, self.unit)
        lane = largest
        for number in range(2, MOST_GROWTH):
            grown, event = reference.add(lane, largest, acc, self.unit.table)
            if event:
                return number
            if grown == lane:
                return None
            lane = grown
        return None

    @cached_property
    def _sinking(self) -> Words | None:
        """Codes of two products, the larger one first, whose difference underflows; None if none was found."""
        for smaller in self.product.reachable_codes:
            for larger in self.product.reachable_codes:
                if larger > smaller and larger <= reference.db(larger - smaller, self.unit.table):
                    return larger, smaller
        return None

    def corners(self, rng: random.Random) -> Iterator[list[Words]]:
        yield from self.shared_corners(rng)
        largest = (self.factors.a.max_code, self.factors.b.max_code)
        smallest = (1, 1)
        yield [largest, self.factors.opposite(largest)]
        yield self._alone([largest, self.factors.opposite(largest)])
        yield [self.factors.opposite(largest)]
        # a last beat without an event follows one that may have one
        yield self._alone([largest, (0, 0)])
        yield self._alone([smallest, (0, 0)])
        if self._sinking is not None:
            for negative in (False, True):
                larger = self.product.words(rng, self._sinking[0], negative)
                smaller = self.product.words(rng, self._sinking[1], not negative)
                if larger is not None and smaller is not None:
                    yield [larger, smaller]
                    yield self._alone([smaller, larger])
                    yield self._alone([smaller, larger, (0, 0)])
        if self._growing is not None:
            for number in {1, self._growing - 1, self._growing}:
                yield [largest] * (number * self.lanes)
            yield [self.factors.opposite(largest)] * (self._growing * self.lanes)
            yield self._alone([*[largest] * self._growing, (0, 0)])

    def _alone(self, words: Sequence[Words]) -> list[Words]:
        """A row whose words all meet in lane 0, one a beat; the other lanes have none."""
        return [pair for one in words for pair in (one, *[(0, 0)] * (self.lanes - 1))]

    # --- coverage

    def coverage(self) -> Coverage:
        product, bins = self.product, self.shared_bins()
        places = ["lane", "tree"] if self.lanes > 1 else ["lane"]
        above, below = product.code(self.factors.most) > product.acc.max_code, product.code(self.factors.least) <= 0
        if above:
            bins.append("product: saturate")
        if below:
            bins.append("product: underflow")
        if above or self._growing is not None:
            bins.append("saturate before the last beat only")
        if below or self._sinking is not None:
            bins.append("underflow before the last beat only")
        if product.code(self.factors.most) > 0:
            bins += ["positive", "negative", *(f"{place}: cancellation" for place in places)]
        if self._sinking is not None:
            bins += [f"{place}: underflow" for place in places]
        if self._growing is not None:
            bins += [f"{place}: saturate" for place in places]
        return Coverage(dict.fromkeys(bins, 1))

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        self.hit_shared(cover, transaction)
        acc, source = self.product.acc, self.unit.table
        early = late = Event(0)  # what happened before the last beat, and from there on

        def add(place: str, a: int, b: int) -> int:
            nonlocal late
            word, event = reference.add(a, b, acc, source)
            if event:
                cover.hit(f"{place}: {'saturate' if event is Event.SATURATE else 'underflow'}")
                late |= reference.accumulator_event(event)
            elif a and not word:
                cover.hit(f"{place}: cancellation")
            return word

        partial = [0] * self.lanes
        for beat in transaction:
            early, late = early | late, Event(0)
            for lane, words in enumerate(self.cycle(beat)):
                word, event = reference.product(*words, self.unit)
                if event:
                    cover.hit(f"product: {'saturate' if event is Event.ACC_SATURATE else 'underflow'}")
                    late |= event
                partial[lane] = add("lane", partial[lane], word)
        while len(partial) > 1:
            partial = [add("tree", a, b) for a, b in zip(partial[::2], partial[1::2], strict=True)]
        if partial[0]:
            cover.hit("negative" if reference.sign(partial[0], acc) else "positive")
        for event, name in ((Event.ACC_SATURATE, "saturate"), (Event.ACC_UNDERFLOW, "underflow")):
            if event in early and event not in late:
                cover.hit(f"{name} before the last beat only")


def instances(design: Design) -> list[Unit]:
    """Terms or products, and dot products, of the three uses in a training step (docs/spec.md, section 12)."""
    formats, accumulator = design.formats, design.accumulator
    uses = {
        "forward": (formats.activation, formats.operand),
        "backward": (formats.error, formats.operand),
        "gradient": (formats.error, formats.activation),
    }
    units: list[Unit] = []
    for label, (a, b) in uses.items():
        if isinstance(accumulator, LinearAccumulator):
            term = Term(a, b, accumulator.antilog_bits, accumulator.guard, label=label)
            units += [term, DotLinear(accumulator.lanes, term, accumulator.bits, label=label)]
        else:
            product = Product(a, b, accumulator.format, accumulator.offset, label=label)
            units += [product, DotLog(accumulator.lanes, product, accumulator.table, label=label)]
    return units
