"""The commands `export label-studio` and `import label-studio`: judging in another program."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from madetl.cli.base import Settings, examples
from madetl.cli.export import export
from madetl.cli.importing import files_argument, import_group, json_counts_option, show
from madetl.cli.options import json_option, seed_option
from madetl.cli.output import note, print_json


@export.command(
    "label-studio",
    epilog=examples(
        "madetl export label-studio -o project",
        "madetl export label-studio --selection pilot --annotator alice --both-bad -o alice.json",
    ),
)
@click.option("--selection", default="latest", show_default=True, metavar="NAME", help="The selection to judge.")
@click.option("--annotator", metavar="NAME", help="Deal to this person, and leave out what they judged already.")
@click.option("--both-bad", is_flag=True, help="Offer a fourth choice: both are bad.")
@seed_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FOLDER|FILE.json",
    help="A folder for tasks.json and config.xml; or the tasks' file, with the configuration beside it.",
)
@json_option
@click.pass_obj
def export_label_studio(
    settings: Settings,
    *,
    selection: str,
    annotator: str | None,
    both_bad: bool,
    seed: int,
    output: Path,
    as_json: bool,
) -> None:
    """Write blind tasks and a labelling configuration for Label Studio.

    In a new project, paste the XML under Settings > Labeling Interface > Code, and import the JSON. The items are those
    of `madetl export annotations`, under the same numbers. When people have judged, export from Label Studio as JSON;
    then `madetl import label-studio`.
    """
    from madetl.errors import DatabaseError
    from madetl.importing import label_studio
    from madetl.store import database

    if not settings.db.exists():  # there would be nothing to export, so none is made
        raise DatabaseError(f"{settings.db}: there is no such database.")
    with database.writing(settings.db) as db:
        done = label_studio.export(db, output, selection=selection, annotator=annotator, seed=seed, both_bad=both_bad)
    if as_json:
        print_json({"output": str(output) if done.items else None, **asdict(done)})
        return
    if not done.items:
        note(f"Nothing is left to judge in selection {done.selection}: {output} was not written.")
        return
    click.echo(f"{output}: {done.items:,} task{'s' if done.items != 1 else ''} of selection {done.selection}")
    if done.names_itself:
        count = len(done.names_itself)
        note(f"{count} item{'s' if count != 1 else ''} with an answer that names its own model.")


@import_group.command(
    "label-studio",
    epilog=examples(
        "madetl import label-studio project-1.json",
        "madetl import label-studio project-1.json --annotator alice",
        "madetl import label-studio project-1.json --annotator 1=alice --annotator bob@example.org=bob",
    ),
)
@files_argument
@click.option(
    "--annotator",
    "annotators",
    multiple=True,
    metavar="[WHO=]NAME",
    help="Who judged: one name for the whole file, or a name for each of Label Studio's e-mail addresses or ids; may "
    "be repeated.  [default: the address, or label-studio:ID]",
)
@json_counts_option
@click.pass_obj
def import_label_studio(
    settings: Settings, *, files: tuple[str, ...], annotators: tuple[str, ...], as_json: bool
) -> None:
    """Import verdicts from Label Studio's JSON export.

    Tasks are those of `madetl export label-studio`, annotated by any number of people. Times and seconds come along;
    skipped tasks are kept as skipped. Predictions, drafts and ground truths are no verdicts and are left out.
    """
    from madetl.importing import label_studio
    from madetl.store import database

    names = label_studio.Names.of(annotators)
    with database.writing(settings.db) as db:
        done = label_studio.import_annotations(db, files, names)
    show(done, as_json)


COMMANDS: list[click.Command] = []  # they stand in the groups of cli.export and cli.importing
