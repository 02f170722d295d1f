"""Bench of ``rtl/lns_relu.v`` against `lns.reference.relu`."""

from __future__ import annotations

from typing import Any

import cocotb
import lns_bench
from lns_bench import Coverage, Job, Operands

from lns import reference
from lns.format import Event, LNSFormat


def coverage(fmt: LNSFormat) -> Coverage:
    bins = ["zero", "positive"]
    if fmt.signed:
        bins += ["zero with a sign", "negative"]
    return Coverage(dict.fromkeys(bins, 1))


def sample(operands: Operands, fmt: LNSFormat, cover: Coverage) -> None:
    (a,) = operands
    if reference.code(a, fmt) == 0:
        cover.hit("zero with a sign" if reference.sign(a, fmt) else "zero")
    else:
        cover.hit("negative" if reference.sign(a, fmt) else "positive")


@cocotb.test()
async def lns_relu(dut: Any) -> None:
    """Every word and event flag equals the definition's."""
    job = Job.load()
    fmt, cover = job.fmt, coverage(job.fmt)
    stimuli = lns_bench.word_stimuli(job)
    await lns_bench.run(
        dut,
        job,
        stimuli,
        lambda a: (reference.relu(a, fmt), Event(0)),
        lambda operands: sample(operands, fmt, cover),
        cover,
    )
