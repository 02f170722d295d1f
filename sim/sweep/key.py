"""Keys of results: a hash of everything that determines one, the arithmetic's own code included.

The code enters as its syntax tree: comments, docstrings and layout can change without a result being computed again,
anything else in a module that takes part cannot.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lns.design import Design
from sim.paths import data_dir
from sim.source import syntax_digest
from sim.train import data as datasets

__all__ = ["arithmetic_version", "canonical_design", "data_digest", "digest", "syntax_digest"]

_ROOT = Path(__file__).resolve().parents[2]

#: Modules that take part in a result, by the kind of task. Kernels are compared with the definition bit for bit, yet
#: enter themselves: a fault in one is part of what was computed with it.
_MODULES = {
    "train": (
        "lns/codec.py", "lns/design.py", "lns/exact.py", "lns/format.py", "lns/gausslog.py", "lns/kernels",
        "lns/reference.py", "lns/units.py", "sim/train/backend.py", "sim/train/chip.py", "sim/train/data.py",
        "sim/train/loop.py", "sim/train/run.py",
    ),
    "verify": ("sim/verify",),
    "cost": ("sim/verify", "sim/cost"),
}  # fmt: skip


def digest(content: Any) -> str:
    """SHA-256 of plain data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@cache
def arithmetic_version(kind: str) -> str:
    """Of the code that takes part in a task of a kind, and of NumPy, whose generators draw weights and orders."""
    names = [*_MODULES["train"], *(() if kind == "train" else _MODULES[kind])]
    files = [
        file
        for name in names
        for file in (sorted((_ROOT / name).rglob("*.py")) if (_ROOT / name).is_dir() else [_ROOT / name])
    ]
    parts = [".".join(np.__version__.split(".")[:2]), syntax_digest(file.read_text("utf-8") for file in files)]
    if kind != "train":
        parts += [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(data_dir("rtl").rglob("*.v"))]
    return digest(parts)


@cache
def data_digest(name: str) -> str:
    """SHA-256 of a data set's arrays.

    Raises
    ------
    sim.train.data.DataError
        If there is no such data set.
    """
    data = datasets.load(name)
    whole = hashlib.sha256(repr((data.scale, data.classes)).encode())
    for array in (data.train_x, data.train_y, data.test_x, data.test_y):
        whole.update(f"{array.dtype}{array.shape}".encode())
        whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()


def canonical_design(design: Design) -> Mapping[str, Any]:
    """A design without its name and description."""
    return {name: value for name, value in design.to_dict().items() if name not in ("name", "description")}
