"""Opens the SQLite file, brings it up to date, and writes to it: how madetl uses SQLite is known here alone.

`reading` opens a file without changing it; `writing` creates or migrates it and leaves one complete file behind.
Every write happens inside `transaction`, which takes the write lock at once: a read that turns into a write fails
immediately when somebody else writes, whatever the timeout.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from madetl.errors import DatabaseBusyError, DatabaseError
from madetl.store import sqlfiles

_LOCKED = ("SQLITE_BUSY", "SQLITE_LOCKED")
APPLICATION_ID = 0x4D414431  # "MAD1", set by schema/0001_initial.sql
BUSY_TIMEOUT = 30.0  # seconds to wait for another writer
_MAX_VARIABLES = 30_000  # SQLite's own limit is 32,766 in one statement
# Measured: three times as fast as executemany. A statement keeps a copy of every index page that it touches, so that it
# can be undone; with 200 rows each those copies were a quarter of the time.
_ROWS_PER_STATEMENT = 1000


@contextmanager
def reading(path: str | Path, *, timeout: float = BUSY_TIMEOUT) -> Iterator[sqlite3.Connection]:
    """Opens an up-to-date database for reading; neither the file nor its folder changes.

    `timeout` is how many seconds to wait for a lock. Raises DatabaseError if the file is missing, not madetl's, or of
    another version.
    """
    path = _existing(path)
    with _errors_named(path, timeout):
        db = _open(_read_only_uri(path), timeout)
        try:
            _check_version(db, path, may_migrate=False)
            db.execute("PRAGMA query_only = ON")
            yield db
        finally:
            db.close()


@contextmanager
def writing(path: str | Path, *, create: bool = True, timeout: float = BUSY_TIMEOUT) -> Iterator[sqlite3.Connection]:
    """Opens a database for writing, created or migrated where needed; the log is folded into the one file at the end.

    With `create` false, a missing file is an error: for commands that find nothing to do in a new one. A file that is
    made here and has no rows when the block fails is taken away again: a name that was mistyped leaves nothing behind.
    `timeout` is how many seconds to wait for a lock. Raises DatabaseError if the file cannot be created, is not
    madetl's, is newer than this program, or stays locked; the file is then as it was.
    """
    path = _file(path) if create else _existing(path)
    if not path.parent.is_dir():
        raise DatabaseError(f"{path}: the folder {path.parent} does not exist. Make it, or name another file.")
    made_here = not path.exists()
    with _errors_named(path, timeout):
        db = _open(f"{_uri(path)}?mode=rwc", timeout)
        try:
            _check_version(db, path, may_migrate=True)
            _use_wal(db, timeout)
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA cache_size = -65536")  # 64 MB: with the usual 2 a bulk write rereads its index pages
            migrate(db)
        except BaseException:
            if made_here:
                _remove_without_rows(db, path)
            db.close()  # nothing to fold in, and perhaps not our file
            raise
        try:
            yield db
        except BaseException:
            if made_here:
                _remove_without_rows(db, path)
            raise
        finally:
            _checkpoint_and_close(db)


@contextmanager
def joining(path: str | Path, *, timeout: float = BUSY_TIMEOUT) -> Iterator[sqlite3.Connection]:
    """Opens a database that this process holds open for `writing`, for the short work of another thread.

    Nothing is checked, migrated or folded in: the connection that is open for `writing` does this. Raises
    DatabaseError if it stays locked for `timeout` seconds.
    """
    path = _existing(path)
    with _errors_named(path, timeout):
        db = _open(f"{_uri(path)}?mode=rw", timeout)
        try:
            db.execute("PRAGMA synchronous = NORMAL")
            yield db
        finally:
            db.close()


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """One transaction that writes: committed as a whole, or rolled back as a whole if anything is raised."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.commit()
    except BaseException:
        db.rollback()
        raise


def migrate(db: sqlite3.Connection) -> list[int]:
    """Applies the files of schema/ that the database lacks, each in one transaction; returns their versions.

    Foreign keys are off meanwhile, so that a migration can make a table anew without taking its children along; the
    result is checked before it is committed.
    """
    pending = [(version, script) for version, script in sqlfiles.migrations() if version > _user_version(db)]
    if not pending:
        return []
    db.execute("PRAGMA foreign_keys = OFF")  # does nothing inside a transaction
    try:
        return [version for version, script in pending if _apply(db, version, script)]
    finally:
        db.execute("PRAGMA foreign_keys = ON")


def insert_rows(
    db: sqlite3.Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], conflict: str = ""
) -> int:
    """Inserts rows many to a statement; returns how many were new.

    `conflict` goes between INSERT and INTO ("OR IGNORE"). Call it inside a `transaction`.
    """
    before = db.total_changes
    per_statement = min(_ROWS_PER_STATEMENT, _MAX_VARIABLES // len(columns))
    one = f"({', '.join('?' * len(columns))})"
    head = f"INSERT {conflict} INTO {table} ({', '.join(columns)}) VALUES "
    iterator = iter(rows)
    while chunk := list(islice(iterator, per_statement)):
        db.execute(head + ", ".join([one] * len(chunk)), [value for row in chunk for value in row])
    return db.total_changes - before


def _apply(db: sqlite3.Connection, version: int, script: str) -> bool:
    with transaction(db):
        if version <= _user_version(db):  # another process was faster
            return False
        for statement in _statements(script):
            db.execute(statement)
        if orphan := db.execute("PRAGMA foreign_key_check").fetchone():
            raise DatabaseError(
                f"Migration {version} would leave rows of {orphan[0]} without their parents in {orphan[2]}."
            )
        db.execute(f"PRAGMA user_version = {version}")
    return True


def _file(path: str | Path) -> Path:
    path = Path(path)
    if path.is_dir():
        raise DatabaseError(f"{path} is a folder. Give the name of a database file.")
    return path


def _existing(path: str | Path) -> Path:
    path = _file(path)
    if not path.exists():
        raise DatabaseError(f"{path}: there is no such database. `{_init_command(path)}` makes one.")
    return path


def _init_command(path: Path) -> str:
    return f"madetl --db {shlex.quote(str(path))} init"


def _remove_without_rows(db: sqlite3.Connection, path: Path) -> None:
    """Takes a file away in which nothing is stored but runs, unless somebody else has it open."""
    try:
        tables = [
            row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'runs'")
        ]
        if any(db.execute(f'SELECT EXISTS (SELECT 1 FROM "{table}")').fetchone()[0] for table in tables):
            return
        db.execute("PRAGMA busy_timeout = 0")
        db.execute("PRAGMA journal_mode = DELETE")  # refused while another connection has the file open
        path.unlink()
    except (sqlite3.Error, OSError):
        return


def ids_by_name(db: sqlite3.Connection, table: str, names: Iterable[str]) -> dict[str, int]:
    """The id of each name in a table whose key is a name (models, annotators), its row made where it is new.

    Call it inside a `transaction`.
    """
    names = list(dict.fromkeys(names))
    insert_rows(db, table, ["name"], ([name] for name in names), "OR IGNORE")
    found = db.execute(
        f"SELECT id, name FROM {table} WHERE name IN (SELECT value FROM json_each(?))", [json.dumps(names)]
    )
    return {row["name"]: row["id"] for row in found}


def _open(uri: str, timeout: float) -> sqlite3.Connection:
    db = sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA foreign_keys = ON")
    return db


def _uri(path: Path) -> str:
    return path.absolute().as_uri()


def _read_only_uri(path: Path) -> str:
    """The address that reads without leaving anything behind.

    With a log beside the file, mode=ro reads both and touches neither (SQLite may make its index of the log, -shm,
    anew). Without one, mode=ro would create a log and leave it, and it leaves an empty one of a killed process where it
    is; an ordinary connection removes its own again (and query_only keeps it from writing). Where the folder cannot be
    written to, nobody here can write, and immutable needs no log at all.
    """
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size:
        return f"{_uri(path)}?mode=ro"
    writable = os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK)
    return f"{_uri(path)}?mode=rw" if writable else f"{_uri(path)}?immutable=1"


def _user_version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _check_version(db: sqlite3.Connection, path: Path, *, may_migrate: bool) -> None:
    ours = sqlfiles.migrations()[-1][0]
    application, theirs, empty = _identity(db)
    if application != APPLICATION_ID and not (empty and may_migrate):
        what = "is empty" if empty else "is an SQLite database, but not one of madetl's"
        raise DatabaseError(f"{path} {what}. Name a database that `madetl init` made, or a new file.")
    if theirs > ours:
        raise DatabaseError(
            f"{path} has schema version {theirs}; this madetl knows versions up to {ours}. "
            "Upgrade it: pip install --upgrade madetl"
        )
    if theirs < ours and not may_migrate:
        raise DatabaseError(
            f"{path} has schema version {theirs}, and reading needs {ours}. `{_init_command(path)}` migrates it."
        )


def _identity(db: sqlite3.Connection) -> tuple[int, int, bool]:
    """(application id, schema version, whether it is empty), all of one moment: another process may be migrating."""
    db.execute("BEGIN")
    try:
        empty = not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        return db.execute("PRAGMA application_id").fetchone()[0], _user_version(db), empty
    finally:
        db.rollback()


def _use_wal(db: sqlite3.Connection, timeout: float) -> None:
    """Switches to WAL. SQLite does not wait for this lock by itself, so two first openers must take turns."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if not _named(error, *_LOCKED) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one, since executescript would commit before the first."""
    statement = ""
    for piece in re.split(r"(?<=;)", script):
        statement += piece
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    yield statement  # a closing comment, or what SQLite will report as an error


def _checkpoint_and_close(db: sqlite3.Connection) -> None:
    try:
        db.execute(
            "PRAGMA busy_timeout = 0"
        )  # where another connection is open, the last one to close folds the log in
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.OperationalError as error:
        if not _named(error, *_LOCKED):
            raise
    finally:
        db.close()


def _named(error: sqlite3.Error, *names: str) -> bool:
    """Whether SQLite's name for the error is one of these, or a finer one of it (SQLITE_BUSY_SNAPSHOT)."""
    return str(getattr(error, "sqlite_errorname", "")).startswith(names)


_SAVE = "Restore a copy, or save what is left: sqlite3 FILE .recover"
# What a damaged file may bring about in the code that reads it, beside what SQLite itself sees.
_SYMPTOMS = (
    sqlite3.Error,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
)


@contextmanager
def _errors_named(path: Path, timeout: float) -> Iterator[None]:
    """Turns SQLite's errors about the file into a DatabaseError that says which file and what to do.

    So are errors of any kind that come from a file that is damaged, which is looked at only then.
    """
    try:
        yield
    except _SYMPTOMS as error:
        message = _file_error(error, timeout) if isinstance(error, sqlite3.Error) else None
        if message is None and (damage := _damage(path)):
            message = f"is damaged ({damage}). {_SAVE}"
        if message is None:
            raise
        busy = isinstance(error, sqlite3.Error) and _named(error, *_LOCKED)
        raise (DatabaseBusyError if busy else DatabaseError)(f"{path} {message}") from error


def _file_error(error: sqlite3.Error, timeout: float) -> str | None:
    """What is wrong with the file and what to do; None where the error is not about the file."""
    if "Could not decode to UTF-8" in str(error):
        return f"is damaged (a text in it is not UTF-8). {_SAVE}"
    messages = {
        ("SQLITE_NOTADB",): "is not an SQLite database. Name another file.",
        _LOCKED: f"is locked: another program has been writing for over {timeout:g} s. Try again when it has finished.",
        ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM"): "cannot be opened or written. Check the permissions of"
        " the file and its folder.",
        ("SQLITE_CORRUPT",): f"is damaged ({_one_line(error)}). {_SAVE}",
        ("SQLITE_FULL", "SQLITE_IOERR"): f"could not be written ({error}). Make room on the disk and run the command"
        " again.",
    }
    return next((message for names, message in messages.items() if _named(error, *names)), None)


def _damage(path: Path) -> str | None:
    """What is wrong inside the file, by SQLite's own check and beside the schema that it should have; None: nothing."""
    try:
        with closing(_open(_read_only_uri(path), BUSY_TIMEOUT)) as db:
            found = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
            if found != "ok":
                return _one_line(found)
            version, theirs = _user_version(db), _schema(db)
        with closing(_open(":memory:", BUSY_TIMEOUT)) as fresh:
            fresh.execute("PRAGMA foreign_keys = OFF")
            for number, script in sqlfiles.migrations():
                if number <= version:
                    _apply(fresh, number, script)
            ours = _schema(fresh)
    except (sqlite3.Error, UnicodeDecodeError, DatabaseError) as error:
        return _one_line(error)
    changed = [name for name, sql in ours.items() if theirs.get(name) != sql]
    return f"the schema of {changed[0]} is not the one that it was made with" if changed else None


def _schema(db: sqlite3.Connection) -> dict[str, str | None]:
    """The statement that made each table, view, index and trigger, by name."""
    return {row["name"]: row["sql"] for row in db.execute("SELECT name, sql FROM sqlite_schema")}


def _one_line(message: object) -> str:
    """A message of SQLite's as part of a sentence; a damaged file puts anything into it."""
    text = " ".join("".join(sign if sign.isprintable() else " " for sign in str(message)).split())
    return text if len(text) <= 120 else f"{text[:119]}…"
