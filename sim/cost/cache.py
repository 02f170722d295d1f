"""Results kept between runs, by everything that enters them; several processes may ask for one at once."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lns.gausslog import cache_dir

__all__ = ["cached", "key_of"]

_GENERATION = "1"  # part of every key: raise it when an entry's meaning changes in a way that no part of its key tells


def key_of(kind: str, parts: Mapping[str, str | bytes]) -> str:
    """The key of a result: a digest of its kind and of the names and contents of all that enters it."""
    digest = hashlib.sha256()
    for text in (_GENERATION, kind, *(field for name in sorted(parts) for field in (name, parts[name]))):
        data = text.encode() if isinstance(text, str) else text
        digest.update(len(data).to_bytes(8, "little"))  # so that no two lists of parts make the same bytes
        digest.update(data)
    return digest.hexdigest()


def cached(kind: str, parts: Mapping[str, str | bytes], build: Callable[[Path], None]) -> Path:
    """The folder of a result, built unless it is there.

    Parameters
    ----------
    kind : str
        What sort of result it is: a folder of the cache (`lns.gausslog.cache_dir`).
    parts : mapping
        Name -> content of everything that the result depends on.
    build : callable
        Writes the result into the empty folder that it is given. It runs in one process at a time for one key; the
        others wait, and take what it built. A build that raises or is killed leaves no entry.

    Raises
    ------
    OSError
        If the cache cannot be written.
    """
    key = key_of(kind, parts)
    shelf = cache_dir() / "cost" / kind
    entry = shelf / key
    if entry.is_dir():
        return entry
    shelf.mkdir(parents=True, exist_ok=True)
    with _locked(shelf / f".{key}.lock"):
        if entry.is_dir():
            return entry
        for left in shelf.glob(f".{key}.*.part"):  # by a build that was killed: nobody else is at it under the lock
            shutil.rmtree(left, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=f".{key}.", suffix=".part", dir=shelf))
        try:
            build(part)
            _to_disk(part)
            part.chmod(0o755)
            part.rename(entry)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    return entry


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """A lock that its process takes with it when it is killed. The file stays: who waits for it holds it open."""
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _to_disk(folder: Path) -> None:
    """Else a power failure could leave a name without its bytes."""
    for path in (*folder.rglob("*"), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
