"""The simulation with delays, beside Icarus Verilog: every net must make the same edges at the same times."""

import importlib.util
import random
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from cell_library import PERIOD, adder, shuffled
from icarus import simulate as in_icarus

from lns.design import load
from sim.cost import delayed
from sim.cost.delayed import STEP, delay, simulate
from sim.cost.errors import CostError
from sim.cost.levelised import levelise
from sim.cost.netlist import load_netlist
from sim.cost.sdf import cell_delays
from sim.cost.synthesis import synthesise
from sim.cost.timing import time_netlist
from sim.verify.units import instances

_SMALL = {"accumulator.lanes": 2, "update.table": "mitchell", "accumulator.bits": 16, "accumulator.guard": 6}
_LOG = {"accumulator.lanes": 4, "accumulator.format": "lns<8,3>"}


def _delays(folder: Path):
    return cell_delays((folder / "delays.sdf").read_text())


@cache
def _timed(library):
    _, _, folder, netlist, _ = adder()
    return delay(levelise(netlist, library), _delays(folder))


def _same(ours, theirs) -> bool:
    """Every edge of every net, and the time at which it was at 1, with a beat and without."""
    pairs = [(ours, theirs), (ours.idle, theirs.idle)]
    return all(
        np.array_equal(a.rises, b.rises) and np.array_equal(a.falls, b.falls) and a.duration == b.duration
        and np.abs(a.high - b.high).max() < STEP / 10
        for a, b in pairs
    )  # fmt: skip


def test_the_adder_toggles_as_in_icarus(library):
    unit, _, folder, netlist, _ = adder()
    some = shuffled(unit, 300)
    ours = simulate(_timed(library), unit, some, PERIOD)
    theirs = in_icarus(folder, netlist, unit, some, library, PERIOD)
    assert _same(ours, theirs) and ours.rises.sum() > 20_000
    assert (ours.beats, ours.results, ours.annotated) == (theirs.beats, theirs.results, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("design", "fields", "module"),
    [
        ("madam8", _SMALL, "lns_element_linear"),
        ("madam8-log", _LOG, "lns_element_log"),
        ("madam8-small", _SMALL, "lns_update"),
        ("madam8", _SMALL, "lns_loss"),
    ],
)
def test_units_toggle_as_in_icarus(library, design, fields, module):
    fields = {name: value for name, value in fields.items() if "log" not in module or name in _LOG}
    unit = instances(load(design).override(fields), module)[0]
    period = 500 * library.fo4
    folder = synthesise(unit, library, period)
    time_netlist(folder, library, period)
    netlist = load_netlist(folder)
    some = unit.transactions(1, 100, False)[-100:]
    made = delay(levelise(netlist, library), _delays(folder))
    assert _same(simulate(made, unit, some, period), in_icarus(folder, netlist, unit, some, library, period))


# --- what must be seen ---------------------------------------------------------------------------------------------


def _planted(tmp_path: Path, old: str, new: str):
    """The module with one change."""
    text = Path(delayed.__file__).read_text()
    assert text.count(old) == 1
    (tmp_path / "planted.py").write_text(text.replace(old, new))
    spec = importlib.util.spec_from_file_location("planted", tmp_path / "planted.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["planted"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("event], events[1, event] = function, heads[slot]", "event], events[1, event] = function, -1"),
        ("wait = delays[value, first]", "wait = delays[1 - value, first]"),
        ("if values[net] != target[function]:", "if True:"),
        ("            changed[touched[number]] = 0\n", "            pass\n"),
        ("hold = half // 50", "hold = half // 49"),
    ],
    ids=["events dropped", "wrong edge", "no pulse swallowed", "old causes", "late inputs"],
)  # fmt: skip
def test_planted_bugs_are_seen(library, tmp_path, monkeypatch, old, new):
    unit, _, folder, netlist, _ = adder()
    some = shuffled(unit, 100)
    theirs = in_icarus(folder, netlist, unit, some, library, PERIOD)
    made = _timed(library)
    assert _same(simulate(made, unit, some, PERIOD), theirs)
    module = _planted(tmp_path, old, new)
    try:
        assert not _same(module.simulate(made, unit, some, PERIOD), theirs)
    except CostError as error:
        assert "computes something else" in str(error) or "stops" in str(error)


def test_one_wrong_delay_is_seen(library):
    unit, _, folder, netlist, _ = adder()
    some = shuffled(unit, 100)
    cells = _delays(folder)
    before = simulate(_timed(library), unit, some, PERIOD)
    busy = netlist.nets[int(np.argmax(before.rises[2:])) + 2]
    name = next(
        name for kind in netlist.kinds.values() for name, nets in zip(kind.names, kind.nets, strict=True)
        if busy in [netlist.nets[net] for net in nets] and name in cells
    )  # fmt: skip
    cells[name] = {path: (rise + 100, fall) for path, (rise, fall) in cells[name].items()}
    made = delay(levelise(netlist, library), cells)
    assert not np.array_equal(simulate(made, unit, some, PERIOD).high, before.high)


# --- what is required ----------------------------------------------------------------------------------------------


def test_delays_are_in_effect(library):
    """Gates that are slower fit the clock as long as static timing says so, and not much longer."""
    unit, _, folder, netlist, timing = adder()
    text = (folder / "delays.sdf").read_text().replace("TIMESCALE 1", "TIMESCALE 3")
    slow = delay(levelise(netlist, library), cell_delays(text))
    beats = shuffled(unit, 200)
    assert simulate(slow, unit, beats, 3 * timing.critical_path).results == 216
    with pytest.raises(CostError, match="computes something else"):
        simulate(slow, unit, beats, 2 * timing.critical_path)


def test_what_a_simulation_needs_is_required(library):
    unit, _, folder, netlist, _ = adder()
    made, beats = _timed(library), shuffled(unit, 20)
    with pytest.raises(CostError, match="at least one transaction is required"):
        simulate(made, unit, [], PERIOD)
    with pytest.raises(CostError, match="clock period of at least"):
        simulate(made, unit, beats, 1e-13)
    cells = _delays(folder)
    with pytest.raises(CostError, match="delays of every cell are required, c1 has none"):
        delay(levelise(netlist, library), {name: paths for name, paths in cells.items() if name != "c1"})
    for kind in netlist.kinds.values():
        if kind.pins == ("A", "Y"):
            kind = type(kind)(kind.names, kind.pins, kind.nets.copy())
            kind.nets[0, 0] = netlist.inputs["clk_i"][0]
            changed = type(netlist)(netlist.inputs, netlist.outputs, netlist.nets, netlist.kinds | {"INVX1": kind})
            break
    with pytest.raises(CostError, match="a clock that goes to flip-flops alone is required"):
        delay(levelise(changed, library), cells)


def test_a_netlist_that_stops_is_said_to(library):
    unit, _, folder, netlist, _ = adder()
    held = type(netlist)(netlist.inputs, netlist.outputs | {"valid_o": (0,)}, netlist.nets, netlist.kinds)
    with pytest.raises(CostError, match="the netlist stops: no transfer in 5000 clocks, 0 of 36 results"):
        simulate(delay(levelise(held, library), _delays(folder)), unit, shuffled(unit, 20), PERIOD)
    more = type(netlist)(netlist.inputs, netlist.outputs | {"valid_o": (1,)}, netlist.nets, netlist.kinds)
    with pytest.raises(CostError, match=r"computes something else|more results than are due"):
        simulate(delay(levelise(more, library), _delays(folder)), unit, shuffled(unit, 20), PERIOD)


# --- the wheel -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slots", [1 << 12, 1 << 15])
def test_events_come_in_the_order_of_time(slots):
    rng = random.Random(slots)
    wheel = (np.full(slots, -1, np.int32), np.zeros(slots >> 6, np.uint64), np.zeros(slots >> 12, np.uint64))
    state = np.zeros(4, np.int64)
    events = delayed._more(np.zeros((2, 1), np.int32), state)
    due: dict[int, list[int]] = {}
    now = 0
    for _ in range(2000):
        for _ in range(rng.choice((0, 0, 1, 3))):
            time, function = now + rng.randrange(rng.choice((2, 100, slots))), rng.randrange(1000)
            if not state[delayed._ROOM]:
                events = delayed._more(events, state)
            state[delayed._FREE] = delayed._put(wheel, events, state[delayed._FREE], time % slots, function)
            state[delayed._ROOM] -= 1
            due.setdefault(time, []).append(function)
        wait = delayed._wait(wheel[1], wheel[2], now % slots)
        assert wait == (min(due) - now if due else -1)
        if wait >= 0:
            now += wait
            event, found = delayed._take(wheel, now % slots), []
            while event >= 0:
                found.append(int(events[0, event]))
                event = events[1, event]
            assert sorted(found) == sorted(due.pop(now))
    assert now > 20 * slots
