"""How long instructions take on this machine when nothing waits for their results: loops of machine code made to order.

A stream is a list of instructions taken from a compiled kernel. It is written out with other registers, so that no
instruction waits for another one: sources are registers that nothing writes, destinations take turns. Operands in
memory are lines of a buffer in the first-level cache.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence

import llvmlite.binding as llvm
import numpy as np

from benchmarks.assembly import Instruction, general_width

_BODY = 480  # instructions of a loop, at least: its own counting and its jump are then below 1 %
_PLACES = 28  # lines of the buffer that operands in memory take turns in
# Two lines more: the indices of gathers and what they read. Neighbours are their best case: sixteen times the same word
# takes longer, as do words 64 bytes apart, which share a bank of the cache.
_INDICES, _GATHERED = _PLACES, _PLACES + 1
# Vector registers: 1 indexes gathers, 2 and 3 are sources (not one alone: x - x waits for nothing and runs nowhere),
# 4 … 31 are destinations, where the older encoding reaches only 4 … 15. General registers: rdx and rsi are sources,
# r9 … r15 destinations.
_VECTORS, _OLD_VECTORS, _GENERALS, _MASKS = range(4, 32), range(4, 16), range(9, 16), range(2, 8)
_DESTINATION = {64: "%r{0}", 32: "%r{0}d", 16: "%r{0}w", 8: "%r{0}b"}
_SOURCES = {64: ("%rdx", "%rsi"), 32: ("%edx", "%esi"), 16: ("%dx", "%si"), 8: ("%dl", "%sil")}
#: Three cycles each on every x86-64 of the last ten years: the clock of the tables.
CLOCK = Instruction("imulq", ("%rdx", "%rax"))
CLOCK_CYCLES = 3


class Streams:
    """Compiled loops; each runs its stream of instructions over and over."""

    def __init__(self) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        llvm.initialize_native_asmparser()
        features = llvm.get_host_cpu_features()
        target = llvm.Target.from_default_triple()
        machine = target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features.flatten())
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        wide = features.get("avx512bw")  # without it nothing gathers
        self._constants = f"kxnorq %k1, %k1, %k1\nvmovdqu64 {64 * _INDICES}(%rdi), %zmm1" if wide else ""
        self._buffer = np.zeros(64 * (_GATHERED + 2), np.uint8)
        self._start = -self._buffer.ctypes.data % 64
        self._buffer[self._start :].view(np.uint32)[16 * _INDICES : 16 * _GATHERED] = np.arange(16)
        self._made = 0

    def compile(self, stream: Sequence[Instruction], chained: bool = False) -> Stream:
        """A loop over the stream; ``chained`` keeps its registers as they are.

        Raises
        ------
        ValueError
            If an instruction cannot be run out of its place, such as a jump.
        """
        repeats = -(-_BODY // len(stream))
        lines, turn = [], 0
        for _ in range(repeats):
            for instruction in stream:
                lines += [_text(instruction)] if chained else _independent(instruction, turn)
                turn += 1
        name = f"stream{self._made}"
        self._made += 1
        source = "\n".join([_PROLOGUE.format(name=name, constants=self._constants), *lines, _EPILOGUE])
        escaped = source.replace("\\", "\\5C").replace('"', "\\22").replace("\n", "\\0A")
        module = llvm.parse_assembly(f'module asm "{escaped}"\ndeclare void @{name}(ptr, i64)')
        self._engine.add_module(module)
        self._engine.finalize_object()
        address = self._engine.get_function_address(name)
        return Stream(address, self._buffer.ctypes.data + self._start, repeats)


class Stream:
    """One compiled loop. A call runs ``repeats`` copies of the stream so many times."""

    def __init__(self, address: int, buffer: int, repeats: int) -> None:
        self._function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(address)
        self._buffer = buffer
        self.repeats = repeats  #: of the stream in one loop

    def __call__(self, loops: int) -> None:
        self._function(self._buffer, loops)


_PROLOGUE = """.text
.p2align 6
.globl {name}
{name}:
pushq %rbx
pushq %r12
pushq %r13
pushq %r14
pushq %r15
movq %rsi, %rbx
xorl %ecx, %ecx
xorl %edx, %edx
vpxor %xmm1, %xmm1, %xmm1
vpxor %xmm2, %xmm2, %xmm2
vpxor %xmm3, %xmm3, %xmm3
xorl %esi, %esi
{constants}
.p2align 6
1:"""
_EPILOGUE = """decq %rbx
jnz 1b
vzeroupper
popq %r15
popq %r14
popq %r13
popq %r12
popq %rbx
retq"""


def _text(instruction: Instruction) -> str:
    return f"{instruction.mnemonic} {', '.join(instruction.operands)}"


def _independent(instruction: Instruction, turn: int) -> list[str]:
    """The instruction with registers of its own, the ``turn``-th of a stream; a gather with a fresh mask."""
    if instruction.is_jump or instruction.mnemonic.startswith(("call", "ret", "push", "pop")):
        raise ValueError(f"{instruction.form} cannot be timed on its own")
    last = len(instruction.operands) - 1
    stride = 64 if "zmm" in instruction.form else 32  # neighbours in memory: banks of the cache take turns as well
    place = f"{stride * (turn % _PLACES)}(%rdi)"
    operands = [
        _renamed(text, turn, index, index == last or instruction.is_zeroing, place)
        for index, text in enumerate(instruction.operands)
    ]
    before = []
    if "gather" in instruction.mnemonic:
        if "{" in instruction.operands[-1]:
            before = ["kxnorq %k1, %k1, %k2"]
            operands[-1] = operands[-1].replace("%k1", "%k2")
        else:
            before = [f"vpcmpeqd {operands[0]}, {operands[0]}, {operands[0]}"]
    return [*before, f"{instruction.mnemonic} {', '.join(operands)}"]


def _renamed(operand: str, turn: int, index: int, destination: bool, place: str) -> str:
    bare, brace, marks = operand.partition("{")
    bare, marks = bare.strip(), re.sub(r"%k\d", "%k1", brace + marks)
    if "(" in bare:
        gathered = re.search(r"(%[xyz]mm)\d+(,\s*\d)?", bare)
        if gathered:
            return f"{64 * _GATHERED}(%rdi, {gathered[1]}1{gathered[2] or ''}){marks}"
        return place + marks
    if match := re.fullmatch(r"(%[xyz]mm)\d+", bare):
        vectors = _VECTORS if match[1] == "%zmm" else _OLD_VECTORS
        return f"{match[1]}{vectors[turn % len(vectors)] if destination else 2 + index % 2}{marks}"
    if re.fullmatch(r"%k\d", bare):
        return f"%k{_MASKS[turn % len(_MASKS)] if destination else 1}{marks}"
    if bare.startswith("%") and bare != "%cl":
        width = general_width(bare)
        if destination:
            return _DESTINATION[width].format(_GENERALS[turn % len(_GENERALS)])
        return _SOURCES[width][index % 2]
    if bare.startswith(("%", "$")):
        return bare
    raise ValueError(f"cannot rename the operand {operand!r}")
