"""LNSArray beside NumPy's own arrays: shapes, indices, views, protocols, files; and what docs/array.md says."""

import copy
import doctest
import math
import pickle
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import lns
import lns.array.limits
import lns.array.lnsarray
from lns import Arithmetic, LinearAccumulator, LNSArray, LNSFormat, LogAccumulator, Rounding
from lns.array.functions import UNITS, WITHOUT_EVENTS, supported_names

F8, F16 = LNSFormat(8, 3), LNSFormat(16, 10)
DOWN = Arithmetic("mitchell", LinearAccumulator(4, 8, 12, 24), Rounding.DOWN)
LOG = Arithmetic("coarse<2>", LogAccumulator(4, F16, 2))


def array(shape, fmt=F8, offset=2, arithmetic=DOWN, seed=0):
    words = np.random.default_rng(seed).integers(0, 1 << fmt.bits, shape)
    return LNSArray.from_bits(words, fmt, offset, arithmetic)


def same(x, y):
    """Equal in every word, with and without meaning, and in all else that an array holds."""
    attributes = ("format", "offset", "arithmetic", "shape")
    return x.bits.tolist() == y.bits.tolist() and all(getattr(x, name) == getattr(y, name) for name in attributes)


def agrees(x, numbers, like):
    """Whether an array has these values, and all else like another one."""
    return (
        isinstance(x, LNSArray) and np.array_equal(np.asarray(x), numbers)
        and (x.format, x.offset, x.arithmetic) == (like.format, like.offset, like.arithmetic)
    )  # fmt: skip


SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)

# --- indices, views, shapes ------------------------------------------------------------------------------------------


@given(st.data())
def test_basic_indices(data):
    x = array(data.draw(SHAPES))
    key = data.draw(hnp.basic_indices(x.shape, allow_newaxis=True))
    assert agrees(x[key], np.asarray(x)[key], x)
    bits = x._bits
    if isinstance(bits[key], np.ndarray):  # an element is a copy, a slice a view, as in NumPy
        assert np.shares_memory(x[key]._bits, bits) == np.shares_memory(bits[key], bits)


@given(st.data())
def test_arrays_as_indices(data):
    x = array(data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4)))
    numbers = np.asarray(x)
    index = data.draw(hnp.integer_array_indices(x.shape))
    assert agrees(x[index], numbers[index], x)
    mask = data.draw(hnp.arrays(bool, x.shape))
    assert agrees(x[mask], numbers[mask], x)
    assert agrees(np.where(mask, x, -x), np.where(mask, numbers, -numbers), x)
    x[mask] = 0
    assert agrees(x, np.where(mask, 0, numbers), x)


@given(st.data())
def test_assignment(data):
    shapes = hnp.array_shapes(min_dims=1, max_dims=3, max_side=4)
    x = array(data.draw(shapes))
    numbers = np.asarray(x)
    key = data.draw(hnp.basic_indices(x.shape))
    value = array(np.shape(numbers[key]), seed=1)
    x[key], numbers[key] = value, np.asarray(value)
    assert agrees(x, numbers, x)
    x[key], numbers[key] = 2.0, 2.0
    assert agrees(x, numbers, x)
    view = x.reshape(-1)
    view[0] = -4
    assert x.tolist() == np.asarray(view).reshape(x.shape).tolist() and x.reshape(-1)[0] == -4


@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3))
def test_broadcasting(shapes):
    a, b = (array(shape, seed=i) for i, shape in enumerate(shapes.input_shapes))
    wide_a, wide_b = (np.broadcast_to(x, shapes.result_shape) for x in (a, b))
    for function in (np.add, np.multiply, np.maximum, np.minimum):
        assert same(function(a, b), function(wide_a.copy(), wide_b.copy()))
        assert function(a, b).shape == shapes.result_shape
    assert (a < b).tolist() == np.less(np.asarray(a), np.asarray(b)).tolist()
    assert np.where(a == b, a, b).shape == shapes.result_shape


MOVES = {
    "broadcast_to": lambda x: np.broadcast_to(x, (2, *x.shape)),
    "copy": np.copy,
    "diagonal": lambda x: np.diagonal(x, 1),
    "expand_dims": lambda x: np.expand_dims(x, (0, 2)),
    "flip": lambda x: np.flip(x, 1),
    "matrix_transpose": lambda x: np.matrix_transpose(x),
    "moveaxis": lambda x: np.moveaxis(x, 0, -1),
    "ravel": lambda x: np.ravel(x, order="F"),
    "repeat": lambda x: np.repeat(x, [1, 2, 0], axis=0),
    "reshape": lambda x: np.reshape(x, (4, -1)),
    "roll": lambda x: np.roll(x, 2, axis=(0, 1)),
    "squeeze": lambda x: np.squeeze(x[:1], axis=0),
    "swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "take": lambda x: np.take(x, [2, 0], axis=1),
    "tile": lambda x: np.tile(x, (2, 1, 1)),
    "transpose": lambda x: np.transpose(x, (2, 0, 1)),
    "concatenate": lambda x: np.concatenate([x, x[:1]], axis=0),
    "stack": lambda x: np.stack([x, x], axis=1),
    ".T": lambda x: x.T,
    ".reshape": lambda x: x.reshape(2, -1),
    ".transpose": lambda x: x.transpose(1, 0, 2),
    ".ravel": lambda x: x.ravel(),
    ".copy": lambda x: x.copy(),
    "zeros_like": np.zeros_like,
    "ones_like": np.ones_like,
    "full_like": lambda x: np.full_like(x, 8),
}


@pytest.mark.parametrize("name", MOVES)
def test_moving_words(name):
    x = array((3, 4, 2), F16)
    assert agrees(MOVES[name](x), MOVES[name](np.asarray(x)), x)
    assert np.shares_memory(MOVES[name](x)._bits, x._bits) == np.shares_memory(MOVES[name](x._bits), x._bits)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1, 2])
@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
def test_largest_and_smallest(name, axis, keepdims):
    x = array((3, 4, 5), LNSFormat(4, 1))  # with ties
    expected = getattr(np, name)(np.asarray(x), axis=axis, keepdims=keepdims)
    for got in (getattr(np, name)(x, axis=axis, keepdims=keepdims), getattr(x, name)(axis, keepdims)):
        if name in ("max", "min"):
            assert agrees(got, expected, x)
            assert not np.any((got.bits != 0) & ((got.bits & x.format.max_code) == 0))  # canonical
        else:
            assert np.array_equal(got, expected)
    if name in ("max", "min"):
        assert agrees(getattr(x, name)((0, 2)), getattr(np, name)(np.asarray(x), axis=(0, 2)), x)


@pytest.mark.parametrize(
    ("a", "b"),
    [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((5, 1, 2, 3), (6, 3, 4)),
     ((3,), (6, 3, 4)), ((5, 2, 3), (5, 3, 4)), ((0, 3), (3, 2)), ((2, 0, 3), (3, 2))],
)  # fmt: skip
def test_shapes_of_products(a, b):
    x, y = array(a, arithmetic=LOG), array(b, arithmetic=LOG, seed=1)
    for function in (np.matmul, np.dot):
        try:
            shape = function(np.zeros(a), np.zeros(b)).shape
        except ValueError:
            continue
        got = function(x, y)
        assert got.shape == shape
        # NumPy itself says which row meets which column
        rows = np.vectorize(lambda row, column: (row @ column).bits.item(), otypes=[int], signature="(),()->()")
        each = np.empty(len(x.reshape(-1, 3)), object), np.empty(y.size // 3, object)
        if got.size:
            each[0][:] = list(x.reshape(-1, 3))
            columns = np.moveaxis(y._bits, -2 if y.ndim > 1 else 0, -1).reshape(-1, 3)
            each[1][:] = [y._like(column) for column in columns]
            left, right = np.arange(len(each[0])), np.arange(len(each[1]))
            left = left.reshape(*a[:-1], 1) if len(a) > 1 else left.reshape(1, 1)
            right = right.reshape(*b[:-2], 1, b[-1]) if len(b) > 1 else right.reshape(1, 1)
            if function is np.dot and len(b) > 2:
                left = left.reshape(*a[:-1], *(1,) * (len(b) - 1))
                right = right.reshape(b[:-2] + b[-1:])
            words = rows(each[0][left], each[1][right])
            assert got.bits.ravel().tolist() == words.ravel().tolist()
    assert same(x.dot(y), np.dot(x, y))
    assert same(x.dot(2), x * 2)


@pytest.mark.parametrize(("a", "b"), [((2, 3), (2, 3)), ((3,), (2,)), ((), (3,)), ((2, 2, 3), (3, 3, 2))])
def test_products_that_do_not_fit(a, b):
    with pytest.raises(ValueError, match=r"matrix product|broadcast"):
        array(a) @ array(b)


# --- NumPy's protocols -----------------------------------------------------------------------------------------------

ALL_UFUNCS = sorted({f for f in vars(np).values() if isinstance(f, np.ufunc)}, key=lambda f: f.__name__)


@pytest.mark.parametrize("ufunc", [f for f in ALL_UFUNCS if f not in UNITS and f not in WITHOUT_EVENTS], ids=str)
def test_unsupported_ufuncs_are_named(ufunc):
    x = array((3, 3))
    with pytest.raises(TypeError, match=rf"^numpy\.{ufunc.__name__} does not take LNSArrays: no unit computes it"):
        ufunc(*[x] * ufunc.nin)


@pytest.mark.parametrize("method", ["reduce", "accumulate", "outer", "at", "reduceat"])
def test_methods_of_ufuncs_are_named(method):
    x = array(3)
    rest = {"outer": (x,), "at": ([0], x), "reduceat": ([0],)}.get(method, ())
    with pytest.raises(TypeError, match=rf"^numpy\.add\.{method} does not take LNSArrays"):
        getattr(np.add, method)(x, *rest)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("numpy.mean", np.mean),
        ("numpy.linalg.norm", np.linalg.norm),
        ("numpy.sort", np.sort),
        ("numpy.fft.fft", np.fft.fft),
        ("numpy.remainder", lambda x: x % 2),
        ("numpy.bitwise_and", lambda x: x & x),
    ],
)
def test_unsupported_functions_are_named(name, call):
    with pytest.raises(TypeError, match=rf"^{re.escape(name)} does not take LNSArrays"):
        call(array(3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: np.add(x, x, where=[True]), "numpy.add of LNSArrays takes no where"),
        (lambda x: np.sum(x, where=[True]), "numpy.sum of LNSArrays: got an unexpected keyword argument 'where'"),
        (lambda x: x + np.ones(3), "an operand must be an LNSArray or a real number, got ndarray"),
        (lambda x: np.ones(3) * x, "an operand must be an LNSArray or a real number, got ndarray"),
        (lambda x: np.add(x, [1, 2, 3]), "an operand must be an LNSArray or a real number, got list"),
        (lambda x: x == "one", "an operand must be an LNSArray or a real number, got str"),
        (lambda x: x * 1j, "an operand must be an LNSArray or a real number, got complex"),
        (lambda x: x @ np.ones(3), "needs two LNSArrays, got LNSArray and ndarray"),
        (lambda x: 2**x, "an exponent that is one number"),
        (lambda x: x**x, "an exponent that is one number"),
        (lambda x: np.concatenate([x, np.ones(3)]), "joins LNSArrays alone, got ndarray"),
        (lambda x: np.where(x, x, x), "an array of bools, got LNSArray"),
        (lambda x: np.tile(np.arange(3), x), "needs an LNSArray first, got ndarray"),
        (lambda x: np.add(x, x, out=np.zeros(3)), "out must be of the result's type, LNSArray, got ndarray"),
        (lambda x: np.less(x, x, out=x), "out must be of the result's type, ndarray, got LNSArray"),
        (lambda x: x.astype(np.float32), "a format is an LNSFormat or its name"),
        (lambda x: iter(x[0]), "iteration over an array of no dimensions"),
        (lambda x: hash(x), "unhashable"),
        (lambda x: LNSArray(x.bits, F8), "made by LNSArray.from_float"),
    ],
)
def test_wrong_types(call, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        call(array(3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: x**-1, "an exponent must be 0.5 or a whole number from 0, got -1"),
        (lambda x: x**1.5, "an exponent must be 0.5 or a whole number from 0, got 1.5"),
        (lambda x: x**math.inf, "an exponent must be 0.5 or a whole number from 0, got inf"),
        (lambda x: bool(x), "the truth value of an array of 3 elements is ambiguous"),
        (lambda x: bool(x[:0]), "the truth value of an array of 0 elements is ambiguous"),
        (lambda x: float(x), "size 1"),
        (lambda x: np.asarray(x, copy=False), "is always a copy"),
        (lambda x: x.__setitem__(0, math.nan), "NaN"),
        (lambda x: x.__setitem__(0, x), "setting an array element|broadcast"),
        (lambda x: x.bits.__setitem__(0, 1), "read-only"),
        (lambda x: np.broadcast_to(x, (2, 3)).__setitem__(0, 1), "read-only"),
        (lambda x: LNSArray.from_bits([256], F8), r"words of lns<8,3> are integers from 0 to 2\*\*8 - 1, got 256"),
        (lambda x: LNSArray.from_bits([-1], F8), "got -1 to -1"),
        (lambda x: LNSArray.from_bits([1.0], F8), "got float64"),
        (lambda x: LNSArray.from_bits([1], "float32"), "a format is written lns<bits,frac_bits>"),
        (lambda x: LNSArray.from_float([-1.0], "ulns<8,3>"), "has no sign"),
        (lambda x: x.__iadd__(np.broadcast_to(x, (2, 3))), "broadcast"),
        (lambda x: x.__imul__(x), "one offset, got 2 and 4"),
    ],
)
def test_wrong_values(call, message):
    with pytest.raises(ValueError, match=message):
        call(array(3))


def test_other_libraries_arrays_may_take_over():
    class Other:
        def __array_ufunc__(self, *args, **kwargs):
            return "theirs"

        def __array_function__(self, *args, **kwargs):
            return "theirs"

    assert array(3) + Other() == "theirs" and np.concatenate([array(3), Other()]) == "theirs"


def test_in_place_and_out():
    x = array(5, offset=0)
    y, view = array(5, offset=0, seed=1), x[:3]
    expected = x + y
    kept = x
    x += y
    assert x is kept and same(x, expected) and same(view, expected[:3])
    x *= 2
    assert same(x, expected * 2)
    x[1:] = x[:-1]
    assert x.bits.tolist()[1:] == (expected * 2).bits.tolist()[:-1]
    out = np.zeros_like(x)
    assert np.subtract(x, y, out=out) is out and same(out, x - y)
    assert np.matmul(x, y, out=out[0]) is not None and np.sqrt(abs(x), out=out) is out
    flags = np.zeros(5, bool)
    assert np.less(x, y, out=flags) is flags and flags.tolist() == (x < y).tolist()
    wide = np.zeros_like(array((2, 5), offset=0))
    assert same(np.add(x, y, out=wide)[1], x + y)


def test_what_numbers_and_lists_can_do():
    x = LNSArray.from_float([1.0, -2.0, 0.0], F8)
    assert (len(x), x.shape, x.ndim, x.size, x.nbytes) == (3, (3,), 1, 3, 3)
    assert (np.shape(x), np.ndim(x), np.size(x)) == ((3,), 1, 3) and array(3, F16).nbytes == 6
    assert [float(e) for e in x] == x.tolist() == [1.0, -2.0, 0.0] and x[1].item() == -2.0
    assert [bool(e) for e in x] == [True, True, False] and -2.0 in x and 3 not in x
    assert not bool(LNSArray.from_bits([128], F8))  # a zero with a sign
    assert np.array_equal(x, x.copy()) and not np.array_equal(x, x[:2]) and not np.array_equal(x, -x)
    assert np.asarray(x).dtype == float and np.array(x, dtype=np.float16).dtype == np.float16
    assert str(x) == "[ 1. -2.  0.] lns<8,3>" and str(x.at_offset(-1)[0]) == "1.0 lns<8,3> offset -1"


def test_with_arithmetic_is_a_view():
    x = array(3)
    y = x.with_arithmetic(Arithmetic())
    y[0] = 1
    assert x[0] == 1 and y.arithmetic == Arithmetic() and x.arithmetic == DOWN


def test_words_are_not_shared_with_what_they_were_made_of():
    words = np.array([1, 2], np.uint8)
    x = LNSArray.from_bits(words, F8)
    words[0] = 9
    assert x.bits.tolist() == [1, 2]


# --- text, pickles, files --------------------------------------------------------------------------------------------

ARRAYS = [
    array(()), array(0), array((2, 0, 3)), array((3, 4), F16, -7, LOG), array((2, 2, 40), LNSFormat(32, 30)),
    array(4, LNSFormat(9, 2, signed=False), 0, Arithmetic()),
]  # fmt: skip


@pytest.mark.parametrize("x", ARRAYS, ids=lambda x: f"{x.format}{x.shape}")
def test_repr_pickle_and_files(x, tmp_path):
    assert same(eval(repr(x), vars(lns)), x)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert same(pickle.loads(pickle.dumps(x, protocol)), x)
    x.save(tmp_path / "x")
    assert same(LNSArray.load(tmp_path / "x"), x) and [path.name for path in tmp_path.iterdir()] == ["x"]
    for clone in (copy.copy(x), copy.deepcopy(x), LNSArray.load(tmp_path / "x"), pickle.loads(pickle.dumps(x))):
        assert same(clone, x) and not np.shares_memory(clone._bits, x._bits)
        clone[...] = 0


def damaged(path, **changes):
    with np.load(path) as stored:
        np.savez(path, **{name: value for name, value in ({**stored} | changes).items() if value is not None})


def replaced(path, single):
    with path.open("wb") as file:
        np.save(file, single, allow_pickle=True)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p.write_bytes(b""), ""),
        (lambda p: p.write_bytes(b"not an archive"), ""),
        (lambda p: p.write_bytes(p.read_bytes()[:-40]), ""),
        (lambda p: replaced(p, np.zeros(3)), "it holds a single array"),
        (lambda p: replaced(p, np.array([{}])), "pickle"),
        (lambda p: damaged(p, version=np.array(2)), "it is of version 2, and 1 is read"),
        (lambda p: damaged(p, bits=None), "bits"),
        (lambda p: damaged(p, bits=np.array([{}], object)), "pickle"),
        (lambda p: damaged(p, bits=np.array([1.0])), "words of lns<8,3> are uint8, not float64"),
        (lambda p: damaged(p, format=np.array("float32")), "a format is written"),
        (lambda p: damaged(p, bits=np.array([64], np.uint8), format=np.array("lns<6,2>")), "words of lns<6,2> are int"),
        (lambda p: damaged(p, offset=np.array(1 << 40)), "a whole number of octaves"),
        (lambda p: damaged(p, arithmetic=np.array("{}")), "accumulator"),
        (
            lambda p: damaged(p, arithmetic=np.array('{"table": "best", "accumulator": null, "rounding": "down"}')),
            "best",
        ),
    ],
)
def test_wrong_files(damage, message, tmp_path):
    path = tmp_path / "x.npz"
    array(3).save(path)
    damage(path)
    with pytest.raises(ValueError, match=rf"x\.npz: not a file of LNSArray\.save: .*{message}"):
        LNSArray.load(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        LNSArray.load(tmp_path / "none")


# --- limits of formats -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0, 3, -20])
@pytest.mark.parametrize("name", ["lns<8,3>", "lns<2,0>", "lns<16,10>", "ulns<17,11>", "lns<32,22>"])
def test_finfo(name, offset):
    fmt, info = LNSFormat.parse(name), lns.finfo(name, offset)
    words = LNSArray.from_bits([fmt.max_code, 1, min(2, fmt.max_code), fmt.sign_bit | fmt.max_code], fmt, offset)
    largest, smallest, second, lowest = words.tolist()
    assert (info.max, info.smallest, info.tiny) == (largest, smallest, smallest)
    assert info.min == (lowest if fmt.signed else 0.0)
    assert (math.log2(info.max), math.log2(info.smallest)) == pytest.approx((info.max_exponent, info.min_exponent))
    assert info.ratio == 1 + info.eps and (fmt.max_code == 1 or second / smallest == pytest.approx(info.ratio, 1e-12))
    assert info.decades == pytest.approx(math.log10(largest / smallest), abs=1e-12)
    assert info.dynamic_range_db == 20 * info.decades and (info.bits, info.frac_bits) == (fmt.bits, fmt.frac_bits)
    assert info.one_is_representable == (LNSArray.from_float(1.0, fmt, offset).item() == 1.0)
    assert name in str(info) and f"offset {offset}" in str(info)
    assert info == lns.finfo(fmt, offset) and hash(info) == hash(lns.finfo(fmt, offset))


def test_finfo_beyond_floats():
    info = lns.finfo("lns<32,3>")
    assert info.max == math.inf and info.smallest == 0.0 and info.max_exponent == 2**27 - 0.125


# --- documents -------------------------------------------------------------------------------------------------------


def test_the_documented_list_is_the_list(root):
    text = (root / "docs" / "array.md").read_text("utf-8")
    section = text.split("## Functions that take LNSArrays")[1].split("\n## ")[0]
    named = re.findall(r"`(numpy\.\w+)`", section)
    assert sorted(named) == supported_names() and len(named) == len(set(named))


def test_documented_examples(root):
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    text = "\n".join(re.findall(r"```python\n(.*?)```", (root / "docs" / "array.md").read_text("utf-8"), re.DOTALL))
    examples = doctest.DocTestParser().get_doctest(text, {}, "array.md", None, 0)
    assert len(examples.examples) > 10
    runner.run(examples)
    for module in (lns.array.arithmetic, lns.array.limits, lns.array.lnsarray):
        for test in doctest.DocTestFinder().find(module):
            runner.run(test)
    assert runner.tries > 20 and runner.failures == 0
