"""A netlist whose cells have delays: an event for every change of an output, so that glitches are seen.

The delays are those of static timing, of each input of a cell to each output, rising and falling. What a cell does is
what Icarus Verilog makes of a module with ``specify`` paths, toggle by toggle:

- At a time all changes of nets are made first. Then each cell with a changed input computes what its outputs go to.
- An output that goes to another value has an event after the delay of the input that changed; of several that changed
  at once, the one with the shortest delay.
- At an event an output takes the value that it goes to *then*. A pulse shorter than the delay is swallowed.
- A flip-flop takes its data as they are at the clock's edge, and its outputs have the delay from the clock.

Times are whole numbers of 10 fs. Events are kept in a wheel of lists, one for each time up to the longest delay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lns.kernels.compiling import jit
from sim.cost.activity import IDLE_CLOCKS, Activity, Toggles, check_results, ports_of, warm_up
from sim.cost.errors import CostError
from sim.cost.levelised import Levelised, addresses_of, count_look_ups, functions_of, look_up, look_ups_of, reset
from sim.cost.sdf import Paths
from sim.verify.unit import Transaction, Unit

__all__ = ["STEP", "Delayed", "delay", "simulate"]

STEP = 1e-14  #: the least time, seconds; a delay of 5 ps is then right to a thousandth
_PER_PICOSECOND = 100
_SLOTS = 1 << 12  # of a wheel at least: the bits of 64 words, whose own bits are one word
_PATIENCE = 5000  # clocks in which nothing moves after which nothing more is waited for
_BEATS, _IDLE, _PHASES = 1, 3, 5  # as `_simulate` counts them

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Delayed:
    """A netlist made ready.

    Attributes
    ----------
    levelised : Levelised
        The same netlist: its functions are those of the gates.
    readers : int array, (nets + 1,)
        Net n is taken by the functions ``reader[readers[n]:readers[n + 1]]``, each at the input with the bit ``place``.
    delays : int32 array, (2, inputs of all functions)
        To the edge to 0 and to 1, in `STEP`.
    slots : int
        Of the wheel.
    """

    levelised: Levelised
    readers: Ints
    reader: npt.NDArray[np.int32]
    place: npt.NDArray[np.int32]
    delays: npt.NDArray[np.int32]
    slots: int


def delay(levelised: Levelised, cells: Mapping[str, Paths]) -> Delayed:
    """Give the cells of a netlist their delays.

    Parameters
    ----------
    levelised : Levelised
    cells : mapping
        Instance -> delays, of `sim.cost.sdf.cell_delays`. A path that is not there has no delay.

    Raises
    ------
    CostError
        If a cell has no delays at all, or the clock goes to other cells than flip-flops.
    """
    gates, nets = levelised.gates, len(levelised.netlist.nets)
    delays = np.zeros((2, len(gates.fanin)), np.int32)
    wanted = np.ones(len(gates.fanin), bool)  # inputs whose edges are seen
    for number, (instance, output, sources) in enumerate(gates.names):
        paths = cells.get(instance)
        if paths is None:
            raise CostError(f"delays of every cell are required, {instance} has none")
        first, last = gates.start[number], gates.start[number + 1]
        if gates.fanin[last - 1] >= nets:  # of a flip-flop the state alone counts
            wanted[first : last - 1] = False
        for at, source in enumerate(sources, first):
            rise, fall = paths.get((source, output), (0.0, 0.0))
            delays[0, at], delays[1, at] = _ticks(fall), _ticks(rise)
    if wanted[gates.fanin == levelised.netlist.inputs["clk_i"][0]].any():
        raise CostError("a clock that goes to flip-flops alone is required")
    owner = np.repeat(np.arange(len(gates.out)), np.diff(gates.start))
    order = np.argsort(gates.fanin, kind="stable")
    order = order[wanted[order]]
    count = np.bincount(gates.fanin[order], minlength=levelised.size)
    slots = _SLOTS
    while slots <= delays.max(initial=0):
        slots *= 2
    place = (np.arange(len(gates.fanin)) - gates.start[owner])[order]
    return Delayed(
        levelised, np.concatenate([[0], np.cumsum(count)]), owner[order].astype(np.int32), place.astype(np.int32),
        delays, slots,
    )  # fmt: skip


def _ticks(picoseconds: float) -> int:
    return int(picoseconds * _PER_PICOSECOND + 0.5)  # as Icarus rounds


def simulate(delayed: Delayed, unit: Unit, transactions: Sequence[Transaction], period: float) -> Activity:
    """Run transactions through a netlist with delays: a beat a clock as long as the unit takes them, its results taken
    at once and compared; the inputs change right behind the clock's edge.

    Parameters
    ----------
    delayed : Delayed
    unit : Unit
        Says which results are right.
    transactions : sequence
        One at least.
    period : float
        Of the clock, seconds.

    Raises
    ------
    CostError
        At the first result that is not the definition's, with its operands; if the netlist stops.
    """
    if not transactions:
        raise CostError(f"{unit.module} {unit}: at least one transaction is required, got none")
    half = round(period / STEP / 2)
    if half < 200:
        raise CostError(f"a clock period of at least {400 * STEP:g} s is required, got {period:g}")
    levelised = delayed.levelised
    netlist, warm = levelised.netlist, warm_up(transactions)
    played = [*transactions[:warm], *transactions]
    ports = ports_of(netlist, unit, played)
    values = np.zeros(levelised.size, np.uint8)
    reset(levelised, values, ports.control)
    edges = np.zeros((_PHASES, 2, levelised.size), np.int64)
    high = np.zeros((_PHASES, levelised.size), np.int64)
    durations = np.zeros(_PHASES, np.int64)
    addresses = addresses_of(levelised)
    found = np.zeros((_PHASES, len(addresses[0]) - 1), np.int64)
    seen, still = _simulate(
        (functions_of(levelised.gates), functions_of(levelised.data), len(netlist.nets)),
        (delayed.readers, delayed.reader, delayed.place, delayed.delays, delayed.slots),
        values, ports.stimuli, ports.into, ports.out, ports.control, ports.results, edges, high, durations, half,
        sum(map(len, played[:warm])), addresses, found,
    )  # fmt: skip
    check_results(unit, played, ports, seen)
    if still > _PATIENCE:
        raise CostError(
            f"{unit.module} {unit}: the netlist stops: no transfer in {_PATIENCE} clocks, {seen} of "
            f"{len(ports.expected)} results seen"
        )

    def toggles(phase: int) -> Toggles:
        clocks, nets = int(durations[phase]) // (2 * half), len(netlist.nets)
        (falls, rises), ones = edges[phase, :, :nets], high[phase, :nets]
        clock = netlist.inputs["clk_i"][0]
        rises[clock] = falls[clock] = clocks
        ones[clock] = clocks * half
        return Toggles(
            rises, falls, ones.astype(np.float64) * STEP, float(durations[phase]) * STEP,
            look_ups=look_ups_of(levelised, found[phase]),
        )  # fmt: skip

    counted, idle = toggles(_BEATS), toggles(_IDLE)
    beats = sum(map(len, transactions))
    return Activity(
        counted.rises, counted.falls, counted.high, counted.duration, beats, seen, True, idle,
        look_ups=counted.look_ups,
    )  # fmt: skip


# --- the wheel -----------------------------------------------------------------------------------------------------

# A slot for each time from now on, around; in it the first event, or -1. An event has a function and the next event of
# its slot. Words of bits say which slots have events, and one more level of bits which of these words are not 0.

_ONE, _SIX, _LOW = np.uint64(1), np.uint64(6), np.uint64(63)
_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
_PLACES = np.zeros(64, np.int64)
for _bit in range(64):
    _PLACES[(0x03F79D71B4CB0A89 << _bit & (1 << 64) - 1) >> 58] = _bit


@jit
def _lowest(word):  # type: ignore[no-untyped-def]
    """The place of the lowest 1 of a word that is not 0."""
    return _PLACES[((word & (~word + _ONE)) * _DE_BRUIJN) >> np.uint64(58)]


@jit
def _wait(words, groups, at):  # type: ignore[no-untyped-def]
    """So many slots behind ``at`` is the next one with an event; -1: none is."""
    rest = words[at >> 6] >> (np.uint64(at) & _LOW)
    if rest:
        return _lowest(rest)
    behind = (at >> 6) + 1
    for step in range(len(groups) + 1):
        group = ((behind >> 6) + step) % len(groups)
        found = groups[group]
        if step == 0:
            found = (found >> (np.uint64(behind) & _LOW)) << (np.uint64(behind) & _LOW)
        if found:
            word = (group << 6) + _lowest(found)
            distance = (word << 6) + _lowest(words[word]) - at
            return distance if distance >= 0 else distance + (len(words) << 6)
    return -1


@jit
def _put(wheel, events, free, slot, function):  # type: ignore[no-untyped-def]
    """An event, from those that are free; the next free one."""
    heads, words, groups = wheel
    event, next_free = free, events[1, free]
    events[0, event], events[1, event] = function, heads[slot]
    heads[slot] = event
    words[slot >> 6] |= _ONE << (np.uint64(slot) & _LOW)
    groups[slot >> 12] |= _ONE << (np.uint64(slot >> 6) & _LOW)
    return next_free


@jit
def _take(wheel, slot):  # type: ignore[no-untyped-def]
    """The first event of a slot, which is then empty."""
    heads, words, groups = wheel
    event = heads[slot]
    heads[slot] = -1
    words[slot >> 6] &= ~(_ONE << (np.uint64(slot) & _LOW))
    if not words[slot >> 6]:
        groups[slot >> 12] &= ~(_ONE << (np.uint64(slot >> 6) & _LOW))
    return event


# --- cells ---------------------------------------------------------------------------------------------------------

# In ``state``: time, cells with an input that changed at that time, first free event, how many are free.
_TIME, _TOUCHED, _FREE, _ROOM = range(4)


@jit
def _at(state, cells, time):  # type: ignore[no-untyped-def]
    """A later time, at which no input has changed yet."""
    if state[_TIME] != time:
        changed, touched = cells[2], cells[3]
        for number in range(state[_TOUCHED]):
            changed[touched[number]] = 0
        state[_TOUCHED] = 0
        state[_TIME] = time


@jit
def _change(state, cells, fanout, net):  # type: ignore[no-untyped-def]
    """A net's change, at the inputs of cells."""
    readers, reader, place = fanout[:3]
    index, _, changed, touched = cells
    for number in range(readers[net], readers[net + 1]):
        function, bit = reader[number], np.int32(1) << place[number]
        index[function] ^= bit
        if not changed[function]:
            touched[state[_TOUCHED]] = function
            state[_TOUCHED] += 1
        changed[function] |= bit


@jit
def _toggle(values, net, counts, time):  # type: ignore[no-untyped-def]
    """A net's change, and what is counted of it."""
    edges, high, since = counts
    value = values[net] ^ 1
    values[net] = value
    edges[value, net] += 1
    if not value:
        high[net] += time - max(since[net], since[-1])
    since[net] = time


@jit
def _respond(state, cells, functions, fanout, wheel, events):  # type: ignore[no-untyped-def]
    """Every cell with a changed input: what its output goes to, and when."""
    start, _, base, tables, _ = functions
    delays, slots = fanout[3], fanout[4]
    index, target, changed, touched = cells
    time, free = state[_TIME], state[_FREE]
    for number in range(state[_TOUCHED]):
        function = touched[number]
        value = tables[base[function] + index[function]]
        if value != target[function]:
            target[function] = value
            first, mask, wait = start[function], changed[function], slots
            while mask:
                if mask & 1 and delays[value, first] < wait:
                    wait = delays[value, first]
                mask >>= 1
                first += 1
            free = _put(wheel, events, free, (time + wait) & (slots - 1), function)
            state[_ROOM] -= 1
    state[_FREE] = free


@jit
def _advance(state, cells, values, functions, fanout, wheel, events, counts, pending, until):  # type: ignore[no-untyped-def]
    """All events before a time. Whether it is done: if not, the events need more room first.

    ``pending``: nets have changed at this time, by other causes, and cells have not responded.
    """
    out = functions[4]
    _, words, groups = wheel
    slots, target = fanout[4], cells[1]
    while True:
        wait = _wait(words, groups, state[_TIME] & (slots - 1))
        if pending and wait != 0:
            event = -1
        elif wait < 0 or state[_TIME] + wait >= until:
            return True
        else:
            _at(state, cells, state[_TIME] + wait)
            event = _take(wheel, state[_TIME] & (slots - 1))
        while event >= 0:
            function, after = events[0, event], events[1, event]
            events[1, event] = state[_FREE]
            state[_FREE] = event
            state[_ROOM] += 1
            net = out[function]
            if values[net] != target[function]:
                _toggle(values, net, counts, state[_TIME])
                _change(state, cells, fanout, net)
            event = after
        pending = True
        if state[_ROOM] < state[_TOUCHED]:
            return False
        _respond(state, cells, functions, fanout, wheel, events)
        pending = False


@jit
def _more(events, state):  # type: ignore[no-untyped-def]
    """Events with twice the room."""
    size = events.shape[1]
    more = np.empty((2, 2 * size), np.int32)
    more[:, :size] = events
    for event in range(size, 2 * size):
        more[1, event] = event + 1
    more[1, 2 * size - 1] = state[_FREE]
    state[_FREE] = size
    state[_ROOM] += size
    return more


@jit
def _simulate(  # type: ignore[no-untyped-def]
    parts, fanout, values, stimuli, into, out, control, results, edges, high, durations, half, warm,
    addresses, look_ups
):
    """How many results came, and the clocks since anything moved.

    Phases: 0 before the counted beats, 1 in them, 2 until the last result and a few clocks more, 3 idle, 4 the end.
    """
    functions, data, nets = parts
    start, fanin, _, _, driven = functions
    slots, size = fanout[4], len(start) - 1
    index, target = np.zeros(size, np.int32), np.zeros(size, np.uint8)
    for number in range(size):
        for place in range(start[number], start[number + 1]):
            index[number] |= np.int32(values[fanin[place]]) << (place - start[number])
        target[number] = values[driven[number]]
    cells = (index, target, np.zeros(size, np.int32), np.zeros(size, np.int32))
    wheel = (np.full(slots, -1, np.int32), np.zeros(slots >> 6, np.uint64), np.zeros(slots >> 12, np.uint64))
    state = np.zeros(4, np.int64)
    events = _more(np.zeros((2, size + 1), np.int32), state)
    states, following = data[4], np.zeros(len(data[4]), np.uint8)
    since = np.zeros(len(values) + 1, np.int64)  # and of the phase
    edge = sent = seen = still = phase = 0
    taken = valid = False
    settled = values.copy()  # at the end of the clock before
    hold = half // 50
    while phase != 4 and still <= _PATIENCE:
        counts = (edges[phase], high[phase], since)
        # the clock's edge
        for number in range(len(states)):
            following[number] = look_up(data, number, values)
        _at(state, cells, edge)
        for number in range(len(states)):
            if following[number] != values[states[number]]:
                values[states[number]] ^= 1
                _change(state, cells, fanout, states[number])
        while not _advance(state, cells, values, functions, fanout, wheel, events, counts, True, edge + hold):
            events = _more(events, state)
        # inputs
        _at(state, cells, edge + hold)
        if taken or not valid:
            valid = sent < len(stimuli)
            if valid != (values[control[1]] == 1):
                _toggle(values, control[1], counts, edge + hold)
                _change(state, cells, fanout, control[1])
            if valid:
                for bit in range(len(into)):
                    if stimuli[sent, bit] != values[into[bit]]:
                        _toggle(values, into[bit], counts, edge + hold)
                        _change(state, cells, fanout, into[bit])
        while not _advance(state, cells, values, functions, fanout, wheel, events, counts, True, edge + 2 * half):
            events = _more(events, state)
        # what the coming edge transfers
        now, before = edge + 2 * half - 1, phase
        still += 1
        if phase == 0 and sent == warm:
            phase = 1
        elif phase == 1 and sent == len(stimuli):
            phase = 2
        elif phase == 2 and seen == len(results) - 1 and still > 32:
            phase, still = 3, 0
        elif phase == 3 and still == IDLE_CLOCKS:
            phase = 4
        if len(addresses[0]) > 1:
            count_look_ups(addresses, values, settled, look_ups[before])
            settled[:] = values
        if phase != before:
            for net in range(nets):
                if values[net]:
                    high[before, net] += now - max(since[net], since[-1])
            durations[before] += now - since[-1]
            since[-1] = now
        taken = valid and values[control[3]] == 1
        if taken:
            sent += 1
            still = 0
        if values[control[4]] and phase != 4:
            for bit in range(len(out)):
                results[seen, bit] = values[out[bit]]
            seen += 1
            if seen == len(results):
                break
            if phase < 3:
                still = 0
        edge += 2 * half
    return seen, still
