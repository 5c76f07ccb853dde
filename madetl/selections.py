"""Stage 4: MAD selection, the response pairs that people should judge. Reads `similarities`, writes `selections`.

How to pick stands in `madetl.selection.strategies`, what a selection is, and whether a run may extend it, in
`madetl.selection.sets`, and what a run tells in `madetl.selection.results`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import count
from typing import Any

from madetl import resources
from madetl.database import insert_rows, transaction
from madetl.errors import ParameterError
from madetl.metrics_store import metric_label
from madetl.runs import run
from madetl.selection import results, sets
from madetl.selection.results import FilterCounts, PairPicks, SelectionResult
from madetl.selection.sets import Request, SelectionParameters, find_set
from madetl.selection.strategies import Known, Pick, next_picks

__all__ = ["FilterCounts", "PairPicks", "SelectionParameters", "SelectionResult", "find_set", "select"]

_COLUMNS = ("set_id", "pair_id", "rank", "instruction_id", "response_a_id", "response_b_id", "score", "cost", "run_id")


def select(db: sqlite3.Connection, parameters: SelectionParameters) -> SelectionResult:
    """Picks response pairs and stores them, extending the selection of that name if there is one.

    Raises ParameterError for an unknown name, for parameters other than those of the selection, and where nothing is
    measured or eligible.
    """
    request = sets.resolve(db, parameters)
    with run(db, "select", _recorded(request, parameters), request.columns["seed"]) as this:
        counts = db.execute(resources.query("filter_counts"), request.scope).fetchall()
        filters = results.total(counts)
        _check_candidates(db, request, filters)
        if not request.shrinks:
            _extend(db, request, parameters, this.id)
        result = results.result(db, request, this.id, [row["pair_id"] for row in counts], filters)
        this.summary = _stored_summary(result)
    return result


def _recorded(request: Request, parameters: SelectionParameters) -> dict[str, Any]:
    return asdict(parameters) | {"name": request.name, "top_k": parameters.top_k or request.wanted_k}


def _stored_summary(result: SelectionResult) -> str:
    """The closing line, the warnings, and at the end the filters' counts as JSON, for whoever reports on the study."""
    lines = [result.summary, *(f"Warning: {warning}" for warning in result.warnings)]
    return "\n".join([*lines, json.dumps({"filters": asdict(result.filters)})])


def _check_candidates(db: sqlite3.Connection, request: Request, filters: FilterCounts) -> None:
    """Raises ParameterError where there is nothing to pick from. A selection that exists may find nothing new."""
    if request.columns["candidates"] == "judged" and not results.possible(db, request):
        raise ParameterError(
            "There is no judgment of these models and scenario yet, and --pairs judged picks from those judged. "
            "Import some (`madetl import --help`) or leave --pairs out."
        )
    if not filters.measured:
        label = metric_label(db, request.columns["metric_id"])
        which = "judged response pair" if request.columns["candidates"] == "judged" else "response pair"
        raise ParameterError(
            f"No {which} of these models and scenario is measured with {label}. {results.measuring(db, request)}"
        )
    if not filters.eligible and request.found is None:
        removed = filters.removed(request.columns["min_words"], request.columns["max_length_ratio"])
        reasons = ", ".join(f"{number} because {what}" for what, number, _ in removed if number)
        raise ParameterError(
            f"None of {filters.measured} measured response pairs is eligible: {reasons}. "
            "Lower --min-words or raise --max-length-ratio (0 switches either off)."
        )


def _extend(db: sqlite3.Connection, request: Request, parameters: SelectionParameters, run_id: int) -> None:
    """Picks what is missing and stores it; picks anew if another run extended the selection in the meantime.

    Picking happens outside the transaction, since it may take seconds and others want to write.
    """
    while True:
        known = _known(db, request)
        picks = next_picks(db, request, known)
        with transaction(db):
            if sets.set_row(db, request.name) == request.found and _known(db, request) == known:
                set_id = sets.save(db, request, run_id)
                insert_rows(db, "selections", _COLUMNS, _rows(picks, known, set_id, run_id))
                return
        request = sets.resolve(db, parameters)


def _known(db: sqlite3.Connection, request: Request) -> Known:
    known: dict[int, dict[int, int]] = {}
    for row in db.execute("SELECT pair_id, rank, instruction_id FROM selections WHERE set_id = ?", (request.set_id,)):
        known.setdefault(row["pair_id"], {})[row["rank"]] = row["instruction_id"]
    return known


def _rows(picks: Sequence[Pick], known: Known, set_id: int, run_id: int) -> Iterator[tuple[Any, ...]]:
    """The rows to insert. Each pick takes the lowest rank that is free: a deleted run may have left a gap."""
    free: dict[int, Iterator[int]] = {}
    for pick in picks:
        taken = known.get(pick.pair_id, {})
        ranks = free.setdefault(pick.pair_id, (rank for rank in count(1) if rank not in taken))
        yield (
            set_id,
            pick.pair_id,
            next(ranks),
            pick.instruction_id,
            pick.response_a_id,
            pick.response_b_id,
            pick.score,
            pick.cost,
            run_id,
        )
