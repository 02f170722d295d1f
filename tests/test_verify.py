"""The Verilog units against the definition in cocotb benches; and whether planted bugs are found."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from verilog import need, planted, verdict

from lns.design import load
from lns.format import LNSFormat, Rounding
from lns.gausslog import TableKind
from sim.paths import data_dir
from sim.verify import mutate as mutating
from sim.verify.command import add_arguments, run
from sim.verify.prove import command as proving
from sim.verify.runner import Report, Settings, verify, verify_all
from sim.verify.targets import Exercise
from sim.verify.unit import Unit, VerifyError
from sim.verify.units import instances, units_of
from sim.verify.units.add import Add
from sim.verify.units.convert import Convert
from sim.verify.units.elementwise import Div, Maximum, Mul, Relu, Sqrt, Square
from sim.verify.units.linear_to_log import LinearToLog
from sim.verify.vectors import PASSED, simulate

# Verilator builds for long what it then compares in a second; benchmarks/verification.py takes all units through it
QUICK_VERILATOR = ("lns_mul", "lns_dot_linear")
SLOW_VERILATOR = ("lns_convert", "lns_linear_to_log", "lns_update", "lns_loss", "lns_dot_log", "lns_encode_float")


def adder(fmt: str, kind: str = "full") -> Unit:
    return Add(LNSFormat.parse(fmt), TableKind.parse(kind))


def plain(unit: Any, fmt: str) -> Unit:
    return unit(LNSFormat.parse(fmt))


def converter(source: str, fmt: str, rounding: str = "nearest") -> Unit:
    return Convert(LNSFormat.parse(source), LNSFormat.parse(fmt), Rounding(rounding))


def to_log(bits: int, fmt: str, index_bits: int) -> Unit:
    return LinearToLog(bits, LNSFormat.parse(fmt), index_bits)


ELEMENTWISE = (Div, Square, Sqrt, Relu, Maximum)

EDGES = [
    adder("lns<8,3>", "coarse<0>"), adder("lns<8,3>", "coarse<2>"), adder("lns<8,3>", "coarse<9>"),
    adder("lns<8,3>", "linear<1,1>"), adder("lns<8,3>", "linear<3,8>"), adder("lns<8,3>", "linear<9,2>"),
    adder("lns<8,3>", "mitchell"), adder("lns<8,0>", "mitchell"), adder("lns<8,6>"), adder("lns<2,0>"),
    adder("ulns<8,4>"), adder("ulns<8,4>", "linear<2,4>"), plain(Mul, "ulns<8,4>"), plain(Mul, "lns<2,0>"),
    converter("lns<6,2>", "ulns<8,4>"), converter("ulns<7,4>", "lns<5,1>", "down"), converter("lns<7,5>", "lns<6,4>"),
    converter("lns<6,4>", "lns<2,0>"), converter("lns<2,0>", "lns<6,4>"),
    to_log(8, "lns<6,3>", 3), to_log(10, "lns<4,0>", 0), to_log(2, "lns<6,2>", 6), to_log(3, "lns<2,0>", 1),
    *(plain(unit, fmt) for unit in ELEMENTWISE for fmt in ("lns<2,0>", "ulns<6,2>")),
]  # fmt: skip


def check(report: Report) -> None:
    assert report.passed, (report.failures, report.uncovered)
    assert report.mismatches == 0
    assert report.uncovered == ()


# --- the units are right -------------------------------------------------------------------------------------------


def runs(design: str) -> list[Any]:
    """Every unit of a design in Icarus, some in Verilator too."""
    units = units_of(load(design))
    slow = [pytest.param(unit, "verilator", marks=pytest.mark.slow) for unit in units if unit in SLOW_VERILATOR]
    return [(unit, "icarus") for unit in units] + [(u, "verilator") for u in units if u in QUICK_VERILATOR] + slow


def first(design: str, unit: str) -> Unit:
    return instances(load(design), unit)[0]


@pytest.mark.parametrize(("unit", "simulator"), runs("madam8"))
def test_every_unit_of_8_bit_words(unit: str, simulator: str, tmp_path: Path) -> None:
    need(simulator)
    instance = first("madam8", unit)
    report = verify(instance, Settings(simulator, count=5000, build_root=tmp_path))
    check(report)
    assert report.exhaustive == instance.exhaustible
    assert report.transactions == 1 << instance.input_bits if report.exhaustive else report.transactions >= 5000 // 16


@pytest.mark.parametrize(("unit", "simulator"), runs("log16"))
def test_every_unit_of_16_bit_words(unit: str, simulator: str, tmp_path: Path) -> None:
    need(simulator)
    report = verify(first("log16", unit), Settings(simulator, seed=1, count=5000, build_root=tmp_path))
    check(report)
    assert "16" in report.instance or unit in ("lns_lfsr", "lns_moment")


def test_conversions_of_a_log_accumulator(tmp_path: Path) -> None:
    need("icarus")
    reports = verify_all(instances(load("madam8-log"), "lns_convert"), Settings(seed=7, count=2000), 2)
    for report in reports:
        check(report)
    places = {one.label: one for one in reports}
    one = places["activation+error+gradient"]
    assert one.instance == "lns<15,8> to lns<8,3> nearest" and one.coverage["tie, up to even"] > 0


@pytest.mark.parametrize("unit", EDGES, ids=lambda one: one.slug)
def test_every_table_kind_and_format_edge(unit: Unit, tmp_path: Path) -> None:
    need("icarus")
    assert unit.exhaustible and verdict(unit, tmp_path, 0).startswith(PASSED)


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("unit", ["lns_mul", "lns_dot_linear", "lns_loss"])
def test_every_depth(unit: str, depth: int, tmp_path: Path) -> None:
    need("icarus")
    check(verify(first("madam8", unit), Settings(depth=depth, count=2000, build_root=tmp_path)))


def test_all_adders_of_a_design(tmp_path: Path) -> None:
    need("icarus")
    shown: list[Report] = []
    reports = verify_all(
        instances(load("madam8-log"), "lns_add"), Settings(seed=7, count=500, build_root=tmp_path), 2, shown.append
    )
    assert [one.label for one in reports] == ["activation", "accumulator", "moment", "loss"]
    assert shown == reports
    for report in reports:
        check(report)
    assert reports[0].coverage["cancellation"] == 254


def test_waves(tmp_path: Path) -> None:
    need("icarus")
    report = verify(plain(Mul, "lns<4,1>"), Settings(waves=True, build_root=tmp_path))
    check(report)
    assert list(Path(report.build_dir).glob("*.fst"))


# --- planted bugs are found ----------------------------------------------------------------------------------------

# for each unit one instance, in which all values of its inputs show all of its bugs
BUG_INSTANCES = {
    "lns_mul": plain(Mul, "lns<8,3>"),
    "lns_add": adder("lns<8,3>"),
    "lns_convert": converter("lns<7,4>", "ulns<6,2>"),
    "lns_linear_to_log": to_log(8, "lns<5,1>", 4),
    **{unit.module: plain(unit, "lns<6,2>") for unit in ELEMENTWISE},
}

BUGS = [
    ("no saturation", "lns_mul", "lns_range.v", "(|code_i[CALC_BITS-2:CodeBits])", "1'b0"),
    ("zero keeps a sign", "lns_mul", "lns_range.v", "negative_i && !empty", "negative_i"),
    ("zero operands raise events", "lns_mul", "lns_range.v", "below && !zero_i", "below"),
    ("bias off by one", "lns_mul", "lns_mul.v", "CalcBits'(code_b) - Bias", "CalcBits'(code_b) - Bias - 1"),
    ("code 0 is no zero", "lns_mul", "lns_range.v", "code_i[CALC_BITS-1] || (code_i == '0)", "code_i[CALC_BITS-1]"),
    ("sign of the smaller", "lns_add", "lns_add.v", "a_is_larger ? sign_a : sign_b", "a_is_larger ? sign_b : sign_a"),
    ("larger and smaller swapped", "lns_add", "lns_add.v", "code_a >= code_b", "code_a <= code_b"),
    ("one entry beyond the ROM", "lns_add", "lns_gausslog.v", "33'(bucket) < 33'", "33'(bucket) <= 33'"),
    ("one entry short", "lns_add", "lns_gausslog.v", "33'(ENTRIES)", "33'(ENTRIES - 1)"),
    ("cancellation is an underflow", "lns_add", "lns_add.v", " || (unlike && (distance == '0))", ""),
    ("one ROM bit", "lns_add", "lns_gausslog.v", "initial $readmemh(ROM_FILE, rom);",
     "initial begin $readmemh(ROM_FILE, rom); rom[17] = rom[17] ^ 1; end"),
    ("ties rounded up", "lns_convert", "lns_convert.v", "(more || floor[0])", "1'b1"),
    ("ties to odd", "lns_convert", "lns_convert.v", "|| floor[0]", "|| !floor[0]"),
    ("offset dropped", "lns_convert", "lns_convert.v", "(FineBits'(offset_i) << SOURCE_FRAC_BITS)", "FineBits'(0)"),
    ("offset without a sign", "lns_convert", "lns_convert.v", "FineBits'(offset_i)", "FineBits'($unsigned(offset_i))"),
    ("offset subtracted", "lns_convert", "lns_convert.v", "SourceBias + (", "SourceBias - ("),
    ("logical shift", "lns_convert", "lns_convert.v", "fine >>> Lost", "fine >> Lost"),
    ("invalid not flagged", "lns_convert", "lns_convert.v", "invalid_o = invalid", "invalid_o = 1'b0"),
    ("zero is invalid", "lns_convert", "lns_convert.v", "negative && !zero", "negative"),
    ("invalid out of range", "lns_convert", "lns_convert.v", "zero || invalid", "zero"),
    ("carry of the entry lost", "lns_linear_to_log", "lns_linear_to_log.v",
     "CalcBits'(rom[index])", "CalcBits'(FRAC_BITS'(rom[index]))"),
    ("exponent dropped", "lns_linear_to_log", "lns_linear_to_log.v", "OctaveBits'(exponent_i) + ", ""),
    ("one's complement", "lns_linear_to_log", "lns_linear_to_log.v", "-acc_i", "~acc_i"),
    ("least accumulator", "lns_linear_to_log", "lns_linear_to_log.v", "i < ACC_BITS;", "i < ACC_BITS - 1;"),
    ("index a bit short", "lns_linear_to_log", "lns_linear_to_log.v", "aligned >> (ACC_BITS - 1)",
     "(aligned >> (ACC_BITS - 1)) & ~AlignedBits'(1)"),
    ("zero is an underflow", "lns_linear_to_log", "lns_linear_to_log.v", "(magnitude == '0)", "(1'b0)"),
    ("x/0 under the divisor's sign", "lns_div", "lns_div.v", "(b_i[BITS-1] && !zero_b)", "b_i[BITS-1]"),
    ("x/0 saturates", "lns_div", "lns_div.v", "CalcBits'(Max)", "CalcBits'(Max) + 1"),
    ("0/0 divides by zero", "lns_div", "lns_div.v", "divide_by_zero_o = divide_by_zero", "divide_by_zero_o = zero_b"),
    ("0/0 is valid", "lns_div", "lns_div.v", "invalid_o        = zero_b && zero_a", "invalid_o        = 1'b0"),
    ("0/x is an underflow", "lns_div", "lns_div.v", "(zero_a)", "(1'b0)"),
    ("quotient without bias", "lns_div", "lns_div.v", "CalcBits'(code_b) + Bias", "CalcBits'(code_b)"),
    ("square keeps the sign", "lns_square", "lns_square.v", "(1'b0)", "(a_i[BITS-1])"),
    ("square of zero is an underflow", "lns_square", "lns_square.v", "(code_a == '0)", "(1'b0)"),
    ("square of half the code", "lns_square", "lns_square.v", "(CalcBits'(code_a) << 1)", "CalcBits'(code_a)"),
    ("root towards 1.0", "lns_sqrt", "lns_sqrt.v", "+ Bias)", "+ Bias + SumBits'(!code_a[CodeBits-1]))"),
    ("root of a negative is valid", "lns_sqrt", "lns_sqrt.v", "invalid_o = invalid", "invalid_o = 1'b0"),
    ("root of a negative is a number", "lns_sqrt", "lns_sqrt.v", "(zero || invalid)", "zero"),
    ("root of minus zero is invalid", "lns_sqrt", "lns_sqrt.v", "a_i[BITS-1] && !zero", "a_i[BITS-1]"),
    ("negatives pass", "lns_relu", "lns_relu.v", "a_i[BITS-1] ? '0 : a_i", "(a_i[BITS-2:0] == '0) ? '0 : a_i"),
    ("minus zero passes", "lns_relu", "lns_relu.v", "a_i[BITS-1] ? '0", "(a_i[BITS-1] && (a_i[BITS-2:0] != '0)) ? '0"),
    ("order of equal words", "lns_maximum", "lns_maximum.v", "key_a >= key_b", "key_a > key_b"),
    ("order of magnitudes", "lns_maximum", "lns_maximum.v", "key_a >= key_b", "code_a >= code_b"),
    ("order of unsigned keys", "lns_maximum", "lns_maximum.v",
     "key_a >= key_b", "$unsigned(key_a) >= $unsigned(key_b)"),
    ("one's complement key", "lns_maximum", "lns_maximum.v", "? -code_b", "? ~code_b"),
    ("maximum keeps the sign of zero", "lns_maximum", "lns_maximum.v",
     "(larger[CodeBits-1:0] == '0) ? '0 : larger", "larger"),
]  # fmt: skip


# cocotb sees what the vectors see: these few go through both
IN_COCOTB = ("no saturation", "one ROM bit", "ties rounded up", "carry of the entry lost", "order of equal words")


@pytest.mark.parametrize(("unit", "file", "good", "bad"), [bug[1:] for bug in BUGS], ids=[bug[0] for bug in BUGS])
def test_a_planted_bug_is_found_by_vectors(unit: str, file: str, good: str, bad: str, tmp_path: Path) -> None:
    need("icarus")
    instance = BUG_INSTANCES[unit]
    rtl = planted(tmp_path, file, good, bad)
    line = simulate(instance, instance.transactions(3, 0, exhaustive=True), tmp_path, rtl)
    assert line.startswith("FAILED")


def test_no_bug_is_found_where_there_is_none(tmp_path: Path) -> None:
    need("icarus")
    for unit in BUG_INSTANCES.values():
        assert simulate(unit, unit.transactions(3, 0, exhaustive=True), tmp_path).startswith(PASSED)


@pytest.mark.parametrize(
    ("unit", "file", "good", "bad"), [bug[1:] for bug in BUGS if bug[0] in IN_COCOTB], ids=IN_COCOTB
)
def test_a_planted_bug_is_found(unit: str, file: str, good: str, bad: str, tmp_path: Path) -> None:
    need("icarus")
    instance = BUG_INSTANCES[unit]
    report = verify(instance, Settings(seed=3, rtl_dir=planted(tmp_path, file, good, bad), build_root=tmp_path))
    assert not report.passed and report.mismatches > 0
    assert report.transactions <= 1 << instance.input_bits
    first = report.failures[0]
    given = "acc = " if unit == "lns_linear_to_log" else "a = 0x"
    assert f"{unit} {instance}: {given}" in first and "expected word = 0x" in first and first.endswith("seed 3")


@pytest.mark.parametrize(
    ("instance", "file", "good", "bad"),
    [
        # sb and db alike: the sweep reads every entry
        (adder("lns<16,10>"), "lns_gausslog.v", "initial $readmemh(ROM_FILE, rom);",
         "initial begin $readmemh(ROM_FILE, rom); rom[7321] = rom[7321] ^ 1; end"),
        (to_log(40, "lns<16,10>", 14), "lns_linear_to_log.v", "initial $readmemh(ROM_FILE, rom);",
         "initial begin $readmemh(ROM_FILE, rom); rom[7321] = rom[7321] ^ 1; end"),
        (converter("lns<16,13>", "lns<16,10>"), "lns_convert.v", "(more || floor[0])", "1'b1"),
        (converter("lns<15,8>", "lns<8,3>"), "lns_convert.v", "(more || floor[0])", "more"),
        (plain(Div, "lns<16,10>"), "lns_div.v", "(b_i[BITS-1] && !zero_b)", "b_i[BITS-1]"),
        (plain(Maximum, "lns<16,10>"), "lns_maximum.v", "key_a >= key_b", "key_a > key_b"),
    ],
    ids=lambda value: value.slug if isinstance(value, Unit) else "",
)  # fmt: skip
def test_a_planted_bug_is_found_without_random_operands(
    instance: Unit, file: str, good: str, bad: str, tmp_path: Path
) -> None:
    need("icarus")
    rtl = planted(tmp_path, file, good, bad)
    line = simulate(instance, instance.transactions(0, 0, exhaustive=False), tmp_path, rtl)
    assert line.startswith("FAILED")


def test_a_silent_design_does_not_pass(tmp_path: Path) -> None:
    need("icarus")
    rtl = tmp_path / "rtl"
    rtl.mkdir()
    (rtl / "lns_pipeline.v").write_text(_SILENT_PIPELINE, "utf-8")
    report = verify(plain(Mul, "lns<4,1>"), Settings(rtl_dir=rtl, build_root=tmp_path))
    assert not report.passed and report.transactions == 0 and report.mismatches == 0
    assert report.failures == ("256 transactions went in and never came out",)


_SILENT_PIPELINE = """
module lns_pipeline #(
  parameter int WIDTH = 1,
  parameter int DEPTH = 1
) (
  input  logic clk_i, rst_ni, valid_i, ready_i,
  input  logic [WIDTH-1:0] data_i,
  output logic valid_o, ready_o,
  output logic [WIDTH-1:0] data_o
);
  assign valid_o = 1'b0;
  assign ready_o = 1'b1;
  assign data_o  = data_i;
endmodule
"""


def test_unknown_bits_are_a_failure(tmp_path: Path) -> None:
    need("icarus")
    rtl = planted(tmp_path, "lns_mul.v", "assign zero = (code_a == '0)", "assign zero = 1'bx & (code_a == '0)")
    report = verify(plain(Mul, "lns<4,1>"), Settings(rtl_dir=rtl, build_root=tmp_path))
    assert not report.passed and "got unknown bits" in report.failures[0]


def test_nothing_to_compare_is_an_error(tmp_path: Path) -> None:
    need("icarus")
    with pytest.raises(VerifyError, match="there is no transaction to compare"):
        verify(plain(Mul, "lns<4,1>"), Settings(build_root=tmp_path), transactions=[])


def test_verilog_that_does_not_build_is_an_error(tmp_path: Path) -> None:
    need("icarus")
    rtl = planted(tmp_path, "lns_mul.v", "endmodule", "endmodul")
    with pytest.raises(VerifyError, match=r"(?s)compared nothing.*lns_mul\.v"):
        verify(plain(Mul, "lns<4,1>"), Settings(rtl_dir=rtl, build_root=tmp_path))


# --- the command ---------------------------------------------------------------------------------------------------


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


def test_command_prints_a_table_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    need("icarus")
    assert run(arguments("madam8", "--unit", "lns_mul")) == 0
    table = capsys.readouterr().out
    assert "lns<8,3>" in table and "65536" in table and "passed" in table
    assert table.endswith("1 instances, 65536 transactions, 0 mismatches: all passed\n")
    assert run(arguments("madam8", "--unit", "lns_mul", "--json", "--seed", "5")) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report["passed"] and report["seed"] == 5 and report["mismatches"] == 0 and report["exhaustive"]


def test_command_checks_a_user_s_verilog(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need("icarus")
    mine = tmp_path / "mine"
    mine.mkdir()
    text = (data_dir("rtl") / "lns_mul.v").read_text("utf-8")
    (mine / "lns_mul.v").write_text(text, "utf-8")
    assert run(arguments("madam8", "--unit", "lns_mul", "--rtl", str(mine))) == 0
    capsys.readouterr()
    (mine / "lns_mul.v").write_text(text.replace("- Bias;", "- Bias + 1;"), "utf-8")
    assert run(arguments("madam8", "--unit", "lns_mul", "--rtl", str(mine))) == 1
    printed = capsys.readouterr().out
    assert "FAILED" in printed and "expected word = 0x" in printed
    for folder, said in ((tmp_path, "nothing of it would be checked"), (tmp_path / "none", "no such folder")):
        assert run(arguments("madam8", "--unit", "lns_add", "--rtl", str(folder))) == 2
        assert said in capsys.readouterr().err


def test_command_refuses_what_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments("madam9")) == 2
    told = capsys.readouterr().err
    assert told.startswith("lns: error: ") and "did you mean 'madam8'" in told and told.count("\n") == 1
    assert run(arguments("log16", "--unit", "lns_linear_to_log")) == 2
    assert "design log16 has no lns_linear_to_log" in capsys.readouterr().err
    old = tmp_path / "iverilog"
    old.write_text("#!/bin/sh\necho Icarus Verilog version 10.3\n")
    old.chmod(0o755)
    (tmp_path / "vvp").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert run(arguments("madam8")) == 2
    assert "icarus must be 11.0 or newer" in capsys.readouterr().err
    monkeypatch.setenv("PATH", "")
    assert run(arguments("madam8")) == 2
    assert "apt install iverilog" in capsys.readouterr().err


@pytest.mark.parametrize("add", [add_arguments, mutating.add_arguments, proving.add_arguments])
def test_an_unknown_unit_is_told_its_neighbours(
    add: Callable[[argparse.ArgumentParser], None], capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    add(parser)
    assert parser.parse_args(["madam8", "--unit", "lns_mul", "--unit", "lns_add"]).unit == ["lns_mul", "lns_add"]
    for name, told in (("lns_mull", "did you mean lns_mul or"), ("adder", "there is lns_mul, lns_add,")):
        with pytest.raises(SystemExit) as ended:
            parser.parse_args(["madam8", "--unit", name])
        assert ended.value.code == 2
        assert f"there is no unit {name!r}; {told}" in capsys.readouterr().err


def test_a_mutation_of_verilog_that_does_not_build_says_why(tmp_path: Path) -> None:
    need("icarus")
    rtl = planted(tmp_path, "lns_relu.v", "? '0 : a_i", "? '0 a_i")
    with pytest.raises(VerifyError, match=r"'not built' of the Verilog without a fault: \S+lns_relu\.v:\d+: syntax"):
        mutating.mutate("lns_relu", [Exercise(plain(Relu, "lns<6,2>"))], mutating.Settings(rtl_dir=rtl))


def test_a_mutation_and_a_proof_begin_an_error_as_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (mutating, proving):
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        assert command.run(parser.parse_args(["madam9"])) == 2
        assert capsys.readouterr().err.startswith("lns: error: ")
