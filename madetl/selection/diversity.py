"""The greedy of maximum discrepancy with diversity, for all pairs of models at once. Pure numpy, no database.

    x_k = argmin_x  M(f_i(x), f_j(x)) + lambda * max_{s in picked} cos(e(x), e(s))        (Feng et al. 2025)

Every cost that decides is computed in double precision from the vectors of the candidate and of what was picked, and
from nothing else. So what is picked depends neither on how many model pairs stand in the batch nor on how a matrix
product adds up, and a selection that is extended later goes on exactly as it would have gone in one run. The matrix
products (one per k, over all model pairs) only say which candidates are too far off to matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Indices = NDArray[np.intp]
Picks = list[tuple[int, float]]  # (instruction's index, cost) in the order of picking

_ROWS_AT_A_TIME = 1024  # bounds the memory of the costs in double precision


class Vectors(Protocol):
    """Unit vectors e(x) of the N instructions."""

    error: float
    """How far a value of `cosines` may be from that of `exact_cosines`."""

    def cosines(self, picked: Indices) -> NDArray[np.floating]:
        """(len(picked), N): cosines of the picked instructions with all."""

    def exact_cosines(self, some: Indices, picked: Indices) -> NDArray[np.float64]:
        """(len(some), len(picked)), each a function of the two vectors alone."""


@dataclass
class DenseVectors:
    """Vectors as the rows of an array (N, dimensions), float32, unit length."""

    rows: NDArray[np.float32]

    def __post_init__(self) -> None:
        # A float32 sum of n products of unit vectors is off by at most about n roundings of 2**-24.
        self.error = (self.rows.shape[1] + 2) * 2.0**-23

    def cosines(self, picked: Indices) -> NDArray[np.floating]:
        return self.rows[picked] @ self.rows.T

    def exact_cosines(self, some: Indices, picked: Indices) -> NDArray[np.float64]:
        # No matrix product here: how that adds up depends on its shape. A product of two float32 is exact in float64.
        result = np.empty((len(some), len(picked)))
        for start in range(0, len(some), _ROWS_AT_A_TIME):
            block = self.rows[some[start : start + _ROWS_AT_A_TIME]].astype(np.float64)
            for column, row in enumerate(self.rows[picked]):
                result[start : start + _ROWS_AT_A_TIME, column] = (block * row).sum(axis=1)
        return result


@dataclass
class SparseVectors:
    """Vectors as the rows of a sparse matrix (N, dimensions), float64, unit length, indices sorted."""

    rows: sparse.csr_matrix
    error: float = 0.0  # a sparse product adds row by row, in the order of the indices

    def cosines(self, picked: Indices) -> NDArray[np.floating]:
        return np.asarray((self.rows @ self.rows[picked].T).toarray().T)

    def exact_cosines(self, some: Indices, picked: Indices) -> NDArray[np.float64]:
        return np.asarray((self.rows[some] @ self.rows[picked].T).toarray())


def greedy(
    scores: NDArray[np.float64], vectors: Vectors, diversity: float, known: Sequence[Sequence[int]], top_k: int
) -> list[Picks]:
    """What to pick next for each model pair, until it has `top_k` picks or no candidate is left.

    `scores` (pairs, N): M of the response pair that stands for an instruction, infinite where none is eligible.
    `known`: the indices picked before, per pair, in the order of picking. Equal costs go to the lower index. Returns
    the new picks with their costs; for the very first one the cost is M.
    """
    state = _State(scores.copy(), vectors, diversity, [list(picked) for picked in known])
    state.take_in_known()
    new: list[Picks] = [[] for _ in known]
    rows = state.unfinished(top_k)
    while rows:
        for row in rows:
            new[row].append(state.pick(row))
        rows = state.unfinished(top_k)
        state.look_at_last_picks(rows)
    return new


@dataclass
class _State:
    """Where the greedy stands: what is open, and how near each instruction is to what was picked."""

    scores: NDArray[np.float64]  # (pairs, N), infinite once picked
    vectors: Vectors
    diversity: float
    picked: list[list[int]]

    def __post_init__(self) -> None:
        self.nearest = np.full(self.scores.shape, -np.inf, dtype=np.float32 if self.vectors.error else np.float64)

    def take_in_known(self) -> None:
        """Takes what was picked before into account."""
        for row, picked in enumerate(self.picked):
            self.scores[row, picked] = np.inf
        for position in range(max(map(len, self.picked), default=0)):
            rows = [row for row, picked in enumerate(self.picked) if len(picked) > position]
            self._come_nearer(rows, [self.picked[row][position] for row in rows])

    def unfinished(self, top_k: int) -> list[int]:
        """The pairs that want another pick and have a candidate for it."""
        lowest = self.scores.min(axis=1, initial=np.inf)
        return [row for row, picked in enumerate(self.picked) if len(picked) < top_k and np.isfinite(lowest[row])]

    def pick(self, row: int) -> tuple[int, float]:
        """Picks the cheapest candidate of one pair."""
        index, cost = self._cheapest(row)
        self.picked[row].append(index)
        self.scores[row, index] = np.inf
        return index, cost

    def look_at_last_picks(self, rows: list[int]) -> None:
        """Takes the last pick of each of these pairs into account."""
        self._come_nearer(rows, [self.picked[row][-1] for row in rows])

    def _cheapest(self, row: int) -> tuple[int, float]:
        scores = self.scores[row]
        if not self.picked[row]:
            first = int(scores.argmin())
            return first, float(scores[first])
        about = scores + self.diversity * self.nearest[row].astype(np.float64)
        slack = 2 * self.diversity * self.vectors.error
        close = np.flatnonzero(about <= about.min() + slack)
        cosines = self.vectors.exact_cosines(close, np.array(self.picked[row]))
        costs = scores[close] + self.diversity * cosines.max(axis=1)
        best = int(costs.argmin())
        return int(close[best]), float(costs[best])

    def _come_nearer(self, rows: list[int], picked: list[int]) -> None:
        if not rows:
            return
        self.nearest[rows] = np.maximum(self.nearest[rows], self.vectors.cosines(np.array(picked)))
