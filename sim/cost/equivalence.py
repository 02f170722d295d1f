"""A netlist of a library's cells is, for all inputs and states, the Verilog that it was made from.

Registers of the two sides are paired by `sim.cost.synthesis`; Yosys then proves each next state and each output equal,
as functions of registers and inputs, with the functions that the Liberty file gives for its cells.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from sim.cost.cells import Cell
from sim.cost.errors import CostError
from sim.cost.expression import Expression
from sim.cost.liberty import Library
from sim.cost.mapping import mapping_library
from sim.cost.synthesis import TOP, synthesise, yosys_version
from sim.verify.tools import sources_of
from sim.verify.unit import Unit
from sim.verify.wrapper import DEPTH, wrapper_text

__all__ = ["PROOF_CELLS", "Proof", "Undecided", "prove_netlist", "prove_or_say_why"]

#: Cells of a netlist that is still tried. Yosys decides some hundred in seconds; the 4,854 of an element of ``madam8``,
#: with its sum of 16 terms, were open after 150 s, as were its loss unit (7,005) and its update unit (6,833).
PROOF_CELLS = 1000


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
read_liberty -ignore_miss_func "{liberty}"
read_verilog "{netlist}"
hierarchy -check -top {top}
rename -top gate
cd gate
{gate_names}
rename -hide w:* w:pair_* %d
rename -hide c:*
cd
proc
flatten
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
        If the netlist is not the Verilog. `Undecided` if that is not decided within ``timeout`` seconds, or if the
        netlist's flip-flops store the inverse of what the Verilog's registers do.
    MissingTool
        If Yosys is not installed.
    """
    yosys_version()
    kinds = json.loads((folder / "summary.json").read_text("utf-8"))["cells"]
    if macros := [kind for kind in kinds if kind not in library.cells]:
        raise Undecided(f"{', '.join(macros)}: the contents of ROM macros take no part in proofs")
    if inverting := [kind for kind in kinds if library.cells[kind].state and _inverts(library.cells[kind])]:
        raise Undecided(f"{', '.join(inverting)} of {library.name} shows the inverse of what it takes: no pairs")
    depth = (1 if unit.sequential else DEPTH) if depth is None else depth
    end = time.monotonic() + timeout
    with tempfile.TemporaryDirectory(prefix="lns-equivalence-") as name:
        work = Path(name)
        sources = {name: path.read_text("utf-8") for name, path in sources_of(unit, rtl_dir).items()}
        for file, text in {**sources, f"{TOP}.v": wrapper_text(unit, TOP), **unit.roms()}.items():
            (work / file).parent.mkdir(parents=True, exist_ok=True)
            (work / file).write_text(text, "utf-8")
        title = f"{unit.module} {unit}"
        _run(work, _RTL.format(sources=" ".join(sources), top=TOP, depth=depth), title, timeout)
        pairs = _pairs(folder, work)
        if not pairs:
            raise Undecided(
                f"{title}: no register of the netlist has a name of the Verilog's: those that invert cannot be paired"
            )
        script = _PROOF.format(
            liberty=mapping_library(library), netlist=(folder / "netlist.v").resolve(), top=TOP,
            gold_names="\n".join(f"rename \\{name} pair_{i}" for i, (_, name) in enumerate(pairs)),
            gate_names="\n".join(f"rename {net} pair_{i}" for i, (net, _) in enumerate(pairs)),
        )  # fmt: skip
        done = _run(work, script, title, end - time.monotonic())
        return _judge(work, title, unit.output_bits + 2, done)  # and valid_o, ready_o


def prove_or_say_why(unit: Unit, library: Library, period: float) -> Proof:
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
        return Proof(prove_netlist(folder, unit, library))
    except Undecided as error:
        return Proof(0, str(error))


def _inverts(cell: Cell) -> bool:
    """Whether all outputs of a flip-flop show the inverse of its data: then none is the Verilog's register."""
    assert cell.state is not None
    data = cell.truth(cell.state.data)[0]  # all pins and the state being 0
    return all(cell.truth(Expression("", output))[0] != data for output in cell.outputs)


def _pairs(folder: Path, work: Path) -> list[tuple[str, str]]:
    """Nets of the netlist, and what they are called in the Verilog."""
    known = {line.removeprefix("gold/") for line in (work / "names.txt").read_text("utf-8").splitlines()}
    registers = json.loads((folder / "registers.json").read_text("utf-8"))
    return [(net, name) for net, names in registers.items() for name in sorted(known.intersection(names))[:1]]


def _run(work: Path, script: str, title: str, timeout: float) -> subprocess.CompletedProcess[str]:
    (work / "prove.ys").write_text(script, "utf-8")
    command = ["yosys", "-q", "-l", "prove.log", "-s", "prove.ys"]
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
