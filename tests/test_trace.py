"""Traces: every call of a step, recorded without changing it, enough to make it again bit for bit."""

import argparse
import json

import numpy as np
import pytest

from lns.design import load
from lns.units import Units
from sim.train import command
from sim.train.backend import BACKENDS, NumbaBackend, ReferenceBackend
from sim.train.chip import Chip
from sim.train.loop import initial_weights, new_run, train
from sim.train.run import RunConfig, RunDirectory, RunError
from sim.train.trace import TraceError, TraceRequest, load_trace, traced_step

SIZES, SEED = (6, 5, 4, 3), 3


def run_command(*arguments):
    parser = argparse.ArgumentParser()
    command.add_train(parser)
    parser.add_argument("--json", action="store_true")
    return command.run_train(parser.parse_args([str(a) for a in arguments]))


def trained(design, steps, traced=None, backend="numba"):
    """(chip, trace of one of its steps) of a small network on random inputs."""
    chip, trace = Chip(design, initial_weights(list(SIZES), SEED), SEED, backend), None
    rng = np.random.default_rng(SEED)
    for step in range(1, steps + 1):
        x, y = chip.encode_inputs(rng.random((4, SIZES[0]))), rng.integers(0, SIZES[-1], 4)
        if step == traced:
            trace = traced_step(chip, x, y)[1]
        else:
            chip.step(x, y)
    return chip, trace


def differing(trace, backend):
    """Labels of the calls whose replay gives other arrays than were recorded."""
    out = []
    for call in trace.calls:
        results = call.replay(backend)
        assert results.keys() == call.results.keys()
        if any(
            results[name].dtype != array.dtype or not np.array_equal(results[name], array)
            for name, array in call.results.items()
        ):
            out.append(call.label)
    return out


@pytest.fixture(scope="module")
def trace():
    return trained(load("madam8-small"), 3, 3)[1]


@pytest.mark.parametrize("name", ["madam8", "madam8-small", "madam8-log"])
def test_a_saved_trace_replays_on_the_definition(name, tmp_path):
    design = load(name)
    trained(design, 2, 2)[1].save(tmp_path / "t.npz")
    trace = load_trace(tmp_path / "t.npz")
    assert (trace.design, trace.seed, trace.step) == (design, SEED, 2)
    assert [call.label for call in trace.calls] == [
        "operand 1", "operand 2", "operand 3", "forward 1", "relu 1", "forward 2", "relu 2", "forward 3", "loss",
        "gradient 3", "backward 3", "gradient 2", "backward 2", "gradient 1", "update 1", "update 2", "update 3",
    ]  # fmt: skip
    assert differing(trace, ReferenceBackend(Units(design))) == []
    assert differing(trace, NumbaBackend(Units(design))) == []


@pytest.mark.parametrize("name", [name for name in BACKENDS if name != "rtl"])  # see test_hardware_in_training.py
def test_tracing_changes_nothing(name):
    design = load("madam8-small")
    plain, watched = trained(design, 4, None, name)[0].state(), trained(design, 4, 2, name)[0].state()
    assert plain.keys() == watched.keys()
    assert all(np.array_equal(array, watched[name]) for name, array in plain.items())


def test_a_changed_operand_or_result_is_seen(trace):
    """One word of any result of any unit; of the operands, those of which no two give the same."""
    backend = ReferenceBackend(Units(trace.design))
    for call in trace.calls:
        operands = [call.operands[name] for name in ("w", "lfsr") if name in call.operands]
        for array in [*call.results.values(), *operands]:
            array.flat[0] ^= 1
            assert differing(trace, backend) == [call.label], call.label
            array.flat[0] ^= 1
    assert differing(trace, backend) == []


def test_calls_follow_the_shapes(trace):
    for call in trace.calls:
        if call.unit == "dot":
            layer = int(call.label.split()[1])
            outputs, inputs = SIZES[layer], SIZES[layer - 1]
            want = {"forward": (4, outputs), "gradient": (outputs, inputs + 1), "backward": (4, inputs)}
            assert call.results["words"].shape == want[call.label.split()[0]], call.label


def test_a_step_that_makes_other_calls_is_an_error():
    class Twice(Chip):
        def forward(self, inputs, operands, offsets):
            super().forward(inputs, operands, offsets)
            return super().forward(inputs, operands, offsets)

    chip = Twice(load("madam8"), initial_weights(list(SIZES), SEED), SEED)
    inner = chip.backend
    with pytest.raises(ValueError, match="must call"):
        traced_step(chip, chip.encode_inputs(np.ones((4, SIZES[0]))), np.zeros(4, np.int64))
    assert chip.backend is inner


# --- files -------------------------------------------------------------------------------------------------------


def rewritten(path, change):
    """The file with its header and arrays changed."""
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(arrays.pop("header").tobytes())
    change(header, arrays)
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h, a: h.update(version=2), "version 1 of a trace is required, got 2"),
        (lambda h, a: h.update(kind="lns song"), "not a trace, but 'lns song'"),
        (lambda h, a: a.pop("3.a"), "3.a is missing"),
        (lambda h, a: a.pop("14.lfsr.out"), "14.lfsr.out is missing"),
        (lambda h, a: h.pop("design"), "design is missing"),
        (lambda h, a: h["calls"][0]["settings"].update(fmt="lns<99,1>"), "damaged header"),
        (lambda h, a: h["calls"][0].update(unit="song"), "song is missing"),
    ],
)
def test_a_damaged_trace_says_what_is_wrong(trace, tmp_path, change, message):
    path = tmp_path / "t.npz"
    trace.save(path)
    rewritten(path, change)
    with pytest.raises(TraceError, match=message):
        load_trace(path)


def test_other_files_are_no_traces(trace, tmp_path):
    path = tmp_path / "t.npz"
    path.write_text("hello")
    with pytest.raises(TraceError, match="not a trace"):
        load_trace(path)
    np.savez(path, weight1=np.ones(3))
    with pytest.raises(TraceError, match="it has no header"):
        load_trace(path)
    trace.save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(TraceError, match="damaged"):
        load_trace(path)


# --- the command -------------------------------------------------------------------------------------------------


def test_train_leaves_a_trace_of_the_step_asked_for(tmp_path, capsys):
    """Step 30 lies in the second epoch; a run resumed before it records the same."""
    config = RunConfig("chip", "digits", (8,), 2, 64)
    for name in ("traced", "plain"):
        run = new_run(tmp_path / name, config, load("madam8"))
        request = TraceRequest(tmp_path / "loop.npz", 30) if name == "traced" else None
        train(run, progress=False, trace=request)
    states = [RunDirectory(tmp_path / name).load()[1] for name in ("traced", "plain")]
    assert all(np.array_equal(array, states[1][name]) for name, array in states[0].items())
    arguments = ["madam8", "--hidden", 8, "--epochs", 2, "--batch", 64, "--quiet"]
    assert run_command(*arguments, "--out", tmp_path / "c", "--trace", tmp_path / "c.npz", "--trace-step", 30) == 0
    traces = [load_trace(tmp_path / name) for name in ("loop.npz", "c.npz")]
    assert [t.step for t in traces] == [30, 30]
    for one, two in zip(*(t.calls for t in traces), strict=True):
        assert all(np.array_equal(array, two.operands[name]) for name, array in one.operands.items())
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["float32-sgd", "--trace", "t.npz"], "float baseline"),
        (["madam8", "--epochs", "1", "--trace", "t.npz", "--trace-step", "13"], "steps 1 to 12"),
        (["madam8", "--trace", "t.npz", "--trace-step", "0"], "steps 1 to 60"),
        (["madam8", "--trace", "nowhere/t.npz"], "no folder nowhere"),
        (["madam8", "--trace-step", "2"], "needs --trace"),
    ],
)
def test_a_trace_that_will_not_come_is_refused_before_training(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match=message):
        run_command(*arguments, "--quiet", "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_finished_run_has_no_step_to_trace(tmp_path):
    run = new_run(tmp_path / "run", RunConfig("chip", "digits", (4,), 1, 512), load("madam8"))
    train(run, progress=False)
    with pytest.raises(RunError, match="to come"):
        train(run, progress=False, trace=TraceRequest(tmp_path / "t.npz"))
