"""Combinations of a sweep's variables turned into points: a design and a run configuration, or why there is none."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from lns.design import Design, DesignError
from sim.rtl.limits import check_roms
from sim.sweep.expression import fill
from sim.sweep.file import Sweep, run_fields, typed
from sim.sweep.key import arithmetic_version, canonical_design, data_digest, digest
from sim.sweep.store import Row, Task
from sim.sweep.work import library_digest
from sim.train.data import DataError
from sim.train.run import RunConfig, RunError

__all__ = ["Point", "make_point", "row_of", "tasks_of", "training"]

_NOT_TRAINED = ("core",)  # tables of a design that say how many units there are, and change no bit


@dataclass(frozen=True)
class Point:
    """One design and one run configuration.

    Attributes
    ----------
    ordinal, variables
        Which of the sweep's points, and the values of its variables.
    id : str
        Hash of design and run configuration: the same in every sweep.
    design : Design, optional
        None of an impossible point, which has a ``reason``.
    run : RunConfig
        Its seed is not used.
    """

    ordinal: int
    variables: Mapping[str, Any]
    run: RunConfig
    design: Design | None = None
    id: str = ""
    reason: str = ""

    @property
    def possible(self) -> bool:
        return self.design is not None

    @cached_property
    def canonical(self) -> Mapping[str, Any]:
        """What of its design can change a result."""
        assert self.design is not None
        return canonical_design(self.design)

    @cached_property
    def toml(self) -> str:
        """Its design."""
        assert self.design is not None
        return self.design.to_toml()

    @cached_property
    def run_json(self) -> str:
        """Its run configuration without learner and seed."""
        return json.dumps({name: getattr(self.run, name) for name in run_fields()})


def make_point(sweep: Sweep, ordinal: int, variables: Mapping[str, Any]) -> Point:
    """The point of one combination of variables.

    Raises
    ------
    SweepError
        If an expression has no value: the file is wrong, and not the point.
    """
    changes, run = _changes(sweep, variables)
    try:
        config = replace(sweep.run, **run)
        design = sweep.base.override(changes)
        if {"cost", "verify"} & set(sweep.metrics):
            check_roms(design)
        content = {"design": canonical_design(design), "run": run_table(config) | {"data": data_digest(config.data)}}
    except (DesignError, RunError, DataError) as error:
        return Point(ordinal, dict(variables), sweep.run, reason=str(error))
    point = digest(content)
    described = ", ".join(f"{name} = {value}" for name, value in variables.items())
    design = replace(design, name=f"{sweep.base.name}-{point[:8]}", description=f"sweep {sweep.name}: {described}")
    return Point(ordinal, dict(variables), config, design, point)


def _changes(sweep: Sweep, variables: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a combination sets in the design and in the run."""
    design: dict[str, Any] = {}
    run: dict[str, Any] = {}
    for setting in sweep.settings:
        if setting.condition is not None and not setting.condition.value(variables):
            continue
        value = fill(setting.value, variables, f"set.{setting.path}")
        if setting.path.startswith("run."):
            name = setting.path[4:]
            run[name] = typed(run_fields()[name], value, f"set.{setting.path}")
        else:
            design.pop(setting.path, None)  # the last setting of a field comes last
            design[setting.path] = value
    return design, run


def run_table(config: RunConfig) -> dict[str, Any]:
    """A run configuration without learner and seed, and without what changes no result."""
    return {name: getattr(config, name) for name in run_fields() if name != "checkpoint_every"}


def row_of(point: Point) -> Row:
    """How the store lists a point."""
    if point.design is None:
        return Row(point.ordinal, point.variables, reason=point.reason)
    return Row(point.ordinal, point.variables, point.id, point.toml, point.run_json)


def training(point: Point, seed: int, epochs: int | None = None) -> Task:
    """The training of a point from one seed, to the end or for so many epochs."""
    until = min(epochs or point.run.epochs, point.run.epochs)
    version, data = arithmetic_version("train"), data_digest(point.run.data)
    run = run_table(point.run)
    del run["data"]  # its digest says what it is, wherever it lies
    whole = {
        "kind": "train", "design": {name: value for name, value in point.canonical.items() if name not in _NOT_TRAINED},
        "run": run, "seed": seed, "data": data, "arithmetic": version,
    }  # fmt: skip
    expected = {"arithmetic": version, "data": data}
    # one folder for all that stop after fewer epochs: each goes on where the one before stopped
    settings = {"expected": expected, "folder": digest(whole)[:32], "last": until == point.run.epochs}
    return Task(digest(whole | {"epochs": until}), point.id, point.toml, point.run_json, "train", seed, until, settings)


def tasks_of(sweep: Sweep, point: Point, epochs: int | None = None) -> list[Task]:
    """What a sweep asks of a possible point: a training a seed, a price, a verification; the last not before the
    training is whole."""
    tasks = [training(point, seed, epochs) for seed in sweep.seeds] if "accuracy" in sweep.metrics else []
    for kind in ("cost", "verify"):
        if kind not in sweep.metrics or (kind == "verify" and epochs is not None and epochs < point.run.epochs):
            continue
        settings: dict[str, Any] = {"expected": {"arithmetic": arithmetic_version(kind)}}
        content = {"kind": kind, "design": point.canonical, "arithmetic": arithmetic_version(kind)}
        if kind == "cost":
            settings["cost"] = dataclasses.asdict(sweep.cost) | network_of(point.run)
            content["settings"] = settings["cost"] | {
                "liberty": library_digest(sweep.cost.liberty),
                "data": data_digest(point.run.data),
            }
        tasks.append(Task(digest(content), point.id, point.toml, point.run_json, kind, settings=settings))
    return tasks


def network_of(config: RunConfig) -> dict[str, Any]:
    """What of a run a price depends on: the network, its batch and the data that it sees."""
    return {"data": config.data, "hidden": list(config.hidden), "batch": config.batch}
