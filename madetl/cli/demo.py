"""The command demo: the whole pipeline on the example, for a first look at madetl."""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from madetl.cli import next_steps
from madetl.cli.base import Command, Settings, examples
from madetl.cli.options import json_option
from madetl.cli.output import print_json
from madetl.cli.rank import legend, show_board

if TYPE_CHECKING:
    from madetl.ranking.rank import Ranking
    from madetl.study.demo import DemoStep


@click.command(cls=Command, epilog=examples("madetl demo", "madetl demo --db try-it.db"))
@json_option
@click.pass_obj
def demo(settings: Settings, as_json: bool) -> None:
    """Run the whole pipeline on a small example: no key, no data of your own, a few seconds.

    Copies the example database that comes with madetl (four invented models, 24 instructions, three annotators) to a
    new file, and goes from its answers to a leaderboard.
    """
    from madetl.store import database
    from madetl.study import demo as steps

    path = steps.copy_example(settings.db if settings.db_named else None)
    with database.writing(path) as db:
        done = []
        for take in (steps.measure, steps.select, steps.judge):
            done.append(take(db))
            if not as_json:
                _show(len(done), done[-1])
        ranked, ranking = steps.rank(db)
    board = ranking.leaderboards[0]
    if as_json:
        taken = [asdict(step) for step in (*done, ranked)]
        print_json({"database": str(path), "steps": taken, "leaderboard": [asdict(line) for line in board.ratings]})
        return
    _show(4, ranked)
    click.echo()
    _show_leaderboard(ranking)
    _show_what_next(path, steps.STATEMENTS)


def _show(number: int, step: DemoStep) -> None:
    title = f"madetl {step.command}" if step.command else "The example's judgments"
    click.echo(f"{number}. {title}\n   {step.result}")


def _show_leaderboard(ranking: Ranking) -> None:
    from madetl.ranking.votes import RankParameters

    parameters = RankParameters()
    show_board(ranking.leaderboards[0], ranking.bradley_terry[0], parameters)
    click.echo(f"{legend(parameters)}\n")


def _show_what_next(path: Path, statements: dict[str, str]) -> None:
    program = f"{_program()} --db {shlex.quote(str(path))}"
    click.echo(f"The database is {path.absolute()}. Some questions to ask it:\n")
    for question, sql in statements.items():
        click.echo(f'{question}\n  {program} query "{sql}"\n')
    mine = ("annotate", "judge its pairs yourself, on a page in the browser (Ctrl-C ends it)")
    next_steps.show(program, [*next_steps.DECIDED, mine, ("status", "what there is, and what each stage could do")])
    click.echo("With files of your own, in a database of their own:")
    click.echo(f"  {_program()} --db study.db import responses answers.csv --scenario mine")
    click.echo("      a row per answer: instruction, model, response; mine: your name for them")


def _program() -> str:
    """How to call madetl from here: its name where a shell finds it, else the way in which it was started."""
    if shutil.which("madetl"):
        return "madetl"
    started = Path(sys.argv[0])
    return f"{shlex.quote(sys.executable)} -m madetl" if started.name == "__main__.py" else shlex.quote(str(started))


COMMANDS: list[click.Command] = [demo]
