"""Workers of a cluster through Dask: any scheduler that this machine reaches (docs/sweep.md has SLURM, LSF and PBS).

A task runs in a child process of the Dask worker (`sim.sweep.process`), so that a crash, a limit of time and the number
of threads are the same matter as on one machine.
"""

from __future__ import annotations

import atexit
import math
import queue
import uuid
from collections import defaultdict
from pathlib import Path
from typing import Any

from sim.sweep.errors import SweepError
from sim.sweep.execute import Pool
from sim.sweep.process import WORK
from sim.sweep.store import LOST, Outcome, Task

__all__ = ["DaskExecutor"]

_CONNECT = 30.0  # seconds to wait for a scheduler

#: In a Dask worker: pools of one worker that have nothing to do, by their number of threads and what they do.
_idle: defaultdict[tuple[int, str], list[Pool]] = defaultdict(list)


def in_child(task: Task, threads: int, limit: float, work: str) -> Outcome:
    """In a thread of a Dask worker: one task in a child process, which is kept for the next."""
    try:
        pool = _idle[threads, work].pop()
    except IndexError:
        pool = Pool(1, threads, limit, work)
        atexit.register(pool.close)
    pool.limit = limit
    try:
        pool.submit(task)
        while not (outcomes := pool.wait(60.0)):
            pass
    except BaseException:
        pool.close()
        raise
    _idle[threads, work].append(pool)
    return outcomes[0]


class DaskExecutor:
    """The workers of a Dask scheduler.

    Parameters
    ----------
    address : str
        Of the scheduler, as ``tcp://host:8786``; or the path of its scheduler file.
    threads : int
        Of the kernels of each task; a Dask worker does as many tasks at a time as it has threads of its own.
    limit : float
        Seconds that a task may take.
    work : str
        What workers do, as ``module:function``.

    Raises
    ------
    SweepError
        Without the package distributed, or if there is no such scheduler.
    """

    def __init__(self, address: str, threads: int, limit: float = math.inf, work: str = WORK) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise SweepError(
                "--scheduler needs the package distributed, which is not installed: pip install 'dask[distributed]'"
            ) from None
        connect: Any = Client
        where = {"scheduler_file": address} if Path(address).is_file() else {"address": address}
        try:
            self._client = connect(**where, timeout=_CONNECT)
        except (OSError, TimeoutError, ValueError) as error:
            raise SweepError(f"--scheduler {address}: no Dask scheduler answers there ({error})") from None
        self._arguments = (threads, limit, work)
        self._futures: dict[str, Any] = {}
        self._ready: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    @property
    def capacity(self) -> int:
        """Twice the threads of all workers: none waits while the driver is at another's outcome."""
        return 2 * sum(self._client.nthreads().values())

    def submit(self, task: Task) -> None:
        # a name of its own: Dask would take an equal one for the same, also when it is tried again
        future = self._client.submit(
            in_child, task, *self._arguments, key=f"lns-{task.key[:16]}-{uuid.uuid4().hex[:8]}", pure=False
        )
        self._futures[task.key] = future
        future.add_done_callback(lambda done: self._ready.put((task.key, done)))

    def wait(self, timeout: float) -> list[Outcome]:
        found = []
        try:
            found.append(self._ready.get(timeout=timeout))
            while True:
                found.append(self._ready.get_nowait())
        except queue.Empty:
            pass
        return [self._outcome(key, future) for key, future in found]

    def _outcome(self, key: str, future: Any) -> Outcome:
        del self._futures[key]
        if future.status == "finished":
            return future.result()
        # Dask has tried it on several workers, each of which was lost
        error = future.exception() if future.status == "error" else future.status
        return Outcome(key, "failed", error=f"{LOST}: {type(error).__name__}: {error}")

    def close(self) -> None:
        self._client.cancel(list(self._futures.values()))
        self._client.close()
