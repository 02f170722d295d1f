"""Bench of ``rtl/lns_add.v`` (with its tables, ``rtl/lns_gausslog.v``) against `lns.reference.add`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cocotb
import lns_bench
from lns_bench import Coverage, Job, Operands

from lns import reference
from lns.format import LNSFormat
from lns.gausslog import Table

MOST_DISTANCES = 1 << 17  #: tables that reach further are sampled, not swept


def reach(fmt: LNSFormat, source: Table) -> int:
    """The largest distance at which a table can still give something, and one bucket more; at most the format's own."""
    if source.kind.kind == "mitchell":
        end = (fmt.frac_bits + 2) << fmt.frac_bits
    else:
        end = (max(rom.size for name, rom in source.roms.items() if name != "db_first") + 1) << source.kind.k
    return min(end, fmt.max_code - 1)


class Stimuli:
    """Pairs of operands at chosen distances, signs and larger codes."""

    def __init__(self, job: Job) -> None:
        self.fmt, self.table, self.count = job.fmt, job.table(), job.count
        self.random = job.random()
        self.end = reach(self.fmt, self.table)

    def pair(self, larger: int, distance: int, unlike: bool) -> Iterator[Operands]:
        """Two words at a distance, in random order; none if one of them would have no code."""
        if not 1 <= larger - distance <= larger <= self.fmt.max_code:
            return
        sign = self.fmt.sign_bit if self.random.getrandbits(1) else 0
        a, b = larger | sign, (larger - distance) | (sign ^ (self.fmt.sign_bit if unlike else 0))
        yield (a, b) if self.random.getrandbits(1) else (b, a)

    def specials(self) -> Iterator[Operands]:
        words = lns_bench.special_words(self.fmt)
        yield from ((a, b) for a in words for b in words)
        for word in (self.random.getrandbits(self.fmt.bits) for _ in range(64)):
            yield from ((word, word), (word, word ^ self.fmt.sign_bit), (word, 0), (self.fmt.sign_bit, word))

    def range_edges(self) -> Iterator[Operands]:
        """Results at, just inside and just outside both ends of the format."""
        for distance in (*range(64), *(self.random.randint(0, self.end) for _ in range(64))):
            for slack in (-1, 0, 1, 2):
                yield from self.pair(self.fmt.max_code - reference.sb(distance, self.table) + slack, distance, False)
                if distance and self.fmt.signed:
                    yield from self.pair(reference.db(distance, self.table) + slack, distance, True)

    def distances(self) -> Iterator[Operands]:
        """Every distance to the end of the tables, so that every entry is read; the ends and the rest of the format."""
        every: Sequence[int] = range(self.end + 1)
        sweep = every if self.end < MOST_DISTANCES else self.random.sample(every, MOST_DISTANCES)
        ends = (self.end + step for step in range(-8, 9))
        for distance in (*sweep, *ends, self.fmt.max_code - 1):
            if 0 <= distance < self.fmt.max_code:
                for unlike in (False, True):
                    yield from self.pair(self.random.randint(distance + 1, self.fmt.max_code), distance, unlike)

    def randoms(self) -> Iterator[Operands]:
        """Half of them uniform, half of them at distances where the tables matter, log-uniform from the top."""
        for i in range(self.count):
            if i % 2:
                yield self.random.getrandbits(self.fmt.bits), self.random.getrandbits(self.fmt.bits)
            else:
                distance = min(self.end, int(self.end ** self.random.random()) - self.random.getrandbits(1))
                yield from self.pair(
                    self.random.randint(distance + 1, self.fmt.max_code), distance, bool(self.random.getrandbits(1))
                )

    def all(self) -> list[Operands]:
        return [*self.specials(), *self.range_edges(), *self.distances(), *self.randoms()]


class AdderCoverage(Coverage):
    """Bins of a log-add, with the distances seen."""

    def __init__(self, fmt: LNSFormat, source: Table) -> None:
        self.fmt, self.table = fmt, source
        self.seen: dict[str, set[int]] = {"signs equal: distances": set(), "signs unlike: distances": set()}
        self.end = end = reach(fmt, source)
        furthest = fmt.max_code - 1
        near = range(min(end, 1 << 12) + 1)  # far enough: what is reachable at all is so at short distances
        bins = ["zero a", "zero b", "both zero", "signs equal", "equal magnitudes, signs equal"]
        if reference.sb(0, source):
            bins.append("saturate")
        if any(d + reference.sb(d, source) < fmt.max_code for d in near):
            bins.append("code max")
        if furthest:
            bins += ["a larger", "b larger"]
        if reference.sb(furthest, source) == 0:
            bins.append("signs equal: beyond the table")
        goals = dict.fromkeys(bins, 1)
        if end < MOST_DISTANCES:
            goals["signs equal: distances"] = end + 1
        if fmt.signed:
            goals |= dict.fromkeys(("zero with a sign", "signs unlike", "cancellation"), 1)
            if end < MOST_DISTANCES:
                goals["signs unlike: distances"] = end + 1
            if furthest and reference.db(furthest, source) == 0:
                goals["signs unlike: beyond the table"] = 1
            # at distance d the larger code is at least d + 1
            if any(reference.db(d, source) > d for d in near[1:]):
                goals["underflow"] = 1
            if any(d <= reference.db(d, source) < fmt.max_code for d in near[1:]):
                goals["code 1"] = 1
        super().__init__(goals)

    def sample(self, pair: Operands) -> None:
        fmt, (a, b) = self.fmt, pair
        code_a, code_b = reference.code(a, fmt), reference.code(b, fmt)
        for zero, name in ((not code_a, "zero a"), (not code_b, "zero b"), (not code_a and not code_b, "both zero")):
            if zero:
                self.hit(name)
        if any(reference.sign(word, fmt) and not reference.code(word, fmt) for word in pair):
            self.hit("zero with a sign")
        if not code_a or not code_b:
            return
        if code_a != code_b:
            self.hit("a larger" if code_a > code_b else "b larger")
        distance, larger = abs(code_a - code_b), max(code_a, code_b)
        if reference.sign(a, fmt) == reference.sign(b, fmt):
            name, value = "signs equal", reference.sb(distance, self.table)
            computed = larger + value
            if distance == 0:
                self.hit("equal magnitudes, signs equal")
        else:
            name = "signs unlike"
            if distance == 0:
                self.hit("cancellation")
            value = reference.db(distance, self.table) if distance else larger
            computed = larger - value
        self.hit(name)
        if value == 0:
            self.hit(f"{name}: beyond the table")
        seen = self.seen[f"{name}: distances"]
        if distance <= self.end and distance not in seen:
            seen.add(distance)
            self.hit(f"{name}: distances")
        if computed > fmt.max_code:
            self.hit("saturate")
        elif computed <= 0 and distance:
            self.hit("underflow")
        elif computed:
            for edge, bin_name in ((1, "code 1"), (fmt.max_code, "code max")):
                if computed == edge:
                    self.hit(bin_name)


@cocotb.test()
async def lns_add(dut: Any) -> None:
    """Every word and event flag equals the definition's."""
    job = Job.load()
    source = job.table()
    cover = AdderCoverage(job.fmt, source)
    pairs = lns_bench.all_operands(job) if job.exhaustive else Stimuli(job).all()
    await lns_bench.run(dut, job, pairs, lambda a, b: reference.add(a, b, job.fmt, source), cover.sample, cover)
