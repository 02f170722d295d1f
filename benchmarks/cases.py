"""What is measured: units of given widths, words to feed them, and the path that the kernels take."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from lns import kernels
from lns.design import load
from lns.format import LNSFormat
from lns.gausslog import TableKind, antilog_rom, table
from lns.kernels import isa
from lns.reference import LinearDot, LogDot
from lns.units import Units

LANES = 16
VARIABLE = "LNS_KERNELS"  #: chooses the path of every product

Floats = npt.NDArray[np.float32]


def linear(frac_bits: int, bits: int | None = None) -> LinearDot:
    """The linear dot product of madam8, with F fraction bits and five bits more in operands and ROM, or B bits."""
    fmt = LNSFormat(bits or frac_bits + 5, frac_bits)
    antilog_bits = frac_bits + 5
    return LinearDot(fmt, fmt, antilog_rom(frac_bits, antilog_bits), antilog_bits, 12, 24, LANES)


def log(acc: LNSFormat, kind: str, operand: LNSFormat | None = None) -> LogDot:
    """The log dot product of madam8-log with another accumulator or table; by default operands are as wide."""
    operand = operand or acc
    return LogDot(operand, operand, acc, 0, table(TableKind.parse(kind), acc.frac_bits), LANES)


def of_design(name: str) -> LinearDot | LogDot:
    """The forward product of a design."""
    formats = load(name).formats
    return Units(load(name)).dot(formats.activation, formats.operand)


def words(rng: np.random.Generator, fmt: LNSFormat, shape: tuple[int, ...], middle: float = -2.0) -> npt.NDArray[Any]:
    """Words of both signs, magnitudes within a few octaves of 2**middle, but no zeros: plain loops skip them."""
    raw = np.rint(rng.normal(middle, 1.5, shape) * (1 << fmt.frac_bits))
    codes = np.clip(raw + fmt.bias, 1, fmt.max_code).astype(np.int64)
    return (codes | rng.integers(0, 2, shape) * fmt.sign_bit).astype(fmt.dtype)


def product(
    unit: LinearDot | LogDot, m: int, k: int, n: int, path: str | None = None, low: bool = False
) -> Callable[[], tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]]:
    """A call that multiplies random words, (m, k) times (k, n), on one path (by default the best).

    Products of a log accumulator lie in the middle of its range or, if ``low``, at its lower end, where they underflow.
    """
    rng = np.random.default_rng(0)
    middle = -2.0
    if isinstance(unit, LogDot):
        middle = unit.offset / 2 - (unit.acc.bias / (1 << unit.acc.frac_bits) / 2 if low else 0.0)
    a, b = words(rng, unit.a, (m, k), middle), words(rng, unit.b, (k, n), middle)
    path = path or isa.available()[0]

    def call() -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
        os.environ[VARIABLE] = path
        return kernels.dot_linear(a, b, unit) if isinstance(unit, LinearDot) else kernels.dot_log(a, b, unit)

    return call


def blas(m: int, k: int, n: int) -> Callable[[], object]:
    """A call that multiplies float32 matrices in NumPy."""
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=shape).astype(np.float32) for shape in ((m, k), (k, n)))
    return lambda: a @ b
