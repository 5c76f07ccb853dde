"""Rows of `embeddings`: the vector of a text, stored once for each metric: float32, little-endian, unit length."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from madetl.store.database import insert_rows


def store(
    db: sqlite3.Connection,
    metric_id: int,
    hashes: Sequence[str],
    vectors: ArrayLike,
    truncated: Sequence[bool] | None = None,
) -> int:
    """Stores the vectors, (len(hashes), dimensions), of the texts with these hashes; returns how many were new.

    They are brought to unit length. A text that has a vector keeps it. Call it in a `transaction`.
    """
    cut = truncated if truncated is not None else [False] * len(hashes)
    rows = (
        (metric_id, key, len(blob) // 4, blob, int(short))
        for key, blob, short in zip(hashes, to_blobs(vectors), cut, strict=True)
    )
    return insert_rows(
        db, "embeddings", ("metric_id", "hash", "dimensions", "vector", "truncated"), rows, conflict="OR IGNORE"
    )


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
