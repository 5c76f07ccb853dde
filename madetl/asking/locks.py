"""Tells runs that are executing from runs that were killed, also where several commands use one database at once.

While a run asks, it holds a lock on a file of its own beside the database, `mad.db-run-17`. The operating system
releases the lock when the process ends, `kill -9` included. So a run whose lock another process can take was killed. A
process id would not do: ids are reused, and differ between containers that share the folder.

The lock is SQLite's own exclusive lock on an empty database: it works wherever the database itself does, also between
two connections in one process. Locks are taken and tested inside a write transaction of the main database,
so that no test comes between the creation of a lock file and its locking.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from madetl.asking import ledger
from madetl.store.database import transaction


@contextmanager
def run_lock(db: sqlite3.Connection, run_id: int) -> Iterator[None]:
    """Holds the run's lock until the block ends. Do not open it inside a transaction."""
    file = _file(db, run_id)
    if file is None:  # a database in memory: no other process sees its runs
        yield
        return
    with ExitStack() as ending:
        with transaction(db):
            lock = sqlite3.connect(file, isolation_level=None)
            ending.callback(file.unlink, missing_ok=True)  # also where the transaction fails
            ending.callback(lock.close)
            lock.execute("PRAGMA journal_mode = MEMORY")  # no second file beside it
            lock.execute("BEGIN EXCLUSIVE")
        yield


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
    """Closes the requests of killed runs as 'interrupted'; returns how many requests those were."""
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
