"""Studies to report on: one with everything in it, drawn with a seed, of as many models as a test wants."""

from __future__ import annotations

import math
import random
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from madetl.selection import select
from madetl.selection.sets import SelectionParameters
from madetl.similarity import measure, named
from madetl.store import database
from madetl.text import count_words, text_hash

SCENARIOS = ("Writing", "Reasoning", "Coding")
_WORDS = (
    "what",
    "is",
    "the",
    "reason",
    "this",
    "often",
    "because",
    "people",
    "think",
    "answer",
    "model",
    "说明",
    "原因",
)


def build(
    path: Path, *, models: int = 8, instructions: int = 60, top_k: int = 5, people: int = 3, repeated: int = 40
) -> None:
    """Answers, similarities, a selection, and a verdict on each pick; `repeated` picks have one of a second person."""
    with database.writing(path) as db:
        with database.transaction(db):
            _answers(db, model_names(models), instructions)
        measure.measure(db, named.metric_named(db, "char-ngram"))
        select.select(db, SelectionParameters(top_k=top_k))
        with database.transaction(db):
            _judge(db, people, repeated)


def model_names(number: int) -> list[str]:
    """Names of many lengths, some of which differ in their middle only."""
    families = (
        "llama-3.1-{}b",
        "mistral-{}b",
        "qwen2.5-{}b-instruct",
        "an-organisation-with-a-name/model-{}b-preview-2025-04-01",
    )
    return [families[n % len(families)].format(n + 1) for n in range(number)]


def _answers(db: sqlite3.Connection, names: Sequence[str], instructions: int) -> None:
    draw = random.Random(3)
    database.insert_rows(db, "models", ("id", "name"), enumerate(names, 1))
    texts = [f"{n}: {' '.join(draw.choices(_WORDS, k=draw.randint(4, 60)))}" for n in range(1, instructions + 1)]
    columns = ("id", "scenario", "instruction", "hash")
    rows = ((n, SCENARIOS[n % 3], text, text_hash(text)) for n, text in enumerate(texts, 1))
    database.insert_rows(db, "instructions", columns, rows)
    answers = []
    for n in range(1, instructions + 1):
        for m in range(1, len(names) + 1):
            text = " ".join(draw.choices(_WORDS, k=draw.randint(22, 80)))
            answers.append((n, m, text, text_hash(text), count_words(text), len(text)))
    columns = ("instruction_id", "model_id", "response", "hash", "words", "characters")
    database.insert_rows(db, "responses", columns, answers)


def ask(db: sqlite3.Connection) -> None:
    """Calls that gave the answers, at a price that differs from model to model."""
    with database.transaction(db):
        rows = (
            ("inference", row["model_id"], f"{row['id']:064}", "ok", 100, 50, row["model_id"] / 10_000)
            for row in db.execute("SELECT id, model_id FROM responses").fetchall()
        )
        columns = ("stage", "model_id", "request_hash", "outcome", "tokens_in", "tokens_out", "cost")
        database.insert_rows(db, "calls", columns, rows)


def _judge(db: sqlite3.Connection, people: int, repeated: int) -> None:
    draw = random.Random(5)
    strength = {row["id"]: draw.gauss(0, 1) for row in db.execute("SELECT id FROM models ORDER BY id")}
    database.insert_rows(db, "annotators", ("id", "name"), ((n + 1, f"person {n + 1}") for n in range(people)))
    picks = db.execute(
        "SELECT s.response_a_id, s.response_b_id, p.model_a_id, p.model_b_id"
        " FROM selections AS s JOIN pairs AS p ON p.id = s.pair_id ORDER BY s.id"
    ).fetchall()
    rows = []
    for number, pick in enumerate([*picks, *picks[:repeated]]):
        chance = 1 / (1 + math.exp(strength[pick["model_b_id"]] - strength[pick["model_a_id"]]))
        won = "model_a" if draw.random() < chance else "model_b"
        winner = draw.choices([won, "tie", "both_bad"], [0.85, 0.1, 0.05])[0]
        first = draw.choice(["model_a", "model_b"])
        who = 1 + (number % len(picks) + number // len(picks)) % people
        comment = "Better reasons." if number % 7 == 0 else None
        rows.append((who, *pick[:2], winner, first, draw.lognormvariate(4, 0.5), comment, "page", str(number)))
    columns = (
        "annotator_id",
        "response_a_id",
        "response_b_id",
        "winner",
        "shown_first",
        "seconds",
        "comment",
        "source",
    )
    database.insert_rows(db, "judgments", (*columns, "source_id"), rows)
