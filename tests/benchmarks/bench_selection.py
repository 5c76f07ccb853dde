"""Selection: 28 model pairs × 30,000 instructions, K = 10, with and without diversity; and ten times the rows."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import combinations, count
from operator import itemgetter
from pathlib import Path

import numpy as np

from madetl.metrics import char_ngram
from madetl.store import database, embeddings, sqlfiles
from madetl.store.embeddings import from_blob
from madetl.store.metrics import ensure_metric
from madetl.text import text_hash
from tests.benchmarks import Figure, median_seconds

MODELS = 8
INSTRUCTIONS = 30_000
DIMENSIONS = 1536
TOP_K = 10
DIVERSITY = 0.5
_PARAMETERS = {"metric_id": 1, "set_id": None, "top_k": TOP_K, "min_words": 20, "max_length_ratio": 4}
_PARAMETERS |= {"scenarios": None, "generation": '{"Bench": "seeds"}', "pairs": "all", "model_ids": None}
_SECONDARY = ("similarities_instruction", "similarities_response_a", "similarities_response_b", "similarities_run")
_SECONDARY += ("responses_model", "responses_call", "responses_run")  # no statement of a selection reads these


def figures() -> Iterator[Figure]:
    """Builds both databases, then measures."""
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small.db", Path(folder) / "large.db"
        build(small)
        with database.reading(small) as db:
            yield (statement := _statement(db))
            yield _counts(db)
        yield _diversity(small)
        build(large, 10 * INSTRUCTIONS)
        with database.reading(large) as db:
            yield _statement_on_ten_times_the_rows(db, statement.seconds)


def _statement(db: sqlite3.Connection) -> Figure:
    seconds = _seconds_of_picks(db)
    pools = _pools(db)
    window = median_seconds(lambda: db.execute(_WINDOW, _PARAMETERS).fetchall(), 1)
    picks = [row[2] for row in db.execute(sqlfiles.query("selection/mad_picks"), _PARAMETERS)]
    assert picks == _picks_by_sorting(pools)
    return Figure(
        f"selection, K = {TOP_K}, 28 pairs × {INSTRUCTIONS} rows, default filters: the statement",
        seconds,
        "20 ms",
        seconds <= 0.02,
        median_seconds(lambda: _picks_by_sorting(pools), 1),
        "the pool, in memory, sorted for every pick",
        f"as a ROW_NUMBER() window {window:.1f} s; same picks",
    )


def _statement_on_ten_times_the_rows(db: sqlite3.Connection, before: float) -> Figure:
    seconds = _seconds_of_picks(db)
    return Figure(
        f"the same, 28 pairs × {10 * INSTRUCTIONS} rows",
        seconds,
        "20 ms, as good as unchanged",
        seconds <= max(0.02, 1.5 * before),
        median_seconds(lambda: db.execute(_WINDOW, _PARAMETERS).fetchall(), 1),
        "ROW_NUMBER() window",
        f"{seconds / before:.1f} times the time for 10 times the rows",
    )


def _seconds_of_picks(db: sqlite3.Connection) -> float:
    def picks() -> None:
        assert len(db.execute(sqlfiles.query("selection/mad_picks"), _PARAMETERS).fetchall()) == 28 * TOP_K

    picks()  # from then on the pages are in memory
    return median_seconds(picks, 15)


_WINDOW = """
    WITH numbered AS (
        SELECT pair_id, instruction_id,
            row_number() OVER (PARTITION BY pair_id ORDER BY score, instruction_id) AS pick
        FROM similarities
        WHERE metric_id = :metric_id AND length_ratio > 0 AND shorter_words > :min_words
            AND length_ratio < :max_length_ratio)
    SELECT pair_id, pick, instruction_id FROM numbered WHERE pick <= :top_k
"""


def _pools(db: sqlite3.Connection) -> list[list[tuple[float, int]]]:
    pools: dict[int, list[tuple[float, int]]] = {}
    rows = db.execute("SELECT pair_id, score, instruction_id, shorter_words, length_ratio FROM similarities")
    for pair, score, instruction, words, ratio in rows:
        if words > 20 and 0 < ratio < 4:
            pools.setdefault(pair, []).append((score, instruction))
    by_instruction = itemgetter(1)  # the order of a file of answers; SQLite's is that of the scores
    return [sorted(pools[pair], key=by_instruction) for pair in sorted(pools)]


def _picks_by_sorting(pools: list[list[tuple[float, int]]]) -> list[int]:
    picks = []
    for pool in pools:
        left = list(pool)
        for _ in range(TOP_K):
            best = sorted(left)[0]
            picks.append(best[1])
            left.remove(best)
    return picks


def _counts(db: sqlite3.Connection) -> Figure:
    seconds = median_seconds(lambda: db.execute(sqlfiles.query("selection/filter_counts"), _PARAMETERS).fetchall(), 5)
    return Figure(
        f"counts per filter, 28 pairs × {INSTRUCTIONS} rows",
        seconds,
        "0.3 s",
        seconds <= 0.3,
        median_seconds(lambda: _pools(db), 1),
        "rows read and tested in Python",
    )


def _diversity(path: Path) -> Figure:
    """In a process of its own, so that its peak memory is its own; embeddings are added to the database first."""
    store_embeddings(path)
    program = "import sys; from tests.benchmarks.bench_selection import select_with_diversity as run; run(sys.argv[1])"
    runs = [
        json.loads(subprocess.run([sys.executable, "-c", program, path], capture_output=True, check=True).stdout)
        for _ in range(3)
    ]
    seconds, megabytes = sorted(run["seconds"] for run in runs)[1], max(run["megabytes"] for run in runs)
    with database.reading(path) as db:
        plain, factor = _published_loop(db)
        _check_exact(db, runs[-1]["name"])
    return Figure(
        f"selection, K = {TOP_K}, lambda = {DIVERSITY}, 28 pairs × {INSTRUCTIONS} instructions × {DIMENSIONS}, stored",
        seconds,
        "3 s, 1.5 GB",
        seconds <= 3 and megabytes < 1500,
        plain * factor,
        f"a loop that sorts the pool for every pick, 1 pair × 3,000, times {factor:.0f}",
        f"peak memory {megabytes:.0f} MB; the whole select(), embeddings read from the database; exact greedy",
    )


def store_embeddings(path: Path) -> None:
    """Vectors around a few hundred topics, so that instructions are near to one another as real ones are."""
    rng = np.random.default_rng(3)
    topics = rng.normal(size=(300, DIMENSIONS))
    with database.writing(path) as db, database.transaction(db):
        metric = ensure_metric(db, "embedding")
        for start in range(0, INSTRUCTIONS, 5_000):
            vectors = topics[rng.integers(0, 300, 5_000)] + rng.normal(size=(5_000, DIMENSIONS))
            hashes = [text_hash(str(i)) for i in range(start + 1, start + 5_001)]
            embeddings.store(db, metric, hashes, vectors)


def select_with_diversity(path: str) -> None:
    """Selects under a new name and prints the time and this process's peak memory."""
    import resource

    # Everything is imported before the clock starts.
    from madetl.selection.instruction_vectors import load  # noqa: F401
    from madetl.selection.select import SelectionParameters, select

    with database.writing(path) as db:
        start = time.perf_counter()
        parameters = SelectionParameters(
            name=f"run {time.time_ns()}", top_k=TOP_K, diversity=DIVERSITY, instruction_metric="embedding"
        )
        result = select(db, parameters)
        seconds = time.perf_counter() - start
    assert result.new == 28 * TOP_K
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "megabytes": megabytes, "name": result.name}))


def _published_loop(db: sqlite3.Connection, instructions: int = 3_000) -> tuple[float, float]:
    """Seconds of the plain way on one pair and `instructions`, and by how much the whole is larger."""
    pool = [(score, i) for score, i in _pools(db)[0] if i <= instructions]
    vectors = dict(enumerate(_vectors(db, instructions), 1))

    def loop() -> None:
        picked: list[int] = []
        for _ in range(TOP_K):
            costs = []
            for score, i in pool:
                nearest = max((float(np.dot(vectors[i], vectors[s])) for s in picked), default=0.0)
                costs.append((score + DIVERSITY * nearest, i))
            picked.append(next(i for _, i in sorted(costs) if i not in picked))

    return median_seconds(loop, 1), 28 * INSTRUCTIONS / instructions


def _vectors(db: sqlite3.Connection, instructions: int) -> np.ndarray:
    rows = db.execute("SELECT hash, vector FROM embeddings").fetchall()
    by_hash = {row["hash"]: row["vector"] for row in rows}
    return np.array([from_blob(by_hash[text_hash(str(i))]) for i in range(1, instructions + 1)])


def _check_exact(db: sqlite3.Connection, name: str) -> None:
    """Two model pairs' picks against the formula in double precision."""
    vectors = _vectors(db, INSTRUCTIONS)
    for pair, pool in enumerate(_pools(db)[:2], 1):
        ids = np.array(sorted(i for _, i in pool))
        scores = np.array([score for _, score in sorted((i, score) for score, i in pool)])
        wide = vectors[ids - 1].astype(np.float64)
        costs, nearest, picked = scores.copy(), np.full(len(ids), -np.inf), []
        for _ in range(TOP_K):
            best = int(costs.argmin())
            picked.append(int(ids[best]))
            scores[best] = np.inf
            nearest = np.maximum(nearest, wide @ wide[best])
            costs = scores + DIVERSITY * nearest
        stored = db.execute(
            "SELECT s.instruction_id FROM selections AS s JOIN selection_sets AS t ON t.id = s.set_id"
            " WHERE t.name = ? AND s.pair_id = ? ORDER BY s.rank",
            (name, pair),
        )
        assert [row[0] for row in stored] == picked


def build(path: Path, instructions: int = INSTRUCTIONS) -> None:
    """A database with a similarity per model pair and instruction; three in ten fail one of the default filters."""
    with database.writing(path) as db:
        db.execute("PRAGMA synchronous = OFF")
        by_score = db.execute("SELECT sql FROM sqlite_schema WHERE name = 'similarities_by_score'").fetchone()[0]
        with database.transaction(db):
            for name in (*_SECONDARY, "similarities_by_score"):
                db.execute(f"DROP INDEX {name}")
            metric = ensure_metric(db, char_ngram.NAME, char_ngram.PARAMETERS)
            _fill(db, metric, instructions)
            db.execute(by_score)


def _fill(db: sqlite3.Connection, metric: int, instructions: int) -> None:
    models, numbers = range(1, MODELS + 1), range(1, instructions + 1)
    database.insert_rows(db, "models", ("id", "name"), ((m, f"model-{m}") for m in models))
    pairs = list(combinations(models, 2))
    database.insert_rows(db, "pairs", ("id", "model_a_id", "model_b_id"), ((p, *ab) for p, ab in enumerate(pairs, 1)))
    database.insert_rows(
        db,
        "instructions",
        ("id", "scenario", "instruction", "hash"),
        ((i, "Bench", f"Instruction {i}: " + "what is asked for " * 15, text_hash(str(i))) for i in numbers),
    )
    responses = count(1)
    columns = ("id", "instruction_id", "model_id", "response", "hash", "words", "characters")
    database.insert_rows(
        db,
        "responses",
        columns,
        ((next(responses), i, m, "an answer", "0" * 64, 2, 9) for i in numbers for m in models),
    )
    database.insert_rows(db, "similarities", _COLUMNS, _similarities(metric, pairs, instructions))


_COLUMNS = ("metric_id", "pair_id", "instruction_id", "response_a_id", "response_b_id", "score", "shorter_words")
_COLUMNS += ("length_ratio",)


def _similarities(metric: int, pairs: list[tuple[int, int]], instructions: int) -> Iterator[tuple[object, ...]]:
    """Rows in the order that the similarity stage writes them: instruction by instruction."""
    rng = np.random.default_rng(7)
    for block in range(1, instructions + 1, 10_000):
        numbers = range(block, min(block + 10_000, instructions + 1))
        size = (len(numbers), len(pairs))
        scores = rng.beta(5, 3, size).tolist()
        words = rng.integers(1, 120, size).tolist()
        ratios = (1 + rng.exponential(1.6, size)).tolist()
        for i, score, word, ratio in zip(numbers, scores, words, ratios, strict=True):
            base = (i - 1) * MODELS
            for p, (a, b) in enumerate(pairs):
                yield metric, p + 1, i, base + a, base + b, score[p], word[p], ratio[p]
