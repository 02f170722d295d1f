"""The least clock period of a unit for each number of register stages.

The wrapper that is priced keeps the registers of a combinational core outside of it: their enables tie each stage to
the others. Here they run freely, without a handshake: none, one rank behind the core, one before and one behind it, and
all others moved into it by abc (retiming). A processing element has its stages where its Verilog has them, before the
accumulator, and nothing moves them. A netlist counts only after its gates, simulated, gave the definition's results.
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
from sim.cost.levelised import levelise, play
from sim.cost.liberty import Library
from sim.cost.macro import with_macros
from sim.cost.models import models_text
from sim.cost.netlist import load_netlist
from sim.cost.synthesis import TOP, YOSYS_SECONDS, synthesise_files
from sim.verify.tools import sources_of, tool_environment
from sim.verify.unit import Combinational, Unit, pack
from sim.verify.wrapper import connect, verilog_literal, wrapper_text

__all__ = ["Stage", "has_pipeline", "least_periods"]

BEATS = 2000  #: of a simulation
_PERIOD = 1e-12  # that nothing meets: abc does what it can


@dataclass(frozen=True, slots=True)
class Stage:
    """A unit with ``depth`` register stages: area in µm², least clock period in seconds (without a stage the delay from
    inputs to outputs), flip-flops."""

    depth: int
    area_um2: float
    period: float
    flip_flops: int


def has_pipeline(unit: Unit) -> bool:
    """Whether a unit has register stages, or may get them: the others are state machines."""
    return isinstance(unit, Combinational) or "DEPTH" in unit.parameters()


def least_periods(
    unit: Unit, library: Library, depths: Sequence[int], seconds: float = YOSYS_SECONDS
) -> list[Stage]:
    """Area and least period of a unit for each number of register stages; netlists are cached.

    Raises
    ------
    CostError
        As `sim.cost.synthesis.synthesise`; if a depth is negative, or the unit has no pipeline; if a netlist does not
        compute what the definition says. `TooLong` if a run of Yosys needs more seconds.
    MissingTool
        If a tool is not installed.
    """
    found = []
    if not has_pipeline(unit):
        raise CostError(f"{unit.module} {unit}: a unit with a pipeline is required, it is a state machine")
    for depth in depths:
        if depth < 0:
            raise CostError(f"a pipeline has 0 register stages or more, got {depth}")
        sources = {name: path.read_text("utf-8") for name, path in sources_of(unit).items()}
        core = isinstance(unit, Combinational)
        files = {**sources, f"{TOP}.v": _text(unit) if core else wrapper_text(unit, TOP), **unit.roms()}
        retimed = "lns_moved" if core and depth > 2 else None
        folder = synthesise_files(files, [*sources], library, _PERIOD, {"DEPTH": depth}, ["speed"], retimed, seconds)
        if core:
            _simulate(unit, library, folder, depth)
        else:
            made = levelise(load_netlist(folder), with_macros(folder, library))
            play(made, unit, unit.transactions(0, BEATS // 20, False), _PERIOD)
        summary = json.loads((folder / "summary.json").read_text("utf-8"))
        found.append(Stage(depth, summary["area_um2"], summary["critical_path"], summary["flip_flops"]))
    return found


def _text(unit: Unit) -> str:
    """A core with registers behind it, which may be moved, between two ranks that stay where they are; of one rank it
    has the one behind."""
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

module {TOP} #(parameter int DEPTH = 2) (
  input logic clk_i, rst_ni, input logic [{width - 1}:0] in_i, output logic [{out - 1}:0] out_o
);
  logic [{width - 1}:0] first;
  logic [{out - 1}:0] last;
  lns_moved #(.MOVED((DEPTH > 2) ? DEPTH - 2 : 0)) u_moved (.clk_i(clk_i), .in_i(first), .out_o(last));
  if (DEPTH < 2) begin : gen_open
    assign first = in_i;
  end else begin : gen_first
    logic [{width - 1}:0] first_q;
    always_ff @(posedge clk_i) first_q <= in_i;
    assign first = first_q;
  end
  if (DEPTH < 1) begin : gen_wires
    assign out_o = last;
  end else begin : gen_last
    logic [{out - 1}:0] last_q;
    always_ff @(posedge clk_i) last_q <= last;
    assign out_o = last_q;
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
    for (int i = 0; i < {beats} + {late}; i++) begin
      in = given[(i < {beats}) ? i : 0];
      #1 clk = {clocked};
      #1 clk = 0;
      if (i >= {late} && i - {late} < {beats} && out !== wanted[i-{late}]) wrong = wrong + 1;
    end
    $display("wrong %0d", wrong);
  end
endmodule
"""


def _simulate(unit: Unit, library: Library, folder: Path, depth: int) -> None:
    environment = tool_environment("icarus")
    transactions = unit.transactions(0, BEATS, exhaustive=False)
    chosen = transactions[:: max(1, len(transactions) // BEATS)]
    kinds = json.loads((folder / "summary.json").read_text("utf-8"))["cells"]
    with tempfile.TemporaryDirectory(prefix="lns-pipeline-") as name:
        work = Path(name)
        given = "".join(f"{pack(one[0], unit.inputs()):x}\n" for one in chosen)
        wanted = "".join(f"{pack(unit.expect(one)[0], unit.outputs()):x}\n" for one in chosen)
        bench = _BENCH.format(
            width=unit.input_bits, out=unit.output_bits, beats=len(chosen), late=max(depth - 1, 0),
            clocked=int(depth > 0),
        )  # fmt: skip
        cells = with_macros(folder, library).cells
        models = models_text(cells[kind] for kind in kinds)
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
