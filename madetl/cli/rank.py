"""The command rank: from judgments to leaderboards."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from madetl.cli import next_steps, output
from madetl.cli.base import Command, Settings, examples
from madetl.cli.options import json_option, scenario_option, seed_option
from madetl.errors import ParameterError
from madetl.text import counted

if TYPE_CHECKING:
    from madetl.ranking.leaderboards import Leaderboard, LeaderboardLine
    from madetl.ranking.rank import Ranking
    from madetl.ranking.votes import RankParameters

_INFORMATION = ("order", "elo", "rounds")  # kinds of notes that are no warnings


def _anchor(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, float] | None:
    if value is None:
        return None
    model, equals, rating = value.rpartition("=")
    try:
        if model and equals:
            return model, float(rating)
    except ValueError:
        pass
    raise click.BadParameter(f"{value!r} is not MODEL=RATING, such as gpt-4=1200.")


@click.command(
    cls=Command,
    epilog=examples(
        "madetl rank",
        "madetl rank --method bt --scenario Writing",
        "madetl rank --annotator alice --annotator bob",
        "madetl rank --votes majority --without bob",
        "madetl rank --judges --anchor gpt-4=1200 --json",
    ),
)
@click.option(
    "--method",
    type=click.Choice(["elo", "bt"]),
    default="elo",
    show_default=True,
    help="elo: as the MAD method prescribes. bt: Bradley–Terry; better for differences between models.",
)
@click.option("--rounds", type=int, default=1000, show_default=True, help="How often to resample.")
@click.option(
    "--resample",
    type=click.Choice(["bootstrap", "permute"]),
    default="bootstrap",
    show_default=True,
    help="bootstrap: items (an instruction with all its votes) drawn with replacement within each model pair, in "
    "random order, for 95 % intervals. permute: the same battles in random orders, which shows how much the order "
    "matters, not how sure the ranking is (elo only).",
)
@seed_option
@scenario_option
@click.option("--annotator", "annotators", multiple=True, metavar="NAME", help="Only votes of NAME. May be repeated.")
@click.option("--without", multiple=True, metavar="NAME", help="No votes of NAME. May be repeated.")
@click.option("--judges", is_flag=True, help="Votes of judge models, instead of people's.")
@click.option(
    "--votes",
    type=click.Choice(["all", "majority"]),
    default="all",
    show_default=True,
    help="all: every vote is a battle, repeats too. majority: one battle per response pair, as most annotators judged "
    "it first; a tie where no verdict has most.",
)
@click.option(
    "--anchor",
    callback=_anchor,
    metavar="MODEL=RATING",
    help="Shift all ratings and intervals so that MODEL has this rating.",
)
@click.option("--k-factor", type=float, default=4.0, show_default=True, help="How far one battle moves (elo only).")
@json_option
@click.pass_obj
def rank(settings: Settings, /, as_json: bool, **options: Any) -> None:
    """Rank the models by the votes: one leaderboard overall and one per scenario, with intervals.

    People's votes count, unless --annotator or --judges says otherwise. A rating is the median over the rounds (elo) or
    the maximum of the likelihood (bt); its interval holds the middle 95 % of the rounds. Ranks allow for the intervals:
    1 + the number of models whose lower bound is above this one's upper bound. Every ranking is kept, in ratings.
    """
    parameters = _parameters(options)
    from madetl.ranking import rank
    from madetl.store import database

    with database.writing(settings.db, create=False) as db, output.progress_bar("rank", "rounds") as progress:
        ranking = rank.rank(db, parameters, progress)
    if as_json:
        output.print_json(_as_json(ranking, parameters))
    else:
        show(ranking, parameters)
        next_steps.show(settings.program, next_steps.ranked(ranking, parameters))


def _parameters(options: dict[str, Any]) -> RankParameters:
    from madetl.ranking.votes import RankParameters

    try:
        return RankParameters(**options)
    except ParameterError as error:
        raise click.UsageError(str(error)) from error


def _as_json(ranking: Ranking, parameters: RankParameters) -> dict[str, Any]:
    return {
        "run": ranking.run_id,
        "votes": ranking.voters,
        "parameters": asdict(parameters),
        "leaderboards": [
            {
                "scenario": board.scenario,
                **board.counts,
                "ratings": [asdict(line) for line in board.ratings],
                "notes": [asdict(note) for note in board.notes],
            }
            for board in ranking.leaderboards
        ],
    }


def show(ranking: Ranking, parameters: RankParameters) -> None:
    """Prints the leaderboards, and what a reader must know about them."""
    boards = ranking.leaderboards
    same = len(boards) == 2  # overall and the only scenario
    for board in boards[:1] if same else boards:
        click.echo(_heading(board))
        output.print_table(_table(board, parameters))
    if same:
        click.echo(f"All votes are of one scenario, {boards[1].scenario}: its leaderboard is the same.")
    click.echo(f"Run {ranking.run_id}: {ranking.summary}.")
    _print_notes(boards)


def _heading(board: Leaderboard) -> str:
    counts = board.counts
    words = {"ties": "tie" if counts["ties"] == 1 else "ties", "both_bad": "both bad"}
    details = [f"{counts[name]:,} {word}" for name, word in words.items() if counts[name]]
    halves = f" ({' and '.join(details)}, half a win each)" if details else ""
    return f"{board.scenario}: {counted(counts['battles'], 'battle')}{halves} on {counted(counts['items'], 'item')}"


def _table(board: Leaderboard, parameters: RankParameters) -> list[dict[str, Any]]:
    """The columns component and remark only where they say something."""
    components = any(line.component > 1 for line in board.ratings)
    remarks = any(line.remark for line in board.ratings)
    range_name = "range over orders" if parameters.resample == "permute" else "95 % interval"
    width = max(len(f"{bound:.0f}") for line in board.ratings for bound in (line.lower, line.upper))

    def row(line: LeaderboardLine) -> dict[str, Any]:
        cells: dict[str, Any] = {"component": line.component} if components else {}
        cells |= {"rank": line.rank, "model": line.model, "rating": round(line.rating)}
        cells[range_name] = f"{line.lower:{width}.0f} to {line.upper:{width}.0f}"
        cells["battles"] = line.battles
        return cells | ({"remark": line.remark or ""} if remarks else {})

    return [row(line) for line in board.ratings]


def _print_notes(boards: list[Leaderboard]) -> None:
    """Each kind of note once, in the words of the first leaderboard that it concerns."""
    noted = dict.fromkeys(note.kind for board in boards for note in board.notes)
    for kind in noted:
        texts = [(board.scenario, note.text) for board in boards for note in board.notes if note.kind == kind]
        scenario, text = texts[0]
        differ = any(other != text for _, other in texts)
        where = f"{scenario}: " if differ else ""
        more = f" (Likewise in {counted(len(texts) - 1, 'more leaderboard')}: see --json.)" if differ else ""
        if kind in _INFORMATION:
            output.note(f"Note: {where}{text}{more}")
        else:
            output.warn(f"{where}{text}{more}")


COMMANDS: list[click.Command] = [rank]
