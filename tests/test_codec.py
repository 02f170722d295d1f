"""Real numbers to words and back, against 200-bit arithmetic."""

import doctest
import math
import random
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lns.codec
from lns import decode, encode, reference
from lns.format import Event, LNSFormat, Rounding

MP = mpmath.mp.clone()
MP.prec = 200

F8 = LNSFormat(8, 3)
LEAST, LARGEST = math.ulp(0.0), float(np.finfo(np.float64).max)
SPECIAL = [LEAST, 3 * LEAST, math.nextafter(2.0**-1022, 0), 2.0**-1022, 0.5, math.nextafter(1, 0), 1.0, 3.0, LARGEST]


def expected_word(x, fmt, offset=0, rounding=Rounding.NEAREST):
    """Section 1.4, with a logarithm of 200 bits."""
    if x == 0:
        return 0
    mantissa, exponent = math.frexp(abs(x))
    log = MP.log(2 * mantissa) / MP.ln2 + (exponent - 1 - offset) if mantissa != 0.5 else MP.mpf(exponent - 1 - offset)
    code = int(MP.floor(log * 2**fmt.frac_bits + (0.5 if rounding is Rounding.NEAREST else 0))) + fmt.bias
    return 0 if code < 1 else min(code, fmt.max_code) | (fmt.sign_bit if x < 0 else 0)


def boundary(n, frac_bits):
    """The two floats around 2**((n + 1/2)/2**F): the codes of n and n + 1 meet between them."""
    x = MP.power(2, (MP.mpf(n) + 0.5) / 2**frac_bits)
    near = float(x)
    return (near, math.nextafter(near, math.inf)) if near < x else (math.nextafter(near, 0), near)


def boundaries(frac_bits, count, rng):
    """Codes n and the floats on either side of the boundary above each, in all of float64's normal range."""
    n = [rng.randrange(-1022 << frac_bits, 1023 << frac_bits) for _ in range(count)]
    n += [0, -1, (1 << frac_bits) - 1, 1 << frac_bits]
    return n, np.array([boundary(i, frac_bits) for i in n])


@pytest.mark.parametrize("frac_bits", range(24))
class TestEveryPrecision:
    def test_both_sides_of_boundaries(self, frac_bits):
        n, x = boundaries(frac_bits, 300, random.Random(frac_bits))
        fmt = LNSFormat(32, frac_bits)
        for i, (below, above) in zip(n, x.tolist(), strict=True):
            offset = i >> frac_bits  # keeps the code in the middle of the range
            code = i - (offset << frac_bits) + fmt.bias
            assert encode([below, -above], fmt, offset=offset).tolist() == [code, code + 1 | fmt.sign_bit]

    @pytest.mark.parametrize("rounding", [Rounding.NEAREST, Rounding.DOWN])
    def test_random_floats(self, frac_bits, rounding):
        rng = random.Random(frac_bits)
        x = [rng.choice([1, -1]) * math.ldexp(1 + rng.random(), rng.randrange(-1022, 1023)) for _ in range(150)]
        x += [rng.choice([1, -1]) * rng.randrange(1 << rng.randrange(1, 52)) * LEAST for _ in range(50)]
        x += SPECIAL + [math.ldexp(1.0, rng.randrange(-1074, 1024)) for _ in range(20)]
        for fmt, offset in (
            (LNSFormat(32, frac_bits), 0),
            (LNSFormat(32, frac_bits), 900),
            (LNSFormat(32, frac_bits, False), -1000),
        ):
            values = x if fmt.signed else [abs(v) for v in x]
            got = encode(values, fmt, offset=offset, rounding=rounding)
            assert got.dtype == fmt.dtype
            assert got.tolist() == [expected_word(v, fmt, offset, rounding) for v in values]


def test_boundaries_tell_a_float64_logarithm_apart():
    """The check above is sharp: rounding 2**F·np.log2(x), the usual shortcut, does not pass it."""
    n, x = boundaries(23, 300, random.Random(23))
    shortcut = np.rint(np.log2(x) * 2.0**23)
    assert (shortcut != np.stack([n, np.add(n, 1)], axis=1)).any()


def test_random_floats_tell_down_from_nearest():
    x = np.random.default_rng(0).uniform(1, 2, 100)
    assert (encode(x, F8) != encode(x, F8, rounding=Rounding.DOWN)).any()


@pytest.mark.parametrize(
    "fmt", [F8, LNSFormat(4, 0), LNSFormat(2, 0), LNSFormat(6, 2, False), LNSFormat(12, 9)], ids=str
)
@pytest.mark.parametrize("rounding", [Rounding.NEAREST, Rounding.DOWN])
@pytest.mark.parametrize("offset", [0, 3, -7])
def test_the_edges_of_the_range(fmt, rounding, offset):
    """Every boundary of a narrow format, those of underflow and of saturation among them."""
    n = range(fmt.min_raw - 3, fmt.max_raw + 3, max(1, fmt.max_code >> 8))
    x = np.array([boundary(i, fmt.frac_bits) for i in n]).reshape(-1) * 2.0**offset
    x = np.concatenate([x, 2.0 ** np.arange(-20, 20), [0.0, -0.0]])
    if fmt.signed:
        x = np.concatenate([x, -x])
    words = encode(x, fmt, offset=offset, rounding=rounding).tolist()
    assert words == [expected_word(v, fmt, offset, rounding) for v in x]
    definition = [reference.encode(Fraction(v), fmt, offset, rounding) for v in x]
    assert words == [word for word, _ in definition]
    assert {Event.SATURATE, Event.UNDERFLOW} <= {event for _, event in definition}


@given(st.floats(allow_nan=False), st.integers(-1200, 1200))
def test_any_float(x, offset):
    for fmt in (F8, LNSFormat(32, 30), LNSFormat(16, 10)):
        expected = fmt.max_code | (fmt.sign_bit if x < 0 else 0) if math.isinf(x) else expected_word(x, fmt, offset)
        assert encode(x, fmt, offset=offset) == expected


def test_zeros_infinities_shapes_and_integers():
    assert encode([0.0, -0.0, math.inf, -math.inf, -LEAST], F8).tolist() == [0, 0, 127, 255, 0]
    x = np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1)
    assert encode(x, F8).shape == (4, 2, 3)
    assert encode(x, F8)[3, 1, 2] == encode(23.0, F8) and encode(1.0, F8).shape == ()
    assert (encode(x.astype(np.int16), F8) == encode(x, F8)).all()
    assert (encode(x.astype(np.float32), F8) == encode(x, F8)).all()
    assert encode([], F8).shape == (0,)
    assert encode([True, False], F8).tolist() == [64, 0]


@pytest.mark.parametrize(
    ("x", "fmt", "kwargs", "message"),
    [
        ([1.0, math.nan, math.nan], F8, {}, "encode got 2 NaN"),
        ([1.0, -0.25], LNSFormat(8, 3, False), {}, r"ulns<8,3> has no sign, got -0\.25"),
        ([-math.inf], LNSFormat(8, 3, False), {}, "has no sign"),
        ([1.0], F8, {"rounding": Rounding.STOCHASTIC}, "update unit only"),
        ([1j], F8, {}, "real numbers"),
        (["1"], F8, {}, "real numbers"),
    ],
)
def test_encode_errors(x, fmt, kwargs, message):
    with pytest.raises(ValueError, match=message):
        encode(x, fmt, **kwargs)


def test_a_negative_zero_has_no_sign():
    assert encode([-0.0], LNSFormat(8, 3, False)).tolist() == [0]


# --- words to real numbers -------------------------------------------------------------------------------------------


def expected_float(word, fmt, offset, dtype):
    """The value to 200 bits, rounded once to the bits that a float has at its magnitude."""
    code = word & fmt.max_code
    if code == 0:
        return dtype(0)
    info = np.finfo(dtype)
    p = code - fmt.bias + (offset << fmt.frac_bits)
    octave, fraction = max(-3000, min(p >> fmt.frac_bits, 3000)), p % (1 << fmt.frac_bits)
    significand = MP.power(2, MP.mpf(fraction) / 2**fmt.frac_bits) if fraction else MP.mpf(1)
    exact = Fraction(int(significand.man)) * Fraction(2) ** int(significand.exp)
    unit = max(octave - info.nmant, int(info.minexp) - info.nmant)
    magnitude = round(exact * Fraction(2) ** (octave - unit)) * Fraction(2) ** unit  # round: ties to even
    value = dtype(math.inf if magnitude >= Fraction(2) ** int(info.maxexp) else float(magnitude))
    return -value if word & fmt.sign_bit else value


def check_decode(words, fmt, offset, dtype):
    got = decode(np.array(words, fmt.dtype), fmt, offset=offset, dtype=dtype)
    expected = np.array([expected_float(word, fmt, offset, dtype) for word in words], dtype)
    assert got.dtype == dtype and got.tobytes() == expected.tobytes(), f"{fmt} at offset {offset}"


WIDE = [
    LNSFormat(32, 23), LNSFormat(32, 30), LNSFormat(32, 15), LNSFormat(32, 14), LNSFormat(32, 3), LNSFormat(32, 0),
    LNSFormat(16, 10), LNSFormat(13, 9), LNSFormat(17, 11, False), LNSFormat(32, 20, False), LNSFormat(4, 0),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
class TestDecode:
    # the largest and least floats, the edges of the subnormal numbers, half of the least float, and far beyond
    OFFSETS = (0, 1, 120, 127, 128, 135, 1020, 1024, 1035, -118, -126, -134, -142, -149, -150, -151, -160,
               -1014, -1022, -1030, -1050, -1066, -1074, -1075, -1076, -1090, 4000, -4000)  # fmt: skip

    @pytest.mark.parametrize("offset", OFFSETS)
    def test_all_words_of_8_bits(self, dtype, offset):
        check_decode(range(256), F8, offset, dtype)

    @pytest.mark.parametrize("fmt", WIDE, ids=str)
    def test_wide_formats(self, dtype, fmt):
        rng = random.Random(fmt.bits)
        words = [rng.randrange(1 << fmt.bits) for _ in range(60)]
        words += [0, fmt.sign_bit, 1, fmt.max_code, fmt.bias, fmt.bias + 1, fmt.bias - 1, fmt.max_code | fmt.sign_bit]
        reach = min(fmt.bias - 1, 2 << fmt.frac_bits)
        words += [fmt.bias + rng.randint(-reach, reach) for _ in range(40)]
        for offset in self.OFFSETS:
            check_decode(words, fmt, offset, dtype)

    def test_the_check_sees_one_unit_in_the_last_place(self, dtype, monkeypatch):
        rounded = lns.codec._significands

        def planted(frac_bits, precision):
            values = rounded(frac_bits, precision).copy()
            values[5] = np.nextafter(dtype(values[5]), dtype(2))
            return values

        monkeypatch.setattr(lns.codec, "_significands", planted)
        with pytest.raises(AssertionError):
            check_decode(range(256), F8, 0, dtype)

    def test_shapes(self, dtype):
        words = np.arange(256, dtype=np.uint8).reshape(4, 64).T
        assert decode(words, F8, dtype=dtype).shape == (64, 4)
        assert decode(words, F8, dtype=dtype)[3, 1] == decode(67, F8, dtype=dtype)
        assert decode(words[:0, 0], F8, dtype=dtype).shape == (0,)


@pytest.mark.parametrize("words", [[256], [-1], [1.0], ["a"], np.array([2**40])])
def test_words_that_are_none(words):
    with pytest.raises(ValueError, match=r"words of lns<8,3> are integers from 0 to 2\*\*8 - 1"):
        decode(words, F8)


@pytest.mark.parametrize("dtype", [np.float16, np.int32, np.complex128])
def test_decode_to_other_types(dtype):
    with pytest.raises(ValueError, match="decode gives float64 or float32"):
        decode([1], F8, dtype=dtype)


@pytest.mark.parametrize("bits", range(2, 13))
def test_every_word_comes_back(bits):
    for frac_bits in range(bits - 1):
        for fmt in (LNSFormat(bits, frac_bits), LNSFormat(bits, frac_bits, False)):
            words = np.arange(1 << bits, dtype=fmt.dtype)
            canonical = np.where(words & fmt.max_code, words, 0)
            # 2**10 octaves and more reach beyond float64 (up, and down into its subnormal numbers)
            within = np.abs((words & fmt.max_code).astype(int) - fmt.bias) <= 1000 << frac_bits
            offset = 0 if within.all() else -20
            values = decode(words[within], fmt, offset=offset)
            assert (encode(values, fmt, offset=offset) == canonical[within]).all(), fmt


@pytest.mark.parametrize("fmt", [fmt for fmt in WIDE if fmt.frac_bits > 0], ids=str)
@pytest.mark.parametrize("offset", [0, 1000, -1000])
def test_sampled_words_come_back(fmt, offset):
    rng = random.Random(fmt.frac_bits)
    reach = min(fmt.bias - 1, 1000 << fmt.frac_bits)
    words = [fmt.bias + rng.randint(-reach, reach) for _ in range(200)]

    def told_apart(word):
        octave = ((word - fmt.bias) >> fmt.frac_bits) + offset
        return octave < 1023 and octave - max(octave - 52, -1074) >= fmt.frac_bits + 2

    words = [word for word in words if told_apart(word)]
    assert words
    assert encode(decode(words, fmt, offset=offset), fmt, offset=offset).tolist() == words


def test_docstrings():
    result = doctest.testmod(lns.codec)
    assert result.attempted and not result.failed


def test_no_numbers_and_no_words():
    assert lns.encode([], LNSFormat(8, 3)).shape == lns.decode([], LNSFormat(8, 3)).shape == (0,)
