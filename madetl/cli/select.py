"""The command that picks what people should judge: select."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from madetl.cli import next_steps
from madetl.cli.base import Command, Settings, examples
from madetl.cli.options import (
    diversity_option,
    floor_option,
    generation_option,
    instruction_metric_option,
    json_option,
    max_length_ratio_option,
    metric_option,
    min_words_option,
    models_option,
    refuse_without_adaptive,
    scenarios_option,
    seed_option,
    stop_at_option,
)
from madetl.cli.output import print_json, print_table, warn
from madetl.text import counted

if TYPE_CHECKING:
    from madetl.selection.select import Adaptive, SelectionResult

_PAIRS_SHOWN = 30


@click.command(
    cls=Command,
    epilog=examples(
        "madetl select --top-k 10",
        "madetl select --scenario Writing --diversity 0.5",
        "madetl select --strategy random --seed 1",
        "madetl select --top-k 20",
        "madetl select --adaptive --budget 105",
        "madetl select --adaptive --budget 60 --place new-model --stop-at 0.95",
    ),
)
@metric_option
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    metavar="K",
    help="Response pairs to pick for each pair of models.  [default: 10, or what the selection has]",
)
@diversity_option
@instruction_metric_option
@min_words_option
@max_length_ratio_option
@scenarios_option
@generation_option
@models_option
@click.option(
    "--pairs",
    type=click.Choice(["all", "judged", "unjudged"]),
    default="all",
    show_default=True,
    help="All response pairs, or only those that somebody judged already, or that no person has.",
)
@click.option(
    "--strategy",
    type=click.Choice(["mad", "evidence", "band", "random"]),
    default="mad",
    show_default=True,
    help="The response pairs that differ most (mad), also by how much there is to read (evidence), or random ones: of "
    "the middle third of similarity (band), or of all (random).",
)
@click.option("--adaptive", is_flag=True, help="Pick where the votes so far say least about the order of the models.")
@click.option("--budget", type=click.IntRange(min=1), metavar="N", help="With --adaptive: picks in all.")
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    metavar="B",
    help="With --adaptive: how many may wait for a vote at a time.  [default: one per pair of models]",
)
@floor_option
@stop_at_option
@click.option("--place", metavar="MODEL", help="With --adaptive: only pairs of this model with the others.")
@seed_option
@click.option("--name", help="Name of the selection.  [default: one per scenarios and metric, such as all-char-ngram]")
@json_option
@click.pass_obj
def select(settings: Settings, /, *, as_json: bool, **options: Any) -> None:
    """Pick the response pairs that people should judge: those on which two models differ most.

    \b
    For each pair of models, K instructions by the greedy of maximum discrepancy:
      x_k = argmin  similarity(x) + lambda * max cosine(x, picked before)
    Running it again extends a selection: a model that came later gets its pairs, a larger K
    (--top-k 20 after 10) adds picks; what was picked, and judged, stays. It goes on with the
    instructions that it was begun with (--generation), though more are written since.

    With --adaptive, pairs of models get as many as it takes to tell which is better: run it again
    whenever a batch is judged, or let `madetl annotate --adaptive` pick as people judge.
    """
    from madetl.selection.select import SelectionParameters
    from madetl.selection.select import select as select_pairs
    from madetl.store import database

    plan = _adaptive(options)
    with database.writing(settings.db, create=False) as db:
        result = select_pairs(db, SelectionParameters(adaptive=plan, **options))
    for warning in result.warnings:
        warn(warning)
    if as_json:
        print_json(asdict(result) | {"summary": result.summary})
    else:
        _print(result, settings.program)


def _adaptive(options: dict[str, Any]) -> Adaptive | None:
    """Takes the options of --adaptive out of `options`. Raises UsageError where one is given without it."""
    from madetl.selection.select import Adaptive

    plan = {name: options.pop(name) for name in ("budget", "batch", "floor", "stop_at", "place")}
    if options.pop("adaptive"):
        return Adaptive(**plan)
    refuse_without_adaptive(*plan)
    return None


def _print(result: SelectionResult, program: str) -> None:
    rows = [asdict(pair) for pair in result.pairs]
    print_table(rows[:_PAIRS_SHOWN])
    if len(rows) > _PAIRS_SHOWN:
        click.echo(f"… and {counted(len(rows) - _PAIRS_SHOWN, 'more model pair')}: SELECT * FROM selected_pairs\n")
    _print_filters(result)
    click.echo(result.summary)
    click.echo(f"Pool: {result.pool}")
    _print_what_next(result, program)


def _print_what_next(result: SelectionResult, program: str) -> None:
    to_judge = result.selected - result.judged
    if to_judge:
        have_one = f": {result.judged:,} of {counted(result.selected, 'response pair')} have one"
        judgments = counted(to_judge, "judgment of a person", "judgments of people")
        click.echo(f"It asks for {judgments}{have_one if result.judged else ''}.")
        next_steps.show(program, next_steps.to_judge(result.name))
    elif result.pair_policy == "adaptive" and not result.stopped:
        click.echo("Every response pair of it has a judgment. Next: the same command again, to pick more")
    else:
        click.echo("Every response pair of it has a judgment.")
        next_steps.show(program, next_steps.judged(result.name))


def _print_filters(result: SelectionResult) -> None:
    filters = result.filters
    removed = filters.removed(result.min_words, result.max_length_ratio)
    rows: list[dict[str, Any]] = [{"response pairs": "measured", "number": filters.measured, "by itself": None}]
    rows += [{"response pairs": f"− {what}", "number": n, "by itself": alone} for what, n, alone in removed]
    rows.append({"response pairs": "eligible", "number": filters.eligible, "by itself": None})
    print_table(rows)


COMMANDS: list[click.Command] = [select]
