"""Time of one bit-exact training step beside the same step in PyTorch float32, in one process and in turn.

    python benchmarks/step.py [DESIGN …] [--hidden 256,128] [--batch 128]

PyTorch: linear layers with ReLU, cross-entropy, SGD with momentum, on as many threads. `products` is the time inside
the backend's accumulators, the rest is everything else of our step.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from benchmarks.timing import finish, interleaved, need, parse, parser, ratio, show, spread, table
from lns.design import load
from sim.train.backend import NumbaBackend
from sim.train.chip import Chip
from sim.train.loop import initial_weights

DESIGNS = ("madam8", "madam8-log", "log16")
REQUIRED = {"madam8": 3.0}  # the most times the PyTorch step that are allowed


class Timed(NumbaBackend):
    """The compiled kernels, with the time spent in matrix products."""

    seconds = 0.0

    def accumulate(self, *arguments: Any) -> Any:
        start = time.perf_counter()
        out = super().accumulate(*arguments)
        self.seconds += time.perf_counter() - start
        return out


def torch_step(x: npt.NDArray[Any], y: npt.NDArray[np.int64], sizes: list[int], threads: int) -> Callable[[], object]:
    """One step of SGD with momentum 0.9 in PyTorch float32."""
    torch = need("torch")
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    layers: list[Any] = []
    for inputs, outputs in pairwise(sizes):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1])
    loss = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    batch, targets = torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y)

    def step() -> object:
        optimizer.zero_grad()
        value = loss(network(batch), targets)
        value.backward()
        optimizer.step()
        return value.item()

    return step


def main() -> int:
    command = parser(__doc__, rounds=21)
    command.add_argument("designs", nargs="*", default=DESIGNS)
    command.add_argument("--hidden", default="256,128", help="sizes of the hidden layers (%(default)s)")
    command.add_argument("--batch", type=int, default=128)
    args = parse(command)
    inputs, hidden, batch = (784, [int(n) for n in args.hidden.split(",")], args.batch)
    if args.quick:
        inputs, hidden, batch = 64, [16], 8
    sizes = [inputs, *hidden, 10]

    rng = np.random.default_rng(0)
    x = rng.random((batch, inputs)) * (rng.random((batch, inputs)) < 0.5)
    y = rng.integers(0, 10, batch)
    weights = initial_weights(sizes, 0)
    steps: dict[str, Callable[[], object]] = {"PyTorch float32": torch_step(x, y, sizes, args.threads)}
    products: dict[str, list[float]] = {}
    for name in args.designs:
        steps[name] = chip_step(Chip(load(name), weights, 0), x, y, products.setdefault(name, []))
    with threadpool_limits(args.threads, "blas"):
        times = interleaved(steps, args.rounds, at_least=0.0)
    rows = []
    for name, taken in times.items():
        row: dict[str, Any] = {"name": name, "ms": spread([1e3 * each for each in taken])}
        row |= {"to_pytorch": ratio(taken, times["PyTorch float32"]), "required": REQUIRED.get(name)}
        if name in products:
            inside = products[name][-args.rounds :]
            row["products_ms"] = spread([1e3 * each for each in inside])
            row["rest_ms"] = spread([1e3 * (each - part) for each, part in zip(taken, inside, strict=True)])
        rows.append(row)
    header = ["learner", "ms a step: median (least … most)", "times PyTorch", "at most", "products, ms", "rest, ms"]
    lines = [
        [row["name"], show(row["ms"]), show(row["to_pytorch"]), row["required"] or "",
         *(show(row[part]) if part in row else "" for part in ("products_ms", "rest_ms"))]
        for row in rows
    ]  # fmt: skip
    return finish(args, rows, f"{'-'.join(map(str, sizes))}, batch {batch}\n\n{table(header, lines)}")


def chip_step(chip: Chip, x: npt.NDArray[Any], y: npt.NDArray[np.int64], products: list[float]) -> Callable[[], object]:
    """A step on a simulated chip; appends the seconds that its matrix products took."""
    backend = Timed(chip.units)
    chip.backend = backend
    words = chip.encode_inputs(x)

    def step() -> object:
        backend.seconds = 0.0
        out = chip.step(words, y)
        products.append(backend.seconds)
        return out

    return step


if __name__ == "__main__":
    sys.exit(main())
