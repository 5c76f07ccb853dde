"""Commands about the file itself: init."""

from __future__ import annotations

import click

from madetl.cli.base import Command, Settings, examples


@click.command(cls=Command, epilog=examples("madetl init", "madetl init --db study.db"))
@click.pass_obj
def init(settings: Settings) -> None:
    """Create the database, or bring an older one up to date."""
    from madetl import database

    existed = settings.db.exists()
    with database.writing(settings.db) as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
    click.echo(f"{settings.db}: {'up to date' if existed else 'created'}, schema version {version}.")


COMMANDS: list[click.Command] = [init]
