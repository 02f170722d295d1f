"""The baselines' Verilog against NumPy and ml_dtypes, and these against libm and enumeration."""

from __future__ import annotations

import ctypes
import ctypes.util
import dataclasses
import itertools
import math
import shutil
import struct

import numpy as np
import pytest
from verilog import FULL, UNEVEN, covered, lint, planted, stream, synthesise

from sim.cost.baseline.cores import FloatFromFixed, FloatMac, FloatRound, IntRequantise
from sim.cost.baseline.elements import FloatElementDot, FloatElementMac, IntElement, instances
from sim.cost.baseline.formats import BFLOAT16, E4M3, E5M2, FLOAT16, FLOAT32, FloatFormat, fixed_terms, multiply_add
from sim.cost.baseline.operands import recorded, uniform
from sim.cost.workload import Workload, float_products
from sim.verify.compiled import CompiledUnit, pack_columns, unpack_columns
from sim.verify.compiled_bench import compare
from sim.verify.vectors import PASSED, simulate

pytest.importorskip("ml_dtypes", reason="pip install ml_dtypes")
icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="apt install iverilog")

SMALL = [E4M3, E5M2, FLOAT16, BFLOAT16]
MACS = [FloatMac(f, FLOAT32) for f in (FLOAT32, *SMALL)] + [FloatMac(FLOAT16, FLOAT16)]
CORES = [
    *MACS,
    *(FloatRound(FLOAT32, f) for f in SMALL),
    *(FloatFromFixed(bits, f) for bits, f in ((24, E4M3), (24, E5M2), (48, E4M3), (9, E4M3))),
    FloatFromFixed(42, BFLOAT16, 10),
    FloatFromFixed(42, FLOAT16),
    IntRequantise(),
]
ELEMENTS = [
    *instances(2).values(),
    instances(1)["float32"],
    instances(16)["fp8-e4m3"],
    instances(16)["bfloat16-fused"],
    instances(16)["int8"],
    FloatElementDot(2, 0, factor=FLOAT16, guard=21, acc_bits=23, aligned=True),
    FloatElementDot(1, 2, factor=E4M3, guard=12, acc_bits=24, aligned=True),
    FloatElementMac(3, 0, factor=FLOAT16, acc=FLOAT16, output=FLOAT16),
    FloatElementMac(1, 2, factor=E4M3, acc=FLOAT32, output=E4M3),
    FloatElementDot(4, 0, factor=E4M3, guard=7, acc_bits=9),
    FloatElementDot(1, 3, factor=E5M2, guard=40, acc_bits=53),
    IntElement(4, 0, acc_bits=17),
]
by_slug = {"ids": lambda unit: getattr(unit, "slug", None)}


def value(word: int, fmt: FloatFormat) -> float:
    """The number of a word, from its fields."""
    sign, field, fraction = word >> (fmt.bits - 1), word >> fmt.man & ((1 << fmt.exp) - 1), word & ((1 << fmt.man) - 1)
    significand = fraction + ((1 << fmt.man) if field else 0)
    return (-1.0) ** sign * math.ldexp(significand, max(field, 1) - fmt.bias - fmt.man)


# --- the reference


@pytest.mark.parametrize("fmt", SMALL, ids=str)
def test_words_are_decoded(fmt):
    words = np.arange(1 << fmt.bits)
    words = words[fmt.is_number(words)]
    assert fmt.decode(words).tolist() == [value(word, fmt) for word in words.tolist()]


@pytest.mark.parametrize("fmt", [E4M3, E5M2], ids=str)
def test_encoding_takes_the_nearest_word_and_the_even_one_of_two(fmt):
    words = list(range(fmt.largest + 1))
    values = [value(word, fmt) for word in words]
    rng = np.random.default_rng(0)
    middle = [(a + b) / 2 for a, b in itertools.pairwise(values)]
    # so little beside a tie that float32 cannot tell
    tests = [x * (1 + e * 2.0**-40) for x in middle for e in (-1, 0, 1)]
    tests += [float(x) for x in np.ldexp(rng.uniform(1, 2, 2000), rng.integers(-20, 20, 2000))]
    for x in tests:
        nearest = min(words, key=lambda word: (abs(values[word] - x), word & 1))
        assert fmt.encode(np.array([x, -x])).tolist() == [nearest, nearest | 1 << (fmt.bits - 1)], x


def test_multiply_add_is_that_of_the_c_library():
    fma = ctypes.CDLL(ctypes.util.find_library("m")).fmaf
    fma.restype, fma.argtypes = ctypes.c_float, [ctypes.c_float] * 3
    unit = MACS[0]
    columns = unit.draw(0, 20000)
    words = unit.reference(*columns).tolist()
    largest, over = struct.unpack("<f", struct.pack("<I", FLOAT32.largest))[0], 0
    for a, b, acc, word in zip(*(FLOAT32.decode(column).tolist() for column in columns), words, strict=True):
        wanted = fma(a, b, acc)
        over += math.isinf(wanted)
        wanted = max(-largest, min(wanted, largest))
        assert struct.pack("<f", wanted) == struct.pack("<I", word), (a, b, acc)
    assert over > 100


# --- the Verilog


@icarus
@pytest.mark.parametrize("unit", CORES, **by_slug)
def test_cores(unit, tmp_path):
    transactions = unit.transactions(0, 300, False)
    covered(unit, transactions)
    assert simulate(unit, transactions, tmp_path).startswith(PASSED)


@icarus
@pytest.mark.parametrize("unit", ELEMENTS, **by_slug)
def test_elements(unit, tmp_path):
    for seed, rates in enumerate((FULL, UNEVEN)):
        transactions = unit.transactions(seed, 60, False)
        bad, clocks = stream(unit, transactions, tmp_path, rates)
        assert bad == 0
        if rates is FULL:  # a beat a clock, wherever a sum ends
            assert clocks <= sum(map(len, transactions)) + unit.depth + 4


@pytest.mark.parametrize("unit", [unit for unit in ELEMENTS if unit.lanes <= 2], **by_slug)
def test_coverage(unit):
    covered(unit, [t for seed in range(4) for t in unit.transactions(seed, 60, False)])


@icarus
@pytest.mark.parametrize("unit", [MACS[1], MACS[-1], CORES[6], CORES[10], CORES[-1], *ELEMENTS[-7:]], **by_slug)
def test_lint_and_synthesis(unit, tmp_path):
    depth = unit.depth if unit.sequential else 0
    lint(unit, tmp_path, depth)
    synthesise(unit, tmp_path, depth, "proc", "opt")


WIDE, NARROW, TINY = MACS[-1], MACS[4], MACS[1]
LANES, DOT, INT = instances(2)["fp8-e4m3-float32"], ELEMENTS[-3], ELEMENTS[-1]
FUSED = instances(2)["bfloat16-fused"]
BUGS = [
    (NARROW, "float_normalise.v", "half && (less || shifted[WIDTH-MAN-1])", "half"),
    (WIDE, "float_normalise.v", "half && (less || shifted[WIDTH-MAN-1])", "half && shifted[WIDTH-MAN-1]"),
    (NARROW, "float_normalise.v", "magnitude_i | mark", "magnitude_i"),
    (WIDE, "float_normalise.v", "(rounded > RoundedBits'(LARGEST))", "1'b0"),
    (WIDE, "float_add_wide.v", "|| zero_i", ""),
    (WIDE, "float_add_wide.v", "negative_i) && (|magnitude)", "negative_i)"),
    (NARROW, "float_add_narrow.v", ", |shifted[Aligned:0]}", ", shifted[Aligned]}"),
    (NARROW, "float_add_narrow.v", "|| zero_i", ""),
    (NARROW, "float_add_narrow.v", "!zero_i}", "1'b0}"),
    (NARROW, "float_add_narrow.v", "negative_i) && (|magnitude)", "negative_i)"),
    (TINY, "float_unpack.v", "- $signed(ExponentBits'(zeros))", ""),
    (TINY, "float_multiply.v", "!significand_a[MAN] ||", ""),
    (CORES[6], "float_round.v", "aligned[1] && (aligned[0] || aligned[2])", "aligned[1]"),
    (CORES[6], "float_round.v", ", |word_i[FROM_MAN-MAN-2:0]}", ", 1'b0}"),
    (CORES[6], "float_round.v", "(|right[ExponentBits-1:ShiftBits]) ? '0", "1'b0 ? '0"),
    (CORES[10], "float_from_fixed.v", "Zeros = MAN + 1", "Zeros = MAN"),
    (CORES[10], "float_from_fixed.v", "negative ? -acc_i : acc_i", "negative ? ~acc_i : acc_i"),
    (CORES[-1], "int_requantise.v", "half && (less || below[0])", "half"),
    (CORES[-1], "int_requantise.v", "fits ? rounded", "1'b1 ? rounded"),
    (LANES, "float_element_mac.v", "first ? '0 : acc_q", "acc_q"),
    (LANES, "float_element_mac.v", "if (take) acc_q", "if (beat_valid) acc_q"),
    (LANES, "baseline_control.v", "!complete_q || ready_i", "1'b1"),
    (LANES, "baseline_control.v", "first_q <= last_i", "first_q <= 1'b0"),
    (DOT, "float_element_dot.v", "'(2 * TOP)", "'(2 * TOP - 1)"),
    (FUSED, "float_element_dot.v", "2 * Bias - 1", "2 * Bias"),
    (FUSED, "float_term.v", "= (EXP + 1)'(", "= EXP'("),
    (DOT, "float_element_dot.v", "\n        + SumBits'(signs[l])", ""),
    (DOT, "baseline_accumulator.v", "fits ? exact[ACC_BITS-1:0]", "1'b1 ? exact[ACC_BITS-1:0]"),
    (INT, "int_element.v", ".DEPTH(DEPTH + 1)", ".DEPTH(DEPTH + 2)"),
    (INT, "int_element.v", "sign_a && sign_b", "1'b0"),
    (INT, "int_element.v", "total = Missing;", "total = '0;"),
    (INT, "baseline_accumulator.v", "$signed(first ? '0 : acc_q)", "$signed(acc_q)"),
]


@icarus
@pytest.mark.parametrize(("unit", "file", "right", "wrong"), BUGS)
def test_planted_bugs_are_caught(unit, file, right, wrong, tmp_path):
    rtl = planted(tmp_path, file, right, wrong)
    if unit.sequential:
        assert stream(unit, unit.transactions(0, 60, False), tmp_path, rtl=rtl)[0] > 0
    else:
        assert simulate(unit, unit.transactions(0, 1500, False), tmp_path, rtl).startswith("FAILED")


TIE = (0x59F2EDF6, 0x46400000)  # a product of float32 in the middle between two words
FAR = [(*TIE, acc) for acc in (0x37C0B00A, 0xB7C0B00A, 0, 0x80000000)]
RARE = [
    (MACS[0], FAR, "normal || (|acc_i[MAN-1:0])", "1'b0"),
    (MACS[0], FAR, "normal || (|acc_i[MAN-1:0])", "1'b1"),
    (MACS[0], FAR, "distance >= ExponentBits'(Window)", "|distance[ExponentBits-2:ShiftBits]"),
    # half of a product's last place and a little more, the product's leading one far down
    (WIDE, [(0x0001, 0x7802, 0x0011)], ", |shifted[Significand:0]}", ", shifted[Significand]}"),
    # a power of two less not quite half of the last place under it
    (WIDE, [(0x97FF, 0x2BFF, 0x3C00)], "Above        = Significand + 2", "Above        = Significand + 1"),
]


@icarus
@pytest.mark.parametrize(("unit", "beats", "right", "wrong"), RARE)
def test_rare_operands(unit, beats, right, wrong, tmp_path):
    transactions = [(beat,) for beat in beats]
    assert simulate(unit, transactions, tmp_path).startswith(PASSED)
    rtl = planted(tmp_path, "float_add_wide.v", right, wrong)
    assert simulate(unit, transactions, tmp_path, rtl).startswith("FAILED")


# --- a million and more


def differ(unit, *columns) -> int:
    got = CompiledUnit(unit).run(pack_columns(columns, unit.inputs()), len(columns[0]))
    return int((unpack_columns(got, unit.outputs())[0] != unit.reference(*columns)).sum())


@pytest.mark.slow
@pytest.mark.parametrize("unit", MACS, **by_slug)
def test_a_million_multiply_adds(unit):
    assert differ(unit, *unit.draw(0, 1 << 21)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("unit", [MACS[1], MACS[2]], **by_slug)
def test_all_pairs_of_eight_bits(unit):
    words = np.arange(256)
    words = words[unit.factor.is_number(words)]
    a, b, _ = (grid.ravel() for grid in np.meshgrid(words, words, np.arange(24)))
    rng = np.random.default_rng(0)
    scale = np.ldexp(rng.uniform(-2, 2, len(a)), rng.integers(-28, 28, len(a)))
    acc = unit.acc.encode(unit.factor.decode(a) * unit.factor.decode(b) * scale)
    assert differ(unit, a, b, acc) == 0


@pytest.mark.slow
@pytest.mark.parametrize("unit", [unit for unit in CORES if isinstance(unit, FloatRound)], **by_slug)
def test_a_million_roundings(unit):
    assert differ(unit, unit.draw(0, 1 << 20)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("unit", [unit for unit in CORES if isinstance(unit, FloatFromFixed)], **by_slug)
def test_a_million_conversions_from_fixed_point(unit):
    rng, count = np.random.default_rng(0), 1 << 20
    acc = rng.integers(-(1 << (unit.bits - 1)), 1 << (unit.bits - 1), count) >> rng.integers(0, unit.bits, count)
    low = rng.integers(0, unit.bits, count)
    assert (
        differ(unit, np.where(rng.integers(0, 2, count) == 0, acc, acc >> low << low), rng.integers(-64, 32, count))
        == 0
    )


@pytest.mark.slow
def test_a_million_requantisations():
    rng, count = np.random.default_rng(0), 1 << 20
    shift, kind = rng.integers(0, 32, count), rng.integers(0, 3, count)
    near = (rng.uniform(-140, 140, count) * 2.0**shift).clip(-(2**31), 2**31 - 1).astype(np.int64)
    tie = (2 * rng.integers(-200, 200, count) + 1) << np.minimum(shift, 22) >> 1
    acc = np.select([kind == 0, kind == 1], [rng.integers(-(2**31), 2**31, count), tie], near)
    assert differ(IntRequantise(), acc, shift) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", instances(16))
def test_elements_compiled(name):
    unit = instances(16)[name]
    done = compare(unit, unit.transactions(0, 1000, False))
    assert done.mismatches == 0, done.failures


# --- operands


@pytest.mark.parametrize("name", instances(4))
def test_recorded_operands_are_the_products(name):
    unit, rng = instances(4)[name], np.random.default_rng(0)
    a, b = rng.normal(size=(6, 13)) * 1e-3, rng.normal(size=(13, 5)) * 30
    transactions = recorded(unit, a, b, 10000)
    quantised = [unit.numbers(unit.quantise(tensor)) for tensor in (a, b)]
    exact = (quantised[0] @ quantised[1]).ravel()
    assert len(transactions) == -(-30 // unit.outputs_at_once)
    for number, transaction in enumerate(transactions):
        words_a, words_b = (unit.numbers(words) for words in unit.words(transaction))
        sums = (words_a * words_b).sum(axis=0)
        sums = sums if unit.outputs_at_once > 1 else sums.sum(keepdims=True)
        wanted = exact[number * unit.outputs_at_once :][: unit.outputs_at_once]
        assert np.allclose(sums[: len(wanted)], wanted, rtol=1e-12, atol=1e-12 * np.abs(exact).max())
    for tensor, before in zip(quantised, (a, b), strict=True):  # scaled by a power of two, and rounded
        ratio = np.abs(tensor).max() / np.abs(before).max()
        assert abs(math.log2(ratio) - round(math.log2(ratio))) < 0.2


@pytest.mark.parametrize("name", instances(4))
def test_recorded_operands_keep_the_limit_and_use_the_range(name):
    unit, rng = instances(4)[name], np.random.default_rng(0)
    a, b = rng.normal(size=(40, 32)), rng.normal(size=(32, 20))
    transactions = recorded(unit, a, b, 100)
    assert 50 < sum(map(len, transactions)) <= 100
    assert len(set(transactions)) == len(transactions)
    if getattr(unit, "aligned", False):  # the largest of each factor meet nowhere, or their product fills the term
        every = recorded(unit, a, b, 100000)
        largest = max(np.abs(np.prod(unit.values(t), axis=0)).max() for t in every)
        assert 2 ** (unit.guard - 3) < largest / 2.0 ** every[0][0][3] < 2 ** (unit.guard + 1)
    elif unit.outputs_at_once == 1:  # constants that let results use the format, and saturate none
        every = [unit.results_of(t)[0] for t in recorded(unit, a, b, 100000)]
        kinds = {unit.kind(int(word)) for word in every}
        assert "other" in kinds
        numbers = np.abs(unit.numbers(np.array(every)))
        assert numbers.max() >= 0.45 * unit.numbers(np.array([unit.special_words()[-1] & 0x7F])).max()


@pytest.mark.parametrize("name", instances(4))
def test_uniform_operands(name):
    unit = instances(4)[name]
    transactions = uniform(unit, 200, 1, 10)
    assert 200 <= sum(map(len, transactions)) < 200 + len(transactions[0])
    assert transactions == uniform(unit, 200, 1, 10) != uniform(unit, 200, 2, 10)
    words = np.concatenate([unit.words(t)[0] for t in transactions])
    if unit.outputs_at_once == 1:
        assert (words.reshape(len(transactions), -1)[:, 10:] == 0).all()
    assert len({unit.kind(int(word)) for t in transactions for word in unit.results_of(t)}) > 0


def test_wrong_operands_are_refused():
    with pytest.raises(ValueError, match=r"\(M, K\) and \(K, N\)"):
        recorded(instances(4)["int8"], np.zeros((2, 3)), np.zeros((2, 3)), 10)


def test_sums_that_cannot_be_are_refused():
    for guard, bits in ((6, 24), (12, 13), (40, 54)):
        with pytest.raises(ValueError, match="guard"):
            FloatElementDot(1, factor=E4M3, guard=guard, acc_bits=bits)


@pytest.mark.parametrize(("name", "lane"), [("bfloat16-fused", "bfloat16"), ("float16-fused", "float16")])
def test_aligned_sums_lose_no_more_than_float32_on_recorded_operands(name, lane):
    unit, single = instances(16)[name], instances(1)[lane]
    too_narrow = dataclasses.replace(unit, guard=25, acc_bits=37)
    worse = 0
    for a, b in float_products(Workload()).values():
        a, b = (unit.numbers(unit.quantise(tensor.astype(float))) for tensor in (a, b))
        factors = float(np.abs(a).max()), float(np.abs(b).max())
        places = np.random.default_rng(0).permutation(len(a) * b.shape[1])[:1000]
        terms = a[places // b.shape[1]] * b[:, places % b.shape[1]].T  # exact in float64
        exact = np.array([math.fsum(row) for row in terms.tolist()])
        sums = np.zeros(len(places))
        for term in terms.T:
            sums = single.acc.decode(multiply_add(term, np.ones_like(term), sums, single.acc))

        def rms(values, exact=exact):
            return float(np.sqrt(np.mean((values - exact) ** 2)))

        def fixed(one, terms=terms, factors=factors):
            (least,) = one.constants_for(factors, 0.0)
            return np.ldexp(fixed_terms(terms, np.ones_like(terms), least).sum(axis=1).astype(float), least)

        assert rms(fixed(unit)) <= rms(sums)
        worse += rms(fixed(too_narrow)) > rms(sums)
    assert worse >= 2


def test_an_accumulator_too_low_for_its_products_is_refused():
    unit = instances(2)["bfloat16-fused"]
    one = np.full((1, 2), 127 << 7)
    (least,) = unit.constants_for((1.0, 1.0), 2.0)
    assert least == 1 - unit.guard and unit.expect(unit.beats(one, one, (least,))) == ((128 << 7,),)
    with pytest.raises(ValueError, match=f"exponent_i must be at least {least} for these products, got {least - 1}"):
        unit.expect(unit.beats(one, one, (least - 1,)))


def test_what_truncates_nothing_says_so():
    exact = {name for name, unit in instances(4).items() if getattr(unit, "exact", False)}
    assert exact == {"fp8-e4m3-exact"}
    wider = dataclasses.replace(instances(4)["fp8-e4m3-exact"], guard=34)
    assert not wider.exact
