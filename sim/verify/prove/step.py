"""One clock of the linear dot product, from any state.

The state of ``lns_dot_linear`` is the accumulator with its flag, and a register with a result that waits. What is shown
of the module without pipeline stages (``depth`` 0), for every state and all inputs:

- a reset makes the accumulator zero, without a flag, and leaves no result;
- a beat is taken if and only if ``valid_i`` and ``ready_o`` are high, and ``ready_o`` is high unless a result waits
  that is not taken;
- a beat that is taken makes the accumulator what the definition says of one more cycle of terms, or ends the dot
  product: then that is the result that waits from now on, and the accumulator is that of a reset;
- otherwise the accumulator, and a result that is not taken, stay as they are.

With the definition's own loop over cycles, the dot product of any number of beats follows by induction. With stages
the beats are the same ones, later: that of ``lns_pipeline`` is tested and not proven.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sim.verify.prove.aig import FALSE
from sim.verify.prove.model import Definition
from sim.verify.prove.netlist import elaborate, net, next_bits, read
from sim.verify.prove.symbolic import Engine, Value
from sim.verify.unit import Port
from sim.verify.units.dot import DotLinear

__all__ = ["Sides", "dot_step", "integer"]

_RESUME = object()  # in the place of a word: the term that stands for all cycles before


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides of a proof: literals of all inputs, and of all outputs by the definition and by the Verilog."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    literals: list[int]
    expected: list[int]
    got: list[int]


def integer(engine: Engine, port: Port, bits: Sequence[int]) -> Value:
    """The integer on a port."""
    return engine.integer(bits if port.signed else [*bits, FALSE])


def dot_step(unit: DotLinear, engine: Engine, rtl: Path, folder: Path) -> Sides:
    """The next state of both sides. Of a result that does not wait, nothing is said."""
    unit = replace(unit, depth=0)
    last, a, b = unit.inputs()
    acc, flag = Port("acc_q", unit.bits, signed=True), Port("saturate_q", 1)
    waits, result, result_flag = Port("valid_o", 1), *unit.outputs()
    reset, valid, ready = Port("rst_ni", 1), Port("valid_i", 1), Port("ready_i", 1)
    state = acc, flag, waits, result, result_flag
    inputs = reset, valid, ready, last, a, b
    aig = engine.aig
    literals = {port: [aig.input() for _ in range(port.width)] for port in (*inputs, *state)}
    (r,), (v,), (taken,), (ends,), (full,) = (literals[port] for port in (reset, valid, ready, last, waits))

    value, saturated = _one_more(unit, engine, literals[a], literals[b], integer(engine, acc, literals[acc]))
    saturated = aig.either(saturated, *literals[flag])
    takes = aig.either(full ^ 1, taken)
    beat = aig.both(v, takes)
    done = aig.both(beat, ends)
    stays = aig.both(full, taken ^ 1)

    def choose(condition: int, then: Sequence[int], otherwise: Sequence[int]) -> list[int]:
        return [aig.mux(condition, x, y) for x, y in zip(then, otherwise, strict=True)]

    now, summed = [*literals[acc], *literals[flag]], [*engine.bits(value, unit.bits), saturated]
    following = choose(done, [FALSE] * len(now), choose(beat, summed, now))
    waiting = choose(done, summed, [*literals[result], *literals[result_flag]])
    will_wait = aig.both(r, aig.either(done, stays))
    expected = [takes, *(aig.both(r, x) for x in following), will_wait, *(aig.both(will_wait, x) for x in waiting)]

    outputs = (Port("ready_o", 1), waits, *unit.outputs())
    netlist = elaborate(unit, (Port("clk_i", 1), *inputs), outputs, rtl, folder)
    names = {acc: "u_dut.acc_q", flag: "u_dut.saturate_q"}
    bits = {port: net(netlist, names.get(port, port.name)) for port in literals}
    given: dict[Any, int] = {}
    for port, known in literals.items():
        given |= dict(zip(bits[port], known, strict=True))
    registers = next_bits(netlist, [bit for port in state for bit in bits[port]])
    got = read(netlist, aig, given, [*net(netlist, "ready_o"), *registers])
    masked = len(got) - unit.bits - 1
    got[masked:] = [aig.both(will_wait, literal) for literal in got[masked:]]
    every = [literal for port in literals for literal in literals[port]]
    after = (outputs[0], *(replace(port, name=f"next {port.name}") for port in state))
    return Sides(tuple(literals), after, every, expected, got)


def _one_more(
    unit: DotLinear, engine: Engine, a: Sequence[int], b: Sequence[int], total: Value
) -> tuple[Value, int]:
    """The accumulator after one cycle of terms more, and whether it saturated.

    The definition is given two cycles. The terms of the first one sum to the accumulator so far, whatever it is: all
    that came before it left a number in its range, which a cycle of its own leaves as it is.
    """
    definition = Definition(engine)
    space = vars(definition.reference)
    term = space["term"]
    space["term"] = lambda x, y, dot: total if x is _RESUME else term(x, y, dot)
    rest = [0] * (unit.lanes - 1)
    rows = [
        [first, *rest, *(engine.integer([*bits[at : at + fmt.bits], FALSE]) for at in range(0, len(bits), fmt.bits))]
        for first, bits, fmt in ((_RESUME, a, unit.factors.a), (0, b, unit.factors.b))
    ]
    value, events = definition.reference.dot_linear(*rows, unit.unit)
    return value, engine.holds(events)
