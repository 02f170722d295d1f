"""Where tasks are done: in this process, or in a pool of workers of this machine (`sim.sweep.dask`: of a cluster)."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import wait
from typing import Any, Protocol

from sim.sweep.process import WORK, Worker, attempt, resolve
from sim.sweep.store import Outcome, Task

__all__ = ["Executor", "Pool", "Serial", "threads_for"]

TRIES = 2  #: of a task whose worker dies


class Executor(Protocol):
    """What the driver needs: it submits at most ``capacity`` tasks at a time and waits for their outcomes."""

    @property
    def capacity(self) -> int:
        """Tasks that may be submitted and not yet be ended."""

    def submit(self, task: Task) -> None: ...

    def wait(self, timeout: float) -> list[Outcome]:
        """The outcomes since the last call; returns after so many seconds without one. None of them is ``lost``: that
        one was tried again, and failed."""

    def close(self) -> None:
        """Ends what is running, at once."""


def threads_for(workers: int) -> int:
    """Threads of the kernels of each of some workers, so that together they have as many as there are cores."""
    return max(1, (len(os.sched_getaffinity(0)) or 1) // max(1, workers))


class _Overdue(BaseException):
    """Raised by the alarm in the middle of a task; no handler of `Exception` stops it."""


@contextmanager
def _alarm(limit: float) -> Iterator[None]:
    if math.isinf(limit) or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: Any) -> None:
        raise _Overdue

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Serial:
    """One task after another in this process: for a debugger, and where processes cannot be had. What crashes a worker
    crashes the driver here. The limit of time holds between two steps of Python, in the main thread."""

    capacity = 1

    def __init__(self, limit: float = math.inf, work: str = WORK) -> None:
        self._limit, self._work = limit, resolve(work)
        self._task: Task | None = None

    def submit(self, task: Task) -> None:
        self._task = task

    def wait(self, timeout: float) -> list[Outcome]:
        assert self._task is not None
        task, self._task = self._task, None
        outcome = attempt(self._limited, task)
        if outcome.error.startswith(_Overdue.__name__):
            outcome = replace(outcome, status="timeout", error=f"took longer than {self._limit:g} s")
        return [outcome]

    def _limited(self, task: Task) -> dict[str, Any]:
        with _alarm(self._limit):
            return self._work(task)

    def close(self) -> None:
        self._task = None


class Pool:
    """Worker processes of this machine.

    Parameters
    ----------
    workers : int
        As many tasks at a time.
    threads : int
        Of the kernels of each.
    limit : float
        Seconds that a task may take; then its worker is killed.
    work : str
        What workers do, as ``module:function``.
    """

    def __init__(self, workers: int, threads: int, limit: float = math.inf, work: str = WORK) -> None:
        self.capacity, self._threads, self.limit, self._work = workers, threads, limit, work
        self._idle: list[Worker] = []
        self._busy: dict[Any, Worker] = {}  # by connection
        self._tries: dict[str, int] = {}  # of tasks whose workers died

    def submit(self, task: Task) -> None:
        worker = self._idle.pop() if self._idle else Worker(self._work, self._threads)
        self._busy[worker.connection] = worker
        worker.start(task, self.limit)

    def wait(self, timeout: float) -> list[Outcome]:
        soonest = min((worker.deadline for worker in self._busy.values()), default=math.inf)
        ready = wait(list(self._busy), max(0.0, min(timeout, soonest - time.monotonic())))
        outcomes: list[Outcome] = []
        for connection in ready:
            self._receive(self._busy[connection], outcomes)
        now = time.monotonic()
        for worker in [worker for worker in self._busy.values() if worker.deadline <= now]:
            del self._busy[worker.connection]
            outcomes.append(worker.overdue())
            worker.close()
        return outcomes

    def _receive(self, worker: Worker, outcomes: list[Outcome]) -> None:
        connection, task = worker.connection, worker.task
        assert task is not None
        outcome = worker.receive()
        if outcome is None:
            return
        del self._busy[connection]
        if outcome.status != "lost":
            self._idle.append(worker)
            outcomes.append(outcome)
            return
        worker.close()
        tried = self._tries[task.key] = self._tries.get(task.key, 0) + 1
        if tried < TRIES:
            self.submit(task)
        else:
            del self._tries[task.key]
            outcomes.append(replace(outcome, status="failed", error=f"{outcome.error}, and so did {TRIES - 1} before"))

    def close(self) -> None:
        for worker in [*self._idle, *self._busy.values()]:
            worker.close()
        self._idle, self._busy = [], {}
