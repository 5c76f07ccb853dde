"""The import of a file of judgments, a filled sheet or a plain table: whole or not at all, as one run.

Reading is formats' work, looking up the items and answers that of filled_sheets and judgment_tables; `judgments`
stores the verdicts.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from madetl import filled_sheets, judgment_tables, judgments, runs
from madetl.database import transaction
from madetl.formats import verdicts as layout
from madetl.formats.files import read_rows


@dataclass(frozen=True)
class Imported:
    """What a file brought. `empty`: rows without a winner; `unread`: comments on those; `elsewhere` as in judgments."""

    new: int
    known: int
    empty: int
    unread: int
    elsewhere: int
    replaced: int

    @property
    def summary(self) -> str:
        """The closing line."""
        empty = f", {self.empty} items left empty" if self.empty else ""
        return f"judgments: {self.new + self.known} verdicts ({self.new} new, {self.known} known){empty}"


def import_file(
    db: sqlite3.Connection, file: str, *, annotator: str | None = None, scenario: str | None = None
) -> Imported:
    """Imports one file ('-': standard input). Raises InputError or ParameterError, and then nothing of it stays."""
    read = read_rows(file, short_rows=True)
    rows = layout.cells(read)
    problems = layout.Problems(layout.where(read))
    sheet = layout.is_sheet(problems.file, list(rows[0][1]) if rows else [])
    parameters = {"file": file, "kind": "sheet" if sheet else "table", "annotator": annotator, "scenario": scenario}
    with runs.run(db, "import judgments", parameters) as run:
        with transaction(db):
            if sheet:
                stored = _store_sheet(db, layout.sheet_rows(rows, problems), annotator, problems, run.id)
            else:
                judged = layout.table_rows(rows, annotator, scenario, problems)
                found = judgment_tables.verdicts(db, judged, read.name, problems)
                problems.raise_any()
                stored = judgments.store(db, found, run.id)
        empty = [row for _, row in rows if not row["winner"].strip()]
        unread = sum(bool(row.get("comment", "").strip()) for row in empty)
        done = Imported(stored.new, stored.known, len(empty), unread, stored.elsewhere, read.replaced)
        run.summary = done.summary
    return done


def _store_sheet(
    db: sqlite3.Connection, rows: list[layout.SheetRow], annotator: str | None, problems: layout.Problems, run_id: int
) -> judgments.StoredJudgments:
    placed = filled_sheets.place(db, rows, annotator, problems)
    new = filled_sheets.new_ones(db, placed, problems)
    problems.raise_any()
    annotators = judgments.annotator_ids(db, (one.annotator for one in new))
    stored = judgments.store(db, filled_sheets.verdicts(db, new, annotators, run_id), run_id)
    return judgments.StoredJudgments(stored.new, len(placed) - len(new) + stored.known, stored.elsewhere)
