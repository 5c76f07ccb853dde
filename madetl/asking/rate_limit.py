"""How fast to ask: how many requests at once, how many a second, how long to wait before another attempt.

Pure arithmetic over times that come in as arguments (seconds of one clock): no clock is read, nothing sleeps and
nothing is stored here, so that a test can run an hour of it in a moment.

A single 429 delays its own request alone. Where many come, three things slow down all requests:
- the number at once falls by 15 % and climbs back by one for every round of answers (the additive increase and
  multiplicative decrease of TCP, RFC 5681), yet not below what the accepted rate needs (Little's law);
- a rate is learnt: what the server accepted lately. It grows again, quickly until the first refusal, then slowly;
- where hardly any request gets through, or slowing down did not help, the provider's Retry-After holds all requests.

The constants were chosen in simulation (tests/asking/test_rate_limit.py): token buckets of 5 to 200 requests a second
with bursts of a tenth of a second to a second; whole, exact and missing Retry-After; strays of 2 %; a limit of the
number at once.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

_WINDOW = 40  # sends that count as "lately"
_FEW = 4  # refusals lately that are still strays: at 2 % of them, one window in a thousand has more
_MANY = 8  # refusals that make all requests wait, if most of those sent were refused
_LESS = 0.85  # of the number at once, after a round in which refusals came in numbers
_UNASKED = 1.0  # seconds to wait after a 429 that does not say how long
_BURST = 0.1  # seconds of the learnt rate that may be sent at one moment
_QUICK = 3.0  # growth of the rate, per second: twentyfold while nothing was refused under it
_SLOW = 0.05  # and right after a refusal, doubling with every second of calm


@dataclass
class Sent:
    """When a request went out, and whether it met a 429."""

    time: float
    refused: bool = False


@dataclass
class RateLimit:
    """What the provider accepts. `concurrency` is the most requests that may be in flight, whatever it accepts."""

    concurrency: int
    limit: float = field(init=False)  # requests at once, for now
    rate: float | None = None  # requests a second; None: not known to be limited
    paused_until: float = 0.0
    _lately: deque[Sent] = field(init=False)
    _began: float = float("inf")
    _credit: float = 0.0
    _credited_at: float = 0.0
    _slowed_at: float = float("-inf")
    _probing: bool = False  # the rate grows quickly, since nothing was refused under it yet
    _latency: float = 0.0

    def __post_init__(self) -> None:
        self.limit = float(self.concurrency)
        self._lately = deque(maxlen=_WINDOW + 2 * self.concurrency)

    def room(self, now: float, in_flight: int) -> int:
        """How many requests may be sent now."""
        if now < self.paused_until:
            return 0
        free = max(int(self.limit) - in_flight, 0)
        if self.rate is None:
            return free
        self._earn(now)
        return max(min(free, int(self._credit)), 0)

    def wait(self, now: float) -> float:
        """Seconds until the pause and the rate allow another request; 0 if they do now."""
        if now < self.paused_until:
            return self.paused_until - now
        if self.rate is None or self._credit >= 1:
            return 0.0
        return (1 - self._credit) / self.rate

    def sent(self, now: float) -> Sent:
        """Counts a request that goes out; hand what this returns to `answered` or `refused`."""
        if self.rate is not None:
            self._credit -= 1
        self._began = min(self._began, now)
        self._lately.append(Sent(now))
        return self._lately[-1]

    def answered(self, sent: Sent, now: float) -> None:
        """An answer, or an error that says nothing about limits."""
        self._latency = now - sent.time if not self._latency else 0.9 * self._latency + 0.1 * (now - sent.time)
        self.limit = min(self.limit + 1 / self.limit, float(self.concurrency))

    def refused(self, sent: Sent, now: float, retry_after: float | None) -> None:
        """Counts a 429. Where many come, slows down, once for every round of requests."""
        sent.refused = True
        # Requests sent after this one may still be refused; those sent before it and not refused were accepted.
        told = [each for each in self._lately if each.time <= sent.time]
        holds = retry_after is not None and sent.time >= self.paused_until and self._takes_nothing(told)
        many = _refused(told[-_WINDOW:], self._slowed_at)[0] > _FEW
        if sent.time >= self._slowed_at and (many or holds):
            self._slow_down(told[-_WINDOW:], now)
        if holds and retry_after:
            self.paused_until = self._slowed_at = self._credited_at = now + retry_after
            self._credit = 0.0

    def _takes_nothing(self, told: Sequence[Sent]) -> bool:
        """Whether hardly any request gets through, or most are refused although the rate was lowered."""
        rounds = (
            [(self.paused_until, 0.95)] if self.rate is None else [(self.paused_until, 0.95), (self._slowed_at, 0.5)]
        )
        counts = [(*_refused(told, moment), share) for moment, share in rounds]
        return any(refused >= max(_MANY, share * count) for refused, count, share in counts)

    def _slow_down(self, told: Sequence[Sent], now: float) -> None:
        accepted = self._accepted_rate(told)
        self.limit = max(1.0, _LESS * self.limit, min(self.limit, accepted * self._latency))
        if self.rate is None:
            self.rate, self._probing = accepted, True
        else:
            self.rate = math.sqrt(accepted * max(self.rate, accepted)) if self._probing else accepted
            self._probing = False
        self._slowed_at = self._credited_at = now
        self._credit = 0.0

    def _accepted_rate(self, told: Sequence[Sent]) -> float:
        """Requests a second that the server took of these."""
        taken, last = sum(not each.refused for each in told), told[-1].time
        shortest = max(1.0 - (last - self._began), 0.05)  # the first requests were all sent at once
        return max(taken, 1) / max(last - told[0].time, shortest)

    def _earn(self, now: float) -> None:
        """Lets the credit and the rate grow with the time that passed; forgets a rate far above what is used."""
        assert self.rate is not None
        passed = max(now - self._credited_at, 0.0)
        self._credited_at = max(now, self._credited_at)
        self._credit = min(self._credit + passed * self.rate, max(1.0, _BURST * self.rate))
        calm = min(max(now - self._slowed_at, 0.0), 10.0)
        growth = _QUICK if self._probing else min(_SLOW * 2**calm, _QUICK)
        self.rate *= math.exp(growth * min(passed, 1.0))
        if self.rate * max(self._latency, 0.001) > 10 * self.concurrency:
            self.rate = None


def _refused(told: Sequence[Sent], since: float) -> tuple[int, int]:
    """How many of those sent after a moment were refused, and how many were sent."""
    later = [each.refused for each in told if each.time >= since]
    return sum(later), len(later)


def backoff(attempt: int, draw: random.Random, *, base: float = 1.0, longest: float = 60.0) -> float:
    """Seconds to wait after the given attempt (1 is the first): exponential, with full jitter.

    Source: Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015.
    """
    return draw.uniform(0.0, min(longest, base * 2.0 ** min(attempt - 1, 60)))


def wait_before_retry(attempt: int, draw: random.Random, *, limited: bool, retry_after: float | None) -> float:
    """Seconds to wait after the given attempt. `limited`: it met a limit, and not a fault.

    At least what the provider asked for, or a second after a 429 without Retry-After. The more often a request met the
    limit, the more is added, so that requests refused together are not repeated together.
    """
    if retry_after is None and not limited:
        return backoff(attempt, draw)
    asked = _UNASKED if retry_after is None else retry_after
    return asked + (backoff(attempt - 1, draw, base=0.5) if attempt > 1 else 0.0)
