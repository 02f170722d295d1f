"""The README and the FuseSoC core file of a bundle."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import lns
from lns.design import Design
from sim.rtl.parameters import format_roles
from sim.verify.unit import Port, Unit

if TYPE_CHECKING:
    from sim.rtl.bundle import Instance

__all__ = ["core_text", "readme_text"]

# one port or parameter a line, as the house style has it; what is after it is its meaning
_PORT = re.compile(r"\s*(?:input|output)\b.*?(\w+_n?[io])\b,?\s*//\s*(.*)")
_PARAMETER = re.compile(r"\s*parameter\s+(?:int\s+)?(\w+)\s*=[^/]*//\s*(.*)")

_ROM_TITLE = re.compile(r"// (.*)\n// (\d+) words of (\d+) bits")


def _row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |"


def _table(head: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    return "\n".join([_row(head), _row("---" for _ in head), *map(_row, rows)])


def _header(verilog: str) -> str:
    """The comment at the top of a module: what it is, and what its beats are."""
    lines = []
    for line in verilog.splitlines():
        if not line.startswith("//"):
            break
        lines.append(line.removeprefix("//").strip())
    return "\n".join(lines)


def _meanings(pattern: re.Pattern[str], verilog: str) -> dict[str, str]:
    return {match[1]: match[2] for line in verilog.splitlines() if (match := pattern.match(line))}


def _kind(port: Port, unit: Unit) -> str:
    """What the bits of a port are."""
    if port in unit.event_ports():
        return "event"
    if port.format is not None:
        return f"`{port.format}` word"
    if port.signed:
        return "integer, two's complement"
    return "bit" if port.width == 1 else "bits"


def _instance_text(one: Instance, files: Mapping[str, str]) -> str:
    unit, verilog = one.unit, files[f"rtl/{one.unit.module}.v"]
    meanings = _meanings(_PORT, verilog)
    ports = [
        (f"`{port.name}`", direction, port.width, _kind(port, unit), meanings.get(port.name, ""))
        for direction, side in (("in", unit.inputs()), ("out", unit.outputs()))
        for port in side
    ]  # fmt: skip
    meanings = _meanings(_PARAMETER, verilog)
    values = [(f"`{name}`", f"`{value}`", meanings.get(name, "")) for name, value in one.parameters().items()]
    parts = [
        f"### {one.name}",
        f"`{unit.module}` of {unit}; in the design: {unit.label.replace('+', ', ')}.",
        _table(("port", "direction", "width", "what it is", "meaning"), ports),
    ]
    if values:
        parts.append(_table((f"parameter of `{unit.module}`", "value", "meaning"), values))
    return "\n\n".join(parts)


def readme_text(design: Design, name: str, found: Sequence[Instance], files: Mapping[str, str]) -> str:
    """What the bundle is, its commands, and a table of everything in it."""
    first = found[0].name
    places = [
        (
            f"`{one.name}`", f"`{one.unit.module}`", str(one.unit), one.unit.label.replace("+", ", "),
            "see the unit" if one.unit.sequential else "DEPTH clocks", one.beats,
        )
        for one in found
    ]  # fmt: skip
    modules = list(dict.fromkeys(one.unit.module for one in found))
    units = [f"**{module}**\n\n{_header(files[f'rtl/{module}.v'])}" for module in modules]
    roms = []
    for path, text in files.items():
        title = _ROM_TITLE.match(text) if path.startswith("rom/") else None
        if title is not None:
            users = [f"`{one.name}`" for one in found if path in one.roms.values()]
            roms.append((f"`{path}`", title[1], title[2], title[3], ", ".join(users) or "the controller"))
    formats = [
        (role, f"`{fmt}`", fmt.bits, fmt.frac_bits, fmt.code_bits, fmt.bias, fmt.max_code)
        for role, fmt in format_roles(design).items()
    ]
    return _README.format(
        design=design.name,
        description=design.description or "A proposed chip that computes in a logarithmic number system.",
        version=lns.__version__,
        name=name,
        first=first,
        benches=len(found),
        places=_table(("wrapper", "unit", "of", "in the design", "latency", "beats of its bench"), places),
        formats=_table(("role", "format", "bits", "F", "code bits", "bias", "largest code"), formats),
        roms=_table(("image", "content", "words", "bits", "used by"), roms),
        units="\n\n".join(units),
        wrappers="\n\n".join(_instance_text(one, files) for one in found),
    )


_README = """\
# {design}: Verilog

{description}

Written by lns {version} from `design.toml`, which says all that is said here again, as one short file. Neither lint nor
simulation nor synthesis needs Python. SPDX-License-Identifier: Apache-2.0

## Commands

All run from this folder: the Verilog names its ROM images relative to it (`rom/…`). A tool of yours has to run from
here too, or from a folder with links to `rom/` and `tb/`.

| command | what it does | needs |
| --- | --- | --- |
| `make lint` | every wrapper with all warnings | Verilator 5 |
| `make sim` | every bench | Icarus Verilog 11 |
| `make sim SIM=verilator` | every bench, compiled: builds for long, runs fast | Verilator 5, a C++ compiler |
| `make synth` | generic gates, netlists and counts in `build/synth/` | Yosys |
| `make check` | whether a file differs from what was written | sha256sum |
| `make list` | the names of the instances | |
| `make sim UNIT={first}` | one bench; `lint` and `synth` likewise | |

`{name}.f` lists the Verilog for other tools, `{name}.core` is a FuseSoC core, `{name}_parameters.vh` has every width
and constant as a macro, `bundle.json` lists the instances for programs.

## Words

A word is, from the top, one sign bit s and an unsigned code c; an unsigned format (`ulns`) has no s. With F fraction
bits and an offset of whole octaves that is kept beside the array, its value is (−1)^s · 2^((c − bias)/2^F + offset).
c = 0 is exact zero, whatever s. There is no NaN and no infinity. Above the largest code a unit emits the largest code
(event `saturate`), at or below 0 zero (event `underflow`).

{formats}

## Handshake

Every wrapper has a clock `clk_i`, an asynchronous active-low reset `rst_ni`, and two handshakes: a beat goes in at a
rising edge with `valid_i` and `ready_o` high, and comes out at one with `valid_o` and `ready_i` high. Results come in
order. An event is an output of one bit that goes with its word.

The parameter DEPTH of a wrapper counts register stages. Of a combinational unit's, half stand before it and half
behind, the odd one behind, for synthesis to balance; it takes a beat a clock, and the result comes DEPTH clocks later.
DEPTH = 0 leaves wires.

## Instances

{places}

A bench drives its wrapper with random idle clocks and backpressure, compares every bit of every result with the
definition's, and ends with a line `PASSED` or `FAILED` and an exit code.

## ROM images

{roms}

Each is read by `$readmemh`; its header has the SHA-256 of its data lines.

## Units

Sections are those of [spec.md](spec.md): what every unit computes (2 to 10, 13), the constants of the update unit (8),
the offsets of tensors (11), the order of units in a training step (12). Values of the constants and names of ROMs are
in the parameter file.

{units}

## Wrappers

The handshake's ports aside.

{wrappers}
"""


def core_text(
    design: Design, name: str, instances: Sequence[str], verilog: Sequence[str], files: Mapping[str, str]
) -> str:
    """The FuseSoC core: targets lint, sim and synth for the first instance, lint_NAME and so on for each."""

    def copied(folder: str) -> list[str]:
        paths = (path for path in files if path.startswith(folder) and PurePosixPath(path).suffix == ".memh")
        return [f"      - {path}: {{file_type: user, copyto: {path}}}" for path in paths]

    first = instances[0]
    lines = [
        "CAPI=2:",
        f"# One target an instance: fusesoc run --target=sim_{first} {name}",
        f"name: ::{name}:{lns.__version__}",
        f"description: {json.dumps(f'{design.name}: units of a logarithmic number system')}",
        "",
        "filesets:",
        "  rtl:",
        "    files:",
        *(f"      - {path}" for path in verilog),
        f"      - {name}_parameters.vh: {{is_include_file: true}}",
        "    file_type: systemVerilogSource",
        "  rom:  # read at run time from the folder of the simulation",
        "    files:",
        *copied("rom/"),
        "  tb:",
        "    files:",
        *(f"      - tb/{one}_tb.v: {{file_type: systemVerilogSource}}" for one in instances),
        *copied("tb/"),
        "",
        "targets:",
        "  default: &default",
        "    filesets: [rtl, rom]",
        f"    toplevel: {first}",
        "  lint: &lint",
        "    <<: *default",
        "    flow: lint",
        "    flow_options: {tool: verilator, verilator_options: [-Wall]}",
        "  sim: &sim",
        "    filesets: [rtl, rom, tb]",
        "    flow: sim",
        "    flow_options:",
        "      tool: icarus  # or --tool=verilator",
        "      iverilog_options: [-g2012]",
        "      mode: binary",
        "      verilator_options: [--timing, -Wno-fatal]",
        f"    toplevel: {first}_tb",
        "  synth: &synth",
        "    <<: *default",
        "    flow: generic",
        "    flow_options: {tool: yosys, arch: ice40, output_format: json}",
        *(f"  lint_{one}: {{<<: *lint, toplevel: {one}}}" for one in instances),
        *(f"  sim_{one}: {{<<: *sim, toplevel: {one}_tb}}" for one in instances),
        *(f"  synth_{one}: {{<<: *synth, toplevel: {one}}}" for one in instances),
    ]
    return "\n".join([*lines, ""])
