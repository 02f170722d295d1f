"""Formats: names, limits, derived properties."""

import dataclasses
import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lns.format
from lns.format import Event, LNSFormat

FORMATS = st.integers(2, 32).flatmap(
    lambda bits: st.builds(LNSFormat, st.just(bits), st.integers(0, bits - 2), st.booleans())
)


@given(FORMATS)
def test_names_round_trip(fmt):
    assert LNSFormat.parse(str(fmt)) == fmt
    assert eval(repr(fmt), {"LNSFormat": LNSFormat}) == fmt


@pytest.mark.parametrize(
    ("name", "fmt"),
    [
        ("lns<8,3>", LNSFormat(8, 3)),
        ("ulns<17,11>", LNSFormat(17, 11, signed=False)),
        (" lns< 16, 10 > ", LNSFormat(16, 10)),
    ],
)
def test_parse(name, fmt):
    assert LNSFormat.parse(name) == fmt


@pytest.mark.parametrize(
    "name", ["", "lns", "lns<8>", "lns<8,3", "lns<8,-3>", "xlns<8,3>", "lns<8,3>x", "LNS<8,3>", "lns<8.0,3>", None, 8]
)
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match=r"a format is written lns<bits,frac_bits>"):
        LNSFormat.parse(name)


@pytest.mark.parametrize(
    ("bits", "frac_bits", "message"),
    [
        (1, 0, "bits must be between 2 and 32, got 1"),
        (33, 3, "bits must be between 2 and 32, got 33"),
        (8, 7, "frac_bits must be between 0 and bits - 2 = 6, got 7"),
        (8, -1, "frac_bits must be between 0 and bits - 2 = 6, got -1"),
        (8.0, 3, "bits must be an integer, got 8.0"),
        (8, True, "frac_bits must be an integer, got True"),
    ],
)
def test_limits(bits, frac_bits, message):
    with pytest.raises(ValueError) as error:
        LNSFormat(bits, frac_bits)
    assert str(error.value) == message


@given(FORMATS)
def test_derived_properties(fmt):
    w = fmt.bits - 1 if fmt.signed else fmt.bits
    assert fmt.code_bits == w
    assert fmt.bias == 2 ** (w - 1)
    assert fmt.max_code == 2**w - 1
    assert (fmt.min_raw, fmt.max_raw) == (1 - fmt.bias, fmt.bias - 1)
    assert fmt.sign_bit == (2**w if fmt.signed else 0)
    assert fmt.sign_bit + fmt.max_code == 2**fmt.bits - 1
    octaves = (fmt.max_raw - fmt.min_raw) / 2**fmt.frac_bits
    assert fmt.dynamic_range_db == pytest.approx(octaves * 6.020599913279624)


@given(FORMATS)
def test_the_dtype_is_the_smallest(fmt):
    assert np.iinfo(fmt.dtype).max >= 2**fmt.bits - 1
    assert fmt.dtype.kind == "u" and fmt.dtype.itemsize == (1 if fmt.bits <= 8 else 2 if fmt.bits <= 16 else 4)


@given(FORMATS)
def test_one_has_a_code_up_to_the_limit_of_the_offset(fmt):
    def has_one(offset):
        return fmt.min_raw <= -offset * 2**fmt.frac_bits <= fmt.max_raw

    limit = fmt.one_offset_limit
    assert has_one(limit) and has_one(-limit) and not has_one(limit + 1) and not has_one(-limit - 1)


def test_numpy_integers_become_integers():
    fmt = LNSFormat(np.int32(8), np.uint8(3))
    assert fmt == LNSFormat(8, 3) and type(fmt.bits) is int and type(fmt.max_code) is int


def test_formats_are_values():
    assert len({LNSFormat(8, 3), LNSFormat.parse("lns<8,3>"), LNSFormat(8, 3, signed=False)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        LNSFormat(8, 3).bits = 9


def test_event_bits():
    names = "saturate underflow divide_by_zero invalid clip acc_saturate acc_underflow".upper().split()
    assert {event.name: event.value for event in Event} == {name: 1 << i for i, name in enumerate(names)}


def test_docstrings():
    result = doctest.testmod(lns.format)
    assert result.attempted and not result.failed
