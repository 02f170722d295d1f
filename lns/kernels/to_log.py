"""Linear accumulators to words (spec, section 6)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lns.format import LNSFormat
from lns.kernels.compiling import jit
from lns.kernels.elementwise import Events, Words, emit
from lns.kernels.tables import BLOCK, Threaded, integers, leading_zeros, look_up


@jit
def _split(values, scratch, index_bits, frac_bits, start):  # type: ignore[no-untyped-def]
    """Rows of scratch ← the code of the octave, the index into the ROM."""
    integer = scratch.dtype.type
    width = 8 * values.itemsize
    above = np.uint64(width - index_bits)
    for i in range(values.size):
        magnitude = abs(values[i])
        zeros = np.int64(leading_zeros(magnitude))
        under = magnitude << (zeros & (width - 1)) << 1  # the bits under the leading one, from the top
        if values.itemsize == 4:
            index = np.uint64(np.uint32(under)) >> above
        else:
            index = np.uint64(under) >> above
        scratch[i] = integer(((width - 1 - zeros) << frac_bits) + start)
        scratch[BLOCK + i] = integer(index) if index_bits else 0


@jit
def _finish(values, scratch, max_code, out, events):  # type: ignore[no-untyped-def]
    integer = scratch.dtype.type
    max_code = integer(max_code)
    for i in range(values.size):
        value = values[i]
        word, event = emit(value < 0, integer(scratch[i] + scratch[BLOCK + i]), max_code)
        out[i], events[i] = 0 if value == 0 else word, 0 if value == 0 else event


def _to_log_loop(begin, end, values, rom, index_bits, frac_bits, start, max_code, model, out, events):  # type: ignore[no-untyped-def]
    for block in range(begin, end):
        first = block * BLOCK
        last = min(first + BLOCK, values.size)
        scratch = np.empty(2 * BLOCK, model.dtype)
        _split(values[first:last], scratch, index_bits, frac_bits, start)
        look_up(rom, scratch[BLOCK : BLOCK + last - first])
        _finish(values[first:last], scratch, max_code, out[first:last], events[first:last])


_to_log = Threaded(_to_log_loop, 1 << 18)


def linear_to_log(
    values: npt.NDArray[Any], least_exponent: int, rom: npt.NDArray[np.int64], index_bits: int, fmt: LNSFormat,
    offset: int = 0,
) -> tuple[Words, Events]:  # fmt: skip
    """Accumulators whose least bit weighs 2**least_exponent (offsets in) to words (spec, section 6).

    Parameters
    ----------
    values : int64 or int32
        Any shape.
    rom : int64, (2**index_bits,)

    Returns
    -------
    words of ``fmt`` and uint8 events, of values' shape
    """
    if values.dtype not in (np.int64, np.int32):
        raise TypeError(f"accumulators must be int64 or int32, got {values.dtype}")
    flat = np.ascontiguousarray(values).reshape(-1)
    out, events = np.empty(values.shape, fmt.dtype), np.empty(values.shape, np.uint8)
    # in int32 an octave of up to 63 takes up to 2**28; from far on every code saturates, below -far it underflows
    narrow = fmt.bits <= 24
    far = 1 << 29 if narrow else 1 << 60
    start = ((least_exponent - offset) << fmt.frac_bits) + fmt.bias
    _to_log(
        flat.size, -(-flat.size // BLOCK), flat, rom, index_bits, fmt.frac_bits, max(-far, min(start, far)),
        fmt.max_code, integers(narrow), out.reshape(-1), events.reshape(-1),
    )  # fmt: skip
    return out, events
