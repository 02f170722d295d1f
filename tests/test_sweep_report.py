"""The report of a sweep: what the page holds, that it stands alone, its arithmetic, its colours, and the figures."""

from __future__ import annotations

import argparse
import json
import math
import re
import shlex
import shutil
import sqlite3
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweep_store import HOSTILE, RUN, cost_of, hostile_rows, large_results, tiny_rows, write_store

import lns
from sim.cli import main
from sim.report import sweep_data, sweep_page, sweep_plot
from sim.sweep.pareto import METRICS, best, group_by_data, marks_of
from sim.sweep.results import PointResult, load_results
from sim.train.command import add_train, resolve
from sim.train.run import RunConfig

NODE = shutil.which("node")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> list[PointResult]:
    return large_results(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def page(large: list[PointResult]) -> str:
    return sweep_page.page(large, Path("large.sqlite"))


class Reader(HTMLParser):
    """What a page is made of."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "br", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "title", "style"):
            kind = self.tags[-1][1].get("type", "")
            self.text[f"{self.open[-1]} {kind}".strip()] = data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def holds_two_scripts(page: str) -> bool:
    """Whether the data and the page's own script are all that a browser would run or load."""
    try:
        tags = read(page).tags
    except AssertionError:
        return False
    scripts = [attributes for tag, attributes in tags if tag == "script"]
    return scripts == [{"type": "application/json", "id": "data"}, {}] and not any(tag == "img" for tag, _ in tags)


# --- the file ----------------------------------------------------------------------------------------------------


def test_the_page_is_html_that_loads_nothing(page: str) -> None:
    reader = read(page)
    known = "html head meta title style body a header h1 p div noscript main section h2 span aside script"
    assert {tag for tag, _ in reader.tags} <= set(known.split())
    for tag, attributes in reader.tags:
        assert "src" not in attributes, tag
        assert attributes.get("href", "#").startswith("#"), tag
        assert not any(name.startswith("on") for name in attributes), tag
    (policy,) = [a["content"] for tag, a in reader.tags if tag == "meta" and a.get("http-equiv")]
    assert policy is not None and policy.startswith("default-src 'none'; ") and "script-src 'sha256-" in policy
    addresses = set(re.findall(r"https?:[^\s\"'`)]*", page))
    assert addresses == {"http://www.w3.org/2000/svg"}  # the name of SVG, which nothing loads
    assert not re.search(r"@import|url\(|\bimport\b|\bfetch\(|XMLHttpRequest|innerHTML|eval\(", reader.text["script"])
    assert not re.search(r"@import|url\(", reader.text["style"])


def test_hostile_names_are_data(tmp_path: Path) -> None:
    results = load_results(write_store(tmp_path / "s.sqlite", {HOSTILE: hostile_rows()}))
    text = sweep_page.page(results, tmp_path / "s.sqlite")
    reader = read(text)
    assert holds_two_scripts(text)
    assert reader.text["title"] == f"Sweep {HOSTILE}"
    held = json.loads(reader.text["script application/json"])
    assert held == json.loads(json.dumps(sweep_data.page_data(results, tmp_path / "s.sqlite")))
    assert held["groups"][0]["sweep"] == held["groups"][0]["points"][0]["variables"][0] == HOSTILE
    block = text[text.index('id="data">') :].split("</script>")[0]
    assert not set("<>&\u2028") & set(block.split(">", 1)[1])


@pytest.mark.parametrize("fault", ['.replace("<", "\\\\u003c").replace(">", "\\\\u003e")', "html.escape("])
def test_a_forgotten_escape_would_be_noticed(fault: str, tmp_path: Path) -> None:
    source = Path(sweep_page.__file__).read_text()
    assert fault in source
    space: dict[str, Any] = {"__name__": "sim.report.planted"}
    exec(source.replace(fault, "" if fault[0] == "." else "str(", 1), space)
    results = load_results(write_store(tmp_path / "s.sqlite", {HOSTILE: hostile_rows()}))
    assert not holds_two_scripts(space["page"](results, tmp_path))


def test_figures_on_the_page_are_those_of_the_store(large: list[PointResult]) -> None:
    data = json.loads(json.dumps(sweep_data.page_data(large, Path("s")), allow_nan=False))
    assert [(group["sweep"], group["data"]) for group in data["groups"]] == list(group_by_data(large))
    held = [one for group in data["groups"] for one in group["points"]]
    assert len(held) == len(large) > 300
    for shown, point in zip(held, large, strict=True):
        assert (shown["n"], shown["status"], shown["error"]) == (point.ordinal, point.status, point.error)
        assert shown["cost"]["energy_step_j"] == (point.cost or {}).get("energy_step_j")
        assert (shown["design"] is None) == (point.design is None)
        if point.design is not None:
            assert lns.Design.from_toml(shown["design"]) == point.design
        for curve, rows in zip(shown["curves"], point.curves, strict=True):
            wanted = [1 - row["test_accuracy"] for row in rows]
            assert np.allclose(curve["error"], wanted, rtol=1e-3, atol=0)


def test_numbers_that_json_lacks_become_unknown() -> None:
    bad = {"energy_step_j": math.nan, "area_um2": math.inf, "library": {"a": [math.nan]}}
    curve = [{"epoch": 1, "test_accuracy": 0.5, "train_loss": math.nan}]
    point = PointResult("s", 0, {"lr": math.inf}, None, RUN, "done", error=math.nan, cost=bad, curves=[curve])
    text = sweep_page.script_safe(sweep_data.page_data([point], Path("s")))
    (held,) = json.loads(text)["groups"][0]["points"]
    assert (held["error"], held["cost"]["energy_step_j"], held["cost"]["area_um2"]) == (None, None, None)
    assert (held["variables"], held["library"], held["curves"][0]["loss"]) == ([None], {"a": [None]}, [None])


RUNS = [
    {},
    {"hidden": [], "lr": 0.01, "validation": 0.25},
    {"hidden": [64, 16], "lr_milestones": [0.3], "lr_divisors": [2.5], "data": "/data/of mine/$x 'y'"},
    {"lr_milestones": [], "lr_divisors": [], "batch": 7, "epochs": 3},
]


@pytest.mark.parametrize("changes", RUNS)
def test_training_commands_repeat_the_run(changes: dict[str, Any]) -> None:
    """The real command line, given the page's command, makes the same configuration."""
    run = RUN | {"lr": 0.0, "lr_milestones": [0.5, 0.8], "lr_divisors": [4.0, 16.0], "validation": 0.0} | changes
    point = PointResult("s", 12, {}, lns.load("madam8"), run, "done", seeds=(0, 5))
    lines = sweep_data.commands(point, {})["train"].splitlines()
    for line, seed in zip(lines, (0, 5), strict=True):
        program, command, *words = shlex.split(line)
        assert (program, command) == ("lns", "train")
        parser = argparse.ArgumentParser()
        add_train(parser)
        args = parser.parse_args(words)
        milestones = tuple(float(one) for one in args.lr_milestones.split(",") if one)
        divisors = tuple(float(one) for one in args.lr_divisors.split(",") if one) if milestones else ()
        config = RunConfig(
            "chip", args.data, tuple(int(one) for one in args.hidden.split(",") if int(one)), args.epochs, args.batch,
            args.seed, args.lr or 0.0, milestones, divisors, args.validation,
        )  # fmt: skip
        wanted = {name: tuple(value) if isinstance(value, list) else value for name, value in run.items()}
        assert asdict(config) == asdict(RunConfig("chip", seed=seed, **wanted))
        assert args.design == "point-12.toml"


def test_other_commands_are_known_to_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    point = PointResult("s", 12, {}, lns.load("madam8"), RUN, "done", seeds=(0,))
    Path("point-12.toml").write_text(lns.load("madam8").to_toml())
    assert resolve("point-12.toml", [])[1] == point.design
    for name in ("build", "verify"):
        words = shlex.split(sweep_data.commands(point, {})[name])
        with pytest.raises(SystemExit) as ended:
            main([*words[1:], "--help"])
        assert ended.value.code == 0


def test_pricing_repeats_the_network_and_the_settings_of_the_sweep(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s.sqlite", {"a": tiny_rows()[:1], "b": tiny_rows()[:1]})
    with sqlite3.connect(store) as db:
        text = '[cost]\nliberty = "my cells.lib"\nclock = 2.5e-9\ndelays = false\n'
        db.execute("UPDATE sweep SET text = ? WHERE name = 'b'", (text,))
    db.close()
    data = sweep_data.page_data(load_results(store), store, sweep_data.cost_settings(store))
    prices = [group["points"][0]["commands"]["price"] for group in data["groups"]]
    plain = "lns cost point-0.toml --data=digits --hidden=32 --batch=32"
    assert prices == [plain, f"{plain} '--liberty=my cells.lib' --clock=2.5ns --no-delays"]
    from sim.cost import command as costing

    parser = argparse.ArgumentParser()
    costing.add_arguments(parser)
    args = parser.parse_args(shlex.split(prices[1])[2:])
    assert (args.chips, args.data, args.hidden, args.batch) == (["point-0.toml"], "digits", "32", 32)
    assert args.no_delays
    assert str(args.liberty) == "my cells.lib" and math.isclose(costing.parse_period(args.clock), 2.5e-9)


# --- the page's own arithmetic -------------------------------------------------------------------------------------


def run_script(points: list[list[dict[str, Any]]], change: tuple[str, str] = ("", "")) -> list[Any]:
    """Marks and best designs of clouds of points by the page's script, in Node."""
    assert NODE is not None
    script = sweep_page.asset("sweep_front.js")
    assert change[0] in script
    ask = (
        f"const clouds = {json.dumps(points)};\nconsole.log(JSON.stringify(clouds.map((points) => {{\n"
        "  const found = bestOf(points, 0.01, 'energy_step_j');\n"
        "  return [marksOf(points, ['energy_step_j', 'error']), found && found.chosen.n]; })))"
    )
    text = script.replace(*change, 1) + ask
    done = subprocess.run([NODE, "-"], input=text, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def random_clouds() -> list[list[PointResult]]:
    """Small clouds with ties, missing figures, one seed, and points that are not compared."""
    rng = np.random.default_rng(3)
    clouds = []
    for _ in range(150):
        cloud = []
        for n in range(int(rng.integers(1, 14))):
            accuracies = tuple(float(a) for a in 0.9 + 0.01 * rng.integers(0, 4, int(rng.integers(0, 4))))
            error = 1 - sum(accuracies) / len(accuracies) if accuracies else None
            spread = float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None
            cost = cost_of(float(rng.integers(1, 5)), 8) if rng.random() < 0.9 else None
            status = "partial" if rng.random() < 0.1 else "done"
            verify = {"mismatches": 1} if rng.random() < 0.05 else None
            design = lns.load("madam8")
            cloud.append(PointResult("s", n, {"n": n}, design, RUN, status, "", accuracies, error, spread,
                                     tuple(range(len(accuracies))), cost, verify))  # fmt: skip
        clouds.append(cloud)
    return clouds


def by_python(clouds: list[list[PointResult]]) -> list[Any]:
    out = []
    energy, error = METRICS["energy_step_j"], METRICS["error"]
    for cloud in clouds:
        try:
            chosen: int | None = best(cloud, 0.01, energy).chosen.ordinal
        except ValueError:
            chosen = None
        out.append([[mark.value for mark in marks_of(cloud, (energy, error))], chosen])
    return out


@pytest.mark.skipif(NODE is None, reason="Node.js is not installed: apt install nodejs")
def test_the_script_finds_the_same_fronts_and_designs() -> None:
    clouds = random_clouds()
    held = [sweep_data.page_data(cloud, Path("s"))["groups"][0]["points"] for cloud in clouds]
    wanted = by_python(clouds)
    assert {mark for marks, _ in wanted for mark in marks} == {"front", "near", "dominated", "none"}
    assert run_script(held) == wanted
    for fault in (("worse < 0", "worse <= 0"), ("p.variances[k] + ", ""), ("cost, error)", "error, cost)"),
                  ('point.left_out === "" && ', ""), ("< p.var", "<= p.var")):  # fmt: skip
        assert run_script(held, fault) != wanted, fault


# --- colours -------------------------------------------------------------------------------------------------------


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio of two colours ``#rrggbb``."""

    def luminance(colour: str) -> float:
        channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def brighter(theme: dict[str, str], k: int, other: int) -> bool:
    """Whether a later colour of the ramp is clearly brighter, as its order must show without colour."""
    return contrast(theme[f"ramp-{other}"], "#000000") > 1.4 * contrast(theme[f"ramp-{k}"], "#000000")


def test_text_and_marks_stand_out_in_both_themes() -> None:
    style = sweep_page.asset("sweep.css")
    blocks = re.findall(r":root {(.*?)}", style, re.S)
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in blocks)
    assert set(light) == set(dark) and len([name for name in light if name.startswith("mark-")]) == 7
    for theme in (light, dark):
        assert brighter(theme, 1, 2) and brighter(theme, 2, 3)
        for name in ("text", "soft", "link"):
            assert min(contrast(theme[name], theme[under]) for under in ("page", "panel")) >= 4.5, (name, theme)
        for name in [name for name in theme if name.startswith(("mark-", "ramp-"))] + ["focus"]:
            assert contrast(theme[name], theme["page"]) >= 3, (name, theme)


# --- figures and the command ---------------------------------------------------------------------------------------


def test_figures_are_written_in_three_formats_and_repeat(tmp_path: Path) -> None:
    rows = tiny_rows()
    store = write_store(tmp_path / "s.sqlite", {"a b $x$": rows[:1], "a/b $x$": rows[:4]})
    results = [replace(one, cost=None) if one.sweep == "a b $x$" else one for one in load_results(store)]
    written = sweep_plot.figures(results, tmp_path / "one")
    assert len(written) == len(set(written)) == (2 + 5) * 3
    assert all(path.parent == tmp_path / "one" for path in written)
    for path in written:
        head = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[path.suffix[1:]]
        assert path.read_bytes().startswith(head)
        if path.suffix == ".svg":
            assert ET.parse(path).getroot().tag.endswith("svg")
    for path in sweep_plot.figures(results[:1], tmp_path / "two"):
        assert path.read_bytes() == (tmp_path / "one" / path.name).read_bytes()


def test_figures_of_poor_stores(tmp_path: Path) -> None:
    rows = tiny_rows()
    unpriced = [{name: value for name, value in row.items() if name != "cost"} for row in rows[:4]]
    results = load_results(write_store(tmp_path / "s.sqlite", {"u": unpriced, "none": [rows[4]]}))
    names = {path.name for path in sweep_plot.figures(results, tmp_path) if path.suffix == ".png"}
    assert names == {"u-sensitivity.png", "u-curves.png"}


def test_the_command_writes_page_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = write_store(tmp_path / "s.sqlite", {"a": tiny_rows(), "b": tiny_rows()[:2]})
    out = tmp_path / "report.html"
    assert main(["report", str(store), "-o", str(out), "--sweep", "b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"points": 2, "files": [str(out)]}
    assert read(out.read_text("utf-8")).text["title"] == "Sweep b"
    assert main(["report", str(store)]) == 2
    assert "nothing to write: -o FILE" in capsys.readouterr().err
    assert main(["report", str(store), "-o", str(tmp_path / "no" / "r.html")]) == 2
    assert "No such file" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "no.sqlite"), "-o", str(out)]) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_assets_are_all_used() -> None:
    folder = Path(sweep_page.__file__).parent / "assets"
    scripts = {f"sweep_{name}.js" for name in sweep_page.SCRIPTS}
    assert {path.name for path in folder.iterdir()} == scripts | {"sweep.html", "sweep.css"}
