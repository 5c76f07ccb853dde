"""Rows of `pairs`: the pairs of models that similarities, selections and merges speak of."""

from __future__ import annotations

import sqlite3


def ensure_pair(db: sqlite3.Connection, models: tuple[int, int]) -> int:
    """The id of the row of `pairs` for two models, the lower id first; made if there is none."""
    db.execute("INSERT OR IGNORE INTO pairs (model_a_id, model_b_id) VALUES (?, ?)", models)
    row = db.execute("SELECT id FROM pairs WHERE model_a_id = ? AND model_b_id = ?", models).fetchone()
    return int(row["id"])
