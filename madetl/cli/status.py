"""Commands that look and change nothing: status, query."""

from __future__ import annotations

import csv
import json
import math
import sqlite3
import sys
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from madetl.cli import next_steps, options
from madetl.cli.base import Command, Settings, examples
from madetl.cli.output import note, print_json, print_table

if TYPE_CHECKING:
    from madetl.store.user_queries import Value

_TABLES = {
    "scenarios": "Instructions",
    "models": "Models",
    "failures": "Requests that were never answered",
    "similarities": "Similarities, in response pairs",
    "selections": "Selections, in response pairs",
    "annotators": "Votes",
    "leaderboard": "Leaderboard (overall, Elo, people's votes; lower and upper: {bounds})",
}

_ROWS_OF_A_TABLE = 1000  # more than anybody reads; a table has to be held in memory to be laid out


@click.command(cls=Command, epilog=examples("madetl status", "madetl status --json", "madetl status --db study.db"))
@options.json_option
@click.pass_obj
def status(settings: Settings, as_json: bool) -> None:
    """Show what there is, and what each stage could do next with the command for it."""
    from madetl.status import status as look
    from madetl.store import database

    with database.reading(settings.db) as db:
        found = asdict(look(db))
    if as_json:
        for step in found["next"]:
            step["command"] = next_steps.called(settings.program, step["command"])
        print_json({"database": str(settings.db), **found})
    else:
        _print_status(found, settings.program)


def _print_status(found: dict[str, Any], program: str) -> None:
    board = found["leaderboard"]
    permuted = any(row["resample"] == "permute" for row in board)
    bounds = "range over orders of the battles" if permuted else "95 % interval"
    unsaid = ("resample",) if any(row["selections"] for row in board) else ("resample", "selections")
    found = found | {"leaderboard": [_without(row, *unsaid) for row in board]}
    if not any(row["budget"] for row in found["selections"]):
        found |= {"selections": [_without(row, "pair_policy", "budget") for row in found["selections"]]}
    unused = [name for name in ("repeats", "revised") if not any(row[name] for row in found["annotators"])]
    found |= {"annotators": [_without(row, *unused) for row in found["annotators"]]}
    for name, title in _TABLES.items():
        if found[name]:
            print_table(found[name], title=title.format(bounds=bounds))
    if not found["scenarios"]:
        click.echo("The database is empty.\n")
    if not found["next"]:
        click.echo("Everything is measured, judged and ranked.")
        next_steps.show(program, [*next_steps.DECIDED, ("query leaderboard", "the ratings, as rows")])
    else:
        next_steps.show(program, [(step["command"], f"{step['stage']}: {step['why']}") for step in found["next"]])


def _without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def _parameters(_: click.Context, __: click.Parameter, pairs: tuple[str, ...]) -> dict[str, Value]:
    from madetl.store import user_queries

    for pair in pairs:
        if not pair.partition("=")[0].isidentifier() or "=" not in pair:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE")
    return {name: user_queries.typed(value) for name, _, value in (pair.partition("=") for pair in pairs)}


@click.command(
    cls=Command,
    epilog=examples(
        "madetl query leaderboard",
        "madetl query \"SELECT model, opponent, win_rate FROM win_rates WHERE scenario = 'overall'\"",
        'madetl query "SELECT * FROM battles WHERE annotator = :who" -p who=alice --csv > alice.csv',
        "madetl query --list",
        "madetl query mad_picks --sql",
    ),
)
@click.argument("statement", metavar="SQL|NAME", required=False)
@click.option(
    "-p",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_parameters,
    help="A parameter: a number, null, or text ('\"7\"' is text). May be repeated.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, row by row.")
@options.json_option
@click.option(
    "--list", "list_queries", is_flag=True, help="List the queries that madetl brings, and what each returns."
)
@click.option("--sql", "as_sql", is_flag=True, help="Print the statement instead of executing it.")
@click.pass_obj
def query(
    settings: Settings,
    *,
    statement: str | None,
    parameters: dict[str, Value],
    as_csv: bool,
    as_json: bool,
    list_queries: bool,
    as_sql: bool,
) -> None:
    """Ask the database: SQL, or the name of a query, a table or a view.

    Nothing can be changed here. Blobs are shown as their size.
    """
    from madetl.store import database, user_queries

    if list_queries:
        (print_json if as_json else print_table)(user_queries.listing())
        return
    if not statement:
        raise click.UsageError("Give SQL or the name of a query; --list lists the names.")
    if as_csv and as_json:
        raise click.UsageError("Choose one of --csv and --json.")
    if as_sql:
        with database.reading(settings.db) as db:
            click.echo(user_queries.find(db, statement).rstrip())
        return
    with (
        database.reading(settings.db) as db,
        user_queries.executed(db, user_queries.find(db, statement), parameters) as cursor,
    ):
        (_print_csv if as_csv else _print_json_rows if as_json else _print_first_rows)(cursor)


def _print_csv(cursor: sqlite3.Cursor) -> None:
    from madetl.store import user_queries

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([column[0] for column in cursor.description])
    writer.writerows(user_queries.readable(row) for row in cursor)


def _print_json_rows(cursor: sqlite3.Cursor) -> None:
    """An array with one row per line, so that a large result need not fit into memory."""
    from madetl.store import user_queries

    names = user_queries.column_names(cursor)
    before = "["
    for row in cursor:
        record = dict(zip(names, user_queries.readable(row), strict=True))
        click.echo(f"{before}\n  {json.dumps(_jsonable(record), ensure_ascii=False)}", nl=False)
        before = ","
    click.echo("\n]" if before == "," else "[]")


def _jsonable(record: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: null."""
    return {name: None if isinstance(value, float) and math.isinf(value) else value for name, value in record.items()}


def _print_first_rows(cursor: sqlite3.Cursor) -> None:
    from madetl.store import user_queries

    names = user_queries.column_names(cursor)
    rows: list[dict[str, Any]] = [
        dict(zip(names, user_queries.readable(row), strict=True)) for row in islice(cursor, _ROWS_OF_A_TABLE)
    ]
    print_table(rows)
    if cursor.fetchone() is not None:
        note(f"These are the first {_ROWS_OF_A_TABLE:,} rows. --csv and --json give all of them.")


COMMANDS: list[click.Command] = [status, query]
