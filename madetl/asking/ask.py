"""Asks models for everything that a stage wants to know, and never pays for an answer twice.

A stage hands over its tasks one by one (an iterator: they may be many) and a function that saves an answer; everything
between is decided here: what the ledger answers, what is sent and when, what is tried again, when to stop.

    tasks      what is asked, and what came of it       desk       what to do with each task, and with what comes back
    network    many requests at once                    batch      a model in this process, chunk by chunk
    pacing     how fast                                 claims     which runs execute and which were killed
    estimate   the dry run

Imports point one way: __init__ → network, batch → desk → estimate, claims, pacing, tasks → madetl.asking.ledger.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

from madetl import providers
from madetl.asking import ledger, locks
from madetl.asking.concurrent import Network, Opener
from madetl.asking.estimate import Estimate
from madetl.asking.estimate import estimate as _estimate
from madetl.asking.in_process import Batch
from madetl.asking.ledger import EmbedRequest
from madetl.asking.scheduler import Desk
from madetl.asking.tasks import Asked, AskingError, AskOptions, AskReport, Progress, Save, Task, Unusable
from madetl.providers.base import BatchProvider, Endpoint, Provider, ProviderError

__all__ = [
    "AskOptions",
    "AskReport",
    "Asked",
    "AskingError",
    "EmbedRequest",
    "Estimate",
    "Progress",
    "Save",
    "Task",
    "Unusable",
    "ask_all",
    "estimate",
    "in_pages",
]

_SHOW = 0.1  # seconds between two reports of progress

OpenProvider = Callable[[Endpoint], Provider | BatchProvider]


def ask_all(
    db: sqlite3.Connection,
    asked: Asked,
    tasks: Iterable[Task],
    save: Save,
    options: AskOptions | None = None,
    *,
    open_provider: OpenProvider | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> AskReport:
    """Asks a model all tasks, with rolling concurrency, and saves each answer as it comes.

    `tasks` is consumed as the work goes on and must not hold a statement on `db` open (`in_pages` does not).
    Raises AskingError where going on is no use (wrong key, unknown model, no server), ParameterError where `max_cost`
    cannot be kept, and KeyboardInterrupt after Ctrl-C; what was answered is saved in every case.
    """
    options = options or AskOptions()
    locks.bury_dead(db)
    settings = db.execute("SELECT settings FROM models WHERE id = ?", (asked.model_id,)).fetchone()["settings"]
    endpoint = ledger.learnt(asked.endpoint, settings)
    addressed = replace(asked, endpoint=_addressed(asked.endpoint))
    desk = Desk(db, addressed, endpoint, iter(tasks), save=save, options=options)
    began = time.monotonic()
    try:
        with locks.claimed(db, asked.run_id):
            desk.pull(1)
            if not desk.finished:  # a model may take a minute to load: not for nothing
                _ask(db, desk, open_provider or providers.open_provider, options, progress or (lambda _: None))
    finally:
        desk.report.seconds = time.monotonic() - began
    return _closed(desk)


def estimate(db: sqlite3.Connection, asked: Asked, tasks: Iterable[Task], options: AskOptions) -> Estimate:
    """What `ask_all` would do with these tasks and what that would cost; nobody is asked, nothing is written."""
    return _estimate(db, replace(asked, endpoint=_addressed(asked.endpoint)), tasks, options)


def in_pages(db: sqlite3.Connection, sql: str, parameters: dict[str, Any], size: int = 500) -> Iterator[sqlite3.Row]:
    """The rows of a query page by page, so that no statement stays open while others write.

    The query takes `:after` and `:page`, and is ordered by its first column, an id: `WHERE id > :after … LIMIT :page`.
    """
    after = 0
    while page := db.execute(sql, parameters | {"after": after, "page": size}).fetchall():
        yield from page
        after = page[-1][0]


def _ask(
    db: sqlite3.Connection,
    desk: Desk,
    open_provider: OpenProvider,
    options: AskOptions,
    progress: Callable[[Progress], None],
) -> None:
    provider = open_provider(desk.endpoint)
    if hasattr(provider, "chat_many"):
        batch = Batch(db, desk, cast(BatchProvider, provider), options.chunk)
        try:
            with _interruptible(batch.interrupt):
                batch.run(_shower(desk, batch, progress, lambda: options.chunk))
        finally:
            provider.close()
        return
    network = Network(db, desk, provider, cast(Opener, open_provider), options.concurrency)
    with _interruptible(network.interrupt):
        asyncio.run(network.run(_shower(desk, network, progress, lambda: int(network.pace.limit))))


def _closed(desk: Desk) -> AskReport:
    """The report of a run that came to its end, or what is to be raised instead."""
    report = desk.report
    if report.stopped == "interrupted":
        raise KeyboardInterrupt
    desk.count_rest()
    if desk.fatal is not None:
        raise AskingError(_last_words(desk.fatal, report), report)
    return report


def _last_words(error: ProviderError, report: AskReport) -> str:
    """The provider's own words, a hint, and what was saved."""
    hint = f" {error.hint}" if error.hint else ""
    silent = " Nothing that was tried lately was answered: is the server up?" if report.stopped == "unreachable" else ""
    counts = f"{report.done + report.reused} answers are saved, {report.undone} are missing."
    return f"{str(error).rstrip('.')}.{hint}{silent} {counts} Run the same command again to go on."


def _addressed(endpoint: Endpoint) -> Endpoint:
    """The endpoint with the address that its requests go to, for the hash: the same name elsewhere is another model."""
    from madetl.providers import keys

    home = {"openai": keys.OPENAI, "gemini": keys.GEMINI}.get(endpoint.provider)
    if home is None or endpoint.base_url:
        return endpoint
    given = next((os.environ[name] for name in home.url_names if os.environ.get(name)), None)
    return replace(endpoint, base_url=given or home.base_url)


def _shower(
    desk: Desk, asker: Network | Batch, progress: Callable[[Progress], None], limit: Callable[[], int]
) -> Callable[[], None]:
    """Reports progress, not too often."""
    began, shown = time.monotonic(), 0.0

    def show() -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown < _SHOW:
            return
        shown = now
        desk.report.seconds = now - began
        rate = desk.report.done / max(now - began, 0.001)
        progress(Progress(desk.report, asker.in_flight, desk.waiting, limit(), rate))

    return show


@contextmanager
def _interruptible(interrupt: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C calls `interrupt`, twice at most; after that it does what it did before."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before in (signal.SIG_IGN, None):
        yield
        return
    presses = 0

    def press(*_: object) -> None:
        nonlocal presses
        presses += 1
        if presses == 2:
            signal.signal(signal.SIGINT, before)
        interrupt()

    signal.signal(signal.SIGINT, press)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
