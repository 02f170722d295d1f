"""The definition against two other implementations: tests/independent.py, and PyPI's xlns."""

import random
from fractions import Fraction
from functools import reduce

import independent
import pytest
import xlns
from hypothesis import given
from hypothesis import strategies as st

from lns import exact, gausslog, load, preset_names
from lns import reference as ref
from lns.design import LinearAccumulator
from lns.format import LNSFormat, Rounding
from lns.gausslog import Table, TableKind, table
from lns.units import Units

F8 = LNSFormat(8, 3)
FULL = TableKind()
FORMATS = [F8, LNSFormat(6, 2), LNSFormat(4, 0), LNSFormat(2, 0), LNSFormat(7, 5), LNSFormat(6, 2, False)]
TO_FORMATS = [*FORMATS, LNSFormat(12, 6), LNSFormat(16, 10), LNSFormat(9, 1), LNSFormat(9, 3, False)]
KINDS = [TableKind.parse(kind) for kind in ("full", "coarse<2>", "coarse<4>", "linear<2,6>", "mitchell")]


def spec(fmt):
    """A format as the independent implementation takes it."""
    return fmt.bits, fmt.frac_bits, fmt.signed


def spec_tables(kind, frac_bits):
    return independent.tables((kind.kind, kind.k, kind.g), frac_bits)


def words(fmt, count, rng):
    """Words of all magnitudes, among them many zeros (some with a sign), largest and smallest ones and ones."""
    special = [0, fmt.sign_bit, 1, fmt.max_code, fmt.sign_bit | fmt.max_code, fmt.bias, fmt.sign_bit | fmt.bias]
    return [rng.choice(special) if rng.random() < 0.3 else rng.randrange(1 << fmt.bits) for _ in range(count)]


# --- words one by one and in pairs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_mul_div_square_sqrt(fmt):
    every = range(1 << fmt.bits)
    for a in every:
        assert ref.square(a, fmt) == independent.square(a, spec(fmt))
        assert ref.sqrt(a, fmt) == independent.sqrt(a, spec(fmt))
        for b in every:
            assert ref.mul(a, b, fmt) == independent.mul(a, b, spec(fmt))
            assert ref.div(a, b, fmt) == independent.div(a, b, spec(fmt))


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("fmt", [F8, LNSFormat(7, 5), LNSFormat(4, 0), LNSFormat(7, 2, False)], ids=str)
def test_add(fmt, kind):
    unit, tables = table(kind, fmt.frac_bits), spec_tables(kind, fmt.frac_bits)
    for a in range(1 << fmt.bits):
        for b in range(1 << fmt.bits):
            assert ref.add(a, b, fmt, unit) == independent.add(a, b, spec(fmt), tables), (a, b)


def test_a_wrong_table_entry_is_seen():
    roms = {name: rom.copy() for name, rom in table(FULL, 3).roms.items()}
    roms["db"][36] += 1
    unit, tables = Table(FULL, 3, roms), spec_tables(FULL, 3)
    every = range(256)
    wrong = [(a, b) for a in every for b in every if ref.add(a, b, F8, unit) != independent.add(a, b, spec(F8), tables)]
    assert wrong and all(abs((a & 127) - (b & 127)) == 36 and (a ^ b) & 128 for a, b in wrong)


@pytest.mark.parametrize("rounding", [Rounding.NEAREST, Rounding.DOWN])
@pytest.mark.parametrize("source", FORMATS, ids=str)
def test_convert(source, rounding):
    for fmt in TO_FORMATS:
        for source_offset, offset in ((0, 0), (0, -3), (2, 0), (-9, 4), (17, 16), (30, -30)):
            for word in range(1 << source.bits):
                got = ref.convert(word, source, fmt, source_offset, offset, rounding)
                assert got == independent.convert(
                    word, spec(source), spec(fmt), source_offset, offset, rounding.value
                ), (str(fmt), source_offset, offset, word)


def test_ties_go_to_the_even_code():
    """Half codes, up and down: 1.5 -> 2, 2.5 -> 2, 3.5 -> 4 in codes of lns<4,0>."""
    source, fmt = LNSFormat(8, 1), LNSFormat(4, 0)
    half = [source.bias + 2 * raw + 1 for raw in (-3, -2, -1, 0, 1)]
    assert [ref.convert(word, source, fmt)[0] for word in half] == [2, 2, 4, 4, 6]
    assert [ref.convert(word, source, fmt, rounding=Rounding.DOWN)[0] for word in half] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_order(fmt):
    def value(word):
        code = word & fmt.max_code
        return (-1 if word & fmt.sign_bit else 1) * Fraction(2) ** (code - fmt.bias) if code else 0

    every = range(1 << fmt.bits)
    for a in every:
        assert ref.relu(a, fmt) == (a if value(a) > 0 else 0)
        for b in every:
            larger = ref.maximum(a, b, fmt)
            assert value(larger) == max(value(a), value(b)) and larger in (a, b, 0)
    rng = random.Random(0)
    for _ in range(200):
        row = words(fmt, rng.randrange(1, 9), rng)
        values = [value(word) for word in row]
        assert ref.argmax(row, fmt) == values.index(max(values))


@pytest.mark.parametrize("fmt", [F8, LNSFormat(6, 2), LNSFormat(4, 0)], ids=str)
@pytest.mark.parametrize("holds_one", [False, True])
@pytest.mark.parametrize("headroom", [0, 2])
def test_next_offset(fmt, holds_one, headroom):
    limit = fmt.one_offset_limit
    for offset in range(-limit - 3, limit + 4):
        for largest in range(fmt.max_code + 1):
            for saturated in {False, largest == fmt.max_code}:
                got = ref.next_offset(offset, largest, saturated, fmt, holds_one, headroom)
                assert got == independent.next_offset(offset, largest, saturated, spec(fmt), holds_one, headroom)


# --- dot products ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "rom_bits", "guard", "bits", "lanes"),
    [
        ("lns<8,3>", "lns<8,3>", 8, 12, 24, 16),
        ("lns<16,10>", "lns<13,9>", 14, 20, 40, 16),
        ("lns<5,0>", "lns<9,4>", 5, 6, 9, 4),
        ("lns<8,3>", "lns<8,3>", 3, 2, 4, 1),
        ("lns<6,2>", "lns<6,2>", 1, 0, 2, 2),
        ("lns<32,3>", "lns<9,7>", 32, 40, 50, 8),
    ],
)
def test_linear_dot_products(a, b, rom_bits, guard, bits, lanes):
    a, b, rng = LNSFormat.parse(a), LNSFormat.parse(b), random.Random(1)
    frac_bits = max(a.frac_bits, b.frac_bits)
    rom = gausslog.antilog_rom(frac_bits, rom_bits)
    assert rom.tolist() == independent.antilog_rom(rom_bits, frac_bits)
    unit = ref.LinearDot(a, b, rom, rom_bits, guard, bits, lanes)
    assert unit.safe_length == independent.k_safe(spec(a), spec(b), rom_bits, guard, bits)
    saturated = 0
    for _ in range(200):
        n = rng.randrange(70)
        x, y = words(a, n, rng), words(b, n, rng)
        total, events = ref.dot_linear(x, y, unit)
        assert (total, events) == independent.dot_linear(x, y, spec(a), spec(b), rom_bits, guard, bits, lanes)
        saturated += bool(events)
        for fmt in (F8, LNSFormat(12, 6), LNSFormat(4, 0)):
            index_bits, offset = fmt.frac_bits + rng.randrange(6), rng.randrange(-20, 20)
            log_rom = gausslog.log_rom(fmt.frac_bits, index_bits)
            exponent = unit.least_exponent + rng.randrange(-3, 3)
            got = ref.linear_to_log(total, exponent, log_rom, index_bits, fmt, offset)
            assert got == independent.linear_to_log(total, exponent, index_bits, spec(fmt), offset)
    assert saturated if bits <= 9 else not saturated


def test_safe_length_is_sharp():
    unit = Units(load("madam8")).dot(F8, F8)
    largest = [F8.max_code]
    for n, safe in ((unit.safe_length, True), (unit.safe_length + 1, False)):
        assert (not ref.dot_linear(largest * n, largest * n, unit)[1]) == safe


@pytest.mark.parametrize(
    ("a", "b", "acc", "offset", "lanes", "kind"),
    [
        ("lns<8,3>", "lns<8,3>", "lns<15,8>", 0, 16, "full"),
        ("lns<16,10>", "lns<16,10>", "lns<16,10>", 22, 16, "full"),
        ("lns<8,3>", "lns<6,2>", "lns<9,4>", 1, 4, "mitchell"),
        ("lns<8,3>", "lns<8,3>", "lns<10,5>", -1, 1, "coarse<2>"),
        ("lns<8,3>", "lns<8,3>", "lns<8,3>", 3, 2, "linear<2,6>"),
    ],
)
def test_log_dot_products(a, b, acc, offset, lanes, kind):
    a, b, acc, kind = LNSFormat.parse(a), LNSFormat.parse(b), LNSFormat.parse(acc), TableKind.parse(kind)
    unit = ref.LogDot(a, b, acc, offset, table(kind, acc.frac_bits), lanes)
    tables, rng = spec_tables(kind, acc.frac_bits), random.Random(2)
    for _ in range(150):
        n = rng.randrange(70)
        x, y = words(a, n, rng), words(b, n, rng)
        expected = independent.dot_log(x, y, spec(a), spec(b), spec(acc), offset, tables, lanes)
        assert ref.dot_log(x, y, unit) == expected


# --- presets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", preset_names())
class TestPresets:
    @pytest.fixture
    def design(self, name):
        return load(name)

    def test_dot_products(self, design):
        rng, units, formats = random.Random(3), Units(design), design.formats
        for a, b in (
            (formats.activation, formats.operand),
            (formats.error, formats.activation),
            (formats.error, formats.operand),
        ):
            unit, acc = units.dot(a, b), design.accumulator
            for _ in range(20):
                n = rng.randrange(100)
                x, y = words(a, n, rng), words(b, n, rng)
                if isinstance(acc, LinearAccumulator):
                    got = ref.dot_linear(x, y, unit)
                    args = (acc.antilog_bits, acc.guard, acc.bits, acc.lanes)
                    assert got == independent.dot_linear(x, y, spec(a), spec(b), *args)
                    for fmt in (formats.activation, formats.error, formats.gradient):
                        x_least, M = unit.least_exponent, units.index_bits(fmt)
                        word = ref.linear_to_log(got[0], x_least, units.to_log_rom(fmt), M, fmt, -2)
                        assert word == independent.linear_to_log(got[0], x_least, M, spec(fmt), -2)
                else:
                    tables = spec_tables(acc.table, acc.format.frac_bits)
                    args = (spec(acc.format), acc.offset, tables, acc.lanes)
                    assert ref.dot_log(x, y, unit) == independent.dot_log(x, y, spec(a), spec(b), *args)

    @pytest.mark.parametrize("moment_offset", [0, 3, -5])
    def test_update_constants(self, design, moment_offset):
        design = design.override({"update.moment_offset": moment_offset})
        rng, units, u = random.Random(4), Units(design), design.update
        for t in (1, 2, 3, 10, 1000, 10**5, *(rng.randrange(1, 5000) for _ in range(30))):
            now, before = rng.randrange(-9, 9), rng.randrange(-9, 9)
            lr = rng.choice([None, Fraction(1, 200), Fraction(1, 128), Fraction(3)])
            got = units.update_constants(t, now, before, lr)
            expected = independent.update_constants(
                spec(design.formats.weight), u.moment.frac_bits, u.kappa, str(u.lr) if lr is None else lr, str(u.clip),
                u.moment_offset, before, now, t,
            )  # fmt: skip
            assert {name: getattr(got, name) for name in expected} == expected

    @pytest.mark.parametrize("rounding", [Rounding.NEAREST, Rounding.STOCHASTIC])
    @pytest.mark.parametrize("rule", ["clamp", "flip"])
    def test_update(self, design, rounding, rule):
        design = design.override({"update.rounding": rounding.value, "update.sign_rule": rule})
        rng, units, u, formats = random.Random(5), Units(design), design.update, design.formats
        tables = spec_tables(u.table, u.moment.frac_bits)
        seen = 0
        for _ in range(1000):
            c = units.update_constants(rng.choice([1, 2, 10, 1000, 10**5]), rng.randrange(-5, 5), rng.randrange(-5, 5))
            w = rng.randint(1, formats.weight.max_code) | rng.choice([0, formats.weight.sign_bit])
            (g,) = words(formats.gradient, 1, rng)
            v = rng.choice([0, 1, u.moment.max_code, u.moment.bias, rng.randrange(1 << u.moment.bits)])
            random_bits = rng.randrange(1 << u.step_frac_bits)
            got = ref.update(w, g, v, units.update, c, random_bits)
            constants = {name: getattr(c, name) for name in ("read", "term", "correction", "clip", "lr")}
            assert got == independent.update(
                w, g, v, spec(formats.weight), spec(formats.gradient), spec(u.moment), tables, u.antilog_bits,
                u.step_frac_bits, rounding.value, rule == "flip", constants, random_bits,
            )  # fmt: skip
            seen |= got[2]
        assert seen == ref.Event.CLIP | ref.Event.SATURATE | ref.Event.UNDERFLOW

    def test_loss(self, design):
        rng, unit, formats = random.Random(6), Units(design).loss, design.formats
        tables = spec_tables(design.loss.table, unit.loss.frac_bits)
        for _ in range(200):
            z = words(formats.activation, rng.randrange(1, 12), rng)
            y, z_offset, e_offset = rng.randrange(len(z)), rng.randrange(-8, 5), rng.randrange(-12, 3)
            got = ref.loss(z, y, z_offset, e_offset, unit)
            rounding = design.conversion.rounding.value
            assert got == independent.loss(
                z, y, spec(formats.activation), z_offset, spec(unit.loss), tables, unit.rom_bits, spec(formats.error),
                e_offset, rounding,
            )  # fmt: skip


def test_another_constant_is_seen():
    """The comparison of updates is sharp: a clip one code higher gives other words."""
    units, rng = Units(load("madam8")), random.Random(7)
    c = units.update_constants(1000, 0, 0)
    planted = ref.UpdateConstants(c.read, c.term, c.correction, c.clip + 1, c.lr + 1)
    g = units.update.gradient
    samples = [(rng.randrange(1, 2048), rng.randrange(1, g.max_code), rng.randrange(1 << 17)) for _ in range(1000)]
    assert any(ref.update(*s, units.update, c) != ref.update(*s, units.update, planted) for s in samples)


# --- random bits -----------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(1, 32), st.integers(1, 40))
def test_lfsr(seed, r, n):
    states = [ref.lfsr_seed(seed, lane) for lane in range(16)]
    assert states == [independent.lfsr_seed(seed, lane) for lane in range(16)] and 0 not in states
    values, expected_states = independent.lfsr_draws(states, n, r)
    for element in range(16 * -(-n // 16)):
        states[element % 16], value = ref.lfsr_draw(states[element % 16], r)
        assert element >= n or value == values[element]
    assert states == expected_states


def test_the_first_bit_is_the_top_one():
    for state in (1, 0x80000000, 0xDEADBEEF):
        bits = []
        s = state
        for _ in range(7):
            s, bit = ref.lfsr_draw(s, 1)
            bits.append(bit)
        assert ref.lfsr_draw(state, 7) == (s, int("".join(map(str, bits)), 2))


def _apply(matrix, x):
    """A matrix over GF(2), a list of columns, times a vector."""
    return reduce(lambda y, i: y ^ matrix[i] if x >> i & 1 else y, range(32), 0)


def _power(matrix, n):
    result = [1 << i for i in range(32)]
    while n:
        if n & 1:
            result = [_apply(matrix, column) for column in result]
        matrix = [_apply(matrix, column) for column in matrix]
        n >>= 1
    return result


def _has_full_period(matrix):
    order, identity = 2**32 - 1, [1 << i for i in range(32)]
    factors = (3, 5, 17, 257, 65537)
    return _power(matrix, order) == identity and all(_power(matrix, order // p) != identity for p in factors)


def test_the_lfsr_runs_through_every_state():
    def shift(state):
        return ref.lfsr_draw(state, 1)[0]

    matrix = [shift(1 << i) for i in range(32)]
    rng = random.Random(8)
    assert all(shift(s) == _apply(matrix, s) for s in (rng.randrange(1 << 32) for _ in range(100)))
    assert 3 * 5 * 17 * 257 * 65537 == 2**32 - 1
    assert _has_full_period(matrix)
    matrix[20] ^= 1  # another tap: x^32 + x^22 + x^21 + x^2 + x + 1
    assert not _has_full_period(matrix)


# --- xlns ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frac_bits", [0, 1, 3, 5, 7, 8, 10, 11, 12, 13, 14, 15])
def test_add_against_xlns(frac_bits):
    xlns.xlnssetF(frac_bits)
    fmt, unit, rng = LNSFormat(32, frac_bits), table(FULL, frac_bits), random.Random(frac_bits)
    reach = (frac_bits + 2) << frac_bits  # a distance at which the smaller operand adds nothing

    def operand(raw, negative):
        x = xlns.xlns("")
        x.x, x.s = raw, bool(negative)
        return x, (fmt.sign_bit if negative else 0) | (raw + fmt.bias)

    distances = [0, 1, 2, 3] * 4 + [rng.randrange(reach) for _ in range(400)]
    distances += [rng.randrange(1 << rng.randrange(1, frac_bits + 2)) for _ in range(200)]
    for d in distances:
        raw = rng.randrange(-8 << frac_bits, 8 << frac_bits)
        pair = [(raw, rng.randrange(2)), (raw - d, rng.randrange(2))]
        rng.shuffle(pair)
        (x, a), (y, b) = (operand(*p) for p in pair)
        theirs, (ours, _) = x + y, ref.add(a, b, fmt, unit)
        if ours == 0:
            assert theirs.x == -float("inf"), (a, b)
        else:
            assert (theirs.x, theirs.s) == (ref.raw(ours, fmt), bool(ref.sign(ours, fmt))), (a, b)


def test_xlns_sees_an_approximate_table():
    xlns.xlnssetF(5)
    x = xlns.xlns("")
    x.x, x.s = 0, False
    assert (x + x).x == 32 == ref.sb(0, table(FULL, 5)) != ref.sb(0, table(TableKind("coarse", 2), 5))


# --- encoding --------------------------------------------------------------------------------------------------------


@given(st.fractions(), st.integers(-20, 20), st.sampled_from([F8, LNSFormat(16, 10), LNSFormat(9, 3, False)]))
def test_rationals_lie_between_their_boundaries(x, offset, fmt):
    """No logarithm here: the code c of |x| is right if 2**(2·raw - 1) < |x|**(2·2**F)·2**(-…) < 2**(2·raw + 1)."""
    word, event = ref.encode(x, fmt, offset)
    if x == 0 or (x < 0 and not fmt.signed):
        assert (word, event) == (0, ref.Event.INVALID if x else ref.NONE)
        return
    power = (abs(x) / Fraction(2) ** offset) ** (2 << fmt.frac_bits)
    raw = exact.round_log2(abs(x), fmt.frac_bits) - (offset << fmt.frac_bits)
    assert Fraction(2) ** (2 * raw - 1) < power < Fraction(2) ** (2 * raw + 1)
    assert (word, event) == ref.emit(int(x < 0), raw + fmt.bias, fmt)
