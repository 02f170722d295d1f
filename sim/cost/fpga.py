"""What a unit takes of an iCE40 FPGA, by Yosys and nextpnr.

Cells are counted for the unit in its wrapper alone. To be placed and routed it needs pins, of which it would have too
many: a shift register feeds its inputs, and another one collects its outputs, each behind an exclusive or. Neither is
counted.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sim.cost.errors import CostError
from sim.cost.synthesis import TOP, run_yosys
from sim.verify.tools import MissingTool, sources_of
from sim.verify.unit import Unit
from sim.verify.wrapper import DEPTH, connect, wrapper_text

__all__ = ["DEVICES", "FpgaCost", "fpga_cost"]

DEVICES = {"hx1k": "tq144", "hx8k": "ct256", "lp8k": "cm81", "up5k": "sg48"}  #: device -> package
_SECONDS = 900  # that placing and routing may take

_UNIT = """\
read_verilog -sv -defer {sources}
read_verilog -sv {top}.v
hierarchy -check -top {top} -chparam DEPTH {depth}
rename -top {top}
synth_ice40 -top {top} -json {top}.json
write_rtlil {top}.il
"""

_HARNESS = """\
read_rtlil {top}.il
read_verilog -sv harness.v
synth_ice40 -top harness -json harness.json
"""


@dataclass(frozen=True, slots=True)
class FpgaCost:
    """What a unit takes of an FPGA.

    Attributes
    ----------
    luts, carries, flip_flops : int
        LUTs of four inputs, carry cells, flip-flops.
    block_rams : int
        Memories of 4096 bits, in which ROMs are.
    frequency : float
        Of the clock at most, hertz, after routing.
    """

    device: str
    luts: int
    carries: int
    flip_flops: int
    block_rams: int
    frequency: float


def fpga_cost(unit: Unit, device: str = "hx8k", rtl_dir: Path | None = None) -> FpgaCost:
    """Synthesise, place and route a unit in its wrapper.

    Raises
    ------
    CostError
        If there is no such device, the unit does not fit, or a tool refuses it.
    MissingTool
        If a tool is not installed.
    """
    if device not in DEVICES:
        raise CostError(f"device must be one of {', '.join(DEVICES)}, got {device!r}")
    if shutil.which("nextpnr-ice40") is None:
        raise MissingTool("FPGA figures need nextpnr: apt install nextpnr-ice40")
    with tempfile.TemporaryDirectory(prefix="lns-fpga-") as name:
        work = Path(name)
        sources = {name: path.read_text("utf-8") for name, path in sources_of(unit, rtl_dir).items()}
        texts = {**sources, f"{TOP}.v": wrapper_text(unit, TOP), "harness.v": _harness(unit), **unit.roms()}
        for file, text in texts.items():
            (work / file).parent.mkdir(parents=True, exist_ok=True)
            (work / file).write_text(text, "utf-8")
        depth = 1 if unit.sequential else DEPTH
        (work / "unit.ys").write_text(_UNIT.format(sources=" ".join(sources), top=TOP, depth=depth), "utf-8")
        (work / "harness.ys").write_text(_HARNESS.format(top=TOP), "utf-8")
        run_yosys(work, "unit.ys")
        run_yosys(work, "harness.ys")  # the unit's cells stay as they are
        netlist = json.loads((work / f"{TOP}.json").read_text("utf-8"))["modules"][TOP]
        cells = Counter(cell["type"] for cell in netlist["cells"].values())
        frequency = _place(work, device, f"{unit.module} {unit}")
    return FpgaCost(
        device=device,
        luts=cells["SB_LUT4"],
        carries=cells["SB_CARRY"],
        flip_flops=sum(count for kind, count in cells.items() if kind.startswith("SB_DFF")),
        block_rams=sum(count for kind, count in cells.items() if kind.startswith("SB_RAM")),
        frequency=frequency,
    )


def _harness(unit: Unit) -> str:
    """The wrapper with three pins besides clock and reset: ready_i, a bit in, a bit out."""
    into, out = unit.input_bits + 1, unit.output_bits + 2
    connections = ", ".join([
        ".clk_i(clk_i)", ".rst_ni(rst_ni)", ".ready_i(ready_i)", f".valid_i(in_q[{into - 1}])",
        f".ready_o(results[{out - 1}])", f".valid_o(results[{out - 2}])",
        *connect(unit.inputs(), "in_q"), *connect(unit.outputs(), "results"),
    ])  # fmt: skip
    return f"""\
module harness (input logic clk_i, rst_ni, ready_i, bit_i, output logic bit_o);
  logic [{into - 1}:0] in_q;
  logic [{out - 1}:0] results, out_q;
  {TOP} u_top ({connections});
  always_ff @(posedge clk_i) begin
    in_q  <= {{in_q[{into - 2}:0], bit_i}};
    out_q <= results ^ {{out_q[{out - 2}:0], 1'b0}};
  end
  assign bit_o = out_q[{out - 1}];
endmodule
"""


def _place(work: Path, device: str, name: str) -> float:
    """The clock after routing, hertz."""
    command = ["nextpnr-ice40", f"--{device}", "--package", DEVICES[device], "--json", "harness.json", "--seed", "1"]
    command += ["--asc", "harness.asc"]
    try:
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        raise CostError(f"{name}: nextpnr needed more than {_SECONDS} s") from None
    found = re.findall(r"Max frequency for clock\s+'[^']*': ([\d.]+) MHz", done.stderr)
    if done.returncode or not found:
        wrong = re.findall(r"^ERROR: (.*)$", done.stderr, re.MULTILINE) or ["no clock was reported"]
        raise CostError(f"{name}: nextpnr, {device}: {wrong[0]}")
    return float(found[-1]) * 1e6
