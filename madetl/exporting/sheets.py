"""The annotation sheets: writes the pairs of a selection to a sheet that gives no model away.

`madetl.judgment.assign` draws once which answer is shown first and in which order the pairs come, so that every later
sheet of the same selection and annotator is the same. `madetl.formats.sheets` knows what a sheet looks like.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from madetl.errors import ParameterError
from madetl.formats import sheets as layout
from madetl.formats import writing
from madetl.judgment import assign
from madetl.store import runs
from madetl.store.database import transaction
from madetl.store.selections import find_set
from madetl.store.sqlfiles import query
from madetl.text import counted

CELL_LIMIT = layout.CELL_LIMIT


@dataclass
class ExportedSheet:
    """What a sheet holds: how many assignments, how many of them are new, and the ids of those to be warned about.

    `items` and `dealt` are called so in the JSON that the command prints.
    """

    selection: str
    items: int
    dealt: int
    too_long: list[int] = field(default_factory=list)
    names_itself: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Assigned:
    """What there is to judge: all assignments that are left, how many are new, and those that name their own model."""

    new: int
    assignments: list[layout.SheetAssignment]
    names_itself: list[int]


def export_sheet(
    db: sqlite3.Connection, output: Path, *, selection: str, annotator: str | None, seed: int, force: bool = False
) -> ExportedSheet:
    """Deals the pairs that are not assigned yet and writes the sheet; a sheet without rows is not written.

    The kind of file is that of its suffix: .csv, .jsonl or .parquet. Raises ParameterError where the file
    exists with other contents (there may be verdicts in it) and `force` is not given.
    """
    _check_suffix(output)
    chosen = find_set(db, selection)
    annotator = annotator and annotator.strip()
    parameters = {"selection": chosen["name"], "annotator": annotator, "output": output, "force": force}
    # The file appears after the commit: nobody gets a sheet whose assignments are not stored.
    with runs.run(db, "export annotations", parameters, seed) as run, writing.whole_file(output) as path:
        with transaction(db):
            assigned = assign_pairs(db, chosen, annotator, seed, run.id)
            if assigned.assignments:
                _write(path, output.suffix.lower(), assigned.assignments)
                if not force:
                    _check_unchanged(output, path)
        run.summary = f"{output}: {counted(len(assigned.assignments), 'item')} of selection {chosen['name']}"
    return ExportedSheet(
        selection=chosen["name"],
        items=len(assigned.assignments),
        dealt=assigned.new,
        too_long=layout.too_long(assigned.assignments),
        names_itself=assigned.names_itself,
    )


def assign_pairs(
    db: sqlite3.Connection, chosen: sqlite3.Row, annotator: str | None, seed: int, run_id: int
) -> Assigned:
    """Deals the pairs that are not assigned to this annotator (None: to anybody) yet. Call it inside a transaction."""
    person = None if annotator is None else assign.person(db, annotator)
    new = assign.deal_all(db, chosen, person, f"{seed}/{chosen['name']}/{annotator or ''}", run_id)
    rows = db.execute(query("exporting/sheet_assignments"), {"set_id": chosen["id"], "annotator_id": person}).fetchall()
    named = [row["assignment_id"] for row in rows if _names_itself(row)]
    return Assigned(new, [_sheet_assignment(row) for row in rows], named)


def _sheet_assignment(row: sqlite3.Row) -> layout.SheetAssignment:
    instruction = layout.whole_instruction(row["instruction"], row["input"])
    texts = (row["reference_answer"], row["response_1"], row["response_2"])
    return layout.SheetAssignment(row["assignment_id"], instruction, *texts)


def _names_itself(row: sqlite3.Row) -> bool:
    """Whether an answer contains the name of the model that gave it."""
    return any(
        re.search(rf"(?<!\w){re.escape(row[model])}(?!\w)", row[response], re.IGNORECASE)
        for model, response in (("model_1", "response_1"), ("model_2", "response_2"))
    )


def _check_suffix(output: Path) -> None:
    if output.suffix.lower() not in {".csv", ".jsonl", ".parquet"}:
        raise ParameterError(f"{output}: a sheet's name ends in .csv, .jsonl or .parquet.")


def _check_unchanged(output: Path, written: Path) -> None:
    if output.exists() and output.read_bytes() != written.read_bytes():
        raise ParameterError(
            f"{output} exists and is not this sheet as it was exported: there may be verdicts in it. "
            "Import it first and give another name, or --force to overwrite it."
        )


def _write(path: Path, suffix: str, assignments: Sequence[layout.SheetAssignment]) -> None:
    columns = layout.sheet_columns(assignments)
    if suffix == ".csv":
        writing.write_csv(path, columns, layout.csv_rows(assignments))
    elif suffix == ".jsonl":
        writing.write_jsonl(path, layout.sheet_records(assignments))
    else:
        types = {column: "INTEGER" if column == "item" else "TEXT" for column in columns}
        writing.write_parquet(path, types, (list(record.values()) for record in layout.sheet_records(assignments)))
