"""Matrix products on every path of the kernels against the definition: words and events.

The transcription judges, which tests/test_transcription.py checks: on every path that a process has, and in a process
of its own on the one for AVX2.
"""

import gc
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from unittest import mock

import llvmlite.binding as llvm
import numba
import numpy as np
import pytest
import transcription
from drawing import (
    KINDS,
    LAYOUTS,
    STYLES,
    cases,
    corners,
    every_word,
    laid_out,
    linear_dot,
    log_dot,
    name_of,
    operands,
    pairs_of_states,
    preset_dots,
)
from hypothesis import given, settings
from numba.core.dispatcher import Dispatcher

from lns import kernels, load
from lns.format import Event, LNSFormat
from lns.gausslog import Table
from lns.kernels import isa, plan_linear, product_log
from lns.reference import LinearDot, LogDot


def on(path):
    return mock.patch.dict(os.environ, LNS_KERNELS=path)


def product(a, b, unit):
    return (kernels.dot_linear if isinstance(unit, LinearDot) else kernels.dot_log)(a, b, unit)


def check(a, b, unit):
    """On every path the product of a and b is the transcription's; the events seen."""
    right = transcription.dot(a, b, unit)
    for path in isa.available():
        with on(path):
            got = product(a, b, unit)
        assert got[0].dtype == (np.int64 if isinstance(unit, LinearDot) else unit.acc.dtype)
        assert got[1].dtype == np.uint8
        for what, some, expected in zip(("words", "events"), got, right, strict=True):
            assert some.shape == expected.shape
            wrong = np.argwhere(some != expected)
            assert not wrong.size, (
                f"{path}: {len(wrong)} {what} of {expected.size} differ, first at {wrong[0].tolist()}:"
                f" {some[tuple(wrong[0])]}, expected {expected[tuple(wrong[0])]}"
            )
    return Event(int(np.bitwise_or.reduce(right[1], axis=None)))


def check_within(a, b, unit):
    """`check` of log sums that stay within the accumulator's range, at which no loop looks then; and of the same with
    zeros behind each product, so that it is in turns of the loop and not only in the step before it."""
    assert not product_log._outside(a, b, product_log.plan(unit))
    places = np.repeat(np.arange(1, len(b) + 1), 2)
    for left, right in ((a, b), (np.insert(a, places, 0, axis=1), np.insert(b, places, 0, axis=0))):
        assert check(left, right, unit) == Event(0)


# --- the kernels: every product ---------------------------------------------------------------------------------------


def blocks(words, columns):
    """The words in runs whose products with so many columns fill some 2**22 elements."""
    return np.array_split(words, max(1, words.size * columns >> 22))


#: Linear units whose terms are words: of a table and of straight lines, with the most and few guard bits.
WORDS = [
    linear_dot("lns<9,4>", rom_bits=9), linear_dot("lns<10,6>", "lns<9,5>", rom_bits=12, guard=14),
    linear_dot("lns<11,7>", "lns<8,3>", rom_bits=10), linear_dot("lns<13,8>", rom_bits=13),
    linear_dot("lns<14,9>", "lns<12,8>", rom_bits=20, guard=3), linear_dot("lns<15,10>", "lns<16,10>", 15, 14, 26),
]  # fmt: skip


@pytest.mark.parametrize("unit", preset_dots() + WORDS, ids=name_of)
def test_every_product(unit):
    """All pairs of words, up to 2**25; else all words of each operand with corners and a sample of the other."""
    rng = np.random.default_rng(0)
    a, b = every_word(unit.a), every_word(unit.b)
    if unit.a.bits + unit.b.bits <= 25:
        sides = [(a, b)]
    else:
        some_a, some_b = (np.concatenate([corners(f), rng.choice(every_word(f), 12)]) for f in (unit.a, unit.b))
        sides = [(a, some_b), (some_a, b)]
    for rows, columns in sides:
        for some in blocks(rows, columns.size):
            check(some[:, None], columns[None, :], unit)


@pytest.mark.skipif(isa.VECTOR != "avx512", reason="terms are words with AVX-512 alone")
@pytest.mark.parametrize("unit", WORDS, ids=name_of)
def test_terms_that_no_line_gives(unit):
    """A ROM with one entry beyond what a line and a bit reach goes another way, one within takes that bit."""
    plan = plan_linear.plan(unit, 100)
    assert plan.way == "words" and plan.direct == (unit.frac_bits <= 6)
    rng, step = np.random.default_rng(0), 1 << max(0, unit.rom_bits - unit.guard - 1)
    a, b = operands(unit, (70, 9, 70), rng, "high")
    for error, way in ((4 * step, "floats" if unit.frac_bits > 7 else "words"), (1, "words")):
        rom = np.array(unit.rom)
        rom[-2] -= error
        wrong = replace(unit, rom=rom)
        assert plan_linear.plan(wrong, 100).way == way
        check(a, b, wrong)
        assert error < step or not np.array_equal(product(a, b, wrong)[0], product(a, b, unit)[0])


def check_every_step(unit, states, ways=(1, 2), check=check):
    """Every product word added to each of the states of a log accumulator: in one lane, and in two by the tree."""
    for some in blocks(states, 1 << unit.a.bits):
        a, b = pairs_of_states(unit.a, some, every_word(unit.a))
        for lanes in ways:
            check(a, b, replace(unit, lanes=lanes))


NARROW = [(fmt, kind) for fmt in ("lns<8,3>", "lns<8,0>", "lns<8,6>", "lns<9,4>", "lns<10,8>") for kind in KINDS]
ELEVEN = [("lns<11,9>", "full"), ("lns<11,4>", "coarse<2>"), ("lns<11,5>", "linear<3,6>"), ("lns<11,7>", "mitchell")]


@pytest.mark.parametrize(("fmt", "kind"), NARROW + ELEVEN)
def test_every_step_of_a_log_accumulator(fmt, kind):
    """All pairs of a product and an accumulator, up to 2**22."""
    unit = log_dot(fmt, acc=fmt, kind=kind)
    check_every_step(unit, every_word(unit.acc))


@pytest.mark.parametrize(("fmt", "kind"), NARROW + ELEVEN)
def test_every_step_within_the_range(fmt, kind):
    """The same pairs in an accumulator of 16 times the octaves, which no sum leaves."""
    narrow = LNSFormat.parse(fmt)
    unit = log_dot(fmt, acc=f"lns<{narrow.bits + 4},{narrow.frac_bits}>", kind=kind)
    check_every_step(unit, every_word(narrow), check=check_within)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["full", "coarse<3>", "linear<4,3>", "mitchell"])
@pytest.mark.parametrize("frac_bits", [0, 5, 10])
def test_every_step_of_12_bit_log_accumulators(frac_bits, kind):
    """All 2**24 pairs."""
    fmt = f"lns<12,{frac_bits}>"
    unit = log_dot(fmt, acc=fmt, kind=kind)
    check_every_step(unit, every_word(unit.acc))


LOG_PRESETS = [unit for unit in preset_dots() if isinstance(unit, LogDot)]


@pytest.mark.parametrize("unit", LOG_PRESETS, ids=name_of)
def test_steps_of_the_presets_log_accumulators(unit):
    """Every product word, added to corners and a sample of the accumulator's words."""
    fmt, rng = unit.acc, np.random.default_rng(0)
    states = np.concatenate([corners(fmt), rng.choice(every_word(fmt), 40)])
    check_every_step(replace(unit, a=fmt, b=fmt, offset=0), states)


def in_bytes(unit):
    """Whether the kernels hold the unit's table in registers as bytes."""
    return product_log.plan(unit).table.dtype == np.int8


def check_small_table(unit, states, check=check):
    """Every word of a as the second product, so every distance, after a first one: states, by 2**-1 … 2 of both signs
    by zeros; in one lane, and in two by the tree. And every word after two that cancel."""
    factors = every_word(unit.b)
    b = np.stack(np.meshgrid(factors, factors)).reshape(2, -1)
    for state in states:
        words = every_word(unit.a)
        first = np.full_like(words, state)
        for lanes in (1, 2):
            check(np.stack([first, words], axis=1), b, replace(unit, lanes=lanes))
        cancelled = np.stack([first, first ^ unit.a.sign_bit, words], axis=1)
        check(cancelled, np.full((3, 33), unit.b.bias, unit.b.dtype), replace(unit, lanes=1))


def small_table(acc, kind):
    """A unit whose products, of an accumulator's word by few octaves, leave room for lanes of 16 bits."""
    return log_dot(acc, "lns<3,0>", acc=acc, kind=kind)


#: Formats and tables that AVX2 holds in registers: of up to 16, 32, 48 and 64 entries.
SMALL_TABLES = [
    ("lns<15,8>", "coarse<8>"), ("lns<15,8>", "coarse<7>"), ("lns<15,8>", "coarse<6>"), ("lns<14,6>", "coarse<3>"),
    ("lns<13,5>", "coarse<2>"), ("lns<14,4>", "coarse<1>"), ("lns<14,3>", "full"), ("lns<12,2>", "mitchell"),
    ("lns<13,3>", "linear<2,6>"),
]  # fmt: skip


@pytest.mark.parametrize(("acc", "kind"), SMALL_TABLES)
def test_steps_by_a_small_table(acc, kind):
    unit, rng = small_table(acc, kind), np.random.default_rng(0)
    assert in_bytes(unit) == (isa.VECTOR == "avx2")
    check_small_table(unit, [unit.a.max_code, unit.a.bias, *rng.choice(every_word(unit.a), 1)])
    inside = log_dot(f"lns<{unit.acc.bits - 3},{unit.acc.frac_bits}>", "lns<3,0>", acc=acc, kind=kind)
    check_small_table(inside, [inside.a.max_code, inside.a.bias], check_within)


@pytest.mark.parametrize("size", [1, 16, 17, 32, 33, 48, 49, 63, 64, 65])
@pytest.mark.parametrize("far", [False, True])
def test_a_small_table_of_any_entries(size, far):
    """A table that no logarithm gives: entries behind the 16th are as large as a byte holds, or larger."""
    unit, rng = small_table("lns<12,8>", "coarse<5>"), np.random.default_rng(size)
    roms = {"sb": rng.integers(1, 400, size), "db": rng.integers(1, 2000, size)}
    for name, most in (("sb", 127), ("db", 128)):
        roms[name][16:] = rng.permutation(most)[: max(0, size - 16)] + 1
        roms[name][16:17] = most + far
    unit = replace(unit, table=Table(unit.table.kind, 8, roms))
    assert in_bytes(unit) == (isa.VECTOR == "avx2" and size <= 64 and not (far and size > 16))
    check_small_table(unit, [unit.a.bias, unit.a.bias + 1000 | unit.a.sign_bit])
    inside = replace(unit, acc=LNSFormat(15, 8))
    check_small_table(inside, [inside.a.bias, inside.a.bias + 1000 | inside.a.sign_bit], check_within)


FORMS = [numba.njit(form.py_func) for form in (product_log._by_rows, product_log._in_stages)]


@pytest.mark.skipif(isa.VECTOR != "avx2", reason="only AVX2 has both forms")
@pytest.mark.parametrize(
    "unit",
    [small_table("lns<15,8>", "coarse<6>"), log_dot("lns<8,3>"), log_dot("lns<16,10>", acc="lns<16,10>")],
    ids=["bytes", "16 bits", "32 bits"],
)
def test_sums_by_rows_are_those_in_stages(unit):
    """The tile that other instruction sets compute by rows, as long as nothing leaves the range."""
    plan, rng, zero = product_log.plan(unit), np.random.default_rng(0), np.uint64(0)
    dtype, lanes = type(plan.numbers.one), np.uint64(unit.lanes)
    for k in (1, unit.lanes - 1, 3 * unit.lanes, 7 * unit.lanes + 5):
        a, b = rng.choice(every_word(unit.a), (k, 4)), rng.choice(every_word(unit.b), (k, plan.width))
        left = product_log.pack_steps(a, plan.a, dtype, 4, unit.lanes, dtype == np.int16)
        right = product_log.pack_steps(b, plan.b, dtype, plan.width, unit.lanes)
        found = []
        for form in FORMS:
            sums, highs, lows = (np.zeros(rows * plan.width, dtype) for rows in (8 * unit.lanes, 4, 4))
            form(left, right, plan.table, plan.numbers, zero, zero, np.uint64(k), lanes, sums, highs, lows)
            codes, marks = sums[: 8 * plan.width].reshape(2, -1)
            found.append((codes, (marks != 0) & (codes > 0), highs.max(), lows.view(f"u{lows.itemsize}").min()))
        for one, other in zip(*found, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_step_of_madam8_log():
    """All 2**30 pairs of a product and an accumulator."""
    fmt = load("madam8-log").accumulator.format
    check_every_step(log_dot(str(fmt), acc=str(fmt)), every_word(fmt), (1,))


@pytest.mark.parametrize("lanes", [1, 2, 4])
@pytest.mark.parametrize("unit", [
    *(replace(u, a=u.a, b=u.b) for u in LOG_PRESETS if u.a.bits + u.b.bits == 16),
    log_dot("lns<8,3>", acc="lns<8,3>"), log_dot("lns<8,6>", "lns<8,2>", acc="lns<11,7>", kind="coarse<3>"),
    linear_dot("lns<8,3>"), linear_dot("lns<8,3>", bits=14), linear_dot("lns<8,5>", "lns<8,2>", 10, 6, 9),
], ids=name_of)  # fmt: skip
def test_every_sum_of_two_8_bit_words_and_a_product(unit, lanes):
    """Accumulators as 8-bit operands reach them: all pairs of words are summed, then meet a third product."""
    rng, every = np.random.default_rng(lanes), every_word(unit.a)
    a = np.stack(np.meshgrid(every, every, every[:1]), axis=-1).reshape(-1, 3)
    a[:, 2] = rng.choice(every, len(a))
    third = np.concatenate([corners(unit.b), rng.choice(every_word(unit.b), 12)])
    near_one = unit.b.bias + np.array([[0], [3]])
    b = np.concatenate([np.broadcast_to(near_one, (2, third.size)), third[None, :]]).astype(unit.b.dtype)
    check(a, b, replace(unit, lanes=lanes))


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize(("fmt", "kind"), [("lns<8,3>", "full"), ("lns<10,4>", "coarse<2>"), ("lns<16,10>", "full")])
def test_sums_that_leave_the_range_at_one_end(fmt, kind, lanes):
    """Products of which none underflows or saturates, but a sum does, before another product meets it."""
    unit = log_dot(fmt, acc=fmt, lanes=lanes, kind=kind)
    octave, sign, one = 1 << unit.acc.frac_bits, unit.acc.sign_bit, np.full((3, 17), unit.acc.bias, unit.acc.dtype)
    low, high = np.arange(2, octave), unit.acc.max_code - np.arange(octave // 2)
    under = np.stack([low, low - 1 | sign, low], axis=1).astype(unit.acc.dtype)
    over = np.stack([high, high, high - octave | sign], axis=1).astype(unit.acc.dtype)
    assert check(under, one, unit) == Event.ACC_UNDERFLOW
    assert check(over, one, unit) == Event.ACC_SATURATE


@pytest.mark.parametrize(("fmt", "kind"), [("lns<8,3>", "full"), ("lns<10,4>", "coarse<2>"), ("lns<16,10>", "full")])
def test_products_that_leave_the_range_at_one_end(fmt, kind):
    """By little, beside a product that is near enough to feel it: the range rule comes before the sum."""
    unit = log_dot(fmt, acc=fmt, lanes=1, kind=kind)
    bias, sign, largest = unit.acc.bias, unit.acc.sign_bit, unit.acc.max_code
    near = np.arange(1, 1 << (unit.acc.frac_bits + 1))[:200]
    for beyond in (0, 1, 3):
        ends = {
            Event.ACC_UNDERFLOW: (near, 1, bias - 1 - beyond),
            Event.ACC_SATURATE: (largest - near | sign, largest, bias + 1 + beyond),
        }
        for event, (first, x, y) in ends.items():
            a = np.stack([first, np.full(first.size, x)], axis=1).astype(unit.a.dtype)
            assert check(a, np.repeat([[bias], [y]], 17, axis=1).astype(unit.b.dtype), unit) == event


@pytest.mark.parametrize("guard", [0, 6, 12, 24, 29])
@pytest.mark.parametrize("pair", [("lns<3,0>", "lns<3,1>"), ("lns<8,0>", "lns<8,3>"), ("lns<8,3>", "lns<8,1>")])
def test_zeros_of_a_linear_accumulator(pair, guard):
    """Zeros times all words before and after all products: a zero must vanish beside any word, for few octaves, too."""
    for bits in (guard + 2, guard + 10):
        unit = linear_dot(*pair, guard=guard, bits=bits, lanes=1)
        a = np.zeros((1 << unit.a.bits, 3), unit.a.dtype)
        a[:, 1], a[:, 2] = every_word(unit.a), unit.a.sign_bit
        check(a, np.repeat(every_word(unit.b)[None, :], 3, axis=0), unit)


def sum_of_powers(unit, value, terms):
    """Words of ``unit.a`` whose products with the largest whole octave of ``unit.b`` sum to ``value`` monotonically."""
    octave = 1 << unit.a.frac_bits
    top = unit.a.max_raw >> unit.a.frac_bits
    exponent = top + (unit.b.max_raw >> unit.b.frac_bits) - unit.least_exponent
    words, rest = [], abs(value)
    while rest:
        power = min(rest.bit_length() - 1, exponent)
        rest -= 1 << power
        words.append(unit.a.bias + (top - exponent + power) * octave | (unit.a.sign_bit if value < 0 else 0))
    return words + [0] * (terms - len(words))


@pytest.mark.parametrize("lanes", [1, 4, 16])
@pytest.mark.parametrize(
    "unit",
    [
        linear_dot("lns<8,3>", rom_bits=8, guard=9, bits=11),
        linear_dot("lns<8,3>", rom_bits=5, guard=6, bits=10),
        linear_dot("lns<9,4>", "lns<8,3>", rom_bits=12, guard=4, bits=8),
        linear_dot("lns<16,10>", "lns<10,5>", rom_bits=14, guard=8, bits=10),
    ],
    ids=name_of,
)
def test_every_step_of_a_linear_accumulator(unit, lanes):
    """All values of the accumulator, and all words of b times five words of a as the term that comes after."""
    unit, limit = replace(unit, lanes=lanes), 1 << (unit.bits - 1)
    values, first = np.arange(-limit, limit), 32
    states = np.array([sum_of_powers(unit, int(value), first) for value in values])
    octave = 1 << unit.b.frac_bits
    b = np.full((first + 1, 1 << unit.b.bits), unit.b.bias + (unit.b.max_raw // octave) * octave, unit.b.dtype)
    b[first] = every_word(unit.b)
    for last in (unit.a.max_code, unit.a.max_code | unit.a.sign_bit, unit.a.bias, unit.a.bias - 5, 1):
        a = np.concatenate([states, np.full((values.size, 1), last)], axis=1).astype(unit.a.dtype)
        assert np.array_equal(transcription.dot(a, b[:, :1], unit)[0][:, 0], values)
        check(a, b, unit)


# --- the kernels: any product -----------------------------------------------------------------------------------------

UNITS = [
    linear_dot("lns<8,3>"),
    linear_dot("lns<8,3>", bits=15),
    linear_dot("lns<9,4>"),
    linear_dot("lns<13,8>", "lns<8,3>", rom_bits=13, lanes=6, bits=15),
    linear_dot("lns<16,10>", "lns<13,9>", rom_bits=14, guard=20, bits=40),
    linear_dot("lns<9,5>", "lns<16,10>", rom_bits=14, guard=10, bits=16, lanes=4),
    linear_dot("lns<20,14>", "lns<8,3>", rom_bits=20, guard=24, bits=48, lanes=2),
    log_dot("lns<8,3>"),
    log_dot("lns<8,3>", acc="lns<10,3>", lanes=2, kind="mitchell"),
    log_dot("lns<16,10>", acc="lns<16,10>", offset=22),
    log_dot("lns<13,9>", "lns<8,3>", acc="lns<18,11>", offset=-2, lanes=8, kind="coarse<3>"),
    log_dot("lns<8,3>", lanes=4, kind="coarse<6>"),
]


@pytest.mark.parametrize("unit", UNITS, ids=name_of)
def test_every_width(unit):
    rng = np.random.default_rng(0)
    for n in range(71):
        for k in (1, 3, 17):
            check(*operands(unit, (3, k, n), rng, "octaves", "any"), unit)


@pytest.mark.parametrize("unit", UNITS, ids=name_of)
@pytest.mark.parametrize("k", [0, 1, 2, 5, 15, 16, 17, 33])
def test_every_height(unit, k):
    rng = np.random.default_rng(k)
    for m in (0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33):
        for n in (0, 1, 16, 21):
            check(*operands(unit, (m, k, n), rng, "octaves"), unit)


@pytest.mark.parametrize("unit", UNITS, ids=name_of)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(unit, layout):
    rng = np.random.default_rng(0)
    for m, k, n in ((5, 33, 17), (33, 5, 70), (1, 40, 1)):
        a, b = operands(unit, (m, k, n), rng, "octaves")
        view_a, view_b = laid_out(a, layout, rng), laid_out(b, layout, rng)
        check(view_a, view_b, unit)
        assert np.array_equal(view_a, a) and np.array_equal(view_b, b)
        check(np.broadcast_to(a[:1], a.shape), np.broadcast_to(b[:, :1], b.shape), unit)
    check(view_a, view_b[::-1][:, [0] * 20], unit)


def check_case(case):
    rng = np.random.default_rng(case.seed)
    a, b = operands(case.unit, case.shape, rng, *case.styles)
    check(laid_out(a, case.layouts[0], rng), laid_out(b, case.layouts[1], rng), case.unit)


@settings(max_examples=250)
@given(cases())
def test_any_product(case):
    check_case(case)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=3000)
@given(cases())
def test_any_of_many_products(case):
    check_case(case)


STEP = [(17, 785, 129), (17, 257, 10), (129, 128, 257), (10, 128, 129), (64, 10, 256)]  # (M, K, N)


@pytest.mark.parametrize("unit", preset_dots(), ids=name_of)
def test_products_of_a_training_step(unit):
    rng = np.random.default_rng(0)
    for shape in STEP:
        for style in ("any", "octaves"):
            a, b = operands(unit, shape, rng, style)
            check(a, np.asfortranarray(b), unit)


@pytest.mark.slow
@pytest.mark.parametrize("unit", preset_dots(), ids=name_of)
def test_whole_products_of_a_training_step(unit):
    rng = np.random.default_rng(1)
    for shape in [(128, 785, 256), (256, 128, 785), (128, 257, 128), (128, 128, 257), (128, 128, 256)]:
        for style in STYLES:
            a, b = operands(unit, shape, rng, style)
            check(np.asfortranarray(a), b, unit)


@pytest.mark.parametrize("unit", [u for u in preset_dots() if isinstance(u, LinearDot)], ids=name_of)
def test_beyond_the_safe_length(unit):
    """The largest words there are: sums that just fit, that just do not, and that come back from saturation."""
    unit = replace(unit, bits=unit.guard + 11)
    for k in (unit.safe_length, unit.safe_length + 1, unit.safe_length + 40):
        a = np.full((5, 2 * k), unit.a.max_code, unit.a.dtype)
        a[1] |= unit.a.sign_bit
        a[2, k:] |= unit.a.sign_bit
        a[3, ::3] = 0
        a[4, ::2] |= unit.a.sign_bit
        b = np.full((2 * k, 18), unit.b.max_code, unit.b.dtype)
        assert check(a[:, :k], b[:k], unit) == (Event.ACC_SATURATE if k > unit.safe_length else Event(0))
        assert check(a, b, unit) == Event.ACC_SATURATE


@pytest.mark.parametrize("guard", [0, 6, 12, 14, 15, 16, 20, 23, 24, 28, 30, 31, 40])
@pytest.mark.parametrize("pair", [("lns<8,2>", "lns<8,3>"), ("lns<16,10>", "lns<9,5>"), ("lns<8,0>", "lns<8,2>")])
def test_the_largest_sums(pair, guard):
    """Of thousands of the largest words of one sign and of both: whatever a loop holds a sum in must not overflow."""
    for k, lanes, bits in ((32767, 1, 62), (32768, 16, 58), (4099, 16, min(58, guard + 12)), (4099, 16, 32)):
        if bits >= guard + 2:
            unit = linear_dot(*pair, rom_bits=16, guard=guard, bits=bits, lanes=lanes)
            a = np.full((3, k), unit.a.max_code, unit.a.dtype)
            a[1] |= unit.a.sign_bit
            a[2, k // 2 :] |= unit.a.sign_bit
            check(a, np.full((k, 18), unit.b.max_code, unit.b.dtype), unit)


# --- the choice of a path, threads, compilations ----------------------------------------------------------------------

@pytest.mark.parametrize(
    ("unit", "message"),
    [
        (linear_dot("lns<8,3>", guard=-1), "guard must be at least 0"),
        (linear_dot("lns<8,3>", lanes=0), "lanes at least 1"),
        (log_dot("lns<8,3>", lanes=3), "power of two, got 3"),
        (log_dot("lns<8,5>", acc="lns<15,4>"), "fewer fraction bits"),
        (log_dot("lns<8,3>", acc="ulns<15,8>"), "signed operands need a signed accumulator"),
        (log_dot("lns<32,3>", acc="lns<15,8>"), "needs 36"),
    ],
)
@pytest.mark.parametrize("path", isa.available())
def test_units_that_are_none(unit, message, path):
    ones = np.ones((1, 1), unit.a.dtype)
    with on(path), pytest.raises(ValueError, match=message):
        product(ones, ones, unit)


def test_codes_of_32_bits():
    """Beyond int32, in which the vector kernels lay words out."""
    unit = linear_dot("ulns<32,3>", rom_bits=3, guard=2, bits=50, lanes=32)
    a = np.array([[4294967294, 4294967295, 1 << 31]], np.uint32)
    check(a, a.T.copy(), unit)


ONE = np.full((1, 1), 64, np.uint8)


def test_the_paths():
    if cpu := os.environ.get("NUMBA_CPU_NAME"):
        assert (cpu == "icelake-server") == isa.GATHERS
    assert isa.available()[-1] == "portable"
    assert set(isa.available()) <= {"portable", "avx2", "avx512"}
    if os.environ.get("LNS_KERNELS") == "avx2":
        assert isa.available() == ("avx2", "portable")


@pytest.mark.parametrize(
    "some",
    ["paths or every_width or small_table", pytest.param("not process", marks=pytest.mark.slow)],
)
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("setting", ["LNS_KERNELS=avx2", "NUMBA_CPU_NAME="])
def test_in_a_process_of_its_own(some, setting):
    """A process is compiled for one processor: these tests again in one for AVX2, and where look-ups differ."""
    name, value = setting.split("=")
    if isa.available()[0] == "avx2" or "NUMBA_CPU_NAME" in os.environ:
        pytest.skip("this process is one")
    if not llvm.get_host_cpu_features().get("avx2") or (not value and isa.VECTOR != "avx512"):
        pytest.skip("no such vectors here")
    value = value or ("znver4" if isa.GATHERS else "icelake-server")
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", "-k", some, __file__]
    pytest_.append(str(Path(__file__).with_name("test_factors.py")))
    run = subprocess.run(pytest_, env=os.environ | {name: value}, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-5000:]


@pytest.mark.parametrize("unit", [linear_dot("lns<8,3>"), log_dot("lns<8,3>")], ids=["linear", "log"])
@pytest.mark.parametrize("name", ["neon", "AVX512", "portable,avx2"])
def test_an_unknown_path(unit, name):
    with on(name), pytest.raises(ValueError, match="LNS_KERNELS") as error:
        product(ONE, ONE, unit)
    assert name in str(error.value) and "portable" in str(error.value)


@pytest.mark.parametrize("unit", [linear_dot("lns<8,3>"), log_dot("lns<8,3>")], ids=["linear", "log"])
@pytest.mark.parametrize("name", ["avx2", "avx512"])
def test_a_path_of_another_machine(unit, name, monkeypatch):
    monkeypatch.setattr(isa, "available", lambda: ("portable",))
    with on(name), pytest.raises(ValueError, match=f"LNS_KERNELS.*{name}"):
        product(ONE, ONE, unit)
    with on("portable"):
        product(ONE, ONE, unit)


@pytest.fixture
def restored_threads():
    before = numba.get_num_threads()
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one thread only")
    yield
    numba.set_num_threads(before)


@pytest.mark.usefixtures("restored_threads")
@pytest.mark.parametrize("unit", UNITS, ids=name_of)
@pytest.mark.parametrize("shape", [(131, 257, 129), (2, 300, 5000), (3001, 70, 17)])
def test_one_thread_equals_two(unit, shape):
    a, b = operands(unit, shape, np.random.default_rng(0), "octaves")
    for threads in (1, 2):
        numba.set_num_threads(threads)
        check(a, b, unit)


def compiled():
    """How many specialisations of the kernels' loops there are in this process."""
    loops = (item for item in gc.get_objects() if isinstance(item, Dispatcher))
    return sum(len(loop.signatures) for loop in loops if loop.py_func.__module__.startswith("lns.kernels"))


FIRST = [
    linear_dot("lns<8,3>"), linear_dot("lns<8,5>"), linear_dot("lns<16,10>", "lns<13,9>", 14, 20, 40),
    linear_dot("lns<13,8>", "lns<8,3>", 13), linear_dot("lns<16,11>", "lns<8,3>", 14),
    log_dot("lns<8,3>"), log_dot("lns<8,3>", kind="coarse<5>"), log_dot("lns<12,6>", acc="lns<12,6>", kind="coarse<4>"),
    log_dot("lns<16,10>", acc="lns<16,10>"),
]  # fmt: skip
OTHERS = [
    linear_dot("lns<8,4>", lanes=4), linear_dot("lns<14,9>", "lns<8,2>", 16, 11),
    linear_dot("lns<8,2>", "lns<8,5>", 10, 11, 23), linear_dot("lns<7,1>", bits=26),
    linear_dot("lns<16,8>", "lns<11,7>", 12, 18, 38, 8), linear_dot("lns<16,12>", "lns<14,6>", 14, 16, 40),
    log_dot("lns<8,4>", acc="lns<14,6>", offset=2, kind="coarse<3>", lanes=2), log_dot("lns<8,5>", acc="lns<14,7>"),
    log_dot("lns<7,2>", acc="lns<15,7>", kind="mitchell"), log_dot("lns<8,2>", acc="lns<13,6>", kind="linear<3,6>"),
    log_dot("lns<11,5>", acc="lns<12,5>", kind="coarse<3>", lanes=4), log_dot("lns<16,9>", acc="lns<16,9>", offset=22),
    log_dot("lns<16,10>", acc="lns<16,11>", kind="coarse<2>", lanes=32),
]  # fmt: skip


def compilations(path):
    """Specialisations after products, short and long, small and large, on the first designs; and after the others."""
    rng, counts = np.random.default_rng(0), []
    with on(path):
        for units in (FIRST, OTHERS):
            for unit in units:
                for shape in ((9, 33, 21), (2, 3000, 5), (333, 33, 200), (33, 3000, 22)):
                    product(*operands(unit, shape, rng, "any"), unit)
            counts.append(compiled())
    return counts


@pytest.mark.parametrize("path", isa.available())
def test_another_design_compiles_nothing(path):
    """Nothing for other fraction bits, tables, offsets, accumulators and lanes, once each width of vectors ran."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:  # a process that has compiled nothing yet
        first, others = pool.submit(compilations, path).result()
    assert others == first > 0
