"""``lns_add``, the log-adder, with its tables (``lns_gausslog``)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from lns import reference
from lns.design import Design, LogAccumulator
from lns.files import memh_text
from lns.format import LNSFormat
from lns.gausslog import Table, TableKind, rom_width, table
from sim.verify.stimuli import hit_pair, pair_bins, special_words
from sim.verify.unit import Beat, Combinational, Coverage, Port, Transaction, Unit, VerifyError, flags

MOST_DISTANCES = 1 << 17  #: tables that reach further are sampled, not swept

# lns_gausslog's parameter KIND; full is coarse with k = 0
_KINDS = {"full": 0, "coarse": 0, "linear": 1, "mitchell": 2}

# ROM -> the prefix of its parameters in lns_add
_ROMS = {
    "sb": "SB", "sb_base": "SB", "sb_slope": "SB_SLOPE",
    "db": "DB", "db_base": "DB", "db_slope": "DB_SLOPE", "db_first": "DB_FIRST",
}  # fmt: skip


def adder_table(fmt: LNSFormat, kind: TableKind) -> Table:
    """The ROMs of an adder: signs are never unlike in an unsigned one, which has no db."""
    if kind.kind not in _KINDS:
        raise VerifyError(f"lns_add is not built for {kind} tables, only for {', '.join(_KINDS)}")
    full = table(kind, fmt.frac_bits)
    if fmt.signed:
        return full
    return Table(kind, full.frac_bits, {name: rom for name, rom in full.roms.items() if name.startswith("sb")})


def table_parameters(source: Table) -> dict[str, int | str]:
    """FRAC_BITS, KIND, K, G, and entries, width and image of each ROM."""
    values: dict[str, int | str] = {
        "FRAC_BITS": source.frac_bits, "KIND": _KINDS[source.kind.kind], "K": source.kind.k, "G": source.kind.g,
    }  # fmt: skip
    for name, rom in source.roms.items():
        prefix = _ROMS[name]
        if prefix in ("SB", "DB"):
            values[f"{prefix}_ENTRIES"] = rom.size
        values |= {f"{prefix}_BITS": rom_width(rom), f"{prefix}_FILE": f"{name}.memh"}
    return values


def table_roms(source: Table) -> dict[str, str]:
    """File name -> ``$readmemh`` image of each ROM."""
    title = f"{{}} of a {source.kind} log-add table, F = {source.frac_bits}"
    return {f"{name}.memh": memh_text(rom, rom_width(rom), title.format(name)) for name, rom in source.roms.items()}


def adder_parameters(fmt: LNSFormat, kind: TableKind) -> dict[str, int | str]:
    """`table_parameters` of an adder of a format."""
    return table_parameters(adder_table(fmt, kind))


def adder_roms(fmt: LNSFormat, kind: TableKind) -> dict[str, str]:
    """`table_roms` of an adder of a format."""
    return table_roms(adder_table(fmt, kind))


def reach(fmt: LNSFormat, source: Table) -> int:
    """The largest distance at which a table can still give something, and one bucket more; at most the format's own."""
    if source.kind.kind == "mitchell":
        end = (fmt.frac_bits + 2) << fmt.frac_bits
    else:
        end = (max(rom.size for name, rom in source.roms.items() if name != "db_first") + 1) << source.kind.k
    return min(end, fmt.max_code - 1)


@dataclass(frozen=True)
class Add(Combinational):
    """A log-adder of a format with a kind of table."""

    format: LNSFormat
    table: TableKind

    module: ClassVar[str] = "lns_add"
    sources: ClassVar[tuple[str, ...]] = ("lns_range.v", "lns_gausslog.v", "lns_add.v")

    def __str__(self) -> str:
        return f"{self.format} {self.table}"

    @cached_property
    def full_table(self) -> Table:
        """Of the definition: plain integers, which index faster than arrays."""
        source = table(self.table, self.format.frac_bits)
        return Table(source.kind, source.frac_bits, {k: rom.tolist() for k, rom in source.roms.items()})

    @cached_property
    def end(self) -> int:
        return reach(self.format, table(self.table, self.format.frac_bits))

    def inputs(self) -> tuple[Port, ...]:
        return tuple(Port(name, self.format.bits, self.format) for name in ("a_i", "b_i"))

    def outputs(self) -> tuple[Port, ...]:
        return Port("word_o", self.format.bits, self.format), *self.event_ports()

    def parameters(self) -> dict[str, int | str]:
        own: dict[str, int | str] = {"BITS": self.format.bits, "SIGNED": int(self.format.signed)}
        return own | adder_parameters(self.format, self.table)

    def roms(self) -> dict[str, str]:
        return adder_roms(self.format, self.table)

    def model(self, *operands: int) -> Sequence[int]:
        a, b = operands
        word, events = reference.add(a, b, self.format, self.full_table)
        return word, *flags(events, self.events)

    # --- stimuli

    def stimuli(self, rng: random.Random, count: int) -> Iterator[Beat]:
        yield from self._specials(rng)
        yield from self._range_edges(rng)
        yield from self._distances(rng)
        # half of them uniform, half of them at distances where the tables matter, log-uniform from the top
        for i in range(count):
            if i % 2:
                yield rng.getrandbits(self.format.bits), rng.getrandbits(self.format.bits)
            else:
                distance = max(0, min(self.end, int(self.end ** rng.random()) - rng.getrandbits(1)))
                larger = rng.randint(distance + 1, self.format.max_code)
                yield from self._pair(rng, larger, distance, bool(rng.getrandbits(1)))

    def _pair(self, rng: random.Random, larger: int, distance: int, unlike: bool) -> Iterator[Beat]:
        """Two words at a distance, in random order; none if one of them would have no code."""
        if not 1 <= larger - distance <= larger <= self.format.max_code:
            return
        sign = self.format.sign_bit if rng.getrandbits(1) else 0
        a, b = larger | sign, (larger - distance) | (sign ^ (self.format.sign_bit if unlike else 0))
        yield (a, b) if rng.getrandbits(1) else (b, a)

    def _specials(self, rng: random.Random) -> Iterator[Beat]:
        fmt, words = self.format, special_words(self.format)
        yield from ((a, b) for a in words for b in words)
        for word in (rng.getrandbits(fmt.bits) for _ in range(64)):
            yield from ((word, word), (word, word ^ fmt.sign_bit), (word, 0), (fmt.sign_bit, word))

    def _range_edges(self, rng: random.Random) -> Iterator[Beat]:
        """Results at, just inside and just outside both ends of the format."""
        fmt, source = self.format, self.full_table
        for distance in (*range(64), *(rng.randint(0, self.end) for _ in range(64))):
            for slack in (-1, 0, 1, 2):
                yield from self._pair(rng, fmt.max_code - reference.sb(distance, source) + slack, distance, False)
                if distance and fmt.signed:
                    yield from self._pair(rng, reference.db(distance, source) + slack, distance, True)

    def _distances(self, rng: random.Random) -> Iterator[Beat]:
        """Every distance to the end of the tables, so that every entry is read; the ends and the rest of the format."""
        fmt, every = self.format, range(self.end + 1)
        sweep: Sequence[int] = every if self.end < MOST_DISTANCES else rng.sample(every, MOST_DISTANCES)
        ends = (self.end + step for step in range(-8, 9))
        for distance in (*sweep, *ends, fmt.max_code - 1):
            if 0 <= distance < fmt.max_code:
                for unlike in (False, True) if fmt.signed else (False,):
                    yield from self._pair(rng, rng.randint(distance + 1, fmt.max_code), distance, unlike)

    # --- coverage

    def coverage(self) -> Coverage:
        fmt, source, end = self.format, self.full_table, self.end
        furthest = fmt.max_code - 1
        near = range(min(end, 1 << 12) + 1)  # far enough: what is reachable at all is so at short distances
        bins = [*pair_bins(fmt), "equal magnitudes, signs equal"]
        if reference.sb(0, source):
            bins.append("saturate")
        if any(d + reference.sb(d, source) < fmt.max_code for d in near):
            bins.append("code max")
        if furthest:
            bins += ["a larger", "b larger"]
        if reference.sb(furthest, source) == 0:
            bins.append("signs equal: beyond the table")
        if fmt.signed:
            bins.append("cancellation")
            if furthest and reference.db(furthest, source) == 0:
                bins.append("signs unlike: beyond the table")
            # at distance d the larger code is at least d + 1
            if any(reference.db(d, source) > d for d in near[1:]):
                bins.append("underflow")
            if any(d <= reference.db(d, source) < fmt.max_code for d in near[1:]):
                bins.append("code 1")
        goals = dict.fromkeys(bins, 1)
        if end < MOST_DISTANCES:
            goals |= {f"{name}: distances": end + 1 for name in ("signs equal", "signs unlike") if name in bins}
        return Coverage(goals)

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        fmt, source, (a, b) = self.format, self.full_table, transaction[0]
        if not hit_pair(cover, (a, b), fmt):
            return
        code_a, code_b = reference.code(a, fmt), reference.code(b, fmt)
        if code_a != code_b:
            cover.hit("a larger" if code_a > code_b else "b larger")
        distance, larger = abs(code_a - code_b), max(code_a, code_b)
        equal = reference.sign(a, fmt) == reference.sign(b, fmt)
        if equal:
            value = reference.sb(distance, source)
            computed = larger + value
        else:
            value = reference.db(distance, source) if distance else larger
            computed = larger - value
        if distance == 0:
            cover.hit("equal magnitudes, signs equal" if equal else "cancellation")
        name = "signs equal" if equal else "signs unlike"
        if value == 0:
            cover.hit(f"{name}: beyond the table")
        if distance <= self.end:
            cover.hit_distinct(f"{name}: distances", distance)
        if computed > fmt.max_code:
            cover.hit("saturate")
        elif computed <= 0 and distance:
            cover.hit("underflow")
        elif computed:
            for edge, bin_name in ((1, "code 1"), (fmt.max_code, "code max")):
                if computed == edge:
                    cover.hit(bin_name)


def instances(design: Design) -> list[Unit]:
    """The adders of activations, of a log accumulator, of moments and of the loss."""
    adders: list[Unit] = [Add(design.formats.activation, design.adder.table, label="activation")]
    accumulator = design.accumulator
    if isinstance(accumulator, LogAccumulator):
        adders.append(Add(accumulator.format, accumulator.table, label="accumulator"))
    adders.append(Add(design.update.moment, design.update.table, label="moment"))
    return [*adders, Add(design.loss.format, design.loss.table, label="loss")]
