"""The Verilog units against the definition; and whether planted bugs are found."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
from pathlib import Path

import pytest

import sim.verify.runner
from lns.design import load, preset_names
from lns.format import LNSFormat
from lns.gausslog import TableKind
from sim.paths import data_dir
from sim.verify.command import add_arguments, run
from sim.verify.runner import InstanceReport, MissingTool, tool_environment, verify, verify_instance
from sim.verify.units import SOURCES, Instance, VerifyError, instances, parameters, rom_images

PORTS = ("a_i", "b_i", "word_o", "saturate_o", "underflow_o")


def adder(fmt: str, kind: str = "full") -> Instance:
    return Instance("lns_add", "test", LNSFormat.parse(fmt), TableKind.parse(kind))


def multiplier(fmt: str) -> Instance:
    return Instance("lns_mul", "test", LNSFormat.parse(fmt))


KINDS = [
    adder("lns<8,3>", "coarse<0>"), adder("lns<8,3>", "coarse<2>"), adder("lns<8,3>", "coarse<9>"),
    adder("lns<8,3>", "linear<1,1>"), adder("lns<8,3>", "linear<3,8>"), adder("lns<8,3>", "linear<9,2>"),
    adder("lns<8,3>", "mitchell"), adder("lns<8,0>", "mitchell"), adder("lns<8,6>"), adder("lns<2,0>"),
    adder("ulns<8,4>"), adder("ulns<8,4>", "linear<2,4>"), multiplier("ulns<8,4>"), multiplier("lns<2,0>"),
]  # fmt: skip


def preset_instances() -> list[Instance]:
    """The distinct instances of all presets."""
    found = [one for name in preset_names() for unit in SOURCES for one in instances(load(name), unit)]
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


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize("unit", SOURCES)
def test_every_pair_of_8_bit_words(unit: str, simulator: str, tmp_path: Path) -> None:
    need(simulator)
    report = verify_instance(instances(load("madam8"), unit)[0], simulator, build_root=tmp_path)
    check(report)
    assert report.exhaustive and report.transactions == 1 << 16
    assert report.instance.startswith("lns<8,3>")


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize("unit", SOURCES)
def test_16_bit_words_at_random_and_at_corners(unit: str, simulator: str, tmp_path: Path) -> None:
    need(simulator)
    report = verify_instance(instances(load("log16"), unit)[0], simulator, seed=1, build_root=tmp_path)
    check(report)
    assert not report.exhaustive and report.transactions >= 20_000
    assert report.instance.startswith("lns<16,10>")


@pytest.mark.parametrize("instance", KINDS, ids=lambda one: one.slug)
def test_every_table_kind_and_format_edge(instance: Instance, tmp_path: Path) -> None:
    need("icarus")
    report = verify_instance(instance, build_root=tmp_path)
    check(report)
    assert report.exhaustive and report.transactions == 1 << 2 * instance.format.bits


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
    report = verify_instance(multiplier("lns<4,1>"), waves=True, build_root=tmp_path)
    check(report)
    assert list(Path(report.build_dir).glob("*.fst"))


# --- planted bugs are found ----------------------------------------------------------------------------------------

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
    instance = instances(load("madam8"), unit)[0]
    report = verify_instance(instance, seed=3, rtl_dir=plant(tmp_path, file, good, bad), build_root=tmp_path)
    assert not report.passed and report.mismatches > 0
    assert report.transactions == 1 << 16
    first = report.failures[0]
    assert f"{unit} lns<8,3>" in first and "a = 0x" in first and "expected 0x" in first and first.endswith("seed 3")


def test_a_planted_bug_is_found_among_random_pairs(tmp_path: Path) -> None:
    need("icarus")
    bad = "initial begin $readmemh(ROM_FILE, rom); rom[7321] = rom[7321] ^ 1; end"
    rtl = plant(tmp_path, "lns_gausslog.v", "initial $readmemh(ROM_FILE, rom);", bad)
    report = verify_instance(adder("lns<16,10>"), rtl_dir=rtl, build_root=tmp_path, count=0)
    assert not report.passed and report.mismatches >= 2  # sb and db alike: the sweep reads every entry


def test_a_silent_design_does_not_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("icarus")
    benches = tmp_path / "cocotb"
    shutil.copytree(data_dir("cocotb"), benches, ignore=shutil.ignore_patterns("__pycache__"))
    wrapper = benches / "lns_lanes.v"
    wrapper.write_text(wrapper.read_text("utf-8").replace("<= valid_i;", "<= '0;"), "utf-8")
    monkeypatch.setattr(sim.verify.runner, "data_dir", lambda name: benches if name == "cocotb" else data_dir(name))
    report = verify_instance(multiplier("lns<4,1>"), build_root=tmp_path)
    assert not report.passed and report.transactions == 0 and report.mismatches == 0
    assert "0 transactions were seen, 256 were planned" in report.failures


def test_verilog_that_does_not_build_is_an_error(tmp_path: Path) -> None:
    need("icarus")
    rtl = plant(tmp_path, "lns_mul.v", "endmodule", "endmodul")
    with pytest.raises(VerifyError, match=r"(?s)compared nothing.*lns_mul\.v"):
        verify_instance(multiplier("lns<4,1>"), rtl_dir=rtl, build_root=tmp_path)


# --- other tools take the Verilog ----------------------------------------------------------------------------------


def verilog_value(value: int | str) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


@pytest.mark.parametrize("instance", [*preset_instances(), *KINDS], ids=lambda one: one.slug)
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


@pytest.mark.parametrize("instance", [*preset_instances(), *KINDS], ids=lambda one: one.slug)
def test_synthesis(instance: Instance, tmp_path: Path) -> None:
    if shutil.which("yosys") is None:
        pytest.skip("Yosys is not installed: apt install yosys")
    for name, text in rom_images(instance).items():
        (tmp_path / name).write_text(text, "utf-8")
    settings = ", ".join(f".{name}({verilog_value(value)})" for name, value in parameters(instance).items())
    ports = ", ".join(f".{port}({port})" for port in PORTS)
    word = f"logic [{instance.format.bits - 1}:0]"
    (tmp_path / "top.v").write_text(
        f"module top(input {word} a_i, b_i, output {word} word_o, output logic saturate_o, underflow_o);\n"
        f"{instance.unit} #({settings}) u_unit ({ports});\nendmodule\n",
        "utf-8",
    )
    files = " ".join(str(data_dir("rtl") / name) for name in SOURCES[instance.unit])
    # to gates; a large ROM takes ten seconds and shows nothing that a smaller one does not: it stays a memory
    large = any(isinstance(v, int) and v > 4096 for name, v in parameters(instance).items() if name.endswith("ENTRIES"))
    script = [
        f"read_verilog -sv -defer {files} top.v",
        f"synth -flatten -top top {'-run :fine' if large else ''}",
        "select -assert-none t:$_DLATCH* t:$_SR_* t:$_DFF* t:$dlatch* t:$sr t:$dff* t:$adff*",
        *([] if large else ["select -assert-none t:$mem*"]),
        "select -assert-any t:*",
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
    with pytest.raises(VerifyError, match="no bench for 'lns_sub'"):
        instances(load("log16"), "lns_sub")


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
    monkeypatch.setenv("PATH", "")
    assert run(arguments("madam8")) == 2
    assert "apt install iverilog" in capsys.readouterr().err


def test_verilog_and_benches_are_found() -> None:
    assert (data_dir("rtl") / "lns_mul.v").is_file()
    assert (data_dir("cocotb") / "test_lns_mul.py").is_file()
