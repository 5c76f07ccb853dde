"""The leaderboards of a report: as stored where they count every vote, else computed; and by the other method.

Pure: votes in, leaderboards out, by the functions and with the seed of `madetl rank`. Nothing is stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from madetl.ranking import elo
from madetl.ranking.leaderboards import Leaderboard, LeaderboardLine, leaderboard
from madetl.ranking.notes import notes
from madetl.ranking.order import Neighbours, indistinguishable, neighbours, posterior_of, probability_best
from madetl.ranking.votes import RankParameters, Summary, Votes
from madetl.report.content import OVERALL
from madetl.report.rows import ReportData
from madetl.report.tallies import votes_of

METHODS = {"elo": "Elo", "bt": "Bradley–Terry"}
MOST_SCENARIOS = 12


@dataclass(frozen=True)
class ModelOrder:
    """What can be believed of the order of a board's models, by the votes that there are, whatever the method.

    `models` stand best first, component after component; `best` is the probability of being the best of its component.
    `steps` lead from each model to the next one of its component. `alike` are the longest ranges of `models` of which
    no two are told apart: (first, last), both within.
    """

    models: Sequence[str]
    component: Mapping[str, int]
    best: Mapping[str, float]
    steps: Sequence[Neighbours]
    alike: Sequence[tuple[int, int]]

    @classmethod
    def of(cls, votes: Votes, seed: int) -> ModelOrder:
        """The order by these votes; `seed` is that of the probabilities of being the best."""
        found, component = posterior_of(votes), Summary.of(votes).component
        order = found.order()[0]
        order = order[np.argsort(component[order], kind="stable")]
        alike: list[tuple[int, int]] = []
        for part in range(int(component.max()) + 1):
            members, before = order[component[order] == part], int((component < part).sum())
            alike += [(before + first, before + last) for first, last in indistinguishable(found, members.tolist())]
        best = probability_best(found, component, seed)
        return cls(
            models=[votes.models[m] for m in order],
            component={name: int(part) + 1 for name, part in zip(votes.models, component, strict=True)},
            best=dict(zip(votes.models, best.tolist(), strict=True)),
            steps=neighbours(found, votes.models, component),
            alike=alike,
        )

    @property
    def largest(self) -> list[str]:
        """The models of the largest component, best first."""
        return [model for model in self.models if self.component[model] == 1]


@dataclass(frozen=True)
class Boards:
    """`first` by the method of the ranking, `other` by the other one; both in the same order, the overall one first.

    `orders`, one for each, are what the votes say whatever the method. `parameters` are those of `first`. `stored`: its
    numbers are those of the run. `left_out`: scenarios too many.
    """

    parameters: RankParameters
    other_parameters: RankParameters
    first: Sequence[Leaderboard]
    other: Sequence[Leaderboard]
    orders: Sequence[ModelOrder]
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
    ranked = [one for one, board in zip(votes, first, strict=True) if board]
    return Boards(
        parameters=study.parameters,
        other_parameters=other,
        first=[board for board in first if board],
        other=[leaderboard(one, other) for one in ranked],
        orders=[ModelOrder.of(one, study.parameters.seed) for one in ranked],
        votes=votes[0],
        stored=stored,
        left_out=_number_of_scenarios(study) - len(scenarios) + (study.board == OVERALL),
    )


def expected(first: float, second: float) -> float:
    """The share of battles that a model with the first rating is expected to win against one with the second."""
    return float(1 / (1 + elo.BASE ** ((second - first) / elo.SCALE)))


def _scenarios(study: ReportData) -> list[str]:
    """The board that comes first, and each scenario: those with the most votes where there are very many."""
    if study.board != OVERALL:
        return [study.board]
    votes = Counter(row["scenario"] for row in study.votes.rows)
    return [OVERALL, *sorted(name for name, _ in votes.most_common(MOST_SCENARIOS))]


def _number_of_scenarios(study: ReportData) -> int:
    return len({row["scenario"] for row in study.votes.rows})


def _of(rows: Sequence[Mapping[str, Any]], scenario: str) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["scenario"] == scenario]


def _other(parameters: RankParameters) -> RankParameters:
    return parameters.by_bradley_terry if parameters.method == "elo" else replace(parameters, method="elo")


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
