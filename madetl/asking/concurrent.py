"""Asks over a network, many requests at once: the next request is sent as soon as another one ends.

One loop repeats three steps: it books the answers that arrived and opens the rows of the next requests, in one
transaction; it sends those requests; it waits until an answer arrives or another request may be sent. Commits are a few
milliseconds apart, so each answer is stored that soon after it arrived.

Whatever one request raises, in the provider's code, in the stage's or in SQLite: nothing more is sent, those in flight
are awaited and stored one by one, no row of `calls` stays open, and then the error is raised.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from madetl.asking.ledger import Answer, EmbedRequest, Request
from madetl.asking.rate_limit import RateLimit, Sent
from madetl.asking.scheduler import Arrival, Opened, Scheduler
from madetl.providers.base import Endpoint, Provider, ProviderError
from madetl.store.database import BUSY_TIMEOUT

_GROUP = 0.01  # seconds between two commits, so that what arrives together is stored together
_IDLE = 0.5  # seconds after which the loop repeats in any case, so that the progress goes on
_AHEAD = 200  # tasks fetched ahead: the ledger may have the answers of most of them
_SHORT_RESCUE = 1.0  # seconds to wait for another writer while requests are still in flight after an error
_SHORT_BUSY = 20  # milliseconds that SQLite waits for another writer; beyond that, the event loop waits

Opener = Callable[[Endpoint], Provider]


class Concurrent:
    """One run's requests in flight. `interrupt` may be called from a signal handler."""

    def __init__(
        self, db: sqlite3.Connection, scheduler: Scheduler, provider: Provider, reopen: Opener, concurrency: int
    ) -> None:
        self._db, self._scheduler, self._reopen = db, scheduler, reopen
        self.rate_limit = RateLimit(concurrency)
        self._providers = {_refusals(scheduler.endpoint): provider}
        self._in_flight: dict[int, asyncio.Task[None]] = {}  # by the id of their call, until that is booked
        self._arrived: list[Arrival] = []
        self._broken: Exception | None = None
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    def interrupt(self) -> None:
        """After the first call nothing more is sent; the second abandons the requests in flight."""
        if self._scheduler.report.stopped == "interrupted":
            for task in self._in_flight.values():
                task.cancel()
        self._scheduler.report.stopped = "interrupted"
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self, show: Callable[[], None]) -> None:
        """Asks until nothing is left, or until the scheduler stopped the run and the requests in flight ended."""
        self._loop = asyncio.get_running_loop()
        try:
            while not self._is_over():
                await self._step_or_rescue(show)
                await self._until_something_happens()
        finally:
            await self._leave_nothing_open()
            for provider in self._providers.values():
                await provider.close()
        if self._broken is not None:
            raise self._broken

    def _is_over(self) -> bool:
        return not self._in_flight and (self._scheduler.report.stopped is not None or self._scheduler.finished)

    async def _step_or_rescue(self, show: Callable[[], None]) -> None:
        """A step; after one that raised, nothing more is sent, and each answer that arrives is stored by itself."""
        if self._broken is None:
            try:
                await self._step()
                show()
            except Exception as error:  # of the database, of a stage's own code, of whatever shows the progress
                self._break_off(error)
        if self._broken is not None:
            await self._rescue(_SHORT_RESCUE)

    def _break_off(self, error: Exception) -> None:
        """Keeps the first error, which is raised once the requests in flight have ended and are stored."""
        self._broken = self._broken or error
        self._scheduler.report.stopped = self._scheduler.report.stopped or "broken"

    async def _step(self) -> None:
        arrived = list(self._arrived)
        room = self.rate_limit.room(time.monotonic(), len(self._in_flight) - len(arrived))
        if room:
            self._scheduler.pull(max(room, _AHEAD))
        async with _transaction(self._db):
            for arrival in arrived:
                self._scheduler.book(arrival)
            opened = self._scheduler.take(room, time.monotonic())
        del self._arrived[: len(arrived)]
        for arrival in arrived:
            del self._in_flight[arrival.opened.call_id]
        for one in opened:
            sent = self.rate_limit.sent(time.monotonic())
            self._in_flight[one.call_id] = asyncio.create_task(self._ask(one, sent))

    def _provider(self, endpoint: Endpoint) -> Provider:
        """The provider for the refusals known so far; earlier providers may still have requests in flight."""
        known = _refusals(endpoint)
        if known not in self._providers:
            self._providers[known] = self._reopen(endpoint)
        return self._providers[known]

    async def _ask(self, opened: Opened, sent: Sent) -> None:
        result: Answer | ProviderError
        try:
            result = await _request(self._provider(opened.endpoint), opened.pending.request)
        except ProviderError as error:
            result = error
        except asyncio.CancelledError:
            result = ProviderError("abandoned before the answer arrived", outcome="interrupted")
        except Exception as error:  # a fault of the program: closes the row, and ends the run
            self._break_off(error)
            result = ProviderError(f"madetl failed: {type(error).__name__}", outcome="interrupted")
        now = time.monotonic()
        self._arrived.append(Arrival(opened, result, now))
        self._wake.set()
        self._notice(sent, result, now)

    def _notice(self, sent: Sent, result: Answer | ProviderError, now: float) -> None:
        """Tells the rate limit; a request that never reached the server says nothing about the server's limits."""
        if not isinstance(result, ProviderError):
            self.rate_limit.answered(sent, now)
        elif result.outcome == "rate_limited" or result.retry_after is not None:
            self.rate_limit.refused(sent, now, result.retry_after)
        elif result.http_status is not None:
            self.rate_limit.answered(sent, now)

    async def _until_something_happens(self) -> None:
        await asyncio.sleep(_GROUP)
        try:
            async with asyncio.timeout(self._pause(time.monotonic())):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def _pause(self, now: float) -> float:
        """Seconds until a request may be sent, if nothing arrives before."""
        scheduler = self._scheduler
        if self._is_over():
            return 0.0
        due = scheduler.next_due()
        if scheduler.has_ready or (due is not None and due <= now):
            full = self.in_flight >= int(self.rate_limit.limit)
            return _IDLE if full else min(self.rate_limit.wait(now), _IDLE)
        return _IDLE if due is None or scheduler.report.stopped else min(due - now, _IDLE)

    async def _leave_nothing_open(self) -> None:
        """At the end, however it came: abandons what is in flight, and stores what is not stored yet."""
        for task in self._in_flight.values():
            task.cancel()
        await asyncio.gather(*self._in_flight.values(), return_exceptions=True)
        await self._rescue(BUSY_TIMEOUT)

    async def _rescue(self, seconds: float) -> None:
        """Stores each answer that arrived in a transaction of its own, in the best way that succeeds.

        `seconds`: how long to wait for another process's transaction. What could not be stored stays for the next call.
        """
        arrived, self._arrived = self._arrived, []
        for arrival in arrived:
            if not await self._rescued(arrival, seconds):
                self._arrived.append(arrival)
            self._in_flight.pop(arrival.opened.call_id, None)

    async def _rescued(self, arrival: Arrival, seconds: float) -> bool:
        for store in self._scheduler.rescue(arrival):
            try:
                async with _transaction(self._db, seconds):
                    store()
            except Exception as error:
                self._break_off(error)
            else:
                return True
        return False


def _refusals(endpoint: Endpoint) -> tuple[object, ...]:
    return endpoint.omit, endpoint.rename


async def _request(provider: Provider, request: Request) -> Answer:
    if isinstance(request, EmbedRequest):
        return await provider.embed(request.texts)
    return await provider.chat(request)


@asynccontextmanager
async def _transaction(db: sqlite3.Connection, seconds: float = BUSY_TIMEOUT) -> AsyncIterator[None]:
    """Like database.transaction, but answers keep arriving while it waits for another process's transaction."""
    await _begin(db, seconds)
    try:
        yield
        db.commit()
    except BaseException:
        db.rollback()
        raise


async def _begin(db: sqlite3.Connection, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    db.execute(f"PRAGMA busy_timeout = {_SHORT_BUSY}")
    try:
        while True:
            try:
                db.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_GROUP)
    finally:
        db.execute(f"PRAGMA busy_timeout = {int(1000 * BUSY_TIMEOUT)}")
