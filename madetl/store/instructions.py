"""Stores instructions: the exact text in its scenario once, however many files bring it.

Records come in checked (formats/), ids and counts go out. The caller holds the transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count

from madetl.records import InstructionRecord
from madetl.store import sqlfiles
from madetl.store.database import insert_rows
from madetl.text import instruction_hash

_COLUMNS = ("id", "scenario", "instruction", "input", "hash", "reference_answer", "source", "run_id")

Key = tuple[str, str]
"""The natural key: scenario and hash."""


@dataclass(frozen=True)
class StoredInstructions:
    """`ids` has one id per record; `new` + `known` is the number of records.

    `differing` counts records with another reference answer than the first one given, which is kept.
    """

    ids: list[int]
    new: int
    known: int
    differing: int


def store(db: sqlite3.Connection, records: Sequence[InstructionRecord], run_id: int | None) -> StoredInstructions:
    """Stores the instructions that are new, and gives those without a reference answer the first one that comes.

    Call it inside a transaction: ids are handed out here, and nobody else may write meanwhile.
    """
    keys = [(record.scenario, instruction_hash(record.instruction, record.input)) for record in records]
    known = _known(db, keys)
    new = _with_ids(db, (key for key in dict.fromkeys(keys) if key not in known))
    answers, differing = _reference_answers(records, keys, {key: answer for key, (_, answer) in known.items()})
    ids = {key: stored for key, (stored, _) in known.items()} | new

    first = {key: record for key, record in zip(reversed(keys), reversed(records), strict=True) if key in new}
    rows = ((new[key], *_values(first[key], key, answers.get(key)), run_id) for key in new)
    insert_rows(db, "instructions", _COLUMNS, rows)
    late = [(answers[key], stored) for key, (stored, answer) in known.items() if answer is None and answers.get(key)]
    db.executemany("UPDATE instructions SET reference_answer = ? WHERE id = ?", late)
    return StoredInstructions([ids[key] for key in keys], len(new), len(records) - len(new), differing)


def _known(db: sqlite3.Connection, keys: Iterable[Key]) -> dict[Key, tuple[int, str | None]]:
    found = db.execute(sqlfiles.query("store/known_instructions"), {"keys": json.dumps(list(set(keys)))})
    return {(row["scenario"], row["hash"]): (row["id"], row["reference_answer"]) for row in found}


def _with_ids(db: sqlite3.Connection, keys: Iterable[Key]) -> dict[Key, int]:
    start = db.execute("SELECT ifnull(max(id), 0) + 1 FROM instructions").fetchone()[0]
    return dict(zip(keys, count(start), strict=False))


def _reference_answers(
    records: Sequence[InstructionRecord], keys: Sequence[Key], answers: dict[Key, str | None]
) -> tuple[dict[Key, str | None], int]:
    """The reference answer of each key, the first one given, and how many records bring a different one."""
    differing = 0
    for key, record in zip(keys, records, strict=True):
        if record.reference_answer is None:
            continue
        known = answers.get(key)
        if known is None:
            answers[key] = record.reference_answer
        differing += known not in (None, record.reference_answer)
    return answers, differing


def _values(record: InstructionRecord, key: Key, answer: str | None) -> tuple[str | None, ...]:
    return (record.scenario, record.instruction, record.input, key[1], answer, record.source)
