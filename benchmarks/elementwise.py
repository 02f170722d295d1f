"""Units that take words one by one, beside a copy of memory and two packages from PyPI.

    python benchmarks/elementwise.py

A kernel moves a number of bytes an element, read and written; its bandwidth is compared with that of copying an array
in NumPy on one thread, round by round.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks import cases
from benchmarks.timing import Call, finish, interleaved, need, parse, parser, ratio, show, spread, table
from lns import codec, kernels
from lns.design import load
from lns.format import LNSFormat, Rounding
from lns.gausslog import TableKind
from lns.gausslog import table as gauss_table
from lns.units import Units

ELEMENTS, QUICK_ELEMENTS = 1 << 20, 1 << 12
PEER_ELEMENTS = 1 << 14
COPIED = 1 << 22  # bytes of the array that is copied: twice as many moved, about as many as by a kernel


def arithmetic(name: str, fmt: LNSFormat, n: int) -> Mapping[str, tuple[int, int, Call]]:
    """Name -> (elements, bytes an element, call) of the kernels on words of one format."""
    rng = np.random.default_rng(0)
    a, b = cases.words(rng, fmt, (n,)), cases.words(rng, fmt, (n,))
    full = gauss_table(TableKind.parse("full"), fmt.frac_bits)
    positive, x = a & fmt.max_code, rng.normal(size=n)
    x32, word = x.astype(np.float32), fmt.dtype.itemsize
    other = LNSFormat(12, 9)
    one, two = 2 * word + 1, 3 * word + 1  # words in, a word and its events out
    calls: dict[str, tuple[int, Callable[[], object]]] = {
        "mul": (two, lambda: kernels.mul(a, b, fmt)),
        "div": (two, lambda: kernels.div(a, b, fmt)),
        "add, full table": (two, lambda: kernels.add(a, b, fmt, full)),
        "square": (one, lambda: kernels.square(a, fmt)),
        "sqrt": (one, lambda: kernels.sqrt(positive, fmt)),
        "maximum": (two - 1, lambda: kernels.maximum(a, b, fmt)),
        "relu": (one - 1, lambda: kernels.relu(a, fmt)),
        f"convert to {other}": (word + 3, lambda: kernels.convert(a, fmt, other)),
        "encode float32": (4 + word, lambda: codec.encode(x32, fmt)),
        "encode float64": (8 + word, lambda: codec.encode(x, fmt)),
        "decode to float32": (word + 4, lambda: codec.decode(a, fmt, dtype=np.float32)),
    }
    return {f"{kernel}, {name}": (n, size, call) for kernel, (size, call) in calls.items()}


def of_design(name: str, n: int) -> dict[str, tuple[int, int, Call]]:
    """Linear-to-log, update and loss of a design."""
    design = load(name)
    units, formats, rng = Units(design), design.formats, np.random.default_rng(0)
    w, g = cases.words(rng, formats.weight, (n,)), cases.words(rng, formats.gradient, (n,))
    v = np.full(n, design.update.moment.bias, design.update.moment.dtype)
    states = kernels.lfsr_seeds(0, design.update.lanes)
    constants = units.update_constants(2, 0, 0)
    drawn = design.update.rounding is Rounding.STOCHASTIC
    random = kernels.draws(states, n, design.update.step_frac_bits)
    written = formats.weight.dtype.itemsize + design.update.moment.dtype.itemsize
    # w and v are read and written, g is read, and so are the random words
    size = 2 * written + formats.gradient.dtype.itemsize + 2 + 4 * drawn
    logits = cases.words(rng, formats.activation, (n // 10, 10))
    targets = rng.integers(0, 10, n // 10)
    out: dict[str, tuple[int, int, Call]] = {
        f"update, {name}": (n, size, lambda: kernels.update(w, g, v, units.update, constants, random)),
        f"draws, {design.update.step_frac_bits} bits": (
            n, 4, lambda: kernels.draws(states, n, design.update.step_frac_bits)
        ),
        f"loss, {name}, 10 classes": (
            logits.size, logits.itemsize + units.loss.error.dtype.itemsize + 1,
            lambda: kernels.loss(logits, targets, 0, 0, units.loss),
        ),
    }  # fmt: skip
    if design.accumulator.kind == "linear":
        fmt = formats.activation
        sums = rng.integers(-(1 << 20), 1 << 20, n)
        rom, index_bits = units.to_log_rom(fmt), units.index_bits(fmt)
        out[f"linear to log, {name}"] = (
            n, 9 + fmt.dtype.itemsize, lambda: kernels.linear_to_log(sums, 0, rom, index_bits, fmt)
        )  # fmt: skip
    return out


def peers(n: int) -> dict[str, tuple[int, int, Call]]:
    """The same of the packages from PyPI."""
    import xlns

    universal = need("universal_dtypes")
    xlns.xlnssetF(10)
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=n), rng.normal(size=n)
    x, y = xlns.xlnsnp(a), xlns.xlnsnp(b)
    c, d = a.astype(universal.lns16), b.astype(universal.lns16)
    return {
        "mul, xlns xlnsnp": (n, 24, lambda: x * y),
        "add, xlns xlnsnp": (n, 24, lambda: x + y),
        "encode float64, xlns xlnsnp": (n, 16, lambda: xlns.xlnsnp(a)),
        "mul, universal-dtypes lns16": (n, 6, lambda: c * d),
        "add, universal-dtypes lns16": (n, 6, lambda: c + d),
        "encode float64, universal-dtypes lns16": (n, 10, lambda: a.astype(universal.lns16)),
    }


def main() -> int:
    args = parse(parser(__doc__, rounds=9))
    n = QUICK_ELEMENTS if args.quick else ELEMENTS
    measured = {
        **arithmetic("lns<8,3>", LNSFormat(8, 3), n), **arithmetic("lns<16,10>", LNSFormat(16, 10), n),
        **of_design("madam8", n), **of_design("madam8-small", n), **peers(min(n, PEER_ELEMENTS)),
    }  # fmt: skip
    source = np.ones(n if args.quick else COPIED, np.uint8)
    target = np.empty_like(source)
    calls: dict[str, Callable[[], object]] = {"copy": lambda: np.copyto(target, source)}
    times = interleaved(calls | {name: call for name, (_, _, call) in measured.items()}, args.rounds)
    copied = [2 * source.nbytes / seconds for seconds in times["copy"]]
    rows: list[dict[str, Any]] = []
    for name, (elements, size, _) in measured.items():
        moved = [elements * size / seconds for seconds in times[name]]
        rows.append(
            {
                "name": name, "bytes": size, "of_copy": ratio(moved, copied),
                "melements": spread([1e-6 * elements / seconds for seconds in times[name]]),
            }
        )  # fmt: skip
    lines = [[row["name"], show(row["melements"]), row["bytes"], show(row["of_copy"])] for row in rows]
    text = table(["kernel", "M elements/s", "bytes", "of the copy's bandwidth"], lines)
    return finish(args, rows, f"{text}\n\nThe copy: {show(spread(copied), scale=1e-9)} GB/s read and written.")


if __name__ == "__main__":
    sys.exit(main())
