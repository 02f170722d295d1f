"""The training loop, the same for a chip and for the float baselines."""

from __future__ import annotations

import dataclasses
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from lns.design import Design
from lns.format import Event
from sim.train import data as datasets
from sim.train.baselines import BASELINES, FloatNetwork
from sim.train.chip import Chip, StepResult
from sim.train.data import Dataset
from sim.train.run import RunConfig, RunDirectory, RunError
from sim.train.trace import TraceRequest, traced_step

Learner = Chip | FloatNetwork

_BAR = "{percentage:3.0f}%|{bar:8}| {elapsed}<{remaining} {postfix}"


def initial_weights(sizes: list[int], seed: int) -> list[npt.NDArray[np.float64]]:
    """Normal weights of variance 2/inputs (He et al. 2015), biases included: a weight that learns multiplicatively
    must not start at zero.

    Parameters
    ----------
    sizes : list of int
        Features, hidden layers, classes.

    Returns
    -------
    float64 arrays, (outputs, inputs + 1), the bias in the last column
    """
    rng = np.random.default_rng([seed, 0x1217])
    pairs = itertools.pairwise(sizes)
    return [rng.normal(0.0, np.sqrt(2.0 / inputs), (outputs, inputs + 1)) for inputs, outputs in pairs]


def build(config: RunConfig, design: Design | None, data: Dataset, backend: str = "numba") -> Learner:
    """The learner of a run before its first step."""
    weights = initial_weights([data.features, *config.hidden, data.classes], config.seed)
    if config.learner == "chip":
        if design is None:
            raise RunError("a chip's run needs its design")
        return Chip(design, weights, config.seed, backend)
    if config.learner not in BASELINES:
        raise RunError(f"{config.learner}: no such baseline; known are {', '.join(BASELINES)}")
    return FloatNetwork(BASELINES[config.learner][0](), weights, config.seed)


def run_data(config: RunConfig) -> Dataset:
    """The data set of a run, split where the configuration asks for a validation part."""
    data = datasets.load(config.data)
    return data.validation(config.validation) if config.validation else data


def epoch_batches(config: RunConfig, epoch: int, samples: int) -> list[npt.NDArray[np.int64]]:
    """Which samples each step of an epoch (from 0) takes, in the order of the steps."""
    order = np.random.default_rng([config.seed, epoch]).permutation(samples)
    return [order[first : first + config.batch] for first in range(0, samples, config.batch)]


def _check_trace(trace: TraceRequest, config: RunConfig, done: int, steps: int) -> None:
    """`RunError` before anything is trained for a trace that will not come."""
    if config.learner != "chip":
        raise RunError(f"--trace records the units of a chip: {config.learner} is a float baseline and has none")
    if not done < trace.step <= steps:
        raise RunError(f"--trace-step must be one of the steps {done + 1} to {steps} to come, got {trace.step}")
    if not trace.path.parent.is_dir():
        raise RunError(f"--trace {trace.path}: there is no folder {trace.path.parent}")


def events_by_name(learner: Learner) -> dict[str, dict[str, int]]:
    """Counts so far by tensor kind and event; events that never happened are left out."""
    return {
        kind: {str(flag.name).lower(): int(count) for flag, count in zip(Event, counts, strict=True) if count}
        for kind, counts in learner.events.items()
    }


def total_events(learner: Learner) -> dict[str, int]:
    """Counts so far over all tensors, for the progress bar."""
    total = sum(learner.events.values(), np.zeros(7, np.int64))
    return {str(flag.name).lower(): int(count) for flag, count in zip(Event, total, strict=True)}


def train(
    run: RunDirectory,
    *,
    backend: str = "numba",
    progress: bool = True,
    after_step: Callable[[int, Learner], None] | None = None,
    trace: TraceRequest | None = None,
    until: int | None = None,
) -> dict[str, Any]:
    """Train a run from its checkpoint, or from the start, to the end.

    Parameters
    ----------
    run : RunDirectory
        Holds configuration, design and perhaps a checkpoint.
    backend : str
        A name in `sim.train.backend.BACKENDS`: the same bits.
    progress : bool
        A progress bar on stderr.
    after_step : callable, optional
        Called with the number of steps done and the learner.
    trace : TraceRequest, optional
        Which step of a chip to record, and where; it changes no bit.
    until : int, optional
        Stop after so many epochs; the learning rate still falls by the run's own number of them.

    Returns
    -------
    The last epoch's metrics, also written to ``result.json``.
    """
    config, design = run.config(), run.design()
    data = run_data(config)
    learner = build(config, design, data, backend)
    base_lr = own_lr(config, design)

    batches = -(-len(data.train_x) // config.batch)
    steps = (config.epochs if until is None else min(until, config.epochs)) * batches
    done, loss, correct, seconds = 0, 0.0, 0, 0.0  # loss and correct are of the epoch so far
    restored = run.load()
    if restored is not None:
        position, state = restored
        done, loss, correct, seconds = (position[name] for name in ("steps", "loss", "correct", "seconds"))
        try:
            learner.load(state)
        except ValueError as error:
            raise RunError(f"{run.path}: {error}") from None
    if trace is not None:
        _check_trace(trace, config, done, steps)
    run.drop_metrics_after(done // batches)

    train_x = learner.encode_inputs(data.train_x, data.scale)
    test_x = learner.encode_inputs(data.test_x, data.scale)

    def save() -> None:
        spent = seconds + time.monotonic() - started
        run.save({"steps": done, "loss": loss, "correct": correct, "seconds": spent}, learner.state())

    started = time.monotonic()
    tested: float | None = None
    first_step = True
    bar = tqdm(total=steps, initial=done, bar_format=_BAR, disable=None if progress else True, dynamic_ncols=True)
    with bar:
        while done < steps:
            epoch, number = divmod(done, batches)
            rate, seen = config.rate(base_lr, epoch), number * config.batch
            for chosen in epoch_batches(config, epoch, len(train_x))[number:]:
                if trace is not None and trace.step == done + 1 and isinstance(learner, Chip):
                    result, recorded = traced_step(learner, train_x[chosen], data.train_y[chosen], rate)
                    recorded.save(trace.path)
                else:
                    result = learner.step(train_x[chosen], data.train_y[chosen], rate)
                seen += len(chosen)
                done, loss, correct = done + 1, loss + result.loss, correct + result.correct
                bar.update()
                if first_step:  # it compiled: not to be taken for the pace of the others
                    bar.unpause()
                    first_step = False
                if done % 20 == 0:
                    _show(bar, learner, loss / seen, tested)
                if after_step is not None:
                    after_step(done, learner)
                if config.checkpoint_every and done % config.checkpoint_every == 0 and done % batches:
                    save()
            row = _epoch_metrics(epoch + 1, done, float(rate), loss, correct, seen, learner, test_x, data)
            tested = row["test_accuracy"]
            run.append_metrics(row | {"seconds": round(seconds + time.monotonic() - started, 3)})
            _show(bar, learner, row["train_loss"], tested)
            loss, correct = 0.0, 0
            save()
    result_row = run.metrics()[-1]
    run.write("result.json", json.dumps(result_row, indent=2) + "\n")
    return result_row


def _epoch_metrics(
    epoch: int,
    done: int,
    rate: float,
    loss: float,
    correct: int,
    samples: int,
    learner: Learner,
    test_x: Any,
    data: Dataset,
) -> dict[str, Any]:
    tested: StepResult = learner.evaluate(test_x, data.test_y)
    return {
        "epoch": epoch,
        "steps": done,
        "lr": rate,
        "train_loss": loss / samples,
        "train_accuracy": correct / samples,
        "test_loss": tested.loss / tested.samples,
        "test_accuracy": tested.correct / tested.samples,
        "events": events_by_name(learner),
    }


def _show(bar: Any, learner: Learner, loss: float, tested: float | None) -> None:
    """Test accuracy of the last epoch, training loss and event counts, within 80 columns with the bar."""
    shown = [f"test {100 * tested:.2f}%"] if tested is not None else []
    shown.append(f"loss {loss:.3f}")
    counts = total_events(learner)
    names = {"sat": "saturate", "und": "underflow", "clip": "clip", "acc": "acc_saturate"}
    shown += [f"{short} {_short(counts[name])}" for short, name in names.items() if counts[name]]
    bar.set_postfix_str(" ".join(shown))


def _short(count: int) -> str:
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)


def own_lr(config: RunConfig, design: Design | None) -> float:
    """The learning rate that a design or a baseline names for itself."""
    return design.update.lr if design is not None else float(BASELINES[config.learner][0]().default_lr)


def resolve(config: RunConfig, design: Design | None) -> RunConfig:
    """The configuration with its learning rate written out, as a run directory records it."""
    if config.learner != "chip" and config.learner not in BASELINES:
        raise RunError(f"{config.learner}: no such baseline; known are {', '.join(BASELINES)}")
    return config if config.lr else dataclasses.replace(config, lr=own_lr(config, design))


def new_run(out: Path, config: RunConfig, design: Design | None, trace: TraceRequest | None = None) -> RunDirectory:
    """A run directory for a configuration whose data set, learner and traced step exist."""
    resolved, data = resolve(config, design), run_data(config)
    if trace is not None:
        _check_trace(trace, config, 0, config.epochs * -(-len(data.train_x) // config.batch))
    return RunDirectory.create(out, resolved, design)
