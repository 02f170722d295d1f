"""``lns sweep``: what is printed, written and returned; how progress is shown; estimates."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import lns
from sim import cli
from sim.sweep import progress, work
from sim.sweep.errors import SweepError
from sim.sweep.estimate import estimate, measured_epoch
from sim.sweep.file import load_sweep
from sim.sweep.points import make_point
from sim.sweep.progress import Status, View, lines, span
from sim.sweep.results import load_results
from sim.sweep.strategy import batches
from sim.verify.units import instances

TEXT = """
name = "tiny"
base = "madam8"
seeds = [0, 1]
[run]
data = "digits"
hidden = [4]
epochs = 2
batch = 256
[axes]
frac = [2, 3, 9]
[set]
formats.activation = "lns<8,{frac}>"
"""


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TEXT)
    return path


def run(capsys, *arguments: Any) -> tuple[int, str, str]:
    code = cli.main(["sweep", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_a_sweep_from_dry_run_to_table(file, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, file, "--dry-run", "--workers", 1)
    assert code == 0 and "    0  frac = 2\n    1  frac = 3\n    2  frac = 9   impossible: formats.activation:" in out
    assert "tiny: 3 points, 1 of them impossible; grid" in out
    assert re.search(r"train +4 to do, about [\d.]+ m?s of work \(measured on a few steps of each size\)", out)
    assert not Path("runs").exists()  # it begins nothing

    code, out, err = run(capsys, file, "--workers", 1, "--csv", "t.csv")
    assert code == 0 and "results: runs/tiny.sqlite" in out and "4 of 4 tasks done" in err
    points = load_results(Path("runs/tiny.sqlite"))
    with open("t.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["status"] for row in rows] == ["done", "done", "impossible"]
    assert float(rows[0]["accuracy.1"]) == points[0].accuracies[1] and float(rows[1]["error"]) == points[1].error
    assert lns.Design.from_toml(rows[1]["design"]) == points[1].design and rows[2]["error"] == ""

    code, out, _ = run(capsys, file, "--dry-run", "--json")
    found = json.loads(out)
    assert code == 0 and found["estimate"]["tasks"] == {} and found["estimate"]["done"] == 4
    assert [point["reason"] is None for point in found["points"]] == [True, True, False]
    assert run(capsys, "--watch", "runs/tiny.sqlite")[1].startswith("tiny: 4 of 4 tasks done, 0 running; 3 points, 1 ")
    assert run(capsys, "--store", "runs/tiny.sqlite", "--csv", "again.csv")[0] == 0
    assert Path("again.csv").read_text() == Path("t.csv").read_text()
    assert json.loads(run(capsys, file, "--json", "--quiet")[1])["tasks"] == {"done": 4}


def test_parquet_needs_its_package(file, tmp_path, capsys, monkeypatch):
    run(capsys, file, "--store", tmp_path / "s", "--workers", 0, "--quiet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = run(capsys, "--store", tmp_path / "s", "--parquet", tmp_path / "t.parquet")
    assert code == 2 and "--parquet needs the package pyarrow, which is not installed: pip install pyarrow" in err


def test_parquet_has_the_rows_of_csv(file, tmp_path, capsys):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pip install pyarrow")
    file.write_text(TEXT.replace("[2, 3, 9]", '[2, 3, "none"]'))  # a column of numbers and text
    run(capsys, file, "--store", tmp_path / "s", "--workers", 0, "--quiet", "--parquet", tmp_path / "t.parquet")
    table = parquet.read_table(tmp_path / "t.parquet").to_pylist()
    assert [row["var.frac"] for row in table] == ["2", "3", "none"]
    assert [row["error"] for row in table] == [point.error for point in load_results(tmp_path / "s")]


def test_failures_are_named_and_the_code_is_one(file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sim.sweep.work.train_result", lambda task: 1 / 0)
    code, out, _ = run(capsys, file, "--store", tmp_path / "s", "--workers", 0, "--quiet")
    assert code == 1 and "point 0 (frac = 2): train: ZeroDivisionError: division by zero" in out
    assert "4 failed" in out and "--retry tries them again" in out
    monkeypatch.undo()
    assert run(capsys, file, "--store", tmp_path / "s", "--workers", 0, "--quiet")[0] == 1  # not by itself
    assert run(capsys, file, "--store", tmp_path / "s", "--workers", 0, "--quiet", "--retry")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "FILE.toml is required, or --watch STORE"),
        (["none.toml"], "none.toml: No such file"),
        (["--watch", "none"], "store none: there is no such file"),
        (["tiny.toml", "--workers", "-1"], "--workers must be at least 0"),
        (["tiny.toml", "--scheduler", "x", "--workers", "2"], "--workers is of this machine"),
    ],
)
def test_wrong_command_lines(file, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, *arguments)
    assert code == 2 and err.startswith("lns: error: ") and message in err


def test_a_price_that_cannot_be_had_is_a_failure_with_its_reason(file, tmp_path, capsys, monkeypatch):
    def cost_result(design: Any, settings: dict[str, Any]) -> dict[str, Any]:
        network = {"data": "digits", "hidden": [4], "batch": 256}
        assert settings == {"liberty": "", "clock": 0.0, "delays": True} | network
        if design.formats.activation.frac_bits == 3:
            raise lns.design.DesignError("planted: no price")
        return {"energy_step_j": 1e-6}

    file.write_text('metrics = ["accuracy", "cost"]\n' + TEXT)
    monkeypatch.setattr(work, "cost_result", cost_result)
    assert run(capsys, file, "--store", tmp_path / "s", "--workers", 0, "--quiet")[0] == 1
    points = load_results(tmp_path / "s")
    assert [point.status for point in points] == ["done", "failed", "impossible"]
    assert points[0].cost == {"energy_step_j": 1e-6} and points[1].reason == "cost: planted: no price"
    assert len(points[1].accuracies) == 2  # what was done of it is there


def test_a_verification_counts_what_it_compared(monkeypatch):
    if shutil.which("iverilog") is None:
        pytest.skip("needs Icarus Verilog: apt install iverilog")
    monkeypatch.setattr(work, "instances", lambda design: instances(design, "lns_relu"))
    found = work.verify_result(lns.load("madam8-small"))
    assert found["mismatches"] == 0 and found["transactions"] > 100
    reports = work.verify_all(work.instances(lns.load("madam8-small")), work.Settings(count=10))
    bad = [dataclasses.replace(reports[0], mismatches=3, failures=("planted",))]
    monkeypatch.setattr(work, "verify_all", lambda *arguments: bad)
    assert work.verify_result(lns.load("madam8-small"))["mismatches"] == 3  # a result, and a bad one
    bad[0] = dataclasses.replace(reports[0], uncovered=("a bin",))
    with pytest.raises(SweepError, match=r"lns_relu .*not covered: a bin"):
        work.verify_result(lns.load("madam8-small"))


def test_control_c_stops_and_the_same_command_goes_on(file, tmp_path):
    file.write_text(TEXT.replace("epochs = 2", "epochs = 400"))
    command = [sys.executable, "-m", "sim.cli", "sweep", str(file), "--store", str(tmp_path / "s"), "--workers", "1"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which the background ignores
    )  # fmt: skip
    while "running" not in process.stderr.readline():
        pass
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert "stopped; the same command goes on" in process.communicate()[1] and process.returncode == 130
    assert {point.status for point in load_results(tmp_path / "s")} <= {"waiting", "partial", "impossible"}
    with progress.reading(tmp_path / "s") as db:
        assert not db.execute("SELECT count(*) FROM task WHERE status = 'running'").fetchone()[0]


# --- progress ----------------------------------------------------------------------------------------------------


def status(**changes: Any) -> Status:
    values: dict[str, Any] = {
        "name": "s", "points": 10, "impossible": 0, "stopped": 0, "tasks": {"done": 3, "running": 2, "waiting": 5},
        "left": 600.0, "spent": 100.0, "best": "", "started": 1000.0, "finished": None,
    }  # fmt: skip
    return Status(**values | changes)


def test_the_lines_of_a_status():
    assert lines(status(), 1060.0) == [
        "s: 3 of 10 tasks done, 2 running; 10 points",
        "[######..............]  30 %  60 s since the start, about 5 min left",
        "best so far: none yet",
    ]
    tasks = {"done": 8, "failed": 1, "timeout": 1}
    found = lines(status(tasks=tasks, impossible=2, stopped=4, finished=8200.0, best="2 %"), 1e9)
    tasks_shown, points_shown = found[0].split("; ")
    assert tasks_shown == "s: 8 of 10 tasks done, 0 running, 1 failed, 1 out of time"
    assert points_shown == "10 points, 2 impossible, 4 stopped early"
    assert found[1] == "[####################] 100 %  finished after 2 h" and found[2] == "best so far: 2 %"
    assert "nothing is running" in lines(status(tasks={"waiting": 3}), 1060.0)[1]
    assert [span(s) for s in (0.25, 59, 130, 9000, 1e6, float("nan"))] == [
        "0.25 s", "59 s", "2.17 min", "2.5 h", "11.6 days", "unknown",
    ]  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_redrawn_and_a_log_grows(monkeypatch):
    monkeypatch.setattr(progress, "_REDRAW_EVERY", 0.0)
    monkeypatch.setattr(progress, "_PLAIN_EVERY", 0.0)
    monkeypatch.setattr(progress, "_SHARE", 0)
    terminal, log, now = Terminal(), io.StringIO(), [status()]
    views = [View(lambda: list(now), stream, clock=lambda: 1060.0) for stream in (terminal, log)]
    for _ in range(2):
        for view in views:
            view.update()
    now[0] = status(tasks={"done": 10}, finished=1100.0)
    views[1].note("something new")
    for view in views:
        view.update(last=True)
    assert terminal.getvalue().count("\x1b[3F") == 2  # three lines are written over
    assert "\x1b" not in log.getvalue()
    assert [line.split(";")[0] for line in log.getvalue().splitlines()] == [
        "s: 3 of 10 tasks done, 2 running", "something new", "s: 10 of 10 tasks done, 0 running",
    ]  # fmt: skip


def test_looking_takes_a_small_part_of_the_time(monkeypatch):
    """A store that is slow to look at is looked at less often."""
    now, looks = [0.0], []
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def read() -> list[Status]:
        looks.append(now[0])
        now[0] += 0.5
        return [status()]

    view = View(read, Terminal(), clock=lambda: 1060.0)
    for _ in range(1000):
        now[0] += 0.1
        view.update()
    assert len(looks) * 0.5 < 0.06 * now[0]


# --- estimates ---------------------------------------------------------------------------------------------------


def test_an_estimate_from_finished_tasks_counts_those_to_do(file, tmp_path, capsys):
    run(capsys, file, "--store", tmp_path / "s", "--workers", 0, "--quiet")
    with sqlite3.connect(tmp_path / "s") as db:
        db.execute("UPDATE task SET seconds = 3.0")  # two epochs each
    db.close()
    file.write_text(TEXT.replace("[2, 3, 9]", "[1, 2, 3]").replace("seeds = [0, 1]", "seeds = [0, 1, 2]"))
    sweep = load_sweep(file)
    found = estimate(sweep, next(batches(sweep)).points, tmp_path / "s", 1)
    assert found.tasks == {"train": 5} and found.done == 4 and found.basis == "from the store"
    assert found.seconds["train"] == pytest.approx(15.0)
    assert "about 7.5 s with 2 workers" in found.text(2)
    file.write_text(TEXT + '[strategy]\nkind = "halving"\nfactor = 2\nfirst_epochs = 1\n')
    sweep = load_sweep(file)  # after one epoch one of the two goes on: 3 of 4 epochs
    found = estimate(sweep, next(batches(sweep)).points, tmp_path / "none", 1)
    pace = found.seconds["train"] / (2 * 2 * 2 * 0.75)
    assert 0 < pace < 5 and found.basis.startswith("measured")


def test_measured_epochs_are_about_as_long_as_real_ones(file):
    """Within a factor that tells a wrong count of steps from noise: an epoch of digits by single samples."""
    sweep = load_sweep(file)
    point = make_point(sweep, 0, {"frac": 3})
    one = measured_epoch(point.design, dataclasses.replace(point.run, batch=8))
    other = measured_epoch(point.design, dataclasses.replace(point.run, batch=256))
    assert one > 5 * other  # 180 steps against 6
