"""Tables and ROMs: golden values, correct rounding, every kind against the independent implementation, the cache."""

import random

import independent
import mpmath
import numpy as np
import pytest

from lns import exact, gausslog, reference
from lns.files import memh_text, read_memh
from lns.gausslog import Table, TableKind, antilog_rom, cache_dir, log_rom, rom_width, table
from lns.kernels.tables import dense
from sim.report.table_error import table_error

MP = mpmath.mp.clone()
MP.prec = 200

FULL = TableKind()
KINDS = [
    "full",
    "coarse<0>",
    "coarse<1>",
    "coarse<2>",
    "coarse<4>",
    "linear<1,1>",
    "linear<2,6>",
    "linear<3,8>",
    "mitchell",
]

every_kind = pytest.mark.parametrize("kind", [TableKind.parse(kind) for kind in KINDS], ids=str)


def independent_kind(kind):
    return (kind.kind, *{"coarse": (kind.k,), "linear": (kind.k, kind.g)}.get(kind.kind, ()))


def real_sb(x, frac_bits):
    """2**F·log2(1 + 2**(-x/2**F)), of 200 bits."""
    return 2**frac_bits * MP.log(1 + MP.power(2, -MP.mpf(x) / 2**frac_bits)) / MP.ln2


def real_db(x, frac_bits):
    return -(2**frac_bits) * MP.log(1 - MP.power(2, -MP.mpf(x) / 2**frac_bits)) / MP.ln2


def planted(source, rom, index):
    """The table with one entry a code too large."""
    roms = {name: values.copy() for name, values in source.roms.items()}
    roms[rom][index] += 1 << source.kind.g
    return Table(source.kind, source.frac_bits, roms)


# --- golden values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frac_bits", "last_sb", "last_db", "db_1"),
    [
        (0, 1, 1, 1), (3, 35, 36, 29), (4, 88, 88, 73), (5, 208, 209, 177), (6, 481, 482, 418), (7, 1091, 1091, 964),
        (8, 2439, 2439, 2184), (10, 11805, 11805, 10782), (12, 55413, 55414, 51318),
    ],
)  # fmt: skip
def test_golden_values(frac_bits, last_sb, last_db, db_1):
    roms = table(FULL, frac_bits).roms
    assert (roms["sb"].size - 1, roms["db"].size - 1) == (last_sb, last_db)
    assert roms["sb"][-1] > 0 and roms["db"][-1] > 0
    assert (roms["db"][0], roms["db"][1]) == (0, db_1)
    assert roms["sb"][0] == 2**frac_bits


@pytest.mark.parametrize("frac_bits", range(18))
def test_sampled_entries_are_correctly_rounded(frac_bits):
    rng = random.Random(frac_bits)
    source = table(FULL, frac_bits)
    last = source.roms["sb"].size
    near = [rng.randrange(1, 2 << frac_bits) for _ in range(100)]
    for d in {1, 2, 3, last - 2, last - 1, last, last + 1, *near, *(rng.randrange(1, last + 2) for _ in range(100))}:
        for name, entry, real in (("sb", reference.sb, real_sb), ("db", reference.db, real_db)):
            if d >= 1:
                assert abs(entry(d, source) - real(d, frac_bits)) < 0.5, f"{name}({d}) at F = {frac_bits}"


@pytest.mark.parametrize("frac_bits", [18, 20, 22, 24])
def test_finer_logarithms_are_correctly_rounded(frac_bits):
    """Sections of tables too large to build here, by the compiled path and by the one it falls back upon."""
    rng = random.Random(frac_bits)
    d = np.array(sorted([1, 2, 1 << 24, *(rng.randrange(1, 26 << frac_bits) for _ in range(60))]))
    for difference, real in ((False, real_sb), (True, real_db)):
        compiled = exact.gaussian_logs(d, frac_bits, frac_bits, difference).tolist()
        assert compiled == [exact.gaussian_log(int(i), frac_bits, frac_bits, difference) for i in d]
        assert all(abs(got - real(int(i), frac_bits)) < 0.5 for got, i in zip(compiled, d, strict=True))


def test_a_float64_table_is_not_good_enough():
    """The entries nearest to a tie are those that a double-precision formula with a short-cut (float32) gets wrong."""
    d = np.arange(1, 55414)
    shortcut = np.rint(np.float32(4096) * np.log2(1 + np.exp2(-d.astype(np.float32) / np.float32(4096))))
    assert (shortcut != table(FULL, 12).roms["sb"][1:]).any()


# --- kinds -----------------------------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("frac_bits", [0, 1, 2, 3, 5, 7])
class TestKinds:
    def domain(self, frac_bits):
        return range((frac_bits + 5) << frac_bits)

    def test_whole_domain_against_the_independent_implementation(self, kind, frac_bits):
        source, (sb, db) = table(kind, frac_bits), independent.tables(independent_kind(kind), frac_bits)
        assert [reference.sb(d, source) for d in self.domain(frac_bits)] == [sb(d) for d in self.domain(frac_bits)]
        assert [reference.db(d, source) for d in self.domain(frac_bits)[1:]] == [
            db(d) for d in self.domain(frac_bits)[1:]
        ]

    def test_dense_is_the_definition(self, kind, frac_bits):
        source = table(kind, frac_bits)
        sb, db = dense(source)
        assert sb.size == db.size and sb[-1] == db[-1] == db[0] == 0
        for d in range(sb.size + (2 << frac_bits)):
            at = min(d, sb.size - 1)
            assert sb[at] == reference.sb(d, source) >= 0
            if d:
                assert db[at] == reference.db(d, source) >= 0

    def test_sizes(self, kind, frac_bits):
        source = table(kind, frac_bits)
        assert source.entries == sum(len(rom) for rom in source.roms.values())
        assert source.rom_bits == sum(len(rom) * rom_width(rom) for rom in source.roms.values())
        assert (source.rom_bits == 0) == (kind.kind == "mitchell")
        assert all(rom.min() >= 0 and not rom.flags.writeable for rom in source.roms.values())
        if kind.k == 0 or kind.kind == "linear":  # never addressed
            assert not any(rom[0] for name, rom in source.roms.items() if name.startswith("db"))


@pytest.mark.parametrize(
    ("kind", "rom"),
    [("full", "sb"), ("full", "db"), ("coarse<2>", "db"), ("linear<2,6>", "sb_base"), ("linear<2,6>", "db_first")],
)
def test_one_wrong_entry_is_seen(kind, rom):
    source = planted(table(TableKind.parse(kind), 3), rom, 2)
    tables = independent.tables(independent_kind(source.kind), 3)
    values = dense(source)
    assert any(values[i][d] != tables[i](d) for i in (0, 1) for d in range(1, values[i].size))


def test_coarse_0_is_full():
    for name, rom in table(FULL, 5).roms.items():
        assert np.array_equal(rom, table(TableKind("coarse", 0), 5).roms[name])


def test_coarse_entries_stand_for_the_middle_of_their_bucket():
    roms = table(TableKind("coarse", 2), 5).roms
    for j in range(roms["db"].size):
        assert abs(roms["db"][j] - real_db(4 * j + 1.5, 5)) < 0.5
        assert abs((roms["sb"][j] if j < roms["sb"].size else 0) - real_sb(4 * j + 1.5, 5)) < 0.5


@every_kind
def test_names_round_trip(kind):
    assert TableKind.parse(str(kind)) == kind


@pytest.mark.parametrize(
    "text",
    ["", "Full", "full<1>", "coarse", "coarse<>", "coarse<1,2>", "linear<2>", "linear<2,>", "mitchell<0>", None, 3],
)
def test_other_names_are_refused(text):
    with pytest.raises(ValueError, match="a table is written full, coarse<k>, linear<k,g> or mitchell"):
        TableKind.parse(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("exact",), "a table kind is one of full, coarse, linear, mitchell"),
        (("full", 1), "a full table has no parameter k"),
        (("coarse", 1, 1), "a coarse table has no parameter g"),
        (("coarse", 25), "k of a coarse table must be between 0 and 24"),
        (("linear", 0, 4), "k of a linear table must be between 1 and 24"),
        (("linear", 2, 0), "g of a linear table must be between 1 and 24"),
    ],
)
def test_parameters_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        TableKind(*arguments)


@pytest.mark.parametrize("frac_bits", [-1, 25])
def test_precisions_out_of_range(frac_bits):
    with pytest.raises(ValueError, match="0 to 24 fraction bits"):
        table(FULL, frac_bits)


# --- error -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frac_bits", [3, 4, 6, 8, 10])
def test_only_the_full_table_is_correctly_rounded(frac_bits):
    full = table_error(table(FULL, frac_bits))
    assert all(0 < error.rms <= abs(error.worst) <= 0.5 for error in full.values())
    for kind in KINDS[2:]:
        errors = table_error(table(TableKind.parse(kind), frac_bits))
        assert abs(errors["sb"].worst) > 0.5 and errors["sb"].rms > full["sb"].rms, kind


@every_kind
def test_errors_against_200_bits(kind):
    source = table(kind, 4)
    size = table(FULL, 4).roms["db"].size + 16
    for name, entry, real, first in (("sb", reference.sb, real_sb, 0), ("db", reference.db, real_db, 1)):
        errors = [float(entry(d, source) - real(d, 4)) for d in range(first, size)]
        got = table_error(source)[name]
        assert got.worst == pytest.approx(max(errors, key=abs)) and errors[got.worst_at - first] == pytest.approx(
            got.worst
        )
        assert got.mean == pytest.approx(sum(errors) / len(errors))
        assert got.rms == pytest.approx((sum(e * e for e in errors) / len(errors)) ** 0.5)


def test_a_wrong_entry_has_an_error_above_one_half():
    assert abs(table_error(planted(table(FULL, 3), "db", 7))["db"].worst) > 0.5


# --- cache -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of its own, and no table in memory."""
    monkeypatch.setenv("LNS_CACHE_DIR", str(tmp_path / "cache"))
    table.cache_clear()
    yield tmp_path / "cache"
    table.cache_clear()


def built(kind, frac_bits):
    return {name: rom.tolist() for name, rom in gausslog._build(kind, frac_bits).items()}


def read(kind, frac_bits):
    """The table as another process would see it."""
    table.cache_clear()
    return {name: rom.tolist() for name, rom in table(kind, frac_bits).roms.items()}


@every_kind
def test_the_cache_is_used(kind, cache, monkeypatch):
    roms = read(kind, 3)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(gausslog, "_build", lambda *_: pytest.fail("built again"))
    assert read(kind, 3) == roms


@pytest.mark.parametrize("kind", [FULL, TableKind("linear", 2, 4)], ids=str)
def test_a_damaged_cache_file_is_replaced(kind, cache):
    roms = read(kind, 2)
    (path,) = cache.iterdir()
    good = path.read_bytes()
    damages = [b"", b"nonsense", good[:-1], good[: len(good) // 2], bytes(len(good))]
    # of the entries and, more densely, of the directory at the end of the file, which may lose a whole ROM
    directory = 8 * good.index(b"PK\x01\x02")
    flips = [*range(0, directory, 97), *range(directory, 8 * len(good), 5)]
    damages += [good[: i // 8] + bytes([good[i // 8] ^ 1 << i % 8]) + good[i // 8 + 1 :] for i in flips]
    for damaged in damages:
        path.write_bytes(damaged)
        assert read(kind, 2) == roms
    path.write_bytes(b"nonsense")
    read(kind, 2)
    assert path.read_bytes() == good


def test_a_cache_file_with_a_missing_rom_is_replaced(cache):
    roms = read(FULL, 2)
    (path,) = cache.iterdir()
    np.savez(path, sb=np.array(roms["sb"]))
    assert read(FULL, 2) == roms


def test_a_cache_file_of_another_type_is_replaced(cache):
    roms = read(FULL, 2)
    (path,) = cache.iterdir()
    with path.open("wb") as file:
        np.save(file, np.arange(3))
    assert read(FULL, 2) == roms


def test_an_unwritable_cache_works(cache, monkeypatch):
    cache.write_text("a file where the folder should be")
    assert read(FULL, 3) == built(FULL, 3)
    assert cache.is_file()
    monkeypatch.setenv("LNS_CACHE_DIR", "/proc/no/such/place")
    assert read(FULL, 3) == built(FULL, 3)


def test_an_interrupted_write_leaves_no_file(cache, monkeypatch):
    def full_disk(*_args, **_kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    assert read(FULL, 3) == built(FULL, 3)
    assert list(cache.iterdir()) == []


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("LNS_CACHE_DIR", str(tmp_path / "a"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert cache_dir() == tmp_path / "a"
    monkeypatch.delenv("LNS_CACHE_DIR")
    assert cache_dir() == tmp_path / "b" / "lns"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "lns"


# --- memory images ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 4, 5, 12, 33, 64])
def test_memory_images_round_trip(width):
    words = [random.Random(width).randrange(1 << width) for _ in range(50)] + [0, (1 << width) - 1]
    text = memh_text(words, width, "words of a test")
    assert text.startswith(f"// words of a test\n// 52 words of {width} bits, for $readmemh; sha256 of the data lines ")
    assert all(len(line) == -(-width // 4) for line in text.splitlines()[2:])
    assert read_memh(text).tolist() == words


def test_a_changed_memory_image_is_refused():
    text = memh_text([1, 2, 3], 8, "three")
    for changed in (
        text.replace("\n02\n", "\n03\n"),
        text.replace("\n02\n", "\n"),
        text.split("\n", 2)[2],
        text + "00\n",
    ):
        with pytest.raises(ValueError, match="checksum"):
            read_memh(changed)


@pytest.mark.parametrize("value", [16, -1])
def test_a_word_must_fit_its_memory(value):
    with pytest.raises(ValueError, match="every word must fit in 4 bits"):
        memh_text([1, value], 4, "too wide")


# --- ROMs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frac_bits", "bits"), [(0, 1), (0, 8), (3, 1), (3, 2), (3, 8), (10, 14), (11, 12), (9, 32), (5, 3)]
)
def test_antilog_rom(frac_bits, bits):
    rom = antilog_rom(frac_bits, bits)
    assert rom.size == 2**frac_bits and rom[0] == 2 ** (bits - 1)
    for i in range(1, rom.size):
        value = 2 ** (bits - 1) * MP.power(2, MP.mpf(i) / 2**frac_bits)
        assert rom[i] == min(2**bits - 1, int(MP.nint(value)))


def test_an_antilog_rom_may_clip():
    """Two bits at F = 3: the last entries round to 4, which has no place."""
    assert antilog_rom(3, 2).tolist() == [2, 2, 2, 3, 3, 3, 3, 3]


@pytest.mark.parametrize(("frac_bits", "index_bits"), [(0, 0), (0, 4), (3, 7), (3, 3), (6, 10), (10, 12), (13, 9)])
def test_log_rom(frac_bits, index_bits):
    rom = log_rom(frac_bits, index_bits)
    assert rom.size == 2**index_bits
    for m in range(rom.size):
        value = 2**frac_bits * MP.log(1 + (m + MP.mpf("0.5")) / 2**index_bits) / MP.ln2
        assert rom[m] == int(MP.nint(value))


def test_the_last_log_entry_may_carry():
    assert log_rom(3, 7)[-1] == 8
