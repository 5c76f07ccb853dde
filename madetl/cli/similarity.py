"""The command that measures how alike answers are: similarity."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import click

from madetl.cli.asking_options import Asking, asking_bar, asking_options, conclude, show_estimate
from madetl.cli.base import Command, Settings, examples
from madetl.cli.options import models_option, pairs_option, scenario_option
from madetl.cli.output import print_json, progress_bar, warn
from madetl.errors import ParameterError

if TYPE_CHECKING:
    from madetl.similarities import Scope

_TOP_K = 10  # what a selection takes by default: how many judgments follow


@click.command(
    cls=Command,
    epilog=examples(
        "madetl similarity",
        "madetl similarity --scenario Writing --models gpt-4,gemini-pro",
        "madetl similarity --metric bert-score --model roberta-large --num-layers 17",
        "madetl similarity --metric text-embedding-3-small --dry-run",
        "madetl similarity --metric text-embedding-3-small --instructions",
        "madetl similarity --metric nomic-embed-text --base-url http://localhost:11434/v1",
    ),
)
@click.option("--metric", default="char-ngram", show_default=True, metavar="NAME", help="What to measure with.")
@scenario_option
@models_option
@pairs_option
@click.option(
    "--as",
    "kind",
    type=click.Choice(["embedding", "llm"]),
    help="What the model of that name is, where the name does not say it.",
)
@click.option(
    "--instructions",
    is_flag=True,
    help="Embed the instructions instead, for select --diversity with --instruction-metric.",
)
@click.option(
    "--model",
    metavar="NAME_OR_FOLDER",
    help="bert-score: the encoder.  [default: microsoft/deberta-xlarge-mnli]",
)
@click.option("--num-layers", type=click.IntRange(min=1), help="bert-score: the layer that is compared.")
@click.option(
    "--batch-size", type=click.IntRange(min=1), help="bert-score: answers in one pass of the encoder.  [default: 64]"
)
@asking_options
@click.pass_obj
def similarity(
    settings: Settings,
    /,
    *,
    metric: str,
    kind: Literal["embedding", "llm"] | None,
    instructions: bool,
    asking: Asking,
    scenario: str | None,
    models: list[str] | None,
    pairs: Literal["all", "judged"],
    **of_bert_score: Any,
) -> None:
    """Measure how alike two models' answers to one instruction are.

    Takes all pairs that the metric has not measured yet, saves as it goes, and goes on where it stopped.

    \b
    char-ngram  cosine of character n-grams: no model, no key, text in any script
    bert-score  F1 of the bert-score package (extra bert-score); uses a GPU if there is one
    text-embedding-3-small, or any embedding model: cosine of its vectors; each text is sent once
    any other   the name of a metric whose vectors stand in the table embeddings: their cosine
    """
    from madetl import database
    from madetl.similarities import scope_of
    from madetl.similarity.kinds import kind_of, model_name

    opened = database.reading if asking.dry_run else database.writing
    with opened(settings.db) as db:
        found = kind_of(db, metric, kind)
        name = metric if found is None else model_name(db, metric)
        scope = scope_of(db, scenario, models, pairs)
        if instructions:
            _check_embeds(name, found)
            _embed_instructions(db, name, scenario, asking)
        elif found is None:
            _compute(db, name, asking, of_bert_score, scenario=scenario, models=models, pairs=pairs)
        else:
            _embed(db, name, scope, asking)


def _compute(db: sqlite3.Connection, metric: str, asking: Asking, of_bert_score: dict[str, Any], **scope: Any) -> None:
    """Measures with what needs nobody's answer."""
    from madetl.measuring import metric_named
    from madetl.similarities import measure

    chosen = metric_named(db, metric, **of_bert_score)
    if asking.dry_run:
        click.echo(f"{metric} asks no model: it costs time alone.")
        return
    with progress_bar("similarity", "pairs") as progress:
        result = measure(db, chosen, **scope, progress=progress)
    for remark in result.remarks:
        warn(remark)
    if asking.as_json:
        print_json(asdict(result) | {"summary": result.summary})
    else:
        click.echo(result.summary)


def _embed(db: sqlite3.Connection, metric: str, scope: Scope, asking: Asking) -> None:
    from madetl import endpoints
    from madetl.similarity import embedding_model

    model = endpoints.find(db, metric, asking.given)
    if asking.dry_run:
        estimate = embedding_model.estimate_measuring(db, model, scope, asking.options)
        show_estimate(estimate, asking.as_json, **_judgments(db, scope))
        return
    with asking_bar(metric) as show, progress_bar("similarity", "pairs") as progress:
        result = embedding_model.measure(db, model, scope, asking.options, show=show, progress=progress)
    conclude(result, asking.as_json, measured=result.measured.measured, known=result.measured.known)


def _embed_instructions(db: sqlite3.Connection, metric: str, scenario: str | None, asking: Asking) -> None:
    from madetl import endpoints
    from madetl.similarity import embedding_model

    model = endpoints.find(db, metric, asking.given)
    if asking.dry_run:
        show_estimate(embedding_model.estimate_instructions(db, model, scenario, asking.options), asking.as_json)
        return
    with asking_bar(metric) as show:
        result = embedding_model.embed_instructions(db, model, scenario, asking.options, show=show)
    conclude(result, asking.as_json)


def _check_embeds(metric: str, kind: str | None) -> None:
    if kind != "embedding":
        raise ParameterError(
            f"--instructions is for embedding models, and {metric} is none. For select --diversity, char-ngram makes "
            "its vectors by itself."
        )


def _judgments(db: sqlite3.Connection, scope: Scope) -> dict[str, int]:
    """How many human judgments a selection from these pairs asks for, as a row of the dry run."""
    from madetl.similarities import selectable

    return {f"human_judgments_that_a_selection_with_K_=_{_TOP_K}_asks_for": selectable(db, scope, _TOP_K)}


COMMANDS: list[click.Command] = [similarity]
