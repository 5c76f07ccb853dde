"""What a run of `madetl select` tells: what the filters removed, what each model pair got, what to be warned of."""

from __future__ import annotations

import json
import shlex
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from madetl.selection.sets import SelectionRequest
from madetl.store import pool, sqlfiles
from madetl.store.metrics import measuring_options, metric_label
from madetl.store.selections import set_row
from madetl.text import agreeing, counted

_PAIRS_NAMED = 5  # in a warning; the rest is counted


@dataclass(frozen=True)
class FilterCounts:
    """What became of the measured response pairs: the filters one after another, and each by itself (`_alone`)."""

    measured: int = 0
    empty: int = 0
    few_words: int = 0
    lengths_differ: int = 0
    few_words_alone: int = 0
    lengths_differ_alone: int = 0
    eligible: int = 0

    def removed(self, min_words: int, max_length_ratio: float) -> list[tuple[str, int, int]]:
        """(what a filter takes away, how many when its turn comes, how many by itself), in the order of the filters.

        Those that are switched off are left out.
        """
        words = (f"an answer has {min_words} words or fewer", self.few_words, self.few_words_alone)
        lengths = (f"lengths differ {max_length_ratio:g} times or more", self.lengths_differ, self.lengths_differ_alone)
        filters = [("an answer is empty", self.empty, self.empty)]
        return filters + [words] * (min_words > 0) + [lengths] * (max_length_ratio > 0)


@dataclass(frozen=True)
class PairPicks:
    """What a selection holds of one pair of models; the scores are None where it holds nothing."""

    model_a: str
    model_b: str
    picks: int
    new: int
    lowest: float | None
    highest: float | None


@dataclass(frozen=True)
class SelectionResult:
    """What a run did. `pairs` are those of this run; `selected` and `judged` count the whole selection.

    `pool`: the instructions that it picks from, in words.
    """

    name: str
    run_id: int
    metric: str
    pool: str
    strategy: str
    top_k: int
    min_words: int
    max_length_ratio: float
    filters: FilterCounts
    pairs: Sequence[PairPicks]
    new: int
    selected: int
    judged: int
    warnings: Sequence[str]
    pair_policy: str
    budget: int | None  # of an adaptive selection
    stopped: str | None  # why an adaptive selection picks no more for now; None: it could

    @property
    def summary(self) -> str:
        """The closing line."""
        known = self.selected - self.new
        done = (
            f"{counted(self.new, 'response pair')} picked ({known} known)"
            if self.new
            else f"nothing to do ({known} known)"
        )
        size = f"K = {self.top_k}" if self.budget is None else f"{self.selected} of a budget of {self.budget}"
        why = f": {self.stopped}" if self.stopped and not self.new else ""
        return f"{self.name}: {done}, {counted(len(self.pairs), 'model pair')}, {size}{why}"


def total(counts: Sequence[sqlite3.Row] | Sequence[Mapping[str, Any]]) -> FilterCounts:
    """The sum of the rows of filter_counts.sql."""
    names = FilterCounts.__dataclass_fields__
    return FilterCounts(**{name: sum(row[name] for row in counts) for name in names})


def result(
    db: sqlite3.Connection, request: SelectionRequest, run_id: int, pair_ids: Sequence[int], filters: FilterCounts
) -> SelectionResult:
    """Reads back what the selection holds after the run."""
    row = set_row(db, request.name)
    assert row is not None, "a run that ends well leaves its selection"
    this = {"set_id": row["id"], "run_id": run_id}
    held = db.execute(sqlfiles.query("selection/selection_counts"), this).fetchone()
    pairs = _pairs(db, this | {"pair_ids": json.dumps(pair_ids)})
    return SelectionResult(
        name=row["name"],
        run_id=run_id,
        metric=metric_label(db, row["metric_id"]),
        pool=pool.described(db, request.columns),
        strategy=row["strategy"],
        top_k=row["top_k"],
        min_words=row["min_words"],
        max_length_ratio=row["max_length_ratio"],
        filters=filters,
        pairs=pairs,
        warnings=_warnings(db, request, pairs, row["top_k"], filters),
        pair_policy=row["pair_policy"],
        budget=row["budget"],
        stopped=_stopped(db, request, row),
        **{name: held[name] for name in ("new", "selected", "judged")},
    )


def _stopped(db: sqlite3.Connection, request: SelectionRequest, row: sqlite3.Row) -> str | None:
    if request.adaptive is None:
        return None
    from madetl.selection.adaptive import grow

    return grow.stopped(db, replace(request, found=row))


def _pairs(db: sqlite3.Connection, parameters: Mapping[str, Any]) -> list[PairPicks]:
    return [PairPicks(**dict(row)) for row in db.execute(sqlfiles.query("selection/picks_of_model_pairs"), parameters)]


def _warnings(
    db: sqlite3.Connection, request: SelectionRequest, pairs: Sequence[PairPicks], top_k: int, filters: FilterCounts
) -> list[str]:
    found = [_shrinks(request), _unmeasured(db, request, filters), _rewritten_since(db, request)]
    if request.adaptive is None:  # which promises no pair any number
        found.insert(1, _too_few(pairs, top_k))
    return [warning for warning in found if warning]


def _shrinks(request: SelectionRequest) -> str | None:
    if not request.shrinks:
        return None
    has, requested = f"K = {request.target_k}", request.top_k
    if request.adaptive:
        has, requested = f"a budget of {request.budget}", request.adaptive.budget
    return (
        f"{request.name} has {has} already, and a selection does not shrink to {requested}: nothing was done. "
        "--name begins another."
    )


def _too_few(pairs: Sequence[PairPicks], top_k: int) -> str | None:
    short = [pair for pair in pairs if pair.picks < top_k]
    if not short:
        return None
    named = [f"{pair.model_a} – {pair.model_b} ({pair.picks})" for pair in short[:_PAIRS_NAMED]]
    more = len(short) - len(named)
    return (
        f"{len(short)} of {counted(len(pairs), 'model pair')} {agreeing(len(short))['have']} fewer than {top_k} "
        f"candidates, and got what there is: {', '.join(named)}{f' and {more} more' if more else ''}."
    )


def possible(db: sqlite3.Connection, request: SelectionRequest) -> int:
    """How many response pairs the selection could be made from, measured or not."""
    parameters = {name: request.scope[name] for name in ("scenarios", "generation", "pairs", "model_ids")}
    return int(db.execute(sqlfiles.query("selection/response_pairs_to_measure"), parameters).fetchone()[0])


def _unmeasured(db: sqlite3.Connection, request: SelectionRequest, filters: FilterCounts) -> str | None:
    total_pairs = possible(db, request)
    missing = total_pairs - filters.measured
    label = metric_label(db, request.columns["metric_id"])
    if missing <= 0:
        return None
    return (
        f"{missing:,} of {counted(total_pairs, 'response pair')} {agreeing(missing)['are']} not measured with {label}: "
        f"they could not be picked, and what was picked stays. {measuring(db, request)}"
        f"{_at_a_price(db, request.columns['metric_id'])}"
    )


def _at_a_price(db: sqlite3.Connection, metric_id: int) -> str:
    """A word about money, where a chat model is asked about each pair."""
    kind = db.execute("SELECT json_extract(parameters, '$.kind') FROM metrics WHERE id = ?", (metric_id,)).fetchone()[0]
    return " --dry-run says what that costs." if kind == "llm" else ""


def measuring(db: sqlite3.Connection, request: SelectionRequest) -> str:
    """How to measure what a selection could be made from, as a sentence."""
    metric_id = request.columns["metric_id"]
    options = measuring_options(db, metric_id)
    if options is None:
        return f"The scores of {metric_label(db, metric_id)} came from files: import the rest in the same way."
    named = (f" --scenario {shlex.quote(name)}" for name in json.loads(request.columns["scenarios"] or "[]"))
    return f"`madetl similarity{options}{''.join(named)}{_generation_option(db, request)}` measures them."


def _generation_option(db: sqlite3.Connection, request: SelectionRequest) -> str:
    """The option of `madetl similarity` by which it takes the selection's instructions; '' where none is due."""
    generation = request.columns["generation"]
    if not generation.startswith("{"):
        return f" --generation {generation}"
    begun = json.loads(generation)
    now = pool.by_default(db, request.columns["scenarios"])
    if all(begun[name] == word for name, word in now.items()):
        return ""
    words = set(begun.values())
    return f" --generation {words.pop() if len(words) == 1 else pool.ALL}"


def _rewritten_since(db: sqlite3.Connection, request: SelectionRequest) -> str | None:
    """That the selection was begun on seeds which have rewritings by now, where nobody said which to take."""
    generation = request.columns["generation"]
    if not generation.startswith("{"):
        return None
    begun = json.loads(generation)
    now = pool.by_default(db, request.columns["scenarios"])
    since = [name for name, word in now.items() if (begun[name], word) == (pool.SEEDS, pool.EVOLVED)]
    if not since:
        return None
    named = ", ".join(since[:_PAIRS_NAMED]) + (f" and {len(since) - _PAIRS_NAMED} more" if since[_PAIRS_NAMED:] else "")
    return (
        f"{named}: there are rewritings since {request.name} was begun, and it goes on with the seeds. --name begins "
        "another selection, which picks from the rewritings."
    )
