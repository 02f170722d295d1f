"""What ``lns cost`` gives beside a price: pipeline depths, an FPGA's figures, proofs; and operands of a trace."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import lns
from lns.format import LNSFormat
from lns.gausslog import TableKind
from sim.cli import main
from sim.cost import equivalence, extras, fpga, pipelining
from sim.cost.baseline.elements import instances
from sim.cost.equivalence import PROOF_CELLS, Proof, prove_netlist, prove_or_say_why
from sim.cost.errors import CostError, TooLong
from sim.cost.extras import Extra, Wanted, extras_of
from sim.cost.fpga import FpgaCost, fpga_cost
from sim.cost.levelised import levelise, play
from sim.cost.liberty import load_library
from sim.cost.machine import design_cost
from sim.cost.netlist import load_netlist
from sim.cost.pipelining import Stage, has_pipeline, least_periods
from sim.cost.settings import make_settings
from sim.cost.synthesis import synthesise
from sim.cost.workload import Workload, record
from sim.train.trace import load_trace
from sim.verify.tools import MissingTool
from sim.verify.units import instances as units_of
from sim.verify.units.add import Add
from sim.verify.units.elementwise import Mul, Relu

ADD = Add(LNSFormat.parse("lns<6,2>"), TableKind.parse("full"))
MUL = Mul(LNSFormat.parse("lns<6,2>"))
RELU = Relu(LNSFormat.parse("lns<6,2>"))
CONVERT = units_of(lns.load("madam8"), "lns_convert")[0]
SMALL = Workload(hidden=(8,), batch=16, before=2, recorded=1)
#: a design whose every unit is small
CHANGES = {"accumulator.lanes": 2, "update.lanes": 2, "update.table": "mitchell", "loss.table": "mitchell"}
TINY = lns.load("madam8").override(CHANGES)
STEP = ["--no-delays", "--hidden", "8", "--batch", "16", "--beats", "10"]


# --- pipeline depths -----------------------------------------------------------------------------------------------


def test_more_register_stages_allow_a_faster_clock(library):
    none, one, two, four = least_periods(ADD, library, [0, 1, 2, 4])
    assert [stage.flip_flops for stage in (none, one, two)] == [0, 8, 8 + 12]  # results and flags, then operands
    assert four.flip_flops > two.flip_flops
    assert four.period < 0.75 * two.period and none.period < two.period  # no clock-to-output, no set-up
    assert none.area_um2 < one.area_um2 < two.area_um2
    with pytest.raises(CostError, match="0 register stages or more, got -1"):
        least_periods(ADD, library, [-1])


@pytest.mark.parametrize("unit", [RELU, CONVERT], ids=lambda unit: unit.module)
def test_what_yosys_makes_a_reset_of_survives_retiming(library, unit):
    """What is zero while a sign or a flag is high: without `dffunmap` before abc the flag had no effect."""
    three, four = least_periods(unit, library, [3, 4])
    assert four.flip_flops > three.flip_flops


def test_stages_of_an_element_stand_before_its_accumulator(library):
    unit = instances(2)["fp8-e5m2"]
    none, one, two = least_periods(unit, library, [0, 1, 2])
    assert one.period < none.period  # the sum of the terms no longer goes through the accumulator
    assert two.period == pytest.approx(one.period, rel=0.2) and none.flip_flops < one.flip_flops < two.flip_flops


def test_a_state_machine_has_no_pipeline(library):
    loss = units_of(lns.load("madam8"), "lns_loss")[0]
    assert not has_pipeline(loss) and has_pipeline(ADD) and has_pipeline(instances(2)["int8"])
    with pytest.raises(CostError, match="a unit with a pipeline is required"):
        least_periods(loss, library, [2])


@dataclass(frozen=True)
class _WrongAdd(Add):
    """Its definition is not what its Verilog computes."""

    def model(self, *operands: int) -> tuple[int, ...]:
        word, *flags = super().model(*operands)
        return word ^ (operands == (33, 34)), *flags

    def transactions(self, seed, count, exhaustive):
        return [((33, 34),), *super().transactions(seed, count, exhaustive)]


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_a_pipeline_that_computes_something_else_is_refused(library, depth):
    with pytest.raises(CostError, match="does not give the definition's results"):
        least_periods(_WrongAdd(ADD.format, ADD.table), library, [depth])


def test_a_stage_too_many_is_noticed(library, monkeypatch):
    text = pipelining._text
    monkeypatch.setattr(pipelining, "_text", lambda unit: text(unit).replace("DEPTH < 1", "DEPTH < 0"))
    with pytest.raises(CostError, match="with 0 register stages the netlist does not give"):
        least_periods(ADD, library, [0])


# --- FPGA ----------------------------------------------------------------------------------------------------------


def test_figures_of_an_fpga_are_kept(monkeypatch):
    if shutil.which("nextpnr-ice40") is None:
        pytest.skip("apt install nextpnr-ice40")
    cost = fpga_cost(MUL)
    assert cost.flip_flops == 2 * 6 + 8 + 2 and cost.block_rams == 0
    assert 10 < cost.luts < 100 and 20e6 < cost.frequency < 500e6
    with pytest.raises(CostError, match="device must be one of"):
        fpga_cost(MUL, "hx9k")
    monkeypatch.setattr(fpga, "_figures", lambda *_: pytest.fail("they were kept"))
    assert fpga_cost(MUL) == cost
    with pytest.raises(pytest.fail.Exception, match="they were kept"):
        fpga_cost(MUL, "up5k")


def test_a_clock_below_the_target_of_nextpnr_is_a_figure(tmp_path):
    """12 MHz, for which it would refuse the update unit of madam8: here a chain of 40 products."""
    if shutil.which("nextpnr-ice40") is None:
        pytest.skip("apt install nextpnr-ice40")
    lines = "\n".join(f"assign x[{i + 1}] = x[{i}] * (b_i | 6'd3) ^ a_i;" for i in range(40))
    ports = "input logic [5:0] a_i, b_i, output logic [5:0] word_o, output logic saturate_o, underflow_o"
    parameters = ", ".join(f"parameter int {name} = 0" for name in MUL.parameters())
    body = f"logic [5:0] x [0:40]; assign x[0] = a_i;\n{lines}\nassign {{saturate_o, underflow_o}} = a_i[1:0];"
    text = f"module lns_mul #({parameters}) ({ports});\n{body}\nassign word_o = x[40];\nendmodule\n"
    (tmp_path / "lns_mul.v").write_text(text)
    assert 1e6 < fpga_cost(MUL, rtl_dir=tmp_path).frequency < 12e6


def test_a_unit_that_does_not_fit_is_kept(monkeypatch):
    if shutil.which("nextpnr-ice40") is None:
        pytest.skip("apt install nextpnr-ice40")
    wide = Mul(LNSFormat.parse("lns<10,4>"))
    monkeypatch.setattr(fpga, "DEVICES", {"hx1k": "swg16tr"})
    harness = fpga._harness
    # more pins than the package has
    more = "bit_o, input logic [20:0] x);"
    monkeypatch.setattr(fpga, "_harness", lambda unit: harness(unit).replace("bit_o);", more))
    with pytest.raises(CostError, match="nextpnr, hx1k: ") as first:
        fpga_cost(wide, "hx1k")
    monkeypatch.setattr(fpga, "_figures", lambda *_: pytest.fail("it was kept"))
    with pytest.raises(CostError) as second:
        fpga_cost(wide, "hx1k")
    assert str(second.value) == str(first.value)


def test_tools_that_take_too_long_are_not_kept(library):
    unit = Mul(LNSFormat.parse("lns<9,4>"))
    with pytest.raises(TooLong, match=r"Yosys needed more than 0\.01 s"):
        least_periods(unit, library, [1], 0.01)
    if shutil.which("nextpnr-ice40") is not None:
        with pytest.raises(TooLong, match=r"needed more than 0\.01 s"):
            fpga_cost(unit, seconds=0.01)


def test_missing_fpga_tools_are_named_before_anything_is_priced(capsys, monkeypatch):
    monkeypatch.setattr(fpga.shutil, "which", lambda name: None)
    monkeypatch.setattr("sim.cost.command.design_cost", lambda *_: pytest.fail("it was priced"))
    assert main(["cost", "madam8", "--fpga", *STEP]) == 2
    assert "FPGA figures need Yosys and nextpnr: apt install yosys nextpnr-ice40" in capsys.readouterr().err


# --- proofs --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _OtherRom(Add):
    """Its netlist has one entry of a table wrong."""

    def roms(self) -> dict[str, str]:
        return {name: text.replace("\n3\n", "\n2\n", 1) for name, text in super().roms().items()}


def test_small_netlists_are_proven_and_a_wrong_table_is_not(library, monkeypatch):
    period = 200 * library.fo4
    assert prove_or_say_why(ADD, library, period).points >= ADD.output_bits + 2
    with pytest.raises(CostError, match="not proven to be the Verilog"):
        prove_netlist(synthesise(_OtherRom(ADD.format, ADD.table), library, period), ADD, library)
    monkeypatch.setattr(equivalence, "PROOF_CELLS", 10)
    proof = prove_or_say_why(ADD, library, period)
    assert proof.points == 0 and proof.why.endswith("cells, proofs are tried up to 10")


@pytest.fixture(scope="module")
def inverting(library, tmp_path_factory):
    """Cells whose flip-flops show the inverse of what they take, as ASAP7 has them."""
    text = library.path.read_text()
    assert text.count('next_state : "D";') == 3
    path = tmp_path_factory.mktemp("library") / "other.lib"
    path.write_text(text.replace('next_state : "D";', 'next_state : "!D";'))
    return load_library(path)


@pytest.mark.parametrize("unit", [RELU, MUL, ADD, CONVERT], ids=lambda unit: unit.module)
def test_flip_flops_that_invert_are_proven(inverting, unit):
    """The netlist has no register of the Verilog's: its flip-flops are paired by what they take."""
    period = 500 * inverting.fo4
    folder = synthesise(unit, inverting, period)
    summary = json.loads((folder / "summary.json").read_text())
    assert prove_or_say_why(unit, inverting, period).points >= summary["flip_flops"]
    some = unit.transactions(0, 20, False)
    play(levelise(load_netlist(folder), inverting), unit, some, period)


def _swapped(text: str, *pins: str) -> str:
    """The Verilog of a netlist with two pins exchanged in the first flip-flop that has them."""
    found = re.search(r"  DFFSR c\d+ \((?:.|\n)*?\n  \);", text)
    assert found and all(f".{pin}(" in found[0] for pin in pins)
    changed = found[0].replace(f".{pins[0]}(", ".@(").replace(f".{pins[1]}(", f".{pins[0]}(").replace("@", pins[1])
    return text.replace(found[0], changed)


@pytest.mark.parametrize(
    "plant",
    [
        lambda text: text.replace("  NAND2X1 ", "  NOR2X1 ", 1),
        lambda text: _swapped(text, "R", "S"),
        lambda text: re.sub(r"(  DFFPOSX1 c\d+ \((?:\n.*)*?\.D\()(\w+(?:\[\d+\])?)", r"\1rst_ni", text, count=1),
    ],
    ids=["gate", "reset to 1", "data"],
)
def test_a_wrong_netlist_whose_flip_flops_invert_is_not_proven(inverting, tmp_path, plant):
    folder = synthesise(ADD, inverting, 500 * inverting.fo4)
    for name in ("netlist.json", "registers.json", "summary.json"):
        shutil.copy(folder / name, tmp_path)
    text = (folder / "netlist.v").read_text()
    assert plant(text) != text
    (tmp_path / "netlist.v").write_text(text)
    assert prove_netlist(tmp_path, ADD, inverting) > 0
    (tmp_path / "netlist.v").write_text(plant(text))
    with pytest.raises(CostError, match="not proven to be the Verilog"):
        prove_netlist(tmp_path, ADD, inverting)


def test_a_proof_is_kept_by_all_that_enters_it(library, tmp_path, monkeypatch):
    folder = synthesise(ADD, library, 200 * library.fo4)
    for name in ("netlist.v", "netlist.json", "registers.json", "summary.json"):
        shutil.copy(folder / name, tmp_path)
    points = prove_netlist(folder, ADD, library)
    monkeypatch.setattr(equivalence, "_prove", lambda *_: pytest.fail("it was kept"))
    assert prove_netlist(folder, ADD, library) == prove_netlist(tmp_path, ADD, library) == points
    other = _OtherRom(ADD.format, ADD.table)
    for unit, depth in ((other, None), (ADD, 3)):
        with pytest.raises(pytest.fail.Exception, match="it was kept"):
            prove_netlist(folder, unit, library, depth)
    for name, old, new in (("netlist.v", "NAND2X1", "NOR2X1"), ("registers.json", "n", "m")):
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text.replace(old, new, 1))
        with pytest.raises(pytest.fail.Exception, match="it was kept"):
            prove_netlist(tmp_path, ADD, library)
        (tmp_path / name).write_text(text)
    for name in ("yosys_version", "_code_version"):
        with monkeypatch.context() as patch:
            patch.setattr(equivalence, name, lambda: "another")
            with pytest.raises(pytest.fail.Exception, match="it was kept"):
                prove_netlist(folder, ADD, library)


def test_what_was_not_proven_is_tried_again(library, tmp_path, monkeypatch):
    monkeypatch.setenv("LNS_CACHE_DIR", str(tmp_path))
    folder = synthesise(MUL, library, 200 * library.fo4)
    with pytest.raises(equivalence.Undecided, match="not decided in time"):
        prove_netlist(folder, MUL, library, timeout=0.01)
    assert prove_netlist(folder, MUL, library) > 0


def test_a_register_without_a_name_is_no_error(inverting, tmp_path):
    folder = synthesise(ADD, inverting, 500 * inverting.fo4)
    for name in ("netlist.v", "netlist.json", "summary.json"):
        shutil.copy(folder / name, tmp_path)
    registers = json.loads((folder / "registers.json").read_text())
    registers["inverted"][min(registers["inverted"])] = []
    (tmp_path / "registers.json").write_text(json.dumps(registers))
    with pytest.raises(equivalence.Undecided, match="1 registers of the netlist have no name"):
        prove_netlist(tmp_path, ADD, inverting)


def test_a_proof_that_takes_too_long_says_so_and_a_false_one_is_an_error(library, monkeypatch):
    def undecided(*_, **__):
        raise equivalence.Undecided("not decided in time")

    def different(*_, **__):
        raise CostError("3 points differ")

    monkeypatch.setattr(equivalence, "prove_netlist", undecided)
    assert prove_or_say_why(ADD, library, 200 * library.fo4) == Proof(0, "not decided in time")
    monkeypatch.setattr(equivalence, "prove_netlist", different)
    with pytest.raises(CostError, match="3 points differ"):
        extras_of((ADD,), Wanted(prove=True), make_settings(SMALL, period=200 * library.fo4))


# --- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("design") / "tiny.toml"
    path.write_text(TINY.to_toml(), "utf-8")
    return str(path)


def test_the_command_says_what_was_asked(capsys, tmp_path, monkeypatch, tiny):
    depths: list[tuple[str, tuple[int, ...]]] = []

    def stages(unit, library, wanted, seconds):
        depths.append((unit.module, tuple(wanted)))
        if unit.module == "lns_convert":
            raise TooLong("Yosys needed more than 240 s: the unit is too large")
        return [Stage(depth, 100.0, 1e-9 / (depth + 1), 7) for depth in wanted]

    def figures(unit, seconds):
        if unit.module == "lns_relu":
            raise CostError("no room")
        return FpgaCost("hx8k", 11, 2, 3, 1, 5e7)

    monkeypatch.setattr(extras, "least_periods", stages)
    monkeypatch.setattr(extras, "fpga_cost", figures)
    monkeypatch.setattr(extras, "require_fpga_tools", lambda: None)
    arguments = ["cost", tiny, *STEP, "--fpga", "--depths", "0,3", "--prove"]
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    text, told = capsys.readouterr()
    steps = re.findall(r"^lns cost: madam8: \d+ of 18: lns_\w+: .* \(\d+ s\)$", told, re.MULTILINE)
    assert len(steps) == 18 and any("lns_update: 3 register stages: 0.25 ns" in line for line in steps)
    assert "FPGA iCE40 hx8k: 11 LUT4s, 2 carries, 3 flip-flops, 1 block RAMs, clock at most 50.0 MHz" in text
    assert "FPGA: none. no room" in text
    assert "3 register stages: least period 250 ps, 100 µm², 7 flip-flops" in text
    assert "3 register stages: no figures. Yosys needed more than 240 s: the unit is too large" in text
    assert "register stages: none, it is a state machine" in text
    assert "netlist is the Verilog: proven for all inputs and states" in text
    assert "netlist is the definition: by " in text and f"proofs are tried up to {PROOF_CELLS})" in text
    assert main([*arguments, "--json"]) == 0
    (made,) = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "cost.json").read_text()) == [made]
    by_module = {unit["module"]: unit for unit in made["units"]}
    assert by_module["lns_relu"]["fpga"] == {"refused": "no room"} and by_module["lns_update"]["fpga"]["luts"] == 11
    assert [stage["depth"] for stage in by_module["lns_update"]["depths"]] == [0, 3]
    assert by_module["lns_loss"]["depths"] == {"refused": "it is a state machine"}
    assert by_module["lns_convert"]["depths"][1] == {
        "depth": 3, "refused": "Yosys needed more than 240 s: the unit is too large"
    }  # fmt: skip
    assert {wanted for _, wanted in depths} == {(0,), (3,)}
    proven = {module for module, unit in by_module.items() if unit["proof"]["points"]}
    assert {"lns_relu", "lns_convert"} <= proven and "lns_element_linear" not in proven


def test_nothing_more_is_there_unless_it_is_asked_for():
    assert not Wanted() and Wanted(depths=(0,)) and Wanted(prove=True)
    assert Extra().to_dict() == {}


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trace") / "step.npz"
    record(TINY, SMALL)[0].save(path)
    return path


def test_operands_of_a_trace(trace, tiny, capsys):
    """The step that the command would record itself, from a file: the same figures."""
    own = design_cost(TINY, make_settings(SMALL, annotated=False, beats=10))
    read = design_cost(TINY, make_settings(Workload(), annotated=False, beats=10, trace=load_trace(trace)))
    assert read.to_dict() == own.to_dict()
    assert main(["cost", tiny, "--trace", str(trace), "--no-delays", "--beats", "10"]) == 0
    text = capsys.readouterr().out
    assert "operands of training step 3 of a trace, seed 0" in text and "digits" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["madam8"], "a trace of madam8 is required (lanes = 16), this one was recorded on madam8 (lanes = 2)"),
        (["madam8-small"], "a trace of madam8-small is required"),
        (["int8"], "a trace is the operands of a design, int8 is a baseline"),
        (["madam8-small", "--hidden", "8"], "--hidden must not be given beside it"),
        (["madam8-small", "--depths", "2,x"], "--depths: whole numbers as 8,4,2 are required, got '2,x'"),
    ],
)
def test_what_does_not_fit_a_trace_is_refused(trace, capsys, arguments, message):
    assert main(["cost", *arguments, "--trace", str(trace), "--no-delays"]) == 2
    out, err = capsys.readouterr()
    assert not out and message in err


def test_a_file_that_is_no_trace_is_refused(tmp_path, capsys):
    (tmp_path / "step.npz").write_text("x")
    assert main(["cost", "madam8-small", "--trace", str(tmp_path / "step.npz")]) == 2
    assert "not a trace" in capsys.readouterr().err


def test_a_trace_with_a_changed_word_gives_no_price(trace):
    one = load_trace(trace)
    next(call for call in one.calls if call.label == "forward 1").results["words"].reshape(-1)[0] ^= 1
    settings = make_settings(SMALL, annotated=False, beats=10)
    with pytest.raises(CostError, match="trace, forward 1: words must be what the definition gives"):
        design_cost(TINY, replace(settings, trace=one))


def test_fpga_without_tools_is_refused(monkeypatch):
    monkeypatch.setattr(fpga.shutil, "which", lambda name: None)
    with pytest.raises(MissingTool, match="apt install yosys nextpnr-ice40"):
        fpga_cost(MUL)
