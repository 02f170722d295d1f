"""Bench of ``rtl/lns_max.v`` against `lns.reference.maximum`."""

from __future__ import annotations

from typing import Any

import cocotb
import lns_bench
from lns_bench import Coverage, Job, Operands

from lns import reference
from lns.format import Event, LNSFormat


def stimuli(job: Job) -> list[Operands]:
    """Beside the usual ones pairs with equal codes and with neighbouring ones, under all signs."""
    fmt, rng = job.fmt, job.random()
    pairs = lns_bench.pair_stimuli(job, (), lambda a, target: 0)
    if not job.exhaustive:
        for _ in range(job.count // 4):
            a = rng.randint(0, fmt.max_code)
            b = min(max(a + rng.choice((-1, 0, 1)), 0), fmt.max_code)
            pairs.append((lns_bench.random_word(rng, fmt, a), lns_bench.random_word(rng, fmt, b)))
    return pairs


def coverage(fmt: LNSFormat) -> Coverage:
    bins = [*lns_bench.pair_bins(fmt), "equal words"]
    if fmt.signed:
        bins += ["equal codes, signs unlike", "unlike zeros"]
    if fmt.max_code > 1:
        for signs in ("positive", "negative") if fmt.signed else ("positive",):
            bins += [f"a larger by one code, {signs}", f"b larger by one code, {signs}"]
    return Coverage(dict.fromkeys(bins, 1))


def sample(pair: Operands, fmt: LNSFormat, cover: Coverage) -> None:
    a, b = pair
    signs = [reference.sign(word, fmt) for word in pair]
    distance = reference.order_key(a, fmt) - reference.order_key(b, fmt)
    if not lns_bench.hit_pair(cover, pair, fmt):
        if distance == 0 and signs[0] != signs[1]:
            cover.hit("unlike zeros")
        return
    if a == b:
        cover.hit("equal words")
    elif reference.code(a, fmt) == reference.code(b, fmt):
        cover.hit("equal codes, signs unlike")
    elif signs[0] == signs[1] and abs(distance) == 1:
        cover.hit(f"{'a' if distance > 0 else 'b'} larger by one code, {'negative' if signs[0] else 'positive'}")


def model(a: int, b: int, fmt: LNSFormat) -> tuple[int, Event, int]:
    """The maximum, no event, and whether a is the larger one or as large."""
    order = reference.order_key(a, fmt) >= reference.order_key(b, fmt)
    return reference.maximum(a, b, fmt), Event(0), int(order)


@cocotb.test()
async def lns_max(dut: Any) -> None:
    """Every word and event flag equals the definition's."""
    job = Job.load()
    fmt, cover = job.fmt, coverage(job.fmt)
    await lns_bench.run(
        dut, job, stimuli(job), lambda a, b: model(a, b, fmt), lambda operands: sample(operands, fmt, cover), cover
    )
