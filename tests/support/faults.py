"""Faults at a chosen moment: the i-th write to a database, the i-th answer of a provider.

with writing(file) as db:
    db.fail_at(7)          # the 7th write from now on raises, once
    …
with failing_provider(3):  # the 3rd answer arrives, and its provider's code raises
    …
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from madetl import providers
from madetl.providers.base import ChatAnswer, ChatRequest, Embeddings, Endpoint, Provider
from madetl.store import database

_COMMENT = re.compile(r"--[^\n]*\n|\s+")
_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "BEGIN IMMEDIATE")


class InjectedError(sqlite3.OperationalError):
    """What SQLite raises where a disk fails, say."""


class ProgramError(Exception):
    """What faulty code raises."""


class FailingConnection(sqlite3.Connection):
    """A connection whose i-th write raises: the begin of a transaction, a statement that changes rows, a commit."""

    writes, _at, _gives_up, _lasts = 0, 0, False, False

    def fail_at(self, write: int, *, gives_up: bool = False, lasts: bool = False) -> None:
        """Counts from now on. `gives_up`: SQLite rolls the transaction back by itself, as it does where a disk is full.
        `lasts`: every later write fails, too."""
        self.writes, self._at, self._gives_up, self._lasts = 0, write, gives_up, lasts

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if _COMMENT.sub(" ", sql).lstrip().upper().startswith(_WRITES):
            self._count()
        return super().execute(sql, parameters)

    def commit(self) -> None:
        self._count()
        super().commit()

    def _count(self) -> None:
        self.writes += 1
        if self.writes == self._at or (self._lasts and self.writes > self._at):
            if self._gives_up:
                self.rollback()
            raise InjectedError(f"the write {self.writes} fails")


@contextmanager
def writing(file: Path) -> Iterator[FailingConnection]:
    """`database.writing`, with a connection that can fail."""
    connect = partial(sqlite3.connect, factory=FailingConnection)
    with mock.patch.object(sqlite3, "connect", connect), database.writing(file) as db:
        assert isinstance(db, FailingConnection)
        yield db


class FailingProvider:
    """Asks another provider, and raises in the place of one answer. Several may share the count of answers."""

    def __init__(self, provider: Provider, at: int, answers: Iterator[int]) -> None:
        self._provider, self._at, self._answers = provider, at, answers

    async def chat(self, request: ChatRequest) -> ChatAnswer:
        answer = await self._provider.chat(request)
        self._count()
        return answer

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        answer = await self._provider.embed(texts)
        self._count()
        return answer

    async def close(self) -> None:
        await self._provider.close()

    def _count(self) -> None:
        if next(self._answers) == self._at:
            raise ProgramError(f"the answer {self._at} fails")


@contextmanager
def failing_provider(at: int) -> Iterator[None]:
    """The i-th answer, counted over all providers that are opened in the block, raises after it was paid for."""
    answers, opened = iter(range(1, 1_000_000)), providers.open_provider

    def opener(endpoint: Endpoint) -> Any:
        return FailingProvider(opened(endpoint), at, answers)  # type: ignore[arg-type]

    with mock.patch.object(providers, "open_provider", opener):
        yield
