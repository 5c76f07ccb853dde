"""What there is in a study, and what each stage could do next with the command for it.

Rows come in through the queries of sql/looking, plain values go out; nothing changes.
"""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from madetl.asking import ledger
from madetl.providers.base import TRANSIENT
from madetl.selection.orders import usual_filters
from madetl.store import sqlfiles
from madetl.store.metrics import measuring_options, metric_label

Rows = list[dict[str, Any]]

_ASKING = {
    "evolution": "evolve --model",
    "inference": "infer --model",
    "similarity": "similarity --metric",
    "judgment": "judge --model",
}
"""By the ledger's name of a stage: the command that asks, up to the model's name."""


@dataclass(frozen=True)
class NextStep:
    """Something that a stage could do: why, and the command without `--db`."""

    stage: str
    why: str
    command: str


@dataclass(frozen=True)
class Status:
    """Each list has one row per what its name says; `next` is in the order of the stages.

    `failures`: requests to models that were never answered, by stage, model and outcome, with one of the reasons.
    """

    scenarios: Rows
    models: Rows
    failures: Rows
    similarities: Rows
    selections: Rows
    annotators: Rows
    leaderboard: Rows
    next: list[NextStep]


def status(db: sqlite3.Connection) -> Status:
    """Looks at everything once, in one read transaction."""
    db.execute("BEGIN")
    try:
        scenarios, models = _rows(db, "status/status_scenarios"), _rows(db, "store/model_list")
        metrics = [row | _measured_with(db, row["metric_id"]) for row in _rows(db, "status/status_similarities")]
        sets = [row | _metric_names(db, row) | _new(db, row) for row in _rows(db, "status/status_selections")]
        [ranking] = _rows(db, "status/status_ranking")
        overall = (
            "SELECT rank, model, rating, lower, upper, battles, resample FROM leaderboard WHERE scenario = 'overall'"
        )
        leaderboard = [dict(row) for row in db.execute(overall)]
        annotators = _rows(db, "status/status_annotators")
        failures, unanswered = [dict(row) for row in ledger.failures(db)], _rows(db, "status/status_inference")
    finally:
        db.rollback()
    return Status(
        scenarios=scenarios,
        models=[{key: row[key] for key in ("model", "instructions", "responses", "judgments")} for row in models],
        similarities=[{key: row[key] for key in ("metric", "measured", "pending")} for row in metrics],
        selections=[_shown(row) for row in sets],
        annotators=annotators,
        leaderboard=leaderboard,
        failures=failures,
        next=[*_importing(models, scenarios), *_asking(failures, unanswered), *_measuring(metrics, models),
              *_selecting(sets, metrics), *_judging(sets), *_ranking(ranking)],
    )  # fmt: skip


def _rows(db: sqlite3.Connection, query: str) -> Rows:
    return [dict(row) for row in db.execute(sqlfiles.query(query))]


def _measured_with(db: sqlite3.Connection, metric_id: int) -> dict[str, str | None]:
    return {"metric": metric_label(db, metric_id), "options": measuring_options(db, metric_id)}


def _metric_names(db: sqlite3.Connection, row: dict[str, Any]) -> dict[str, str | None]:
    by = row["instruction_metric_id"]
    return {
        "metric": metric_label(db, row["metric_id"]),
        "instruction_metric": None if by is None else metric_label(db, by),
    }


def _new(db: sqlite3.Connection, row: dict[str, Any]) -> dict[str, int]:
    """`new_model_pairs`: how many model pairs the selection has nothing of yet."""
    names = ("set_id", "pair_policy", "metric_id", "scenario", "min_words", "max_length_ratio")
    parameters = {name: row[name] for name in names} | {"pairs": row["candidates"]}
    return dict(db.execute(sqlfiles.query("status/new_model_pairs"), parameters).fetchone())


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    names = ("selection", "metric", "strategy", "pair_policy", "top_k", "budget", "selected", "judged")
    shown = {name: row[name] for name in names} | {"pending": row["selected"] - row["judged"]}
    return shown | ({"top_k": None} if row["budget"] else {})  # an adaptive one promises no pair of models any number


def _importing(models: Rows, scenarios: Rows) -> Iterator[NextStep]:
    answering = sum(row["responses"] > 0 for row in models)
    if answering == 0:
        yield NextStep("import", "there are no answers yet", "import responses answers.jsonl")
        if scenarios:
            yield NextStep("inference", "or ask a model for them", "infer --model gpt-4.1 --dry-run")
        yield NextStep("import", "to see it all on an example first", "demo")
    elif answering == 1:
        why = "one model has answers, and a comparison needs two"
        yield NextStep("import", why, "import responses answers-of-another-model.jsonl")
        yield NextStep("inference", "or ask another one for them", "infer --model gpt-4.1 --dry-run")


def _asking(failures: Rows, unanswered: Rows) -> Iterator[NextStep]:
    """Commands that ask for what is missing: what failed in passing, and what nobody asked for yet."""
    seen = set()
    for row in failures:
        if row["stage"] in _ASKING and (row["stage"], row["model"]) not in seen:
            seen.add((row["stage"], row["model"]))
            yield _retrying(row["stage"], row["model"], failures)
    for row in unanswered:
        if row["pending"] > 0 and ("inference", row["model"]) not in seen:
            why = f"{row['model']} has no answer to {row['pending']:,} instructions"
            yield NextStep("inference", why, f"infer{_option('--model', row['model'])}")


def _retrying(stage: str, model: str, failures: Rows) -> NextStep:
    """The command that tries a stage's failures again: a plain one where they were transient ones."""
    counts: dict[bool, int] = {True: 0, False: 0}
    for row in failures:
        if (row["stage"], row["model"]) == (stage, model):
            counts[row["outcome"] in TRANSIENT] += row["requests"]
    command = f"{_ASKING[stage]} {shlex.quote(model)}"
    if counts[True]:
        return NextStep(stage, f"{counts[True]:,} requests to {model} failed in passing", command)
    return NextStep(stage, f"{counts[False]:,} requests to {model} failed for good", f"{command} --retry-failed")


def _measuring(metrics: Rows, models: Rows) -> Iterator[NextStep]:
    measured = [row for row in metrics if row["measured"]]
    if not measured and sum(row["responses"] > 0 for row in models) >= 2:
        yield NextStep("similarity", "no answers are compared yet", "similarity")
    for row in measured:
        if row["pending"] > 0 and row["options"] is not None:
            why = f"{row['metric']} has not measured {row['pending']:,} response pairs"
            yield NextStep("similarity", why, f"similarity{row['options']}")


def _selecting(sets: Rows, metrics: Rows) -> Iterator[NextStep]:
    measured = [row for row in metrics if row["measured"]]
    if measured and not sets:
        option = "" if measured[0]["metric"] == "char-ngram" else _option("--metric", measured[0]["metric"])
        yield NextStep("select", "nothing is selected for judging yet", f"select{option} --top-k 10")
    for row in sets:
        if row["new_model_pairs"]:
            why = f"{row['selection']} has nothing of {row['new_model_pairs']} model pairs yet"
            yield NextStep("select", why, f"select{_selection_options(row)}")
        elif row["selected"] == row["judged"] and row["selected"] < (row["budget"] or 0):
            why = f"{row['selection']} has picked {row['selected']:,} of a budget of {row['budget']:,}, all are judged"
            yield NextStep("select", why, f"select{_selection_options(row)}")


def _selection_options(row: dict[str, Any]) -> str:
    """The options that extend a selection: those of its parameters that are not the defaults, and its name."""
    adaptive = row["pair_policy"] == "adaptive"
    words, ratio = usual_filters(row["strategy"])
    needed = row["selected"] + row["new_model_pairs"]
    options = {
        "--budget": (needed if adaptive and needed > row["budget"] else None, None),
        "--metric": (row["metric"], "char-ngram"),
        "--scenario": (row["scenario"], None),
        "--strategy": (row["strategy"], "mad"),
        "--seed": (row["seed"], 42),
        "--diversity": (row["diversity"], 0),
        "--instruction-metric": (row["instruction_metric"], "char-ngram"),
        "--min-words": (row["min_words"], words),
        "--max-length-ratio": (row["max_length_ratio"], ratio),
        "--pairs": (row["candidates"], "unjudged" if adaptive else "all"),
        "--name": (row["selection"], None),
    }
    given = (_option(name, value) for name, (value, default) in options.items() if value not in (None, default))
    return "".join([" --adaptive" if adaptive else "", *given])


def _judging(sets: Rows) -> Iterator[NextStep]:
    for row in sets:
        pending = row["selected"] - row["judged"]
        if pending:
            why = f"nobody has judged {pending:,} of the {row['selected']:,} response pairs of {row['selection']}"
            sheet = f"export annotations{_option('--selection', row['selection'])} -o sheet.csv"
            yield NextStep("judgment", why, sheet)
            yield NextStep("judgment", "when the sheet is filled in", "import judgments sheet.csv --annotator NAME")


def _ranking(ranking: dict[str, Any]) -> Iterator[NextStep]:
    if ranking["votes"] and ranking["run_id"] is None:
        yield NextStep("rank", f"{ranking['votes']:,} votes of people are not ranked yet", "rank")
    elif ranking["votes"] != ranking["ranked"]:
        why = f"the latest ranking counts {ranking['ranked']:,} votes of people, and there are {ranking['votes']:,}"
        yield NextStep("rank", why, "rank")


def _option(name: str, value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f" {name} {shlex.quote(text)}"
