"""Replays: 7,471 synthetic votes on the 21 pairs of 7 models, 27 % of them ties, 200 replications, 315 judgments.

The scores and lengths are drawn at random: this is about time. There is no published code that does the same.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from madetl.metrics import char_ngram
from madetl.replay.replay import ReplayParameters, replay
from madetl.store import database
from madetl.store.metrics import ensure_metric
from tests.benchmarks import Figure
from tests.benchmarks.bench_ranking import _fill, battles

TARGET = 20  # seconds per policy


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder, database.writing(Path(folder) / "mad.db") as db:
        _fill(db, battles())
        measure(db)
        yield _figure(db, "one policy (evidence, adaptive)", 1, strategies=["evidence"], pair_policies=["adaptive"])
        yield _figure(db, "8 policies", 8)
        wide = {"strategies": ["evidence"], "pair_policies": ["adaptive"], "diversity": 0.5}
        yield _figure(db, "one policy with diversity", 1, **wide)
        elo = {"strategies": ["evidence"], "pair_policies": ["adaptive"], "method": "elo"}
        yield _figure(db, "one policy, ranked by elo", 1, **elo)


def measure(db: sqlite3.Connection) -> None:
    """A similarity for every judged response pair."""
    rng = np.random.default_rng(1)
    sql = """
        SELECT a.model_id, b.model_id, a.instruction_id, a.id, b.id
        FROM judgments AS j
        JOIN responses AS a ON a.id = j.response_a_id
        JOIN responses AS b ON b.id = j.response_b_id
    """
    rows = [tuple(row) for row in db.execute(sql).fetchall()]
    with database.transaction(db):
        metric = ensure_metric(db, char_ngram.NAME, char_ngram.PARAMETERS)
        models = {models: number for number, models in enumerate(sorted({row[:2] for row in rows}), 1)}
        database.insert_rows(
            db, "pairs", ("id", "model_a_id", "model_b_id"), [(number, *pair) for pair, number in models.items()]
        )
        database.insert_rows(
            db,
            "similarities",
            ("metric_id", "pair_id", "instruction_id", "response_a_id", "response_b_id", "score", "shorter_words",
             "length_ratio"),
            [
                (metric, models[row[:2]], *row[2:], score, words, ratio)
                for row, score, words, ratio in zip(
                    rows,
                    rng.random(len(rows)).tolist(),
                    rng.integers(10, 300, len(rows)).tolist(),
                    rng.uniform(1, 4.5, len(rows)).tolist(),
                    strict=True,
                )
            ],
        )  # fmt: skip


def _figure(db: sqlite3.Connection, work: str, policies: int, **parameters: object) -> Figure:
    start = time.perf_counter()
    found = replay(db, ReplayParameters(budgets=[63, 105, 210, 315], **parameters))
    seconds = time.perf_counter() - start
    return Figure(
        work=f"{found.replications} replications, {work}",
        seconds=seconds,
        target=f"{TARGET} s per policy",
        reached=seconds <= TARGET * policies,
        note=f"{seconds / policies:.1f} s per policy; reading the votes and the baseline's whole pool included",
    )
