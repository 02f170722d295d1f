"""Networks that were trained elsewhere, in floating point, run on a design."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lns.codec import encode
from lns.design import Design
from sim.train.chip import Chip, StepResult
from sim.train.data import Dataset
from sim.train.run import RunError

CALIBRATION = 1000  # training samples whose largest values set the activations' offsets
_PASSES = 32  # an offset rises by at most one octave a pass


def read_weights(path: Path) -> list[npt.NDArray[np.float64]]:
    """Matrices (outputs, inputs + 1), the bias last, from an ``.npz`` with weight1 (outputs, inputs), bias1
    (outputs,), weight2, …

    Raises
    ------
    RunError
        If the file is damaged, arrays are missing or do not fit together, or a number is not finite.
    """
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}") from None
    except (ValueError, EOFError, AttributeError, zipfile.BadZipFile):
        raise RunError(f"{path}: not an .npz file of plain arrays") from None
    layers: list[npt.NDArray[np.float64]] = []
    while f"weight{len(layers) + 1}" in arrays:
        n = len(layers) + 1
        weight = arrays.pop(f"weight{n}")
        bias = arrays.pop(f"bias{n}", np.zeros(len(weight)))
        inputs = layers[-1].shape[0] if layers else weight.shape[-1]
        if weight.ndim != 2 or weight.shape[1] != inputs or bias.shape != (len(weight),):
            raise RunError(
                f"{path}: layer {n} needs weight{n} (outputs, {inputs}) and bias{n} (outputs,), "
                f"got {weight.shape} and {bias.shape}"
            )
        layers.append(np.concatenate([weight, bias[:, None]], axis=1).astype(np.float64))
        if not np.isfinite(layers[-1]).all():
            raise RunError(f"{path}: layer {n} holds a NaN or an infinity")
    if not layers or arrays:
        raise RunError(
            f"{path}: arrays must be named weight1, bias1, weight2, …; left over are {sorted(arrays) or 'none'}"
        )
    return layers


def evaluate(design: Design, path: Path, data: Dataset, backend: str = "numba") -> StepResult:
    """Test loss and accuracy of imported weights on a design.

    Weights are rounded straight to the operand format at the smallest offset that holds the largest of them.
    Offsets of activations settle on the first `CALIBRATION` training samples and are then frozen.
    """
    layers = read_weights(path)
    if layers[0].shape[1] - 1 != data.features or layers[-1].shape[0] < data.classes:
        raise RunError(
            f"{path}: {data.name} needs {data.features} inputs and {data.classes} classes, "
            f"got {layers[0].shape[1] - 1} and {layers[-1].shape[0]}"
        )
    chip = Frozen(design, layers, backend)
    inputs = chip.encode_inputs(data.train_x[:CALIBRATION], data.scale)
    for _ in range(_PASSES):
        before = [tensor.offset for tensor in chip.activations]
        chip.forward(inputs, *chip.operands())
        for tensor in chip.activations:
            tensor.advance()
        if before == [tensor.offset for tensor in chip.activations]:
            break
    return chip.evaluate(chip.encode_inputs(data.test_x, data.scale), data.test_y)


class Frozen(Chip):
    """A chip whose operands are given instead of learnt."""

    def __init__(self, design: Design, layers: list[npt.NDArray[np.float64]], backend: str) -> None:
        fmt = design.formats.operand
        safe = [np.where(w == 0, np.abs(w).max() or 1.0, w) for w in layers]  # an all-zero layer has no cap of its own
        super().__init__(design, safe, 0, backend)
        octaves = [math.ceil(math.log2(np.abs(w).max() or 1.0)) for w in layers]
        self.offsets = [top - (1 << (fmt.code_bits - 1 - fmt.frac_bits)) + 1 for top in octaves]
        self.words: list[npt.NDArray[Any]] = [
            encode(w, fmt, offset=offset) for w, offset in zip(layers, self.offsets, strict=True)
        ]

    def operands(self) -> tuple[list[npt.NDArray[Any]], list[int]]:
        return self.words, self.offsets
