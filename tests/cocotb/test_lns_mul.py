"""Bench of ``rtl/lns_mul.v`` against `lns.reference.mul`."""

from __future__ import annotations

import random
from typing import Any

import cocotb
import lns_bench
from lns_bench import Coverage, Job, Pair

from lns import reference
from lns.format import LNSFormat


def computed(pair: Pair, fmt: LNSFormat) -> int:
    """The code of a product before the range rule."""
    return reference.raw(pair[0], fmt) + reference.raw(pair[1], fmt) + fmt.bias


def edges(fmt: LNSFormat) -> dict[str, int]:
    """Computed codes at which the range rule turns, as far as a product of the format can have them."""
    points = {"code 0": 0, "code 1": 1, "code max": fmt.max_code, "code max + 1": fmt.max_code + 1}
    least, most = 2 - fmt.bias, 2 * fmt.max_code - fmt.bias
    return {name: code for name, code in points.items() if least <= code <= most}


def stimuli(job: Job) -> list[Pair]:
    if job.exhaustive:
        return lns_bench.all_pairs(job.fmt)
    fmt, rng = job.fmt, random.Random(f"lns_mul {job.seed}")
    specials = lns_bench.special_words(fmt)
    pairs = [(a, b) for a in specials for b in specials]
    for edge in edges(fmt).values():
        for target in (edge - 1, edge, edge + 1):
            for _ in range(64):
                a = rng.randint(1, fmt.max_code)
                b = target + fmt.bias - a
                if 1 <= b <= fmt.max_code:
                    pairs.append((lns_bench.random_word(rng, fmt, a), lns_bench.random_word(rng, fmt, b)))
    # results of uniform operands overflow or underflow half of the time: the other half of these stays near 1.0
    near = max(1, fmt.bias // 2)
    for i in range(job.count):
        low, high = (fmt.bias - near, fmt.bias + near - 1) if i % 2 else (0, fmt.max_code)
        a, b = (lns_bench.random_word(rng, fmt, rng.randint(low, high)) for _ in range(2))
        pairs.append((a, b))
    return pairs


def coverage(fmt: LNSFormat) -> Coverage:
    bins = ["zero a", "zero b", "both zero", "signs equal", "in range", *edges(fmt)]
    if fmt.signed:
        bins += ["zero with a sign", "signs unlike"]
    if fmt.bias > 1:
        bins += ["saturate", "underflow"]
    return Coverage(dict.fromkeys(bins, 1))


def sample(pair: Pair, fmt: LNSFormat, cover: Coverage) -> None:
    a, b = pair
    zeros = [reference.code(word, fmt) == 0 for word in pair]
    for zero, name in ((zeros[0], "zero a"), (zeros[1], "zero b"), (all(zeros), "both zero")):
        if zero:
            cover.hit(name)
    if any(zero and reference.sign(word, fmt) for word, zero in zip(pair, zeros, strict=True)):
        cover.hit("zero with a sign")
    if any(zeros):
        return
    cover.hit("signs equal" if reference.sign(a, fmt) == reference.sign(b, fmt) else "signs unlike")
    code = computed(pair, fmt)
    cover.hit("saturate" if code > fmt.max_code else "underflow" if code <= 0 else "in range")
    for name, edge in edges(fmt).items():
        if code == edge:
            cover.hit(name)


@cocotb.test()
async def lns_mul(dut: Any) -> None:
    """Every word and event flag equals the definition's."""
    job = Job.load()
    cover = coverage(job.fmt)
    await lns_bench.run(
        dut, job, stimuli(job), lambda a, b: reference.mul(a, b, job.fmt), lambda p: sample(p, job.fmt, cover), cover
    )
