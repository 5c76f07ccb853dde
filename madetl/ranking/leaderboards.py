"""From votes to a leaderboard: rounds of ratings, intervals, ranks, remarks. Pure: arrays in, rows out.

`rank` reads the votes out of the database and stores the leaderboards; this module touches no database.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from madetl.ranking import bradley_terry, elo, resampling
from madetl.ranking.notes import notes
from madetl.ranking.votes import FloatArray, IntArray, RankParameters, Summary, Votes
from madetl.records import Note


@dataclass(frozen=True)
class LeaderboardLine:
    """One line of a leaderboard. `rank` is 1 + the models of the same component whose lower bound is above `upper`."""

    rank: int
    model: str
    rating: float
    lower: float
    upper: float
    battles: int
    component: int
    remark: str | None


@dataclass(frozen=True)
class Leaderboard:
    """The models of one scenario ('overall': of all), strongest first, component after component."""

    scenario: str
    ratings: list[LeaderboardLine]
    counts: dict[str, Any]
    notes: list[Note]


def leaderboard(
    votes: Votes, parameters: RankParameters, progress: Callable[[int], None] = lambda rounds_done: None
) -> Leaderboard:
    """Ranks the models of `votes`. Ratings are Elo's median over the rounds, or the Bradley–Terry maximum."""
    summary = Summary.of(votes)
    rng = np.random.default_rng(parameters.seed)
    if parameters.method == "bt":
        rating, rounds = _bradley_terry(votes, summary, parameters.rounds, rng)
        progress(parameters.rounds)
    else:
        rounds = _elo(votes, parameters, rng, progress)
        rating = np.median(rounds, axis=0)
    lower, upper = np.percentile(rounds, [2.5, 97.5], axis=0)
    # The maximum may lie outside of its own bootstrap where a prior holds it; an interval always holds its rating.
    lower, upper = np.minimum(lower, rating), np.maximum(upper, rating)
    shift = _anchor_shift(votes, summary.component, rating, parameters)
    lines = _lines(votes, summary, np.stack([rating, lower, upper]) + shift, parameters)
    return Leaderboard(votes.scenario, lines, votes.counts, notes(votes, summary, rating, parameters))


def _elo(
    votes: Votes, parameters: RankParameters, rng: np.random.Generator, progress: Callable[[int], None]
) -> FloatArray:
    battles = votes.battles
    assert battles is not None
    if parameters.resample == "permute":
        orders = resampling.permutations(len(battles.pair), parameters.rounds, rng)
    else:
        orders = resampling.bootstrap_orders(battles.instruction, battles.pair, parameters.rounds, rng)
    a, b = votes.model_a[battles.pair], votes.model_b[battles.pair]
    return elo.ratings(a, b, battles.score, len(votes.models), orders, k_factor=parameters.k_factor, progress=progress)


def _bradley_terry(
    votes: Votes, summary: Summary, rounds: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    outcomes = votes.outcomes
    drawn = resampling.bootstrap_counts(outcomes.pair, outcomes.wins, outcomes.items, rounds, rng)
    both = np.concatenate([summary.pair_wins[None], drawn])
    ratings = bradley_terry.fit(votes.model_a, votes.model_b, both[..., 0], both[..., 1], summary.component)
    return ratings[0], ratings[1:]


def _anchor_shift(votes: Votes, component: IntArray, rating: FloatArray, parameters: RankParameters) -> FloatArray:
    """What to add to each model's rating and bounds: one number for the anchor's component, nothing elsewhere."""
    if parameters.anchor is None or parameters.anchor[0] not in votes.models:
        return np.zeros(len(rating))
    anchor = votes.models.index(parameters.anchor[0])
    return np.where(component == component[anchor], parameters.anchor[1] - rating[anchor], 0.0)


def _lines(votes: Votes, summary: Summary, values: FloatArray, parameters: RankParameters) -> list[LeaderboardLine]:
    rating, lower, upper = values
    same_component = summary.component[:, None] == summary.component
    rank = 1 + ((lower > upper[:, None]) & same_component).sum(axis=1)
    lines = [
        LeaderboardLine(
            rank=int(rank[m]),
            model=name,
            rating=float(rating[m]),
            lower=float(lower[m]),
            upper=float(upper[m]),
            battles=int(summary.battles[m]),
            component=int(summary.component[m]) + 1,
            remark=_remark(summary, m, parameters),
        )
        for m, name in enumerate(votes.models)
    ]
    return sorted(lines, key=lambda line: (line.component, line.rank, -line.rating, line.model))


def _remark(summary: Summary, model: int, parameters: RankParameters) -> str | None:
    if 0 < summary.points[model] < summary.battles[model]:
        return None
    what, side = ("won", "upper") if summary.points[model] else ("lost", "lower")
    bound = f": no true {side} bound" if parameters.method == "bt" else ""
    return f"{what} every battle{bound}"
