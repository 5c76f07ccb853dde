"""Asks Gemini where only `google-generativeai` is installed, which is no longer maintained (extra `gemini-legacy`).

It uses the client underneath that package, since the package itself keeps key and address in one place for the whole
process. That client blocks, so each request waits in a thread of its own.
"""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from madetl.providers.base import ChatAnswer, ChatRequest, Embeddings, Endpoint, ProviderError
from madetl.providers.failures import Refusal, clean, from_refusal, gemini_refusal
from madetl.providers.gemini_answers import generation_settings, read_chat
from madetl.providers.http import TIMEOUT, no_answer
from madetl.providers.keys import GEMINI, KeyAccess, access
from madetl.providers.messages import prompt_and_system
from madetl.text import counted

with warnings.catch_warnings():
    # Its dependencies warn of Python versions and packages whose support ends: nothing that a user of madetl can mend.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    from google.ai import generativelanguage as glm
    from google.api_core import exceptions
    from google.auth import credentials
    from google.protobuf import json_format
    from requests.exceptions import TooManyRedirects

_THREADS = 128  # more requests than these at once wait for one another


class LegacyGeminiProvider:
    """One model at one address. `options` of the endpoint: `timeout` in seconds."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._model = f"models/{endpoint.model_id.removeprefix('models/')}"
        self._access = access(endpoint, GEMINI)
        self._timeout = float(endpoint.options.get("timeout") or TIMEOUT)
        self._client = _client(self._access)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="gemini")

    async def chat(self, request: ChatRequest) -> ChatAnswer:
        """Asks once. Whether an answer with a schema keeps to it is left to the caller. Raises ProviderError."""
        prompt, system = prompt_and_system(request, self._endpoint)
        settings = generation_settings(request, self._endpoint)
        if "response_json_schema" in settings:
            settings["response_schema"] = proto_schema(settings.pop("response_json_schema"))
        asked: dict[str, Any] = {"model": self._model, "generation_config": settings}
        asked["contents"] = [{"role": "user", "parts": [{"text": prompt}]}]
        if system:
            asked["system_instruction"] = {"parts": [{"text": system}]}
        answer, latency = await self._send(self._client.generate_content, asked)
        return read_chat(_as_json(answer), 200, latency, self._access)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Embeds at most 100 texts. Gemini cuts over-long ones itself and does not say which. Raises ProviderError."""
        asked = [{"model": self._model, "content": {"parts": [{"text": text}]}} for text in texts]
        answer, latency = await self._send(self._client.batch_embed_contents, {"model": self._model, "requests": asked})
        vectors = [list(found.values) for found in answer.embeddings]
        if len(vectors) != len(texts) or not all(vectors):
            message = f"{len(vectors)} embeddings came for {counted(len(texts), 'text')}"
            raise ProviderError(message, outcome="server_error", http_status=200, latency=latency)
        return Embeddings(vectors, [False] * len(texts), self._endpoint.model_id, None, latency, 200)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.transport.close()

    async def _send(self, method: Callable[..., Any], asked: dict[str, Any]) -> tuple[Any, float]:
        """The client's answer and the seconds it took; anything else is a ProviderError, without its cause."""
        started = time.perf_counter()
        failure, answer = None, None
        call = partial(method, asked, retry=None, timeout=self._timeout)
        try:
            async with asyncio.timeout(self._timeout):
                answer = await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except exceptions.GoogleAPICallError as error:
            failure = from_refusal(_refusal(error), self._access, time.perf_counter() - started)
        except TooManyRedirects:
            elsewhere = Refusal(302, "the server sends requests elsewhere")
            failure = from_refusal(elsewhere, self._access, time.perf_counter() - started)
        except json_format.ParseError as error:
            latency, words = time.perf_counter() - started, clean(f"not JSON: {error}", self._access)
            failure = ProviderError(words, outcome="server_error", http_status=200, latency=latency)
        except Exception as error:  # the transport may raise errors of any class
            failure = no_answer(error, self._access, self._timeout, time.perf_counter() - started)
        if failure is not None:
            raise failure
        return answer, time.perf_counter() - started


def proto_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON Schema in the few words that this package knows; what it has no word for is left out."""
    kept: dict[str, Any] = {name: schema[name] for name in ("description", "enum", "required") if name in schema}
    kept["type_"] = str(schema.get("type", "object")).upper()
    if "enum" in schema:
        kept["format_"] = "enum"
    if "items" in schema:
        kept["items"] = proto_schema(schema["items"])
    if "properties" in schema:
        kept["properties"] = {name: proto_schema(part) for name, part in schema["properties"].items()}
    return kept


def _client(access: KeyAccess) -> Any:
    options: dict[str, Any] = {"api_endpoint": access.base_url}
    if access.key is None:
        client = glm.GenerativeServiceClient(
            transport="rest", client_options=options, credentials=credentials.AnonymousCredentials()
        )
    else:
        options["api_key"] = access.key
        client = glm.GenerativeServiceClient(transport="rest", client_options=options)
    client.transport._session.max_redirects = 0  # a key goes nowhere but to the address that it was meant for
    return client


def _refusal(error: Any) -> Refusal:
    response = error.response
    try:
        body = response.json()
    except (AttributeError, ValueError):
        body = {"error": {"message": error.message}}
    return gemini_refusal(int(error.code or 0), body, getattr(response, "headers", None) or {})


def _as_json(message: Any) -> Any:
    """The answer as the REST reference writes it."""
    return json_format.MessageToDict(type(message).pb(message))
