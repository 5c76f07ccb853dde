"""What kind of metric a name means: one that madetl computes itself, an embedding model, a chat model as the metric.

The user names the kind (`--as`), an earlier run recorded it, or the name shows it. It is never guessed, since a chat
model that is asked about every pair of answers costs thousands of times what an embedding model does.
"""

from __future__ import annotations

import json
import re
import sqlite3
from typing import Any, Literal

from madetl.asking.ledger import HOW_TO_ASK
from madetl.asking.model_settings import AskedModel
from madetl.errors import ParameterError
from madetl.similarity.measure import Scorer
from madetl.store.metrics import find_metric, metric_label

Kind = Literal["embedding", "llm"]
EMBEDDING: Kind = "embedding"
LLM: Kind = "llm"

BUILT_IN = ("char-ngram", "bert-score")
_VECTORS_AT_ONCE = 4096  # 25 MB of them at 1536 dimensions; fewer, larger transactions write each index page less often

_EMBEDDING = re.compile(r"embed", re.IGNORECASE)
_CHAT = re.compile(r"gpt-|chatgpt-|o\d|ft:gpt-|(models/)?gemini-")


def kind_of(db: sqlite3.Connection, name: str, override: Kind | None = None) -> Kind | None:
    """The kind of model that `name` means; None: no model is asked (built in, or vectors that are stored already).

    Raises ParameterError where the name belongs to a model that could be of either kind, or to metrics of both.
    """
    if override is not None:
        return override
    stored = _stored_kinds(db, name)
    if len(stored) > 1:
        raise ParameterError(f"{name} has measured as different kinds of metric. Say --as embedding or --as llm.")
    if stored:
        return stored.pop()
    if _EMBEDDING.search(name):
        return EMBEDDING
    if _CHAT.match(name):
        return LLM
    if _is_asked(db, name):
        raise ParameterError(
            f"Is {name} an embedding model, or a chat model that is to say how alike answers are? "
            "Say --as embedding or --as llm."
        )
    return None


def model_name(db: sqlite3.Connection, name: str) -> str:
    """The name of the model that a metric asks: the metric's own, without the hash that tells metrics of it apart."""
    base, _, _ = name.rpartition("@")
    known = db.execute("SELECT 1 FROM metrics WHERE name = ?", (base,)).fetchone()
    return base if known else name


def model_parameters(kind: Kind, model: AskedModel) -> dict[str, Any]:
    """What makes the metric of a model: who is asked, and how. Its address and its timeout make no other metric."""
    endpoint = model.endpoint
    options = {key: endpoint.options[key] for key in endpoint.options if key not in (*HOW_TO_ASK, "trust_remote_code")}
    return {"kind": kind, "provider": endpoint.provider, "model": endpoint.model_id} | options


def _stored_kinds(db: sqlite3.Connection, name: str) -> set[Kind | None]:
    """The kinds of the metrics of that name; None is the kind of metrics that were imported or computed."""
    base = name.rpartition("@")[0] if "@" in name else name
    rows = db.execute("SELECT parameters FROM metrics WHERE name IN (?, ?)", (name, base))
    return {json.loads(row["parameters"]).get("kind") for row in rows}


def _is_asked(db: sqlite3.Connection, name: str) -> bool:
    """Whether it is a known model that has a provider."""
    row = db.execute("SELECT provider FROM models WHERE name = ?", (name,)).fetchone()
    return row is not None and row["provider"] is not None


def metric_named(
    db: sqlite3.Connection,
    name: str,
    *,
    model: str | None = None,
    num_layers: int | None = None,
    batch_size: int | None = None,
) -> Scorer:
    """The metric to measure with. `model`, `num_layers` and `batch_size` are bert-score's; None: its defaults.

    Raises ParameterError for a name that can't be measured or an option that doesn't fit it, MissingExtraError where
    the metric's packages are absent.
    """
    if name == "bert-score":
        return _bert_score(model, num_layers, batch_size)
    for option, value in (("--model", model), ("--num-layers", num_layers), ("--batch-size", batch_size)):
        if value is not None:
            hint = f" A model that compares answers is a metric: --metric {model}." if option == "--model" else ""
            raise ParameterError(f"{option} is an option of the metric bert-score; {name} has no such thing.{hint}")
    return _char_ngram() if name == "char-ngram" else _stored(db, name)


def _char_ngram() -> Scorer:
    from madetl.metrics import char_ngram

    return Scorer(char_ngram.NAME, char_ngram.PARAMETERS, char_ngram.scores)


def _bert_score(model: str | None, num_layers: int | None, batch_size: int | None) -> Scorer:
    from madetl.metrics import bert_score

    batch = bert_score.DEFAULT_BATCH_SIZE if batch_size is None else batch_size
    scorer = bert_score.BertScore(model or bert_score.DEFAULT_MODEL, num_layers, batch)
    return Scorer(bert_score.NAME, scorer.parameters, scorer.scores, most_answers=max(batch, 1), remarks=scorer.remarks)


def _stored(db: sqlite3.Connection, name: str) -> Scorer:
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
    return Scorer(metric_label(db, metric_id), id=metric_id, most_answers=_VECTORS_AT_ONCE)
