"""ROMs that are memory macros: each a cell of its own, whose contents are simulated and whose cost is a model's.

Address and data are nets of the netlist. A macro reads as soon as its address changes, as the Verilog's table does, and
gives the word after an access time; behind its last word it gives ones, which nobody may ask for. What it costs is
`sim.cost.memory`'s: nothing here is a library's figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sim.cost.cells import Cell, Leakage, Pin
from sim.cost.errors import CostError
from sim.cost.expression import Expression
from sim.cost.liberty import Library
from sim.cost.mapping import inverter_leakage, smallest_inverter
from sim.cost.memory import ADDRESS_LOAD, access_time, macros_of, rom

__all__ = ["MACRO_LIBRARY", "RomMacro", "macro_modules", "save_macros", "with_macros"]

MACRO_LIBRARY = "macros.lib"  #: beside a netlist that has macros
_CONTENTS = "macros.npz"

Bits = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class RomMacro(Cell):
    """A ROM as a cell with the pins ``a0`` … and ``d0`` …, the lowest bits first.

    Attributes
    ----------
    words : uint8 array, (words, bits)
        0 and 1, the lowest bit first.
    energy : float
        Joules a look-up.
    access_time : float
        Seconds from the address to the data.
    """

    words: Bits
    energy: float
    access_time: float

    @property
    def table(self) -> Bits:
        """The word at every address, (2**address bits, bits): ones behind the last of ``words``."""
        return np.pad(self.words, ((0, (1 << len(self.inputs)) - len(self.words)), (0, 0)), constant_values=1)

    @cached_property
    def _truths(self) -> dict[str, npt.NDArray[np.bool_]]:
        return {f"d{bit}": column for bit, column in enumerate(self.table.T.astype(bool))}


def macro_modules(macros: Mapping[str, tuple[Bits, int]]) -> str:
    """Modules without contents for Yosys, as RTLIL: macro -> words and address bits."""
    lines = []
    for name, (words, address_bits) in macros.items():
        lines += ["attribute \\blackbox 1", f"module \\{name}"]
        pins = [*((f"a{bit}", "input") for bit in range(address_bits)), *_outputs(words)]
        lines += [f"  wire {side} {number} \\{pin}" for number, (pin, side) in enumerate(pins, 1)]
        lines.append("end\n")
    return "\n".join(lines)


def _outputs(words: Bits) -> list[tuple[str, str]]:
    return [(f"d{bit}", "output") for bit in range(words.shape[1])]


def save_macros(folder: Path, macros: Mapping[str, tuple[Bits, int]], library: Library) -> None:
    """Contents, and a Liberty file for the timer, in the folder of a netlist.

    Raises
    ------
    CostError
        If the library's node is not known, on which the model of memories depends.
    """
    if not macros:
        return
    arrays = {f"{name} {address_bits}": words for name, (words, address_bits) in macros.items()}
    with open(folder / _CONTENTS, "wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    cells = _cells(folder, library)
    (folder / MACRO_LIBRARY).write_text(_liberty(cells, library.fo4), "utf-8")


def with_macros(folder: Path, library: Library) -> Library:
    """The library with the macros of the netlist in a folder."""
    cells = _cells(folder, library)
    return replace(library, cells={**library.cells, **cells}) if cells else library


def _cells(folder: Path, library: Library) -> dict[str, RomMacro]:
    if not (folder / _CONTENTS).is_file():
        return {}
    with np.load(folder / _CONTENTS) as arrays:
        contents = {tuple(name.split()): arrays[name] for name in arrays.files}
    return {name: _cell(name, words, int(address_bits), library) for (name, address_bits), words in contents.items()}


def _cell(name: str, words: Bits, address_bits: int, library: Library) -> RomMacro:
    if library.node is None:
        raise CostError(
            f"a ROM of at most {library.rom_bits} bits is made gates of, one of {words.size} is a memory macro: its "
            f"model needs the process node, library {library.name} does not tell it"
        )
    entries, width = words.shape
    memory = rom(entries, width, library.node, inverter_leakage(library))
    inverter = smallest_inverter(library)
    load = inverter.pins[inverter.inputs[0]]
    times = ADDRESS_LOAD * macros_of(words.size)
    pins = [
        Pin(f"a{bit}", False, times * load.rise_capacitance, times * load.fall_capacitance)
        for bit in range(address_bits)
    ]
    pins += [Pin(pin, True, 0.0, 0.0, Expression("", pin)) for pin, _ in _outputs(words)]
    return RomMacro(
        name=name, area_um2=memory.area_um2, pins={pin.name: pin for pin in pins}, state=None,
        leakage=(Leakage(memory.leakage, None, ""),), energies=(), dont_use=True, words=words,
        energy=memory.energy * width, access_time=access_time(words.size, library.node, library.fo4),
    )  # fmt: skip


def _liberty(cells: Mapping[str, RomMacro], slew: float) -> str:
    """Every bit comes the access time after each bit of the address, with a slew that no load changes."""
    lines = [
        "library (macros) {", '  delay_model : table_lookup; time_unit : "1ns"; voltage_unit : "1V";',
        '  current_unit : "1uA"; leakage_power_unit : "1nW"; capacitive_load_unit (1,pf);',
    ]  # fmt: skip
    for edge in ("rise", "fall"):
        lines.append(f"  input_threshold_pct_{edge} : 50; output_threshold_pct_{edge} : 50;")
        lines.append(f"  slew_lower_threshold_pct_{edge} : 20; slew_upper_threshold_pct_{edge} : 80;")
    for cell in cells.values():
        edges = [
            f'{kind}_{edge} (scalar) {{ values ("{seconds * 1e9:.6f}"); }}'
            for kind, seconds in (("cell", cell.access_time), ("transition", slew)) for edge in ("rise", "fall")
        ]  # fmt: skip
        timing = f'timing () {{ related_pin : "{" ".join(cell.inputs)}"; timing_sense : non_unate; {" ".join(edges)} }}'
        timing = timing.replace("transition_rise", "rise_transition").replace("transition_fall", "fall_transition")
        lines.append(f"  cell ({cell.name}) {{ area : {cell.area_um2:.3f};")
        for pin in cell.pins.values():
            load = f"capacitance : {pin.rise_capacitance * 1e12:.8f};"
            what = f"output; {timing}" if pin.output else f"input; {load}"
            lines.append(f"    pin ({pin.name}) {{ direction : {what} }}")
        lines.append("  }")
    return "\n".join([*lines, "}", ""])
