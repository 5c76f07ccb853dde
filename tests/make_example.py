"""Makes mad.db.example from tests/example/: `python -m tests.make_example`, or `make example`.

The Markdown files hold instructions and answers written for the project, side by side. grades.csv says how three
invented annotators grade each answer (1 to 5); their verdict on two answers is the better grade, a tie where the grades
are equal, both_bad where they are 2 or less. Only the pairs that the default selection picks are judged, as in a real
study. Everything goes through madetl's own imports; times are fixed, so that the file can be made again and compared.
"""

from __future__ import annotations

import csv
import json
import random
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import chdir
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from madetl.importing import answers
from madetl.importing.judgments import import_judgments
from madetl.store import database
from madetl.study import demo

SOURCES = Path(__file__).parent / "example"
TARGET = Path(__file__).parents[1] / "mad.db.example"
SCENARIOS = ("Understanding", "Reasoning", "Writing", "Coding")
MADE_AT = "2025-03-03T08:00:00.000Z"
FIRST_JUDGED = datetime(2025, 3, 3, 9)
Grades = dict[tuple[str, str], dict[str, int]]  # (instruction, annotator) -> model -> grade


@dataclass(frozen=True)
class Item:
    """An instruction with the answers of all models."""

    scenario: str
    instruction: str
    reference: str | None
    answers: dict[str, str]


def items(scenario: str) -> list[Item]:
    """The items of one scenario's file: sections `## Instruction`, perhaps `## Reference`, and one for each model."""
    text = (SOURCES / f"{scenario}.md").read_text(encoding="utf-8")
    found = []
    for block in text.split("## Instruction\n")[1:]:
        instruction, *sections = block.split("\n## ")
        named = dict(section.split("\n", 1) for section in sections)
        texts = {name: body.strip() for name, body in named.items()}
        found.append(Item(scenario, instruction.strip(), texts.pop("Reference", None), texts))
    return found


def grades(pool: Sequence[Item]) -> Grades:
    """What each annotator thinks of each answer."""
    with (SOURCES / "grades.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    by_scenario = {scenario: [item for item in pool if item.scenario == scenario] for scenario in SCENARIOS}
    return {
        (by_scenario[row["scenario"]][int(row["item"]) - 1].instruction, row["annotator"]): {
            model: int(row[model]) for model in pool[0].answers
        }
        for row in rows
    }


def verdict(grade_a: int, grade_b: int) -> str:
    """Which of two answers wins, as a file of judgments says it."""
    if grade_a != grade_b:
        return "model_a" if grade_a > grade_b else "model_b"
    return "both_bad" if grade_a <= 2 else "tie"


def judgments(picks: Sequence[sqlite3.Row], opinions: Grades) -> Iterator[dict[str, str]]:
    """Rows of a file of judgments: every annotator judges every pick, in an order and with sides of their own."""
    for annotator in sorted({who for _, who in opinions}):
        draw = random.Random(annotator)
        for position, pick in enumerate(draw.sample(list(picks), len(picks))):
            first, second = draw.sample([pick["model_a"], pick["model_b"]], 2)
            opinion = opinions[pick["instruction"], annotator]
            yield {
                "instruction": pick["instruction"],
                "model_a": first,
                "model_b": second,
                "winner": verdict(opinion[first], opinion[second]),
                "annotator": annotator,
                "created_at": f"{FIRST_JUDGED + timedelta(seconds=50 * position):%Y-%m-%dT%H:%M:%SZ}",
            }


def build(target: Path) -> None:
    """Makes the example database at `target`."""
    pool = [item for scenario in SCENARIOS for item in items(scenario)]
    with TemporaryDirectory() as folder, chdir(folder):  # the names of the files are stored: no folder in them
        _write_texts(pool)
        with database.writing("example.db") as db:
            answers.import_instructions(db, ["instructions.jsonl"])
            answers.import_responses(db, ["responses.jsonl"])
        _write_judgments(_picks("example.db"), grades(pool))
        with database.writing("example.db") as db:
            import_judgments(db, ["judgments.csv"])
            _fix_times(db)
            db.execute("PRAGMA journal_mode = DELETE")  # readable where nothing can be written beside it
            db.execute("VACUUM")
        target.write_bytes(Path("example.db").read_bytes())


def _write_texts(pool: Sequence[Item]) -> None:
    instructions = [
        {"scenario": item.scenario, "instruction": item.instruction, "reference_answer": item.reference}
        for item in pool
    ]
    responses = [
        {"scenario": item.scenario, "instruction": item.instruction, "model": model, "response": answer}
        for item in pool
        for model, answer in item.answers.items()
    ]
    for name, rows in (("instructions", instructions), ("responses", responses)):
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        Path(f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


def _picks(source: str) -> list[sqlite3.Row]:
    """What the default selection picks, found on a copy."""
    Path("copy.db").write_bytes(Path(source).read_bytes())
    with database.writing("copy.db") as db:
        demo.measure(db)
        demo.select(db)
        return db.execute("SELECT instruction, model_a, model_b FROM selected_pairs ORDER BY selection_id").fetchall()


def _write_judgments(picks: Sequence[sqlite3.Row], opinions: Grades) -> None:
    rows = list(judgments(picks, opinions))
    with Path("judgments.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def _fix_times(db: sqlite3.Connection) -> None:
    with database.transaction(db):
        for table in ("models", "instructions", "responses", "annotators"):
            db.execute(f"UPDATE {table} SET created_at = ?", (MADE_AT,))
        db.execute("UPDATE runs SET started_at = ?, finished_at = ?, version = 'example'", (MADE_AT, MADE_AT))


if __name__ == "__main__":
    build(TARGET)
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes", file=sys.stderr)
