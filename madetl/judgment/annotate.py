"""What annotators do on the page: give verdicts, take them back, skip; and how far each annotator has come.

Choices come in as the page knows them (the answer shown first, a tie, the second); rows are stored in canonical order.
A decision about an assignment and the deal of the next one are one transaction: what was answered is stored, whatever
happens to the browser. Nothing here knows of HTTP.
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
_LONGEST = 6 * 3600.0  # seconds: nobody looks at two answers for longer
_CLOCKS_DIFFER = 2.0  # seconds


@dataclass(frozen=True)
class ShownAssignment:
    """An assignment as its annotator sees it.

    `key` stays the same when the pair is dealt to the annotator again; it must not reach the page.
    """

    id: int
    key: str
    instruction: str
    input: str
    reference_answer: str | None
    response_1: str
    response_2: str


@dataclass(frozen=True)
class AnnotatorProgress:
    """How far an annotator is: `done` of `total` verdicts, repeats included; `given` of `needed` by everybody."""

    done: int
    total: int
    given: int
    needed: int


def current(db: sqlite3.Connection, study: PageStudy, annotator_id: int) -> ShownAssignment | None:
    """The assignment that the annotator has before them; None where they have none. Changes nothing."""
    assignment_id = assign.current_assignment(db, study, annotator_id)
    if assignment_id is None:
        return None
    parameters = {"assignment_id": assignment_id, "annotator_id": annotator_id, "set_id": study.set_id}
    row = db.execute(query("judgment/assignment_texts"), parameters).fetchone()
    texts = ("instruction", "input", "reference_answer", "response_1", "response_2")
    return ShownAssignment(assignment_id, f"{row['selection_id']}/{row['repeat']}", *(row[name] for name in texts))


def begin(db: sqlite3.Connection, study: PageStudy, annotator_id: int) -> int | None:
    """Deals the annotator a pair where they have none; returns the assignment's id, or None where nothing is left."""
    with transaction(db):
        return assign.deal_next(db, study, annotator_id)


def judge(
    db: sqlite3.Connection,
    study: PageStudy,
    annotator_id: int,
    assignment_id: int,
    choice: Choice,
    *,
    seconds: float | None = None,
    comment: str = "",
) -> bool:
    """Stores the verdict on an assignment and deals the next one.

    Returns False where the assignment was not open to this annotator any more. `seconds` are those that the answers
    were in view; a figure that cannot be true is stored as unknown.
    """
    with transaction(db):
        closed = _close(db, study, annotator_id, assignment_id, "judged")
        if closed is not None:
            verdict = {
                "assignment_id": assignment_id,
                "winner": _canonical(choice, closed["shown_first"]),
                "seconds": plausible(seconds, closed["seconds_open"]),
                "comment": storable(comment.strip()[:COMMENT_LIMIT])[0] or None,
                "run_id": study.run_id,
            }
            db.execute(query("judgment/store_verdict"), verdict)
        assign.deal_next(db, study, annotator_id)
    return closed is not None


def skip(db: sqlite3.Connection, study: PageStudy, annotator_id: int, assignment_id: int) -> bool:
    """Closes an assignment without a verdict and deals the next one; returns False as `judge` does."""
    with transaction(db):
        closed = _close(db, study, annotator_id, assignment_id, "skipped")
        assign.deal_next(db, study, annotator_id)
    return closed is not None


def undo(db: sqlite3.Connection, study: PageStudy, annotator_id: int) -> bool:
    """Takes the annotator's last verdict or skip back and deals its pair again; False where there is none.

    The judgment is deleted; a row of `assignments` in the state 'undone' keeps that there was one.
    """
    with transaction(db):
        last = last_decision(db, study, annotator_id)
        if last is None:
            return False
        db.execute("DELETE FROM judgments WHERE assignment_id = ? AND source = 'page'", (last["assignment_id"],))
        db.execute("UPDATE assignments SET state = 'undone' WHERE id = ?", (last["assignment_id"],))
        assign.deal_again(db, study, last["assignment_id"])
    return True


def take_up_skipped(db: sqlite3.Connection, study: PageStudy, annotator_id: int) -> int:
    """Deals the annotator all pairs again that they skipped; returns how many."""
    with transaction(db):
        assignments = skipped(db, study, annotator_id)
        for assignment_id in assignments:
            assign.deal_again(db, study, assignment_id)
    return len(assignments)


def skipped(db: sqlite3.Connection, study: PageStudy, annotator_id: int) -> list[int]:
    """The ids of the assignments that the annotator skipped and that still need a verdict."""
    rows = db.execute(query("judgment/skipped_assignments"), study.parameters(annotator_id))
    return [row["assignment_id"] for row in rows]


def last_decision(db: sqlite3.Connection, study: PageStudy, annotator_id: int) -> sqlite3.Row | None:
    """The row of last_decision.sql: `assignment_id`, and `choice` (a Choice or 'skip'); None before the first."""
    row: sqlite3.Row | None = db.execute(query("judgment/last_decision"), study.parameters(annotator_id)).fetchone()
    return row


def progress(db: sqlite3.Connection, study: PageStudy, annotator_id: int, *, ended: bool = False) -> AnnotatorProgress:
    """How far this annotator and everybody is. Pairs that an adaptive selection may still pick count until it ends."""
    parameters = {
        "set_id": study.set_id,
        "annotator_id": annotator_id,
        "overlap": study.overlap,
        "grows": study.plan is not None and not ended,
    }
    row = db.execute(query("judgment/judging_progress"), parameters).fetchone()
    # The same rounding as in due_repeats.sql; a smaller share than before does not make more done than there is.
    repeats = max(row["repeats"], int(study.repeat * row["possible"] + 1e-9))
    return AnnotatorProgress(row["mine"] + row["repeats"], row["possible"] + repeats, row["given"], row["needed"])


def is_shared(db: sqlite3.Connection, study: PageStudy, annotators: Sequence[int]) -> bool:
    """Whether these people divide the selected pairs among them, so that nobody knows how many they will get."""
    parameters = {
        "set_id": study.set_id,
        "overlap": study.overlap,
        "team": json.dumps(list(annotators)),
        "grows": study.plan is not None,
    }
    return bool(db.execute(query("judgment/is_shared"), parameters).fetchone()["shared"])


def plausible(seconds: float | None, seconds_open: float) -> float | None:
    """The seconds; None where they are negative, no number, over six hours, or more than the assignment was open."""
    if seconds is None or not math.isfinite(seconds):
        return None
    return round(seconds, 1) if 0 <= seconds <= min(_LONGEST, seconds_open + _CLOCKS_DIFFER) else None


def _close(
    db: sqlite3.Connection, study: PageStudy, annotator_id: int, assignment_id: int, state: Literal["judged", "skipped"]
) -> sqlite3.Row | None:
    parameters = {"assignment_id": assignment_id, "annotator_id": annotator_id, "set_id": study.set_id, "state": state}
    closed = db.execute(query("judgment/decide_assignment"), parameters | {"now": assign.now()})
    row: sqlite3.Row | None = closed.fetchone()
    return row


def _canonical(choice: Choice, shown_first: str) -> Winner:
    words = {"first": "model_a", "second": "model_b"}
    winner = cast(Winner, words.get(choice, choice))
    return winner if shown_first == "model_a" else turned(winner)
