"""What workers do in tests of sweeps, in place of training: results of no meaning, made from the task."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from lns.design import Design
from sim.sweep.key import canonical_design, digest
from sim.sweep.store import Task

CRASH, HANG, WRONG, EXIT = 101, 102, 103, 104  # seeds of trainings that do so


def echo(task: Task) -> dict[str, Any]:
    """At once; by its seed a task may crash, hang, or fail."""
    if task.seed == CRASH:
        print("these were its last words", flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    if task.seed == HANG:
        time.sleep(3600)
    if task.seed == WRONG:
        raise ZeroDivisionError("planted")
    if task.seed == EXIT:
        os._exit(3)
    return result(task)


def nap(task: Task) -> dict[str, Any]:
    """After some hundredths of a second."""
    time.sleep(0.02 + int(task.key[:2], 16) / 5000)
    return result(task)


def threads(task: Task) -> dict[str, Any]:
    """What a worker sees of its environment."""
    return result(task) | {"threads": os.environ["NUMBA_NUM_THREADS"], "pid": os.getpid()}


def result(task: Task) -> dict[str, Any]:
    """Of nothing but what is asked for: the design, and of a training also run, seed and epochs."""
    content = canonical_design(Design.from_toml(task.design))
    if task.kind == "cost":
        return {"energy_step_j": int(digest(content)[:6], 16) * 1e-12, "area_um2": 1.0}
    if task.kind == "verify":
        return {"mismatches": 0, "transactions": 10}
    accuracy = int(digest([content, task.run, task.seed, task.epochs])[:4], 16) / 65536
    epochs = task.epochs or 0
    curve = [{"epoch": n + 1, "test_accuracy": accuracy, "train_loss": 0.1} for n in range(epochs)]
    return {
        "test_accuracy": accuracy, "test_loss": 0.1, "train_loss": 0.1, "epochs": epochs, "curve": curve,
        "events": {"weight": {"clip": 1}},
    }  # fmt: skip
