"""The units of a design that can be verified: one class a module, and where a design has them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from lns.design import Design
from sim.verify.unit import Unit, VerifyError
from sim.verify.units import add, codec, convert, dot, element, elementwise, linear_to_log, loss, update

__all__ = ["UNITS", "MissingUnit", "check_unit", "instances", "units_of"]


class MissingUnit(VerifyError):
    """A unit that the design does not have."""


_FAMILIES: tuple[Callable[[Design], Iterable[Unit]], ...] = (
    elementwise.multipliers,
    add.instances,
    convert.instances,
    dot.instances,
    linear_to_log.instances,
    element.instances,
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
    "lns_element_linear", "lns_element_log",
    "lns_moment", "lns_step", "lns_update", "lns_lfsr",
    "lns_loss_code", "lns_loss_error", "lns_loss",
    "lns_div", "lns_square", "lns_sqrt", "lns_relu", "lns_maximum",
    "lns_encode_float", "lns_encode_fixed", "lns_decode_float", "lns_decode_fixed",
)  # fmt: skip


def check_unit(name: str, known: Sequence[str] = UNITS) -> None:
    """`VerifyError` if a name is not known: with the nearest ones, or with all if none is near."""
    if name in known:
        return
    near = difflib.get_close_matches(name, known)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there is {', '.join(known)}"
    raise VerifyError(f"there is no unit {name!r}; {hint}")


def instances(design: Design, unit: str | None = None) -> list[Unit]:
    """Every distinct instance of a unit, or of all of them, in a design; equal ones are one, with their labels joined.

    Raises
    ------
    VerifyError
        If there is no such unit at all. A design that does without it gives an empty list.
    """
    if unit is not None:
        check_unit(unit)
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
