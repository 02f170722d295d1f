"""What every hardware unit saw and gave in one training step, recorded word for word and replayable on any backend."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lns.design import Design
from lns.files import atomic_write
from lns.format import LNSFormat
from lns.kernels.elementwise import Events, Words
from lns.reference import UpdateConstants
from sim.train.backend import Backend, Targets
from sim.train.chip import Chip, StepResult

Array = npt.NDArray[Any]

_KIND, _VERSION = "lns trace", 1

# unit -> names of what a call returns; and of the operands that it moves in place, which are results too
_RETURNS = {
    "dot": ("words", "events"),
    "convert": ("words", "events"),
    "relu": ("words",),
    "loss": ("words", "events", "losses"),
    "update": ("w_events", "v_events"),
}
_MOVES = {"update": ("w", "v", "lfsr")}


class TraceError(ValueError):
    """A trace that cannot be made or read."""


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """The training step (from 1) that is to be recorded, and the file that takes it."""

    path: Path
    step: int = 1


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a backend.

    Attributes
    ----------
    unit, label : str
        The method, and where the step calls it: ``forward 1``, ``update 2``.
    operands : dict
        Arrays as they were before the call, by the names of the method's arguments.
    settings : dict
        Formats, offsets and constants, likewise.
    results : dict
        The arrays that came out: ``words``, ``events``, ``losses``; of an update, the new ``w``, ``v`` and ``lfsr``
        beside ``w_events`` and ``v_events``.
    """

    unit: str
    label: str
    operands: dict[str, Array]
    settings: dict[str, Any]
    results: dict[str, Array]

    def replay(self, backend: Backend) -> dict[str, Array]:
        """The results of the same operands on a backend."""
        arguments = {name: array.copy() for name, array in self.operands.items()} | self.settings
        return _results(self.unit, arguments, getattr(backend, self.unit)(**arguments))


def _results(unit: str, arguments: Mapping[str, Any], returned: Any) -> dict[str, Array]:
    """Copies of what a call returned and of what it moved in place: the caller goes on to write into them."""
    values = returned if isinstance(returned, tuple) else (returned,)
    out = {name: value.copy() for name, value in zip(_RETURNS[unit], values, strict=True)}
    return out | {name: arguments[name].copy() for name in _MOVES.get(unit, ())}


class TracingBackend:
    """A backend that passes every call on to another one and keeps what went in and what came out, in ``calls``."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.name = inner.name
        self.calls: list[Call] = []

    def _pass(self, unit: str, **arguments: Any) -> Any:
        operands = {name: value.copy() for name, value in arguments.items() if isinstance(value, np.ndarray)}
        settings = {name: value for name, value in arguments.items() if name not in operands}
        returned = getattr(self.inner, unit)(**arguments)
        self.calls.append(Call(unit, "", operands, settings, _results(unit, arguments, returned)))
        return returned

    def dot(
        self, a: Words, b: Words, a_fmt: LNSFormat, b_fmt: LNSFormat, fmt: LNSFormat, offsets: int, offset: int
    ) -> tuple[Words, Events]:
        return self._pass("dot", a=a, b=b, a_fmt=a_fmt, b_fmt=b_fmt, fmt=fmt, offsets=offsets, offset=offset)

    def convert(
        self, words: Words, source: LNSFormat, fmt: LNSFormat, source_offset: int, offset: int
    ) -> tuple[Words, Events]:
        offsets = {"source_offset": source_offset, "offset": offset}
        return self._pass("convert", words=words, source=source, fmt=fmt, **offsets)

    def relu(self, words: Words, fmt: LNSFormat) -> Words:
        return self._pass("relu", words=words, fmt=fmt)

    def loss(
        self, logits: Words, targets: Targets, logit_offset: int, error_offset: int
    ) -> tuple[Words, Events, npt.NDArray[np.int64]]:
        offsets = {"logit_offset": logit_offset, "error_offset": error_offset}
        return self._pass("loss", logits=logits, targets=targets, **offsets)

    def update(
        self, w: Words, g: Words, v: Words, constants: UpdateConstants, lfsr: npt.NDArray[np.uint32]
    ) -> tuple[Events, Events]:
        return self._pass("update", w=w, g=g, v=v, constants=constants, lfsr=lfsr)


@dataclass(frozen=True, eq=False)
class Trace:
    """The calls of one training step in their order; ``step`` counts from 1."""

    design: Design
    seed: int
    step: int
    calls: tuple[Call, ...]

    def save(self, path: Path) -> None:
        """Write an ``.npz`` of arrays ``<call>.<operand>`` and ``<call>.<result>.out``, and a JSON header, all or
        nothing.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        arrays: dict[str, Array] = {}
        rows = []
        for number, call in enumerate(self.calls):
            arrays |= {f"{number}.{name}": array for name, array in call.operands.items()}
            arrays |= {f"{number}.{name}.out": array for name, array in call.results.items()}
            rows.append(
                {
                    "unit": call.unit,
                    "label": call.label,
                    "operands": list(call.operands),
                    "settings": {name: _plain(value) for name, value in call.settings.items()},
                }
            )
        header = {
            "kind": _KIND, "version": _VERSION, "design": self.design.to_toml(), "seed": self.seed, "step": self.step,
            "calls": rows,
        }  # fmt: skip
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
        with atomic_write(path) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]


def _plain(value: Any) -> Any:
    if isinstance(value, LNSFormat):
        return str(value)
    return asdict(value) if isinstance(value, UpdateConstants) else int(value)


def _named(value: Any) -> Any:
    """What `_plain` made plain."""
    if isinstance(value, str):
        return LNSFormat.parse(value)
    return UpdateConstants(**value) if isinstance(value, dict) else int(value)


def traced_step(chip: Chip, inputs: Words, targets: Targets, lr: Fraction | None = None) -> tuple[StepResult, Trace]:
    """`Chip.step` and its trace; the chip goes on as if nobody had looked.

    Raises
    ------
    ValueError
        If the step makes other calls than `Chip.calls` names.
    """
    plain, tracing = chip.backend, TracingBackend(chip.backend)
    chip.backend = tracing
    try:
        result = chip.step(inputs, targets, lr)
    finally:
        chip.backend = plain
    expected = chip.calls()
    if [call.unit for call in tracing.calls] != [unit for unit, _ in expected]:
        raise ValueError(f"a step must call {expected}, it called {[call.unit for call in tracing.calls]}")
    calls = tuple(
        Call(call.unit, label, call.operands, call.settings, call.results)
        for call, (_, label) in zip(tracing.calls, expected, strict=True)
    )
    return result, Trace(chip.design, chip.seed, chip.updates, calls)


def load_trace(path: Path) -> Trace:
    """The trace in a file.

    Raises
    ------
    TraceError
        If the file is no trace, of another version, damaged, or lacks an array.
    OSError
        If it cannot be read.
    """
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise TraceError(f"{path}: not a trace, or a damaged one ({error})") from None
    try:
        header = json.loads(arrays.pop("header").tobytes())
        kind, version = header["kind"], header["version"]
    except (KeyError, TypeError, ValueError):
        raise TraceError(f"{path}: not a trace (it has no header)") from None
    if kind != _KIND:
        raise TraceError(f"{path}: not a trace, but {kind!r}")
    if version != _VERSION:
        raise TraceError(f"{path}: version {_VERSION} of a trace is required, got {version}")
    try:
        calls = tuple(_call(row, number, arrays) for number, row in enumerate(header["calls"]))
        return Trace(Design.from_toml(header["design"]), int(header["seed"]), int(header["step"]), calls)
    except KeyError as error:
        raise TraceError(f"{path}: {error.args[0]} is missing from the trace") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise TraceError(f"{path}: damaged header ({error})") from None


def _call(row: Mapping[str, Any], number: int, arrays: Mapping[str, Array]) -> Call:
    def take(names: Sequence[str], end: str) -> dict[str, Array]:
        return {name: arrays[f"{number}.{name}{end}"] for name in names}

    unit = row["unit"]
    return Call(
        unit,
        row["label"],
        take(row["operands"], ""),
        {name: _named(value) for name, value in row["settings"].items()},
        take((*_RETURNS[unit], *_MOVES.get(unit, ())), ".out"),
    )
