"""Options that several commands share, each written once."""

from __future__ import annotations

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
scenario_option = click.option("--scenario", metavar="NAME", help="Only instructions of this scenario.")
seed_option = click.option("--seed", type=int, default=42, show_default=True, help="Seed of what is drawn at random.")


def _split(_: click.Context, __: click.Parameter, value: str | None) -> list[str] | None:
    return [name.strip() for name in value.split(",") if name.strip()] if value else None


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
