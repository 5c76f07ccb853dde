"""A real HTTP server that speaks OpenAI's and Gemini's formats, as slow as it is told to be, and misbehaves on demand.

    with ProviderServer(plan=["429-retry", "ok"]) as server:       # in a thread, for tests
        … server.url, server.requests, server.answered …
    with provider_process("--latency-median", "0.2") as process:   # in a process of its own, for benchmarks
        … process.url, process.stats() …
    python -m tests.support.provider_server --rate 50 --burst 10   # the same by hand; GET /stats tells the counts

How a request is answered: by the next word of `plan`, else by `<<mode>>` in its prompt, else by chance (`stray`), else
by `mode`. All the modes stand in tests/support/provider_bodies.py. OpenAI clients take `url + "/v1"`, Gemini's `url`.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import json
import math
import random
import re
import threading
import time
import urllib.request
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from tests.support import children
from tests.support.provider_bodies import ReceivedRequest, answer_text, bomb, error_body, good_body, odd_body

_GEMINI = re.compile(r"models/([^:?]+):(\w+)")
_MARK = re.compile(r"<<([a-z0-9-]+)>>")
_REASONS = {200: "OK", 302: "Found", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}
_REASONS |= {429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable"}
_ODD = {"empty", "cut", "refusal", "blocked", "blocked-prompt", "wrong-structure"}
_NO_ANSWER: dict[str, Callable[[], tuple[bytes, dict[str, str]]]] = {
    "invalid-json": lambda: (b'{"choices": [{"message": {"content": "abc"', {}),
    "html": lambda: (b"<html><body>Welcome to the gateway</body></html>", {"Content-Type": "text/html"}),
    "no-choices": lambda: (b"{}", {}),
    "deep": lambda: (b"[" * 100_000, {}),
    "bomb": lambda: (bomb(), {"Content-Encoding": "gzip"}),
}
"""Bodies that are no answer, and their headers."""


@dataclass
class Behaviour:
    """What the server does. Times are seconds; `stray` is the share of requests that get `stray_mode`."""

    mode: str = "ok"
    plan: deque[str] = field(default_factory=deque)
    stray: float = 0.0
    stray_mode: str = "429-retry"
    retry_after: int = 1
    latency_median: float = 0.0
    latency_sigma: float = 0.0
    slow_seconds: float = 3.0
    rate: float | None = None  # requests a second that the token bucket lets through
    burst: float = 1.0
    seed: int = 0
    max_tokens_in: int | None = None  # of one text to embed, a token being a character
    answer: Callable[[ReceivedRequest], str] = answer_text
    odd: Callable[[ReceivedRequest, dict[str, Any]], Any] = lambda received, body: body  # in the mode "odd"


@dataclass
class Counts:
    """What happened. `early`: sent before its own Retry-After was over. `answers`: how often each request was."""

    requests: int = 0
    answered: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    early: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    first_at: float | None = None
    last_at: float | None = None

    def as_json(self) -> dict[str, Any]:
        seconds = (self.last_at or 0.0) - (self.first_at or 0.0)
        return {
            "requests": self.requests,
            "answered": self.answered,
            "answered_twice": sum(1 for count in self.answers.values() if count > 1),
            "distinct": len(self.answers),
            "most_in_flight": self.most_in_flight,
            "early": self.early,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "seconds": seconds,
            "latencies": self.latencies,
        }


class ProviderServer:
    """The server in a thread of this process. `behaviour` may be changed while it runs."""

    def __init__(self, plan: Iterable[str] = (), keep: int = 20_000, **behaviour: Any) -> None:
        self.behaviour = Behaviour(plan=deque(plan), **behaviour)
        self.counts = Counts()
        self.requests: deque[ReceivedRequest] = deque(maxlen=keep)
        self.url = ""
        self._chance = random.Random(self.behaviour.seed)
        self._latency = random.Random(self.behaviour.seed)
        self._tokens, self._filled_at = self.behaviour.burst, time.monotonic()
        self._not_before: dict[str, float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def answered(self) -> int:
        return self.counts.answered

    def __enter__(self) -> ProviderServer:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self.serve(0, lambda _: ready.set())), daemon=True)
        self._thread.start()
        assert ready.wait(10), "the server did not start"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def serve(self, port: int, ready: Callable[[str], object]) -> None:
        """Listens on the loopback until stopped; calls `ready` with the address."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._connection, "127.0.0.1", port, backlog=1024, limit=2**24)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready(self.url)
        await self._stop.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._one_request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _one_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Reads a request, answers it; False: close the connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if method == "GET":
            return await _send(writer, 200, json.dumps(self.counts.as_json()).encode())
        received = understand(path, headers, json.loads(body))
        received.key = hashlib.sha256(received.path.encode() + body).hexdigest()
        return await self._counted(received, writer)

    async def _counted(self, received: ReceivedRequest, writer: asyncio.StreamWriter) -> bool:
        counts, now = self.counts, time.monotonic()
        counts.requests += 1
        counts.in_flight += 1
        counts.most_in_flight = max(counts.most_in_flight, counts.in_flight)
        counts.early += now < self._not_before.get(received.key, 0.0)
        counts.first_at = now if counts.first_at is None else counts.first_at
        self.requests.append(received)
        try:
            return await self._answer(received, writer)
        finally:
            counts.in_flight -= 1
            counts.last_at = time.monotonic()
            counts.statuses[received.status] += 1

    async def _answer(self, received: ReceivedRequest, writer: asyncio.StreamWriter) -> bool:
        received.mode = self._choose(received)
        if received.mode == "closed":
            return False
        if received.mode == "slow":
            await asyncio.sleep(self.behaviour.slow_seconds)
        elif not received.mode.startswith("429"):
            await self._take_time()
        text = self.behaviour.answer(received)
        if received.mode == "half":
            return await _send_half(writer, json.dumps(good_body(received, text)).encode())
        status, body, headers = self._reply(received, text)
        received.status = status
        if "Retry-After" in headers and headers["Retry-After"].isdigit():
            self._not_before[received.key] = time.monotonic() + int(headers["Retry-After"])
        if status == 200:
            self.counts.answered += 1
            self.counts.answers[received.key] += 1
        if received.mode.startswith("drip"):
            return await _drip(writer, body, from_the_head=received.mode == "drip-head")
        return await _send(writer, status, body, headers)

    async def _take_time(self) -> None:
        behaviour = self.behaviour
        if behaviour.latency_median:
            seconds = self._latency.lognormvariate(math.log(behaviour.latency_median), behaviour.latency_sigma)
            self.counts.latencies.append(seconds)
            await asyncio.sleep(seconds)

    def _choose(self, received: ReceivedRequest) -> str:
        behaviour = self.behaviour
        if behaviour.plan:
            return behaviour.plan.popleft()
        if marked := _MARK.search(received.prompt):
            return marked[1]
        if behaviour.rate is not None and not self._token():
            return "429-bucket"
        if behaviour.stray and self._chance.random() < behaviour.stray:
            return behaviour.stray_mode
        return behaviour.mode

    def _token(self) -> bool:
        now = time.monotonic()
        self._tokens = min(self.behaviour.burst, self._tokens + (now - self._filled_at) * (self.behaviour.rate or 0.0))
        self._filled_at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def _reply(self, received: ReceivedRequest, text: str) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers for the request's mode."""
        mode = received.mode
        if mode in _NO_ANSWER:
            return 200, *_NO_ANSWER[mode]()
        if mode == "redirect":
            return 302, b"", {"Location": f"{self.url.replace('127.0.0.1', 'localhost')}/elsewhere"}
        status, message, extra, headers = self._refusal(received)
        if status != 200:
            return status, json.dumps(error_body(received, status, message, **extra)).encode(), headers
        body = odd_body(received, text) if mode in _ODD else good_body(received, text)
        if mode in ("odd", "odd-500"):
            body = self.behaviour.odd(received, body)
            return 200 if mode == "odd" else 500, json.dumps(body).encode(), {}
        if mode == "gzip":
            return 200, gzip.compress(json.dumps(body).encode()), {"Content-Encoding": "gzip"}
        return 200, json.dumps(body).encode(), {}

    def _refusal(self, received: ReceivedRequest) -> tuple[int, str, dict[str, str], dict[str, str]]:
        """Status, message, the error's further fields, headers; 200: nothing is refused."""
        seconds = str(self.behaviour.retry_after)
        simple: dict[str, tuple[int, str, dict[str, str], dict[str, str]]] = {
            "429": (429, "Rate limit reached", {"code": "rate_limit_exceeded"}, {}),
            "429-retry": (429, "Rate limit reached", {"code": "rate_limit_exceeded"}, {"Retry-After": seconds}),
            "429-bucket": (429, "Rate limit reached", {"code": "rate_limit_exceeded"}, {"Retry-After": self._wait()}),
            "429-date": (429, "Rate limit reached", {}, {"Retry-After": formatdate(time.time() + 30, usegmt=True)}),
            "429-quota": (429, "You exceeded your current quota", {"code": "insufficient_quota"}, {}),
            "500": (500, "The server had an error while processing your request", {}, {}),
            "503": (503, "The engine is currently overloaded, please try again later", {}, {"Retry-After": seconds}),
            "400": (400, "Invalid request", {"code": "invalid_value"}, {}),
            "401": (401, "Incorrect API key provided", {"code": "invalid_api_key"}, {}),
            "403": (403, "Your project may not use this model", {"code": "model_not_allowed"}, {}),
            "404": (404, f"The model `{received.model}` does not exist", {"code": "model_not_found"}, {}),
        }
        if received.mode == "blocked-prompt" and received.api == "openai":
            return 400, "The prompt triggered the content management policy", {"code": "content_filter"}, {}
        return simple.get(received.mode) or self._parameter_refusal(received) or (200, "", {}, {})

    def _parameter_refusal(self, received: ReceivedRequest) -> tuple[int, str, dict[str, str], dict[str, str]] | None:
        body, limit = received.body, self.behaviour.max_tokens_in
        if received.mode == "refused-temperature" and "temperature" in body:
            words = f"'temperature' does not support {body['temperature']} with this model. Only the default (1) value"
            fields = {"code": "unsupported_value", "param": "temperature"}
            return 400, f"Unsupported value: {words} is supported.", fields, {}
        if received.mode == "refused-threshold":
            return 400, "User has requested a restricted HarmBlockThreshold setting BLOCK_NONE.", {}, {}
        if received.mode == "refused-max-tokens" and "max_tokens" in body:
            words = "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
            return 400, f"Unsupported parameter: {words}", {"code": "unsupported_parameter", "param": "max_tokens"}, {}
        longest = max(map(len, received.texts), default=0)
        if received.mode == "too-long" or (limit is not None and longest > limit):
            limit = 8192 if limit is None else limit
            words = f"maximum context length is {limit} tokens, however you requested {longest} tokens"
            return 400, f"This model's {words} ({longest} in your prompt; 0 for the completion).", {}, {}
        return None

    def _wait(self) -> str:
        """Whole seconds until the bucket has a token, as the header wants them."""
        return str(max(1, math.ceil((1.0 - self._tokens) / (self.behaviour.rate or 1.0))))


def understand(path: str, headers: dict[str, str], body: dict[str, Any]) -> ReceivedRequest:
    """Which API was meant, and what was asked of which model."""
    if found := _GEMINI.search(path):
        kind = "embed" if "mbed" in found[2] else "chat"
        return ReceivedRequest("gemini", kind, found[1], path, headers, body)
    kind = "embed" if path.endswith("/embeddings") else "chat"
    return ReceivedRequest("openai", kind, str(body.get("model")), path, headers, body)


async def _send(writer: asyncio.StreamWriter, status: int, body: bytes, headers: dict[str, str] | None = None) -> bool:
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body))} | (headers or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    writer.write(f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\n{head}\r\n".encode() + body)
    await writer.drain()
    return True


async def _drip(writer: asyncio.StreamWriter, body: bytes, *, from_the_head: bool) -> bool:
    """A byte every tenth of a second, as long as anybody listens."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    whole, slow_from = head + body, 0 if from_the_head else len(head)
    writer.write(whole[:slow_from])
    for byte in whole[slow_from:]:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.1)
    return True


async def _send_half(writer: asyncio.StreamWriter, body: bytes) -> bool:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body[: len(body) // 2])
    await writer.drain()
    return False


class ProviderProcess:
    """The server in a process of its own."""

    def __init__(self, url: str) -> None:
        self.url = url

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/stats", timeout=30) as answer:
            return dict(json.load(answer))


@contextmanager
def provider_process(*arguments: str, seconds: float = 600) -> Iterator[ProviderProcess]:
    """Starts `python -m tests.support.provider_server` with these arguments, and ends it, after `seconds` at last."""
    with children.python("-m", "tests.support.provider_server", *arguments, seconds=seconds) as child:
        url = child.stdout.readline().strip()
        assert url, child.stderr.read()
        yield ProviderProcess(url)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    for name, kind in (("mode", str), ("stray", float), ("stray_mode", str), ("retry_after", int), ("seed", int)):
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=getattr(Behaviour(), name))
    for name in ("latency_median", "latency_sigma", "slow_seconds", "rate", "burst"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(Behaviour(), name))
    options = vars(parser.parse_args())
    port = options.pop("port")
    server = ProviderServer(**options, keep=0)
    with suppress(KeyboardInterrupt):
        asyncio.run(server.serve(port, lambda url: print(url, flush=True)))


if __name__ == "__main__":
    main()
