"""Models of cells, delays, toggles counted, and the second opinion: Icarus Verilog."""

import io
import itertools
import json
import random
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cell_library import PERIOD, TEXT, adder, hand_library, shuffled
from icarus import _separated, icarus_sdf, simulate
from vcd import count_toggles

from sim.cost.activity import IDLE_CLOCKS
from sim.cost.errors import CostError
from sim.cost.liberty import default_library, load_library
from sim.cost.models import model_text, models_text
from sim.cost.netlist import CONSTANTS, load_netlist
from sim.cost.sdf import cell_delays

# --- models ------------------------------------------------------------------------------------------------------

_THEIRS = default_library().with_suffix(".v")  # the models that the package has beside its library


def _compare(folder: Path, cells, stimulus: str, clocked: bool) -> str:
    """What a bench says that drives both models of each cell with the same inputs."""
    ours = [replace(cell, name=f"ours_{cell.name}") for cell in cells]
    body = []
    for number, cell in enumerate(cells):
        inputs, outputs = cell.inputs, cell.outputs
        shared = [f".{pin}(in[{bit}])" for bit, pin in enumerate(inputs)]
        for side, name in (("t", cell.name), ("o", f"ours_{cell.name}")):
            own = [f".{pin}({side}{number}[{bit}])" for bit, pin in enumerate(outputs)]
            body.append(f"  wire [{len(outputs) - 1}:0] {side}{number};")
            body.append(f"  {name} u{side}{number} ({', '.join(shared + own)});")
        body.append(f"  always @(check) if (check && t{number} !== o{number})")
        body.append(f'    $display("{cell.name} %b: %b %b", in, t{number}, o{number});')
    size = max(len(cell.inputs) for cell in cells)
    bench = f"`timescale 1ns/10ps\nmodule bench;\n  reg [{size - 1}:0] in; reg check = 0;\n  integer i;\n"
    bench += "\n".join(body) + f'\n  initial begin\n{stimulus}    $display("done"); $finish;\n  end\nendmodule\n'
    (folder / "bench.v").write_text(bench + "`timescale 1ns/10ps\n" + models_text(ours))
    command = ["iverilog", "-g2012", "-gno-specify", "-o", "bench.vvp", "-s", "bench", "bench.v", str(_THEIRS)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    assert clocked == bool(cells[0].state)
    return subprocess.run(["vvp", "-n", "bench.vvp"], cwd=folder, capture_output=True, text=True).stdout


def _combinational():
    cells = load_library(default_library()).cells.values()
    return [cell for cell in cells if not cell.state and not any(pin.three_state for pin in cell.pins.values())]


_EVERY_INPUT = "    for (i = 0; i < 16; i = i + 1) begin in = i; #1 check = 1; #1 check = 0; end\n"


def test_combinational_models_are_those_of_the_package(tmp_path):
    cells = _combinational()
    assert len(cells) == 26 and max(len(cell.inputs) for cell in cells) == 4
    assert _compare(tmp_path, cells, _EVERY_INPUT, clocked=False) == "done\n"


def test_a_wrong_function_is_seen(tmp_path):
    cells = {cell.name: cell for cell in _combinational()}
    nor = cells["NOR2X1"]
    output = replace(nor.pins["Y"], function=cells["NAND2X1"].pins["Y"].function)
    wrong = replace(nor, pins={**nor.pins, "Y": output})
    said = _compare(tmp_path, [wrong], _EVERY_INPUT.replace("16", "4"), clocked=False)
    assert said.splitlines()[:-1] == ["NOR2X1 01: 0 1", "NOR2X1 10: 0 1"]


@pytest.mark.parametrize("name", ["DFFPOSX1", "DFFNEGX1", "DFFSR", "LATCH"])
def test_storing_models_are_those_of_the_package(tmp_path, name):
    cell = load_library(default_library()).cells[name]
    rng, bits, lines = random.Random(name), len(cell.inputs), []
    clock, asynchronous = cell.inputs.index("CLK"), [i for i, pin in enumerate(cell.inputs) if pin in "RS"]
    start = (1 << bits) - 1 - sum(1 << bit for bit in (*asynchronous[:1], clock))
    value = start
    for step in range(600):
        # one pin at a time: what two do at once is a race. Both set and reset at once is not defined by all models.
        bit = rng.randrange(bits)
        if bit in asynchronous and value >> bit & 1 and not all(value >> other & 1 for other in asynchronous):
            continue
        value ^= 1 << bit
        check = "#1 check = 1; #1 check = 0;" if step > 60 else "#2;"
        lines.append(f"    in = {value}; {check}\n")
    start_lines = f"    in = {start}; #2;\n"
    assert _compare(tmp_path, [cell], start_lines + "".join(lines), clocked=True) == "done\n"


def test_cells_without_a_model_are_refused():
    with pytest.raises(CostError, match="cell TBUFX1: a function without a condition is required of output Y"):
        model_text(load_library(default_library()).cells["TBUFX1"])


# --- delays ------------------------------------------------------------------------------------------------------

_SDF = """(DELAYFILE (SDFVERSION "3.0") (TIMESCALE 1ns)
 (CELL (CELLTYPE "top") (INSTANCE) (DELAY (ABSOLUTE (INTERCONNECT a c0/A (0.5::0.5)))))
 (CELL (CELLTYPE "X") (INSTANCE c0) (DELAY (ABSOLUTE
  (IOPATH A Y (0.001::0.002) (0.003::0.003))
  (COND ~A & B == 1'b1
   (IOPATH B Y (0.010::0.011) (0.004::0.004)))
  (IOPATH B Y (0.006::0.006) (0.007::0.008))
  (IOPATH (posedge C) Y (0.009::0.009))
  (IOPATH R Y () (0.000::0.000)))) (TIMINGCHECK (SETUP (posedge D) (posedge C) (0.1::0.2))))
)"""


def test_delays_of_cells():
    assert cell_delays(_SDF) == {
        "c0": {("A", "Y"): (2.0, 3.0), ("B", "Y"): (11.0, 8.0), ("C", "Y"): (9.0, 9.0), ("R", "Y"): (0.0, 0.0)}
    }
    paths = re.findall(r"\(IOPATH (\w+) (\w+) \((\S+?):\S+\) \((\S+?):\S+\)\)", icarus_sdf(_SDF))
    assert paths == [
        ("A", "Y", "2.000", "3.000"), ("B", "Y", "11.000", "8.000"), ("C", "Y", "9.000", "9.000"),
        ("R", "Y", "0.000", "0.000"),
    ]  # fmt: skip
    assert icarus_sdf(_SDF).count("(INSTANCE c0)") == 1 and "(TIMESCALE 1ps)" in icarus_sdf(_SDF)


@pytest.mark.parametrize("value", ["(-nan::-nan)", "(x::x)"])
def test_delays_that_are_none_are_refused(value):
    with pytest.raises(CostError, match="cell X: a delay is required"):
        cell_delays(_SDF.replace("(0.001::0.002)", value))
    with pytest.raises(CostError, match="delays of cells is required"):
        cell_delays('(DELAYFILE (SDFVERSION "3.0"))')


# --- toggles -----------------------------------------------------------------------------------------------------

_DUMP = """$timescale 10fs $end
$scope module dut $end
$var wire 1 ! n0 $end
$var wire 4 "# a_i [3:0] $end
$var wire 1 ! same $end
$upscope $end
$var reg 3 $ phase [2:0] $end
$enddefinitions $end
#0
$dumpvars
x!
bx "#
b0 $
$end
#10
1!
b101 "#
#20
b1 $
#25
0!
#30
1!
b1010 "#
#40
bx1 "#
#50
b10 $
0!
"""


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_toggles_by_phase(chunk):
    nets = {"n0": 0, "a_i[0]": 1, "a_i[1]": 2, "a_i[2]": 3, "a_i[3]": 4}
    counts = count_toggles(io.BytesIO(_DUMP.encode()).read, nets, "phase", 3, chunk)
    assert counts.durations.tolist()[:2] == [20, 30]
    # from 20 on: n0 falls at 25 and rises at 30; a_i goes from 0101 to 1010 at 30, to xxx1 at 40
    assert counts.rises.tolist() == [[0] * 5, [1, 1, 1, 0, 1], [0] * 5]
    assert counts.falls.tolist() == [[0] * 5, [1, 1, 0, 1, 0], [1, 0, 0, 0, 0]]
    assert counts.unknown[1].tolist() == [0, 0, 1, 1, 1]
    assert counts.high[0].tolist() == [10, 10, 0, 10, 0]
    assert counts.high[1].tolist() == [5 + 20, 10 + 10, 10, 10, 10]


def test_a_net_that_is_not_shown_is_missed():
    with pytest.raises(CostError, match="does not show net n9"):
        count_toggles(io.BytesIO(_DUMP.encode()).read, {"n0": 0, "n9": 1}, "phase", 3)
    with pytest.raises(CostError, match="does not show mark"):
        count_toggles(io.BytesIO(_DUMP.encode()).read, {"n0": 0}, "mark", 3)
    with pytest.raises(CostError, match="ended before its first value"):
        count_toggles(io.BytesIO(b"$var").read, {"n0": 0}, "phase", 3)


# --- netlists ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs():
    unit, library, folder, netlist, _ = adder()
    transactions = shuffled(unit, 300)
    return [simulate(folder, netlist, unit, transactions, library, PERIOD, annotated) for annotated in (True, False)]


def test_the_adder_computes_and_toggles(runs):
    _, _, _, netlist, _ = adder()
    clock, valid = netlist.inputs["clk_i"][0], netlist.inputs["valid_i"][0]
    for run in runs:
        assert (run.beats, run.results) == (300, 316)
        assert run.beat_time == pytest.approx(PERIOD, rel=1e-9, abs=0)
        assert (run.rises[clock], run.falls[clock], run.rises[valid]) == (300, 300, 0)
        assert run.high[clock] == pytest.approx(run.duration / 2, rel=1e-9, abs=0)
        # it falls behind the edge that takes the last beat
        assert run.high[valid] == pytest.approx(run.duration - 0.99 * PERIOD, rel=0, abs=2e-14)
        assert np.abs(run.rises - run.falls).max() <= 1
        assert (run.rises[:2].tolist(), run.high[0], run.high[1]) == ([0, 0], 0.0, run.duration)
        # without a beat nothing but the clock moves
        assert run.idle.duration == pytest.approx(IDLE_CLOCKS * PERIOD, rel=1e-9, abs=0)
        assert run.idle.rises.sum() == run.idle.rises[clock] == IDLE_CLOCKS


def test_glitches_need_delays(runs):
    _, _, _, netlist, _ = adder()
    annotated, ideal = runs
    flops = [net for name, kind in netlist.kinds.items() if name.startswith("DFF") for net in kind.of("Q")]
    # registers settle to the same; the gates between them toggle more
    assert (annotated.rises[flops] == ideal.rises[flops]).all() and annotated.rises[flops].any()
    assert 1.3 < annotated.rises.sum() / ideal.rises.sum() < 4


def test_inputs_toggle_as_the_operands_do(runs):
    unit, _, _, netlist, _ = adder()
    transactions = shuffled(unit, 300)
    beats = [beat for (beat,) in transactions[:16] + transactions]
    expected = [
        sum(after >> bit & ~before >> bit & 1 for (before, _), (after, _) in itertools.pairwise(beats[15:]))
        for bit in range(8)
    ]  # of the 300 counted edges the last finds the last operand held
    assert runs[1].rises[list(netlist.inputs["a_i"])].tolist() == expected


def _changed(folder: Path, place: Path, change) -> Path:
    """A copy of a netlist's folder with a change in its Verilog."""
    shutil.copytree(folder, place / "changed")
    text = (folder / "netlist.v").read_text()
    assert change(text) != text
    (place / "changed" / "netlist.v").write_text(change(text))
    return place / "changed"


def test_a_wrong_gate_is_caught(tmp_path):
    unit, library, folder, netlist, _ = adder()
    wrong = _changed(folder, tmp_path, lambda text: text.replace("  NAND2X1 ", "  NOR2X1 ", 1))
    with pytest.raises(CostError, match=r"lns_add lns<8,3> full: .*: a = 0x\w+ .*expected word = 0x.*, got"):
        simulate(wrong, netlist, unit, shuffled(unit, 300), library, PERIOD, annotated=False)


def test_what_icarus_needs_is_required(tmp_path):
    unit, library, folder, netlist, _ = adder()
    beats = shuffled(unit, 20)
    shutil.copy(folder / "netlist.v", tmp_path)
    with pytest.raises(CostError, match=r"delays\.sdf is required"):
        simulate(tmp_path, netlist, unit, beats, library, PERIOD)
    (tmp_path / "delays.sdf").write_text((folder / "delays.sdf").read_text().replace("(IOPATH A Y", "(IOPATH Q Y", 1))
    with pytest.raises(CostError, match=r"Icarus does not take the delays: SDF WARNING.*Q -> Y"):
        simulate(tmp_path, netlist, unit, beats, library, PERIOD)
    floating = _changed(folder, tmp_path, lambda text: re.sub(r"\.A\(n\d+\)", ".A()", text, count=1))
    with pytest.raises(CostError, match=r"computes something else|has no known value"):
        simulate(floating, netlist, unit, beats, library, PERIOD, annotated=False)
    held = _changed(folder, tmp_path / "held", lambda text: text.replace(".R(rst_ni)", ".R(1'b0)"))
    with pytest.raises(CostError, match=r"the netlist stops: .*no transfer in 5000 clocks, 0 of 36 results"):
        simulate(held, netlist, unit, beats, library, PERIOD, annotated=False)


# --- netlists of Yosys -------------------------------------------------------------------------------------------


def test_netlists_are_flat_and_known(tmp_path):
    _, library, folder, netlist, _ = adder()
    assert netlist.nets[:2] == CONSTANTS and len(set(netlist.nets)) == len(netlist.nets)
    assert [len(bits) for bits in netlist.inputs.values()].count(8) == 2
    text = (folder / "netlist.json").read_text()
    assert netlist.cells == text.count('"type":')
    with pytest.raises(CostError, match=r"it has no cell \w+X1"):
        netlist.cells_of(hand_library(tmp_path, TEXT))
    (tmp_path / "netlist.json").write_text(text.replace('"top"', '"other"'))
    with pytest.raises(CostError, match="a module top is required"):
        load_netlist(tmp_path)
    (tmp_path / "netlist.json").write_text(re.sub(r'"A": \[ \d+ \]', '"A": [ "x" ]', text, count=1))
    with pytest.raises(CostError, match=r"one net or constant is required at c\d+/A"):
        load_netlist(tmp_path)
    assert library.cells.keys() >= netlist.kinds.keys()


def test_pins_that_share_a_net_keep_their_delays(tmp_path):
    pins = {"A": [2], "B": [2], "Y": [3]}
    ports = {"a": {"direction": "input", "bits": [2]}, "y": {"direction": "output", "bits": [3]}}
    module = {"ports": ports, "cells": {"c0": {"type": "NAND2X1", "connections": pins}}, "netnames": ports}
    (tmp_path / "netlist.json").write_text(json.dumps({"modules": {"top": module}}))
    netlist = load_netlist(tmp_path)
    text = "module top(input a, output y);\n  NAND2X1 c0 (\n    .A(a),\n    .B(a),\n    .Y(y)\n  );\nendmodule\n"
    paths = "(IOPATH A Y (7:7:7) (7:7:7)) (IOPATH B Y (3:3:3) (3:3:3))"
    (tmp_path / "d.sdf").write_text(
        f'(DELAYFILE (SDFVERSION "3.0") (CELL (CELLTYPE "NAND2X1") (INSTANCE c0) (DELAY (ABSOLUTE {paths}))))'
    )
    bench = """module bench; reg a; wire y; top dut (.a(a), .y(y));
      initial begin $sdf_annotate("d.sdf", dut); a = 0; #100 a = 1; end
      always @(y) if ($time > 100) $display("at %0d", $time);
    endmodule
    """
    said = []
    for netlist_text in (text, _separated(text, netlist)):
        cells = models_text([load_library(default_library()).cells["NAND2X1"]])
        (tmp_path / "all.v").write_text("`timescale 1ps/1ps\n" + bench + cells + netlist_text)
        command = ["iverilog", "-g2012", "-gspecify", "-o", "all.vvp", "-s", "bench", "all.v"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        done = subprocess.run(["vvp", "-n", "all.vvp", "-sdf-warn"], cwd=tmp_path, capture_output=True, text=True)
        said.append(done.stdout + done.stderr)
    assert "Unable to match ModPath" in said[0]
    assert said[1].split() == ["at", "103"]  # the earlier of two edges at once; in Icarus's own time unit
    with pytest.raises(CostError, match="not the same at c0/B"):
        _separated(text.replace(".B(a)", ".B(b)"), netlist)
