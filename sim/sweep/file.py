"""The sweep file: a base design, variables, what they set, and how to go through their combinations."""

from __future__ import annotations

import dataclasses
import itertools
import math
import tomllib
import types
import typing
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from lns.design import Design, exact_decimal, load, preset_names
from sim.sweep.errors import SweepError
from sim.sweep.expression import FUNCTIONS, Expression, names_in, unknown
from sim.train.run import RunConfig, RunError

__all__ = ["METRICS", "STRATEGIES", "Budget", "CostSettings", "Setting", "StrategySettings", "Sweep", "load_sweep"]

METRICS = ("accuracy", "cost", "verify")

STRATEGIES = ("grid", "random", "halving", "nsga2", "tpe")

_NOT_OF_A_RUN = {"learner", "seed"}  # the design is the learner, [seeds] has its own key


@dataclass(frozen=True, slots=True)
class Budget:
    """``points`` at most; ``hours`` of this command, after which nothing new is begun; ``point_seconds`` that one task
    (a training, a price, a verification) may take. 0: no limit."""

    points: int = 10_000
    hours: float = 0.0
    point_seconds: float = 0.0

    def __post_init__(self) -> None:
        _require(self.points >= 1, "budget.points", "must be at least 1", self.points)
        for name in ("hours", "point_seconds"):
            value = getattr(self, name)
            _require(math.isfinite(value) and value >= 0, f"budget.{name}", "must be at least 0", value)


@dataclass(frozen=True, slots=True)
class StrategySettings:
    """Which combinations are tried (`sim.sweep.strategy`): ``count`` of random, nsga2 and tpe, in steps of
    ``population``; ``factor`` and ``first_epochs`` of halving."""

    kind: str = "grid"
    count: int = 100
    seed: int = 0
    factor: int = 3
    first_epochs: int = 1
    population: int = 20

    def __post_init__(self) -> None:
        _require(self.kind in STRATEGIES, "strategy.kind", f"must be one of {', '.join(STRATEGIES)}", repr(self.kind))
        _require(self.count >= 1, "strategy.count", "must be at least 1", self.count)
        _require(0 <= self.seed < 1 << 32, "strategy.seed", "must be from 0 to 2**32 - 1", self.seed)
        _require(self.factor >= 2, "strategy.factor", "must be at least 2", self.factor)
        _require(self.first_epochs >= 1, "strategy.first_epochs", "must be at least 1", self.first_epochs)
        _require(self.population >= 2, "strategy.population", "must be at least 2", self.population)


#: The settings that each strategy has, its kind aside.
_OF_STRATEGY = {
    "grid": set(),
    "random": {"count", "seed"},
    "halving": {"factor", "first_epochs"},
    "nsga2": {"count", "seed", "population"},
    "tpe": {"count", "seed", "population"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CostSettings:
    """What prices are for: ``liberty``, a cell library ("" is the default one); ``clock`` period, seconds (0: the
    default); ``delays``: whether gates have them in the simulation, which sees glitches then, and takes a minute a
    design more. The network is that of the run."""

    liberty: str = ""
    clock: float = 0.0
    delays: bool = True

    def __post_init__(self) -> None:
        _require(math.isfinite(self.clock) and self.clock >= 0, "cost.clock", "must be at least 0 seconds", self.clock)


@dataclass(frozen=True, slots=True)
class Setting:
    """A field, as ``formats.activation`` or ``run.epochs``, and its value with holes for expressions; for points for
    which ``condition`` is true."""

    path: str
    value: Any
    condition: Expression | None = None


@dataclass(frozen=True)
class Sweep:
    """A sweep file that has been checked; ``text`` is the file."""

    name: str
    base: Design
    run: RunConfig
    axes: Mapping[str, tuple[Any, ...]]
    settings: tuple[Setting, ...] = ()
    where: tuple[Expression, ...] = ()
    seeds: tuple[int, ...] = (0,)
    metrics: tuple[str, ...] = ("accuracy",)
    cost: CostSettings = field(default_factory=CostSettings)
    budget: Budget = field(default_factory=Budget)
    strategy: StrategySettings = field(default_factory=StrategySettings)
    text: str = ""

    @property
    def size(self) -> int:
        """Combinations of the variables, conditions aside."""
        return math.prod(len(values) for values in self.axes.values())


def _require(condition: bool, where: str, required: str, given: object) -> None:
    if not condition:
        raise SweepError(f"{where}: {required}, got {given}")


def _check_keys(table: Any, known: Collection[str], where: str) -> dict[str, Any]:
    _require(isinstance(table, Mapping), where or "sweep", "must be a table", repr(table))
    for name in table:
        if name not in known:
            raise SweepError(f"{where}{'.' if where else ''}{name}: unknown key{unknown(name, known)}")
    return dict(table)


def typed(kind: Any, value: Any, where: str) -> Any:
    """A value out of TOML as a field of a dataclass holds it: int, float, str, or a tuple of these."""
    if isinstance(kind, types.GenericAlias):
        _require(isinstance(value, (list, tuple)), where, "must be a list", repr(value))
        return tuple(typed(typing.get_args(kind)[0], item, where) for item in value)
    if kind is float and type(value) is int:
        value = float(value)
    names = {int: "an integer", float: "a number", str: "text"}
    _require(type(value) is kind, where, f"must be {names[kind]}", repr(value))
    return value


def _record(cls: Any, table: Any, where: str, known: Collection[str] | None = None) -> Any:
    """A dataclass out of a table."""
    hints = typing.get_type_hints(cls)
    given = _check_keys(table, hints if known is None else known, where)
    return cls(**{name: typed(hints[name], value, f"{where}.{name}") for name, value in given.items()})


@cache
def run_fields() -> dict[str, Any]:
    """The fields of a run that a sweep may set, with their types."""
    hints = typing.get_type_hints(RunConfig)
    return {spec.name: hints[spec.name] for spec in dataclasses.fields(RunConfig) if spec.name not in _NOT_OF_A_RUN}


def _run(table: Any, folder: Path) -> RunConfig:
    given = _check_keys(table, run_fields(), "run")
    _require("data" in given, "run.data", "required", "nothing")
    values = {name: typed(run_fields()[name], value, f"run.{name}") for name, value in given.items()}
    if (folder / values["data"]).is_dir():  # workers may have another folder as their own
        values["data"] = str((folder / values["data"]).resolve())
    try:
        return RunConfig("chip", **values)
    except RunError as error:
        raise SweepError(f"run.{error}") from None


def _axis(name: str, value: Any) -> tuple[Any, ...]:
    """The values of a variable: a list, or ``{range = [first, last], step = 1}`` with both ends."""
    where = f"axes.{name}"
    if not name.isidentifier() or name in FUNCTIONS or name in {"True", "False", "None", "and", "or", "not", "in"}:
        raise SweepError(f"{where}: a variable is named by letters, digits and _, and not as a function")
    if isinstance(value, Mapping):
        given = _check_keys(value, ("range", "step"), where)
        ends, step = given.get("range", []), given.get("step", 1)
        numbers = isinstance(ends, list) and len(ends) == 2 and all(type(n) in (int, float) for n in [*ends, step])
        _require(numbers and step > 0, where, "must be {range = [first, last], step = above 0}", value)
        first, last, by = (Fraction(n) if type(n) is int else exact_decimal(n) for n in [*ends, step])
        count = int((last - first) / by) + 1 if last >= first else 0
        _require(0 < count <= 100_000, where, "must have from 1 to 100000 values", count)
        whole = all(type(n) is int for n in [*ends, step])
        return tuple(int(first + i * by) if whole else float(first + i * by) for i in range(count))
    some = isinstance(value, list) and bool(value)
    _require(some, where, "must be a list with a value at least, or a range", repr(value))
    for item in value:
        _require(type(item) in (int, float, str, bool), where, "values must be numbers, texts or booleans", repr(item))
    _require(len({(type(v), v) for v in value}) == len(value), where, "values must differ", value)
    return tuple(value)


def _axes(table: Any) -> dict[str, tuple[Any, ...]]:
    _require(isinstance(table, Mapping) and bool(table), "axes", "must be a table of variables", repr(table))
    return {variable: _axis(variable, value) for variable, value in table.items()}


def _check_use(axes: Collection[str], settings: Collection[Setting]) -> None:
    """`SweepError` for a variable that changes nothing: its points would be the same."""
    used = [names_in(setting.value, axes, setting.path) for setting in settings]
    used += [setting.condition.names for setting in settings if setting.condition is not None]
    if idle := set(axes) - set().union(*used):
        raise SweepError(f"axes.{sorted(idle)[0]}: nothing in [set] or [[when]] depends on it")


def _strategy(table: Any) -> StrategySettings:
    given = _check_keys(table, typing.get_type_hints(StrategySettings), "strategy")
    own = _OF_STRATEGY.get(given.get("kind", "grid"), set(given))  # an unknown kind is refused as such
    return typing.cast(StrategySettings, _record(StrategySettings, given, "strategy", {"kind", *own}))


def _flat(table: Mapping[str, Any], where: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Fields by dotted name. A table with a ``kind`` is a value as a whole: it is another accumulator."""
    for name, value in table.items():
        if isinstance(value, Mapping) and "kind" not in value:
            yield from _flat(value, where, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _settings(data: Mapping[str, Any], variables: Collection[str]) -> Iterator[Setting]:
    """Those of ``[set]``, then those of each ``[[when]]`` in order."""
    sections: list[tuple[Expression | None, Any, str]] = [(None, data.get("set", {}), "set")]
    whens = data.get("when", [])
    _require(isinstance(whens, list), "when", "must be written [[when]]", repr(whens))
    for number, when in enumerate(whens, 1):
        where = f"when {number}"
        given = _check_keys(when, ("if", "set"), where)
        for name in ("if", "set"):
            _require(name in given, f"{where}.{name}", "required", "nothing")
        sections.append((Expression.parse(given["if"], variables, f"{where}.if"), given["set"], f"{where}.set"))
    for condition, table, where in sections:
        _require(isinstance(table, Mapping), where, "must be a table", repr(table))
        for path, value in _flat(table, where):
            names_in(value, variables, f"{where}.{path}")
            if path.startswith("run.") and path[4:] not in run_fields():
                raise SweepError(f"{where}.{path}: a run has no such field{unknown(path[4:], run_fields())}")
            yield Setting(path, value, condition)


def _names(value: Any, where: str, known: Collection[str]) -> tuple[str, ...]:
    _require(isinstance(value, list) and bool(value), where, "must be a list with one at least", repr(value))
    for name in value:
        _require(name in known, where, f"each must be one of {', '.join(known)}", repr(name))
    return tuple(dict.fromkeys(value))


_KEYS = (
    "name", "base", "run", "axes", "set", "when", "where", "seeds", "metrics", "cost", "budget", "strategy",
)  # fmt: skip


def parse_sweep(text: str, folder: Path) -> Sweep:
    """A sweep from the text of its file; `folder` is where its base design, data and library are looked for."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SweepError(f"not a TOML file: {error}") from None
    _check_keys(data, _KEYS, "")
    for name in ("name", "base", "run", "axes"):
        _require(name in data, name, "required", "nothing")
    name = typed(str, data["name"], "name")
    simple = bool(name) and all(c.isalnum() or c in "-_." for c in name)
    _require(simple, "name", "must be of letters, digits and -_.", repr(name))
    base = typed(str, data["base"], "base")
    axes = _axes(data["axes"])
    settings = tuple(_settings(data, axes))
    wheres = data.get("where", [])
    _require(isinstance(wheres, list), "where", "must be a list of expressions", repr(wheres))
    where = tuple(Expression.parse(item, axes, "where") for item in wheres)
    _check_use(axes, settings)
    seeds = typed(tuple[int, ...], data.get("seeds", [0]), "seeds")
    distinct = len(seeds) > 0 and len(set(seeds)) == len(seeds) and all(0 <= seed < 1 << 32 for seed in seeds)
    _require(distinct, "seeds", "must be different integers from 0 to 2**32 - 1", seeds)
    metrics = _names(data.get("metrics", ["accuracy"]), "metrics", METRICS)
    strategy = _strategy(data.get("strategy", {}))
    if "accuracy" not in metrics and strategy.kind not in ("grid", "random"):
        raise SweepError(f"metrics: {strategy.kind} chooses by accuracy: it must be one of them, got {metrics}")
    cost = _record(CostSettings, data.get("cost", {}), "cost")
    if cost.liberty:
        cost = dataclasses.replace(cost, liberty=str((folder / cost.liberty).resolve()))
    return Sweep(
        name, load(base if base in preset_names() else folder / base), _run(data["run"], folder), axes, settings, where,
        seeds, metrics, cost, _record(Budget, data.get("budget", {}), "budget"), strategy, text,
    )  # fmt: skip


def load_sweep(path: Path) -> Sweep:
    """A sweep file.

    Raises
    ------
    SweepError, DesignError
        If it cannot be read, or something in it is unknown or impossible; the message names the key.
    """
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise SweepError(f"{path}: {error}") from None
    try:
        return parse_sweep(text, path.parent)
    except SweepError as error:
        raise SweepError(f"{path}: {error}") from None


def combinations(sweep: Sweep) -> Iterator[dict[str, Any]]:
    """All of the grid, the last variable fastest, those that a condition excludes left out."""
    for values in itertools.product(*sweep.axes.values()):
        variables = dict(zip(sweep.axes, values, strict=True))
        if allowed(sweep, variables):
            yield variables


def allowed(sweep: Sweep, variables: Mapping[str, Any]) -> bool:
    """Whether every condition of ``where`` is true."""
    return all(condition.value(variables) for condition in sweep.where)
