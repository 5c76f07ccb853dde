"""Commands that keep the store in order: init, runs, delete."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from madetl.cli import options
from madetl.cli.base import Command, Group, Settings, examples
from madetl.cli.output import listed_counts, note, print_json, print_table
from madetl.text import agreeing, counted

if TYPE_CHECKING:
    from madetl.store.deletion import Deleted, Kind


@click.command(cls=Command, epilog=examples("madetl init", "madetl init --db study.db"))
@options.json_option
@click.pass_obj
def init(settings: Settings, as_json: bool) -> None:
    """Create the database, or bring an older one up to date."""
    from madetl.store import database

    existed = settings.db.exists()
    with database.writing(settings.db) as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
    if as_json:
        print_json({"database": str(settings.db), "created": not existed, "schema_version": version})
        return
    click.echo(f"{settings.db}: {'up to date' if existed else 'created'}, schema version {version}.")


@click.command("runs", cls=Command, epilog=examples("madetl runs", "madetl runs --json"))
@options.json_option
@click.pass_obj
def runs_command(settings: Settings, as_json: bool) -> None:
    """List what was executed: each import, measurement, selection and ranking.

    --json adds every parameter, the seed, and warnings. The number is what `madetl delete run` takes.
    """
    from madetl.store import database, runs

    with database.reading(settings.db) as db:
        found = runs.listing(db)
    if as_json:
        print_json([run.model_dump() for run in found])
        return
    print_table(
        [
            {
                "run": run.id,
                "started (UTC)": run.started_at[:19].replace("T", " "),
                "command": run.command,
                "outcome": run.outcome or "running or killed",
                "summary": (run.summary or "").partition("\n")[0],
            }
            for run in found
        ]
    )


@click.group(
    cls=Group,
    epilog=examples("madetl delete run 7", "madetl delete model gpt-4", "madetl delete selection pilot --yes"),
)
def delete() -> None:
    """Delete a run, a model or a selection, and the rows that depend on it.

    Shows what would go, as rows per table, and asks.
    """


_yes = click.option("--yes", is_flag=True, help="Do not ask.")


@delete.command(epilog=examples("madetl runs", "madetl delete run 7"))
@click.argument("number", type=click.IntRange(min=1))
@_yes
@options.json_option
@click.pass_obj
def run(settings: Settings, number: int, yes: bool, as_json: bool) -> None:
    """Delete run NUMBER and the rows that it made.

    Instructions that other runs have answers to stay. With a run of `select` go the later picks of its selection. Of an
    adaptive selection only the picks of the run itself go, but those judged in other runs stay.
    """
    _delete(settings, "run", str(number), yes, as_json)


@delete.command(epilog=examples("madetl delete model gpt-4", "madetl delete model gpt-4 --yes"))
@click.argument("name")
@_yes
@options.json_option
@click.pass_obj
def model(settings: Settings, name: str, yes: bool, as_json: bool) -> None:
    """Delete the model NAME with its answers, and all rows that compare, select or judge them."""
    _delete(settings, "model", name, yes, as_json)


@delete.command(epilog=examples("madetl delete selection pilot", "madetl delete selection pilot --yes"))
@click.argument("name")
@_yes
@options.json_option
@click.pass_obj
def selection(settings: Settings, name: str, yes: bool, as_json: bool) -> None:
    """Delete the selection NAME with its assignments. Judgments stay, since they are about answers."""
    _delete(settings, "selection", name, yes, as_json)


def _delete(settings: Settings, kind: Kind, name: str, yes: bool, as_json: bool) -> None:
    from madetl.store import database, deletion

    with database.writing(settings.db, create=False) as db:
        if not yes and as_json:
            raise click.UsageError("--json cannot ask; give --yes with it.")
        if not yes:
            _ask(kind, name, deletion.preview(db, kind, name))
        gone = deletion.delete(db, kind, name)
        stale = "judgments" in gone.rows and db.execute("SELECT EXISTS (SELECT 1 FROM ratings)").fetchone()[0]
    if as_json:
        print_json({"kind": kind, "name": name, **asdict(gone)})
    else:
        click.echo(f"Deleted {kind} {name}: {listed_counts(gone.rows)}.")
    if stale:
        note("Ratings that count these judgments are still stored; `madetl rank` computes new ones.")


def _ask(kind: Kind, name: str, would_go: Deleted) -> None:
    rows = [{"table": table, "rows": count} for table, count in would_go.rows.items()]
    print_table(rows, title=f"With {kind} {name} go")
    if kept := would_go.instructions_kept:
        click.echo(f"{counted(kept, 'instruction')} {agreeing(kept)['stay']}: other runs have answers to them.")
    if not sys.stdin.isatty():
        raise click.ClickException(
            "Nothing was deleted, since there is no terminal to ask on. --yes deletes without asking."
        )
    if not click.confirm("Delete these rows?", default=False):
        click.echo("Nothing was deleted.")
        sys.exit(1)


COMMANDS: list[click.Command] = [init, runs_command, delete]
