"""The ranking stage: votes out of `judgments`, leaderboards into `ratings`.

What comes in is an open database and `RankParameters`; what goes out are `Leaderboard`s and, from `rank`, one run with
their rows. The numbers are made in `leaderboards`, which knows no database. Nothing here prints.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from madetl.errors import ParameterError
from madetl.ranking.leaderboards import Leaderboard, LeaderboardLine, leaderboard
from madetl.ranking.votes import RankParameters, Votes, item_outcomes
from madetl.records import Note
from madetl.store import runs, sqlfiles
from madetl.store.database import insert_rows, transaction
from madetl.store.scope import model_names
from madetl.text import counted

__all__ = ["Leaderboard", "LeaderboardLine", "Note", "RankParameters", "Ranking", "compute", "rank", "read_votes"]

_ROWS_AT_A_TIME = 50_000
_MAX_NAMED = 20


@dataclass(frozen=True)
class Ranking:
    """One stored ranking: the leaderboard 'overall' first (unless one scenario was asked for), then each scenario's."""

    run_id: int
    voters: str
    leaderboards: list[Leaderboard]
    summary: str


@dataclass(frozen=True)
class _Voters:
    """Whose votes count, but for those `without`: all of one kind, or those named; and what the ranking calls them."""

    kind: str | None
    names: tuple[str, ...]
    without: tuple[str, ...]
    majority: bool

    @property
    def label(self) -> str:
        """What the column ratings.annotators holds."""
        who = {"person": "people", "model": "judges"}.get(self.kind or "", json.dumps(self.names, ensure_ascii=False))
        but = f" except {json.dumps(self.without, ensure_ascii=False)}" if self.without else ""
        return f"{who}{but}{' (majority)' if self.majority else ''}"

    @property
    def words(self) -> str:
        """The same for a reader."""
        whose = {"person": "people's votes", "model": "judge models' votes"}.get(self.kind or "")
        whose = whose or f"votes of {_listed(self.names)}"
        but = f" without {_listed(self.without)}" if self.without else ""
        return f"{'the majority of ' if self.majority else ''}{whose}{but}"


def rank(
    db: sqlite3.Connection, parameters: RankParameters, progress: Callable[[int, int], None] = lambda done, total: None
) -> Ranking:
    """Ranks, and stores the leaderboards under a run of their own: a ranking is a snapshot, and each is kept.

    Raises ParameterError where there is nothing to rank, or an annotator, a scenario or an anchor is unknown.
    """
    voters = _voters(db, parameters)
    votes = read_votes(db, parameters)
    with runs.run(db, "rank", asdict(parameters), parameters.seed) as this:
        boards = compute(votes, parameters, progress)
        with transaction(db):
            for board, one in zip(boards, votes, strict=True):
                _store(
                    db,
                    (this.id, board.scenario, parameters.method, voters.label),
                    board,
                    dict(zip(one.models, one.model_ids, strict=True)),
                )
        this.summary = _summary(parameters, voters, boards[0])
    return Ranking(this.id, voters.label, boards, this.summary)


def compute(
    votes: Sequence[Votes],
    parameters: RankParameters,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Leaderboard]:
    """A leaderboard for each of `votes`, nothing stored. Each begins with the same seed, so none depends on another."""
    total = parameters.rounds * len(votes)
    boards: list[Leaderboard] = []
    for one in votes:
        boards.append(leaderboard(one, parameters, _from(parameters.rounds * len(boards), total, progress)))
    return boards


def _from(before: int, total: int, progress: Callable[[int, int], None]) -> Callable[[int], None]:
    return lambda rounds: progress(before + rounds, total)


def read_votes(db: sqlite3.Connection, parameters: RankParameters) -> list[Votes]:
    """The votes of each leaderboard that `parameters` ask for, 'overall' first. Raises what `rank` raises."""
    voters, everywhere = _voters(db, parameters), parameters.whose | {"scenario": None}
    db.execute("BEGIN")  # one moment of the database, though others may be writing votes
    try:
        rows = db.execute(sqlfiles.query("ranking/votes_per_scenario"), everywhere).fetchall()
        if not rows:
            raise ParameterError(_nothing_to_rank(db, voters))
        chosen = _of_scenario(rows, parameters.scenario)
        votes = [_votes_of(db, row, parameters) for row in chosen]
    finally:
        db.execute("ROLLBACK")
    _check_anchor(votes, parameters)
    return votes


def _voters(db: sqlite3.Connection, parameters: RankParameters) -> _Voters:
    names, without = (tuple(sorted(set(given))) for given in (parameters.annotators, parameters.without))
    known = [row["name"] for row in db.execute(sqlfiles.query("ranking/votes_per_annotator"))]
    unknown = [name for name in (*names, *without) if name not in known]
    if unknown:
        raise ParameterError(f"There is no annotator {_listed(unknown)}. {_known('annotators', known)}")
    kind = None if names else "model" if parameters.judges else "person"
    return _Voters(kind, names, without, parameters.votes == "majority")


def _nothing_to_rank(db: sqlite3.Connection, voters: _Voters) -> str:
    """What is missing, and the next command."""
    votes = {"person": 0, "model": 0}
    for row in db.execute(sqlfiles.query("ranking/votes_per_annotator")):
        votes[row["kind"]] += row["votes"]
    if not any(votes.values()):
        return (
            "There are no votes to rank. Make a sheet with `madetl export annotations -o sheet.csv`, and when it is "
            "filled in, read it with `madetl import judgments sheet.csv --annotator NAME`."
        )
    if voters.names:
        return f"No votes by {_listed(voters.names)}. Without --annotator, all people's votes are ranked."
    if voters.without and votes[voters.kind or "person"]:
        return f"No votes are left without {_listed(voters.without)}. `madetl status` shows who has judged."
    if voters.kind == "model":
        return f"No votes by judge models. There are {votes['person']:,} by people: `madetl rank` ranks those."
    return f"No votes by people. There are {votes['model']:,} by judge models: `madetl rank --judges` ranks those."


def _of_scenario(rows: list[sqlite3.Row], scenario: str | None) -> list[sqlite3.Row]:
    if scenario is None:
        return rows
    chosen = [row for row in rows if row["scenario"] == scenario]
    if scenario == "overall" or not chosen:
        known = [row["scenario"] for row in rows if row["scenario"] != "overall"]
        raise ParameterError(f"There are no such votes in a scenario {scenario!r}. {_known('scenarios', known)}")
    return chosen


def _check_anchor(votes: list[Votes], parameters: RankParameters) -> None:
    known = {name for one in votes for name in one.models}
    if parameters.anchor and parameters.anchor[0] not in known:
        raise ParameterError(f"The anchor {parameters.anchor[0]!r} has no battles. {_known('models', sorted(known))}")


def _votes_of(db: sqlite3.Connection, counts: sqlite3.Row, parameters: RankParameters) -> Votes:
    scenario = None if counts["scenario"] == "overall" else counts["scenario"]
    bindings = parameters.whose | {"scenario": scenario}
    counted = {key: counts[key] for key in ("battles", "ties", "both_bad", "items", "annotators")}
    with_order = parameters.method == "elo"
    if parameters.votes == "majority":
        *columns, tie, both_bad = _columns(db, "ranking/majority_verdicts", bindings)
        counted |= {"battles": len(tie), "ties": int(tie.sum()), "both_bad": int(both_bad.sum())}
        outcomes, battles = item_outcomes(*columns), np.stack(columns) if with_order else None
    else:
        outcomes = _columns(db, "ranking/item_outcomes", bindings)
        battles = _columns(db, "ranking/battles_in_order", bindings) if with_order else None
    return Votes.from_columns(counts["scenario"], model_names(db), counted, outcomes, battles)


def _columns(db: sqlite3.Connection, query: str, bindings: dict[str, str | None]) -> NDArray[np.int64]:
    """The columns of a query that gives whole numbers, as rows of an array; read in pieces, since tuples take room."""
    cursor = db.cursor()
    cursor.row_factory = None
    cursor.execute(sqlfiles.query(query), bindings)
    pieces = [np.empty((0, len(cursor.description)), dtype=np.int64)]
    while rows := cursor.fetchmany(_ROWS_AT_A_TIME):
        pieces.append(np.array(rows, dtype=np.int64))
    return np.ascontiguousarray(np.concatenate(pieces).T)


def _store(
    db: sqlite3.Connection, key: tuple[int, str, str, str], board: Leaderboard, model_ids: dict[str, int]
) -> None:
    """Writes one leaderboard; `key` is its run, scenario, method and annotators."""
    numbers = ("rating", "lower", "upper", "rank", "battles", "component", "remark", "probability_best")
    rows = [(*key, model_ids[line.model], *(getattr(line, name) for name in numbers)) for line in board.ratings]
    insert_rows(db, "ratings", ("run_id", "scenario", "method", "annotators", "model_id", *numbers), rows)


def _summary(parameters: RankParameters, voters: _Voters, board: Leaderboard) -> str:
    counts = board.counts
    return (
        f"{parameters.method}, {counted(parameters.rounds, 'round')} of {parameters.resample}, {voters.words}: "
        f"{counted(len(board.ratings), 'model')}, {counted(counts['battles'], 'battle')} "
        f"on {counted(counts['items'], 'item')} by {counted(counts['annotators'], 'annotator')} ({board.scenario})"
    )


def _known(what: str, names: Sequence[str]) -> str:
    return f"Known {what}: {_listed(names)}." if names else f"There are no {what} yet."


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED:,} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + more
