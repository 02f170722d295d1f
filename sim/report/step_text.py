"""Time, traffic and energy of a training step as tables for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sim.cost.step import KINDS, StepEnergy

__all__ = ["comparison", "si", "text"]

_PREFIXES = {-18: "a", -15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}

_PHASE = "{:<11} {:>11} {:>9} {:>9} {:>6} {:>10} {:>10} {:>10} {:>10} {:>10}"
_KIND = "{:<24} {:>10} {:>7}"


def si(value: float, unit: str) -> str:
    """Three digits with an SI prefix: ``12.3 pJ``."""
    if value == 0:
        return f"0 {unit}"
    # rounded first: 999.9 n is 1.00 µ
    value = float(f"{value:.2e}")
    exponent = min(max(3 * math.floor(math.log10(abs(value)) / 3), min(_PREFIXES)), max(_PREFIXES))
    scaled = value / 10.0**exponent
    digits = max(0, 2 - math.floor(math.log10(abs(scaled))))
    return f"{scaled:.{digits}f} {_PREFIXES[exponent]}{unit}"


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %"


def text(result: StepEnergy) -> str:
    """Phases in order, then energy by kind and by layer."""
    machine, array = result.machine, result.machine.array
    lines = [
        f"{machine.name}: one training step, {result.macs} multiply-accumulates",
        f"  {array.rows} × {array.columns} elements of {array.lanes} lanes, clock {si(1 / machine.period, 'Hz')}",
        "",
        _PHASE.format("", "MACs or", "", "", "in", "words", "words", "operand", "main", ""),
        _PHASE.format("phase", "words", "clocks", "time", "use", "read", "written", "buffer", "memory", "energy"),
    ]
    for row in result.rows:
        phase = row.phase
        bandwidth = (si(value / 8, "B/s") for value in result.bandwidth(row))
        lines.append(
            _PHASE.format(
                phase.label, phase.operations, phase.clocks, si(phase.clocks * machine.period, "s"),
                f"{100 * phase.utilisation:.0f} %", phase.words_read, phase.words_written, *bandwidth,
                si(row.total, "J"),
            )
        )  # fmt: skip
    lines.append(
        _PHASE.format(
            "step", result.macs, result.clocks, si(result.seconds, "s"), f"{100 * result.utilisation:.0f} %",
            "", "", "", "", si(result.total, "J"),
        )
    )  # fmt: skip
    lines += ["", f"Energy {si(result.total, 'J')} a step, {si(result.per_mac, 'J')} a multiply-accumulate, "
              f"mean power {si(result.watts, 'W')}"]  # fmt: skip
    parts = result.by_kind | {name: sum(kinds.values()) for name, kinds in result.by_layer.items()}
    lines += [_KIND.format(f"  {name}", si(value, "J"), _share(value, result.total)) for name, value in parts.items()]
    lines += ["", f"Area {machine.area_um2:.4g} µm² with memories, {machine.logic_area_um2:.4g} µm² of logic, "
              f"{machine.gate_equivalents:.4g} gate equivalents"]  # fmt: skip
    if machine.unpriced:
        lines.append(f"Not priced: {', '.join(machine.unpriced)}")
    if machine.estimates:
        lines.append(f"Estimates, by the models of docs/cost-model.md: {', '.join(machine.estimates)}")
    return "\n".join(lines)


def comparison(results: Sequence[StepEnergy]) -> str:
    """The same step on several machines, a column each."""
    names = [result.machine.name for result in results]
    width = max(11, *(len(name) + 2 for name in names))

    def line(title: str, cells: Sequence[str]) -> str:
        return f"{title:<24}" + "".join(f"{cell:>{width}}" for cell in cells)

    lines = [line("energy of a step", names)]
    lines += [line(f"  {kind}", [si(result.by_kind[kind], "J") for result in results]) for kind in KINDS]
    lines += [
        line("  total", [si(result.total, "J") for result in results]),
        line("a multiply-accumulate", [si(result.per_mac, "J") for result in results]),
        line("mean power", [si(result.watts, "W") for result in results]),
        line("time", [si(result.seconds, "s") for result in results]),
        line("logic, gate equivalents", [f"{result.machine.gate_equivalents:.4g}" for result in results]),
    ]
    for result in results:
        if result.machine.unpriced:
            lines.append(f"not priced in {result.machine.name}: {', '.join(result.machine.unpriced)}")
    return "\n".join(lines)
