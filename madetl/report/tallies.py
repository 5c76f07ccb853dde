"""Votes as arrays, from rows: all of them, those of a scenario, those of the first K picks. Pure numpy.

The arrays are what `madetl.ranking` computes with. A report needs them of many parts of the votes, so it makes them
from the rows that it has read once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from madetl.ranking import bradley_terry, components
from madetl.ranking.votes import FloatArray, Votes, item_outcomes

Rows = Sequence[Mapping[str, Any]]


def votes_of(rows: Rows, names: Mapping[int, str], scenario: str) -> Votes:
    """The votes of one leaderboard, exactly as `madetl rank` sees them. `rows`: at least one of votes_to_report.sql."""
    keys = ("instruction_id", "model_a_id", "model_b_id", "half_points")
    battles = np.array([[row[key] for row in rows] for key in keys], dtype=np.int64)
    outcomes = item_outcomes(*battles)
    counts = {
        "battles": len(rows),
        "ties": sum(row["winner"] == "tie" for row in rows),
        "both_bad": sum(row["winner"] == "both_bad" for row in rows),
        "items": int(outcomes[-1].sum()),
        "annotators": len({row["annotator"] for row in rows if row["kind"] != "crowd"}),
        "crowds": sorted({row["annotator"] for row in rows if row["kind"] == "crowd"}),
    }
    return Votes.from_columns(scenario, names, counts, outcomes, battles)


def bt_ratings(votes: Votes, scores: FloatArray | None = None) -> FloatArray:
    """Bradley–Terry ratings of each row of `scores`, (rounds, battles); a battle that is left out is NaN.

    Without `scores`, those of the votes themselves, as one row. Models that a round leaves unconnected are drawn to the
    middle by the prior alone.
    """
    battles = votes.battles
    assert battles is not None
    scores = battles.score[None] if scores is None else scores
    pairs = len(votes.model_a)
    wins = np.zeros((2, len(scores), pairs))
    for row, score in enumerate(scores):
        there = ~np.isnan(score)
        wins[0, row] = np.bincount(battles.pair[there], score[there], pairs)
        wins[1, row] = np.bincount(battles.pair[there], 1 - score[there], pairs)
    return fitted(votes, wins[0], wins[1])


def fitted(votes: Votes, wins_a: FloatArray, wins_b: FloatArray) -> FloatArray:
    """Bradley–Terry ratings from points per round and model pair, each centred on 1000 within a component."""
    component = components.connected(votes.model_a, votes.model_b, len(votes.models))
    return bradley_terry.fit(votes.model_a, votes.model_b, wins_a, wins_b, component)


def positions(ratings: FloatArray) -> FloatArray:
    """The place of each model by its rating, 1 the highest, the mean of the places where ratings are equal.

    Of shape (rounds, models), as `ratings`.
    """
    above = (ratings[:, None, :] > ratings[:, :, None]).sum(axis=2)
    equal = (ratings[:, None, :] == ratings[:, :, None]).sum(axis=2)
    return np.asarray(1 + above + (equal - 1) / 2, dtype=np.float64)


def spearman(ranks: FloatArray, final: FloatArray) -> FloatArray:
    """Spearman's correlation of each row of `ranks` with `final`; 0 where a row does not tell models apart."""
    x = ranks - ranks.mean(axis=1, keepdims=True)
    y = final - final.mean()
    size = np.sqrt((x**2).sum(axis=1) * (y**2).sum())
    return np.asarray(np.divide(x @ y, size, out=np.zeros(len(x)), where=size > 0), dtype=np.float64)
