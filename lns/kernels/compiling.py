"""How kernels are compiled, and for how long the machine code that is kept holds.

Numba keeps machine code by the date of the file that holds a function. But what a loop calls from other files is
compiled into it: after a change there, or after an update that brings only some files anew, the old code would go on
computing. So here the code is kept by the contents of all files that can be in it. Simulations of gates (`sim.cost`)
are compiled in the same way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba as nb

import lns.format


@cache
def _digest(folder: Path) -> str:
    """SHA-256 of the files that a function of a folder may be compiled from: the folder's, the kernels', and that of
    the constants."""
    whole = hashlib.sha256()
    files = {*folder.glob("*.py"), *Path(__file__).parent.glob("*.py"), Path(lns.format.__file__)}
    for path in sorted(files):
        whole.update(f"{path.name} {path.stat().st_size}\n".encode() + path.read_bytes())
    return whole.hexdigest()


def jit(function: Callable[..., Any]) -> Any:
    """A function compiled when it is first called, and kept: without the GIL, without Python's division by zero, and
    never with fast-math."""
    compiled = nb.njit(cache=True, nogil=True, error_model="numpy")(function)
    kept = compiled._cache._cache_file  # Numba has no other way to say so
    kept._source_stamp = kept._source_stamp, _digest(Path(function.__code__.co_filename).parent)
    return compiled
