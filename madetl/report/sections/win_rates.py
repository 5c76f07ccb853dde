"""Section 3, win rates: who won how often against whom, and how well the ratings explain it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from madetl.ranking.leaderboards import Leaderboard
from madetl.report.boards import METHODS, Boards, expected
from madetl.report.content import NO_VOTES, Cell, Frame, Number, Plot, Section, Table, Text, decimal, percent
from madetl.report.plots.models import Fit, fits, matrix
from madetl.report.rows import ReportData
from madetl.text import counted

_WORST = 8  # pairs that are numbered and listed
_CELLS = 16  # models up to which a cell has room for wins, ties and losses


@dataclass(frozen=True)
class PairOfModels:
    """A pair of models that met: what happened, beside what each method's ratings predict.

    `off` is how many standard errors the observed win rate lies from Bradley–Terry's, each vote taken for independent.
    """

    row: Mapping[str, Any]
    by_first: float | None
    by_other: float | None
    off: float


def section(study: ReportData, boards: Boards | None) -> Section:
    """The matrix, and the pairs that fit worst."""
    if boards is None:
        return Section("win-rates", "Win rates", [NO_VOTES])
    pairs = pairs_of(study, boards)
    how = "A win rate counts a tie, and both bad, as half a win."
    return Section(
        "win-rates", "Win rates", [Text(how + _picked(study)), _matrix(study, boards), *_fits(study, boards, pairs)]
    )


def _picked(study: ReportData) -> str:
    """Why the win rates may not be those of ordinary use, where that is so."""
    votes, picked = len(study.votes.rows), study.votes_on_picks
    if not picked:
        return ""
    if picked < votes:
        some = f"{picked:,} of the {votes:,} votes {'is' if picked == 1 else 'are'}"
        return f" {some} on pairs that were picked because the answers differ: no sample of ordinary use."
    return " The pairs were picked because the answers differ, so these are no win rates of ordinary use."


def _numbered(worst: int, pairs: int) -> str:
    if worst == pairs:
        return "the numbers go from the worst fit to the best"
    return f"numbered {'is the one that fits' if worst == 1 else f'are the {worst} that fit'} worst"


def pairs_of(study: ReportData, boards: Boards) -> list[PairOfModels]:
    """Every pair that met, the worst fit first."""
    first, other = _ratings(boards.first[0]), _ratings(boards.other[0])
    bt = first if boards.parameters.method == "bt" else other
    pairs = []
    for row in study.pairs.rows:
        a, b = row["model_a"], row["model_b"]
        predicted = expected(bt[a], bt[b])
        error = math.sqrt(predicted * (1 - predicted) / row["battles"])
        by_first = expected(first[a], first[b]) if a in first and b in first else None
        pairs.append(PairOfModels(row, by_first, expected(other[a], other[b]), (row["win_rate"] - predicted) / error))
    return sorted(pairs, key=lambda pair: -abs(pair.off))


def _ratings(board: Leaderboard) -> dict[str, float]:
    return {line.model: line.rating for line in board.ratings}


def _matrix(study: ReportData, boards: Boards) -> Plot:
    """Models in the order that the votes give, the better ones above and to the left."""
    models = list(boards.orders[0].models)
    records = {(row["model_a"], row["model_b"]): row for row in study.pairs.rows}
    cells = [[_cell(records, model, opponent) for opponent in models] for model in models]
    small = len(models) <= _CELLS
    texts = [[_text(cell, small) for cell in line] for line in cells]
    details = "; below it wins – ties – losses" if small else ""
    caption = (
        f"How often the model of the row won against that of the column with its number, in per cent{details}. "
        "Orange: it lost more; blue: it won more."
    )
    return matrix(
        Frame("matrix", caption, _table(study.pairs.rows, study)),
        models,
        models,
        [[None if cell is None else cell[0] for cell in line] for line in cells],
        texts,
    )


def _cell(
    records: Mapping[tuple[str, str], Mapping[str, Any]], model: str, opponent: str
) -> tuple[float, int, int, int] | None:
    """(win rate, wins, ties and both bad, losses) of the model against its opponent."""
    if row := records.get((model, opponent)):
        return row["win_rate"], row["wins_a"], row["ties"] + row["both_bad"], row["wins_b"]
    if row := records.get((opponent, model)):
        return 1 - row["win_rate"], row["wins_b"], row["ties"] + row["both_bad"], row["wins_a"]
    return None


def _text(cell: tuple[float, int, int, int] | None, details: bool) -> str:
    if cell is None:
        return ""
    rate, wins, ties, losses = cell
    return f"{100 * rate:.0f}\n{wins} – {ties} – {losses}" if details else f"{100 * rate:.0f}"


def _table(rows: Sequence[Mapping[str, Any]], study: ReportData) -> Table:
    head = ["model", "opponent", "judgments", "items", "wins", "losses", "ties", "both bad", "win rate"]
    cells: list[list[Cell]] = [
        [
            row["model_a"], row["model_b"], row["battles"], row["items"], row["wins_a"], row["wins_b"], row["ties"],
            row["both_bad"], percent(row["win_rate"]),
        ]
        for row in rows
    ]  # fmt: skip
    return Table("Wins, losses and ties of each pair", head, cells, [study.pairs.source], folded=True)


def _fits(study: ReportData, boards: Boards, pairs: Sequence[PairOfModels]) -> list[Text | Plot | Table]:
    worst = {id(pair): number for number, pair in enumerate(pairs[:_WORST], 1)}
    bt_first = boards.parameters.method == "bt"
    dots = []
    for pair in pairs:
        predicted = pair.by_first if bt_first else pair.by_other
        if predicted is not None:
            dots.append(Fit(predicted, pair.row["win_rate"], pair.row["battles"], worst.get(id(pair))))
    beyond = sum(abs(pair.off) > 2 for pair in pairs)
    text = (
        f"Ratings say with one number per model what happened between {counted(len(pairs), 'pair')} of models. In "
        f"{beyond} of them the win rate lies more than two standard errors from what Bradley–Terry predicts; chance "
        f"alone would put about {0.05 * len(pairs):.0f} there. Where more do, models beat one another in ways that no "
        "one ranking can show, or votes on one item hang together."
    )
    caption = (
        "Win rates as Bradley–Terry predicts them and as they were. A dot is a pair of models, larger with more "
        f"judgments; {_numbered(len(worst), len(pairs))}."
    )
    table = _fit_table("Every pair: observed and predicted", study, boards, pairs, folded=True)
    worst_table = _fit_table("The pairs that fit worst", study, boards, pairs[:_WORST], folded=False)
    return [Text(text), fits(Frame("fits", caption, table), dots), worst_table]


def _fit_table(title: str, study: ReportData, boards: Boards, pairs: Sequence[PairOfModels], *, folded: bool) -> Table:
    first, other = METHODS[boards.parameters.method], METHODS[boards.other_parameters.method]
    head = ["", "model", "opponent", "judgments", "win rate", f"by {first}", f"by {other}", "standard errors off"]
    rows: list[list[Cell]] = [
        [
            Number(number), pair.row["model_a"], pair.row["model_b"], pair.row["battles"],
            percent(pair.row["win_rate"]), percent(pair.by_first), percent(pair.by_other), decimal(pair.off, 1),
        ]
        for number, pair in enumerate(pairs, 1)
    ]  # fmt: skip
    return Table(title, head, rows, [study.pairs.source, study.votes.source], folded=folded)
