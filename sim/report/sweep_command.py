"""``lns report``: the results of a sweep as one page, and as figures."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from lns.files import atomic_write
from sim.report import sweep_page, sweep_plot
from sim.report.sweep_data import cost_settings


class ReportError(ValueError):
    """A report that cannot be made."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``lns report``."""
    parser.add_argument("store", type=Path, metavar="STORE", help="what lns sweep has written")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="the page (.html), which needs no other file")
    parser.add_argument(
        "--figures", type=Path, metavar="DIR", help="folder for the same figures as PNG, SVG and PDF, for a paper"
    )
    parser.add_argument("--sweep", metavar="NAME", help="one sweep of the store (default: all)")


def run(args: argparse.Namespace) -> int:
    """Run ``lns report``: 0 if everything asked for is written."""
    from sim.sweep.results import load_results

    if args.out is None and args.figures is None:
        raise ReportError("nothing to write: -o FILE for the page, --figures DIR for figures, or both")
    results = load_results(args.store, args.sweep)
    if not results:
        raise ReportError(f"{args.store}: no points here")
    written: list[Path] = []
    if args.out is not None:
        page = sweep_page.page(results, args.store, cost_settings(args.store))
        with atomic_write(args.out) as file:
            file.write(page.encode())
        written.append(args.out)
    if args.figures is not None:
        written += sweep_plot.figures(results, args.figures)
    if args.json:
        print(json.dumps({"points": len(results), "files": [str(path) for path in written]}, indent=2))
    else:
        print("\n".join(str(path) for path in written))
    return 0
