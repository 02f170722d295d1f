"""From one process node to another: factors of area, delay and energy. What is scaled is an estimate, and says so.

Stillmaker and Baas, "Scaling equations for the accurate prediction of CMOS device performance from 180 nm to 7 nm",
Integration 58 (2017), 74-81, with its corrigendum: delay and energy of an inverter driving four were simulated with the
Predictive Technology Models and fitted by polynomials of the supply voltage, one set a node and device class. The
coefficients are those of the paper's tables as github.com/wromaszkan/nodeScale gives them; those for energy agree with
github.com/Accelergy-Project/hwcomponents wherever that has the same devices.
"""

from __future__ import annotations

import enum
import math
import re
from dataclasses import dataclass

from sim.cost.errors import CostError

__all__ = ["Device", "Node", "Scaling", "scaling"]


class Device(enum.Enum):
    """Device class of a node of 45 nm and below; larger ones have one."""

    HIGH_PERFORMANCE = "HP"
    LOW_POWER = "LP"


_HP, _LP = Device.HIGH_PERFORMANCE, Device.LOW_POWER

#: nm and device -> coefficients of delay, V³ first, and of energy, V² first (in the paper's units: only ratios count)
_FITS: dict[tuple[int, Device], tuple[tuple[float, ...], tuple[float, ...]]] = {
    (180, _HP): ((0, 97.09, -356.7, 406.5), (0, 24.64, -17.98)),
    (130, _HP): ((-76.65, 334.9, -493.4, 275.8), (7.171, -6.709, 2.904)),
    (90, _HP): ((-60.34, 262.5, -384.2, 210.9), (4.762, -4.781, 2.092)),
    (65, _HP): ((-53.3, 230.4, -333.9, 178.6), (3.755, -4.398, 1.975)),
    (45, _HP): ((-501.6, 1567, -1619, 566.1), (1.018, -0.3107, 0.1539)),
    (32, _HP): ((-1047, 2982, -2797, 873.5), (0.8367, -0.4341, 0.1701)),
    (20, _HP): ((0, 34.63, -66.37, 41.15), (0.373, -0.1582, 0.04104)),
    (16, _HP): ((0, 24.8, -47.52, 28.87), (0.2958, -0.1241, 0.03024)),
    (14, _HP): ((-40.66, 109.2, -100.6, 35.92), (0.2363, -0.09675, 0.02239)),
    (10, _HP): ((-34.95, 93.65, -85.99, 30.4), (0.2068, -0.09311, 0.02375)),
    (7, _HP): ((-28.58, 76.6, -70.26, 24.69), (0.1776, -0.09097, 0.02447)),
    (45, _LP): ((-285.7, 1239, -1795, 898.8), (1.103, -0.362, 0.2767)),
    (32, _LP): ((-325.9, 1374, -1922, 913.2), (0.9559, -0.7823, 0.471)),
    (20, _LP): ((-160.5, 514.1, -558.6, 217.5), (0.2632, -0.14, 0.06841)),
    (16, _LP): ((-114.6, 366.7, -397.4, 153.6), (0.2139, -0.1187, 0.05639)),
    (14, _LP): ((-85.37, 271.6, -292.2, 111.4), (0.1556, -0.06472, 0.03066)),
    (10, _LP): ((-71.76, 228.6, -246.3, 93.91), (0.1261, -0.0518, 0.02769)),
    (7, _LP): ((-61.79, 196.1, -210.3, 79.55), (0.09365, -0.03409, 0.02043)),
}

#: area of the same logic, in units of its area at 7 nm: that row of the paper's table (ITRS densities, two digits)
_AREA = {180: 320, 130: 110, 90: 48, 65: 25, 45: 17, 32: 7.8, 20: 3.6, 16: 3.2, 14: 2.9, 10: 1.7, 7: 1.0}


def _polynomial(coefficients: tuple[float, ...], voltage: float) -> float:
    value = 0.0
    for coefficient in coefficients:
        value = value * voltage + coefficient
    return value


@dataclass(frozen=True, slots=True)
class Node:
    """A process node at a supply voltage.

    Attributes
    ----------
    nanometres : int
        180, 130, 90, 65, 45, 32, 20, 16, 14, 10 or 7.
    voltage : float
        Volts.
    device : Device
        High performance by default; it tells nodes of 45 nm and below apart.

    Raises
    ------
    CostError
        If the model has no such node, or if its fit means nothing at that voltage: an energy that is not positive or
        falls with the voltage, or a delay that is not positive.
    """

    nanometres: int
    voltage: float
    device: Device = Device.HIGH_PERFORMANCE

    def __post_init__(self) -> None:
        if (self.nanometres, self.device) not in _FITS:
            known = ", ".join(str(nm) for nm in _AREA)
            given = f"{self.nanometres} {self.device.value}"
            raise CostError(f"node: must be one of {known} nm, LP 45 and below, got {given}")
        slope = 2 * self._fit[1][0] * self.voltage + self._fit[1][1]
        sound = math.isfinite(self.voltage) and self.voltage > 0 and slope > 0 and self.energy > 0 and self.delay > 0
        if not sound:
            raise CostError(f"node: {self.nanometres} nm has no scaling model at {self.voltage:g} V")

    @property
    def _fit(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return _FITS[self.nanometres, self.device]

    @property
    def delay(self) -> float:
        """d3·V³ + d2·V² + d1·V + d0, in the paper's units."""
        return _polynomial(self._fit[0], self.voltage)

    @property
    def energy(self) -> float:
        """e2·V² + e1·V + e0, in the paper's units."""
        return _polynomial(self._fit[1], self.voltage)

    @property
    def area(self) -> float:
        """Of the same logic, in units of its area at 7 nm."""
        return _AREA[self.nanometres]

    def __str__(self) -> str:
        device = f" {self.device.value}" if self.nanometres <= 45 else ""
        return f"{self.nanometres} nm{device} at {self.voltage:g} V"

    @classmethod
    def parse(cls, text: str) -> Node:
        """``7@0.7``, ``45LP@1.1``: nanometres, device class if it is LP, volts."""
        match = re.fullmatch(r"(\d{1,3})(HP|LP)?@(\d{1,2}(?:\.\d{1,6})?)", text)
        if not match:
            raise CostError(f"node: must be like 7@0.7 or 45LP@1.1 (nm, device class, volts), got {text!r}")
        return cls(int(match[1]), float(match[3]), Device(match[2] or "HP"))


@dataclass(frozen=True, slots=True)
class Scaling:
    """Factors from one node to another. What they multiply becomes an estimate."""

    source: Node
    target: Node
    area: float
    delay: float
    energy: float


def scaling(source: Node, target: Node) -> Scaling:
    """Factors that take area, delay and energy of a switching event from ``source`` to ``target``.

    Energy: E_target(V_target) / E_source(V_source), delay likewise (equations of the paper's section 4, as corrected),
    area by density alone.
    """
    return Scaling(
        source, target, target.area / source.area, target.delay / source.delay, target.energy / source.energy
    )
