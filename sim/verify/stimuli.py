"""Stimuli and coverage bins that several units share."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator

from lns import reference
from lns.format import LNSFormat
from sim.verify.unit import Beat, Coverage

__all__ = [
    "hit_pair", "hit_range", "pair_bins", "pair_stimuli", "random_word", "range_edges", "special_words", "word_stimuli",
]  # fmt: skip


def range_edges(fmt: LNSFormat) -> dict[str, int]:
    """The computed codes between which the range rule turns."""
    return {"code 0": 0, "code 1": 1, "code max": fmt.max_code, "code max + 1": fmt.max_code + 1}


def hit_range(cover: Coverage, code: int, fmt: LNSFormat) -> None:
    """The bins of a computed code: what the range rule makes of it, and whether it is an edge."""
    cover.hit("saturate" if code > fmt.max_code else "underflow" if code <= 0 else "in range")
    for name, edge in range_edges(fmt).items():
        if code == edge:
            cover.hit(name)


def special_words(fmt: LNSFormat) -> list[int]:
    """Zero (both of them), ±1, the smallest and largest magnitudes and their neighbours."""
    codes = {0, 1, 2, fmt.bias - 1, fmt.bias, fmt.bias + 1, fmt.max_code - 1, fmt.max_code}
    codes = {code for code in codes if 0 <= code <= fmt.max_code}
    return sorted(codes | {fmt.sign_bit | code for code in codes})


def random_word(rng: random.Random, fmt: LNSFormat, code: int) -> int:
    """A code under a random sign."""
    return code | (fmt.sign_bit if rng.getrandbits(1) else 0)


def word_stimuli(rng: random.Random, count: int, fmt: LNSFormat, codes: Iterable[int] = ()) -> Iterator[Beat]:
    """Single words: the special ones, those of the given codes and their neighbours, and random ones."""
    near = {code + step for code in codes for step in (-2, -1, 0, 1, 2)}
    edges = [code | sign for code in sorted(near) if 0 <= code <= fmt.max_code for sign in sorted({0, fmt.sign_bit})]
    for word in (*special_words(fmt), *edges):
        yield (word,)
    for _ in range(count):
        yield (rng.getrandbits(fmt.bits),)


def pair_stimuli(
    rng: random.Random, count: int, fmt: LNSFormat, targets: Iterable[int], partner: Callable[[int, int], int]
) -> Iterator[Beat]:
    """Pairs of special words, those whose result has a target code, and random ones. ``partner`` gives the second
    operand's code for the first one's and a target."""
    specials = special_words(fmt)
    yield from ((a, b) for a in specials for b in specials)
    for edge in targets:
        for target in (edge - 1, edge, edge + 1):
            for _ in range(64):
                a = rng.randint(1, fmt.max_code)
                b = partner(a, target)
                if 1 <= b <= fmt.max_code:
                    yield random_word(rng, fmt, a), random_word(rng, fmt, b)
    # results of uniform operands overflow or underflow half of the time: the other half of these stays near 1.0
    near = max(1, fmt.bias // 2)
    for i in range(count):
        low, high = (fmt.bias - near, fmt.bias + near - 1) if i % 2 else (0, fmt.max_code)
        yield random_word(rng, fmt, rng.randint(low, high)), random_word(rng, fmt, rng.randint(low, high))


def pair_bins(fmt: LNSFormat) -> list[str]:
    """The bins of `hit_pair`."""
    bins = ["zero a", "zero b", "both zero", "signs equal"]
    return [*bins, "zero with a sign", "signs unlike"] if fmt.signed else bins


def hit_pair(cover: Coverage, pair: Beat, fmt: LNSFormat) -> bool:
    """The bins that say which operands are zero, and how the signs of others stand. Whether neither is zero."""
    a, b = pair
    zeros = [reference.code(word, fmt) == 0 for word in pair]
    for zero, name in ((zeros[0], "zero a"), (zeros[1], "zero b"), (all(zeros), "both zero")):
        if zero:
            cover.hit(name)
    if any(zero and reference.sign(word, fmt) for word, zero in zip(pair, zeros, strict=True)):
        cover.hit("zero with a sign")
    if any(zeros):
        return False
    cover.hit("signs equal" if reference.sign(a, fmt) == reference.sign(b, fmt) else "signs unlike")
    return True
