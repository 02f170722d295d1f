"""Data sets: scikit-learn's digits, Fashion-MNIST, any folder of IDX files."""

from __future__ import annotations

import gzip
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # where Debian's dataset-fashion-mnist puts it

_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


class DataError(ValueError):
    """Data that is missing or is not what it should be."""


@dataclass(frozen=True)
class Dataset:
    """Inputs as levels, (samples, features), that stand for level/scale in 0 … 1; targets are classes."""

    name: str
    train_x: npt.NDArray[Any]
    train_y: npt.NDArray[np.int64]
    test_x: npt.NDArray[Any]
    test_y: npt.NDArray[np.int64]
    scale: float
    classes: int

    def __post_init__(self) -> None:
        for part, x, y in (("training", self.train_x, self.train_y), ("test", self.test_x, self.test_y)):
            if len(x) != len(y) or len(x) == 0:
                raise DataError(f"{self.name}: {len(x)} {part} inputs but {len(y)} targets")
            if x.dtype.kind == "f" and not np.isfinite(x).all():
                bad = int((~np.isfinite(x)).any(axis=1).argmax())
                raise DataError(f"{self.name}: {part} input {bad} holds a NaN or an infinity")
            if y.min() < 0 or y.max() >= self.classes:
                raise DataError(
                    f"{self.name}: {part} targets must be 0 to {self.classes - 1}, got {y.min()} to {y.max()}"
                )
        if self.train_x.shape[1:] != self.test_x.shape[1:]:
            raise DataError(
                f"{self.name}: training inputs have {self.train_x.shape[1:]} features, test {self.test_x.shape[1:]}"
            )

    @property
    def features(self) -> int:
        return int(self.train_x.shape[1])

    def validation(self, fraction: float) -> Dataset:
        """The training part alone, split: the last of a fixed shuffle are for validation, the test part is not
        touched."""
        order = np.random.default_rng(0).permutation(len(self.train_x))
        held = round(len(order) * fraction)
        if not 0 < held < len(order):
            raise DataError(f"a validation part of {fraction} leaves {held} of {len(order)} samples")
        fit, check = order[:-held], order[-held:]
        x, y = self.train_x, self.train_y
        return Dataset(f"{self.name} (validation)", x[fit], y[fit], x[check], y[check], self.scale, self.classes)


def read_idx(path: Path) -> npt.NDArray[Any]:
    """An array of an IDX file, gzipped or not, in native byte order.

    Raises
    ------
    DataError
        If the file is not IDX or is cut short.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: {error}") from None
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _IDX_TYPES:
        raise DataError(f"{path}: not an IDX file (it starts with {raw[:4].hex()})")
    dtype, dimensions = np.dtype(_IDX_TYPES[raw[2]]), raw[3]
    shape = tuple(int(n) for n in np.frombuffer(raw, ">u4", dimensions, 4)) if len(raw) >= 4 + 4 * dimensions else ()
    start, size = 4 + 4 * dimensions, int(np.prod(shape, dtype=np.int64))
    if not shape or len(raw) != start + size * dtype.itemsize:
        raise DataError(f"{path}: {shape} of {dtype.name} need {start + size * dtype.itemsize} bytes, got {len(raw)}")
    return np.frombuffer(raw, dtype, size, start).reshape(shape).astype(dtype.newbyteorder("="))


def _find(folder: Path, stem: str) -> Path:
    for name in (f"{stem}-ubyte.gz", f"{stem}-ubyte", f"{stem}.gz", stem):
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"{folder}: no {stem}-ubyte.gz (nor {stem}-ubyte)")


def idx_folder(folder: Path, name: str) -> Dataset:
    """Train and test images and labels named as MNIST's, in one folder.

    Integer levels are taken as level/largest of the type, real numbers as they are, over the largest magnitude if
    that is above 1.
    """
    arrays = {}
    for key, part in (("train", "train"), ("test", "t10k")):
        images = read_idx(_find(folder, f"{part}-images-idx3"))
        arrays[f"{key}_x"] = images.reshape(len(images), -1)
        arrays[f"{key}_y"] = read_idx(_find(folder, f"{part}-labels-idx1")).astype(np.int64)
    x = arrays["train_x"]
    scale = float(np.iinfo(x.dtype).max) if x.dtype.kind in "iu" else max(1.0, float(np.abs(x).max(initial=0)))
    return Dataset(name, **arrays, scale=scale, classes=int(arrays["train_y"].max()) + 1)


def _digits() -> Dataset:
    found = importlib.util.find_spec("sklearn")
    if found is None or found.origin is None:
        raise DataError("digits come with scikit-learn: pip install scikit-learn")
    # what sklearn.datasets.load_digits reads; to import scikit-learn takes longer than to begin training
    path = Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz"
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            rows = np.loadtxt(file, np.int64, delimiter=",")
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path}: {error}") from None
    rows = rows[np.random.default_rng(0).permutation(len(rows))]
    x, y = rows[:, :-1].astype(np.uint8), rows[:, -1].copy()
    return Dataset("digits", x[:1437], y[:1437], x[1437:], y[1437:], 16.0, 10)


def _fashion_mnist() -> Dataset:
    if not FASHION_MNIST.is_dir():
        raise DataError(
            f"Fashion-MNIST is not in {FASHION_MNIST}: apt install dataset-fashion-mnist, or give a folder of IDX files"
        )
    return idx_folder(FASHION_MNIST, "fashion-mnist")


DATASETS = {
    "digits": (_digits, "1,797 8×8 images of digits from scikit-learn; 1,437 to train, 360 to test"),
    "fashion-mnist": (_fashion_mnist, "70,000 28×28 images from Debian's dataset-fashion-mnist; 10,000 to test"),
}


def load(name: str) -> Dataset:
    """A data set by its name, or a folder of IDX files.

    Raises
    ------
    DataError
        If it is unknown, absent or damaged.
    """
    if name in DATASETS:
        return DATASETS[name][0]()
    if Path(name).is_dir():
        return idx_folder(Path(name), Path(name).name)
    raise DataError(f"{name}: neither a data set ({', '.join(DATASETS)}) nor a folder of IDX files")
