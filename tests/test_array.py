"""LNSArray computes what the units compute: operations, sums and products against the definition, word by word."""

import operator
import pickle
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

import lns
from lns import Arithmetic, Event, LinearAccumulator, LNSArray, LNSFormat, LogAccumulator, Rounding, TableKind
from lns import reference as ref
from lns.gausslog import antilog_rom, log_rom, table

F8, F6, F16, U8 = (LNSFormat.parse(name) for name in ("lns<8,3>", "lns<6,2>", "lns<16,10>", "ulns<8,3>"))
WIDE, UNSIGNED_WIDE = LNSFormat(32, 16), LNSFormat(32, 12, signed=False)
FORMATS = [F8, F6, F16, U8, LNSFormat(2, 0), LNSFormat(12, 10), WIDE, UNSIGNED_WIDE]


def sample(fmt, size, rng):
    """Words of any magnitude, and every fourth within two octaves of 1.0; some zeros, with and without a sign."""
    near = fmt.bias + rng.integers(-2 << fmt.frac_bits, 2 << fmt.frac_bits, size)
    signs = rng.integers(0, 2, size) * fmt.sign_bit
    any_word = rng.integers(0, 1 << fmt.bits, size)
    words = np.where(rng.random(size) < 0.25, np.clip(near, 1, fmt.max_code) | signs, any_word)
    return np.where(rng.random(size) < 0.05, signs, words).astype(fmt.dtype)


def pairs(fmt):
    """Every pair of words up to 8 bits; above, some thousand, of which a quarter lie close together."""
    if fmt.bits <= 8:
        words = np.arange(1 << fmt.bits, dtype=fmt.dtype)
        return np.repeat(words, words.size), np.tile(words, words.size)
    rng = np.random.default_rng(fmt.bits)
    a, b = sample(fmt, 4000, rng), sample(fmt, 4000, rng)
    close = np.clip((a & fmt.max_code).astype(np.int64) + rng.integers(-20, 21, a.size), 0, fmt.max_code)
    b[:1000] = (close | (b & fmt.sign_bit))[:1000].astype(fmt.dtype)
    return a, b


def negated(word, fmt):
    return word ^ fmt.sign_bit if ref.code(word, fmt) else 0


def chain(word, n, fmt):
    out, events = fmt.bias if n == 0 else word, ref.NONE
    for _ in range(n - 1):
        out, event = ref.mul(out, word, fmt)
        events |= event
    return out, events


def full(fmt):
    return table(TableKind(), fmt.frac_bits)


def minimum(a, b, fmt):
    smaller = a if ref.order_key(a, fmt) <= ref.order_key(b, fmt) else b
    return (smaller if ref.code(smaller, fmt) else 0), ref.NONE


# NumPy's function and the definition on words
BINARY = {
    "add": (np.add, lambda a, b, f: ref.add(a, b, f, full(f))),
    "subtract": (np.subtract, lambda a, b, f: ref.add(a, negated(b, f), f, full(f))),
    "multiply": (np.multiply, ref.mul),
    "divide": (np.divide, ref.div),
    "maximum": (np.maximum, lambda a, b, f: (ref.maximum(a, b, f), ref.NONE)),
    "minimum": (np.minimum, minimum),
}
UNARY = {
    "square": (np.square, ref.square),
    "sqrt": (np.sqrt, ref.sqrt),
    "absolute": (np.absolute, lambda a, f: (ref.code(a, f), ref.NONE)),
    "negative": (np.negative, lambda a, f: (negated(a, f), ref.NONE)),
    "positive": (np.positive, lambda a, f: (a, ref.NONE)),
    "power 0": (lambda x: np.power(x, 0), lambda a, f: chain(a, 0, f)),
    "power 1": (lambda x: np.power(x, 1), lambda a, f: chain(a, 1, f)),
    "power 2": (lambda x: np.power(x, 2.0), lambda a, f: chain(a, 2, f)),
    "power 3": (lambda x: np.power(x, 3), lambda a, f: chain(a, 3, f)),
    "power 11": (lambda x: np.power(x, np.int8(11)), lambda a, f: chain(a, 11, f)),
    "power 0.5": (lambda x: np.power(x, 0.5), ref.sqrt),
}
COMPARISONS = ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"]


def signless(name, fmt):
    return not fmt.signed and name in ("subtract", "negative")


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
@pytest.mark.parametrize("name", BINARY)
def test_binary(name, fmt):
    function, definition = BINARY[name]
    a, b = pairs(fmt)
    x, y = LNSArray.from_bits(a, fmt), LNSArray.from_bits(b, fmt)
    if signless(name, fmt):
        with pytest.raises(ValueError, match=r"has no sign"):
            function(x, y)
        return
    expected = [definition(u, v, fmt) for u, v in zip(a.tolist(), b.tolist(), strict=True)]
    assert function(x, y).bits.tolist() == [word for word, _ in expected]
    result, events = lns.with_events(function, x, y)
    assert result.bits.tolist() == [word for word, _ in expected]
    assert events.dtype == np.uint8 and events.tolist() == [int(event) for _, event in expected]
    assert result.format == fmt and result.bits.dtype == fmt.dtype


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
@pytest.mark.parametrize("name", UNARY)
def test_unary(name, fmt):
    function, definition = UNARY[name]
    words = np.arange(1 << fmt.bits, dtype=fmt.dtype) if fmt.bits <= 12 else pairs(fmt)[0]
    x = LNSArray.from_bits(words, fmt)
    if signless(name, fmt):
        with pytest.raises(ValueError, match=r"has no sign"):
            function(x)
        return
    expected = [definition(word, fmt) for word in words.tolist()]
    assert function(x).bits.tolist() == [word for word, _ in expected]
    if not name.startswith("power"):
        assert lns.with_events(function, x)[1].tolist() == [int(event) for _, event in expected]


@pytest.mark.parametrize("fmt", [F8, LNSFormat(2, 0), WIDE], ids=str)
@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 6, 11])
def test_events_of_powers_are_those_of_any_order(exponent, fmt):
    words = pairs(fmt)[0][:: 1 << (fmt.bits == 8)]
    result, events = lns.with_events(np.power, LNSArray.from_bits(words, fmt), exponent)
    expected = [chain(word, exponent, fmt) for word in words.tolist()]
    assert result.bits.tolist() == [word for word, _ in expected]
    assert events.tolist() == [int(event) for _, event in expected]


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons(name, fmt):
    a, b = pairs(fmt)
    got = getattr(np, name)(LNSArray.from_bits(a, fmt, 5), LNSArray.from_bits(b, fmt, 5))
    compare = getattr(operator, {"equal": "eq", "not_equal": "ne", "less": "lt", "less_equal": "le",
                                 "greater": "gt", "greater_equal": "ge"}[name])  # fmt: skip
    keys = ((ref.order_key(u, fmt), ref.order_key(v, fmt)) for u, v in zip(a.tolist(), b.tolist(), strict=True))
    assert got.dtype == bool and got.tolist() == [compare(u, v) for u, v in keys]


@pytest.mark.parametrize("fmt", [fmt for fmt in FORMATS if fmt.signed], ids=str)
@pytest.mark.parametrize("kind", ["full", "coarse<2>", "mitchell"])
def test_a_number_minus_itself_is_exactly_zero(kind, fmt):
    rng = np.random.default_rng(1)
    words = np.arange(1 << fmt.bits) if fmt.bits <= 16 else rng.integers(0, 1 << fmt.bits, 100_000)
    x = LNSArray.from_bits(words, fmt, arithmetic=Arithmetic(kind))
    difference, events = lns.with_events(np.subtract, x, x)
    assert not difference.bits.any() and not events.any()
    assert not (x + -x).bits.any() and not (-x + x).bits.any()


@pytest.mark.parametrize("kind", ["coarse<1>", "linear<2,6>", "mitchell"])
def test_the_adder_is_the_arithmetics(kind):
    a, b = pairs(F6)
    x, y = (LNSArray.from_bits(words, F6, arithmetic=Arithmetic(kind)) for words in (a, b))
    unit = table(TableKind.parse(kind), F6.frac_bits)
    expected = [ref.add(u, v, F6, unit)[0] for u, v in zip(a.tolist(), b.tolist(), strict=True)]
    assert (x + y).bits.tolist() == expected
    assert (x + y).bits.tolist() != (x.with_arithmetic(Arithmetic()) + y.with_arithmetic(Arithmetic())).bits.tolist()


# --- offsets and numbers ---------------------------------------------------------------------------------------------


def test_offsets_of_results():
    """The values, not only the offsets: multiplications of powers of two are exact."""
    x, y = LNSArray.from_float([8.0, -2.0], F8, 2), LNSArray.from_float([4.0, 16.0], F8, 5)
    for result, offset, values in (
        (x * y, 7, [32, -32]), (x / y, -3, [2, -0.125]), (np.square(x), 4, [64, 4]), (x**3, 6, [512, -8]),
        (x**0, 0, [1, 1]), (2 * x, 2, [16, -4]), (x / 2, 2, [4, -1]), (1 / x, -2, [0.125, -0.5]), (-x, 2, [-8, 2]),
        (abs(x), 2, [8, 2]), (x + x, 2, [16, -4]), (x.prod(), 4, -16), (y.sum(), 5, None), (x @ y, 7, None),
        (np.maximum(x, 1), 2, [8, 1]), (y[:1] ** 2, 10, [16]), (np.sqrt(x[:1] * 2), 1, [4]),
    ):  # fmt: skip
        assert result.offset == offset
        assert values is None or result.tolist() == values


@pytest.mark.parametrize(
    "compute",
    [np.add, np.subtract, np.maximum, np.less, np.equal, np.array_equal, lambda x, y: np.concatenate([x, y]),
     lambda x, y: np.where([True], x, y), lambda x, y: x.__setitem__(0, y[0]), lambda x, y: x.__iadd__(y)],
)  # fmt: skip
def test_operands_must_agree(compute):
    x = LNSArray.from_float([1.0], F8)
    with pytest.raises(ValueError, match=r"one offset, got 0 and 1; convert with at_offset\(\)"):
        compute(x, x.at_offset(1))
    with pytest.raises(ValueError, match=r"one format, got lns<8,3> and lns<16,10>; convert with astype\(\)"):
        compute(x, x.astype(F16))
    with pytest.raises(ValueError, match=r"one arithmetic, got Arithmetic\(\) and Arithmetic\(table='mitchell'\)"):
        compute(x, x.with_arithmetic(Arithmetic("mitchell")))


def test_products_need_one_format_and_arithmetic_but_no_offset():
    x = LNSArray.from_float([1.0, 2.0], F8)
    for compute in (np.multiply, np.divide, np.matmul, np.dot):
        compute(x, x.at_offset(1))
        with pytest.raises(ValueError, match="one format"):
            compute(x, x.astype(F16))
        with pytest.raises(ValueError, match="one arithmetic"):
            compute(x, x.with_arithmetic(Arithmetic("mitchell")))


def test_square_root_of_an_odd_offset():
    x = LNSArray.from_float([4.0], F8, 1)
    with pytest.raises(ValueError, match="even offset, got 1"):
        np.sqrt(x)
    assert np.sqrt(x.at_offset(2)).item() == 2.0


@pytest.mark.parametrize("fmt", [F8, F16, U8, WIDE], ids=str)
@pytest.mark.parametrize("rounding", [Rounding.NEAREST, Rounding.DOWN])
def test_numbers_become_words(fmt, rounding):
    x = LNSArray.from_float([1.5, 3.0], fmt, 2, Arithmetic(rounding=rounding))
    for number in (3, 0.3, np.float32(1.7), np.int16(5), np.array(2.5), 0, True, 2**60 // 3**36):
        value = Fraction(number if isinstance(number, int) else float(number))
        like_x, factor = (
            LNSArray.from_bits(ref.encode(value, fmt, offset, rounding)[0], fmt, offset, x.arithmetic)
            for offset in (2, 0)
        )
        for got, expected in (
            (x + number, x + like_x), (number + x, like_x + x), (x * number, x * factor), (number * x, factor * x),
            (x / number, x / factor), (number / x, factor / x), (np.maximum(number, x), np.maximum(like_x, x)),
        ):  # fmt: skip
            assert got.bits.tolist() == expected.bits.tolist() and got.offset == expected.offset
        assert (x > number).tolist() == (x > like_x).tolist() and (number > x).tolist() == (like_x > x).tolist()


def test_numbers_out_of_range_are_refused():
    x, unsigned = LNSArray.from_float([1.0], F8), LNSArray.from_float([1.0], U8)
    for compute in (
        lambda: x + 1e9, lambda: x * 1e-9, lambda: x > 1e9, lambda: unsigned * -1, lambda: x * np.float64(300),
        lambda: np.full_like(x, 1000),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"has no word in u?lns<8,3> at offset 0 \(\w+\); encode it with"):
            compute()
    for number in (float("nan"), float("inf"), -np.inf):
        with pytest.raises(ValueError, match="a finite number"):
            x + number


def test_offsets_are_integers_of_32_bits():
    for offset in (0.5, 1 << 31, -1 << 31, None, "1"):
        with pytest.raises(ValueError, match="a whole number of octaves"):
            LNSArray.from_float([1.0], F8, offset)
    with pytest.raises(ValueError, match="a whole number of octaves"):
        LNSArray.from_float([1.0], F8, 1 << 20) ** (1 << 12)


# --- conversions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rounding", [Rounding.NEAREST, Rounding.DOWN])
@pytest.mark.parametrize("target", [F8, F6, F16, U8, WIDE], ids=str)
@pytest.mark.parametrize("fmt", [F8, F16, U8, WIDE], ids=str)
def test_astype(fmt, target, rounding):
    words = pairs(fmt)[0][:3000]
    x = LNSArray.from_bits(words, fmt, 3, Arithmetic(rounding=rounding))
    for offset in (None, 3, -2, 5, 0):
        to = 3 if offset is None else offset
        expected = [ref.convert(word, fmt, target, 3, to, rounding) for word in words.tolist()]
        result, events = lns.with_events(LNSArray.astype, x, target, offset)
        assert result.bits.tolist() == x.astype(target, offset).bits.tolist() == [word for word, _ in expected]
        assert events.tolist() == [int(event) for _, event in expected]
        assert (result.format, result.offset, result.arithmetic) == (target, to, x.arithmetic)
    moved, events = lns.with_events(LNSArray.at_offset, x, 5)
    expected = [ref.convert(word, fmt, fmt, 3, 5) for word in words.tolist()]
    assert moved.bits.tolist() == x.at_offset(5).bits.tolist() == [word for word, _ in expected]
    assert events.tolist() == [int(event) for _, event in expected]


def test_floats_round_as_the_codec():
    rng = np.random.default_rng(2)
    values = np.ldexp(rng.standard_normal(500), rng.integers(-9, 9, 500))
    for rounding in (Rounding.NEAREST, Rounding.DOWN):
        x = LNSArray.from_float(values, F8, 1, Arithmetic(rounding=rounding))
        assert x.bits.tolist() == lns.encode(values, F8, offset=1, rounding=rounding).tolist()
        assert x.to_float().tolist() == lns.decode(x.bits, F8, offset=1).tolist() == x.tolist()
        x[1:] = values[:-1]
        assert x.bits[1:].tolist() == lns.encode(values[:-1], F8, offset=1, rounding=rounding).tolist()
    narrow = np.asarray(x, np.float32)
    assert narrow.dtype == np.float32 and narrow.tolist() == lns.decode(x.bits, F8, offset=1, dtype=np.float32).tolist()


# --- accumulators ----------------------------------------------------------------------------------------------------

LOG = LogAccumulator(4, LNSFormat(18, 11), 1, TableKind.parse("coarse<1>"))
LINEAR = LinearAccumulator(4, antilog_bits=8, guard=14, bits=22)
NARROW = LinearAccumulator(2, antilog_bits=6, guard=6, bits=9, index_extra_bits=1)


def definition_of_dot(a, b, formats, offsets, fmt, offset, arithmetic):
    """(word, events) of one dot product, from lns.reference alone."""
    acc, own = arithmetic.accumulator, formats[1]
    if isinstance(acc, LinearAccumulator):
        rom = antilog_rom(max(f.frac_bits for f in formats), acc.antilog_bits)
        unit = ref.LinearDot(*formats, rom, acc.antilog_bits, acc.guard, acc.bits, acc.lanes)
        value, events = ref.dot_linear(a, b, unit)
        index = fmt.frac_bits + acc.index_extra_bits
        word, event = ref.linear_to_log(
            value, unit.least_exponent + offsets, log_rom(fmt.frac_bits, index), index, fmt, offset
        )
        return word, events | event
    if acc is None:
        acc = SimpleNamespace(lanes=1, format=own, offset=0, table=arithmetic.table)
    unit = ref.LogDot(*formats, acc.format, acc.offset, table(acc.table, acc.format.frac_bits), acc.lanes)
    word, events = ref.dot_log(a, b, unit)
    word, event = ref.convert(word, acc.format, fmt, offsets + acc.offset, offset, arithmetic.rounding)
    return word, events | event


def moderate(fmt, shape, rng):
    """Words of some four octaves about 1.0, so that sums cancel, carry and saturate; with zeros."""
    code = np.clip(fmt.bias + rng.integers(-2 << fmt.frac_bits, 2 << fmt.frac_bits, shape), 1, fmt.max_code)
    code = np.where(rng.random(shape) < 0.1, 0, code)
    return (code | rng.integers(0, 2, shape) * fmt.sign_bit).astype(fmt.dtype)


CASES = [
    (fmt, accumulator)
    for accumulator in (None, LOG, LINEAR, NARROW)
    for fmt in (F8, F6, LNSFormat(2, 0), F16, U8, LNSFormat(30, 16), UNSIGNED_WIDE, LNSFormat(26, 3))
    if accumulator is not LOG or fmt.bits <= 16
]


def wild(fmt, shape, rng):
    return sample(fmt, int(np.prod(shape)), rng).reshape(shape)


@pytest.mark.parametrize(("fmt", "accumulator"), CASES, ids=str)
@pytest.mark.parametrize("rounding", [Rounding.NEAREST, Rounding.DOWN])
@pytest.mark.parametrize("draw", [moderate, wild])
def test_matmul_and_sum(fmt, accumulator, rounding, draw):
    rng = np.random.default_rng(3)
    arithmetic = Arithmetic("coarse<1>", accumulator, rounding)
    a, b = draw(fmt, (5, 23), rng), draw(fmt, (23, 6), rng)
    x, y = LNSArray.from_bits(a, fmt, 1, arithmetic), LNSArray.from_bits(b, fmt, -4, arithmetic)
    expected = [
        definition_of_dot(row, column, (fmt, fmt), -3, fmt, -3, arithmetic)
        for row in a.tolist() for column in b.T.tolist()
    ]  # fmt: skip
    result, events = lns.with_events(np.matmul, x, y)
    assert result.bits.ravel().tolist() == [word for word, _ in expected]
    assert events.ravel().tolist() == [int(event) for _, event in expected]
    assert result.offset == -3 and result.arithmetic == arithmetic
    ones = [LNSFormat(2, 0).bias] * 5
    sums = [definition_of_dot(ones, column, (LNSFormat(2, 0), fmt), 1, fmt, 1, arithmetic) for column in a.T.tolist()]
    total, events = lns.with_events(np.sum, x, axis=0)
    assert total.bits.tolist() == x.sum(0).bits.tolist() == [word for word, _ in sums] and total.offset == 1
    assert events.tolist() == [int(event) for _, event in sums]


@pytest.mark.parametrize("fmt", [F8, U8, F16, WIDE], ids=str)
def test_the_default_sums_from_left_to_right(fmt):
    words = moderate(fmt, 40, np.random.default_rng(4))
    x, word = LNSArray.from_bits(words, fmt), 0
    for other in words.tolist():
        word, _ = ref.add(word, other, fmt, full(fmt))
    assert x.sum().bits.item() == word
    y = LNSArray.from_bits(moderate(fmt, 40, np.random.default_rng(5)), fmt)
    assert (x @ y).bits.item() == (x * y).sum().bits.item()


def test_the_order_of_a_sum_is_row_major():
    rng = np.random.default_rng(6)
    words = moderate(F8, (4, 5, 6), rng)
    x = LNSArray.from_bits(words, F8)
    for axis in (None, (0, 2), (2, 0), (-1, 0), 1, (), (0, 1, 2)):
        axes = {None: (0, 1, 2), (2, 0): (0, 2), (-1, 0): (0, 2), 1: (1,)}.get(axis, axis)
        rest = [i for i in range(3) if i not in axes]
        rows = words.transpose(*rest, *axes).reshape(*(words.shape[i] for i in rest), -1)
        assert x.sum(axis).bits.tolist() == np.array(LNSArray.from_bits(rows, F8).sum(-1).bits).tolist()
        assert x.sum(axis).shape == words.sum(axis).shape
        assert np.sum(x, axis, keepdims=True).shape == words.sum(axis, keepdims=True).shape
        assert x.prod(axis).shape == words.sum(axis).shape
    assert x.sum().bits.item() != x.transpose(2, 1, 0).sum().bits.item()  # it can tell the order


@pytest.mark.parametrize("fmt", [F8, U8, WIDE], ids=str)
def test_prod(fmt):
    words = sample(fmt, 300, np.random.default_rng(7)).reshape(50, 6)
    result, events = lns.with_events(np.prod, LNSArray.from_bits(words, fmt, 2), axis=1)
    expected = []
    for row in words.tolist():
        word, events_of_row = fmt.bias, ref.NONE
        for other in row:
            word, event = ref.mul(word, other, fmt)
            events_of_row |= event
        expected.append((word, int(events_of_row)))
    assert list(zip(result.bits.tolist(), events.tolist(), strict=True)) == expected and result.offset == 12


@pytest.mark.parametrize("accumulator", [None, LOG, LINEAR], ids=str)
def test_sums_and_products_of_nothing(accumulator):
    x = LNSArray.from_float(np.zeros((3, 0)), F8, 1, Arithmetic(accumulator=accumulator))
    assert x.sum(1).tolist() == [0.0] * 3 and x.sum(0).shape == (0,) and x.sum().item() == 0.0
    assert (x @ x.T).tolist() == [[0.0] * 3] * 3 and (x.T @ x).shape == (0, 0)
    assert x.prod(1).tolist() == [1.0] * 3 and x.prod(1).offset == 0
    with pytest.raises(ValueError, match="zero-size"):
        x.max()


@pytest.mark.parametrize("accumulator", [LOG, LINEAR], ids=["log", "linear"])
def test_two_formats_in_one_product(accumulator):
    rng, arithmetic = np.random.default_rng(8), Arithmetic(accumulator=accumulator)
    a, b = moderate(F8, (3, 9), rng), moderate(F16, (9, 4), rng)
    x, y = LNSArray.from_bits(a, F8, 2, arithmetic), LNSArray.from_bits(b, F16, -1, arithmetic)
    for given, (fmt, offset) in (
        ({}, (F8, 1)), ({"out_format": "lns<12,6>"}, (LNSFormat(12, 6), 1)), ({"offset": 3}, (F8, 3)),
        ({"out_format": F16, "offset": 0}, (F16, 0)),
    ):  # fmt: skip
        expected = [
            definition_of_dot(row, column, (F8, F16), 1, fmt, offset, arithmetic)
            for row in a.tolist() for column in b.T.tolist()
        ]  # fmt: skip
        got, events = lns.with_events(lns.matmul, x, y, **given)
        assert got.bits.ravel().tolist() == [word for word, _ in expected]
        assert events.ravel().tolist() == [int(event) for _, event in expected]
        assert (got.format, got.offset) == (fmt, offset)
        assert lns.matmul(x, y, **given).bits.tolist() == got.bits.tolist()


def test_accumulators_that_cannot_take_a_format():
    x = LNSArray.from_float([1.0], LNSFormat(16, 10), arithmetic=Arithmetic(accumulator=LogAccumulator(1, F8)))
    with pytest.raises(ValueError, match=r"lns<8,3> has fewer fraction bits than its operands, lns<2,0> and lns<16,"):
        x.sum()
    fine = LNSArray.from_float([1.0], LNSFormat(30, 24), arithmetic=Arithmetic(accumulator=LINEAR))
    with pytest.raises(ValueError, match="at most 20 fraction bits"):
        fine.sum()


def test_arithmetic():
    design = lns.load("madam8-log")
    assert Arithmetic.of(design) == Arithmetic(design.adder.table, design.accumulator, design.conversion.rounding)
    assert Arithmetic(TableKind.parse("linear<2,6>")) == Arithmetic("linear<2,6>") != Arithmetic()
    down = Arithmetic(accumulator=LINEAR, rounding=Rounding.DOWN)
    for arithmetic in (Arithmetic(), Arithmetic("mitchell", LOG), down):
        assert eval(repr(arithmetic), vars(lns)) == Arithmetic.from_json(arithmetic.to_json()) == arithmetic
        assert hash(arithmetic) == hash(pickle.loads(pickle.dumps(arithmetic)))
    with pytest.raises(ValueError, match="a table is written"):
        Arithmetic("best")
    with pytest.raises(TypeError, match="an accumulator is a LinearAccumulator"):
        Arithmetic(accumulator="linear")
    with pytest.raises(ValueError, match=r"Rounding\.NEAREST or Rounding\.DOWN"):
        Arithmetic(rounding=Rounding.STOCHASTIC)


def test_presets_compute_near_the_truth():
    """Sums and products through the accumulators of all designs, at offsets as training chooses them."""
    rng = np.random.default_rng(9)
    values = rng.standard_normal((8, 30))
    for name in lns.preset_names():
        design = lns.load(name)
        fmt, arithmetic = design.formats.activation, Arithmetic.of(design)
        offset = 3 - int(lns.finfo(fmt).max_exponent)  # the largest word stands for some 2**3
        x = LNSArray.from_float(values, fmt, offset, arithmetic)
        assert np.abs(np.asarray(x.sum(1)) - values.sum(1)).max() < 1
        product = lns.matmul(x, x.T, offset=offset + 4)
        assert np.abs(np.asarray(product) - values @ values.T).max() < 6


def test_events_of_what_raises_none():
    x = LNSArray.from_float([[1.0, 200.0]], F8)
    for function in (np.negative, np.transpose, np.max, np.argmax):
        result, events = lns.with_events(function, x)
        assert events.dtype == np.uint8 and events.shape == np.shape(result) and not events.any()
    assert lns.with_events(np.multiply, 2, x)[1].tolist() == [[0, int(Event.SATURATE)]]
    assert lns.with_events(np.divide, x, 0)[1].tolist() == [[int(Event.DIVIDE_BY_ZERO)] * 2]
