"""The sweep file: what it says, and what it is told when it is wrong; points and their keys."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lns
from lns.design import DesignError
from sim.sweep import key
from sim.sweep.errors import SweepError
from sim.sweep.expression import Expression, fill
from sim.sweep.file import allowed, combinations, load_sweep, parse_sweep
from sim.sweep.points import make_point, tasks_of, training

TEXT = """
name = "example"
base = "madam8"
seeds = [0, 1, 2]
where = ["frac <= bits - 3", "kind != 'log' or frac >= 2"]
metrics = ["accuracy", "cost", "verify"]
[run]
data = "digits"
hidden = [32]
epochs = 9
batch = 32
[axes]
bits = { range = [4, 6] }
frac = [0, 1, 2]
kind = ["linear", "log"]
lr = { range = [0.01, 0.03], step = 0.01 }
[set]
"formats.activation" = "lns<{bits},{frac}>"
formats.error = "lns<{bits},{frac}>"
"run.lr" = "{lr}"
"accumulator.guard" = "{bits + 4}"
[[when]]
if = "kind == 'log'"
[when.set]
accumulator = { kind = "log", lanes = 16, format = "lns<{bits + 7},{frac + 5}>", table = "mitchell" }
[budget]
hours = 2
point_seconds = 60.0
"""


def sweep(text: str = TEXT, **changes: Any):
    return dataclasses.replace(parse_sweep(text, Path()), **changes)


def point(**variables: Any):
    return make_point(sweep(), 0, {"bits": 6, "frac": 2, "kind": "linear", "lr": 0.02} | variables)


def test_a_file_says_what_it_says():
    found = sweep()
    assert found.axes == {
        "bits": (4, 5, 6), "frac": (0, 1, 2), "kind": ("linear", "log"), "lr": (0.01, 0.02, 0.03),
    }  # fmt: skip
    assert found.size == 54 and found.seeds == (0, 1, 2) and found.run.epochs == 9 and found.run.hidden == (32,)
    assert found.budget.hours == 2.0 and found.budget.point_seconds == 60.0 and found.strategy.kind == "grid"


def test_the_grid_is_all_that_its_conditions_allow():
    expected = [
        {"bits": bits, "frac": frac, "kind": kind, "lr": lr}
        for bits in (4, 5, 6) for frac in (0, 1, 2) for kind in ("linear", "log") for lr in (0.01, 0.02, 0.03)
        if frac <= bits - 3 and (kind != "log" or frac >= 2)
    ]  # fmt: skip
    assert list(combinations(sweep())) == expected
    assert all(allowed(sweep(), variables) for variables in expected)


def test_variables_set_fields_of_design_and_run():
    found = point()
    assert found.possible and found.run.lr == 0.02
    assert str(found.design.formats.activation) == str(found.design.formats.error) == "lns<6,2>"
    assert str(found.design.formats.weight) == "lns<12,9>" and found.design.accumulator.guard == 10
    log = point(kind="log").design.accumulator
    assert log.kind == "log" and str(log.format) == "lns<13,7>" and str(log.table) == "mitchell"
    assert lns.Design.from_toml(found.design.to_toml()) == found.design
    assert found.design.name == f"madam8-{found.id[:8]}" and "frac = 2" in found.design.description


def test_an_impossible_point_says_why():
    found = point(frac=6)
    assert not found.possible and found.reason.startswith("formats.activation: frac_bits must be")
    missing = make_point(sweep(TEXT.replace('"digits"', '"no-such-data"')), 0, point().variables)
    assert "no-such-data: neither a data set" in missing.reason
    # a ROM of the log-adder that nobody could build is in the way of price and verification alone
    huge = TEXT.replace("lns<{bits},{frac}>", "lns<24,{frac + 16}>")
    assert "Mbit" in make_point(sweep(huge), 0, point().variables).reason
    assert "Mbit" not in make_point(sweep(huge, metrics=("accuracy",)), 0, point().variables).reason


WRONG = [
    ('name = "example"', 'nam = "example"', "nam: unknown key; did you mean 'name'?"),
    ('name = "example"', 'name = "a/b"', "name: must be of letters"),
    ('data = "digits"', "epoch = 3", "run.epoch: unknown key; did you mean 'epochs'?"),
    ("epochs = 9", 'epochs = "9"', "run.epochs: must be an integer, got '9'"),
    ("epochs = 9", "epochs = 0", "run.epochs must be from 1"),
    ("hidden = [32]", "hidden = 32", "run.hidden: must be a list"),
    ("frac = [0, 1, 2]", "frac = []", "axes.frac: must be a list with a value"),
    ("frac = [0, 1, 2]", "frac = [0, 0]", "axes.frac: values must differ"),
    ("frac = [0, 1, 2]", "frac = { range = [2, 0] }", "axes.frac: must have from 1"),
    ("frac = [0, 1, 2]", "frac = { range = [0, 2], step = 0 }", "axes.frac: must be {range"),
    ("frac = [0, 1, 2]", "max = [0, 1, 2]", "axes.max: a variable is named"),
    ("[axes]", "[axes]\nidle = [1, 2]", "axes.idle: nothing in [set]"),
    ("{bits + 4}", "{bit + 4}", "no variable 'bit'; did you mean 'bits'?"),
    ("{bits + 4}", "{bits.real}", "'bits.real' is not possible here"),
    ("{bits + 4}", "{__import__('os')}", "no variable '__import__'"),
    ("{bits + 4}", "{(lambda: 1)()}", "is not possible here"),
    ("{bits + 4}", "{bits +}", "is not an expression"),
    ("{bits + 4}", "{bits", "has a brace without its partner"),
    ('"run.lr"', '"run.seed"', "set.run.seed: a run has no such field"),
    ('if = "kind', 'iff = "kind', "when 1.iff: unknown key; did you mean 'if'?"),
    ("hours = 2", "hours = -1", "budget.hours: must be at least 0"),
    ("hours = 2", "hour = 1", "budget.hour: unknown key; did you mean 'hours'?"),
    ('"verify"]', '"area"]', "metrics: each must be one of accuracy, cost, verify, got 'area'"),
    ("seeds = [0, 1, 2]", "seeds = [0, 0]", "seeds: must be different"),
    ("[budget]", '[strategy]\nkind = "girl"\n[budget]', "strategy.kind: must be one of grid"),
    ("[budget]", "[strategy]\nfactor = 2\n[budget]", "strategy.factor: unknown key"),
    ("[budget]", '[cost]\nclock = "fast"\n[budget]', "cost.clock: must be a number"),
    ("[run]", "[run", "not a TOML file"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), WRONG)
def test_a_wrong_file_is_refused_with_its_place(old: str, new: str, message: str):
    assert TEXT.count(old) >= 1
    with pytest.raises(SweepError) as caught:
        sweep(TEXT.replace(old, new, 1))
    assert message in str(caught.value)


def test_a_base_that_is_none_and_a_file_that_is_none(tmp_path):
    with pytest.raises(DesignError, match="madam9"):
        sweep(TEXT.replace('base = "madam8"', 'base = "madam9"'))
    path = tmp_path / "own.toml"
    path.write_text(TEXT.replace('base = "madam8"', 'base = "chip.toml"'))
    (tmp_path / "chip.toml").write_text(lns.load("madam8").to_toml())
    assert load_sweep(path).base == lns.load("madam8")  # relative to the sweep file
    path.write_text("name = 3")
    with pytest.raises(SweepError, match=r"own.toml: base: required"):
        load_sweep(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SweepError, match=r"own.toml"):
        load_sweep(path)


def test_a_value_of_the_wrong_type_is_the_files_fault():
    with pytest.raises(SweepError, match=r"set.run.lr: must be a number, got 'linear'"):
        make_point(sweep(TEXT.replace('"{lr}"', '"{kind if lr > 0 else lr}"')), 0, point().variables)
    with pytest.raises(SweepError, match=r"'bits \+ kind' has no value for bits = 6, kind = 'linear'"):
        make_point(sweep(TEXT.replace("{bits + 4}", "{bits + kind}")), 0, point().variables)


# --- expressions ---------------------------------------------------------------------------------------------------

NUMBERS = st.integers(-50, 50)


def texts(depth: int = 3) -> st.SearchStrategy[str]:
    leaf = st.one_of(NUMBERS.map(lambda n: f"({n})"), st.sampled_from(["a", "b", "c", "True", "'text'", "2.5"]))
    if depth == 0:
        return leaf
    inner = texts(depth - 1)
    binary = st.sampled_from(["+", "-", "*", "//", "%", "/", "<", "<=", "==", "!=", "and", "or", "in"])
    return st.one_of(
        leaf,
        st.tuples(inner, binary, inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} < {t[1]} <= {t[2]})"),
        inner.map(lambda t: f"(not {t})"),
        inner.map(lambda t: f"(-{t})"),
        st.tuples(inner, inner).map(lambda t: f"max({t[0]}, abs({t[1]}))"),
        st.tuples(inner, inner).map(lambda t: f"({t[0]} in ({t[1]}, 1, 'text'))"),
    )


@given(texts(), NUMBERS, NUMBERS)
def test_expressions_have_pythons_values(text: str, a: int, b: int):
    names = {"a": a, "b": b, "c": "text"}
    expression = Expression.parse(text, names, "here")
    try:
        expected = eval(text, {"__builtins__": {}, "max": max, "abs": abs}, names)
    except (ArithmeticError, TypeError, ValueError):
        with pytest.raises(SweepError):
            expression.value(names)
        return
    found = expression.value(names)
    assert found == expected and type(found) is type(expected)


def test_a_hole_alone_keeps_its_type():
    names = {"bits": 8, "table": "full"}
    assert fill("{bits + 1}", names, "") == 9 and fill(" {bits > 3} ", names, "") is True
    assert fill("lns<{bits},{bits - 5}>", names, "") == "lns<8,3>"
    assert fill({"a": ["{bits}", "{table}", 3.5, True]}, names, "") == {"a": [8, "full", 3.5, True]}
    with pytest.raises(SweepError, match="exponent"):
        fill("{2 ** 10 ** 9}", names, "")


# --- keys ----------------------------------------------------------------------------------------------------------


def test_what_changes_a_result_changes_its_key():
    base = point()
    same = dataclasses.replace(base, design=dataclasses.replace(base.design, name="other", description="text"))
    assert training(base, 0).key == training(same, 0).key
    assert training(base, 0).key == training(dataclasses.replace(base, ordinal=7), 0).key
    rerun = dataclasses.replace(base, run=dataclasses.replace(base.run, checkpoint_every=5))
    assert training(base, 0).key == training(rerun, 0).key
    others = [training(base, 1), training(base, 0, 3)]
    others += [training(point(**change), 0) for change in ({"bits": 5}, {"lr": 0.03}, {"kind": "log"})]
    changes = (("epochs", 8), ("batch", 16), ("hidden", (31,)), ("validation", 0.1), ("lr_divisors", (2.0, 3.0)))
    for name, value in changes:
        changed = dataclasses.replace(base.run, **{name: value})
        others.append(training(dataclasses.replace(base, run=changed), 0))
    assert len({training(base, 0).key, *(task.key for task in others)}) == len(others) + 1
    # halving's rungs go on in one folder, and the last rung is the whole training
    assert training(base, 0, 3).settings["folder"] == training(base, 0).settings["folder"]
    assert training(base, 0, 9).key == training(base, 0).key != training(base, 0, 3).key


def test_points_that_share_a_cost_share_its_task():
    one, other = point(lr=0.01), point(lr=0.02)
    keys = [{task.kind: task.key for task in tasks_of(sweep(), p)} for p in (one, other)]
    assert one.id != other.id and keys[0]["train"] != keys[1]["train"]
    assert keys[0]["cost"] == keys[1]["cost"] and keys[0]["verify"] == keys[1]["verify"]
    slow = sweep(TEXT + "[cost]\nclock = 1e-8\n")
    assert {task.kind: task.key for task in tasks_of(slow, one)}["cost"] != keys[0]["cost"]


def test_other_code_is_another_version_and_another_comment_is_not(monkeypatch):
    source = 'def f(x):\n    """Doc."""\n    return x + 1  # comment\n'
    version = key.syntax_digest([source])
    assert version == key.syntax_digest(['def f(x):\n    """Another."""\n\n    return x + 1\n'])
    assert version == key.syntax_digest(["def f(x):\n    return (x + 1)\n"])
    assert version != key.syntax_digest([source.replace("+ 1", "+ 2")])
    assert version != key.syntax_digest([source.replace("return x", "return 'Doc.' and x")])
    before = training(point(), 0).key
    monkeypatch.setattr("sim.sweep.points.arithmetic_version", lambda kind: "another")
    assert training(point(), 0).key != before


def test_the_version_covers_all_that_computes(root):
    """Every module of this project that a training loads is part of the version, or known to hold no arithmetic."""
    own = "[m.__file__ for n, m in sys.modules.items() if n[:4] in ('lns.', 'sim.')]"
    command = [sys.executable, "-c", f"import sys, sim.train.loop; print(*{own})"]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=root).stdout
    loaded = {str(Path(name).relative_to(root)) for name in output.split()}
    covered = {part for part in loaded if any(part.startswith(name) for name in key._MODULES["train"])}
    aside = {"lns/files.py", "sim/paths.py", "sim/train/baselines.py", "sim/train/rtl.py", "sim/train/trace.py"}
    left = {p for p in loaded - covered - aside if not p.startswith(("lns/array/", "sim/verify/", "sim/rtl/"))}
    assert {Path(part).name for part in left} <= {"__init__.py"}
    assert {"lns/kernels/update.py", "lns/gausslog.py", "sim/train/chip.py"} <= covered


def test_the_documents_file_is_one(root):
    text = (root / "docs" / "sweep.md").read_text("utf-8").split("```toml")[1].split("```")[0]
    found = parse_sweep(text, Path())
    points = [make_point(found, n, variables) for n, variables in enumerate(combinations(found))]
    possible = [one for one in points if one.possible]
    assert len(points) > 200 and len(possible) > 200
    assert {one.design.accumulator.kind for one in possible} == {"linear", "log"}
    assert found.seeds == (0, 1, 2) and found.budget.hours == 10.0
