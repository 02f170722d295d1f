"""ROMs as memory macros: the same words, a model's cost, look-ups that are counted."""

from __future__ import annotations

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from icarus import simulate as in_icarus

from lns.format import LNSFormat
from lns.gausslog import TableKind
from sim.cli import main
from sim.cost.activity import WARM_UP
from sim.cost.delayed import STEP, delay, simulate
from sim.cost.equivalence import prove_or_say_why
from sim.cost.errors import CostError
from sim.cost.levelised import count_look_ups, levelise, play
from sim.cost.macro import RomMacro, with_macros
from sim.cost.mapping import inverter_leakage
from sim.cost.memory import access_time, rom
from sim.cost.netlist import load_netlist
from sim.cost.pipelining import least_periods
from sim.cost.price import UNIFORM, Conditions, price
from sim.cost.scaling import Node
from sim.cost.sdf import cell_delays
from sim.cost.synthesis import synthesise
from sim.cost.timing import time_netlist
from sim.verify.units.add import Add
from sim.verify.units.linear_to_log import LinearToLog

ADD = Add(LNSFormat.parse("lns<6,2>"), TableKind.parse("full"))
PERIOD = 40e-9

@pytest.fixture(scope="module")
def small(library):
    """A library with which every table is a macro."""
    return replace(library, node=Node(180, 1.8), rom_bits=16)


@pytest.fixture(scope="module")
def folder(small) -> Path:
    return synthesise(ADD, small, PERIOD)


def _macros(folder, library) -> dict[str, RomMacro]:
    cells = with_macros(folder, library).cells
    return {name: cell for name, cell in cells.items() if isinstance(cell, RomMacro)}


def _simulations(folder, library):
    time_netlist(folder, library, PERIOD)
    made = levelise(load_netlist(folder), with_macros(folder, library))
    timed = delay(made, cell_delays((folder / "delays.sdf").read_text("utf-8")))
    return [lambda unit, some: play(made, unit, some, PERIOD), lambda unit, some: simulate(timed, unit, some, PERIOD)]


# --- the words -----------------------------------------------------------------------------------------------------


def test_every_word_is_that_of_the_definition(folder, small):
    """Every pair of operands, in both simulations."""
    summary, macros = json.loads((folder / "summary.json").read_text()), _macros(folder, small)
    assert len(macros) == 2 and {summary["cells"][name] for name in macros} == {1}
    every = ADD.transactions(0, 0, True)
    assert len(every) == 1 << 12
    for run in _simulations(folder, small):
        assert run(ADD, every).results >= len(every)


def test_one_wrong_bit_of_a_macro_is_caught(folder, small):
    """A bit of each word, one at a time. Distance 0 between unlike signs is zero, and its word is never asked for."""
    every, missed = ADD.transactions(0, 0, True), []
    netlist, library = load_netlist(folder), with_macros(folder, small)
    for name, cell in _macros(folder, small).items():
        for word in range(len(cell.words)):
            words = cell.words.copy()
            words[word, word % words.shape[1]] ^= 1
            planted = replace(library, cells={**library.cells, name: replace(cell, words=words)})
            try:
                play(levelise(netlist, planted), ADD, every, PERIOD)
            except CostError as error:
                assert "the netlist computes something else" in str(error)
            else:
                missed.append((name, word))
            if word == 1:
                timed = delay(levelise(netlist, planted), cell_delays((folder / "delays.sdf").read_text("utf-8")))
                with pytest.raises(CostError, match="the netlist computes something else"):
                    simulate(timed, ADD, every, PERIOD)
    assert len(missed) <= 1 and {word for _, word in missed} <= {0}


def test_macros_toggle_as_in_icarus(folder, small):
    """Every edge of every net, address and data of the macros among them."""
    some = ADD.transactions(1, 200, False)[:200]
    ours = _simulations(folder, small)[1](ADD, some)
    netlist, library = load_netlist(folder), with_macros(folder, small)
    theirs = in_icarus(folder, netlist, ADD, some, library, PERIOD)
    for a, b in ((ours, theirs), (ours.idle, theirs.idle)):
        assert np.array_equal(a.rises, b.rises) and np.array_equal(a.falls, b.falls)
        assert np.abs(a.high - b.high).max() < STEP / 10
    assert ours.rises.sum() > 5000


# --- what it costs -------------------------------------------------------------------------------------------------


def test_a_price_is_logic_and_the_model(folder, small):
    some = ADD.transactions(1, 150, False)[:150]
    work = {"one 1": some, UNIFORM: some[:60]}
    with ThreadPoolExecutor(2) as pool:
        made = price(ADD, work, Conditions(small, PERIOD, annotated=False), 40, pool)
        logic = price(ADD, work, Conditions(replace(small, rom_bits=1000), PERIOD, annotated=False), 40, pool)
    macros = _macros(folder, small)
    model = {
        name: rom(*cell.words.shape, Node(180, 1.8), inverter_leakage(small)) for name, cell in macros.items()
    }  # fmt: skip
    kinds = json.loads((folder / "summary.json").read_text())["cells"]
    gates = sum(count * small.cells[name].area_um2 for name, count in kinds.items() if name in small.cells)
    area = sum(one.area_um2 for one in model.values())
    assert made.area_um2 == pytest.approx(gates + area) and made.macro_area_um2 == pytest.approx(area)
    assert made.estimate and made.macros == 2 and not logic.estimate and logic.macro_area_um2 == 0
    leakage = sum(one.leakage for one in model.values())
    assert made.macro_leakage == pytest.approx(leakage) and made.leakage > leakage
    slowest = max(access_time(cell.words.size, Node(180, 1.8), small.fo4) for cell in macros.values())
    assert made.macro_access_time == slowest and slowest < made.critical_path > logic.critical_path
    activity = play(levelise(load_netlist(folder), with_macros(folder, small)), ADD, some, PERIOD)
    energy = sum(
        activity.look_ups[name].sum() * one.energy * macros[name].words.shape[1] for name, one in model.items()
    )  # fmt: skip
    beat = made.energy["one 1"]
    assert beat.macro == pytest.approx(energy / activity.beats) and energy > 0
    assert beat.total == pytest.approx(beat.clock + beat.internal + beat.switching + beat.macro)
    assert made.idle == pytest.approx(logic.idle, rel=0.01)  # an address that stays is not looked up again


def test_look_ups_are_clocks_with_another_address(folder, small):
    """Operands of three clocks alike, so that addresses stay: counted from the operands, by the distance of codes."""
    some = [one for one in ADD.transactions(1, 100, False)[:100] for _ in range(3)]
    entries = {name: len(cell.words) for name, cell in _macros(folder, small).items()}
    distances = [abs((a & 31) - (b & 31)) for ((a, b),) in some]
    for run, first in zip(_simulations(folder, small), (WARM_UP, 1), strict=True):
        activity = run(ADD, some)
        assert set(activity.look_ups) == set(entries)
        for name, counts in activity.look_ups.items():
            address = [distance if distance < entries[name] else 0 for distance in distances]
            changes = [x != y for x, y in itertools.pairwise(address)]
            assert counts.tolist() == [sum(changes[first - 1 :])] and 20 < counts[0] < 110
            assert activity.idle.look_ups[name].tolist() == [0]


def test_an_address_that_moves_one_bit_is_a_look_up():
    addresses = np.array([0, 2, 5]), np.array([3, 1, 0, 2, 4])
    counts = np.zeros(2, np.int64)
    before = np.zeros(5, np.uint8)
    for values in ([0, 0, 0, 0, 0], [0, 0, 0, 1, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]):
        now = np.array(values, np.uint8)
        count_look_ups(addresses, now, before, counts)
        before = now
    assert counts.tolist() == [2, 1]


def test_a_design_that_gates_cannot_hold_has_a_price(library):
    """A table of 1.3 Mbit: an error before there were macros."""
    unit = LinearToLog(24, LNSFormat.parse("lns<14,9>"), 17)
    some = unit.transactions(1, 100, False)[:100]
    conditions = Conditions(replace(library, node=Node(180, 1.8)), 500 * library.fo4)
    with ThreadPoolExecutor(2) as pool:
        made = price(unit, {"one 1": some, UNIFORM: some}, conditions, 40, pool)
    assert made.macros == 1 and made.macro_area_um2 > 0.99 * made.area_um2 and made.verified == 200
    with pytest.raises(CostError, match=r"of at most 1048576 bits is made gates of, .* needs the process node"):
        synthesise(unit, library, 500 * library.fo4)


# --- with the rest -------------------------------------------------------------------------------------------------


def test_pipelines_have_macros(small):
    none, two, four = least_periods(ADD, small, [0, 2, 4])
    times = [cell.access_time for cell in _macros(synthesise(ADD, small, PERIOD), small).values()]
    assert min(none.period, two.period) > max(times) and four.flip_flops > two.flip_flops


def test_a_netlist_with_macros_is_not_proven(small):
    proof = prove_or_say_why(ADD, small, PERIOD)
    assert proof.points == 0 and "the contents of ROM macros take no part in proofs" in proof.why


def test_the_command_marks_estimates(capsys):
    step = ["--no-delays", "--hidden", "8", "--batch", "16", "--beats", "10", "--rom-macro", "20000"]
    changes = ["--set", "accumulator.lanes=2", "--set", "update.lanes=2", "--set", "loss.table=mitchell"]
    changes += ["--set", "update.table=mitchell"]  # the antilog ROM of the update unit is left, with 24,576 bits
    assert main(["cost", "madam8", *step, *changes, "--json"]) == 0
    (made,) = json.loads(capsys.readouterr().out)
    by_module = {unit["module"]: unit for unit in made["units"]}
    assert by_module["lns_update"]["macros"] == 1 and by_module["lns_update"]["estimate"]
    assert not by_module["lns_loss"]["estimate"] and "update" in made["step"]["estimates"]
    assert main(["cost", "madam8", *step, *changes]) == 0
    assert "1 ROM macros, by a model (estimate): " in capsys.readouterr().out
    assert main(["cost", "madam8", "--rom-macro", "-1"]) == 2
    assert "--rom-macro: bits of a ROM that is still logic are required, 0 or more, got -1" in capsys.readouterr().err
