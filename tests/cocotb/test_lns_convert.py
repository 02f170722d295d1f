"""Bench of ``rtl/lns_convert.v`` against `lns.reference.convert`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cocotb
import lns_bench
from lns_bench import Coverage, Job, Operands

from lns import reference
from lns.format import Rounding
from sim.verify.units import inputs


class Converter:
    """The formats of a job, and what a conversion computes on its way."""

    def __init__(self, job: Job) -> None:
        if job.instance.source is None or job.instance.rounding is None:
            raise ValueError("the job for lns_convert names no source or no rounding")
        self.job, self.source, self.fmt, self.rounding = job, job.instance.source, job.fmt, job.instance.rounding
        self.lost = max(0, self.source.frac_bits - self.fmt.frac_bits)
        self.gained = max(0, self.fmt.frac_bits - self.source.frac_bits)
        self.offsets = lns_bench.signed_range(inputs(job.instance)[1])
        self.random = job.random()

    def model(self, a: int, offset: int) -> tuple[int, Any]:
        return reference.convert(a, self.source, self.fmt, offset, 0, self.rounding)

    def split(self, a: int, offset: int) -> tuple[int, int]:
        """The code rounded down, and what was cut off below it."""
        u = reference.raw(a, self.source) + (offset << self.source.frac_bits)
        return ((u << self.gained) >> self.lost) + self.fmt.bias, u % (1 << self.lost)

    def operands(self, code: int, rest: int) -> Iterator[Operands]:
        """A word at a random offset with the given code and rest; none if there is none, or if chance misses it."""
        u = (((code - self.fmt.bias) << self.lost) + rest) >> self.gained
        least, most = (raw >> self.source.frac_bits for raw in (self.source.min_raw, self.source.max_raw))
        octave = u >> self.source.frac_bits
        for _ in range(8):
            offset = self.random.randint(octave - most, octave - least)
            a = u - (offset << self.source.frac_bits) + self.source.bias
            if offset in self.offsets and 1 <= a <= self.source.max_code:
                yield lns_bench.random_word(self.random, self.source, a), offset
                return

    def stimuli(self) -> Iterator[Operands]:
        rng, fmt = self.random, self.fmt
        few = {self.offsets[0], self.offsets[0] + 1, -1, 0, 1, self.offsets[-1] - 1, self.offsets[-1]}
        few |= set(rng.choices(self.offsets, k=16))
        yield from ((a, offset) for a in lns_bench.special_words(self.source) for offset in sorted(few))
        half = 1 << self.lost >> 1
        rests = sorted({rest % (1 << self.lost) for rest in (0, 1, half - 1, half, half + 1, -1)})
        for edge in lns_bench.range_edges(fmt).values():
            for code in range(edge - 2, edge + 3):
                for rest in rests:
                    for _ in range(8):
                        yield from self.operands(code, rest)
        # half of the rest all over the range of the result and at its ties, half of it anywhere
        for i in range(self.job.count):
            if i % 4 == 0:
                yield from self.operands(rng.randint(0, fmt.max_code + 1), rng.choice(rests))
            elif i % 2 == 0:
                yield from self.operands(rng.randint(0, fmt.max_code + 1), rng.randrange(1 << self.lost))
            yield rng.getrandbits(self.source.bits), rng.choice(self.offsets)

    def coverage(self) -> Coverage:
        source, fmt, nearest = self.source, self.fmt, self.rounding is Rounding.NEAREST
        bins = ["zero", "positive", "in range", "saturate", "underflow", "least offset", "largest offset"]
        # a destination with more fraction bits has codes that nothing is converted to
        edges = lns_bench.range_edges(fmt).items()
        bins += [name for name, code in edges if (code - fmt.bias) % (1 << self.gained) == 0]
        if source.signed:
            bins += ["zero with a sign", "negative" if fmt.signed else "negative into an unsigned format"]
        if self.lost:
            bins.append("exact")
            if nearest:
                bins += ["tie, down to even", "tie, up to even", "rounded up into saturation"]
        if self.lost > 1:
            bins += ["below half", "above half"]
            if nearest:
                bins.append("rounded up out of underflow")
        return Coverage(dict.fromkeys(bins, 1))

    def sample(self, operands: Operands, cover: Coverage) -> None:
        (a, offset), source, fmt = operands, self.source, self.fmt
        if offset in (self.offsets[0], self.offsets[-1]):
            cover.hit("least offset" if offset < 0 else "largest offset")
        if reference.code(a, source) == 0:
            cover.hit("zero with a sign" if reference.sign(a, source) else "zero")
            return
        if reference.sign(a, source) and not fmt.signed:
            cover.hit("negative into an unsigned format")
            return
        cover.hit("negative" if reference.sign(a, source) else "positive")
        floor, rest = self.split(a, offset)
        code, half = floor, 1 << self.lost >> 1
        if self.lost:
            cover.hit(
                "exact" if rest == 0 else "tie" if rest == half else "below half" if rest < half else "above half"
            )
        if self.rounding is Rounding.NEAREST and self.lost and rest >= half:
            code += rest > half or floor % 2
            if rest == half:
                cover.hit("tie, up to even" if code > floor else "tie, down to even")
            if code > floor in (0, fmt.max_code):
                cover.hit("rounded up out of underflow" if floor == 0 else "rounded up into saturation")
        lns_bench.hit_range(cover, code, fmt)


@cocotb.test()
async def lns_convert(dut: Any) -> None:
    """Every word and event flag equals the definition's."""
    job = Job.load()
    unit = Converter(job)
    cover = unit.coverage()
    stimuli = lns_bench.all_operands(job) if job.exhaustive else list(unit.stimuli())
    await lns_bench.run(dut, job, stimuli, unit.model, lambda operands: unit.sample(operands, cover), cover)
