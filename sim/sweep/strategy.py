"""Which points are tried, in which order and for how long.

A strategy is a generator of batches. The driver does all of a batch, then sends what came out; so what a strategy
chooses depends on results alone, and not on how many workers there were or which was the first to finish: a sweep that
was killed makes the same choices again, and finds their results in the store.
"""

from __future__ import annotations

import math
import random
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sim.sweep.errors import SweepError
from sim.sweep.file import Sweep, allowed, combinations
from sim.sweep.points import Point, make_point

__all__ = ["Batch", "Score", "batches", "full_trainings", "rungs"]


@dataclass(frozen=True)
class Batch:
    """Points to try for a number of epochs (None: all), and those of before that go no further (ordinal -> epochs)."""

    points: Sequence[Point]
    epochs: int | None = None
    stopped: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """What came out of a point; None where something failed or was not asked for."""

    error: float | None = None
    energy: float | None = None


_PATIENCE = 100_000  # draws in a row without a combination that is new and allowed

Batches = Generator[Batch, Mapping[int, Score], None]  # scores by ordinal


def batches(sweep: Sweep) -> Batches:
    """The batches of the sweep's strategy."""
    kind = sweep.strategy.kind
    if kind in ("nsga2", "tpe"):
        from sim.sweep.search import search

        return search(sweep)
    if kind == "halving":
        return _halving(sweep, _distinct(sweep, _grid(sweep)))
    return _at_once(_distinct(sweep, _grid(sweep) if kind == "grid" else _random(sweep)))


def _grid(sweep: Sweep) -> Iterator[dict[str, Any]]:
    most = sweep.budget.points
    for number, variables in enumerate(combinations(sweep)):
        if number >= most:
            raise SweepError(
                f"budget.points: the grid has more than the {most} points that are allowed (at most {sweep.size:,}): "
                "allow more, or take another strategy than the whole grid"
            )
        yield variables


def combination(sweep: Sweep, index: int) -> dict[str, Any]:
    """One of the grid, by its number in the order of `combinations` without conditions."""
    values = {}
    for name, choices in reversed(list(sweep.axes.items())):
        index, choice = divmod(index, len(choices))
        values[name] = choices[choice]
    return {name: values[name] for name in sweep.axes}


def _random(sweep: Sweep) -> Iterator[dict[str, Any]]:
    """Combinations drawn without replacement, without an end of its own but the grid's, or that of patience with
    conditions that hardly any of them meets."""
    generator = random.Random(sweep.strategy.seed)
    drawn: set[int] = set()
    misses = 0
    while len(drawn) < sweep.size and misses < _PATIENCE:
        index, misses = generator.randrange(sweep.size), misses + 1
        if index not in drawn:
            drawn.add(index)
            if allowed(sweep, variables := combination(sweep, index)):
                misses = 0
                yield variables


def _distinct(sweep: Sweep, found: Iterator[dict[str, Any]]) -> list[Point]:
    """Points of combinations, without those that are the same design and run as an earlier one; as many possible ones
    as the strategy counts."""
    count = min(sweep.strategy.count, sweep.budget.points) if sweep.strategy.kind == "random" else math.inf
    points: list[Point] = []
    seen: set[str] = set()
    for variables in found:
        point = make_point(sweep, len(points), variables)
        if point.possible and point.id in seen:
            continue
        points.append(point)
        if point.possible:
            seen.add(point.id)
        if len(seen) >= count:
            break
    return points


def _at_once(points: Sequence[Point]) -> Batches:
    yield Batch(points)


# --- successive halving --------------------------------------------------------------------------------------------


def rungs(sweep: Sweep, epochs: int) -> list[int]:
    """Epochs after which the poorer designs stop, and the last: first·factor**i below a run's own number, then that."""
    steps, next_step = [], sweep.strategy.first_epochs
    while next_step < epochs:
        steps.append(next_step)
        next_step *= sweep.strategy.factor
    return [*steps, epochs]


def _halving(sweep: Sweep, points: Sequence[Point]) -> Batches:
    """All points for a few epochs, the best part of them for ``factor`` times as many, and so on (Jamieson and
    Talwalkar 2016). Better is nearer to the front of error and energy where prices are asked for, else by error."""
    lengths = {point.run.epochs for point in points if point.possible}
    if len(lengths) > 1:
        raise SweepError(f"strategy: halving needs the same run.epochs at all points, got {sorted(lengths)}")
    alive = list(points)
    stopped: dict[int, int] = {}
    for epochs in rungs(sweep, max(lengths, default=1)):
        scores = yield Batch(alive, epochs, stopped)
        scored = [point for point in alive if scores.get(point.ordinal, Score()).error is not None]
        order = ranked({point.ordinal: scores[point.ordinal] for point in scored})
        keep = set(order[: max(1, len(order) // sweep.strategy.factor)])
        stopped = {ordinal: epochs for ordinal in order if ordinal not in keep}
        alive = [point for point in scored if point.ordinal in keep]


def ranked(scores: Mapping[int, Score]) -> list[int]:
    """Ordinals from best to poorest: by error where there is no energy; else front by front of (error, energy), within
    one its ends first and then those with most room around them (the crowding distance of NSGA-II, Deb et al. 2002)."""
    left = sorted(scores, key=lambda ordinal: (scores[ordinal].error, _energy(scores[ordinal]), ordinal))
    if all(score.energy is None for score in scores.values()):
        return left
    order: list[int] = []
    while left:
        best, front = math.inf, list[int]()
        for ordinal in left:  # by error: on the front is what takes less energy than all before
            if (energy := _energy(scores[ordinal])) < best or not front:
                front.append(ordinal)
                best = energy
        order += _by_room([scores[ordinal] for ordinal in front], front)
        left = [ordinal for ordinal in left if ordinal not in set(front)]
    return order


def _by_room(scores: Sequence[Score], ordinals: Sequence[int]) -> list[int]:
    """The ordinals of a front, which are by error, by the crowding distances of their scores."""
    values = [(score.error or 0.0, _energy(score)) for score in scores]
    room = [math.inf] * len(values)
    for i in range(1, len(values) - 1):
        room[i] = sum(
            abs(after - before) / (abs(last - first) or 1.0)
            for before, after, first, last in zip(values[i - 1], values[i + 1], values[0], values[-1], strict=True)
        )
    return [ordinals[i] for i in sorted(range(len(room)), key=lambda i: -room[i])]


def _energy(score: Score) -> float:
    return math.inf if score.energy is None else score.energy


def full_trainings(sweep: Sweep, possible: int, epochs: int) -> float:
    """How many whole trainings the trainings of so many possible points together amount to, a seed."""
    if sweep.strategy.kind != "halving":
        return float(possible)
    total, alive, before = 0.0, possible, 0
    for step in rungs(sweep, epochs):
        total += alive * (step - before) / epochs
        alive, before = max(1, alive // sweep.strategy.factor), step
    return total
