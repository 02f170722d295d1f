"""Static timing of a netlist, by OpenSTA.

The clock is ideal, wires have no delay. Inputs come from the library's smallest inverter at the clock's edge, outputs
drive four of these; the reset is not timed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lns.files import atomic_write
from sim.cost.cache import key_of
from sim.cost.errors import CostError
from sim.cost.liberty import Library
from sim.cost.macro import MACRO_LIBRARY
from sim.cost.mapping import mapping_library, smallest_inverter
from sim.verify.tools import MissingTool

__all__ = ["Timing", "critical_path", "time_netlist", "timer_version"]

_SECONDS = 900  # that OpenSTA may take
_LINES = 8  # of its messages that an error repeats

_ENDPOINTS = re.compile(r"Warning: There (is|are) \d+ unconstrained endpoints?\.")  # their names follow

_LOAD = """\
read_liberty "{liberty}"
{macros}read_verilog "{netlist}"
link_design top
set_cmd_units -time ps -capacitance fF
create_clock -name clock -period {period} [get_ports clk_i]
set inputs {{}}
set timed {{}}
foreach port [all_inputs] {{
  set name [get_property $port full_name]
  if {{$name ne "clk_i"}} {{ lappend inputs $port }}
  if {{$name ne "clk_i" && $name ne "rst_ni"}} {{ lappend timed $port }}
}}
set_input_delay 0 -clock clock $inputs
set_output_delay 0 -clock clock [all_outputs]
set_driving_cell -lib_cell {inverter} $timed
set_load {load} [all_outputs]
set_false_path -from [get_ports rst_ni]
puts "begin setup"
check_setup -verbose
puts "end setup"
puts "slack [worst_slack -max]"
"""

_DETAILS = """\
puts "begin path"
report_checks -path_delay max -format full
puts "end path"
set file [open slews.txt w]
set vertices [::sta::vertex_iterator]
while {[$vertices has_next]} {
  set vertex [$vertices next]
  puts $file "[::sta::vertex_path_name $vertex] [lindex [$vertex slews rise] 0] [lindex [$vertex slews fall] 0]"
}
close $file
write_sdf -digits 6 delays.sdf
"""


@dataclass(frozen=True)
class Timing:
    """What static timing knows of a netlist.

    Attributes
    ----------
    critical_path : float
        Least period of the clock, clock-to-output and set-up included, seconds.
    path : tuple of str
        The pins of the slowest path from its start, each with its arrival in seconds, its edge and its cell.
    slews : dict
        Pin (``c12/A``, or a port's bit) -> (rise, fall) in seconds, by the library's own thresholds.
    """

    critical_path: float
    path: tuple[str, ...]
    slews: dict[str, tuple[float, float]]


def time_netlist(folder: Path, library: Library, period: float) -> Timing:
    """Time the netlist of a folder of `sim.cost.synthesis.synthesise`.

    Leaves ``delays.sdf`` there, the delays of every cell as OpenSTA writes them, and ``timing.json``, so that the next
    call only reads: neither depends on the period.

    Raises
    ------
    CostError
        If the netlist needs a longer period; if it has a combinational loop or a path that ends nowhere.
    MissingTool
        If OpenSTA is not installed.
    """
    script = _load_script(folder / "netlist.v", library, period) + _DETAILS
    asked = _load_script(Path(), library, 0.0) + _DETAILS  # neither the place nor the period matters
    entries = {"netlist": (folder / "netlist.v").read_bytes(), "script": asked.encode()}
    if (folder / MACRO_LIBRARY).is_file():
        entries["macros"] = (folder / MACRO_LIBRARY).read_bytes()
    key = key_of("timing", entries | {"timer": timer_version().encode()})
    try:
        data = json.loads((folder / "timing.json").read_text("utf-8"))
    except (OSError, ValueError):
        data = {}
    if data.get("key") != key:
        data = {"key": key} | _details(folder, script, period)
        with atomic_write(folder / "timing.json") as file:
            file.write(json.dumps(data).encode())
    needed = data["critical_path"]
    if needed > period:
        raise CostError(
            f"the netlist needs a clock period of at least {needed * 1e9:.4g} ns, the clock asked for has "
            f"{period * 1e9:.4g} ns"
        )
    return Timing(needed, tuple(data["path"]), {pin: (rise, fall) for pin, (rise, fall) in data["slews"].items()})


def critical_path(netlist: Path, library: Library, period: float) -> float:
    """Least period of the clock of a netlist, seconds; errors as `time_netlist` has them, but not for the period."""
    with tempfile.TemporaryDirectory(prefix="lns-timing-") as name:
        return period - _slack(_run(Path(name), _load_script(netlist, library, period), _constant_outputs(netlist)))


def _load_script(netlist: Path, library: Library, period: float) -> str:
    inverter = smallest_inverter(library)
    load = 4e15 * inverter.pins[inverter.inputs[0]].rise_capacitance
    liberty = mapping_library(library)
    macros = netlist.resolve().with_name(MACRO_LIBRARY)
    return _LOAD.format(
        liberty=liberty, netlist=netlist.resolve(), period=period * 1e12, inverter=inverter.name, load=load,
        macros=f'read_liberty "{macros}"\n' if macros.is_file() else "",
    )  # fmt: skip


def _details(folder: Path, script: str, period: float) -> dict[str, Any]:
    """Everything of `Timing`, as plain data; the delays go to the folder."""
    with tempfile.TemporaryDirectory(prefix="lns-timing-") as name:
        work = Path(name)
        text = _run(work, script, _constant_outputs(folder / "netlist.v"))
        slews = {}
        for line in (work / "slews.txt").read_text("utf-8").splitlines():
            pin, rise, fall = line.split()
            slews[pin] = float(rise), float(fall)
        with atomic_write(folder / "delays.sdf") as file:
            file.write((work / "delays.sdf").read_bytes())
    return {"critical_path": period - _slack(text), "path": _path(text), "slews": slews}


def _path(text: str) -> list[str]:
    arrivals = re.findall(r"^ *-?[\d.]+ +(-?[\d.]+) ([v^]) (\S+) \((\w+)\)$", _between(text, "path"), re.MULTILINE)
    return [
        f"{pin} {'rises' if edge == '^' else 'falls'} at {float(time) * 1e-12:.4g} s ({cell})"
        for time, edge, pin, cell in arrivals
    ]


def _slack(text: str) -> float:
    found = re.search(r"^slack (-?[\d.e+]+)$", text, re.MULTILINE)
    if found is None:
        raise CostError("OpenSTA found no path that ends in a register")
    return float(found[1]) * 1e-12


def _between(text: str, what: str) -> str:
    found = re.search(rf"^begin {what}\n(.*?)^end {what}$", text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def _constant_outputs(netlist: Path) -> set[str]:
    """Bits of output ports that never change, from the JSON beside the Verilog: no path ends there."""
    ports = json.loads(netlist.with_suffix(".json").read_text("utf-8"))["modules"]["top"]["ports"]
    return {
        f"{name}[{place}]" if len(port["bits"]) > 1 else name
        for name, port in ports.items()
        for place, bit in enumerate(port["bits"])
        if port["direction"] == "output" and bit in ("0", "1")
    }


def _run(work: Path, script: str, constants: set[str]) -> str:
    """What OpenSTA prints for a script; its exit code says nothing."""
    timer_version()
    (work / "time.tcl").write_text(script, "utf-8")
    command = ["sta", "-no_splash", "-exit", "time.tcl"]
    try:
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        raise CostError(f"OpenSTA needed more than {_SECONDS} s") from None
    text = done.stdout + done.stderr
    wrong = re.findall(r"^.*(?:Error|black box|template .* not found).*$", text, re.MULTILINE)
    if done.returncode < 0:
        raise CostError(f"OpenSTA crashed (signal {-done.returncode}): it may not read all of {script.split()[1]}")
    if done.returncode or wrong or "\nend setup\n" not in text:
        raise CostError(f"OpenSTA: {(wrong or text.splitlines() or ['no message'])[0]}")
    found = [line.strip() for line in _between(text, "setup").splitlines()]
    if any(line not in constants and not _ENDPOINTS.fullmatch(line) for line in found):
        raise CostError(f"OpenSTA: the netlist cannot be timed: {' '.join(' '.join(found[:_LINES]).split())}")
    return text


@cache
def timer_version() -> str:
    """What OpenSTA says of itself; `MissingTool` if it is not installed."""
    if shutil.which("sta") is None:
        raise MissingTool("timing needs OpenSTA: apt install opensta")
    return subprocess.run(["sta", "-version"], capture_output=True, text=True).stdout.strip()
