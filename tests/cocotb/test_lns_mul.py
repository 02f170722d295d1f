"""Bench of ``rtl/lns_mul.v`` against `lns.reference.mul`."""

from __future__ import annotations

from typing import Any

import cocotb
import lns_bench
from lns_bench import Coverage, Job, Operands

from lns import reference
from lns.format import LNSFormat


def computed(pair: Operands, fmt: LNSFormat) -> int:
    """The code of a product before the range rule."""
    return reference.raw(pair[0], fmt) + reference.raw(pair[1], fmt) + fmt.bias


def edges(fmt: LNSFormat) -> dict[str, int]:
    """Computed codes at which the range rule turns, as far as a product of the format can have them."""
    least, most = 2 - fmt.bias, 2 * fmt.max_code - fmt.bias
    return {name: code for name, code in lns_bench.range_edges(fmt).items() if least <= code <= most}


def coverage(fmt: LNSFormat) -> Coverage:
    bins = [*lns_bench.pair_bins(fmt), "in range", *edges(fmt)]
    if fmt.bias > 1:
        bins += ["saturate", "underflow"]
    return Coverage(dict.fromkeys(bins, 1))


def sample(pair: Operands, fmt: LNSFormat, cover: Coverage) -> None:
    if lns_bench.hit_pair(cover, pair, fmt):
        lns_bench.hit_range(cover, computed(pair, fmt), fmt)


@cocotb.test()
async def lns_mul(dut: Any) -> None:
    """Every word and event flag equals the definition's."""
    job = Job.load()
    fmt, cover = job.fmt, coverage(job.fmt)
    stimuli = lns_bench.pair_stimuli(job, edges(fmt).values(), lambda a, target: target + fmt.bias - a)
    await lns_bench.run(
        dut, job, stimuli, lambda a, b: reference.mul(a, b, fmt), lambda operands: sample(operands, fmt, cover), cover
    )
