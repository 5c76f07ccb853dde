"""The order that can be believed: its steps, who may be the best, components, and intervals that have no width."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madetl.ranking import order, rank, votes_so_far
from madetl.ranking.leaderboards import leaderboard
from madetl.ranking.posterior import Posterior
from madetl.ranking.rank import RankParameters
from madetl.ranking.votes import Votes, item_outcomes
from madetl.selection.adaptive import advise
from madetl.store import database
from tests.ranking.test_rank import by_model, vote, vote_again

QUICK = RankParameters(method="bt", rounds=20)


def votes_of(battles: list[tuple[int, int, int]], models: int) -> Votes:
    """Each battle is of two models and its half points of the first; each on an item of its own."""
    a, b, half_points = np.array(battles, dtype=np.int64).T
    outcomes = item_outcomes(np.arange(len(a)), a, b, half_points)
    counts = {"battles": len(a), "ties": 0, "both_bad": 0, "items": len(a), "annotators": 1}
    battles_in_order = np.stack([np.arange(len(a)), a, b, half_points])
    return Votes.from_columns("Writing", dict(enumerate("uvwxyz"[:models])), counts, outcomes, battles_in_order)


@st.composite
def some_votes(draw: st.DrawFn) -> Votes:
    models = draw(st.integers(2, 6))
    battle = st.tuples(st.integers(0, models - 1), st.integers(0, models - 1), st.integers(0, 2))
    battles = draw(st.lists(battle.filter(lambda b: b[0] < b[1]), min_size=1, max_size=40))
    return votes_of(battles, models)


@given(some_votes(), st.sampled_from(["elo", "bt"]))
@settings(deadline=None, max_examples=60)
def test_every_leaderboard_has_an_order_with_probabilities(votes, method):
    board = leaderboard(votes, RankParameters(method=method, rounds=10))
    component = {line.model: line.component for line in board.ratings}
    parts = set(component.values())
    # a step fewer than models in each component, none between two
    assert len(board.order) == len(board.ratings) - len(parts)
    for step in board.order:
        assert component[step.better] == component[step.worse]
        assert 0.5 <= step.probability <= 1
        assert step.settled == (step.probability >= 0.95)
    for part in parts:
        best = [line.probability_best for line in board.ratings if line.component == part]
        assert sum(best) == pytest.approx(1)
        # whoever is first is above the next in at least as many worlds as it is above all
        [first, *_] = [step for step in board.order if component[step.better] == part]
        assert by_model(board)[first.better].probability_best <= first.probability + 0.01


def test_probability_best_is_that_of_the_posterior(study, db):
    """Against the exact integral over three independent strengths, and the formula for two."""
    mean, sd = np.array([0.3, 0.0, -0.1]), np.array([0.5, 0.2, 0.9])
    covariance = np.diag(sd**2)[None]
    pairs = np.triu_indices(3, 1)
    found = Posterior(*pairs, mean[None], np.linalg.inv(covariance), covariance, np.ones(1), np.ones(1))
    from scipy.integrate import quad
    from scipy.stats import norm

    best = order.probability_best(found, np.zeros(3, dtype=int), seed=1)
    for m in range(3):
        others = [i for i in range(3) if i != m]

        def beyond(t, m=m, others=others):
            return norm.pdf(t, mean[m], sd[m]) * np.prod([norm.cdf(t, mean[i], sd[i]) for i in others])

        assert best[m] == pytest.approx(quad(beyond, -6, 6)[0], abs=0.01)
    two = order.probability_best(found, np.array([0, 1, 0]), seed=1)
    exact = norm.cdf(0.4 / np.hypot(0.5, 0.9))
    assert two == pytest.approx([exact, 1, 1 - exact])


def test_rank_and_advise_say_the_same(study, db):
    vote(study, "x", "y", "aabtaab")
    vote(study, "y", "z", "aabtaax", scenario="Coding")
    vote(study, "x", "z", "aaabaat")
    for number in range(3):
        vote_again(study, "x", "y", number, "ab")
    for scenarios in ((), ("Writing",)):
        [board, *_] = rank.rank(db, dataclasses.replace(QUICK, scenarios=scenarios)).leaderboards
        said = advise.advise(db, scenarios=scenarios, simulations=1, cap=1).orders
        assert [(step.better, step.worse) for step in board.order] == [(one.higher, one.lower) for one in said]
        # the same votes, with the pairs numbered in two ways
        assert [step.probability for step in board.order] == pytest.approx([one.sure for one in said])
    assert votes_so_far.read(db).posterior.dispersion[0] != 1


def test_the_order_is_of_the_votes_that_are_ranked(study, db):
    """Judges' votes and the majority's give other probabilities than all of people's."""
    vote(study, "x", "y", "aaaaabb")
    study.annotator("judge", "model")
    vote(study, "x", "y", "bbbbbbb", annotator="judge", start=10)
    for number in range(2):
        vote_again(study, "x", "y", number, "bbb")
    people, judges, majority = (
        rank.rank(db, dataclasses.replace(QUICK, **which)).leaderboards[0]
        for which in ({}, {"judges": True}, {"votes": "majority"})
    )
    assert judges.order[0].better == "y"
    assert judges.order[0].probability > 0.9
    assert majority.order[0].better == "y"  # 3 of 7 pairs
    assert len({board.order[0].probability for board in (people, judges, majority)}) == 3


def test_probabilities_are_stored_with_the_ratings(study, db):
    vote(study, "x", "y", "aaabtaab")
    result = rank.rank(db, RankParameters(rounds=50))
    lines = by_model(result.leaderboards[0])
    rows = db.execute("SELECT model, probability_best FROM leaderboard WHERE scenario = 'overall'").fetchall()
    assert {row["model"]: row["probability_best"] for row in rows} == {
        model: line.probability_best for model, line in lines.items()
    }


@pytest.mark.parametrize("method", ["elo", "bt"])
def test_an_interval_without_width_gives_no_rank(study, db, method):
    """One item on each pair: a bootstrap draws the same votes every time, and only Elo's order of battles changes."""
    vote(study, "x", "y", "a")
    vote(study, "y", "z", "a")
    vote(study, "x", "z", "t")
    board = rank.rank(db, RankParameters(method=method, rounds=50)).leaderboards[0]
    assert [line.rank for line in board.ratings] == [None, None, None]
    assert [line.model for line in board.ratings] == ["x", "y", "z"]
    assert [step.better for step in board.order] == ["x", "y"]
    assert all(0.5 < step.probability < 0.9 for step in board.order)
    ranks = [row["rank"] for row in db.execute("SELECT rank FROM leaderboard WHERE scenario = 'overall'")]
    assert ranks == ([None] * 3 if method == "elo" else [])


def test_whoever_has_no_width_counts_against_nobody(study, db):
    """Two components: in one nothing varies, in the other the ranks are as ever."""
    vote(study, "x", "y", "aaaa")
    vote(study, "u", "v", "a" * 38 + "bb")
    board = rank.rank(db, RankParameters(method="bt")).leaderboards[0]
    assert {line.model: line.rank for line in board.ratings} == {"u": 1, "v": 2, "x": None, "y": None}


def test_a_majority_of_many_votes_on_one_item_each_gives_no_rank(study, db):
    with database.transaction(db):
        vote(study, "x", "y", "a")
        vote_again(study, "x", "y", 0, "abaab")
    for votes in ("all", "majority"):
        board = rank.rank(db, RankParameters(method="bt", votes=votes)).leaderboards[0]
        assert [line.rank for line in board.ratings] == [None, None]
