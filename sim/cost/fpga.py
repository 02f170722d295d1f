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
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from sim.cost.cache import cached
from sim.cost.errors import CostError, TooLong
from sim.cost.synthesis import TOP, YOSYS_SECONDS, run_yosys, yosys_version
from sim.verify.tools import MissingTool, sources_of
from sim.verify.unit import Unit
from sim.verify.wrapper import DEPTH, connect, wrapper_text

__all__ = ["DEVICES", "FpgaCost", "fpga_cost", "require_fpga_tools"]

DEVICES = {"hx1k": "tq144", "hx8k": "ct256", "lp8k": "cm81", "up5k": "sg48"}  #: device -> package

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


def require_fpga_tools() -> str:
    """The versions of Yosys and nextpnr; `MissingTool` if one is not installed."""
    if shutil.which("nextpnr-ice40") is None or shutil.which("yosys") is None:
        raise MissingTool("FPGA figures need Yosys and nextpnr: apt install yosys nextpnr-ice40")
    done = subprocess.run(["nextpnr-ice40", "--version"], capture_output=True, text=True)
    return f"{yosys_version()} {(done.stderr + done.stdout).strip()}"


def fpga_cost(
    unit: Unit, device: str = "hx8k", rtl_dir: Path | None = None, seconds: float = YOSYS_SECONDS
) -> FpgaCost:
    """Synthesise, place and route a unit in its wrapper; cached, and so is that it does not fit.

    Raises
    ------
    CostError
        If there is no such device, the unit does not fit, or a tool refuses it. `TooLong` if Yosys or nextpnr needs
        more seconds.
    MissingTool
        If a tool is not installed.
    """
    if device not in DEVICES:
        raise CostError(f"device must be one of {', '.join(DEVICES)}, got {device!r}")
    tools = require_fpga_tools()
    sources = {name: path.read_text("utf-8") for name, path in sources_of(unit, rtl_dir).items()}
    texts = {**sources, f"{TOP}.v": wrapper_text(unit, TOP), "harness.v": _harness(unit), **unit.roms()}
    depth = 1 if unit.sequential else DEPTH
    texts["unit.ys"] = _UNIT.format(sources=" ".join(sources), top=TOP, depth=depth)
    texts["harness.ys"] = _HARNESS.format(top=TOP)

    def build(folder: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="lns-fpga-") as name:
            try:
                made = asdict(_figures(Path(name), texts, device, seconds))
            except _NoRoom as error:
                made = {"refused": str(error)}
        (folder / "fpga.json").write_text(json.dumps(made) + "\n", "utf-8")

    key = {f"file {name}": text for name, text in texts.items()} | {"device": _command(device), "tools": tools}
    made = json.loads((cached("fpga", key, build) / "fpga.json").read_text("utf-8"))
    if "refused" in made:
        raise CostError(made["refused"])
    return FpgaCost(**made)


class _NoRoom(CostError):
    """What nextpnr says of a unit that it cannot place or route."""


def _figures(work: Path, texts: Mapping[str, str], device: str, seconds: float) -> FpgaCost:
    for file, text in texts.items():
        (work / file).parent.mkdir(parents=True, exist_ok=True)
        (work / file).write_text(text, "utf-8")
    run_yosys(work, "unit.ys", seconds)
    run_yosys(work, "harness.ys", seconds)  # the unit's cells stay as they are
    netlist = json.loads((work / f"{TOP}.json").read_text("utf-8"))["modules"][TOP]
    cells = Counter(cell["type"] for cell in netlist["cells"].values())
    return FpgaCost(
        device=device,
        luts=cells["SB_LUT4"],
        carries=cells["SB_CARRY"],
        flip_flops=sum(count for kind, count in cells.items() if kind.startswith("SB_DFF")),
        block_rams=sum(count for kind, count in cells.items() if kind.startswith("SB_RAM")),
        frequency=_place(work, device, seconds),
    )


def _command(device: str) -> str:
    # a clock below its target of 12 MHz is a figure, and no error
    options = "--json harness.json --seed 1 --asc harness.asc --timing-allow-fail"
    return f"nextpnr-ice40 --{device} --package {DEVICES[device]} {options}"


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


def _place(work: Path, device: str, seconds: float) -> float:
    """The clock after routing, hertz."""
    try:
        done = subprocess.run(_command(device).split(), cwd=work, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise TooLong(f"nextpnr needed more than {seconds:g} s") from None
    found = re.findall(r"Max frequency for clock\s+'[^']*': ([\d.]+) MHz", done.stderr)
    if done.returncode or not found:
        wrong = re.findall(r"^ERROR: (.*)$", done.stderr, re.MULTILINE) or ["no clock was reported"]
        raise _NoRoom(f"nextpnr, {device}: {wrong[0]}")
    return float(found[-1]) * 1e6
