"""Every distinct unit of all presets in each way of simulating: transactions, mismatches, operations a second.

    python benchmarks/verification.py [--simulator icarus …] [--unit lns_add …] [--out FILE]

Writes a JSON report a unit as it goes on, and takes up again where it was stopped if FILE is there. Operations a second
are of the simulation alone, with what surrounds it (the bench and the definition in Python, or reading and writing of
vectors), without building.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from lns.design import load, preset_names
from sim.verify.runner import Report, Settings, verify_all
from sim.verify.tools import SIMULATORS
from sim.verify.unit import Unit
from sim.verify.units import UNITS, instances


def distinct(only: list[str] | None) -> dict[str, tuple[Unit, list[str]]]:
    """Slug -> unit and the presets that have it."""
    found: dict[str, tuple[Unit, list[str]]] = {}
    for name in preset_names():
        for unit in instances(load(name)):
            if only is None or unit.module in only:
                found.setdefault(unit.slug, (unit, []))[1].append(name)
    return found


def summary(rows: list[dict[str, object]]) -> str:
    """A table by preset and simulator, and the fastest unit of each simulator."""
    lines = ["| preset | simulator | instances | transactions | exhaustive | mismatches |", "| --- " * 6 + "|"]
    for preset in preset_names():
        for simulator in SIMULATORS:
            own = [row for row in rows if preset in row["presets"] and row["simulator"] == simulator]
            if own:
                total, bad = (sum(row[key] for row in own) for key in ("transactions", "mismatches"))
                complete = sum(bool(row["exhaustive"]) for row in own)
                failed = sum(not row["passed"] for row in own)
                note = f", {failed} FAILED" if failed else ""
                lines.append(f"| {preset} | {simulator} | {len(own)} | {total:,} | {complete} | {bad}{note} |")
    lines += ["", "| simulator | operations a second: median (least … most), instances above 10,000 |", "| --- | --- |"]
    for simulator in SIMULATORS:
        rates = sorted(
            row["transactions"] / row["simulation_seconds"]
            for row in rows
            if row["simulator"] == simulator and row["transactions"] >= 10_000
        )
        if rates:
            lines.append(f"| {simulator} | {rates[len(rates) // 2]:,.0f} ({rates[0]:,.0f} … {rates[-1]:,.0f}) |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulator", action="append", choices=SIMULATORS, help="default: all")
    parser.add_argument("--unit", action="append", choices=UNITS, help="default: all")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=Path("verification.jsonl"))
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.out.read_text().splitlines()] if args.out.is_file() else []
    done = {(row["slug"], row["simulator"]) for row in rows}
    found = distinct(args.unit)
    for simulator in args.simulator or SIMULATORS:
        todo = {slug: both for slug, both in found.items() if (slug, simulator) not in done}
        waiting = iter(todo.items())

        def keep(report: Report, waiting: Iterator[tuple[str, tuple[Unit, list[str]]]] = waiting) -> None:
            slug, (_, presets) = next(waiting)
            rows.append(report.to_dict() | {"slug": slug, "presets": presets})
            with args.out.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
            verdict = "passed" if report.passed else f"FAILED {report.failures[:1]} {report.uncovered}"
            print(f"{report.simulator} {slug}: {report.transactions} in {report.seconds:.0f} s {verdict}", flush=True)

        units = [unit for unit, _ in todo.values()]
        jobs = 1 if simulator == "compiled" else args.jobs
        verify_all(units, Settings(simulator, processes=args.jobs), jobs, keep)
    print(summary(rows))
    return 0 if all(row["passed"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
