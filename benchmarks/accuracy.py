"""Accuracy of designs and float baselines over seeds and learning rates: the tables of docs/results.md.

Each run is an ordinary run directory under --out; runs that are there are not repeated, and one that was interrupted
goes on. Two examples, which choose learning rates on a validation part and then measure on the test set:

    python benchmarks/accuracy.py --data digits --hidden 32 --batch 32 --epochs 40 --validation 0.1 --lr 0.01,0.02,0.04
    python benchmarks/accuracy.py --data digits --hidden 32 --batch 32 --epochs 40 --seeds 5
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numba as nb
import numpy as np

from lns.design import load, preset_names
from sim.train.baselines import BASELINES
from sim.train.loop import new_run, train
from sim.train.run import RunConfig, RunDirectory


def one(path: Path, name: str, config: RunConfig) -> dict[str, Any]:
    """The last epoch's metrics of one run."""
    nb.set_num_threads(1)  # the processes share the cores out
    design = None if name in BASELINES else load(name)
    run = RunDirectory(path) if (path / "config.toml").is_file() else new_run(path, config, design)
    if (path / "result.json").is_file():
        return dict(json.loads((path / "result.json").read_text()))
    return train(run, progress=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    everything = [*preset_names(), *BASELINES]
    parser.add_argument("names", nargs="*", default=everything, help="designs and baselines (default: all)")
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--lr", default="0", help="learning rates, separated by commas (0: the design's own)")
    parser.add_argument("--validation", type=float, default=0.0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/accuracy"))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rates = [float(part) for part in args.lr.split(",")]

    results: dict[tuple[str, float], list[dict[str, Any]]] = {}
    with ProcessPoolExecutor(args.processes) as pool:
        jobs = {}
        for seed, name, lr in itertools.product(range(args.seeds), args.names, rates):
            learner = name if name in BASELINES else "chip"
            config = RunConfig(
                learner, args.data, (args.hidden,), args.epochs, args.batch, seed, lr, validation=args.validation
            )
            part = "validation" if args.validation else "test"
            folder = f"{args.data}-{args.hidden}-{args.batch}-{args.epochs}-{part}".replace("/", "_")
            path = args.out / folder / f"{name}-{lr:g}-{seed}"
            jobs[pool.submit(one, path, name, config)] = (name, lr, seed)
        for job in as_completed(jobs):
            name, lr, seed = jobs[job]
            row = job.result()
            results.setdefault((name, lr), []).append(row)
            accuracy = f"{100 * row['test_accuracy']:.2f} %"
            print(f"{name} lr {lr or 'own'} seed {seed}: {accuracy}", file=sys.stderr, flush=True)

    table = []
    for name, lr in itertools.product(args.names, rates):
        accuracies = np.array([100 * row["test_accuracy"] for row in results[name, lr]])
        spread = float(accuracies.std(ddof=1)) if accuracies.size > 1 else 0.0
        losses = [row["test_loss"] for row in results[name, lr]]
        table.append(
            {"name": name, "lr": lr, "seeds": accuracies.size, "accuracy_percent": float(accuracies.mean()),
             "std_percent": spread, "least_percent": float(accuracies.min()), "most_percent": float(accuracies.max()),
             "loss_nats": float(np.mean(losses))}
        )  # fmt: skip
    if args.json:
        print(json.dumps(table, indent=2))
        return 0
    print(f"| learner | lr | seeds | {'validation' if args.validation else 'test'} accuracy, % | least … most | loss |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in table:
        rate = "own" if row["lr"] == 0 else f"{row['lr']:g}"
        print(
            f"| {row['name']} | {rate} | {row['seeds']} | {row['accuracy_percent']:.2f} ± {row['std_percent']:.2f} "
            f"| {row['least_percent']:.2f} … {row['most_percent']:.2f} | {row['loss_nats']:.4f} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
