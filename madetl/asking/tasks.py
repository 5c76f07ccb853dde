"""What is to be asked, and what came of it: values that stages and the scheduler share. Nothing here has effects."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from madetl.asking.ledger import Answer, Request
from madetl.asking.prices import Price
from madetl.errors import MadetlError
from madetl.providers.base import ChatRequest, Endpoint

Stop = Literal["interrupted", "fatal", "unreachable", "unreadable", "max_cost", "broken"]


class Unusable(Exception):  # noqa: N818 - a finding about an answer, not an error of the program
    """Raised by a task's `check`: the answer is not what was asked for. `repair` is what to ask instead.

    Without one the same request is asked again.
    """

    def __init__(self, reason: str, repair: ChatRequest | None = None) -> None:
        super().__init__(reason)
        self.repair = repair


@dataclass(frozen=True)
class Task:
    """One request, and what its answer is for.

    `sample` tells repeated answers to one request apart. `subject` is the stage's own (an instruction's id, say) and
    comes back to `save`. `check` raises Unusable for an answer (to a request of its kind) that cannot be used; it must
    be a pure function of the answer, since answers out of the ledger pass through it again.
    """

    request: Request
    subject: Any = None
    sample: int = 0
    check: Callable[[Any], None] | None = None


Save = Callable[[sqlite3.Connection, Task, Answer, int], None]
"""`save(db, task, answer, call_id)`: stores what the answer is for, in the transaction that closes the ledger's row.

Another process may have stored the same in the meantime (use INSERT OR IGNORE). It must not commit.
"""


@dataclass(frozen=True)
class Caller:
    """A stage's run that asks a model: the model's row and endpoint, the stage, the run, the price of a token."""

    endpoint: Endpoint
    model_id: int
    stage: str
    run_id: int
    price: Price = field(default_factory=Price)


@dataclass(frozen=True)
class AskOptions:
    """How to ask. `max_attempts` counts per task and run; `max_unusable`: answers that `check` rejects, per task.

    `max_cost` is in USD and counts what the run spent before. `chunk`: tasks handed to a provider that answers many at
    once. `longest_wait`: seconds; a request with a longer Retry-After is left for the next run. `seed` draws the
    jitter.
    """

    concurrency: int = 32
    max_attempts: int = 5
    max_unusable: int = 2
    max_cost: float | None = None
    fresh: bool = False
    retry_failed: bool = False
    chunk: int = 256
    longest_wait: float = 600.0
    seed: int = 0


@dataclass
class AskReport:
    """What came of the tasks, while they are asked and at the end.

    `done`: answered and saved now, `reused`: saved out of the ledger. `failed`: given up in this run, `left`: failed in
    an earlier run and not asked again, both by outcome. `not_asked`: what was left when the run `stopped` (broken: by a
    fault of the program or the database, which is raised once all that was in flight is stored). `unpriced`
    counts answers whose cost is unknown. `examples` has a reason for each outcome in the provider's own words.
    `left_out`: the parameters that a model refuses and was asked without, by the provider's name for the model.
    """

    done: int = 0
    reused: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    not_asked: int = 0
    requests: int = 0
    retried: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    known_cost: float = 0.0
    unpriced: int = 0
    replaced: int = 0  # characters that no database stores
    seconds: float = 0.0
    stopped: Stop | None = None
    examples: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def __add__(self, later: AskReport) -> AskReport:
        """Both together. Why the later one stopped is why the whole did."""
        total = AskReport(stopped=later.stopped, examples=later.examples | self.examples)
        total.left_out = self.left_out | later.left_out
        for name in (each.name for each in fields(self) if each.name not in ("stopped", "examples", "left_out")):
            setattr(total, name, getattr(self, name) + getattr(later, name))
        return total

    @property
    def cost(self) -> float | None:
        """USD; None where an answer's price is unknown."""
        return None if self.unpriced else self.known_cost

    @property
    def undone(self) -> int:
        """Tasks without an answer: the exit status is 1 if there are any."""
        return sum(self.failed.values()) + sum(self.left.values()) + self.not_asked


@dataclass(frozen=True)
class AskProgress:
    """A moment of the work. `rate` is answers a second so far; `limit` how many requests may be in flight for now."""

    report: AskReport
    in_flight: int
    waiting: int  # to be asked again, or for another process that asks the same
    limit: int
    rate: float


class AskingError(MadetlError):
    """The run stopped early: every further request would fail the same way. What was answered is saved."""

    def __init__(self, message: str, report: AskReport) -> None:
        super().__init__(message)
        self.report = report
