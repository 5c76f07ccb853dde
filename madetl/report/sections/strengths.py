"""Section 6, strengths and weaknesses: per scenario and model, and what each model won and lost most clearly. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from madetl.report.boards import Boards
from madetl.report.content import (
    NO_VOTES,
    Answers,
    Block,
    BlockGroup,
    Cell,
    Frame,
    Number,
    Plot,
    Remark,
    Section,
    Table,
    Text,
    WinsAndLosses,
    excerpt,
    isolated,
    percent,
)
from madetl.report.plots.models import matrix
from madetl.report.rows import ReportData
from madetl.text import counted

_LONGEST = 20_000  # characters of an answer that are shown
_DISTANCE = 0.1  # of a win rate from the model's own mean, from which on a scenario is named
_FEWEST = 5  # judgments, below which a scenario is not named
_MOST_NAMED = 10


def section(study: ReportData, boards: Boards | None) -> Section:
    """The matrix of scenarios, and each model's clearest wins and losses."""
    title = "Strengths and weaknesses"
    if boards is None:
        return Section("strengths", title, [NO_VOTES])
    models = list(boards.orders[0].models)
    blocks: list[Block] = [*_scenarios(study, models), *_wins_and_losses(study, models)]
    return Section("strengths", title, blocks)


def _scenarios(study: ReportData, models: Sequence[str]) -> Iterator[Block]:
    scenarios = list(dict.fromkeys(row["scenario"] for row in study.scenarios.rows))
    if len(scenarios) < 2:
        yield Text(f"All judgments are of one scenario, {isolated(scenarios[0])}: nothing to compare it with.")
        return
    yield _matrix(study, models, scenarios)
    yield from _stand_out(study, models)


def _stand_out(study: ReportData, models: Sequence[str]) -> Iterator[Block]:
    """The scenarios in which a model is farthest from its own mean."""
    rows = study.scenarios.rows
    means = {model: _mean([row for row in rows if row["model"] == model]) for model in models}
    far = [row for row in rows if row["battles"] >= _FEWEST and row["model"] in means]
    far = [row for row in far if abs(row["win_rate"] - means[row["model"]]) >= _DISTANCE]
    if not far:
        yield Text(f"No model is {100 * _DISTANCE:.0f} points better or worse in a scenario than it is in all of them.")
        return
    far.sort(key=lambda row: -abs(row["win_rate"] - means[row["model"]]))
    cells: list[list[Cell]] = [
        [
            row["model"], row["scenario"], percent(row["win_rate"]), percent(means[row["model"]]),
            _points(row["win_rate"] - means[row["model"]]), row["battles"],
        ]
        for row in far[:_MOST_NAMED]
    ]  # fmt: skip
    more = f", the {_MOST_NAMED} farthest of {len(far)}" if len(far) > _MOST_NAMED else ""
    head = ["model", "scenario", "win rate", "in all scenarios", "points off", "judgments"]
    yield Table(f"Where models stand out{more}", head, cells, [study.scenarios.source])
    yield Remark("Few judgments make large differences by chance: look at their number.")


def _mean(rows: Sequence[Mapping[str, Any]]) -> float:
    battles = sum(row["battles"] for row in rows)
    return sum(row["win_rate"] * row["battles"] for row in rows) / battles if battles else math.nan


def _points(share: float) -> Number:
    return Number(f"{100 * share:+.0f}".replace("-", "−"))


def _matrix(study: ReportData, models: Sequence[str], scenarios: Sequence[str]) -> Plot:
    records = {(row["model"], row["scenario"]): row for row in study.scenarios.rows}
    cells = [[records.get((model, scenario)) for scenario in scenarios] for model in models]
    head = ["scenario", "model", "judgments", "wins", "losses", "ties", "both bad", "win rate"]
    rows: list[list[Cell]] = [
        [
            row["scenario"], row["model"], row["battles"], row["wins"], row["losses"], row["ties"], row["both_bad"],
            percent(row["win_rate"]),
        ]
        for row in study.scenarios.rows
    ]  # fmt: skip
    small = max(len(models), len(scenarios)) <= 16  # room for two lines in a cell
    caption = (
        f"Win rate of each model in each scenario, in per cent{'; below it the judgments' if small else ''}. "
        "Orange: it lost more; blue: it won more."
    )
    table = Table("Each model in each scenario", head, rows, [study.scenarios.source], folded=True)
    return matrix(
        Frame("scenarios", caption, table),
        models,
        scenarios,
        [[row["win_rate"] if row else None for row in line] for line in cells],
        [[_text(row, small) for row in line] for line in cells],
    )


def _text(row: Mapping[str, Any] | None, details: bool) -> str:
    if row is None:
        return ""
    return f"{100 * row['win_rate']:.0f}\n({row['battles']:,})" if details else f"{100 * row['win_rate']:.0f}"


def _wins_and_losses(study: ReportData, models: Sequence[str]) -> Iterator[Block]:
    verdicts = defaultdict(list)
    for row in study.votes.rows:
        verdicts[row["response_a_id"], row["response_b_id"]].append(row)
    found: dict[tuple[str, str], list[Answers]] = defaultdict(list)
    for row in study.clearest.rows:
        votes = verdicts[row["response_a_id"], row["response_b_id"]]
        found[row["model"], row["outcome"]].append(_answers(row, votes, study.names))
    yield Text(
        "What each model won and lost most clearly: the most votes one way beyond those the other way; of equal ones, "
        "the answers that are least alike. The answers stand as annotators saw them, the first one first where that "
        "is known."
    )
    for model in models:
        yield BlockGroup(isolated(model), [WinsAndLosses(found[model, "won"], found[model, "lost"])])
    yield _list_of_battles(study)


def _answers(row: Mapping[str, Any], votes: Sequence[Mapping[str, Any]], names: Mapping[int, str]) -> Answers:
    alike = "" if row["score"] is None else f", similarity of the answers {row['score']:.2f}"
    sides = [(row["model"], _cut(row["own_response"])), (row["opponent"], _cut(row["other_response"]))]
    canonical = sides if row["own_is_a"] else sides[::-1]
    shown = next((vote["shown_first"] for vote in votes if vote["shown_first"]), None)
    first, second = canonical[::-1] if shown == "model_b" else canonical
    unknown = "" if shown else "; which answer stood first is not known"
    most = max(row["votes_for"], row["against"])
    return Answers(
        title=f"against {isolated(row['opponent'])}, {most:,} of {counted(row['votes'], 'vote')}: "
        f"{excerpt(row['instruction'])}",
        note=f"Scenario {isolated(row['scenario'])}{alike}{unknown}",
        instruction=_cut(row["instruction"]),
        input=_cut(row["input"] or ""),
        reference_answer=_cut(row["reference_answer"] or ""),
        first=first,
        second=second,
        verdicts=[_verdict(vote, names, shown) for vote in votes],
    )


def _verdict(row: Mapping[str, Any], names: Mapping[int, str], shown: str | None) -> str:
    """Who said what; `shown` is the answer that stands first here."""
    verdict = {
        "model_a": names[row["model_a_id"]],
        "model_b": names[row["model_b_id"]],
        "tie": "tie",
        "both_bad": "both bad",
    }[row["winner"]]
    comment = f" – “{isolated(row['comment'].strip())}”" if (row["comment"] or "").strip() else ""
    other = " (saw the other answer first)" if row["shown_first"] not in (None, shown) else ""
    return f"{isolated(row['annotator'])}: {isolated(verdict)}{other}{comment}"


def _cut(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}\n[… cut here: {_LONGEST:,} of {len(text):,} characters]"


def _list_of_battles(study: ReportData) -> Table:
    rows: list[list[Cell]] = [
        [
            row["model"], row["outcome"], row["rank"], row["opponent"], row["scenario"], row["votes_for"],
            row["against"], row["votes"],
        ]
        for row in study.clearest.rows
    ]  # fmt: skip
    head = ["model", "outcome", "rank", "opponent", "scenario", "votes for", "votes against", "all votes"]
    sources = [study.clearest.source, study.votes.source]
    return Table("All of these wins and losses", head, rows, sources, folded=True)
