"""What the nets of a netlist do while it works, and whether what it computes is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sim.cost.errors import CostError
from sim.cost.netlist import Netlist
from sim.verify.unit import Transaction, Unit, pack, show_values, unpack

__all__ = ["IDLE_CLOCKS", "WARM_UP", "Activity", "Ports", "Toggles", "check_results", "mismatch", "ports_of", "warm_up"]

IDLE_CLOCKS = 64  #: without a beat, behind the last result
WARM_UP = 16  #: beats before those that are counted: what held no value at first holds one then

Bits = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Toggles:
    """What the nets of a netlist did in a time.

    Attributes
    ----------
    rises, falls : int array, (nets,)
        Edges; glitches are edges.
    high : float array, (nets,)
        Seconds at 1.
    duration : float
        Seconds.
    look_ups : mapping
        Kind of ROM macro -> int array, of each of its instances: clocks at whose end the address was another one than
        at the end of the clock before. What an address does between counts as edges of its nets, and as no look-up.
    """

    rises: Ints
    falls: Ints
    high: Floats
    duration: float
    look_ups: Mapping[str, Ints] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True, eq=False)
class Activity(Toggles):
    """`Toggles` of the clocks in which beats went in.

    Attributes
    ----------
    beats : int
        Beats in that time; a few before it are the first ones, once more.
    results : int
        Results compared, those of the repeated beats among them.
    annotated : bool
        Whether gates had delays; without them there are no glitches.
    idle : Toggles
        Of `IDLE_CLOCKS` clocks with ``valid_i`` = 0 and the inputs held.
    """

    beats: int
    results: int
    annotated: bool
    idle: Toggles

    @property
    def beat_time(self) -> float:
        """Mean seconds a beat: a clock, where the unit takes one in every clock."""
        return self.duration / self.beats


@dataclass(frozen=True, eq=False)
class Ports:
    """What a simulation needs of a unit's ports, by nets.

    Attributes
    ----------
    stimuli : uint8 array, (beats, bits)
        For the nets ``into``.
    results : uint8 array, (results + 1, bits)
        Room for the values of the nets ``out``, and for one result too many.
    expected : list of int
        The output ports side by side.
    control : int array
        The nets of rst_ni, valid_i, ready_i, ready_o, valid_o.
    """

    stimuli: Bits
    into: Ints
    results: Bits
    out: Ints
    expected: list[int]
    control: Ints


def ports_of(netlist: Netlist, unit: Unit, transactions: Sequence[Transaction]) -> Ports:
    """Transactions, made ready for a netlist."""
    stimuli = [pack(beat, unit.inputs()) for one in transactions for beat in one]
    expected = [pack(beat, unit.outputs()) for one in transactions for beat in unit.expect(one)]
    into = [net for port in unit.inputs() for net in netlist.inputs[port.name]]
    out = [net for port in unit.outputs() for net in netlist.outputs[port.name]]
    control = [netlist.inputs[name][0] for name in ("rst_ni", "valid_i", "ready_i")]
    control += [netlist.outputs[name][0] for name in ("ready_o", "valid_o")]
    return Ports(
        _bits(stimuli, unit.input_bits), np.array(into), np.zeros((len(expected) + 1, len(out)), np.uint8),
        np.array(out), expected, np.array(control),
    )  # fmt: skip


def _bits(values: Sequence[int], width: int) -> Bits:
    size = -(-width // 8)
    data = np.frombuffer(b"".join(value.to_bytes(size, "little") for value in values), np.uint8)
    return np.unpackbits(data.reshape(-1, size), axis=1, bitorder="little")[:, :width]


def check_results(unit: Unit, transactions: Sequence[Transaction], ports: Ports, seen: int) -> None:
    """Compare the first ``seen`` results.

    Raises
    ------
    CostError
        At the first one that is not expected.
    """
    rows = np.packbits(ports.results, axis=1, bitorder="little")
    for number in range(seen):
        got = int.from_bytes(rows[number].tobytes(), "little")
        if number == len(ports.expected) or got != ports.expected[number]:
            raise mismatch(unit, transactions, number, got)


def warm_up(transactions: Sequence[Transaction]) -> int:
    """So many transactions have enough beats."""
    beats = 0
    for number, transaction in enumerate(transactions):
        if beats >= WARM_UP:
            return number
        beats += len(transaction)
    return len(transactions)


def mismatch(unit: Unit, played: Sequence[Transaction], number: int, got: int | str) -> CostError:
    """The error that says which result of a netlist is wrong, what it was, and of which operands.

    Parameters
    ----------
    unit : Unit
    played : sequence of transactions
        That went in.
    number : int
        Of the result, from 0.
    got : int or str
        The output ports side by side, or what they looked like.
    """
    for transaction in played:
        results = unit.expect(transaction)
        if number < len(results):
            break
        number -= len(results)
    else:
        return CostError(f"{unit.module} {unit}: the netlist gives more results than are due")
    shown = got if isinstance(got, str) else show_values(unpack(got, unit.outputs()), unit.outputs())
    operands = "; ".join(show_values(beat, unit.inputs()) for beat in transaction[:2])
    more = f" and {len(transaction) - 2} beats more" if len(transaction) > 2 else ""
    return CostError(
        f"{unit.module} {unit}: the netlist computes something else: {operands}{more}: "
        f"expected {show_values(results[number], unit.outputs())}, got {shown}"
    )
