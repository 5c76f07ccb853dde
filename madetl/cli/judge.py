"""The command that lets a language model judge: judge."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from madetl.cli.asking import FILE, Asking, asking_options, conclude, opened, run_work, sampling_options
from madetl.cli.base import Command, Settings, examples
from madetl.cli.output import note, warn
from madetl.text import counted


@click.command(
    cls=Command,
    epilog=examples(
        "madetl judge --model gpt-4.1 --dry-run",
        "madetl judge --model gpt-4.1 --selection writing-char-ngram",
        "madetl judge --model gpt-4.1 --prompt strict.txt --annotator gpt-4.1-strict",
        "madetl rank --annotator gpt-4.1",
    ),
)
@click.option("--model", required=True, metavar="NAME", help="The model that judges.")
@click.option(
    "--selection", default="latest", show_default=True, metavar="NAME", help="What to judge; latest: extended last."
)
@click.option("--annotator", metavar="NAME", help="The name under which judgments are stored.  [default: the model's]")
@click.option(
    "--prompt", type=FILE, metavar="FILE", help="Your own prompt, with {instruction}, {first}, {second}, {reference}."
)
@sampling_options(temperature="0.0", max_tokens="2048")
@asking_options
@click.pass_obj
def judge(
    settings: Settings,
    /,
    *,
    model: str,
    selection: str,
    annotator: str | None,
    prompt: Path | None,
    asking: Asking,
    **sampling: Any,
) -> None:
    """Let a language model judge the selected response pairs, as one more annotator.

    The model is asked about each pair in both orders. A verdict that is the same in both orders counts; one that flips
    with the order is stored as a tie with a remark, and the share of these is printed. People and models are kept
    apart: `madetl rank` takes people's votes, `madetl rank --judges` those of models, `madetl rank --annotator NAME`
    those of one.
    """
    from madetl.asking import model_settings, prompts
    from madetl.judgment import judge, verdicts

    overrides = {name: value for name, value in sampling.items() if value is not None}
    own = None if prompt is None else prompts.from_file(prompt, *verdicts.NEEDED)
    with opened(settings, asking) as db:
        judging = judge.Judging(
            model_settings.find(db, model, asking.model_options), selection, annotator, overrides, own
        )
        work = judge.VerdictsToAsk(db, judging)
        result = run_work(work, asking, f"judge {model}", response_pairs_to_judge=work.pairs)
    if not asking.as_json:
        note(result.flipping)
        if result.own_answers:
            pairs = counted(result.verdicts, "pair")
            warn(f"{result.annotator} judged its own answers in {result.own_answers:,} of {pairs}.")
    counts = ("new", "pairs", "verdicts", "flips", "first", "second", "own_answers")
    conclude(result, asking.as_json, **{name: getattr(result, name) for name in counts})
    if not asking.as_json:
        click.echo(f"Next: {settings.program} rank --annotator {shlex.quote(result.annotator)}")


COMMANDS: list[click.Command] = [judge]
