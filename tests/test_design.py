"""Designs: TOML there and back, and what cannot be built."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lns.design import Design, DesignError, SignRule, exact_decimal, load, preset_names, to_toml
from lns.format import LNSFormat, Rounding
from lns.gausslog import TableKind

# the numbers that tests name are written here: presets may change theirs
MADAM8 = load("madam8").override(
    {
        "accumulator.guard": 12,
        "accumulator.lanes": 16,
        "update.kappa": 3,
        "update.lr": 0.02,
        "update.moment": "ulns<17,11>",
    }
)
MADAM8_LOG = load("madam8-log")


@pytest.mark.parametrize("name", preset_names())
def test_presets_round_trip(name):
    design = load(name)
    assert design.name == name and design.description
    assert Design.from_toml(design.to_toml()) == design
    assert Design.from_dict(design.to_dict()) == design
    assert hash(Design.from_toml(design.to_toml())) == hash(design)


def test_an_altered_design_does_not_compare_equal():
    assert Design.from_toml(MADAM8.to_toml().replace("lr = 0.02", "lr = 0.03")) != MADAM8


def test_every_kind_of_field_is_read():
    update = MADAM8.override({"update.table": "linear<2,6>", "update.rounding": "stochastic", "update.lr": 1}).update
    assert update.moment == LNSFormat(17, 11, signed=False)
    assert update.table == TableKind("linear", 2, 6)
    assert update.rounding is Rounding.STOCHASTIC and update.sign_rule is SignRule.FLIP
    assert update.lr == 1.0 and type(update.lr) is float
    assert update.beta == pytest.approx(0.99898, abs=1e-5)


def test_a_design_from_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(MADAM8_LOG.to_toml(), "utf-8")
    assert load(path) == MADAM8_LOG
    path.write_text("name = ", "utf-8")
    with pytest.raises(DesignError, match=r"mine\.toml: not a TOML file"):
        load(path)
    path.write_bytes(b"name = '\xff'")
    with pytest.raises(DesignError, match=r"mine\.toml"):
        load(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("madam9", "madam9: neither a preset nor a design file; did you mean 'madam8'?"),
        ("nowhere.toml", "nowhere.toml: neither a preset nor a design file"),
    ],
)
def test_no_such_design(name, message):
    with pytest.raises(DesignError) as error:
        load(name)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kappa = 3", "kapa = 3", "update.kapa: unknown key; did you mean 'kappa'?"),
        ("[update]", "[updates]", "updates: unknown key; did you mean 'update'?"),
        ("guard = 12", "gard = 12", "accumulator.gard: unknown key; did you mean 'guard'?"),
        ("kappa = 3", "", "update.kappa: required, but missing"),
        ('kind = "linear"', "", "accumulator.kind: required, but missing; it is one of linear, log"),
        ("kappa = 3", "kappa = 3.0", "update.kappa: must be an integer, got 3.0"),
        ("kappa = 3", "kappa = true", "update.kappa: must be an integer, got True"),
        ("lr = 0.02", 'lr = "0.02"', "update.lr: must be a number, got '0.02'"),
        (
            'rounding = "nearest"',
            "rounding = 1",
            "conversion.rounding: must be one of nearest, down, stochastic, got 1",
        ),
    ],
)
def test_keys_and_types(old, new, message):
    text = MADAM8.override({"update.rounding": "stochastic"}).to_toml()
    assert text.count(old) == 1
    with pytest.raises(DesignError) as error:
        Design.from_toml(text.replace(old, new))
    assert str(error.value) == message


def test_a_key_that_resembles_none_lists_all():
    with pytest.raises(DesignError, match=r"adder\.zzz: unknown key; known are table"):
        MADAM8.override({"adder.zzz": 1})


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("formats.weight", "ulns<12,9>", "formats.weight: must be a signed format, got ulns<12,9>"),
        ("formats.weight", "lns<32,21>", "formats.weight: must have at most 20 fraction bits"),
        ("formats.weight", "lns<12,11>", "formats.weight: frac_bits must be between 0 and bits - 2"),
        ("formats.weight", 12, "formats.weight: a format is written"),
        ("accumulator.lanes", 12, "accumulator.lanes: must be a power of two from 1 to 4096, got 12"),
        ("accumulator.lanes", 8192, "accumulator.lanes: must be a power of two from 1 to 4096, got 8192"),
        ("accumulator.antilog_bits", 0, "accumulator.antilog_bits: must be between 1 and 32, got 0"),
        ("accumulator.guard", 49, "accumulator.guard: must be between 0 and 48, got 49"),
        ("accumulator.bits", 13, "accumulator.bits: must be between 14 and 62, got 13"),
        ("accumulator.bits", 59, "accumulator.bits: must be at most 58 with 16 lanes, got 59"),
        ("accumulator.index_extra_bits", 9, "accumulator.index_extra_bits: must be between 0 and 8, got 9"),
        ("accumulator.kind", "float", "accumulator.kind: must be one of linear, log, got 'float'"),
        ("accumulator.kind", ["log"], "accumulator.kind: must be one of linear, log, got ['log']"),
        ("accumulator", 5, "accumulator: must be a table, got 5"),
        ("adder.table", "coarse<25>", "adder.table: k of a coarse table must be between 0 and 24, got 25"),
        ("adder.table", "linear<0,4>", "adder.table: k of a linear table must be between 1 and 24, got 0"),
        ("adder.table", "coarse", "adder.table: a table is written full, coarse<k>"),
        ("conversion.rounding", "stochastic", "conversion.rounding: must be nearest or down, got stochastic"),
        (
            "conversion.rounding",
            ["down"],
            "conversion.rounding: must be one of nearest, down, stochastic, got ['down']",
        ),
        ("update.moment", "lns<17,11>", "update.moment: must be an unsigned format, got lns<17,11>"),
        ("update.moment", "ulns<30,19>", "update.moment: must have at most 18 fraction bits"),
        (
            "update.moment",
            "ulns<17,2>",
            "update.moment: needs at least 3 fraction bits (the gradient's), got ulns<17,2>",
        ),
        ("update.kappa", 0, "update.kappa: must be between 1 and 1048576, got 0"),
        ("update.lr", 0.0, "update.lr: must be above 0 and at most 1e6, got 0.0"),
        ("update.lr", float("inf"), "update.lr: must be above 0 and at most 1e6, got inf"),
        ("update.clip", float("nan"), "update.clip: must be above 0 and at most 1e6, got nan"),
        ("update.rounding", "down", "update.rounding: must be nearest or stochastic, got down"),
        ("update.step_frac_bits", 25, "update.step_frac_bits: must be between 0 and 24, got 25"),
        ("update.lanes", 0, "update.lanes: must be a power of two from 1 to 4096, got 0"),
        ("update.moment_offset", -1025, "update.moment_offset: must be between -1024 and 1024, got -1025"),
        ("loss.format", "lns<16,10>", "loss.format: must be an unsigned format, got lns<16,10>"),
        ("loss.antilog_bits", 33, "loss.antilog_bits: must be between 1 and 32, got 33"),
    ],
)
def test_what_cannot_be_built(path, value, message):
    with pytest.raises(DesignError) as error:
        MADAM8.override({path: value})
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"accumulator.format": "lns<15,2>"}, "accumulator.format: needs at least 3 fraction bits"),
        ({"accumulator.format": "lns<30,19>"}, "accumulator.format: must have at most 18 fraction bits"),
        ({"accumulator.format": "ulns<15,8>"}, "accumulator.format: must be a signed format"),
        ({"accumulator.offset": 1025}, "accumulator.offset: must be between -1024 and 1024"),
        ({"accumulator.guard": 12}, "accumulator.guard: unknown key"),
        (
            {"update.rounding": "stochastic", "update.step_frac_bits": 0},
            "update.step_frac_bits: must be between 1 and 24, got 0",
        ),
        (
            {"update.lr": 1e6, "update.clip": 1e6, "formats.weight": "lns<24,20>"},
            "update.clip: clip·lr must give a step below 2**50 codes",
        ),
    ],
)
def test_what_cannot_be_built_together(values, message):
    with pytest.raises(DesignError) as error:
        MADAM8_LOG.override(values)
    assert str(error.value).startswith(message)


def test_override_replaces_fields_and_whole_tables():
    log = MADAM8_LOG.to_dict()["accumulator"]
    changed = MADAM8.override({"accumulator": log, "update.lr": 0.5, "name": "other"})
    assert changed.accumulator == MADAM8_LOG.accumulator
    assert (changed.update.lr, changed.name) == (0.5, "other")
    assert changed.formats == MADAM8.formats
    assert MADAM8.override({}) == MADAM8 != changed


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("updat.lr", "updat.lr: no such field; did you mean 'update'?"),
        ("update.lrr", "update.lrr: unknown key; did you mean 'lr'?"),
        ("formats.weight.bits.x", "formats.weight.bits.x: no such field"),
    ],
)
def test_override_of_no_field(path, message):
    with pytest.raises(DesignError) as error:
        MADAM8.override({path: 1})
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("path", ["name.x", "formats.weight.bits", "update.lr.x"])
def test_override_below_a_leaf(path):
    with pytest.raises(DesignError, match=f"{path}: no such field"):
        MADAM8.override({path: 1})


def test_an_integer_beyond_every_float():
    with pytest.raises(DesignError, match=r"update\.lr: must be a number"):
        Design.from_toml(MADAM8.to_toml().replace("lr = 0.02", f"lr = {10**400}"))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_survives_toml(text):
    assert tomllib.loads(to_toml({"a": text, "t": {"b": [text]}})) == {"a": text, "t": {"b": [text]}}


@pytest.mark.parametrize("text", ['"', "\\", "\n", "\r\n", "\t", "\x00", "\x1f", "\x7f", '\\"', "\\u0041", "−⊕", "😀"])
def test_escapes(text):
    assert Design.from_toml(MADAM8.override({"description": text}).to_toml()).description == text


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
        st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.lists(st.integers(-9, 9)),
    )
)
def test_numbers_survive_toml(table):
    back = tomllib.loads(to_toml({"t": table}))
    assert back == {"t": table} and [type(v) for v in back["t"].values()] == [type(v) for v in table.values()]


def test_decimals_are_taken_as_written():
    assert exact_decimal(0.01) * 100 == 1
    assert exact_decimal(1e-07) * 10**7 == 1
    assert exact_decimal(10.0) == 10


def test_override_leaves_what_it_was_given_alone():
    given = load("madam8").to_dict()["accumulator"]
    changed = load("madam8").override({"accumulator": given, "accumulator.lanes": 8})
    assert changed.accumulator.lanes == 8 and given["lanes"] == 16
