"""Which response pairs an expensive metric is asked about: the least similar ones by a metric that has measured them.

They are the pairs that `madetl select --metric METRIC --top-k N` would pick of each model pair, by the same filters and
the same rule for equal scores: a request about a pair that no selection takes would be wasted.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass

from madetl.errors import ParameterError
from madetl.similarity.measure import Scope
from madetl.store import sqlfiles
from madetl.store.metrics import find_metric, metric_label


@dataclass(frozen=True)
class Prefilter:
    """`most`: so many per model pair. `min_words` and `max_length_ratio` are those of a selection; 0 switches off."""

    metric: str
    most: int
    min_words: float = 20
    max_length_ratio: float = 4.0


@dataclass(frozen=True)
class Chosen:
    """The response pairs that a prefilter leaves, and how many those are of each model pair (by the id of `pairs`)."""

    responses: frozenset[tuple[int, int]]
    per_pair: Counter[int]


def parsed(text: str, **filters: float) -> Prefilter:
    """What METRIC:N says, with the filters of Prefilter. Raises ParameterError where the text is of another form."""
    metric, _, number = text.rpartition(":")
    if not metric or not number.isascii() or not number.isdigit() or int(number) < 1:
        raise ParameterError(f"--prefilter {text}: give a metric and a number of pairs, such as char-ngram:100.")
    return Prefilter(metric, int(number), **filters)


def choose(db: sqlite3.Connection, prefilter: Prefilter, scope: Scope) -> Chosen:
    """The pairs that the prefilter leaves. Raises ParameterError where the metric is unknown or nothing is left."""
    metric_id = find_metric(db, prefilter.metric)
    filters = {"min_words": prefilter.min_words, "max_length_ratio": prefilter.max_length_ratio}
    parameters = {"metric_id": metric_id, "set_id": None, "top_k": prefilter.most, **filters, **vars(scope)}
    rows = db.execute(sqlfiles.query("selection/mad_picks"), parameters).fetchall()
    if not rows:
        raise ParameterError(
            f"--prefilter: {metric_label(db, metric_id)} has measured no pair of these models and instructions with "
            f"more than {prefilter.min_words} words in both answers and lengths that differ less than "
            f"{prefilter.max_length_ratio:g} times. Measure with it first, or change --min-words and "
            "--max-length-ratio."
        )
    responses = frozenset((row["response_a_id"], row["response_b_id"]) for row in rows)
    return Chosen(responses, Counter(row["pair_id"] for row in rows))


def unmeasured(db: sqlite3.Connection, prefilter: Prefilter, scope: Scope) -> int:
    """How many response pairs of the scope the prefilter's metric has not measured, and so cannot choose."""
    parameters = {"metric_id": find_metric(db, prefilter.metric), **vars(scope)}
    counts = db.execute(sqlfiles.query("similarity/similarity_counts"), parameters).fetchall()
    return sum(row["possible"] - row["known"] for row in counts)
