"""``lns sweep``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sim.sweep.driver import run_sweep
from sim.sweep.errors import SweepError
from sim.sweep.estimate import estimate
from sim.sweep.execute import Executor, Pool, Serial, threads_for
from sim.sweep.file import Sweep, load_sweep
from sim.sweep.points import Point
from sim.sweep.progress import Status, lines, span, watch
from sim.sweep.results import load_results, write_csv, write_parquet
from sim.sweep.store import Store
from sim.sweep.strategy import batches

__all__ = ["add_arguments", "run"]

_RUNS = Path("runs")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``lns sweep``."""
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE.toml", help="the sweep file (docs/sweep.md)")
    parser.add_argument("--store", type=Path, help="the SQLite file of results (default: runs/NAME.sqlite)")
    parser.add_argument("--dry-run", action="store_true", help="list the points and estimate the time; begin nothing")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes (default: one a core; 0: in this process)"
    )  # fmt: skip
    parser.add_argument("--threads", type=int, metavar="N", help="of the kernels of each worker (default: they share)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster, or its scheduler file")
    parser.add_argument("--retry", action="store_true", help="try again what failed or ran out of time")
    parser.add_argument("--keep-runs", action="store_true", help="keep run directories, in STORE.runs")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument("--watch", type=Path, metavar="STORE", help="show how the sweeps of a store are getting on")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the results as a table; without FILE.toml: of "
                        "what --store has")  # fmt: skip
    parser.add_argument("--parquet", type=Path, metavar="FILE", help="the same, needs pyarrow")


def run(args: argparse.Namespace) -> int:
    """Run ``lns sweep``: 0 if all that was asked for is done, 1 if something failed or is left for lack of time."""
    if args.watch is not None:
        watch(args.watch, sys.stdout)
        return 0
    if args.file is None:
        if args.store is None or (args.csv is None and args.parquet is None):
            raise SweepError("FILE.toml is required, or --watch STORE, or --store STORE with --csv or --parquet")
        _export(args, args.store, None)
        return 0
    sweep = load_sweep(args.file)
    store = args.store or _RUNS / f"{sweep.name}.sqlite"
    workers = threads_for(1) if args.workers is None else args.workers
    if workers < 0 or (args.threads is not None and args.threads < 1):
        raise SweepError(f"--workers must be at least 0 and --threads 1, got {args.workers} and {args.threads}")
    threads = args.threads or (1 if args.scheduler else threads_for(workers))
    if args.dry_run:
        _dry_run(args, sweep, store, max(1, workers), threads)
        return 0
    limit = sweep.budget.point_seconds or math.inf
    with Store(store) as opened:
        executor = _executor(args, workers, threads, limit)
        try:
            status = run_sweep(sweep, opened, executor, keep_runs=args.keep_runs, retry=args.retry, quiet=args.quiet)
        except KeyboardInterrupt:
            print("\nstopped; the same command goes on", file=sys.stderr)
            raise
    _export(args, store, sweep.name)
    _summary(args, status, store)
    return 0 if status.finished is not None and not status.bad else 1


def _executor(args: argparse.Namespace, workers: int, threads: int, limit: float) -> Executor:
    if args.scheduler is not None:
        if args.workers is not None:
            raise SweepError("--workers is of this machine: with --scheduler, the cluster has its own")
        from sim.sweep.dask import DaskExecutor

        return DaskExecutor(args.scheduler, threads, limit)
    return Pool(workers, threads, limit) if workers else Serial(limit)


def _export(args: argparse.Namespace, store: Path, sweep: str | None) -> None:
    for path, write in ((args.csv, write_csv), (args.parquet, write_parquet)):
        if path is not None:
            write(load_results(store, sweep), path)


def _summary(args: argparse.Namespace, status: Status, store: Path) -> None:
    points = load_results(store, status.name)
    failed = [point for point in points if point.status in ("failed", "timeout")]
    if args.json:
        left = None if math.isnan(status.left) else status.left  # JSON has no NaN
        table = dataclasses.asdict(status) | {"store": str(store), "left": left}
        table["failures"] = [{"ordinal": p.ordinal, "variables": p.variables, "reason": p.reason} for p in failed]
        print(json.dumps(table, indent=2))
        return
    if args.quiet:
        print("\n".join(lines(status, status.finished or status.started)))
    for point in failed[:20]:
        print(f"point {point.ordinal} ({described(point.variables)}): {point.reason}")
    if len(failed) > 20:
        print(f"… and {len(failed) - 20} more")
    if failed:
        print("--retry tries them again")
    if status.finished is None:
        print("the hours of the budget are over; the same command goes on")
    print(f"results: {store}; next: lns report {store} -o report.html")


def described(variables: dict[str, Any]) -> str:
    """Variables as ``bits = 8, frac = 3``."""
    return ", ".join(f"{name} = {value}" for name, value in variables.items())


def _dry_run(args: argparse.Namespace, sweep: Sweep, store: Path, workers: int, threads: int) -> None:
    first = next(batches(sweep))
    points: Sequence[Point] = first.points
    searched = sweep.strategy.kind in ("nsga2", "tpe")
    expected = estimate(sweep, points, store, threads)
    if args.json:
        rows = [{"ordinal": p.ordinal, "variables": dict(p.variables), "reason": p.reason or None} for p in points]
        table = {"sweep": sweep.name, "strategy": sweep.strategy.kind, "points": rows, "workers": workers}
        print(json.dumps(table | {"estimate": dataclasses.asdict(expected)}, indent=2))
        return
    for point in points:
        note = "" if point.possible else f"   impossible: {point.reason}"
        print(f"{point.ordinal:>5}  {described(dict(point.variables))}{note}")
    impossible = sum(not point.possible for point in points)
    print(f"{sweep.name}: {len(points)} points, {impossible} of them impossible; {sweep.strategy.kind}")
    if searched:
        print(f"this is the first population of {sweep.strategy.count} points: the next depend on its results")
    if expected.done:
        print(f"{expected.done} tasks are done already, in {store}")
    print(expected.text(workers))
    if sweep.budget.hours:
        print(f"the budget is {span(3600 * sweep.budget.hours)}")
