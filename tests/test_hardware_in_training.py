"""The Verilog in the training loop: the backend in hardware, compiled units, and the replay of traces."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import pytest
from verilog import planted

from lns.design import load
from lns.format import LNSFormat
from lns.units import Units
from sim.train.chip import Chip
from sim.train.loop import initial_weights
from sim.train.rtl import RtlBackend
from sim.train.trace import Trace, traced_step
from sim.verify import command
from sim.verify.compiled import CompiledUnit, pack_columns, unpack_columns
from sim.verify.compiled_bench import compare
from sim.verify.replay import Recorder, replay
from sim.verify.runner import Settings
from sim.verify.tools import MissingTool, tool_environment
from sim.verify.unit import Port, VerifyError
from sim.verify.units.elementwise import Mul, Relu

DESIGNS = ("madam8", "madam8-log", "madam8-small", "bmadam8")


def need_verilator() -> None:
    try:
        tool_environment("verilator")
    except MissingTool as error:
        pytest.skip(str(error))


def small_chip(name: str, backend: str = "numba") -> Chip:
    return Chip(load(name), initial_weights([9, 5, 4], 0), 3, backend)


def batch(chip: Chip, step: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(step)
    return chip.encode_inputs(rng.random((6, 9))), rng.integers(0, 4, 6)


def trained(chip: Chip, steps: int = 3) -> dict[str, np.ndarray]:
    for step in range(steps):
        chip.step(*batch(chip, step))
    return chip.state()


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not np.array_equal(one[name], other[name])] == []


@pytest.mark.parametrize("name", DESIGNS)
def test_the_orders_to_the_units_are_right(name: str) -> None:
    """The backend's packing and padding, with the definition in the place of the Verilog."""
    chip = small_chip(name)
    chip.backend = RtlBackend(Units(chip.design), Recorder())
    assert_same(trained(chip), trained(small_chip(name)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["madam8-small", "log16"])
def test_training_in_verilog_gives_the_same_bits(name: str) -> None:
    need_verilator()
    assert_same(trained(small_chip(name, "rtl")), trained(small_chip(name)))


# --- compiled units ------------------------------------------------------------------------------------------------


def test_a_compiled_unit_compares_all_values_and_finds_a_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_verilator()
    monkeypatch.setenv("LNS_CACHE_DIR", str(tmp_path / "cache"))
    unit = Mul(LNSFormat.parse("lns<9,3>"))
    good = compare(unit, None)
    assert (good.transactions, good.mismatches) == (1 << 18, 0)
    bad = compare(unit, None, planted(tmp_path, "lns_range.v", "below && !zero_i", "below"))
    assert bad.transactions == 1 << 18 and bad.mismatches > 0
    assert "a = 0x" in bad.failures[0] and "underflow = 1" in bad.failures[0]
    with pytest.raises(VerifyError, match="3 results were due, 2 came out"):
        CompiledUnit(unit).run(np.zeros((2, 1), np.uint32), 3)
    assert len(list((tmp_path / "cache" / "compiled").iterdir())) == 2  # each was built once, and nothing is left over


def test_columns_are_packed_as_the_ports_stand() -> None:
    ports = (Port("a_i", 12), Port("b_i", 5, signed=True), Port("last_i", 1), Port("c_i", 33))
    lanes = np.array([[1, 2, 3], [15, 0, 8]])
    columns = [lanes, np.array([-16, 15]), np.array([1, 0]), np.array([1 << 32, 5])]
    beats = pack_columns(columns, ports)
    assert beats.shape == (2, 2) and beats.dtype == np.uint32
    a, *rest = unpack_columns(beats, ports)
    assert a.tolist() == [0x321, 0x80F]
    assert [column.tolist() for column in rest] == [column.tolist() for column in columns[1:]]
    for wrong in (np.array([16, 0]), np.array([-17, 0])):
        with pytest.raises(ValueError, match="b_i: values must be from -16 to 15"):
            pack_columns([lanes, wrong, *columns[2:]], ports)


# --- replay --------------------------------------------------------------------------------------------------------


def trace_of(name: str) -> Trace:
    chip = small_chip(name)
    return traced_step(chip, *batch(chip, 0))[1]


def test_a_trace_goes_through_the_verilog(tmp_path: Path) -> None:
    if shutil.which("iverilog") is None:
        pytest.skip("apt install iverilog")
    reports = replay(trace_of("madam8"), tmp_path, Settings(), ["lns_dot_linear", "lns_relu"])
    assert {report.unit: report.transactions for report in reports} == {
        "lns_dot_linear": 6 * 5 + 6 * 4 + 5 * 10 + 4 * 6 + 6 * 5, "lns_relu": 30,
    }  # fmt: skip
    assert all(report.passed and not report.exhaustive for report in reports)
    rtl = planted(tmp_path, "lns_relu.v", "a_i[BITS-1] ? '0 : a_i", "a_i")
    (report,) = replay(trace_of("madam8"), tmp_path, Settings(rtl_dir=rtl), ["lns_relu"])
    assert not report.passed and report.mismatches > 0
    with pytest.raises(VerifyError, match="has no transaction of lns_div; it has those of lns_convert, lns_dot_linear"):
        replay(trace_of("madam8"), tmp_path, Settings(), ["lns_div"])


def test_a_trace_that_is_not_the_definition_s_is_refused(tmp_path: Path) -> None:
    trace = trace_of("madam8")
    call = next(call for call in trace.calls if call.unit == "dot")
    call.results["words"][0, 0] ^= 1
    with pytest.raises(VerifyError, match="word 0 of words is not what the definition gives"):
        replay(trace, tmp_path, Settings())


def test_the_command_refuses_wrong_traces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str) -> int:
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        return command.run(parser.parse_args(words))

    trace_of("madam8").save(tmp_path / "step.npz")
    (tmp_path / "no.npz").write_bytes(b"no")
    for words, said in (
        (("log16", "--trace", str(tmp_path / "step.npz")), "was recorded on another design than log16"),
        (("--trace", str(tmp_path / "no.npz")), "not a trace"),
        ((), "DESIGN is required, or --trace FILE"),
    ):
        assert run(*words) == 2
        assert said in capsys.readouterr().err


def test_a_network_with_too_many_classes_is_refused() -> None:
    backend = RtlBackend(Units(load("madam8")), Recorder())
    with pytest.raises(VerifyError, match="at most 16 classes, got 17"):
        backend.loss(np.full((1, 17), 64, np.uint8), np.zeros(1, np.int64), 0, 0)
    with pytest.raises(VerifyError, match="has no lns_relu of lns<9,3>"):
        backend.relu(np.zeros(3, np.uint16), LNSFormat.parse("lns<9,3>"))
    assert Relu(LNSFormat.parse("lns<8,3>")) in backend.found
