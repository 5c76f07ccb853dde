"""The command replay: what a way of choosing battles saves, on votes that were given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from madetl.cli import output
from madetl.cli.base import Command, Settings, examples
from madetl.cli.options import (
    diversity_option,
    instruction_metric_option,
    json_option,
    max_length_ratio_option,
    metric_option,
    min_words_option,
    models_option,
    names,
    scenarios_option,
    seed_option,
    selections_option,
)
from madetl.errors import MissingExtraError, ParameterError
from madetl.text import counted

if TYPE_CHECKING:
    from madetl.replay.results import AtBudget, Replay

_FORMATS = (".png", ".svg", ".pdf")


def _budgets(_: click.Context, __: click.Parameter, value: str | None) -> list[int] | None:
    try:
        return None if value is None else [int(number) for number in value.split(",")]
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of numbers such as 63,105,210.") from None


def _plot_file(_: click.Context, __: click.Parameter, value: Path | None) -> Path | None:
    if value and value.suffix.lower() not in _FORMATS:
        raise click.BadParameter(f"{value.name} ends in none of {', '.join(_FORMATS)}.")
    if value and not value.parent.is_dir():  # checked before minutes of work
        raise click.BadParameter(f"there is no folder {value.parent}.")
    return value


@click.command(
    cls=Command,
    epilog=examples(
        "madetl replay",
        "madetl replay --strategy random,evidence --budgets 50,100,200 --plot replay.png",
        "madetl replay --strategy mad,evidence --diversity 0.5 --pair-policy adaptive",
        "madetl replay --replications 1000 --json",
    ),
)
@metric_option
@click.option(
    "--strategy",
    "strategies",
    callback=names,
    default="random,mad,band,evidence",
    show_default=True,
    metavar="A,B,…",
    help="Ways of picking the instruction within a pair of models, as select has them.",
)
@click.option(
    "--pair-policy",
    "pair_policies",
    callback=names,
    default="uniform,adaptive",
    show_default=True,
    metavar="A,B,…",
    help="Ways of picking the pair of models: uniform, adaptive, closest, arena, d-optimal.",
)
@click.option(
    "--budgets",
    callback=_budgets,
    metavar="N,M,…",
    help="Numbers of judgments.  [default: 3, 5, 10 and 15 for each pair of models]",
)
@click.option(
    "--replications",
    type=click.IntRange(min=2),
    default=200,
    show_default=True,
    metavar="N",
    help="How often the votes are halved; 1000 for a report.",
)
@diversity_option
@instruction_metric_option
@min_words_option
@max_length_ratio_option
@click.option(
    "--method", type=click.Choice(["bt", "elo"]), default="bt", show_default=True, help="Ranks gold and replays."
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="B",
    help="Judgments asked for before the first of them comes back.",
)
@click.option(
    "--floor",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    metavar="N",
    help="Judgments of each pair of models before votes decide.",
)
@scenarios_option
@selections_option
@models_option
@seed_option
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_plot_file,
    metavar="FILE",
    help="Also draw it, as png, svg or pdf by the file's name.",
)
@json_option
@click.pass_obj
def replay(settings: Settings, /, *, plot: Path | None, as_json: bool, **options: Any) -> None:
    """Replay ways of choosing battles on the votes there are: what would each have saved?

    In each replication the judged items (an instruction with a pair of models) are halved at random. One half with all
    its votes gives the gold ranking; the other is the pool, where each item answers with one of its votes. Every
    strategy and pair policy chooses from the pool as select would, measured response pairs within the filters only.
    "Random choice" is what they are compared with: any judged item, pairs of models in turn. --diversity goes with
    mad and evidence; the others draw without it.

    What judgments are worth is how many of random choice give the same mean Spearman correlation. Nothing is stored.
    """
    from madetl.replay.replay import ReplayParameters
    from madetl.replay.replay import replay as play
    from madetl.store import database

    draw = _plotting() if plot else None
    parameters = ReplayParameters(**options)
    with database.reading(settings.db) as db, output.progress_bar("replay", "judgments") as progress:
        found = play(db, parameters, progress)
    for note in found.notes:
        output.note(f"Note: {note}")
    if draw and plot:
        _save(draw, found, plot)
    if as_json:
        output.print_json(found.as_json())
    else:
        _print(found)


def _plotting() -> ModuleType:
    try:
        from madetl.replay import plot
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "matplotlib":
            raise
        raise MissingExtraError("`madetl replay --plot`", "report") from error
    return plot


def _save(draw: ModuleType, found: Replay, plot: Path) -> None:
    try:
        draw.save(found, plot)
    except OSError as error:
        raise ParameterError(f"{plot} cannot be written: {error.strerror}.") from error
    output.note(f"Drawn in {plot}")


def _print(found: Replay) -> None:
    click.echo(
        f"{counted(found.votes, 'vote')} on {counted(found.items, 'item')} of {counted(len(found.models), 'model')} "
        f"({counted(found.pairs, 'pair')}), halved {counted(found.replications, 'time')}:\n"
        f"gold of {counted(found.gold, 'item')}, and a pool of {found.pool:,}; measured with "
        f"{found.metric} and within the filters of\n{_eligible(found)}.\n"
    )
    _table(found, "Spearman correlation with gold", lambda at: _correlation(at.spearman, at.spearman_se))
    _table(found, "Kendall correlation with gold", lambda at: _correlation(at.kendall, at.kendall_se))
    _table(found, "Replications with gold's order", lambda at: _share(at.exact, at.exact_se))
    _table(found, "Replications with gold's winner", lambda at: _share(at.winner, at.winner_se))
    _table(found, "Worth so many judgments of random choice, by Spearman (95 % interval)", _worth, baseline=False)
    click.echo(
        f"All of the pool, {counted(found.pool, 'vote')}, comes to a Spearman correlation of "
        f"{found.ceiling.spearman:.3f}.\nStandard errors (±) and intervals are over the halvings of these votes:\n"
        "other people's votes may tell otherwise.\n"
    )
    click.echo(found.summary)


def _eligible(found: Replay) -> str:
    """'random, mad 893, evidence 1,354': the strategies that have as many items together."""
    numbers: dict[str, list[str]] = {}
    for strategy, items in found.eligible.items():
        numbers.setdefault(f"{items:,.0f}", []).append(strategy)
    return "; ".join(f"{', '.join(those)}: {number}" for number, those in numbers.items())


def _table(found: Replay, title: str, cell: Callable[[AtBudget], str], *, baseline: bool = True) -> None:
    rows = [
        {"policy": one.policy.name} | {counted(at.budget, "judgment"): cell(at) for at in one.budgets}
        for one in found.replayed
        if baseline or not one.policy.baseline
    ]
    output.print_table(rows, title=title)


def _correlation(value: float, error: float) -> str:
    return f"{_bare(value):>5} ±{_bare(error)}"


def _bare(value: float) -> str:
    """Three decimals without the zero before the point."""
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 0.9995 else f"{value:.3f}"


def _share(value: float, error: float) -> str:
    return f"{100 * value:5.1f} % ±{100 * error:.1f}"


def _worth(at: AtBudget) -> str:
    if at.worth is None:
        return f"> {at.worth_at_least:,}"
    low, high = (f"{value:,.0f}" if value else "" for value in (at.worth_low, at.worth_high))
    return f"{at.worth:,.0f} ({low} to {high or 'more'})"


COMMANDS: list[click.Command] = [replay]
