"""The group `export`: annotation sheets, and what is stored as other projects' files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from madetl.cli.base import Group, Settings, examples
from madetl.cli.options import json_option, models_option, scenarios_option, seed_option, selections_option
from madetl.cli.output import note, print_json, warn
from madetl.text import counted

if TYPE_CHECKING:
    from madetl.exporting.exports import ExportedFile
    from madetl.exporting.sheets import ExportedSheet

_MOST_LISTED = 10


@click.group(cls=Group)
def export() -> None:
    """Write sheets to judge on, and files that other projects read.

    Files appear whole or not at all.
    """


def _output_option(metavar: str, text: str) -> Callable[[Any], Any]:
    return click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar=metavar, help=text)


_selection_option = click.option(
    "--selection", default="latest", show_default=True, metavar="NAME", help="The selection to judge."
)
_deal_option = click.option(
    "--annotator", metavar="NAME", help="Deal to this person, and leave out the pairs that they judged already."
)


def _voter_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options --annotator and --judges: whose verdicts to write."""
    command = click.option("--judges", is_flag=True, help="Write the judge models' verdicts instead of people's.")(
        command
    )
    return click.option(
        "--annotator",
        "annotators",
        multiple=True,
        metavar="NAME",
        help="Write only this annotator's verdicts; may be repeated.",
    )(command)


@export.command(
    "annotations",
    epilog=examples(
        "madetl export annotations -o sheet.csv",
        "madetl export annotations --selection pilot --annotator alice -o alice.csv",
    ),
)
@_selection_option
@_deal_option
@seed_option
@click.option("--force", is_flag=True, help="Overwrite a sheet, with whatever verdicts are in it.")
@_output_option("SHEET", "A file .csv, .jsonl or .parquet.")
@json_option
@click.pass_obj
def annotation_sheet(
    settings: Settings, *, selection: str, annotator: str | None, seed: int, force: bool, output: Path, as_json: bool
) -> None:
    """Write a blind sheet to judge the selected pairs on.

    The pairs of answers come in random order, without the models' names. Type into the column winner: response_1,
    response_2, tie or both_bad; then `madetl import judgments`. Which answer stands first is drawn once and stored: a
    sheet that is exported again is the same. Without --annotator it serves any number of people, each with a copy.
    """
    from madetl.exporting import sheets
    from madetl.store import database

    with database.writing(settings.db, create=False) as db:
        done = sheets.export_sheet(db, output, selection=selection, annotator=annotator, seed=seed, force=force)
    _report_sheet(output, done, "item", as_json)


@export.command(
    epilog=examples(
        "madetl export arena -o battles.json",
        "madetl export arena --selection pilot -o pilot.json",
        "madetl export arena --judges -o battles.parquet",
    )
)
@scenarios_option
@selections_option
@_voter_options
@_output_option("FILE", "A file .json, .jsonl or .parquet.")
@json_option
@click.pass_obj
def arena(settings: Settings, /, output: Path, as_json: bool, **votes: Any) -> None:
    """Write the battles as Chatbot Arena's data sets.

    One record per vote, in the order shown. MAD-Eval's files do not say which answer was shown first: their votes come
    out in the order in which the models were imported. turn and language are null, since neither is stored. People's
    votes only, unless --annotator or --judges says otherwise. `madetl import arena` reads the file back.
    """
    from madetl.exporting import exports
    from madetl.ranking.votes import RankParameters
    from madetl.store import database

    with database.reading(settings.db) as db:
        done = exports.arena(db, output, RankParameters(**votes))
    _report(output, done, "battle", as_json)


@export.command(
    "mad-eval",
    epilog=examples("madetl export mad-eval -o pairs", "madetl export mad-eval --selection pilot -o pairs"),
)
@click.option("--selection", metavar="NAME", help="All pairs of this selection, judged or not (latest: the last one).")
@click.option(
    "--metric", metavar="NAME", help="Whose scores to write.  [default: the selection's, or the only metric there is]"
)
@scenarios_option
@_voter_options
@_output_option("FOLDER", "A folder, made where there is none.")
@json_option
@click.pass_obj
def mad_eval(
    settings: Settings,
    /,
    selection: str | None,
    metric: str | None,
    output: Path,
    as_json: bool,
    **votes: Any,
) -> None:
    """Write the votes as MAD-Eval's pair files.

    One X-vs-Y.jsonl per two models, with a row per vote. People's votes only, unless --annotator or --judges
    says otherwise.
    """
    from madetl.exporting import exports
    from madetl.ranking.votes import RankParameters
    from madetl.store import database

    with database.reading(settings.db) as db:
        done = exports.mad_eval(db, output, RankParameters(**votes), selection, metric=metric)
    _report(output, done, "row", as_json)


@export.command("alpaca-eval", epilog=examples("madetl export alpaca-eval -o outputs --models gpt-4,gemini-pro"))
@scenarios_option
@models_option
@_output_option("FOLDER", "A folder, made where there is none.")
@json_option
@click.pass_obj
def alpaca_eval(
    settings: Settings, *, scenarios: tuple[str, ...], models: list[str] | None, output: Path, as_json: bool
) -> None:
    """Write the answers as AlpacaEval's model outputs.

    One MODEL.json per model, in the layout of model_outputs.json.
    """
    from madetl.exporting import exports
    from madetl.store import database

    with database.reading(settings.db) as db:
        done = exports.alpaca_eval(db, output, scenarios, models)
    _report(output, done, "response", as_json)


@export.command(epilog=examples("madetl export parquet -o tables"))
@_output_option("FOLDER", "A folder, made where there is none.")
@json_option
@click.pass_obj
def parquet(settings: Settings, output: Path, as_json: bool) -> None:
    """Write every table as a Parquet file of its own."""
    from madetl.exporting import exports
    from madetl.store import database

    with database.reading(settings.db) as db:
        done = exports.parquet(db, output)
    _report(output, done, "row", as_json)


def _report(output: Path, done: ExportedFile, unit: str, as_json: bool) -> None:
    if as_json:
        print_json({"output": str(output), **asdict(done)})
        return
    files = f" in {done.files} files" if done.files > 1 else ""
    click.echo(f"{output}: {counted(done.rows, unit)}{files}")
    for line in done.notes:
        note(f"Note: {line}.")


def _report_sheet(output: Path, done: ExportedSheet, unit: str, as_json: bool) -> None:
    from madetl.exporting.sheets import CELL_LIMIT

    if as_json:
        print_json({"output": str(output) if done.items else None, **asdict(done)})
        return
    if not done.items:
        note(f"Nothing is left to judge in selection {done.selection}: {output} was not written.")
        return
    click.echo(f"{output}: {counted(done.items, unit)} of selection {done.selection}")
    if done.too_long:
        cells = f"{counted(len(done.too_long), unit)} with a text of over {CELL_LIMIT:,} characters"
        warn(f"{cells}, which spreadsheets cut: {_numbers(done.too_long)}")
    if done.names_itself:
        note(f"{counted(len(done.names_itself), unit)} with an answer that names its own model.")


def _numbers(numbers: list[int]) -> str:
    more = f" and {len(numbers) - _MOST_LISTED} more" if len(numbers) > _MOST_LISTED else ""
    return ", ".join(map(str, numbers[:_MOST_LISTED])) + more


@export.command(
    "label-studio",
    epilog=examples(
        "madetl export label-studio -o project",
        "madetl export label-studio --selection pilot --annotator alice --both-bad -o alice.json",
    ),
)
@_selection_option
@_deal_option
@click.option("--both-bad", is_flag=True, help="Offer a fourth choice: both are bad.")
@seed_option
@_output_option(
    "FOLDER|FILE.json", "A folder for tasks.json and config.xml; or the tasks' file, with the configuration beside it."
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

    In a new project, paste the XML under Settings > Labeling Interface > Code, and import the JSON. The pairs are those
    of `madetl export annotations`, under the same numbers. When people have judged, export from Label Studio as JSON;
    then `madetl import label-studio`.
    """
    from madetl.exporting import label_studio
    from madetl.store import database

    with database.writing(settings.db, create=False) as db:
        done = label_studio.export(db, output, selection=selection, annotator=annotator, seed=seed, both_bad=both_bad)
    _report_sheet(output, done, "task", as_json)


COMMANDS: list[click.Command] = [export]
