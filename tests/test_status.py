"""`madetl status`: what there is, and commands that do what it says comes next."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from madetl.selection import select
from madetl.selection.sets import SelectionParameters
from madetl.status import status
from madetl.store import database, merge_models, sqlfiles
from madetl.study import demo
from tests.conftest import Study
from tests.support.measured_study import build as measured_answers
from tests.support.measured_study import judge_on_page

Madetl = Callable[..., CompletedProcess[str]]


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A copy of the example with answers and judgments, nothing measured."""
    return demo.copy_example(tmp_path / "study.db")


def commands(db: sqlite3.Connection) -> list[str]:
    return [step.command for step in status(db).next]


def test_an_empty_database_says_how_to_begin(db: sqlite3.Connection, madetl: Madetl) -> None:
    assert commands(db) == ["import responses answers.jsonl", "demo"]
    shown = madetl("status").stdout
    assert "empty" in shown
    assert "madetl import responses" in shown


def test_no_database_is_one_line_that_says_what_to_do(madetl: Madetl, db_file: Path) -> None:
    done = madetl("status", status=1)
    assert len(done.stderr.splitlines()) == 1
    assert "init" in done.stderr
    assert not db_file.exists()


def test_one_model_asks_for_another(study: Study) -> None:
    study.response(study.instruction("i"), "a", "text")
    assert commands(study.db) == ["import responses answers-of-another-model.jsonl", "infer --model gpt-4.1 --dry-run"]


def call(study: Study, model: str, outcome: str | None, stage: str = "inference", reason: str | None = None) -> int:
    """A request that ended so."""
    number = study.db.execute("SELECT count(*) FROM calls").fetchone()[0]
    cursor = study.db.execute(
        "INSERT INTO calls (stage, model_id, request_hash, outcome, error, finish_reason) VALUES (?, ?, ?, ?, ?, ?)",
        (stage, study.model(model), hashlib.sha256(str(number).encode()).hexdigest(), outcome, outcome, reason),
    )
    return int(cursor.lastrowid or 0)


def test_requests_that_failed_are_shown_with_the_command_that_tries_again(study: Study, madetl: Madetl) -> None:
    # given a and b with an answer each, failures of either kind, and a request that is under way
    one, two = study.instruction("i"), study.instruction("j")
    for model in ("a", "b"):
        response = study.response(one, model, "an answer")
        study.db.execute("UPDATE responses SET call_id = ? WHERE id = ?", (call(study, model, "ok"), response))
    call(study, "a", "timeout")
    call(study, "a", "refused")
    call(study, "a", None)
    call(study, "b", "invalid", "evolution")
    call(study, "b", "invalid", "evolution", reason="repaired")
    found = status(study.db)
    assert [(row["stage"], row["model"], row["outcome"], row["requests"]) for row in found.failures] == [
        ("evolution", "b", "invalid", 1),
        ("inference", "a", "refused", 1),
        ("inference", "a", "timeout", 1),
    ]
    # then transient ones are tried by the plain command, and b is behind with an instruction
    assert commands(study.db)[:3] == ["evolve --model b --retry-failed", "infer --model a", "infer --model b"]
    assert "never answered" in madetl("status").stdout
    assert found.next[2].why == "b has no answer to 1 instruction"
    study.response(two, "b", "another")
    assert "infer --model b" not in commands(study.db)


def test_it_counts_what_there_is(study: Study) -> None:
    # given two instructions of Writing (one unanswered), one of Coding with an empty answer, two votes and a judge's
    first, _, coding = study.instruction("i"), study.instruction("j"), study.instruction("k", "Coding")
    a, b = study.response(first, "a", "text"), study.response(first, "b", "other")
    study.response(coding, "a", "")
    study.judgment(a, b, "tie", source_id="1")
    study.judgment(a, b, "both_bad", "bob")
    study.judgment(a, b, "both_bad", source_id="2", status="repeat")
    study.judgment(a, b, "model_a", source_id="3", status="revised")
    study.annotator("gpt", "model")
    study.judgment(a, b, "model_a", annotator="gpt")
    found = status(study.db)
    assert [tuple(row.values()) for row in found.scenarios] == [
        ("Coding", 1, 1, "seeds", 1, 1, 1),
        ("Writing", 2, 2, "seeds", 2, 2, 0),
    ]
    assert [tuple(row.values()) for row in found.models] == [("a", 2, 2, 3), ("b", 1, 1, 3)]
    assert [tuple(row.values()) for row in found.annotators] == [
        ("ann", "person", 1, 1, 1, 0, 1, 1), ("bob", "person", 1, 1, 0, 1, 0, 0), ("gpt", "model", 1, 1, 0, 0, 0, 0),
    ]  # fmt: skip
    assert [step.why for step in found.next][-1] == "2 votes of people are not ranked yet"


def test_each_stage_leads_to_the_next(example: Path) -> None:
    with database.writing(example) as db:
        assert commands(db) == ["similarity", "rank"]
        demo.measure(db)
        assert commands(db) == ["select --top-k 10", "rank"]
        demo.select(db)
        assert commands(db) == ["rank"]
        demo.rank(db)
        assert commands(db) == []
        # when there is an answer that nobody measured, another vote, and a larger K
        Study(db).response(1, "atlas-large", "Another answer of the same model.", sample=1)
        db.execute(
            "INSERT INTO judgments (annotator_id, response_a_id, response_b_id, winner, source, source_id)"
            " SELECT :another, response_a_id, response_b_id, 'tie', 'x', 'x' FROM judgments LIMIT 1",
            {"another": Study(db).annotator("somebody else")},
        )
        select.select(db, SelectionParameters(top_k=12))
        pending = 12 * 6 - 60
        assert [(step.command, step.why) for step in status(db).next] == [
            ("similarity", "char-ngram has not measured 3 response pairs"),
            (
                "export annotations --selection all-char-ngram -o sheet.csv",
                f"nobody has judged {pending} of the 72 response pairs of all-char-ngram",
            ),
            ("import judgments sheet.csv --annotator NAME", "when the sheet is filled in"),
            ("rank", "the latest ranking counts 180 votes of people, and there are 181"),
        ]


def test_a_vote_that_is_revised_after_the_ranking_is_not_ranked_yet(example: Path, madetl: Madetl) -> None:
    with database.writing(example) as db:
        demo.rank(db)
        assert "rank" not in commands(db)
    sql = "SELECT instruction, model_a, model_b, winner, annotator FROM battles LIMIT 2"
    table = madetl("query", "--json", sql, "--db", example).stdout
    other = {"tie": "model_a", "model_a": "tie", "model_b": "tie"}
    rows = [row | {"winner": other[row["winner"]]} for row in json.loads(table)]
    file = example.with_name("corrected.json")
    file.write_text(json.dumps(rows), encoding="utf-8")
    madetl("import", "judgments", file, "--revise", "--db", example)
    with database.writing(example) as db:
        [step] = [step for step in status(db).next if step.command == "rank"]
        assert step.why == "2 of 180 votes of people came after the latest ranking"
        demo.rank(db)
        assert "rank" not in commands(db)


def test_the_leaderboard_of_a_selection_fits_and_says_so(example: Path, madetl: Madetl) -> None:
    with database.writing(example) as db:
        demo.measure(db)
        demo.select(db)
    madetl("rank", "--rounds", "20", "--selection", "all-char-ngram", "--db", example)
    shown = madetl("status", "--db", example).stdout
    assert (
        "Leaderboard (overall, Elo, people's votes on what all-char-ngram picked; lower and upper: 95 % interval)"
        in (" ".join(shown.split()))
    )
    header = next(line for line in shown.splitlines() if "probability_best" in line)
    assert header.split() == ["rank", "model", "probability_best", "rating", "lower", "upper", "battles"]


@pytest.mark.parametrize(
    "parameters",
    [
        SelectionParameters(top_k=3),
        SelectionParameters(top_k=3, scenarios=["Coding"], min_words=5, max_length_ratio=2.5),
        SelectionParameters(top_k=3, diversity=0.5, name="my pilot"),
        SelectionParameters(top_k=3, strategy="random", seed=7),
        SelectionParameters(top_k=3, strategy="evidence"),
    ],
)
def test_a_new_model_extends_a_selection_by_the_command_given(
    example: Path, madetl: Madetl, parameters: SelectionParameters
) -> None:
    with database.writing(example) as db:
        demo.measure(db)
        db.execute("INSERT INTO models (name) VALUES ('elm-new')")
        select.select(db, parameters)
        assert not [command for command in commands(db) if command.startswith("select")]
        # when a fifth model answers everything, and is measured
        study = Study(db)
        for row in db.execute("SELECT instruction_id, response FROM responses WHERE model_id = 2").fetchall():
            study.response(row["instruction_id"], "elm-new", f"As far as I can tell: {row['response']}")
        demo.measure(db)
        before = status(db).selections[0]["selected"]
        [command] = [command for command in commands(db) if command.startswith("select")]
    madetl("--db", example, *shlex.split(command))
    with database.reading(example) as db:
        assert status(db).selections[0]["selected"] == before + 3 * 4
        assert not [command for command in commands(db) if command.startswith("select")]


@pytest.mark.parametrize("verdicts", [0, 2, 5])
def test_an_adaptive_selection_grows_by_the_commands_given(
    db: sqlite3.Connection, madetl: Madetl, verdicts: int
) -> None:
    # given a page on which somebody judged some of a budget of 8, and has one more open
    measured_answers(db)
    judge_on_page(db, verdicts, budget=8)
    asked = verdicts + 1
    shown = status(db).selections[0]
    assert (shown["pair_policy"], shown["top_k"], shown["budget"], shown["selected"], shown["pending"]) == (
        "adaptive", None, 8, asked, 1,
    )  # fmt: skip
    assert "adaptive" in madetl("status").stdout
    # when the one is judged, and the next step is taken until there is none
    judge_on_page(db, 1)
    db.execute("DELETE FROM selections WHERE id NOT IN (SELECT selection_id FROM assignments WHERE state = 'judged')")
    for _ in range(8):
        found = [command for command in commands(db) if command.startswith("select")]
        if not found:
            break
        madetl(*shlex.split(found[0]))
        judge_all(db)
    assert (status(db).selections[0]["selected"], status(db).selections[0]["pending"]) == (8, 0)


def judge_all(db: sqlite3.Connection) -> None:
    db.execute(
        "INSERT INTO judgments (annotator_id, response_a_id, response_b_id, winner, source, source_id)"
        " SELECT 1, s.response_a_id, s.response_b_id, 'tie', 'x', s.id FROM selections AS s"
        " JOIN selected_pairs AS p ON p.selection_id = s.id WHERE p.judgments = 0"
    )


def test_scores_that_came_from_files_are_not_asked_for_again(example: Path) -> None:
    with database.writing(example) as db:
        db.execute("INSERT INTO metrics (name, hash) VALUES ('their-score', ?)", ("0" * 64,))
        demo.measure(db)
        db.execute("UPDATE similarities SET metric_id = 1 WHERE pair_id = 1")
        assert [command for command in commands(db) if command.startswith("similarity")] == ["similarity"]


def test_metrics_are_named_with_what_measures_them_again(study: Study) -> None:
    first = study.instruction("i")
    for model in "abc":
        study.response(first, model, f"text of {model}")
    db = study.db
    db.execute("INSERT INTO metrics (name, parameters, hash) VALUES ('bert-score', ?, ?)",
               (json.dumps({"model": "my encoder", "num_layers": 6}), "0" * 64))  # fmt: skip
    db.execute("INSERT INTO metrics (name, hash) VALUES ('vectors', ?)", ("1" * 64,))
    db.execute(
        "INSERT INTO embeddings (metric_id, hash, dimensions, vector) VALUES (2, ?, 1, x'00000000')", ("2" * 64,)
    )
    db.execute("INSERT INTO pairs (model_a_id, model_b_id) VALUES (1, 2)")
    for metric in (1, 2):
        db.execute(
            "INSERT INTO similarities (metric_id, pair_id, instruction_id, response_a_id, response_b_id, score,"
            " shorter_words, length_ratio) VALUES (?, 1, 1, 1, 2, 0.5, 3, 1)",
            (metric,),
        )
    assert [command for command in commands(db) if command.startswith("similarity")] == [
        "similarity --metric bert-score --model 'my encoder' --num-layers 6",
        "similarity --metric vectors",
    ]


def test_it_shows_tables_and_literal_commands_and_changes_nothing(example: Path, madetl: Madetl) -> None:
    before = hashlib.sha256(example.read_bytes()).hexdigest()
    shown = madetl("status", "--db", example).stdout
    for words in ("Understanding", "dune-tiny", "chloe", f"madetl --db {example} similarity"):
        assert words in shown
    found = json.loads(madetl("status", "--db", example, "--json").stdout)
    assert list(found) == [
        "database", "scenarios", "models", "failures", "similarities", "selections", "annotators", "leaderboard",
        "next",
    ]  # fmt: skip
    assert found["next"][0]["command"] == f"madetl --db {example} similarity"
    assert hashlib.sha256(example.read_bytes()).hexdigest() == before
    assert [file.name for file in example.parent.iterdir()] == [example.name]


def test_the_example_as_it_comes_can_be_looked_at(madetl: Madetl, tmp_path: Path) -> None:
    copy = shutil.copy(sqlfiles.example(), tmp_path / "mad.db.example")
    assert "birch-medium" in madetl("--db", copy, "status").stdout


def test_the_leaderboard_fits_and_says_in_its_title_whose_votes_it_counts(example: Path, madetl: Madetl) -> None:
    madetl("similarity", "--db", example)
    madetl("select", "--db", example, "--top-k", 3)
    madetl("rank", "--db", example, "--selection", "all-char-ngram", "--rounds", 20)
    shown = madetl("status", "--db", example).stdout
    assert "people's votes on what all-char-ngram picked;" in " ".join(shown.split())
    board = shown[shown.index("Leaderboard") :]
    header = next(line.split() for line in board.splitlines() if "battles" in line)
    assert header == ["rank", "model", "probability_best", "rating", "lower", "upper", "battles"]


def test_a_merged_model_is_counted_once(example: Path) -> None:
    with database.writing(example) as db:
        Study(db).response(1, "atlas", "An answer under a shorter name.")
        merge_models.rename(db, "atlas", "atlas-large", merge=True)
        assert [row["responses"] for row in status(db).models] == [25, 24, 24, 24]


@pytest.mark.parametrize(("resample", "words"), [("bootstrap", "95 % interval"), ("permute", "range over orders")])
def test_the_leaderboard_says_what_its_bounds_are(example: Path, madetl: Madetl, resample: str, words: str) -> None:
    madetl("rank", "--db", example, "--resample", resample, "--rounds", 20)
    shown = madetl("status", "--db", example).stdout
    assert f"lower and upper: {words}" in " ".join(shown.split())  # a title is wrapped
    told = json.loads(madetl("status", "--db", example, "--json").stdout)
    assert {row["resample"] for row in told["leaderboard"]} == {resample}
