"""And-inverter graphs: what both sides of a proof are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["FALSE", "TRUE", "Aig"]

FALSE = 0  #: the literal that never holds; a literal is twice a node, plus 1 if inverted
TRUE = 1


class Aig:
    """A graph of two-input ANDs in which no two nodes have the same fanins and no fanin is constant.

    Nodes are made in topological order; node 0 is constant.
    """

    def __init__(self) -> None:
        self.inputs: list[int] = []  #: the literal of every input
        self._left = [0]
        self._right = [0]  # an input has 0 for both
        self._nodes: dict[tuple[int, int], int] = {}

    @property
    def ands(self) -> int:
        return len(self._left) - len(self.inputs) - 1

    def input(self) -> int:
        """The literal of a new input."""
        self._left.append(0)
        self._right.append(0)
        self.inputs.append(2 * len(self._left) - 2)
        return self.inputs[-1]

    def both(self, a: int, b: int) -> int:
        """a AND b."""
        if a > b:
            a, b = b, a
        if a == FALSE or a == b ^ 1:
            return FALSE
        if a in (TRUE, b):
            return b
        found = self._nodes.get((a, b))
        if found is None:
            self._left.append(a)
            self._right.append(b)
            found = self._nodes[a, b] = 2 * len(self._left) - 2
        return found

    def either(self, a: int, b: int) -> int:
        """a OR b."""
        return self.both(a ^ 1, b ^ 1) ^ 1

    def unlike(self, a: int, b: int) -> int:
        """a XOR b."""
        return self.mux(a, b ^ 1, b)

    def mux(self, condition: int, then: int, otherwise: int) -> int:
        if condition <= TRUE:
            return then if condition else otherwise
        if then == otherwise:
            return then
        if condition & 1:  # so that a multiplexer and its mirror image share their nodes
            condition, then, otherwise = condition ^ 1, otherwise, then
        return self.either(self.both(condition, then), self.both(condition ^ 1, otherwise))

    def all(self, literals: Iterable[int]) -> int:
        result = TRUE
        for literal in literals:
            result = self.both(result, literal)
        return result

    def any(self, literals: Iterable[int]) -> int:
        return self.all(literal ^ 1 for literal in literals) ^ 1

    def _cone(self, outputs: Sequence[int]) -> list[int]:
        """The AND nodes that outputs depend on, in topological order."""
        needed = bytearray(len(self._left))
        for literal in outputs:
            needed[literal >> 1] = 1
        for node in range(len(self._left) - 1, 0, -1):
            if needed[node]:
                needed[self._left[node] >> 1] = needed[self._right[node] >> 1] = 1
        return [node for node in range(1, len(self._left)) if needed[node] and self._right[node]]

    def size(self, outputs: Sequence[int]) -> int:
        """How many ANDs outputs need."""
        return len(self._cone(outputs))

    def aiger(self, outputs: Sequence[int]) -> bytes:
        """All inputs, and what outputs need, in the binary AIGER format."""
        cone = self._cone(outputs)
        number = [0] * len(self._left)
        for i, literal in enumerate(self.inputs):
            number[literal >> 1] = i + 1
        for i, node in enumerate(cone):
            number[node] = len(self.inputs) + 1 + i
        last = len(self.inputs) + len(cone)
        text = [f"aig {last} {len(self.inputs)} 0 {len(outputs)} {len(cone)}\n"]
        text += [f"{2 * number[literal >> 1] | literal & 1}\n" for literal in outputs]
        data = bytearray("".join(text).encode())
        for node in cone:
            left, right = self._left[node], self._right[node]
            a, b = 2 * number[left >> 1] | left & 1, 2 * number[right >> 1] | right & 1
            if a < b:
                a, b = b, a
            for delta in (2 * number[node] - a, a - b):
                while delta > 0x7F:
                    data.append(delta & 0x7F | 0x80)
                    delta >>= 7
                data.append(delta)
        return bytes(data)

    def simulate(self, outputs: Sequence[int], patterns: Sequence[int], count: int) -> list[int]:
        """Values of outputs under ``count`` patterns of the inputs, packed into one integer each, a bit a pattern."""
        ones = (1 << count) - 1
        values = [0] * len(self._left)
        for literal, pattern in zip(self.inputs, patterns, strict=True):
            values[literal >> 1] = pattern
        for node in self._cone(outputs):
            left, right = self._left[node], self._right[node]
            a, b = values[left >> 1], values[right >> 1]
            values[node] = (a ^ ones if left & 1 else a) & (b ^ ones if right & 1 else b)
        return [values[literal >> 1] ^ (ones if literal & 1 else 0) for literal in outputs]
