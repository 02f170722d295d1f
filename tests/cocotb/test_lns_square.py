"""Bench of ``rtl/lns_square.v`` against `lns.reference.square`."""

from __future__ import annotations

from typing import Any

import cocotb
import lns_bench
from lns_bench import Coverage, Job, Operands

from lns import reference
from lns.format import LNSFormat


def edges(fmt: LNSFormat) -> dict[str, int]:
    """Computed codes at which the range rule turns, as far as a square of the format can have them."""
    squares = range(2 - fmt.bias, 2 * fmt.max_code - fmt.bias + 1, 2)
    return {name: code for name, code in lns_bench.range_edges(fmt).items() if code in squares}


def coverage(fmt: LNSFormat) -> Coverage:
    bins = ["zero", "positive", "in range", *edges(fmt)]
    if fmt.signed:
        bins += ["zero with a sign", "negative"]
    if fmt.bias > 1:
        bins += ["saturate", "underflow"]
    return Coverage(dict.fromkeys(bins, 1))


def sample(operands: Operands, fmt: LNSFormat, cover: Coverage) -> None:
    (a,) = operands
    if reference.code(a, fmt) == 0:
        cover.hit("zero with a sign" if reference.sign(a, fmt) else "zero")
        return
    cover.hit("negative" if reference.sign(a, fmt) else "positive")
    lns_bench.hit_range(cover, 2 * reference.raw(a, fmt) + fmt.bias, fmt)


@cocotb.test()
async def lns_square(dut: Any) -> None:
    """Every word and event flag equals the definition's."""
    job = Job.load()
    fmt, cover = job.fmt, coverage(job.fmt)
    stimuli = lns_bench.word_stimuli(job, ((code + fmt.bias) // 2 for code in edges(fmt).values()))
    await lns_bench.run(
        dut, job, stimuli, lambda a: reference.square(a, fmt), lambda operands: sample(operands, fmt, cover), cover
    )
