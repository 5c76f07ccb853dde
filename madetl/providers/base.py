"""What every provider takes and gives: requests, answers, and an error that says whether trying again can help.

    Provider           asks over a network, one request at a time, many at once (openai, gemini)
    BatchProvider      answers many requests in one call, in this process (vllm)

The caller keeps the ledger: a provider never retries, sleeps or stores anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Outcome = Literal[
    "ok", "truncated", "empty", "rate_limited", "timeout", "connection_error", "server_error",
    "client_error", "refused", "blocked", "invalid", "interrupted",
]  # fmt: skip
TRANSIENT: frozenset[str] = frozenset({"rate_limited", "timeout", "connection_error", "server_error", "interrupted"})
"""Outcomes after which the same request may succeed: what a plain second run tries again."""
SAMPLING = ("temperature", "top_p", "max_tokens", "presence_penalty", "frequency_penalty", "stop")
"""The parameters of a request that say how its answer is drawn and where it ends."""


@dataclass(frozen=True)
class Endpoint:
    """Where a model is asked, and how. `model_id` is the provider's name for it.

    `key_env` names the environment variable that holds the key; None: the provider's default one, and that only for
    the provider's own host or the base URL from the environment. `omit` are parameters that the model refuses;
    `rename` those it wants under another name (`max_tokens` → `max_completion_tokens`).
    """

    provider: str
    model_id: str
    base_url: str | None = None
    key_env: str | None = None
    omit: frozenset[str] = frozenset()
    rename: tuple[tuple[str, str], ...] = ()
    options: dict[str, Any] = field(default_factory=dict, hash=False)  # of the provider alone: chat_template, …


@dataclass(frozen=True)
class ChatRequest:
    """One question to a chat model. None leaves a parameter to the provider's default.

    An answer ends before the first of the texts `stop`. Penalties are from -2 to 2; above 0 they make words less likely
    that stand in the answer already: once for all (presence), or the more the more often they do (frequency).
    `schema` is a JSON Schema that the answer must satisfy (structured output); `schema_name` is its name there.
    """

    prompt: str
    system: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: tuple[str, ...] | None = None
    schema: dict[str, Any] | None = field(default=None, hash=False)
    schema_name: str = "answer"


@dataclass(frozen=True)
class ChatAnswer:
    """What came back. `outcome` is 'ok', 'truncated' (cut off at max_tokens: the text is what there is) or 'empty'."""

    text: str
    outcome: Outcome
    finish_reason: str | None
    model_version: str | None
    tokens_in: int | None
    tokens_out: int | None
    latency: float  # seconds
    http_status: int | None = None


@dataclass(frozen=True)
class Embeddings:
    """Vectors in the order of the texts: float rows of one length, not normalised. `truncated[i]`: text i was cut."""

    vectors: Sequence[Sequence[float]]
    truncated: Sequence[bool]
    model_version: str | None
    tokens_in: int | None
    latency: float
    http_status: int | None = None


class ProviderError(Exception):
    """A request that was not answered. Holds no secret: keys are removed from the provider's words.

    `outcome` is what goes into the ledger. `transient`: trying again can help. `fatal`: every other request will fail
    the same way (wrong key, unknown model): stop. `retry_after`: seconds that the provider asked to wait.
    `refused_parameter`: the one that this model does not take, with its replacement if the provider named one.
    """

    def __init__(
        self,
        message: str,
        *,
        outcome: Outcome,
        http_status: int | None = None,
        retry_after: float | None = None,
        fatal: bool = False,
        hint: str | None = None,
        refused_parameter: str | None = None,
        replacement: str | None = None,
        latency: float | None = None,
        tokens_in: int | None = None,
        tokens_out: int | None = None,
        model_version: str | None = None,
        text: str | None = None,
    ) -> None:
        super().__init__(message)
        self.outcome, self.http_status, self.retry_after = outcome, http_status, retry_after
        self.fatal, self.hint = fatal, hint
        self.refused_parameter, self.replacement = refused_parameter, replacement
        self.latency, self.tokens_in, self.tokens_out = latency, tokens_in, tokens_out
        self.model_version, self.text = model_version, text

    @property
    def transient(self) -> bool:
        return self.outcome in TRANSIENT


class Provider(Protocol):
    """A model behind a network. Cancelling a call abandons its request."""

    async def chat(self, request: ChatRequest) -> ChatAnswer:
        """Asks once. Raises ProviderError."""
        ...

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Embeds a batch once. Raises ProviderError."""
        ...

    async def close(self) -> None: ...


class BatchProvider(Protocol):
    """A model in this process."""

    def chat_many(self, requests: Sequence[ChatRequest]) -> list[ChatAnswer | ProviderError]:
        """Answers in the order of the requests."""
        ...

    def embed_many(self, texts: Sequence[str]) -> Embeddings: ...

    def close(self) -> None: ...
