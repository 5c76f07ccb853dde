"""Stores similarities that a file brings with its pairs of answers, as rows of a metric that only names them.

Scores come in with ids in canonical order, and counts go out. The caller holds the transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from madetl.store import sqlfiles
from madetl.store.database import insert_rows
from madetl.store.metrics import ensure_metric

_COLUMNS = (
    "metric_id", "pair_id", "instruction_id", "response_a_id", "response_b_id", "score", "shorter_words",
    "length_ratio", "explanation", "run_id",
)  # fmt: skip
_PARAMETERS = {"imported": True}


@dataclass(frozen=True, slots=True)
class Score:
    """What a file says about two responses to one instruction: ids as (a, b) in canonical order."""

    instruction_id: int
    model_ids: tuple[int, int]
    response_ids: tuple[int, int]
    score: float
    explanation: str | None


@dataclass(frozen=True)
class StoredScores:
    """`new` + `known` is the number of scores; `differing`: scores unlike the pair's stored one."""

    new: int
    known: int
    differing: int


def store(db: sqlite3.Connection, scores: Sequence[Score], metric: str, run_id: int | None) -> StoredScores:
    """Stores the first score of each response pair under the metric. Call it inside a transaction."""
    metric_id = ensure_metric(db, metric, _PARAMETERS)
    keys = json.dumps(list({score.response_ids for score in scores}))
    found = db.execute(sqlfiles.query("importing/known_scores"), {"metric_id": metric_id, "keys": keys})
    known = {(row["response_a_id"], row["response_b_id"]): row["score"] for row in found}
    new, differing = [], 0
    for score in scores:
        if score.response_ids not in known:
            known[score.response_ids] = score.score
            new.append(score)
        differing += known[score.response_ids] != score.score
    _insert(db, new, metric_id, run_id)
    return StoredScores(len(new), len(scores) - len(new), differing)


def _insert(db: sqlite3.Connection, scores: Sequence[Score], metric_id: int, run_id: int | None) -> None:
    pairs = _pair_ids(db, (score.model_ids for score in scores))
    ids = json.dumps([response_id for score in scores for response_id in score.response_ids])
    sizes = {row["id"]: row for row in db.execute(sqlfiles.query("importing/response_sizes"), {"ids": ids})}
    rows = []
    for score in scores:
        a, b = (sizes[response_id] for response_id in score.response_ids)
        few, many = sorted((a["characters"], b["characters"]))
        length_ratio = many / few if few else 0.0
        lengths = (min(a["words"], b["words"]), length_ratio)
        key = (metric_id, pairs[score.model_ids], score.instruction_id, *score.response_ids)
        rows.append((*key, score.score, *lengths, score.explanation, run_id))
    insert_rows(db, "similarities", _COLUMNS, rows)


def _pair_ids(db: sqlite3.Connection, model_ids: Iterable[tuple[int, int]]) -> dict[tuple[int, int], int]:
    pairs = sorted(set(model_ids))
    insert_rows(db, "pairs", ("model_a_id", "model_b_id"), pairs, conflict="OR IGNORE")
    found = db.execute("SELECT id, model_a_id, model_b_id FROM pairs")
    return {(row["model_a_id"], row["model_b_id"]): row["id"] for row in found}
