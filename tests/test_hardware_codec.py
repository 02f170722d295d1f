"""Encoder and decoder: definition against the software codec and 200-bit arithmetic, ROMs, Verilog by vectors."""

import random
import shutil
import struct
from dataclasses import replace
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from verilog import covered, lint, planted

from lns import decode, encode, exact, load, reference
from lns.format import Event, LNSFormat
from lns.gausslog import decoder_rom, encoder_roms
from sim.verify import vectors
from sim.verify.unit import port_values
from sim.verify.units.codec import FIXED_BITS, DecodeFixed, DecodeFloat, EncodeFixed, EncodeFloat, instances

MP = mpmath.mp.clone()
MP.prec = 200

NAMES = ("lns<8,3>", "lns<16,10>", "lns<12,9>", "ulns<6,2>", "lns<2,0>", "lns<5,0>")
FORMATS = [LNSFormat.parse(name) for name in NAMES]
F8, F16, U6 = (LNSFormat.parse(name) for name in ("lns<8,3>", "lns<16,10>", "ulns<6,2>"))
INFINITY, SIGN, NONE = 0x7F800000, 1 << 31, Event(0)

needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="apt install iverilog")
by_name = pytest.mark.parametrize("fmt", FORMATS, ids=NAMES)


def units(fmt):
    """All four; of fixed point also numbers that are shorter than a fraction of many formats."""
    fixed = [unit for bits in (FIXED_BITS, 4, 2) for unit in (EncodeFixed(fmt, bits), DecodeFixed(fmt, bits))]
    return [EncodeFloat(fmt), DecodeFloat(fmt), *fixed]


UNITS = [unit for fmt in FORMATS for unit in units(fmt)]


def floats(patterns):
    return np.array(patterns, np.uint32).view(np.float32)


# --- ROMs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frac_bits", range(17))
def test_one_boundary_a_bucket(frac_bits):
    base, _ = encoder_roms(frac_bits, 24)
    assert base.size == 2 << frac_bits and base[0] == 0
    counts = np.diff([*base, 1 << frac_bits])
    assert set(counts.tolist()) == {0, 1}
    if frac_bits > 2:  # a bit of index less would not do
        assert counts.reshape(-1, 2).sum(1).max() == 2


@pytest.mark.parametrize(
    ("frac_bits", "bits"), [(f, p) for f in (0, 1, 3, 9, 10, 15) for p in range(2, 17)] + [(3, 24), (10, 24)]
)
def test_encoder_roms_round_every_significand(frac_bits, bits):
    base, threshold = encoder_roms(frac_bits, bits)
    y = np.arange(1 << (bits - 1), 1 << bits)
    r = bits - 1 - min(frac_bits + 1, bits - 1)
    m = (y >> r) - base.size
    code = base[m] + (y % (1 << r) >= threshold[m])
    assert np.array_equal(code, exact.round_log2_of_floats(y / (1 << (bits - 1)), frac_bits))


@pytest.mark.parametrize(("frac_bits", "bits"), [(0, 24), (3, 24), (10, 24), (10, 16), (3, 2), (9, 4)])
def test_decoder_rom(frac_bits, bits):
    right = [int(MP.floor(MP.power(2, bits + MP.mpf(i) / 2**frac_bits))) for i in range(1, 1 << frac_bits)]
    assert decoder_rom(frac_bits, bits).tolist() == [1 << bits, *right]


# --- the definition against other arithmetic --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "signed", "unsigned"),
    [
        (0, (0, NONE), (0, NONE)),
        (SIGN, (0, NONE), (0, NONE)),
        (INFINITY, (F8.max_code, Event.SATURATE), (U6.max_code, Event.SATURATE)),
        (INFINITY | SIGN, (F8.sign_bit | F8.max_code, Event.SATURATE), (0, Event.INVALID)),
        (INFINITY + 1, (0, Event.INVALID), (0, Event.INVALID)),
        (SIGN | INFINITY | 1 << 22, (0, Event.INVALID), (0, Event.INVALID)),
        (127 << 23, (F8.bias, NONE), (U6.bias, NONE)),
        (SIGN | 127 << 23, (F8.sign_bit | F8.bias, NONE), (0, Event.INVALID)),
        (SIGN | 1, (0, Event.UNDERFLOW), (0, Event.INVALID)),
    ],
)
def test_special_floats(pattern, signed, unsigned):
    assert reference.encode_float(pattern, F8) == signed
    assert reference.encode_float(pattern, U6) == unsigned


@by_name
def test_encode_float_is_the_software_encoder(fmt):
    rng = random.Random(str(fmt))
    base, threshold = encoder_roms(fmt.frac_bits, 24)
    r = 23 - (base.size.bit_length() - 1)
    edges = [(m << r) + t for m, t in enumerate(threshold.tolist()) if t < 1 << r]
    rows = [
        ((edge + step + ((octave + 127) << 23)) % SIGN, octave)
        for edge in (edges if len(edges) < 600 else rng.sample(edges, 600))
        for step in (-1, 0, 1)
        for octave in (0, rng.randint(-126, 127))
    ]
    rows += [(rng.getrandbits(rng.randint(1, 23)), rng.randint(-150, -126)) for _ in range(500)]  # subnormals
    rows += [(rng.randrange(INFINITY), rng.randint(-160, 160)) for _ in range(1000)]
    for pattern, offset in rows:
        sign = rng.getrandbits(1) if fmt.signed else 0
        word, events = reference.encode_float(sign << 31 | pattern, fmt, offset)
        assert word == int(encode(floats([sign << 31 | pattern])[0], fmt, offset=offset))
        assert events == (NONE if pattern == 0 else reference.encode(
            Fraction(float(floats([pattern])[0])), fmt, offset)[1])  # fmt: skip


@by_name
def test_encode_fixed_is_the_software_encoder(fmt):
    for bits, frac_bits, offset in ((10, 3, 0), (10, 8, -5), (8, 0, 3), (10, 12, -1), (4, -2, 1)):
        values = np.arange(-(1 << (bits - 1)) if fmt.signed else 0, 1 << (bits - 1))
        right = encode(values * 2.0**-frac_bits, fmt, offset=offset)
        got = [reference.encode_fixed(int(v), frac_bits, fmt, offset)[0] for v in values]
        assert got == right.tolist()
    assert reference.encode_fixed(-1, 0, U6) == (0, Event.INVALID)
    assert reference.encode_fixed(1, 0, fmt, 1 << 20) == (0, Event.UNDERFLOW)
    assert reference.encode_fixed(1, 0, fmt, -(1 << 20)) == (fmt.max_code, Event.SATURATE)


@by_name
def test_decode_float_is_the_software_decoder(fmt):
    rng = random.Random(str(fmt))
    words = np.arange(1 << fmt.bits) if fmt.bits <= 8 else np.array(rng.sample(range(1 << fmt.bits), 300))
    for offset in range(-175, 150, 1 if fmt.bits <= 8 else 4):
        results = [reference.decode_float(int(word), fmt, offset) for word in words]
        right = decode(words, fmt, offset=offset, dtype=np.float32).view(np.uint32)
        assert [bits for bits, _ in results] == right.tolist()
        for word, (bits, events) in zip(words.tolist(), results, strict=True):
            zero = reference.code(word, fmt) == 0
            expected = Event.SATURATE if bits % SIGN == INFINITY else Event.UNDERFLOW if bits % SIGN == 0 else NONE
            assert events == (NONE if zero else expected)


def exponent_and_value(word, fmt, offset):
    p = reference.raw(word, fmt) + (offset << fmt.frac_bits)
    return p >> fmt.frac_bits, MP.power(2, MP.mpf(p) / 2**fmt.frac_bits)


@pytest.mark.parametrize("name", [*NAMES, "lns<32,26>"])
def test_decode_against_200_bits(name):
    fmt, rng = LNSFormat.parse(name), random.Random(name)
    for _ in range(1500):
        word = rng.randrange(1, fmt.max_code + 1)
        octave = rng.choice([rng.randint(-152, -120), rng.randint(-152, 129)])
        offset = octave - (reference.raw(word, fmt) >> fmt.frac_bits)
        octave, value = exponent_and_value(word, fmt, offset)
        unit = max(octave - 23, -149)
        rounded = MP.nint(MP.ldexp(value, -unit))  # ties to even
        bits, _ = reference.decode_float(word, fmt, offset)
        if octave > 127:
            assert bits == INFINITY
        else:
            with np.errstate(over="ignore"):
                assert floats([bits])[0] == np.float32(float(MP.ldexp(rounded, unit)))
        for bits, octave in ((16, rng.randint(-3, 17)), (4, rng.randint(-3, 5)), (2, rng.randint(-3, 3))):
            frac_bits = rng.randint(-5, 20)
            offset = octave - (reference.raw(word, fmt) >> fmt.frac_bits) - frac_bits
            _, value = exponent_and_value(word, fmt, offset + frac_bits)
            for sign in (0, 1) if fmt.signed else (0,):
                near = int(MP.nint(-value if sign else value))
                least, most = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
                clamped = max(least, min(near, most))
                event = Event.SATURATE if clamped != near else NONE if near else Event.UNDERFLOW
                signed_word = word | (fmt.sign_bit if sign else 0)
                assert reference.decode_fixed(signed_word, fmt, offset, bits, frac_bits) == (clamped, event)


def test_decoded_floats_by_hand():
    assert reference.decode_float(F8.sign_bit, F8) == (0, NONE)  # a zero has no sign
    assert reference.decode_float(F8.bias, F8, -150) == (0, Event.UNDERFLOW)  # a tie, to even
    assert reference.decode_float(F8.bias + 1, F8, -150) == (1, NONE)
    assert reference.decode_float(F8.sign_bit | F8.bias, F8, -151) == (SIGN, Event.UNDERFLOW)
    assert reference.decode_float(F8.bias, F8, -126) == (1 << 23, NONE)
    assert reference.decode_float(F8.sign_bit | F8.bias, F8, 128) == (SIGN | INFINITY, Event.SATURATE)
    # half a code of 2**-26 octaves below 2**128: the significand carries into infinity
    assert reference.decode_float((1 << 30) - 1, LNSFormat(32, 26), 128) == (INFINITY, Event.SATURATE)
    (half,) = struct.unpack("<I", struct.pack("<f", 0.5))
    assert reference.decode_float(F8.bias, F8, -1) == (half, NONE)


def test_decoded_integers_by_hand():
    least = F8.sign_bit | F8.bias
    assert reference.decode_fixed(least, F8, 0, 8, 7) == (-128, NONE)
    assert reference.decode_fixed(F8.bias, F8, 0, 8, 7) == (127, Event.SATURATE)
    assert reference.decode_fixed(least + 1, F8, 0, 8, 7) == (-128, Event.SATURATE)
    assert reference.decode_fixed(F8.bias, F8, 0, 8, -1) == (0, Event.UNDERFLOW)  # a tie, to even
    assert reference.decode_fixed(least + 1, F8, 0, 8, -1) == (-1, NONE)
    assert reference.decode_fixed(F8.sign_bit, F8, 0, 8, 7) == (0, NONE)
    # finer than the numbers: the least one is met by rounding
    assert reference.decode_fixed(F16.sign_bit | F16.bias + 1, F16, 0, 4, 3) == (-8, NONE)


# --- the bench --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.slug)
def test_stimuli_fill_every_bin(unit):
    cover = covered(unit, unit.transactions(0, 500, False))
    assert set(cover.hits) == set(cover.goals)


def test_random_operands_leave_bins_empty():
    rng = random.Random(0)
    for unit in (EncodeFloat(F8), EncodeFixed(F16, FIXED_BITS), DecodeFloat(F16), DecodeFixed(F16, FIXED_BITS)):
        cover = unit.coverage()
        for _ in range(2000):
            unit.sample(cover, (tuple(rng.getrandbits(p.width) - (p.signed << p.width >> 1) for p in unit.inputs()),))
        assert cover.uncovered()


@needs_icarus
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.slug)
def test_verilog(unit, tmp_path):
    transactions = unit.transactions(1, 1500, unit.input_bits <= 14)
    assert vectors.simulate(unit, transactions, tmp_path).startswith(f"{vectors.PASSED} {len(transactions)} ")


@needs_icarus
@pytest.mark.parametrize("name", ["lns<8,3>", "lns<16,3>", "lns<5,0>"])
@pytest.mark.parametrize("module", range(4))
def test_verilog_with_a_narrow_offset(module, name, tmp_path, monkeypatch):
    """A controller may know that its offsets are small: words and numbers keep their range."""
    unit = units(LNSFormat.parse(name))[module]
    operand, offset = unit.inputs()
    narrow = replace(offset, width=2)
    rng = random.Random(0)
    operands = [beat[0] for (beat,) in unit.transactions(0, 1000, False)]
    transactions = [((value, rng.choice(port_values(narrow))),) for value in operands]
    monkeypatch.setattr(type(unit), "inputs", lambda _: (operand, narrow))
    assert vectors.simulate(unit, transactions, tmp_path).startswith(f"{vectors.PASSED} {len(transactions)} ")


@pytest.mark.slow
@needs_icarus
@by_name
def test_verilog_of_every_number(fmt, tmp_path):
    for offset in (8, 15):  # fraction bits included: the range of most formats from both sides
        unit = EncodeFixed(fmt, FIXED_BITS)
        transactions = [((value, offset),) for value in range(-(1 << 15), 1 << 15)]
        assert vectors.simulate(unit, transactions, tmp_path).startswith(f"{vectors.PASSED} {1 << 16} ")


@pytest.mark.slow
@needs_icarus
@pytest.mark.parametrize("unit", [DecodeFloat(F8), DecodeFloat(U6), DecodeFloat(LNSFormat(2, 0))], ids=str)
def test_verilog_of_every_word_and_offset(unit, tmp_path):
    transactions = unit.transactions(0, 0, True)
    assert vectors.simulate(unit, transactions, tmp_path).startswith(f"{vectors.PASSED} {len(transactions)} ")


PLANTED = [
    (EncodeFloat(F8), "lns_encode", "} >= threshold", "} > threshold"),
    (EncodeFloat(F8), "lns_encode", "assign under = UnderBits'(magnitude_i << (", "assign under = UnderBits'(1 << ("),
    (EncodeFloat(U6), "lns_encode", "(SIGNED == 0) && negative_i && !zero", "(SIGNED == 0) && negative_i"),
    (EncodeFloat(F8), "lns_encode_float", "ExponentBits'(!normal) - ", "- "),
    (EncodeFloat(F8), "lns_encode_float", "nan ? '0 : {normal,", "nan ? '0 : {1'b1,"),
    (EncodeFloat(F8), "lns_encode_float", "assign magnitude = nan ? '0 : ", "assign magnitude = "),
    (EncodeFloat(F8), "lns_encode_float", "special ? BeyondWords : finite", "finite"),
    (EncodeFloat(F8), "lns_encode_float", "nan || negative_unsigned", "negative_unsigned"),
    (EncodeFixed(F8, 16), "lns_encode_fixed", "ExponentBits = OFFSET_BITS + 1", "ExponentBits = OFFSET_BITS"),
    (DecodeFloat(F8), "lns_decode", "assign exact_o = index == '0", "assign exact_o = 1'b0"),
    (DecodeFloat(F8), "lns_decode_float", "kept[0] && !exact", "1'b0"),
    (DecodeFloat(F8), "lns_decode_float", "octave > Largest", "octave >= Largest"),
    (DecodeFloat(F8), "lns_decode_float", "zero ? '0 : {negative,", "{negative,"),
    (DecodeFloat(F8), "lns_decode_float", "!zero && !above &&", "!zero &&"),
    (DecodeFixed(F8, 16), "lns_decode_fixed", "{1'b0, bound}", "{1'b0, Most}"),
    (DecodeFixed(F8, 16), "lns_decode_fixed", "octave > TopPlace", "octave >= TopPlace"),
    (DecodeFixed(F16, 4), "lns_decode_fixed", ".SIGNIFICAND_BITS(FIXED_BITS)", ".SIGNIFICAND_BITS(FIXED_BITS - 1)"),
]


@needs_icarus
@pytest.mark.parametrize(("unit", "module", "right", "wrong"), PLANTED)
def test_planted_bugs_are_caught(unit, module, right, wrong, tmp_path):
    rtl = planted(tmp_path, f"{module}.v", right, wrong)
    verdict = vectors.simulate(unit, unit.transactions(0, 500, False), tmp_path, rtl)
    assert verdict.startswith("FAILED"), verdict


# the smallest error of an entry that a result shows: significands of fixed point are even, and the last bit of D
# decides in the top octave alone
@needs_icarus
@pytest.mark.parametrize(
    ("unit", "name", "error"),
    [
        (EncodeFloat(F8), "base.memh", 1),
        (EncodeFloat(F8), "threshold.memh", -1),
        (EncodeFixed(F8, 16), "base.memh", 1),
        (EncodeFixed(F8, 16), "threshold.memh", -2),
        (DecodeFloat(F8), "significand.memh", 1),
        (DecodeFixed(F8, 16), "significand.memh", 2),
    ],
)
def test_wrong_rom_entries_are_caught(unit, name, error, tmp_path, monkeypatch):
    transactions, images = unit.transactions(0, 0, False), unit.roms()
    lines = images[name].splitlines()
    for place in random.Random(0).sample(range(3, len(lines)), 3):  # 0 and 1 are the header, 2 is 1.0
        wrong = f"{max(0, int(lines[place], 16) + error):x}"
        text = "\n".join([*lines[:place], wrong, *lines[place + 1 :], ""])
        monkeypatch.setattr(type(unit), "roms", lambda _, text=text: images | {name: text})
        assert vectors.simulate(unit, transactions, tmp_path).startswith("FAILED"), place


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.slug)
def test_lint(unit, tmp_path):
    lint(unit, tmp_path)


def test_instances():
    for name in ("madam8", "log16"):
        design = load(name)
        found = instances(design)
        assert [unit.module for unit in found] == [
            "lns_encode_float", "lns_encode_fixed", "lns_decode_float", "lns_decode_fixed",
        ]  # fmt: skip
        assert {unit.format for unit in found} == {design.formats.activation}
