"""The Pareto front of a sweep, with the seeds' uncertainty; ``lns pareto`` and ``lns best``.

Every metric is better when it is smaller. Point q *dominates* p if it is nowhere worse and somewhere better. The
front is what nothing dominates; equal points are on it together. A point off the front is *near* it if nothing
*clearly* dominates it: q clearly dominates p if in every metric p is worse by at least one standard error of the
difference, √(s_p² + s_q²). With s = 0, as costs have it, that is plain dominance. s is the standard deviation over
seeds (n − 1) over √n; from one seed it is unknown and counts as 0.
"""

from __future__ import annotations

import argparse
import difflib
import enum
import json
import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lns.design import Design
from lns.files import atomic_write

if TYPE_CHECKING:
    from sim.sweep.results import PointResult

__all__ = ["METRICS", "Choice", "Mark", "Metric", "ParetoError", "best", "group_by_data", "marks", "values_of"]


class ParetoError(ValueError):
    """A front or a choice that cannot be made of these results."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What designs are compared by; smaller is better. ``unit`` is SI but for µm²; the error is a fraction."""

    name: str
    label: str
    unit: str
    short: str


#: By name; all but the error are keys of a point's cost.
METRICS = {
    metric.name: metric
    for metric in (
        Metric("error", "test error", "1", "error"),
        Metric("energy_step_j", "energy of a training step", "J", "energy"),
        Metric("energy_mac_j", "energy of a multiply-accumulate", "J", "energy-mac"),
        Metric("energy_update_j", "energy of a weight update", "J", "energy-update"),
        Metric("area_um2", "area", "µm²", "area"),
        Metric("gate_equivalents", "gate equivalents", "", "gates"),
        Metric("critical_path_s", "critical path", "s", "delay"),
        Metric("leakage_w", "leakage", "W", "leakage"),
    )
}


class Mark(enum.Enum):
    """Where a point lies; ``NONE``: a metric is missing."""

    FRONT = "front"
    NEAR = "near"
    DOMINATED = "dominated"
    NONE = "none"


def metric(name: str) -> Metric:
    """A metric by its name or its short name (``energy``, ``area``, ``delay`` …).

    Raises
    ------
    ParetoError
        If there is none; the message names the nearest one.
    """
    known = METRICS | {one.short: one for one in METRICS.values()}
    if name not in known:
        close = difflib.get_close_matches(name, known, 1, 0.5)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ParetoError(f"metric must be one of {', '.join(known)}, got {name!r}{hint}")
    return known[name]


def values_of(result: PointResult, metric: Metric) -> tuple[float, float]:
    """A point's value and its standard error; NaN where there is no value, or one seed only."""
    if metric.name == "error":
        value = math.nan if result.error is None else result.error
        seeds, spread = len(result.accuracies), result.error_spread
        return value, math.nan if spread is None or seeds < 2 else spread / math.sqrt(seeds)
    cost = (result.cost or {}).get(metric.name)
    return (math.nan if cost is None else float(cost)), 0.0


def why_not_compared(result: PointResult) -> str:
    """Why a point takes no part in fronts; empty if it does.

    What is not finished has another number of seeds or epochs than the rest, and Verilog that is not the model has a
    cost that belongs to nothing.
    """
    if result.status != "done":
        return result.status
    if result.verify and result.verify.get("mismatches"):
        return f"{result.verify['mismatches']} mismatches"
    return ""


def marks(values: npt.ArrayLike, errors: npt.ArrayLike) -> list[Mark]:
    """Where each of N points lies; see the module's rules.

    Parameters
    ----------
    values, errors : array_like, float64, shape (N, metrics)
        Values and their standard errors. A value that is not finite leaves its point out; an error of NaN counts as 0.
    """
    value = np.asarray(values, np.float64)
    variance = np.square(np.nan_to_num(np.asarray(errors, np.float64), nan=0.0))
    out = [Mark.NONE] * len(value)
    use = np.flatnonzero(np.isfinite(value).all(axis=1)) if len(value) else np.zeros(0, int)
    others, spread = value[use], variance[use]
    for i in use:
        worse = value[i] - others  # by how much this point is worse than each of the others
        dominated = (worse >= 0).all(axis=1) & (worse > 0).any(axis=1)
        clearly = dominated & (worse * worse >= variance[i] + spread).all(axis=1)
        out[i] = Mark.DOMINATED if clearly.any() else Mark.NEAR if dominated.any() else Mark.FRONT
    return out


def marks_of(results: Sequence[PointResult], metrics: Sequence[Metric]) -> list[Mark]:
    """`marks` of points; those that `why_not_compared` names are left out."""
    pairs = np.full((len(results), len(metrics), 2), math.nan)
    for i, result in enumerate(results):
        if not why_not_compared(result):
            pairs[i] = [values_of(result, one) for one in metrics]
    return marks(pairs[..., 0], pairs[..., 1])


def group_by_data(results: Sequence[PointResult]) -> dict[tuple[str, str], list[PointResult]]:
    """Points by (sweep, what they are tested on): errors on different data are not compared."""
    out: dict[tuple[str, str], list[PointResult]] = {}
    data = {result.sweep: _tested_on(result) for result in reversed(results) if result.run}
    for result in results:  # a point that is impossible may have no run: it goes to the sweep's first data
        on = _tested_on(result) if result.run else data.get(result.sweep, "")
        out.setdefault((result.sweep, on), []).append(result)
    return out


def _tested_on(result: PointResult) -> str:
    data, held_out = str(result.run.get("data", "")), result.run.get("validation", 0)
    return f"{data}, {held_out:g} of it held out" if held_out else data


def comparable(results: Sequence[PointResult], store: Path) -> list[PointResult]:
    """The points themselves, if their errors may be compared.

    Raises
    ------
    ParetoError
        If they are of several sweeps, or of several data sets.
    """
    if not results:
        raise ParetoError(f"{store}: no points here")
    sweeps = list(dict.fromkeys(result.sweep for result in results))
    if len(sweeps) > 1:
        raise ParetoError(f"{store}: --sweep is required, one of {', '.join(sweeps)}")
    data = [on for _, on in group_by_data(results)]
    if len(data) > 1:
        raise ParetoError(f"{sweeps[0]}: errors on {' and '.join(data)} cannot be compared: one data set a sweep")
    return list(results)


# --- lns pareto ----------------------------------------------------------------------------------------------------


def add_pareto(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``lns pareto``."""
    _add_store(parser)
    parser.add_argument("--x", default="energy_step_j", metavar="METRIC", help=f"one of {', '.join(METRICS)}")
    parser.add_argument("--y", default="error", metavar="METRIC", help="the same (default: error)")


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", type=Path, metavar="STORE", help="what lns sweep has written")
    parser.add_argument("--sweep", metavar="NAME", help="of the store, if it holds several")


def run_pareto(args: argparse.Namespace) -> int:
    """Run ``lns pareto``: prints the front and what is near it, in order of x."""
    from sim.sweep.results import load_results

    axes = metric(args.x), metric(args.y)
    if axes[0] == axes[1]:
        raise ParetoError(f"--x and --y must be two metrics, got {axes[0].name} twice")
    results = comparable(load_results(args.store, args.sweep), args.store)
    found = marks_of(results, axes)
    rows = [(one, mark) for one, mark in zip(results, found, strict=True) if mark in (Mark.FRONT, Mark.NEAR)]
    rows.sort(key=lambda row: (values_of(row[0], axes[0])[0], values_of(row[0], axes[1])[0], row[0].ordinal))
    compared = sum(mark is not Mark.NONE for mark in found)
    if not compared:
        raise ParetoError(f"{args.store}: no finished point has both {axes[0].name} and {axes[1].name}")
    if args.json:
        points = [{"mark": mark.value} | _describe(one, axes) for one, mark in rows]
        described = {"sweep": results[0].sweep, "x": axes[0].name, "y": axes[1].name, "compared": compared}
        print(json.dumps(described | {"points": points}, indent=2))
    else:
        print(_front_text(rows, axes, compared, len(results)))
    return 0


def _describe(result: PointResult, metrics: Sequence[Metric]) -> dict[str, Any]:
    figures = {one.name: values_of(result, one) for one in metrics}
    return {
        "point": result.ordinal,
        "variables": result.variables,
        **{name: value for name, (value, _) in figures.items()},
        "standard_errors": {name: None if math.isnan(error) else error for name, (_, error) in figures.items()},
        "seeds": list(result.seeds),
        "design": None if result.design is None else result.design.to_dict(),
    }


def quantity(value: float, metric: Metric) -> str:
    """A value to four digits with its unit: ``2.06 %``, ``1.234 µJ``, ``0.182 mm²``."""
    if metric.unit == "1":
        return f"{100 * value:.2f} %"
    if metric.unit == "µm²":
        return f"{value * 1e-6:.4g} mm²" if value >= 1e5 else f"{value:.4g} µm²"
    if metric.unit == "" or value <= 0:
        return f"{value:.4g} {metric.unit}".rstrip()
    step = max(-5, min(0, math.floor(math.log10(value * (1 + 1e-9)) / 3)))
    return f"{value * 1000.0**-step:.4g} {('', 'm', 'µ', 'n', 'p', 'f')[-step]}{metric.unit}"


def uncertain(result: PointResult, metric: Metric) -> str:
    """`quantity` with its standard error, where there is one."""
    value, error = values_of(result, metric)
    if metric.unit == "1" and math.isfinite(error):
        return f"{100 * value:.2f} ± {100 * error:.2f} %"
    return quantity(value, metric)


def variables_text(result: PointResult) -> str:
    """``bits=8 kind=log``."""
    return " ".join(f"{name}={value}" for name, value in result.variables.items())


def _front_text(
    rows: Sequence[tuple[PointResult, Mark]], axes: tuple[Metric, Metric], compared: int, points: int
) -> str:
    cells = [("point", "", axes[0].name, axes[1].name, "variables")]
    for one, mark in rows:
        sign = "*" if mark is Mark.FRONT else "~"
        cells.append((str(one.ordinal), sign, uncertain(one, axes[0]), uncertain(one, axes[1]), variables_text(one)))
    wide = [max(len(row[k]) for row in cells) for k in range(4)]
    lines = [f"{a:>{wide[0]}} {b:<{wide[1]}} {c:>{wide[2]}}  {d:>{wide[3]}}  {e}".rstrip() for a, b, c, d, e in cells]
    on = sum(mark is Mark.FRONT for _, mark in rows)
    last = f"* {on} on the front, ~ {len(rows) - on} not dominated beyond one standard error; "
    return "\n".join([*lines, f"{last}{compared} of {points} points compared"])


# --- lns best ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Choice:
    """The design that ``lns best`` chose, and the one whose error it was measured against."""

    chosen: PointResult
    reference: PointResult
    qualified: int
    compared: int


def best(results: Sequence[PointResult], increase: float, minimise: Metric, reference: int | None = None) -> Choice:
    """The least of a metric among the finished points whose error is at most the reference's plus ``increase``.

    Parameters
    ----------
    results : sequence of PointResult
        Of one sweep on one data set.
    increase : float
        Of the mean error, a fraction: 0.005 is half a percentage point.
    minimise : Metric
        Ties go to the smaller error, then to the earlier point.
    reference : int, optional
        A point's number; the point of least error by default.

    Raises
    ------
    ParetoError
        If no finished point has both figures, or the reference is none of them.
    """
    if not 0 <= increase < 1:
        raise ParetoError(f"--max-error-increase must be from 0 % to below 100 %, got {100 * increase:g} %")
    error = METRICS["error"]
    figures = {
        one.ordinal: (values_of(one, error)[0], values_of(one, minimise)[0], one)
        for one in results
        if not why_not_compared(one) and one.design is not None
    }
    figures = {n: row for n, row in figures.items() if math.isfinite(row[0]) and math.isfinite(row[1])}
    if not figures:
        raise ParetoError(f"no finished point has both error and {minimise.name}")
    if reference is not None and reference not in figures:
        raise ParetoError(f"--reference must be a finished point with error and {minimise.name}, got {reference}")
    if reference is None:
        reference = min(figures, key=lambda n: (figures[n][0], figures[n][1], n))
    limit = figures[reference][0] + increase
    # a limit that is met to the last digit of a printed figure is met
    inside = [n for n, row in figures.items() if row[0] <= limit * (1 + 1e-12)]
    chosen = min(inside, key=lambda n: (figures[n][1], figures[n][0], n))
    return Choice(figures[chosen][2], figures[reference][2], len(inside), len(figures))


def add_best(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``lns best``."""
    _add_store(parser)
    parser.add_argument(
        "--max-error-increase", type=_points, required=True, metavar="P%",
        help="how much more error than the reference, in percentage points, as 0.5%%",
    )  # fmt: skip
    parser.add_argument(
        "--minimise", default="energy_step_j", metavar="METRIC", help="energy (default), area, delay or a metric"
    )
    parser.add_argument(
        "--reference", type=_reference, metavar="POINT", help="best (default: the least error) or a point's number"
    )
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="the design file (default: print it)")


def _points(text: str) -> float:
    if not text.endswith("%"):
        raise argparse.ArgumentTypeError(f"must be percentage points with their sign, as 0.5%, got {text}")
    return float(text[:-1]) / 100


def _reference(text: str) -> int | None:
    return None if text == "best" else int(text)


def run_best(args: argparse.Namespace) -> int:
    """Run ``lns best``: one design file, ready for ``lns rtl``."""
    from sim.sweep.results import load_results

    minimise = metric(args.minimise)
    results = comparable(load_results(args.store, args.sweep), args.store)
    choice = best(results, args.max_error_increase, minimise, args.reference)
    text = design_file(choice, minimise, _command_of(args))
    if args.out is not None:
        with atomic_write(args.out) as file:
            file.write(text.encode())
    if args.json:
        rows = {"chosen": choice.chosen, "reference": choice.reference}
        shown = (METRICS["error"], minimise)
        print(json.dumps({name: _describe(one, shown) for name, one in rows.items()}, indent=2))
    elif args.out is None:
        print(text, end="")
    else:
        print(f"{args.out}: point {choice.chosen.ordinal}, {variables_text(choice.chosen)}")
        print("\n".join(_figures(choice, minimise)))
    return 0


def _command_of(args: argparse.Namespace) -> str:
    words = ["lns", "best", str(args.store), "--max-error-increase", f"{100 * args.max_error_increase:.10g}%"]
    words += ["--minimise", args.minimise]
    for option, value in (("--sweep", args.sweep), ("--reference", args.reference)):
        words += [] if value is None else [option, str(value)]
    return shlex.join(words)


def _figures(choice: Choice, minimise: Metric) -> list[str]:
    lines = []
    for name in dict.fromkeys(("error", minimise.name, "area_um2", "critical_path_s")):
        mine, theirs = (values_of(one, METRICS[name])[0] for one in (choice.chosen, choice.reference))
        if math.isfinite(mine):
            against = f"{uncertain(choice.reference, METRICS[name])} of point {choice.reference.ordinal}"
            if math.isfinite(theirs):
                lines.append(f"{METRICS[name].label}: {uncertain(choice.chosen, METRICS[name])}, against {against}")
    lines.append(f"{choice.qualified} of {choice.compared} designs are within the allowed error")
    return lines


def design_file(choice: Choice, minimise: Metric, command: str) -> str:
    """The chosen design as TOML under a header that says how it was chosen, and by which figures."""
    one = choice.chosen
    assert isinstance(one.design, Design)
    header = [
        f"Point {one.ordinal} of the sweep {one.sweep}: {variables_text(one)}",
        f"chosen by: {command}",
        *_figures(choice, minimise),
    ]
    # a name may hold anything; a comment of TOML ends with its line and takes no control characters
    lines = ["# " + "".join(c if c.isprintable() else " " for c in line) for line in header]
    return "\n".join(lines) + "\n\n" + one.design.to_toml()
