"""Tells runs that execute from runs that were killed, although several commands may work on one file at once.

A run that asks holds a lock on a file of its own beside the database, `mad.db-run-17`, as long as it asks. The
operating system releases it when the process ends, `kill -9` included; so a run whose lock can be taken is dead. A
process id would not do: ids are given out again, and differ between containers that share the folder.

The lock is SQLite's own exclusive lock on an empty database: it works wherever the database itself does, also between
two connections in one process. Locks are taken and tested inside a write transaction of the main database, whose lock
keeps a test from coming between the making of a file and its locking.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from madetl.asking import ledger
from madetl.store.database import transaction


@contextmanager
def run_lock(db: sqlite3.Connection, run_id: int) -> Iterator[None]:
    """Marks a run as one that executes, until the block ends. Do not open it inside a transaction."""
    file = _file(db, run_id)
    if file is None:  # a database in memory: nobody else can see its runs
        yield
        return
    with transaction(db):
        lock = sqlite3.connect(file, isolation_level=None)
        lock.execute("PRAGMA journal_mode = MEMORY")  # no second file beside it
        lock.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        lock.close()
        file.unlink(missing_ok=True)


def executes(db: sqlite3.Connection, run_id: int | None) -> bool:
    """Whether a run holds its lock. Call it inside a write transaction."""
    file = None if run_id is None else _file(db, run_id)
    if file is None or not file.exists():
        return False
    probe = sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None)
    try:
        probe.execute("PRAGMA journal_mode = MEMORY")
        probe.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        return True
    finally:
        probe.close()
    return False


def close_killed_runs(db: sqlite3.Connection) -> int:
    """Closes what killed runs left open as 'interrupted'; returns how many requests those were."""
    with transaction(db):
        dead = [run_id for run_id in ledger.runs_with_open_calls(db) if not executes(db, run_id)]
        closed = sum(ledger.interrupt_run(db, run_id) for run_id in dead)
        for run_id in dead:
            file = _file(db, run_id)
            if file is not None:
                file.unlink(missing_ok=True)
    return closed


def _file(db: sqlite3.Connection, run_id: int) -> Path | None:
    main = next(row["file"] for row in db.execute("PRAGMA database_list") if row["name"] == "main")
    return Path(f"{main}-run-{run_id}") if main else None
