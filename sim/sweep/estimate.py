"""How long a sweep will take, before it is begun."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numba as nb

from lns.design import Design
from sim.sweep.file import Sweep
from sim.sweep.points import Point, tasks_of
from sim.sweep.progress import span
from sim.sweep.store import reading
from sim.sweep.strategy import full_trainings
from sim.sweep.work import config_of
from sim.train.loop import build, own_lr, run_data
from sim.train.run import RunConfig

__all__ = ["Estimate", "estimate", "measured_epoch"]

_STEPS = 8  # timed ones of a measured run
_RECENT = 500  # finished trainings of the store that are looked at

Size = tuple[Any, ...]  # what the time of an epoch depends on most


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds of work that a sweep still needs, by kind of task; None where nothing is known. ``tasks`` counts those
    that are not done; ``done`` those that are. ``basis`` says what the time of trainings was taken from."""

    seconds: dict[str, float | None]
    tasks: dict[str, int]
    done: int
    basis: str

    def text(self, workers: int) -> str:
        """One line a kind."""
        lines = []
        for kind, number in self.tasks.items():
            known = self.seconds[kind]
            about = "no idea how long: none is done yet" if known is None else f"about {span(known)} of work"
            lines.append(f"{kind:<7} {number:>6} to do, {about}" + (f" ({self.basis})" if kind == "train" else ""))
        whole = [seconds for seconds in self.seconds.values() if seconds is not None]
        if whole:
            rest = "" if len(whole) == len(self.seconds) else ", what is not known aside"
            lines.append(f"about {span(sum(whole) / workers)} with {workers} worker{'s' * (workers > 1)}{rest}")
        return "\n".join(lines)


def size_of(design: Design, config: RunConfig) -> Size:
    """Trainings of one size take about the same time an epoch."""
    return config.data, tuple(config.hidden), config.batch, config.validation, design.accumulator.kind


def measured_epoch(design: Design, config: RunConfig) -> float:
    """Seconds of an epoch, from a few steps and the evaluation of a few batches."""
    data = run_data(config)
    chip = build(config, design, data)
    rate = config.rate(own_lr(config, design), 0)
    count = min(len(data.train_x), config.batch * 4)
    x, y = chip.encode_inputs(data.train_x[:count], data.scale), data.train_y[:count]
    tests = min(len(data.test_x), 1000)
    test_x, test_y = chip.encode_inputs(data.test_x[:tests], data.scale), data.test_y[:tests]

    def step(number: int) -> None:
        first = number * config.batch % count
        chip.step(x[first : first + config.batch], y[first : first + config.batch], Fraction(rate))

    for number in range(2):  # these compile
        step(number)
    chip.evaluate(test_x, test_y)
    start = time.perf_counter()
    for number in range(_STEPS):
        step(number)
    steps = (time.perf_counter() - start) / _STEPS * -(-len(data.train_x) // config.batch)
    start = time.perf_counter()
    chip.evaluate(test_x, test_y)
    return steps + (time.perf_counter() - start) * len(data.test_x) / tests


def estimate(sweep: Sweep, points: Sequence[Point], store: Path, threads: int) -> Estimate:
    """The time that the possible ones of some points need, those results aside that a store has.

    Parameters
    ----------
    sweep : Sweep
    points : sequence of Point
    store : Path
        It need not exist. Times of its finished tasks are preferred to measured ones.
    threads : int
        Of the kernels, for what is measured.
    """
    wanted = {task.key: (task, point) for point in points if point.possible for task in tasks_of(sweep, point)}
    done: set[str] = set()
    paces: dict[Size, float] = {}
    means: dict[str, float] = {}
    if store.is_file():
        with reading(store) as db:
            done = {key for (key,) in db.execute("SELECT key FROM task WHERE status = 'done'")} & set(wanted)
            paces = _paces(db)
            means = dict(db.execute("SELECT kind, avg(seconds) FROM task WHERE status = 'done' GROUP BY kind"))
    tasks: dict[str, int] = {}
    seconds: dict[str, float | None] = {}
    basis = "from the store"
    for key, (task, point) in wanted.items():
        if key in done:
            continue
        tasks[task.kind] = tasks.get(task.kind, 0) + 1
        if task.kind != "train":
            seconds[task.kind] = tasks[task.kind] * means[task.kind] if task.kind in means else None
            continue
        assert point.design is not None
        size = size_of(point.design, point.run)
        if size not in paces:
            basis = "measured on a few steps of each size"
            before = nb.get_num_threads()
            nb.set_num_threads(min(threads, nb.config.NUMBA_NUM_THREADS))
            paces[size] = measured_epoch(point.design, point.run)
            nb.set_num_threads(before)
        seconds["train"] = (seconds.get("train") or 0.0) + paces[size] * point.run.epochs
    if seconds.get("train"):  # halving trains most points for a part of their epochs only
        possible = sum(point.possible for point in points)
        seconds["train"] = (seconds["train"] or 0.0) * full_trainings(sweep, possible, sweep.run.epochs) / possible
    return Estimate(seconds, tasks, len(done), basis)


def _paces(db: sqlite3.Connection) -> dict[Size, float]:
    """Mean seconds an epoch of finished trainings from their start, by size."""
    found: dict[Size, list[float]] = {}
    for design, run, epochs, seconds in db.execute(
        "SELECT design, run, epochs, seconds FROM task JOIN point ON point.id = task.point "
        "WHERE kind = 'train' AND status = 'done' ORDER BY task.finished DESC LIMIT ?",
        (_RECENT,),
    ):
        size = size_of(Design.from_toml(design), config_of(run))
        found.setdefault(size, []).append(seconds / epochs)
    return {size: sum(several) / len(several) for size, several in found.items()}
