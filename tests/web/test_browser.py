"""The page in a real Chromium: keys, undo, coming back, time, other people's texts, small windows."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import NoAlertPresentException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from madetl.store import database
from tests.conftest import Study
from tests.support.browser import chromium, needs_chromium
from tests.support.evil_texts import EVIL
from tests.support.measured_study import SECRETS
from tests.support.measured_study import build as measured_answers
from tests.support.page_study import rows, serving
from tests.support.sheet_study import MODELS, select, small_study

pytestmark = needs_chromium


class Window:
    """A browser window of somebody who judges."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, link: str) -> None:
        self.driver.get(link)
        self.until(lambda: "/guidelines" in self.driver.current_url or "/item" in self.driver.current_url)

    def begin(self) -> None:
        self.follow(self.find("main button.main").click)

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def settle(self) -> None:
        """Waits until the page takes verdicts: just after it appeared it takes none."""
        self.until(lambda: self.script("return document.readyState") == "complete")
        time.sleep(0.35)

    def press(self, key: str) -> None:
        """Presses a key, and waits for the page that follows."""
        self.follow(lambda: self.type(key))

    def follow(self, act: Callable[[], object]) -> None:
        """Does something that leads to another page, and waits for that: the old one may still be there a moment."""
        before = self.script("return performance.timeOrigin")
        act()
        self.until(lambda: self.script("return performance.timeOrigin") != before)
        self.settle()

    def type(self, keys: str) -> None:
        """Presses keys wherever the focus is."""
        self.driver.switch_to.active_element.send_keys(keys)

    def script(self, code: str, *arguments: object) -> object:
        return self.driver.execute_script(code, *arguments)

    def answers(self) -> list[str]:
        return [one.text for one in self.all(".answers .scroll")]

    def progress(self) -> str:
        return self.find(".progress span").text

    def size(self, width: int, height: int) -> None:
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )

    def complaints(self) -> list[str]:
        """What the console shows since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def until(self, condition: Callable[[], object]) -> None:
        WebDriverWait(self.driver, 15, 0.02).until(lambda _: condition())


@contextmanager
def browser() -> Iterator[Window]:
    with chromium(browser="ALL") as driver:
        yield Window(driver)


@pytest.fixture
def window() -> Iterator[Window]:
    with browser() as one:
        yield one


@pytest.fixture
def file(db_file: Path) -> Path:
    with database.writing(db_file) as db:
        small_study(db, 2)
    return db_file


def choices(file: Path) -> list[str]:
    """The verdicts as they were given, in order."""
    sql = (
        "SELECT CASE WHEN winner IN ('tie', 'both_bad') THEN winner"
        " WHEN winner = shown_first THEN 'first' ELSE 'second' END"
    )
    return [row[0] for row in rows(file, f"{sql} FROM judgments ORDER BY id")]


def test_a_whole_selection_with_the_keyboard(window, file):
    sources = []
    with serving(file, "--both-bad") as page:
        window.open(page.links["ann"])
        assert page.links["ann"].rpartition("/")[2] not in window.driver.current_url
        window.script("document.querySelector('main button.main').focus()")
        window.press(Keys.ENTER)
        for done, key in enumerate([Keys.ARROW_LEFT, Keys.ARROW_DOWN, Keys.ARROW_RIGHT, "b", "s", Keys.ARROW_LEFT]):
            assert window.progress() == f"{min(done, 4) if done < 5 else 4} of 6"
            sources.append(window.driver.page_source + window.driver.current_url + window.driver.title)
            window.press(key)
        assert window.driver.current_url.endswith("/done")
        assert "You skipped 1 pair of answers" in window.find("main").text
        window.follow(window.find("main button.main").click)
        window.press(Keys.ARROW_RIGHT)
        assert "You have given 6 verdicts" in window.find("main").text
        sources.append(window.driver.page_source)
        assert window.complaints() == []
    assert choices(file) == ["first", "tie", "second", "both_bad", "first", "second"]
    assert all(0.3 < seconds < 60 for (seconds,) in rows(file, "SELECT seconds FROM judgments"))
    assert not any(model in source for model in MODELS for source in sources)


def test_a_study_that_stops_by_itself(window, db_file):
    with database.writing(db_file) as db:
        measured_answers(db, models=3)
    options = ("--adaptive", "--budget", 1500, "--stop-at", 0.75, "--repeat", 0)
    with serving(db_file, *options, annotators=("ann", "bob")) as page:
        window.open(page.links["ann"])
        window.begin()
        window.until(lambda: window.all(".answers"))
        window.settle()
        assert window.progress() == "0 of at most 1500 together, 0 by you"
        assert window.driver.title == "0 of at most 1500 judged"
        for width, height in ((390, 844), (320, 568), (1280, 800)):
            window.size(width, height)
            assert window.script("return document.documentElement.scrollWidth") <= width
        while window.all(".answers"):
            first, second = window.answers()
            window.press(Keys.ARROW_LEFT if first[-2] < second[-2] else Keys.ARROW_RIGHT)
        given = len(choices(db_file))
        assert 3 < given < 40
        last = window.find("main").text
        assert f"You have given {given} verdicts. All of them are saved." in last
        assert "Nothing is left for you to do. You can close this page." in last
        assert "The ranking is settled: the order of the models is as sure as this study wants it" in last
        assert not any(name in window.driver.page_source for name in SECRETS)
        for width, height in ((1280, 800), (390, 844)):
            window.size(width, height)
            assert window.script("return document.documentElement.scrollWidth") <= width
        assert window.complaints() == []
        # undo is open to whoever looks at it again
        window.press("u")
        assert window.progress() == f"{given - 1} of at most 1500 together, {given - 1} by you"


def test_undo_and_coming_back_on_another_device(window, file):
    with serving(file) as page:
        window.open(page.links["ann"])
        window.begin()
        answers = window.answers()
        window.type("c")
        window.type("short")
        window.type(Keys.ESCAPE)
        window.press(Keys.ARROW_LEFT)
        assert choices(file) == ["first"]
        following = window.answers()
        window.press("u")
        assert window.answers() == answers
        assert choices(file) == []
        assert window.find("textarea").get_attribute("value") == "short"  # what was written is not lost
        window.press(Keys.ARROW_RIGHT)
        assert window.answers() == following
        with browser() as other:
            other.open(page.links["ann"])
            assert other.answers() == following
            assert other.progress() == "1 of 6"
            other.settle()
            other.press(Keys.ARROW_DOWN)
        # The first window still shows the pair: it is told, and nothing is counted twice.
        window.press(Keys.ARROW_LEFT)
        assert "judged already" in window.find(".note").text
    assert choices(file) == ["second", "tie"]
    assert rows(file, "SELECT comment FROM judgments ORDER BY id") == [("short",), (None,)]
    assert rows(file, "SELECT count(*) FROM assignments WHERE state = 'undone'") == [(1,)]


def test_keys_do_nothing_while_a_comment_is_typed(window, file):
    with serving(file) as page:
        window.open(page.links["ann"])
        window.begin()
        window.type("c")
        window.type("busy u s c b" + Keys.ARROW_LEFT + Keys.ARROW_DOWN + Keys.ARROW_RIGHT + "!")
        assert window.find("textarea").get_attribute("value") == "busy u s c b!"
        assert choices(file) == []
        window.find("nav a").click()  # the guidelines, and back
        window.until(lambda: "/guidelines" in window.driver.current_url)
        window.follow(window.find("main a.main").click)
        assert window.find("textarea").get_attribute("value") == "busy u s c b!"
        window.press(Keys.ARROW_LEFT)
    assert rows(file, "SELECT comment FROM judgments") == [("busy u s c b!",)]


def test_with_other_keys_held_or_just_after_the_page_came_no_verdict_is_given(window, file):
    with serving(file) as page:
        window.open(page.links["ann"])
        window.begin()
        held = "document.dispatchEvent(new KeyboardEvent('keydown', {bubbles: true, key: 'ArrowLeft', %s}))"
        for what in ("ctrlKey: true", "altKey: true", "metaKey: true", "shiftKey: true", "repeat: true"):
            window.script(held % what)
        # Pressed by the page itself, so that a slow machine is as quick as the second half of a double click.
        early = (
            f"document.addEventListener('DOMContentLoaded', () => {{ window.early = {held % 'cancelable: true'}; }})"
        )
        added = window.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": early})
        window.driver.refresh()
        window.settle()
        assert window.script("return window.early") is False  # the page took the key: its default was prevented
        assert choices(file) == []
        window.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
        # A Russian keyboard has its own letter on the key S.
        before = window.answers()
        window.script("document.dispatchEvent(new KeyboardEvent('keydown', {bubbles: true, key: 'ы', code: 'KeyS'}))")
        window.until(lambda: window.answers() != before)
    assert rows(file, "SELECT count(*) FROM assignments WHERE state = 'skipped'") == [(1,)]


def test_hidden_time_is_not_counted(window, file):
    with serving(file) as page:
        window.open(page.links["ann"])
        window.begin()
        judging = window.driver.current_window_handle
        window.driver.switch_to.new_window("tab")
        time.sleep(3)
        window.driver.switch_to.window(judging)
        window.settle()
        window.press(Keys.ARROW_LEFT)
        time.sleep(2)
        window.driver.refresh()  # nor is what was seen before a reload forgotten
        window.settle()
        window.press(Keys.ARROW_LEFT)
    (hidden,), (seen,) = rows(file, "SELECT seconds FROM judgments ORDER BY id")
    assert 0.3 < hidden < 2.5
    assert 2.2 < seen < 10


def test_what_answers_try_does_nothing(window, db_file):
    with database.writing(db_file) as db:
        study = Study(db)
        for number, text in enumerate(EVIL):
            instruction = study.instruction(f"{number} {text}", input=text)
            db.execute("UPDATE instructions SET reference_answer = ? WHERE id = ?", (text, instruction))
            pair = (study.response(instruction, "zeta-1", text), study.response(instruction, "alpha-2", f"{text} "))
            select(db, [pair], start=number + 1)
    with serving(db_file, "--repeat", 0) as page:
        window.open(page.links["ann"])
        window.begin()
        for _ in EVIL:
            for link in window.all(".scroll a"):
                assert not (link.get_attribute("href") or "").startswith(("javascript:", "data:"))
            window.script("document.querySelectorAll('details').forEach(one => one.open = true)")
            assert window.script("return typeof window.__x") == "undefined"
            assert len(window.all("form")) == 2
            assert len(window.all("script")) == 1
            assert window.all("main iframe, main style, main base, main svg, main input") == []
            with pytest.raises(NoAlertPresentException):
                window.driver.switch_to.alert.accept()
            assert window.driver.current_url == f"{page.address}/item"
            window.press(Keys.ARROW_DOWN)
        assert window.driver.current_url.endswith("/done")
        # A broken picture that was in the answer itself is none of anybody's business.
        assert [line for line in window.complaints() if not line.startswith("data:image/png")] == []
    assert choices(db_file) == ["tie"] * len(EVIL)


def test_the_policy_stops_what_would_come_through_all_the_same(window, file):
    with serving(file) as page:
        window.open(page.links["ann"])
        window.begin()
        window.script(
            "document.querySelector('.answers .scroll').innerHTML ="
            ' \'<img src=x onerror="window.__x = 1"><img src="http://localhost:1/p.png"><p style="color: red">\''
        )
        time.sleep(0.3)
        assert window.script("return typeof window.__x") == "undefined"
        stopped = " ".join(window.complaints())
        assert re.search("inline event handler.*Content Security Policy", stopped)
        assert re.search("localhost:1/p.png.*Content Security Policy", stopped)


def test_a_link_in_a_mail_leads_to_the_page(window, file):
    class Mail(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f'<a href="{page.links["ann"]}">judge, please</a>'.encode())

        def log_message(self, *_: object) -> None:
            pass

    with serving(file) as page, ThreadingHTTPServer(("127.0.0.1", 0), Mail) as mail:
        thread = threading.Thread(target=mail.serve_forever)
        thread.start()
        try:
            window.driver.get(f"http://localhost:{mail.server_port}/")  # another site than 127.0.0.1
            window.find("a").click()
            window.until(lambda: window.driver.current_url == f"{page.address}/guidelines")
            assert "You judge as ann" in window.find("header").text
        finally:
            mail.shutdown()
            thread.join()


def test_it_fits_a_desk_and_a_phone(window, db_file):
    code = "```\n" + "a_long_line_of_code = 1  # " + "x" * 200 + "\n" + "line\n" * 100 + "```"
    with database.writing(db_file) as db:
        study = Study(db)
        instruction = study.instruction("Long. " * 500)
        select(db, [(study.response(instruction, "zeta-1", code), study.response(instruction, "alpha-2", "Short."))])
    boxes = "return [...document.querySelectorAll('.answers .scroll')].map(e => e.getBoundingClientRect().toJSON())"
    with serving(db_file) as page:
        window.open(page.links["ann"])
        window.begin()
        for width, height in ((1280, 800), (390, 844), (320, 568), (844, 390)):
            window.size(width, height)
            first, second = window.script(boxes)
            assert window.script("return document.documentElement.scrollWidth") <= width
            if width > 720 and height > 480:
                assert first["right"] < second["left"]
                assert first["top"] == second["top"]
                assert window.script("return document.documentElement.scrollHeight") <= height
            else:
                assert first["bottom"] < second["top"]
            for button in window.all(".choices button"):
                box = button.rect
                assert box["height"] >= 40
                assert 0 <= box["x"] <= width - box["width"]
            footer = window.script("return document.querySelector('footer').getBoundingClientRect().bottom")
            assert footer <= height + 1  # always in reach
            [long] = window.script(
                "return [...document.querySelectorAll('.answers .scroll')].filter(e => e.scrollHeight > e.clientHeight)"
            )
            window.script("arguments[0].scrollTop = 1e6", long)
            assert window.script("return arguments[0].scrollTop", long) > 500
            window.script("arguments[0].scrollTop = 0", long)


def test_texts_go_in_their_own_direction(window, db_file):
    with database.writing(db_file) as db:
        study = Study(db)
        instruction = study.instruction("اكتب فقرة عن القهوة.")
        arabic = "القهوة مشروب.\n\n- أولًا\n\n| أ |\n|---|\n| ب |\n\n`code`\n\n```\nx = 1\n```"
        select(db, [(study.response(instruction, "zeta-1", arabic), study.response(instruction, "alpha-2", "Coffee."))])
    direction = "return [...document.querySelectorAll(arguments[0])].map(e => getComputedStyle(e).direction)"
    with serving(db_file) as page:
        window.open(page.links["ann"])
        window.begin()
        assert window.script(direction, ".plain") == ["rtl"]
        assert set(window.script(direction, ".answers ul, .answers li, .answers table, .answers td")) == {"rtl"}
        assert window.script(direction, ".answers pre") == ["ltr"]
        assert sorted(window.script(direction, ".answers .scroll > p:first-child")) == ["ltr", "rtl"]
        assert set(window.script(direction, "footer button, header p")) == {"ltr"}


def test_the_keyboard_alone_reaches_everything_and_everything_has_a_name(window, file):
    with database.writing(file) as db:
        db.execute("UPDATE instructions SET reference_answer = 'Yes.'")
    with serving(file, "--both-bad") as page:
        window.open(page.links["ann"])
        window.begin()
        window.press(Keys.ARROW_LEFT)
        reached = []
        for _ in range(20):
            window.type(Keys.TAB)
            active = window.driver.switch_to.active_element
            if active.tag_name == "body":
                break
            reached.append((active.aria_role, active.accessible_name.strip()))
            assert window.script("return getComputedStyle(arguments[0]).outlineStyle", active) != "none"
        assert [name for _, name in reached] == [
            "Guidelines and keys", "Instruction", "Reference answer", "Answer 1", "Answer 2",
            "Answer 1 is better", "Tie", "Both are bad", "Answer 2 is better",
            "Comment", "Skip", "Undo: answer 1 is better",
        ]  # fmt: skip
        assert {role for role, name in reached if name in {"Instruction", "Answer 1", "Answer 2"}} == {"region"}
        assert [one.text for one in window.all("h1")] == ["Which answer is better?"]
        assert window.find("progress").accessible_name == "Your verdicts"
        assert window.find("html").get_attribute("lang") == "en"
        assert window.driver.title == "1 of 6 judged"
        window.script("document.querySelector('[value=both_bad]').focus()")
        window.press(Keys.SPACE)
        # A pane that has the focus scrolls with its own keys, and the verdict keys still work.
        window.script("document.querySelector('.answers .scroll').focus()")
        window.press(Keys.ARROW_DOWN)
    assert choices(file) == ["first", "both_bad", "tie"]
