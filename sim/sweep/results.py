"""The results of a sweep as reports use them, and as a table."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lns.design import Design
from lns.files import atomic_write
from sim.sweep.errors import SweepError
from sim.sweep.store import reading

__all__ = ["PointResult", "load_results", "rows", "write_csv", "write_parquet"]


@dataclass(frozen=True)
class PointResult:
    """What is known of one point.

    Attributes
    ----------
    sweep, ordinal, variables
        The sweep's name, and which of its points.
    design : Design, optional
        None of an impossible point.
    run : dict
        Fields of `sim.train.run.RunConfig`, learner and seed aside.
    status : str
        ``done``, ``partial`` (some tasks wait or run), ``waiting`` (all do), ``failed``, ``timeout``, ``impossible``,
        or ``stopped`` (successive halving went on without it).
    reason : str
        Why it is impossible or failed.
    accuracies, seeds : tuples
        Of the trainings that are done; after the most epochs that each has.
    error, error_spread : float, optional
        1 − mean accuracy; standard deviation over at least two seeds (n − 1).
    cost, verify : dict, optional
        The result of that task.
    curves : list
        For each seed a list of ``{"epoch", "test_accuracy", "train_loss"}``.
    events : dict
        Tensor kind -> event -> words, over all seeds.
    seconds : float
        Of all its finished tasks.
    """

    sweep: str
    ordinal: int
    variables: dict[str, Any]
    design: Design | None
    run: dict[str, Any]
    status: str
    reason: str = ""
    accuracies: tuple[float, ...] = ()
    error: float | None = None
    error_spread: float | None = None
    seeds: tuple[int, ...] = ()
    cost: dict[str, float] | None = None
    verify: dict[str, Any] | None = None
    curves: list[list[dict[str, Any]]] = field(default_factory=list)
    events: dict[str, dict[str, int]] = field(default_factory=dict)
    seconds: float = 0.0


def load_results(path: Path, sweep: str | None = None) -> list[PointResult]:
    """The points of one sweep of a store, or of all, in order.

    Raises
    ------
    SweepError
        If there is no store or no such sweep, or the store is damaged or of another version.
    """
    with reading(Path(path)) as db:
        names = {row["id"]: row["name"] for row in db.execute("SELECT id, name FROM sweep ORDER BY id")}
        if sweep is not None and sweep not in names.values():
            raise SweepError(f"store {path}: has no sweep {sweep!r}; it has {', '.join(names.values()) or 'none'}")
        return [
            point
            for number, name in names.items()
            if sweep in (None, name)
            for point in _of_sweep(db, number, name)
        ]


def _of_sweep(db: sqlite3.Connection, number: int, name: str) -> list[PointResult]:
    tasks: dict[str, list[sqlite3.Row]] = {}
    for row in db.execute(
        "SELECT point_task.point AS linked, kind, seed, epochs, status, result, error, seconds FROM point_task "
        "JOIN task ON task.key = point_task.key WHERE point_task.sweep = ? ORDER BY seed, epochs",
        (number,),
    ):
        tasks.setdefault(row["linked"], []).append(row)
    listed = db.execute(
        "SELECT ordinal, variables, sweep_point.point, reason, stopped_at, design, run FROM sweep_point "
        "LEFT JOIN point ON point.id = sweep_point.point WHERE sweep = ? ORDER BY ordinal",
        (number,),
    )
    return [_point(name, row, tasks.get(row["point"], [])) for row in listed]


def _point(sweep: str, row: sqlite3.Row, tasks: Sequence[sqlite3.Row]) -> PointResult:
    variables = json.loads(row["variables"])
    if row["point"] is None:
        return PointResult(sweep, row["ordinal"], variables, None, {}, "impossible", row["reason"] or "")
    results: dict[str, dict[Any, dict[str, Any]]] = {"train": {}, "cost": {}, "verify": {}}
    for task in tasks:  # those of more epochs come later and replace those of fewer
        if task["status"] == "done":
            results[task["kind"]][task["seed"]] = json.loads(task["result"])
    trained = results["train"]
    accuracies = tuple(result["test_accuracy"] for result in trained.values())
    events: dict[str, dict[str, int]] = {}
    for result in trained.values():
        for kind, counts in result["events"].items():
            total = events.setdefault(kind, {})
            for event, count in counts.items():
                total[event] = total.get(event, 0) + count
    status, reason = _status(row, tasks)
    return PointResult(
        sweep=sweep,
        ordinal=row["ordinal"],
        variables=variables,
        design=Design.from_toml(row["design"]),
        run=json.loads(row["run"]),
        status=status,
        reason=reason,
        accuracies=accuracies,
        error=1 - statistics.fmean(accuracies) if accuracies else None,
        error_spread=statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        seeds=tuple(trained),
        cost=results["cost"].get(None),
        verify=results["verify"].get(None),
        curves=[result["curve"] for result in trained.values()],
        events=events,
        seconds=sum(task["seconds"] or 0.0 for task in tasks),
    )


def _status(row: sqlite3.Row, tasks: Sequence[sqlite3.Row]) -> tuple[str, str]:
    """(status, reason) of a possible point."""
    found = {task["status"] for task in tasks}
    for bad in ("failed", "timeout"):
        if bad in found:
            errors = (f"{task['kind']}: {task['error']}" for task in tasks if task["status"] == bad)
            return bad, next(errors)
    if row["stopped_at"] is not None:
        return "stopped", f"stopped after {row['stopped_at']} epochs"
    if found and found <= {"done"}:
        return "done", ""
    return ("partial" if "done" in found else "waiting"), ""


# --- tables ------------------------------------------------------------------------------------------------------


def rows(points: Sequence[PointResult]) -> list[dict[str, Any]]:
    """One flat row a point, all with the same columns: variables as ``var.NAME``, costs as ``cost.NAME``, accuracies as
    ``accuracy.SEED``."""
    flat = []
    for point in points:
        row: dict[str, Any] = {
            "sweep": point.sweep, "ordinal": point.ordinal, "status": point.status, "reason": point.reason,
        }  # fmt: skip
        row |= {f"var.{name}": value for name, value in point.variables.items()}
        row |= {"error": point.error, "error_spread": point.error_spread, "seeds": len(point.seeds)}
        row |= {f"accuracy.{seed}": value for seed, value in zip(point.seeds, point.accuracies, strict=True)}
        row |= {f"cost.{name}": value for name, value in (point.cost or {}).items()}
        row |= {f"verify.{name}": value for name, value in (point.verify or {}).items()}
        row |= {"seconds": point.seconds}
        row |= {f"run.{name}": json.dumps(value) for name, value in point.run.items()}
        row["design"] = "" if point.design is None else point.design.to_toml()
        flat.append(row)
    columns = list(dict.fromkeys(name for row in flat for name in row))
    return [{name: row.get(name) for name in columns} for row in flat]


def write_csv(points: Sequence[PointResult], path: Path) -> None:
    """`rows` as CSV with a header; what is not known is empty."""
    table = rows(points)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(table[0]) if table else ["sweep"])
    writer.writeheader()
    writer.writerows(table)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())


def write_parquet(points: Sequence[PointResult], path: Path) -> None:
    """`rows` as Parquet; `SweepError` without the package pyarrow."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise SweepError("--parquet needs the package pyarrow, which is not installed: pip install pyarrow") from None
    table = rows(points)
    # a column of values of several types, such as of a variable that is 1 or "full", becomes text
    for name in table[0] if table else ():
        kinds = {type(row[name]) for row in table} - {type(None)}
        if len(kinds) > 1 and not kinds <= {int, float}:
            for row in table:
                row[name] = None if row[name] is None else str(row[name])
    with atomic_write(path) as file:
        pq.write_table(pa.Table.from_pylist(table), file)
