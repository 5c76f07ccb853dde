"""Section 7, people and cost: agreement, ties, position, time; calls, tokens, money, hours. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from madetl.judgment.reliability import share
from madetl.report.content import (
    Block,
    BlockGroup,
    Cell,
    Frame,
    Missing,
    Number,
    Plot,
    Remark,
    Section,
    Table,
    Text,
    decimal,
    duration,
    percent,
)
from madetl.report.plots.models import SQUARE, Whiskers, whiskers
from madetl.report.rows import ReportData
from madetl.text import counted


def section(study: ReportData) -> Section:
    """Everybody who judged, whoever's votes the ranking counts; and what it all cost."""
    return Section(
        "people", "People and cost", [BlockGroup("People", [*_people(study)]), BlockGroup("Cost", [*_cost(study)])]
    )


# --- people


def _people(study: ReportData) -> Iterator[Block]:
    rows = study.annotators.rows
    if not rows:
        yield Missing(
            "Nobody has judged anything yet.", "export annotations -o sheet.csv" if study.selections else None
        )
        return
    yield from _agreement(study)
    yield Text(_habits(rows))
    if any(row["decided"] for row in rows):
        yield _position(study)
    yield _table(study)


def _agreement(study: ReportData) -> Iterator[Block]:
    common = [row for row in study.common.rows if row["kind_a"] == row["kind_b"] == "person"]
    both, same = sum(row["response_pairs"] for row in common), sum(row["agreed"] for row in common)
    if not both:
        people = sum(row["kind"] == "person" for row in study.annotators.rows)
        crowd = any(row["kind"] == "crowd" for row in study.annotators.rows)
        why = "Only one person has judged" if people == 1 else "No pair of answers was judged by two people"
        why = "Only a crowd has judged, many people under one name" if crowd and not people else why
        yield Missing(f"{why}, so nothing can be said about how well people agree.")
    else:
        yield Text(
            f"Two people who judged the same pair of answers said the same in {same:,} of {both:,} cases "
            f"({percent(same / both)}).{_alpha(study)}"
        )
    if study.common.rows:
        yield _common_table(study)


def _alpha(study: ReportData) -> str:
    """Krippendorff's alpha where there is one."""
    if study.alpha is None or study.alpha.alpha is None:
        return ""
    found = study.alpha
    bounds = "" if found.lower is None else f" (95 % interval {found.lower:.2f} to {found.upper:.2f})"
    return (
        f" Krippendorff’s alpha is {found.alpha:.2f}{bounds} on {_pairs(found.shared)}: 1 is agreement "
        "in everything, 0 what chance alone would give."
    )


def _pairs(number: int) -> str:
    return counted(number, "shared pair of answers", "shared pairs of answers")


def _common_table(study: ReportData) -> Table:
    rows: list[list[Cell]] = [
        [row["annotator_a"], row["annotator_b"], row["response_pairs"], row["agreed"], percent(row["agreement"])]
        for row in study.common.rows
    ]
    head = ["annotator", "and", "pairs of answers in common", "said the same", "agreement"]
    return Table("Who agrees with whom", head, rows, [study.common.source])


def _habits(rows: Sequence[Mapping[str, Any]]) -> str:
    people = [row for row in rows if row["kind"] != "model"] or rows
    votes, ties, bad, decided, first, timed = (
        sum(row[key] for row in people) for key in ("votes", "ties", "both_bad", "decided", "first_won", "timed")
    )
    sentences = [f"{percent(ties / votes)} of the votes are ties, {percent(bad / votes)} both bad."]
    if won := share(first, decided):
        verdict = "no sign of a bias for a position" if won.lower <= 0.5 <= won.upper else "a bias for a position"
        sentences.append(
            f"The answer that stood first won {percent(won.share)} of {counted(decided, 'decided verdict')} "
            f"(95 % interval {100 * won.lower:.0f} to {100 * won.upper:.0f}): {verdict}."
        )
    else:
        sentences.append("No verdict tells which answer stood first, so a bias for a position cannot be seen.")
    if timed:
        hours = sum(row["hours"] or 0 for row in people)
        sentences.append(f"{counted(timed, 'verdict')} with a known time took {duration(hours * 3600)} in all.")
    else:
        sentences.append("No verdict tells how long it took.")
    return " ".join(sentences)


def _position(study: ReportData) -> Plot:
    shares = [(row["annotator"], share(row["first_won"], row["decided"])) for row in study.annotators.rows]
    known = [(name, won) for name, won in shares if won]
    lines = [(100 * won.share, 100 * won.lower, 100 * won.upper) for _, won in known]
    caption = (
        "How often the answer that stood first won, of the verdicts for one of the two, with 95 % intervals. On the "
        "broken line, half, there is no bias."
    )
    return whiskers(
        Frame("position", caption, _table(study, folded=True)),
        [name for name, _ in known],
        [Whiskers("won by the first (%)", SQUARE, lines, reference=50)],
        notes=[f"{won.count:,} of {won.of:,}" for _, won in known],
    )


def _table(study: ReportData, *, folded: bool = False) -> Table:
    head = [
        "annotator", "kind", "votes", "pairs of answers", "repeats", "revised", "ties", "both bad", "first won",
    "comments", "median seconds", "hours", ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            row["annotator"],
            "judge model" if row["kind"] == "model" else row["kind"],
            row["votes"],
            row["response_pairs"],
            row["repeats"],
            row["revised"],
            _part(row["ties"], row["votes"]),
            _part(row["both_bad"], row["votes"]),
            _part(row["first_won"], row["decided"]),
            row["comments"],
            decimal(row["seconds_median"], 0),
            decimal(row["hours"], 1),
        ]
        for row in study.annotators.rows
    ]
    return Table("Everybody who judged", head, rows, [study.annotators.source], folded)


def _part(part: int, whole: int) -> Number:
    return Number(f"{part:,} ({100 * part / whole:.0f} %)") if whole else Number("–")


# --- cost


def _cost(study: ReportData) -> Iterator[Block]:
    yield Text(_hours(study))
    rows = study.spend.rows
    if not rows:
        yield Text("No model was asked by madetl: the database holds no calls, so there is no bill.")
        return
    calls = sum(row["calls"] for row in rows)
    tokens = [sum(row[key] or 0 for row in rows) for key in ("tokens_in", "tokens_out")]
    known = [row["cost"] for row in rows if row["cost"] is not None]
    yield Text(
        f"Models were asked {counted(calls, 'time')}: {counted(tokens[0], 'token')} in, {tokens[1]:,} out, "
        f"{sum(known):,.2f} USD{'' if len(known) == len(rows) else ' where prices are known'}."
    )
    if len(known) < len(rows):
        yield Remark("The price of some models is unknown, so the money is what is known of it.")
    yield _spend_table(study)


def _hours(study: ReportData) -> str:
    hours = [row["hours"] for row in study.annotators.rows if row["kind"] != "model" and row["hours"]]
    people = f"{duration(sum(hours) * 3600)}, as far as it is known" if hours else "not known"
    seconds = sum(_seconds(row) or 0 for row in study.runs.rows)
    return f"People’s time: {people}. The machine’s: {duration(seconds)} in {counted(len(study.runs.rows), 'run')}."


def _seconds(run: Mapping[str, Any]) -> float | None:
    if run["finished_at"] is None:
        return None
    start, end = (datetime.fromisoformat(run[key]) for key in ("started_at", "finished_at"))
    return (end - start).total_seconds()


def _spend_table(study: ReportData) -> Table:
    head = ["stage", "model", "calls", "answered", "tokens in", "tokens out", "USD", "hours of answering"]
    rows: list[list[Cell]] = [
        [
            row["stage"], row["model"], row["calls"], row["answered"], row["tokens_in"], row["tokens_out"],
            decimal(row["cost"], 4), decimal(row["hours"], 2),
        ]
        for row in study.spend.rows
    ]  # fmt: skip
    return Table("Calls, tokens and money by stage and model", head, rows, [study.spend.source])
