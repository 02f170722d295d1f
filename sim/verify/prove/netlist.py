"""The Verilog of a unit as a graph, by way of Yosys.

Yosys elaborates, flattens and maps everything but the ROMs to ANDs and inverters. The ROMs it leaves as memory cells
with their contents, which become trees of multiplexers here: mapped by Yosys, a ROM of a 16-bit adder takes a minute.
Registers stay even if nothing reads them: they may be ones that something must. Whatever Yosys calls unknown (an entry
past a ROM's end, an undriven net) is a free input of the graph: a proof holds for whichever value it has.

Units that are cut out (`Cut`) stay cells.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.verify.prove.aig import FALSE, TRUE, Aig
from sim.verify.prove.cut import Cut
from sim.verify.prove.symbolic import UNKNOWN, lookup
from sim.verify.tools import find_source
from sim.verify.unit import Combinational, Port, Unit, VerifyError
from sim.verify.wrapper import verilog_literal

__all__ = ["OtherParameters", "elaborate", "net", "next_bits", "read"]

_TOP = "prove_top"
_PROVEN = "proven_alone"  # holds an instance of every unit that is cut out, as it is proven by itself
_SECONDS = 300  # of Yosys
_FLIP_FLOP = "$_DFF_P_"  # the only one that is left: resets and enables become gates

# Carries from bit to bit, as the definition's sums have them: the two sides then meet in every bit of a sum.
_CARRIES = """\
(* techmap_celltype = "$lcu" *)
module _lns_carries (P, G, CI, CO);
  parameter WIDTH = 2;
  input [WIDTH-1:0] P, G;
  input CI;
  output [WIDTH-1:0] CO;
  genvar i;
  generate
    for (i = 0; i < WIDTH; i = i + 1) begin : gen_carry
      if (i == 0) assign CO[i] = G[i] | (P[i] & CI);
      else assign CO[i] = G[i] | (P[i] & CO[i-1]);
    end
  endgenerate
endmodule
"""

# A reset as if the next clock took it. What it does in between is no part of a step from clock to clock.
_RESETS = """\
(* techmap_celltype = "$adff" *)
module _lns_reset (CLK, ARST, D, Q);
  parameter WIDTH = 1;
  parameter CLK_POLARITY = 1;
  parameter ARST_POLARITY = 1;
  parameter ARST_VALUE = 0;
  input CLK, ARST;
  input [WIDTH-1:0] D;
  output [WIDTH-1:0] Q;
  \\$dff #(.WIDTH(WIDTH), .CLK_POLARITY(CLK_POLARITY)) _TECHMAP_REPLACE_ (
    .CLK(CLK), .D(ARST == ARST_POLARITY ? ARST_VALUE : D), .Q(Q)
  );
endmodule
"""

_SCRIPT = """\
read_verilog -sv -defer {sources}
read_verilog -sv {top}.v
hierarchy -check -top {top}
proc -norom
write_json ports.json
{cuts}
flatten
setattr -set keep 1 w:u_dut.*_q
opt_expr
opt_clean
memory_collect
techmap -map resets.v
techmap -map carries.v -map +/techmap.v
opt_expr
opt_merge
opt_clean
dffunmap
simplemap
aigmap
opt_clean
write_json netlist.json
"""


class OtherParameters(VerifyError):
    """A unit is not made of the parts that it is known to be made of."""


def elaborate(
    unit: Unit, inputs: Sequence[Port], outputs: Sequence[Port], rtl: Path, folder: Path,
    parts: Sequence[Combinational] = (),
) -> dict[str, Any]:
    """A unit's module with its parameters, as a netlist of ANDs, inverters, ROMs and flip-flops: what Yosys writes as
    JSON. ``inputs`` and ``outputs`` are all ports of the module. ``parts`` are units of other modules that are cut
    out of it; cells of theirs have the module's name for a type.

    Raises
    ------
    VerifyError
        If Yosys refuses the Verilog, or the module's ports are not those that the unit is known by; `OtherParameters`
        if it contains a part with other parameters.
    """
    images = unit.roms()
    for name, image in images.items():
        (folder / name).write_text(image, "utf-8")
    for part in parts:
        if not part.roms().items() <= images.items():
            raise VerifyError(f"the ROMs of {part.module} in {unit.module} are not those of {part}")
    ports = (*inputs, *outputs)
    kinds = ["input"] * len(inputs) + ["output"] * len(outputs)
    declared = ", ".join(f"{kind} [{port.width - 1}:0] {port.name}" for kind, port in zip(kinds, ports, strict=True))
    connected = ", ".join(f".{port.name}({port.name})" for port in ports)
    alone = "".join(f"  {_instance(part, part.module, '')};\n" for part in parts)
    (folder / f"{_TOP}.v").write_text(
        f"module {_PROVEN};\n{alone}endmodule\n\n"
        f"module {_TOP}({declared});\n  {_instance(unit, 'u_dut', connected)};\n  {_PROVEN} u_alone ();\nendmodule\n",
        "utf-8",
    )
    (folder / "carries.v").write_text(_CARRIES, "utf-8")
    (folder / "resets.v").write_text(_RESETS, "utf-8")
    files = (find_source(name, rtl) for name in unit.sources)
    sources = " ".join(f'"{path}"' for path in files)
    cuts = "\n".join(f"blackbox A:hdlname=\\{part.module}" for part in parts)
    (folder / "prove.ys").write_text(_SCRIPT.format(sources=sources, top=_TOP, cuts=cuts), "utf-8")
    try:
        done = subprocess.run(
            ["yosys", "-q", "-l", "yosys.log", "-s", "prove.ys"],
            cwd=folder, capture_output=True, text=True, timeout=_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise VerifyError(f"Yosys took longer than {_SECONDS} s") from None
    if done.returncode:
        raise VerifyError(f"Yosys: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
    modules = json.loads((folder / "ports.json").read_text("utf-8"))["modules"]
    netlist: dict[str, Any] = json.loads((folder / "netlist.json").read_text("utf-8"))["modules"][_TOP]
    _check_ports(unit, modules[modules[_TOP]["cells"]["u_dut"]["type"]], inputs, outputs)
    for part in parts:
        proven = modules[modules[_PROVEN]["cells"][part.module]["type"]]
        _check_ports(part, proven, part.inputs(), part.outputs())
        for name, cell in netlist["cells"].items():
            found = modules.get(cell["type"], {"attributes": {}})
            if found["attributes"].get("hdlname") == f"\\{part.module}":
                if found["parameter_default_values"] != proven["parameter_default_values"]:
                    raise OtherParameters(f"the parameters of {name} are not those of {part.module} {part}")
                cell["type"] = part.module
    return netlist


def _instance(unit: Unit, name: str, connected: str) -> str:
    settings = ", ".join(f".{key}({verilog_literal(value)})" for key, value in unit.parameters().items())
    return f"{unit.module} #({settings}) {name} ({connected})"


def _check_ports(unit: Unit, module: dict[str, Any], inputs: Sequence[Port], outputs: Sequence[Port]) -> None:
    """A port that the unit does not know would be left open, and nothing of it proven."""
    known = {port.name: ("input", port.width) for port in inputs}
    known |= {port.name: ("output", port.width) for port in outputs}
    found = {name: (port["direction"], len(port["bits"])) for name, port in module["ports"].items()}
    if found != known:
        odd = sorted(name for name in found.keys() | known.keys() if found.get(name) != known.get(name))
        raise VerifyError(f"the ports {', '.join(odd)} of {unit.module} are not as the unit is known by")


@dataclass(frozen=True, slots=True)
class _Cell:
    kind: str
    inputs: dict[str, list[Any]]
    parameters: dict[str, str]
    output: int  # which one of a ROM's data bits or a part's outputs, else 0


def net(netlist: dict[str, Any], name: str) -> list[Any]:
    """The bits of a port or a net, lowest first."""
    if name not in netlist["netnames"]:
        raise VerifyError(f"the Verilog has no {name}")
    found: list[Any] = netlist["netnames"][name]["bits"]
    return found


def next_bits(netlist: dict[str, Any], bits: Sequence[Any]) -> list[Any]:
    """What flip-flops with these outputs take at the next clock.

    Raises
    ------
    VerifyError
        If not all of them are such outputs.
    """
    cells = (cell["connections"] for cell in netlist["cells"].values() if cell["type"] == _FLIP_FLOP)
    taken = {cell["Q"][0]: cell["D"][0] for cell in cells}
    if not taken.keys() >= set(bits):
        raise VerifyError("a bit of the state that the unit is known by is no flip-flop")
    return [taken[bit] for bit in bits]


def read(
    netlist: dict[str, Any], aig: Aig, given: dict[Any, int], wanted: Sequence[Any], cuts: Sequence[Cut] = ()
) -> list[int]:
    """The literals of wanted bits of a netlist over those of given ones, among these all outputs of flip-flops.

    Raises
    ------
    VerifyError
        If the bits depend on a state that is not given.
    """
    known: dict[Any, int] = {"0": FALSE, "1": TRUE, **given}
    parts = {cut.unit.module: cut for cut in cuts}
    drivers: dict[Any, _Cell] = {}
    for name, cell in netlist["cells"].items():
        kind, connections = cell["type"], cell["connections"]
        if kind == _FLIP_FLOP and connections["Q"][0] in given:
            continue
        if kind in parts:
            outputs = [bit for port in parts[kind].unit.outputs() for bit in connections[port.name]]
        elif kind in ("$_AND_", "$_NOT_"):
            outputs = connections["Y"]
        elif kind == "$mem_v2":
            if _number(cell, "WR_PORTS") + int(cell["parameters"]["RD_CLK_ENABLE"], 2):
                raise VerifyError(f"{name} is a memory: only a combinational unit can be proven")
            outputs = connections["RD_DATA"]
        else:
            raise VerifyError(f"{name} is a {kind}: only a combinational unit can be proven")
        for i, bit in enumerate(outputs):
            drivers[bit] = _Cell(kind, connections, cell.get("parameters", {}), i)

    def needs(cell: _Cell) -> list[Any]:
        if cell.kind in parts:
            return [bit for port in parts[cell.kind].unit.inputs() for bit in cell.inputs[port.name]]
        if cell.kind == "$_NOT_":
            return cell.inputs["A"]
        if cell.kind == "$_AND_":
            return [*cell.inputs["A"], *cell.inputs["B"]]
        width = int(cell.parameters["ABITS"], 2)
        first = cell.output // int(cell.parameters["WIDTH"], 2) * width
        return cell.inputs["RD_ADDR"][first : first + width]

    def literal(bit: Any) -> int:
        if bit == "x":
            return aig.input()
        return known[bit]

    pending = list(wanted)
    while pending:
        if len(pending) > 64 * (len(drivers) + len(wanted)):  # deeper than any path without a loop
            raise VerifyError("the Verilog has a combinational loop")
        bit = pending[-1]
        if bit in known or bit == "x":
            pending.pop()
            continue
        if bit not in drivers:
            known[bit] = aig.input()
            continue
        cell = drivers[bit]
        below = needs(cell)
        missing = [b for b in below if b not in known and b != "x"]
        if missing:
            pending += missing
            continue
        fanin = [literal(b) for b in below]
        if cell.kind in parts:
            known[bit] = parts[cell.kind].literals(fanin)[cell.output]
        elif cell.kind == "$_NOT_":
            known[bit] = fanin[0] ^ 1
        elif cell.kind == "$_AND_":
            known[bit] = aig.both(*fanin)
        else:
            known[bit] = lookup(aig, fanin, _column(cell), aig.input())
    return [literal(bit) for bit in wanted]


def _number(cell: dict[str, Any], name: str) -> int:
    return int(cell["parameters"][name], 2)


def _column(cell: _Cell) -> bytes:
    """One bit of every entry of a ROM."""
    width, size = int(cell.parameters["WIDTH"], 2), int(cell.parameters["SIZE"], 2)
    if int(cell.parameters["OFFSET"], 2):
        raise VerifyError("a ROM does not start at entry 0")
    # a Verilog constant: the last bit of the last entry comes first
    image = cell.parameters["INIT"][::-1][cell.output % width :: width]
    if len(image) != size:
        raise VerifyError(f"a ROM of {size} entries has an image of {len(image)}")
    return bytes({"0": 0, "1": 1}.get(bit, UNKNOWN) for bit in image)
