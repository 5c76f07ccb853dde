"""A study of twelve seeds and one round of evolution: models answer the rewritings, and picks are among them."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from madetl.store import database
from tests.support.provider_server import ProviderServer

Madetl = Callable[..., CompletedProcess[str]]
MODELS = ("a", "b", "c")
TOPICS = (
    "the sea", "old clocks", "a long winter", "bread", "mountains at dawn", "trains", "a lost key", "bees", "chess",
    "a night market", "violins", "rain",
)  # fmt: skip
POOL = "12 rewritings of 12 seeds in Writing"


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    rows = [{"instruction": f"Write some lines about {topic}, please.", "scenario": "Writing"} for topic in TOPICS]
    (tmp_path / "seeds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "seeds.jsonl"


def rows(db_file: Path, sql: str) -> list[tuple]:
    with database.reading(db_file) as db:
        return [tuple(row) for row in db.execute(sql)]


_ANSWERED = (
    "SELECT m.name, i.generation, count(*) FROM responses AS r JOIN models AS m ON m.id = r.model_id"
    " JOIN instructions AS i ON i.id = r.instruction_id GROUP BY 1, 2 ORDER BY 1, 2"
)
_PICKED = (
    "SELECT t.name, i.generation, count(*) FROM selections AS s JOIN selection_sets AS t ON t.id = s.set_id"
    " JOIN instructions AS i ON i.id = s.instruction_id GROUP BY 1, 2 ORDER BY 1, 2"
)


def test_stage_by_stage(server: ProviderServer, seeds: Path, db_file: Path, madetl: Madetl) -> None:
    where = ("--base-url", f"{server.url}/v1")
    madetl("import", "instructions", seeds)
    assert "Pool: 12 instructions in Writing" in madetl("infer", "--model", "a", "--dry-run", *where).stdout
    madetl("evolve", "--model", "a", "--duplicate-above", 1, *where)
    for model in MODELS:
        shown = madetl("infer", "--model", model, "--dry-run", *where).stdout
        assert re.search(r"requests +12\b", shown)
        assert f"Pool: {POOL}\n" in shown
        assert madetl("infer", "--model", model, *where).stdout.endswith(
            f"{model}: 12 answers stored (0 known)\nPool: {POOL}\n"
        )
    assert rows(db_file, _ANSWERED) == [(model, 1, 12) for model in MODELS]
    assert madetl("similarity", "--dry-run").stdout.endswith(f"Pool: {POOL}\n")
    shown = madetl("similarity").stdout
    assert shown == f"char-ngram: 36 pairs measured (0 known), 3 model pairs\nPool: {POOL}\n"
    shown = madetl("select", "--top-k", 3, "--min-words", 0).stdout
    assert f"\nPool: {POOL}\n" in shown
    assert "--selection all-char-ngram" in shown
    assert rows(db_file, _PICKED) == [("all-char-ngram", 1, 9)]
    status = json.loads(madetl("status", "--json").stdout)
    assert [(row["pool"], row["generation"]) for row in status["scenarios"]] == [(12, "evolved")]
    # the seeds can be had, and what was answered stays
    for model in MODELS:
        shown = madetl("infer", "--model", model, "--generation", "seeds", "--limit", 5, *where).stdout
        assert shown.endswith(f"{model}: 5 answers stored (0 known)\nPool: the first 5 of 12 seeds in Writing\n")
    assert "15 pairs measured" in madetl("similarity", "--generation", "seeds").stdout
    madetl("select", "--generation", "seeds", "--top-k", 3, "--min-words", 0, "--name", "their seeds")
    assert rows(db_file, _PICKED) == [("all-char-ngram", 1, 9), ("their seeds", 0, 9)]
    assert madetl("infer", "--model", "a", *where).stdout.startswith("a: nothing to do (12 known)")
    shown = madetl("infer", "--model", "a", "--generation", 3, *where, status=1).stderr
    assert shown == "Error: No instruction is of --generation 3. There are 12 seeds and 12 rewritings in Writing.\n"
    assert "'newest' is no generation: give evolved" in madetl("select", "--generation", "newest", status=2).stderr


STUDY = """
scenarios = "Writing"
{more}
[[seeds]]
file = "seeds.jsonl"

[evolve]
models = ["a"]
duplicate_above = 1

[select]
top_k = 3
min_words = 0
"""


def study(folder: Path, server: ProviderServer, more: str = "") -> Path:
    models = (f'[[models]]\nname = "{name}"\nbase_url = "{server.url}/v1"\n' for name in MODELS)
    (folder / "study.toml").write_text("\n".join([STUDY.format(more=more), *models]))
    return folder / "study.toml"


CASES: list[tuple[str, dict[int, int], str]] = [
    ("", {1: 12}, POOL),
    ('generation = "seeds"', {0: 12}, "12 seeds in Writing"),
    ('generation = "all"', {0: 12, 1: 12}, "12 seeds and 12 rewritings in Writing"),
    ("generation = 1", {1: 12}, "12 rewritings of 12 seeds, round 1, in Writing"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0] or "default")
def test_out_of_one_file(server, seeds: Path, db_file: Path, madetl: Madetl, case) -> None:
    more, answered, pool = case
    file = study(seeds.parent, server, more)
    # the dry run counts what the run asks for
    dry = madetl("run", file, "--dry-run").stdout
    assert f"Pool: {pool}\n" in dry
    assert f"{12 + 3 * sum(answered.values())} requests" in dry
    done = madetl("run", file)
    assert f"\n   Pool: {pool}\n" in done.stdout
    assert rows(db_file, _ANSWERED) == [(model, *each) for model in MODELS for each in sorted(answered.items())]
    generations = {generation for _, generation, _ in rows(db_file, _PICKED)}
    assert generations <= set(answered)
    assert sum(number for _, _, number in rows(db_file, _PICKED)) == 9
    assert len(server.requests) == 12 + 3 * sum(answered.values())


def test_scenarios_may_be_repeated(server: ProviderServer, seeds: Path, db_file: Path, madetl: Madetl) -> None:
    where = ("--base-url", f"{server.url}/v1")
    both = ("--scenario", "Writing", "--scenario", "Law")
    madetl("import", "instructions", seeds)
    with database.writing(db_file) as db:
        for scenario, text in (("Law", "May a neighbour's tree be cut?"), ("Coding", "Sort a list.")):
            values = (scenario, text, f"{len(text):064}")
            db.execute("INSERT INTO instructions (scenario, instruction, hash) VALUES (?, ?, ?)", values)
    # each command takes the two, and leaves the third one alone
    assert madetl("evolve", "--model", "a", *both, "--limit", 1, "--duplicate-above", 1, *where).stdout
    madetl("infer", "--model", "a", *both, *where)
    madetl("infer", "--model", "b", *both, *where)
    named = "SELECT DISTINCT i.scenario FROM {} AS t JOIN instructions AS i ON i.id = t.instruction_id ORDER BY 1"
    assert rows(db_file, named.format("responses")) == [("Law",), ("Writing",)]
    assert "Pool: 1 rewriting of 1 seed in Law; 1 rewriting of 1 seed in Writing" in madetl("similarity", *both).stdout
    shown = madetl("select", *both, "--min-words", 0).stdout
    assert "law+writing-char-ngram: 2 response pairs picked" in shown
    assert rows(db_file, named.format("selections")) == [("Law",), ("Writing",)]
    assert "There is no scenario 'Lwa'" in madetl("infer", "--model", "a", "--scenario", "Lwa", *where, status=1).stderr
    with sqlite3.connect(db_file) as db:
        assert db.execute("SELECT scenarios FROM selection_sets").fetchall() == [('["Law", "Writing"]',)]
    db.close()
