"""The least clock period of a combinational unit for each number of register stages.

The wrapper that is priced keeps its registers outside of the unit: their enables tie each stage to the others. Here the
registers run freely, without a handshake: one rank before the core, one behind it, and all others moved into it by abc
(retiming). A netlist counts only after its gates, simulated, gave the definition's results, as many clocks later.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.cost.errors import CostError
from sim.cost.liberty import Library
from sim.cost.models import models_text
from sim.cost.synthesis import TOP, synthesise_files
from sim.verify.tools import sources_of, tool_environment
from sim.verify.unit import Combinational, pack
from sim.verify.wrapper import connect, verilog_literal

__all__ = ["Stage", "least_periods"]

BEATS = 2000  #: of a simulation


@dataclass(frozen=True, slots=True)
class Stage:
    """A unit with ``depth`` register stages: area in µm², least clock period in seconds, flip-flops."""

    depth: int
    area_um2: float
    period: float
    flip_flops: int


def least_periods(unit: Combinational, library: Library, depths: Sequence[int]) -> list[Stage]:
    """Area and least period of a unit for each number of register stages, at least 2; cached.

    Raises
    ------
    CostError
        As `sim.cost.synthesis.synthesise`; or if a netlist does not compute what the definition says.
    MissingTool
        If a tool is not installed.
    """
    found = []
    for depth in depths:
        if depth < 2:
            raise CostError(f"a pipeline has a rank of registers on each side of its core: at least 2, got {depth}")
        sources = {name: path.read_text("utf-8") for name, path in sources_of(unit).items()}
        files = {**sources, f"{TOP}.v": _text(unit), **unit.roms()}
        # a period that nothing meets: abc does what it can
        retimed = "lns_moved" if depth > 2 else None
        folder = synthesise_files(files, [*sources], library, 1e-12, {"MOVED": depth - 2}, ["speed"], retimed)
        _simulate(unit, library, folder, depth)
        summary = json.loads((folder / "summary.json").read_text("utf-8"))
        found.append(Stage(depth, summary["area_um2"], summary["critical_path"], summary["flip_flops"]))
    return found


def _text(unit: Combinational) -> str:
    """A core with registers behind it, which may be moved, between two ranks that stay where they are."""
    width, out = unit.input_bits, unit.output_bits
    settings = ", ".join(f".{key}({verilog_literal(value)})" for key, value in unit.parameters().items())
    connections = ", ".join([*connect(unit.inputs(), "in_i"), *connect(unit.outputs(), "results")])
    return f"""\
module lns_moved #(parameter int MOVED = 0) (
  input logic clk_i, input logic [{width - 1}:0] in_i, output logic [{out - 1}:0] out_o
);
  logic [{out - 1}:0] results;
  {unit.module}{f" #({settings})" if settings else ""} u_core ({connections});
  if (MOVED == 0) begin : gen_wires
    assign out_o = results;
  end else begin : gen_ranks
    logic [MOVED*{out}-1:0] data_q;
    always_ff @(posedge clk_i) data_q <= (MOVED*{out})'({{data_q, results}});
    assign out_o = data_q[MOVED*{out}-1-:{out}];
  end
endmodule

module {TOP} #(parameter int MOVED = 0) (
  input logic clk_i, rst_ni, input logic [{width - 1}:0] in_i, output logic [{out - 1}:0] out_o
);
  logic [{width - 1}:0] first_q;
  logic [{out - 1}:0] last;
  lns_moved #(.MOVED(MOVED)) u_moved (.clk_i(clk_i), .in_i(first_q), .out_o(last));
  always_ff @(posedge clk_i) begin
    first_q <= in_i;
    out_o <= last;
  end
endmodule
"""


_BENCH = """\
`timescale 1ns / 1ps
module bench;
  logic clk = 0, rst = 1;
  logic [{width}-1:0] given[0:{beats}-1], in;
  logic [{out}-1:0] wanted[0:{beats}-1];
  wire [{out}-1:0] out;
  integer wrong = 0;
  top u_top (.clk_i(clk), .rst_ni(rst), .in_i(in), .out_o(out));
  initial begin
    $readmemh("given.memh", given);
    $readmemh("wanted.memh", wanted);
    for (int i = 0; i < {beats} + {depth}; i++) begin
      in = given[(i < {beats}) ? i : 0];
      #1 clk = 1;
      #1 clk = 0;
      if (i + 1 >= {depth} && i + 1 - {depth} < {beats} && out !== wanted[i+1-{depth}]) wrong = wrong + 1;
    end
    $display("wrong %0d", wrong);
  end
endmodule
"""


def _simulate(unit: Combinational, library: Library, folder: Path, depth: int) -> None:
    environment = tool_environment("icarus")
    transactions = unit.transactions(0, BEATS, exhaustive=False)
    chosen = transactions[:: max(1, len(transactions) // BEATS)]
    kinds = json.loads((folder / "summary.json").read_text("utf-8"))["cells"]
    with tempfile.TemporaryDirectory(prefix="lns-pipeline-") as name:
        work = Path(name)
        given = "".join(f"{pack(one[0], unit.inputs()):x}\n" for one in chosen)
        wanted = "".join(f"{pack(unit.expect(one)[0], unit.outputs()):x}\n" for one in chosen)
        bench = _BENCH.format(width=unit.input_bits, out=unit.output_bits, beats=len(chosen), depth=depth)
        models = models_text(library.cells[kind] for kind in kinds)
        texts = {"given.memh": given, "wanted.memh": wanted, "bench.v": bench, "models.v": models}
        for file, text in texts.items():
            (work / file).write_text(text, "utf-8")
        shutil.copy(folder / "netlist.v", work)
        build = ["iverilog", "-g2012", "-s", "bench", "-o", "bench", "bench.v", "models.v", "netlist.v"]
        subprocess.run(build, cwd=work, env=environment, check=True, capture_output=True)
        done = subprocess.run(["vvp", "-n", "bench"], cwd=work, env=environment, capture_output=True, text=True)
    if "wrong 0\n" not in done.stdout:
        raise CostError(
            f"{unit.module} {unit}: with {depth} register stages the netlist does not give the definition's results: "
            f"{done.stdout.strip().splitlines()[-1:]} of {len(chosen)}"
        )
