"""Delays of a netlist: the SDF that OpenSTA writes, as the SDF that Icarus Verilog takes."""

from __future__ import annotations

import re

from sim.cost.errors import CostError

__all__ = ["icarus_sdf"]

_ITEM = re.compile(
    r'\(TIMESCALE\s+([\d.]+)\s*([munpf]?)s\)|\(CELLTYPE\s+"([^"]*)"\)|\(INSTANCE\s*([^\s)]*)\)'
    r"|\(IOPATH\s+(?:\(\w+\s+(\S+)\)|(\S+))\s+(\S+)((?:\s+\([^()]*\))+)"
)
_PREFIXES = {"": 1e12, "m": 1e9, "u": 1e6, "n": 1e3, "p": 1.0, "f": 1e-3}  # in picoseconds

_Delay = float | None  # none: the output has no such edge


def icarus_sdf(text: str) -> str:
    """Icarus reads neither triples without a middle (``a::b``) nor conditions. Of every path it is given the largest
    delay among corners and conditions, in picoseconds, and nothing else: nets and checks have no place here.

    Raises
    ------
    CostError
        If a delay is no number, or there is none at all.
    """
    scale, cells = 1e3, []  # SDF's default is 1 ns
    kind = ""
    paths: dict[tuple[str, str], tuple[_Delay, _Delay]] = {}
    for found in _ITEM.finditer(text):
        if found[1]:
            scale = float(found[1]) * _PREFIXES[found[2]]
        elif found[3] is not None:
            kind = found[3]
        elif found[4] is not None:
            paths = {}
            cells.append((kind, found[4], paths))
        else:
            key = found[5] or found[6], found[7]
            rise, fall = _edges(found[8], scale, kind)
            before = paths.get(key, (None, None))
            paths[key] = _larger(before[0], rise), _larger(before[1], fall)
    if not any(paths for *_, paths in cells):
        raise CostError("an SDF file with delays of cells is required, it has none")
    body = "".join(_cell(kind, name, paths) for kind, name, paths in cells if paths)
    return f'(DELAYFILE\n (SDFVERSION "3.0")\n (DESIGN "top")\n (TIMESCALE 1ps)\n{body})\n'


def _edges(text: str, scale: float, kind: str) -> tuple[_Delay, _Delay]:
    """Delay of the rising and the falling edge; a single one is both."""
    delays: list[_Delay] = []
    for triple in re.findall(r"\(([^()]*)\)", text):
        try:
            values = [float(value) * scale for value in triple.split(":") if value]
        except ValueError:
            raise CostError(f"cell {kind}: a delay is required, the SDF file has ({triple})") from None
        if any(value != value for value in values):
            raise CostError(f"cell {kind}: a delay is required, the SDF file has ({triple})")
        delays.append(max(values) if values else None)
    return delays[0], delays[-1]


def _larger(a: _Delay, b: _Delay) -> _Delay:
    return b if a is None else a if b is None else max(a, b)


def _cell(kind: str, name: str, paths: dict[tuple[str, str], tuple[_Delay, _Delay]]) -> str:
    lines = []
    for (source, output), edges in paths.items():
        # an edge that a path does not make has no delay of its own: it is given the other's
        delays = [max(0.0, (_larger(*edges) or 0.0) if edge is None else edge) for edge in edges]
        lines.append(f"   (IOPATH {source} {output} " + " ".join(f"({d:.3f}:{d:.3f}:{d:.3f})" for d in delays) + ")\n")
    return f' (CELL (CELLTYPE "{kind}") (INSTANCE {name})\n  (DELAY (ABSOLUTE\n{"".join(lines)}  ))\n )\n'
