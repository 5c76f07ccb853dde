"""Options that several commands share, each written once."""

from __future__ import annotations

import math
from typing import Any

import click
from click.core import ParameterSource


class FiniteRange(click.FloatRange):
    """A number of a range; NaN, which lies in every range for click, and the infinite are none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        return number if math.isfinite(number) else self.fail(f"{value} is not a number.", param, ctx)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
scenarios_option = click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    metavar="NAME",
    callback=lambda _, __, value: tuple(dict.fromkeys(value)),
    help="Only instructions of this scenario; may be repeated.  [default: all]",
)
selections_option = click.option(
    "--selection",
    "selections",
    multiple=True,
    metavar="NAME",
    callback=lambda _, __, value: tuple(dict.fromkeys(value)),
    help="Only votes on what this selection picked; may be repeated.  [default: all votes]",
)


def _generation(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    from madetl.errors import ParameterError
    from madetl.store import pool

    try:
        return None if value is None else pool.parsed(value)
    except ParameterError as error:
        raise click.BadParameter(str(error)) from None


generation_option = click.option(
    "--generation",
    callback=_generation,
    metavar="evolved|seeds|all|N",
    help="Which instructions: rewritings (of all rounds, or of round N), their seeds, or all.  [default: evolved in a "
    "scenario that has rewritings, else seeds]",
)
seed_option = click.option("--seed", type=int, default=42, show_default=True, help="Seed of what is drawn at random.")


def names(_: click.Context, __: click.Parameter, value: str | None) -> list[str] | None:
    """The callback of an option that takes names separated by commas."""
    return [name.strip() for name in value.split(",") if name.strip()] if value else None


floor_option = click.option(
    "--floor",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    metavar="N",
    help="With --adaptive: response pairs of each pair of models before votes decide.",
)
stop_at_option = click.option(
    "--stop-at",
    type=FiniteRange(0.5, 1, min_open=True, max_open=True),
    metavar="P",
    help="With --adaptive: stop when the order of every two neighbours has this probability, such as 0.95.",
)


def refuse_without_adaptive(*names: str) -> None:
    """Raises UsageError where one of these parameters was given; call it where --adaptive was not."""
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} goes with --adaptive.")


models_option = click.option(
    "--models", callback=names, metavar="A,B,C", help="Only these models, separated by commas."
)
pairs_option = click.option(
    "--pairs",
    type=click.Choice(["all", "judged"]),
    default="all",
    show_default=True,
    help="All response pairs, or only those that somebody judged already.",
)
metric_option = click.option(
    "--metric", metavar="NAME", help="The similarity to go by.  [default: the one that is measured, if only one is]"
)


class LengthRatio(click.ParamType[float]):
    """0 (off), or a number above 1: the longer answer divided by the shorter one is at least 1."""

    name = "float"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        ratio = float(click.FLOAT.convert(value, param, ctx))
        if ratio != 0 and not 1 < ratio < math.inf:
            self.fail(f"{value} is neither 0 (off) nor a number above 1.", param, ctx)
        return ratio


diversity_option = click.option(
    "--diversity",
    type=FiniteRange(min=0),
    default=0.0,
    show_default=True,
    metavar="LAMBDA",
    help="Weight of how near an instruction is to those picked before; 0: none.",
)
instruction_metric_option = click.option(
    "--instruction-metric",
    default="char-ngram",
    show_default=True,
    metavar="NAME",
    help="The metric whose vectors say how near instructions are: char-ngram, or a metric with stored embeddings.",
)
min_words_option = click.option(
    "--min-words",
    type=click.IntRange(min=0),
    metavar="N",
    help="Both answers have more words than this; 0: off.  [default: 20; of evidence 0]",
)
max_length_ratio_option = click.option(
    "--max-length-ratio",
    type=LengthRatio(),
    metavar="R",
    help="The answers' lengths in characters differ by less than this factor; 0: off.  [default: 4; of evidence 0]",
)
