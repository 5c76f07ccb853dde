"""Options that several commands share, each written once."""

from __future__ import annotations

import click
from click.core import ParameterSource

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
scenario_option = click.option("--scenario", metavar="NAME", help="Only instructions of this scenario.")
seed_option = click.option("--seed", type=int, default=42, show_default=True, help="Seed of what is drawn at random.")


def _split(_: click.Context, __: click.Parameter, value: str | None) -> list[str] | None:
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
    type=click.FloatRange(0.5, 1, min_open=True, max_open=True),
    metavar="P",
    help="With --adaptive: stop when every order of neighbours is that sure, such as 0.95.",
)


def refuse_without_adaptive(*names: str) -> None:
    """Raises UsageError where one of these parameters was given: --adaptive was not, and they go with it."""
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} goes with --adaptive.")


models_option = click.option(
    "--models", callback=_split, metavar="A,B,C", help="Only these models, separated by commas."
)
pairs_option = click.option(
    "--pairs",
    type=click.Choice(["all", "judged"]),
    default="all",
    show_default=True,
    help="All response pairs, or only those that somebody judged already.",
)
