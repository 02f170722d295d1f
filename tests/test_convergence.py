"""The trainer converges to float64 Madam as all widths grow; the second moment tracks E[g²]."""

from fractions import Fraction

import numpy as np
import pytest

from lns import encode, kernels, load, reference
from lns.format import Event
from lns.units import Units
from sim.train import data as datasets
from sim.train.baselines import FloatNetwork, Madam
from sim.train.chip import Chip
from sim.train.loop import initial_weights

STEPS, BATCH, SEEDS = 100, 32, 8
BETA = 2.0 ** (-3 / 2**11)


def scaled(frac_bits, **changes):
    """`madam8` with every width grown together: F fraction bits in all words, and what hangs on them.

    Every format spans 32 octaves and the offsets leave 6 of them free: nothing saturates and nothing underflows.
    """
    word = f"lns<{frac_bits + 6},{frac_bits}>"
    names = ("activation", "error", "gradient", "operand", "weight")
    design = load("madam8").override(
        {
            "formats": dict.fromkeys(names, word),
            "accumulator": {
                "kind": "linear",
                "lanes": 16,
                "antilog_bits": frac_bits + 6,
                "guard": frac_bits + 14,
                "bits": frac_bits + 30,
            },
            "update.moment": f"ulns<{frac_bits + 10},{frac_bits + 3}>",
            "update.kappa": 3 << (frac_bits - 8),
            "update.antilog_bits": frac_bits + 6,
            "update.sign_rule": "clamp",
            "update.lr": 0.01,
            "loss.format": f"ulns<{frac_bits + 9},{frac_bits + 3}>",
            "loss.antilog_bits": frac_bits + 6,
            "offsets.headroom": 6,
        }
    )
    return design.override(changes)


def distance(design, seed, corrupt=None):
    """Mean |log2 of the weights' ratio| to float64 Madam, STEPS steps from the same weights on the same batches."""
    data = datasets.load("digits")
    chip = Chip(design, initial_weights([data.features, 32, data.classes], seed), seed)
    if corrupt is not None:
        corrupt(chip)
    net = FloatNetwork(Madam(beta=BETA, caps=[2.0**cap for cap in chip.caps]), chip.float_weights(), 0, np.float64)
    words, floats = chip.encode_inputs(data.train_x, data.scale), net.encode_inputs(data.train_x, data.scale)
    rng = np.random.default_rng(seed)
    for _ in range(STEPS):
        batch = rng.integers(0, len(words), BATCH)
        chip.step(words[batch], data.train_y[batch])
        net.step(floats[batch], data.train_y[batch], Fraction(1, 100))
    pairs = zip(chip.float_weights(), net.weights, strict=True)
    return float(np.mean([np.abs(np.log2(np.abs(a / b))).mean() for a, b in pairs]))


def mean_distance(frac_bits, **changes):
    return float(np.mean([distance(scaled(frac_bits, **changes), seed) for seed in range(SEEDS)]))


def test_three_more_bits_bring_the_weights_four_times_closer_to_float64_madam():
    coarse, middle, fine = (mean_distance(frac_bits) for frac_bits in (8, 11, 14))
    print(f"mean |log2 ratio| to float64 Madam: F = 8 {coarse:.5f}, F = 11 {middle:.5f}, F = 14 {fine:.5f} octaves")
    assert coarse < 0.05
    assert middle < coarse / 4
    assert fine < middle / 4


@pytest.mark.parametrize(
    "planted",
    [{"update.kappa": (3 << 6) * 2}, {"update.lr": 0.0101}, {"update.lr": 0.0099}, {"offsets.headroom": 0}],
    ids=["kappa doubled", "lr 1 % high", "lr 1 % low", "no headroom"],
)
def test_a_wrong_constant_breaks_the_convergence(planted):
    right = np.mean([distance(scaled(14), seed) for seed in range(3)])
    wrong = np.mean([distance(scaled(14, **planted), seed) for seed in range(3)])
    assert wrong > 2 * right


def test_a_wrong_table_entry_breaks_the_convergence(monkeypatch):
    """A thousandth of the antilog ROM of the dot product, one bit wrong."""

    def corrupt(chip):
        dot = chip.units.dot

        def with_wrong_rom(a, b):
            unit = dot(a, b)
            rom = np.array(unit.rom)
            rom[:: 1 << 10] ^= 1 << (unit.rom_bits - 4)
            return reference.LinearDot(a, b, rom, unit.rom_bits, unit.guard, unit.bits, unit.lanes)

        object.__setattr__(chip.units, "dot", with_wrong_rom)

    design = scaled(14)
    assert distance(design, 1, corrupt) > 2 * distance(design, 1)


# --- the second moment ---------------------------------------------------------------------------------------------


def moment_after(design, deviations, seed=0, count=2000):
    """(mean of v over many elements)/(E[g²]) after a sequence of Gaussian gradients of given standard deviations."""
    units = Units(design)
    unit, fmt = units.update, design.formats.gradient
    rng = np.random.default_rng(seed)
    w = np.full(count, design.formats.weight.bias, design.formats.weight.dtype)
    v = np.zeros(count, design.update.moment.dtype)
    offset = previous = 0
    for t, deviation in enumerate(deviations, 1):
        g = encode(rng.normal(0, deviation, count), fmt, offset=offset)
        constants = units.update_constants(t, offset, previous)
        random = rng.integers(0, 1 << unit.step_frac_bits, count, dtype=np.uint32)
        events = kernels.update(w, g, v, unit, constants, random)[1]
        # only gradients too small for the format may be missing from the moment
        assert not np.any(events & Event.UNDERFLOW), "a term underflowed"
        largest = int((g & fmt.max_code).max())
        previous, offset = offset, reference.next_offset(offset, largest, largest == fmt.max_code, fmt)
    scale = 2.0**design.update.moment.frac_bits
    value = np.exp2((v.astype(float) - design.update.moment.bias) / scale + 2 * previous + design.update.moment_offset)
    ratio = float(value.mean() / deviations[-1] ** 2)
    print(f"{design.name}: mean of v over E[g²] = {ratio:.4f} after {len(deviations)} steps")
    return ratio


@pytest.mark.parametrize("name", ["madam8", "madam8-small", "bmadam8", "log16"])
def test_the_second_moment_tracks_stationary_gradients(name):
    assert moment_after(load(name), [0.01] * 6000, count=1000) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("name", ["madam8", "log16"])
def test_the_second_moment_follows_a_drop(name):
    """The gradient falls 8-fold; 8000 steps later e**-8 of the old moment, 64 times the new one, is left: 2 %."""
    assert moment_after(load(name), [0.08] * 3000 + [0.01] * 8000) == pytest.approx(1, abs=0.1)


def test_the_second_moment_follows_a_rise():
    assert moment_after(load("madam8"), [0.01] * 3000 + [0.08] * 6000) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("planted", [{"update.kappa": 1}, {"update.table": "mitchell"}])
def test_a_moment_that_stalls_is_noticed(planted):
    """kappa = 1 makes the terms too small for a table rounded to nearest, and Mitchell's table rounds them down."""
    design = load("madam8").override(planted)
    assert abs(moment_after(design, [0.01] * 6000, count=1000) - 1) > 0.1


def test_a_moment_term_that_underflows_is_an_event():
    design = load("madam8").override({"update.moment": "ulns<15,11>"})  # 16 octaves are too few
    units = Units(design)
    w = np.full(1, design.formats.weight.bias, design.formats.weight.dtype)
    g, v = np.array([1], np.uint8), np.zeros(1, design.update.moment.dtype)
    events = kernels.update(w, g, v, units.update, units.update_constants(1, 0, 0))[1]
    assert events[0] == Event.UNDERFLOW and v[0] == 0
