"""Which NumPy functions take LNSArrays: the whole list, and what computes each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from lns.array import operations as op

Function = Callable[..., Any]

#: Give (array, flags).
UNITS: dict[Function, Function] = {
    np.add: op.add,
    np.subtract: op.subtract,
    np.multiply: op.multiply,
    np.divide: op.divide,
    np.square: op.square,
    np.sqrt: op.sqrt,
    np.power: op.power,
    np.matmul: op.matmul,
    np.dot: op.numpy_dot,
    np.sum: op.total,
    np.prod: op.product,
}

#: Can raise no event.
WITHOUT_EVENTS: dict[Function, Function] = {
    np.negative: op.negative,
    np.positive: op.positive,
    np.absolute: op.absolute,
    np.maximum: op.maximum,
    np.minimum: op.minimum,
    np.max: op.largest,
    np.min: op.smallest,
    np.argmax: op.argmax,
    np.argmin: op.argmin,
    **{
        compare: op.comparison(compare)
        for compare in (np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal)
    },
    np.array_equal: op.array_equal,
    np.where: op.where,
    np.full_like: op.full_like,
    np.ones_like: op.ones_like,
    np.zeros_like: op.zeros_like,
    **{
        move: op.moved(move)
        for move in (
            np.broadcast_to, np.copy, np.diagonal, np.expand_dims, np.flip, np.matrix_transpose, np.moveaxis, np.ravel,
            np.repeat, np.reshape, np.roll, np.squeeze, np.swapaxes, np.take, np.tile, np.transpose,
        )
    },
    **{join: op.joined(join) for join in (np.concatenate, np.stack)},
    np.ndim: lambda x: x.ndim,
    np.shape: lambda x: x.shape,
    np.size: lambda x: x.size,
}  # fmt: skip


def supported_names() -> list[str]:
    """NumPy's names of all functions that take LNSArrays, sorted."""
    return sorted(f"numpy.{function.__name__}" for function in (*UNITS, *WITHOUT_EVENTS))


def compute(function: Function, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """(result, flags or None) of a NumPy function.

    Raises
    ------
    TypeError
        If no unit computes it, or not with these arguments.
    """
    name = f"{getattr(function, '__module__', None) or 'numpy'}.{function.__name__}"  # a ufunc may tell no module
    own = UNITS.get(function) or WITHOUT_EVENTS.get(function)
    if own is None:
        raise not_supported(name)
    try:
        inspect.signature(own).bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{name} of LNSArrays: {error}") from None
    result = own(*args, **kwargs)
    return result if function in UNITS else (result, None)


def not_supported(name: str) -> TypeError:
    return TypeError(
        f"{name} does not take LNSArrays: no unit computes it; docs/array.md lists what does, to_float() gives numbers"
    )
