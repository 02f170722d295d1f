"""Times that can be compared: calls take turns in one process, and ratios are of times of the same round."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numba as nb
import numpy as np

Call = Callable[[], object]
Times = dict[str, list[float]]  #: seconds a call, one entry a round


def seconds(call: Call, repeats: int) -> float:
    """Mean seconds of one call out of ``repeats`` in a row."""
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def interleaved(
    calls: Mapping[str, Call], rounds: int, at_least: float = 2e-3, before: Callable[[str], object] | None = None
) -> Times:
    """Seconds of every call in every round.

    In a round each call has its turn, so what slows the machine for longer than a round slows all of them. Calls are
    first run once, which compiles them, and once more to learn how often a turn repeats them: to last ``at_least``
    seconds. ``before(name)`` is called before each turn, outside of what is timed.
    """

    def turn(name: str, repeats: int) -> float:
        if before is not None:
            before(name)
        return seconds(calls[name], repeats)

    for name in calls:
        turn(name, 1)
    repeats = {name: max(1, math.ceil(at_least / max(turn(name, 1), 1e-7))) for name in calls}
    times: Times = {name: [] for name in calls}
    for _ in range(rounds):
        for name in calls:
            times[name].append(turn(name, repeats[name]))
    return times


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most."""
    return {"median": float(np.median(values)), "least": float(min(values)), "most": float(max(values))}


def ratio(above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    """Median, least and most of the ratios round by round."""
    return spread([x / y for x, y in zip(above, below, strict=True)])


def show(values: Mapping[str, float], scale: float = 1.0) -> str:
    """``median (least … most)`` for a table, to three digits."""

    def text(value: float) -> str:
        return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"

    middle, least, most = (text(scale * values[key]) for key in ("median", "least", "most"))
    return f"{middle} ({least} … {most})"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def parser(description: str, rounds: int) -> argparse.ArgumentParser:
    """A command line with what all benchmarks take."""
    out = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    out.add_argument("--rounds", type=int, default=rounds, help="rounds in which every call has its turn (%(default)s)")
    out.add_argument("--threads", type=int, default=1, help="of everything that is measured (%(default)s)")
    out.add_argument("--json", type=Path, help="write the result there as well")
    out.add_argument("--quick", action="store_true", help="small sizes: shows that it runs, measures nothing")
    return out


def parse(of: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments; sets the number of Numba's threads."""
    args = of.parse_args()
    if args.rounds < 1:
        of.error(f"--rounds must be at least 1, got {args.rounds}")
    if not 1 <= args.threads <= nb.config.NUMBA_NUM_THREADS:
        of.error(f"--threads must be between 1 and {nb.config.NUMBA_NUM_THREADS}, got {args.threads}")
    nb.set_num_threads(args.threads)
    return args


def finish(args: argparse.Namespace, rows: Sequence[Mapping[str, Any]], text: str) -> int:
    """Prints the tables, and writes the result: machine, settings and one row a measurement."""
    settings = {key: value for key, value in vars(args).items() if key != "json"}
    result = {"machine": machine(), "settings": settings, "rows": list(rows)}
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(result, indent=2) + "\n")
    print(text)
    return 0


def machine() -> dict[str, object]:
    """What the figures depend on besides the code."""
    names = Path("/proc/cpuinfo")
    models = [line.split(":", 1)[1].strip() for line in names.read_text().splitlines() if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": nb.__version__,
    }


def need(package: str) -> Any:
    """A package that only benchmarks need; without it, one line on standard error and exit code 2."""
    try:
        return __import__(package)
    except ImportError:
        print(f"{Path(sys.argv[0]).stem}: needs the package {package}: make bench installs it", file=sys.stderr)
        raise SystemExit(2) from None
