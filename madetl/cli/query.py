"""The command query: any question to the database, and nothing changed by it."""

from __future__ import annotations

import csv
import json
import math
import sys
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

import click

from madetl.cli import options
from madetl.cli.base import Command, Settings, examples
from madetl.cli.output import note, print_json, print_table

if TYPE_CHECKING:
    from madetl.store.user_queries import QueryRows, Value

_COLUMNS_LISTED = ("query", "what", "parameters")
_ROWS_OF_A_TABLE = 1000  # more than anybody reads; a table has to be held in memory to be laid out


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
    "--timeout",
    type=options.FiniteRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="The longest that the database may work at it; 0: as long as it takes.",
)
@click.option("--list", "list_queries", is_flag=True, help="List the views and the queries that readers want.")
@click.option("--all", "list_all", is_flag=True, help="With --list: every query that madetl brings.")
@click.option("--sql", "as_sql", is_flag=True, help="Print the statement instead of executing it.")
@click.pass_obj
def query(
    settings: Settings,
    *,
    statement: str | None,
    parameters: dict[str, Value],
    as_csv: bool,
    as_json: bool,
    timeout: float,
    list_queries: bool,
    list_all: bool,
    as_sql: bool,
) -> None:
    """Ask the database: SQL, or the name of a query, a table or a view.

    Nothing can be changed here. Blobs are shown as their size. A table that is too wide has shortened cells; one that
    is wider still is printed as a block of lines for each row.
    """
    if list_all and not list_queries:
        raise click.UsageError("--all goes with --list.")
    if list_queries:
        _print_list(list_all, as_json)
        return
    if not statement:
        raise click.UsageError("Give SQL or the name of a query; --list lists the names.")
    if as_csv and as_json:
        raise click.UsageError("Choose one of --csv and --json.")
    from madetl.store import database, user_queries

    with database.reading(settings.db) as db:
        sql = user_queries.find(db, statement)
        if as_sql:
            click.echo(sql.rstrip())
            return
        with user_queries.executed(db, sql, parameters, timeout=timeout) as found:
            (_print_csv if as_csv else _print_json_rows if as_json else _print_first_rows)(found)


def _print_list(everything: bool, as_json: bool) -> None:
    from madetl.store import user_queries

    found = user_queries.listing(everything=everything)
    if as_json:
        print_json(found)
        return
    for group, rows in groupby(found, key=lambda row: row["group"]):
        columns = {"query": "view", "what": "what"} if group == "views" else {name: name for name in _COLUMNS_LISTED}
        print_table([{columns[name]: row[name] for name in columns} for row in rows], title=group.capitalize())
    if not everything:
        note("--list --all lists every query. Each parameter is given as -p NAME=VALUE; null: no choice.")


def _print_csv(found: QueryRows) -> None:
    from madetl.store import user_queries

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(found.headings)
    writer.writerows(user_queries.readable(row) for row in found)


def _print_json_rows(found: QueryRows) -> None:
    """An array with one row per line, so that a large result need not fit into memory."""
    from madetl.store import user_queries

    before = "["
    for row in found:
        record = dict(zip(found.columns, user_queries.readable(row), strict=True))
        click.echo(f"{before}\n  {json.dumps(_jsonable(record), ensure_ascii=False)}", nl=False)
        before = ","
    click.echo("\n]" if before == "," else "[]")


def _jsonable(record: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: null."""
    return {name: None if isinstance(value, float) and math.isinf(value) else value for name, value in record.items()}


def _print_first_rows(found: QueryRows) -> None:
    from madetl.store import user_queries

    rows: list[dict[str, Any]] = [
        dict(zip(found.columns, user_queries.readable(row), strict=True)) for row in islice(found, _ROWS_OF_A_TABLE)
    ]
    if print_table(rows, one_line=True):
        note("What ends in … is shortened to fit; --csv and --json give all of it.")
    if next(found, None) is not None:
        note(f"These are the first {_ROWS_OF_A_TABLE:,} rows. --csv and --json give all of them.")


COMMANDS: list[click.Command] = [query]
