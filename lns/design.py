"""The description of a chip: frozen dataclasses, read from and written to TOML.

A design file holds every width, table kind, lane count, rounding mode and constant of the datapath; docs/spec.md
gives each its meaning. Presets lie in ``lns/designs/*.toml``.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import enum
import math
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

from lns.format import LNSFormat, Rounding
from lns.gausslog import TableKind

__all__ = [
    "Accumulator", "Adder", "Conversion", "Core", "Design", "DesignError", "Formats", "LinearAccumulator",
    "LogAccumulator", "Loss", "MainMemory", "Offsets", "SignRule", "Update", "load", "preset_names",
]  # fmt: skip


class DesignError(ValueError):
    """A design that cannot be built; the message says where, what was required and what was given."""


class SignRule(enum.Enum):
    """What happens to a weight whose code would fall below 1."""

    CLAMP = "clamp"  #: it stays at code 1 (as published)
    FLIP = "flip"  #: it takes code 1 and the other sign


class MainMemory(enum.Enum):
    """Where the training core keeps what does not stay in its buffer."""

    SRAM = "sram"  #: on the chip
    DRAM = "dram"  #: off the chip, as large as it takes


def _require(condition: bool, where: str, required: str, given: object) -> None:
    if not condition:
        raise DesignError(f"{where}: {required}, got {given}")


def _require_range(where: str, value: int, least: int, most: int) -> None:
    _require(least <= value <= most, where, f"must be between {least} and {most}", value)


def _require_lanes(where: str, value: int) -> None:
    _require(1 <= value <= 4096 and value & (value - 1) == 0, where, "must be a power of two from 1 to 4096", value)


@dataclass(frozen=True, slots=True)
class Formats:
    """The word formats of a training step; all signed.

    ``activation`` holds inputs, hidden values and logits, ``error`` the gradients with respect to them,
    ``gradient`` those with respect
    to weights, ``weight`` the weights as stored and learnt, ``operand`` their copy that is multiplied.
    """

    activation: LNSFormat
    error: LNSFormat
    gradient: LNSFormat
    operand: LNSFormat
    weight: LNSFormat

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            fmt = getattr(self, spec.name)
            _require(fmt.signed, f"formats.{spec.name}", "must be a signed format", fmt)
            _require(fmt.frac_bits <= 20, f"formats.{spec.name}", "must have at most 20 fraction bits", fmt)


@dataclass(frozen=True, slots=True)
class LinearAccumulator:
    """Dot products in fixed point (spec, sections 5 and 6).

    ``antilog_bits`` T, ``guard`` octaves between the largest product's leading bit and the accumulator's least,
    ``bits`` A, ``index_extra_bits``: the linear-to-log ROM is indexed by M = F + this many bits.
    """

    kind: ClassVar[str] = "linear"
    lanes: int
    antilog_bits: int
    guard: int
    bits: int
    index_extra_bits: int = 4

    def __post_init__(self) -> None:
        _require_lanes("accumulator.lanes", self.lanes)
        _require_range("accumulator.antilog_bits", self.antilog_bits, 1, 32)
        _require_range("accumulator.guard", self.guard, 0, 48)
        _require_range("accumulator.index_extra_bits", self.index_extra_bits, 0, 8)
        # a term has at most guard + 1 bits; with K_safe >= 1 a single one never saturates
        _require_range("accumulator.bits", self.bits, self.guard + 2, 62)
        spare = 62 - (self.lanes - 1).bit_length()
        _require(self.bits <= spare, "accumulator.bits", f"must be at most {spare} with {self.lanes} lanes", self.bits)


@dataclass(frozen=True, slots=True)
class LogAccumulator:
    """Dot products by log-adds (spec, section 7). ``offset``: octaves by which the accumulator's 1.0 stands above
    the product's."""

    kind: ClassVar[str] = "log"
    lanes: int
    format: LNSFormat
    offset: int = 0
    table: TableKind = field(default_factory=TableKind)

    def __post_init__(self) -> None:
        _require_lanes("accumulator.lanes", self.lanes)
        _require(self.format.signed, "accumulator.format", "must be a signed format", self.format)
        _require_range("accumulator.offset", self.offset, -1024, 1024)


Accumulator = LinearAccumulator | LogAccumulator


@dataclass(frozen=True, slots=True)
class Adder:
    """The element-wise log-adder on activation words (spec, section 3)."""

    table: TableKind = field(default_factory=TableKind)


@dataclass(frozen=True, slots=True)
class Conversion:
    """Rounding wherever a word changes its format (spec, section 1.6)."""

    rounding: Rounding = Rounding.NEAREST

    def __post_init__(self) -> None:
        _require(
            self.rounding is not Rounding.STOCHASTIC, "conversion.rounding", "must be nearest or down", "stochastic"
        )


@dataclass(frozen=True, slots=True)
class Update:
    """The Madam update unit (spec, section 8).

    ``moment`` is the second moment's format, whose fraction bits are F_u; ``kappa`` its decay a step in codes;
    ``moment_offset`` the constant C;
    ``lr`` and ``clip`` as in the publications; ``antilog_bits`` T; ``step_frac_bits`` r; ``lanes`` the LFSRs;
    ``table`` of the moment's adder.
    """

    moment: LNSFormat
    kappa: int
    lr: float
    antilog_bits: int
    step_frac_bits: int
    rounding: Rounding
    sign_rule: SignRule
    clip: float = 10.0
    lanes: int = 16
    moment_offset: int = 0
    table: TableKind = field(default_factory=TableKind)

    def __post_init__(self) -> None:
        _require(not self.moment.signed, "update.moment", "must be an unsigned format", self.moment)
        _require(self.moment.frac_bits <= 18, "update.moment", "must have at most 18 fraction bits", self.moment)
        _require_range("update.kappa", self.kappa, 1, 1 << 20)
        for name in ("lr", "clip"):
            value = getattr(self, name)
            _require(
                math.isfinite(value) and 0 < value <= 1e6, f"update.{name}", "must be above 0 and at most 1e6", value
            )
        _require_range("update.antilog_bits", self.antilog_bits, 1, 32)
        _require(self.rounding is not Rounding.DOWN, "update.rounding", "must be nearest or stochastic", "down")
        least = 1 if self.rounding is Rounding.STOCHASTIC else 0
        _require_range("update.step_frac_bits", self.step_frac_bits, least, 24)
        _require_lanes("update.lanes", self.lanes)
        _require_range("update.moment_offset", self.moment_offset, -1024, 1024)

    @property
    def beta(self) -> float:
        """The decay of the second moment a step."""
        return 2.0 ** (-self.kappa / 2**self.moment.frac_bits)


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss unit (spec, section 9): its fixed-point format and the width T of its antilog ROM."""

    format: LNSFormat
    antilog_bits: int
    table: TableKind = field(default_factory=TableKind)

    def __post_init__(self) -> None:
        _require(not self.format.signed, "loss.format", "must be an unsigned format", self.format)
        _require_range("loss.antilog_bits", self.antilog_bits, 1, 32)


@dataclass(frozen=True, slots=True)
class Offsets:
    """How tensors' offsets follow the data (spec, section 11): ``headroom`` octaves are kept above the largest word
    seen."""

    headroom: int = 0

    def __post_init__(self) -> None:
        _require_range("offsets.headroom", self.headroom, 0, 64)


@dataclass(frozen=True, slots=True)
class Core:
    """The training core around the units: it decides time and energy of a step, and no bit of its arithmetic.

    ``rows`` × ``columns`` processing elements of ``accumulator.lanes`` lanes; ``operand_ports``: words that the
    operand buffer delivers a clock to each side of the array, 0 for as many as the array takes; ``buffer_kib``: that
    buffer's size; ``memory``: what the main memory is, and ``memory_kib`` its size if it is SRAM (KiB: 1024 bytes).
    """

    rows: int = 4
    columns: int = 4
    operand_ports: int = 0
    buffer_kib: int = 64
    memory: MainMemory = MainMemory.SRAM
    memory_kib: int = 2048

    def __post_init__(self) -> None:
        _require_range("core.rows", self.rows, 1, 1024)
        _require_range("core.columns", self.columns, 1, 1024)
        _require_range("core.operand_ports", self.operand_ports, 0, 1 << 22)
        _require_range("core.buffer_kib", self.buffer_kib, 1, 1 << 16)
        _require_range("core.memory_kib", self.memory_kib, 1, 1 << 24)


@dataclass(frozen=True, slots=True)
class Design:
    """One proposed chip."""

    name: str
    formats: Formats
    accumulator: Accumulator
    update: Update
    loss: Loss
    description: str = ""
    adder: Adder = field(default_factory=Adder)
    conversion: Conversion = field(default_factory=Conversion)
    offsets: Offsets = field(default_factory=Offsets)
    core: Core = field(default_factory=Core)

    def __post_init__(self) -> None:
        products = [getattr(self.formats, n) for n in ("activation", "error", "operand")]
        if isinstance(self.accumulator, LogAccumulator):
            need = max(fmt.frac_bits for fmt in products)
            have = self.accumulator.format
            _require(
                have.frac_bits >= need,
                "accumulator.format",
                f"needs at least {need} fraction bits (its operands')",
                have,
            )
            _require(have.frac_bits <= 18, "accumulator.format", "must have at most 18 fraction bits", have)
        need = self.formats.gradient.frac_bits
        have = self.update.moment
        _require(have.frac_bits >= need, "update.moment", f"needs at least {need} fraction bits (the gradient's)", have)
        for name in ("activation", "error"):
            room = 2 * getattr(self.formats, name).one_offset_limit
            _require(
                self.offsets.headroom <= room,
                "offsets.headroom",
                f"must be at most {room} (formats.{name})",
                self.offsets.headroom,
            )
        # the largest step, in fine units, must stay within 60 bits
        step = self.update.clip * self.update.lr * 2.0**self.formats.weight.frac_bits / math.log(2)
        spare = 58 - self.update.step_frac_bits
        _require(
            step < 2.0**spare, "update.clip", f"clip·lr must give a step below 2**{spare} codes", f"{step:.3g} codes"
        )

    # --- TOML ---------------------------------------------------------------------------------------------------

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Design:
        """A design from TOML's tables; `DesignError` names the key, what was required and what was given."""
        return typing.cast(Design, _parse(cls, data, ""))

    @classmethod
    def from_toml(cls, text: str) -> Design:
        try:
            return cls.from_dict(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise DesignError(f"not a TOML file: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        return typing.cast(dict[str, Any], _plain(self))

    def to_toml(self) -> str:
        """TOML that `from_toml` reads back to an equal design."""
        return to_toml(self.to_dict())

    def override(self, values: Mapping[str, Any]) -> Design:
        """The same design with some fields replaced, by dotted name: ``{"update.lr": 0.02}``. A table may be
        replaced as a whole."""
        data = self.to_dict()
        for path, value in values.items():
            *parents, last = path.split(".")
            table: Any = data
            for name in parents:
                table = table.get(name) if isinstance(table, dict) else None
                if not isinstance(table, dict):
                    raise DesignError(f"{path}: no such field{_suggest(name, data)}")
            table[last] = copy.deepcopy(value)
        return Design.from_dict(data)


def _suggest(name: str, known: typing.Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(known))}"


def _parse(kind: Any, value: Any, where: str) -> Any:
    """``value`` out of TOML as a ``kind``: a dataclass, an enum, a format, a table kind, or a number or text."""
    if isinstance(kind, types.UnionType):  # the accumulator: its kind says which
        choices = {choice.kind: choice for choice in typing.get_args(kind)}
        _require(isinstance(value, Mapping), where, "must be a table", value)
        given = dict(value)
        if "kind" not in given:
            raise DesignError(f"{where}.kind: required, but missing; it is one of {', '.join(choices)}")
        name = given.pop("kind")
        _require(
            isinstance(name, str) and name in choices,
            f"{where}.kind",
            f"must be one of {', '.join(choices)}",
            repr(name),
        )
        return _parse(choices[name], given, where)
    if kind in (LNSFormat, TableKind):
        try:
            return kind.parse(value)
        except ValueError as error:
            raise DesignError(f"{where}: {error}") from None
    if dataclasses.is_dataclass(kind):
        return _parse_table(kind, value, where)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        choices = {member.value: member for member in kind}
        _require(
            isinstance(value, str) and value in choices, where, f"must be one of {', '.join(choices)}", repr(value)
        )
        return choices[value]
    if kind is float and type(value) is int and abs(value) < 1 << 1023:
        value = float(value)
    names = {int: "an integer", float: "a number", str: "text"}
    _require(type(value) is kind, where, f"must be {names.get(kind, kind)}", repr(value))
    return value


def _parse_table(kind: Any, value: Any, where: str) -> Any:
    _require(isinstance(value, Mapping), where or "design", "must be a table", repr(value))
    hints = typing.get_type_hints(kind)
    known = {spec.name: spec for spec in dataclasses.fields(kind)}
    prefix = f"{where}." if where else ""
    for name in value:
        if name not in known:
            raise DesignError(f"{prefix}{name}: unknown key{_suggest(name, known)}")
    for name, spec in known.items():
        optional = spec.default is not dataclasses.MISSING or spec.default_factory is not dataclasses.MISSING
        if name not in value and not optional:
            raise DesignError(f"{prefix}{name}: required, but missing")
    return kind(**{name: _parse(hints[name], item, f"{prefix}{name}") for name, item in value.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, (LNSFormat, TableKind)):
        return str(value)
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value):
        kind = {"kind": value.kind} if isinstance(value, Accumulator) else {}
        return kind | {spec.name: _plain(getattr(value, spec.name)) for spec in dataclasses.fields(value)}
    return value


def to_toml(data: Mapping[str, Any]) -> str:
    """TOML of nested tables whose leaves are text, numbers, booleans or lists of these."""

    def leaf(value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, (list, tuple)):
            return f"[{', '.join(leaf(item) for item in value)}]"
        if isinstance(value, str):
            escaped = "".join(c if c >= " " and c != "\x7f" and c not in '"\\' else f"\\u{ord(c):04x}" for c in value)
            return f'"{escaped}"'
        return repr(value)

    lines = [f"{name} = {leaf(value)}" for name, value in data.items() if not isinstance(value, Mapping)]
    for name, table in data.items():
        if isinstance(table, Mapping):
            lines += ["", f"[{name}]", *(f"{key} = {leaf(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def exact_decimal(value: float) -> Fraction:
    """The decimal number that a person wrote: 0.01 is 1/100, not its float64 neighbour."""
    return Fraction(repr(value))


# --- presets -----------------------------------------------------------------------------------------------------


def preset_names() -> list[str]:
    """The presets that come with the package."""
    return sorted(
        p.name.removesuffix(".toml") for p in resources.files("lns.designs").iterdir() if p.name.endswith(".toml")
    )


def load(name: str | Path) -> Design:
    """A preset by its name, or a design from a ``.toml`` file.

    Raises
    ------
    DesignError
        If there is no such preset or file, or if it does not describe a chip.
    """
    text = str(name)
    if text in preset_names():
        return Design.from_toml((resources.files("lns.designs") / f"{text}.toml").read_text("utf-8"))
    path = Path(name)
    if not path.is_file():
        hint = _suggest(text, preset_names()) if path.suffix != ".toml" else ""
        raise DesignError(f"{text}: neither a preset nor a design file{hint}")
    try:
        return Design.from_toml(path.read_text("utf-8"))
    except (DesignError, UnicodeDecodeError) as error:
        raise DesignError(f"{text}: {error}") from None
