"""Measured response pairs for tests of what picks among them, written with plain INSERTs."""

from __future__ import annotations

from madetl.store.embeddings import to_blobs
from madetl.store.metrics import ensure_metric
from tests.conftest import Study


class Pool:
    """Measured response pairs, each written by one call; instructions and models come into being when named."""

    def __init__(self, study: Study, metric: str = "m") -> None:
        self.study, self.db = study, study.db
        self.metric_id = ensure_metric(self.db, metric)
        self.responses: dict[tuple[int, str, int], int] = {}

    def response(self, instruction_id: int, model: str, sample: int = 0) -> int:
        key = (instruction_id, model, sample)
        if key not in self.responses:
            self.responses[key] = self.study.response(instruction_id, model, f"{model} says {sample}", sample)
        return self.responses[key]

    def similarity(
        self, instruction_id, model_a, model_b, score, samples=(0, 0), *, words=100, ratio=1.0
    ) -> tuple[int, int]:
        a = self.response(instruction_id, model_a, samples[0])
        b = self.response(instruction_id, model_b, samples[1])
        models = self.study.model(model_a), self.study.model(model_b)
        self.db.execute("INSERT OR IGNORE INTO pairs (model_a_id, model_b_id) VALUES (?, ?)", models)
        pair = self.db.execute("SELECT id FROM pairs WHERE (model_a_id, model_b_id) = (?, ?)", models).fetchone()[0]
        self.db.execute(
            "INSERT INTO similarities (metric_id, pair_id, instruction_id, response_a_id, response_b_id, score,"
            " shorter_words, length_ratio) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (self.metric_id, pair, instruction_id, a, b, score, words, ratio),
        )
        return a, b

    def scores(self, model_a: str, model_b: str, scores: list[float], scenario: str = "Writing") -> list[int]:
        """One instruction per score; returns their ids."""
        ids = [self.study.instruction(f"{scenario} instruction {n}", scenario) for n in range(len(scores))]
        for instruction_id, score in zip(ids, scores, strict=True):
            self.similarity(instruction_id, model_a, model_b, score)
        return ids

    def embed(self, vectors: dict[int, list[float]]) -> None:
        hashes = dict(self.db.execute("SELECT id, hash FROM instructions").fetchall())
        blobs = to_blobs(list(vectors.values()))
        for (instruction_id, vector), blob in zip(vectors.items(), blobs, strict=True):
            values = (self.metric_id, hashes[instruction_id], len(vector), blob)
            self.db.execute("INSERT INTO embeddings (metric_id, hash, dimensions, vector) VALUES (?, ?, ?, ?)", values)
