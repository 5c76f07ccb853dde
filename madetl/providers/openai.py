"""Asks OpenAI, or any server that takes its chat and embeddings formats, through the `openai` package.

The package's own retries are off: madetl.asking decides about them.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import openai

from madetl.providers.base import ChatAnswer, ChatRequest, Embeddings, Endpoint, ProviderError
from madetl.providers.failures import clean, from_refusal, openai_refusal
from madetl.providers.http import TIMEOUT, http_client, no_answer
from madetl.providers.keys import OPENAI, KeyAccess, access
from madetl.providers.messages import chat_parameters, messages

_TOO_LONG = re.compile(r"maximum context length (?:is|of) (\d+) tokens.*?(?:requested|has|resulted in) (\d+)", re.S)
_SHORTEN = 0.95  # of what the counts say would fit: characters are not spread evenly over tokens
_MOST_CUTS = 6


class OpenAIProvider:
    """One model at one address. `options` of the endpoint: `timeout` in seconds, `extra_body` merged into requests."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._access = access(endpoint, OPENAI)
        self._timeout = float(endpoint.options.get("timeout") or TIMEOUT)
        self._client = _client(self._access, self._timeout)
        self._headers = _headers(self._access)

    async def chat(self, request: ChatRequest) -> ChatAnswer:
        """Asks once. Whether an answer with a schema keeps to it is left to the caller. Raises ProviderError."""
        extra = chat_parameters(request, self._endpoint) | dict(self._endpoint.options.get("extra_body") or {})
        data, status, latency = await self._send(
            lambda: self._client.chat.completions.with_raw_response.create(
                model=self._endpoint.model_id,
                messages=messages(request, self._endpoint),  # type: ignore[arg-type]
                extra_body=extra,
                extra_headers=self._headers,
            )
        )
        return read_chat(data, status, latency, self._access)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Embeds a batch. A text over the model's limit, which a refusal tells, is cut to fit. Raises ProviderError."""
        try:
            return await self._embed_once(texts)
        except ProviderError as error:
            if _too_long(error) is None:
                raise
        return _joined([await self._embed_cut(text) for text in texts])

    async def close(self) -> None:
        await self._client.close()

    async def _embed_once(self, texts: Sequence[str]) -> Embeddings:
        data, status, latency = await self._send(
            lambda: self._client.embeddings.with_raw_response.create(
                model=self._endpoint.model_id,
                input=list(texts),
                encoding_format="float",
                extra_body=self._endpoint.options.get("extra_body"),
                extra_headers=self._headers,
            )
        )
        return read_embeddings(data, status, latency, len(texts), self._access)

    async def _embed_cut(self, text: str) -> Embeddings:
        """One text by itself, shortened by what each refusal says about its length."""
        whole = text
        for _ in range(_MOST_CUTS):
            try:
                found = await self._embed_once([text])
            except ProviderError as error:
                counts = _too_long(error)
                if counts is None:
                    raise
                text = text[: _fitting(len(text), *counts)]
            else:
                cut = (len(text) < len(whole),)
                return Embeddings(
                    found.vectors, cut, found.model_version, found.tokens_in, found.latency, found.http_status
                )
        return await self._embed_once([text])

    async def _send(self, ask: Callable[[], Awaitable[Any]]) -> tuple[Any, int, float]:
        """The answer's JSON, its HTTP status and the seconds it took; anything else is a ProviderError.

        Errors are raised without their cause: it may hold the request with its key.
        """
        started = time.perf_counter()
        failure, body, status = None, b"", 0
        try:
            async with asyncio.timeout(self._timeout):
                raw = await ask()
            body, status = raw.http_response.content, raw.http_response.status_code
        except (openai.OpenAIError, TimeoutError, OSError, ValueError) as error:
            failure = self._failure(error, time.perf_counter() - started)
        if failure is not None:
            raise failure
        latency = time.perf_counter() - started
        return _parsed(body, status, latency, self._access), status, latency

    def _failure(self, error: Exception, latency: float) -> ProviderError:
        if isinstance(error, openai.APIStatusError):
            body = error.body if error.body is not None else error.response.text
            refusal = openai_refusal(error.status_code, body, error.response.headers)
            return from_refusal(refusal, self._access, latency)
        return no_answer(error, self._access, self._timeout, latency)


def read_chat(data: Any, status: int, latency: float, access: KeyAccess) -> ChatAnswer:
    """A chat completion as an answer. Raises ProviderError: refused, blocked, or no completion at all."""
    data = _dict(data)
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices:
        raise _no_answer(data, status, latency, access)
    choice = _dict(choices[0])
    message, usage = _dict(choice.get("message")), _dict(data.get("usage"))
    text, finish = _text(message.get("content")), choice.get("finish_reason")
    tokens_in, tokens_out = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    version = data.get("model")
    if message.get("refusal") or finish == "content_filter":
        raise ProviderError(
            clean(str(message.get("refusal") or "stopped by the provider's content filter"), access),
            outcome="refused" if message.get("refusal") else "blocked",
            http_status=status,
            latency=latency,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            model_version=version,
            text=text or None,
        )
    outcome = "empty" if not text.strip() else "truncated" if finish == "length" else "ok"
    return ChatAnswer(text, outcome, finish, version, tokens_in, tokens_out, latency, status)  # type: ignore[arg-type]


def read_embeddings(data: Any, status: int, latency: float, count: int, access: KeyAccess) -> Embeddings:
    """An embeddings answer in the order of the texts. Raises ProviderError where vectors are missing."""
    data = _dict(data)
    rows = [_dict(row) for row in data.get("data") or []]
    vectors = [row.get("embedding") for row in sorted(rows, key=lambda row: row.get("index", 0))]
    if len(vectors) != count or not all(vectors):
        raise _no_answer(data, status, latency, access)
    tokens = _count(_dict(data.get("usage")).get("prompt_tokens"))
    return Embeddings(vectors, [False] * count, data.get("model"), tokens, latency, status)  # type: ignore[arg-type]


def _client(access: KeyAccess, timeout: float) -> openai.AsyncOpenAI:
    key = access.key or "none"  # the package wants one; _headers takes it out again
    client = openai.AsyncOpenAI(api_key=key, base_url=access.base_url, max_retries=0, http_client=http_client(timeout))
    if not access.own:
        client.organization = client.project = None
    return client


def _headers(access: KeyAccess) -> dict[str, Any]:
    """The key, or no key. For foreign hosts, OPENAI_CUSTOM_HEADERS are removed: the package would send them."""
    headers: dict[str, Any] = {}
    if not access.own:
        lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").splitlines()
        headers = {line.partition(":")[0].strip(): openai.Omit() for line in lines if ":" in line}
        headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
    if access.key is None:
        return headers | {"Authorization": openai.Omit()}
    return headers if access.own else headers | {"Authorization": f"Bearer {access.key}"}


def _parsed(body: bytes, status: int, latency: float, access: KeyAccess) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        message = clean(f"not JSON: {body[:200].decode(errors='replace')}", access)
    hint = f"Is {access.base_url} the address of an API? It often ends with /v1."
    raise ProviderError(message, outcome="server_error", http_status=status, latency=latency, hint=hint)


def _no_answer(data: dict[str, Any], status: int, latency: float, access: KeyAccess) -> ProviderError:
    """The error for a 200 without an answer: gateways pass on the error of the server behind them so."""
    error = _dict(data.get("error"))
    code = error.get("code")
    if isinstance(code, int) and 300 <= code < 600:
        return from_refusal(openai_refusal(code, data, {}), access, latency)
    message = clean(f"no answer in {json.dumps(data)}", access)
    return ProviderError(message, outcome="server_error", http_status=status, latency=latency)


def _too_long(error: ProviderError) -> tuple[int, int] | None:
    """(limit, length) in tokens, where that is what was refused."""
    found = _TOO_LONG.search(str(error)) if error.outcome == "client_error" else None
    return (int(found[1]), int(found[2])) if found else None


def _fitting(characters: int, limit: int, tokens: int) -> int:
    """How many characters should fit: fewer than now in any case, at least one."""
    share = limit / tokens if tokens > limit else 1.0
    return max(1, min(characters - 1, int(characters * share * _SHORTEN)))


def _joined(parts: Sequence[Embeddings]) -> Embeddings:
    tokens = [part.tokens_in for part in parts]
    return Embeddings(
        vectors=[vector for part in parts for vector in part.vectors],
        truncated=[cut for part in parts for cut in part.truncated],
        model_version=parts[0].model_version,
        tokens_in=None if None in tokens else sum(count or 0 for count in tokens),
        latency=sum(part.latency for part in parts),
        http_status=parts[0].http_status,
    )


def _text(content: Any) -> str:
    """Text, or the texts of the parts that some gateways send."""
    if isinstance(content, list):
        return "".join(str(_dict(part).get("text") or "") for part in content)
    return content if isinstance(content, str) else ""


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
