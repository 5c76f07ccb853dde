"""Rows of `metrics`: ways to measure similarity, each a name with all its parameters.

Every stage that stores or reads scores finds its metric here, so that all stages understand a name in the same way.
`madetl.metrics` does the measuring.
"""

from __future__ import annotations

import json
import shlex
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from madetl.errors import ParameterError
from madetl.store.sqlfiles import query
from madetl.text import text_hash

_HASH_SHOWN = 8  # characters of the hash that tell metrics of one name apart


def ensure_metric(
    db: sqlite3.Connection, name: str, parameters: Mapping[str, Any] | None = None, model_id: int | None = None
) -> int:
    """The id of the metric with exactly these parameters, its row made if there is none. Call it in a `transaction`."""
    found = existing_metric(db, name, parameters)
    if found is not None:
        return found
    text = _parameters_text(parameters)
    cursor = db.execute(
        "INSERT INTO metrics (name, parameters, hash, model_id) VALUES (?, ?, ?, ?)",
        (name, text, text_hash(text), model_id),
    )
    return int(cursor.lastrowid or 0)


def existing_metric(db: sqlite3.Connection, name: str, parameters: Mapping[str, Any] | None = None) -> int | None:
    """The id of the metric with exactly these parameters, or None."""
    key = text_hash(_parameters_text(parameters))
    row = db.execute("SELECT id FROM metrics WHERE name = ? AND hash = ?", (name, key)).fetchone()
    return None if row is None else int(row["id"])


def find_metric(db: sqlite3.Connection, name: str) -> int:
    """The id of the metric that a person means by `name`, or by `name@` and the beginning of its hash.

    Raises ParameterError if there is none, or more than one; the message lists what there is.
    """
    metrics = db.execute("SELECT id, name, parameters, hash FROM metrics ORDER BY name, id").fetchall()
    found = [metric for metric in metrics if metric["name"] == name]
    if not found and "@" in name:
        base, _, prefix = name.rpartition("@")
        found = [m for m in metrics if m["name"] == base and prefix and m["hash"].startswith(prefix.lower())]
    if not found:
        raise ParameterError(_unknown(name, metrics))
    if len(found) > 1:
        which = "; ".join(f"{_label(metric)} {_brief(metric['parameters'])}" for metric in found)
        raise ParameterError(f"{len(found)} metrics are called {name!r}. Name one of them: {which}")
    return int(found[0]["id"])


def measured_metrics(db: sqlite3.Connection) -> list[int]:
    """The ids of the metrics that have measured any response pair, oldest first."""
    return [row["id"] for row in db.execute(query("store/measured_metrics"))]


def metric_label(db: sqlite3.Connection, metric_id: int) -> str:
    """What to call a metric so that `find_metric` finds it: its name, with the hash where others share the name."""
    metric = db.execute("SELECT name, hash FROM metrics WHERE id = ?", (metric_id,)).fetchone()
    shared = db.execute("SELECT count(*) FROM metrics WHERE name = ?", (metric["name"],)).fetchone()[0]
    return str(_label(metric) if shared > 1 else metric["name"])


def measuring_options(db: sqlite3.Connection, metric_id: int) -> str | None:
    """The options of `madetl similarity` that measure with this metric, each after a space; '' for the default metric.

    None where its scores came from files and cannot be made here.
    """
    row = db.execute("SELECT name, parameters FROM metrics WHERE id = ?", (metric_id,)).fetchone()
    if row["name"] == "char-ngram":
        return ""
    if row["name"] == "bert-score":
        parameters = json.loads(row["parameters"])
        options = {"--model": parameters.get("model"), "--num-layers": parameters.get("num_layers")}
        given = (f" {name} {shlex.quote(str(value))}" for name, value in options.items() if value)
        return f" --metric bert-score{''.join(given)}"
    asked = json.loads(row["parameters"]).get("kind") == "llm"
    vectors = db.execute("SELECT 1 FROM embeddings WHERE metric_id = ? LIMIT 1", (metric_id,)).fetchone()
    return f" --metric {shlex.quote(metric_label(db, metric_id))}" if asked or vectors else None


def _unknown(name: str, metrics: Sequence[sqlite3.Row]) -> str:
    if not metrics:
        return f"No metric is called {name!r}: nothing has been measured yet. `madetl similarity` measures."
    known = list(dict.fromkeys(_label(m) if _shares_name(m, metrics) else m["name"] for m in metrics))
    return f"No metric is called {name!r}. This database has: {', '.join(known)}"


def _shares_name(metric: sqlite3.Row, metrics: Sequence[sqlite3.Row]) -> bool:
    return [other["name"] for other in metrics].count(metric["name"]) > 1


def _label(metric: sqlite3.Row) -> str:
    return f"{metric['name']}@{metric['hash'][:_HASH_SHOWN]}"


def _brief(parameters: str) -> str:
    """The parameters without the full text of a prompt, which has its hash beside it."""
    return json.dumps({key: value for key, value in json.loads(parameters).items() if key != "prompt"})


def _parameters_text(parameters: Mapping[str, Any] | None) -> str:
    return json.dumps(parameters or {}, ensure_ascii=False, sort_keys=True)
