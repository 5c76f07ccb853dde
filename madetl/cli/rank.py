"""The command rank: from judgments to leaderboards."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from madetl.cli import next_steps, output
from madetl.cli.base import Command, Settings, examples
from madetl.cli.options import json_option, scenarios_option, seed_option, selections_option
from madetl.errors import ParameterError
from madetl.text import counted

if TYPE_CHECKING:
    from madetl.ranking.leaderboards import Leaderboard, LeaderboardLine, Neighbours
    from madetl.ranking.rank import Ranking
    from madetl.ranking.votes import RankParameters

_INFORMATION = ("order", "elo", "rounds")  # kinds of notes that are no warnings
_METHODS = {"elo": "Elo", "bt": "Bradley–Terry"}
_WHOLE_ORDER = 10  # models; of more, only the settled steps of the order are worth reading
_WORTH_NAMING = 0.05  # probability of being the best model
_MOST_NAMED = 4  # selections


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
        "madetl rank --selection pilot",
        "madetl rank --method bt --scenario Writing --scenario Coding",
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
@scenarios_option
@selections_option
@click.option("--annotator", "annotators", multiple=True, metavar="NAME", help="Only votes of NAME. May be repeated.")
@click.option("--without", multiple=True, metavar="NAME", help="No votes of NAME. May be repeated.")
@click.option("--judges", is_flag=True, help="Votes of judge models, instead of people's.")
@click.option(
    "--votes",
    type=click.Choice(["all", "majority"]),
    default="all",
    show_default=True,
    help="all: every vote is a battle, one per annotator and response pair (of a crowd one per row), repeats never. "
    "majority: one battle per response pair, as most voted; a tie where no verdict has most.",
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
    """Rank the models by the votes: one leaderboard overall and one per scenario.

    First comes the order with its probability, as `madetl advise` has it: who may be the best, and how sure each step
    down is. Beside it stand the ratings with their intervals, Elo's and Bradley–Terry's.

    People's votes count, unless --annotator or --judges says otherwise. A rating is the median over the rounds (elo) or
    the maximum of the likelihood (bt); its interval holds the middle 95 % of the rounds. Ranks allow for the intervals:
    1 + the number of models whose lower bound is above this one's upper bound; an interval without width, or of the
    order of battles alone, gives none (–). Every ranking is kept, in ratings.
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
    beside = {board.scenario: board.ratings for board in ranking.bradley_terry}
    return {
        "run": ranking.run_id,
        "votes": ranking.voters,
        "votes_by_selection": [{"selection": name, "votes": votes} for name, votes in ranking.by_selection.items()],
        "parameters": asdict(parameters),
        "leaderboards": [
            {
                "scenario": board.scenario,
                **board.counts,
                "order": [asdict(step) for step in board.order],
                "ratings": [asdict(line) for line in board.ratings],
                "bradley_terry": [asdict(line) for line in beside.get(board.scenario, [])],
                "notes": [asdict(note) for note in board.notes],
            }
            for board in ranking.leaderboards
        ],
    }


def show(ranking: Ranking, parameters: RankParameters) -> None:
    """Prints the leaderboards, and what a reader must know about them."""
    boards = ranking.leaderboards
    beside = {board.scenario: board for board in ranking.bradley_terry}
    same = len(boards) == 2  # overall and the only scenario
    for board in boards[:1] if same else boards:
        show_board(board, beside.get(board.scenario), parameters)
    click.echo(legend(parameters))
    if same:
        click.echo(f"All votes are of one scenario, {boards[1].scenario}: its leaderboard is the same.")
    click.echo(f"Run {ranking.run_id}: {ranking.summary}.")
    if ranking.by_selection:
        output.note(f"Note: {_which_selections(ranking)}")
    _print_notes(boards)


def show_board(board: Leaderboard, other: Leaderboard | None, parameters: RankParameters) -> None:
    """Prints one leaderboard; `other` is that of Bradley–Terry beside Elo's."""
    click.echo(_heading(board))
    for sentence in _headline(board):
        click.echo(sentence)
    output.print_table(_table(board, other, parameters), texts=("model",))
    for line in _remarks(board, other):
        click.echo(line)


def _heading(board: Leaderboard) -> str:
    counts = board.counts
    words = {"ties": "tie" if counts["ties"] == 1 else "ties", "both_bad": "both bad"}
    details = [f"{counts[name]:,} {word}" for name, word in words.items() if counts[name]]
    halves = f" ({' and '.join(details)}, half a win each)" if details else ""
    return f"{board.scenario}: {counted(counts['battles'], 'battle')}{halves} on {counted(counts['items'], 'item')}"


def _headline(board: Leaderboard) -> list[str]:
    """What can be believed: who is the best, and how much of the order is settled."""
    sentences = []
    parts = dict.fromkeys(line.component for line in board.in_order)
    for part in parts:
        lines = [line for line in board.in_order if line.component == part]
        lines.sort(key=lambda line: -(line.probability_best or 0))
        named = [f"{line.model} {_share(line)}" for line in lines if (line.probability_best or 0) >= _WORTH_NAMING]
        where = f" of component {part}" if len(parts) > 1 else ""
        sentences.append(f"Probably the best model{where}: {', '.join(named)}.")
    settled, steps = sum(step.settled for step in board.order), len(board.order)
    sentences.append(f"Settled (95 % or more): {settled:,} of {counted(steps, 'step')} of the order.")
    return sentences


def _table(board: Leaderboard, other: Leaderboard | None, parameters: RankParameters) -> list[dict[str, Any]]:
    """The models in the order that can be believed, with ratings beside it; components only where there are several."""
    components = any(line.component > 1 for line in board.ratings)
    above = {step.better: _above(step, len(board.ratings)) for step in board.order}
    ratings = _ratings(board)
    others = _ratings(other) if other else {}

    def row(line: LeaderboardLine) -> dict[str, Any]:
        cells: dict[str, Any] = {"component": line.component} if components else {}
        cells |= {"rank": "–" if line.rank is None else str(line.rank), "model": line.model}
        cells |= {"best": _share(line), "> next": above.get(line.model, "")}
        cells[_METHODS[parameters.method]] = ratings[line.model]
        return cells | ({_METHODS["bt"]: others[line.model]} if others else {})

    return [row(line) for line in board.in_order]


def _share(line: LeaderboardLine) -> str:
    """The probability of being the best, in whole percents."""
    from madetl.selection.adaptive.advise import percent

    best = line.probability_best or 0
    return percent(best) if best >= 0.01 else "< 1 %"


def _above(step: Neighbours, models: int) -> str:
    """How sure the step to the next model is; of very many models, only where it is settled."""
    from madetl.selection.adaptive.advise import percent

    return percent(step.probability) if step.settled or models <= _WHOLE_ORDER else ""


def _ratings(board: Leaderboard) -> dict[str, str]:
    """'1104 (1071…1138)' of each model, the numbers below one another."""
    width = max(len(f"{value:.0f}") for line in board.ratings for value in (line.rating, line.lower, line.upper))
    return {
        line.model: f"{line.rating:{width}.0f} ({line.lower:{width}.0f}…{line.upper:.0f})" for line in board.ratings
    }


def legend(parameters: RankParameters) -> str:
    """What the columns of a leaderboard say."""
    method = _METHODS[parameters.method]
    ranges = "95 % intervals"
    if parameters.resample == "permute":
        ranges = f"{method}'s ranges over orders of battles, Bradley–Terry's 95 % intervals"
    return (
        "best: probability of being the best model; > next: of being better than the next one. In parentheses: "
        f"{ranges}."
    )


def _remarks(board: Leaderboard, other: Leaderboard | None) -> list[str]:
    """'chatglm-6b lost every battle: no true lower bound.'"""
    lines = (other or board).ratings
    return [f"{line.model} {line.remark}." for line in lines if line.remark]


def _which_selections(ranking: Ranking) -> str:
    """How many of the votes are of which selection, and the command that ranks those of one."""
    named = [(name, votes) for name, votes in ranking.by_selection.items() if name is not None]
    parts = [f"{votes:,} on what {name} picked" for name, votes in named[:_MOST_NAMED]]
    if len(named) > _MOST_NAMED:
        parts.append(f"more on what {len(named) - _MOST_NAMED:,} other selections did")
    if None in ranking.by_selection:
        parts.append(f"{ranking.by_selection[None]:,} on what none did")
    one = f"`madetl rank --selection {shlex.quote(named[-1][0])}` ranks those of one"
    return f"all votes count, {', '.join(parts)}: {one}."


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
