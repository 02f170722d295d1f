"""How large the ROMs of a design are, told before one is built."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from lns.design import Design, DesignError, LinearAccumulator
from lns.gausslog import TableKind

__all__ = ["MOST_ROM_BITS", "RomSize", "check_roms", "rom_sizes"]

MOST_ROM_BITS = 1 << 24  #: of one ROM: a full log-add table at F = 15 is below, one at F = 16 above

_OTHER_KIND = "take coarse<k>, a larger k, linear<k,g> or mitchell, or fewer fraction bits"
_FEWER = "take fewer fraction bits"


@dataclass(frozen=True, slots=True)
class RomSize:
    """About how large a ROM is, never too small: which one, entries, bits of an entry, and what makes it smaller."""

    name: str
    entries: int
    width: int
    remedy: str

    @property
    def bits(self) -> int:
        return self.entries * self.width


def _last_distance(frac_bits: int, difference: bool) -> int:
    """The last distance at which sb or db, correctly rounded, is not zero (docs/spec.md, section 3.2)."""
    half = math.log(2.0) / 2 ** (frac_bits + 1)  # the ratio of two numbers half a code apart, as a natural logarithm
    return math.floor(-math.log2(-math.expm1(-half) if difference else math.expm1(half)) * 2**frac_bits) + 1


def _table_sizes(name: str, kind: TableKind, frac_bits: int, difference: bool) -> Iterator[RomSize]:
    """The ROMs of a log-adder, or those of an unsigned one."""
    if kind.kind == "mitchell":
        return
    described = f"{name}, a {kind} table at F = {frac_bits}"
    for rom in ("sb", "db") if difference else ("sb",):
        unlike = rom == "db"
        nearest = -math.expm1(-math.log(2.0) / 2**frac_bits)  # db's first entry is -log2 of it
        widest = -math.log2(nearest) * 2**frac_bits if unlike else 2.0**frac_bits
        width = math.ceil(widest + 1).bit_length()
        entries = (_last_distance(frac_bits, unlike) >> kind.k) + 1
        yield RomSize(f"{described}: ROM {rom}", entries, width + kind.g, _OTHER_KIND)
        if kind.kind == "linear" and unlike:
            yield RomSize(f"{described}: ROM db_first", 1 << kind.k, width, "take a smaller k")


def rom_sizes(design: Design) -> list[RomSize]:
    """Every kind of ROM in a design, by the name of the field that decides; nothing is built."""
    formats, acc, update, loss = design.formats, design.accumulator, design.update, design.loss
    sizes = [*_table_sizes("adder.table", design.adder.table, formats.activation.frac_bits, True)]
    if isinstance(acc, LinearAccumulator):
        frac_bits = max(fmt.frac_bits for fmt in (formats.activation, formats.error, formats.operand))
        sizes.append(RomSize("the antilog ROM of dot products", 1 << frac_bits, acc.antilog_bits, _FEWER))
        for name in ("activation", "error", "gradient"):
            fmt = getattr(formats, name)
            index_bits = fmt.frac_bits + acc.index_extra_bits
            remedy = "take fewer fraction bits or a smaller accumulator.index_extra_bits"
            rom = f"the linear-to-log ROM of formats.{name}"
            sizes.append(RomSize(rom, 1 << index_bits, fmt.frac_bits + 1, remedy))
    else:
        sizes += _table_sizes("accumulator.table", acc.table, acc.format.frac_bits, True)
    sizes += _table_sizes("update.table", update.table, update.moment.frac_bits, False)
    sizes.append(RomSize("update's antilog ROM", 1 << update.moment.frac_bits, update.antilog_bits, _FEWER))
    sizes += _table_sizes("loss.table", loss.table, loss.format.frac_bits, True)
    sizes.append(RomSize("loss's antilog ROM", 1 << formats.activation.frac_bits, loss.antilog_bits, _FEWER))
    # the codecs' ROMs: two buckets a code, of at most the 23 bits under float32's leading one; a word a code
    sizes.append(RomSize("the encoder's ROM of formats.activation", 2 << formats.activation.frac_bits, 24, _FEWER))
    sizes.append(RomSize("the decoder's ROM of formats.activation", 1 << formats.activation.frac_bits, 33, _FEWER))
    return sizes


def check_roms(design: Design) -> None:
    """Nothing, if every ROM of a design can be built, simulated and synthesised in reasonable time.

    Raises
    ------
    DesignError
        If a ROM would have more than `MOST_ROM_BITS`: which one, its size, the limit and the remedy.
    """
    for rom in rom_sizes(design):
        if rom.bits > MOST_ROM_BITS:
            raise DesignError(
                f"{rom.name} would have about {rom.entries:,} entries of {rom.width} bits, {rom.bits / 1e6:,.1f} Mbit; "
                f"at most {MOST_ROM_BITS / 1e6:.1f} Mbit a ROM are built: {rom.remedy}"
            )
