"""The tables of schema/ as SQLModel classes: rows with types, for Python code outside the stages.

`fetch` turns the result of a query into such rows and checks each value: `madetl runs` is made of it. Whoever works
with SQLAlchemy can query the same file through these classes.

The DDL in schema/ is the truth and makes the tables; `create_all` is never called, since it knows nothing of STRICT,
CHECK, triggers and views. tests/store/test_schema.py holds the two together: columns, types, nullability, keys.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeVar

from sqlmodel import Field, SQLModel, String

Id = int | None  # given by SQLite
Side = Literal["model_a", "model_b"]
Winner = Literal["model_a", "model_b", "tie", "both_bad"]
CallOutcome = Literal[
    "ok",
    "truncated",
    "empty",
    "rate_limited",
    "timeout",
    "connection_error",
    "server_error",
    "client_error",
    "refused",
    "blocked",
    "invalid",
    "interrupted",
]


class Row(SQLModel):
    """What all rows share. Columns such as model_id are no methods of pydantic's."""

    model_config = {"protected_namespaces": ()}


RowType = TypeVar("RowType", bound=Row)


def fetch(
    db: sqlite3.Connection, kind: type[RowType], sql: str, parameters: Mapping[str, Any] | None = None
) -> Iterator[RowType]:
    """The rows of a query whose columns are those of `kind`, one after another.

    Raises pydantic.ValidationError where a value is not of its column's type.
    """
    cursor = db.execute(sql, parameters or {})
    names = [column[0] for column in cursor.description]
    for row in cursor:
        yield kind.model_validate(dict(zip(names, row, strict=True)))


def _parent(column: str, on_delete: Literal["CASCADE", "SET NULL"] = "CASCADE", **kwargs: Any) -> Any:
    return Field(foreign_key=column, ondelete=on_delete, **kwargs)


def _one_of(**kwargs: Any) -> Any:
    return Field(sa_type=String, **kwargs)


class Run(Row, table=True):
    __tablename__ = "runs"

    id: Id = Field(default=None, primary_key=True)
    command: str
    parameters: str = "{}"
    seed: int | None = None
    version: str
    started_at: str
    finished_at: str | None = None
    outcome: Literal["ok", "failed", "interrupted"] | None = _one_of(default=None)
    summary: str | None = None


class Model(Row, table=True):
    __tablename__ = "models"

    id: Id = Field(default=None, primary_key=True)
    name: str = Field(unique=True, min_length=1)
    provider: Literal["openai", "gemini", "vllm"] | None = _one_of(default=None)
    model_id: str | None = None
    base_url: str | None = None
    system_prompt: str | None = None
    settings: str = "{}"
    price_in: float | None = Field(default=None, ge=0)
    price_out: float | None = Field(default=None, ge=0)
    created_at: str


class Instruction(Row, table=True):
    __tablename__ = "instructions"

    id: Id = Field(default=None, primary_key=True)
    scenario: str = Field(min_length=1)
    instruction: str = Field(min_length=1)
    input: str = ""
    hash: str = Field(min_length=64, max_length=64)
    reference_answer: str | None = None
    source: str | None = None
    parent_id: int | None = _parent("instructions.id", "SET NULL", default=None)
    generation: int = Field(default=0, ge=0)
    call_id: int | None = _parent("calls.id", "SET NULL", default=None)
    run_id: int | None = _parent("runs.id", default=None)
    created_at: str
    language: str | None = None


class Call(Row, table=True):
    __tablename__ = "calls"

    id: Id = Field(default=None, primary_key=True)
    run_id: int | None = _parent("runs.id", "SET NULL", default=None)
    stage: str
    model_id: int = _parent("models.id")
    request_hash: str = Field(min_length=64, max_length=64)
    sample: int = Field(default=0, ge=0)
    attempt: int = Field(default=1, ge=1)
    outcome: CallOutcome | None = _one_of(default=None)
    answer: str | None = None
    finish_reason: str | None = None
    http_status: int | None = None
    tokens_in: int | None = Field(default=None, ge=0)
    tokens_out: int | None = Field(default=None, ge=0)
    cost: float | None = Field(default=None, ge=0)
    latency: float | None = Field(default=None, ge=0)
    model_version: str | None = None
    error: str | None = None
    started_at: str
    finished_at: str | None = None


class Response(Row, table=True):
    __tablename__ = "responses"

    id: Id = Field(default=None, primary_key=True)
    instruction_id: int = _parent("instructions.id")
    model_id: int = _parent("models.id")
    sample: int = Field(default=0, ge=0)
    response: str
    hash: str = Field(min_length=64, max_length=64)
    words: int = Field(ge=0)
    characters: int = Field(ge=0)
    call_id: int | None = _parent("calls.id", "SET NULL", default=None)
    source: str | None = None
    run_id: int | None = _parent("runs.id", default=None)
    created_at: str


class Pair(Row, table=True):
    __tablename__ = "pairs"

    id: Id = Field(default=None, primary_key=True)
    model_a_id: int = _parent("models.id")
    model_b_id: int = _parent("models.id")


class Metric(Row, table=True):
    __tablename__ = "metrics"

    id: Id = Field(default=None, primary_key=True)
    name: str = Field(min_length=1)
    parameters: str = "{}"
    hash: str = Field(min_length=64, max_length=64)
    model_id: int | None = _parent("models.id", default=None)
    created_at: str


class Embedding(Row, table=True):
    __tablename__ = "embeddings"

    id: Id = Field(default=None, primary_key=True)
    metric_id: int = _parent("metrics.id")
    hash: str = Field(min_length=64, max_length=64)
    dimensions: int = Field(gt=0)
    vector: bytes
    truncated: int = Field(default=0, ge=0, le=1)


class Similarity(Row, table=True):
    __tablename__ = "similarities"

    id: Id = Field(default=None, primary_key=True)
    metric_id: int = _parent("metrics.id")
    pair_id: int = _parent("pairs.id")
    instruction_id: int = _parent("instructions.id")
    response_a_id: int = _parent("responses.id")
    response_b_id: int = _parent("responses.id")
    score: float
    shorter_words: int
    length_ratio: float = Field(ge=0)
    explanation: str | None = None
    run_id: int | None = _parent("runs.id", default=None)


class SelectionSet(Row, table=True):
    __tablename__ = "selection_sets"

    id: Id = Field(default=None, primary_key=True)
    name: str = Field(unique=True, min_length=1)
    metric_id: int = _parent("metrics.id")
    strategy: Literal["mad", "evidence", "band", "random"] = _one_of()
    pair_policy: Literal["uniform", "adaptive"] = _one_of(default="uniform")
    top_k: int = Field(gt=0)
    budget: int | None = Field(default=None, gt=0)
    diversity: float = Field(default=0, ge=0)
    instruction_metric_id: int | None = _parent("metrics.id", default=None)
    min_words: int = Field(ge=0)
    max_length_ratio: float = Field(ge=0)
    candidates: Literal["all", "judged", "unjudged"] = _one_of()
    seed: int | None = None
    run_id: int | None = _parent("runs.id", default=None)
    created_at: str
    scenarios: str | None = None
    generation: str = "all"


class Selection(Row, table=True):
    __tablename__ = "selections"

    id: Id = Field(default=None, primary_key=True)
    set_id: int = _parent("selection_sets.id")
    pair_id: int = _parent("pairs.id")
    rank: int = Field(ge=1)
    instruction_id: int = _parent("instructions.id")
    response_a_id: int = _parent("responses.id")
    response_b_id: int = _parent("responses.id")
    score: float
    cost: float | None = None
    probability: float | None = Field(default=None, gt=0, le=1)
    run_id: int | None = _parent("runs.id", default=None)


class Annotator(Row, table=True):
    __tablename__ = "annotators"

    id: Id = Field(default=None, primary_key=True)
    name: str = Field(unique=True, min_length=1)
    kind: Literal["person", "model", "crowd"] = _one_of(default="person")
    created_at: str


class Assignment(Row, table=True):
    __tablename__ = "assignments"

    id: Id = Field(default=None, primary_key=True)
    selection_id: int = _parent("selections.id")
    annotator_id: int | None = _parent("annotators.id", default=None)
    repeat: int = Field(default=0, ge=0)
    shown_first: Side = _one_of()
    state: Literal["open", "judged", "skipped", "undone"] = _one_of(default="open")
    run_id: int | None = _parent("runs.id", default=None)
    dealt_at: str
    decided_at: str | None = None


class Judgment(Row, table=True):
    __tablename__ = "judgments"

    id: Id = Field(default=None, primary_key=True)
    annotator_id: int = _parent("annotators.id")
    response_a_id: int = _parent("responses.id")
    response_b_id: int = _parent("responses.id")
    winner: Winner = _one_of()
    shown_first: Side | None = _one_of(default=None)
    seconds: float | None = Field(default=None, ge=0)
    comment: str | None = None
    assignment_id: int | None = _parent("assignments.id", "SET NULL", default=None)
    source: str
    source_id: str
    created_at: str | None = None
    run_id: int | None = _parent("runs.id", default=None)
    status: Literal["counted", "revised", "repeat"] = _one_of(default="counted")
    turn: int | None = Field(default=None, gt=0)
    anony: int | None = Field(default=None, ge=0, le=1)


class Rating(Row, table=True):
    __tablename__ = "ratings"

    run_id: int = _parent("runs.id", primary_key=True)
    scenario: str = Field(primary_key=True)
    model_id: int = _parent("models.id", primary_key=True)
    method: Literal["elo", "bt"] = _one_of()
    annotators: str
    selections: str | None = None
    rating: float
    lower: float
    upper: float
    rank: int | None = Field(default=None, ge=1)
    probability_best: float | None = Field(default=None, ge=0, le=1)
    battles: int = Field(ge=0)
    component: int = Field(default=1, ge=1)
    remark: str | None = None
