"""Stores judgments: each verdict of an annotator on two responses once, however often its file is imported.

Verdicts come in with the ids of their responses, in canonical order, and counts go out. The caller holds the
transaction, and has stored the responses.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from madetl import resources
from madetl.database import insert_rows
from madetl.formats.records import Winner
from madetl.text import text_hash

Side = Literal["model_a", "model_b"]

_COLUMNS = (
    "annotator_id", "response_a_id", "response_b_id", "winner", "shown_first", "seconds", "comment", "assignment_id",
    "source", "source_id", "created_at", "run_id",
)  # fmt: skip
_OTHER_SIDE: dict[Winner, Winner] = {"model_a": "model_b", "model_b": "model_a"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A judgment to be stored. Responses, `winner` and `shown_first` are in canonical order."""

    annotator: str
    response_a_id: int
    response_b_id: int
    winner: Winner
    shown_first: Side | None
    source: str
    source_id: str
    seconds: float | None = None
    comment: str | None = None
    assignment_id: int | None = None
    created_at: str | None = None


@dataclass(frozen=True)
class StoredJudgments:
    """`new` + `known` is the number of verdicts; `elsewhere`: new ones that another source had brought already."""

    new: int
    known: int
    elsewhere: int


def turned(winner: Winner) -> Winner:
    """The winner with the two sides exchanged."""
    return _OTHER_SIDE.get(winner, winner)


def content_id(content: Sequence[object], seen: Counter[str], file: str | None = None) -> str:
    """The source id of a row whose file gives it none: a hash of the row's content, and its count among equal rows.

    `content` is what JSON can hold, `seen` counts the rows of one file. With `file`, its base name, equal rows of
    different files are different votes; without, they are the same one.
    """
    digest = text_hash(json.dumps(content, ensure_ascii=False))[:16]
    seen[digest] += 1
    return ":".join([*([file] if file else []), digest, str(seen[digest])])


def store(db: sqlite3.Connection, verdicts: Sequence[Verdict], run_id: int | None) -> StoredJudgments:
    """Stores the verdicts whose annotator, responses and source id are new. Call it inside a transaction."""
    annotators = annotator_ids(db, (verdict.annotator for verdict in verdicts))
    keys = [(annotators[v.annotator], v.response_a_id, v.response_b_id, v.source_id) for v in verdicts]
    known = {tuple(row) for row in db.execute(resources.query("known_judgments"), {"keys": json.dumps(keys)})}
    new = {key: verdict for key, verdict in zip(keys, verdicts, strict=True) if key not in known}
    last_id = db.execute("SELECT ifnull(max(id), 0) FROM judgments").fetchone()[0]
    insert_rows(db, "judgments", _COLUMNS, (_values(key, verdict, run_id) for key, verdict in new.items()))
    elsewhere = db.execute(resources.query("battles_known_elsewhere"), {"after": last_id}).fetchone()[0] if new else 0
    return StoredJudgments(len(new), len(verdicts) - len(new), elsewhere)


def annotator_ids(db: sqlite3.Connection, names: Iterable[str]) -> dict[str, int]:
    """The id of each annotator, a person where the name is new."""
    wanted = list(dict.fromkeys(names))
    insert_rows(db, "annotators", ("name",), ((name,) for name in wanted), conflict="OR IGNORE")
    found = db.execute(
        "SELECT id, name FROM annotators WHERE name IN (SELECT value FROM json_each(?))", [json.dumps(wanted)]
    )
    return {row["name"]: row["id"] for row in found}


def _values(key: tuple[int, int, int, str], verdict: Verdict, run_id: int | None) -> tuple[Any, ...]:
    annotator_id, response_a_id, response_b_id, source_id = key
    return (
        annotator_id, response_a_id, response_b_id, verdict.winner, verdict.shown_first, verdict.seconds,
        verdict.comment, verdict.assignment_id, verdict.source, source_id, verdict.created_at, run_id,
    )  # fmt: skip
