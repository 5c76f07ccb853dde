"""The scheduler: decides for each task whether to ask, to reuse, to wait or to leave it, and books what comes back.

It stands between the ledger and the modules that send requests (`concurrent`, `in_process`). `book` and `take` belong
into one transaction, so that an answer and what the stage makes of it are stored together, and a request is sent only
after its row. Nothing here sends anything, reads a clock or sleeps: moments come in as arguments.
"""

from __future__ import annotations

import heapq
import itertools
import random
import sqlite3
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from madetl.asking import ledger, locks
from madetl.asking.budget import Budget
from madetl.asking.ledger import Answer, CallHistory, Closing, Request
from madetl.asking.rate_limit import wait_before_retry
from madetl.asking.tasks import AskOptions, AskReport, Caller, Save, Task, Unusable
from madetl.providers.base import ChatAnswer, Endpoint, ProviderError
from madetl.text import storable

_LOOK_AGAIN = 0.2  # seconds between looks at a request that another process has under way
_FEWEST_WAITING = 64  # tasks that may wait to be asked again before no new ones are begun
_LOOKS = 500  # at the ledger in one transaction, so that reusing thousands of answers blocks no other process
_SILENCE = 10  # tasks given up in a row, at least, before the server counts as unreachable or unreadable


@dataclass
class Pending:
    """A task that is not answered yet: its next request, and what became of its earlier requests in this run.

    `rejected`: the rows of answers that could not be used, of which the last request may be the repair.
    """

    task: Task
    request: Request
    attempts: int = 0
    unusable: int = 0
    ask_anyway: bool = False  # even if the ledger has earlier failures
    rejected: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Opened:
    """A request whose row is open: to be sent as soon as the transaction is committed."""

    pending: Pending
    call_id: int
    endpoint: Endpoint
    most_cost: float  # USD that it can cost at most; 0 where no --max-cost is set


@dataclass(frozen=True)
class Arrival:
    """What a request came back with, at a moment of the caller's clock."""

    opened: Opened
    result: Answer | ProviderError
    time: float


class Scheduler:
    """The state of one run's work on its tasks.

    `caller.endpoint` names the model for the ledger; `endpoint` is how it is asked, and changes
    when it refuses something.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        caller: Caller,
        endpoint: Endpoint,
        tasks: Iterator[Task],
        *,
        save: Save,
        options: AskOptions,
    ) -> None:
        self._db, self._caller, self._tasks, self._save, self._options = db, caller, tasks, save, options
        self.endpoint = endpoint
        self.report = AskReport()
        self.fatal: ProviderError | None = None
        self._ready: deque[Pending] = deque()
        self._waiting: list[tuple[float, int, Pending]] = []
        self._order = itertools.count()
        self._exhausted = False
        self._held = False  # by --max-cost, until something that is in flight has come back
        self._most_waiting = max(_FEWEST_WAITING, 4 * options.concurrency)
        self._under_way: set[int] = set()
        self._draw = random.Random(options.seed)
        address = caller.endpoint.base_url
        self._budget = Budget(options.max_cost, ledger.spent(db, caller.run_id), caller.price, address)
        self._given_up = 0  # tasks in a row whose every attempt failed

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def has_ready(self) -> bool:
        """Whether a task could be begun now, without waiting for its time."""
        more = not self._exhausted and len(self._waiting) < self._most_waiting
        return self.report.stopped is None and not self._held and (bool(self._ready) or more)

    @property
    def finished(self) -> bool:
        """Nothing is left to ask."""
        return self._exhausted and not self._ready and not self._waiting

    def next_due(self) -> float | None:
        """When the next of those that wait may be asked."""
        return self._waiting[0][0] if self._waiting else None

    def pull(self, count: int) -> None:
        """Fetches up to so many tasks. Call it outside of a transaction: the source of the tasks may raise."""
        if self.report.stopped or len(self._waiting) >= self._most_waiting:
            return
        while not self._exhausted and len(self._ready) < count:
            task = next(self._tasks, None)
            if task is None:
                self._exhausted = True
            else:
                self._budget.most(task.request, self.endpoint)  # raises where --max-cost could not be kept
                self._ready.append(Pending(task, task.request))

    def take(self, count: int, now: float) -> list[Opened]:
        """Opens the rows of up to so many requests. Answers that the ledger has are saved on the way."""
        opened: list[Opened] = []
        self._held = False
        for _ in range(_LOOKS):
            pending = None if len(opened) >= count or self._held or self.report.stopped else self._next(now)
            if pending is None:
                break
            if (one := self._consider(pending, now)) is not None:
                opened.append(one)
        return opened

    def book(self, arrival: Arrival) -> None:
        """Closes the row of a request, and saves its answer or decides what to do about its error."""
        closed = ledger.closing(arrival.result, self._caller.price)
        self._under_way.discard(arrival.opened.call_id)
        self._count(closed, arrival.opened)
        if isinstance(arrival.result, ProviderError):
            ledger.close_call(self._db, arrival.opened.call_id, closed)
            self._book_error(arrival, arrival.result)
        else:
            self._book_answer(arrival, arrival.result, closed)

    def rescue(self, arrival: Arrival) -> Iterator[Callable[[], object]]:
        """How to store what arrived where `book` failed or the run was broken off, the best way first.

        Each is to be tried in a transaction of its own, until one succeeds: store the answer and what the stage makes
        of it; close the row, so that a chat answer is there for the next run; close it without what came. None of them
        counts anything, since `book` may have done that.
        """
        call_id, result = arrival.opened.call_id, arrival.result
        if not isinstance(result, ProviderError):
            yield lambda: self._store(arrival.opened, result)
        yield lambda: ledger.close_call(self._db, call_id, ledger.closing(result, self._caller.price))
        lost = ledger.Closing("interrupted", error="madetl failed: the answer could not be stored")
        yield lambda: ledger.close_call(self._db, call_id, lost)

    def count_rest(self) -> None:
        """Counts the tasks that will not be asked any more."""
        rest = 0 if self._exhausted else sum(1 for _ in self._tasks)
        self.report.not_asked = len(self._ready) + len(self._waiting) + rest

    # Before asking

    def _next(self, now: float) -> Pending | None:
        if self._waiting and self._waiting[0][0] <= now:
            return heapq.heappop(self._waiting)[2]
        return self._ready.popleft() if self._ready else None

    def _wait_until(self, moment: float, pending: Pending) -> None:
        heapq.heappush(self._waiting, (moment, next(self._order), pending))

    def _consider(self, pending: Pending, now: float) -> Opened | None:
        """Looks into the ledger: reuses an answer, waits for one under way, leaves what failed, or opens a row."""
        caller = self._caller
        key = ledger.request_hash(caller.endpoint, pending.request)
        rows = ledger.attempts(self._db, caller.model_id, key, pending.task.sample)
        known = ledger.history(rows, caller.run_id if self._options.fresh else None)
        if known.answered is not None:
            self._settle(pending, known.answered, now)
        elif any(self._is_under_way(row) for row in known.under_way):
            self._wait_until(now + _LOOK_AGAIN, pending)
        elif self._is_left(pending, known):
            self._leave(pending, known, now)
        else:
            return self._open(pending, key, known.attempts + 1)
        return None

    def _is_under_way(self, row: sqlite3.Row) -> bool:
        """Whether a run still waits for this request's answer; closes the row if not."""
        ours = row["run_id"] == self._caller.run_id
        if row["id"] in self._under_way if ours else locks.executes(self._db, row["run_id"]):
            return True
        ledger.interrupt(self._db, row["id"])
        return False

    def _is_left(self, pending: Pending, known: CallHistory) -> bool:
        """Whether the request failed before in a way that asking again would not mend."""
        if pending.ask_anyway or known.last is None or not known.failed_for_good:
            return False
        return not self._options.retry_failed or known.last["run_id"] == self._caller.run_id

    def _leave(self, pending: Pending, known: CallHistory, now: float) -> None:
        """Lists an old failure. An unusable answer is checked again: its repair may never have been asked for."""
        assert known.last is not None
        if known.last["outcome"] == "invalid" and known.last["answer"] is not None and pending.task.check:
            pending.unusable = max(pending.unusable, known.invalid - 1)
            self._settle(pending, known.last, now)
        else:
            self._give_up(self.report.left, known.last["outcome"], known.last["error"])

    def _settle(self, pending: Pending, row: sqlite3.Row, now: float) -> None:
        """Uses an answer of the ledger instead of asking."""
        answer = _answer_of(row)
        fault = _fault(pending.task, answer)
        if fault is None:
            self._save(self._db, pending.task, answer, row["id"])
            ledger.mark_repaired(self._db, pending.rejected)
            self.report.reused += 1
        else:
            ledger.reject(self._db, row["id"], str(fault))
            pending.rejected.append(row["id"])
            self._again_after(fault, pending, self.report.left, now)

    def _open(self, pending: Pending, key: str, attempt: int) -> Opened | None:
        """Writes the row, unless it could exceed the limit of cost: then the task waits for those in flight."""
        most_cost = self._budget.most(pending.request, self.endpoint)
        if not self._budget.allows(most_cost):
            self._hold(pending)
            return None
        caller = self._caller
        call_id = ledger.open_call(
            self._db,
            run_id=caller.run_id,
            stage=caller.stage,
            model_id=caller.model_id,
            key=key,
            sample=pending.task.sample,
            attempt=attempt,
        )
        self._under_way.add(call_id)
        self._budget.reserve(most_cost)
        self.report.requests += 1
        self.report.retried += pending.attempts > 0
        return Opened(pending, call_id, self.endpoint, most_cost)

    def _hold(self, pending: Pending) -> None:
        self._ready.appendleft(pending)
        self._held = True
        if not self._under_way:
            self.report.stopped = "max_cost"

    # After asking

    def _book_answer(self, arrival: Arrival, answer: Answer, closed: Closing) -> None:
        pending = arrival.opened.pending
        pending.attempts += 1
        self._given_up = 0
        fault = self._store(arrival.opened, answer)
        if fault is not None:
            pending.rejected.append(arrival.opened.call_id)
            self._again_after(fault, pending, self.report.failed, arrival.time)
        elif closed.outcome in ledger.ANSWERED:
            self.report.done += 1
        else:
            self._give_up(self.report.failed, closed.outcome, closed.error)

    def _store(self, opened: Opened, answer: Answer) -> Unusable | None:
        """Closes the row of an answer and saves it, or returns what is wrong with it."""
        pending, answer = opened.pending, self._storable(answer)
        closed = ledger.closing(answer, self._caller.price)
        answered = closed.outcome in ledger.ANSWERED
        fault = _fault(pending.task, answer) if answered else None
        ledger.close_call(self._db, opened.call_id, ledger.unusable(closed, str(fault)) if fault else closed)
        if answered and fault is None:
            self._save(self._db, pending.task, answer, opened.call_id)
            ledger.mark_repaired(self._db, pending.rejected)
        return fault

    def _book_error(self, arrival: Arrival, error: ProviderError) -> None:
        pending, now = arrival.opened.pending, arrival.time
        if error.fatal and not self.report.stopped:
            self.report.stopped, self.fatal = "fatal", error
        if error.refused_parameter and self._learn(arrival.opened, error):
            pending.ask_anyway = True
            self._wait_until(now, pending)
            return
        pending.attempts += 1
        if error.outcome == "invalid":
            if not self._again_after(Unusable(str(error)), pending, self.report.failed, now):
                self._notice_silence(error)
            return
        limited = error.outcome == "rate_limited"
        wait = wait_before_retry(pending.attempts, self._draw, limited=limited, retry_after=error.retry_after)
        spent_out = pending.attempts >= self._options.max_attempts or wait > self._options.longest_wait
        if error.transient and not spent_out and not self.report.stopped:
            pending.ask_anyway = True
            self._wait_until(now + wait, pending)
            return
        self._give_up(self.report.failed, error.outcome, str(error))
        if error.transient:
            self._notice_silence(error)

    def _learn(self, opened: Opened, error: ProviderError) -> bool:
        """Remembers a parameter that the model does not take; False where leaving it out did not help."""
        refused = error.refused_parameter or ""
        name = next((old for old, new in opened.endpoint.rename if new == refused), refused)
        if _goes_without(opened.endpoint, name, refused):
            return False
        if not _goes_without(self.endpoint, name, refused):  # of many requests in flight, the first refusal teaches it
            instead = error.replacement if name == refused else None
            self.endpoint = ledger.remember_refusal(self._db, self._caller.model_id, self.endpoint, name, instead)
        return True

    def _notice_silence(self, error: ProviderError) -> None:
        """Stops where many tasks in a row failed at every attempt: the server is down, or speaks another language, and
        the rest would fail too."""
        self._given_up += 1
        if self._given_up >= max(_SILENCE, self._options.concurrency) and not self.report.stopped:
            self.report.stopped, self.fatal = "unreachable" if error.transient else "unreadable", error

    def _again_after(self, fault: Unusable, pending: Pending, given_up: Counter[str], now: float) -> bool:
        """Whether the task will be asked again; it is given up where that was tried before."""
        pending.unusable += 1
        if pending.unusable >= self._options.max_unusable or pending.attempts >= self._options.max_attempts:
            self._give_up(given_up, "invalid", str(fault))
            return False
        pending.request = fault.repair or pending.request
        pending.ask_anyway = fault.repair is None
        self._wait_until(now, pending)
        return True

    def _give_up(self, counter: Counter[str], outcome: str, reason: str | None) -> None:
        counter[outcome] += 1
        self.report.examples.setdefault(outcome, reason or "")

    def _storable(self, answer: Answer) -> Answer:
        if not isinstance(answer, ChatAnswer):
            return answer
        text, replaced = storable(answer.text)
        self.report.replaced += replaced
        return replace(answer, text=text) if replaced else answer

    def _count(self, closed: Closing, opened: Opened) -> None:
        report = self.report
        report.tokens_in += closed.tokens_in or 0
        report.tokens_out += closed.tokens_out or 0
        report.known_cost += closed.cost or 0.0
        billed = closed.tokens_in is not None or closed.outcome in ledger.BILLED
        report.unpriced += billed and closed.cost is None
        self._budget.settle(opened.most_cost, closed)


def _goes_without(endpoint: Endpoint, name: str, refused: str) -> bool:
    """Whether requests leave the parameter `name` out, or call it something else than what was refused."""
    return name in endpoint.omit or dict(endpoint.rename).get(name, refused) != refused


def _fault(task: Task, answer: Answer) -> Unusable | None:
    try:
        if task.check is not None:
            task.check(answer)
    except Unusable as fault:
        return fault
    return None


def _answer_of(row: sqlite3.Row) -> ChatAnswer:
    return ChatAnswer(
        text=row["answer"],
        outcome="truncated" if row["outcome"] == "truncated" else "ok",
        finish_reason=row["finish_reason"],
        model_version=row["model_version"],
        tokens_in=row["tokens_in"],
        tokens_out=row["tokens_out"],
        latency=row["latency"] or 0.0,
        http_status=row["http_status"],
    )
