"""How far a sweep is: a few lines that are redrawn on a terminal, plain lines elsewhere. The store is asked, so that
the driver and ``lns sweep --watch`` in another terminal show the same."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from sim.sweep.store import FINAL, reading

__all__ = ["Status", "View", "lines", "read_status", "span", "watch"]

_PLAIN_EVERY = 30.0  # seconds between lines off a terminal
_REDRAW_EVERY = 1.0
_SHARE = 20  # looking at the store takes at most a part of this size of the time


@dataclass(frozen=True, slots=True)
class Status:
    """A sweep at one moment.

    Attributes
    ----------
    name : str
    points, impossible, stopped : int
        Listed ones, how many of them are impossible, how many successive halving has stopped.
    tasks : dict
        Status -> tasks, shared ones once.
    left : float
        Seconds of work that is known to be left, by the mean of finished tasks of the kind; NaN if none has finished.
    spent : float
        Seconds of work of the tasks that are done.
    best : str
        The point with the least mean error so far; "" before the first.
    started, finished : float, optional
        Seconds since 1970.
    """

    name: str
    points: int
    impossible: int
    stopped: int
    tasks: dict[str, int]
    left: float
    spent: float
    best: str
    started: float
    finished: float | None

    @property
    def total(self) -> int:
        return sum(self.tasks.values())

    @property
    def ended(self) -> int:
        return sum(self.tasks.get(status, 0) for status in FINAL)

    @property
    def bad(self) -> int:
        return self.tasks.get("failed", 0) + self.tasks.get("timeout", 0)


_TASKS = """
SELECT kind, status, count(*) AS number, sum(seconds) AS seconds FROM task
WHERE key IN (SELECT key FROM point_task WHERE sweep = ?) GROUP BY kind, status
"""

_BEST = """
SELECT variables, avg(accuracy) AS mean, count(*) AS seeds FROM sweep_point JOIN (
    SELECT point_task.point AS point, seed, json_extract(result, '$.test_accuracy') AS accuracy, max(epochs)
    FROM point_task JOIN task ON task.key = point_task.key
    WHERE point_task.sweep = :sweep AND kind = 'train' AND status = 'done' GROUP BY point_task.point, seed
) AS trained ON trained.point = sweep_point.point WHERE sweep = :sweep
GROUP BY ordinal ORDER BY mean DESC, ordinal LIMIT 1
"""


def read_status(db: sqlite3.Connection, sweep: int) -> Status:
    """The status of a sweep by its number in a store."""
    row = db.execute("SELECT name, started, finished FROM sweep WHERE id = ?", (sweep,)).fetchone()
    points, impossible, stopped = db.execute(
        "SELECT count(*), count(reason), count(stopped_at) FROM sweep_point WHERE sweep = ?", (sweep,)
    ).fetchone()
    tasks: dict[str, int] = {}
    left, spent = 0.0, 0.0
    unfinished: dict[str, float] = {}
    mean: dict[str, float] = {}
    for kind, status, number, seconds in db.execute(_TASKS, (sweep,)):
        tasks[status] = tasks.get(status, 0) + number
        spent += seconds or 0.0 if status == "done" else 0.0
        if status == "done":
            mean[kind] = (seconds or 0.0) / number
        elif status in ("waiting", "running"):  # of one that runs, half is done
            unfinished[kind] = unfinished.get(kind, 0.0) + number * (1.0 if status == "waiting" else 0.5)
    left = sum(number * mean.get(kind, float("nan")) for kind, number in unfinished.items())
    best = db.execute(_BEST, {"sweep": sweep}).fetchone()
    shown = ""
    if best is not None:
        described = ", ".join(f"{name} = {value}" for name, value in json.loads(best["variables"]).items())
        seeds = f"{best['seeds']} seed{'s' if best['seeds'] != 1 else ''}"
        shown = f"{100 * (1 - best['mean']):.2f} % error ({seeds}): {described}"
    return Status(
        row["name"], points, impossible, stopped, tasks, left, spent, shown, row["started"], row["finished"]
    )


def span(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds != seconds:
        return "unknown"
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"


def lines(status: Status, now: float) -> list[str]:
    """The view of a status, three lines."""
    running = status.tasks.get("running", 0)
    counts = [f"{status.ended - status.bad} of {status.total} tasks done", f"{running} running"]
    counts += [f"{status.tasks[name]} {text}" for name, text in (("failed", "failed"), ("timeout", "out of time"))
               if status.tasks.get(name)]  # fmt: skip
    points = [f"{status.points} points"]
    points += [f"{status.impossible} impossible"] * bool(status.impossible)
    points += [f"{status.stopped} stopped early"] * bool(status.stopped)
    part = status.ended / status.total if status.total else 1.0
    if status.finished is not None:
        when = f"finished after {span(status.finished - status.started)}"
    elif running:
        when = f"{span(now - status.started)} since the start, about {span(status.left / running)} left"
    else:
        when = f"{span(now - status.started)} since the start, nothing is running"
    bar = ("#" * round(20 * part)).ljust(20, ".")
    return [
        f"{status.name}: {', '.join(counts)}; {', '.join(points)}",
        f"[{bar}] {100 * part:3.0f} %  {when}",
        f"best so far: {status.best or 'none yet'}",
    ]


class View:
    """Shows the statuses of sweeps, not more often than it is worth.

    Parameters
    ----------
    read : callable
        The statuses now.
    stream : text file
        On a terminal what was written before is written over.
    quiet : bool
        Show nothing.
    """

    def __init__(
        self,
        read: Callable[[], list[Status]],
        stream: TextIO | None = None,
        quiet: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._read, self._stream, self._quiet, self._clock = read, stream or sys.stderr, quiet, clock
        self._terminal = self._stream.isatty()
        self._next, self._drawn, self._last = 0.0, 0, ""

    def update(self, last: bool = False) -> None:
        """Show what has changed, if it is time; at the ``last`` call in any case."""
        if self._quiet or (time.monotonic() < self._next and not last):
            return
        begun = time.monotonic()
        shown = [line for status in self._read() for line in lines(status, self._clock())]
        taken = time.monotonic() - begun
        every = _REDRAW_EVERY if self._terminal else _PLAIN_EVERY
        self._next = time.monotonic() + max(every, _SHARE * taken)
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            up = f"\x1b[{self._drawn}F" if self._drawn else ""
            self._stream.write(up + "".join(f"\x1b[2K{line[:width]}\n" for line in shown) + "\x1b[J")
            self._drawn = len(shown)
        elif (text := "; ".join(line.strip() for line in shown)) != self._last:
            self._stream.write(text + "\n")
            self._last = text
        self._stream.flush()

    def note(self, text: str) -> None:
        """A line that stays, above the view."""
        if not self._quiet:
            self._stream.write(f"\x1b[{self._drawn}F\x1b[J{text}\n" if self._drawn else f"{text}\n")
            self._drawn = 0


def watch(path: Path, stream: TextIO) -> None:
    """Show all sweeps of a store until they are finished.

    Raises
    ------
    SweepError
        If there is no store, or it is damaged or of another version.
    """
    opened: AbstractContextManager[sqlite3.Connection] = reading(path)
    with opened as db:

        def read() -> list[Status]:
            return [read_status(db, number) for (number,) in db.execute("SELECT id FROM sweep ORDER BY id").fetchall()]

        view = View(read, stream)
        while any(status.finished is None for status in read()):
            view.update()
            time.sleep(_REDRAW_EVERY)
        view.update(last=True)
