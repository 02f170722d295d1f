"""What the tests of Verilog share: tools, lint, planted bugs, and a bench with resets, stalls and unknown bits."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from sim.verify.tools import MissingTool, find_source, sources_of, tool_environment
from sim.verify.unit import Beat, Coverage, Port, Transaction, Unit, pack, port_values
from sim.verify.vectors import simulate
from sim.verify.wrapper import connect, verilog_literal, wrapper_text


def need(simulator: str) -> dict[str, str]:
    """The environment of a simulator; the test is skipped if it is missing."""
    try:
        return tool_environment(simulator)
    except MissingTool as error:
        pytest.skip(str(error))


def planted(folder: Path, file: str, right: str, wrong: str) -> Path:
    """A folder with a Verilog file that has a bug in one place; what it lacks is the package's."""
    text = find_source(file, None).read_text("utf-8")
    assert text.count(right) == 1, f"{file} must have {right!r} once"
    rtl = folder / "rtl"
    rtl.mkdir()
    (rtl / file).write_text(text.replace(right, wrong), "utf-8")
    return rtl


def covered(unit: Unit, transactions: Sequence[Transaction]) -> Coverage:
    """The coverage of transactions, which must fill every bin, and all of whose values must fit their ports."""
    cover = unit.coverage()
    for transaction in transactions:
        unit.sample(cover, transaction)
    assert cover.uncovered() == []
    fit([beat for transaction in transactions for beat in transaction], unit.inputs())
    fit([beat for transaction in transactions for beat in unit.expect(transaction)], unit.outputs())
    return cover


def fit(beats: Sequence[Beat], ports: Sequence[Port]) -> None:
    """Every value of every beat is one of its port's."""
    for port, values in zip(ports, zip(*beats, strict=True), strict=True):
        least, most = min(values), max(values)
        legal = port_values(port)
        assert least in legal and most in legal, f"{port.name}: {least} to {most} do not fit in {port.width} bits"


def verdict(unit: Unit, folder: Path, count: int, rtl: Path | None = None) -> str:
    """Of the bench with all transactions of a combinational unit, or so many random ones, which must fill its bins."""
    transactions = unit.transactions(0, count, unit.exhaustible)
    assert len(transactions) >= (1 << unit.input_bits if unit.exhaustible else count)
    covered(unit, transactions)
    return simulate(unit, transactions, folder, rtl)


def lint(unit: Unit, folder: Path, depth: int = 2) -> None:
    """Verilator has no warning about a unit in its wrapper."""
    environment = need("verilator")
    executable = shutil.which("verilator", path=environment["PATH"])
    assert executable is not None
    (folder / "wrapped.v").write_text(wrapper_text(unit, "wrapped"), "utf-8")
    command = [executable, "--lint-only", "-Wall", "--top-module", "wrapped", f"-GDEPTH={depth}"]
    command += [*map(str, sources_of(unit).values()), "wrapped.v"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "%" not in done.stderr, done.stderr


def synthesise(unit: Unit, folder: Path, depth: int, *commands: str) -> None:
    """A unit in its wrapper passes some commands of Yosys without a warning; it has no latches, a combinational one at
    depth 0 no registers either, and no loops or undriven wires."""
    if shutil.which("yosys") is None:
        pytest.skip("Yosys is not installed: apt install yosys")
    for name, text in {"wrapped.v": wrapper_text(unit, "wrapped"), **unit.roms()}.items():
        (folder / name).write_text(text, "utf-8")
    registers = "" if unit.sequential or depth else "t:$_DFF* t:$_SDFF* t:$dff* t:$adff* t:$sdff*"
    script = [
        f"read_verilog -sv -defer {' '.join(map(str, sources_of(unit).values()))} wrapped.v",
        f"hierarchy -check -top wrapped -chparam DEPTH {depth}",
        *commands,
        f"select -assert-none t:$_DLATCH* t:$_SR_* t:$dlatch* t:$adlatch t:$sr {registers}",
        "check -assert",
    ]
    (folder / "synth.ys").write_text("\n".join(script) + "\n", "utf-8")
    done = subprocess.run(["yosys", "-q", "-s", "synth.ys"], cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout + done.stderr, done.stdout + done.stderr


FULL = (0, 0)  # a beat a clock, results taken at once
UNEVEN = (3, 3)  # of 8 clocks, so many without a beat, and so many in which no result is taken


def stream(
    unit: Unit,
    transactions: Sequence[Transaction],
    folder: Path,
    rates: tuple[int, int] = UNEVEN,
    rtl: Path | None = None,
) -> tuple[int, int]:
    """Mismatches, and clocks, of a sequential unit without a wrapper.

    Unlike `sim.verify.vectors.simulate` it takes back beats by a reset, drives unknown bits where none is valid, wants
    a result to stay until it is taken, and counts the clocks.
    """
    ins, outs = unit.inputs(), unit.outputs()
    wide, out = (sum(port.width for port in ports) for ports in (ins, outs))
    beats = [pack(beat, ins) for transaction in transactions for beat in transaction]
    results = [pack(beat, outs) for transaction in transactions for beat in unit.expect(transaction)]
    handshake = ("clk_i", "rst_ni", "valid_i", "ready_o", "valid_o", "ready_i")
    connections = [*(f".{name}({name})" for name in handshake), *connect(ins, "x"), *connect(outs, "y")]
    settings = [f".{name}({verilog_literal(value)})" for name, value in unit.parameters().items()]
    files = unit.roms() | {
        "beats.memh": "".join(f"{beat:x}\n" for beat in beats),
        "results.memh": "".join(f"{result:x}\n" for result in results),
        "bench.v": _STREAM.format(
            wide=wide, out=out, beats=len(beats), results=len(results), idle=rates[0], busy=rates[1],
            instance=f"{unit.module} #({', '.join(settings)}) u_unit ({', '.join(connections)});",
        ),
    }  # fmt: skip
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    sources = [str(find_source(name, rtl)) for name in unit.sources]
    build = ["iverilog", "-g2012", "-o", "bench", "-s", "bench", "bench.v", *sources]
    subprocess.run(build, cwd=folder, check=True, capture_output=True)
    done = subprocess.run(["vvp", "-n", "bench"], cwd=folder, check=True, capture_output=True, text=True, timeout=250)
    got, bad, sent, clocks = (int(part.split()[0]) for part in done.stdout.strip().splitlines()[-1].split(","))
    return bad + (got != len(results)) + (sent != len(beats)), clocks


_STREAM = """\
module bench;
  reg [{wide}-1:0] x, beats[0:{beats}-1];
  wire [{out}-1:0] y;
  reg [{out}-1:0] kept, results[0:{results}-1];
  reg clk_i = 0, rst_ni = 0, valid_i = 0, ready_i = 0, held = 0, begun = 0;
  wire ready_o, valid_o;
  integer sent = 0, got = 0, bad = 0, clocks = 0, seed = 1;
  {instance}
  always #5 clk_i = ~clk_i;
  initial begin
    $readmemh("beats.memh", beats);
    $readmemh("results.memh", results);
    #12 rst_ni = 1;
    // beats that a reset takes back
    valid_i = 1; x = beats[0]; #40 x = beats[{beats}-1]; #40 valid_i = 0; x = 'x;
    rst_ni = 0; #13 rst_ni = 1;
    begun = 1;
  end
  always @(posedge clk_i) if (begun && rst_ni) begin
    clocks <= clocks + 1;
    if (held && (!valid_o || y !== kept)) bad = bad + 1;
    if (^{{ready_o, valid_o}} === 1'bx) bad = bad + 1;
    held <= valid_o && !ready_i;
    kept <= y;
    if (valid_o && ready_i) begin
      if (y !== results[got]) bad = bad + 1;
      got = got + 1;
    end
    if (valid_i && ready_o) sent = sent + 1;
    if (!valid_i || ready_o) begin
      if (sent < {beats} && $unsigned($random(seed)) % 8 >= {idle}) begin valid_i <= 1; x <= beats[sent]; end
      else begin valid_i <= 0; x <= 'x; end
    end
    ready_i <= $unsigned($random(seed)) % 8 >= {busy};
    if (got >= {results} || clocks > 40 * {beats} + 1000) begin
      // nothing comes after the last result
      repeat (20) @(negedge clk_i)
        if (valid_o && got >= {results}) bad = bad + (y !== results[{results}-1] || !ready_i);
      $display("%0d results, %0d mismatches, %0d beats, %0d clocks", got, bad, sent, clocks);
      $finish;
    end
  end
endmodule
"""
