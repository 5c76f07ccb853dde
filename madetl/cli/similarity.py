"""The command that measures how alike answers are: similarity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import click

from madetl.cli.asking import (
    FILE,
    Asking,
    asking_bar,
    asking_options,
    conclude,
    opened,
    run_work,
    sampling_options,
    show_estimate,
)
from madetl.cli.base import Command, Settings, examples
from madetl.cli.options import FiniteRange, generation_option, models_option, pairs_option, scenarios_option
from madetl.cli.output import Progress, note, print_json, progress_bar, warn
from madetl.errors import ParameterError

if TYPE_CHECKING:
    from madetl.asking.stage_work import Show
    from madetl.similarity.embed import InstructionsToEmbed
    from madetl.similarity.run import Measurement

_TOP_K = 10  # what a selection takes by default: how many judgments follow
_JUDGMENTS = f"human_judgments_for_K_=_{_TOP_K}"

_BERT_SCORE = ("model", "num_layers", "batch_size")
_LLM = (
    "prompt", "prefilter", "min_words", "max_length_ratio",
    "temperature", "top_p", "max_tokens", "presence_penalty", "frequency_penalty", "stop",
)  # fmt: skip
_FILTERS = ("min_words", "max_length_ratio")


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
@scenarios_option
@generation_option
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
    "--max-length-ratio", type=FiniteRange(min=0), metavar="R", help="--prefilter: as in select.  [default: 4]"
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
    scenarios: tuple[str, ...],
    generation: str | None,
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
    from madetl.similarity.embed import InstructionsToEmbed
    from madetl.similarity.run import Measurement, MetricChoice

    given = {option: value for option, value in special.items() if value is not None}
    with opened(settings, asking) as db:
        choice = MetricChoice(metric, kind, given)
        which: dict[str, Any] = {
            "scenarios": scenarios, "generation": generation, "models": models, "pairs": pairs,
        }  # fmt: skip
        measurement = Measurement(db, choice, **which, model_options=lambda name: asking.model_options)
        _check_fit(measurement.name, measurement.kind, given, instructions)
        if instructions:
            _embed_instructions(InstructionsToEmbed(db, measurement.model, scenarios, generation), asking)
            return
        for warning in measurement.warnings():
            warn(warning)
        if asking.dry_run:
            _show_cost(measurement, asking, "prefilter" in given)
        else:
            _measure(measurement, asking)


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


def _show_cost(measurement: Measurement, asking: Asking, prefiltered: bool) -> None:
    estimate = measurement.dry_run(asking.options)
    if estimate is None:
        click.echo(f"{measurement.name} asks no model: it costs time alone.")
        click.echo(f"Pool: {measurement.pool}")
        return
    show_estimate(estimate, asking.as_json, pool=measurement.pool, **{_JUDGMENTS: measurement.judgments_after(_TOP_K)})
    if measurement.kind == "llm" and not prefiltered and not asking.as_json:
        note("A request for every pair of answers; --prefilter char-ngram:100 asks about 100 per model pair.")


def _measure(measurement: Measurement, asking: Asking) -> None:
    from madetl.similarity.measure import Measured

    with _bars(measurement) as (show, progress):
        result = measurement.run(asking.options, show, progress)
    for remark in result.remarks:
        warn(remark)
    if not isinstance(result, Measured):
        conclude(result, asking.as_json, pool=measurement.pool, **result.counts)
    elif asking.as_json:
        print_json(asdict(result) | {"summary": result.summary})
    else:
        click.echo(result.summary)
        click.echo(f"Pool: {result.pool}")


@contextmanager
def _bars(measurement: Measurement) -> Iterator[tuple[Show, Progress]]:
    """A bar for the asking, which gives way to one for the measuring: a terminal shows one at a time."""
    with ExitStack() as asking, ExitStack() as measuring:
        bars: list[Progress] = []

        def progress(done: int, total: int) -> None:
            if not bars:
                asking.close()
                bars.append(measuring.enter_context(progress_bar("similarity", "pairs")))
            bars[0](done, total)

        if measurement.kind is None:
            yield lambda moment, total: None, measuring.enter_context(progress_bar("similarity", "pairs"))
        else:
            yield asking.enter_context(asking_bar(measurement.name)), progress


def _embed_instructions(work: InstructionsToEmbed, asking: Asking) -> None:
    result = run_work(work, asking, work.model.name, pool=work.pool)
    conclude(result, asking.as_json, pool=result.pool)


COMMANDS: list[click.Command] = [similarity]
