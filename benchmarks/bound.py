"""How close each kernel comes to what its own instructions allow: the loop's bound over the measured time.

    python benchmarks/bound.py [PRODUCT …] [--size 512] [--exact] [--show]

docs/benchmarks.md says how the bound is computed. Times of kernels are in cycles of the clock beside them.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numba as nb

from benchmarks import cases
from benchmarks.assembly import Instruction, assembly_of, counts, loop_with
from benchmarks.ports import Machine, processor_seconds
from benchmarks.products import units
from benchmarks.timing import finish, parse, parser, show, spread, table
from lns.kernels import isa
from lns.kernels.tables import Threaded
from lns.reference import LinearDot, LogDot

REQUIRED = 0.85
REFUTED = 1.05  # a bound so many times the time without dependences was measured wrongly


@dataclass(frozen=True)
class Loop:
    """A loop of a compiled function, and the instructions that tell for how many multiply-accumulates a turn stands."""

    module: str
    function: str  #: a `Threaded` that Python calls; what it calls is compiled into it
    marks: tuple[tuple[str, float], ...]  #: (regular expression of a form, multiply-accumulates behind each such)
    only: str = ""  #: a parameter that must be true in the call, or false if written "not …": a function with two loops
    longest: bool = False  #: of all such loops and the ways through them, the one with the most instructions

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
_LOG_LOOPS = (
    Loop(_LOG, "_products", _LOG_MARKS, "not outside"),
    Loop(_LOG, "_products", _LOG_MARKS, "outside", longest=True),
)

#: Path -> loops of its products. Those of the functions that a product calls add up.
LOOPS: dict[str, tuple[Loop, ...]] = {
    "portable": (Loop("lns.kernels.product_loops", "_linear", (("addl r32,mem", 1),)),),
    "avx512": (
        Loop(_LINEAR, "_bytes", (("vpdpbusd", 32),)),
        Loop(_LINEAR, "_words", (("vpdpwssd", 32),), "direct"),
        Loop(_LINEAR, "_words", (("vpmulhuw", 32),), "not direct"),
        Loop(_LINEAR, "_floats", (("vpermd", 16),), "direct"),
        Loop(_LINEAR, "_floats", _IN_MEMORY, "not direct"),
        *_LOG_LOOPS,
    ),
    "avx2": (
        *(Loop(_FACTORS, name, (("vcvttps2dq", 8),)) for name in ("_masked", "_rounded", "_both")),
        Loop(_LINEAR, "_floats", (("vpermd", 8),), "direct"),
        Loop(_LINEAR, "_floats", _IN_MEMORY, "not direct"),
        *_LOG_LOOPS,
    ),
}


def signatures(loops: tuple[Loop, ...], call: Callable[[], object]) -> dict[Loop, Any]:
    """The types with which a call reaches the loops' functions, of those that it reaches."""
    seen: dict[Loop, Any] = {}
    kept = {threaded(loop): threaded(loop).loop for loop in loops}

    def recorder(function: Threaded) -> Callable[..., Any]:
        dispatcher = kept[function]

        def record(*arguments: Any) -> Any:
            named = inspect.signature(dispatcher.py_func).bind(*arguments).arguments
            for loop in loops:
                if threaded(loop) is function and loop.runs(named):
                    seen.setdefault(loop, tuple(nb.typeof(argument) for argument in arguments))
            return dispatcher(*arguments)

        return record

    for function in kept:
        function.loop = recorder(function)
    try:
        call()
    finally:
        for function, dispatcher in kept.items():
            function.loop = dispatcher
    return seen


def threaded(loop: Loop) -> Threaded:
    """The function that holds a loop."""
    found: Threaded = getattr(importlib.import_module(loop.module), loop.function)
    return found


def instructions(loop: Loop, types: Any) -> tuple[list[Instruction], float]:
    """The loop's instructions, and the multiply-accumulates of one turn."""
    body = loop_with(assembly_of(threaded(loop).loop, types), loop.marker, loop.longest)
    return body, loop.macs(body)


def measure(
    machine: Machine, found: dict[Loop, Any], call: Callable[[], object], macs: int, rounds: int
) -> dict[str, Any]:
    """One product: the bound, the measured time, both in cycles a multiply-accumulate, and what limits each loop."""
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
    call()
    taken = []
    for _ in range(rounds):
        before, time, after = machine.cycle(), processor_seconds(call), machine.cycle()
        taken.append(time / macs / ((before + after) / 2))
    return {
        "bound": least, "independent": free, "cycles": spread(taken), "loops": details,
        "attained": spread([least / cycles for cycles in taken]), "required": REQUIRED,
        "attained_independent": spread([free / cycles for cycles in taken]),
    }  # fmt: skip


def main() -> int:
    command = parser(__doc__, rounds=15)
    command.add_argument("products", nargs="*", metavar="product", help="by its name in the table (default: all)")
    command.add_argument("--size", type=int, default=512, help="N of N × N × N (%(default)s)")
    command.add_argument("--exact", action="store_true", help="log accumulation with the range rule as well")
    command.add_argument("--show", action="store_true", help="print what each loop takes of each resource")
    args = parse(command)
    if args.threads != 1:
        command.error("a bound is of one thread: --threads must be 1")
    chosen = units(args.quick)
    if unknown := set(args.products) - set(chosen):
        command.error(f"no product is called {', '.join(sorted(unknown))}; there are {', '.join(chosen)}")
    size = 64 if args.quick else args.size
    machine = Machine(rounds=3 if args.quick else 21)
    rows: list[dict[str, Any]] = []
    for name in args.products or chosen:
        for path in isa.available():
            for low in (False, True) if args.exact and isinstance(chosen[name], LogDot) else (False,):
                call, found = reached(name, chosen[name], size, path, low)
                if found:
                    row = measure(machine, found, call, size**3, args.rounds)
                    rows.append({"name": f"{name}, exact" if low else name, "path": path, "size": size} | row)
    header = ["product", "path", "bound, cycles/MAC", "limit", "measured", "attained", "without dependences", "of that"]
    lines = [
        [row["name"], row["path"], f"{row['bound']:.4g}", "; ".join(loop["limit"] for loop in row["loops"]),
         show(row["cycles"]), show(row["attained"]), f"{row['independent']:.4g}", show(row["attained_independent"])]
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
    return finish(args, rows, f"{text}\n\nClock: {machine.gigahertz:.2f} GHz")


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
