"""Which part of a study a command works on: models and scenario by name, checked against the tables.

A mistyped name must be an error that shows the names there are, never a run that silently finds nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

from madetl.errors import ParameterError


def model_ids(db: sqlite3.Connection, names: Iterable[str] | None) -> list[int] | None:
    """The ids of the models with these names, in order of id; None (all models) stays None.

    Raises ParameterError for a name that no model has.
    """
    if names is None:
        return None
    known = {row["name"]: int(row["id"]) for row in db.execute("SELECT id, name FROM models ORDER BY name")}
    names = list(names)
    _check("model", names, list(known))
    return sorted({known[name] for name in names})


def model_names(db: sqlite3.Connection) -> dict[int, str]:
    """models.id → name, of all models."""
    return dict(db.execute("SELECT id, name FROM models").fetchall())


def check_scenarios(db: sqlite3.Connection, names: Sequence[str] | None) -> None:
    """Raises ParameterError where one of these scenarios has no instruction; None and () (all scenarios) pass."""
    if names:
        _check("scenario", names, scenarios(db))


def check_selections(db: sqlite3.Connection, names: Iterable[str]) -> None:
    """Raises ParameterError where no selection is called one of these names."""
    _check("selection", list(names), selections(db))


def selections(db: sqlite3.Connection) -> list[str]:
    """The names of all selections, in the order in which they were begun."""
    return [row[0] for row in db.execute("SELECT name FROM selection_sets ORDER BY id")]


def names_json(names: Iterable[str] | None) -> str | None:
    """Names as queries take them (:scenarios, :selections): a JSON array, sorted; None and () are None (all)."""
    distinct = sorted(set(names or ()))
    return json.dumps(distinct, ensure_ascii=False) if distinct else None


def scenarios(db: sqlite3.Connection) -> list[str]:
    """All scenarios that instructions are of."""
    return [row[0] for row in db.execute("SELECT DISTINCT scenario FROM instructions ORDER BY scenario")]


def _check(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    missing = [name for name in names if name not in known]
    if missing:
        there_is = ", ".join(known) if known else "none yet: import answers first"
        raise ParameterError(f"There is no {what} {', '.join(map(repr, missing))}. The database has: {there_is}")
