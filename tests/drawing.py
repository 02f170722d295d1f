"""What the tests of the kernels draw: dot product units, operands, and how these lie in memory."""

from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from lns import gausslog, load, preset_names
from lns.format import LNSFormat
from lns.gausslog import TableKind, table
from lns.reference import LinearDot, LogDot
from lns.units import Units

KINDS = ["full", "coarse<1>", "coarse<3>", "coarse<7>", "linear<2,6>", "linear<4,3>", "mitchell"]
WIDTHS = [1, 10, 15, 16, 17, 31, 32, 33, 63, 64, 65]


def linear_dot(a, b=None, rom_bits=8, guard=12, bits=24, lanes=16):
    a, b = LNSFormat.parse(a), LNSFormat.parse(b or a)
    rom = gausslog.antilog_rom(max(a.frac_bits, b.frac_bits), rom_bits)
    return LinearDot(a, b, rom, rom_bits, guard, bits, lanes)


def log_dot(a, b=None, acc="lns<15,8>", offset=0, lanes=16, kind="full"):
    a, b, acc = LNSFormat.parse(a), LNSFormat.parse(b or a), LNSFormat.parse(acc)
    return LogDot(a, b, acc, offset, table(TableKind.parse(kind), acc.frac_bits), lanes)


def name_of(unit):
    if isinstance(unit, LinearDot):
        return f"{unit.a}-{unit.b}-linear-{unit.rom_bits}-{unit.guard}-{unit.bits}-{unit.lanes}"
    return f"{unit.a}-{unit.b}-{unit.acc}-{unit.offset}-{unit.table.kind}-{unit.lanes}"


def preset_dots():
    """The dot products of a training step (forward, gradient, backward) on every preset, each once."""
    out = {}
    for name in preset_names():
        formats, units = load(name).formats, Units(load(name))
        pairs = (formats.activation, formats.operand), (formats.error, formats.activation)
        for pair in (*pairs, (formats.error, formats.operand)):
            unit = units.dot(*pair)
            out.setdefault(name_of(unit), unit)
    return list(out.values())


def every_word(fmt):
    return np.arange(1 << fmt.bits, dtype=fmt.dtype)


def corners(fmt):
    """Both zeros, the smallest and largest words, 1.0 and its neighbours, with either sign."""
    codes = [0, 1, fmt.bias - 1, fmt.bias, min(fmt.bias + 1, fmt.max_code), fmt.max_code]
    return np.unique(np.array([code | sign for code in codes for sign in (0, fmt.sign_bit)], fmt.dtype))


STYLES = ["any", "corners", "twins", "octaves", "high", "low", "zeros"]


def draw_words(fmt, shape, rng, style, centre):
    """Random words: of all kinds, or about a code such that sums cancel, or of the largest, least, or mostly zeros."""
    if style == "corners":
        return rng.choice(corners(fmt), shape)
    octave = 1 << fmt.frac_bits
    codes = {
        "any": lambda: rng.integers(0, fmt.max_code + 1, shape),
        "twins": lambda: centre - rng.integers(0, 2, shape),
        "octaves": lambda: centre + rng.integers(-2 * octave, 2 * octave, shape),
        "high": lambda: fmt.max_code - rng.integers(0, 2 * octave, shape),
        "low": lambda: 1 + rng.integers(0, 2 * octave, shape),
        "zeros": lambda: rng.integers(0, fmt.max_code + 1, shape) * (rng.random(shape) < 0.2),
    }[style]()
    codes = np.where(rng.random(shape) < 0.05, 0, np.clip(codes, 0, fmt.max_code))
    return (codes | np.where(rng.random(shape) < 0.5, fmt.sign_bit, 0)).astype(fmt.dtype)


def operands(unit, shape, rng, *styles):
    """Random a, b of a product (M, K, N); about the centre their products lie where the accumulator sees their bits."""
    octave = unit.largest_octave - 3 if isinstance(unit, LinearDot) else unit.offset
    m, k, n = shape
    out = []
    for fmt, size, style in zip((unit.a, unit.b), ((m, k), (k, n)), styles * (3 - len(styles)), strict=True):
        half = (octave << fmt.frac_bits) // 2
        out.append(draw_words(fmt, size, rng, style, int(np.clip(fmt.bias + half, 1, fmt.max_code))))
    return out


LAYOUTS = {
    "C": (1, 1, "C"),
    "Fortran": (1, 1, "F"),
    "row step": (3, 1, "C"),
    "column step": (1, 2, "C"),
    "rows backwards": (-1, 1, "C"),
    "columns backwards": (1, -1, "F"),
    "backwards by steps": (-2, -3, "C"),
    "read-only": (1, 1, "C"),
}


def laid_out(words, layout, rng):
    """The same words as a view of a larger array, whose others must not be read."""
    row, column, order = LAYOUTS[layout]
    shape = words.shape[0] * abs(row) + 2, words.shape[1] * abs(column) + 3
    everything = rng.integers(0, np.iinfo(words.dtype).max, shape, words.dtype, endpoint=True)
    inner = np.asarray(everything, order=order)[1:-1, 1:-2][:: abs(row), :: abs(column)]
    view = inner[:: 1 if row > 0 else -1, :: 1 if column > 0 else -1]
    view[...] = words
    view.flags.writeable = layout != "read-only"
    return view


def pairs_of_states(fmt, states, products):
    """a, b whose products of lns words leave each state in the accumulator of that format and add each product."""
    a = np.stack([states, np.full(states.size, fmt.bias)], axis=1).astype(fmt.dtype)
    return a, np.stack([np.full(products.size, fmt.bias), products]).astype(fmt.dtype)


@dataclass(frozen=True)
class Case:
    """One random product."""

    unit: LinearDot | LogDot
    shape: tuple[int, int, int]
    styles: tuple[str, str]
    layouts: tuple[str, str]
    seed: int

    def __repr__(self):
        return f"Case({name_of(self.unit)}, {self.shape}, {self.styles}, {self.layouts}, seed={self.seed})"


@st.composite
def formats(draw, most_frac_bits):
    bits = draw(st.one_of(st.just(8), st.integers(3, 16), st.integers(3, 20)))
    return LNSFormat(bits, draw(st.integers(0, min(bits - 2, most_frac_bits))))


@st.composite
def linear_dots(draw, lanes):
    a, b = draw(formats(18)), draw(formats(18))
    rom_bits, guard = draw(st.integers(1, 24)), draw(st.sampled_from([*range(18), *range(0, 49, 4)]))
    most = 62 - (lanes - 1).bit_length()
    guard = min(guard, most - 2)
    bits = draw(st.one_of(st.integers(guard + 2, min(guard + 4, most)), st.integers(guard + 2, most)))
    return LinearDot(a, b, gausslog.antilog_rom(max(a.frac_bits, b.frac_bits), rom_bits), rom_bits, guard, bits, lanes)


@st.composite
def log_dots(draw, lanes):
    a, b = draw(formats(12)), draw(formats(12))
    f = draw(st.integers(max(a.frac_bits, b.frac_bits), 12))
    acc = LNSFormat(draw(st.integers(f + 2, 20)), f)
    assume(max(fmt.code_bits + f - fmt.frac_bits for fmt in (a, b)) <= 25)
    largest = (a.max_raw >> a.frac_bits) + (b.max_raw >> b.frac_bits) - (acc.max_raw >> f)
    fitting = st.integers(-3, 3).map(lambda octaves: max(-1 << (24 - f), min(largest + octaves, 1 << (24 - f))))
    offset = draw(st.one_of(st.just(0), st.integers(-12, 12), fitting))
    kind = draw(st.one_of(
        st.just("full"), st.integers(0, 7).map("coarse<{}>".format), st.just("mitchell"),
        st.sampled_from(["linear<1,1>", "linear<3,6>", "linear<5,9>"]),
    ))  # fmt: skip
    return LogDot(a, b, acc, offset, table(TableKind.parse(kind), f), lanes)


@st.composite
def cases(draw):
    lanes = draw(st.sampled_from([1, 2, 4, 8, 16, 32]))
    unit = draw(st.one_of(linear_dots(lanes), log_dots(lanes)))
    m, n = draw(st.sampled_from(range(21))), draw(st.sampled_from([*WIDTHS, *range(71)]))
    k = draw(st.sampled_from([1, 3, 5, lanes - 1, lanes, lanes + 1, 2 * lanes + 3, *range(0, 150, 7)]))
    styles, layouts = st.sampled_from([*STYLES, "twins", "octaves", "octaves", "high"]), st.sampled_from(list(LAYOUTS))
    two = draw(st.tuples(styles, styles)), draw(st.tuples(layouts, layouts))
    return Case(unit, (m, k, n), *two, draw(st.integers(0, 2**32 - 1)))
