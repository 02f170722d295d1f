"""Integers whose bits are literals of a graph, and functions of them with all their branches.

A `Sym` is an integer in two's complement with as many bits as it needs: no operation ever overflows. A test of one
(``if``, ``and``, ``bool``) forks: `Engine.merged` calls a function once for every sequence of decisions and joins the
results with multiplexers. What Python would refuse (a negative shift, an index beyond a table, an exception) is a
condition that must be shown never to hold: `Engine.undefined` collects these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from sim.verify.prove.aig import FALSE, TRUE, Aig

__all__ = ["POISON", "UNKNOWN", "Engine", "Rom", "Sym", "Value", "lookup", "maximum", "minimum"]

UNKNOWN = 2  #: an entry of a column that nothing has set
MOST_PLACES = 1 << 12  #: a shift to the left by more is an error in what is executed, and not a circuit


class _Poison:
    """The value of a variable that no path has set, or only some have."""


POISON = _Poison()


@dataclass
class _Frame:
    """One execution of a function: the decisions it is to follow first, and those it has made."""

    planned: tuple[int, ...]
    made: list[int] = field(default_factory=list)  # literals that hold on this path
    known: dict[int, bool] = field(default_factory=dict)
    undefined: int = FALSE


class Engine:
    """Symbolic execution over one graph."""

    def __init__(self, aig: Aig) -> None:
        self.aig = aig
        self.undefined = FALSE  #: holds where the definition would have raised
        self._frames: list[_Frame] = []
        self._results: dict[Any, tuple[Any, int]] = {}

    # --- integers

    def integer(self, bits: Sequence[int]) -> Value:
        """The integer of these literals, lowest first, the last one being the sign."""
        top = len(bits) - 1
        while top > 0 and bits[top] == bits[top - 1]:
            top -= 1
        bits = tuple(bits[: top + 1])
        if all(bit <= TRUE for bit in bits):
            return sum(bit << i for i, bit in enumerate(bits[:-1])) - (bits[-1] << top)
        return Sym(self, bits)

    def boolean(self, literal: int) -> Value:
        return self.integer((literal, FALSE))

    def bits(self, value: Value, width: int) -> list[int]:
        """The low bits of an integer, its sign repeated."""
        if isinstance(value, Sym):
            return [*value.bits[:width], *[value.bits[-1]] * (width - len(value.bits))]
        return [value >> i & 1 for i in range(width)]

    def holds(self, value: Value) -> int:
        """The literal of value != 0."""
        return self.aig.any(value.bits) if isinstance(value, Sym) else int(value != 0)

    def mux(self, condition: int, then: Any, otherwise: Any) -> Any:
        """One of two results: integers, sequences of such, or the same object."""
        if condition <= TRUE:
            return then if condition else otherwise
        if then is otherwise:
            return then
        if isinstance(then, (Sym, int)) and isinstance(otherwise, (Sym, int)):
            width = max(_width(then), _width(otherwise))
            pairs = zip(self.bits(then, width), self.bits(otherwise, width), strict=True)
            return self.integer([self.aig.mux(condition, a, b) for a, b in pairs])
        if isinstance(then, (tuple, list)) and type(then) is type(otherwise) and len(then) == len(otherwise):
            return type(then)(self.mux(condition, a, b) for a, b in zip(then, otherwise, strict=True))
        if then is POISON or otherwise is POISON:
            return POISON
        raise TypeError(f"no multiplexer joins {then!r} and {otherwise!r}")

    # --- paths

    def decide(self, literal: int) -> bool:
        """The value of a literal on this path."""
        if literal <= TRUE:
            return bool(literal)
        if not self._frames:
            raise TypeError("a symbolic integer was tested outside of a merged function")
        frame = self._frames[-1]
        if literal not in frame.known:
            position = len(frame.made)
            made = frame.planned[position] if position < len(frame.planned) else literal
            frame.made.append(made)
            frame.known[literal] = made == literal
            frame.known[literal ^ 1] = made != literal
        return frame.known[literal]

    def forbid(self, literal: int) -> None:
        """Python would raise where the literal holds on this path."""
        if self._frames:
            frame = self._frames[-1]
            frame.undefined = self.aig.either(frame.undefined, literal)
        else:
            self.undefined = self.aig.either(self.undefined, literal)

    def merged(self, function: Callable[..., Any], *args: Any) -> Any:
        """A function's result on all its paths."""
        result, undefined = self._explore(function, args, ())
        self.forbid(undefined)
        return result

    def _explore(self, function: Callable[..., Any], args: tuple[Any, ...], planned: tuple[int, ...]) -> Any:
        frame = _Frame(planned)
        self._frames.append(frame)
        try:
            result = function(*args)
        except (LookupError, ValueError, ArithmeticError):
            result, frame.undefined = POISON, TRUE
        finally:
            self._frames.pop()
        undefined = frame.undefined
        for i in reversed(range(len(planned), len(frame.made))):
            other, other_undefined = self._explore(function, args, (*frame.made[:i], frame.made[i] ^ 1))
            if other_undefined == TRUE:  # no result there: the other one serves as well
                other = result
            elif undefined == TRUE:
                result = other
            result = self.mux(frame.made[i], result, other)
            undefined = self.aig.mux(frame.made[i], undefined, other_undefined)
        return result, undefined

    def function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function that joins its paths before it returns, and remembers its results."""

        def call(*args: Any, **named: Any) -> Any:
            key = (function, tuple(map(_key, args)), tuple((name, _key(v)) for name, v in sorted(named.items())))
            if key not in self._results:
                self._results[key] = self._explore(lambda: function(*args, **named), (), ())
            result, undefined = self._results[key]
            self.forbid(undefined)
            return list(result) if isinstance(result, list) else result

        return call


def _key(value: Any) -> Any:
    """What tells arguments apart."""
    if isinstance(value, Sym):
        return "bits", value.bits
    if isinstance(value, (list, tuple)):
        return tuple(map(_key, value))
    if isinstance(value, dict):
        return tuple((name, _key(entry)) for name, entry in value.items())
    if is_dataclass(value):
        return type(value), tuple(_key(getattr(value, part.name)) for part in fields(value))
    return value


def _width(value: Value) -> int:
    return len(value.bits) if isinstance(value, Sym) else int(value).bit_length() + 1


class Sym:
    """An integer; ``bits`` are its literals, lowest first, the last one being the sign."""

    __slots__ = ("bits", "engine")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, engine: Engine, bits: tuple[int, ...]) -> None:
        self.engine = engine
        self.bits = bits

    def __repr__(self) -> str:
        return f"<integer of {len(self.bits)} bits>"

    # --- sums

    def _sum(self, other: Value, invert: int, carry: int, width: int) -> list[int]:
        """self + (other ^ invert) + carry, by a chain of full adders."""
        aig, engine, total = self.engine.aig, self.engine, []
        for a, b in zip(engine.bits(self, width), engine.bits(other, width), strict=True):
            b ^= invert
            unlike = aig.unlike(a, b)
            total.append(aig.unlike(unlike, carry))
            carry = aig.either(aig.both(a, b), aig.both(unlike, carry))
        return total

    def __add__(self, other: Value) -> Value:
        return self.engine.integer(self._sum(other, 0, FALSE, max(len(self.bits), _width(other)) + 1))

    __radd__ = __add__

    def __sub__(self, other: Value) -> Value:
        return self.engine.integer(self._sum(other, 1, TRUE, max(len(self.bits), _width(other)) + 1))

    def __rsub__(self, other: int) -> Value:
        return -self + other

    def __neg__(self) -> Value:
        return ~self + 1

    def __abs__(self) -> Value:
        return self.engine.mux(self.bits[-1], -self, self)

    def __mul__(self, other: Value) -> Value:
        """Rows of partial products; the last one weighs negative."""
        engine = self.engine
        total: Value = 0
        factor = engine.bits(other, _width(other))
        for place, bit in enumerate(factor):
            row = engine.integer([engine.aig.both(bit, a) for a in self.bits]) << place
            total = total - row if place == len(factor) - 1 else total + row
        return total

    __rmul__ = __mul__

    # --- bits

    def __invert__(self) -> Value:
        return self.engine.integer([bit ^ 1 for bit in self.bits])

    def _bitwise(self, other: Value, gate: Callable[[int, int], int]) -> Value:
        width = max(len(self.bits), _width(other))
        pairs = zip(self.engine.bits(self, width), self.engine.bits(other, width), strict=True)
        return self.engine.integer([gate(a, b) for a, b in pairs])

    def __and__(self, other: Value) -> Value:
        return self._bitwise(other, self.engine.aig.both)

    def __or__(self, other: Value) -> Value:
        return self._bitwise(other, self.engine.aig.either)

    def __xor__(self, other: Value) -> Value:
        return self._bitwise(other, self.engine.aig.unlike)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __mod__(self, other: int) -> Value:
        if other <= 0 or other & (other - 1):
            raise TypeError(f"a symbolic integer has a remainder of powers of two only, not of {other!r}")
        return self & (other - 1)

    def _places(self) -> Iterator[tuple[int, int]]:
        """As an amount of a shift: (literal, places) of every bit but the sign, which must not hold."""
        self.engine.forbid(self.bits[-1])
        return ((bit, 1 << i) for i, bit in enumerate(self.bits[:-1]))

    def __lshift__(self, other: Value) -> Value:
        if isinstance(other, int):
            if other < 0:
                raise ValueError("negative shift count")
            return self.engine.integer([*[FALSE] * other, *self.bits])
        return _shift_left(self, other)

    def __rlshift__(self, other: int) -> Value:
        return _shift_left(other, self)

    def __rshift__(self, other: Value) -> Value:
        if isinstance(other, int):
            if other < 0:
                raise ValueError("negative shift count")
            return self.engine.integer(self.bits[other:] or self.bits[-1:])
        return _shift_right(self, other)

    def __rrshift__(self, other: int) -> Value:
        return _shift_right(other, self)

    # --- order

    def __bool__(self) -> bool:
        return self.engine.decide(self.engine.holds(self))

    def __eq__(self, other: object) -> Any:
        if not isinstance(other, (Sym, int)):
            return NotImplemented
        return self.engine.boolean(self.engine.holds(self ^ other) ^ 1)

    def __ne__(self, other: object) -> Any:
        if not isinstance(other, (Sym, int)):
            return NotImplemented
        return self.engine.boolean(self.engine.holds(self ^ other))

    def _negative(self, difference: Value) -> Value:
        return self.engine.boolean(self.engine.bits(difference, _width(difference))[-1])

    def __lt__(self, other: Value) -> Value:
        return self._negative(self - other)

    def __ge__(self, other: Value) -> Value:
        return 1 - (self < other)

    def __gt__(self, other: Value) -> Value:
        return self._negative(other - self)

    def __le__(self, other: Value) -> Value:
        return 1 - (self > other)

    # --- length, index

    def bit_length(self) -> Value:
        """Bits of the magnitude: a priority encoder."""
        engine = self.engine
        magnitude = abs(self)
        length: Value = 0
        for i, bit in enumerate(engine.bits(magnitude, _width(magnitude) - 1)):
            length = engine.mux(bit, i + 1, length)
        return length


Value = Sym | int


def _shift_left(value: Value, places: Sym) -> Value:
    if 1 << (len(places.bits) - 1) > MOST_PLACES:
        raise TypeError(f"a shift to the left by an integer of {len(places.bits)} bits")
    for bit, step in places._places():
        value = places.engine.mux(bit, value << step, value)
    return value


def _shift_right(value: Value, places: Sym) -> Value:
    for bit, step in places._places():
        value = places.engine.mux(bit, value >> step, value)
    return value


class Rom(Sequence[int]):
    """A table that can be read at a symbolic index."""

    def __init__(self, engine: Engine, values: Sequence[int]) -> None:
        self.engine = engine
        self.values = tuple(values)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, Sym):
            return self.values[index]
        self.engine.forbid(self.engine.holds((index >= 0) & (index < len(self.values))) ^ 1)
        width = max(map(_width, self.values))
        columns = [bytes(value >> bit & 1 for value in self.values) for bit in range(width)]
        return self.engine.integer([lookup(self.engine.aig, index.bits[:-1], column) for column in columns])


def lookup(aig: Aig, index: Sequence[int], column: bytes, beyond: int = FALSE) -> int:
    """The entry of a column at an index, lowest bit first. An entry is `FALSE`, `TRUE` or `UNKNOWN`, which stands for
    the literal ``beyond``, as does what lies past the column.

    A tree of multiplexers that halves the column from the top bit on, and in which equal parts are one.
    """
    known: dict[tuple[int, bytes], int] = {}

    def entry(level: int, part: bytes) -> int:
        if not part:
            return beyond
        if level == 0:
            return part[0] if part[0] != UNKNOWN else beyond
        key = (level, part)
        if key not in known:
            half = 1 << (level - 1)
            known[key] = aig.mux(index[level - 1], entry(level - 1, part[half:]), entry(level - 1, part[:half]))
        return known[key]

    # an index of more bits than the column needs is beyond it wherever one of them holds
    level = min(len(index), max(0, (len(column) - 1).bit_length()))
    return aig.mux(aig.any(index[level:]), beyond, entry(level, column[: 1 << level]))


def maximum(*values: Any) -> Value:
    """``max`` of integers or of a sequence of such, without a fork."""
    largest, *others = values if len(values) > 1 else values[0]
    for value in others:
        largest = _choose(value > largest, value, largest)
    return largest


def minimum(*values: Any) -> Value:
    """``min`` of integers or of a sequence of such, without a fork."""
    least, *others = values if len(values) > 1 else values[0]
    for value in others:
        least = _choose(value < least, value, least)
    return least


def _choose(condition: Value | bool, then: Value, otherwise: Value) -> Value:
    if isinstance(condition, Sym):
        return condition.engine.mux(condition.engine.holds(condition), then, otherwise)
    return then if condition else otherwise
