"""Rows of `embeddings`: the vector of a text, stored once for each metric, whoever made it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from numpy.typing import ArrayLike

from madetl.metrics.cosine import to_blobs
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
