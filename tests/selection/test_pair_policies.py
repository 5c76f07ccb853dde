"""Which pair of models is drawn next, and how a policy plays against votes: against plain loops and counted draws."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from madetl.ranking import posterior
from madetl.ranking.posterior import PairVotes
from madetl.selection.adaptive import pair_policies
from madetl.selection.adaptive.pair_policies import POLICIES, Board
from madetl.selection.adaptive.simulate import KnownVotes, play


def all_pairs(models: int):
    return tuple(np.array(side) for side in zip(*combinations(range(models), 2), strict=True))


def votes_of(wins: list[int], losses: list[int]) -> PairVotes:
    votes = PairVotes.none(1, len(wins))
    for pair, (won, lost) in enumerate(zip(wins, losses, strict=True)):
        votes.add_items(0, pair, 1.0, items=won)
        votes.add_items(0, pair, 0.0, items=lost)
    return votes


def board_of(wins: list[int], losses: list[int], models: int, pending: list[int] | None = None) -> Board:
    """A study in which each vote was on an item of its own, and every pair has candidates left."""
    votes = votes_of(wins, losses)
    waits = np.array([pending or [0] * len(wins)], dtype=float)
    fitted = posterior.fit(all_pairs(models), votes, models)
    return Board(fitted, votes.votes + waits, waits, np.ones_like(waits))


counts = st.lists(st.integers(0, 6), min_size=6, max_size=6)


@settings(max_examples=50, deadline=None)
@given(counts, counts, counts)
def test_the_adaptive_score_is_doubt_times_the_share_of_variance_that_a_vote_takes_away(wins, losses, pending):
    board = board_of(wins, losses, 4, pending)

    score = POLICIES["adaptive"](board)[0]

    a, b = all_pairs(4)
    mean, dispersion = board.posterior.mean[0], board.posterior.dispersion[0]

    def with_one_more(precision, pair, votes=1):
        p = 1 / (1 + math.exp(mean[b[pair]] - mean[a[pair]]))
        x = np.zeros(4)
        x[a[pair]], x[b[pair]] = 1, -1
        return precision + votes * p * (1 - p) / dispersion * np.outer(x, x)

    def variance(precision, i, j):
        c = np.linalg.inv(precision)
        return c[i, i] + c[j, j] - 2 * c[i, j]

    precision = board.posterior.precision[0]
    for pair in range(6):
        precision = with_one_more(precision, pair, pending[pair])
    order = sorted(range(4), key=lambda model: -mean[model])
    for pair in range(6):
        expected = 0.0
        for i, j in pairwise(order):
            before, after = variance(precision, i, j), variance(with_one_more(precision, pair), i, j)
            expected += norm.sf(abs(mean[i] - mean[j]) / math.sqrt(before)) * (before - after) / before
        assert score[pair] == pytest.approx(expected, rel=1e-7)


@settings(max_examples=30, deadline=None)
@given(counts, counts)
def test_d_optimal_is_the_vote_that_raises_the_determinant_most(wins, losses):
    board = board_of(wins, losses, 4)
    a, b = all_pairs(4)

    gains = []
    for pair in range(6):
        x = np.zeros(4)
        x[a[pair]], x[b[pair]] = 1, -1
        more = board.posterior.precision[0] + board.posterior.information[0, pair] * np.outer(x, x)
        gains.append(np.linalg.slogdet(more)[1] - np.linalg.slogdet(board.posterior.precision[0])[1])

    assert np.log1p(POLICIES["d-optimal"](board)[0]) == pytest.approx(gains)


def test_the_arena_rule_is_the_fall_of_a_standard_error():
    board = board_of([3, 0, 1], [1, 0, 1], 3)
    won = 1 / (1 + np.exp(board.posterior.mean[0][[1, 2, 2]] - board.posterior.mean[0][[0, 0, 1]]))

    score = POLICIES["arena"](board)[0]

    for pair, n in ((0, 4), (2, 2)):
        spread = math.sqrt(won[pair] * (1 - won[pair]))
        assert score[pair] == pytest.approx(spread / math.sqrt(n) - spread / math.sqrt(n + 1))
    assert score.argmax() == 1  # nobody was asked about it


def test_a_sure_order_is_not_asked_about_again():
    # models 0 > 1 by far, 1 and 2 even
    board = board_of([20, 20, 5], [0, 0, 5], 3)

    for policy in ("adaptive", "closest"):
        assert POLICIES[policy](board)[0].argmax() == 2


def test_votes_that_are_on_their_way_count_as_if_they_were_in():
    board = board_of([5, 5, 5], [5, 5, 5], 3)
    waiting = replace(board, pending=np.array([[30.0, 0, 0]]))

    before, after = POLICIES["adaptive"](board)[0], POLICIES["adaptive"](waiting)[0]

    assert before[0] == pytest.approx(before[2])
    assert after.argmax() == 2  # of the neighbours 0, 1 and 2, the pair that nobody is about to judge
    assert after[0] < before[0] / 2


def test_only_the_orders_that_matter_count():
    board = board_of([5, 5, 5, 5, 5, 5], [5, 5, 5, 5, 5, 5], 4)
    one = (np.array([[0]]), np.array([[1]]))

    score = POLICIES["adaptive"](replace(board, targets=one))[0]

    assert score.argmax() == 0  # the pair of models 0 and 1
    assert score[5] == pytest.approx(0, abs=1e-12)  # models 2 and 3 say nothing of 0 and 1


@pytest.mark.parametrize("explore", [0.1, 0.5, 0.0])
def test_a_probability_is_how_often_the_pair_is_drawn(explore):
    rounds = 20_000
    votes = votes_of([9, 9, 4], [1, 1, 5])
    votes = PairVotes(*(np.repeat(values, rounds, axis=0) for values in vars(votes).values()))
    fitted = posterior.fit(all_pairs(3), votes, 3)
    left = np.tile([1.0, 0.0, 1.0], (rounds, 1))

    draw = pair_policies.draw(
        "adaptive",
        Board(fitted, votes.votes, np.zeros_like(left), left),
        np.random.default_rng(1),
        explore=explore,
    )

    drawn = np.bincount(draw.pair, minlength=3) / rounds
    assert drawn[1] == 0  # no candidate is left
    for pair in (0, 2):
        if drawn[pair]:
            assert set(draw.probability[draw.pair == pair].round(12)) == {
                round(explore / 2 + (1 - explore) * (pair == 2), 12)
            }
        assert drawn[pair] == pytest.approx(explore / 2 + (1 - explore) * (pair == 2), abs=0.015)


def test_pairs_that_score_the_same_share_the_probability():
    rounds = 20_000
    votes = PairVotes.none(rounds, 3)
    fitted = posterior.fit(all_pairs(3), votes, 3)
    left = np.ones((rounds, 3))

    board = Board(fitted, votes.votes, np.zeros_like(left), left)
    score = POLICIES["closest"](board)[0]
    draw = pair_policies.draw("closest", board, np.random.default_rng(1), floor=0, explore=0.1)

    assert score.tolist() == pytest.approx([score[0]] * 3)
    assert draw.probability.tolist() == pytest.approx([1 / 3] * rounds)
    assert np.bincount(draw.pair) / rounds == pytest.approx(1 / 3, abs=0.015)


def test_the_floor_comes_first_and_is_certain():
    board = board_of([9, 1, 0], [0, 1, 0], 3)

    draw = pair_policies.draw("adaptive", board, np.random.default_rng(1), floor=1)
    both = [
        int(pair_policies.draw("adaptive", board, np.random.default_rng(seed), floor=3).pair[0]) for seed in range(20)
    ]

    assert (draw.pair[0], draw.probability[0]) == (2, 1.0)
    assert set(both) == {2}  # the pair with the fewest, before the one with two


def test_nothing_is_drawn_where_nothing_is_left():
    board = board_of([1, 1, 1], [1, 1, 1], 3)

    assert pair_policies.draw("adaptive", replace(board, left=0 * board.left), np.random.default_rng(1)).pair[0] == -1


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("batch", [1, 4])
def test_a_play_takes_the_votes_of_each_pair_in_their_order(policy, batch):
    rng = np.random.default_rng(3)
    points = rng.choice([0.0, 0.5, 1.0], size=(5, 6, 8))
    items = rng.integers(0, 9, size=(5, 6))
    judgments = int(items.sum(axis=1).max()) + 3
    source = KnownVotes(points, items.copy())

    states = list(play(policy, source, all_pairs(4), models=4, judgments=judgments, rng=rng, batch=batch))

    assert [state.judgments for state in states] == [min(n, judgments) for n in range(batch, judgments + batch, batch)]
    votes = states[-1].votes
    assert (votes.votes == items).all()  # all of them in the end, and none twice
    for r in range(5):
        for p in range(6):
            taken = points[r, p, : items[r, p]]
            assert votes.wins[r, p] == pytest.approx(taken.sum())
            assert votes.wins_squared[r, p] == pytest.approx((taken**2).sum())


def test_uniform_is_the_pairs_in_turn():
    source = KnownVotes(np.ones((3, 6, 50)), np.full((3, 6), 50))

    for state in play("uniform", source, all_pairs(4), models=4, judgments=40, rng=np.random.default_rng(1)):
        assert (state.votes.votes.sum(axis=1) == state.judgments).all()
        assert (np.ptp(state.votes.votes, axis=1) <= 1).all()


def test_adaptive_votes_go_where_the_order_is_in_doubt():
    # 0 and 1 are even; 2 and 3 lose nearly always, and 3 to 2
    rng = np.random.default_rng(5)
    strength = np.array([2.0, 2.0, 0.0, -2.0])
    a, b = all_pairs(4)
    won = 1 / (1 + np.exp(strength[b] - strength[a]))
    source = KnownVotes((rng.random((40, 6, 300)) < won[:, None]) * 1.0, np.full((40, 6), 300))

    *_, last = play("adaptive", source, (a, b), models=4, judgments=120, rng=rng, floor=2)

    share = last.votes.votes.mean(axis=0) / 120
    assert (last.votes.votes >= 2).all()
    assert share[0] > 0.4
    assert share[0] > 3 * share[5]
