"""The command `import judgments`: what people typed into sheets and tables."""

from __future__ import annotations

import click

from madetl.cli.base import Settings, examples
from madetl.cli.importing import files_argument, import_group, json_counts_option, show


@import_group.command(
    epilog=examples(
        "madetl import judgments sheet.csv --annotator alice",
        "madetl import judgments votes.csv --scenario Writing",
    )
)
@files_argument
@click.option("--annotator", metavar="NAME", help="Who judged, where the file does not say.")
@click.option("--scenario", metavar="NAME", help="Scenario of the instructions, where the rows name none.")
@json_counts_option
@click.pass_obj
def judgments(
    settings: Settings, *, files: tuple[str, ...], annotator: str | None, scenario: str | None, as_json: bool
) -> None:
    """Import people's verdicts from CSV, JSONL or Parquet.

    A sheet of `madetl export annotations`: the column winner holds response_1, response_2, tie or both_bad, or nothing
    yet. A table: instruction, model_a, model_b, winner (a model's name, or one of those words), and optionally
    annotator, created_at, comment; scenario, input, response_a and response_b where the others leave a doubt.

    Verdicts on items that were removed since the sheet was made are left out, and counted.
    """
    from madetl.importing import judgments
    from madetl.store import database

    with database.writing(settings.db) as db:
        done = judgments.import_judgments(db, files, annotator=annotator, scenario=scenario)
    show(done, as_json)


COMMANDS: list[click.Command] = []  # it stands in the group of cli.importing
