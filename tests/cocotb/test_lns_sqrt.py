"""Bench of ``rtl/lns_sqrt.v`` against `lns.reference.sqrt`."""

from __future__ import annotations

from typing import Any

import cocotb
import lns_bench
from lns_bench import Coverage, Job, Operands

from lns import reference
from lns.format import LNSFormat


def coverage(fmt: LNSFormat) -> Coverage:
    bins = ["zero", "exact"]
    if fmt.signed:
        bins += ["zero with a sign", "negative"]
    if fmt.bias > 1:
        bins += ["rounded down, above 1.0", "rounded down, below 1.0"]
    return Coverage(dict.fromkeys(bins, 1))


def sample(operands: Operands, fmt: LNSFormat, cover: Coverage) -> None:
    (a,) = operands
    negative = reference.sign(a, fmt)
    if reference.code(a, fmt) == 0:
        cover.hit("zero with a sign" if negative else "zero")
    elif negative:
        cover.hit("negative")
    elif reference.raw(a, fmt) % 2 == 0:
        cover.hit("exact")
    else:
        cover.hit(f"rounded down, {'above' if reference.raw(a, fmt) > 0 else 'below'} 1.0")


@cocotb.test()
async def lns_sqrt(dut: Any) -> None:
    """Every word and event flag equals the definition's."""
    job = Job.load()
    fmt, cover = job.fmt, coverage(job.fmt)
    stimuli = lns_bench.word_stimuli(job)
    await lns_bench.run(
        dut, job, stimuli, lambda a: reference.sqrt(a, fmt), lambda operands: sample(operands, fmt, cover), cover
    )
