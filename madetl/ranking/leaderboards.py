"""From votes to a leaderboard: rounds of ratings, intervals, ranks, remarks. Pure: arrays in, rows out.

`rank` reads the votes out of the database and stores the leaderboards; this module touches no database.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madetl.ranking import bradley_terry, elo, resampling
from madetl.ranking.notes import notes
from madetl.ranking.order import Neighbours, neighbours, posterior_of, probability_best
from madetl.ranking.votes import FloatArray, IntArray, RankParameters, Summary, Votes
from madetl.text import Note

__all__ = ["Leaderboard", "LeaderboardLine", "Neighbours", "leaderboard"]

_NO_WIDTH = 1e-6  # points; the fit leaves less


@dataclass(frozen=True)
class LeaderboardLine:
    """One line of a leaderboard. `rank` is 1 + the models of the same component whose lower bound is above `upper`.

    It is None where the interval has no width but for the order of battles, since the same votes are drawn every time:
    such a model counts against no other. `probability_best`: of being the strongest model of its component, whatever
    the method (None: not known).
    """

    rank: int | None
    model: str
    rating: float
    lower: float
    upper: float
    battles: int
    component: int
    remark: str | None
    probability_best: float | None = None


@dataclass(frozen=True)
class Leaderboard:
    """The models of one scenario ('overall': of all), by rating, component after component.

    `order` is what can be believed of it: how sure the votes are of each step from the best model of a component down,
    whatever the method. Ratings may put two models the other way round.
    """

    scenario: str
    ratings: list[LeaderboardLine]
    counts: dict[str, Any]
    notes: list[Note]
    order: list[Neighbours] = field(default_factory=list)

    @property
    def in_order(self) -> list[LeaderboardLine]:
        """The lines in the order that can be believed, component after component."""
        lines = {line.model: line for line in self.ratings}
        names = dict.fromkeys(name for step in self.order for name in (step.better, step.worse))
        return [lines[name] for name in names if name in lines]


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
    found = posterior_of(votes)
    best = probability_best(found, summary.component, parameters.seed)
    lines = _lines(votes, summary, np.stack([rating, lower, upper]) + shift, best, parameters)
    steps = neighbours(found, votes.models, summary.component)
    return Leaderboard(votes.scenario, lines, votes.counts, notes(votes, summary, rating, parameters), steps)


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


def _lines(
    votes: Votes, summary: Summary, values: FloatArray, best: FloatArray, parameters: RankParameters
) -> list[LeaderboardLine]:
    rating, lower, upper = values
    same_component = summary.component[:, None] == summary.component
    ranked = _with_width(votes, summary, upper - lower, parameters)
    rank = 1 + ((lower > upper[:, None]) & same_component & ranked).sum(axis=1)
    lines = [
        LeaderboardLine(
            rank=int(rank[m]) if ranked[m] else None,
            model=name,
            rating=float(rating[m]),
            lower=float(lower[m]),
            upper=float(upper[m]),
            battles=int(summary.battles[m]),
            component=int(summary.component[m]) + 1,
            remark=_remark(summary, m, parameters),
            probability_best=float(best[m]),
        )
        for m, name in enumerate(votes.models)
    ]
    return sorted(lines, key=lambda line: (line.component, -line.rating, line.model))


def _with_width(votes: Votes, summary: Summary, width: FloatArray, parameters: RankParameters) -> NDArray[np.bool_]:
    """Which models have an interval that says how sure their rating is.

    Where the items of each pair of models all went one way, a bootstrap draws the same votes again and again: what
    width is left is that of Elo's order of battles, which is all that permute shows.
    """
    if parameters.resample == "permute":
        return np.zeros(len(width), dtype=bool)
    varied = np.bincount(votes.outcomes.pair, minlength=len(votes.model_a)) > 1
    varied_components = summary.component[votes.model_a[varied]]
    return (width > _NO_WIDTH) & np.isin(summary.component, varied_components)


def _remark(summary: Summary, model: int, parameters: RankParameters) -> str | None:
    if 0 < summary.points[model] < summary.battles[model]:
        return None
    what, side = ("won", "upper") if summary.points[model] else ("lost", "lower")
    bound = f": no true {side} bound" if parameters.method == "bt" else ""
    return f"{what} every battle{bound}"
