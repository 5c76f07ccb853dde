"""The command that measures how alike answers are: similarity."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from madetl.cli.asking import (
    FILE,
    Asking,
    Shower,
    asking_bar,
    asking_options,
    conclude,
    sampling_options,
    show_estimate,
)
from madetl.cli.base import Command, Settings, examples
from madetl.cli.options import models_option, pairs_option, scenario_option
from madetl.cli.output import Progress, note, print_json, progress_bar, warn
from madetl.errors import ParameterError

if TYPE_CHECKING:
    from madetl.similarity.ask import ChatMetric
    from madetl.similarity.measure import Scope

_TOP_K = 10  # what a selection takes by default: how many judgments follow
_JUDGMENTS = f"human_judgments_for_K_=_{_TOP_K}"

_BERT_SCORE = ("model", "num_layers", "batch_size")
_LLM = ("prompt", "prefilter", "min_words", "max_length_ratio", "temperature", "top_p", "max_tokens")
_FILTERS = {"min_words": 20, "max_length_ratio": 4.0}  # those of a selection


@click.command(
    cls=Command,
    epilog=examples(
        "madetl similarity",
        "madetl similarity --scenario Writing --models gpt-4,gemini-pro",
        "madetl similarity --metric bert-score --model roberta-large --num-layers 17",
        "madetl similarity --metric text-embedding-3-small",
        "madetl similarity --metric text-embedding-3-small --instructions",
        "madetl similarity --metric nomic-embed-text --base-url http://localhost:11434/v1",
        "madetl similarity --metric gpt-4.1 --dry-run",
        "madetl similarity --metric gpt-4.1 --prefilter char-ngram:100 --max-cost 5",
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
    help="Embedding model: embed the instructions instead, for select --diversity with --instruction-metric.",
)
@click.option(
    "--prefilter",
    metavar="METRIC:N",
    help="Chat model: ask only about the N least similar pairs per model pair by a metric that has measured them.",
)
@click.option("--min-words", type=click.IntRange(min=0), metavar="N", help="--prefilter: as in select.  [default: 20]")
@click.option(
    "--max-length-ratio", type=click.FloatRange(min=0), metavar="R", help="--prefilter: as in select.  [default: 4]"
)
@click.option(
    "--prompt", type=FILE, metavar="FILE", help="Chat model: your own prompt, with {instruction}, {first}, {second}."
)
@sampling_options(temperature="0.0", max_tokens="2048")
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
    **special: Any,
) -> None:
    """Measure how alike two models' answers to one instruction are.

    Takes all pairs that the metric has not measured yet, saves as it goes, and goes on where it stopped.

    \b
    char-ngram  cosine of character n-grams: no model, no key, text in any script
    bert-score  F1 of the bert-score package (extra bert-score); uses a GPU if there is one
    text-embedding-3-small, or any embedding model
                cosine of its vectors; each text is sent once
    gpt-4.1, or any chat model
                the model says how alike two answers are, from 0 to 1, and why; a request for
                every pair of answers, which is expensive: see --dry-run, and --prefilter
    any other   the name of a metric whose vectors stand in the table embeddings: their cosine
    """
    from madetl.similarity.measure import scope_of
    from madetl.similarity.named import kind_of, model_name
    from madetl.store import database

    opened = database.reading if asking.dry_run else database.writing
    with opened(settings.db) as db:
        found = kind_of(db, metric, kind)
        name = metric if found is None else model_name(db, metric)
        scope = scope_of(db, scenario, models, pairs)
        given = {option: value for option, value in special.items() if value is not None}
        _check_fit(name, found, given, instructions)
        if instructions:
            _embed_instructions(db, name, scenario, asking)
        elif found == "embedding":
            _embed(db, name, scope, asking)
        elif found == "llm":
            _ask(db, _chat_metric(db, metric, scope, asking, given), asking)
        else:
            _compute(db, name, asking, given, scenario=scenario, models=models, pairs=pairs)


def _check_fit(metric: str, kind: str | None, given: Mapping[str, Any], instructions: bool) -> None:
    """Raises ParameterError for an option of another kind of metric."""
    if instructions and kind != "embedding":
        raise ParameterError(
            f"--instructions is for embedding models, and {metric} is none. For select --diversity, char-ngram makes "
            "its vectors by itself."
        )
    for options, needed, what in ((_LLM, "llm", "chat models as the metric"), (_BERT_SCORE, None, "bert-score")):
        wrong = [f"--{name.replace('_', '-')}" for name in options if name in given]
        if wrong and kind != needed:
            raise ParameterError(f"{wrong[0]} is an option for {what}; {metric} has no such thing.")
    filters = [name for name in _FILTERS if name in given]
    if filters and "prefilter" not in given:
        raise ParameterError(f"--{filters[0].replace('_', '-')} is an option of --prefilter, which is not given.")


def _compute(
    db: sqlite3.Connection, metric: str, asking: Asking, of_bert_score: Mapping[str, Any], **scope: Any
) -> None:
    """Measures with what needs nobody's answer."""
    from madetl.similarity.measure import measure
    from madetl.similarity.named import metric_named

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
    from madetl.asking import model_settings
    from madetl.similarity import embed
    from madetl.similarity.measure import selectable

    model = model_settings.find(db, metric, asking.model_options)
    if asking.dry_run:
        estimate = embed.estimate_measuring(db, model, scope, asking.options)
        show_estimate(estimate, asking.as_json, **{_JUDGMENTS: selectable(db, scope, _TOP_K)})
        return
    with _two_bars(metric) as (show, progress):
        result = embed.measure(db, model, scope, asking.options, show=show, progress=progress)
    conclude(result, asking.as_json, measured=result.measured.measured, known=result.measured.known)


@contextmanager
def _two_bars(metric: str) -> Iterator[tuple[Shower, Progress]]:
    """One bar for the asking, which gives way to one for the measuring: a terminal shows one at a time."""
    with ExitStack() as asking, ExitStack() as measuring:
        show = asking.enter_context(asking_bar(metric))
        bars: list[Progress] = []

        def progress(done: int, total: int) -> None:
            if not bars:
                asking.close()
                bars.append(measuring.enter_context(progress_bar("similarity", "pairs")))
            bars[0](done, total)

        yield show, progress


def _embed_instructions(db: sqlite3.Connection, metric: str, scenario: str | None, asking: Asking) -> None:
    from madetl.asking import model_settings
    from madetl.similarity import embed

    model = model_settings.find(db, metric, asking.model_options)
    if asking.dry_run:
        show_estimate(embed.estimate_instructions(db, model, scenario, asking.options), asking.as_json)
        return
    with asking_bar(metric) as show:
        result = embed.embed_instructions(db, model, scenario, asking.options, show=show)
    conclude(result, asking.as_json)


def _chat_metric(
    db: sqlite3.Connection, metric: str, scope: Scope, asking: Asking, given: Mapping[str, Any]
) -> ChatMetric:
    """What a chat model is to be asked about, and how."""
    from madetl.asking import model_settings, prompts
    from madetl.similarity import ask, prefilter
    from madetl.similarity.named import model_name
    from madetl.similarity.rubric import NEEDED

    overrides = {name: given[name] for name in ("temperature", "top_p", "max_tokens") if name in given}
    if (file := given.get("prompt")) is not None:
        overrides["prompt"] = prompts.from_file(Path(file), *NEEDED).text
    chosen = None
    if "prefilter" in given:
        chosen = prefilter.parsed(given["prefilter"], **{name: given.get(name, _FILTERS[name]) for name in _FILTERS})
    model = model_settings.find(db, model_name(db, metric), asking.model_options)
    return ask.ChatMetric(model, ask.rubric_for(db, metric, overrides), scope, chosen)


def _ask(db: sqlite3.Connection, metric: ChatMetric, asking: Asking) -> None:
    from madetl.similarity import ask, prefilter

    name = metric.model.name
    if ask.others(db, metric):
        warn(f"{name} has measured with another prompt or sampling: this is a metric of its own, {name}@….")
    if metric.prefilter and (missing := prefilter.unmeasured(db, metric.prefilter, metric.scope)):
        warn(f"{metric.prefilter.metric} has not measured {missing:,} response pairs: they cannot be among the chosen.")
    if asking.dry_run:
        estimate = ask.dry_run(db, metric, asking.options)
        show_estimate(estimate, asking.as_json, **{_JUDGMENTS: ask.judgments_after(db, metric, _TOP_K)})
        if metric.prefilter is None and not asking.as_json:
            note("A request for every pair of answers; --prefilter char-ngram:100 asks about 100 per model pair.")
        return
    with asking_bar(name) as show:
        result = ask.measure(db, metric, asking.options, show=show)
    conclude(result, asking.as_json, metric=result.metric, measured=result.measured, known=result.known)


COMMANDS: list[click.Command] = [similarity]
