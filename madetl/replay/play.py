"""Plays ways of choosing battles against votes that were given. Pure: votes and candidates in, battles and ratings out.

Per replication the judged items are halved. One half, with all its votes, gives the gold ranking; the other is the pool
that a policy chooses from, where each item answers with one of its votes. As in a live study, the next pair is drawn by
`selection.adaptive`, and the items of a pair come in the order of `selection.orders` or `selection.diversity`. `replay`
brings the votes out of a database.

An item is an instruction with one pair of models. It has a ballot for each of its response pairs (several where a model
gave several answers), and a ballot holds the votes on that response pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from madetl.arrays import without_pandas
from madetl.ranking import bradley_terry, elo
from madetl.ranking.posterior import ModelPairs
from madetl.ranking.votes import FloatArray, IntArray
from madetl.selection.adaptive.simulate import KnownVotes, VoteSource, play
from madetl.selection.diversity import Indices, Vectors, greedy
from madetl.selection.orders import costs, pick_order

Method = Literal["bt", "elo"]

NONE = -1  # in arrays of battles and ballots: there is none
ELO_ORDERS = 50  # random orders of the battles; the median rating counts
_DECIMALS = 6  # of ratings: equal records must give equal ratings, whatever the last bits say


@dataclass(frozen=True)
class Ballots:
    """Every vote, sorted by pair, item and ballot; all of these are numbered from 0 in that order.

    `pairs` are the judged pairs of the `models` models, `pair[i]` that of item i, `item[b]` that of ballot b.
    """

    models: int
    pairs: ModelPairs
    pair: IntArray  # (items,)
    item: IntArray  # (ballots,)
    ballot: IntArray  # (votes,)
    half_points: IntArray  # (votes,): model_a's, 2 for a win, 1 for a tie, 0 for a loss

    def battles(self, votes: IntArray) -> IntArray:
        """The battles of these votes as codes. A pair has three: model_a lost, a tie, model_a won."""
        return np.asarray(3 * self.pair[self.item[self.ballot[votes]]] + self.half_points[votes])


@dataclass(frozen=True)
class Candidates:
    """Response pairs of one pair of models that may be picked: arrays of one length.

    They stand in the order in which ties are broken, as eligible_response_pairs.sql has them.
    """

    ballot: IntArray
    item: IntArray
    score: FloatArray
    words: FloatArray

    def order(self, strategy: str, keys: NDArray[np.uint64]) -> NDArray[np.intp]:
        """The rows in the order of picking; `keys[i]` is item i's."""
        return pick_order(strategy, self.item, self.score, self.words, keys[self.item])

    def only(self, rows: NDArray[np.bool_]) -> Candidates:
        """Those of these rows."""
        return Candidates(self.ballot[rows], self.item[rows], self.score[rows], self.words[rows])


def candidates(ballots: Ballots, ballot: IntArray, score: FloatArray, words: FloatArray) -> list[Candidates]:
    """Those of each pair. The rows may come in any order of pairs, but in the right one within each pair."""
    item = ballots.item[ballot]
    every = Candidates(ballot, item, score, words)
    return [every.only(ballots.pair[item] == pair) for pair in range(len(ballots.pairs[0]))]


@dataclass(frozen=True)
class Split:
    """What chance decides in R replications: which items are the pool, which votes answer, and the keys of drawing."""

    pool: NDArray[np.bool_]  # (R, items)
    vote: IntArray  # (R, ballots): the vote that a ballot answers with
    keys: NDArray[np.uint64]  # (R, items)


def split(ballots: Ballots, seed: int, replications: range) -> Split:
    """Halves the items of each pair of models at random; a replication depends on the seed and its number alone.

    Where a pair has an odd number, chance says which half has one more. In all, the pool is a half, rounded up.
    """
    items, pairs = len(ballots.pair), len(ballots.pairs[0])
    starts = np.searchsorted(ballots.ballot, np.arange(len(ballots.item)))
    counts = np.bincount(ballots.ballot, minlength=len(ballots.item))
    shape = len(replications)
    pool = np.zeros((shape, items), dtype=bool)
    vote = np.empty((shape, len(ballots.item)), dtype=np.int64)
    keys = np.empty((shape, items), dtype=np.uint64)
    for row, number in enumerate(replications):
        rng = np.random.default_rng([seed, number])
        in_turn = np.lexsort((rng.random(items), rng.permutation(pairs)[ballots.pair]))
        pool[row, in_turn[::2]] = True
        vote[row] = starts + (rng.random(len(counts)) * counts).astype(np.int64)
        keys[row] = rng.integers(0, np.iinfo(np.uint64).max, items, dtype=np.uint64)
    return Split(pool, vote, keys)


def gold_battles(ballots: Ballots, pool: NDArray[np.bool_]) -> IntArray:
    """(R, most votes): the battles outside the pool, all votes of each item."""
    rows = [ballots.battles(np.flatnonzero(~one[ballots.item[ballots.ballot]])) for one in pool]
    return _padded(rows)


def orders(
    strategy: str, of_pairs: Sequence[Candidates], chance: Split, most: int, diverse: Diverse | None = None
) -> IntArray:
    """(R, pairs, length): the ballots of each pair in the order of picking from the pool, at most `most` of them."""
    picked = [
        diverse.order(strategy, rows, pair, chance.pool, most) if diverse else _order(strategy, rows, chance, most)
        for pair, rows in enumerate(of_pairs)
    ]
    result = np.full((len(chance.pool), len(picked), max(order.shape[1] for order in picked)), NONE)
    for pair, order in enumerate(picked):
        result[:, pair, : order.shape[1]] = order
    return result


def _order(strategy: str, rows: Candidates, chance: Split, most: int) -> IntArray:
    """The ballots of one pair in the order of picking: (R, length)."""
    picked = []
    for in_pool, keys in zip(chance.pool[:, rows.item], chance.keys, strict=True):
        of_pool = rows.only(in_pool)
        picked.append(of_pool.ballot[of_pool.order(strategy, keys)[:most]])
    return _padded(picked)


@dataclass(frozen=True)
class Diverse:
    """Diversity: its weight lambda, and the cosines of each pair's candidate instructions, in the order of items."""

    weight: float
    tables: list[CosineTable]

    @classmethod
    def of(cls, weight: float, of_pairs: Sequence[Candidates], instruction: Indices, vectors: Vectors) -> Diverse:
        """`instruction[i]` is the row of `vectors` that belongs to item i."""
        rows = [instruction[np.unique(of_pair.item)] for of_pair in of_pairs]
        return cls(weight, [CosineTable(vectors.exact_cosines(of_pair, of_pair)) for of_pair in rows])

    def order(self, strategy: str, rows: Candidates, pair: int, pool: NDArray[np.bool_], most: int) -> IntArray:
        """The ballots of one pair in the order of the greedy, whose rows are the replications: (R, length)."""
        # Of an instruction's response pairs the same one stands for it in every pool; no key is looked at.
        ordered = rows.order(strategy, np.zeros(pool.shape[1], dtype=np.uint64))
        ordered = ordered[np.argsort(rows.item[ordered])]
        cost = costs(strategy, rows.score, rows.words)[ordered]
        scores = np.where(pool[:, rows.item[ordered]], cost, np.inf)
        picked = greedy(scores, self.tables[pair], self.weight, [[]] * len(pool), most)
        return _padded([rows.ballot[ordered[[index for index, _ in picks]]] if picks else [] for picks in picked])


@dataclass
class CosineTable:
    """Vectors whose cosines are known: the greedy asks for the same ones in every replication."""

    table: FloatArray
    error: float = 0.0

    def cosines(self, picked: Indices) -> FloatArray:
        return self.table[picked]

    def exact_cosines(self, some: Indices, picked: Indices) -> FloatArray:
        return self.table[np.ix_(some, picked)]


def known_votes(ballots: Ballots, order: IntArray, vote: IntArray) -> KnownVotes:
    """The votes that answer when the ballots are picked in this order."""
    rounds = np.arange(len(order))[:, None, None]
    points = ballots.half_points[vote[rounds, order]] / 2
    return KnownVotes(points, (order != NONE).sum(axis=2))


def battles_of(
    policy: str,
    source: VoteSource,
    ballots: Ballots,
    judgments: int,
    rng: np.random.Generator,
    *,
    floor: int,
    batch: int,
    progress: Callable[[int], None] = lambda battles: None,
) -> IntArray:
    """(R, judgments): the battles that a policy asks for, in their order; `NONE` where the pool has run out.

    The first n of them are what a budget of n asks for, also where n ends in the middle of a batch.
    """
    recorder = _Recorder(source, judgments)
    done = 0
    for state in play(
        policy, recorder, ballots.pairs, models=ballots.models, judgments=judgments, rng=rng, floor=floor, batch=batch
    ):
        progress((state.judgments - done) * len(recorder.battles))
        done = state.judgments
    return recorder.battles


class _Recorder:
    """A source that notes the battles in the order in which they were asked for."""

    def __init__(self, source: VoteSource, judgments: int) -> None:
        self._source = source
        rounds = len(source.left())
        self._taken = np.zeros(rounds, dtype=np.int64)
        self.battles = np.full((rounds, judgments), NONE, dtype=np.int32)

    def left(self) -> FloatArray:
        return self._source.left()

    def take(self, rounds: IntArray, pair: IntArray) -> FloatArray:
        points = self._source.take(rounds, pair)
        self.battles[rounds, self._taken[rounds]] = 3 * pair + 2 * points
        self._taken[rounds] += 1
        return points


def rate(method: Method, battles: IntArray, pairs: ModelPairs, models: int, rng: np.random.Generator) -> FloatArray:
    """Ratings (R, models) after the battles of each replication; all models are rated, those without battles too."""
    rated = _bradley_terry(battles, pairs, models) if method == "bt" else _elo(battles, pairs, models, rng)
    return np.asarray(np.round(rated, _DECIMALS))


def _bradley_terry(battles: IntArray, pairs: ModelPairs, models: int) -> FloatArray:
    outcomes = 3 * len(pairs[0])
    codes = (battles + outcomes * np.arange(len(battles))[:, None])[battles != NONE]
    counts = np.bincount(codes, minlength=outcomes * len(battles)).reshape(len(battles), -1, 3)
    lost, tied, won = counts[..., 0], counts[..., 1], counts[..., 2]
    return bradley_terry.fit(*pairs, won + tied / 2, lost + tied / 2, np.zeros(models, dtype=np.int64))


def _elo(battles: IntArray, pairs: ModelPairs, models: int, rng: np.random.Generator) -> FloatArray:
    """The median over random orders of the battles; a battle of elo's is a kind of battle here."""
    shuffled = (rng.permutation(row[row != NONE]) for row in battles for _ in range(ELO_ORDERS))
    model_a, model_b = (np.repeat(side, 3) for side in pairs)
    score = np.tile([0.0, 0.5, 1.0], len(pairs[0]))
    rounds = elo.ratings(model_a, model_b, score, models, shuffled)
    return np.asarray(np.median(rounds.reshape(len(battles), ELO_ORDERS, models), axis=1))


def rising(accuracy: FloatArray) -> FloatArray:
    """The rising curve that is nearest to each row of accuracies at ascending budgets (isotonic regression)."""
    with without_pandas():
        from sklearn.isotonic import isotonic_regression

    return np.stack([isotonic_regression(row) for row in accuracy])


def worth(accuracy: FloatArray, budgets: IntArray, baseline: FloatArray) -> FloatArray:
    """After how many judgments the baseline is as accurate as each of `accuracy`; infinite: not after the last either.

    `baseline` is its accuracy at ascending `budgets`, made to rise, and joined by straight lines. What is below its
    beginning counts as the first of `budgets`.
    """
    after = np.searchsorted(baseline, accuracy)  # the first budget that is as accurate
    last = np.clip(after, 1, len(budgets) - 1)
    rise = baseline[last] - baseline[last - 1]
    share = np.clip((accuracy - baseline[last - 1]) / np.where(rise > 0, rise, 1), 0, 1)
    between = budgets[last - 1] + share * (budgets[last] - budgets[last - 1])
    return np.asarray(np.where(after == len(budgets), np.inf, between))


def _padded(rows: Sequence[IntArray | list[int]]) -> IntArray:
    """Rows of different lengths as one matrix, filled up with `NONE`."""
    result = np.full((len(rows), max(map(len, rows), default=0)), NONE, dtype=np.int32)
    for row, values in zip(result, rows, strict=True):
        row[: len(values)] = values
    return result
