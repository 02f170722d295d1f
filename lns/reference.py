"""The definition of every hardware unit, in plain integers.

One function a unit, written to be read beside docs/spec.md, whose sections the docstrings name. Words go in and
words come out; with each emitted word comes the `Event` flags it raised. Kernels and Verilog are judged against
this file; speed is no reason to change it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from lns import exact
from lns.format import Event, LNSFormat, Rounding
from lns.gausslog import Ints, Table

NONE = Event(0)

Rom = Sequence[int] | Ints  # read one entry at a time


# --- words (section 1) ---------------------------------------------------------------------------------------------


def sign(word: int, fmt: LNSFormat) -> int:
    """1 for a negative word, else 0."""
    return 1 if word & fmt.sign_bit else 0


def code(word: int, fmt: LNSFormat) -> int:
    return word & fmt.max_code


def raw(word: int, fmt: LNSFormat) -> int:
    return code(word, fmt) - fmt.bias


def emit(negative: int, computed: int, fmt: LNSFormat) -> tuple[int, Event]:
    """The range rule (1.2): from a computed code to a word."""
    if computed > fmt.max_code:
        return (fmt.sign_bit if negative else 0) | fmt.max_code, Event.SATURATE
    if computed <= 0:
        return 0, Event.UNDERFLOW
    return (fmt.sign_bit if negative else 0) | computed, NONE


def encode(x: Fraction, fmt: LNSFormat, offset: int = 0, rounding: Rounding = Rounding.NEAREST) -> tuple[int, Event]:
    """Real to word (1.4), for a finite rational x."""
    if x == 0:
        return 0, NONE
    if x < 0 and not fmt.signed:
        return 0, Event.INVALID
    logarithm = exact.round_log2(abs(x), fmt.frac_bits, down=rounding is Rounding.DOWN)
    return emit(int(x < 0), logarithm - (offset << fmt.frac_bits) + fmt.bias, fmt)


def convert_raw(
    u: int, negative: int, frac_bits: int, fmt: LNSFormat, rounding: Rounding, offset: int
) -> tuple[int, Event]:
    """The heart of 1.6: the nonzero magnitude 2**(u/2**frac_bits) to a word of fmt at an offset."""
    if negative and not fmt.signed:
        return 0, Event.INVALID
    u -= offset << frac_bits
    t = frac_bits - fmt.frac_bits
    if t <= 0:
        r = u << -t
    else:
        r = u >> t
        rest, half = u - (r << t), 1 << (t - 1)
        if rounding is Rounding.NEAREST and (rest > half or (rest == half and (r + fmt.bias) & 1)):
            r += 1
    return emit(negative, r + fmt.bias, fmt)


def convert(
    word: int,
    source: LNSFormat,
    fmt: LNSFormat,
    source_offset: int = 0,
    offset: int = 0,
    rounding: Rounding = Rounding.NEAREST,
) -> tuple[int, Event]:
    """Between formats (1.6)."""
    if code(word, source) == 0:
        return 0, NONE
    u = raw(word, source) + (source_offset << source.frac_bits)
    return convert_raw(u, sign(word, source), source.frac_bits, fmt, rounding, offset)


# --- multiply, divide, square, square root (section 2) --------------------------------------------------------------


def mul(a: int, b: int, fmt: LNSFormat) -> tuple[int, Event]:
    if code(a, fmt) == 0 or code(b, fmt) == 0:
        return 0, NONE
    return emit(sign(a, fmt) ^ sign(b, fmt), raw(a, fmt) + raw(b, fmt) + fmt.bias, fmt)


def div(a: int, b: int, fmt: LNSFormat) -> tuple[int, Event]:
    if code(b, fmt) == 0:
        if code(a, fmt) == 0:
            return 0, Event.INVALID
        return (a & fmt.sign_bit) | fmt.max_code, Event.DIVIDE_BY_ZERO
    if code(a, fmt) == 0:
        return 0, NONE
    return emit(sign(a, fmt) ^ sign(b, fmt), raw(a, fmt) - raw(b, fmt) + fmt.bias, fmt)


def square(a: int, fmt: LNSFormat) -> tuple[int, Event]:
    if code(a, fmt) == 0:
        return 0, NONE
    return emit(0, 2 * raw(a, fmt) + fmt.bias, fmt)


def sqrt(a: int, fmt: LNSFormat) -> tuple[int, Event]:
    if code(a, fmt) == 0:
        return 0, NONE
    if sign(a, fmt):
        return 0, Event.INVALID
    return emit(0, (raw(a, fmt) >> 1) + fmt.bias, fmt)


# --- log-add (section 3) ---------------------------------------------------------------------------------------------


def _entry(table: Table, rom: str, index: int) -> int:
    values = table.roms[rom]
    return int(values[index]) if index < len(values) else 0


def _linear(d: int, table: Table, name: str) -> int:
    j, x = d >> table.kind.k, d % (1 << table.kind.k)
    return (_entry(table, f"{name}_base", j) - _entry(table, f"{name}_slope", j) * x) >> table.kind.g


def sb(d: int, table: Table) -> int:
    """What is added to the larger code for equal signs at the distance d >= 0 (3.3)."""
    if table.kind.kind == "mitchell":
        q, r = d >> table.frac_bits, d % (1 << table.frac_bits)
        return ((2 << table.frac_bits) - r) >> (q + 1)
    if table.kind.kind == "linear":
        return _linear(d, table, "sb")
    return _entry(table, "sb", d >> table.kind.k)


def db(d: int, table: Table) -> int:
    """What is taken from the larger code for unlike signs at the distance d >= 1 (3.3)."""
    if table.kind.kind == "mitchell":
        y = (1 << table.frac_bits) - sb(d, table)
        below = table.frac_bits - (y.bit_length() - 1)  # octaves of y under 1
        return (below << table.frac_bits) - ((y << below) - (1 << table.frac_bits))
    if table.kind.kind == "linear":
        if d >> table.kind.k == 0:
            return _entry(table, "db_first", d)
        return _linear(d, table, "db")
    return _entry(table, "db", d >> table.kind.k)


def add(a: int, b: int, fmt: LNSFormat, table: Table) -> tuple[int, Event]:
    """Log-add (3.1)."""
    if code(a, fmt) == 0:
        return (b if code(b, fmt) else 0), NONE
    if code(b, fmt) == 0:
        return a, NONE
    large, small = (a, b) if code(a, fmt) >= code(b, fmt) else (b, a)
    d = code(large, fmt) - code(small, fmt)
    if sign(a, fmt) == sign(b, fmt):
        return emit(sign(large, fmt), code(large, fmt) + sb(d, table), fmt)
    if d == 0:
        return 0, NONE
    return emit(sign(large, fmt), code(large, fmt) - db(d, table), fmt)


# --- antilog, linear accumulator, linear to log (sections 4 to 6) ----------------------------------------------------


def shift(value: int, places: int) -> int:
    """value·2**places, truncated."""
    return value << places if places >= 0 else value >> -places


def antilog(p: int, h: int, rom: Rom, rom_bits: int, frac_bits: int) -> int:
    """2**(p/2**F) in units of 2**-h, from a ROM of T bits, truncated (section 4)."""
    i, q = p % (1 << frac_bits), p >> frac_bits
    return shift(int(rom[i]), q - (rom_bits - 1) + h)


@dataclass(frozen=True, slots=True)
class LinearDot:
    """What a linear dot product needs besides its operands (section 5)."""

    a: LNSFormat
    b: LNSFormat
    rom: Rom
    rom_bits: int
    guard: int
    bits: int
    lanes: int

    @property
    def frac_bits(self) -> int:
        return max(self.a.frac_bits, self.b.frac_bits)

    def product_code(self, raw_a: int, raw_b: int) -> int:
        return (raw_a << (self.frac_bits - self.a.frac_bits)) + (raw_b << (self.frac_bits - self.b.frac_bits))

    @property
    def largest_octave(self) -> int:
        """q_max, the integer part of the largest product of the two formats."""
        return self.product_code(self.a.max_raw, self.b.max_raw) >> self.frac_bits

    @property
    def least_exponent(self) -> int:
        """log2 of the weight of the accumulator's least bit, offsets aside."""
        return self.largest_octave - self.guard

    def magnitude(self, p: int) -> int:
        return antilog(p, -self.least_exponent, self.rom, self.rom_bits, self.frac_bits)

    @property
    def safe_length(self) -> int:
        """K_safe: that many terms can never saturate the accumulator."""
        largest = self.magnitude(self.product_code(self.a.max_raw, self.b.max_raw))
        return ((1 << (self.bits - 1)) - 1) // largest


def term(a: int, b: int, unit: LinearDot) -> int:
    """One signed term of a linear dot product."""
    if code(a, unit.a) == 0 or code(b, unit.b) == 0:
        return 0
    magnitude = unit.magnitude(unit.product_code(raw(a, unit.a), raw(b, unit.b)))
    return -magnitude if sign(a, unit.a) != sign(b, unit.b) else magnitude


def dot_linear(a: Sequence[int], b: Sequence[int], unit: LinearDot) -> tuple[int, Event]:
    """The accumulator after the dot product of two rows of words (section 5)."""
    least, most = -(1 << (unit.bits - 1)), (1 << (unit.bits - 1)) - 1
    total, events = 0, NONE
    for first in range(0, len(a), unit.lanes):
        last = min(first + unit.lanes, len(a))
        total += sum(term(a[k], b[k], unit) for k in range(first, last))
        if not least <= total <= most:
            total, events = max(least, min(total, most)), Event.ACC_SATURATE
    return total, events


def linear_to_log(
    value: int, least_exponent: int, rom: Rom, index_bits: int, fmt: LNSFormat, offset: int = 0
) -> tuple[int, Event]:
    """An accumulator whose least bit weighs 2**least_exponent (offsets in) to a word (section 6)."""
    if value == 0:
        return 0, NONE
    magnitude = abs(value)
    e = magnitude.bit_length() - 1
    m = shift(magnitude, index_bits - e) % (1 << index_bits)
    computed = ((e + least_exponent - offset) << fmt.frac_bits) + int(rom[m]) + fmt.bias
    return emit(int(value < 0), computed, fmt)


# --- log accumulator (section 7) -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LogDot:
    """What a logarithmic dot product needs besides its operands (section 7)."""

    a: LNSFormat
    b: LNSFormat
    acc: LNSFormat
    offset: int
    table: Table
    lanes: int


def product(a: int, b: int, unit: LogDot) -> tuple[int, Event]:
    """The product of two words as a word of the accumulator."""
    if code(a, unit.a) == 0 or code(b, unit.b) == 0:
        return 0, NONE
    f = unit.acc.frac_bits
    r = (raw(a, unit.a) << (f - unit.a.frac_bits)) + (raw(b, unit.b) << (f - unit.b.frac_bits))
    word, event = emit(sign(a, unit.a) ^ sign(b, unit.b), r - (unit.offset << f) + unit.acc.bias, unit.acc)
    return word, accumulator_event(event)


def accumulator_event(event: Event) -> Event:
    """What saturate and underflow are called inside an accumulator."""
    return {NONE: NONE, Event.SATURATE: Event.ACC_SATURATE, Event.UNDERFLOW: Event.ACC_UNDERFLOW}[event]


def dot_log(a: Sequence[int], b: Sequence[int], unit: LogDot) -> tuple[int, Event]:
    """The word in the accumulator format after the dot product of two rows of words (section 7)."""
    events = NONE
    partial = [0] * unit.lanes
    for k in range(len(a)):
        word, event = product(a[k], b[k], unit)
        partial[k % unit.lanes], added = add(partial[k % unit.lanes], word, unit.acc, unit.table)
        events |= event | accumulator_event(added)
    while len(partial) > 1:
        pairs = [add(partial[i], partial[i + 1], unit.acc, unit.table) for i in range(0, len(partial), 2)]
        partial = [word for word, _ in pairs]
        for _, added in pairs:
            events |= accumulator_event(added)
    return partial[0], events


# --- update unit (section 8) -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UpdateUnit:
    """The fixed part of the update unit; the constants of a step are in `UpdateConstants`."""

    weight: LNSFormat
    gradient: LNSFormat
    moment: LNSFormat
    table: Table
    rom: Rom
    rom_bits: int
    step_frac_bits: int
    rounding: Rounding
    flip: bool


@dataclass(frozen=True, slots=True)
class UpdateConstants:
    """The controller's constants for one tensor in one step, in codes at F_u."""

    read: int
    term: int
    correction: int
    clip: int
    lr: int


def moment(g: int, v: int, unit: UpdateUnit, constants: UpdateConstants) -> tuple[int, Event]:
    """The second moment's new word."""
    read, read_event = emit(0, v + constants.read, unit.moment) if v else (0, NONE)
    square_of_g, term_event = 0, NONE
    if code(g, unit.gradient):
        doubled = 2 * raw(g, unit.gradient) << (unit.moment.frac_bits - unit.gradient.frac_bits)
        square_of_g, term_event = emit(0, doubled + constants.term + unit.moment.bias, unit.moment)
    word, sum_event = add(read, square_of_g, unit.moment, unit.table)
    return word, read_event | term_event | sum_event


def update(
    w: int, g: int, v: int, unit: UpdateUnit, constants: UpdateConstants, random: int = 0
) -> tuple[int, int, Event, Event]:
    """One weight: (new weight, new moment, the weight's events, the moment's events)."""
    v, moment_events = moment(g, v, unit, constants)
    if code(g, unit.gradient) == 0 or v == 0:
        return w, v, NONE, moment_events
    events = NONE
    doubled = 2 * raw(g, unit.gradient) << (unit.moment.frac_bits - unit.gradient.frac_bits)
    n = (doubled - raw(v, unit.moment) - constants.correction) >> 1
    if n > constants.clip:
        n, events = constants.clip, Event.CLIP
    r = unit.step_frac_bits
    fine = antilog(n + constants.lr, r, unit.rom, unit.rom_bits, unit.moment.frac_bits)
    if unit.rounding is Rounding.STOCHASTIC:
        step = (fine + random) >> r
    else:
        step, rest = fine >> r, fine % (1 << r)
        if 2 * rest > 1 << r or (2 * rest == 1 << r and step & 1):
            step += 1
    negative = sign(w, unit.weight)
    computed = code(w, unit.weight) + (step if sign(g, unit.gradient) != negative else -step)
    if computed > unit.weight.max_code:
        computed, events = unit.weight.max_code, events | Event.SATURATE
    elif computed < 1:
        computed, events = 1, events | Event.UNDERFLOW
        negative ^= unit.flip
    return (unit.weight.sign_bit if negative else 0) | computed, v, events, moment_events


def lfsr_seed(run_seed: int, lane: int) -> int:
    """The initial state of a lane's LFSR (8.1)."""
    mask = 0xFFFFFFFF
    x = (run_seed * 0x9E3779B9 + (lane + 1) * 0x7F4A7C15) & mask
    x ^= x >> 16
    x = x * 0x85EBCA6B & mask
    x ^= x >> 13
    x = x * 0xC2B2AE35 & mask
    x ^= x >> 16
    return x or 1


def lfsr_draw(state: int, r: int) -> tuple[int, int]:
    """(new state, R) after r shifts (8.1)."""
    for _ in range(r):
        new = (state >> 31 ^ state >> 21 ^ state >> 1 ^ state) & 1
        state = (state << 1 | new) & 0xFFFFFFFF
    return state, state % (1 << r)


# --- loss unit (section 9) -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LossUnit:
    """The fixed part of the loss unit; ``scale`` is c_e."""

    logit: LNSFormat
    loss: LNSFormat
    error: LNSFormat
    table: Table
    rom: Rom
    rom_bits: int
    scale: int
    rounding: Rounding


def loss_code(z: int, offset: int, unit: LossUnit) -> tuple[int, Event]:
    """The code of e**z in the loss format."""
    x = 0
    if code(z, unit.logit):
        p = raw(z, unit.logit) + (offset << unit.logit.frac_bits) + unit.scale
        x = antilog(p, unit.loss.frac_bits, unit.rom, unit.rom_bits, unit.logit.frac_bits)
        x = -x if sign(z, unit.logit) else x
    computed = x + unit.loss.bias
    clamped = max(1, min(computed, unit.loss.max_code))
    return clamped, NONE if clamped == computed else Event.ACC_SATURATE


def loss(
    logits: Sequence[int], target: int, logit_offset: int, error_offset: int, unit: LossUnit
) -> tuple[list[int], list[Event], int]:
    """(error words, their events, loss in 2**-F_l octaves) of one sample."""
    codes = [loss_code(z, logit_offset, unit) for z in logits]
    total, events = 0, NONE
    for c, _ in codes:
        total, added = add(total, c, unit.loss, unit.table)
        events |= accumulator_event(added)
    words, flags = [], []
    for j, (c, clamped) in enumerate(codes):
        d = total - c
        if j != target:
            word, event = convert_raw(-d, 0, unit.loss.frac_bits, unit.error, unit.rounding, error_offset)
        elif d == 0:
            word, event = 0, NONE
        else:
            word, event = convert_raw(
                -db(d, unit.table), 1, unit.loss.frac_bits, unit.error, unit.rounding, error_offset
            )
        words.append(word)
        flags.append(events | clamped | event)
    return words, flags, total - codes[target][0]


# --- ReLU, maximum, order (section 10); offsets (section 11) ---------------------------------------------------------


def relu(a: int, fmt: LNSFormat) -> int:
    return 0 if sign(a, fmt) or code(a, fmt) == 0 else a


def order_key(a: int, fmt: LNSFormat) -> int:
    """Order of words is order of these."""
    return -code(a, fmt) if sign(a, fmt) else code(a, fmt)


def maximum(a: int, b: int, fmt: LNSFormat) -> int:
    larger = a if order_key(a, fmt) >= order_key(b, fmt) else b
    return larger if code(larger, fmt) else 0


def argmax(words: Sequence[int], fmt: LNSFormat) -> int:
    """The lowest index with the largest key: the predicted class."""
    keys = [order_key(a, fmt) for a in words]
    return keys.index(max(keys))


def next_offset(
    offset: int, largest_code: int, saturated: bool, fmt: LNSFormat, holds_one: bool = False, headroom: int = 0
) -> int:
    """The offset for the next step from what the monitor saw in this one (section 11)."""
    if largest_code:
        offset += 1 if saturated else headroom - ((fmt.max_code - largest_code) >> fmt.frac_bits)
    if holds_one:
        offset = max(-fmt.one_offset_limit, min(offset, fmt.one_offset_limit))
    return offset


# --- encoder and decoder (section 13) --------------------------------------------------------------------------------

_FLOAT_INFINITY = 255 << 23  # the pattern of a float32, without its sign
_FLOAT_LEAST = -149  # log2 of the smallest float32


def encode_float(bits: int, fmt: LNSFormat, offset: int = 0) -> tuple[int, Event]:
    """The pattern of a float32 to a word (13.1)."""
    negative, pattern = bits >> 31, bits % (1 << 31)
    exponent, fraction = pattern >> 23, pattern % (1 << 23)
    if pattern > _FLOAT_INFINITY:  # NaN
        return 0, Event.INVALID
    if pattern == _FLOAT_INFINITY:
        if negative and not fmt.signed:
            return 0, Event.INVALID
        return (fmt.sign_bit if negative else 0) | fmt.max_code, Event.SATURATE
    magnitude = fraction + (1 << 23 if exponent else 0)
    x = magnitude * Fraction(2) ** (max(exponent, 1) - 1 + _FLOAT_LEAST)
    return encode(-x if negative else x, fmt, offset)


def encode_fixed(value: int, frac_bits: int, fmt: LNSFormat, offset: int = 0) -> tuple[int, Event]:
    """The fixed-point number value·2**-frac_bits to a word (13.1)."""
    return encode(value * Fraction(2) ** -frac_bits, fmt, offset)


def decode_float(word: int, fmt: LNSFormat, offset: int = 0) -> tuple[int, Event]:
    """A word to the pattern of a float32 (13.2)."""
    if code(word, fmt) == 0:
        return 0, NONE
    p = raw(word, fmt) + (offset << fmt.frac_bits)
    unit = max((p >> fmt.frac_bits) - 23, _FLOAT_LEAST)
    # a leading one at place 23 counts the exponent up, and so does a carry out of it
    pattern = ((unit - _FLOAT_LEAST) << 23) + exact.round_exp2(p, fmt.frac_bits, -unit)
    events = Event.SATURATE if pattern >= _FLOAT_INFINITY else NONE if pattern else Event.UNDERFLOW
    return sign(word, fmt) << 31 | min(pattern, _FLOAT_INFINITY), events


def decode_fixed(word: int, fmt: LNSFormat, offset: int, bits: int, frac_bits: int) -> tuple[int, Event]:
    """A word to the fixed-point number of so many bits, times 2**frac_bits (13.2)."""
    if code(word, fmt) == 0:
        return 0, NONE
    p = raw(word, fmt) + ((offset + frac_bits) << fmt.frac_bits)
    magnitude = exact.round_exp2(min(p, bits << fmt.frac_bits), fmt.frac_bits, 0)  # from 2**bits on all saturate
    value = -magnitude if sign(word, fmt) else magnitude
    clamped = max(-1 << (bits - 1), min(value, (1 << (bits - 1)) - 1))
    if clamped != value:
        return clamped, Event.SATURATE
    return value, NONE if value else Event.UNDERFLOW
