"""Prices of units and chips: verified in the netlist, added up, kept."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from cell_library import PERIOD, adder, shuffled
from icarus import simulate

import lns
from sim.cli import main
from sim.cost.baseline.cores import FloatMac, FloatRound, IntRequantise
from sim.cost.baseline.formats import BFLOAT16, E4M3, FLOAT32
from sim.cost.baseline.machine import BASELINES, baseline_cost
from sim.cost.command import parse_period
from sim.cost.errors import CostError
from sim.cost.levelised import levelise, play
from sim.cost.machine import design_cost, unit_cost
from sim.cost.mapping import mapping_text
from sim.cost.netlist import load_netlist
from sim.cost.power import power
from sim.cost.price import UNIFORM, BeatEnergy, Conditions, Price, price
from sim.cost.settings import make_settings
from sim.cost.synthesis import synthesise
from sim.cost.timing import time_netlist
from sim.cost.workload import Workload, float_products, record

SMALL = Workload(hidden=(8,), batch=16, before=2, recorded=1)


# --- clock by clock ------------------------------------------------------------------------------------------------


def test_both_simulations_count_the_same_without_glitches(library):
    unit, _, folder, netlist, _ = adder()
    some = shuffled(unit, 200)
    slow = simulate(folder, netlist, unit, some, library, PERIOD, annotated=False)
    fast = play(levelise(netlist, library), unit, some, PERIOD)
    assert slow.beats == 200 and fast.beats == 200 - 16 and fast.results == 200  # some go before those counted
    # flip-flops change once a clock in both, gates may change more often in Icarus
    states = [net for name, kind in netlist.kinds.items() if library.cells[name].state for net in kind.of("Q")]
    clocks = fast.duration / PERIOD, slow.duration / PERIOD
    rates = [((one.rises + one.falls)[states] / clock) for one, clock in zip((fast, slow), clocks, strict=True)]
    assert np.abs(rates[0] - rates[1]).max() < 0.1 and rates[0].sum() > 1
    assert (fast.rises + fast.falls).sum() / clocks[0] <= 1.02 * (slow.rises + slow.falls).sum() / clocks[1]
    assert (fast.rises - fast.falls).max() <= 1


def test_a_wrong_gate_is_caught(library):
    unit, _, _, netlist, _ = adder()
    some = shuffled(unit, 300)
    kinds = dict(netlist.kinds)
    nand = kinds["NAND2X1"]
    caught = 0
    for number in range(10):
        order = np.roll(np.arange(len(nand.names)), -number)
        turned = replace(nand, names=tuple(nand.names[i] for i in order), nets=nand.nets[order])
        one = replace(turned, names=turned.names[:1], nets=turned.nets[:1])
        rest = replace(turned, names=turned.names[1:], nets=turned.nets[1:])
        planted = replace(netlist, kinds={**kinds, "NAND2X1": rest, "NOR2X1": _with(kinds.get("NOR2X1"), one)})
        try:
            play(levelise(planted, library), unit, some, PERIOD)
        except CostError as error:
            assert "the netlist computes something else" in str(error) and "a = 0x" in str(error)
            caught += 1
    assert caught >= 8  # one may feed an event that so few operands do not raise


def _with(kind, more):
    if kind is None:
        return more
    return replace(kind, names=kind.names + more.names, nets=np.concatenate([kind.nets, more.nets]))


def test_a_loop_is_refused(library):
    _, _, _, netlist, _ = adder()
    kind = netlist.kinds["NAND2X1"]
    nets = kind.nets.copy()
    nets[0, kind.pins.index("A")] = nets[0, kind.pins.index("Y")]
    looped = replace(netlist, kinds={**netlist.kinds, "NAND2X1": replace(kind, nets=nets)})
    with pytest.raises(CostError, match="without combinational loops is required, net n"):
        levelise(looped, library)


@pytest.mark.parametrize(
    "unit", [FloatMac(E4M3, FLOAT32), FloatRound(FLOAT32, BFLOAT16), IntRequantise()], ids=lambda unit: unit.module
)
def test_netlists_of_baselines_compute_what_they_should(library, unit):
    """Yosys 0.23 takes a cast parameter in a concatenation for 32 bits, which no simulation of the Verilog shows."""
    folder = synthesise(unit, library, 500 * library.fo4)
    transactions = unit.transactions(1, 300, False)[:2000]
    assert play(levelise(load_netlist(folder), library), unit, transactions, 1e-8).results == len(transactions)


def test_flip_flops_that_invert_are_cleared_where_the_register_is():
    text = 'library (x) { cell (D) { ff (IQN, IQ) { next_state : "!D"; clear : "!S"; preset : "!R"; } pin (Q) '
    text += '{ function : "IQN"; } } cell (E) { ff (IQ, IQN) { next_state : "D"; clear : "!R"; } pin (Q) '
    text += '{ function : "IQ"; } } }'
    made = mapping_text(text)
    assert 'preset : "!S"; clear : "!R"' in made and 'next_state : "D"; clear : "!R"' in made


# --- prices ----------------------------------------------------------------------------------------------------------


def test_a_price_is_its_parts_and_is_kept(library, monkeypatch):
    unit, _, folder, netlist, _ = adder()
    work = {"one 1": shuffled(unit, 150), UNIFORM: shuffled(unit, 60)}
    conditions = Conditions(library, PERIOD, annotated=False)
    with ThreadPoolExecutor(2) as pool:
        made = price(unit, work, conditions, 40, pool)
        monkeypatch.setattr("sim.cost.price._price", lambda *_: pytest.fail("it was kept"))
        assert price(unit, work, conditions, 40, pool) == made
        monkeypatch.setattr("sim.cost.price._code_version", lambda: "another")
        with pytest.raises(pytest.fail.Exception, match="it was kept"):
            price(unit, work, conditions, 40, pool)
    assert made.verified == 210 and set(made.energy) == {"one 1", UNIFORM} and set(made.recorded) == {"one 1"}
    activity = play(levelise(netlist, library), unit, work["one 1"], PERIOD)
    spent = power(netlist, activity, time_netlist(folder, library, PERIOD), library)
    assert made.energy["one 1"].total == pytest.approx(spent.dynamic * PERIOD)
    assert made.gate_equivalents == pytest.approx(made.area_um2 / library.gate_equivalent_um2)
    assert 0 < made.idle < made.energy["one 1"].total
    assert Price.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def _price(labels: dict[str, float], idle: float) -> Price:
    energy = {label: BeatEnergy(0.0, value, 0.0, 1) for label, value in labels.items()}
    return Price("m", "u", 10.0, 5.0, 2.0, 3, 1, 1e-9, 1e-6, idle, energy, 1)


def test_units_of_one_role_tick_beside_each_other():
    made = unit_cost("element", [_price({"forward 1": 5.0, UNIFORM: 9.0}, 1.0), _price({"backward 2": 7.0}, 2.0)])
    assert made.energy == {"forward 1": 7.0, "backward 2": 8.0} and made.idle == 3.0 and made.area_um2 == 20.0
    together = unit_cost("update", [_price({"update 1": 5.0}, 1.0), _price({"update 1": 7.0}, 2.0)])
    assert together.energy == {"update 1": 12.0}


def test_workloads_are_steps_of_training():
    first, second = (record(lns.load("madam8-small"), replace(SMALL, before=before, recorded=2)) for before in (2, 3))
    for mine, other in zip(first[1].calls, second[0].calls, strict=True):
        assert all(np.array_equal(mine.operands[name], other.operands[name]) for name in mine.operands)
    products = float_products(SMALL)
    shapes = {label: (a.shape, b.shape) for label, (a, b) in products.items()}
    assert shapes["forward 1"] == ((16, 65), (65, 8)) and shapes["backward 2"] == ((16, 10), (10, 8))
    assert shapes["gradient 2"] == ((10, 16), (16, 9))


@pytest.fixture(scope="module")
def cost():
    return design_cost(lns.load("madam8-small"), make_settings(SMALL, annotated=False, beats=10))


def test_a_design_is_priced(cost):
    roles = [role for role, _ in cost.prices]
    assert {"element", "update", "convert", "relu", "loss"} == set(roles)
    step, element = cost.step, next(one for role, one in cost.prices if role == "element")
    macs = {"forward 1": 16 * 8 * 65, "forward 2": 16 * 10 * 9, "backward 2": 16 * 8 * 10}
    macs |= {"gradient 2": 10 * 9 * 16, "gradient 1": 8 * 65 * 16}
    assert step.macs == sum(macs.values()) and set(element.recorded) == set(macs)
    # 10 terms in 16 lanes take a beat as 16 do
    beats = {"forward 1": 16 * 8 * 5, "forward 2": 160, "backward 2": 16 * 8, "gradient 2": 90, "gradient 1": 8 * 65}
    total = sum(beats[label] * element.energy[label].total for label in beats)
    assert cost.mac * step.macs == pytest.approx(total)
    assert step.total == pytest.approx(sum(step.by_kind.values())) and cost.critical_path <= step.machine.period
    assert 0 < cost.update < 1e-8 and json.dumps(cost.to_dict())


def test_a_baseline_is_priced_beside_it(cost):
    made = baseline_cost("fp8-e4m3", make_settings(SMALL, annotated=False, beats=10))
    assert made.step.macs == cost.step.macs and made.step.clocks > 0
    adder_of_update = next(one for role, one in made.prices if role == "update")
    update = sum(row.energy["update"] for row in made.step.rows)
    weights = 8 * 65 + 10 * 9
    assert update == pytest.approx(2 * weights * np.mean(list(adder_of_update.recorded.values())))
    both = baseline_cost("float32", make_settings(SMALL, annotated=False, beats=10))
    assert [one.recorded.keys() for _, one in both.prices] == 2 * [next(one for _, one in cost.prices).recorded.keys()]
    with pytest.raises(CostError, match="baseline: must be one of float32"):
        baseline_cost("float31", make_settings(SMALL))
    assert "int8" in BASELINES


# --- the command ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, seconds", [("10ns", 1e-8), ("500 ps", 5e-10), ("100MHz", 1e-8), ("2.5GHz", 4e-10), (".5us", 5e-7)]
)
def test_clocks(text, seconds):
    assert parse_period(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["10", "0ns", "-1ns", "ten ns", "10 Hz"])
def test_clocks_that_are_none(text):
    with pytest.raises(CostError, match="--clock: must be a period or a frequency as 10ns or 100MHz, got"):
        parse_period(text)


def test_the_command(capsys, tmp_path):
    arguments = ["cost", "madam8-small", "fp8-e4m3", "--no-delays", "--hidden", "8", "--batch", "16", "--beats", "10"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    assert "lns_element_linear" in text and "float_element_dot" in text and "energy of a step" in text
    assert "gates without delays" in text and "no wires" in text
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert "cost.json" in made and any(name.endswith(".png") for name in made)
    assert main([*arguments, "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["name"] == "madam8-small" and second["mac_energy"] > 0
    assert json.loads((tmp_path / "out" / "cost.json").read_text()) == [first, second]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["madam9"], "madam9"),
        (["int8", "--clock", "1ns", "--no-delays", "--hidden", "8", "--batch", "16"], "needs a clock period of at"),
        (["madam8", "--liberty", "/nowhere.lib"], "/nowhere.lib"),
        (["madam8", "--set", "accumulator.gard=3"], "did you mean 'guard'"),
        (["madam8", "--network", "784-x"], "whole numbers as 8-4-2 are required"),
    ],
)
def test_errors_of_the_command(capsys, arguments, message):
    assert main(["cost", *arguments]) == 2
    out, err = capsys.readouterr()
    assert not out and "lns: error: " in err and message in err
