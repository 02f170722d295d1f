"""Cost against size: products of N × N × N matrices, and of words of B bits at one N, on one thread and on two.

    python benchmarks/sizes.py [--longest 20] [--size 512 …]

Against B: F = B/2 fraction bits, which grow with the word as the range does; the accumulator of `linear` stays 24 bits
wide, that of `log` is as wide as the operands. Products that would take longer than --longest seconds are left out.
With --size only products of these N are measured.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numba as nb
from threadpoolctl import ThreadpoolController

from benchmarks import cases
from benchmarks.timing import Times, finish, interleaved, parse, parser, ratio, show, spread, table
from lns.format import LNSFormat
from lns.kernels import isa
from lns.reference import LinearDot, LogDot

SIZES = (16, 32, 64, 128, 256, 512, 1024, 2048)
WIDTHS = tuple(range(4, 25))
WIDTH_SIZE = 256  # N of the products of each width


def unit(kind: str, bits: int) -> LinearDot | LogDot:
    """The dot product of words of B bits, F = B/2."""
    fmt = LNSFormat(bits, bits // 2)
    return cases.linear(fmt.frac_bits, bits) if kind == "linear" else cases.log(fmt, "full")


def measure(calls: dict[str, Callable[[], object]], numbers: list[int], macs: int, rounds: int) -> list[dict[str, Any]]:
    """A row a call and number of threads."""
    pools = ThreadpoolController()

    def before(name: str) -> None:
        number = int(name.rpartition("/")[2])
        nb.set_num_threads(number)
        if "BLAS" in name:  # else its threads would be woken, and spin on the other core
            pools.limit(limits=number, user_api="blas")

    times: Times = {}
    for name, call in calls.items():  # one after the other: threads of BLAS go on spinning for some 20 ms
        time.sleep(0.1)
        times |= interleaved({f"{name}/{number}": call for number in numbers}, rounds, before=before)
    return [
        {
            "name": name, "threads": number, "macs": macs,
            "ns_per_mac": spread([1e9 * time / macs for time in times[f"{name}/{number}"]]),
            "gmacs": spread([1e-9 * macs / time for time in times[f"{name}/{number}"]]),
            "to_one_thread": ratio(times[f"{name}/1"], times[f"{name}/{number}"]),
        }
        for name in calls
        for number in numbers
    ]  # fmt: skip


def main() -> int:
    command = parser(__doc__, rounds=5)
    command.set_defaults(threads=min(2, nb.config.NUMBA_NUM_THREADS))
    command.add_argument("--longest", type=float, default=20.0, help="seconds of the longest product (%(default)s)")
    command.add_argument("--size", type=int, action="append", help="N of N × N × N, and no widths (default: all)")
    args = parse(command)
    numbers = list(range(1, args.threads + 1))
    rows: list[dict[str, Any]] = []
    kernels: dict[str, LinearDot | LogDot] = {f"linear F={f}": cases.linear(f) for f in (3, 6, 10)}
    kernels |= {f"log {kind} F=8": cases.log(LNSFormat(15, 8), kind, LNSFormat(8, 3)) for kind in ("full", "coarse<6>")}
    each: dict[str, float] = {}  # seconds a multiply-accumulate, at the size before
    for size in args.size or ((16, 64) if args.quick else SIZES):
        calls: dict[str, Callable[[], object]] = {"float32 BLAS": cases.blas(size, size, size)}
        for name, dot in kernels.items():
            if size**3 * each.get(name, 0.0) <= args.longest:
                calls[name] = cases.product(dot, size, size, size)
        found = measure(calls, numbers, size**3, args.rounds)
        rows += [row | {"against": "N", "size": size} for row in found]
        each |= {row["name"]: 1e-9 * row["ns_per_mac"]["median"] for row in found if row["threads"] == 1}
    size = 32 if args.quick else WIDTH_SIZE
    for bits in () if args.size else (4, 8) if args.quick else WIDTHS:
        calls = {kind: cases.product(unit(kind, bits), size, size, size) for kind in ("linear", "log")}
        rows += [
            row | {"against": "B", "bits": bits, "size": size}
            for row in measure(calls, numbers, size**3, args.rounds)
        ]  # fmt: skip
    header = ["product", "N", "B", "threads", "GMAC/s: median (least … most)", "times one thread"]
    lines = [
        [row["name"], row["size"], row.get("bits", ""), row["threads"], show(row["gmacs"]), show(row["to_one_thread"])]
        for row in rows
    ]
    return finish(args, rows, f"Path: {isa.available()[0]}\n\n{table(header, lines)}")


if __name__ == "__main__":
    sys.exit(main())
