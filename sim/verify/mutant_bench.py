"""A unit under its bench, in Icarus, with a fault or without; and whether a fault changes anything at all."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock

from sim.verify.mutants import Mutant
from sim.verify.prove.engine import provable, prove
from sim.verify.runner import RANDOM_COUNT
from sim.verify.targets import Exercise
from sim.verify.tools import sources_of
from sim.verify.unit import Combinational, Transaction, VerifyError, show_values, unpack
from sim.verify.vectors import PASSED, bench_text, vector_files
from sim.verify.wrapper import wrapper_text

__all__ = ["EXHAUSTIVE_BITS", "Bench"]

EXHAUSTIVE_BITS = 16  #: up to so many bits of all inputs together all their values are compared

_READ = "read_verilog -sv -defer {sources} wrapper.v"  # in a bench's folder
_MEMORY_KILOBYTES = 2 << 20
_PROOF_SECONDS = 60.0  # of one tool; what it has not proven by then counts as a survivor

_ONE_PROOF = Lock()  # a proof compiles the definition under a name of its own: one a time in a process

_TOP = "bench"
_CORE = "wrapped"


@dataclass(frozen=True)
class Bench:
    """An instance with its vectors in a folder of its own.

    Attributes
    ----------
    exercise : Exercise
    folder : Path
        Where the vectors and ROM images are written; exists.
    transactions : tuple of Transaction
        What the bench drives.
    exhaustive : bool
        Whether these are all values of all inputs of a combinational unit.
    rtl_dir : Path, optional
        Verilog that replaces the package's own files of the same names.
    """

    exercise: Exercise
    folder: Path
    transactions: tuple[Transaction, ...]
    exhaustive: bool
    rtl_dir: Path | None = None

    @classmethod
    def of(cls, exercise: Exercise, folder: Path, seed: int, rtl_dir: Path | None = None) -> Bench:
        """With the stimuli of ``lns verify``."""
        unit = exercise.unit
        exhaustive = unit.exhaustible and unit.input_bits <= EXHAUSTIVE_BITS
        count = RANDOM_COUNT // 16 if unit.sequential else RANDOM_COUNT
        folder = folder / exercise.slug
        folder.mkdir()
        bench = cls(exercise, folder, tuple(unit.transactions(seed, count, exhaustive)), exhaustive, rtl_dir)
        bench.write()
        return bench

    def write(self) -> None:
        """Vectors, images and bench."""
        unit = self.exercise.unit
        files = vector_files(unit, self.transactions, _TOP) | unit.roms()
        beats = sum(map(len, self.transactions))
        results = sum(unit.results(transaction) for transaction in self.transactions)
        files["bench.v"] = bench_text(unit, _CORE, _TOP, beats, results)
        files["wrapper.v"] = wrapper_text(unit, _CORE)
        for name, text in files.items():
            (self.folder / name).write_text(text, "utf-8")

    @cached_property
    def sources(self) -> dict[str, Path]:
        """The Verilog files of the unit and of its wrapper."""
        return sources_of(self.exercise.unit, self.rtl_dir)

    def simulate(self, mutant: Mutant | None, seconds: float) -> str:
        """``passed``, ``failed``, ``hung`` (longer than so many seconds) or ``not built``; without a mutant, the
        original."""
        return self._simulate(mutant, seconds)[0]

    def require_passed(self, seconds: float) -> None:
        """`VerifyError` if the original does not pass, with the first line of what a tool said that cannot build it."""
        verdict, said = self._simulate(None, seconds)
        if verdict != "passed":
            problem = f"the bench says {verdict!r} of the Verilog without a fault"
            raise VerifyError(f"{self.exercise.slug}: {problem}{f': {said}' if said else ''}")

    def _simulate(self, mutant: Mutant | None, seconds: float) -> tuple[str, str]:
        """The verdict of `simulate`, and the first line of the errors if it does not build."""
        with tempfile.TemporaryDirectory(prefix="lns-mutant-") as name:
            scratch = Path(name)
            sources, working = self.sources, self.folder
            if mutant is not None and mutant.instance:  # images are read by name, in the folder in which vvp runs
                working = scratch / "images"
                shutil.copytree(self.folder, working)
            if mutant is not None:
                sources = self._planted(mutant, working if mutant.instance else scratch)
            program = scratch / "program"
            build = ["iverilog", "-g2012", "-s", _TOP, f"-P{_TOP}.DEPTH={self.exercise.depth}", "-o", str(program)]
            build += [str(path) for path in (*sources.values(), self.folder / "wrapper.v", self.folder / "bench.v")]
            if (built := _limited(build, working, seconds)) is None or built.returncode:
                said = built.stderr.strip() if built else f"it takes longer than {seconds:g} s"
                return "not built", said.split("\n")[0]
            if (done := _limited(["vvp", "-n", str(program)], working, seconds)) is None:
                return "hung", ""
        passed = done.returncode == 0 and any(line.startswith(PASSED) for line in done.stdout.splitlines())
        return "passed" if passed else "failed", ""

    def prove(self, mutant: Mutant, sequential: bool) -> str:
        """Nothing if the mutant is proven to change nothing; else what speaks against it."""
        if self.exhaustive and not sequential:
            return ""
        with tempfile.TemporaryDirectory(prefix="lns-mutant-") as name:
            folder, unit = Path(name), self.exercise.unit
            if sequential or not isinstance(unit, Combinational):
                return self._induct(mutant, folder)
            judge = self._prove if provable(unit) else self._compare
            return judge(unit, mutant, folder)

    def _prove(self, unit: Combinational, mutant: Mutant, folder: Path) -> str:
        """`sim.verify.prove`: the mutant is still what the definition says."""
        for file, source in self.sources.items():
            shutil.copy(source, folder / file)
        if mutant.instance:
            unit = _with_roms(unit, unit.roms() | {mutant.file: mutant.text})
        else:
            (folder / mutant.file).write_text(mutant.text, "utf-8")
        with _ONE_PROOF:
            proof = prove(unit, _PROOF_SECONDS, folder)
        if proof.verdict == "proven":
            return ""
        if proof.counterexample is None:
            return f"{self.exercise.slug}: {proof.reason}"
        found = proof.counterexample
        return (
            f"{self.exercise.slug}: {show_values(found.operands, unit.inputs())} must give "
            f"{show_values(found.expected, unit.outputs())}, gives {show_values(found.got, unit.outputs())}"
        )

    def _compare(self, unit: Combinational, mutant: Mutant, folder: Path) -> str:
        """abc: the original and the mutant are the same function. For units whose definition has no circuit."""
        script = [
            _READ, "chparam -set DEPTH 0 {top}", "hierarchy -top {top}",
            "proc -norom; flatten; opt_expr; opt_clean; memory; opt; techmap; opt -fast",
            "setundef -zero; aigmap; opt_clean; write_aiger -symbols core.aig",
        ]  # fmt: skip
        for side, changed in (("gold", None), ("gate", mutant)):
            shutil.copytree(self.folder, folder / side)
            sources = self._planted(changed, folder / side)
            text = "\n".join(script).format(top=_CORE, sources=_quoted(sources))
            (folder / side / "core.ys").write_text(f"{text}\n", "utf-8")
            done = _limited(["yosys", "-q", "-s", "core.ys"], folder / side, _PROOF_SECONDS)
            if done is None or done.returncode:
                return f"{self.exercise.slug}: Yosys gave no circuit of the {side} side"
        done = _limited(["berkeley-abc", "-q", "cec gold/core.aig gate/core.aig"], folder, _PROOF_SECONDS)
        if done is not None and "Networks are equivalent" in done.stdout:
            return ""
        if done is None or "NOT EQUIVALENT" not in done.stdout:
            return f"{self.exercise.slug}: not decided in {_PROOF_SECONDS:g} s"
        # inputs that are not told do not matter
        pattern = done.stdout.split("Input pattern:")[-1]
        bits = {match[1]: int(match[2]) for match in re.finditer(r"(\S+)=([01])", pattern)}
        bus = low = 0
        for port in unit.inputs():
            for i in range(port.width):
                bus |= bits.get(f"{port.name}[{i}]", bits.get(port.name, 0) if port.width == 1 else 0) << low
                low += 1
        operands = unpack(bus, unit.inputs())
        expected = tuple(unit.model(*operands))
        return (
            f"{self.exercise.slug}: {show_values(operands, unit.inputs())} must give "
            f"{show_values(expected, unit.outputs())}, gives something else"
        )

    def _planted(self, mutant: Mutant | None, folder: Path) -> dict[str, Path]:
        """The sources with a mutant, which is written to a folder; a ROM image there is overwritten."""
        if mutant is None:
            return self.sources
        (folder / mutant.file).write_text(mutant.text, "utf-8")
        return self.sources if mutant.instance else self.sources | {mutant.file: folder / mutant.file}

    def _induct(self, mutant: Mutant, folder: Path) -> str:
        """Yosys: the same outputs and the same next registers in every state in which the registers are the same."""
        shutil.copytree(self.folder, folder / "mutant")
        folder /= "mutant"
        changed = self._planted(mutant, folder)
        script = []
        for side, sources in (("gold", self.sources), ("gate", changed)):
            script += [
                _READ.format(sources=_quoted(sources)),
                f"chparam -set DEPTH {self.exercise.depth} {_CORE}",
                f"hierarchy -top {_CORE}",
                "proc -norom; flatten; opt_expr; opt_clean; memory; async2sync; opt_expr; opt_clean",
                f"rename -top {side}; design -stash {side}",
            ]
        script += [
            "design -copy-from gold -as gold gold; design -copy-from gate -as gate gate",
            "equiv_make gold gate both; hierarchy -top both; opt_expr; opt_clean",
            "equiv_simple -undef; equiv_induct -undef; equiv_status -assert",
        ]
        (folder / "equivalent.ys").write_text("\n".join(script) + "\n", "utf-8")
        done = _limited(["yosys", "-q", "-s", "equivalent.ys"], folder, 2 * _PROOF_SECONDS)
        if done is None:
            return f"{self.exercise.slug}: not decided in {2 * _PROOF_SECONDS:g} s"
        return f"{self.exercise.slug}: not proven by induction" if done.returncode else ""


def _quoted(sources: dict[str, Path]) -> str:
    return " ".join(f'"{path}"' for path in sources.values())


def _limited(command: Sequence[str], folder: Path, seconds: float) -> subprocess.CompletedProcess[str] | None:
    """A command that may run out of hand, at its end; nothing if it took longer than so many seconds. A mutant may
    elaborate without end, in a process that the command starts: it gets little memory, and dies with it."""
    limited = ["sh", "-c", f'ulimit -v {_MEMORY_KILOBYTES}; exec "$@"', "sh", *command]
    with subprocess.Popen(
        limited, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def _with_roms(unit: Combinational, images: dict[str, str]) -> Combinational:
    """The same unit with other ROM images."""
    kind = type(unit)
    changed: Combinational = object.__new__(type(kind.__name__, (kind,), {"roms": lambda self: images}))
    vars(changed).update(vars(unit))
    return changed
