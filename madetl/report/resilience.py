"""How much a ranking hangs on the number of votes, on K, and on single verdicts. Pure numpy.

Everything is by Bradley–Terry, which does not depend on the order of battles: what moves a place is the votes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from madetl.ranking.bradley_terry import POINTS, PRIOR_SD
from madetl.ranking.votes import FloatArray, IntArray, Votes
from madetl.report.tallies import bt_ratings, fitted, positions, spearman

ROUNDS = 100
STEPS = 16
BAND = (5, 95)  # per cent of the rounds
_RIVALS = 5  # models nearest to the first that are tried
_MOST_REMOVED = 0.5  # of the votes


@dataclass(frozen=True)
class Growth:
    """What becomes of places and of Spearman's correlation with the final ranking while votes come in.

    `sizes` (steps,): votes so far. `positions` (rounds, steps, models); `correlation` (rounds, steps).
    """

    sizes: IntArray
    positions: FloatArray
    correlation: FloatArray


@dataclass(frozen=True)
class Removal:
    """Votes (their numbers) without which `rival` is first instead of `leader`."""

    leader: int
    rival: int
    votes: list[int]


def growth(votes: Votes, seed: int, rounds: int = ROUNDS, steps: int = STEPS) -> Growth:
    """Draws the votes in random orders, and ranks after every few of them."""
    battles = votes.battles
    assert battles is not None
    total, pairs = len(battles.pair), len(votes.model_a)
    sizes = np.unique(np.linspace(total / steps, total, steps).round().astype(np.int64).clip(1))
    rng = np.random.default_rng(seed)
    wins = np.zeros((2, rounds, len(sizes), pairs))
    bounds = [0, *sizes.tolist()]
    for r in range(rounds):
        order = rng.permutation(total)
        for s in range(len(sizes)):
            part = order[bounds[s] : bounds[s + 1]]
            wins[0, r, s] = np.bincount(battles.pair[part], battles.score[part], pairs)
            wins[1, r, s] = np.bincount(battles.pair[part], 1 - battles.score[part], pairs)
    so_far = wins.cumsum(axis=2).reshape(2, -1, pairs)
    ranks = positions(fitted(votes, so_far[0], so_far[1]))
    correlation = spearman(ranks, final_positions(votes))
    shape = (rounds, len(sizes))
    return Growth(sizes, ranks.reshape(*shape, -1), correlation.reshape(shape))


def by_k(votes: Votes, pick: Sequence[int | None]) -> tuple[list[int], FloatArray, FloatArray]:
    """(K, places, correlation with all picks): the ranking from the first 1, 2, … K picks of each pair of models.

    `pick[i]` is the rank in the selection of the pair that vote i is about; votes on other pairs (None) are left out.
    Shapes (steps,), (steps, models), (steps,).
    """
    battles = votes.battles
    assert battles is not None
    rank = np.array([np.inf if k is None else k for k in pick])
    steps = sorted({int(k) for k in rank[np.isfinite(rank)].tolist()})
    scores = np.where(rank[None] <= np.array(steps)[:, None], battles.score[None], np.nan)
    ranks = positions(bt_ratings(votes, scores))
    return steps, ranks, spearman(ranks, ranks[-1])


def final_positions(votes: Votes) -> FloatArray:
    """(models,): the places by all votes."""
    return np.asarray(positions(bt_ratings(votes))[0], dtype=np.float64)


def smallest_removal(votes: Votes) -> Removal | None:
    """A small set of votes whose removal puts another model first; None where half of them are not enough.

    Greedy, for each of the models nearest to the first: take away the vote whose removal, to first order, brings the
    two nearest to one another (minus the inverse of the information times the vote's score: the influence function),
    fit again, and go on until another model is first; then give back what was not needed. The smallest set that was
    found is an upper bound on the fewest votes: no smaller one is ruled out. After Broderick, Giordano & Meager (2020),
    arXiv 2011.14999, and Huang et al. (2025), arXiv 2508.11847.
    """
    rating = bt_ratings(votes)[0]
    order = np.argsort(-rating, kind="stable")
    found = [_towards(votes, int(order[0]), int(rival)) for rival in order[1 : 1 + _RIVALS]]
    return min(filter(None, found), key=lambda removal: len(removal.votes), default=None)


def _towards(votes: Votes, leader: int, rival: int) -> Removal | None:
    battles = votes.battles
    assert battles is not None
    there = np.ones(len(battles.score), dtype=bool)
    gone: list[int] = []
    while len(gone) < _MOST_REMOVED * len(there):
        rating = _without(votes, there)
        if rating.argmax() != leader and rating.max() > rating[leader]:
            return _needed(votes, Removal(leader, int(rating.argmax()), gone))
        change = np.where(there, _changes(votes, there, rating, leader, rival), np.inf)
        best = int(change.argmin())
        if change[best] >= 0:
            return None
        there[best] = False
        gone.append(best)
    return None


def _needed(votes: Votes, removal: Removal) -> Removal:
    """The removal without the votes that it does not need."""
    gone = list(removal.votes)
    for vote in removal.votes:
        fewer = [v for v in gone if v != vote]
        there = np.ones(len(votes.battles.score) if votes.battles else 0, dtype=bool)
        there[fewer] = False
        rating = _without(votes, there)
        if rating.max() > rating[removal.leader]:
            gone = fewer
    there[:] = True
    there[gone] = False
    return Removal(removal.leader, int(_without(votes, there).argmax()), sorted(gone))


def _without(votes: Votes, there: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> FloatArray:
    battles = votes.battles
    assert battles is not None
    return np.asarray(bt_ratings(votes, np.where(there, battles.score, np.nan)[None])[0], dtype=np.float64)


def _changes(
    votes: Votes, there: np.ndarray[tuple[int], np.dtype[np.bool_]], rating: FloatArray, leader: int, rival: int
) -> FloatArray:
    """(votes,): by how much the lead of `leader` over `rival` changes, to first order, if a vote is taken away."""
    battles = votes.battles
    assert battles is not None
    a, b = votes.model_a, votes.model_b
    strength = rating / POINTS
    win = 1 / (1 + np.exp(strength[b] - strength[a]))  # of each pair's first model
    weight = np.bincount(battles.pair[there], minlength=len(a)) * win * (1 - win)
    information = np.eye(len(rating)) * PRIOR_SD**-2
    np.add.at(information, (a, a), weight)
    np.add.at(information, (b, b), weight)
    np.add.at(information, (a, b), -weight)
    np.add.at(information, (b, a), -weight)
    gap = np.zeros(len(rating))
    gap[leader], gap[rival] = 1, -1
    direction = np.linalg.solve(information, gap)
    pair = battles.pair
    return np.asarray(-(direction[a] - direction[b])[pair] * (battles.score - win[pair]), dtype=np.float64)
