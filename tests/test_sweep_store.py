"""The store of sweeps: claims and leases, and everything that can be wrong with a file."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from sim import cli
from sim.sweep.errors import SweepError
from sim.sweep.owner import owner_identity, start_of
from sim.sweep.results import load_results
from sim.sweep.store import LEASE, Outcome, Row, Store, Task, reading

TASKS = [Task(f"key{n}", "p", "", "", "train", n, 3) for n in range(4)]
KEYS = [task.key for task in TASKS]
NO_PROCESS = 2**22 + 1  # above the kernel's largest process number


def planned(path: Path, clock=lambda: 1000.0) -> tuple[Store, int]:
    """A store with a sweep of four tasks that wait."""
    store = Store(path, clock)
    sweep = store.begin("s", "text")
    store.plan(sweep, [Row(0, {"a": 1}, "p", "", "{}")], [("p", task) for task in TASKS])
    return store, sweep


def of_owner(path: Path, owner: str, clock=lambda: 1000.0) -> Store:
    store = Store(path, clock)
    store.owner = owner
    return store


def statuses(store: Store) -> list[str]:
    return [store.statuses(KEYS)[key] for key in KEYS]


def test_a_task_is_claimed_once_and_done_once(tmp_path):
    store, _ = planned(tmp_path / "s")
    other = of_owner(tmp_path / "s", owner_identity())
    assert store.exchange([], KEYS[:2]) == (KEYS[:2], {})
    assert other.exchange([], KEYS[1:3]) == ([KEYS[2]], {KEYS[1]: "running"})
    done = Outcome(KEYS[0], "done", {"test_accuracy": 0.5}, started=1.0, finished=3.5)
    assert store.exchange([done], [KEYS[3]]) == ([KEYS[3]], {})
    assert other.exchange([], [KEYS[0]]) == ([], {KEYS[0]: "done"})
    assert store.results(KEYS) == {KEYS[0]: {"test_accuracy": 0.5}}
    store.owner = "another"
    store.release(KEYS)  # none is its own
    assert statuses(store) == ["done", "running", "running", "running"]
    other.release(KEYS[1:])
    assert statuses(store) == ["done", "waiting", "waiting", "waiting"]


def test_tasks_of_a_driver_that_is_gone_are_to_be_had_at_once(tmp_path):
    store, _ = planned(tmp_path / "s")
    machine, pid, start = owner_identity().rsplit(" ", 2)
    owners = [f"{machine} {NO_PROCESS} 5", f"{machine} {pid} {int(start) - 1}", f"{machine} {os.getppid()} x"]
    for key, owner in zip(KEYS, owners, strict=False):  # no such process, and numbers that another process has now
        of_owner(tmp_path / "s", owner).exchange([], [key])
    alive = subprocess.Popen(["sleep", "60"])
    of_owner(tmp_path / "s", f"{machine} {alive.pid} {start_of(alive.pid)}").exchange([], KEYS[3:])
    assert statuses(store) == ["running"] * 4
    store.renew()
    assert statuses(store) == ["waiting", "waiting", "waiting", "running"]
    alive.kill()
    os.waitid(os.P_PID, alive.pid, os.WEXITED | os.WNOWAIT)
    assert start_of(alive.pid) is None  # dead, and not yet waited for
    store.renew()
    alive.wait()
    assert statuses(store) == ["waiting"] * 4


def test_tasks_of_another_machine_are_to_be_had_when_its_lease_ran_out(tmp_path):
    now = [1000.0]
    store, _ = planned(tmp_path / "s", lambda: now[0])
    far = of_owner(tmp_path / "s", "elsewhere/1/2 77 88", lambda: now[0])
    far.exchange([], KEYS[:1])
    now[0] += LEASE - 1
    store.renew()
    assert statuses(store)[0] == "running"
    far.renew()
    now[0] += LEASE - 1
    store.renew()
    assert statuses(store)[0] == "running"
    now[0] += 2
    store.renew()
    assert statuses(store)[0] == "waiting"
    # it was only slow: what it did counts all the same
    store.exchange([], KEYS[:1])
    far.exchange([Outcome(KEYS[0], "done", {})], [])
    assert statuses(store)[0] == "done"


# --- files that are not as they should be ------------------------------------------------------------------------


def finished_store(path: Path) -> bytes:
    store, sweep = planned(path)
    store.exchange([], KEYS)
    store.exchange([Outcome(key, "done", {"test_accuracy": 0.5}) for key in KEYS], [])
    store.end(sweep)
    store.close()
    assert list(path.parent.iterdir()) == [path]  # no journal is left
    return path.read_bytes()


@pytest.mark.parametrize("damage", ["header", "middle", "cut", "text", "empty folder"])
def test_a_damaged_store_is_refused_and_left_untouched(tmp_path, capsys, damage):
    path = tmp_path / "s.sqlite"
    content = bytearray(finished_store(path))
    if damage == "header":
        content[:16] = b"x" * 16
    elif damage == "middle":
        content[4096 : len(content) - 4096] = b"\xa5" * (len(content) - 8192)
    elif damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "text":
        content = bytearray(b"hello, this is no store at all" * 100)
    path.write_bytes(content)
    if damage == "empty folder":
        path.unlink()
        path.mkdir()
        with pytest.raises(SweepError, match="cannot be opened"):
            Store(path)
        return
    with pytest.raises(SweepError, match=r"not an SQLite file|is damaged and left untouched"):
        Store(path)
    assert path.read_bytes() == content
    assert cli.main(["sweep", "--store", str(path), "--csv", str(tmp_path / "out.csv")]) == 2
    assert capsys.readouterr().err.startswith(f"lns: error: store {path}: ")


def test_stores_of_other_versions_and_of_others_are_refused(tmp_path):
    path = tmp_path / "s.sqlite"
    finished_store(path)
    messages = {2: "written by a newer version", -1: "written by an older version", 0: "not a store"}
    for version, message in messages.items():
        with sqlite3.connect(path) as db:
            db.execute(f"PRAGMA user_version = {version}")
        db.close()
        before = path.read_bytes()
        with pytest.raises(SweepError, match=message):
            Store(path)
        with pytest.raises(SweepError, match=message):
            load_results(path)
        assert path.read_bytes() == before
    with pytest.raises(SweepError, match="no such file"):
        load_results(tmp_path / "none.sqlite")


def test_a_full_disk_stops_the_driver_and_loses_nothing(tmp_path):
    path = tmp_path / "s.sqlite"
    store, _ = planned(path)
    store.exchange([], KEYS)
    store.exchange([Outcome(KEYS[0], "done", {"test_accuracy": 0.5})], [])
    pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
    store.connection.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own full disk
    large = Outcome(KEYS[1], "failed", traceback="x" * 100_000)
    with pytest.raises(SweepError, match="the disk is full; what had finished is safe"):
        store.exchange([large], [])
    assert statuses(store) == ["done", "running", "running", "running"]
    store.close()
    with Store(path) as later:
        assert later.results(KEYS) == {KEYS[0]: {"test_accuracy": 0.5}}


_FULL = """
import resource, signal, sys
from pathlib import Path
from sim.sweep.store import Outcome, Store
store = Store(Path(sys.argv[1]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (Path(sys.argv[1]).stat().st_size, resource.RLIM_INFINITY))
try:
    store.exchange([Outcome("key1", "failed", traceback="x" * 100_000)], [])
except ValueError as error:
    print(error)
"""


def test_a_disk_that_the_kernel_says_is_full(tmp_path):
    path = tmp_path / "s.sqlite"
    before = finished_store(path)
    done = subprocess.run([sys.executable, "-c", _FULL, str(path)], stdout=subprocess.PIPE, text=True, check=True)
    assert "What had finished is safe" in done.stdout or "what had finished is safe" in done.stdout
    with Store(path) as later:
        assert len(later.results(KEYS)) == 4
    assert path.read_bytes()[100:] == before[100:]  # but for SQLite's counters


_READ_ONLY = """
import os, sys
from pathlib import Path
from sim.sweep.store import Store, reading
path = Path(sys.argv[1])
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
with reading(path) as db:
    print(db.execute("SELECT count(*) FROM task WHERE status = 'done'").fetchone()[0])
try:
    Store(path)
except ValueError as error:
    print(error)
"""


def test_a_read_only_store_can_be_read(tmp_path):
    path = tmp_path / "s.sqlite"
    finished_store(path)
    path.chmod(0o444)
    for folder in (tmp_path, *tmp_path.parents[:3]):  # with pytest-xdist there is one more
        folder.chmod(0o755)
    tmp_path.chmod(0o555)
    command = [sys.executable, "-c", _READ_ONLY, str(path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    tmp_path.chmod(0o755)
    count, message = done.stdout.splitlines()
    assert count == "4" and message.endswith("is read-only: a sweep needs to write its store; lns report can read it")


def test_a_journal_of_a_killed_driver_is_rolled_back(tmp_path):
    """A transaction that was cut short leaves nothing of itself, for a reader and for the next driver."""
    path = tmp_path / "s.sqlite"
    finished_store(path)
    code = (
        "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "db.execute('PRAGMA cache_size = 1'); db.execute('BEGIN IMMEDIATE');"
        "db.execute(\"UPDATE task SET status = 'waiting', traceback = hex(randomblob(200000))\");"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)])
    assert path.with_name("s.sqlite-journal").stat().st_size > 0
    with reading(path) as db:
        assert db.execute("SELECT count(*) FROM task WHERE status = 'done'").fetchone()[0] == 4
    with Store(path) as store:
        assert len(store.results(KEYS)) == 4
