"""The Verilog bundle of a design: complete, usable without Python, and its checks can fail."""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lns.design import Design, DesignError, load
from lns.files import read_memh
from lns.gausslog import rom_width, table
from sim.cli import main
from sim.rtl import command
from sim.rtl.bundle import MARKER, Bundle, BundleError, build, instance_names, write
from sim.rtl.command import add_arguments, run
from sim.rtl.limits import MOST_ROM_BITS, check_roms, rom_sizes
from sim.verify.tools import tool_environment
from sim.verify.unit import VerifyError
from sim.verify.units import instances

# what an architect's machine has; no Python among it
SHELL = ("make", "sh", "awk", "cat", "grep", "mkdir", "rm", "sha256sum", "tail", "tr", "wc")
TOOLS = ("iverilog", "vvp", "yosys")
YOSYS_ABC = ("berkeley-abc", "yosys-abc")  # one of them is what Yosys calls


def small(preset: str) -> Design:
    """A preset with tables that are soon swept."""
    coarse = {"update.table": "coarse<7>", "loss.table": "coarse<6>", "adder.table": "coarse<3>"}
    if load(preset).accumulator.kind == "log":
        coarse["accumulator.table"] = "coarse<6>"
    return load(preset).override(coarse)


@pytest.fixture(scope="module", params=["madam8-small", "log16"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return build(small(request.param), 40, 1)


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path) -> Path:
    """A bundle that was written in one place and copied to another."""
    write(bundle, tmp_path / "written", False)
    shutil.move(tmp_path / "written", tmp_path / "copied")
    return tmp_path / "copied"


@pytest.fixture(scope="module")
def smallest() -> Bundle:
    return build(small("madam8-small"), 5, 3)


@pytest.fixture
def tiny(smallest: Bundle, tmp_path: Path) -> Path:
    """A bundle for tests of one bench."""
    write(smallest, tmp_path / "tiny", False)
    return tmp_path / "tiny"


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of links to the tools, the one entry of PATH."""
    links = tmp_path_factory.mktemp("bin")
    for tool in (*SHELL, *TOOLS):
        found = shutil.which(tool)
        assert found, f"{tool} is not installed"
        (links / tool).symlink_to(found)
    for tool in YOSYS_ABC:
        if found := shutil.which(tool):
            (links / tool).symlink_to(found)
    return links


def verilator() -> tuple[str, dict[str, str]]:
    """Verilator's program and environment."""
    environment = tool_environment("verilator")
    program = shutil.which("verilator_bin", path=environment["PATH"])
    assert program
    return program, {name: value for name, value in environment.items() if name == "VERILATOR_ROOT"}


def make(folder: Path, path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {"PATH": str(path), "LC_ALL": "C", **environment}
    return subprocess.run(
        [str(path / "make"), *arguments], cwd=folder, env=own, capture_output=True, text=True, timeout=280
    )


def test_the_path_has_no_python(path: Path) -> None:
    done = subprocess.run([str(path / "sh"), "-c", "command -v python python3"], env={"PATH": str(path)})
    assert done.returncode != 0


# --- what is in it


def test_every_listed_file_is_there_and_no_other(bundle: Bundle, folder: Path) -> None:
    there = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert there == set(bundle.files)
    sums = (folder / "SHA256SUMS").read_text().splitlines()
    assert {line.split("  ")[1] for line in sums} == there - {"SHA256SUMS"}
    listed = [line for line in (folder / f"{bundle.name}.f").read_text().splitlines() if not line.startswith("//")]
    assert set(listed) == {name for name in there if name.startswith("rtl/")}
    for one in bundle.instances:
        assert {f"rtl/{one.name}.v", f"tb/{one.name}_tb.v"} <= there
        assert f"### {one.name}\n" in (folder / "README.md").read_text()


def test_names_of_images_are_paths_from_the_root(bundle: Bundle) -> None:
    verilog = "\n".join(text for name, text in bundle.files.items() if name.endswith(".v"))
    named = set(re.findall(r'"(.*\.memh)"', verilog))
    assert named and named <= set(bundle.files)
    unread = {name for name in bundle.files if name.endswith(".memh")} - named
    assert {re.sub(r"_[0-9a-f]{8}", "", name) for name in unread} == {"rom/correction.memh"}


def test_roms_are_one_file_a_content(bundle: Bundle) -> None:
    roms = [text for name, text in bundle.files.items() if name.startswith("rom/")]
    assert len(set(roms)) == len(roms)
    for text in roms:
        read_memh(text)  # the header's checksum


def test_the_parameter_file_has_every_parameter(bundle: Bundle, folder: Path, path: Path) -> None:
    macros = re.findall(r"`define (\w+) ", (folder / f"{bundle.name}_parameters.vh").read_text())
    assert len(set(macros)) == len(macros)
    design = Design.from_toml((folder / "design.toml").read_text())
    prefix = bundle.name.upper()
    expected = {f"{prefix}_WEIGHT_BITS": design.formats.weight.bits, f"{prefix}_HEADROOM": design.offsets.headroom}
    for one in bundle.instances:
        for name, value in one.parameters().items():
            expected[f"{one.name}__{name}".upper()] = value
    prints = "".join(f'  $display("{name} ", `{name});\n' for name in macros)
    include = f'`include "{bundle.name}_parameters.vh"'
    (folder / "use.v").write_text(f"{include}\nmodule use_it; initial begin\n{prints}end endmodule\n")
    subprocess.run([path / "iverilog", "-g2012", "-o", "use", "use.v"], cwd=folder, check=True)
    done = subprocess.run([path / "vvp", "-n", "use"], cwd=folder, check=True, capture_output=True, text=True)
    printed = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert set(printed) == set(macros)
    assert {name: printed[name].strip() for name in expected} == {name: str(value) for name, value in expected.items()}


def test_the_core_lists_files_that_are_there(bundle: Bundle) -> None:
    text = bundle.files[f"{bundle.name}.core"]
    assert text.startswith("CAPI=2:\n")
    if importlib.util.find_spec("yaml") is None:
        listed = re.findall(r"^ {6}- ([^:\n]+)", text, re.MULTILINE)
        targets = re.findall(r"^  (\w+): &\w+$", text[text.index("\ntargets:") :], re.MULTILINE)
    else:
        import yaml

        core = yaml.safe_load(text)
        files = [one for fileset in core["filesets"].values() for one in fileset["files"]]
        listed = [one if isinstance(one, str) else next(iter(one)) for one in files]
        targets = list(core["targets"])
        assert all(core["targets"][f"sim_{one.name}"]["toplevel"] == f"{one.name}_tb" for one in bundle.instances)
    assert {"default", "lint", "sim", "synth"} <= set(targets)
    suffixes = (".v", ".vh", ".memh")
    unread = {name for name in bundle.files if name.endswith(suffixes)} - set(listed)
    assert set(listed) <= set(bundle.files) and not unread


def test_the_same_design_gives_the_same_bundle(smallest: Bundle) -> None:
    assert build(small("madam8-small"), 5, 3).files == smallest.files


def test_names_are_legal_and_apart() -> None:
    units = instances(small("madam8-small"))
    names = instance_names('../8 bits: "ä" é', [*units, *units])
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"design_8_bits_[a-z0-9_]+", name) for name in names)
    modules = {unit.module for unit in units}
    for ours in ("lns", "LNS_loss"):
        assert all(name.startswith("design_lns_") for name in instance_names(ours, units))
        assert not modules & set(instance_names(ours, units))


# --- its commands


def test_sim_and_check_pass_without_python(bundle: Bundle, folder: Path, path: Path) -> None:
    done = make(folder, path, "check")
    assert done.returncode == 0, done.stderr
    done = make(folder, path, "-k", "sim")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("PASSED")] == [
        one.name for one in bundle.instances
    ]
    assert f"sim: {len(bundle.instances)} benches passed in icarus" in done.stdout


def test_every_wrapper_lints(bundle: Bundle, folder: Path, path: Path) -> None:
    program, environment = verilator()
    done = make(folder, path, "-k", "lint", f"VERILATOR={program}", **environment)
    assert done.returncode == 0, done.stderr
    assert f"lint: {len(bundle.instances)} wrappers without a warning" in done.stdout


def test_lint_reports_a_warning(tiny: Path, path: Path) -> None:
    program, environment = verilator()
    file = tiny / "rtl" / "lns_mul.v"
    file.write_text(file.read_text().replace("endmodule", "  logic forgotten;\nendmodule"))
    arguments = ("lint", f"VERILATOR={program}", "UNIT=madam8_small_mul_activation")
    done = make(tiny, path, *arguments, **environment)
    assert done.returncode != 0 and "forgotten" in done.stderr


def test_synthesis_counts_cells(tiny: Path, path: Path) -> None:
    done = make(tiny, path, "synth", "UNIT=madam8_small_add_activation")
    assert done.returncode == 0, done.stderr
    found = re.search(r"madam8_small_add_activation: (\d+) cells", done.stdout)
    assert found and int(found[1]) > 50
    assert (tiny / "build/synth/madam8_small_add_activation.v").stat().st_size > 1000


@pytest.mark.slow
def test_one_verilator_bench_passes_and_a_wrong_one_fails(tiny: Path) -> None:
    program, environment = verilator()
    arguments = ("sim", "SIM=verilator", f"VERILATOR={program}", "UNIT=madam8_small_add_activation")
    tools = Path(shutil.which("make") or "").parent  # and the compiler
    done = make(tiny, tools, *arguments, **environment)
    assert done.returncode == 0 and "1 benches passed in verilator" in done.stdout, done.stdout + done.stderr
    corrupt_adder(tiny)
    done = make(tiny, tools, *arguments, **environment)
    assert done.returncode != 0 and "FAILED" in done.stderr


# --- what its checks find


def corrupt_adder(folder: Path) -> None:
    """A saturation that never happens."""
    file = folder / "rtl" / "lns_range.v"
    text = file.read_text()
    changed = re.sub(r"assign saturate_o(\s*)= .*;", r"assign saturate_o\1= 1'b0;", text)
    assert changed != text
    file.write_text(changed)


def test_sim_fails_on_wrong_verilog(tiny: Path, path: Path) -> None:
    corrupt_adder(tiny)
    done = make(tiny, path, "sim", "UNIT=madam8_small_add_activation")
    assert done.returncode != 0 and "FAILED" in done.stderr
    assert make(tiny, path, "check").returncode != 0


def test_sim_fails_on_verilog_that_does_not_compile(tiny: Path, path: Path) -> None:
    (tiny / "rtl" / "lns_add.v").write_text("module lns_add(\n")
    done = make(tiny, path, "sim", "UNIT=madam8_small_add_activation")
    assert done.returncode != 0 and "syntax error" in done.stderr


def test_a_changed_rom_fails_check_and_sim(tiny: Path, path: Path) -> None:
    rom = re.search(r'SB_FILE\("(.*)"\)', (tiny / "rtl/madam8_small_add_activation.v").read_text())
    assert rom
    lines = (tiny / rom[1]).read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if not line.startswith("//"))
    lines[first] = f"{int(lines[first], 16) ^ 1:x}"
    (tiny / rom[1]).write_text("\n".join(lines) + "\n")
    done = make(tiny, path, "check")
    assert done.returncode != 0 and rom[1] in done.stderr
    assert make(tiny, path, "sim", "UNIT=madam8_small_add_activation").returncode != 0


@pytest.mark.parametrize("kind", ["stimuli", "expected"])
@pytest.mark.parametrize("cut", [True, False])
def test_sim_fails_without_all_of_its_vectors(tiny: Path, path: Path, kind: str, cut: bool) -> None:
    """Unknown results would agree with unknown expectations."""
    vectors = tiny / f"tb/madam8_small_mul_activation_tb_{kind}.memh"
    if cut:
        vectors.write_text("".join(vectors.read_text().splitlines(keepends=True)[:-5]))
    else:
        for one in ("stimuli", "expected"):
            (tiny / f"tb/madam8_small_mul_activation_tb_{one}.memh").unlink()
    assert make(tiny, path, "sim", "UNIT=madam8_small_mul_activation").returncode != 0


def test_a_missing_tool_and_a_wrong_name_are_one_line(tiny: Path, path: Path) -> None:
    for arguments, words in (
        (("lint", "VERILATOR=no-such-tool"), "no-such-tool was not found: install Verilator"),
        (("sim", "IVERILOG=no-such-tool"), "no-such-tool was not found: install Icarus"),
        (("synth", "YOSYS=no-such-tool"), "no-such-tool was not found: install Yosys"),
        (("sim", "UNIT=nobody"), "there is no UNIT nobody"),
        (("sim", "SIM=nobody"), "SIM must be icarus or verilator"),
    ):
        done = make(tiny, path, *arguments)
        messages = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
        assert done.returncode == 2 and len(messages) == 1 and words in messages[0], done.stderr


# --- the command


def arguments(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(given)


def test_the_command_writes_and_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "small.toml"
    file.write_text(small("madam8-small").to_toml())
    out = tmp_path / "made" / "bundle"
    assert run(arguments(str(file), "-o", str(out), "--vectors", "3", "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["files"] == sum(path.is_file() for path in out.rglob("*"))
    assert told["vectors"] == 3 and told["instances"]
    assert json.loads((out / MARKER).read_text())["instances"] == told["instances"]
    assert [path.name for path in out.parent.iterdir()] == ["bundle"]  # nothing temporary stays


def test_what_the_command_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line, as every command does."""
    out, file = tmp_path / "bundle", tmp_path / "file"
    file.touch()

    def no_unit(*_: object) -> Bundle:
        raise VerifyError("there is no unit")

    for design, target, said in (("no-such-design", out, "no-such-design"), ("madam8", file, f"{file}: is a file")):
        assert main(["rtl", design, "-o", str(target)]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and lines[0].startswith("lns: error: ") and said in lines[0]
    monkeypatch.setattr(command, "build", no_unit)
    assert main(["rtl", "madam8", "-o", str(out)]) == 2
    assert capsys.readouterr().err == "lns: error: there is no unit\n"
    assert not out.exists()


def test_a_folder_in_use_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Bundle("one", (), {MARKER: "{}", "new": "1"})
    used = tmp_path / "used"
    used.mkdir()
    write(made, used, False)  # an empty folder is as good as none
    with pytest.raises(BundleError, match="--force"):
        write(made, used, False)
    (used / "built").write_text("by the user")
    write(made, used, True)
    assert {path.name for path in used.iterdir()} == {MARKER, "new"}
    (used / MARKER).unlink()
    with pytest.raises(BundleError, match="no bundle"):
        write(made, used, True)
    with pytest.raises(BundleError, match="is a file"):
        write(made, used / "new", True)
    monkeypatch.chdir(used)
    with pytest.raises(BundleError, match="current folder"):
        write(made, Path("."), True)
    assert [path.name for path in used.iterdir()] == ["new"]


# --- absurd tables


def test_rom_sizes_are_those_of_the_tables() -> None:
    """Never below what is built, and near it."""
    for kind in ("full", "coarse<2>", "linear<3,6>"):
        for frac_bits in (1, 3, 6, 8, 10):
            design = load("log16").override({"formats.activation": f"lns<16,{frac_bits}>", "adder.table": kind})
            built = table(design.adder.table, frac_bits)
            told = {size.name.rsplit(" ", 1)[1]: size for size in rom_sizes(design) if size.name.startswith("adder.")}
            for name, rom in built.roms.items():
                size = told[name.removesuffix("_base").removesuffix("_slope")]
                assert rom.size <= size.entries <= rom.size + 2, (kind, frac_bits, name)
                assert rom_width(rom) <= size.width, (kind, frac_bits, name)


def test_absurd_tables_are_refused_before_they_are_built() -> None:
    for preset in ("madam8", "madam8-small", "madam8-log", "log16", "bmadam8", "bmadam12"):
        check_roms(load(preset))
    moment = {"update.moment": "ulns<24,17>"}
    with pytest.raises(DesignError, match=r"update\.table, a full table at F = 17: ROM sb .* Mbit.*coarse<k>"):
        build(load("madam8").override(moment), 1, 0)
    check_roms(load("madam8").override(moment | {"update.table": "coarse<8>"}))
    wide = {"update.moment": "ulns<24,15>"}
    check_roms(load("madam8").override(wide))
    assert max(size.bits for size in rom_sizes(load("madam8").override(wide))) < MOST_ROM_BITS
