"""The ledger's own rules: which requests are the same, what their rows say, which runs are dead, what tokens cost."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madetl.asking import ledger, locks, prices
from madetl.asking.estimate import most_tokens, tokens_in
from madetl.asking.ledger import Closing, EmbedRequest
from madetl.asking.prices import Price
from madetl.errors import InputError
from madetl.providers.base import ChatAnswer, ChatRequest, Embeddings, Endpoint, ProviderError
from madetl.store import database, runs, sqlfiles
from tests.support import children

ENDPOINT = Endpoint("openai", "m", "http://x/v1")
CHAT = ChatRequest("why?", max_tokens=10)
ROOT = Path(__file__).parents[2]


def opened(db, *, run_id=None, key="a" * 64, sample=0, attempt=1, model="m"):
    """A row of `calls` under way, of a model that is made where there is none."""
    db.execute("INSERT OR IGNORE INTO models (name) VALUES (?)", (model,))
    model_id = db.execute("SELECT id FROM models WHERE name = ?", (model,)).fetchone()[0]
    return ledger.open_call(
        db, run_id=run_id, stage="inference", model_id=model_id, key=key, sample=sample, attempt=attempt
    )


def history(db, key="a" * 64, sample=0, only_run=None):
    return ledger.history(ledger.attempts(db, 1, key, sample), only_run)


# Which requests are the same


@pytest.mark.parametrize(
    ("endpoint", "request_"),
    [
        (replace(ENDPOINT, provider="gemini"), CHAT),
        (replace(ENDPOINT, model_id="n"), CHAT),
        (replace(ENDPOINT, base_url="http://y/v1"), CHAT),
        (replace(ENDPOINT, options={"chat_template": "x"}), CHAT),
        (ENDPOINT, replace(CHAT, prompt="why? ")),
        (ENDPOINT, replace(CHAT, system="")),
        (ENDPOINT, replace(CHAT, temperature=0.0)),
        (ENDPOINT, replace(CHAT, top_p=1.0)),
        (ENDPOINT, replace(CHAT, max_tokens=11)),
        (ENDPOINT, replace(CHAT, presence_penalty=0.0)),
        (ENDPOINT, replace(CHAT, frequency_penalty=0.0)),
        (ENDPOINT, replace(CHAT, stop=("END",))),
        (ENDPOINT, replace(CHAT, schema={"type": "object"})),
        (ENDPOINT, EmbedRequest(("why?",))),
    ],
)
def test_whatever_changes_the_answer_changes_the_hash(endpoint, request_):
    assert ledger.request_hash(endpoint, request_) != ledger.request_hash(ENDPOINT, CHAT)


@pytest.mark.parametrize(
    "endpoint",
    [
        replace(ENDPOINT, omit=frozenset({"temperature"})),
        replace(ENDPOINT, rename=(("max_tokens", "max_completion_tokens"),)),
        replace(ENDPOINT, key_env="OTHER"),
        replace(ENDPOINT, base_url="http://x/v1/"),
        replace(ENDPOINT, options={"timeout": 9}),
        replace(ENDPOINT, options={"safety": "default"}),
        replace(ENDPOINT, options={"safety": "block-none"}),
    ],
)
def test_what_does_not_change_the_answer_leaves_the_hash(endpoint):
    assert ledger.request_hash(endpoint, CHAT) == ledger.request_hash(ENDPOINT, CHAT)


def test_hash_is_that_of_yesterday():
    # answers of earlier versions must be found: this changes only together with a migration
    assert ledger.request_hash(ENDPOINT, CHAT) == "5f080c83e49475e33cc74239a0e67a02307591ed999905f62e73b02c68bbf021"


def test_order_of_a_schemas_keys_does_not_matter_and_the_order_of_texts_does():
    first = replace(CHAT, schema={"type": "object", "required": ["a"]})
    second = replace(CHAT, schema={"required": ["a"], "type": "object"})
    assert ledger.request_hash(ENDPOINT, first) == ledger.request_hash(ENDPOINT, second)
    texts = [EmbedRequest(("a", "b")), EmbedRequest(("b", "a")), EmbedRequest(("ab",))]
    assert len({ledger.request_hash(ENDPOINT, each) for each in texts}) == 3


def test_a_prompt_with_a_lone_surrogate_can_be_hashed():
    assert len(ledger.request_hash(ENDPOINT, ChatRequest("\ud800"))) == 64


# What the rows of a request say


def test_answer_counts_whatever_was_met_before_and_after(db):
    for attempt, outcome, answer in [(1, "rate_limited", None), (2, "truncated", "half"), (3, "server_error", None)]:
        ledger.close_call(db, opened(db, attempt=attempt), Closing(outcome, answer))
    known = history(db)
    assert known.answered is not None
    assert known.answered["answer"] == "half"
    assert known.attempts == 3


@pytest.mark.parametrize(
    ("outcome", "reason", "for_good"),
    [
        ("empty", None, True),
        ("client_error", None, True),
        ("refused", None, True),
        ("blocked", "SAFETY", True),
        ("invalid", "stop", True),
        ("client_error", ledger.FATAL, False),
        ("client_error", ledger.REFUSED_PARAMETER, False),
        ("rate_limited", None, False),
        ("timeout", None, False),
        ("connection_error", None, False),
        ("server_error", None, False),
        ("interrupted", None, False),
    ],
)
def test_every_outcome_is_either_tried_again_or_listed(db, outcome, reason, for_good):
    ledger.close_call(db, opened(db), Closing(outcome, finish_reason=reason))
    assert history(db).failed_for_good is for_good
    assert history(db).answered is None


def test_another_sample_model_or_run_is_another_question(db):
    with runs.run(db, "infer", {}) as run:
        ledger.close_call(db, opened(db, run_id=run.id), Closing("ok", "yes"))
    assert history(db).answered is not None
    assert history(db, sample=1).attempts == 0
    assert history(db, key="b" * 64).attempts == 0
    assert ledger.attempts(db, 2, "a" * 64, 0) == []
    # and for a fresh run only its own rows count, while the attempts go on
    fresh = history(db, only_run=run.id + 1)
    assert (fresh.answered, fresh.last, fresh.attempts) == (None, None, 1)


def test_embeddings_are_no_answer_that_could_be_reused(db):
    vectors = Embeddings([[1.0]], [False], "m-1", 3, 0.1, 200)
    ledger.close_call(db, opened(db), ledger.closing(vectors, Price(1.0, None)))
    assert history(db).answered is None
    assert not history(db).failed_for_good


def test_closing_keeps_all_that_an_error_tells():
    error = ProviderError(
        "HTTP 400: no", outcome="client_error", http_status=400, latency=0.5, tokens_in=7, tokens_out=0, text="a\0b"
    )
    assert ledger.closing(error, Price(1.0, 2.0)) == Closing(
        "client_error", "a\ufffdb", None, 400, 7, 0, pytest.approx(7e-6), 0.5, None, "HTTP 400: no"
    )


# Runs that execute and runs that were killed


@pytest.mark.slow
def test_killed_run_is_told_from_one_that_executes(db, db_file):
    # given two runs with a request under way each: one executes in this process, one in a process that is killed
    with runs.run(db, "infer", {}) as alive, locks.run_lock(db, alive.id):
        ours = opened(db, run_id=alive.id)
        script = (
            "import sys, time\nfrom madetl.asking import ledger, locks\nfrom madetl.store import database, runs\n"
            "with database.writing(sys.argv[1]) as db, runs.run(db, 'infer', {}) as run, locks.run_lock(db, run.id):\n"
            "    ledger.open_call(db, run_id=run.id, stage='s', model_id=1, key='b' * 64, sample=0, attempt=1)\n"
            "    print(run.id, flush=True)\n    time.sleep(60)\n"
        )
        with children.python("-c", script, db_file) as child:
            theirs = int(child.stdout.readline())
            # when both live, then no run is closed
            assert locks.close_killed_runs(db) == 0
            with database.transaction(db):
                assert locks.executes(db, theirs)
                assert locks.executes(db, alive.id)
        # when one is killed, then its request is interrupted, and so is the run
        assert locks.close_killed_runs(db) == 1
        rows = db.execute("SELECT run_id, outcome FROM calls ORDER BY id").fetchall()
        assert [tuple(row) for row in rows] == [(alive.id, None), (theirs, "interrupted")]
        ended = db.execute("SELECT outcome, summary FROM runs WHERE id = ?", (theirs,)).fetchone()
        assert tuple(ended) == ("interrupted", "killed")
        ledger.close_call(db, ours, Closing("ok", "yes"))
    assert [file.name for file in db_file.parent.iterdir() if "-run-" in file.name] == []


def test_run_without_a_lock_does_not_execute(db):
    with runs.run(db, "infer", {}) as run:
        opened(db, run_id=run.id)
        with database.transaction(db):
            assert not locks.executes(db, run.id)
            assert not locks.executes(db, None)


def test_lock_beside_a_path_with_odd_characters(tmp_path):
    folder = tmp_path / "a b%20?#'é"
    folder.mkdir()
    with (
        database.writing(folder / "my db?.sqlite") as db,
        runs.run(db, "infer", {}) as run,
        locks.run_lock(db, run.id),
        database.transaction(db),
    ):
        assert locks.executes(db, run.id)


def test_database_in_memory_has_no_lock():
    import sqlite3

    db = sqlite3.connect(":memory:", isolation_level=None)
    db.row_factory = sqlite3.Row
    with locks.run_lock(db, 1):
        assert not locks.executes(db, 1)
    db.close()


# The queries


def test_failures_show_requests_by_their_latest_attempt(db):
    # given a request that was answered after a failure, one that failed twice in different ways, one under way
    for key, attempt, outcome in [
        ("a", 1, "timeout"),
        ("a", 2, "ok"),
        ("b", 1, "rate_limited"),
        ("b", 2, "blocked"),
        ("c", 1, "blocked"),
        ("d", 1, "ok"),
        ("d", 2, "timeout"),  # --fresh: answered all the same
    ]:
        ledger.close_call(db, opened(db, key=key * 64, attempt=attempt), Closing(outcome, "x", error="why"))
    opened(db, key="e" * 64)
    assert [tuple(row) for row in ledger.failures(db)] == [("inference", "m", "blocked", None, 2, "why")]


def test_mean_tokens_out_is_of_answers_of_that_model_and_stage(db):
    assert ledger.mean_tokens_out(db, "inference", 1) is None
    for key, outcome, tokens in [("a", "ok", 10), ("b", "truncated", 30), ("c", "blocked", 1000)]:
        ledger.close_call(db, opened(db, key=key * 64), Closing(outcome, "x", tokens_out=tokens))
    ledger.close_call(db, opened(db, key="d" * 64, model="n"), Closing("ok", "x", tokens_out=1000))
    assert ledger.mean_tokens_out(db, "inference", 1) == 20.0
    assert ledger.mean_tokens_out(db, "judgment", 1) is None


def test_ledger_is_read_by_its_indexes(db):
    for name, parameters in [
        ("asking/call_attempts", {"request_hash": "a", "sample": 0, "model_id": 1}),
        ("asking/runs_with_open_calls", {}),
    ]:
        plan = db.execute("EXPLAIN QUERY PLAN " + sqlfiles.query(name), parameters).fetchall()
        assert not any("SCAN c" in row["detail"] for row in plan), name


# Prices


def test_price_of_the_row_comes_before_the_users_file_and_that_before_the_table(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[openai.prices]\n"gpt-4.1" = [1.5, 6]\n"our-own" = [0, 0.5]\n')
    table = prices.load(file)

    def price(name, provider="openai", price_in=None, price_out=None, model_id=None):
        row = {"name": name, "provider": provider, "model_id": model_id, "price_in": price_in, "price_out": price_out}
        return prices.price_of(row, table, at_home=True)

    assert price("gpt-4.1") == Price(1.5, 6.0)
    assert price("gpt-4.1", price_in=9.0) == Price(9.0, 6.0)
    assert price("mine", model_id="our-own") == Price(0.0, 0.5)
    assert price("gpt-4o") == Price(2.5, 10.0)
    assert price("gpt-4o-2024-08-06") == price("gpt-4o")
    assert price("gpt-4o-2024-05-13") == Price(5.0, 15.0)
    assert price("models/gemini-2.5-flash-001", "gemini") == Price(0.3, 2.5)
    assert price("gpt-4o-mini-2024-07-18") == Price(0.15, 0.6)
    assert price("gpt-9") == Price(None, None)
    assert price("gpt-4.1", provider="vllm") == Price(None, None)


def test_prices_of_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "mine.toml"
    file.write_text('[gemini.prices]\n"gemini-9" = [1, 2]\n')
    monkeypatch.setenv("MADETL_PRICES", str(file))
    assert prices.load()["gemini", "gemini-9"] == Price(1.0, 2.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = ", "cannot be read as a table of prices"),
        ('"gpt-4.1" = [1, 2]', r"expected a table \[gpt-4.1.prices\]"),
        ('[openai.prices]\n"m" = [1]', r"field openai.prices.m: expected \[input, output\]"),
        ('[openai.prices]\n"m" = [1, -2]', "found \\[1, -2\\]"),
        ('[openai.prices]\n"m" = ["1", 2]', "USD per million tokens"),
        ('[openai.prices]\n"m" = [true, 2]', "USD per million tokens"),
        ('[openai.prices]\n"m" = [nan, 2]', "USD per million tokens"),
        ('[openai.prices]\n"m" = [inf, 2]', "USD per million tokens"),
    ],
)
def test_table_of_prices_that_cannot_be_read(tmp_path, text, words):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=words):
        prices.load(file)


def test_missing_table_of_prices(tmp_path):
    with pytest.raises(InputError, match=r"none\.toml: cannot be read"):
        prices.load(tmp_path / "none.toml")


def test_cost_is_unknown_rather_than_zero():
    assert Price(2.0, 8.0).cost(1_000_000, 500_000) == 6.0
    assert Price(2.0, None).cost(10, 10) is None
    assert Price(2.0, None).cost(10, 0) == pytest.approx(2e-5)
    assert Price(2.0, 8.0).cost(None, 10) is None
    assert Price(0.0, 0.0).cost(10, 10) == 0.0


# Tokens


def test_tokens_are_estimated_by_script():
    assert tokens_in(EmbedRequest(("abcdefgh",))) == 2
    assert tokens_in(EmbedRequest(("你好",))) == 2
    assert tokens_in(EmbedRequest(("a", "b"))) == 2


@pytest.mark.slow
@given(st.text(max_size=200))
def test_estimate_never_exceeds_the_most_that_is_possible(text):
    for request in (ChatRequest(text, max_tokens=5), EmbedRequest((text,))):
        assert tokens_in(request) <= most_tokens(request)[0]


def test_schema_and_system_prompt_are_paid_for():
    bare = most_tokens(ChatRequest("q"))
    assert bare[1] is None
    assert most_tokens(ChatRequest("q", system="s" * 50))[0] == bare[0] + 50
    assert most_tokens(ChatRequest("q", schema={"type": "object"}))[0] > bare[0] + 10


def test_answer_is_closed_with_its_outcome():
    answer = ChatAnswer("", "empty", "stop", "m-1", 5, 0, 0.1, 200)
    closed = ledger.closing(answer, Price())
    assert (closed.outcome, closed.error, closed.cost) == ("empty", "the answer has no text", None)


def test_madetl_prices_table_is_dated_and_has_its_sources():
    import tomllib

    tables = tomllib.loads((ROOT / "madetl" / "asking" / "prices.toml").read_text())
    for table in tables.values():
        assert table["source"].startswith("https://")
        assert table["date"].year >= 2026
    assert os.environ.get("MADETL_PRICES") is None
    assert prices.load()["openai", "text-embedding-3-small"] == Price(0.02, 0.0)
