"""Lets a policy choose against votes that are known or drawn, many replications at once: one vote per item.

The draw of the next pair, and the posterior behind it, are those of a live study; only the votes come from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from madetl.ranking import posterior
from madetl.ranking.posterior import ModelPairs, PairVotes, Posterior
from madetl.ranking.votes import FloatArray, IntArray
from madetl.selection.adaptive import pair_policies
from madetl.selection.adaptive.pair_policies import Board

_STEPS = 2  # of the posterior, after one more vote


class VoteSource(Protocol):
    """Where the votes of R replications come from."""

    def left(self) -> FloatArray:
        """(R, pairs): how many items could still be judged."""

    def take(self, rounds: IntArray, pair: IntArray) -> FloatArray:
        """Model_a's points (1, 0.5, 0) on the next item of pair `pair[i]` in replication `rounds[i]`."""


@dataclass
class KnownVotes:
    """Votes that were given: `points[r, p]` are those of pair p in the order of picking, `items[r, p]` of them."""

    points: FloatArray  # (R, pairs, most items)
    items: IntArray  # (R, pairs)

    def __post_init__(self) -> None:
        self._next = np.zeros_like(self.items)

    def left(self) -> FloatArray:
        return np.asarray(self.items - self._next, dtype=np.float64)

    def take(self, rounds: IntArray, pair: IntArray) -> FloatArray:
        points = self.points[rounds, pair, self._next[rounds, pair]]
        self._next[rounds, pair] += 1
        return np.asarray(points)


@dataclass(frozen=True)
class State:
    """Where the replications stand after `judgments` votes each; the arrays change as the play goes on."""

    judgments: int
    votes: PairVotes
    posterior: Posterior


def play(
    policy: str,
    source: VoteSource,
    pairs: ModelPairs,
    *,
    models: int,
    judgments: int,
    rng: np.random.Generator,
    floor: int = pair_policies.FLOOR,
    explore: float = pair_policies.EXPLORE,
    batch: int = 1,
    votes: PairVotes | None = None,
    targets: Callable[[Posterior], tuple[IntArray, IntArray]] | None = None,
) -> Iterator[State]:
    """Yields the state after each batch of votes, up to `judgments`; a replication without items left changes no more.

    In a batch the pairs are drawn before the first vote comes back, each in view of those drawn before. `votes`: those
    that each replication begins with, to which the others are added in place. `targets` says which orders matter, as
    `Board.targets` has them; None: those of neighbours.
    """
    votes = PairVotes.none(*source.left().shape) if votes is None else votes
    now = posterior.fit(pairs, votes, models)
    done = 0
    while done < judgments:
        pending = np.zeros_like(votes.votes)
        drawn = []
        left = source.left()
        for _ in range(min(batch, judgments - done)):
            aims = targets(now) if targets else None
            board = Board(now, votes.votes + pending, pending, left - pending, aims)
            pair = pair_policies.draw(policy, board, rng, floor, explore).pair
            which = np.flatnonzero(pair >= 0)
            pending[which, pair[which]] += 1
            drawn.append((which, pair[which]))
        for which, pair in drawn:
            votes.add(which, pair, source.take(which, pair))
        done += len(drawn)
        if policy != "uniform":  # which asks for no posterior
            now = posterior.fit(pairs, votes, models, start=now, steps=_STEPS)
        yield State(done, votes, now)
