"""Which commands make a database, and when: a name that was mistyped leaves nothing behind."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from madetl.cli import cli
from madetl.errors import InputError
from madetl.store import database
from tests.support import children
from tests.support.command_tree import LEAVES

# Every command with arguments that are right, so that it fails because there is no database, if it does.
ARGUMENTS = {
    "advise": "",
    "agreement": "",
    "annotate": "--port 0",
    "delete model": "gpt-4 --yes",
    "delete run": "1 --yes",
    "delete selection": "pilot --yes",
    "demo": "",
    "evolve": "--model m --scenario S",
    "export alpaca-eval": "-o out",
    "export annotations": "-o sheet.csv",
    "export arena": "-o battles.json",
    "export label-studio": "-o out",
    "export mad-eval": "-o out",
    "export parquet": "-o out",
    "import alpaca-eval": "outputs.json",
    "import arena": "battles.json",
    "import instructions": "pool.csv --scenario S",
    "import judgments": "votes.csv --annotator ann",
    "import label-studio": "tasks.json",
    "import mad-eval": "m-vs-n.jsonl",
    "import responses": "pool.csv --scenario S --model m",
    "infer": "--model m",
    "init": "",
    "judge": "--model m",
    "models": "",
    "models add": "gpt-4.1",
    "models rename": "a b",
    "query": "models",
    "rank": "",
    "replay": "",
    "report": "-o report.html",
    "run": "study.toml",
    "runs": "",
    "select": "",
    "similarity": "",
    "status": "",
}
MAKING = {  # those that have rows to write, or are there to make one
    "demo", "init", "models add", "run",
    "import alpaca-eval", "import arena", "import instructions", "import mad-eval", "import responses",
}  # fmt: skip
PAIR = {"instruction": "q", "response_1": "x", "response_2": "y", "output": "tie"}
FILES = {
    "outputs.json": json.dumps([{"instruction": "q", "output": "a", "generator": "m"}]),
    "battles.json": json.dumps([{"model_a": "m", "model_b": "n", "winner": "tie", "data": PAIR}]),
    "m-vs-n.jsonl": json.dumps(PAIR),
    "pool.csv": "instruction,response\nq,a\n",
    "votes.csv": "instruction,model_a,model_b,winner\nq,m,n,tie\n",
    "tasks.json": "[]",
    "study.toml": '[[seeds]]\nfile = "seeds.csv"\nscenario = "S"\n[[models]]\nname = "gpt-4.1"\n',
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with files to import."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MADETL_DB", raising=False)
    return tmp_path


def new_files(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()} - set(FILES)


def test_no_command_is_forgotten() -> None:
    groups = {path for path in ARGUMENTS if path not in LEAVES}
    assert groups == {"models"}  # a group that does something by itself
    assert set(LEAVES) | groups == set(ARGUMENTS)
    assert set(ARGUMENTS) >= MAKING


@pytest.mark.parametrize("path", sorted(ARGUMENTS.keys() - MAKING))
def test_a_command_that_needs_rows_makes_no_database(folder: Path, path: str) -> None:
    done = CliRunner().invoke(cli, ["--db", "typo.db", *path.split(), *ARGUMENTS[path].split()])
    assert done.exit_code == 1, done.output
    assert "typo.db: there is no such database. `madetl --db typo.db init` makes one." in done.output
    assert new_files(folder) == set()


@pytest.mark.parametrize("path", sorted(MAKING - {"run"}))
def test_a_command_with_rows_to_write_makes_the_database(folder: Path, path: str) -> None:
    done = CliRunner().invoke(cli, ["--db", "new.db", *path.split(), *ARGUMENTS[path].split()])
    assert done.exit_code == 0, done.output
    assert new_files(folder) == {"new.db"}


FAULTS = {
    "import alpaca-eval": ["gone.json", "pool.csv", "empty.json", "outputs.json gone.json"],
    "import arena": ["gone.json", "pool.csv", "empty.json", "battles.json --scenario overall"],
    "import instructions": ["gone.csv --scenario S", "pool.csv", "empty.json --scenario S", "votes.csv"],
    "import mad-eval": ["gone.jsonl", "outputs.json", "empty.json", "m-vs-n.jsonl --annotator ''"],
    "import responses": ["gone.csv", "pool.csv --scenario S", "votes.csv --model m --scenario S"],
    "models add": ["x --model-id y --option base"],
    "run": ["study.toml"],
    "demo": ["--no-such-option"],
    "init": ["--no-such-option"],
}


@pytest.mark.parametrize(("path", "given"), [(path, given) for path in sorted(FAULTS) for given in FAULTS[path]])
def test_a_command_that_fails_leaves_no_database(folder: Path, path: str, given: str) -> None:
    (folder / "empty.json").write_text("[]")
    arguments = [word.strip("'") for word in given.split()]
    done = CliRunner().invoke(cli, ["--db", "typo.db", *path.split(), *arguments])
    assert done.exit_code != 0
    assert "fault of madetl's" not in done.output
    made = {"typo.db"} if given == "outputs.json gone.json" else set()  # of these two the first went in
    assert new_files(folder) - {"empty.json"} == made


@pytest.mark.parametrize("seeds", ["nonsense", "wrong,column\nq,S\n", "", "instruction\n"])
def test_a_study_whose_seeds_cannot_be_imported_leaves_no_database(folder: Path, seeds: str) -> None:
    (folder / "seeds.csv").write_text(seeds)
    done = CliRunner().invoke(cli, ["--db", "typo.db", "run", "study.toml"])
    assert done.exit_code == 1
    assert "Error: seeds.csv" in done.output
    assert new_files(folder) == {"seeds.csv"}


def test_every_command_that_makes_a_database_is_tried_with_faults() -> None:
    assert set(FAULTS) == MAKING


def rows(file: Path, table: str) -> int:
    """How many rows there are; 0 where there is no such table yet."""
    if not file.exists():
        return 0
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as db:
        try:
            return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def fail_after(*_: object) -> None:
    raise InputError("f", "bad")


def test_what_was_imported_before_the_fault_stays(tmp_path: Path) -> None:
    file = tmp_path / "mad.db"
    with pytest.raises(InputError), database.writing(file) as db:
        fail_after(db.execute("INSERT INTO models (name) VALUES ('m')"))
    with database.reading(file) as db:
        assert db.execute("SELECT count(*) FROM models").fetchone()[0] == 1


def test_a_database_that_was_there_stays_and_one_that_another_has_open_too(tmp_path: Path) -> None:
    file = tmp_path / "mad.db"
    with database.writing(file):
        pass
    with pytest.raises(InputError), database.writing(file):
        fail_after()
    assert file.exists()
    file.unlink()
    with pytest.raises(InputError), database.writing(file):
        fail_after(other := sqlite3.connect(file), other.execute("SELECT count(*) FROM models").fetchone())
    other.execute("INSERT INTO models (name) VALUES ('m')")
    other.commit()
    other.close()
    assert file.exists()


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_an_import_that_is_ended_while_it_reads_leaves_nothing(tmp_path: Path, by: signal.Signals) -> None:
    file = tmp_path / "typo.db"
    arguments = ("import", "instructions", "-", "--scenario", "S")
    with children.madetl(file, *arguments, stdin=subprocess.PIPE) as child:
        child.until(lambda: rows(file, "runs"))
        child.send_signal(by)
        _, errors = child.communicate()
        assert child.returncode == 128 + by
        assert "Interrupted" in errors
    assert list(tmp_path.iterdir()) == []
