"""Elo in all rounds at once, against the plain loop over rows; and the draws that make the rounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madetl.ranking import elo, resampling


def plain_elo(battles, order, models, k=4.0):
    """Elo as everybody writes it: one row after the other, in points."""
    rating = [1000.0] * models
    for i in order:
        a, b, score = battles[i]
        expected = 1 / (1 + 10 ** ((rating[b] - rating[a]) / 400))
        rating[a] += k * (score - expected)
        rating[b] += k * ((1 - score) - (1 - expected))
    return rating


def vectorised(battles, orders, models, k=4.0):
    a, b, score = (np.array(column) for column in zip(*battles, strict=True))
    return elo.ratings(a, b, score.astype(float), models, [np.array(o, dtype=int) for o in orders], k_factor=k)


@st.composite
def tournaments(draw):
    models = draw(st.integers(2, 6))
    pair = st.lists(st.integers(0, models - 1), min_size=2, max_size=2, unique=True)
    row = st.tuples(pair, st.sampled_from([0.0, 0.5, 1.0])).map(lambda r: (*r[0], r[1]))
    battles = draw(st.lists(row, min_size=1, max_size=30))
    orders = draw(st.lists(st.lists(st.integers(0, len(battles) - 1), max_size=40), min_size=1, max_size=5))
    return battles, orders, models


def test_one_battle_moves_two_points():
    """Equal models: the expectation is a half, so a win is worth K / 2 and a tie nothing."""
    assert vectorised([(0, 1, 1.0)], [[0]], 2).tolist() == [[1002.0, 998.0]]
    assert vectorised([(0, 1, 0.5)], [[0]], 2).tolist() == [[1000.0, 1000.0]]


@given(tournaments(), st.sampled_from([1.0, 4.0, 32.0]))
@settings(deadline=None)
def test_every_round_is_the_plain_loop(tournament, k):
    """Rounds of different lengths, battles repeated and left out."""
    battles, orders, models = tournament
    expected = [plain_elo(battles, order, models, k) for order in orders]
    np.testing.assert_allclose(vectorised(battles, orders, models, k), expected, atol=1e-8)


@given(tournaments(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_renamed_models_keep_their_ratings(tournament, random):
    battles, orders, models = tournament
    new = list(range(models))
    random.shuffle(new)
    renamed = vectorised([(new[a], new[b], score) for a, b, score in battles], orders, models)
    np.testing.assert_allclose(renamed[:, new], vectorised(battles, orders, models), atol=1e-8)


@given(tournaments())
@settings(deadline=None)
def test_points_are_only_passed_on(tournament):
    battles, orders, models = tournament
    np.testing.assert_allclose(vectorised(battles, orders, models).mean(axis=1), 1000, atol=1e-8)


def test_more_battles_than_a_block_and_more_rounds_than_a_chunk(monkeypatch):
    rng = np.random.default_rng(1)
    battles = [(*rng.choice(4, 2, replace=False).tolist(), float(rng.choice([0, 0.5, 1]))) for _ in range(700)]
    orders = [rng.permutation(700) for _ in range(5)]
    whole = vectorised(battles, orders, 4)
    np.testing.assert_allclose(whole, [plain_elo(battles, order, 4) for order in orders], atol=1e-8)
    monkeypatch.setattr(elo, "_MAX_BYTES", 1500)  # two rounds at a time
    assert (vectorised(battles, orders, 4) == whole).all()


def test_an_enormous_k_factor_stays_finite():
    ratings = vectorised([(0, 1, 1.0), (0, 1, 0.0)], [[0, 1, 0, 1, 1]], 2, k=1e7)
    assert np.isfinite(ratings).all()


@pytest.mark.parametrize(("models", "battles_each"), [(2, 30), (7, 60), (7, 600)])
def test_the_share_of_the_way_is_what_elo_goes_on_average(models, battles_each):
    """Nearly equal models in rounds of everybody against everybody, each battle worth its true expectation."""
    true = np.linspace(-10, 10, models)
    rating = np.zeros(models)
    pairs = [(a, b) for a in range(models) for b in range(a)]
    for _ in range(battles_each // (models - 1)):
        for a, b in pairs:
            gain = 4 / (1 + 10 ** ((true[b] - true[a]) / 400)) - 4 / (1 + 10 ** ((rating[b] - rating[a]) / 400))
            rating[a] += gain
            rating[b] -= gain
    gone = np.ptp(rating) / np.ptp(true)
    assert elo.share_of_the_way(battles_each, models) == pytest.approx(gone, abs=0.01)


# Resampling


ITEM = np.array([7, 7, 8, 9, 7, 8, 9, 9])
STRATUM = np.array([0, 0, 0, 0, 5, 5, 5, 5])


def test_permutations_hold_every_battle_once():
    rounds = list(resampling.permutations(8, 20, np.random.default_rng(0)))
    assert all(sorted(order.tolist()) == list(range(8)) for order in rounds)
    assert len({tuple(order) for order in rounds}) > 1


def test_a_drawn_item_brings_all_its_votes_and_every_stratum_keeps_its_number_of_items():
    """Instruction 7 of one pair and instruction 7 of the other are two items."""
    for order in resampling.bootstrap_orders(ITEM, STRATUM, 200, np.random.default_rng(0)):
        times = np.bincount(order, minlength=8)
        assert times[0] == times[1]
        assert times[6] == times[7]
        assert times[0] + times[2] + times[3] == 3
        assert times[4] + times[5] + times[6] == 3


def test_every_item_is_drawn_equally_often_and_the_order_is_random():
    orders = list(resampling.bootstrap_orders(ITEM, STRATUM, 4000, np.random.default_rng(0)))
    times = sum(np.bincount(order, minlength=8) for order in orders)
    np.testing.assert_allclose(times, 4000, rtol=0.06)  # three standard deviations
    first = np.bincount([order[0] for order in orders], minlength=8) / 4000
    np.testing.assert_allclose(first, 1 / 8, atol=0.03)


def test_a_prefix_of_the_rounds_does_not_depend_on_their_number():
    few = list(resampling.bootstrap_orders(ITEM, STRATUM, 3, np.random.default_rng(5)))
    many = list(resampling.bootstrap_orders(ITEM, STRATUM, 9, np.random.default_rng(5)))
    assert all((a == b).all() for a, b in zip(few, many[:3], strict=True))


def test_counts_of_a_bootstrap_are_sums_over_drawn_items():
    """Stratum 0: two items worth (1, 0) and one worth (0, 3). Mean and variance of three draws, by hand."""
    items = np.array([0, 0, 1]), np.array([[1.0, 0.0], [0.0, 3.0], [0.5, 0.5]]), np.array([2, 1, 4])
    sums = resampling.bootstrap_counts(*items, 20_000, np.random.default_rng(0))
    assert sums.shape == (20_000, 2, 2)
    assert (sums[:, 0, 0] + sums[:, 0, 1] / 3 == 3).all()
    assert (sums[:, 1] == 2).all()
    assert sums[:, 0, 0].mean() == pytest.approx(2, abs=0.02)
    assert sums[:, 0, 0].var() == pytest.approx(3 * (2 / 3) * (1 / 3), abs=0.02)
