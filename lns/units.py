"""The units of a design: its widths and constants turned into ROMs, once, for definition, kernels, Verilog and
reports alike."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from typing import overload

from lns import exact
from lns.design import Accumulator, Design, LinearAccumulator, LogAccumulator, SignRule, exact_decimal
from lns.format import LNSFormat
from lns.gausslog import Ints, antilog_rom, log_rom, table
from lns.reference import LinearDot, LogDot, LossUnit, UpdateConstants, UpdateUnit


@overload
def dot_unit(accumulator: LinearAccumulator, a: LNSFormat, b: LNSFormat) -> LinearDot: ...
@overload
def dot_unit(accumulator: LogAccumulator, a: LNSFormat, b: LNSFormat) -> LogDot: ...
def dot_unit(accumulator: Accumulator, a: LNSFormat, b: LNSFormat) -> LinearDot | LogDot:
    """The dot product of rows of format a with rows of format b in an accumulator, with its ROM or table."""
    if isinstance(accumulator, LinearAccumulator):
        rom, acc = antilog_rom(max(a.frac_bits, b.frac_bits), accumulator.antilog_bits), accumulator
        return LinearDot(a, b, rom, acc.antilog_bits, acc.guard, acc.bits, acc.lanes)
    fmt = accumulator.format
    return LogDot(a, b, fmt, accumulator.offset, table(accumulator.table, fmt.frac_bits), accumulator.lanes)


@cache  # one entry a learning rate
def _lr_constant(lr: Fraction, weight_frac_bits: int, moment_frac_bits: int) -> int:
    return exact.round_log2_over_ln2(lr * (1 << weight_frac_bits), moment_frac_bits)


@dataclass(frozen=True)
class Units:
    """The units of one design; everything is built when it is first asked for."""

    design: Design

    @cache  # noqa: B019 - a design has a handful of operand pairs, and lives as long as its units
    def dot(self, a: LNSFormat, b: LNSFormat) -> LinearDot | LogDot:
        """The dot product of rows of format a with rows of format b."""
        return dot_unit(self.design.accumulator, a, b)

    def index_bits(self, fmt: LNSFormat) -> int:
        """M of the linear-to-log unit that emits fmt."""
        acc = self.design.accumulator
        if not isinstance(acc, LinearAccumulator):
            raise ValueError(f"design {self.design.name} has a log accumulator: it needs no linear-to-log unit")
        return fmt.frac_bits + acc.index_extra_bits

    def to_log_rom(self, fmt: LNSFormat) -> Ints:
        """R of the linear-to-log unit that emits fmt."""
        return log_rom(fmt.frac_bits, self.index_bits(fmt))

    @cached_property
    def update(self) -> UpdateUnit:
        formats, update = self.design.formats, self.design.update
        return UpdateUnit(
            formats.weight,
            formats.gradient,
            update.moment,
            table(update.table, update.moment.frac_bits),
            antilog_rom(update.moment.frac_bits, update.antilog_bits),
            update.antilog_bits,
            update.step_frac_bits,
            update.rounding,
            update.sign_rule is SignRule.FLIP,
        )

    @cached_property
    def _corrections(self) -> Ints:
        return table(type(self.design.update.table)(), self.design.update.moment.frac_bits).roms["db"]

    def correction(self, distance: int) -> int:
        """DB(distance) at the moment's fraction bits: -log2(1 - beta**t) for distance = kappa·t, rounded."""
        rom = self._corrections
        return int(rom[distance]) if distance < rom.size else 0

    def update_constants(
        self, t: int, offset: int, previous_offset: int, lr: Fraction | None = None
    ) -> UpdateConstants:
        """The controller's constants for one tensor (spec, section 8).

        Parameters
        ----------
        t : int
            Number of this update, from 1.
        offset, previous_offset : int
            The gradient's offset now and at the previous update, octaves.
        lr : Fraction, optional
            Learning rate of this step; by default the design's.
        """
        update = self.design.update
        unit = 1 << update.moment.frac_bits
        return UpdateConstants(
            read=2 * (previous_offset - offset) * unit - update.kappa,
            term=-self.correction(update.kappa) - update.moment_offset * unit,
            correction=update.moment_offset * unit + self.correction(update.kappa * t),
            clip=self._clip,
            lr=_lr_constant(
                exact_decimal(update.lr) if lr is None else lr,
                self.design.formats.weight.frac_bits,
                update.moment.frac_bits,
            ),
        )

    @cached_property
    def _clip(self) -> int:
        return exact.round_log2(exact_decimal(self.design.update.clip), self.design.update.moment.frac_bits)

    @cached_property
    def loss(self) -> LossUnit:
        formats, loss = self.design.formats, self.design.loss
        frac_bits = formats.activation.frac_bits
        return LossUnit(
            formats.activation,
            loss.format,
            formats.error,
            table(loss.table, loss.format.frac_bits),
            antilog_rom(frac_bits, loss.antilog_bits),
            loss.antilog_bits,
            exact.round_log2_log2_e(frac_bits),
            self.design.conversion.rounding,
        )

    def weight_offset(self, cap_exponent: int, fmt: LNSFormat) -> int:
        """The offset at which code max of a weight format lies one code below 2**cap_exponent."""
        return cap_exponent - (1 << (fmt.code_bits - 1 - fmt.frac_bits))
