"""Asks OpenAI, or any server that takes its chat and embeddings formats, through the `openai` package.

The package's own retries are off: madetl.asking decides about them.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import openai
from pydantic import BeforeValidator, Field

from madetl.providers.base import ChatAnswer, ChatRequest, Embeddings, Endpoint, Outcome, ProviderError
from madetl.providers.failures import from_refusal, openai_refusal
from madetl.providers.http import TIMEOUT, UnreadableBodyError, http_client, no_answer
from madetl.providers.keys import OPENAI, KeyAccess, access
from madetl.providers.messages import chat_parameters, messages
from madetl.providers.reading import Count, Part, Reply, Vector, count_at, member, parsed, shown

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
        reply = await self._send(
            lambda: self._client.chat.completions.with_raw_response.create(
                model=self._endpoint.model_id,
                messages=messages(request, self._endpoint),  # type: ignore[arg-type]
                extra_body=extra,
                extra_headers=self._headers,
            )
        )
        return read_chat(reply)

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
        reply = await self._send(
            lambda: self._client.embeddings.with_raw_response.create(
                model=self._endpoint.model_id,
                input=list(texts),
                encoding_format="float",
                extra_body=self._endpoint.options.get("extra_body"),
                extra_headers=self._headers,
            )
        )
        return read_embeddings(reply, len(texts))

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

    async def _send(self, ask: Callable[[], Awaitable[Any]]) -> Reply:
        """The answer; anything that is none is a ProviderError.

        Errors are raised without their cause: it may hold the request with its key.
        """
        started = time.perf_counter()
        failure, body, status = None, b"", 0
        try:
            async with asyncio.timeout(self._timeout):
                raw = await ask()
            body, status = raw.http_response.content, raw.http_response.status_code
        except (openai.OpenAIError, UnreadableBodyError, TimeoutError, OSError, ValueError) as error:
            failure = self._failure(error, time.perf_counter() - started)
        if failure is not None:
            raise failure
        latency = time.perf_counter() - started
        hint = f"Is {self._access.base_url} the address of an API? It often ends with /v1."
        return parsed(body, status, latency, self._access, hint)

    def _failure(self, error: Exception, latency: float) -> ProviderError:
        if isinstance(error, openai.APIStatusError):
            body = error.body if error.body is not None else error.response.text
            refusal = openai_refusal(error.status_code, body, error.response.headers)
            return from_refusal(refusal, self._access, latency)
        return no_answer(error, self._access, self._timeout, latency)


class _Usage(Part):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None


def _text(content: Any) -> str:
    """Text, or the texts of the parts that some gateways send."""
    if isinstance(content, list):
        return "".join(_text(member(part, "text")) for part in content)
    if content is None or isinstance(content, str):
        return content or ""
    raise ValueError("input should be text")


class _Message(Part):
    content: Annotated[str, BeforeValidator(_text)] = ""
    refusal: str | None = None


class _ChatChoice(Part):
    message: _Message
    finish_reason: str | None = None


class _Completion(Part):
    choices: Annotated[list[_ChatChoice], Field(min_length=1)]
    model: str | None = None
    usage: _Usage | None = None


class _Row(Part):
    embedding: Vector
    index: int | None = None


class _EmbeddingList(Part):
    data: list[_Row]
    model: str | None = None
    usage: _Usage | None = None


def read_chat(reply: Reply) -> ChatAnswer:
    """A chat completion as an answer. Raises ProviderError: refused, blocked, invalid, or an error with status 200."""
    data = reply.data
    if not member(data, "choices") and member(data, "error"):
        raise _passed_on(reply)
    tokens_in = count_at(data, "usage", "prompt_tokens")
    tokens_out = count_at(data, "usage", "completion_tokens")
    completion = reply.fitted(_Completion, tokens_in=tokens_in, tokens_out=tokens_out)
    message, finish = completion.choices[0].message, completion.choices[0].finish_reason
    text = message.content
    if message.refusal or finish == "content_filter":
        raise ProviderError(
            reply.clean(message.refusal or "stopped by the provider's content filter"),
            outcome="refused" if message.refusal else "blocked",
            http_status=reply.status,
            latency=reply.latency,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            model_version=completion.model,
            text=text or None,
        )
    outcome: Outcome = "empty" if not text.strip() else "truncated" if finish == "length" else "ok"
    return ChatAnswer(text, outcome, finish, completion.model, tokens_in, tokens_out, reply.latency, reply.status)


def read_embeddings(reply: Reply, texts: int) -> Embeddings:
    """An embeddings answer in the order of the texts. Raises ProviderError: invalid, or an error with status 200."""
    if not member(reply.data, "data") and member(reply.data, "error"):
        raise _passed_on(reply)
    tokens = count_at(reply.data, "usage", "prompt_tokens")
    found = reply.fitted(_EmbeddingList, tokens_in=tokens)
    indices = [row.index for row in found.data]
    vectors = [row.embedding for row in found.data]
    if any(index is not None for index in indices):
        if sorted(index for index in indices if index is not None) != list(range(texts)) or len(indices) != texts:
            raise reply.invalid(f"{texts} texts were sent, and the indices are {shown(indices)}", tokens_in=tokens)
        vectors = [vector for _, vector in sorted(zip(indices, vectors, strict=True), key=lambda pair: pair[0] or 0)]
    return reply.embeddings(vectors, [False] * texts, found.model, tokens)


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


def _passed_on(reply: Reply) -> ProviderError:
    """The error for a 200 that holds one: gateways pass on that of the server behind them so."""
    code = member(reply.data, "error", "code")
    if isinstance(code, int) and 300 <= code < 600 and reply.access:
        return from_refusal(openai_refusal(code, reply.data, {}), reply.access, reply.latency)
    message = f"no answer in {shown(reply.data)}"
    return ProviderError(reply.clean(message), outcome="server_error", http_status=reply.status, latency=reply.latency)


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
