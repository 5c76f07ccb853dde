"""Which metric a person means by a name, with its options: the metrics that are built in, and those with embeddings."""

from __future__ import annotations

import sqlite3

from madetl.errors import ParameterError
from madetl.similarity.measure import Metric
from madetl.store.metrics import find_metric, metric_label

BUILT_IN = ("char-ngram", "bert-score")
_VECTORS_AT_ONCE = 4096  # 25 MB of them at 1536 dimensions; fewer, larger transactions write each index page less often


def metric_named(
    db: sqlite3.Connection,
    name: str,
    *,
    model: str | None = None,
    num_layers: int | None = None,
    batch_size: int | None = None,
) -> Metric:
    """The metric to measure with. `model`, `num_layers` and `batch_size` are bert-score's; None: its defaults.

    Raises ParameterError for a name that can't be measured or an option that doesn't fit it, MissingExtraError where
    the metric's packages are absent.
    """
    if name == "bert-score":
        return _bert_score(model, num_layers, batch_size)
    for option, value in (("--model", model), ("--num-layers", num_layers), ("--batch-size", batch_size)):
        if value is not None:
            raise ParameterError(f"{option} is an option of the metric bert-score; {name} has no such thing.")
    return _char_ngram() if name == "char-ngram" else _stored(db, name)


def _char_ngram() -> Metric:
    from madetl.metrics import char_ngram

    return Metric(char_ngram.NAME, char_ngram.PARAMETERS, char_ngram.scores)


def _bert_score(model: str | None, num_layers: int | None, batch_size: int | None) -> Metric:
    from madetl.metrics import bert_score

    batch = bert_score.DEFAULT_BATCH_SIZE if batch_size is None else batch_size
    scorer = bert_score.BertScore(model or bert_score.DEFAULT_MODEL, num_layers, batch)
    return Metric(bert_score.NAME, scorer.parameters, scorer.scores, most_answers=max(batch, 1), remarks=scorer.remarks)


def _stored(db: sqlite3.Connection, name: str) -> Metric:
    """The metric whose vectors stand in `embeddings`: its scores are their cosines."""
    with_vectors = [
        metric_label(db, row["id"])
        for row in db.execute(
            "SELECT id FROM metrics AS m WHERE EXISTS (SELECT 1 FROM embeddings WHERE metric_id = m.id) ORDER BY id"
        )
    ]
    known = db.execute("SELECT count(*) FROM metrics WHERE name = ?", (name,)).fetchone()[0]
    choice = ", ".join([*BUILT_IN, *with_vectors])
    if not known and "@" not in name:
        raise ParameterError(
            f"No metric is called {name!r}. These can be measured: {choice}. If it is a model that can be asked, "
            "say what it is: --as embedding or --as llm."
        )
    metric_id = find_metric(db, name)
    if not db.execute("SELECT 1 FROM embeddings WHERE metric_id = ? LIMIT 1", (metric_id,)).fetchone():
        raise ParameterError(
            f"The metric {name} came with an import and has no embeddings, so it cannot be measured here. "
            f"These can: {choice}"
        )
    return Metric(metric_label(db, metric_id), id=metric_id, most_answers=_VECTORS_AT_ONCE)
