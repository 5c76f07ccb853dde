"""Finds rows of `selection_sets`: by name, or the one that was extended last."""

from __future__ import annotations

import sqlite3

from madetl.errors import ParameterError

LATEST = "latest"  # what a person may write instead of a selection's name

_LAST_EXTENDED_FIRST = """
    SELECT t.*
    FROM selection_sets AS t
    ORDER BY (SELECT max(s.id) FROM selections AS s WHERE s.set_id = t.id) DESC, t.id DESC
"""


def find_set(db: sqlite3.Connection, name: str = LATEST) -> sqlite3.Row:
    """The row of `selection_sets` called `name`; 'latest' is the one that was begun or extended last.

    Raises ParameterError if there is none; the message lists what there is.
    """
    sets: dict[str, sqlite3.Row] = {row["name"]: row for row in db.execute(_LAST_EXTENDED_FIRST)}
    if not sets:
        raise ParameterError("There is no selection yet. `madetl select` makes one.")
    if name == LATEST:
        return next(iter(sets.values()))
    if name not in sets:
        raise ParameterError(f"No selection is called {name!r}. This database has: {', '.join(sorted(sets))}")
    return sets[name]


def latest_adaptive(db: sqlite3.Connection) -> sqlite3.Row | None:
    """The row of the adaptive selection that was begun or extended last; None: there is none."""
    rows: list[sqlite3.Row] = db.execute(_LAST_EXTENDED_FIRST).fetchall()
    return next((row for row in rows if row["pair_policy"] == "adaptive"), None)


def set_row(db: sqlite3.Connection, name: str) -> sqlite3.Row | None:
    """The row of the selection called `name`, or None."""
    row: sqlite3.Row | None = db.execute("SELECT * FROM selection_sets WHERE name = ?", (name,)).fetchone()
    return row
