"""Asking under limits, against servers in processes of their own, with every answer committed as it comes.

Beside it the plain way: batches of 100 that wait for their slowest, with a second's pause between them where noted;
what failed goes into a batch at the end. Needs a machine that does nothing else.
"""

from __future__ import annotations

import asyncio
import heapq
import importlib
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from madetl import providers
from madetl.asking.ask import AskReport
from madetl.providers.base import ChatAnswer, ChatRequest, Endpoint, ProviderError
from madetl.store import database
from tests.benchmarks import Figure
from tests.support.ask_questions import ask, model, questions
from tests.support.provider_server import ProviderProcess, provider_process

COUNT, CONCURRENCY = 1000, 100
LOG_NORMAL = ("--latency-median", "0.2", "--latency-sigma", "0.6")
RATE, BURST = 100.0, 20.0
PAUSE = 1.0  # seconds, between batches


def figures() -> Iterator[Figure]:
    importlib.import_module("openai")  # a second that belongs to no measurement
    yield _log_normal()
    yield _strays()
    yield _token_bucket()
    yield _no_latency()


def _log_normal() -> Figure:
    with provider_process(*LOG_NORMAL) as server:
        seconds, report = _asked(server)
        best = list_scheduling(server.stats()["latencies"], CONCURRENCY)
    with provider_process(*LOG_NORMAL) as server:
        plain, paused = _batches(server, 0.0), _batches(server, PAUSE, first=COUNT)
    return Figure(
        f"{COUNT} answers, log-normal latency, {CONCURRENCY} at once",
        seconds,
        "at most 1.3 × list scheduling",
        seconds <= 1.3 * best and report.done == COUNT,
        plain,
        "batches of 100 that wait for their slowest",
        f"{seconds / best:.2f} × list scheduling ({best:.2f} s); plain {plain / best:.1f} ×, "
        f"with pauses of {PAUSE:.0f} s {paused / best:.1f} ×",
    )


def _strays() -> Figure:
    with provider_process(*LOG_NORMAL, "--stray", "0.02", "--retry-after", "1") as server:
        seconds, report = _asked(server)
        stats = server.stats()
    best = list_scheduling(stats["latencies"], CONCURRENCY)
    with provider_process(*LOG_NORMAL, "--stray", "0.02", "--retry-after", "1") as server:
        plain = _batches(server, PAUSE)
    return Figure(
        "the same with 2 % stray 429s, Retry-After: 1",
        seconds,
        "at most 1.8 × list scheduling, none lost or early",
        seconds <= 1.8 * best and report.done == COUNT and stats["early"] == 0,
        plain,
        f"batches of 100, {PAUSE:.0f} s apart, the failed ones in a batch at the end",
        f"{seconds / best:.2f} × list scheduling ({best:.2f} s); {stats['statuses'].get('429', 0)} met a 429",
    )


def _token_bucket() -> Figure:
    limits = ("--rate", str(RATE), "--burst", str(BURST))
    with provider_process(*LOG_NORMAL, *limits) as server:
        seconds, report = _asked(server, 2 * COUNT)
        stats = server.stats()
    used = stats["answered"] / (BURST + RATE * stats["seconds"])
    with provider_process(*LOG_NORMAL, *limits) as server:
        plain, early = _batches(server, 0.0, 2 * COUNT), server.stats()["early"]
    return Figure(
        f"{2 * COUNT} answers through a token bucket of {RATE:.0f}/s, burst {BURST:.0f}",
        seconds,
        "at least 85 % of the allowed rate, none lost or early",
        used >= 0.85 and report.done == 2 * COUNT and stats["early"] == 0,
        plain,
        "batches of 100 without a pause, the failed ones again until none is left",
        f"{used:.0%} of the allowed rate; {stats['statuses'].get('429', 0)} met a 429, "
        f"{stats['early']} were sent inside their Retry-After (plain: {early}), {report.undone} lost",
    )


def _no_latency() -> Figure:
    with provider_process() as server:
        seconds, report = _asked(server, 2 * COUNT)
    with provider_process() as server:
        plain = _batches(server, 0.0, 2 * COUNT)
    return Figure(
        f"{2 * COUNT} answers without latency, every one committed",
        seconds,
        "at least 300 a second",
        report.done / seconds >= 300,
        plain,
        "batches of 100, a commit for each",
        f"{report.done / seconds:.0f} a second",
    )


def list_scheduling(latencies: Sequence[float], slots: int) -> float:
    """Seconds that so many slots need for the work, each taking the next piece as it becomes free."""
    ends = [0.0] * slots
    for latency in latencies:
        heapq.heappush(ends, heapq.heappop(ends) + latency)
    return max(ends)


def _asked(server: ProviderProcess, count: int = COUNT) -> tuple[float, AskReport]:
    with tempfile.TemporaryDirectory() as folder, database.writing(Path(folder) / "mad.db") as db:
        model(db)
        start = time.perf_counter()
        report = ask(db, server.url, questions(count), concurrency=CONCURRENCY)
        return time.perf_counter() - start, report


def _batches(server: ProviderProcess, pause: float, count: int = COUNT, first: int = 0) -> float:
    """The plain way; `first` numbers the questions, so that two measurements do not ask the same."""
    requests = [ChatRequest(f"question {first + i}", max_tokens=100) for i in range(count)]
    with tempfile.TemporaryDirectory() as folder, database.writing(Path(folder) / "mad.db") as db:
        model(db)
        start = time.perf_counter()
        asyncio.run(_in_batches(db, server.url, requests, pause))
        return time.perf_counter() - start


async def _in_batches(db: sqlite3.Connection, url: str, requests: list[ChatRequest], pause: float) -> None:
    provider: Any = providers.open_provider(Endpoint("openai", "m", f"{url}/v1"))
    waiting = list(enumerate(requests))
    while waiting:
        batch, waiting = waiting[:100], waiting[100:]
        results = await asyncio.gather(*(provider.chat(request) for _, request in batch), return_exceptions=True)
        with database.transaction(db):
            for (i, request), result in zip(batch, results, strict=True):
                if isinstance(result, ChatAnswer):
                    db.execute("INSERT OR IGNORE INTO got VALUES (?, ?, 0)", (i, result.text))
                elif isinstance(result, ProviderError):
                    waiting.append((i, request))
        if waiting:
            await asyncio.sleep(pause)
    await provider.close()
