"""Boolean expressions as Liberty writes them: functions of pins, next states, conditions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from sim.cost.errors import CostError

__all__ = ["Expression", "parse_expression"]

Truth = npt.NDArray[np.bool_]

_TOKEN = re.compile(r"\s*([A-Za-z_][\w\[\]]*|[01]|[()!'^*&+|])|\s*(\S)")
# loosest first; what stands side by side is a product
_LEVELS = ({"+": "|", "|": "|"}, {"*": "&", "&": "&"}, {"^": "^"})


@dataclass(frozen=True)
class Expression:
    """A name or a constant (``operator`` is empty), the complement ``~`` of one part, or ``|``, ``&``, ``^`` of two."""

    operator: str
    name: str = ""
    parts: tuple[Expression, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """Of the variables."""
        if self.operator:
            return frozenset().union(*(part.names for part in self.parts))
        return frozenset() if self.name in "01" else frozenset({self.name})

    def __call__(self, values: Mapping[str, Truth], shape: tuple[int, ...]) -> Truth:
        """The value of every element, from those of the variables."""
        if not self.operator:
            return np.full(shape, self.name == "1") if self.name in "01" else values[self.name]
        operands = [part(values, shape) for part in self.parts]
        if self.operator == "~":
            return ~operands[0]
        kind = {"|": np.logical_or, "&": np.logical_and, "^": np.logical_xor}[self.operator]
        result: Truth = kind(*operands)
        return result

    @property
    def verilog(self) -> str:
        """With every operation in parentheses."""
        if not self.operator:
            return f"1'b{self.name}" if self.name in "01" else self.name
        texts = [part.verilog for part in self.parts]
        return f"(~{texts[0]})" if self.operator == "~" else f"({texts[0]} {self.operator} {texts[1]})"


@lru_cache(maxsize=1 << 14)  # a large library repeats few conditions often
def parse_expression(text: str) -> Expression:
    """An expression with the operators of Liberty: ``!`` before or ``'`` behind, ``^``, then ``*`` or ``&`` or nothing,
    then ``+`` or ``|``.

    Raises
    ------
    CostError
        If it is none.
    """
    tokens = [match.groups() for match in _TOKEN.finditer(text)]
    if not tokens or any(other for _, other in tokens):
        raise CostError(f"a boolean expression of Liberty is required, got {text!r}")
    parser = _Parser([token for token, _ in tokens], text)
    result = parser.level(0)
    if parser.tokens:
        raise parser.error()
    return result


class _Parser:
    """Recursive descent; ``tokens`` are those that are left."""

    def __init__(self, tokens: list[str], text: str) -> None:
        self.tokens, self.text = tokens, text

    def error(self) -> CostError:
        where = f"at {self.tokens[0]!r}" if self.tokens else "at its end"
        return CostError(f"a boolean expression of Liberty is required, {self.text!r} is none {where}")

    def level(self, depth: int) -> Expression:
        if depth == len(_LEVELS):
            return self.factor()
        result = self.level(depth + 1)
        while self.tokens:
            operator = _LEVELS[depth].get(self.tokens[0])
            if operator:
                self.tokens.pop(0)
            elif depth == 1 and self.tokens[0] not in (")", "'", "^", "+", "|"):
                operator = "&"
            else:
                break
            result = Expression(operator, parts=(result, self.level(depth + 1)))
        return result

    def factor(self) -> Expression:
        if not self.tokens or self.tokens[0] in ")'^*&+|":
            raise self.error()
        token = self.tokens.pop(0)
        if token == "!":
            return Expression("~", parts=(self.factor(),))
        if token == "(":
            result = self.level(0)
            if not self.tokens or self.tokens.pop(0) != ")":
                raise self.error()
        else:
            result = Expression("", token)
        while self.tokens and self.tokens[0] == "'":
            self.tokens.pop(0)
            result = Expression("~", parts=(result,))
        return result
