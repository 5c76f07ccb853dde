"""Who judged: the row of each annotator, whose name may be written a little otherwise from one file to the next."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from madetl.errors import ParameterError
from madetl.store.database import insert_rows
from madetl.text import name_key

Kind = Literal["person", "model", "crowd"]


@dataclass(frozen=True)
class Annotators:
    """Known annotators by names as they were given: `known` is the stored name of each, `ids` and `kinds` its row."""

    known: dict[str, str]
    ids: dict[str, int]
    kinds: dict[str, Kind]

    @property
    def taken(self) -> dict[str, str]:
        """The given names that stand for another stored one."""
        return {name: known for name, known in self.known.items() if name != known}


def ensure(db: sqlite3.Connection, names: Iterable[str], crowds: Collection[str] = ()) -> Annotators:
    """The annotators of these names; new ones get a row, as a crowd where `crowds` names them, else as a person.

    Raises ParameterError where `crowds` names a person or a judge model. Call it inside a `transaction`.
    """
    many = {name_key(name) for name in crowds}
    stored, found = _stored(db), {}
    for name in dict.fromkeys(names):
        key = name_key(name)
        if name not in stored and key not in stored:
            kind: Kind = "crowd" if key in many else "person"
            insert_rows(db, "annotators", ("name", "kind"), [(name, kind)])
            row = db.execute("SELECT id, name, kind FROM annotators WHERE name = ?", (name,)).fetchone()
            stored[name] = stored[key] = row
        found[name] = stored.get(name) or stored[key]
        if key in many and found[name]["kind"] != "crowd":
            raise ParameterError(_no_crowd(found[name]))
    return Annotators(
        known={name: row["name"] for name, row in found.items()},
        ids={name: row["id"] for name, row in found.items()},
        kinds={name: row["kind"] for name, row in found.items()},
    )


def stored_names(db: sqlite3.Connection, names: Iterable[str]) -> tuple[str, ...]:
    """The names as they are stored; those of nobody as they are given."""
    stored = _stored(db)
    found = [stored.get(name) or stored.get(name_key(name)) for name in names]
    return tuple(row["name"] if row else name for row, name in zip(found, names, strict=True))


def _stored(db: sqlite3.Connection) -> dict[str, sqlite3.Row]:
    """The rows by name, and by what is the same of a name; the first one where several names are the same."""
    rows = db.execute("SELECT id, name, kind FROM annotators ORDER BY id").fetchall()
    found: dict[str, sqlite3.Row] = {}
    for row in rows:
        found.setdefault(name_key(row["name"]), row)
    return found | {row["name"]: row for row in rows}


def _no_crowd(row: sqlite3.Row) -> str:
    who = {"person": "one person", "model": "a judge model"}[row["kind"]]
    return f"{row['name']} is {who} among the annotators, not a crowd. --crowd NAME gives the crowd another name."
