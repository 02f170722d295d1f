"""Static timing, against delays looked up by hand in the same tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lns.format import LNSFormat
from sim.cost.errors import CostError
from sim.cost.synthesis import synthesise
from sim.cost.timing import critical_path, time_netlist
from sim.verify.units.elementwise import Mul

MUL = Mul(LNSFormat.parse("lns<6,2>"))

_RING = """\
module top (input clk_i, input rst_ni, input d_i, output q_o);
  wire n0, n1;
  DFFPOSX1 c0 (.CLK(clk_i), .D(d_i), .Q(n0));
  {logic}
  DFFPOSX1 c1 (.CLK(clk_i), .D(n1), .Q(q_o));
endmodule
"""


def _written(path: Path, logic: str) -> Path:
    """A netlist, and beside it what the timer wants to know of its ports: none is constant."""
    path.write_text(_RING.format(logic=logic))
    path.with_suffix(".json").write_text(json.dumps({"modules": {"top": {"ports": {}}}}))
    return path


pytestmark = pytest.mark.usefixtures("own_cache")


def test_timing_of_a_netlist(library):
    period = 200 * library.fo4
    folder = synthesise(MUL, library, period)
    timing = time_netlist(folder, library, period)
    assert 0.3e-9 < timing.critical_path < period
    assert timing.critical_path == pytest.approx(critical_path(folder / "netlist.v", library, period), abs=1e-15)
    assert len(timing.path) > 3 and timing.path[0].startswith("c")
    assert {"a_i[0]", "clk_i", "word_o[5]"} <= set(timing.slews)
    assert all(0 <= slew < 5e-9 for both in timing.slews.values() for slew in both)
    assert "(INTERCONNECT a_i[5]" in (folder / "delays.sdf").read_text()
    again = time_netlist(folder, library, timing.critical_path * 1.0001)
    assert again.slews == timing.slews and again.critical_path == timing.critical_path
    with pytest.raises(CostError, match=r"at least \d\.\d+ ns, the clock asked for has 0.1 ns"):
        time_netlist(folder, library, 0.1e-9)


def test_a_damaged_result_is_made_again(library):
    folder = synthesise(MUL, library, 200 * library.fo4)
    timing = time_netlist(folder, library, 200 * library.fo4)
    (folder / "timing.json").write_text('{"key": "another", "critical_path": 1e-12}')
    assert time_netlist(folder, library, 200 * library.fo4) == timing
    (folder / "timing.json").write_text('{"key"')
    assert time_netlist(folder, library, 200 * library.fo4) == timing


def test_a_chain_of_gates_adds_up(library, tmp_path):
    """Each inverter that is put between two registers adds its delay, of the size of a fan-out of one."""
    periods = []
    for count in (2, 4, 8):
        nets = ["n0", *(f"m{i}" for i in range(count - 1)), "n1"]
        chain = "\n".join(f"INVX1 i{i} (.A({nets[i]}), .Y({nets[i + 1]}));" for i in range(count))
        wires = "".join(f"wire {net}; " for net in nets[1:-1])
        path = tmp_path / f"chain{count}.v"
        periods.append(critical_path(_written(path, wires + chain), library, 10e-9))
    steps = (periods[1] - periods[0]) / 2, (periods[2] - periods[1]) / 4
    assert steps[0] == pytest.approx(steps[1], rel=0.1)
    assert 0.2 * library.fo4 < steps[1] < library.fo4


@pytest.mark.parametrize(
    ("logic", "message"),
    [
        ("NAND2X1 g0 (.A(n0), .B(n1), .Y(n1));", "loop"),
        ("MISSINGX1 g0 (.A(n0), .Y(n1));", "MISSINGX1"),
        ("INVX1 g0 (.A(n0) .Y(n1));", "OpenSTA"),
    ],
)
def test_netlists_that_are_refused(library, tmp_path, logic, message):
    with pytest.raises(CostError, match=message):
        critical_path(_written(tmp_path / "netlist.v", logic), library, 10e-9)
