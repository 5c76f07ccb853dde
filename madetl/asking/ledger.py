"""The ledger: rows of `calls`, opened before a request is sent and closed after. Only this module writes them.

`history`, a pure function, reads off the rows what became of a request so far: it was answered, it is under way, or it
failed. Nothing here sends a request.

    answered    outcome 'ok' or 'truncated': the answer is kept, and never asked for again
    transient   rate_limited, timeout, connection_error, server_error, interrupted: the next run asks again
    failed      empty, client_error, refused, blocked, invalid: listed by the next run, asked again with --retry-failed
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from madetl.asking.prices import Price
from madetl.providers.base import TRANSIENT, ChatAnswer, ChatRequest, Embeddings, Endpoint, ProviderError
from madetl.store import sqlfiles
from madetl.text import storable

ANSWERED: frozenset[str] = frozenset({"ok", "truncated"})
BILLED = ANSWERED | {"empty", "invalid"}  # also where nobody says how many tokens it took
FATAL = "fatal"  # finish_reason of an error that stopped its run: a wrong key says nothing about the request
REFUSED_PARAMETER = "refused_parameter"  # finish_reason of an error that taught what the model does not take
REPAIRED = "repaired"  # finish_reason of an unusable answer that another request's answer replaced
HOW_TO_ASK = frozenset({"timeout", "safety"})  # options of an endpoint that say how to ask, not what
_NOT_THE_REQUESTS_FAULT = (FATAL, REFUSED_PARAMETER)


@dataclass(frozen=True)
class EmbedRequest:
    """A batch of texts to embed in one request."""

    texts: tuple[str, ...]


Request = ChatRequest | EmbedRequest
Answer = ChatAnswer | Embeddings


def request_hash(endpoint: Endpoint, request: Request) -> str:
    """Hexadecimal SHA-256 of all that determines the answer, as canonical JSON.

    Parameters count under their usual names. A parameter that the model refuses, or takes under another name, changes
    no hash: answers from before that was learnt are still found. Nor does `safety`, which decides whether an answer is
    held back, not what it says. `endpoint.base_url` must be the one that is used.
    """
    meant = {name: value for name, value in asdict(request).items() if value is not None}
    if isinstance(request, ChatRequest) and request.schema is None:
        meant.pop("schema_name")
    asked = {
        "provider": endpoint.provider,
        "model_id": endpoint.model_id,
        "base_url": (endpoint.base_url or "").rstrip("/"),
        "options": {name: value for name, value in endpoint.options.items() if name not in HOW_TO_ASK},
        "request": meant,
    }
    canonical = json.dumps(asked, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class CallHistory:
    """What the ledger says about one request and sample number.

    `answered`: the row that holds the answer. `under_way`: rows without an outcome. `last`: the latest attempt that
    ended, and `attempts` the highest number given out.
    """

    answered: sqlite3.Row | None
    under_way: tuple[sqlite3.Row, ...]
    last: sqlite3.Row | None
    attempts: int
    invalid: int

    @property
    def failed_for_good(self) -> bool:
        """The latest attempt failed in a way that the same request will meet again."""
        return (
            self.last is not None
            and self.last["outcome"] not in TRANSIENT | ANSWERED
            and self.last["finish_reason"] not in _NOT_THE_REQUESTS_FAULT
        )


def attempts(db: sqlite3.Connection, model_id: int, key: str, sample: int) -> list[sqlite3.Row]:
    """The rows of one request and sample number, the latest first."""
    parameters = {"request_hash": key, "sample": sample, "model_id": model_id}
    return db.execute(sqlfiles.query("asking/call_attempts"), parameters).fetchall()


def history(rows: Sequence[sqlite3.Row], only_run: int | None = None) -> CallHistory:
    """Reads the rows of one request, the latest first. `only_run`: the other runs' rows are ignored (--fresh)."""
    counting = [row for row in rows if only_run is None or row["run_id"] == only_run]
    ended = [row for row in counting if row["outcome"] is not None]
    return CallHistory(
        answered=next((row for row in ended if row["outcome"] in ANSWERED and row["answer"] is not None), None),
        under_way=tuple(row for row in counting if row["outcome"] is None),
        last=ended[0] if ended else None,
        attempts=max((row["attempt"] for row in rows), default=0),
        invalid=sum(row["outcome"] == "invalid" for row in ended),
    )


def open_call(
    db: sqlite3.Connection, *, run_id: int | None, stage: str, model_id: int, key: str, sample: int, attempt: int
) -> int:
    """Writes a request that is about to be sent; returns the row's id."""
    cursor = db.execute(
        "INSERT INTO calls (run_id, stage, model_id, request_hash, sample, attempt) VALUES (?, ?, ?, ?, ?, ?)",
        (run_id, stage, model_id, key, sample, attempt),
    )
    return int(cursor.lastrowid or 0)


@dataclass(frozen=True)
class Closing:
    """How a request ended: the columns of `calls` that are written when it did."""

    outcome: str
    answer: str | None = None
    finish_reason: str | None = None
    http_status: int | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: float | None = None
    latency: float | None = None
    model_version: str | None = None
    error: str | None = None


def closing(result: Answer | ProviderError, price: Price) -> Closing:
    """What the ledger keeps of an answer or an error. Vectors are kept in `embeddings`, not here."""
    if isinstance(result, ProviderError):
        return _closing_of_error(result, price)
    tokens_out = result.tokens_out if isinstance(result, ChatAnswer) else 0
    closed = Closing(
        outcome="ok",
        http_status=result.http_status,
        tokens_in=result.tokens_in,
        tokens_out=tokens_out,
        cost=price.cost(result.tokens_in, tokens_out),
        latency=result.latency,
        model_version=_storable(result.model_version),
    )
    return _with_text(closed, result) if isinstance(result, ChatAnswer) else closed


def _with_text(closed: Closing, answer: ChatAnswer) -> Closing:
    return replace(
        closed,
        outcome=answer.outcome,
        answer=storable(answer.text)[0],
        finish_reason=_storable(answer.finish_reason),
        error="the answer has no text" if answer.outcome == "empty" else None,
    )


def _closing_of_error(error: ProviderError, price: Price) -> Closing:
    reason = FATAL if error.fatal else REFUSED_PARAMETER if error.refused_parameter else None
    return Closing(
        outcome=error.outcome,
        answer=_storable(error.text),
        finish_reason=reason,
        http_status=error.http_status,
        tokens_in=error.tokens_in,
        tokens_out=error.tokens_out,
        cost=price.cost(error.tokens_in, error.tokens_out) if error.tokens_in is not None else None,
        latency=error.latency,
        model_version=_storable(error.model_version),
        error=storable(str(error))[0],
    )


def _storable(text: str | None) -> str | None:
    return None if text is None else storable(text)[0]


def unusable(closed: Closing, reason: str) -> Closing:
    """The same answer, found not to be what was asked for."""
    return replace(closed, outcome="invalid", error=storable(reason)[0])


def reject(db: sqlite3.Connection, call_id: int, reason: str) -> None:
    """Marks a kept answer as one that cannot be used."""
    db.execute("UPDATE calls SET outcome = 'invalid', error = ? WHERE id = ?", (storable(reason)[0], call_id))


def mark_repaired(db: sqlite3.Connection, call_ids: Sequence[int]) -> None:
    """Marks unusable answers that another request replaced, so that they do not count as failures."""
    for call_id in call_ids:
        db.execute("UPDATE calls SET finish_reason = ? WHERE id = ? AND outcome = 'invalid'", (REPAIRED, call_id))


def close_call(db: sqlite3.Connection, call_id: int, closed: Closing) -> None:
    """Writes how a request ended."""
    db.execute(sqlfiles.query("asking/close_call"), {"id": call_id} | asdict(closed))


def interrupt(db: sqlite3.Connection, call_id: int) -> None:
    """Closes a request whose run was killed."""
    close_call(db, call_id, Closing("interrupted", error="the run was killed before the answer arrived"))


def runs_with_open_calls(db: sqlite3.Connection) -> list[int]:
    """Runs without an outcome that have requests under way: those executing now, and those that were killed."""
    return [row["run_id"] for row in db.execute(sqlfiles.query("asking/runs_with_open_calls"))]


def interrupt_run(db: sqlite3.Connection, run_id: int) -> int:
    """Closes the requests that a killed run left open, and the run's own row; returns how many requests those were."""
    ids = db.execute("SELECT id FROM calls WHERE run_id = ? AND outcome IS NULL", (run_id,)).fetchall()
    for row in ids:
        interrupt(db, row["id"])
    db.execute(
        "UPDATE runs SET outcome = 'interrupted', summary = 'killed' WHERE id = ? AND outcome IS NULL", (run_id,)
    )
    return len(ids)


def spent(db: sqlite3.Connection, run_id: int | None) -> float:
    """USD that the requests of a run cost so far; unknown costs count as 0."""
    row = db.execute("SELECT coalesce(sum(cost), 0.0) AS cost FROM calls WHERE run_id = ?", (run_id,)).fetchone()
    return float(row["cost"])


def mean_tokens_out(db: sqlite3.Connection, stage: str, model_id: int) -> float | None:
    """Tokens in the answers of one model at one stage so far, on average; None where there are none."""
    row = db.execute(sqlfiles.query("asking/mean_tokens_out"), {"stage": stage, "model_id": model_id}).fetchone()
    return None if row["tokens_out"] is None else float(row["tokens_out"])


def failures(db: sqlite3.Connection) -> list[sqlite3.Row]:
    """Requests that were never answered, counted by stage, model and the outcome of their latest attempt."""
    return db.execute(sqlfiles.query("asking/unanswered_requests")).fetchall()


def learnt(endpoint: Endpoint, settings: str) -> Endpoint:
    """The endpoint with what the model's `settings` (JSON) remember of parameters that it refuses."""
    kept = json.loads(settings)
    rename = dict(endpoint.rename) | kept.get("rename", {})
    omit = endpoint.omit | set(kept.get("omit", []))
    return replace(endpoint, omit=frozenset(omit), rename=tuple(sorted(rename.items())))


def remember_refusal(
    db: sqlite3.Connection, model_id: int, endpoint: Endpoint, parameter: str, replacement: str | None
) -> Endpoint:
    """Keeps with the model that it does not take a parameter; returns the endpoint that respects it.

    Without a replacement the parameter is left out. Call it inside a transaction.
    """
    row = db.execute("SELECT settings FROM models WHERE id = ?", (model_id,)).fetchone()
    settings: dict[str, Any] = json.loads(row["settings"])
    rename = {name: new for name, new in settings.get("rename", {}).items() if name != parameter}
    omit = set(settings.get("omit", []))
    if replacement:
        rename[parameter] = replacement
    else:
        omit.add(parameter)
    text = json.dumps(settings | {"omit": sorted(omit), "rename": rename}, ensure_ascii=False, sort_keys=True)
    db.execute("UPDATE models SET settings = ? WHERE id = ?", (text, model_id))
    return learnt(replace(endpoint, omit=frozenset(), rename=()), text)
