"""Section 1, the answer: who leads, how sure that is, on what it rests, and who cannot be told apart. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from madetl.ranking.leaderboards import Leaderboard, LeaderboardLine
from madetl.report.boards import METHODS, Boards, leader, rank_interval, undecided
from madetl.report.content import (
    Block,
    Cell,
    Missing,
    Number,
    Remark,
    Section,
    Table,
    Text,
    interval,
    isolated,
    listed,
    percent,
    points,
    ranks,
    sentence,
)
from madetl.report.rows import ReportData
from madetl.text import counted

_MOST_NAMED = 8


def section(study: ReportData, boards: Boards | None) -> Section:
    """The answer, or what is missing before there can be one."""
    if boards is None:
        return Section("answer", "The answer", [*_nothing_yet(study)])
    board = boards.first[0]
    blocks: list[Block] = [
        Text(_leads(board, boards), lead=True),
        Text(_basis(study, board)),
        Text(_neighbours(board)),
        *_other_method(boards),
        *_warnings(study, boards),
        _rank_table(study, board),
        *_next(study),
    ]
    return Section("answer", "The answer", blocks)


def _leads(board: Leaderboard, boards: Boards) -> str:
    first = leader(board)
    where = "" if board.scenario == "overall" else f" in {isolated(board.scenario)}"
    what = f"{isolated(first.model)} leads{where}, {_rating(first, boards)}"
    rivals = [isolated(line.model) for line in board.ratings if line is not first and _overlap(first, line)]
    if boards.parameters.resample == "permute":
        return f"{what}. This ranking says nothing about how sure that is: its bands only show the order of battles."
    if not rivals:
        narrow = next((note.text for note in board.notes if note.kind == "items"), None)
        but = f"; but {narrow}" if narrow else ": that is sure, as far as these votes go."
        return f"{what}. No other model's interval reaches its own{but}"
    return f"{what}. That is not sure: its interval overlaps with {_of(len(rivals))} {listed(rivals, 4)}."


def _of(rivals: int) -> str:
    return "that of" if rivals == 1 else "those of"


def _rating(line: LeaderboardLine, boards: Boards) -> str:
    what = "over orders of battles" if boards.parameters.resample == "permute" else "95 % interval"
    method = METHODS[boards.parameters.method]
    return f"with {method} {points(line.rating)} ({what} {interval(line.lower, line.upper)})"


def _overlap(a: LeaderboardLine, b: LeaderboardLine) -> bool:
    return a.component == b.component and a.lower <= b.upper and b.lower <= a.upper


def _basis(study: ReportData, board: Leaderboard) -> str:
    counts = board.counts
    people = {
        "people": counted(counts["annotators"], "person", "people"),
        "judge models": counted(counts["annotators"], "judge model"),
        "annotators": f"{counted(counts['annotators'], 'annotator')} ({listed(study.parameters.annotators)})",
    }[study.voters]
    ties = counts["ties"] + counts["both_bad"]
    return (
        f"This rests on {counted(counts['battles'], 'judgment')} by {people}, on {counted(counts['items'], 'item')} "
        f"(an instruction with the answers of two models), between {counted(len(board.ratings), 'model')}. "
        f"{counted(ties, 'judgment')} ({percent(ties / counts['battles'])}) chose neither answer: half a win for each."
    )


def _neighbours(board: Leaderboard) -> str:
    """Chains of neighbours in words."""
    found = undecided(board)
    neighbours = len(board.ratings) - len({line.component for line in board.ratings})
    if not found:
        return "By these intervals, every model is told from its neighbours in the ranking."
    chains: list[list[str]] = []
    for above, below in found:
        if chains and chains[-1][-1] == isolated(above.model):
            chains[-1].append(isolated(below.model))
        else:
            chains.append([isolated(above.model), isolated(below.model)])
    text = "; ".join(_chain(chain) for chain in chains)
    if len(found) == neighbours:
        return "The votes do not tell any model from its neighbours in the ranking yet: every two intervals overlap."
    return f"Neighbours that the votes cannot tell apart yet: {text}. More judgments between them may."


def _chain(names: list[str]) -> str:
    """Models of which each may be as good as the next."""
    if len(names) <= _MOST_NAMED:
        return listed(names, _MOST_NAMED)
    return f"{names[0]} down to {names[-1]} ({len(names)} models, each overlapping with the next)"


def _other_method(boards: Boards) -> Iterator[Block]:
    if not boards.other:
        return
    first, other = leader(boards.first[0]), leader(boards.other[0])
    method = METHODS[boards.other_parameters.method]
    if first.model == other.model:
        yield Text(f"{method}, computed from the same votes, has the same model first.")
    else:
        yield Remark(f"{method}, computed from the same votes, puts {isolated(other.model)} first.", warning=True)


def _warnings(study: ReportData, boards: Boards) -> Iterator[Block]:
    board, ranking = boards.first[0], study.ranking
    if any(note.kind == "components" for note in board.notes):
        text = next(note.text for note in board.notes if note.kind == "components")
        yield Remark(sentence(text), warning=True)
    if ranking is None:
        yield Missing("This ranking is computed for the report, with the defaults, and not stored yet.", "rank")
    elif ranking["votes"] != board.counts["battles"]:
        then, now = counted(ranking["votes"], "vote"), f"{board.counts['battles']:,}"
        if boards.stored:
            text = f"Run {ranking['run_id']} counts {then}; there are {now} now, and the other sections count them."
        else:
            text = f"The latest stored ranking, run {ranking['run_id']}, counts {then}. There are {now}, ranked here."
        yield Missing(text, "rank")


def _rank_table(study: ReportData, board: Leaderboard) -> Table:
    components = len({line.component for line in board.ratings}) > 1
    rows: list[list[Cell]] = [
        [
            *([line.component] if components else []),
            Number(ranks(*rank_interval(board, line))),
            line.model,
            points(line.rating),
            interval(line.lower, line.upper),
            line.battles,
        ]
        for line in board.ratings
    ]
    head = [*(["component"] if components else []), "possible ranks", "model", "rating", "from … to", "judgments"]
    sources = [study.ratings.source, study.votes.source]
    return Table("Ranks that the intervals allow", head, rows, sources)


def _nothing_yet(study: ReportData) -> Iterator[Block]:
    where = "" if study.scenario is None else f" in {isolated(study.scenario)}"
    models = sum(row["responses"] > 0 for row in study.models.rows)
    yield Text(f"There is no answer yet: nobody has judged anything{where}.", lead=True)
    instructions = counted(study.instructions, "instruction")
    picks = counted(sum(len(one.picks.rows) for one in study.selections), "selected pair")
    yield Text(
        f"There are {instructions}{where}, answers of {counted(models, 'model')}, and {picks} of answers to judge."
    )
    yield from _next(study)


def _next(study: ReportData) -> Iterator[Block]:
    for step in study.next:
        if step.stage != "rank":  # the warnings above name that step where it is needed
            waits = step.why.startswith(("when ", "to see "))
            yield Missing(f"{sentence(step.why)}:" if waits else f"Not finished: {step.why}.", step.command)
