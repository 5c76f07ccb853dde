"""Judging in Label Studio: deals pairs, and writes Label Studio's tasks and its configuration.

`madetl.formats.label_studio` knows what these files look like. Pairs are dealt as for a sheet, under the same ids, so
that an assignment may be judged in Label Studio or on a sheet.
"""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack
from pathlib import Path

from madetl.errors import ParameterError
from madetl.exporting import sheets
from madetl.exporting.sheets import ExportedSheet
from madetl.formats import label_studio as layout
from madetl.formats import writing
from madetl.store import runs
from madetl.store.database import transaction
from madetl.store.selections import find_set
from madetl.text import counted


def export(
    db: sqlite3.Connection, output: Path, *, selection: str, annotator: str | None, seed: int, both_bad: bool = False
) -> ExportedSheet:
    """Deals the pairs that are not assigned yet; writes tasks and configuration, or nothing where none is left.

    The files are FILE.json and FILE.xml where `output` is FILE.json, else tasks.json and config.xml in a folder of its
    name. Raises ParameterError where `output` is the name of another kind of file.
    """
    if output.suffix.lower() in {".xml", ".jsonl", ".csv", ".parquet"}:
        raise ParameterError(f"{output}: name a folder, or a file .json for the tasks.")
    chosen = find_set(db, selection)
    annotator = annotator and annotator.strip()
    parameters = {"selection": chosen["name"], "annotator": annotator, "output": output, "both_bad": both_bad}
    # The files appear after the commit: nobody gets tasks whose assignments are not stored.
    with runs.run(db, "export label-studio", parameters, seed) as run, ExitStack() as files:
        with transaction(db):
            assigned = sheets.assign_pairs(db, chosen, annotator, seed, run.id)
            if assigned.assignments:
                tasks, config = _opened(files, output)
                writing.write_json(tasks, layout.tasks(assigned.assignments))
                config.write_text(layout.labelling_config(assigned.assignments, both_bad=both_bad), encoding="utf-8")
        run.summary = f"{output}: {counted(len(assigned.assignments), 'task')} of selection {chosen['name']}"
    return ExportedSheet(chosen["name"], len(assigned.assignments), assigned.new, names_itself=assigned.names_itself)


def _opened(files: ExitStack, output: Path) -> tuple[Path, Path]:
    """Where to write the tasks and the configuration; they take their places when `files` closes."""
    if output.suffix.lower() == ".json":
        tasks = files.enter_context(writing.whole_file(output))
        return tasks, files.enter_context(writing.whole_file(output.with_suffix(".xml")))
    folder = files.enter_context(writing.whole_folder(output))
    return folder / "tasks.json", folder / "config.xml"
