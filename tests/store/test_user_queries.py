"""`madetl query`: any question, no change."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from madetl.errors import ParameterError
from madetl.store import sqlfiles, user_queries
from tests.conftest import Study
from tests.support import children

Madetl = Callable[..., CompletedProcess[str]]


def rows(db: sqlite3.Connection, sql: str, **parameters: user_queries.Value) -> list[tuple[object, ...]]:
    with user_queries.executed(db, user_queries.find(db, sql), parameters) as found:
        return list(found)


@pytest.fixture
def models(study: Study) -> sqlite3.Connection:
    study.model("a")
    study.model("b")
    return study.db


def test_sql_a_query_a_view_and_a_table_are_asked(models: sqlite3.Connection) -> None:
    assert rows(models, "SELECT name FROM models ORDER BY name") == [("a",), ("b",)]
    assert rows(models, "SELECT value FROM json_each('[1, 2]')") == [(1,), (2,)]
    assert [row[0] for row in rows(models, "model_list")] == ["a", "b"]
    assert rows(models, "leaderboard;") == []
    assert len(rows(models, " models ")) == 2


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM models",
        "INSERT INTO models (name) VALUES ('c') RETURNING name",
        "WITH x AS (SELECT 'c' AS n) INSERT INTO models (name) SELECT n FROM x",
        "UPDATE sqlite_master SET sql = ''",
        "DROP TABLE models",
        "CREATE TEMP TABLE t (a)",
        "CREATE VIRTUAL TABLE t USING fts5 (a)",
        "ATTACH '{folder}/other.db' AS other",
        "VACUUM INTO '{folder}/copy.db'",
        "VACUUM main",
        "PRAGMA user_version = 3",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA query_only = OFF",
        "PRAGMA writable_schema = ON",
        "PRAGMA wal_checkpoint",
        "BEGIN IMMEDIATE",
        "REINDEX models",
        "SELECT load_extension('x')",
    ],
)
def test_whatever_is_more_than_reading_is_refused(models: sqlite3.Connection, tmp_path: Path, sql: str) -> None:
    folder = models.execute("SELECT file FROM pragma_database_list").fetchone()[0].rsplit("/", 1)[0]
    before = "\n".join(models.iterdump()), sorted(Path(folder).iterdir())
    with pytest.raises(ParameterError, match=r"only reads|not authorized|may not be modified"):
        rows(models, sql.format(folder=tmp_path))
    assert ("\n".join(models.iterdump()), sorted(Path(folder).iterdir())) == before
    assert models.execute("PRAGMA user_version").fetchone()[0] == sqlfiles.migrations()[-1][0]
    models.execute("INSERT INTO models (name) VALUES ('c')")  # the connection is free again


@pytest.mark.parametrize("sql", ["PRAGMA user_version", "PRAGMA table_info(models)", "EXPLAIN SELECT 1", "VALUES (1)"])
def test_reading_of_every_kind_is_allowed(models: sqlite3.Connection, sql: str) -> None:
    assert rows(models, sql)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7), ("-7", -7), ("0.5", 0.5), ("1e3", 1000.0), (".5", 0.5), ("null", None), ("NULL", None), ("", ""),
        ("gpt-4", "gpt-4"), ('"7"', "7"), ("'null'", "null"), ("nan", "nan"), ("1_000", "1_000"), ("٣", "٣"),
    ],
)  # fmt: skip
def test_parameters_have_types(db: sqlite3.Connection, text: str, value: user_queries.Value) -> None:
    typed = user_queries.typed(text)
    assert (typed, type(typed)) == (value, type(value))
    assert rows(db, "SELECT :x", x=typed) == [(value,)]


@pytest.mark.parametrize(
    ("sql", "given", "words"),
    [
        ("SELECT :a, :b, ':c' -- :d", {"a": 1}, "needs :b. Give each as -p"),
        ("SELECT 1", {"a": 1}, "knows no :a; it takes no parameters"),
        ("SELECT :b", {"a": 1, "b": 2}, "knows no :a; it takes :b"),
        ("SELECT ?", {}, "Write parameters as :name"),
        ("SELECT 1; SELECT 2", {}, "one statement"),
        ("SELECT nope FROM models", {}, "no such column: nope"),
        ("SELEC 1", {}, "syntax error"),
        ("-- nothing", {}, "no statement"),
        ("nothing_like_it", {}, "No query, table or view"),
        ("SELECT :a", {"a": 2**70}, "too large"),
        ("SELECT abs(-9223372036854775808)", {}, "integer overflow"),
    ],
)
def test_mistakes_are_explained_in_one_line(
    db: sqlite3.Connection, sql: str, given: dict[str, user_queries.Value], words: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        rows(db, sql, **given)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_query_for_files_is_not_for_the_database(db: sqlite3.Connection) -> None:
    for_files = [name for name in sqlfiles.query_files() if name.endswith(".duckdb")]
    assert for_files
    with pytest.raises(ParameterError, match="DuckDB"):
        user_queries.find(db, for_files[0].partition("/")[2])


def test_the_list_has_the_queries_that_read_and_no_others(db: sqlite3.Connection) -> None:
    listed = {row["query"]: row for row in user_queries.listing(everything=True) if row["group"] != "views"}
    assert "model_list" in listed
    assert listed["mad_picks"]["parameters"].split(", ")[0] == "metric_id"
    assert all(row["what"].endswith((".", ":")) for row in listed.values())
    for name in sqlfiles.query_files():
        if not name.endswith(".duckdb"):
            assert reads(db, sqlfiles.query(name)) == (name.partition("/")[2] in listed), name


def test_a_query_is_printed_whole(models: sqlite3.Connection, madetl) -> None:
    printed = madetl("query", "mad_picks", "--sql").stdout
    assert printed == sqlfiles.query("selection/mad_picks")
    assert "length_ratio > 0" in printed  # what eligible means is in it


def reads(db: sqlite3.Connection, sql: str) -> bool:
    try:
        with user_queries.executed(db, f"EXPLAIN {sql}", dict.fromkeys(sqlfiles.query_parameters(sql))):
            return True
    except ParameterError:
        return False


# --- as a process


def test_a_table_csv_and_json_hold_the_same_rows(models: sqlite3.Connection, madetl: Madetl) -> None:
    sql = "SELECT name, name, x'00ff' AS blob, NULL AS empty, 'é, \"x\"' AS text FROM models ORDER BY 1"
    table = madetl("query", sql).stdout
    assert "<2 bytes>" in table
    assert "name_2" in table
    records = json.loads(madetl("query", sql, "--json").stdout)
    assert records[1] == {"name": "b", "name_2": "b", "blob": "<2 bytes>", "empty": None, "text": 'é, "x"'}
    lines = list(csv.reader(io.StringIO(madetl("query", sql, "--csv").stdout)))
    assert lines == [
        ["name", "name", "blob", "empty", "text"],
        ["a", "a", "<2 bytes>", "", 'é, "x"'],
        ["b", "b", "<2 bytes>", "", 'é, "x"'],
    ]


def test_no_rows_are_an_empty_table_header_and_array(db: sqlite3.Connection, madetl: Madetl) -> None:
    assert madetl("query", "SELECT name FROM models").stdout.strip() == "(no rows)"
    assert madetl("query", "SELECT name FROM models", "--csv").stdout == "name\n"
    assert json.loads(madetl("query", "SELECT name FROM models", "--json").stdout) == []


def test_a_named_query_takes_its_parameters(models: sqlite3.Connection, madetl: Madetl) -> None:
    found = madetl("query", "battles_between", "-p", "old_id=1", "-p", "new_id=2", "--json").stdout
    assert json.loads(found) == [{"battles": 0}]
    assert "battles_between" in madetl("query", "--list", "--all").stdout


def test_usage_errors(madetl: Madetl) -> None:
    assert "-p" in madetl("query", "SELECT 1", "-p", "x", status=2).stderr
    assert "--list" in madetl("query", status=2).stderr
    assert "--csv" in madetl("query", "SELECT 1", "--csv", "--json", status=2).stderr


def test_a_query_leaves_the_file_as_it_is_and_makes_none(madetl: Madetl, db_file: Path, tmp_path: Path) -> None:
    madetl("init")
    before = hashlib.sha256(db_file.read_bytes()).hexdigest(), db_file.stat().st_mtime_ns
    madetl("query", "models")
    madetl("query", "DELETE FROM models", status=1)
    assert (hashlib.sha256(db_file.read_bytes()).hexdigest(), db_file.stat().st_mtime_ns) == before
    assert "no such database" in madetl("--db", tmp_path / "typo.db", "query", "models", status=1).stderr
    assert [file.name for file in tmp_path.iterdir()] == [db_file.name]


ENDLESS = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT {} FROM n"


@pytest.mark.slow
def test_a_large_result_streams(db: sqlite3.Connection, db_file: Path) -> None:
    for kind, first in (("--csv", "x\n"), ("--json", "[\n")):
        with children.madetl(db_file, "query", ENDLESS.format("x"), kind) as child:
            assert child.stdout.readline() == first
            child.stdout.close()  # as `| head -1` does
            assert child.wait() == 1
            assert child.stderr.read() == ""


def test_a_table_shows_the_first_rows_and_says_so(db: sqlite3.Connection, madetl: Madetl) -> None:
    done = madetl("query", ENDLESS.format("x"))
    assert "1000" in done.stdout
    assert "first 1,000 rows" in done.stderr


@pytest.mark.slow
def test_ctrl_c_stops_a_query_that_never_ends(db: sqlite3.Connection, db_file: Path) -> None:
    code = "print('go', flush=True); from madetl.cli import main; main()"
    with children.python("-c", code, "--db", db_file, "query", ENDLESS.format("count(*)")) as child:
        child.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(timeout=1.5)
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate()
        assert child.returncode == 130
        assert "Traceback" not in errors


def test_what_json_has_no_word_for_is_null(db: sqlite3.Connection, madetl: Madetl) -> None:
    printed = madetl("query", "SELECT 1e400 AS much, -1e400 AS little, 1.5 AS number", "--json").stdout
    assert json.loads(printed, parse_constant=pytest.fail) == [{"much": None, "little": None, "number": 1.5}]


# --- what takes too long, and what is left behind


def test_a_query_that_takes_too_long_is_ended_and_says_how_to_give_it_longer(models: sqlite3.Connection) -> None:
    for columns in ("count(*)", "x"):
        with (
            pytest.raises(ParameterError, match=r"ended after 0\.1 s\. --timeout SECONDS gives it longer"),
            user_queries.executed(models, ENDLESS.format(columns), {}, timeout=0.1) as found,
        ):
            for _ in found:
                pass
    assert rows(models, "SELECT count(*) FROM models") == [(2,)]  # the connection is free again


def test_the_time_that_a_reader_takes_over_the_rows_does_not_count(models: sqlite3.Connection) -> None:
    sql = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 20000) SELECT x FROM n"
    with user_queries.executed(models, sql, {}, timeout=2) as found:
        assert next(found) == (1,)
        time.sleep(2.2)
        assert sum(1 for _ in found) == 19_999
    with user_queries.executed(models, sql, {}, timeout=0) as found:
        assert sum(1 for _ in found) == 20_000


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ended", "timeout", "SIGINT", "SIGTERM", "closed pipe", "failed"])
def test_a_query_leaves_no_log_beside_the_file_however_it_ends(db_file: Path, empty: Path, how: str) -> None:
    shutil.copyfile(empty, db_file)
    sql = "SELECT 1" if how == "ended" else "SELEC" if how == "failed" else ENDLESS.format("x")
    with children.madetl(db_file, "query", sql, "--csv", "--timeout", 1 if how == "timeout" else 0) as child:
        if how == "timeout":
            _, errors = child.communicate()
            assert errors.startswith("Error: The query was ended after 1 s.")
            assert len(errors.splitlines()) == 1
        elif how in ("SIGINT", "SIGTERM"):
            child.stdout.readline()
            child.send_signal(getattr(signal, how))
            child.communicate()
            assert child.returncode == 128 + getattr(signal, how)
        elif how == "closed pipe":
            child.stdout.readline()
            child.stdout.close()
            child.wait()
        else:
            child.communicate()
    assert [file.name for file in db_file.parent.iterdir()] == [db_file.name]


def test_an_empty_log_of_a_killed_process_is_taken_away(db_file: Path, empty: Path, madetl: Madetl) -> None:
    shutil.copyfile(empty, db_file)
    for suffix in ("-wal", "-shm"):
        db_file.with_name(db_file.name + suffix).touch()
    madetl("query", "SELECT 1")
    assert [file.name for file in db_file.parent.iterdir()] == [db_file.name]


# --- the list


def test_the_list_begins_with_the_views_and_has_a_dozen_queries_by_stage(db: sqlite3.Connection) -> None:
    listed = user_queries.listing()
    views = {row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'view'")}
    groups = list(dict.fromkeys(row["group"] for row in listed))
    assert groups[0] == "views"
    assert [re.search(r"steps? (\d)", group)[1] for group in groups[1:]] == ["1", "3", "4", "5", "6"]
    assert {row["query"] for row in listed if row["group"] == "views"} == views
    assert listed[0]["query"] == "leaderboard"
    assert len(listed) - len(views) == 12
    assert all(row["what"].endswith((".", ":")) for row in listed)
    for row in listed:
        assert rows(db, row["query"], **dict.fromkeys(filter(None, row["parameters"].split(", ")))) is not None


def test_the_rest_stands_behind_all(madetl: Madetl) -> None:
    short, whole = (json.loads(madetl("query", "--list", *more, "--json").stdout) for more in ([], ["--all"]))
    assert whole[: len(short)] == short
    assert "mad_picks" in {row["query"] for row in whole} - {row["query"] for row in short}
    assert "mad_picks" not in madetl("query", "--list").stdout
    assert "--list" in madetl("query", "--all", status=2).stderr
