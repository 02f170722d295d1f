"""Searches by Optuna: NSGA-II and the tree-structured Parzen estimator, of error and energy or of error alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sim.sweep.errors import SweepError
from sim.sweep.file import Sweep, allowed
from sim.sweep.points import Point, make_point
from sim.sweep.strategy import Batch, Batches, Score

__all__ = ["search"]

_ASKED = 100  # times as many trials may be asked for as are wanted, where conditions refuse the others


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise SweepError(
            "strategy.kind: nsga2 and tpe need the package optuna, which is not installed: pip install optuna"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def search(sweep: Sweep) -> Batches:
    """``count`` points, ``population`` at a time.

    A population is asked for at once and told in its order when all of it is done. So a search depends on its seed and
    on results alone, and one that was killed asks the same questions again.

    Points that are impossible or failed are told as such; a point that comes again costs nothing.
    """
    optuna, settings = _optuna(), sweep.strategy
    if settings.count > sweep.budget.points:
        raise SweepError(f"budget.points: must be at least strategy.count, {settings.count}, got {sweep.budget.points}")
    if settings.kind == "nsga2":
        sampler = optuna.samplers.NSGAIISampler(population_size=settings.population, seed=settings.seed)
    else:
        sampler = optuna.samplers.TPESampler(seed=settings.seed, n_startup_trials=settings.population)
    objectives = 2 if "cost" in sweep.metrics else 1
    study = optuna.create_study(directions=["minimize"] * objectives, sampler=sampler)
    space = {name: _distribution(optuna, values) for name, values in sweep.axes.items()}
    known: dict[str, Point] = {}  # by id; impossible ones by their variables
    scores: dict[int, Score] = {}
    asked = 0
    while len(known) < settings.count and asked < _ASKED * settings.count:
        trials: list[tuple[Any, int]] = []
        new: list[Point] = []
        while len(trials) < settings.population and asked < _ASKED * settings.count:
            trial, asked = study.ask(space), asked + 1
            variables = _variables(sweep, trial.params)
            if not allowed(sweep, variables):
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
                continue
            point = make_point(sweep, len(known), variables)
            name = point.id or repr(variables)
            if name not in known and len(known) < settings.count:
                known[name] = point
                new.append(point)
            if name in known:
                trials.append((trial, known[name].ordinal))
        if new:
            scores |= yield Batch(new)
        for trial, ordinal in trials:
            values = _values(scores.get(ordinal, Score()), objectives)
            if values is None:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(trial, values)


def _distribution(optuna: Any, values: tuple[Any, ...]) -> Any:
    """Of the index of a value where values are numbers in order, so that near ones are near; else of a choice."""
    distributions = optuna.distributions
    if all(type(value) in (int, float) for value in values) and list(values) == sorted(values):
        return distributions.IntDistribution(0, len(values) - 1)
    return distributions.CategoricalDistribution(list(range(len(values))))


def _variables(sweep: Sweep, indices: Mapping[str, int]) -> dict[str, Any]:
    return {name: values[indices[name]] for name, values in sweep.axes.items()}


def _values(score: Score, objectives: int) -> list[float] | None:
    if score.error is None or (objectives == 2 and score.energy is None):
        return None
    return [score.error, score.energy or 0.0][:objectives]
