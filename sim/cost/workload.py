"""The training step whose operands are priced: on a chip, and on the same data in floating point."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy.typing as npt

from lns.design import Design
from sim.train.baselines import FloatNetwork
from sim.train.chip import Chip
from sim.train.data import Dataset
from sim.train.loop import Learner, build, epoch_batches, own_lr, run_data
from sim.train.run import RunConfig
from sim.train.trace import Trace, traced_step

__all__ = ["Products", "Workload", "float_products", "record"]

Products = dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]]  #: label -> operands (M, K) and (K, N)


@dataclass(frozen=True, slots=True)
class Workload:
    """Steps in the midst of training: by then weights and errors are no longer what they started as.

    Attributes
    ----------
    data, hidden, batch, seed
        As in `RunConfig`.
    before, recorded : int
        Steps of training before those that are recorded, and how many are.
    """

    data: str = "digits"
    hidden: tuple[int, ...] = (128,)
    batch: int = 128
    before: int = 100
    recorded: int = 8
    seed: int = 0

    def config(self, learner: str) -> RunConfig:
        return RunConfig(learner, self.data, self.hidden, epochs=1 << 16, batch=self.batch, seed=self.seed)


def _batches(workload: Workload, learner: Learner, config: RunConfig, data: Dataset) -> Iterator[tuple[Any, Any]]:
    """Inputs and targets of all steps in the order of training."""
    inputs = learner.encode_inputs(data.train_x, data.scale)
    epochs = (epoch_batches(config, epoch, len(inputs)) for epoch in itertools.count())
    # the last batch of an epoch may be short; the recorded one must not be
    whole = (chosen for chosen in itertools.chain.from_iterable(epochs) if len(chosen) == workload.batch)
    for chosen in itertools.islice(whole, workload.before + workload.recorded):
        yield inputs[chosen], data.train_y[chosen]


def record(design: Design, workload: Workload) -> tuple[Trace, ...]:
    """Train a design for some steps and record what every unit sees in the next ones.

    Raises
    ------
    ValueError
        If the workload or its data set is not to be had.
    """
    config = workload.config("chip")
    data = run_data(config)
    chip = build(config, design, data)
    assert isinstance(chip, Chip)
    rate = Fraction(own_lr(config, design))
    batches = _batches(workload, chip, config, data)
    for inputs, targets in itertools.islice(batches, workload.before):
        chip.step(inputs, targets, rate)
    return tuple(traced_step(chip, inputs, targets, rate)[1] for inputs, targets in batches)


def float_products(workload: Workload) -> Products:
    """Operands of every matrix product of the first of these steps, trained by SGD with momentum in float32."""
    config = workload.config("float32-sgd")
    data = run_data(config)
    network = build(config, None, data)
    assert isinstance(network, FloatNetwork)
    batches = _batches(workload, network, config, data)
    for inputs, targets in itertools.islice(batches, workload.before):
        network.step(inputs, targets)
    network.products = {}
    network.step(*next(batches))
    return network.products
