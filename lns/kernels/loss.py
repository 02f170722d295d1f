"""The loss unit (spec, section 9)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lns.format import Event, Rounding
from lns.kernels.compiling import jit
from lns.kernels.elementwise import SATURATE, UNDERFLOW, Events, Words, add_words, convert_raw
from lns.kernels.tables import dense
from lns.reference import LossUnit

ACC_SATURATE, ACC_UNDERFLOW = int(Event.ACC_SATURATE), int(Event.ACC_UNDERFLOW)


@jit
def _code(z, offset, z_max, z_frac, scale, rom, rom_bits, frac_bits, max_code):  # type: ignore[no-untyped-def]
    bias = (max_code >> 1) + 1
    magnitude = np.int64(0)
    if z & z_max:
        p = (z & z_max) - ((z_max >> 1) + 1) + (offset << z_frac) + scale
        places = (p >> z_frac) - (rom_bits - 1) + frac_bits
        significand = rom[p & ((1 << z_frac) - 1)]
        if places > 62 - rom_bits:  # far above max
            magnitude = np.int64(1) << 62
        elif places >= 0:
            magnitude = significand << places
        elif places > -63:
            magnitude = significand >> -places
    computed = bias - magnitude if z > z_max else bias + magnitude
    clamped = max(np.int64(1), min(computed, max_code))
    return clamped, 0 if clamped == computed else ACC_SATURATE


@jit
def _loss(  # type: ignore[no-untyped-def]
    z, targets, z_offset, z_max, z_frac, scale, rom, rom_bits, max_code, frac_bits, sb, db,
    e_max, e_frac, e_offset, nearest, codes, out, events, losses,
):  # fmt: skip
    rows, classes = z.shape
    for b in range(rows):
        total, summed = np.int64(0), 0
        for j in range(classes):
            code, event = _code(np.int64(z[b, j]), z_offset, z_max, z_frac, scale, rom, rom_bits, frac_bits, max_code)
            codes[j], events[b, j] = code, event
            total, event = add_words(total, code, max_code, sb, db)
            if event == SATURATE:
                summed |= ACC_SATURATE
            elif event == UNDERFLOW:
                summed |= ACC_UNDERFLOW
        for j in range(classes):
            d = total - codes[j]
            word, event = 0, 0
            if j != targets[b]:
                word, event = convert_raw(-d, False, frac_bits, e_frac, e_max, True, nearest, e_offset)
            elif d:
                u = -db[min(d, db.size - 1)]
                word, event = convert_raw(u, True, frac_bits, e_frac, e_max, True, nearest, e_offset)
            out[b, j] = word
            events[b, j] |= event | summed
        losses[b] = total - codes[targets[b]]


def loss(
    logits: Words, targets: npt.NDArray[np.integer], logit_offset: int, error_offset: int, unit: LossUnit
) -> tuple[Words, Events, npt.NDArray[np.int64]]:
    """Softmax cross-entropy of a batch.

    Parameters
    ----------
    logits : words, (samples, classes)
    targets : integers, (samples,)
        Classes, 0 to classes - 1.

    Returns
    -------
    errors : words of ``unit.error``, (samples, classes)
    events : uint8, (samples, classes)
    losses : int64, (samples,)
        In 2**-F_l octaves; ·ln 2/2**F_l gives nats.
    """
    out, events = np.empty(logits.shape, unit.error.dtype), np.empty(logits.shape, np.uint8)
    losses = np.empty(len(logits), np.int64)
    targets = np.asarray(targets, np.int64)
    if logits.ndim != 2 or targets.shape != (len(logits),) or np.any((targets < 0) | (targets >= logits.shape[1])):
        raise ValueError(
            f"logits {logits.shape} need one target class each, below {logits.shape[-1]}; got {targets.shape}"
        )
    _loss(
        np.ascontiguousarray(logits), targets, logit_offset, unit.logit.max_code, unit.logit.frac_bits, unit.scale,
        unit.rom, unit.rom_bits, unit.loss.max_code, unit.loss.frac_bits, *dense(unit.table),
        unit.error.max_code, unit.error.frac_bits, error_offset, unit.rounding is Rounding.NEAREST,
        np.empty(logits.shape[1], np.int64), out, events, losses,
    )  # fmt: skip
    return out, events, losses
