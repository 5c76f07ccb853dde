"""Asks Gemini through the `google-genai` package. What the older package needs stands in gemini_legacy.py.

The package's own retries are off: madetl.asking decides about them.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from google import genai
from google.genai import errors, types

from madetl.providers.base import ChatAnswer, ChatRequest, Embeddings, Endpoint, ProviderError
from madetl.providers.failures import clean, from_refusal, gemini_refusal
from madetl.providers.gemini_answers import generation_settings, read_chat
from madetl.providers.http import TIMEOUT, http_client, no_answer
from madetl.providers.keys import GEMINI, KeyAccess, access
from madetl.providers.messages import prompt_and_system
from madetl.text import counted


class GeminiProvider:
    """One model at one address. `options` of the endpoint: `timeout` in seconds, `extra_body` merged into requests."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._access = access(endpoint, GEMINI)
        self._timeout = float(endpoint.options.get("timeout") or TIMEOUT)
        self._http = http_client(self._timeout)
        if self._access.key is None:
            self._http.event_hooks["request"].append(_without_key)
        self._client = genai.Client(
            vertexai=False,
            api_key=self._access.key or "none",  # the package wants one; _without_key takes it out again
            http_options=types.HttpOptions(
                base_url=self._access.base_url,
                timeout=int(self._timeout * 1000),
                retry_options=types.HttpRetryOptions(attempts=1),
                httpx_async_client=self._http,
                extra_body=endpoint.options.get("extra_body"),
            ),
        )

    async def chat(self, request: ChatRequest) -> ChatAnswer:
        """Asks once. Whether an answer with a schema keeps to it is left to the caller. Raises ProviderError."""
        prompt, system = prompt_and_system(request, self._endpoint)
        config = types.GenerateContentConfig(
            system_instruction=system,
            should_return_http_response=True,  # the text as it came: the package's own reading fails on what is new
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            **generation_settings(request, self._endpoint),
        )
        answer, latency = await self._send(
            lambda: self._client.aio.models.generate_content(
                model=self._endpoint.model_id, contents=prompt, config=config
            )
        )
        data = _parsed(answer.sdk_http_response.body, latency, self._access)
        return read_chat(data, 200, latency, self._access)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Embeds at most 100 texts. Gemini cuts over-long ones itself and does not say which. Raises ProviderError."""
        contents: Any = [types.Content(parts=[types.Part(text=text)]) for text in texts]
        answer, latency = await self._send(
            lambda: self._client.aio.models.embed_content(model=self._endpoint.model_id, contents=contents)
        )
        vectors = [found.values or [] for found in answer.embeddings or []]
        if len(vectors) != len(texts) or not all(vectors):
            message = f"{len(vectors)} embeddings came for {counted(len(texts), 'text')}"
            raise ProviderError(message, outcome="server_error", http_status=200, latency=latency)
        return Embeddings(vectors, [False] * len(texts), self._endpoint.model_id, None, latency, 200)

    async def close(self) -> None:
        await self._http.aclose()
        self._client.close()

    async def _send(self, ask: Callable[[], Awaitable[Any]]) -> tuple[Any, float]:
        """The package's answer and the seconds it took; anything else is a ProviderError.

        Errors are raised without their cause: it may hold the request with its key.
        """
        started = time.perf_counter()
        failure, answer = None, None
        try:
            async with asyncio.timeout(self._timeout):
                answer = await ask()
        except errors.APIError as error:
            headers = getattr(error.response, "headers", None) or {}
            refusal = gemini_refusal(error.code, error.details, headers)
            failure = from_refusal(refusal, self._access, time.perf_counter() - started)
        except json.JSONDecodeError:
            latency = time.perf_counter() - started
            failure = ProviderError("not JSON", outcome="server_error", http_status=200, latency=latency)
        except Exception as error:  # the transport's own errors: which class they have depends on what is installed
            failure = no_answer(error, self._access, self._timeout, time.perf_counter() - started)
        if failure is not None:
            raise failure
        return answer, time.perf_counter() - started


async def _without_key(request: Any) -> None:
    request.headers.pop("x-goog-api-key", None)


def _parsed(body: str | None, latency: float, access: KeyAccess) -> Any:
    try:
        return json.loads(body or "")
    except ValueError:
        message = clean(f"not JSON: {(body or '')[:200]}", access)
    raise ProviderError(message, outcome="server_error", http_status=200, latency=latency)
