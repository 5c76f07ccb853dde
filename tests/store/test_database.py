"""The file itself: made, migrated, refused, shared by processes, and never touched by a reader."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from madetl.errors import DatabaseError
from madetl.store import database, sqlfiles
from tests.support import children

NEXT = sqlfiles.migrations()[-1][0] + 1  # the version that a migration of a test makes


@pytest.fixture
def schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of schema/ that a test may add migrations to."""
    copy = tmp_path / "resources" / "schema"
    shutil.copytree(sqlfiles.folder("schema"), copy)
    monkeypatch.setattr(sqlfiles, "folder", lambda name: copy.parent / name)
    return copy


def tables(db: sqlite3.Connection) -> set[str]:
    return {row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def snapshot(folder: Path) -> dict[str, str]:
    """Every file of a folder with the hash of its content and the time of its last change."""
    return {
        file.name: f"{hashlib.sha256(file.read_bytes()).hexdigest()} {file.stat().st_mtime_ns}"
        for file in folder.iterdir()
        if file.is_file()
    }


def fails(path: Path, *words: str, write: bool = True, timeout: float = 30) -> None:
    with pytest.raises(DatabaseError) as caught:  # noqa: PT012
        opened = database.writing if write else database.reading
        with opened(path, timeout=timeout) as db:
            db.execute("SELECT count(*) FROM models").fetchone()
    message = str(caught.value)
    assert "\n" not in message
    for word in (str(path), *words):
        assert word in message


# --- new and old files


def test_a_new_file_gets_the_schema_and_is_one_file(db_file: Path) -> None:
    with database.writing(db_file) as db:
        assert {"models", "runs", "ratings"} <= tables(db)
        assert db.execute("PRAGMA user_version").fetchone()[0] == sqlfiles.migrations()[-1][0]
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert db.execute("PRAGMA foreign_keys").fetchone()[0] == 1
        assert db.execute("PRAGMA busy_timeout").fetchone()[0] >= 30_000
    assert [file.name for file in db_file.parent.iterdir()] == [db_file.name]


def test_an_empty_file_is_taken_as_a_new_one_by_writers_alone(db_file: Path) -> None:
    db_file.touch()
    fails(db_file, "is empty", write=False)
    assert db_file.stat().st_size == 0
    with database.writing(db_file) as db:
        assert "models" in tables(db)


def test_an_older_database_is_migrated_with_its_rows(db_file: Path, schema: Path) -> None:
    # given a database of today with a row, and a program one version on that makes a parent table anew
    with database.writing(db_file) as db:
        db.execute("INSERT INTO runs (command, version) VALUES ('old', '0')")
        db.execute("INSERT INTO models (name) VALUES ('m')")
        db.execute("INSERT INTO instructions (scenario, instruction, hash) VALUES ('s', 'i', ?)", ("0" * 64,))
        db.execute(
            "INSERT INTO responses (instruction_id, model_id, response, hash, words, characters)"
            " VALUES (1, 1, 'r', ?, 1, 1)",
            ("0" * 64,),
        )
    (schema / f"{NEXT:04}_license.sql").write_text(
        "CREATE TABLE new (id INTEGER PRIMARY KEY, name TEXT NOT NULL, license TEXT) STRICT;\n"
        "INSERT INTO new (id, name) SELECT id, name FROM models;\n"
        "CREATE TRIGGER t AFTER INSERT ON runs BEGIN SELECT 1; SELECT 2; END;\n"
        "DROP VIEW battles; DROP VIEW selected_pairs; DROP VIEW win_rates; DROP VIEW leaderboard;\n"
        "DROP VIEW progress; DROP VIEW spend;\n"
        "DROP TABLE models;\n"
        "ALTER TABLE new RENAME TO models;\n"
    )
    # then a reader says what to do and changes nothing, and a writer migrates
    before = snapshot(db_file.parent)
    fails(db_file, f"version {NEXT - 1}", "init", write=False)
    assert snapshot(db_file.parent) == before
    with database.writing(db_file) as db:
        assert db.execute("SELECT name, license FROM models").fetchall()[0]["name"] == "m"
        assert db.execute("SELECT count(*) FROM responses").fetchone()[0] == 1  # the old table took no child along
        assert db.execute("PRAGMA user_version").fetchone()[0] == NEXT
        assert db.execute("PRAGMA foreign_keys").fetchone()[0] == 1
        assert database.migrate(db) == []


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (
            "CREATE TABLE extra (id INTEGER PRIMARY KEY) STRICT;\nINSERT INTO nowhere VALUES (1);\n",
            sqlite3.DatabaseError,
        ),
        ("PRAGMA application_id = 7;\nDELETE FROM runs;\nSELECT 1 FROM;\n", sqlite3.DatabaseError),
        ("CREATE TABLE extra (id INTEGER PRIMARY KEY) STRICT;\nDELETE FROM models;\n", DatabaseError),
    ],
    ids=["unknown table", "syntax", "orphans"],
)
def test_a_migration_that_fails_leaves_nothing_behind(
    db_file: Path, schema: Path, script: str, error: type[Exception]
) -> None:
    with database.writing(db_file) as db:
        db.execute("INSERT INTO runs (command, version) VALUES ('old', '0')")
        db.execute("INSERT INTO models (name) VALUES ('m')")
        db.execute("INSERT INTO metrics (name, hash, model_id) VALUES ('x', ?, 1)", ("0" * 64,))
        before = "\n".join(db.iterdump())
    (schema / f"{NEXT:04}_broken.sql").write_text(script)
    with pytest.raises(error), database.writing(db_file):
        pass
    (schema / f"{NEXT:04}_broken.sql").unlink()
    with database.reading(db_file) as db:
        assert "\n".join(db.iterdump()) == before
        assert db.execute("PRAGMA user_version").fetchone()[0] == NEXT - 1
        assert db.execute("PRAGMA application_id").fetchone()[0] == database.APPLICATION_ID


# --- files that cannot be used


def test_a_newer_database_is_refused(db_file: Path) -> None:
    with database.writing(db_file) as db:
        db.execute("PRAGMA user_version = 99")
    before = snapshot(db_file.parent)
    for write in (True, False):
        fails(db_file, "version 99", "Upgrade", write=write)
    assert snapshot(db_file.parent) == before


@pytest.mark.parametrize("write", [True, False])
def test_what_is_not_sqlite_is_refused(db_file: Path, write: bool) -> None:
    db_file.write_text("instruction,response\n" * 100)
    before = snapshot(db_file.parent)
    fails(db_file, "not an SQLite database", write=write)
    assert snapshot(db_file.parent) == before


@pytest.mark.parametrize("write", [True, False])
def test_somebody_elses_database_is_refused(db_file: Path, write: bool) -> None:
    other = sqlite3.connect(db_file)
    other.executescript("CREATE TABLE t (a); CREATE INDEX i ON t (a); INSERT INTO t VALUES (1); ANALYZE;")
    other.close()
    before = snapshot(db_file.parent)
    fails(db_file, "not one of madetl's", write=write)
    assert snapshot(db_file.parent) == before


def test_a_damaged_database_is_named(db_file: Path) -> None:
    with database.writing(db_file):
        pass
    content = bytearray(db_file.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    db_file.write_bytes(content)
    fails(db_file, "damaged", write=False)


@pytest.mark.parametrize("write", [True, False])
def test_a_missing_folder_is_named(tmp_path: Path, write: bool) -> None:
    fails(tmp_path / "missing" / "mad.db", "init" if not write else "does not exist", write=write)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", [True, False])
def test_a_folder_is_not_a_database(tmp_path: Path, write: bool) -> None:
    fails(tmp_path, "is a folder", write=write)


def test_an_unwritable_folder_is_named() -> None:
    fails(Path("/proc/mad.db"), "cannot be opened or written")


def test_a_path_with_spaces_is_quoted_in_the_advice(tmp_path: Path) -> None:
    fails(tmp_path / "my study.db", "madetl --db '", write=False)


def test_errors_that_are_not_about_the_file_stay_as_they_are(db_file: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="malformed JSON"), database.writing(db_file) as db:
        db.execute("SELECT json_extract('{', '$.a')").fetchone()


# --- several at once


def test_a_locked_database_is_reported_after_the_timeout(db_file: Path) -> None:
    with database.writing(db_file) as holder, database.transaction(holder):
        start = time.monotonic()
        with (
            pytest.raises(DatabaseError, match=r"locked.*over 0.2 s"),
            database.writing(db_file, timeout=0.2) as db,
            database.transaction(db),
        ):
            pass
        assert 0.2 <= time.monotonic() - start < 5
        with database.reading(db_file) as db:  # readers need not wait
            assert db.execute("SELECT count(*) FROM models").fetchone()[0] == 0


def test_leaving_does_not_wait_for_another_writer(db_file: Path) -> None:
    with database.writing(db_file) as holder, database.transaction(holder):
        start = time.monotonic()
        with database.writing(db_file):
            pass
        assert time.monotonic() - start < 5


_WRITER = """
import sys
from madetl.store import database
with database.writing(sys.argv[1]) as db:
    for n in range(40):
        with database.transaction(db):
            count = db.execute("SELECT count(*) FROM models").fetchone()[0]
            db.execute("INSERT INTO models (name) VALUES (?)", (f"{sys.argv[2]}-{n}-{count}",))
"""


@pytest.mark.slow
def test_processes_that_make_and_write_one_file_at_once_all_succeed(db_file: Path) -> None:
    with ExitStack() as stack:
        writers = [stack.enter_context(children.python("-c", _WRITER, db_file, n)) for n in range(4)]
        assert [writer.wait() for writer in writers] == [0, 0, 0, 0]
    with database.reading(db_file) as db:
        names = [row[0] for row in db.execute("SELECT name FROM models")]
    assert sorted(int(name.split("-")[2]) for name in names) == list(range(160))
    assert [file.name for file in db_file.parent.iterdir()] == [db_file.name]


_KILLED = """
import sys
from madetl.store import database
with database.writing(sys.argv[1]) as db:
    with database.transaction(db):
        db.execute("INSERT INTO models (name) VALUES ('saved')")
    db.execute("PRAGMA cache_size = 100")  # pages go to the log before the transaction ends
    with database.transaction(db):
        database.insert_rows(db, "models", ["name"], ((f"lost {n}",) for n in range(200_000)))
        print("ready", flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def killed(db_file: Path) -> Path:
    """A database whose writer was killed in the midst of a large transaction."""
    with children.python("-c", _KILLED, db_file, stdin=subprocess.PIPE) as child:
        assert child.stdout.readline() == "ready\n"
    assert db_file.with_name(db_file.name + "-wal").stat().st_size > 1_000_000
    return db_file


@pytest.mark.slow
def test_a_killed_writer_leaves_what_was_committed(killed: Path) -> None:
    before = snapshot(killed.parent)
    with database.reading(killed) as db:
        assert [row[0] for row in db.execute("SELECT name FROM models")] == ["saved"]
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    after = snapshot(killed.parent)
    shared_memory = killed.name + "-shm"  # the readers' own notes, which SQLite makes anew
    assert {name: value for name, value in after.items() if name != shared_memory} == {
        name: value for name, value in before.items() if name != shared_memory
    }
    with database.writing(killed) as db:
        assert db.execute("SELECT count(*) FROM models").fetchone()[0] == 1
    assert [file.name for file in killed.parent.iterdir()] == [killed.name]


# --- readers change nothing


def test_a_reader_changes_neither_the_file_nor_its_folder(db_file: Path) -> None:
    with database.writing(db_file) as db:
        db.execute("INSERT INTO models (name) VALUES ('m')")
    before = snapshot(db_file.parent)
    with database.reading(db_file) as db:
        assert db.execute("SELECT name FROM models").fetchone()[0] == "m"
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            db.execute("DELETE FROM models")
    assert snapshot(db_file.parent) == before


def test_a_reader_sees_what_an_open_writer_committed(db_file: Path) -> None:
    with database.writing(db_file) as writer:
        writer.execute("INSERT INTO models (name) VALUES ('m')")
        with database.reading(db_file) as db:
            assert db.execute("SELECT name FROM models").fetchone()[0] == "m"


_READER = """
import pathlib, sys
from madetl.errors import DatabaseError
from madetl.store import database
from tests.support import permissions
permissions.obey()
file = pathlib.Path(sys.argv[1])
try:
    file.with_name("new").touch()
except PermissionError:
    print("the folder cannot be written")
with database.reading(file) as db:
    print(db.execute("SELECT name FROM models").fetchone()[0])
try:
    with database.writing(file) as db:
        db.execute("SELECT count(*) FROM models").fetchone()
except DatabaseError as error:
    print(error)
"""


def test_a_file_in_a_folder_that_cannot_be_written_is_read(db_file: Path) -> None:
    with database.writing(db_file) as db:
        db.execute("INSERT INTO models (name) VALUES ('m')")
    db_file.chmod(0o444)
    db_file.parent.chmod(0o555)
    before = snapshot(db_file.parent)
    with children.python("-c", _READER, db_file) as child:
        output, errors = child.communicate()
    db_file.parent.chmod(0o755)
    assert errors == ""
    folder, model, refused = output.splitlines()
    assert (folder, model) == ("the folder cannot be written", "m")
    assert refused.startswith(f"{db_file} cannot be opened or written")
    assert snapshot(db_file.parent) == before


def test_a_missing_file_stays_missing(db_file: Path) -> None:
    fails(db_file, "no such database", "init", write=False)
    assert list(db_file.parent.iterdir()) == []


# --- writing


def test_a_transaction_is_whole_or_absent(db: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError), database.transaction(db):  # noqa: PT012
        db.execute("INSERT INTO models (name) VALUES ('m')")
        db.execute("INSERT INTO models (name) VALUES ('m')")
    assert db.execute("SELECT count(*) FROM models").fetchone()[0] == 0
    with database.transaction(db):  # and the next one can begin
        db.execute("INSERT INTO models (name) VALUES ('m')")
    assert db.execute("SELECT count(*) FROM models").fetchone()[0] == 1


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 3000])
def test_insert_rows_writes_every_row_and_counts_the_new_ones(db: sqlite3.Connection, count: int) -> None:
    rows = [(f"m{n}",) for n in range(count)]
    with database.transaction(db):
        assert database.insert_rows(db, "models", ["name"], iter(rows)) == count
        assert database.insert_rows(db, "models", ["name"], [*rows, ("new",)], conflict="OR IGNORE") == 1
    assert db.execute("SELECT count(*) FROM models").fetchone()[0] == count + 1
