"""Stage 3: how alike two models' answers to one instruction are. Reads `responses`, writes `pairs` and `similarities`.

A metric measures texts, or the vectors that `embeddings` holds for them; the metrics are in `madetl.metrics`. The work
is done in chunks of whole instructions, each in one transaction: memory stays bounded, and after a stopped run the next
run measures the remaining pairs.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from madetl.asking.ask import AskReport
from madetl.errors import ParameterError
from madetl.metrics import cosine
from madetl.store import pool, sqlfiles
from madetl.store.database import insert_rows, transaction
from madetl.store.embeddings import from_blob
from madetl.store.metrics import ensure_metric, existing_metric
from madetl.store.runs import run
from madetl.store.scope import check_scenarios, model_ids
from madetl.store.similarities import ensure_pair
from madetl.text import counted

Indices = NDArray[np.intp]
Scores = NDArray[np.float64]
Pairs = Literal["all", "judged"]

FIRST_CHUNK = 64  # answers; chunks grow from there while one takes less than half a second
_SECONDS_PER_CHUNK = 0.5
_COLUMNS = (
    "pair_id",
    "instruction_id",
    "response_a_id",
    "response_b_id",
    "shorter_words",
    "length_ratio",
    "metric_id",
    "score",
    "explanation",
    "run_id",
)


@dataclass(frozen=True)
class Scorer:
    """A way to measure.

    `scores(texts, left, right)` gives the scores of the pairs (texts[left[i]], texts[right[i]]); None: cosines of the
    vectors stored for metric `id`. `most_answers`: how many may be in memory at once. `remarks` gives the lines to show
    at the end.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    scores: Callable[[Sequence[str], Indices, Indices], Scores] | None = None
    id: int | None = None
    most_answers: int = 1024
    remarks: Callable[[], list[str]] = list


@dataclass(frozen=True)
class Measured:
    """What a run did: pairs measured, pairs known before, pairs without a vector, pairs of models.

    `pool`: the instructions whose answers were meant, in words.
    """

    metric: str
    measured: int
    known: int
    model_pairs: int
    without_vector: int = 0
    remarks: Sequence[str] = ()
    judged_only: bool = False
    pool: str = ""

    @property
    def report(self) -> AskReport:
        """Empty: no model was asked."""
        return AskReport()

    @property
    def summary(self) -> str:
        """The closing line."""
        if not self.measured + self.known + self.without_vector:
            missing = "response pair with a judgment" if self.judged_only else "instruction with answers of two models"
            return f"{self.metric}: nothing to measure, there is no {missing}"
        model_pairs = counted(self.model_pairs, "model pair")
        if not self.measured + self.without_vector:
            return f"{self.metric}: nothing to do ({counted(self.known, 'pair')} known), {model_pairs}"
        left = f", {self.without_vector} left: no embedding stored" if self.without_vector else ""
        return f"{self.metric}: {counted(self.measured, 'pair')} measured ({self.known} known){left}, {model_pairs}"


@dataclass(frozen=True)
class Scope:
    """Which pairs are asked for, as the queries' parameters; `scenarios` and `generation` as in store.pool."""

    scenarios: str | None  # JSON array
    generation: str | None
    model_ids: str | None  # JSON array
    pairs: Pairs


class UnmeasuredPair(NamedTuple):
    """A row of unmeasured_pairs.sql."""

    model_a_id: int
    model_b_id: int
    instruction_id: int
    response_a_id: int
    response_b_id: int
    shorter_words: int
    length_ratio: float

    @property
    def models(self) -> tuple[int, int]:
        return self.model_a_id, self.model_b_id

    @property
    def responses(self) -> tuple[int, int]:
        return self.response_a_id, self.response_b_id


def measure(
    db: sqlite3.Connection,
    metric: Scorer,
    *,
    scenarios: Sequence[str] = (),
    generation: str | None = None,
    models: Sequence[str] | None = None,
    pairs: Pairs = "all",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Measured:
    """Measures all pairs of different models' answers to one instruction that the metric has not measured yet.

    `pairs="judged"`: only response pairs that have a judgment. `progress` is called with pairs done and pairs to do.
    Raises ParameterError where a scenario or a model is unknown, no instruction is of the generation (as in
    store.pool), or fewer than two models are named.
    """
    scope = scope_of(db, scenarios, generation, models, pairs)
    which = {"scenarios": scenarios, "generation": generation, "models": models, "pairs": pairs}
    parameters = {"metric": metric.name, **metric.parameters, **which}
    with run(db, "similarity", parameters) as this:
        result = measure_within(db, metric, scope, this.id, progress)
        this.summary = result.summary
    return result


def scope_of(
    db: sqlite3.Connection,
    scenarios: Sequence[str],
    generation: str | None,
    models: Sequence[str] | None,
    pairs: Pairs,
) -> Scope:
    """The scope with its names looked up. Raises ParameterError as `measure` does."""
    check_scenarios(db, scenarios)
    instructions = pool.bindings(scenarios, generation)
    pool.check(db, instructions)
    ids = model_ids(db, models)
    if ids is not None and len(ids) < 2:
        raise ParameterError("--models needs at least two different models: similarity compares their answers.")
    return Scope(**instructions, model_ids=None if ids is None else json.dumps(ids), pairs=pairs)


def unmeasured(
    db: sqlite3.Connection, scope: Scope, metric_id: Callable[[], int | None], answers: Callable[[], int]
) -> Iterator[list[UnmeasuredPair]]:
    """The pairs that a metric has not measured, instruction by instruction, in groups of about so many answers.

    `metric_id` (None: it has no row yet) and `answers` are asked for each group. No statement stays open between two.
    """
    after = 0
    last_of_chunk, of_chunk = sqlfiles.query("similarity/last_of_chunk"), sqlfiles.query("similarity/unmeasured_pairs")
    cursor = db.cursor()
    cursor.row_factory = None
    while True:
        walk = {"after": after, "answers": answers(), "scenarios": scope.scenarios, "generation": scope.generation}
        if (last := db.execute(last_of_chunk, walk).fetchone()["last_id"]) is None:
            return
        found = cursor.execute(of_chunk, {"metric_id": metric_id(), "after": after, "last": last, **vars(scope)})
        yield list(map(UnmeasuredPair._make, found.fetchall()))
        after = last


def selectable(db: sqlite3.Connection, scope: Scope, top_k: int) -> int:
    """How many response pairs a selection of the first `top_k` per model pair has, if every pair is measured."""
    counts = db.execute(sqlfiles.query("similarity/similarity_counts"), {"metric_id": None, **vars(scope)}).fetchall()
    return sum(min(row["possible"], top_k) for row in counts)


def measure_within(
    db: sqlite3.Connection, metric: Scorer, scope: Scope, run_id: int, progress: Callable[[int, int], None]
) -> Measured:
    """`measure`, as part of a run that does more."""
    metric_id = metric.id if metric.id is not None else existing_metric(db, metric.name, metric.parameters)
    counts = db.execute(
        sqlfiles.query("similarity/similarity_counts"), {"metric_id": metric_id, **vars(scope)}
    ).fetchall()
    known = sum(row["known"] for row in counts)
    to_do = sum(row["possible"] for row in counts) - known
    chosen = pool.described(db, vars(scope))
    if not to_do:
        return Measured(metric.name, 0, known, len(counts), judged_only=scope.pairs == "judged", pool=chosen)
    work = ScoresToCompute(db, metric, metric_id, scope, ScoreStore(db, run_id))
    measured = work.compute(lambda seen: progress(seen, to_do))
    return Measured(metric.name, measured, known, len(counts), work.without_vector, metric.remarks(), pool=chosen)


@dataclass
class ScoreStore:
    """Writes the scores of one run, and remembers the rows of `pairs` on the way."""

    db: sqlite3.Connection
    run_id: int
    _pair_ids: dict[tuple[int, int], int] = field(default_factory=dict)

    def store(self, metric_id: int, scores: Sequence[tuple[UnmeasuredPair, float, str | None]]) -> int:
        """Stores (pair, score, explanation); returns how many rows are new. Called inside a transaction."""
        for models in sorted({pair.models for pair, _, _ in scores} - self._pair_ids.keys()):
            self._pair_ids[models] = ensure_pair(self.db, models)
        rows = (
            (self._pair_ids[pair.models], *pair[2:], metric_id, score, explanation, self.run_id)
            for pair, score, explanation in scores
        )
        # OR IGNORE: another process may have measured the same pair meanwhile
        return insert_rows(self.db, "similarities", _COLUMNS, rows, conflict="OR IGNORE")


@dataclass
class ScoresToCompute:
    """One run's walk over the instructions, for a metric that asks no model."""

    db: sqlite3.Connection
    metric: Scorer
    metric_id: int | None  # None until something is measured: a metric that fails leaves no row behind
    scope: Scope
    store: ScoreStore
    answers: int = FIRST_CHUNK
    without_vector: int = 0

    def compute(self, progress: Callable[[int], None]) -> int:
        """Measures chunk by chunk, larger ones as long as they are quick; returns how many rows are new."""
        measured = seen = 0
        self.answers, start = min(FIRST_CHUNK, self.metric.most_answers), time.monotonic()
        for pairs in unmeasured(self.db, self.scope, lambda: self.metric_id, lambda: self.answers):
            if pairs:
                measured += self._measure_chunk(pairs)
                seen += len(pairs)
                progress(seen)
            faster = time.monotonic() - start < _SECONDS_PER_CHUNK
            self.answers = min(self.answers * 2, self.metric.most_answers) if faster else max(self.answers // 2, 1)
            start = time.monotonic()
        return measured

    def _measure_chunk(self, pairs: list[UnmeasuredPair]) -> int:
        a, b = np.array([pair.responses for pair in pairs]).T
        scores, has_score = self._scores(a, b)
        self.without_vector += int(np.count_nonzero(~has_score))
        found = zip(pairs, scores.tolist(), has_score.tolist(), strict=True)
        with transaction(self.db):
            if self.metric_id is None:
                self.metric_id = ensure_metric(self.db, self.metric.name, self.metric.parameters)
            return self.store.store(self.metric_id, [(pair, score, None) for pair, score, there in found if there])

    def _scores(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> tuple[Scores, NDArray[np.bool_]]:
        """The scores of the response pairs, and which pairs have one (those with an empty answer have 0)."""
        ids = np.unique(np.concatenate([a, b]))
        if self.metric.scores is None:
            return self._cosines(ids, np.searchsorted(ids, a), np.searchsorted(ids, b))
        texts, distinct = self._texts(ids)
        left, right = distinct[np.searchsorted(ids, a)], distinct[np.searchsorted(ids, b)]
        return self.metric.scores(texts, left, right), np.ones(len(a), dtype=bool)

    def _texts(self, ids: NDArray[np.int64]) -> tuple[list[str], Indices]:
        """The distinct texts of these responses, and for each response which of them is its own."""
        rows = self.db.execute(
            sqlfiles.query("similarity/responses_to_compare"), {"ids": json.dumps(ids.tolist())}
        ).fetchall()
        rows_of: dict[str, int] = {}
        distinct = [rows_of.setdefault(row["hash"], len(rows_of)) for row in rows]
        texts = {row["hash"]: row["response"] for row in rows}
        return [texts[key] for key in rows_of], np.array(distinct, dtype=np.intp)

    def _cosines(self, ids: NDArray[np.int64], left: Indices, right: Indices) -> tuple[Scores, NDArray[np.bool_]]:
        parameters = {"ids": json.dumps(ids.tolist()), "metric_id": self.metric_id}
        rows = self.db.execute(sqlfiles.query("similarity/vectors_to_compare"), parameters).fetchall()
        stored = np.array([row["vector"] is not None for row in rows])
        sizes = {len(row["vector"]) for row in rows if row["vector"] is not None}
        if len(sizes) > 1:
            raise ParameterError(f"The embeddings stored for {self.metric.name} have different numbers of dimensions.")
        vectors = np.zeros((len(rows), max(sizes, default=4) // 4), dtype=np.float32)
        for row in np.flatnonzero(stored):
            vectors[row] = from_blob(rows[row]["vector"])
        usable = stored | np.array([bool(row["is_empty"]) for row in rows])
        return cosine.scores(vectors, left, right), usable[left] & usable[right]
