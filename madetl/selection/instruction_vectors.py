"""The vectors e(x) of instructions: read from `embeddings`, or made of their character n-grams on the fly.

Rows come in, `madetl.selection.diversity`'s vectors go out. Nothing is written.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from madetl.errors import ParameterError
from madetl.selection.diversity import DenseVectors, SparseVectors, Vectors
from madetl.store import sqlfiles
from madetl.store.embeddings import from_blob
from madetl.store.metrics import existing_metric, metric_label
from madetl.text import agreeing, counted

_UNIT_TOLERANCE = 1e-3
_OR = "use --instruction-metric char-ngram, which needs none."


def load(db: sqlite3.Connection, metric_id: int | None, ids: Sequence[int]) -> Vectors:
    """The vectors of the instructions `ids` (ascending), a row each; metric None is that of the n-gram vectors.

    Raises ParameterError if some have no embedding, or if what is stored are no unit vectors of one length.
    """
    from madetl.metrics import char_ngram

    if metric_id is None or metric_id == existing_metric(db, char_ngram.NAME, char_ngram.PARAMETERS):
        return SparseVectors(char_ngram.vectors(_texts(db, ids)))
    return DenseVectors(_embeddings(db, metric_id, ids))


def _texts(db: sqlite3.Connection, ids: Sequence[int]) -> list[str]:
    rows = db.execute(
        "SELECT instruction, input FROM instructions WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
        (json.dumps(ids),),
    )
    return ["\n".join(filter(None, row)) for row in rows]


def _embeddings(db: sqlite3.Connection, metric_id: int, ids: Sequence[int]) -> NDArray[np.float32]:
    """(len(ids), dimensions). Filled row by row: the vectors are in memory once."""
    label = metric_label(db, metric_id)
    cursor = db.execute(
        sqlfiles.query("selection/instruction_embeddings"), {"metric_id": metric_id, "ids": json.dumps(ids)}
    )
    row_of = {instruction: row for row, instruction in enumerate(ids)}
    vectors, found = None, 0
    for instruction, blob in cursor:
        vector = from_blob(blob)
        if vectors is None:
            vectors = np.empty((len(ids), len(vector)), dtype=np.float32)
        if len(vector) != vectors.shape[1]:
            raise ParameterError(
                f"The embeddings of {label} have different dimensions, {vectors.shape[1]} and {len(vector)}. "
                "Embed all texts with one model."
            )
        vectors[row_of[instruction]] = vector
        found += 1
    if vectors is None or found < len(ids):
        missing = len(ids) - found
        raise ParameterError(
            f"{missing:,} of {counted(len(ids), 'instruction')} {agreeing(missing)['have']} no embedding of {label}. "
            f"{_how(db, metric_id)}"
        )
    _check_unit(vectors, label)
    return vectors


def _how(db: sqlite3.Connection, metric_id: int) -> str:
    """Where embeddings come from: a model that madetl asks, or the user."""
    row = db.execute(
        "SELECT name, json_extract(parameters, '$.kind') FROM metrics WHERE id = ?", (metric_id,)
    ).fetchone()
    name, kind = row
    if kind == "embedding":
        return f"`madetl similarity --metric {name} --instructions` makes them; or {_OR}"
    return f"Store them in the table embeddings (hash = instructions.hash), or {_OR}"


def _check_unit(vectors: NDArray[np.float32], label: str) -> None:
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    is_wrong = ~((np.abs(lengths - 1) < _UNIT_TOLERANCE) | (lengths == 0))  # a text without a word may be all zeros
    if is_wrong.any():
        raise ParameterError(
            f"{int(is_wrong.sum())} embeddings of {label} are not of unit length (one has {lengths[is_wrong][0]:g}). "
            "embeddings.vector must hold unit vectors, so that products are cosines."
        )
