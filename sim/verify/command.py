"""``lns verify``: the Verilog of a design against its definition, in a simulator."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from lns.design import DesignError, load
from sim.verify.runner import SIMULATORS, InstanceReport, MissingTool, verify
from sim.verify.units import UNITS, WITHOUT_BENCH, MissingUnit, VerifyError, units_of

WAVES_DIR = Path("sim_build")

_ROW = "{:<17} {:<33} {:<9} {:>12} {:>10} {:>10} {:>8} {:>8}  {:<6}  {}"
_HEADER = _ROW.format(
    "unit", "instance", "simulator", "transactions", "exhaustive", "mismatches", "coverage", "time", "result", "where"
)


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must not be negative, got {value}")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``lns verify``."""
    parser.add_argument("design", metavar="DESIGN", help="a preset's name or a design file")
    parser.add_argument("--unit", action="append", choices=list(UNITS), help="default: all that the design has")
    parser.add_argument("--simulator", choices=SIMULATORS, default="icarus")
    parser.add_argument("--waves", action="store_true", help=f"write waves under {WAVES_DIR}/, one transaction a clock")
    parser.add_argument("--seed", type=_natural, default=0, help="of the random stimuli (default 0)")
    parser.add_argument("--count", type=_natural, help="random transactions where all are too many (default 20000)")
    parser.add_argument("--json", action="store_true", help="print reports as JSON")


def run(args: argparse.Namespace) -> int:
    """Run ``lns verify``: 0 if every bit agreed, 1 if not, 2 if the design, a unit of it or a tool is missing."""
    try:
        design = load(args.design)
    except DesignError as error:
        print(f"lns verify: {error}", file=sys.stderr)
        return 2
    if not args.json:
        print(_HEADER)
    reports = []
    try:
        for unit in args.unit or units_of(design):
            show = None if args.json else _show
            root = WAVES_DIR if args.waves else None
            reports.append(verify(design, unit, args.simulator, args.seed, args.waves, root, args.count, None, show))
    except VerifyError as error:
        print(f"lns verify: {error}", file=sys.stderr)
        return 2 if isinstance(error, (MissingTool, MissingUnit)) else 1
    if args.json:
        print(json.dumps([report.to_dict() for report in reports], indent=2))
    elif not args.unit:
        print(f"not checked, because they have no bench yet: {', '.join(WITHOUT_BENCH)}")
    return 0 if all(report.passed for report in reports) else 1


def _show(report: InstanceReport) -> None:
    bins = len(report.coverage)
    print(
        _ROW.format(
            report.unit,
            report.instance,
            report.simulator,
            report.transactions,
            "yes" if report.exhaustive else "no",
            report.mismatches,
            f"{bins - len(report.uncovered)}/{bins}",
            f"{report.seconds:.1f} s",
            "passed" if report.passed else "FAILED",
            report.label,
        ),
        flush=True,
    )
    for text in report.failures:
        print(f"  {text}")
    for name in report.uncovered:
        print(f"  not covered: {name}")
