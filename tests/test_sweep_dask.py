"""Sweeps on a Dask cluster of this machine: the same table as in series, and what is lost with a worker."""

from __future__ import annotations

import dataclasses
import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sweep_work

from sim import cli
from sim.sweep.driver import run_sweep
from sim.sweep.errors import SweepError
from sim.sweep.execute import Serial
from sim.sweep.file import parse_sweep
from sim.sweep.results import load_results
from sim.sweep.store import Store

distributed = pytest.importorskip("distributed", reason="pip install 'dask[distributed]'")

from sim.sweep.dask import DaskExecutor  # noqa: E402

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
frac = [1, 2, 3]
[set]
formats.activation = "lns<8,{frac}>"
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=":0") as found:
        yield found


def outcome(path: Path, sweep, executor):
    with Store(path) as store:
        status = run_sweep(sweep, store, executor, quiet=True)
    assert status.finished is not None
    return [dataclasses.replace(point, seconds=0.0) for point in load_results(path)]


def test_a_cluster_gives_the_same_table_as_this_process(cluster, tmp_path):
    sweep = parse_sweep(TEXT, Path())
    points = outcome(tmp_path / "dask", sweep, DaskExecutor(cluster.scheduler_address, 1))
    assert points == outcome(tmp_path / "serial", sweep, Serial())
    assert {point.status for point in points} == {"done"}


def test_crashes_and_limits_of_time_are_those_of_a_task(cluster, tmp_path):
    seeds = (0, sweep_work.CRASH, sweep_work.WRONG, sweep_work.HANG)
    sweep = dataclasses.replace(parse_sweep(TEXT.replace("[1, 2, 3]", "[1]"), Path()), seeds=seeds)
    executor = DaskExecutor(cluster.scheduler_address, 1, 1.0, "sweep_work:echo")
    with Store(tmp_path / "s") as store:
        status = run_sweep(sweep, store, executor, quiet=True)
        errors = {row["seed"]: row["error"] for row in store.connection.execute("SELECT seed, error FROM task")}
    assert status.tasks == {"done": 1, "failed": 2, "timeout": 1}
    assert errors == {
        0: None, sweep_work.CRASH: "the worker died by SIGSEGV, and so did 1 before",
        sweep_work.WRONG: "ZeroDivisionError: planted", sweep_work.HANG: "took longer than 1 s",
    }  # fmt: skip


def test_a_lost_worker_costs_its_running_tasks_only(tmp_path):
    """A Dask worker is killed while it works: the sweep goes on on the other one and on its successor."""
    text = TEXT.replace("[1, 2, 3]", "[1, 2, 3, 4]").replace("seeds = [0, 1]", f"seeds = {list(range(12))}")
    sweep = parse_sweep(text, Path())
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        executor = DaskExecutor(cluster.scheduler_address, 1, math.inf, "sweep_work:nap")
        pid = next(iter(executor._client.run(os.getpid).values()))

        def kill() -> None:
            time.sleep(1.0)
            os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        points = outcome(tmp_path / "dask", sweep, executor)
        killer.join()
    assert points == outcome(tmp_path / "serial", sweep, Serial(work="sweep_work:echo"))


def test_where_no_scheduler_answers(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sim.sweep.dask._CONNECT", 1.0)
    with pytest.raises(SweepError, match=r"--scheduler tcp://127.0.0.1:9: no Dask scheduler answers there"):
        DaskExecutor("tcp://127.0.0.1:9", 1)
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    (tmp_path / "s.toml").write_text(TEXT)
    command = ["sweep", str(tmp_path / "s.toml"), "--store", str(tmp_path / "s"), "--scheduler", "tcp://x:1"]
    assert cli.main(command) == 2
    assert "--scheduler needs the package distributed" in capsys.readouterr().err
