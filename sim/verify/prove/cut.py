"""A unit that is proven by itself, cut out of one that contains it.

What contains it is proven for any function in its place, the same one on both sides: then it holds for the unit that
the Verilog has and for the definition's, which are one function by their own proof. The results of an instance are new
inputs of the graph, the same ones wherever all of its operands are the same literals. A proof for results that are
free is one for results of a function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sim.verify.prove.aig import FALSE
from sim.verify.prove.symbolic import Engine, Value
from sim.verify.unit import Combinational, Port

__all__ = ["Cut", "integer"]


def integer(engine: Engine, port: Port, bits: Sequence[int]) -> Value:
    """The integer on a port."""
    return engine.integer(bits if port.signed else [*bits, FALSE])


class Cut:
    """Any function of a unit's inputs with its outputs, of which at most one event is high."""

    def __init__(self, engine: Engine, unit: Combinational) -> None:
        self.unit = unit
        self._engine = engine
        self._results: dict[tuple[int, ...], list[int]] = {}

    def literals(self, operands: Sequence[int]) -> list[int]:
        """All outputs for the literals of all inputs, the lowest bits of the first port first."""
        key = tuple(operands)
        if key not in self._results:
            aig = self._engine.aig
            results = [aig.input() for _ in range(self.unit.output_bits)]
            # the definition's range rule raises one event or none, and what follows knows no two at once
            for i in range(len(results) - len(self.unit.event_ports()), len(results)):
                earlier = aig.any(results[len(results) - len(self.unit.event_ports()) : i])
                results[i] = aig.both(results[i], earlier ^ 1)
            self._results[key] = results
        return self._results[key]

    def function(self) -> Callable[..., Any]:
        """In the place of the definition's own function, whose first arguments are the unit's operands."""
        engine, inputs, (result, *events) = self._engine, self.unit.inputs(), self.unit.outputs()

        def call(*args: Any) -> Any:
            operands = zip(args, inputs, strict=False)  # formats and tables follow
            found = self.literals([bit for value, port in operands for bit in engine.bits(value, port.width)])
            value = integer(engine, result, found[: result.width])
            if not events:
                return value
            raised: Value = 0
            for event, literal in zip(self.unit.events, found[result.width :], strict=True):
                raised = raised | engine.mux(literal, int(event), 0)
            return value, raised

        return call
