"""The Verilog around a unit: its parameters, and a valid/ready pipeline around a combinational core."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sim.verify.unit import Port, Unit

__all__ = ["DEPTH", "PIPELINE", "connect", "lane_text", "verilog_literal", "wrapper_text"]

DEPTH = 2  #: register stages of a wrapper, unless who instantiates it says otherwise
PIPELINE = "lns_pipeline.v"  #: what a wrapper needs beside the unit's own files

_JOIN = ",\n    "


def verilog_literal(value: int | str) -> str:
    """A parameter's value."""
    return f'"{value}"' if isinstance(value, str) else str(value)


def connect(ports: Iterable[Port], bus: str) -> list[str]:
    """Connections of ports to slices of a bus, the first port in its low bits."""
    lines, low = [], 0
    for port in ports:
        lines.append(f".{port.name}({bus}[{low + port.width - 1}:{low}])")
        low += port.width
    return lines


def _declarations(ports: Iterable[Port], direction: str) -> list[str]:
    return [
        f"{direction:<6} logic {'signed' if port.signed else '':<6} "
        f"{f'[{port.width - 1:>3}:0]' if port.width > 1 else '':<7} {port.name}"
        for port in ports
    ]


def wrapper_text(unit: Unit, name: str, rom_dir: str = "") -> str:
    """The module ``name``: a unit with its parameters, between registers with valid and ready.

    Parameters
    ----------
    unit : Unit
    name : str
        Of the module. Its parameter DEPTH counts register stages: of a combinational core's, half stand before it and
        half behind (the odd one behind), for synthesis to balance; a sequential unit has them where it says, or before
        it.
    rom_dir : str
        Put before the names of ROM images.
    """
    sources, results = unit.inputs(), unit.outputs()
    values = {
        key: f"{rom_dir}{value}" if isinstance(value, str) else value for key, value in unit.parameters().items()
    }
    settings = [f".{key}({'DEPTH' if key == 'DEPTH' else verilog_literal(value)})" for key, value in values.items()]
    header = (
        f"// {unit.module} of {unit}, with valid/ready handshakes and DEPTH register stages.\n"
        f"module {name} #(\n  parameter int DEPTH = {DEPTH}\n) (\n  "
        + ",\n  ".join(
            [
                "input  logic                clk_i",
                "input  logic                rst_ni  /* asynchronous */",
                "input  logic                valid_i",
                "output logic                ready_o",
                *_declarations(sources, "input"),
                "output logic                valid_o",
                "input  logic                ready_i",
                *_declarations(results, "output"),
            ]
        )
        + "\n);\n\n"
    )
    if unit.sequential and "DEPTH" in values:
        handshake = ["clk_i", "rst_ni", "valid_i", "ready_o", "valid_o", "ready_i"]
        connections = [f".{port}({port})" for port in (*handshake, *(port.name for port in (*sources, *results)))]
        return header + _instance(unit.module, settings, "u_unit", connections) + "\nendmodule\n"
    if unit.sequential:
        inner = [".clk_i(clk_i)", ".rst_ni(rst_ni)", ".valid_i(valid)", ".ready_o(ready)"]
        inner += [*connect(sources, "operands"), ".valid_o(valid_o)", ".ready_i(ready_i)"]
        inner += [f".{port.name}({port.name})" for port in results]
        return header + (
            f"  logic [{unit.input_bits - 1}:0] operands;\n"
            "  logic valid, ready;\n\n"
            + _stage("u_before", unit.input_bits, "DEPTH", _concatenation(sources), "operands", first=True)
            + _instance(unit.module, settings, "u_unit", inner)
            + "\nendmodule\n"
        )
    return header + (
        f"  logic [{unit.input_bits - 1}:0] operands;\n"
        f"  logic [{unit.output_bits - 1}:0] results;\n"
        "  logic valid, ready;\n\n"
        + _stage("u_before", unit.input_bits, "DEPTH / 2", _concatenation(sources), "operands", first=True)
        + _instance(unit.module, settings, "u_core", [*connect(sources, "operands"), *connect(results, "results")])
        + "\n"
        + _stage("u_after", unit.output_bits, "DEPTH - DEPTH / 2", "results", _concatenation(results), first=False)
        + "\nendmodule\n"
    )


def _concatenation(ports: Sequence[Port]) -> str:
    if len(ports) == 1:  # Yosys 0.23 trips over the braces around a signed port
        return ports[0].name
    return f"{{{', '.join(port.name for port in reversed(ports))}}}"


def _instance(module: str, settings: Sequence[str], name: str, connections: Sequence[str]) -> str:
    parameters = f" #(\n    {_JOIN.join(settings)}\n  )" if settings else ""
    return f"  {module}{parameters} {name} (\n    {_JOIN.join(connections)}\n  );\n"


def _stage(name: str, width: int, depth: str, source: str, result: str, first: bool) -> str:
    outer, inner = ("valid_i", "ready_o"), ("valid", "ready")
    front, back = (outer, inner) if first else (inner, ("valid_o", "ready_i"))
    connections = [
        ".clk_i(clk_i)", ".rst_ni(rst_ni)",
        f".valid_i({front[0]})", f".ready_o({front[1]})", f".data_i({source})",
        f".valid_o({back[0]})", f".ready_i({back[1]})", f".data_o({result})",
    ]  # fmt: skip
    return _instance("lns_pipeline", [f".WIDTH({width})", f".DEPTH({depth})"], name, connections) + "\n"


def lane_text(unit: Unit, wrapper: str) -> str:
    """The module ``lns_lane`` of the benches: a wrapper with its inputs and outputs packed, the first port lowest."""
    handshake = ["clk_i", "rst_ni", "valid_i", "ready_o", "valid_o", "ready_i"]
    connections = [f".{port}({port})" for port in handshake]
    connections += [*connect(unit.inputs(), "in_i"), *connect(unit.outputs(), "out_o")]
    return (
        f"// Test only: {wrapper} with packed ports.\n"
        "module lns_lane #(\n  parameter int DEPTH = 1\n) (\n"
        "  input  logic clk_i, rst_ni, valid_i, ready_i,\n"
        "  output logic valid_o, ready_o,\n"
        f"  input  logic [{unit.input_bits - 1}:0] in_i,\n"
        f"  output logic [{unit.output_bits - 1}:0] out_o\n"
        ");\n\n" + _instance(wrapper, [".DEPTH(DEPTH)"], "u_wrapper", connections) + "\nendmodule\n"
    )
