"""``lns rtl``: the Verilog of a design as a bundle that stands alone."""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path

from lns.design import load
from sim.rtl.bundle import build, check_target, write
from sim.verify.command import natural

VECTORS = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``lns rtl``."""
    parser.add_argument("design", metavar="DESIGN", help="a preset's name or a design file")
    parser.add_argument("-o", "--out", type=Path, metavar="DIR", required=True, help="the bundle, a new folder")
    parser.add_argument("--force", action="store_true", help="replace a bundle in DIR, with all that is in it")
    parser.add_argument(
        "--vectors", type=natural, default=VECTORS, metavar="N",
        help=f"random transactions of each bench; corners come on top (default {VECTORS})",
    )  # fmt: skip
    parser.add_argument("--seed", type=natural, default=0, help="of the random transactions (default 0)")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")


def run(args: argparse.Namespace) -> int:
    """Run ``lns rtl``: 0 if the bundle is there. The command line reports a design that does not exist or that there is
    no Verilog for, a ROM that would be too large, and a folder in use."""
    check_target(args.out, args.force)
    bundle = build(load(args.design), args.vectors, args.seed)
    write(bundle, args.out, args.force)
    described = bundle.describe()
    if args.json:
        print(json.dumps(described, indent=2))
        return 0
    print(f"{args.out}: {described['files']} files, {len(bundle.instances)} instances")
    print(f"next: cd {shlex.quote(str(args.out))} && make lint sim synth; make help tells more; see README.md")
    return 0
