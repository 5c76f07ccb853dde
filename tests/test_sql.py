"""Every file of sql/: a header, one statement, documented parameters, and the schema that it is written for."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from madetl.store import database, sqlfiles
from madetl.study import demo

FILES = sqlfiles.query_files()
SQLITE = [name for name in FILES if not name.endswith(".duckdb")]
DUCKDB = [name for name in FILES if name.endswith(".duckdb")]
VIEWS = [
    "battles", "selected_pairs", "win_rates", "leaderboard", "progress", "spend", "verdicts", "votes", "agreement",
]  # fmt: skip


def header(name: str) -> str:
    """The comment that a file begins with."""
    match = re.match(r"(?:--[^\n]*\n)+", FILES[name].read_text(encoding="utf-8"))
    assert match, f"{FILES[name]} begins without a comment"
    return match.group()


def test_names_are_unique_and_say_the_dialect() -> None:
    files = list(sqlfiles.folder("sql").rglob("*.sql"))
    assert len({file.name for file in files}) == len(FILES) == len(files)
    for file in files:
        assert re.fullmatch(r"[a-z][a-z0-9_]*(\.duckdb)?\.sql", file.name)
        assert file.parent.parent == sqlfiles.folder("sql")


@pytest.mark.parametrize("name", FILES)
def test_the_header_says_what_and_at_what_grain(name: str) -> None:
    text = header(name)
    assert re.match(r"-- [A-Z]", text)
    assert "Grain:" in text or "Changes:" in text


@pytest.mark.parametrize("name", FILES)
def test_lines_are_short_and_nothing_is_starred(name: str) -> None:
    sql = FILES[name].read_text(encoding="utf-8")
    assert sql.endswith("\n")
    assert max(map(len, sql.splitlines())) <= 120
    if name in SQLITE:
        assert not re.search(r"(?i)select\s+(\w+\.)?\*", sql)


@pytest.mark.parametrize("name", FILES)
def test_parameters_are_documented(name: str) -> None:
    for parameter in sqlfiles.query_parameters(sqlfiles.query(name)):
        assert re.search(rf":{parameter}\b", explained(name)), f":{parameter} is not explained"


def explained(name: str) -> str:
    """The header with those of the files that it names: `as in eligible.sql`."""
    bare = {file.rpartition("/")[2]: file for file in FILES}
    named = re.findall(r"as in (?:the view )?(\w+)\.sql", header(name))
    return header(name) + "".join(explained(bare[one]) for one in named)


@pytest.mark.parametrize("name", FILES)
def test_what_is_included_is_there_and_named_in_the_header(name: str) -> None:
    included = re.findall(r"-- include (\S+)", FILES[name].read_text(encoding="utf-8"))
    assert "-- include" not in sqlfiles.query(name)
    for one in included:
        assert one in FILES
        assert f"{one.rpartition('/')[2]}.sql" in explained(name)


@pytest.mark.parametrize("name", SQLITE)
def test_it_is_one_statement_that_fits_the_schema(db: sqlite3.Connection, name: str) -> None:
    sql = sqlfiles.query(name)
    assert sqlite3.complete_statement(sql)
    db.execute(f"EXPLAIN {sql}", dict.fromkeys(sqlfiles.query_parameters(sql)))  # refuses two statements


@pytest.mark.parametrize("name", DUCKDB)
def test_duckdb_takes_it_for_one_statement(name: str) -> None:
    import duckdb

    assert len(duckdb.extract_statements(sqlfiles.query(name))) == 1


def test_parameters_are_found_where_they_are_and_nowhere_else() -> None:
    sql = """SELECT :a, ':b', ":c", [:d], `:e`, x::f, :g -- :h
        /* :i
        :j */ WHERE ':''k' = :a AND :l2 = 'it''s :m'"""
    assert sqlfiles.query_parameters(sql) == ["a", "g", "l2"]


# --- the views, without madetl


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = demo.copy_example(tmp_path_factory.mktemp("views") / "demo.db")
    with database.writing(path) as db:
        for step in (demo.measure, demo.select, demo.rank):
            step(db)
    return path


def test_the_views_answer_in_pythons_own_sqlite(played: Path) -> None:
    db = sqlite3.connect(played)
    counts = {view: len(db.execute(f"SELECT * FROM {view}").fetchall()) for view in VIEWS}
    db.close()
    # 180 votes; 60 picks; (4 scenarios + overall) x 4 models x 3 opponents, all of which met; (4 + 1) x 4 models;
    # inference of 4 models in 4 scenarios, similarity and judgment in each scenario; no call was made; 3 people's pairs
    assert counts == {
        "battles": 180, "selected_pairs": 60, "win_rates": counts["win_rates"], "leaderboard": 20,
        "progress": 4 * 4 + 4 + 4, "spend": 0, "verdicts": 180, "votes": 180, "agreement": (4 + 1) * 3,
    }  # fmt: skip
    assert 12 <= counts["win_rates"] <= 60


def test_progress_adds_up(played: Path) -> None:
    with database.reading(played) as db:
        rows = db.execute(
            "SELECT stage, sum(done), sum(pending) FROM progress GROUP BY stage ORDER BY stage"
        ).fetchall()
    assert list(map(tuple, rows)) == [("inference", 96, 0), ("judgment", 60, 0), ("similarity", 144, 0)]


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="the sqlite3 shell is not installed")
def test_the_views_answer_in_the_sqlite3_shell(played: Path) -> None:
    sql = "; ".join(f"SELECT count(*) >= 0 FROM {view}" for view in VIEWS)
    done = subprocess.run(["sqlite3", str(played), sql], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"] * len(VIEWS)
