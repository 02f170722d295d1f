"""Training: the same bits from every backend and any number of threads; runs that survive what happens to them."""

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time

import numba as nb
import numpy as np
import pytest

import lns
from lns.design import load, preset_names
from sim.train import data as datasets
from sim.train.baselines import BASELINES, FloatNetwork
from sim.train.chip import Chip, cap_exponent
from sim.train.loop import build, initial_weights, train
from sim.train.run import RunConfig, RunDirectory, RunError


def digest(chip):
    """Of everything the next step depends on, events included."""
    h = hashlib.sha256()
    for name, array in sorted(chip.state().items()):
        h.update(name.encode() + array.tobytes())
    return h.hexdigest()


def steps(design, backend, sizes=(6, 5, 3), batch=4, count=4, seed=3):
    """Hashes after each step of a network on random inputs."""
    chip = Chip(design, initial_weights(list(sizes), seed), seed, backend)
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        x = chip.encode_inputs(rng.random((batch, sizes[0])) * (rng.random((batch, sizes[0])) < 0.7))
        chip.step(x, rng.integers(0, sizes[-1], batch))
        out.append(digest(chip))
    return out


VARIANTS = {
    **{name: {} for name in preset_names()},
    "narrow": {
        "formats": dict.fromkeys(("activation", "error", "gradient", "operand"), "lns<6,2>") | {"weight": "lns<6,3>"},
        "update.rounding": "stochastic",
        "update.lanes": 4,
        "accumulator": {"kind": "linear", "lanes": 4, "antilog_bits": 4, "guard": 8, "bits": 11},
        "conversion.rounding": "down",
    },
    "log-mitchell": {
        "accumulator": {"kind": "log", "lanes": 2, "format": "lns<13,6>", "offset": 2, "table": "mitchell"},
        "update.table": "coarse<3>",
        "update.sign_rule": "clamp",
        "update.moment_offset": -3,
        "loss.table": "linear<4,8>",
        "offsets.headroom": 1,
    },
}


@pytest.mark.parametrize("name", VARIANTS)
def test_reference_and_kernels_train_to_the_same_bits(name):
    design = load(name if name in preset_names() else "madam8").override(VARIANTS[name])
    assert steps(design, "numba") == steps(design, "reference")


def test_a_changed_constant_changes_the_hash():
    design = load("madam8")
    assert steps(design, "numba") != steps(design.override({"update.kappa": 4}), "numba")


@pytest.mark.parametrize("name", ["madam8", "madam8-log", "madam8-small", "log16"])
def test_threads_change_no_bit(name):
    sizes, batch = (300, 128, 10), 64  # large enough for the kernels to share the rows out
    one, many = 1, nb.get_num_threads()
    if many == 1:
        pytest.skip("one thread only")
    try:
        nb.set_num_threads(one)
        alone = steps(load(name), "numba", sizes, batch, 3)
        nb.set_num_threads(many)
        assert steps(load(name), "numba", sizes, batch, 3) == alone
    finally:
        nb.set_num_threads(many)


def test_evaluation_changes_nothing():
    chip = Chip(load("madam8-small"), initial_weights([6, 5, 3], 0), 0)
    rng = np.random.default_rng(0)
    x, y = chip.encode_inputs(rng.random((20, 6))), rng.integers(0, 3, 20)
    chip.step(x, y)
    before = digest(chip)
    first = chip.evaluate(x, y, batch=7)
    assert digest(chip) == before and chip.evaluate(x, y) == first


def test_stored_weights_sit_under_their_cap_and_are_never_zero():
    weights = initial_weights([30, 20, 4], 1)
    weights[0][0, 0] = 0.0
    weights[0][0, 1] = -1e-30
    chip = Chip(load("madam8"), weights, 1)
    for words, floats, cap in zip(chip.float_weights(), weights, chip.caps, strict=True):
        fmt = chip.design.formats.weight
        assert np.abs(words).max() <= 2.0**cap * 2 ** (-1 / 2**fmt.frac_bits)
        assert np.all(words != 0)
        assert np.all(np.sign(words)[floats != 0] == np.sign(floats)[floats != 0])
        assert cap == round(np.log2(3 * np.sqrt(np.mean(floats**2))))
    assert chip.weights[0][0, 0] == 1


def test_weights_without_a_magnitude_are_refused():
    for bad in (np.zeros((2, 3)), np.full((2, 3), np.nan)):
        with pytest.raises(ValueError, match="RMS"):
            cap_exponent(bad)


# --- float baselines ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BASELINES)
def test_baseline_gradients_are_those_of_the_loss(name):
    net = FloatNetwork(BASELINES[name][0](), initial_weights([5, 4, 3], 0), 0, np.float64)
    rng = np.random.default_rng(1)
    x, y = rng.random((6, 5)), rng.integers(0, 3, 6)
    gradients, _ = net.gradients(x, y)
    for w, g in zip(net.weights, gradients, strict=True):
        for index in [(0, 0), (1, 2), (2, w.shape[1] - 1)]:
            kept, h = w[index], 1e-6
            w[index] = kept + h
            above = net.evaluate(x, y).loss
            w[index] = kept - h
            below = net.evaluate(x, y).loss
            w[index] = kept
            assert g[index] == pytest.approx((above - below) / (2 * h) / len(x), rel=1e-5, abs=1e-9)


def test_first_madam_step_is_lr_up_or_down():
    net = FloatNetwork(BASELINES["float32-madam"][0](), initial_weights([5, 4, 3], 0), 0, np.float64)
    before = [w.copy() for w in net.weights]
    rng = np.random.default_rng(1)
    x, y = rng.random((6, 5)), rng.integers(0, 3, 6)
    gradients, _ = net.gradients(x, y)
    net.step(x, y)
    for w, old, g, cap in zip(net.weights, before, gradients, net.optimizer.caps, strict=True):
        want = np.clip(old * np.exp(-0.01 * np.sign(g) * np.sign(old)), -cap, cap)
        assert np.allclose(w, want, rtol=1e-6)


# --- runs ----------------------------------------------------------------------------------------------------------

QUICK = RunConfig("chip", "digits", hidden=(8,), epochs=3, batch=64, checkpoint_every=5)


def finished(path, design="madam8-small", config=QUICK):
    run = RunDirectory.create(path, config, load(design) if design else None)
    train(run, progress=False)
    return run


def final_bits(run):
    progress, state = run.load()
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in run.metrics()]
    return progress["steps"], {k: v.tobytes() for k, v in state.items()}, rows


def test_a_run_leaves_what_it_should(tmp_path):
    run = finished(tmp_path / "run")
    names = {p.name for p in run.path.iterdir()}
    assert names == {"config.toml", "design.toml", "metrics.jsonl", "checkpoint.npz", "result.json"}
    rows = run.metrics()
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert json.loads((run.path / "result.json").read_text()) == rows[-1]
    assert rows[-1]["test_accuracy"] > 0.5
    assert rows[-1]["events"]["weight"]
    assert [row["lr"] for row in rows] == [0.03, 0.03, 0.0075]
    assert run.design() == load("madam8-small") and run.config() == QUICK


@pytest.mark.parametrize("design", ["madam8-small", None])
def test_a_run_that_stops_anywhere_resumes_to_the_same_bits(tmp_path, design):
    config = QUICK if design else RunConfig("bbit-madam8", "digits", (8,), 3, 64, checkpoint_every=5)
    whole = finished(tmp_path / "whole", design, config)

    class Stop(Exception):
        pass

    run = RunDirectory.create(tmp_path / "parts", config, load(design) if design else None)
    for limit in (3, 7, 23, 24, 50):

        def stop(done, learner, limit=limit):
            if done == limit:
                raise Stop

        with pytest.raises(Stop):
            train(run, progress=False, after_step=stop)
    train(run, progress=False)
    assert final_bits(run) == final_bits(whole)


def test_a_killed_run_resumes_to_the_same_bits(tmp_path):
    """SIGKILL to a real process, at random moments, until it gets through."""
    config = RunConfig("chip", "digits", (16,), 8, 32, checkpoint_every=3)
    whole = finished(tmp_path / "whole", "madam8", config)
    run = RunDirectory.create(tmp_path / "killed", config, load("madam8"))
    command = [sys.executable, "-m", "sim.cli", "train", "--resume", str(run.path), "--quiet"]
    rng, kills = np.random.default_rng(os.getpid()), 0
    while kills < 3:
        before = run.load()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # not before it has moved on, so that the loop ends, and then at any moment
        while process.poll() is None and (now := run.load()) is not None and before is not None:
            if now[0]["steps"] > before[0]["steps"]:
                break
            time.sleep(0.01)
        while process.poll() is None and not (run.path / "checkpoint.npz").exists():
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.4)))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    assert kills > 0
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert final_bits(run) == final_bits(whole)


def test_an_existing_run_is_not_overwritten(tmp_path):
    run = finished(tmp_path / "run")
    before = final_bits(run)
    with pytest.raises(RunError, match="not empty"):
        RunDirectory.create(run.path, QUICK, load("madam8"))
    assert final_bits(run) == before


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "text"])
def test_a_damaged_checkpoint_is_refused(tmp_path, damage):
    run = finished(tmp_path / "run", config=RunConfig("chip", "digits", (8,), 1, 64))
    path = run.path / "checkpoint.npz"
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    path.write_bytes({"flip": bytes(content), "truncate": bytes(content[:-50]), "empty": b"", "text": b"hello"}[damage])
    with pytest.raises(RunError, match="damaged checkpoint"):
        train(run, progress=False)


def test_another_networks_checkpoint_is_refused(tmp_path):
    run = finished(tmp_path / "run", config=RunConfig("chip", "digits", (8,), 1, 64))
    other = finished(tmp_path / "other", config=RunConfig("chip", "digits", (9,), 1, 64))
    (run.path / "checkpoint.npz").write_bytes((other.path / "checkpoint.npz").read_bytes())
    with pytest.raises(RunError, match=r"weight1 must be uint8\(8, 65\)"):
        train(run, progress=False)


def test_a_full_disk_at_a_checkpoint_loses_nothing(tmp_path):
    """The file size limit makes the kernel refuse the write, as a full disk does."""
    run = finished(tmp_path / "run", config=RunConfig("chip", "digits", (8,), 1, 64))
    before, names = final_bits(run), sorted(p.name for p in run.path.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    progress, state = run.load()
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        with pytest.raises(RunError, match="the previous checkpoint is untouched"):
            run.save(progress, state)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert final_bits(run) == before and sorted(p.name for p in run.path.iterdir()) == names


def test_metrics_cut_short_by_a_kill_are_written_again(tmp_path):
    run = finished(tmp_path / "run")
    before = final_bits(run)
    path = run.path / "metrics.jsonl"
    path.write_text(path.read_text() + '{"epoch": 4, "st')
    train(run, progress=False)
    assert final_bits(run) == before


@pytest.mark.parametrize(
    ("field", "value"), [("epochs", 0), ("batch", -1), ("hidden", (0,)), ("seed", 1 << 32), ("validation", 1.0)]
)
def test_impossible_configurations_are_refused(field, value):
    with pytest.raises(RunError, match=field):
        RunConfig("chip", "digits", **{field: value})


def test_unknown_learners_are_refused():
    with pytest.raises(RunError, match="float32-adam"):
        build(RunConfig("float32-adamm", "digits"), None, datasets.load("digits"))


def test_the_learning_rate_falls_exactly():
    config = RunConfig("chip", "digits", epochs=10, lr=0.1)
    rates = [config.rate(0.02, epoch) for epoch in range(10)]
    assert rates == [lns.design.exact_decimal(0.1) / d for d in [1] * 5 + [4] * 3 + [16] * 2]
