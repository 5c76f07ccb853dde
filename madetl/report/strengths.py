"""Section 6, strengths and weaknesses: per scenario and model, and what each model lost most clearly. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from madetl.report.boards import Boards
from madetl.report.content import (
    Answers,
    Block,
    Cell,
    Frame,
    Group,
    Missing,
    Plot,
    Section,
    Table,
    Text,
    count,
    excerpt,
    isolated,
    listed,
    percent,
)
from madetl.report.plots_models import matrix
from madetl.report.rows import Study

_LONGEST = 6_000  # characters of an answer that are shown
_DISTANCE = 0.1  # of a win rate from the model's own mean, from which on a scenario is named
_FEWEST = 5  # judgments, below which a scenario is not named


def section(study: Study, boards: Boards | None) -> Section:
    """The matrix of scenarios, and each model's clearest losses."""
    title = "Strengths and weaknesses"
    if boards is None:
        return Section("strengths", title, [Missing("There are no votes to look at.")])
    models = [line.model for line in boards.first[0].ratings]
    blocks: list[Block] = [*_scenarios(study, models), *_losses(study, models)]
    return Section("strengths", title, blocks)


def _scenarios(study: Study, models: Sequence[str]) -> Iterator[Block]:
    scenarios = list(dict.fromkeys(row["scenario"] for row in study.scenarios.rows))
    if len(scenarios) < 2:
        yield Text(f"All judgments are of one scenario, {isolated(scenarios[0])}: nothing to compare it with.")
        return
    yield Text(_named(study.scenarios.rows, models))
    yield _matrix(study, models, scenarios)


def _named(rows: Sequence[Mapping[str, Any]], models: Sequence[str]) -> str:
    """Each model's scenarios far from its own mean, in words."""
    said = []
    for model in models:
        own = [row for row in rows if row["model"] == model]
        mean = sum(row["win_rate"] * row["battles"] for row in own) / sum(row["battles"] for row in own)
        far = [row for row in own if row["battles"] >= _FEWEST]
        better = [isolated(row["scenario"]) for row in far if row["win_rate"] - mean >= _DISTANCE]
        worse = [isolated(row["scenario"]) for row in far if mean - row["win_rate"] >= _DISTANCE]
        parts = [f"better in {listed(better)}"] * bool(better) + [f"worse in {listed(worse)}"] * bool(worse)
        if parts:
            said.append(f"{isolated(model)} ({percent(mean)} overall) is {' and '.join(parts)}")
    few = f"judgments from {_FEWEST} on, win rates {100 * _DISTANCE:.0f} points or more from the model's own"
    if not said:
        return f"No model stands out in a scenario ({few})."
    return f"{'; '.join(said)} ({few}). Few judgments make large differences: look at the counts."


def _matrix(study: Study, models: Sequence[str], scenarios: Sequence[str]) -> Plot:
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
    small = max(len(models), len(scenarios)) <= 16
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


def _losses(study: Study, models: Sequence[str]) -> Iterator[Block]:
    verdicts = defaultdict(list)
    for row in study.votes.rows:
        verdicts[row["response_a_id"], row["response_b_id"]].append(row)
    lost: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in study.losses.rows:
        lost[row["model"]].append(row)
    yield Text(
        "What each model lost most clearly: the most votes against it beyond those for it; of equal ones, the answers "
        "that are least alike."
    )
    for model in models:
        answers = [
            _answers(row, verdicts[row["response_a_id"], row["response_b_id"]], study.names) for row in lost[model]
        ]
        yield Group(isolated(model), answers or [Text("It lost nothing.")])
    yield _list_of_losses(study)


def _answers(row: Mapping[str, Any], verdicts: Sequence[Mapping[str, Any]], names: Mapping[int, str]) -> Answers:
    alike = "" if row["score"] is None else f", similarity of the answers {row['score']:.2f}"
    title = f"{excerpt(row['instruction'])} — lost to {isolated(row['opponent'])}, "
    return Answers(
        title=f"{title}{row['against']} of {count(row['votes'], 'vote')}",
        note=f"Scenario {isolated(row['scenario'])}{alike}",
        instruction=_cut("\n\n".join(filter(None, [row["instruction"], row["input"]]))),
        left=(row["model"], _cut(row["own_response"])),
        right=(row["opponent"], _cut(row["other_response"])),
        verdicts=[_verdict(verdict, names) for verdict in verdicts],
    )


def _verdict(row: Mapping[str, Any], names: Mapping[int, str]) -> str:
    said = {
        "model_a": names[row["model_a_id"]],
        "model_b": names[row["model_b_id"]],
        "tie": "tie",
        "both_bad": "both bad",
    }[row["winner"]]
    comment = f" – “{isolated(row['comment'].strip())}”" if (row["comment"] or "").strip() else ""
    return f"{isolated(row['annotator'])}: {isolated(said)}{comment}"


def _cut(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}\n[… cut here: {_LONGEST:,} of {len(text):,} characters]"


def _list_of_losses(study: Study) -> Table:
    rows: list[list[Cell]] = [
        [row["model"], row["place"], row["opponent"], row["scenario"], row["against"], row["votes_for"], row["votes"]]
        for row in study.losses.rows
    ]
    head = ["model", "place", "lost to", "scenario", "votes against", "votes for", "all votes"]
    return Table("All of these losses", head, rows, [study.losses.source, study.votes.source], folded=True)
