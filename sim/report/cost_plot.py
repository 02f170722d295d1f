"""Energy of a training step as stacked bars: by kind, and by layer; and the files of ``lns cost --out``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lns.files import atomic_write
from sim.cost.step import KINDS, StepEnergy

if TYPE_CHECKING:
    from sim.cost.machine import Cost

__all__ = ["plot_kinds", "plot_layers", "save"]

# Okabe and Ito's colours, which the colour-blind tell apart; hatches for print without colour
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#BBBBBB", "#56B4E9", "#F0E442", "#D55E00")
_HATCHES = ("", "//", "..", "", "\\\\", "xx", "--")
_UNITS = {1.0: "J", 1e-3: "mJ", 1e-6: "µJ", 1e-9: "nJ", 1e-12: "pJ"}


def _draw(path: Path, size: tuple[float, float], fill: Callable[[Any], None]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=size, layout="constrained")
    fill(figure)
    with atomic_write(path) as file:
        figure.savefig(file, format=path.suffix.lstrip("."), dpi=150)
    plt.close(figure)


def _unit(largest: float) -> tuple[float, str]:
    """The scale in which the largest value has one to three digits before the point."""
    return next(((scale, name) for scale, name in _UNITS.items() if largest >= scale), (1e-12, "pJ"))


def _stack(axes: Any, parts: Sequence[dict[str, float]], scale: float) -> None:
    """A bar for each of ``parts``, of all kinds that are not zero everywhere, and its sum above it."""
    height = [0.0] * len(parts)
    for kind, colour, hatch in zip(KINDS, _COLOURS, _HATCHES, strict=True):
        values = [part[kind] / scale for part in parts]
        if any(values):
            axes.bar(
                range(len(parts)), values, 0.7, height, label=kind, color=colour, hatch=hatch,
                edgecolor="#333333", linewidth=0.5,
            )  # fmt: skip
        height = [below + value for below, value in zip(height, values, strict=True)]
    for place, top in enumerate(height):
        axes.annotate(
            f"{top:#.3g}".rstrip("."), (place, top), (0, 2), textcoords="offset points", ha="center", fontsize=9
        )
    axes.set_ylim(0, 1.1 * max(height))
    axes.grid(True, axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def _legend(axes: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()  # the uppermost part first, as in the bars
    axes.figure.legend(handles[::-1], labels[::-1], loc="outside right upper", frameon=False, handleheight=1.3)


def plot_kinds(results: Sequence[StepEnergy], path: Path, title: str) -> None:
    """A bar a machine: energy of the same training step, by kind.

    Parameters
    ----------
    results : sequence of StepEnergy
    path : Path
        A file that matplotlib can write, by its suffix (.png, .svg, .pdf).
    title : str
    """

    def fill(figure: Any) -> None:
        axes = figure.subplots()
        scale, unit = _unit(max(result.total for result in results))
        _stack(axes, [result.by_kind for result in results], scale)
        names = [result.machine.name for result in results]
        axes.set_xticks(range(len(names)), names, rotation=20 if len(names) > 5 else 0)
        axes.set(ylabel=f"energy of a training step ({unit})", title=title)
        _legend(axes)

    _draw(path, (3.4 + 0.95 * len(results), 4.2), fill)


def plot_layers(results: Sequence[StepEnergy], path: Path, title: str) -> None:
    """A panel a machine, all to the same scale: energy by layer, each by kind.

    Parameters
    ----------
    results : sequence of StepEnergy
        Of the same network.
    path : Path
        A file that matplotlib can write, by its suffix (.png, .svg, .pdf).
    title : str
    """

    def fill(figure: Any) -> None:
        panels = figure.subplots(1, len(results), sharey=True, squeeze=False)[0]
        scale, unit = _unit(max(sum(kinds.values()) for result in results for kinds in result.by_layer.values()))
        tops = []
        for axes, result in zip(panels, results, strict=True):
            layers = result.by_layer
            _stack(axes, list(layers.values()), scale)
            tops.append(axes.get_ylim()[1])
            axes.set_xticks(range(len(layers)), list(layers), rotation=30)
            axes.set_title(result.machine.name, fontsize=10)
        panels[0].set_ylim(0, max(tops))
        panels[0].set_ylabel(f"energy of a training step ({unit})")
        figure.suptitle(title)
        _legend(panels[0])

    _draw(path, (3.2 + 1.5 * len(results), 4.2), fill)


def save(costs: Sequence[Cost], folder: Path) -> None:
    """Write ``cost.json``, ``kinds.png`` and ``layers.png`` into a folder that exists.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    with atomic_write(folder / "cost.json") as file:
        file.write(json.dumps([cost.to_dict() for cost in costs], indent=1).encode())
    steps = [cost.step for cost in costs]
    plot_kinds(steps, folder / "kinds.png", "Energy of a training step, by kind")
    plot_layers(steps, folder / "layers.png", "Energy of a training step, by layer")
