"""A study of measured answers, and people who judged it on the page that picks as they judge."""

from __future__ import annotations

import sqlite3
from itertools import combinations

from madetl.judgment import annotate, assign
from madetl.selection import select as selection
from madetl.selection.sets import Adaptive
from madetl.store import database, runs
from tests.conftest import Study
from tests.support.pool import Pool

SECRETS = ("zebra-1", "yak-2", "xerus-3", "wombat-4")  # models; their answers are signed P, Q, R and S
LETTERS = "PQRS"


def build(db: sqlite3.Connection, models: int = 4, instructions: int = 40) -> None:
    """Answers to forty instructions by models whose names nobody may see, all of them measured."""
    pool = Pool(Study(db), "char-ngram")
    for model in SECRETS[:models]:
        pool.study.model(model)
    for n in range(instructions):
        instruction = pool.study.instruction(f"Describe place {n}.")
        for model, letter in zip(SECRETS[:models], LETTERS, strict=False):
            pool.responses[instruction, model, 0] = pool.study.response(
                instruction, model, f"Place {n}, says {letter}."
            )
        for pair in combinations(SECRETS[:models], 2):
            pool.similarity(instruction, *pair, n / 100)


def judge_on_page(db: sqlite3.Connection, verdicts: int, budget: int | None = None, who: str = "ann") -> int:
    """A run of the page in which one person judges so many items, and leaves another one open; the run's id."""
    with runs.run(db, "annotate", {"adaptive": True, "budget": budget}, 42) as this:
        with database.transaction(db):
            person = assign.person(db, who)
            request = selection.growing(db, "latest", Adaptive(budget=budget), 42)
            study = assign.PageStudy(selection.keep(db, request, this.id), request.name, 1, 0, 42, this.id, Adaptive())
        item = annotate.begin(db, study, person)
        for _ in range(verdicts):
            annotate.judge(db, study, person, item, "tie")
            item = assign.current_assignment(db, study, person)
    return this.id
