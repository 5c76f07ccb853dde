"""The import of files of judgments, filled sheets and plain tables: each file whole or not at all.

Reading is formats' work, looking up the items and answers that of filled_sheets and judgment_tables; `judgments`
stores the verdicts.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from madetl import judgments, runs
from madetl.database import transaction
from madetl.errors import InputError, ParameterError
from madetl.formats import verdicts as layout
from madetl.formats.files import read_rows
from madetl.importing import filled_sheets, judgment_tables
from madetl.importing.answers import Imported
from madetl.text import storable


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
    counts: Counter[str] = Counter()
    parameters = {"files": [storable(file)[0] for file in files], "annotator": annotator, "scenario": scenario}
    with runs.run(db, "import judgments", parameters) as run:
        for position, file in enumerate(files):
            try:
                counts += _import_file(db, file, defaults, run.id)
            except InputError as error:
                raise _with_earlier(error, files[:position]) from error
        done = Imported(_summary(counts), _warnings(counts), counts)
        run.summary = "\n".join([done.summary, *done.warnings])
    return done


def _import_file(db: sqlite3.Connection, file: str, defaults: _Defaults, run_id: int) -> Counter[str]:
    read = read_rows(file, short_rows=True)
    rows = layout.cells(read)
    problems = layout.Problems(layout.where(read))
    with transaction(db):
        if layout.is_sheet(problems.file, list(rows[0][1]) if rows else []):
            stored = _store_sheet(db, layout.sheet_rows(rows, problems), defaults.annotator, problems, run_id)
        else:
            judged = layout.table_rows(rows, defaults.annotator, defaults.scenario, problems)
            found = judgment_tables.verdicts(db, judged, read.name, problems)
            problems.raise_any()
            stored = judgments.store(db, found, run_id)
    empty = [row for _, row in rows if not row["winner"].strip()]
    return Counter(
        {
            "judgments new": stored.new,
            "judgments known": stored.known,
            "judgments elsewhere": stored.elsewhere,
            "items left empty": len(empty),
            "comments left out": sum(bool(row.get("comment", "").strip()) for row in empty),
            "characters replaced": read.replaced,
        }
    )


def _store_sheet(
    db: sqlite3.Connection, rows: list[layout.SheetRow], annotator: str | None, problems: layout.Problems, run_id: int
) -> judgments.StoredJudgments:
    placed = filled_sheets.place(db, rows, annotator, problems)
    new = filled_sheets.new_ones(db, placed, problems)
    problems.raise_any()
    annotators = judgments.annotator_ids(db, (one.annotator for one in new))
    stored = judgments.store(db, filled_sheets.verdicts(db, new, annotators, run_id), run_id)
    return judgments.StoredJudgments(stored.new, len(placed) - len(new) + stored.known, stored.elsewhere)


def _name(option: str, value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise ParameterError(f"--{option} is empty; give it a name.")
    return value and value.strip()


def _with_earlier(error: InputError, earlier: Sequence[str]) -> InputError:
    """The error with what became of the files; the list of faults, if there is one, stays at its end."""
    head, newline, faults = error.message.partition("\n")
    stays = f" Stored before it: {', '.join(earlier)}." if earlier else ""
    message = f"{head} Nothing of this file was imported.{stays}{newline}{faults}"
    return InputError(error.file, message, line=error.line, field=error.field)


def _summary(counts: Counter[str]) -> str:
    """The closing line."""
    new, known, empty = counts["judgments new"], counts["judgments known"], counts["items left empty"]
    left = f", {empty} item{'s' if empty != 1 else ''} left empty" if empty else ""
    return f"judgments: {new + known} verdict{'s' if new + known != 1 else ''} ({new} new, {known} known){left}"


_WARNINGS = {
    "comments left out": "{} comments stand beside no winner and were left out.",
    "judgments elsewhere": "{} of the new judgments another source had brought already (the same answers and winner).",
    "characters replaced": "{} characters that cannot be stored (NUL, lone surrogates) were replaced by U+FFFD.",
}


def _warnings(counts: Counter[str]) -> list[str]:
    return [text.format(counts[name]) for name, text in _WARNINGS.items() if counts[name]]
