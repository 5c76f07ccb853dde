"""Rows of `runs`: one for each execution of a stage."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from madetl import __version__
from madetl.store import sqlfiles
from madetl.store.database import transaction

if TYPE_CHECKING:
    from madetl.store import tables


@dataclass
class RunningRun:
    """An execution in progress. `summary` is stored when it ends: the closing line that the user sees."""

    id: int
    summary: str | None = None


@contextmanager
def run(
    db: sqlite3.Connection, command: str, parameters: Mapping[str, Any], seed: int | None = None
) -> Iterator[RunningRun]:
    """Opens a run, and closes it with the outcome 'ok', 'failed' or 'interrupted'.

    Its row is committed at once, so that a killed execution leaves one without an outcome. Do not open it inside a
    transaction.
    """
    with transaction(db):
        cursor = db.execute(
            "INSERT INTO runs (command, parameters, seed, version) VALUES (?, ?, ?, ?)",
            (command, json.dumps(parameters, ensure_ascii=False, sort_keys=True, default=str), seed, __version__),
        )
    this = RunningRun(id=int(cursor.lastrowid or 0))
    try:
        yield this
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        _close(db, this.id, "interrupted" if interrupted else "failed", this.summary or str(error) or None)
        raise
    _close(db, this.id, "ok", this.summary)


def listing(db: sqlite3.Connection) -> list[tables.Run]:
    """Every run, the latest last."""
    from madetl.store import tables

    return list(tables.fetch(db, tables.Run, sqlfiles.query("store/run_list")))


def _close(db: sqlite3.Connection, run_id: int, outcome: str, summary: str | None) -> None:
    with transaction(db):
        db.execute(
            "UPDATE runs SET finished_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), outcome = ?, summary = ?"
            " WHERE id = ?",
            (outcome, summary, run_id),
        )
