"""A store of a sweep for tests, its rows written in plain SQL: figures are made up, designs are real."""

from __future__ import annotations

import json
import math
import random
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import lns
from lns.design import DesignError
from sim.sweep.results import PointResult, load_results
from sim.sweep.store import Store

RUN = {"data": "digits", "hidden": [32], "epochs": 40, "batch": 32}


def tiny_rows() -> list[dict[str, Any]]:
    """Five points: two on the front of error and energy, one near it, one clearly dominated, one that failed."""
    accuracies = [(0.98, 0.982, 0.981), (0.95, 0.952, 0.951), (0.979, 0.9815, 0.9822), (0.90, 0.902, 0.901), None]
    energies = [4e-6, 1e-6, 4.2e-6, 3e-6, None]
    rows = []
    for n, (bits, several, energy) in enumerate(zip((8, 6, 9, 7, 5), accuracies, energies, strict=True)):
        design = lns.load("madam8").override({"formats.activation": f"lns<{bits},2>"})
        rows.append({"variables": {"bits": bits}, "design": design, "run": RUN, "accuracies": several})
        if several is None:
            rows[n] |= {"error": "ZeroDivisionError: planted"}
        else:
            rows[n]["cost"] = cost_of(energy, bits)
    return rows


HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1> <!-- & @DATA@ \u2028 '\"` ${1}"


def hostile_rows() -> list[dict[str, Any]]:
    """Every text that a user, a data set or an error may bring, as an attacker would write it."""
    rows = []
    for row in tiny_rows():
        row["variables"] = {HOSTILE: HOSTILE} | row["variables"]
        row["design"] = replace(row["design"], name=HOSTILE, description=HOSTILE)
        row["run"] = RUN | {"data": f"/data/{HOSTILE}"}
        if "error" in row:
            row["error"] = HOSTILE
        else:
            row["cost"] = row["cost"] | {"library": HOSTILE}
        rows.append(row)
    return [*rows, {"variables": {HOSTILE: 1}, "run": RUN, "reason": HOSTILE}]


def large_results(folder: Path) -> list[PointResult]:
    """Over three hundred points on digits in one sweep, and some on Fashion-MNIST in another."""
    fashion = [row | {"run": RUN | {"data": "fashion-mnist"}} for row in large_rows(bits=(6, 8))]
    return load_results(write_store(folder / "large.sqlite", {"digits-bits": large_rows(), "fashion": fashion}))


def cost_of(energy: float, bits: int) -> dict[str, Any]:
    return {
        "area_um2": 20000.0 * bits, "gate_equivalents": 800.0 * bits, "critical_path_s": 1e-9 * bits,
        "energy_step_j": energy, "energy_mac_j": energy / 1e5, "energy_update_j": energy / 1e4,
        "leakage_w": 1e-7 * bits, "library": "made up",
    }  # fmt: skip


def large_rows(seeds: int = 3, bits: Iterable[int] = range(4, 13)) -> list[dict[str, Any]]:
    """Over two hundred designs with figures that behave like real ones, and some that are impossible or failed."""
    rng, rows = random.Random(1), []
    for width in bits:
        for frac in range(6):
            for kind in ("linear", "log"):
                for table in ("full", "coarse<2>", "mitchell"):
                    rows.append(_large_row(rng, width, frac, kind, table, seeds))
    return rows


def _large_row(rng: random.Random, bits: int, frac: int, kind: str, table: str, seeds: int) -> dict[str, Any]:
    fmt = f"lns<{bits},{frac}>"
    values: dict[str, Any] = {f"formats.{name}": fmt for name in ("activation", "error", "gradient", "operand")}
    if kind == "log":
        values["accumulator"] = {"kind": "log", "lanes": 16, "format": f"lns<{bits + 4},{frac + 3}>", "table": table}
    else:
        values["accumulator.guard"] = bits + 4
    row: dict[str, Any] = {"variables": {"bits": bits, "frac": frac, "kind": kind, "table": table}, "run": RUN}
    try:
        if bits - frac < 3:
            raise DesignError(f"formats.activation: {fmt} has no room for 1.0 and its neighbours")
        row["design"] = lns.load("madam8").override(values)
    except DesignError as error:
        return row | {"reason": str(error)}
    error = 0.015 + 0.25 * 2.0 ** (-1.3 * frac) + 0.6 * 2.0 ** (-1.1 * (bits - frac))
    error += (0.02 if kind == "log" else 0) * {"full": 0.2, "coarse<2>": 0.3, "mitchell": 1}[table]
    energy = 2e-7 * (1 + 0.3 * bits + (2.0 ** (0.6 * frac) / 3 if table == "full" else 0.7 * (table == "coarse<2>")))
    energy *= rng.uniform(0.97, 1.03) * (1.25 if kind == "log" else 1)
    if rng.random() < 0.02:
        return row | {"error": "TimeoutError: no end after 600 s", "status": "timeout"}
    if rng.random() < 0.01:
        return row | {"error": "the worker died by signal 9"}
    noise = 0.001 + 0.06 * error
    row["accuracies"] = [1 - min(0.9, max(0.01, error + rng.gauss(0, noise))) for _ in range(seeds)]
    return row | {"cost": cost_of(energy, bits)}


def curve(accuracy: float, epochs: int) -> list[dict[str, float]]:
    """A learning curve that ends at an accuracy."""
    rows = []
    for epoch in range(1, epochs + 1):
        left = (0.9 - (1 - accuracy)) * math.exp(-6 * epoch / epochs) + 0.004 * math.sin(5 * epoch) * (epoch < epochs)
        test = accuracy if epoch == epochs else min(1.0, max(0.0, accuracy - left))
        rows.append({"epoch": epoch, "test_accuracy": test, "train_loss": 0.02 + 2 * math.exp(-4 * epoch / epochs)})
    return rows


def write_store(path: Path, sweeps: Mapping[str, list[dict[str, Any]]]) -> Path:
    """A store with some sweeps by name; each row of one has ``variables`` and ``run``, and a ``design`` with
    ``accuracies`` and ``cost``, or with an ``error``, or no design and the ``reason``."""
    Store(path).close()
    with closing(sqlite3.connect(path)) as db:
        for sweep, (name, rows) in enumerate(sweeps.items(), 1):
            _insert(db, "sweep", id=sweep, name=name, text="", started=1.0, finished=2.0)
            for n, row in enumerate(rows):
                _write_point(db, sweep, n, row)
        db.commit()
    return path


def _insert(db: sqlite3.Connection, table: str, **values: Any) -> None:
    marks = ", ".join("?" * len(values))
    db.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))


def _write_point(db: sqlite3.Connection, sweep: int, n: int, row: dict[str, Any]) -> None:
    point = f"p{sweep}-{n}" if row.get("design") is not None else None
    _insert(
        db, "sweep_point", sweep=sweep, ordinal=n, variables=json.dumps(row["variables"]), point=point,
        reason=row.get("reason"), stopped_at=row.get("stopped_at"),
    )  # fmt: skip
    if point is None:
        return
    _insert(db, "point", id=point, design=row["design"].to_toml(), run=json.dumps(row["run"]))
    epochs = row["run"]["epochs"]
    results: list[tuple[str, int | None, dict[str, Any] | None]] = [
        ("train", seed, _train_result(accuracy, epochs)) for seed, accuracy in enumerate(row.get("accuracies") or ())
    ] or [("train", 0, None)]
    results += [(kind, None, row[kind]) for kind in ("cost", "verify") if kind in row]
    for kind, seed, result in results:
        key = f"{point}-{kind}-{seed}"
        done = {"status": "done", "result": json.dumps(result)}
        outcome = done if result is not None else {"status": row.get("status", "failed"), "error": row["error"]}
        length = epochs if kind == "train" else None
        _insert(db, "task", key=key, point=point, kind=kind, seed=seed, epochs=length, seconds=2.5, **outcome)
        _insert(db, "point_task", sweep=sweep, point=point, key=key)


def _train_result(accuracy: float, epochs: int) -> dict[str, Any]:
    return {
        "test_accuracy": accuracy, "test_loss": 0.1, "train_loss": 0.05, "epochs": epochs,
        "curve": curve(accuracy, epochs), "events": {"activation": {"saturate": 513}, "weight": {"underflow": 2}},
    }  # fmt: skip
