"""Run a unit's bench in a simulator and report what it compared."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from sim.paths import data_dir
from sim.verify import compiled_bench
from sim.verify.compiled_bench import Comparison
from sim.verify.tools import sources_of, tool_environment
from sim.verify.unit import Coverage, Transaction, Unit, VerifyError
from sim.verify.wrapper import DEPTH, lane_text, wrapper_text

__all__ = ["RANDOM_COUNT", "TIMEOUT", "Report", "Settings", "verify", "verify_all"]

RANDOM_COUNT = 20_000  #: random transactions where all values of all inputs are too many; corners come on top

TIMEOUT = 1800.0  #: seconds for build and simulation of one unit

_TOP = "lns_lanes"
_LANES = 16  # 64 lanes simulate faster, but take Verilator's compiler thrice as long
_WIDEST = 512  # bits of all lanes' inputs together


@dataclass(frozen=True, slots=True)
class Settings:
    """How to verify.

    Attributes
    ----------
    simulator : str
        ``icarus`` or ``verilator``: the cocotb bench; ``compiled``: the same stimuli, or all values up to 2**24,
        through the Verilog compiled behind a loop in C++, without handshakes.
    seed : int
        Of all random stimuli; the same seed gives the same ones in each simulator.
    count : int
        Random transactions of an instance that is too wide for all; corners and sweeps of tables come on top. A
        sequential unit, whose transactions are of many beats, takes a sixteenth of them.
    depth : int
        Register stages of the wrapper.
    waves : bool
        Write FST (Icarus) or VCD (Verilator) waves; one transaction a clock then, so that they can be read.
    build_root : Path, optional
        Folder for builds, logs and waves, kept; by default a temporary one.
    rtl_dir : Path, optional
        Verilog that replaces the package's own files of the same names.
    processes : int
        That compute what the definition says, of a compiled unit.
    timeout : float
        Seconds for build and simulation of one unit.
    """

    simulator: str = "icarus"
    seed: int = 0
    count: int = RANDOM_COUNT
    depth: int = DEPTH
    waves: bool = False
    build_root: Path | None = None
    rtl_dir: Path | None = None
    processes: int = 1
    timeout: float = TIMEOUT


@dataclass(frozen=True, slots=True)
class Report:
    """What the bench of one instance compared.

    Attributes
    ----------
    unit, label, instance : str
        The module; where the design has the instance; its formats and what else sets it apart.
    transactions : int
        Operands whose results were compared, every bit of them.
    exhaustive : bool
        Whether these were all values of all inputs.
    mismatches : int
        Transactions in which a bit differed.
    coverage : dict
        How often each functional coverage bin was hit.
    uncovered : tuple of str
        Bins that were hit less often than they must be.
    failures : tuple of str
        The first mismatches, and whatever else was wrong.
    seconds : float
        Wall time of build and simulation; ``simulation_seconds`` that of the simulation alone.
    build_dir : str
        Folder with logs and waves; empty without a build root.
    """

    unit: str
    label: str
    instance: str
    simulator: str
    seed: int
    transactions: int
    exhaustive: bool
    mismatches: int
    coverage: dict[str, int]
    uncovered: tuple[str, ...]
    failures: tuple[str, ...]
    seconds: float
    simulation_seconds: float
    build_dir: str

    @property
    def passed(self) -> bool:
        return self.transactions > 0 and not (self.failures or self.uncovered or self.mismatches)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, for JSON."""
        return asdict(self) | {"passed": self.passed}


def verify_all(
    units: Sequence[Unit],
    settings: Settings,
    jobs: int = 1,
    on_report: Callable[[Report], None] | None = None,
) -> list[Report]:
    """`verify` of several units, some at a time.

    Parameters
    ----------
    units : sequence of Unit
    settings : Settings
    jobs : int
        Simulations that run at once.
    on_report : callable, optional
        Called with each report, in the order of the units, as soon as it is there.
    """
    reports = []
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for report in pool.map(lambda unit: verify(unit, settings), units):
                reports.append(report)
                if on_report is not None:
                    on_report(report)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return reports


def verify(unit: Unit, settings: Settings, transactions: Sequence[Transaction] | None = None) -> Report:
    """Compare a unit's Verilog with `lns.reference`.

    Parameters
    ----------
    unit : Unit
    settings : Settings
    transactions : sequence, optional
        What to drive, in place of the unit's own stimuli; no coverage is asked for then.

    Raises
    ------
    VerifyError
        If nothing could be compared, such as for a build that failed; `MissingTool` if a tool is missing or too old.
    """
    environment = tool_environment(settings.simulator)
    if settings.simulator == "compiled":
        return _verify_compiled(unit, settings, transactions)
    if transactions is not None and not transactions:
        raise VerifyError(f"{unit.module} {unit}: there is no transaction to compare")
    with _folder(settings.build_root, f"{unit.slug}-{settings.simulator}") as folder:
        start = time.perf_counter()
        exhaustive = unit.exhaustible and transactions is None
        count = _count(unit, settings)
        lanes = 1 if settings.waves else max(1, min(_LANES, _WIDEST // unit.input_bits))
        _prepare(unit, settings, folder, lanes)
        bench = {
            "unit": unit, "transactions": transactions, "seed": settings.seed, "count": count,
            "exhaustive": exhaustive, "lanes": lanes,
        }  # fmt: skip
        (folder / "job.pickle").write_bytes(pickle.dumps(bench))
        for name in ("results.xml", "result.json"):  # an earlier run's must not be taken for this one's
            (folder / name).unlink(missing_ok=True)
        paths = [str(data_dir("cocotb")), *(entry or os.getcwd() for entry in sys.path)]
        environment |= {"PYTHONPATH": os.pathsep.join(paths), "LNS_BENCH_JOB": str(folder / "job.pickle")}
        command = [sys.executable, "-m", "sim.verify.simulate", str(folder / "job.json")]
        errors = _run(command, folder, environment, settings.timeout)
        failures = _harness_failures(folder, errors)
        try:
            result = json.loads((folder / "result.json").read_text("utf-8"))
        except (OSError, ValueError):
            raise VerifyError(
                f"{unit.module} {unit}: {settings.simulator} compared nothing. {'; '.join(failures)}"
            ) from None
    if result["transactions"] != result["planned"]:
        failures.append(f"{result['transactions']} transactions were seen, {result['planned']} were planned")
    least = len(transactions) if transactions is not None else 1 << unit.input_bits if exhaustive else count
    if result["planned"] < least:
        failures.append(f"{result['planned']} transactions were planned, at least {least} are needed")
    failures = result["failures"] or failures
    compared = Comparison(result["transactions"], result["mismatches"], failures, result["seconds"])
    exhaustive = exhaustive and result["transactions"] == result["planned"]
    build_dir = "" if settings.build_root is None else str(folder)
    return _report(unit, settings, start, compared, exhaustive, result["coverage"], result["uncovered"], build_dir)


def _count(unit: Unit, settings: Settings) -> int:
    """Random transactions: those of a sequential unit have many beats."""
    return settings.count // 16 if unit.sequential else settings.count


def _verify_compiled(unit: Unit, settings: Settings, transactions: Sequence[Transaction] | None) -> Report:
    start = time.perf_counter()
    exhaustive = transactions is None and unit.exhaustible_within(compiled_bench.EXHAUSTIVE_BITS)
    cover = Coverage({})
    if transactions is None and not exhaustive:
        transactions = unit.transactions(settings.seed, _count(unit, settings), exhaustive=False)
        cover = unit.coverage()
        for transaction in transactions:
            unit.sample(cover, transaction)
    compared = compiled_bench.compare(unit, transactions, settings.rtl_dir, settings.processes)
    coverage = {name: cover.hits[name] for name in cover.goals}
    return _report(unit, settings, start, compared, exhaustive, coverage, cover.uncovered())


def _report(
    unit: Unit,
    settings: Settings,
    start: float,
    compared: Comparison,
    exhaustive: bool,
    coverage: dict[str, int],
    uncovered: Sequence[str],
    build_dir: str = "",
) -> Report:
    """What was compared since a time of the performance counter."""
    return Report(
        unit=unit.module,
        label=unit.label,
        instance=str(unit),
        simulator=settings.simulator,
        seed=settings.seed,
        transactions=compared.transactions,
        exhaustive=exhaustive,
        mismatches=compared.mismatches,
        coverage=coverage,
        uncovered=tuple(uncovered),
        failures=tuple(compared.failures),
        seconds=time.perf_counter() - start,
        simulation_seconds=compared.seconds,
        build_dir=build_dir,
    )


@contextmanager
def _folder(root: Path | None, name: str) -> Iterator[Path]:
    """A folder under a root, kept; or a temporary one."""
    if root is not None:
        folder = root.resolve() / name
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="lns-verify-") as temporary:
        yield Path(temporary)


def _prepare(unit: Unit, settings: Settings, folder: Path, lanes: int) -> None:
    """Everything that a build reads."""
    wrapper = f"{unit.module}_wrapped"
    sources = [*sources_of(unit, settings.rtl_dir).values(), folder / "wrapper.v", folder / "lns_lane.v"]
    sources.append(data_dir("cocotb") / f"{_TOP}.v")
    job = {
        "simulator": settings.simulator,
        "toplevel": _TOP,
        "sources": [str(source) for source in sources],
        "parameters": {
            "LANES": lanes, "DEPTH": settings.depth, "IN_BITS": unit.input_bits, "OUT_BITS": unit.output_bits,
        },
        "waves": settings.waves,
        "seed": settings.seed,
    }  # fmt: skip
    texts = {"wrapper.v": wrapper_text(unit, wrapper), "lns_lane.v": lane_text(unit, wrapper), **unit.roms()}
    for name, text in {**texts, "job.json": json.dumps(job, indent=1)}.items():
        (folder / name).write_text(text, "utf-8")


def _run(command: Sequence[str], folder: Path, environment: dict[str, str], timeout: float) -> str:
    """What a command wrote on its standard error; it and all that it started are killed when it takes too long."""
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            return process.communicate(timeout=timeout)[1]
        except subprocess.TimeoutExpired:
            raise VerifyError(f"the simulation does not end within {timeout:g} s (--timeout)") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _harness_failures(folder: Path, errors: str) -> list[str]:
    """What the results file says, which exit codes do not: whether the one test ran and passed."""
    logs = [folder / "build.log", folder / "simulation.log"]
    # what the tools said; how this project's own processes ended tells only if they said nothing
    text = "\n".join(log.read_text("utf-8", "replace") for log in logs if log.is_file())
    lines = dict.fromkeys((text.strip() or errors.strip()).splitlines())  # copies of a unit repeat themselves
    tail = "\n".join(list(lines)[-15:])
    try:
        cases = ElementTree.parse(folder / "results.xml").getroot().findall(".//testcase")
    except (OSError, ElementTree.ParseError):
        return [f"the simulator left no results:\n{tail}"]
    if len(cases) != 1:
        return [f"the simulator ran {len(cases)} tests in place of 1:\n{tail}"]
    bad = [kind for kind in ("failure", "error", "skipped") if cases[0].find(kind) is not None]
    return [f"the bench ended with {bad[0]}"] if bad else []
