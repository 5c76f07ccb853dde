"""Cosines of dense vectors, and how a vector is stored: float32, little-endian, unit length.

Vectors come in from `embeddings`, or from whoever made them; scores and blobs go out. Nothing here asks a model or
touches the database.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from madetl.arrays import one_thread

_PAIRS_PER_PRODUCT = 128  # pairs of one instruction stand together: few vectors, one small matrix product


def unit(vectors: ArrayLike) -> NDArray[np.float32]:
    """The vectors, (n, dimensions), at unit length in float32; a vector of zeros stays one."""
    wide = np.atleast_2d(np.asarray(vectors, dtype=np.float64))
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(wide / np.where(lengths == 0, 1, lengths), dtype=np.float32)


def to_blobs(vectors: ArrayLike) -> list[bytes]:
    """What `embeddings.vector` holds for each of the vectors, (n, dimensions); they are brought to unit length."""
    return [row.tobytes() for row in unit(vectors).astype("<f4")]


def from_blob(blob: bytes) -> NDArray[np.float32]:
    """The stored vector, (dimensions,); it shares the blob's memory."""
    return np.frombuffer(blob, dtype="<f4")


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
