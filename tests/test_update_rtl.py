"""The update unit, its halves and its random bits against the definition, by vectors in self-checking Verilog."""

import shutil

import pytest
from verilog import lint, planted, synthesise, verdict

from lns import load, preset_names
from sim.verify.units.moment import Moment
from sim.verify.units.update import Lfsr, Step, Update, instances
from sim.verify.vectors import PASSED

pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="apt install iverilog")


VARIANTS = {
    "whole steps": {"update.step_frac_bits": 0, "update.sign_rule": "clamp"},
    "narrow antilog": {"update.lr": 0.5, "update.antilog_bits": 6, "update.step_frac_bits": 1},
    "many random bits": {
        "update.rounding": "stochastic",
        "update.step_frac_bits": 24,
        "update.lr": 0.001,
        "update.moment_offset": -5,
    },
    "small": {
        **{f"formats.{name}": "lns<3,0>" for name in ("activation", "error", "gradient", "operand", "weight")},
        "update.moment": "ulns<4,0>",
        "update.kappa": 1,
        "update.lr": 1.0,
        "update.clip": 1.0,
        "update.antilog_bits": 32,
        "update.step_frac_bits": 2,
    },
    "narrow moment": {"update.moment": "ulns<9,5>", "update.kappa": 7, "update.table": "linear<2,3>"},
    "mitchell": {"update.moment_offset": 20, "update.table": "mitchell", "offsets.headroom": 3},
}


def designed(name):
    return load("madam8").override(VARIANTS[name]) if name in VARIANTS else load(name)


@pytest.mark.parametrize("name", [*preset_names(), *VARIANTS])
def test_update(name, tmp_path):
    for unit in instances(designed(name)):
        assert verdict(unit, tmp_path, 2000).startswith(PASSED), unit


@pytest.mark.parametrize(
    ("kind", "source", "right", "wrong"),
    [
        (Step, "lns_step.v", "assign clipped  = normal >", "assign clipped  = normal >="),
        (Step, "lns_step.v", "(rest == Half) && whole[0]", "(rest == Half)"),
        (Step, "lns_step.v", "weight_o = {negative ^ (FLIP != 0)", "weight_o = {negative"),
        (Step, "lns_step.v", "(rest > Half)", "(rest >= Half)"),
        (Update, "lns_step.v", "if (above) weight_o", "if (1'b0) weight_o"),
        (Update, "lns_update.v", ".moment_i    (moment)", ".moment_i    (moment_i)"),
        (Moment, "lns_moment.v", "kept_underflow || ", ""),
        (Moment, "lns_moment.v", ".zero_i     (gradient_zero)", ".zero_i     (gradient_i == '0)"),
    ],
)
def test_planted_bugs_are_caught(kind, source, right, wrong, tmp_path):
    rtl = planted(tmp_path, source, right, wrong)
    assert verdict(kind(load("madam8")), tmp_path, 2000, rtl).startswith("FAILED")


@pytest.mark.parametrize("r", [1, 8, 24, 32])
def test_lfsr(r, tmp_path):
    assert verdict(Lfsr(r), tmp_path, 500).startswith(PASSED)


@pytest.mark.parametrize("name", ["madam8", "madam8-small", "bmadam8"])
def test_lint_and_synthesis(name, tmp_path):
    for unit in instances(designed(name)):
        lint(unit, tmp_path)
        synthesise(unit, tmp_path, 0, "proc -norom", "opt")
