"""Asks a model in this process, a chunk of tasks at a time: each chunk is saved before the next begins."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from madetl.asking.ledger import Answer, EmbedRequest
from madetl.asking.scheduler import Arrival, Opened, Scheduler
from madetl.providers.base import BatchProvider, ChatRequest, ProviderError
from madetl.store.database import transaction
from madetl.text import counted

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
            if opened:
                self._ask(opened, show)
            elif self._scheduler.next_due() is not None and not self._scheduler.has_ready:
                time.sleep(_LOOK)
            self.in_flight = 0
            show()

    def _ask(self, opened: Sequence[Opened], show: Callable[[], None]) -> None:
        """Asks a chunk and stores it. Whatever is raised on the way, no row stays open and no answer is lost for it."""
        results: Sequence[Answer | ProviderError] = []
        try:
            show()
            results = self._answers(opened)
            with transaction(self._db):
                for arrival in _arrivals(opened, results):
                    self._scheduler.book(arrival)
        except BaseException:
            abandoned = ProviderError("abandoned before the answer arrived", outcome="interrupted")
            for arrival in _arrivals(opened, results or [abandoned] * len(opened)):
                self._rescue(arrival)
            raise

    def _rescue(self, arrival: Arrival) -> None:
        for store in self._scheduler.rescue(arrival):
            with suppress(Exception), transaction(self._db):  # the first error is the one that is raised
                store()
                return

    def _answers(self, opened: Sequence[Opened]) -> list[Answer | ProviderError]:
        """The answers in the order of the requests."""
        requests = [one.pending.request for one in opened]
        questions = [each for each in requests if isinstance(each, ChatRequest)]
        answers = self._provider.chat_many(questions)
        if len(answers) != len(questions):
            words = f"{counted(len(answers), 'answer')} came for {counted(len(questions), 'question')}"
            answers = [ProviderError(words, outcome="invalid") for _ in questions]
        chats = iter(answers)
        return [self._embed(each) if isinstance(each, EmbedRequest) else next(chats) for each in requests]

    def _embed(self, request: EmbedRequest) -> Answer | ProviderError:
        try:
            return self._provider.embed_many(request.texts)
        except ProviderError as error:
            return error


def _arrivals(opened: Sequence[Opened], results: Sequence[Answer | ProviderError]) -> list[Arrival]:
    now = time.monotonic()
    return [Arrival(one, result, now) for one, result in zip(opened, results, strict=True)]
