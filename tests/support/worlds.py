"""Simulated studies of models whose true strengths are known: votes as people would give them, many worlds at once.

A model's answer to an instruction is as good as the model is strong, give or take the answer's own luck; a vote
compares two answers with an error of its own (logistic, of scale 1), and calls what looks nearly alike a tie. So votes
on one item are alike, ties make votes vary less, and the log-odds of the votes are smaller than the differences of the
strengths.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from madetl.ranking import posterior
from madetl.ranking.posterior import PairVotes, Posterior

ANSWER_SD = 0.7  # of one answer's luck, in units of a vote's logistic error
TIES = 0.27  # the share of ties over all pairs of models and worlds
BINS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


@dataclass
class Worlds:
    """R worlds of M models: `strength` is (R, M). A source of votes for `play`, each on an item of its own.

    `closed` (pairs): True where nothing can be asked.
    """

    strength: np.ndarray
    rng: np.random.Generator
    answer_sd: float = ANSWER_SD
    ties: float = TIES
    closed: np.ndarray | bool = False

    def __post_init__(self) -> None:
        models = self.strength.shape[1]
        self.pairs = pairs_of(models)
        self.difference = self.strength[:, self.pairs[0]] - self.strength[:, self.pairs[1]]
        many = np.tile(self.difference, (max(1, 400_000 // self.difference.size), 1))
        self.threshold = np.quantile(np.abs(self._seen(many + self._luck(many.shape))), self.ties)

    @property
    def models(self) -> int:
        return self.strength.shape[1]

    def left(self) -> np.ndarray:
        return np.where(self.closed, 0.0, np.full(self.difference.shape, np.inf))

    def take(self, rounds: np.ndarray, pair: np.ndarray) -> np.ndarray:
        return self._vote(self.difference[rounds, pair] + self._luck(rounds.shape))

    def judged(self, items: int, overlap: int = 1) -> PairVotes:
        """`items` items of every pair, with `overlap` votes on each."""
        votes = PairVotes.none(*self.difference.shape)
        for _ in range(items):
            answers = self.difference + self._luck(self.difference.shape)
            wins = sum(self._vote(answers) for _ in range(overlap))
            votes.add_items(slice(None), slice(None), wins, overlap)
        return votes

    def rates(self) -> np.ndarray:
        """(R, pairs): what share of the points model_a gets in the long run, by quadrature over the answers' luck."""
        luck, weight = np.polynomial.hermite_e.hermegauss(41)
        at = self.difference[..., None] + self.answer_sd * 2**0.5 * luck
        points = 0.5 + (expit(at - self.threshold) - expit(-at - self.threshold)) / 2
        return points @ weight / weight.sum()

    def _luck(self, shape: tuple[int, ...]) -> np.ndarray:
        return self.rng.normal(0, self.answer_sd * 2**0.5, shape)

    def _seen(self, difference: np.ndarray) -> np.ndarray:
        return difference + self.rng.logistic(size=difference.shape)

    def _vote(self, difference: np.ndarray) -> np.ndarray:
        seen = self._seen(difference)
        return np.where(np.abs(seen) < self.threshold, 0.5, (seen > 0) * 1.0)


def pairs_of(models: int) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of `models` models by number, as `posterior.fit` takes them."""
    first, second = zip(*combinations(range(models), 2), strict=True)
    return np.array(first), np.array(second)


def normal(worlds: int, models: int, sd: float = 0.8, seed: int = 1, **settings: float) -> Worlds:
    """Worlds whose strengths are drawn from a normal distribution."""
    rng = np.random.default_rng(seed)
    return Worlds(rng.normal(0, sd, (worlds, models)), rng, **settings)


def even(worlds: int, models: int, step: float = 0.35, seed: int = 1, **settings: float) -> Worlds:
    """Worlds whose models stand at equal distances, in an order drawn at random."""
    rng = np.random.default_rng(seed)
    return Worlds(rng.permuted(np.tile(np.arange(models) * step, (worlds, 1)), axis=1), rng, **settings)


def fitted(worlds: Worlds, votes: PairVotes) -> Posterior:
    return posterior.fit(worlds.pairs, votes, worlds.models)


def sure_and_right(worlds: Worlds, found: Posterior) -> tuple[np.ndarray, np.ndarray]:
    """Of every order of neighbours: how sure it is called, and whether it is right; both (R, M - 1)."""
    higher, lower = found.neighbours()
    rounds = np.arange(len(higher))[:, None]
    return found.probability(higher, lower), worlds.strength[rounds, higher] > worlds.strength[rounds, lower]


def calibration(sure: np.ndarray, right: np.ndarray) -> list[tuple[int, float, float]]:
    """For each of `BINS`: how many orders were called so sure, how sure on average, and the share that is right."""
    bin_of = np.digitize(sure.ravel(), BINS[1:-1])
    bins = [bin_of == i for i in range(len(BINS) - 1)]
    return [
        (int(one.sum()), float(sure.ravel()[one].mean()), float(right.ravel()[one].mean()))
        if one.any()
        else (0, 0.0, 0.0)
        for one in bins
    ]


def margin(share: float, count: int) -> float:
    """Two standard errors of a share."""
    return float(norm.ppf(0.975) * np.sqrt(share * (1 - share) / max(count, 1)))
