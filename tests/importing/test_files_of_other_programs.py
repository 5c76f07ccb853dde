"""Sheets and tables that went through R, pandas or a spreadsheet before they come back, by the commands."""

from __future__ import annotations

import csv
import gzip
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest

from madetl.importing import answers, label_studio
from tests.support.sheet_study import export, filled, read, small_study, take, write


def through_r(rows: list[dict[str, str]], path: Path) -> None:
    """As write.csv does: all texts quoted, a first column of row numbers that has no name."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(["", *rows[0]])
        writer.writerows([str(number), *row.values()] for number, row in enumerate(rows, 1))


def through_excel_in_german(rows: list[dict[str, str]], path: Path) -> None:
    text = write(path, rows, delimiter=";").read_text("utf-8-sig")
    path.write_text(f"sep=;\r\n{text}", encoding="utf-8-sig", newline="")


def through_excel_as_unicode_text(rows: list[dict[str, str]], path: Path) -> None:
    write(path, rows, delimiter="\t", encoding="utf-16")


def through_pandas(rows: list[dict[str, str]], path: Path) -> None:
    pandas.DataFrame(rows).to_csv(path, quoting=csv.QUOTE_ALL)


def packed(rows: list[dict[str, str]], path: Path) -> None:
    write(path, rows)
    path.write_bytes(gzip.compress(path.read_bytes()))


WAYS = [through_r, through_excel_in_german, through_excel_as_unicode_text, through_pandas, packed]


@pytest.mark.parametrize("way", WAYS)
def test_a_filled_sheet_comes_back_by_any_program(
    db: sqlite3.Connection, tmp_path: Path, way: Callable[[list[dict[str, str]], Path], None]
) -> None:
    small_study(db, instructions=2)
    export(db, tmp_path / "sheet.csv")
    rows = read(filled(tmp_path / "sheet.csv", {"*": "response_1"}))
    rows[0]["comment"] = 'says "so", twice; or: more\tor less'
    path = tmp_path / "back.csv"
    way(rows, path)
    assert (take(db, str(path), annotator="ann").new, len(rows)) == (6, 6)
    assert db.execute("SELECT comment FROM judgments WHERE comment IS NOT NULL").fetchall()[0][0] == rows[0]["comment"]


@pytest.mark.parametrize("way", WAYS)
def test_a_table_of_answers_comes_in_by_any_program(
    db: sqlite3.Connection, tmp_path: Path, way: Callable[[list[dict[str, str]], Path], None]
) -> None:
    rows = [{"instruction": f"one, or {n}; é", "response": f'"{n}"\nso', "model": "m|n"} for n in range(3)]
    path = tmp_path / "answers.csv"
    way(rows, path)
    answers.import_responses(db, [str(path)], scenario="S")
    found = db.execute(
        "SELECT instruction, response, m.name FROM responses AS r JOIN instructions AS i ON i.id = r.instruction_id"
        " JOIN models AS m ON m.id = r.model_id ORDER BY r.id"
    )
    assert [tuple(row) for row in found] == [tuple(row.values()) for row in rows]


def test_tasks_of_label_studio_may_be_packed_and_in_utf_16(db: sqlite3.Connection, tmp_path: Path) -> None:
    small_study(db, instructions=1)
    sheet = tmp_path / "sheet.csv"
    export(db, sheet)
    tasks = [
        {
            "id": number,
            "data": {key: row[key] for key in ("item", "instruction", "response_1", "response_2")},
            "annotations": [
                {
                    "id": number,
                    "completed_by": {"id": 1, "email": "ann@example.org"},
                    "result": [
                        {"type": "choices", "from_name": "winner", "to_name": "x", "value": {"choices": ["tie"]}}
                    ],
                }
            ],
        }
        for number, row in enumerate(read(sheet), 1)
    ]
    path = tmp_path / "project.json.gz"
    path.write_bytes(gzip.compress(json.dumps(tasks).encode("utf-16")))
    done = label_studio.import_annotations(db, [str(path)], label_studio.Names.parse(()))
    assert done.counts["judgments new"] == 3
