"""Stores judgments: each verdict of an annotator on two responses once, however often its file is imported.

Verdicts come in with the ids of their responses, in canonical order, and counts go out. The caller holds the
transaction, and has stored the responses.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from madetl.records import Winner
from madetl.store import sqlfiles
from madetl.store.database import ids_by_name, insert_rows
from madetl.text import text_hash

Side = Literal["model_a", "model_b"]

_COLUMNS = (
    "annotator_id", "response_a_id", "response_b_id", "winner", "shown_first", "seconds", "comment", "assignment_id",
    "source", "source_id", "created_at", "turn", "anony", "run_id",
)  # fmt: skip
_Key = tuple[int, int, int, str]  # ids of the annotator and of the two responses, source id
_OTHER_SIDE: dict[Winner, Winner] = {"model_a": "model_b", "model_b": "model_a"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A judgment to be stored. Responses, `winner` and `shown_first` are in canonical order.

    Of an Arena battle, `turn` is how many turns its conversation has, `anony` whether the models' names were hidden.
    """

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
    turn: int | None = None
    anony: bool | None = None


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

    `content` is what JSON can hold, `seen` counts the rows of one file. With `file`, its name and its folder's, equal
    rows of different files are different votes; without, they are the same one.
    """
    digest = text_hash(json.dumps(content, ensure_ascii=False))[:16]
    seen[digest] += 1
    return ":".join([*([file] if file else []), digest, str(seen[digest])])


def store(db: sqlite3.Connection, verdicts: Sequence[Verdict], run_id: int | None) -> StoredJudgments:
    """Stores the verdicts whose annotator, responses and source id are new. Call it inside a transaction."""
    keys = _keys(db, verdicts)
    known = _known(db, keys)
    new = {key: verdict for key, verdict in zip(keys, verdicts, strict=True) if key not in known}
    last_id = db.execute("SELECT ifnull(max(id), 0) FROM judgments").fetchone()[0]
    insert_rows(db, "judgments", _COLUMNS, (_values(key, verdict, run_id) for key, verdict in new.items()))
    elsewhere = (
        db.execute(sqlfiles.query("store/battles_known_elsewhere"), {"after": last_id}).fetchone()[0] if new else 0
    )
    return StoredJudgments(len(new), len(verdicts) - len(new), elsewhere)


def contradicted(db: sqlite3.Connection, verdicts: Sequence[Verdict]) -> dict[int, sqlite3.Row]:
    """The stored judgments that have a verdict's source id and another winner, by the verdict's index in `verdicts`.

    Call it inside a transaction.
    """
    keys = _keys(db, verdicts)
    known = _known(db, keys)
    pairs = enumerate(zip(keys, verdicts, strict=True))
    return {
        index: known[key] for index, (key, verdict) in pairs if key in known and known[key]["winner"] != verdict.winner
    }


def _keys(db: sqlite3.Connection, verdicts: Sequence[Verdict]) -> list[_Key]:
    annotators = ids_by_name(db, "annotators", (verdict.annotator for verdict in verdicts))
    return [(annotators[v.annotator], v.response_a_id, v.response_b_id, v.source_id) for v in verdicts]


def _known(db: sqlite3.Connection, keys: Sequence[_Key]) -> dict[_Key, sqlite3.Row]:
    found = db.execute(sqlfiles.query("store/known_judgments"), {"keys": json.dumps(keys)})
    return {(row["annotator_id"], row["response_a_id"], row["response_b_id"], row["source_id"]): row for row in found}


def _values(key: _Key, verdict: Verdict, run_id: int | None) -> tuple[Any, ...]:
    annotator_id, response_a_id, response_b_id, source_id = key
    return (
        annotator_id, response_a_id, response_b_id, verdict.winner, verdict.shown_first, verdict.seconds,
        verdict.comment, verdict.assignment_id, verdict.source, source_id, verdict.created_at,
        verdict.turn, verdict.anony, run_id,
    )  # fmt: skip
