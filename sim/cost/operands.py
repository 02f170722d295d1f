"""What each priced unit sees in a recorded training step, as the transactions of its bench.

A step has more operands than a gate-level simulation takes. Of each call some blocks of neighbouring results are taken,
spread evenly over it, and whole dot products: the results of a matrix product stand in row-major order, so that one row
of the first factor stays while the columns of the second pass, as they do at an element that makes one result after
another. Which operand stays decides what toggles; a random choice of results would let neither stay.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lns import kernels
from lns.design import Design, Update
from lns.format import LNSFormat, Rounding
from lns.kernels.elementwise import Events, Words
from lns.units import Units
from sim.cost.errors import CostError
from sim.train.rtl import RtlBackend, dot_beats
from sim.train.trace import Call, Trace
from sim.verify.replay import Recorder
from sim.verify.unit import Beat, Port, Transaction, Unit
from sim.verify.units.element import Element

__all__ = ["BLOCKS", "Recorded", "recorded", "uniform"]

BLOCKS = 8  #: of neighbouring results, that are taken of a call

Recorded = dict[Unit, dict[str, list[Transaction]]]  #: unit -> label of a call -> transactions


class _Elements(RtlBackend):
    """Products come whole out of processing elements."""

    def dot(
        self, a: Words, b: Words, a_fmt: LNSFormat, b_fmt: LNSFormat, fmt: LNSFormat, offsets: int, offset: int
    ) -> tuple[Words, Events]:
        unit = next(
            one for one in self.found
            if isinstance(one, Element) and (one.dot.factors.a, one.dot.factors.b, one.format) == (a_fmt, b_fmt, fmt)
        )  # fmt: skip
        inputs = dot_beats(a, b, unit.dot.lanes) | {unit.scale.name: unit.base + offsets - offset}
        return self._words(unit, inputs, fmt, (len(a), b.shape[1]))


def recorded(trace: Trace, limit: int) -> Recorded:
    """The transactions of a recorded step.

    Parameters
    ----------
    trace : Trace
    limit : int
        Beats of a call at most.

    Returns
    -------
    By unit and label of the call (``forward 1``, ``update 2``): elements, the units of `Backend` beside them, and the
    LFSRs of an update that draws random bits.

    Raises
    ------
    CostError
        If the limit is below one dot product, or what the trace recorded is not what the definition gives.
    """
    found: Recorded = {}
    backend = _Elements(Units(trace.design), Recorder())
    for call in trace.calls:
        backend.execute = recorder = Recorder()
        for part in _parts(call, trace.design, limit):
            for name, array in part.replay(backend).items():
                if name in part.results and not np.array_equal(array, part.results[name]):
                    raise CostError(f"trace, {call.label}: {name} must be what the definition gives, and are others")
        for unit, transactions in recorder.seen.items():
            found.setdefault(unit, {})[call.label] = transactions
    return found


# --- which part of a call ------------------------------------------------------------------------------------------


def _parts(call: Call, design: Design, limit: int) -> Iterator[Call]:
    """Calls of the same unit for blocks of neighbouring results, of at most so many beats together."""
    grain = design.update.lanes if call.unit == "update" else 1  # lanes of weights, each with its random bits
    beats, total = grain, -(-_results(call) // grain)
    if call.unit == "dot":
        beats = -(-call.operands["a"].shape[1] // design.accumulator.lanes)
    elif call.unit == "loss":
        beats = call.operands["logits"].shape[1]
    if limit < beats:
        raise CostError(f"limit: {call.label} needs at least {beats} beats, got {limit}")
    take = min(total, limit // beats)
    blocks = 1 if take == total else min(BLOCKS, take)
    for block in range(blocks):
        first, end = (number * total // blocks for number in (block, block + 1))
        size = (block + 1) * take // blocks - block * take // blocks
        yield from _block(call, design.update, grain * first, min(grain * min(first + size, end), _results(call)))


def _results(call: Call) -> int:
    """Of which one needs whole transactions: words, or the rows of logits."""
    name = {"loss": "losses", "update": "w"}.get(call.unit, "words")
    return int(call.results[name].size)


def _block(call: Call, update: Update, start: int, stop: int) -> Iterator[Call]:
    """The calls that give the results from one to another."""
    if call.unit == "dot":
        a, b, columns = call.operands["a"], call.operands["b"], call.results["words"].shape[1]
        for row in range(start // columns, -(-stop // columns)):
            one = slice(row, row + 1)
            some = slice(max(0, start - row * columns), min(columns, stop - row * columns))
            results = {name: array[one, some] for name, array in call.results.items()}
            yield replace(call, operands={"a": a[one], "b": b[:, some]}, results=results)
        return
    operands = {name: _some(call, array, start, stop) for name, array in call.operands.items() if name != "lfsr"}
    results = {name: _some(call, array, start, stop) for name, array in call.results.items() if name != "lfsr"}
    if call.unit == "update":
        operands["lfsr"] = call.operands["lfsr"].copy()
        if update.rounding is Rounding.STOCHASTIC:  # the elements before these have had their draws
            kernels.draws(operands["lfsr"], start, update.step_frac_bits)
    yield replace(call, operands=operands, results=results)


def _some(call: Call, array: np.ndarray[Any, Any], start: int, stop: int) -> np.ndarray[Any, Any]:
    """Rows of the loss unit's arrays, elements of others."""
    return (array if call.unit == "loss" else array.reshape(-1))[start:stop]


# --- uniform operands ----------------------------------------------------------------------------------------------


def uniform(unit: Unit, like: Sequence[Transaction], seed: int) -> list[Transaction]:
    """Uniform random operands in the place of recorded ones.

    Parameters
    ----------
    unit : Unit
    like : sequence of Transaction
        As long, with the same marks (last beat, target) and the same offsets and constants of the controller; lanes
        that have no term in any of them get none.
    seed : int

    Returns
    -------
    As many transactions. Weights and the states of LFSRs, which are never zero, are drawn from what is left.
    """
    rng = random.Random(f"uniform {unit.module} {seed}")
    ports = unit.inputs()
    whole = tuple(port.width for port in ports)
    last = _last_widths(unit, like)
    drawn = []
    for transaction in like:
        widths = [*[whole] * (len(transaction) - 1), last]
        drawn.append(tuple(_beat(rng, ports, *pair) for pair in zip(transaction, widths, strict=True)))
    return drawn


def _last_widths(unit: Unit, like: Sequence[Transaction]) -> Beat:
    """Bits of every port of a last beat: of an element, those of the lanes that have a term."""
    widths = {port.name: port.width for port in unit.inputs()}
    if isinstance(unit, Element):
        factors = unit.dot.factors
        ends = [transaction[-1][1:3] for transaction in like]
        used = max(max(-(-a.bit_length() // factors.a.bits), -(-b.bit_length() // factors.b.bits)) for a, b in ends)
        widths |= {"a_i": used * factors.a.bits, "b_i": used * factors.b.bits}
    return tuple(widths.values())


def _beat(rng: random.Random, ports: Sequence[Port], beat: Beat, widths: Beat) -> Beat:
    """Random operands of so many bits; what the controller sets stays."""
    values = []
    for port, value, width in zip(ports, beat, widths, strict=True):
        if port.signed or port.name in ("last_i", "target_i"):
            values.append(value)
            continue
        drawn = rng.getrandbits(width)
        if port.name in ("weight_i", "state_i"):
            magnitude = port.format.max_code if port.format is not None else (1 << width) - 1
            while not drawn & magnitude:
                drawn = rng.getrandbits(width)
        values.append(drawn)
    return tuple(values)
