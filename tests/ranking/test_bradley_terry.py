"""Bradley–Terry by Newton, against other people's optimisers; its prior; and what connects models."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from madetl.ranking import bradley_terry, components


def fit(pairs, wins, component=None):
    """`pairs`: [(a, b), …]; `wins`: [(a's, b's), …]. Ratings of one round."""
    a, b = np.array(pairs).T
    x, y = np.array(wins, dtype=float).T
    component = components.connected(a, b, int(max(a.max(), b.max())) + 1) if component is None else np.array(component)
    return bradley_terry.fit(a, b, x[None], y[None], component)[0]


def by_logistic_regression(pairs, wins, models, penalty=bradley_terry.PRIOR_SD**2):
    """The same model as scikit-learn sees it: a row per pair and side, weighted; C is the prior's variance."""
    rows = np.zeros((2 * len(pairs), models))
    for i, (a, b) in enumerate(pairs):
        rows[2 * i : 2 * i + 2, a], rows[2 * i : 2 * i + 2, b] = 1, -1
    won = np.tile([1, 0], len(pairs))
    model = LogisticRegression(C=penalty, fit_intercept=False, solver="newton-cholesky", tol=1e-12, max_iter=10_000)
    strength = model.fit(rows, won, sample_weight=np.array(wins, dtype=float).reshape(-1)).coef_[0]
    return 1000 + 400 / math.log(10) * (strength - strength.mean())


def by_zermelo(pairs, wins, models):
    """Zermelo's iteration (1929), without any prior: p_i = w_i / Σ_j n_ij / (p_i + p_j)."""
    p = np.ones(models)
    w = np.zeros((models, models))
    for (a, b), (x, y) in zip(pairs, wins, strict=True):
        w[a, b], w[b, a] = x, y
    n = w + w.T
    for _ in range(20_000):
        p = w.sum(axis=1) / (n / (p[:, None] + p)).sum(axis=1)
        p /= np.exp(np.log(p).mean())
    return 1000 + 400 * np.log10(p)


ROUND_ROBIN = [(a, b) for a in range(5) for b in range(a + 1, 5)]
WINS = [(7, 3), (8, 2), (6.5, 3.5), (9, 1), (6, 4), (5, 5), (7.5, 2.5), (4, 6), (8, 2), (9, 1)]


@st.composite
def counts(draw):
    """Any graph of up to six models with any counts: components, models that won everything, huge and tiny numbers."""
    models = draw(st.integers(2, 6))
    every = [(a, b) for a in range(models) for b in range(a + 1, models)]
    pairs = draw(st.lists(st.sampled_from(every), min_size=1, max_size=len(every), unique=True))
    number = st.one_of(st.integers(0, 10), st.sampled_from([100, 10_000, 1_000_000])).map(lambda n: n / 2)
    wins = draw(st.lists(st.tuples(number, number), min_size=len(pairs), max_size=len(pairs)))
    return pairs, wins, models


def test_two_models_are_apart_by_their_log_odds():
    """300 wins against 100: ln 3 in log-odds is 400 log10(3) = 190.85 points, half of it on either side of 1000."""
    ratings = fit([(0, 1)], [(300, 100)])
    assert ratings[0] - ratings[1] == pytest.approx(400 * math.log10(3), abs=0.02)  # the prior takes a 70th of a point
    assert ratings.mean() == pytest.approx(1000)


@pytest.mark.slow
@given(counts())
@settings(deadline=None)
def test_it_is_what_scikit_learn_finds(given_counts):
    pairs, wins, models = given_counts
    wins = [(x + 0.5, y) for x, y in wins]
    ours = fit(pairs, wins, [0] * models)
    np.testing.assert_allclose(ours, by_logistic_regression(pairs, wins, models), atol=1e-3)


def test_ordinary_counts_agree_to_a_millionth_with_scikit_learn():
    difference = fit(ROUND_ROBIN, WINS) - by_logistic_regression(ROUND_ROBIN, WINS, 5)
    assert np.abs(difference).max() < 1e-6


def test_the_prior_moves_ordinary_ratings_by_less_than_a_point():
    """40 battles per model, standard errors of about 60 points."""
    assert np.abs(fit(ROUND_ROBIN, WINS) - by_zermelo(ROUND_ROBIN, WINS, 5)).max() < 0.5
    more = [(10 * x, 10 * y) for x, y in WINS]
    assert np.abs(fit(ROUND_ROBIN, more) - by_zermelo(ROUND_ROBIN, more, 5)).max() < 0.05


@given(counts())
@settings(deadline=None)
def test_ratings_are_finite_whatever_the_counts_and_every_component_has_the_mean_1000(given_counts):
    pairs, wins, models = given_counts
    a, b = np.array(pairs).T
    component = components.connected(a, b, models)
    ratings = fit(pairs, wins, component)
    assert np.isfinite(ratings).all()
    for i in range(component.max() + 1):
        assert ratings[component == i].mean() == pytest.approx(1000)


@pytest.mark.slow
@given(counts(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_neither_names_nor_order_matter(given_counts, random):
    pairs, wins, models = given_counts
    new = list(range(models))
    random.shuffle(new)
    other = [((new[a], new[b]), w) for (a, b), w in zip(pairs, wins, strict=True)]
    other = [((b, a), (y, x)) if random.random() < 0.5 else ((a, b), (x, y)) for (a, b), (x, y) in other]
    random.shuffle(other)
    renamed = fit([p for p, _ in other], [w for _, w in other], [0] * models)
    np.testing.assert_allclose(renamed[new], fit(pairs, wins, [0] * models), atol=1e-4)


def test_a_model_that_won_everything_is_above_all_and_the_more_the_more_it_won():
    ratings = [fit([(0, 1), (1, 2), (0, 2)], [(n, 0), (6, 4), (n, 0)])[0] for n in (1, 5, 25)]
    nearly = fit([(0, 1), (1, 2), (0, 2)], [(24.5, 0.5), (6, 4), (25, 0)])[0]
    assert 1300 < ratings[0] < ratings[1] < ratings[2] < 2500
    assert nearly < ratings[2]


def test_rounds_do_not_depend_on_one_another_or_on_the_pieces_they_are_solved_in(monkeypatch):
    rng = np.random.default_rng(0)
    a, b = np.array(ROUND_ROBIN).T
    x, y = rng.integers(0, 9, (2, 50, 10)).astype(float)
    component = np.zeros(5, dtype=int)
    together = bradley_terry.fit(a, b, x, y, component)
    alone = [bradley_terry.fit(a, b, x[r : r + 1], y[r : r + 1], component)[0] for r in range(50)]
    np.testing.assert_allclose(together, alone, atol=1e-9)
    monkeypatch.setattr(bradley_terry, "_MAX_ENTRIES", 200)
    np.testing.assert_allclose(bradley_terry.fit(a, b, x, y, component), together, atol=1e-9)


def test_components_do_not_touch_one_another():
    ours = fit([(0, 1), (2, 3), (3, 4)], [(7, 3), (60, 40), (5, 45)])
    np.testing.assert_allclose(ours[:2], fit([(0, 1)], [(7, 3)]), atol=1e-6)
    np.testing.assert_allclose(ours[2:], fit([(0, 1), (1, 2)], [(60, 40), (5, 45)]), atol=1e-6)


# Connections


def walk(start, steps, models):
    """Every model that chains of steps lead to, by walking."""
    seen, todo = {start}, [start]
    while todo:
        here = todo.pop()
        for there in range(models):
            if (here, there) in steps and there not in seen:
                seen.add(there)
                todo.append(there)
    return seen


@given(counts())
@settings(deadline=None)
def test_components_and_groups_are_what_walking_finds(given_counts):
    pairs, wins, models = given_counts
    (a, b), (x, y) = np.array(pairs).T, np.array(wins).T
    met = {*pairs, *((b, a) for a, b in pairs)}
    beat = {p for p, (x, _) in zip(pairs, wins, strict=True) if x}
    beat |= {(b, a) for (a, b), (_, y) in zip(pairs, wins, strict=True) if y}
    component, group = components.connected(a, b, models), components.strong(a, b, x, y, models)
    for i in range(models):
        for j in range(models):
            assert (component[i] == component[j]) == (j in walk(i, met, models))
            assert (group[i] == group[j]) == (j in walk(i, beat, models) and i in walk(j, beat, models))


def test_a_long_chain_of_battles_is_one_component():
    models = 60
    chain = np.arange(models - 1)
    assert not components.connected(chain, chain + 1, models).any()
    assert len(set(components.strong(chain, chain + 1, np.ones(59), np.zeros(59), models))) == models
