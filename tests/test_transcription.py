"""The transcription, which judges the kernels' products, against the definition: words and events."""

from dataclasses import replace

import numpy as np
import pytest
import transcription
from drawing import KINDS, STYLES, every_word, linear_dot, log_dot, name_of, operands, pairs_of_states

from lns import reference as ref
from lns.format import Event, LNSFormat
from lns.gausslog import Table, TableKind, table
from lns.reference import LinearDot


def check_transcription(a, b, unit):
    definition = ref.dot_linear if isinstance(unit, LinearDot) else ref.dot_log
    rows, columns = a.tolist(), b.T.tolist()
    expected = np.array([definition(row, column, unit) for row in rows for column in columns])
    for got, right in zip(transcription.dot(a, b, unit), expected.T, strict=True):
        assert np.array_equal(got.reshape(-1), right)
    return Event(int(np.bitwise_or.reduce(expected[:, 1])))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fmt", ["lns<6,2>", "lns<7,3>", "lns<7,5>", "lns<5,0>"])
def test_transcribed_log_adds(fmt, kind):
    fmt = LNSFormat.parse(fmt)
    adder, every = table(TableKind.parse(kind), fmt.frac_bits), every_word(fmt)
    a, b = np.repeat(every, every.size), np.tile(every, every.size)
    got = transcription.add_words(a, b, fmt, adder)
    for i, pair in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
        word, event = ref.add(*pair, fmt, adder)
        assert (got[0][i], got[1][i]) == (word, ref.accumulator_event(event)), pair


SMALL = [
    linear_dot("lns<6,2>", rom_bits=4, guard=3, bits=6, lanes=1),
    linear_dot("lns<7,3>", "lns<6,1>", rom_bits=9, guard=20, bits=40),
    linear_dot("lns<6,0>", "lns<7,5>", rom_bits=1, guard=0, bits=2, lanes=2),
    log_dot("lns<6,2>", acc="lns<6,2>", lanes=1),
    log_dot("lns<7,3>", "lns<6,1>", acc="lns<9,5>", offset=3, lanes=1),
    log_dot("lns<6,0>", "lns<7,3>", acc="lns<12,3>", offset=-20),
]


@pytest.mark.parametrize("unit", SMALL, ids=name_of)
def test_transcribed_products(unit):
    check_transcription(every_word(unit.a)[:, None], every_word(unit.b)[None, :], unit)


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fmt", ["lns<6,2>", "lns<7,3>"])
def test_transcribed_steps_of_a_log_accumulator(fmt, kind, lanes):
    unit = log_dot(fmt, acc=fmt, lanes=lanes, kind=kind)
    every = every_word(unit.acc)
    check_transcription(*pairs_of_states(unit.acc, every, every), unit)


@pytest.mark.parametrize("lanes", [1, 2, 4])
@pytest.mark.parametrize("unit", [
    linear_dot("lns<4,1>", rom_bits=3, guard=3, bits=5), log_dot("lns<4,1>", acc="lns<5,2>"),
    log_dot("lns<4,1>", acc="lns<4,1>", offset=1, kind="mitchell"),
], ids=name_of)  # fmt: skip
def test_transcribed_dots_of_three(unit, lanes):
    every = every_word(unit.a)
    a = np.stack(np.meshgrid(every, every, every), axis=-1).reshape(-1, 3)
    b = np.array([[7, 4, 15, 1], [7, 7, 7, 9], [7, 6, 3, 0]], np.uint8)
    assert check_transcription(a, b, replace(unit, lanes=lanes)) & Event.ACC_SATURATE


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 32])
@pytest.mark.parametrize("k", [0, 1, 31, 100])
def test_transcribed_long_dots(k, lanes):
    rng = np.random.default_rng(k)
    for unit in (
        linear_dot("lns<8,3>", bits=14, lanes=lanes),
        linear_dot("lns<16,10>", "lns<13,9>", 14, 20, 24, lanes),
        log_dot("lns<8,3>", acc="lns<9,4>", lanes=lanes, kind="coarse<2>"),
        log_dot("lns<12,6>", "lns<8,3>", acc="lns<13,7>", offset=4, lanes=lanes),
    ):
        for style in STYLES:
            check_transcription(*operands(unit, (3, k, 4), rng, style), unit)


def test_transcription_of_another_table_or_order_or_width_is_seen():
    """What judges the kernels tells apart what they could get wrong, with the words that the tests draw."""
    rng, unit = np.random.default_rng(0), log_dot("lns<8,3>", acc="lns<12,5>", lanes=4)
    a, b = operands(unit, (20, 21, 20), rng, "octaves")
    right, swapped = transcription.dot(a, b, unit), np.r_[1, 0, 2:21]
    roms = {name: rom.copy() for name, rom in unit.table.roms.items()}
    for name in roms:
        flipped = roms | {name: roms[name] ^ (np.arange(roms[name].size) == 40)}
        other = replace(unit, table=Table(unit.table.kind, 5, flipped))
        assert (transcription.dot(a, b, other)[0] != right[0]).any()
    assert (transcription.dot(a[:, swapped], b[swapped], unit)[0] != right[0]).any()
    assert (transcription.dot(a, b, replace(unit, lanes=8))[0] != right[0]).any()
    linear = linear_dot("lns<8,3>", bits=14, lanes=2)
    a, b = operands(linear, (20, 21, 20), rng, "octaves")
    right = transcription.dot(a, b, linear)
    assert right[1].any() and not right[1].all()
    assert (transcription.dot(a[:, swapped[::-1]], b[swapped[::-1]], linear)[0] != right[0]).any()
    for other in (replace(linear, bits=15), replace(linear, lanes=4)):
        assert (transcription.dot(a, b, other)[0] != right[0]).any()
