"""Cell libraries: Liberty files in SI units (areas in µm²).

Read are pins, functions, flip-flops and latches, leakage and internal energies of every cell (non-linear tables,
scalars included), and of the delays those of the smallest inverter. Delays of a netlist are OpenSTA's business.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from sim.cost.cache import cached
from sim.cost.cells import Cell, Energy, Floats, Leakage, Pin, State, Table
from sim.cost.errors import CostError
from sim.cost.expression import Expression, parse_expression
from sim.cost.liberty_text import Group, parse_groups
from sim.cost.scaling import Node
from sim.source import syntax_digest
from sim.verify.tools import MissingTool

__all__ = ["ROM_BITS", "Library", "default_library", "load_library"]

ROM_BITS = 1 << 20  #: of a ROM that is still made gates of; the largest of all presets has 307,908

_DEFAULT = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
_PREFIXES = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15}
_SLEWS = ("input_net_transition", "input_transition_time")
_LOADS = ("total_output_net_capacitance",)


@dataclass(frozen=True, eq=False)
class Library:
    """A cell library at one voltage and temperature.

    Attributes
    ----------
    path : Path
    name : str
    digest : str
        SHA-256 of the text, uncompressed.
    voltage, temperature : float
        Volts and degrees Celsius, of its default operating conditions.
    cells : mapping
    gate_equivalent_um2 : float
        Area of the smallest two-input NAND.
    fo4 : float
        Seconds: mean of the rising and the falling delay of the smallest inverter that drives four of itself, behind
        inverters that do the same.
    node : Node, optional
        Its process node, for the models of memories: what prices are for sets it, the text does not tell.
    rom_bits : int
        A ROM of more bits is no logic, but a memory macro by a model.
    """

    path: Path
    name: str
    digest: str
    voltage: float
    temperature: float
    cells: Mapping[str, Cell]
    gate_equivalent_um2: float
    fo4: float
    node: Node | None = None
    rom_bits: int = ROM_BITS


def default_library() -> Path:
    """The library that a Debian package ships: OSU's 0.18 µm cells.

    Raises
    ------
    MissingTool
        If it is not installed.
    """
    if not _DEFAULT.is_file():
        raise MissingTool(f"the cell library {_DEFAULT} is not installed: apt install qflow-tech-osu018")
    return _DEFAULT


def load_library(path: Path | str) -> Library:
    """Read a Liberty file, plain or compressed by gzip; cached, for a large one takes a quarter of a minute.

    Raises
    ------
    CostError
        If it is no Liberty file, or lacks what a price needs: units, a voltage, an inverter, a two-input NAND, a
        flip-flop.
    OSError
        If it cannot be read.
    """
    path = Path(path)
    data = path.read_bytes()
    try:
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        text = data.decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise CostError(f"{path}: a Liberty file is required, plain or compressed by gzip: {error}") from None
    digest = hashlib.sha256(data).hexdigest()

    def build(folder: Path) -> None:
        (folder / "library.pickle").write_bytes(pickle.dumps(_library(path, digest, parse_groups(text))))

    try:
        folder = cached("cells", {"text": digest, "code": _code_version()}, build)
    except CostError as error:
        raise CostError(f"{path}: {error}") from None
    library: Library = pickle.loads((folder / "library.pickle").read_bytes())
    return replace(library, path=path)


@cache
def _code_version() -> str:
    here = Path(__file__).parent
    names = ("cells", "expression", "liberty", "liberty_text")
    return syntax_digest((here / f"{name}.py").read_text("utf-8") for name in names)


def _library(path: Path, digest: str, root: Group) -> Library:
    reader = _Reader(root)
    groups = {group.arguments[0]: group for group in root.of_kind("cell") if group.arguments}
    cells = {name: reader.cell(name, group) for name, group in groups.items()}
    usable = [cell for cell in cells.values() if not cell.dont_use]
    if not any(cell.state and not cell.state.latch for cell in usable):
        raise CostError("a flip-flop is required, the library has none")
    nand = _smallest(usable, parse_expression("!(A*B)"), "two-input NAND")
    inverter = _smallest(usable, parse_expression("!A"), "inverter")
    voltage, temperature = _conditions(root)
    return Library(
        path, root.arguments[0] if root.arguments else "", digest, voltage, temperature, cells, nand.area_um2,
        _fo4(inverter, reader, groups[inverter.name]),
    )  # fmt: skip


def _conditions(root: Group) -> tuple[float, float]:
    """Voltage and temperature."""
    chosen = root.attributes.get("default_operating_conditions")
    conditions = [group for group in root.of_kind("operating_conditions") if chosen in group.arguments]
    attributes = {name.removeprefix("nom_"): value for name, value in root.attributes.items() if name[:4] == "nom_"}
    attributes |= conditions[0].attributes if conditions else {}
    unit = _unit(root, "voltage_unit", "V")
    return _number(attributes, "voltage") * unit, _number(attributes, "temperature")


def _smallest(cells: list[Cell], function: Expression, kind: str) -> Cell:
    """The cell of least area, then least input capacitance, whose one output is a function of all its inputs A, B …"""
    wanted = function({name: np.arange(4) >> bit & 1 > 0 for bit, name in enumerate("AB")}, (4,))
    size = len(function.names)

    def fits(cell: Cell) -> bool:
        outputs = [cell.pins[name] for name in cell.outputs]
        if cell.state or len(cell.inputs) != size or len(outputs) != 1 or outputs[0].three_state:
            return False
        found = outputs[0].function
        return found is not None and bool((cell.truth(found) == wanted[: 1 << size]).all())

    fitting = [cell for cell in cells if fits(cell)]
    if not fitting:
        raise CostError(f"a {kind} is required, the library has none")
    return min(fitting, key=lambda cell: (cell.area_um2, cell.pins[cell.inputs[0]].rise_capacitance))


def _fo4(inverter: Cell, reader: _Reader, group: Group) -> float:
    """Delay in a long chain of equal stages: the slews are those that the chain itself settles at."""
    pin = inverter.pins[inverter.inputs[0]]
    tables: dict[str, Table] = {}
    for output in group.of_kind("pin"):
        for arc in output.of_kind("timing"):
            if arc.attributes.get("timing_type", "combinational") == "combinational":
                tables |= {table.kind: reader.table(table, reader.time) for table in arc.groups}
    try:
        delays = {"rise": tables["cell_rise"], "fall": tables["cell_fall"]}
        slews = {"rise": tables["rise_transition"], "fall": tables["fall_transition"]}
    except KeyError as error:
        raise CostError(f"cell {inverter.name}: a table {error.args[0]} is required") from None
    loads = {"rise": 4 * pin.rise_capacitance, "fall": 4 * pin.fall_capacitance}
    slew = {"rise": 0.0, "fall": 0.0}
    for _ in range(64):
        slew = {
            edge: float(slews[edge](slew[other], loads[edge])) for edge, other in (("rise", "fall"), ("fall", "rise"))
        }
    return float(delays["rise"](slew["fall"], loads["rise"]) + delays["fall"](slew["rise"], loads["fall"])) / 2


def _number(attributes: Mapping[str, str], name: str, default: float | None = None) -> float:
    if name not in attributes and default is not None:
        return default
    try:
        value = float(attributes[name])
    except (KeyError, ValueError):
        raise CostError(f"a number {name} is required, got {attributes.get(name, 'none')!r}") from None
    if not math.isfinite(value):
        raise CostError(f"a finite {name} is required, got {value}")
    return value


def _unit(root: Group, name: str, of: str) -> float:
    """A unit like ``1ns`` or ``(1, pf)``."""
    text = "".join(root.lists.get(name, [root.attributes.get(name, "")])).strip()
    found = re.fullmatch(rf"([\d.]+)\s*([munpf]?){of}", text, re.IGNORECASE)
    if found is None:
        raise CostError(f"{name} is required, such as 1n{of}, got {text or 'none'!r}")
    return float(found[1]) * _PREFIXES[found[2].lower()]


def _numbers(text: str) -> Floats:
    try:
        return np.array(text.replace(",", " ").split(), float)
    except ValueError:
        raise CostError(f"a list of numbers is required, got {text[:60]!r}") from None


@lru_cache(maxsize=1 << 12)  # the same few axes stand before every table
def _axis(text: str) -> Floats:
    axis = _numbers(text)
    axis.flags.writeable = False
    if not axis.size or (np.diff(axis) <= 0).any():
        raise CostError(f"a rising index is required, got {text[:60]!r}")
    return axis


class _Reader:
    """Groups of cells to `Cell`, with the units and the templates of a library."""

    def __init__(self, root: Group) -> None:
        self.time = _unit(root, "time_unit", "s")
        self.capacitance = _unit(root, "capacitive_load_unit", "f")
        self.leakage = _unit(root, "leakage_power_unit", "w")
        self.energy = self.capacitance * _unit(root, "voltage_unit", "V") ** 2
        templates = root.of_kind("lu_table_template", "power_lut_template")
        self.templates = {group.arguments[0]: group for group in templates}
        self.input_capacitance = _number(root.attributes, "default_input_pin_cap", 0.0) * self.capacitance
        self.cell_leakage = _number(root.attributes, "default_cell_leakage_power", 0.0) * self.leakage

    def cell(self, name: str, group: Group) -> Cell:
        try:
            grounds = {
                pin.arguments[0] for pin in group.of_kind("pg_pin")
                if pin.attributes.get("pg_type", "").endswith("ground")
            }  # fmt: skip
            pins = [
                self.pin(pin_name, one) for one in group.of_kind("pin") for pin_name in one.arguments
                if one.attributes.get("direction") != "internal"
            ]  # fmt: skip
            energies = [
                energy for one in group.of_kind("pin") for pin_name in one.arguments
                for energy in self.energies(pin_name, one) if energy.supply not in grounds
            ]  # fmt: skip
            leakage = [one for one in self.leakages(group) if one.supply not in grounds]
            return Cell(
                name=name,
                area_um2=_number(group.attributes, "area", 0.0),
                pins={pin.name: pin for pin in pins},
                state=self.state(group),
                leakage=tuple(leakage),
                energies=tuple(energies),
                dont_use=group.attributes.get("dont_use", "false").lower() == "true",
            )
        except CostError as error:
            raise CostError(f"cell {name}, line {group.line}: {error}") from None

    def pin(self, name: str, group: Group) -> Pin:
        output = group.attributes.get("direction") != "input"
        default = 0.0 if output else self.input_capacitance / self.capacitance
        capacitance = _number(group.attributes, "capacitance", default)
        rise, fall = (_number(group.attributes, f"{edge}_capacitance", capacitance) for edge in ("rise", "fall"))
        function = group.attributes.get("function")
        return Pin(
            name, output, rise * self.capacitance, fall * self.capacitance,
            parse_expression(function) if function else None, "three_state" in group.attributes,
        )  # fmt: skip

    def state(self, group: Group) -> State | None:
        for one in group.of_kind("ff", "latch"):
            latch = one.kind == "latch"
            clock, data = ("enable", "data_in") if latch else ("clocked_on", "next_state")
            if clock not in one.attributes or data not in one.attributes:
                if not latch:
                    raise CostError(f"a flip-flop with {clock} and {data} is required")
                continue  # a latch that is only set and reset
            names = [*one.arguments, "", ""]
            return State(
                latch, names[0], names[1], parse_expression(one.attributes[clock]),
                parse_expression(one.attributes[data]), _expression(one, "clear"), _expression(one, "preset"),
                one.attributes.get("clear_preset_var1", "X"),
            )  # fmt: skip
        return None

    def leakages(self, group: Group) -> list[Leakage]:
        """Without a group of leakage, what the cell says as a whole."""
        found = [
            Leakage(
                _number(one.attributes, "value") * self.leakage, _expression(one, "when"),
                one.attributes.get("related_pg_pin", ""),
            )
            for one in group.of_kind("leakage_power")
        ]  # fmt: skip
        whole = _number(group.attributes, "cell_leakage_power", self.cell_leakage / self.leakage) * self.leakage
        for supply in {one.supply for one in found} or {""}:
            if not any(one.when is None for one in found if one.supply == supply):
                found.append(Leakage(whole, None, supply))
        return found

    def energies(self, pin: str, group: Group) -> list[Energy]:
        found = []
        for one in group.of_kind("internal_power"):
            tables = {table.kind: table for table in one.groups}
            edges = [tables.get(f"{edge}_power", tables.get("power")) for edge in ("rise", "fall")]
            rise, fall = (self.table(edge, self.energy) if edge else None for edge in edges)
            related = tuple(one.attributes.get("related_pin", "").split())
            supply = one.attributes.get("related_pg_pin", "")
            found.append(Energy(pin, related, _expression(one, "when"), supply, rise, fall))
        return found

    def table(self, group: Group, unit: float) -> Table:
        """A table of one or two dimensions, its values times a unit."""
        values = group.lists.get("values")
        if not values:
            raise CostError(f"{group.kind}: values are required")
        name = group.arguments[0] if group.arguments else "scalar"
        flat = _numbers(" ".join(values)) * unit
        if name == "scalar" or flat.size == 1:
            return Table(np.zeros(1), np.zeros(1), flat.reshape(1, 1))
        variables, template = self.variables(group, name)
        axes = []
        for number in range(1, len(variables) + 1):
            text = group.lists.get(f"index_{number}") or template.get(f"index_{number}") or [""]
            axes.append(_axis(" ".join(text)))
        if flat.size != math.prod(len(axis) for axis in axes):
            sizes = " × ".join(str(len(axis)) for axis in axes)
            raise CostError(f"{group.kind}: {sizes} values are required, got {flat.size}")
        flat = flat.reshape([len(axis) for axis in axes])
        slews = [axis * self.time for axis, kind in zip(axes, variables, strict=True) if kind in _SLEWS]
        loads = [axis * self.capacitance for axis, kind in zip(axes, variables, strict=True) if kind in _LOADS]
        if len(slews) > 1 or len(loads) > 1 or len(slews) + len(loads) != len(variables):
            raise CostError(f"{group.kind}: tables over slew and load are read, got {', '.join(variables)}")
        if variables[0] in _LOADS:
            flat = flat.T
        slew, load = (slews or [np.zeros(1)])[0], (loads or [np.zeros(1)])[0]
        return Table(slew, load, np.ascontiguousarray(flat).reshape(len(slew), len(load)))

    def variables(self, group: Group, name: str) -> tuple[list[str], Mapping[str, list[str]]]:
        """The variables of a table's template, and its axes.

        Files that were merged may lack a template. The others tell then, if those of its dimensions all agree.
        """
        template = self.templates.get(name)
        if template is not None:
            return _variables(template), template.lists
        size = sum(key.startswith("index_") for key in group.lists)
        alike = {
            tuple(_variables(one)) for one in self.templates.values()
            if len(_variables(one)) == size and {*_variables(one)} <= {*_SLEWS, *_LOADS}
        }  # fmt: skip
        orders = {tuple(kind in _LOADS for kind in one) for one in alike}
        if len(orders) != 1:
            raise CostError(f"{group.kind}: the library has no template {name}")
        return list(min(alike)), {}


def _variables(template: Group) -> list[str]:
    found = (template.attributes.get(f"variable_{number}") for number in (1, 2, 3))
    return [variable for variable in found if variable]


def _expression(group: Group, name: str) -> Expression | None:
    text = group.attributes.get(name)
    return parse_expression(text) if text else None
