"""Takes in a filled annotation sheet: each verdict goes to the item of its number, in the order that was dealt.

Texts on the sheet are compared with the stored ones and never taken over. The caller holds the transaction; what is
wrong with single rows is collected in `Problems`.
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
class Placed:
    """A row of the sheet with what was dealt under its number; `winner` is in canonical order."""

    row: SheetRow
    dealt: sqlite3.Row
    annotator: str
    winner: Winner

    @property
    def source_id(self) -> str:
        return f"item:{self.row.item}"


def place(db: sqlite3.Connection, rows: Sequence[SheetRow], annotator: str | None, problems: Problems) -> list[Placed]:
    """Finds the item of each row and checks that the sheet shows its texts.

    A sheet that was dealt to an annotator is theirs; any other needs `annotator`, or a column of that name. Rows whose
    items are gone, with a model or selection that was deleted or merged since, are left out. Raises InputError where
    nobody is named.
    """
    items = json.dumps([row.item for row in rows])
    dealt = {found["item"]: found for found in db.execute(query("importing/sheet_assignments"), {"items": items})}
    placed = []
    for row in rows:
        if (found := dealt.get(row.item)) is None:
            continue
        _check_texts(row, found, problems)
        name = _annotator(row, found["annotator"], annotator, problems)
        placed.append(Placed(row, found, name, _canonical(row.winner, found["shown_first"])))
    if rows and not placed:
        problems.add(rows[0].line, "item", _none_known(len(rows)))
    return placed


def new_ones(db: sqlite3.Connection, placed: Sequence[Placed], problems: Problems) -> list[Placed]:
    """Those that the annotator has not judged yet. A verdict other than the one that stands is a problem."""
    new = []
    for one in placed:
        standing = _standing(db, one)
        if not standing:
            new.append(one)
        elif all(row["winner"] != one.winner for row in standing):
            problems.add(one.row.line, "winner", _changed(one, standing[-1]))
    return new


def verdicts(
    db: sqlite3.Connection, new: Sequence[Placed], annotator_ids: dict[str, int], run_id: int, source: str = SOURCE
) -> list[Verdict]:
    """The verdicts to store; the items count as judged from now on."""
    return [
        Verdict(
            annotator=one.annotator,
            response_a_id=one.dealt["response_a_id"],
            response_b_id=one.dealt["response_b_id"],
            winner=one.winner,
            shown_first=one.dealt["shown_first"],
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


def _check_texts(row: SheetRow, dealt: sqlite3.Row, problems: Problems) -> None:
    stored = {
        "instruction": whole_instruction(dealt["instruction"], dealt["input"]),
        "response_1": dealt["response_1"],
        "response_2": dealt["response_2"],
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


def _standing(db: sqlite3.Connection, one: Placed) -> list[sqlite3.Row]:
    names = ("response_a_id", "response_b_id", "selection_id", "repeat")
    parameters = {name: one.dealt[name] for name in names}
    parameters |= {"annotator": one.annotator, "source_id": one.source_id}
    return db.execute(query("importing/standing_verdicts"), parameters).fetchall()


def _changed(one: Placed, standing: sqlite3.Row) -> str:
    before = _in_sheet_words(standing["winner"], one.dealt["shown_first"])
    now = _in_sheet_words(one.winner, one.dealt["shown_first"])
    run = standing["run_id"]
    undo = f" `madetl delete run {run}` takes back all verdicts of that import." if run is not None else ""
    return f"{one.annotator} has judged item {one.row.item} already: {before} stands, not {now}.{undo}"


def _in_sheet_words(winner: Winner, shown_first: str) -> str:
    return {"model_a": "response_1", "model_b": "response_2"}.get(_canonical(winner, shown_first), winner)


def _judged_assignment(db: sqlite3.Connection, one: Placed, annotator_id: int, run_id: int) -> int:
    """The annotator's own assignment of this item, marked as judged.

    One that was dealt before keeps its order, which is on another sheet by now; the judgment has the order seen.
    """
    key = (one.dealt["selection_id"], annotator_id, one.dealt["repeat"])
    db.execute(
        "INSERT INTO assignments (selection_id, annotator_id, repeat, shown_first, run_id) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (*key, one.dealt["shown_first"], run_id),
    )
    row = db.execute(
        "UPDATE assignments SET state = 'judged', decided_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
        " WHERE selection_id = ? AND annotator_id = ? AND repeat = ? AND state IN ('open', 'judged') RETURNING id",
        key,
    ).fetchone()
    return int(row["id"])
