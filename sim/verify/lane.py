"""The Verilog between a unit and the test wrapper ``tests/cocotb/lns_lanes.v``: inputs and outputs packed."""

from __future__ import annotations

from collections.abc import Iterable

from sim.verify.units import Instance, Port, inputs, outputs, parameters

__all__ = ["lane_text"]


def _verilog(value: int | str) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _connections(ports: Iterable[Port], bus: str) -> list[str]:
    """Connections of ports to slices of a bus, the first port in its low bits."""
    lines, low = [], 0
    for port in ports:
        lines.append(f".{port.name}({bus}[{low + port.width - 1}:{low}])")
        low += port.width
    return lines


def lane_text(instance: Instance) -> str:
    """The module ``lns_lane``: one unit with an instance's parameters."""
    sources, results = inputs(instance), outputs(instance)
    settings = [f".{name}({_verilog(value)})" for name, value in parameters(instance).items()]
    connections = [*_connections(sources, "in_i"), *_connections(results, "out_o")]
    join = ",\n    ".join
    return (
        f"// Test only: {instance.unit} of {instance}.\n"
        "module lns_lane (\n"
        f"  input  logic [{sum(port.width for port in sources) - 1}:0] in_i,\n"
        f"  output logic [{sum(port.width for port in results) - 1}:0] out_o\n"
        ");\n\n"
        f"  {instance.unit} #(\n    {join(settings)}\n  ) u_unit (\n    {join(connections)}\n  );\n\n"
        "endmodule\n"
    )
