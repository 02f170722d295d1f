"""What the bench of every unit is made of: job, driver, monitor, scoreboard, and the loop that runs them.

The design under test is ``lns_lanes.v``, copies of the wrapped unit side by side. Once a clock, between the edges, the
driver puts beats on the lanes and the monitor takes results off them; either may hold a lane back at random. The
scoreboard compares every bit with the definition in `lns.reference`.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from sim.verify.unit import Coverage, Transaction, Unit, pack, show_values, unpack

FAILURES_SHOWN = 10
GAP = 0.125  #: share of the clocks in which some lanes idle, and of those in which some results are held back
PATIENCE = 2000  #: clocks in which nothing goes in or comes out after which the rest counts as lost
MANY = 1000  #: with at least so many beats a lane, idle clocks and backpressure must have occurred


@dataclass(frozen=True)
class Job:
    """What the runner asked for."""

    unit: Unit
    transactions: list[Transaction]
    own_stimuli: bool  # the unit's, whose coverage must fill
    seed: int
    lanes: int
    folder: Path

    @classmethod
    def load(cls) -> Job:
        path = Path(os.environ["LNS_BENCH_JOB"])
        data = pickle.loads(path.read_bytes())
        unit: Unit = data["unit"]
        own = data["transactions"] is None
        transactions = (
            unit.transactions(data["seed"], data["count"], data["exhaustive"]) if own else data["transactions"]
        )
        return cls(unit, transactions, own, data["seed"], data["lanes"], path.parent)


def bits_of(value: Any) -> str:
    """A signal's bits, the highest first."""
    return str(value)


def lane_values(bits: str, width: int, lanes: int) -> list[int | None]:
    """The lanes of a packed bus, lane 0 in its low bits; None for a lane with an unknown bit."""
    fields = (bits[len(bits) - (lane + 1) * width : len(bits) - lane * width] for lane in range(lanes))
    return [int(part, 2) if not set(part) - {"0", "1"} else None for part in fields]


class Scoreboard:
    """Compares what came out with what the definition says."""

    def __init__(self, job: Job) -> None:
        self.job, self.unit = job, job.unit
        self.inputs, self.outputs = job.unit.inputs(), job.unit.outputs()
        self.seen = self.mismatches = 0
        self.failures: list[str] = []

    def fail(self, text: str) -> None:
        if len(self.failures) < FAILURES_SHOWN:
            self.failures.append(text)

    def compare(self, transaction: Transaction, got: list[int | None]) -> None:
        """All results of a transaction, packed; None for one with unknown bits."""
        self.seen += 1
        expected = self.unit.expect(transaction)
        if got == [pack(beat, self.outputs) for beat in expected]:
            return
        self.mismatches += 1
        if len(self.failures) < FAILURES_SHOWN:
            place = next(i for i, beat in enumerate(expected) if got[i] != pack(beat, self.outputs))
            bus = got[place]
            given = "; ".join(show_values(beat, self.inputs) for beat in transaction)
            result = f" result {place}:" if len(expected) > 1 else ""
            wanted = show_values(expected[place], self.outputs)
            came = "unknown bits" if bus is None else show_values(unpack(bus, self.outputs), self.outputs)
            self.fail(
                f"{self.unit.module} {self.unit}: {given}:{result} expected {wanted}, got {came}; "
                f"seed {self.job.seed}"
            )


class Lane:
    """The transactions of one copy of the unit that are on their way."""

    def __init__(self) -> None:
        self.beats: deque[int] = deque()  # of the transaction that goes in, packed
        self.current: Transaction = ()
        self.waiting: deque[tuple[Transaction, int]] = deque()  # gone in; how many results are to come
        self.got: list[int | None] = []  # of the first of these
        self.held: int | None = None  # a result that was offered and not taken must stay


class Driver:
    """Puts beats on the lanes; at random some are left idle with arbitrary operands."""

    def __init__(self, job: Job, lanes: list[Lane]) -> None:
        self.lanes, self.unit = lanes, job.unit
        self.ports, self.bits = job.unit.inputs(), job.unit.input_bits
        self.random = random.Random(f"driver {job.seed}")
        self.transactions: Iterator[Transaction] = iter(job.transactions)
        self.offered = self.idle = 0  # masks: valid, and left idle although there was something to do
        self.stalls = self.gaps = 0
        self.kept: list[int] = [0] * len(lanes)

    def drive(self, dut: Any) -> None:
        count = len(self.lanes)
        pause = self.random.getrandbits(count) if self.random.random() < GAP else 0
        valid = 0
        for number, lane in enumerate(self.lanes):
            if self.offered >> number & 1:  # not accepted yet: it stays
                valid |= 1 << number
                continue
            if pause >> number & 1:
                self.kept[number] = self.random.getrandbits(self.bits)
                self.gaps += 1
                continue
            if not lane.beats:
                transaction = next(self.transactions, None)
                if transaction is None:
                    continue
                lane.current = transaction
                lane.beats.extend(pack(beat, self.ports) for beat in transaction)
            self.kept[number] = lane.beats[0]
            valid |= 1 << number
        self.offered = valid
        dut.valid_i.value = valid
        dut.in_i.value = int("".join(f"{bus:0{self.bits}b}" for bus in reversed(self.kept)), 2)

    def accept(self, ready: int) -> bool:
        """What goes in at the coming edge. Whether anything does."""
        taken = self.offered & ready
        self.stalls += (self.offered & ~ready).bit_count()
        self.offered &= ~taken
        for number, lane in enumerate(self.lanes):
            if taken >> number & 1:
                lane.beats.popleft()
                if not lane.beats:
                    lane.waiting.append((lane.current, self.unit.results(lane.current)))
        return taken != 0


class Monitor:
    """Takes results off the lanes, at random with delay, and hands whole transactions to the scoreboard."""

    def __init__(self, job: Job, lanes: list[Lane], scoreboard: Scoreboard) -> None:
        self.lanes, self.scoreboard = lanes, scoreboard
        self.width = job.unit.output_bits
        self.random = random.Random(f"monitor {job.seed}")
        self.ready = self.valid = 0
        self.stalls = 0
        self.half = len(job.transactions) // 2

    def drive(self, dut: Any) -> None:
        """In the second half nothing is taken before it is offered, as some receivers do it."""
        every = (1 << len(self.lanes)) - 1
        self.ready = every & ~self.random.getrandbits(len(self.lanes)) if self.random.random() < GAP else every
        if self.scoreboard.seen > self.half:
            self.ready &= self.valid
        dut.ready_i.value = self.ready

    def take(self, valid: int, results: str) -> bool:
        """What comes out at the coming edge. Whether anything did."""
        values = lane_values(results, self.width, len(self.lanes)) if valid else []
        took, self.valid = False, valid
        for number, lane in enumerate(self.lanes):
            offered, ready = valid >> number & 1, self.ready >> number & 1
            if lane.held is not None and (not offered or values[number] != lane.held):
                self.scoreboard.fail(f"lane {number}: a result that was not taken yet was withdrawn or changed")
            lane.held = None
            if not offered:
                continue
            if not ready:
                self.stalls += 1
                lane.held = values[number]
                continue
            took = True
            if not lane.waiting:
                self.scoreboard.fail(f"lane {number}: a result came out that nothing asked for")
                continue
            lane.got.append(values[number])
            transaction, count = lane.waiting[0]
            if len(lane.got) == count:
                self.scoreboard.compare(transaction, lane.got)
                lane.waiting.popleft()
                lane.got = []
        return took


def known(bits: str, name: str, scoreboard: Scoreboard) -> int:
    """A mask of handshakes; unknown ones are a failure and count as 0."""
    if set(bits) - {"0", "1"}:
        scoreboard.fail(f"{name} has unknown bits: {bits}")
        bits = "".join(bit if bit == "1" else "0" for bit in bits)
    return int(bits, 2)


async def reset(dut: Any, job: Job, scoreboard: Scoreboard) -> None:
    """Fill the lanes with anything, then reset them: nothing of it may come out."""
    noise, lanes = random.Random(f"reset {job.seed}"), (1 << job.lanes) - 1
    dut.valid_i.value = dut.ready_i.value = dut.in_i.value = dut.rst_ni.value = 0
    Clock(dut.clk_i, 10, unit="ns").start()
    await FallingEdge(dut.clk_i)
    first = job.transactions[0] if job.transactions else ()
    for step in range(24):
        dut.rst_ni.value = int(2 <= step < 20)
        dut.valid_i.value = lanes if 2 <= step < 20 else 0
        dut.ready_i.value = noise.getrandbits(job.lanes) if step < 20 else lanes
        if first:
            beat = pack(first[step % len(first)], job.unit.inputs())
            dut.in_i.value = sum(beat << (lane * job.unit.input_bits) for lane in range(job.lanes))
        await ReadOnly()
        if step < 2 or step >= 20:
            valid = bits_of(dut.valid_o.value)
            if set(valid) != {"0"}:
                scoreboard.fail(f"valid_o is {valid} in reset with nothing going in")
        await FallingEdge(dut.clk_i)
    dut.rst_ni.value = 1


async def run(dut: Any, job: Job) -> None:
    """Drive all transactions, compare all results, write ``result.json``, and fail on the least doubt."""
    scoreboard = Scoreboard(job)
    lanes = [Lane() for _ in range(job.lanes)]
    driver, monitor = Driver(job, lanes), Monitor(job, lanes, scoreboard)
    await reset(dut, job, scoreboard)
    started = time.perf_counter()
    idle = after = 0
    # a few clocks more than needed, in which nothing may come out
    while after < 8 and idle < PATIENCE and len(scoreboard.failures) < FAILURES_SHOWN:
        driver.drive(dut)
        monitor.drive(dut)
        await ReadOnly()
        went_in = driver.accept(known(bits_of(dut.ready_o.value), "ready_o", scoreboard))
        valid = known(bits_of(dut.valid_o.value), "valid_o", scoreboard)
        came_out = monitor.take(valid, bits_of(dut.out_o.value))
        idle = 0 if went_in or came_out else idle + 1
        after += scoreboard.seen >= len(job.transactions)
        await FallingEdge(dut.clk_i)
    lost = sum(len(lane.waiting) + bool(lane.beats) for lane in lanes)
    if lost:
        scoreboard.fail(f"{lost} transactions went in and never came out")
    finish(job, scoreboard, driver, monitor, time.perf_counter() - started)


def finish(job: Job, scoreboard: Scoreboard, driver: Driver, monitor: Monitor, seconds: float) -> None:
    """Coverage, the result file, and the verdict."""
    cover = Coverage({})
    if job.own_stimuli:
        cover = job.unit.coverage()
        for transaction in job.transactions:
            job.unit.sample(cover, transaction)
    if len(job.transactions) >= MANY * job.lanes:
        cover.goals |= dict.fromkeys(("input idle", "input stalled", "result stalled"), 1)
    stalls = {"input idle": driver.gaps, "input stalled": driver.stalls, "result stalled": monitor.stalls}
    cover.hits |= stalls
    uncovered = cover.uncovered()
    result = {
        "planned": len(job.transactions),
        "transactions": scoreboard.seen,
        "mismatches": scoreboard.mismatches,
        "failures": scoreboard.failures,
        "coverage": {name: cover.hits[name] for name in cover.goals},
        "uncovered": uncovered,
        "seconds": seconds,
    }
    (job.folder / "result.json").write_text(json.dumps(result, indent=1), "utf-8")
    assert not scoreboard.failures, "\n".join(scoreboard.failures)
    assert scoreboard.seen == len(job.transactions), (
        f"{scoreboard.seen} transactions were seen, {len(job.transactions)} were driven"
    )
    assert not uncovered, f"not covered: {', '.join(uncovered)}"
