"""The report of a sweep in a real browser: with a mouse, a finger and a keyboard, on a phone and on a desk."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM, MISSING, Browser
from sweep_store import HOSTILE, RUN, hostile_rows, large_results, tiny_rows, write_store

import lns
from sim.report import sweep_page
from sim.sweep.pareto import METRICS, best, group_by_data, marks_of
from sim.sweep.results import PointResult, load_results

pytestmark = pytest.mark.skipif(not CHROMIUM, reason=MISSING)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> list[PointResult]:
    return large_results(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def page_file(large: list[PointResult], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(sweep_page.page(large, Path("large.sqlite")), "utf-8")
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as one:
        yield one


@pytest.fixture
def opened(browser: Browser) -> Iterator[Browser]:
    """The browser; afterwards no script has failed and nothing has come from a network."""
    browser.problems.clear()
    browser.requests.clear()
    yield browser
    assert browser.problems == []
    assert all(address.startswith(("file:", "blob:")) for address in browser.requests), browser.requests


def shown_marks(browser: Browser) -> dict[int, str]:
    script = """Object.fromEntries([...document.querySelectorAll('.front .mark[id]')]
      .map((e) => [e.id.slice(5), e.classList[1]]))"""
    return {int(n): mark for n, mark in browser.run(script).items()}


def test_the_chart_shows_the_front_of_python(opened: Browser, page_file: Path, large: list[PointResult]) -> None:
    opened.open(page_file)
    (points, *_) = group_by_data(large).values()
    wanted = {
        one.ordinal: mark.value
        for one, mark in zip(points, marks_of(points, (METRICS["energy_step_j"], METRICS["error"])), strict=True)
        if one.cost and one.error is not None
    }
    assert shown_marks(opened) == wanted
    opened.run(choose("#axes select", "area_um2"))
    wanted = {
        one.ordinal: mark.value
        for one, mark in zip(points, marks_of(points, (METRICS["area_um2"], METRICS["error"])), strict=True)
        if one.cost and one.error is not None
    }
    assert shown_marks(opened) == wanted
    chosen = best(points, 0.02, METRICS["energy_step_j"]).chosen.ordinal
    opened.run("""(() => { const e = document.querySelector('#best-controls input'); e.value = '2';
      e.dispatchEvent(new Event('input')); })()""")
    assert opened.run("document.querySelector('#best button').textContent") == f"design {chosen}"
    assert "--max-error-increase 2% --minimise energy" in opened.run("document.querySelector('#best pre').textContent")


def choose(selector: str, value: str) -> str:
    return (
        f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.value = {json.dumps(value)};"
        " e.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )


@pytest.mark.parametrize(("width", "phone"), [(390, True), (1440, False)])
def test_the_page_fits_the_window(opened: Browser, page_file: Path, width: int, phone: bool) -> None:
    opened.open(page_file, width, 844, phone=phone)
    assert opened.run("document.documentElement.scrollWidth") <= width
    assert opened.run("document.querySelector('#front svg').getBoundingClientRect().right") <= width
    # nothing lies over the chart, and the table scrolls by itself
    assert opened.run("document.querySelector('.scroll').scrollWidth > document.querySelector('.scroll').clientWidth")
    heights = """[...document.querySelectorAll('.controls :is(button, select, input:not([type=checkbox]))')]
      .map((e) => e.getBoundingClientRect().height)"""
    assert min(opened.run(heights)) >= (40 if phone else 30)


def test_a_pointer_and_a_finger_show_details(opened: Browser, page_file: Path) -> None:
    opened.open(page_file)
    front = min(n for n, mark in shown_marks(opened).items() if mark == "front")
    x, y = opened.place(f"#mark-{front}")
    assert opened.run("document.querySelector('.tip').hidden")
    opened.mouse(x, y)
    assert opened.run("document.querySelector('.tip strong').textContent") == f"{front}: on the front"
    opened.mouse(x, y, click=True)
    assert opened.run("document.querySelector('#details h2').textContent").startswith(f"Design {front} ")
    text = opened.run("document.querySelector('#details').textContent")
    assert f"lns train point-{front}.toml --data=digits --hidden=32" in text and "[accumulator]" in text
    opened.open(page_file, 390, 844, phone=True)
    x, y = opened.place(f"#mark-{front}")
    opened.tap(x, y)
    opened.run("new Promise((done) => setTimeout(done, 100))")
    assert opened.run("document.querySelector('#details h2').textContent").startswith(f"Design {front} ")


def test_the_chart_works_from_the_keyboard(opened: Browser, page_file: Path, large: list[PointResult]) -> None:
    opened.open(page_file)
    priced = [one for one in large if one.sweep == "digits-bits" and one.cost and one.error is not None]
    order = [one.ordinal for one in sorted(priced, key=lambda one: ((one.cost or {})["energy_step_j"], one.ordinal))]
    front = [n for n in order if shown_marks(opened)[n] == "front"]
    opened.run("document.querySelector('#front svg').focus()")

    def active() -> int:
        return int(opened.run("document.querySelector('#front svg').getAttribute('aria-activedescendant').slice(5)"))

    assert active() == front[0]
    for key, wanted in (("Home", order[0]), ("ArrowRight", order[1]), ("ArrowRight", order[2]), ("ArrowLeft", order[1]),
                        ("End", order[-1]), ("ArrowRight", order[-1])):  # fmt: skip
        opened.key(key)
        assert active() == wanted, key
    opened.key("Home")
    for wanted in front[order[0] == front[0] :][:3]:
        opened.key("PageDown")
        assert active() == wanted
    label = opened.run(f"document.querySelector('#mark-{active()}').getAttribute('aria-label')")
    assert label.startswith(f"{active()}: bits ") and " %, " in label and label.endswith(" µJ; on the front")
    opened.key("Enter")
    assert opened.run("document.querySelector('#details h2').textContent").startswith(f"Design {active()} ")
    assert opened.run("document.activeElement === document.querySelector('#front svg')")
    assert opened.run(f"document.querySelector('#mark-{active()}').getAttribute('aria-selected')") == "true"


@pytest.mark.parametrize("phone", [False, True])
def test_a_row_of_the_table_opens_from_the_keyboard(opened: Browser, page_file: Path, phone: bool) -> None:
    opened.open(page_file, 390 if phone else 1440, 844, phone=phone)
    opened.run("document.querySelectorAll('tbody th button')[3].focus()")
    row = opened.run("document.activeElement.closest('tr').dataset.n")
    opened.key("Enter")
    assert opened.run("document.querySelector('#details h2').textContent").startswith(f"Design {row} ")
    assert opened.run("document.querySelector('tr.selected').dataset.n") == row
    # beside the table the focus stays; far below the design it goes there
    focus = opened.run("document.activeElement.tagName + document.activeElement.parentElement.id")
    assert focus == ("H2details" if phone else "BUTTON")


def test_what_is_copied_repeats_the_design(opened: Browser, page_file: Path, large: list[PointResult],
                                           tmp_path: Path) -> None:  # fmt: skip
    """The script that the page copies, run in a shell with an ``lns`` that notes what it was asked for."""
    opened.open(page_file)
    opened.run("""Object.defineProperty(navigator, 'clipboard', { value: { writeText: async (text) => {
      window.copied = text; } } })""")
    opened.run("document.querySelector('tr[data-n]').click()")
    opened.run("document.querySelector('#details .buttons button').click()")
    script = opened.run("window.copied")
    (n,) = re.findall(r"cat > point-(\d+).toml", script)
    noting = 'lns() { printf "%s\\n" "$1" >> asked; }\n'
    subprocess.run(["bash", "-euc", noting + script], cwd=tmp_path, check=True)
    point = next(one for one in large if one.sweep == "digits-bits" and one.ordinal == int(n))
    assert lns.load(tmp_path / f"point-{n}.toml") == point.design
    assert (tmp_path / "asked").read_text().split() == ["train"] * 3 + ["rtl", "verify", "cost"]


def test_the_table_sorts_and_the_filter_filters(opened: Browser, page_file: Path, large: list[PointResult]) -> None:
    opened.open(page_file)
    digits = [one for one in large if one.sweep == "digits-bits"]

    def rows() -> list[int]:
        return opened.run("[...document.querySelectorAll('tbody tr')].map((e) => Number(e.dataset.n))")

    def sort(column: str) -> str:
        """Press a heading; returns the way in which it then sorts."""
        press = f"[...document.querySelectorAll('thead button')].find((e) => e.textContent.startsWith('{column}'))"
        opened.run(f"{press}.click()")
        return opened.run(f"{press}.parentElement.getAttribute('aria-sort')")

    assert len(rows()) == 100
    opened.run("document.querySelector('#table > button').click()")
    known = sorted((one for one in digits if one.error is not None), key=lambda one: (one.error, one.ordinal))
    assert rows()[: len(known)] == [one.ordinal for one in known]  # the least error first, unknown ones last
    assert len(rows()) == len(digits)
    assert sort("error") == "descending"
    unknown = [one.ordinal for one in digits if one.error is None]
    assert rows()[0] == known[-1].ordinal and rows()[len(known) :] == unknown
    assert sort("bits") == "ascending"
    opened.run(choose("#filter select", "=8"))
    eight = [one for one in digits if one.variables["bits"] == 8]
    assert rows() == [one.ordinal for one in eight]
    marks = marks_of(eight, (METRICS["energy_step_j"], METRICS["error"]))
    assert shown_marks(opened) == {
        one.ordinal: mark.value for one, mark in zip(eight, marks, strict=True) if one.cost and one.error is not None
    }
    opened.run("""(() => { const e = document.querySelector('#filter input'); e.value = 'KIND=log mitchell';
      e.dispatchEvent(new Event('input')); })()""")
    wanted = [one.ordinal for one in eight if one.variables["kind"] == "log" and one.variables["table"] == "mitchell"]
    assert rows() == wanted and len(wanted) == 6
    assert opened.run("document.querySelector('#count').textContent") == f"6 of {len(digits)} points"
    opened.run("document.querySelector('#filter button').click()")
    late = [one.ordinal for one in digits if one.status == "timeout" and one.variables["bits"] == 8]
    assert late
    for words, some in (("#1", [1]), ("bits=1", []), ("timeout bits=8", late)):  # and not #10, nor bits=10
        opened.run(f"""(() => {{ const e = document.querySelector('#filter input'); e.value = {json.dumps(words)};
          e.dispatchEvent(new Event('input')); }})()""")
        assert rows() == some, words
    opened.run("document.querySelector('#filter button').click()")
    assert len(rows()) == len(digits)


def test_failures_and_other_sweeps_are_shown(opened: Browser, page_file: Path, large: list[PointResult]) -> None:
    opened.open(page_file)
    failures = opened.run("document.querySelector('#failures').textContent")
    assert "Failed: 1" in failures and "train: the worker died by signal 9" in failures
    impossible = [one for one in large if one.sweep == "digits-bits" and one.status == "impossible"]
    assert f"Impossible: {len(impossible)}" in failures and impossible[0].reason in failures
    opened.run(choose("#sweeps select", "1"))
    assert opened.run("document.querySelector('h1').textContent") == "Sweep fashion"
    text = opened.run("document.querySelector('#facts').textContent")
    assert "data fashion-mnist" in text and "3 seeds" in text


def test_a_hostile_store_does_nothing_to_the_page(opened: Browser, tmp_path: Path) -> None:
    results = load_results(write_store(tmp_path / "s.sqlite", {HOSTILE: hostile_rows()}))
    path = tmp_path / "hostile.html"
    path.write_text(sweep_page.page(results, tmp_path / "s.sqlite"), "utf-8")
    opened.open(path, 390, 844)
    assert opened.run("window.hacked") is None
    assert opened.run("document.querySelector('h1').textContent") == f"Sweep {HOSTILE}"
    assert opened.run("document.querySelectorAll('img, iframe, main script').length") == 0
    assert opened.run("document.documentElement.scrollWidth") <= 390
    for n in range(6):  # five points that have a design, and an impossible one
        opened.run(f"document.querySelector('tr[data-n=\"{n}\"]').click()")
        assert opened.run("document.querySelector('#details h2').textContent").startswith(f"Design {n} ")
    assert opened.run("window.hacked") is None


def test_poor_stores_are_shown_as_they_are(opened: Browser, tmp_path: Path) -> None:
    """Without costs, with one seed, with one point, with nothing that worked."""
    rows = tiny_rows()
    failed = [{**row, "accuracies": None, "error": "no"} for row in rows]
    for row in failed:
        row.pop("cost", None)
    single = [row | {"accuracies": row["accuracies"][:1]} for row in rows[:4]]
    unpriced = [{name: value for name, value in row.items() if name != "cost"} for row in rows[:4]]
    impossible = [{"variables": {}, "run": RUN, "reason": "too wide"}]
    stores = {"failed": failed, "single": single, "one": rows[:1], "unpriced": unpriced, "impossible": impossible}
    for name, some in stores.items():
        path = tmp_path / f"{name}.html"
        results = load_results(write_store(tmp_path / f"{name}.sqlite", {name: some}))
        path.write_text(sweep_page.page(results, Path(name)), "utf-8")
        opened.open(path)
        text = opened.run("document.body.innerText")
        assert f"Sweep {name}" in text
        assert not re.search("NaN|undefined|Infinity|\\[object", text), name
        if name in ("failed", "unpriced"):
            assert text.count("an error and a cost yet") == 2
        drawn = "document.querySelectorAll('#front .mark').length"
        wanted = {"failed": 0, "single": 4, "one": 1, "unpriced": 0, "impossible": 0}[name]
        assert opened.run(drawn) == wanted, name
    assert opened.problems == []


def test_every_control_has_a_name(opened: Browser, tmp_path: Path) -> None:
    path = tmp_path / "tiny.html"
    store = write_store(tmp_path / "s.sqlite", {"a": tiny_rows(), "b": tiny_rows()})
    path.write_text(sweep_page.page(load_results(store), store), "utf-8")
    opened.open(path)
    opened.run("document.querySelector('tr[data-n]').click()")
    nodes = opened.send("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "combobox", "searchbox", "checkbox", "spinbutton", "listbox", "option", "region"}
    controls = [one for one in nodes if not one["ignored"] and one["role"]["value"] in roles]
    assert len(controls) > 50 and {one["role"]["value"] for one in controls} == roles
    assert [one["role"]["value"] for one in controls if not one.get("name", {}).get("value", "").strip()] == []


def test_three_hundred_designs_are_smooth(opened: Browser, page_file: Path) -> None:
    """Choosing and filtering, in the median; far below what is felt, with room for a busy machine."""
    opened.open(page_file)
    times = opened.run("""(() => { const out = [];
      for (const row of [...document.querySelectorAll('tbody tr')].slice(0, 9)) {
        const start = performance.now(); row.click(); document.body.offsetHeight; out.push(performance.now() - start);
      }
      const text = document.querySelector('#filter input');
      for (const word of ['l', 'li', 'lin', 'line', 'linea', 'linear', '', 'bits=8', '']) {
        const start = performance.now(); text.value = word; text.dispatchEvent(new Event('input'));
        document.body.offsetHeight; out.push(performance.now() - start);
      }
      return out; })()""")
    assert sorted(times)[len(times) // 2] < 500, times
