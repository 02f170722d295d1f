"""Clocks, traffic, memories, scaling, and the energy of a training step."""

import itertools
import json
import random
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from verilog import FULL, stream

from lns.design import Design, DesignError, MainMemory, load
from sim.cost import cycles, step
from sim.cost.cycles import Array, Count, Words, counts, counts_of, float_words, plan
from sim.cost.errors import CostError
from sim.cost.memory import Memory, access_time, dram, leakage_of_bit, rom, sram
from sim.cost.scaling import Node, scaling
from sim.cost.step import KINDS, Machine, StepEnergy, UnitCost, scaled, step_energy
from sim.report import cost_plot, show
from sim.report.step_text import comparison, si, text
from sim.train.chip import Chip
from sim.train.loop import initial_weights
from sim.train.trace import traced_step
from sim.verify.units.element import instances as elements
from sim.verify.units.loss import Loss

# --- the core in the design --------------------------------------------------------------------------------------


def test_a_core_is_optional_and_round_trips():
    plain = load("madam8")
    assert (plain.core.rows, plain.core.columns, plain.core.operand_ports) == (4, 4, 0)
    design = plain.override({"core.rows": 8, "core.memory": "dram", "core.operand_ports": 32})
    assert design.core.memory is MainMemory.DRAM and design != plain
    assert Design.from_toml(design.to_toml()) == design
    assert Array.of(design) == Array(8, 4, 16, 16, 32)
    assert Array.of(load("madam8-log")).latency == 4


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("rows", 0, r"core\.rows: must be between 1 and 1024, got 0"),
        ("columns", 1025, r"core\.columns: must be between 1 and 1024"),
        ("operand_ports", -1, r"core\.operand_ports: must be between 0"),
        ("buffer_kib", 0, r"core\.buffer_kib: must be between 1"),
        ("memory_kib", 0, r"core\.memory_kib: must be between 1"),
        ("memory", "flash", r"core\.memory: must be one of sram, dram, got 'flash'"),
        ("row", 4, r"core\.row: unknown key; did you mean 'rows'"),
    ],
)
def test_cores_that_cannot_be_built(field, value, message):
    with pytest.raises(DesignError, match=message):
        load("madam8").override({f"core.{field}": value})


def test_show_has_a_line_of_the_core():
    described = show.describe(load("madam8").override({"core.operand_ports": 32, "core.columns": 2}))
    assert described["core"]["macs_a_clock"] == 4 * 2 * 16
    assert "4 × 2 processing elements" in show.text(described) and "32 words a clock" in show.text(described)


# --- counting ----------------------------------------------------------------------------------------------------


def recorded(name, widths, batch, **changes):
    """The first step of a network on noise."""
    chip = Chip(load(name).override(changes), initial_weights(list(widths), 0), 1)
    rng = np.random.default_rng(2)
    inputs = chip.encode_inputs(rng.random((batch, widths[0])))
    return traced_step(chip, inputs, rng.integers(0, widths[-1], batch))[1]


NETWORKS = [("madam8", (5, 3), 4), ("madam8-log", (7, 4, 3), 6), ("bmadam8", (6, 5, 4, 2), 3), ("log16", (9, 8, 3), 1)]


@pytest.mark.parametrize(("name", "widths", "batch"), NETWORKS)
def test_the_trainer_counts_what_the_closed_form_says(name, widths, batch):
    assert counts(recorded(name, widths, batch)) == counts_of(widths, batch)


def test_counts_of_a_small_network():
    step = {count.label: count.shape for count in counts_of([7, 4, 3], 5)}
    assert step == {
        "operand 1": (32,), "operand 2": (15,),
        "forward 1": (5, 4, 8), "relu 1": (20,), "forward 2": (5, 3, 5), "loss": (5, 3),
        "gradient 2": (3, 5, 5), "backward 2": (5, 4, 3), "gradient 1": (4, 8, 5),
        "update 1": (32,), "update 2": (15,),
    }  # fmt: skip
    with pytest.raises(CostError, match="two widths"):
        counts_of([7], 5)
    with pytest.raises(CostError, match="batch"):
        counts_of([7, 3], 0)


def test_the_core_changes_no_bit():
    a, b = (
        recorded("madam8", (7, 4, 3), 5, **{"core.rows": rows, "core.memory": m})
        for rows, m in ((1, "sram"), (9, "dram"))
    )
    for one, other in zip(a.calls, b.calls, strict=True):
        assert all((one.results[name] == other.results[name]).all() for name in one.results)


# --- clocks ------------------------------------------------------------------------------------------------------


def loop(array, m, n, k):
    """The same dataflow, clock by clock: clocks, beats of elements, multiply-accumulates, and words delivered."""
    clock = beats = macs = delivered = 0
    leaving = []  # clocks in which words leave their elements
    for row, column in itertools.product(range(0, m, array.rows), range(0, n, array.columns * array.outputs)):
        rows = [i for i in range(array.rows) if row + i < m]
        columns = [j for j in range(array.columns * array.outputs) if column + j < n]
        term = 0
        while term < k:
            terms = [t for t in range(array.lanes // array.outputs) if term + t < k]
            waiting = [len(rows) * len(terms), len(columns) * len(terms)]
            delivered += sum(waiting)
            while any(waiting):
                given = array.ports or max(waiting)
                waiting = [max(0, words - given) for words in waiting]
                clock += 1
            macs += len(rows) * len(columns) * len(terms)
            beats += len(rows) * len({j // array.outputs for j in columns})
            term += len(terms)
        leaving.append(clock + array.latency)
    return max(leaving), beats, macs, delivered


def random_products(seed, number):
    rng = random.Random(seed)
    for _ in range(number):
        outputs = rng.choice([1, 1, 2, 4])
        array = Array(
            rng.randint(1, 5), rng.randint(1, 4), outputs * rng.choice([1, 2, 4]), 1,
            rng.choice([0, rng.randint(1, 12)]), outputs, rng.randint(0, 5),
        )  # fmt: skip
        yield array, (rng.randint(1, 19), rng.randint(1, 19), rng.randint(1, 19))


def test_products_against_a_simulation_of_the_dataflow():
    words = Words(1, 1, 1, 1, 1, 1, False)
    for array, (m, n, k) in random_products(1, 300):
        clocks, beats, macs, delivered = loop(array, m, n, k)
        assert array.product(m, n, k) == (clocks, beats), (array, m, n, k)
        (phase,) = plan([Count("forward 1", (m, n, k))], array, words, 1 << 20)
        assert phase.operations == macs == m * n * k and phase.buffer_read == delivered
        assert phase.utilisation == macs / (clocks * array.rows * array.columns * array.lanes) <= 1


@pytest.mark.parametrize("planted", ["rest", "one more", "size"])
def test_a_planted_slip_in_the_tiling_is_seen(planted, monkeypatch):
    right = cycles._extents

    def wrong(total, size):
        if planted == "size":
            return right(total, size + 1)
        extents = list(right(total, size))
        return extents[:1] if planted == "rest" else [*extents, (1, 1)]

    monkeypatch.setattr(cycles, "_extents", wrong)
    assert any(array.product(*shape) != loop(array, *shape)[:2] for array, shape in random_products(1, 50))


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="apt install iverilog")
@pytest.mark.parametrize("name", ["madam8-small", "madam8-log"])
def test_clocks_of_the_verilog(name, tmp_path):
    """One element, dot products back to back: as many clocks as `Array.product` says, to the last word."""
    design = load(name).override({"accumulator.lanes": 4})
    unit = next(iter(elements(design)))
    some = [t for t in unit.transactions(0, 40, False) if len(t) == 3][:7]
    bad, clocks = stream(unit, some, tmp_path, FULL)
    assert bad == 0 and len(some) == 7
    array = replace(Array.of(design), rows=1, columns=1)
    assert clocks - 1 == array.product(7, 1, 3 * 4)[0]  # the bench counts the clock in which it sets up the first beat


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="apt install iverilog")
def test_clocks_of_the_loss(tmp_path):
    unit = Loss(load("madam8"), 16)
    some = [t for t in unit.transactions(0, 400, False) if len(t) == 3][:5]
    bad, clocks = stream(unit, some, tmp_path, FULL)
    (phase,) = plan([Count("loss", (5, 3))], Array(1, 1, 1, 1), Words(8, 8, 8, 8, 8, 8, False), 1024)
    assert (bad, len(some), clocks - 1) == (0, 5, phase.clocks - 1)  # the wrapper's register is not there


# --- traffic -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "kib", "read"),
    [
        # 8-bit words, 4 × 4 elements
        ((32, 16, 64), 64, 32 * 64 + 64 * 16),  # either operand fits into half of the buffer: both once
        ((32, 1000, 64), 16, 32 * 64 + 64 * 1000),  # one does: it stays
        ((512, 512, 64), 16, 64 * 512 + 4 * 64 * 512),  # a quarter of either does, and the other is read four times
        ((1000, 16, 4096), 16, 1000 * 4096 * 4 + 16 * 4096 * 250),  # no panel of 4 × K does: as the array takes them
    ],
)
def test_reads_from_the_main_memory(shape, kib, read):
    design = load("madam8")
    (phase,) = plan([Count("forward 1", shape)], Array.of(design), Words.of(design), kib << 13)
    assert phase.words_read == read and phase.memory_read == phase.buffer_written == 8 * read
    assert phase.words_written == shape[0] * shape[1]


def test_the_main_memory_never_gives_more_than_the_array_takes():
    words = Words(3, 5, 7, 11, 13, 17, True)
    for array, shape in random_products(3, 300):
        for label in ("forward 1", "gradient 2", "backward 2"):
            a, b, out = words.of_product(label.split()[0])
            for bits in (64, 512, 1 << 20):
                (phase,) = plan([Count(label, shape)], array, words, bits)
                m, n, k = shape
                assert m * k * a + n * k * b <= phase.buffer_written <= phase.buffer_read
                mask = m * n * words.activation if label == "backward 2" else 0
                assert phase.memory_read == phase.buffer_written + mask and phase.memory_written == m * n * out


# --- memories ----------------------------------------------------------------------------------------------------


def test_energies_are_horowitzs_at_45_nm():
    node = Node(45, 0.9)
    for kib, energy in ((8, 10e-12), (32, 20e-12), (1024, 100e-12), (2, 5e-12)):
        assert 64 * sram(kib << 13, node, 0).energy == pytest.approx(energy)
    assert 64 * sram(16 << 13, node, 0).energy == pytest.approx(10e-12 * 2**0.5)
    assert 64 * dram().energy == pytest.approx(1.95e-9) and dram().area_um2 == 0


def test_area_and_leakage_are_ihps_at_130_nm():
    node, inverter = Node(130, 1.2), 63.0032e-12
    for words, area in ((256, 93_180.5344), (1024, 263_946.1408), (2048, 491_633.616)):
        memory = sram(words * 64, node, inverter)
        assert memory.area_um2 == pytest.approx(area, rel=1e-6)
        assert memory.leakage == pytest.approx(words * 64 * 12.086e-12)
    assert sram(4096 * 64, node, 1).area_um2 == pytest.approx(2 * 491_633.616)
    assert leakage_of_bit(inverter) == pytest.approx(12.086e-12)
    # its energies against Horowitz's, both for 64 bits: a check of either, and of the scaling
    for words, read, written in ((1024, 91.8272e-12, 110.9189e-12), (2048, 122.394e-12, 155.3678e-12)):
        assert 0.6 < 64 * sram(words * 64, node, 1).energy / ((read + written) / 2) < 1.1


def test_memories_that_are_none():
    with pytest.raises(CostError, match="at least one bit"):
        sram(0, Node(45, 0.9), 0)
    table = rom(25659, 12, Node(130, 1.2), 63e-12)
    assert table.kind == "rom" and table.bits == 25659 * 12 and table.estimate
    like = sram(25659 * 12, Node(130, 1.2), 63e-12)
    assert table.area_um2 == like.area_um2
    # a look-up is an access of 64 bits, however few of them the word has; two, of 65 bits
    assert table.energy * 12 == pytest.approx(64 * like.energy)
    assert rom(10, 65, Node(130, 1.2), 0).energy * 65 == pytest.approx(128 * sram(650, Node(130, 1.2), 0).energy)


def test_access_times():
    """IHP's own at its node; a straight line over log capacity between two of them; behind them, selections."""
    node = Node(130, 1.2)
    times = {256: 3.2707e-9, 512: 4.0264e-9, 1024: 4.5488e-9, 2048: 5.5958e-9}
    for words, seconds in times.items():
        assert access_time(64 * words, node, 60e-12) == pytest.approx(seconds)
    assert access_time(100, node, 60e-12) == pytest.approx(times[256])
    assert access_time(round(2**15.5), node, 60e-12) == pytest.approx((times[512] + times[1024]) / 2, rel=1e-4)
    assert access_time(9 << 17, node, 60e-12) == pytest.approx(times[2048] + 4 * 2 * 60e-12)
    assert access_time(1 << 17, Node(180, 1.8), 0) == pytest.approx(times[2048] * scaling(node, Node(180, 1.8)).delay)


# --- scaling -----------------------------------------------------------------------------------------------------


def test_the_examples_of_the_paper():
    assert (
        Node(32, 0.9).energy
        == pytest.approx(0.8367 * 0.9**2 - 0.4341 * 0.9 + 0.1701)
        == pytest.approx(0.4571, abs=1e-4)
    )
    assert Node(65, 1.3).energy == pytest.approx(2.604, abs=5e-4)
    factors = scaling(Node(32, 0.9), Node(65, 1.3))
    assert factors.energy == pytest.approx(2.604 / 0.4571, rel=1e-3)
    # more entries of its table of areas, source to target
    for source, target, area in ((180, 130, 0.34), (180, 7, 0.0032), (130, 45, 0.16), (90, 16, 0.067), (45, 7, 0.059)):
        nodes = (Node(nm, 0.9 if nm <= 90 else 1.5) for nm in (source, target))
        assert scaling(*nodes).area == pytest.approx(area, rel=0.04)


def test_factors_compose():
    a, b, c = Node(180, 1.8), Node(130, 1.2), Node(7, 0.7)
    there, on, whole, back = scaling(a, b), scaling(b, c), scaling(a, c), scaling(c, a)
    for name in ("area", "delay", "energy"):
        assert getattr(there, name) * getattr(on, name) == pytest.approx(getattr(whole, name))
        assert getattr(whole, name) * getattr(back, name) == pytest.approx(1)
        assert getattr(whole, name) < getattr(there, name) < 1
        assert getattr(scaling(a, a), name) == 1


def test_nodes():
    assert Node.parse("7@0.7") == Node(7, 0.7) and str(Node.parse("45LP@1.1")) == "45 nm LP at 1.1 V"
    for words, message in (
        ("28@0.9", "must be one of 180, 130"), ("130LP@1.2", "must be one of"), ("7", "must be like 7@0.7"),
        ("180@0.6", "no scaling model at 0.6 V"), ("7@0", "no scaling model"), ("7@0.2", "no scaling model"),
    ):  # fmt: skip
        with pytest.raises(CostError, match=message):
            Node.parse(words)


# --- energy ------------------------------------------------------------------------------------------------------

ROLES = ("element", "update", "convert", "relu", "loss")


def unit(role, energy, idle=1.0, **more):
    return UnitCost(role, energy if isinstance(energy, dict) else {role: energy}, idle, 1.0, 10.0, 2.0, **more)


def tiny(**changes):
    """A core of one element whose figures are easy to add up by hand: 2-1, a batch of one."""
    units = (
        unit("element", {"forward 1": 10.0, "gradient 1": 20.0}), unit("update", {"update 1": 7.0}),
        unit("convert", {"operand 1": 3.0}), unit("relu", {"relu 1": 0.5}), unit("loss", {"loss": 4.0}),
    )  # fmt: skip
    machine = Machine(
        "tiny", Array(1, 1, 2, 2), Words(8, 8, 8, 8, 12, 17, True), units,
        Memory("sram", 1024, 1.0, 10.0, 1000.0), Memory("sram", 4096, 2.0, 100.0, 5000.0), 0.5,
    )  # fmt: skip
    return replace(machine, **changes)


def test_a_step_added_up_by_hand():
    result = step_energy(tiny(), counts_of([2, 1], 1))
    # clocks: 3 weights converted two a clock; 3 terms two a clock; one logit in and one error out; 3 words of one term
    assert [(row.phase.label, row.phase.clocks) for row in result.rows] == [
        ("operand 1", 2 + 2), ("forward 1", 2 + 3), ("loss", 2 + 1), ("gradient 1", 3 + 3), ("update 1", 2 + 2),
    ]  # fmt: skip
    assert result.clocks == 22 and result.seconds == 11 and result.macs == 6 and result.utilisation == 6 / 44
    units, busy = 1 + 1 + 1 + 2 + 2, 3 + 2 + 2 + 3 + 3
    # bits at the buffer: 6 words delivered and filled; 6 delivered (the error three times) and 4 filled
    buffer = 8 * (6 + 6 + 6 + 4)
    main = 3 * (12 + 8) + 8 * (6 + 1) + 8 * (1 + 1) + 8 * (4 + 3) + 3 * (12 + 17 + 8 + 12 + 17)
    assert result.by_kind == {
        "multiply-accumulate": 2 * 10 + 3 * 20,
        "update": 3 * 7,
        "conversion, ReLU, loss": 3 * 3 + 1 * 4,
        "clock of idle units": units * 22 - busy,
        "leakage": (units + 10 + 100) * 11,
        "operand buffer": buffer,
        "main memory": 2 * main,
    }
    assert result.total == sum(result.by_kind.values()) and result.watts == result.total / 11
    assert set(result.by_layer) == {"layer 1", "loss"}
    assert result.by_layer["loss"]["conversion, ReLU, loss"] == 4 and result.by_layer["loss"]["main memory"] == 32
    machine = result.machine
    assert machine.gate_equivalents == 7 * 2 and machine.area_um2 == 7 * 10 + 6000


def random_steps(seed, number):
    rng = random.Random(seed)
    for _ in range(number):
        widths = [rng.randint(1, 30) for _ in range(rng.randint(2, 4))]
        array = Array(
            rng.randint(1, 4), rng.randint(1, 4), rng.choice([1, 2, 4]), rng.randint(1, 4), rng.choice([0, 2])
        )
        yield array, counts_of(widths, rng.randint(1, 12))


def clock_count(array, step_counts):
    """Joules of a core that takes one for each clock of each unit, whether with a beat or without (a beat of the loss
    takes two clocks), and the number of these clocks."""
    units = (
        unit("element", {"forward 1": 1.0, "gradient 1": 1.0, "backward 2": 1.0}), unit("update", {"update 1": 1.0}),
        unit("convert", {"operand 1": 1.0}), unit("relu", {"relu 1": 1.0}), unit("loss", {"loss": 2.0}),
    )  # fmt: skip
    machine = tiny(
        array=array, units=units, buffer=Memory("sram", 1 << 16, 0, 0, 0), main=Memory("dram", None, 0, 0, 0)
    )
    result = step_energy(machine, step_counts)
    units_in_all = sum(machine.instances(one) for one in units)
    return result.total - result.by_kind["leakage"], units_in_all * result.clocks


def test_every_clock_of_every_unit_is_counted_once():
    for array, step_counts in random_steps(4, 60):
        joules, clocks = clock_count(array, step_counts)
        assert joules == clocks


def test_planted_double_counting_is_seen(monkeypatch):
    """The clock of a unit that has a beat, charged as idle too."""
    right = step.plan

    def wrong(*arguments):
        return tuple(
            replace(phase, uses=tuple(replace(use, busy=0) for use in phase.uses)) for phase in right(*arguments)
        )

    monkeypatch.setattr(step, "plan", wrong)
    assert all(joules > clocks for joules, clocks in itertools.starmap(clock_count, random_steps(4, 5)))


def test_sums_by_layer_are_sums_by_kind():
    for array, step_counts in random_steps(5, 20):
        machine = tiny(array=array, main=Memory("dram", None, 2.0, 3.0, 0.0))
        machine = replace(
            machine, units=(unit("element", {"forward": 1.0, "backward": 2.0, "gradient": 3.0}), *machine.units[1:])
        )
        result = step_energy(machine, step_counts)
        layers = result.by_layer
        for kind in KINDS:
            assert sum(part[kind] for part in layers.values()) == pytest.approx(result.by_kind[kind])
        assert sum(sum(part.values()) for part in layers.values()) == pytest.approx(result.total)
        assert result.macs == sum(count.operations for count in step_counts if count.role == "element")
        assert list(layers)[-1] == "loss"


def test_energy_of_calls_that_were_not_recorded():
    one = unit("element", {"forward 1": 1.0, "forward 2": 4.0, "gradient 1": 8.0})
    assert [one.energy_of(f"forward {layer}") for layer in (1, 2, 3)] == [1.0, 4.0, 2.5]
    with pytest.raises(CostError, match="element: backward 2 needs an energy, recorded are forward 1"):
        one.energy_of("backward 2")


def test_more_units_a_word():
    """SGD with momentum: two multiply-accumulators side by side for each weight."""
    two = tiny(units=(*tiny().units[:1], unit("update", {"update": 7.0}, copies=2), *tiny().units[2:]))
    one, other = (step_energy(machine, counts_of([2, 1], 1)) for machine in (tiny(), two))
    assert other.by_kind["update"] == 2 * one.by_kind["update"] and other.clocks == one.clocks
    assert other.by_kind["clock of idle units"] == one.by_kind["clock of idle units"] + 2 * 22 - 3
    assert two.gate_equivalents == tiny().gate_equivalents + 4


def test_baselines_keep_float32_weights():
    assert float_words(32) == Words(32, 32, 32, 32, 32, 32, False)
    eight = float_words(8)
    assert (eight.activation, eight.weight, eight.state, eight.copies) == (8, 32, 32, True)
    units = tuple(one for one in tiny().units if one.role != "convert")
    machine = tiny(words=float_words(32), units=units)
    result = step_energy(machine, counts_of([2, 1], 1))
    assert [row.phase.phase for row in result.rows] == ["forward", "loss", "gradient", "update"]
    with pytest.raises(CostError, match="needs one unit each for element, loss, relu, update, got"):
        tiny(words=float_words(32))


def test_what_is_not_priced_is_said():
    units = tuple(one for one in tiny().units if one.role != "loss")
    with pytest.raises(CostError, match="tiny: needs one unit each for"):
        tiny(units=units)
    result = step_energy(tiny(units=units, unpriced=("loss",)), counts_of([2, 1], 1))
    assert result.clocks == 22 and result.by_kind["conversion, ReLU, loss"] == 9
    assert "Not priced: loss" in text(result) and result.to_dict()["unpriced"] == ["loss"]


def test_machines_that_cannot_be():
    with pytest.raises(CostError, match="role must be one of"):
        unit("adder", 1.0)
    with pytest.raises(CostError, match="finite and not negative"):
        unit("loss", float("nan"))
    with pytest.raises(CostError, match="needs an energy"):
        unit("loss", {})
    with pytest.raises(CostError, match="needs one unit each"):
        tiny(units=(*tiny().units, tiny().units[0]))
    with pytest.raises(CostError, match="period must be above 0 s"):
        tiny(period=0.0)
    with pytest.raises(CostError, match="buffer must be of a known size"):
        tiny(buffer=dram())
    with pytest.raises(CostError, match="outputs must divide lanes"):
        Array(1, 1, 4, 1, outputs=3)
    with pytest.raises(CostError, match=r'core\.memory_kib: the network needs 1 KiB, or memory = "dram"; got 0'):
        step_energy(tiny(main=Memory("sram", 100, 1, 1, 1)), counts_of([2, 1], 1))


def test_scaled_units_are_estimates():
    factors = scaling(Node(180, 1.8), Node(7, 0.7))
    before, after = tiny().units[0], scaled(tiny().units[0], factors)
    assert after.estimate and not before.estimate
    assert after.energy_of("forward 1") == 10 * factors.energy and after.area_um2 == 10 * factors.area
    machine = tiny(units=(after, *tiny().units[1:]))
    assert machine.estimates == ("operand buffer", "main memory", "element")


# --- reports -----------------------------------------------------------------------------------------------------


def pair() -> list[StepEnergy]:
    return [
        step_energy(tiny(name=name, period=period), counts_of([2, 1], 1)) for name, period in (("a", 0.5), ("b", 1))
    ]


def test_reports(tmp_path):
    results = pair()
    lines = text(results[0])
    assert all(f"\n{row.phase.label} " in lines for row in results[0].rows) and "Estimates" in lines
    assert si(results[0].total, "J") in lines
    columns = comparison(results).splitlines()
    assert columns[0].split()[-2:] == ["a", "b"] and len(columns) == 1 + len(KINDS) + 5
    assert json.loads(json.dumps(results[0].to_dict()))["energy"] == results[0].total


def test_files_of_a_cost(tmp_path):
    results = pair()
    costs = [SimpleNamespace(step=result, to_dict=result.to_dict) for result in results]  # a Cost as far as files go
    cost_plot.save(costs, tmp_path)
    written = json.loads((tmp_path / "cost.json").read_text())
    assert [one["energy"] for one in written] == [result.total for result in results]
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in ("kinds.png", "layers.png"))
    cost_plot.plot_layers(results, tmp_path / "layers.svg", "title")
    drawn = (tmp_path / "layers.svg").read_text()
    for name in ("layer 1", "loss", *(kind for kind in KINDS if results[0].by_kind[kind])):
        assert f"<!-- {name} -->" in drawn


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0 J"),
        (1.234e-12, "1.23 pJ"),
        (9.999e-10, "1.00 nJ"),
        (999.4, "999 J"),
        (45.67e3, "45.7 kJ"),
        (-2e-3, "-2.00 mJ"),
    ],
)
def test_si(value, shown):
    assert si(value, "J") == shown
