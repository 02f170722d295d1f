"""A multilayer perceptron on a chip: docs/spec.md, sections 11 and 12, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from lns import kernels, reference
from lns.codec import decode, encode
from lns.design import Design
from lns.format import LNSFormat
from lns.kernels.elementwise import Events, Words
from lns.units import Units
from sim.train.backend import BACKENDS, Backend

Floats = npt.NDArray[Any]


@dataclass(slots=True)
class Tensor:
    """Words with their format and offset, and the offset that what was seen asks for next."""

    fmt: LNSFormat
    offset: int
    headroom: int
    holds_one: bool = False
    next_offset: int = field(init=False)

    def __post_init__(self) -> None:
        self.next_offset = self.offset

    def see(self, largest: int, saturated: bool) -> None:
        """The monitor (spec, section 11): what the largest stored code, and whether any word saturated, ask of the
        next step's offset."""
        self.next_offset = reference.next_offset(
            self.offset, largest, saturated, self.fmt, self.holds_one, self.headroom
        )

    def advance(self) -> None:
        self.offset = self.next_offset


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one batch gave: summed loss in nats, correct predictions, samples."""

    loss: float
    correct: int
    samples: int


def require_same_arrays(own: Mapping[str, Floats], given: Mapping[str, Floats]) -> None:
    """`ValueError` if a checkpoint's arrays lack one of a learner's own, or have it in another shape or dtype."""
    for name, array in own.items():
        other = given.get(name)
        if other is None or other.shape != array.shape or other.dtype != array.dtype:
            what = "nothing" if other is None else f"{other.dtype}{other.shape}"
            raise ValueError(f"checkpoint: {name} must be {array.dtype}{array.shape}, got {what}")


def cap_exponent(weights: Floats) -> int:
    """R of the weight cap 2**R = 2**round(log2(3·RMS)) (spec, section 8)."""
    rms = float(np.sqrt(np.mean(np.square(weights, dtype=np.float64))))
    if not (np.isfinite(rms) and rms > 0):
        raise ValueError(f"initial weights need a finite RMS above 0, got {rms}")
    return round(float(np.log2(3 * rms)))


class Chip:
    """The state of a network in training on one design, and the step that moves it.

    Parameters
    ----------
    design : Design
    weights : sequence of float arrays, (outputs, inputs + 1)
        Initial weights, the bias in the last column.
    seed : int
        Of the update unit's LFSRs, 0 to 2**32 - 1.
    backend : str
        A name in `sim.train.backend.BACKENDS`; it changes no bit.

    Attributes
    ----------
    weights, moments : lists of words, (outputs, inputs + 1)
    activations, errors, gradients : lists of `Tensor`
        ``activations[0]`` is the input, ``activations[l]`` the output of layer l; errors and gradients have an
        entry a layer.
    events : dict
        Counts by tensor kind, in the order of `Event`.
    """

    def __init__(self, design: Design, weights: Sequence[Floats], seed: int, backend: str = "numba") -> None:
        self.design, self.units, self.seed = design, Units(design), seed
        self.backend: Backend = BACKENDS[backend](self.units)
        formats, layers = design.formats, len(weights)
        self.caps = [cap_exponent(w) for w in weights]
        self.weights = [self._initial(w, cap) for w, cap in zip(weights, self.caps, strict=True)]
        self.moments = [np.zeros(w.shape, design.update.moment.dtype) for w in weights]
        headroom = design.offsets.headroom
        one, error_one = (-fmt.one_offset_limit for fmt in (formats.activation, formats.error))
        hidden = [Tensor(formats.activation, one + headroom, headroom, holds_one=True) for _ in range(layers - 1)]
        logits = Tensor(formats.activation, one + headroom, headroom)
        self.activations = [Tensor(formats.activation, one, 0, holds_one=True), *hidden, logits]
        self.errors = [Tensor(formats.error, error_one + headroom, headroom) for _ in weights]
        self.gradients = [Tensor(formats.gradient, 0, headroom) for _ in weights]
        self.previous_offsets = [0] * layers
        self.lfsr = kernels.lfsr_seeds(seed, design.update.lanes)
        self.updates = 0
        kinds = ("activation", "error", "gradient", "operand", "weight", "moment")
        self.events = {kind: np.zeros(7, np.int64) for kind in kinds}

    def _initial(self, weights: Floats, cap: int) -> Words:
        fmt = self.design.formats.weight
        words = encode(weights, fmt, offset=self.units.weight_offset(cap, fmt))
        smallest = np.where(weights < 0, fmt.sign_bit | 1, 1).astype(fmt.dtype)
        return np.where(words == 0, smallest, words)

    # --- the step ------------------------------------------------------------------------------------------------

    def operands(self) -> tuple[list[Words], list[int]]:
        """The compute copies of all weights and their offsets."""
        formats = self.design.formats
        words, offsets = [], []
        for stored, cap in zip(self.weights, self.caps, strict=True):
            source = self.units.weight_offset(cap, formats.weight)
            offset = self.units.weight_offset(cap, formats.operand)
            copy, events = self.backend.convert(stored, formats.weight, formats.operand, source, offset)
            self._count("operand", events)
            words.append(copy)
            offsets.append(offset)
        return words, offsets

    def forward(self, inputs: Words, operands: Sequence[Words], offsets: Sequence[int]) -> list[Words]:
        """Words of every layer, each but the logits with its column of ones; the monitors look on."""
        formats = self.design.formats
        layers = [self._with_ones(inputs, self.activations[0])]
        for number, (w, w_offset) in enumerate(zip(operands, offsets, strict=True), 1):
            source, tensor = self.activations[number - 1], self.activations[number]
            words, events = self.backend.dot(
                layers[-1],
                w.T,
                formats.activation,
                formats.operand,
                tensor.fmt,
                source.offset + w_offset,
                tensor.offset,
            )
            if number < len(operands):
                words = self.backend.relu(words, tensor.fmt)
                events *= words != 0
            self._see("activation", tensor, words, events)
            layers.append(self._with_ones(words, tensor) if tensor.holds_one else words)
        return layers

    def step(self, inputs: Words, targets: npt.NDArray[np.int64], lr: Fraction | None = None) -> StepResult:
        """One batch: forward, loss, backward, update, offsets.

        Parameters
        ----------
        inputs : words of the activation format, (samples, inputs)
            Encoded at ``activations[0].offset``.
        targets : integers, (samples,)
        lr : Fraction, optional
            Learning rate of this step; by default the design's.
        """
        formats = self.design.formats
        operands, offsets = self.operands()
        layers = self.forward(inputs, operands, offsets)
        logits, last = layers[-1], self.errors[-1]
        error, events, losses = self.backend.loss(logits, targets, self.activations[-1].offset, last.offset)
        self._see("error", last, error, events)
        gradients: list[Words] = []
        for index in reversed(range(len(operands))):
            below, tensor = layers[index], self.gradients[index]
            gradient, events = self.backend.dot(
                error.T, below, formats.error, formats.activation, tensor.fmt,
                self.errors[index].offset + self.activations[index].offset, tensor.offset,
            )  # fmt: skip
            self._see("gradient", tensor, gradient, events)
            gradients.insert(0, gradient)
            if index:
                source, tensor = self.errors[index], self.errors[index - 1]
                error, events = self.backend.dot(
                    error, operands[index][:, :-1], formats.error, formats.operand, tensor.fmt,
                    source.offset + offsets[index], tensor.offset,
                )  # fmt: skip
                active = below[:, :-1] != 0  # elsewhere ReLU made the activation zero
                error *= active
                events *= active
                self._see("error", tensor, error, events)
        self._update(gradients, lr)
        for tensor in (*self.activations, *self.errors, *self.gradients):
            tensor.advance()
        correct = int((kernels.argmax(logits, formats.activation) == targets).sum())
        return StepResult(self._nats(losses), correct, len(targets))

    def calls(self) -> list[tuple[str, str]]:
        """(unit, label) of every call that `step` makes to the backend, in order: layers count from 1."""
        layers = range(1, len(self.weights) + 1)
        out = [("convert", f"operand {layer}") for layer in layers]
        for layer in layers:
            out += [("dot", f"forward {layer}"), ("relu", f"relu {layer}")]
        out[-1] = ("loss", "loss")  # where the logits have no ReLU
        for layer in reversed(layers):
            out += [("dot", f"gradient {layer}"), ("dot", f"backward {layer}")]
        return out[:-1] + [("update", f"update {layer}") for layer in layers]  # nothing lies before layer 1

    def _update(self, gradients: Sequence[Words], lr: Fraction | None) -> None:
        first = self.updates == 0
        self.updates += 1
        for index, gradient in enumerate(gradients):
            offset = self.gradients[index].offset
            previous = offset if first else self.previous_offsets[index]
            constants = self.units.update_constants(self.updates, offset, previous, lr)
            w_events, v_events = self.backend.update(
                self.weights[index], gradient, self.moments[index], constants, self.lfsr
            )
            self.previous_offsets[index] = offset
            self._count("weight", w_events)
            self._count("moment", v_events)

    # --- outside the step ------------------------------------------------------------------------------------------

    def encode_inputs(self, x: npt.NDArray[Any], scale: float = 1.0) -> Words:
        """Inputs as words: real numbers, or integer levels that stand for level/scale."""
        tensor = self.activations[0]
        if x.dtype.kind == "u" and x.dtype.itemsize <= 2:
            levels = np.arange(int(x.max(initial=0)) + 1) / scale
            return encode(levels, tensor.fmt, offset=tensor.offset)[x]
        return encode(x / scale, tensor.fmt, offset=tensor.offset)

    def evaluate(self, inputs: Words, targets: npt.NDArray[np.int64], batch: int = 1000) -> StepResult:
        """Loss and predictions with frozen offsets; nothing of the state changes, no event is counted."""
        counted = {kind: counts.copy() for kind, counts in self.events.items()}
        waiting = [tensor.next_offset for tensor in self.activations]
        operands, offsets = self.operands()
        loss, correct = 0.0, 0
        for first in range(0, len(targets), batch):
            some = targets[first : first + batch]
            logits = self.forward(inputs[first : first + batch], operands, offsets)[-1]
            losses = self.backend.loss(logits, some, self.activations[-1].offset, self.errors[-1].offset)[2]
            loss += self._nats(losses)
            correct += int((kernels.argmax(logits, self.design.formats.activation) == some).sum())
        self.events = counted
        for tensor, offset in zip(self.activations, waiting, strict=True):
            tensor.next_offset = offset
        return StepResult(loss, correct, len(targets))

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Everything that the next step depends on, as arrays."""
        out = {f"weight{i}": w for i, w in enumerate(self.weights, 1)}
        out |= {f"moment{i}": v for i, v in enumerate(self.moments, 1)}
        out |= {f"events.{kind}": counts for kind, counts in self.events.items()}
        tensors = (*self.activations, *self.errors, *self.gradients)
        out["offsets"] = np.array([t.offset for t in tensors] + self.previous_offsets + self.caps, np.int64)
        out["lfsr"] = self.lfsr
        out["updates"] = np.array(self.updates)
        return out

    def load(self, state: dict[str, npt.NDArray[Any]]) -> None:
        """Take over what `state` gave.

        Raises
        ------
        ValueError
            If an array is missing or of another shape or dtype than this network's.
        """
        require_same_arrays(self.state(), state)
        layers = len(self.weights)
        self.weights = [state[f"weight{i + 1}"].copy() for i in range(layers)]
        self.moments = [state[f"moment{i + 1}"].copy() for i in range(layers)]
        self.events = {kind: state[f"events.{kind}"].copy() for kind in self.events}
        offsets = state["offsets"].tolist()
        for tensor in (*self.activations, *self.errors, *self.gradients):
            tensor.offset = tensor.next_offset = offsets.pop(0)
        self.previous_offsets, self.caps = offsets[:layers], offsets[layers:]
        self.lfsr = state["lfsr"].copy()
        self.updates = int(state["updates"])

    def float_weights(self) -> list[npt.NDArray[np.float64]]:
        """The stored weights as real numbers."""
        fmt = self.design.formats.weight
        return [
            decode(w, fmt, offset=self.units.weight_offset(cap, fmt))
            for w, cap in zip(self.weights, self.caps, strict=True)
        ]

    def _with_ones(self, words: Words, tensor: Tensor) -> Words:
        out = np.empty((len(words), words.shape[1] + 1), words.dtype)
        out[:, :-1] = words
        out[:, -1] = tensor.fmt.bias - (tensor.offset << tensor.fmt.frac_bits)
        return out

    def _see(self, kind: str, tensor: Tensor, words: Words, events: Events) -> None:
        """Show a tensor's stored words and their events to its monitor and to the counters."""
        counts = self._count(kind, events)
        tensor.see(kernels.largest_code(words, tensor.fmt), bool(counts[0]))  # flag 0 is saturate

    def _count(self, kind: str, events: Events) -> npt.NDArray[np.int64]:
        counts = kernels.count_events(events)
        self.events[kind] += counts
        return counts

    def _nats(self, losses: npt.NDArray[np.int64]) -> float:
        return float(losses.sum()) * float(np.log(2)) / (1 << self.design.loss.format.frac_bits)
