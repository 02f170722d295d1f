"""Which points strategies try: random, successive halving, searches; and that workers and kills do not matter."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lns
from sim.sweep.driver import run_sweep, runs_folder
from sim.sweep.errors import SweepError
from sim.sweep.execute import Pool, Serial
from sim.sweep.file import combinations, parse_sweep
from sim.sweep.results import load_results
from sim.sweep.store import Store, reading
from sim.sweep.strategy import Score, batches, combination, full_trainings, ranked, rungs
from sim.train.loop import new_run, train
from sim.train.run import RunConfig

TEXT = """
name = "tiny"
base = "madam8"
where = ["frac != 4"]
[run]
data = "digits"
hidden = [4]
epochs = 9
batch = 256
[axes]
frac = { range = [1, 6] }
lr = [0.01, 0.02, 0.03]
[set]
formats.activation = "lns<8,{frac}>"
run.lr = "{lr}"
"""


def tiny(strategy: str, metrics: str = '["accuracy"]', text: str = TEXT):
    return parse_sweep(f"metrics = {metrics}\n{text}\n[strategy]\n{strategy}\n", Path())


def outcome(sweep, path: Path, executor=None):
    """Its results with `sweep_work.echo`, without what no two runs share."""
    with Store(path) as store:
        status = run_sweep(sweep, store, executor or Serial(work="sweep_work:echo"), quiet=True)
    assert status.finished is not None
    return [dataclasses.replace(point, seconds=0.0) for point in load_results(path)]


def test_a_grid_that_is_larger_than_the_budget_is_refused():
    with pytest.raises(SweepError, match=r"budget.points: the grid has more than the 14 points"):
        next(batches(parse_sweep(TEXT + "[budget]\npoints = 14\n", Path())))
    assert len(next(batches(parse_sweep(TEXT + "[budget]\npoints = 15\n", Path()))).points) == 15


def test_points_that_are_the_same_are_one():
    text = TEXT.replace("lns<8,{frac}>", "lns<8,{min(frac, 3)}>")
    points = next(batches(parse_sweep(text, Path()))).points
    assert [dict(point.variables)["frac"] for point in points] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert [point.ordinal for point in points] == list(range(9))


def test_numbers_of_combinations_are_in_the_order_of_the_grid():
    sweep = parse_sweep(TEXT.replace('where = ["frac != 4"]', ""), Path())
    assert [combination(sweep, index) for index in range(sweep.size)] == list(combinations(sweep))


def test_random_points_are_of_the_grid_and_of_the_seed_alone():
    def chosen(count: int, seed: int) -> list[tuple[Any, ...]]:
        points = next(batches(tiny(f'kind = "random"\ncount = {count}\nseed = {seed}'))).points
        return [tuple(point.variables.values()) for point in points]

    grid = [tuple(values.values()) for values in combinations(tiny('kind = "grid"'))]
    assert len(chosen(5, 1)) == 5 == len(set(chosen(5, 1))) and set(chosen(5, 1)) < set(grid)
    assert chosen(5, 1) == chosen(5, 1) != chosen(5, 2) and chosen(9, 1)[:5] == chosen(5, 1)
    assert sorted(chosen(100, 1)) == grid  # there are no more
    hopeless = tiny('kind = "random"', text=TEXT.replace("frac != 4", "frac > 7"))
    assert next(batches(hopeless)).points == []


# --- successive halving --------------------------------------------------------------------------------------------


def test_rungs():
    sweep = tiny('kind = "halving"\nfactor = 3\nfirst_epochs = 2')
    assert rungs(sweep, 40) == [2, 6, 18, 40] and rungs(sweep, 54) == [2, 6, 18, 54] and rungs(sweep, 2) == [2]
    # 15 points for 1 epoch, 5 for 2 more, 1 for the other 6: 31 of 135 epochs
    assert full_trainings(tiny('kind = "halving"'), 15, 9) == pytest.approx((15 + 5 * 2 + 1 * 6) / 9)
    assert full_trainings(tiny('kind = "grid"'), 15, 9) == 15


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30))
def test_ranking_is_front_by_front(values: list[tuple[int, int]]):
    scores = {n: Score(error, energy) for n, (error, energy) in enumerate(values)}
    order = ranked(scores)
    assert sorted(order) == sorted(scores)

    def better(a: int, b: int) -> bool:
        return values[a] != values[b] and values[a][0] <= values[b][0] and values[a][1] <= values[b][1]

    assert not any(better(b, a) for a, b in itertools.combinations(order, 2))  # none before what is better than it
    by_error = {n: Score(error) for n, (error, _) in enumerate(values)}
    assert [values[n][0] for n in ranked(by_error)] == sorted(error for error, _ in values)


def test_halving_stops_the_poorer_and_trains_the_best_to_the_end(tmp_path):
    sweep = tiny('kind = "halving"\nfactor = 3\nfirst_epochs = 1')
    points = outcome(sweep, tmp_path / "s")
    epochs = {point.ordinal: len(point.curves[0]) for point in points}
    assert sorted(epochs.values()) == [1] * 10 + [3] * 4 + [9]
    assert [point.status for point in points] == ["done" if epochs[p.ordinal] == 9 else "stopped" for p in points]
    # by the results after as many epochs as all had
    whole = outcome(tiny('kind = "grid"', text=TEXT.replace("epochs = 9", "epochs = 1")), tmp_path / "whole")
    with reading(tmp_path / "s") as db:
        first = dict(
            db.execute(
                "SELECT ordinal, 1 - json_extract(result, '$.test_accuracy') FROM task JOIN sweep_point "
                "ON sweep_point.point = task.point WHERE epochs = 1"
            ).fetchall()
        )
    assert len(whole) == len(first) == 15
    survivors = {ordinal for ordinal, count in epochs.items() if count > 1}
    assert survivors == set(sorted(first, key=first.__getitem__)[:5])


def test_halving_keeps_designs_that_take_little_energy(tmp_path):
    points = outcome(tiny('kind = "halving"\nfactor = 4', '["accuracy", "cost", "verify"]'), tmp_path / "s")
    least = min(point.cost["energy_step_j"] for point in points)
    assert any(len(p.curves[0]) > 1 for p in points if p.cost["energy_step_j"] == least)
    # every design has its price from the first rung on; only those trained to the end are verified
    assert all(point.cost is not None for point in points)
    assert [point.verify is not None for point in points] == [point.status == "done" for point in points]


def test_halving_goes_on_where_a_rung_stopped(tmp_path):
    """Real trainings: the survivor's bits are those of a training in one piece, and no folder is left."""
    text = TEXT.replace("[0.01, 0.02, 0.03]", "[0.03]").replace("[1, 6]", "[1, 3]").replace("epochs = 9", "epochs = 4")
    sweep = tiny('kind = "halving"\nfactor = 2', text=text)
    with Store(tmp_path / "s") as store:
        run_sweep(sweep, store, Serial(), quiet=True)
    with Store(tmp_path / "grid") as store:
        run_sweep(parse_sweep(text, Path()), store, Serial(), quiet=True)
    halved, grid = load_results(tmp_path / "s"), load_results(tmp_path / "grid")
    assert sorted(len(point.curves[0]) for point in halved) == [1, 1, 4]
    for one, whole in zip(halved, grid, strict=True):
        assert one.curves[0] == whole.curves[0][: len(one.curves[0])]
        if one.status == "done":
            assert one.accuracies == whole.accuracies and one.events == whole.events
    assert not runs_folder(tmp_path / "s").exists()


def test_a_training_that_stops_early_has_the_bits_of_the_whole_one(tmp_path):
    config = RunConfig("chip", "digits", (4,), epochs=4, batch=256)
    parts, whole = (new_run(tmp_path / name, config, lns.load("madam8-small")) for name in ("parts", "whole"))
    train(whole, progress=False)
    for until in (1, 3, 9):
        assert train(parts, progress=False, until=until)["epoch"] == min(until, 4) == len(parts.metrics())
    for one, other in zip(parts.metrics(), whole.metrics(), strict=True):
        assert one | {"seconds": 0} == other | {"seconds": 0}


def test_halving_of_different_lengths_is_refused():
    text = TEXT.replace("[set]", '[set]\nrun.epochs = "{frac}"')
    with pytest.raises(SweepError, match=r"same run.epochs"):
        next(batches(tiny('kind = "halving"', text=text)))


@pytest.mark.parametrize("strategy", ['kind = "halving"', 'kind = "random"\ncount = 6'])
def test_workers_and_kills_change_no_choice(tmp_path, strategy):
    sweep = tiny(strategy, '["accuracy", "cost"]')
    expected = outcome(sweep, tmp_path / "serial")
    assert outcome(sweep, tmp_path / "pool", Pool(3, 1, work="sweep_work:echo")) == expected
    assert outcome(sweep, tmp_path / "pool", Serial(work="sweep_work:echo")) == expected  # again, out of the store


# --- searches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "metrics"), [("nsga2", '["accuracy", "cost"]'), ("tpe", '["accuracy"]')])
def test_a_search_finds_its_points_and_finds_them_again(tmp_path, kind, metrics):
    pytest.importorskip("optuna", reason="pip install optuna")
    sweep = tiny(f'kind = "{kind}"\ncount = 9\npopulation = 4\nseed = 3', metrics, TEXT.replace("[1, 6]", "[1, 9]"))
    points = outcome(sweep, tmp_path / "s")
    assert len(points) == 9 and {point.status for point in points} <= {"done", "impossible"}
    assert all(point.variables["frac"] != 4 for point in points)
    assert len({tuple(point.variables.values()) for point in points}) == 9
    assert outcome(sweep, tmp_path / "s") == points
    assert outcome(sweep, tmp_path / "pool", Pool(2, 1, work="sweep_work:echo")) == points
    with reading(tmp_path / "s") as db:
        assert db.execute("SELECT max(attempts) FROM task").fetchone()[0] == 1


def test_a_search_learns():
    """On a smooth problem NSGA-II finds better points than as many random ones do on average."""
    pytest.importorskip("optuna", reason="pip install optuna")
    text = TEXT.replace("[1, 6]", "[1, 5]").replace("frac != 4", "frac > 0")
    text = text.replace("lr = [0.01, 0.02, 0.03]", "lr = { range = [0.001, 0.06], step = 0.001 }")
    sweep = tiny('kind = "nsga2"\ncount = 60\npopulation = 10', text=text)

    def error(variables: Any) -> float:
        return abs(variables["frac"] - 2) + 30 * abs(variables["lr"] - 0.043)

    generator, found = batches(sweep), []
    batch = next(generator)
    while True:
        found += [error(point.variables) for point in batch.points]
        try:
            batch = generator.send({p.ordinal: Score(error(p.variables)) for p in batch.points})
        except StopIteration:
            break
    every = [error(variables) for variables in combinations(sweep)]
    assert len(found) == 60
    assert math.fsum(found[30:]) / 30 < 0.7 * math.fsum(every) / len(every)
    assert min(found) < sorted(every)[len(every) // 50]


def test_a_search_needs_its_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(SweepError, match="pip install optuna"):
        next(batches(tiny('kind = "tpe"')))
    with pytest.raises(SweepError, match=r"metrics: tpe chooses by accuracy"):
        tiny('kind = "tpe"', '["cost"]')
