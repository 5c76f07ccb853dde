"""Asks a model in this process, a chunk of tasks at a time: each chunk is saved before the next begins."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence

from madetl.asking.ledger import Answer, EmbedRequest
from madetl.asking.scheduler import Arrival, Opened, Scheduler
from madetl.providers.base import BatchProvider, ChatRequest, ProviderError
from madetl.store.database import transaction

_LOOK = 0.1  # seconds between looks at the clock while every task waits


class InProcess:
    """One run's chunks. `interrupt` may be called from a signal handler."""

    def __init__(self, db: sqlite3.Connection, scheduler: Scheduler, provider: BatchProvider, chunk: int) -> None:
        self._db, self._scheduler, self._provider, self._chunk = db, scheduler, provider, chunk
        self.in_flight = 0

    def interrupt(self) -> None:
        """After the first call no further chunk begins; the second abandons the chunk that is being answered."""
        if self._scheduler.report.stopped == "interrupted":
            raise KeyboardInterrupt
        self._scheduler.report.stopped = "interrupted"

    def run(self, show: Callable[[], None]) -> None:
        """Asks chunk after chunk until nothing is left or the scheduler stopped the run."""
        while not self._scheduler.finished and self._scheduler.report.stopped is None:
            self._scheduler.pull(self._chunk)
            with transaction(self._db):
                opened = self._scheduler.take(self._chunk, time.monotonic())
            self.in_flight = len(opened)
            show()
            if opened:
                self._ask(opened)
            elif self._scheduler.next_due() is not None and not self._scheduler.has_ready:
                time.sleep(_LOOK)
            self.in_flight = 0
            show()

    def _ask(self, opened: Sequence[Opened]) -> None:
        results: Sequence[Answer | ProviderError] = []
        try:
            results = self._answers(opened)
            self._book(opened, results, self._scheduler.book)
        except BaseException:
            abandoned = ProviderError("abandoned before the answer arrived", outcome="interrupted")
            self._book(opened, results or [abandoned] * len(opened), self._scheduler.book_without_saving)
            raise

    def _answers(self, opened: Sequence[Opened]) -> list[Answer | ProviderError]:
        """The answers in the order of the requests."""
        requests = [one.pending.request for one in opened]
        chats = iter(self._provider.chat_many([each for each in requests if isinstance(each, ChatRequest)]))
        return [self._embed(each) if isinstance(each, EmbedRequest) else next(chats) for each in requests]

    def _embed(self, request: EmbedRequest) -> Answer | ProviderError:
        try:
            return self._provider.embed_many(request.texts)
        except ProviderError as error:
            return error

    def _book(
        self,
        opened: Sequence[Opened],
        results: Sequence[Answer | ProviderError],
        book: Callable[[Arrival], None],
    ) -> None:
        with transaction(self._db):
            for one, result in zip(opened, results, strict=True):
                book(Arrival(one, result, time.monotonic()))
