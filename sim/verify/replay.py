"""Replay a recorded training step: what each unit saw, through its Verilog."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from lns.units import Units
from sim.train.rtl import RtlBackend
from sim.train.trace import Trace
from sim.verify.compiled import Columns
from sim.verify.runner import Report, Settings, verify
from sim.verify.unit import Beat, Port, Transaction, Unit, VerifyError
from sim.verify.units import MissingUnit

__all__ = ["Recorder", "replay"]


class Recorder:
    """Computes every unit by its definition and keeps what each one saw: an `Execute` for `RtlBackend`."""

    def __init__(self) -> None:
        self.seen: dict[Unit, list[Transaction]] = {}

    def __call__(self, unit: Unit, columns: list[Columns], results: int) -> list[Columns]:
        beats = list(zip(*map(_values, columns, unit.inputs()), strict=True))
        transactions = _split(unit, beats)
        self.seen.setdefault(unit, []).extend(transactions)
        out = [beat for transaction in transactions for beat in unit.expect(transaction)]
        if len(out) != results:
            raise VerifyError(f"{unit.module} {unit}: {results} results were due, the definition gives {len(out)}")
        return [np.array(column, np.int64) for column in zip(*out, strict=True)]


def _values(column: Columns, port: Port) -> list[int]:
    """A column as plain integers; lanes side by side become one."""
    if column.ndim == 1:
        values: list[int] = column.tolist()
        return values
    width = port.width // column.shape[1]
    return [sum(word << lane * width for lane, word in enumerate(row)) for row in column.tolist()]


def _split(unit: Unit, beats: Sequence[Beat]) -> list[Transaction]:
    """Beats as transactions: those of a sequential unit end with a beat whose ``last_i`` is 1."""
    if not unit.sequential:
        return [(beat,) for beat in beats]
    last = [port.name for port in unit.inputs()].index("last_i")
    transactions, current = [], []
    for beat in beats:
        current.append(beat)
        if beat[last]:
            transactions.append(tuple(current))
            current = []
    return transactions


def replay(
    trace: Trace,
    path: Path,
    settings: Settings,
    only: Sequence[str] | None = None,
    on_report: Callable[[Report], None] | None = None,
) -> list[Report]:
    """Play a trace through the units.

    Parameters
    ----------
    trace : Trace
    path : Path
        Where it came from, for messages.
    settings : Settings
    only : sequence of str, optional
        Modules to which the comparison is limited.
    on_report : callable, optional
        Called with each unit's report as soon as it is there.

    Returns
    -------
    A report a unit, whose transactions are those of the recorded step.

    Raises
    ------
    VerifyError
        If what the trace recorded is not what the definition gives, or nothing could be compared.
    """
    recorder = Recorder()
    backend = RtlBackend(Units(trace.design), recorder)
    for call in trace.calls:
        for name, array in call.replay(backend).items():
            if not np.array_equal(array, call.results[name]):
                place = int(np.flatnonzero((array != call.results[name]).reshape(-1))[0])
                raise VerifyError(f"{path}: {call.label}: word {place} of {name} is not what the definition gives")
    reports = []
    chosen = {unit: seen for unit, seen in recorder.seen.items() if only is None or unit.module in only}
    if not chosen:
        known = ", ".join(dict.fromkeys(unit.module for unit in recorder.seen))
        raise MissingUnit(f"{path}: has no transaction of {', '.join(only or ())}; it has those of {known}")
    for unit, transactions in chosen.items():
        report = verify(unit, settings, transactions)
        reports.append(report)
        if on_report is not None:
            on_report(report)
    return reports
