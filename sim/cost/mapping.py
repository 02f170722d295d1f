"""The cell library as the mapper and the timer take it: without the cells that no logic is mapped to."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

from sim.cost.cache import cached
from sim.cost.cells import Cell
from sim.cost.errors import CostError
from sim.cost.liberty import Library

__all__ = ["inverter_leakage", "mapping_library", "mapping_text", "proof_text", "smallest_inverter"]

_GENERATION = "4"  # of the text: raise it with any change of this file that changes it

# a string, a comment, the start of a group that matters here, or a brace
_TOKEN = re.compile(r'"[^"]*"|/\*.*?\*/|\b(cell|internal_power|leakage_power)\s*\([^)]*\)\s*\{|[{}]', re.DOTALL)

#: What a cell must not have: its maker's ban, a scan chain or another choice between inputs before the storage (the
#: mapper knows no such flip-flops), a gate for a clock, an output that floats, storage without an edge.
_BANNED = re.compile(
    r"\bdont_use\s*:\s*\"?true|\btest_cell\s*\(|\bnext_state\s*:\s*\"[^\"]*\w[^\"\w]+\w|\bclock_gating_integrated_cell\b"
    r"|\bthree_state\s*:|\b(?:latch|latch_bank|ff_bank|statetable)\s*\("
)
_FLIP_FLOP = re.compile(r"\bff\s*\([^)]*\)\s*\{[^}]*\}")
_INVERTED = re.compile(r"\bnext_state\s*:\s*\"\s*(?:!\s*\w+|\w+\s*')\s*\"")
_FUNCTION = re.compile(r"\bfunction\s*:")  # fillers, antennas and bus holders have none
_DELAYS = re.compile(r"\b(?:cell_rise|cell_fall|rise_transition|fall_transition)\s*\(\s*\"?(\w+)")
_TEMPLATE = re.compile(r"\blu_table_template\s*\(\s*\"?(\w+)\"?\s*\)\s*\{([^}]*)\}")
_VARIABLE = re.compile(r"\bvariable_\d\s*:\s*\"?(\w+)")


def _as_dfflibmap_reads(found: re.Match[str]) -> str:
    """A flip-flop that stores the inverse of its input: Yosys 0.23's dfflibmap inverts the output, and forgets that
    what clears the state then presets the register. With the two names exchanged it takes the right pin."""
    group = found.group()
    if not _INVERTED.search(group):
        return group
    names = {"clear": "preset", "preset": "clear"}
    return re.sub(r"\b(clear|preset)(?=\s*:)", lambda name: names[name.group()], group)


def proof_text(text: str) -> str:
    """A text of `mapping_text` for proofs: a flip-flop that stores the inverse of its input stores the input, and what
    was its state is the inverse of that. It is the same cell, and its state is the register of the Verilog."""
    return _FLIP_FLOP.sub(_as_it_is_in_verilog, text)


def _as_it_is_in_verilog(found: re.Match[str]) -> str:
    """What clears the inverse presets the state: the two names are exchanged already, see `_as_dfflibmap_reads`."""
    group = found.group()
    if not _INVERTED.search(group):
        return group
    group = _INVERTED.sub(lambda next_state: re.sub(r"[!']", "", next_state.group()), group)
    return re.sub(r"\(\s*(\w+)\s*,\s*(\w+)\s*\)", r"(\2, \1)", group, count=1)


def mapping_library(library: Library) -> Path:
    """The file that Yosys, abc and OpenSTA read, in the cache: what `mapping_text` keeps of the library's."""
    parts = {"library": library.digest, "generation": _GENERATION}

    def build(folder: Path) -> None:
        data = library.path.read_bytes()
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        (folder / "cells.lib").write_text(mapping_text(data.decode("utf-8")), "utf-8")

    return cached("library", parts, build) / "cells.lib"


def mapping_text(text: str) -> str:
    """The text of a Liberty file without tables of power, which neither mapping nor timing reads, and without the cells
    that are no logic gate or flip-flop: those marked ``dont_use``, scan flip-flops, clock gates, three-state buffers,
    latches, cells without a function."""
    kept: list[str] = []
    cell: list[str] | None = None  # pieces of the cell that is read
    done = 0  # text before it is dealt with
    depth = cell_depth = skipped_depth = 0  # in braces; 0: in no such group
    for token in _TOKEN.finditer(text):
        head = token.group()
        pieces = kept if cell is None else cell
        if head.startswith("/*"):
            if not skipped_depth:
                pieces.append(text[done : token.start()])
            done = token.end()
        elif head == "}":
            if skipped_depth == depth:
                skipped_depth, done = 0, token.end()
            elif cell is not None and cell_depth == depth:
                whole = "".join([*cell, text[done : token.end()]])
                if _FUNCTION.search(whole) and not _BANNED.search(whole):
                    kept.append(whole)
                cell, cell_depth, done = None, 0, token.end()
            depth -= 1
        elif not head.startswith('"'):
            depth += 1
            if token[1] and not skipped_depth:
                pieces.append(text[done : token.start()])
                done = token.start()
                if token[1] == "cell":
                    cell, cell_depth = [], depth
                else:
                    skipped_depth = depth
    kept.append(text[done:])
    return _with_templates(_FLIP_FLOP.sub(_as_dfflibmap_reads, "".join(kept)))


def _with_templates(text: str) -> str:
    """With the templates of delay tables that files lack which were merged from several.

    Their axes are those that all templates of delay tables agree on. Without them OpenSTA drops the tables, and others.
    """
    used = set(_DELAYS.findall(text)) - {"scalar"}
    templates = {found[1]: found for found in _TEMPLATE.finditer(text)}
    missing = sorted(used - templates.keys())
    if not missing:
        return text
    planes = [templates[name][2] for name in sorted(used & templates.keys()) if "variable_2" in templates[name][2]]
    if len({tuple(_VARIABLE.findall(one)) for one in planes}) != 1:
        raise CostError(f"the library has no lu_table_template {', '.join(missing)}")
    added = "".join(f"lu_table_template ({name}) {{{planes[0]}}}\n  " for name in missing)
    place = next(iter(templates.values())).start()
    return text[:place] + added + text[place:]


def smallest_inverter(library: Library) -> Cell:
    """What drives the inputs of a unit; four of it load each output."""

    def fits(cell: Cell) -> bool:
        function = cell.pins[cell.outputs[0]].function if len(cell.inputs) == len(cell.outputs) == 1 else None
        usable = function is not None and not cell.state and not cell.dont_use
        return usable and function is not None and cell.truth(function).tolist() == [True, False]

    found = [cell for cell in library.cells.values() if fits(cell)]
    if not found:
        raise CostError(f"{library.path}: an inverter is required, the library has none")
    return min(found, key=lambda cell: (cell.area_um2, cell.pins[cell.inputs[0]].rise_capacitance))


def inverter_leakage(library: Library) -> float:
    """What the smallest inverter leaks, watts: the mean over the states of its input."""
    inverter, total = smallest_inverter(library), 0.0
    for supply in {one.supply for one in inverter.leakage}:
        same = [one for one in inverter.leakage if one.supply == supply]
        by_state = [one.power for one in same if one.when is not None]
        rest = [one.power for one in same if one.when is None]
        total += (sum(by_state) + sum(rest) * (2 - len(by_state))) / 2
    return total
