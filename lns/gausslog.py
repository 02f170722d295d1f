"""Tables of Gaussian logarithms, every entry correctly rounded (docs/spec.md, section 3)."""

from __future__ import annotations

import os
import re
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lns import exact
from lns.files import atomic_write

__all__ = [
    "Table",
    "TableKind",
    "antilog_rom",
    "cache_dir",
    "decoder_rom",
    "encoder_roms",
    "log_rom",
    "rom_width",
    "table",
]

Ints = npt.NDArray[np.int64]

_PARAMETERS = {"full": (), "coarse": ("k",), "linear": ("k", "g"), "mitchell": ()}
_ROMS = {
    "full": ("sb", "db"),
    "coarse": ("sb", "db"),
    "linear": ("sb_base", "sb_slope", "db_base", "db_slope", "db_first"),
    "mitchell": (),
}
_GENERATION = 1  # part of the cache's file names: raise it when the meaning of a ROM changes


@dataclass(frozen=True, slots=True)
class TableKind:
    """How a log-adder gets sb and db: ``full``, ``coarse<k>``, ``linear<k,g>`` or ``mitchell``.

    Parameters
    ----------
    kind : str
        One of the four names.
    k : int
        log2 of the number of codes that share a bucket (coarse, from 0) or a segment (linear, from 1).
    g : int
        Fraction bits of the coefficients of ``linear``, from 1.
    """

    kind: str = "full"
    k: int = 0
    g: int = 0

    def __post_init__(self) -> None:
        if self.kind not in _PARAMETERS:
            raise ValueError(f"a table kind is one of {', '.join(_PARAMETERS)}, got {self.kind!r}")
        for name in ("k", "g"):
            value, least = getattr(self, name), 1 if self.kind == "linear" else 0
            used = name in _PARAMETERS[self.kind]
            if used and not (isinstance(value, int) and least <= value <= 24):
                raise ValueError(f"{name} of a {self.kind} table must be between {least} and 24, got {value}")
            if not used and value:
                raise ValueError(f"a {self.kind} table has no parameter {name}, got {value}")

    @classmethod
    def parse(cls, text: str) -> TableKind:
        """The kind that ``str`` of it stands for."""
        match = re.fullmatch(r"([a-z]+)(?:<([\d,]+)>)?", text.replace(" ", "")) if isinstance(text, str) else None
        names = _PARAMETERS.get(match[1]) if match else None
        values = match[2].split(",") if match and match[2] else []
        if match is None or names is None or len(values) != len(names) or not all(values):
            raise ValueError(f"a table is written full, coarse<k>, linear<k,g> or mitchell, got {text!r}")
        return cls(match[1], **{name: int(value) for name, value in zip(names, values, strict=True)})

    def __str__(self) -> str:
        names = _PARAMETERS[self.kind]
        return self.kind + (f"<{','.join(str(getattr(self, n)) for n in names)}>" if names else "")


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The ROMs of one log-adder.

    ``roms`` maps a ROM's name to its entries (int64, unsigned values): ``sb``, ``db`` for full and coarse;
    ``sb_base``, ``sb_slope``, ``db_base``, ``db_slope``, ``db_first`` for linear; none for mitchell. Entries that are
    never addressed (db at distance 0) are stored as 0.
    """

    kind: TableKind
    frac_bits: int
    roms: dict[str, Ints]

    @property
    def entries(self) -> int:
        return sum(rom.size for rom in self.roms.values())

    @property
    def rom_bits(self) -> int:
        """Bits of ROM: entries times the width of the largest entry, a ROM at a time."""
        return sum(rom.size * rom_width(rom) for rom in self.roms.values())


def rom_width(rom: Ints) -> int:
    """Bits of the widest entry, at least 1."""
    return max(1, int(rom.max(initial=0)).bit_length())


def _last_distance(frac_bits: int) -> int:
    """A distance beyond which SB and DB are both zero: 2**-x·log2(e)·2**F < 1/2, with a margin of an octave."""
    return (frac_bits + 3) << frac_bits


def _rounded(d: Ints, half_bits: int, frac_bits: int, g: int, difference: bool) -> Ints:
    return exact.gaussian_logs(d, frac_bits + half_bits, frac_bits + g, difference)


def _trim(rom: Ints) -> Ints:
    """The entries up to the last nonzero one."""
    last = np.flatnonzero(rom)
    return rom[: last[-1] + 1 if last.size else 1]


def _full(frac_bits: int, difference: bool) -> Ints:
    d = np.arange(int(difference), _last_distance(frac_bits) + 1)
    rom = _rounded(d, 0, frac_bits, 0, difference)
    return _trim(np.concatenate([[0], rom]) if difference else rom)


def _coarse(frac_bits: int, k: int, difference: bool) -> Ints:
    if k == 0:
        return _full(frac_bits, difference)
    j = np.arange((_last_distance(frac_bits) >> k) + 2)
    return _trim(_rounded((j << (k + 1)) + (1 << k) - 1, 1, frac_bits, 0, difference))


def _linear(frac_bits: int, k: int, g: int, difference: bool) -> dict[str, Ints]:
    name, first = ("db", 1) if difference else ("sb", 0)
    full = _full(frac_bits, difference)
    segments = ((full.size - 1) >> k) + 1
    points = np.zeros(segments + 1, np.int64)
    points[first:] = _rounded(np.arange(first, segments + 1) << k, 0, frac_bits, g, difference) + (1 << (g - 1))
    base, slope = points[:-1].copy(), (points[:-1] - points[1:]) >> k
    slope[:first] = 0
    roms = {f"{name}_base": base, f"{name}_slope": slope}
    if difference:
        roms["db_first"] = np.concatenate([full, np.zeros(1 << k, np.int64)])[: 1 << k]
    return roms


def _build(kind: TableKind, frac_bits: int) -> dict[str, Ints]:
    if kind.kind == "mitchell":
        return {}
    if kind.kind == "linear":
        return _linear(frac_bits, kind.k, kind.g, False) | _linear(frac_bits, kind.k, kind.g, True)
    return {"sb": _coarse(frac_bits, kind.k, False), "db": _coarse(frac_bits, kind.k, True)}


def cache_dir() -> Path:
    """Where generated tables are kept: ``$LNS_CACHE_DIR``, else ``$XDG_CACHE_HOME/lns``, else ``~/.cache/lns``."""
    if "LNS_CACHE_DIR" in os.environ:
        return Path(os.environ["LNS_CACHE_DIR"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lns"


@lru_cache(maxsize=64)
def table(kind: TableKind, frac_bits: int) -> Table:
    """The table of a kind at F fraction bits, from the cache where it is there.

    A cache that is missing, damaged or not writable costs time, never correctness: the table is generated again.

    Raises
    ------
    ValueError
        If ``frac_bits`` is negative or above 24 (a table of 2**24·27 entries).
    """
    if not 0 <= frac_bits <= 24:
        raise ValueError(f"tables can be built for 0 to 24 fraction bits, got {frac_bits}")
    path = cache_dir() / f"gausslog-{_GENERATION}-{kind.kind}-{kind.k}-{kind.g}-{frac_bits}.npz"
    try:
        # the zip's CRC guards the entries
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as stored:
            roms = {name: stored[name] for name in _ROMS[kind.kind]}
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, TypeError, zipfile.BadZipFile):
        roms = _build(kind, frac_bits)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as file:
                np.savez(file, **roms)  # type: ignore[arg-type]
        except OSError:
            pass
    for rom in roms.values():
        rom.setflags(write=False)
    return Table(kind, frac_bits, roms)


@lru_cache(maxsize=32)
def antilog_rom(frac_bits: int, bits: int) -> Ints:
    """The antilog ROM A of docs/spec.md, section 4: min(2**T - 1, round(2**(T-1)·2**(i/2**F))), int64, 2**F entries."""
    rom = np.array([min(v, (1 << bits) - 1) for v in exact.significands(frac_bits, bits)], np.int64)
    rom.setflags(write=False)
    return rom


@lru_cache(maxsize=32)
def log_rom(frac_bits: int, index_bits: int) -> Ints:
    """The linear-to-log ROM R of docs/spec.md, section 6: round(2**F·log2(1 + (m + 1/2)/2**M)), int64, 2**M entries."""
    midpoints = 1.0 + (np.arange(1 << index_bits) + 0.5) / (1 << index_bits)  # exact in float64
    rom = exact.round_log2_of_floats(midpoints, frac_bits)
    rom.setflags(write=False)
    return rom


def _floor_exp2(i: int, frac_bits: int, scale_bits: int) -> int:
    """⌊2**scale_bits·2**(i/2**frac_bits)⌋."""
    return exact.floor(lambda prec: exact.exp2_interval(i + (scale_bits << frac_bits), frac_bits, prec))


@lru_cache(maxsize=32)
def encoder_roms(frac_bits: int, significand_bits: int) -> tuple[Ints, Ints]:
    """The ROMs ``base`` and ``threshold`` of an encoder of significands of P bits (docs/spec.md, section 13.1), int64,
    2**M entries each."""
    index_bits = min(frac_bits + 1, significand_bits - 1)
    rest_bits = significand_bits - 1 - index_bits
    buckets = np.arange(1 << index_bits)
    base = exact.round_log2_of_floats(1.0 + buckets / (1 << index_bits), frac_bits)
    # the power is irrational: its ceiling is one above its floor
    one = 1 << (significand_bits - 1)
    above = [_floor_exp2(2 * i + 1, frac_bits + 1, significand_bits - 1) + 1 - one for i in range(1 << frac_bits)]
    boundary = np.array([*above, one], np.int64)  # the end of the octave, where there is no boundary any more
    threshold = np.minimum(boundary[base] - (buckets << rest_bits), 1 << rest_bits)
    for rom in (base, threshold):
        rom.setflags(write=False)
    return base, threshold


@lru_cache(maxsize=32)
def decoder_rom(frac_bits: int, bits: int) -> Ints:
    """The ROM D of a decoder (docs/spec.md, section 13.2): ⌊2**S·2**(i/2**F)⌋ for S = ``bits``, int64, 2**F entries."""
    rom = np.array([_floor_exp2(i, frac_bits, bits) for i in range(1 << frac_bits)], np.int64)
    rom.setflags(write=False)
    return rom
