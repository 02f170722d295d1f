"""The backend in hardware: every word of a training step out of the compiled Verilog (docs/spec.md, section 12)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lns.format import Event, LNSFormat, Rounding
from lns.kernels.elementwise import Events, Words
from lns.reference import LinearDot, LogDot, UpdateConstants
from lns.units import Units
from sim.train.backend import Accumulating, Targets
from sim.verify.compiled import Columns, CompiledUnit, pack_columns, unpack_columns
from sim.verify.unit import Port, Unit, VerifyError, port_values
from sim.verify.units import instances
from sim.verify.units.convert import Convert
from sim.verify.units.dot import DotLinear, DotLog
from sim.verify.units.elementwise import Relu
from sim.verify.units.linear_to_log import LinearToLog
from sim.verify.units.loss import Loss
from sim.verify.units.update import Lfsr, Update

__all__ = ["Execute", "RtlBackend", "compiled", "dot_beats"]

#: A unit, a column a port, and how many results are due, to a column a port.
Execute = Callable[[Unit, list[Columns], int], list[Columns]]

_BEATS = 1 << 16  # of a dot product that go through at once


def compiled() -> Execute:
    """Runs columns through units that Verilator has compiled, each built when it is first needed."""
    build = cache(CompiledUnit)

    def execute(unit: Unit, columns: list[Columns], results: int) -> list[Columns]:
        out = build(unit).run(pack_columns(columns, unit.inputs()), results)
        return unpack_columns(out, unit.outputs())

    return execute


def dot_beats(a: Words, b: Words, lanes: int) -> dict[str, Columns]:
    """The beats of the dot products of (M, K) times (K, N), a column a port, the outputs in row-major order."""
    rows, columns, inner = len(a), b.shape[1], a.shape[1]
    cycles = -(-inner // lanes)
    padding = ((0, 0), (0, cycles * lanes - inner))  # a lane without a term gets a zero word
    left = np.pad(a.astype(np.int64), padding).reshape(rows, 1, cycles, lanes)
    right = np.pad(b.T.astype(np.int64), padding).reshape(1, columns, cycles, lanes)
    last = np.zeros(cycles, np.int64)
    last[-1] = 1
    shape = (rows, columns, cycles, lanes)
    return {
        "last_i": np.broadcast_to(last, shape[:3]).reshape(-1),
        "a_i": np.broadcast_to(left, shape).reshape(-1, lanes),
        "b_i": np.broadcast_to(right, shape).reshape(-1, lanes),
    }


class RtlBackend(Accumulating):
    """Every unit in Verilog.

    Parameters
    ----------
    units : Units
    execute : callable, optional
        What runs a unit; by default compiled Verilog.

    Raises
    ------
    VerifyError
        When a unit is needed that does not build or that the design lacks; `MissingTool` without Verilator.
    """

    name = "rtl"

    def __init__(self, units: Units, execute: Execute | None = None) -> None:
        super().__init__(units)
        self.execute = execute or compiled()
        self.found = instances(units.design)

    def _run(self, unit: Unit, inputs: Mapping[str, Any], results: int) -> dict[str, Columns]:
        """Columns by port; a number stands for a column of it, and octaves are clamped to where more change nothing."""
        rows = next(len(column) for column in inputs.values() if isinstance(column, np.ndarray))
        columns = [_column(inputs[port.name], port, rows) for port in unit.inputs()]
        out = self.execute(unit, columns, results)
        return {port.name: column for port, column in zip(unit.outputs(), out, strict=True)}

    def _find(self, wanted: Unit) -> Unit:
        if wanted not in self.found:
            raise VerifyError(f"design {self.units.design.name} has no {wanted.module} of {wanted}")
        return wanted

    # --- dot product

    def accumulate(self, a: Words, b: Words, unit: LinearDot | LogDot) -> tuple[Words, Events]:
        kind = DotLinear if isinstance(unit, LinearDot) else DotLog
        engine = next(
            one for one in self.found
            if isinstance(one, kind) and (one.factors.a, one.factors.b) == (unit.a, unit.b)
        )  # fmt: skip
        rows, columns = len(a), b.shape[1]
        values, events = [], []
        at_once = max(1, _BEATS // (columns * -(-a.shape[1] // unit.lanes)))
        for first in range(0, rows, at_once):
            part = a[first : first + at_once]
            out = self._run(engine, dot_beats(part, b, unit.lanes), len(part) * columns)
            values.append(out[engine.outputs()[0].name])
            events.append(_events(out, engine.events))
        dtype = np.dtype(np.int64) if isinstance(unit, LinearDot) else unit.acc.dtype
        words = np.concatenate(values).astype(dtype)
        return words.reshape(rows, columns), np.concatenate(events).reshape(rows, columns)

    def linear_to_log(self, values: Words, least_exponent: int, fmt: LNSFormat, offset: int) -> tuple[Words, Events]:
        bits = next(one.bits for one in self.found if isinstance(one, LinearToLog))
        unit = self._find(LinearToLog(bits, fmt, self.units.index_bits(fmt)))
        return self._words(unit, {"acc_i": _flat(values), "exponent_i": least_exponent - offset}, fmt, values.shape)

    def convert(
        self, words: Words, source: LNSFormat, fmt: LNSFormat, source_offset: int, offset: int
    ) -> tuple[Words, Events]:
        unit = Convert(source, fmt, self.rounding)
        if unit not in self.found and source == fmt and source_offset == offset:
            return words.copy(), np.zeros(words.shape, np.uint8)  # the compute copy is the weight itself: no hardware
        inputs = {"a_i": _flat(words), "offset_i": source_offset - offset}
        return self._words(self._find(unit), inputs, fmt, words.shape)

    def relu(self, words: Words, fmt: LNSFormat) -> Words:
        return self._words(self._find(Relu(fmt)), {"a_i": _flat(words)}, fmt, words.shape)[0]

    def _words(
        self, unit: Unit, inputs: Mapping[str, Any], fmt: LNSFormat, shape: tuple[int, ...]
    ) -> tuple[Words, Events]:
        out = self._run(unit, inputs, int(np.prod(shape)))
        return out["word_o"].astype(fmt.dtype).reshape(shape), _events(out, unit.events).reshape(shape)

    # --- loss and update

    def loss(
        self, logits: Words, targets: Targets, logit_offset: int, error_offset: int
    ) -> tuple[Words, Events, npt.NDArray[np.int64]]:
        unit = next(one for one in self.found if isinstance(one, Loss))
        samples, classes = logits.shape
        if classes > unit.classes:
            raise VerifyError(f"lns_loss takes at most {unit.classes} classes, got {classes}")
        number = np.arange(classes)
        out = self._run(
            unit,
            {
                "last_i": np.tile(number == classes - 1, samples).astype(np.int64),
                "word_i": _flat(logits),
                "target_i": (number == targets[:, None]).astype(np.int64).reshape(-1),
                "logit_offset_i": logit_offset,
                "error_offset_i": error_offset,
            },
            logits.size,
        )
        errors = out["word_o"].astype(unit.unit.error.dtype).reshape(logits.shape)
        return errors, _events(out, unit.events).reshape(logits.shape), out["loss_o"].reshape(logits.shape)[:, -1]

    def update(
        self, w: Words, g: Words, v: Words, constants: UpdateConstants, lfsr: npt.NDArray[np.uint32]
    ) -> tuple[Events, Events]:
        unit = next(one for one in self.found if isinstance(one, Update))
        random = self._draws(lfsr, w.size) if self.units.update.rounding is Rounding.STOCHASTIC else 0
        inputs = {
            "weight_i": _flat(w), "gradient_i": _flat(g), "moment_i": _flat(v), "random_i": random,
            **{f"{name}_i": getattr(constants, name) for name in ("read", "term", "correction", "clip", "lr")},
        }  # fmt: skip
        out = self._run(unit, inputs, w.size)
        w[...], v[...] = out["weight_o"].reshape(w.shape), out["moment_o"].reshape(v.shape)
        moment = {name.removeprefix("moment_"): column for name, column in out.items() if name.startswith("moment_")}
        own = Event.SATURATE | Event.UNDERFLOW
        return _events(out, unit.events).reshape(w.shape), _events(moment, own).reshape(v.shape)

    def _draws(self, lfsr: npt.NDArray[np.uint32], count: int) -> npt.NDArray[np.int64]:
        """Random bits for ``count`` elements; the lanes' states move on in place."""
        unit = next(one for one in self.found if isinstance(one, Lfsr))
        drawn = []
        for _ in range(-(-count // lfsr.size)):
            out = self._run(unit, {"state_i": _flat(lfsr)}, lfsr.size)
            lfsr[...] = out["state_o"]
            drawn.append(out["random_o"])
        return np.concatenate(drawn)[:count]


def _flat(words: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return words.reshape(-1).astype(np.int64)


def _column(value: int | npt.NDArray[np.int64], port: Port, rows: int) -> Columns:
    if isinstance(value, np.ndarray):
        return value
    if port.name.endswith(("offset_i", "exponent_i")):
        every = port_values(port)
        value = max(every[0], min(value, every[-1]))
    return np.full(rows, value, np.int64)


def _events(out: Mapping[str, Columns], events: Event) -> Events:
    """The flags of output ports ``<event>_o``."""
    columns = (out[f"{str(event.name).lower()}_o"] * int(event) for event in events)
    rows = len(next(iter(out.values())))
    return sum(columns, np.zeros(rows, np.int64)).astype(np.uint8)
