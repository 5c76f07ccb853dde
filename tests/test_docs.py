"""The README is a program: its commands run in order on a fresh folder, its SQL answers, and no command is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from madetl.cli import cli
from madetl.store import database, sqlfiles
from madetl.study import file

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def commands(group: click.Group, prefix: str = "madetl") -> Iterator[str]:
    """The full name of every command that does something."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}"


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the README's walk was walked: every console block, from top to bottom, in one shell."""
    folder = tmp_path_factory.mktemp("walk")
    shutil.copy(ROOT / "mad.db.example", folder)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if name != "MADETL_DB"} | {"PATH": path}
    script = "set -euxo pipefail\n" + "".join(blocks("bash"))
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return folder


def test_the_walk_ends_with_a_leaderboard(walked: Path) -> None:
    with database.reading(walked / "mad.db") as db:
        assert db.execute("SELECT count(*) FROM leaderboard WHERE scenario = 'overall'").fetchone()[0] >= 2


@pytest.mark.parametrize("statement", blocks("sql"), ids=lambda sql: sql.strip().splitlines()[0][:50])
def test_every_recipe_answers_with_rows(walked: Path, statement: str) -> None:
    with database.reading(walked / "mad.db") as db:
        assert db.execute(statement).fetchall()


def test_the_study_of_the_readme_is_one(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text("".join(blocks("toml")), encoding="utf-8")
    (tmp_path / "seeds.jsonl").touch()
    study = file.read(tmp_path / "study.toml")
    assert [model["name"] for model in study.models] == ["gpt-4.1", "gemini-2.5-pro", "qwen"]


@pytest.mark.parametrize("name", sorted(commands(cli)))
def test_every_command_stands_in_the_readme(name: str) -> None:
    assert name in README


def test_no_command_of_the_readme_is_invented() -> None:
    """`madetl models rename OLD NEW` in the text leads to a command; words that are not lower-case are arguments."""
    quoted = re.findall(r"`madetl ([a-z][^`]*)`", README)
    unknown = [words for words in quoted if not leads_somewhere(words.split())]
    assert quoted
    assert unknown == []


def leads_somewhere(words: list[str]) -> bool:
    """Whether the words begin with a command's name, options and arguments left aside."""
    here: click.Command = cli
    for word in words:
        if not isinstance(here, click.Group):
            return True
        if word not in here.commands:
            return here is not cli and (not word.isalpha() or word.isupper())
        here = here.commands[word]
    return True


@pytest.mark.parametrize("file", sorted(sqlfiles.folder("schema").glob("*.sql")), ids=lambda file: file.name)
def test_every_table_and_view_stands_in_the_readme(file: Path) -> None:
    made = re.findall(r"^CREATE (?:TABLE|VIEW) (\w+)", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert [name for name in made if f"`{name}`" not in README] == []
