"""The command line: ``lns COMMAND …``.

Exit codes: 0 done; 1 it ran and the answer is no (a verification found mismatches); 2 the input or the command line
is wrong, or something that is needed is missing; 130 stopped from the keyboard.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence

import lns
from lns.files import atomic_write, memh_text
from lns.gausslog import TableKind, rom_width, table
from sim.report import show

Run = Callable[[argparse.Namespace], int]


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("design", help="a preset or a design file (.toml)")
    parser.add_argument("--toml", action="store_true", help="the design file itself, with every default written out")


def _run_show(args: argparse.Namespace) -> int:
    design = lns.load(args.design)
    if args.toml:
        print(design.to_toml(), end="")
    else:
        described = show.describe(design)
        print(json.dumps(described, indent=2) if args.json else show.text(described))
    return 0


def _add_table(parser: argparse.ArgumentParser) -> None:
    from pathlib import Path

    parser.add_argument("kind", help="full, coarse<k>, linear<k,g> or mitchell")
    parser.add_argument("frac_bits", type=int, help="fraction bits F of the words")
    parser.add_argument("--out", type=Path, help="folder for the ROMs as $readmemh images")


def _run_table(args: argparse.Namespace) -> int:
    kind = TableKind.parse(args.kind)
    described = show.describe_errors(kind, args.frac_bits)
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        for name, rom in table(kind, args.frac_bits).roms.items():
            title = f"Gaussian logarithm, {kind}, F = {args.frac_bits}: {name}, by lns table"
            with atomic_write(args.out / f"{name}.mem") as file:
                file.write(memh_text(rom, rom_width(rom), title).encode())
    print(json.dumps(described, indent=2) if args.json else show.errors_text(described))
    return 0


def _commands() -> dict[str, tuple[str, Callable[[argparse.ArgumentParser], None], Run]]:
    from sim.cost import command as costing
    from sim.report import diff, error, sweep_command
    from sim.rtl import command as bundling
    from sim.sweep import command as sweeping
    from sim.sweep import pareto
    from sim.train import command as training
    from sim.verify import command as verifying
    from sim.verify import mutate as mutating
    from sim.verify.prove import command as proving

    return {
        "train": ("train a network on a design, or with a float baseline", training.add_train, training.run_train),
        "demo": ("train on digits in a minute, beside float32 Madam", training.add_demo, training.run_demo),
        "eval": ("accuracy of a run, or of imported float weights", training.add_eval, training.run_eval),
        "export": ("tensors of a run as memory images", training.add_export, training.run_export),
        "show": ("a design in words", _add_show, _run_show),
        "table": ("size and error of a table of Gaussian logarithms", _add_table, _run_table),
        "rtl": ("the Verilog of a design as a bundle that stands alone", bundling.add_arguments, bundling.run),
        "verify": ("check the Verilog of a design against the definition", verifying.add_arguments, verifying.run),
        "prove": ("prove that the Verilog of a design is the definition", proving.add_arguments, proving.run),
        "mutate": ("plant faults in the Verilog and count what is caught", mutating.add_arguments, mutating.run),
        "error": ("how far each unit is from exact arithmetic", error.add_arguments, error.run),
        "cost": ("area, delay, power, energy of a training step", costing.add_arguments, costing.run),
        "sweep": ("train, price and verify many designs", sweeping.add_arguments, sweeping.run),
        "report": ("results of a sweep as one page, and as figures", sweep_command.add_arguments, sweep_command.run),
        "pareto": ("the best designs of a sweep", pareto.add_pareto, pareto.run_pareto),
        "best": ("one design of a sweep as a file", pareto.add_best, pareto.run_best),
        "diff": ("the first word in which two runs or traces differ", diff.add_arguments, diff.run),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="lns", description="A bit-accurate simulator of LNS hardware that learns.")
    parser.add_argument("--version", action="version", version=f"lns {lns.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (text, add, run) in _commands().items():
        sub = commands.add_parser(name, help=text, description=text)
        add(sub)
        if not any("--json" in action.option_strings for action in sub._actions):
            sub.add_argument("--json", action="store_true", help="print JSON")
        sub.set_defaults(function=run)
    args = parser.parse_args(argv)
    try:
        code = int(args.function(args))
        sys.stdout.flush()  # a full disk or a closed pipe shows here
        return code
    except ValueError as error:  # DesignError, DataError, RunError: the user's input
        print(f"lns: error: {error}", file=sys.stderr)
        return 2
    except MemoryError as error:
        print(f"lns: error: not enough memory: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"lns: error: {where}{error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
