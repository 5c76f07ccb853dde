"""Section 2, the leaderboards: overall and per scenario, Elo and Bradley–Terry side by side. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from madetl.ranking.leaderboards import Leaderboard
from madetl.ranking.votes import RankParameters
from madetl.report.boards import METHODS, Boards
from madetl.report.content import (
    NO_VOTES,
    Block,
    BlockGroup,
    Cell,
    Frame,
    Plot,
    Remark,
    Section,
    SideBySide,
    Source,
    Table,
    Text,
    interval,
    isolated,
    points,
    sentence,
)
from madetl.report.plots.models import CIRCLE, DIAMOND, Whisker, whiskers
from madetl.report.rows import ReportData
from madetl.text import counted

_INFORMATION = ("order", "elo", "rounds")  # kinds of notes that are no warnings


def section(study: ReportData, boards: Boards | None) -> Section:
    """Whiskers and tables."""
    if boards is None:
        return Section("leaderboard", "Leaderboard", [NO_VOTES])
    blocks: list[Block] = [Text(_how(study, boards))]
    together = list(zip(boards.first, boards.other, strict=True))
    for number, (first, other) in enumerate(together):
        if number == 0:
            blocks += _board(study, boards, number, first, other)
        elif len(together) > 2:
            blocks.append(BlockGroup(_title(first), _board(study, boards, number, first, other)))
        else:
            blocks.append(
                Text(f"All judgments are of one scenario, {isolated(first.scenario)}: its board is the same.")
            )
    if boards.left_out:
        more = counted(boards.left_out, "more scenario")
        blocks.append(Remark(f"Left out, with fewer votes: {more}. --scenario reports on one of them."))
    return Section("leaderboard", "Leaderboard", blocks)


def _how(study: ReportData, boards: Boards) -> str:
    method, other = METHODS[boards.parameters.method], METHODS[boards.other_parameters.method]
    computed = f"{other} was computed for this report ({_drawn(boards.other_parameters)}) and is stored nowhere."
    if study.ranking is not None and boards.stored:
        return f"{method} is run {study.ranking['run_id']} ({_drawn(boards.parameters)}). {computed}"
    return f"{method} was computed for this report as well ({_drawn(boards.parameters)}). {computed}"


def _drawn(parameters: RankParameters) -> str:
    return f"{counted(parameters.rounds, 'round')} of {parameters.resample}, seed {parameters.seed}"


def _title(board: Leaderboard) -> str:
    return f"{isolated(board.scenario)}: {counted(board.counts['battles'], 'judgment')}"


def _board(study: ReportData, boards: Boards, number: int, first: Leaderboard, other: Leaderboard) -> list[Block]:
    """The first board in full; of a scenario only its plots, since the notes say the same again."""
    sources = [study.ratings.source, study.votes.source] if boards.stored else [study.votes.source]
    plots = SideBySide(
        [
            _plot(f"board-{number}-a", first, first, boards.parameters, sources),
            _plot(f"board-{number}-b", other, first, boards.other_parameters, [study.votes.source]),
        ]
    )
    return [plots, *(_scenario_notes(first) if number else _notes(boards))]


def _plot(key: str, board: Leaderboard, order: Leaderboard, parameters: RankParameters, sources: list[Source]) -> Plot:
    """The models in the order of the other board, so that a line of one stands beside its line of the other."""
    lines = {line.model: line for line in board.ratings}
    ordered = [lines[line.model] for line in order.ratings if line.model in lines]
    method = METHODS[parameters.method]
    what = "what the order of battles changes" if parameters.resample == "permute" else "its 95 % interval"
    caption = f"{method}: each model's rating with {what}."
    return whiskers(
        Frame(key, caption, _table(f"{method}, {isolated(board.scenario)}", board, sources)),
        [Whisker(line.model, line.rating, line.lower, line.upper) for line in ordered],
        f"{method} rating",
        look=CIRCLE if parameters.method == "elo" else DIAMOND,
    )


def _table(title: str, board: Leaderboard, sources: list[Source]) -> Table:
    components = any(line.component > 1 for line in board.ratings)
    remarks = any(line.remark for line in board.ratings)
    rows: list[list[Cell]] = []
    for line in board.ratings:
        cells: list[Cell] = [line.component] if components else []
        cells += [line.rank, line.model, points(line.rating), interval(line.lower, line.upper), line.battles]
        rows.append(cells + ([line.remark or ""] if remarks else []))
    head = ["rank", "model", "rating", "from … to", "judgments"]
    return Table(title, ["component"] * components + head + ["remark"] * remarks, rows, sources, folded=True)


def _scenario_notes(board: Leaderboard) -> Iterator[Block]:
    """What makes a scenario's intervals, or its ratings, less than they seem."""
    yield from (
        Remark(sentence(note.text), warning=True) for note in board.notes if note.kind in ("components", "items")
    )


def _notes(boards: Boards) -> Iterator[Block]:
    """Each note of the overall boards once; the answer names the components already."""
    shown: set[str] = {"components"}
    for board, parameters in ((boards.first[0], boards.parameters), (boards.other[0], boards.other_parameters)):
        for note in board.notes:
            if note.kind not in shown:
                shown.add(note.kind)
                text = f"{METHODS[parameters.method]}: {note.text}"
                yield Remark(text, warning=note.kind not in _INFORMATION)
