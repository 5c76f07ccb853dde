"""The documents are programs: their commands run, their SQL answers, their paths and links lead somewhere.

README.md is a walk whose commands run in order on a fresh folder. No command, table or view is missing from the
documents, and none of what they name is invented.
"""

from __future__ import annotations

import os
import re
import shlex
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
README = "README.md"
CHINESE = "docs/README.zh.md"
STUDY = "docs/study.md"
TABLES = "schema/README.md"
QUERIES = "sql/README.md"
DEVELOPING = "docs/developing.md"
NAMES = [README, *sorted(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md")), TABLES, QUERIES]
DOCUMENTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in NAMES}
EVERYTHING = "\n".join(DOCUMENTS.values())
README_LINES = 220


def blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of one language in a document, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENTS[name], flags=re.MULTILINE | re.DOTALL)


def commands(group: click.Group, prefix: str = "madetl") -> Iterator[str]:
    """The full name of every command that does something."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}"


# The commands run


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs commands of a document in a folder, with madetl on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if name != "MADETL_DB"} | {"PATH": path}
    done = subprocess.run(
        ["bash", "-c", f"set -euxo pipefail\n{script}"],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the README's walk was walked: every bash block, from top to bottom, in one shell."""
    folder = tmp_path_factory.mktemp("walk")
    shutil.copy(ROOT / "mad.db.example", folder)
    shell("".join(blocks(README, "bash")), folder)
    return folder


def test_the_walk_ends_with_a_leaderboard(walked: Path) -> None:
    with database.reading(walked / "mad.db") as db:
        assert db.execute("SELECT count(*) FROM leaderboard WHERE scenario = 'overall'").fetchone()[0] >= 2


def test_the_leaderboard_of_the_readme_is_the_one_of_the_walk(walked: Path) -> None:
    """All but the intervals, which are drawn."""
    [shown] = [block for block in blocks(README, "text") if block.startswith("Probably the best model")]
    table = re.findall(r"^ (\d+) +(\S+) +((?:< )?\d+ %) .*?(\d+) \(", shown, flags=re.MULTILINE)
    with database.reading(walked / "mad.db") as db:
        found = db.execute(
            "SELECT r.rank, m.name, r.probability_best, round(r.rating) FROM ratings AS r JOIN models AS m"
            " ON m.id = r.model_id WHERE r.selections = '[\"all-char-ngram\"]' AND r.scenario = 'overall'"
            " ORDER BY r.probability_best DESC"
        ).fetchall()
    rows = [(rank, name, "< 1 %" if best < 0.01 else f"{int(100 * best)} %", elo) for rank, name, best, elo in found]
    assert table == [(str(rank), name, best, f"{elo:.0f}") for rank, name, best, elo in rows]


@pytest.mark.parametrize("statement", blocks(QUERIES, "sql"), ids=lambda sql: sql.strip().splitlines()[0][:50])
def test_every_recipe_answers_with_rows(walked: Path, statement: str) -> None:
    with database.reading(walked / "mad.db") as db:
        assert db.execute(statement).fetchall()


@pytest.mark.parametrize("command", "".join(blocks(QUERIES, "console")).splitlines())
def test_every_query_that_is_shown_answers(walked: Path, command: str) -> None:
    assert len(shell(command, walked).stdout.splitlines()) > 1 or "spend" in command  # the walk spends nothing


def test_the_study_of_the_documents_is_one(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text("".join(blocks(STUDY, "toml")), encoding="utf-8")
    (tmp_path / "seeds.jsonl").touch()
    study = file.read(tmp_path / "study.toml")
    assert [model["name"] for model in study.models] == ["gpt-4.1", "gemini-2.5-pro", "qwen"]


# Nothing is missing


@pytest.mark.parametrize("name", sorted(commands(cli)))
def test_every_command_stands_in_a_document(name: str) -> None:
    assert re.search(rf"{name}\b", EVERYTHING)


@pytest.mark.parametrize("file", sorted(sqlfiles.folder("schema").glob("*.sql")), ids=lambda file: file.name)
def test_every_table_and_view_is_described(file: Path) -> None:
    script = file.read_text(encoding="utf-8")
    names = dict(re.findall(r"^ALTER TABLE (\w+) RENAME TO (\w+);", script, flags=re.MULTILINE))
    made = [names.get(name, name) for name in re.findall(r"^CREATE (?:TABLE|VIEW) (\w+)", script, flags=re.MULTILINE)]
    scripts = "\n".join(script for _, script in sqlfiles.migrations())
    made = [name for name in made if scripts.rfind(f"DROP VIEW {name};") <= scripts.rfind(f"CREATE VIEW {name} ")]
    assert [name for name in made if f"\n| `{name}` |" not in DOCUMENTS[TABLES]] == []


def test_every_table_and_view_that_is_described_is_one(walked: Path) -> None:
    described = re.findall(r"^\| `(\w+)` \|", DOCUMENTS[TABLES], flags=re.MULTILINE)
    with database.reading(walked / "mad.db") as db:
        there = {row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")}
    assert [name for name in described if name not in there] == []


def test_every_folder_of_queries_is_described() -> None:
    folders = {query.partition("/")[0] for query in sqlfiles.query_files()}
    assert [name for name in sorted(folders) if f"`{name}/`" not in DOCUMENTS[QUERIES]] == []


def test_the_readme_is_short_and_leads_to_every_document() -> None:
    lines = DOCUMENTS[README].splitlines()
    assert len(lines) <= README_LINES
    assert [line for line in lines if len(line) > 120] == []
    assert [name for name in NAMES if name != README and f"]({name}" not in DOCUMENTS[README]] == []


# Nothing is invented


@pytest.mark.parametrize("name", NAMES)
def test_no_command_of_a_document_is_invented(name: str) -> None:
    """`madetl models rename OLD NEW` in the text leads to a command, and its options are the command's."""
    assert [words for words in quoted(name) if not leads_somewhere(shlex.split(words, comments=True))] == []


def quoted(name: str) -> list[str]:
    """What a document writes as a command of madetl: in its text, and at the beginning of a line of a block."""
    in_blocks = "".join(blocks(name, "(?:bash|console)"))
    in_text = re.findall(r"`madetl ([a-z][^`]*)`", DOCUMENTS[name])
    whole = in_blocks.replace("\\\n", " ")
    return in_text + re.findall(r"^madetl (?:--db \S+ )?([a-z](?:[^\"\n>]|\"[^\"]*\")*)", whole, flags=re.MULTILINE)


def leads_somewhere(words: list[str]) -> bool:
    """Whether the words begin with a command's name, and every option after it is one of that command."""
    here: click.Command = cli
    while isinstance(here, click.Group) and words and words[0] in here.commands:
        here, words = here.commands[words[0]], words[1:]
    if here is cli or (isinstance(here, click.Group) and words and words[0].isalpha() and not words[0].isupper()):
        return False
    known = {"-h", "--help"}.union(*(option.opts + option.secondary_opts for option in here.params))
    return known.issuperset(word for word in words if re.match(r"--?[a-z]", word))


def test_a_command_that_is_invented_is_seen() -> None:
    assert leads_somewhere(["models", "rename", "OLD", "NEW", "--merge"])
    assert leads_somewhere(["models"])
    assert not leads_somewhere(["models", "merge"])
    assert not leads_somewhere(["ranking"])
    assert not leads_somewhere(["rank", "--judge"])


NAMED = re.compile(r"`((?:madetl|sql|schema|tests|docs)/[^`\s]*)`")


@pytest.mark.parametrize("name", NAMES)
def test_every_path_of_a_document_exists(name: str) -> None:
    """`madetl/ranking/elo.py:ratings` is a file that defines ratings; a path that ends in / is a folder."""
    assert [path for path in NAMED.findall(DOCUMENTS[name]) if not exists(path)] == []


def exists(named: str) -> bool:
    path, _, defined = named.partition(":")
    there = (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file()
    defines = re.compile(rf"^\s*(?:def|class) {defined}\b", re.MULTILINE)
    return there and (not defined or bool(defines.search((ROOT / path).read_text(encoding="utf-8"))))


def test_the_map_leads_to_code() -> None:
    """Each line of "Where do I find it?" names a path."""
    section = DOCUMENTS[DEVELOPING].partition("## Where do I find it?")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 12
    assert [row for row in rows if not NAMED.search(row)] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_link_between_documents_leads_somewhere(name: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)\s]+)\)", DOCUMENTS[name])
    assert [link for link in links if not resolves(ROOT / name, link)] == []


def resolves(document: Path, link: str) -> bool:
    """Whether the file of a relative link exists, and has the heading that the part after # names."""
    path, _, anchor = link.partition("#")
    target = document.parent / path if path else document
    return target.exists() and (not anchor or anchor in anchors(target.read_text(encoding="utf-8")))


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# The README in Chinese


def fences(name: str) -> list[tuple[str, str]]:
    """(language, text) of every fenced block of a document, in order. Drawings and tables are left to the language."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", DOCUMENTS[name], flags=re.MULTILINE | re.DOTALL)
    return [(language, "" if language == "text" else text) for language, text in found]


def test_the_chinese_readme_has_the_commands_of_the_readme() -> None:
    """Block by block the same, in the same order; only what is drawn in a text block may be translated."""
    assert fences(CHINESE) == fences(README)


def test_the_chinese_readme_leads_where_the_readme_leads() -> None:
    """To the same documents, from its own folder; each README names the other at its top."""
    assert f"]({CHINESE})" in DOCUMENTS[README]
    assert "](../README.md)" in DOCUMENTS[CHINESE]
    linked = {link.partition("#")[0] for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", DOCUMENTS[README])}
    there = {link.partition("#")[0] for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", DOCUMENTS[CHINESE])}
    assert {os.path.relpath(ROOT / link, ROOT / "docs") for link in linked - {CHINESE}} <= there
