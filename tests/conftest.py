"""What the tests share: a real database file, a small study to fill it with, and the command line as a real process."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from madetl.store import database
from madetl.text import count_words, instruction_hash, text_hash
from tests.support.soak import SOAK

SHARED = Path(__file__).parents[2] / "shared" / "data"
COMMAND_SECONDS = 300  # the longest that a command may take, many times what one needs on a loaded machine

# No deadline for one example: a machine under load is no defect of the program.
hypothesis.settings.register_profile("ordinary", deadline=None)
hypothesis.settings.register_profile("quick", deadline=None, max_examples=25)
hypothesis.settings.register_profile("soak", deadline=None, max_examples=2000)
hypothesis.settings.load_profile("soak" if SOAK else "ordinary")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what can be known: commands of madetl are processes, and property tests have more examples to try."""
    for item in items:
        if {"madetl", "walked"} & set(getattr(item, "fixturenames", ())) or item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.slow)
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.soak)


class Study:
    """Writes rows the plain way, one INSERT each, so that a test can say what it is given in a few lines."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    def model(self, name: str) -> int:
        self.db.execute("INSERT OR IGNORE INTO models (name) VALUES (?)", (name,))
        return self._id("SELECT id FROM models WHERE name = ?", name)

    def annotator(self, name: str, kind: str = "person") -> int:
        self.db.execute("INSERT OR IGNORE INTO annotators (name, kind) VALUES (?, ?)", (name, kind))
        return self._id("SELECT id FROM annotators WHERE name = ?", name)

    def instruction(self, text: str, scenario: str = "Writing", input: str = "") -> int:
        key = instruction_hash(text, input)
        self.db.execute(
            "INSERT OR IGNORE INTO instructions (scenario, instruction, input, hash) VALUES (?, ?, ?, ?)",
            (scenario, text, input, key),
        )
        return self._id("SELECT id FROM instructions WHERE scenario = ? AND hash = ?", scenario, key)

    def rewriting(self, parent: int, text: str) -> int:
        """A rewriting of an instruction, one generation later."""
        child = self.instruction(
            text, *self.db.execute("SELECT scenario FROM instructions WHERE id = ?", [parent]).fetchone()
        )
        descent = "parent_id = p.id, generation = p.generation + 1 FROM instructions AS p"
        self.db.execute(f"UPDATE instructions SET {descent} WHERE instructions.id = ? AND p.id = ?", (child, parent))
        return child

    def response(self, instruction_id: int, model: str, text: str, sample: int = 0) -> int:
        values = (instruction_id, self.model(model), sample, text, text_hash(text), count_words(text), len(text))
        columns = "instruction_id, model_id, sample, response, hash, words, characters"
        cursor = self.db.execute(f"INSERT INTO responses ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        return int(cursor.lastrowid or 0)

    def judgment(
        self,
        response_a: int,
        response_b: int,
        winner: str,
        annotator: str = "ann",
        source_id: str = "1",
        *,
        status: str = "counted",
    ) -> int:
        """A verdict in canonical order: response_a must belong to the model with the lower id."""
        cursor = self.db.execute(
            "INSERT INTO judgments (annotator_id, response_a_id, response_b_id, winner, source, source_id, status)"
            " VALUES (?, ?, ?, ?, 'test', ?, ?)",
            (self.annotator(annotator), response_a, response_b, winner, source_id, status),
        )
        return int(cursor.lastrowid or 0)

    def _id(self, sql: str, *values: object) -> int:
        return int(self.db.execute(sql, values).fetchone()[0])


@pytest.fixture
def db_file(tmp_path: Path) -> Path:
    """Where the test's database stands (not made yet)."""
    return tmp_path / "mad.db"


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database without rows, to be copied: that is quicker than making one."""
    file = tmp_path_factory.mktemp("empty") / "mad.db"
    with database.writing(file):
        pass
    return file


@pytest.fixture
def db(db_file: Path, empty: Path) -> Iterator[sqlite3.Connection]:
    """A fresh, migrated database, open for writing (outside a transaction: each statement commits)."""
    shutil.copyfile(empty, db_file)
    with database.writing(db_file) as connection:
        yield connection


@pytest.fixture
def study(db: sqlite3.Connection) -> Study:
    return Study(db)


@pytest.fixture
def madetl(db_file: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `madetl` as a real process on the test's database: `madetl("rank", "--json")`; status=1: it must fail."""

    def run(*arguments: object, status: int = 0, input: str | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "madetl", *map(str, arguments)],
            capture_output=True,
            text=True,
            input=input,
            check=False,
            timeout=COMMAND_SECONDS,
            env=os.environ | {"MADETL_DB": str(db_file)},
        )
        assert done.returncode == status, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture
def shared() -> Path:
    """Real data for development; the tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the real data in {SHARED}, which is not part of the project")
    return SHARED
