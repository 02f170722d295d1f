"""The loss unit and its parts against the definition, by vectors in self-checking Verilog."""

import shutil

import pytest
from test_update_rtl import covered, instance, lint, mismatches, pack, planted, run

from lns import load, preset_names
from sim.verify.units.loss import Loss, LossCode, LossError

pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="apt install iverilog")


def stream(unit, folder, count, rtl=None, seed=0):
    """How much a sequential unit in Icarus gave wrong, with idle clocks on both sides; all its bins must be filled."""
    transactions = unit.transactions(seed, count, False)
    covered(unit, transactions)
    beats = [pack(beat, unit.inputs()) for transaction in transactions for beat in transaction]
    results = [pack(beat, unit.outputs()) for transaction in transactions for beat in unit.expect(transaction)]
    for name, rows in (("beats", beats), ("results", results)):
        (folder / f"{name}.memh").write_text("".join(f"{row:x}\n" for row in rows))
    wide, out = (sum(port.width for port in ports) for ports in (unit.inputs(), unit.outputs()))
    handshake = [f".{name}({name})" for name in ("clk_i", "rst_ni", "valid_i", "ready_o", "valid_o", "ready_i")]
    bench = (
        f"module bench;\n  reg [{wide - 1}:0] beats[0:{len(beats) - 1}];\n  wire [{wide - 1}:0] x;\n"
        f"  reg [{out - 1}:0] results[0:{len(results) - 1}];\n  wire [{out - 1}:0] y;\n  reg [{out - 1}:0] held;\n"
        "  reg clk_i, rst_ni, valid_i, ready_i, stalled;\n  wire ready_o, valid_o;\n  integer i, j, bad, idle;\n"
        f"{instance(unit, handshake)}"
        # what is not valid is not known, neither are beats between samples
        "  assign x = valid_i ? beats[i] : 'x;\n"
        "  initial begin\n"
        '    $readmemh("beats.memh", beats);\n    $readmemh("results.memh", results);\n'
        "    {clk_i, rst_ni, valid_i, ready_i, stalled} = 0;\n    i = 0;\n    j = 0;\n    bad = 0;\n    idle = 0;\n"
        f"    #3 rst_ni = 1;\n    while (j < {len(results)} && idle < 1000) #5 clk_i = !clk_i;\n"
        f"    repeat (20) #5 clk_i = !clk_i;\n"
        '    $display("%0d beats, %0d results, %0d mismatches", i, j, bad);\n    $finish;\n  end\n'
        "  always @(posedge clk_i) begin\n    idle <= idle + 1;\n"
        "    if (^{ready_o, valid_o} === 1'bx) bad = bad + 1;\n"
        "    if (stalled && (!valid_o || y !== held)) bad = bad + 1;\n    stalled <= valid_o && !ready_i;\n"
        "    held <= y;\n"
        "    if (valid_o && ready_i) begin\n      if (y !== results[j]) bad = bad + 1;\n      j = j + 1;\n"
        "      idle <= 0;\n    end\n"
        "    if (valid_i && ready_o) begin\n      i <= i + 1;\n      idle <= 0;\n    end\n"
        # the next clock: a beat that was not taken stays; runs of idle clocks and none at all
        "    if (!valid_i || ready_o)\n"
        f"      valid_i <= i + (valid_i && ready_o) < {len(beats)} && (i[7] || $random % 3 == 0);\n"
        "    ready_i <= i[6] || $random % 3 == 0;\n  end\nendmodule\n"
    )
    printed = run(unit, folder, bench, rtl)
    taken, given, bad = (int(part.split()[0]) for part in printed.splitlines()[-1].split(","))
    return bad + (len(beats) - taken) + abs(len(results) - given)


VARIANTS = {
    "coarse": {"loss.table": "coarse<1>", "conversion.rounding": "down"},
    "linear": {"loss.table": "linear<3,8>", "formats.error": "lns<16,13>"},
    "mitchell": {"loss.table": "mitchell", "loss.antilog_bits": 3},
    "narrow loss": {"loss.format": "ulns<6,4>", "loss.table": "linear<1,1>", "loss.antilog_bits": 32},
    "small": {"formats.activation": "lns<2,0>", "formats.error": "lns<2,0>", "loss.format": "ulns<2,0>"},
}


def designed(name):
    return load("madam8").override(VARIANTS[name]) if name in VARIANTS else load(name)


@pytest.mark.parametrize("name", [*preset_names(), *VARIANTS])
def test_loss(name, tmp_path):
    design = designed(name)
    for unit in (LossCode(design), LossError(design)):
        assert mismatches(unit, tmp_path, 2000) == 0, unit
    for unit in (Loss(design), Loss(design, 1), Loss(design, 2)):
        assert stream(unit, tmp_path, 500) == 0, unit


@pytest.mark.parametrize(
    ("source", "right", "wrong"),
    [
        ("lns_loss_code.v", "if (zero) code_o", "if (word_i == '0) code_o"),
        ("lns_loss_error.v", "target_i && (distance == '0)", "distance == '0"),
        ("lns_loss.v", "        lse_saturate_d = 1'b0;\n", ""),
        ("lns_loss.v", "if (give) begin", "if (valid_o) begin"),
        ("lns_loss.v", ".offset_i   (error_offset_q)", ".offset_i   (error_offset_i)"),
    ],
)
def test_planted_bugs_are_caught(source, right, wrong, tmp_path):
    assert stream(Loss(load("madam8"), 4), tmp_path, 500, planted(tmp_path, source, right, wrong)) > 0


@pytest.mark.parametrize("name", ["madam8", "log16", "linear", "mitchell", "small"])
def test_lint_and_synthesis(name, tmp_path):
    design = designed(name)
    for unit in (LossCode(design), LossError(design), Loss(design), Loss(design, 1)):
        assert lint(unit, tmp_path) == "", unit
