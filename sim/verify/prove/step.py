"""One clock of a dot product, from any state: the modules without pipeline stages (``depth`` 0), for all inputs.

Of ``lns_dot_linear``, whose state is the accumulator with its flag, and a register with a result that waits:

- a reset makes the accumulator zero, without a flag, and leaves no result;
- a beat is taken if and only if ``valid_i`` and ``ready_o`` are high, and ``ready_o`` is high unless a result waits
  that is not taken;
- a beat that is taken makes the accumulator what the definition says of one more cycle of terms, or ends the dot
  product: then that is the result that waits from now on, and the accumulator is that of a reset;
- otherwise the accumulator, and a result that is not taken, stay as they are.

Of ``lns_dot_log``, whose state is the lanes with two flags, whether they are empty (the next beat is a first one),
whether they are complete (the last beat is in them), and such a register:

- a reset makes the lanes empty and not complete, and leaves no result;
- complete lanes become a result as soon as none waits that is not taken, and it is what the definition's tree makes
  of them; a beat is taken if and only if ``valid_i`` and ``ready_o`` are high, and ``ready_o`` is high unless the
  lanes are complete and stay;
- a beat that is taken makes every lane what the definition says of one more product in it, after zero and without a
  flag if the lanes were empty; they are complete if and only if it was the last one, and then count as empty;
- otherwise lanes that are neither empty nor done with, and a result that is not taken, stay as they are.

With the definition's own loop over cycles, whose lanes are apart until its tree, the dot product of any number of
beats follows by induction; zeros, which lanes without a term get, change nothing in it. With stages the beats are the
same ones, later: that of ``lns_pipeline`` is tested and not proven.

Terms, or products and log-adders, are proven by themselves, and the step for any functions in their places (`Cut`):
as they are, those of 16 lanes are too much for a proof. Verilog that does not serve any functions as the definition
does, as with the operands of a sum in another order, may still be right: then the step is proven with its parts as they
are, or refuted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sim.verify.prove.aig import FALSE, TRUE, Aig
from sim.verify.prove.cut import Cut, integer
from sim.verify.prove.model import Definition
from sim.verify.prove.netlist import elaborate, net, next_bits, read
from sim.verify.prove.symbolic import Engine, Value
from sim.verify.unit import Combinational, Port
from sim.verify.units.add import Add
from sim.verify.units.dot import DotLinear, DotLog

__all__ = ["Sides", "Step", "dot_step", "parts"]

Step = DotLinear | DotLog

_RESET, _VALID, _READY = Port("rst_ni", 1), Port("valid_i", 1), Port("ready_i", 1)
_TAKES, _WAITS = Port("ready_o", 1), Port("valid_o", 1)


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides of a proof: literals of all inputs, and of all outputs by the definition and by the Verilog."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    literals: list[int]
    expected: list[int]
    got: list[int]


@dataclass(frozen=True, slots=True)
class _Before:
    """In the place of a word: all cycles before, which left this behind."""

    value: Value
    events: Value = 0


Bits = dict[Port, list[int]]


@dataclass(frozen=True, slots=True)
class _Next:
    """What the definition says of one clock.

    Attributes
    ----------
    takes : int
        Whether a beat can be taken.
    state : dict
        Literals of the next state.
    means : dict
        When a part of it means anything; always, if it is not in there.
    """

    takes: int
    state: Bits
    means: dict[Port, int]


def parts(unit: Step) -> tuple[Combinational, ...]:
    """What a dot product is made of, and what is to be proven by itself."""
    if isinstance(unit, DotLinear):
        return (unit.term,)
    return unit.product, Add(unit.product.acc, unit.table)


def dot_step(unit: Step, engine: Engine, rtl: Path, folder: Path, cut: bool) -> Sides:
    """The next state of both sides, with the parts cut out or as they are."""
    unit = replace(unit, depth=0)
    aig = engine.aig
    cuts = [Cut(engine, part) for part in parts(unit)] if cut else []
    definition = Definition(engine)
    for one in cuts:
        vars(definition.reference)[one.unit.module.removeprefix("lns_")] = one.function()
    own = _linear_state(unit) if isinstance(unit, DotLinear) else _log_state(unit)
    inputs, state = (_RESET, _VALID, _READY, *unit.inputs()), (*own, _WAITS, *unit.outputs())
    literals = {port: [aig.input() for _ in range(port.width)] for port in (*inputs, *state)}
    if isinstance(unit, DotLinear):
        following = _linear(unit, definition, literals)
    else:
        following = _log(unit, definition, literals)

    outputs = (_TAKES, _WAITS, *unit.outputs())
    netlist = elaborate(unit, (Port("clk_i", 1), *inputs), outputs, rtl, folder, [one.unit for one in cuts])
    nets = {port: net(netlist, f"u_dut.{port.name}" if port in own else port.name) for port in literals}
    given: dict[Any, int] = {}
    for port, known in literals.items():
        given |= dict(zip(nets[port], known, strict=True))
    registers = next_bits(netlist, [bit for port in state for bit in nets[port]])
    got = read(netlist, aig, given, [*net(netlist, _TAKES.name), *registers], cuts)
    expected = [following.takes, *(bit for port in state for bit in following.state[port])]
    means = [TRUE, *(following.means.get(port, TRUE) for port in state for _ in range(port.width))]
    return Sides(
        inputs=tuple(literals),
        outputs=(_TAKES, *(replace(port, name=f"next {port.name}") for port in state)),
        literals=[literal for port in literals for literal in literals[port]],
        expected=list(map(aig.both, means, expected)),
        got=list(map(aig.both, means, got)),
    )


def _choose(aig: Aig, condition: int, then: Sequence[int], otherwise: Sequence[int]) -> list[int]:
    return [aig.mux(condition, x, y) for x, y in zip(then, otherwise, strict=True)]


def _result(unit: Step, aig: Aig, now: Bits, new: int, bits: Sequence[int]) -> _Next:
    """The register with a result that waits: a new one comes where ``new`` holds, and there is room for it."""
    (running,), (taken,), (full,) = now[_RESET], now[_READY], now[_WAITS]
    room = aig.either(full ^ 1, taken)
    will_wait = aig.both(running, aig.mux(room, new, full))
    held = [bit for port in unit.outputs() for bit in now[port]]
    chosen = iter(_choose(aig, aig.both(room, new), bits, held))
    state = {port: [next(chosen) for _ in range(port.width)] for port in unit.outputs()}
    return _Next(room, {_WAITS: [will_wait], **state}, dict.fromkeys(unit.outputs(), will_wait))


# --- linear accumulator


def _linear_state(unit: DotLinear) -> tuple[Port, ...]:
    return Port("acc_q", unit.bits, signed=True), Port("saturate_q", 1)


def _linear(unit: DotLinear, definition: Definition, now: Bits) -> _Next:
    engine, aig = definition.engine, definition.engine.aig
    acc, flag = _linear_state(unit)
    (running,), (valid,), (ends,) = now[_RESET], now[_VALID], now[unit.inputs()[0]]
    space = vars(definition.reference)
    term = space["term"]
    space["term"] = lambda x, y, dot: x.value if isinstance(x, _Before) else term(x, y, dot)

    # The terms of the first of two cycles sum to the accumulator so far, whatever it is: all that came before left a
    # number in its range, which a cycle of its own leaves as it is.
    before = [_Before(integer(engine, acc, now[acc])), *[_Before(0)] * (unit.lanes - 1)]
    row_a, row_b = _words(unit, engine, now)
    value, events = definition.reference.dot_linear([*before, *row_a], [*[0] * unit.lanes, *row_b], unit.unit)
    summed, saturated = engine.bits(value, unit.bits), aig.either(engine.holds(events), *now[flag])

    result = _result(unit, aig, now, aig.both(valid, ends), [*summed, saturated])
    beat = aig.both(valid, result.takes)
    state = {}
    for port, bits in ((acc, summed), (flag, [saturated])):
        kept = _choose(aig, beat, [aig.both(bit, ends ^ 1) for bit in bits], now[port])
        state[port] = [aig.both(running, bit) for bit in kept]
    return _Next(result.takes, state | result.state, result.means)


def _words(unit: Step, engine: Engine, now: Bits) -> list[list[Value]]:
    """The words of a beat, by lane."""
    _, *buses = unit.inputs()
    formats = unit.factors.a, unit.factors.b
    return [
        [engine.integer([*now[bus][at : at + fmt.bits], FALSE]) for at in range(0, bus.width, fmt.bits)]
        for bus, fmt in zip(buses, formats, strict=True)
    ]


# --- log accumulator


def _log_state(unit: DotLog) -> tuple[Port, ...]:
    lanes = Port("lanes_q", unit.lanes * unit.product.acc.bits)
    return Port("first_q", 1), Port("complete_q", 1), lanes, Port("above_q", 1), Port("below_q", 1)


def _log(unit: DotLog, definition: Definition, now: Bits) -> _Next:
    engine, aig = definition.engine, definition.engine.aig
    first, complete, lanes, *flags = _log_state(unit)
    (running,), (valid,), (ends,) = now[_RESET], now[_VALID], now[unit.inputs()[0]]
    (empty,), (done,) = now[first], now[complete]
    space = vars(definition.reference)
    product, add = space["product"], space["add"]
    space["product"] = lambda x, y, dot: (x, x.events) if isinstance(x, _Before) else product(x, y, dot)
    space["add"] = lambda x, y, fmt, table: (y.value, 0) if isinstance(y, _Before) else add(x, y, fmt, table)
    dot_log, width = definition.reference.dot_log, unit.product.acc.bits

    def before(means: int) -> list[_Before]:
        """What is in the lanes and the flags, or zeros and none."""
        bits = [aig.both(means, bit) for bit in now[lanes]]
        events: Value = 0
        for event, flag in zip(unit.events, flags, strict=True):
            events = events | engine.mux(aig.both(means, *now[flag]), int(event), 0)
        words = [engine.integer([*bits[at : at + width], FALSE]) for at in range(0, len(bits), width)]
        return [_Before(word, events) for word in words]

    def raised(events: Sequence[Value]) -> list[list[int]]:
        return [[aig.any(engine.holds(some & int(event)) for some in events)] for event in unit.events]

    # a lane is the dot product of one lane
    one_lane = replace(unit.unit, lanes=1)
    rows = zip(before(empty ^ 1), *_words(unit, engine, now), strict=True)
    summed = [dot_log([so_far, x], [0, y], one_lane) for so_far, x, y in rows]
    words = [bit for word, _ in summed for bit in engine.bits(word, width)]
    word, events = dot_log(before(done), [0] * unit.lanes, unit.unit)
    total = [*engine.bits(word, width), *(bit for bits in raised([events]) for bit in bits)]

    result = _result(unit, aig, now, done, total)
    takes = aig.either(done ^ 1, result.takes)
    beat = aig.both(valid, takes)
    state = {
        first: [aig.either(running ^ 1, aig.mux(beat, ends, empty))],
        complete: [aig.both(running, aig.mux(takes, aig.both(valid, ends), done))],
        lanes: _choose(aig, beat, words, now[lanes]),
    }
    for flag, bits in zip(flags, raised([events for _, events in summed]), strict=True):
        state[flag] = _choose(aig, beat, bits, now[flag])
    in_use = aig.either(state[first][0] ^ 1, *state[complete])
    return _Next(takes, state | result.state, dict.fromkeys((lanes, *flags), in_use) | result.means)
