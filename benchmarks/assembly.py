"""Loops in the machine code that Numba made: which instructions a vector loop runs, by form."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numba as nb

_LABEL = re.compile(r"(\.?[\w$.]+):")
_WIDE = re.compile(r"[xyz]mm|k(?=\d)")


@dataclass(frozen=True)
class Instruction:
    """One instruction in AT&T syntax: mnemonic and operands, the destination last."""

    mnemonic: str
    operands: tuple[str, ...]

    @property
    def is_jump(self) -> bool:
        return self.mnemonic.startswith("j")

    @property
    def is_copy(self) -> bool:
        """A vector copied as it is: between registers, or from or to memory."""
        return self.mnemonic.startswith("vmov") and "{" not in "".join(self.operands)

    @property
    def is_zeroing(self) -> bool:
        """An exclusive or of a register with itself, which processors know to be zero without running it."""
        sources = self.operands[:2]
        return "xor" in self.mnemonic and len(set(sources)) == 1 and sources[0].startswith("%")

    @property
    def form(self) -> str:
        """Mnemonic and kinds of operands, without which registers: what decides an instruction's throughput."""
        if self.is_zeroing:
            return f"{self.mnemonic} zero,{_kind(self.operands[-1])}"
        return f"{self.mnemonic} {','.join(_kind(operand) for operand in self.operands)}".strip()


def _kind(operand: str) -> str:
    """``%zmm3 {%k1}`` -> ``zmm{k}``, ``64(%rdi,%rax)`` -> ``mem``, ``(%rdi,%zmm1,4)`` -> ``mem[zmm]``, ``%r8d`` ->
    ``r32``, ``$7`` -> ``imm``, ``.LBB0_1`` -> ``label``."""
    bare = operand.partition("{")[0].strip()
    marks = "".join("{k}" if mark.startswith("%k") else f"{{{mark}}}" for mark in re.findall(r"{([%\w]+)}", operand))
    if "(" in bare:
        index = re.search(r"%([xyz]mm)\d+", bare)
        return ("mem" + (f"[{index[1]}]" if index else "")) + marks
    if bare.startswith("$"):
        return "imm"
    if not bare.startswith("%"):
        return "label"
    wide = _WIDE.match(bare[1:])
    return (wide[0] if wide else f"r{general_width(bare)}") + marks


def general_width(register: str) -> int:
    """Bits of a general register: 64 for ``%rax`` and ``%r8``, 32 for ``%eax`` and ``%r8d``, and so on."""
    name = register[1:]
    if name[-1] in "dwb":
        return {"d": 32, "w": 16, "b": 8}[name[-1]]
    return 64 if name[0] == "r" else 32 if name[0] == "e" else 8 if name[-1] in "lh" else 16


def _split(text: str) -> tuple[str, ...]:
    """Operands at the commas outside of parentheses."""
    out, depth, part = [], 0, ""
    for char in text:
        depth += (char == "(") - (char == ")")
        if char == "," and not depth:
            out.append(part.strip())
            part = ""
        else:
            part += char
    return (*out, part.strip()) if part.strip() else tuple(out)


def parse(assembly: str) -> tuple[list[Instruction], dict[str, int]]:
    """All instructions of a listing in order, and the index at which each label stands."""
    instructions: list[Instruction] = []
    labels: dict[str, int] = {}
    for raw in assembly.splitlines():
        line = raw.split("#", 1)[0].strip()
        if match := _LABEL.match(line):
            labels[match[1]] = len(instructions)
            line = line[match.end() :].strip()
        if not line or line.startswith("."):
            continue
        mnemonic, _, rest = line.partition("\t")
        if not rest:
            mnemonic, _, rest = line.partition(" ")
        instructions.append(Instruction(mnemonic.strip(), _split(rest)))
    return instructions, labels


@dataclass(frozen=True)
class Flow:
    """Instructions cut into blocks that are run from their first to their last, and which blocks may follow which."""

    blocks: list[list[Instruction]]
    after: list[list[int]]

    @classmethod
    def of(cls, assembly: str) -> Flow:
        instructions, labels = parse(assembly)
        jumps = {i: labels.get(one.operands[0]) for i, one in enumerate(instructions) if one.is_jump and one.operands}
        ends = {i for i, one in enumerate(instructions) if one.is_jump or one.mnemonic.startswith("ret")}
        starts = sorted({0} | {target for target in jumps.values() if target is not None} | {i + 1 for i in ends})
        starts = [start for start in starts if start < len(instructions)]
        place = {start: block for block, start in enumerate(starts)}
        blocks, after = [], []
        for start, end in zip(starts, [*starts[1:], len(instructions)], strict=True):
            blocks.append(instructions[start:end])
            last = instructions[end - 1]
            following = [] if last.mnemonic.startswith(("jmp", "ret")) or end not in place else [place[end]]
            if (target := jumps.get(end - 1)) is not None:
                following.append(place[target])
            after.append(following)
        return cls(blocks, after)

    def loop_of(self, block: int) -> set[int]:
        """The blocks of the innermost loop that holds a block; empty if none does.

        Every cycle through the block passes the loop's header, and what reaches the cycle's end without the header is
        the loop: from any other block of the cycle taken for the header, more would.
        """
        before: list[list[int]] = [[] for _ in self.blocks]
        for one, following in enumerate(self.after):
            for other in following:
                before[other].append(one)
        cycle = self._shortest_cycle(block)
        loops = [self._closed(header, cycle[i - 1], before) for i, header in enumerate(cycle)]
        return min(loops, key=len, default=set())

    def _shortest_cycle(self, block: int) -> list[int]:
        paths = [[block]]
        seen: set[int] = set()
        for path in paths:  # which grows
            for following in self.after[path[-1]]:
                if following == block:
                    return path
                if following not in seen:
                    seen.add(following)
                    paths.append([*path, following])
        return []

    @staticmethod
    def _closed(header: int, end: int, before: list[list[int]]) -> set[int]:
        loop, waiting = {header, end}, [end]
        while waiting:
            block = waiting.pop()
            for one in before[block] if block != header else []:
                if one not in loop:
                    loop.add(one)
                    waiting.append(one)
        return loop

    def turns(self, block: int) -> list[list[Instruction]]:
        """The instructions of each way through the innermost loop that holds a block."""
        inside = self.loop_of(block)
        out, waiting = [], [[block]]
        while waiting:
            path = waiting.pop()
            for following in self.after[path[-1]]:
                if following == block:
                    out.append([one for part in path for one in self.blocks[part]])
                elif following in inside and following not in path:
                    waiting.append([*path, following])
        return out


def loop_with(assembly: str, marker: str, longest: bool = False, beside: str = "") -> list[Instruction]:
    """One turn of the innermost loop around the block with the most instructions whose form matches ``marker``, of
    those with an instruction whose form matches ``beside``.

    Where loops compete, each with more than half as many of them, or a loop has branches, the way with the fewest
    instructions or, if ``longest``, with the most. Copies do not count: compilers spill in either.

    Raises
    ------
    ValueError
        If no instruction matches, or none of those that do is in a loop.
    """
    flow = Flow.of(assembly)
    pattern = re.compile(marker)
    marked = [sum(bool(pattern.match(one.form)) for one in block) for block in flow.blocks]
    most = max(marked)
    turns = [turn for i, number in enumerate(marked) if most < 2 * number for turn in flow.turns(i)]
    turns = [turn for turn in turns if any(re.match(beside, one.form) for one in turn)]
    if not turns:
        raise ValueError(f"no loop has an instruction like {marker!r}")
    return (max if longest else min)(turns, key=lambda turn: sum(not one.is_copy for one in turn))


def function_in(assembly: str, name: str) -> str:
    """The part of a listing that is the function with this name.

    Raises
    ------
    ValueError
        If there is none.
    """
    if not (found := re.search(rf"^{re.escape(name)}:\n(.*?)^\.Lfunc_end", assembly, re.MULTILINE | re.DOTALL)):
        raise ValueError(f"the listing has no function {name}")
    return found[1]


def counts(loop: list[Instruction]) -> Counter[str]:
    """How often each form occurs."""
    return Counter(instruction.form for instruction in loop)


def assembly_of(dispatcher: Any, signature: Any) -> str:
    """The machine code of one specialisation, compiled anew: code out of Numba's cache cannot be read."""
    options = {key: value for key, value in dispatcher.targetoptions.items() if key not in ("nopython", "boundscheck")}
    fresh = nb.njit(**options)(dispatcher.py_func)
    fresh.compile(signature)
    return fresh.inspect_asm(fresh.signatures[0])
