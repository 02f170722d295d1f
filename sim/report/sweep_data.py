"""What the page of a sweep holds: its points as plain data, and for each design the commands that repeat it."""

from __future__ import annotations

import math
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lns
from sim.sweep.pareto import METRICS, group_by_data, values_of, why_not_compared
from sim.sweep.store import reading
from sim.train.run import RunConfig

if TYPE_CHECKING:
    from sim.sweep.results import PointResult

#: Fields of the run that are left out where they have their default, in commands and headings alike.
_USUAL = {one.name: one.default for one in fields(RunConfig) if one.name.startswith("lr") or one.name == "validation"}

#: Options of ``lns train`` by the field of the run that they set.
_OPTIONS = {
    "data": "--data", "hidden": "--hidden", "epochs": "--epochs", "batch": "--batch", "lr": "--lr",
    "lr_milestones": "--lr-milestones", "lr_divisors": "--lr-divisors", "validation": "--validation",
}  # fmt: skip

#: What of a run determines the cost of a step.
_NETWORK = ("data", "hidden", "batch")

#: Digits of learning curves: more cannot be seen in a picture, and they are most of the page.
_CURVE_DIGITS = 4


def cost_settings(store: Path) -> dict[str, dict[str, Any]]:
    """The table ``[cost]`` of each sweep's file, by the sweep's name."""
    with reading(store) as db:
        return {row["name"]: tomllib.loads(row["text"]).get("cost", {}) for row in db.execute("SELECT * FROM sweep")}


def page_data(
    results: Sequence[PointResult], store: Path, costs: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """All that the page shows, for ``json.dumps``: no NaN, no infinity.

    Points are grouped by sweep and data set, as errors on different data are not compared. Figures are in SI units, the
    error a fraction. ``costs`` are `cost_settings`, for the commands that price a design.
    """
    metrics = [{"name": one.name, "label": one.label, "unit": one.unit, "short": one.short} for one in METRICS.values()]
    groups = []
    for (sweep, data), points in group_by_data(results).items():
        variables = list(dict.fromkeys(name for point in points for name in point.variables))
        groups.append(
            {
                "sweep": sweep,
                "data": data,
                "settings": _common_settings(points),
                "variables": variables,
                "points": [_point(point, variables, (costs or {}).get(sweep, {})) for point in points],
            }
        )
    return {"version": lns.__version__, "store": str(store), "metrics": metrics, "groups": groups}


def _common_settings(points: Sequence[PointResult]) -> dict[str, Any]:
    """The fields of the run that all points share."""
    runs = [point.run for point in points if point.run]
    shared = {k: v for k, v in runs[0].items() if all(run.get(k) == v for run in runs)} if runs else {}
    return {name: plain(value) for name, value in shared.items() if not _usual(name, value)}


def _usual(name: str, value: Any) -> bool:
    if name == "checkpoint_every":  # of safety, and of no result
        return True
    return name in _USUAL and _USUAL[name] == (tuple(value) if isinstance(value, list) else value)


def _point(point: PointResult, variables: Sequence[str], cost_of: Mapping[str, Any]) -> dict[str, Any]:
    error, standard_error = values_of(point, METRICS["error"])
    cost = {name: finite(values_of(point, one)[0]) for name, one in METRICS.items() if name != "error"}
    return {
        "n": point.ordinal,
        "variables": [plain(point.variables.get(name)) for name in variables],
        "status": point.status,
        "reason": point.reason or "",
        "left_out": why_not_compared(point),
        "accuracies": [finite(one) for one in point.accuracies],
        "seeds": list(point.seeds),
        "error": finite(error),
        "standard_error": finite(standard_error),
        "spread": finite(point.error_spread),
        "cost": cost,
        "library": plain((point.cost or {}).get("library")),
        "mismatches": (point.verify or {}).get("mismatches"),
        "events": plain(point.events or {}),
        "seconds": finite(point.seconds),
        "curves": [_curve(one) for one in point.curves],
        "design": None if point.design is None else point.design.to_toml(),
        "commands": None if point.design is None else commands(point, cost_of),
    }


def _curve(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Epochs, test errors and training losses of one seed."""
    return {
        "epoch": [row["epoch"] for row in rows],
        "error": [_short(1 - row["test_accuracy"]) for row in rows],
        "loss": [_short(row["train_loss"]) for row in rows],
    }


def _short(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.{_CURVE_DIGITS}g}")


def finite(value: float | None) -> float | None:
    """JSON has no NaN and no infinity."""
    return None if value is None or not math.isfinite(value) else float(value)


def plain(value: Any) -> Any:
    """A value of a store as what JSON has: no NaN, no infinity."""
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return finite(value)
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def commands(point: PointResult, cost: Mapping[str, Any]) -> dict[str, str]:
    """Shell lines by purpose that repeat a point from its design file ``point-N.toml``.

    Training has one line a seed of the sweep, with every option in which the point's run is not the usual one. Pricing
    is of a step of the same network, with the sweep's table ``[cost]``.
    """
    name = f"point-{point.ordinal}"
    file = f"{name}.toml"
    run = {field: value for field, value in point.run.items() if field in _OPTIONS and not _usual(field, value)}
    options = [f"{_OPTIONS[field]}={_option(field, value)}" for field, value in run.items()]
    pricing = [f"{_OPTIONS[field]}={_option(field, run[field])}" for field in _NETWORK if field in run]
    pricing += [f"--liberty={cost['liberty']}"] if cost.get("liberty") else []
    pricing += [f"--clock={1e9 * cost['clock']:.12g}ns"] if cost.get("clock") else []
    pricing += ["--no-delays"] if cost.get("delays") is False else []
    train = [
        shlex.join(["lns", "train", file, *options, f"--seed={seed}", f"--out=runs/{name}-seed{seed}"])
        for seed in point.seeds or (0,)
    ]
    return {
        "train": "\n".join(train),
        "build": f"lns rtl {file} --out {name}-rtl",
        "verify": f"lns verify {file}",
        "price": shlex.join(["lns", "cost", file, *pricing]),
    }


def _option(field: str, value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(str(one) for one in value) or ("0" if field == "hidden" else "")
    return str(value)
