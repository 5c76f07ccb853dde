"""Which models the battles connect, and which way. Pure numpy: pairs of models in, one number per model out.

Ratings of models that no chain of battles connects cannot be compared at all: each connected component has a scale of
its own. And where one group of models never loses a point to another, votes alone say no finite distance between the
two: they are different strong components.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.integer[Any]]


def connected(model_a: IntArray, model_b: IntArray, models: int) -> NDArray[np.intp]:
    """For each model the number (0, 1, …) of the part that chains of the given pairs connect it with."""
    met = np.zeros((models, models), dtype=bool)
    met[model_a, model_b] = met[model_b, model_a] = True
    return _numbered(_reachable(met))


def strong(
    model_a: IntArray, model_b: IntArray, wins_a: NDArray[np.float64], wins_b: NDArray[np.float64], models: int
) -> NDArray[np.intp]:
    """For each model the number (0, 1, …) of its strong component: in one, chains of won points lead from each to each.

    The likelihood of Bradley and Terry has a finite maximum where each connected component is one strong component
    (Ford, 1957).
    """
    beat = np.zeros((models, models), dtype=bool)
    beat[model_a, model_b] = wins_a > 0
    beat[model_b, model_a] = wins_b > 0
    reach = _reachable(beat)
    return _numbered(reach & reach.T)


def _reachable(step: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where chains of steps lead, by squaring: chains of 1, 2, 4, … steps."""
    reach = step | np.eye(len(step), dtype=bool)
    while True:
        further = reach.astype(np.float32) @ reach.astype(np.float32) > 0
        if (further == reach).all():
            return reach
        reach = further


def _numbered(together: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Numbers the classes of an equivalence, each known by its first member."""
    return np.unique(together.argmax(axis=1), return_inverse=True)[1].reshape(-1)
