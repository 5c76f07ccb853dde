"""The command advise: how sure the order is, and how many more judgments would settle it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from madetl.cli import output
from madetl.cli.base import Command, Settings, examples
from madetl.cli.options import FiniteRange, json_option, scenarios_option, seed_option, selections_option

if TYPE_CHECKING:
    from madetl.selection.adaptive.advise import Advice, Needed, Order

_WARNINGS = ("components", "few")  # kinds of notes that are more than information


@click.command(
    cls=Command,
    epilog=examples(
        "madetl advise",
        "madetl advise --scenario Writing --target 0.9",
        "madetl advise --selection pilot --json",
    ),
)
@click.option(
    "--target",
    type=FiniteRange(0.5, 1, min_open=True, max_open=True),
    default=0.95,
    show_default=True,
    metavar="P",
    help="How sure an order of two neighbours shall be.",
)
@scenarios_option
@selections_option
@seed_option
@click.option(
    "--simulations",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    metavar="N",
    help="How often to simulate the judgments to come.",
)
@json_option
@click.pass_obj
def advise(settings: Settings, /, as_json: bool, **options: Any) -> None:
    """Say how sure the order of the models is, and how many more judgments would settle it.

    For each two neighbours in the order: how sure people's votes are of it, and about how many more judgments, on
    which pairs of models, until it is 95 % sure. The judgments to come are simulated: from strengths drawn from
    Bradley–Terry's posterior, on the pairs that `madetl select --adaptive` would choose, until it is enough. Each
    order is forecast by itself, and then all of them together. Nothing is stored.
    """
    from madetl.selection.adaptive import advise
    from madetl.store import database

    with database.reading(settings.db) as db:
        found = advise.advise(db, **options)
    if as_json:
        output.print_json(asdict(found))
    else:
        _print(found, settings.program)


def _print(found: Advice, program: str) -> None:
    from madetl.selection.adaptive import advise

    click.echo(advise.votes_sentence(found))
    output.print_table([_row(order, found) for order in found.orders])
    open_orders = [order for order in found.orders if order.needed.median != 0]
    if open_orders:
        click.echo(advise.middle_half_sentence(found))
    for order in open_orders:
        click.echo(advise.order_sentence(order, found.cap))
    click.echo(advise.all_sentence(found))
    for note in found.notes:
        if note.kind in _WARNINGS:
            output.warn(note.text)
        else:
            output.note(f"Note: {note.text}")
    click.echo(f"Next: {program}{(found.command or 'madetl rank --method bt').removeprefix('madetl')}")


def _row(order: Order, found: Advice) -> dict[str, Any]:
    from madetl.selection.adaptive.advise import percent

    return {
        "order": f"{order.higher} before {order.lower}",
        "sure": percent(order.sure),
        f"more judgments to {percent(found.target)}": _number(order.needed.median, found.cap),
        "middle half": _middle(order.needed, found.cap),
    }


def _number(judgments: int | None, cap: int) -> str:
    from madetl.selection.adaptive.advise import rounded

    return f"more than {cap:,}" if judgments is None else f"{rounded(judgments):,}" if judgments else "settled"


def _middle(needed: Needed, cap: int) -> str:
    """The middle half of the simulations; nothing where all of it is settled, or all of it beyond the cap."""
    if needed.median == 0 or needed.lower is None:
        return ""
    return " to ".join(_number(bound, cap).replace("settled", "0") for bound in (needed.lower, needed.upper))


COMMANDS: list[click.Command] = [advise]
