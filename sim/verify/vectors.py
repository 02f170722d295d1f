"""A self-checking bench in plain Verilog with its vectors: needs a simulator and no Python."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from lns.files import memh_text
from sim.verify.tools import sources_of, tool_environment
from sim.verify.unit import Transaction, Unit, VerifyError, pack
from sim.verify.wrapper import DEPTH, connect, wrapper_text

__all__ = ["PASSED", "bench_text", "simulate", "vector_files"]

PASSED = "PASSED"  #: the first word of the bench's last line if every result agreed, else it is FAILED


def vector_files(unit: Unit, transactions: Sequence[Transaction], name: str) -> dict[str, str]:
    """``<name>_stimuli.memh`` and ``<name>_expected.memh``: a line a beat, the first port in the low bits; what is
    expected is the definition's."""
    stimuli = [pack(beat, unit.inputs()) for transaction in transactions for beat in transaction]
    expected = [pack(beat, unit.outputs()) for transaction in transactions for beat in unit.expect(transaction)]
    title = f"{unit.module} of {unit}"
    return {
        f"{name}_stimuli.memh": memh_text(stimuli, unit.input_bits, f"{title}: operands"),
        f"{name}_expected.memh": memh_text(expected, unit.output_bits, f"{title}: results"),
    }


def bench_text(unit: Unit, wrapper: str, name: str, beats: int, results: int, vector_dir: str = "") -> str:
    """The module ``name``: drives ``beats`` beats into a wrapper with random idle clocks and backpressure, compares
    ``results`` results, and ends with a line ``PASSED …`` or ``FAILED …`` and an exit code."""
    handshake = ["clk_i", "rst_ni", "valid_i", "ready_o", "valid_o", "ready_i"]
    connections = [f".{port}({port})" for port in handshake]
    connections += [*connect(unit.inputs(), "in"), *connect(unit.outputs(), "out")]
    return _BENCH.format(
        unit=f"{unit.module} of {unit}",
        name=name,
        depth=DEPTH,
        wrapper=wrapper,
        beats=beats,
        results=results,
        in_high=unit.input_bits - 1,
        out_high=unit.output_bits - 1,
        stimuli=f"{vector_dir}{name}_stimuli.memh",
        expected=f"{vector_dir}{name}_expected.memh",
        connections=",\n    ".join(connections),
    )


def simulate(unit: Unit, transactions: Sequence[Transaction], folder: Path, rtl_dir: Path | None = None) -> str:
    """The last line of the bench of a unit in Icarus.

    Parameters
    ----------
    unit : Unit
    transactions : sequence
    folder : Path
        For everything that is read and written.
    rtl_dir : Path, optional
        Verilog that replaces the package's own files of the same names.

    Raises
    ------
    VerifyError
        If it does not build.
    """
    environment = tool_environment("icarus")
    beats, results = sum(map(len, transactions)), sum(map(unit.results, transactions))
    texts = vector_files(unit, transactions, "bench") | unit.roms()
    texts["wrapper.v"] = wrapper_text(unit, "wrapped")
    texts["bench.v"] = bench_text(unit, "wrapped", "bench", beats, results)
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    files = map(str, sources_of(unit, rtl_dir).values())
    build = ["iverilog", "-g2012", "-o", "bench.vvp", "-s", "bench", *files, "wrapper.v", "bench.v"]
    for command in (build, ["vvp", "-n", "bench.vvp"]):
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        if command is build and done.returncode:
            raise VerifyError(f"{unit.module} {unit} does not build: {done.stderr.strip()}")
    lines = [line for line in done.stdout.splitlines() if line.startswith((PASSED, "FAILED"))]
    return lines[-1] if lines else f"no verdict: {(done.stdout + done.stderr).strip()[-500:]}"


_BENCH = """\
// Self-checking bench: {unit}, every result against vectors from the definition.
`timescale 1ns / 1ps
module {name} #(
  parameter int DEPTH = {depth}  // register stages of the unit under test
);

  localparam int Beats    = {beats};
  localparam int Results  = {results};
  localparam int Patience = 2000;  // clocks in which nothing moves after which the rest counts as lost

  logic [{in_high}:0] stimuli [0:Beats-1];
  logic [{out_high}:0] expected[0:Results-1];
  initial begin
    $readmemh("{stimuli}", stimuli);
    $readmemh("{expected}", expected);
  end

  logic clk_i, rst_ni, valid_i, ready_o, valid_o, ready_i;
  logic [{in_high}:0] in;
  logic [{out_high}:0] out;
  {wrapper} #(
    .DEPTH(DEPTH)
  ) u_unit (
    {connections}
  );

  integer sent, seen, bad, idle;
  logic [31:0] noise;
  logic taken;

  initial begin
    clk_i = 1'b0;
    rst_ni = 1'b0;
    valid_i = 1'b0;
    ready_i = 1'b0;
    in = '0;
    taken = 1'b0;
    noise = 32'h2545F491;
    sent = 0;
    seen = 0;
    bad = 0;
    idle = 0;
  end

  always #5 clk_i = ~clk_i;

  // what a rising edge transfers was decided at the falling edge before it
  always @(negedge clk_i) begin
    rst_ni = 1'b1;
    noise = {{noise[30:0], noise[31] ^ noise[21] ^ noise[1] ^ noise[0]}};
    if (!valid_i || taken) begin
      valid_i = (sent < Beats) && (noise[2:0] != 3'd0);
      if (valid_i) in = stimuli[sent];
      else in = ~in;
    end
    // in the second half nothing is taken before it is offered, as some receivers do it
    ready_i = (noise[9:7] != 3'd0) && (2 * seen < Results || valid_o === 1'b1);
    taken = 1'b0;
  end

  always @(posedge clk_i) begin
    if (rst_ni) begin
      if (valid_i && ready_o === 1'b1) begin
        sent = sent + 1;
        taken = 1'b1;
        idle = 0;
      end
      idle = idle + 1;
      if (!(valid_o === 1'b0 || valid_o === 1'b1)) bad = bad + 1;
      if (valid_o === 1'b1 && ready_i) begin
        idle = 0;
        // a missing or short vector file leaves unknown bits, which are no expectation
        if (seen >= Results || out !== expected[seen] || (^expected[seen]) === 1'bx) begin
          if (bad < 10) $display("result %0d: expected %h, got %h", seen, expected[seen], out);
          bad = bad + 1;
        end
        seen = seen + 1;
      end
      if (idle > Patience || (seen >= Results && idle > 16)) begin
        if (bad == 0 && seen == Results && sent == Beats) begin
          $display("PASSED %0d results of {wrapper}", seen);
          $finish;
        end else begin
          $display("FAILED %0d of %0d results of {wrapper} differ or are missing", bad + Results - seen, Results);
          $fatal(1);
        end
      end
    end
  end

endmodule
"""
