"""The figures of a sweep's report for a paper: fronts, sensitivity and learning curves as PNG, SVG and PDF."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lns.files import atomic_write
from sim.sweep.pareto import METRICS, Mark, Metric, group_by_data, marks_of, values_of, why_not_compared

if TYPE_CHECKING:
    from sim.sweep.results import PointResult

FORMATS = ("png", "svg", "pdf")

#: What the error is drawn against, where a sweep has it.
_AGAINST = ("energy_step_j", "area_um2", "critical_path_s")

#: Okabe and Ito's colours, darkened to stand out on white, and shapes, so that print without colour is readable.
_COLOURS = ("#0072b2", "#d55e00", "#008a63", "#aa4499", "#a67600", "#3793c8", "#5b5b5b")
_SHAPES = ("o", "s", "^", "D", "v", "P", "h")
_DASHES = ("-", "--", ":", "-.", (0, (8, 2)), (0, (5, 1, 1, 1)))

_STYLE: dict[Any, Any] = {
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3,
    "legend.frameon": False, "svg.hashsalt": "lns", "pdf.fonttype": 42, "savefig.dpi": 200,
}  # fmt: skip


def figures(results: Sequence[PointResult], folder: Path) -> list[Path]:
    """Draw every figure that the results have data for; returns the files.

    For each sweep and data set: ``NAME-error-energy``, ``…-area`` and ``…-delay`` (the front, with bars of one standard
    error over seeds), ``NAME-sensitivity`` (the error by every variable) and ``NAME-curves`` (learning curves of the
    front). The same results give the same bytes of SVG.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    taken: set[str] = set()
    for (sweep, data), points in group_by_data(results).items():
        stem = _stem(sweep, data, taken)
        with plt.rc_context(_STYLE):
            for name, figure in _drawn(points, plt):
                written += _save(figure, folder, f"{stem}-{name}")
                plt.close(figure)
    return written


def _stem(sweep: str, data: str, taken: set[str]) -> str:
    """A file name of a sweep's name, which may be anything; no two are the same."""
    plain = [re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") for text in (sweep, f"{sweep}-{data}")]
    choices = chain(filter(None, plain), (f"{plain[0] or 'sweep'}-{k}" for k in count(2)))
    choice = next(one for one in choices if one not in taken)
    taken.add(choice)
    return choice


def _save(figure: Any, folder: Path, name: str) -> list[Path]:
    paths = [folder / f"{name}.{kind}" for kind in FORMATS]
    for path, kind in zip(paths, FORMATS, strict=True):
        dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
        with atomic_write(path) as file:
            figure.savefig(file, format=kind, metadata=dates.get(kind))
    return paths


def _drawn(points: list[PointResult], plt: Any) -> list[tuple[str, Any]]:
    error = METRICS["error"]
    out = []
    for name in _AGAINST:
        found = marks_of(points, (METRICS[name], error))
        if Mark.FRONT in found:
            out.append((f"error-{METRICS[name].short}", _front(points, found, METRICS[name], error, plt)))
    if any(math.isfinite(values_of(point, error)[0]) for point in points if not why_not_compared(point)):
        out.append(("sensitivity", _sensitivity(points, error, plt)))
    used = next((METRICS[name] for name in _AGAINST if Mark.FRONT in marks_of(points, (METRICS[name], error))), None)
    found = marks_of(points, (error,) if used is None else (used, error))
    shown = [point for point, mark in zip(points, found, strict=True) if mark is Mark.FRONT and point.curves]
    if shown:
        shown.sort(key=lambda point: (values_of(point, used or error)[0], point.ordinal))
        out.append(("curves", _curves(shown, plt)))
    return out


def _scale(metric: Metric, values: Sequence[float]) -> tuple[float, str]:
    """(factor, label) with which a metric is drawn in a unit of the right size."""
    if metric.unit == "1":
        return 100.0, f"{metric.label} (%)"
    largest = max(values)
    if metric.unit == "µm²" and largest >= 1e5:
        return 1e-6, f"{metric.label} (mm²)"
    if metric.unit in ("", "µm²") or largest <= 0:
        return 1.0, f"{metric.label} ({metric.unit})" if metric.unit else metric.label
    step = min(0, max(-5, math.floor(math.log10(largest) / 3)))
    prefix = ("", "m", "µ", "n", "p", "f")[-step]
    return 1000.0**-step, f"{metric.label} ({prefix}{metric.unit})"


def _spans_decades(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) / min(values) > 8


def _axis(axis: Any, values: Sequence[float]) -> None:
    """Logarithmic where values span most of a decade or more, with plain numbers as ticks."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    if _spans_decades(values):
        (axis.axes.set_xscale if axis.axis_name == "x" else axis.axes.set_yscale)("log")
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(ScalarFormatter())
        axis.set_minor_formatter(NullFormatter())


def _text(value: object) -> str:
    """A variable's value for a figure: no mathematics, however many dollars it has."""
    text = str(value).replace("$", r"\$")
    return text if len(text) <= 28 else text[:27] + "…"


def _front(points: Sequence[PointResult], found: Sequence[Mark], x: Metric, y: Metric, plt: Any) -> Any:
    figure, axes = plt.subplots(figsize=(6.2, 4.2), layout="constrained")
    rows = [(point, mark) for point, mark in zip(points, found, strict=True) if mark is not Mark.NONE]
    across = [values_of(point, x)[0] for point, _ in rows]
    up = [values_of(point, y)[0] for point, _ in rows]
    (fx, x_label), (fy, y_label) = _scale(x, across), _scale(y, up)
    looks = {Mark.DOMINATED: (12, 0.45, 1), Mark.NEAR: (34, 1.0, 2), Mark.FRONT: (48, 1.0, 3)}
    variable, places = _shown_variable(points)
    for (point, mark), a, b in zip(rows, across, up, strict=True):
        size, alpha, order = looks[mark]
        k = places.get(str(point.variables.get(variable)), 0)
        colour, bar = _COLOURS[k % len(_COLOURS)], values_of(point, y)[1]
        if math.isfinite(bar) and bar > 0:
            axes.errorbar(fx * a, fy * b, fy * bar, color="0.4", alpha=alpha, lw=0.8, zorder=order)
        face = "white" if mark is Mark.NEAR else colour
        edge = "black" if mark is Mark.FRONT else colour
        axes.scatter(
            fx * a, fy * b, size, color=face, edgecolors=edge, marker=_SHAPES[k % len(_SHAPES)], zorder=order + 0.5,
            alpha=alpha, linewidths=0 if mark is Mark.DOMINATED else 1,
        )  # fmt: skip
    stairs = sorted((fx * a, fy * b) for (_, mark), a, b in zip(rows, across, up, strict=True) if mark is Mark.FRONT)
    axes.step([a for a, _ in stairs], [b for _, b in stairs], "k--", where="post", lw=0.9, zorder=1.5)
    axes.set(xlabel=x_label, ylabel=y_label)
    _axis(axes.xaxis, across)
    _axis(axes.yaxis, up)
    _legend(axes, variable, places)
    return figure


def _shown_variable(points: Sequence[PointResult]) -> tuple[str, dict[str, int]]:
    """The variable that has a colour and a shape a value, and the place of each value: the one that explains most of
    the error among those with few enough values."""
    best, most = "", -1.0
    for name in dict.fromkeys(name for point in points for name in point.variables):
        groups = _by_value(points, name, METRICS["error"])
        share = _share_between([np.log10(np.maximum(values, 1e-9)) for _, values in groups])
        if 1 < len(groups) <= len(_SHAPES) and share > most:
            best, most = name, share
    return best, {str(value): k for k, (value, _) in enumerate(_by_value(points, best, METRICS["error"]))}


def _legend(axes: Any, variable: str, places: dict[str, int]) -> None:
    def sample(label: str, shape: str, colour: str, **look: Any) -> None:
        axes.scatter([], [], 34, color=colour, marker=shape, label=label, **look)

    sample("on the front", "o", "0.6", edgecolors="black")
    sample("near it (one standard error)", "o", "white", edgecolors="0.4")
    if variable:
        for value, k in places.items():
            sample(f"{_text(variable)} {_text(value)}", _SHAPES[k], _COLOURS[k])
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)


def _by_value(points: Sequence[PointResult], name: str, metric: Metric) -> list[tuple[Any, list[float]]]:
    """Values of a metric of finished points by a variable's values: numbers in order, then text in order."""
    groups: dict[str, tuple[Any, list[float]]] = {}
    for point in points:
        value = values_of(point, metric)[0]
        if name in point.variables and not why_not_compared(point) and math.isfinite(value):
            groups.setdefault(str(point.variables[name]), (point.variables[name], []))[1].append(value)

    def order(row: tuple[Any, list[float]]) -> tuple[int, float, str]:
        return (0, row[0], "") if isinstance(row[0], (int, float)) else (1, 0.0, str(row[0]))

    return sorted(groups.values(), key=order)


def _share_between(groups: Sequence[Any]) -> float:
    """Which share of the variance lies between groups; −1 if nothing varies."""
    if not groups:
        return -1.0
    everything = np.concatenate([np.asarray(group, float) for group in groups])
    total = float(np.sum((everything - everything.mean()) ** 2))
    between = sum(len(group) * (np.mean(group) - everything.mean()) ** 2 for group in groups)
    return float(between / total) if total > 0 else -1.0


def _sensitivity(points: Sequence[PointResult], metric: Metric, plt: Any) -> Any:
    names = list(dict.fromkeys(name for point in points for name in point.variables)) or ["design"]
    columns = min(3, len(names)) if len(names) != 4 else 2
    lines = math.ceil(len(names) / columns)
    figure, grid = plt.subplots(
        lines, columns, figsize=(3.1 * columns, 2.5 * lines), sharey=True, squeeze=False, layout="constrained"
    )
    everything = [values_of(point, metric)[0] for point in points if not why_not_compared(point)]
    everything = [value for value in everything if math.isfinite(value)]
    factor, label = _scale(metric, everything)
    for axes, name in zip(grid.flat, names, strict=False):
        groups = _by_value(points, name, metric)
        _boxes(axes, groups, factor)
        axes.set_xlabel(_text(name))
        _axis(axes.yaxis, everything)
    for axes in grid.flat[len(names) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel(label)
    return figure


def _boxes(axes: Any, groups: Sequence[tuple[Any, list[float]]], factor: float) -> None:
    """A box of quartiles with all points for few values, points at their place for many numbers."""
    rng = np.random.default_rng(0)
    many = len(groups) > 12 and all(isinstance(value, (int, float)) for value, _ in groups)
    if many:
        for value, errors in groups:
            axes.plot([value] * len(errors), factor * np.array(errors), ".", color=_COLOURS[0], ms=4)
        return
    for k, (_, errors) in enumerate(groups):
        aside = k + rng.uniform(-0.18, 0.18, len(errors))
        axes.plot(aside, factor * np.array(errors), ".", color=_COLOURS[0], alpha=0.45, ms=3, zorder=1)
    axes.boxplot(
        [factor * np.array(errors) for _, errors in groups], positions=range(len(groups)), widths=0.55,
        showfliers=False, medianprops={"color": "black", "lw": 1.4}, zorder=2,
    )  # fmt: skip
    least = [factor * min(errors) for _, errors in groups]
    axes.plot(range(len(groups)), least, "-", color=_COLOURS[1], lw=1.2, zorder=3)
    texts = [_text(value) for value, _ in groups]
    axes.set_xticks(range(len(groups)), texts, rotation=30 if sum(map(len, texts)) > 34 else 0)


def _curves(points: Sequence[PointResult], plt: Any) -> Any:
    """Test error over epochs, the mean over seeds, of up to six designs spread along the front."""
    figure, axes = plt.subplots(figsize=(6.2, 3.8), layout="constrained")
    lines = min(len(_DASHES), len(points))
    chosen = [points[round(k * (len(points) - 1) / max(1, lines - 1))] for k in range(lines)]
    shown: list[float] = []
    for k, point in enumerate(chosen):
        rows: dict[int, list[float]] = {}
        for curve in point.curves:
            for row in curve:
                rows.setdefault(row["epoch"], []).append(100 * (1 - row["test_accuracy"]))
        means = [float(np.mean(rows[epoch])) for epoch in sorted(rows)]
        shown += means
        name = " ".join(f"{_text(a)}={_text(b)}" for a, b in point.variables.items())
        axes.plot(sorted(rows), means, ls=_DASHES[k], color=_COLOURS[k], label=f"{point.ordinal}: {name}")
    axes.set(xlabel="epoch", ylabel="test error (%)")
    _axis(axes.yaxis, shown)
    axes.legend(fontsize=7)
    return figure
