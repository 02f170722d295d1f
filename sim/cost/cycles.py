"""Clocks and traffic of a training step on an array of processing elements, call by call.

The dataflow is output-stationary. An element of L lanes works on one word of a product at a time and takes L of its
terms a clock; R × C elements work on a tile of R × C neighbouring words, whose operands go to whole rows and columns at
once. K is never split: the order of the terms is the meaning. docs/cost-model.md says the same in words and formulas.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lns.design import Design, LogAccumulator
from sim.cost.errors import CostError
from sim.train.trace import Trace

__all__ = ["Array", "Count", "Phase", "Use", "Words", "counts", "counts_of", "float_words", "plan", "role_of"]

_ELEMENT_LATENCY = {"linear": 3, "log": 4}  #: register stages of rtl/lns_element_*.v, from operands to word
_STREAM_LATENCY = 2  #: of update and conversion: registers before and behind
_LOSS_LATENCY = 1  #: a register before

#: first word of a call's label -> who does it
_ROLES = {
    "operand": "convert", "forward": "element", "backward": "element", "gradient": "element", "relu": "relu",
    "loss": "loss", "update": "update",
}  # fmt: skip


def role_of(label: str) -> str:
    """What does the call of a label: ``element``, ``convert``, ``relu``, ``loss`` or ``update``."""
    return _ROLES[label.split()[0]]


@dataclass(frozen=True, slots=True)
class Count:
    """How much a call of a training step computes.

    Attributes
    ----------
    label : str
        As `sim.train.chip.Chip.calls` has it: ``forward 1``.
    shape : tuple of int
        (M, N, K) of a product, (samples, classes) of the loss, (words,) of anything else.
    """

    label: str
    shape: tuple[int, ...]

    @property
    def phase(self) -> str:
        return self.label.split()[0]

    @property
    def layer(self) -> int:
        """From 1; the loss belongs to none and has 0."""
        return int(self.label.split()[1]) if " " in self.label else 0

    @property
    def role(self) -> str:
        """As `role_of` has it."""
        return role_of(self.label)

    @property
    def operations(self) -> int:
        """Multiply-accumulates of a product, words of anything else."""
        product = 1
        for extent in self.shape:
            product *= extent
        return product


def counts(trace: Trace) -> tuple[Count, ...]:
    """What a recorded step computed, from the shapes of its operands, in order."""
    out = []
    for call in trace.calls:
        operands = call.operands
        if call.unit == "dot":
            (m, k), n = operands["a"].shape, operands["b"].shape[1]
            shape: tuple[int, ...] = (m, n, k)
        elif call.unit == "loss":
            shape = operands["logits"].shape
        else:
            shape = (operands["w" if call.unit == "update" else "words"].size,)
        out.append(Count(call.label, shape))
    return tuple(out)


def counts_of(widths: Sequence[int], batch: int) -> tuple[Count, ...]:
    """What a step of a multilayer perceptron computes, in the order of `counts`: docs/spec.md, section 12.

    Parameters
    ----------
    widths : sequence of int
        Inputs, hidden layers, classes.
    batch : int
        Samples of the step.
    """
    if len(widths) < 2 or min(*widths, batch) < 1:
        raise CostError(f"network: needs two widths and a batch, all at least 1, got {list(widths)} and {batch}")
    layers = list(enumerate(itertools.pairwise(widths), 1))
    weights = {layer: (inputs + 1) * outputs for layer, (inputs, outputs) in layers}
    out = [Count(f"operand {layer}", (weights[layer],)) for layer, _ in layers]
    for layer, (inputs, outputs) in layers:
        out.append(Count(f"forward {layer}", (batch, outputs, inputs + 1)))
        out.append(Count(f"relu {layer}", (batch * outputs,)))
    out[-1] = Count("loss", (batch, widths[-1]))  # the logits have no ReLU
    for layer, (inputs, outputs) in reversed(layers):
        out.append(Count(f"gradient {layer}", (outputs, inputs + 1, batch)))
        if layer > 1:
            out.append(Count(f"backward {layer}", (batch, inputs, outputs)))
    return (*out, *(Count(f"update {layer}", (weights[layer],)) for layer, _ in layers))


@dataclass(frozen=True, slots=True)
class Words:
    """Bits of the words that memories hold.

    ``weight`` is the one that is learnt, ``state`` what its update keeps beside it (second moment or momentum);
    ``copies``: whether a converted copy, of ``operand`` bits, is multiplied in its place.
    """

    activation: int
    error: int
    gradient: int
    operand: int
    weight: int
    state: int
    copies: bool

    @classmethod
    def of(cls, design: Design) -> Words:
        formats = design.formats
        return cls(
            formats.activation.bits,
            formats.error.bits,
            formats.gradient.bits,
            formats.operand.bits,
            formats.weight.bits,
            design.update.moment.bits,
            formats.operand != formats.weight,
        )

    def of_product(self, phase: str) -> tuple[int, int, int]:
        """Bits of both operands and of the result of a phase's products."""
        return {
            "forward": (self.activation, self.operand, self.activation),
            "gradient": (self.error, self.activation, self.gradient),
            "backward": (self.error, self.operand, self.error),
        }[phase]


def float_words(bits: int) -> Words:
    """Of a floating-point or integer baseline whose products take words of ``bits``: weights and momentum are float32
    (mixed precision, Micikevicius et al. 2018), and a copy is multiplied unless ``bits`` is 32."""
    return Words(bits, bits, bits, bits, 32, 32, bits != 32)


@dataclass(frozen=True, slots=True)
class Array:
    """The units that a step is spread over.

    Attributes
    ----------
    rows, columns : int
        Of processing elements.
    lanes : int
        Terms that an element takes a clock.
    outputs : int
        Words of a product, neighbours in its row, that an element works on at once; its lanes are shared among them
        (1 for an adder tree, ``lanes`` for lanes that accumulate each on their own).
    ports : int
        Words that the buffer delivers a clock to each side of the array; 0: as many as it takes.
    update_lanes : int
        Update units, and units that convert weights; each takes a word a clock.
    latency : int
        Clocks from the last terms of a word until it leaves its element.
    """

    rows: int
    columns: int
    lanes: int
    update_lanes: int
    ports: int = 0
    outputs: int = 1
    latency: int = _ELEMENT_LATENCY["linear"]

    def __post_init__(self) -> None:
        if min(self.rows, self.columns, self.lanes, self.update_lanes, self.outputs) < 1 or self.lanes % self.outputs:
            raise CostError(f"array: extents must be at least 1 and outputs must divide lanes, got {self}")

    @classmethod
    def of(cls, design: Design) -> Array:
        core, accumulator = design.core, design.accumulator
        kind = "log" if isinstance(accumulator, LogAccumulator) else "linear"
        return cls(
            core.rows, core.columns, accumulator.lanes, design.update.lanes, core.operand_ports,
            latency=_ELEMENT_LATENCY[kind],
        )  # fmt: skip

    @property
    def width(self) -> int:
        """Words of a product in a row of a tile."""
        return self.columns * self.outputs

    @property
    def depth(self) -> int:
        """Terms of a word that are taken a clock."""
        return self.lanes // self.outputs

    def product(self, m: int, n: int, k: int) -> tuple[int, int]:
        """Clocks of an (M, K) × (K, N) product, and beats of all its elements together.

        A tile of r × c words takes a beat for each `depth` terms. A beat of t terms a word asks the buffer for r·t and
        c·t words, and takes ⌈r·t/P⌉ or ⌈c·t/P⌉ clocks if that is more than one. Tiles follow each other without a gap;
        the last word leaves after `latency` clocks.
        """
        clocks = beats = 0
        for r, row_tiles in _extents(m, self.rows):
            for c, column_tiles in _extents(n, self.width):
                for t, steps in _extents(k, self.depth):
                    times = row_tiles * column_tiles * steps
                    asked = max(r, c) * t
                    clocks += times * (max(1, -(-asked // self.ports)) if self.ports else 1)
                    beats += times * r * -(-c // self.outputs)
        return clocks + self.latency, beats


def _extents(total: int, size: int) -> Iterator[tuple[int, int]]:
    """Extents of the tiles that an axis is cut into, and how many there are of each."""
    whole, rest = divmod(total, size)
    if whole:
        yield size, whole
    if rest:
        yield rest, 1


@dataclass(frozen=True, slots=True)
class Use:
    """What a phase asks of one kind of unit: beats, all units together, and the clocks in which one is not idle."""

    role: str
    label: str
    beats: int
    busy: int


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of one layer.

    Attributes
    ----------
    label, phase : str
    layer : int
        From 1; 0 for the loss.
    operations : int
        Multiply-accumulates, or words.
    clocks : int
    utilisation : float
        Operations over what its units could do in these clocks, 0 … 1.
    uses : tuple of Use
    words_read, words_written : int
        At the main memory.
    memory_read, memory_written : int
        Bits at the main memory.
    buffer_read, buffer_written : int
        Bits at the operand buffer.
    """

    label: str
    phase: str
    layer: int
    operations: int
    clocks: int
    utilisation: float
    uses: tuple[Use, ...]
    words_read: int
    words_written: int
    memory_read: int
    memory_written: int
    buffer_read: int = 0
    buffer_written: int = 0


def plan(step: Sequence[Count], array: Array, words: Words, buffer_bits: int) -> tuple[Phase, ...]:
    """The phases of a step, in order, one after the other. ReLU is part of the forward phase whose words it takes as
    they leave the array."""
    relus = {count.layer: count for count in step if count.role == "relu"}
    phases = []
    for count in step:
        if count.role == "element":
            relu = relus.get(count.layer) if count.phase == "forward" else None
            phases.append(_product(count, relu, array, words, buffer_bits))
        elif count.role == "loss":
            phases.append(_loss(count, words))
        elif count.role == "update" or (count.role == "convert" and words.copies):
            phases.append(_stream(count, array, words))
    return tuple(phases)


def _product(count: Count, relu: Count | None, array: Array, words: Words, buffer_bits: int) -> Phase:
    m, n, k = count.shape
    a_bits, b_bits, out_bits = words.of_product(count.phase)
    clocks, beats = array.product(m, n, k)
    uses = [Use("element", count.label, beats, beats)]
    if relu is not None:
        uses.append(Use("relu", relu.label, relu.operations, relu.operations))
    # a word goes to the array once for each tile along the other side
    a_times, b_times = -(-n // array.width), -(-m // array.rows)
    delivered = m * k * a_bits * a_times + n * k * b_bits * b_times
    a_reads, b_reads = _reads(count.shape, (a_bits, b_bits), (a_times, b_times), array, buffer_bits // 2)
    fills = m * k * a_bits * a_reads + n * k * b_bits * b_reads
    mask = m * n if count.phase == "backward" else 0  # the activations that say where ReLU was zero
    return Phase(
        count.label, count.phase, count.layer, count.operations, clocks,
        count.operations / (clocks * array.rows * array.columns * array.lanes), tuple(uses),
        words_read=m * k * a_reads + n * k * b_reads + mask, words_written=m * n,
        memory_read=fills + mask * words.activation, memory_written=m * n * out_bits,
        buffer_read=delivered, buffer_written=fills,
    )  # fmt: skip


def _reads(
    shape: tuple[int, ...], bits: tuple[int, int], times: tuple[int, int], array: Array, half: int
) -> tuple[int, int]:
    """How often each operand is read from the main memory, in the cheapest of three orders.

    Half of the buffer keeps as much of one operand as it holds, the other half a panel of the other operand (the rows
    or columns of one tile), which is read whole for each part of the first. Where a panel is too large for that, both
    are read as often as the array takes them.
    """
    m, n, k = shape
    a, b = m * k * bits[0], n * k * bits[1]
    orders = [times]
    if min(array.rows, m) * k * bits[0] <= half:
        orders.append((-(-b // half), 1))
    if min(array.width, n) * k * bits[1] <= half:
        orders.append((1, -(-a // half)))
    return min(orders, key=lambda reads: a * reads[0] + b * reads[1])


def _stream(count: Count, array: Array, words: Words) -> Phase:
    """Weights that go by the update units or through the converters, from the main memory and back."""
    size = count.operations
    clocks = -(-size // array.update_lanes) + _STREAM_LATENCY
    if count.role == "update":
        read, written = [words.weight, words.state, words.gradient], [words.weight, words.state]
    else:
        read, written = [words.weight], [words.operand]
    return Phase(
        count.label, count.phase, count.layer, size, clocks, size / (clocks * array.update_lanes),
        (Use(count.role, count.label, size, size),),
        words_read=size * len(read), words_written=size * len(written),
        memory_read=size * sum(read), memory_written=size * sum(written),
    )  # fmt: skip


def _loss(count: Count, words: Words) -> Phase:
    """One loss unit: the logits of a sample go in, one a clock, then its errors come out."""
    samples, classes = count.shape
    logits = samples * classes
    clocks = 2 * logits + _LOSS_LATENCY
    target = (classes - 1).bit_length()
    return Phase(
        count.label, count.phase, 0, logits, clocks, logits / clocks,
        (Use("loss", count.label, logits, 2 * logits),),
        words_read=logits + samples, words_written=logits,
        memory_read=logits * words.activation + samples * target, memory_written=logits * words.error,
    )  # fmt: skip
