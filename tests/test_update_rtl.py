"""The update unit, its halves and its random bits against the definition, by vectors in self-checking Verilog."""

import shutil
import subprocess

import pytest

from lns import load, preset_names
from sim.paths import data_dir
from sim.verify.tools import tool_environment
from sim.verify.units.update import Lfsr, Moment, Step, Update, instances

pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="apt install iverilog")


def literal(value):
    """A parameter's value in Verilog."""
    return f'"{value}"' if isinstance(value, str) else str(value)


def pack(beat, ports):
    """The values of ports as one number, the first port at the top."""
    word = 0
    for value, port in zip(beat, ports, strict=True):
        low, high = (-(1 << (port.width - 1)), 1 << (port.width - 1)) if port.signed else (0, 1 << port.width)
        assert low <= value < high, f"{port.name}: {value} does not fit in {port.width} bits"
        word = word << port.width | value % (1 << port.width)
    return word


def connections(ports, bus):
    """Connections of ports to slices of a bus, as `pack` packs them."""
    high, parts = sum(port.width for port in ports), []
    for port in ports:
        parts.append(f".{port.name}({bus}[{high - 1}:{high - port.width}])")
        high -= port.width
    return parts


def instance(unit, extra=()):
    """The unit, its inputs and outputs on the buses x and y."""
    settings = ", ".join(f".{name}({literal(value)})" for name, value in unit.parameters().items())
    parts = [*extra, *connections(unit.inputs(), "x"), *connections(unit.outputs(), "y")]
    return f"  {unit.module} #({settings}) u ({', '.join(parts)});\n"


def run(unit, folder, bench, rtl=None):
    """What a bench of a unit printed."""
    for name, text in {"bench.v": bench, **unit.roms()}.items():
        (folder / name).write_text(text)
    files = [str((rtl or data_dir("rtl")) / name) for name in unit.sources]
    build = ["iverilog", "-g2012", "-o", "bench", "-s", "bench", "bench.v", *files]
    subprocess.run(build, cwd=folder, check=True, capture_output=True)
    done = subprocess.run(["vvp", "-n", "bench"], cwd=folder, capture_output=True, text=True, timeout=60)
    return done.stdout.strip()


def covered(unit, transactions):
    """Nothing that they leave out."""
    cover = unit.coverage()
    for transaction in transactions:
        unit.sample(cover, transaction)
    assert cover.uncovered() == []


def mismatches(unit, folder, count, rtl=None, seed=0):
    """Of a combinational unit in Icarus; the transactions must fill its bins."""
    transactions = unit.transactions(seed, count, unit.exhaustible)
    covered(unit, transactions)
    inputs, outputs = unit.inputs(), unit.outputs()
    wide, out = sum(port.width for port in inputs), sum(port.width for port in outputs)
    rows = [pack(t[0], inputs) << out | pack(unit.expect(t)[0], outputs) for t in transactions]
    (folder / "vectors.memh").write_text("".join(f"{row:x}\n" for row in rows))
    bench = (
        f"module bench;\n  reg [{wide + out - 1}:0] vectors[0:{len(rows) - 1}];\n  reg [{wide - 1}:0] x;\n"
        f"  reg [{out - 1}:0] right;\n  wire [{out - 1}:0] y;\n  integer i, bad;\n{instance(unit)}"
        f'  initial begin\n    bad = 0;\n    $readmemh("vectors.memh", vectors);\n'
        f"    for (i = 0; i < {len(rows)}; i = i + 1) begin\n      {{x, right}} = vectors[i];\n      #1;\n"
        f"      if (y !== right) bad = bad + 1;\n    end\n"
        f'    $display("%0d vectors, %0d mismatches", i, bad);\n  end\nendmodule\n'
    )
    seen, bad = (int(part.split()[0]) for part in run(unit, folder, bench, rtl).splitlines()[-1].split(","))
    assert seen == len(rows) >= (1 << unit.input_bits if unit.exhaustible else count)
    return bad


def lint(unit, folder):
    """Verilator's warnings, and what Yosys finds wrong; latches, and registers of a combinational unit, are wrong."""
    for name, text in unit.roms().items():
        (folder / name).write_text(text)
    environment = tool_environment("verilator")
    executable = shutil.which("verilator_bin", path=environment["PATH"]) or "verilator"
    files = [str(data_dir("rtl") / source) for source in unit.sources]
    values = [f"-G{name}={literal(value)}" for name, value in unit.parameters().items()]
    command = [executable, "--lint-only", "-Wall", "--top-module", unit.module, *values, *files]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode or shutil.which("yosys") is None:
        return done.stderr
    handshake = {"clk_i": "input", "rst_ni": "input", "valid_i": "input", "ready_o": "output"}
    handshake |= {"valid_o": "output", "ready_i": "input"}
    buses = {"x": ("input", unit.inputs()), "y": ("output", unit.outputs())}
    declared = [f"{way} [{sum(p.width for p in ports) - 1}:0] {bus}" for bus, (way, ports) in buses.items()]
    declared += [f"{way} {name}" for name, way in handshake.items() if unit.sequential]
    parts = instance(unit, [f".{name}({name})" for name in handshake if unit.sequential])
    (folder / "top.v").write_text(f"module top({', '.join(declared)});\n{parts}endmodule\n")
    registers = "" if unit.sequential else " t:$dff t:$sdff t:$adff"
    (folder / "check.ys").write_text(
        f"read_verilog -sv -defer {' '.join(files)} top.v; hierarchy -check -top top; "
        f"proc -norom; opt; select -assert-none t:$dlatch{registers}; check -assert\n"
    )
    done = subprocess.run(["yosys", "-q", "-s", "check.ys"], cwd=folder, capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else ""


def planted(folder, source, right, wrong):
    """A copy of the Verilog with a bug."""
    rtl = folder / "rtl"
    shutil.copytree(data_dir("rtl"), rtl)
    text = (rtl / source).read_text()
    assert text.count(right) == 1
    (rtl / source).write_text(text.replace(right, wrong))
    return rtl


VARIANTS = {
    "whole steps": {"update.step_frac_bits": 0, "update.sign_rule": "clamp"},
    "narrow antilog": {"update.lr": 0.5, "update.antilog_bits": 6, "update.step_frac_bits": 1},
    "many random bits": {
        "update.rounding": "stochastic",
        "update.step_frac_bits": 24,
        "update.lr": 0.001,
        "update.moment_offset": -5,
    },
    "small": {
        **{f"formats.{name}": "lns<3,0>" for name in ("activation", "error", "gradient", "operand", "weight")},
        "update.moment": "ulns<4,0>",
        "update.kappa": 1,
        "update.lr": 1.0,
        "update.clip": 1.0,
        "update.antilog_bits": 32,
        "update.step_frac_bits": 2,
    },
    "narrow moment": {"update.moment": "ulns<9,5>", "update.kappa": 7, "update.table": "linear<2,3>"},
    "mitchell": {"update.moment_offset": 20, "update.table": "mitchell", "offsets.headroom": 3},
}


def designed(name):
    return load("madam8").override(VARIANTS[name]) if name in VARIANTS else load(name)


@pytest.mark.parametrize("name", [*preset_names(), *VARIANTS])
def test_update(name, tmp_path):
    for unit in instances(designed(name)):
        assert mismatches(unit, tmp_path, 2000) == 0, unit


@pytest.mark.parametrize(
    ("kind", "source", "right", "wrong"),
    [
        (Step, "lns_step.v", "assign clipped  = normal >", "assign clipped  = normal >="),
        (Step, "lns_step.v", "(rest == Half) && whole[0]", "(rest == Half)"),
        (Step, "lns_step.v", "weight_o = {negative ^ (FLIP != 0)", "weight_o = {negative"),
        (Step, "lns_step.v", "(rest > Half)", "(rest >= Half)"),
        (Update, "lns_step.v", "if (above) weight_o", "if (1'b0) weight_o"),
        (Update, "lns_update.v", ".moment_i    (moment)", ".moment_i    (moment_i)"),
        (Moment, "lns_moment.v", "kept_underflow || ", ""),
        (Moment, "lns_moment.v", ".zero_i     (gradient_zero)", ".zero_i     (gradient_i == '0)"),
    ],
)
def test_planted_bugs_are_caught(kind, source, right, wrong, tmp_path):
    assert mismatches(kind(load("madam8")), tmp_path, 2000, planted(tmp_path, source, right, wrong)) > 0


@pytest.mark.parametrize("r", [1, 8, 24, 32])
def test_lfsr(r, tmp_path):
    assert mismatches(Lfsr(r), tmp_path, 500) == 0


@pytest.mark.parametrize("name", ["madam8", "madam8-small", "bmadam8"])
def test_lint_and_synthesis(name, tmp_path):
    for unit in instances(designed(name)):
        assert lint(unit, tmp_path) == "", unit
