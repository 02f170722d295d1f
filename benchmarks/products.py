"""Matrix products beside float32 BLAS, the plain loop and two packages from PyPI, in multiply-accumulates a second.

    python benchmarks/products.py [--size 512 …]

`linear` is madam8's accumulator at F fraction bits and B = F + 5, `log` the accumulators of madam8-log and log16 with
other tables. Ratios are to BLAS on as many threads, round by round.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import cases
from benchmarks.timing import Call, finish, interleaved, need, parse, parser, ratio, show, spread, table
from lns.format import LNSFormat
from lns.kernels import isa
from lns.reference import LinearDot, LogDot

#: The least ratios to single-thread BLAS that are required. Log accumulation at F = 10 needs 32-bit lanes: no figure.
REQUIRED = {"linear F=3": 0.25, "linear": 0.06, "log full F=8": 0.05, "log coarse": 0.10}
XLNS_SIZE, UNIVERSAL_SIZE = 64, 32  # what the packages finish in a moment
XLNS_F = 10


def units(quick: bool) -> dict[str, LinearDot | LogDot]:
    """All dot products, by name."""
    operand, acc = LNSFormat(8, 3), LNSFormat(15, 8)
    out: dict[str, LinearDot | LogDot] = {f"linear F={f}": cases.linear(f) for f in ((3,) if quick else range(11))}
    out["log full F=8"] = cases.log(acc, "full", operand)
    if not quick:
        out["log full F=10"] = cases.of_design("log16")
    out["log coarse<6> F=8"] = cases.log(acc, "coarse<6>", operand)
    return out


def required(name: str) -> float | None:
    """The least ratio for a kernel of this name."""
    return next((least for start, least in REQUIRED.items() if name.startswith(start)), None)


def peers(size: int) -> dict[str, tuple[int, Call]]:
    """(multiply-accumulates, call) of the packages from PyPI, at sizes that they finish."""
    import xlns

    universal = need("universal_dtypes")
    if xlns.xlnsF != XLNS_F:  # before the first array: xlns warns of a change after it
        xlns.xlnssetF(XLNS_F)
    rng = np.random.default_rng(0)

    def matrices(n: int) -> tuple[Any, Any]:
        return rng.normal(size=(n, n)), rng.normal(size=(n, n))

    a, b = matrices(min(size, XLNS_SIZE))
    x, y = xlns.xlnsnp(a), xlns.xlnsnp(b)
    c, d = (matrix.astype(universal.lns16) for matrix in matrices(min(size, UNIVERSAL_SIZE)))
    return {  # universal's dtypes have no matrix product: products and a sum
        f"xlns xlnsnp, F={XLNS_F}": (len(a) ** 3, lambda: x @ y),
        "universal-dtypes lns16": (len(c) ** 3, lambda: (c[:, :, None] * d[None]).sum(axis=1)),
    }


def main() -> int:
    command = parser(__doc__, rounds=9)
    command.add_argument("--size", type=int, action="append", help="N of N × N × N (default: 256 and 512)")
    args = parse(command)
    sizes = args.size or ([64] if args.quick else [256, 512])
    rows: list[dict[str, Any]] = []
    with threadpool_limits(args.threads, "blas"):
        for size in sizes:
            rows += measure(size, args.rounds, args.quick)
    header = ["product", "path", "N", "GMAC/s: median (least … most)", "of BLAS: median (least … most)", "required"]
    text = table(
        header,
        [
            [row["name"], row["path"], row["size"], show(row["gmacs"]), show(row["to_blas"]), row["required"] or ""]
            for row in rows
        ],
    )
    return finish(args, rows, text)


def measure(size: int, rounds: int, quick: bool) -> list[dict[str, Any]]:
    """One row a product, path and peer at one size."""
    work: dict[tuple[str, str], int] = {("float32", "BLAS"): size**3}
    calls: dict[str, Callable[[], object]] = {"float32 BLAS": cases.blas(size, size, size)}
    for name, unit in units(quick).items():
        for path in isa.available():
            if path != "portable" or name in ("linear F=3", "log full F=8"):  # the plain loop, once a kind
                work[name, path] = size**3
                calls[f"{name} {path}"] = cases.product(unit, size, size, size, path)
    for name, (macs, call) in peers(size).items():
        work[name, "PyPI"] = macs
        calls[f"{name} PyPI"] = call
    times = interleaved(calls, rounds)
    blas_rates = [size**3 / seconds for seconds in times["float32 BLAS"]]
    rows = []
    for (name, path), macs in work.items():
        rates = [macs / seconds for seconds in times[f"{name} {path}"]]
        rows.append(
            {
                "name": name, "path": path, "size": size, "macs": macs,
                "gmacs": spread([1e-9 * rate for rate in rates]), "to_blas": ratio(rates, blas_rates),
                "required": required(name) if path not in ("portable", "BLAS", "PyPI") else None,
            }
        )  # fmt: skip
    return rows


if __name__ == "__main__":
    sys.exit(main())
