"""Bench of ``rtl/lns_linear_to_log.v`` against `lns.reference.linear_to_log`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cocotb
import lns_bench
from lns_bench import Coverage, Job, Operands

from lns import reference
from lns.gausslog import log_rom
from sim.verify.units import inputs


class LinearToLog:
    """The widths of a job, and the accumulators that read a given entry of the ROM."""

    def __init__(self, job: Job) -> None:
        self.job, self.fmt = job, job.fmt
        self.bits, self.index_bits = job.instance.bits, job.instance.index_bits
        self.rom = [int(entry) for entry in log_rom(self.fmt.frac_bits, self.index_bits)]
        self.accs, self.exponents = (lns_bench.signed_range(port) for port in inputs(job.instance))
        self.random = job.random()
        # bits of an index that can be other than 0: the longest magnitude but one has bits - 2 under its leading one
        self.free = min(self.index_bits, self.bits - 2)
        self.indices = range(0, 1 << self.index_bits, 1 << (self.index_bits - self.free))
        self.by_fraction: dict[int, list[int]] = {}
        for index in self.indices:
            self.by_fraction.setdefault(self.rom[index] % (1 << self.fmt.frac_bits), []).append(index)

    def model(self, acc: int, exponent: int) -> tuple[int, Any]:
        return reference.linear_to_log(acc, exponent, self.rom, self.index_bits, self.fmt)

    def split(self, acc: int) -> tuple[int, int]:
        """The place of the leading one of a nonzero accumulator, and the index below it."""
        magnitude = abs(acc)
        place = magnitude.bit_length() - 1
        return place, reference.shift(magnitude, self.index_bits - place) % (1 << self.index_bits)

    def code(self, acc: int, exponent: int) -> int:
        place, index = self.split(acc)
        return ((place + exponent) << self.fmt.frac_bits) + self.rom[index] + self.fmt.bias

    def acc(self, index: int) -> int:
        """An accumulator that reads an entry: any place, any bits below the index, any sign."""
        used = self.index_bits - (((index & -index).bit_length() - 1) if index else self.index_bits)
        place = self.random.randint(used, max(used, self.bits - 2))
        magnitude = 1 << place | reference.shift(index, place - self.index_bits)
        if place > self.index_bits:
            magnitude |= self.random.getrandbits(place - self.index_bits)
        return -magnitude if self.random.getrandbits(1) else magnitude

    def operands(self, code: int) -> Iterator[Operands]:
        """An accumulator and an exponent with the given code; none if no entry has its fraction."""
        fraction = (code - self.fmt.bias) % (1 << self.fmt.frac_bits)
        if fraction in self.by_fraction:
            yield from self.with_entry(self.random.choice(self.by_fraction[fraction]), code)

    def with_entry(self, index: int, code: int) -> Iterator[Operands]:
        """An accumulator that reads an entry, and the exponent that brings it near a code."""
        acc = self.acc(index)
        octave = (code - self.fmt.bias - self.rom[index]) >> self.fmt.frac_bits
        exponent = octave - self.split(acc)[0]
        if exponent in self.exponents:
            yield acc, exponent

    def stimuli(self) -> Iterator[Operands]:
        rng, fmt = self.random, self.fmt
        accs = {self.accs[0], self.accs[0] + 1, self.accs[-1] - 1, self.accs[-1], 0}
        accs |= {s * ((1 << place) + step) for place in range(self.bits - 1) for step in (-1, 0, 1) for s in (-1, 1)}
        few = [self.exponents[0], self.exponents[-1], -self.bits, 1 - self.bits, -1, 0, 1, rng.choice(self.exponents)]
        yield from ((acc, exponent) for acc in sorted(accs) for exponent in few if exponent in self.exponents)
        for edge in lns_bench.range_edges(fmt).values():
            for code in range(edge - 2, edge + 3):
                for _ in range(64):
                    yield from self.operands(code)
        for index in self.indices:
            yield from self.with_entry(index, rng.randint(1, fmt.max_code))
        # half of them with short and long numbers alike and in the range of the format, half of them anything
        for i in range(self.job.count):
            if i % 2 == 0:
                yield from self.with_entry(rng.choice(self.indices), rng.randint(1, fmt.max_code))
            else:
                yield rng.choice(self.accs) >> rng.randrange(self.bits), rng.choice(self.exponents)

    def coverage(self) -> Coverage:
        bins = ["zero", "positive", "negative", "in range", "saturate", "underflow"]
        bins += ["least accumulator", "largest accumulator", "least exponent", "largest exponent"]
        # with few bits of index not every fraction has an entry
        f = (1 << self.fmt.frac_bits) - 1
        edges = lns_bench.range_edges(self.fmt).items()
        bins += [name for name, code in edges if (code - self.fmt.bias) & f in self.by_fraction]
        if any(self.rom[index] > f for index in self.indices):
            bins.append("entry carries into the octave")
        return Coverage(dict.fromkeys(bins, 1) | {"places": self.bits, "indices": len(self.indices)})

    def sample(self, operands: Operands, cover: Coverage, seen: dict[str, set[int]]) -> None:
        acc, exponent = operands
        for value, values, name in ((acc, self.accs, "accumulator"), (exponent, self.exponents, "exponent")):
            if value in (values[0], values[-1]):
                cover.hit(f"{'least' if value < 0 else 'largest'} {name}")
        if acc == 0:
            cover.hit("zero")
            return
        cover.hit("negative" if acc < 0 else "positive")
        place, index = self.split(acc)
        for name, value in (("places", place), ("indices", index)):
            if value not in seen[name]:
                seen[name].add(value)
                cover.hit(name)
        if self.rom[index] >> self.fmt.frac_bits:
            cover.hit("entry carries into the octave")
        lns_bench.hit_range(cover, self.code(acc, exponent), self.fmt)


@cocotb.test()
async def lns_linear_to_log(dut: Any) -> None:
    """Every word and event flag equals the definition's."""
    job = Job.load()
    unit = LinearToLog(job)
    cover, seen = unit.coverage(), {"places": set[int](), "indices": set[int]()}
    stimuli = lns_bench.all_operands(job) if job.exhaustive else list(unit.stimuli())
    await lns_bench.run(dut, job, stimuli, unit.model, lambda operands: unit.sample(operands, cover, seen), cover)
