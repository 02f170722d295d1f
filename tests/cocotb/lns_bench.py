"""What the benches of combinational units share: job, driver, monitor, scoreboard, coverage, usual stimuli.

The design under test is ``lns_lanes.v``, LANES copies of the unit between registers. Operands go in and words come out
in separate coroutines; the scoreboard compares every word and every event flag with the definition in `lns.reference`.
"""

from __future__ import annotations

import itertools
import json
import os
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from lns import reference
from lns.format import Event, LNSFormat
from lns.gausslog import Table, table
from sim.verify.units import UNITS, Instance, Port, inputs, outputs

FAILURES_SHOWN = 10
GAP = 0.125  #: share of the clocks in which some lanes idle

Operands = tuple[int, ...]  #: a value for each input of the unit; those that are no words have a sign
Model = Callable[..., tuple[Any, ...]]  #: (word, events), then the unit's further outputs


@dataclass(frozen=True)
class Job:
    """What the runner asked for."""

    instance: Instance
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
            instance=Instance.from_dict(data["instance"]),
            seed=data["seed"],
            lanes=data["lanes"],
            exhaustive=data["exhaustive"],
            count=data["count"],
            folder=path.parent,
        )

    @property
    def fmt(self) -> LNSFormat:
        return self.instance.format

    def table(self) -> Table:
        if self.instance.table is None:
            raise ValueError(f"the job for {self.instance.unit} names no table kind")
        return table(self.instance.table, self.fmt.frac_bits)

    def random(self) -> random.Random:
        """For the stimuli."""
        return random.Random(f"{self.instance.unit} {self.seed}")


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


def pack(values: Iterable[int], ports: tuple[Port, ...]) -> int:
    """Values side by side, the first in the low bits."""
    bus = low = 0
    for value, port in zip(values, ports, strict=True):
        bus |= (value & ((1 << port.width) - 1)) << low
        low += port.width
    return bus


def unpack(bus: int, ports: tuple[Port, ...]) -> list[int]:
    values = []
    for port in ports:
        values.append(bus & ((1 << port.width) - 1))
        bus >>= port.width
    return values


class Scoreboard:
    """Compares what came out with what the definition says."""

    def __init__(self, job: Job, model: Model) -> None:
        self.job, self.model = job, model
        self.inputs, self.outputs = inputs(job.instance), outputs(job.instance)
        self.events = UNITS[job.instance.unit].events
        self.seen = self.mismatches = 0
        self.failures: list[str] = []

    def fail(self, text: str) -> None:
        if len(self.failures) < FAILURES_SHOWN:
            self.failures.append(text)

    def compare(self, operands: Operands, got: int | None) -> None:
        self.seen += 1
        word, events, *extras = self.model(*operands)
        flags = [int(event in events) for event in self.events]
        # an event that the unit has no flag for cannot agree
        if got == pack([word, *flags, *extras], self.outputs) and not events & ~self.events:
            return
        self.mismatches += 1
        if len(self.failures) < FAILURES_SHOWN:
            given = ", ".join(
                f"{port.name.removesuffix('_i')} = {show(value, port.format) if port.format else value}"
                for port, value in zip(self.inputs, operands, strict=True)
            )
            self.fail(
                f"{self.job.instance.unit} {self.job.instance}: {given}: "
                f"expected {self.show(word, events, extras)}, got {self.show_bus(got)}; seed {self.job.seed}"
            )

    def show(self, word: int, events: Event, extras: list[int]) -> str:
        names = (port.name for port in self.outputs[len(self.outputs) - len(extras) :])
        beside = "".join(f", {name} {value}" for name, value in zip(names, extras, strict=True))
        return f"{show(word, self.job.fmt)} with {show_events(events)}{beside}"

    def show_bus(self, bus: int | None) -> str:
        if bus is None:
            return "unknown bits"
        word, *bits = unpack(bus, self.outputs)
        events = Event(0)
        for event, bit in zip(self.events, bits, strict=False):
            events |= event * bit
        return self.show(word, events, bits[len(self.events) :])


class Driver:
    """Puts operands on the lanes; at random some lanes, or all, are left idle with arbitrary operands."""

    def __init__(self, dut: Any, job: Job, sent: deque[dict[int, Operands]]) -> None:
        self.dut, self.job, self.sent = dut, job, sent
        self.ports = inputs(job.instance)
        self.random = random.Random(f"driver {job.seed}")

    async def run(self, stimuli: Iterator[Operands]) -> None:
        lanes, bits = self.job.lanes, sum(port.width for port in self.ports)
        exhausted = False
        while not exhausted:
            busy = list(range(lanes))
            if self.random.random() < GAP:
                busy = sorted(self.random.sample(busy, self.random.randint(0, lanes)))
            beat: dict[int, Operands] = {}
            for lane in busy:
                operands = next(stimuli, None)
                if operands is None:
                    exhausted = True
                    break
                beat[lane] = operands
            if beat:
                self.sent.append(beat)
            buses = [pack(beat[k], self.ports) if k in beat else self.random.getrandbits(bits) for k in range(lanes)]
            self.dut.valid_i.value = sum(1 << lane for lane in beat)
            self.dut.in_i.value = int("".join(f"{bus:0{bits}b}" for bus in reversed(buses)), 2)
            await RisingEdge(self.dut.clk_i)
        self.dut.valid_i.value = 0


class Monitor:
    """Takes results off the lanes between clock edges and hands them to the scoreboard."""

    def __init__(self, dut: Any, job: Job, sent: deque[dict[int, Operands]], scoreboard: Scoreboard) -> None:
        self.dut, self.job, self.sent, self.scoreboard = dut, job, sent, scoreboard

    async def run(self) -> None:
        dut, lanes = self.dut, self.job.lanes
        width = sum(port.width for port in outputs(self.job.instance))
        while True:
            await FallingEdge(dut.clk_i)
            valid = {lane for lane, bit in enumerate(lane_values(dut.valid_o.value, 1, lanes)) if bit != 0}
            if not valid:
                continue
            beat = self.sent.popleft() if self.sent else {}
            if valid != beat.keys():
                self.scoreboard.fail(f"lanes {sorted(valid)} are valid, lanes {sorted(beat)} were driven")
            buses = lane_values(dut.out_o.value, width, lanes)
            for lane in valid & beat.keys():
                self.scoreboard.compare(beat[lane], buses[lane])


def signed_range(port: Port) -> range:
    """The values of a port that is no word."""
    return range(-(1 << (port.width - 1)), 1 << (port.width - 1))


def all_operands(job: Job) -> list[Operands]:
    """All values of all inputs."""
    ports = inputs(job.instance)
    return list(itertools.product(*(range(1 << p.width) if p.format else signed_range(p) for p in ports)))


def range_edges(fmt: LNSFormat) -> dict[str, int]:
    """The computed codes between which the range rule turns."""
    return {"code 0": 0, "code 1": 1, "code max": fmt.max_code, "code max + 1": fmt.max_code + 1}


def hit_range(cover: Coverage, code: int, fmt: LNSFormat) -> None:
    """The bins of a computed code: what the range rule makes of it, and whether it is an edge."""
    cover.hit("saturate" if code > fmt.max_code else "underflow" if code <= 0 else "in range")
    for name, edge in range_edges(fmt).items():
        if code == edge:
            cover.hit(name)


def special_words(fmt: LNSFormat) -> list[int]:
    """Zero (both of them), ±1, the smallest and largest magnitudes and their neighbours."""
    codes = {0, 1, 2, fmt.bias - 1, fmt.bias, fmt.bias + 1, fmt.max_code - 1, fmt.max_code}
    codes = {code for code in codes if 0 <= code <= fmt.max_code}
    return sorted(codes | {fmt.sign_bit | code for code in codes})


def random_word(rng: random.Random, fmt: LNSFormat, code: int) -> int:
    """A code under a random sign."""
    return code | (fmt.sign_bit if rng.getrandbits(1) else 0)


def word_stimuli(job: Job, codes: Iterable[int] = ()) -> list[Operands]:
    """For a unit of one operand: all words, or the special ones, those of the given codes and their neighbours, and
    random ones."""
    if job.exhaustive:
        return all_operands(job)
    fmt, rng = job.fmt, job.random()
    near = {code + step for code in codes for step in (-2, -1, 0, 1, 2)}
    edges = [code | sign for code in sorted(near) if 0 <= code <= fmt.max_code for sign in {0, fmt.sign_bit}]
    words = [*special_words(fmt), *edges, *(rng.getrandbits(fmt.bits) for _ in range(job.count))]
    return [(word,) for word in words]


def pair_stimuli(job: Job, targets: Iterable[int], partner: Callable[[int, int], int]) -> list[Operands]:
    """For a unit of two operands: all pairs, or those of special words, those whose result has a target code, and
    random ones. ``partner`` gives the second operand's code for the first one's and a target."""
    if job.exhaustive:
        return all_operands(job)
    fmt, rng = job.fmt, job.random()
    specials = special_words(fmt)
    pairs: list[Operands] = [(a, b) for a in specials for b in specials]
    for edge in targets:
        for target in (edge - 1, edge, edge + 1):
            for _ in range(64):
                a = rng.randint(1, fmt.max_code)
                b = partner(a, target)
                if 1 <= b <= fmt.max_code:
                    pairs.append((random_word(rng, fmt, a), random_word(rng, fmt, b)))
    # results of uniform operands overflow or underflow half of the time: the other half of these stays near 1.0
    near = max(1, fmt.bias // 2)
    for i in range(job.count):
        low, high = (fmt.bias - near, fmt.bias + near - 1) if i % 2 else (0, fmt.max_code)
        a, b = (random_word(rng, fmt, rng.randint(low, high)) for _ in range(2))
        pairs.append((a, b))
    return pairs


def pair_bins(fmt: LNSFormat) -> list[str]:
    """The bins of `hit_pair`."""
    bins = ["zero a", "zero b", "both zero", "signs equal"]
    return [*bins, "zero with a sign", "signs unlike"] if fmt.signed else bins


def hit_pair(cover: Coverage, pair: Operands, fmt: LNSFormat) -> bool:
    """The bins that say which operands are zero, and how the signs of others stand. Whether neither is zero."""
    a, b = pair
    zeros = [reference.code(word, fmt) == 0 for word in pair]
    for zero, name in ((zeros[0], "zero a"), (zeros[1], "zero b"), (all(zeros), "both zero")):
        if zero:
            cover.hit(name)
    if any(zero and reference.sign(word, fmt) for word, zero in zip(pair, zeros, strict=True)):
        cover.hit("zero with a sign")
    if any(zeros):
        return False
    cover.hit("signs equal" if reference.sign(a, fmt) == reference.sign(b, fmt) else "signs unlike")
    return True


async def run(
    dut: Any, job: Job, stimuli: list[Operands], model: Model, sample: Callable[[Operands], None], cover: Coverage
) -> None:
    """Drive all operands, compare all results, write ``result.json`` beside the job, and fail on the least doubt."""
    scoreboard = Scoreboard(job, model)
    sent: deque[dict[int, Operands]] = deque()
    monitor = Monitor(dut, job, sent, scoreboard)
    dut.valid_i.value = 0
    Clock(dut.clk_i, 10, unit="ns").start()
    await ClockCycles(dut.clk_i, 2)
    watching = cocotb.start_soon(monitor.run())
    await Driver(dut, job, sent).run(iter(stimuli))
    await ClockCycles(dut.clk_i, 4)
    watching.cancel()
    for operands in stimuli:
        sample(operands)
    if sent:
        scoreboard.fail(f"{len(sent)} driven beats never came out")
    uncovered = cover.uncovered()
    result = {
        "planned": len(stimuli),
        "transactions": scoreboard.seen,
        "mismatches": scoreboard.mismatches,
        "failures": scoreboard.failures,
        "coverage": cover.hits,
        "uncovered": uncovered,
    }
    (job.folder / "result.json").write_text(json.dumps(result, indent=1), "utf-8")
    assert not scoreboard.failures, "\n".join(scoreboard.failures)
    assert scoreboard.seen == len(stimuli), f"{scoreboard.seen} transactions were seen, {len(stimuli)} were driven"
    assert not uncovered, f"not covered: {', '.join(uncovered)}"
