"""Toggles of nets from a value change dump, as the simulator writes it: nothing of it is kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numba
import numpy as np
import numpy.typing as npt

from sim.cost.errors import CostError

__all__ = ["Counts", "count_toggles"]

_UNKNOWN = 2  # the value of a bit that is neither 0 nor 1
_VARIABLE = re.compile(r"\$var\s+\w+\s+(\d+)\s+(\S+)\s+(\S+)(?:\s*\[(-?\d+)(?::(-?\d+))?\])?\s+\$end")

Ints = npt.NDArray[np.int64]


@dataclass(eq=False)
class Counts:
    """By phase and net: rising and falling edges, time at 1, edges from or to an unknown value. By phase: its time. All
    times in units of the dump."""

    rises: Ints
    falls: Ints
    high: Ints
    unknown: Ints
    durations: Ints


@dataclass(eq=False)
class _Tracks:
    """What the kernel knows: which nets a variable of the dump is, and the state of each net."""

    lookup: Ints  # identifier code -> variable, or -1
    first: Ints  # variable -> its first bit (the lowest one) in `bits`; one more at the end
    bits: Ints  # net, or -1
    values: npt.NDArray[np.int8]
    since: Ints
    now: Ints = field(default_factory=lambda: np.zeros(2, np.int64))  # time, phase


def count_toggles(
    read: Callable[[int], bytes], nets: Mapping[str, int], marker: str, phases: int, chunk: int = 1 << 20
) -> Counts:
    """Count the edges of nets in each phase of a simulation.

    Parameters
    ----------
    read : callable
        Gives at most so many bytes of the dump; none at its end.
    nets : mapping
        Name (``n7`` or ``a_i[3]``) -> number from 0 on; of one number there may be several names.
    marker : str
        The variable whose value is the phase; it is 0 at first.
    phases : int
        So many values it has.

    Raises
    ------
    CostError
        If the dump lacks a net or the marker.
    """
    text, rest = _header(read, chunk)
    count = max(nets.values()) + 1
    tracks = _tracks(text, nets, marker, count)
    shape = (phases, count)
    rises, falls, high, unknown = (np.zeros(shape, np.int64) for _ in range(4))
    counts = Counts(rises, falls, high, unknown, np.zeros(phases, np.int64))
    more = True
    while more:
        data = read(chunk)
        more = bool(data)
        rest += data
        whole = rest.rfind(b"\n") + 1 if more else len(rest)
        _count(
            np.frombuffer(rest, np.uint8, whole), tracks.lookup, tracks.first, tracks.bits, tracks.values,
            tracks.since, tracks.now, rises, falls, high, unknown, counts.durations,
        )  # fmt: skip
        rest = rest[whole:]
    return counts


def _header(read: Callable[[int], bytes], chunk: int) -> tuple[str, bytes]:
    """The declarations, and what was read behind them."""
    data, end = b"", -1
    while end < 0:
        more = read(chunk)
        if not more:
            raise CostError("the simulation ended before its first value")
        data += more
        end = data.find(b"$enddefinitions")
    end = data.find(b"\n", end) + 1 or len(data)
    return data[:end].decode("ascii", "replace"), data[end:]


def _tracks(text: str, nets: Mapping[str, int], marker: str, count: int) -> _Tracks:
    variables: dict[int, list[int]] = {}  # identifier code -> the net of each bit, the lowest first
    found = set()
    for width, identifier, name, high, low in _VARIABLE.findall(text):
        if int(width) > 1:
            names = [f"{name}[{bit}]" for bit in range(int(low), int(high) + 1)]
        else:
            names = [f"{name}[{high}]" if high else name]
        track = [count if name == marker else nets.get(one, -1) for one in names]
        # names of one signal may share an identifier
        same = variables.setdefault(_code(identifier), [-1] * len(track))
        variables[_code(identifier)] = [new if old < 0 else old for old, new in zip(same, track, strict=True)]
        found.update(track)
    if missing := [name for name, net in nets.items() if net not in found]:
        raise CostError(f"the simulation does not show net {missing[0]}, and {len(missing) - 1} more")
    if count not in found:
        raise CostError(f"the simulation does not show {marker}")
    lookup = np.full(max(variables) + 1, -1, np.int64)
    lookup[list(variables)] = np.arange(len(variables))
    first = np.cumsum([0, *map(len, variables.values())])
    bits = np.array([net for track in variables.values() for net in track], np.int64)
    return _Tracks(lookup, first, bits, np.full(count, _UNKNOWN, np.int8), np.zeros(count, np.int64))


def _code(identifier: str) -> int:
    code = 0
    for character in identifier:
        code = code * 94 + ord(character) - 32
    return code


@numba.njit(cache=True)
def _count(  # type: ignore[no-untyped-def]
    data, lookup, first, bits, values, since, now, rises, falls, high, unknown, durations
):
    """Whole lines of a dump: ``#time``, ``<bit><identifier>``, ``b<bits> <identifier>``; keywords are passed over."""
    nets = len(values)
    at, size = 0, len(data)
    while at < size:
        kind = data[at]
        begin = at
        while at < size and data[at] != 10:
            at += 1
        end = at
        at += 1
        if end == begin or kind == 36:  # an empty line, or a keyword behind $
            continue
        if kind == 35:  # '#'
            time = 0
            for k in range(begin + 1, end):
                if 48 <= data[k] <= 57:
                    time = time * 10 + data[k] - 48
            now[0] = time
            continue
        vector = kind == 98 or kind == 66
        last = begin + 1  # behind the value
        if vector:
            while last < end and data[last] != 32:
                last += 1
        code = 0
        for k in range(last + 1 if vector else last, end):
            if data[k] > 32:
                code = code * 94 + data[k] - 32
        variable = lookup[code] if code < len(lookup) else -1
        if variable < 0:
            continue
        time, phase = now[0], now[1]
        low = last - 1 if vector else begin  # the lowest bit
        top = begin + 1 if vector else begin
        number = 0
        for bit in range(first[variable + 1] - first[variable]):
            # zeros and unknown bits at the top are not written; ones always are
            character = data[low - bit] if low - bit >= top else data[top]
            value = 0 if character == 48 else 1 if character == 49 else 2
            if low - bit < top and value == 1:
                value = 0
            net = bits[first[variable] + bit]
            if net == nets:
                number += value << bit
                if bit == first[variable + 1] - first[variable] - 1 and number != phase:
                    for one in range(nets):
                        if values[one] == 1:
                            high[phase, one] += time - since[one]
                        since[one] = time
                    now[1] = number
                    durations[phase] += time
                    durations[number] -= time
            elif net >= 0 and value != values[net]:
                old = values[net]
                if old == 1:
                    high[phase, net] += time - since[net]
                if old == 2 or value == 2:
                    unknown[phase, net] += 1
                elif value == 1:
                    rises[phase, net] += 1
                else:
                    falls[phase, net] += 1
                values[net] = value
                since[net] = time
