"""Energy, leakage, area and access time of memories, by stated models: estimates, all of them.

Three published sources:

- Energy of an access: Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014, figure 1.1.9:
  64 bits from a cache of 8 KiB, 32 KiB and 1 MiB take 10, 20 and 100 pJ at 45 nm and 0.9 V; 64 bits from DRAM
  1.3 to 2.6 nJ.
- Area and leakage of SRAM: the single-port macros of the IHP SG13G2 open PDK (130 nm, typical, 1.2 V, 25 °C;
  ``RM_IHPSG13_1P_{256,1024,2048}x64_c2_bm_bist``): 93 180.53, 263 946.14 and 491 633.62 µm²; 12.086 pW a bit.
- Access time: the same macros and the one of 512 words, from clock to data, the slowest entry of their tables (0.476 ns
  of slew, 64 fF): 3.271, 4.026, 4.549 and 5.596 ns. Their addresses need no set-up. Capacitance of an address pin:
  7.215 fF, 2.5 times that of the same PDK's ``inv_1``.
- Between nodes: `sim.cost.scaling`.

The macros check the first source too: reading 64 bits takes 91.8 pJ from 8 KiB and 122.4 pJ from 16 KiB there, writing
them 110.9 and 155.4 pJ; Horowitz's figures scaled to 130 nm and 1.2 V are 74.1 and 104.8 pJ.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sim.cost.errors import CostError
from sim.cost.scaling import Node, scaling

__all__ = ["ADDRESS_LOAD", "Memory", "access_time", "dram", "leakage_of_bit", "macros_of", "rom", "sram"]

_HOROWITZ = Node(45, 0.9)
_ACCESS_BITS = 64
_CACHES = ((8 << 13, 10e-12), (32 << 13, 20e-12), (1 << 23, 100e-12))  # bits, joules an access
_DRAM_ACCESS = (1.3e-9, 2.6e-9)  # joules

_IHP = Node(130, 1.2)
_MACRO_BITS = 2048 * 64  # the largest macro
_BIT_AREA = (491_633.616 - 93_180.5344) / ((2048 - 256) * 64)  # µm²: what the macros grow by
_MACRO_AREA = 93_180.5344 - 256 * 64 * _BIT_AREA  # µm²: what each has besides; 1024 × 64 lies on the line
_LEAKAGE_RATIO = 12.086e-12 / 63.0032e-12  # a bit's leakage over that of the same PDK's smallest inverter
_ACCESS_BITS_LOG2, _ACCESS_TIMES = (14, 15, 16, 17), (3.2707e-9, 4.0264e-9, 4.5488e-9, 5.5958e-9)  # capacity, seconds
_SELECT_FO4 = 2  # of one of two macros
#: Capacitance of a macro's address pin, over that of the smallest inverter's: IHP's 7.21489 and 2.867455 fF.
ADDRESS_LOAD = 7.21489 / 2.867455


@dataclass(frozen=True, slots=True)
class Memory:
    """What a memory costs.

    Attributes
    ----------
    kind : str
        ``sram``, ``dram`` or ``rom``.
    bits : int or None
        Capacity; None: as large as it takes.
    energy : float
        Joules for each bit read or written.
    leakage : float
        Watts.
    area_um2 : float
        On the chip.
    estimate : bool
        Always True: models, no library's figures.
    """

    kind: str
    bits: int | None
    energy: float
    leakage: float
    area_um2: float
    estimate: bool = True

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def _access_energy(bits: int) -> float:
    """Joules for 64 bits at 45 nm and 0.9 V: straight lines in log E over log size through Horowitz's three caches; the
    outer ones go on beyond them (below 8 KiB that is E ∝ √size)."""
    segments = list(itertools.pairwise(_CACHES))
    (low, low_energy), (high, high_energy) = next((s for s in segments if bits <= s[1][0]), segments[-1])
    slope = math.log(high_energy / low_energy) / math.log(high / low)
    return low_energy * (bits / low) ** slope


def leakage_of_bit(inverter_leakage: float) -> float:
    """Watts that a bit of SRAM leaks, from what the smallest inverter of the cell library leaks (watts).

    The ratio, 0.192, is that of the IHP SG13G2 PDK, whose SRAM macros leak 12.086 pW a bit and whose ``inv_1`` leaks
    63.0 pW: the only process here that publishes both. Reading it off the library in use makes leakage follow node,
    voltage and temperature.
    """
    return _LEAKAGE_RATIO * inverter_leakage


def sram(bits: int, node: Node, inverter_leakage: float) -> Memory:
    """SRAM on the chip, of words that lie side by side: narrow ones share an access of 64 bits.

    Parameters
    ----------
    bits : int
    node : Node
    inverter_leakage : float
        Of the smallest inverter of the cell library at this node, watts: see `leakage_of_bit`.

    Notes
    -----
    Energy a bit: Horowitz's access over 64, times the energy factor from 45 nm at 0.9 V to the node; reads and writes
    alike. Area: macros of at most 16 KiB, 36 259 µm² and 3.474 µm² a bit each at 130 nm (the line through IHP's), times
    the area factor. Leakage: bits times `leakage_of_bit`.

    Raises
    ------
    CostError
        If ``bits`` is below 1.
    """
    if bits < 1:
        raise CostError(f"memory: must have at least one bit, got {bits}")
    macros = macros_of(bits)
    area = macros * _MACRO_AREA + bits * _BIT_AREA
    energy = _access_energy(bits) / _ACCESS_BITS
    return Memory(
        "sram",
        bits,
        energy * scaling(_HOROWITZ, node).energy,
        bits * leakage_of_bit(inverter_leakage),
        area * scaling(_IHP, node).area,
    )


def dram() -> Memory:
    """DRAM off the chip: the middle of Horowitz's 1.3 to 2.6 nJ for 64 bits, 30.5 pJ a bit, whatever the chip's node.

    Refresh and standby are left out, and it takes no area on the chip.
    """
    return Memory("dram", None, sum(_DRAM_ACCESS) / 2 / _ACCESS_BITS, 0.0, 0.0)


def rom(entries: int, width: int, node: Node, inverter_leakage: float) -> Memory:
    """A table too large to be logic, as a macro: SRAM of the same bits, which is an upper bound of all three figures.

    (A ROM bit is one transistor and SRAM's are six; no open macro was found to say how much that saves.) A look-up is
    one access of 64 bits for each 64 bits of the word or part of them: its neighbours are not asked for.
    """
    like = sram(entries * width, node, inverter_leakage)
    accesses = -(-width // _ACCESS_BITS)
    return Memory("rom", like.bits, like.energy * _ACCESS_BITS * accesses / width, like.leakage, like.area_um2)


def macros_of(bits: int) -> int:
    """Macros of at most 16 KiB that so many bits take."""
    return -(-bits // _MACRO_BITS)


def access_time(bits: int, node: Node, fo4: float) -> float:
    """Seconds from the address to the data of a memory, which nobody clocks.

    Parameters
    ----------
    bits : int
        Its capacity.
    node : Node
    fo4 : float
        Delay of an inverter that drives four, seconds.

    Notes
    -----
    That of an IHP macro of the capacity, straight between theirs over log capacity, that of the least one for less;
    times the delay factor from 130 nm at 1.2 V to the node. Above 16 KiB the data of several macros pass
    ⌈log2 macros⌉ selections of one of two, of 2 FO4 each: an assumption.
    """
    one = float(np.interp(math.log2(bits), _ACCESS_BITS_LOG2, _ACCESS_TIMES)) * scaling(_IHP, node).delay
    return one + math.ceil(math.log2(macros_of(bits))) * _SELECT_FO4 * fo4
