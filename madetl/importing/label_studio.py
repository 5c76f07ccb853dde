"""Takes in an export of Label Studio's as the verdicts of a sheet: its tasks hold the numbers of assignments.

`madetl.formats.label_studio` knows what such a file looks like. An assignment may come back from Label Studio and on a
sheet, and no verdict counts twice.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from madetl.errors import InputError, ParameterError
from madetl.formats import label_studio as layout
from madetl.formats.reading import read_rows
from madetl.formats.verdicts import Problems, SheetRow, where
from madetl.importing import filled_sheets, judgments
from madetl.importing.each_file import Imported, import_each
from madetl.importing.second_verdicts import VoteRule
from madetl.store import annotators
from madetl.store.database import transaction
from madetl.store.judgments import Again
from madetl.store.sqlfiles import query
from madetl.text import name_key

SOURCE = "label-studio"


@dataclass(frozen=True)
class Names:
    """Who judged: `everybody` is one name for a whole file; `known` has one for each address or id in the file."""

    everybody: str | None = None
    known: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, given: Sequence[str]) -> Names:
        """The names out of one NAME, or any number of WHO=NAME. Raises ParameterError for anything else."""
        pairs = [value.partition("=") for value in given]
        if any(not who.strip() or (equals and not name.strip()) for who, equals, name in pairs):
            raise ParameterError("--annotator is empty; give it a name, or WHO=NAME.")
        plain = [who.strip() for who, equals, _ in pairs if not equals]
        known = {who.strip(): name.strip() for who, equals, name in pairs if equals}
        if len(plain) > 1 or (plain and known) or len(plain) + len(known) < len(given):
            raise ParameterError("--annotator is either one NAME for the whole file, or WHO=NAME once for each WHO.")
        return cls(plain[0] if plain else None, known)


def import_annotations(
    db: sqlite3.Connection, files: Sequence[str], names: Names | None = None, *, again: Again = "refuse"
) -> Imported:
    """Imports exports of Label Studio's ('-': standard input), each in one transaction.

    `again` says what other verdicts of an annotator on a response pair are. Raises InputError where a file cannot be
    imported: nothing of it stays, the files before it do.
    """
    names, rule = names or Names(), VoteRule(again)

    def take(file: str, run_id: int) -> Counter[str]:
        return _import_file(db, file, names, rule, run_id)

    given = {"annotator": names.everybody, "annotators": names.known} | rule.parameters
    return import_each(db, "label-studio", files, given, take, warn=rule.warnings)


def _import_file(db: sqlite3.Connection, file: str, names: Names, rule: VoteRule, run_id: int) -> Counter[str]:
    rows = read_rows(file)
    problems = Problems(where(rows))
    found = layout.read(rows, names.known, names.everybody, problems)
    if unknown := layout.unknown_names(rows, names.known):
        message = f"--annotator names {', '.join(unknown)}, but nobody of that address or id judged in it."
        raise InputError(problems.file, message)
    with transaction(db):
        _check_annotators(db, found.judged, problems)
        source = f"{SOURCE}:{rows.name}"
        stored = judgments.store_sheet(db, found.judged, None, problems, rule, run_id=run_id, source=source)
        skipped = _store_skips(db, found.skipped, run_id)
    unnamed = {row.annotator for row in found.judged if str(row.annotator).startswith("label-studio:")}
    beside = {"annotators without name": len(unnamed), "items skipped": skipped, "characters replaced": rows.replaced}
    return found.counts + stored + Counter(beside)


def _check_annotators(db: sqlite3.Connection, rows: Sequence[SheetRow], problems: Problems) -> None:
    """Adds a problem for everybody whom Label Studio names otherwise than the assignments do, once for each."""
    assignments = filled_sheets.known_assignments(db, rows)
    owners = {assignment_id: row["annotator"] for assignment_id, row in assignments.items()}
    for (annotator, owner), line in {(row.annotator, owners.get(row.item)): row.line for row in rows}.items():
        if owner is not None and name_key(str(annotator)) != name_key(owner):
            who = str(annotator).removeprefix("label-studio:")
            problems.add(line, "completed_by", f"--annotator {who}={owner} says that {annotator} is {owner}.")


def _store_skips(db: sqlite3.Connection, skips: Sequence[layout.Skip], run_id: int) -> int:
    """Stores each task that somebody cancelled as a skipped assignment, once; returns how many the file has."""
    people = annotators.ensure(db, (skip.annotator for skip in skips))
    for skip in skips:
        values = {
            "assignment_id": skip.item,
            "annotator_id": people.ids[skip.annotator],
            "at": skip.at,
            "run_id": run_id,
        }
        db.execute(query("importing/skip_assignment"), values)
    return len(skips)
