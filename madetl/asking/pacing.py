"""How fast to ask: how many requests at once, how many a second, how long to wait before another attempt.

Pure arithmetic over times that come in as arguments (seconds of one clock): no clock is read, nothing sleeps and
nothing is stored here, so that a test can run an hour of it in a moment.

A stray 429 concerns its own request alone. Where they come in numbers, three things slow down for all:
- the number at once falls by a quarter and climbs back by one for every round of answers (the additive increase and
  multiplicative decrease of TCP, RFC 5681), yet not below what the accepted rate needs (Little's law);
- a rate is learnt: what the server accepted lately. It grows again, quickly until the first refusal, then slowly;
- the provider's Retry-After holds everybody, once at the start of such a spell.
"""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass, field

_WINDOW = 40  # sends that count as "lately"
_FEW = 3  # refusals lately that are still strays
_STRAY_SHARE = 0.05  # of what was sent lately
_MOST = 0.5  # refused lately: the server takes hardly anything, everybody waits
_BURST = 0.02  # seconds of the learnt rate that may be sent at one moment
_QUICK = 2.3  # growth of the rate, per second: tenfold while nothing was refused under it
_SLOW = 0.05  # and right after a refusal, doubling with every second of calm


@dataclass
class Sent:
    """When a request went out, and whether it met a 429."""

    time: float
    refused: bool = False


@dataclass
class Pace:
    """What the provider bears. `concurrency` is the most that may be in flight, whatever it bears."""

    concurrency: int
    limit: float = field(init=False)  # requests at once, for now
    rate: float | None = None  # requests a second; None: not known to be limited
    paused_until: float = 0.0
    _lately: deque[Sent] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    _credit: float = 0.0
    _credited_at: float = 0.0
    _slowed_at: float = float("-inf")
    _probing: bool = False  # the rate grows quickly, since nothing was refused under it yet
    _latency: float = 0.0

    def __post_init__(self) -> None:
        self.limit = float(self.concurrency)

    def room(self, now: float, in_flight: int) -> int:
        """How many requests may be sent now."""
        if now < self.paused_until:
            return 0
        free = max(int(self.limit) - in_flight, 0)
        if self.rate is None:
            return free
        self._earn(now)
        return min(free, int(self._credit))

    def wait(self, now: float) -> float:
        """Seconds until the pause or the rate lets another request pass; 0 where neither holds it."""
        if now < self.paused_until:
            return self.paused_until - now
        if self.rate is None or self._credit >= 1:
            return 0.0
        return (1 - self._credit) / self.rate

    def sent(self, now: float) -> Sent:
        """Counts a request that goes out; hand what this returns to `answered` or `refused`."""
        if self.rate is not None:
            self._credit -= 1
        self._lately.append(Sent(now))
        return self._lately[-1]

    def answered(self, sent: Sent, now: float) -> None:
        """An answer, or an error that says nothing about limits."""
        self._latency = now - sent.time if not self._latency else 0.9 * self._latency + 0.1 * (now - sent.time)
        self.limit = min(self.limit + 1 / self.limit, float(self.concurrency))

    def refused(self, sent: Sent, now: float, retry_after: float | None) -> None:
        """A 429. Slows down once for every round of requests in which they come in numbers."""
        sent.refused = True
        lately = [each for each in self._lately if each.time >= self._slowed_at]
        refused = sum(each.refused for each in lately)
        if refused <= max(_FEW, _STRAY_SHARE * len(lately)) or sent.time < self._slowed_at:
            return
        accepted = self._accepted_rate(now)
        self.limit = max(1.0, 0.75 * self.limit, min(self.limit, accepted * self._latency))
        if refused >= _MOST * len(lately) and retry_after:
            self.paused_until = now + retry_after
        if self.rate is None:
            self.rate, self._probing = accepted, True
        else:
            self.rate = math.sqrt(accepted * max(self.rate, accepted)) if self._probing else accepted
            self._probing = False
        self._slowed_at = self._credited_at = max(now, self.paused_until)
        self._credit = 0.0

    def _accepted_rate(self, now: float) -> float:
        """Requests a second that the server took lately; those in flight count as taken."""
        taken = sum(not each.refused for each in self._lately)
        span = now - self._lately[0].time
        return max(taken, 1) / (max(span, 1.0) if self.rate is None else max(span, 0.05))

    def _earn(self, now: float) -> None:
        """Lets the credit and the rate grow by the time that passed; a rate far beyond what is used is forgotten."""
        assert self.rate is not None
        passed = max(now - self._credited_at, 0.0)
        self._credited_at = max(now, self._credited_at)
        self._credit = min(self._credit + passed * self.rate, max(1.0, _BURST * self.rate))
        calm = min(max(now - self._slowed_at, 0.0), 10.0)
        growth = _QUICK if self._probing else min(_SLOW * 2**calm, _QUICK)
        self.rate *= math.exp(growth * min(passed, 1.0))
        if self.rate * max(self._latency, 0.001) > 10 * self.concurrency:
            self.rate = None


def backoff(attempt: int, draw: random.Random, *, base: float = 1.0, longest: float = 60.0) -> float:
    """Seconds to wait after the given attempt (1 is the first): exponential, with full jitter.

    Source: Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015.
    """
    return draw.uniform(0.0, min(longest, base * 2 ** (attempt - 1)))
