"""Stores responses: a model's answer to an instruction, each different text as a sample of its own.

Records come in checked (formats/), ids and counts go out. The caller holds the transaction, and has stored the
instructions.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from madetl.records import ResponseRecord
from madetl.store import sqlfiles
from madetl.store.database import ids_by_name, insert_rows
from madetl.text import count_words, text_hash

_COLUMNS = (
    "id", "instruction_id", "model_id", "sample", "response", "hash", "words", "characters", "source", "run_id"
)  # fmt: skip


@dataclass(frozen=True)
class StoredResponses:
    """`ids` has one id per record; `new` + `known` + `empty` is the number of records (`empty`: new and empty)."""

    ids: list[int]
    new: int
    known: int
    empty: int


@dataclass
class _Samples:
    """What is stored of one model's answers to one instruction."""

    ids: dict[str, int] = field(default_factory=dict)  # by hash
    next: int = 0


def store(
    db: sqlite3.Connection, records: Sequence[ResponseRecord], instruction_ids: Sequence[int], run_id: int | None
) -> StoredResponses:
    """Stores the responses whose text is new for their instruction and model, under the next sample number.

    `instruction_ids` has one id per record. Call it inside a transaction: ids are handed out here.
    """
    models = ids_by_name(db, "models", (record.model for record in records))
    keys = [(asked, models[record.model]) for asked, record in zip(instruction_ids, records, strict=True)]
    samples = _known(db, keys)
    next_id = db.execute("SELECT ifnull(max(id), 0) + 1 FROM responses").fetchone()[0]
    ids: list[int] = []
    rows: list[tuple[Any, ...]] = []
    for key, record in zip(keys, records, strict=True):
        stored, digest = samples.setdefault(key, _Samples()), text_hash(record.response)
        if digest not in stored.ids:
            stored.ids[digest] = next_id + len(rows)
            text = _measured(record.response, digest)
            rows.append((stored.ids[digest], *key, stored.next, *text, record.source, run_id))
            stored.next += 1
        ids.append(stored.ids[digest])
    insert_rows(db, "responses", _COLUMNS, rows)
    empty = sum(row[4] == "" for row in rows)
    return StoredResponses(ids, len(rows) - empty, len(records) - len(rows), empty)


def store_answer(
    db: sqlite3.Connection, text: str, *, instruction_id: int, model_id: int, sample: int, call_id: int, run_id: int
) -> None:
    """Stores the answer that a request brought, unless another process stored it in the meantime. In a transaction."""
    values = (instruction_id, model_id, sample, *_measured(text, text_hash(text)), call_id, run_id)
    columns = "instruction_id, model_id, sample, response, hash, words, characters, call_id, run_id"
    db.execute(f"INSERT OR IGNORE INTO responses ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def _known(db: sqlite3.Connection, keys: Iterable[tuple[int, int]]) -> dict[tuple[int, int], _Samples]:
    known: dict[tuple[int, int], _Samples] = {}
    for row in db.execute(sqlfiles.query("store/known_responses"), {"keys": json.dumps(list(set(keys)))}):
        stored = known.setdefault((row["instruction_id"], row["model_id"]), _Samples())
        stored.ids.setdefault(row["hash"], row["id"])
        stored.next = max(stored.next, row["sample"] + 1)
    return known


def _measured(text: str, digest: str) -> tuple[str, str, int, int]:
    return text, digest, count_words(text), len(text)
