"""Data sets: what is absent or damaged is said so, and floats with a NaN are refused."""

import gzip
import struct
from importlib.machinery import ModuleSpec

import numpy as np
import pytest
import sklearn.datasets

from sim.train import data
from sim.train.data import DataError, Dataset


def write_idx(path, array, code=None):
    codes = {"u1": 8, "i4": 0xC, "f4": 0xD}
    kind = array.dtype.str[1:]
    head = struct.pack(">HBB", 0, code or codes[kind], array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    body = head + array.astype(array.dtype.newbyteorder(">")).tobytes()
    path.write_bytes(gzip.compress(body) if path.suffix == ".gz" else body)


def folder(tmp_path, train=None, test=None, suffix=".gz"):
    rng = np.random.default_rng(0)
    train = rng.integers(0, 256, (20, 4, 4), np.uint8) if train is None else train
    test = rng.integers(0, 256, (10, 4, 4), np.uint8) if test is None else test
    for part, x in (("train", train), ("t10k", test)):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte{suffix}", x)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte{suffix}", (np.arange(len(x)) % 3).astype(np.uint8))
    return tmp_path


@pytest.mark.parametrize("suffix", [".gz", ""])
def test_idx_folder(tmp_path, suffix):
    loaded = data.load(str(folder(tmp_path, suffix=suffix)))
    want = np.random.default_rng(0).integers(0, 256, (20, 4, 4), np.uint8)
    assert np.array_equal(loaded.train_x, want.reshape(20, 16))
    assert (loaded.features, loaded.classes, loaded.scale) == (16, 3, 255.0)
    assert loaded.test_y.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]


def test_idx_floats_are_scaled_to_at_most_one(tmp_path):
    x = np.linspace(-4, 2, 20 * 16, dtype=np.float32).reshape(20, 4, 4)
    assert data.load(str(folder(tmp_path, train=x, test=x[:10]))).scale == 4.0


def test_nan_in_data(tmp_path):
    x = np.zeros((20, 4, 4), np.float32)
    x[7, 1, 1] = np.nan
    with pytest.raises(DataError, match="training input 7 holds a NaN"):
        data.load(str(folder(tmp_path, train=x, test=x[:5])))


def test_missing_data_says_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="train-images-idx3"):
        data.load(str(tmp_path))
    monkeypatch.setattr(data, "FASHION_MNIST", tmp_path / "nowhere")
    with pytest.raises(DataError, match="apt install dataset-fashion-mnist"):
        data.load("fashion-mnist")
    with pytest.raises(DataError, match="digits, fashion-mnist"):
        data.load("imagenet")


@pytest.mark.parametrize("keep", [0, 3, 10, -1])
def test_truncated_idx(tmp_path, keep):
    path = tmp_path / "x"
    write_idx(path, np.zeros((3, 4, 4), np.uint8))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError):
        data.read_idx(path)
    path = tmp_path / "x.gz"
    write_idx(path, np.zeros((3, 4, 4), np.uint8))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError):
        data.read_idx(path)


def test_wrong_idx_type(tmp_path):
    write_idx(tmp_path / "x", np.zeros(3, np.uint8), code=0x77)
    with pytest.raises(DataError, match="not an IDX file"):
        data.read_idx(tmp_path / "x")


def test_labels_and_images_must_match(tmp_path):
    path = folder(tmp_path)
    write_idx(path / "t10k-labels-idx1-ubyte.gz", np.zeros(4, np.uint8))
    with pytest.raises(DataError, match="10 test inputs but 4 targets"):
        data.load(str(path))


def test_validation_never_touches_the_test_part():
    digits = data.load("digits")
    held = digits.validation(0.1)
    assert len(held.test_x) == 144 and len(held.train_x) == 1293
    rows = {row.tobytes() for row in digits.train_x}
    assert all(row.tobytes() in rows for row in held.test_x)
    assert np.array_equal(held.test_x, digits.validation(0.1).test_x)
    with pytest.raises(DataError, match="leaves 0"):
        digits.validation(1e-6)


def test_digits_are_all_there():
    digits = data.load("digits")
    assert (len(digits.train_x), len(digits.test_x), digits.features, digits.classes) == (1437, 360, 64, 10)
    assert digits.train_x.max() == digits.scale


def test_digits_are_those_of_scikit_learn():
    digits = data.load("digits")
    x, y = sklearn.datasets.load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    for got, right in (
        (np.concatenate([digits.train_x, digits.test_x]), x[order]),
        (np.concatenate([digits.train_y, digits.test_y]), y[order]),
    ):
        assert np.array_equal(got, right)
    assert digits.train_x.dtype == np.uint8 and digits.train_y.dtype == np.int64
    assert digits.train_x.flags.c_contiguous and digits.train_y.flags.c_contiguous


def test_digits_that_are_missing_or_damaged(tmp_path, monkeypatch):
    monkeypatch.setattr(data.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install scikit-learn"):
        data.load("digits")
    spec = ModuleSpec("sklearn", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(data.importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(DataError, match=r"digits\.csv\.gz.*No such file"):
        data.load("digits")
    path = tmp_path / "datasets" / "data" / "digits.csv.gz"
    path.parent.mkdir(parents=True)
    for damaged in (b"no gzip", gzip.compress(b"1,2,3\n" * 1000)[:-9], gzip.compress(b"1,2\n1,2,3\n")):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"digits\.csv\.gz"):
            data.load("digits")


def test_targets_out_of_range():
    x = np.zeros((2, 3), np.uint8)
    with pytest.raises(DataError, match="targets must be 0 to 1"):
        Dataset("x", x, np.array([0, 2]), x, np.array([0, 1]), 1.0, 2)
