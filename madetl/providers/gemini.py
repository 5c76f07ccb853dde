"""Asks Gemini through the `google-genai` package. What the older package needs stands in gemini_legacy.py.

The package's own retries are off: madetl.asking decides about them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Any

from google import genai
from google.genai import types

from madetl.providers.base import ChatAnswer, ChatRequest, Embeddings, Endpoint, ProviderError
from madetl.providers.gemini_answers import (
    gemini_reply,
    generation_settings,
    read_chat,
    read_embeddings,
    safety_settings,
)
from madetl.providers.http import TIMEOUT, Received, http_client, no_answer
from madetl.providers.keys import GEMINI, access
from madetl.providers.messages import prompt_and_system
from madetl.providers.reading import Reply

_KEPT: ContextVar[list[Any]] = ContextVar("responses of the request that this task sends")


class GeminiProvider:
    """One model at one address.

    `options` of the endpoint: `timeout` in seconds, `safety` (one of SAFETY), `extra_body` merged into requests.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._access = access(endpoint, GEMINI)
        self._timeout = float(endpoint.options.get("timeout") or TIMEOUT)
        self._http = http_client(self._timeout)
        self._http.event_hooks["response"].append(_keep)
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
        safety = [types.SafetySetting.model_validate(each) for each in safety_settings(self._endpoint)]
        config = types.GenerateContentConfig(
            system_instruction=system,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            safety_settings=safety or None,
            **generation_settings(request, self._endpoint),
        )
        reply = await self._send(
            lambda: self._client.aio.models.generate_content(
                model=self._endpoint.model_id, contents=prompt, config=config
            )
        )
        return read_chat(reply)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Embeds at most 100 texts. Gemini cuts over-long ones itself and does not say which. Raises ProviderError."""
        contents: Any = [types.Content(parts=[types.Part(text=text)]) for text in texts]
        reply = await self._send(
            lambda: self._client.aio.models.embed_content(model=self._endpoint.model_id, contents=contents)
        )
        return read_embeddings(reply, len(texts), self._endpoint.model_id)

    async def close(self) -> None:
        await self._http.aclose()
        self._client.close()

    async def _send(self, ask: Callable[[], Awaitable[Any]]) -> Reply:
        """The answer as it came; anything that is none is a ProviderError.

        The package's own reading of answers and errors fails on what is new or odd: what it makes of them is not used.
        Errors are raised without their cause: it may hold the request with its key.
        """
        started, kept = time.perf_counter(), list[Any]()
        _KEPT.set(kept)
        failure = None
        try:
            async with asyncio.timeout(self._timeout):
                await ask()
        except Exception as error:  # the transport's own errors: which class they have depends on what is installed
            failure = no_answer(error, self._access, self._timeout, time.perf_counter() - started)
        latency = time.perf_counter() - started
        if received := _whole(kept):
            return gemini_reply(received, latency, self._access)
        raise failure or ProviderError("no answer came", outcome="connection_error", latency=latency)


def _whole(responses: Sequence[Any]) -> Received | None:
    """The last answer, if all of it came."""
    if not responses:
        return None
    response = responses[-1]
    try:
        return Received(response.status_code, response.headers, response.content)
    except RuntimeError:  # httpx's ResponseNotRead
        return None


async def _without_key(request: Any) -> None:
    request.headers.pop("x-goog-api-key", None)


async def _keep(response: Any) -> None:
    _KEPT.get().append(response)
