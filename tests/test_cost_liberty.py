"""Cell libraries: Liberty's syntax, units, tables, and what is refused."""

import gzip
import hashlib
from functools import partial

import numpy as np
import pytest
from cell_library import TEXT, hand_library
from liberty.parser import parse_liberty

from sim.cost.errors import CostError
from sim.cost.expression import parse_expression
from sim.cost.liberty import default_library, load_library
from sim.cost.liberty_text import parse_groups

near = partial(pytest.approx, rel=1e-9, abs=0)  # figures are small: the default tolerance is larger than most


@pytest.mark.parametrize(
    ("text", "verilog"),
    [
        ("!(A B)", "(~(A & B))"),
        ("A B + C'", "((A & B) | (~C))"),
        ("A*B'C", "((A & (~B)) & C)"),
        ("A & B ^ C | D", "((A & (B ^ C)) | D)"),
        ("(A ^ B)'", "(~(A ^ B))"),
        ("!A'", "(~(~A))"),
        ("1", "1'b1"),
    ],
)
def test_expressions(text, verilog):
    assert parse_expression(text).verilog == verilog


@pytest.mark.parametrize("text", ["", "A +", "(A", "A)", "* A", "A $ B", "!"])
def test_what_is_no_expression_is_refused(text):
    with pytest.raises(CostError, match="boolean expression"):
        parse_expression(text)


def test_expressions_have_values():
    values = {name: np.arange(8) >> bit & 1 > 0 for bit, name in enumerate("ABC")}
    got = parse_expression("A B + !C")(values, (8,))
    assert got.tolist() == [(a and b) or not c for c in (0, 1) for b in (0, 1) for a in (0, 1)]


def test_syntax_of_groups():
    text = 'library (a) { x : 1 + 2; y : "p;q" // r\n list (1, "2 3", 4)\n cell (C) { z : 5\n pin(A) {} } }'
    group = parse_groups(text)
    assert group.attributes == {"x": "1 + 2", "y": "p;q"}
    assert group.lists == {"list": ["1", "2 3", "4"]}
    (cell,) = group.groups
    assert (cell.kind, cell.arguments, cell.line, cell.attributes) == ("cell", ["C"], 3, {"z": "5"})
    assert [(pin.kind, pin.arguments) for pin in cell.groups] == [("pin", ["A"])]


def test_units_and_conditions(tmp_path):
    library = hand_library(tmp_path)
    assert (library.name, library.voltage, library.temperature) == ("hand", 2.0, 30.0)
    assert library.digest == hashlib.sha256(TEXT.encode()).hexdigest()
    inverter = library.cells["INV"]
    pin = inverter.pins["A"]
    assert (pin.rise_capacitance, pin.fall_capacitance) == near((0.03e-12, 0.01e-12))
    assert [leak.power for leak in inverter.leakage] == near([3e-9])
    assert library.gate_equivalent_um2 == 3


def test_tables_are_bilinear_and_go_on(tmp_path):
    (energy,) = hand_library(tmp_path).cells["INV"].energies
    # rise: at load 0 (1, 3), at load 1 (2, 8) over slews 0 and 1; fall: slew first, loads 0 and 2
    cases = [(0, 0, 1, 0.5), (1, 0, 3, 1.5), (0, 1, 2, 0.6), (0.5, 0.5, 3.5, 1.05), (2, 2, 23, 2.7), (-1, 0, -1, -0.5)]
    for slew, load, rise, fall in cases:
        assert energy.rise(slew * 1e-9, load * 1e-12) == near(rise * 1e-12)
        assert energy.fall(slew * 1e-9, load * 1e-12) == near(fall * 1e-12)
    assert energy.rise(np.zeros(3), np.full(3, 1e-12)) == near(np.full(3, 2e-12))


def test_fo4_is_the_delay_of_four_loads(tmp_path):
    # rise: 0.1 ns + 10 ns/pF · 4 · 0.03 pF; fall: 0.3 + 5 · 4 · 0.01
    assert hand_library(tmp_path).fo4 == near((1.3e-9 + 0.5e-9) / 2)


def test_energy_of_the_ground_is_no_second_energy(tmp_path):
    cell = hand_library(tmp_path).cells["XOR2"]
    assert {energy.supply for energy in cell.energies} == {"VDD"} and len(cell.energies) == 3
    assert [leak.power for leak in cell.leakage] == near([6e-9])


def test_a_missing_template_is_what_the_others_are(tmp_path):
    lost = TEXT.replace("fall_power (slew_first)", "fall_power (lost)")
    with pytest.raises(CostError, match=r"cell INV, line [0-9]+: fall_power: the library has no template lost"):
        hand_library(tmp_path, lost)  # two orders of the variables are possible
    one_order = lost.replace("(load_first) { variable_1 : total", "(other) { variable_1 : con")
    one_order = one_order.replace("(load_first)", "(slew_first)")
    (energy,) = hand_library(tmp_path, one_order).cells["INV"].energies
    assert energy.fall(0.0, 1e-12) == near(0.6e-12)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("}\n}\n", "", "the file ends inside 'library'|ends inside 'cell'"),
        ("pin (A) {", "pin (A {", "line [0-9]+: unexpected '{'"),
        ('time_unit : "1ns";', "", "time_unit is required, such as 1ns, got 'none'"),
        ("capacitive_load_unit (1,pf);", "", "capacitive_load_unit is required"),
        ('voltage_unit : "1V";', 'voltage_unit : "1";', "voltage_unit is required, such as 1nV, got '1'"),
        ("voltage : 2.0", "voltage : two", "a number voltage is required, got 'two'"),
        ('"!(A B)"', '"!(A + B)"', "a two-input NAND is required"),
        ("ff (IQ", "latch (IQ", "a flip-flop is required"),
        ('"A\'"', '"A"', "a inverter is required|an inverter is required"),
        ('values ("1, 3", "2, 8")', 'values ("1, 3", "2")', "2 × 2 values are required, got 3"),
        ('values ("1, 3", "2, 8")', 'values ("1, 3", "2, x")', "a list of numbers is required"),
        ('index_1 ("0, 1"); index_2 ("0, 2")', 'index_1 ("1, 0"); index_2 ("0, 2")', "a rising index is required"),
        ("library (hand)", "design (hand)", "one group library is required"),
        ('next_state : "D";', "", "a flip-flop with clocked_on and next_state is required"),
    ],
)
def test_what_a_price_needs_is_required(tmp_path, old, new, message):
    assert old in TEXT
    with pytest.raises(CostError, match=message) as raised:
        hand_library(tmp_path, TEXT.replace(old, new))
    assert str(raised.value).startswith(str(tmp_path / "hand.lib")) and "\n" not in str(raised.value)


def test_compressed_files(tmp_path):
    (tmp_path / "hand.lib.gz").write_bytes(gzip.compress(TEXT.encode()))
    assert load_library(tmp_path / "hand.lib.gz").digest == hand_library(tmp_path).digest
    # what is kept of a text that was read before is found under the path that is asked for
    assert load_library(tmp_path / "hand.lib.gz").path == tmp_path / "hand.lib.gz"
    assert hand_library(tmp_path, TEXT.replace("area : 3", "area : 4")).gate_equivalent_um2 == 4
    (tmp_path / "half.lib.gz").write_bytes(gzip.compress(TEXT.encode())[:-20])
    (tmp_path / "other.lib").write_bytes(bytes(range(256)))
    for name in ("half.lib.gz", "other.lib"):
        with pytest.raises(CostError, match="a Liberty file is required"):
            load_library(tmp_path / name)
    with pytest.raises(OSError, match=r"none\.lib"):
        load_library(tmp_path / "none.lib")


def test_the_default_library_is_what_another_reader_reads():
    """liberty-parser shares no code with ours."""
    library = load_library(default_library())
    other = parse_liberty(default_library().read_text())
    assert len(library.cells) == len(other.get_groups("cell")) == 32
    tables = 0
    for group in other.get_groups("cell"):
        cell = library.cells[group.args[0]]
        assert cell.area_um2 == group["area"]
        assert [leak.power for leak in cell.leakage] == near([group["cell_leakage_power"] * 1e-9])
        for pin in group.get_groups("pin"):
            ours = cell.pins[pin.args[0]]
            assert ours.output == (pin["direction"] == "output")
            assert ours.rise_capacitance == near(pin["rise_capacitance"] * 1e-12)
            assert ours.fall_capacitance == near(pin["fall_capacitance"] * 1e-12)
            energies = [energy for energy in cell.energies if energy.pin == ours.name]
            for energy, power in zip(energies, pin.get_groups("internal_power"), strict=True):
                related = [str(item.value).strip('"') for item in power.attributes if item.name == "related_pin"]
                assert energy.related == tuple(related)
                for edge in ("rise", "fall"):
                    found = power.get_groups(f"{edge}_power") or power.get_groups("power")
                    if found:
                        values = np.atleast_2d(found[0].get_array("values")) * 1e-12
                        table = getattr(energy, edge)
                        # the file has loads first
                        assert table.values.ravel() == near(values.T.ravel())
                        tables += 1
    assert tables > 150
    assert library.gate_equivalent_um2 == library.cells["NAND2X1"].area_um2 == 24
    assert library.voltage == 1.8 and 50e-12 < library.fo4 < 150e-12
