"""Finds instructions that are almost the same as another one in the pool, by the cosine of their character n-grams.

Of the seeds of the MAD paper, 2 of 1,319 grade-school problems, 4 of 532 writing tasks and 28 of 1,374 programming
tasks have a cosine above 0.95 with another seed: they differ in a number or in the spelling of a word. Between 0.90 and
0.95 there are writing tasks that share only their frame. The pool's vectors are held in memory: about 2 KB
an instruction.
"""

from __future__ import annotations

import sqlite3

import numpy as np
from scipy import sparse

from madetl.metrics import char_ngram
from madetl.store import sqlfiles

THRESHOLD = 0.95
_PAGE = 2000


class Pool:
    """The instructions of one scenario, with those that other processes add meanwhile."""

    def __init__(self, scenario: str) -> None:
        self._scenario = scenario
        self._blocks: list[sparse.csr_matrix] = []
        self._families: list[tuple[int, int | None]] = []  # (id, parent's id), in the order of the rows
        self._last = 0
        self._dense = np.zeros(char_ngram.PARAMETERS["features"], np.float32)

    def refresh(self, db: sqlite3.Connection) -> None:
        """Reads the instructions that were added since the last call."""
        while rows := db.execute(sqlfiles.query("evolution/pool_texts"), self._part()).fetchall():
            self._append(_vectors([row["text"] for row in rows]))
            self._families += [(row["id"], row["parent_id"]) for row in rows]
            self._last = rows[-1]["id"]

    def nearest(self, text: str, outside_family_of: int | None = None) -> float:
        """The highest cosine of the text with any instruction; 0 where there is none.

        `outside_family_of`: an instruction's id; itself and its children do not count.
        """
        if not self._blocks:
            return 0.0
        one = _vectors([text])
        # A product with a dense vector takes a seventh of the time of one with a sparse vector. It is cleared after.
        self._dense[one.indices] = one.data
        cosines = np.concatenate([block @ self._dense for block in self._blocks])
        self._dense[one.indices] = 0
        if outside_family_of is not None:
            kin = np.array([outside_family_of in family for family in self._families])
            cosines = cosines[~kin]
        return float(cosines.max(initial=0.0))

    def _append(self, block: sparse.csr_matrix) -> None:
        """Adds rows. Blocks of like size are joined, so that there are few and each row is copied few times."""
        self._blocks.append(block)
        while len(self._blocks) > 1 and self._blocks[-1].shape[0] >= self._blocks[-2].shape[0]:
            self._blocks[-2:] = [sparse.vstack(self._blocks[-2:], format="csr")]

    def _part(self) -> dict[str, object]:
        return {"scenario": self._scenario, "after": self._last, "page": _PAGE}


def _vectors(texts: list[str]) -> sparse.csr_matrix:
    return char_ngram.vectors(texts).astype(np.float32)
