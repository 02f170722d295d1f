"""Recorded steps as transactions of the priced units: the right ones, not too many, and true."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from verilog import fit, need

from lns import reference
from lns.design import load
from lns.reference import UpdateConstants
from lns.units import Units
from sim.cost.errors import CostError
from sim.cost.operands import BLOCKS, recorded, uniform
from sim.train.chip import Chip
from sim.train.loop import initial_weights
from sim.train.trace import Call, Trace, traced_step
from sim.verify.compiled_bench import compare
from sim.verify.unit import Transaction, Unit
from sim.verify.units import instances
from sim.verify.units.element import Element

LANES = 4


def step(name: str, **changes: object) -> Trace:
    """The second step of 21-9-4 on noise, with few lanes: dot products end with full beats and with others."""
    design = load(name).override({"accumulator.lanes": LANES, "update.lanes": LANES, **changes})
    chip = Chip(design, initial_weights([21, 9, 4], 0), 3)
    rng = np.random.default_rng(5)
    inputs, targets = chip.encode_inputs(rng.random((6, 21))), rng.integers(0, 4, 6)
    chip.step(inputs, targets)
    return traced_step(chip, inputs, targets)[1]


def by_module(trace: Trace, limit: int = 10**6) -> dict[str, dict[str, list[Transaction]]]:
    found: dict[str, dict[str, list[Transaction]]] = {}
    for unit, calls in recorded(trace, limit).items():
        for label, transactions in calls.items():
            assert label not in found.setdefault(unit.module, {})
            found[unit.module][label] = transactions
    return found


def beats(transactions: list[Transaction]) -> int:
    return sum(map(len, transactions))


def call(trace: Trace, label: str) -> Call:
    return next(one for one in trace.calls if one.label == label)


@pytest.mark.parametrize("name", ["madam8", "madam8-log", "madam8-small", "bmadam8"])
def test_a_whole_step(name: str) -> None:
    found, kind = by_module(step(name)), "log" if name == "madam8-log" else "linear"
    sizes = {module: {label: len(ones) for label, ones in calls.items()} for module, calls in found.items()}
    expected = {
        f"lns_element_{kind}": {
            "forward 1": 6 * 9, "forward 2": 6 * 4, "gradient 2": 4 * 10, "backward 2": 6 * 9, "gradient 1": 9 * 22
        },
        "lns_relu": {"relu 1": 6 * 9},
        "lns_loss": {"loss": 6},
        "lns_update": {"update 1": 9 * 22, "update 2": 4 * 10},
    }  # fmt: skip
    if name != "bmadam8":  # multiplies the weights as they are stored
        expected["lns_convert"] = {"operand 1": 9 * 22, "operand 2": 4 * 10}
    if name == "madam8-small":  # rounds at random; every lane draws to the end
        expected["lns_lfsr"] = {"update 1": 50 * LANES, "update 2": 10 * LANES}
    assert sizes == expected
    element = found[f"lns_element_{kind}"]
    assert {label: {len(t) for t in ones} for label, ones in element.items()} == {
        "forward 1": {6}, "forward 2": {3}, "gradient 2": {2}, "backward 2": {1}, "gradient 1": {2}
    }  # fmt: skip


def test_elements_see_the_recorded_words_and_give_them() -> None:
    """The third sample's second output, word by word, with its scale from the offsets."""
    trace = step("madam8", **{"formats.error": "lns<9,4>"})
    found = recorded(trace, 10**6)
    for label in ("forward 1", "backward 2", "gradient 1"):
        one = call(trace, label)
        unit = next(unit for unit, calls in found.items() if isinstance(unit, Element) and label in calls)
        dot = Units(trace.design).dot(one.settings["a_fmt"], one.settings["b_fmt"])
        transaction = found[unit][label][2 * one.results["words"].shape[1] + 1]
        a, b = unit.dot.rows(tuple(beat[:3] for beat in transaction))
        inner = one.operands["a"].shape[1]
        assert a[:inner] == one.operands["a"][2].tolist() and b[:inner] == one.operands["b"][:, 1].tolist()
        assert not any(a[inner:]) and len(a) % LANES == 0
        scale = dot.least_exponent + one.settings["offsets"] - one.settings["offset"]
        assert {beat[3] for beat in transaction} == {scale}
        assert unit.expect(transaction)[0][0] == one.results["words"][2, 1]


@pytest.mark.parametrize("name", ["madam8", "madam8-log", "madam8-small"])
@pytest.mark.parametrize("limit", [7, 30, 100])
def test_limits_hold_and_neighbours_stay_together(name: str, limit: int) -> None:
    trace = step(name)
    whole, part = by_module(trace), by_module(trace, limit)
    assert whole.keys() == part.keys()
    for module, calls in part.items():
        assert calls.keys() == whole[module].keys()
        for label, ones in calls.items():
            every = whole[module][label]
            longest = max(map(len, every))
            assert 0 < beats(ones) <= limit
            if beats(every) <= limit:
                assert ones == every
                continue
            # nearly as many as there may be, and each after its neighbour, but for the first of each block
            grain = LANES if module in ("lns_update", "lns_lfsr") else longest
            assert beats(ones) > limit - 3 * grain
            places = np.array([place for place, one in enumerate(every) if one in ones])
            assert len(ones) <= len(places)
            pairs = set(itertools.pairwise(every))
            assert sum(pair not in pairs for pair in itertools.pairwise(ones)) < BLOCKS
            if len(ones) >= 2 * BLOCKS and len(set(every)) == len(every):  # from all over the call
                assert places[0] == 0 and places[-1] >= 3 * len(every) // 4


def test_random_bits_are_those_of_the_element() -> None:
    """A weight that is taken from the middle gets the bits that it had in training."""
    trace = step("madam8-small")
    one = call(trace, "update 1")
    constants: UpdateConstants = one.settings["constants"]
    unit = Units(trace.design).update
    states, drawn = one.operands["lfsr"].tolist(), []
    for element in range(one.operands["w"].size):
        states[element % LANES], bits = reference.lfsr_draw(states[element % LANES], unit.step_frac_bits)
        drawn.append(bits)
    every = list(zip(*(one.operands[key].ravel().tolist() for key in "wgv"), drawn, strict=True))
    taken = [beat[:4] for (beat,) in by_module(trace, 40)["lns_update"]["update 1"]]
    assert len(taken) == 40 and set(taken) <= set(every) and taken[-1][3] in drawn[len(drawn) // 2 :]
    w, v, *_ = reference.update(*taken[-1][:3], unit, constants, taken[-1][3])
    place = every.index(taken[-1])
    assert (w, v) == (one.results["w"].ravel()[place], one.results["v"].ravel()[place])


@pytest.mark.parametrize(
    ("label", "name"), [("forward 2", "words"), ("gradient 1", "events"), ("loss", "losses"), ("update 2", "v")]
)
def test_a_changed_word_is_caught(label: str, name: str) -> None:
    trace = step("madam8")
    call(trace, label).results[name].reshape(-1)[0] ^= 1
    with pytest.raises(CostError, match=f"trace, {label}: {name} must be"):
        recorded(trace, 20)


def test_a_changed_operand_is_caught() -> None:
    trace = step("madam8")
    call(trace, "forward 1").operands["b"][0, 0] ^= 64
    with pytest.raises(CostError, match="trace, forward 1: words must be"):
        recorded(trace, 20)


def test_a_limit_below_a_dot_product_is_refused() -> None:
    with pytest.raises(CostError, match="limit: forward 1 needs at least 6 beats, got 5"):
        recorded(step("madam8"), 5)


def test_uniform_operands() -> None:
    for name in ("madam8", "madam8-small", "madam8-log"):
        for unit, calls in recorded(step(name), 200).items():
            for label, like in calls.items():
                check_uniform(unit, label, like)


def check_uniform(unit: Unit, label: str, like: list[Transaction]) -> None:
    ones, ports = uniform(unit, like, 1), unit.inputs()
    assert ones == uniform(unit, like, 1) != uniform(unit, like, 2)
    assert [len(one) for one in ones] == [len(one) for one in like]
    flat, before = [b for one in ones for b in one], [b for one in like for b in one]
    fit(flat, ports)
    for place, port in enumerate(ports):
        column = [beat[place] for beat in flat]
        if port.signed or port.name in ("last_i", "target_i"):
            assert column == [beat[place] for beat in before]
        elif port.name == "weight_i":
            assert all(word & port.format.max_code for word in column)
    if isinstance(unit, Element):
        inner = {"forward 1": 22, "forward 2": 10, "backward 2": 4, "gradient 1": 6, "gradient 2": 6}[label]
        a = np.array([unit.dot.rows(tuple(beat[:3] for beat in one))[0] for one in ones])
        assert a[:, :inner].any(axis=0).all() and not a[:, inner:].any()
    for one in ones:
        unit.expect(one)  # legal


def test_gates_would_be_given_the_right_answers() -> None:
    """The transactions through the compiled Verilog: recorded ones and uniform ones."""
    need("verilator")
    for unit, calls in recorded(step("madam8-log"), 60).items():
        if unit.module in ("lns_element_log", "lns_relu"):
            ones = [t for like in calls.values() for t in (*like, *uniform(unit, like, 0))]
            done = compare(unit, ones)
            assert (done.transactions, done.mismatches) == (len(ones), 0)


def test_a_large_step_is_not_enumerated() -> None:
    """784-128-10 at a batch of 128 has 32 million terms; what is taken of it costs what it costs of a small one."""
    chip = Chip(load("madam8"), initial_weights([784, 128, 10], 0), 3)
    rng = np.random.default_rng(5)
    trace = traced_step(chip, chip.encode_inputs(rng.random((128, 784))), rng.integers(0, 10, 128))[1]
    (element,) = instances(trace.design, "lns_element_linear")
    sizes = {label: beats(ones) for label, ones in recorded(trace, 400)[element].items()}
    assert sizes == {"forward 1": 400, "forward 2": 396, "gradient 2": 400, "backward 2": 400, "gradient 1": 400}
