"""The command that measures how alike answers are: similarity."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

import click

from madetl.cli.base import Command, Settings, examples
from madetl.cli.options import json_option, models_option, pairs_option, scenario_option
from madetl.cli.output import print_json, progress_bar, warn


@click.command(
    cls=Command,
    epilog=examples(
        "madetl similarity",
        "madetl similarity --scenario Writing --models gpt-4,gemini-pro",
        "madetl similarity --metric bert-score --model roberta-large --num-layers 17",
    ),
)
@click.option("--metric", default="char-ngram", show_default=True, metavar="NAME", help="What to measure with.")
@scenario_option
@models_option
@pairs_option
@click.option(
    "--model",
    metavar="NAME_OR_FOLDER",
    help="bert-score: the encoder.  [default: microsoft/deberta-xlarge-mnli]",
)
@click.option("--num-layers", type=click.IntRange(min=1), help="bert-score: the layer that is compared.")
@click.option(
    "--batch-size", type=click.IntRange(min=1), help="bert-score: answers in one pass of the encoder.  [default: 64]"
)
@json_option
@click.pass_obj
def similarity(
    settings: Settings,
    *,
    metric: str,
    scenario: str | None,
    models: list[str] | None,
    pairs: Literal["all", "judged"],
    model: str | None,
    num_layers: int | None,
    batch_size: int | None,
    as_json: bool,
) -> None:
    """Measure how alike two models' answers to one instruction are.

    Takes all pairs that the metric has not measured yet, saves as it goes, and goes on where it stopped.

    \b
    char-ngram  cosine of character n-grams: no model, no key, text in any script
    bert-score  F1 of the bert-score package (extra bert-score); uses a GPU if there is one
    any other   the name of a metric whose vectors stand in the table embeddings: their cosine
    """
    from madetl import database
    from madetl.measuring import metric_named
    from madetl.similarities import measure

    with database.writing(settings.db, create=False) as db:
        chosen = metric_named(db, metric, model=model, num_layers=num_layers, batch_size=batch_size)
        with progress_bar("similarity", "pairs") as progress:
            result = measure(db, chosen, scenario=scenario, models=models, pairs=pairs, progress=progress)
    for remark in result.remarks:
        warn(remark)
    if as_json:
        print_json(asdict(result) | {"summary": result.summary})
    else:
        click.echo(result.summary)


COMMANDS: list[click.Command] = [similarity]
