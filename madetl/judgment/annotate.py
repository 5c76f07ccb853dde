"""Verdicts given on the page: stores, takes back and skips them, and says how far an annotator has come.

Choices come in as the page knows them (the answer shown first, a tie, the second); rows are stored in canonical order.
Each change of an item and the deal of the next one are one transaction: what was answered is stored, whatever happens
to the browser. Nothing here knows of HTTP.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from madetl.judgment import assign
from madetl.judgment.assign import PageStudy
from madetl.records import Winner
from madetl.store.database import transaction
from madetl.store.judgments import turned
from madetl.store.sqlfiles import query
from madetl.text import storable

Choice = Literal["first", "tie", "second", "both_bad"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
COMMENT_LIMIT = 10_000  # characters
_LONGEST = 6 * 3600.0  # seconds: nobody looks at one item for longer
_CLOCKS_DIFFER = 2.0  # seconds


@dataclass(frozen=True)
class Item:
    """What an annotator sees of an item. `key` is the same when it is dealt again; it must not reach the page."""

    number: int
    key: str
    instruction: str
    input: str
    reference_answer: str | None
    response_1: str
    response_2: str


@dataclass(frozen=True)
class AnnotatorProgress:
    """How far an annotator is: `done` of `total` verdicts, repeats included; `given` of `wanted` by everybody."""

    done: int
    total: int
    given: int
    wanted: int


def item(db: sqlite3.Connection, study: PageStudy, annotator_id: int) -> Item | None:
    """The item that the annotator has before them; None where nothing is dealt. Changes nothing."""
    number = assign.current_item(db, study, annotator_id)
    if number is None:
        return None
    parameters = {"item": number, "annotator_id": annotator_id, "set_id": study.set_id}
    row = db.execute(query("judgment/item_texts"), parameters).fetchone()
    texts = ("instruction", "input", "reference_answer", "response_1", "response_2")
    return Item(number, f"{row['selection_id']}/{row['repeat']}", *(row[name] for name in texts))


def begin(db: sqlite3.Connection, study: PageStudy, annotator_id: int) -> int | None:
    """Deals the annotator an item, where they have none; returns its number, or None where nothing is left."""
    with transaction(db):
        return assign.deal_next(db, study, annotator_id)


def judge(
    db: sqlite3.Connection,
    study: PageStudy,
    annotator_id: int,
    number: int,
    choice: Choice,
    *,
    seconds: float | None = None,
    comment: str = "",
) -> bool:
    """Stores the verdict on an item and deals the next; False where the item was not open to this annotator any more.

    `seconds` are those that the item was in view; a figure that cannot be true is stored as unknown.
    """
    with transaction(db):
        closed = _close(db, study, annotator_id, number, "judged")
        if closed is not None:
            verdict = {
                "item": number,
                "winner": _canonical(choice, closed["shown_first"]),
                "seconds": plausible(seconds, closed["seconds_open"]),
                "comment": storable(comment.strip()[:COMMENT_LIMIT])[0] or None,
                "run_id": study.run_id,
            }
            db.execute(query("judgment/store_verdict"), verdict)
        assign.deal_next(db, study, annotator_id)
    return closed is not None


def skip(db: sqlite3.Connection, study: PageStudy, annotator_id: int, number: int) -> bool:
    """Puts an item off and deals the next; False where the item was not open to this annotator any more."""
    with transaction(db):
        closed = _close(db, study, annotator_id, number, "skipped")
        assign.deal_next(db, study, annotator_id)
    return closed is not None


def undo(db: sqlite3.Connection, study: PageStudy, annotator_id: int) -> bool:
    """Takes the annotator's last verdict or skip back and puts its item before them; False where there is none.

    The verdict goes; that there was one stays in `assignments`, as a row in the state 'undone'.
    """
    with transaction(db):
        last = last_decision(db, study, annotator_id)
        if last is None:
            return False
        db.execute("DELETE FROM judgments WHERE assignment_id = ? AND source = 'page'", (last["item"],))
        db.execute("UPDATE assignments SET state = 'undone' WHERE id = ?", (last["item"],))
        assign.deal_again(db, study, last["item"])
    return True


def take_up_skipped(db: sqlite3.Connection, study: PageStudy, annotator_id: int) -> int:
    """Puts all items that the annotator skipped before them again; returns how many."""
    with transaction(db):
        items = skipped(db, study, annotator_id)
        for number in items:
            assign.deal_again(db, study, number)
    return len(items)


def skipped(db: sqlite3.Connection, study: PageStudy, annotator_id: int) -> list[int]:
    """The items that the annotator skipped and that still need a verdict."""
    return [row["item"] for row in db.execute(query("judgment/skipped_items"), study.parameters(annotator_id))]


def last_decision(db: sqlite3.Connection, study: PageStudy, annotator_id: int) -> sqlite3.Row | None:
    """The row of last_decision.sql: `item`, and `choice` (a Choice or 'skip'); None before the first."""
    row: sqlite3.Row | None = db.execute(query("judgment/last_decision"), study.parameters(annotator_id)).fetchone()
    return row


def progress(db: sqlite3.Connection, study: PageStudy, annotator_id: int, *, ended: bool = False) -> AnnotatorProgress:
    """How far this annotator and everybody is. What an adaptive selection may still pick counts, until it has ended."""
    parameters = {
        "set_id": study.set_id,
        "annotator_id": annotator_id,
        "overlap": study.overlap,
        "grows": study.plan is not None and not ended,
    }
    row = db.execute(query("judgment/judging_progress"), parameters).fetchone()
    # The same rounding as in due_repeats.sql; a smaller share than before does not make more done than there is.
    repeats = max(row["repeats"], int(study.repeat * row["possible"] + 1e-9))
    return AnnotatorProgress(row["mine"] + row["repeats"], row["possible"] + repeats, row["given"], row["wanted"])


def is_shared(db: sqlite3.Connection, study: PageStudy, annotators: Sequence[int]) -> bool:
    """Whether these people divide the items among them, so that none knows how many they will get."""
    parameters = {
        "set_id": study.set_id,
        "overlap": study.overlap,
        "team": json.dumps(list(annotators)),
        "grows": study.plan is not None,
    }
    return bool(db.execute(query("judgment/is_shared"), parameters).fetchone()["shared"])


def plausible(seconds: float | None, seconds_open: float) -> float | None:
    """The seconds, or None where they cannot be true: negative, no number, over six hours, longer than it was open."""
    if seconds is None or not math.isfinite(seconds):
        return None
    return round(seconds, 1) if 0 <= seconds <= min(_LONGEST, seconds_open + _CLOCKS_DIFFER) else None


def _close(
    db: sqlite3.Connection, study: PageStudy, annotator_id: int, number: int, state: Literal["judged", "skipped"]
) -> sqlite3.Row | None:
    parameters = {"item": number, "annotator_id": annotator_id, "set_id": study.set_id, "state": state}
    row: sqlite3.Row | None = db.execute(query("judgment/decide_item"), parameters | {"now": assign.now()}).fetchone()
    return row


def _canonical(choice: Choice, shown_first: str) -> Winner:
    words = {"first": "model_a", "second": "model_b"}
    winner = cast(Winner, words.get(choice, choice))
    return winner if shown_first == "model_a" else turned(winner)
