"""Times in cycles, of the moments in which a core is not shared.

A virtual core may share its physical one with a neighbour that nothing here shows, for milliseconds or minutes. Then
every loop is slower, each by another factor, and a ratio of two of them says little. So a look at the core precedes and
follows everything that is timed: how long a cycle takes, and how many instructions of two kinds it starts, that do
nothing and that add vectors. A core starts a whole number of either, and a neighbour takes places of one or the other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.assembly import Instruction
from benchmarks.throughput import CLOCK, CLOCK_CYCLES, Stream, Streams

NOP = Instruction("nop", ())
_PROBES = NOP, Instruction("vpaddd", ("%ymm0", "%ymm0", "%ymm0"))
_CLOCK, _LOOPS = 60, 500  # loops of a look at the clock and at a probe: some 10 to 30 microseconds
_LEARNING = 5.0  # times the patience: looks before anything is timed
_BEST = 0.02  # quantile of their times
_FAST = 0.2  # quantile of quiet times: a neighbour of the caches makes one slower, never faster
_NEAR = 0.02  # of the best: how much a probe may take more or less in a quiet moment
_STEADY = 0.005  # how much the clock may change in one: a look at it that was disturbed makes all else seem fast

Time = tuple[float, float]  #: cycles, and how far the probes beside them were from the best


def _seconds(stream: Stream, loops: int) -> float:
    """Seconds of one of a stream's copies. What it needs is in the caches from a first loop on."""
    stream(1)
    start = time.perf_counter()
    stream(loops)
    return (time.perf_counter() - start) / (stream.repeats * loops)


def _steady(before: float, after: float) -> bool:
    return abs(before / after - 1) < _STEADY


class Moments:
    """Times calls, and knows which times count.

    Parameters
    ----------
    rounds : int
        Quiet moments to wait for.
    patience : float
        Seconds to wait for them, for each thing that is timed. Then the quietest moments that there were count.
    """

    def __init__(self, streams: Streams, rounds: int, patience: float) -> None:
        self.rounds, self.patience, self._code = rounds, patience, streams  # which frees its code when it goes
        self._clock, self._probes = streams.compile([CLOCK], chained=True), [streams.compile([one]) for one in _PROBES]
        found, end = [], time.perf_counter() + _LEARNING * patience
        while not found or time.perf_counter() < end:
            before, probe, after = self.cycle(), self._probe(), self.cycle()
            if _steady(before, after):
                found.append(2 * probe / (before + after))
        self.best = np.quantile(found, _BEST, axis=0)  #: cycles of the probes if nobody else uses the core
        self.looks = self.quiet = 0  #: and how many of them found it so

    def cycle(self) -> float:
        """Seconds of a cycle, now: the least of three looks, lest an interrupt count."""
        return min(_seconds(self._clock, _CLOCK) for _ in range(3)) / CLOCK_CYCLES

    def _probe(self) -> np.ndarray:
        """Seconds of each probe, now."""
        return np.array([_seconds(probe, _LOOPS) for probe in self._probes])

    def look(self, call: Callable[[], object]) -> Time:
        """Cycles of a call, the second of two, and how far the probes before and behind them are from the best: no end
        to it if the clock has changed."""
        before, first = self.cycle(), self._probe()
        call()  # wakes the vector units, which rest while nothing is done
        start = time.perf_counter()
        call()
        taken, second, after = time.perf_counter() - start, self._probe(), self.cycle()
        cycle = (before + after) / 2
        far = float(max(np.abs(probe / cycle / self.best - 1).max() for probe in (first, second)))
        far = far if _steady(before, after) else math.inf
        self.looks, self.quiet = self.looks + 1, self.quiet + (far < _NEAR)
        return taken / cycle, far

    def typical(self, times: Sequence[Time]) -> float:
        """The cycles that count: of a fast one of the quietest moments."""
        quietest = sorted(times, key=lambda one: one[1])[: self.rounds]
        return float(np.quantile([cycles for cycles, _ in quietest], _FAST))

    def cycles(self, call: Callable[[], object]) -> float:
        """Cycles of a short call."""
        times: list[Time] = []
        quiet, end = 0, time.perf_counter() + self.patience
        while quiet < self.rounds and (time.perf_counter() < end or len(times) < self.rounds):
            times.append(self.look(call))
            quiet += times[-1][1] < _NEAR
        return self.typical(times)

    def summary(self) -> str:
        """How quiet it was."""
        nops, additions = 1 / self.best
        doubt = "" if abs(nops - round(nops)) < 0.05 * nops else ", which is no whole number: measure again"
        return (
            f"The core was quiet in {self.quiet / self.looks:.0%} of {self.looks:,} looks; it started {nops:.2f} "
            f"instructions and {additions:.2f} vector additions in a cycle then{doubt}."
        )
