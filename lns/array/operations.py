"""The units on arrays: what each does with formats and offsets. Those that raise events return (array, flags)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
from numpy.lib.array_utils import normalize_axis_tuple

from lns import kernels, reference
from lns.array.accumulate import ONE, ONE_WORD, dot
from lns.array.words import WordArray, as_format, checked_offset
from lns.format import LNSFormat
from lns.gausslog import Table
from lns.kernels.elementwise import Events, Words, order_key

X = TypeVar("X", bound=WordArray)
Axis = int | Sequence[int] | None
Bools = npt.NDArray[np.bool_]

# --- operands --------------------------------------------------------------------------------------------------------


def is_number(value: object) -> bool:
    """Whether it is a real number that an array may meet as an operand."""
    if isinstance(value, np.ndarray):
        return value.ndim == 0 and value.dtype.kind in "iuf"
    return isinstance(value, (int, float, np.integer, np.floating))


def word_of(number: Any, like: WordArray, offset: int) -> Words:
    """The word of a number, in the format and with the rounding of an array; of shape ().

    Raises
    ------
    ValueError
        If the number is out of range, or none.
    """
    number = number.item() if isinstance(number, (np.ndarray, np.generic)) else number
    if not (isinstance(number, int) or math.isfinite(number)):
        raise ValueError(f"an operand must be a finite number, got {number}")
    fmt = like.format
    word, event = reference.encode(Fraction(*number.as_integer_ratio()), fmt, offset, like.arithmetic.rounding)
    if event:
        raise ValueError(
            f"{number} has no word in {fmt} at offset {offset} ({event.name}); encode it with LNSArray.from_float"
        )
    return np.array(word, fmt.dtype)


def operands(x: Any, y: Any, number_offset: int | None = None) -> tuple[WordArray, WordArray]:
    """Both as arrays of one format and arithmetic, at least one of them given as an array.

    A number becomes a word at ``number_offset``, by default the array's.

    Raises
    ------
    TypeError, ValueError
        If one is neither array nor number, a number is out of range, or formats or arithmetics differ.
    """
    array = x if isinstance(x, WordArray) else y

    def lifted(value: Any) -> WordArray:
        if isinstance(value, WordArray):
            return value
        if not is_number(value):
            raise TypeError(
                f"an operand must be an LNSArray or a real number, got {type(value).__name__}; "
                "LNSArray.from_float encodes arrays"
            )
        offset = array.offset if number_offset is None else number_offset
        return array._like(word_of(value, array, offset), offset)

    x, y = lifted(x), lifted(y)
    same_format(x, y)
    same_arithmetic(x, y)
    return x, y


def same_format(x: WordArray, y: WordArray) -> None:
    if x.format != y.format:
        raise ValueError(f"operands must have one format, got {x.format} and {y.format}; convert with astype()")


def same_offset(x: WordArray, y: WordArray) -> None:
    if x.offset != y.offset:
        raise ValueError(f"operands must have one offset, got {x.offset} and {y.offset}; convert with at_offset()")


def same_arithmetic(x: WordArray, y: WordArray) -> None:
    if x.arithmetic != y.arithmetic:
        raise ValueError(
            f"operands must have one arithmetic, got {x.arithmetic} and {y.arithmetic}; choose with with_arithmetic()"
        )


def aligned(x: Any, y: Any) -> tuple[WordArray, WordArray]:
    """`operands` that also have one offset."""
    x, y = operands(x, y)
    same_offset(x, y)
    return x, y


# --- units with events -----------------------------------------------------------------------------------------------


def _adder(x: WordArray) -> Table:
    return x.arithmetic.adder(x.format)


def add(x: Any, y: Any) -> tuple[WordArray, Events]:
    x, y = aligned(x, y)
    words, events = kernels.add(x._bits, y._bits, x.format, _adder(x))
    return x._like(words), events


def subtract(x: Any, y: Any) -> tuple[WordArray, Events]:
    x, y = aligned(x, y)
    return add(x, negative(y))


def multiply(x: Any, y: Any) -> tuple[WordArray, Events]:
    x, y = operands(x, y, 0)
    words, events = kernels.mul(x._bits, y._bits, x.format)
    return x._like(words, x.offset + y.offset), events


def divide(x: Any, y: Any) -> tuple[WordArray, Events]:
    x, y = operands(x, y, 0)
    words, events = kernels.div(x._bits, y._bits, x.format)
    return x._like(words, x.offset - y.offset), events


def square(x: X) -> tuple[X, Events]:
    words, events = kernels.square(x._bits, x.format)
    return x._like(words, 2 * x.offset), events


def sqrt(x: X) -> tuple[X, Events]:
    if x.offset % 2:
        raise ValueError(f"sqrt needs an even offset, got {x.offset}; convert with at_offset()")
    words, events = kernels.sqrt(x._bits, x.format)
    return x._like(words, x.offset // 2), events


def power(x: Any, exponent: Any) -> tuple[WordArray, Events]:
    """x·x·…·x by squaring, for whole exponents from 0; the square root for 0.5.

    The magnitudes of x, x², x³, … rise or fall all the way, so one of them is out of range only if all later ones are:
    any order of multiplications gives the same words and flags.
    """
    if not (isinstance(x, WordArray) and is_number(exponent)):
        raise TypeError("a power needs an LNSArray and an exponent that is one number")
    if exponent == 0.5:
        return sqrt(x)
    if not (exponent >= 0 and exponent == exponent // 1):
        raise ValueError(f"an exponent must be 0.5 or a whole number from 0, got {exponent}")
    n = int(exponent)
    out = ones(x) if n == 0 else x._like(x._bits.copy())
    events = np.zeros(x.shape, np.uint8)
    for bit in f"{n:b}"[1:]:  # from the second highest: x to the bits read so far
        out, flags = square(out)
        events |= flags
        if bit == "1":
            out, flags = multiply(out, x)
            events |= flags
    return out, events


def ones(x: X) -> X:
    """Words of 1.0 at offset 0."""
    return x._like(np.full(x.shape, x.format.bias, x.format.dtype), 0)


def convert(x: X, fmt: LNSFormat | str, offset: int | None = None) -> tuple[X, Events]:
    """Words of another format or at another offset (spec, section 1.6)."""
    target, to = as_format(fmt), x.offset if offset is None else checked_offset(offset)
    words, events = kernels.convert(x._bits, x.format, target, x.offset, to, x.arithmetic.rounding)
    return x._of(words, target, to, x.arithmetic), events


# --- sums and products of many ---------------------------------------------------------------------------------------


def matmul(
    x: Any, y: Any, out_format: LNSFormat | str | None = None, offset: int | None = None
) -> tuple[WordArray, Events]:
    """`numpy.matmul`'s shapes; every element is one dot product, k in order."""
    if not (isinstance(x, WordArray) and isinstance(y, WordArray)):
        raise TypeError(f"a matrix product needs two LNSArrays, got {type(x).__name__} and {type(y).__name__}")
    same_arithmetic(x, y)
    if x.arithmetic.accumulator is None:
        same_format(x, y)
    if not (x.ndim and y.ndim):
        raise ValueError("a matrix product needs at least one dimension, got a scalar")
    fmt = x.format if out_format is None else as_format(out_format)
    to = x.offset + y.offset if offset is None else offset
    a = x._bits[None, :] if x.ndim == 1 else x._bits
    b = y._bits[:, None] if y.ndim == 1 else y._bits
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(f"a matrix product needs (…, M, K) and (…, K, N), got {x.shape} and {y.shape}")
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = np.broadcast_to(a, batch + a.shape[-2:]), np.broadcast_to(b, batch + b.shape[-2:])
    words = np.empty((*batch, a.shape[-2], b.shape[-1]), fmt.dtype)
    events = np.empty(words.shape, np.uint8)
    for i in np.ndindex(*batch):
        words[i], events[i] = dot(a[i], b[i], (x.format, y.format), x.offset + y.offset, fmt, to, x.arithmetic)
    dropped = (-2,) * (x.ndim == 1) + (-1,) * (y.ndim == 1)
    words, events = words.squeeze(dropped), events.squeeze(dropped)
    return x._of(words, fmt, to, x.arithmetic), events


def numpy_dot(x: Any, y: Any) -> tuple[WordArray, Events]:
    """`numpy.dot`: over the last axis of x and the second last of y."""
    if np.ndim(x) == 0 or np.ndim(y) == 0:
        return multiply(x, y)
    if np.ndim(y) <= 2 or not isinstance(y, WordArray):
        return matmul(x, y)
    front = np.moveaxis(y._bits, -2, 0)
    out, events = matmul(x, y._like(front.reshape(front.shape[0], math.prod(front.shape[1:]))))
    shape = np.shape(x)[:-1] + front.shape[1:]
    return out._like(out._bits.reshape(shape)), events.reshape(shape)


def _fold(x: WordArray, axis: Axis, keepdims: bool) -> tuple[Words, tuple[int, ...]]:
    """((K, N) words with the reduced axes first, in row-major order; the shape of the result)."""
    axes = sorted(normalize_axis_tuple(range(x.ndim) if axis is None else cast(Any, axis), x.ndim))
    front = np.moveaxis(x._bits, axes, range(len(axes)))
    k, rest = math.prod(front.shape[: len(axes)]), front.shape[len(axes) :]
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    return front.reshape(k, math.prod(rest)), kept if keepdims else rest


def total(x: X, axis: Axis = None, keepdims: bool = False) -> tuple[X, Events]:
    """The dot product with ones, k in row-major order of the reduced axes."""
    folded, shape = _fold(x, axis, keepdims)
    fmt, offset = x.format, x.offset
    row = np.full((1, folded.shape[0]), ONE_WORD, ONE.dtype)
    words, events = dot(row, folded, (ONE, fmt), offset, fmt, offset, x.arithmetic)
    return x._like(words.reshape(shape)), events.reshape(shape)


def product(x: X, axis: Axis = None, keepdims: bool = False) -> tuple[X, Events]:
    """((x0·x1)·x2)·…, in row-major order of the reduced axes; 1.0 if there are none."""
    folded, shape = _fold(x, axis, keepdims)
    words = np.full(folded.shape[1], x.format.bias, x.format.dtype)
    events = np.zeros(words.shape, np.uint8)
    for row in folded:
        words, flags = kernels.mul(words, row, x.format)
        events |= flags
    return x._like(words.reshape(shape), folded.shape[0] * x.offset), events.reshape(shape)


# --- without events: signs and order ---------------------------------------------------------------------------------


def negative(x: X) -> X:
    if not x.format.signed:
        raise ValueError(f"{x.format} has no sign: it cannot be negated or subtracted; convert with astype()")
    zero = (x._bits & x.format.max_code) == 0
    return x._like(np.where(zero, 0, x._bits ^ x.format.sign_bit).astype(x.format.dtype))


def absolute(x: X) -> X:
    return x._like((x._bits & x.format.max_code).astype(x.format.dtype))


def positive(x: X) -> X:
    return x._like(x._bits.copy())


def _key(x: WordArray) -> npt.NDArray[np.int64]:
    return order_key(x._bits, x.format)


def _of_key(keys: npt.NDArray[np.int64], like: X) -> X:
    """The canonical words of order keys."""
    fmt = like.format
    return like._like(np.asarray(np.where(keys < 0, fmt.sign_bit - keys, keys), fmt.dtype))


def maximum(x: Any, y: Any) -> WordArray:
    x, y = aligned(x, y)
    return x._like(kernels.maximum(x._bits, y._bits, x.format))


def minimum(x: Any, y: Any) -> WordArray:
    x, y = aligned(x, y)
    return _of_key(np.minimum(_key(x), _key(y)), x)


def largest(x: X, axis: Axis = None, keepdims: bool = False) -> X:
    return _of_key(np.max(_key(x), cast(Any, axis), keepdims=keepdims), x)


def smallest(x: X, axis: Axis = None, keepdims: bool = False) -> X:
    return _of_key(np.min(_key(x), cast(Any, axis), keepdims=keepdims), x)


def argmax(x: WordArray, axis: int | None = None, keepdims: bool = False) -> Any:
    return np.argmax(_key(x), axis, keepdims=keepdims)


def argmin(x: WordArray, axis: int | None = None, keepdims: bool = False) -> Any:
    return np.argmin(_key(x), axis, keepdims=keepdims)


def comparison(ufunc: np.ufunc) -> Callable[[Any, Any], Any]:
    """The comparison of order keys."""

    def compare(x: Any, y: Any) -> Any:
        x, y = aligned(x, y)
        return ufunc(_key(x), _key(y))

    return compare


def array_equal(x: Any, y: Any) -> bool:
    x, y = aligned(x, y)
    return x.shape == y.shape and bool((_key(x) == _key(y)).all())


# --- moving words ----------------------------------------------------------------------------------------------------


def moved(function: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy function that only moves words, of one array."""

    def move(x: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(x, WordArray):
            raise TypeError(f"numpy.{function.__name__} needs an LNSArray first, got {type(x).__name__}")
        return x._like(function(x._bits, *args, **kwargs))

    return move


def joined(function: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy function that joins arrays."""

    def join(arrays: Sequence[Any], axis: int = 0) -> Any:
        first = arrays[0]
        for array in arrays:
            if not isinstance(array, WordArray):
                raise TypeError(f"numpy.{function.__name__} joins LNSArrays alone, got {type(array).__name__}")
            aligned(first, array)
        return first._like(function([array._bits for array in arrays], axis=axis))

    return join


def where(condition: Any, x: Any, y: Any) -> WordArray:
    if isinstance(condition, WordArray):
        raise TypeError("the condition of numpy.where must be an array of bools, got LNSArray")
    x, y = aligned(x, y)
    return x._like(np.where(condition, x._bits, y._bits))


def full_like(x: WordArray, fill_value: Any) -> WordArray:
    return x._like(np.full(x.shape, word_of(fill_value, x, x.offset), x.format.dtype))


def zeros_like(x: WordArray) -> WordArray:
    return full_like(x, 0)


def ones_like(x: WordArray) -> WordArray:
    return full_like(x, 1)
