"""Power: figures by hand, by a plain loop, by OpenSTA."""

import json
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from cell_library import PERIOD, TEXT, adder, hand_library, shuffled
from icarus import simulate
from liberty.parser import parse_liberty

from sim.cost.activity import Toggles
from sim.cost.errors import CostError
from sim.cost.liberty import default_library
from sim.cost.netlist import load_netlist
from sim.cost.power import net_capacitances, power
from sim.cost.timing import Timing

near = partial(pytest.approx, rel=1e-9, abs=0)

# --- by hand -----------------------------------------------------------------------------------------------------

# a, clock and reset come in; c0 inverts a to n0, c1 inverts n0 to n1, c2 stores n1 and gives q
_CHAIN = {
    "ports": {"a": ("input", 2), "clk": ("input", 3), "rst": ("input", 4), "q": ("output", 7)},
    "nets": {"n0": 5, "n1": 6},
    "cells": {
        "c0": ("INV", {"A": 2, "Y": 5}), "c1": ("INV", {"A": 5, "Y": 6}),
        "c2": ("DFF", {"CK": 3, "D": 6, "R": 4, "Q": 7}),
    },
}  # fmt: skip


def _netlist(folder: Path, of):
    """A netlist as Yosys would write it."""
    ports = {name: {"direction": direction, "bits": [net]} for name, (direction, net) in of["ports"].items()}
    cells = {
        name: {"type": kind, "connections": {pin: [net] for pin, net in pins.items()}}
        for name, (kind, pins) in of["cells"].items()
    }
    names = {name: {"bits": port["bits"]} for name, port in ports.items()}
    names |= {name: {"bits": [net]} for name, net in of["nets"].items()}
    text = json.dumps({"modules": {"top": {"ports": ports, "cells": cells, "netnames": names}}})
    (folder / "netlist.json").write_text(text)
    return load_netlist(folder)


def _toggles(netlist, of, duration=1e-6):
    """Name -> rises, falls, and the part of the time at 1."""
    rises, falls = np.zeros(len(netlist.nets), np.int64), np.zeros(len(netlist.nets), np.int64)
    high = np.zeros(len(netlist.nets))
    for name, (rise, fall, part) in of.items():
        net = netlist.nets.index(name)
        rises[net], falls[net], high[net] = rise, fall, part * duration
    return Toggles(rises, falls, high, duration)


_SLEWS = {
    "c0/A": (1e-9, 2e-9), "c1/A": (0.5e-9, 0.25e-9), "c2/D": (0.0, 0.0), "c2/CK": (5e-9, 0.0), "c2/R": (0.0, 0.0),
}  # fmt: skip
_MOVES = {
    "a": (3, 2, 0.5), "n0": (2, 3, 0.5), "n1": (3, 2, 0.25), "clk": (10, 10, 0.5), "q": (2, 1, 0.25), "rst": (0, 0, 1),
}  # fmt: skip


def _chain(folder, library=None, wire=0.0, moves=_MOVES):
    netlist = _netlist(folder, _CHAIN)
    return power(netlist, _toggles(netlist, moves), Timing(0, (), _SLEWS), library or hand_library(folder), wire)


def test_a_chain_by_hand(tmp_path):
    got = _chain(tmp_path)
    half = 2.0**2 / 2  # ½·V², with pF and µs: pJ/µs is µW
    assert got.clock_switching == near(half * 20 * 0.5e-6)
    assert got.input_switching == near(half * (3 * 0.03 + 2 * 0.01) * 1e-6)
    assert got.combinational_switching == near(half * (2 * 0.03 + 3 * 0.01 + 5 * 0.3) * 1e-6)
    assert got.sequential_switching == 0  # nothing is on q
    # c0 rises by a's fall (2 ns), at load 0.03; it falls by a's rise (1 ns), at 0.01
    first = 2 * (1 + 2 * 2 + 0.03 * (1 + 4 * 2)) + 3 * (0.5 + 1 + 0.1 * 0.01)
    # c1: at load 0.3 (D), by slews 0.25 and 0.5
    second = 3 * (1 + 2 * 0.25 + 0.3 * (1 + 4 * 0.25)) + 2 * (0.5 + 0.5 + 0.1 * 0.3)
    assert got.combinational_internal == near((first + second) * 1e-6)
    # the clock pin: 1 + 5·0.2 a rise, 0.5 a fall; D: 0.125 an edge while the clock is 0; Q: by the clock's rise (5 ns)
    assert got.clock_internal == near((10 * 2 + 10 * 0.5) * 1e-6)
    assert got.sequential_internal == near((5 * 0.125 * 0.5 + 3 * 7.5) * 1e-6)
    assert got.leakage == near(3e-9 + 3e-9 + 5e-9)
    assert got.dynamic == near(got.clock + got.internal + got.switching)
    assert got.clock == near(got.clock_internal + got.clock_switching)


def test_what_changes_and_what_not(tmp_path):
    library, before = hand_library(tmp_path), _chain(tmp_path)
    half = _chain(tmp_path, replace(library, voltage=1.0))
    assert (half.switching, half.clock_switching) == near((before.switching / 4, before.clock_switching / 4))
    for name in ("internal", "clock_internal", "leakage"):
        assert getattr(half, name) == getattr(before, name)
    # a rise of n1 that is lost: its load, c1's energy of a rise, the flip-flop's of D
    lost = _chain(tmp_path, moves=_MOVES | {"n1": (2, 2, 0.25)})
    assert before.switching - lost.switching == near(2 * 0.3e-6)
    assert before.combinational_internal - lost.combinational_internal == near((1.5 + 0.3 * 2) * 1e-6)
    assert before.sequential_internal - lost.sequential_internal == near(0.125 * 0.5e-6)
    # wires: of every pin that is driven, on both edges
    wired = _chain(tmp_path, wire=1e-12)
    assert wired.switching - before.switching == near(2 * (5 + 5 + 5) * 1e-6)
    assert wired.clock_switching - before.clock_switching == near(2 * 20 * 1e-6)
    assert wired.combinational_internal > before.combinational_internal


def test_energies_are_shared_among_related_pins(tmp_path):
    chip = {
        "ports": {"a": ("input", 2), "b": ("input", 3), "y": ("output", 4)},
        "nets": {},
        "cells": {"c0": ("NAND2", {"A": 2, "B": 3, "Y": 4})},
    }
    netlist, library = _netlist(tmp_path, chip), hand_library(tmp_path)
    toggles = _toggles(netlist, {"a": (4, 4, 0.5), "b": (1, 1, 0.75), "y": (3, 3, 0.625)})
    got = power(netlist, toggles, Timing(0, (), {"c0/A": (0, 0), "c0/B": (0, 0)}), library)
    # a: 8 edges, seen where b = 1 (0.75); b: 2 edges, seen where a = 1 (0.5): shares 6 to 1 of energies 1 and 4
    output = 6 * (6 * 1 + 1 * 4) / 7
    assert got.combinational_internal == near((output + 8 * 0.25 * 0.25) * 1e-6)
    # leakage: 8 at a·b, 2 at neither, 4 elsewhere
    assert got.leakage == near((8 * 0.375 + 2 * 0.125 + 4 * 0.5) * 1e-9)


def test_conditions_and_what_they_leave(tmp_path):
    chip = {
        "ports": {"a": ("input", 2), "b": ("input", 3), "y": ("output", 4)},
        "nets": {},
        "cells": {"c0": ("XOR2", {"A": 2, "B": 3, "Y": 4})},
    }
    netlist, library = _netlist(tmp_path, chip), hand_library(tmp_path)
    toggles = _toggles(netlist, {"a": (4, 4, 0.5), "b": (2, 2, 0.25), "y": (6, 6, 0.5)})
    got = power(netlist, toggles, Timing(0, (), {"c0/A": (0, 0), "c0/B": (0, 0)}), library)
    # a has 8 of 12 edges: 2 pJ with b, 10 without; b has 4, of 50 pJ; nothing of the ground's 900
    assert got.combinational_internal == near(12 * (8 * (0.25 * 2 + 0.75 * 10) + 4 * 50) / 12 * 1e-6)
    assert got.leakage == near(6e-9)
    still = _toggles(netlist, {"a": (0, 0, 1), "b": (0, 0, 0), "y": (1, 0, 0.5)})  # an edge that no pin accounts for
    assert power(netlist, still, Timing(0, (), {}), library).combinational_internal == near((2 + 10 + 50) / 3 * 1e-6)


def test_what_power_needs_is_required(tmp_path):
    netlist = _netlist(tmp_path, _CHAIN)
    toggles, library = _toggles(netlist, _MOVES), hand_library(tmp_path)
    for slews in ({}, _SLEWS | {"c1/A": (float("nan"), float("inf"))}):
        with pytest.raises(CostError, match=r"a slew of pin c\d/\w+ is required"):
            power(netlist, toggles, Timing(0, (), slews), library)
    blind = hand_library(tmp_path, TEXT.replace('function : "IQ"', 'function : "D"'))
    with pytest.raises(CostError, match="cell DFF: an output that shows the state is required"):
        power(netlist, toggles, Timing(0, (), _SLEWS), blind)
    unknown = hand_library(tmp_path, TEXT.replace('when : "CK"', 'when : "CP"'))
    with pytest.raises(CostError, match="cell DFF: pin CP is unknown"):
        power(netlist, toggles, Timing(0, (), _SLEWS), unknown)


# --- a real netlist, a second way --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run():
    unit, library, folder, netlist, _ = adder()
    return simulate(folder, netlist, unit, shuffled(unit, 300), library, PERIOD)


def _plain(table, names, slew, load):
    """Bilinear, from the text of a table whose first index is of loads (pF), the second of slews (ns)."""
    axes = [[float(x) for x in table.get_array(name)[0]] for name in names]
    values = np.atleast_2d(table.get_array("values"))
    if len(axes) == 1:
        axes, values = [[0.0, 1.0], axes[0]], np.vstack([values, values])
    places = []
    for axis, x in zip(axes, (load, slew), strict=True):
        i = max(k for k in range(len(axis) - 1) if k == 0 or axis[k] <= x)
        places.append((i, (x - axis[i]) / (axis[i + 1] - axis[i])))
    (i, s), (j, t) = places
    return (
        values[i][j] * (1 - s) * (1 - t) + values[i + 1][j] * s * (1 - t)
        + values[i][j + 1] * (1 - s) * t + values[i + 1][j + 1] * s * t
    )  # fmt: skip


def test_the_adder_by_a_plain_loop(run):
    """Cell by cell from the JSON of Yosys and another reader's Liberty; nothing of `sim.cost.power` or the arrays."""
    _, library, folder, netlist, timing = adder()
    module = json.loads((folder / "netlist.json").read_text())["modules"]["top"]
    groups = {group.args[0]: group for group in parse_liberty(default_library().read_text()).get_groups("cell")}
    number = {name: n for n, name in enumerate(netlist.nets)}
    of_bit = {}
    for name, value in module["netnames"].items():
        for place, bit in enumerate(value["bits"]):
            known = number.get(f"{name}[{place}]" if len(value["bits"]) > 1 else name)
            if known is not None:
                of_bit[bit] = known
    load = dict.fromkeys(of_bit.values(), 0.0)
    pins = {kind: {pin.args[0]: pin for pin in group.get_groups("pin")} for kind, group in groups.items()}
    for cell in module["cells"].values():
        for pin, (bit,) in cell["connections"].items():
            if bit in of_bit:
                load[of_bit[bit]] += float(pins[cell["type"]][pin]["capacitance"])
    expected = {"switching": 0.0, "internal": 0.0, "leakage": 0.0}
    for net in load:
        expected["switching"] += (run.rises[net] + run.falls[net]) * load[net] * 1e-12 * 1.8**2 / 2
    for name, cell in module["cells"].items():
        group, nets = groups[cell["type"]], {pin: of_bit.get(bit) for pin, (bit,) in cell["connections"].items()}
        expected["leakage"] += float(group["cell_leakage_power"]) * 1e-9
        expected["internal"] += _internal(name, cell["type"], pins[cell["type"]], nets, run, load, timing.slews) * 1e-12
    got = power(netlist, run, timing, library)
    assert got.leakage == near(expected["leakage"])
    # pins' capacitances differ a little between rising and falling edges, which the loop does not distinguish
    assert got.switching + got.clock_switching == pytest.approx(expected["switching"] / run.duration, rel=0.02)
    # the loop shares an output's edges among pins by their edges alone
    assert got.internal + got.clock_internal == pytest.approx(expected["internal"] / run.duration, rel=0.05)


def _internal(name, kind, pins, nets, run, load, slews):
    """Picojoules of one cell."""
    total = 0.0
    for pin, group in pins.items():
        net = nets.get(pin)
        if net is None or not run.rises[net] + run.falls[net]:
            continue
        entries = []
        for one in group.get_groups("internal_power"):
            related = str(one["related_pin"]).strip('"') if "related_pin" in [a.name for a in one.attributes] else pin
            cause = nets[related]
            moves = 0 if cause is None else 1 if related == pin else run.rises[cause] + run.falls[cause]
            entries.append((moves, related, one))
        whole = sum(weight for weight, *_ in entries)
        for weight, related, one in entries:
            for edge, count in (("rise", run.rises[net]), ("fall", run.falls[net])):
                tables = one.get_groups(f"{edge}_power") or one.get_groups("power")
                if weight and tables:
                    slew = 1e9 * sum(slews[f"{name}/{related}"]) / 2
                    names = [f"index_{i}" for i in (1, 2) if f"index_{i}" in [a.name for a in tables[0].attributes]]
                    total += count * weight / whole * _plain(tables[0], names, slew, load[net])
    return total


def test_switching_is_what_opensta_says(tmp_path):
    """At one activity of every net OpenSTA's switching power is right, its internal power is not."""
    _, library, folder, netlist, timing = adder()
    script = f"""\
read_liberty "{library.path}"
read_verilog "{folder / 'netlist.v'}"
link_design top
create_clock -name clock -period 20 [get_ports clk_i]
set_input_delay 0 -clock clock [all_inputs]
set_power_activity -global -activity 0.1 -duty 0.5
report_power -digits 8
"""
    (tmp_path / "power.tcl").write_text(script)
    command = ["sta", "-no_splash", "-exit", "power.tcl"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    rows = {row[0]: [float(x) for x in row[1:5]] for row in map(str.split, said.splitlines()) if len(row) == 6}
    assert rows, said
    clocks = 1000
    toggles = Toggles(
        np.full(len(netlist.nets), 50), np.full(len(netlist.nets), 50), np.full(len(netlist.nets), clocks * PERIOD / 2),
        clocks * PERIOD,
    )  # fmt: skip
    got = power(netlist, toggles, timing, library)
    assert rows["Combinational"][1] == pytest.approx(got.combinational_switching, rel=0.01)
    assert rows["Sequential"][1] == pytest.approx(got.sequential_switching, rel=0.01)
    assert rows["Total"][2] == pytest.approx(got.leakage, rel=1e-4)


def test_capacitances_are_those_of_the_pins():
    _, library, _, netlist, _ = adder()
    rise, fall = net_capacitances(netlist, library)
    clock = netlist.inputs["clk_i"][0]
    clocked = {name: len(kind.names) for name, kind in netlist.kinds.items() if library.cells[name].state}
    pins = {name: library.cells[name].pins["CLK"] for name in clocked}
    assert rise[clock] == near(sum(count * pins[name].rise_capacitance for name, count in clocked.items()))
    assert fall[clock] == near(sum(count * pins[name].fall_capacitance for name, count in clocked.items()))
