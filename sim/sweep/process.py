"""A worker: a child process that does one task after another, and that may die or be killed at any moment.

It is a process of its own, not one of `multiprocessing`'s, so that it has its own environment: Numba and BLAS read the
number of their threads when they are imported. When its parent is gone, so is it at once, with all that it started.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import math
import os
import platform
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from importlib import metadata
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sim.sweep.store import LOST, Outcome, Task

__all__ = ["WORK", "Work", "Worker", "attempt", "kill_tree", "resolve", "versions"]

Work = Callable[[Task], dict[str, Any]]

WORK = "sim.sweep.work:work"  #: what workers do, as module:function

_THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_STARTING = 120.0  # seconds that the interpreter and its imports may take on top of a task's limit

_LAST_WORDS = 4000  # bytes of a dead worker's output that are kept


def resolve(work: str) -> Work:
    """The function of a name ``module:function``."""
    module, _, function = work.partition(":")
    return getattr(importlib.import_module(module), function)


def attempt(work: Work, task: Task) -> Outcome:
    """Do a task; whatever it raises is its outcome."""
    started = time.time()
    result, error, trace = None, "", ""
    try:
        result = work(task)
        json.dumps(result)
    except KeyboardInterrupt:
        raise
    except BaseException as exception:
        result, trace = None, traceback.format_exc()
        error = str(exception) if isinstance(exception, ValueError) else f"{type(exception).__name__}: {exception}"
    status = "failed" if result is None else "done"
    return Outcome(
        task.key, status, result, error, trace, platform.node(), os.getpid(), versions(), started, time.time()
    )


@cache
def versions() -> str:
    """What a result is computed with, as JSON."""
    packages = {name: metadata.version(name) for name in ("lns-hardware", "numpy", "numba")}
    return json.dumps({"python": platform.python_version()} | packages)


def kill_tree(pid: int) -> None:
    """SIGKILL to a process and to all that it and its children started."""
    children = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            children[int(stat.read_text().rpartition(")")[2].split()[1])].append(int(stat.parent.name))
    found = [pid]
    for one in found:  # which grows
        found += children[one]
    for one in reversed(found):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(one, signal.SIGKILL)


class Worker:
    """The parent's side of a worker.

    Parameters
    ----------
    work : str
        What it does, as ``module:function``.
    threads : int
        Of its kernels.
    """

    def __init__(self, work: str, threads: int) -> None:
        ours, theirs = socket.socketpair()
        environment = os.environ | dict.fromkeys(_THREADS, str(threads))
        environment["PYTHONPATH"] = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sim.sweep.process", str(theirs.fileno()), work],
                env=environment, pass_fds=[theirs.fileno()], start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.connection = Connection(ours.detach())
        self.pid = self._process.pid
        self.task: Task | None = None
        self.deadline = math.inf  #: of `time.monotonic`
        self._limit = math.inf
        self._started = 0.0

    def start(self, task: Task, limit: float) -> None:
        """Begin a task, which may take ``limit`` seconds. A worker that is dead shows in `receive`."""
        self.task, self._limit, self._started = task, limit, time.time()
        self.deadline = time.monotonic() + _STARTING + limit
        with contextlib.suppress(OSError):
            self.connection.send(task)

    def receive(self) -> Outcome | None:
        """What the worker sent when its connection is ready: the outcome of its task, or None when it has begun.

        A worker that died gives an outcome that is ``lost``.
        """
        assert self.task is not None
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            return self._lost()
        if message is None:
            self.deadline = time.monotonic() + self._limit
            return None
        self.task, self.deadline = None, math.inf
        return message

    def _lost(self) -> Outcome:
        assert self.task is not None
        self.kill()
        code = self._process.returncode
        why = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        self._output.seek(max(0, self._output.seek(0, os.SEEK_END) - _LAST_WORDS))
        words = self._output.read().decode("utf-8", "replace")
        return self._ended("lost", f"{LOST} {why}", words)

    def overdue(self) -> Outcome:
        """Kill it: its task has taken longer than it may."""
        self.kill()
        return self._ended("timeout", f"took longer than {self._limit:g} s")

    def _ended(self, status: str, error: str, words: str = "") -> Outcome:
        assert self.task is not None
        key = self.task.key
        return Outcome(key, status, None, error, words, platform.node(), self.pid, "", self._started, time.time())

    def kill(self) -> None:
        """End it with all that it started; it may be dead already."""
        if self._process.poll() is None:
            kill_tree(self.pid)
        self._process.wait()
        self.connection.close()

    def close(self) -> None:
        self.kill()
        self._output.close()


# --- the child's side --------------------------------------------------------------------------------------------


def _receive(connection: Connection, inbox: queue.SimpleQueue[Task]) -> None:
    """Passes on tasks until the parent is gone."""
    try:
        while True:
            inbox.put(connection.recv())
    except (EOFError, OSError):
        kill_tree(os.getpid())


def main() -> None:
    faulthandler.enable()  # a crash says where
    connection = Connection(int(sys.argv[1]))
    inbox: queue.SimpleQueue[Task] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, inbox), daemon=True).start()
    work = resolve(sys.argv[2])
    versions()  # like the imports, not on the time of the first task
    while True:
        task = inbox.get()
        connection.send(None)
        connection.send(attempt(work, task))


if __name__ == "__main__":
    main()
