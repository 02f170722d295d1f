"""The Verilog units against the definition; and whether planted bugs are found."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import sim.verify.runner
from lns.design import load, preset_names
from lns.format import Event, LNSFormat, Rounding
from lns.gausslog import TableKind
from sim.paths import data_dir
from sim.verify.command import add_arguments, run
from sim.verify.lane import lane_text
from sim.verify.runner import InstanceReport, MissingTool, tool_environment, verify, verify_instance
from sim.verify.units import (
    SOURCES,
    UNITS,
    Instance,
    MissingUnit,
    VerifyError,
    inputs,
    instances,
    outputs,
    parameters,
    rom_images,
    units_of,
)

# Verilator builds for long what it then compares in a second: the other units are slow tests
QUICK_VERILATOR = ("lns_mul", "lns_add", "lns_convert", "lns_linear_to_log", "lns_div")

ELEMENTWISE = ("lns_div", "lns_square", "lns_sqrt", "lns_relu", "lns_max")


def adder(fmt: str, kind: str = "full") -> Instance:
    return Instance("lns_add", "test", LNSFormat.parse(fmt), TableKind.parse(kind))


def plain(unit: str, fmt: str) -> Instance:
    return Instance(unit, "test", LNSFormat.parse(fmt))


def converter(source: str, fmt: str, rounding: str = "nearest") -> Instance:
    source_format = LNSFormat.parse(source)
    return Instance("lns_convert", "test", LNSFormat.parse(fmt), source=source_format, rounding=Rounding(rounding))


def to_log(bits: int, fmt: str, index_bits: int) -> Instance:
    return Instance("lns_linear_to_log", "test", LNSFormat.parse(fmt), bits=bits, index_bits=index_bits)


EDGES = [
    adder("lns<8,3>", "coarse<0>"), adder("lns<8,3>", "coarse<2>"), adder("lns<8,3>", "coarse<9>"),
    adder("lns<8,3>", "linear<1,1>"), adder("lns<8,3>", "linear<3,8>"), adder("lns<8,3>", "linear<9,2>"),
    adder("lns<8,3>", "mitchell"), adder("lns<8,0>", "mitchell"), adder("lns<8,6>"), adder("lns<2,0>"),
    adder("ulns<8,4>"), adder("ulns<8,4>", "linear<2,4>"), plain("lns_mul", "ulns<8,4>"), plain("lns_mul", "lns<2,0>"),
    converter("lns<6,2>", "ulns<8,4>"), converter("ulns<7,4>", "lns<5,1>", "down"), converter("lns<7,5>", "lns<6,4>"),
    converter("lns<6,4>", "lns<2,0>"), converter("lns<2,0>", "lns<6,4>"),
    to_log(8, "lns<6,3>", 3), to_log(10, "lns<4,0>", 0), to_log(2, "lns<6,2>", 6), to_log(3, "lns<2,0>", 1),
    *(plain(unit, fmt) for unit in ELEMENTWISE for fmt in ("lns<2,0>", "ulns<6,2>")),
]  # fmt: skip


# nothing is negative, and the square of ±1 and 0: no gates
WIRES = (plain("lns_relu", "ulns<6,2>"), plain("lns_square", "lns<2,0>"))


def preset_instances() -> list[Instance]:
    """The distinct instances of all presets."""
    found = [one for name in preset_names() for unit in UNITS for one in instances(load(name), unit)]
    return list({one.slug: one for one in found}.values())


def need(simulator: str) -> None:
    try:
        tool_environment(simulator)
    except MissingTool as error:
        pytest.skip(str(error))


def check(report: InstanceReport) -> None:
    assert report.passed, (report.failures, report.uncovered)
    assert report.mismatches == 0
    assert report.uncovered == ()


# --- the units are right -------------------------------------------------------------------------------------------


def input_bits(instance: Instance) -> int:
    return sum(port.width for port in inputs(instance))


def runs(quick: tuple[str, ...]) -> list[object]:
    """Every unit in both simulators; in Verilator few of them quickly."""
    return [
        pytest.param(
            unit, simulator, marks=[pytest.mark.slow] if simulator == "verilator" and unit not in quick else []
        )
        for unit in UNITS
        for simulator in ("icarus", "verilator")
    ]


@pytest.mark.parametrize(("unit", "simulator"), runs(QUICK_VERILATOR))
def test_every_unit_of_8_bit_words(unit: str, simulator: str, tmp_path: Path) -> None:
    need(simulator)
    instance = instances(load("madam8"), unit)[0]
    report = verify_instance(instance, simulator, build_root=tmp_path)
    check(report)
    assert "lns<8,3>" in report.instance
    assert report.exhaustive == (unit != "lns_linear_to_log")  # an accumulator has 24 bits
    assert report.transactions == 1 << input_bits(instance) if report.exhaustive else report.transactions >= 20_000


@pytest.mark.parametrize(("unit", "simulator"), runs(("lns_mul", "lns_add")))
def test_every_unit_of_16_bit_words(unit: str, simulator: str, tmp_path: Path) -> None:
    need(simulator)
    design = load("bmadam8" if unit == "lns_linear_to_log" else "log16")
    instance = instances(design, unit)[0]
    report = verify_instance(instance, simulator, seed=1, build_root=tmp_path)
    check(report)
    assert "lns<16,10>" in report.instance
    assert report.exhaustive == (input_bits(instance) <= 20) and report.transactions >= 20_000


def test_conversions_of_a_log_accumulator(tmp_path: Path) -> None:
    need("icarus")
    report = verify(load("madam8-log"), "lns_convert", seed=7, build_root=tmp_path, count=2000)
    assert report.passed, report.failures
    places = {one.label: one.instance for one in report.instances}
    assert places["activation+error+gradient"] == "lns<15,8> to lns<8,3> nearest"
    assert report.coverage["lns<15,8> to lns<8,3> nearest: tie, up to even"] > 0


@pytest.mark.parametrize("instance", EDGES, ids=lambda one: one.slug)
def test_every_table_kind_and_format_edge(instance: Instance, tmp_path: Path) -> None:
    need("icarus")
    report = verify_instance(instance, build_root=tmp_path)
    check(report)
    assert report.exhaustive and report.transactions == 1 << input_bits(instance)


def test_all_adders_of_a_design(tmp_path: Path) -> None:
    need("icarus")
    shown: list[InstanceReport] = []
    report = verify(load("madam8-log"), "lns_add", seed=7, build_root=tmp_path, count=500, on_instance=shown.append)
    assert report.passed, report.failures
    assert [one.label for one in report.instances] == ["activation", "accumulator", "moment", "loss"]
    assert tuple(shown) == report.instances and not report.exhaustive
    assert report.transactions == sum(one.transactions for one in shown)
    assert report.coverage["lns<8,3> full: cancellation"] == 254


def test_waves(tmp_path: Path) -> None:
    need("icarus")
    report = verify_instance(plain("lns_mul", "lns<4,1>"), waves=True, build_root=tmp_path)
    check(report)
    assert list(Path(report.build_dir).glob("*.fst"))


# --- planted bugs are found ----------------------------------------------------------------------------------------

# for each unit one instance, in which all values of its inputs show all of its bugs
BUG_INSTANCES = {
    "lns_mul": plain("lns_mul", "lns<8,3>"),
    "lns_add": adder("lns<8,3>"),
    "lns_convert": converter("lns<7,4>", "ulns<6,2>"),
    "lns_linear_to_log": to_log(8, "lns<5,1>", 4),
    **{unit: plain(unit, "lns<6,2>") for unit in ELEMENTWISE},
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
    ("order of equal words", "lns_max", "lns_max.v", "key_a >= key_b", "key_a > key_b"),
    ("order of magnitudes", "lns_max", "lns_max.v", "key_a >= key_b", "code_a >= code_b"),
    ("order of unsigned keys", "lns_max", "lns_max.v", "key_a >= key_b", "$unsigned(key_a) >= $unsigned(key_b)"),
    ("one's complement key", "lns_max", "lns_max.v", "? -code_b", "? ~code_b"),
    ("maximum keeps the sign of zero", "lns_max", "lns_max.v", "(larger[CodeBits-1:0] == '0) ? '0 : larger", "larger"),
]  # fmt: skip


def plant(folder: Path, file: str, good: str, bad: str) -> Path:
    """A copy of the Verilog with one place changed."""
    copy = folder / "rtl"
    shutil.copytree(data_dir("rtl"), copy)
    text = (copy / file).read_text("utf-8")
    assert text.count(good) == 1, f"{file} must have {good!r} once"
    (copy / file).write_text(text.replace(good, bad), "utf-8")
    return copy


@pytest.mark.parametrize(("unit", "file", "good", "bad"), [bug[1:] for bug in BUGS], ids=[bug[0] for bug in BUGS])
def test_a_planted_bug_is_found(unit: str, file: str, good: str, bad: str, tmp_path: Path) -> None:
    need("icarus")
    instance = BUG_INSTANCES[unit]
    report = verify_instance(instance, seed=3, rtl_dir=plant(tmp_path, file, good, bad), build_root=tmp_path)
    assert not report.passed and report.mismatches > 0
    assert report.transactions == 1 << input_bits(instance)
    first = report.failures[0]
    given = "acc = " if unit == "lns_linear_to_log" else "a = 0x"
    assert f"{unit} {instance}: {given}" in first and "expected 0x" in first and first.endswith("seed 3")


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
        (plain("lns_div", "lns<16,10>"), "lns_div.v", "(b_i[BITS-1] && !zero_b)", "b_i[BITS-1]"),
        (plain("lns_max", "lns<16,10>"), "lns_max.v", "key_a >= key_b", "key_a > key_b"),
    ],
    ids=lambda value: value.slug if isinstance(value, Instance) else "",
)  # fmt: skip
def test_a_planted_bug_is_found_without_random_operands(
    instance: Instance, file: str, good: str, bad: str, tmp_path: Path
) -> None:
    need("icarus")
    report = verify_instance(instance, rtl_dir=plant(tmp_path, file, good, bad), build_root=tmp_path, count=0)
    assert not report.passed and report.mismatches >= 1 and not report.exhaustive


def test_a_silent_design_does_not_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("icarus")
    benches = tmp_path / "cocotb"
    shutil.copytree(data_dir("cocotb"), benches, ignore=shutil.ignore_patterns("__pycache__"))
    wrapper = benches / "lns_lanes.v"
    wrapper.write_text(wrapper.read_text("utf-8").replace("<= valid_i;", "<= '0;"), "utf-8")
    monkeypatch.setattr(sim.verify.runner, "data_dir", lambda name: benches if name == "cocotb" else data_dir(name))
    report = verify_instance(plain("lns_mul", "lns<4,1>"), build_root=tmp_path)
    assert not report.passed and report.transactions == 0 and report.mismatches == 0
    assert "0 transactions were seen, 256 were planned" in report.failures


def test_verilog_that_does_not_build_is_an_error(tmp_path: Path) -> None:
    need("icarus")
    rtl = plant(tmp_path, "lns_mul.v", "endmodule", "endmodul")
    with pytest.raises(VerifyError, match=r"(?s)compared nothing.*lns_mul\.v"):
        verify_instance(plain("lns_mul", "lns<4,1>"), rtl_dir=rtl, build_root=tmp_path)


# --- other tools take the Verilog ----------------------------------------------------------------------------------


def verilog_value(value: int | str) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


@pytest.mark.parametrize("instance", [*preset_instances(), *EDGES], ids=lambda one: one.slug)
def test_lint(instance: Instance, tmp_path: Path) -> None:
    need("verilator")
    environment = tool_environment("verilator")
    executable = shutil.which("verilator", path=environment["PATH"])
    assert executable is not None
    settings = [f"-G{name}={verilog_value(value)}" for name, value in parameters(instance).items()]
    files = [str(data_dir("rtl") / name) for name in SOURCES[instance.unit]]
    command = [executable, "--lint-only", "-Wall", "--top-module", instance.unit, *settings, *files]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "%" not in done.stderr, done.stderr


def test_no_lint_waivers() -> None:
    for path in data_dir("rtl").iterdir():
        assert path.suffix != ".vlt" and "lint_off" not in path.read_text("utf-8"), path


@pytest.mark.parametrize("instance", [*preset_instances(), *EDGES], ids=lambda one: one.slug)
def test_synthesis(instance: Instance, tmp_path: Path) -> None:
    if shutil.which("yosys") is None:
        pytest.skip("Yosys is not installed: apt install yosys")
    roms = rom_images(instance)
    for name, text in {"lane.v": lane_text(instance), **roms}.items():
        (tmp_path / name).write_text(text, "utf-8")
    files = " ".join(str(data_dir("rtl") / name) for name in SOURCES[instance.unit])
    # to gates; a large ROM takes ten seconds and shows nothing that a smaller one does not: it stays a memory
    large = any(text.count("\n") > 4096 for text in roms.values())
    script = [
        f"read_verilog -sv -defer {files} lane.v",
        f"synth -flatten -top lns_lane {'-run :fine' if large else ''}",
        "select -assert-none t:$_DLATCH* t:$_SR_* t:$_DFF* t:$dlatch* t:$sr t:$dff* t:$adff*",
        *([] if large else ["select -assert-none t:$mem*"]),
        *([] if instance in WIRES else ["select -assert-any t:*"]),
        "check -assert",
    ]
    (tmp_path / "synth.ys").write_text("\n".join(script) + "\n", "utf-8")
    done = subprocess.run(["yosys", "-q", "-s", "synth.ys"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout + done.stderr, done.stdout + done.stderr


# --- instances and the command -------------------------------------------------------------------------------------


def test_instances_are_distinct_and_name_their_places() -> None:
    found = [(one.label, str(one)) for one in instances(load("log16"), "lns_add")]
    assert found == [
        ("activation+accumulator", "lns<16,10> full"), ("moment", "ulns<18,11> full"), ("loss", "ulns<16,10> full"),
    ]  # fmt: skip
    found = [(one.label, str(one)) for one in instances(load("bmadam8"), "lns_mul")]
    assert found == [("activation+error+gradient", "lns<16,10>"), ("operand", "lns<9,5>")]
    found = [(one.label, str(one)) for one in instances(load("log16"), "lns_convert")]
    assert found == [
        ("operand", "lns<16,13> to lns<16,10> nearest"),
        ("activation+error+gradient", "lns<16,10> to lns<16,10> nearest"),
    ]
    down = load("madam8").override({"conversion.rounding": "down", "formats.error": "lns<9,4>"})
    (one,) = instances(down, "lns_convert")
    assert str(one) == "lns<12,9> to lns<8,3> down" and parameters(one)["ROUND"] == 1
    found = [(one.label, str(one)) for one in instances(down, "lns_linear_to_log")]
    assert found == [
        ("activation+gradient", "24 bits to lns<8,3>, index 7"), ("error", "24 bits to lns<9,4>, index 8"),
    ]  # fmt: skip
    with pytest.raises(VerifyError, match="no bench for 'lns_sub'"):
        instances(load("log16"), "lns_sub")


def test_a_design_has_only_the_units_that_it_needs() -> None:
    assert units_of(load("madam8")) == list(UNITS)
    assert units_of(load("madam8-log")) == [unit for unit in UNITS if unit != "lns_linear_to_log"]
    assert "lns_convert" not in units_of(load("bmadam8"))  # weights are multiplied as they are stored
    with pytest.raises(MissingUnit, match="design log16 has no lns_linear_to_log; it has lns_mul, "):
        verify(load("log16"), "lns_linear_to_log")


@pytest.mark.parametrize("instance", [*preset_instances(), *EDGES], ids=lambda one: one.slug)
def test_ports_are_the_module_s(instance: Instance) -> None:
    assert Instance.from_dict(json.loads(json.dumps(instance.to_dict()))) == instance
    text = (data_dir("rtl") / f"{instance.unit}.v").read_text("utf-8")
    header = text[: text.index(");\n\n")]
    assert re.findall(r"input .*?(\w+_i)\b", header) == [port.name for port in inputs(instance)]
    assert re.findall(r"output .*?(\w+_o)\b", header) == [port.name for port in outputs(instance)]
    flags = [f"{event.name}_o".lower() for event in Event]
    names = [port.name for port in outputs(instance)]
    assert [name for name in flags if name in names] == [name for name in names if name in flags]


def test_unsigned_adders_have_no_rom_for_differences() -> None:
    assert set(rom_images(adder("ulns<8,3>"))) == {"sb.memh"}
    assert set(rom_images(adder("lns<8,3>"))) == {"sb.memh", "db.memh"}


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


def test_command_prints_a_table_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    need("icarus")
    assert run(arguments("madam8", "--unit", "lns_mul")) == 0
    table = capsys.readouterr().out
    assert "lns<8,3>" in table and "65536" in table and "passed" in table
    assert run(arguments("madam8", "--unit", "lns_mul", "--json", "--seed", "5")) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report["passed"] and report["seed"] == 5 and report["mismatches"] == 0
    assert report["instances"][0]["exhaustive"]


def test_command_reports_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    need("icarus")
    rtl = plant(tmp_path, *BUGS[0][2:])
    monkeypatch.setattr(sim.verify.runner, "data_dir", lambda name: rtl if name == "rtl" else data_dir(name))
    assert run(arguments("madam8", "--unit", "lns_mul")) == 1
    printed = capsys.readouterr().out
    assert "FAILED" in printed and "expected 0x7f" in printed


def test_command_refuses_what_is_not_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments("madam9")) == 2
    assert "did you mean 'madam8'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        arguments("madam8", "--unit", "lns_sub")
    assert ended.value.code == 2
    assert run(arguments("log16", "--unit", "lns_linear_to_log")) == 2
    assert "design log16 has no lns_linear_to_log" in capsys.readouterr().err
    monkeypatch.setenv("PATH", "")
    assert run(arguments("madam8")) == 2
    assert "apt install iverilog" in capsys.readouterr().err


def test_verilog_and_benches_are_found() -> None:
    assert (data_dir("rtl") / "lns_mul.v").is_file()
    assert (data_dir("cocotb") / "test_lns_mul.py").is_file()
