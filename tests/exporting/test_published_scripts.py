"""Scripts that read a study as those of the method and of Chatbot Arena do run on what madetl writes.

Each script is a process of its own that knows nothing of madetl: it opens the files and takes every key by its name.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from madetl.importing import answers
from madetl.store import database
from tests.conftest import Study
from tests.support import children
from tests.support.sheet_study import select, small_study

Madetl = Callable[..., CompletedProcess[str]]

# From pair files to Arena's layout and on to Elo ratings: K 4, scale 400, base 10, start 1000, in the files' order.
FROM_PAIRS_TO_ELO = """
import json, pathlib, sys

found, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
battles = []
for file in sorted(found.iterdir()) if found.is_dir() else [found]:
    for line in file.open(encoding="utf-8"):
        item = json.loads(line)
        model_a, model_b = item["source"].split(".jsonl")[0].split("-vs-")
        if item["output"] == "":
            continue
        winner = {model_a: "model_a", model_b: "model_b"}.get(item["output"], "tie")
        data = {
            key: item[key]
            for key in ("instruction", "input", "output", "response_1", "response_2", "score", "explanation")
        }
        battles.append({
            "model_a": model_a, "model_b": model_b, "winner": winner, "judge": "people", "turn": 1, "anony": True,
            "language": "English", "tstamp": 1700000000.0 + len(battles), "source": item["source"], "data": data,
        })
battles.sort(key=lambda battle: (battle["data"]["score"] or 0.0, battle["tstamp"]))
out.write_text(json.dumps(battles), encoding="utf-8")
ratings = {}
for battle in battles:
    a, b = battle["model_a"], battle["model_b"]
    ra, rb = ratings.setdefault(a, 1000.0), ratings.setdefault(b, 1000.0)
    expected = 1 / (1 + 10 ** ((rb - ra) / 400))
    won = {"model_a": 1.0, "model_b": 0.0, "tie": 0.5}[battle["winner"]]
    ratings[a], ratings[b] = ra + 4 * (won - expected), rb - 4 * (won - expected)
print(json.dumps({"battles": len(battles), "ratings": ratings}))
"""

# What Arena's notebook keeps before it rates: battles with hidden names, in one language, of one turn; by time.
AS_THE_NOTEBOOK_FILTERS = """
import json, sys

import duckdb

file = sys.argv[1]
rows = duckdb.sql(f"SELECT * FROM '{file}'")
kept = rows.filter("anony = true AND language = 'English' AND turn = 1").order("tstamp")
told = kept.project("model_a, model_b, winner, judge, tstamp, typeof(tstamp)").fetchall()
plain = None
if file.endswith(".json"):
    battles = json.load(open(file, encoding="utf-8"))
    plain = [b for b in battles if b["anony"] == True and b["language"] == "English" and b["turn"] == 1]
    plain = [[b["model_a"], b["tstamp"]] for b in sorted(plain, key=lambda b: b["tstamp"])]
    assert all(set(b["data"]) >= {"instruction", "response_1", "response_2", "score", "explanation"} for b in battles)
print(json.dumps({"kept": told, "plain": plain}))
"""


def told(script: str, *arguments: object) -> dict:
    """What a script prints; it must end well."""
    with children.python("-c", script, *arguments) as child:
        printed, complaint = child.communicate()
    assert child.returncode == 0, complaint
    return dict(json.loads(printed))


def judged(db: sqlite3.Connection) -> None:
    """Twelve selected pairs of which seven are judged, two by two people; one has a reference answer."""
    small_study(db, 4)
    study = Study(db)
    for number in range(4):
        study.judgment(3 * number + 1, 3 * number + 2, ("model_a", "model_b", "tie", "model_a")[number])
        study.judgment(3 * number + 1, 3 * number + 3, "model_a")
    study.judgment(1, 2, "model_a", "bob")
    db.execute("UPDATE instructions SET reference_answer = '42' WHERE id = 1")


@pytest.mark.parametrize("output", ["pairs", "pairs.jsonl"])
@pytest.mark.parametrize("selected", [False, True], ids=["judged", "selected"])
def test_the_scripts_of_the_method_run_on_pair_files(db_file: Path, madetl: Madetl, tmp_path, output, selected):
    with database.writing(db_file) as db:
        judged(db)
    madetl("export", "mad-eval", *(("--selection", "pilot") if selected else ()), "-o", tmp_path / output)
    found = told(FROM_PAIRS_TO_ELO, tmp_path / output, tmp_path / "battles.json")
    assert found["battles"] == 9
    ratings = found["ratings"]
    assert ratings["zeta-1"] == max(ratings.values())
    assert sum(ratings.values()) == pytest.approx(3000)
    # and what the script made is a file of battles that madetl reads, with the same votes
    with database.writing(tmp_path / "other.db") as other:
        answers.import_arena(other, [str(tmp_path / "battles.json")], crowds=["people"])
        winners = "SELECT winner_model, count(*) FROM battles GROUP BY winner_model ORDER BY winner_model"
        assert other.execute("SELECT DISTINCT language FROM instructions").fetchall()[0][0] == "English"
        with database.reading(db_file) as db:
            assert [tuple(row) for row in other.execute(winners)] == [tuple(row) for row in db.execute(winners)]


def test_every_row_has_every_key_whatever_is_known(db_file: Path, madetl: Madetl, tmp_path):
    """Judged or selected, with a score or without, with an explanation or none: the same keys, and answer beside."""
    with database.writing(db_file) as db:
        judged(db)
        select(db, [(1, 2)], name="one")
    keys = ["instruction", "input", "output", "response_1", "response_2", "score", "source", "explanation"]
    rows = []
    for number, options in enumerate([(), ("--selection", "pilot"), ("--selection", "one"), ("--annotator", "bob")]):
        file = tmp_path / f"{number}.jsonl"
        madetl("export", "mad-eval", *options, "-o", file)
        rows += [json.loads(line) for line in file.read_text("utf-8").split("\n") if line]
    madetl("export", "mad-eval", "-o", tmp_path / "all.json")
    rows += json.loads((tmp_path / "all.json").read_text("utf-8"))
    assert {tuple(key for key in row if key != "answer") for row in rows} == {tuple(keys)}
    assert {("answer" in row, row["instruction"] == "Describe place 0.") for row in rows} == {
        (True, True), (False, False),
    }  # fmt: skip
    texts = ("instruction", "input", "output", "response_1", "response_2", "source", "explanation")
    assert all(isinstance(row[key], str) for row in rows for key in texts)
    assert {row["score"] for row in rows} == {None, 0.1}
    # and one file of all pairs comes back
    done = madetl("--db", tmp_path / "back.db", "import", "mad-eval", tmp_path / "0.jsonl")
    assert "9 judgments" in done.stdout


@pytest.mark.parametrize("suffix", ["json", "jsonl", "parquet"])
def test_the_notebooks_filters_keep_the_battles(db_file: Path, madetl: Madetl, tmp_path, suffix):
    with database.writing(db_file) as db:
        judged(db)
        db.execute("UPDATE judgments SET created_at = strftime('%Y-%m-%dT%H:%M:%fZ', 1700000000 - id, 'unixepoch')")
        db.execute("UPDATE judgments SET turn = 2 WHERE id = 1")
        db.execute("UPDATE judgments SET anony = 0 WHERE id = 2")
        db.execute("UPDATE instructions SET language = 'German' WHERE id = 2")
    file = tmp_path / f"battles.{suffix}"
    done = madetl("export", "arena", "-o", file)
    assert "the language of 7 battles is not known; --language" in done.stderr
    assert told(AS_THE_NOTEBOOK_FILTERS, file)["kept"] == []

    madetl("export", "arena", "--language", "English", "-o", file)

    found = told(AS_THE_NOTEBOOK_FILTERS, file)
    assert [row[4] for row in found["kept"]] == [1700000000.0 - number for number in (9, 8, 7, 6, 5)]
    assert {row[5] for row in found["kept"]} == {"DOUBLE"}
    if suffix == "json":
        assert found["plain"] == [[row[0], row[4]] for row in found["kept"]]


def test_the_published_annotations_come_back_to_the_key(shared: Path, madetl: Madetl, tmp_path):
    """Arena's columns of the published file, battle by battle, but for the translations. The source names the models in
    the order shown, and so whose answer response_1 is."""
    file = shared / "mad_eval" / "chatbot_arena-annotation-10-bert.json"
    madetl("import", "arena", file, "--metric", "bert-score")
    madetl("export", "arena", "-o", tmp_path / "battles.json")
    columns = ("model_a", "model_b", "winner", "judge", "turn", "anony", "language")
    texts = ("instruction", "input", "output", "response_1", "response_2", "score")

    def rows(path: Path) -> list[tuple[str, float]]:
        found = json.loads(path.read_text("utf-8"))
        told = [[[row[key] for key in columns], [row["data"][key] for key in texts]] for row in found]
        return sorted((json.dumps(each), row["tstamp"]) for each, row in zip(told, found, strict=True))

    given, written = rows(file), rows(tmp_path / "battles.json")
    assert [row for row, _ in written] == [row for row, _ in given]
    battles = json.loads((tmp_path / "battles.json").read_text("utf-8"))
    assert {row["source"] == f"{row['model_a']}-vs-{row['model_b']}.jsonl" for row in battles} == {True}
    assert [time for _, time in written] == pytest.approx([time for _, time in given], abs=0.001)  # stored so exactly
