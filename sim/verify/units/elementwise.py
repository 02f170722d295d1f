"""Units of one or two words of one format and no table: multiply, divide, square, square root, ReLU, maximum."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from lns import reference
from lns.design import Design
from lns.format import Event, LNSFormat
from sim.verify.stimuli import (
    hit_pair,
    hit_range,
    pair_bins,
    pair_stimuli,
    random_word,
    range_edges,
    word_stimuli,
)
from sim.verify.unit import Beat, Combinational, Coverage, Port, Transaction, Unit, flags


@dataclass(frozen=True)
class Elementwise(Combinational):
    """A unit of words of one format."""

    format: LNSFormat

    operand_names: ClassVar[tuple[str, ...]]

    def __str__(self) -> str:
        return str(self.format)

    def inputs(self) -> tuple[Port, ...]:
        return tuple(Port(name, self.format.bits, self.format) for name in self.operand_names)

    def outputs(self) -> tuple[Port, ...]:
        return Port("word_o", self.format.bits, self.format), *self.event_ports()

    def parameters(self) -> dict[str, int | str]:
        return {"BITS": self.format.bits, "SIGNED": int(self.format.signed)}


@dataclass(frozen=True)
class _Scaled(Elementwise):
    """A unit whose code is a sum of codes: what the range rule makes of it is what there is to cover."""

    def computed(self, operands: Beat) -> int:
        """The code before the range rule."""
        raise NotImplementedError

    def span(self) -> range:
        """The codes before the range rule that any operands give."""
        raise NotImplementedError

    def edges(self) -> dict[str, int]:
        return {name: code for name, code in range_edges(self.format).items() if code in self.span()}

    def range_bins(self) -> list[str]:
        bins = ["in range", *self.edges()]
        return [*bins, "saturate", "underflow"] if self.format.bias > 1 else bins


@dataclass(frozen=True)
class _Pair(_Scaled):
    """Multiply and divide."""

    operand_names: ClassVar[tuple[str, ...]] = ("a_i", "b_i")

    def partner(self, a: int, target: int) -> int:
        """The second operand's code with which the first one's gives a code."""
        raise NotImplementedError

    def stimuli(self, rng: random.Random, count: int) -> Iterator[Beat]:
        return pair_stimuli(rng, count, self.format, self.edges().values(), self.partner)

    def coverage(self) -> Coverage:
        return Coverage(dict.fromkeys([*pair_bins(self.format), *self.range_bins()], 1))

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        if hit_pair(cover, transaction[0], self.format):
            hit_range(cover, self.computed(transaction[0]), self.format)


@dataclass(frozen=True)
class Mul(_Pair):
    """Multiplier."""

    module: ClassVar[str] = "lns_mul"
    sources: ClassVar[tuple[str, ...]] = ("lns_range.v", "lns_mul.v")

    def model(self, *operands: int) -> Sequence[int]:
        a, b = operands
        word, events = reference.mul(a, b, self.format)
        return word, *flags(events, self.events)

    def computed(self, operands: Beat) -> int:
        a, b = operands
        return reference.raw(a, self.format) + reference.raw(b, self.format) + self.format.bias

    def span(self) -> range:
        return range(2 - self.format.bias, 2 * self.format.max_code - self.format.bias + 1)

    def partner(self, a: int, target: int) -> int:
        return target + self.format.bias - a


@dataclass(frozen=True)
class Div(_Pair):
    """Divider."""

    module: ClassVar[str] = "lns_div"
    sources: ClassVar[tuple[str, ...]] = ("lns_range.v", "lns_div.v")
    events: ClassVar[Event] = Event.SATURATE | Event.UNDERFLOW | Event.DIVIDE_BY_ZERO | Event.INVALID

    def model(self, *operands: int) -> Sequence[int]:
        a, b = operands
        word, events = reference.div(a, b, self.format)
        return word, *flags(events, self.events)

    def computed(self, operands: Beat) -> int:
        a, b = operands
        return reference.raw(a, self.format) - reference.raw(b, self.format) + self.format.bias

    def span(self) -> range:
        reach = self.format.max_code - 1
        return range(self.format.bias - reach, self.format.bias + reach + 1)

    def partner(self, a: int, target: int) -> int:
        return a + self.format.bias - target

    def coverage(self) -> Coverage:
        cover = super().coverage()
        signed = ["zero dividend under a sign", "zero divisor under a sign"] if self.format.signed else []
        return Coverage(cover.goals | dict.fromkeys(signed, 1))

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        for word, name in zip(transaction[0], ("dividend", "divisor"), strict=True):
            if word == self.format.sign_bit != 0:
                cover.hit(f"zero {name} under a sign")
        super().sample(cover, transaction)


def _hit_word(cover: Coverage, a: int, fmt: LNSFormat) -> bool:
    """Whether a word is zero or has a sign. Whether it is a positive number."""
    negative = reference.sign(a, fmt)
    if reference.code(a, fmt) == 0:
        cover.hit("zero with a sign" if negative else "zero")
        return False
    cover.hit("negative" if negative else "positive")
    return not negative


def _word_bins(fmt: LNSFormat) -> list[str]:
    """The bins of `_hit_word`."""
    return ["zero", "positive", *(["zero with a sign", "negative"] if fmt.signed else [])]


@dataclass(frozen=True)
class Square(_Scaled):
    """Square of a word."""

    module: ClassVar[str] = "lns_square"
    sources: ClassVar[tuple[str, ...]] = ("lns_range.v", "lns_square.v")
    operand_names: ClassVar[tuple[str, ...]] = ("a_i",)

    def model(self, *operands: int) -> Sequence[int]:
        (a,) = operands
        word, events = reference.square(a, self.format)
        return word, *flags(events, self.events)

    def computed(self, operands: Beat) -> int:
        return 2 * reference.raw(operands[0], self.format) + self.format.bias

    def span(self) -> range:
        return range(2 - self.format.bias, 2 * self.format.max_code - self.format.bias + 1, 2)

    def stimuli(self, rng: random.Random, count: int) -> Iterator[Beat]:
        fmt = self.format
        return word_stimuli(rng, count, fmt, ((code + fmt.bias) // 2 for code in self.edges().values()))

    def coverage(self) -> Coverage:
        return Coverage(dict.fromkeys([*_word_bins(self.format), *self.range_bins()], 1))

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        (a,) = transaction[0]
        _hit_word(cover, a, self.format)
        if reference.code(a, self.format):
            hit_range(cover, self.computed(transaction[0]), self.format)


@dataclass(frozen=True)
class Sqrt(Elementwise):
    """Square root of a word."""

    module: ClassVar[str] = "lns_sqrt"
    sources: ClassVar[tuple[str, ...]] = ("lns_sqrt.v",)
    events: ClassVar[Event] = Event.INVALID
    operand_names: ClassVar[tuple[str, ...]] = ("a_i",)

    def model(self, *operands: int) -> Sequence[int]:
        (a,) = operands
        word, events = reference.sqrt(a, self.format)
        return word, *flags(events, self.events)

    def stimuli(self, rng: random.Random, count: int) -> Iterator[Beat]:
        return word_stimuli(rng, count, self.format)

    def coverage(self) -> Coverage:
        bins = [*_word_bins(self.format), "exact"]
        if self.format.bias > 1:
            bins += ["rounded down, above 1.0", "rounded down, below 1.0"]
        return Coverage(dict.fromkeys(bins, 1))

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        (a,) = transaction[0]
        if _hit_word(cover, a, self.format):
            raw = reference.raw(a, self.format)
            cover.hit("exact" if raw % 2 == 0 else f"rounded down, {'above' if raw > 0 else 'below'} 1.0")


@dataclass(frozen=True)
class Relu(Elementwise):
    """Rectified linear unit."""

    module: ClassVar[str] = "lns_relu"
    sources: ClassVar[tuple[str, ...]] = ("lns_relu.v",)
    events: ClassVar[Event] = Event(0)
    operand_names: ClassVar[tuple[str, ...]] = ("a_i",)

    def model(self, *operands: int) -> Sequence[int]:
        return (reference.relu(operands[0], self.format),)

    def stimuli(self, rng: random.Random, count: int) -> Iterator[Beat]:
        return word_stimuli(rng, count, self.format)

    def coverage(self) -> Coverage:
        return Coverage(dict.fromkeys(_word_bins(self.format), 1))

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        _hit_word(cover, transaction[0][0], self.format)


@dataclass(frozen=True)
class Maximum(Elementwise):
    """The larger of two words, and their order."""

    module: ClassVar[str] = "lns_maximum"
    sources: ClassVar[tuple[str, ...]] = ("lns_maximum.v",)
    events: ClassVar[Event] = Event(0)
    operand_names: ClassVar[tuple[str, ...]] = ("a_i", "b_i")

    def outputs(self) -> tuple[Port, ...]:
        return *super().outputs(), Port("a_is_larger_o", 1)

    def model(self, *operands: int) -> Sequence[int]:
        a, b = operands
        order = reference.order_key(a, self.format) >= reference.order_key(b, self.format)
        return reference.maximum(a, b, self.format), int(order)

    def stimuli(self, rng: random.Random, count: int) -> Iterator[Beat]:
        """Beside the usual ones pairs with equal codes and with neighbouring ones, under all signs."""
        fmt = self.format
        yield from pair_stimuli(rng, count, fmt, (), lambda a, target: 0)
        for _ in range(max(256, count // 4)):
            a = rng.randint(0, fmt.max_code)
            b = min(max(a + rng.choice((-1, 0, 1)), 0), fmt.max_code)
            yield random_word(rng, fmt, a), random_word(rng, fmt, b)

    def coverage(self) -> Coverage:
        fmt = self.format
        bins = [*pair_bins(fmt), "equal words"]
        if fmt.signed:
            bins += ["equal codes, signs unlike", "unlike zeros"]
        if fmt.max_code > 1:
            for signs in ("positive", "negative") if fmt.signed else ("positive",):
                bins += [f"a larger by one code, {signs}", f"b larger by one code, {signs}"]
        return Coverage(dict.fromkeys(bins, 1))

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        fmt, (a, b) = self.format, transaction[0]
        signs = [reference.sign(word, fmt) for word in (a, b)]
        distance = reference.order_key(a, fmt) - reference.order_key(b, fmt)
        if not hit_pair(cover, (a, b), fmt):
            if distance == 0 and signs[0] != signs[1]:
                cover.hit("unlike zeros")
            return
        if a == b:
            cover.hit("equal words")
        elif reference.code(a, fmt) == reference.code(b, fmt):
            cover.hit("equal codes, signs unlike")
        elif signs[0] == signs[1] and abs(distance) == 1:
            cover.hit(f"{'a' if distance > 0 else 'b'} larger by one code, {'negative' if signs[0] else 'positive'}")


def multipliers(design: Design) -> list[Unit]:
    """One a format."""
    formats = design.formats
    names = ("activation", "error", "gradient", "operand")
    return [Mul(getattr(formats, name), label=name) for name in names]


def of_activations(unit: Callable[..., Unit]) -> Callable[[Design], Iterable[Unit]]:
    """A unit that works on activations alone."""
    return lambda design: [unit(design.formats.activation, label="activation")]
