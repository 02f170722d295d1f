"""What an LNSArray holds: words, their format, one offset, and the arithmetic it computes with."""

from __future__ import annotations

from typing import Self

import numpy as np

from lns.array.arithmetic import Arithmetic
from lns.format import LNSFormat
from lns.kernels.elementwise import Words

_OFFSET_LIMIT = 1 << 31  # codes at any two offsets below it, 2**30 to an octave, differ by less than 2**63


def checked_offset(offset: int) -> int:
    """
    Raises
    ------
    ValueError
        If the offset is not a whole number of octaves, or its magnitude is 2**31 or more.
    """
    if not (isinstance(offset, (int, np.integer)) and -_OFFSET_LIMIT < offset < _OFFSET_LIMIT):
        raise ValueError(f"an offset is a whole number of octaves between -2**31 and 2**31, got {offset!r}")
    return int(offset)


def as_format(fmt: LNSFormat | str) -> LNSFormat:
    """
    Raises
    ------
    TypeError, ValueError
        If it is neither a format nor the name of one.
    """
    if isinstance(fmt, LNSFormat):
        return fmt
    if not isinstance(fmt, str):
        raise TypeError(f"a format is an LNSFormat or its name, such as 'lns<8,3>', got {fmt!r}")
    return LNSFormat.parse(fmt)


class WordArray:
    """Words of a format at an offset; the part of `LNSArray` that computes nothing."""

    __slots__ = ("_arithmetic", "_bits", "_format", "_offset")

    _bits: Words
    _format: LNSFormat
    _offset: int
    _arithmetic: Arithmetic

    @classmethod
    def _of(cls, bits: Words, fmt: LNSFormat, offset: int, arithmetic: Arithmetic) -> Self:
        """An array on these words themselves, which are known to be words of the format."""
        new = object.__new__(cls)
        new._bits, new._format, new._offset, new._arithmetic = np.asarray(bits), fmt, checked_offset(offset), arithmetic
        return new

    def _like(self, bits: Words, offset: int | None = None) -> Self:
        return self._of(bits, self._format, self._offset if offset is None else offset, self._arithmetic)

    @property
    def bits(self) -> Words:
        """The words: a read-only view of ``format.dtype``."""
        view = self._bits.view()
        view.setflags(write=False)
        return view

    @property
    def format(self) -> LNSFormat:
        return self._format

    @property
    def offset(self) -> int:
        """Octaves: a word stands for 2**offset times its own value."""
        return self._offset

    @property
    def arithmetic(self) -> Arithmetic:
        return self._arithmetic

    @property
    def shape(self) -> tuple[int, ...]:
        return self._bits.shape

    @property
    def ndim(self) -> int:
        return self._bits.ndim

    @property
    def size(self) -> int:
        return self._bits.size

    @property
    def nbytes(self) -> int:
        """Bytes of the words as held here, in ``format.dtype``."""
        return self._bits.nbytes
