"""What is known of a unit under verification: module, ports, parameters, tables, definition, stimuli, coverage.

A `Unit` is one Verilog module with one set of parameters. Everything that judges Verilog (cocotb benches, compiled
simulation, proofs, mutation, the benches of a bundle) knows it through this class alone.
"""

from __future__ import annotations

import itertools
import random
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from lns import reference
from lns.format import Event, LNSFormat

__all__ = [
    "Beat", "Combinational", "Coverage", "Port", "Transaction", "Unit", "VerifyError", "flags", "pack", "port_values",
    "show_values", "show_word", "unpack",
]  # fmt: skip

EXHAUSTIVE_BITS = 20  #: up to so many bits of all inputs together, a simulation compares all their values

Beat = tuple[int, ...]  #: a value for each port of one side, in order; ports of signed integers have signed values
Transaction = tuple[Beat, ...]  #: the beats that go in before the last of its results comes out


class VerifyError(ValueError):
    """A unit that could not be verified: nothing is known about its bits."""


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a unit: a word of a format, an integer in two's complement, or other bits."""

    name: str
    width: int
    format: LNSFormat | None = None
    signed: bool = False

    def show(self, value: int) -> str:
        """A value for people: words with fields and real value, integers in decimal."""
        if self.format is not None:
            return show_word(value, self.format)
        return str(value) if self.signed or self.width == 1 else f"0x{value:0{-(-self.width // 4)}x}"


@dataclass
class Coverage:
    """Functional coverage: how often each bin was hit, and how often it must be. What nothing can hit has no goal."""

    goals: dict[str, int]
    hits: dict[str, int] = field(default_factory=dict)
    seen: dict[str, set[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.hits = dict.fromkeys(self.goals, 0) | self.hits

    def hit(self, name: str, count: int = 1) -> None:
        self.hits[name] = self.hits.get(name, 0) + count

    def hit_distinct(self, name: str, value: int) -> None:
        """Hit a bin that counts the different values seen."""
        seen = self.seen.setdefault(name, set())
        if value not in seen:
            seen.add(value)
            self.hit(name)

    def uncovered(self) -> list[str]:
        return [f"{name} ({self.hits[name]} of {goal})" for name, goal in self.goals.items() if self.hits[name] < goal]


@dataclass(frozen=True)
class Unit(ABC):
    """One module with one set of parameters; subclasses add the fields that set an instance apart.

    Attributes
    ----------
    module : str
        The Verilog module, in ``rtl/<module>.v``.
    sources : tuple of str
        Its Verilog files, its own last.
    events : Event
        What it can raise, each with an output ``<event>_o`` of one bit.
    sequential : bool
        Whether the module has a clock and a handshake of its own (``clk_i, rst_ni, valid_i, ready_o, valid_o,
        ready_i``); a combinational core gets them from the wrapper.
    label : str
        Where the design has the instance; it tells no instances apart.
    """

    label: str = field(default="", compare=False, kw_only=True)

    module: ClassVar[str]
    sources: ClassVar[tuple[str, ...]]
    events: ClassVar[Event] = Event.SATURATE | Event.UNDERFLOW
    sequential: ClassVar[bool] = False

    @abstractmethod
    def __str__(self) -> str:
        """Formats, and what else sets the instance apart."""

    @property
    def slug(self) -> str:
        """A name for files and modules that no other instance of a design has."""
        return re.sub(r"[^\w]+", "_", f"{self.module} {self}").strip("_")

    @abstractmethod
    def inputs(self) -> tuple[Port, ...]:
        """The input ports, in the order of the definition's arguments."""

    @abstractmethod
    def outputs(self) -> tuple[Port, ...]:
        """The output ports."""

    @abstractmethod
    def parameters(self) -> dict[str, int | str]:
        """The Verilog parameters; ROM files are named relative to the folder that holds `roms`."""

    def roms(self) -> dict[str, str]:
        """File name -> ``$readmemh`` image of every ROM."""
        return {}

    @abstractmethod
    def expect(self, transaction: Transaction) -> tuple[Beat, ...]:
        """What the definition says comes out for a transaction."""

    def results(self, transaction: Transaction) -> int:
        """How many beats come out for a transaction."""
        return 1

    @abstractmethod
    def transactions(self, seed: int, count: int, exhaustive: bool) -> list[Transaction]:
        """All transactions; or corners, sweeps of tables and at least ``count`` random ones; same seed, same ones."""

    @abstractmethod
    def coverage(self) -> Coverage:
        """The bins of an instance, all of which its transactions must fill."""

    @abstractmethod
    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        """Hit the bins of one transaction."""

    @property
    def input_bits(self) -> int:
        return sum(port.width for port in self.inputs())

    @property
    def output_bits(self) -> int:
        return sum(port.width for port in self.outputs())

    @property
    def exhaustible(self) -> bool:
        """Whether a simulation compares all values of all inputs."""
        return self.exhaustible_within(EXHAUSTIVE_BITS)

    def exhaustible_within(self, bits: int) -> bool:
        """Whether all inputs together have at most so many bits, and all their values are legal."""
        return not self.sequential and self.input_bits <= bits

    def event_ports(self) -> tuple[Port, ...]:
        """An output of one bit for each event, in the order of `Event`."""
        return tuple(Port(f"{str(event.name).lower()}_o", 1) for event in self.events)

    def random(self, seed: int) -> random.Random:
        """For the stimuli."""
        return random.Random(f"{self.module} {self} {seed}")


@dataclass(frozen=True)
class Combinational(Unit):
    """A unit whose outputs are a function of its inputs."""

    @abstractmethod
    def model(self, *operands: int) -> Sequence[int]:
        """The value of every output, from the definition."""

    @abstractmethod
    def stimuli(self, rng: random.Random, count: int) -> Iterable[Beat]:
        """Corners, sweeps of tables, and at least ``count`` random operands."""

    def expect(self, transaction: Transaction) -> tuple[Beat, ...]:
        return (tuple(self.model(*transaction[0])),)

    def transactions(self, seed: int, count: int, exhaustive: bool) -> list[Transaction]:
        operands: Iterable[Beat]
        if exhaustive:
            operands = itertools.product(*(port_values(port) for port in self.inputs()))
        else:
            operands = self.stimuli(self.random(seed), count)
        return [(beat,) for beat in operands]


def port_values(port: Port) -> range:
    """All values of a port."""
    return range(-(1 << (port.width - 1)), 1 << (port.width - 1)) if port.signed else range(1 << port.width)


def flags(raised: Event, events: Event) -> list[int]:
    """Raised events as the values of `Unit.event_ports`.

    Raises
    ------
    VerifyError
        If an event was raised for which the unit has no output.
    """
    if raised & ~events:
        raise VerifyError(f"the definition raised {raised!r}, the unit has outputs for {events!r} only")
    return [int(event in raised) for event in events]


def pack(values: Iterable[int], ports: Sequence[Port]) -> int:
    """Values side by side, the first in the low bits."""
    bus = low = 0
    for value, port in zip(values, ports, strict=True):
        bus |= (value & ((1 << port.width) - 1)) << low
        low += port.width
    return bus


def unpack(bus: int, ports: Sequence[Port]) -> Beat:
    """What `pack` packed."""
    values = []
    for port in ports:
        value = bus & ((1 << port.width) - 1)
        if port.signed and value >> (port.width - 1):
            value -= 1 << port.width
        values.append(value)
        bus >>= port.width
    return tuple(values)


def show_values(values: Beat, ports: Sequence[Port]) -> str:
    """Values by the names of their ports."""
    named = zip(ports, values, strict=True)
    return ", ".join(f"{port.name.rsplit('_', 1)[0]} = {port.show(value)}" for port, value in named)


def show_word(word: int, fmt: LNSFormat) -> str:
    """A word in hexadecimal, its fields and its real value."""
    text = f"0x{word:0{-(-fmt.bits // 4)}x} (sign {reference.sign(word, fmt)}, code {reference.code(word, fmt)}"
    if reference.code(word, fmt) == 0:
        return text + ", zero)"
    exponent = reference.raw(word, fmt) / (1 << fmt.frac_bits)
    sign = "-" if reference.sign(word, fmt) else "+"
    value = f"{2.0**exponent:.6g}" if abs(exponent) < 1000 else f"2^{exponent:.6g}"
    return f"{text}, raw {reference.raw(word, fmt)}, value {sign}{value})"
