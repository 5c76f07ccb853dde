"""Takes in a filled annotation sheet: each verdict goes to the assignment that the column item names, in its order.

Texts on the sheet are compared with the stored ones and never stored. The caller holds the transaction; faults of
single rows are collected in `Problems`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace

from madetl.errors import InputError
from madetl.formats.sheets import same_text, whole_instruction
from madetl.formats.verdicts import Problems, SheetRow
from madetl.importing.second_verdicts import ReadVerdict
from madetl.records import Winner
from madetl.store.judgments import Sorted, Verdict, turned
from madetl.store.sqlfiles import query
from madetl.text import name_key

SOURCE = "sheet"


@dataclass(frozen=True)
class AssignedRow:
    """A row of the sheet with its assignment; `winner` is in canonical order."""

    row: SheetRow
    assignment: sqlite3.Row
    annotator: str
    winner: Winner


def known_assignments(db: sqlite3.Connection, rows: Sequence[SheetRow]) -> dict[int, sqlite3.Row]:
    """The stored assignments that the rows name, by id."""
    parameters = {"assignment_ids": json.dumps([row.item for row in rows])}
    return {row["assignment_id"]: row for row in db.execute(query("importing/known_assignments"), parameters)}


def assigned_rows(
    db: sqlite3.Connection, rows: Sequence[SheetRow], annotator: str | None, problems: Problems
) -> list[AssignedRow]:
    """Finds the assignment of each row and checks that the sheet shows its texts.

    A sheet that was dealt to an annotator is theirs; any other needs `annotator`, or a column of that name. An item
    that this database does not have is a problem. Raises InputError where nobody is named.
    """
    assignments = known_assignments(db, rows)
    assigned = []
    for row in rows:
        if (found := assignments.get(row.item)) is None:
            problems.add(row.line, "item", f"this database has no item {row.item}. {_UNKNOWN}")
            continue
        _check_texts(row, found, problems)
        name = _annotator(row, found["annotator"], annotator, problems)
        assigned.append(AssignedRow(row, found, name, _canonical(row.winner, found["shown_first"])))
    return assigned


_UNKNOWN = "It was removed since, or the sheet is another database's; without its row the rest can be imported."


def read_verdicts(assigned: Sequence[AssignedRow], source: str) -> list[ReadVerdict]:
    """The verdicts of the rows. A row that asks again is a repeat, whatever else its annotator said."""
    return [ReadVerdict(_verdict(one, source), one.row.line, _sides(one), one.row.item) for one in assigned]


def mark_judged(db: sqlite3.Connection, assigned: Sequence[AssignedRow], told: Sorted, run_id: int) -> Sorted:
    """Marks the assignments of what will be stored as judged; returns it with them. `told` is of `assigned`."""
    new = {}
    for index, (verdict, status) in told.new.items():
        annotator_id = told.annotators.ids[verdict.annotator]
        assignment_id = _judged_assignment(db, assigned[index].assignment, annotator_id, run_id)
        new[index] = (replace(verdict, assignment_id=assignment_id), status)
    return replace(told, new=new)


def _verdict(one: AssignedRow, source: str) -> Verdict:
    assignment = one.assignment
    return Verdict(
        annotator=one.annotator,
        response_a_id=assignment["response_a_id"],
        response_b_id=assignment["response_b_id"],
        winner=one.winner,
        shown_first=assignment["shown_first"],
        source=source,
        source_id=f"item:{one.row.item}",
        seconds=one.row.seconds,
        comment=one.row.comment,
        created_at=one.row.created_at,
        repeat_of=(assignment["selection_id"], assignment["repeat"]) if assignment["repeat"] else None,
    )


def _sides(one: AssignedRow) -> tuple[str, str]:
    shown = ("response_1", "response_2")
    return shown if one.assignment["shown_first"] == "model_a" else (shown[1], shown[0])


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
    if dealt_to is not None and name_key(name) != name_key(dealt_to):
        problems.add(row.line, "item", f"item {row.item} was dealt to {dealt_to}, not to {given}.")
    return name


def _canonical(winner: Winner, shown_first: str) -> Winner:
    return winner if shown_first == "model_a" else turned(winner)


def _judged_assignment(db: sqlite3.Connection, assignment: sqlite3.Row, annotator_id: int, run_id: int) -> int:
    """The id of the annotator's own assignment of this pair, marked as judged.

    An assignment that they had before keeps its order, which another sheet shows; the judgment has the order seen here.
    """
    key = (assignment["selection_id"], annotator_id, assignment["repeat"])
    db.execute(
        "INSERT INTO assignments (selection_id, annotator_id, repeat, shown_first, run_id) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (*key, assignment["shown_first"], run_id),
    )
    row = db.execute(
        "UPDATE assignments SET state = 'judged', decided_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
        " WHERE selection_id = ? AND annotator_id = ? AND repeat = ? AND state IN ('open', 'judged') RETURNING id",
        key,
    ).fetchone()
    return int(row["id"])
