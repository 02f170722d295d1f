"""Synthesis: a unit between its registers to a flat netlist of a library's cells, by Yosys and abc.

The modules of a unit are each made gates of once, however often they are instantiated, ROMs included (`sim.cost.rom`).
Then everything is flattened, and mapped as a whole. Above
`FLAT_GATES` that takes too long: there, modules of which a unit has several are mapped once each, by themselves, and
flattened as cells. Netlists are kept (`sim.cost.cache`) by everything that enters them.

A netlist has no wires and no clock tree: there is no layout. Constant pins are literal constants, without tie cells.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from sim.cost.cache import cached
from sim.cost.errors import CostError, TooLong
from sim.cost.liberty import Library
from sim.cost.macro import RomMacro, save_macros, with_macros
from sim.cost.mapping import mapping_library, smallest_inverter
from sim.cost.netlist import load_netlist, verilog_text
from sim.cost.rom import with_roms
from sim.cost.timing import critical_path, timer_version
from sim.source import syntax_digest
from sim.verify.tools import MissingTool, sources_of
from sim.verify.unit import Unit
from sim.verify.wrapper import DEPTH, wrapper_text

__all__ = ["EFFORTS", "TOP", "YOSYS_SECONDS", "run_yosys", "synthesise", "synthesise_files"]

TOP = "top"  #: name of a netlist's module
FLAT_GATES = 30_000  #: generic gates, before equal ones are merged, above which shared modules are mapped by themselves
_SHARED_GATES = 300  # of a module that is worth it

# An x or z in the Verilog: at a cell's input, or assigned to a net (variables of functions and loops have a $). The CLK
# and EN of a memory without a clock are no inputs of it.
_UNDEFINED = re.compile(r"    connect \\(?:A|B|D|S|DATA|ADDR) .*'[01]*[xz]|  connect [^$ ]+ .*'[01]*[xz]")

_RESULTS = ("netlist.v", "netlist.json", "named.json")  # of a mapping
#: Above so many times the period an effort is not tried, for large units take minutes: it has never gained as much.
_REACH = {"balanced": 1.4, "speed": 2.0}
YOSYS_SECONDS = 1800.0  #: that one run of Yosys may take

#: How hard abc works for speed; a netlist is the first of these that meets the clock. Measured with osu018 at 18 ns on
#: the full-table log-adders of madam8 and log16 and the dot product of madam8 (area µm², delay ns):
#:
#: =========  ================  ================  ================
#: effort     8-bit adder       16-bit adder      dot product
#: =========  ================  ================  ================
#: area       10,995    5.1     121,317   10.4    118,777    7.6
#: balanced   13,177    4.1     128,766    7.9    143,235    6.5
#: speed      17,090    3.5     164,401    6.4    191,591    5.3
#: Yosys's    14,059    4.3     135,928    8.4    146,578    6.7
#: =========  ================  ================  ================
#:
#: Yosys's own script is in between and never best. ``&nf`` maps faster, but larger than ``amap`` and slower than
#: ``map``; ``mfs2``, ``mfs3`` and more rounds of ``dc2`` change less than 1 %.
EFFORTS = {
    "area": "dch; amap -m",
    "balanced": "dch; map -B 0.9 -D {period}",
    "speed": "if -g -K 6 -C 8; strash; dch; map -B 0.9 -D {period}",
}
_BEFORE = "strash; &get -n; &fraig -x -C 100; &put; scorr; dc2; dc2; strash"
_AFTER = "topo; buffer -c; topo; upsize -D {period}; dnsize -D {period}"

_READ = """\
read_liberty -lib -ignore_miss_func "{liberty}"
read_verilog -sv -defer {sources}
read_verilog -sv {top}.v
hierarchy -check -top {top} {parameters}
rename -top {top}
proc
check -assert
write_rtlil undefined.il
tee -o latches.txt select -list t:$dlatch t:$adlatch t:$dlatchsr t:$sr
synth -run coarse:fine
opt -fast -full
write_rtlil read.il
"""

_PARTS = """\
read_rtlil roms.il
memory_map
opt -undriven -fine
techmap
opt -fast
simplemap
{retime}write_rtlil parts.il
"""

_GATES = """\
read_rtlil parts.il
script keep.ys
flatten
opt_expr -mux_undef
opt -fast
opt_clean
check -assert
dfflibmap -liberty "{liberty}"
opt_clean
{names}write_rtlil gates.il
"""

# Retiming in one module, whose registers have neither enables nor resets. ``dretime`` moves none of them. What is zero
# while one bit is high Yosys makes a reset of, which it does not give back to abc's registers: out of them again.
_RETIME = """\
flatten *{module}*
opt_expr -mux_undef
opt -fast
dffunmap *{module}*
abc -dff -liberty "{liberty}" -constr constraints.txt -D {period} -script retime.abc *{module}*
"""

_CELLS = """\
read_rtlil gates.il
abc -liberty "{liberty}" -constr constraints.txt -D {period} -script map.abc
setattr -mod -unset keep_hierarchy *
flatten
splitnets
opt_clean -purge
write_json named.json
rename -hide w:*
rename -hide c:*
opt_clean -purge
check -assert
rename -enumerate -pattern n% w:*
rename -enumerate -pattern c% c:*
write_json netlist.json
"""


def synthesise(
    unit: Unit, library: Library, period: float, depth: int | None = None, rtl_dir: Path | None = None
) -> Path:
    """The folder with the netlist of a unit in its wrapper (`sim.verify.wrapper`), from the cache where it is there.

    Parameters
    ----------
    unit : Unit
    library : Library
    period : float
        Of the clock that the netlist shall keep, seconds. One that cannot be met gives the fastest netlist that was
        found: `sim.cost.timing.time_netlist` says so.
    depth : int, optional
        Register stages of the wrapper; by default 2 around a combinational core, 1 in a sequential unit.
    rtl_dir : Path, optional
        Verilog that replaces the package's own files of the same names.

    Returns
    -------
    A folder with ``netlist.v`` and ``netlist.json``: a module ``top`` with the wrapper's ports, cells ``c0``, ``c1`` …
    and single-bit nets ``n0``, ``n1`` …; and with ``summary.json``: area_um2, sequential_area_um2, macro_area_um2,
    cells (by kind), flip_flops, effort, critical_path (seconds), shared (how many modules were mapped by themselves),
    yosys. Where there are ROM macros, `sim.cost.macro.with_macros` gives their cells.

    Raises
    ------
    CostError
        If Yosys refuses the Verilog, or the netlist would have latches, loops, undefined values or cells that are not
        in the library; if a ROM is a macro, and the library's node is not known.
    MissingTool
        If a tool is not installed.
    """
    depth = (1 if unit.sequential else DEPTH) if depth is None else depth
    sources = {name: path.read_text("utf-8") for name, path in sources_of(unit, rtl_dir).items()}
    files = {**sources, f"{TOP}.v": wrapper_text(unit, TOP), **unit.roms()}
    return synthesise_files(files, [*sources], library, period, {"DEPTH": depth})


def synthesise_files(
    files: Mapping[str, str], sources: list[str], library: Library, period: float, parameters: Mapping[str, int],
    efforts: Sequence[str] = tuple(EFFORTS), retimed: str | None = None, seconds: float = YOSYS_SECONDS,
) -> Path:
    """As `synthesise`, of a module ``top`` in the file ``top.v``, with its parameters; beside it ``sources``, in their
    order, and what they read. In the module ``retimed`` registers may be moved. A run of Yosys that needs more
    seconds is `TooLong`."""
    scripts = _scripts(library, period, sources, parameters, retimed)
    parts = {f"file {name}": text for name, text in files.items()}
    parts |= {f"script {name}": text for name, text in scripts.items()}
    parts |= {"efforts": " ".join(efforts), "limit": str(FLAT_GATES), "library": library.digest}
    parts |= {"macros": f"{library.rom_bits} {library.node}"}
    parts |= {"yosys": yosys_version(), "code": _code_version()}
    parts |= {"abc": _abc_version(), "timer": timer_version()}

    def build(folder: Path) -> None:
        work = folder / "work"
        work.mkdir()
        for name, text in (*files.items(), *scripts.items()):
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text(text, "utf-8")
        summary = _netlist(work, library, period, efforts, seconds)
        for name in ("netlist.v", "netlist.json", "registers.json", *(file.name for file in work.glob("macros.*"))):
            (work / name).rename(folder / name)
        shutil.rmtree(work)
        (folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", "utf-8")

    return cached("netlist", parts, build)


def _scripts(
    library: Library, period: float, sources: Sequence[str], parameters: Mapping[str, int], retimed: str | None
) -> dict[str, str]:
    """What Yosys and abc are told, by the names of files."""
    liberty = mapping_library(library)
    inverting = any(cell.inverting for cell in library.cells.values())
    inverter = smallest_inverter(library)
    load = 4 * inverter.pins[inverter.inputs[0]].rise_capacitance
    target = f"{period * 1e12:.0f}"  # abc counts in picoseconds and femtofarads
    chosen = " ".join(f"-chparam {name} {value}" for name, value in parameters.items())
    retime = _RETIME.format(module=retimed, liberty=liberty, period=target) if retimed else ""
    texts = {
        "constraints.txt": f"set_driving_cell {inverter.name}\nset_load {load * 1e15:.4f} [all_outputs]\n",
        "read.ys": _READ.format(liberty=liberty, sources=" ".join(sources), top=TOP, parameters=chosen),
        "parts.ys": _PARTS.format(retime=retime),
        "gates.ys": _GATES.format(liberty=liberty, names="write_json gates.json\n" if inverting else ""),
        "cells.ys": _CELLS.format(liberty=liberty, period=target),
    }
    for effort, commands in {**EFFORTS, "retime": f"balance; retime -M 5; strash; {EFFORTS['speed']}"}.items():
        lines = "\n".join(f"{_BEFORE}; {commands}; {_AFTER}\n".split("; "))
        if effort != "retime" or retimed:
            texts[f"{effort}.abc"] = lines.format(period=target)
            # how much of the period a module has that several make a path of is not known
            texts[f"{effort}.shared.abc"] = lines.format(period=target if effort == "area" else 1)
    return texts


def _netlist(
    work: Path, library: Library, period: float, efforts: Sequence[str], seconds: float
) -> dict[str, Any]:
    """Netlist files in a folder with sources and scripts, and their summary."""
    run_yosys(work, "read.ys", seconds)
    _check_gates(work)
    text, macros = with_roms((work / "read.il").read_text("utf-8"), library.rom_bits)
    (work / "roms.il").write_text(text, "utf-8")
    save_macros(work, macros, library)
    run_yosys(work, "parts.ys", seconds)
    shared = [re.sub(r"\W", "?", name) for name in _shared(work / "parts.il")]
    (work / "keep.ys").write_text("".join(f"setattr -mod -set keep_hierarchy 1 {name}\n" for name in shared), "utf-8")
    run_yosys(work, "gates.ys", seconds)
    best: tuple[float, str] | None = None
    for effort in efforts:
        if best is not None and best[0] > _REACH[effort] * period:
            continue
        shutil.copy(work / (f"{effort}.shared.abc" if shared else f"{effort}.abc"), work / "map.abc")
        run_yosys(work, "cells.ys", seconds)
        (work / "netlist.v").write_text(verilog_text(load_netlist(work)), "utf-8")
        path = critical_path(work / "netlist.v", library, period)
        if best is None or path < best[0]:
            best = path, effort
            for name in _RESULTS:
                (work / name).rename(work / f"best.{name}")
        if path <= period:
            break
    assert best is not None
    for name in _RESULTS:
        (work / f"best.{name}").rename(work / name)
    inverted = _inverted(_module(work / "gates.json"), library) if (work / "gates.json").is_file() else {}
    registers = _registers(_module(work / "named.json"), _module(work / "netlist.json"), inverted)
    (work / "registers.json").write_text(json.dumps(registers), "utf-8")
    return _summary(work / "netlist.json", with_macros(work, library)) | {
        "effort": best[1], "critical_path": best[0], "shared": len(shared), "yosys": yosys_version()
    }  # fmt: skip


def _shared(rtlil: Path) -> list[str]:
    """Modules that are mapped by themselves, the largest that a unit has several of: none, where the unit is small
    enough to be mapped as a whole."""
    modules: dict[str, Counter[str]] = {}  # what each is made of, gates and other modules
    with rtlil.open(encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if line.startswith("module "):
                inside = modules.setdefault(words[1], Counter())
            elif line.startswith("  cell "):
                inside[words[1]] += 1

    @cache
    def gates(name: str) -> int:
        return sum(count * gates(part) for part, count in modules[name].items()) if modules.get(name) else 1

    top, shared = f"\\{TOP}", []
    if gates(top) <= FLAT_GATES:
        return []
    instances = Counter({top: 1})
    for name in _from_top(top, modules):
        if instances[name] > 1 and gates(name) >= _SHARED_GATES:
            shared.append(name)
            continue  # what is in it is mapped with it
        for part, count in modules[name].items():
            instances[part] += instances[name] * count
    return shared


def _from_top(top: str, modules: Mapping[str, Counter[str]]) -> list[str]:
    """Modules with something in them, each before those that it has instances of."""
    order: list[str] = []

    def visit(name: str) -> None:
        if modules.get(name) and name not in order:
            for part in modules[name]:
                visit(part)
            order.append(name)

    visit(top)
    return order[::-1]


def _check_gates(work: Path) -> None:
    latches = (work / "latches.txt").read_text("utf-8").split()
    if latches:
        raise CostError(f"a unit without latches is required, Yosys found {', '.join(latches[:4])}")
    kind = ""
    for line in (work / "undefined.il").read_text("utf-8").splitlines():
        if line.startswith("  cell "):
            kind = line.split()[1]
        elif _UNDEFINED.match(line) and kind not in ("$mux", "$pmux"):  # a choice of nothing is left to synthesis
            raise CostError(f"a unit whose every bit is defined is required, Yosys found {line.strip()[8:]}")
        elif line == "  end":
            kind = ""


def _module(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))["modules"][TOP]
    return found


def _inverted(gates: dict[str, Any], library: Library) -> dict[str, list[str]]:
    """Flip-flop -> names in the Verilog of the register that it has the inverse of. Behind such a flip-flop there is
    still its inverter, which mapping takes into other gates."""
    named: dict[Any, list[str]] = {}
    for name, bits in _nets(gates):
        for place, bit in enumerate([] if name in gates["ports"] else bits):
            named.setdefault(bit, []).append(f"{name}[{place}]" if len(bits) > 1 else name)
    cells = gates["cells"].values()
    behind = {cell["connections"]["A"][0]: cell["connections"]["Y"][0] for cell in cells if cell["type"] == "$_NOT_"}
    found = {}
    for name, cell in gates["cells"].items():
        kind = library.cells.get(cell["type"])
        if kind is not None and kind.inverting:
            outputs = [cell["connections"][pin] for pin in kind.outputs if cell["connections"].get(pin)]
            found[name] = [one for (bit,) in outputs for one in named.get(behind.get(bit), [])]
    return found


def _registers(
    named: dict[str, Any], renamed: dict[str, Any], inverted: Mapping[str, list[str]]
) -> dict[str, dict[str, list[str]]]:
    """``nets``: net of the netlist -> its names in the Verilog, if any are left: mostly those of registers and what
    they take; ``inverted``: flip-flop of the netlist -> names of the register that it has the inverse of.

    Both are one netlist, before and after everything got a simple name: a walk from the outputs finds the pairs.
    """
    before, after = _drivers(named), _drivers(renamed)
    twins: dict[Any, Any] = {}
    cells: dict[str, str] = {}
    pending = [
        pair for name, port in named["ports"].items() if port["direction"] == "output"
        for pair in zip(port["bits"], renamed["ports"][name]["bits"], strict=True)
    ]  # fmt: skip
    while pending:
        old, new = pending.pop()
        if old in twins or old not in before:
            continue
        twins[old] = new
        (cell, pins), (twin, twin_pins) = before[old], after[new]
        cells[cell] = twin
        pending += [(bits[0], twin_pins[pin][0]) for pin, bits in pins.items()]
    nets = {bits[0]: name for name, bits in _nets(renamed) if name not in renamed["ports"]}
    found: dict[str, list[str]] = {}
    for name, bits in _nets(named):
        if name not in named["ports"] and len(bits) == 1 and twins.get(bits[0]) in nets:
            found.setdefault(nets[twins[bits[0]]], []).append(name)
    return {"nets": found, "inverted": {cells[name]: names for name, names in inverted.items() if name in cells}}


def _drivers(module: dict[str, Any]) -> dict[Any, tuple[str, dict[str, list[Any]]]]:
    """Net -> the cell that drives it, and its pins by name."""
    drivers: dict[Any, tuple[str, dict[str, list[Any]]]] = {}
    for name, cell in module["cells"].items():
        pins = cell["connections"]
        drivers |= {bits[0]: (name, pins) for pin, bits in pins.items() if cell["port_directions"][pin] == "output"}
    return drivers


def _nets(module: dict[str, Any]) -> list[tuple[str, list[Any]]]:
    return [(name, net["bits"]) for name, net in module["netnames"].items() if not net["hide_name"]]


def _summary(path: Path, library: Library) -> dict[str, Any]:
    module = _module(path)
    kinds = Counter(cell["type"] for cell in module["cells"].values())
    strange = sorted(kinds.keys() - library.cells.keys())
    if strange:
        raise CostError(f"{library.path}: no cell was found for {', '.join(strange)}")
    for name, cell in module["cells"].items():
        if any(bit in ("x", "z") for bits in cell["connections"].values() for bit in bits):
            raise CostError(f"a netlist whose every bit is defined is required, cell {name} has a pin that is not")
    sequential = {kind: count for kind, count in kinds.items() if library.cells[kind].state}
    latches = [kind for kind in sequential if (state := library.cells[kind].state) and state.latch]
    if latches:
        raise CostError(f"a netlist without latches is required, it has {', '.join(latches)}")

    macros = {kind: count for kind, count in kinds.items() if isinstance(library.cells[kind], RomMacro)}

    def area(some: Mapping[str, int]) -> float:
        return float(sum(library.cells[kind].area_um2 * count for kind, count in sorted(some.items())))

    return {
        "area_um2": area(kinds), "sequential_area_um2": area(sequential), "macro_area_um2": area(macros),
        "flip_flops": sum(sequential.values()),
        "cells": dict(sorted(kinds.items())),
    }  # fmt: skip


def run_yosys(folder: Path, script: str, seconds: float = YOSYS_SECONDS) -> None:
    """Run a script in its folder.

    Raises
    ------
    CostError
        If Yosys refuses it. `TooLong` if it needs more seconds.
    """
    yosys_version()
    command = ["yosys", "-q", "-l", f"{script}.log", "-s", script]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise TooLong(f"Yosys needed more than {seconds:g} s: the unit is too large") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise CostError(f"Yosys: {' '.join(lines[-2:])}")


_CODE = ("cells", "macro", "memory", "netlist", "rom", "scaling", "synthesis")  # modules that take part in a netlist


@cache
def _code_version() -> str:
    here = Path(__file__).parent
    return syntax_digest((here / f"{name}.py").read_text("utf-8") for name in _CODE)


@cache
def yosys_version() -> str:
    """What Yosys says of itself; `MissingTool` if it is not installed."""
    if shutil.which("yosys") is None or shutil.which("berkeley-abc") is None:
        raise MissingTool("synthesis needs Yosys and abc: apt install yosys berkeley-abc")
    return subprocess.run(["yosys", "-V"], capture_output=True, text=True).stdout.strip()


@cache
def _abc_version() -> str:
    yosys_version()
    return subprocess.run(["berkeley-abc", "-q", "version"], capture_output=True, text=True).stdout.strip()
