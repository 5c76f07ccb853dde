"""Section 2, the leaderboards: overall and per scenario, Elo and Bradley–Terry side by side. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from madetl.ranking.leaderboards import Leaderboard, LeaderboardLine
from madetl.ranking.votes import RankParameters
from madetl.report.boards import METHODS, Boards, ModelOrder
from madetl.report.content import (
    NO_VOTES,
    Block,
    BlockGroup,
    Cell,
    Frame,
    Number,
    Plot,
    Remark,
    Section,
    Source,
    Table,
    Text,
    interval,
    isolated,
    points,
    sentence,
)
from madetl.report.plots.models import CIRCLE, DIAMOND, Whiskers, whiskers
from madetl.report.rows import ReportData
from madetl.text import counted

_INFORMATION = ("order", "elo", "rounds")  # kinds of notes that are no warnings


def section(study: ReportData, boards: Boards | None) -> Section:
    """Whiskers and tables."""
    if boards is None:
        return Section("leaderboard", "Leaderboard", [NO_VOTES])
    blocks: list[Block] = [Text(_how(study, boards))]
    for number, board in enumerate(boards.first):
        if number == 0:
            blocks += _board(study, boards, number)
        elif len(boards.first) > 2:
            blocks.append(BlockGroup(_title(board), _board(study, boards, number)))
        else:
            blocks.append(
                Text(f"All judgments are of one scenario, {isolated(board.scenario)}: its board is the same.")
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


def _board(study: ReportData, boards: Boards, number: int) -> list[Block]:
    """The first board in full; of a scenario only its plot, since the notes say the same again."""
    sources = [study.ratings.source, study.votes.source] if boards.stored else [study.votes.source]
    ranked = [(boards.first[number], boards.parameters), (boards.other[number], boards.other_parameters)]
    ranked.sort(key=lambda pair: pair[1].method != "elo")
    models = _in_order(boards.orders[number], boards.first[number])
    notes = _scenario_notes(boards.first[number]) if number else _notes(boards)
    return [_plot(f"board-{number}", ranked, models, sources), *notes]


def _in_order(order: ModelOrder, board: Leaderboard) -> list[str]:
    """The models in the order that can be believed; last those that a stored board has and no vote is on any more."""
    return [*order.models, *(line.model for line in board.ratings if line.model not in order.component)]


def _plot(
    key: str,
    ranked: Sequence[tuple[Leaderboard, RankParameters]],
    models: Sequence[str],
    sources: Sequence[Source],
) -> Plot:
    """Both methods side by side, a line per model."""
    panels = []
    for board, parameters in ranked:
        lines = {line.model: (line.rating, line.lower, line.upper) for line in board.ratings}
        look = CIRCLE if parameters.method == "elo" else DIAMOND
        panels.append(Whiskers(f"{METHODS[parameters.method]} rating", look, [lines.get(model) for model in models]))
    whats = [
        f"{METHODS[parameters.method]} with "
        f"{'what the order of battles changes' if parameters.resample == 'permute' else 'its 95 % interval'}"
        for _, parameters in ranked
    ]
    caption = f"Each model's rating, in the order that the votes give: {' and '.join(whats)}."
    return whiskers(Frame(key, caption, _table(ranked, models, sources)), models, panels)


def _table(
    ranked: Sequence[tuple[Leaderboard, RankParameters]], models: Sequence[str], sources: Sequence[Source]
) -> Table:
    """A row per model with both of its ratings; a component and remarks only where they say something."""
    head: list[str] = ["", "model"]
    rows: list[list[Cell]] = [[number, model] for number, model in enumerate(models, 1)]
    if any(line.component > 1 for board, _ in ranked for line in board.ratings):
        head.append("group")
        parts = {line.model: line.component for board, _ in ranked for line in board.ratings}
        rows = [[*row, parts.get(model)] for row, model in zip(rows, models, strict=True)]
    for board, parameters in ranked:
        lines = {line.model: line for line in board.ratings}
        method = METHODS[parameters.method]
        remarks = any(line.remark for line in board.ratings)
        head += [f"{method} rank", method, f"{method} from … to", *([f"{method} remark"] if remarks else [])]
        rows = [[*row, *_cells(lines.get(model), remarks)] for row, model in zip(rows, models, strict=True)]
    battles = {line.model: line.battles for board, _ in ranked for line in board.ratings}
    rows = [[*row, battles.get(model)] for row, model in zip(rows, models, strict=True)]
    head.append("judgments")
    return Table(f"Both ratings, {isolated(ranked[0][0].scenario)}", head, rows, sources, folded=True)


def _cells(line: LeaderboardLine | None, remarks: bool) -> list[Cell]:
    if line is None:
        return [Number("–")] * 3 + [""] * remarks
    rank: Cell = Number("–") if line.rank is None else line.rank
    cells: list[Cell] = [rank, points(line.rating), interval(line.lower, line.upper)]
    return cells + [line.remark or ""] * remarks


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
