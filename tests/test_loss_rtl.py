"""The loss unit and its parts against the definition, by vectors in self-checking Verilog."""

import shutil

import pytest
from verilog import FULL, UNEVEN, covered, lint, planted, stream, synthesise, verdict

from lns import load, preset_names
from sim.verify.units.loss import Loss, LossCode, LossError
from sim.verify.vectors import PASSED
from sim.verify.wrapper import DEPTH

pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="apt install iverilog")


def mismatches(unit, folder, rates, rtl=None):
    """Of a loss unit, whose transactions must fill its bins."""
    transactions = unit.transactions(0, 500, False)
    covered(unit, transactions)
    return stream(unit, transactions, folder, rates, rtl)[0]


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
        assert verdict(unit, tmp_path, 2000).startswith(PASSED), unit
    for unit in (Loss(design), Loss(design, 1), Loss(design, 2)):
        assert mismatches(unit, tmp_path, UNEVEN) == mismatches(unit, tmp_path, FULL) == 0, unit


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
    rtl = planted(tmp_path, source, right, wrong)
    assert mismatches(Loss(load("madam8"), 4), tmp_path, UNEVEN, rtl) > 0


@pytest.mark.parametrize("name", ["madam8", "log16", "linear", "mitchell", "small"])
def test_lint_and_synthesis(name, tmp_path):
    design = designed(name)
    for unit in (LossCode(design), LossError(design), Loss(design), Loss(design, 1)):
        lint(unit, tmp_path)
        synthesise(unit, tmp_path, DEPTH if unit.sequential else 0, "proc -norom", "opt")
