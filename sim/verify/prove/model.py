"""The definition itself, executed on symbolic integers.

`Definition` holds a private copy of `lns.reference`, compiled from its source with these differences, none of which
names a unit or knows what one computes:

- a conditional expression, and an ``if`` that only assigns, joins its branches where it ends (`_Joins`). Python would
  carry both branches on to the end of the function, which is the same function but a larger circuit;
- a function joins its paths before it returns (`Engine.function`), and takes its tables as `Rom`, which can be read
  at a symbolic index;
- ``int``, ``max`` and ``min`` accept symbolic integers. ``abs``, ``sum``, ``len`` and ``range`` are Python's: they
  call methods of their operand, or never see a symbolic one;
- `accumulator_event` looks an event up in a dict, which needs a hash: it is asked for every event that it knows.

A unit's own `Combinational.model`, which binds ports to the definition's arguments, runs with this copy in place of
`lns.reference`; where a unit is not defined for all values of its ports, `legal` gives those for which it is. That
all of it computes what the definition computes is tested: graphs against plain integers.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import sys
import types
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from lns import reference
from lns.format import Event
from lns.gausslog import Table
from sim.verify.prove.aig import Aig
from sim.verify.prove.symbolic import POISON, Engine, Rom, Sym, Value, lookup, maximum, minimum
from sim.verify.unit import Combinational, Port, port_values
from sim.verify.units.codec import DecodeFixed, DecodeFloat, EncodeFixed, EncodeFloat
from sim.verify.units.loss import LossError
from sim.verify.units.update import Step, Update

__all__ = ["RATIONAL", "Definition", "legal", "tabulated"]


class _Joins(ast.NodeTransformer):
    """Conditional expressions and assigning ``if`` statements as calls of ``_merged``."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        given = {argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)}
        local = _assigned(node.body) - given
        self.generic_visit(node)
        # a variable that only some branches set must exist before them
        unset = ast.parse("".join(f"{name} = _poison\n" for name in sorted(local))).body
        documented = ast.get_docstring(node) is not None
        node.body[documented:documented] = unset
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        call = ast.parse("_merged(lambda: 0)", mode="eval").body
        assert isinstance(call, ast.Call) and isinstance(call.args[0], ast.Lambda)
        call.args[0].body = node
        return call

    def visit_If(self, node: ast.If) -> Any:
        inside = [leaf for statement in node.body + node.orelse for leaf in ast.walk(statement)]
        self.generic_visit(node)
        if any(isinstance(leaf, (ast.Return, ast.Raise, ast.Break, ast.Continue)) for leaf in inside):
            return node
        parts = [leaf for leaf in inside if isinstance(leaf, (ast.Subscript, ast.Attribute))]
        if not all(isinstance(part.ctx, ast.Load) for part in parts):
            raise TypeError(f"{ast.unparse(node)} changes an object in a branch")
        names = ", ".join(sorted(_assigned([node])))
        branch, assignment = ast.parse(
            f"def _branch({names}):\n    return ({names},)\n({names},) = _merged(_branch, {names})"
        ).body
        assert isinstance(branch, ast.FunctionDef)
        branch.body.insert(0, node)
        return [branch, assignment]


def _assigned(statements: Iterable[ast.AST]) -> set[str]:
    names = (leaf for statement in statements for leaf in ast.walk(statement) if isinstance(leaf, ast.Name))
    return {name.id for name in names if isinstance(name.ctx, ast.Store)}


class Definition:
    """The definition over one graph.

    Attributes
    ----------
    reference : module
        The private copy of `lns.reference`; its functions take integers, symbolic integers, and tables of either.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._lifted: dict[int, tuple[Any, Any]] = {}
        tree = ast.parse(inspect.getsource(reference), reference.__file__)
        for node in tree.body:
            # annotations and class bodies hold nothing to join
            if isinstance(node, ast.FunctionDef):
                _Joins().visit(node)
        name = f"{__name__}._reference"
        self.reference = types.ModuleType(name)
        space = vars(self.reference)
        space |= {"_merged": engine.merged, "_poison": POISON, **_BUILTINS}
        sys.modules[name] = self.reference  # dataclasses look their module up
        try:
            exec(compile(ast.fix_missing_locations(tree), reference.__file__, "exec"), space)
        finally:
            del sys.modules[name]
        space["accumulator_event"] = self._by_value(space["accumulator_event"], map(Event, range(2 * max(Event))))
        for key, value in list(space.items()):
            if isinstance(value, types.FunctionType) and value.__module__ == name:
                space[key] = self._lifting(engine.function(value))

    def model(self, unit: Combinational, operands: Sequence[Value]) -> list[Value]:
        """What a unit's model gives for symbolic operands."""
        return list(_Adapted(self, unit).model(*operands))

    def adapted(self, function: types.FunctionType) -> types.FunctionType:
        """A function of a unit's class, with this definition in place of `lns.reference`."""
        space = {**function.__globals__, **_BUILTINS, "reference": self.reference, "flags": self._flags}
        return types.FunctionType(function.__code__, space, closure=function.__closure__)

    def _flags(self, raised: Value, events: Event) -> list[Value]:
        """`sim.verify.unit.flags`."""
        engine = self.engine
        known = 0
        values = []
        for event in events:
            known |= event
            values.append(engine.boolean(engine.holds(raised & event)))
        engine.forbid(engine.holds(raised & ~known))
        return values

    def _by_value(self, function: Callable[[Any], Any], values: Iterable[Any]) -> Callable[[Any], Any]:
        """A function that must be asked for one plain value at a time."""
        results = {}
        for value in values:
            try:
                results[value] = function(value)
            except LookupError:
                continue

        def ask(value: Any) -> Any:
            for key, result in results.items():
                if value == key:
                    return result
            raise LookupError(value)

        ask.__module__ = function.__module__
        return ask

    def _lifting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            return function(*map(self._lift, args), **{name: self._lift(value) for name, value in named.items()})

        return call

    def _lift(self, value: Any) -> Any:
        """A unit's constants with tables that can be read at a symbolic index."""
        if isinstance(value, (int, Sym, Rom)) or value is None:
            return value
        if id(value) not in self._lifted:  # the original is kept, so that its identity stays its own
            self._lifted[id(value)] = value, self._lift_new(value)
        return self._lifted[id(value)][1]

    def _lift_new(self, value: Any) -> Any:
        if isinstance(value, np.ndarray) or (isinstance(value, list) and all(isinstance(v, int) for v in value)):
            return Rom(self.engine, [int(entry) for entry in value])
        if isinstance(value, Table):
            return Table(value.kind, value.frac_bits, {name: self._lift(rom) for name, rom in value.roms.items()})
        if dataclasses.is_dataclass(value) and type(value).__module__ == reference.__name__:
            fields = {field.name: self._lift(getattr(value, field.name)) for field in dataclasses.fields(value)}
            return vars(self.reference)[type(value).__name__](**fields)
        return value


class _Adapted:
    """A unit whose methods join their paths and call the symbolic definition; all else is the unit's own."""

    def __init__(self, definition: Definition, unit: Combinational) -> None:
        self._definition = definition
        self._unit = unit

    def __getattr__(self, name: str) -> Any:
        method = inspect.getattr_static(type(self._unit), name, None)
        if isinstance(method, types.FunctionType):
            return partial(self._definition.engine.merged, self._definition.adapted(method), self)
        return getattr(self._unit, name)


#: Units whose definition computes with rational numbers of any size, which have no circuit.
RATIONAL = (EncodeFloat, EncodeFixed, DecodeFloat, DecodeFixed)


def tabulated(unit: Combinational, aig: Aig, inputs: Sequence[Sequence[int]]) -> list[int]:
    """The literals of the outputs, lowest bits first, from a table of the plain definition at all operands."""
    values = bytearray()
    for operands in itertools.product(*(_by_pattern(port) for port in reversed(unit.inputs()))):
        for port, value in zip(unit.outputs(), unit.model(*reversed(operands)), strict=True):
            values += bytes(value >> bit & 1 for bit in range(port.width))
    index = [literal for literals in inputs for literal in literals]
    return [lookup(aig, index, bytes(values[bit :: unit.output_bits])) for bit in range(unit.output_bits)]


def _by_pattern(port: Port) -> list[int]:
    """All values of a port, in the order of their bits read as an unsigned number."""
    values = port_values(port)
    return sorted(values, key=lambda value: value % len(values))


def legal(unit: Combinational, operands: Sequence[Value]) -> list[Value]:
    """Operands that a unit is defined for, from any: legal ones stay as they are, and both sides get the same ones."""
    if isinstance(unit, (Step, Update)):
        named = dict(zip((port.name for port in unit.inputs()), operands, strict=True))
        # a stored weight is not zero, and the clip bounds a step to what the design's own constants bound it to
        step = unit if isinstance(unit, Step) else unit.step
        named["weight_i"] = named["weight_i"] | ((named["weight_i"] & unit.unit.weight.max_code) == 0)
        named["clip_i"] = minimum(named["clip_i"], step.clip + step.lrs[-1] - named["lr_i"])
        return list(named.values())
    if isinstance(unit, LossError):
        code, lse, *others = operands
        return [code, maximum(code, lse), *others]  # a sum of codes is at least each of them
    return list(operands)


def _integer(value: Any) -> Value:
    """``int``."""
    return value if isinstance(value, Sym) else int(value)


_BUILTINS = {"int": _integer, "max": maximum, "min": minimum}
