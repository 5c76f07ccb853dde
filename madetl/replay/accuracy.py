"""How well rankings agree with a gold ranking, many at once. Pure numpy: ratings in, measures out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from madetl.ranking.votes import FloatArray


@dataclass(frozen=True)
class Accuracy:
    """Of R rankings, arrays of length R: two correlations with gold, and whether the order and the winner are right."""

    spearman: FloatArray
    kendall: FloatArray  # tau-b
    exact: NDArray[np.bool_]
    winner: NDArray[np.bool_]


def accuracy(ratings: FloatArray, gold: FloatArray) -> Accuracy:
    """Compares ratings with gold ratings, both (R, models), row by row.

    Equal ratings share the average of their ranks. A ranking in which all are equal correlates with nothing: 0. An
    order is exact only where no two models are equal, and a winner right only where it is alone on top in both.
    """
    one, other = _signs(ratings), _signs(gold)
    apart = ~np.eye(ratings.shape[1], dtype=bool)
    same = (one == other) & (one != 0)
    first = (one > 0).sum(axis=2) == ratings.shape[1] - 1
    gold_first = (other > 0).sum(axis=2) == ratings.shape[1] - 1
    return Accuracy(
        # A model's rank is half the sum of its signs, but for a constant.
        spearman=_cosine(one.sum(axis=2), other.sum(axis=2)),
        kendall=_cosine(one.reshape(len(one), -1), other.reshape(len(other), -1)),
        exact=np.asarray(same[:, apart].all(axis=1)),
        winner=np.asarray((first & gold_first).any(axis=1)),
    )


def _signs(ratings: FloatArray) -> FloatArray:
    """(R, models, models): 1 where the first model is above the second, -1 below, 0 equal."""
    return np.asarray(np.sign(ratings[:, :, None] - ratings[:, None, :]))


def _cosine(one: FloatArray, other: FloatArray) -> FloatArray:
    """Of each row; 0 where one is all zeros."""
    lengths = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    return np.asarray((one * other).sum(axis=1) / np.where(lengths > 0, lengths, 1))
