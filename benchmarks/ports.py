"""A lower bound of a loop's time from its instructions: which of them compete for what, all of it measured here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from benchmarks.assembly import Instruction, counts
from benchmarks.moments import NOP, Moments
from benchmarks.throughput import Streams

_LOOPS = 500  # of a stream: some 20 to 200 microseconds
_SHARE = 0.9  # two forms that take this much of the sum of their times together compete for the same port
_NARROW = 1.25  # a form that takes so many times what its slots explain has fewer ports than plain arithmetic
_NOPS = NOP, Instruction("nopl", ("(%rax)",))
_PLAIN = {
    wide: Instruction("vpaddd", (f"%{wide}0",) * 3) for wide in ("xmm", "ymm", "zmm")
} | {"r64": Instruction("addq", ("%rax", "%rcx"))}  # fmt: skip
_LOAD = {
    wide: Instruction("vmovups", ("(%rax)", f"%{wide}0")) for wide in ("xmm", "ymm", "zmm")
} | {"r64": Instruction("movq", ("(%rax)", "%rcx"))}  # fmt: skip


@dataclass(frozen=True)
class Use:
    """What one instruction of a form takes, in cycles."""

    ports: float  #: of the ports of plain arithmetic of the loop's width
    load: float
    alone: float  #: time of the form with itself; 0 for a mere load


@dataclass(frozen=True)
class Bound:
    """Cycles that one turn of a loop takes at least, and what says so."""

    cycles: float
    limit: str
    resources: Mapping[str, float]
    independent: float  #: the loop's own instructions without their dependences, measured


class Machine:
    """Measured throughputs; every stream is measured once."""

    def __init__(self, rounds: int, patience: float) -> None:
        self._streams = Streams()
        self.moments = Moments(self._streams, rounds, patience)
        self._known: dict[tuple[str, ...], float] = {}

    def cycles(self, stream: Sequence[Instruction]) -> float:
        """Cycles of a stream whose instructions wait for nothing: the less of two copies, for one may lie badly, and a
        time that is too long would make a bound too high."""
        key = tuple(instruction.form for instruction in stream)
        if key not in self._known:
            self._known[key] = min(self._measured(stream) for _ in range(2))
        return self._known[key]

    def _measured(self, stream: Sequence[Instruction]) -> float:
        loop = self._streams.compile(stream)
        return self.moments.cycles(lambda: loop(_LOOPS)) / (loop.repeats * _LOOPS)

    def use(self, instruction: Instruction, width: str) -> Use:
        """What an instruction of a loop takes; width is that of the loop's widest registers."""
        load = self._load(instruction) if _loads(instruction) else 0.0
        vector = _width([instruction]) != "r64" or " k" in instruction.form.replace(",", " ")
        if not vector and width != "r64" and not _stores(instruction):
            return Use(0.0, load, 0.0)  # beside vectors, plain integers cost no more than their issue
        ports = self._ports(instruction, width) if width != "r64" else 0.0
        if not load or _stores(instruction):
            return Use(ports, load, self.cycles([instruction]))
        return Use(ports, load, self.cycles([_without_memory(instruction)]) if ports else 0.0)

    def _longer(self, instruction: Instruction, plain: Instruction) -> float:
        """By how many cycles a stream of plain instructions, which saturates their ports, gets longer for one other."""
        slot = self.cycles([plain])
        number = max(2, math.ceil(2 * self.cycles([instruction]) / slot))  # enough to saturate; more adds errors
        return max(0.0, self.cycles([instruction, *[plain] * number]) - number * slot)

    def _ports(self, instruction: Instruction, width: str) -> float:
        """What the instruction takes of the ports of plain arithmetic, in half slots: a narrow one may take half.

        No more slots than the time of the instruction alone has room for: a bad mix may lose more than it occupies.
        """
        slot, alone = self.cycles([_PLAIN[width]]), self.cycles([instruction])
        halves = round(2 * self._longer(instruction, _PLAIN[width]) / slot)
        return slot * min(halves, math.floor(2 * alone / slot + 0.25)) / 2

    def _issue(self, instruction: Instruction) -> float:
        """What the instruction takes of the places in which a cycle's instructions are issued: one or more."""
        nop = min(_NOPS, key=lambda one: self.cycles([one]))
        slot = self.cycles([nop])
        return slot * max(1, round(self._longer(instruction, nop) / slot))

    def _load(self, instruction: Instruction) -> float:
        """What the instruction takes of the ports that load; a gather loads lane by lane."""
        plain = _LOAD[_width([instruction])]
        if "gather" not in instruction.mnemonic:
            return self.cycles([plain])
        return min(self._longer(instruction, plain), self.cycles([instruction]))

    def bound(self, loop: Sequence[Instruction]) -> Bound:
        """The least time of one turn of a loop, as docs/benchmarks.md derives it."""
        forms = counts(list(loop))
        width = _width(loop)
        examples = {instruction.form: instruction for instruction in loop}
        body = {form: i for form, i in examples.items() if not i.is_jump}
        uses = {form: self.use(instruction, width) for form, instruction in body.items()}
        ports = {} if width == "r64" else {f"{width} ports": sum(forms[form] * use.ports for form, use in uses.items())}
        resources = ports | {  # a jump may be issued together with the comparison before it
            "issue": sum(forms[form] * self._issue(instruction) for form, instruction in body.items()),
            "loads": sum(forms[form] * use.load for form, use in uses.items()),
        }
        for group in self._groups(body, uses):
            resources[" + ".join(sorted(group))] = sum(forms[form] * uses[form].alone for form in group)
        limit = max(resources, key=lambda name: resources[name])
        straight = [instruction for instruction in loop if not instruction.is_jump]
        return Bound(resources[limit], limit, resources, self.cycles(straight))

    def _groups(self, body: Mapping[str, Instruction], uses: Mapping[str, Use]) -> list[set[str]]:
        """The largest sets of narrow forms each two of which compete."""
        plain = self.cycles([_PLAIN["r64"]])
        narrow = [form for form, use in uses.items() if use.alone > _NARROW * max(use.ports, use.load, plain)]
        compete = {
            frozenset(pair)
            for pair in combinations(narrow, 2)
            if self._compete(*(body[form] for form in pair), *(uses[form].alone for form in pair))
        }
        groups: list[set[str]] = []
        for form in narrow:
            for group in [{form}, *groups]:
                if all(frozenset((form, other)) in compete for other in group - {form}):
                    groups.append(group | {form})
        return [group for group in groups if not any(group < other for other in groups)]

    def _compete(self, a: Instruction, b: Instruction, a_cycles: float, b_cycles: float) -> bool:
        """Do two forms, mixed so that each alone takes about the same time, take about the sum of both?"""
        least = min(a_cycles, b_cycles)
        a_number, b_number = (max(1, round(8 * least / cycles)) for cycles in (a_cycles, b_cycles))
        apart = a_number * a_cycles + b_number * b_cycles
        return self.cycles(_mixed(a, a_number, b, b_number)) > _SHARE * apart


def _mixed(a: Instruction, a_number: int, b: Instruction, b_number: int) -> list[Instruction]:
    """Both, evenly spread."""
    places = [((i + 0.5) / number, which) for which, number in enumerate((a_number, b_number)) for i in range(number)]
    return [(a, b)[which] for _, which in sorted(places)]


def _without_memory(instruction: Instruction) -> Instruction:
    """The instruction with a register in place of its operand in memory, where that is surely as wide as the others."""
    if len(instruction.operands) < 3 or instruction.mnemonic.startswith(("vinsert", "vpinsr", "vpgather")):
        return instruction
    width = _width([instruction])
    register = "%rax" if width == "r64" else f"%{width}0"
    return Instruction(
        instruction.mnemonic, tuple(register if "(" in operand else operand for operand in instruction.operands)
    )


def _width(loop: Iterable[Instruction]) -> str:
    """The widest kind of register."""
    forms = " ".join(instruction.form for instruction in loop)
    return next((wide for wide in ("zmm", "ymm", "xmm") if wide in forms), "r64")


def _stores(instruction: Instruction) -> bool:
    return bool(instruction.operands) and "(" in instruction.operands[-1] and not instruction.mnemonic.startswith("cmp")


def _loads(instruction: Instruction) -> bool:
    """Does it read memory? An instruction that stores does, unless it only moves."""
    inside = any("(" in operand for operand in instruction.operands)
    if not inside or instruction.mnemonic.startswith(("lea", "nop", "prefetch")):
        return False
    return not _stores(instruction) or not instruction.mnemonic.startswith(("mov", "vmov", "vpmov", "vextract"))
