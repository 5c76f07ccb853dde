"""The import of files of judgments, filled sheets and plain tables: each file whole or not at all.

`madetl.formats` reads the files, `filled_sheets` and `judgment_tables` look up assignments and answers, and
`second_verdicts` stores the verdicts.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from madetl.errors import InputError, ParameterError
from madetl.formats import verdicts as layout
from madetl.formats.reading import read_rows
from madetl.importing import filled_sheets, judgment_tables, second_verdicts
from madetl.importing.each_file import Imported, import_each, tally
from madetl.importing.second_verdicts import VoteRule
from madetl.store import judgments
from madetl.store.database import transaction
from madetl.store.judgments import Again


@dataclass(frozen=True)
class _Defaults:
    """Who judged, and in which scenario, where a file does not say; and how second verdicts are taken."""

    annotator: str | None
    scenario: str | None
    rule: VoteRule


def import_judgments(
    db: sqlite3.Connection,
    files: Sequence[str],
    *,
    annotator: str | None = None,
    scenario: str | None = None,
    again: Again = "refuse",
    crowds: Sequence[str] = (),
) -> Imported:
    """Imports files of judgments ('-': standard input) in one run, each of them in one transaction.

    `again` says what other verdicts of an annotator on a response pair are, `crowds` names that stand for many people;
    a table that names nobody is by the only one of them. Raises InputError where a file cannot be imported: nothing of
    it stays, the files before it do.
    """
    annotator, scenario = _name("annotator", annotator), _name("scenario", scenario)
    named = tuple(str(_name("crowd", name)) for name in crowds)
    rule = VoteRule(again, named, named)
    alone = rule.crowds[0] if len(rule.crowds) == 1 else None
    defaults = _Defaults(annotator or alone, scenario, rule)

    def take(file: str, run_id: int) -> Counter[str]:
        return _import_file(db, file, defaults, run_id)

    given = {"annotator": annotator, "scenario": scenario, "crowds": list(rule.crowds)} | rule.parameters
    return import_each(db, "judgments", files, given, take, warn=rule.warnings)


def _import_file(db: sqlite3.Connection, file: str, defaults: _Defaults, run_id: int) -> Counter[str]:
    read = read_rows(file, short_rows=True)
    rows = layout.cells(read)
    problems = layout.Problems(layout.where(read))
    with transaction(db):
        if layout.is_sheet(problems.file, list(rows[0][1]) if rows else []):
            found = layout.sheet_rows(rows, problems)
            source = f"{filled_sheets.SOURCE}:{read.name}"
            stored = store_sheet(db, found, defaults.annotator, problems, defaults.rule, run_id=run_id, source=source)
        else:
            judged = layout.table_rows(rows, defaults.annotator, defaults.scenario, problems)
            told = judgment_tables.verdicts(db, judged, read.name, problems)
            problems.raise_any()
            stored = second_verdicts.store(db, told, run_id, defaults.rule, problems.file)
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
    rule: VoteRule,
    *,
    run_id: int,
    source: str,
) -> Counter[str]:
    """Stores the verdicts of a sheet's rows. Raises one InputError with all faults, where there are any.

    `annotator` is who judged where a row does not say. Returns counts of judgments. Call it inside a transaction.
    """
    if rule.crowds:
        message = (
            "a sheet is filled in by one person; give each copy an --annotator NAME of its own instead of --crowd."
        )
        raise InputError(problems.file, message)
    assigned = filled_sheets.assigned_rows(db, rows, annotator, problems)
    problems.raise_any()
    told = second_verdicts.sort_out(db, filled_sheets.read_verdicts(assigned, source), rule, problems.file)
    told = filled_sheets.mark_judged(db, assigned, told, run_id)
    return tally("judgments", judgments.insert(db, told, run_id))


def _name(option: str, value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise ParameterError(f"--{option} is empty; give it a name.")
    return value and value.strip()
