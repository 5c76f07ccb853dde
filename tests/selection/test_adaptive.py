"""Selections that grow with the votes: what they pick, how much, when they wait and when they stop."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import ExitStack
from itertools import combinations

import numpy as np
import pytest

from madetl.errors import ParameterError
from madetl.ranking import posterior, votes_so_far
from madetl.selection import select as selection
from madetl.selection.select import Adaptive, SelectionParameters, select
from tests.conftest import Study
from tests.support import children
from tests.support.pool import Pool

MODELS = ["a", "b", "c", "d"]
ITEMS = 40


@pytest.fixture
def pool(study: Study) -> Pool:
    """Four models with answers to forty instructions, all measured; in every pair the lower instruction comes first."""
    pool = Pool(study)
    for model in MODELS:
        study.model(model)
    for n in range(ITEMS):
        instruction_id = study.instruction(f"instruction {n}")
        for x, y in combinations(MODELS, 2):
            pool.similarity(instruction_id, x, y, n / 100)
    return pool


def grow(pool: Pool, budget: int | None = 100, **plan) -> selection.SelectionResult:
    parameters = {name: plan.pop(name) for name in list(plan) if name in SelectionParameters.__dataclass_fields__}
    adaptive = Adaptive(budget=budget, **plan)
    return select(pool.db, SelectionParameters(metric="m", adaptive=adaptive, **parameters))


def judge(pool: Pool, winner) -> int:
    """Judges every pick that has no verdict: winner(model_a, model_b) says how. Returns how many there were."""
    rows = pool.db.execute(
        "SELECT s.response_a_id, s.response_b_id, p.model_a, p.model_b FROM selections AS s"
        " JOIN selected_pairs AS p ON p.selection_id = s.id WHERE p.judgments = 0"
    ).fetchall()
    for row in rows:
        pool.study.judgment(row[0], row[1], winner(row["model_a"], row["model_b"]))
    return len(rows)


def picks(db: sqlite3.Connection) -> Counter:
    rows = db.execute("SELECT model_a || model_b, count(*) FROM selected_pairs GROUP BY 1").fetchall()
    return Counter(dict(map(tuple, rows)))


def by_strength(gap: float, seed: int = 1):
    """Verdicts in which a beats b, b beats c and c beats d with odds of e to the gap; a and d by three times that."""
    rng = np.random.default_rng(seed)

    def winner(a: str, b: str) -> str:
        difference = gap * (MODELS.index(b) - MODELS.index(a))
        return "model_a" if rng.random() < 1 / (1 + np.exp(-difference)) else "model_b"

    return winner


def test_the_first_batch_is_the_floor_and_then_it_waits_for_votes(pool):
    first = grow(pool)
    again = grow(pool)

    assert first.summary == "all-m-adaptive: 6 response pairs picked (0 known), 6 model pairs, 6 of a budget of 100"
    assert picks(pool.db) == dict.fromkeys(picks(pool.db), 1)
    assert {row[0] for row in pool.db.execute("SELECT probability FROM selections")} == {1.0}
    assert again.new == 0
    assert again.summary.endswith("6 of a budget of 100: 6 picks wait for a vote, and the next ones depend on these")


def test_a_larger_floor_is_filled_before_votes_decide(pool):
    grow(pool, floor=3, batch=18)

    assert set(picks(pool.db).values()) == {3}


def test_judged_picks_make_room_in_the_batch(pool):
    grow(pool, batch=4)
    rows = pool.db.execute("SELECT response_a_id, response_b_id FROM selections LIMIT 3").fetchall()
    for a, b in rows:
        pool.study.judgment(a, b, "tie")

    assert grow(pool, batch=4).new == 3
    assert grow(pool, batch=4).new == 0
    assert grow(pool, batch=6).new == 2


def test_later_picks_go_where_the_order_is_in_doubt(pool):
    # a and b are even; c and d are far below, and far apart
    strength = {"a": 4.0, "b": 4.0, "c": 0.0, "d": -4.0}
    rng = np.random.default_rng(2)
    while grow(pool, budget=60, floor=3).new:
        judge(pool, lambda x, y: "model_a" if rng.random() < 1 / (1 + np.exp(strength[y] - strength[x])) else "model_b")

    counts = picks(pool.db)
    assert sum(counts.values()) == 60
    assert min(counts.values()) >= 3
    assert counts["ab"] > 20
    drawn = pool.db.execute("SELECT DISTINCT probability FROM selections ORDER BY 1").fetchall()
    # the floor, the share that votes do not decide, and what they do
    assert [row[0] for row in drawn] == pytest.approx([0.1 / 6, 0.9 + 0.1 / 6, 1.0])


def test_within_a_pair_the_picks_are_those_of_the_strategy_without_what_people_judged(pool):
    ids = [row[0] for row in pool.db.execute("SELECT id FROM instructions ORDER BY id")]
    pool.study.judgment(pool.response(ids[0], "a"), pool.response(ids[0], "b"), "model_a", "somebody earlier")
    for _ in range(5):
        grow(pool, budget=30)
        judge(pool, by_strength(0.3))

    by_pair = {
        pair: [
            row[0]
            for row in pool.db.execute(
                "SELECT instruction_id FROM selected_pairs WHERE model_a || model_b = ? ORDER BY rank", (pair,)
            )
        ]
        for pair in picks(pool.db)
    }
    assert by_pair["ab"] == ids[1 : 1 + len(by_pair["ab"])]
    assert by_pair["bc"] == ids[: len(by_pair["bc"])]


@pytest.mark.parametrize("strategy", ["mad", "evidence"])
def test_diversity_is_the_greedy_of_a_selection_that_was_made_at_once(pool, strategy):
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(ITEMS, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [row[0] for row in pool.db.execute("SELECT id FROM instructions ORDER BY id")]
    pool.embed({i: list(map(float, v)) for i, v in zip(ids, vectors, strict=True)})
    asked = {"strategy": strategy, "diversity": 0.5, "instruction_metric": "m"}
    select(pool.db, SelectionParameters(metric="m", top_k=ITEMS, name="at once", **asked))
    whole = picked_instructions(pool.db, "at once")

    for _ in range(4):
        grow(pool, budget=40, name="grown", **asked)
        judge_of(pool, "grown", by_strength(0.4))

    for pair, instructions in picked_instructions(pool.db, "grown").items():
        assert instructions == whole[pair][: len(instructions)]


def picked_instructions(db: sqlite3.Connection, name: str) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row in db.execute("SELECT * FROM selected_pairs WHERE selection = ? ORDER BY rank", (name,)):
        found.setdefault(row["model_a"] + row["model_b"], []).append(row["instruction_id"])
    return found


def judge_of(pool: Pool, name: str, winner) -> None:
    rows = pool.db.execute(
        "SELECT s.response_a_id AS a, s.response_b_id AS b, p.model_a, p.model_b FROM selections AS s"
        " JOIN selected_pairs AS p ON p.selection_id = s.id WHERE p.selection = ? AND p.judgments = 0",
        (name,),
    ).fetchall()
    for row in rows:
        pool.study.judgment(row["a"], row["b"], winner(row["model_a"], row["model_b"]))


def test_the_budget_is_kept_and_can_be_raised_but_not_lowered(pool):
    while grow(pool, budget=9).new:
        judge(pool, by_strength(0.2))
    at_nine = grow(pool, budget=9)
    raised = grow(pool, budget=12)
    lowered = grow(pool, budget=5)

    assert at_nine.selected == 9
    assert at_nine.stopped == "the budget is used up"
    assert raised.selected == 12
    assert lowered.new == 0
    assert "has a budget of 12 already, and a selection does not shrink to 5" in lowered.warnings[0]
    assert pool.db.execute("SELECT budget FROM selection_sets").fetchone()[0] == 12


def test_it_stops_once_every_order_is_as_sure_as_asked(pool):
    rounds = 0
    while (result := grow(pool, budget=200, stop_at=0.9)).new:
        judge(pool, by_strength(1.5))
        rounds += 1

    assert result.stopped == "every order of neighbours is at least 90 % sure"
    assert 6 < result.selected < 200
    now = votes_so_far.read(pool.db).posterior
    assert (now.probability(*now.neighbours()) >= 0.9).all()
    assert grow(pool, budget=200, stop_at=0.999).new > 0  # surer than that costs more


def test_a_new_model_is_placed_by_pairs_of_its_own(pool):
    for n in range(10):
        for x, y in combinations("abc", 2):
            ids = [row[0] for row in pool.db.execute("SELECT id FROM instructions ORDER BY id")]
            winner = "model_a" if n < 8 else "model_b"
            pool.study.judgment(pool.response(ids[n], x), pool.response(ids[n], y), winner)

    while grow(pool, budget=30, place="d").new:
        judge(pool, by_strength(0.9))

    assert set(picks(pool.db)) == {"ad", "bd", "cd"}
    assert picks(pool.db).most_common(1)[0][0] == "cd"  # d is below c, and it is told by c


def test_a_pair_without_candidates_is_passed_over(study):
    pool = Pool(study)
    for n in range(2):
        instruction_id = study.instruction(f"instruction {n}")
        pool.similarity(instruction_id, "a", "b", 0.1)
    for n in range(8):
        pool.similarity(study.instruction(f"instruction {n}"), "a", "c", 0.1, words=10 if n > 5 else 100)
    for _ in range(6):
        result = grow(pool, budget=50)
        judge(pool, lambda a, b: "tie")

    assert picks(pool.db) == {"ab": 2, "ac": 6}
    assert result.stopped == "no candidate is left"


def test_the_same_votes_give_the_same_picks(pool, tmp_path):
    grow(pool)
    judge(pool, by_strength(0.5))
    pool.db.execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
    grow(pool)
    with selections_db(tmp_path / "copy.db") as copy:
        select(copy, SelectionParameters(metric="m", adaptive=Adaptive(budget=100)))
        assert copy.execute(_PICKS).fetchall() == pool.db.execute(_PICKS).fetchall()


_PICKS = "SELECT pair_id, rank, instruction_id, probability FROM selections ORDER BY id"


def selections_db(path):
    from madetl.store import database

    return database.writing(path)


@pytest.mark.slow
def test_two_runs_at_the_same_time_keep_the_budget_and_the_batch(pool, db_file):
    grow(pool)
    judge(pool, by_strength(0.5))
    command = ("select", "--metric", "m", "--adaptive", "--budget", 100)

    with ExitStack() as stack:
        runs = [stack.enter_context(children.madetl(db_file, *command)) for _ in range(3)]
        assert [run.wait() for run in runs] == [0, 0, 0]

    assert sum(picks(pool.db).values()) == 12


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"budget": None}, "Give --budget N"),
        ({"top_k": 3}, "--top-k is K picks of every model pair"),
        ({"pairs": "judged"}, "leave --pairs judged out"),
        ({"place": "nobody"}, "No measured answers of a model 'nobody'"),
        ({"stop_at": 0.4}, "--stop-at is how sure to be"),
        ({"budget": 0}, "--budget must be at least 1"),
        ({"metric_": "x"}, "x"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_stored(pool, asked, message):
    if "metric_" in asked:
        with pytest.raises(ParameterError, match=message):
            select(pool.db, SelectionParameters(metric="x", adaptive=Adaptive(budget=5)))
    else:
        with pytest.raises(ParameterError, match=message):
            grow(pool, **asked)
    assert not pool.db.execute("SELECT 1 FROM selection_sets").fetchall()


def test_a_selection_stays_adaptive_or_not(pool):
    grow(pool, name="grown")
    select(pool.db, SelectionParameters(metric="m", top_k=2, name="fixed"))

    with pytest.raises(ParameterError, match=r"'grown' was made with --adaptive adaptive \(now uniform\)"):
        select(pool.db, SelectionParameters(metric="m", top_k=2, name="grown"))
    with pytest.raises(ParameterError, match=r"'fixed' was made with --adaptive uniform \(now adaptive\)"):
        grow(pool, name="fixed")


def test_one_pick_at_a_time_whatever_waits(pool):
    grow(pool, budget=9)
    run_id = pool.db.execute("SELECT max(id) FROM runs").fetchone()[0]

    added = [selection.grow(pool.db, "all-m-adaptive", Adaptive(), run_id) for _ in range(5)]

    assert added == [1, 1, 1, 0, 0]  # 9 in all
    select(pool.db, SelectionParameters(metric="m", top_k=1, name="fixed"))
    with pytest.raises(ParameterError, match="only one that `madetl select --adaptive` began grows"):
        selection.grow(pool.db, "fixed", Adaptive(), run_id)


def test_votes_so_far_count_items_with_all_their_votes(pool):
    ids = [row[0] for row in pool.db.execute("SELECT id FROM instructions ORDER BY id")]
    pair = pool.response(ids[0], "a"), pool.response(ids[0], "c")
    for annotator, winner in (("x", "model_a"), ("y", "tie"), ("z", "model_b")):
        pool.study.judgment(*pair, winner, annotator)
    pool.study.judgment(pool.response(ids[1], "a"), pool.response(ids[1], "c"), "model_a", "x")

    found = votes_so_far.read(pool.db)

    assert found.names == ["a", "c"]
    expected = posterior.PairVotes(*(np.array([[n]]) for n in (2.5, 4.0, 1.5**2 + 1, 1.5 * 3 + 1, 10.0)))
    for name, values in vars(expected).items():
        assert getattr(found.votes, name).tolist() == values.tolist(), name
    assert found.items.tolist() == [[2]]


def test_the_command_says_what_it_did_and_what_is_next(pool, madetl):
    pool.db.commit()
    first = madetl("select", "--metric", "m", "--adaptive", "--budget", 20)
    judge(pool, by_strength(0.5))
    second = json.loads(madetl("select", "--metric", "m", "--adaptive", "--budget", 20, "--json").stdout)
    misplaced = madetl("select", "--metric", "m", "--budget", 20, status=2)

    assert "6 of a budget of 20" in first.stdout
    assert "madetl export annotations --selection all-m-adaptive" in first.stdout
    assert (second["new"], second["pair_policy"], second["budget"]) == (6, "adaptive", 20)
    recorded = json.loads(pool.db.execute("SELECT parameters FROM runs ORDER BY id DESC LIMIT 1").fetchone()[0])
    assert (recorded["adaptive"], recorded["budget"], recorded["floor"]) == (True, 20, 1)
    assert "--budget goes with --adaptive" in misplaced.stderr
