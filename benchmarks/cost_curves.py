"""What each field of a design costs: one at a time around madam8, element and update unit alone.

    python -m benchmarks.cost_curves [--no-delays] [--out runs/cost-curves]

Area and energy of a multiply-accumulate (its element, over its 16 lanes, all products of the step alike) or of an
update, with the cells of OSU's 0.18 µm library. Leaves curves.json and curves.png.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt

import lns
from lns.design import Design
from sim.cost.machine import price_all, recorded_work
from sim.cost.price import Price
from sim.cost.settings import Settings, make_settings
from sim.cost.workload import Workload, record

WORDS = ("activation", "error", "gradient", "operand")


def _words(fmt: str) -> dict[str, Any]:
    return {f"formats.{name}": fmt for name in WORDS}


#: title -> (unit, label of a point -> changes of madam8)
CURVES: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "bits of a word (3 of them fraction)": (
        "element", {str(bits): _words(f"lns<{bits},3>") for bits in (5, 6, 7, 8, 9, 10)}
    ),
    "fraction bits (of 8)": ("element", {str(bits): _words(f"lns<8,{bits}>") for bits in (1, 2, 3, 4, 5)}),
    "accumulator bits (guard = bits − 12)": (
        "element",
        {str(bits): {"accumulator.bits": bits, "accumulator.guard": bits - 12} for bits in (16, 20, 24, 28, 32, 40)},
    ),
    "table of the update's moment": (
        "update",
        {kind: {"update.table": kind} for kind in ("full", "coarse<4>", "coarse<8>", "linear<8,4>", "mitchell")},
    ),
}  # fmt: skip


def priced(design: Design, unit: str, settings: Settings) -> Price:
    """The element or the update unit of a design."""
    work = recorded_work(record(design, settings.workload))
    some = {one: by_label for one, by_label in work.items() if one.module.startswith(f"lns_{unit}")}
    return price_all(design.name, some, settings, lambda text: print(text, file=sys.stderr))[0][1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-delays", action="store_true", help="gates without delays: no glitches")
    parser.add_argument("--out", type=Path, default=Path("runs/cost-curves"))
    args = parser.parse_args()
    settings = make_settings(Workload(), annotated=not args.no_delays, beats=30)
    base = lns.load("madam8")
    rows = []
    for title, (unit, points) in CURVES.items():
        for label, changes in points.items():
            one = priced(replace(base.override(changes), name=f"{title}: {label}"), unit, settings)
            share = base.accumulator.lanes if unit == "element" else 1
            energy = sum(one.recorded.values()) / len(one.recorded) / share
            rows.append({"curve": title, "point": label, "gate_equivalents": one.gate_equivalents / share,
                         "energy": energy, "critical_path": one.critical_path, "verified": one.verified})  # fmt: skip
            print(f"| {title} | {label} | {one.gate_equivalents / share:.0f} | {energy * 1e12:.3g} pJ | "
                  f"{one.critical_path * 1e9:.3g} ns |", flush=True)  # fmt: skip
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "curves.json").write_text(json.dumps(rows, indent=1) + "\n")
    draw(rows, args.out / "curves.png")
    return 0


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """A panel a curve: bars of area, a line of energy."""
    figure, panels = plt.subplots(2, 2, figsize=(10, 6.5), layout="constrained")
    for axes, title in zip(panels.flat, CURVES, strict=True):
        mine = [row for row in rows if row["curve"] == title]
        labels = [row["point"] for row in mine]
        what = "lane" if CURVES[title][0] == "element" else "update unit"
        axes.bar(labels, [row["gate_equivalents"] for row in mine], color="#56B4E9", label="area")
        axes.set_ylabel(f"gate equivalents a {what}")
        axes.set_title(title, fontsize=10)
        energy = axes.twinx()
        energy.plot(labels, [row["energy"] * 1e12 for row in mine], "o-", color="#D55E00", label="energy")
        energy.set_ylabel("pJ", color="#D55E00")
        energy.set_ylim(bottom=0)
        axes.tick_params(axis="x", labelsize=8)
    figure.savefig(path, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
