"""A flat netlist of library cells, as arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.cost.cells import Cell
from sim.cost.errors import CostError
from sim.cost.liberty import Library

__all__ = ["CONSTANTS", "UNCONNECTED", "Instances", "Netlist", "load_netlist", "verilog_text"]

CONSTANTS = ("1'b0", "1'b1")  #: the names of the first two nets of every netlist
UNCONNECTED = -1  #: in place of a net, where a pin has none

_TOP = "top"


@dataclass(frozen=True, eq=False)
class Instances:
    """The cells of one kind.

    Attributes
    ----------
    names : tuple of str
    pins : tuple of str
        In the library's order.
    nets : int array, (cells, pins)
        The net of each pin, or `UNCONNECTED`.
    """

    names: tuple[str, ...]
    pins: tuple[str, ...]
    nets: npt.NDArray[np.int64]

    def of(self, pin: str) -> npt.NDArray[np.int64]:
        """The net of a pin in each cell."""
        column: npt.NDArray[np.int64] = self.nets[:, self.pins.index(pin)]
        return column


@dataclass(frozen=True, eq=False)
class Netlist:
    """A module of library cells.

    Attributes
    ----------
    inputs, outputs : mapping
        Port -> the nets of its bits, the lowest first.
    nets : tuple of str
        A name in the Verilog of the module for every net, ``n7`` or ``a_i[3]``; first the two `CONSTANTS`.
    kinds : mapping
        Name of a library cell -> its instances.
    """

    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]
    nets: tuple[str, ...]
    kinds: Mapping[str, Instances]

    @property
    def cells(self) -> int:
        return sum(len(kind.names) for kind in self.kinds.values())

    def cells_of(self, library: Library) -> dict[str, Cell]:
        """What the library knows of every kind.

        Raises
        ------
        CostError
            If it lacks one, or one has other pins.
        """
        for name, kind in self.kinds.items():
            cell = library.cells.get(name)
            if cell is None:
                raise CostError(f"a netlist of cells of {library.name} is required, it has no cell {name}")
            if unknown := set(kind.pins) - set(cell.pins):
                raise CostError(f"cell {name} of {library.name} has no pin {', '.join(sorted(unknown))}")
        return {name: library.cells[name] for name in self.kinds}


def load_netlist(folder: Path) -> Netlist:
    """The module ``top`` of ``netlist.json`` (of Yosys) in a folder.

    Raises
    ------
    CostError
        If it is not flat, has unknown constants, or two cells drive one net.
    """
    path = folder / "netlist.json"
    try:
        module = json.loads(path.read_text("utf-8"))["modules"][_TOP]
    except (ValueError, KeyError) as error:
        raise CostError(f"{path}: a netlist of Yosys with a module {_TOP} is required: {error}") from None
    numbers: dict[int | str, int] = {"0": 0, "1": 1}
    names = [*CONSTANTS]
    for name, value in module["netnames"].items():
        for bit, net in enumerate(value["bits"]):
            if net not in numbers and not isinstance(net, str):
                numbers[net] = len(names)
                names.append(f"{name}[{value.get('offset', 0) + bit}]" if len(value["bits"]) > 1 else name)

    def number(bits: list[int | str], of: str) -> int:
        if not bits:
            return UNCONNECTED
        if len(bits) != 1 or bits[0] not in numbers:
            raise CostError(f"{path}: one net or constant is required at {of}, got {bits}")
        return numbers[bits[0]]

    ports: dict[str, dict[str, tuple[int, ...]]] = {"input": {}, "output": {}, "inout": {}}
    for name, port in module["ports"].items():
        ports[port["direction"]][name] = tuple(number([bit], f"port {name}") for bit in port["bits"])
    return Netlist(ports["input"], ports["output"], tuple(names), _kinds(module["cells"], number))


def _kinds(cells: Mapping[str, Any], number: Any) -> dict[str, Instances]:
    grouped: dict[str, list[tuple[str, Any]]] = {}
    for name, cell in cells.items():
        grouped.setdefault(cell["type"], []).append((name, cell["connections"]))
    kinds = {}
    for kind, found in grouped.items():
        pins = tuple(sorted({pin for _, connections in found for pin in connections}))
        nets = [[number(connections.get(pin, []), f"{name}/{pin}") for pin in pins] for name, connections in found]
        kinds[kind] = Instances(tuple(name for name, _ in found), pins, np.array(nets, np.int64).reshape(-1, len(pins)))
    return kinds


def verilog_text(netlist: Netlist) -> str:
    """The Verilog of a netlist: Yosys needs a quarter of a minute for large ones, more than for their mapping."""
    ports = {**netlist.inputs, **netlist.outputs}
    lines = [f"module {_TOP}({', '.join(ports)});"]
    for name, nets in ports.items():
        direction = "input" if name in netlist.inputs else "output"
        lines.append(f"  {direction} {f'[{len(nets) - 1}:0] ' if len(nets) > 1 else ''}{name};")
    lines += [f"  wire {name};" for name in netlist.nets[len(CONSTANTS) :] if name.partition("[")[0] not in ports]
    for kind, cells in netlist.kinds.items():
        for name, nets in zip(cells.names, cells.nets.tolist(), strict=True):
            pins = (f"    .{pin}({netlist.nets[net]})" for pin, net in zip(cells.pins, nets, strict=True) if net >= 0)
            lines.append(f"  {kind} {name} (\n" + ",\n".join(pins) + "\n  );")
    for name, nets in netlist.outputs.items():  # constants, and bits that another port names
        bits = [f"{name}[{place}]" if len(nets) > 1 else name for place in range(len(nets))]
        drivers = [netlist.nets[net] for net in nets]
        lines += [f"  assign {bit} = {net};" for bit, net in zip(bits, drivers, strict=True) if bit != net]
    return "\n".join([*lines, "endmodule", ""])
