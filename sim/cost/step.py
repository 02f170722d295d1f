"""Energy of one training step: what each unit does (`sim.cost.cycles`) times what it takes (`sim.cost.price`), and the
memories, clocks and leakage around it, for a design and for baselines of the same throughput alike.

Every clock of every unit is counted once: with a beat it takes that beat's energy, its own clock pins included, and
without one the energy of its clock pins. Nothing is gated or switched off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sim.cost.cycles import Array, Count, Phase, Use, Words, plan
from sim.cost.errors import CostError
from sim.cost.memory import Memory
from sim.cost.scaling import Scaling

__all__ = ["KINDS", "Machine", "Row", "StepEnergy", "UnitCost", "scaled", "step_energy"]

#: kinds of energy, in the order of tables and bars
KINDS = (
    "multiply-accumulate", "update", "conversion, ReLU, loss", "clock of idle units", "leakage", "operand buffer",
    "main memory",
)  # fmt: skip
_MAC, _UPDATE, _OTHER, _IDLE, _LEAKAGE, _BUFFER, _MAIN = KINDS
_KIND_OF_ROLE = {"element": _MAC, "update": _UPDATE, "convert": _OTHER, "relu": _OTHER, "loss": _OTHER}


@dataclass(frozen=True, slots=True)
class UnitCost:
    """What one unit costs.

    Attributes
    ----------
    role : str
        ``element``, ``update``, ``convert``, ``relu`` or ``loss``.
    energy : mapping
        Label of what was recorded (``forward 1``) -> mean dynamic energy of a clock with a beat, joules, the clock's
        pins included.
    idle : float
        Joules of a clock without a beat.
    leakage : float
        Watts.
    area_um2, gate_equivalents : float
    copies : int
        Units that a word takes, side by side (SGD with momentum: two multiply-accumulators a weight).
    estimate : bool
        Whether it was scaled from another node, or has ROM macros.
    """

    role: str
    energy: Mapping[str, float]
    idle: float
    leakage: float
    area_um2: float
    gate_equivalents: float
    copies: int = 1
    estimate: bool = False

    def __post_init__(self) -> None:
        if self.role not in _KIND_OF_ROLE:
            raise CostError(f"unit: role must be one of {', '.join(_KIND_OF_ROLE)}, got {self.role!r}")
        figures = (*self.energy.values(), self.idle, self.leakage, self.area_um2, self.gate_equivalents)
        if not self.energy or not all(0 <= value < float("inf") for value in figures) or self.copies < 1:
            raise CostError(f"{self.role}: needs an energy, and figures that are finite and not negative, got {self}")

    def energy_of(self, label: str) -> float:
        """Joules a beat of a call: as recorded under its label, or else the mean over the recorded labels of its phase
        (``forward 3`` of a deeper network: the mean of ``forward 1`` and ``forward 2``).

        Raises
        ------
        CostError
            If nothing of that phase was recorded.
        """
        if label in self.energy:
            return self.energy[label]
        phase = label.split()[0]
        same = [value for known, value in self.energy.items() if known.split()[0] == phase]
        if not same:
            raise CostError(f"{self.role}: {label} needs an energy, recorded are {', '.join(self.energy)}")
        return sum(same) / len(same)


def scaled(unit: UnitCost, factors: Scaling) -> UnitCost:
    """A unit at another node, as an estimate. Leakage goes by the factor of energy, for want of a published model of
    its own (github.com/Accelergy-Project/hwcomponents does the same)."""
    return replace(
        unit,
        energy={label: value * factors.energy for label, value in unit.energy.items()},
        idle=unit.idle * factors.energy,
        leakage=unit.leakage * factors.energy,
        area_um2=unit.area_um2 * factors.area,
        estimate=True,
    )


@dataclass(frozen=True)
class Machine:
    """A training core with everything that its energy follows from.

    Attributes
    ----------
    name : str
    array : Array
    words : Words
    units : tuple of UnitCost
        One a role.
    buffer, main : Memory
    period : float
        Of the clock, seconds.
    unpriced : tuple of str
        Roles whose energy and area are left out, knowingly: their clocks and traffic count.
    """

    name: str
    array: Array
    words: Words
    units: tuple[UnitCost, ...]
    buffer: Memory
    main: Memory
    period: float
    unpriced: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        roles = [unit.role for unit in self.units] + list(self.unpriced)
        needed = {role for role in _KIND_OF_ROLE if role != "convert" or self.words.copies}
        if len(set(roles)) != len(roles) or set(roles) != needed:
            raise CostError(f"{self.name}: needs one unit each for {', '.join(sorted(needed))}, got {', '.join(roles)}")
        if self.buffer.bits is None:
            raise CostError(f"{self.name}: the operand buffer must be of a known size, got {self.buffer.kind}")
        if not 0 < self.period < float("inf"):
            raise CostError(f"{self.name}: period must be above 0 s, got {self.period}")

    def instances(self, unit: UnitCost) -> int:
        """How many of a unit the core has: an element and a ReLU for each place of the array, one loss unit, an update
        unit and a converter for each update lane."""
        array = self.array
        elements = array.rows * array.columns
        of_role = {
            "element": elements, "relu": elements * array.outputs, "loss": 1, "update": array.update_lanes,
            "convert": array.update_lanes,
        }  # fmt: skip
        return of_role[unit.role] * unit.copies

    @property
    def logic_area_um2(self) -> float:
        return sum(self.instances(unit) * unit.area_um2 for unit in self.units)

    @property
    def gate_equivalents(self) -> float:
        return sum(self.instances(unit) * unit.gate_equivalents for unit in self.units)

    @property
    def area_um2(self) -> float:
        """Of the chip: units and the memories that are on it."""
        return self.logic_area_um2 + self.buffer.area_um2 + self.main.area_um2

    @property
    def leakage(self) -> float:
        """Of units and memories, watts."""
        units = sum(self.instances(unit) * unit.leakage for unit in self.units)
        return units + self.buffer.leakage + self.main.leakage

    @property
    def estimates(self) -> tuple[str, ...]:
        """What of the figures is an estimate: both memories, and units scaled from another node or with ROM macros."""
        memories = (name for name, memory in ((_BUFFER, self.buffer), (_MAIN, self.main)) if memory.estimate)
        return (*memories, *(unit.role for unit in self.units if unit.estimate))


@dataclass(frozen=True)
class Row:
    """One phase: its clocks and traffic, and its joules by kind, all of `KINDS`."""

    phase: Phase
    energy: dict[str, float]

    @property
    def total(self) -> float:
        return sum(self.energy.values())


@dataclass(frozen=True)
class StepEnergy:
    """Energy of a training step, by phase and by kind."""

    machine: Machine
    rows: tuple[Row, ...]

    @property
    def clocks(self) -> int:
        return sum(row.phase.clocks for row in self.rows)

    @property
    def seconds(self) -> float:
        return self.clocks * self.machine.period

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the step's products."""
        return sum(row.phase.operations for row in self.rows if row.phase.uses[0].role == "element")

    @property
    def utilisation(self) -> float:
        """Multiply-accumulates over what the array could do in the whole step."""
        array = self.machine.array
        return self.macs / (self.clocks * array.rows * array.columns * array.lanes)

    @property
    def total(self) -> float:
        """Joules."""
        return sum(row.total for row in self.rows)

    @property
    def per_mac(self) -> float:
        """Joules of everything for each multiply-accumulate."""
        return self.total / self.macs

    @property
    def watts(self) -> float:
        """Mean power of the step."""
        return self.total / self.seconds

    @property
    def by_kind(self) -> dict[str, float]:
        return {kind: sum(row.energy[kind] for row in self.rows) for kind in KINDS}

    @property
    def by_layer(self) -> dict[str, dict[str, float]]:
        """``layer 1`` …, ``loss`` -> joules by kind."""
        out: dict[str, dict[str, float]] = {}
        for row in sorted(self.rows, key=lambda row: row.phase.layer or len(self.rows)):
            name = f"layer {row.phase.layer}" if row.phase.layer else "loss"
            kinds = out.setdefault(name, dict.fromkeys(KINDS, 0.0))
            for kind, value in row.energy.items():
                kinds[kind] += value
        return out

    def bandwidth(self, row: Row) -> tuple[float, float]:
        """Bits a second at the operand buffer and at the main memory during a phase."""
        phase = row.phase
        seconds = phase.clocks * self.machine.period
        buffer, memory = phase.buffer_read + phase.buffer_written, phase.memory_read + phase.memory_written
        return buffer / seconds, memory / seconds

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON; joules, seconds, watts, bits a second, µm²."""
        machine = self.machine
        rows = [
            asdict(row.phase)
            | {"seconds": row.phase.clocks * machine.period}
            | dict(zip(("buffer_bandwidth", "memory_bandwidth"), self.bandwidth(row), strict=True))
            | {"energy": row.energy}
            for row in self.rows
        ]
        return {
            "name": machine.name,
            "period": machine.period,
            "array": asdict(machine.array),
            "words": asdict(machine.words),
            "memories": {"buffer": machine.buffer.to_dict(), "main": machine.main.to_dict()},
            "units": {unit.role: asdict(unit) | {"instances": machine.instances(unit)} for unit in machine.units},
            "area_um2": machine.area_um2,
            "logic_area_um2": machine.logic_area_um2,
            "gate_equivalents": machine.gate_equivalents,
            "phases": rows,
            "by_kind": self.by_kind,
            "by_layer": self.by_layer,
            "clocks": self.clocks,
            "seconds": self.seconds,
            "macs": self.macs,
            "utilisation": self.utilisation,
            "energy": self.total,
            "energy_per_mac": self.per_mac,
            "watts": self.watts,
            "unpriced": list(machine.unpriced),
            "estimates": list(machine.estimates),
        }


def step_energy(machine: Machine, step: Sequence[Count]) -> StepEnergy:
    """Energy of a step of the given calls.

    Parameters
    ----------
    machine : Machine
    step : sequence of Count
        From `sim.cost.cycles.counts` (a recorded step) or `counts_of` (any network).

    Raises
    ------
    CostError
        If the main memory is too small for the network, or a call's energy was not recorded.
    """
    _require_room(machine, step)
    assert machine.buffer.bits is not None  # Machine requires it
    phases = plan(step, machine.array, machine.words, machine.buffer.bits)
    return StepEnergy(machine, tuple(Row(phase, _energy(machine, phase)) for phase in phases))


def _energy(machine: Machine, phase: Phase) -> dict[str, float]:
    energy = dict.fromkeys(KINDS, 0.0)
    uses = {use.role: use for use in phase.uses}
    nothing = Use("", "", 0, 0)
    for unit in machine.units:
        use = uses.get(unit.role, nothing)
        if use.beats:
            energy[_KIND_OF_ROLE[unit.role]] += use.beats * unit.copies * unit.energy_of(use.label)
        idle = machine.instances(unit) * phase.clocks - use.busy * unit.copies
        energy[_IDLE] += idle * unit.idle
    energy[_LEAKAGE] = machine.leakage * phase.clocks * machine.period
    energy[_BUFFER] = (phase.buffer_read + phase.buffer_written) * machine.buffer.energy
    energy[_MAIN] = (phase.memory_read + phase.memory_written) * machine.main.energy
    return energy


def _require_room(machine: Machine, step: Sequence[Count]) -> None:
    """The main memory holds weights, state, copies, gradients, activations and errors of the whole step at once."""
    if machine.main.bits is None:
        return
    words = machine.words
    weight = words.weight + words.state + words.gradient + (words.operand if words.copies else 0)
    need = 0
    for count in step:
        if count.role == "update":
            need += count.operations * weight
        elif count.phase == "forward":
            m, n, k = count.shape
            need += m * n * (words.activation + words.error) + (m * k * words.activation if count.layer == 1 else 0)
    if need > machine.main.bits:
        kib = -(-need // 8192)
        raise CostError(
            f'core.memory_kib: the network needs {kib} KiB, or memory = "dram"; got {machine.main.bits // 8192}'
        )
