"""A picture of each benchmark's result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

Rows = Sequence[dict[str, Any]]


def _bars(axes: Axes, rows: Rows, names: Sequence[str], key: str, label: str) -> None:
    """Horizontal bars of medians, with least and most; what is required is a mark on the bar."""
    middles = [row[key]["median"] for row in rows]
    below = [row[key]["median"] - row[key]["least"] for row in rows]
    above = [row[key]["most"] - row[key]["median"] for row in rows]
    axes.barh(range(len(rows)), middles, xerr=[below, above], color="tab:blue", ecolor="0.4")
    required = [(row["required"], place) for place, row in enumerate(rows) if row.get("required")]
    if required:
        values, places = zip(*required, strict=True)
        axes.plot(values, places, "|", color="tab:red", markersize=14, markeredgewidth=2, label="required")
        axes.legend()
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    axes.grid(axis="x", alpha=0.3)


def _figure(rows: int) -> tuple[Any, Axes]:
    return plt.subplots(figsize=(9, 1.2 + 0.24 * rows), layout="constrained")


def products(rows: Rows) -> Any:
    """Ratios to float32 BLAS."""
    figure, axes = _figure(len(rows))
    _bars(
        axes, rows, [f"{row['name']}, {row['path']}, N = {row['size']}" for row in rows], "to_blas", "of float32 BLAS"
    )
    axes.set_xscale("log")
    return figure


def elementwise(rows: Rows) -> Any:
    """Bandwidths beside that of a copy."""
    figure, axes = _figure(len(rows))
    _bars(axes, rows, [row["name"] for row in rows], "of_copy", "bandwidth beside that of a copy")
    axes.set_xscale("log")
    return figure


def bound(rows: Rows) -> Any:
    """What each kernel attains of its bound."""
    figure, axes = _figure(len(rows) + 1)
    names = [f"{row['name']}, {row['path']}" for row in rows]
    _bars(axes, rows, names, "attained", "bound over measured time")
    return figure


def step(rows: Rows) -> Any:
    """Times of a step, products and rest apart."""
    figure, axes = _figure(len(rows) + 3)
    for place, row in enumerate(rows):
        parts = {key: row.get(key, {"median": 0.0})["median"] for key in ("products_ms", "rest_ms")}
        start = 0.0
        whole = {"PyTorch": row["ms"]["median"]} if "products_ms" not in row else parts
        for (name, value), color in zip(whole.items(), ("tab:blue", "tab:orange"), strict=False):
            axes.barh(place, value, left=start, color="0.6" if name == "PyTorch" else color)
            start += value
        if row["required"]:
            axes.plot(row["required"] * rows[0]["ms"]["median"], place, "|", color="tab:red", markersize=18)
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("ms a step: products (blue), rest (orange); red: at most")
    return figure


def sizes(rows: Rows) -> Any:
    """Cost a multiply-accumulate against N and against B."""
    figure, both = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    for axes, against, key in zip(both, ("N", "B"), ("size", "bits"), strict=True):
        some = [row for row in rows if row["against"] == against]
        for name in dict.fromkeys(row["name"] for row in some):
            for threads in sorted({row["threads"] for row in some}):
                line = [row for row in some if row["name"] == name and row["threads"] == threads]
                axes.plot(
                    [row[key] for row in line], [row["ns_per_mac"]["median"] for row in line],
                    "o-" if threads == 1 else "x--", label=f"{name}, {threads} thread{'s' * (threads > 1)}",
                )  # fmt: skip
        axes.set_yscale("log")
        if against == "N":
            axes.set_xscale("log", base=2)
        axes.set_xlabel(against)
        axes.set_ylabel("ns a multiply-accumulate")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return figure


def sweep(rows: Rows) -> Any:
    """Overhead of a point."""
    some = [row for row in rows if row["part"] == "overhead"]
    figure, axes = _figure(len(some) + 1)
    _bars(axes, some, [row["name"] for row in some], "ms_a_point", "ms a point that does nothing")
    return figure


PLOTS: dict[str, Callable[[Rows], Any]] = {
    "products": products, "bound": bound, "elementwise": elementwise, "sizes": sizes, "step": step, "sweep": sweep,
}  # fmt: skip


def draw(name: str, rows: Rows, path: Path) -> None:
    """The picture of one benchmark's rows."""
    figure = PLOTS[name](rows)
    figure.savefig(path, dpi=120)
    plt.close(figure)
