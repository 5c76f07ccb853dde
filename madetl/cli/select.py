"""The command that picks what people should judge: select."""

from __future__ import annotations

import math
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from madetl.cli.base import Command, Settings, examples
from madetl.cli.options import json_option, models_option, pairs_option, scenario_option, seed_option
from madetl.cli.output import print_json, print_table, warn

if TYPE_CHECKING:
    from madetl.selections import SelectionResult

_PAIRS_SHOWN = 30


class _LengthRatio(click.FloatRange):
    """0 (off), or a number above 1: the longer answer divided by the shorter one is at least 1."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        ratio = float(super().convert(value, param, ctx))
        if ratio != 0 and not 1 < ratio < math.inf:
            self.fail(f"{value} is neither 0 (off) nor a number above 1.", param, ctx)
        return ratio


@click.command(
    cls=Command,
    epilog=examples(
        "madetl select --top-k 10",
        "madetl select --scenario Writing --diversity 0.5",
        "madetl select --strategy random --seed 1",
        "madetl select --top-k 20",
    ),
)
@click.option("--metric", default="char-ngram", show_default=True, metavar="NAME", help="The similarity to go by.")
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    metavar="K",
    help="Response pairs to pick for each pair of models.  [default: 10, or what the selection has]",
)
@click.option(
    "--diversity",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    metavar="LAMBDA",
    help="Weight of how near an instruction is to those picked before; 0: none.",
)
@click.option(
    "--instruction-metric",
    default="char-ngram",
    show_default=True,
    metavar="NAME",
    help="Whose vectors say how near instructions are: char-ngram, or a metric with stored embeddings.",
)
@click.option(
    "--min-words",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="N",
    help="Both answers have more words; 0: off.",
)
@click.option(
    "--max-length-ratio",
    type=_LengthRatio(),
    default=4.0,
    show_default=True,
    metavar="R",
    help="The answers' lengths in characters differ by less than this; 0: off.",
)
@scenario_option
@models_option
@pairs_option
@click.option(
    "--strategy",
    type=click.Choice(["mad", "random"]),
    default="mad",
    show_default=True,
    help="The pairs that differ most, or random ones as a baseline.",
)
@seed_option
@click.option("--name", help="Name of the selection.  [default: one per scenario and metric, such as all-char-ngram]")
@json_option
@click.pass_obj
def select(settings: Settings, /, *, as_json: bool, **options: Any) -> None:
    """Pick the response pairs that people should judge: those on which two models differ most.

    \b
    For each pair of models, K instructions by the greedy of maximum discrepancy:
      x_k = argmin  similarity(x) + lambda * max cosine(x, picked before)
    Running it again extends a selection: a model that came later gets its pairs, a larger K
    (--top-k 20 after 10) adds picks; what was picked, and judged, stays.
    """
    from madetl import database
    from madetl.selections import SelectionParameters
    from madetl.selections import select as select_pairs

    with database.writing(settings.db, create=False) as db:
        result = select_pairs(db, SelectionParameters(**options))
    for warning in result.warnings:
        warn(warning)
    if as_json:
        print_json(asdict(result) | {"summary": result.summary})
    else:
        _print(result)


def _print(result: SelectionResult) -> None:
    rows = [asdict(pair) for pair in result.pairs]
    print_table(rows[:_PAIRS_SHOWN])
    if len(rows) > _PAIRS_SHOWN:
        click.echo(f"… and {len(rows) - _PAIRS_SHOWN} more model pairs: SELECT * FROM selected_pairs\n")
    _print_filters(result)
    click.echo(result.summary)
    to_judge = result.selected - result.judged
    if not to_judge:
        click.echo("Every response pair of it has a judgment. Next: madetl rank")
        return
    have_one = f": {result.judged} of {result.selected} response pairs have one" if result.judged else ""
    click.echo(f"It asks for {to_judge} human judgments{have_one}.")
    click.echo(f"Next: madetl export annotations --selection {shlex.quote(result.name)} -o sheet.csv")


def _print_filters(result: SelectionResult) -> None:
    filters = result.filters
    removed = filters.removed(result.min_words, result.max_length_ratio)
    rows: list[dict[str, Any]] = [{"response pairs": "measured", "number": filters.measured, "by itself": None}]
    rows += [{"response pairs": f"− {what}", "number": n, "by itself": alone} for what, n, alone in removed]
    rows.append({"response pairs": "eligible", "number": filters.eligible, "by itself": None})
    print_table(rows)


COMMANDS: list[click.Command] = [select]
