"""What one unit costs in one cell library: area and delay of its netlist, and the energy of beats recorded in training.

A price is given for a netlist that has just computed, cell by cell, what the definition says for every beat that is
priced: a mismatch is an error, never a number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sim.cost.activity import Activity
from sim.cost.cache import cached
from sim.cost.delayed import delay, simulate
from sim.cost.levelised import levelise, play
from sim.cost.liberty import Library
from sim.cost.macro import RomMacro, with_macros
from sim.cost.netlist import load_netlist
from sim.cost.power import power
from sim.cost.sdf import cell_delays
from sim.cost.synthesis import synthesise
from sim.cost.timing import time_netlist, timer_version
from sim.source import syntax_digest
from sim.verify.unit import Transaction, Unit

__all__ = ["UNIFORM", "BeatEnergy", "Conditions", "Price", "price"]

UNIFORM = "uniform"  #: label of random operands

_BLOCKS = 4  # of neighbours, among what was recorded, with which power is measured


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under which a price holds.

    Attributes
    ----------
    library : Library
        Voltage and temperature are its own.
    period : float
        Of the clock, seconds.
    annotated : bool
        Whether the gates of the simulation have delays: without them no glitch is seen.
    wire_capacitance : float
        Of a net's wire for each pin that it drives, farads; 0: no wires.
    """

    library: Library
    period: float
    annotated: bool = True
    wire_capacitance: float = 0.0


@dataclass(frozen=True, slots=True)
class BeatEnergy:
    """Mean dynamic energy of a clock with a beat, joules; leakage apart.

    ``clock`` is spent in the clock pins of flip-flops, ``internal`` in all other cells, ``switching`` in the nets,
    ``macro`` in look-ups of ROM macros, by a model.
    """

    clock: float
    internal: float
    switching: float
    beats: int
    macro: float = 0.0

    @property
    def total(self) -> float:
        return self.clock + self.internal + self.switching + self.macro


@dataclass(frozen=True)
class Price:
    """One unit between its registers.

    Attributes
    ----------
    module, unit : str
    area_um2, sequential_area_um2, gate_equivalents : float
        A gate equivalent is the area of the library's smallest two-input NAND.
    cells, flip_flops : int
    critical_path : float
        Least period of the clock, set-up and clock-to-output included, seconds.
    leakage : float
        Watts.
    idle : float
        Joules a clock without a beat: the clock tree's leaves.
    energy : dict
        `BeatEnergy` by what was recorded: ``forward 1``, ``uniform`` …
    verified : int
        Beats whose every result was compared in the netlist, which is all of them.
    macros : int
        ROM macros, whose cost is a model's.
    macro_area_um2, macro_leakage, macro_access_time : float
        What the model says of all together, within the figures above, and the longest access, seconds.
    """

    module: str
    unit: str
    area_um2: float
    sequential_area_um2: float
    gate_equivalents: float
    cells: int
    flip_flops: int
    critical_path: float
    leakage: float
    idle: float
    energy: dict[str, BeatEnergy]
    verified: int
    macros: int = 0
    macro_area_um2: float = 0.0
    macro_leakage: float = 0.0
    macro_access_time: float = 0.0

    @property
    def estimate(self) -> bool:
        """Whether a part of it is a model's."""
        return self.macros > 0

    @property
    def recorded(self) -> dict[str, float]:
        """Label -> joules a beat, of what was recorded in training."""
        return {label: one.total for label, one in self.energy.items() if label != UNIFORM}

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"estimate": self.estimate}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Price:
        fields = {name: value for name, value in data.items() if name != "estimate"}
        return cls(**fields | {"energy": {label: BeatEnergy(**one) for label, one in data["energy"].items()}})


def price(
    unit: Unit, work: Mapping[str, Sequence[Transaction]], conditions: Conditions, measured: int, pool: Executor
) -> Price:
    """Synthesise a unit, run the recorded work through the gates, and add up what it took; cached.

    Parameters
    ----------
    unit : Unit
    work : mapping
        Label -> transactions; one at least. All of them go through the netlist, and every result is compared.
    conditions : Conditions
    measured : int
        Beats of each label, about, with which power is measured where gates have delays; all, where not.
    pool : Executor
        Runs syntheses and simulations.

    Raises
    ------
    CostError
        If the netlist is not usable, misses the clock, or does not compute what the definition says.
    MissingTool
        If a tool is missing.
    """
    folder = pool.submit(synthesise, unit, conditions.library, conditions.period).result()
    key = {
        "netlist": folder.name,
        "library": conditions.library.digest,
        "conditions": f"{conditions.period!r} {conditions.annotated} {conditions.wire_capacitance!r} {measured}",
        "node": str(conditions.library.node),
        "work": hashlib.sha256(json.dumps(sorted(work.items())).encode()).hexdigest(),
        "tools": timer_version(),
        "code": _code_version(),
    }

    def build(place: Path) -> None:
        made = _price(unit, work, conditions, measured, folder, pool)
        (place / "price.json").write_text(json.dumps(made.to_dict(), indent=1) + "\n", "utf-8")

    return Price.from_dict(json.loads((cached("price", key, build) / "price.json").read_text("utf-8")))


def _price(
    unit: Unit, work: Mapping[str, Sequence[Transaction]], conditions: Conditions, measured: int, folder: Path,
    pool: Executor,
) -> Price:  # fmt: skip
    library, period = conditions.library, conditions.period
    timing = time_netlist(folder, library, period)
    netlist, library = load_netlist(folder), with_macros(folder, library)

    made = levelise(netlist, library)
    delayed = delay(made, cell_delays((folder / "delays.sdf").read_text("utf-8"))) if conditions.annotated else None

    def run(transactions: Sequence[Transaction]) -> Activity:
        if delayed is None:
            return play(made, unit, transactions, period)
        return simulate(delayed, unit, _some(transactions, measured), period)

    every = [transaction for transactions in work.values() for transaction in transactions]
    # without delays power is measured with every beat, which `play` compares
    verified = [pool.submit(play, made, unit, every, period)] if conditions.annotated else []
    measuring = {label: pool.submit(run, transactions) for label, transactions in work.items()}
    energy: dict[str, BeatEnergy] = {}
    leakage, idle = 0.0, 0.0
    for label, waiting in measuring.items():
        activity = waiting.result()
        spent = power(netlist, activity, timing, library, conditions.wire_capacitance)
        time = activity.beat_time
        energy[label] = BeatEnergy(
            spent.clock * time, spent.internal * time, spent.switching * time, activity.beats, spent.macro * time
        )
        still = power(netlist, activity.idle, timing, library, conditions.wire_capacitance)
        leakage += spent.leakage / len(work)
        idle += still.dynamic * period / len(work)
    for check in verified:
        check.result()  # raises at a mismatch
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    area, sequential = summary["area_um2"], summary["sequential_area_um2"]
    known = netlist.cells_of(library)
    macros = [(cell, len(netlist.kinds[name].names)) for name, cell in known.items() if isinstance(cell, RomMacro)]
    return Price(
        unit.module, str(unit), area, sequential, area / library.gate_equivalent_um2, netlist.cells,
        summary["flip_flops"], timing.critical_path, leakage, idle, energy, sum(map(len, every)),
        macros=sum(count for _, count in macros), macro_area_um2=summary["macro_area_um2"],
        macro_leakage=sum((count * cell.leakage[0].power for cell, count in macros), 0.0),
        macro_access_time=max((cell.access_time for cell, _ in macros), default=0.0),
    )  # fmt: skip


def _some(transactions: Sequence[Transaction], beats: int) -> list[Transaction]:
    """Whole ones of about so many beats, a few blocks of neighbours."""
    count = -(-beats * len(transactions) // sum(map(len, transactions)))
    if count >= len(transactions):
        return list(transactions)
    blocks = min(_BLOCKS, count)
    starts = [block * len(transactions) // blocks for block in range(blocks)]
    return [transactions[start + place] for start in starts for place in range(-(-count // blocks))]


#: modules whose code takes part in a price
_CODE = (
    "activity", "cells", "delayed", "expression", "levelised", "liberty", "liberty_text", "macro", "memory", "netlist",
    "power", "price", "scaling", "sdf", "timing",
)  # fmt: skip


@cache
def _code_version() -> str:
    here = Path(__file__).parent
    return syntax_digest((here / f"{name}.py").read_text("utf-8") for name in _CODE)
