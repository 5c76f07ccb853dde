"""Which pair of models to judge next: policies that score every pair, and the draw by those scores.

The one that ships is `adaptive`. The others are what it was compared with, and what a replay compares it with again:

- `uniform`: the pairs in turn.
- `adaptive`: the pair whose judgment tells most about the orders of neighbours that are still in doubt. Over the
  neighbours q in the present order, P(q is the wrong way round) times the share of the variance of q's difference that
  one more vote on pair p takes away, summed: what is sure already counts for nothing, and a pair of other models counts
  for what it says about these two.
- `closest`: P(the two are the wrong way round) times the share of its own variance that a vote takes away; p alone.
- `arena`: the rule of Chatbot Arena (Chiang et al. 2024, arXiv 2403.04132, section 5): the drop in the standard error
  of the pair's own win rate, sqrt(v / n) - sqrt(v / (n + 1)).
- `d-optimal`: the most information about all strengths together, the determinant of the information matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from madetl.ranking.posterior import Posterior
from madetl.ranking.votes import FloatArray, IntArray

FLOOR = 1  # items that each pair of models gets before votes decide
EXPLORE = 0.1  # the share of draws that votes do not decide


@dataclass(frozen=True)
class Board:
    """Where R studies stand: arrays of shape (R, pairs), and the posterior after the votes that came in.

    `items` have been picked for each pair, `pending` of them without a vote so far; `left` more could be picked (0
    where a pair is not to be asked about). `targets`: pairs of models (higher, lower), each (R, T), whose order
    matters; None: the neighbours.
    """

    posterior: Posterior
    items: FloatArray
    pending: FloatArray
    left: FloatArray
    targets: tuple[IntArray, IntArray] | None = None


@dataclass(frozen=True)
class Draw:
    """The pair drawn in each round (-1: none is left), and with which probability it was to be drawn."""

    pair: NDArray[np.intp]
    probability: FloatArray


def draw(policy: str, board: Board, rng: np.random.Generator, floor: int = FLOOR, explore: float = EXPLORE) -> Draw:
    """Draws the next pair in each round.

    Pairs that have fewer than `floor` items come first, those with the fewest before others: that is certain, so its
    probability counts as 1. Then the share `explore` of the draws goes to any pair that is left, each as likely as
    another, and the rest to the pair that scores highest; so no pair's probability is ever 0.
    """
    possible = board.left > 0
    some = possible.any(axis=1)
    score = POLICIES[policy](board)
    chance = rng.random(score.shape)
    top = _equal_best(score, possible)
    best = _highest(score, chance, possible)
    probability = np.ones(len(score))
    if policy != "uniform":
        at_random = rng.random(len(score)) < explore
        best = np.where(at_random, _highest(np.zeros_like(score), chance, possible), best)
        share = top[np.arange(len(best)), best] / np.maximum(top.sum(axis=1), 1)
        probability = explore / np.maximum(possible.sum(axis=1), 1) + (1 - explore) * share
        short = possible & (board.items < floor)
        starts = short.any(axis=1)
        best = np.where(starts, _highest(-board.items, chance, short), best)
        probability = np.where(starts, 1.0, probability)
    return Draw(np.where(some, best, -1), probability)


def _highest(score: FloatArray, chance: FloatArray, possible: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The possible pair with the highest score; among equal ones, chance decides."""
    return np.asarray(np.where(_equal_best(score, possible), chance, -1.0).argmax(axis=1))


def _equal_best(score: FloatArray, possible: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The possible pairs that score highest: one, or several that are equal but for rounding."""
    score = np.where(possible, score, -np.inf)
    equal = score >= score.max(axis=1, keepdims=True) - 1e-12 * np.abs(score.max(axis=1, keepdims=True, initial=0.0))
    return np.asarray(equal & possible)


def _uniform(board: Board) -> FloatArray:
    return -board.items


def _adaptive(board: Board) -> FloatArray:
    expected = board.posterior.expecting(board.pending)
    higher, lower = expected.neighbours() if board.targets is None else board.targets
    rounds = np.arange(len(higher))[:, None]
    # Covariances of the targets' differences with those of all pairs: (R, T, pairs).
    between = expected.covariance[rounds, higher] - expected.covariance[rounds, lower]
    shared = between[:, :, expected.model_a] - between[:, :, expected.model_b]
    variance = np.take_along_axis(between, higher[..., None], 2) - np.take_along_axis(between, lower[..., None], 2)
    variance = variance[..., 0]
    difference = np.abs(expected.mean[rounds, higher] - expected.mean[rounds, lower])
    doubt = ndtr(-difference / np.sqrt(variance)) / variance
    information = expected.information
    taken_away = information / (1 + information * _variances(expected))
    return np.asarray(np.einsum("rt,rtp->rp", doubt, shared**2) * taken_away)


def _closest(board: Board) -> FloatArray:
    expected = board.posterior.expecting(board.pending)
    variance = _variances(expected)
    difference = np.abs(expected.mean[:, expected.model_a] - expected.mean[:, expected.model_b])
    gained = expected.information * variance
    return np.asarray(ndtr(-difference / np.sqrt(variance)) * gained / (1 + gained))


def _arena(board: Board) -> FloatArray:
    information = board.posterior.information * board.posterior.dispersion[:, None]  # p (1 - p)
    items = np.maximum(board.items, 0.5)
    return np.asarray(np.sqrt(information) * (items**-0.5 - (items + 1) ** -0.5))


def _d_optimal(board: Board) -> FloatArray:
    expected = board.posterior.expecting(board.pending)
    return np.asarray(expected.information * _variances(expected))


def _variances(posterior: Posterior) -> FloatArray:
    """(R, pairs): how uncertain the difference of each pair is."""
    a, b, c = posterior.model_a, posterior.model_b, posterior.covariance
    own = np.diagonal(c, axis1=1, axis2=2)
    return np.asarray(own[:, a] + own[:, b] - 2 * c[:, a, b])


POLICIES: dict[str, Callable[[Board], FloatArray]] = {
    "uniform": _uniform,
    "adaptive": _adaptive,
    "closest": _closest,
    "arena": _arena,
    "d-optimal": _d_optimal,
}
