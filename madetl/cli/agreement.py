"""The command agreement: how well annotators agree, with one another and with themselves."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from madetl.cli import output
from madetl.cli.base import Command, Settings, examples
from madetl.cli.options import json_option, scenarios_option, seed_option, selections_option

if TYPE_CHECKING:
    from madetl.judgment.agreement import Habits, PairOfAnnotators, Report, ScenarioAgreement, TwoVerdicts
    from madetl.judgment.reliability import Alpha, Share

_WARNINGS = ("overlap", "few")  # notes of these kinds are printed as warnings
_MOST_ROWS = 30  # rows of a table that are printed; --json has all of them


@click.command(
    cls=Command,
    epilog=examples(
        "madetl agreement",
        "madetl agreement --scenario Writing --scenario Coding",
        "madetl agreement --selection pilot --json",
    ),
)
@scenarios_option
@selections_option
@click.option("--rounds", type=int, default=1000, show_default=True, help="How often to resample for alpha's interval.")
@seed_option
@json_option
@click.pass_obj
def agreement(settings: Settings, /, as_json: bool, **options: Any) -> None:
    """Show how well annotators agree, with one another and with themselves.

    Krippendorff's alpha over all people, with the middle 95 % over resampled pairs of answers; Cohen's kappa and the
    plain share of equal verdicts for every two annotators, judge models too. Of each annotator the vote on a pair of
    answers counts; repeats say how far annotators agree with themselves. A crowd's votes are nobody's in particular: no
    alpha, no kappa. For each annotator: ties, how often the answer shown first won, the median time.
    """
    from madetl.judgment import agreement as stage
    from madetl.store import database

    with database.reading(settings.db) as db:
        found = stage.report(db, **options)
    if as_json:
        output.print_json(asdict(found))
    else:
        _print(found)


def _print(found: Report) -> None:
    first, *others = found.scenarios
    alone = len(others) == 1  # overall and the only scenario
    shown = [first] if alone else found.scenarios
    if first.people:
        output.print_table([_people_row(one) for one in shown], title="People")
        click.echo(
            "Pairs: of answers; 2+: by two people or more; same: share of equal verdicts.\n"
            "Alpha and kappa: 1 is full agreement, 0 what chance gives; (…): 95 % intervals.\n"
            "Unordered: whichever model comes first.\n"
        )
        habits = [_habits_row({"scenario": one.scenario}, people) for one in shown if (people := _people(one))]
        output.print_table(_without_empty(habits), title="How people judge")
    where = "" if first.scenario == "overall" else f" ({first.scenario})"
    habits = [_habits_row({"annotator": one.annotator, "kind": one.kind}, one) for one in first.annotators]
    if len(habits) > _MOST_ROWS:
        habits.sort(key=lambda row: -row["votes"])
    _print_some(_without_empty(habits), f"Annotators{where}")
    if first.pairs:
        _print_some(
            [_pair_row(one) for one in first.pairs], f"Two annotators on the pairs of answers that both judged{where}"
        )
    if first.judges:
        rows = [{"judge": one.judge} | _equal(one) for one in first.judges]
        output.print_table(rows, title=f"Judge models beside the verdicts of most people{where}")
    for note in found.notes:
        if note.kind in _WARNINGS:
            output.warn(note.text)
        else:
            output.note(f"Note: {note.text}")


def _print_some(rows: list[dict[str, Any]], title: str) -> None:
    output.print_table(rows[:_MOST_ROWS], title=title)
    if len(rows) > _MOST_ROWS:
        output.note(f"{title}: the first {_MOST_ROWS} of {len(rows):,}. --json has all of them.")


def _people(one: ScenarioAgreement) -> Habits | None:
    return next((habits for habits in one.everybody if habits.kind == "person"), None)


def _people_row(one: ScenarioAgreement) -> dict[str, Any]:
    return {
        "scenario": one.scenario,
        "people": one.people,
        "pairs": one.response_pairs,
        "2+": one.shared,
        "same": "" if one.same is None else f"{100 * one.same:.0f} %",
        "alpha": _alpha(one.alpha),
        "unordered alpha": _alpha(one.alpha_unordered),
    }


def _habits_row(whose: dict[str, Any], one: Habits) -> dict[str, Any]:
    return whose | {
        "votes": one.votes,
        "pairs of answers": one.response_pairs,
        "ties": _percent(one.ties),
        "both bad": one.both_bad or None,
        "revised": one.revised or None,
        "first-shown wins": _with_interval(one.first_wins),
        "same when asked again": _with_interval(one.again),
        "median seconds": None if one.seconds is None else round(one.seconds, 1),
    }


def _pair_row(one: PairOfAnnotators) -> dict[str, Any]:
    names = {"annotator": _named(one.annotator_a, one.kind_a), "and": _named(one.annotator_b, one.kind_b)}
    return names | _equal(one)


def _equal(one: TwoVerdicts) -> dict[str, Any]:
    return {
        "pairs of answers": one.response_pairs,
        "same verdict": f"{100 * one.agreement:.0f} %",
        "kappa": _number(one.kappa),
        "unordered kappa": _number(one.kappa_unordered),
    }


def _named(name: str, kind: str) -> str:
    return f"{name} (judge model)" if kind == "model" else name


def _without_empty(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without the columns that are empty in all of them."""
    kept = [name for name in rows[0] if any(row[name] not in (None, "") for row in rows)] if rows else []
    return [{name: row[name] for name in kept} for row in rows]


def _alpha(found: Alpha) -> str:
    interval = "" if found.lower is None else f" ({found.lower:.2f}…{found.upper:.2f})"
    return _number(found.alpha) + interval


def _number(value: float | None) -> str:
    return "" if value is None else f"{round(value, 2) + 0.0:.2f}"  # never -0.00


def _percent(part: Share | None) -> str:
    return "" if part is None else f"{100 * part.share:.0f} %"


def _with_interval(part: Share | None) -> str:
    if part is None:
        return ""
    return f"{100 * part.share:.0f} % of {part.of} ({100 * part.lower:.0f} to {100 * part.upper:.0f})"


COMMANDS: list[click.Command] = [agreement]
