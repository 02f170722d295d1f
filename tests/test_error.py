"""``lns error``: figures that are right where they can be computed otherwise, and that see a unit that is worse."""

import argparse
import json
import math
import re

import mpmath
import numpy as np
import pytest

from lns import kernels, reference
from lns.design import load
from lns.format import LNSFormat
from lns.gausslog import TableKind, table
from lns.units import Units
from sim.report import error
from sim.report.table_error import table_error

MP = mpmath.mp.clone()
MP.prec = 200

SAMPLES = 1024


def measured(name, changes=None, samples=SAMPLES, seed=0):
    return error.measure(load(name).override(changes or {}), samples, seed)


def row(rows, unit, where=""):
    (one,) = (r for r in rows if r.unit == unit and where in r.where)
    return one


def words_in(text):
    return [int(word, 16) for word in re.findall(r"0x([0-9a-f]+)", text)]


def real(word, fmt):
    """The exact value, to 200 bits."""
    magnitude = MP.mpf(2) ** (MP.mpf(reference.raw(word, fmt)) / (1 << fmt.frac_bits))
    return -magnitude if reference.sign(word, fmt) else magnitude


@pytest.fixture(scope="module")
def madam8():
    return measured("madam8")


@pytest.fixture(scope="module")
def log16():
    return measured("log16")


def test_units_that_are_exact_have_no_error(madam8, log16):
    for rows in (madam8[0], log16[0]):
        for unit in ("mul", "div", "square"):
            assert row(rows, unit).relative == row(rows, unit).absolute == error.Error(0, 0, 0)
    assert row(madam8[0], "mul").exhaustive and not row(log16[0], "mul").exhaustive


def test_what_is_left_out_is_counted(madam8):
    """All pairs of lns<8,3>: 256² of them; those with a zero, and what the definition saturates or underflows."""
    mul = row(madam8[0], "mul")
    assert mul.compared + sum(mul.left_out.values()) == 1 << 16
    fmt = LNSFormat(8, 3)
    events = [reference.mul(a, b, fmt)[1] for a in range(1, 128) for b in range(1, 128)]
    want = {"zero": 256 * 256 - 254 * 254, "saturate": 4 * events.count(1), "underflow": 4 * events.count(2)}
    assert mul.left_out == want


def test_square_root_falls_short_by_half_a_code_at_most(madam8):
    sqrt = row(madam8[0], "sqrt")
    assert sqrt.absolute.worst == -0.5 and sqrt.absolute.bias == pytest.approx(-0.25, abs=0.01)
    assert sqrt.relative.worst == pytest.approx(2 ** (-0.5 / 8) - 1, rel=1e-12)


@pytest.mark.parametrize("name", ["madam8", "log16"])
@pytest.mark.parametrize("unit", ["add, like signs", "add, unlike signs"])
def test_worst_log_add_is_that_of_200_bits(name, unit, madam8, log16):
    rows = {"madam8": madam8, "log16": log16}[name][0]
    add, design = row(rows, unit, "activation"), load(name)
    fmt = design.formats.activation
    a, b = words_in(add.worst_at)
    word, _ = reference.add(a, b, fmt, table(TableKind(), fmt.frac_bits))
    exact = real(a, fmt) + real(b, fmt)
    assert add.relative.worst == pytest.approx(float((real(word, fmt) - exact) / exact), rel=1e-9, abs=0)


def test_exact_gaussian_logs_are_those_of_200_bits():
    for frac_bits, d in ((3, 1), (3, 30), (10, 1), (10, 11805), (18, 1), (18, 70000)):
        for unlike in (False, True):
            got = error.gaussian_log(np.array([d]), frac_bits, unlike)[0]
            power = MP.mpf(2) ** (-MP.mpf(d) / (1 << frac_bits))
            exact = (1 << frac_bits) * MP.log(1 - power if unlike else 1 + power, 2)
            assert abs(MP.mpf(float(got)) - exact) < 1e-8


def test_log_add_agrees_with_the_error_of_its_table(madam8):
    """Every distance occurs among all pairs of lns<8,3>, so the worst code is the table's."""
    wanted = table_error(table(TableKind(), 3))
    for unit, rom in (("add, like signs", "sb"), ("add, unlike signs", "db")):
        got = row(madam8[0], unit, "activation").absolute.worst
        assert abs(got) == pytest.approx(abs(wanted[rom].worst), abs=1e-12)


def test_conversion_is_half_a_code_off_at_most(madam8, log16):
    for rows in (madam8[0], log16[0]):
        convert = row(rows, "convert")
        assert convert.exhaustive and abs(convert.absolute.worst) == 0.5 and abs(convert.absolute.bias) < 1e-3
    down = row(measured("madam8", {"conversion.rounding": "down"})[0], "convert").absolute
    assert -1 < down.worst < -0.9 and down.bias == pytest.approx(-0.49, abs=0.01)


def test_antilog_term_and_linear_to_log_are_those_of_200_bits(madam8):
    design = load("madam8")
    units, fmt = Units(design), design.formats.activation
    antilog, unit = row(madam8[0], "antilog term"), units.dot(fmt, fmt)
    a, b = words_in(antilog.worst_at)
    exact = real(a, fmt) * real(b, fmt) * MP.mpf(2) ** -unit.least_exponent
    assert antilog.relative.worst == pytest.approx(float((reference.term(a, b, unit) - exact) / exact), rel=1e-9)
    to_log = row(madam8[0], "linear to log")
    value = int(to_log.worst_at.split()[-1])
    word, _ = reference.linear_to_log(value, -12, units.to_log_rom(fmt), units.index_bits(fmt), fmt)
    exact = value * MP.mpf(2) ** -12
    assert to_log.relative.worst == pytest.approx(float((real(word, fmt) - exact) / exact), rel=1e-9)


@pytest.mark.parametrize("name", ["madam8", "log16"])
def test_worst_update_is_that_of_200_bits(name, madam8, log16):
    design = load(name)
    update, units = row({"madam8": madam8, "log16": log16}[name][0], "update step"), Units(design)
    w, g, v = words_in(update.worst_at)
    w_fmt, g_fmt, v_fmt = (units.update.weight, units.update.gradient, units.update.moment)
    new = reference.update(w, g, v, units.update, units.update_constants(1000, 0, 0))[0]
    sign = -1 if reference.sign(w, w_fmt) == reference.sign(g, g_fmt) else 1
    step = sign * (reference.code(new, w_fmt) - reference.code(w, w_fmt))
    beta = MP.mpf(2) ** (-MP.mpf(design.update.kappa) / (1 << v_fmt.frac_bits))
    moment = beta * real(v, v_fmt) + (1 - beta) * real(g, g_fmt) ** 2
    n = min(abs(real(g, g_fmt)) / MP.sqrt(moment / (1 - beta**1000)), MP.mpf(10))
    exact = MP.mpf("0.03") * n / MP.log(2) * (1 << w_fmt.frac_bits)
    assert update.relative.worst == pytest.approx(float((step - exact) / exact), rel=1e-9)


def test_worst_error_word_is_that_of_200_bits(log16):
    design = load("log16")
    units, fmt = Units(design), design.formats.error
    for name in ("loss, target's error", "loss, other errors"):
        found = row(log16[0], name)
        numbers = re.fullmatch(r"logits ([0-9a-f ]+) at offset (-?\d+), target (\d+), class (\d+)", found.worst_at)
        logits, (offset, target, column) = [int(w, 16) for w in numbers[1].split()], map(int, numbers.groups()[1:])
        words, _, _ = reference.loss(logits, target, offset, -fmt.one_offset_limit, units.loss)
        powers = [MP.exp(real(z, design.formats.activation) * MP.mpf(2) ** offset) for z in logits]
        exact = powers[column] / sum(powers) - (column == target)
        got = real(words[column], fmt) * MP.mpf(2) ** -fmt.one_offset_limit
        assert found.relative.worst == pytest.approx(float((got - exact) / exact), rel=1e-7)


# --- dot products ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["madam8", "log16"])
def test_dot_products_are_those_of_200_bits(name):
    """The shortest samples, again: one dot product at a time, in the definition and at 200 bits."""
    design = load(name)
    bench = error._Bench(design, 16, 0)
    fmt, spread = design.formats.activation, (error.SPREADS["activation"], error.SPREADS["operand"])
    a, b = (bench._operands(f, s, (4, 1024), side, "forward") for f, s, side in
            zip((fmt, design.formats.operand), spread, "ab", strict=True))  # fmt: skip
    unit = Units(design).dot(fmt, design.formats.operand)
    for length in (4, 64):
        errors = []
        for x in a[:, :length].tolist():
            for y in b[:, :length].tolist():
                pairs = [(p, q) for p, q in zip(x, y, strict=True) if p and q]
                products = [real(p, fmt) * real(q, design.formats.operand) for p, q in pairs]
                if name == "madam8":
                    got = reference.dot_linear(x, y, unit)[0] * MP.mpf(2) ** unit.least_exponent
                else:
                    got = real(reference.dot_log(x, y, unit)[0], unit.acc) * MP.mpf(2) ** unit.offset
                exact, size = sum(products), sum(abs(p) for p in products)
                if abs(exact) > MP.mpf(10) ** -40 * size:  # else the terms cancel
                    errors.append((got - exact) * MP.sign(exact) / size)
        (found,) = (d for d in measured(name, samples=16)[1] if "forward" in d.where and d.length == length)
        assert found.compared == len(errors) > 12
        assert found.accumulator.bias == pytest.approx(float(sum(errors) / len(errors)), rel=1e-9)
        assert found.accumulator.rms == pytest.approx(math.sqrt(sum(e * e for e in errors) / len(errors)), rel=1e-9)
        assert abs(found.accumulator.worst) == pytest.approx(float(max(map(abs, errors))), rel=1e-9)


def test_a_single_product_is_exact_in_a_log_accumulator(log16):
    for dot in log16[1]:
        if dot.length == 1:
            assert dot.accumulator == dot.word == error.Error(0, 0, 0)


def test_dot_products_have_every_length_and_kind(madam8, log16):
    for dots in (madam8[1], log16[1]):
        assert [dot.length for dot in dots if "forward" in dot.where] == list(error.LENGTHS)
        assert {name for dot in dots for name in dot.where.split("+")} == {"forward", "backward", "gradient"}
    assert {dot.where for dot in measured("bmadam8")[1]} == {"forward", "backward", "gradient"}


# --- units that are worse, or wrong ------------------------------------------------------------------------------


def rms(rows, unit, where=""):
    return row(rows, unit, where).relative.rms


@pytest.mark.parametrize(
    ("change", "unit"),
    [
        ({"adder.table": "mitchell"}, "add, like signs"),
        ({"adder.table": "coarse<2>"}, "add, unlike signs"),
        ({"accumulator.antilog_bits": 4}, "antilog ROM"),
        ({"accumulator.guard": 4}, "antilog term"),
        ({"accumulator.index_extra_bits": 0}, "linear to log"),
        ({"update.antilog_bits": 4}, "update step"),
        ({"loss.table": "mitchell"}, "loss, target's error"),
    ],
)
def test_a_coarser_unit_has_a_larger_error(madam8, change, unit):
    where = "activation" if unit.startswith("add") else ""
    assert rms(measured("madam8", change)[0], unit, where) > 1.02 * rms(madam8[0], unit, where)


def test_fewer_guard_bits_make_dot_products_worse(madam8):
    worse = measured("madam8", {"accumulator.guard": 8})[1]
    for good, bad in zip(madam8[1], worse, strict=True):
        assert bad.accumulator.rms > good.accumulator.rms and bad.accumulator.bias < good.accumulator.bias


def test_stochastic_rounding_has_less_bias_than_rounding_a_small_step():
    change = {"update.lr": 0.001, "formats.weight": "lns<10,7>"}
    nearest = row(measured("madam8", change, 1 << 14)[0], "update step").absolute
    stochastic = row(measured("madam8", change | {"update.rounding": "stochastic"}, 1 << 14)[0], "update step").absolute
    assert abs(stochastic.bias) < 0.01 < abs(nearest.bias)


@pytest.mark.parametrize(
    ("name", "fault", "unit", "least", "most"),
    [
        ("add", lambda word: word ^ 0x80, "add, like signs", 2.0, 2.1),  # the other sign
        ("convert", lambda word: word * 0, "convert", 1.0, 1.0),  # always zero, without an event
        ("mul", lambda word: word + (word == 100), "mul", 0.0905, 0.0906),  # one result in 256 is a code too large
    ],
)
def test_a_wrong_unit_is_seen(monkeypatch, name, fault, unit, least, most):
    inner = getattr(kernels, name)

    def faulty(*arguments):
        word, events = inner(*arguments)
        return (fault(word) if word.dtype == np.uint8 else word), events

    monkeypatch.setattr(kernels, name, faulty)
    found = row(measured("madam8")[0], unit, "activation" if name != "convert" else "")
    assert least <= abs(found.relative.worst) <= most


# --- the command -------------------------------------------------------------------------------------------------


def run(capsys, *arguments):
    parser = argparse.ArgumentParser()
    error.add_arguments(parser)
    code = error.run(parser.parse_args([str(a) for a in arguments]))
    return code, capsys.readouterr().out


def test_command_prints_units_and_draws(capsys, tmp_path):
    code, out = run(capsys, "madam8", "--samples", 256, "--out", tmp_path / "e.png")
    assert code == 0 and (tmp_path / "e.png").read_bytes().startswith(b"\x89PNG")
    for text in ("add, unlike signs", "worst at 0x", "left out: 1020 zero", "forward: lns<8,3>", "\n 1024"):
        assert text in out
    assert max(map(len, out.splitlines())) < 400 and "nan" not in out


def test_json_holds_the_same_and_the_seed_matters(capsys):
    first = json.loads(run(capsys, "log16", "--samples", 256, "--json")[1])
    assert first == json.loads(run(capsys, "log16", "--samples", 256, "--json", "--seed", 0)[1])
    assert first != json.loads(run(capsys, "log16", "--samples", 256, "--json", "--seed", 1)[1])
    assert {r["unit"] for r in first["units"]} >= {"mul", "sqrt", "convert", "update step"} and len(first["dots"]) == 12


@pytest.mark.parametrize(("option", "value"), [("--samples", 15), ("--samples", 1 << 25), ("--seed", -1)])
def test_wrong_input_is_refused(capsys, option, value):
    with pytest.raises(ValueError, match=str(value)):
        run(capsys, "madam8", option, value)


@pytest.mark.parametrize("changes", [
    {"formats": {"activation": "lns<16,2>", "error": "lns<12,1>", "gradient": "lns<8,0>", "operand": "lns<5,2>",
                 "weight": "lns<6,4>"}},
    {"formats": {"activation": "lns<4,2>", "error": "lns<4,2>", "gradient": "lns<4,1>", "operand": "lns<3,1>",
                 "weight": "lns<4,2>"}},
    {"formats.weight": "lns<8,3>"},
    {"formats.activation": "lns<24,15>", "update.moment_offset": -9},
    {"accumulator": {"kind": "linear", "lanes": 4, "antilog_bits": 4, "guard": 4, "bits": 8}},
    {"accumulator": {"kind": "log", "lanes": 4, "format": "lns<9,4>", "table": "mitchell"}},
])  # fmt: skip
def test_extreme_designs_are_measured(changes):
    rows, dots = measured("madam8", changes, 64)
    assert all(math.isfinite(r.relative.rms) for r in rows if r.compared)
    assert all(math.isfinite(d.accumulator.rms) and math.isfinite(d.word.rms) for d in dots if d.compared)
    assert "update step" in error.text(load("madam8"), rows, dots)
    assert json.loads(json.dumps([error._plain(r) for r in [*rows, *dots]], allow_nan=False))
