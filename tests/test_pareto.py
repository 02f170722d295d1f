"""Fronts and choices against their definitions, spelled out; ``lns pareto`` and ``lns best`` on small stores."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_store import RUN, cost_of, tiny_rows, write_store

import lns
from sim.cli import main
from sim.sweep.pareto import METRICS, Mark, ParetoError, best, marks, marks_of, metric, quantity, values_of
from sim.sweep.results import PointResult, load_results

ENERGY, ERROR = METRICS["energy_step_j"], METRICS["error"]

# few values, so that ties and equal points are common
NUMBERS = st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0, 1e-300, math.inf, math.nan])
SPREADS = st.sampled_from([0.0, 0.5, 1.0, 3.0, math.nan])


@st.composite
def clouds(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Values and standard errors of some points in two or three metrics."""
    n, k = draw(st.integers(0, 12)), draw(st.integers(2, 3))
    rows = st.lists(st.lists(NUMBERS, min_size=k, max_size=k), min_size=n, max_size=n)
    spreads = st.lists(st.lists(SPREADS, min_size=k, max_size=k), min_size=n, max_size=n)
    return np.array(draw(rows)).reshape(n, k), np.array(draw(spreads)).reshape(n, k)


def marks_by_definition(values: np.ndarray, errors: np.ndarray) -> list[Mark]:
    """The rules of sim/sweep/pareto.py word for word."""
    out = []
    usable = [all(math.isfinite(v) for v in row) for row in values]
    for i, p in enumerate(values):
        dominators = []
        for j, q in enumerate(values):
            pairs = list(zip(q, p, strict=True))
            if usable[j] and all(a <= b for a, b in pairs) and any(a < b for a, b in pairs):
                dominators.append(j)
        clear = [j for j in dominators if all(clearly_worse(values, errors, i, j, k) for k in range(len(p)))]
        if not usable[i]:
            out.append(Mark.NONE)
        else:
            out.append(Mark.DOMINATED if clear else Mark.NEAR if dominators else Mark.FRONT)
    return out


def clearly_worse(values: np.ndarray, errors: np.ndarray, i: int, j: int, k: int) -> bool:
    spreads = [0.0 if math.isnan(errors[n, k]) else errors[n, k] for n in (i, j)]
    return values[i, k] - values[j, k] >= math.sqrt(spreads[0] ** 2 + spreads[1] ** 2)


@given(clouds())
def test_marks_are_their_definition(cloud: tuple[np.ndarray, np.ndarray]) -> None:
    assert marks(*cloud) == marks_by_definition(*cloud)


@given(clouds())
def test_a_front_dominates_the_rest_and_nothing_of_itself(cloud: tuple[np.ndarray, np.ndarray]) -> None:
    values, errors = cloud
    found = marks(values, np.zeros_like(errors))
    assert Mark.NEAR not in found  # without uncertainty there is no doubt
    front = [row for row, mark in zip(values, found, strict=True) if mark is Mark.FRONT]
    for row, mark in zip(values, found, strict=True):
        below = [other for other in front if (other <= row).all() and (other < row).any()]
        assert bool(below) == (mark is Mark.DOMINATED) or mark is Mark.NONE


def test_equal_points_are_on_the_front_together_and_missing_ones_are_not() -> None:
    values = [[1, 1], [1, 1], [1, 2], [0, 3], [math.nan, 0], [0, math.inf]]
    front, none = Mark.FRONT, Mark.NONE
    assert marks(values, np.zeros((6, 2))) == [front, front, Mark.DOMINATED, front, none, none]
    assert marks([], []) == []


def test_a_point_within_one_standard_error_is_near() -> None:
    values = [[1.0, 10.0], [2.0, 14.9], [2.0, 15.0]]
    errors = [[0.0, 3.0], [0.0, 4.0], [0.0, 4.0]]  # of the difference: 5
    assert marks(values, errors) == [Mark.FRONT, Mark.NEAR, Mark.DOMINATED]


FAULTS = {"worse >= 0": "worse > 0", "worse > 0)": "worse >= 0)", "variance[i] + ": "", ">= variance": "> variance"}


@pytest.mark.parametrize(("right", "wrong"), FAULTS.items())
def test_a_wrong_rule_would_be_noticed(right: str, wrong: str) -> None:
    """Faults planted in `marks` show on the points that the tests above use."""
    import inspect

    from sim.sweep import pareto

    source = inspect.getsource(pareto.marks)
    assert right in source
    space = dict(vars(pareto))
    exec(source.replace(right, wrong, 1), space)
    rng = np.random.default_rng(0)
    for _ in range(200):
        values, errors = rng.integers(0, 6, (8, 2)).astype(float), rng.integers(0, 4, (8, 2)).astype(float)
        if space["marks"](values, errors) != marks_by_definition(values, errors):
            return
    raise AssertionError("the fault was not noticed")


# --- points ------------------------------------------------------------------------------------------------------


def point(n: int, error: float | None, energy: float | None, **more: Any) -> PointResult:
    cost = None if energy is None else cost_of(energy, 8)
    row: dict[str, Any] = {"status": "done", "accuracies": (0.9, 0.9), "error_spread": 0.0} | more
    return PointResult("s", n, {"n": n}, lns.load("madam8"), RUN, error=error, cost=cost, **row)


def test_standard_errors_come_from_seeds() -> None:
    one = point(0, 0.1, 1.0, accuracies=(0.9, 0.8, 0.95, 0.95), error_spread=0.05)
    assert values_of(one, ERROR) == (0.1, 0.025)
    assert values_of(one, ENERGY) == (1.0, 0.0)
    assert math.isnan(values_of(point(0, 0.1, 1.0, accuracies=(0.9,), error_spread=None), ERROR)[1])
    assert math.isnan(values_of(point(0, 0.1, None), ENERGY)[0])


def test_only_finished_points_with_true_verilog_are_compared() -> None:
    rows = [point(0, 0.2, 2.0), point(1, 0.1, 1.0, status="partial"), point(2, 0.1, 1.0, verify={"mismatches": 3})]
    rows += [point(3, 0.3, 1.5, verify={"mismatches": 0}), point(4, None, 1.0), point(5, 0.1, None)]
    front, none = Mark.FRONT, Mark.NONE
    assert marks_of(rows, (ENERGY, ERROR)) == [front, none, none, front, none, none]
    assert best(rows, 0.0, ENERGY).chosen.ordinal == 0


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), min_size=1, max_size=12), st.integers(0, 9))
def test_best_is_the_cheapest_within_the_allowed_error(figures: list[tuple[int, int]], allowed: int) -> None:
    rows = [point(n, error / 100, float(energy)) for n, (error, energy) in enumerate(figures)]
    choice = best(rows, allowed / 100, ENERGY)
    least = min(error for error, _ in figures)
    inside = [(energy, error, n) for n, (error, energy) in enumerate(figures) if error <= least + allowed]
    assert choice.chosen.ordinal == min(inside)[2]
    assert (choice.qualified, choice.compared) == (len(inside), len(figures))
    assert choice.reference.error == least / 100


def test_best_against_a_named_point() -> None:
    rows = [point(0, 0.01, 9.0), point(1, 0.05, 5.0), point(2, 0.06, 1.0)]
    assert best(rows, 0.005, ENERGY).chosen.ordinal == 0
    assert best(rows, 0.01, ENERGY, reference=1).chosen.ordinal == 2
    with pytest.raises(ParetoError, match=r"--reference must be a finished point .*, got 7"):
        best(rows, 0.01, ENERGY, reference=7)
    with pytest.raises(ParetoError, match="from 0 % to below 100 %, got -1 %"):
        best(rows, -0.01, ENERGY)
    with pytest.raises(ParetoError, match="no finished point has both error and energy_step_j"):
        best([replace(row, cost=None) for row in rows], 0.01, ENERGY)


def test_metrics_have_short_names_and_units() -> None:
    assert metric("energy") is metric("energy_step_j") is ENERGY
    with pytest.raises(ParetoError, match="did you mean 'area'"):
        metric("aera")
    shown = [quantity(value, ENERGY) for value in (1.5e-6, 9.999e-10, 1e-3, 2.0, 0.0)]
    assert shown == ["1.5 µJ", "999.9 pJ", "1 mJ", "2 J", "0 J"]
    assert [quantity(value, METRICS["area_um2"]) for value in (99.0, 2e5)] == ["99 µm²", "0.2 mm²"]


# --- the commands --------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return write_store(tmp_path / "s.sqlite", {"tiny": tiny_rows()})


def test_pareto_prints_the_front_and_what_is_near(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pareto", str(store)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:4]] == [["1", "*"], ["0", "*"], ["2", "~"]]
    assert "1 µJ" in lines[1] and "4.90 ± 0.06 %" in lines[1] and lines[1].endswith("bits=6")
    assert lines[4].startswith("* 2 on the front, ~ 1 not dominated") and "4 of 5 points" in lines[4]


def test_pareto_for_scripts(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pareto", str(store), "--json", "--x", "area", "--y", "delay"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["x"], found["y"], found["compared"]) == ("area_um2", "critical_path_s", 4)
    (row,) = found["points"]  # both grow with the bits: one design has the least of both
    assert (row["point"], row["mark"], row["area_um2"]) == (1, "front", 120000.0)
    assert lns.Design.from_dict(row["design"]) == load_results(store)[1].design


def test_best_writes_a_design_that_lns_reads(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "best.toml"
    command = ["best", str(store), "--max-error-increase", "5%", "--minimise", "energy"]
    assert main([*command, "-o", str(out)]) == 0
    assert "point 1, bits=6" in capsys.readouterr().out
    text = out.read_text()
    assert lns.load(out) == load_results(store)[1].design
    assert f"# chosen by: lns best {store} --max-error-increase 5% --minimise energy\n" in text
    assert "# energy of a training step: 1 µJ, against 4 µJ of point 0" in text
    assert main(command) == 0
    assert capsys.readouterr().out == text
    assert main([*command, "--json", "--reference", "0"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["chosen"]["point"] == 1 and found["reference"]["point"] == 0


@pytest.mark.slow
def test_the_best_design_becomes_a_bundle(store: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "best.toml")
    assert main(["best", str(store), "--max-error-increase", "0%", "-o", out]) == 0
    assert main(["rtl", out, "--out", str(tmp_path / "rtl"), "--vectors", "1"]) == 0


def test_a_hostile_name_stays_in_the_comment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tiny_rows()
    rows[1]["variables"] = {"bits\nname = 1\r\x1b\x7f\u2028": "x\n[formats]\nactivation = 3"}
    store = write_store(tmp_path / "s.sqlite", {"evil\nlr = 9": rows})
    assert main(["best", str(store), "--max-error-increase", "5%"]) == 0
    text = capsys.readouterr().out
    assert lns.Design.from_toml(text) == load_results(store)[1].design
    assert len(text.splitlines()) == len(text.split("\n")) - 1


def test_what_cannot_be_compared_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tiny_rows()
    other = [row | {"run": RUN | {"data": "fashion-mnist"}} for row in rows]
    store = write_store(tmp_path / "s.sqlite", {"a": rows, "b": rows, "c": [*rows, *other], "none": []})

    def refused(*arguments: str) -> str:
        assert main(["pareto", str(store), *arguments]) == 2
        return capsys.readouterr().err

    assert "--sweep is required, one of a, b, c" in refused()
    assert "errors on digits and fashion-mnist cannot be compared" in refused("--sweep", "c")
    assert "got energy_step_j twice" in refused("--sweep", "a", "--y", "energy")
    assert "no points here" in refused("--sweep", "none")
    assert "has no sweep 'd'" in refused("--sweep", "d")
    with pytest.raises(SystemExit):
        main(["best", str(store), "--max-error-increase", "0.5"])
    assert "percentage points with their sign, as 0.5%" in capsys.readouterr().err
