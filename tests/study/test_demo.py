"""The example database, and the pipeline on it."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shlex
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from madetl.errors import DatabaseError
from madetl.store import database, sqlfiles
from madetl.study import demo
from tests import make_example

Madetl = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def example() -> Iterator[sqlite3.Connection]:
    with database.reading(sqlfiles.example()) as db:
        yield db


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """The database that `madetl demo` leaves."""
    path = demo.copy_example(tmp_path_factory.mktemp("demo") / "demo.db")
    with database.writing(path) as db:
        for step in (demo.measure, demo.select, demo.judge, demo.rank):
            step(db)
    with database.reading(path) as db:
        yield db


def column(db: sqlite3.Connection, sql: str) -> list[object]:
    return [row[0] for row in db.execute(sql)]


# --- the example


def test_the_example_has_the_current_schema(example: sqlite3.Connection, db: sqlite3.Connection) -> None:
    schema = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
    assert list(map(tuple, example.execute(schema))) == list(map(tuple, db.execute(schema)))
    for pragma in ("user_version", "application_id"):
        assert column(example, f"PRAGMA {pragma}") == column(db, f"PRAGMA {pragma}")
    assert column(example, "PRAGMA integrity_check") == ["ok"]


def test_the_example_is_what_its_readable_files_make(example: sqlite3.Connection, tmp_path: Path) -> None:
    make_example.build(tmp_path / "again.db")
    with database.reading(tmp_path / "again.db") as again:
        assert "\n".join(again.iterdump()) == "\n".join(example.iterdump()), "run `make example`"


def test_the_example_is_a_small_study(example: sqlite3.Connection) -> None:
    per_scenario = dict(map(tuple, example.execute("SELECT scenario, count(*) FROM instructions GROUP BY scenario")))
    assert per_scenario == {"Understanding": 6, "Reasoning": 6, "Writing": 6, "Coding": 6}
    assert column(example, "SELECT count(*) FROM models") == [4]
    assert column(example, "SELECT count(*) FROM responses") == [96]
    assert column(example, "SELECT count(*) FROM annotators WHERE kind = 'person'") == [3]
    assert column(example, "SELECT count(*) FROM similarities") == [0]
    outcomes = dict(map(tuple, example.execute("SELECT winner, count(*) FROM judgments GROUP BY winner")))
    assert set(outcomes) == {"model_a", "model_b", "tie", "both_bad"}
    assert sum(outcomes.values()) == 180


def test_the_annotators_do_not_always_agree(example: sqlite3.Connection) -> None:
    verdicts = column(example, "SELECT count(DISTINCT winner) FROM judgments GROUP BY response_a_id, response_b_id")
    assert 0.1 < sum(count != 1 for count in verdicts) / len(verdicts) < 0.9  # type: ignore[misc]


def test_every_answer_is_graded_by_everybody() -> None:
    with (make_example.SOURCES / "grades.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({(row["scenario"], row["item"], row["annotator"]) for row in rows}) == len(rows) == 24 * 3
    for scenario in make_example.SCENARIOS:
        for item in make_example.items(scenario):
            assert list(item.answers) == ["atlas-large", "birch-medium", "cedar-small", "dune-tiny"]
            assert all(item.answers.values())


# --- the demo


def test_every_selected_pair_of_the_demo_is_judged_and_nothing_else_is(played: sqlite3.Connection) -> None:
    assert column(played, "SELECT DISTINCT judgments FROM selected_pairs") == [3]
    assert column(played, "SELECT count(*) FROM selected_pairs") == [60]
    assert column(played, "SELECT count(*) FROM judgments") == [180]


def test_the_better_models_are_ahead(played: sqlite3.Connection) -> None:
    board = column(played, "SELECT model FROM leaderboard WHERE scenario = 'overall'")
    assert board == ["atlas-large", "birch-medium", "cedar-small", "dune-tiny"]
    assert column(played, "SELECT DISTINCT scenario FROM leaderboard") == ["overall", *sorted(make_example.SCENARIOS)]


def test_the_statements_work_in_plain_sqlite(played: sqlite3.Connection) -> None:
    path = column(played, "SELECT file FROM pragma_database_list")[0]
    assert len(demo.STATEMENTS) == 3
    for sql in demo.STATEMENTS.values():
        assert '"' not in sql  # they are printed between double quotes
        assert "$" not in sql
        plain = sqlite3.connect(str(path))
        assert plain.execute(sql).fetchall()
        plain.close()


def test_the_demo_is_told_as_json_too(madetl: Madetl, tmp_path: Path) -> None:
    told = json.loads(madetl("demo", "--json", "--db", tmp_path / "demo.db").stdout)
    assert told["database"] == str(tmp_path / "demo.db")
    assert [step["command"] for step in told["steps"]] == ["similarity", "select --top-k 10", None, "rank"]
    assert told["leaderboard"][0]["model"] == "atlas-large"


def test_make_clean_removes_the_demos_databases_and_no_others(tmp_path: Path) -> None:
    makefile = Path(__file__).parents[2] / "Makefile"
    kept = ["mad.db", "madetl-demonstration.db"]
    for name in ("madetl-demo.db", "madetl-demo-2.db", "madetl-demo-12.db", *kept):
        (tmp_path / name).touch()
    subprocess.run(["make", "-f", makefile, "clean"], cwd=tmp_path, check=True, capture_output=True)
    assert sorted(file.name for file in tmp_path.iterdir()) == kept


def test_the_demo_prints_the_leaderboard_and_what_to_try(madetl: Madetl, db_file: Path, tmp_path: Path) -> None:
    start = time.monotonic()
    done = madetl("demo", "--db", tmp_path / "my demo.db")
    assert time.monotonic() - start < 10
    assert "atlas-large" in done.stdout
    assert "3. The example's judgments\n" in done.stdout
    assert "60 of 60 selected pairs are judged" in done.stdout
    assert str(tmp_path / "my demo.db") in done.stdout
    assert not db_file.exists()  # $MADETL_DB is a study of the user's own
    commands = [line.strip() for line in done.stdout.splitlines() if " query " in line]
    assert len(commands) == 3
    for command in commands:
        words = shlex.split(command)
        assert "(no rows)" not in madetl(*words[words.index("--db") :]).stdout


def test_the_demo_ends_with_what_comes_next(madetl: Madetl, tmp_path: Path) -> None:
    """Advice, the report, the page, and files of one's own; what it names for the example runs."""
    done = madetl("demo", "--db", tmp_path / "demo.db")
    _, _, end = done.stdout.partition("\nNext:\n")
    commands = [shlex.split(line) for line in end.splitlines() if " --db " in line]
    for words in commands:
        del words[: words.index("--db")]
    assert [words[2] for words in commands] == ["advise", "report", "annotate", "status", "import"]
    assert commands[-1][1:] == ["study.db", "import", "responses", "answers.csv", "--scenario", "mine"]
    answers = tmp_path / "answers.csv"  # with the columns that the last line names, and no others
    answers.write_text("instruction,model,response\nq,m,a\n")
    madetl("--db", tmp_path / "study.db", *commands[-1][2:4], answers, *commands[-1][5:])
    madetl(*commands[0], "--simulations", 1)
    madetl(*commands[1][:-1], tmp_path / "report.html")
    assert "With files of your own" in end
    assert "Probably the best model: " in done.stdout


@pytest.mark.slow
def test_the_demo_overwrites_nothing(tmp_path: Path) -> None:
    def run() -> CompletedProcess[str]:
        command = [sys.executable, "-m", "madetl", "demo"]
        environment = os.environ | {"PYTHONPATH": str(Path(demo.__file__).parents[2])}
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, env=environment)

    (tmp_path / "mad.db").write_text("mine")
    assert "madetl-demo.db" in run().stdout
    before = hashlib.sha256((tmp_path / "madetl-demo.db").read_bytes()).hexdigest()
    assert "madetl-demo-2.db" in run().stdout
    assert hashlib.sha256((tmp_path / "madetl-demo.db").read_bytes()).hexdigest() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mad.db", "madetl-demo-2.db", "madetl-demo.db"]


def test_a_file_that_exists_or_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.db").write_text("mine")
    with pytest.raises(DatabaseError, match="exists"):
        demo.copy_example(tmp_path / "mine.db")
    assert (tmp_path / "mine.db").read_text() == "mine"
    with pytest.raises(DatabaseError, match="cannot be written"):
        demo.copy_example(tmp_path / "missing" / "demo.db")
