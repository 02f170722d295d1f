"""The units that have a bench: their ports, their instances in a design, and what an instance is built from."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from lns.design import Design, LogAccumulator
from lns.files import memh_text
from lns.format import Event, LNSFormat, Rounding
from lns.gausslog import Table, TableKind, log_rom, rom_width, table
from lns.units import Units

__all__ = [
    "SOURCES", "UNITS", "WITHOUT_BENCH", "Instance", "MissingUnit", "Port", "Unit", "VerifyError", "inputs",
    "instances", "outputs", "parameters", "rom_images", "units_of",
]  # fmt: skip


class VerifyError(RuntimeError):
    """A unit that could not be verified: nothing is known about its bits."""


class MissingUnit(VerifyError):
    """A unit that the design does not have."""


_RANGE = Event.SATURATE | Event.UNDERFLOW  # of every unit that ends in lns_range


@dataclass(frozen=True, slots=True)
class Unit:
    """What the bench must know of a unit: its Verilog files, its own last; the words of its instance's format that it
    takes; the events it can raise, each with an output; outputs of one bit beside these."""

    sources: tuple[str, ...]
    operands: int
    events: Event = _RANGE
    extras: tuple[str, ...] = ()


#: The units that have a bench.
UNITS = {
    "lns_mul": Unit(("lns_range.v", "lns_mul.v"), 2),
    "lns_add": Unit(("lns_range.v", "lns_gausslog.v", "lns_add.v"), 2),
    "lns_convert": Unit(("lns_range.v", "lns_convert.v"), 0, _RANGE | Event.INVALID),
    "lns_linear_to_log": Unit(("lns_range.v", "lns_linear_to_log.v"), 0),
    "lns_div": Unit(("lns_range.v", "lns_div.v"), 2, _RANGE | Event.DIVIDE_BY_ZERO | Event.INVALID),
    "lns_square": Unit(("lns_range.v", "lns_square.v"), 1),
    "lns_sqrt": Unit(("lns_sqrt.v",), 1, Event.INVALID),
    "lns_relu": Unit(("lns_relu.v",), 1, Event(0)),
    "lns_max": Unit(("lns_max.v",), 2, Event(0), ("a_is_larger_o",)),
}

#: Units of docs/spec.md that have no bench yet, and all but the update unit no Verilog.
WITHOUT_BENCH = (
    "dot product (both accumulators)",
    "update unit and its random bits (tests/test_update_rtl.py compares vectors)",
    "loss unit",
    "encoder and decoder",
)

#: The Verilog files of each of them.
SOURCES = {name: unit.sources for name, unit in UNITS.items()}

# lns_gausslog's parameter KIND; full is coarse with k = 0
_KINDS = {"full": 0, "coarse": 0, "linear": 1, "mitchell": 2}

# ROM -> the prefix of its parameters in lns_add
_ROMS = {
    "sb": "SB", "sb_base": "SB", "sb_slope": "SB_SLOPE",
    "db": "DB", "db_base": "DB", "db_slope": "DB_SLOPE", "db_first": "DB_FIRST",
}  # fmt: skip

# lns_convert's parameter ROUND
_ROUND = {Rounding.NEAREST: 0, Rounding.DOWN: 1}


@dataclass(frozen=True, slots=True)
class Instance:
    """One unit with one set of parameters.

    Attributes
    ----------
    unit, label : str
        The module's name; where the design has the instance.
    format : LNSFormat
        Of the emitted word, and of the operands unless other fields say what these are.
    table : TableKind, optional
        Of a log-adder.
    source, rounding : LNSFormat and Rounding, optional
        Of a converter.
    bits, index_bits : int
        Of a linear-to-log unit: A and M of docs/spec.md, sections 5 and 6.
    """

    unit: str
    label: str
    format: LNSFormat
    table: TableKind | None = None
    source: LNSFormat | None = None
    rounding: Rounding | None = None
    bits: int = 0
    index_bits: int = 0

    def __str__(self) -> str:
        if self.source and self.rounding:
            return f"{self.source} to {self.format} {self.rounding.value}"
        if self.bits:
            return f"{self.bits} bits to {self.format}, index {self.index_bits}"
        return f"{self.format} {self.table}" if self.table else str(self.format)

    @property
    def slug(self) -> str:
        """A file name that no other instance of a design has."""
        return re.sub(r"[^\w]+", "_", f"{self.unit} {self}").strip("_")

    def to_dict(self) -> dict[str, Any]:
        """The instance as plain data, for JSON."""
        return {
            "unit": self.unit,
            "label": self.label,
            "format": str(self.format),
            "table": str(self.table) if self.table else None,
            "source": str(self.source) if self.source else None,
            "rounding": self.rounding.value if self.rounding else None,
            "bits": self.bits,
            "index_bits": self.index_bits,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Instance:
        """What `to_dict` wrote."""
        kinds: dict[str, Any] = {"format": LNSFormat.parse, "source": LNSFormat.parse}
        kinds |= {"table": TableKind.parse, "rounding": Rounding}
        return cls(**{name: kinds[name](v) if name in kinds and v is not None else v for name, v in data.items()})


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a unit: a word of a format, a two's complement integer, or an output of one bit."""

    name: str
    width: int
    format: LNSFormat | None = None


def _octaves(fmt: LNSFormat) -> int:
    """Magnitudes at offset 0 lie within so many octaves of 1.0."""
    return 1 << (fmt.code_bits - 1 - fmt.frac_bits)


def _octave_port(name: str, reach: int) -> Port:
    """A signed number of octaves; ``reach`` of them either way put every word out of range, and more change nothing."""
    return Port(name, reach.bit_length() + 1)


def inputs(instance: Instance) -> tuple[Port, ...]:
    """The input ports of an instance, in the order of the definition's arguments."""
    fmt = instance.format
    if instance.source is not None:
        source = instance.source
        offset = _octave_port("offset_i", _octaves(source) + _octaves(fmt))
        return Port("a_i", source.bits, source), offset
    if instance.bits:
        return Port("acc_i", instance.bits), _octave_port("exponent_i", _octaves(fmt) + instance.bits)
    return tuple(Port(name, fmt.bits, fmt) for name in ("a_i", "b_i")[: UNITS[instance.unit].operands])


def outputs(instance: Instance) -> tuple[Port, ...]:
    """The output ports of an instance: the word, the events in the order of `Event`, and what else there is."""
    unit = UNITS[instance.unit]
    names = [*(f"{event.name}_o".lower() for event in unit.events), *unit.extras]
    return Port("word_o", instance.format.bits, instance.format), *(Port(name, 1) for name in names)


def instances(design: Design, unit: str) -> list[Instance]:
    """Every distinct instance of a unit in a design; equal ones share an entry and join their labels. None, if the
    design does without the unit.

    Raises
    ------
    VerifyError
        If the unit has no bench.
    """
    if unit not in UNITS:
        raise VerifyError(f"there is no bench for {unit!r}; there is one for {', '.join(UNITS)}")
    labels: dict[Instance, list[str]] = {}
    for one in _all_instances(design, unit):
        labels.setdefault(replace(one, label=""), []).append(one.label)
    return [replace(one, label="+".join(names)) for one, names in labels.items()]


def units_of(design: Design) -> list[str]:
    """The units with a bench that a design has."""
    return [unit for unit in UNITS if instances(design, unit)]


def _all_instances(design: Design, unit: str) -> list[Instance]:
    formats, accumulator = design.formats, design.accumulator
    results = {name: getattr(formats, name) for name in ("activation", "error", "gradient")}
    if unit == "lns_mul":
        return [Instance(unit, name, fmt) for name, fmt in (results | {"operand": formats.operand}).items()]
    if unit == "lns_add":
        adders = [Instance(unit, "activation", formats.activation, design.adder.table)]
        if isinstance(accumulator, LogAccumulator):
            adders.append(Instance(unit, "accumulator", accumulator.format, accumulator.table))
        adders.append(Instance(unit, "moment", design.update.moment, design.update.table))
        return [*adders, Instance(unit, "loss", design.loss.format, design.loss.table)]
    if unit == "lns_convert":
        rounding = design.conversion.rounding
        sources = []
        if formats.operand != formats.weight:  # else the compute copy is the weight itself
            sources.append(("operand", formats.weight, formats.operand))
        if isinstance(accumulator, LogAccumulator):
            sources += [(name, accumulator.format, fmt) for name, fmt in results.items()]
        return [Instance(unit, name, fmt, source=source, rounding=rounding) for name, source, fmt in sources]
    if unit == "lns_linear_to_log":
        if isinstance(accumulator, LogAccumulator):
            return []
        return [
            Instance(unit, name, fmt, bits=accumulator.bits, index_bits=Units(design).index_bits(fmt))
            for name, fmt in results.items()
        ]
    return [Instance(unit, "activation", formats.activation)]


def _roms(instance: Instance) -> Table:
    kind = instance.table
    if kind is None:
        raise VerifyError(f"{instance.unit} needs a table kind")
    if kind.kind not in _KINDS:
        raise VerifyError(f"{instance.unit} is not built for {kind} tables, only for {', '.join(_KINDS)}")
    full = table(kind, instance.format.frac_bits)
    if instance.format.signed:
        return full
    # signs are never unlike in an unsigned adder: it has no db
    return Table(kind, full.frac_bits, {name: rom for name, rom in full.roms.items() if name.startswith("sb")})


def parameters(instance: Instance) -> dict[str, int | str]:
    """The Verilog parameters of an instance; ROM files are named relative to the folder that holds the `rom_images`."""
    fmt = instance.format
    values: dict[str, int | str] = {"BITS": fmt.bits}
    if instance.bits:
        values |= {"ACC_BITS": instance.bits, "FRAC_BITS": fmt.frac_bits, "INDEX_BITS": instance.index_bits}
        return values | {"EXPONENT_BITS": inputs(instance)[1].width, "ROM_FILE": "log.memh"}
    values["SIGNED"] = int(fmt.signed)
    if instance.source and instance.rounding:
        source = instance.source
        values |= {"SOURCE_BITS": source.bits, "SOURCE_FRAC_BITS": source.frac_bits}
        values |= {"SOURCE_SIGNED": int(source.signed), "FRAC_BITS": fmt.frac_bits, "ROUND": _ROUND[instance.rounding]}
        return values | {"OFFSET_BITS": inputs(instance)[1].width}
    if instance.table is None:
        return values
    roms = _roms(instance)
    values |= {"FRAC_BITS": fmt.frac_bits, "KIND": _KINDS[roms.kind.kind], "K": roms.kind.k, "G": roms.kind.g}
    for name, rom in roms.roms.items():
        prefix = _ROMS[name]
        values |= {f"{prefix}_BITS": rom_width(rom), f"{prefix}_FILE": f"{name}.memh"}
        if prefix in ("SB", "DB"):
            values[f"{prefix}_ENTRIES"] = rom.size
    return values


def rom_images(instance: Instance) -> dict[str, str]:
    """File name -> ``$readmemh`` image of every ROM of an instance."""
    if instance.bits:
        f, m = instance.format.frac_bits, instance.index_bits
        return {"log.memh": memh_text(log_rom(f, m), f + 1, f"linear-to-log ROM, F = {f}, index of {m} bits")}
    if instance.table is None:
        return {}
    roms = _roms(instance)
    title = f"{{}} of a {roms.kind} log-add table, F = {roms.frac_bits}"
    return {f"{name}.memh": memh_text(rom, rom_width(rom), title.format(name)) for name, rom in roms.roms.items()}
