"""Asks models for everything that a stage wants to know, and never pays for an answer twice.

A stage hands over its tasks one by one (an iterator: they may be many) and a function that saves an answer. `ask_all`
opens the provider and runs the tasks; the scheduler decides what the ledger answers, what is sent and when, what is
tried again, and when to stop.
"""

from __future__ import annotations

import asyncio
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
from madetl.asking.concurrent import Concurrent, Opener
from madetl.asking.estimate import Estimate
from madetl.asking.estimate import estimate as _estimate
from madetl.asking.in_process import InProcess
from madetl.asking.ledger import EmbedRequest
from madetl.asking.scheduler import Scheduler
from madetl.asking.tasks import AskingError, AskOptions, AskProgress, AskReport, Caller, Save, Task, Unusable
from madetl.providers.base import BatchProvider, Endpoint, Provider, ProviderError
from madetl.text import counted

__all__ = [
    "AskOptions",
    "AskProgress",
    "AskReport",
    "AskingError",
    "Caller",
    "EmbedRequest",
    "Estimate",
    "Save",
    "Task",
    "Unusable",
    "ask_all",
    "estimate",
    "in_pages",
]

_SHOW = 0.1  # seconds between two reports of progress
_IN_A_ROW = {
    "unreachable": " None of the latest requests was answered: is the server up?",
    "unreadable": " None of the latest answers could be read: does the server speak this format?",
}

OpenProvider = Callable[[Endpoint], Provider | BatchProvider]


def ask_all(
    db: sqlite3.Connection,
    caller: Caller,
    tasks: Iterable[Task],
    save: Save,
    options: AskOptions | None = None,
    *,
    open_provider: OpenProvider | None = None,
    progress: Callable[[AskProgress], None] | None = None,
) -> AskReport:
    """Asks a model all tasks, with rolling concurrency, and saves each answer as it comes.

    `tasks` is consumed as the work goes on and must not hold a statement on `db` open (`in_pages` does not).
    Raises AskingError where going on is no use (wrong key, unknown model, no server), ParameterError where `max_cost`
    cannot be kept, and KeyboardInterrupt after Ctrl-C; what was answered is saved in every case.
    """
    options = options or AskOptions()
    locks.close_killed_runs(db)
    settings = db.execute("SELECT settings FROM models WHERE id = ?", (caller.model_id,)).fetchone()["settings"]
    endpoint = ledger.learnt(caller.endpoint, settings)
    addressed = replace(caller, endpoint=_addressed(caller.endpoint))
    scheduler = Scheduler(db, addressed, endpoint, iter(tasks), save=save, options=options)
    began = time.monotonic()
    try:
        with locks.run_lock(db, caller.run_id):
            scheduler.pull(1)
            if not scheduler.finished:  # loading a model may take a minute: only where something is left to ask
                _ask(db, scheduler, open_provider or providers.open_provider, options, progress or (lambda _: None))
    finally:
        scheduler.report.seconds = time.monotonic() - began
    return _closed(scheduler)


def estimate(db: sqlite3.Connection, caller: Caller, tasks: Iterable[Task], options: AskOptions) -> Estimate:
    """What `ask_all` would do with these tasks and what that would cost. Sends nothing and writes nothing."""
    return _estimate(db, replace(caller, endpoint=_addressed(caller.endpoint)), tasks, options)


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
    scheduler: Scheduler,
    open_provider: OpenProvider,
    options: AskOptions,
    progress: Callable[[AskProgress], None],
) -> None:
    provider = open_provider(scheduler.endpoint)
    if hasattr(provider, "chat_many"):
        in_process = InProcess(db, scheduler, cast(BatchProvider, provider), options.chunk)
        try:
            with _interruptible(in_process.interrupt):
                in_process.run(_shower(scheduler, in_process, progress, lambda: options.chunk))
        finally:
            provider.close()
        return
    concurrent = Concurrent(db, scheduler, provider, cast(Opener, open_provider), options.concurrency)
    with _interruptible(concurrent.interrupt):
        asyncio.run(concurrent.run(_shower(scheduler, concurrent, progress, lambda: int(concurrent.rate_limit.limit))))


def _closed(scheduler: Scheduler) -> AskReport:
    """The report of a run that came to its end, or what is to be raised instead."""
    report, endpoint = scheduler.report, scheduler.endpoint
    report.left_out = {endpoint.model_id: sorted(endpoint.omit)} if report.requests and endpoint.omit else {}
    if report.stopped == "interrupted":
        raise KeyboardInterrupt
    scheduler.count_rest()
    if scheduler.fatal is not None:
        raise AskingError(_last_words(scheduler.fatal, report), report)
    return report


def _last_words(error: ProviderError, report: AskReport) -> str:
    """The message of the error that ends the run: the provider's own words, a hint, and what was saved."""
    hint = f" {error.hint}" if error.hint else ""
    silent = _IN_A_ROW.get(report.stopped or "", "")
    counts = f"Saved: {counted(report.done + report.reused, 'answer')}; missing: {report.undone:,}."
    return f"{str(error).rstrip('.')}.{hint}{silent} {counts} Run the same command again to go on."


def _addressed(endpoint: Endpoint) -> Endpoint:
    """The endpoint with the address of its requests, for the hash: the same name elsewhere is another model."""
    from madetl.providers import keys

    home = keys.HOMES.get(endpoint.provider)
    return endpoint if home is None else replace(endpoint, base_url=keys.address_of(endpoint, home)[0])


def _shower(
    scheduler: Scheduler,
    asker: Concurrent | InProcess,
    progress: Callable[[AskProgress], None],
    limit: Callable[[], int],
) -> Callable[[], None]:
    """A function that reports progress, at most once in _SHOW seconds."""
    began, shown = time.monotonic(), 0.0

    def show() -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown < _SHOW:
            return
        shown = now
        scheduler.report.seconds = now - began
        rate = scheduler.report.done / max(now - began, 0.001)
        progress(AskProgress(scheduler.report, asker.in_flight, scheduler.waiting, limit(), rate))

    return show


@contextmanager
def _interruptible(interrupt: Callable[[], None]) -> Iterator[None]:
    """The first two presses of Ctrl-C call `interrupt`; a third does what Ctrl-C did before."""
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
