"""What kind of metric a name means: one that madetl computes itself, an embedding model, a chat model as the metric.

A kind is said (`--as`), known from an earlier run, or plain from the name. It is never guessed, since a chat model that
is asked about every pair of answers costs thousands of times what an embedding model does.
"""

from __future__ import annotations

import json
import re
import sqlite3
from typing import Literal

from madetl.errors import ParameterError

Kind = Literal["embedding", "llm"]
EMBEDDING: Kind = "embedding"
LLM: Kind = "llm"

_EMBEDDING = re.compile(r"embed", re.IGNORECASE)
_CHAT = re.compile(r"gpt-|chatgpt-|o\d|ft:gpt-|(models/)?gemini-")


def kind_of(db: sqlite3.Connection, name: str, said: Kind | None = None) -> Kind | None:
    """The kind of model that `name` means; None: no model is asked (built in, or vectors that are stored already).

    Raises ParameterError where the name belongs to a model that could be of either kind, or to metrics of both.
    """
    if said is not None:
        return said
    stored = _stored_kinds(db, name)
    if len(stored) > 1:
        raise ParameterError(f"{name} has measured as different kinds of metric. Say --as embedding or --as llm.")
    if stored:
        return stored.pop()
    if _EMBEDDING.search(name):
        return EMBEDDING
    if _CHAT.match(name):
        return LLM
    if _is_asked(db, name):
        raise ParameterError(
            f"Is {name} an embedding model, or a chat model that is to say how alike answers are? "
            "Say --as embedding or --as llm."
        )
    return None


def model_name(db: sqlite3.Connection, name: str) -> str:
    """The name of the model that a metric asks: the metric's own, without the hash that tells metrics of it apart."""
    base, _, _ = name.rpartition("@")
    known = db.execute("SELECT 1 FROM metrics WHERE name = ?", (base,)).fetchone()
    return base if known else name


def _stored_kinds(db: sqlite3.Connection, name: str) -> set[Kind | None]:
    """The kinds of the metrics of that name; None is the kind of those that nobody asked for here."""
    base = name.rpartition("@")[0] if "@" in name else name
    rows = db.execute("SELECT parameters FROM metrics WHERE name IN (?, ?)", (name, base))
    return {json.loads(row["parameters"]).get("kind") for row in rows}


def _is_asked(db: sqlite3.Connection, name: str) -> bool:
    """Whether it is known as a model with somebody who can be asked."""
    row = db.execute("SELECT provider FROM models WHERE name = ?", (name,)).fetchone()
    return row is not None and row["provider"] is not None
