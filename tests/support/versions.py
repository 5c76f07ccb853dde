"""Databases as earlier versions of the schema made them, with rows in every table (tests/store/rows/version_N.sql)."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from madetl.store import sqlfiles

ROWS = Path(__file__).parents[1] / "store" / "rows"


def make(file: Path, version: int) -> None:
    """Makes the database of a version at `file` the plain way, without madetl's own writing."""
    db = sqlite3.connect(file)
    for number, script in sqlfiles.migrations():
        if number <= version:
            db.executescript(script)
    db.execute("PRAGMA foreign_keys = ON")
    db.executescript((ROWS / f"version_{version}.sql").read_text(encoding="utf-8"))
    db.execute(f"PRAGMA user_version = {version}")
    db.commit()
    db.close()
