"""Bradley–Terry strengths by maximum likelihood, many rounds at once. Pure numpy: counts per model pair in.

P(i beats j) = 1 / (1 + 10^((R_j - R_i) / 400)); a tie is half a win for each. What is maximised is the likelihood times
a weak normal prior on each rating, with a standard deviation of 10 in log-odds (1,737 points). It moves a rating by
about a hundredth of its standard error, and makes the maximum finite and unique whatever the counts: also for a model
that won everything, and in a bootstrap round that leaves out a model's only loss. It is the same for every model, so
names and order do not matter, and models that were never compared do not touch one another.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madetl.arrays import one_thread

IntArray = NDArray[np.integer[Any]]
FloatArray = NDArray[np.float64]

POINTS = 400 / math.log(10)  # Elo points per unit of log-odds
MEAN = 1000.0
PRIOR_SD = 10.0  # log-odds

_PRECISION = PRIOR_SD**-2
_TOLERANCE = 1e-7  # log-odds of the last step; what is left is about its square
_MAX_STEPS = 1000
_MAX_ENTRIES = 2_000_000  # of the matrices solved at a time: 16 MB


def fit(
    model_a: IntArray, model_b: IntArray, wins_a: FloatArray, wins_b: FloatArray, component: IntArray
) -> FloatArray:
    """Ratings on the Elo scale, of shape (rounds, models), with mean 1000 over the models of each component.

    Pair p, which stands once, is of models `model_a[p]` and `model_b[p]`; `wins_a[r, p]` and `wins_b[r, p]` are how
    often each won in round r, ties as halves. `component[m]` numbers the parts that no pair connects
    (`components.connected`).
    """
    rounds, models = len(wins_a), len(component)
    strength = np.zeros((rounds, models))
    step = max(1, _MAX_ENTRIES // max(models**2, len(model_a), 1))
    with one_thread():
        for chunk in (slice(start, start + step) for start in range(0, rounds, step)):
            strength[chunk] = _maximise(model_a, model_b, wins_a[chunk], wins_b[chunk], models)
        return MEAN + POINTS * _centred(strength, component)


def _maximise(model_a: IntArray, model_b: IntArray, wins_a: FloatArray, wins_b: FloatArray, models: int) -> FloatArray:
    """Damped Newton, all rounds in one batch, each until it changes no more.

    The step is shortened to log(1 + d) / d, where d is the most that it changes a log-odds: for logistic likelihoods
    this never overshoots and needs no search (Bach, Self-concordant analysis for logistic regression, 2010).
    """
    sides = sides_of(model_a, model_b, models)
    battles = wins_a + wins_b
    strength = np.zeros((len(wins_a), models))
    active = np.arange(len(wins_a))
    for _ in range(_MAX_STEPS):
        now = strength[active]
        expected = 1 / (1 + np.exp(now[:, model_b] - now[:, model_a]))
        slope = (wins_a[active] - battles[active] * expected) @ sides - _PRECISION * now
        weight = battles[active] * expected * (1 - expected)
        change, largest = step(information(weight, model_a, model_b, sides, _PRECISION), slope, model_a, model_b)
        strength[active] += change
        active = active[largest > _TOLERANCE]
        if not len(active):
            break
    return strength


def sides_of(model_a: IntArray, model_b: IntArray, models: int) -> FloatArray:
    """(pairs, models): 1 where a model is model_a of a pair, -1 where it is model_b."""
    sides = np.zeros((len(model_a), models))
    np.add.at(sides, (np.arange(len(model_a)), model_a), 1.0)
    np.add.at(sides, (np.arange(len(model_a)), model_b), -1.0)
    return sides


def information(
    weight: FloatArray, model_a: IntArray, model_b: IntArray, sides: FloatArray, precision: FloatArray | float
) -> FloatArray:
    """The information matrix, (rounds, models, models): minus the pairs' weights off the diagonal.

    `weight[r, p]` is the Fisher information that the votes of pair p carry about its log-odds; `precision` is that of
    the prior, a number or one per round and model.
    """
    rounds, models = len(weight), sides.shape[1]
    matrix = np.zeros((rounds, models, models))
    matrix[:, model_a, model_b] = matrix[:, model_b, model_a] = -weight
    matrix[:, range(models), range(models)] = weight @ np.abs(sides) + precision
    return matrix


def step(matrix: FloatArray, slope: FloatArray, model_a: IntArray, model_b: IntArray) -> tuple[FloatArray, FloatArray]:
    """Newton's damped step (rounds, models), and the most that the undamped one would change a log-odds (rounds)."""
    change = np.linalg.solve(matrix, slope[..., None])[..., 0]
    largest = np.abs(change[:, model_a] - change[:, model_b]).max(axis=1, initial=0.0)
    damping = np.where(largest > 0, np.log1p(largest) / np.where(largest > 0, largest, 1), 1)
    return damping[:, None] * change, largest


def _centred(strength: FloatArray, component: IntArray) -> FloatArray:
    members = np.eye(int(component.max(initial=0)) + 1)[component]
    mean: FloatArray = (strength @ members / members.sum(axis=0)) @ members.T
    return np.subtract(strength, mean)
