"""Who owns a task that runs: one process among all that ever were, on any machine."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

__all__ = ["gone", "owner_identity", "start_of"]


def start_of(pid: int) -> str | None:
    """When a process of this machine started, in its kernel's clock ticks; None if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return None
        try:
            os.kill(pid, 0)  # a system without /proc
        except ProcessLookupError:
            return None
        return ""
    state, *fields = text.rpartition(")")[2].split()
    return None if state in "ZX" else fields[18]


@cache
def _machine() -> str:
    """This machine since it was booted, and the name space of its process numbers."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
        space = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        boot = space = ""
    return f"{platform.node()}/{boot}/{space}"


def owner_identity() -> str:
    """This process among all that ever were: machine, number and start."""
    return f"{_machine()} {os.getpid()} {start_of(os.getpid())}"


def gone(owner: str, lease: float, now: float) -> bool:
    """Whether a driver cannot finish its tasks any more."""
    machine, pid, start = owner.rsplit(" ", 2)
    if machine == _machine():
        return start_of(int(pid)) != start
    return lease < now
