"""Kernels against the definition: every word and every event flag."""

import random
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numba
import numpy as np
import pytest
from drawing import every_word, linear_dot, log_dot
from hypothesis import given, settings
from hypothesis import strategies as st

from lns import gausslog, kernels, load, preset_names
from lns import reference as ref
from lns.format import Event, LNSFormat, Rounding
from lns.gausslog import Table, TableKind, table
from lns.kernels import isa, product_factors, product_linear, product_log, product_loops
from lns.kernels.tables import Threaded
from lns.units import Units

F8 = LNSFormat(8, 3)
FULL = TableKind()
KINDS = [TableKind.parse(kind) for kind in ("full", "coarse<2>", "coarse<4>", "linear<2,6>", "mitchell")]
ROUNDINGS = [Rounding.NEAREST, Rounding.DOWN]


def every_pair(fmt):
    words = every_word(fmt)
    return np.repeat(words, words.size), np.tile(words, words.size)


def words(fmt, shape, rng, zeros=0.1, extremes=0.05):
    """Random words; some zeros (with and without a sign), some largest and smallest ones."""
    out = rng.integers(0, 1 << fmt.bits, shape)
    kind = rng.random(shape)
    out = np.where(kind < extremes, rng.choice([1, fmt.max_code, fmt.max_code | fmt.sign_bit], shape), out)
    return np.where(kind > 1 - zeros, rng.choice([0, fmt.sign_bit], shape), out).astype(fmt.dtype)


def moderate(fmt, shape, rng):
    """Words whose products fill some four octaves: sums cancel, carry and saturate rather than follow one term."""
    code = np.clip(fmt.bias + rng.integers(-1 << fmt.frac_bits, 1 << fmt.frac_bits, shape), 1, fmt.max_code)
    return np.where(rng.random(shape) < 0.05, 0, code | np.where(rng.random(shape) < 0.5, fmt.sign_bit, 0)).astype(
        fmt.dtype
    )


def same(got, expected):
    """Whether arrays (words, events) are the (word, event) pairs."""
    columns = [np.array(column, np.int64) for column in zip(*expected, strict=True)]
    return all(np.array_equal(a.reshape(-1), b) for a, b in zip(got, columns, strict=True))


def planted(source, rom, index):
    roms = {name: values.copy() for name, values in source.roms.items()}
    roms[rom][index] += 1
    return Table(source.kind, source.frac_bits, roms)


# --- words one by one and in pairs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", [F8, LNSFormat(7, 5), LNSFormat(2, 0), LNSFormat(8, 3, False)], ids=str)
@pytest.mark.parametrize("unit", ["mul", "div"])
def test_mul_div(unit, fmt):
    a, b = every_pair(fmt)
    got = getattr(kernels, unit)(a, b, fmt)
    assert got[0].dtype == fmt.dtype and got[1].dtype == np.uint8
    assert same(got, [getattr(ref, unit)(x, y, fmt) for x, y in zip(a.tolist(), b.tolist(), strict=True)])


@pytest.mark.parametrize("fmt", [F8, LNSFormat(12, 6), LNSFormat(8, 3, False), LNSFormat(2, 0)], ids=str)
@pytest.mark.parametrize("unit", ["square", "sqrt"])
def test_square_sqrt(unit, fmt):
    a = every_word(fmt)
    assert same(getattr(kernels, unit)(a, fmt), [getattr(ref, unit)(x, fmt) for x in a.tolist()])


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("fmt", [F8, LNSFormat(7, 5), LNSFormat(7, 2, False)], ids=str)
def test_add(fmt, kind):
    a, b = every_pair(fmt)
    unit = table(kind, fmt.frac_bits)
    expected = [ref.add(x, y, fmt, unit) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert same(kernels.add(a, b, fmt, unit), expected)


def test_add_of_another_table_is_seen():
    a, b = every_pair(F8)
    unit = table(FULL, 3)
    for rom, last in (("sb", 35), ("db", 36)):
        got, other = kernels.add(a, b, F8, unit), kernels.add(a, b, F8, planted(unit, rom, last))
        different = (got[0] != other[0]) | (got[1] != other[1])
        assert different.any() and (np.abs((a & 127).astype(int) - (b & 127))[different] == last).all()


@pytest.mark.parametrize("fmt", [LNSFormat(32, 10), LNSFormat(32, 18), LNSFormat(32, 3, False)], ids=str)
def test_wide_words(fmt):
    rng = np.random.default_rng(0)
    a = words(fmt, 3000, rng)
    near = (a & fmt.max_code).astype(np.int64) + rng.integers(-4 << fmt.frac_bits, 4 << fmt.frac_bits, a.size)
    signs = np.where(rng.random(a.size) < 0.5, fmt.sign_bit, 0)
    b = np.where(rng.random(a.size) < 0.5, words(fmt, a.size, rng), np.clip(near, 0, fmt.max_code) | signs).astype(
        fmt.dtype
    )
    unit, pairs = table(FULL, fmt.frac_bits), list(zip(a.tolist(), b.tolist(), strict=True))
    assert same(kernels.add(a, b, fmt, unit), [ref.add(x, y, fmt, unit) for x, y in pairs])
    assert same(kernels.mul(a, b, fmt), [ref.mul(x, y, fmt) for x, y in pairs])
    assert same(kernels.div(a, b, fmt), [ref.div(x, y, fmt) for x, y in pairs])
    assert same(kernels.square(a, fmt), [ref.square(x, fmt) for x, _ in pairs])
    assert same(kernels.sqrt(a, fmt), [ref.sqrt(x, fmt) for x, _ in pairs])
    assert kernels.maximum(a, b, fmt).tolist() == [ref.maximum(x, y, fmt) for x, y in pairs]
    for to in (F8, LNSFormat(16, 10), LNSFormat(32, 20), LNSFormat(16, 0, False)):
        for rounding in ROUNDINGS:
            expected = [ref.convert(x, fmt, to, 3, -2, rounding) for x, _ in pairs]
            assert same(kernels.convert(a, fmt, to, 3, -2, rounding), expected)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("source", [F8, LNSFormat(8, 6), LNSFormat(8, 0), LNSFormat(8, 4, False)], ids=str)
@pytest.mark.parametrize(
    "fmt", [F8, LNSFormat(4, 0), LNSFormat(2, 0), LNSFormat(6, 2, False), LNSFormat(16, 10), LNSFormat(32, 20)], ids=str
)
def test_convert(source, fmt, rounding):
    a = every_word(source)
    for source_offset, offset in ((0, 0), (0, -3), (5, 0), (-9, 4), (40, 38), (-100, 100), (100, -100)):
        expected = [ref.convert(x, source, fmt, source_offset, offset, rounding) for x in a.tolist()]
        assert same(kernels.convert(a, source, fmt, source_offset, offset, rounding), expected)


@pytest.mark.parametrize("fmt", [F8, LNSFormat(8, 3, False), LNSFormat(4, 0)], ids=str)
def test_relu_maximum_argmax(fmt):
    every = every_word(fmt)
    assert kernels.relu(every, fmt).tolist() == [ref.relu(x, fmt) for x in every.tolist()]
    assert kernels.relu(every, fmt).dtype == kernels.maximum(every, every, fmt).dtype == fmt.dtype
    a, b = every_pair(fmt)
    pairs = zip(a.tolist(), b.tolist(), strict=True)
    assert kernels.maximum(a, b, fmt).tolist() == [ref.maximum(x, y, fmt) for x, y in pairs]
    rows = np.random.default_rng(1).integers(0, 1 << fmt.bits, (500, 10)).astype(fmt.dtype)
    assert kernels.argmax(rows, fmt).tolist() == [ref.argmax(row, fmt) for row in rows.tolist()]


def test_operands_broadcast_and_may_be_views():
    a = every_word(F8).reshape(16, 16)
    for view in (a.T, a[::-1, ::3], a[:, :1], a[:0]):
        row = view[:1]
        got = kernels.mul(view, row, F8)
        assert got[0].shape == got[1].shape == view.shape
        x, y = np.broadcast_arrays(view, row)
        expected = [ref.mul(int(p), int(q), F8) for p, q in zip(x.ravel(), y.ravel(), strict=True)]
        assert same(got, expected) if expected else got[0].size == 0
        assert kernels.square(view, F8)[0].shape == view.shape


@pytest.mark.parametrize("call", [
    lambda a: kernels.mul(a, a, F8), lambda a: kernels.add(a, a, F8, table(FULL, 3)), lambda a: kernels.sqrt(a, F8),
    lambda a: kernels.convert(a, F8, F8), lambda a: kernels.dot_log(a, a, log_dot("lns<8,3>")),
    lambda a: kernels.dot_linear(a, a, linear_dot("lns<8,3>")),
])  # fmt: skip
def test_words_of_another_dtype_are_refused(call):
    with pytest.raises(TypeError, match=r"words of lns<8,3> must be uint8, got uint16"):
        call(np.zeros((2, 2), np.uint16))


# --- dot products ----------------------------------------------------------------------------------------------------


def compare_dots(a, b, unit, elements=None):
    """Words and events of a matrix product, or of some of its elements, are the definition's. The flags seen."""
    kernel, definition = (
        (kernels.dot_linear, ref.dot_linear) if isinstance(unit, ref.LinearDot) else (kernels.dot_log, ref.dot_log)
    )
    got = kernel(a, b, unit)
    assert got[0].shape == got[1].shape == (a.shape[0], b.shape[1])
    assert got[0].dtype == (np.int64 if definition is ref.dot_linear else unit.acc.dtype) and got[1].dtype == np.uint8
    rows, columns = a.tolist(), b.T.tolist()
    seen = Event(0)
    for m, n in np.ndindex(got[0].shape) if elements is None else elements:
        expected = definition(rows[m], columns[n], unit)
        assert (got[0][m, n], got[1][m, n]) == expected, (m, n)
        seen |= expected[1]
    return seen


@pytest.mark.parametrize(
    "unit",
    [
        linear_dot("lns<8,3>"),
        linear_dot("lns<8,3>", rom_bits=3, guard=2, bits=4, lanes=1),
        linear_dot("lns<8,3>", rom_bits=16, guard=20, bits=60),
        linear_dot("lns<8,3>", "lns<8,6>", rom_bits=12, guard=5, bits=31),
        log_dot("lns<8,3>"),
        log_dot("lns<8,3>", acc="lns<8,3>"),
        log_dot("lns<8,3>", "lns<8,6>", acc="lns<10,6>", offset=3, lanes=1),
        log_dot("lns<8,3>", "lns<8,0>", acc="lns<20,4>", offset=-100, lanes=4, kind="mitchell"),
    ],
)
def test_every_product(unit):
    compare_dots(every_word(unit.a)[:, None], every_word(unit.b)[None, :], unit)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(("acc", "offset"), [("lns<6,2>", 0), ("lns<8,3>", 1), ("lns<10,5>", -9)])
def test_every_step_of_a_log_accumulator(acc, offset, kind):
    """All pairs of products of two lns<6,2>: the accumulator's state, which is the first one, plus the second."""
    unit = log_dot("lns<6,2>", acc=acc, offset=offset, lanes=1, kind=str(kind))
    every = every_word(unit.a)
    a = np.stack(np.meshgrid(every, every), axis=-1).reshape(-1, 2)
    edges = np.array([1, unit.b.max_code, unit.b.bias, unit.b.max_code | unit.b.sign_bit], np.uint8)
    b = np.stack([edges, edges[[1, 1, 2, 0]]])
    compare_dots(a, b, unit)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_state_and_product_of_an_8_bit_log_accumulator(kind):
    unit = log_dot("lns<8,3>", acc="lns<8,3>", lanes=1, kind=str(kind))
    one = np.array([[F8.bias], [F8.bias]], np.uint8)
    seen = compare_dots(np.stack(every_pair(F8), axis=1), one, unit)
    assert seen == Event.ACC_SATURATE | Event.ACC_UNDERFLOW


def test_a_log_accumulator_with_another_table_is_seen():
    unit = log_dot("lns<8,3>", acc="lns<8,3>", lanes=1)
    other = ref.LogDot(F8, F8, F8, 0, planted(unit.table, "db", 36), 1)
    a, one = np.stack(every_pair(F8), axis=1), np.array([[F8.bias], [F8.bias]], np.uint8)
    got, expected = kernels.dot_log(a, one, other), kernels.dot_log(a, one, unit)
    assert (got[0] != expected[0]).any()


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_every_step_of_a_small_linear_accumulator(lanes):
    """All triples of lns<4,1>; the accumulator saturates at both ends."""
    unit = linear_dot("lns<4,1>", rom_bits=3, guard=3, bits=5, lanes=lanes)
    every = every_word(unit.a)
    a = np.stack(np.meshgrid(every, every, every), axis=-1).reshape(-1, 3)
    b = np.array([[7, 4, 15], [7, 7, 7], [7, 6, 3]], np.uint8)
    assert compare_dots(a, b, unit) == Event.ACC_SATURATE
    assert {-16, 15, -1, 1} <= set(kernels.dot_linear(a, b, unit)[0].ravel().tolist())


@pytest.mark.parametrize("lanes", [1, 4, 16])
@pytest.mark.parametrize("bits", [14, 16, 20])
def test_saturating_linear_accumulators(bits, lanes):
    unit, rng = linear_dot("lns<8,3>", bits=bits, lanes=lanes), np.random.default_rng(bits)
    assert unit.safe_length < 333
    compare_dots(words(F8, (5, 333), rng), words(F8, (333, 7), rng), unit)
    a, b = words(F8, (5, 333), rng, extremes=0.9), words(F8, (333, 7), rng, extremes=0.9)
    compare_dots(a, b, unit)
    assert compare_dots(a & F8.max_code, b & F8.max_code, unit) == Event.ACC_SATURATE


@pytest.mark.parametrize(
    ("bits", "lanes"), [(31, 1), (32, 1), (29, 4), (30, 4), (31, 4), (27, 16), (28, 16), (62, 1), (58, 16)]
)
def test_a_full_cycle_on_a_full_accumulator(bits, lanes):
    """The largest terms there are: what the machine's integers must hold before the clamp."""
    unit = linear_dot("lns<8,3>", rom_bits=32, guard=min(bits - 2, 48), bits=bits, lanes=lanes)
    a = np.full((2, 500), F8.max_code, np.uint8)
    a[1] |= F8.sign_bit
    seen = compare_dots(a, a[:1].T, unit)
    assert seen == (Event.ACC_SATURATE if unit.safe_length < 500 else Event(0))


def test_the_safe_length_is_the_border_between_two_loops():
    unit = linear_dot("lns<8,3>")
    for k in (unit.safe_length, unit.safe_length + 1):
        a = np.full((2, k), F8.max_code, np.uint8)
        a[1] |= F8.sign_bit
        assert compare_dots(a, a.T[:, :1], unit) == (Event(0) if k == unit.safe_length else Event.ACC_SATURATE)


LONG = [
    linear_dot("lns<8,3>"),
    linear_dot("lns<16,10>", "lns<13,9>", rom_bits=14, guard=20, bits=40),
    linear_dot("lns<12,6>", rom_bits=10, guard=16, bits=28, lanes=4),
    linear_dot("lns<20,14>", rom_bits=20, guard=24, bits=48, lanes=1),
    linear_dot("lns<8,3>", "lns<16,10>", rom_bits=12, guard=8, bits=12),
    linear_dot("lns<9,5>", "lns<16,10>", rom_bits=14, guard=20, bits=31, lanes=64),
    log_dot("lns<8,3>"),
    log_dot("lns<8,3>", acc="lns<8,3>", lanes=4),
    log_dot("lns<16,10>", "lns<13,9>", acc="lns<16,10>", offset=22),
    log_dot("lns<12,6>", acc="lns<14,7>", offset=4, lanes=1, kind="coarse<4>"),
    log_dot("lns<20,14>", acc="lns<24,14>", lanes=32),
    log_dot("lns<9,5>", "lns<16,10>", acc="lns<17,11>", lanes=2, kind="mitchell"),
    log_dot("lns<8,3>", acc="lns<12,6>", offset=-2, lanes=8, kind="linear<2,6>"),
]


def name_of(unit):
    kind = f"linear{unit.bits}" if isinstance(unit, ref.LinearDot) else f"log-{unit.acc}-{unit.table.kind}"
    return f"{unit.a}-{unit.b}-{kind}-{unit.lanes}"


@pytest.mark.parametrize("unit", LONG, ids=name_of)
class TestLongDotProducts:
    @pytest.mark.parametrize("shape", [(2, 2000, 3), (3, 257, 5), (1, 1000, 1), (5, 63, 17), (7, 1, 3), (2, 0, 3)])
    def test_shapes(self, unit, shape):
        m, k, n = shape
        rng = np.random.default_rng(k)
        compare_dots(words(unit.a, (m, k), rng), words(unit.b, (k, n), rng), unit)
        compare_dots(moderate(unit.a, (m, k), rng), moderate(unit.b, (k, n), rng), unit)

    def test_views(self, unit):
        rng = np.random.default_rng(0)
        a, b = moderate(unit.a, (80, 6), rng), moderate(unit.b, (10, 80), rng)
        compare_dots(a.T, b.T, unit)
        compare_dots(a[::-1, ::2].T, b.T[:, 1::3], unit)
        compare_dots(np.broadcast_to(a[:1], (5, 6)), b[:6, ::-7], unit)

    def test_zeros(self, unit):
        rng = np.random.default_rng(1)
        a, b = words(unit.a, (4, 100), rng, zeros=0.7), words(unit.b, (100, 5), rng, zeros=0.7)
        a[1], b[:, 2] = 0, unit.b.sign_bit
        compare_dots(a, b, unit)
        assert not any(out[1].any() or out[:, 2].any() for out in self.outputs(a, b, unit))

    def test_saturations(self, unit):
        """Nothing but the largest words of one sign, then of both."""
        a = np.full((2, 300), unit.a.max_code, unit.a.dtype)
        b = np.full((300, 2), unit.b.max_code, unit.b.dtype)
        a[1, ::3] |= unit.a.sign_bit
        b[150:, 1] |= unit.b.sign_bit
        compare_dots(a, b, unit)

    @staticmethod
    def outputs(a, b, unit):
        return (kernels.dot_linear if isinstance(unit, ref.LinearDot) else kernels.dot_log)(a, b, unit)


@settings(max_examples=60)
@given(
    st.tuples(st.integers(0, 6), st.integers(0, 40), st.integers(0, 6)),
    st.sampled_from([1, 2, 4, 8, 16, 64]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_any_shape_and_lanes(shape, lanes, linear, seed):
    m, k, n = shape
    unit = linear_dot("lns<8,3>", bits=15, lanes=lanes) if linear else log_dot("lns<8,3>", acc="lns<9,4>", lanes=lanes)
    rng = np.random.default_rng(seed)
    draw = words if seed % 2 else moderate
    compare_dots(draw(unit.a, (m, k), rng), draw(unit.b, (k, n), rng), unit)


@pytest.mark.parametrize("a", ["lns<26,3>", "lns<27,3>", "lns<28,3>", "lns<29,10>", "lns<32,12>", "lns<32,0>"])
@pytest.mark.parametrize("b", ["lns<8,3>", "lns<32,3>"])
@pytest.mark.parametrize("bits", [24, 14])
def test_wide_operands_of_a_linear_accumulator(a, b, bits):
    unit = linear_dot(a, b, bits=bits)
    rng = np.random.default_rng(0)

    def large(fmt, shape):
        top = rng.integers(0, min(fmt.max_code, 7 << fmt.frac_bits), shape)
        code = np.where(rng.random(shape) < 0.8, fmt.max_code - top, rng.integers(0, fmt.max_code, shape))
        return (code | np.where(rng.random(shape) < 0.5, fmt.sign_bit, 0)).astype(fmt.dtype)

    x, y = large(unit.a, (4, 50)), large(unit.b, (50, 5))
    compare_dots(x, y, unit)
    assert kernels.dot_linear(x, y, unit)[0].any()


def test_operands_too_wide_for_a_log_accumulator():
    unit = log_dot("lns<32,3>")
    a = np.zeros((1, 1), np.uint32)
    with pytest.raises(ValueError, match="aligned codes of at most 25 bits"):
        kernels.dot_log(a, a, unit)


@pytest.mark.parametrize("fmt", ["lns<26,0>", "lns<26,8>", "lns<26,14>"])
@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        (-1, Event.ACC_SATURATE),
        (0, Event.ACC_SATURATE | Event.ACC_UNDERFLOW),
        (1, Event.ACC_UNDERFLOW),
    ],
)
def test_the_widest_log_accumulators(fmt, direction, expected):
    """Codes of 25 bits, shifted by as much: no product may be mistaken for the kernel's inner zero."""
    offset = direction << (24 - LNSFormat.parse(fmt).frac_bits)
    unit, rng = log_dot(fmt, acc=fmt, offset=offset, lanes=2), np.random.default_rng(0)
    seen = Event(0)
    for draw in (words, moderate):
        seen |= compare_dots(draw(unit.a, (6, 50), rng), draw(unit.b, (50, 5), rng), unit)
        seen |= compare_dots(draw(unit.a, (30, 1), rng), draw(unit.b, (1, 30), rng), unit)
    assert seen == expected


@pytest.mark.parametrize("acc", [linear_dot("lns<8,3>"), log_dot("lns<8,3>")], ids=["linear", "log"])
@pytest.mark.parametrize("shapes", [((2, 3), (2, 3)), ((3,), (3, 2)), ((1, 2, 3), (3, 2))])
def test_shapes_that_do_not_fit(acc, shapes):
    a, b = (np.zeros(shape, np.uint8) for shape in shapes)
    with pytest.raises(ValueError, match=r"a matrix product needs \(M, K\) and \(K, N\)"):
        (kernels.dot_linear if isinstance(acc, ref.LinearDot) else kernels.dot_log)(a, b, acc)


class Watched:
    """Stands for a compiled loop: notes who runs which turns, and holds a thread's first until all threads have one."""

    def __init__(self, loop, threads):
        self.loop, self.barrier, self.parts = loop, threading.Barrier(threads), {}

    def __call__(self, first, last, *arguments):
        mine = self.parts.setdefault(threading.get_ident(), [])
        mine.append((first, last))
        if len(mine) == 1:
            self.barrier.wait(60)
        self.loop(first, last, *arguments)


PRODUCT_LOOPS = {
    "vector": [
        product_linear._bytes, product_linear._words, product_linear._floats, product_log._products,
        product_factors._masked, product_factors._rounded, product_factors._both,
    ],
    "portable": [product_loops._linear, product_loops._log],
}


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("path", PRODUCT_LOOPS)
@pytest.mark.parametrize(
    "unit",
    [
        linear_dot("lns<8,3>"),
        linear_dot("lns<8,3>", bits=15),
        linear_dot("lns<13,8>", rom_bits=13),
        linear_dot("lns<16,10>", "lns<13,9>", rom_bits=14, guard=20, bits=40),
        linear_dot("lns<16,11>", "lns<8,3>", rom_bits=14),
        log_dot("lns<8,3>"),
        log_dot("lns<16,10>", acc="lns<16,10>", offset=2, lanes=4),
    ],
)
def test_the_number_of_threads_does_not_matter(unit, path, monkeypatch):
    """Every thread takes turns, all turns are taken once, one thread is the caller's own, and the bits are the same."""
    if path == "vector" and isa.VECTOR is None:
        pytest.skip("no vectors here")
    monkeypatch.setenv("LNS_KERNELS", "portable" if path == "portable" else isa.VECTOR)
    rng = np.random.default_rng(0)
    a, b = moderate(unit.a, (131, 129), rng), moderate(unit.b, (129, 127), rng)
    run = kernels.dot_linear if isinstance(unit, ref.LinearDot) else kernels.dot_log
    loops, results = [(threaded, threaded.loop) for threaded in PRODUCT_LOOPS[path]], []
    for threads in (1, 2):
        numba.set_num_threads(threads)
        for threaded, loop in loops:
            monkeypatch.setattr(threaded, "loop", Watched(loop, threads))
            monkeypatch.setattr(threaded, "least", 1 << 18)
        results.append(run(a, b, unit))
        (parts,) = [threaded.loop.parts for threaded, _ in loops if threaded.loop.parts]
        assert len(parts) == threads and threading.get_ident() in parts
        taken = sorted(part for some in parts.values() for part in some)
        firsts, lasts = zip(*taken, strict=True)
        assert firsts == (0, *lasts[:-1]) and all(first < last for first, last in taken)
        assert (len(taken) == 1) == (threads == 1)
    for threaded, loop in loops:
        monkeypatch.setattr(threaded, "loop", loop)
    assert all(np.array_equal(one, two) for one, two in zip(*results, strict=True))
    some = [(int(rng.integers(131)), int(rng.integers(127))) for _ in range(60)]
    compare_dots(a, b, unit, [*some, (0, 0), (130, 126)])


def _meet(first, last, knocks, tries):
    """Turns that knock until all the others have begun, too, or so many times."""
    for i in range(first, last):
        for _ in range(tries):
            knocks[i] += 1
            if knocks.min() > 0:
                break


def knocks(tries):
    """How often each of two turns knocked: on one thread, then on two."""
    meet, out = Threaded(_meet, 1), []
    for threads in (1, 2):
        numba.set_num_threads(threads)
        out.append(np.zeros(2, np.int64))
        meet(1, 2, out[-1], 5 if threads == 1 else tries)
    return out


@pytest.mark.usefixtures("two_threads")
def test_compiled_loops_run_at_the_same_time(tmp_path, monkeypatch):
    """In a process of its own with an empty cache, where the loop is first compiled and run for one thread."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    tries = 1 << 31  # some seconds of waiting
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        alone, together = pool.submit(knocks, tries).result()
    assert alone.tolist() == [5, 1]
    assert together.max() < tries


# --- linear to log ---------------------------------------------------------------------------------------------------


def compare_to_log(values, fmt, index_bits, exponent, offset):
    rom = gausslog.log_rom(fmt.frac_bits, index_bits)
    got = kernels.linear_to_log(values, exponent, rom, index_bits, fmt, offset)
    assert got[0].dtype == fmt.dtype
    assert same(got, [ref.linear_to_log(v, exponent, rom, index_bits, fmt, offset) for v in values.tolist()])


@pytest.mark.parametrize(
    ("fmt", "index_bits", "exponent", "offset"),
    [("lns<8,3>", 7, -12, 0), ("lns<8,3>", 3, 0, 2), ("lns<16,10>", 14, -20, -3), ("lns<4,0>", 0, -8, 0)],
)
def test_every_16_bit_accumulator_to_log(fmt, index_bits, exponent, offset):
    compare_to_log(np.arange(-(1 << 15), 1 << 15), LNSFormat.parse(fmt), index_bits, exponent, offset)


@pytest.mark.parametrize("fmt", ["lns<8,3>", "lns<16,10>", "lns<20,14>", "lns<32,16>"])
def test_large_accumulators_to_log(fmt):
    rng = np.random.default_rng(0)
    values = rng.integers(-(1 << 61), 1 << 61, 3000) >> rng.integers(0, 60, 3000)
    near = 1 << np.arange(62)
    values = np.concatenate([values, near, -near, near - 1, 1 - near, near + 1])
    fmt = LNSFormat.parse(fmt)
    compare_to_log(values, fmt, min(fmt.frac_bits + 4, 16), -30, 1)
    assert kernels.linear_to_log(values[:60].reshape(3, 20).T, 0, gausslog.log_rom(3, 7), 7, F8)[0].shape == (20, 3)


# --- update ----------------------------------------------------------------------------------------------------------


def small_unit(flip, rounding, r=4, kind=FULL):
    moment, rom_bits = LNSFormat(9, 4, signed=False), 6
    return ref.UpdateUnit(
        LNSFormat(6, 3),
        LNSFormat(6, 2),
        moment,
        table(kind, 4),
        gausslog.antilog_rom(4, rom_bits),
        rom_bits,
        r,
        rounding,
        flip,
    )


def compare_update(w, g, v, unit, constants, bits):
    """New weights, moments and both events; the flags seen."""
    new_w, new_v = w.copy(), v.copy()
    events = kernels.update(new_w, g, new_v, unit, constants, bits)
    inputs = zip(w.ravel().tolist(), g.ravel().tolist(), v.ravel().tolist(), bits.tolist(), strict=True)
    expected = [ref.update(*x, unit, constants, R) for *x, R in inputs]
    assert same((new_w, new_v, *events), expected)
    return Event(int(np.bitwise_or.reduce(events[0].ravel(), initial=0)))


UPDATE_EVENTS = Event.CLIP | Event.SATURATE | Event.UNDERFLOW


@pytest.mark.parametrize("flip", [False, True], ids=["clamp", "flip"])
@pytest.mark.parametrize("rounding", [Rounding.NEAREST, Rounding.STOCHASTIC])
@pytest.mark.parametrize("kind", [FULL, TableKind("mitchell")], ids=str)
def test_every_weight_and_gradient(flip, rounding, kind):
    seen = Event(0)
    for r in (1, 4) if rounding is Rounding.STOCHASTIC else (0, 3):
        unit = small_unit(flip, rounding, r, kind)
        weights = every_word(unit.weight)
        weights = weights[(weights & unit.weight.max_code) > 0]
        w, g, v = (
            x.ravel()
            for x in np.meshgrid(weights, every_word(unit.gradient), np.array([0, 1, 200, 256, 300, 511], np.uint16))
        )
        bits = np.random.default_rng(r).integers(0, 1 << r, w.size).astype(np.uint32)
        for constants in (ref.UpdateConstants(-3, -40, 40, 53, 3), ref.UpdateConstants(61, -90, -5, 12, 60)):
            seen |= compare_update(w, g, v, unit, constants, bits)
    assert seen == UPDATE_EVENTS


def test_ties_of_the_step_go_to_even():
    """With one bit below the point, half steps occur; they are rounded down to even ones and up to even ones."""
    unit, constants = small_unit(False, Rounding.NEAREST, 1), ref.UpdateConstants(0, -500, 0, 10_000, 0)
    steps = set()
    for g in range(1, unit.gradient.max_code + 1):
        w, v = np.array([16], np.uint8), np.array([256], np.uint16)
        compare_update(w, np.array([g], np.uint8), v, unit, constants, np.zeros(1, np.uint32))
        kernels.update(w, np.array([g], np.uint8), v, unit, constants)
        steps.add(16 - int(w[0]))
    assert {0, 1, 2, 3} <= steps


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.parametrize("rounding", [Rounding.NEAREST, Rounding.STOCHASTIC])
@pytest.mark.parametrize("rule", ["clamp", "flip"])
def test_updates_of_presets(name, rounding, rule):
    design = load(name).override({"update.rounding": rounding.value, "update.sign_rule": rule})
    units, rng, seen = Units(design), np.random.default_rng(0), Event(0)
    unit = units.update
    states = kernels.lfsr_seeds(1, design.update.lanes)
    for t, offset, before in ((1, 0, 0), (2, -3, 1), (100, 4, 4), (10**5, -8, -7)):
        w = np.where(rng.random((30, 41)) < 0.5, unit.weight.sign_bit, 0) | rng.integers(
            1, unit.weight.max_code + 1, (30, 41)
        )
        g, v = words(unit.gradient, w.shape, rng), words(unit.moment, w.shape, rng)
        v[::2] = (unit.moment.bias + rng.integers(-9000, 9000, v[::2].shape)).astype(v.dtype)
        bits = kernels.draws(states, w.size, unit.step_frac_bits)
        constants = units.update_constants(t, offset, before)
        seen |= compare_update(w.astype(unit.weight.dtype), g, v, unit, constants, bits)
    assert seen == UPDATE_EVENTS


def test_nearest_needs_no_random_bits():
    unit, constants = small_unit(False, Rounding.NEAREST), ref.UpdateConstants(-3, -40, 40, 53, 3)
    w, g = every_pair(LNSFormat(6, 2))
    w, g = w[w & 31 > 0].copy(), g[w & 31 > 0].copy()
    with_bits, without = w.copy(), w.copy()
    kernels.update(with_bits, g, np.full(w.size, 250, np.uint16), unit, constants, np.full(w.size, 15, np.uint32))
    kernels.update(without, g, np.full(w.size, 250, np.uint16), unit, constants)
    assert np.array_equal(with_bits, without) and not np.array_equal(w, without)


def test_updates_that_cannot_be():
    constants = ref.UpdateConstants(-3, -40, 40, 53, 3)
    w, v = np.ones((2, 3), np.uint8), np.ones((2, 3), np.uint16)
    stochastic, nearest = small_unit(False, Rounding.STOCHASTIC), small_unit(False, Rounding.NEAREST)
    for bits in (None, np.zeros(5, np.uint32)):
        with pytest.raises(ValueError, match="one random word for each of the 6 elements"):
            kernels.update(w, w.copy(), v, stochastic, constants, bits)
    for bad in (w.astype(np.uint16), w[:, :2], np.ones((3, 2), np.uint8).T):
        with pytest.raises(ValueError, match="w, g, v must be C-contiguous"):
            kernels.update(w, bad, v, nearest, constants)


# --- random bits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [1, 2, 16])
@pytest.mark.parametrize("r", range(1, 33))
def test_draws(lanes, r):
    states = kernels.lfsr_seeds(12345, lanes)
    expected = [ref.lfsr_seed(12345, lane) for lane in range(lanes)]
    assert states.tolist() == expected and states.dtype == np.uint32
    for count in (1, 37, 0, 16, 5):  # lanes stand where the tensor before left them
        values = []
        for element in range(lanes * -(-count // lanes)):
            expected[element % lanes], R = ref.lfsr_draw(expected[element % lanes], r)
            values.append(R)
        got = kernels.draws(states, count, r)
        assert got.dtype == np.uint32 and got.tolist() == values[:count]
        assert states.tolist() == expected


def test_seeds():
    assert np.unique(kernels.lfsr_seeds(0, 4096)).size == 4096
    assert not np.array_equal(kernels.lfsr_seeds(0, 16), kernels.lfsr_seeds(1, 16))
    assert kernels.lfsr_seeds(2**32 - 1, 2).tolist() == [ref.lfsr_seed(2**32 - 1, lane) for lane in (0, 1)]
    for seed in (-1, 2**32):
        with pytest.raises(ValueError, match="a seed must be between 0 and"):
            kernels.lfsr_seeds(seed, 16)


# --- loss ------------------------------------------------------------------------------------------------------------


def compare_loss(logits, targets, z_offset, e_offset, unit):
    errors, events, losses = kernels.loss(logits, targets, z_offset, e_offset, unit)
    assert errors.dtype == unit.error.dtype and events.dtype == np.uint8 and losses.dtype == np.int64
    for row, target, *got in zip(logits.tolist(), targets.tolist(), errors, events, losses, strict=True):
        expected = ref.loss(row, target, z_offset, e_offset, unit)
        assert (got[0].tolist(), got[1].tolist(), int(got[2])) == expected
    return Event(int(np.bitwise_or.reduce(events.ravel(), initial=0)))


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("name", preset_names())
def test_loss(name, kind):
    design = load(name).override({"loss.table": str(kind)})
    unit, rng, seen = Units(design).loss, random.Random(0), Event(0)
    for classes in (1, 2, 10):
        for z_offset, e_offset in ((0, 0), (-4, -8), (30, -3), (-40, 2)):
            logits = words(unit.logit, (20, classes), np.random.default_rng(classes))
            targets = np.array([rng.randrange(classes) for _ in range(20)])
            seen |= compare_loss(logits, targets, z_offset, e_offset, unit)
    assert Event.ACC_SATURATE | Event.UNDERFLOW in seen


@pytest.mark.parametrize("loss_format", ["ulns<8,4>", "ulns<24,12>", "ulns<3,1>"])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_logit(loss_format, rounding):
    """All lns<8,3> logits against a few others, in narrow and wide loss formats."""
    values = {"loss.format": loss_format, "conversion.rounding": rounding.value, "loss.antilog_bits": 9}
    unit = Units(load("madam8").override(values)).loss
    every = every_word(F8)
    for other in (0, F8.bias, F8.bias + 5, F8.bias | F8.sign_bit, F8.max_code):
        logits = np.stack([every, np.full_like(every, other)], axis=1)
        for target in (0, 1):
            compare_loss(logits, np.full(256, target), -1, -6, unit)


@pytest.mark.parametrize("targets", [[0, 3], [-1, 0], [0], [[0], [1]]])
def test_targets_that_do_not_exist(targets):
    with pytest.raises(ValueError, match=r"logits \(2, 3\) need one target class each, below 3"):
        kernels.loss(np.zeros((2, 3), np.uint8), np.array(targets), 0, 0, Units(load("madam8")).loss)
