"""The update unit and its random bits (spec, section 8)."""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from lns import reference
from lns.format import Event, Rounding
from lns.kernels.elementwise import SATURATE, UNDERFLOW, Events, Words, add_words, emit
from lns.kernels.tables import dense
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


@nb.njit(cache=True)
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
    mask = np.uint64((1 << r) - 1)
    for first in range(0, count, lanes):
        for lane in range(lanes):
            s = np.uint64(states[lane])
            for _ in range(r):
                new = ((s >> np.uint64(31)) ^ (s >> np.uint64(21)) ^ (s >> np.uint64(1)) ^ s) & np.uint64(1)
                s = ((s << np.uint64(1)) | new) & np.uint64(0xFFFFFFFF)
            states[lane] = np.uint32(s)
            if first + lane < count:
                out[first + lane] = np.uint32(s & mask)
    return out


@nb.njit(cache=True)
def _update(  # type: ignore[no-untyped-def]
    w, g, v, random, w_max, g_max, g_shift, v_max, frac_bits, sb, db, rom, rom_bits, r, stochastic, flip,
    read, term, correction, clip, lr, w_events, v_events,
):  # fmt: skip
    g_bias, v_bias = (g_max >> 1) + 1, (v_max >> 1) + 1
    fraction, half, fine_mask = (1 << frac_bits) - 1, 1 << r, (1 << r) - 1
    for i in range(w.size):
        gradient, moment = np.int64(g[i]), np.int64(v[i])
        kept, moment_event = np.int64(0), 0
        if moment:
            kept, moment_event = emit(False, moment + read, v_max)
        squared, doubled = np.int64(0), np.int64(0)
        if gradient & g_max:
            doubled = (2 * ((gradient & g_max) - g_bias)) << g_shift
            squared, event = emit(False, doubled + term + v_bias, v_max)
            moment_event |= event
        moment, event = add_words(kept, squared, v_max, sb, db)
        v[i], v_events[i], w_events[i] = moment, moment_event | event, 0
        if gradient & g_max == 0 or moment == 0:
            continue
        event = 0
        n = (doubled - (moment - v_bias) - correction) >> 1
        if n > clip:
            n, event = clip, CLIP
        n += lr
        places = (n >> frac_bits) - (rom_bits - 1) + r
        fine = rom[n & fraction]
        fine = fine << places if places >= 0 else fine >> min(-places, 63)
        if stochastic:
            step = (fine + np.int64(random[i])) >> r
        else:
            step = fine >> r
            rest = 2 * (fine & fine_mask)
            if rest > half or (rest == half and step & 1 and r > 0):
                step += 1
        word = np.int64(w[i])
        negative = word > w_max
        code = (word & w_max) + (step if (gradient > g_max) != negative else -step)
        if code > w_max:
            code, event = w_max, event | SATURATE
        elif code < 1:
            code, event = np.int64(1), event | UNDERFLOW
            negative = negative != flip
        w[i], w_events[i] = (w_max + 1 if negative else 0) | code, event


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
    _update(
        w.reshape(-1), g.reshape(-1), v.reshape(-1), np.zeros(1, np.uint32) if random is None else random,
        unit.weight.max_code, unit.gradient.max_code, unit.moment.frac_bits - unit.gradient.frac_bits,
        unit.moment.max_code, unit.moment.frac_bits, *dense(unit.table), unit.rom, unit.rom_bits,
        unit.step_frac_bits, stochastic, unit.flip,
        constants.read, constants.term, constants.correction, constants.clip, constants.lr,
        w_events.reshape(-1), v_events.reshape(-1),
    )  # fmt: skip
    return w_events, v_events
