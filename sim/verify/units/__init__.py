"""The units of a design that can be verified: one class a module, and where a design has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from lns.design import Design
from sim.verify.unit import Unit, VerifyError
from sim.verify.units import add, codec, convert, dot, elementwise, linear_to_log, loss, update

__all__ = ["UNITS", "MissingUnit", "instances", "units_of"]


class MissingUnit(VerifyError):
    """A unit that the design does not have."""


_FAMILIES: tuple[Callable[[Design], Iterable[Unit]], ...] = (
    elementwise.multipliers,
    add.instances,
    convert.instances,
    dot.instances,
    linear_to_log.instances,
    update.instances,
    loss.instances,
    *(elementwise.of_activations(unit) for unit in (
        elementwise.Div, elementwise.Square, elementwise.Sqrt, elementwise.Relu, elementwise.Maximum
    )),
    codec.instances,
)  # fmt: skip

#: Every module that can be verified, in the order in which reports show them.
UNITS = (
    "lns_mul", "lns_add", "lns_convert",
    "lns_term", "lns_dot_linear", "lns_linear_to_log", "lns_product", "lns_dot_log",
    "lns_moment", "lns_step", "lns_update", "lns_lfsr",
    "lns_loss_code", "lns_loss_error", "lns_loss",
    "lns_div", "lns_square", "lns_sqrt", "lns_relu", "lns_maximum",
    "lns_encode_float", "lns_encode_fixed", "lns_decode_float", "lns_decode_fixed",
)  # fmt: skip


def instances(design: Design, unit: str | None = None) -> list[Unit]:
    """Every distinct instance of a unit, or of all of them, in a design; equal ones are one, with their labels joined.

    Raises
    ------
    VerifyError
        If there is no such unit at all. A design that does without it gives an empty list.
    """
    if unit is not None and unit not in UNITS:
        raise VerifyError(f"there is no unit {unit!r}; there is {', '.join(UNITS)}")
    labels: dict[Unit, list[str]] = {}
    for family in _FAMILIES:
        for one in family(design):
            if unit in (None, one.module):
                labels.setdefault(one, []).append(one.label)
    found = [replace(one, label="+".join(names)) for one, names in labels.items()]
    return sorted(found, key=lambda one: UNITS.index(one.module))


def units_of(design: Design) -> list[str]:
    """The units that a design has."""
    return list(dict.fromkeys(one.module for one in instances(design)))
