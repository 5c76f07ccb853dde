"""How many requests each metric needs, counted by the server, and what that comes to for 8 models × 1000 instructions.

Beside it the per-pair scheme of published code: whatever a pair of answers needs is asked for pair by pair, so that an
answer is embedded once for each model that it is compared with, one text to a request.
"""

from __future__ import annotations

import math
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from madetl.asking import model_settings
from madetl.asking.model_settings import ModelOptions
from madetl.similarity import ask, embed
from madetl.similarity.embed import MOST_TEXTS
from madetl.similarity.measure import Scope, measure, scope_of
from madetl.similarity.named import metric_named
from madetl.similarity.prefilter import Prefilter
from madetl.store import database
from tests.benchmarks import Figure
from tests.conftest import Study
from tests.support.provider_server import provider_process

MODELS, INSTRUCTIONS = 8, 50
LARGE, NEAREST = 1000, 100
PAIRS = MODELS * (MODELS - 1) // 2
LATENCY = ("--latency-median", "0.05", "--latency-sigma", "0.4")


def figures() -> Iterator[Figure]:
    yield _figure(
        "text-embedding-3-small",
        lambda db, url: embed.AnswersToEmbed(db, _model(db, "text-embedding-3-small", url), _all(db)).run(),
        lambda instructions: math.ceil(MODELS * instructions / MOST_TEXTS),
        lambda instructions: 2 * PAIRS * instructions,
    )
    yield _figure(
        "gpt-4.1, every pair",
        lambda db, url: ask.ScoresToAsk(db, _judge(db, url, None)).run(),
        lambda instructions: PAIRS * instructions,
        lambda instructions: PAIRS * instructions,
    )
    nearest = INSTRUCTIONS * NEAREST // LARGE
    yield _figure(
        f"gpt-4.1 --prefilter char-ngram:{nearest}",
        lambda db, url: ask.ScoresToAsk(db, _judge(db, url, Prefilter("char-ngram", nearest))).run(),
        lambda instructions: PAIRS * instructions * NEAREST // LARGE,
        lambda instructions: PAIRS * instructions,
    )


def _figure(
    name: str,
    work: Callable[[sqlite3.Connection, str], object],
    ours: Callable[[int], int],
    per_pair: Callable[[int], int],
) -> Figure:
    """One metric, its requests counted; the formulas give them for a number of instructions."""
    with provider_process(*LATENCY) as server, tempfile.TemporaryDirectory() as folder:
        with database.writing(Path(folder) / "mad.db") as db:
            _fill(db)
            measure(db, metric_named(db, "char-ngram"))
            start = time.perf_counter()
            work(db, server.url)
            seconds = time.perf_counter() - start
        counted = server.stats()["requests"]
    return Figure(
        f"{MODELS} models × {INSTRUCTIONS} instructions, {name}",
        seconds,
        f"{ours(INSTRUCTIONS):,} requests",
        counted == ours(INSTRUCTIONS),
        note=f"{counted:,} requests, per pair {per_pair(INSTRUCTIONS):,}; "
        f"for {LARGE:,} instructions {ours(LARGE):,}, per pair {per_pair(LARGE):,}",
    )


def _fill(db: sqlite3.Connection) -> None:
    study = Study(db)
    with database.transaction(db):
        for i in range(INSTRUCTIONS):
            instruction = study.instruction(f"instruction {i}")
            for m in range(MODELS):
                words = " ".join(f"word{(k * (m + 2) + i) % 97}" for k in range(60))
                study.response(instruction, f"model-{m}", f"{m} says on {i}: {words}")


def _model(db: sqlite3.Connection, name: str, url: str) -> model_settings.AskedModel:
    return model_settings.find(db, name, ModelOptions(base_url=f"{url}/v1"))


def _all(db: sqlite3.Connection) -> Scope:
    return scope_of(db, (), None, None, "all")


def _judge(db: sqlite3.Connection, url: str, prefilter: Prefilter | None) -> ask.ChatMetric:
    rubric = ask.settings_for(db, "gpt-4.1", {})
    return ask.ChatMetric(_model(db, "gpt-4.1", url), rubric, _all(db), prefilter)
