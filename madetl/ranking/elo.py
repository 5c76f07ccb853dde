"""Elo ratings of many rounds at once. Pure numpy: battles and orders in, one rating per round and model out.

A round is one order of battles. Elo depends on the order, so the rounds cannot share work along it, but each step
can be taken for all rounds together: the loop runs over battles, the arithmetic over rounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.integer[Any]]

K_FACTOR, SCALE, BASE, START = 4.0, 400.0, 10.0, 1000.0

_MAX_BYTES = 256_000_000  # of rounds held at a time; a battle takes one byte up to 84 model pairs, two beyond
_STEPS_PER_BLOCK = 256  # look-ups of so many battles fit in the cache


def ratings(
    model_a: IntArray,
    model_b: IntArray,
    score: NDArray[np.float64],
    models: int,
    orders: Iterable[IntArray],
    *,
    k_factor: float = K_FACTOR,
    progress: Callable[[int], None] = lambda rounds_done: None,
) -> NDArray[np.float64]:
    """Elo ratings in points, of shape (rounds, models).

    Battle i is of models `model_a[i]` and `model_b[i]` (0 .. models - 1), and `score[i]` is what model_a got: 1, 0.5
    or 0. Each of `orders` is one round: the battles in the order in which they count, repeated or left out at will.
    The update is Elo's as Chatbot Arena published it: R_a += K (S_a - 1 / (1 + 10^((R_b - R_a) / 400))).
    """
    outcomes, outcome = np.unique(np.stack([model_a, model_b, 2 * score]), axis=1, return_inverse=True)
    # Rounds may differ in length: the last outcome stands for "no battle", a tie of a model that does not exist.
    outcomes = np.column_stack([outcomes, [models, models, 1]])
    outcome = outcome.reshape(-1).astype(
        np.min_scalar_type(outcomes.shape[1])
    )  # small: this is what the memory goes to
    per_chunk = max(1, _MAX_BYTES // max(1, outcome.nbytes))
    done: list[NDArray[np.float64]] = []
    rounds = iter(orders)
    while chunk := [outcome[order] for order in islice(rounds, per_chunk)]:
        done.append(_play(chunk, outcomes, models, k_factor))
        progress(sum(map(len, done)))
    return np.concatenate(done)


def share_of_the_way(battles: float, models: int, k_factor: float = K_FACTOR) -> float:
    """How much of the way from the start to its final value a rating has gone after so many battles, 0 to 1.

    A battle brings K (S - E) points on average, and near equality E changes by ln(10) / 1600 per point of distance to
    the opponent. The others of n models are off by 1 / (n - 1) the other way, since points are only passed on. So each
    battle closes K ln(10) / 1600 n / (n - 1) of what is left. (K = 4, 7 models, 60 battles: 33 %.) It holds for models
    that are nearly equal and all meet; between unequal ones the way is slower.
    """
    return -math.expm1(-battles * k_factor * math.log(BASE) / (4 * SCALE) * models / (models - 1))


def _play(
    rounds: Sequence[IntArray], outcomes: NDArray[np.float64], models: int, k_factor: float
) -> NDArray[np.float64]:
    """Plays rounds side by side. Ratings are kept in natural logarithms of the odds, which saves a multiplication."""
    unit = SCALE / math.log(BASE)
    k = k_factor / unit
    count = len(rounds)
    strength = np.zeros((models + 1) * count)
    column = np.arange(count)
    first, second = (outcomes[row].astype(np.intp) * count for row in (0, 1))
    reward = k * outcomes[2] / 2
    with np.errstate(over="ignore"):  # an enormous K: exp gives infinity, and the expectation is 0 as it should be
        for block in _blocks(rounds, empty=outcomes.shape[1] - 1):
            at_a, at_b = first[block] + column, second[block] + column
            for a, b, won in zip(at_a, at_b, reward[block], strict=True):
                x, y = strength[a], strength[b]
                gain = won - k / (1 + np.exp(y - x))
                strength[a] = x + gain
                strength[b] = y - gain
    return START + unit * strength.reshape(models + 1, count)[:models].T


def _blocks(rounds: Sequence[IntArray], empty: int) -> Iterator[IntArray]:
    """The rounds as matrices of shape (steps, rounds), a few steps at a time, shorter rounds filled up."""
    longest = max(map(len, rounds))
    for start in range(0, longest, _STEPS_PER_BLOCK):
        steps = min(_STEPS_PER_BLOCK, longest - start)
        block = np.full((len(rounds), steps), empty, dtype=rounds[0].dtype)
        for row, battles in zip(block, rounds, strict=True):
            piece = battles[start : start + steps]
            row[: len(piece)] = piece
        yield np.ascontiguousarray(block.T)
