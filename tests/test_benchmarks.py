"""The benchmarks run and write valid JSON; what counts instructions counts those of listings whose counts are known."""

from __future__ import annotations

import importlib.util
import json
import math
import platform
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numba as nb
import numpy as np
import pytest

from benchmarks import assembly, bound, cases, moments, ports, products, timing
from benchmarks.assembly import Instruction
from lns.kernels.tables import Threaded

NEEDS = {
    "products": ["threadpoolctl", "universal_dtypes"], "bound": ["threadpoolctl"],
    "elementwise": ["universal_dtypes"], "sizes": ["threadpoolctl"], "step": ["threadpoolctl", "torch"],
    "sweep": [],
}  # fmt: skip

LISTING = """
	.text
outer:
	xorl	%eax, %eax
.LBB0_1:                                # =>This Loop Header: Depth=1
	movl	(%rdi,%rax,4), %r8d
	xorl	%ecx, %ecx
	.p2align	4
.LBB0_2:                                # =>  This Inner Loop
	vmovdqu64	(%rsi,%rcx,2), %zmm0
	vpaddw	%zmm0, %zmm1, %zmm2
	vpermi2w	64(%rdx), %zmm3, %zmm2
	vpaddw	64(%rsi,%rcx,2), %zmm1, %zmm4
	vpmaxsw	%zmm5, %zmm4, %zmm4 {%k1} {z}
	vpaddd	(%rdx){1to16}, %zmm4, %zmm4
	vpgatherdd	(%r9,%zmm4,4), %zmm6 {%k2}
	vpsllw	$3, %zmm6, %zmm6
	addq	$64, %rcx
	cmpq	%rcx, %r10
	jne	.LBB0_2
	incq	%rax
	jne	.LBB0_1
	retq
"""


@pytest.mark.parametrize("name", NEEDS)
def test_a_benchmark_runs_and_writes_json(name: str, root: Path, tmp_path: Path) -> None:
    missing = [package for package in NEEDS[name] if importlib.util.find_spec(package) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}, which make bench installs")
    if name == "bound" and platform.machine() != "x86_64":
        pytest.skip("counts the instructions of x86-64")
    path = tmp_path / "out.json"
    command = [sys.executable, "-m", f"benchmarks.{name}", "--quick", "--rounds", "1", "--json", str(path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(path.read_text())
    assert result["settings"]["rounds"] == 1 and result["rows"] and "| --- |" in done.stdout


BRANCHES = """
	jmp	.L4
.L1:
	vpabsw	%zmm1, %zmm1
	vpminsw	%zmm2, %zmm1, %zmm1
	vpaddw	%zmm2, %zmm1, %zmm1
.L2:
	vpermw	%zmm1, %zmm3, %zmm4
	decq	%rax
	je	.L5
.L3:
	testb	%dl, %dl
	jne	.L1
	vpxord	%zmm1, %zmm1, %zmm1
	jmp	.L2
.L4:
	movq	%rbx, %rax
	jmp	.L3
.L5:
	decq	%rcx
	jne	.L4
	retq
"""


@pytest.mark.parametrize(("longest", "forms"), [(False, "vpxord zero,zmm"), (True, "vpabsw zmm,zmm")])
def test_a_loop_with_a_branch_has_two_ways_and_ends_before_the_outer_loop(longest: bool, forms: str) -> None:
    loop = assembly.loop_with(BRANCHES, "vpermw", longest)
    counts = assembly.counts(loop)
    assert counts[forms] == 1 and counts["movq r64,r64"] == 0 and counts["decq r64"] == 1
    assert len(loop) == (8 if longest else 7)


FORMS = """
.L1:
	vpgatherdd	(%rdi,%zmm4,4), %zmm6 {%k1}
	vpgatherdd	(%rdi,%zmm5,4), %zmm7 {%k2}
	vpminsd	%zmm6, %zmm7, %zmm6
	vmovdqa32	%zmm9, %zmm6 {%k1}
	vmovdqa32	%zmm9, %zmm7 {%k2}
	decq	%rax
	jne	.L1
.L2:
	vpgatherdd	(%rdi,%zmm4,4), %zmm6 {%k1}
	vpgatherdd	(%rdi,%zmm5,4), %zmm7 {%k2}
	vpaddd	%zmm6, %zmm7, %zmm6
	vpaddd	%zmm6, %zmm9, %zmm6
	vmovdqa64	%zmm6, %zmm8
	vmovdqu64	%zmm6, 64(%rsp)
	vmovdqu64	64(%rsp), %zmm9
	decq	%rax
	jne	.L2
.L3:
	vpgatherdd	(%rdi,%zmm4,4), %zmm6 {%k1}
	decq	%rax
	jne	.L3
	retq
"""


@pytest.mark.parametrize(("longest", "forms"), [(False, "vpaddd zmm,zmm,zmm"), (True, "vpminsd zmm,zmm,zmm")])
def test_of_two_forms_of_a_loop_the_one_with_less_to_do_beside_copies(longest: bool, forms: str) -> None:
    """The third loop, with fewer of the marked instructions, is no form of it."""
    assert forms in assembly.counts(assembly.loop_with(FORMS, "vpgatherdd", longest))


def test_a_loop_may_be_told_by_what_it_has_beside() -> None:
    assert "vpminsd zmm,zmm,zmm" in assembly.counts(assembly.loop_with(FORMS, "vpgatherdd", beside="vpmins"))
    with pytest.raises(ValueError, match="no loop"):
        assembly.loop_with(FORMS, "vpgatherdd", beside="vpbroadcast")


FUNCTIONS = """
first:
.Lfunc_begin0:
	vpermw	%zmm1, %zmm3, %zmm4
.Lfunc_end0:
	.size	first, .Lfunc_end0-first
lns.second:
.L1:
	vpaddw	%zmm1, %zmm3, %zmm4
	jne	.L1
	retq
.Lfunc_end1:
"""


def test_a_loop_may_be_within_a_function_of_its_own() -> None:
    part = assembly.function_in(FUNCTIONS, "lns.second")
    assert assembly.counts(assembly.loop_with(part, "vp")) == {"vpaddw zmm,zmm,zmm": 1, "jne label": 1}
    with pytest.raises(ValueError, match=r"no function lns\.third"):
        assembly.function_in(FUNCTIONS, "lns.third")


def test_the_inner_loop_is_found_and_its_instructions_counted_by_form() -> None:
    loop = assembly.loop_with(LISTING, "vpermi2w")
    assert assembly.counts(loop) == {
        "vmovdqu64 mem,zmm": 1, "vpaddw zmm,zmm,zmm": 1, "vpermi2w mem,zmm,zmm": 1, "vpaddw mem,zmm,zmm": 1,
        "vpmaxsw zmm,zmm,zmm{k}{z}": 1, "vpaddd mem{1to16},zmm,zmm": 1, "vpgatherdd mem[zmm],zmm{k}": 1,
        "vpsllw imm,zmm,zmm": 1, "addq imm,r64": 1, "cmpq r64,r64": 1, "jne label": 1,
    }  # fmt: skip
    with pytest.raises(ValueError, match="vpmullw"):
        assembly.loop_with(LISTING, "vpmullw")


@pytest.mark.parametrize(
    ("register", "bits"), [("%rax", 64), ("%r8", 64), ("%r8d", 32), ("%eax", 32), ("%r10w", 16), ("%ax", 16),
                           ("%cl", 8), ("%r9b", 8), ("%sil", 8), ("%rsi", 64), ("%rbx", 64), ("%rbp", 64)]
)  # fmt: skip
def test_width_of_a_general_register(register: str, bits: int) -> None:
    assert assembly.general_width(register) == bits


def test_resources_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two shuffles and a shift, which takes two places, behind two loads on a machine with known times: the shuffles'
    port decides."""
    times = {"vpermb": 1.0, "vpsllw": 1.0, "vmovups": 0.5, "vpaddd": 0.5, "nop": 0.25, "nopl": 0.25, "addq": 0.25}

    def cycles(self: ports.Machine, stream: list[Instruction]) -> float:
        shuffles, shifts = (sum(one.mnemonic == name for one in stream) for name in ("vpermb", "vpsllw"))
        loads = sum(one.mnemonic == "vmovups" for one in stream)
        plain = sum(one.mnemonic == "vpaddd" for one in stream)
        others = sum(times[one.mnemonic] for one in stream if one.mnemonic in ("nop", "nopl", "addq"))
        places = len(stream) + shifts
        return max(shuffles, shifts, (shuffles + shifts + plain) / 2, loads / 2, others, places / 4)

    monkeypatch.setattr(ports.Machine, "__init__", lambda self: None)
    monkeypatch.setattr(ports.Machine, "cycles", cycles)
    shuffle, shift = (Instruction(name, ("%zmm0", "%zmm1", "%zmm2")) for name in ("vpermb", "vpsllw"))
    load = Instruction("vmovups", ("(%rax)", "%zmm1"))
    machine = ports.Machine()
    found = machine.bound([load, load, shuffle, shuffle, shift, Instruction("jne", (".L",))])
    assert found.resources == {"zmm ports": 1.5, "issue": 1.5, "loads": 1.0, "vpermb zmm,zmm,zmm": 2.0,
                               "vpsllw zmm,zmm,zmm": 1.0}  # fmt: skip
    assert (found.cycles, found.limit) == (2.0, "vpermb zmm,zmm,zmm")


def test_a_gather_takes_as_many_loads_as_it_makes_a_stream_of_loads_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    def cycles(self: ports.Machine, stream: list[Instruction]) -> float:
        gathers, loads, plain = (
            sum(one.mnemonic == name for one in stream) for name in ("vpgatherdd", "vmovups", "vpaddd")
        )
        return max(6.0 * gathers, 5.5 * gathers + loads / 2, 3 * gathers + plain / 2, len(stream) / 8)

    monkeypatch.setattr(ports.Machine, "__init__", lambda self: None)
    monkeypatch.setattr(ports.Machine, "cycles", cycles)
    gather = Instruction("vpgatherdd", ("(%rax,%zmm0,4)", "%zmm1 {%k1}"))
    found = ports.Machine().bound([gather, gather, Instruction("vmovups", ("(%rax)", "%zmm2"))])
    assert found.resources == {"zmm ports": 6.0, "loads": 11.5, "issue": 0.375}


def of_a_core(rounds: int) -> moments.Moments:
    """Moments that know how fast the core is, without a look at it."""
    found = moments.Moments.__new__(moments.Moments)
    found.best, found.rounds, found.patience, found.looks, found.quiet = np.array([0.2, 0.25]), rounds, 10.0, 0, 0
    return found


def test_what_is_timed_in_disturbed_moments_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    core = of_a_core(rounds=2)
    looks = [(9.0, 0.3), (5.0, 0.0), (8.0, math.inf), (7.0, 0.05), (6.0, 0.01), (2.0, 0.0)]
    left = iter(looks)
    monkeypatch.setattr(core, "look", lambda call: next(left))
    assert core.cycles(lambda: None) == pytest.approx(5.2)  # a fast one of 5 and 6, the first two quiet moments
    assert next(left) == looks[5]  # so it went on as far as the second of them
    assert core.typical([(4.0, 0.3), (5.0, 0.03), (8.0, 0.2)]) == pytest.approx(5.6)  # of none, the quietest


@pytest.mark.parametrize(
    ("clocks", "nops", "additions", "far"),
    [((1.0, 1.0), (0.2, 0.2), (0.25, 0.25), 0.0), ((1.0, 1.0), (0.2, 0.23), (0.25, 0.25), 0.15),
     ((1.0, 1.0), (0.2, 0.2), (0.2, 0.25), 0.2), ((1.0, 1.1), (0.2, 0.22), (0.25, 0.275), math.inf)],
)  # fmt: skip
def test_a_moment_is_quiet_if_clock_and_probes_say_so_before_and_after(
    monkeypatch: pytest.MonkeyPatch, clocks: tuple[float, ...], nops: tuple[float, ...], additions: tuple[float, ...],
    far: float,
) -> None:  # fmt: skip
    core = of_a_core(rounds=2)
    cycles, probes = iter(clocks), iter(zip(nops, additions, strict=True))
    monkeypatch.setattr(core, "cycle", lambda: next(cycles))
    monkeypatch.setattr(core, "_probe", lambda: np.array(next(probes)))
    calls: list[int] = []
    assert core.look(lambda: calls.append(1))[1] == pytest.approx(far)
    assert len(calls) == 2 and (core.looks, core.quiet) == (1, int(far == 0.0))


@pytest.mark.parametrize(("which", "part"), [(0, (0, 4)), (1, (4, 8)), (2, (8, 12)), (3, (0, 4))])
def test_a_part_of_a_loop_is_timed_without_the_call(
    monkeypatch: pytest.MonkeyPatch, which: int, part: tuple[int, int]
) -> None:
    counted, packing = Threaded(reached, 1 << 30), Threaded(other, 1 << 30)
    done: list[tuple[int, int]] = []
    packing.loop = lambda first, last, *_: None
    counted.loop = lambda first, last, *_: done.append((first, last))

    def cycles(self: moments.Moments, call: Callable[[], object]) -> float:
        call()
        return 1000.0 + 50_000 * (done[-1][1] - done[-1][0])  # a call takes 1000, a turn 50,000: three parts of four

    monkeypatch.setattr(moments.Moments, "cycles", cycles)
    monkeypatch.setattr(moments.Moments, "look", lambda self, call: (cycles(self, call), 0.0))

    def product() -> None:
        packing(1, 10, 1)
        counted(1, 12, 1, True)

    before = counted.loop
    assert bound.alone(of_a_core(2), product, {counted}, 1200, which) == pytest.approx(500)
    assert done[-2:] == [part, (part[0], part[0])] and counted.loop is before


@pytest.mark.skipif(platform.machine() != "x86_64", reason="counts the instructions of x86-64")
def test_the_loop_of_a_compiled_kernel_is_bounded() -> None:
    @nb.njit
    def kernel(a, b, out):  # type: ignore[no-untyped-def]
        for i in range(a.size):
            out[i] = a[i] * b[i] + out[i]

    floats = np.ones(256, np.float32)
    kernel(floats, floats, floats.copy())
    loop = assembly.loop_with(assembly.assembly_of(kernel, kernel.signatures[0]), "vmulps|mulps|vfmadd")
    found = ports.Machine(rounds=1, patience=0.01).bound(loop)
    assert found.limit in found.resources and 0 < found.cycles == max(found.resources.values())


def reached(first, last, number, wide):  # type: ignore[no-untyped-def]
    pass


def other(first, last, number):  # type: ignore[no-untyped-def]
    pass


def test_only_the_loops_that_a_call_reaches_count(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("kernels_of_a_test")
    function = module.reached = Threaded(reached, 1)  # type: ignore[attr-defined]
    module.other = Threaded(other, 1)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    before = function.loop
    loops = wide, narrow, _ = tuple(
        bound.Loop(module.__name__, name, (("x", 1),), only)
        for name, only in (("reached", "wide"), ("reached", "not wide"), ("other", ""))
    )
    turns = nb.int64, nb.int64
    assert bound.signatures(loops, lambda: function(0, 1, 1, True)) == {wide: (*turns, nb.int64, nb.boolean)}
    assert bound.signatures(loops, lambda: function(0, 1, 1.0, False)) == {narrow: (*turns, nb.float64, nb.boolean)}
    named = bound.Loop(module.__name__, "reached", (("x", 1),), within="loop_{number}")
    assert [loop.within for loop in bound.signatures((named,), lambda: function(0, 1, 3, True))] == ["loop_3"]
    assert function.loop is before


def test_a_turn_stands_for_what_its_marked_instructions_say() -> None:
    loop = bound.Loop("", "", (("vpgatherdd", 16), ("vpinsr[wd]", 4 / 3)))
    body = assembly.loop_with(LISTING, loop.marker) + [Instruction("vpinsrw", ("$1", "(%rax)", "%xmm0", "%xmm0"))] * 3
    assert loop.macs(body) == pytest.approx(16 + 4)


@pytest.mark.parametrize("name", [name for name in products.units(False) if name.startswith("log")])
def test_operands_of_log_products_stay_in_range_unless_they_are_to_leave_it(name: str) -> None:
    unit = products.units(False)[name]
    assert not cases.product(unit, 64, 64, 64)()[1].any()
    assert cases.product(unit, 64, 64, 64, low=True)()[1].any() == (name == "log full F=10")  # madam8-log's cannot


def test_rounds_are_interleaved_and_ratios_are_of_one_round() -> None:
    order: list[str] = []
    times = timing.interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3, at_least=0.0)
    assert order[-6:] == ["a", "b"] * 3 and all(len(each) == 3 for each in times.values())
    assert timing.ratio([2.0, 9.0, 4.0], [1.0, 3.0, 4.0]) == {"median": 2.0, "least": 1.0, "most": 3.0}


def test_a_missing_package_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        timing.need("no_such_package")
    assert stopped.value.code == 2
    assert "needs the package no_such_package: make bench installs it" in capsys.readouterr().err
