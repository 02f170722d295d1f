"""`LNSArray`: words, their format and their offset, as NumPy's users hold arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
from numpy.lib.mixins import NDArrayOperatorsMixin

from lns import codec
from lns.array import operations as op
from lns.array import storage
from lns.array.arithmetic import Arithmetic
from lns.array.functions import compute, not_supported
from lns.array.operations import Axis
from lns.array.words import WordArray, as_format, checked_offset
from lns.format import LNSFormat
from lns.kernels.elementwise import Events

_DEFAULT = Arithmetic()


class LNSArray(NDArrayOperatorsMixin, WordArray):
    """An array of words of one format, at one offset. docs/array.md states every rule.

    A word stands for (-1)**sign·2**(raw/2**F + offset). All arithmetic is that of the hardware units (lns.kernels), on
    words; no result passes through a float. Made by `from_float`, `from_bits`, `load`. Slices and `reshape` share
    memory as NumPy's do.

    Examples
    --------
    >>> x = LNSArray.from_float([1.0, -2.5, 0.3], "lns<8,3>")
    >>> x
    LNSArray.from_bits([ 64, 203,  50], 'lns<8,3>')
    >>> x - x == 0
    array([ True,  True,  True])
    """

    __slots__ = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("an LNSArray is made by LNSArray.from_float, LNSArray.from_bits or LNSArray.load")

    # --- in and out ------------------------------------------------------------------------------------------------

    @classmethod
    def from_float(
        cls, x: npt.ArrayLike, fmt: LNSFormat | str, offset: int = 0, arithmetic: Arithmetic = _DEFAULT
    ) -> Self:
        """The words of real numbers, with the arithmetic's rounding; out of range they saturate or become zero.

        Raises
        ------
        ValueError
            If x holds a NaN, or a negative number and the format has no sign.
        """
        fmt = as_format(fmt)
        words = codec.encode(x, fmt, offset=checked_offset(offset), rounding=arithmetic.rounding)
        return cls._of(words, fmt, offset, arithmetic)

    @classmethod
    def from_bits(
        cls, bits: npt.ArrayLike, fmt: LNSFormat | str, offset: int = 0, arithmetic: Arithmetic = _DEFAULT
    ) -> Self:
        """An array on a copy of these words.

        Raises
        ------
        ValueError
            If they are not integers from 0 to 2**bits - 1.
        """
        fmt, words = as_format(fmt), np.asarray(bits)
        if words.size and (words.dtype.kind not in "iu" or int(words.min()) < 0 or int(words.max()) >> fmt.bits):
            raise ValueError(f"words of {fmt} are integers from 0 to 2**{fmt.bits} - 1, got {_range(words)}")
        return cls._of(words.astype(fmt.dtype), fmt, offset, arithmetic)

    def to_float(self, dtype: npt.DTypeLike = np.float64) -> npt.NDArray[Any]:
        """The values, correctly rounded to float64 or float32."""
        return codec.decode(self._bits, self._format, offset=self._offset, dtype=dtype)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("the values of an LNSArray are computed: an array of them is always a copy")
        if dtype is not None and np.dtype(dtype) == np.float32:  # rounded once
            return self.to_float(np.float32)
        return self.to_float().astype(dtype, copy=False)

    def item(self) -> float:
        """The value of the only element."""
        return cast(float, self.to_float().item())

    def tolist(self) -> Any:
        """The values, as (nested lists of) Python floats."""
        return self.to_float().tolist()

    __float__ = item

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(f"the truth value of an array of {self.size} elements is ambiguous")
        return bool((self._bits & self._format.max_code).item())

    def __repr__(self) -> str:
        head = f"{type(self).__name__}.from_bits("
        words = np.array2string(self._bits, separator=", ", prefix=head)
        rest = f", offset={self._offset}" if self._offset else ""
        rest += f", arithmetic={self._arithmetic!r}" if self._arithmetic != _DEFAULT else ""
        lost = f".reshape{self.shape}" if self.size == 0 and self.ndim > 1 else ""
        return f"{head}{words}, '{self._format}'{rest}){lost}"

    def __str__(self) -> str:
        return f"{self.to_float()} {self._format}" + (f" offset {self._offset}" if self._offset else "")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_bits, (self._bits, self._format, self._offset, self._arithmetic)

    def save(self, path: str | Path) -> None:
        """Write an ``.npz`` file, beside and renamed; the path is taken as it is."""
        storage.save(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The array of a file of `save`; no pickle is read.

        Raises
        ------
        OSError, ValueError
            If the file cannot be read, or is none of `save`'s.
        """
        return storage.load(Path(path), cls.from_bits)

    # --- conversions -----------------------------------------------------------------------------------------------

    def astype(self, fmt: LNSFormat | str, offset: int | None = None) -> Self:
        """Converted to another format, and to another offset if one is given (spec, section 1.6)."""
        return op.convert(self, fmt, offset)[0]

    def at_offset(self, offset: int) -> Self:
        """The same values at another offset; out of range they saturate or become zero."""
        return op.convert(self, self._format, offset)[0]

    def with_arithmetic(self, arithmetic: Arithmetic) -> Self:
        """A view that computes with another arithmetic."""
        return self._of(self._bits, self._format, self._offset, arithmetic)

    # --- NumPy's protocols -----------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (), **kwargs: Any) -> Any:
        if any(_defers(value) for value in (*inputs, *out)):
            return NotImplemented
        if method != "__call__":
            raise not_supported(f"numpy.{ufunc.__name__}.{method}")
        if kwargs:
            raise TypeError(f"numpy.{ufunc.__name__} of LNSArrays takes no {', '.join(kwargs)}")
        result, _ = compute(ufunc, inputs, {})
        return _store(result, out[0]) if out else result

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if not all(issubclass(kind, (WordArray, np.ndarray)) for kind in types):
            return NotImplemented
        return compute(function, args, kwargs)[0]

    # --- containers ------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._bits)

    def __iter__(self) -> Iterator[Self]:
        if self.ndim == 0:
            raise TypeError("iteration over an array of no dimensions")
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> Self:
        return self._like(self._bits[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, WordArray):
            op.aligned(self, value)
            self._bits[key] = value._bits
        else:
            self._bits[key] = codec.encode(value, self._format, offset=self._offset, rounding=self._arithmetic.rounding)

    @property
    def T(self) -> Self:
        return self._like(self._bits.T)

    def reshape(self, *shape: Any) -> Self:
        return self._like(self._bits.reshape(*shape))

    def transpose(self, *axes: Any) -> Self:
        return self._like(self._bits.transpose(*axes))

    def ravel(self) -> Self:
        return self._like(self._bits.ravel())

    def copy(self) -> Self:
        return self._like(self._bits.copy())

    # --- reductions ------------------------------------------------------------------------------------------------

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Self:
        """Through the accumulator: the dot product with ones, row-major."""
        return op.total(self, axis, keepdims)[0]

    def prod(self, axis: Axis = None, keepdims: bool = False) -> Self:
        """Multiplied from left to right, row-major; the offset is multiplied by the number of factors."""
        return op.product(self, axis, keepdims)[0]

    def max(self, axis: Axis = None, keepdims: bool = False) -> Self:
        return op.largest(self, axis, keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Self:
        return op.smallest(self, axis, keepdims)

    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Any:
        """The lowest index of the largest value."""
        return op.argmax(self, axis, keepdims)

    def argmin(self, axis: int | None = None, keepdims: bool = False) -> Any:
        """The lowest index of the smallest value."""
        return op.argmin(self, axis, keepdims)

    def dot(self, other: Any) -> Self:
        """`numpy.dot`."""
        return cast(Self, op.numpy_dot(self, other)[0])


def matmul(x: LNSArray, y: LNSArray, out_format: LNSFormat | str | None = None, offset: int | None = None) -> LNSArray:
    """``x @ y`` into a format and at an offset of choice, rounded once: by the accumulator's own conversion.

    Parameters
    ----------
    x, y : LNSArray, (…, M, K) and (…, K, N), or (K,)
        Of one arithmetic. Their formats may differ if it has an accumulator.
    out_format : LNSFormat or str
        By default that of x.
    offset : int
        By default the sum of the operands'.
    """
    return cast(LNSArray, op.matmul(x, y, out_format, offset)[0])


def with_events(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, Events]:
    """A function's result, and the flags (`Event`) that its words raised.

    Parameters
    ----------
    function : a NumPy function that takes LNSArrays, `lns.matmul`, `LNSArray.astype` or `LNSArray.at_offset`
    *args, **kwargs
        Its arguments.

    Returns
    -------
    The result, and a uint8 array of its shape.

    Examples
    --------
    >>> x = LNSArray.from_float([1.0, 200.0], "lns<8,3>")
    >>> y, events = with_events(np.multiply, x, 2)
    >>> y, events
    (LNSArray.from_bits([ 72, 127], 'lns<8,3>'), array([0, 1], dtype=uint8))
    """
    own: dict[Any, Callable[..., Any]] = {matmul: op.matmul, LNSArray.astype: op.convert, LNSArray.at_offset: _moved_to}
    result, events = own[function](*args, **kwargs) if function in own else compute(function, args, kwargs)
    return result, np.zeros(np.shape(result), np.uint8) if events is None else events


def _moved_to(x: LNSArray, offset: int) -> tuple[LNSArray, Events]:
    return op.convert(x, x.format, offset)


def _store(result: Any, out: Any) -> Any:
    """The result in an array that the caller has."""
    if isinstance(result, WordArray) != isinstance(out, WordArray):
        raise TypeError(f"out must be of the result's type, {type(result).__name__}, got {type(out).__name__}")
    if isinstance(result, WordArray):
        op.aligned(out, result)
        np.copyto(out._bits, result._bits)
    else:
        np.copyto(out, result)
    return out


def _defers(value: Any) -> bool:
    """Whether a value is another library's array, which may know LNSArrays."""
    if isinstance(value, (WordArray, np.ndarray, np.generic)):
        return False
    return getattr(type(value), "__array_ufunc__", None) is not None


def _range(words: npt.NDArray[Any]) -> str:
    return f"{words.min()} to {words.max()}" if words.dtype.kind in "iu" else str(words.dtype)
