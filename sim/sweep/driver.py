"""The driver: plans a sweep, hands its tasks to workers and writes what comes out. It alone writes the store."""

from __future__ import annotations

import contextlib
import math
import shutil
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sim.sweep.errors import SweepError
from sim.sweep.execute import Executor
from sim.sweep.file import Sweep
from sim.sweep.points import row_of, tasks_of
from sim.sweep.progress import Status, View, read_status
from sim.sweep.store import FINAL, Outcome, Store, Task
from sim.sweep.strategy import Score, batches
from sim.sweep.work import prepared

__all__ = ["run_sweep", "runs_folder"]

_RENEW = 20.0  # seconds between signs of life
_LOOK = 2.0  # seconds between looks at tasks that another driver does
_WAIT = 1.0  # longest wait for an outcome: then the view and the clock have their turn


def runs_folder(store: Path) -> Path:
    """Where the run directories of trainings under way lie."""
    return store.with_name(f"{store.name}.runs")


def run_sweep(
    sweep: Sweep,
    store: Store,
    executor: Executor,
    *,
    keep_runs: bool = False,
    retry: bool = False,
    quiet: bool = False,
    clock: Callable[[], float] = time.time,
) -> Status:
    """Do what of a sweep is not done yet.

    Parameters
    ----------
    sweep : Sweep
    store : Store
        Results that it holds already, of whatever sweep, are taken from it.
    executor : Executor
        Closed at the end, whatever happens.
    keep_runs : bool
        Keep the run directories of trainings that are done.
    retry : bool
        Try again what failed or ran out of time before.
    quiet : bool
        Show no progress.
    clock : callable
        Seconds since 1970.

    Returns
    -------
    Status
        How it stands; ``finished`` is None if the hours of the budget were over before.

    Raises
    ------
    SweepError
        If the sweep cannot be planned, or the store not be read or written: what it holds is safe.
    """
    driver = _Driver(sweep, store, executor, keep_runs, clock)
    view = View(lambda: [driver.status()], quiet=quiet, clock=clock)
    try:
        driver.run(view, retry)
    except _BudgetSpent:
        pass
    finally:
        executor.close()
        driver.leave()
    view.update(last=True)
    return driver.status()


class _BudgetSpent(Exception):
    """The hours are over and nothing runs any more."""


class _Driver:
    """One sweep on its way through an executor."""

    def __init__(
        self, sweep: Sweep, store: Store, executor: Executor, keep_runs: bool, clock: Callable[[], float]
    ) -> None:
        self._sweep, self._store, self._executor = sweep, store, executor
        self._runs, self._keep, self._clock = runs_folder(store.path), keep_runs, clock
        self._number = store.begin(sweep.name, sweep.text)
        self._until = clock() + 3600 * sweep.budget.hours if sweep.budget.hours else math.inf
        self._renewed = self._looked = -math.inf
        self._running: dict[str, Task] = {}

    def status(self) -> Status:
        return read_status(self._store.connection, self._number)

    def run(self, view: View, retry: bool) -> None:
        """Batch after batch of the strategy."""
        strategy = batches(self._sweep)
        batch = next(strategy)
        tasks: dict[int, list[Task]] = {}  # by ordinal
        while True:
            self._store.stop(self._number, batch.stopped)
            self._forget(task for ordinal in batch.stopped for task in tasks[ordinal])
            points = [point for point in batch.points if point.possible]
            tasks = {point.ordinal: tasks_of(self._sweep, point, batch.epochs) for point in points}
            linked = [(point.id, task) for point in points for task in tasks[point.ordinal]]
            self._store.plan(self._number, [row_of(point) for point in batch.points], linked, retry)
            if again := self._store.superseded(self._number):
                view.note(f"{again} tasks were done before by another version of the code: kept, and done again")
            self._drain({task.key: task for _, task in linked}, view)
            try:
                batch = strategy.send(self._scores(tasks))
            except StopIteration:
                break
        self._store.end(self._number)

    def _scores(self, tasks: Mapping[int, Sequence[Task]]) -> dict[int, Score]:
        found = self._store.results(task.key for several in tasks.values() for task in several)
        return {ordinal: _score(several, found) for ordinal, several in tasks.items()}

    def _drain(self, tasks: Mapping[str, Task], view: View) -> None:
        """Until every task has ended, here or at another driver that shares the store."""
        self._store.renew()
        statuses = self._store.statuses(tasks)
        waiting = deque(key for key in tasks if statuses[key] == "waiting")
        elsewhere = {key for key in tasks if statuses[key] == "running"}
        outcomes: list[Outcome] = []
        while waiting or elsewhere or self._running or outcomes:
            elsewhere, free = self._look_elsewhere(elsewhere)
            waiting += free
            over = self._clock() >= self._until
            room = 0 if over else max(0, self._executor.capacity - len(self._running) + len(outcomes))
            wanted = [waiting.popleft() for _ in range(min(room, len(waiting)))]
            elsewhere |= self._exchange(outcomes, wanted, tasks)
            view.update()
            outcomes = self._executor.wait(_WAIT) if self._running else []
            if self._running or outcomes or wanted:
                continue
            if over and (waiting or elsewhere):
                raise _BudgetSpent
            if elsewhere or waiting:  # at another driver's, or for lack of a worker
                time.sleep(_WAIT)

    def _look_elsewhere(self, keys: set[str]) -> tuple[set[str], list[str]]:
        """A sign of life of ours, and of the tasks that others do those still running and those to be had again."""
        now = self._clock()
        if now - self._renewed >= (_LOOK if keys else _RENEW):
            self._renewed = now
            self._store.renew()
            statuses = self._store.statuses(keys)
            return {key for key in keys if statuses[key] == "running"}, [k for k in keys if statuses[k] == "waiting"]
        return keys, []

    def _exchange(self, outcomes: Sequence[Outcome], wanted: Sequence[str], tasks: Mapping[str, Task]) -> set[str]:
        """Write outcomes, claim and submit wanted tasks; returns those that another driver is at."""
        if not outcomes and not wanted:
            return set()
        claimed, others = self._store.exchange(outcomes, wanted)
        ended = [(outcome, self._running.pop(outcome.key)) for outcome in outcomes]
        if not self._keep:  # only now: until a result is in the store, its run can give it again
            done = [task for outcome, task in ended if outcome.status == "done"]
            # what a driver left that was killed in between
            done += [tasks[key] for key, status in others.items() if status == "done"]
            self._forget(task for task in done if task.settings.get("last"))
        for key in claimed:
            self._running[key] = tasks[key]
            self._executor.submit(prepared(tasks[key], self._runs))
        return {key for key, status in others.items() if status not in FINAL}

    def _forget(self, tasks: Iterable[Task]) -> None:
        """Remove the run directories of trainings."""
        for task in tasks:
            if "folder" in task.settings and not self._keep:
                folder = self._runs / task.settings["folder"]
                shutil.rmtree(folder, ignore_errors=True)
                folder.with_name(f".{folder.name}.lock").unlink(missing_ok=True)

    def leave(self) -> None:
        """Give back what was claimed and is not done."""
        with contextlib.suppress(SweepError):  # the store may be why we leave; then our end is noticed later
            self._store.release(list(self._running))
        with contextlib.suppress(OSError):
            self._runs.rmdir()  # if it is empty


def _score(tasks: Sequence[Task], found: Mapping[str, Any]) -> Score:
    """The score of a point all whose trainings, and its price if there is one to be, have a result."""
    if any(task.key not in found for task in tasks if task.kind != "verify"):
        return Score()
    results = {kind: [found[task.key] for task in tasks if task.kind == kind] for kind in ("train", "cost")}
    error = 1 - statistics.fmean(result["test_accuracy"] for result in results["train"]) if results["train"] else None
    return Score(error, results["cost"][0]["energy_step_j"] if results["cost"] else None)
