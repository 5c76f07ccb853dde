"""How many more judgments it takes until an order of models is sure: simulated from the posterior. Pure numpy.

What the models' strengths truly are is drawn from the posterior; votes are drawn from those strengths, on the pairs
that the adaptive policy asks for; and the posterior of all votes, those that were given and those drawn, says when it
is enough. The drawn votes vary as those vary that were given: one of which model_a is expected to take p points brings
p + s (1 - p) with probability p, and p - s p otherwise, where s² is the dispersion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from madetl.ranking import posterior
from madetl.ranking.posterior import ModelPairs, PairVotes, Posterior
from madetl.ranking.votes import FloatArray, IntArray
from madetl.selection.adaptive import pair_policies
from madetl.selection.adaptive.pair_policies import Board

GROWTH = 0.05  # a step asks for this share of the judgments simulated so far on one pair, and for one at least
_STEPS = 1  # of the posterior, after each step: two give the same forecasts, in twice the time


@dataclass(frozen=True)
class Plan:
    """Until when to simulate: each order in question `target` sure either way, or `cap` more judgments.

    `explore` is that of `pair_policies.draw`; pairs of models get no floor.
    """

    target: float = 0.95
    cap: int = 2000
    simulations: int = 200
    seed: int = 42
    explore: float = pair_policies.EXPLORE


@dataclass(frozen=True)
class Forecast:
    """The judgments of S simulations on each pair, (S, pairs), and in which of them they were enough, (S,)."""

    judgments: FloatArray
    settled: NDArray[np.bool_]

    def quantile(self, share: float) -> float:
        """So many judgments, or fewer, were enough in this share of the simulations; infinite: the cap came first."""
        totals = np.where(self.settled, self.judgments.sum(axis=1), np.inf)
        return float(np.quantile(totals, share, method="higher"))


def of_each_order(pairs: ModelPairs, votes: PairVotes, now: Posterior, plan: Plan) -> list[Forecast]:
    """For each order of neighbours, from the top down: judgments until it is sure, if that were all that matters.

    `votes`, of one round, are those given, and `now` is their posterior.
    """
    higher, lower = (np.repeat(side[0], plan.simulations)[:, None] for side in now.neighbours())
    plan = replace(plan, explore=0.0)  # pairs that tell nothing of this order are not asked about
    found = _simulated(pairs, votes, now, plan, _Targets(higher, lower))
    orders = len(higher) // plan.simulations
    parts = zip(np.split(found.judgments, orders), np.split(found.settled, orders), strict=True)
    return [Forecast(*part) for part in parts]


def of_all_orders(pairs: ModelPairs, votes: PairVotes, now: Posterior, plan: Plan) -> Forecast:
    """Until every order of neighbours is sure, whether or not every pair of models was asked about."""
    return _simulated(pairs, votes, now, plan, None)


@dataclass(frozen=True)
class _Targets:
    """The orders that matter in each round, (rounds, T)."""

    higher: IntArray
    lower: IntArray


_Arrays = TypeVar("_Arrays", PairVotes, Posterior, _Targets)


def _simulated(pairs: ModelPairs, votes: PairVotes, now: Posterior, plan: Plan, targets: _Targets | None) -> Forecast:
    """Simulates all rounds at once: as many as `targets` has, or `plan.simulations`. A round that is sure leaves."""
    rng = np.random.default_rng(plan.seed)
    rounds = plan.simulations if targets is None else len(targets.higher)
    truth = rng.multivariate_normal(now.mean[0], now.covariance[0], rounds, method="eigh")
    asked, settled = np.zeros((rounds, len(pairs[0]))), np.zeros(rounds, dtype=bool)
    going, first = np.arange(rounds), np.zeros(rounds, dtype=np.int64)
    votes, now, spread, done = rounds_of(votes, first), rounds_of(now, first), float(now.dispersion[0]) ** 0.5, 0
    while True:
        sure = _sure(now, plan, targets)
        settled[going[sure]] = True
        if done >= plan.cap or sure.all():
            return Forecast(asked, settled)
        stay = np.flatnonzero(~sure)
        going, votes, now = going[stay], rounds_of(votes, stay), rounds_of(now, stay)
        targets = targets and rounds_of(targets, stay)
        pair = _next_pair(votes, now, plan, targets, rng)
        number = min(max(1, int(GROWTH * done)), plan.cap - done)
        _vote(votes, pair, number, _expected(truth[going], pairs, pair), spread=spread, rng=rng)
        asked[going, pair] += number
        done += number
        now = posterior.fit(pairs, votes, truth.shape[1], start=now, steps=_STEPS)


def _sure(now: Posterior, plan: Plan, targets: _Targets | None) -> NDArray[np.bool_]:
    """(rounds,): where every order that matters is sure."""
    orders = now.neighbours() if targets is None else (targets.higher, targets.lower)
    probability = now.probability(*orders)
    return np.asarray((np.maximum(probability, 1 - probability) >= plan.target).all(axis=1))


def _next_pair(
    votes: PairVotes, now: Posterior, plan: Plan, targets: _Targets | None, rng: np.random.Generator
) -> IntArray:
    aims = None if targets is None else (targets.higher, targets.lower)
    nothing = np.zeros_like(votes.votes)
    board = Board(now, votes.votes, pending=nothing, left=nothing + np.inf, targets=aims)
    return pair_policies.draw("adaptive", board, rng, floor=0, explore=plan.explore).pair


def _expected(truth: FloatArray, pairs: ModelPairs, pair: IntArray) -> FloatArray:
    """Model_a's expected points in each round's pair."""
    rounds, (model_a, model_b) = np.arange(len(pair)), pairs
    return np.asarray(1 / (1 + np.exp(truth[rounds, model_b[pair]] - truth[rounds, model_a[pair]])))


def _vote(
    votes: PairVotes, pair: IntArray, number: int, expected: FloatArray, *, spread: float, rng: np.random.Generator
) -> None:
    """Adds `number` votes, on items of their own, to the pair of each round."""
    rounds, won = np.arange(len(pair)), rng.binomial(number, expected)
    votes.add_items(rounds, pair, expected + spread * (1 - expected), items=won)
    votes.add_items(rounds, pair, expected - spread * expected, items=number - won)


def rounds_of(arrays: _Arrays, which: IntArray | Sequence[int]) -> _Arrays:
    """The same of some rounds only. The arrays of a posterior that name the pairs are of all rounds."""
    names = {field.name for field in fields(arrays)} - {"model_a", "model_b"}
    return replace(arrays, **{name: getattr(arrays, name)[which] for name in names})
