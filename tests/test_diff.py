"""The first word in which two runs differ: planted differences are found where they were planted."""

import argparse
import json

import numpy as np
import pytest

from lns.design import load
from lns.format import Event, LNSFormat
from sim.report import diff
from sim.train import backend as backends
from sim.train.backend import NumbaBackend
from sim.train.chip import Chip
from sim.train.loop import initial_weights, new_run
from sim.train.run import RunConfig, RunError
from sim.train.trace import TraceError, traced_step


def run(capsys, *arguments):
    """(exit code, JSON) of ``lns diff``."""
    code = diff.run(parsed(*arguments, "--json"))
    return code, json.loads(capsys.readouterr().out)


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    diff.add_arguments(parser)
    return parser.parse_args([str(a) for a in arguments])


@pytest.fixture
def make(tmp_path):
    def make(name, changes=None, learner="chip", **config):
        design = load("madam8").override(changes or {}) if learner == "chip" else None
        settings = {"hidden": (8,), "epochs": 2, "batch": 128} | config
        new_run(tmp_path / name, RunConfig(learner, "digits", **settings), design)
        return tmp_path / name

    return make


def test_equal_runs_do_not_differ(make, capsys):
    a, b = make("a"), make("b")
    code, found = run(capsys, a, b)
    assert code == 0 and found == {"settings": [], "steps": 24, "difference": None}
    assert diff.run(parsed(a, b, "--steps", "3")) == 0
    assert capsys.readouterr().out == "no difference in 3 steps\n"


def test_backends_do_not_differ(make, capsys):
    a = make("a", hidden=(2,), batch=4)
    code, found = run(capsys, a, a, "--backends", "numba", "reference", "--steps", "3")
    assert code == 0 and [s["name"] for s in found["settings"]] == ["backend"]


@pytest.mark.parametrize(
    ("changes", "unit", "label"),
    [
        ({"accumulator.guard": 6}, "dot", "forward 1"),
        ({"accumulator": {"kind": "log", "lanes": 16, "format": "lns<15,8>"}}, "dot", "forward 1"),
        ({"conversion.rounding": "down"}, "convert", "operand 1"),
        ({"loss.table": "mitchell"}, "loss", "loss"),
        ({"update.sign_rule": "clamp"}, "update", "update 1"),
        ({"update.kappa": 4}, "update", "update 1"),
        ({"update.rounding": "stochastic"}, "update", "update 1"),
        ({"formats.gradient": "lns<9,3>"}, "dot", "gradient 2"),
        ({"update.moment": "ulns<18,11>"}, "update", "update 1"),
        ({"formats.activation": "lns<8,2>"}, "", "state"),
        ({"offsets.headroom": 1}, "", "state"),
    ],
)
def test_a_changed_design_differs_where_it_was_changed(make, capsys, changes, unit, label):
    code, found = run(capsys, make("a"), make("b", changes))
    assert code == 1
    assert {s["name"].removeprefix("design.").split(".")[0] for s in found["settings"]} == {
        name.split(".")[0] for name in changes
    }
    difference = found["difference"]
    assert (difference["unit"], difference["label"]) == (unit, label)
    assert difference["a"]["results"] != difference["b"]["results"]
    if changes.keys() & {"formats.gradient", "update.moment"}:  # words of two formats differ, also where bits agree
        assert difference["differing"] == difference["size"]


def test_the_sign_rule_differs_at_a_weight_that_underflows(make, capsys):
    difference = run(capsys, make("a"), make("b", {"update.sign_rule": "clamp"}))[1]["difference"]
    a, b = ({v["name"]: v["value"] for v in difference[side]["results"]} for side in "ab")
    fmt = load("madam8").formats.weight
    assert (a["w"] ^ b["w"], a["w"] & fmt.max_code) == (fmt.sign_bit, 1)
    assert a["w_events"] == b["w_events"] == Event.UNDERFLOW and difference["tensor"] == "w"
    assert "operands and settings of the call are the same" in difference["why"]


def test_settings_of_the_run_come_first(make, capsys):
    code = diff.run(parsed(make("a"), make("b", lr=0.02)))
    lines = capsys.readouterr().out.splitlines()
    assert code == 1 and lines[:3] == [
        "settings that differ", "  lr: 0.03 in A, 0.02 in B", "first difference: step 1, update 1 (update), w [0, 1]"
    ]  # fmt: skip
    assert any("operands are the same; settings of the call differ: constants.lr" in line for line in lines)


def test_another_seed_differs_in_the_initial_weights(make, capsys):
    difference = run(capsys, make("a"), make("b", seed=1))[1]["difference"]
    assert (difference["step"], difference["label"], difference["tensor"]) == (0, "state", "weight1")


def test_text_of_a_dot_product_says_what_the_unit_saw(make, capsys):
    diff.run(parsed(make("a"), make("b", {"accumulator.guard": 6})))
    out = capsys.readouterr().out
    assert "design.accumulator.guard: 12 in A, 6 in B" in out
    assert "65 words of lns<8,3>" in out and "→ words of lns<8,3>: 0x" in out and "→ events: none" in out


# --- a backend with a fault ----------------------------------------------------------------------------------------


class Faulty(NumbaBackend):
    """Kernels of which one dot product is wrong: in the third gradient of layer 2, one word or one flag."""

    flag = False

    def __init__(self, units):
        super().__init__(units)
        self.seen = 0

    def dot(self, a, b, a_fmt, b_fmt, fmt, offsets, offset):
        words, events = super().dot(a, b, a_fmt, b_fmt, fmt, offsets, offset)
        if words.shape == (10, 9):  # gradient of the last layer
            self.seen += 1
            if self.seen == 3 and self.flag:
                events[4, 2] ^= Event.ACC_SATURATE
            elif self.seen == 3:
                words[4, 2] ^= 1
        return words, events


@pytest.mark.parametrize("flag", [False, True])
def test_a_faulty_backend_is_found_to_the_word(make, capsys, monkeypatch, flag):
    monkeypatch.setattr(Faulty, "flag", flag)
    monkeypatch.setitem(backends.BACKENDS, "faulty", Faulty)
    a = make("a")
    code, found = run(capsys, a, a, "--backends", "numba", "faulty")
    difference = found["difference"]
    assert code == 1 and found["settings"] == [{"name": "backend", "a": "numba", "b": "faulty"}]
    assert (difference["step"], difference["label"], difference["unit"]) == (3, "gradient 2", "dot")
    assert (difference["index"], difference["differing"], difference["size"]) == ([4, 2], 1, 90)
    assert difference["tensor"] == ("events" if flag else "words")
    assert [len(v["words"]) for v in difference["a"]["vectors"]] == [128, 128]
    assert run(capsys, a, a, "--backends", "numba", "faulty", "--steps", "2")[0] == 0


def test_a_fault_in_the_random_bits_is_found(make, capsys, monkeypatch):
    class Skips(NumbaBackend):
        def update(self, w, g, v, constants, lfsr):
            out = super().update(w, g, v, constants, lfsr)
            lfsr[5] ^= 1
            return out

    monkeypatch.setitem(backends.BACKENDS, "skips", Skips)
    a = make("a", {"update.rounding": "stochastic"})
    difference = run(capsys, a, a, "--backends", "numba", "skips")[1]["difference"]
    assert (difference["label"], difference["tensor"], difference["index"]) == ("update 1", "lfsr", [5])


def test_a_state_that_moves_outside_the_units_is_found(make, capsys, monkeypatch):
    inner = Chip.step

    def step(self, *arguments):
        result = inner(self, *arguments)
        if self.updates == 2 and self.backend.inner.name == "reference":
            self.errors[1].offset += 1
        return result

    monkeypatch.setattr(Chip, "step", step)
    a = make("a", hidden=(2,), batch=4)
    difference = run(capsys, a, a, "--backends", "numba", "reference", "--steps", "3")[1]["difference"]
    assert (difference["step"], difference["label"]) == (2, "state")
    assert [v["name"] for v in difference["a"]["results"]] == ["offset of error 2"]


# --- traces --------------------------------------------------------------------------------------------------------


def traces(path, count=1, sizes=(6, 5, 3), design="madam8"):
    chip = Chip(load(design), initial_weights(list(sizes), 0), 0)
    rng = np.random.default_rng(0)
    out = []
    for _ in range(count):
        x, y = chip.encode_inputs(rng.random((4, sizes[0]))), rng.integers(0, sizes[-1], 4)
        out.append(path / f"{len(out)}-{'-'.join(map(str, sizes))}.npz")
        traced_step(chip, x, y)[1].save(out[-1])
    return out


def test_traces_of_two_steps_differ(tmp_path, capsys):
    one, two = traces(tmp_path, 2)
    assert run(capsys, one, one) == (0, {"settings": [], "steps": 1, "difference": None})
    code, found = run(capsys, one, two)
    assert code == 1 and found["settings"] == [{"name": "step", "a": 1, "b": 2}]
    assert found["difference"]["label"] == "operand 1" and "operands differ: words" in found["difference"]["why"]


def test_operands_of_a_dot_product_that_differ_are_named_with_their_k(tmp_path):
    (path,) = traces(tmp_path)
    one, two = diff.load_trace(path), diff.load_trace(path)
    call = next(c for c in two.calls if c.label == "forward 2")
    call.operands["b"][3, 1] ^= 0x80
    call.operands["b"][4, 1] ^= 0x80
    call.results["words"][2, 1] ^= 0x80
    found = diff.compare_traces(one, two)
    assert (found.label, found.index, found.differing) == ("forward 2", (2, 1), 1)
    assert "differ first at k = 3: " in found.why
    word = int(call.operands["b"][3, 1])
    assert diff.show_word(word, LNSFormat(8, 3)) in found.why


# --- what cannot be compared ---------------------------------------------------------------------------------------


def test_runs_of_other_sizes_are_refused(make, tmp_path):
    a = make("a")
    for other, message in (
        (make("b", hidden=(9,)), r"hidden layers \(\(8,\) and \(9,\)\)"),
        (make("c", batch=64, validation=0.1), r"training samples \(1437 and 1293\), batch \(128 and 64\)"),
        (make("d", learner="float32-sgd"), "float baseline"),
    ):
        with pytest.raises(RunError, match=message):
            diff.run(parsed(a, other))
    with pytest.raises(RunError, match="from 1 to 24"):
        diff.run(parsed(a, a, "--steps", "25"))
    with pytest.raises(RunError, match="no run here"):
        diff.run(parsed(a, tmp_path / "nowhere"))


def test_other_data_is_refused(make, monkeypatch):
    a = make("a", validation=0.5)
    data = diff.run_data(RunConfig("chip", "digits", validation=0.5))
    shuffled = type(data)("shuffled", data.train_x[::-1], data.train_y[::-1], data.test_x, data.test_y, 16.0, 10)
    given = iter([data, shuffled])
    monkeypatch.setattr(diff, "run_data", lambda config: next(given))
    with pytest.raises(RunError, match="training data"):
        diff.run(parsed(a, a))


def test_traces_that_do_not_fit_are_refused(make, tmp_path):
    (small,), (wide,), (deep,) = (traces(tmp_path, 1, sizes) for sizes in ((6, 5, 3), (6, 4, 3), (6, 5, 5, 3)))
    cases = {wide: "of operand 1 has the shape", deep: "numbers of layers", make("a"): "two traces"}
    for other, message in cases.items():
        with pytest.raises(RunError, match=message):
            diff.run(parsed(small, other))
    with pytest.raises(RunError, match="--steps"):
        diff.run(parsed(small, small, "--steps", "1"))
    wide.write_text("hello")
    with pytest.raises(TraceError, match="not a trace"):
        diff.run(parsed(small, wide))
