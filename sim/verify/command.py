"""``lns verify``: the Verilog of a design against its definition, in a simulator."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from lns.design import DesignError, load
from sim.rtl.limits import check_roms
from sim.train.trace import TraceError, load_trace
from sim.verify.runner import RANDOM_COUNT, TIMEOUT, Report, Settings, verify_all
from sim.verify.tools import SIMULATORS, MissingTool
from sim.verify.unit import Unit, VerifyError
from sim.verify.units import UNITS, MissingUnit, check_unit, instances, units_of
from sim.verify.wrapper import DEPTH, PIPELINE

WAVES_DIR = Path("sim_build")

_ROW = "{:<18} {:<9} {:>12} {:>10} {:>10} {:>8} {:>7}  {:<6}  {}"
_HEADER = _ROW.format(
    "unit", "simulator", "transactions", "exhaustive", "mismatches", "coverage", "time", "result", "instance: where"
)


class WrongInput(VerifyError):
    """Arguments that name nothing to verify."""


def natural(text: str) -> int:
    """An integer from 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must not be negative, got {value}")
    return value


def add_units(parser: argparse.ArgumentParser, known: Sequence[str], default: str) -> None:
    """The argument ``--unit``, which may be given several times."""

    def one(text: str) -> str:
        try:
            check_unit(text, known)
        except VerifyError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return text

    parser.add_argument(
        "--unit", action="append", type=one, metavar="UNIT", help=f"default: {default}; there is {', '.join(known)}"
    )


def failed(error: DesignError | TraceError | VerifyError) -> int:
    """Say what is wrong: 2 if it is the input or if something is missing, 1 if nothing is known of a unit's bits."""
    print(f"lns: error: {error}", file=sys.stderr)
    return 2 if isinstance(error, (DesignError, TraceError, MissingTool, MissingUnit, WrongInput)) else 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``lns verify``."""
    parser.add_argument("design", nargs="?", metavar="DESIGN", help="a preset's name or a design file")
    add_units(parser, UNITS, "all that the design has")
    parser.add_argument(
        "--trace", type=Path, metavar="FILE", help="replay the operands of a training step (lns train --trace) instead"
    )
    parser.add_argument("--simulator", choices=SIMULATORS, default="icarus")
    parser.add_argument("--rtl", type=Path, metavar="DIR", help="your own Verilog: replaces files of the same names")
    parser.add_argument("--depth", type=natural, default=DEPTH, help=f"register stages of wrappers (default {DEPTH})")
    parser.add_argument("--waves", action="store_true", help=f"write waves under {WAVES_DIR}/, one transaction a clock")
    parser.add_argument("--seed", type=natural, default=0, help="of the random stimuli (default 0)")
    parser.add_argument(
        "--count", type=natural, default=RANDOM_COUNT,
        help=f"random transactions where all are too many (default {RANDOM_COUNT})",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=float, default=TIMEOUT, metavar="S", help=f"seconds for one unit (default {TIMEOUT:g})"
    )
    parser.add_argument("--jobs", type=natural, default=os.cpu_count() or 1, help="at once (default: one a core)")
    parser.add_argument("--json", action="store_true", help="print reports as JSON")


def chosen_units(design_name: str, names: list[str] | None) -> list[Unit]:
    """The instances of some units in a design, or of all.

    Raises
    ------
    DesignError, MissingUnit
        If there is no such design, its tables would be absurdly large, or it has none of a unit.
    """
    design = load(design_name)
    check_roms(design)
    found = []
    for name in names or units_of(design):
        own = instances(design, name)
        if not own:
            raise MissingUnit(f"design {design.name} has no {name}; it has {', '.join(units_of(design))}")
        found += own
    return found


def check_replacement(folder: Path | None, units: list[Unit]) -> None:
    """`WrongInput` if a folder with a user's Verilog has nothing that one of the units is made of."""
    if folder is None:
        return
    if not folder.is_dir():
        raise WrongInput(f"--rtl {folder}: no such folder")
    wanted = sorted({PIPELINE, *(source for unit in units for source in unit.sources)})
    if not any((folder / name).is_file() for name in wanted):
        raise WrongInput(f"--rtl {folder}: has none of {', '.join(wanted)}, so nothing of it would be checked")


def run(args: argparse.Namespace) -> int:
    """Run ``lns verify``: 0 if every bit agreed, 1 if not, 2 if the design, a unit of it or a tool is missing."""
    jobs = max(1, args.jobs)
    root = WAVES_DIR if args.waves else None
    settings = Settings(
        args.simulator, args.seed, args.count, args.depth, args.waves, root, args.rtl, jobs, args.timeout
    )
    show = None if args.json else _show
    try:
        if args.trace is not None:
            reports = _replay(args, settings, show)
        else:
            if args.design is None:
                raise WrongInput("DESIGN is required, or --trace FILE")
            units = chosen_units(args.design, args.unit)
            check_replacement(args.rtl, units)
            if not args.json:
                print(_HEADER)
            # compiled units share the processes that compute what is expected
            reports = verify_all(units, settings, 1 if args.simulator == "compiled" else jobs, show)
    except (DesignError, TraceError, VerifyError) as error:
        return failed(error)
    if args.json:
        print(json.dumps([report.to_dict() for report in reports], indent=2))
    else:
        print(_summary(reports))
    return 0 if all(report.passed for report in reports) else 1


def _replay(args: argparse.Namespace, settings: Settings, show: Callable[[Report], None] | None) -> list[Report]:
    """The operands of a trace through the units of its design, or through some of them."""
    from sim.verify.replay import replay  # needs the training loop

    trace = load_trace(args.trace)
    if args.design is not None and load(args.design) != trace.design:
        raise WrongInput(f"{args.trace}: was recorded on another design than {args.design}")
    if not args.json:
        print(f"step {trace.step} on {trace.design.name}, seed {trace.seed}: {len(trace.calls)} calls")
        print(_HEADER)
    return replay(trace, args.trace, settings, args.unit, show)


def _show(report: Report) -> None:
    bins = len(report.coverage)
    print(
        _ROW.format(
            report.unit,
            report.simulator,
            report.transactions,
            "yes" if report.exhaustive else "no",
            report.mismatches,
            f"{bins - len(report.uncovered)}/{bins}" if bins else "-",
            f"{report.seconds:.1f} s",
            "passed" if report.passed else "FAILED",
            f"{report.instance}: {report.label}" if report.label else report.instance,
        ),
        flush=True,
    )
    if report.build_dir:
        print(f"  logs and waves: {report.build_dir}")
    for text in report.failures:
        print(f"  {text}")
    for name in report.uncovered:
        print(f"  not covered: {name}")


def _summary(reports: list[Report]) -> str:
    failed = [report for report in reports if not report.passed]
    verdict = f"{len(failed)} FAILED" if failed else "all passed"
    transactions, mismatches = (sum(getattr(r, name) for r in reports) for name in ("transactions", "mismatches"))
    return f"{len(reports)} instances, {transactions} transactions, {mismatches} mismatches: {verdict}"
