"""``lns_loss``, the loss unit; its combinational parts ``lns_loss_code`` and ``lns_loss_error``."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

from lns import reference
from lns.design import Design
from lns.files import memh_text
from lns.format import Event, Rounding
from lns.gausslog import Table
from lns.reference import LossUnit
from lns.units import Units
from sim.verify.stimuli import hit_range, random_word, range_edges, special_words
from sim.verify.unit import Beat, Combinational, Coverage, Port, Transaction, Unit, flags, port_values
from sim.verify.units.add import MOST_DISTANCES, reach, table_parameters, table_roms
from sim.verify.units.convert import ROUND, octave_port, octaves

CLASSES = 16  #: the most classes of a sample, a power of two: no data set that `lns train` knows has more than 10

MOST_ENTRIES = 1 << 16  #: antilog ROMs with more entries are sampled, not swept


@dataclass(frozen=True)
class _OfDesign(Unit):
    """A unit that is built from a design's loss section."""

    design: Design

    @cached_property
    def units(self) -> Units:
        return Units(self.design)

    @cached_property
    def unit(self) -> LossUnit:
        """Of the definition: plain integers, which index faster than arrays."""
        unit = self.units.loss
        source = Table(unit.table.kind, unit.table.frac_bits, {k: rom.tolist() for k, rom in unit.table.roms.items()})
        return replace(unit, table=source, rom=[int(entry) for entry in unit.rom])

    def _loss_format(self) -> dict[str, int | str]:
        return {"LOSS_BITS": self.unit.loss.bits, "LOSS_FRAC_BITS": self.unit.loss.frac_bits}


@dataclass(frozen=True)
class LossCode(_OfDesign, Combinational):
    """From a logit to the code of its exponential."""

    module: ClassVar[str] = "lns_loss_code"
    sources: ClassVar[tuple[str, ...]] = ("lns_loss_code.v",)
    events: ClassVar[Event] = Event.ACC_SATURATE

    def __str__(self) -> str:
        return f"{self.unit.logit} to {self.unit.loss}, {self.unit.rom_bits} antilog bits"

    def inputs(self) -> tuple[Port, ...]:
        # At the largest offset the smallest logit is clamped, at the least one the largest is smaller than a code.
        logit, loss = self.unit.logit, self.unit.loss
        outside = octaves(logit) + max(self._top_octave + 1, loss.frac_bits + 1)
        return Port("word_i", logit.bits, logit), octave_port("offset_i", outside)

    def outputs(self) -> tuple[Port, ...]:
        return Port("code_o", self.unit.loss.bits, self.unit.loss), *self.event_ports()

    def parameters(self) -> dict[str, int | str]:
        unit = self.unit
        return self._loss_format() | {
            "LOGIT_BITS": unit.logit.bits, "LOGIT_FRAC_BITS": unit.logit.frac_bits, "SCALE": unit.scale,
            "OFFSET_BITS": self.inputs()[1].width, "ANTILOG_BITS": unit.rom_bits, "ANTILOG_FILE": "antilog.memh",
        }  # fmt: skip

    def roms(self) -> dict[str, str]:
        title = f"antilog ROM of the loss unit, F = {self.unit.logit.frac_bits}"
        return {"antilog.memh": memh_text(self.units.loss.rom, self.unit.rom_bits, title)}

    def model(self, *operands: int) -> Sequence[int]:
        z, offset = operands
        code, events = reference.loss_code(z, offset, self.unit)
        return code, *flags(events, self.events)

    # --- stimuli

    @property
    def _top_octave(self) -> int:
        """Of the largest magnitudes whose code is not clamped."""
        return self.unit.loss.code_bits - 2 - self.unit.loss.frac_bits

    @cached_property
    def _octaves(self) -> range:
        """From magnitudes smaller than a code to those that are clamped."""
        return range(-self.unit.loss.frac_bits - 1, self._top_octave + 2)

    @cached_property
    def _offsets(self) -> range:
        return port_values(self.inputs()[1])

    def _exponent(self, word: int, offset: int) -> int:
        return reference.raw(word, self.unit.logit) + (offset << self.unit.logit.frac_bits) + self.unit.scale

    def logits(self, rng: random.Random, octave: int, index: int) -> Iterator[Beat]:
        """A logit of each sign, and an offset, that read an entry of the ROM in an octave."""
        logit = self.unit.logit
        raw = (octave << logit.frac_bits) + index - self.unit.scale
        offset = rng.randint(-((logit.max_raw - raw) >> logit.frac_bits), (raw - logit.min_raw) >> logit.frac_bits)
        code = raw - (offset << logit.frac_bits) + logit.bias
        yield from ((code | sign, offset) for sign in (0, logit.sign_bit))

    @cached_property
    def _entries(self) -> range:
        entries = 1 << self.unit.logit.frac_bits
        return range(0, entries, -(-entries // MOST_ENTRIES))

    def stimuli(self, rng: random.Random, count: int) -> Iterator[Beat]:
        few = {self._offsets[0], -1, 0, 1, self._offsets[-1], *rng.choices(self._offsets, k=16)}
        yield from ((z, offset) for z in special_words(self.unit.logit) for offset in sorted(few))
        for index in self._entries:
            yield from self.logits(rng, self._top_octave, index)
        for octave in self._octaves:
            for index in (0, 1, self._entries[-1], *(rng.choice(self._entries) for _ in range(16))):
                yield from self.logits(rng, octave, index % (1 << self.unit.logit.frac_bits))
        for i in range(count):
            if i % 2:
                yield from self.logits(rng, rng.choice(self._octaves), rng.choice(self._entries))
            yield rng.getrandbits(self.unit.logit.bits), rng.choice(self._offsets)

    # --- coverage

    def coverage(self) -> Coverage:
        bins = ["zero", "zero with a sign", "positive", "negative", "clamped to max", "clamped to 1", "vanished"]
        goals = dict.fromkeys([*bins, "least offset", "largest offset"], 1)
        return Coverage(goals | {"entries": len(self._entries), "octaves": 2 * len(self._octaves)})

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        (z, offset), logit = transaction[0], self.unit.logit
        if offset in (self._offsets[0], self._offsets[-1]):
            cover.hit("least offset" if offset < 0 else "largest offset")
        negative = reference.sign(z, logit)
        if reference.code(z, logit) == 0:
            cover.hit("zero with a sign" if negative else "zero")
            return
        cover.hit("negative" if negative else "positive")
        octave, index = divmod(self._exponent(z, offset), 1 << logit.frac_bits)
        if octave in self._octaves:
            cover.hit_distinct("octaves", 2 * octave + negative)
        if octave > self._top_octave:
            cover.hit("clamped to 1" if negative else "clamped to max")
        elif octave < -self.unit.loss.frac_bits:
            cover.hit("vanished")
        elif octave == self._top_octave and index in self._entries:
            cover.hit_distinct("entries", index)


@dataclass(frozen=True)
class LossError(_OfDesign, Combinational):
    """From a class's code and log-sum-exp to its error word."""

    module: ClassVar[str] = "lns_loss_error"
    sources: ClassVar[tuple[str, ...]] = ("lns_range.v", "lns_gausslog.v", "lns_convert.v", "lns_loss_error.v")

    def __str__(self) -> str:
        unit = self.unit
        return f"{unit.loss} to {unit.error} {unit.rounding.value} {self.design.loss.table}"

    def exhaustible_within(self, bits: int) -> bool:
        """Never: a code above log-sum-exp is not legal."""
        return False

    def inputs(self) -> tuple[Port, ...]:
        loss, error = self.unit.loss, self.unit.error
        # p is at most the loss format's octaves below 1.0, 1 - p at most F + 2: db of half a code, in a coarse table
        below = max(1 << (loss.code_bits - loss.frac_bits), loss.frac_bits + 2)
        codes = Port("code_i", loss.bits, loss), Port("lse_i", loss.bits, loss)
        return *codes, Port("target_i", 1), octave_port("offset_i", octaves(error) + below)

    def outputs(self) -> tuple[Port, ...]:
        return Port("word_o", self.unit.error.bits, self.unit.error), *self.event_ports()

    @cached_property
    def _table(self) -> Table:
        """The half of it that is used here."""
        source = self.units.loss.table
        roms = {name: rom for name, rom in source.roms.items() if name.startswith("db")}
        return Table(source.kind, source.frac_bits, roms)

    def parameters(self) -> dict[str, int | str]:
        table = {k: value for k, value in table_parameters(self._table).items() if k != "FRAC_BITS"}
        return self._loss_format() | table | {
            "ERROR_BITS": self.unit.error.bits, "ERROR_FRAC_BITS": self.unit.error.frac_bits,
            "ROUND": ROUND[self.unit.rounding], "OFFSET_BITS": self.inputs()[3].width,
        }  # fmt: skip

    def roms(self) -> dict[str, str]:
        return table_roms(self._table)

    def model(self, *operands: int) -> Sequence[int]:
        code, lse, target, offset = operands
        if target and code == lse:
            return 0, *flags(Event(0), self.events)
        u = self._raw(lse - code, target)
        unit = self.unit
        word, events = reference.convert_raw(u, target, unit.loss.frac_bits, unit.error, unit.rounding, offset)
        return word, *flags(events, self.events)

    def _raw(self, distance: int, target: int) -> int:
        """log2 of the error's magnitude, in codes of the loss."""
        return -reference.db(distance, self.unit.table) if target else -distance

    # --- stimuli

    @cached_property
    def _end(self) -> int:
        """The last distance of the table's sweep."""
        return reach(self.unit.loss, self._table)

    @cached_property
    def _offsets(self) -> range:
        return port_values(self.inputs()[3])

    @cached_property
    def _lost(self) -> int:
        """Fraction bits that an error word lacks."""
        return max(0, self.unit.loss.frac_bits - self.unit.error.frac_bits)

    @cached_property
    def _gained(self) -> int:
        return max(0, self.unit.error.frac_bits - self.unit.loss.frac_bits)

    def _codes(self, rng: random.Random, distance: int) -> tuple[int, int]:
        """A code, and log-sum-exp a distance above it."""
        code = rng.randint(1, self.unit.loss.max_code - distance)
        return code, code + distance

    def _with_result(self, rng: random.Random, computed: int, rest: int) -> Beat:
        """A class beside the target whose error has a code before rounding, and a rest below it."""
        loss = self.unit.loss
        u = (((computed - self.unit.error.bias) << self._lost) + rest) >> self._gained
        # -distance - offset·2**F = u
        offset = rng.randint(-((u + loss.max_code - 1) >> loss.frac_bits), -u >> loss.frac_bits)
        return *self._codes(rng, -u - (offset << loss.frac_bits)), 0, offset

    def _target(self, rng: random.Random, distance: int) -> Beat:
        """The target at a distance, at an offset that holds its error or nearly so."""
        octave = self._raw(distance, 1) >> self.unit.loss.frac_bits if distance else 0
        room = octaves(self.unit.error)
        return *self._codes(rng, distance), 1, octave + rng.randint(-room, room - 1)

    @cached_property
    def _rests(self) -> list[int]:
        half = 1 << self._lost >> 1
        return sorted({rest % (1 << self._lost) for rest in (0, 1, half - 1, half, half + 1, -1)})

    def stimuli(self, rng: random.Random, count: int) -> Iterator[Beat]:
        loss, error, offsets = self.unit.loss, self.unit.error, self._offsets
        for distance in (0, 1, 2, self._end, loss.max_code - 1):
            for target in (0, 1):
                for offset in (offsets[0], offsets[0] + 1, -1, 0, 1, offsets[-1]):
                    yield *self._codes(rng, distance), target, offset
        for edge in range_edges(error).values():
            for computed in range(edge - 2, edge + 3):
                for rest in self._rests * 4:
                    yield self._with_result(rng, computed, rest)
        every = range(self._end + 1)
        for distance in every if len(every) <= MOST_DISTANCES else rng.sample(every, MOST_DISTANCES):
            yield self._target(rng, distance)
        for i in range(count):
            computed, rest = rng.randint(0, error.max_code + 1), rng.randrange(1 << self._lost)
            yield self._with_result(rng, computed, rng.choice(self._rests) if i % 2 else rest)
            yield self._target(rng, max(0, min(self._end, int((self._end + 1) ** rng.random()) - 1)))
            yield *self._codes(rng, rng.randrange(loss.max_code)), rng.getrandbits(1), rng.choice(offsets)

    # --- coverage

    def coverage(self) -> Coverage:
        error, nearest = self.unit.error, self.unit.rounding is Rounding.NEAREST
        bins = ["target: certain", "target: in range", "other: certain", "in range", "saturate", "underflow"]
        bins += ["target: saturate", "target: underflow", "furthest", "least offset", "largest offset"]
        # an error with more fraction bits has codes that nothing is converted to
        edges = range_edges(error).items()
        bins += [name for name, code in edges if (code - error.bias) % (1 << self._gained) == 0]
        if self._lost:
            bins.append("exact")
            if nearest:
                bins += ["tie, down to even", "tie, up to even"]
        if self._lost > 1:
            bins += ["below half", "above half"]
        if reference.db(self.unit.loss.max_code - 1, self.unit.table) == 0:
            bins.append("target: beyond the table")
        goals = dict.fromkeys(bins, 1)
        if self._end < MOST_DISTANCES:
            goals["distances"] = self._end + 1
        return Coverage(goals)

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        (code, lse, target, offset), error = transaction[0], self.unit.error
        distance = lse - code
        if offset in (self._offsets[0], self._offsets[-1]):
            cover.hit("least offset" if offset < 0 else "largest offset")
        if distance == 0:
            cover.hit("target: certain" if target else "other: certain")
        if distance == self.unit.loss.max_code - 1:
            cover.hit("furthest")
        if target and distance <= self._end:
            cover.hit_distinct("distances", distance)
        if target and distance == 0:
            return
        u = self._raw(distance, target)
        if target and u == 0:
            cover.hit("target: beyond the table")
        u -= offset << self.unit.loss.frac_bits
        floor, rest = ((u << self._gained) >> self._lost) + error.bias, u % (1 << self._lost)
        computed, half = floor, 1 << self._lost >> 1
        if self._lost:
            cover.hit(
                "exact" if rest == 0 else "tie" if rest == half else "below half" if rest < half else "above half"
            )
        if self.unit.rounding is Rounding.NEAREST and self._lost and rest >= half:
            computed += rest > half or floor % 2
            if rest == half:
                cover.hit("tie, up to even" if computed > floor else "tie, down to even")
        if target:
            part = "saturate" if computed > error.max_code else "underflow" if computed <= 0 else "in range"
            cover.hit(f"target: {part}")
        else:
            hit_range(cover, computed, error)


@dataclass(frozen=True)
class Loss(_OfDesign):
    """The loss unit: the logits of a sample in, its error words out."""

    classes: int = CLASSES

    module: ClassVar[str] = "lns_loss"
    sources: ClassVar[tuple[str, ...]] = (
        "lns_range.v", "lns_gausslog.v", "lns_add.v", "lns_convert.v", "lns_loss_code.v", "lns_loss_error.v",
        "lns_loss.v",
    )  # fmt: skip
    events: ClassVar[Event] = Event.SATURATE | Event.UNDERFLOW | Event.ACC_SATURATE
    sequential: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"{self.code}, {self.error}, up to {self.classes} classes"

    @cached_property
    def code(self) -> LossCode:
        return LossCode(self.design)

    @cached_property
    def error(self) -> LossError:
        return LossError(self.design)

    def inputs(self) -> tuple[Port, ...]:
        (word, logit_offset), error_offset = self.code.inputs(), self.error.inputs()[3]
        offsets = replace(logit_offset, name="logit_offset_i"), replace(error_offset, name="error_offset_i")
        return Port("last_i", 1), word, Port("target_i", 1), *offsets

    def outputs(self) -> tuple[Port, ...]:
        return Port("last_o", 1), self.error.outputs()[0], *self.event_ports(), Port("loss_o", self.unit.loss.bits)

    def parameters(self) -> dict[str, int | str]:
        code, error = self.code.parameters(), self.error.parameters()
        widths = {"LOGIT_OFFSET_BITS": code.pop("OFFSET_BITS"), "ERROR_OFFSET_BITS": error.pop("OFFSET_BITS")}
        table = table_parameters(self.units.loss.table)
        table.pop("FRAC_BITS")
        return code | error | table | widths | {"CLASSES": self.classes}

    def roms(self) -> dict[str, str]:
        return self.code.roms() | table_roms(self.units.loss.table)

    def results(self, transaction: Transaction) -> int:
        return len(transaction)

    def expect(self, transaction: Transaction) -> tuple[Beat, ...]:
        _, words, targets, logit_offsets, error_offsets = zip(*transaction, strict=True)
        target = targets.index(1)
        out, events, loss = reference.loss(words, target, logit_offsets[-1], error_offsets[-1], self.unit)
        last = len(out) - 1
        return tuple((int(j == last), out[j], *flags(events[j], self.events), loss) for j in range(len(out)))

    # --- stimuli

    def _sample(self, logits: Sequence[int], target: int, logit_offset: int, error_offset: int) -> Transaction:
        last = len(logits) - 1
        return tuple((int(j == last), z, int(j == target), logit_offset, error_offset) for j, z in enumerate(logits))

    def _offsets(self, rng: random.Random) -> tuple[int, int]:
        """Of logits from vanishing to clamped ones and of errors that fit or nearly so; or any."""
        logit, error = (port_values(port) for port in self.inputs()[3:])
        if rng.random() < 0.1:
            return rng.choice(logit), rng.choice(error)
        near = octaves(self.unit.error)
        return (
            rng.randint(max(logit[0], -self.unit.loss.frac_bits), min(logit[-1], 4)),
            rng.randint(max(error[0], -near), min(error[-1], 2 * near)),
        )

    def transactions(self, seed: int, count: int, exhaustive: bool) -> list[Transaction]:
        return list(self._samples(self.random(seed), count))

    def _samples(self, rng: random.Random, count: int) -> Iterator[Transaction]:
        logit, largest = self.unit.logit, port_values(self.inputs()[3])[-1]
        for classes in range(1, self.classes + 1):
            for target in range(classes):
                zeros = [rng.choice((0, logit.sign_bit)) for _ in range(classes)]
                for words in (zeros, [rng.getrandbits(logit.bits)] * classes):
                    yield self._sample(words, target, *self._offsets(rng))
                # every code clamped: at one end, and the target's or all others at the other end
                high = rng.randint(1, logit.max_code)
                low = high | logit.sign_bit
                for own, other in ((high, high), (high, low), (low, high), (low, low)):
                    words = [own if j == target else other for j in range(classes)]
                    yield self._sample(words, target, largest, self._offsets(rng)[1])
        for _ in range(count):
            classes = rng.randint(1, self.classes)
            spread = rng.choice((1 << logit.frac_bits, logit.max_code))  # around 1.0
            least, most = max(0, logit.bias - spread), min(logit.max_code, logit.bias + spread)
            words = [random_word(rng, logit, rng.randint(least, most)) for _ in range(classes)]
            yield self._sample(words, rng.randrange(classes), *self._offsets(rng))

    # --- coverage

    def coverage(self) -> Coverage:
        bins = ["loss zero", "no event", "clamped to max", "clamped to 1", "certain target"]
        if self.classes > 1:  # a single class is certain, and has no error
            bins += ["loss", "error of the target", "one code clamped, not all", "saturate", "underflow"]
            if reference.sb(0, self.unit.table):
                bins.append("log-sum-exp saturates")
        return Coverage({"numbers of classes": self.classes, "targets": self.classes} | dict.fromkeys(bins, 1))

    def sample(self, cover: Coverage, transaction: Transaction) -> None:
        _, words, targets, logit_offsets, error_offsets = zip(*transaction, strict=True)
        target = targets.index(1)
        cover.hit_distinct("numbers of classes", len(words))
        cover.hit_distinct("targets", target)
        codes = [reference.loss_code(z, logit_offsets[-1], self.unit) for z in words]
        total, summed = 0, Event(0)
        for code, clamped in codes:
            total, added = reference.add(total, code, self.unit.loss, self.unit.table)
            summed |= added
            if clamped:
                cover.hit("clamped to 1" if code == 1 else "clamped to max")
        if summed:
            cover.hit("log-sum-exp saturates")
        elif 0 < sum(bool(clamped) for _, clamped in codes) < len(codes):
            cover.hit("one code clamped, not all")
        out, events, loss = reference.loss(words, target, logit_offsets[-1], error_offsets[-1], self.unit)
        cover.hit("loss" if loss else "loss zero")
        cover.hit("error of the target" if out[target] else "certain target")
        for raised in events:
            for event, name in ((Event.SATURATE, "saturate"), (Event.UNDERFLOW, "underflow")):
                if event in raised:
                    cover.hit(name)
            if not raised:
                cover.hit("no event")


def instances(design: Design) -> list[Unit]:
    """The loss unit and its parts."""
    return [LossCode(design, label="loss"), LossError(design, label="loss"), Loss(design, label="loss")]
