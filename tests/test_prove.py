"""`lns prove`: the symbolic definition against the plain one, proofs of sound Verilog, refutations of planted bugs."""

import argparse
import json
import random
import shutil
import types
from dataclasses import replace

import pytest
from verilog import planted

from lns import LNSFormat, load, reference
from lns.design import preset_names
from lns.format import Event, Rounding
from lns.gausslog import TableKind, antilog_rom, log_rom, table
from lns.reference import LinearDot, LogDot, LossUnit, UpdateConstants, UpdateUnit
from sim.paths import data_dir
from sim.verify.prove import command, engine
from sim.verify.prove.aig import FALSE, TRUE, Aig
from sim.verify.prove.cut import Cut
from sim.verify.prove.engine import prove
from sim.verify.prove.model import Definition, legal
from sim.verify.prove.step import parts
from sim.verify.prove.symbolic import Engine, Rom, Sym, lookup
from sim.verify.tools import MissingTool
from sim.verify.unit import VerifyError
from sim.verify.units import instances
from sim.verify.units.add import Add
from sim.verify.units.convert import Convert
from sim.verify.units.dot import DotLog
from sim.verify.units.elementwise import Maximum, Mul
from sim.verify.units.product import Product

needs_tools = pytest.mark.skipif(
    shutil.which("yosys") is None or shutil.which("berkeley-abc") is None, reason="apt install yosys berkeley-abc"
)

WIDTH = 96  # more bits than any result here has


def simulated(engine, inputs, results, rows):
    """Symbolic results under rows of values of the inputs: a list of integers a row."""
    literals = [bit for result in results for bit in engine.bits(result, WIDTH)]
    patterns = [
        sum((row[i] >> bit & 1) << n for n, row in enumerate(rows))
        for i, literals_of_input in enumerate(inputs)
        for bit in range(len(literals_of_input))
    ]
    values = engine.aig.simulate([*literals, engine.undefined], patterns, len(rows))
    undefined = values.pop()
    found = []
    for n in range(len(rows)):
        numbers = [sum((values[at + i] >> n & 1) << i for i in range(WIDTH)) for at in range(0, len(values), WIDTH)]
        found.append([number - (number >> (WIDTH - 1) << WIDTH) for number in numbers])
    return found, undefined


def flat(result):
    if isinstance(result, (tuple, list)):
        return [number for part in result for number in flat(part)]
    return [result if isinstance(result, Sym) else int(result)]


def rows_of(widths, count, seed=0):
    """Corners and random values, some of them small, of signed (negative width) and unsigned inputs."""
    rng = random.Random(seed)
    rows = []
    for i in range(count):
        row = []
        for width in widths:
            low, high = (-(1 << (-width - 1)), (1 << (-width - 1)) - 1) if width < 0 else (0, (1 << width) - 1)
            if i % 4 == 0:
                row.append(rng.choice((low, low + 1, 0, 1, high - 1, high)))
            else:
                row.append(rng.randint(low, high) >> (rng.randrange(abs(width)) if i % 4 == 1 else 0))
        rows.append(row)
    return rows


def compare(widths, call, count=400):
    """``call(reference module, operands)`` on symbolic operands and on plain ones."""
    symbolic = Engine(Aig())
    inputs = [[symbolic.aig.input() for _ in range(abs(width))] for width in widths]
    operands = [symbolic.integer(bits if w < 0 else [*bits, FALSE]) for bits, w in zip(inputs, widths, strict=True)]
    results = flat(call(Definition(symbolic).reference, operands))
    rows = rows_of(widths, count)
    found, undefined = simulated(symbolic, inputs, results, rows)
    raised = 0
    for n, row in enumerate(rows):
        try:
            expected = flat(call(reference, row))
        except (LookupError, ValueError):
            raised += 1
            assert undefined >> n & 1, row
        else:
            assert found[n] == expected, row
            assert not undefined >> n & 1, row
    return raised


# --- the symbolic definition

L83, L52, L126, U95 = (LNSFormat.parse(name) for name in ("lns<8,3>", "lns<5,2>", "lns<12,6>", "ulns<9,5>"))
TABLES = ("full", "coarse<1>", "linear<2,4>", "mitchell")


def of(kind, frac_bits):
    return table(TableKind.parse(kind), frac_bits)


LINEAR = LinearDot(L83, L52, antilog_rom(3, 6), 6, 5, 8, 2)
LOG = LogDot(L52, L52, LNSFormat(7, 3), 1, of("full", 3), 2)
LOSS = LossUnit(L83, U95, L52, of("full", 5), antilog_rom(3, 8), 8, 4, Rounding.NEAREST)


def update_unit(rounding, flip):
    return UpdateUnit(L126, L52, U95, of("full", 5), antilog_rom(5, 6), 6, 3, rounding, flip)


def constants(operands):
    return UpdateConstants(*operands)


#: Function of the definition -> widths of its operands (negative: signed) and the call.
CASES = [
    ("sign", (8,), lambda r, x: r.sign(*x, L83)),
    ("code", (8,), lambda r, x: r.code(*x, L83)),
    ("raw", (8,), lambda r, x: r.raw(*x, L83)),
    ("emit", (1, -10), lambda r, x: r.emit(*x, L83)),
    ("convert_raw", (-12, 1), lambda r, x: r.convert_raw(*x, 6, L83, Rounding.NEAREST, 1)),
    ("convert_raw", (-12, 1), lambda r, x: r.convert_raw(*x, 6, U95, Rounding.DOWN, 0)),
    ("convert", (12, -6), lambda r, x: r.convert(x[0], L126, L83, x[1])),
    ("convert", (8, -6), lambda r, x: r.convert(x[0], L83, L126, 0, x[1])),
    ("mul", (8, 8), lambda r, x: r.mul(*x, L83)),
    ("div", (8, 8), lambda r, x: r.div(*x, L83)),
    ("square", (8,), lambda r, x: r.square(*x, L83)),
    ("sqrt", (8,), lambda r, x: r.sqrt(*x, L83)),
    *((name, (8,), lambda r, x, name=name, kind=kind: getattr(r, name)(x[0] + 1, of(kind, 3)))
      for name in ("sb", "db") for kind in TABLES),
    *(("add", (8, 8), lambda r, x, kind=kind: r.add(*x, L83, of(kind, 3))) for kind in TABLES),
    ("add", (9, 9), lambda r, x: r.add(*x, U95, of("full", 5))),
    ("add", (2, 2), lambda r, x: r.add(*x, LNSFormat(2, 0), of("mitchell", 0))),
    ("shift", (-8, -4), lambda r, x: r.shift(*x)),
    ("antilog", (-9, -3), lambda r, x: r.antilog(*x, antilog_rom(3, 6), 6, 3)),
    ("term", (8, 5), lambda r, x: r.term(*x, LINEAR)),
    ("dot_linear", (8, 8, 8, 5, 5, 5), lambda r, x: r.dot_linear(x[:3], x[3:], LINEAR)),
    ("linear_to_log", (-12, -5), lambda r, x: r.linear_to_log(*x, log_rom(3, 4), 4, L83)),
    ("product", (5, 5), lambda r, x: r.product(*x, LOG)),
    ("accumulator_event", (7,), lambda r, x: r.accumulator_event(x[0])),
    ("dot_log", (5,) * 8, lambda r, x: r.dot_log(x[:4], x[4:], LOG)),
    ("moment", (5, 9, -9, -9), lambda r, x: r.moment(*x[:2], update_unit(Rounding.NEAREST, True),
                                                     constants([*x[2:], 0, 0, 0]))),
    *(("update", (12, 5, 9, -8, -8, -8, -8, -6, 3), lambda r, x, rounding=rounding, flip=flip:
       r.update(*x[:3], update_unit(rounding, flip), constants(x[3:8]), x[8]))
      for rounding, flip in ((Rounding.NEAREST, False), (Rounding.NEAREST, True), (Rounding.STOCHASTIC, True))),
    ("lfsr_seed", (32,), lambda r, x: r.lfsr_seed(*x, 3)),
    ("lfsr_draw", (32,), lambda r, x: r.lfsr_draw(*x, 7)),
    ("loss_code", (8, -5), lambda r, x: r.loss_code(*x, LOSS)),
    ("loss", (8, 8, 8, -4, -4), lambda r, x: r.loss(x[:3], 1, *x[3:], LOSS)),
    ("relu", (8,), lambda r, x: r.relu(*x, L83)),
    ("order_key", (8,), lambda r, x: r.order_key(*x, L83)),
    ("maximum", (8, 8), lambda r, x: r.maximum(*x, L83)),
    ("argmax", (8, 8, 8), lambda r, x: r.argmax(x, L83)),
    ("next_offset", (-5, 7, 1, 1), lambda r, x: r.next_offset(*x[:3], L83, x[3])),
]  # fmt: skip

#: They compute with rational numbers of any size, which have no circuit.
RATIONAL = {"encode", "encode_float", "encode_fixed", "decode_float", "decode_fixed"}


@pytest.mark.parametrize(("name", "widths", "call"), CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)])
def test_symbolic_definition_is_the_definition(name, widths, call):
    raised = compare(widths, call)
    # events that no accumulator gets are refused by both
    assert (raised > 0) == (name == "accumulator_event")


def test_every_function_of_the_definition_was_compared():
    functions = {
        name for name, value in vars(reference).items()
        if isinstance(value, types.FunctionType) and value.__module__ == reference.__name__ and name[0] != "_"
    }  # fmt: skip
    assert functions == {case[0] for case in CASES} | RATIONAL


def test_accumulator_event_knows_the_events_of_the_definition():
    for event, inside in ((0, 0), (Event.SATURATE, Event.ACC_SATURATE), (Event.UNDERFLOW, Event.ACC_UNDERFLOW)):
        definition = Definition(Engine(Aig()))
        assert definition.reference.accumulator_event(event) == inside
        assert definition.engine.undefined == FALSE
    definition = Definition(Engine(Aig()))
    definition.reference.accumulator_event(Event.CLIP)
    assert definition.engine.undefined == TRUE


@pytest.mark.parametrize(
    "operation",
    [
        lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a & b, lambda a, b: a | b,
        lambda a, b: a ^ b, lambda a, b: -a, lambda a, b: ~a, lambda a, b: abs(a), lambda a, b: a % 8,
        lambda a, b: a << 3, lambda a, b: a >> 2, lambda a, b: a << (b % 8), lambda a, b: a >> (b % 8),
        lambda a, b: 5 << (b % 8), lambda a, b: -77 >> (b % 8), lambda a, b: 3 - a, lambda a, b: a - 300,
        lambda a, b: a * -5, lambda a, b: 7 & a, lambda a, b: a & -4, lambda a, b: a < b, lambda a, b: a <= b,
        lambda a, b: a > b, lambda a, b: a >= b, lambda a, b: a == b, lambda a, b: a != b, lambda a, b: a > 3,
        lambda a, b: a == 5, lambda a, b: a.bit_length(),
    ],
)  # fmt: skip
def test_operators_on_all_operands(operation):
    symbolic = Engine(Aig())
    inputs = [[symbolic.aig.input() for _ in range(width)] for width in (5, 4)]
    a, b = (symbolic.integer(bits) for bits in inputs)
    rows = [(x, y) for x in range(-16, 16) for y in range(-8, 8)]
    found, undefined = simulated(symbolic, inputs, [operation(a, b)], rows)
    assert [x for (x,) in found] == [int(operation(x, y)) for x, y in rows]
    assert undefined == 0


def test_what_python_refuses_is_undefined():
    symbolic = Engine(Aig())
    index = symbolic.integer([symbolic.aig.input() for _ in range(4)])
    rom = Rom(symbolic, [5, 9, 4])
    found, undefined = simulated(symbolic, [[0] * 4], [rom[index]], [(i,) for i in range(-8, 8)])
    assert [found[i][0] for i in range(8, 11)] == [5, 9, 4]
    assert [undefined >> i & 1 for i in range(16)] == [int(i not in (8, 9, 10)) for i in range(16)]
    with pytest.raises(TypeError, match="outside of a merged function"):
        bool(index)


def test_an_entry_that_nothing_has_set_is_free():
    aig = Aig()
    index, free = [aig.input(), aig.input()], aig.input()
    literal = lookup(aig, index, bytes([1, 2, 0]), free)
    rows = [(i & 1, i >> 1, x) for i in range(4) for x in (0, 1)]
    patterns = [sum(row[i] << n for n, row in enumerate(rows)) for i in range(3)]
    values = aig.simulate([literal], patterns, len(rows))[0]
    assert [values >> n & 1 for n in range(8)] == [1, 1, 0, 1, 0, 0, 0, 1]


# --- proofs


def of_design(module):
    return instances(load("madam8"), module)[0]


LONG = ("lns_update", "lns_loss_code", "lns_decode_float")  # seconds: with the other designs
QUICK = [one for one in instances(load("madam8")) if engine.provable(one) and one.module not in LONG]


@needs_tools
@pytest.mark.parametrize("unit", QUICK, ids=lambda unit: f"{unit.module} {unit}")
def test_madam8_is_proven(unit):
    assert prove(unit, 120).verdict == "proven"


@pytest.mark.parametrize("module", ["lns_step", "lns_update", "lns_loss_error", "lns_mul"])
def test_legal_operands_stay_as_they_are(module):
    unit = of_design(module)
    transactions = unit.transactions(1, 2000, False)
    assert all(legal(unit, beat) == list(beat) for (beat,) in transactions)


@needs_tools
@pytest.mark.parametrize("lanes", [1, 2, 16])
@pytest.mark.parametrize("design", ["madam8", "madam8-log"])
def test_a_step_of_a_dot_product_is_proven_for_any_parts(design, lanes):
    (unit,) = (one for one in instances(load(design)) if isinstance(one, engine.Step))
    proof = prove(replace(unit, lanes=lanes), 120)
    assert proof.verdict == "proven" and proof.given == tuple(part.module for part in parts(unit))


def test_a_cut_is_any_function_with_one_event_or_none():
    symbolic = Engine(Aig())
    fmt = LNSFormat(3, 0)
    cut = Cut(symbolic, Add(fmt, TableKind()))
    operands = [symbolic.aig.input() for _ in range(6)]
    results = cut.literals(operands)
    assert cut.literals(list(operands)) == results != cut.literals(operands[::-1])
    a, b = (symbolic.integer([*operands[at : at + 3], FALSE]) for at in (0, 3))
    word, events = cut.function()(a, b, fmt, None)
    assert symbolic.bits(word, 3) == results[:3]
    assert [symbolic.holds(events & event) for event in (Event.SATURATE, Event.UNDERFLOW)] == results[3:]
    rows = range(1 << len(symbolic.aig.inputs))
    patterns = [sum((n >> i & 1) << n for n in rows) for i in range(len(symbolic.aig.inputs))]
    values = symbolic.aig.simulate(results, patterns, len(rows))
    seen = {tuple(value >> n & 1 for value in values) for n in rows}
    assert len(seen) == 8 * 3 and not any(above and below for *_, above, below in seen)


@pytest.mark.parametrize("length", [1, 3, 4, 9, 16])
def test_lanes_of_the_definition_are_apart_until_its_tree(length):
    """What makes a proof of one clock one of a dot product; and that zeros stand for no term."""
    rng, unit = random.Random(length), replace(LOG, lanes=4)
    one = replace(unit, lanes=1)
    for _ in range(50):
        a, b = ([rng.getrandbits(5) for _ in range(length)] for _ in range(2))
        lanes = [reference.dot_log(a[lane::4], b[lane::4], one) for lane in range(4)]
        (first, e1), (second, e2) = (reference.add(lanes[i][0], lanes[i + 1][0], LOG.acc, LOG.table) for i in (0, 2))
        word, e3 = reference.add(first, second, LOG.acc, LOG.table)
        events = Event(0)
        for event in [event for _, event in lanes] + [reference.accumulator_event(event) for event in (e1, e2, e3)]:
            events |= event
        padding = [0] * (-length % 4)
        for x, y in ((a, b), (a + padding, b + padding)):
            assert reference.dot_log(x, y, unit) == (word, events)
        c = [rng.getrandbits(8) for _ in range(length)]
        linear = replace(LINEAR, lanes=4)
        assert reference.dot_linear(c, b, linear) == reference.dot_linear(c + padding, b + padding, linear)


@needs_tools
@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("name", ["lns<8,3>", "ulns<9,4>", "lns<12,6>"])
def test_every_kind_of_table_is_proven(name, kind):
    assert prove(Add(LNSFormat.parse(name), TableKind.parse(kind)), 120).verdict == "proven"


@pytest.mark.slow
@pytest.mark.timeout(1200)
@needs_tools
@pytest.mark.parametrize("design", preset_names())
def test_all_that_can_be_proven_of_a_design_is(design):
    for unit in filter(engine.provable, instances(load(design))):
        proof = prove(unit, 300)
        assert proof.verdict == "proven" and bool(proof.given) == isinstance(unit, engine.Step), unit


# --- refutations


def refuted(unit, rtl=None):
    """The counterexample, whose operands the definition is asked about again."""
    proof = prove(unit, 120, rtl)
    assert proof.verdict == "refuted"
    example = proof.counterexample
    assert tuple(unit.model(*example.operands)) == example.expected != example.got
    return example


BUGS = [
    (Maximum(L83), "lns_maximum", "key_a >= key_b", "key_a > key_b"),
    (Mul(L83), "lns_range", "(above ? '1 : code_i[CodeBits-1:0])", "code_i[CodeBits-1:0]"),
    (Mul(L83), "lns_range", "code_i[CALC_BITS-1] || (code_i == '0)", "code_i[CALC_BITS-1]"),
    (Convert(L126, L83, Rounding.NEAREST), "lns_convert", "(more || floor[0])", "more"),
    (Add(L83, TableKind()), "lns_gausslog", "33'(bucket) < 33'(ENTRIES)", "33'(bucket) <= 33'(ENTRIES)"),
    (Add(L83, TableKind()), "lns_add", "(larger == '0) || (unlike && (distance == '0))", "larger == '0"),
    (of_design("lns_step"), "lns_step", "normal > CalcBits'(clip_i)", "normal >= CalcBits'(clip_i)"),
    (of_design("lns_step"), "lns_step", "(rest == Half) && whole[0]", "(rest == Half)"),
    (of_design("lns_step"), "lns_step", "negative ^ (FLIP != 0)", "negative"),
]


@needs_tools
@pytest.mark.parametrize(("unit", "module", "right", "wrong"), BUGS, ids=[f"{b[1]} {b[3]}" for b in BUGS])
def test_planted_bugs_are_refuted(tmp_path, unit, module, right, wrong):
    refuted(unit, planted(tmp_path, f"{module}.v", right, wrong))


# products and sums of which all raise all events
SMALL_LOG = DotLog(2, Product(L52, L52, LNSFormat(6, 3), 0), TableKind())
STEP_BUGS = [
    *((replace(of_design("lns_dot_linear"), lanes=2), right, wrong) for right, wrong in (
        ("exact > Most", "exact >= Most"),
        ("acc_q      <= beat_last ? '0 : acc_d", "acc_q      <= acc_d"),
        ("!beat_last && saturate_d", "saturate_d"),
        ("beat_valid && beat_ready", "beat_valid"),
        (".a_i   (a_i[l*A_BITS+:A_BITS])", ".a_i   (a_i[0+:A_BITS])"),
        (".B_SHIFT     (B_SHIFT)", ".B_SHIFT     (B_SHIFT + 1)"),
    )),
    *((SMALL_LOG, right, wrong) for right, wrong in (
        ("(above_q && !first_q) || beat_above || (|lanes_above)", "(above_q && !first_q) || (|lanes_above)"),
        ("(above_q && !first_q) || beat_above || (|lanes_above)", "(above_q && !first_q) || beat_above"),
        ("(below_q && !first_q) || beat_below", "beat_below"),
        ("partial    = first_q ? '0 : lanes_q", "partial    = lanes_q"),
        ("first_q    <= 1'b1", "first_q    <= 1'b0"),
        ("if (take) first_q <= beat_last", "if (take) first_q <= 1'b0"),
        ("complete_q <= beat_valid && beat_last", "complete_q <= beat_valid"),
        ("if (beat_ready) complete_q <= beat_valid && beat_last", "if (beat_valid && beat_last) complete_q <= 1'b1"),
        ("beat_ready = !complete_q || result_ready", "beat_ready = !complete_q"),
        ("any_above = above_q", "any_above = 1'b0"),
        ("words[(2*i+1)*BITS+:BITS]", "words[2*i*BITS+:BITS]"),
        (".OFFSET   (OFFSET)", ".OFFSET   (OFFSET + 1)"),
    )),
]  # fmt: skip


@needs_tools
@pytest.mark.parametrize(("unit", "right", "wrong"), STEP_BUGS, ids=[f"{b[0].module} {b[2]}" for b in STEP_BUGS])
def test_planted_bugs_of_a_step_are_refuted(tmp_path, unit, right, wrong):
    proof = prove(unit, 120, planted(tmp_path, f"{unit.module}.v", right, wrong))
    assert proof.verdict == "refuted" and proof.counterexample.expected != proof.counterexample.got
    assert proof.given == ()  # the counterexample holds with the parts as they are


@needs_tools
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        # a sum does not depend on the order of its operands, as some function in its place would
        (".a_i        (partial[l*BITS+:BITS]),\n      .b_i        (beat[l*BITS+:BITS])",
         ".b_i        (partial[l*BITS+:BITS]),\n      .a_i        (beat[l*BITS+:BITS])"),
        ("complete_q ? lanes_q : '0", "lanes_q"),
    ],
    ids=["operands in another order", "a tree that never rests"],
)  # fmt: skip
def test_a_step_that_is_right_with_its_parts_only_is_proven(tmp_path, right, wrong):
    proof = prove(SMALL_LOG, 120, planted(tmp_path, "lns_dot_log.v", right, wrong))
    assert proof.verdict == "proven" and proof.given == ()


@needs_tools
def test_a_state_that_is_not_known_is_an_error(tmp_path):
    rtl = planted(tmp_path, "lns_dot_log.v", "always_ff @(posedge clk_i) begin", "always_latch begin")
    with pytest.raises(VerifyError, match="is no flip-flop"):
        prove(SMALL_LOG, 120, rtl)
    text = (data_dir("rtl") / "lns_dot_log.v").read_text()
    (rtl / "lns_dot_log.v").write_text(text.replace("above_q", "high_q"))
    with pytest.raises(VerifyError, match=r"has no u_dut\.above_q"):
        prove(SMALL_LOG, 120, rtl)


@needs_tools
def test_a_change_that_changes_nothing_is_proven(tmp_path):
    rtl = planted(tmp_path, "lns_add.v", "code_a >= code_b", "code_a > code_b")
    assert prove(Add(L83, TableKind()), 120, rtl).verdict == "proven"


class Flipped(Add):
    """An adder with one wrong bit in a ROM."""

    entry = 17

    def roms(self):
        images = super().roms()
        lines = images["db.memh"].splitlines(keepends=True)
        lines[2 + self.entry] = f"{int(lines[2 + self.entry], 16) ^ 1:x}\n"
        return images | {"db.memh": "".join(lines)}


@needs_tools
@pytest.mark.parametrize(("name", "entry"), [("lns<8,3>", 1), ("lns<8,3>", 36), ("lns<16,10>", 11805)])
def test_a_wrong_bit_of_a_table_is_refuted(monkeypatch, name, entry):
    monkeypatch.setattr(Flipped, "entry", entry)
    a, b = refuted(Flipped(LNSFormat.parse(name), TableKind())).operands
    fmt = LNSFormat.parse(name)
    assert abs(reference.code(a, fmt) - reference.code(b, fmt)) == entry


class Deaf(Mul):
    """A multiplier whose underflow nobody looks at."""

    events = Event.SATURATE


@needs_tools
def test_a_port_that_is_not_known_is_an_error():
    with pytest.raises(VerifyError, match="underflow_o of lns_mul"):
        prove(Deaf(L83), 120)


class Mixed(DotLog):
    """A dot product whose adders have other tables than those that are proven."""

    def roms(self):
        return super().roms() | {"sb.memh": "0\n"}


@needs_tools
def test_parts_with_other_tables_are_an_error():
    with pytest.raises(VerifyError, match="ROMs of lns_add"):
        prove(Mixed(2, SMALL_LOG.product, SMALL_LOG.table), 120)


@needs_tools
def test_verilog_that_yosys_refuses_is_an_error(tmp_path):
    with pytest.raises(VerifyError, match="Yosys: "):
        prove(Mul(L83), 120, planted(tmp_path, "lns_mul.v", "endmodule", "endmodul"))


@needs_tools
def test_a_register_is_an_error(tmp_path):
    kept = "always_ff @(posedge a_i[0]) word_o <= a_i;"
    rtl = planted(tmp_path, "lns_relu.v", "assign word_o = a_i[BITS-1] ? '0 : a_i;", kept)
    with pytest.raises(VerifyError, match="only a combinational unit"):
        prove(of_design("lns_relu"), 120, rtl)


# --- the command


def run(capsys, *words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    code = command.run(parser.parse_args(words))
    return code, *capsys.readouterr()


@needs_tools
def test_command(capsys, tmp_path):
    code, out, _ = run(capsys, "madam8", "--unit", "lns_mul", "--keep", str(tmp_path / "kept"))
    assert code == 0 and "proven" in out
    assert list((tmp_path / "kept").glob("*/verilog.aig"))
    rtl = planted(tmp_path, "lns_mul.v", "+ CalcBits'(code_b)", "- CalcBits'(code_b)")
    code, out, _ = run(capsys, "madam8", "--unit", "lns_mul", "--rtl", str(rtl))
    assert code == 1 and "REFUTED" in out and "a_i = 0x" in out and "definition" in out
    code, out, _ = run(capsys, "madam8", "--unit", "lns_mul", "--rtl", str(rtl), "--json")
    (proof,) = json.loads(out)
    assert code == 1 and proof["verdict"] == "refuted" and len(proof["counterexample"]["operands"]) == 2


@needs_tools
def test_command_proves_what_a_proof_rests_on(capsys, tmp_path):
    code, out, _ = run(capsys, "madam8", "--unit", "lns_dot_linear")
    assert code == 0 and "whatever the functions of lns_term are" in out and out.count(" proven ") == 2
    rtl = planted(tmp_path, "lns_term.v", "a_i[A_BITS-1] ^ b_i[B_BITS-1]", "a_i[A_BITS-1]")
    code, out, _ = run(capsys, "madam8", "--unit", "lns_dot_linear", "--rtl", str(rtl))
    assert code == 1 and out.count(" proven ") == out.count(" REFUTED ") == 1


@needs_tools
def test_time_that_is_not_enough_proves_nothing(capsys):
    code, out, _ = run(capsys, "log16", "--unit", "lns_step", "--timeout", "0.05")
    assert code == 1 and "not decided in 0.05 s" in out


def test_wrong_input(capsys, monkeypatch):
    assert run(capsys, "no-such-design")[0] == 2
    assert run(capsys, "madam8", "--unit", "lns_product")[0] == 2  # a design with a linear accumulator
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    code, _, err = run(capsys, "madam8")
    assert code == 2 and "apt install yosys berkeley-abc" in err
    with pytest.raises(MissingTool):
        prove(Mul(L83), 1)
