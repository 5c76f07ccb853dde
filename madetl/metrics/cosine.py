"""Cosines of dense vectors of unit length. Pure: vectors in, scores out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madetl.arrays import one_thread

_PAIRS_PER_PRODUCT = 128  # pairs of one instruction stand together: few vectors, one small matrix product


def scores(vectors: NDArray[np.float32], left: NDArray[np.intp], right: NDArray[np.intp]) -> NDArray[np.float64]:
    """Cosines in [-1, 1] of the pairs (vectors[left[i]], vectors[right[i]]) of unit vectors, (n, dimensions).

    Summed in double precision and rounded to nine decimals: how a product adds up depends on its shape, and a score
    must not depend on what was measured in the same batch.
    """
    result = np.empty(len(left))
    with one_thread():  # the products are small: threads would wait for one another
        for start in range(0, len(left), _PAIRS_PER_PRODUCT):
            some = slice(start, start + _PAIRS_PER_PRODUCT)
            rows = np.unique(np.concatenate([left[some], right[some]]))
            block = vectors[rows].astype(np.float64)
            result[some] = (block @ block.T)[np.searchsorted(rows, left[some]), np.searchsorted(rows, right[some])]
    return np.clip(result.round(9), -1.0, 1.0)
