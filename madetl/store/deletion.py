"""Deletes a run, a model or a selection, together with the rows that depend on it.

Most of the work is the schema's ON DELETE; what a foreign key cannot say stands in sql/store/. A preview is the
deletion itself, rolled back: it counts exactly the rows that a deletion would take. Nothing here asks the user.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from madetl.errors import ParameterError
from madetl.store import sqlfiles
from madetl.store.database import transaction

Kind = Literal["run", "model", "selection"]


@dataclass(frozen=True)
class Deleted:
    """The deleted rows per table (tables that lost none are left out), and the instructions that other runs keep."""

    rows: dict[str, int]
    instructions_kept: int = 0


def preview(db: sqlite3.Connection, kind: Kind, name: str) -> Deleted:
    """The rows that `delete` would take. Nothing changes. Raises ParameterError where there is nothing of that name."""
    db.execute("BEGIN IMMEDIATE")
    try:
        return _delete(db, kind, name)
    finally:
        db.rollback()


def delete(db: sqlite3.Connection, kind: Kind, name: str) -> Deleted:
    """Deletes a run (by its number), a model or a selection (by name), in one transaction.

    With a run go the rows that it made and their cascades; instructions that other runs have answers to stay, and
    verdicts that it had revised count again. With a run of `select` go the later picks of the same selection too, since
    each pick depends on those before. Of an adaptive selection only the run's own picks go, and of these not what was
    judged in other runs. With a model go its responses and whatever compares or judges them. With a selection its
    assignments go; the judgments stay, because they are of responses. Raises ParameterError where there is nothing of
    that name.
    """
    with transaction(db):
        return _delete(db, kind, name)


def _delete(db: sqlite3.Connection, kind: Kind, name: str) -> Deleted:
    before = _rows_per_table(db)
    kept = _DELETIONS[kind](db, name)
    after = _rows_per_table(db)
    gone = {table: before[table] - after[table] for table in before}
    return Deleted({table: count for table, count in gone.items() if count}, kept)


def _delete_run(db: sqlite3.Connection, name: str) -> int:
    run_id = _find(db, "SELECT id FROM runs WHERE id = ?", name, f"There is no run {name}. `madetl runs` lists them.")
    this = {"run_id": run_id}
    kept = db.execute(sqlfiles.query("store/keep_answered_instructions"), this).rowcount
    touched = [row[0] for row in db.execute("SELECT DISTINCT set_id FROM selections WHERE run_id = :run_id", this)]
    db.execute(sqlfiles.query("store/delete_later_picks"), this)
    db.execute(sqlfiles.query("store/keep_judged_picks"), this)
    db.execute(sqlfiles.query("store/keep_grown_selections"), this)
    db.execute("DELETE FROM runs WHERE id = :run_id", this)
    db.execute(sqlfiles.query("store/restore_revised"))
    db.executemany(sqlfiles.query("store/shrink_selection_set"), [{"set_id": set_id} for set_id in touched])
    return kept


def _delete_model(db: sqlite3.Connection, name: str) -> int:
    model_id = _find(db, "SELECT id FROM models WHERE name = ?", name, _unknown(db, "model", "models", name))
    db.execute("DELETE FROM models WHERE id = ?", (model_id,))
    return 0


def _delete_selection(db: sqlite3.Connection, name: str) -> int:
    unknown = _unknown(db, "selection", "selection_sets", name)
    set_id = _find(db, "SELECT id FROM selection_sets WHERE name = ?", name, unknown)
    db.execute("DELETE FROM selection_sets WHERE id = ?", (set_id,))
    return 0


_DELETIONS: dict[Kind, Callable[[sqlite3.Connection, str], int]] = {
    "run": _delete_run,
    "model": _delete_model,
    "selection": _delete_selection,
}


def _find(db: sqlite3.Connection, sql: str, name: str, unknown: str) -> int:
    row = db.execute(sql, (name,)).fetchone()
    if row is None:
        raise ParameterError(unknown)
    return int(row[0])


def _unknown(db: sqlite3.Connection, what: str, table: str, name: str) -> str:
    names = [row[0] for row in db.execute(f"SELECT name FROM {table} ORDER BY name")]
    return f"No {what} is called {name!r}. This database has: {', '.join(names) or 'none'}"


def _rows_per_table(db: sqlite3.Connection) -> dict[str, int]:
    tables = [
        row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    ]
    return {table: _count(db, f"SELECT count(*) FROM {table}") for table in tables}


def _count(db: sqlite3.Connection, sql: str, *values: Any) -> int:
    return int(db.execute(sql, values).fetchone()[0])
