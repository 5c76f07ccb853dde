"""A file that is damaged: whatever byte is another one, each command says so in one clear line, or works."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from madetl.cli import cli
from madetl.errors import DatabaseError
from madetl.store import database, sqlfiles
from tests.support.soak import several

PAGE = 4096
COMMANDS = (["status"], ["query", "leaderboard"], ["query", "SELECT * FROM battles"], ["models"])


def flipped(data: bytes, position: int, bits: int) -> bytes:
    return data[:position] + bytes([data[position] ^ bits]) + data[position + 1 :]


def schema_bytes(data: bytes) -> list[int]:
    """Where the statements that made the tables and views stand in the file, wherever their pages lie."""
    found = []
    for word in (b"CREATE TABLE ", b"CREATE VIEW ", b"CREATE INDEX ", b"CREATE TRIGGER "):
        start = data.find(word)
        while start >= 0:
            found += range(start, min(start + 300, len(data)))
            start = data.find(word, start + 1)
    return sorted(set(found))


def check(file: Path, command: list[str], where: str) -> None:
    done = CliRunner().invoke(cli, ["--db", str(file), *command])
    assert done.exit_code in (0, 1), where
    assert done.exception is None or isinstance(done.exception, SystemExit), where
    assert "fault of madetl's" not in done.output, f"{where}: {done.output}"
    if done.exit_code:
        errors = [line for line in done.output.splitlines() if line.startswith("Error: ")]
        assert len(errors) == 1, f"{where}: {done.output}"
        assert done.output.splitlines()[-1] == errors[0], where


@pytest.mark.slow
@pytest.mark.parametrize("bits", [1, 32, 255])
def test_any_byte_of_the_first_pages_may_be_another_one(tmp_path: Path, bits: int) -> None:
    data = sqlfiles.example().read_bytes()
    file = tmp_path / "mad.db"
    positions = [*range(0, 100, several(7, 1)), *range(100, PAGE, several(211, 5))]
    positions += schema_bytes(data)[:: several(401, 11)]
    for number, position in enumerate(positions):
        file.write_bytes(flipped(data, position, bits))
        check(file, COMMANDS[number % len(COMMANDS)], f"byte {position}")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"CREATE TABLE instructions", b"CREATE TABLE instructionz"),
        (b"FROM latest AS l", b"FROM latesd AS l"),
        (b"CREATE VIEW leaderboard", b"CREATE VIEW leadervoard"),
    ],
)
def test_a_changed_schema_is_called_damage_with_what_to_do(tmp_path: Path, old: bytes, new: bytes) -> None:
    file = tmp_path / "mad.db"
    with database.writing(file):
        pass
    data = file.read_bytes()
    assert old in data
    file.write_bytes(data.replace(old, new))
    messages = [CliRunner().invoke(cli, ["--db", str(file), *command]).output for command in COMMANDS]
    assert any("is damaged" in message and "Restore a copy" in message for message in messages)
    assert not any("fault of madetl's" in message for message in messages)


def test_a_schema_version_below_zero_is_damage(tmp_path: Path) -> None:
    file = tmp_path / "mad.db"
    file.write_bytes(flipped(sqlfiles.example().read_bytes(), 60, 255))  # the first byte of user_version
    for command in (["status"], ["rank"]):
        message = CliRunner().invoke(cli, ["--db", str(file), *command]).output
        assert "is damaged (schema version -" in message
        assert "fault of madetl's" not in message


def test_text_that_is_no_text_is_damage_too(tmp_path: Path) -> None:
    file = tmp_path / "mad.db"
    with database.writing(file) as db:
        db.execute("INSERT INTO models (name) VALUES (CAST(x'6bff6b' AS TEXT))")
    done = CliRunner().invoke(cli, ["--db", str(file), "models"])
    assert done.exit_code == 1
    assert "is damaged (a text in it is not UTF-8)" in done.output


def test_a_fault_of_the_program_is_not_called_damage(tmp_path: Path) -> None:
    file = tmp_path / "mad.db"
    with pytest.raises(sqlite3.OperationalError, match="no such table"), database.writing(file) as db:
        db.execute("SELECT * FROM nothing_like_it")
    with database.writing(file):
        pass
    with pytest.raises(KeyError), database.reading(file):
        raise KeyError("x")
    with pytest.raises(DatabaseError), database.reading(tmp_path / "gone.db"):
        pass
