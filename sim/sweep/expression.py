"""The expressions of a sweep file: arithmetic, comparisons and boolean operators over its variables.

A walk over Python's own syntax tree that knows the nodes below and no others: no attribute, no subscript, no call but
of the functions named, so that a sweep file is data and never a program.
"""

from __future__ import annotations

import ast
import difflib
import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sim.sweep.errors import SweepError

__all__ = ["FUNCTIONS", "Expression", "fill", "names_in", "unknown"]

FUNCTIONS: dict[str, Callable[..., Any]] = {"abs": abs, "len": len, "max": max, "min": min}

_LARGEST_EXPONENT = 1024

_HOLE = re.compile(r"\{([^{}]*)\}")


def _power(base: Any, exponent: Any) -> Any:
    if abs(exponent) > _LARGEST_EXPONENT:
        raise ValueError(f"an exponent must be at most {_LARGEST_EXPONENT}, got {exponent}")
    return base**exponent


_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: _power,
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip


def unknown(name: str, known: Collection[str]) -> str:
    """The end of a message about a name that is not known: the nearest one, or all."""
    close = difflib.get_close_matches(name, list(known), 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(known)) or 'none'}"


@dataclass(frozen=True)
class Expression:
    """An expression whose syntax and names have been checked.

    Attributes
    ----------
    text, where : str
        As written, and which key of the file it stands in.
    tree : ast.expr
    """

    text: str
    where: str
    tree: ast.expr

    @classmethod
    def parse(cls, text: Any, variables: Collection[str], where: str) -> Expression:
        """`SweepError` if it is no expression of the variables."""
        if not isinstance(text, str):
            raise SweepError(f"{where}: must be an expression as text, got {text!r}")
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise SweepError(f"{where}: {text!r} is not an expression") from None
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id not in variables and node.id not in FUNCTIONS:
                raise SweepError(f"{where}: {text!r}: no variable {node.id!r}{unknown(node.id, variables)}")
        expression = cls(text, where, tree)
        _check(tree, expression)
        return expression

    @property
    def names(self) -> set[str]:
        """The variables that it reads."""
        return {node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name)} - set(FUNCTIONS)

    def value(self, variables: Mapping[str, Any]) -> Any:
        """`SweepError` if it has no value, such as a sum of a number and a text."""
        try:
            return _value(self.tree, variables)
        except (ArithmeticError, TypeError, ValueError) as error:
            given = ", ".join(f"{name} = {variables[name]!r}" for name in sorted(self.names))
            raise SweepError(f"{self.where}: {self.text!r} has no value for {given}: {error}") from None


def _check(node: ast.AST, of: Expression) -> None:
    """`SweepError` at the first thing that is not of this language."""
    match node:
        case ast.BinOp(op=op) | ast.UnaryOp(op=op):
            known = type(op) in _OPERATORS
        case ast.Compare(ops=ops):
            known = all(type(op) in _OPERATORS for op in ops)
        case ast.Call(func=func, keywords=keywords):
            known = isinstance(func, ast.Name) and func.id in FUNCTIONS and not keywords
        case ast.Constant(value=value):
            known = isinstance(value, (bool, int, float, str))
        case ast.Name(id=name):
            known = name not in FUNCTIONS
        case _:
            known = isinstance(node, (ast.BoolOp, ast.IfExp, ast.Tuple, ast.List))
    if not known:
        raise SweepError(
            f"{of.where}: {of.text!r}: {ast.unparse(node)!r} is not possible here; there are arithmetic, comparisons, "
            f"and, or, not, in, if-else, tuples and {', '.join(FUNCTIONS)}"
        )
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr) and not (isinstance(node, ast.Call) and child is node.func):
            _check(child, of)


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return names[name]
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_value(left, names), _value(right, names))
        case ast.UnaryOp(op=op, operand=operand):
            return _OPERATORS[type(op)](_value(operand, names))
        case ast.BoolOp(op=op, values=values):
            stop = isinstance(op, ast.Or)  # the value that ends the evaluation
            for item in values:
                result = _value(item, names)
                if bool(result) is stop:
                    break
            return result
        case ast.Compare(left=left, ops=ops, comparators=others):
            first = _value(left, names)
            for compare, other in zip(ops, others, strict=True):
                second = _value(other, names)
                if not _OPERATORS[type(compare)](first, second):
                    return False
                first = second
            return True
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _value(body if _value(test, names) else orelse, names)
        case ast.Call(func=ast.Name(id=name), args=args):
            return FUNCTIONS[name](*(_value(arg, names) for arg in args))
        case ast.Tuple(elts=elts) | ast.List(elts=elts):
            return [_value(item, names) for item in elts]
        case _:
            raise AssertionError(f"unchecked node {ast.dump(node)}")


def names_in(value: Any, variables: Collection[str], where: str) -> set[str]:
    """The variables that a value of ``[set]`` reads, in whatever depth; `SweepError` if a hole in it is wrong."""
    if isinstance(value, Mapping):
        return set().union(*(names_in(item, variables, f"{where}.{name}") for name, item in value.items()))
    if isinstance(value, (list, tuple)):
        return set().union(*(names_in(item, variables, where) for item in value))
    if not isinstance(value, str):
        return set()
    if any(c in _HOLE.sub("", value) for c in "{}"):
        raise SweepError(f"{where}: {value!r} has a brace without its partner")
    return set().union(*(Expression.parse(hole, variables, where).names for hole in _HOLE.findall(value)))


def fill(value: Any, variables: Mapping[str, Any], where: str) -> Any:
    """A value of ``[set]`` with its holes filled: a text that is one ``{expression}`` alone keeps the type of its
    value, in any other the value is written."""
    if isinstance(value, Mapping):
        return {name: fill(item, variables, f"{where}.{name}") for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [fill(item, variables, where) for item in value]
    if not isinstance(value, str):
        return value

    def filled(hole: str) -> Any:
        return Expression.parse(hole, variables, where).value(variables)

    whole = _HOLE.fullmatch(value.strip())
    return filled(whole[1]) if whole else _HOLE.sub(lambda hole: str(filled(hole[1])), value)
