"""The bench of every unit: its stimuli through the Verilog, every bit against `lns.reference`."""

from typing import Any

import cocotb
from lns_bench import Job, run


@cocotb.test()
async def unit(dut: Any) -> None:
    """Every word and event flag equals the definition's."""
    await run(dut, Job.load())
