"""`rtl/lns_update.v` and `rtl/lns_lfsr.v` against the definition, by vectors in a self-checking Verilog bench.

They have no cocotb bench yet: this compares every word and event flag, but covers no bins and knows Icarus alone.
"""

import random
import shutil
import subprocess

import pytest

from lns import Event, load, preset_names, reference
from lns.files import memh_text
from lns.format import Rounding
from lns.gausslog import rom_width
from lns.units import Units
from sim.paths import data_dir
from sim.verify.runner import tool_environment

UPDATE = ("lns_range.v", "lns_gausslog.v", "lns_add.v", "lns_update.v")

pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="apt install iverilog")


def literal(value):
    """A parameter's value in Verilog."""
    return f'"{value}"' if isinstance(value, str) else str(value)


def simulate(folder, module, sources, parameters, ports, rows, rtl=None):
    """Mismatches of a module in Icarus: ``ports`` are (name, width), inputs end in _i; a row has a value for each."""
    width = sum(w for _, w in ports)
    lines = []
    for row in rows:
        word = 0
        for value, (name, w) in zip(row, ports, strict=True):
            assert -(1 << (w - 1)) <= value < 1 << w, f"{name}: {value} does not fit in {w} bits"
            word = word << w | value % (1 << w)
        lines.append(f"{word:x}\n")
    (folder / "vectors.memh").write_text("".join(lines))
    connections, wires, checks, high = [], [], [], width
    for name, w in ports:
        part = f"x[{high - 1}:{high - w}]"
        high -= w
        connections.append(f".{name}({part if name.endswith('_i') else name})")
        if name.endswith("_o"):
            wires.append(f"  wire [{w - 1}:0] {name};\n")
            checks.append(f"{name} !== {part}")
    settings = ", ".join(f".{k}({literal(v)})" for k, v in parameters.items())
    (folder / "bench.v").write_text(
        f"module bench;\n  reg [{width - 1}:0] vectors[0:{len(rows) - 1}];\n  reg [{width - 1}:0] x;\n"
        f"  integer i, bad;\n{''.join(wires)}  {module} #({settings}) u ({', '.join(connections)});\n"
        f'  initial begin\n    bad = 0;\n    $readmemh("vectors.memh", vectors);\n'
        f"    for (i = 0; i < {len(rows)}; i = i + 1) begin\n      x = vectors[i];\n      #1;\n"
        f"      if ({' || '.join(checks)}) bad = bad + 1;\n    end\n"
        f'    $display("%0d vectors, %0d mismatches", i, bad);\n  end\nendmodule\n'
    )
    files = [str((rtl or data_dir("rtl")) / name) for name in sources]
    build = ["iverilog", "-g2012", "-o", "bench", "-s", "bench", "bench.v", *files]
    subprocess.run(build, cwd=folder, check=True, capture_output=True)
    done = subprocess.run(["vvp", "-n", "bench"], cwd=folder, check=True, capture_output=True, text=True, timeout=200)
    seen, bad = (int(part.split()[0]) for part in done.stdout.strip().splitlines()[-1].split(","))
    assert seen == len(rows)
    return bad


def settings(units, folder):
    """Parameters of ``lns_update``; its ROM images are written to the folder."""
    unit = units.update
    largest = units.update_constants(1, 0, 0)
    fine = reference.antilog(
        largest.clip + largest.lr, unit.step_frac_bits, unit.rom, unit.rom_bits, unit.moment.frac_bits
    )
    sb = unit.table.roms["sb"]
    (folder / "antilog.memh").write_text(memh_text(unit.rom, unit.rom_bits, "antilog"))
    (folder / "sb.memh").write_text(memh_text(sb, rom_width(sb), "sb"))
    return {
        "WEIGHT_BITS": unit.weight.bits,
        "GRADIENT_BITS": unit.gradient.bits,
        "GRADIENT_SHIFT": unit.moment.frac_bits - unit.gradient.frac_bits,
        "MOMENT_BITS": unit.moment.bits,
        "FRAC_BITS": unit.moment.frac_bits,
        "CONSTANT_BITS": unit.moment.bits + 8,
        "STEP_FRAC_BITS": unit.step_frac_bits,
        "STOCHASTIC": int(unit.rounding is Rounding.STOCHASTIC),
        "FLIP": int(unit.flip),
        "FINE_BITS": max(1, fine.bit_length()),
        "ANTILOG_BITS": unit.rom_bits,
        "ANTILOG_FILE": "antilog.memh",
        "SB_ENTRIES": len(sb),
        "SB_BITS": rom_width(sb),
        "SB_FILE": "sb.memh",
    }


def _moment_for(wanted, g, v, units, constants):
    """A moment that the update brings to a wanted code, as near as a few corrections come."""
    unit = units.update
    for _ in range(8):
        v = max(1, min(unit.moment.max_code, v + wanted - reference.moment(g, v, unit, constants)[0]))
    return v


def vectors(units, count, seed=0):
    """Rows of operands, constants and expected results: corners, moments near the gradient's square, and anything."""
    unit, rng = units.update, random.Random(seed)
    weight, gradient, moment = unit.weight, unit.gradient, unit.moment
    shift = moment.frac_bits - gradient.frac_bits
    rows = []
    for _ in range(count):
        offset = rng.randrange(-4, 4)
        constants = units.update_constants(
            rng.choice([1, 2, 10, 1000, 10**6]), offset, offset + rng.choice([0, 0, 0, 1, -1, 3, -3])
        )
        w = rng.choice([1, 2, weight.max_code - 1, weight.max_code, rng.randrange(1, weight.max_code + 1)])
        w |= rng.choice([0, weight.sign_bit])
        g = rng.choice([0, gradient.sign_bit, 1, gradient.max_code, *(rng.randrange(1 << gradient.bits),) * 4])
        v = rng.choice([0, 1, moment.max_code, rng.randrange(1 << moment.bits)])
        if reference.code(g, gradient) and rng.random() < 0.6:
            square = (2 * reference.raw(g, gradient) << shift) + moment.bias
            v = max(0, min(moment.max_code, square + rng.randrange(-16000, 12000)))
            if rng.random() < 0.1:  # at the clip, or a code beside it
                v = _moment_for(
                    square - 2 * constants.clip - constants.correction + rng.randrange(-2, 4), g, v, units, constants
                )
        bits = rng.randrange(1 << unit.step_frac_bits)
        new_w, new_v, w_events, v_events = reference.update(w, g, v, unit, constants, bits)
        flags = [
            *(int(event in w_events) for event in (Event.SATURATE, Event.UNDERFLOW, Event.CLIP)),
            *(int(event in v_events) for event in (Event.SATURATE, Event.UNDERFLOW)),
        ]
        c = constants
        rows.append([w, g, v, bits, c.read, c.term, c.correction, c.clip, c.lr, new_w, new_v, *flags])
    return rows


def ports(parameters):
    """(name, width) of every port of ``lns_update``, in the order of the rows of `vectors`."""
    constant = parameters["CONSTANT_BITS"]
    return [
        ("weight_i", parameters["WEIGHT_BITS"]),
        ("gradient_i", parameters["GRADIENT_BITS"]),
        ("moment_i", parameters["MOMENT_BITS"]),
        ("random_i", max(1, parameters["STEP_FRAC_BITS"])),
        *((f"{name}_i", constant) for name in ("read", "term", "correction", "clip", "lr")),
        ("weight_o", parameters["WEIGHT_BITS"]),
        ("moment_o", parameters["MOMENT_BITS"]),
        *((f"{name}_o", 1) for name in ("saturate", "underflow", "clip", "moment_saturate", "moment_underflow")),
    ]


def check(design, folder, count=3000, rtl=None):
    """(mismatches, rows) of ``lns_update`` in a design."""
    units = Units(design)
    parameters, rows = settings(units, folder), vectors(units, count)
    return simulate(folder, "lns_update", UPDATE, parameters, ports(parameters), rows, rtl), rows


VARIANTS = {
    "whole steps": {"update.step_frac_bits": 0, "update.sign_rule": "clamp"},
    "narrow antilog": {"update.lr": 0.5, "update.antilog_bits": 6, "update.step_frac_bits": 1},
    "many random bits": {
        "update.rounding": "stochastic",
        "update.step_frac_bits": 24,
        "update.lr": 0.001,
        "update.moment_offset": -5,
    },
}


@pytest.mark.parametrize("name", [*preset_names(), *VARIANTS])
def test_update(name, tmp_path):
    design = load("madam8").override(VARIANTS[name]) if name in VARIANTS else load(name)
    bad, rows = check(design, tmp_path)
    assert bad == 0
    # each flag was raised, and each was not
    for column in range(-5, -2):
        assert {row[column] for row in rows} == {0, 1}


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("assign clipped  = normal >", "assign clipped  = normal >="),
        ("(rest == Half) && whole[0]", "(rest == Half)"),
        ("weight_o = {negative ^ (FLIP != 0)", "weight_o = {negative"),
        ("if (above) weight_o", "if (1'b0) weight_o"),
        ("hold     = gradient_zero ||", "hold     = "),
        ("grows    = gradient_i[GRADIENT_BITS-1] !=", "grows    = gradient_i[GRADIENT_BITS-1] =="),
        (") >>> 1;", ") >>> 2;"),
        ("CalcBits'(correction_i)", "CalcBits'(1)"),
    ],
)
def test_planted_bugs_are_caught(right, wrong, tmp_path):
    rtl = tmp_path / "rtl"
    shutil.copytree(data_dir("rtl"), rtl)
    text = (rtl / "lns_update.v").read_text()
    assert text.count(right) == 1
    (rtl / "lns_update.v").write_text(text.replace(right, wrong))
    assert check(load("madam8"), tmp_path, 6000, rtl)[0] > 0


@pytest.mark.parametrize("r", [1, 8, 24, 32])
def test_lfsr(r, tmp_path):
    rng = random.Random(r)
    rows = [[s, *reference.lfsr_draw(s, r)] for s in [1, 0xFFFFFFFF, *(rng.randrange(1, 1 << 32) for _ in range(500))]]
    ports = [("state_i", 32), ("state_o", 32), ("random_o", r)]
    assert simulate(tmp_path, "lns_lfsr", ("lns_lfsr.v",), {"DRAW_BITS": r}, ports, rows) == 0


@pytest.mark.parametrize("name", ["madam8", "madam8-small", "bmadam8"])
def test_lint_and_synthesis(name, tmp_path):
    parameters = settings(Units(load(name)), tmp_path)
    environment = tool_environment("verilator")
    executable = shutil.which("verilator_bin", path=environment["PATH"]) or "verilator"
    files = [str(data_dir("rtl") / source) for source in UPDATE]
    values = [f"-G{k}={literal(v)}" for k, v in parameters.items()]
    lint = [executable, "--lint-only", "-Wall", "--top-module", "lns_update", *values, *files]
    done = subprocess.run(lint, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if shutil.which("yosys") is None:
        pytest.skip("apt install yosys")
    names = [name for name, _ in ports(parameters)]
    declared = ", ".join(
        f"{'input' if name.endswith('_i') else 'output'} [{width - 1}:0] {name}" for name, width in ports(parameters)
    )
    values = ", ".join(f".{k}({literal(v)})" for k, v in parameters.items())
    connected = ", ".join(f".{name}({name})" for name in names)
    (tmp_path / "top.v").write_text(f"module top({declared});\n  lns_update #({values}) u ({connected});\nendmodule\n")
    script = (
        f"read_verilog -sv -defer {' '.join(files)} top.v; hierarchy -check -top top; "
        "proc -norom; opt; select -assert-none t:$dlatch t:$dff t:$sdff; check -assert\n"
    )
    (tmp_path / "check.ys").write_text(script)
    done = subprocess.run(["yosys", "-q", "-s", "check.ys"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
