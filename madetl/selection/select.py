"""Stage 4: MAD selection, the response pairs that people should judge. Reads `similarities`, writes `selections`.

How to pick stands in `selection.strategies` (the top K without diversity in sql/selection/mad_picks.sql), what may be
picked in sql/selection/eligible.sql, what a selection is, and whether a run may extend it, in `selection.sets`, and
what a run tells in `selection.results`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import count
from typing import Any

from madetl.errors import ParameterError
from madetl.selection import results, sets
from madetl.selection.results import FilterCounts, PairPicks, SelectionResult
from madetl.selection.sets import Adaptive, Ending, SelectionParameters, SelectionRequest
from madetl.selection.strategies import Known, Pick, next_picks
from madetl.store import pool, sqlfiles
from madetl.store.database import insert_rows, transaction
from madetl.store.metrics import metric_label
from madetl.store.runs import run
from madetl.store.selections import LATEST, latest_adaptive, set_row

__all__ = [
    "Adaptive",
    "Ending",
    "FilterCounts",
    "PairPicks",
    "SelectionParameters",
    "SelectionResult",
    "ending",
    "grow",
    "growing",
    "keep",
    "select",
]

_FIELDS = ("instruction_id", "response_a_id", "response_b_id", "score", "cost", "probability")
_COLUMNS = ("set_id", "run_id", "pair_id", "rank", *_FIELDS)


def select(db: sqlite3.Connection, parameters: SelectionParameters) -> SelectionResult:
    """Picks response pairs and stores them, extending the selection of that name if there is one.

    Raises ParameterError for an unknown name, for parameters other than those of the selection, and where nothing is
    measured or eligible.
    """
    request = sets.resolve(db, parameters)
    with run(db, "select", _recorded(db, request, parameters), request.columns["seed"]) as this:
        counts = db.execute(sqlfiles.query("selection/filter_counts"), request.scope).fetchall()
        filters = results.total(counts)
        _check_candidates(db, request, filters)
        if not request.shrinks:
            _extend(db, request, parameters, this.id)
        result = results.result(db, request, this.id, [row["pair_id"] for row in counts], filters)
        this.summary = _stored_summary(result)
    return result


def _recorded(db: sqlite3.Connection, request: SelectionRequest, parameters: SelectionParameters) -> dict[str, Any]:
    """As options of the command, so that they can be given again."""
    named = {"name": request.name, "metric": metric_label(db, request.columns["metric_id"])}
    given = asdict(parameters) | parameters.filters | named
    plan = given.pop("adaptive")
    if plan is None:
        return given | {"top_k": parameters.top_k or request.target_k}
    return {**given, "adaptive": True, **plan, "budget": request.budget}


def _stored_summary(result: SelectionResult) -> str:
    """The closing line, the warnings, and at the end the filters' counts as JSON, for whoever reports on the study."""
    lines = [result.summary, *(f"Warning: {warning}" for warning in result.warnings)]
    return "\n".join([*lines, json.dumps({"filters": asdict(result.filters)})])


def _check_candidates(db: sqlite3.Connection, request: SelectionRequest, filters: FilterCounts) -> None:
    """Raises ParameterError where there is nothing to pick from. A selection that exists may find nothing new."""
    words = f"instructions ({pool.described(db, request.columns)})"
    if request.columns["candidates"] == "judged" and not results.possible(db, request):
        raise ParameterError(
            f"There is no judgment of these models and {words} yet, and --pairs judged picks from those judged. "
            "Import some (`madetl import --help`) or leave --pairs out."
        )
    if not filters.measured and not (request.found and request.columns["candidates"] == "unjudged"):
        label = metric_label(db, request.columns["metric_id"])
        which = {"all": "", "judged": "judged ", "unjudged": "unjudged "}[request.columns["candidates"]]
        how = results.measuring(db, request)
        raise ParameterError(f"No {which}response pair of these models and {words} is measured with {label}. {how}")
    if not filters.eligible and request.found is None:
        removed = filters.removed(request.columns["min_words"], request.columns["max_length_ratio"])
        reasons = ", ".join(f"{number} because {what}" for what, number, _ in removed if number)
        raise ParameterError(
            f"None of {filters.measured} measured response pairs is eligible: {reasons}. "
            "Lower --min-words or raise --max-length-ratio (0 switches either off)."
        )


def _extend(db: sqlite3.Connection, request: SelectionRequest, parameters: SelectionParameters, run_id: int) -> None:
    """Picks what is missing and stores it; picks anew if another run extended the selection in the meantime.

    Picking happens outside the transaction, since it may take seconds and others want to write.
    """
    while True:
        known = _known(db, request)
        picks = _next(db, request, known)
        with transaction(db):
            if set_row(db, request.name) == request.found and _known(db, request) == known:
                _store(db, request, picks, known, run_id)
                return
        request = sets.resolve(db, parameters)


def _next(db: sqlite3.Connection, request: SelectionRequest, known: Known) -> list[Pick]:
    if request.adaptive is None:
        return next_picks(db, request, known)
    from madetl.selection.adaptive import grow

    return grow.next_picks(db, request, known)


def growing(db: sqlite3.Connection, name: str, plan: Adaptive, seed: int) -> SelectionRequest:
    """The adaptive selection that is to grow; 'latest' is the adaptive one extended last, or else one of the defaults.

    Writes nothing: `keep` does. Raises ParameterError where it is not adaptive or has a larger budget already, and
    where one would have to be begun without a budget, or from nothing.
    """
    if name == LATEST:
        latest = latest_adaptive(db)
        if latest is None:
            return _new(db, SelectionParameters(adaptive=plan, seed=seed))
        name = latest["name"]
    request = sets.reopen(db, name, plan)
    if request.shrinks:
        raise ParameterError(
            f"{request.name} has a budget of {request.budget} response pairs already, and a selection does not shrink "
            f"to {plan.budget}. Leave --budget out to go on with what it has."
        )
    return request


def _new(db: sqlite3.Connection, parameters: SelectionParameters) -> SelectionRequest:
    request = sets.resolve(db, parameters)
    counts = db.execute(sqlfiles.query("selection/filter_counts"), request.scope).fetchall()
    _check_candidates(db, request, results.total(counts))
    return request


def keep(db: sqlite3.Connection, request: SelectionRequest, run_id: int) -> int:
    """Makes the row of an adaptive selection without a pick, or raises its budget; returns its id.

    Call it in a `transaction`.
    """
    return sets.save(db, request, request.found["top_k"] if request.found else 1, run_id)


def ending(db: sqlite3.Connection, name: str, plan: Adaptive) -> Ending | None:
    """Why an adaptive selection picks no more, by the votes that are in; None: `grow` would add a pick."""
    from madetl.selection.adaptive import grow

    return grow.ending(db, sets.reopen(db, name, plan))


def grow(db: sqlite3.Connection, name: str, plan: Adaptive, run_id: int) -> int:
    """Adds the next pick to an adaptive selection, whatever waits for a vote; returns how many it added: 1, or 0.

    The page calls it in the transaction that assigns. Raises ParameterError where it is not adaptive.
    """
    from madetl.selection.adaptive import grow

    request = sets.reopen(db, name, plan)
    known = _known(db, request)
    picks = grow.next_picks(db, request, known, most=1)
    _store(db, request, picks, known, run_id)
    return len(picks)


def _store(db: sqlite3.Connection, request: SelectionRequest, picks: Sequence[Pick], known: Known, run_id: int) -> None:
    rows = list(_ranked(picks, known))
    ranks = (*(rank for _, rank in rows), *(rank for taken in known.values() for rank in taken))
    set_id = sets.save(db, request, max(ranks, default=1) if request.adaptive else request.target_k, run_id)
    fields = (tuple(getattr(pick, name) for name in _FIELDS) for pick, _ in rows)
    values = ((set_id, run_id, pick.pair_id, rank, *rest) for (pick, rank), rest in zip(rows, fields, strict=True))
    insert_rows(db, "selections", _COLUMNS, values)


def _known(db: sqlite3.Connection, request: SelectionRequest) -> Known:
    known: dict[int, dict[int, int]] = {}
    for row in db.execute("SELECT pair_id, rank, instruction_id FROM selections WHERE set_id = ?", (request.set_id,)):
        known.setdefault(row["pair_id"], {})[row["rank"]] = row["instruction_id"]
    return known


def _ranked(picks: Sequence[Pick], known: Known) -> Iterator[tuple[Pick, int]]:
    """Each pick with the lowest rank that is free: a deleted run may have left a gap."""
    free: dict[int, Iterator[int]] = {}
    for pick in picks:
        taken = known.get(pick.pair_id, {})
        ranks = free.setdefault(pick.pair_id, (rank for rank in count(1) if rank not in taken))
        yield pick, next(ranks)
