"""What the tests of sheets share: a small study with a selection, and sheets as people fill them."""

from __future__ import annotations

import csv
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from madetl.exporting import sheets
from madetl.importing import judgments
from madetl.store import database
from tests.conftest import Study

MODELS = ("zeta-1", "alpha-2", "mid-3")


def select(db: sqlite3.Connection, picks: Sequence[tuple[int, int]], name: str = "pilot", start: int = 1) -> None:
    """A selection of response pairs (canonical order), as `madetl select` would leave it."""
    db.execute("INSERT OR IGNORE INTO metrics (name, hash) VALUES ('char-ngram', ?)", ("0" * 64,))
    db.execute(
        "INSERT OR IGNORE INTO selection_sets"
        " (name, metric_id, strategy, top_k, min_words, max_length_ratio, candidates)"
        " VALUES (?, 1, 'mad', 10, 0, 0, 'all')",
        (name,),
    )
    set_id = db.execute("SELECT id FROM selection_sets WHERE name = ?", (name,)).fetchone()[0]
    for rank, (a, b) in enumerate(picks, start):
        models = db.execute(
            "SELECT instruction_id, model_id FROM responses WHERE id IN (?, ?) ORDER BY model_id", (a, b)
        )
        (instruction, model_a), (_, model_b) = models.fetchall()
        db.execute("INSERT OR IGNORE INTO pairs (model_a_id, model_b_id) VALUES (?, ?)", (model_a, model_b))
        pair = db.execute(
            "SELECT id FROM pairs WHERE model_a_id = ? AND model_b_id = ?", (model_a, model_b)
        ).fetchone()[0]
        db.execute(
            "INSERT INTO selections (set_id, pair_id, rank, instruction_id, response_a_id, response_b_id, score)"
            " VALUES (?, ?, ?, ?, ?, ?, 0.1)",
            (set_id, pair, rank, instruction, a, b),
        )


def small_study(db: sqlite3.Connection, instructions: int = 10, models: Sequence[str] = MODELS) -> None:
    """Every pair of the models on every instruction, all of them selected as 'pilot'."""
    study = Study(db)
    for number in range(instructions):
        instruction = study.instruction(f"Describe place {number}.")
        ids = [
            study.response(instruction, m, f"Answer {m[0].upper()} about place {number}, at length.") for m in models
        ]
        select(db, [(a, b) for i, a in enumerate(ids) for b in ids[i + 1 :]], start=1 + number * 10)


def export(db: sqlite3.Connection, path: Path, **options: Any) -> sheets.ExportedSheet:
    return sheets.export_sheet(db, path, **({"selection": "latest", "annotator": None, "seed": 42} | options))


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: Sequence[dict[str, str]], delimiter: str = ",", encoding: str = "utf-8-sig") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def filled(path: Path, words: dict[str, str], name: str = "filled.csv") -> Path:
    """A copy of the sheet with these words beside their items ('*': every other item)."""
    rows = read(path)
    for row in rows:
        row["winner"] = words.get(row["item"], words.get("*", ""))
    return write(path.with_name(name), rows)


def take(db: sqlite3.Connection, path: str, **options: Any) -> SimpleNamespace:
    """Imports one file of judgments; how many verdicts were new and known, how many rows were empty."""
    done = judgments.import_judgments(db, [path], **options)
    numbers = {name.split()[-1]: done.counts[name] for name in ("judgments new", "judgments known", "items left empty")}
    return SimpleNamespace(**numbers, summary=done.summary, warnings=done.warnings)


def winners(db: sqlite3.Connection) -> list[tuple[str, str | None]]:
    """(annotator, name of the winner) in order of storing."""
    return [(row["annotator"], row["winner_model"]) for row in db.execute("SELECT * FROM battles ORDER BY judgment_id")]


@contextmanager
def fresh() -> Iterator[tuple[sqlite3.Connection, Path]]:
    """A database of its own for each example, and a folder."""
    with tempfile.TemporaryDirectory() as folder, database.writing(Path(folder) / "mad.db") as db:
        yield db, Path(folder)
