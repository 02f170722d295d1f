"""Time of one bit-exact training step beside the same step in NumPy float32, in one process and in turn.

python benchmarks/step.py --hidden 128 --batch 64 --threads 1
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable

import numba as nb
import numpy as np

from lns.design import load, preset_names
from sim.train.baselines import FloatNetwork, Madam
from sim.train.chip import Chip
from sim.train.loop import initial_weights


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("designs", nargs="*", default=preset_names())
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1, help="of the kernels; BLAS has its own")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    nb.set_num_threads(args.threads)

    rng = np.random.default_rng(0)
    x, y = rng.random((args.batch, 784)) * (rng.random((args.batch, 784)) < 0.5), rng.integers(0, 10, args.batch)
    weights = initial_weights([784, args.hidden, 10], 0)
    floats = FloatNetwork(Madam(), weights, 0)
    x32 = floats.encode_inputs(x)
    steps: dict[str, Callable[[], object]] = {"float32": lambda: floats.step(x32, y)}
    for name in args.designs:
        chip = Chip(load(name), weights, 0)
        words = chip.encode_inputs(x)
        steps[name] = lambda chip=chip, words=words: chip.step(words, y)  # type: ignore[misc]
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()  # compile and warm up
    for _ in range(args.rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(1e3 * (time.perf_counter() - start))
    rows = []
    for name, all_ms in times.items():
        ratios = np.array(all_ms) / np.array(times["float32"])
        row = {"name": name, "median_ms": float(np.median(all_ms)), "least_ms": min(all_ms), "most_ms": max(all_ms)}
        rows.append(row | {"median_ratio_to_float32": float(np.median(ratios))})
    if args.json:
        print(json.dumps(rows, indent=2))
        return 0
    print("| learner | ms a step: median (least … most) | times the float32 step |\n| --- | --- | --- |")
    for row in rows:
        span = f"{row['median_ms']:.1f} ({row['least_ms']:.1f} … {row['most_ms']:.1f})"
        print(f"| {row['name']} | {span} | {row['median_ratio_to_float32']:.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
