"""What the votes say of the models' strengths, and how sure: Bradley–Terry's posterior, many rounds at once.

Strengths are log-odds: P(i beats j) = 1 / (1 + exp(t_j - t_i)), a tie half a win for each. The posterior is the normal
one at its maximum (Laplace's approximation), with two numbers that the votes themselves set:

- The dispersion. Votes with ties vary less than coin flips, several votes on one item vary more; both is told by the
  residuals of the items, as quasi-likelihood does it (McCullagh and Nelder, Generalized Linear Models, 1989, ch. 9).
  The likelihood is divided by it. Without it, orders called 95 % sure were right in 99 % with 27 % ties, and in 93 %
  where three votes share an item.
- The spread of the strengths. The prior is normal about the models' mean, and its precision is found with the strengths
  (empirical Bayes, by EM), with a weight of one model for a spread of half a log-odds (87 points). So few votes do not
  make neighbours look further apart than models usually are.

`ranking.bradley_terry` ranks, and its prior is much weaker: here the question is how sure an order is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from madetl.arrays import one_thread
from madetl.ranking import bradley_terry
from madetl.ranking.votes import FloatArray, IntArray

SPREAD = 0.5  # log-odds: what one more model would say of the prior
_SPREAD_WEIGHT = 1.0  # models
_DISPERSION_WEIGHT = 10.0  # items of even odds, as varied as coin flips
_TOLERANCE = 1e-6
_MAX_STEPS = 500


ModelPairs = tuple[IntArray, IntArray]
"""The models of each pair, by number: model_a and model_b, of one length."""


@dataclass(frozen=True)
class PairVotes:
    """Sums over the votes of each model pair: arrays of shape (rounds, pairs).

    An item of n votes, of which model_a won w (ties as halves), adds w to `wins`, n to `votes`, and w², w·n and n² to
    the last three, from which the dispersion comes.
    """

    wins: FloatArray
    votes: FloatArray
    wins_squared: FloatArray
    wins_votes: FloatArray
    votes_squared: FloatArray

    @classmethod
    def none(cls, rounds: int, pairs: int) -> PairVotes:
        """No votes yet."""
        return cls(*(np.zeros((rounds, pairs)) for _ in range(5)))

    def add(self, rounds: IntArray, pair: IntArray, wins: FloatArray) -> None:
        """Adds one vote on an item of its own to pair `pair[i]` of each round `rounds[i]`, in place."""
        self.add_items(rounds, pair, wins)

    def add_items(
        self,
        rounds: IntArray | int,
        pair: IntArray | int,
        wins: FloatArray | float,
        votes: int = 1,
        items: IntArray | int = 1,
    ) -> None:
        """Adds `items` items of `votes` votes each, `wins` of which model_a won. A round may stand in `rounds` once."""
        at = rounds, pair
        self.wins[at] += items * wins
        self.votes[at] += items * votes
        self.wins_squared[at] += items * np.square(wins)
        self.wins_votes[at] += items * wins * votes
        self.votes_squared[at] += items * votes**2


@dataclass(frozen=True)
class Posterior:
    """Strengths of M models in R rounds, in log-odds, as a normal distribution in each round.

    Pair p is of models `model_a[p]` and `model_b[p]`; every pair may be asked about, judged or not.
    """

    model_a: IntArray
    model_b: IntArray
    mean: FloatArray  # (R, M)
    precision: FloatArray  # (R, M, M), the inverse of the covariance
    covariance: FloatArray  # (R, M, M)
    dispersion: FloatArray  # (R,)
    prior_precision: FloatArray  # (R,)

    @property
    def information(self) -> FloatArray:
        """(R, pairs): what one vote on a pair adds to the precision of its difference."""
        expected = 1 / (1 + np.exp(self.mean[:, self.model_b] - self.mean[:, self.model_a]))
        return np.asarray(expected * (1 - expected) / self.dispersion[:, None])

    def order(self) -> NDArray[np.intp]:
        """(R, M): the models of each round, strongest first."""
        return np.argsort(-self.mean, axis=1, kind="stable")

    def probability(self, higher: IntArray, lower: IntArray) -> FloatArray:
        """P(model `higher[r, t]` is stronger than `lower[r, t]`) in each round."""
        rounds = np.arange(len(self.mean))[:, None]
        difference = self.mean[rounds, higher] - self.mean[rounds, lower]
        c = self.covariance
        variance = c[rounds, higher, higher] + c[rounds, lower, lower] - 2 * c[rounds, higher, lower]
        return np.asarray(ndtr(difference / np.sqrt(variance)))

    def neighbours(self) -> tuple[IntArray, IntArray]:
        """The models next to each other in the order, from the top down: the higher and the lower, each (R, M-1)."""
        order = self.order()
        return order[:, :-1], order[:, 1:]

    def expecting(self, pending: FloatArray) -> Posterior:
        """The same means, with the precision that `pending[r, p]` more votes on each pair, now awaited, would give."""
        if not pending.any():
            return self
        sides = bradley_terry.sides_of(self.model_a, self.model_b, self.mean.shape[1])
        more = bradley_terry.information(pending * self.information, self.model_a, self.model_b, sides, 0.0)
        precision = self.precision + more
        return replace(self, precision=precision, covariance=_inverse(precision))


def fit(
    pairs: ModelPairs, votes: PairVotes, models: int, *, start: Posterior | None = None, steps: int = _MAX_STEPS
) -> Posterior:
    """The posterior of each round. From `start`, that of slightly fewer votes, a step or two are enough.

    Each step is one of Newton's and one of EM; they end where nothing moves by more than 1e-6, or after `steps`.
    """
    model_a, model_b = pairs
    rounds = len(votes.wins)
    sides = bradley_terry.sides_of(model_a, model_b, models)
    mean = np.zeros((rounds, models)) if start is None else start.mean.copy()
    prior = np.full(rounds, SPREAD**-2) if start is None else start.prior_precision
    dispersion = np.ones(rounds) if start is None else start.dispersion
    with one_thread():
        for _ in range(steps):
            expected = 1 / (1 + np.exp(mean[:, model_b] - mean[:, model_a]))
            weight = votes.votes * expected * (1 - expected) / dispersion[:, None]
            slope = ((votes.wins - votes.votes * expected) / dispersion[:, None]) @ sides - prior[:, None] * mean
            precision = bradley_terry.information(weight, model_a, model_b, sides, prior[:, None])
            change, largest = bradley_terry.step(precision, slope, model_a, model_b)
            mean = mean + change
            covariance = _inverse(precision)
            dispersion = _dispersion(votes, mean, model_a, model_b)
            before, prior = prior, _prior_precision(mean, covariance, prior)
            if max(largest.max(initial=0.0), np.abs(np.log(prior / before)).max(initial=0.0)) < _TOLERANCE:
                break
    return Posterior(model_a, model_b, mean, precision, covariance, dispersion, before)


def _inverse(matrices: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.inv(matrices), dtype=np.float64)


def _dispersion(votes: PairVotes, mean: FloatArray, model_a: IntArray, model_b: IntArray) -> FloatArray:
    """The items' squared residuals over what coin flips would leave, less what fitting took; shrunk towards 1."""
    expected = 1 / (1 + np.exp(mean[:, model_b] - mean[:, model_a]))
    residuals = votes.wins_squared - 2 * expected * votes.wins_votes + expected**2 * votes.votes_squared
    coins = (votes.votes * expected * (1 - expected)).sum(axis=1)
    # As many items of one size as would have these sums.
    items = np.maximum(votes.votes.sum(axis=1) ** 2 / np.maximum(votes.votes_squared.sum(axis=1), 1), 1)
    left = np.maximum(items - (mean.shape[1] - 1), 1) / items
    shrink = _DISPERSION_WEIGHT / 4
    return np.asarray((residuals.sum(axis=1) + shrink) / (coins * left + shrink))


def _prior_precision(mean: FloatArray, covariance: FloatArray, prior: FloatArray) -> FloatArray:
    """EM's next precision of the prior: of the M - 1 directions that votes can tell, and what one more model says."""
    squares = (mean**2).sum(axis=1) + np.trace(covariance, axis1=1, axis2=2) - 1 / prior
    return np.asarray((mean.shape[1] - 1 + _SPREAD_WEIGHT) / (squares + _SPREAD_WEIGHT * SPREAD**2))
