"""The ranking stage: votes out of `judgments`, leaderboards into `ratings`.

What comes in is an open database and `RankParameters`; what goes out are `Leaderboard`s and, from `rank`, one run with
their rows. The numbers are made in `leaderboards`, which knows no database. Nothing here prints.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from madetl.errors import ParameterError
from madetl.ranking.leaderboards import Leaderboard, LeaderboardLine, leaderboard
from madetl.ranking.votes import RankParameters, Votes, in_words, item_outcomes
from madetl.store import runs, sqlfiles
from madetl.store.annotators import stored_names
from madetl.store.database import insert_rows, transaction
from madetl.store.scope import check_selections, model_names, names_json
from madetl.text import Note, agreeing, counted

__all__ = ["Leaderboard", "LeaderboardLine", "Note", "RankParameters", "Ranking", "compute", "rank", "read_votes"]

_ROWS_AT_A_TIME = 50_000
_MAX_NAMED = 20
OVERALL = "overall"  # the leaderboard of all scenarios that are ranked


@dataclass(frozen=True)
class Ranking:
    """One stored ranking: the leaderboard 'overall' first (unless one scenario was asked for), then each scenario's.

    'overall' is of the scenarios that were asked for. `bradley_terry`: the same votes by that method, stored nowhere,
    beside Elo's leaderboards, in their order (none where Bradley–Terry's is the ranking). `by_selection`: where all
    votes were ranked, how many are on what each selection picked, and on what none did (None); empty where all of them
    are of one selection.
    """

    run_id: int
    voters: str
    leaderboards: list[Leaderboard]
    bradley_terry: list[Leaderboard]
    by_selection: dict[str | None, int]
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
    parameters = of_stored_names(db, parameters)
    voters = _voters(db, parameters)
    votes = read_votes(db, parameters)
    by_selection = _by_selection(db, parameters)
    with runs.run(db, "rank", asdict(parameters), parameters.seed) as this:
        boards = compute(votes, parameters, progress)
        with transaction(db):
            for board, one in zip(boards, votes, strict=True):
                _store(
                    db,
                    (this.id, board.scenario, parameters.method, voters.label, parameters.counted["selections"]),
                    board,
                    dict(zip(one.models, one.model_ids, strict=True)),
                )
        this.summary = _summary(parameters, voters, boards[0])
    beside = [] if parameters.method == "bt" else compute(votes, parameters.by_bradley_terry)
    return Ranking(this.id, voters.label, boards, beside, by_selection, this.summary)


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
    parameters = of_stored_names(db, parameters)
    voters = _voters(db, parameters)
    check_selections(db, parameters.selections)
    db.execute("BEGIN")  # one moment of the database, though others may be writing votes
    try:
        rows = db.execute(sqlfiles.query("ranking/votes_per_scenario"), parameters.counted).fetchall()
        _check_scenarios(db, rows, parameters, voters)
        if len(parameters.scenarios) == 1:  # it is overall, too
            rows = [row for row in rows if row["scenario"] != OVERALL]
        votes = [_votes_of(db, row, parameters) for row in rows]
    finally:
        db.execute("ROLLBACK")
    _check_anchor(votes, parameters)
    return votes


def of_stored_names(db: sqlite3.Connection, parameters: RankParameters) -> RankParameters:
    """The parameters with annotators' names as they are stored, however they were typed."""
    names, without = (stored_names(db, given) for given in (parameters.annotators, parameters.without))
    return replace(parameters, annotators=names, without=without)


def _voters(db: sqlite3.Connection, parameters: RankParameters) -> _Voters:
    names, without = (tuple(sorted(set(given))) for given in (parameters.annotators, parameters.without))
    known = [row["name"] for row in db.execute(sqlfiles.query("ranking/votes_per_annotator"))]
    unknown = [name for name in (*names, *without) if name not in known]
    if unknown:
        raise ParameterError(f"There is no annotator {_listed(unknown)}. {_known('annotators', known)}")
    kind = None if names else "model" if parameters.judges else "person"
    return _Voters(kind, names, without, parameters.votes == "majority")


def _by_selection(db: sqlite3.Connection, parameters: RankParameters) -> dict[str | None, int]:
    """Votes of each selection, and of none (None); nothing where the choice is made, or there is none to make."""
    if parameters.selections:
        return {}
    rows = db.execute(sqlfiles.query("ranking/votes_per_selection"), parameters.counted)
    found = {row["selection"]: row["votes"] for row in rows}
    return found if len(found) > 1 else {}


def _nothing_to_rank(db: sqlite3.Connection, voters: _Voters, selections: Sequence[str]) -> str:
    """What is missing, and the next command."""
    votes = {"person": 0, "model": 0}
    for row in db.execute(sqlfiles.query("ranking/votes_per_annotator")):
        votes["model" if row["kind"] == "model" else "person"] += row["votes"]
    if not any(votes.values()):
        return (
            "There are no votes to rank. Make a sheet with `madetl export annotations -o sheet.csv`, and when it is "
            "filled in, read it with `madetl import judgments sheet.csv --annotator NAME`."
        )
    if selections:
        return f"There are none of {voters.words} on what {_listed(selections)} picked. `madetl status` shows progress."
    if voters.names:
        return f"No votes by {_listed(voters.names)}. Without --annotator, all people's votes are ranked."
    if voters.without and votes[voters.kind or "person"]:
        return f"No votes are left without {_listed(voters.without)}. `madetl status` shows who has judged."
    if voters.kind == "model":
        return f"No votes by judge models. {_there_are(votes['person'])} by people: `madetl rank` ranks by these."
    return f"No votes by people. {_there_are(votes['model'])} by judge models: `madetl rank --judges` ranks by these."


def _there_are(number: int) -> str:
    return f"There {agreeing(number)['are']} {number:,}"


def _check_scenarios(
    db: sqlite3.Connection, rows: Sequence[sqlite3.Row], parameters: RankParameters, voters: _Voters
) -> None:
    """Raises ParameterError where there are no votes, or none in one of the scenarios. `rows` are what there is."""
    voted = {row["scenario"] for row in rows} - {OVERALL}
    missing = [name for name in parameters.scenarios if name not in voted]
    if voted and not missing:
        return
    everywhere = parameters.counted | {"scenarios": None}
    known = [row["scenario"] for row in db.execute(sqlfiles.query("ranking/votes_per_scenario"), everywhere)]
    if not known:
        raise ParameterError(_nothing_to_rank(db, voters, parameters.selections))
    known.remove(OVERALL)
    raise ParameterError(
        f"There are no such votes in a scenario {', '.join(map(repr, missing))}. {_known('scenarios', known)}"
    )


def _check_anchor(votes: list[Votes], parameters: RankParameters) -> None:
    known = {name for one in votes for name in one.models}
    if parameters.anchor and parameters.anchor[0] not in known:
        raise ParameterError(f"The anchor {parameters.anchor[0]!r} has no battles. {_known('models', sorted(known))}")


def _votes_of(db: sqlite3.Connection, counts: sqlite3.Row, parameters: RankParameters) -> Votes:
    bindings = parameters.counted
    if counts["scenario"] != OVERALL:
        bindings |= {"scenarios": names_json([counts["scenario"]])}
    counted = {key: counts[key] for key in ("battles", "ties", "both_bad", "items", "annotators")}
    counted["crowds"] = sorted(json.loads(counts["crowds"]))
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
    db: sqlite3.Connection, key: tuple[int, str, str, str, str | None], board: Leaderboard, model_ids: dict[str, int]
) -> None:
    """Writes one leaderboard; `key` is its run, scenario, method, annotators and selections."""
    numbers = ("rating", "lower", "upper", "rank", "battles", "component", "remark", "probability_best")
    rows = [(*key, model_ids[line.model], *(getattr(line, name) for name in numbers)) for line in board.ratings]
    insert_rows(db, "ratings", ("run_id", "scenario", "method", "annotators", "selections", "model_id", *numbers), rows)


def _summary(parameters: RankParameters, voters: _Voters, board: Leaderboard) -> str:
    counts = board.counts
    selections = f" on what {_listed(parameters.selections)} picked" if parameters.selections else ""
    return (
        f"{parameters.method}, {counted(parameters.rounds, 'round')} of {parameters.resample}, {voters.words}"
        f"{selections}: {counted(len(board.ratings), 'model')}, {counted(counts['battles'], 'battle')} on "
        f"{counted(counts['items'], 'item')} by {in_words(counts['annotators'], 'annotator', counts['crowds'])} "
        f"({board.scenario})"
    )


def _known(what: str, names: Sequence[str]) -> str:
    return f"Known {what}: {_listed(names)}." if names else f"There are no {what} yet."


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED:,} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + more
