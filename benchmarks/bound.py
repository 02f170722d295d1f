"""How close each kernel comes to what its own instructions allow: the loop's bound over the measured time.

    python benchmarks/bound.py [PRODUCT …] [--size 512] [--exact] [--show]

docs/benchmarks.md says how the bound is computed. Times are in cycles of the clock beside them: of the loop alone in
quiet moments, with its operands in the second-level cache, and of whole products in any.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numba as nb

from benchmarks import cases
from benchmarks.assembly import Instruction, assembly_of, counts, function_in, loop_with
from benchmarks.moments import Moments
from benchmarks.ports import Machine
from benchmarks.products import units
from benchmarks.timing import finish, parse, parser, show, spread, table
from lns.kernels import isa
from lns.kernels.tables import Threaded
from lns.reference import LinearDot, LogDot

REQUIRED = 0.85
SIDE = 64  # rows and columns of the products whose loops are timed alone
_PART = 2e5  # cycles: some 60 microseconds, of which what Python takes to begin is a fiftieth
_TIMES = 5  # that a loop is timed, some time apart
REFUTED = 1.05  # a bound so many times the time without dependences was measured wrongly


@dataclass(frozen=True)
class Loop:
    """A loop of a compiled function, and the instructions that tell for how many multiply-accumulates a turn stands."""

    module: str
    function: str  #: a `Threaded` that Python calls; what it calls is compiled into it
    marks: tuple[tuple[str, float], ...]  #: (regular expression of a form, multiply-accumulates behind each such)
    only: str = ""  #: a parameter that must be true in the call, or false if written "not …": a function with two loops
    longest: bool = False  #: of all such loops and the ways through them, the one with the most instructions
    beside: str = ""  #: regular expression of a form that the loop has beside those: another loop has them, too
    within: str = ""  #: name of the function of LLVM's that holds the loop, if that is one of its own: `str.format`
    #: puts arguments of the call into it

    def runs(self, arguments: Mapping[str, Any]) -> bool:
        """Whether a call with these arguments, by name, runs the loop."""
        name = self.only.removeprefix("not ")
        return not name or bool(arguments[name]) == (name == self.only)

    @property
    def marker(self) -> str:
        """A regular expression of all marked instructions."""
        return "|".join(pattern for pattern, _ in self.marks)

    def macs(self, body: list[Instruction]) -> float:
        """The multiply-accumulates of a turn with these instructions."""
        return sum(
            next((macs for pattern, macs in self.marks if re.match(pattern, instruction.form)), 0)
            for instruction in body
        )


_LINEAR, _LOG = "lns.kernels.product_linear", "lns.kernels.product_log"
_FACTORS = "lns.kernels.product_factors"

# A look-up in memory lane by lane has such an instruction for all lanes but the first of each 128 bits.
_IN_MEMORY = ("vpgatherdd", 16.0), ("vpinsrw", 8 / 7), ("vpinsrd", 4 / 3)
# A sum of bytes that registers hold is made by a `vpmaddubsw` for 16 lanes.
_LOG_MARKS = (*_IN_MEMORY, ("vperm[it]2w", 16.0), ("vpmaddubsw", 16.0))
_BROADCAST = r"v(p?broadcast|.* mem\{1to)"  # of a's, which the additions of a tree have not
_EXACT_LOG = Loop(_LOG, "_products", _LOG_MARKS, "outside", longest=True, beside=_BROADCAST)

#: Path -> loops of its products. Those of the functions that a product calls add up.
LOOPS: dict[str, tuple[Loop, ...]] = {
    "portable": (Loop("lns.kernels.product_loops", "_linear", (("addl r32,mem", 1),)),),
    "avx512": (
        Loop(_LINEAR, "_bytes", (("vpdpbusd", 32),)),
        Loop(_LINEAR, "_words", (("vpdpwssd", 32),), "direct"),
        Loop(_LINEAR, "_words", (("vpmulhuw", 32),), "not direct"),
        Loop(_LINEAR, "_floats", (("vpermd", 16),), "direct"),
        Loop(_LINEAR, "_floats", _IN_MEMORY, "not direct"),
        Loop(_LOG, "_products", _LOG_MARKS, "not outside", beside=_BROADCAST),
        _EXACT_LOG,
    ),
    "avx2": (
        *(Loop(_FACTORS, name, (("vcvttps2dq", 8),)) for name in ("_masked", "_rounded", "_both")),
        Loop(_LINEAR, "_floats", (("vpermd", 8),), "direct"),
        Loop(_LINEAR, "_floats", _IN_MEMORY, "not direct"),
        Loop(_LOG, "_products", _LOG_MARKS, "not outside", within="lns.add_products_{numbers.registers}"),
        _EXACT_LOG,
    ),
}


def calls_of(functions: Iterable[Threaded], call: Callable[[], object]) -> list[tuple[Threaded, tuple[Any, ...]]]:
    """The calls of the functions' loops that a call makes, with their arguments."""
    made: list[tuple[Threaded, tuple[Any, ...]]] = []
    kept = {function: function.loop for function in functions}

    def recorder(function: Threaded) -> Callable[..., Any]:
        def record(*arguments: Any) -> Any:
            made.append((function, arguments))
            return kept[function](*arguments)

        return record

    for function in kept:
        function.loop = recorder(function)
    try:
        call()
    finally:
        for function, dispatcher in kept.items():
            function.loop = dispatcher
    return made


def signatures(loops: tuple[Loop, ...], call: Callable[[], object]) -> dict[Loop, Any]:
    """The types with which a call reaches the loops' functions, of those that it reaches."""
    seen: dict[Loop, Any] = {}
    for function, arguments in calls_of(map(threaded, loops), call):
        named = inspect.signature(function.loop.py_func).bind(*arguments).arguments
        for loop in loops:
            if threaded(loop) is function and loop.runs(named):
                found = replace(loop, within=loop.within.format(**named))
                seen.setdefault(found, tuple(nb.typeof(argument) for argument in arguments))
    return seen


def threaded(loop: Loop) -> Threaded:
    """The function that holds a loop."""
    found: Threaded = getattr(importlib.import_module(loop.module), loop.function)
    return found


def instructions(loop: Loop, types: Any) -> tuple[list[Instruction], float]:
    """The loop's instructions, and the multiply-accumulates of one turn."""
    listing = assembly_of(threaded(loop).loop, types)
    listing = function_in(listing, loop.within) if loop.within else listing
    body = loop_with(listing, loop.marker, loop.longest, loop.beside)
    return body, loop.macs(body)


def measure(
    machine: Machine, found: dict[Loop, Any], small: Callable[[], object], large: Callable[[], object], size: int
) -> dict[str, Any]:
    """One product: the bound and the measured times, in cycles a multiply-accumulate, and what limits each loop."""
    least, free, details = 0.0, 0.0, []
    for loop, types in found.items():
        body, turn = instructions(loop, types)
        bound = machine.bound(body)
        least += bound.cycles / turn
        free += bound.independent / turn
        details.append(
            {"function": loop.function, "macs": turn, "limit": bound.limit, "cycles": bound.resources,
             "instructions": dict(counts(body))}
        )  # fmt: skip
    counted = set(map(threaded, found))
    cycles = [alone(machine.moments, small, counted, SIDE * SIDE * size, which) for which in range(_TIMES)]
    whole = [machine.moments.look(large)[0] / size**3 for _ in range(machine.moments.rounds)]
    return {
        "bound": least, "independent": free, "cycles": spread(cycles), "loops": details,
        "attained": spread([least / one for one in cycles]), "required": REQUIRED,
        "attained_independent": spread([free / one for one in cycles]), "whole": spread(whole),
    }  # fmt: skip


def alone(moments: Moments, call: Callable[[], object], counted: set[Threaded], macs: int, which: int) -> float:
    """Cycles a multiply-accumulate of a product's loops, without what Python takes to call them. One part of each is
    timed, by turns another, for quiet moments are short; again and again, so that the operands are in the caches as far
    as they fit."""
    cycles = 0.0
    for function, (begin, end, *arguments) in calls_of(counted, call):
        taken = min(moments.look(partial(function.loop, begin, end, *arguments))[0] for _ in range(3))
        parts = max(1, min(end - begin, round(taken / _PART)))
        first, last = (begin + place * (end - begin) // parts for place in (which % parts, which % parts + 1))
        whole, empty = (moments.cycles(partial(function.loop, first, stop, *arguments)) for stop in (last, first))
        cycles += (whole - empty) * (end - begin) / (last - first)
    return cycles / macs


def main() -> int:
    command = parser(__doc__, rounds=15)
    command.add_argument("products", nargs="*", metavar="product", help="by its name in the table (default: all)")
    command.add_argument("--size", type=int, default=512, help="N of N × N × N (%(default)s)")
    command.add_argument("--exact", action="store_true", help="log accumulation with the range rule as well")
    command.add_argument("--patience", type=float, default=1.0, help="seconds to wait for quiet moments (%(default)s)")
    command.add_argument("--show", action="store_true", help="print what each loop takes of each resource")
    args = parse(command)
    if args.threads != 1:
        command.error("a bound is of one thread: --threads must be 1")
    chosen = units(args.quick)
    if unknown := set(args.products) - set(chosen):
        command.error(f"no product is called {', '.join(sorted(unknown))}; there are {', '.join(chosen)}")
    size = 64 if args.quick else args.size
    machine = Machine(args.rounds, patience=0.01 if args.quick else args.patience)
    rows: list[dict[str, Any]] = []
    for name in args.products or chosen:
        for path in isa.available():
            for low in (False, True) if args.exact and isinstance(chosen[name], LogDot) else (False,):
                large, found = reached(name, chosen[name], size, path, low)
                if found:
                    small = cases.product(chosen[name], SIDE, size, SIDE, path, low)
                    row = measure(machine, found, small, large, size)
                    rows.append({"name": f"{name}, exact" if low else name, "path": path, "size": size} | row)
    header = ["product", "path", "limit", "bound, cycles/MAC", "without dependences", "loop", "of the bound",
              "of that without dependences", "whole product"]  # fmt: skip
    lines = [
        [row["name"], row["path"], "; ".join(loop["limit"] for loop in row["loops"]),
         f"{row['bound']:.3g}", f"{row['independent']:.3g}",
         *(show(row[key]) for key in ("cycles", "attained", "attained_independent", "whole"))]
        for row in rows
    ]  # fmt: skip
    text = table(header, lines)
    if args.show:
        shown: dict[str, list[str]] = {}  # products that run the same loops stand together
        for row in rows:
            shown.setdefault(resources(row), []).append(f"{row['name']} ({row['path']})")
        text += "".join(f"\n\n{', '.join(names)}\n\n{lines}" for lines, names in shown.items())
    wrong = [f"{row['name']} ({row['path']})" for row in rows if row["bound"] > REFUTED * row["independent"]]
    if wrong:
        text += f"\n\nMeasure again: faster without dependences than the bound: {', '.join(wrong)}"
    return finish(args, rows, f"{text}\n\n{machine.moments.summary()}")


def reached(
    name: str, unit: LinearDot | LogDot, size: int, path: str, low: bool
) -> tuple[Callable[[], object], dict[Loop, Any]]:
    """A call of a product, and the loops that it runs: none if they are no vector loops, or if the exact loop is asked
    for (``low``) and the operands cannot leave the accumulator's range.

    Raises
    ------
    ValueError
        If loops of a vector path are not known, or others run than those found, because of an event.
    """
    call = cases.product(unit, size, size, size, path, low)
    found = signatures(LOOPS.get(path, ()), call)
    if not found and path != "portable":  # whose log accumulation is no vector loop
        raise ValueError(f"no loop of {name} on the path {path} is known: add it to LOOPS")
    if low:
        return call, {loop: types for loop, types in found.items() if loop.longest}
    if isinstance(unit, LogDot) and call()[1].any():
        raise ValueError(f"{name} raised events, so its exact loop ran: choose other operands in cases.product")
    return call, found


def resources(row: dict[str, Any]) -> str:
    """Cycles of each resource for each loop of a product."""
    lines = [
        [loop["function"], name, f"{cycles:.2f}"]
        for loop in row["loops"]
        for name, cycles in sorted(loop["cycles"].items(), key=lambda item: -item[1])
    ]
    return table(["loop", "resource", "cycles a turn"], lines)


if __name__ == "__main__":
    sys.exit(main())
