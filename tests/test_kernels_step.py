"""The parts of a training step beside the products: their fast forms against the definition and against each other."""

import importlib
import itertools
import math

import numba
import numpy as np
import pytest

from lns import codec, decode, encode, gausslog, kernels, load, preset_names
from lns import reference as ref
from lns.format import Event, LNSFormat, Rounding
from lns.gausslog import TableKind, table
from lns.kernels import elementwise, tables, to_log
from lns.units import Units

# modules that share their names with the functions of the package
loss, update = (importlib.import_module(f"lns.kernels.{name}") for name in ("loss", "update"))

F8 = LNSFormat(8, 3)
ROUNDINGS = [Rounding.NEAREST, Rounding.DOWN]


def same(got, expected):
    """Whether arrays (words, events, …) are the tuples of the definition."""
    columns = [np.array(column, np.int64) for column in zip(*expected, strict=True)]
    return all(np.array_equal(a.reshape(-1), b) for a, b in zip(got, columns, strict=True))


def equal(one, other):
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(one, other, strict=True))


def random_words(fmt, size, rng):
    """Words with zeros of both signs and the ends of the range among them."""
    words = rng.integers(0, 1 << fmt.bits, size)
    edges = rng.choice([0, fmt.sign_bit, 1, fmt.max_code, fmt.max_code | fmt.sign_bit], size)
    return np.where(rng.random(size) < 0.2, edges, words).astype(fmt.dtype)


@pytest.fixture
def wide(monkeypatch):
    """Calls a function with every loop in 64-bit integers."""

    def run(call):
        with monkeypatch.context() as patch:
            for module in (elementwise, to_log, update):
                patch.setattr(module, "integers", lambda narrow: tables.integers(False))
            return call()

    return run


# --- conversion ------------------------------------------------------------------------------------------------------


def preset_conversions():
    """(source, destination) of every conversion of a preset's training step."""
    pairs = set()
    for name in preset_names():
        design = load(name)
        pairs.add((design.formats.weight, design.formats.operand))
        if hasattr(design.accumulator, "format"):
            pairs.add((design.accumulator.format, design.formats.activation))
    return sorted(pairs, key=str)


@pytest.mark.parametrize(("source", "fmt"), preset_conversions(), ids=str)
def test_every_word_of_the_presets_conversions(source, fmt):
    words = np.arange(1 << source.bits, dtype=source.dtype)
    for (source_offset, offset), rounding in zip(((-3, -2), (2, 0), (-9, 5)), (*ROUNDINGS, ROUNDINGS[0]), strict=True):
        expected = [ref.convert(word, source, fmt, source_offset, offset, rounding) for word in words.tolist()]
        assert same(kernels.convert(words, source, fmt, source_offset, offset, rounding), expected)


# on both sides of the rule that decides between 32 and 64 bits
BORDER = ["lns<25,3>", "lns<29,3>", "lns<30,3>", "lns<24,20>", "lns<16,14>", "lns<17,0>", "ulns<28,3>", "ulns<32,30>"]


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("fmt", [*BORDER, "lns<8,3>", "lns<15,11>"])
@pytest.mark.parametrize("source", BORDER)
def test_conversions_at_the_border_of_32_bits(source, fmt, rounding):
    source, fmt = LNSFormat.parse(source), LNSFormat.parse(fmt)
    rng = np.random.default_rng(0)
    words = random_words(source, 60, rng)
    for source_offset, offset in ((0, 0), (1 << 20, 3), (3, 1 << 20), (1 << 40, 0), (0, 1 << 40)):
        expected = [ref.convert(word, source, fmt, source_offset, offset, rounding) for word in words.tolist()]
        assert same(kernels.convert(words, source, fmt, source_offset, offset, rounding), expected)
    middle = (source.bias - (fmt.bias << source.frac_bits >> fmt.frac_bits)) >> source.frac_bits
    near = [ref.convert(word, source, fmt, 0, middle, rounding) for word in words.tolist()]
    assert same(kernels.convert(words, source, fmt, 0, middle, rounding), near)


# --- linear to log ---------------------------------------------------------------------------------------------------


def test_accumulators_of_32_and_of_64_bits(wide):
    rng = np.random.default_rng(0)
    least, most = -(1 << 31), (1 << 31) - 1
    powers = 1 << np.arange(31)
    values = np.concatenate(
        [[0, least, least + 1, most], powers, -powers, powers - 1, -powers - 1, rng.integers(least, most, 20000)]
    )
    values = np.concatenate([values, values[-20000:] >> rng.integers(0, 31, 20000)])
    for fmt, index_bits in ((F8, 7), (F8, 3), (LNSFormat(16, 10), 14), (LNSFormat(24, 20), 16), (LNSFormat(4, 0), 0)):
        rom = gausslog.log_rom(fmt.frac_bits, index_bits)
        for exponent, offset in ((-12, 0), (-31, -20), (1 << 35, 0), (0, 1 << 35)):
            expected = [ref.linear_to_log(v, exponent, rom, index_bits, fmt, offset) for v in values[:1500].tolist()]
            got = kernels.linear_to_log(values, exponent, rom, index_bits, fmt, offset)
            assert same([part[:1500] for part in got], expected)
            assert equal(kernels.linear_to_log(values.astype(np.int32), exponent, rom, index_bits, fmt, offset), got)
            again = wide(lambda: kernels.linear_to_log(values, exponent, rom, index_bits, fmt, offset))  # noqa: B023
            assert equal(again, got)


def test_accumulators_of_another_dtype_are_refused():
    with pytest.raises(TypeError, match="accumulators must be int64 or int32, got float64"):
        kernels.linear_to_log(np.zeros(3), 0, gausslog.log_rom(3, 7), 7, F8)


# --- words in pairs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [24, 25])
def test_words_at_the_border_of_32_bits(bits):
    fmt, rng = LNSFormat(bits, 10), np.random.default_rng(bits)
    a, b = random_words(fmt, 4000, rng), random_words(fmt, 4000, rng)
    near = np.clip((a & fmt.max_code).astype(int) + rng.integers(-9000, 9000, a.size), 0, fmt.max_code)
    b = np.where(rng.random(a.size) < 0.5, b, near | rng.choice([0, fmt.sign_bit], a.size)).astype(fmt.dtype)
    unit, pairs = table(TableKind(), 10), list(zip(a.tolist(), b.tolist(), strict=True))
    assert same(kernels.add(a, b, fmt, unit), [ref.add(x, y, fmt, unit) for x, y in pairs])
    assert same(kernels.mul(a, b, fmt), [ref.mul(x, y, fmt) for x, y in pairs])
    assert same(kernels.div(a, b, fmt), [ref.div(x, y, fmt) for x, y in pairs])
    assert same(kernels.square(a, fmt), [ref.square(x, fmt) for x, _ in pairs])
    assert same(kernels.sqrt(a, fmt), [ref.sqrt(x, fmt) for x, _ in pairs])


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1025, 5000])
def test_blocks_that_are_not_full(size, wide):
    rng = np.random.default_rng(size)
    a, b = random_words(F8, size, rng), random_words(F8, size, rng)
    unit = table(TableKind(), 3)
    expected = [ref.add(x, y, F8, unit) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    got = kernels.add(a, b, F8, unit)
    assert got[0].size == size and (not expected or same(got, expected))
    assert equal(wide(lambda: kernels.add(a, b, F8, unit)), got)
    values = rng.integers(-(1 << 20), 1 << 20, size)
    rom = gausslog.log_rom(3, 7)
    expected = [ref.linear_to_log(v, -12, rom, 7, F8) for v in values.tolist()]
    assert not expected or same(kernels.linear_to_log(values, -12, rom, 7, F8), expected)


# --- update ----------------------------------------------------------------------------------------------------------


def unit_of(weight, gradient, moment, rom_bits, r, rounding, flip):
    formats = [LNSFormat.parse(name) for name in (weight, gradient, moment)]
    f = formats[2].frac_bits
    rom = gausslog.antilog_rom(f, rom_bits)
    return ref.UpdateUnit(*formats, table(TableKind(), f), rom, rom_bits, r, rounding, flip)


def compare_update(unit, constants, size, rng, spread):
    """Random weights and gradients, moments near where steps happen; the weights' events that were seen."""
    w = random_words(unit.weight, size, rng)
    w = np.where(w & unit.weight.max_code, w, 1).astype(unit.weight.dtype)
    g = random_words(unit.gradient, size, rng)
    doubled = 2 * ((g & unit.gradient.max_code).astype(np.int64) - unit.gradient.bias)
    around = (doubled << (unit.moment.frac_bits - unit.gradient.frac_bits)) + unit.moment.bias
    v = np.clip(around + rng.integers(-spread, spread, size), 0, unit.moment.max_code).astype(unit.moment.dtype)
    random = rng.integers(0, 1 << unit.step_frac_bits, size).astype(np.uint32)
    new_w, new_v = w.copy(), v.copy()
    events = kernels.update(new_w, g, new_v, unit, constants, random)
    inputs = zip(w.tolist(), g.tolist(), v.tolist(), random.tolist(), strict=True)
    assert same((new_w, new_v, *events), [ref.update(*x, unit, constants, R) for *x, R in inputs])
    return Event(int(np.bitwise_or.reduce(events[0])))


@pytest.mark.parametrize("rounding", [Rounding.NEAREST, Rounding.STOCHASTIC])
@pytest.mark.parametrize(
    ("unit", "narrow"),
    [
        (("lns<12,9>", "lns<8,3>", "ulns<17,11>", 12, 8), True),
        (("lns<24,12>", "lns<16,10>", "ulns<24,11>", 12, 5), True),
        (("lns<24,12>", "lns<16,10>", "ulns<24,11>", 12, 6), False),
        (("lns<25,12>", "lns<16,10>", "ulns<24,11>", 12, 2), False),
        (("lns<12,9>", "lns<16,10>", "ulns<25,11>", 12, 8), False),
        (("lns<12,9>", "lns<24,4>", "ulns<20,8>", 28, 8), True),
        (("lns<12,9>", "lns<25,4>", "ulns<20,8>", 28, 8), False),
        (("lns<12,9>", "lns<16,4>", "ulns<20,8>", 29, 8), False),
        (("lns<32,12>", "lns<32,10>", "ulns<32,11>", 32, 24), False),
    ],
)
def test_updates_at_the_border_of_32_bits(unit, narrow, rounding):
    flip = rounding is Rounding.STOCHASTIC
    unit, rng, seen = unit_of(*unit, rounding, flip), np.random.default_rng(0), Event(0)
    octave = 1 << unit.moment.frac_bits
    usual = ref.UpdateConstants(-3, -10 * octave, 8 * octave, 3 * octave, 5 * octave)
    assert update._narrow(unit, usual) is narrow
    seen |= compare_update(unit, usual, 2000, rng, 20 * octave)
    far = (1 << 28) - 1
    for field, value in itertools.product(("read", "term", "correction", "clip", "lr"), (far, -far, far + 1, -far - 1)):
        constants = ref.UpdateConstants(**{**{n: getattr(usual, n) for n in usual.__slots__}, field: value})
        assert update._narrow(unit, constants) is (narrow and abs(value) == far)
        seen |= compare_update(unit, constants, 300, rng, 20 * octave)
    assert seen == Event.CLIP | Event.SATURATE | Event.UNDERFLOW


@pytest.mark.parametrize("name", preset_names())
def test_updates_in_32_and_in_64_bits(name, wide):
    units = Units(load(name))
    unit, rng = units.update, np.random.default_rng(0)
    w, g, v = (random_words(fmt, 20_000, rng) for fmt in (unit.weight, unit.gradient, unit.moment))
    w = np.where(w & unit.weight.max_code, w, 1).astype(w.dtype)
    random = kernels.draws(kernels.lfsr_seeds(1, 16), w.size, unit.step_frac_bits)
    for t, offset, before in ((1, 0, 0), (7, -3, 1), (10**4, 9, -9)):
        constants = units.update_constants(t, offset, before)
        assert update._narrow(unit, constants)

        def run(constants=constants):
            new_w, new_v = w.copy(), v.copy()
            return new_w, new_v, *kernels.update(new_w, g, new_v, unit, constants, random)

        assert equal(run(), wide(run))


@pytest.mark.parametrize("r", range(1, 33))
def test_draws_of_a_basis(r):
    """Shifts are linear over GF(2): what 32 states show holds for all of them."""
    states = (1 << np.arange(32)).astype(np.uint32)
    expected = [ref.lfsr_draw(state, r) for state in states.tolist()]
    got = kernels.draws(states, 32, r)
    assert list(zip(states.tolist(), got.tolist(), strict=True)) == expected


# --- ReLU, order, monitors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", [F8, LNSFormat(16, 10), LNSFormat(32, 5), LNSFormat(9, 3, False)], ids=str)
def test_relu_and_order(fmt):
    rng = np.random.default_rng(0)
    words = random_words(fmt, 9000, rng).reshape(300, 30)
    words[::3, 7] = words[::3, 3]  # ties
    assert kernels.relu(words[:, ::2].T, fmt).tolist() == [
        [ref.relu(word, fmt) for word in row] for row in words[:, ::2].T.tolist()
    ]
    assert kernels.argmax(words, fmt).tolist() == [ref.argmax(row, fmt) for row in words.tolist()]
    assert kernels.argmax(words.reshape(10, 30, 30), fmt).shape == (10, 30)
    for none in (words[:, :0], words[0, 0]):
        with pytest.raises(ValueError, match="argmax needs at least one word"):
            kernels.argmax(none, fmt)


@pytest.mark.parametrize("shape", [(0,), (1,), (1024,), (1025,), (7, 3000)])
def test_monitors_and_counters(shape):
    rng = np.random.default_rng(len(shape))
    words, events = random_words(F8, shape, rng), rng.integers(0, 128, shape).astype(np.uint8)
    assert kernels.largest_code(words, F8) == max((word & 127 for word in words.ravel().tolist()), default=0)
    for some in (events, events & 3, events * 0, events.T):
        expected = [sum(1 for e in some.ravel().tolist() if e & flag) for flag in Event]
        assert kernels.count_events(some).tolist() == expected


# --- real numbers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frac_bits", range(8))
@pytest.mark.parametrize("down", [False, True])
def test_codes_begin_where_they_should(frac_bits, down):
    """Boundaries by integer powers alone: x >= 2**(p/n) just if x**n >= 2**p."""
    base, threshold = codec._buckets(frac_bits, down)
    starts = sorted({start for start in threshold.tolist() if start < 1 << 52})
    n = 1 << (frac_bits + (not down))
    powers = range(1, n) if down else range(1, n, 2)
    assert len(starts) == len(powers)
    for start, p in zip(starts, powers, strict=True):
        x = start + (1 << 52)
        assert x**n >= 1 << (p + 52 * n) > (x - 1) ** n
    floats = np.array([1 + start * 2.0**-52 for start in starts])
    fmt = LNSFormat(16, frac_bits)
    rounding = Rounding.DOWN if down else Rounding.NEAREST
    assert (encode(floats, fmt, rounding=rounding) - encode(np.nextafter(floats, 0), fmt, rounding=rounding) == 1).all()
    lower = np.arange(base.size) / base.size + 1
    assert (encode(lower, fmt, rounding=rounding) - fmt.bias == base).all()


@pytest.mark.parametrize("frac_bits", [0, 3, 10, 14])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_tables_and_logarithms_encode_alike(frac_bits, rounding):
    rng = np.random.default_rng(frac_bits)
    x = np.ldexp(rng.uniform(-2, 2, 20_000), rng.integers(-1080, 1020, 20_000))
    x = np.concatenate([x, np.ldexp(1.0, np.arange(-1080, 1024)), [0.0, -0.0, math.inf, -math.inf]])
    for fmt in (LNSFormat(16, frac_bits), LNSFormat(32, frac_bits)):
        for offset in (0, -7, 1000, -1070, 1 << 50):
            got = encode(x, fmt, offset=offset, rounding=rounding)
            assert np.array_equal(got, codec._encode_fine(x, fmt, offset, rounding is Rounding.DOWN))


def test_float32_is_encoded_as_it_is():
    patterns = (np.arange(1 << 16, dtype=np.uint32) << 16) | np.uint32(0x1234)
    x = patterns.view(np.float32)
    x = x[~np.isnan(x)]
    for fmt in (F8, LNSFormat(16, 10)):
        assert np.array_equal(encode(x, fmt), encode(x.astype(np.float64), fmt))
        assert np.array_equal(encode(x[::-3], fmt), encode(x, fmt)[::-3])


def test_flaws_are_counted_over_all_blocks():
    x = np.ones(5000)
    x[[3, 1500, 4999]] = math.nan
    with pytest.raises(ValueError, match="encode got 3 NaN"):
        encode(x, F8)
    x[np.isnan(x)] = -0.0
    x[4800] = -2.0
    with pytest.raises(ValueError, match=r"ulns<8,3> has no sign, got -2\.0"):
        encode(x, LNSFormat(8, 3, False))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("fmt", [F8, LNSFormat(13, 9), LNSFormat(16, 10), LNSFormat(9, 2, False)], ids=str)
def test_decoded_by_a_table_or_one_by_one(fmt, dtype):
    every = np.arange(1 << fmt.bits, dtype=fmt.dtype)
    for offset in (0, 130, -1050):
        one_by_one = decode(every, fmt, offset=offset, dtype=dtype)
        for words in (np.concatenate([every, every[:5]]), np.tile(every, 3).astype(np.int64).reshape(3, -1).T):
            got = decode(words, fmt, offset=offset, dtype=dtype)
            assert got.shape == words.shape and got.tobytes() == one_by_one[words].tobytes()


# --- threads and compilations ----------------------------------------------------------------------------------------


def threaded_calls():
    """What goes to threads in a step, by name: (its loop, a call that returns arrays)."""
    rng, n = np.random.default_rng(0), 300_001
    units = Units(load("madam8-small"))
    unit, constants = units.update, units.update_constants(3, 0, 0)
    w, g, v = (random_words(fmt, n, rng) for fmt in (unit.weight, unit.gradient, unit.moment))
    w = np.where(w & unit.weight.max_code, w, 1).astype(w.dtype)
    values, x = rng.integers(-(1 << 22), 1 << 22, n), rng.normal(size=n)

    def updated():
        random = kernels.draws(kernels.lfsr_seeds(0, 16), n, unit.step_frac_bits)
        new_w, new_v = w.copy(), v.copy()
        return new_w, new_v, *kernels.update(new_w, g, new_v, unit, constants, random)

    return {
        "convert": (elementwise._convert, lambda: kernels.convert(w, unit.weight, F8, -3, 0)),
        "linear_to_log": (
            to_log._to_log, lambda: kernels.linear_to_log(values, -12, gausslog.log_rom(3, 7), 7, F8)
        ),
        "update": (update._update, updated),
        "encode": (codec._encode, lambda: (encode(x, F8),)),
        "decode": (tables._gather, lambda: (decode(g, unit.gradient),)),
    }  # fmt: skip


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("name", ["convert", "linear_to_log", "update", "encode", "decode"])
def test_the_number_of_threads_does_not_matter(name, monkeypatch):
    loop, call = threaded_calls()[name]
    compiled, parts = loop.loop, []
    monkeypatch.setattr(loop, "least", 30_000)
    monkeypatch.setattr(loop, "loop", lambda *arguments: (parts.append(arguments[:2]), compiled(*arguments)))
    two, shared = call(), sorted(parts)
    assert len(shared) == 16, "it did not take threads"
    assert shared[0][0] == 0 and all(end == begin for (_, end), (begin, _) in itertools.pairwise(shared))
    numba.set_num_threads(1)
    parts.clear()
    one = call()
    numba.set_num_threads(2)
    monkeypatch.setattr(loop, "least", 300_002)
    few = call()
    assert parts == 2 * [(0, shared[-1][1])], "one thread, or few elements, took threads"
    assert equal(one, two) and equal(few, two)


def compiled_forms():
    modules = (codec, elementwise, loss, tables, to_log, update)
    found = {id(value): value for module in modules for value in vars(module).values()}
    return sum(len(value.signatures) for value in found.values() if hasattr(value, "signatures")) + sum(
        len(value.loop.signatures) for value in found.values() if isinstance(value, tables.Threaded)
    )


def test_another_design_compiles_nothing_new():
    rng = np.random.default_rng(0)

    def use(changes, offset):
        units = Units(load("madam8").override(changes))
        formats, unit = units.design.formats, units.update
        w, g, v = (random_words(fmt, 50, rng) for fmt in (unit.weight, unit.gradient, unit.moment))
        kernels.update(w | 1, g, v, unit, units.update_constants(2, offset, 0))
        kernels.convert(w, formats.weight, formats.operand, offset, 0)
        fmt = formats.activation
        values = rng.integers(-9999, 9999, 50)
        kernels.linear_to_log(values, offset, units.to_log_rom(fmt), units.index_bits(fmt), fmt)
        words = encode(rng.normal(size=(9, 10)), fmt, offset=offset)
        decode(words, fmt)
        kernels.loss(words, np.zeros(9, np.int64), offset, 0, units.loss)
        kernels.add(words, words, fmt, table(TableKind.parse("mitchell"), fmt.frac_bits))
        kernels.argmax(kernels.relu(words, fmt), fmt)

    use({}, 0)
    before = compiled_forms()
    assert before > 20
    operands = dict.fromkeys(("activation", "error", "gradient", "operand"), "lns<7,4>") | {"weight": "lns<11,7>"}
    for table_kind in ("full", "coarse<3>", "linear<2,6>"):
        use({"formats": operands, "update.table": table_kind, "update.step_frac_bits": 5, "loss.table": table_kind}, -3)
    assert compiled_forms() == before
