"""The annotation sheets: puts the pairs of a selection on a sheet that gives no model away.

`dealing` draws which answer stands first and the order of the items, once, so that every later sheet of the same
selection and annotator is the same. How a sheet is written is formats' matter.
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

CELL_LIMIT = layout.CELL_LIMIT


@dataclass
class ExportedSheet:
    """What a sheet holds: how many items, and the numbers of those that a reader should know about."""

    selection: str
    items: int
    dealt: int
    too_long: list[int] = field(default_factory=list)
    names_itself: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Dealt:
    """What there is to judge: how many items are new, all that are left, and those whose answer names its own model."""

    new: int
    items: list[layout.SheetItem]
    names_itself: list[int]


def export_sheet(
    db: sqlite3.Connection, output: Path, *, selection: str, annotator: str | None, seed: int, force: bool = False
) -> ExportedSheet:
    """Deals what was not dealt yet and writes the sheet; a sheet without items is not written.

    The kind of file is that of its suffix: .csv, .jsonl or .parquet. Raises ParameterError where the file stands
    already with other contents (there may be verdicts in it) and `force` is not given.
    """
    _check_suffix(output)
    chosen = find_set(db, selection)
    annotator = annotator and annotator.strip()
    parameters = {"selection": chosen["name"], "annotator": annotator, "output": output, "force": force}
    # The file appears after the commit: nobody gets a sheet whose items are unknown.
    with runs.run(db, "export annotations", parameters, seed) as run, writing.whole_file(output) as path:
        with transaction(db):
            dealt = deal_items(db, chosen, annotator, seed, run.id)
            if dealt.items:
                _write(path, output.suffix.lower(), dealt.items)
                if not force:
                    _check_unchanged(output, path)
        run.summary = f"{output}: {len(dealt.items)} items of selection {chosen['name']}"
    return ExportedSheet(
        selection=chosen["name"],
        items=len(dealt.items),
        dealt=dealt.new,
        too_long=layout.too_long(dealt.items),
        names_itself=dealt.names_itself,
    )


def deal_items(db: sqlite3.Connection, chosen: sqlite3.Row, annotator: str | None, seed: int, run_id: int) -> Dealt:
    """Deals what this annotator (None: a sheet for anybody) was not dealt yet. Call it inside a transaction."""
    person = None if annotator is None else assign.person(db, annotator)
    new = assign.deal_all(db, chosen, person, f"{seed}/{chosen['name']}/{annotator or ''}", run_id)
    rows = db.execute(query("exporting/sheet_items"), {"set_id": chosen["id"], "annotator_id": person}).fetchall()
    return Dealt(new, [_item(row) for row in rows], [row["item"] for row in rows if _names_itself(row)])


def _item(row: sqlite3.Row) -> layout.SheetItem:
    instruction = layout.whole_instruction(row["instruction"], row["input"])
    return layout.SheetItem(row["item"], instruction, row["reference_answer"], row["response_1"], row["response_2"])


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


def _write(path: Path, suffix: str, items: Sequence[layout.SheetItem]) -> None:
    columns = layout.sheet_columns(items)
    if suffix == ".csv":
        writing.write_csv(path, columns, layout.csv_rows(items))
    elif suffix == ".jsonl":
        writing.write_jsonl(path, layout.sheet_records(items))
    else:
        types = {column: "INTEGER" if column == "item" else "TEXT" for column in columns}
        writing.write_parquet(path, types, (list(record.values()) for record in layout.sheet_records(items)))
