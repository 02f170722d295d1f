"""What faults are planted in, and the instances whose benches must see them.

A target is one Verilog file. Its instances are chosen so that every line of it is alive in one of them: both signs,
every kind of table, both roundings, no fraction bits at all; small formats, in which a simulation compares all values.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from lns.design import Design
from lns.format import LNSFormat, Rounding
from lns.gausslog import TableKind
from sim.verify.unit import Unit
from sim.verify.units import UNITS, MissingUnit, instances, units_of
from sim.verify.units.add import Add
from sim.verify.units.codec import DecodeFixed, DecodeFloat, EncodeFixed, EncodeFloat
from sim.verify.units.convert import Convert
from sim.verify.units.elementwise import Div, Maximum, Mul, Relu, Sqrt, Square
from sim.verify.units.linear_to_log import LinearToLog
from sim.verify.units.update import Lfsr
from sim.verify.wrapper import PIPELINE

__all__ = ["TARGETS", "Exercise", "exercises", "targets_of"]

MOST_ENTRIES = 1 << 12  #: instances of a design with larger ROMs are left out: nothing of a file lives in them alone
DEPTH = 2  #: register stages of a wrapper, as in ``lns verify``
DEEP = 3  #: of small sequential units: in an element's third one, words can wait behind sums that do not

#: Files that are no units of their own -> the units in which they are seen.
_PARTS = {
    "lns_range": ("lns_mul", "lns_convert"),
    "lns_gausslog": ("lns_add",),
    "lns_encode": ("lns_encode_fixed", "lns_encode_float"),
    "lns_decode": ("lns_decode_fixed", "lns_decode_float"),
}
_PIPELINE = PIPELINE.removesuffix(".v")

#: The files that faults are planted in, by the names of their modules.
TARGETS = (*UNITS, *_PARTS, _PIPELINE)


@dataclass(frozen=True)
class Exercise:
    """An instance under its bench, with so many register stages in the wrapper."""

    unit: Unit
    depth: int = DEPTH

    @property
    def slug(self) -> str:
        """A name that no other exercise of a target has."""
        return f"{self.unit.slug}_{self.depth}"


def targets_of(design: Design) -> list[str]:
    """The files that a design's units are made of."""
    units = units_of(design)
    return [name for name in TARGETS if name in units or name == _PIPELINE or set(_PARTS.get(name, ())) & set(units)]


def exercises(design: Design, target: str) -> list[Exercise]:
    """The small instances, then the design's own.

    Raises
    ------
    MissingUnit
        If the design has nothing that is made of the target.
    """
    if target not in targets_of(design):
        raise MissingUnit(f"design {design.name} has no {target}; it has {', '.join(targets_of(design))}")
    if target == _PIPELINE:  # no stage, one, several, and a different number before and behind the core
        return [Exercise(Mul(LNSFormat.parse("lns<5,1>")), depth) for depth in (0, 2, 3, 7)]
    found: dict[str, Exercise] = {}
    for module in _PARTS.get(target, (target,)):
        every = [unit for small in _small_designs() for unit in instances(small, module)]
        every += [unit for unit in _edges() if unit.module == module]
        for unit in (*every, *(unit for unit in instances(design, module) if _rom_entries(unit) <= MOST_ENTRIES)):
            for depth in (0, DEEP) if unit.sequential and unit in every else (DEPTH,):
                found.setdefault(Exercise(unit, depth).slug, Exercise(unit, depth))
    return list(found.values())


def _rom_entries(unit: Unit) -> int:
    return sum(not line.startswith("//") for image in unit.roms().values() for line in image.splitlines())


@cache
def _small_designs() -> tuple[Design, ...]:
    """Designs that between them have every kind, rule and rounding that a design can have; moments that underflow in
    the first and saturate in the second."""
    linear = Design.from_toml(_LINEAR)
    log = Design.from_toml(_LOG)
    mitchell = {"adder.table": "mitchell", "loss.table": "mitchell", "update.table": "mitchell"}
    flat = linear.override({
        **{f"formats.{name}": "lns<4,0>" for name in ("activation", "error", "gradient", "operand", "weight")},
        **mitchell, "name": "flat", "accumulator.lanes": 1, "accumulator.index_extra_bits": 0,
        "update.moment": "ulns<6,0>", "update.kappa": 1, "update.step_frac_bits": 0, "update.lr": 0.5,
        "loss.format": "ulns<5,0>",
    })  # fmt: skip
    rough = log.override({"name": "rough", **mitchell, "accumulator.table": "mitchell", "accumulator.lanes": 1})
    return linear, log, flat, rough


def _edges() -> list[Unit]:
    """What no design has: unsigned words, formats with more fraction bits on either side, tables of other lengths."""
    parse = LNSFormat.parse
    unsigned, signed = parse("ulns<5,2>"), parse("lns<6,2>")
    tables = {"lns<6,2>": ("coarse<1>", "linear<2,3>", "mitchell"), "ulns<6,2>": ("full", "linear<1,4>", "mitchell")}
    return [
        *(kind(fmt) for kind in (Mul, Div, Square, Sqrt, Relu, Maximum) for fmt in (unsigned, signed)),
        *(Add(parse(fmt), TableKind.parse(kind)) for fmt, kinds in tables.items() for kind in kinds),
        Convert(signed, parse("ulns<5,3>"), Rounding.NEAREST),
        Convert(parse("ulns<7,4>"), parse("lns<5,1>"), Rounding.DOWN),
        Convert(parse("lns<7,4>"), parse("lns<5,1>"), Rounding.NEAREST),
        Convert(parse("lns<6,3>"), parse("lns<6,2>"), Rounding.NEAREST),
        LinearToLog(7, parse("lns<4,0>"), 0), LinearToLog(8, parse("lns<5,2>"), 3),
        LinearToLog(5, parse("lns<5,1>"), 5),
        Lfsr(1), Lfsr(5),
        EncodeFixed(parse("lns<5,1>"), 8), EncodeFixed(unsigned, 8), EncodeFixed(parse("lns<6,3>"), 4),
        EncodeFloat(parse("lns<6,2>")), EncodeFloat(unsigned),
        DecodeFixed(parse("lns<5,1>"), 6), DecodeFixed(unsigned, 5), DecodeFixed(parse("lns<4,0>"), 5),
        DecodeFloat(parse("lns<5,1>")), DecodeFloat(unsigned), DecodeFloat(parse("lns<4,0>")),
    ]  # fmt: skip


_LINEAR = """\
name = "linear"
[formats]
activation = "lns<6,2>"
error = "lns<6,1>"
gradient = "lns<5,2>"
operand = "lns<5,1>"
weight = "lns<6,3>"
[accumulator]
kind = "linear"
lanes = 2
antilog_bits = 4
guard = 4
bits = 8
index_extra_bits = 2
[update]
moment = "ulns<7,3>"
kappa = 2
moment_offset = 3
lr = 0.4
clip = 3.0
antilog_bits = 4
step_frac_bits = 3
rounding = "nearest"
sign_rule = "flip"
lanes = 2
[loss]
format = "ulns<7,3>"
antilog_bits = 5
"""

_LOG = """\
name = "log"
[formats]
activation = "lns<5,1>"
error = "lns<6,2>"
gradient = "lns<6,1>"
operand = "lns<6,2>"
weight = "lns<5,2>"
[accumulator]
kind = "log"
lanes = 4
format = "lns<7,3>"
offset = 1
table = "linear<2,4>"
[adder]
table = "linear<1,3>"
[conversion]
rounding = "down"
[update]
moment = "ulns<7,2>"
kappa = 1
moment_offset = -6
lr = 0.7
clip = 5.0
antilog_bits = 5
step_frac_bits = 2
rounding = "stochastic"
sign_rule = "clamp"
lanes = 2
table = "coarse<1>"
[loss]
format = "ulns<6,2>"
antilog_bits = 4
table = "linear<2,4>"
"""
