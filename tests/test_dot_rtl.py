"""The dot products' Verilog against the definition in Icarus: idle inputs, waiting results, a reset in between."""

import shutil
import subprocess

import pytest

from lns import LNSFormat, load, preset_names
from lns.gausslog import TableKind
from sim.paths import data_dir
from sim.verify.runner import tool_environment
from sim.verify.units.dot import DotLinear, DotLog, Product, Term, instances

pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="apt install iverilog")

FULL = {"in": 0, "out": 0}  # a beat a clock, results taken at once
UNEVEN = {"in": 3, "out": 3}  # of 8 clocks, so many without a beat, and so many in which no result is taken


def literal(value):
    """A parameter's value in Verilog."""
    return f'"{value}"' if isinstance(value, str) else str(value)


def packed(values, ports):
    """The values of ports in one number, the first in the low bits."""
    word, low = 0, 0
    for value, port in zip(values, ports, strict=True):
        assert -(1 << (port.width - 1)) <= value < 1 << port.width, f"{port.name}: {value}"
        word |= value % (1 << port.width) << low
        low += port.width
    return word


def sliced(bus, ports):
    """Connections of ports to slices of a bus."""
    lows = [sum(port.width for port in ports[:i]) for i in range(len(ports))]
    return [f".{port.name}({bus}[{low}+:{port.width}])" for port, low in zip(ports, lows, strict=True)]


STREAM = """
  reg clk = 0, rst_n = 0, valid = 0, ready = 0, held = 0;
  wire in_ready, out_valid;
  integer sent = 0, got = 0, bad = 0, clocks = 0, seed = 1, lost, begun;
  reg [{o}-1:0] kept;
  always #5 clk = ~clk;
  initial begin
    #12 rst_n = 1;
    // beats that a reset takes back
    valid = 1; x = beats[0]; #40 x = beats[{n}-1]; #40 valid = 0; x = 'x;
    rst_n = 0; #13 rst_n = 1;
    begun = 1;
  end
  initial begun = 0;
  always @(posedge clk) if (begun == 1 && rst_n) begin
    clocks <= clocks + 1;
    if (held && (!out_valid || y !== kept)) bad = bad + 1;
    if (out_valid !== 0 && out_valid !== 1) bad = bad + 1;
    held <= out_valid && !ready;
    kept <= y;
    if (out_valid && ready) begin
      if (y !== results[got]) bad = bad + 1;
      got = got + 1;
    end
    if (valid && in_ready) sent = sent + 1;
    if (!valid || in_ready) begin
      if (sent < {n} && $unsigned($random(seed)) % 8 >= {idle}) begin valid <= 1; x <= beats[sent]; end
      else begin valid <= 0; x <= 'x; end
    end
    ready <= $unsigned($random(seed)) % 8 >= {busy};
    if (got >= {m} || clocks > 40 * {n} + 1000) begin
      // nothing comes after the last result
      repeat (20) @(negedge clk) if (out_valid && got >= {m}) bad = bad + (y !== results[{m}-1] || !ready);
      $display("%0d results, %0d mismatches, %0d beats, %0d clocks", got, bad, sent, clocks);
      $finish;
    end
  end
"""

COMBINATIONAL = """
  integer i, bad = 0;
  initial begin
    for (i = 0; i < {n}; i = i + 1) begin
      x = beats[i];
      #1;
      if (y !== results[i]) bad = bad + 1;
    end
    $display("%0d results, %0d mismatches, 0 beats, 0 clocks", i, bad);
  end
"""


def run(folder, module, sources, parameters, ins, outs, beats, results, sequential, rates=UNEVEN, rtl=None):
    """(mismatches, clocks) of a module; beats and results as packed numbers."""
    for name, words in (("beats", beats), ("results", results)):
        (folder / f"{name}.memh").write_text("".join(f"{word:x}\n" for word in words))
    i, o = sum(p.width for p in ins), sum(p.width for p in outs)
    body = (STREAM if sequential else COMBINATIONAL).format(
        n=len(beats), m=len(results), o=o, idle=rates["in"], busy=rates["out"]
    )
    handshake = [".clk_i(clk)", ".rst_ni(rst_n)", ".valid_i(valid)", ".ready_o(in_ready)", ".valid_o(out_valid)"]
    ports = [*handshake, ".ready_i(ready)"] if sequential else []
    ports += [*sliced("x", ins), *sliced("y", outs)]
    settings = ", ".join(f".{name}({literal(value)})" for name, value in parameters.items())
    (folder / "bench.v").write_text(
        f"module bench;\n  reg [{i}-1:0] x, beats[0:{len(beats)}-1];\n  wire [{o}-1:0] y;\n"
        f"  reg [{o}-1:0] results[0:{len(results)}-1];\n"
        '  initial begin $readmemh("beats.memh", beats); $readmemh("results.memh", results); end\n'
        f"{body}  {module} #({settings}) u ({', '.join(ports)});\nendmodule\n"
    )
    files = [str((rtl or data_dir("rtl")) / name) for name in sources]
    build = ["iverilog", "-g2012", "-o", "bench", "-s", "bench", "bench.v", *files]
    subprocess.run(build, cwd=folder, check=True, capture_output=True)
    done = subprocess.run(["vvp", "-n", "bench"], cwd=folder, check=True, capture_output=True, text=True, timeout=250)
    got, bad, sent, clocks = (int(part.split()[0]) for part in done.stdout.strip().splitlines()[-1].split(","))
    return bad + (got != len(results)) + (sequential and sent != len(beats)), clocks


def check(unit, folder, count=300, rates=UNEVEN, rtl=None, transactions=None):
    """(mismatches, clocks, beats) of a unit."""
    for name, text in unit.roms().items():
        (folder / name).write_text(text)
    if transactions is None:
        transactions = unit.transactions(0, count, False)
    beats = [packed(beat, unit.inputs()) for transaction in transactions for beat in transaction]
    results = [packed(beat, unit.outputs()) for transaction in transactions for beat in unit.expect(transaction)]
    bad, clocks = run(
        folder, unit.module, unit.sources, unit.parameters(), unit.inputs(), unit.outputs(), beats, results,
        unit.sequential, rates, rtl,
    )  # fmt: skip
    return bad, clocks, len(beats)


def uncovered(unit, count=0):
    cover = unit.coverage()
    for transaction in unit.transactions(0, count, False):
        unit.sample(cover, transaction)
    return cover.uncovered()


def linear(a, b, antilog_bits, guard, bits, lanes, depth=1):
    return DotLinear(lanes, Term(LNSFormat.parse(a), LNSFormat.parse(b), antilog_bits, guard), bits, depth)


def log(a, b, acc, offset, kind, lanes, depth=1):
    product = Product(LNSFormat.parse(a), LNSFormat.parse(b), LNSFormat.parse(acc), offset)
    return DotLog(lanes, product, TableKind.parse(kind), depth)


ODD = [
    linear("lns<8,3>", "lns<8,3>", 8, 12, 14, 1, 0),
    linear("lns<8,3>", "lns<8,3>", 12, 4, 10, 2, 3),
    linear("lns<2,0>", "lns<5,2>", 5, 6, 9, 4, 0),
    linear("lns<5,0>", "lns<9,4>", 5, 6, 9, 4),
    linear("lns<4,0>", "lns<3,0>", 1, 0, 2, 16),
    linear("lns<16,10>", "lns<16,10>", 14, 20, 24, 16, 3),
    log("lns<8,3>", "lns<8,3>", "lns<12,6>", 0, "full", 2, 0),
    log("lns<2,0>", "lns<5,2>", "lns<6,2>", -1, "full", 4, 3),
    log("lns<8,3>", "lns<9,5>", "lns<12,7>", 3, "linear<3,4>", 16, 0),
    log("lns<4,0>", "lns<3,0>", "lns<4,0>", 0, "mitchell", 1, 1),
    log("lns<8,3>", "lns<8,4>", "lns<14,8>", 0, "mitchell", 8, 1),
    log("lns<8,3>", "lns<8,3>", "lns<14,8>", 22, "coarse<4>", 4, 1),
]


@pytest.mark.parametrize("unit", ODD, ids=lambda unit: unit.slug)
@pytest.mark.parametrize("rates", [FULL, UNEVEN], ids=["full", "uneven"])
def test_odd_dots(unit, rates, tmp_path):
    bad, clocks, beats = check(unit, tmp_path, rates=rates)
    assert bad == 0
    if rates is FULL:  # a beat a clock, whatever the depth and wherever a dot product ends
        assert clocks <= beats + unit.depth + 4


@pytest.mark.parametrize("unit", ODD, ids=lambda unit: unit.slug)
def test_odd_cores_and_coverage(unit, tmp_path):
    core = unit.term if isinstance(unit, DotLinear) else unit.product
    assert check(core, tmp_path, 2000)[0] == 0
    assert uncovered(core) == []
    assert uncovered(unit) == []


@pytest.mark.parametrize("name", preset_names())
def test_presets(name, tmp_path):
    for unit in {str(unit): unit for unit in instances(load(name)) if unit.label == "forward"}.values():
        short = [t for t in unit.transactions(0, 100, False) if len(t) < 1000]
        assert check(unit, tmp_path, transactions=short)[0] == 0, unit


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("rates", [FULL, UNEVEN], ids=["full", "uneven"])
def test_pipeline(depth, rates, tmp_path):
    class Bus:
        def __init__(self, name):
            self.name, self.width = name, 16

    words = [k * 40503 % 65536 for k in range(2000)]
    bad, clocks = run(
        tmp_path, "lns_pipeline", ("lns_pipeline.v",), {"WIDTH": 16, "DEPTH": depth}, [Bus("data_i")], [Bus("data_o")],
        words, words, True, rates,
    )  # fmt: skip
    assert bad == 0
    if rates is FULL:
        assert clocks <= len(words) + depth + 3


LINEAR, LOG = ODD[1], ODD[6]
BUGS = [
    (ODD[2], "lns_term.v", "(code_a == '0) || (code_b == '0)", "(code_a == '0)"),
    (LINEAR, "lns_term.v", "zero ? '0 : (negative ?", "zero ? '0 : (!negative ?"),
    (LINEAR, "lns_term.v", "(Largest >>> FRAC_BITS) - (product >>> FRAC_BITS)", "(Largest - product) >>> FRAC_BITS"),
    (LINEAR, "lns_dot_linear.v", "exact > Most", "exact >= Most"),
    (LINEAR, "lns_dot_linear.v", "exact < Least", "exact <= Least"),
    (LINEAR, "lns_dot_linear.v", "acc_q      <= beat_last ? '0 : acc_d", "acc_q      <= acc_d"),
    (LINEAR, "lns_dot_linear.v", "saturate_q <= !beat_last && saturate_d", "saturate_q <= saturate_d"),
    (LINEAR, "lns_dot_linear.v", "saturate_q || above || below", "above || below"),
    (LINEAR, "lns_dot_linear.v", "if (beat_valid && beat_ready)", "if (beat_valid)"),
    (LINEAR, "lns_dot_linear.v", "ACC_BITS : SumBits) + 1", "ACC_BITS : SumBits)"),
    (LINEAR, "lns_pipeline.v", "!(&valid_q[DEPTH-1:s])", "!(|valid_q[DEPTH-1:s])"),
    (LINEAR, "lns_pipeline.v", "if (ready[s] && valid[s])", "if (valid[s])"),
    (LINEAR, "lns_pipeline.v", "if (!rst_ni) valid_q <= '0;\n      else ", ""),
    (LOG, "lns_product.v", "<<< FRAC_BITS);", "<<< FRAC_BITS) + One;"),
    (LOG, "lns_product.v", "(code_a == '0) || (code_b == '0)", "(code_b == '0)"),
    (LOG, "lns_dot_log.v", "partial    = first_q ? '0 : lanes_q", "partial    = lanes_q"),
    (LOG, "lns_dot_log.v", "(above_q && !first_q)", "above_q"),
    (LOG, "lns_dot_log.v", "(below_q && !first_q)", "1'b0"),
    (LOG, "lns_dot_log.v", "beat_above || (|lanes_above)", "beat_above"),
    (LOG, "lns_dot_log.v", "beat_ready = !complete_q || result_ready", "beat_ready = 1'b1"),
    (LOG, "lns_dot_log.v", "any_below = below_q", "any_below = 1'b0"),
    (LOG, "lns_dot_log.v", ".underflow_o(below[i])", ".underflow_o()"),
    (ODD[8], "lns_dot_log.v", "words[(2*i+1)*BITS+:BITS]", "words[2*i*BITS+:BITS]"),
]


@pytest.mark.parametrize(("unit", "file", "right", "wrong"), BUGS)
def test_planted_bugs_are_caught(unit, file, right, wrong, tmp_path):
    rtl = tmp_path / "rtl"
    shutil.copytree(data_dir("rtl"), rtl)
    text = (rtl / file).read_text()
    assert text.count(right) == 1
    (rtl / file).write_text(text.replace(right, wrong))
    assert check(unit, tmp_path, rtl=rtl)[0] > 0


@pytest.mark.parametrize("unit", ODD[::2], ids=lambda unit: unit.slug)
def test_lint_and_synthesis(unit, tmp_path):
    for name, text in unit.roms().items():
        (tmp_path / name).write_text(text)
    environment = tool_environment("verilator")
    executable = shutil.which("verilator_bin", path=environment["PATH"]) or "verilator"
    files = [str(data_dir("rtl") / source) for source in unit.sources]
    values = [f"-G{name}={literal(value)}" for name, value in unit.parameters().items()]
    lint = [executable, "--lint-only", "-Wall", "--top-module", unit.module, *values, *files]
    done = subprocess.run(lint, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if shutil.which("yosys") is None:
        pytest.skip("apt install yosys")
    settings = ", ".join(f".{name}({literal(value)})" for name, value in unit.parameters().items())
    ins = [("clk_i", 1), ("rst_ni", 1), ("valid_i", 1), ("ready_i", 1), *((p.name, p.width) for p in unit.inputs())]
    outs = [("ready_o", 1), ("valid_o", 1), *((p.name, p.width) for p in unit.outputs())]
    declared = [f"input [{w - 1}:0] {n}" for n, w in ins] + [f"output [{w - 1}:0] {n}" for n, w in outs]
    connected = ", ".join(f".{n}({n})" for n, _ in (*ins, *outs))
    (tmp_path / "top.v").write_text(
        f"module top({', '.join(declared)});\n  {unit.module} #({settings}) u ({connected});\nendmodule\n"
    )
    script = (
        f"read_verilog -sv -defer {' '.join(files)} top.v; hierarchy -check -top top; "
        "proc -norom; opt; select -assert-none t:$dlatch t:$adlatch; check -assert\n"
    )
    (tmp_path / "check.ys").write_text(script)
    done = subprocess.run(["yosys", "-q", "-s", "check.ys"], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
