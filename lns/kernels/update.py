"""The update unit and its random bits (spec, section 8)."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import numpy.typing as npt

from lns import reference
from lns.format import Event, Rounding
from lns.kernels.compiling import jit
from lns.kernels.elementwise import SATURATE, UNDERFLOW, Events, Words
from lns.kernels.tables import BLOCK, Threaded, integers, look_up, sums
from lns.reference import UpdateConstants, UpdateUnit

CLIP = int(Event.CLIP)


def lfsr_seeds(run_seed: int, lanes: int) -> npt.NDArray[np.uint32]:
    """The initial states of all lanes (spec, section 8.1).

    Raises
    ------
    ValueError
        If the seed is not in 0 … 2**32 - 1.
    """
    if not 0 <= run_seed < 1 << 32:
        raise ValueError(f"a seed must be between 0 and 2**32 - 1, got {run_seed}")
    return np.array([reference.lfsr_seed(run_seed, lane) for lane in range(lanes)], np.uint32)


@jit
def _leap(states, q):  # type: ignore[no-untyped-def]
    """q shifts of every LFSR, q at most 22.

    The bit that enters at shift k is b_k = u_k ^ b_(k-1) ^ b_(k-2), u_k = s[31-k] ^ s[21-k], which are all bits of the
    state before, b_(-1) = s[0], b_(-2) = s[1]: the sequence u divided by 1 + x + x**2 over GF(2), or multiplied by
    (1 + x)/(1 + x**3) = (1 + x)(1 + x**3)(1 + x**6)(1 + x**12)…, of which 24 bits are needed.
    """
    mask = np.uint32((1 << q) - 1)
    for lane in range(states.size):
        s = states[lane]
        start = np.uint32(s & np.uint32(3))
        u = np.uint32(((s >> np.uint32(32 - q)) ^ (s >> np.uint32(22 - q))) & mask)
        b = np.uint32(u | np.uint32(np.uint32(start ^ np.uint32(start >> np.uint32(1))) << np.uint32(q)))
        b = np.uint32(b ^ (b >> np.uint32(1)))
        b = np.uint32(b ^ (b >> np.uint32(3)))
        b = np.uint32(b ^ (b >> np.uint32(6)))
        b = np.uint32(b ^ (b >> np.uint32(12)))
        states[lane] = np.uint32(np.uint32(s << np.uint32(q)) | (b & mask))


@jit
def draws(states: npt.NDArray[np.uint32], count: int, r: int) -> npt.NDArray[np.uint32]:
    """Random bits for ``count`` elements in element order; the lanes' states move on in place.

    Parameters
    ----------
    states : uint32, (lanes,)
    count : int
        Elements of the tensor: ⌈count/lanes⌉ draws a lane.
    r : int
        Bits a draw, 0 to 32.
    """
    lanes = states.size
    out = np.empty(count, np.uint32)
    mask = np.uint32((1 << r) - 1)
    for first in range(0, count, lanes):
        if r > 22:
            _leap(states, 16)
            _leap(states, r - 16)
        elif r > 0:
            _leap(states, r)
        some = out[first : first + lanes]
        for lane in range(some.size):
            some[lane] = states[lane] & mask
    return out


# One update goes block by block, in five passes: the moment's two operands; the table of the moment's adder; the new
# moment and the size of the step as a logarithm; the antilog ROM; the new weight. Scratch has four rows: codes of the
# moment, then octaves of the step; indices of the look-ups, then what stood there; twice the gradient's code, then n;
# whether the weight moves.
#
# They compute in int32 if words have at most 24 bits, twice the gradient's code at F_u, the antilog ROM and code and
# fraction bits of the weight together at most 28, and constants are below 2**28.


@jit
def _moments(g, v, scratch, v_events, g_max, shift, read, term, v_max, last):  # type: ignore[no-untyped-def]
    integer = scratch.dtype.type
    g_max, g_bias, v_max = integer(g_max), integer((g_max >> 1) + 1), integer(v_max)
    read, term = integer(read), integer(term)
    for i in range(g.size):
        gradient, moment = integer(g[i] & g_max), integer(v[i])
        some, held = gradient > 0, moment > 0
        doubled = integer(integer(gradient - g_bias) << shift)
        kept, square = integer(moment + read), integer(doubled + term)
        high = (held & (kept > v_max)) | (some & (square > v_max))
        low = (held & (kept < 1)) | (some & (square < 1))
        kept = integer(max(min(kept, v_max), 0)) if held else integer(0)
        square = integer(max(min(square, v_max), 0)) if some else integer(0)
        large, small = integer(max(kept, square)), integer(min(kept, square))
        scratch[i] = large
        scratch[BLOCK + i] = min(integer(large - small), last) if small > 0 else last
        scratch[2 * BLOCK + i] = doubled
        scratch[3 * BLOCK + i] = some
        v_events[i] = (SATURATE if high else 0) | (UNDERFLOW if low else 0)


@jit
def _steps(v, scratch, v_events, v_max, correction, clip, lr, frac_bits):  # type: ignore[no-untyped-def]
    integer = scratch.dtype.type
    v_max, correction, clip, lr = integer(v_max), integer(correction), integer(clip), integer(lr)
    fraction = integer((1 << frac_bits) - 1)
    for i in range(v.size):
        moment = integer(scratch[i] + scratch[BLOCK + i])
        high = moment > v_max
        moment = integer(min(moment, v_max))
        v[i] = moment
        v_events[i] |= SATURATE if high else 0
        n = integer(integer(scratch[2 * BLOCK + i] - integer(moment + correction)) >> 1)
        scratch[2 * BLOCK + i] = n
        scratch[3 * BLOCK + i] &= moment > 0
        n = integer(min(n, clip) + lr)
        scratch[i] = n >> frac_bits
        scratch[BLOCK + i] = n & fraction


@jit
def _move(w, g, random, scratch, w_events, w_max, g_max, rom_bits, r, stochastic, flip, clip):  # type: ignore[no-untyped-def]
    integer = scratch.dtype.type
    width = 8 * scratch.itemsize
    w_max, top, clip = integer(w_max), integer(w_max + 1), integer(clip)
    start, most = integer(r - (rom_bits - 1)), integer(width - 3 - rom_bits)  # shifted so far left, any weight is off
    half, odd = integer(max((1 << r >> 1) - 1, 0)), integer(1 if r > 0 else 0)
    for i in range(w.size):
        word = integer(w[i])
        places = integer(scratch[i] + start)
        fine = integer(scratch[BLOCK + i] << max(min(places, most), 0))
        fine = integer(fine >> min(max(integer(-places), 0), width - 1))
        if stochastic:
            step = integer(integer(fine + integer(random[i])) >> r)
        else:
            step = integer(integer(fine + half + ((fine >> r) & odd)) >> r)
        negative, up = word > w_max, (word > w_max) != (g[i] > g_max)
        code = integer(word & w_max)
        computed = integer(code + step) if up else integer(code - step)
        high, low = computed > w_max, computed < 1
        computed = integer(max(min(computed, w_max), 1))
        moves = scratch[3 * BLOCK + i] != 0
        w[i] = (computed | (top if negative != (low & flip) else 0)) if moves else word
        event = (SATURATE if high else 0) | (UNDERFLOW if low else 0) | (CLIP if scratch[2 * BLOCK + i] > clip else 0)
        w_events[i] = event if moves else 0


def _update_loop(  # type: ignore[no-untyped-def]
    begin, end, w, g, v, random, w_max, g_max, g_shift, v_max, frac_bits, sb, rom, rom_bits, r, stochastic, flip,
    read, term, correction, clip, lr, model, w_events, v_events,
):  # fmt: skip
    v_bias = (v_max >> 1) + 1
    for block in range(begin, end):
        first = block * BLOCK
        last = min(first + BLOCK, w.size)
        some_g, some_v, some_events = g[first:last], v[first:last], v_events[first:last]
        scratch = np.empty(4 * BLOCK, model.dtype)
        _moments(some_g, some_v, scratch, some_events, g_max, g_shift + 1, read, term + v_bias, v_max, sb.size - 1)
        look_up(sb, scratch[BLOCK : BLOCK + last - first])
        _steps(some_v, scratch, some_events, v_max, correction - v_bias, clip, lr, frac_bits)
        look_up(rom, scratch[BLOCK : BLOCK + last - first])
        _move(
            w[first:last], some_g, random[first:last], scratch, w_events[first:last], w_max, g_max, rom_bits, r,
            stochastic, flip, clip,
        )  # fmt: skip


_update = Threaded(_update_loop, 1 << 17)


def _narrow(unit: UpdateUnit, constants: UpdateConstants) -> bool:
    shift = unit.moment.frac_bits - unit.gradient.frac_bits
    bits = (unit.gradient.code_bits + 1 + shift, unit.weight.code_bits + unit.step_frac_bits, unit.rom_bits)
    largest = max(abs(value) for value in astuple(constants))
    return max(unit.weight.bits, unit.moment.bits) <= 24 and max(bits) <= 28 and largest < 1 << 28


def update(
    w: Words,
    g: Words,
    v: Words,
    unit: UpdateUnit,
    constants: UpdateConstants,
    random: npt.NDArray[np.uint32] | None = None,
) -> tuple[Events, Events]:
    """One Madam step of a tensor, in place.

    Parameters
    ----------
    w, g, v : words of ``unit.weight``, ``unit.gradient``, ``unit.moment``
        Of one shape, C-contiguous. w and v are overwritten.
    random : uint32, one an element in row-major order
        From `draws`; required for stochastic rounding, not used otherwise.

    Returns
    -------
    The weights' events and the moments' events, uint8, of w's shape.
    """
    formats = (unit.weight, unit.gradient, unit.moment)
    for array, fmt in zip((w, g, v), formats, strict=True):
        if array.shape != w.shape or array.dtype != fmt.dtype or not array.flags.c_contiguous:
            raise ValueError(
                f"w, g, v must be C-contiguous, of one shape and of dtypes {[str(f.dtype) for f in formats]}"
            )
    stochastic = unit.rounding is Rounding.STOCHASTIC
    if stochastic and (random is None or random.size != w.size):
        raise ValueError(f"stochastic rounding needs one random word for each of the {w.size} elements")
    w_events, v_events = np.empty(w.shape, np.uint8), np.empty(w.shape, np.uint8)
    both = sums(unit.table)  # of which an unsigned adder takes sb alone
    _update(
        w.size, -(-w.size // BLOCK), w.reshape(-1), g.reshape(-1), v.reshape(-1),
        np.zeros(1, np.uint32) if random is None else random,
        unit.weight.max_code, unit.gradient.max_code, unit.moment.frac_bits - unit.gradient.frac_bits,
        unit.moment.max_code, unit.moment.frac_bits, both[: both.size // 2], unit.rom, unit.rom_bits,
        unit.step_frac_bits, stochastic, unit.flip,
        constants.read, constants.term, constants.correction, constants.clip, constants.lr,
        integers(_narrow(unit, constants)), w_events.reshape(-1), v_events.reshape(-1),
    )  # fmt: skip
    return w_events, v_events
