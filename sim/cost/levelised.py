"""A netlist clock by clock, without delays: every cell once a clock, in the order of the signals.

It is fast enough for all the operands of a recorded step, where `sim.cost.delayed` takes a few hundred. Cells compute
what the library's functions say. A net changes once a clock at most: there are no glitches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lns.kernels.compiling import jit
from sim.cost.activity import IDLE_CLOCKS, WARM_UP, Activity, Toggles, check_results, ports_of
from sim.cost.cells import Cell
from sim.cost.errors import CostError
from sim.cost.expression import Expression
from sim.cost.liberty import Library
from sim.cost.macro import RomMacro
from sim.cost.netlist import UNCONNECTED, Instances, Netlist
from sim.verify.unit import Transaction, Unit

__all__ = [
    "Levelised", "addresses_of", "count_look_ups", "functions_of", "levelise", "look_up", "look_ups_of", "play",
    "reset",
]  # fmt: skip

_PATIENCE = 5000  # clocks without a transfer after which nothing more is waited for
_AFTER = 32  # clocks behind the last result in which no other may come
_RESET = 4  # clocks

Ints = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Functions:
    """Look-ups: function i takes nets ``fanin[start[i]:start[i + 1]]``, the first in the low bit of an index into
    ``tables[base[i]:]``, and gives net ``out[i]``. That is an output of an instance, and takes pins:
    ``names[i]``; the clock's stands for a state."""

    start: Ints
    fanin: Ints
    base: Ints
    tables: Bits
    out: Ints
    names: tuple[tuple[str, str, tuple[str, ...]], ...]


@dataclass(frozen=True, eq=False)
class Levelised:
    """A netlist made ready: outputs of flip-flops and gates in order, and what flip-flops take at the clock's edge.

    Behind its nets stands one for the state of each flip-flop. ``addresses`` has of each kind of ROM macro the nets of
    the address of every instance.
    """

    netlist: Netlist
    size: int
    gates: _Functions
    data: _Functions
    clear: _Functions
    preset: _Functions
    addresses: Mapping[str, Ints]


def play(levelised: Levelised, unit: Unit, transactions: Sequence[Transaction], period: float) -> Activity:
    """Run transactions through a netlist, a beat a clock as long as it takes them, and compare every result.

    Parameters
    ----------
    levelised : Levelised
    unit : Unit
        Says which results are right.
    transactions : sequence
    period : float
        Of the clock, seconds: what the times of the activity are in.

    Raises
    ------
    CostError
        At the first result that is not the definition's, with its operands; if the netlist stops.
    """
    netlist, ports = levelised.netlist, ports_of(levelised.netlist, unit, transactions)
    counts = np.zeros((2, 3, levelised.size), np.int64)
    addresses = addresses_of(levelised)
    found = np.zeros((2, len(addresses[0]) - 1), np.int64)
    parts = (levelised.gates, levelised.data, levelised.clear, levelised.preset)
    values = np.zeros(levelised.size, np.uint8)
    seen, taken, *clocks = _play(
        tuple(map(functions_of, parts)), values, ports.stimuli, ports.into, ports.out, ports.control, ports.results,
        counts, addresses, found,
    )  # fmt: skip
    check_results(unit, transactions, ports, seen)
    if seen < len(ports.expected):
        raise CostError(f"{unit.module} {unit}: the netlist stops after {seen} of {len(ports.expected)} results")
    (rises, falls, high, time), idle = (
        _toggles(netlist, count, clock, period) for count, clock in zip(counts, clocks, strict=True)
    )
    busy, still = (look_ups_of(levelised, one) for one in found)
    return Activity(
        rises, falls, high, time, taken, seen, False, Toggles(*idle, look_ups=still), look_ups=busy
    )  # fmt: skip


def _toggles(netlist: Netlist, counts: Ints, clocks: int, period: float) -> tuple[Ints, Ints, Floats, float]:
    rises, falls, high = (count[: len(netlist.nets)] for count in counts)
    clock = netlist.inputs["clk_i"][0]
    rises[clock] = falls[clock] = clocks
    seconds = high * period
    seconds[clock], seconds[1] = clocks * period / 2, clocks * period
    return rises, falls, seconds, clocks * period


def functions_of(functions: _Functions) -> tuple[Ints, Ints, Ints, Bits, Ints]:
    """What kernels take."""
    return functions.start, functions.fanin, functions.base, functions.tables, functions.out


def addresses_of(levelised: Levelised) -> tuple[Ints, Ints]:
    """What kernels take: the nets ``nets[start[i]:start[i + 1]]`` are the address of ROM macro i."""
    rows = [nets for kind in levelised.addresses.values() for nets in kind]
    widths = np.array([0, *map(len, rows)], np.int64)
    return np.cumsum(widths), np.concatenate([np.zeros(0, np.int64), *rows])


def look_ups_of(levelised: Levelised, counts: Ints) -> dict[str, Ints]:
    """Counts of all ROM macros, by kind."""
    ends = np.cumsum([len(nets) for nets in levelised.addresses.values()])
    return dict(zip(levelised.addresses, np.split(counts, ends[:-1]), strict=True)) if len(ends) else {}


def reset(levelised: Levelised, values: Bits, control: Ints) -> None:
    """The values of all nets behind a reset: no beat comes in, results are taken, and registers that the reset leaves
    alone hold 0."""
    gates, clear, preset = map(functions_of, (levelised.gates, levelised.clear, levelised.preset))
    values[:] = 0
    values[[1, control[2]]] = 1
    for held in (0, 1):
        values[control[0]] = held
        _settle(gates, values)
        _force(clear, values, 0)
        _force(preset, values, 1)
        _settle(gates, values)


def levelise(netlist: Netlist, library: Library) -> Levelised:
    """Make a netlist ready.

    Raises
    ------
    CostError
        If it has a combinational loop, or a flip-flop that stores at anything but the rise of ``clk_i``.
    """
    cells = netlist.cells_of(library)
    storing = {name: kind for name, kind in netlist.kinds.items() if cells[name].state}
    size, state_nets = len(netlist.nets), {}
    for name, kind in storing.items():
        state_nets[name] = np.arange(size, size + len(kind.names))
        size += len(kind.names)
    made = _Builder()
    for name, kind in storing.items():  # first: they depend on states alone
        _check_clock(netlist, cells[name], kind)
        for pin in _driven(cells[name], kind):
            made.add(cells[name], kind, state_nets[name], _function(cells[name], pin), kind.of(pin), pin)
    first = made.count
    for name, kind in netlist.kinds.items():
        if name not in storing:
            for pin in _driven(cells[name], kind):
                made.add(cells[name], kind, None, _function(cells[name], pin), kind.of(pin), pin)
    gates = made.done()
    order = _order(gates, first, netlist)
    data, clear, preset = (_of_states(cells, storing, state_nets, part) for part in ("data", "clear", "preset"))
    addresses = {
        name: np.stack([kind.of(pin) for pin in cells[name].inputs], axis=1)
        for name, kind in netlist.kinds.items() if isinstance(cells[name], RomMacro)
    }  # fmt: skip
    return Levelised(netlist, size, _reordered(gates, order), data, clear, preset, addresses)


def _check_clock(netlist: Netlist, cell: Cell, kind: Instances) -> None:
    state = cell.state
    assert state is not None
    (pin,) = state.clock.names if len(state.clock.names) == 1 else ("",)
    rising = pin and cell.truth(state.clock)[1 << cell.variables.index(pin)]
    if state.latch or not rising or (kind.of(pin) != netlist.inputs["clk_i"][0]).any():
        raise CostError(f"cell {cell.name}: a flip-flop that stores when clk_i rises is required")


def _driven(cell: Cell, kind: Instances) -> list[str]:
    return [pin for pin in cell.outputs if pin in kind.pins]


def _function(cell: Cell, pin: str) -> Expression:
    function = cell.pins[pin].function
    if function is None:
        raise CostError(f"cell {cell.name}: output {pin} needs a function")
    return function


def _of_states(
    cells: Mapping[str, Cell], storing: Mapping[str, Instances], state_nets: Mapping[str, Ints], part: str
) -> _Functions:
    """The next state, or whether it is cleared or preset, of the flip-flops that have that."""
    made = _Builder()
    for name, kind in storing.items():
        expression = getattr(cells[name].state, part)
        if expression is not None:
            made.add(cells[name], kind, state_nets[name], expression, state_nets[name])
    return made.done()


class _Builder:
    """Collects functions."""

    def __init__(self) -> None:
        self.count = 0
        self.parts: list[tuple[Ints, Ints, Ints]] = []  # nets a function, bases, outputs
        self.names: list[tuple[str, str, tuple[str, ...]]] = []
        self.tables: list[Bits] = []
        self.length = 0

    def add(
        self, cell: Cell, kind: Instances, states: Ints | None, expression: Expression, out: Ints, pin: str = ""
    ) -> None:
        """The expression, of a pin or of the state, for every instance whose output has a net."""
        table = cell.truth(expression).astype(np.uint8)
        missing = [name for name in cell.inputs if name not in kind.pins]
        if missing:
            raise CostError(f"cell {cell.name}: pin {missing[0]} is not connected")
        columns = [kind.of(name) for name in cell.inputs] + ([states] if states is not None else [])
        nets = np.stack(columns, axis=1)
        used = out != UNCONNECTED
        if (nets[used] == UNCONNECTED).any():
            raise CostError(f"cell {cell.name}: an input is not connected")
        sources = (*cell.inputs, *(cell.state.clock.names if cell.state else ()))
        self.names += [(kind.names[number], pin, sources) for number in np.flatnonzero(used).tolist()]
        self.parts.append((nets[used], np.full(int(used.sum()), self.length), out[used]))
        self.tables.append(table)
        self.length += len(table)
        self.count += int(used.sum())

    def done(self) -> _Functions:
        nets, widths, bases, outs = [], [], [], []
        for some, base, out in self.parts:
            nets.append(some.reshape(-1))
            widths.append(np.full(len(some), some.shape[1]))
            bases.append(base)
            outs.append(out)
        empty = np.zeros(0, np.int64)
        start = np.concatenate([[0], np.cumsum(np.concatenate([empty, *widths]))]).astype(np.int64)
        tables = np.concatenate([np.zeros(0, np.uint8), *self.tables])
        fanin, base, out = (np.concatenate([empty, *each]) for each in (nets, bases, outs))
        return _Functions(start, fanin, base, tables, out, tuple(self.names))


def _order(gates: _Functions, first: int, netlist: Netlist) -> Ints:
    """The functions so that each comes after those whose nets it takes; the first ones take none."""
    driver = {int(net): number for number, net in enumerate(gates.out)}
    waiting = np.zeros(len(gates.out), np.int64)
    readers: dict[int, list[int]] = {}
    for number in range(first, len(gates.out)):
        for net in gates.fanin[gates.start[number] : gates.start[number + 1]].tolist():
            if net in driver:
                readers.setdefault(driver[net], []).append(number)
                waiting[number] += 1
    order = list(range(first)) + [n for n in range(first, len(gates.out)) if not waiting[n]]
    for number in order:
        for reader in readers.get(number, ()):
            waiting[reader] -= 1
            if not waiting[reader]:
                order.append(reader)
    if len(order) < len(gates.out):
        net = netlist.nets[int(gates.out[int(np.flatnonzero(waiting)[0])])]
        raise CostError(f"a netlist without combinational loops is required, net {net} is in one")
    return np.array(order, np.int64)


def _reordered(gates: _Functions, order: Ints) -> _Functions:
    widths = np.diff(gates.start)[order]
    fanin = [gates.fanin[gates.start[n] : gates.start[n + 1]] for n in order]
    start = np.concatenate([[0], np.cumsum(widths)]).astype(np.int64)
    names = tuple(gates.names[n] for n in order.tolist())
    return _Functions(
        start, np.concatenate([np.zeros(0, np.int64), *fanin]), gates.base[order], gates.tables, gates.out[order], names
    )


@jit
def look_up(functions, number, values):  # type: ignore[no-untyped-def]
    """The value of a function."""
    start, fanin, base, tables, _ = functions
    index = 0
    for place in range(start[number], start[number + 1]):
        index |= np.int64(values[fanin[place]]) << (place - start[number])
    return tables[base[number] + index]


@jit
def _settle(functions, values):  # type: ignore[no-untyped-def]
    out = functions[4]
    for number in range(len(out)):
        values[out[number]] = look_up(functions, number, values)


@jit
def _force(functions, values, to):  # type: ignore[no-untyped-def]
    """States whose clear or preset is active; how many of them changed."""
    out, changed = functions[4], 0
    for number in range(len(out)):
        if values[out[number]] != to and look_up(functions, number, values):
            values[out[number]] = to
            changed += 1
    return changed


@jit
def _count(values, before, counts):  # type: ignore[no-untyped-def]
    """Rises, falls, and clocks at 1, of every net."""
    for net in range(len(values)):
        counts[0, net] += values[net] & (1 - before[net])
        counts[1, net] += before[net] & (1 - values[net])
        counts[2, net] += values[net]


@jit
def count_look_ups(addresses, values, before, counts):  # type: ignore[no-untyped-def]
    """Count the ROM macros whose address is another one than before."""
    start, nets = addresses
    for macro in range(len(start) - 1):
        for place in range(start[macro], start[macro + 1]):
            if values[nets[place]] != before[nets[place]]:
                counts[macro] += 1
                break


@jit
def _play(parts, values, stimuli, into, out, control, results, counts, addresses, look_ups):  # type: ignore[no-untyped-def]
    """How many results came, at most one more than are due; the beats taken while toggles were counted; the clocks in
    which they were, with beats and idle.

    In ``control``: rst_ni, valid_i, ready_i, ready_o, valid_o.
    """
    gates, data, clear, preset = parts
    states = data[4]
    following = np.zeros(len(states), np.uint8)
    before = values.copy()
    sent = seen = taken = still = clock = beats = idle = 0
    values[1] = 1
    values[control[2]] = 1
    while seen < len(results) and still < _PATIENCE and idle < IDLE_CLOCKS:
        values[control[0]] = clock >= _RESET
        valid = clock >= _RESET and sent < len(stimuli)
        values[control[1]] = valid
        if valid:
            for bit in range(len(into)):
                values[into[bit]] = stimuli[sent, bit]
        _settle(gates, values)
        if _force(clear, values, 0) + _force(preset, values, 1):
            _settle(gates, values)
        if valid and (sent >= WARM_UP or len(stimuli) <= 2 * WARM_UP):
            _count(values, before, counts[0])
            count_look_ups(addresses, values, before, look_ups[0])
            beats += 1
            taken += values[control[3]]
        elif seen == len(results) - 1 and still > _AFTER:
            _count(values, before, counts[1])
            count_look_ups(addresses, values, before, look_ups[1])
            idle += 1
        before[:] = values
        still += 1
        if valid and values[control[3]]:
            sent += 1
            still = 0
        if clock >= _RESET and values[control[4]]:
            for bit in range(len(out)):
                results[seen, bit] = values[out[bit]]
            seen += 1
            still = 0
        for number in range(len(states)):
            following[number] = look_up(data, number, values)
        for number in range(len(states)):
            values[states[number]] = following[number]
        _force(clear, values, 0)
        _force(preset, values, 1)
        clock += 1
    return seen, taken, beats, idle
