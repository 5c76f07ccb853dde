"""Names of models that a reader takes for the same: a warning, and the command that makes one model of two."""

from __future__ import annotations

import shlex
import sqlite3

from madetl.text import name_key


def warning_of_same(db: sqlite3.Connection, name: str) -> str | None:
    """What to say where an earlier model is written almost like this one, which may be new; None where none is."""
    key = name_key(name)
    for (other,) in db.execute("SELECT name FROM models ORDER BY id").fetchall():
        if other == name:
            return None
        if name_key(other) == key:
            rename = f"madetl models rename {shlex.quote(name)} {shlex.quote(other)} --merge"
            return f"the model {name} is written almost like {other}, an earlier one. If they are one: `{rename}`."
    return None
