"""The annotation sheets: deals the pairs of a selection, and puts them on a sheet that gives no model away.

What is drawn at random (which answer stands first, the order of the items) is drawn once and stored in `assignments`,
so that every later sheet of the same selection and annotator is the same. How a sheet is written is formats' matter.
"""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from madetl import runs
from madetl.database import insert_rows, transaction
from madetl.errors import ParameterError
from madetl.formats import sheets as layout
from madetl.formats import writing
from madetl.resources import query
from madetl.selections import find_set

SIDES = ("model_a", "model_b")
CELL_LIMIT = layout.CELL_LIMIT


@dataclass
class Exported:
    """What a sheet holds: how many items, and the numbers of those that a reader should know about."""

    selection: str
    items: int
    dealt: int
    too_long: list[int] = field(default_factory=list)
    names_itself: list[int] = field(default_factory=list)


def export_sheet(
    db: sqlite3.Connection, output: Path, *, selection: str, annotator: str | None, seed: int, force: bool = False
) -> Exported:
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
            person = None if annotator is None else _person(db, annotator)
            dealt = deal(db, chosen, person, f"{seed}/{chosen['name']}/{annotator or ''}", run.id)
            rows = db.execute(query("sheet_items"), {"set_id": chosen["id"], "annotator_id": person}).fetchall()
            items = [_item(row) for row in rows]
            if items:
                _write(path, output.suffix.lower(), items)
                if not force:
                    _check_unchanged(output, path)
        run.summary = f"{output}: {len(items)} items of selection {chosen['name']}"
    return Exported(
        selection=chosen["name"],
        items=len(items),
        dealt=dealt,
        too_long=layout.too_long(items),
        names_itself=[row["item"] for row in rows if _names_itself(row)],
    )


def deal(db: sqlite3.Connection, chosen: sqlite3.Row, annotator_id: int | None, seed: str, run_id: int) -> int:
    """Deals the pairs of a selection that this annotator has not; returns how many. Call it inside a transaction.

    Which answer is shown first is balanced within each model pair. Item numbers go out in an order drawn over all
    pairs at once, since numbers in the order of the pairs would tell which models an item compares. A seed that names
    the annotator gives each an order of their own, so that what the order does to verdicts evens out.
    """
    rows = db.execute(query("undealt_selections"), {"set_id": chosen["id"], "annotator_id": annotator_id}).fetchall()
    rng = random.Random(seed)
    deals = []
    for _, group in groupby(rows, key=lambda row: row["pair_id"]):
        picks = list(group)
        sides = balanced_sides(len(picks), picks[0]["a_first"], picks[0]["b_first"], rng)
        deals += [(pick["selection_id"], annotator_id, side, run_id) for pick, side in zip(picks, sides, strict=True)]
    rng.shuffle(deals)
    return insert_rows(db, "assignments", ("selection_id", "annotator_id", "shown_first", "run_id"), deals)


def balanced_sides(count: int, a_first: int, b_first: int, rng: random.Random) -> list[str]:
    """Which model is shown first in `count` more items of a pair that has been shown `a_first` and `b_first` times.

    As even as it can be in the end; where one side must have one more, chance decides which, as it does the order.
    """
    sides = []
    for _ in range(count):
        side = rng.choice(SIDES) if a_first == b_first else SIDES[a_first > b_first]
        a_first, b_first = a_first + (side == "model_a"), b_first + (side == "model_b")
        sides.append(side)
    rng.shuffle(sides)
    return sides


def _person(db: sqlite3.Connection, name: str) -> int:
    if not name.strip():
        raise ParameterError("--annotator is empty; give it a name.")
    db.execute("INSERT INTO annotators (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
    row = db.execute("SELECT id, kind FROM annotators WHERE name = ?", (name,)).fetchone()
    if row["kind"] != "person":
        raise ParameterError(f"{name} is a judge model; a sheet is for people. Give a person's name.")
    return int(row["id"])


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
