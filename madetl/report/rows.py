"""Reads a study for its report: every row through a file of sql/, all of one moment of the database. Nothing changes.

What comes out, `ReportData`, is all that the sections know.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from madetl import status
from madetl.errors import ParameterError
from madetl.judgment import agreement
from madetl.ranking.votes import RankParameters
from madetl.report.content import OVERALL, Source
from madetl.store import sqlfiles
from madetl.store.scope import check_scenarios, check_selections, names_json
from madetl.store.scope import selections as all_selections

BATTLES_PER_MODEL = 3
BIN_WIDTH = 0.02  # of the histograms of similarity
_RUNS_NAMED = 10


@dataclass(frozen=True)
class ReportedAlpha:
    """Krippendorff's alpha of people's verdicts with its 95 % interval; it does not depend on the order of models.

    `shared`: response pairs with verdicts of two people or more. None where chance alone would give full agreement.
    """

    alpha: float | None
    lower: float | None
    upper: float | None
    shared: int


@dataclass(frozen=True)
class Result:
    """The rows of one query, and the query."""

    rows: Sequence[Mapping[str, Any]]
    source: Source


@dataclass(frozen=True)
class SelectionData:
    """One selection: its parameters, and what it was made from. `parameters` is the row of selections_to_report.sql."""

    parameters: Mapping[str, Any]
    histogram: Result
    levels: Result
    filters: Result
    picks: Result
    pool: Result


_BY_DIFFERENCE = ("mad", "evidence")  # strategies of selections


@dataclass(frozen=True)
class ReportData:
    """All that a report tells about: the scenarios and selections of `parameters` (none: all).

    `ranking` is the run of `madetl rank` that is reported (a row of ranking_runs.sql; None: nothing is ranked), `asked`
    whether somebody named it. Votes are those that this ranking counts: `voters` says whose.
    """

    parameters: RankParameters
    voters: str
    ranking: Mapping[str, Any] | None
    asked: bool
    ratings: Result
    votes: Result
    pairs: Result
    scenarios: Result
    clearest: Result
    selections: Sequence[SelectionData]
    annotators: Result
    common: Result
    alpha: ReportedAlpha | None
    spend: Result
    models: Result
    metrics: Result
    runs: Result
    instructions: int
    next: Sequence[status.NextStep]

    @property
    def scenario(self) -> str | None:
        """The scenarios by name; None: all."""
        return ", ".join(self.parameters.scenarios) or None

    @property
    def board(self) -> str:
        """The name of the leaderboard that comes first."""
        return _board(self.parameters.scenarios)

    @property
    def votes_on_picks(self) -> int:
        """How many of the votes are on answers that a selection picked because they differ."""
        picks = {
            (pick["response_a_id"], pick["response_b_id"])
            for selection in self.selections
            if selection.parameters["strategy"] in _BY_DIFFERENCE
            for pick in selection.picks.rows
        }
        return sum((vote["response_a_id"], vote["response_b_id"]) in picks for vote in self.votes.rows)

    @property
    def names(self) -> dict[int, str]:
        """models.id → name."""
        return {row["model_id"]: row["model"] for row in self.models.rows}


def read(
    db: sqlite3.Connection, scenarios: Sequence[str] = (), selections: Sequence[str] = (), run_id: int | None = None
) -> ReportData:
    """Reads everything. Without `selections`, votes are those that the ranking reported counts.

    Raises ParameterError for a scenario, a selection or a ranking run that is not there, and for selections beside a
    run, which has its own.
    """
    if run_id is not None and selections:
        raise ParameterError("A run counts the votes that it was told to: give --run or --selection.")
    check_scenarios(db, scenarios)
    check_selections(db, selections)
    ranking = _ranking(db, scenarios, selections, run_id)
    parameters = _parameters(ranking)
    check_selections(db, parameters.selections)
    if scenarios or run_id is None:
        parameters = replace(parameters, scenarios=tuple(scenarios))
    if selections:
        parameters = replace(parameters, selections=tuple(selections))
    found = status.status(db)
    alpha = _alpha(db, parameters)
    db.execute("BEGIN")  # one moment of the database, though others may be writing
    try:
        return _read(db, parameters, ranking, asked=run_id is not None, found=found, alpha=alpha)
    finally:
        db.rollback()


def _board(scenarios: Sequence[str]) -> str:
    return scenarios[0] if len(scenarios) == 1 else OVERALL


def _read(
    db: sqlite3.Connection,
    parameters: RankParameters,
    ranking: Mapping[str, Any] | None,
    *,
    asked: bool,
    found: status.Status,
    alpha: ReportedAlpha | None,
) -> ReportData:
    counted = parameters.counted
    scenarios = {"scenarios": counted["scenarios"]}
    scope = scenarios | {"selections": counted["selections"]}
    run = {"run_id": ranking["run_id"] if ranking else None}
    return ReportData(
        parameters=parameters,
        voters=_voters(parameters),
        ranking=ranking,
        asked=asked,
        ratings=_rows(db, "report/ratings_of_run", run | scenarios),
        votes=_rows(db, "report/votes_to_report", counted),
        pairs=_rows(db, "report/pair_records", counted),
        scenarios=_rows(db, "report/scenario_records", counted),
        clearest=_rows(db, "report/clearest_wins_and_losses", {"per_model": BATTLES_PER_MODEL} | counted),
        selections=[
            _selection(db, dict(row), parameters.scenarios)
            for row in _rows(db, "report/selections_to_report", scope).rows
        ],
        annotators=_rows(db, "report/annotator_figures", scope),
        common=_rows(db, "report/verdicts_in_common", scope),
        alpha=alpha,
        spend=_rows(db, "report/money_and_tokens", {}),
        models=_rows(db, "report/models_to_report", scenarios),
        metrics=_rows(db, "report/metrics_to_report", {}),
        runs=_rows(db, "store/run_list", {}),
        instructions=sum(
            row["instructions"]
            for row in found.scenarios
            if row["scenario"] in (parameters.scenarios or (row["scenario"],))
        ),
        next=found.next,
    )


def _alpha(db: sqlite3.Connection, parameters: RankParameters) -> ReportedAlpha | None:
    """Alpha of all verdicts of the scenarios and selections; None where nothing is judged."""
    try:
        [first, *_] = agreement.report(db, scenarios=parameters.scenarios, selections=parameters.selections).scenarios
    except ParameterError:  # nobody has judged anything
        return None
    found = first.alpha_unordered
    return ReportedAlpha(found.alpha, found.lower, found.upper, first.shared)


def _rows(db: sqlite3.Connection, name: str, parameters: Mapping[str, Any]) -> Result:
    sql = sqlfiles.query(name)
    rows = [dict(row) for row in db.execute(sql, parameters)]
    return Result(rows, Source(name.partition("/")[2], sql, parameters))


def _ranking(
    db: sqlite3.Connection, scenarios: Sequence[str], selections: Sequence[str], run_id: int | None
) -> Mapping[str, Any] | None:
    """The ranking asked for; else the latest of people's votes, by Elo if there is one, as in the view leaderboard.

    The overall leaderboard is that of a run of just these scenarios, and with `selections` of just these.
    """
    board = _board(scenarios)
    rankings = _rows(db, "report/ranking_runs", {"scenario": board}).rows
    if run_id is not None:
        chosen = [row for row in rankings if row["run_id"] == run_id]
        if not chosen:
            raise ParameterError(_no_such_run(run_id, board, [row["run_id"] for row in rankings]))
        return chosen[0]
    if board == OVERALL:
        rankings = [row for row in rankings if set(_parameters(row).scenarios) == set(scenarios)]
    if selections:
        rankings = [row for row in rankings if row["selections"] == names_json(selections)]
    there = set(all_selections(db))
    rankings = [row for row in rankings if there.issuperset(_parameters(row).selections)]
    order = sorted(rankings, key=lambda row: (row["annotators"] != "people", row["method"] != "elo", -row["run_id"]))
    return order[0] if order else None


def _no_such_run(run_id: int, board: str, known: Sequence[int]) -> str:
    if not known:
        return f"Run {run_id} holds no ranking ({board}): nothing is ranked yet. `madetl rank` ranks."
    more = " …" if len(known) > _RUNS_NAMED else ""
    return (
        f"Run {run_id} holds no ranking ({board}). Rankings, the latest first: {str(known[:_RUNS_NAMED])[1:-1]}{more}"
    )


def _parameters(ranking: Mapping[str, Any] | None) -> RankParameters:
    """The parameters of a stored ranking, or the defaults; the scenario apart, which is the report's."""
    if ranking is None:
        return RankParameters()
    stored = json.loads(ranking["parameters"])
    known = {field.name: stored[field.name] for field in fields(RankParameters) if field.name in stored}
    for name in ("scenarios", "selections", "annotators", "without", "anchor"):
        if known.get(name) is not None:
            known[name] = tuple(known[name])
    return RankParameters(**known)


def _voters(parameters: RankParameters) -> str:
    if parameters.annotators:
        return "annotators"
    return "judge models" if parameters.judges else "people"


def _selection(db: sqlite3.Connection, row: Mapping[str, Any], scenarios: Sequence[str]) -> SelectionData:
    """`row` is the selection's; its pool is that of those of its own scenarios that are reported."""
    own = json.loads(row["scenarios"] or "[]")
    both = [name for name in scenarios if name in own] if scenarios and own else scenarios or own
    scope = {"scenarios": names_json(both), "generation": row["generation"]}
    pool = {name: row[name] for name in ("metric_id", "min_words", "max_length_ratio")}
    # What nobody had judged when it was picked has been judged since: it counts as all.
    pool["pairs"] = "judged" if row["candidates"] == "judged" else "all"
    this = {"set_id": row["set_id"]}
    return SelectionData(
        parameters=row,
        histogram=_rows(db, "report/similarity_histogram", {"width": BIN_WIDTH} | pool | scope),
        levels=_rows(db, "report/similarity_levels", this | pool | scope),
        filters=_rows(db, "selection/filter_counts", pool | scope | {"model_ids": None}),
        picks=_rows(db, "report/picks_to_report", this | scope),
        pool=_rows(db, "report/pool_and_picks", this | {"metric_id": row["metric_id"]} | scope),
    )
