"""The command run: a whole study out of one file, stage after stage."""

from __future__ import annotations

import shlex
import sqlite3
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from madetl.cli.asking import FILE, asking_bar, not_done, usd
from madetl.cli.base import Command, Settings, examples
from madetl.cli.options import json_option
from madetl.cli.output import note, print_json, print_table, progress_bar, warn
from madetl.cli.rank import show as show_ranking
from madetl.text import counted

if TYPE_CHECKING:
    from madetl.asking.ask import AskReport
    from madetl.ranking.rank import Ranking
    from madetl.ranking.votes import RankParameters
    from madetl.study.steps import Outcome, Step, Study


@click.command(
    "run",
    cls=Command,
    epilog=examples("madetl run study.toml --dry-run", "madetl run study.toml", "madetl run study.toml --db study.db"),
)
@click.argument("file", type=FILE, metavar="STUDY.toml")
@click.option("--dry-run", is_flag=True, help="Only say what it would ask for: requests, USD, judgments of people.")
@json_option
@click.pass_obj
def run_command(settings: Settings, file: Path, dry_run: bool, as_json: bool) -> None:
    """Run a whole study: models, scenarios, metrics and K stand in one TOML file.

    \b
    seeds -> evolve -> infer -> similarity -> select -> judge -> rank

    Each stage asks for what is missing, so that it can be started again at any point. It stops where people are needed,
    and says how; with votes of people in the database it ranks by those there are.
    """
    from madetl.store import database
    from madetl.study import file as study_file
    from madetl.study.steps import Study

    study = Study(study_file.read(file))
    if dry_run:
        _show_forecast(study, settings, as_json)
        return
    done: list[dict[str, Any]] = []
    with database.writing(settings.db) as db:
        undone = _take_steps(db, study, done, as_json)
        with progress_bar("rank", "rounds") as bar:
            rankings = study.rank(db, bar)
    needed = _needed(study, settings)
    if as_json:
        boards = {ranking.voters: asdict(ranking.leaderboards[0]) for _, ranking in rankings}
        print_json({"steps": done, "leaderboards": boards, "judgments_needed": needed, "undone": dict(undone)})
    else:
        _show_end(rankings, needed)
    sys.exit(1 if undone else 0)


def _take_steps(db: sqlite3.Connection, study: Study, done: list[dict[str, Any]], as_json: bool) -> Counter[str]:
    """Takes the steps and tells of each; returns what failed for good. Exits where the study is to be started again."""
    from madetl.study.steps import to_be_started_again

    undone: Counter[str] = Counter()
    for number, step in enumerate(study.steps(db), 1):
        outcome = _take(db, step)
        done.append({"command": step.command, "result": outcome.result, "remarks": outcome.remarks})
        if not as_json:
            result = outcome.result.replace("\n", "\n   ")
            click.echo(f"{number}. madetl {step.command}\n   {result}")
        for remark in outcome.remarks:
            note(f"   {remark}")
        _tell(outcome.report)
        undone += outcome.report.failed + outcome.report.left
        if missing := to_be_started_again(outcome.report):
            warn(f"The study stops here, with {counted(missing, 'answer')} missing. Start it again to go on.")
            sys.exit(1)
    return undone


def _take(db: sqlite3.Connection, step: Step) -> Outcome:
    label = step.command.split()[0]
    if step.asks:
        with asking_bar(label) as show:
            return step.do(db, show, lambda done, total: None)
    with progress_bar(label) as bar:
        return step.do(db, lambda moment, total: None, bar)


def _tell(report: AskReport) -> None:
    for line in not_done(report):
        warn(line)


def _needed(study: Study, settings: Settings) -> list[dict[str, Any]]:
    """For each selection that people have not judged to its end: how many judgments, and the command for them."""
    return [
        {
            "selection": name,
            "judgments": selected - judged,
            "command": f"{settings.program} export annotations --selection {shlex.quote(name)} "
            f"-o {shlex.quote(name)}.csv",
        }
        for name, selected, judged in study.selected
        if selected > judged
    ]


def _show_end(rankings: list[tuple[RankParameters, Ranking]], needed: list[dict[str, Any]]) -> None:
    for parameters, ranking in rankings:
        click.echo()
        show_ranking(ranking, parameters)
    if needed:
        click.echo()
        click.echo(f"{counted(sum(each['judgments'] for each in needed), 'judgment')} needed:")
    for each in needed:
        click.echo(f"  {each['command']}")


def _show_forecast(study: Study, settings: Settings, as_json: bool) -> None:
    from madetl.study.forecast import forecast

    found = forecast(study.file, settings.db)
    if as_json:
        print_json({**asdict(found), "cost": found.cost})
        return
    print_table([asdict(step) for step in found.steps], title="Dry run: no model is asked")
    unknown = any(step.cost is None and step.requests for step in found.steps)
    click.echo(f"{counted(sum(step.requests for step in found.steps), 'request')}, {usd(found.cost)}", nl=False)
    click.echo(" and what has no price or no answers to go by yet" if unknown else "")
    click.echo(f"{counted(found.judgments, 'judgment of a person', 'judgments of people')}, at most")
    click.echo(f"Pool: {found.pool}")


COMMANDS: list[click.Command] = [run_command]
