"""The processing elements' Verilog against the definition: idle inputs, waiting results, a reset in between."""

import shutil

import numpy as np
import pytest
from verilog import FULL, UNEVEN, covered, lint, planted, stream, synthesise

from lns import LNSFormat, load
from lns.format import Rounding
from lns.gausslog import TableKind
from lns.units import Units
from sim.train.backend import NumbaBackend
from sim.train.rtl import dot_beats
from sim.verify.units import instances
from sim.verify.units.convert import Convert
from sim.verify.units.dot import DotLinear, DotLog
from sim.verify.units.element import ElementLinear, ElementLog
from sim.verify.units.linear_to_log import LinearToLog
from sim.verify.units.product import Product
from sim.verify.units.term import Term

pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="apt install iverilog")

parse = LNSFormat.parse


def linear(a, b, fmt, bits, lanes, depth, index_bits=4):
    dot = DotLinear(lanes, Term(parse(a), parse(b), 8, 6), bits, depth)
    return ElementLinear(dot, LinearToLog(bits, parse(fmt), index_bits))


def log(a, b, acc, fmt, lanes, depth, kind="full", rounding=Rounding.NEAREST):
    dot = DotLog(lanes, Product(parse(a), parse(b), parse(acc), -1), TableKind.parse(kind), depth)
    return ElementLog(dot, Convert(parse(acc), parse(fmt), rounding))


LINEAR = linear("lns<6,2>", "lns<5,2>", "lns<6,2>", 10, 2, 3)
LOG = log("lns<6,2>", "lns<5,2>", "lns<8,3>", "lns<6,2>", 2, 3)
ODD = [
    LINEAR,
    linear("lns<8,3>", "lns<8,3>", "lns<7,1>", 14, 1, 0),
    linear("lns<2,0>", "lns<5,2>", "lns<4,0>", 9, 4, 3, 0),
    LOG,
    log("lns<8,3>", "lns<6,2>", "lns<9,4>", "lns<5,1>", 1, 0, "linear<2,3>", Rounding.DOWN),
    log("lns<2,0>", "lns<5,2>", "lns<6,2>", "lns<8,4>", 4, 3),
]


@pytest.mark.parametrize("unit", ODD, ids=lambda unit: unit.slug)
def test_odd_elements(unit, tmp_path):
    transactions = unit.transactions(0, 300, False)
    covered(unit, transactions)
    assert stream(unit, transactions, tmp_path, UNEVEN)[0] == 0
    bad, clocks = stream(unit, transactions, tmp_path, FULL)
    assert bad == 0
    assert clocks <= sum(map(len, transactions)) + unit.dot.depth + 5  # a beat a clock, wherever a dot product ends


@pytest.mark.parametrize("name", ["madam8", "madam8-log", "madam8-small", "log16"])
def test_presets(name, tmp_path):
    (unit,) = instances(load(name), "lns_element_log" if "log" in name else "lns_element_linear")
    assert unit.label == "forward+backward+gradient"
    assert stream(unit, unit.transactions(0, 100, False), tmp_path)[0] == 0


def test_uses_with_other_formats_are_other_elements():
    design = load("madam8").override({"formats.error": "lns<9,4>", "formats.gradient": "lns<7,2>"})
    found = {unit.label: unit for unit in instances(design, "lns_element_linear")}
    assert list(found) == ["forward", "backward", "gradient"]
    formats = design.formats
    assert [unit.format for unit in found.values()] == [formats.activation, formats.error, formats.gradient]
    operands = [(formats.activation, formats.operand), (formats.error, formats.operand)]
    operands.append((formats.error, formats.activation))
    assert [(unit.dot.factors.a, unit.dot.factors.b) for unit in found.values()] == operands


@pytest.mark.parametrize("name", ["madam8", "madam8-log"])
def test_an_element_emits_what_the_trainer_does(name):
    """`Backend.dot` of the compiled kernels, offsets and all, is `expect` of the beats at the element's scale."""
    design = load(name).override({"formats.gradient": "lns<7,2>"})
    fmt, rng = design.formats, np.random.default_rng(1)
    unit = next(one for one in instances(design) if "element" in one.module and one.label == "gradient")
    error, activation = (rng.integers(0, 256, shape).astype(np.uint8) for shape in ((5, 37), (37, 6)))
    seen = set()
    for offset in range(-16, 40, 4):
        words, events = NumbaBackend(Units(design)).dot(
            error, activation, fmt.error, fmt.activation, fmt.gradient, 3, offset
        )
        columns = [c.tolist() for c in dot_beats(error, activation, unit.dot.lanes).values()]
        buses = [[sum(w << 8 * lane for lane, w in enumerate(row)) for row in bus] for bus in columns[1:]]
        beats = list(zip(columns[0], *buses, [unit.base + 3 - offset] * len(buses[0]), strict=True))
        cycles = len(beats) // words.size
        got = [unit.expect(tuple(beats[i : i + cycles]))[0] for i in range(0, len(beats), cycles)]
        assert [word for word, *_ in got] == words.ravel().tolist()
        names = [port.name for port in unit.event_ports()]
        flags = [sum(flag * int(event) for flag, event in zip(one[1:], unit.events, strict=True)) for one in got]
        assert flags == events.ravel().tolist() and len(names) == len(got[0]) - 1
        seen |= set(flags)
    assert {0, 1, 2} <= seen


@pytest.mark.parametrize(
    ("unit", "right", "wrong"),
    [
        (LINEAR, ".DEPTH(DEPTH + 1)", ".DEPTH(DEPTH)"),
        (LINEAR, ".DEPTH(DEPTH + 1)", ".DEPTH(DEPTH + 2)"),
        (LINEAR, "valid_i && ready_o && last_i", "valid_i && last_i"),
        (LINEAR, "valid_i && ready_o && last_i", "valid_i && ready_o"),
        (LINEAR, ".ready_i(sum_valid && sum_ready)", ".ready_i(sum_ready)"),
        (LINEAR, ".exponent_i (exponent)", ".exponent_i (exponent_i)"),
        (LINEAR, "{sum_saturate, underflow, saturate, word}", "{1'b0, underflow, saturate, word}"),
        (LINEAR, "{sum_saturate, underflow, saturate, word}", "{sum_saturate, saturate, underflow, word}"),
        (LOG, ".DEPTH(DEPTH + 2)", ".DEPTH(DEPTH + 1)"),
        (LOG, ".DEPTH(DEPTH + 2)", ".DEPTH(DEPTH + 3)"),
        (LOG, ".ready_i(sum_valid && sum_ready)", ".ready_i(sum_ready)"),
        (LOG, ".offset_i   (offset)", ".offset_i   (offset_i)"),
        (LOG, ".ROUND           (ROUND)", ".ROUND           (1 - ROUND)"),
        (LOG, "{sum_underflow, sum_saturate,", "{sum_saturate, sum_underflow,"),
    ],
)
def test_planted_bugs_are_caught(unit, right, wrong, tmp_path):
    rtl = planted(tmp_path, f"{unit.module}.v", right, wrong)
    assert stream(unit, unit.transactions(0, 300, False), tmp_path, rtl=rtl)[0] > 0


@pytest.mark.parametrize("unit", ODD, ids=lambda unit: unit.slug)
def test_lint_and_synthesis(unit, tmp_path):
    lint(unit, tmp_path, unit.dot.depth)
    synthesise(unit, tmp_path, unit.dot.depth, "proc -norom", "opt")
