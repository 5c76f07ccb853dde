"""How the models stand by people's votes so far: the votes of every pair of models, and the posterior that they give.

What adaptive selections, the page and `madetl advise` go by. Reads `judgments`; nothing is written here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from madetl.ranking import posterior
from madetl.ranking.posterior import PairVotes, Posterior
from madetl.ranking.votes import FloatArray, IntArray, RankParameters
from madetl.store import sqlfiles
from madetl.store.scope import model_names


@dataclass(frozen=True)
class VotesSoFar:
    """Models by number, with all pairs of them, and people's votes (arrays of one round)."""

    model_ids: list[int]
    names: list[str]
    model_a: IntArray
    model_b: IntArray
    votes: PairVotes
    items: FloatArray  # (1, pairs): judged ones

    @cached_property
    def posterior(self) -> Posterior:
        """How sure the votes are of the models' order."""
        return posterior.fit((self.model_a, self.model_b), self.votes, len(self.model_ids))

    def pair(self, model_a_id: int, model_b_id: int) -> int:
        """The number of the pair of two models, whose ids may come in either order."""
        return self._pairs[min(model_a_id, model_b_id), max(model_a_id, model_b_id)]

    @cached_property
    def _pairs(self) -> dict[tuple[int, int], int]:
        return {ids: number for number, ids in enumerate(combinations(self.model_ids, 2))}


def read(
    db: sqlite3.Connection, scenarios: Iterable[str] = (), selections: Iterable[str] = (), others: Iterable[int] = ()
) -> VotesSoFar:
    """People's votes in these scenarios and on what these selections picked (none: all).

    The models are all that have any votes, and those whose ids are `others`.
    """
    people = RankParameters(scenarios=tuple(scenarios), selections=tuple(selections)).counted
    rows = db.execute(sqlfiles.query("ranking/item_outcomes"), people).fetchall()
    ids = sorted({*others, *(row[name] for row in rows for name in ("model_a_id", "model_b_id"))})
    names = model_names(db)
    model_a, model_b = np.triu_indices(len(ids), 1)
    votes, items = PairVotes.none(1, len(model_a)), np.zeros((1, len(model_a)))
    so_far = VotesSoFar(ids, [names[i] for i in ids], model_a, model_b, votes, items)
    for row in rows:
        pair = so_far.pair(row["model_a_id"], row["model_b_id"])
        votes.add_items(0, pair, row["half_points"] / 2, row["votes"], row["items"])
        items[0, pair] += row["items"]
    return so_far
