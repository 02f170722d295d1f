"""``lns diff``: the first word in which two runs, or two traces, differ, with what the unit saw.

Two runs are made again from their start, step by step side by side, and every call of every unit is compared; nothing
of their folders but the configuration and the design is read, and nothing is written.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from lns.design import Design
from lns.format import Event, LNSFormat, Rounding
from sim.train.backend import BACKENDS
from sim.train.chip import Chip
from sim.train.data import Dataset
from sim.train.loop import build, epoch_batches, own_lr, resolve, run_data
from sim.train.run import RunConfig, RunDirectory, RunError
from sim.train.trace import Call, Trace, load_trace, traced_step
from sim.verify.unit import show_word

Array = npt.NDArray[Any]

# unit -> its results, those that belong to one element together
_ELEMENTS = {
    "dot": (("words", "events"),),
    "convert": (("words", "events"),),
    "relu": (("words",),),
    "loss": (("words", "events"), ("losses",)),
    "update": (("w", "v", "w_events", "v_events"), ("lfsr",)),
}
_SHOWN = 12  # words of a row or column in the text


@dataclass(frozen=True, slots=True)
class Setting:
    """Something that was asked for differently."""

    name: str
    a: Any
    b: Any


@dataclass(frozen=True, slots=True)
class Value:
    """A word of a format, event flags, or another integer."""

    name: str
    value: int
    format: LNSFormat | None = None

    def __str__(self) -> str:
        """A word with its fields, flags by name, or a number."""
        if self.format is not None:
            return show_word(self.value, self.format)
        if self.name.endswith("events"):
            return " ".join(str(event.name).lower() for event in Event(self.value)) or "none"
        return str(self.value)

    def to_dict(self) -> dict[str, Any]:
        fmt = None if self.format is None else str(self.format)
        return {"name": self.name, "format": fmt, "value": self.value, "shown": str(self)}

    @property
    def line(self) -> str:
        """Name, format and value for a terminal."""
        return f"{self.name}{f' of {self.format}' if self.format else ''}: {self}"


@dataclass(frozen=True, slots=True)
class Vector:
    """A row or a column that is an operand."""

    name: str
    words: tuple[int, ...]
    format: LNSFormat

    def __str__(self) -> str:
        """The first words, in hexadecimal."""
        digits = -(-self.format.bits // 4)
        more = " …" if len(self.words) > _SHOWN else ""
        return " ".join(f"{word:0{digits}x}" for word in self.words[:_SHOWN]) + more

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "format": str(self.format), "words": list(self.words)}


@dataclass(frozen=True, slots=True)
class Side:
    """What one of the two had at the element that differs."""

    vectors: tuple[Vector, ...]
    operands: tuple[Value, ...]
    results: tuple[Value, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            field.name: [item.to_dict() for item in getattr(self, field.name)] for field in dataclasses.fields(self)
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """The first element that differs.

    Attributes
    ----------
    step : int
        From 1; 0 is before the first step.
    label, unit : str
        Which call of which unit: ``gradient 2``, ``dot``; ``state`` and none for what a step left behind.
    tensor, index : str and tuple of int
        The result, and which element of it.
    differing, size : int
        How many of the result's elements differ.
    why : str
        How the operands and the settings of the call compare.
    a, b : Side
    """

    step: int
    label: str
    unit: str
    tensor: str
    index: tuple[int, ...]
    differing: int
    size: int
    why: str
    a: Side
    b: Side

    def to_dict(self) -> dict[str, Any]:
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return own | {"index": list(self.index), "a": self.a.to_dict(), "b": self.b.to_dict()}


# --- calls -----------------------------------------------------------------------------------------------------------


def _formats(call: Call, design: Design) -> tuple[dict[str, LNSFormat], dict[str, LNSFormat]]:
    """Formats of a call's operands and of its results; what has none holds no words."""
    settings, formats = call.settings, design.formats
    if call.unit == "dot":
        return {"a": settings["a_fmt"], "b": settings["b_fmt"]}, {"words": settings["fmt"]}
    if call.unit == "convert":
        return {"words": settings["source"]}, {"words": settings["fmt"]}
    if call.unit == "relu":
        return {"words": settings["fmt"]}, {"words": settings["fmt"]}
    if call.unit == "loss":
        return {"logits": formats.activation}, {"words": formats.error}
    w, g, v = formats.weight, formats.gradient, design.update.moment
    return {"w": w, "g": g, "v": v}, {"w": w, "v": v}


def _seen(
    call: Call, design: Design, tensor: str, index: tuple[int, ...]
) -> tuple[tuple[Vector, ...], tuple[Value, ...]]:
    """The operands of one element of a call's result."""
    formats, operands = _formats(call, design)[0], call.operands
    if call.unit == "dot":
        row, column = operands["a"][index[0]], operands["b"][:, index[1]]
        vectors = (
            Vector(f"a, row {index[0]}", tuple(row.tolist()), formats["a"]),
            Vector(f"b, column {index[1]}", tuple(column.tolist()), formats["b"]),
        )
        return vectors, ()
    if call.unit == "loss":
        logits = tuple(operands["logits"][index[0]].tolist())
        target = Value("target", int(operands["targets"][index[0]]))
        return (Vector(f"logits, row {index[0]}", logits, formats["logits"]),), (target,)
    if tensor == "lfsr":
        return (), (Value("lfsr", int(operands["lfsr"][index])),)
    values = tuple(Value(name, int(operands[name][index]), fmt) for name, fmt in formats.items())
    if call.unit == "update" and design.update.rounding is Rounding.STOCHASTIC:
        lane = int(np.ravel_multi_index(index, operands["w"].shape)) % operands["lfsr"].size
        values += (Value(f"lfsr, lane {lane}, before the tensor", int(operands["lfsr"][lane])),)
    return (), values


def _plain_settings(call: Call) -> dict[str, Any]:
    """Offsets, formats and constants of a call, flat."""
    out: dict[str, Any] = {}
    for name, value in call.settings.items():
        if dataclasses.is_dataclass(value) and not isinstance(value, LNSFormat):
            out |= {f"{name}.{part.name}": getattr(value, part.name) for part in dataclasses.fields(value)}
        else:
            out[name] = str(value)
    return out


def compare_calls(step: int, calls: tuple[Call, Call], designs: tuple[Design, Design]) -> Difference | None:
    """The first element of a call's results that differs in two runs; None if all are the same.

    Words of different formats always differ: their bits mean different numbers.
    """
    a, b = calls
    formats = tuple(_formats(call, design)[1] for call, design in zip(calls, designs, strict=True))
    for group in _ELEMENTS[a.unit]:
        if a.results[group[0]].shape != b.results[group[0]].shape:
            continue  # another number of LFSR lanes, which the settings of the design say
        different = {
            name: (a.results[name] != b.results[name]) | (formats[0].get(name) != formats[1].get(name))
            for name in group
        }
        wrong = np.logical_or.reduce(list(different.values()))
        if not wrong.any():
            continue
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
        tensor = next(name for name in group if different[name][index])
        sides = []
        for call, design, own in zip(calls, designs, formats, strict=True):
            results = tuple(Value(name, int(call.results[name][index]), own.get(name)) for name in group)
            sides.append(Side(*_seen(call, design, tensor, index), results))
        same = _same_operands(*sides)
        settings = [f"{s.name} {s.a} and {s.b}" for s in _settings(_plain_settings(a), _plain_settings(b))]
        why = [*same, *(["settings of the call differ: " + ", ".join(settings)] if settings else [])]
        if not same and not settings:
            why = ["operands and settings of the call are the same: the unit's configuration or the backend differs"]
        elif not same:
            why.insert(0, "operands are the same")
        return Difference(
            step, a.label, a.unit, tensor, index, int(wrong.sum()), wrong.size, "; ".join(why), *sides
        )  # fmt: skip
    return None


def _same_operands(a: Side, b: Side) -> list[str]:
    """Nothing, or where the operands of two sides differ first."""
    if a.vectors and [v.format for v in a.vectors] != [v.format for v in b.vectors]:
        pairs = [f"{v.name} {v.format} and {w.format}" for v, w in zip(a.vectors, b.vectors, strict=True)]
        return [f"formats of the operands differ: {', '.join(pairs)}"]
    lists = [list(zip(*(vector.words for vector in side.vectors), strict=True)) for side in (a, b)]
    for k, (mine, other) in enumerate(zip(*lists, strict=True)):
        if mine != other:
            names = [vector.name for vector in a.vectors]
            shown = []
            for side in (a, b):
                shown.append(", ".join(show_word(v.words[k], v.format) for v in side.vectors))
            return [f"operands ({' and '.join(names)}) differ first at k = {k}: {shown[0]} in A, {shown[1]} in B"]
    # random bits stand last: only a design that rounds stochastically sees them
    different = [x.name for x, y in zip(a.operands, b.operands, strict=False) if x != y]
    return [f"operands differ: {', '.join(different)}"] if different else []


def compare_traces(a: Trace, b: Trace) -> Difference | None:
    """The first difference of two traces; call by call, in the order in which the step made them.

    Raises
    ------
    RunError
        If they are of networks or batches of different sizes.
    """
    if [(c.unit, c.label) for c in a.calls] != [(c.unit, c.label) for c in b.calls]:
        raise RunError("the traces cannot be compared: the networks have different numbers of layers")
    for mine, other in zip(a.calls, b.calls, strict=True):
        for name, array in mine.operands.items():
            shape = other.operands[name].shape
            if array.shape != shape and name != "lfsr":
                raise RunError(
                    f"the traces cannot be compared: {name} of {mine.label} has the shape {array.shape} in one and "
                    f"{shape} in the other"
                )
        found = compare_calls(a.step, (mine, other), (a.design, b.design))
        if found is not None:
            return found
    return None


# --- runs ------------------------------------------------------------------------------------------------------------


def _flat(table: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Nested tables with dotted names."""
    out: dict[str, Any] = {}
    for name, value in table.items():
        path = f"{prefix}.{name}" if prefix else name
        out |= _flat(value, path) if isinstance(value, Mapping) else {path: value}
    return out


def _settings(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Setting]:
    """What differs, in the order of a, then of b; None for what one of them lacks."""
    return [Setting(name, a.get(name), b.get(name)) for name in dict.fromkeys([*a, *b]) if a.get(name) != b.get(name)]


def _design_settings(design: Design) -> dict[str, Any]:
    """All but the description, which says the same in words."""
    return {f"design.{name}": value for name, value in _flat(design.to_dict(), "").items() if name != "description"}


class _Run:
    """A run that is made again from its start."""

    def __init__(self, path: Path, backend: str) -> None:
        run = RunDirectory(path)
        design = run.design()
        self.path, self.backend = path, backend
        self.config: RunConfig = resolve(run.config(), design)
        if design is None:
            raise RunError(f"{path}: {self.config.learner} is a float baseline and has no words to compare")
        self.design = design
        self.data: Dataset = run_data(self.config)
        learner = build(self.config, design, self.data, backend)
        assert isinstance(learner, Chip)
        self.chip = learner

    @property
    def settings(self) -> dict[str, Any]:
        own = dataclasses.asdict(self.config) | {"backend": self.backend}
        return own | _design_settings(self.design)

    @property
    def shape(self) -> dict[str, Any]:
        """What must be the same in two runs whose words are to be compared."""
        data = self.data
        return {
            "input features": data.features,
            "classes": data.classes,
            "training samples": len(data.train_x),
            "hidden layers": self.config.hidden,
            "batch": self.config.batch,
        }

    @property
    def steps(self) -> int:
        return self.config.epochs * -(-len(self.data.train_x) // self.config.batch)

    def traces(self) -> Iterator[Trace]:
        """Every step of the run."""
        inputs = self.chip.encode_inputs(self.data.train_x, self.data.scale)
        for epoch in range(self.config.epochs):
            rate = self.config.rate(own_lr(self.config, self.design), epoch)
            for chosen in epoch_batches(self.config, epoch, len(inputs)):
                yield traced_step(self.chip, inputs[chosen], self.data.train_y[chosen], rate)[1]


def _require_comparable(a: _Run, b: _Run) -> None:
    wrong = [f"{s.name} ({s.a} and {s.b})" for s in _settings(a.shape, b.shape)]
    if not wrong:
        same = np.array_equal(a.data.train_x, b.data.train_x) and np.array_equal(a.data.train_y, b.data.train_y)
        wrong = [] if same and a.data.scale == b.data.scale else [f"training data ({a.data.name} and {b.data.name})"]
    if wrong:
        raise RunError(f"{a.path} and {b.path} cannot be compared, they differ in: {', '.join(wrong)}")


def compare_states(step: int, a: Chip, b: Chip) -> Difference | None:
    """The first element of two chips' states that differs after a step (0: before the first)."""
    other = b.state()
    for name, array in a.state().items():
        if array.shape != other[name].shape:
            continue  # another number of LFSR lanes, which the settings of the design say
        wrong = np.asarray(array != other[name])
        if not wrong.any():
            continue
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
        sides = []
        for chip, values in ((a, array), (b, other[name])):
            kinds = {"weight": chip.design.formats.weight, "moment": chip.design.update.moment}
            fmt = kinds.get(name.rstrip("0123456789"))
            shown = _offset_name(index[0], len(chip.weights)) if name == "offsets" else name
            sides.append(Side((), (), (Value(shown, int(values[index]), fmt),)))
        return Difference(step, "state", "", name, index, int(wrong.sum()), wrong.size, "", *sides)
    return None


def _offset_name(index: int, layers: int) -> str:
    """What stands at an index of the offsets in `Chip.state`."""
    names = [f"offset of activation {layer}" for layer in range(layers + 1)]
    kinds = ("offset of error", "offset of gradient", "previous offset of gradient", "cap exponent of weight")
    return [*names, *(f"{kind} {layer}" for kind in kinds for layer in range(1, layers + 1))][index]


def compare_runs(a: _Run, b: _Run, steps: int) -> Difference | None:
    """The first difference in a number of steps, of both runs side by side from their start."""
    found = compare_states(0, a.chip, b.chip)
    pairs = itertools.islice(zip(a.traces(), b.traces(), strict=False), 0 if found else steps)
    for mine, other in tqdm(pairs, total=steps, unit="step", disable=None, leave=False):
        found = compare_traces(mine, other) or compare_states(mine.step, a.chip, b.chip)
        if found is not None:
            break
    return found


# --- the command -----------------------------------------------------------------------------------------------------


def text(settings: Sequence[Setting], found: Difference | None, steps: int) -> str:
    """Settings, then the difference, as lines for a terminal."""
    lines = [
        f"{s.name}: " + ", ".join(f"{v} in {n}" for v, n in ((s.a, "A"), (s.b, "B")) if v is not None) for s in settings
    ]
    if lines:
        lines = ["settings that differ", *(f"  {line}" for line in lines)]
    if found is None:
        return "\n".join([*lines, f"no difference in {steps} step{'s' if steps != 1 else ''}"])
    when = f"step {found.step}" if found.step else "before the first step"
    unit = f" ({found.unit})" if found.unit else ""
    element = f"[{', '.join(map(str, found.index))}]"
    lines.append(f"first difference: {when}, {found.label}{unit}, {found.tensor} {element}")
    lines.append(f"  {found.differing} of {found.size} elements differ there")
    if found.why:
        lines.append(f"  {found.why}")
    same = (found.a.vectors, found.a.operands) == (found.b.vectors, found.b.operands)
    for name, side in [("both", found.a)] if same else [("A", found.a), ("B", found.b)]:
        for vector in side.vectors:
            lines.append(f"  {name:<4}  {vector.name}, {len(vector.words)} words of {vector.format}: {vector}")
        lines += [f"  {name:<4}  {value.line}" for value in side.operands]
    for name, side in (("A", found.a), ("B", found.b)):
        lines += [f"  {name:<4}  → {value.line}" for value in side.results]
    lines.append("  (values of words are at offset 0)")
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``lns diff``."""
    parser.add_argument("a", type=Path, metavar="RUN_A", help="a run directory of a chip, or a trace of lns train")
    parser.add_argument("b", type=Path, metavar="RUN_B", help="another one of the same kind")
    parser.add_argument("--steps", type=int, help="compare so many steps of runs (default: all of the shorter run)")
    parser.add_argument(
        "--backends", nargs=2, choices=list(BACKENDS), metavar=("A", "B"),
        help=f"what makes the runs again, of {', '.join(BACKENDS)} (default: numba numba)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Run ``lns diff``: 0 if nothing differs, 1 if something does.

    Raises
    ------
    RunError, TraceError
        If there is no run or trace, or the two cannot be compared.
    """
    paths = (args.a, args.b)
    if all(path.is_file() for path in paths):
        if args.steps is not None or args.backends is not None:
            raise RunError("--steps and --backends are for runs: a trace holds what one backend did in one step")
        traces = [load_trace(path) for path in paths]
        own = [{"seed": t.seed, "step": t.step} | _design_settings(t.design) for t in traces]
        settings, found, steps = _settings(*own), compare_traces(*traces), 1
    elif any(path.is_file() for path in paths):
        raise RunError(f"{args.a} and {args.b}: two run directories or two traces are required")
    else:
        names = args.backends or ("numba", "numba")
        a, b = _Run(args.a, names[0]), _Run(args.b, names[1])
        _require_comparable(a, b)
        most = min(a.steps, b.steps)
        steps = most if args.steps is None else args.steps
        if not 1 <= steps <= most:
            raise RunError(f"--steps must be from 1 to {most}, the steps of the shorter run, got {steps}")
        settings = _settings(a.settings, b.settings)
        found = compare_runs(a, b, steps)
    if args.json:
        rows = [dataclasses.asdict(s) for s in settings]
        print(
            json.dumps({"settings": rows, "steps": steps, "difference": found.to_dict() if found else None}, indent=2)
        )
    else:
        print(text(settings, found, steps))
    return 0 if found is None else 1
