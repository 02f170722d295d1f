"""Power of a netlist: toggles of its nets, energies and leakage of its cells.

- Switching: an edge of a net takes ½·C·V², where C is the capacitance of the pins on it. There is no layout: wires have
  none, unless a capacitance for each driven pin is given. Outputs drive nothing; the pins behind inputs count here.
- Internal: the library's tables at the slew of the pin that causes an edge and the load of the net. Which pin caused an
  edge is not recorded: each related pin has a share by its own edges and by how probable the states are in which it
  changes the output. Energies and leakage under a condition count with its probability. Pins of a cell are taken as
  independent; their probabilities are the simulation's.
- Leakage: of every cell, under its conditions.
- ROM macros: look-ups times the energy of one, by the model of memories; their pins are loads like others.

Where a library lists energies of supply and of ground, those of ground are left out: they are the same energy, seen
where the current leaves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from sim.cost.activity import Toggles
from sim.cost.cells import Cell, Energy, Floats, Leakage
from sim.cost.errors import CostError
from sim.cost.expression import Expression
from sim.cost.liberty import Library
from sim.cost.macro import RomMacro
from sim.cost.netlist import UNCONNECTED, Instances, Netlist
from sim.cost.timing import Timing

__all__ = ["Power", "net_capacitances", "power"]

Truth = npt.NDArray[np.bool_]
_Entry = TypeVar("_Entry", Energy, Leakage)


@dataclass(frozen=True)
class Power:
    """Mean power over a time, watts.

    ``clock_…`` is that of the nets at clock pins of flip-flops, and of these pins in the cells; ``sequential_…`` of all
    else in flip-flops, and of the nets that they drive; ``combinational_…`` of the other cells; ``input_switching`` of
    the nets that come from outside; ``macro`` of look-ups in ROM macros.
    """

    clock_internal: float
    clock_switching: float
    sequential_internal: float
    sequential_switching: float
    combinational_internal: float
    combinational_switching: float
    input_switching: float
    macro: float
    leakage: float

    @property
    def clock(self) -> float:
        return self.clock_internal + self.clock_switching

    @property
    def internal(self) -> float:
        """Of cells, clock pins apart."""
        return self.sequential_internal + self.combinational_internal

    @property
    def switching(self) -> float:
        """Of nets, the clock's apart."""
        return self.sequential_switching + self.combinational_switching + self.input_switching

    @property
    def dynamic(self) -> float:
        """All but leakage. Times `Activity.beat_time` it is the energy of a beat."""
        return self.clock + self.internal + self.switching + self.macro


def power(netlist: Netlist, toggles: Toggles, timing: Timing, library: Library, wire_capacitance: float = 0.0) -> Power:
    """The power of a netlist in the time of some toggles, at the library's voltage.

    Parameters
    ----------
    netlist : Netlist
    toggles : Toggles
        Of its nets: an `Activity`, or its ``idle``.
    timing : Timing
        Gives the slew of each pin.
    library : Library
    wire_capacitance : float
        Of a net for each pin that it drives, farads.

    Raises
    ------
    CostError
        If the library lacks a cell, or the timing a pin that toggles.
    """
    cells = netlist.cells_of(library)
    loads = net_capacitances(netlist, library, wire_capacitance)
    parts: dict[str, float] = dict.fromkeys(Power.__dataclass_fields__, 0.0)
    for name, net_energy in _switching(netlist, cells, toggles, loads, library.voltage).items():
        parts[f"{name}_switching"] += net_energy / toggles.duration
    for name, kind in netlist.kinds.items():
        cell, state = cells[name], cells[name].state
        if isinstance(cell, RomMacro):
            parts["macro"] += cell.energy * float(toggles.look_ups[name].sum()) / toggles.duration
            parts["leakage"] += len(kind.names) * cell.leakage[0].power
            continue
        group = _Group(cell, kind, toggles, timing, loads)
        clock_pins = state.clock.names if state else frozenset()
        other = "sequential" if state else "combinational"
        for pin in kind.pins:
            part = "clock" if pin in clock_pins else other
            energy = group.output_energy(pin) if cell.pins[pin].output else group.input_energy(pin)
            parts[f"{part}_internal"] += energy / toggles.duration
        parts["leakage"] += group.leakage()
    return Power(**{name: float(watts) for name, watts in parts.items()})


def net_capacitances(netlist: Netlist, library: Library, wire_capacitance: float = 0.0) -> tuple[Floats, Floats]:
    """Farads that a rising and a falling edge of each net see: its pins, and its wire for each pin that it drives."""
    cells = netlist.cells_of(library)
    rise, fall = np.zeros(len(netlist.nets)), np.zeros(len(netlist.nets))
    for name, kind in netlist.kinds.items():
        for pin in kind.pins:
            known, nets = cells[name].pins[pin], kind.of(pin)
            nets = nets[nets != UNCONNECTED]
            wire = 0.0 if known.output else wire_capacitance
            np.add.at(rise, nets, known.rise_capacitance + wire)
            np.add.at(fall, nets, known.fall_capacitance + wire)
    return rise, fall


def _switching(
    netlist: Netlist, cells: Mapping[str, Cell], toggles: Toggles, loads: tuple[Floats, Floats], voltage: float
) -> dict[str, float]:
    """Joules, by what drives a net."""
    owner = np.full(len(netlist.nets), "input", dtype="U16")
    for name, kind in netlist.kinds.items():
        for pin in cells[name].outputs:
            if pin in kind.pins:
                nets = kind.of(pin)
                owner[nets[nets != UNCONNECTED]] = "sequential" if cells[name].state else "combinational"
    for name, kind in netlist.kinds.items():
        if state := cells[name].state:
            for pin in state.clock.names:
                owner[kind.of(pin)] = "clock"
    energy = (toggles.rises * loads[0] + toggles.falls * loads[1]) * (voltage**2 / 2)
    return {name: float(energy[owner == name].sum()) for name in ("clock", "sequential", "combinational", "input")}


class _Group:
    """The cells of one kind. Arrays have an element a cell."""

    def __init__(
        self, cell: Cell, kind: Instances, toggles: Toggles, timing: Timing, loads: tuple[Floats, Floats]
    ) -> None:
        self.cell, self.kind, self.toggles, self.timing, self.loads = cell, kind, toggles, timing, loads
        self.size = len(kind.names)
        self.states = self._states()
        self._slews: dict[tuple[str, int], Floats] = {}

    def _of_net(self, values: npt.NDArray[np.int64] | Floats, pin: str) -> Floats:
        """What the net of a pin has; 0 without a net."""
        if pin not in self.kind.pins:
            return np.zeros(self.size)
        nets = self.kind.of(pin)
        return np.where(nets == UNCONNECTED, 0.0, values[nets])

    def _states(self) -> Floats:
        """Probability of each assignment of the cell's variables, (assignments, cells)."""
        result = np.ones((1, self.size))
        for variable in self.cell.variables:
            high = self._probability(variable)
            result = np.concatenate([result * (1 - high), result * high])
        return result

    def _probability(self, variable: str) -> Floats:
        """That a variable is 1; a state is seen at an output."""
        state = self.cell.state
        if state is None or variable != state.name:
            return self._of_net(self.toggles.high, variable) / self.toggles.duration
        shown = {state.name: False, state.inverse: True}
        for output in self.cell.outputs:
            function = self.cell.pins[output].function
            if output in self.kind.pins and function and function.name in shown and (self.kind.of(output) >= 0).all():
                high = self._of_net(self.toggles.high, output) / self.toggles.duration
                return 1 - high if shown[function.name] else high
        raise CostError(f"cell {self.cell.name}: an output that shows the state is required in every instance")

    def _slew(self, pin: str, edge: int) -> Floats:
        """Of the rising (0) or the falling (1) edge, seconds; of pins that do not toggle none is needed."""
        if (pin, edge) not in self._slews:
            moves = (self._moves(pin) > 0).tolist()
            known = [self.timing.slews.get(f"{name}/{pin}") for name in self.kind.names]
            slews = [slew[edge] if slew else math.nan for slew in known]
            found = np.array([slew if moving else 0.0 for slew, moving in zip(slews, moves, strict=True)])
            if not np.isfinite(found).all():
                name = self.kind.names[int(np.argmin(np.isfinite(found)))]
                raise CostError(f"a slew of pin {name}/{pin} is required, static timing has none")
            self._slews[pin, edge] = found
        return self._slews[pin, edge]

    def _moves(self, pin: str) -> Floats:
        """Edges."""
        return self._of_net(self.toggles.rises + self.toggles.falls, pin)

    def _cases(self, entries: Sequence[_Entry], domain: Truth) -> list[Truth]:
        """The assignments of a domain in which each entry holds: those of its condition that no earlier one has; those
        that no condition has, for one without."""
        masks: dict[int, Truth] = {}
        for i in sorted(range(len(entries)), key=lambda i: entries[i].when is None):
            when = entries[i].when
            masks[i] = domain & self.cell.truth(when) if when else domain
            domain = domain & ~masks[i]
        return [masks[i] for i in range(len(entries))]

    def leakage(self) -> float:
        """Watts of all cells."""
        domain = np.ones(len(self.states), bool)
        return sum(
            entry.power * float((mask @ self.states).sum())
            for entries in _by_supply(self.cell.leakage)
            for entry, mask in zip(entries, self._cases(entries, domain), strict=True)
        )

    def input_energy(self, pin: str) -> float:
        """Joules of the edges of an input, where they change no output.

        An energy without a condition is spent in states in which the output stays; in a flip-flop, in all.
        """
        entries = [energy for energy in self.cell.energies if energy.pin == pin]
        if not entries:
            return 0.0
        hidden = np.ones(len(self.states), bool)
        if self.cell.state is None:
            for output in self.cell.outputs:
                hidden &= ~self.cell.sensitised(output, pin)
        total = 0.0
        for same in _by_supply(entries):
            explicit = hidden.copy()
            for entry in same:  # a condition is taken at its word
                if entry.when:
                    explicit |= self.cell.truth(entry.when)
            for entry, mask in zip(same, self._cases(same, explicit), strict=True):
                total += float((mask @ self.states * self._edges(pin, entry, lambda edge: self._slew(pin, edge))).sum())
        return total

    def output_energy(self, pin: str) -> float:
        """Joules of the edges of an output."""
        entries = [energy for energy in self.cell.energies if energy.pin == pin]
        total = 0.0
        for same in _by_supply(entries):
            weights, energies = [], []
            for related in sorted({name for entry in same for name in entry.related}):
                by = [entry for entry in same if related in entry.related]
                cases = self._cases(by, self.cell.sensitised(pin, related))
                moves = self._moves(related)
                for entry, mask in zip(by, cases, strict=True):
                    weights.append(moves * (mask @ self.states))
                    energies.append(self._edges(pin, entry, self._causes(pin, related)))
            if not weights:
                raise CostError(f"cell {self.cell.name}: energies of output {pin} need a related pin")
            weight = np.array(weights)
            whole = weight.sum(axis=0)
            # an edge that no pin accounts for (a glitch between pins that seldom meet): all alike
            share = np.where(whole > 0, weight / np.where(whole > 0, whole, 1), 1 / len(weights))
            total += float((share * np.array(energies)).sum())
        return total

    def _edges(self, pin: str, entry: Energy, slew: Callable[[int], Floats]) -> Floats:
        """Joules of all edges of a pin, by the tables of one entry; ``slew`` gives that of a rise (0) or fall (1)."""
        energy = np.zeros(self.size)
        for edge, table, counts in ((0, entry.rise, self.toggles.rises), (1, entry.fall, self.toggles.falls)):
            if table is not None:
                energy += self._of_net(counts, pin) * table(slew(edge), self._of_net(self.loads[edge], pin))
        return energy

    def _causes(self, output: str, related: str) -> Callable[[int], Floats]:
        """The slew of the related pin's edge that makes an output rise (0) or fall (1); of both, where both do."""
        state, bit = self.cell.state, 1 << self.cell.variables.index(related)
        acting = [one for one in (state.clock, state.clear, state.preset) if one] if state else []
        truth = self.cell.truth(next((one for one in acting if related in one.names), Expression("", output)))
        high = (np.arange(len(truth)) & bit) > 0
        with_pin, without = truth[high], truth[~high]
        up, down = bool((with_pin & ~without).any()), bool((~with_pin & without).any())
        if up and down:
            return lambda edge: (self._slew(related, 0) + self._slew(related, 1)) / 2
        if state:  # the one edge that acts
            return lambda edge: self._slew(related, 0 if up else 1)
        return lambda edge: self._slew(related, edge if up else 1 - edge)


def _by_supply(entries: Iterable[_Entry]) -> list[list[_Entry]]:
    """Each supply brings energy of its own."""
    groups: dict[str, list[_Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.supply, []).append(entry)
    return list(groups.values())
