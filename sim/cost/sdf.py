"""Delays of a netlist, from the SDF that OpenSTA writes."""

from __future__ import annotations

import re

from sim.cost.errors import CostError

__all__ = ["Paths", "cell_delays"]

Paths = dict[tuple[str, str], tuple[float, float]]  #: (input, output) -> picoseconds of its rise and its fall

_ITEM = re.compile(
    r'\(TIMESCALE\s+([\d.]+)\s*([munpf]?)s\)|\(CELLTYPE\s+"([^"]*)"\)|\(INSTANCE\s*([^\s)]*)\)'
    r"|\(IOPATH\s+(?:\(\w+\s+(\S+)\)|(\S+))\s+(\S+)((?:\s+\([^()]*\))+)"
)
_PREFIXES = {"": 1e12, "m": 1e9, "u": 1e6, "n": 1e3, "p": 1.0, "f": 1e-3}  # in picoseconds

_Delay = float | None  # none: the output has no such edge


def cell_delays(text: str) -> dict[str, Paths]:
    """The delays of each instance: the largest among corners and conditions of every path. Nets and checks have no
    place here. An edge that a path does not make has no delay of its own: it is given the other's.

    Raises
    ------
    CostError
        If a delay is no number, or there is none at all.
    """
    scale = 1e3  # SDF's default is 1 ns
    kind = ""
    cells: dict[str, dict[tuple[str, str], tuple[_Delay, _Delay]]] = {}
    paths: dict[tuple[str, str], tuple[_Delay, _Delay]] = {}
    for found in _ITEM.finditer(text):
        if found[1]:
            scale = float(found[1]) * _PREFIXES[found[2]]
        elif found[3] is not None:
            kind = found[3]
        elif found[4] is not None:
            paths = cells.setdefault(found[4], {})
        else:
            key = found[5] or found[6], found[7]
            rise, fall = _edges(found[8], scale, kind)
            before = paths.get(key)
            paths[key] = (_larger(before[0], rise), _larger(before[1], fall)) if before else (rise, fall)
    if not any(cells.values()):
        raise CostError("an SDF file with delays of cells is required, it has none")
    return {name: {key: _both(edges) for key, edges in paths.items()} for name, paths in cells.items() if paths}


def _edges(text: str, scale: float, kind: str) -> tuple[_Delay, _Delay]:
    """Delay of the rising and the falling edge; a single one is both."""
    delays: list[_Delay] = []
    for triple in re.findall(r"\(([^()]*)\)", text):
        try:
            values = [round(float(value) * scale, 3) for value in triple.split(":") if value]  # to femtoseconds
        except ValueError:
            raise CostError(f"cell {kind}: a delay is required, the SDF file has ({triple})") from None
        if any(value != value for value in values):
            raise CostError(f"cell {kind}: a delay is required, the SDF file has ({triple})")
        delays.append(max(values) if values else None)
    return delays[0], delays[-1]


def _larger(a: _Delay, b: _Delay) -> _Delay:
    return b if a is None else a if b is None else max(a, b)


def _both(edges: tuple[_Delay, _Delay]) -> tuple[float, float]:
    rise, fall = (_larger(*edges) if edge is None else edge for edge in edges)
    return max(0.0, rise or 0.0), max(0.0, fall or 0.0)
