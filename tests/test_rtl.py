"""What other tools say of the Verilog: lint, synthesis, ports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_verify import EDGES
from verilog import lint, synthesise

from lns.design import load, preset_names
from lns.format import Event
from sim.paths import data_dir
from sim.verify.unit import Unit, VerifyError
from sim.verify.units import UNITS, MissingUnit, instances, units_of
from sim.verify.units.element import Element
from sim.verify.units.elementwise import Relu, Square
from sim.verify.wrapper import DEPTH, verilog_literal


def preset_units() -> list[Unit]:
    """The distinct instances of all presets."""
    found = {one.slug: one for name in preset_names() for one in instances(load(name))}
    return list(found.values())


UNITS_AND_EDGES = [*preset_units(), *EDGES]


@pytest.mark.parametrize("unit", UNITS_AND_EDGES, ids=lambda one: one.slug)
def test_lint(unit: Unit, tmp_path: Path) -> None:
    lint(unit, tmp_path)


def test_no_lint_waivers() -> None:
    for path in data_dir("rtl").rglob("*.*"):
        assert path.suffix != ".vlt" and "lint_off" not in path.read_text("utf-8"), path


# nothing is negative, and the square of ±1 and 0: no gates
WIRES = [one for one in EDGES if (isinstance(one, Relu) and not one.format.signed) or
         (isinstance(one, Square) and one.format.bits == 2)]


# an element is a dot product again: small ones are in test_element_rtl.py
NO_ELEMENTS = [one for one in UNITS_AND_EDGES if not isinstance(one, Element)]


@pytest.mark.parametrize("unit", NO_ELEMENTS, ids=lambda one: one.slug)
def test_synthesis(unit: Unit, tmp_path: Path) -> None:
    # to gates; a large ROM takes ten seconds and shows nothing that a smaller one does not: it stays a memory
    large = any(text.count("\n") > 4096 for text in unit.roms().values()) or unit.sequential
    synthesise(
        unit, tmp_path, DEPTH if unit.sequential else 0,
        f"synth -flatten -top wrapped {'-run :fine' if large else ''}",
        *([] if large else ["select -assert-none t:$mem*"]),
        *([] if unit in WIRES else ["select -assert-any t:*"]),
    )  # fmt: skip


# --- instances -----------------------------------------------------------------------------------------------------


def places(design: str, unit: str) -> list[tuple[str, str]]:
    return [(one.label, str(one)) for one in instances(load(design), unit)]


def test_instances_are_distinct_and_name_their_places() -> None:
    assert places("log16", "lns_add") == [
        ("activation+accumulator", "lns<16,10> full"), ("moment", "ulns<18,11> full"), ("loss", "ulns<16,10> full"),
    ]  # fmt: skip
    assert places("bmadam8", "lns_mul") == [("activation+error+gradient", "lns<16,10>"), ("operand", "lns<9,5>")]
    assert places("log16", "lns_convert") == [
        ("operand", "lns<16,13> to lns<16,10> nearest"),
        ("activation+error+gradient", "lns<16,10> to lns<16,10> nearest"),
    ]
    down = load("madam8").override({"conversion.rounding": "down", "formats.error": "lns<9,4>"})
    (one,) = instances(down, "lns_convert")
    assert str(one) == "lns<12,9> to lns<8,3> down" and one.parameters()["ROUND"] == 1
    found = [(one.label, str(one)) for one in instances(down, "lns_linear_to_log")]
    assert found == [
        ("activation+gradient", "24 bits to lns<8,3>, index 7"), ("error", "24 bits to lns<9,4>, index 8"),
    ]  # fmt: skip
    with pytest.raises(VerifyError, match="there is no unit 'lns_sub'"):
        instances(load("log16"), "lns_sub")


def test_a_design_has_only_the_units_that_it_needs() -> None:
    log = {"lns_product", "lns_dot_log", "lns_element_log"}
    linear = {"lns_term", "lns_dot_linear", "lns_linear_to_log", "lns_element_linear"}
    assert units_of(load("madam8-small")) == [unit for unit in UNITS if unit not in log]
    assert units_of(load("madam8-log")) == [unit for unit in UNITS if unit not in {*linear, "lns_lfsr"}]
    assert "lns_lfsr" not in units_of(load("madam8"))  # it rounds to nearest
    assert "lns_convert" not in units_of(load("bmadam8"))  # weights are multiplied as they are stored
    assert issubclass(MissingUnit, VerifyError)


def test_every_module_is_a_unit_or_a_part_of_one() -> None:
    parts = {"lns_range", "lns_gausslog", "lns_pipeline", "lns_encode", "lns_decode"}
    files = {path.stem for path in data_dir("rtl").glob("*.v")}
    assert set(UNITS) | parts == files


@pytest.mark.parametrize("unit", UNITS_AND_EDGES, ids=lambda one: one.slug)
def test_ports_are_the_module_s(unit: Unit) -> None:
    text = (data_dir("rtl") / f"{unit.module}.v").read_text("utf-8")
    header = text[: text.index(");\n\n")]
    handshake = {"clk_i", "rst_ni", "valid_i", "ready_o", "valid_o", "ready_i"} if unit.sequential else set()
    for direction, ports in (("input", unit.inputs()), ("output", unit.outputs())):
        found = re.findall(rf"^ *{direction} .*?(\w+_(?:i|o|ni))\b", header, re.MULTILINE)
        assert [name for name in found if name not in handshake] == [port.name for port in ports]
    flags = [f"{event.name}_o".lower() for event in Event]
    names = [port.name for port in unit.outputs()]
    assert [name for name in flags if name in names] == [name for name in names if name in flags]


def test_unsigned_adders_have_no_rom_for_differences() -> None:
    adders = {str(one.parameters()["SIGNED"]): set(one.roms()) for one in EDGES if one.module == "lns_add"
              and one.parameters()["KIND"] == 0}
    assert adders == {"0": {"sb.memh"}, "1": {"sb.memh", "db.memh"}}
    assert verilog_literal("a.memh") == '"a.memh"'


def test_verilog_and_benches_are_found() -> None:
    assert (data_dir("rtl") / "lns_mul.v").is_file()
    assert (data_dir("cocotb") / "test_unit.py").is_file()
