"""Asks Gemini where only `google-generativeai` is installed, which is no longer maintained (extra `gemini-legacy`).

It uses the client underneath that package, since the package itself keeps key and address in one place for the whole
process. That client blocks, so each request waits in a thread of its own.
"""

from __future__ import annotations

import asyncio
import io
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from madetl.providers.base import ChatAnswer, ChatRequest, Embeddings, Endpoint, ProviderError
from madetl.providers.gemini_answers import (
    gemini_reply,
    generation_settings,
    read_chat,
    read_embeddings,
    safety_settings,
)
from madetl.providers.http import PACKINGS, TIMEOUT, Received, Unpacking, no_answer
from madetl.providers.keys import GEMINI, KeyAccess, access
from madetl.providers.messages import prompt_and_system
from madetl.providers.reading import Reply

with warnings.catch_warnings():
    # Its dependencies warn of Python versions and packages whose support ends: nothing that a user of madetl can mend.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    from google.ai import generativelanguage as glm
    from google.auth import credentials
    from requests.adapters import HTTPAdapter
    from urllib3 import HTTPResponse

_THREADS = 128  # more requests than these at once wait for one another
_CHUNK = 2**16  # bytes


class LegacyGeminiProvider:
    """One model at one address. `options` of the endpoint: `timeout` in seconds, `safety` (one of SAFETY)."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._model = f"models/{endpoint.model_id.removeprefix('models/')}"
        self._access = access(endpoint, GEMINI)
        self._timeout = float(endpoint.options.get("timeout") or TIMEOUT)
        self._adapter = _WholeAnswers(self._timeout)
        self._client = _client(self._access, self._adapter)
        self._room = asyncio.Semaphore(_THREADS)

    async def chat(self, request: ChatRequest) -> ChatAnswer:
        """Asks once. Whether an answer with a schema keeps to it is left to the caller. Raises ProviderError."""
        prompt, system = prompt_and_system(request, self._endpoint)
        settings = generation_settings(request, self._endpoint)
        if "response_json_schema" in settings:
            settings["response_schema"] = proto_schema(settings.pop("response_json_schema"))
        asked: dict[str, Any] = {"model": self._model, "generation_config": settings}
        asked["safety_settings"] = safety_settings(self._endpoint)
        asked["contents"] = [{"role": "user", "parts": [{"text": prompt}]}]
        if system:
            asked["system_instruction"] = {"parts": [{"text": system}]}
        return read_chat(await self._send(self._client.generate_content, asked))

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Embeds at most 100 texts. Gemini cuts over-long ones itself and does not say which. Raises ProviderError."""
        asked = [{"model": self._model, "content": {"parts": [{"text": text}]}} for text in texts]
        reply = await self._send(self._client.batch_embed_contents, {"model": self._model, "requests": asked})
        return read_embeddings(reply, len(texts), self._endpoint.model_id)

    async def close(self) -> None:
        self._client.transport.close()

    async def _send(self, method: Callable[..., Any], asked: dict[str, Any]) -> Reply:
        """The answer as it came; anything that is none is a ProviderError, without its cause."""
        started = time.perf_counter()
        failure, received = None, None
        try:
            async with asyncio.timeout(self._timeout):
                await self._room.acquire()
                received = await _in_thread(lambda: self._received(method, asked), self._room.release)
        except Exception as error:  # the transport may raise errors of any class
            failure = no_answer(error, self._access, self._timeout, time.perf_counter() - started)
        latency = time.perf_counter() - started
        if received is None:
            raise failure or ProviderError("no answer came", outcome="connection_error", latency=latency)
        return gemini_reply(received, latency, self._access)

    def _received(self, method: Callable[..., Any], asked: dict[str, Any]) -> Received | None:
        """What came, whatever the package made of it: its own reading fails on what is new or odd. In a thread."""
        kept = self._adapter.kept
        kept.received = None
        try:
            method(asked, retry=None, timeout=self._timeout)
        except Exception:
            if kept.received is None:
                raise
        received: Received | None = kept.received
        return received


class _WholeAnswers(HTTPAdapter):  # type: ignore[misc]
    """Reads each answer whole, within MOST_BYTES and the time for it, and keeps it for the thread that waits for it."""

    def __init__(self, timeout: float) -> None:
        super().__init__(pool_maxsize=_THREADS)
        self._timeout, self.kept = timeout, threading.local()

    def send(self, *args: Any, **options: Any) -> Any:
        self.kept.until = time.monotonic() + self._timeout
        return super().send(*args, **options)

    def build_response(self, req: Any, resp: Any) -> Any:
        headers = {name: value for name, value in resp.headers.items() if name.lower() != "content-encoding"}
        unpacking = Unpacking(resp.headers.get("content-encoding", ""))
        try:
            body = b"".join(piece for chunk in self._chunks(resp) for piece in unpacking(chunk))
        except BaseException:
            resp.close()
            raise
        resp.release_conn()
        self.kept.received = Received(resp.status, headers, body)
        whole = HTTPResponse(
            io.BytesIO(body), headers, resp.status, reason=resp.reason, preload_content=False, decode_content=False
        )
        return super().build_response(req, whole)

    def _chunks(self, response: Any) -> Iterator[bytes]:
        while chunk := response.read1(_CHUNK, decode_content=False):
            if time.monotonic() > self.kept.until:
                raise TimeoutError
            yield chunk


async def _in_thread(work: Callable[[], Received | None], done: Callable[[], None]) -> Received | None:
    """What `work` returns in a thread that nobody waits for at the end: a server may keep it for ever.

    `done` is called when it has ended, which may be long after this was cancelled.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Received | None] = loop.create_future()

    def end(received: Received | None, error: Exception | None) -> None:
        done()
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(received)

    def run() -> None:
        received, error = None, None
        try:
            received = work()
        except Exception as caught:
            error = caught
        with suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(end, received, error)

    threading.Thread(target=run, name="gemini", daemon=True).start()
    return await result


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


def _client(access: KeyAccess, adapter: HTTPAdapter) -> Any:
    options: dict[str, Any] = {"api_endpoint": access.base_url}
    if access.key is None:
        client = glm.GenerativeServiceClient(
            transport="rest", client_options=options, credentials=credentials.AnonymousCredentials()
        )
    else:
        options["api_key"] = access.key
        client = glm.GenerativeServiceClient(transport="rest", client_options=options)
    session = client.transport._session
    session.max_redirects = 0  # a key goes nowhere but to the address that it was meant for
    session.headers["Accept-Encoding"] = PACKINGS
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapter)
    return client
