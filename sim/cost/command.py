"""``lns cost``: area, delay, power, and the energy of a training step."""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from lns.design import Design, load
from sim.cost.baseline.machine import BASELINES, baseline_cost
from sim.cost.cycles import counts_of
from sim.cost.errors import CostError
from sim.cost.extras import Wanted, extras_of
from sim.cost.liberty import ROM_BITS
from sim.cost.machine import Cost, design_cost, require_design
from sim.cost.settings import DEFAULT_PERIOD_FO4, Settings, make_settings
from sim.cost.workload import Workload
from sim.report import cost_plot, cost_text
from sim.train.command import changed_fields
from sim.train.trace import load_trace

__all__ = ["add_arguments", "parse_period", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "chips", nargs="+", metavar="DESIGN", help=f"presets, design files, or baselines: {', '.join(BASELINES)}"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="change a field of every design"
    )
    parser.add_argument(
        "--liberty", type=Path, metavar="FILE", help="cell library, .lib or .lib.gz (default: OSU 0.18 µm)"
    )
    parser.add_argument("--node", type=int, metavar="NM", help="process node of the library, for the memories' model")
    parser.add_argument("--clock", metavar="PERIOD", help=f"10ns or 100MHz (default: {DEFAULT_PERIOD_FO4} FO4)")
    parser.add_argument("--data", help="training step that is recorded: digits (default), fashion-mnist, a folder")
    parser.add_argument("--hidden", help="its hidden layers, as 256,128 (default: 128)")
    parser.add_argument("--batch", type=int, help="its samples (default: 128)")
    parser.add_argument("--seed", type=int, help="of its training (default: 0)")
    parser.add_argument(
        "--trace", type=Path, metavar="FILE", help="operands of a step that lns train --trace recorded, instead"
    )
    parser.add_argument(
        "--network", metavar="784-128-10", help="energy of a step of this network, instead of the recorded one"
    )
    parser.add_argument("--beats", type=int, default=60, help="of each call, with which power is measured")
    parser.add_argument("--no-delays", action="store_true", help="gates without delays: faster, and blind to glitches")
    parser.add_argument(
        "--wire-capacitance", type=float, default=0.0, metavar="FF", help="fF for each pin that a net drives"
    )
    parser.add_argument(
        "--rom-macro", type=int, default=ROM_BITS, metavar="BITS",
        help="ROMs of more bits are memory macros, by a model (default: 2^20)",
    )
    parser.add_argument("--fpga", action="store_true", help="LUTs, block RAM and clock of each unit in an iCE40 HX8K")
    parser.add_argument("--depths", metavar="0,1,2,4", help="least period of each unit with so many register stages")
    parser.add_argument("--prove", action="store_true", help="small netlists equal to their Verilog, for all inputs")
    parser.add_argument("--out", type=Path, metavar="DIR", help="cost.json, and plots of the step's energy")


def parse_period(text: str) -> float:
    """Seconds of ``10ns``, ``500ps``, ``100MHz``, ``1GHz``.

    Raises
    ------
    CostError
        If it is none of these, or not above 0.
    """
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*(ps|ns|us|µs|MHz|GHz|kHz)", text.strip())
    value = float(found[1]) if found else 0.0
    if found is None or value == 0:
        raise CostError(f"--clock: must be a period or a frequency as 10ns or 100MHz, got {text!r}")
    unit = {"ps": 1e-12, "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9}[found[2]]
    return 1 / (value * unit) if found[2].endswith("Hz") else value * unit


def settings_of(args: argparse.Namespace) -> Settings:
    """What the arguments ask for."""
    hidden, widths = _sizes("--hidden", args.hidden, ","), _sizes("--network", args.network, "-")
    own = {"data": args.data, "hidden": hidden, "batch": args.batch, "seed": args.seed}
    workload = Workload(**{name: value for name, value in own.items() if value is not None})
    if args.trace is not None:
        told = [f"--{name}" for name, value in own.items() if value is not None and not (widths and name == "batch")]
        if told:
            raise CostError(f"--trace has its own step of training: {' '.join(told)} must not be given beside it")
    return make_settings(
        workload,
        args.liberty,
        parse_period(args.clock) if args.clock else None,
        args.node,
        not args.no_delays,
        args.wire_capacitance * 1e-15,
        args.beats,
        counts_of(widths, workload.batch) if widths else None,
        trace=None if args.trace is None else load_trace(args.trace),
        rom_bits=args.rom_macro,
    )


def _sizes(option: str, text: str | None, between: str) -> tuple[int, ...] | None:
    """Whole numbers of an option, or None where it is not given."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(between) if part.strip())
    except ValueError:
        example = between.join("842")
        raise CostError(f"{option}: whole numbers as {example} are required, got {text!r}") from None


def run(args: argparse.Namespace) -> int:
    changes = changed_fields(args.set)
    chips: list[str | Design] = [name if name in BASELINES else load(name).override(changes) for name in args.chips]
    settings = settings_of(args)
    wanted = Wanted(args.fpga, _sizes("--depths", args.depths, ",") or (), args.prove)
    wanted.require_tools()
    if settings.trace is not None:
        for chip in chips:
            require_design(settings.trace, chip)
    costs: list[Cost] = []
    for chip in chips:
        if isinstance(chip, Design):
            costs.append(design_cost(chip, settings, _report))
        else:
            costs.append(baseline_cost(chip, settings, report=_report))
    if wanted:
        costs = [
            replace(one, extras=extras_of(one.units, wanted, settings, partial(_report_of, one.name))) for one in costs
        ]
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        cost_plot.save(costs, args.out)
    described = [cost.to_dict() for cost in costs]
    print(json.dumps(described, indent=2) if args.json else cost_text.text(costs, settings))
    return 0


def _report_of(name: str, text: str) -> None:
    _report(f"{name}: {text}")


def _report(text: str) -> None:
    print(f"lns cost: {text}", file=sys.stderr, flush=True)
