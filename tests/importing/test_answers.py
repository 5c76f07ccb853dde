"""Files in, rows out: what is stored, what a second import adds, and what becomes of a bad file."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madetl.errors import InputError, ParameterError
from madetl.importing import answers
from madetl.store import database
from madetl.text import text_hash
from tests.conftest import Study

Madetl = Callable[..., subprocess.CompletedProcess[str]]


class Files:
    """Writes JSON lines into the test's folder, and returns paths."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, name: str, *rows: dict[str, Any]) -> str:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(path)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def rows(db: sqlite3.Connection, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in db.execute(sql)]


def count(db: sqlite3.Connection, table: str) -> int:
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def answer(instruction: str, model: str, response: str, **more: str) -> dict[str, str]:
    return {"instruction": instruction, "model": model, "response": response, "scenario": "S", **more}


def pair(output: str, response_1: str = "x", response_2: str = "y", **more: Any) -> dict[str, Any]:
    return {"instruction": "q", "response_1": response_1, "response_2": response_2, "output": output, **more}


def battle(model_a: str, model_b: str, winner: str, **more: Any) -> dict[str, Any]:
    """A battle in which every model answers with its own name."""
    data = {"instruction": "q", "response_1": model_a, "response_2": model_b}
    return {"model_a": model_a, "model_b": model_b, "winner": winner, "data": data, **more}


# Instructions


def test_instructions_are_stored_once_in_their_scenario(db: sqlite3.Connection, files: Files) -> None:
    file = files(
        "pool.jsonl",
        {"question": "q", "answer": "42"},
        {"question": "q", "input": "i"},
        {"question": "q ", "scenario": "T"},
        {"question": "q"},
    )
    done = answers.import_instructions(db, [file], "S")
    assert done.summary == "instructions: 4 instructions (3 new, 1 known)"
    assert rows(db, "SELECT scenario, instruction, input, reference_answer, source, run_id FROM instructions") == [
        ("S", "q", "", "42", "instructions:pool.jsonl", 1),
        ("S", "q", "i", None, "instructions:pool.jsonl", 1),
        ("T", "q ", "", None, "instructions:pool.jsonl", 1),
    ]
    again = answers.import_instructions(db, [file], "S")
    assert again.summary == "instructions: 4 instructions (0 new, 4 known)"
    assert again.warnings == []
    assert count(db, "instructions") == 3


def test_the_first_reference_answer_stands_and_a_different_one_is_reported(
    db: sqlite3.Connection, files: Files
) -> None:
    first = files("1.jsonl", {"text": "p"}, {"text": "q", "answer": "1"}, {"text": "r"})
    second = files(
        "2.jsonl",
        {"text": "p", "answer": "2"},
        {"text": "q", "answer": "2"},
        {"text": "p", "answer": "3"},
        {"text": "r"},
    )
    done = answers.import_instructions(db, [first, second], "S")
    assert rows(db, "SELECT instruction, reference_answer FROM instructions") == [("p", "2"), ("q", "1"), ("r", None)]
    assert done.warnings == [
        "2 reference answers differ from the first one given for their instruction, which is kept."
    ]


# Responses


def test_each_different_answer_is_a_sample(db: sqlite3.Connection, files: Files) -> None:
    first = files(
        "1.jsonl", answer("q", "m", "a b"), answer("q", "n", "a b"), answer("q", "m", "c"), answer("q", "m", "a b")
    )
    second = files("2.jsonl", answer("q", "m", ""), answer("q", "m", "c"), answer("p", "m", "c"))
    done = answers.import_responses(db, [first, second])
    assert done.summary == "responses: 7 responses (4 new, 2 known, 1 empty)"
    sql = (
        "SELECT instruction, m.name, sample, response, r.hash, words, characters, r.source"
        " FROM responses r JOIN models m ON m.id = r.model_id JOIN instructions i ON i.id = instruction_id"
        " ORDER BY r.id"
    )
    assert rows(db, sql) == [
        ("q", "m", 0, "a b", text_hash("a b"), 2, 3, "responses:1.jsonl"),
        ("q", "n", 0, "a b", text_hash("a b"), 2, 3, "responses:1.jsonl"),
        ("q", "m", 1, "c", text_hash("c"), 1, 1, "responses:1.jsonl"),
        ("q", "m", 2, "", text_hash(""), 0, 0, "responses:2.jsonl"),
        ("p", "m", 0, "c", text_hash("c"), 1, 1, "responses:2.jsonl"),
    ]
    again = answers.import_responses(db, [second, first])
    assert again.summary == "responses: 7 responses (0 new, 7 known, 0 empty)"
    assert count(db, "responses") == 5


def test_sample_numbers_go_on_after_those_that_are_stored(db: sqlite3.Connection, files: Files, study: Study) -> None:
    asked = study.instruction("q", scenario="S")
    study.response(asked, "m", "a", sample=4)
    answers.import_responses(db, [files("1.jsonl", answer("q", "m", "b"), answer("q", "m", "a"))])
    assert rows(db, "SELECT sample, response FROM responses") == [(4, "a"), (5, "b")]


_ANSWERS = st.lists(
    st.tuples(st.sampled_from("pq"), st.sampled_from("mn"), st.sampled_from(["", "a", "b"])), min_size=1
)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)  # a database each
@given(_ANSWERS, _ANSWERS)
def test_what_is_stored_is_the_set_of_answers_whatever_files_they_come_in(
    tmp_path_factory: pytest.TempPathFactory, first: list[tuple[str, str, str]], second: list[tuple[str, str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("sets")
    write = Files(folder)
    with database.writing(folder / "mad.db") as db:
        names = [write(f"{n}.jsonl", *(answer(*row) for row in part)) for n, part in enumerate([first, second])]
        done = answers.import_responses(db, names)
        stored = rows(
            db,
            "SELECT instruction, name, response FROM responses r JOIN models m ON m.id = r.model_id"
            " JOIN instructions i ON i.id = instruction_id ORDER BY r.id",
        )
        samples = rows(db, "SELECT instruction_id, model_id, count(*), max(sample) + 1 FROM responses GROUP BY 1, 2")
    assert stored == list(dict.fromkeys(first + second))
    assert all(number == highest for _, _, number, highest in samples)
    assert done.counts["responses new"] + done.counts["responses empty"] == len(stored)
    assert done.counts["responses known"] == len(first + second) - len(stored)


_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@settings(max_examples=30, deadline=None)  # a database each
@given(st.lists(st.tuples(_TEXT.filter(bool), _TEXT), min_size=1), st.booleans())
def test_any_text_is_found_again_exactly(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str]], ascii: bool
) -> None:
    folder = tmp_path_factory.mktemp("texts")
    lines = [json.dumps(answer(asked, "m", text), ensure_ascii=ascii) for asked, text in texts]
    (folder / "a.jsonl").write_bytes("\n".join(lines).encode())
    with database.writing(folder / "mad.db") as db:
        answers.import_responses(db, [str(folder / "a.jsonl")])
        sql = "SELECT instruction, response, characters FROM responses r JOIN instructions i ON i.id = instruction_id"
        found = rows(db, sql)
    assert set(found) == {(asked, text, len(text)) for asked, text in texts}


def test_unstorable_characters_are_reported(db: sqlite3.Connection, files: Files) -> None:
    done = answers.import_responses(db, [files("1.jsonl", answer("q\0", "m", "\ud800 \udfff"))])
    assert done.warnings == ["3 characters that cannot be stored (NUL, lone surrogates) were replaced by U+FFFD."]
    assert rows(db, "SELECT instruction FROM instructions") == [("q\ufffd",)]


def test_alpaca_eval(db: sqlite3.Connection, files: Files) -> None:
    row = {"dataset": "koala", "instruction": "q", "output": "a", "generator": "m"}
    done = answers.import_alpaca_eval(db, [files("m.json", row)])
    assert done.summary == "alpaca-eval: 1 response (1 new, 0 known, 0 empty)"
    sql = "SELECT scenario, i.source, r.source FROM responses r JOIN instructions i ON i.id = instruction_id"
    assert rows(db, sql) == [("AlpacaEval", "alpaca-eval:koala", "alpaca-eval:koala")]


# Battles

_VERDICTS = (
    "SELECT ma.name, mb.name, ra.response, rb.response, winner, shown_first FROM judgments j"
    " JOIN responses ra ON ra.id = response_a_id JOIN responses rb ON rb.id = response_b_id"
    " JOIN models ma ON ma.id = ra.model_id JOIN models mb ON mb.id = rb.model_id ORDER BY j.id"
)


def test_verdicts_are_stored_in_canonical_order_and_given_back_in_the_order_shown(
    db: sqlite3.Connection, files: Files
) -> None:
    given = [battle("m", "n", word) for word in ("model_a", "model_b", "tie", "both_bad")]
    turned = [battle("n", "m", word) for word in ("model_a", "modedl_b", "tie (bothbad)")]
    answers.import_arena(db, [files("b.jsonl", *given, *turned)])
    assert rows(db, _VERDICTS) == [
        ("m", "n", "m", "n", "model_a", "model_a"),
        ("m", "n", "m", "n", "model_b", "model_a"),
        ("m", "n", "m", "n", "tie", "model_a"),
        ("m", "n", "m", "n", "both_bad", "model_a"),
        ("m", "n", "m", "n", "model_b", "model_b"),
        ("m", "n", "m", "n", "model_a", "model_b"),
        ("m", "n", "m", "n", "both_bad", "model_b"),
    ]
    shown = rows(db, "SELECT model_a, model_b, winner, response_a, response_b FROM battles ORDER BY judgment_id")
    assert shown == [
        ("m", "n", "model_a", "m", "n"),
        ("m", "n", "model_b", "m", "n"),
        ("m", "n", "tie", "m", "n"),
        ("m", "n", "both_bad", "m", "n"),
        ("n", "m", "model_a", "n", "m"),
        ("n", "m", "model_b", "n", "m"),
        ("n", "m", "both_bad", "n", "m"),
    ]


def test_mad_eval_does_not_say_what_was_shown_first(db: sqlite3.Connection, files: Files) -> None:
    first = files("m-vs-n.jsonl", pair("m"), pair("tie"))
    second = files("n-vs-m.jsonl", pair("m"), pair("n"), pair(""))
    done = answers.import_mad_eval(db, [first, second], crowds=["passers-by"])
    assert rows(db, _VERDICTS) == [
        ("m", "n", "x", "y", "model_a", None),
        ("m", "n", "x", "y", "tie", None),
        ("m", "n", "y", "x", "model_a", None),
        ("m", "n", "y", "x", "model_b", None),
    ]
    assert done.summary == (
        "mad-eval: 4 judgments (4 new, 0 known); 10 responses (4 new, 6 known, 0 empty); 1 not judged"
    )
    assert rows(db, "SELECT DISTINCT n.name, kind, source FROM judgments JOIN annotators n ON n.id = annotator_id") == [
        ("passers-by", "crowd", f"mad-eval:{files.folder.name}/m-vs-n.jsonl"),
        ("passers-by", "crowd", f"mad-eval:{files.folder.name}/n-vs-m.jsonl"),
    ]


def test_equal_rows_of_one_file_are_different_votes_and_a_second_import_adds_none(
    db: sqlite3.Connection, files: Files
) -> None:
    file = files("m-vs-n.jsonl", pair("m"), pair("m"), pair("n"), pair("m"))
    assert answers.import_mad_eval(db, [file]).counts["judgments new"] == 4
    again = answers.import_mad_eval(db, [file])
    assert again.summary == "mad-eval: 4 judgments (0 new, 4 known); 8 responses (0 new, 8 known, 0 empty)"
    assert again.warnings == []
    # A row more in the file is a vote more.
    longer = files("m-vs-n.jsonl", pair("m"), pair("m"), pair("n"), pair("m"), pair("m"))
    assert answers.import_mad_eval(db, [longer]).counts["judgments new"] == 1
    assert Counter(rows(db, "SELECT winner FROM judgments")) == {("model_a",): 4, ("model_b",): 1}


def test_equal_rows_of_different_files_are_different_votes(db: sqlite3.Connection, files: Files) -> None:
    answers.import_arena(db, [files("1.jsonl", battle("m", "n", "tie"))])
    done = answers.import_arena(db, [files("2.jsonl", battle("m", "n", "tie"))])
    assert done.counts["judgments new"] == 1
    assert len(done.warnings) == 1
    assert done.warnings[0].startswith("1 of the new judgments is like one that another file or source brought before")
    assert "`madetl delete run 2` takes" in done.warnings[0]


@pytest.mark.slow
def test_more_rows_than_are_stored_at_a_time(db: sqlite3.Connection, files: Files) -> None:
    number = answers._BATCH + 1
    file = files("m-vs-n.jsonl", *[pair("m")] * number)
    steps: list[tuple[int, int]] = []
    done = answers.import_mad_eval(db, [file], progress=lambda done, total: steps.append((done, total)))
    assert done.counts["judgments new"] == count(db, "judgments") == number
    assert count(db, "responses") == 2
    assert done.warnings == []
    assert len(steps) == 2
    assert steps[-1][0] == steps[-1][1] == round(Path(file).stat().st_size / 1000)
    assert answers.import_mad_eval(db, [file]).counts["judgments new"] == 0


def test_a_files_own_ids(db: sqlite3.Connection, files: Files) -> None:
    long = "58210e39b3fd4441a2bd4a518bb44c2d"
    asked_twice = [battle("m", "n", "tie", question_id=long), battle("m", "n", "model_a", question_id=long)]
    numbered = [battle("m", "n", "tie", id=7)]
    answers.import_arena(db, [files("1.jsonl", *asked_twice, *numbered)])
    # A long id is the same battle wherever it stands, a number says nothing outside of its file.
    answers.import_arena(db, [files("2.jsonl", *asked_twice, *numbered)])
    first, second = (f"arena:{files.folder.name}/{name}" for name in ("1.jsonl", "2.jsonl"))
    stored = rows(db, "SELECT source_id, winner, source FROM judgments ORDER BY id")
    assert stored[:2] == [(long, "tie", first), (f"{long}:2", "model_a", first)]
    assert [row[1:] for row in stored[2:]] == [("tie", first), ("tie", second)]


def test_a_corrected_vote_with_a_short_id_is_another_vote(db: sqlite3.Connection, files: Files) -> None:
    answers.import_arena(db, [files("b.jsonl", battle("m", "n", "model_a", question_id=7))])
    corrected = files("b.jsonl", battle("m", "n", "tie", question_id=7))
    assert answers.import_arena(db, [corrected]).counts["judgments new"] == 1
    assert answers.import_arena(db, [corrected]).counts["judgments new"] == 0
    assert rows(db, "SELECT winner FROM judgments ORDER BY id") == [("model_a",), ("tie",)]


@pytest.mark.parametrize("load", [answers.import_mad_eval, answers.import_arena])
def test_files_of_one_name_in_different_folders_never_swallow_votes(
    db: sqlite3.Connection, files: Files, monkeypatch: pytest.MonkeyPatch, load: Callable[..., Any]
) -> None:
    votes = [{**battle("A", "B", word), **pair(output), "id": 1} for word, output in (("model_a", "A"), ("tie", "tie"))]
    given = [files(f"{folder}/A-vs-B.jsonl", *votes) for folder in ("alice", "bob")]
    done = load(db, given)
    assert (done.counts["judgments new"], done.counts["judgments elsewhere"]) == (4, 2)
    monkeypatch.chdir(files.folder / "alice")  # the same file by another path
    assert load(db, ["A-vs-B.jsonl", "../bob/A-vs-B.jsonl"]).counts["judgments new"] == 0


@pytest.mark.parametrize("turned", [False, True])
def test_a_worldwide_id_with_another_winner_is_refused_with_the_one_that_stands(
    db: sqlite3.Connection, files: Files, turned: bool
) -> None:
    long = "58210e39b3fd4441a2bd4a518bb44c2d"
    answers.import_arena(db, [files("1.jsonl", battle("m", "n", "model_a", question_id=long))])
    again = battle("n", "m", "model_b", question_id=long) if turned else battle("m", "n", "model_a", question_id=long)
    assert answers.import_arena(db, [files("2.jsonl", again)]).counts["judgments known"] == 1
    file = files("2.jsonl", battle("m", "n", "tie", id=1), again | {"winner": "tie"})
    with pytest.raises(InputError) as error:
        answers.import_arena(db, [file])
    assert str(error.value) == (
        f"{file}, line 2, field winner: arena judged as vote {long} already (run 1): m then, tie now. With --revise the"
        " new verdicts count, and the old ones are kept as revised. Nothing of this file was imported."
    )
    assert count(db, "judgments") == 1
    for _ in range(2):  # the second time there is nothing left to revise
        answers.import_arena(db, [file], again="revise")
        found = rows(db, f"SELECT winner, status FROM judgments WHERE source_id LIKE '{long}%' ORDER BY id")
        assert found == [("model_a", "revised"), ("tie", "counted")]


def test_a_battle_that_another_source_brought_is_counted_one_to_one(db: sqlite3.Connection, files: Files) -> None:
    votes = files("m-vs-n.jsonl", pair("m", "m", "n"), pair("m", "m", "n"), pair("n", "m", "n"), pair("tie", "m", "z"))
    answers.import_mad_eval(db, [votes])
    arena_file = files(
        "b.jsonl", battle("n", "m", "model_b"), battle("m", "n", "tie"), *[battle("m", "n", "model_b")] * 2
    )
    done = answers.import_arena(db, [arena_file])
    # Though in another scenario: one of two votes for m there, and one of two votes for n here. No tie was there.
    assert done.counts["judgments elsewhere"] == 2
    assert count(db, "judgments") == 8


def test_votes_on_our_own_sheets_are_not_repetitions_of_one_another(
    db: sqlite3.Connection, files: Files, study: Study
) -> None:
    asked = study.instruction("q", scenario="Arena")
    sides = (study.response(asked, "m", "m"), study.response(asked, "n", "n"))
    study.judgment(*sides, "tie")
    db.execute("UPDATE judgments SET source = 'sheet'")
    done = answers.import_arena(db, [files("b.jsonl", battle("m", "n", "tie"))])
    assert done.counts["judgments elsewhere"] == 1
    db.execute("UPDATE judgments SET source = 'page' WHERE source LIKE 'arena%'")
    from madetl.store import judgments

    verdict = judgments.Verdict(
        annotator="bob", response_a_id=sides[0], response_b_id=sides[1], winner="tie", shown_first=None,
        source="judgments:bob.csv", source_id="1",
    )  # fmt: skip
    with database.transaction(db):
        for new in (1, 0):
            stored = judgments.insert(db, judgments.sort_out(db, [verdict]), None)
            assert stored == judgments.StoredJudgments(new=new, known=1 - new, revised=0, repeats=0, elsewhere=0)


def test_scores_are_stored_under_a_metric_alone(db: sqlite3.Connection, files: Files, study: Study) -> None:
    study.model("m")  # so that the canonical order is not the file's
    answers.import_instructions(db, [files("0.jsonl", {"text": "other"})], "S")
    file = files(
        "n-vs-m.jsonl",
        pair("", "one two three", "four", score=0.25, explanation="why"),
        pair("n", "one two three", "four", score=0.5),
        pair("n", "one two three", "", score=0.75),
    )
    without = answers.import_mad_eval(db, [file])
    assert without.warnings == [
        "3 similarity scores were left out; with --metric NAME they are stored under that name."
    ]
    done = answers.import_mad_eval(db, [file], metric="bert")
    assert done.summary == (
        "mad-eval: 2 judgments (0 new, 2 known); 6 responses (0 new, 6 known, 0 empty); 3 scores (2 new, 1 known);"
        " 1 not judged"
    )
    assert done.warnings == ["1 score differs from the first one given for its pair of answers, which is kept."]
    sql = (
        "SELECT t.name, t.parameters, ra.response, rb.response, score, shorter_words, length_ratio, explanation,"
        " model_a_id, model_b_id, i.instruction FROM similarities s JOIN metrics t ON t.id = metric_id"
        " JOIN pairs p ON p.id = pair_id JOIN responses ra ON ra.id = response_a_id"
        " JOIN responses rb ON rb.id = response_b_id JOIN instructions i ON i.id = s.instruction_id ORDER BY s.id"
    )
    assert rows(db, sql) == [
        ("bert", '{"imported": true}', "four", "one two three", 0.25, 1, 13 / 4, "why", 1, 2, "q"),
        ("bert", '{"imported": true}', "", "one two three", 0.75, 0, 0.0, None, 1, 2, "q"),
    ]
    again = answers.import_mad_eval(db, [file], metric="bert")
    assert "3 scores (0 new, 3 known)" in again.summary


def test_a_metric_without_scores_is_mentioned(db: sqlite3.Connection, files: Files) -> None:
    done = answers.import_arena(db, [files("b.jsonl", battle("m", "n", "tie"))], metric="bert")
    assert done.warnings == ["there were no scores to store under the metric bert."]


# Bad files


def test_of_a_bad_file_nothing_stays_and_the_files_before_it_do(db: sqlite3.Connection, files: Files) -> None:
    good = files("good.jsonl", answer("q", "m", "a"))
    bad = files("bad.jsonl", answer("p", "n", "a"), {"instruction": "r"})
    later = files("later.jsonl", answer("s", "o", "a"))
    with pytest.raises(InputError) as caught:
        answers.import_responses(db, [good, bad, later])
    message = (
        f"{bad}, line 2, field response: missing (output would do); the row has instruction."
        f" Nothing of this file was imported. Imported before it: {good}."
    )
    assert str(caught.value) == message
    assert rows(db, "SELECT response FROM responses") == [("a",)]
    assert rows(db, "SELECT name FROM models") == [("m",)]
    assert rows(db, "SELECT command, outcome, summary FROM runs") == [("import responses", "failed", message)]


@pytest.mark.slow
def test_of_an_interrupted_file_nothing_stays(db: sqlite3.Connection, files: Files) -> None:
    file = files("m-vs-n.jsonl", *[pair("m")] * (answers._BATCH + 1))

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answers.import_mad_eval(db, [file], progress=interrupt)
    for table in ("instructions", "models", "responses", "annotators", "judgments"):
        assert count(db, table) == 0
    assert rows(db, "SELECT outcome FROM runs") == [("interrupted",)]


def test_an_import_is_a_run_with_its_parameters_and_closing_line(db: sqlite3.Connection, files: Files) -> None:
    file = files("m-vs-n.jsonl", pair("m", score=1))
    done = answers.import_mad_eval(db, [file], annotator="alice")
    command, parameters, outcome, summary = rows(db, "SELECT command, parameters, outcome, summary FROM runs")[0]
    assert (command, outcome) == ("import mad-eval", "ok")
    assert json.loads(parameters) == {
        "files": [file], "scenario": "MAD-Eval", "annotator": "alice", "crowds": [], "metric": None, "revise": False,
        "as_repeat": False,
    }  # fmt: skip
    assert summary.split("\n") == [done.summary, *done.warnings]
    for table in ("instructions", "responses", "judgments"):
        assert rows(db, f"SELECT DISTINCT run_id FROM {table}") == [(1,)]


@pytest.mark.parametrize("scenario", ["", "  ", "overall"])
def test_scenarios_that_cannot_be(db: sqlite3.Connection, files: Files, scenario: str) -> None:
    with pytest.raises(ParameterError, match=r"scenario|Scenario"):
        answers.import_alpaca_eval(db, [files("a.json")], scenario)
    assert count(db, "runs") == 0


# The commands


def test_each_command_says_what_came_in(madetl: Madetl, files: Files) -> None:
    texts = files("pool.jsonl", {"question": "q"})
    done = madetl("import", "instructions", texts, "--scenario", "S")
    assert done.stdout.startswith("instructions: 1 instruction (1 new, 0 known)\nNext:\n")
    answers = json.dumps({"text": "q", "output": "a"})
    done = madetl("import", "responses", "-", "--scenario", "S", "--model", "m", input=answers)
    assert done.stdout.startswith("responses: 1 response (1 new, 0 known, 0 empty)\nNext:\n")
    outputs = files("o.json", {"instruction": "q", "output": "", "generator": "m"})
    done = madetl("import", "alpaca-eval", outputs)
    assert done.stdout.startswith("alpaca-eval: 1 response (0 new, 0 known, 1 empty)\nNext:\n")
    pairs = files("m-vs-n.jsonl", pair("m", score=0.5))
    done = madetl("import", "mad-eval", pairs)
    assert done.stdout.startswith(
        "mad-eval: 1 judgment (1 new, 0 known); 2 responses (2 new, 0 known, 0 empty)\nNext:\n  madetl rank\n"
    )
    assert done.stderr.startswith("Warning: 1 similarity score was left out; with --metric NAME")
    battles = files("b.jsonl", battle("m", "n", "tie"))
    counts = json.loads(madetl("import", "arena", battles, "--annotator", "alice", "--json").stdout)
    assert counts["summary"] == "arena: 1 judgment (1 new, 0 known); 2 responses (2 new, 0 known, 0 empty)"
    assert counts["counts"]["judgments new"] == 1


def test_bad_input_is_one_line_and_status_1(madetl: Madetl, db_file: Path) -> None:
    done = madetl(
        "import", "instructions", "-", "--scenario", "S", input='{"question": "q"}\n{"question": 1}\n', status=1
    )
    assert done.stderr == (
        "Error: standard input, line 2, field question: found 1; expected text. Nothing of this file was imported.\n"
    )
    assert done.stdout == ""
    assert not db_file.exists()
    assert "folder" in madetl("import", "arena", db_file.parent, status=1).stderr
    assert "Missing argument 'FILE...'" in madetl("import", "arena", status=2).stderr


# Real files


def test_eight_models_of_alpaca_eval(db: sqlite3.Connection, shared: Path) -> None:
    names = sorted(map(str, (shared / "alpaca_eval").glob("*.json")))
    done = answers.import_alpaca_eval(db, names)
    assert done.summary == "alpaca-eval: 6,440 responses (6,439 new, 0 known, 1 empty)"
    assert (count(db, "instructions"), count(db, "models"), count(db, "responses")) == (805, 8, 6440)
    assert done.warnings == []
    again = answers.import_alpaca_eval(db, names)
    assert again.summary == "alpaca-eval: 6,440 responses (0 new, 6,440 known, 0 empty)"


@pytest.mark.parametrize("arena_first", [False, True])
@pytest.mark.slow
def test_no_vote_of_the_arena_files_is_lost_and_the_60_in_both_are_reported(
    db: sqlite3.Connection, shared: Path, arena_first: bool
) -> None:
    pair_files = sorted(map(str, (shared / "mad_eval" / "chatbot_arena").glob("*.jsonl")))
    imports = [
        lambda: answers.import_mad_eval(db, pair_files),
        lambda: answers.import_arena(
            db, [str(shared / "mad_eval" / "chatbot_arena-annotation-10-bert.json")], metric="bert"
        ),
    ]
    first, second = (load() for load in (reversed(imports) if arena_first else imports))
    assert first.counts["judgments elsewhere"] == 0
    assert second.counts["judgments elsewhere"] == 60
    assert count(db, "judgments") == 2751 + 210
    assert count(db, "similarities") == 210
    expected: Counter[tuple[str, ...]] = Counter()
    for file in pair_files:
        names = Path(file).stem.split("-vs-")
        for line in Path(file).read_text(encoding="utf-8").split("\n")[:-1]:
            row = json.loads(line)
            sides = zip(names, (row["response_1"], row["response_2"]), strict=True)
            expected[(row["instruction"], row["output"], *(part for side in sorted(sides) for part in side))] += 1
    found: Counter[tuple[str, ...]] = Counter()
    for row in db.execute("SELECT * FROM battles WHERE source LIKE 'mad-eval:%'"):
        sides = zip((row["model_a"], row["model_b"]), (row["response_a"], row["response_b"]), strict=True)
        winner = row["winner_model"] or row["winner"]
        found[(row["instruction"], winner, *(part for side in sorted(sides) for part in side))] += 1
    assert found == expected


def test_a_table_as_a_spreadsheet_leaves_it(db: sqlite3.Connection, tmp_path: Path) -> None:
    file = tmp_path / "pool.csv"
    file.write_text(
        "Instruction, Scenario ,Reference_Answer,\nq,Writing,1,\n,,,\np,Coding,,\n , ,,\n", encoding="utf-8"
    )
    assert answers.import_instructions(db, [str(file)]).summary == "instructions: 2 instructions (2 new, 0 known)"
    assert rows(db, "SELECT scenario, instruction, reference_answer FROM instructions") == [
        ("Writing", "q", "1"),
        ("Coding", "p", None),
    ]
