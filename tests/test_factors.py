"""Linear products whose terms are products of factors (AVX2): when there are factors, and what they give."""

from dataclasses import replace

import numpy as np
import pytest
from drawing import every_word, linear_dot, name_of
from test_products import check

from lns.format import Event
from lns.kernels import isa, plan_factors, plan_linear
from lns.kernels.plan_factors import Factors

avx2 = pytest.mark.skipif(isa.VECTOR != "avx2", reason="factors are for AVX2 alone")


def largest_product(unit):
    return unit.product_code(unit.a.max_raw, unit.b.max_raw)


def factors(unit):
    return plan_factors.factors(unit, unit.magnitude(largest_product(unit)))


def benchmarked(frac_bits):
    return linear_dot(f"lns<{frac_bits + 5},{frac_bits}>", rom_bits=frac_bits + 5)


MASKED, BOTH, ROUNDED = (False, True), (True, True), (True, False)  # (whether half is added, whether bits are cut off)
UNITS = [
    *((benchmarked(f), MASKED) for f in (0, 1, 2, 3, 5)),
    *((benchmarked(f), BOTH) for f in (4, 6, 7)),
    *((benchmarked(f), ROUNDED) for f in (8, 9, 10)),
    (linear_dot("lns<16,10>", rom_bits=14, guard=20, bits=40), BOTH),
    (linear_dot("lns<9,5>", "lns<16,10>", rom_bits=14, guard=10, bits=16), ROUNDED),
    (linear_dot("lns<8,3>", "lns<9,4>", rom_bits=22, guard=2, bits=24), MASKED),
    (linear_dot("ulns<8,2>", "lns<8,6>", rom_bits=16, guard=25, bits=60), BOTH),
]


@pytest.mark.parametrize(("unit", "needed"), UNITS, ids=[name_of(unit) for unit, _ in UNITS])
def test_every_pair_of_fractions(unit, needed):
    """In the largest octaves, where terms show all bits they ever do, and with fewer of them, down to none."""
    found = factors(unit)
    assert (found.half != 0, found.mask != 0) == needed
    if isa.VECTOR == "avx2":
        assert isinstance(plan_linear.plan(unit, 1), Factors)
    octaves = [fmt.max_code - np.arange(1 << fmt.frac_bits) for fmt in (unit.a, unit.b)]
    a = octaves[0].astype(unit.a.dtype)
    for lower in (0, 1, unit.guard // 2, unit.guard, unit.guard + 1):
        b = octaves[1] - (lower << unit.b.frac_bits)
        b = b[b > 0].astype(unit.b.dtype)
        check(a[:, None], b[None, :], unit)
        check(a[:, None] | unit.a.sign_bit, b[None, :], unit)


@pytest.mark.parametrize("frac_bits", [3, 7, 10])
def test_entries_that_no_factors_give(frac_bits, monkeypatch):
    """One entry that is a little off the power's, and all others as they are."""
    unit = benchmarked(frac_bits)
    step = 4 << max(0, unit.rom_bits - 1 - unit.guard)
    for place in (0, 1, len(unit.rom) // 2, len(unit.rom) - 1):
        rom = np.array(unit.rom)
        rom[place] += step if place == 0 else -step
        wrong = replace(unit, rom=rom)
        assert factors(wrong) is None
        if isa.VECTOR == "avx2":
            assert not isinstance(plan_linear.plan(wrong, 5), Factors)
        every = every_word(unit.a)[:: 1 + (frac_bits == 10) * 6]
        check(every[-300:, None], every[None, :], wrong)
    monkeypatch.setattr(plan_factors, "_NUDGES", 0)
    assert factors(linear_dot("lns<16,10>", rom_bits=14, guard=20, bits=40)) is None  # nor the nearest of them alone


@pytest.mark.parametrize(
    "unit",
    [linear_dot("lns<17,3>"), linear_dot("lns<16,11>", rom_bits=14), linear_dot("lns<8,3>", rom_bits=23)],
    ids=name_of,
)
def test_units_that_have_none(unit):
    assert factors(unit) is None


@avx2
@pytest.mark.parametrize("lanes", [1, 16, 48])
@pytest.mark.parametrize("bits", [14, 17, 24])
def test_sums_that_come_near_the_ends(bits, lanes):
    """Runs of terms of one sign, which reach an end in the middle of a span, just before its own end, or not quite."""
    unit = linear_dot("lns<8,3>", bits=bits, lanes=lanes)
    rng, k = np.random.default_rng(bits), 5 * min(unit.safe_length, 600) + 70
    signs = np.empty((37, k), bool)
    for row in signs:
        ends = np.sort(rng.integers(0, k, 6))
        row[:] = np.searchsorted(ends, np.arange(k)) % 2
    codes = unit.a.max_code - rng.integers(0, 4, signs.shape) * (rng.random((37, 1)) < 0.7)
    a = (codes | np.where(signs, unit.a.sign_bit, 0)).astype(unit.a.dtype)
    b = np.full((k, 35), unit.b.max_code, unit.b.dtype)
    b[:, ::3] -= rng.integers(0, 9, b[:, ::3].shape).astype(unit.b.dtype)
    for some in (k, unit.safe_length, unit.safe_length + 1, unit.safe_length * 3 // 2):
        events = check(a[:, :some], b[:some], unit)
        assert events == Event(0) or some > unit.safe_length
    assert check(a, b, unit) == Event.ACC_SATURATE
