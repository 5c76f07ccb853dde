"""The group `import`: instructions, responses, judgments, and the files of other projects."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from madetl.cli import next_steps
from madetl.cli.base import Group, Settings, examples
from madetl.cli.output import print_json, progress_bar, warn

if TYPE_CHECKING:
    from madetl.importing.each_file import Imported
    from madetl.store.judgments import Again

files_argument = click.argument("files", nargs=-1, required=True, metavar="FILE...")
json_counts_option = click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")


def _scenario_option(default: str | None, help: str) -> Callable[[Any], Any]:
    return click.option("--scenario", metavar="NAME", default=default, show_default=bool(default), help=help)


def _annotator_option(default: str, help: str) -> Callable[[Any], Any]:
    return click.option("--annotator", metavar="NAME", help=f"{help}  [default: {default}, a crowd]")


_again_options = (
    click.option(
        "--revise", is_flag=True, help="What differs from an annotator's earlier verdict counts instead of that one."
    ),
    click.option("--as-repeat", is_flag=True, help="Second verdicts are repeats: for self-agreement, never counted."),
)
_crowd_option = click.option(
    "--crowd",
    "crowds",
    multiple=True,
    metavar="NAME",
    help="NAME is many people: each of its rows is a vote. May be repeated.",
)


def _second_verdict_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --revise and --as-repeat; the command gets both as `again`."""

    @wraps(command)
    def with_again(*arguments: Any, revise: bool, as_repeat: bool, **options: Any) -> Any:
        if revise and as_repeat:
            raise click.UsageError("Give either --revise or --as-repeat: a second verdict counts, or it does not.")
        again = "revise" if revise else "repeat" if as_repeat else "refuse"
        return command(*arguments, again=again, **options)

    for option in reversed(_again_options):
        with_again = option(with_again)
    return with_again


_metric_option = click.option(
    "--metric", metavar="NAME", help="Store the files' similarity scores under this name.  [default: leave them out]"
)


@click.group("import", cls=Group)
def import_group() -> None:
    """Bring in instructions, answers and judgments from files.

    Each file goes in whole or not at all; importing it again adds nothing. Battles without ids of 16 characters are
    known by their file's name and its folder's: from a moved file they are new, with a warning. The name - reads
    standard input.
    """


@import_group.command(
    epilog=examples(
        "madetl import instructions reasoning.jsonl --scenario Reasoning",
        "madetl import instructions pool.csv",
    )
)
@files_argument
@_scenario_option(None, "Scenario of the rows that name none.")
@json_counts_option
@click.pass_obj
def instructions(settings: Settings, files: tuple[str, ...], scenario: str | None, as_json: bool) -> None:
    """Import instructions from JSONL, JSON, CSV or Parquet.

    Each row has an instruction (or question, prompt, text), and optionally an input, a reference answer
    (reference_answer, answer or output) and a scenario.
    """
    _run(settings, "import_instructions", files, as_json, scenario=scenario)


@import_group.command(
    epilog=examples(
        "madetl import responses answers.csv --scenario Writing",
        "madetl import responses gpt-4.jsonl --model gpt-4 --scenario Writing",
    )
)
@files_argument
@_scenario_option(None, "Scenario of the rows that name none.")
@click.option("--model", metavar="NAME", help="Model of the rows that name none.")
@json_counts_option
@click.pass_obj
def responses(
    settings: Settings, files: tuple[str, ...], scenario: str | None, model: str | None, as_json: bool
) -> None:
    """Import answers of models from JSONL, JSON, CSV or Parquet.

    Each row has an instruction (or question, prompt, text), a response (or output), and optionally a model, a
    scenario, an input and a reference_answer.
    """
    _run(settings, "import_responses", files, as_json, scenario=scenario, model=model)


@import_group.command(
    "alpaca-eval", epilog=examples("madetl import alpaca-eval gpt-4/model_outputs.json vicuna-13b/model_outputs.json")
)
@files_argument
@_scenario_option("AlpacaEval", "Scenario of the instructions.")
@json_counts_option
@click.pass_obj
def alpaca_eval(settings: Settings, files: tuple[str, ...], scenario: str, as_json: bool) -> None:
    """Import AlpacaEval's model_outputs.json.

    Each row has instruction, output and generator (the model), and optionally a dataset.
    """
    _run(settings, "import_alpaca_eval", files, as_json, scenario=scenario)


@import_group.command(
    "mad-eval",
    epilog=examples(
        "madetl import mad-eval koala-13b-vs-gpt-4.jsonl vicuna-13b-vs-gpt-4.jsonl",
        "madetl import mad-eval step5.jsonl --metric bert-score --annotator alice",
    ),
)
@files_argument
@_scenario_option("MAD-Eval", "Scenario of the instructions.")
@_annotator_option("mad-eval", "Who judged.")
@_crowd_option
@_metric_option
@_second_verdict_options
@json_counts_option
@click.pass_obj
def mad_eval(settings: Settings, /, files: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Import pairs of answers as MAD-Eval keeps them, with the winners.

    Files are called X-vs-Y.jsonl (X gave response_1, Y response_2), or have such a name in each row's source. The
    winner stands in output: a model's name or tie; empty where nobody judged.
    """
    _run(settings, "import_mad_eval", files, as_json, **options)


@import_group.command(
    epilog=examples(
        "madetl import arena chatbot_arena_conversations.parquet",
        "madetl import arena battles.json --scenario Writing --annotator alice",
    )
)
@files_argument
@_scenario_option("Arena", "Scenario of the battles that name none.")
@_annotator_option("arena", "Who judged the battles that have no judge.")
@_crowd_option
@_metric_option
@_second_verdict_options
@json_counts_option
@click.pass_obj
def arena(settings: Settings, /, files: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Import Chatbot Arena battles from JSON, JSONL or Parquet.

    Each battle has model_a, model_b and winner (model_a, model_b, tie, both_bad), and either conversation_a and
    conversation_b or MAD-Eval's data. model_a is the answer that was shown first. Longer conversations become one
    text: the user's turns are the instruction, the model's turns its response.

    A judge is one person with one vote per pair of answers, unless --crowd says that the name stands for many people
    (as arena and arena_user do).
    """
    _run(settings, "import_arena", files, as_json, **options)


@import_group.command(
    epilog=examples(
        "madetl import judgments sheet.csv --annotator alice",
        "madetl import judgments votes.csv --scenario Writing",
        "madetl import judgments votes-corrected.csv --revise",
        "madetl import judgments votes-of-passers-by.csv --crowd passers-by",
    )
)
@files_argument
@click.option("--annotator", metavar="NAME", help="Who judged, where the file does not say.")
@_crowd_option
@click.option("--scenario", metavar="NAME", help="Scenario of the instructions, where the rows name none.")
@_second_verdict_options
@json_counts_option
@click.pass_obj
def judgments(settings: Settings, /, files: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Import people's verdicts from CSV, JSONL or Parquet.

    A sheet of `madetl export annotations`: the column winner holds response_1, response_2, tie or both_bad, or nothing
    yet. A table: instruction, model_a, model_b, winner (a model's name, or one of those words), and optionally
    annotator, created_at, comment; scenario, input, response_a and response_b where the others leave a doubt.

    Whoever judged two answers before has voted on them: the same verdict adds nothing, and a file with another one is
    refused, unless --revise or --as-repeat says what it is.
    """
    from madetl.importing import judgments
    from madetl.store import database

    with database.writing(settings.db) as db:
        done = judgments.import_judgments(db, files, **options)
        show(done, as_json, db, settings.program)


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
@_second_verdict_options
@json_counts_option
@click.pass_obj
def import_label_studio(
    settings: Settings, *, files: tuple[str, ...], annotators: tuple[str, ...], again: Again, as_json: bool
) -> None:
    """Import verdicts from Label Studio's JSON export.

    Tasks are those of `madetl export label-studio`, annotated by any number of people. Times and seconds come along;
    skipped tasks are kept as skipped. Predictions, drafts and ground truths are no verdicts and are left out.
    """
    from madetl.importing import label_studio
    from madetl.store import database

    names = label_studio.Names.parse(annotators)
    with database.writing(settings.db) as db:
        done = label_studio.import_annotations(db, files, names, again=again)
        show(done, as_json, db, settings.program)


def _run(settings: Settings, name: str, files: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Calls the import of that name, and prints what it brought."""
    from madetl.importing import answers
    from madetl.store import database

    with database.writing(settings.db) as db:
        with progress_bar("import", "KB") as progress:
            done = getattr(answers, name)(db, files, progress=progress, **options)
        show(done, as_json, db, settings.program)


def show(done: Imported, as_json: bool, db: sqlite3.Connection, program: str) -> None:
    """Prints the closing line of an import and what comes next, or its counts as JSON; and its warnings."""
    from madetl import status

    for warning in done.warnings:
        warn(warning)
    if as_json:
        print_json({"summary": done.summary, "warnings": done.warnings, "counts": dict(sorted(done.counts.items()))})
    else:
        click.echo(done.summary)
        next_steps.show(program, [(step.command, step.why) for step in status.after_import(db)])


COMMANDS: list[click.Command] = [import_group]
