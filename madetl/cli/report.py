"""The command report: a study as one HTML file."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from madetl.cli.base import Command, Settings, examples
from madetl.cli.options import scenarios_option, selections_option
from madetl.errors import MissingExtraError, ParameterError
from madetl.text import counted


@click.command(
    cls=Command,
    epilog=examples(
        "madetl report -o report.html",
        "madetl report --scenario Writing -o writing.html",
        "madetl report --selection pilot -o pilot.html",
        "madetl report --run 7 -o report.html",
        'madetl report --title "Which assistant writes best?" -o report.html',
    ),
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The file to write, .html."
)
@scenarios_option
@selections_option
@click.option(
    "--run",
    "run_id",
    type=click.IntRange(min=1),
    metavar="N",
    help="Report run N of `madetl rank`.  [default: the latest of people's votes]",
)
@click.option("--title", metavar="TEXT", help="The title.  [default: the database's name, and the question]")
@click.pass_obj
def report(
    settings: Settings,
    *,
    output: Path,
    scenarios: tuple[str, ...],
    selections: tuple[str, ...],
    run_id: int | None,
    title: str | None,
) -> None:
    """Write a report: one HTML file that needs nothing else, to mail, print or keep.

    Who leads and how sure that is; leaderboards, win rates, how stable the ranking is, what was selected, what each
    model lost, how people agree, what it cost, and how it was made. Every plot has its numbers and its SQL. Nothing in
    the database changes. Where something is missing, the report names the command that adds it.
    """
    if output.suffix.lower() not in (".html", ".htm"):
        raise ParameterError(f"{output}: a report is HTML. Give a name that ends in .html.")
    from madetl.store import database

    page = _page()
    program = f"madetl --db {shlex.quote(settings.db.name)}" if settings.db_named else "madetl"
    with database.reading(settings.db) as db:
        done = page.write(
            db,
            output,
            title=title or f"{settings.db.stem}: which model do people prefer?",
            program=program,
            command_line=lambda command, parameters: command_line(program, command, parameters),
            scenarios=scenarios,
            selections=selections,
            run_id=run_id,
        )
    click.echo(
        f"{output}: {counted(done.judgments, 'judgment')} of {counted(done.models, 'model')}, {done.bytes / 1e6:.1f} MB"
    )


def _page() -> Any:
    try:
        from madetl.report import page
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("jinja2", "markdown_it", "markupsafe", "matplotlib", "nh3"):
            raise
        raise MissingExtraError("`madetl report`", "report") from error
    return page


def command_line(program: str, command: str, parameters: Mapping[str, Any]) -> str | None:
    """The command that gives a run these parameters; None where there is no such command.

    Parameters of a run have the names of the command's options; those at their defaults are left out.
    """
    found = _command(command)
    if found is None:
        return None
    arguments = [word for param in found.params for word in _words(param, parameters.get(param.name or ""))]
    return " ".join([program, command, *map(shlex.quote, arguments)])


def _command(words: str) -> click.Command | None:
    from madetl.cli import cli

    found: click.Command | None = cli
    for word in words.split():
        found = found.commands.get(word) if isinstance(found, click.Group) else None
    return None if isinstance(found, click.Group) else found


def _words(param: click.Parameter, value: Any) -> Iterator[str]:
    """What to type for one parameter."""
    if value is None or value == param.default or value in ([], False):
        return
    values = value if param.multiple or param.nargs == -1 else [_joined(value)]
    for one in values:
        if isinstance(param, click.Option):
            yield param.opts[-1] if len(param.opts) == 1 else max(param.opts, key=len)
            if param.is_flag:
                continue
        yield str(one)


def _joined(value: Any) -> str:
    """A list as its option takes it: names with commas, and rank's anchor as MODEL=RATING."""
    if isinstance(value, list):
        pair = len(value) == 2 and isinstance(value[1], int | float)
        return f"{value[0]}={value[1]:g}" if pair else ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


COMMANDS: list[click.Command] = [report]
