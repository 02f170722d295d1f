"""What a task does, in a worker: a training, a price, a verification."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from lns.design import Design
from sim.cost.machine import design_cost
from sim.cost.settings import make_settings
from sim.cost.workload import Workload
from sim.sweep.errors import SweepError
from sim.sweep.key import arithmetic_version, data_digest
from sim.sweep.store import Task
from sim.train.loop import new_run, train
from sim.train.run import RunConfig, RunDirectory, RunError
from sim.verify.runner import Settings, verify_all
from sim.verify.units import instances

__all__ = [
    "config_of", "cost_result", "library_digest", "prepared", "train_result", "verify_result", "work",
]  # fmt: skip


def work(task: Task) -> dict[str, Any]:
    """The result of a task, as the store keeps it.

    Raises
    ------
    ValueError
        If it cannot be had; the message says why.
    """
    _check_expected(task)
    if task.kind == "train":
        return train_result(task)
    design = Design.from_toml(task.design)
    if task.kind == "cost":
        return cost_result(design, task.settings["cost"])
    return verify_result(design)


def _check_expected(task: Task) -> None:
    """`SweepError` on a worker that would compute something else under the same key: one with other code or data."""
    expected = task.settings["expected"]
    if expected["arithmetic"] != arithmetic_version(task.kind):
        raise SweepError(
            f"{platform.node()} has another version of the arithmetic than the driver: install the same lns-hardware "
            "and NumPy there"
        )
    data = json.loads(task.run)["data"]
    if "data" in expected and expected["data"] != data_digest(data):
        raise SweepError(f"{platform.node()} has other data under the name {data} than the driver")


# --- training ----------------------------------------------------------------------------------------------------


def train_result(task: Task) -> dict[str, Any]:
    """Accuracy, losses, learning curve and events after ``task.epochs`` epochs.

    The run's folder, under ``settings["runs"]``, serves to go on after a kill and from one rung of successive halving
    to the next. The driver removes it when the result is in the store.
    """
    config = config_of(task.run, task.seed or 0)
    until = task.epochs or config.epochs
    with _run_folder(task) as folder:
        run = _opened(folder, config, Design.from_toml(task.design))
        train(run, progress=False, until=until)
        rows = [row for row in run.metrics() if row["epoch"] <= until]
    last = rows[-1]
    return {
        "test_accuracy": last["test_accuracy"], "test_loss": last["test_loss"], "train_loss": last["train_loss"],
        "epochs": last["epoch"], "events": last["events"],
        "curve": [{name: row[name] for name in ("epoch", "test_accuracy", "train_loss")} for row in rows],
    }  # fmt: skip


def config_of(run: str, seed: int = 0) -> RunConfig:
    """The run configuration of a point, as the store keeps it, with a seed."""
    table: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in json.loads(run).items()
    }
    return RunConfig("chip", seed=seed, **table)


def _opened(folder: Path, config: RunConfig, design: Design) -> RunDirectory:
    """The run in a folder, begun or new; one that was killed while it was made, or is damaged, is begun again."""
    run = RunDirectory(folder)
    if (folder / "config.toml").is_file():
        try:
            run.config(), run.load()
            return run
        except RunError:
            pass
    shutil.rmtree(folder, ignore_errors=True)
    return new_run(folder, config, design)


@contextmanager
def _run_folder(task: Task) -> Iterator[Path]:
    """A folder that no other process trains in: the run's own, or a temporary one where another holds that.

    That is so when a driver was killed and its worker on a cluster is still at it: both compute the same bits.
    """
    runs, name = Path(task.settings["runs"]), task.settings["folder"]
    runs.mkdir(parents=True, exist_ok=True)
    lock = runs / f".{name}.lock"
    with open(lock, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            own = lock.exists() and os.stat(lock).st_ino == os.fstat(file.fileno()).st_ino  # and not just removed
        except OSError:
            own = False
        if own:
            yield runs / name
            return
    with tempfile.TemporaryDirectory(prefix="lns-sweep-") as temporary:
        yield Path(temporary) / name


# --- verification and price --------------------------------------------------------------------------------------


def verify_result(design: Design) -> dict[str, Any]:
    """Every unit of a design against its Verilog in Icarus: ``mismatches`` and ``transactions``.

    Raises
    ------
    SweepError
        If a bench failed otherwise than by a mismatch, which is a result.
    """
    reports = verify_all(instances(design), Settings())
    if failed := [report for report in reports if not report.passed and not report.mismatches]:
        first = failed[0]
        why = [*first.failures, *(f"not covered: {name}" for name in first.uncovered)]
        raise SweepError(f"{first.unit} {first.instance}: {'; '.join(why) or 'nothing was compared'}")
    return {
        "mismatches": sum(report.mismatches for report in reports),
        "transactions": sum(report.transactions for report in reports),
    }


def cost_result(design: Design, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Area, delay and energy of a design.

    Parameters
    ----------
    design : Design
    settings : mapping
        ``liberty``, ``clock``, ``delays`` as in `sim.sweep.file.CostSettings`; ``data``, ``hidden``, ``batch`` of the
        network.
    """
    workload = Workload(settings["data"], tuple(settings["hidden"]), settings["batch"])
    liberty = Path(settings["liberty"]) if settings["liberty"] else None
    made = make_settings(workload, liberty, settings["clock"] or None, annotated=settings["delays"], jobs=1)
    cost = design_cost(design, made)
    machine = cost.step.machine
    return {
        "area_um2": machine.area_um2, "gate_equivalents": machine.gate_equivalents,
        "critical_path_s": cost.critical_path, "energy_step_j": cost.step.total, "energy_mac_j": cost.mac,
        "energy_update_j": cost.update, "leakage_w": machine.leakage, "library": made.conditions.library.name,
    }  # fmt: skip


@cache
def library_digest(path: str) -> str:
    """SHA-256 of a cell library's file; of the default one's name.

    Raises
    ------
    SweepError
        If it cannot be read.
    """
    if not path:
        return "default"
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise SweepError(f"cost.liberty {path}: {error.strerror}") from None


def prepared(task: Task, runs: Path) -> Task:
    """A task as a worker gets it: with the folder of runs."""
    return dataclasses.replace(task, settings=task.settings | {"runs": str(runs.resolve())})
