"""Compare a unit's Verilog, compiled, with `lns.reference`: no simulator's pace, and up to 2**24 operands at once."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from sim.verify.compiled import CompiledUnit, Words32
from sim.verify.unit import Beat, Port, Transaction, Unit, pack, port_values, show_values, unpack

__all__ = ["EXHAUSTIVE_BITS", "FAILURES_SHOWN", "Comparison", "compare"]

EXHAUSTIVE_BITS = 24  #: up to so many bits of all inputs together, all their values are compared
FAILURES_SHOWN = 10
_CHUNK = 1 << 16  # operands that a process makes and computes at once


@dataclass(slots=True)
class Comparison:
    """Transactions compared, those that differ, the first of these in words, and the seconds in the Verilog alone."""

    transactions: int = 0
    mismatches: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0


def compare(
    unit: Unit,
    transactions: Sequence[Transaction] | None,
    rtl_dir: Path | None = None,
    jobs: int = 1,
    on_chunk: Callable[[int], None] | None = None,
) -> Comparison:
    """Compare transactions, or all values of all inputs if there are none.

    Parameters
    ----------
    unit : Unit
    transactions : sequence, optional
    rtl_dir : Path, optional
        Verilog that replaces the package's own files of the same names.
    jobs : int
        Processes that compute what the definition says.
    on_chunk : callable, optional
        Called with the number of transactions that were compared since the last call.
    """
    program, result = CompiledUnit(unit, rtl_dir), Comparison()
    for number, beats, expected in _chunks(unit, transactions, jobs):
        start = time.perf_counter()
        got = program.run(beats, len(expected))
        result.seconds += time.perf_counter() - start
        result.transactions += number
        wrong = np.flatnonzero((got != expected).any(axis=1))
        result.mismatches += len(wrong)
        for row in wrong[: FAILURES_SHOWN - len(result.failures)]:
            given = "" if unit.sequential else f" {show_values(_beat(beats[row], unit.inputs()), unit.inputs())}:"
            came, wanted = (show_values(_beat(rows[row], unit.outputs()), unit.outputs()) for rows in (got, expected))
            result.failures.append(f"{unit.module} {unit}:{given} result {row}: expected {wanted}, got {came}")
        if on_chunk is not None:
            on_chunk(number)
    return result


def _beat(words: Words32, ports: Sequence[Port]) -> Beat:
    return unpack(int.from_bytes(words.astype("<u4").tobytes(), "little"), ports)


def _chunks(
    unit: Unit, transactions: Sequence[Transaction] | None, jobs: int
) -> Iterator[tuple[int, Words32, Words32]]:
    """(transactions, beats, results) a chunk."""
    if transactions is not None:
        beats = [beat for transaction in transactions for beat in transaction]
        expected = [beat for transaction in transactions for beat in unit.expect(transaction)]
        yield len(transactions), _words(beats, unit.inputs()), _words(expected, unit.outputs())
        return
    total = 1 << unit.input_bits
    starts = range(0, total, _CHUNK)
    if total <= _CHUNK or jobs == 1:
        yield from map(partial(_exhaustive_chunk, unit), starts)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("fork")) as pool:
        yield from pool.map(partial(_exhaustive_chunk, unit), starts)


def _exhaustive_chunk(unit: Unit, start: int) -> tuple[int, Words32, Words32]:
    """So many of all values of all inputs, the last port's changing fastest."""
    beats = _operands(unit.inputs(), start, start + _CHUNK)
    expected = [unit.expect((beat,))[0] for beat in beats]
    return len(beats), _words(beats, unit.inputs()), _words(expected, unit.outputs())


def _operands(ports: Sequence[Port], start: int, stop: int) -> list[Beat]:
    """Numbers ``start`` to ``stop`` of all values of all ports."""
    columns, low = [], 0
    numbers = np.arange(start, min(stop, 1 << sum(port.width for port in ports)))
    for port in reversed(ports):
        column = numbers >> low & ((1 << port.width) - 1)
        columns.append((column + port_values(port)[0]).tolist())
        low += port.width
    return list(zip(*reversed(columns), strict=True))


def _words(beats: Sequence[Beat], ports: Sequence[Port]) -> Words32:
    size = 4 * -(-sum(port.width for port in ports) // 32)
    data = b"".join(pack(beat, ports).to_bytes(size, "little") for beat in beats)
    return np.frombuffer(data, "<u4").astype(np.uint32).reshape(len(beats), size // 4)
