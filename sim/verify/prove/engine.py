"""A unit's Verilog against the definition, for all inputs at once.

Both sides become graphs over the same inputs (`netlist`, `model`). An output bit in which they differ, or an input for
which the definition is none (it would raise), refutes it; abc proves that there is no such input.
"""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeGuard

from sim.paths import data_dir
from sim.verify.prove.aig import FALSE, Aig
from sim.verify.prove.cut import integer
from sim.verify.prove.model import RATIONAL, Definition, legal, tabulated
from sim.verify.prove.netlist import OtherParameters, elaborate, net, read
from sim.verify.prove.step import Sides, Step, dot_step, parts
from sim.verify.prove.symbolic import Engine
from sim.verify.tools import MissingTool
from sim.verify.unit import Combinational, Port, Unit, VerifyError

__all__ = ["Counterexample", "Proof", "check_tools", "provable", "prove"]

Provable = Combinational | Step

_CONFLICTS = 1_000_000_000  # no limit but the clock
_PATTERNS = 1024  # of a random simulation


@dataclass(frozen=True, slots=True)
class Counterexample:
    """Operands for which a unit's Verilog and the definition differ: values of the ports, in their order."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    operands: tuple[int, ...]
    expected: tuple[int, ...]
    got: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found of one instance.

    Attributes
    ----------
    method : str
        How the definition became a graph: ``symbolic`` execution, or a ``table`` of all operands; ``one step`` of a
        unit with a state, by symbolic execution.
    input_bits : int
        Bits of all inputs, and of the state, together: the proof holds for every value of them that is legal.
    definition_ands, rtl_ands : int
        Sizes of the two graphs.
    verdict : str
        ``proven``, ``refuted``, or ``open`` if the time was not enough.
    given : tuple of str
        Modules in whose places the proof holds for any functions, the same ones on both sides: it says what the unit
        is where they are proven by themselves.
    reason : str
        Why it is open.
    seconds : float
        Wall time of the proof that gave the verdict, of which abc took ``solver_seconds``.
    """

    unit: str
    label: str
    instance: str
    method: str
    input_bits: int
    definition_ands: int
    rtl_ands: int
    seconds: float
    solver_seconds: float
    verdict: str
    given: tuple[str, ...] = ()
    reason: str = ""
    counterexample: Counterexample | None = None

    def to_dict(self) -> dict[str, Any]:
        """The proof as plain data, for JSON; a counterexample by the ports' names."""
        data = {field.name: getattr(self, field.name) for field in fields(self)}
        if (example := self.counterexample) is not None:
            inputs, outputs = ([port.name for port in ports] for ports in (example.inputs, example.outputs))
            data["counterexample"] = {
                "operands": dict(zip(inputs, example.operands, strict=True)),
                "expected": dict(zip(outputs, example.expected, strict=True)),
                "got": dict(zip(outputs, example.got, strict=True)),
            }
        return data


def provable(unit: Unit) -> TypeGuard[Provable]:
    """Whether the definition of a unit can be made a graph: no state, or the one that `dot_step` knows; no rational
    numbers, or few operands."""
    if isinstance(unit, RATIONAL):
        return unit.exhaustible
    return isinstance(unit, Provable)


def check_tools() -> None:
    """Raise `MissingTool` if one is not installed."""
    if any(shutil.which(tool) is None for tool in ("yosys", "berkeley-abc")):
        raise MissingTool("a proof needs Yosys and abc: apt install yosys berkeley-abc")


def prove(unit: Provable, timeout: float, rtl: Path | None = None, keep: Path | None = None) -> Proof:
    """Prove that a unit's Verilog is the definition, or refute it.

    Parameters
    ----------
    unit : Combinational or Step
    timeout : float
        Seconds that abc may take.
    rtl : Path, optional
        Folder of the Verilog to judge, by default the package's own.
    keep : Path, optional
        Folder for netlists, graphs and logs, by default a temporary one.

    Raises
    ------
    VerifyError
        If there is no verdict for another reason than time; `MissingTool` if a tool is not installed.
    """
    check_tools()
    rtl = data_dir("rtl") if rtl is None else rtl
    if keep is not None:
        folder = keep.resolve() / unit.slug
        folder.mkdir(parents=True, exist_ok=True)
        return _prove(unit, timeout, rtl, folder)
    with tempfile.TemporaryDirectory(prefix="lns-prove-") as name:
        return _prove(unit, timeout, rtl, Path(name))


def _combinational(unit: Combinational, engine: Engine, rtl: Path, folder: Path) -> Sides:
    aig = engine.aig
    any_operands = [integer(engine, port, [aig.input() for _ in range(port.width)]) for port in unit.inputs()]
    mapped = zip(unit.inputs(), legal(unit, any_operands), strict=True)
    inputs = [engine.bits(value, port.width) for port, value in mapped]
    operands = [integer(engine, port, bits) for port, bits in zip(unit.inputs(), inputs, strict=True)]
    if isinstance(unit, RATIONAL):
        expected = tabulated(unit, aig, inputs)
    else:
        results = zip(unit.outputs(), Definition(engine).model(unit, operands), strict=True)
        expected = [bit for port, value in results for bit in engine.bits(value, port.width)]
    netlist = elaborate(unit, unit.inputs(), unit.outputs(), rtl, folder)
    given: dict[Any, int] = {}
    for port, literals in zip(unit.inputs(), inputs, strict=True):
        given |= dict(zip(net(netlist, port.name), literals, strict=True))
    got = read(netlist, aig, given, [bit for port in unit.outputs() for bit in net(netlist, port.name)])
    return Sides(unit.inputs(), unit.outputs(), [bit for bits in inputs for bit in bits], expected, got)


def _prove(unit: Provable, timeout: float, rtl: Path, folder: Path) -> Proof:
    if not isinstance(unit, Step):
        return _attempt(unit, timeout, rtl, folder, cut=False)
    with contextlib.suppress(OtherParameters):
        proof = _attempt(unit, timeout, rtl, folder, cut=True)
        if proof.verdict != "refuted":
            return proof
    # they are not those that have a proof, or the difference is by functions that they may not have
    return _attempt(unit, timeout, rtl, folder, cut=False)


def _attempt(unit: Provable, timeout: float, rtl: Path, folder: Path, cut: bool) -> Proof:
    start = time.perf_counter()
    engine = Engine(Aig())
    aig = engine.aig
    if isinstance(unit, Step):
        sides, method = dot_step(unit, engine, rtl, folder, cut), "one step"
    else:
        sides = _combinational(unit, engine, rtl, folder)
        method = "table" if isinstance(unit, RATIONAL) else "symbolic"
    expected, got = sides.expected, sides.got
    solver_start = time.perf_counter()
    verdict, pattern = _solve(aig, [*expected, engine.undefined], [*got, FALSE], timeout, folder)
    counterexample = None
    if pattern is not None:
        values = iter(aig.simulate([*sides.literals, *expected, *got], pattern, 1))
        ports = sides.inputs, sides.outputs, sides.outputs
        given, right, wrong = (tuple(_collect(port, values) for port in side) for side in ports)
        if isinstance(unit, Combinational):
            right = tuple(unit.model(*given))
        if right == wrong:
            raise VerifyError(f"{unit.module} {unit}: the counterexample {given} is none: the proof itself is at fault")
        counterexample = Counterexample(sides.inputs, sides.outputs, given, right, wrong)
    return Proof(
        unit=unit.module,
        label=unit.label,
        instance=str(unit),
        method=method,
        input_bits=len(sides.literals),
        definition_ands=aig.size(expected),
        rtl_ands=aig.size(got),
        seconds=time.perf_counter() - start,
        solver_seconds=time.perf_counter() - solver_start,
        verdict=verdict,
        given=tuple(part.module for part in parts(unit)) if isinstance(unit, Step) and cut else (),
        reason=f"not decided in {timeout:g} s" if verdict == "open" else "",
        counterexample=counterexample,
    )


def _collect(port: Port, values: Any) -> int:
    """The value of a port from its bits, lowest first."""
    value = sum(next(values) << i for i in range(port.width))
    return value - (value >> (port.width - 1) << port.width) if port.signed else value


def _solve(
    aig: Aig, expected: list[int], got: list[int], timeout: float, folder: Path
) -> tuple[str, list[int] | None]:
    """A verdict, and the inputs' values where it is ``refuted``."""
    if expected == got:  # both sides have become the same graph
        return "proven", None
    differs = aig.any(aig.unlike(a, b) for a, b in zip(expected, got, strict=True))
    for name, outputs in (("definition", expected), ("verilog", got), ("differs", [differs])):
        (folder / f"{name}.aig").write_bytes(aig.aiger(outputs))
    # abc's -m, which takes one graph of differences, calls some of these equivalent that are not
    text = _abc(f"&r definition.aig; &cec -C {_CONFLICTS} verilog.aig", timeout, folder)
    if text is None:
        return "open", None
    if "Networks are equivalent" in text:
        # a second opinion, which costs next to nothing
        random_bits = random.Random(0)
        patterns = [random_bits.getrandbits(_PATTERNS) for _ in aig.inputs]
        if aig.simulate([differs], patterns, _PATTERNS)[0]:
            raise VerifyError("abc calls graphs equivalent that a simulation tells apart")
        return "proven", None
    if "Networks are NOT EQUIVALENT" not in text:
        raise VerifyError(f"abc gave no verdict: {' '.join(text.split()[-30:])}")
    example = folder / "counterexample.txt"
    example.unlink(missing_ok=True)  # an earlier run's
    _abc(f"read_aiger differs.aig; iprove; write_cex -n {example.name}", timeout, folder)
    found = re.findall(r"^pi(\d+)@0=([01])$", example.read_text("utf-8"), re.MULTILINE) if example.is_file() else []
    values = {int(number): int(value) for number, value in found}
    if sorted(values) != list(range(len(aig.inputs))):
        raise VerifyError("abc says that the graphs differ, but not where")
    return "refuted", [values[i] for i in range(len(aig.inputs))]


def _abc(commands: str, timeout: float, folder: Path) -> str | None:
    """What abc prints, or None if the time was not enough. Its exit code says nothing."""
    try:
        done = subprocess.run(
            ["berkeley-abc", "-q", commands], cwd=folder, capture_output=True, text=True, timeout=timeout
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    with (folder / "abc.log").open("a", encoding="utf-8") as log:
        log.write(f"{commands}\n{done.stdout}{done.stderr}")
    return done.stdout
