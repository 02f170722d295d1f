"""Prices of a chip's units as lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from sim.cost.extras import Extra, NoStage
from sim.cost.machine import Cost
from sim.cost.pipelining import Stage
from sim.cost.price import UNIFORM, Price
from sim.cost.settings import Settings
from sim.report import step_text
from sim.report.step_text import si

__all__ = ["text"]

_UNIT = "{:<20} {:>11} {:>8} {:>6} {:>9} {:>9} {:>22} {:>8} {:>9} {:>8}"


def _row(one: Price) -> list[str]:
    beats = [energy for label, energy in one.energy.items() if label != UNIFORM]
    count = sum(energy.beats for energy in beats)
    mean = {
        part: sum(getattr(energy, part) * energy.beats for energy in beats) / count
        for part in ("total", "clock", "internal", "switching")
    }
    shares = " / ".join(f"{100 * mean[part] / mean['total']:.0f}" for part in ("clock", "internal", "switching"))
    uniform = one.energy[UNIFORM].total / mean["total"]
    row = _UNIT.format(
        one.module, f"{one.area_um2:.0f}", f"{one.gate_equivalents:.0f}", one.flip_flops, si(one.critical_path, "s"),
        si(mean["total"], "J"), shares, f"{uniform:.2f}", si(one.leakage, "W"), one.verified,
    )  # fmt: skip
    lines = [row, f"  {one.unit}"]
    if one.estimate:
        share = sum(energy.macro * energy.beats for energy in beats) / count / mean["total"]
        lines.append(
            f"  {one.macros} ROM macros, by a model (estimate): {one.macro_area_um2:.0f} µm² of the area, "
            f"{100 * share:.0f} % of the energy a beat, {si(one.macro_leakage, 'W')} of the leakage, "
            f"access {si(one.macro_access_time, 's')}"
        )
    return lines


def _more(one: Price, extra: Extra) -> list[str]:
    """What was asked of a unit beside its price, a line each."""
    lines = []
    if isinstance(extra.fpga, str):
        lines.append(f"  FPGA: none. {extra.fpga}")
    elif extra.fpga is not None:
        fpga = extra.fpga
        lines.append(
            f"  FPGA iCE40 {fpga.device}: {fpga.luts} LUT4s, {fpga.carries} carries, {fpga.flip_flops} flip-flops, "
            f"{fpga.block_rams} block RAMs, clock at most {si(fpga.frequency, 'Hz')}"
        )
    if isinstance(extra.depths, str):
        lines.append(f"  register stages: none, {extra.depths}")
    else:
        lines += [_stage(stage) for stage in extra.depths]
    proof = extra.proof
    if proof is not None and proof.points:
        lines.append(f"  netlist is the Verilog: proven for all inputs and states, {proof.points} bits")
    elif proof is not None:
        lines.append(f"  netlist is the definition: by {one.verified} beats of operands ({proof.why})")
    return lines


def _stage(stage: Stage | NoStage) -> str:
    title = f"  {stage.depth} register stage{'s' if stage.depth != 1 else ''}: "
    if isinstance(stage, NoStage):
        return f"{title}no figures. {stage.refused}"
    return (
        f"{title}least period {si(stage.period, 's')}, {stage.area_um2:.0f} µm², {stage.flip_flops} flip-flops"
    )  # fmt: skip


def conditions(settings: Settings) -> list[str]:
    """Under which all figures hold."""
    given = settings.conditions
    library = given.library
    wire = given.wire_capacitance * 1e15
    wires = f"{wire:g} fF of wire for each driven pin" if wire else "no wires"
    load, trace = settings.workload, settings.trace
    operands = (
        f"{load.before + 1} of {load.data}, hidden {'-'.join(map(str, load.hidden))}, batch {load.batch}, "
        f"seed {load.seed}"
        if trace is None
        else f"{trace.step} of a trace, seed {trace.seed}"
    )
    return [
        f"{library.name}: {library.voltage:g} V, {library.temperature:g} °C; clock {si(given.period, 's')} "
        f"({si(1 / given.period, 'Hz')}, {given.period / library.fo4:.0f} FO4); {wires}, no clock tree",
        f"activity: gates {'with' if given.annotated else 'without'} delays, operands of training step {operands}",
    ]


def text(costs: Sequence[Cost], settings: Settings) -> str:
    """Units, then steps; of several chips also side by side."""
    lines = conditions(settings)
    for cost in costs:
        lines += [
            "",
            cost.name,
            _UNIT.format("", "", "gate", "flip-", "least", "energy", "% in clock pins /", "uniform", "", "beats"),
            _UNIT.format(
                "unit",
                "area µm²",
                "equiv.",
                "flops",
                "period",
                "a beat",
                "cells / nets",
                "/ real",
                "leakage",
                "verified",
            ),
        ]
        extras = cost.extras or (Extra(),) * len(cost.prices)
        for (_, one), extra in zip(cost.prices, extras, strict=True):
            lines += [*_row(one), *_more(one, extra)]
        lines += [
            f"  a multiply-accumulate {si(cost.mac, 'J')}, a weight's update {si(cost.update, 'J')} (without leakage)",
            "",
            step_text.text(cost.step),
        ]
    if len(costs) > 1:
        lines += ["", step_text.comparison([cost.step for cost in costs])]
    return "\n".join(lines)
