"""What a price is for, beside the chip: library, clock, recorded step, step of which the energy is wanted."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from sim.cost.cycles import Count
from sim.cost.errors import CostError
from sim.cost.liberty import ROM_BITS, Library, default_library, load_library
from sim.cost.price import Conditions
from sim.cost.scaling import Node
from sim.cost.workload import Workload
from sim.train.trace import Trace

__all__ = ["DEFAULT_PERIOD_FO4", "Settings", "make_settings"]

#: A clock in delays of an inverter that drives four. So long that the presets' units keep it as they are mapped for
#: area, four log-adders one behind the other among them.
DEFAULT_PERIOD_FO4 = 500

#: start of a library's name -> its node in nm, where the text does not say it
_NODES = {"osu018": 180, "asap7": 7, "sg13g2": 130}


@dataclass(frozen=True, slots=True)
class Settings:
    """What is priced, beside the chip.

    Attributes
    ----------
    conditions : Conditions
    workload : Workload
        The training step whose operands go through the gates.
    beats : int
        Of each call of a unit, about, with which power is measured, gates having delays; many more are compared.
    step : tuple of Count, optional
        The step whose energy is computed; by default the workload's own.
    jobs : int
        Syntheses and simulations at a time.
    trace : Trace, optional
        Operands that go through a design's gates in the place of the workload's.
    """

    conditions: Conditions
    workload: Workload
    beats: int = 60
    step: tuple[Count, ...] | None = None
    jobs: int = 2
    trace: Trace | None = None

    @property
    def node(self) -> Node:
        """The library's process node, which the models of memories need."""
        assert self.conditions.library.node is not None
        return self.conditions.library.node


def make_settings(
    workload: Workload,
    liberty: Path | None = None,
    period: float | None = None,
    node: int | None = None,
    annotated: bool = True,
    wire_capacitance: float = 0.0,
    beats: int = 60,
    step: tuple[Count, ...] | None = None,
    jobs: int | None = None,
    trace: Trace | None = None,
    rom_bits: int = ROM_BITS,
) -> Settings:
    """Settings with their defaults filled in.

    Parameters
    ----------
    workload, beats, step, jobs, trace
        As in `Settings`; jobs are by default as many as there are cores.
    liberty : Path, optional
        By default the library that a Debian package ships.
    period : float, optional
        Seconds; by default `DEFAULT_PERIOD_FO4`.
    node : int, optional
        Nanometres; needed where the library's name does not tell.
    annotated, wire_capacitance
        As in `Conditions`.
    rom_bits : int
        As in `Library`: a ROM of more bits is a memory macro.

    Raises
    ------
    CostError
        If the library cannot be read, or its node is not known; if ``rom_bits`` is negative.
    MissingTool
        If the default library is not installed.
    """
    if rom_bits < 0:
        raise CostError(f"--rom-macro: bits of a ROM that is still logic are required, 0 or more, got {rom_bits}")
    library = load_library(liberty or default_library())
    library = replace(library, node=_node(library, node), rom_bits=rom_bits)
    conditions = Conditions(library, period or DEFAULT_PERIOD_FO4 * library.fo4, annotated, wire_capacitance)
    return Settings(conditions, workload, beats, step, jobs or len(os.sched_getaffinity(0)), trace)


def _node(library: Library, given: int | None) -> Node:
    known = [node for name, node in _NODES.items() if library.name.lower().startswith(name)]
    if given is None and not known:
        raise CostError(f"--node: the process node in nm is required, library {library.name} does not tell it")
    return Node(known[0] if given is None else given, library.voltage)
