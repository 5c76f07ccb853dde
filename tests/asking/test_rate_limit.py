"""The rate limit, in simulated time against servers that limit: an hour of asking in a moment."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madetl.asking.rate_limit import RateLimit, backoff, wait_before_retry

TICK = 0.01  # seconds


@dataclass
class Bucket:
    """A token bucket, as plainly as it can be written."""

    rate: float
    burst: float
    tokens: float = field(init=False)
    filled_at: float = 0.0

    def __post_init__(self) -> None:
        self.tokens = self.burst

    def takes(self, now: float) -> bool:
        self.tokens = min(self.burst, self.tokens + (now - self.filled_at) * self.rate)
        self.filled_at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def wait(self) -> float:
        return (1 - self.tokens) / self.rate


@dataclass
class Outcome:
    seconds: float
    most_attempts: int
    refused: int
    early: int  # sent inside their own Retry-After
    most_in_flight: int


def simulate(
    takes: Callable[[float], bool],
    retry_after: Callable[[], float | None],
    *,
    count: int,
    concurrency: int,
    latency: float = 0.2,
    refusal: float = 0.005,
    seed: int = 0,
) -> Outcome:
    """Asks `count` questions at a server that takes a request, or refuses it after `refusal` seconds; steps of TICK."""
    rate_limit, draw, now = RateLimit(concurrency), random.Random(seed), 0.0
    ready = [(0.0, i, 1) for i in range(count)]  # not before, question, attempt
    in_flight: list[tuple[float, int, int, object, float | None, bool]] = []
    done, found = 0, Outcome(0.0, 1, 0, 0, 0)
    while done < count:
        while in_flight and in_flight[0][0] <= now:
            _, question, attempt, sent, wait, taken = heapq.heappop(in_flight)
            if taken:
                rate_limit.answered(sent, now)
                done += 1
                continue
            rate_limit.refused(sent, now, wait)
            found.refused += 1
            found.most_attempts = max(found.most_attempts, attempt + 1)
            heapq.heappush(
                ready, (now + wait_before_retry(attempt, draw, limited=True, retry_after=wait), question, attempt + 1)
            )
        for _ in range(rate_limit.room(now, len(in_flight))):
            if not ready or ready[0][0] > now:
                break
            before, question, attempt = heapq.heappop(ready)
            found.early += before > now
            taken = takes(now)
            ends = now + (latency * math.exp(0.6 * draw.gauss(0, 1)) if taken else refusal)
            heapq.heappush(
                in_flight, (ends, question, attempt, rate_limit.sent(now), None if taken else retry_after(), taken)
            )
        found.most_in_flight = max(found.most_in_flight, len(in_flight))
        now += TICK
        assert now < 3600
    found.seconds = now
    return found


@pytest.mark.parametrize("header", ["whole seconds", "exact", "none"])
@pytest.mark.parametrize(
    ("rate", "burst", "concurrency"), [(50, 50, 32), (50, 10, 32), (100, 20, 100), (20, 20, 32), (5, 5, 32)]
)
def test_token_bucket_is_used_to_85_percent_and_nothing_fails_five_times(rate, burst, concurrency, header):
    bucket = Bucket(rate, burst)
    waits = {"whole seconds": lambda: max(1.0, math.ceil(bucket.wait())), "exact": bucket.wait, "none": lambda: None}
    found = simulate(bucket.takes, waits[header], count=20 * rate, concurrency=concurrency)
    assert 20 * rate / (burst + rate * found.seconds) > 0.85
    assert found.most_attempts <= 5
    assert found.early == 0


@pytest.mark.parametrize("refusal", [0.005, 0.05, 0.2, 0.5])
def test_refusals_that_take_their_time_are_borne_as_well(refusal):
    # given a gateway that needs half a second to say no: by then many more are on their way
    bucket = Bucket(100, 20)
    found = simulate(
        bucket.takes,
        lambda: max(1.0, math.ceil(bucket.wait())),
        count=2000,
        concurrency=100,
        refusal=refusal,
    )
    assert found.most_attempts <= 5
    assert found.refused < 600
    assert 2000 / (20 + 100 * found.seconds) > 0.85


def test_stray_refusals_slow_nobody_down():
    # given 2 % of requests that are refused for a second, beside the same without
    chance = random.Random(1)
    strays = simulate(lambda _: chance.random() > 0.02, lambda: 1.0, count=2000, concurrency=100)
    none = simulate(lambda _: True, lambda: None, count=2000, concurrency=100)
    assert strays.refused > 20
    assert strays.seconds < none.seconds + 1.5  # the last one may have to wait its second


def test_server_that_takes_ten_at_once_gets_no_more_than_it_bears():
    # given a server that refuses the eleventh at once
    ends: list[float] = []
    draw = random.Random(2)

    def takes(now: float) -> bool:
        ends[:] = [end for end in ends if end > now]
        if len(ends) >= 10:
            return False
        ends.append(now + 0.2 * math.exp(0.6 * draw.gauss(0, 1)))
        return True

    found = simulate(takes, lambda: 1.0, count=1000, concurrency=100)
    assert found.most_attempts <= 5
    assert found.seconds < 2 * 1000 * 0.24 / 10
    assert found.refused < 300


def test_refusals_in_numbers_hold_everybody_for_the_retry_after():
    rate_limit = RateLimit(20)
    sent = [rate_limit.sent(0.0) for _ in range(20)]
    for one in sent:
        rate_limit.refused(one, 0.1, 2.0)
    assert rate_limit.limit < 20
    assert rate_limit.room(2.0, 0) == 0
    assert rate_limit.wait(2.0) == pytest.approx(0.1)
    assert rate_limit.room(4.0, 0) > 0


def test_limit_falls_once_for_a_round_and_climbs_back():
    rate_limit = RateLimit(16)
    sent = [rate_limit.sent(0.0) for _ in range(16)]
    for one in sent[:8]:
        rate_limit.refused(one, 0.1, None)
    assert rate_limit.limit == pytest.approx(0.85 * 16)
    for one in sent[8:]:
        rate_limit.answered(one, 0.2)
    assert 0.85 * 16 < rate_limit.limit < 0.85 * 16 + 1
    for i in range(100):
        rate_limit.answered(rate_limit.sent(1.0 + i), 1.1 + i)
    assert rate_limit.limit == 16.0


def test_rate_is_forgotten_when_the_limit_has_gone():
    rate_limit = RateLimit(10)
    for one in [rate_limit.sent(0.0) for _ in range(10)]:
        rate_limit.refused(one, 0.1, 1.0)
    assert rate_limit.rate is not None
    now = 1.2
    while rate_limit.rate is not None:
        for _ in range(rate_limit.room(now, 0)):
            rate_limit.answered(rate_limit.sent(now), now + 0.1)
        now += 0.05
        assert now < 60


@given(attempt=st.integers(1, 200), seed=st.integers(0, 99), base=st.floats(0.01, 5.0), longest=st.floats(1.0, 100.0))
def test_backoff_stays_under_its_doubling_bound(attempt, seed, base, longest):
    wait = backoff(attempt, random.Random(seed), base=base, longest=longest)
    assert 0 <= wait <= min(longest, base * 2.0 ** (attempt - 1))


def test_backoff_is_spread_over_its_whole_range():
    draw = random.Random(0)
    waits = [backoff(4, draw) for _ in range(4000)]
    assert min(waits) < 0.1
    assert max(waits) > 7.9
    assert sum(waits) / len(waits) == pytest.approx(4.0, abs=0.2)


@settings(max_examples=50, deadline=None)
@given(
    concurrency=st.integers(1, 60),
    events=st.lists(
        st.tuples(st.booleans(), st.floats(0.0, 0.5), st.sampled_from([None, 0.0, 0.3, 5.0])), max_size=300
    ),
)
def test_room_is_never_more_than_the_concurrency_and_never_ends_for_good(concurrency, events):
    # given any mixture of answers and refusals
    rate_limit, now = RateLimit(concurrency), 0.0
    for refused, passed, wait in events:
        now += passed
        assert 0 <= rate_limit.room(now, 0) <= concurrency
        sent = rate_limit.sent(now)
        if refused:
            rate_limit.refused(sent, now, wait)
        else:
            rate_limit.answered(sent, now)
        assert 1.0 <= rate_limit.limit <= concurrency
    # then after a while somebody may ask again
    for _ in range(2000):
        now += 0.05
        if rate_limit.room(now, 0):
            return
    raise AssertionError("nobody may ask any more")
