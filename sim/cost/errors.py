"""What goes wrong between a design and its price."""

from __future__ import annotations

__all__ = ["CostError"]


class CostError(ValueError):
    """No price can be given; the message says what was required and what was found."""
