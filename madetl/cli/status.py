"""The command status: what there is, and what comes next."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from madetl.cli import next_steps, options
from madetl.cli.base import Command, Settings, examples
from madetl.cli.output import print_json, print_table

_TABLES = {
    "scenarios": "Instructions",
    "models": "Models",
    "failures": "Requests that were never answered",
    "similarities": "Similarities, in response pairs",
    "selections": "Selections, in response pairs",
    "annotators": "Votes",
    "leaderboard": "Leaderboard (overall, Elo, people's votes{picked}; lower and upper: {bounds})",
}


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
    picked = _picked(board[0]["selections"]) if board else ""  # one ranking: of the same votes in every row
    found = found | {"leaderboard": [_without(row, "resample", "selections") for row in board]}
    if not any(row["budget"] for row in found["selections"]):
        found |= {"selections": [_without(row, "pair_policy", "budget") for row in found["selections"]]}
    unused = [name for name in ("repeats", "revised") if not any(row[name] for row in found["annotators"])]
    found |= {"annotators": [_without(row, *unused) for row in found["annotators"]]}
    for name, title in _TABLES.items():
        if found[name]:
            print_table(found[name], title=title.format(bounds=bounds, picked=picked))
    if not found["scenarios"]:
        click.echo("The database is empty.\n")
    if not found["next"]:
        click.echo("Everything is measured, judged and ranked.")
        next_steps.show(program, [*next_steps.DECIDED, ("query leaderboard", "the ratings, as rows")])
    else:
        next_steps.show(program, [(step["command"], f"{step['stage']}: {step['why']}") for step in found["next"]])


def _picked(selections: str | None) -> str:
    """What the ranked votes are on: a JSON array of selections (None: on anything)."""
    return f" on what {' and '.join(json.loads(selections))} picked" if selections else ""


def _without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


COMMANDS: list[click.Command] = [status]
