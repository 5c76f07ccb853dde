"""What votes say of the models' strengths: against an optimiser, plain sums over items, and worlds of known truth.

Items are (pair, votes, points of model_a, ties as halves); the pairs are all of `MODELS` models.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import helmert
from scipy.optimize import minimize
from scipy.special import expit, log_expit
from scipy.stats import norm

from madetl.ranking import posterior
from madetl.ranking.posterior import SPREAD, PairVotes, Posterior
from madetl.selection.adaptive.forecasts import rounds_of
from tests.support import worlds as w

MODELS = 4
PAIRS = w.pairs_of(MODELS)
NEAR = 2e-5  # log-odds: the fit ends where a step moves nothing by more than 1e-6, and its steps shrink by half

Item = tuple[int, int, float]


def votes_of(items: list[Item], pairs: int = len(PAIRS[0])) -> PairVotes:
    votes = PairVotes.none(1, pairs)
    for pair, number, points in items:
        votes.add_items(0, pair, points, number)
    return votes


def fit(items: list[Item], models: int = MODELS, pairs: posterior.ModelPairs | None = None) -> Posterior:
    pairs = pairs or w.pairs_of(models)
    return posterior.fit(pairs, votes_of(items, len(pairs[0])), models)


@st.composite
def an_item(draw: st.DrawFn) -> Item:
    number = draw(st.integers(1, 3))
    return draw(st.integers(0, len(PAIRS[0]) - 1)), number, draw(st.integers(0, 2 * number)) / 2


some_items = st.lists(an_item(), max_size=40)


def loss(items: list[Item], dispersion: float, prior: float):
    """Minus the log of the penalised likelihood, as a function of the strengths."""
    a, b = PAIRS

    def loss_at(strength: np.ndarray) -> float:
        total = prior / 2 * float(strength @ strength)
        for pair, number, points in items:
            difference = strength[a[pair]] - strength[b[pair]]
            total -= (points * log_expit(difference) + (number - points) * log_expit(-difference)) / dispersion
        return total

    return loss_at


# --- the fit


@settings(max_examples=40, deadline=None)
@given(some_items)
def test_the_mean_is_the_maximum_that_a_general_optimiser_finds(items):
    found = fit(items)

    best = minimize(
        loss(items, found.dispersion[0], found.prior_precision[0]),
        np.full(MODELS, 0.3), method="BFGS", options={"gtol": 1e-7},
    )  # fmt: skip

    assert found.mean[0] == pytest.approx(best.x, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(some_items)
def test_the_precision_is_the_curvature_there_and_the_covariance_its_inverse(items):
    found = fit(items)
    loss_at, h = loss(items, found.dispersion[0], found.prior_precision[0]), 1e-3
    steps = np.eye(MODELS) * h

    def second(i: int, j: int) -> float:
        at, x, y = found.mean[0], steps[i], steps[j]
        return (loss_at(at + x + y) - loss_at(at + x - y) - loss_at(at - x + y) + loss_at(at - x - y)) / (4 * h * h)

    curvature = np.array([[second(i, j) for j in range(MODELS)] for i in range(MODELS)])

    assert found.precision[0] == pytest.approx(curvature, rel=1e-3, abs=1e-3)
    assert found.covariance[0] == pytest.approx(np.linalg.inv(curvature), rel=5e-3, abs=1e-3)


@settings(max_examples=60, deadline=None)
@given(some_items)
def test_the_dispersion_is_what_the_items_residuals_say(items):
    found = fit(items)

    a, b = PAIRS
    residuals = coins = 0.0
    for pair, number, points in items:
        p = expit(found.mean[0, a[pair]] - found.mean[0, b[pair]])
        residuals += (points - number * p) ** 2
        coins += number * p * (1 - p)
    sizes = [number for _, number, _ in items]
    alike = max(1.0, sum(sizes) ** 2 / max(1, sum(size**2 for size in sizes)))
    left = max(1.0, alike - (MODELS - 1)) / alike

    assert found.dispersion[0] == pytest.approx((residuals + 10 / 4) / (coins * left + 10 / 4), abs=NEAR)


@settings(max_examples=60, deadline=None)
@given(some_items)
def test_the_prior_is_as_wide_as_the_models_lie_apart(items):
    found = fit(items)

    contrasts = helmert(MODELS)  # three directions, none of which lifts all models alike
    means = contrasts @ found.mean[0]
    variances = np.diag(contrasts @ found.covariance[0] @ contrasts.T)
    squares = (means**2 + variances).sum()

    # as if one more direction had been seen, of the usual spread
    assert found.prior_precision[0] == pytest.approx((MODELS - 1 + 1) / (squares + SPREAD**2), rel=1e-4)


@pytest.mark.parametrize(
    ("items", "dispersion"),
    [
        # p = 1/2 in all of these; coins: n/4 each; of 4 items that fit one difference, 3/4 is left
        ([(0, 1, 1.0)] * 2 + [(0, 1, 0.0)] * 2, (4 * 0.25 + 2.5) / (4 / 4 * 3 / 4 + 2.5)),
        ([(0, 1, 0.5)] * 4, 2.5 / (4 / 4 * 3 / 4 + 2.5)),
        ([(0, 3, 3.0)] * 2 + [(0, 3, 0.0)] * 2, (4 * 1.5**2 + 2.5) / (12 / 4 * 3 / 4 + 2.5)),
        # 2 items of one vote and 2 of three vary as 8² / 20 = 3.2 of one size would
        (
            [(0, 1, 1.0), (0, 1, 0.0), (0, 3, 3.0), (0, 3, 0.0)],
            (2 * 0.5**2 + 2 * 1.5**2 + 2.5) / (8 / 4 * 2.2 / 3.2 + 2.5),
        ),
    ],
)
def test_the_dispersion_of_cases_computed_by_hand(items, dispersion):
    found = fit(items, models=2)

    assert found.mean[0] == pytest.approx([0, 0], abs=1e-12)
    assert found.dispersion[0] == pytest.approx(dispersion)


@settings(max_examples=40, deadline=None)
@given(
    some_items,
    st.permutations(range(MODELS)),
    st.permutations(range(6)),
    st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_neither_the_models_numbers_nor_the_pairs_order_nor_their_sides_matter(items, number, pair_number, swapped):
    a, b = PAIRS
    new_a, new_b = np.zeros(6, dtype=int), np.zeros(6, dtype=int)
    for pair in range(6):
        sides = number[a[pair]], number[b[pair]]
        new_a[pair_number[pair]], new_b[pair_number[pair]] = sides[::-1] if swapped[pair] else sides
    renamed = [(pair_number[pair], n, n - points if swapped[pair] else points) for pair, n, points in items]

    before, after = fit(items), fit(renamed, pairs=(new_a, new_b))

    assert after.mean[0, list(number)] == pytest.approx(before.mean[0], abs=1e-9)
    assert after.covariance[0][np.ix_(number, number)] == pytest.approx(before.covariance[0], abs=1e-9)
    assert after.dispersion == pytest.approx(before.dispersion)
    assert after.prior_precision == pytest.approx(before.prior_precision)


def test_rounds_in_one_batch_are_what_they_are_alone():
    worlds = w.normal(20, 6)
    votes = worlds.judged(4)

    together = w.fitted(worlds, votes)

    for world in range(20):
        alone = posterior.fit(worlds.pairs, rounds_of(votes, [world]), 6)
        for name in ("mean", "covariance", "dispersion", "prior_precision"):
            assert getattr(alone, name)[0] == pytest.approx(getattr(together, name)[world], abs=5 * NEAR), name


def test_a_warm_start_ends_where_a_cold_one_does():
    worlds = w.normal(50, 6)
    votes = worlds.judged(3)
    fewer = w.fitted(worlds, votes)
    for pair in range(15):
        votes.add(np.arange(50), np.full(50, pair), np.ones(50))

    warm = posterior.fit(worlds.pairs, votes, 6, start=fewer, steps=500)
    cold = posterior.fit(worlds.pairs, votes, 6)

    assert np.abs(cold.mean - fewer.mean).max() > 0.1
    for name in ("mean", "covariance", "dispersion", "prior_precision"):
        assert getattr(warm, name) == pytest.approx(getattr(cold, name), abs=5 * NEAR), name


def test_a_step_after_each_vote_keeps_up_with_the_whole_fit():
    worlds = w.normal(100, 6)
    votes, rounds = worlds.judged(1), np.arange(100)
    now = w.fitted(worlds, votes)
    for vote in range(60):
        pair = np.full(100, vote % 15)
        votes.add(rounds, pair, worlds.take(rounds, pair))
        now = posterior.fit(worlds.pairs, votes, 6, start=now, steps=1)

    whole = w.fitted(worlds, votes)

    off = np.abs(now.probability(*whole.neighbours()) - whole.probability(*whole.neighbours()))
    assert off.mean() < 0.015
    assert off.max() < 0.06


# --- votes


def test_votes_add_up_over_items_and_over_calls():
    one, other = PairVotes.none(2, 3), PairVotes.none(2, 3)

    one.add_items(1, 2, 1.5, votes=3, items=2)
    one.add(np.array([0, 1]), np.array([0, 0]), np.array([1.0, 0.5]))
    for _ in range(2):
        other.add_items(1, 2, 1.5, 3)
    other.add(np.array([0]), np.array([0]), np.array([1.0]))
    other.add(np.array([1]), np.array([0]), np.array([0.5]))

    assert {name: sums.tolist() for name, sums in vars(one).items()} == {
        "wins": [[1, 0, 0], [0.5, 0, 3]],
        "votes": [[1, 0, 0], [1, 0, 6]],
        "wins_squared": [[1, 0, 0], [0.25, 0, 4.5]],
        "wins_votes": [[1, 0, 0], [0.5, 0, 9]],
        "votes_squared": [[1, 0, 0], [1, 0, 18]],
    }
    assert {name: sums.tolist() for name, sums in vars(other).items()} == {
        name: sums.tolist() for name, sums in vars(one).items()
    }


def test_without_votes_nothing_is_known_of_any_order():
    found = fit([])

    assert found.mean.tolist() == [[0.0] * MODELS]
    assert found.dispersion == pytest.approx([1.0])
    assert found.prior_precision == pytest.approx([SPREAD**-2], rel=1e-4)
    assert found.probability(*found.neighbours()).tolist() == [[0.5] * (MODELS - 1)]


@pytest.mark.parametrize("number", [1, 30, 3000])
def test_a_model_that_lost_everything_stands_last_at_a_finite_place(number):
    # model 0 loses to all others, which are even
    items = [(pair, 1, 0.0) for pair in range(3)] * number + [(pair, 1, 0.5) for pair in range(3, 6)] * number

    found = fit(items)

    assert np.isfinite(found.mean).all()
    assert found.order()[0, -1] == 0
    assert found.mean[0, 1:] == pytest.approx(found.mean[0, [1]].repeat(3), abs=NEAR)
    assert -20 < found.mean[0, 0] < 0


def test_models_that_no_votes_connect_are_each_in_the_middle():
    # 0 beat 1, and nobody knows of 2 and 3
    found = fit([(0, 1, 1.0)] * 20)

    assert found.mean[0, 0] == pytest.approx(-found.mean[0, 1], abs=NEAR)
    assert found.mean[0, 2:] == pytest.approx([0, 0], abs=1e-9)
    assert found.probability(np.array([[2]]), np.array([[3]])) == pytest.approx(0.5)


# --- what is asked of it


def test_probability_is_the_normal_probability_of_the_difference():
    found = fit([(0, 1, 1.0), (0, 1, 0.5), (3, 2, 0.5), (5, 1, 0.0), (2, 1, 1.0)])

    for higher in range(MODELS):
        for lower in set(range(MODELS)) - {higher}:
            x = np.zeros(MODELS)
            x[[higher, lower]] = 1, -1
            expected = norm.cdf(x @ found.mean[0] / np.sqrt(x @ found.covariance[0] @ x))
            assert found.probability(np.array([[higher]]), np.array([[lower]])) == pytest.approx(expected, rel=1e-9)


def test_neighbours_are_next_to_each_other_from_the_top_down():
    # 2 beats 0, 0 beats 3, 3 beats 1
    found = fit([(1, 1, 0.0)] * 9 + [(2, 1, 1.0)] * 9 + [(4, 1, 0.0)] * 9)

    higher, lower = found.neighbours()

    assert found.order().tolist() == [[2, 0, 3, 1]]
    assert (higher.tolist(), lower.tolist()) == ([[2, 0, 3]], [[0, 3, 1]])
    assert (found.probability(higher, lower) > 0.5).all()


@settings(max_examples=40, deadline=None)
@given(some_items, st.lists(st.integers(0, 5), min_size=6, max_size=6))
def test_pending_votes_add_their_information_and_move_nothing(items, pending):
    found = fit(items)
    a, b = PAIRS

    expected = found.precision[0].copy()
    for pair, votes in enumerate(pending):
        p = expit(found.mean[0, a[pair]] - found.mean[0, b[pair]])
        x = np.zeros(MODELS)
        x[a[pair]], x[b[pair]] = 1, -1
        expected += votes * p * (1 - p) / found.dispersion[0] * np.outer(x, x)
    after = found.expecting(np.array([pending], dtype=float))

    assert after.precision[0] == pytest.approx(expected)
    assert after.covariance[0] == pytest.approx(np.linalg.inv(expected))
    assert after.mean is found.mean
    assert (after is found) == (not any(pending))


# --- calibration, in worlds that the model of the posterior does not describe: luck of the single answer, and ties


@pytest.mark.parametrize(("items", "overlap"), [(5, 1), (10, 1), (10, 3)])
def test_orders_are_right_as_often_as_they_are_called_sure(items, overlap):
    worlds = w.normal(1000, 7)

    bins = w.calibration(*w.sure_and_right(worlds, w.fitted(worlds, worlds.judged(items, overlap))))

    for low, high, (orders, sure, right) in zip(w.BINS, w.BINS[1:], bins, strict=False):
        text = f"of {orders} orders called {low}–{high} sure ({sure:.3f} on average), {right:.3f} are right"
        assert orders > 50, text
        if (low, high) == (0.9, 0.95):
            assert 0.88 <= right <= 0.97, text
        else:
            assert abs(right - sure) <= max(0.04, w.margin(right, orders)), text


def test_votes_on_one_item_that_are_alike_do_not_make_orders_look_surer_than_they_are():
    worlds = w.normal(1000, 7, answer_sd=1.5, ties=0.0)
    votes = worlds.judged(5, 3)

    found = w.fitted(worlds, votes)
    sure, right = w.sure_and_right(worlds, found)
    high = sure > 0.9

    assert found.dispersion.mean() > 1.4
    assert right[high].mean() == pytest.approx(sure[high].mean(), abs=0.02)
