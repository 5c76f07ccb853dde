"""Stage 3 on real database files: which pairs are measured, what is stored, and that stopping changes nothing."""

import json
import signal
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madetl.errors import ParameterError
from madetl.metrics import cosine
from madetl.similarity.measure import Measured, Scorer, measure
from madetl.similarity.named import metric_named
from madetl.store import database, embeddings
from madetl.store.embeddings import from_blob, unit
from madetl.store.metrics import ensure_metric
from madetl.text import text_hash
from tests.conftest import Study
from tests.support import children
from tests.support.soak import several


def char_ngram(db: sqlite3.Connection, **options) -> Measured:
    return measure(db, metric_named(db, "char-ngram"), **options)


def scores(db: sqlite3.Connection) -> dict[tuple[int, int], float]:
    return {
        (row[0], row[1]): row[2] for row in db.execute("SELECT response_a_id, response_b_id, score FROM similarities")
    }


def fill(study: Study, instructions: int, models: list[str], samples: int = 1) -> None:
    """Answers of the models to instructions that are there or not, of lengths and words that differ."""
    with database.transaction(study.db):
        for i in range(instructions):
            instruction = study.instruction(f"instruction {i}", "Writing" if i % 2 else "Coding")
            for model in models:
                for sample in range(samples):
                    words = [f"word{(i * 7 + k * len(model) + sample) % 23}" for k in range(5 + (i + sample) % 9)]
                    study.response(instruction, model, f"{model} says " + " ".join(words), sample)


@pytest.fixture
def three(study: Study) -> dict[str, int]:
    """Three models' answers to one instruction; the ids of the answers by model."""
    instruction = study.instruction("Name a fruit.")
    texts = {"m1": "An apple.", "m2": "A pear, or an apple.", "m3": "梨です"}
    return {model: study.response(instruction, model, text) for model, text in texts.items()}


def test_every_pair_of_models_is_measured_once(db, study, three):
    result = char_ngram(db)

    assert result.summary == "char-ngram: 3 pairs measured (0 known), 3 model pairs"
    rows = db.execute(
        "SELECT a.name, b.name, s.response_a_id, s.response_b_id, shorter_words, length_ratio, s.run_id, score"
        " FROM similarities AS s JOIN pairs AS p ON p.id = s.pair_id"
        " JOIN models AS a ON a.id = p.model_a_id JOIN models AS b ON b.id = p.model_b_id ORDER BY 1, 2"
    ).fetchall()
    assert [tuple(row)[:7] for row in rows] == [
        ("m1", "m2", three["m1"], three["m2"], 2, 20 / 9, 1),
        ("m1", "m3", three["m1"], three["m3"], 2, 3.0, 1),
        ("m2", "m3", three["m2"], three["m3"], 3, 20 / 3, 1),
    ]
    assert [row["score"] for row in rows][1:] == [0.0, 0.0]
    assert 0.3 < rows[0]["score"] < 0.9


def test_the_second_run_finds_nothing_to_do(db, study, three):
    char_ngram(db)
    before = scores(db)

    assert char_ngram(db).summary == "char-ngram: nothing to do (3 pairs known), 3 model pairs"
    assert scores(db) == before
    assert [tuple(row) for row in db.execute("SELECT command, outcome, summary FROM runs")] == [
        ("similarity", "ok", "char-ngram: 3 pairs measured (0 known), 3 model pairs"),
        ("similarity", "ok", "char-ngram: nothing to do (3 pairs known), 3 model pairs"),
    ]


def test_nothing_to_measure_is_said(db, study):
    study.response(study.instruction("Alone."), "m1", "one answer")
    assert (
        char_ngram(db).summary == "char-ngram: nothing to measure, there is no instruction with answers of two models"
    )
    study.response(study.instruction("Alone."), "m2", "another")
    assert char_ngram(db, pairs="judged").summary.endswith("there is no response pair with a judgment")
    assert db.execute("SELECT count(*) FROM metrics").fetchone()[0] == 0


def test_order_is_by_model_not_by_response(db, study):
    study.model("first"), study.model("second")
    instruction = study.instruction("Say it.")
    late = study.response(instruction, "second", "it")
    early = study.response(instruction, "first", "it is")
    char_ngram(db)
    assert list(scores(db)) == [(early, late)]


def test_repeated_answers_pair_with_each_other_models_answer_and_never_with_their_own(db, study):
    instruction = study.instruction("Again.")
    a = [study.response(instruction, "m1", text, n) for n, text in enumerate(["one", "two"])]
    b = [study.response(instruction, "m2", text, n) for n, text in enumerate(["one", "three", "four"])]
    assert char_ngram(db).measured == 6
    assert set(scores(db)) == {(x, y) for x in a for y in b}
    assert scores(db)[a[0], b[0]] == pytest.approx(1.0, abs=1e-12)


def test_an_empty_answer_is_measured_as_unlike_everything(db, study):
    instruction = study.instruction("Say nothing.")
    for model, text in {"m1": "", "m2": "words", "m3": ""}.items():
        study.response(instruction, model, text)
    char_ngram(db)
    rows = db.execute("SELECT score, shorter_words, length_ratio FROM similarities").fetchall()
    assert [tuple(row) for row in rows] == [(0.0, 0, 0.0)] * 3
    pending = db.execute("SELECT done, pending FROM progress WHERE stage = 'similarity'").fetchone()
    assert tuple(pending) == (3, 0)


def test_only_what_is_asked_for_is_measured(db, study):
    fill(study, 4, ["m1", "m2", "m3"])
    assert char_ngram(db, scenarios=["Coding"], models=["m1", "m3"]).summary.startswith(
        "char-ngram: 2 pairs measured (0"
    )
    assert char_ngram(db, models=["m3", "m1"]).summary.startswith("char-ngram: 2 pairs measured (2 known), 1 model")
    assert char_ngram(db).summary.startswith("char-ngram: 8 pairs measured (4 known), 3 model pairs")


def test_judged_pairs_only(db, study, three):
    study.judgment(three["m1"], three["m3"], "tie")
    study.judgment(three["m1"], three["m3"], "model_a", annotator="another")
    assert char_ngram(db, pairs="judged").summary == "char-ngram: 1 pair measured (0 known), 1 model pair"
    assert list(scores(db)) == [(three["m1"], three["m3"])]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": ["m1", "gpt-5"]}, r"no model 'gpt-5'. The database has: m1, m2, m3"),
        ({"models": ["m1", "m1"]}, "at least two different models"),
        ({"scenarios": ["Math"]}, r"no scenario 'Math'. The database has: Writing"),
    ],
)
def test_a_name_that_is_not_there_is_an_error_and_no_run(db, three, options, message):
    with pytest.raises(ParameterError, match=message):
        char_ngram(db, **options)
    assert db.execute("SELECT count(*) FROM runs").fetchone()[0] == 0


@pytest.mark.slow
@given(order=st.permutations(["m1", "m2", "m3", "m4"]), most=st.sampled_from([1, 3, 8, 1000]))
@settings(deadline=None, max_examples=12)
def test_scores_do_not_depend_on_the_order_of_work(tmp_path_factory, order, most):
    with database.writing(tmp_path_factory.mktemp("order") / "mad.db") as db:
        study = Study(db)
        for model in order[:2] + sorted(order[2:]):
            study.model(model)
        for model in order:  # one model after the other, measured each time in chunks of their own size
            fill(study, 6, [model])
            plain = metric_named(db, "char-ngram")
            measure(db, Scorer(plain.name, plain.parameters, plain.scores, most_answers=most))
        by_text = {
            frozenset([row["a"], row["b"]]): row["score"]
            for row in db.execute(
                "SELECT a.response AS a, b.response AS b, score FROM similarities AS s"
                " JOIN responses AS a ON a.id = response_a_id JOIN responses AS b ON b.id = response_b_id"
            )
        }
    with database.writing(tmp_path_factory.mktemp("once") / "mad.db") as db:
        fill(Study(db), 6, ["m1", "m2", "m3", "m4"])
        assert char_ngram(db).measured == 36
        texts = dict(db.execute("SELECT id, response FROM responses").fetchall())
        once = {frozenset([texts[a], texts[b]]): score for (a, b), score in scores(db).items()}
    assert by_text == once


def test_progress_ends_at_its_total(db, study):
    fill(study, 30, ["m1", "m2", "m3"])
    calls = []
    char_ngram(db, progress=lambda done, total: calls.append((done, total)))
    assert len(calls) > 1
    assert calls[-1] == (90, 90)
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})


_SLOW = """
import sys, time
from madetl.store import database
from madetl.similarity.named import metric_named
from madetl.similarity.measure import Scorer, measure
with database.writing(sys.argv[1]) as db:
    plain = metric_named(db, "char-ngram")
    def slowly(texts, left, right):
        time.sleep(0.02)
        return plain.scores(texts, left, right)
    slow = Scorer(plain.name, plain.parameters, slowly, most_answers=4)
    measure(db, slow, progress=lambda done, total: print(done, flush=True))
"""


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("enough", several([50], range(10, 550, 20)))
def test_a_run_that_was_stopped_goes_on_where_it_stopped(
    db_file: Path, tmp_path: Path, how: signal.Signals, enough: int
):
    whole = tmp_path / "whole.db"
    for file in (db_file, whole):
        with database.writing(file) as db:
            fill(Study(db), 200, ["m1", "m2", "m3"])
    with database.writing(whole) as db:
        assert char_ngram(db).measured == 600
        expected = scores(db)

    with children.python("-c", _SLOW, db_file) as child:
        for line in child.stdout:
            if int(line) > enough:
                break
        child.send_signal(how)
        child.communicate()
    assert child.returncode != 0

    with database.writing(db_file) as db:
        saved = scores(db)
        assert enough < len(saved) < 600
        result = char_ngram(db)
        assert (result.measured, result.known) == (600 - len(saved), len(saved))
        assert scores(db) == expected
        outcomes = [row[0] for row in db.execute("SELECT outcome FROM runs ORDER BY id")]
    assert outcomes == [None if how == signal.SIGKILL else "interrupted", "ok"]


@pytest.mark.slow
def test_two_processes_at_the_same_time_measure_everything_once(db_file: Path):
    with database.writing(db_file) as db:
        fill(Study(db), 60, ["m1", "m2", "m3"])
    with children.python("-c", _SLOW, db_file) as one, children.python("-c", _SLOW, db_file) as other:
        assert [child.communicate()[1] for child in (one, other)] == ["", ""]
        assert [child.returncode for child in (one, other)] == [0, 0]
    with database.reading(db_file) as db:
        assert len(scores(db)) == 180


class TestStoredVectors:
    def vectors_of(self, db, metric_id, texts, dimensions=8):
        made = np.random.default_rng(3).standard_normal((len(texts), dimensions))
        with database.transaction(db):
            embeddings.store(db, metric_id, [text_hash(text) for text in texts], made)
        return {text: vector / np.linalg.norm(vector) for text, vector in zip(texts, made, strict=True)}

    @pytest.fixture
    def metric_id(self, db):
        with database.transaction(db):
            return ensure_metric(db, "my-embedding", {"dimensions": 8})

    def test_scores_are_the_cosines(self, db, study, metric_id):
        fill(study, 40, ["m1", "m2", "m3"], samples=2)
        texts = dict(db.execute("SELECT id, response FROM responses").fetchall())
        vectors = self.vectors_of(db, metric_id, sorted(set(texts.values())))

        result = measure(db, metric_named(db, "my-embedding"))

        assert result.summary == "my-embedding: 480 pairs measured (0 known), 3 model pairs"
        for (a, b), score in scores(db).items():
            assert score == pytest.approx(float(vectors[texts[a]] @ vectors[texts[b]]), abs=1e-6)

    def test_a_pair_without_a_vector_waits_for_it(self, db, study, metric_id, three):
        empty = study.response(study.instruction("Name a fruit."), "m4", "")
        self.vectors_of(db, metric_id, ["An apple.", "梨です"])
        result = measure(db, metric_named(db, "my-embedding"))
        assert (result.measured, result.without_vector) == (3, 3)
        assert "3 left: no embedding stored" in result.summary
        assert set(scores(db)) == {(three["m1"], three["m3"]), (three["m1"], empty), (three["m3"], empty)}
        assert scores(db)[three["m1"], empty] == 0.0

        self.vectors_of(db, metric_id, ["A pear, or an apple."])
        assert measure(db, metric_named(db, "my-embedding")).summary == (
            "my-embedding: 3 pairs measured (3 known), 6 model pairs"
        )

    def test_vectors_of_other_dimensions_are_an_error(self, db, metric_id, three):
        self.vectors_of(db, metric_id, ["An apple."])
        self.vectors_of(db, metric_id, ["梨です"], dimensions=9)
        with pytest.raises(ParameterError, match="different numbers of dimensions"):
            measure(db, metric_named(db, "my-embedding"))

    def test_a_stored_vector_stays_and_has_unit_length(self, db, metric_id):
        with database.transaction(db):
            assert embeddings.store(db, metric_id, [text_hash("a")], [[3.0, 4.0]]) == 1
            assert embeddings.store(db, metric_id, [text_hash("a")], [[1.0, 0.0]], [True]) == 0
        row = db.execute("SELECT dimensions, vector, truncated FROM embeddings").fetchone()
        assert (row["dimensions"], row["truncated"]) == (2, 0)
        assert from_blob(row["vector"]).tolist() == pytest.approx([0.6, 0.8])

    @given(st.integers(1, 40), st.integers(0, 2**32 - 1))
    @settings(deadline=None, max_examples=30)
    def test_a_score_does_not_depend_on_the_batch(self, pairs, seed):
        rng = np.random.default_rng(seed)
        vectors = unit(rng.standard_normal((12, 33)))
        left, right = rng.integers(0, 12, pairs), rng.integers(0, 12, pairs)
        together = cosine.scores(vectors, left, right)
        alone = [cosine.scores(vectors, left[[i]], right[[i]])[0] for i in range(pairs)]
        assert together.tolist() == alone


def test_a_metric_that_cannot_be_measured_is_an_error_that_lists_those_that_can(db):
    with database.transaction(db):
        ensure_metric(db, "imported-judge")
    with pytest.raises(
        ParameterError, match=r"No metric is called 'bleu'. These can be measured: char-ngram, bert-score"
    ):
        metric_named(db, "bleu")
    with pytest.raises(ParameterError, match=r"imported-judge came with an import .* char-ngram, bert-score"):
        metric_named(db, "imported-judge")
    with pytest.raises(ParameterError, match="--model is an option of the metric bert-score"):
        metric_named(db, "char-ngram", model="roberta-large")


def test_the_command(madetl, db_file):
    with database.writing(db_file) as db:
        fill(Study(db), 3, ["m1", "m2", "m3"])
    pool = "Pool: 2 instructions in Coding; 1 instruction in Writing\n"
    assert madetl("similarity").stdout == f"char-ngram: 9 pairs measured (0 known), 3 model pairs\n{pool}"
    assert madetl("similarity").stdout == f"char-ngram: nothing to do (9 pairs known), 3 model pairs\n{pool}"
    assert madetl("similarity", "--metric", "nope", status=1).stderr.startswith("Error: No metric is called 'nope'.")


def test_the_real_answers(shared, db, study):
    with database.transaction(db):
        for file in sorted((shared / "alpaca_eval").glob("*.json")):
            for record in json.loads(file.read_text())[:100]:
                study.response(study.instruction(record["instruction"]), record["generator"], record["output"])
    assert char_ngram(db).measured == 2800
    values = list(scores(db).values())
    assert min(values) >= 0
    assert max(values) <= 1
    assert min(values) < 0.2
    assert 0.6 < np.mean(values) < 0.75
