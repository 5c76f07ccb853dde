"""Each migration on a database with rows in every table, as the version before it made them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from madetl.store import database
from tests.support import version_1

Rows = list[dict[str, object]]
RENAMED = {
    "ratings": {"island": "component"},
    "leaderboard": {"island": "component"},
    "agreement": {"items": "response_pairs"},
}
VIEWS = ("battles", "selected_pairs", "taken_slots", "win_rates", "leaderboard", "agreement", "progress", "spend")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    file = tmp_path / "old.db"
    version_1.make(file)
    return file


@pytest.fixture
def migrated(old: Path) -> Iterator[sqlite3.Connection]:
    with database.writing(old) as db:
        yield db


def tables(file: Path) -> list[str]:
    db = sqlite3.connect(file)
    names = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    db.close()
    return names


def rows(file: Path, name: str) -> Rows:
    """All rows of a table or view, in one order."""
    db = sqlite3.connect(file)
    db.row_factory = sqlite3.Row
    found = [dict(row) for row in db.execute(f"SELECT * FROM {name}")]
    db.close()
    return found


def renamed(name: str, found: Rows) -> Rows:
    new = RENAMED.get(name, {})
    return [{new.get(key, key): value for key, value in row.items()} for row in found]


def test_every_table_of_the_old_database_holds_rows(old: Path) -> None:
    assert [name for name in tables(old) if not rows(old, name)] == []


def test_the_rows_stay(old: Path) -> None:
    before = {name: renamed(name, rows(old, name)) for name in tables(old)}
    with database.writing(old):
        pass
    assert {name: rows(old, name) for name in tables(old)} == before


def test_the_views_say_what_they_said(old: Path) -> None:
    before = {name: sorted(renamed(name, rows(old, name)), key=str) for name in VIEWS}
    firsts = rows(old, "first_verdicts")
    with database.writing(old):
        pass
    assert all(before.values())
    assert {name: sorted(rows(old, name), key=str) for name in VIEWS} == before
    kept = [{key: row[key] for key in firsts[0]} for row in rows(old, "first_verdicts")]
    assert sorted(kept, key=str) == sorted(firsts, key=str)


def test_foreign_keys_hold_after_it(migrated: sqlite3.Connection) -> None:
    assert migrated.execute("PRAGMA foreign_key_check").fetchall() == []
    assert migrated.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    with pytest.raises(sqlite3.IntegrityError):
        migrated.execute("UPDATE ratings SET component = 0")
