"""``lns prove``: the Verilog of a design is, for all inputs, what the definition says."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from lns.design import Design, DesignError, load
from sim.rtl.limits import check_roms
from sim.verify.command import WrongInput, add_units, check_replacement, failed
from sim.verify.prove.engine import Counterexample, Proof, check_tools, provable, prove
from sim.verify.prove.step import Step, parts
from sim.verify.unit import Combinational, Unit, VerifyError
from sim.verify.units import UNITS, MissingUnit, instances, units_of
from sim.verify.units.element import Element

TIMEOUT = 600.0  #: seconds for one instance

_ROW = "{:<17} {:<8} {:>6} {:>10} {:>8} {:>8}  {:<7}  {}"
_HEADER = _ROW.format("unit", "method", "inputs", "definition", "Verilog", "time", "verdict", "instance: where")


def _seconds(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``lns prove``."""
    parser.add_argument("design", metavar="DESIGN", help="a preset's name or a design file")
    add_units(parser, UNITS, "all that can be proven")
    parser.add_argument("--timeout", type=_seconds, default=TIMEOUT, help="seconds for one instance (default 600)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep netlists, graphs and logs there")
    parser.add_argument("--rtl", type=Path, metavar="DIR", help="your own Verilog: replaces files of the same names")
    parser.add_argument("--json", action="store_true", help="print proofs as JSON")


def run(args: argparse.Namespace) -> int:
    """Run ``lns prove``: 0 if all was proven, 1 if not, 2 if the design, a unit of it or a tool is missing."""
    try:
        design = load(args.design)
        check_roms(design)
        units = _chosen(design, args.unit)
        check_replacement(args.rtl, units)
        check_tools()
    except (DesignError, VerifyError) as error:
        return failed(error)
    if not args.json:
        print(_HEADER)
    proofs, complete = [], True
    for unit in filter(provable, units):
        try:
            proofs.append(prove(unit, args.timeout, args.rtl, args.keep))
        except VerifyError as error:  # nothing is known of this one; the others are still worth knowing
            print(f"lns: error: {unit.module} {unit}: {error}", file=sys.stderr)
            complete = False
            continue
        if not args.json:
            _show(proofs[-1])
    if args.json:
        print(json.dumps([proof.to_dict() for proof in proofs], indent=2))
    else:
        for reason, names in _left_out(units).items():
            print(f"tested only (lns verify), because {reason}: {', '.join(names)}")
    return 0 if complete and all(proof.verdict == "proven" for proof in proofs) else 1


def _chosen(design: Design, names: list[str] | None) -> list[Unit]:
    if not names:
        return instances(design)
    units = []
    for name in names:
        found = instances(design, name)
        if not found:
            raise MissingUnit(f"design {design.name} has no {name}; it has {', '.join(units_of(design))}")
        if not any(map(provable, found)):
            raise WrongInput(f"{name} cannot be proven, because {next(iter(_left_out(found)))}: lns verify tests it")
        units += found
    # a proof for any function in a part's place is worth nothing without that of the part
    needed = [part for unit in units if isinstance(unit, Step) for part in parts(unit)]
    return list(dict.fromkeys([*units, *needed]))


def _left_out(units: list[Unit]) -> dict[str, list[str]]:
    """Reason -> units that are not proven."""
    reasons: dict[str, list[str]] = {}
    for unit in units:
        if not provable(unit):
            reason = "its state has no proof yet"
            if isinstance(unit, Combinational):
                reason = "its definition computes with rational numbers"
            elif isinstance(unit, Element):
                reason = "its parts have proofs of their own"
            reasons.setdefault(reason, []).append(unit.module)
    return {reason: list(dict.fromkeys(names)) for reason, names in reasons.items()}


def _show(proof: Proof) -> None:
    sizes = proof.input_bits, proof.definition_ands, proof.rtl_ands
    verdict = "REFUTED" if proof.verdict == "refuted" else proof.verdict
    time = f"{proof.seconds:.1f} s"
    what = f"{proof.instance}: {proof.label}" if proof.label else proof.instance
    print(_ROW.format(proof.unit, proof.method, *sizes, time, verdict, what), flush=True)
    if proof.given and proof.verdict == "proven":
        print(f"  whatever the functions of {' and '.join(proof.given)} are, which have proofs of their own")
    if proof.reason:
        print(f"  not proven: {proof.reason}")
    if proof.counterexample is not None:
        for line in _lines(proof.counterexample):
            print(f"  {line}")


def _lines(example: Counterexample) -> Iterator[str]:
    """A counterexample for people: every operand, and the outputs that differ."""
    for port, value in zip(example.inputs, example.operands, strict=True):
        yield f"{port.name} = {port.show(value)}"
    for port, right, wrong in zip(example.outputs, example.expected, example.got, strict=True):
        if right != wrong:
            yield f"{port.name}: definition {port.show(right)}, Verilog {port.show(wrong)}"
