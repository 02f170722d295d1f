"""What the benches of two-operand units share: job, driver, monitor, scoreboard and coverage.

The design under test is ``lns_lanes.v``, LANES copies of the unit between registers. Operands go in and words come out
in separate coroutines; the scoreboard compares every word and every event flag with the definition in `lns.reference`.
"""

from __future__ import annotations

import json
import os
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from lns import reference
from lns.format import Event, LNSFormat
from lns.gausslog import Table, TableKind, table

FAILURES_SHOWN = 10
GAP = 0.125  #: share of the clocks in which some lanes idle

Pair = tuple[int, int]
Model = Callable[[int, int], tuple[int, Event]]


@dataclass(frozen=True)
class Job:
    """What the runner asked for."""

    unit: str
    fmt: LNSFormat
    kind: TableKind | None
    seed: int
    lanes: int
    exhaustive: bool
    count: int
    folder: Path

    @classmethod
    def load(cls) -> Job:
        path = Path(os.environ["LNS_BENCH_JOB"])
        data = json.loads(path.read_text("utf-8"))
        return cls(
            unit=data["test_module"].removeprefix("test_"),
            fmt=LNSFormat.parse(data["format"]),
            kind=TableKind.parse(data["table"]) if data["table"] else None,
            seed=data["seed"],
            lanes=data["lanes"],
            exhaustive=data["exhaustive"],
            count=data["count"],
            folder=path.parent,
        )

    def table(self) -> Table:
        if self.kind is None:
            raise ValueError(f"the job for {self.unit} names no table kind")
        return table(self.kind, self.fmt.frac_bits)


@dataclass
class Coverage:
    """Functional coverage: how often each bin was hit, and how often it must be. What nothing can hit has no goal."""

    goals: dict[str, int]
    hits: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.hits = dict.fromkeys(self.goals, 0) | self.hits

    def hit(self, name: str, count: int = 1) -> None:
        self.hits[name] = self.hits.get(name, 0) + count

    def uncovered(self) -> list[str]:
        return [f"{name} ({self.hits[name]} of {goal})" for name, goal in self.goals.items() if self.hits[name] < goal]


def show(word: int, fmt: LNSFormat) -> str:
    """A word in hexadecimal, its fields and its real value."""
    text = f"0x{word:0{-(-fmt.bits // 4)}x} (sign {reference.sign(word, fmt)}, code {reference.code(word, fmt)}"
    if reference.code(word, fmt) == 0:
        return text + ", zero)"
    exponent = reference.raw(word, fmt) / (1 << fmt.frac_bits)
    sign = "-" if reference.sign(word, fmt) else "+"
    value = f"{2.0**exponent:.6g}" if abs(exponent) < 1000 else f"2^{exponent:.6g}"
    return f"{text}, raw {reference.raw(word, fmt)}, value {sign}{value})"


def show_events(events: Event) -> str:
    return "|".join(str(event.name).lower() for event in events) or "no event"


def lane_values(value: Any, width: int, lanes: int) -> list[int | None]:
    """The lanes of a packed bus, lane 0 in its low bits; None for a lane with an unknown bit."""
    text = str(value)
    fields = (text[len(text) - (lane + 1) * width : len(text) - lane * width] for lane in range(lanes))
    return [int(bits, 2) if not set(bits) - {"0", "1"} else None for bits in fields]


class Scoreboard:
    """Compares what came out with what the definition says."""

    def __init__(self, job: Job, model: Model) -> None:
        self.job, self.model = job, model
        self.seen = self.mismatches = 0
        self.failures: list[str] = []

    def fail(self, text: str) -> None:
        if len(self.failures) < FAILURES_SHOWN:
            self.failures.append(text)

    def compare(self, pair: Pair, word: int | None, saturate: int | None, underflow: int | None) -> None:
        self.seen += 1
        expected_word, expected = self.model(*pair)
        flags = (int(Event.SATURATE in expected), int(Event.UNDERFLOW in expected))
        if (word, saturate, underflow) == (expected_word, *flags):
            return
        self.mismatches += 1
        if len(self.failures) >= FAILURES_SHOWN:
            return
        fmt = self.job.fmt
        got = "unknown bits"
        if word is not None and saturate is not None and underflow is not None:
            events = Event.SATURATE * saturate | Event.UNDERFLOW * underflow
            got = f"{show(word, fmt)} with {show_events(Event(events))}"
        a, b = pair
        kind = f" {self.job.kind}" if self.job.kind else ""
        self.fail(
            f"{self.job.unit} {fmt}{kind}: a = {show(a, fmt)}, b = {show(b, fmt)}: expected {show(expected_word, fmt)} "
            f"with {show_events(expected)}, got {got}; seed {self.job.seed}"
        )


class Driver:
    """Puts pairs on the lanes; at random some lanes, or all, are left idle with arbitrary operands."""

    def __init__(self, dut: Any, job: Job, sent: deque[dict[int, Pair]]) -> None:
        self.dut, self.job, self.sent = dut, job, sent
        self.random = random.Random(f"driver {job.seed}")

    def _pack(self, words: list[int]) -> int:
        return int("".join(f"{word:0{self.job.fmt.bits}b}" for word in reversed(words)), 2)

    async def run(self, pairs: Iterator[Pair]) -> None:
        lanes, bits = self.job.lanes, self.job.fmt.bits
        exhausted = False
        while not exhausted:
            busy = list(range(lanes))
            if self.random.random() < GAP:
                busy = sorted(self.random.sample(busy, self.random.randint(0, lanes)))
            beat: dict[int, Pair] = {}
            for lane in busy:
                pair = next(pairs, None)
                if pair is None:
                    exhausted = True
                    break
                beat[lane] = pair
            idle = [self.random.getrandbits(bits) for _ in range(lanes)]
            if beat:
                self.sent.append(beat)
            self.dut.valid_i.value = sum(1 << lane for lane in beat)
            self.dut.a_i.value = self._pack([beat[lane][0] if lane in beat else idle[lane] for lane in range(lanes)])
            self.dut.b_i.value = self._pack([beat[lane][1] if lane in beat else idle[-1] for lane in range(lanes)])
            await RisingEdge(self.dut.clk_i)
        self.dut.valid_i.value = 0


class Monitor:
    """Takes words off the lanes between clock edges and hands them to the scoreboard."""

    def __init__(self, dut: Any, job: Job, sent: deque[dict[int, Pair]], scoreboard: Scoreboard) -> None:
        self.dut, self.job, self.sent, self.scoreboard = dut, job, sent, scoreboard

    async def run(self) -> None:
        dut, lanes = self.dut, self.job.lanes
        while True:
            await FallingEdge(dut.clk_i)
            valid = {lane for lane, bit in enumerate(lane_values(dut.valid_o.value, 1, lanes)) if bit != 0}
            if not valid:
                continue
            beat = self.sent.popleft() if self.sent else {}
            if valid != beat.keys():
                self.scoreboard.fail(f"lanes {sorted(valid)} are valid, lanes {sorted(beat)} were driven")
            words = lane_values(dut.word_o.value, self.job.fmt.bits, lanes)
            saturate = lane_values(dut.saturate_o.value, 1, lanes)
            underflow = lane_values(dut.underflow_o.value, 1, lanes)
            for lane in valid & beat.keys():
                self.scoreboard.compare(beat[lane], words[lane], saturate[lane], underflow[lane])


def all_pairs(fmt: LNSFormat) -> list[Pair]:
    return [(a, b) for a in range(1 << fmt.bits) for b in range(1 << fmt.bits)]


def special_words(fmt: LNSFormat) -> list[int]:
    """Zero (both of them), ±1, the smallest and largest magnitudes and their neighbours."""
    codes = {0, 1, 2, fmt.bias - 1, fmt.bias, fmt.bias + 1, fmt.max_code - 1, fmt.max_code}
    codes = {code for code in codes if 0 <= code <= fmt.max_code}
    return sorted(codes | {fmt.sign_bit | code for code in codes})


def random_word(rng: random.Random, fmt: LNSFormat, code: int) -> int:
    """A code under a random sign."""
    return code | (fmt.sign_bit if rng.getrandbits(1) else 0)


async def run(
    dut: Any, job: Job, pairs: list[Pair], model: Model, sample: Callable[[Pair], None], cover: Coverage
) -> None:
    """Drive all pairs, compare all results, write ``result.json`` beside the job, and fail on the least doubt."""
    scoreboard = Scoreboard(job, model)
    sent: deque[dict[int, Pair]] = deque()
    monitor = Monitor(dut, job, sent, scoreboard)
    dut.valid_i.value = 0
    Clock(dut.clk_i, 10, unit="ns").start()
    await ClockCycles(dut.clk_i, 2)
    watching = cocotb.start_soon(monitor.run())
    await Driver(dut, job, sent).run(iter(pairs))
    await ClockCycles(dut.clk_i, 4)
    watching.cancel()
    for pair in pairs:
        sample(pair)
    if sent:
        scoreboard.fail(f"{len(sent)} driven beats never came out")
    uncovered = cover.uncovered()
    result = {
        "planned": len(pairs),
        "transactions": scoreboard.seen,
        "mismatches": scoreboard.mismatches,
        "failures": scoreboard.failures,
        "coverage": cover.hits,
        "uncovered": uncovered,
    }
    (job.folder / "result.json").write_text(json.dumps(result, indent=1), "utf-8")
    assert not scoreboard.failures, "\n".join(scoreboard.failures)
    assert scoreboard.seen == len(pairs), f"{scoreboard.seen} transactions were seen, {len(pairs)} were driven"
    assert not uncovered, f"not covered: {', '.join(uncovered)}"
