"""A database as version 1 made it, with rows in every table (tests/store/rows/version_1.sql)."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from madetl.store import sqlfiles

ROWS = Path(__file__).parents[1] / "store" / "rows" / "version_1.sql"


def make(file: Path) -> None:
    """Makes the database at `file` the plain way, without madetl's own writing."""
    db = sqlite3.connect(file)
    db.executescript(dict(sqlfiles.migrations())[1])
    db.execute("PRAGMA foreign_keys = ON")
    db.executescript(ROWS.read_text(encoding="utf-8"))
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()
