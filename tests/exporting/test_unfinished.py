"""Exports that cannot be finished, on a full disk or because somebody ends them: one clear line, and nothing left."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
from pathlib import Path

import pytest

from madetl.selection import select
from madetl.selection.sets import SelectionParameters
from madetl.similarity import measure, named
from madetl.store import database
from tests.conftest import Study
from tests.support import children

ROOM = 150_000  # bytes that a file may have: more than the database's index of its log, less than the answers
LIMITED = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({ROOM}, {ROOM}))
from madetl.cli import cli
cli(sys.argv[1:])
"""
STOPPING = """
import sys, time
from madetl.formats import writing
write = {name}
def slowly(*arguments):
    write(*arguments)
    print("writing", flush=True)
    time.sleep(60)
{name} = slowly
from madetl.cli import cli
cli(sys.argv[1:])
"""


def long_study(db: sqlite3.Connection) -> None:
    """Answers that do not pack well, some of them judged."""
    study, drawn = Study(db), random.Random(1)
    for number in range(3):
        asked = study.instruction(f"Instruction {number}")
        texts = ["".join(drawn.choices("abcdefghijklmnop äöü語", k=200_000)) for _ in range(2)]
        study.judgment(*(study.response(asked, name, text) for name, text in zip("mn", texts, strict=True)), "model_a")
    measure.measure(db, named.metric_named(db, "char-ngram"))
    select.select(db, SelectionParameters(top_k=2, min_words=0))


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("long") / "mad.db"
    with database.writing(file) as db:
        long_study(db)
    return file


@pytest.fixture
def file(long_file: Path, tmp_path: Path) -> Path:
    shutil.copyfile(long_file, tmp_path / "mad.db")
    return tmp_path / "mad.db"


EXPORTS = [
    ("parquet", "tables"), ("arena", "b.json"), ("arena", "b.jsonl"), ("arena", "b.parquet"), ("mad-eval", "pairs"),
    ("alpaca-eval", "outputs"), ("annotations", "s.csv"), ("annotations", "s.jsonl"), ("annotations", "s.parquet"),
    ("label-studio", "tasks"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "target"), EXPORTS)
def test_a_full_disk_is_one_clear_line_and_leaves_nothing(file: Path, kind: str, target: str) -> None:
    arguments = ("--db", file, "export", kind, "-o", file.parent / target)
    with children.python("-c", LIMITED, *arguments) as child:
        output, errors = child.communicate()
    assert child.returncode == 1, output
    assert len(errors.splitlines()) == 1
    assert "File too large" in errors or "Make room on the disk" in errors
    assert target in errors or file.name in errors
    left = {path.name for path in file.parent.iterdir()}
    assert left - {"mad.db-wal", "mad.db-shm"} == {"mad.db"}, left
    with database.reading(file) as db:
        assert db.execute("SELECT count(*) FROM judgments").fetchone()[0] == 3


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("kind", "target", "function"), [
    ("parquet", "tables", "writing._write_part"),
    ("arena", "b.parquet", "writing._write_part"),
    ("arena", "b.json", "writing.write_json"),
    ("mad-eval", "pairs", "writing.write_jsonl"),
    ("annotations", "s.parquet", "writing._write_part"),
])  # fmt: skip
def test_an_export_that_is_ended_leaves_nothing(
    file: Path, kind: str, target: str, function: str, by: signal.Signals
) -> None:
    arguments = ("--db", file, "export", kind, "-o", file.parent / target)
    with children.python("-c", STOPPING.format(name=function), *arguments) as child:
        assert child.stdout.readline() == "writing\n"
        assert any(path.name.endswith(".part") or path.name.startswith(".madetl-") for path in file.parent.iterdir())
        child.send_signal(by)
        _, errors = child.communicate()
    assert child.returncode == 128 + by
    assert errors.startswith("Interrupted.")
    assert {path.name for path in file.parent.iterdir()} == {"mad.db"}


@pytest.mark.slow
def test_what_was_there_before_stays_as_it_was(file: Path) -> None:
    target = file.parent / "b.parquet"
    target.write_bytes(b"before")
    with children.python("-c", LIMITED, "--db", file, "export", "arena", "-o", target) as child:
        child.communicate()
    assert target.read_bytes() == b"before"
