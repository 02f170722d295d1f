"""A second opinion on `sim.cost.delayed` and `sim.cost.levelised`: a netlist in Icarus Verilog."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from vcd import Counts, count_toggles

from lns.files import memh_text
from sim.cost.activity import IDLE_CLOCKS, Activity, Toggles, mismatch, warm_up
from sim.cost.errors import CostError
from sim.cost.liberty import Library
from sim.cost.models import models_text
from sim.cost.netlist import CONSTANTS, Netlist
from sim.cost.sdf import cell_delays
from sim.verify.tools import tool_environment
from sim.verify.unit import Transaction, Unit, pack
from sim.verify.wrapper import connect

__all__ = ["icarus_sdf", "simulate"]

_STEP = 1e-14  # the least time of a simulation, seconds; a delay of 5 ps is then right to a thousandth
_BEATS, _IDLE, _PHASES = 1, 3, 5  # values of the bench's phase; how many it has


def simulate(
    folder: Path,
    netlist: Netlist,
    unit: Unit,
    transactions: Sequence[Transaction],
    library: Library,
    period: float,
    annotated: bool = True,
) -> Activity:
    """Run transactions through a netlist in Icarus Verilog: a beat a clock as long as the unit takes them, its results
    taken at once; the inputs change right behind the clock's edge.

    The cells are those of `models_text`. A path delays by what ``delays.sdf`` says, the largest of its conditions, and
    swallows shorter pulses.

    Parameters
    ----------
    folder : Path
        With ``netlist.v``, and ``delays.sdf`` if annotated.
    netlist : Netlist
        The same one.
    unit : Unit
        Says which results are right.
    transactions : sequence
        One at least.
    library : Library
    period : float
        Of the clock, seconds.
    annotated : bool
        With delays, or with none.

    Raises
    ------
    CostError
        At the first result that is not the definition's, with its operands; if the netlist stops, or a net has no known
        value.
    MissingTool
        If Icarus Verilog is missing.
    """
    if not transactions:
        raise CostError(f"{unit.module} {unit}: at least one transaction is required, got none")
    environment = tool_environment("icarus")
    warm = warm_up(transactions)
    played = [*transactions[:warm], *transactions]
    with tempfile.TemporaryDirectory(prefix="lns-cost-") as name:
        place = Path(name)
        texts = _sources(unit, played, sum(map(len, played[:warm])), period)
        # Icarus takes the numbers of an SDF file in the time unit of a cell's module, whatever unit the file names
        models = models_text(netlist.cells_of(library).values())
        # registers that no reset and no early beat sets: as in the simulations that this one is compared with
        texts["models.v"] = "`timescale 1ps / 10fs\n" + models.replace("state_q = $random", "state_q = 0")
        texts["netlist.v"] = _separated((folder / "netlist.v").read_text("utf-8"), netlist)
        if annotated:
            texts["delays.sdf"] = icarus_sdf(_delays(folder))
        for file, text in texts.items():
            (place / file).write_text(text, "utf-8")
        options = ["-gspecify", "-DANNOTATED"] if annotated else ["-gno-specify"]
        build = ["iverilog", "-g2012", *options, "-o", "bench.vvp", "-s", "bench", "bench.v", "models.v", "netlist.v"]
        done = subprocess.run(build, cwd=place, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise CostError(f"{unit.module} {unit}: the netlist does not build: {done.stderr.strip()[-500:]}")
        numbers = {net: number for number, net in enumerate(netlist.nets) if net not in CONSTANTS}
        counts, said = _run(place, environment, numbers)
    results = _judge(unit, played, said)
    _require_known(unit, netlist, counts)
    beats = sum(map(len, transactions))
    window, idle = _toggles(counts, _BEATS), _toggles(counts, _IDLE)
    return Activity(window.rises, window.falls, window.high, window.duration, beats, results, annotated, idle)


def icarus_sdf(text: str) -> str:
    """Icarus reads neither triples without a middle (``a::b``) nor conditions: it is given `cell_delays`."""
    kinds = {name: kind for kind, name in re.findall(r'\(CELLTYPE\s+"([^"]*)"\)\s*\(INSTANCE\s*([^\s)]+)\)', text)}
    cells = "".join(
        f' (CELL (CELLTYPE "{kinds[name]}") (INSTANCE {name})\n  (DELAY (ABSOLUTE\n'
        f"{''.join(map(_path, paths.items()))}  ))\n )\n"
        for name, paths in cell_delays(text).items()
    )
    return f'(DELAYFILE\n (SDFVERSION "3.0")\n (DESIGN "top")\n (TIMESCALE 1ps)\n{cells})\n'


def _path(one: tuple[tuple[str, str], tuple[float, float]]) -> str:
    (source, output), delays = one
    return f"   (IOPATH {source} {output} " + " ".join(f"({d:.3f}:{d:.3f}:{d:.3f})" for d in delays) + ")\n"


def _delays(folder: Path) -> str:
    try:
        return (folder / "delays.sdf").read_text("utf-8")
    except FileNotFoundError:
        raise CostError(f"{folder}: delays.sdf is required, which timing the netlist writes") from None


def _sources(unit: Unit, played: Sequence[Transaction], warm: int, period: float) -> dict[str, str]:
    stimuli = [pack(beat, unit.inputs()) for transaction in played for beat in transaction]
    expected = [pack(beat, unit.outputs()) for transaction in played for beat in unit.expect(transaction)]
    half = round(period / _STEP / 2)
    if half < 200:
        raise CostError(f"a clock period of at least {400 * _STEP:g} s is required, got {period:g}")
    handshake = ["clk_i", "rst_ni", "valid_i", "ready_o", "valid_o", "ready_i"]
    connections = [f".{port}({port})" for port in handshake]
    connections += [*connect(unit.inputs(), "in"), *connect(unit.outputs(), "out")]
    bench = _BENCH.format(
        half=half, hold=half // 50, beats=len(stimuli), warm=warm, results=len(expected), idle=IDLE_CLOCKS,
        in_high=unit.input_bits - 1, out_high=unit.output_bits - 1, connections=",\n    ".join(connections),
    )  # fmt: skip
    return {
        "bench.v": bench,
        "stimuli.memh": memh_text(stimuli, unit.input_bits, "operands"),
        "expected.memh": memh_text(expected, unit.output_bits, "results"),
    }


def _separated(text: str, netlist: Netlist) -> str:
    """The netlist's Verilog, with a buffer without delay before each pin of a cell of which two have one net: Icarus
    keeps the delay of only one of them otherwise."""
    pins: dict[str, list[tuple[str, str]]] = {}  # cell -> pin and net
    for kind in netlist.kinds.values():
        for name, nets in zip(kind.names, kind.nets.tolist(), strict=True):
            wired = [net for net in nets if net >= len(CONSTANTS)]
            if len(set(wired)) < len(wired):
                # all of them, so that what changes at once stays so; an output is no pin that is driven
                pins[name] = [
                    (pin, netlist.nets[net]) for pin, net in zip(kind.pins, nets, strict=True) if wired.count(net) > 1
                ]

    def separate(instance: re.Match[str]) -> str:
        body, buffers = instance[0], ""
        for pin, net in pins.get(instance[1], ()):
            body, found = re.subn(rf"(\.{pin}\(){re.escape(net)}\)", rf"\1{instance[1]}_{pin})", body)
            if found != 1:
                raise CostError(f"netlist.v and netlist.json are not the same at {instance[1]}/{pin}")
            buffers += f"  wire {instance[1]}_{pin};\n  buf ({instance[1]}_{pin}, {net});\n"
        return buffers + body

    return re.sub(r"^  \w+ (c\d+) \([^;]*;", separate, text, flags=re.MULTILINE) if pins else text


def _run(place: Path, environment: dict[str, str], numbers: dict[str, int]) -> tuple[Counts, str]:
    """What the nets did, and what the bench said."""
    read, write = os.pipe()
    log = place / "log.txt"
    with log.open("wb") as file, os.fdopen(read, "rb", buffering=0) as dump:
        (place / "dump.vcd").symlink_to(f"/dev/fd/{write}")  # Icarus wants a name with an ending
        command = ["vvp", "-n", "bench.vvp", "-sdf-warn"]
        process = subprocess.Popen(
            command, cwd=place, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, pass_fds=[write]
        )
        os.close(write)
        try:
            counts = count_toggles(dump.read, numbers, "phase", _PHASES)
        except CostError as error:
            dump.close()  # which ends a simulation that still writes
            process.wait()
            raise CostError(f"{error}; Icarus says: {_said(log)[-500:]}") from None
        finally:
            process.kill()
            process.wait()
    return counts, _said(log)


def _said(log: Path) -> str:
    """What the simulator and the bench said, without what it always says."""
    lines = log.read_text("utf-8", "replace").splitlines()
    return "\n".join(line for line in lines if not line.startswith("VCD info:"))


def _judge(unit: Unit, played: Sequence[Transaction], said: str) -> int:
    """How many results agreed, which must be all."""
    if "SDF" in said:
        line = next(line for line in said.splitlines() if "SDF" in line)
        raise CostError(f"{unit.module} {unit}: Icarus does not take the delays: {line.strip()}")
    if passed := re.search(r"^PASSED (\d+)$", said, re.MULTILINE):
        return int(passed[1])
    wrong = re.search(r"^WRONG (\d+) ([0-9a-fxz]+)$", said, re.MULTILINE | re.IGNORECASE)
    if wrong is None:
        raise CostError(f"{unit.module} {unit}: the netlist stops: {said.strip()[-500:]}")
    known = not set(wrong[2]) & set("xzXZ")
    raise mismatch(unit, played, int(wrong[1]), int(wrong[2], 16) if known else wrong[2])


def _require_known(unit: Unit, netlist: Netlist, counts: Counts) -> None:
    unknown = counts.unknown[_BEATS] + counts.unknown[_IDLE]
    if unknown.any():
        name, more = netlist.nets[int(unknown.argmax())], np.count_nonzero(unknown) - 1
        raise CostError(f"{unit.module} {unit}: net {name} has no known value, and {more} more")


def _toggles(counts: Counts, phase: int) -> Toggles:
    duration = float(counts.durations[phase]) * _STEP
    high = counts.high[phase] * _STEP
    high[1] = duration  # the constant 1
    return Toggles(counts.rises[phase], counts.falls[phase], high, duration)


_BENCH = """\
`timescale 10fs / 10fs
module bench;

  localparam int Half    = {half};  // of the clock's period
  localparam int Hold    = {hold};  // from the clock's edge to a change of the inputs
  localparam int Beats   = {beats};
  localparam int Warm    = {warm};  // of them before the counted ones
  localparam int Results = {results};
  localparam int Idle    = {idle};
  localparam int Patience = 5000;  // clocks in which nothing moves after which nothing more is waited for

  logic [{in_high}:0] stimuli[0:Beats-1];
  logic [{out_high}:0] expected[0:Results-1];

  logic clk_i, rst_ni, valid_i, ready_o, valid_o, ready_i;
  logic [{in_high}:0] in;
  logic [{out_high}:0] out;
  top dut (
    {connections}
  );

  logic [2:0] phase;  // 0 before the counted beats, 1 in them, 2 until the last result and a few clocks more, 3 idle, 4
  integer sent, seen, still;
  logic taken;

  initial begin
    $readmemh("stimuli.memh", stimuli);
    $readmemh("expected.memh", expected);
`ifdef ANNOTATED
    $sdf_annotate("delays.sdf", dut);
`endif
    $dumpfile("dump.vcd");
    $dumpvars(1, dut);
    $dumpvars(0, phase);
    phase = 0;
    sent = 0;
    seen = 0;
    still = 0;
    taken = 0;
    clk_i = 0;
    rst_ni = 0;
    valid_i = 0;
    ready_i = 1;
    in = 0;
    repeat (4) begin
      #(Half) clk_i = 1;
      #(Half) clk_i = 0;
    end
    rst_ni = 1;
    #(Half);
    while (phase != 4) begin
      clk_i = 1;
      #(Hold);
      if (taken || !valid_i) begin
        valid_i = sent < Beats;
        if (valid_i) in = stimuli[sent];
      end
      #(Half - Hold) clk_i = 0;
      #(Half - 1) look;
      #1;
    end
    $display("PASSED %0d", seen);
    $finish;
  end

  // what the coming edge transfers
  task look;
    begin
      still = still + 1;
      if (phase == 0 && sent == Warm) phase = 1;
      else if (phase == 1 && sent == Beats) phase = 2;
      else if (phase == 2 && seen == Results && still > 32) begin
        phase = 3;
        still = 0;
      end else if (phase == 3 && still == Idle) phase = 4;
      taken = valid_i && ready_o === 1'b1;
      if (taken) sent = sent + 1;
      if (valid_o !== 1'b0 && phase != 4) begin
        if (valid_o !== 1'b1 || seen >= Results || out !== expected[seen]) begin
          $display("WRONG %0d %h", seen, out);
          $finish;
        end
        seen = seen + 1;
      end
      if (taken || (valid_o && phase < 3)) still = 0;
      if (still > Patience) begin
        $display("no transfer in %0d clocks, %0d of %0d results seen", Patience, seen, Results);
        $finish;
      end
    end
  endtask

endmodule
"""
