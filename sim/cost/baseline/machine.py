"""Baselines priced as designs are: the same array, clock, memories and training step, in floating point or integers."""

from __future__ import annotations

from dataclasses import replace

from lns.design import Core
from sim.cost.baseline.elements import Element, instances
from sim.cost.baseline.operands import recorded, uniform
from sim.cost.cycles import Array, Count, counts_of, float_words
from sim.cost.errors import CostError
from sim.cost.machine import Cost, Report, assemble, price_all, unit_cost
from sim.cost.operands import Recorded
from sim.cost.price import UNIFORM
from sim.cost.settings import Settings
from sim.cost.step import step_energy
from sim.cost.workload import Products, float_products

__all__ = ["BASELINES", "LANES", "baseline_cost"]

LANES = 16  #: of an element, and update lanes, as in the presets

#: names that stand for baselines in the place of a design
BASELINES = tuple(instances(LANES))

_UPDATE = "update"
_BEATS = 1000  # of each product that are compared


def baseline_cost(
    name: str, settings: Settings, core: Core | None = None, lanes: int = LANES, report: Report = lambda text: None
) -> Cost:
    """Price a baseline.

    Its update is SGD with momentum, m ← µ·m + g and w ← w − η·m: two float32 multiply-accumulators a weight, priced as
    such on the operands of the forward products. Its ReLU, loss and casts of weights are left out, in its favour. Where
    lanes have a sum each, one lane is priced.

    Parameters
    ----------
    name : str
        One of `BASELINES`.
    settings : Settings
    core : Core, optional
        By default that of a design that does not name one.
    lanes : int
        Multiply-accumulates a clock of an element, and weights that are updated a clock.
    report : callable
        Told what is being done, a line at a time.

    Raises
    ------
    CostError, MissingTool
        As `sim.cost.machine.design_cost`.
    """
    if name not in BASELINES:
        raise CostError(f"baseline: must be one of {', '.join(BASELINES)}, got {name!r}")
    core = core or Core()
    whole, single = instances(lanes)[name], instances(1)["float32"]
    # lanes that share nothing but their handshake: one is priced, and taken as often as there are lanes
    copies = lanes if whole.outputs_at_once > 1 else 1
    element = instances(1)[name] if copies > 1 else whole
    products = float_products(settings.workload)
    step = _counts(products) if settings.step is None else settings.step
    forward = {label: pair for label, pair in products.items() if label.startswith("forward")}
    work: Recorded = {element: _work(element, products)}
    work.setdefault(single, _work(single, forward))  # float32 is both
    prices = [one for _, one in price_all(name, work, settings, report)]
    words = float_words(element.word_bits)
    array = Array(
        core.rows, core.columns, lanes, update_lanes=lanes, ports=core.operand_ports, outputs=whole.outputs_at_once
    )
    adder = unit_cost(_UPDATE, [prices[-1]])
    update = replace(adder, energy={_UPDATE: sum(adder.energy.values()) / len(adder.energy)}, copies=2)
    unpriced = ("convert", "relu", "loss") if words.copies else ("relu", "loss")
    lane = replace(unit_cost("element", [prices[0]]), copies=copies)
    machine = assemble(name, core, array, words, [], settings, (lane, update), unpriced)
    priced = ("element", prices[0]), (_UPDATE, prices[-1])
    return Cost(name, priced, step_energy(machine, step), (element, single))


def _work(element: Element, products: Products) -> dict[str, list[tuple[tuple[int, ...], ...]]]:
    work = {label: recorded(element, a.astype(float), b.astype(float), _BEATS) for label, (a, b) in products.items()}
    terms = next(iter(products.values()))[0].shape[1]
    return work | {UNIFORM: uniform(element, _BEATS, 0, terms)}


def _counts(products: Products) -> tuple[Count, ...]:
    """What the step computed whose products these are."""
    forward = [(a.shape, b.shape) for label, (a, b) in products.items() if label.startswith("forward")]
    (batch, inputs), _ = forward[0]
    return counts_of([inputs - 1, *(b[1] for _, b in forward)], batch)
