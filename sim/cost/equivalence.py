"""A netlist of a library's cells is, for all inputs and states, the Verilog that it was made from.

Registers of the two sides are paired by `sim.cost.synthesis`, those that flip-flops show the inverse of by the cells'
own states, which are taken as what the cell took (`sim.cost.mapping.proof_text`). Yosys then proves each next state and
each output equal, as functions of registers and inputs, with the functions that the Liberty file gives for its cells.
A proof is kept (`sim.cost.cache`); that there was not time enough for one is not.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sim.cost.cache import cached
from sim.cost.errors import CostError
from sim.cost.liberty import Library
from sim.cost.mapping import mapping_library, proof_text
from sim.cost.netlist import load_netlist
from sim.cost.synthesis import TOP, synthesise, yosys_version
from sim.source import syntax_digest
from sim.verify.tools import sources_of
from sim.verify.unit import Unit
from sim.verify.wrapper import DEPTH, wrapper_text

__all__ = ["PROOF_CELLS", "Proof", "Undecided", "prove_netlist", "prove_or_say_why"]

#: Cells of a netlist that is still tried. Yosys decides some hundred in seconds; the 4,854 of an element of ``madam8``,
#: with its sum of 16 terms, were open after 150 s, as were its loss unit (7,005) and its update unit (6,833).
PROOF_CELLS = 1000


_CONTROL = 2  # valid_o, ready_o


class Undecided(CostError):
    """Neither equal nor different, in the time that was given."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether a netlist is its Verilog for all inputs and states.

    Attributes
    ----------
    points : int
        Bits of registers and outputs that were proven equal; 0: nothing was.
    why : str
        Why there is no proof, else empty.
    """

    points: int
    why: str = ""


_RTL = """\
read_verilog -sv -defer {sources}
read_verilog -sv {top}.v
hierarchy -check -top {top} -chparam DEPTH {depth}
rename -top gold
proc
flatten
memory_map
async2sync
dffunmap
opt_clean
splitnets
opt_clean
tee -o names.txt select -list w:*
write_rtlil gold.il
"""

_PROOF = """\
read_rtlil gold.il
cd gold
{gold_names}
rename -hide w:* w:pair_* %d
cd
opt_clean -purge
design -stash gold
read_liberty -ignore_miss_func cells.lib
read_verilog "{netlist}"
hierarchy -check -top {top}
rename -top gate
cd gate
{gate_names}
rename -hide w:* w:pair_* %d
rename -hide c:* c:keep_* %d
cd
proc
flatten
cd gate
{state_names}
rename -hide w:keep_*
cd
async2sync
dffunmap
opt_clean -purge
splitnets
opt_clean -purge
design -stash gate
design -copy-from gold -as gold gold
design -copy-from gate -as gate gate
equiv_make gold gate both
hierarchy -top both
equiv_simple
equiv_induct
tee -o status.txt equiv_status
equiv_status -assert
"""


def prove_netlist(
    folder: Path, unit: Unit, library: Library, depth: int | None = None, rtl_dir: Path | None = None,
    timeout: float = 600.0,
) -> int:
    """Prove the netlist in a folder of `sim.cost.synthesis.synthesise`, called with the same arguments.

    Returns
    -------
    How many points were proven equal: bits of registers and of outputs.

    Raises
    ------
    CostError
        If the netlist is not the Verilog. `Undecided` if that is not decided within ``timeout`` seconds, or if
        registers cannot be paired.
    MissingTool
        If Yosys is not installed.
    """
    yosys_version()
    kinds = json.loads((folder / "summary.json").read_text("utf-8"))["cells"]
    if macros := [kind for kind in kinds if kind not in library.cells]:
        raise Undecided(f"{', '.join(macros)}: the contents of ROM macros take no part in proofs")
    depth = (1 if unit.sequential else DEPTH) if depth is None else depth
    title = f"{unit.module} {unit}"
    sources = {name: path.read_text("utf-8") for name, path in sources_of(unit, rtl_dir).items()}
    files = {**sources, f"{TOP}.v": wrapper_text(unit, TOP), **unit.roms()}
    files["rtl.ys"] = _RTL.format(sources=" ".join(sources), top=TOP, depth=depth)
    files["cells.lib"] = proof_text(mapping_library(library).read_text("utf-8"))
    key = {f"file {name}": text for name, text in files.items()} | {"yosys": yosys_version(), "code": _code_version()}
    key |= {"library": library.digest, "outputs": str(unit.output_bits)}

    def build(place: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="lns-equivalence-") as name:
            points = _prove(Path(name), folder, library, files, title, unit.output_bits + _CONTROL, timeout)
        (place / "proof.json").write_text(json.dumps({"points": points}) + "\n", "utf-8")

    parts = {name: (folder / name).read_bytes() for name in ("netlist.v", "netlist.json", "registers.json")}
    entry = cached("proof", {**key, **parts}, build)
    points: int = json.loads((entry / "proof.json").read_text("utf-8"))["points"]
    return points


def _prove(
    work: Path, folder: Path, library: Library, files: Mapping[str, str], title: str, outputs: int, timeout: float
) -> int:
    """Points proven, in a folder in which nothing is yet."""
    end = time.monotonic() + timeout
    for file, text in files.items():
        (work / file).parent.mkdir(parents=True, exist_ok=True)
        (work / file).write_text(text, "utf-8")
    _run(work, "rtl.ys", title, timeout)
    nets, states = _pairs(folder, work, library)
    kinds = load_netlist(folder).kinds
    nameless = sum(len(cells.names) for kind, cells in kinds.items() if library.cells[kind].inverting) - len(states)
    if nameless or not (nets or states):
        raise Undecided(f"{title}: {nameless or 'all'} registers of the netlist have no name of the Verilog's")
    script = _PROOF.format(
        netlist=(folder / "netlist.v").resolve(), top=TOP,
        gold_names="\n".join(f"rename \\{name} pair_{i}" for i, (_, name) in enumerate([*nets, *states])),
        gate_names="\n".join([
            *(f"rename {net} pair_{i}" for i, (net, _) in enumerate(nets)),
            *(f"rename {cell} keep_{cell}" for (cell, _), _ in states),
        ]),
        state_names="\n".join(
            f"rename keep_{cell}.{state} pair_{i}" for i, ((cell, state), _) in enumerate(states, len(nets))
        ),
    )  # fmt: skip
    (work / "prove.ys").write_text(script, "utf-8")
    return _judge(work, title, outputs, _run(work, "prove.ys", title, end - time.monotonic()))


def prove_or_say_why(unit: Unit, library: Library, period: float, seconds: float = 600.0) -> Proof:
    """The proof of the netlist that is priced, where it has at most `PROOF_CELLS` cells.

    Raises
    ------
    CostError
        If the netlist is not the Verilog; else as `sim.cost.synthesis.synthesise`.
    """
    folder = synthesise(unit, library, period)
    cells = sum(json.loads((folder / "summary.json").read_text("utf-8"))["cells"].values())
    if cells > PROOF_CELLS:
        return Proof(0, f"{cells} cells, proofs are tried up to {PROOF_CELLS}")
    try:
        return Proof(prove_netlist(folder, unit, library, timeout=seconds))
    except Undecided as error:
        return Proof(0, str(error))


def _pairs(
    folder: Path, work: Path, library: Library
) -> tuple[list[tuple[str, str]], list[tuple[tuple[str, str], str]]]:
    """Nets of the netlist, and what they are called in the Verilog; flip-flops, with the name of the state that has
    what they took, and what that is called there. No name twice."""
    left = {line.removeprefix("gold/") for line in (work / "names.txt").read_text("utf-8").splitlines()}
    registers = json.loads((folder / "registers.json").read_text("utf-8"))
    netlist, states = load_netlist(folder), []
    kind_of = {name: kind for kind, cells in netlist.kinds.items() for name in cells.names}
    for cell, names in registers["inverted"].items():
        state = library.cells[kind_of[cell]].state
        assert state is not None
        for name in sorted(left.intersection(names))[:1]:
            left.remove(name)
            states.append(((cell, state.inverse if state.data.operator == "~" else state.name), name))
    nets = [(net, name) for net, names in registers["nets"].items() for name in sorted(left.intersection(names))[:1]]
    return nets, states


def _run(work: Path, script: str, title: str, timeout: float) -> subprocess.CompletedProcess[str]:
    command = ["yosys", "-q", "-l", "prove.log", "-s", script]
    try:
        return subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=max(timeout, 0.01))
    except subprocess.TimeoutExpired:
        raise Undecided(f"{title}: whether the netlist is the Verilog was not decided in time") from None


def _judge(work: Path, title: str, outputs: int, done: subprocess.CompletedProcess[str]) -> int:
    status = work / "status.txt"
    lines = status.read_text("utf-8").splitlines() if status.is_file() else []
    if not lines:
        raise CostError(f"{title}: Yosys: {' '.join((done.stderr or done.stdout).strip().splitlines()[-2:])}")
    if done.returncode:
        unproven = [line.split()[-1] for line in lines if "Unproven $equiv" in line]
        raise CostError(
            f"{title}: the netlist was not proven to be the Verilog: {len(unproven)} points differ or are open, such "
            f"as {', '.join(unproven[:3])}"
        )
    found = [int(line.split()[1]) for line in lines if line.startswith("Found ") and "$equiv cells" in line]
    if not found or found[0] < outputs:
        raise CostError(f"{title}: Yosys compared {found} points, the netlist alone has {outputs} bits of outputs")
    return found[0]


@cache
def _code_version() -> str:
    here = Path(__file__).parent
    names = ("cells", "equivalence", "expression", "liberty", "liberty_text", "mapping", "netlist")
    return syntax_digest((here / f"{name}.py").read_text("utf-8") for name in names)
