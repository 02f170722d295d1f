"""The cache, the netlist of a unit, its proof, and what is refused."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from lns.design import load
from lns.format import LNSFormat
from lns.gausslog import TableKind
from sim.cost import cache, synthesis
from sim.cost.cache import cached, key_of
from sim.cost.equivalence import prove_netlist
from sim.cost.errors import CostError
from sim.cost.levelised import levelise, play
from sim.cost.mapping import mapping_text, smallest_inverter
from sim.cost.netlist import load_netlist
from sim.cost.rom import multiplexers, with_roms
from sim.cost.synthesis import synthesise
from sim.verify.tools import MissingTool
from sim.verify.units import instances
from sim.verify.units.add import Add
from sim.verify.units.elementwise import Mul

ADD = Add(LNSFormat.parse("lns<6,2>"), TableKind.parse("full"))
MUL = Mul(LNSFormat.parse("lns<6,2>"))


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def netlist(library, own_cache) -> Path:
    return synthesise(ADD, library, 200 * library.fo4)


# --- cache


def _count(folder: str, log: str) -> None:
    def build(place: Path) -> None:
        with open(log, "a") as file:
            file.write("built\n")
        time.sleep(0.3)
        (place / "result").write_text("whole")

    os.environ["LNS_CACHE_DIR"] = folder
    assert (cached("test", {"a": "1"}, build) / "result").read_text() == "whole"


def test_processes_at_once_build_once(tmp_path):
    context = multiprocessing.get_context("fork")
    tasks = [context.Process(target=_count, args=(str(tmp_path), str(tmp_path / "log"))) for _ in range(4)]
    for task in tasks:
        task.start()
    for task in tasks:
        task.join()
    assert [task.exitcode for task in tasks] == [0] * 4
    assert (tmp_path / "log").read_text() == "built\n"


def _hang(folder: str) -> None:
    def build(place: Path) -> None:
        (place / "result").write_text("ha")
        os.kill(os.getpid(), signal.SIGKILL)

    os.environ["LNS_CACHE_DIR"] = folder
    cached("test", {"a": "1"}, build)


def test_killed_and_failed_builds_leave_no_entry(tmp_path, monkeypatch):
    monkeypatch.setenv("LNS_CACHE_DIR", str(tmp_path))
    task = multiprocessing.get_context("fork").Process(target=_hang, args=(str(tmp_path),))
    task.start()
    task.join()
    shelf = tmp_path / "cost" / "test"
    assert task.exitcode == -signal.SIGKILL
    assert len(list(shelf.glob(".*.part"))) == 1

    def fail(place: Path) -> None:
        (place / "result").write_text("h")
        raise CostError("no")

    with pytest.raises(CostError):
        cached("test", {"a": "1"}, fail)
    assert not list(shelf.glob(".*.part")) and not (shelf / key_of("test", {"a": "1"})).exists()
    entry = cached("test", {"a": "1"}, lambda place: (place / "result").write_text("whole") and None)
    assert (entry / "result").read_text() == "whole"


def test_everything_in_a_key_changes_it():
    keys = [
        key_of("x", {"a": "1", "b": "2"}), key_of("y", {"a": "1", "b": "2"}), key_of("x", {"a": "12", "b": ""}),
        key_of("x", {"a": "1", "c": "2"}), key_of("x", {"a": "1", "b": "3"}), key_of("x", {"ab": "12"}),
    ]  # fmt: skip
    assert len(set(keys)) == len(keys)
    assert key_of("x", {"b": b"2", "a": "1"}) == keys[0]


@dataclass(frozen=True)
class _OtherRom(Add):
    def roms(self) -> dict[str, str]:
        return {name: text.replace("\n3\n", "\n2\n", 1) for name, text in super().roms().items()}


def test_a_netlist_has_its_rom_and_tools_in_its_key(netlist, library, monkeypatch):
    period = 200 * library.fo4
    other = _OtherRom(ADD.format, TableKind.parse("full"))
    assert other.roms() != ADD.roms()
    assert synthesise(ADD, library, period) == netlist
    assert synthesise(other, library, period) != netlist
    monkeypatch.setattr(synthesis, "cached", lambda kind, parts, build: Path(key_of(kind, parts)))
    before = synthesise(ADD, library, period)
    assert before.name == netlist.name
    assert synthesise(ADD, library, 2 * period) != before
    assert synthesise(ADD, library, period, depth=3) != before
    monkeypatch.setattr(synthesis, "yosys_version", lambda: "Yosys 0.24")
    assert synthesise(ADD, library, period) != before


# --- library


_LIBRARY = """
library (x) {
  lu_table_template (plane) {
    variable_1 : input_net_transition; variable_2 : total_output_net_capacitance; index_1 ("1"); }
  /* cell (COMMENT) { */
  cell (KEPT) { area : 1; pin (Y) { function : "}!A{"; internal_power () { rise_power (t) { values ("1"); } }
    timing () { cell_rise (plane) { values ("1"); } cell_fall (lost) { values ("1"); } } } }
  cell (BANNED) { dont_use : true; pin (Y) { function : "A"; } }
  cell (FLOATS) { pin (Y) { function : "A"; three_state : "E"; } }
  cell (SCAN) { ff (IQ, IQN) { next_state : "(D*!SE)+(SI*SE)"; } pin (Q) { function : "IQ"; } }
  cell (FLOP) { ff (IQ, IQN) { next_state : "!D"; } pin (Q) { function : "IQ"; } leakage_power () { value : 1; } }
  cell (LATCH) { latch (IQ, IQN) { data_in : "D"; } pin (Q) { function : "IQ"; } }
  cell (GATE) { clock_gating_integrated_cell : "latch_posedge"; pin (Q) { function : "A"; } }
  cell (FILL) { area : 2; }
}
"""


def test_cells_for_mapping():
    text = mapping_text(_LIBRARY)
    assert [name for name in ("KEPT", "FLOP") if f"cell ({name})" in text] == ["KEPT", "FLOP"]
    assert text.count("cell (") == 2
    assert "_power" not in text and text.count("{") - text.count('"}!A{"') == text.count("}") - text.count('"}!A{"')
    assert "lu_table_template (lost) {\n    variable_1 : input_net_transition" in text
    with pytest.raises(CostError, match="lu_table_template lost"):
        mapping_text(_LIBRARY.replace("template (plane)", "template (other)"))


def test_smallest_inverter(library):
    assert smallest_inverter(library).name == "INVX1"


# --- netlists


def test_netlist_has_simple_names_and_a_true_area(netlist, library):
    module = json.loads((netlist / "netlist.json").read_text())["modules"]["top"]
    summary = json.loads((netlist / "summary.json").read_text())
    kinds = [cell["type"] for cell in module["cells"].values()]
    assert set(module["cells"]) == {f"c{i}" for i in range(len(kinds))}
    ports = {"clk_i", "rst_ni", "valid_i", "ready_o", "a_i", "b_i", "valid_o", "ready_i", "word_o"}
    assert ports | {"saturate_o", "underflow_o"} == set(module["ports"])
    assert all(name[0] == "n" and name[1:].isdecimal() for name in module["netnames"] if name not in module["ports"])
    assert summary["area_um2"] == pytest.approx(sum(library.cells[kind].area_um2 for kind in kinds))
    assert summary["flip_flops"] == 2 * 6 + 8 + 2  # operands, results and flags, and a valid bit for each rank
    assert sum(summary["cells"].values()) == len(kinds)
    text = (netlist / "netlist.v").read_text()
    assert "assign" not in text and "\\" not in text


def test_netlist_is_proven_and_a_wrong_gate_is_found(netlist, library, tmp_path):
    with pytest.raises(CostError, match="not decided in time"):
        prove_netlist(netlist, ADD, library, timeout=0.01)
    assert prove_netlist(netlist, ADD, library) >= ADD.output_bits + 2
    for name in ("netlist.v", "netlist.json", "registers.json", "summary.json"):
        (tmp_path / name).write_text((netlist / name).read_text())
    text = (netlist / "netlist.v").read_text()
    assert "NAND2X1" in text
    (tmp_path / "netlist.v").write_text(text.replace("NAND2X1", "NOR2X1", 1))
    with pytest.raises(CostError, match="not proven"):
        prove_netlist(tmp_path, ADD, library)


def test_a_clock_that_area_misses_is_met_by_more_effort(library):
    relaxed, tight = (
        json.loads((synthesise(ADD, library, period) / "summary.json").read_text()) for period in (20e-9, 2.9e-9)
    )
    assert relaxed["effort"] == "area" and tight["effort"] in ("balanced", "speed")
    assert tight["critical_path"] < relaxed["critical_path"] and tight["area_um2"] > relaxed["area_um2"]


# --- ROMs


def _words(muxes, outputs, address_bits: int):
    """What multiplexers give at every address."""
    addresses = np.arange(1 << address_bits)
    signals = [np.zeros_like(addresses), np.ones_like(addresses)]
    for bit, low, high in muxes.tolist():
        signals.append(np.where(addresses >> bit & 1, signals[high], signals[low]))
    return np.stack([signals[output] for output in outputs], axis=1)


@pytest.mark.parametrize("count", [1, 2, 100, 128])
def test_multiplexers_give_the_words_of_a_rom(count):
    rng = np.random.default_rng(count)
    words = rng.integers(0, 2, (count, 5), np.uint8)
    words[:, 3], words[:, 4] = 0, words[:, 0]
    muxes, outputs = multiplexers(words, 7)
    assert np.array_equal(_words(muxes, outputs, 7)[:count], words)
    assert outputs[3] == 0 and outputs[4] == outputs[0] and len(muxes) < 3 * count
    assert len({tuple(mux) for mux in muxes.tolist()}) == len(muxes) and (muxes[:, 1] != muxes[:, 2]).all()
    constant, outputs = multiplexers(np.ones((count, 2), np.uint8), 7)
    assert len(constant) == 0 and outputs.tolist() == [1, 1]
    # half of the addresses are not used: no multiplexer asks for them
    assert 6 not in multiplexers(words[:64], 7)[0][:, 0]


def test_memories_that_are_no_plain_roms_are_left_alone():
    cell = """  cell $mem_v2 \\rom
    parameter \\ABITS 1
    parameter \\INIT 4'0110
    parameter \\OFFSET 0
    parameter \\RD_CLK_ENABLE 1'0
    parameter \\RD_PORTS 1
    parameter \\WIDTH 2
    parameter \\WR_PORTS 0
    connect \\RD_ADDR \\x [3]
    connect \\RD_DATA \\y
  end
"""
    made, macros = with_roms(f"module \\top\n{cell}end\n", 4)
    assert not macros
    assert "$mem_v2" not in made and "connect \\a \\x [3]" in made
    assert re.findall(r"connect \\([ABSY]) (.*)\n", made) == [
        ("A", "1'0"), ("B", "1'1"), ("S", "\\a [0]"), ("Y", "\\m [0]"),
        ("A", "1'1"), ("B", "1'0"), ("S", "\\a [0]"), ("Y", "\\m [1]"),
    ]  # fmt: skip
    assert "connect \\d { \\m [1] \\m [0] }" in made
    for old, new in (("'0110", "'01x0"), ("WR_PORTS 0", "WR_PORTS 1"), ("E 1'0", "E 1'1"), ("SET 0", "SET 1")):
        assert with_roms(cell.replace(old, new), 0) == (cell.replace(old, new), {})


# --- modules mapped by themselves


@pytest.fixture(scope="module")
def tree():
    """Four lanes and three adders more."""
    fields = {"accumulator.lanes": 4, "accumulator.format": "lns<8,3>", "accumulator.table": "full"}
    return instances(load("madam8-log").override(fields), "lns_dot_log")[0]


def _computes(folder: Path, unit, library) -> dict:
    transactions = unit.transactions(1, 400, False)
    assert play(levelise(load_netlist(folder), library), unit, transactions, 1e-8).results == len(transactions)
    return json.loads((folder / "summary.json").read_text())


def test_shared_modules_are_mapped_by_themselves(library, tree, monkeypatch):
    period = 500 * library.fo4
    whole = _computes(synthesise(tree, library, period), tree, library)
    monkeypatch.setattr(synthesis, "FLAT_GATES", 100)
    parts = _computes(synthesise(tree, library, period), tree, library)
    assert (whole["shared"], parts["shared"]) == (0, 1) and parts["flip_flops"] == whole["flip_flops"]
    assert 0.9 < parts["area_um2"] / whole["area_um2"] < 1.3
    # a clock that area misses: the fastest modules make a faster whole
    tight = _computes(synthesise(tree, library, 0.8 * parts["critical_path"]), tree, library)
    assert tight["critical_path"] <= 0.8 * parts["critical_path"] and tight["area_um2"] > parts["area_um2"]


def test_adders_that_are_swapped_are_caught(library, tree, monkeypatch):
    monkeypatch.setattr(synthesis, "FLAT_GATES", 100)
    run, swapped = synthesis.run_yosys, []

    def swap(folder: Path, script: str, seconds: float) -> None:
        run(folder, script, seconds)
        if script == "gates.ys":
            text = (folder / "gates.il").read_text()
            sums = re.findall(r"^  cell \S+lns_add .*\n(?:    .*\n)*?    connect .word_o (.*)$", text, re.M)
            first, second = (next(one for one in sums if name in one) for name in ("lanes_d", "gen_level[2]"))
            swapped.extend((first, second))
            for old, new in ((first, "@"), (second, first), ("@", second)):
                text = text.replace(f"connect \\word_o {old}", f"connect \\word_o {new}")
            (folder / "gates.il").write_text(text)

    monkeypatch.setattr(synthesis, "run_yosys", swap)
    folder = synthesise(tree, library, 501 * library.fo4)
    assert len(set(swapped)) == 2
    with pytest.raises(CostError, match="the netlist computes something else"):
        _computes(folder, tree, library)


@dataclass(frozen=True)
class _Own(Mul):
    """A unit of the test's own Verilog."""

    sources: ClassVar[tuple[str, ...]] = ("lns_range.v", "lns_mul.v")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("always_latch if (a_i[0]) word_o = b_i;", "without latches"),
        ("assign word_o = b_i + undriven; logic [5:0] undriven;", "Yosys"),
        ("assign word_o = word_o ^ {a_i[5:1], b_i[0]};", "Yosys"),
        ("assign word_o = 6'bx1x1x1 & {6{a_i[0]}};", "defined"),
        ("assign word_o = 6'bx;", "defined"),
        ("assign word_o = a_i +;", "Yosys"),
    ],
)
def test_verilog_that_is_refused(library, tmp_path, body, message):
    ports = "input logic [5:0] a_i, b_i, output logic [5:0] word_o, output logic saturate_o, underflow_o"
    flags = "assign {saturate_o, underflow_o} = a_i[1:0];"
    parameters = ", ".join(f"parameter int {name} = 0" for name in MUL.parameters())
    (tmp_path / "lns_mul.v").write_text(f"module lns_mul #({parameters}) ({ports});\n{flags}\n{body}\nendmodule\n")
    with pytest.raises(CostError, match=message):
        synthesise(MUL, library, 20e-9, rtl_dir=tmp_path)


def test_a_missing_tool_is_named(library, monkeypatch):
    synthesis.yosys_version.cache_clear()
    monkeypatch.setattr(synthesis.shutil, "which", lambda name: None)
    with pytest.raises(MissingTool, match="apt install yosys berkeley-abc"):
        synthesise(ADD, library, 20e-9)
    synthesis.yosys_version.cache_clear()


def test_keys_are_generational(monkeypatch):
    before = key_of("x", {})
    monkeypatch.setattr(cache, "_GENERATION", "another")
    assert key_of("x", {}) != before
