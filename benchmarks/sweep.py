"""What a sweep costs besides its work, how its time falls with workers, and how large one may be.

    python benchmarks/sweep.py [--points 10000] [--at-once 500]

- *overhead*: milliseconds a point of points that do nothing: wall time of a sweep, planning and store included, less
  that of a sweep of two points, in which workers start.
- *workers*: seconds of a sweep of small trainings with one worker and with two, one thread each.
- *simulated*: the driver and the store at their real speed, workers that exist on paper: a clock that jumps to the next
  end of a task when the driver waits. Beside it, what the same tasks take on as many workers without any driver.
"""

from __future__ import annotations

import heapq
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.timing import finish, parse, parser, show, spread, table
from sim.sweep.driver import run_sweep
from sim.sweep.execute import Executor, Pool, Serial
from sim.sweep.file import Sweep, parse_sweep
from sim.sweep.store import Outcome, Store, Task

FILE = """
name = "benchmark"
base = "madam8"
[run]
data = "digits"
hidden = [32]
epochs = {epochs}
batch = 32
[axes]
number = {{ range = [1, {points}] }}
[set]
run.lr = "{{number / 1e6}}"
[budget]
points = 1000000
"""

RESULT = {
    "test_accuracy": 0.98, "test_loss": 0.1, "train_loss": 0.1, "epochs": 40, "events": {"weight": {"clip": 100}},
    "curve": [{"epoch": n, "test_accuracy": 0.98123, "train_loss": 0.12345} for n in range(40)],
}  # fmt: skip


def nothing(task: Task) -> dict[str, Any]:
    """A result, at once."""
    return RESULT


class Simulated:
    """Workers on paper, and the clock: real time, and jumps over the times in which the driver has nothing to do."""

    def __init__(self, workers: int, mean: float) -> None:
        self.capacity, self._mean, self._random = workers, mean, random.Random(0)
        self._skipped, self._ends = 0.0, list[tuple[float, float, str]]()
        self._perfect = [0.0] * workers  # when each would be free if nothing but its tasks took time

    def now(self) -> float:
        return time.perf_counter() + self._skipped

    def submit(self, task: Task) -> None:
        seconds = self._random.lognormvariate(0.0, 0.5) * self._mean
        heapq.heapreplace(self._perfect, self._perfect[0] + seconds)
        heapq.heappush(self._ends, (self.now() + seconds, seconds, task.key))

    def wait(self, timeout: float) -> list[Outcome]:
        self._skipped += max(0.0, self._ends[0][0] - self.now())
        ended = []
        while self._ends and self._ends[0][0] <= self.now():
            end, seconds, key = heapq.heappop(self._ends)
            ended.append(Outcome(key, "done", RESULT, started=end - seconds, finished=end))
        return ended

    def close(self) -> None:
        pass

    @property
    def perfect(self) -> float:
        """Seconds without any loss."""
        return max(self._perfect)


def sweep_of(points: int, epochs: int = 1) -> Sweep:
    return parse_sweep(FILE.format(points=points, epochs=epochs), Path())


def seconds_of(sweep: Sweep, executor: Executor, **options: Any) -> float:
    """Wall time of a sweep in a new store."""
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "s.sqlite") as store:
        start = time.perf_counter()
        status = run_sweep(sweep, store, executor, quiet=True, **options)
        assert status.finished is not None and not status.bad
        return time.perf_counter() - start


def overhead(rounds: int, points: int) -> list[dict[str, Any]]:
    kinds = {
        "in this process": lambda: Serial(work="benchmarks.sweep:nothing"),
        "1 worker": lambda: Pool(1, 1, work="benchmarks.sweep:nothing"),
        "2 workers": lambda: Pool(2, 1, work="benchmarks.sweep:nothing"),
    }
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, make in kinds.items():
            start = seconds_of(sweep_of(2), make())
            times[name].append(1e3 * (seconds_of(sweep_of(points), make()) - start) / (points - 2))
    return [
        {"part": "overhead", "name": name, "points": points, "ms_a_point": spread(found)}
        for name, found in times.items()
    ]


def workers(rounds: int, points: int, epochs: int) -> list[dict[str, Any]]:
    times: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for number in times:
            times[number].append(seconds_of(sweep_of(points, epochs), Pool(number, 1)))
    ratios = [one / two for one, two in zip(times[1], times[2], strict=True)]
    return [
        {
            "part": "workers", "name": f"{number} worker{'s' * (number > 1)}", "points": points, "epochs": epochs,
            "seconds": spread(found), "speedup": spread(ratios if number == 2 else [1.0]),
        }
        for number, found in times.items()
    ]  # fmt: skip


def simulated(points: int, at_once: int, mean: float) -> dict[str, Any]:
    executor = Simulated(at_once, mean)
    begun, real = executor.now(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "s.sqlite", executor.now) as store:
        run_sweep(sweep_of(points), store, executor, quiet=True, clock=executor.now)
        size = store.path.stat().st_size
    makespan, real = executor.now() - begun, time.perf_counter() - real
    return {
        "part": "simulated", "name": f"{points} points, {at_once} workers", "mean_s": mean, "makespan_s": makespan,
        "driver_s": real, "driver_share": real / makespan, "ms_a_point": 1e3 * real / points,
        "perfect_s": executor.perfect, "store_mb": size / 1e6,
    }  # fmt: skip


def main() -> int:
    command = parser(__doc__, rounds=3)
    command.add_argument("--points", type=int, default=10_000, help="of the simulated sweep (%(default)s)")
    command.add_argument("--at-once", type=int, default=500, help="its workers (%(default)s)")
    args = parse(command)
    quick = args.quick
    rows = overhead(args.rounds, 8 if quick else 300)
    rows += workers(args.rounds, 4, 1) if quick else workers(args.rounds, 12, 20)
    for mean in (60.0,) if quick else (60.0, 600.0):
        rows.append(simulated(*((100, 10) if quick else (args.points, args.at_once)), mean))
    first = [[r["name"], show(r["ms_a_point"])] for r in rows if r["part"] == "overhead"]
    second = [[r["name"], show(r["seconds"]), show(r["speedup"])] for r in rows if r["part"] == "workers"]
    third = [
        [r["name"], r["mean_s"], f"{r['makespan_s']:.0f}", f"{r['perfect_s']:.0f}", f"{r['driver_s']:.1f}",
         f"{100 * r['driver_share']:.2g} %", f"{r['ms_a_point']:.2f}"]
        for r in rows if r["part"] == "simulated"
    ]  # fmt: skip
    text = [
        table(["points that do nothing", "ms a point: median (least … most)"], first),
        table(["trainings", "seconds", "times one worker"], second),
        table(["simulated", "mean s a task", "takes s", "without any loss", "driver and store s", "of the time",
               "ms a point"], third),
    ]  # fmt: skip
    return finish(args, rows, "\n\n".join(text))


if __name__ == "__main__":
    sys.exit(main())
