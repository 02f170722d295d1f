"""What goes wrong with a sweep."""

from __future__ import annotations

__all__ = ["SweepError"]


class SweepError(ValueError):
    """A sweep that cannot be read, planned or stored; the message says what was required and what was given."""
