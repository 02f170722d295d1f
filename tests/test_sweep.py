"""Sweeps from plan to results: serial and in a pool, with crashes, limits of time, kills, and several drivers."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import sweep_work

from sim import cli
from sim.sweep.driver import run_sweep, runs_folder
from sim.sweep.execute import Pool, Serial
from sim.sweep.file import parse_sweep
from sim.sweep.progress import read_status
from sim.sweep.results import PointResult, load_results
from sim.sweep.store import Store, reading

TEXT = """
name = "tiny"
base = "madam8"
seeds = [0, 1]
metrics = ["accuracy", "cost"]
[run]
data = "digits"
hidden = [4]
epochs = 2
batch = 256
[axes]
frac = [1, 2, 3, 9]
lr = [0.01, 0.03]
[set]
formats.activation = "lns<8,{frac}>"
run.lr = "{lr}"
"""


def tiny(text: str = TEXT, **changes: Any):
    return dataclasses.replace(parse_sweep(text, Path()), **changes)


def sweep_with(work: str, sweep, store: Path, workers: int = 0, limit: float = math.inf, **options: Any):
    """Its status after a sweep with another work than training."""
    name = f"sweep_work:{work}"
    executor = Pool(workers, 1, limit, name) if workers else Serial(limit, name)
    with Store(store) as opened:
        return run_sweep(sweep, opened, executor, quiet=True, **options)


def table(points: list[PointResult]) -> list[PointResult]:
    """Results without what no two runs share."""
    return [dataclasses.replace(point, seconds=0.0) for point in points]


def attempts(store: Path) -> dict[str, int]:
    with reading(store) as db:
        return dict(db.execute("SELECT key, attempts FROM task"))


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The table of the tiny sweep with `sweep_work.result`."""
    store = tmp_path_factory.mktemp("expected") / "s.sqlite"
    status = sweep_with("echo", tiny(), store)
    assert status.finished is not None and status.bad == 0
    return table(load_results(store))


def test_the_table_of_results(expected):
    assert [point.ordinal for point in expected] == list(range(8))
    assert [point.status for point in expected] == ["done"] * 6 + ["impossible"] * 2
    assert "frac_bits" in expected[7].reason and expected[7].design is None
    first = expected[0]
    assert first.variables == {"frac": 1, "lr": 0.01} and first.seeds == (0, 1) and first.run["lr"] == 0.01
    assert str(first.design.formats.activation) == "lns<8,1>" and first.run["hidden"] == [4]
    mean = sum(first.accuracies) / 2
    assert first.error == pytest.approx(1 - mean)
    assert first.error_spread == pytest.approx(abs(first.accuracies[0] - first.accuracies[1]) / math.sqrt(2))
    assert first.events == {"weight": {"clip": 2}} and len(first.curves) == 2
    assert first.cost == expected[1].cost != expected[2].cost  # the learning rate of a run is not priced


def test_points_that_share_a_cost_share_one_task(tmp_path):
    sweep_with("echo", tiny(), tmp_path / "s.sqlite")
    with reading(tmp_path / "s.sqlite") as db:
        kinds = dict(db.execute("SELECT kind, count(*) FROM task GROUP BY kind"))
        links = db.execute("SELECT count(*) FROM point_task").fetchone()[0]
    assert kinds == {"train": 12, "cost": 3} and links == 18


@pytest.mark.parametrize("workers", [1, 3])
def test_a_pool_gives_the_same_table(tmp_path, expected, workers):
    sweep_with("echo", tiny(), tmp_path / "s.sqlite", workers)
    assert table(load_results(tmp_path / "s.sqlite")) == expected


def test_what_is_done_is_not_done_again(tmp_path, expected):
    store = tmp_path / "s.sqlite"
    sweep_with("echo", tiny(seeds=(0,)), store)
    assert len(attempts(store)) == 9
    sweep_with("echo", tiny(), store)
    sweep_with("echo", tiny(name="other"), store)  # another sweep of the same store
    assert set(attempts(store).values()) == {1} and len(attempts(store)) == 15
    assert table(load_results(store, "tiny")) == expected
    assert [p.accuracies for p in load_results(store, "other")] == [p.accuracies for p in expected]


def test_results_of_another_version_of_the_code_are_kept_and_computed_again(tmp_path, monkeypatch, capsys):
    store = tmp_path / "s.sqlite"
    sweep_with("echo", tiny(), store)
    before = load_results(store)
    monkeypatch.setattr("sim.sweep.points.arithmetic_version", lambda kind: "another")
    with Store(store) as opened:
        run_sweep(tiny(), opened, Serial(work="sweep_work:echo"))
    assert "15 tasks were done before by another version" in capsys.readouterr().err
    assert table(load_results(store)) == table(before) and len(attempts(store)) == 30
    monkeypatch.undo()
    sweep_with("echo", tiny(), store)  # back to the old version: its results are there
    assert table(load_results(store)) == table(before) and len(attempts(store)) == 30
    assert set(attempts(store).values()) == {1}


def test_a_driver_with_something_to_do_does_not_sleep(tmp_path, monkeypatch):
    def sleep(seconds: float) -> None:
        raise AssertionError("slept")

    monkeypatch.setattr("sim.sweep.driver.time.sleep", sleep)
    assert sweep_with("echo", tiny(), tmp_path / "s.sqlite").tasks == {"done": 15}


# --- what goes wrong in a worker ---------------------------------------------------------------------------------


def test_a_task_that_crashes_its_worker_is_tried_again_and_then_failed(tmp_path):
    store = tmp_path / "s.sqlite"
    sweep = tiny(TEXT.replace("[1, 2, 3, 9]", "[1]"), seeds=(0, sweep_work.CRASH, sweep_work.EXIT))
    status = sweep_with("echo", sweep, store, 2)
    points = load_results(store)
    assert status.tasks == {"done": 3, "failed": 4} and status.finished is not None
    assert {point.status for point in points} == {"failed"} and {point.seeds for point in points} == {(0,)}
    with reading(store) as db:
        rows = {row["seed"]: row for row in db.execute("SELECT * FROM task WHERE status = 'failed'")}
    assert rows[sweep_work.CRASH]["error"] == "the worker died by SIGSEGV, and so did 1 before"
    assert rows[sweep_work.EXIT]["error"].startswith("the worker died with exit code 3")
    assert "these were its last words" in rows[sweep_work.CRASH]["traceback"]
    assert "sweep_work.py" in rows[sweep_work.CRASH]["traceback"]  # where it crashed


def test_a_task_that_raises_is_failed_with_its_traceback(tmp_path):
    store = tmp_path / "s.sqlite"
    for workers in (0, 1):
        sweep_with("echo", tiny(seeds=(0, sweep_work.WRONG)), store, workers, retry=True)
        point = load_results(store)[0]
        assert (point.status, point.reason) == ("failed", "train: ZeroDivisionError: planted")
        with reading(store) as db:
            traces = [row[0] for row in db.execute("SELECT traceback FROM task WHERE status = 'failed'")]
        assert len(traces) == 6 and all("raise ZeroDivisionError" in trace for trace in traces)
    assert sorted(attempts(store).values()) == [1] * 9 + [2] * 6


def test_failures_are_tried_again_when_asked_but_lost_workers_always(tmp_path):
    store = tmp_path / "s.sqlite"
    seeds = (0, sweep_work.EXIT, sweep_work.WRONG)
    sweep = tiny(TEXT.replace("[1, 2, 3, 9]", "[1]").replace("[0.01, 0.03]", "[0.01]"), seeds=seeds)
    sweep_with("echo", sweep, store, 1)
    assert sorted(attempts(store).values()) == [1, 1, 1, 1]
    status = sweep_with("nap", sweep, store, 1)  # which neither crashes nor fails
    assert status.tasks == {"done": 3, "failed": 1}
    status = sweep_with("nap", sweep, store, 1, retry=True)
    assert status.tasks == {"done": 4} and load_results(store)[0].status == "done"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_task_that_never_ends_is_stopped_at_its_limit(tmp_path, workers):
    store = tmp_path / "s.sqlite"
    sweep = tiny(TEXT.replace("[1, 2, 3, 9]", "[1]"), seeds=(0, sweep_work.HANG))
    start = time.monotonic()
    status = sweep_with("echo", sweep, store, workers, limit=0.3)
    assert status.tasks == {"done": 3, "timeout": 2} and time.monotonic() - start < 30
    assert load_results(store)[0].reason == "train: took longer than 0.3 s"


def test_workers_share_the_cores(tmp_path):
    store = tmp_path / "s.sqlite"
    with Store(store) as opened:
        run_sweep(tiny(), opened, Pool(2, 3, work="sweep_work:threads"), quiet=True)
    with reading(store) as db:
        found = {json.loads(row[0])["threads"] for row in db.execute("SELECT result FROM task")}
        pids = {row[0] for row in db.execute("SELECT pid FROM task")}
    assert found == {"3"} and 1 <= len(pids) <= 2 and os.getpid() not in pids
    assert not any(alive(pid) for pid in pids)  # they end with the sweep


def test_the_budget_of_hours_ends_a_sweep_that_goes_on_later(tmp_path, expected):
    store = tmp_path / "s.sqlite"
    ticks = iter(range(10**6))
    sweep = tiny(TEXT + "[budget]\nhours = 0.002\n")  # 7.2 s of a clock that takes a second to look at
    status = sweep_with("echo", sweep, store, clock=lambda: next(ticks))
    assert status.finished is None and 0 < status.tasks["done"] < 15 and "running" not in status.tasks
    sweep_with("echo", tiny(), store)
    assert table(load_results(store)) == expected and set(attempts(store).values()) == {1}


# --- kills -------------------------------------------------------------------------------------------------------

_DRIVER = """
import sys
from pathlib import Path
from sim.sweep.driver import run_sweep
from sim.sweep.execute import Pool
from sim.sweep.file import parse_sweep
from sim.sweep.store import Store
text, store, work = sys.argv[1:]
with Store(Path(store)) as opened:
    run_sweep(parse_sweep(text, Path()), opened, Pool(2, 1, work=work), quiet=True)
"""


def start_driver(text: str, store: Path, work: str) -> subprocess.Popen[bytes]:
    """A driver of two workers in a process of its own."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)}
    return subprocess.Popen([sys.executable, "-c", _DRIVER, text, str(store), work], env=environment)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
        except OSError:
            pass
    return found


def finished(store: Path) -> dict[str, str]:
    if not store.exists() or store.stat().st_size == 0:
        return {}
    with reading(store) as db:
        return dict(db.execute("SELECT key, result FROM task WHERE status = 'done'"))


def killed_again_and_again(text: str, store: Path, work: str, kills: int, pause: tuple[float, float]) -> int:
    """SIGKILL to the driver, or to one of its workers and then to the driver, at random moments; then to the end.
    Returns how often a driver was killed before its end."""
    rng, hits = random.Random(os.getpid()), 0
    for number in range(kills):
        before = finished(store)
        driver = start_driver(text, store, work)
        workers: list[int] = []
        while driver.poll() is None and not (workers := children(driver.pid)):
            time.sleep(0.01)
        time.sleep(rng.uniform(*pause))
        workers = children(driver.pid) or workers
        if number % 2 and workers and driver.poll() is None:
            victim = rng.choice(workers)
            if alive(victim):
                os.kill(victim, signal.SIGKILL)
            time.sleep(rng.uniform(0, 0.2))
        hits += driver.poll() is None
        workers = children(driver.pid) or workers
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        deadline = time.monotonic() + 20
        while any(alive(worker) for worker in workers) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not any(alive(worker) for worker in workers)  # none goes on without its driver
        assert before.items() <= finished(store).items()  # nothing that had finished is lost
    assert start_driver(text, store, work).wait() == 0
    return hits


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_kills_of_driver_and_workers_change_nothing(tmp_path, kills):
    text = TEXT.replace("[0.01, 0.03]", "{ range = [0.001, 0.02], step = 0.001 }")
    store = tmp_path / "s.sqlite"
    hits = killed_again_and_again(text, store, "sweep_work:nap", kills, (0.0, 0.6))
    assert hits >= kills - 2 and hits > 0
    sweep_with("echo", tiny(text), tmp_path / "quiet.sqlite")
    assert table(load_results(store)) == table(load_results(tmp_path / "quiet.sqlite"))


@pytest.mark.slow
def test_ten_kills_of_real_trainings_change_nothing(tmp_path):
    text = TEXT.replace('["accuracy", "cost"]', '["accuracy"]').replace("epochs = 2", "epochs = 400")
    store = tmp_path / "s.sqlite"
    hits = killed_again_and_again(text, store, "sim.sweep.work:work", 10, (0.2, 2.0))
    assert hits >= 5
    with Store(tmp_path / "quiet.sqlite") as opened:
        run_sweep(tiny(text), opened, Serial(), quiet=True)
    assert table(load_results(store)) == table(load_results(tmp_path / "quiet.sqlite"))
    assert not runs_folder(store).exists()


def test_a_worker_ends_with_its_driver_whatever_it_is_at(tmp_path):
    text = TEXT.replace("[1, 2, 3, 9]", "[1]").replace("seeds = [0, 1]", f"seeds = [{sweep_work.HANG}]")
    driver = start_driver(text, tmp_path / "s.sqlite", "sweep_work:echo")
    busy = "SELECT count(*) FROM task WHERE status = 'running'"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:  # both workers hang, one after it had begun with a price
        time.sleep(0.05)
        if len(finished(tmp_path / "s.sqlite")) == 1:
            with reading(tmp_path / "s.sqlite") as db:
                if db.execute(busy).fetchone()[0] == 2:
                    break
    workers = children(driver.pid)
    assert len(workers) == 2 and all(alive(worker) for worker in workers)
    driver.kill()
    driver.wait()
    while any(alive(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(alive(worker) for worker in workers)


def test_two_drivers_share_a_store_and_no_task(tmp_path):
    text = TEXT.replace("[0.01, 0.03]", "{ range = [0.001, 0.01], step = 0.001 }")
    store = tmp_path / "s.sqlite"
    drivers = [start_driver(text.replace("tiny", name), store, "sweep_work:nap") for name in ("one", "two")]
    assert [driver.wait() for driver in drivers] == [0, 0]
    with reading(store) as db:  # and the one that finds nothing left to do says so soon
        (last,) = db.execute("SELECT max(finished) FROM task").fetchone()
    assert time.time() - last < 15
    assert set(attempts(store).values()) == {1}
    results = {name: table(load_results(store, name)) for name in ("one", "two")}
    assert [p.accuracies for p in results["one"]] == [p.accuracies for p in results["two"]]
    assert {p.status for p in results["one"]} == {"done", "impossible"}


# --- trainings ---------------------------------------------------------------------------------------------------


def test_real_trainings_are_the_same_serial_and_in_a_pool(tmp_path):
    sweep = tiny(TEXT.replace('["accuracy", "cost"]', '["accuracy"]').replace("[1, 2, 3, 9]", "[2, 3]"))
    tables = []
    for name, executor in (("serial", Serial()), ("pool", Pool(2, 1))):
        with Store(tmp_path / f"{name}.sqlite") as opened:
            run_sweep(sweep, opened, executor, quiet=True)
        tables.append(table(load_results(tmp_path / f"{name}.sqlite")))
        assert not runs_folder(tmp_path / f"{name}.sqlite").exists()
    assert tables[0] == tables[1]
    assert all(point.status == "done" and 0 < point.error < 0.95 for point in tables[0])
    # and as lns train does it
    point, out = tables[0][0], tmp_path / "run"
    (tmp_path / "design.toml").write_text(point.design.to_toml())
    command = ["train", str(tmp_path / "design.toml"), "--data", "digits", "--hidden", "4", "--epochs", "2"]
    assert cli.main([*command, "--batch", "256", "--lr", "0.01", "--seed", "1", "--quiet", "--out", str(out)]) == 0
    assert json.loads((out / "result.json").read_text())["test_accuracy"] == point.accuracies[1]


def test_runs_are_kept_when_asked(tmp_path):
    sweep = tiny(TEXT.replace('["accuracy", "cost"]', '["accuracy"]').replace("[1, 2, 3, 9]", "[2]"), seeds=(0,))
    with Store(tmp_path / "s.sqlite") as opened:
        run_sweep(sweep, opened, Serial(), quiet=True, keep_runs=True)
    folders = [path for path in runs_folder(tmp_path / "s.sqlite").iterdir() if path.is_dir()]
    assert len(folders) == 2 and all((folder / "result.json").is_file() for folder in folders)


def test_a_worker_with_other_code_refuses(tmp_path, monkeypatch):
    monkeypatch.setattr("sim.sweep.points.arithmetic_version", lambda kind: "another")  # the driver's, not the worker's
    sweep = tiny(TEXT.replace('["accuracy", "cost"]', '["accuracy"]').replace("[1, 2, 3, 9]", "[2]"), seeds=(0,))
    with Store(tmp_path / "s.sqlite") as opened:
        status = run_sweep(sweep, opened, Serial(), quiet=True)
    assert status.tasks == {"failed": 2}
    assert "another version of the arithmetic than the driver" in load_results(tmp_path / "s.sqlite")[0].reason


def test_the_status_knows_the_best_point(tmp_path, expected):
    sweep_with("echo", tiny(), tmp_path / "s.sqlite")
    with reading(tmp_path / "s.sqlite") as db:
        status = read_status(db, 1)
    best = min(expected[:6], key=lambda point: point.error)
    assert status.best == f"{100 * best.error:.2f} % error (2 seeds): frac = {best.variables['frac']}, lr = " + str(
        best.variables["lr"]
    )
    assert (status.points, status.impossible, status.total, status.ended) == (8, 2, 15, 15)
