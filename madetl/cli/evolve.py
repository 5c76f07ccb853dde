"""The command that lets models write new instructions: evolve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from madetl.cli.asking import (
    FILE,
    Asking,
    asking_bar,
    asking_options,
    conclude,
    opened,
    sampling_options,
    show_estimate,
)
from madetl.cli.base import Command, Settings, examples
from madetl.cli.options import FiniteRange, scenarios_option
from madetl.cli.output import print_table

_OF_A_ROUND = ("scenario", "generation", "parents", "known", "new", "exact", "near")


@click.command(
    cls=Command,
    epilog=examples(
        "madetl evolve --scenario Writing --model gpt-4.1 --dry-run",
        "madetl evolve --scenario Writing --model gpt-4.1 --limit 100 --max-cost 1",
        "madetl evolve --scenario Coding --model gemini-2.5-pro --rounds 2 --prompt my-prompt.txt",
    ),
)
@scenarios_option
@click.option("--model", required=True, metavar="NAME", help="The model that rewrites.")
@click.option(
    "--rounds",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    metavar="N",
    help="Round 1 rewrites the seeds, round 2 what came of round 1, and so on.",
)
@click.option(
    "--per-seed",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    metavar="N",
    help="New instructions of this model from each.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N of each generation.")
@sampling_options(temperature="0.7", top_p="0.9", max_tokens="2048")
@click.option(
    "--prompt", type=FILE, metavar="FILE", help="Your own prompt, with {instruction} where the instruction goes."
)
@click.option(
    "--duplicate-above",
    "threshold",
    type=FiniteRange(0, 1),
    default=0.95,
    show_default=True,
    metavar="C",
    help="Drop what is nearer than this to an instruction of the pool (cosine of character n-grams).",
)
@asking_options
@click.pass_obj
def evolve(settings: Settings, /, *, model: str, prompt: Path | None, asking: Asking, **options: Any) -> None:
    """Have a model rewrite the instructions of a scenario into new ones.

    \b
    Writing        a new topic, in the same form and as difficult
    Reasoning      a new grade-school problem with its answer step by step
    Understanding  basic knowledge of the same field, with the same first word
    Coding         the same task with two constraints more
    any other      the same kind of instruction about something else

    Running it again asks for what is missing: after --rounds 1, --rounds 2 adds a round, and another model adds
    rewritings of its own. The prompts are in madetl/asking/prompts/; the run keeps the one that it used.
    """
    from madetl.asking import prompts
    from madetl.evolution import evolve

    own = None if prompt is None else prompts.from_file(prompt, "instruction")
    overrides = {name: value for name, value in options.items() if value is not None}
    evolution = evolve.Evolution(model, prompt=own, **overrides)
    with opened(settings, asking) as db:
        if asking.dry_run:
            show_estimate(evolve.dry_run(db, evolution, asking.model_options, asking.options), asking.as_json)
            return
        with asking_bar(f"evolve {model}") as show:
            result = evolve.evolve(db, evolution, asking.model_options, asking.options, show)
    rounds = [{name: getattr(each, name) for name in _OF_A_ROUND} for each in result.rounds]
    if not asking.as_json and len(rounds) > 1:
        print_table(rounds)
    conclude(result, asking.as_json, model=model, rounds=rounds)


COMMANDS: list[click.Command] = [evolve]
