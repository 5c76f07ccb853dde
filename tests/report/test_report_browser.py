"""The report in a real Chromium: a silent console, no requests, letters that can be read, light and dark, print."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver

from madetl.ranking import rank
from madetl.ranking.votes import RankParameters
from madetl.report import page
from madetl.store import database
from tests.support import report_study
from tests.support.browser import chromium, needs_chromium

pytestmark = needs_chromium
PHONE, DESKTOP = 390, 1280


@pytest.fixture(scope="module")
def driver() -> Iterator[webdriver.Chrome]:
    with chromium(browser="ALL", performance="ALL") as one:
        yield one


@pytest.fixture(scope="module", params=[8, 34])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on so many models."""
    folder = tmp_path_factory.mktemp("browser")
    report_study.build(folder / "study.db", models=request.param, instructions=45, top_k=4, repeated=20)
    with database.writing(folder / "study.db") as db:
        rank.rank(db, RankParameters(rounds=100))
        report_study.ask(db)
        db.execute("UPDATE judgments SET comment = '<script>document.title = \"taken over\"</script>'")
        page.write(db, folder / "report.html", title="study", program="madetl", command_line=lambda *_: None)
    return folder / "report.html"


def show(driver: webdriver.Chrome, report: Path, width: int = DESKTOP, scheme: str = "light") -> None:
    """Opens the report in a window of that width, with the colours that a reader prefers."""
    driver.get("about:blank")
    for log in ("browser", "performance"):
        driver.get_log(log)  # what came before is read and gone
    feature = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == PHONE}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get(report.as_uri())


def test_the_console_stays_silent_and_nothing_is_asked_for(driver: webdriver.Chrome, report: Path) -> None:
    show(driver, report)
    driver.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    assert driver.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    requests = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert [address for address in requests if not address.startswith(("data:", "about:"))] == [report.as_uri()]
    assert driver.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_no_text_of_a_model_or_a_person_runs(driver: webdriver.Chrome, report: Path) -> None:
    show(driver, report)
    assert driver.title == "study"
    assert driver.execute_script("return document.scripts.length + document.images.length") == 0
    assert "taken over" in driver.execute_script("return document.body.textContent")


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_the_page_is_as_wide_as_the_window(driver: webdriver.Chrome, report: Path, width: int) -> None:
    show(driver, report, width)
    driver.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    page_width, window = driver.execute_script(
        "const e = document.documentElement; return [e.scrollWidth, e.clientWidth]"
    )
    assert page_width == window


_LETTERS = """
    return [...document.querySelectorAll('figure svg')].map(svg => ({
        name: svg.getAttribute('aria-label').slice(0, 40),
        scale: svg.getBoundingClientRect().width / svg.viewBox.baseVal.width,
        box: (({left, right, top, bottom}) => [left, right, top, bottom])(svg.getBoundingClientRect()),
        texts: [...svg.querySelectorAll('text')].map(text => ({
            text: text.textContent,
            size: parseFloat(getComputedStyle(text).fontSize),
            slanted: text.hasAttribute('transform'),
            box: (({left, right, top, bottom}) => [left, right, top, bottom])(text.getBoundingClientRect()),
        })),
    }))
"""


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_letters_in_plots_are_large_enough(driver: webdriver.Chrome, report: Path, width: int) -> None:
    show(driver, report, width)
    for plot in driver.execute_script(_LETTERS):
        assert min(text["size"] for text in plot["texts"]) * plot["scale"] >= 6.9, plot["name"]


def test_labels_stand_inside_their_plots_and_apart(driver: webdriver.Chrome, report: Path) -> None:
    show(driver, report)
    plots = driver.execute_script(_LETTERS)
    assert len(plots) >= 15
    for plot in plots:
        for text in plot["texts"]:
            assert outside(text["box"], plot["box"]) <= 2, (plot["name"], text["text"])
        upright = [text for text in plot["texts"] if not text["slanted"] and text["text"].strip()]
        for one, other in combinations(upright, 2):
            assert overlap(one["box"], other["box"]) < 0.2, (plot["name"], one["text"], other["text"])


def test_names_stand_whole_in_every_plot(driver: webdriver.Chrome, report: Path) -> None:
    """In lines, not cut: no sign of an omission, and every model's whole name in the plot of both ratings."""
    show(driver, report)
    plots = driver.execute_script(_LETTERS)
    for plot in plots:
        assert not [text["text"] for text in plot["texts"] if "…" in text["text"]], plot["name"]
    [ratings, *_] = [plot for plot in plots if plot["name"].startswith("Each model's rating")]
    written = "".join(text["text"] for text in ratings["texts"])
    names = driver.execute_script(
        "return [...document.querySelectorAll('#answer tbody tr')].map(row => row.cells[1].textContent.trim())"
    )
    assert len(names) in {8, 34}
    assert [name for name in names if name not in written] == []


def test_a_wide_window_cuts_no_plot_and_no_table_off(driver: webdriver.Chrome, report: Path) -> None:
    show(driver, report)
    cut = driver.execute_script(
        "return [...document.querySelectorAll('.canvas, .table > .scroll')].filter(e => e.offsetParent !== null)"
        ".filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.getAttribute('aria-label'))"
    )
    assert cut == []


@pytest.mark.parametrize(("width", "height"), [(PHONE, 844), (DESKTOP, 800)])
def test_the_first_screen_says_who_may_be_best_and_what_an_answer_costs(
    driver: webdriver.Chrome, report: Path, width: int, height: int
) -> None:
    show(driver, report, width)
    seen = driver.execute_script(
        "return [...document.querySelectorAll('#answer .lead, #answer thead th, #answer tbody tr:first-child td')]"
        ".map(e => [e.textContent.trim(), e.getBoundingClientRect().right, e.getBoundingClientRect().bottom])"
    )
    first = [text for text, right, bottom in seen if right <= width and bottom <= height]
    assert " is the best of " in first[0]
    assert {"probability of being best", "USD per answer"} <= set(first)
    assert [text for text in first if re.fullmatch(r"(< )?[\d.]+ %", text)]
    assert [text for text in first if re.fullmatch(r"0\.\d{4}|\d\.?\d*e-\d+|0\.00\d+", text)]


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_a_battle_unfolds_to_the_whole_width(driver: webdriver.Chrome, report: Path, width: int) -> None:
    show(driver, report, width)
    wide, folded, page_width = driver.execute_script(
        "const one = document.querySelector('.versus details.lost'); const before = one.clientWidth; one.open = true;"
        "return [one.clientWidth, before, document.querySelector('main').clientWidth]"
    )
    assert wide == page_width
    assert folded < 0.52 * page_width or width == PHONE


def outside(box: list[float], around: list[float]) -> float:
    """By how many pixels a box reaches out of another."""
    return max(around[0] - box[0], box[1] - around[1], around[2] - box[2], box[3] - around[3])


def overlap(one: list[float], other: list[float]) -> float:
    """The share of the smaller box that both cover."""
    wide = min(one[1], other[1]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[2], other[2])
    smaller = min((box[1] - box[0]) * (box[3] - box[2]) for box in (one, other))
    return wide * high / smaller if wide > 0 and high > 0 and smaller > 0 else 0.0


_COLOURS = """
    const style = getComputedStyle(document.documentElement);
    const names = ['ink', 'muted', 'link', 'surface', 'raised', 'note', 'careful', 'blue', 'vermillion', 'green'];
    for (let n = 0; n < 9; n++) names.push('tint' + n);
    return Object.fromEntries(names.map(name => [name, style.getPropertyValue('--' + name).trim()]));
"""


def luminance(colour: str) -> float:
    """Relative luminance, by WCAG 2."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(driver: webdriver.Chrome, report: Path, scheme: str) -> None:
    show(driver, report, scheme=scheme)
    colours: dict[str, str] = driver.execute_script(_COLOURS)
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours.values())
    behind = ["surface", "raised", "note", "careful", *(f"tint{n}" for n in range(9))]
    assert {name: contrast(colours["ink"], colours[name]) for name in behind if
            contrast(colours["ink"], colours[name]) < 4.5} == {}  # fmt: skip
    assert contrast(colours["muted"], colours["surface"]) >= 4.5
    assert contrast(colours["link"], colours["surface"]) >= 4.5
    for name in ("blue", "vermillion", "green"):
        assert contrast(colours[name], colours["surface"]) >= 3  # WCAG 2.1 for what is drawn
    background = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert background == f"rgb{tuple(int(colours['surface'][n : n + 2], 16) for n in (1, 3, 5))}"


def test_numbers_and_sql_unfold(driver: webdriver.Chrome, report: Path) -> None:
    show(driver, report)
    figures = driver.find_elements("css selector", "figure")
    for figure in figures:
        numbers = figure.find_element("css selector", "details.numbers")
        driver.execute_script("arguments[0].querySelector('summary').click()", numbers)
        assert len(numbers.find_elements("css selector", "tbody tr")) > 0
        sql = numbers.find_element("css selector", "details.sql")
        driver.execute_script("arguments[0].querySelector('summary').click()", sql)
        assert "SELECT" in sql.text
        assert "madetl query " in sql.text


def test_it_prints_without_what_is_folded(driver: webdriver.Chrome, report: Path) -> None:
    show(driver, report)
    printed: dict[str, Any] = driver.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})
    pdf = base64.b64decode(printed["data"])
    assert pdf.startswith(b"%PDF")
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf))
    assert 8 <= pages <= 60
