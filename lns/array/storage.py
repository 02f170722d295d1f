"""Files of an `LNSArray`: ``.npz`` without pickle."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from lns.array.arithmetic import Arithmetic
from lns.array.words import WordArray
from lns.files import atomic_write
from lns.format import LNSFormat
from lns.kernels.elementwise import Words

X = TypeVar("X")

_VERSION = 1


def save(x: WordArray, path: Path) -> None:
    with atomic_write(path) as file:
        np.savez(
            file, version=np.array(_VERSION), bits=x.bits, format=np.array(str(x.format)), offset=np.array(x.offset),
            arithmetic=np.array(x.arithmetic.to_json()),
        )  # fmt: skip


def load(path: Path, make: Callable[[Words, LNSFormat, int, Arithmetic], X]) -> X:
    """What ``make`` makes of words, format, offset and arithmetic.

    Raises
    ------
    OSError, ValueError
        If the file cannot be read, or is none of `save`'s.
    """
    with open(path, "rb") as stream:
        try:
            stored = np.load(stream, allow_pickle=False)
            if not isinstance(stored, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array")
            version = int(stored["version"])
            if version != _VERSION:
                raise ValueError(f"it is of version {version}, and {_VERSION} is read")
            fmt = LNSFormat.parse(str(stored["format"]))
            if stored["bits"].dtype != fmt.dtype:
                raise ValueError(f"words of {fmt} are {fmt.dtype}, not {stored['bits'].dtype}")
            arithmetic = Arithmetic.from_json(str(stored["arithmetic"]))
            return make(stored["bits"], fmt, int(stored["offset"]), arithmetic)
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"{path}: not a file of LNSArray.save: {error}") from None
