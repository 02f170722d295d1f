"""The store of sweeps: one SQLite file, which is the truth about what is done.

Only drivers write it, several at a time if they like; workers never open it. What is committed survives a kill of
everything at any moment. A task belongs to the driver that claimed it until that driver finishes it, is gone (seen at
once on its own machine), or has not renewed its lease.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim.sweep.errors import SweepError
from sim.sweep.owner import gone, owner_identity

__all__ = ["FINAL", "LEASE", "LOST", "VERSION", "Outcome", "Row", "Store", "Task", "reading"]

VERSION = 1  #: of the tables, in SQLite's user_version

LEASE = 120.0  #: seconds after which another machine's driver that gave no sign of life has lost its tasks

LOST = "the worker died"  #: how the error of a task begins whose worker died whenever it was tried

FINAL = ("done", "failed", "timeout")  #: statuses after which nothing happens to a task by itself

_BUSY = 60.0  # seconds to wait for another driver's transaction

_TABLES = """
CREATE TABLE sweep (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, text TEXT NOT NULL, started REAL, finished REAL);
CREATE TABLE point (id TEXT PRIMARY KEY, design TEXT NOT NULL, run TEXT NOT NULL);
CREATE TABLE sweep_point (
    sweep INTEGER NOT NULL, ordinal INTEGER NOT NULL, variables TEXT NOT NULL, point TEXT, reason TEXT,
    stopped_at INTEGER, PRIMARY KEY (sweep, ordinal)
);
CREATE TABLE task (
    key TEXT PRIMARY KEY, point TEXT NOT NULL, kind TEXT NOT NULL, seed INTEGER, epochs INTEGER, status TEXT NOT NULL,
    result TEXT, error TEXT, traceback TEXT, host TEXT, pid INTEGER, versions TEXT, started REAL, finished REAL,
    seconds REAL, attempts INTEGER NOT NULL DEFAULT 0, owner TEXT, lease REAL
);
CREATE INDEX task_status ON task (status);
CREATE INDEX task_point ON task (point);
CREATE TABLE point_task (
    point TEXT NOT NULL, key TEXT NOT NULL, sweep INTEGER NOT NULL, PRIMARY KEY (sweep, point, key)
);
"""


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to compute.

    Attributes
    ----------
    key : str
        Of everything that determines the result (`sim.sweep.key`).
    point, design, run : str
        The point's id, its design as TOML, its run configuration as JSON.
    kind : str
        ``train``, ``cost`` or ``verify``.
    seed, epochs : int, optional
        Of a training; epochs: after how many of the run's it stops.
    settings : dict
        What else the work needs (`sim.sweep.work`).
    """

    key: str
    point: str
    design: str
    run: str
    kind: str
    seed: int | None = None
    epochs: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task ended. ``status`` is one of `FINAL`, or ``lost``: its worker died. Times in seconds, those of day
    since 1970."""

    key: str
    status: str
    result: dict[str, Any] | None = None
    error: str = ""
    traceback: str = ""
    host: str = ""
    pid: int = 0
    versions: str = ""
    started: float = 0.0
    finished: float = 0.0

    @property
    def seconds(self) -> float:
        return self.finished - self.started


@dataclass(frozen=True, slots=True)
class Row:
    """A point as a sweep lists it: ``design`` (TOML) and ``run`` (JSON) of a possible one, or why it is not."""

    ordinal: int
    variables: Mapping[str, Any]
    point: str | None = None
    design: str = ""
    run: str = ""
    reason: str | None = None


def _problem(path: Path, code: int, error: object) -> str:
    """What one of SQLite's errors means to who runs a sweep."""
    what = {
        sqlite3.SQLITE_FULL: "the disk is full; what had finished is safe, and the same command goes on from there",
        sqlite3.SQLITE_IOERR: f"cannot be written ({error}): is the disk full? What had finished is safe",
        sqlite3.SQLITE_READONLY: "is read-only: a sweep needs to write its store; lns report can read it",
        sqlite3.SQLITE_CANTOPEN: "cannot be opened: there is no such file or folder, or it may not be read",
        sqlite3.SQLITE_NOTADB: "is not a store: not an SQLite file",
        sqlite3.SQLITE_CORRUPT: "is damaged and left untouched; what can be read of it: "
        f"sqlite3 {path} .recover | sqlite3 recovered.sqlite",
        sqlite3.SQLITE_BUSY: f"another process has held it for {_BUSY:g} s; try again",
    }
    return f"store {path}: {what.get(code, error)}"


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise SweepError(_problem(path, getattr(error, "sqlite_errorcode", 0) & 0xFF, error)) from error


def _check_version(db: sqlite3.Connection, path: Path) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    if version == 0:
        raise SweepError(f"store {path}: is not a store of sweeps, but another SQLite file")
    age = "a newer" if version > VERSION else "an older"
    raise SweepError(
        f"store {path}: was written by {age} version of lns-hardware (tables of version {version}, this one has "
        f"{VERSION}); it is left untouched: use that version, or another --store"
    )


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that changes nothing, of a store that may be read-only and that a driver may be writing.

    Raises
    ------
    SweepError
        If there is no store, or it is damaged or of another version.
    """
    if not path.is_file():
        raise SweepError(f"store {path}: there is no such file")
    with _explained(path):
        # a journal that a killed driver left can only be rolled back where writing is allowed: that first
        for mode in ("rw", "ro"):
            try:
                db = sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=_BUSY)
                db.execute("PRAGMA user_version").fetchone()
                break
            except sqlite3.OperationalError:
                if mode == "ro":
                    raise
        with closing(db):
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA query_only = 1")
            _check_version(db, path)
            yield db


class Store:
    """A store that is open for a driver.

    Parameters
    ----------
    path : Path
        Made with its folder if it is not there.
    clock : callable
        Seconds since 1970.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path, self.owner, self._clock = Path(path), owner_identity(), clock
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _explained(self.path):
            self._db = sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None)
            try:
                self._open()
            except BaseException:
                self._db.close()
                raise

    def _open(self) -> None:
        self._db.row_factory = sqlite3.Row
        (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise SweepError(_problem(self.path, sqlite3.SQLITE_CORRUPT, verdict))
        self._db.execute("PRAGMA journal_mode = PERSIST")  # as safe as deleting the journal each time, and much faster
        with self._transaction() as db:
            (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if not tables and not version:
                for statement in _TABLES.split(";\n"):
                    db.execute(statement)
            else:
                _check_version(db, self.path)
            db.execute(f"PRAGMA user_version = {VERSION}")  # fails on a file that cannot be written

    @property
    def connection(self) -> sqlite3.Connection:
        """For reading."""
        return self._db

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # another driver may be at it
            self._db.execute("PRAGMA busy_timeout = 0")
            self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything in the block, or nothing of it."""
        with _explained(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    # --- planning ------------------------------------------------------------------------------------------------

    def begin(self, name: str, text: str) -> int:
        """The sweep of a name, with an empty list of points: its file may have changed. Results stay."""
        with self._transaction() as db:
            db.execute(
                "INSERT INTO sweep (name, text, started) VALUES (?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET text = excluded.text, started = excluded.started, "
                "finished = NULL",
                (name, text, self._clock()),
            )
            (sweep,) = db.execute("SELECT id FROM sweep WHERE name = ?", (name,)).fetchone()
            db.execute("DELETE FROM sweep_point WHERE sweep = ?", (sweep,))
            db.execute("DELETE FROM point_task WHERE sweep = ?", (sweep,))
        return int(sweep)

    def plan(self, sweep: int, rows: Iterable[Row], tasks: Iterable[tuple[str, Task]], retry: bool = False) -> None:
        """Lists points of a sweep and links them with their tasks; tasks that are new wait.

        Parameters
        ----------
        rows : iterable of Row
        tasks : iterable of (point, task)
            Points that share a task give it each.
        retry : bool
            Whether tasks that failed or ran out of time wait again. Those whose worker died always do.
        """
        again = "status IN ('failed', 'timeout')" if retry else f"status = 'failed' AND error LIKE '{LOST}%'"
        with self._transaction() as db:
            for row in rows:
                if row.point is not None:
                    db.execute("INSERT OR IGNORE INTO point VALUES (?, ?, ?)", (row.point, row.design, row.run))
                db.execute(
                    "INSERT OR REPLACE INTO sweep_point VALUES (?, ?, ?, ?, ?, NULL)",
                    (sweep, row.ordinal, json.dumps(dict(row.variables)), row.point, row.reason),
                )
            for point, task in tasks:
                db.execute(
                    "INSERT OR IGNORE INTO task (key, point, kind, seed, epochs, status) VALUES (?,?,?,?,?,'waiting')",
                    (task.key, task.point, task.kind, task.seed, task.epochs),
                )
                db.execute("INSERT OR IGNORE INTO point_task VALUES (?, ?, ?)", (point, task.key, sweep))
                db.execute(
                    f"UPDATE task SET status = 'waiting', error = NULL, traceback = NULL WHERE key = ? AND {again}",
                    (task.key,),
                )

    def superseded(self, sweep: int) -> int:
        """How many tasks of a sweep are to be done although the same was done before, under another key: by another
        version of the code, or with other settings."""
        with _explained(self.path):
            (count,) = self._db.execute(
                "SELECT count(DISTINCT new.key) FROM point_task JOIN task AS new ON new.key = point_task.key "
                "JOIN task AS old ON old.point = point_task.point AND old.kind = new.kind AND old.seed IS new.seed "
                "AND old.epochs IS new.epochs WHERE sweep = ? AND new.status = 'waiting' AND old.status = 'done'",
                (sweep,),
            ).fetchone()
        return int(count)

    def stop(self, sweep: int, ordinals: Mapping[int, int]) -> None:
        """Points (by ordinal) that went no further than so many epochs."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE sweep_point SET stopped_at = ? WHERE sweep = ? AND ordinal = ?",
                [(epochs, sweep, ordinal) for ordinal, epochs in ordinals.items()],
            )

    def end(self, sweep: int) -> None:
        """The sweep is finished."""
        with self._transaction() as db:
            db.execute("UPDATE sweep SET finished = ? WHERE id = ?", (self._clock(), sweep))

    # --- tasks ---------------------------------------------------------------------------------------------------

    def exchange(self, outcomes: Sequence[Outcome], wanted: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """One transaction of the driver's loop: writes how tasks ended, and claims others.

        Parameters
        ----------
        outcomes : sequence of Outcome
        wanted : sequence of keys

        Returns
        -------
        claimed : list of the wanted keys that are ours now
        others : dict, the status of those that are not
        """
        now = self._clock()
        claimed, others = [], {}
        with self._transaction() as db:
            for one in outcomes:
                result = None if one.result is None else json.dumps(one.result)
                db.execute(
                    "UPDATE task SET status = ?, result = ?, error = ?, traceback = ?, host = ?, pid = ?, "
                    "versions = ?, started = ?, finished = ?, seconds = ?, owner = NULL, lease = NULL WHERE key = ?",
                    (
                        one.status, result, one.error or None, one.traceback or None, one.host, one.pid, one.versions,
                        one.started, one.finished, one.seconds, one.key,
                    ),
                )  # fmt: skip
            for key in wanted:
                taken = db.execute(
                    "UPDATE task SET status = 'running', owner = ?, lease = ?, started = ?, attempts = attempts + 1 "
                    "WHERE key = ? AND status = 'waiting'",
                    (self.owner, now + LEASE, now, key),
                )
                if taken.rowcount:
                    claimed.append(key)
                else:
                    (others[key],) = db.execute("SELECT status FROM task WHERE key = ?", (key,)).fetchone()
        return claimed, others

    def release(self, keys: Sequence[str]) -> None:
        """Tasks of ours that will not be done now wait again."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE task SET status = 'waiting', owner = NULL, lease = NULL WHERE key = ? AND owner = ?",
                [(key, self.owner) for key in keys],
            )

    def renew(self) -> None:
        """Renews our leases; tasks of drivers that are gone wait again."""
        now = self._clock()
        with self._transaction() as db:
            db.execute("UPDATE task SET lease = ? WHERE status = 'running' AND owner = ?", (now + LEASE, self.owner))
            owners = db.execute(
                "SELECT owner, max(lease) FROM task WHERE status = 'running' AND owner <> ? GROUP BY owner",
                (self.owner,),
            ).fetchall()
            for owner, lease in owners:
                if gone(owner, lease, now):
                    db.execute(
                        "UPDATE task SET status = 'waiting', owner = NULL, lease = NULL "
                        "WHERE status = 'running' AND owner = ?",
                        (owner,),
                    )

    def results(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The results of those tasks that are done."""
        found = {}
        with _explained(self.path):
            for key in keys:
                row = self._db.execute("SELECT result FROM task WHERE key = ? AND status = 'done'", (key,)).fetchone()
                if row is not None:
                    found[key] = json.loads(row["result"])
        return found

    def statuses(self, keys: Iterable[str]) -> dict[str, str]:
        """The statuses of tasks."""
        with _explained(self.path):
            rows = ((key, self._db.execute("SELECT status FROM task WHERE key = ?", (key,)).fetchone()) for key in keys)
            return {key: row["status"] for key, row in rows if row is not None}
