"""The import of files of judgments, filled sheets and plain tables: each file whole or not at all.

`madetl.formats` reads the files, `filled_sheets` and `judgment_tables` look up assignments and answers, and
`madetl.store.judgments` stores the verdicts.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from madetl.errors import ParameterError
from madetl.formats import verdicts as layout
from madetl.formats.reading import read_rows
from madetl.importing import filled_sheets, judgment_tables
from madetl.importing.each_file import Imported, import_each, tally
from madetl.store import judgments
from madetl.store.database import ids_by_name, transaction


@dataclass(frozen=True)
class _Defaults:
    """Who judged, and in which scenario, where a file does not say."""

    annotator: str | None
    scenario: str | None


def import_judgments(
    db: sqlite3.Connection, files: Sequence[str], *, annotator: str | None = None, scenario: str | None = None
) -> Imported:
    """Imports files of judgments ('-': standard input) in one run, each of them in one transaction.

    Raises InputError where a file cannot be imported: nothing of it stays, the files before it do.
    """
    defaults = _Defaults(
        *(_name(option, value) for option, value in (("annotator", annotator), ("scenario", scenario)))
    )

    def take(file: str, run_id: int) -> Counter[str]:
        return _import_file(db, file, defaults, run_id)

    return import_each(db, "judgments", files, {"annotator": annotator, "scenario": scenario}, take)


def _import_file(db: sqlite3.Connection, file: str, defaults: _Defaults, run_id: int) -> Counter[str]:
    read = read_rows(file, short_rows=True)
    rows = layout.cells(read)
    problems = layout.Problems(layout.where(read))
    with transaction(db):
        if layout.is_sheet(problems.file, list(rows[0][1]) if rows else []):
            stored = store_sheet(db, layout.sheet_rows(rows, problems), defaults.annotator, problems, run_id=run_id)
        else:
            judged = layout.table_rows(rows, defaults.annotator, defaults.scenario, problems)
            found = judgment_tables.verdicts(db, judged, read.name, problems)
            problems.raise_any()
            stored = tally("judgments", judgments.store(db, found, run_id))
    empty = [row for _, row in rows if not row["winner"].strip()]
    return stored + Counter(
        {
            "items left empty": len(empty),
            "comments left out": sum(bool(row.get("comment", "").strip()) for row in empty),
            "characters replaced": read.replaced,
        }
    )


def store_sheet(
    db: sqlite3.Connection,
    rows: Sequence[layout.SheetRow],
    annotator: str | None,
    problems: layout.Problems,
    *,
    run_id: int,
    source: str = filled_sheets.SOURCE,
) -> Counter[str]:
    """Stores the verdicts of a sheet's rows. Raises one InputError with all faults, where there are any.

    `annotator` is who judged where a row does not say. Returns counts: judgments new, known and elsewhere, and items
    removed since, whose rows are left out. Call it inside a transaction.
    """
    assigned = filled_sheets.assigned_rows(db, rows, annotator, problems)
    new = filled_sheets.new_ones(db, assigned, problems)
    problems.raise_any()
    annotators = ids_by_name(db, "annotators", (one.annotator for one in new))
    stored = judgments.store(db, filled_sheets.verdicts(db, new, annotators, run_id, source), run_id)
    not_new = Counter({"judgments known": len(assigned) - len(new), "items removed": len(rows) - len(assigned)})
    return tally("judgments", stored) + not_new


def _name(option: str, value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise ParameterError(f"--{option} is empty; give it a name.")
    return value and value.strip()
