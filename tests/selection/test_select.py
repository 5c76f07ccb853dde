"""Selections are exactly the greedy of the method, can be extended, and say what the filters removed.

The oracle is a plain Python loop over all candidates; the rows that it is given are written with plain INSERTs.
"""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
import subprocess
import tempfile
from collections import defaultdict
from contextlib import contextmanager
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madetl.errors import ParameterError
from madetl.metrics import char_ngram
from madetl.selection.diversity import DenseVectors, SparseVectors, greedy
from madetl.selection.select import FilterCounts, SelectionParameters, SelectionResult, select
from madetl.store import database, sqlfiles
from madetl.store.embeddings import unit
from madetl.store.metrics import ensure_metric
from madetl.store.selections import find_set
from tests.conftest import Study
from tests.support import children
from tests.support.pool import Pool

OFF = {"min_words": 0, "max_length_ratio": 0}


@pytest.fixture
def pool(study: Study) -> Pool:
    return Pool(study)


def choose(pool: Pool, **parameters) -> SelectionResult:
    return select(pool.db, SelectionParameters(**{"metric": "m", **parameters}))


def picked(db: sqlite3.Connection, name: str | None = None) -> dict[tuple[str, str], list[tuple]]:
    """Per model pair the picks in order of rank: (instruction, response a, response b, score, cost)."""
    rows = db.execute(
        "SELECT a.name AS a, b.name AS b, s.rank, s.instruction_id, s.response_a_id, s.response_b_id, s.score, s.cost"
        " FROM selections AS s JOIN pairs AS p ON p.id = s.pair_id"
        " JOIN models AS a ON a.id = p.model_a_id JOIN models AS b ON b.id = p.model_b_id"
        " WHERE s.set_id = ? ORDER BY s.pair_id, s.rank",
        (find_set(db, name or "latest")["id"],),
    ).fetchall()
    result = defaultdict(list)
    for row in rows:
        result[row["a"], row["b"]].append(tuple(row)[3:])
        assert row["rank"] == len(result[row["a"], row["b"]])
    return dict(result)


def instructions_picked(db, pair=("a", "b"), name=None) -> list[int]:
    return [row[0] for row in picked(db, name).get(pair, [])]


# --- the greedy, against a plain loop ---------------------------------------------------------------------------


def oracle(rows: list[tuple], top_k: int, diversity: float = 0.0, vectors: dict | None = None) -> list[tuple]:
    """The formula, read aloud. rows: (instruction, response a, response b, score, M)."""
    done: list[tuple] = []
    while len(done) < top_k:
        taken = [row[0] for row in done]
        best = None
        for instruction, a, b, score, m in rows:
            if instruction in taken:
                continue
            cost = m
            if taken and diversity:
                cost += diversity * max(dot(vectors[instruction], vectors[s]) for s in taken)
            order = (cost, instruction, score, a, b) if diversity else (cost, score, instruction, a, b)
            if best is None or order < best[0]:
                best = (order, (instruction, a, b, score, cost))
        if best is None:
            break
        done.append(best[1])
    return done


def weighed(strategy: str, score: float, words: float) -> float:
    return 1 - (1 - score) * math.sqrt(words / 200) if strategy == "evidence" else score


def dot(x, y) -> float:
    return float(sum(float(p) * float(q) for p, q in zip(x, y, strict=True)))


@st.composite
def studies(draw):
    """Few values, so that scores, costs and vectors are often equal; several answers; answers that no filter passes."""
    models = ["a", "b", "c", "d"][: draw(st.integers(2, 4))]
    rows = []
    for instruction in range(draw(st.integers(1, 7))):
        samples = {model: draw(st.integers(0, 2)) for model in models}
        for x, y in combinations(models, 2):
            for pair in product(range(samples[x]), range(samples[y])):
                score = draw(st.sampled_from([0.0, 0.25, 0.3, 0.5, 1.0]))
                words = draw(st.sampled_from([0, 20, 21, 21, 90, 90]))
                ratio = draw(st.sampled_from([0.0, 1.0, 1.5, 3.9, 4.0, 9.0]))
                rows.append((instruction, x, y, score, pair, words, ratio))
    vectors = [draw(st.sampled_from([[1, 0, 0], [0, 1, 0], [1, 1, 0], [1, 2, 3], [-1, 0, 1]])) for _ in range(7)]
    return models, rows, vectors


@contextmanager
def fresh_pool():
    with tempfile.TemporaryDirectory() as folder, database.writing(Path(folder) / "mad.db") as db:
        yield Pool(Study(db))


def fill(pool: Pool, models: list[str], rows: list[tuple], vectors: list[list[float]]) -> tuple[dict, dict]:
    """Writes the rows; returns per model pair what is measured (with words and ratio), and the vectors as stored."""
    ids = [pool.study.instruction(f"instruction {n}") for n in range(len(vectors))]
    for model in models:
        pool.study.model(model)  # in this order, so that a pair is canonical
    measured = defaultdict(list)
    for instruction, x, y, score, samples, words, ratio in rows:
        a, b = pool.similarity(ids[instruction], x, y, score, samples, words=words, ratio=ratio)
        measured[x, y].append((ids[instruction], a, b, score, words, ratio))
    pool.embed(dict(zip(ids, vectors, strict=True)))
    return measured, dict(zip(ids, unit(vectors), strict=True))


@settings(max_examples=60, deadline=None)
@given(
    studies(),
    st.tuples(st.sampled_from(["mad", "evidence"]), st.sampled_from([0.0, 0.1, 0.5, 2.0])),
    st.integers(1, 3),
    st.integers(0, 4),
    st.booleans(),
)
@pytest.mark.slow
def test_a_selection_is_the_greedy_whether_made_at_once_or_extended(a_study, how, first_k, more, filtered):
    models, rows, vectors = a_study
    strategy, diversity = how
    filters = {"min_words": 20, "max_length_ratio": 4.0} if filtered else OFF
    asked = {"strategy": strategy, "diversity": diversity, "instruction_metric": "m", **filters}
    with fresh_pool() as pool:
        measured, stored = fill(pool, models, rows, vectors)
        expected = {}
        for pair, candidates in measured.items():
            passing = [row for row in candidates if row[5] > 0 and (not filtered or (row[4] > 20 and row[5] < 4))]
            passing = [(*row[:4], weighed(strategy, row[3], row[4] * (1 + row[5]))) for row in passing]
            if greedy_picks := oracle(passing, first_k + more, diversity, stored):
                expected[pair] = greedy_picks
        if not expected:
            return
        choose(pool, top_k=first_k + more, name="at once", **asked)
        if (models[0], models[1]) in expected:  # else this would be an error: nothing to pick from
            choose(pool, top_k=first_k, name="extended", models=models[:2], **asked)
        choose(pool, top_k=first_k, name="extended", **asked)
        choose(pool, top_k=first_k + more, name="extended", **asked)
        assert picked(pool.db, "at once") == expected
        assert picked(pool.db, "extended") == expected


@pytest.mark.parametrize("kind", [DenseVectors, SparseVectors])
def test_equal_costs_go_to_the_lower_instruction_whatever_stands_in_the_batch(kind):
    # Given 20 distinct vectors that each occur five times, so that every cost occurs five times too
    from scipy import sparse

    rng = np.random.default_rng(1)
    rows = np.tile(unit(rng.normal(size=(20, 128))), (5, 1))
    scores = np.tile(rng.integers(0, 3, (9, 20)) / 8, 5)
    vectors = kind(rows if kind is DenseVectors else sparse.csr_matrix(rows.astype(np.float64)))
    # When all nine model pairs are picked for at once, and each alone
    together = greedy(scores, vectors, 0.5, [[]] * 9, 12)
    alone = [greedy(scores[n : n + 1], vectors, 0.5, [[]], 12)[0] for n in range(9)]
    # Then it is the same, it is the plain loop's, and an extension goes on in the same way
    assert together == alone
    candidates = [[(i, 0, 0, score, score) for i, score in enumerate(row)] for row in scores]
    wide = dict(enumerate(rows.astype(np.float64)))
    for row, picks in zip(candidates[:2], together, strict=False):
        expected = oracle(row, 12, 0.5, wide)
        assert [index for index, _ in picks] == [pick[0] for pick in expected]
        assert [cost for _, cost in picks] == pytest.approx([pick[4] for pick in expected], abs=1e-12)
    before = [[index for index, _ in picks[:5]] for picks in together]
    assert greedy(scores, vectors, 0.5, before, 12) == [picks[5:] for picks in together]


def test_costs_decide_that_single_precision_cannot_tell_apart():
    # Given costs that differ by 1e-12, in an order that has nothing to do with the rounding of float32 products
    rng = np.random.default_rng(2)
    rows = unit(rng.normal(size=(50, 1536)))
    wide = rows.astype(np.float64)
    order = rng.permutation(49)
    scores = np.concatenate([[0.0], 1 - 0.5 * (wide[1:] @ wide[0]) + 1e-12 * order])
    # When two are picked, then the second is the one of the lowest cost
    ((first, second),) = greedy(scores[np.newaxis], DenseVectors(rows), 0.5, [[]], 2)
    assert (first[0], second[0]) == (0, 1 + order.argmin())


def test_the_second_pick_is_not_the_neighbour_of_the_first(pool):
    # Given instruction 1 the most different, 2 nearly the same question, 3 another one with a slightly higher score
    ids = pool.scores("a", "b", [0.1, 0.11, 0.3])
    pool.embed({ids[0]: [1, 0], ids[1]: [0.96, 0.28], ids[2]: [0, 1]})
    # 0.11 + 0.5 · 0.96 = 0.59 against 0.3 + 0.5 · 0 = 0.3
    choose(pool, top_k=2, diversity=0.5, instruction_metric="m")
    assert [(row[0], row[4]) for row in picked(pool.db)["a", "b"]] == [(ids[0], 0.1), (ids[2], pytest.approx(0.3))]


@pytest.mark.slow
def test_ngram_vectors_of_the_instructions_need_no_embeddings(pool, study):
    ask = ["Write a poem about the sea", "Write a poem about the seas", "Solve 3x + 5 = 20", "詩を書いてください"]
    ids = [study.instruction(text, input="now" if n == 2 else "") for n, text in enumerate(ask)]
    for instruction_id, score in zip(ids, [0.1, 0.11, 0.2, 0.3], strict=True):
        pool.similarity(instruction_id, "a", "b", score)
    choose(pool, top_k=4, diversity=0.8)
    assert instructions_picked(pool.db) == [ids[0], ids[2], ids[3], ids[1]]
    texts = [ask[0], ask[1], ask[2] + "\nnow", ask[3]]
    rows = char_ngram.vectors(texts).toarray()
    expected = oracle(
        [(n, 0, 0, score, score) for n, score in enumerate([0.1, 0.11, 0.2, 0.3])], 4, 0.8, dict(enumerate(rows))
    )
    assert [row[4] for row in picked(pool.db)["a", "b"]] == pytest.approx([row[4] for row in expected])
    assert "known" in choose(pool, top_k=4, diversity=0.8).summary  # the metric's row is found again


def test_missing_embeddings_are_counted_and_nothing_is_stored(pool):
    ids = pool.scores("a", "b", [0.1, 0.2, 0.3])
    pool.embed({ids[0]: [1, 0]})
    with pytest.raises(ParameterError, match=r"2 of 3 instructions have no embedding of m\. .*char-ngram"):
        choose(pool, diversity=0.5, instruction_metric="m")
    assert not pool.db.execute("SELECT 1 FROM selection_sets").fetchall()


def test_embeddings_that_are_no_unit_vectors_of_one_length_are_refused(pool):
    ids = pool.scores("a", "b", [0.1, 0.2])
    pool.embed({ids[0]: [1, 0]})
    pool.embed({ids[1]: [1, 0, 0]})
    with pytest.raises(ParameterError, match="different dimensions, 2 and 3"):
        choose(pool, diversity=0.5, instruction_metric="m")
    pool.db.execute(
        "UPDATE embeddings SET dimensions = 2, vector = ? WHERE dimensions = 3", (np.array([3, 4], "<f4").tobytes(),)
    )
    with pytest.raises(ParameterError, match=r"1 embeddings of m are not of unit length \(one has 5\)"):
        choose(pool, diversity=0.5, instruction_metric="m")


# --- one statement that walks the index -------------------------------------------------------------------------


PARAMETERS = {
    "metric_id": 1,
    "set_id": None,
    "top_k": 10,
    "min_words": 20,
    "max_length_ratio": 4,
    "scenarios": None,
    "generation": '{"Writing": "seeds"}',
    "pairs": "all",
    "model_ids": None,
}


@pytest.mark.parametrize("analyzed", [False, True])
def test_the_statement_walks_the_index_and_sorts_no_rows(pool, analyzed):
    pool.scores("a", "b", [n / 50 for n in range(50)])
    pool.scores("a", "c", [n / 50 for n in range(50)])
    if analyzed:
        pool.db.execute("ANALYZE")
    plan = pool.db.execute("EXPLAIN QUERY PLAN " + sqlfiles.query("selection/mad_picks"), PARAMETERS).fetchall()
    parents = {row["id"]: row["parent"] for row in plan}
    (walk,) = [
        row for row in plan if "COVERING INDEX similarities_by_score (pair_id=? AND metric_id=?)" in row["detail"]
    ]

    def inside(row, ancestor) -> bool:
        return row["id"] == ancestor or (row["id"] in parents and row["parent"] != 0 and _up(row["parent"], ancestor))

    def _up(number, ancestor) -> bool:
        return number == ancestor or (number in parents and number != 0 and _up(parents[number], ancestor))

    beside = [row["detail"] for row in plan if inside(row, walk["parent"])]
    lists = ("SCAN json_each ", "SCAN word ")  # the parameters that are JSON
    assert not [d for d in beside if "TEMP B-TREE" in d or (d.startswith("SCAN") and not d.startswith(lists))]
    assert not [row["detail"] for row in plan if row["detail"].startswith(("SCAN s ", "SCAN i ", "SCAN j ", "SCAN r "))]


def test_the_work_does_not_grow_with_the_rows(pool):
    def steps() -> int:
        count = 0

        def one_more() -> None:
            nonlocal count
            count += 1

        pool.db.set_progress_handler(one_more, 10)  # called every ten instructions of SQLite's machine
        rows = pool.db.execute(sqlfiles.query("selection/mad_picks"), PARAMETERS).fetchall()
        pool.db.set_progress_handler(None, 10)
        assert len(rows) == 10
        return count

    pool.scores("a", "b", [0.5 + n / 1000 for n in range(100)])
    few = steps()
    pool.scores("a", "b", [0.7 + n / 1000 for n in range(1000)], "Coding")
    assert steps() <= few * 1.05


def test_the_statement_runs_in_the_sqlite3_shell(pool, db_file):
    shell = shutil.which("sqlite3")
    if shell is None:
        pytest.skip("needs the sqlite3 shell")
    ids = pool.scores("a", "b", [0.3, 0.1, 0.2])
    given = ("set_id", "scenarios", "generation", "model_ids")
    values = {**PARAMETERS, "top_k": 2, "pairs": "'all'", **dict.fromkeys(given, "NULL")}
    script = ".parameter init\n" + "".join(f".parameter set :{name} {value}\n" for name, value in values.items())
    script += sqlfiles.query("selection/mad_picks")
    done = subprocess.run([shell, db_file], input=script, capture_output=True, text=True, check=True)
    assert [line.split("|")[2] for line in done.stdout.splitlines()] == [str(ids[1]), str(ids[2])]


# --- what is eligible -------------------------------------------------------------------------------------------


def test_filters_are_strict_and_counted_in_their_order(pool, study):
    # Given response pairs at both sides of each limit
    cases = [
        ("eligible", 21, 3.99),
        ("few words", 20, 1.0),
        ("lengths", 21, 4.0),
        ("few words and lengths", 3, 5.0),
        ("empty", 0, 0.0),
        ("also eligible", 400, 1.0),
    ]
    ids = {}
    for name, words, ratio in cases:
        ids[name] = study.instruction(name)
        pool.similarity(ids[name], "a", "b", 0.5, words=words, ratio=ratio)
    # When the default filters are on
    result = choose(pool)
    # Then each removes what is not beyond its limit, and the counts are these
    assert instructions_picked(pool.db) == [ids["eligible"], ids["also eligible"]]
    assert result.filters == FilterCounts(
        measured=6, empty=1, few_words=2, lengths_differ=1, few_words_alone=3, lengths_differ_alone=2, eligible=2
    )
    # And 0 switches a filter off, except that an empty answer is never eligible
    assert choose(pool, name="words", max_length_ratio=0).selected == 3
    assert choose(pool, name="ratio", min_words=0).selected == 3
    assert choose(pool, name="none", **OFF).selected == 5
    assert instructions_picked(pool.db, name="none") == sorted(set(ids.values()) - {ids["empty"]})


def test_a_later_response_pair_stands_for_an_instruction_whose_first_is_not_eligible(pool, study):
    one, two = study.instruction("one"), study.instruction("two")
    pool.similarity(one, "a", "b", 0.1, (0, 0), words=5)
    _, other = pool.similarity(one, "a", "b", 0.3, (0, 1))
    pool.similarity(one, "a", "b", 0.4, (1, 1))
    pool.similarity(two, "a", "b", 0.2)
    choose(pool)
    assert [(row[0], row[3]) for row in picked(pool.db)["a", "b"]] == [(two, 0.2), (one, 0.3)]
    assert picked(pool.db)["a", "b"][1][2] == other


@pytest.mark.parametrize("asked", [{}, {"diversity": 0.5}, {"strategy": "random"}])
def test_scenario_models_and_judged_limit_what_is_picked(pool, asked):
    writing = pool.scores("a", "b", [0.1, 0.2, 0.3])
    coding = pool.scores("a", "b", [0.1, 0.2, 0.3], "Coding")
    pool.scores("a", "c", [0.1, 0.2, 0.3], "Coding")
    for instruction_id in (writing[1], coding[2]):
        responses = pool.responses[instruction_id, "a", 0], pool.responses[instruction_id, "b", 0]
        pool.study.judgment(*responses, "tie")
    choose(pool, scenarios=["Coding"], name="coding", **asked)
    assert {pair: {row[0] for row in rows} for pair, rows in picked(pool.db, "coding").items()} == {
        ("a", "b"): set(coding),
        ("a", "c"): set(coding),
    }
    choose(pool, models=["b", "a"], name="two models", **asked)
    assert list(picked(pool.db, "two models")) == [("a", "b")]
    result = choose(pool, pairs="judged", name="judged", **asked)
    assert {row[0] for row in picked(pool.db, "judged")["a", "b"]} == {writing[1], coding[2]}
    assert (result.filters.measured, result.selected, result.judged) == (2, 2, 2)


# --- random draws -----------------------------------------------------------------------------------------------


def test_random_draws_depend_on_the_seed_and_on_nothing_else(pool, study):
    scores = [n / 100 for n in range(60)]
    pool.scores("a", "b", scores)
    choose(pool, strategy="random", top_k=5)
    five = picked(pool.db, "all-random")
    # When a model is added and K grows, then the draws go on
    pool.scores("a", "c", scores)
    choose(pool, strategy="random", top_k=12)
    twelve = picked(pool.db, "all-random")
    assert twelve["a", "b"][:5] == five["a", "b"]
    assert twelve["a", "b"] != twelve["a", "c"]
    choose(pool, strategy="random", top_k=12, name="again")
    assert picked(pool.db, "again") == twelve
    choose(pool, strategy="random", top_k=12, name="other", seed=1)
    assert picked(pool.db, "other") != twelve
    # And they are spread over the scores, with no cost
    assert all(row[4] is None for row in twelve["a", "b"])
    assert 0.1 < np.mean([row[3] for row in twelve["a", "b"]]) < 0.5


def test_random_draws_are_the_same_in_a_database_that_was_filled_in_another_order():
    drawn = []
    for order in (range(30), reversed(range(30))):
        with fresh_pool() as pool:
            for n in order:
                pool.similarity(pool.study.instruction(f"instruction {n}"), "a", "b", n / 30)
            choose(pool, strategy="random", top_k=6)
            drawn.append([row[3] for row in picked(pool.db)["a", "b"]])
    assert drawn[0] == drawn[1]


def test_every_instruction_is_drawn_as_often_as_another_however_many_answers_it_has(pool, study):
    many, few = study.instruction("many answers"), study.instruction("one answer")
    for samples in product(range(6), range(6)):
        pool.similarity(many, "a", "b", 0.5, samples)
    pool.similarity(few, "a", "b", 0.5)
    first = [0, 0]
    for seed in range(60):
        choose(pool, strategy="random", top_k=1, seed=seed, name=f"seed {seed}")
        first[instructions_picked(pool.db, name=f"seed {seed}") == [many]] += 1
    assert min(first) > 15  # 30 expected each; 15 or fewer has a chance of one in ten thousand
    drawn = pool.db.execute(
        "SELECT count(DISTINCT response_a_id * 1000 + response_b_id) FROM selections WHERE instruction_id = ?", (many,)
    )
    assert drawn.fetchone()[0] > 10


# --- names, and extending ---------------------------------------------------------------------------------------


def test_a_model_added_later_gets_its_pairs_and_the_rest_stays(pool):
    pool.scores("a", "b", [0.5, 0.6, 0.7])
    before = choose(pool, top_k=2)
    kept = pool.db.execute("SELECT * FROM selections ORDER BY id").fetchall()
    # When model c is measured, and a lower score of the old pair too
    pool.scores("a", "c", [0.3, 0.2, 0.1])
    low = pool.study.instruction("new")
    pool.similarity(low, "a", "b", 0.01)
    after = choose(pool)
    # Then the earlier picks are untouched, K is what it was, and only a – c is new
    assert pool.db.execute("SELECT * FROM selections ORDER BY id").fetchall()[:2] == kept
    assert (before.new, after.new, after.selected, after.top_k) == (2, 2, 4, 2)
    assert [(pair.model_a, pair.model_b, pair.new) for pair in after.pairs] == [("a", "b", 0), ("a", "c", 2)]
    # And a larger K goes on from there: the low score is next
    choose(pool, top_k=3)
    assert instructions_picked(pool.db)[2] == low
    assert choose(pool, top_k=3).summary == "all-m: nothing to do (6 known), 2 model pairs, K = 3"


def test_a_smaller_k_takes_nothing_away(pool):
    pool.scores("a", "b", [0.5, 0.6, 0.7])
    choose(pool, top_k=3)
    pool.scores("a", "c", [0.5, 0.6, 0.7])
    result = choose(pool, top_k=2)
    assert (result.selected, result.new, result.top_k) == (3, 0, 3)
    assert "has K = 3 already, and a selection does not shrink to 2" in result.warnings[0]


def test_other_parameters_are_an_error_that_names_them(pool):
    pool.scores("a", "b", [0.5, 0.6])
    ensure_metric(pool.db, "n")
    choose(pool, name="mine")
    expected = (
        r"'mine' was made with --scenario all \(now Writing\), --strategy mad \(now random\), "
        r"--min-words 20 \(now 5\), "
        r"--max-length-ratio 4 \(now 3\), --pairs all \(now judged\), --seed none \(now 7\)\. .*--name"
    )
    with pytest.raises(ParameterError, match=expected):
        choose(
            pool,
            name="mine",
            scenarios=["Writing"],
            strategy="random",
            min_words=5,
            max_length_ratio=3,
            pairs="judged",
            seed=7,
        )
    with pytest.raises(ParameterError, match=r"made with --metric m \(now n\), --diversity 0 \(now 0.5\)\."):
        choose(pool, name="mine", metric="n", diversity=0.5)
    choose(pool, name="diverse", diversity=0.5)
    with pytest.raises(ParameterError, match=r"made with --instruction-metric char-ngram \(now m\)\."):
        choose(pool, name="diverse", diversity=0.5, instruction_metric="m")
    assert choose(pool, name="mine", seed=7, instruction_metric="n").new == 0  # nothing is drawn, no vectors are used


def test_default_names_tell_scenarios_metrics_and_strategies_apart(pool):
    pool.scores("a", "b", [0.5, 0.6])
    pool.scores("a", "b", [0.5, 0.6], "Long Questions")
    assert choose(pool).name == "all-m"
    assert choose(pool, scenarios=["Long Questions"]).name == "long-questions-m"
    assert choose(pool, strategy="random").name == "all-random"
    assert choose(pool, scenarios=["Writing"], strategy="random").name == "writing-random"
    # Given another metric of the same name
    first = pool.metric_id
    pool.metric_id = ensure_metric(pool.db, "m", {"layers": 2})
    labels = {i: f"m@{h[:8]}" for i, h in pool.db.execute("SELECT id, hash FROM metrics").fetchall()}
    pool.similarity(1, "a", "b", 0.1)
    assert choose(pool, metric=labels[pool.metric_id]).name == f"all-{labels[pool.metric_id]}"
    assert choose(pool, metric=labels[first]).summary.startswith("all-m: nothing to do")


def test_ranks_that_a_deleted_run_left_are_filled_again(pool):
    pool.scores("a", "b", [n / 10 for n in range(9)])
    choose(pool, top_k=2)
    second = choose(pool, top_k=4).run_id
    choose(pool, top_k=6)
    whole = picked(pool.db)
    pool.db.execute("DELETE FROM runs WHERE id = ?", (second,))
    choose(pool)
    assert picked(pool.db) == whole


def test_find_set(pool):
    with pytest.raises(ParameterError, match="no selection yet"):
        find_set(pool.db)
    pool.scores("a", "b", [0.5, 0.6])
    choose(pool, name="one", top_k=1)
    choose(pool, name="two", top_k=1)
    assert find_set(pool.db)["name"] == "two"
    choose(pool, name="one", top_k=2)
    assert find_set(pool.db, "latest")["name"] == "one"
    assert find_set(pool.db, "two")["name"] == "two"
    with pytest.raises(ParameterError, match=r"No selection is called 'three'\. This database has: one, two"):
        find_set(pool.db, "three")


# --- what it says -----------------------------------------------------------------------------------------------


def test_pairs_with_too_few_candidates_are_named_and_get_what_there_is(pool):
    pool.scores("a", "b", [0.5, 0.6, 0.7])
    for other in "cdefgh":
        pool.scores("a", other, [0.5])
    result = choose(pool, top_k=2)
    assert result.warnings == [
        "6 of 7 model pairs have fewer than 2 candidates, and got what there is: a – c (1), a – d (1), a – e (1), "
        "a – f (1), a – g (1) and 1 more.",
        # Instruction 1 has 28 pairs of answers, the others one each; 9 are measured.
        "21 of 30 response pairs are not measured with m: they could not be picked, and what was picked stays. "
        "The scores of m came from files: import the rest in the same way.",
    ]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"top_k": 0}, "--top-k must be at least 1, not 0"),
        ({"diversity": -1.0}, "--diversity must be 0 or more, not -1"),
        ({"diversity": float("nan")}, "--diversity must be 0 or more, not nan"),
        ({"min_words": -1}, "--min-words must be 0"),
        ({"max_length_ratio": 1.0}, r"--max-length-ratio must be 0 \(off\) or above 1, not 1"),
        ({"strategy": "random", "diversity": 0.5}, "--diversity goes with --strategy mad"),
        ({"name": ""}, "--name must not be empty"),
        ({"name": "latest"}, "--name latest is taken"),
        ({"metric": "bert"}, "No metric is called 'bert'. This database has: m"),
        ({"scenarios": ["Wrting"]}, "There is no scenario 'Wrting'. The database has: Writing"),
        ({"models": ["a", "x"]}, "There is no model 'x'. The database has: a, b"),
        ({"models": ["a", "a"]}, "at least two different models"),
        (
            {"pairs": "judged"},
            "There is no judgment of these models and instructions \\(2 instructions in Writing\\) yet.* Import",
        ),
        (
            {"min_words": 500},
            r"None of 2 measured response pairs is eligible: 2 because an answer has 500 words or fewer",
        ),
    ],
)
def test_parameters_that_make_no_sense(pool, asked, message):
    pool.scores("a", "b", [0.5, 0.6])
    with pytest.raises(ParameterError, match=message):
        choose(pool, **asked)
    assert not pool.db.execute("SELECT 1 FROM selection_sets").fetchall()


@pytest.mark.parametrize(
    ("name", "parameters", "vectors", "message"),
    [
        ("their-score", {}, False, "The scores of their-score came from files: import the rest in the same way."),
        ("vectors", {}, True, "`madetl similarity --metric vectors` measures them."),
        ("char-ngram", {}, False, "`madetl similarity` measures them."),
        (
            "bert-score",
            {"model": "my encoder", "num_layers": 6},
            False,
            "`madetl similarity --metric bert-score --model 'my encoder' --num-layers 6` measures them.",
        ),
    ],
)
def test_what_is_not_measured_is_told_with_what_measures_it(study, name, parameters, vectors, message):
    pool = Pool(study, name)
    pool.db.execute("UPDATE metrics SET parameters = ? WHERE name = ?", (json.dumps(parameters), name))
    if vectors:
        row = (pool.metric_id, "2" * 64)
        pool.db.execute(
            "INSERT INTO embeddings (metric_id, hash, dimensions, vector) VALUES (?, ?, 1, x'00000000')", row
        )
    pool.scores("a", "b", [0.5])
    pool.response(1, "c")
    assert select(pool.db, SelectionParameters(metric=name, top_k=1, **OFF)).warnings[-1].endswith(message)
    pool.study.judgment(pool.response(1, "a"), pool.response(1, "c"), "tie")
    with pytest.raises(ParameterError, match="No judged response pair") as caught:
        select(pool.db, SelectionParameters(metric=name, pairs="judged", name="judged", **OFF))
    assert str(caught.value).endswith(message)


@pytest.mark.parametrize(
    "option",
    [
        ("--top-k", 0),
        ("--diversity", -1),
        ("--min-words", -1),
        ("--max-length-ratio", 1),
        ("--max-length-ratio", "nan"),
    ],
)
def test_a_value_that_makes_no_sense_is_a_usage_error(db, madetl, option):
    assert "Invalid value for" in madetl("select", *option, status=2).stderr


def test_the_run_is_recorded_with_its_counts(pool):
    pool.scores("a", "b", [0.5, 0.6])
    result = choose(pool, top_k=1)
    row = pool.db.execute("SELECT * FROM runs WHERE id = ?", (result.run_id,)).fetchone()
    assert (row["command"], row["outcome"], row["seed"]) == ("select", "ok", None)
    parameters = json.loads(row["parameters"])
    assert (parameters["name"], parameters["top_k"], parameters["min_words"]) == ("all-m", 1, 20)
    first, *_, last = row["summary"].splitlines()
    assert first == "all-m: 1 response pair picked (0 known), 1 model pair, K = 1"
    assert json.loads(last)["filters"]["eligible"] == 2
    assert choose(pool, strategy="random", seed=7).run_id > result.run_id
    assert pool.db.execute("SELECT seed FROM runs ORDER BY id DESC").fetchone()[0] == 7


def test_the_command_prints_what_it_did_and_what_is_next(pool, madetl):
    pool.scores("a", "b", [0.5, 0.6, 0.7])
    shown = madetl("select", "--metric", "m", "--top-k", 2)
    assert "all-m: 2 response pairs picked (0 known), 1 model pairs, K = 2" in shown.stdout
    assert "madetl export annotations --selection all-m" in shown.stdout
    assert "− an answer has 20 words or fewer" in shown.stdout
    printed = json.loads(madetl("select", "--metric", "m", "--top-k", 3, "--json").stdout)
    assert printed["new"] == 1
    assert printed["pairs"] == [{"model_a": "a", "model_b": "b", "picks": 3, "new": 1, "lowest": 0.5, "highest": 0.7}]
    assert printed["filters"]["eligible"] == 3
    off = madetl("select", "--metric", "m", "--min-words", 0, "--max-length-ratio", 0, "--name", "off").stdout
    assert "an answer is empty" in off
    assert not [line for line in off.splitlines() if "words or fewer" in line or "times or more" in line]
    assert "has K = 3 already" in madetl("select", "--metric", "m", "--top-k", 2).stderr
    failed = madetl("select", "--metric", "char-ngram", status=1)
    assert failed.stderr == "Error: No metric is called 'char-ngram'. This database has: m\n"


def test_without_a_metric_it_takes_the_one_that_has_measured(pool, madetl):
    # given nothing measured, then the way to measure
    assert "Nothing has been measured yet. `madetl similarity`" in madetl("select", status=1).stderr
    # given one metric that has measured beside one that has not, then the one
    pool.scores("a", "b", [0.5, 0.6, 0.7])
    pool.db.execute("INSERT INTO metrics (name, parameters, hash) VALUES ('idle', '{}', ?)", ["0" * 64])
    shown = madetl("select", "--top-k", 2)
    assert "all-m: 2 response pairs picked" in shown.stdout
    assert "Pool: 3 instructions in Writing\n" in shown.stdout
    # given two, then the choices, and no pick; the selection by its name goes on with its own
    other = Pool(pool.study, "other one")
    other.responses = pool.responses
    other.scores("a", "b", [0.1])
    failed = madetl("select", status=1)
    assert "2 metrics have measured answers: m, other one. Say which one to go by, such as --metric m." in failed.stderr
    assert "all-m: 1 response pairs picked (2 known)" in madetl("select", "--top-k", 3, "--name", "all-m").stdout
    assert "all-other one: 1 response" in madetl("select", "--metric", "other one", "--top-k", 1).stdout
    # and so does an adaptive one that the page would begin
    failed = madetl("annotate", "--adaptive", "--budget", 5, status=1)
    assert "2 metrics have measured answers" in failed.stderr


def test_a_run_that_another_overtakes_picks_anew(pool, db_file):
    # Given a run that is about to store its picks when another one begins and finishes
    pool.scores("a", "b", [n / 40 for n in range(40)])
    begun = []

    def overtake(statement: str) -> None:
        begun.extend([statement] * statement.startswith("BEGIN"))
        if statement.startswith("BEGIN") and len(begun) == 2:  # the first one wrote the row of runs
            with database.writing(db_file) as other:
                select(other, SelectionParameters(metric="m", top_k=5))

    pool.db.set_trace_callback(overtake)
    result = choose(pool, top_k=7)
    pool.db.set_trace_callback(None)
    # Then it extends what the other one made
    assert (result.new, result.selected, result.top_k) == (2, 7, 7)
    assert len(instructions_picked(pool.db)) == 7


@pytest.mark.slow
def test_two_runs_at_the_same_time_make_one_selection(pool, db_file):
    for other in "bcdefgh":
        pool.scores("a", other, [n / 40 for n in range(40)])
    command = ("select", "--metric", "m", "--strategy", "random")
    with children.madetl(db_file, *command) as one, children.madetl(db_file, *command) as other:
        outcomes = [(child.communicate(), child.returncode) for child in (one, other)]
    assert [status for _, status in outcomes] == [0, 0], outcomes
    assert {pair: len(rows) for pair, rows in picked(pool.db).items()} == {("a", other): 10 for other in "bcdefgh"}


# --- strategies other than the lowest scores ---------------------------------------------------------------------


def test_evidence_prefers_a_difference_that_there_is_more_to_read_of(pool):
    ids = [pool.study.instruction(f"instruction {n}") for n in range(3)]
    for instruction_id, score, words, ratio in zip(ids, (0.1, 0.4, 0.2), (25, 100, 200), (1, 1, 3), strict=True):
        pool.similarity(instruction_id, "a", "b", score, words=words, ratio=ratio)

    choose(pool, top_k=3, strategy="evidence")

    # 1 - 0.8 · √4 = -0.6, 1 - 0.6 · √1 = 0.4, 1 - 0.9 · √¼ = 0.55
    assert instructions_picked(pool.db) == [ids[2], ids[1], ids[0]]
    assert [row[4] for row in picked(pool.db)["a", "b"]] == pytest.approx([-0.6, 0.4, 0.55])


def test_evidence_does_without_filters_unless_they_are_asked_for(pool):
    ids = [pool.study.instruction(f"instruction {n}") for n in range(3)]
    for instruction_id, words, ratio in zip(ids, (5, 100, 100), (1, 1, 9), strict=True):
        pool.similarity(instruction_id, "a", "b", 0.1, words=words, ratio=ratio)

    plain = choose(pool, top_k=3, strategy="evidence")
    asked = choose(pool, top_k=3, strategy="evidence", min_words=20, max_length_ratio=4.0, name="asked")
    mad = choose(pool, top_k=3)

    assert [result.selected for result in (plain, asked, mad)] == [3, 1, 1]
    assert instructions_picked(pool.db, name="all-m-evidence") == [ids[2], ids[1], ids[0]]
    assert (plain.min_words, plain.max_length_ratio) == (0, 0)
    with pytest.raises(ParameterError, match=r"--min-words 20 \(now 0\)"):
        choose(pool, top_k=3, strategy="evidence", name="asked")
    recorded = pool.db.execute("SELECT parameters FROM runs ORDER BY id LIMIT 1").fetchone()[0]
    assert json.loads(recorded)["min_words"] == 0


def test_band_draws_from_the_middle_third_and_says_when_it_is_used_up(pool):
    ids = pool.scores("a", "b", [n / 10 for n in range(9)])

    few = choose(pool, top_k=2, strategy="band", seed=3)
    two = instructions_picked(pool.db, name="all-m-band")
    more = choose(pool, top_k=5, strategy="band", seed=3)

    assert few.name == "all-m-band"
    assert instructions_picked(pool.db, name="all-m-band")[:2] == two
    assert set(instructions_picked(pool.db, name="all-m-band")) == set(ids[3:6])
    assert "fewer than 5 candidates" in more.warnings[0]


def test_unjudged_leaves_out_what_a_person_has_judged(pool):
    ids = pool.scores("a", "b", [0.1, 0.2, 0.3, 0.4])
    pool.study.judgment(pool.response(ids[0], "a"), pool.response(ids[0], "b"), "tie")
    pool.study.judgment(pool.response(ids[1], "a"), pool.response(ids[1], "b"), "tie", "gpt-4")
    pool.db.execute("UPDATE annotators SET kind = 'model' WHERE name = 'gpt-4'")

    result = choose(pool, top_k=2, pairs="unjudged")

    assert instructions_picked(pool.db) == ids[1:3]
    assert result.filters.measured == 3
    assert not result.warnings
