"""The dot products' Verilog against the definition in Icarus: idle inputs, waiting results, a reset in between."""

import shutil
from types import SimpleNamespace

import pytest
from verilog import FULL, UNEVEN, covered, lint, planted, stream, synthesise

from lns import LNSFormat, load, preset_names
from lns.gausslog import TableKind
from sim.verify.unit import Port
from sim.verify.units.dot import DotLinear, DotLog, instances
from sim.verify.units.product import Product
from sim.verify.units.term import Term
from sim.verify.vectors import PASSED, simulate

pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="apt install iverilog")

def linear(a, b, antilog_bits, guard, bits, lanes, depth=1):
    return DotLinear(lanes, Term(LNSFormat.parse(a), LNSFormat.parse(b), antilog_bits, guard), bits, depth)


def log(a, b, acc, offset, kind, lanes, depth=1):
    product = Product(LNSFormat.parse(a), LNSFormat.parse(b), LNSFormat.parse(acc), offset)
    return DotLog(lanes, product, TableKind.parse(kind), depth)


ODD = [
    linear("lns<8,3>", "lns<8,3>", 8, 12, 14, 1, 0),
    linear("lns<8,3>", "lns<8,3>", 12, 4, 10, 2, 3),
    linear("lns<2,0>", "lns<5,2>", 5, 6, 9, 4, 0),
    linear("lns<5,0>", "lns<9,4>", 5, 6, 9, 4),
    linear("lns<4,0>", "lns<3,0>", 1, 0, 2, 16),
    linear("lns<16,10>", "lns<16,10>", 14, 20, 24, 16, 3),
    log("lns<8,3>", "lns<8,3>", "lns<12,6>", 0, "full", 2, 0),
    log("lns<2,0>", "lns<5,2>", "lns<6,2>", -1, "full", 4, 3),
    log("lns<8,3>", "lns<9,5>", "lns<12,7>", 3, "linear<3,4>", 16, 0),
    log("lns<4,0>", "lns<3,0>", "lns<4,0>", 0, "mitchell", 1, 1),
    log("lns<8,3>", "lns<8,4>", "lns<14,8>", 0, "mitchell", 8, 1),
    log("lns<8,3>", "lns<8,3>", "lns<14,8>", 22, "coarse<4>", 4, 1),
]


@pytest.mark.parametrize("unit", ODD, ids=lambda unit: unit.slug)
@pytest.mark.parametrize("rates", [FULL, UNEVEN], ids=["full", "uneven"])
def test_odd_dots(unit, rates, tmp_path):
    transactions = unit.transactions(0, 300, False)
    bad, clocks = stream(unit, transactions, tmp_path, rates)
    assert bad == 0
    if rates is FULL:  # a beat a clock, whatever the depth and wherever a dot product ends
        assert clocks <= sum(map(len, transactions)) + unit.depth + 4


@pytest.mark.parametrize("unit", ODD, ids=lambda unit: unit.slug)
def test_odd_cores_and_coverage(unit, tmp_path):
    core = unit.term if isinstance(unit, DotLinear) else unit.product
    assert simulate(core, core.transactions(0, 2000, False), tmp_path).startswith(PASSED)
    for one in (core, unit):
        covered(one, one.transactions(0, 0, False))


@pytest.mark.parametrize("name", preset_names())
def test_presets(name, tmp_path):
    for unit in {str(unit): unit for unit in instances(load(name)) if unit.label == "forward"}.values():
        short = [t for t in unit.transactions(0, 100, False) if len(t) < 1000]
        if unit.sequential:
            assert stream(unit, short, tmp_path)[0] == 0, unit
        else:
            assert simulate(unit, short, tmp_path).startswith(PASSED), unit


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("rates", [FULL, UNEVEN], ids=["full", "uneven"])
def test_pipeline(depth, rates, tmp_path):
    pipeline = SimpleNamespace(
        module="lns_pipeline", sources=("lns_pipeline.v",), parameters=lambda: {"WIDTH": 16, "DEPTH": depth}, roms=dict,
        inputs=lambda: (Port("data_i", 16),), outputs=lambda: (Port("data_o", 16),), expect=lambda beats: beats,
    )  # fmt: skip
    words = tuple((k * 40503 % 65536,) for k in range(2000))
    bad, clocks = stream(pipeline, [words], tmp_path, rates)
    assert bad == 0
    if rates is FULL:
        assert clocks <= len(words) + depth + 3


LINEAR, LOG = ODD[1], ODD[6]
BUGS = [
    (ODD[2], "lns_term.v", "(code_a == '0) || (code_b == '0)", "(code_a == '0)"),
    (LINEAR, "lns_term.v", "zero ? '0 : (negative ?", "zero ? '0 : (!negative ?"),
    (LINEAR, "lns_term.v", "(Largest >>> FRAC_BITS) - (product >>> FRAC_BITS)", "(Largest - product) >>> FRAC_BITS"),
    (LINEAR, "lns_dot_linear.v", "exact > Most", "exact >= Most"),
    (LINEAR, "lns_dot_linear.v", "exact < Least", "exact <= Least"),
    (LINEAR, "lns_dot_linear.v", "acc_q      <= beat_last ? '0 : acc_d", "acc_q      <= acc_d"),
    (LINEAR, "lns_dot_linear.v", "saturate_q <= !beat_last && saturate_d", "saturate_q <= saturate_d"),
    (LINEAR, "lns_dot_linear.v", "saturate_q || above || below", "above || below"),
    (LINEAR, "lns_dot_linear.v", "if (beat_valid && beat_ready)", "if (beat_valid)"),
    (LINEAR, "lns_dot_linear.v", "ACC_BITS : SumBits) + 1", "ACC_BITS : SumBits)"),
    (LINEAR, "lns_pipeline.v", "!(&valid_q[DEPTH-1:s])", "!(|valid_q[DEPTH-1:s])"),
    (LINEAR, "lns_pipeline.v", "if (ready[s] && valid[s])", "if (valid[s])"),
    (LINEAR, "lns_pipeline.v", "if (!rst_ni) valid_q <= '0;\n      else ", ""),
    (LOG, "lns_product.v", "<<< FRAC_BITS);", "<<< FRAC_BITS) + One;"),
    (LOG, "lns_product.v", "(code_a == '0) || (code_b == '0)", "(code_b == '0)"),
    (LOG, "lns_dot_log.v", "partial    = first_q ? '0 : lanes_q", "partial    = lanes_q"),
    (LOG, "lns_dot_log.v", "(above_q && !first_q)", "above_q"),
    (LOG, "lns_dot_log.v", "(below_q && !first_q)", "1'b0"),
    (LOG, "lns_dot_log.v", "beat_above || (|lanes_above)", "beat_above"),
    (LOG, "lns_dot_log.v", "beat_ready = !complete_q || result_ready", "beat_ready = 1'b1"),
    (LOG, "lns_dot_log.v", "any_below = below_q", "any_below = 1'b0"),
    (LOG, "lns_dot_log.v", ".underflow_o(below[i])", ".underflow_o()"),
    (ODD[8], "lns_dot_log.v", "words[(2*i+1)*BITS+:BITS]", "words[2*i*BITS+:BITS]"),
]


@pytest.mark.parametrize(("unit", "file", "right", "wrong"), BUGS)
def test_planted_bugs_are_caught(unit, file, right, wrong, tmp_path):
    rtl = planted(tmp_path, file, right, wrong)
    assert stream(unit, unit.transactions(0, 300, False), tmp_path, rtl=rtl)[0] > 0


@pytest.mark.parametrize("unit", ODD[::2], ids=lambda unit: unit.slug)
def test_lint_and_synthesis(unit, tmp_path):
    lint(unit, tmp_path, unit.depth)
    synthesise(unit, tmp_path, unit.depth, "proc -norom", "opt")
