"""The whole pipeline on the example that comes with madetl: similarity, selection, the example's judgments, ranking.

Each step is a stage called as its command calls it, with the defaults; this module calls them in order and returns
their closing lines. Nothing is printed here.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from madetl.errors import DatabaseError
from madetl.store import sqlfiles
from madetl.text import counted

if TYPE_CHECKING:
    from madetl.ranking.rank import Ranking

DEFAULT_FILE = Path("madetl-demo.db")

STATEMENTS = {
    "Who is ahead, in each scenario?": (
        "SELECT scenario, rank, model, round(rating) AS rating, battles FROM leaderboard"
    ),
    "On which answers do two models differ most?": (
        "SELECT model_a, model_b, round(score, 2) AS similarity, substr(instruction, 1, 60) AS instruction"
        " FROM selected_pairs ORDER BY score LIMIT 5"
    ),
    "Where do the annotators disagree?": (
        "SELECT substr(instruction, 1, 40) AS instruction,"
        " group_concat(annotator || ': ' || coalesce(winner_model, winner), ', ') AS votes"
        " FROM battles GROUP BY instruction_id, min(model_a, model_b), max(model_a, model_b)"
        " HAVING count(DISTINCT coalesce(winner_model, winner)) > 2"
    ),
}
"""Questions, each with a statement that answers it from the demo's database (as from any other)."""


@dataclass(frozen=True)
class DemoStep:
    """One step of the pipeline: the command that does the same (None: people do it), and what came of it."""

    command: str | None
    result: str


def copy_example(target: Path | None = None) -> Path:
    """Copies the example to `target`, or to a new file in the current folder; returns its path. Overwrites nothing.

    Raises DatabaseError if `target` exists or cannot be written.
    """
    for path in [target] if target else _free_names():
        try:
            with sqlfiles.example().open("rb") as source, path.open("xb") as copy:
                shutil.copyfileobj(source, copy)
            return path
        except FileExistsError:
            if target:
                raise DatabaseError(f"{path} exists. The demo writes to a new file only: name another one.") from None
        except OSError as error:
            raise DatabaseError(f"{path} cannot be written ({error.strerror}). Name another file with --db.") from error
    raise AssertionError("there is always another name")


def _free_names() -> Iterator[Path]:
    yield DEFAULT_FILE
    number = 2
    while True:
        yield DEFAULT_FILE.with_stem(f"{DEFAULT_FILE.stem}-{number}")
        number += 1


def measure(db: sqlite3.Connection) -> DemoStep:
    """Measures all answers with the embedded metric."""
    from madetl.similarity import measure, named

    measured = measure.measure(db, named.metric_named(db, "char-ngram"))
    return DemoStep("similarity", measured.summary)


def select(db: sqlite3.Connection) -> DemoStep:
    """Picks the ten response pairs of each model pair that differ most."""
    from madetl.selection import select
    from madetl.selection.sets import SelectionParameters

    return DemoStep("select --top-k 10", select.select(db, SelectionParameters(top_k=10)).summary)


def judge(db: sqlite3.Connection) -> DemoStep:
    """Finds the example's judgments of what was picked."""
    row = db.execute(sqlfiles.query("study/judged_selection")).fetchone()
    result = (
        f"{counted(row['judgments'], 'judgment')} of {counted(row['annotators'], 'annotator')} came with the example: "
        f"{row['judged']} of {row['selected']} selected pairs are judged"
    )
    return DemoStep(None, result)


def rank(db: sqlite3.Connection) -> tuple[DemoStep, Ranking]:
    """Ranks the models by those judgments."""
    from madetl.ranking import rank
    from madetl.ranking.votes import RankParameters

    ranking = rank.rank(db, RankParameters())
    return DemoStep("rank", ranking.summary), ranking
