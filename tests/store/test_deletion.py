"""init, runs, models, delete: the store kept in order."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madetl.errors import ParameterError
from madetl.store import database, deletion, merge_models, runs, sqlfiles
from tests.conftest import Study
from tests.support.measured_study import build as measured_answers
from tests.support.measured_study import judge_on_page

Madetl = Callable[..., CompletedProcess[str]]


class Shop(NamedTuple):
    """A study in which every table has rows: import (run 1), answers of c (2), similarity (3), select twice (4, 5)."""

    db: sqlite3.Connection
    study: Study


@pytest.fixture
def shop(db: sqlite3.Connection, study: Study) -> Shop:
    for command in ("import", "import", "similarity", "select", "select", "rank"):
        with runs.run(db, command, {"n": 1}, seed=42) as this:
            this.summary = f"{command} done"
    i, j, k = (study.instruction(text) for text in "ijk")
    db.execute("UPDATE instructions SET run_id = 1")
    answers = {m: [study.response(n, m, f"{m}{n}") for n in (i, j)] for m in "abc"}
    db.execute("UPDATE responses SET run_id = iif(model_id = 3, 2, 1)")
    study.response(k, "a", "only")
    db.execute("UPDATE responses SET run_id = 1 WHERE response = 'only'")
    db.execute("INSERT INTO metrics (name, hash) VALUES ('m', ?)", ("0" * 64,))
    picks = [(1, answers["a"][0], answers["b"][0], i, 4), (1, answers["a"][1], answers["b"][1], j, 5)]
    db.execute("INSERT INTO pairs (model_a_id, model_b_id) VALUES (1, 2), (1, 3)")
    add_set(db, "pilot", 2, run_id=4)
    for rank, (pair, a, b, instruction, run_id) in enumerate(picks, 1):
        add_similarity(db, pair, (a, b), instruction)
        add_selection(db, pair, (a, b), instruction, rank=rank, run_id=run_id)
    add_similarity(db, 2, (answers["a"][0], answers["c"][0]), i)
    db.execute("INSERT INTO assignments (selection_id, shown_first) VALUES (1, 'model_b'), (2, 'model_a')")
    judged = study.judgment(answers["a"][0], answers["b"][0], "model_b")
    db.execute("UPDATE judgments SET assignment_id = 1 WHERE id = ?", (judged,))
    study.judgment(answers["a"][0], answers["c"][0], "tie")
    db.execute(
        "INSERT INTO ratings (run_id, scenario, model_id, method, annotators, rating, lower, upper, rank, battles)"
        " VALUES (6, 'overall', 1, 'elo', 'people', 1000, 990, 1010, 1, 2),"
        "        (6, 'overall', 2, 'elo', 'people', 1000, 990, 1010, 1, 1)"
    )
    return Shop(db, study)


def add_set(db: sqlite3.Connection, name: str, top_k: int, run_id: int | None = None) -> None:
    db.execute(
        "INSERT INTO selection_sets (name, metric_id, strategy, top_k, min_words, max_length_ratio, candidates, run_id)"
        " VALUES (?, 1, 'mad', ?, 0, 0, 'all', ?)",
        (name, top_k, run_id),
    )


def add_similarity(db: sqlite3.Connection, pair: int, ends: tuple[int, int], instruction: int) -> None:
    db.execute(
        "INSERT INTO similarities (metric_id, pair_id, response_a_id, response_b_id, instruction_id, score,"
        " shorter_words, length_ratio, run_id) VALUES (1, ?, ?, ?, ?, 0.5, 9, 1, iif(? < 9, 3, NULL))",
        (pair, *ends, instruction, pair),
    )


def add_selection(
    db: sqlite3.Connection, pair: int, ends: tuple[int, int], instruction: int, *, rank: int = 1, run_id: int | None
) -> None:
    db.execute(
        "INSERT INTO selections (set_id, pair_id, rank, response_a_id, response_b_id, instruction_id, score, run_id)"
        " VALUES (1, ?, ?, ?, ?, ?, 0.5, ?)",
        (pair, rank, *ends, instruction, run_id),
    )


def dump(db: sqlite3.Connection) -> str:
    return "\n".join(db.iterdump())


def column(db: sqlite3.Connection, sql: str) -> list[Any]:
    return [row[0] for row in db.execute(sql)]


# --- init and runs


def test_init_makes_a_database_and_then_finds_it(madetl: Madetl, db_file: Path) -> None:
    assert "created" in madetl("init").stdout
    assert db_file.exists()
    assert "up to date" in madetl("init").stdout


def test_runs_are_listed_with_what_they_were_given(shop: Shop, madetl: Madetl) -> None:
    assert "similarity done" in madetl("runs").stdout
    listed = json.loads(madetl("runs", "--json").stdout)
    assert [run["command"] for run in listed] == ["import", "import", "similarity", "select", "select", "rank"]
    assert (listed[0]["seed"], json.loads(listed[0]["parameters"]), listed[0]["outcome"]) == (42, {"n": 1}, "ok")


def test_a_run_that_fails_or_is_interrupted_says_so(db: sqlite3.Connection) -> None:
    for error in (ValueError("no"), KeyboardInterrupt()):
        with pytest.raises(type(error)), runs.run(db, "x", {"path": Path("p"), "text": "ü"}):
            raise error
    rows = db.execute("SELECT outcome, summary, parameters FROM runs").fetchall()
    assert [tuple(row)[:2] for row in rows] == [("failed", "no"), ("interrupted", None)]
    assert json.loads(rows[0]["parameters"]) == {"path": "p", "text": "ü"}


def test_a_killed_run_has_no_outcome_and_is_listed(db: sqlite3.Connection, madetl: Madetl) -> None:
    db.execute("INSERT INTO runs (command, version) VALUES ('infer', '0')")
    assert "running or killed" in madetl("runs").stdout


# --- delete


def test_a_preview_counts_what_the_deletion_takes_and_changes_nothing(shop: Shop) -> None:
    for kind, name in (("run", "1"), ("run", "4"), ("model", "a"), ("selection", "pilot")):
        before = dump(shop.db)
        would = deletion.preview(shop.db, kind, name)
        assert dump(shop.db) == before
        copy = sqlite3.connect(":memory:", isolation_level=None)
        shop.db.backup(copy)
        copy.row_factory = sqlite3.Row
        copy.execute("PRAGMA foreign_keys = ON")
        assert deletion.delete(copy, kind, name) == would
        assert copy.execute("PRAGMA foreign_key_check").fetchall() == []
        assert copy.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_a_run_goes_with_its_rows_but_instructions_that_others_answered_stay(shop: Shop) -> None:
    # given run 1: instructions i, j, k, the answers of a and b; run 2: the answers of c to i and j
    gone = deletion.delete(shop.db, "run", "1")
    assert gone.instructions_kept == 2
    assert column(shop.db, "SELECT instruction FROM instructions ORDER BY id") == ["i", "j"]
    assert column(shop.db, "SELECT run_id FROM instructions") == [None, None]
    assert column(shop.db, "SELECT DISTINCT model_id FROM responses") == [3]
    assert gone.rows == {
        "runs": 1, "instructions": 1, "responses": 5, "similarities": 3, "selections": 2, "assignments": 2,
        "judgments": 2,
    }  # fmt: skip
    assert column(shop.db, "SELECT name FROM models") == ["a", "b", "c"]


def test_instructions_that_nobody_else_answered_go_with_their_run(shop: Shop) -> None:
    deletion.delete(shop.db, "run", "2")
    assert deletion.delete(shop.db, "run", "1").rows["instructions"] == 3


def test_the_first_run_of_a_selection_takes_the_selection(shop: Shop) -> None:
    gone = deletion.delete(shop.db, "run", "4")
    assert gone.rows == {"runs": 1, "selection_sets": 1, "selections": 2, "assignments": 2}
    assert column(shop.db, "SELECT assignment_id FROM judgments") == [None, None]


def test_a_later_run_of_a_selection_takes_its_picks_and_those_after(shop: Shop) -> None:
    with runs.run(shop.db, "select", {}) as latest:
        pass
    a, c = (column(shop.db, f"SELECT id FROM responses WHERE model_id = {m} AND instruction_id = 1")[0] for m in (1, 3))
    add_selection(shop.db, 2, (a, c), 1, run_id=latest.id)
    gone = deletion.delete(shop.db, "run", "5")
    assert gone.rows == {"runs": 1, "selections": 2, "assignments": 1}
    assert column(shop.db, "SELECT rank FROM selections") == [1]
    assert column(shop.db, "SELECT top_k FROM selection_sets") == [1]


def test_a_run_of_the_page_goes_with_the_selection_that_it_began_and_nobody_else_judged(db: sqlite3.Connection) -> None:
    measured_answers(db)
    run_id = judge_on_page(db, 3, budget=10)  # and a fourth item is open
    gone = deletion.delete(db, "run", str(run_id))
    assert gone.rows == {"runs": 1, "selection_sets": 1, "selections": 4, "assignments": 4, "judgments": 3}


def test_of_a_run_of_the_page_stays_what_others_picked_and_judged(db: sqlite3.Connection) -> None:
    # given four picks of the first run, whose last one is judged in the second run, and three picks of that one
    measured_answers(db)
    first, second = judge_on_page(db, 3, budget=10), judge_on_page(db, 3)
    picks = {run: column(db, f"SELECT id FROM selections WHERE run_id = {run}") for run in (first, second)}
    assert [len(ids) for ids in picks.values()] == [4, 3]

    gone = deletion.delete(db, "run", str(first))

    assert gone.rows == {"runs": 1, "selections": 3, "assignments": 4, "judgments": 3}
    assert column(db, "SELECT id FROM selections ORDER BY id") == [picks[first][-1], *picks[second]]
    assert column(db, "SELECT run_id FROM selections ORDER BY id") == [None, second, second, second]
    assert column(db, "SELECT run_id FROM selection_sets") == [None]
    assert column(db, "SELECT probability IS NULL FROM selections") == [0] * 4
    # and the page goes on: nothing that was judged is asked again
    judge_on_page(db, 2)
    assert column(db, "SELECT max(judgments) FROM selected_pairs") == [1]
    assert column(db, "SELECT count(*) FROM judgments") == [5]


def test_of_a_later_run_of_the_page_only_its_own_picks_go(db: sqlite3.Connection) -> None:
    measured_answers(db)
    judge_on_page(db, 3, budget=10)
    second = judge_on_page(db, 3)
    judge_on_page(db, 1)
    gone = deletion.delete(db, "run", str(second))
    # two picks that nobody judged since; the third was judged by the last run, which picked one more
    assert (gone.rows["selections"], gone.rows["judgments"]) == (2, 3)
    assert column(db, "SELECT count(*) FROM selections WHERE run_id IS NULL") == [1]
    assert column(db, "SELECT budget FROM selection_sets") == [10]


def test_a_model_goes_with_all_that_compares_or_judges_it(shop: Shop) -> None:
    shop.db.execute(
        "INSERT INTO calls (stage, model_id, request_hash) VALUES ('judge', 2, ?), ('judge', 1, ?)", ("0" * 64,) * 2
    )
    gone = deletion.delete(shop.db, "model", "b")
    assert gone.rows == {
        "models": 1, "responses": 2, "pairs": 1, "similarities": 2, "selections": 2, "assignments": 2, "judgments": 1,
        "ratings": 1, "calls": 1,
    }  # fmt: skip
    assert column(shop.db, "SELECT name FROM annotators") == ["ann"]


def test_a_selection_goes_and_its_judgments_stay(shop: Shop) -> None:
    gone = deletion.delete(shop.db, "selection", "pilot")
    assert gone.rows == {"selection_sets": 1, "selections": 2, "assignments": 2}
    assert column(shop.db, "SELECT count(*) FROM judgments") == [2]


@pytest.mark.parametrize(("kind", "name"), [("run", "99"), ("model", "z"), ("selection", "z")])
def test_what_is_not_there_is_named_with_what_is(shop: Shop, kind: deletion.Kind, name: str) -> None:
    before = dump(shop.db)
    with pytest.raises(ParameterError, match=r"runs` lists|This database has: (a, b, c|pilot)"):
        deletion.delete(shop.db, kind, name)
    assert dump(shop.db) == before


def test_without_a_terminal_delete_shows_and_asks_for_yes(shop: Shop, madetl: Madetl) -> None:
    done = madetl("delete", "model", "b", status=1, input="y\n")
    assert "similarities" in done.stdout
    assert "--yes" in done.stderr
    assert column(shop.db, "SELECT count(*) FROM models") == [3]
    done = madetl("delete", "model", "b", "--yes")
    assert "1 models" in done.stdout
    assert "madetl rank" in done.stderr
    assert column(shop.db, "SELECT count(*) FROM models") == [2]


def test_delete_and_rename_make_no_database(madetl: Madetl, db_file: Path) -> None:
    for arguments in (("delete", "model", "b", "--yes"), ("delete", "run", "1"), ("models", "rename", "a", "b")):
        assert "no such database" in madetl(*arguments, status=1).stderr
    assert list(db_file.parent.iterdir()) == []


# --- models


def test_models_are_listed_with_what_they_have(shop: Shop, madetl: Madetl) -> None:
    listed = json.loads(madetl("models", "--json").stdout)
    names = ("model", "provider", "instructions", "responses", "judgments", "rating", "rank")
    assert [[model[name] for name in names] for model in listed] == [
        ["a", None, 3, 3, 2, 1000, 1],
        ["b", None, 2, 2, 1, 1000, 1],
        ["c", None, 2, 2, 1, None, None],
    ]
    shown = madetl("models").stdout
    assert "rating" in shown
    assert "provider" not in shown  # nobody was asked: the columns that say how have nothing to say


def test_what_was_done_is_told_as_json_too(shop: Shop, madetl: Madetl, db_file: Path) -> None:
    made = json.loads(madetl("init", "--json").stdout)
    assert made == {"database": str(db_file), "created": False, "schema_version": sqlfiles.migrations()[-1][0]}
    renamed = json.loads(madetl("models", "rename", "b", "gpt-4", "--json").stdout)
    assert renamed == {"old": "b", "new": "gpt-4", "merged": None, "dropped": None, "repeats": 0}
    measured = json.loads(madetl("similarity", "--json").stdout)
    assert measured["summary"].startswith("char-ngram")
    assert "--yes" in madetl("delete", "model", "c", "--json", status=2).stderr
    gone = json.loads(madetl("delete", "model", "c", "--json", "--yes").stdout)
    assert (gone["kind"], gone["name"], gone["rows"]["models"]) == ("model", "c", 1)


def test_a_free_name_is_taken(shop: Shop, madetl: Madetl) -> None:
    assert "gpt-4" in madetl("models", "rename", "b", "gpt-4").stdout
    assert column(shop.db, "SELECT name FROM models ORDER BY id") == ["a", "gpt-4", "c"]


@pytest.mark.parametrize(
    ("old", "new", "merge", "words"),
    [
        ("z", "a", False, "No model is called 'z'"),
        ("a", "b", False, "--merge"),
        ("a", "a", True, "already"),
        ("a", "  ", False, "empty"),
        ("a", "b", True, "judged against each other 1 times"),
    ],
)
def test_names_that_cannot_be_given(shop: Shop, old: str, new: str, merge: bool, words: str) -> None:
    before = dump(shop.db)
    with pytest.raises(ParameterError, match=words):
        merge_models.rename(shop.db, old, new, merge=merge)
    assert dump(shop.db) == before


def test_merging_moves_everything_and_keeps_canonical_order(shop: Shop) -> None:
    # given answers of d (id 4) under another name "b2", compared with c (id 3); "b" has the lower id 2
    db, study = shop
    [c_answer] = column(db, "SELECT id FROM responses WHERE model_id = 3 AND instruction_id = 1")
    other = study.response(1, "b2", "another answer")
    db.execute("INSERT INTO pairs (id, model_a_id, model_b_id) VALUES (9, 3, 4)")
    add_similarity(db, 9, (c_answer, other), 1)
    add_selection(db, 9, (c_answer, other), 1, run_id=None)
    db.execute("INSERT INTO assignments (selection_id, shown_first) VALUES (3, 'model_a')")
    judged = study.judgment(c_answer, other, "model_b")
    db.execute("UPDATE judgments SET shown_first = 'model_a' WHERE id = ?", (judged,))
    before = db.execute("SELECT model_a, winner FROM battles WHERE judgment_id = ?", (judged,)).fetchone()
    assert tuple(before) == ("c", "model_b")
    # when
    renamed = merge_models.rename(db, "b2", "b", merge=True)
    # then b is on the first side everywhere, and what was shown stays as it was
    assert {t: n for t, n in (renamed.merged or {}).items() if n} == {
        "judgments": 1, "similarities": 1, "selections": 1, "responses": 1,
    }  # fmt: skip
    assert not any((renamed.dropped or {}).values())
    row = db.execute("SELECT * FROM judgments WHERE id = ?", (judged,)).fetchone()
    assert (row["response_a_id"], row["response_b_id"]) == (other, c_answer)
    assert (row["winner"], row["shown_first"]) == ("model_a", "model_b")
    row = db.execute("SELECT model_a, model_b, winner FROM battles WHERE judgment_id = ?", (judged,)).fetchone()
    assert tuple(row) == ("c", "b", "model_b")
    assert column(db, "SELECT shown_first FROM assignments WHERE selection_id = 3") == ["model_b"]
    assert column(db, f"SELECT sample FROM responses WHERE id = {other}") == [1]
    assert_canonical(db)


def test_the_same_answer_twice_becomes_one(shop: Shop) -> None:
    db, study = shop
    [a, b, _] = column(db, "SELECT id FROM responses WHERE instruction_id = 1 ORDER BY model_id, sample")
    twin = study.response(1, "b2", "b1")  # the same text as b's
    study.judgment(a, twin, "model_b")  # the very vote that b has: same annotator, same source id
    for who, first, second in (("bob", "tie", "model_b"), ("cyd", "tie", "tie")):
        study.judgment(a, b, first, who, source_id="3")
        study.judgment(a, twin, second, who, source_id="3" if who == "bob" else "4")  # bob's: under the same id
    db.execute("INSERT INTO pairs (id, model_a_id, model_b_id) VALUES (9, 1, 4)")
    add_similarity(db, 9, (a, twin), 1)
    add_selection(db, 9, (a, twin), 1, run_id=None)
    renamed = merge_models.rename(db, "b2", "b", merge=True)
    assert {t: n for t, n in (renamed.dropped or {}).items() if n} == {
        "judgments": 1, "similarities": 1, "selections": 1, "responses": 1,
    }  # fmt: skip
    assert renamed.repeats == 2
    about = f"FROM judgments WHERE response_a_id = {a} AND response_b_id = {b} ORDER BY id"
    assert column(db, f"SELECT winner {about}") == ["model_b", "tie", "model_b", "tie", "tie"]
    assert column(db, f"SELECT status {about}") == ["counted", "counted", "repeat", "counted", "repeat"]
    assert_canonical(db)


def test_a_merge_tells_what_becomes_of_the_items_that_were_dealt(shop: Shop, madetl: Madetl) -> None:
    # given b2's answer that b has too, and both of them picked and dealt; ann was dealt both
    db, study = shop
    [a, _, _] = column(db, "SELECT id FROM responses WHERE instruction_id = 1 ORDER BY model_id, sample")
    [pick] = column(db, "SELECT id FROM selections WHERE pair_id = 1 AND instruction_id = 1")
    twin = study.response(1, "b2", "b1")
    db.execute("INSERT INTO pairs (id, model_a_id, model_b_id) VALUES (9, 1, 4), (10, 2, 4)")
    add_selection(db, 9, (a, twin), 1, run_id=None)
    other = db.execute("SELECT max(id) FROM selections").fetchone()[0]
    db.execute("DELETE FROM assignments")
    ann, bob = study.annotator("ann"), study.annotator("bob")
    for number, picked, who in ((1, pick, ann), (2, other, ann), (3, other, bob)):
        row = (number, picked, who)
        db.execute(
            "INSERT INTO assignments (id, selection_id, annotator_id, shown_first) VALUES (?, ?, ?, 'model_b')", row
        )
    # when
    done = madetl("models", "rename", "b2", "b", "--merge")
    # then bob's item goes on, and ann's second one is told to be gone
    assert "1 assignments" in done.stdout
    assert "1 assignments" in done.stderr
    left = db.execute("SELECT id, selection_id, shown_first FROM assignments ORDER BY id").fetchall()
    assert [tuple(row) for row in left] == [(1, pick, "model_b"), (3, pick, "model_b")]


def assert_canonical(db: sqlite3.Connection) -> None:
    for table in ("judgments", "similarities", "selections"):
        wrong = column(
            db,
            f"SELECT count(*) FROM {table} AS t JOIN responses AS a ON a.id = t.response_a_id"
            " JOIN responses AS b ON b.id = t.response_b_id"
            " WHERE a.model_id >= b.model_id OR a.instruction_id <> b.instruction_id",
        )
        assert wrong == [0], table
    for table in ("similarities", "selections"):
        wrong = column(
            db,
            f"SELECT count(*) FROM {table} AS t JOIN responses AS a ON a.id = t.response_a_id"
            " JOIN responses AS b ON b.id = t.response_b_id JOIN pairs AS p ON p.id = t.pair_id"
            " WHERE a.model_id <> p.model_a_id OR b.model_id <> p.model_b_id",
        )
        assert wrong == [0], table
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []


class Vote(NamedTuple):
    """One row of a file: who answered what, which answer won, which was shown first."""

    instruction: int
    models: tuple[str, str]
    texts: tuple[str, str]
    winner: str
    first: str | None
    annotator: str


MODELS = ["a", "old", "b", "new", "c"]
votes = st.lists(
    st.builds(
        Vote,
        st.integers(0, 1),
        st.permutations(MODELS).map(lambda names: (names[0], names[1])).filter(lambda p: set(p) != {"old", "new"}),
        st.tuples(st.sampled_from("xy"), st.sampled_from("xy")),
        st.sampled_from(["model_a", "model_b", "tie", "both_bad"]),
        st.sampled_from(["model_a", "model_b", None]),
        st.sampled_from(["ann", "bob", "passers-by"]),
    ),
    max_size=12,
)
SWAP = {"model_a": "model_b", "model_b": "model_a"}


def vote(study: Study, rows: list[Vote], order: list[str]) -> None:
    """Writes votes plainly, a person's second ones as repeats; `order` is the order in which models get their ids."""
    study.db.execute("UPDATE annotators SET kind = 'crowd' WHERE id = ?", (study.annotator("passers-by"),))
    for name in order:
        study.model(name)
    for n, row in enumerate(rows):
        instruction = study.instruction(f"instruction {row.instruction}")
        responses = [find_or_add(study, instruction, m, t) for m, t in zip(row.models, row.texts, strict=True)]
        ids = [study.model(name) for name in row.models]
        winner, first = row.winner, row.first
        if ids[0] > ids[1]:
            responses.reverse()
            winner, first = SWAP.get(winner, winner), SWAP.get(first or "")
        status = "counted" if row.annotator == "passers-by" or not voted(study, row.annotator, responses) else "repeat"
        judged = study.judgment(*responses, winner, row.annotator, source_id=str(n), status=status)
        study.db.execute("UPDATE judgments SET shown_first = ? WHERE id = ?", (first, judged))


def voted(study: Study, annotator: str, responses: list[int]) -> bool:
    sql = "SELECT 1 FROM judgments WHERE annotator_id = ? AND response_a_id = ? AND response_b_id = ?"
    return study.db.execute(sql, (study.annotator(annotator), *responses)).fetchone() is not None


def find_or_add(study: Study, instruction: int, model: str, text: str) -> int:
    known = study.db.execute(
        "SELECT id, response FROM responses WHERE instruction_id = ? AND model_id = ?",
        (instruction, study.model(model)),
    ).fetchall()
    same = [row["id"] for row in known if row["response"] == text]
    return same[0] if same else study.response(instruction, model, text, sample=len(known))


def battles(db: sqlite3.Connection) -> Counter[Any]:
    """Every battle from the side of the first model in the alphabet; which was shown first by its name."""
    found: Counter[Any] = Counter()
    for row in db.execute("SELECT * FROM battles"):
        sides = sorted([(row["model_a"], row["response_a"]), (row["model_b"], row["response_b"])])
        first = row["model_a"] if row["order_known"] else None
        tie = None if row["winner_model"] else row["winner"]
        found[(row["instruction"], *sides, row["winner_model"], tie, first)] += 1
    return found


@pytest.mark.slow
@given(rows=votes, order=st.permutations(MODELS))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_merging_gives_the_battles_that_one_name_from_the_start_would_have(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Vote], order: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    with database.writing(folder / "merged.db") as db:
        with database.transaction(db):
            vote(Study(db), rows, order)
        merge_models.rename(db, "old", "new", merge=True)
        assert_canonical(db)
        merged = battles(db)
    one_name = [row._replace(models=tuple("new" if m == "old" else m for m in row.models)) for row in rows]
    with database.writing(folder / "plain.db") as db:
        with database.transaction(db):
            vote(Study(db), one_name, MODELS)
        assert merged == battles(db)
