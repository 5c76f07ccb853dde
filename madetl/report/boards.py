"""The leaderboards of a report: as stored where they count every vote, else computed; and by the other method.

Pure: votes in, leaderboards out, by the functions and with the seed of `madetl rank`. Nothing is stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from madetl.ranking import elo
from madetl.ranking.leaderboards import Leaderboard, LeaderboardLine, leaderboard
from madetl.ranking.notes import notes
from madetl.ranking.order import neighbours, posterior_of
from madetl.ranking.votes import RankParameters, Summary, Votes
from madetl.report.content import OVERALL
from madetl.report.rows import ReportData
from madetl.report.tallies import votes_of

METHODS = {"elo": "Elo", "bt": "Bradley–Terry"}
MOST_SCENARIOS = 12


@dataclass(frozen=True)
class Boards:
    """`first` by the method of the ranking, `other` by the other one; both in the same order, the overall one first.

    `parameters` are those of `first`. `stored`: its numbers are those of the run. `left_out`: scenarios too many.
    """

    parameters: RankParameters
    other_parameters: RankParameters
    first: Sequence[Leaderboard]
    other: Sequence[Leaderboard]
    votes: Votes  # of the first leaderboard
    stored: bool
    left_out: int


def boards(study: ReportData) -> Boards | None:
    """The leaderboards; None where nobody has judged anything."""
    rows = study.votes.rows
    if not rows:
        return None
    names = study.names
    scenarios = _scenarios(study)
    parts = [rows if name == study.board else _of(rows, name) for name in scenarios]
    votes = [votes_of(part, names, name) for name, part in zip(scenarios, parts, strict=True)]
    other = _other(study.parameters)
    stored = study.ranking is not None and (study.asked or study.ranking["votes"] == len(rows))
    first = [_stored(study, one) if stored else leaderboard(one, study.parameters) for one in votes]
    return Boards(
        parameters=study.parameters,
        other_parameters=other,
        first=[board for board in first if board],
        other=[leaderboard(one, other) for one, board in zip(votes, first, strict=True) if board],
        votes=votes[0],
        stored=stored,
        left_out=_number_of_scenarios(study) - len(scenarios) + (study.scenario is None),
    )


def rank_interval(board: Leaderboard, line: LeaderboardLine) -> tuple[int, int]:
    """The best and the worst rank that the intervals allow: of the models of its component, those surely above or
    below. A model whose interval has no width (rank None) may have any, and says nothing of others'."""
    component = [other for other in board.ratings if other.component == line.component]
    if line.rank is None:
        return 1, len(component)
    below = sum(other.upper < line.lower for other in component if other.rank is not None)
    return line.rank, len(component) - below


def undecided(board: Leaderboard) -> list[tuple[LeaderboardLine, LeaderboardLine]]:
    """Neighbours by rating whose intervals overlap: the votes do not tell which is better."""
    found = []
    for component in sorted({line.component for line in board.ratings}):
        lines = sorted((line for line in board.ratings if line.component == component), key=lambda line: -line.rating)
        found += [(a, b) for a, b in pairwise(lines) if a.lower <= b.upper and b.lower <= a.upper]
    return found


def leader(board: Leaderboard) -> LeaderboardLine:
    """The model with the highest rating of the largest component."""
    return max((line for line in board.ratings if line.component == 1), key=lambda line: line.rating)


def expected(first: float, second: float) -> float:
    """The share of battles that a model with the first rating is expected to win against one with the second."""
    return float(1 / (1 + elo.BASE ** ((second - first) / elo.SCALE)))


def _scenarios(study: ReportData) -> list[str]:
    """The board that comes first, and each scenario: those with the most votes where there are very many."""
    if study.scenario is not None:
        return [study.scenario]
    votes = Counter(row["scenario"] for row in study.votes.rows)
    return [OVERALL, *sorted(name for name, _ in votes.most_common(MOST_SCENARIOS))]


def _number_of_scenarios(study: ReportData) -> int:
    return len({row["scenario"] for row in study.votes.rows})


def _of(rows: Sequence[Mapping[str, Any]], scenario: str) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["scenario"] == scenario]


def _other(parameters: RankParameters) -> RankParameters:
    if parameters.method == "elo":
        return replace(parameters, method="bt", resample="bootstrap", k_factor=elo.K_FACTOR)
    return replace(parameters, method="elo")


def _stored(study: ReportData, votes: Votes) -> Leaderboard | None:
    """The leaderboard as the run stored it, with the order by today's votes; None: the run ranked no such scenario."""
    numbers = ("rank", "model", "rating", "lower", "upper", "battles", "component", "remark", "probability_best")
    lines = [
        LeaderboardLine(**{name: row[name] for name in numbers})
        for row in study.ratings.rows
        if row["scenario"] == votes.scenario
    ]
    if not lines:
        return None
    by_name = {line.model: line.rating for line in lines}
    summary = Summary.of(votes)
    steps = neighbours(posterior_of(votes), votes.models, summary.component)
    if set(by_name) != set(votes.models):  # models that came or went since: notes would be about other votes
        return Leaderboard(votes.scenario, lines, votes.counts, [], steps)
    rating = np.array([by_name[name] for name in votes.models])
    return Leaderboard(votes.scenario, lines, votes.counts, notes(votes, summary, rating, study.parameters), steps)
