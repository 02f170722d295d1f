"""Files: written beside and renamed, so that a reader never sees half of one; memory images for Verilog."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A binary file that takes its name only when the block ends without an error and its bytes are on the disk."""
    path = Path(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        error.filename = str(path)  # the name that was asked for
        raise
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def memh_text(values: npt.ArrayLike, width: int, title: str) -> str:
    """A ``$readmemh`` image: one word of ``width`` bits a line, in hexadecimal, under a header of comments.

    The header gives the title, the number of words, the width and the SHA-256 of the data lines.

    Raises
    ------
    ValueError
        If a value does not fit in ``width`` bits.
    """
    # as objects: of integers some of which need a 64th bit NumPy makes float64
    words = [int(v) for v in np.asarray(values, object).reshape(-1)]
    if any(v < 0 or v >> width for v in words):
        raise ValueError(f"{title}: every word must fit in {width} bits, got {max(words, key=abs)}")
    digits = -(-width // 4)
    data = "".join(f"{v:0{digits}x}\n" for v in words)
    digest = hashlib.sha256(data.encode()).hexdigest()
    return (
        f"// {title}\n// {len(words)} words of {width} bits, for $readmemh; sha256 of the data lines {digest}\n{data}"
    )


def read_memh(text: str) -> npt.NDArray[np.uint64]:
    """The words of a memory image of `memh_text`.

    Raises
    ------
    ValueError
        If the checksum in the header does not match the data.
    """
    lines = text.splitlines()
    data = [line for line in lines if not line.startswith("//")]
    digest = hashlib.sha256("".join(f"{line}\n" for line in data).encode()).hexdigest()
    if not any(line.startswith("//") and line.endswith(digest) for line in lines):
        raise ValueError("the memory image's data does not match the checksum in its header")
    return np.array([int(line, 16) for line in data], np.uint64)
