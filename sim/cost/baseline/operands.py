"""Operands for the baselines' power: the real ones of a matrix product of training, or uniform words."""

from __future__ import annotations

import numpy as np

from sim.cost.baseline.elements import Element
from sim.cost.baseline.formats import Float64s, Words
from sim.verify.unit import Transaction

__all__ = ["recorded", "uniform"]

_BLOCKS = 4  #: of consecutive outputs, spread over a product


def recorded(unit: Element, a: Float64s, b: Float64s, limit: int) -> list[Transaction]:
    """The transactions of some outputs of a matrix product.

    Consecutive outputs in row-major order follow each other, or are side by side where each lane has its own, as an
    array of elements sees them: the row of ``a`` stays, the column of ``b`` changes. Taken are a few blocks of them,
    evenly spread. Both tensors are scaled and rounded whole (`Element.quantise`).

    Parameters
    ----------
    unit : Element
    a, b : float64, (M, K) and (K, N)
        Real values.
    limit : int
        Beats at most, but at least one transaction.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0] or 0 in (*a.shape, *b.shape):
        raise ValueError(f"operands must be (M, K) and (K, N) and not empty, got {a.shape} and {b.shape}")
    words_a, words_b = unit.quantise(a), unit.quantise(b)
    numbers_a, numbers_b = unit.numbers(words_a), unit.numbers(words_b)
    factors = float(np.abs(numbers_a).max()), float(np.abs(numbers_b).max())
    constants = unit.constants_for(factors, float(np.abs(numbers_a @ numbers_b).max()))
    outputs, columns = a.shape[0] * b.shape[1], b.shape[1]
    groups = -(-outputs // unit.outputs_at_once)
    beats = a.shape[1] if unit.outputs_at_once > 1 else -(-a.shape[1] // unit.lanes)
    transactions = []
    for group in _spread(groups, max(1, limit // beats)):
        first = group * unit.outputs_at_once
        numbers = np.arange(first, min(first + unit.outputs_at_once, outputs))
        row, column = words_a[numbers // columns], words_b.T[numbers % columns]
        transactions.append(unit.beats(_beats(unit, row), _beats(unit, column), constants))
    return transactions


def uniform(unit: Element, beats: int, seed: int, terms: int) -> list[Transaction]:
    """Transactions of uniform random words, ``terms`` products a sum, of at least so many beats in all."""
    rng = np.random.default_rng(seed)
    per_sum = terms if unit.outputs_at_once > 1 else -(-terms // unit.lanes)
    # four standard deviations of a sum are the largest result
    squares = unit.numbers(unit.random_words(rng, 64)) ** 2
    largest = float(unit.numbers(np.array(unit.special_words())).max())
    constants = unit.constants_for((largest, largest), float(4 * np.mean(squares) * np.sqrt(terms)))
    transactions = []
    for _ in range(-(-beats // per_sum)):
        a, b = (unit.random_words(rng, per_sum) for _ in range(2))
        if unit.outputs_at_once == 1:  # lanes without a term
            a.reshape(-1)[terms:] = 0
            b.reshape(-1)[terms:] = 0
        transactions.append(unit.beats(a, b, constants))
    return transactions


def _spread(total: int, count: int) -> list[int]:
    """About so many of 0…total − 1, not more, in blocks of neighbours, each once."""
    if count >= total:
        return list(range(total))
    blocks = min(_BLOCKS, count)
    return [block * total // blocks + k for block in range(blocks) for k in range(count // blocks)]


def _beats(unit: Element, rows: Words) -> Words:
    """Rows of words, (outputs, K), as beats, (beats, lanes), filled up with zeros."""
    if unit.outputs_at_once > 1:
        return np.pad(rows, ((0, unit.lanes - len(rows)), (0, 0))).T
    return np.pad(rows[0], (0, -rows.shape[1] % unit.lanes)).reshape(-1, unit.lanes)
