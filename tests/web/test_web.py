"""The page over real HTTP: who gets in, what they see, what is stored, and what strangers get."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import sqlite3
import stat
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madetl.rendering.markdown import LONGEST, render
from madetl.store import database
from madetl.web.access import PageAccess, read_key
from madetl.web.app import POLICY
from tests.conftest import Study
from tests.support import children
from tests.support.evil_texts import EVIL
from tests.support.page_study import Plain, rows, serving
from tests.support.sheet_study import MODELS, select, small_study
from tests.support.soak import several


@pytest.fixture
def file(db_file: Path) -> Path:
    """A file with the small study: two instructions, three models, six pairs of answers."""
    with database.writing(db_file) as db:
        small_study(db, 2)
    return db_file


def count(file: Path, table: str) -> int:
    return rows(file, f"SELECT count(*) FROM {table}")[0][0]


@pytest.mark.slow
class TestTheLink:
    def test_it_becomes_a_cookie_and_an_address_without_it(self, file):
        with serving(file) as page:
            ann = Plain(page.links["ann"], enter=False)
            entered = ann.request("GET", ann.link)
            assert (entered.status, entered.header("Location")) == (303, "/")
            name, _, rest = entered.header("Set-Cookie").partition("=")
            assert name.startswith("madetl_")
            assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(rest.split("; "))
            assert ann.link.removeprefix("/l/") not in rest
            assert "Before you judge" in ann.get("/").text

    def test_a_bad_one_gets_nothing(self, file):
        with serving(file) as page:
            ann = Plain(page.links["ann"], enter=False)
            for path in ("/l/x", ann.link[:-1], ann.link + "x", "/l/%FF", "/l/%C3%A4%C3%A4", "/l/%00", f"{ann.link}/x"):
                answer = ann.request("GET", path)
                assert (answer.status, answer.text) in {(404, ""), (403, "Please open the link that you were given.\n")}
                assert answer.header("Set-Cookie") is None

    def test_without_a_cookie_there_is_nothing_to_see_and_to_do(self, file):
        with serving(file) as page:
            stranger = Plain(page.links["ann"], enter=False)
            for cookie in (None, "madetl_=x", "madetl_x=y", "ä=ö".encode().decode("latin-1")):
                stranger.cookie = cookie
                for path in ("/item", "/done", "/guidelines", "/go", "/nowhere"):
                    answer = stranger.request("GET", path)
                    assert (answer.status, answer.text) == (403, "Please open the link that you were given.\n")
                for path in ("/next", "/verdict", "/undo", "/skipped"):
                    assert stranger.request("POST", path, {"item": 1, "choice": "tie"}).status == 403
            stranger.cookie = None
            start = stranger.request("GET", "/")
            assert "<body></body>" in start.text
            assert "ann" not in start.text
        assert count(file, "assignments") == 0

    def test_one_cookie_is_one_person(self, file):
        with serving(file, annotators=("ann", "bob")) as page:
            ann, bob = (Plain(page.links[name]) for name in ("ann", "bob"))
            assert ">ann<" in ann.at.text
            assert ">bob<" in bob.at.text
            ann.begin()
            item = ann.fields()["item"]
            bob.begin()
            assert bob.fields()["item"] != item
            bob.judge("first", item=item)
            assert count(file, "judgments") == 0

    def test_it_survives_a_restart_and_leads_to_where_one_stopped(self, file):
        with serving(file) as page:
            ann = Plain(page.links["ann"])
            ann.begin()
            ann.judge("tie")
            item = ann.fields()["item"]
            token = page.links["ann"].rpartition("/")[2]
        with serving(file) as page:
            assert page.links["ann"].endswith(token)
            elsewhere = Plain(page.links["ann"])
            assert elsewhere.fields()["item"] == item
            assert "1 of 6" in elsewhere.at.text

    def test_the_key_lies_beside_the_database_and_no_token_in_it(self, file):
        with serving(file) as page:
            ann = Plain(page.links["ann"])
            ann.begin()
            ann.judge("first")
        key = file.with_name("mad.db.links")
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        secrets = [page.links["ann"].rpartition("/")[2], ann.cookie.partition("=")[2], key.read_text().strip()]
        stored = file.read_bytes()
        assert not any(secret.encode() in stored for secret in secrets)

    def test_tokens_differ_between_people_purposes_and_keys(self):
        one, other = (PageAccess(bytes([n]) * 32, {1: "ann", 2: "bob"}) for n in (1, 2))
        tokens = [
            token
            for access in (one, other)
            for who in (1, 2)
            for token in (access.link_token(who), access.session_token(who), access.form_token(who))
        ]
        assert len(set(tokens)) == 12
        assert all(len(token) == 32 for token in tokens)
        assert one.of_link(one.link_token(2)) == 2
        assert one.of_link(one.session_token(2)) is None
        assert one.of_session(other.session_token(1)) is None
        assert one.of_session("\ud800ä") is None

    def test_a_key_is_made_once(self, tmp_path):
        assert read_key(tmp_path / "a") == read_key(tmp_path / "a") != read_key(tmp_path / "b")


@pytest.mark.slow
class TestSafety:
    def test_every_answer_has_the_headers(self, file):
        with serving(file) as page:
            ann = Plain(page.links["ann"])
            ann.begin()
            for path in ("/static/page.css", "/static/page.js", "/static/nothing", "/nowhere", "/l/x"):
                ann.get(path)
            for answer in ann.seen:
                assert answer.header("Content-Security-Policy") == POLICY
                assert answer.header("Referrer-Policy") == "no-referrer"
                assert answer.header("X-Content-Type-Options") == "nosniff"
                assert answer.header("Server") is None
                stored = "no-cache" if answer.path.startswith("/static") else "no-store"
                assert answer.header("Cache-Control") == stored
        assert "default-src 'none'" in POLICY
        assert "unsafe" not in POLICY

    def test_nothing_is_loaded_from_elsewhere(self, file):
        with serving(file) as page:
            ann = Plain(page.links["ann"])
            ann.begin()
            text = "".join(answer.text for answer in ann.seen)
            text += ann.get("/static/page.css").text + ann.get("/static/page.js").text
        assert not re.search(r"(?:https?:)?//[a-z]", text.replace("// ", ""))
        assert "<script>" not in text
        assert not re.search(r"\son\w+=|\sstyle=", text)

    @pytest.mark.parametrize(
        "headers",
        [
            {"Sec_Fetch_Site": "cross-site"},
            {"Sec_Fetch_Site": "same-site"},
            {"Sec_Fetch_Site": "none"},
            {"Origin": "http://evil.example"},
            {"Origin": "http://127.0.0.1:1"},
        ],
    )
    def test_posts_from_elsewhere_change_nothing(self, file, headers):
        with serving(file) as page:
            ann = Plain(page.links["ann"])
            assert ann.request("POST", "/next", ann.fields(), **headers).status == 403
        assert count(file, "assignments") == 0

    def test_posts_from_the_page_are_taken(self, file):
        with serving(file) as page:
            ann = Plain(page.links["ann"])
            for headers in ({"Origin": "null"}, {"Origin": page.address, "Sec_Fetch_Site": "same-origin"}):
                assert ann.request("POST", "/next", ann.fields(), **headers).status == 303

    def test_a_form_needs_its_owners_token(self, file):
        with serving(file, annotators=("ann", "bob")) as page:
            ann, bob = (Plain(page.links[name]) for name in ("ann", "bob"))
            for token in ("", "x", "ä", bob.fields()["token"]):
                assert ann.request("POST", "/next", {"token": token}).status == 403
            assert ann.request("POST", "/next").status == 403
        assert count(file, "assignments") == 0

    def test_looking_changes_nothing(self, file):
        with serving(file) as page:
            ann = Plain(page.links["ann"])
            ann.begin()
            ann.judge("first")
            before = rows(file, "SELECT * FROM assignments"), rows(file, "SELECT * FROM judgments")
            for path in ("/", "/go", "/item", "/done", "/guidelines"):
                ann.get(path)
            for path in ("/next", "/verdict", "/undo", "/skipped"):
                assert ann.get(path).status == 405
            assert before == (rows(file, "SELECT * FROM assignments"), rows(file, "SELECT * FROM judgments"))

    @pytest.mark.parametrize(
        ("form", "status"),
        [
            ({"choice": "best"}, 400),
            ({"choice": "both_bad"}, 400),
            ({"choice": "model_a"}, 400),
            ({"choice": "tie", "item": "x"}, 400),
            ({"choice": "tie", "item": str(2**70)}, 400),
            ({"choice": "tie", "item": "-1"}, 400),
            ({"choice": "tie", "comment": "x" * 300_000}, 413),
        ],
    )
    def test_nonsense_is_refused(self, file, form, status):
        with serving(file) as page:
            ann = Plain(page.links["ann"])
            ann.begin()
            assert ann.request("POST", "/verdict", ann.fields() | form).status == status
            assert page.stop() == 0
            assert page.errors.count("\n") <= 1  # the note about the links
        assert count(file, "judgments") == 0

    def test_no_token_is_ever_printed_but_in_its_link(self, file):
        with serving(file) as page:
            ann = Plain(page.links["ann"])
            ann.begin()
            with database.writing(file) as db:
                db.execute("DROP VIEW taken_slots")
            failed = ann.get("/item")
            assert failed.status == 500
            assert "Tell whoever gave you the link" in failed.text
            ann.get(ann.link)
            page.stop()
            secrets = [ann.link.rpartition("/")[2], ann.cookie.partition("=")[2], ann.fields()["token"]]
            assert "The page item failed: DatabaseError" in page.errors
            assert not any(secret in page.errors for secret in secrets)
            assert page.output.count(secrets[0]) == 1
            assert not any(secret in page.output for secret in secrets[1:])


@pytest.mark.slow
class TestBlind:
    def test_no_page_and_no_header_names_a_model(self, file):
        with serving(file, "--both-bad") as page:
            ann = Plain(page.links["ann"])
            ann.begin()
            for choice in ("first", "skip", "both_bad", "tie"):
                ann.judge(choice)
            ann.post("/undo")
            for path in ("/guidelines", "/done", "/static/page.js"):
                ann.get(path)
        everything = "".join(f"{answer.path}{answer.headers}{answer.text}" for answer in ann.seen)
        assert "Answer Z about place" in everything  # the answers are there
        assert not any(model in everything for model in MODELS)
        assert not re.search(r"model_[ab]|response_|selection", everything)

    def test_the_answers_stand_in_the_order_that_was_drawn(self, file):
        with serving(file) as page:
            ann = Plain(page.links["ann"])
            ann.begin()
            while ann.at.path == "/item":
                item = ann.fields()["item"]
                letters = re.findall(r"Answer ([ZAM]) about", ann.at.text)
                [(a, b, first)] = rows(
                    file,
                    "SELECT ra.response, rb.response, a.shown_first FROM assignments AS a"
                    " JOIN selections AS s ON s.id = a.selection_id JOIN responses AS ra ON ra.id = s.response_a_id"
                    " JOIN responses AS rb ON rb.id = s.response_b_id WHERE a.id = ?",
                    item,
                )
                stored = [a.split()[1], b.split()[1]]
                assert letters == (stored if first == "model_a" else stored[::-1])
                ann.judge("first")
            assert rows(file, "SELECT count(*) FROM judgments WHERE winner = shown_first") == [(6,)]


@pytest.mark.slow
class TestWithoutScripts:
    def test_a_whole_selection_by_plain_forms(self, file):
        with serving(file) as page:
            ann = Plain(page.links["ann"])
            assert "Before you judge" in ann.at.text
            ann.begin()
            for done, choice in enumerate(["first", "tie", "second"] * 2):
                assert f"<span>{done} of 6</span>" in ann.at.text
                ann.judge(choice, comment=f"because {done}" if done else "")
            assert ann.at.path == "/done"
            assert "You have given 6 verdicts." in ann.at.text
            assert "madetl rank" in ann.at.text
            assert page.stop() == 0
        stored = rows(file, "SELECT winner, shown_first, seconds, comment, source FROM judgments ORDER BY id")
        words = [w if w == "tie" else "first" if w == first else "second" for w, first, *_ in stored]
        assert words == ["first", "tie", "second"] * 2
        assert [comment for *_, comment, _ in stored] == [None, *(f"because {n}" for n in range(1, 6))]
        assert {(seconds, source) for *_, seconds, _, source in stored} == {(None, "page")}

    def test_seconds_are_stored_where_they_can_be_true(self, file):
        with serving(file) as page:
            ann = Plain(page.links["ann"])
            ann.begin()
            for seconds in ("0.5", "1e9", "nan", "-1", "soon", "inf"):
                ann.judge("tie", seconds=seconds)
        assert rows(file, "SELECT seconds FROM judgments ORDER BY id") == [(0.5,), *[(None,)] * 5]

    def test_the_fourth_verdict_is_offered_where_it_is_asked_for(self, file):
        for options, offered in ((("--both-bad",), True), ((), False)):
            with serving(file, *options) as page:
                ann = Plain(page.links["ann"])
                assert ("Both are bad" in ann.get("/guidelines").text) == offered
                ann.at = ann.get("/guidelines")
                assert ('value="both_bad"' in ann.begin().text) == offered

    def test_undo_and_skip(self, file):
        with serving(file) as page:
            ann = Plain(page.links["ann"])
            ann.begin()
            text = ann.at.text
            assert " disabled>" in text
            ann.judge("second")
            assert "Undo: answer 2 is better" in ann.at.text
            ann.post("/undo")
            answers = re.findall(r"Answer [ZAM] about place \d", text)
            assert re.findall(r"Answer [ZAM] about place \d", ann.at.text) == answers
            ann.post("/undo")
            assert "There is nothing to undo." in ann.at.text
            ann.judge("skip")
            for _ in range(5):
                ann.judge("tie")
            assert "You skipped 1 pair of answers" in ann.at.text
            ann.post("/skipped")
            assert re.findall(r"Answer [ZAM] about place \d", ann.at.text) == answers
            ann.judge("first")
            assert "Nothing is left for you to do." in ann.at.text
        states = Counter(state for (state,) in rows(file, "SELECT state FROM assignments"))
        assert states == {"judged": 6, "skipped": 1, "undone": 1}
        assert count(file, "judgments") == 6

    def test_a_form_sent_twice_counts_once(self, file):
        with serving(file) as page:
            ann = Plain(page.links["ann"])
            ann.begin()
            fields = ann.fields()
            ann.judge("first")
            again = ann.post("/verdict", choice="second", **fields)
            assert "judged already" in again.text
        assert count(file, "judgments") == 1

    def test_several_people_see_how_far_all_are(self, file):
        with serving(file, annotators=("ann", "bob")) as page:
            ann, bob = (Plain(page.links[name]) for name in ("ann", "bob"))
            for one in (ann, bob):
                one.begin()
                one.judge("first")
            assert "2 of 6 together, 1 by you" in bob.at.text
            while ann.at.path == "/item":
                ann.judge("tie")
            assert "Somebody else may be looking" in ann.at.text
            bob.judge("tie")
            assert bob.at.path == "/done"
            ann.post("/next")
            assert "Nothing is left for you to do." in ann.at.text
        assert count(file, "judgments") == 6

    def test_a_reference_answer_and_an_input_are_shown(self, file):
        with database.writing(file) as db:
            db.execute("UPDATE instructions SET reference_answer = 'The **right** one', input = 'in <b>short</b>'")
        with serving(file) as page:
            ann = Plain(page.links["ann"])
            ann.begin()
            assert "<summary>Reference answer</summary>" in ann.at.text
            assert "The <strong>right</strong> one" in ann.at.text
            assert "in &lt;b&gt;short&lt;/b&gt;" in ann.at.text

    def test_a_study_has_its_own_guidelines(self, file, tmp_path):
        (tmp_path / "rules.md").write_text("# Mind the *gap*\n\n<script>alert(1)</script>", encoding="utf-8")
        with serving(file, "--guidelines", tmp_path / "rules.md") as page:
            ann = Plain(page.links["ann"])
            assert '<h3 dir="auto">Mind the <em>gap</em></h3>' in ann.at.text
            assert "<script>" not in ann.at.text


@pytest.mark.slow
@pytest.mark.soak
class TestManyAtOnce:
    PEOPLE = several(50, 300)
    ITEMS = 3 * several(10, 60)

    def test_many_people_lose_nothing(self, db_file):
        with database.writing(db_file) as db:
            small_study(db, self.ITEMS // 3)
        names = tuple(f"person {n}" for n in range(self.PEOPLE))
        with serving(db_file, "--overlap", 10, "--repeat", 0, annotators=names) as page:
            with ThreadPoolExecutor(self.PEOPLE) as pool:
                given = list(pool.map(_judge_until_done, page.links.values()))
            assert page.stop() == 0
        verdicts = 10 * self.ITEMS
        assert sum(given) == verdicts
        assert count(db_file, "judgments") == verdicts
        assert set(rows(db_file, "SELECT count(*), count(DISTINCT annotator_id) FROM judgments"
                                 " GROUP BY response_a_id, response_b_id")) == {(10, 10)}  # fmt: skip
        assert rows(db_file, "SELECT state, count(*) FROM assignments GROUP BY state") == [("judged", verdicts)]
        asked = sum(number > 0 for number in given)  # who comes last may find nothing left to judge
        assert asked > self.PEOPLE / 2
        summary = f"{verdicts:,} verdicts given by {asked} annotators"
        assert rows(db_file, "SELECT summary FROM runs") == [(summary,)]


def _judge_until_done(link: str) -> int:
    browser = Plain(link)
    browser.begin()
    given = 0
    while browser.at.path == "/item":
        browser.judge("first", seconds="0.1")
        given += 1
    return given


@pytest.mark.slow
class TestTheCommand:
    @pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
    def test_it_ends_cleanly_and_leaves_one_file(self, file, by):
        with serving(file) as page:
            ann = Plain(page.links["ann"])
            ann.begin()
            ann.judge("tie")
            assert page.stop(by) == 0
        assert page.output.endswith("1 verdict given by 1 annotator. Next: madetl rank\n")
        assert sorted(path.name for path in file.parent.iterdir()) == ["mad.db", "mad.db.links"]
        assert rows(file, "SELECT command, outcome, summary, seed FROM runs") == [
            ("annotate", "ok", "1 verdict given by 1 annotator", 42)
        ]
        [(parameters,)] = rows(file, "SELECT parameters FROM runs")
        assert '"selection": "pilot"' in parameters
        assert page.links["ann"].rpartition("/")[2] not in parameters

    def test_killed_it_has_lost_nothing(self, file):
        with serving(file) as page:
            ann = Plain(page.links["ann"])
            ann.begin()
            ann.judge("tie")
            page.stop(signal.SIGKILL)
        assert count(file, "judgments") == 1
        with serving(file) as page:
            assert "1 of 6" in Plain(page.links["ann"]).at.text

    def test_it_listens_to_this_machine_alone_unless_told_otherwise(self, file):
        with serving(file) as page:
            page.stop()
        assert page.address.startswith("http://127.0.0.1:")
        assert "Warning" not in page.errors
        with serving(file, "--host", "0.0.0.0") as page:
            port = page.address.rpartition(":")[2]
            assert Plain(f"http://127.0.0.1:{port}{page.links['ann'].partition(port)[2]}").at.status == 200
            page.stop()
        assert "not encrypted" in page.errors
        assert f"http://{socket.gethostname()}:" in page.links["ann"]

    def test_it_says_where_nothing_is_left(self, file):
        with serving(file) as page:
            _judge_until_done(page.links["ann"])
        with serving(file) as page:
            assert "Nothing is left" in Plain(page.links["ann"]).get("/done").text
            page.stop()
        assert "6 of 6 verdicts given" in page.output
        assert "(nothing is left to judge)" in page.output
        assert "A larger --overlap asks for more." in page.errors
        assert page.output.endswith("No verdict was given. Next: madetl rank\n")

    def test_without_a_name_it_is_for_whoever_started_it(self, file):
        code = "from madetl.cli import cli; cli()"
        environment = {"LOGNAME": "eva", "PYTHONUNBUFFERED": "1"}
        with children.python("-c", code, "--db", file, "annotate", "--port", 0, env=environment) as child:
            assert any(re.match(r"  eva +http", line) for line in child.stdout)
            child.send_signal(signal.SIGINT)
            child.wait()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--selection", "nope"], "No selection is called 'nope'. This database has: pilot"),
            (["--annotator", " "], "An annotator's name is empty"),
            (["--annotator", "gpt-4"], "gpt-4 is a judge model"),
            (["--guidelines", "nowhere.md"], "nowhere.md: the guidelines cannot be read (No such file"),
            (["--guidelines", "."], "the guidelines cannot be read (Is a directory)"),
            (["--host", "no-such-host.invalid"], "no-such-host.invalid, port 0 cannot be used"),
            (["--host", "192.0.2.1"], "192.0.2.1, port 0 cannot be used (Cannot assign requested address)"),
        ],
    )
    def test_what_cannot_be_done_is_one_line(self, file, madetl, options, message):
        with database.writing(file) as db:
            Study(db).annotator("gpt-4", "model")
        done = madetl("annotate", "--port", 0, *options, status=1)
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
        assert count(file, "assignments") == 0

    def test_a_port_in_use_is_said(self, file, madetl):
        with serving(file) as page:
            port = page.address.rpartition(":")[2]
            assert "(Address already in use)" in madetl("annotate", "--port", port, status=1).stderr

    def test_a_spoilt_key_is_said(self, file, madetl):
        file.with_name("mad.db.links").write_text("not hexadecimal")
        assert "Delete it: new links are made then." in madetl("annotate", "--port", 0, status=1).stderr

    def test_a_missing_database_is_not_made(self, db_file, madetl):
        assert "there is no such database" in madetl("annotate", status=1).stderr
        assert list(db_file.parent.iterdir()) == []

    def test_without_the_extra_the_command_for_it_is_named(self, file):
        code = "import sys; sys.modules['waitress'] = None; from madetl.cli import cli; cli()"
        with children.python("-c", code, "--db", file, "annotate") as child:
            _, errors = child.communicate()
        assert child.returncode == 1
        assert errors == "Error: The annotation page needs the extra web: pip install 'madetl[web]'\n"

    def test_a_locked_database_is_said_on_the_page(self, file):
        with serving(file) as page:
            ann = Plain(page.links["ann"])
            ann.begin()
            other = sqlite3.connect(file, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            start = time.monotonic()
            answer = ann.request("POST", "/verdict", ann.fields() | {"choice": "tie"})
            assert time.monotonic() - start > 5  # it waits first
            other.rollback()
            other.close()
            assert answer.status == 503
            assert "not saved" in answer.text
            assert ann.request("POST", "/verdict", ann.fields() | {"choice": "tie"}).status == 303
        assert count(file, "judgments") == 1

    def test_a_hanging_client_stops_nobody(self, file):
        with serving(file) as page:
            host, port = page.address.removeprefix("http://").split(":")
            hanging = [socket.create_connection((host, int(port))) for _ in range(20)]
            for one in hanging:
                one.sendall(b"POST /verdict HTTP/1.1\r\nContent-Length: 1000\r\n\r\n")
            assert Plain(page.links["ann"]).at.status == 200
            for one in hanging:
                one.close()

    def test_head_requests_work(self, file):
        with serving(file) as page:
            connection = http.client.HTTPConnection(page.address.removeprefix("http://"))
            connection.request("HEAD", "/l/x")
            assert connection.getresponse().status == 404
            connection.close()


class Tags(HTMLParser):
    """The tags and attributes of a text, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


ALLOWED = {
    "a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "img", "li", "ol", "p", "pre", "s",
    "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip


def assert_harmless(text: str) -> None:
    for tag, attributes in Tags(text).found:
        assert tag in ALLOWED
        assert set(attributes) <= {"href", "title", "rel", "target", "src", "alt", "class", "dir", "start"}
        assert re.match(r"(?i)https?:|mailto:|$|[^:]*$", attributes.get("href") or "")
        assert re.match("data:image/", attributes.get("src") or "data:image/")
        assert attributes.get("class") in {None, "left", "center", "right", "picture"}


class TestMarkdown:
    @pytest.mark.parametrize("text", EVIL)
    def test_nothing_that_runs_or_loads_comes_through(self, text):
        assert_harmless(render(text))

    @given(
        st.lists(st.sampled_from([*EVIL, "<", ">", '"', "'", "](", "![", "`", "\n", "|", "&", "javascript:", "a b"]))
    )
    def test_nor_in_any_mixture(self, parts):
        assert_harmless(render("".join(parts)))

    @given(st.text(max_size=60))
    def test_any_text_can_be_rendered(self, text):
        assert_harmless(render(text))

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("one\ntwo", '<p dir="auto">one<br>\ntwo</p>\n'),
            ("# Title", '<h3 dir="auto">Title</h3>\n'),
            ("###### Small", '<h6 dir="auto">Small</h6>\n'),
            ("1. a\n2. b", '<ol dir="auto">\n<li>a</li>\n<li>b</li>\n</ol>\n'),
            ("~~no~~ `<b>`", '<p dir="auto"><s>no</s> <code>&lt;b&gt;</code></p>\n'),
            ("```py\nx < 1\n```", '<pre dir="ltr"><code>x &lt; 1\n</code></pre>\n'),
            ("a <b>bold</b> tag", '<p dir="auto">a &lt;b&gt;bold&lt;/b&gt; tag</p>\n'),
            ("one<br>two<br/>three", '<p dir="auto">one<br>\ntwo<br>\nthree</p>\n'),
            ("`<br>`", '<p dir="auto"><code>&lt;br&gt;</code></p>\n'),
            ("![a plot](https://x.example/p.png)",
             '<p dir="auto"><span class="picture">[picture: a plot, https://x.example/p.png]</span></p>\n'),
            ("![dot](data:image/png;base64,AAAA)",
             '<p dir="auto"><img src="data:image/png;base64,AAAA" alt="dot"></p>\n'),
            ("", ""),
        ],
    )  # fmt: skip
    def test_what_people_write_can_be_read(self, text, expected):
        assert render(text) == expected

    def test_lists_begin_where_they_begin(self):
        assert Tags(render("3. a")).found[0] == ("ol", {"dir": "auto", "start": "3"})

    def test_tables_are_aligned_without_styles(self):
        assert '<td class="right">1</td>' in render("| a |\n|--:|\n| 1 |")

    def test_links_open_elsewhere_and_tell_nothing(self):
        [(_, _), (tag, link)] = Tags(render("[x](https://x.example)")).found
        assert tag == "a"
        assert link == {"href": "https://x.example", "target": "_blank", "rel": "noopener noreferrer nofollow"}

    def test_a_very_long_text_is_shown_as_it_is(self):
        text = "<i>*long*" * LONGEST
        assert render(text).startswith('<pre dir="auto">&lt;i&gt;*long*&lt;i&gt;')

    def test_guidelines_may_be_wrapped(self):
        assert render("one\ntwo", breaks=False) == '<p dir="auto">one\ntwo</p>\n'


class TestColours:
    """Contrast of at least 4.5 : 1 (WCAG 2, success criterion 1.4.3), in the light and in the dark."""

    PAIRS = (("text", "ground"), ("text", "paper"), ("quiet", "ground"), ("quiet", "paper"), ("accent", "ground"),
             ("accent", "paper"), ("accent-text", "accent"), ("text", "code"), ("text", "note"))  # fmt: skip

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize(("front", "back"), PAIRS)
    def test_text_can_be_read(self, scheme, front, back):
        css = (Path(database.__file__).parents[1] / "web/static/page.css").read_text()
        blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
        colours = dict(re.findall(r"--([\w-]+): (#\w{6});", blocks[scheme == "dark"]))
        light, dark = sorted((luminance(colours[front]), luminance(colours[back])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def luminance(colour: str) -> float:
    """Relative luminance of a colour #rrggbb, as WCAG 2 defines it."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.slow
def test_two_different_answers_to_one_model_pair_are_two_assignments(db_file):
    with database.writing(db_file) as db:
        study = Study(db)
        one, two = study.instruction("One"), study.instruction("Two")
        picks = [tuple(study.response(i, m, f"{m[0]} {i}") for m in MODELS[:2]) for i in (one, two)]
        select(db, picks)
    with serving(db_file) as page:
        assert _judge_until_done(page.links["ann"]) == 2
