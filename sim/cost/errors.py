"""What goes wrong between a design and its price."""

from __future__ import annotations

__all__ = ["CostError", "TooLong"]


class CostError(ValueError):
    """No price can be given; the message says what was required and what was found."""


class TooLong(CostError):
    """A tool needed more time than it was given: nothing is known."""
