"""The accuracies that docs/results.md claims, as far as they can be repeated in minutes."""

import numpy as np
import pytest

from lns.design import load
from sim.train import data as datasets
from sim.train.loop import train
from sim.train.run import RunConfig, RunDirectory

pytestmark = pytest.mark.slow

DIGITS = {"data": "digits", "hidden": (32,), "epochs": 40, "batch": 32}


def accuracy(path, learner, lr=0.0, **config):
    design = load(learner) if not learner.startswith("float32") else None
    run = RunDirectory.create(path, RunConfig("chip" if design else learner, lr=lr, **config), design)
    return train(run, progress=False)["test_accuracy"]


def test_madam8_on_fashion_mnist(tmp_path):
    if not datasets.FASHION_MNIST.is_dir():
        pytest.skip("apt install dataset-fashion-mnist")
    assert accuracy(tmp_path / "run", "madam8", data="fashion-mnist") >= 0.868


@pytest.mark.parametrize("design", ["madam8", "madam8-log"])
def test_digits(tmp_path, design):
    results = [accuracy(tmp_path / f"run{seed}", design, seed=seed, **DIGITS) for seed in range(5)]
    assert np.mean(results) >= 0.98


def test_no_preset_is_a_point_below_float32_madam_on_digits(tmp_path):
    def mean(learner, lr=0.0):
        folders = (tmp_path / f"{learner}-{seed}" for seed in range(3))
        return np.mean([accuracy(path, learner, lr, seed=seed, **DIGITS) for seed, path in enumerate(folders)])

    madam = mean("float32-madam", 0.03)
    for design in ("madam8-small", "bmadam12", "bmadam10", "bmadam8"):
        assert mean(design) > madam - 0.01, design
