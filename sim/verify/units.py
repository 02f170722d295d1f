"""The units that have a bench: their instances in a design, and what an instance is built from."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lns.design import Design, LogAccumulator
from lns.files import memh_text
from lns.format import LNSFormat
from lns.gausslog import Table, TableKind, rom_width, table

__all__ = ["SOURCES", "Instance", "VerifyError", "instances", "parameters", "rom_images"]


class VerifyError(RuntimeError):
    """A unit that could not be verified: nothing is known about its bits."""


#: The Verilog files of each unit that has a bench, its own last.
SOURCES = {
    "lns_mul": ("lns_range.v", "lns_mul.v"),
    "lns_add": ("lns_range.v", "lns_gausslog.v", "lns_add.v"),
}

# lns_gausslog's parameter KIND; full is coarse with k = 0
_KINDS = {"full": 0, "coarse": 0, "linear": 1, "mitchell": 2}

# ROM -> the prefix of its parameters in lns_add
_ROMS = {
    "sb": "SB", "sb_base": "SB", "sb_slope": "SB_SLOPE",
    "db": "DB", "db_base": "DB", "db_slope": "DB_SLOPE", "db_first": "DB_FIRST",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Instance:
    """One unit with one set of parameters; ``label`` says where the design has it. Only log-adders have a table."""

    unit: str
    label: str
    format: LNSFormat
    table: TableKind | None = None

    def __str__(self) -> str:
        return f"{self.format} {self.table}" if self.table else str(self.format)

    @property
    def slug(self) -> str:
        """A file name that no other instance of a design has."""
        return re.sub(r"[^\w]+", "_", f"{self.unit} {self}").strip("_")


def instances(design: Design, unit: str) -> list[Instance]:
    """Every distinct instance of a unit in a design; equal ones share an entry and join their labels.

    Raises
    ------
    VerifyError
        If the unit has no bench.
    """
    formats = design.formats
    found: list[tuple[str, LNSFormat, TableKind | None]]
    if unit == "lns_mul":
        found = [(name, getattr(formats, name), None) for name in ("activation", "error", "gradient", "operand")]
    elif unit == "lns_add":
        found = [("activation", formats.activation, design.adder.table)]
        if isinstance(design.accumulator, LogAccumulator):
            found.append(("accumulator", design.accumulator.format, design.accumulator.table))
        found.append(("moment", design.update.moment, design.update.table))
        found.append(("loss", design.loss.format, design.loss.table))
    else:
        raise VerifyError(f"there is no bench for {unit!r}; there is one for {', '.join(SOURCES)}")
    labels: dict[tuple[LNSFormat, TableKind | None], list[str]] = {}
    for label, fmt, kind in found:
        labels.setdefault((fmt, kind), []).append(label)
    return [Instance(unit, "+".join(names), fmt, kind) for (fmt, kind), names in labels.items()]


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
    values: dict[str, int | str] = {"BITS": fmt.bits, "SIGNED": int(fmt.signed)}
    if instance.unit == "lns_mul":
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
    if instance.table is None:
        return {}
    roms = _roms(instance)
    title = f"{{}} of a {roms.kind} log-add table, F = {roms.frac_bits}"
    return {f"{name}.memh": memh_text(rom, rom_width(rom), title.format(name)) for name, rom in roms.roms.items()}
