"""What the tests of the page share: the page as a real process, and a browser without scripts that speaks real HTTP."""

from __future__ import annotations

import html
import http.client
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from madetl.store import database
from tests.support import children
from tests.support.children import Child

SECONDS = 300.0  # the longest that a test keeps the page open


@dataclass
class Page:
    """The running page: links by annotator; `output` and `errors` are complete once it has ended."""

    process: Child
    links: dict[str, str] = field(default_factory=dict)
    output: str = ""
    errors: str = ""

    @property
    def address(self) -> str:
        return re.match(r"http://[^/]+", next(iter(self.links.values())))[0]

    def wait_until_it_answers(self) -> None:
        """By then all that it says at its start is printed, and Ctrl-C is what ends it as it should."""
        port = self.address.rpartition(":")[2]
        Plain(f"http://127.0.0.1:{port}/", enter=False).request("GET", "/static/page.css")

    def stop(self, by: int = signal.SIGINT) -> int:
        """Ends it as Ctrl-C does; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(by)
        output, self.errors = self.process.communicate()
        self.output += output
        return self.process.returncode


@contextmanager
def serving(db_file: Path, *options: object, annotators: tuple[str, ...] = ("ann",)) -> Iterator[Page]:
    """`madetl annotate` on a free port, until the block ends."""
    named = [word for name in annotators for word in ("--annotator", name)]
    words = ["--db", db_file, "annotate", "--port", "0", *named, *options]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with children.python("-m", "madetl", *words, env=environment, seconds=SECONDS) as child:
        page = Page(child)
        for line in child.stdout:
            page.output += line
            if found := re.match(r"  (.+?) +(http://\S+)", line):
                page.links[found[1]] = found[2]
            if len(page.links) == len(annotators):
                break
        if len(page.links) == len(annotators):
            page.wait_until_it_answers()
        try:
            yield page
        finally:
            if child.returncode is None:
                page.stop()


def rows(file: Path, sql: str, *values: object) -> list[tuple]:
    with database.reading(file) as db:
        return [tuple(row) for row in db.execute(sql, values)]


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    text: str
    path: str

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class Plain:
    """A browser without scripts: follows redirects, keeps the cookie, fills in forms."""

    def __init__(self, link: str, enter: bool = True) -> None:
        parts = urlsplit(link)
        self.host, self.link = parts.netloc, parts.path
        self.cookie: str | None = None
        self.seen: list[Answer] = []
        if enter:
            self.at = self.get(self.link)

    def request(self, method: str, path: str, form: dict[str, object] | None = None, **headers: str) -> Answer:
        """One request, nothing followed."""
        connection = http.client.HTTPConnection(self.host, timeout=60)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            sent["Cookie"] = self.cookie
        body = None
        if form is not None:
            body = urlencode(form)
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            answer = Answer(response.status, response.getheaders(), response.read().decode(), path)
        finally:
            connection.close()
        if cookie := answer.header("Set-Cookie"):
            self.cookie = cookie.split(";")[0]
        self.seen.append(answer)
        return answer

    def get(self, path: str) -> Answer:
        return self._follow(self.request("GET", path))

    def fields(self) -> dict[str, str]:
        """The hidden fields of the page that it is at; of the last form that has each."""
        found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', self.at.text)
        return {name: html.unescape(value) for name, value in found}

    def post(self, path: str, **values: object) -> Answer:
        """Sends the page's form with these values, and goes where it leads."""
        self.at = self._follow(self.request("POST", path, self.fields() | values))
        return self.at

    def begin(self) -> Answer:
        return self.post("/next")

    def judge(self, choice: str, **values: object) -> Answer:
        return self.post("/verdict", choice=choice, **values)

    def _follow(self, answer: Answer) -> Answer:
        while answer.status in {302, 303}:
            answer = self.request("GET", answer.header("Location"))
        return answer
