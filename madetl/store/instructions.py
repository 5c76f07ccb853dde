"""Stores instructions: the exact text in its scenario once, however many files bring it.

Records come in checked (formats/), ids and counts go out. The caller holds the transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from madetl.records import InstructionRecord
from madetl.store import sqlfiles
from madetl.store.database import insert_rows
from madetl.text import instruction_hash

_COLUMNS = ("id", "scenario", "instruction", "input", "hash", "reference_answer", "language", "source", "run_id")
_FIRST_GIVEN = ("reference_answer", "language")  # what a later file may add, but not change

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
    """Stores the instructions that are new, and gives those without a reference answer or a language the first that
    comes.

    Call it inside a transaction: ids are handed out here, and nobody else may write meanwhile.
    """
    keys = [(record.scenario, instruction_hash(record.instruction, record.input)) for record in records]
    known = _known(db, keys)
    new = _with_ids(db, (key for key in dict.fromkeys(keys) if key not in known))
    given = {name: _first_given(records, keys, known, name) for name in _FIRST_GIVEN}
    answers = given["reference_answer"]
    differing = sum(
        record.reference_answer not in (None, answers.get(key)) for key, record in zip(keys, records, strict=True)
    )
    ids = {key: int(row["id"]) for key, row in known.items()} | new

    first = {key: record for key, record in zip(reversed(keys), reversed(records), strict=True) if key in new}
    rows = ((new[key], *_values(first[key], key, given), run_id) for key in new)
    insert_rows(db, "instructions", _COLUMNS, rows)
    for name in _FIRST_GIVEN:
        late = [(given[name][key], row["id"]) for key, row in known.items() if row[name] is None and key in given[name]]
        db.executemany(f"UPDATE instructions SET {name} = ? WHERE id = ?", late)
    return StoredInstructions([ids[key] for key in keys], len(new), len(records) - len(new), differing)


def _known(db: sqlite3.Connection, keys: Iterable[Key]) -> dict[Key, sqlite3.Row]:
    found = db.execute(sqlfiles.query("store/known_instructions"), {"keys": json.dumps(list(set(keys)))})
    return {(row["scenario"], row["hash"]): row for row in found}


def _with_ids(db: sqlite3.Connection, keys: Iterable[Key]) -> dict[Key, int]:
    start = db.execute("SELECT ifnull(max(id), 0) + 1 FROM instructions").fetchone()[0]
    return dict(zip(keys, count(start), strict=False))


def _first_given(
    records: Sequence[InstructionRecord], keys: Sequence[Key], known: Mapping[Key, sqlite3.Row], name: str
) -> dict[Key, str]:
    """The field `name` of each key that has one: what is stored, else the first one given."""
    found: dict[Key, str] = {key: row[name] for key, row in known.items() if row[name] is not None}
    for key, record in zip(keys, records, strict=True):
        if (value := getattr(record, name)) is not None:
            found.setdefault(key, value)
    return found


def _values(record: InstructionRecord, key: Key, given: Mapping[str, Mapping[Key, str]]) -> tuple[str | None, ...]:
    later = (given[name].get(key) for name in _FIRST_GIVEN)
    return (record.scenario, record.instruction, record.input, key[1], *later, record.source)
