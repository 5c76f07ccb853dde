"""What there is in a study, and what each stage could do next with the command for it.

Rows come in through the queries of sql/status, plain values go out; nothing changes.
"""

from __future__ import annotations

import json
import shlex
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from madetl.asking import ledger
from madetl.providers.base import TRANSIENT
from madetl.selection import sets
from madetl.store import sqlfiles
from madetl.store.metrics import measuring_options, metric_label
from madetl.text import agreeing, counted

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
        selections = [row | _named(db, row) | _new(db, row) for row in _rows(db, "selection/selections_so_far")]
        [ranking] = _rows(db, "status/status_ranking")
        overall = (
            "SELECT rank, model, probability_best, rating, lower, upper, battles, resample, selections "
            "FROM leaderboard WHERE scenario = 'overall'"
        )
        leaderboard = [dict(row) for row in db.execute(overall)]
        annotators = _rows(db, "status/status_annotators")
        failures, unanswered = [dict(row) for row in ledger.failures(db)], _rows(db, "status/status_inference")
    finally:
        db.rollback()
    answering = sum(row["responses"] > 0 for row in models)
    return Status(
        scenarios=scenarios,
        models=[{key: row[key] for key in ("model", "instructions", "responses", "judgments")} for row in models],
        similarities=[{key: row[key] for key in ("metric", "measured", "pending")} for row in metrics],
        selections=[_shown(row) for row in selections],
        annotators=annotators,
        leaderboard=leaderboard,
        failures=failures,
        next=[*_importing(answering, bool(scenarios)), *_asking(failures, unanswered), *_measuring(metrics, models),
              *_selecting(selections, metrics), *_judging(selections), *_ranking(ranking)],
    )  # fmt: skip


def after_import(db: sqlite3.Connection) -> list[NextStep]:
    """What comes next once files were read: without a look at every row, which `status` takes."""
    [there] = _rows(db, "status/after_import")
    if there["answering"] < 2:
        return [step for step in _importing(there["answering"], there["instructions"]) if step.command != "demo"]
    steps = []
    if there["votes"]:
        steps.append(NextStep("rank", "rank the models by the votes", "rank"))
        steps.append(NextStep("rank", "how sure the order is, and how many more judgments would settle it", "advise"))
        steps.append(NextStep("rank", "all of it on one page, to mail or print", "report -o report.html"))
    if not there["measured"]:
        steps.append(NextStep("similarity", "measure how alike answers are, to pick where models differ", "similarity"))
    elif there["selection"] is None:
        steps.append(NextStep("select", "pick the answers on which models differ most", "select --top-k 10"))
    elif not there["votes"]:
        option = _option("--selection", there["selection"])
        steps.append(NextStep("judgment", "people judge on a page in the browser", f"annotate{option}"))
    return steps


def _rows(db: sqlite3.Connection, query: str) -> Rows:
    return [dict(row) for row in db.execute(sqlfiles.query(query))]


def _measured_with(db: sqlite3.Connection, metric_id: int) -> dict[str, str | None]:
    return {"metric": metric_label(db, metric_id), "options": measuring_options(db, metric_id)}


def _named(db: sqlite3.Connection, row: dict[str, Any]) -> dict[str, str]:
    """`options`: those of `madetl select` that extend the selection."""
    return {"metric": metric_label(db, row["metric_id"]), "options": sets.options(db, row)}


def _new(db: sqlite3.Connection, row: dict[str, Any]) -> dict[str, int]:
    """`new_model_pairs`: how many model pairs the selection has nothing of yet."""
    names = ("set_id", "pair_policy", "metric_id", "scenarios", "generation", "min_words", "max_length_ratio")
    parameters = {name: row[name] for name in names} | {"pairs": row["candidates"]}
    return dict(db.execute(sqlfiles.query("status/new_model_pairs"), parameters).fetchone())


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    names = ("metric", "strategy", "pair_policy", "top_k", "budget", "selected", "judged")
    shown = {"selection": row["name"]} | {name: row[name] for name in names}
    shown["pending"] = row["selected"] - row["judged"]
    return shown | ({"top_k": None} if row["budget"] else {})  # an adaptive one promises no pair of models any number


def _importing(answering: int, instructions: bool) -> Iterator[NextStep]:
    """`answering`: how many models have answers."""
    if answering == 0:
        yield NextStep("import", "there are no answers yet", "import responses answers.jsonl")
        if instructions:
            yield NextStep("inference", "or ask a model for them", "infer --model gpt-4.1 --dry-run")
        yield NextStep("import", "to see it all on an example first", "demo")
    elif answering == 1:
        why = "one model has answers, and a comparison needs two"
        yield NextStep("import", why, "import responses answers-of-another-model.jsonl")
        yield NextStep("inference", "or ask another one for them", "infer --model gpt-4.1 --dry-run")


def _asking(failures: Rows, unanswered: Rows) -> Iterator[NextStep]:
    """Commands that ask for what is missing: requests that failed, and answers that nobody has asked for yet."""
    seen = set()
    for row in failures:
        if row["stage"] in _ASKING and (row["stage"], row["model"]) not in seen:
            seen.add((row["stage"], row["model"]))
            yield _retrying(row["stage"], row["model"], failures)
    for row in unanswered:
        if row["pending"] > 0 and ("inference", row["model"]) not in seen:
            why = f"{row['model']} has no answer to {counted(row['pending'], 'instruction')}"
            yield NextStep("inference", why, f"infer{_option('--model', row['model'])}")


def _retrying(stage: str, model: str, failures: Rows) -> NextStep:
    """The command that tries a stage's failures again: a plain one where they were transient ones."""
    counts: dict[bool, int] = {True: 0, False: 0}
    for row in failures:
        if (row["stage"], row["model"]) == (stage, model):
            counts[row["outcome"] in TRANSIENT] += row["requests"]
    command = f"{_ASKING[stage]} {shlex.quote(model)}"
    if counts[True]:
        why = f"{counted(counts[True], 'request')} to {model} failed for a passing reason, such as a rate limit"
        return NextStep(stage, why, command)
    return NextStep(
        stage, f"{counted(counts[False], 'request')} to {model} failed for good", f"{command} --retry-failed"
    )


def _measuring(metrics: Rows, models: Rows) -> Iterator[NextStep]:
    measured = [row for row in metrics if row["measured"]]
    if not measured and sum(row["responses"] > 0 for row in models) >= 2:
        yield NextStep("similarity", "no answers are compared yet", "similarity")
    for row in measured:
        if row["pending"] > 0 and row["options"] is not None:
            why = f"{row['metric']} has not measured {counted(row['pending'], 'response pair')}"
            yield NextStep("similarity", why, f"similarity{row['options']}")


def _selecting(selections: Rows, metrics: Rows) -> Iterator[NextStep]:
    measured = [row for row in metrics if row["measured"]]
    if measured and not selections:
        option = "" if len(measured) == 1 else _option("--metric", measured[0]["metric"])
        yield NextStep("select", "nothing is selected for judging yet", f"select{option} --top-k 10")
    for row in selections:
        if row["new_model_pairs"]:
            needed = row["selected"] + row["new_model_pairs"]
            budget = f" --budget {needed}" if row["pair_policy"] == "adaptive" and needed > row["budget"] else ""
            why = f"{row['name']} has nothing of {counted(row['new_model_pairs'], 'model pair')} yet"
            yield NextStep("select", why, f"select{row['options']}{budget}")
        elif row["selected"] == row["judged"] and row["selected"] < (row["budget"] or 0):
            why = f"{row['name']} has picked {row['selected']:,} of a budget of {row['budget']:,}, all are judged"
            yield NextStep("select", why, f"select{row['options']}")


def _judging(selections: Rows) -> Iterator[NextStep]:
    for row in selections:
        pending = row["selected"] - row["judged"]
        if pending:
            why = f"nobody has judged {pending:,} of the {counted(row['selected'], 'response pair')} of {row['name']}"
            sheet = f"export annotations{_option('--selection', row['name'])} -o sheet.csv"
            yield NextStep("judgment", why, sheet)
            yield NextStep("judgment", "when the sheet is filled in", "import judgments sheet.csv --annotator NAME")


def _ranking(ranking: dict[str, Any]) -> Iterator[NextStep]:
    if ranking["votes"] and ranking["run_id"] is None:
        yield NextStep("rank", _not_ranked(ranking["votes"]), "rank")
    elif ranking["votes"] != ranking["ranked"] or ranking["newer"]:
        why = f"the latest ranking counts {_votes(ranking['ranked'])}, and there are {ranking['votes']:,}"
        if ranking["votes"] == ranking["ranked"]:  # a revised vote stands where another one stood
            why = f"{ranking['newer']:,} of {_votes(ranking['votes'])} came after the latest ranking"
        options = [_option("--selection", name) for name in json.loads(ranking["selections"] or "[]")]
        yield NextStep("rank", why, "rank" + "".join(options))


def _votes(number: int) -> str:
    return counted(number, "vote of a person", "votes of people")


def _not_ranked(votes: int) -> str:
    return f"{_votes(votes)} {agreeing(votes)['are']} not ranked yet"


def _option(name: str, value: str) -> str:
    return f" {name} {shlex.quote(value)}"
