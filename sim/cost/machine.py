"""A whole chip priced: every unit on what it did in a recorded training step, and the energy of a step."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from lns.design import Core, Design, MainMemory
from sim.cost.cycles import Array, Words, counts, role_of
from sim.cost.errors import CostError
from sim.cost.extras import Extra
from sim.cost.mapping import inverter_leakage
from sim.cost.memory import dram, sram
from sim.cost.operands import Recorded, recorded, uniform
from sim.cost.price import UNIFORM, Price, price
from sim.cost.settings import Settings
from sim.cost.step import Machine, StepEnergy, UnitCost, step_energy
from sim.cost.workload import record
from sim.train.trace import Trace
from sim.verify.unit import Unit

__all__ = ["Cost", "assemble", "design_cost", "price_all", "recorded_work", "require_design", "unit_cost"]

# beats of a call that are compared: of each product of the first step; of other units, over all recorded steps
_PRODUCTS, _OTHERS = 1000, 10_000

Report = Callable[[str], None]


@dataclass(frozen=True)
class Cost:
    """A priced chip.

    Attributes
    ----------
    name : str
    prices : tuple of (role, Price)
    step : StepEnergy
        Its machine has areas, leakage and memories.
    units : tuple of Unit
        In the order of the prices.
    extras : tuple of Extra
        Likewise; empty where nothing more was asked for.
    """

    name: str
    prices: tuple[tuple[str, Price], ...]
    step: StepEnergy
    units: tuple[Unit, ...]
    extras: tuple[Extra, ...] = ()

    @property
    def mac(self) -> float:
        """Dynamic joules of a multiply-accumulate in its element, conversion of the result included, over the step."""
        return self.step.by_kind["multiply-accumulate"] / self.step.macs

    @property
    def update(self) -> float:
        """Dynamic joules of a weight's update."""
        weights = sum(row.phase.operations for row in self.step.rows if row.phase.phase == "update")
        return self.step.by_kind["update"] / weights

    @property
    def critical_path(self) -> float:
        """Of the slowest unit, seconds."""
        return max(one.critical_path for _, one in self.prices)

    def to_dict(self) -> dict[str, Any]:
        """Joules, seconds, watts, µm²."""
        extras = [extra.to_dict() for extra in self.extras] or [{} for _ in self.prices]
        return {
            "name": self.name, "mac_energy": self.mac, "update_energy": self.update,
            "critical_path": self.critical_path,
            "units": [
                {"role": role} | one.to_dict() | extra for (role, one), extra in zip(self.prices, extras, strict=True)
            ],
            "step": self.step.to_dict(),
        }  # fmt: skip


def design_cost(design: Design, settings: Settings, report: Report = lambda text: None) -> Cost:
    """Price a design.

    Parameters
    ----------
    design : Design
    settings : Settings
    report : callable
        Told what is being done, a line at a time.

    Raises
    ------
    CostError
        If a unit cannot be built, misses the clock, or its netlist does not compute what the definition says; if the
        settings have a trace of another design.
    MissingTool
        If a tool is missing.
    """
    if settings.trace is None:
        traces = record(design, settings.workload)
    else:
        require_design(settings.trace, design)
        traces = (settings.trace,)
    work = {
        unit: by_label | {UNIFORM: uniform(unit, max(by_label.values(), key=len)[: settings.beats], 0)}
        for unit, by_label in recorded_work(traces).items()
    }
    prices = price_all(design.name, work, settings, report)
    step = counts(traces[0]) if settings.step is None else settings.step
    machine = assemble(design.name, design.core, Array.of(design), Words.of(design), prices, settings)
    return Cost(design.name, tuple(prices), step_energy(machine, step), tuple(work))


def require_design(trace: Trace, chip: Design | str) -> None:
    """`CostError` unless a trace was recorded on this design; a baseline has no trace."""
    if isinstance(chip, str):
        raise CostError(f"--trace: a trace is the operands of a design, {chip} is a baseline")
    if trace.design != chip:
        pairs = zip(chip.to_toml().splitlines(), trace.design.to_toml().splitlines(), strict=False)
        required, given = next((pair for pair in pairs if pair[0] != pair[1]), ("the file", "another"))
        raise CostError(
            f"--trace: a trace of {chip.name} is required ({required}), this one was recorded on {trace.design.name} "
            f"({given})"
        )


def price_all(name: str, work: Recorded, settings: Settings, report: Report) -> list[tuple[str, Price]]:
    """(role, price) of each unit, as many at a time as the machine has cores."""

    def one(unit: Unit) -> tuple[str, Price]:
        made = price(unit, work[unit], settings.conditions, settings.beats, heavy)
        report(f"{name}: {unit.module}: {made.area_um2:.4g} µm², {made.verified} beats verified")
        return role_of(next(iter(work[unit]))), made

    # threads that wait, and threads that run the tools
    with ThreadPoolExecutor(len(work)) as waiting, ThreadPoolExecutor(settings.jobs) as heavy:
        return list(waiting.map(one, work))


def recorded_work(traces: tuple[Trace, ...]) -> Recorded:
    """Products of the first step; of the other units, which have fewer operands, every step's."""
    work: Recorded = {}
    for number, trace in enumerate(traces):
        products = tuple(call for call in trace.calls if call.unit == "dot" and not number)
        others = tuple(call for call in trace.calls if call.unit != "dot")
        for calls, limit in ((products, _PRODUCTS), (others, _OTHERS // len(traces))):
            for unit, by_label in recorded(replace(trace, calls=calls), limit).items():
                for label, transactions in by_label.items():
                    work.setdefault(unit, {}).setdefault(label, []).extend(transactions)
    return work


def unit_cost(role: str, prices: list[Price]) -> UnitCost:
    """The units of one role as one: those that a call uses take its energy, the others' clocks tick beside it."""
    labels = dict.fromkeys(label for one in prices for label in one.recorded)
    return UnitCost(
        role,
        {label: sum(one.recorded.get(label, one.idle) for one in prices) for label in labels},
        sum(one.idle for one in prices),
        sum(one.leakage for one in prices),
        sum(one.area_um2 for one in prices),
        sum(one.gate_equivalents for one in prices),
        estimate=any(one.macros for one in prices),
    )


def assemble(
    name: str, core: Core, array: Array, words: Words, prices: list[tuple[str, Price]], settings: Settings,
    more: tuple[UnitCost, ...] = (), unpriced: tuple[str, ...] = (),
) -> Machine:  # fmt: skip
    """The core with its memories around priced units.

    Parameters
    ----------
    more : tuple of UnitCost
        Units that are priced otherwise.
    unpriced : tuple of str
        Roles that are left out, knowingly.
    """
    roles = dict.fromkeys(role for role, _ in prices if role != "convert" or words.copies)
    units = tuple(unit_cost(role, [one for kind, one in prices if kind == role]) for role in roles)
    inverter = inverter_leakage(settings.conditions.library)
    main = dram() if core.memory is MainMemory.DRAM else sram(core.memory_kib << 13, settings.node, inverter)
    return Machine(
        name, array, words, (*units, *more), sram(core.buffer_kib << 13, settings.node, inverter), main,
        settings.conditions.period, unpriced,
    )  # fmt: skip
