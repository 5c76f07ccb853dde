"""The order of the models that can be believed: how sure each step of it is, and who may be the best. Pure.

What `rank`, `advise` and the report say first, each by these functions. The probabilities are those of Bradley–Terry's
posterior (`posterior`): they depend on the votes alone, not on the method of a ranking. Models that no chain of votes
connects have no order: each connected component has one of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from madetl.ranking import posterior
from madetl.ranking.posterior import PairVotes, Posterior
from madetl.ranking.votes import FloatArray, IntArray, Votes

SETTLED = 0.95
_DRAWS = 50_000  # of strengths: a probability of being best is within half a percentage point of its own limit


@dataclass(frozen=True)
class Neighbours:
    """Two models next to each other in the order; `probability`: that `better` is stronger. `settled`: enough."""

    better: str
    worse: str
    probability: float
    settled: bool


def posterior_of(votes: Votes) -> Posterior:
    """The posterior of the models of `votes`, numbered as there; one round."""
    outcomes = votes.outcomes
    sums = PairVotes.none(1, len(votes.model_a))
    for pair, (wins_a, wins_b), items in zip(outcomes.pair, outcomes.wins, outcomes.items, strict=True):
        sums.add_items(0, pair, wins_a, wins_a + wins_b, items)
    return posterior.fit((votes.model_a, votes.model_b), sums, len(votes.models))


def neighbours(
    found: Posterior, names: Sequence[str], component: IntArray | None = None, settled: float = SETTLED
) -> list[Neighbours]:
    """The steps of the order, from the top down, of one component after the other.

    `found` is of one round. `component[m]` numbers the parts that votes connect (None: one part). An order is settled
    where its probability is at least `settled`.
    """
    order = found.order()[0]
    if component is not None:
        order = order[np.argsort(component[order], kind="stable")]
    steps = np.stack([order[:-1], order[1:]])
    if component is not None:
        steps = steps[:, component[steps[0]] == component[steps[1]]]
    probability = found.probability(*steps[:, None])[0].tolist()
    return [
        Neighbours(names[better], names[worse], sure, sure >= settled)
        for better, worse, sure in zip(*steps.tolist(), probability, strict=True)
    ]


def probability_best(found: Posterior, component: IntArray, seed: int) -> FloatArray:
    """For each model the probability of being the strongest of its component: the share of strengths drawn at random.

    `found` is of one round; `component[m]` numbers the parts that votes connect. Of two models it is exact.
    """
    best = np.zeros(len(component))
    for part in range(int(component.max(initial=-1)) + 1):
        members = np.flatnonzero(component == part)
        if len(members) == 2:
            best[members] = found.probability(members[None], members[None, ::-1])[0]
            continue
        covariance = found.covariance[0][np.ix_(members, members)]
        draws = np.random.default_rng(seed).standard_normal((_DRAWS, len(members)))
        strengths = found.mean[0, members] + draws @ np.linalg.cholesky(covariance).T
        best[members] = np.bincount(strengths.argmax(axis=1), minlength=len(members)) / _DRAWS
    return best


def indistinguishable(found: Posterior, models: Sequence[int], settled: float = SETTLED) -> list[tuple[int, int]]:
    """The longest ranges of the order of which no two models are told apart: (first, last), by their numbers in it.

    `found` is of one round; `models` are those of one component, strongest first. Ranges may share models.
    """
    order = np.asarray(models, dtype=np.int64)
    higher, lower = np.triu_indices(len(order), 1)
    open_pair = np.ones((len(order), len(order)), dtype=bool)
    open_pair[higher, lower] = found.probability(order[higher][None], order[lower][None])[0] < settled
    ranges: list[tuple[int, int]] = []
    last = 0
    for first in range(len(order)):
        end = max(first, last)
        while end + 1 < len(order) and open_pair[first : end + 1, end + 1].all():
            end += 1
        if end > max(first, last):
            ranges.append((first, end))
        last = max(last, end)
    return ranges
