"""The pages: they show by GET, change by POST from the annotator's own page, and answer nothing to strangers.

Each request opens the database for itself. The names of models are not known here: the queries of `sql/judgment` that
the page uses do not return them.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from flask import Flask, Response, abort, g, redirect, render_template, request, url_for
from markupsafe import Markup
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from madetl.errors import DatabaseBusyError
from madetl.judgment import annotate, assign
from madetl.judgment.assign import PageStudy
from madetl.rendering.markdown import render
from madetl.store import database
from madetl.web.access import PageAccess

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_COOKIE_DAYS = 90
_BUSY_SECONDS = 10.0  # how long a page waits for other writers
_LARGEST_FORM = 256 * 1024  # bytes
_NOT_YOURS = "Please open the link that you were given."
_NOTES = {
    "again": "That pair of answers was judged already, perhaps in another window. This one is next.",
    "nothing": "There is nothing to undo.",
}
_WORDS = {"first": "answer 1 is better", "second": "answer 2 is better", "tie": "tie", "both_bad": "both are bad",
          "skip": "skipped"}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """What the pages need to know: the file, the study, its people (names by id), and the guidelines they read.

    `shared`: people divide the selected pairs among them, so that nobody knows how many they will get.
    """

    database: Path
    study: PageStudy
    annotators: Mapping[int, str]
    access: PageAccess
    guidelines: Markup
    both_bad: bool
    shared: bool


def create_app(setting: Setting) -> Flask:
    """The application of one study."""
    app = Flask(__name__)
    app.config.update(MAX_CONTENT_LENGTH=_LARGEST_FORM, MAX_FORM_MEMORY_SIZE=_LARGEST_FORM)
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    pages = _Pages(setting)
    app.add_url_rule("/", "start", pages.start)
    app.add_url_rule("/go", "go", pages.go)
    app.add_url_rule("/l/<token>", "link", pages.link)
    app.add_url_rule("/guidelines", "guidelines", pages.guidelines)
    app.add_url_rule("/item", "item", pages.item)
    app.add_url_rule("/done", "done", pages.done)
    for name in ("next", "verdict", "undo", "skipped"):
        view: Callable[[], BaseResponse] = getattr(pages, f"post_{name}")
        app.add_url_rule(f"/{name}", f"post_{name}", view, methods=["POST"])
    app.before_request(pages.admit)
    app.after_request(_with_headers)
    app.register_error_handler(Exception, _failed)
    return app


class _Pages:
    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._study, self._access = setting.study, setting.access

    # --- who is asking

    def admit(self) -> Response | None:
        """Refuses strangers all but the link, the style sheet and the script. None: the request goes on."""
        g.annotator = self._access.of_session(request.cookies.get(self._access.cookie, ""))
        if request.endpoint in {"link", "start", "static"}:
            return None
        if g.annotator is None:
            return _plain(_NOT_YOURS, 403)
        if request.method == "POST" and not self._is_from_the_page():
            return _plain("This was not sent from your own page. Reload it and try again.", 403)
        return None

    def _is_from_the_page(self) -> bool:
        """Whether the form's token fits and the browser, if it says where a request comes from, names this page."""
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin", "null")
        if site not in {None, "same-origin"}:
            return False
        # The policy no-referrer makes browsers send the origin null with forms.
        if origin != "null" and urlsplit(origin).netloc != request.host:
            return False
        return self._access.is_form(g.annotator, request.form.get("token", ""))

    def link(self, token: str) -> BaseResponse:
        """Exchanges the link for a cookie, and goes on to an address without a token."""
        annotator = self._access.of_link(token)
        if annotator is None:
            return Response(status=404)
        response = redirect(url_for("start"), 303)
        response.set_cookie(
            self._access.cookie,
            self._access.session_token(annotator),
            max_age=_COOKIE_DAYS * 24 * 3600,
            httponly=True,
            samesite="Strict",
            secure=request.is_secure,
        )
        return response

    def start(self) -> BaseResponse | str:
        """Where the link leads: to the annotator's page, and for a browser without the cookie to an empty page first.

        A browser that comes from another site (a mail, a chat) sends a strict cookie only once one of these pages has
        led to the next. So the empty page leads to `go`, where the cookie arrives, unless the browser is a stranger's.
        """
        if g.annotator is None:
            return render_template("start.html")
        return self.go()

    def go(self) -> BaseResponse:
        """Leads the annotator to the page where they stopped; somebody new reads the guidelines first."""
        with self._database() as db:
            has_assignment = annotate.current(db, self._study, g.annotator) is not None
        return redirect(url_for("item" if has_assignment else "guidelines"), 303)

    # --- what they see

    def guidelines(self) -> str:
        with self._database() as db:
            begun = annotate.last_decision(db, self._study, g.annotator) is not None
            has_assignment = annotate.current(db, self._study, g.annotator) is not None
        guidelines = self._setting.guidelines
        return self._page("guidelines.html", guidelines=guidelines, begun=begun, has_assignment=has_assignment)

    def item(self) -> BaseResponse | str:
        with self._database() as db:
            assignment = annotate.current(db, self._study, g.annotator)
            if assignment is None:
                return redirect(url_for("done", note=request.args.get("note")), 303)
            progress = annotate.progress(db, self._study, g.annotator)
            last = annotate.last_decision(db, self._study, g.annotator)
        return self._page(
            "item.html",
            assignment=assignment,
            mark=self._access.mark(g.annotator, assignment.key),
            progress=progress,
            last=last and _WORDS[last["choice"]],
            shared=self._setting.shared,
            may_end=self._study.plan is not None and self._study.plan.stop_at is not None,
            comment_limit=annotate.COMMENT_LIMIT,
        )

    def done(self) -> BaseResponse | str:
        with self._database() as db:
            if annotate.current(db, self._study, g.annotator) is not None:
                return redirect(url_for("item"), 303)
            ending = assign.ending(db, self._study)
            progress = annotate.progress(db, self._study, g.annotator, ended=ending is not None)
            last = annotate.last_decision(db, self._study, g.annotator)
            skipped = len(annotate.skipped(db, self._study, g.annotator))
        return self._page(
            "done.html",
            progress=progress,
            last=last and _WORDS[last["choice"]],
            skipped=skipped,
            grows=self._study.plan is not None,
            ending=ending,
        )

    # --- what they do

    def post_next(self) -> BaseResponse:
        with self._database() as db:
            annotate.begin(db, self._study, g.annotator)
        return redirect(url_for("item"), 303)

    def post_verdict(self) -> BaseResponse:
        choice, assignment_id = request.form.get("choice"), request.form.get("item", type=int)
        allowed = {"skip", *annotate.CHOICES} - (set() if self._setting.both_bad else {"both_bad"})
        if choice not in allowed or assignment_id is None or not 0 < assignment_id < 2**63:
            abort(400)
        with self._database() as db:
            if choice == "skip":
                stored = annotate.skip(db, self._study, g.annotator, assignment_id)
            else:
                stored = annotate.judge(
                    db,
                    self._study,
                    g.annotator,
                    assignment_id,
                    cast(annotate.Choice, choice),
                    seconds=request.form.get("seconds", type=float),
                    comment=request.form.get("comment", ""),
                )
        return redirect(url_for("item", note=None if stored else "again"), 303)

    def post_undo(self) -> BaseResponse:
        with self._database() as db:
            undone = annotate.undo(db, self._study, g.annotator)
        return redirect(url_for("item", note=None if undone else "nothing"), 303)

    def post_skipped(self) -> BaseResponse:
        with self._database() as db:
            annotate.take_up_skipped(db, self._study, g.annotator)
        return redirect(url_for("item"), 303)

    # --- how

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with database.joining(self._setting.database, timeout=_BUSY_SECONDS) as db:
            yield db

    def _page(self, template: str, **values: object) -> str:
        return render_template(
            template,
            annotator=self._setting.annotators[g.annotator],
            token=self._access.form_token(g.annotator),
            note=_NOTES.get(request.args.get("note", "")),
            both_bad=self._setting.both_bad,
            markdown=render,
            **values,
        )


def _plain(message: str, status: int) -> Response:
    return Response(f"{message}\n", status, mimetype="text/plain")


def _with_headers(response: Response) -> Response:
    response.headers.update(_HEADERS)
    response.headers["Cache-Control"] = "no-cache" if request.endpoint == "static" else "no-store"
    return response


def _failed(error: Exception) -> Response:
    """Says what went wrong, and never the address: it may hold a token."""
    if isinstance(error, HTTPException):
        return _plain(error.name, error.code or 500)
    print(f"The page {request.endpoint} failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    if isinstance(error, DatabaseBusyError):
        return _plain("This was not saved: the database is busy. Go back and try again in a moment.", 503)
    return _plain("This was not saved: something is wrong on the other side. Tell whoever gave you the link.", 500)
