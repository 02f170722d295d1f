"""Planted faults: which ones there are, and whether what becomes of them is told right."""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import re
from collections import Counter
from pathlib import Path

import pytest
from verilog import planted

from lns.design import load
from lns.format import LNSFormat
from sim.paths import data_dir
from sim.verify import mutate as command
from sim.verify.mutant_bench import Bench
from sim.verify.mutants import FAULTS, Mutant, mutants, table_mutants
from sim.verify.mutate import Explanation, Settings, explanations, mutate
from sim.verify.prove.engine import check_tools
from sim.verify.targets import TARGETS, Exercise, exercises, targets_of
from sim.verify.tools import MissingTool, tool_environment
from sim.verify.unit import Unit, VerifyError
from sim.verify.units.codec import EncodeFloat
from sim.verify.units.elementwise import Mul, Relu
from sim.verify.units.update import Lfsr, Step

HEADER = "module m #(parameter int W = 4) (\n  input logic [W-1:0] a_i, output logic [W-1:0] b_o\n);\n"


@pytest.fixture(autouse=True)
def tools() -> None:
    try:
        tool_environment("icarus")
        check_tools()
    except MissingTool as error:
        pytest.skip(str(error))


def edits(body: str, ports: str = "") -> set[tuple[str, str]]:
    """Class and changed line of every fault of a module's body."""
    text = f"{HEADER.replace('a_i', f'a_i{ports}')}{body}\nendmodule\n"
    return {(mutant.fault, mutant.after) for mutant in mutants("m.v", text)}


# --- the generator -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "fault", "after"),
    [
        ("assign x = a + 2;", "operator", ["assign x = a - 2;"]),
        ("assign x = a + 2;", "constant", ["assign x = a + 3;", "assign x = a + 1;"]),
        ("assign x = '0;", "constant", ["assign x = '1;"]),
        ("assign x = 1'b1;", "constant", ["assign x = 1'b0;"]),
        ("assign x = 8'hff;", "constant", ["assign x = 8'h0;", "assign x = 8'hfe;"]),
        ("assign x = a & b;", "operator", ["assign x = a | b;"]),
        ("assign x = a || b;", "operator", ["assign x = a && b;"]),
        ("assign x = a ^ b;", "operator", ["assign x = a | b;"]),
        ("assign x = a >>> b;", "operator", ["assign x = a >> b;"]),
        ("assign x = -a;", "operator", ["assign x = a;"]),
        ("assign x = ~a;", "operator", ["assign x = a;"]),
        ("assign x = a ? b : (c ? d : e);", "operator",
         ["assign x = a ? (c ? d : e) : b;", "assign x = a ? b : (c ? e : d);"]),
        ("assign x = a > b;", "comparison", ["assign x = a >= b;", "assign x = a < b;"]),
        ("assign x = a <= b;", "comparison", ["assign x = a < b;", "assign x = a > b;"]),
        ("assign x = a == b;", "comparison", ["assign x = a != b;"]),
        ("for (int i = 0; i < W; i++) begin", "comparison",
         ["for (int i = 0; i <= W; i++) begin", "for (int i = 0; i > W; i++) begin"]),
        ("assign code = floor + half;", "rounding", ["assign code = floor - half;"]),
    ],
)  # fmt: skip
def test_each_edit(line: str, fault: str, after: list[str]) -> None:
    found = edits(line)
    assert {text for name, text in found if name == fault} == set(after)


def test_events_and_handshakes_have_classes_of_their_own() -> None:
    saturation = edits("assign b_o = above ? '1 : a_i;", ports=", saturate_o")
    values = ("1'b0 ? '1 : a_i", "above ? a_i : '1", "above ? '0 : a_i")
    assert saturation == {("saturation", f"assign b_o = {value};") for value in values}
    process = """\
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      busy_q <= '0;
    end else if (valid_i && ready_o) begin
      busy_q <= a_i;
    end
  end"""
    assert edits(process, ports=", clk_i") == {
        ("reset", "if (rst_ni) begin"), ("reset", "busy_q <= '1;"),
        *(("handshake", f"end else if ({condition}) begin") for condition in (
            "valid_i || ready_o", "1'b0 && ready_o", "1'b1 && ready_o", "valid_i && 1'b0", "valid_i && 1'b1"
        )),
    }  # fmt: skip


def test_what_is_no_circuit_stays() -> None:
    body = """\
  // a + b > 3 && c
  /* a - b */
  localparam int Width = W + 1;
  logic [Width-1:0] x, y;
  genvar i;
`ifndef SYNTHESIS
  initial if (W < 1) $fatal(1, "W must be 1 + 1, got %0d", W);
`endif
  function automatic logic f(input logic [W-1:0] z);
  endfunction
  initial $readmemh("a+1.memh", rom);
  assign b_o = 3'(a_i);
  assign x = (W + 1)'(y);"""
    assert edits(body) == set()
    assert edits("always_ff @(posedge a) x <= y;") == set()  # no comparison


def test_connections_of_instances() -> None:
    instance = "lns_range #(\n.SIGNED(0)\n) u_range (\n.zero_i(a && above),\n.code_i(b),\n.word_o(above)\n);"
    found = edits(instance, ports=", saturate_o")
    assert found == {
        ("constant", ".SIGNED(1)"), ("constant", ".code_i('0),"),
        ("saturation", ".zero_i(a || above),"), ("saturation", ".zero_i(a && 1'b0),"),
    }  # fmt: skip


def test_faults_of_the_package() -> None:
    classes: Counter[str] = Counter()
    for path in sorted(data_dir("rtl").glob("*.v")):
        text = path.read_text("utf-8")
        found = mutants(path.name, text)
        classes.update(mutant.fault for mutant in found)
        assert len({mutant.text for mutant in found}) == len(found)
        lines = text.splitlines()
        for mutant in found:
            changed = mutant.text.splitlines()
            at = mutant.line - 1
            assert mutant.text != text and lines[:at] == changed[:at]
            assert lines[at].split()[0] == mutant.before.split()[0]
        # nothing but a test before synthesis, and a list of ports, has these
        assert not any(re.search(r"\$fatal|parameter|^input|^output", mutant.before) for mutant in found)
    assert set(classes) == set(FAULTS) - {"table"} and min(classes.values()) >= 10


def test_flipped_bits_of_images() -> None:
    images = exercises(load("madam8"), "lns_term")[0].unit.roms()
    (name, image), = images.items()
    found = table_mutants(random.Random(0), 8, "here", images)
    assert len(found) == 8 == len({mutant.text for mutant in found})
    for mutant in found:
        assert (mutant.file, mutant.fault, mutant.instance) == (name, "table", "here")
        words, changed = (
            [int(line, 16) for line in text.splitlines() if not line.startswith("//")] for text in (image, mutant.text)
        )
        assert sorted((a ^ b).bit_count() for a, b in zip(words, changed, strict=True))[-2:] == [0, 1]


def test_every_file_is_a_target() -> None:
    assert {path.stem for path in data_dir("rtl").glob("*.v")} == set(TARGETS)
    for preset in ("madam8", "madam8-small", "log16"):
        design = load(preset)
        for target in targets_of(design):
            own = exercises(design, target)
            assert own and len({exercise.slug for exercise in own}) == len(own)


# --- verdicts ------------------------------------------------------------------------------------------------------


def verdicts(score: command.Score, after: str) -> set[str]:
    return {one.verdict for one in score.outcomes if one.mutant.after == after}


def one_vector(exercise: Exercise, folder: Path, seed: int, rtl_dir: Path | None) -> Bench:
    """A bench that drives nothing but 1.0 times 1.0."""
    folder = folder / exercise.slug
    folder.mkdir()
    fmt = LNSFormat.parse("lns<6,2>")
    bench = Bench(exercise, folder, (((fmt.bias, fmt.bias),),), False, rtl_dir)
    bench.write()
    return bench


def test_an_equivalent_mutant_is_recognised(tmp_path: Path) -> None:
    # with 0 ^ 0 and 0 | 0 alike, and a term that is never used
    rtl = planted(tmp_path, "lns_relu.v", "assign word_o = a_i;", "assign word_o = a_i ^ (a_i & '0);")
    exercise = Exercise(Relu(LNSFormat.parse("ulns<5,2>")))
    score = mutate("lns_relu", [exercise], Settings(jobs=2, rtl_dir=rtl))
    assert verdicts(score, "assign word_o = a_i | (a_i & '0);") == {"equivalent"}
    assert verdicts(score, "assign word_o = a_i ^ (a_i & '1);") == {"caught"}
    # the same where not all values are compared: proven
    score = mutate("lns_lfsr", [Exercise(Lfsr(3))], Settings(jobs=2))
    assert score.passed and score.count("equivalent") and score.count("caught")


def test_a_survivor_is_reported() -> None:
    exercise = Exercise(Mul(LNSFormat.parse("lns<6,2>")))
    score = mutate("lns_mul", [exercise], Settings(jobs=2), bench=one_vector)
    assert not score.passed and score.score() < 0.9
    lost = {one.mutant.after: one.reason for one in score.survivors}
    reason = lost["assign zero = (code_a == '0) && (code_b == '0);"]
    found = re.search(r"a = 0x(\w+) .*b = 0x(\w+) .*must give", reason)
    assert found is not None  # one of the two is zero, as only such operands show it
    assert sorted(int(word, 16) % 32 == 0 for word in found.groups()) == [False, True]


def test_explanations() -> None:
    exercise = Exercise(Mul(LNSFormat.parse("lns<6,2>")))
    known = Explanation("lns_mul.v", "assign zero = (code_a == '0) || (code_b == '0);",
                        "assign zero = (code_a == '0) && (code_b == '0);", "because")  # fmt: skip
    score = mutate("lns_mul", [exercise], Settings(jobs=2), [known], bench=one_vector)
    (found,) = (one for one in score.outcomes if known.explains(one.mutant))
    assert (found.verdict, found.reason) == ("accepted", "because")
    with pytest.raises(VerifyError, match=r"stale.*caught"):  # the bench of lns verify sees it
        mutate("lns_mul", [exercise], Settings(jobs=2), [known])
    with pytest.raises(VerifyError, match=r"stale.*no such mutant"):
        mutate("lns_mul", [exercise], Settings(limit=1), [dataclasses.replace(known, after="")])


def test_the_package_explains_only_what_exists() -> None:
    for entry in explanations():
        text = (data_dir("rtl") / entry.file).read_text("utf-8")
        assert any(entry.explains(mutant) for mutant in mutants(entry.file, text)), entry
        assert len(entry.why.split()) > 5


def test_a_bench_that_fails_without_a_fault(tmp_path: Path) -> None:
    rtl = planted(tmp_path, "lns_mul.v", "- Bias", "+ Bias")
    with pytest.raises(VerifyError, match=r"failed.*without a fault"):
        mutate("lns_mul", [Exercise(Mul(LNSFormat.parse("lns<6,2>")))], Settings(jobs=2, rtl_dir=rtl))


@pytest.mark.parametrize(
    ("unit", "file", "same", "other"),
    [
        # zero has no place of a leading one
        (EncodeFloat(LNSFormat.parse("lns<6,2>")), "lns_encode.v",
         ("place = '0;", "place = '1;"), ("zero     = magnitude_i == '0", "zero     = magnitude_i != '0")),
        (Step(load("madam8-small")), "lns_step.v", ("below    = code <", "below    = code + 0 <"),
         ("below    = code <", "below    = code <=")),
        (Mul(LNSFormat.parse("lns<5,1>")), "lns_pipeline.v", ("clk_i ^ rst_ni", "clk_i | rst_ni"),
         ("assign ready_o = ready[0];", "assign ready_o = 1'b1;")),
    ],
    ids=["compared", "proven", "by induction"],
)  # fmt: skip
def test_proofs(unit: Unit, file: str, same: tuple[str, str], other: tuple[str, str], tmp_path: Path) -> None:
    bench = Bench(Exercise(unit), tmp_path, tuple(unit.transactions(0, 4, False)), False)
    bench.write()
    text = (data_dir("rtl") / file).read_text("utf-8")
    for (before, after), equal in ((same, True), (other, False)):
        assert before.split() != after.split()
        changed = re.sub(r"\s+".join(map(re.escape, before.split())), after, text)
        assert changed != text
        against = bench.prove(Mutant(file, 1, "constant", before, after, changed), file == "lns_pipeline.v")
        assert (against == "") == equal, against


def test_endless_and_broken_mutants(tmp_path: Path) -> None:
    exercise = Exercise(Relu(LNSFormat.parse("lns<6,2>")))
    bench = Bench.of(exercise, tmp_path, 0)
    text = (data_dir("rtl") / "lns_relu.v").read_text("utf-8")

    def verdict(word: str) -> str:
        changed = text.replace("a_i[BITS-1] ? '0 : a_i", word)
        return bench.simulate(Mutant("lns_relu.v", 1, "operator", "", "", changed), 3)

    assert verdict("a_i[BITS-1] ? '0 : a_i") == "passed"
    assert verdict("a_i") == "failed"
    assert verdict("missing_name") == "not built"
    assert verdict("a_i; initial forever #0") == "hung"


# --- the command ---------------------------------------------------------------------------------------------------


def lns_mutate(*words: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(words))


def test_the_multiplier_and_the_range_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "scores.json"
    assert lns_mutate("madam8", "--unit", "lns_mul", "--unit", "lns_range", "--out", str(out)) == 0
    assert "2 units: all passed" in capsys.readouterr().out
    report = json.loads(out.read_text("utf-8"))
    assert report["passed"] and [unit["unit"] for unit in report["units"]] == ["lns_mul", "lns_range"]
    for unit in report["units"]:
        assert unit["score"] == 1.0 and unit["caught"] > 20 and not unit["not_caught"]


def test_the_same_seed_plants_the_same_sample(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("madam8", "--unit", "lns_relu", "--limit", "3", "--json")
    reports = []
    for _ in range(2):
        assert lns_mutate(*words) == 0
        (unit,) = json.loads(capsys.readouterr().out)["units"]
        assert unit["mutants"] + unit["not_built"] == 3 < unit["generated"]
        reports.append({name: value for name, value in unit.items() if name != "seconds"})
    assert reports[0] == reports[1]


def test_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert lns_mutate("nothing") == 2
    assert lns_mutate("madam8", "--unit", "lns_dot_log") == 2
    assert lns_mutate("madam8", "--rtl", str(tmp_path / "nothing")) == 2
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert lns_mutate("madam8", "--unit", "lns_mul") == 2
    assert "not installed" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_units_with_and_without_a_clock(capsys: pytest.CaptureFixture[str]) -> None:
    """12 faults of each file: too few for a score, if an explained one is there. `lns mutate` takes all."""
    units = [word for unit in ("lns_convert", "lns_dot_log", "lns_pipeline") for word in ("--unit", unit)]
    lns_mutate("madam8-log", *units, "--limit", "12", "--seed", "1", "--json")
    units = json.loads(capsys.readouterr().out)["units"]
    assert units and all(unit["mutants"] for unit in units)
    assert [unit["not_caught"] for unit in units if unit["survivor"]] == []
