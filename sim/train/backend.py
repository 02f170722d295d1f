"""The units that a training step needs, behind one interface; which backend runs them cannot change a bit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lns import kernels, reference
from lns.format import Event, LNSFormat, Rounding
from lns.kernels.elementwise import Events, Words
from lns.reference import LinearDot, LogDot, UpdateConstants
from lns.units import Units

Targets = npt.NDArray[np.int64]


class Backend(Protocol):
    """Words in, words and uint8 event flags out; offsets in octaves. All arrays are NumPy arrays of the formats'
    dtypes."""

    name: str

    def dot(
        self, a: Words, b: Words, a_fmt: LNSFormat, b_fmt: LNSFormat, fmt: LNSFormat, offsets: int, offset: int
    ) -> tuple[Words, Events]:
        """(M, K) times (K, N) to words of fmt at ``offset``; ``offsets`` is the sum of the operands'."""

    def convert(
        self, words: Words, source: LNSFormat, fmt: LNSFormat, source_offset: int, offset: int
    ) -> tuple[Words, Events]:
        """Words of one format to another."""

    def relu(self, words: Words, fmt: LNSFormat) -> Words:
        """Negative words to zero; no events."""

    def loss(
        self, logits: Words, targets: Targets, logit_offset: int, error_offset: int
    ) -> tuple[Words, Events, npt.NDArray[np.int64]]:
        """Errors, their events and the losses in 2**-F_l octaves."""

    def update(
        self, w: Words, g: Words, v: Words, constants: UpdateConstants, lfsr: npt.NDArray[np.uint32]
    ) -> tuple[Events, Events]:
        """One step of w and v in place; the LFSR states move on in place if rounding is stochastic."""


class Accumulating(ABC):
    """What backends share whose dot product is an accumulator, then a conversion to a word."""

    name: str

    def __init__(self, units: Units) -> None:
        self.units = units
        self.rounding = units.design.conversion.rounding

    @abstractmethod
    def accumulate(self, a: Words, b: Words, unit: LinearDot | LogDot) -> tuple[Words, Events]:
        """The accumulators of (M, K) times (K, N): int64, or words of ``unit.acc``."""

    @abstractmethod
    def linear_to_log(self, values: Words, least_exponent: int, fmt: LNSFormat, offset: int) -> tuple[Words, Events]:
        """Linear accumulators whose least bit weighs 2**least_exponent to words."""

    @abstractmethod
    def convert(
        self, words: Words, source: LNSFormat, fmt: LNSFormat, source_offset: int, offset: int
    ) -> tuple[Words, Events]: ...

    def dot(
        self, a: Words, b: Words, a_fmt: LNSFormat, b_fmt: LNSFormat, fmt: LNSFormat, offsets: int, offset: int
    ) -> tuple[Words, Events]:
        unit = self.units.dot(a_fmt, b_fmt)
        sums, inner = self.accumulate(a, b, unit)
        if isinstance(unit, LinearDot):
            words, events = self.linear_to_log(sums, unit.least_exponent + offsets, fmt, offset)
        else:
            words, events = self.convert(sums, unit.acc, fmt, offsets + unit.offset, offset)
        events |= inner
        return words, events


class NumbaBackend(Accumulating):
    """The compiled kernels; the default."""

    name = "numba"

    def accumulate(self, a: Words, b: Words, unit: LinearDot | LogDot) -> tuple[Words, Events]:
        return kernels.dot_linear(a, b, unit) if isinstance(unit, LinearDot) else kernels.dot_log(a, b, unit)

    def linear_to_log(self, values: Words, least_exponent: int, fmt: LNSFormat, offset: int) -> tuple[Words, Events]:
        rom, index_bits = self.units.to_log_rom(fmt), self.units.index_bits(fmt)
        return kernels.linear_to_log(values, least_exponent, rom, index_bits, fmt, offset)

    def convert(
        self, words: Words, source: LNSFormat, fmt: LNSFormat, source_offset: int, offset: int
    ) -> tuple[Words, Events]:
        return kernels.convert(words, source, fmt, source_offset, offset, self.rounding)

    def relu(self, words: Words, fmt: LNSFormat) -> Words:
        return kernels.relu(words, fmt)

    def loss(
        self, logits: Words, targets: Targets, logit_offset: int, error_offset: int
    ) -> tuple[Words, Events, npt.NDArray[np.int64]]:
        return kernels.loss(logits, targets, logit_offset, error_offset, self.units.loss)

    def update(
        self, w: Words, g: Words, v: Words, constants: UpdateConstants, lfsr: npt.NDArray[np.uint32]
    ) -> tuple[Events, Events]:
        unit = self.units.update
        random = kernels.draws(lfsr, w.size, unit.step_frac_bits) if unit.rounding is Rounding.STOCHASTIC else None
        return kernels.update(w, g, v, unit, constants, random)


class ReferenceBackend(Accumulating):
    """The definition, one word at a time: for tests, on networks of a few neurons."""

    name = "reference"

    def accumulate(self, a: Words, b: Words, unit: LinearDot | LogDot) -> tuple[Words, Events]:
        dtype = np.dtype(np.int64) if isinstance(unit, LinearDot) else unit.acc.dtype
        out, events = np.empty((a.shape[0], b.shape[1]), dtype), np.empty((a.shape[0], b.shape[1]), np.uint8)
        for m, row in enumerate(a.tolist()):
            for n, column in enumerate(b.T.tolist()):
                if isinstance(unit, LinearDot):
                    out[m, n], events[m, n] = reference.dot_linear(row, column, unit)
                else:
                    out[m, n], events[m, n] = reference.dot_log(row, column, unit)
        return out, events

    def linear_to_log(self, values: Words, least_exponent: int, fmt: LNSFormat, offset: int) -> tuple[Words, Events]:
        rom, index_bits = self.units.to_log_rom(fmt).tolist(), self.units.index_bits(fmt)
        return _arrays(
            [reference.linear_to_log(v, least_exponent, rom, index_bits, fmt, offset) for v in values.ravel().tolist()],
            fmt,
            values.shape,
        )

    def convert(
        self, words: Words, source: LNSFormat, fmt: LNSFormat, source_offset: int, offset: int
    ) -> tuple[Words, Events]:
        return _arrays(
            [
                reference.convert(word, source, fmt, source_offset, offset, self.rounding)
                for word in words.ravel().tolist()
            ],
            fmt,
            words.shape,
        )

    def relu(self, words: Words, fmt: LNSFormat) -> Words:
        return np.array([reference.relu(word, fmt) for word in words.ravel().tolist()], fmt.dtype).reshape(words.shape)

    def loss(
        self, logits: Words, targets: Targets, logit_offset: int, error_offset: int
    ) -> tuple[Words, Events, npt.NDArray[np.int64]]:
        unit = self.units.loss
        rows = [
            reference.loss(row, int(target), logit_offset, error_offset, unit)
            for row, target in zip(logits.tolist(), targets, strict=True)
        ]
        words, events, losses = zip(*rows, strict=True)
        return np.array(words, unit.error.dtype), np.array(events, np.uint8), np.array(losses, np.int64)

    def update(
        self, w: Words, g: Words, v: Words, constants: UpdateConstants, lfsr: npt.NDArray[np.uint32]
    ) -> tuple[Events, Events]:
        unit = self.units.update
        w_events, v_events = np.empty(w.shape, np.uint8), np.empty(w.shape, np.uint8)
        r = unit.step_frac_bits
        size = w.size
        drawn = -(-size // lfsr.size) * lfsr.size if unit.rounding is Rounding.STOCHASTIC else size
        for e in range(drawn):  # past the last element, the other lanes make their last draw
            random = 0
            if unit.rounding is Rounding.STOCHASTIC:
                state, random = reference.lfsr_draw(int(lfsr[e % lfsr.size]), r)
                lfsr[e % lfsr.size] = state
            if e < size:
                words = int(w.flat[e]), int(g.flat[e]), int(v.flat[e])
                w.flat[e], v.flat[e], w_events.flat[e], v_events.flat[e] = reference.update(
                    *words, unit, constants, random
                )
        return w_events, v_events


def _arrays(pairs: list[tuple[int, Event]], fmt: LNSFormat, shape: tuple[int, ...]) -> tuple[Words, Events]:
    """(word, event) pairs as arrays."""
    words = np.array([word for word, _ in pairs], fmt.dtype).reshape(shape)
    return words, np.array([event for _, event in pairs], np.uint8).reshape(shape)


def _rtl(units: Units) -> Backend:
    from sim.train.rtl import RtlBackend  # which needs this module, and is the only one that needs a simulator

    return RtlBackend(units)


#: A backend's name -> what makes one for the units of a design.
BACKENDS: dict[str, Callable[[Units], Backend]] = {
    "numba": NumbaBackend, "reference": ReferenceBackend, "rtl": _rtl,
}  # fmt: skip
