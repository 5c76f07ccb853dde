"""Takes in a filled annotation sheet: each verdict goes to the assignment that the column item names, in its order.

Texts on the sheet are compared with the stored ones and never stored. The caller holds the transaction; faults of
single rows are collected in `Problems`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from madetl.errors import InputError
from madetl.formats.sheets import same_text, whole_instruction
from madetl.formats.verdicts import Problems, SheetRow
from madetl.records import Winner
from madetl.store.judgments import Verdict, turned
from madetl.store.sqlfiles import query

SOURCE = "sheet"


@dataclass(frozen=True)
class AssignedRow:
    """A row of the sheet with its assignment; `winner` is in canonical order."""

    row: SheetRow
    assignment: sqlite3.Row
    annotator: str
    winner: Winner

    @property
    def source_id(self) -> str:
        return f"item:{self.row.item}"


def known_assignments(db: sqlite3.Connection, rows: Sequence[SheetRow]) -> dict[int, sqlite3.Row]:
    """The stored assignments that the rows name, by id."""
    parameters = {"assignment_ids": json.dumps([row.item for row in rows])}
    return {row["assignment_id"]: row for row in db.execute(query("importing/known_assignments"), parameters)}


def assigned_rows(
    db: sqlite3.Connection, rows: Sequence[SheetRow], annotator: str | None, problems: Problems
) -> list[AssignedRow]:
    """Finds the assignment of each row and checks that the sheet shows its texts.

    A sheet that was dealt to an annotator is theirs; any other needs `annotator`, or a column of that name. Rows are
    left out whose assignment is gone because a model or selection was deleted or merged since. Raises InputError where
    nobody is named.
    """
    assignments = known_assignments(db, rows)
    assigned = []
    for row in rows:
        if (found := assignments.get(row.item)) is None:
            continue
        _check_texts(row, found, problems)
        name = _annotator(row, found["annotator"], annotator, problems)
        assigned.append(AssignedRow(row, found, name, _canonical(row.winner, found["shown_first"])))
    if rows and not assigned:
        problems.add(rows[0].line, "item", _none_known(len(rows)))
    return assigned


def new_ones(db: sqlite3.Connection, assigned: Sequence[AssignedRow], problems: Problems) -> list[AssignedRow]:
    """The rows that their annotator has not judged yet. A verdict that differs from the stored one is a problem."""
    new = []
    for one in assigned:
        known = _known(db, one)
        if not known:
            new.append(one)
        elif all(row["winner"] != one.winner for row in known):
            problems.add(one.row.line, "winner", _changed(one, known[-1]))
    return new


def verdicts(
    db: sqlite3.Connection, new: Sequence[AssignedRow], annotator_ids: dict[str, int], run_id: int, source: str = SOURCE
) -> list[Verdict]:
    """The verdicts to store. Their assignments are marked as judged."""
    return [
        Verdict(
            annotator=one.annotator,
            response_a_id=one.assignment["response_a_id"],
            response_b_id=one.assignment["response_b_id"],
            winner=one.winner,
            shown_first=one.assignment["shown_first"],
            source=source,
            source_id=one.source_id,
            seconds=one.row.seconds,
            comment=one.row.comment,
            created_at=one.row.created_at,
            assignment_id=_judged_assignment(db, one, annotator_ids[one.annotator], run_id),
        )
        for one in new
    ]


def _none_known(number: int) -> str:
    items = "the one item" if number == 1 else f"none of the {number} items"
    return (
        f"{items} judged in it is {'not ' if number == 1 else ''}in this database: removed since the sheet was made, or"
        " the sheet is another database's."
    )


def _check_texts(row: SheetRow, assignment: sqlite3.Row, problems: Problems) -> None:
    stored = {
        "instruction": whole_instruction(assignment["instruction"], assignment["input"]),
        "response_1": assignment["response_1"],
        "response_2": assignment["response_2"],
    }
    for name, text in stored.items():
        if name in row.texts and not same_text(row.texts[name], text):
            message = f"the text is not that of item {row.item} in this database; put back the one that was exported."
            problems.add(row.line, name, message)


def _annotator(row: SheetRow, dealt_to: str | None, named: str | None, problems: Problems) -> str:
    given = row.annotator or named
    name = given or dealt_to
    if name is None:
        message = "this sheet was made for no one in particular; --annotator NAME says whose verdicts these are."
        raise InputError(problems.file, message)
    if dealt_to is not None and given not in (None, dealt_to):
        problems.add(row.line, "item", f"item {row.item} was dealt to {dealt_to}, not to {given}.")
    return name


def _canonical(winner: Winner, shown_first: str) -> Winner:
    return winner if shown_first == "model_a" else turned(winner)


def _known(db: sqlite3.Connection, one: AssignedRow) -> list[sqlite3.Row]:
    names = ("response_a_id", "response_b_id", "selection_id", "repeat")
    parameters = {name: one.assignment[name] for name in names}
    parameters |= {"annotator": one.annotator, "source_id": one.source_id}
    return db.execute(query("importing/known_verdicts"), parameters).fetchall()


def _changed(one: AssignedRow, known: sqlite3.Row) -> str:
    before = _in_sheet_words(known["winner"], one.assignment["shown_first"])
    now = _in_sheet_words(one.winner, one.assignment["shown_first"])
    run = known["run_id"]
    undo = f" `madetl delete run {run}` takes back all verdicts of that import." if run is not None else ""
    return f"{one.annotator} has judged item {one.row.item} already: {before} is stored, not {now}.{undo}"


def _in_sheet_words(winner: Winner, shown_first: str) -> str:
    return {"model_a": "response_1", "model_b": "response_2"}.get(_canonical(winner, shown_first), winner)


def _judged_assignment(db: sqlite3.Connection, one: AssignedRow, annotator_id: int, run_id: int) -> int:
    """The id of the annotator's own assignment of this pair, marked as judged.

    An assignment that they had before keeps its order, which another sheet shows; the judgment has the order seen here.
    """
    key = (one.assignment["selection_id"], annotator_id, one.assignment["repeat"])
    db.execute(
        "INSERT INTO assignments (selection_id, annotator_id, repeat, shown_first, run_id) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (*key, one.assignment["shown_first"], run_id),
    )
    row = db.execute(
        "UPDATE assignments SET state = 'judged', decided_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
        " WHERE selection_id = ? AND annotator_id = ? AND repeat = ? AND state IN ('open', 'judged') RETURNING id",
        key,
    ).fetchone()
    return int(row["id"])
