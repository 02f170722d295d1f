"""What is known of a standard cell: pins, function, state, capacitances, energies, leakage. SI units; areas in µm²."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sim.cost.errors import CostError
from sim.cost.expression import Expression

__all__ = ["Cell", "Energy", "Leakage", "Pin", "State", "Table"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Table:
    """A non-linear table over the slew of an input (seconds) and the load of an output (farads).

    ``values`` has the shape (slews, loads); an axis of one point means that nothing depends on it.
    """

    slews: Floats
    loads: Floats
    values: Floats

    def __call__(self, slew: npt.ArrayLike, load: npt.ArrayLike) -> Floats:
        """Bilinear between the four nearest points of the grid; beyond its edge that of the last four goes on."""
        slew, load = np.broadcast_arrays(np.asarray(slew, float), np.asarray(load, float))
        i, s = _place(self.slews, slew)
        j, t = _place(self.loads, load)
        last = np.array(self.values.shape) - 1
        i1, j1 = np.minimum(i + 1, last[0]), np.minimum(j + 1, last[1])
        v = self.values
        low, high = v[i, j] * (1 - t) + v[i, j1] * t, v[i1, j] * (1 - t) + v[i1, j1] * t
        result: Floats = low * (1 - s) + high * s
        return result


def _place(axis: Floats, x: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
    """The interval of an axis and the place in it, which is outside of 0…1 beyond the ends."""
    if len(axis) == 1:
        return np.zeros(x.shape, np.intp), np.zeros(x.shape)
    i = np.clip(np.searchsorted(axis, x, "right") - 1, 0, len(axis) - 2)
    return i, (x - axis[i]) / (axis[i + 1] - axis[i])


@dataclass(frozen=True)
class Pin:
    """A signal pin. Capacitances in farads, as an edge of each direction sees them."""

    name: str
    output: bool
    rise_capacitance: float
    fall_capacitance: float
    function: Expression | None = None
    three_state: bool = False


@dataclass(frozen=True)
class State:
    """A flip-flop, or a latch where ``latch`` is set: the Liberty groups ``ff`` and ``latch``.

    ``clock`` is ``clocked_on`` (its rise stores) or ``enable``; ``data`` is ``next_state`` or ``data_in``; ``both`` is
    the value of ``name`` while ``clear`` and ``preset`` are active at once (``L``, ``H``, ``N`` for the old one, ``T``
    for its complement, ``X``).
    """

    latch: bool
    name: str
    inverse: str
    clock: Expression
    data: Expression
    clear: Expression | None
    preset: Expression | None
    both: str


@dataclass(frozen=True)
class Leakage:
    """Watts from a supply while a condition holds; without one, while none of the others does."""

    power: float
    when: Expression | None
    supply: str


@dataclass(frozen=True)
class Energy:
    """Joules in the cell for an edge of a pin, the load's apart; ``related`` is empty for an input pin."""

    pin: str
    related: tuple[str, ...]
    when: Expression | None
    supply: str
    rise: Table | None
    fall: Table | None


@dataclass(frozen=True)
class Cell:
    """A cell of a library.

    ``leakage`` and ``energies`` are those of its power pins: what flows out through a ground pin came in through one.
    """

    name: str
    area_um2: float
    pins: Mapping[str, Pin]
    state: State | None
    leakage: tuple[Leakage, ...]
    energies: tuple[Energy, ...]
    dont_use: bool

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(pin.name for pin in self.pins.values() if not pin.output)

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(pin.name for pin in self.pins.values() if pin.output)

    @property
    def variables(self) -> tuple[str, ...]:
        """What the cell's outputs are functions of: its inputs, then its state."""
        return (*self.inputs, self.state.name) if self.state else self.inputs

    @property
    def inverting(self) -> bool:
        """Whether it is a flip-flop whose outputs all show the inverse of the data that it took."""
        shown = [function for name in self.outputs if (function := self.pins[name].function)]
        if self.state is None or self.state.latch or not shown:
            return False
        data = self.truth(self.state.data)[0]  # all pins and the state being 0
        return all(self.truth(function)[0] != data for function in shown)

    @cached_property
    def _truths(self) -> dict[str, npt.NDArray[np.bool_]]:
        variables = self.variables
        assignments = np.arange(1 << len(variables))
        values = {name: (assignments >> bit & 1).astype(bool) for bit, name in enumerate(variables)}
        if self.state and self.state.inverse:
            values[self.state.inverse] = ~values[self.state.name]
        # a pin may be named like the state that it shows: then it is that
        functions = {pin.name: pin.function for pin in self.pins.values() if pin.function and pin.name not in values}
        try:
            return values | {name: function(values, assignments.shape) for name, function in functions.items()}
        except KeyError as error:
            raise CostError(f"cell {self.name}: no pin or state of it is called {error.args[0]}") from None

    def truth(self, expression: Expression) -> npt.NDArray[np.bool_]:
        """The value of an expression of pins for every assignment of the `variables`, the first one in the low bit.

        Raises
        ------
        CostError
            If it names what is no pin with a function.
        """
        try:
            return expression(self._truths, (1 << len(self.variables),))
        except KeyError as error:
            raise CostError(f"cell {self.name}: pin {error.args[0]} is unknown, or has no function") from None

    def sensitised(self, output: str, pin: str) -> npt.NDArray[np.bool_]:
        """The assignments in which an edge of an input alone changes an output; all, for the inputs of a flip-flop."""
        truth = self.truth(Expression("", output))
        if self.state:
            return np.ones_like(truth)
        other = np.arange(len(truth)) ^ (1 << self.variables.index(pin))
        sensitised: npt.NDArray[np.bool_] = truth != truth[other]
        return sensitised
