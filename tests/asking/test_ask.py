"""Asking through the ledger, against a real HTTP server that misbehaves: what the tables hold afterwards."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from madetl.asking import ledger
from madetl.asking.ask import AskingError, AskOptions, Caller, EmbedRequest, Task, Unusable, ask_all, estimate, in_pages
from madetl.asking.prices import Price
from madetl.errors import ParameterError
from madetl.providers.base import ChatAnswer, ChatRequest, Embeddings, Endpoint, ProviderError
from madetl.store import database, runs
from tests.support import children
from tests.support.ask_questions import ask, model, questions, save
from tests.support.children import Child
from tests.support.provider_bodies import ReceivedRequest
from tests.support.provider_server import ProviderServer, provider_process
from tests.support.soak import several


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


def outcomes(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """(attempt, outcome, HTTP status) of every call, in order."""
    return [tuple(row) for row in db.execute("SELECT attempt, outcome, http_status FROM calls ORDER BY id")]


def answered(db: sqlite3.Connection) -> list[int]:
    return [row[0] for row in db.execute("SELECT subject FROM got ORDER BY subject")]


def marked(*modes: str) -> Iterator[Task]:
    """Questions that make the server behave in a certain way."""
    return (Task(ChatRequest(f"<<{mode}>> {i}", max_tokens=100), subject=i) for i, mode in enumerate(modes))


# What an answer leaves behind


def test_answer_and_ledger_row_are_stored_together(db, server):
    # given a model with a price, when one question is asked
    report = ask(db, server.url, questions(1), Price(2.0, 8.0))
    # then the answer stands in the stage's table, and the ledger's row has all that is known about the request
    got = db.execute("SELECT text, call_id FROM got").fetchone()
    call = dict(db.execute("SELECT * FROM calls").fetchone())
    assert got["text"] == call["answer"] == "m answers: question 0"
    assert got["call_id"] == call["id"]
    assert (call["stage"], call["attempt"], call["outcome"], call["http_status"]) == ("inference", 1, "ok", 200)
    assert (call["tokens_in"], call["tokens_out"], call["finish_reason"]) == (2, 4, "stop")
    assert call["cost"] == report.cost == pytest.approx((2 * 2.0 + 4 * 8.0) / 1e6)
    assert call["model_version"] == "m-2026-01-01"
    assert call["latency"] > 0
    assert call["started_at"] <= call["finished_at"]
    assert (report.done, report.requests, report.tokens_in, report.tokens_out) == (1, 1, 2, 4)


def test_row_is_committed_before_its_request_is_sent(db, db_file, server):
    # given a server that looks into the database whenever it is asked something
    seen: list[int] = []

    def look(received: ReceivedRequest) -> str:
        with database.reading(db_file) as other:
            seen.append(other.execute("SELECT count(*) FROM calls WHERE outcome IS NULL").fetchone()[0])
        return "an answer"

    server.behaviour.answer = look
    # when three questions are asked one after the other
    ask(db, server.url, questions(3), concurrency=1)
    # then each found its own row open
    assert seen == [1, 1, 1]


@pytest.mark.slow
def test_answers_are_committed_within_a_second_while_others_are_under_way(db, db_file, server):
    # given one quick question and one that takes three seconds
    committed: list[float] = []
    began = time.monotonic()

    def watch() -> None:
        while not committed and time.monotonic() - began < 10:
            with contextlib.suppress(sqlite3.OperationalError), database.reading(db_file) as other:
                if other.execute("SELECT count(*) FROM got").fetchone()[0]:
                    committed.append(time.monotonic() - began)
            time.sleep(0.02)

    model(db)
    watcher = threading.Thread(target=watch)
    watcher.start()
    # when both are asked, then the quick one is there long before the slow one
    ask(db, server.url, marked("ok", "slow"))
    watcher.join(30)
    assert committed[0] < 1.5
    assert answered(db) == [0, 1]


def test_unknown_price_is_unknown_and_not_zero(db, server):
    report = ask(db, server.url, questions(2))
    assert report.cost is None
    assert db.execute("SELECT count(*) FROM calls WHERE cost IS NULL").fetchone()[0] == 2


def test_a_nul_in_an_answer_is_replaced_and_counted(db, server):
    server.behaviour.answer = lambda _: "a\0b"
    report = ask(db, server.url, questions(1))
    assert report.replaced == 1
    assert db.execute("SELECT answer FROM calls").fetchone()[0] == "a\ufffdb"
    assert db.execute("SELECT text FROM got").fetchone()[0] == "a\ufffdb"


# Never twice


def test_second_run_asks_nothing_and_saves_what_the_ledger_has(db, server):
    ask(db, server.url, questions(20))
    db.execute("DELETE FROM got WHERE subject < 5")
    report = ask(db, server.url, questions(20))
    assert (report.done, report.reused, report.requests, server.answered) == (0, 20, 0, 20)
    assert answered(db) == list(range(20))


def test_fresh_asks_again_but_only_once_in_its_run(db, server):
    ask(db, server.url, questions(3))
    twice = itertools.chain(questions(3), questions(3))
    report = ask(db, server.url, twice, fresh=True)
    assert (report.requests, report.done, report.reused) == (3, 3, 3)
    assert outcomes(db) == [(1, "ok", 200)] * 3 + [(2, "ok", 200)] * 3


def test_same_question_twice_is_asked_once_and_another_sample_again(db, server):
    # given a server that takes a moment, so that the second is looked at while the first is under way
    server.behaviour.latency_median = 0.3
    same = ChatRequest("the same", max_tokens=100)
    tasks = [Task(same, subject=1), Task(same, subject=2), Task(same, subject=3, sample=1)]
    report = ask(db, server.url, iter(tasks))
    assert (report.requests, report.done, report.reused) == (2, 2, 1)
    assert answered(db) == [1, 2, 3]


def test_answer_survives_a_failure_to_save_it(db, server):
    # given a stage that fails when it saves the third answer
    def fail(connection, task, answer, call_id):
        if task.subject == 2:
            raise RuntimeError("no room")
        save(connection, task, answer, call_id)

    with pytest.raises(RuntimeError, match="no room"):
        ask(db, server.url, questions(6), save=fail, concurrency=2)
    assert db.execute("SELECT count(*) FROM calls WHERE outcome IS NULL").fetchone()[0] == 0
    kept = outcomes(db).count((1, "ok", 200))
    assert kept >= 3
    # when the mended stage runs again, then nothing that was answered is asked again
    report = ask(db, server.url, questions(6), concurrency=2)
    assert answered(db) == list(range(6))
    assert report.requests == 6 - kept


# Failures


@pytest.mark.parametrize(
    ("mode", "outcome", "status"),
    [
        ("429", "rate_limited", 429),
        ("500", "server_error", 500),
        ("503", "server_error", 503),
        ("closed", "connection_error", None),
        ("half", "connection_error", None),
        ("invalid-json", "server_error", 200),
        ("no-choices", "invalid", 200),
        ("deep", "server_error", 200),
    ],
)
@pytest.mark.slow
def test_passing_failure_is_recorded_and_asked_again(db, server, mode, outcome, status):
    server.behaviour.plan.append(mode)
    report = ask(db, server.url, questions(1))
    assert outcomes(db) == [(1, outcome, status), (2, "ok", 200)]
    assert (report.done, report.requests, report.retried, report.undone) == (1, 2, 1, 0)
    assert all(row[0] for row in db.execute("SELECT error FROM calls WHERE outcome <> 'ok'"))


@pytest.mark.parametrize(
    ("mode", "outcome"),
    [("400", "client_error"), ("empty", "empty"), ("refusal", "refused"), ("blocked", "blocked")],
)
def test_lasting_failure_is_listed_and_asked_again_on_demand_alone(db, server, mode, outcome):
    # given a question that fails in the same way each time
    first = ask(db, server.url, marked(mode))
    assert first.failed == Counter({outcome: 1})
    assert first.undone == 1
    # when a plain second run comes, then it lists the failure and asks nobody
    second = ask(db, server.url, marked(mode))
    assert (second.left, second.requests, second.undone) == (Counter({outcome: 1}), 0, 1)
    assert second.examples[outcome]
    # and --retry-failed asks
    third = ask(db, server.url, marked(mode), retry_failed=True)
    assert (third.failed, third.requests) == (Counter({outcome: 1}), 1)
    assert answered(db) == []
    assert [row[0] for row in db.execute("SELECT attempt FROM calls ORDER BY id")] == [1, 2]


def test_truncated_answer_is_an_answer(db, server):
    report = ask(db, server.url, marked("cut"))
    assert (report.done, report.undone) == (1, 0)
    assert db.execute("SELECT outcome, finish_reason FROM calls").fetchone()[:] == ("truncated", "length")


@pytest.mark.slow
def test_attempts_end_and_the_next_run_begins_them_again(db, server):
    # given a server that fails three times in a row
    server.behaviour.plan.extend(["500", "500", "500"])
    report = ask(db, server.url, questions(1), max_attempts=2)
    assert (report.failed, outcomes(db)) == (
        Counter({"server_error": 1}),
        [(1, "server_error", 500), (2, "server_error", 500)],
    )
    # when a plain second run comes, then it tries again, and counts from the start
    report = ask(db, server.url, questions(1), max_attempts=2)
    assert (report.done, report.undone) == (1, 0)
    assert outcomes(db)[2:] == [(3, "server_error", 500), (4, "ok", 200)]


def test_failures_are_counted_by_their_latest_attempt(db, server):
    server.behaviour.plan.extend(["500", "ok"])
    ask(db, server.url, questions(1))
    ask(db, server.url, marked("400", "400", "refusal"))
    rows = [(r["stage"], r["model"], r["outcome"], r["requests"]) for r in ledger.failures(db)]
    assert rows == [("inference", "m", "client_error", 2), ("inference", "m", "refused", 1)]


@pytest.mark.parametrize("mode", ["401", "404", "429-quota"])
def test_what_every_request_would_meet_stops_the_run(db, server, mode):
    # given a wrong key, an unknown model, a used-up account
    server.behaviour.mode = mode
    with pytest.raises(AskingError) as caught:
        ask(db, server.url, questions(500), concurrency=4)
    # then no more than what was in flight was sent, and the error has the provider's words
    assert len(server.requests) <= 4
    assert f"HTTP {mode[:3]}" in str(caught.value)
    assert caught.value.report.stopped == "fatal"
    assert caught.value.report.undone == 500
    assert db.execute("SELECT count(*) FROM calls WHERE outcome IS NULL").fetchone()[0] == 0
    # and after the cause is mended, a plain second run asks those as well
    server.behaviour.mode = "ok"
    assert ask(db, server.url, questions(10)).done == 10


def test_server_that_is_gone_stops_the_run(db):
    with pytest.raises(AskingError, match="is the server up") as caught:
        ask(db, "http://127.0.0.1:9", questions(1000), concurrency=2, max_attempts=1)
    assert caught.value.report.requests < 50
    assert caught.value.report.undone == 1000


# What models refuse


def test_refused_parameter_is_learnt_once_and_left_out(db, server):
    # given a reasoning model that takes no temperature, asked by eight at once
    server.behaviour.mode = "refused-temperature"
    db.execute("INSERT INTO models (name, provider, settings) VALUES ('m', 'openai', '{\"temperature\": 0.5}')")
    report = ask(db, server.url, questions(30, temperature=0.5), concurrency=8, max_attempts=1)
    # then every question is answered, no more than those in flight were refused, and the model's row remembers it
    assert (report.done, report.undone) == (30, 0)
    refused = db.execute("SELECT count(*) FROM calls WHERE finish_reason = 'refused_parameter'").fetchone()[0]
    assert 1 <= refused <= 8
    settings = json.loads(db.execute("SELECT settings FROM models").fetchone()[0])
    assert settings == {"temperature": 0.5, "omit": ["temperature"], "rename": {}}
    # and the next run sends it no more, and knows the old answers
    server.requests.clear()
    report = ask(db, server.url, questions(31, temperature=0.5))
    assert (report.reused, report.done, len(server.requests)) == (30, 1, 1)
    assert "temperature" not in server.requests[0].body


def test_renamed_parameter_is_sent_under_its_new_name(db, server):
    server.behaviour.mode = "refused-max-tokens"
    assert ask(db, server.url, questions(5), concurrency=1).done == 5
    assert [("max_tokens" in r.body, r.body.get("max_completion_tokens")) for r in server.requests] == [
        (True, None),
        *[(False, 100)] * 5,
    ]
    assert json.loads(db.execute("SELECT settings FROM models").fetchone()[0])["rename"] == {
        "max_tokens": "max_completion_tokens"
    }


class Stubborn:
    """Refuses a parameter whether it is there or not: an input for the scheduler that no server sends."""

    asked = 0

    async def chat(self, request: ChatRequest) -> ChatAnswer:
        Stubborn.asked += 1
        raise ProviderError("no", outcome="client_error", http_status=400, refused_parameter="temperature")

    async def embed(self, texts: Any) -> Embeddings:
        raise NotImplementedError

    async def close(self) -> None:
        pass


def test_parameter_that_is_refused_though_left_out_is_a_failure(db):
    Stubborn.asked = 0
    report = ask(db, "http://x", questions(1, temperature=0.5), open_provider=lambda _: Stubborn())
    assert (report.failed, Stubborn.asked) == (Counter({"client_error": 1}), 2)


# Answers that are not what was asked for


def _must_be_json(answer: ChatAnswer) -> None:
    try:
        json.loads(answer.text)
    except ValueError:
        raise Unusable("not JSON") from None


def _with_repair(answer: ChatAnswer) -> None:
    if "repaired" not in answer.text:
        raise Unusable("not repaired", ChatRequest(f"repaired: {answer.text}", max_tokens=100))


def test_unusable_answer_is_asked_again_then_recorded(db, server):
    tasks = [Task(ChatRequest("q", max_tokens=100), subject=0, check=_must_be_json)]
    report = ask(db, server.url, iter(tasks))
    assert (report.failed, answered(db)) == (Counter({"invalid": 1}), [])
    assert outcomes(db) == [(1, "invalid", 200), (2, "invalid", 200)]
    assert db.execute("SELECT DISTINCT error FROM calls").fetchall()[0][0] == "not JSON"
    # and the next run lists it
    report = ask(db, server.url, iter(tasks))
    assert (report.left, report.requests) == (Counter({"invalid": 1}), 0)


def test_unusable_answer_is_repaired_and_never_repaired_again(db, server):
    tasks = [Task(ChatRequest("q", max_tokens=100), subject=0, check=_with_repair)]
    report = ask(db, server.url, iter(tasks))
    assert (report.done, outcomes(db)) == (1, [(1, "invalid", 200), (1, "ok", 200)])
    # when the stage's row is lost, then the ledger leads through the old answer and its repair to the good one
    db.execute("DELETE FROM got")
    report = ask(db, server.url, iter(tasks))
    assert (report.reused, report.requests, answered(db)) == (1, 0, [0])


def test_repair_that_a_killed_run_never_asked_for_is_asked_for(db, server):
    # given a run that was killed between the unusable answer and its repair
    tasks = [Task(ChatRequest("q", max_tokens=100), subject=0, check=_with_repair)]
    ask(db, server.url, iter(tasks), max_unusable=1)
    assert outcomes(db) == [(1, "invalid", 200)]
    # when it runs again, then only the repair is asked
    report = ask(db, server.url, iter(tasks))
    assert (report.done, report.requests, answered(db)) == (1, 1, [0])


def test_kept_answer_that_a_new_check_rejects_is_asked_again(db, server):
    ask(db, server.url, iter([Task(ChatRequest("q", max_tokens=100), subject=0)]))
    server.behaviour.answer = lambda _: "{}"
    report = ask(db, server.url, iter([Task(ChatRequest("q", max_tokens=100), subject=1, check=_must_be_json)]))
    assert (report.done, outcomes(db)) == (1, [(1, "invalid", 200), (2, "ok", 200)])


# Money


def test_max_cost_is_never_passed(db, server):
    # given answers of about 4 tokens that may have 100, at 10 USD per thousand tokens
    price = Price(0.0, 10_000.0)
    report = ask(db, server.url, questions(100), price, concurrency=8, max_cost=3.0)
    spent = db.execute("SELECT sum(cost) FROM calls").fetchone()[0]
    assert report.stopped == "max_cost"
    assert spent == pytest.approx(report.cost)
    # then the last one begun could still have cost 1 USD, and the next one could have passed the limit
    assert 2.0 < spent <= 3.0
    assert report.not_asked == 100 - report.done
    # and the same run's limit is not begun anew by the next one's ledger
    assert ask(db, server.url, questions(100), price, max_cost=3.0).reused == report.done


def test_max_cost_counts_what_is_in_flight(db, server):
    # given answers that cost all they can, 1 USD each, and eight at once
    server.behaviour.answer = lambda _: "word " * 100
    server.behaviour.latency_median = 0.1
    report = ask(db, server.url, questions(100), Price(0.0, 10_000.0), concurrency=8, max_cost=3.5)
    assert (report.done, report.requests, server.counts.most_in_flight) == (3, 3, 3)
    assert report.cost == pytest.approx(3.0)


def test_max_cost_counts_what_may_have_been_billed(db, server):
    # given a connection that closes before each answer, so that nobody knows what was billed
    server.behaviour.mode = "closed"
    with contextlib.suppress(AskingError):
        ask(db, server.url, questions(100), Price(0.0, 10_000.0), concurrency=1, max_cost=3.5, max_attempts=1)
    assert len(server.requests) == 3


def test_max_cost_needs_a_price_and_a_limit_of_the_answer(db, server):
    with pytest.raises(ParameterError, match="--price-in and --price-out"):
        ask(db, server.url, questions(1), max_cost=1.0)
    with pytest.raises(ParameterError, match="--max-tokens"):
        ask(db, server.url, iter([Task(ChatRequest("q"))]), Price(1.0, 1.0), max_cost=1.0)
    assert len(server.requests) == 0


def test_dry_run_counts_what_a_run_would_ask(db, server):
    # given 4 of 10 questions answered with 4 tokens each, and one that failed for good
    ask(db, server.url, questions(4))
    ask(db, server.url, marked("400"))
    price = Price(1.0, 100.0)
    caller = Caller(Endpoint("openai", "m", f"{server.url}/v1"), 1, "inference", 0, price)
    # when it is estimated, then what the ledger has is no request, nor is a question that stands there twice
    tasks = itertools.chain(questions(10), questions(10), marked("400"))
    found = estimate(db, caller, tasks, AskOptions())
    assert (found.requests, found.reused, found.left) == (6, 4 + 4 + 6, Counter({"client_error": 1}))
    assert found.tokens_out == 6 * 4
    assert "the mean of this model's answers" in found.tokens_out_rule
    assert found.cost == pytest.approx((found.tokens_in * 1.0 + 24 * 100.0) / 1e6)
    # and an unknown price is unknown
    assert estimate(db, Caller(caller.endpoint, 1, "judgment", 0), questions(5), AskOptions()).cost is None
    assert len(server.requests) == 5


# Limits and speed


@pytest.mark.slow
def test_no_request_is_sent_inside_its_own_retry_after(db, server):
    server.behaviour.stray, server.behaviour.retry_after = 0.1, 1
    report = ask(db, server.url, questions(200), concurrency=20)
    assert (report.done, report.undone) == (200, 0)
    assert server.counts.statuses[429] > 5
    assert server.counts.early == 0


def test_a_retry_after_beyond_bearing_is_left_for_the_next_run(db, server):
    server.behaviour.plan.append("429-date")  # half a minute from now
    report = ask(db, server.url, questions(2), longest_wait=5.0)
    assert (report.done, report.failed) == (1, Counter({"rate_limited": 1}))


@pytest.mark.slow
def test_behind_a_token_bucket_nothing_is_lost_and_nothing_sent_too_early(db):
    with ProviderServer(rate=100.0, burst=20.0, latency_median=0.05) as server:
        report = ask(db, server.url, questions(600), concurrency=50)
        assert (report.done, report.undone) == (600, 0)
        assert server.counts.early == 0


def test_concurrency_is_kept(db, server):
    server.behaviour.latency_median = 0.05
    ask(db, server.url, questions(60), concurrency=7)
    assert server.counts.most_in_flight == 7


@pytest.mark.slow
def test_tasks_are_fetched_as_the_work_goes_on(db, server):
    # given a thousand tasks that come from a generator
    ahead, saved = [], itertools.count()

    def tasks() -> Iterator[Task]:
        for fetched, task in enumerate(questions(1000)):
            ahead.append(fetched - done[-1])
            yield task

    def count(connection, task, answer, call_id):
        done.append(next(saved))

    done = [0]
    assert ask(db, server.url, tasks(), save=count, concurrency=8).done == 1000
    # then never more than a few hundred of them are in memory
    assert max(ahead) < 300


@pytest.mark.slow
def test_another_process_that_writes_for_long_holds_nobody_up(db, db_file, server):
    # given somebody who holds the write lock for a second
    def write() -> None:
        with database.writing(db_file) as other, database.transaction(other):
            other.execute("INSERT INTO annotators (name) VALUES ('somebody')")
            locked.set()
            time.sleep(1.0)

    locked = threading.Event()
    writer = threading.Thread(target=write)
    model(db)
    writer.start()
    assert locked.wait(30)
    report = ask(db, server.url, questions(50))
    writer.join(30)
    assert (report.done, len(answered(db))) == (50, 50)


def test_progress_tells_done_tokens_and_cost(db, server):
    server.behaviour.latency_median = 0.05
    seen = []
    ask(
        db,
        server.url,
        questions(40),
        Price(1.0, 1.0),
        concurrency=4,
        progress=lambda p: seen.append((p.report.done, p.in_flight, p.report.cost, p.limit)),
    )
    assert len(seen) > 2
    assert [done for done, *_ in seen] == sorted(done for done, *_ in seen)
    assert all(in_flight <= 4 and cost is not None and limit == 4 for _, in_flight, cost, limit in seen)


# Killed, interrupted, two at once


def asking(db_file: Path, url: str, count: int, concurrency: int) -> AbstractContextManager[Child]:
    return children.python("-m", "tests.support.ask_questions", db_file, url, count, concurrency)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize("enough", several([200], range(10, 450, 10)))
def test_killed_and_started_again_asks_only_for_what_is_missing(db_file, enough):
    concurrency = 32
    with provider_process("--latency-median", "0.1", "--latency-sigma", "0.6") as server:
        # given a run that is killed in the middle of 500 questions
        with asking(db_file, server.url, 500, concurrency) as first:
            first.until(lambda: server.stats()["answered"] >= enough)
        # when it is started again
        with asking(db_file, server.url, 500, concurrency) as second:
            report = json.loads(second.communicate()[0])
        stats = server.stats()
    # then every question is answered once, and nobody paid for more than what was in flight
    with database.reading(db_file) as db:
        assert answered(db) == list(range(500))
        calls = Counter(row[0] for row in db.execute("SELECT outcome FROM calls"))
        twice = db.execute(
            "SELECT count(*) FROM (SELECT 1 FROM calls WHERE outcome = 'ok' GROUP BY request_hash HAVING count(*) > 1)"
        ).fetchone()[0]
        ended = [row[0] for row in db.execute("SELECT outcome FROM runs ORDER BY id")]
    assert calls["ok"] == 500
    assert twice == 0
    assert 0 < calls["interrupted"] <= concurrency
    assert set(calls) == {"ok", "interrupted"}
    assert stats["answered"] <= 500 + concurrency
    assert report["done"] < 500
    assert ended == ["interrupted", "ok"]
    assert list(db_file.parent.glob("*-run-*")) == []


@pytest.mark.slow
def test_two_processes_on_one_file_share_the_work(db_file):
    with provider_process("--latency-median", "0.1", "--latency-sigma", "0.6") as server:
        with asking(db_file, server.url, 300, 16) as one, asking(db_file, server.url, 300, 16) as other:
            reports = [json.loads(child.communicate()[0]) for child in (one, other)]
        stats = server.stats()
    with database.reading(db_file) as db:
        assert answered(db) == list(range(300))
        assert [row[0] for row in db.execute("SELECT DISTINCT outcome FROM calls")] == ["ok"]
    assert stats["answered"] == 300
    assert sum(report["done"] for report in reports) == 300
    assert min(report["done"] for report in reports) > 50


@pytest.mark.slow
def test_ctrl_c_saves_what_is_in_flight(db_file):
    with provider_process("--latency-median", "0.5") as server:
        with asking(db_file, server.url, 500, 16) as child:
            child.until(lambda: server.stats()["answered"] >= 16)
            time.sleep(0.1)
            child.send_signal(signal.SIGINT)
            assert child.wait() == 130
        stats = server.stats()
    with database.reading(db_file) as db:
        assert len(answered(db)) == stats["answered"] < 100
        assert [row[0] for row in db.execute("SELECT DISTINCT outcome FROM calls")] == ["ok"]
        assert db.execute("SELECT outcome FROM runs").fetchone()[0] == "interrupted"


@pytest.mark.slow
def test_second_ctrl_c_waits_for_nothing(db_file):
    slow = provider_process("--mode", "slow", "--slow-seconds", "20")
    with slow as server, asking(db_file, server.url, 500, 16) as child:
        child.until(lambda: server.stats()["requests"] >= 16)
        began = time.monotonic()
        child.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert child.poll() is None
        child.send_signal(signal.SIGINT)
        assert child.wait() == 130
    assert time.monotonic() - began < 5
    with database.reading(db_file) as db:
        assert Counter(row[0] for row in db.execute("SELECT outcome FROM calls")) == Counter({"interrupted": 16})


# Embeddings, and models in this process


def test_texts_are_embedded_in_batches(db, server):
    db.execute("CREATE TABLE vectors (subject INTEGER, dimensions INTEGER)")

    def keep(connection, task, answer, call_id):
        for vector in answer.vectors:
            connection.execute("INSERT INTO vectors VALUES (?, ?)", (task.subject, len(vector)))

    tasks = [Task(EmbedRequest((f"text {i}", f"more {i}")), subject=i) for i in range(5)]
    report = ask(db, server.url, iter(tasks), Price(1.0, None), save=keep)
    assert (report.done, report.tokens_out) == (5, 0)
    assert report.cost == pytest.approx(20 / 1e6)
    assert db.execute("SELECT count(*), min(dimensions) FROM vectors").fetchone()[:] == (10, 16)
    assert db.execute("SELECT answer, tokens_in, tokens_out FROM calls LIMIT 1").fetchone()[:] == (None, 4, 0)


class InProcess:
    """A model in this process, as an input: answers, and fails each question once that says so."""

    def __init__(self) -> None:
        self.chunks: list[int] = []
        self.failed: set[str] = set()

    def chat_many(self, requests: Any) -> list[ChatAnswer | ProviderError]:
        self.chunks.append(len(requests))
        return [self._one(request) for request in requests]

    def _one(self, request: ChatRequest) -> ChatAnswer | ProviderError:
        if "fail" in request.prompt and request.prompt not in self.failed:
            self.failed.add(request.prompt)
            return ProviderError("out of memory", outcome="server_error", retry_after=0.0)
        return ChatAnswer(f"answer to {request.prompt}", "ok", "stop", "1", 3, 4, 0.1)

    def embed_many(self, texts: Any) -> Embeddings:
        return Embeddings([[1.0, 0.0]] * len(texts), [False] * len(texts), "1", 3, 0.1)

    def close(self) -> None:
        self.chunks.append(-1)


def test_model_in_this_process_is_asked_in_chunks(db):
    provider = InProcess()
    tasks = itertools.chain(questions(9), [Task(ChatRequest("fail", max_tokens=100), subject=9)])
    report = ask(db, "", tasks, chunk=4, open_provider=lambda _: provider)
    assert (report.done, report.retried, answered(db)) == (10, 1, list(range(10)))
    assert provider.chunks == [4, 4, 2, 1, -1]
    # and a second run does not even load the model
    again = InProcess()
    assert ask(db, "", iter(()), open_provider=lambda _: again).done == 0
    assert again.chunks == []


def test_chunk_that_is_interrupted_leaves_no_row_open(db):
    class Interrupted(InProcess):
        def chat_many(self, requests):
            if self.chunks:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(1)
            return super().chat_many(requests)

    with pytest.raises(KeyboardInterrupt):
        ask(db, "", questions(10), chunk=4, open_provider=lambda _: Interrupted())
    assert answered(db) == [0, 1, 2, 3]
    assert Counter(row[0] for row in db.execute("SELECT outcome FROM calls")) == Counter({"ok": 4, "interrupted": 4})
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_fault_in_a_provider_ends_the_run_and_closes_its_rows(db):
    class Faulty(Stubborn):
        async def chat(self, request):
            raise TypeError("a fault")

    with pytest.raises(TypeError, match="a fault"):
        ask(db, "http://x", questions(10), open_provider=lambda _: Faulty())
    assert {row[0] for row in db.execute("SELECT outcome FROM calls")} == {"interrupted"}


def test_pages_hold_no_statement_open(db, study):
    for i in range(7):
        study.instruction(f"question {i}")
    sql = "SELECT id, instruction FROM instructions WHERE id > :after ORDER BY id LIMIT :page"
    rows = in_pages(db, sql, {}, size=3)
    first = next(rows)
    with database.transaction(db):  # a statement that is still open would make this a read that turns into a write
        db.execute("DELETE FROM instructions WHERE id = ?", (first["id"],))
    assert [row["instruction"] for row in rows] == [f"question {i}" for i in range(1, 7)]


def test_run_of_another_command_is_left_alone(db, server):
    # given another command that is under way and has asked nothing
    with runs.run(db, "select", {}) as other:
        ask(db, server.url, questions(1))
        assert db.execute("SELECT outcome FROM runs WHERE id = ?", (other.id,)).fetchone()[0] is None


def test_asking_without_a_run_lock_left_behind(db, db_file, server):
    ask(db, server.url, questions(1))
    assert [file.name for file in db_file.parent.iterdir() if "-run-" in file.name] == []


def test_base_url_of_the_environment_tells_answers_apart(db, server, monkeypatch):
    # given answers from one server, asked without a base URL of the model's own
    model(db)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    endpoint = Endpoint("openai", "m")
    with runs.run(db, "infer", {}) as run:
        ask_all(db, Caller(endpoint, 1, "inference", run.id), questions(2), save)
    # when the environment names another server, then its answers are others
    with ProviderServer() as other, runs.run(db, "infer", {}) as run:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{other.url}/v1")
        report = ask_all(db, Caller(endpoint, 1, "inference", run.id), questions(2), save)
        assert (report.reused, other.answered) == (0, 2)
