"""Stage 2 against a real server that misbehaves: what the tables hold afterwards."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from madetl.asking import model_settings, prompts
from madetl.asking.ask import AskingError, AskOptions
from madetl.asking.model_settings import ModelOptions
from madetl.errors import ParameterError
from madetl.inference.infer import AnswersToAsk, Inference, Inferred
from madetl.store.database import transaction
from tests.conftest import Study
from tests.support import children
from tests.support.children import Child
from tests.support.provider_server import ProviderServer, provider_process
from tests.support.soak import several

Madetl = Callable[..., CompletedProcess[str]]


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in the variable A_KEY."""
    monkeypatch.setenv("A_KEY", "test-key-test-key")


def ask(db: sqlite3.Connection, server: ProviderServer, model: str = "m", **inference: Any) -> Inferred:
    """Lets a model answer; keywords: those of Inference, `model_options` and `options` (of AskOptions)."""
    options = AskOptions(**{"max_attempts": 2, **inference.pop("options", {})})
    model_options = ModelOptions(base_url=f"{server.url}/v1", **inference.pop("model_options", {}))
    return AnswersToAsk(db, Inference(model, **inference), model_options).run(options)


def responses(db: sqlite3.Connection, model: str = "m") -> list[tuple[str, int, str]]:
    """(instruction, sample, response) in order."""
    sql = (
        "SELECT i.instruction, r.sample, r.response FROM responses AS r"
        " JOIN instructions AS i ON i.id = r.instruction_id"
        " JOIN models AS m ON m.id = r.model_id WHERE m.name = ? ORDER BY i.id, r.sample"
    )
    return [tuple(found) for found in db.execute(sql, (model,))]


# What an answer leaves behind


def test_every_instruction_is_answered_and_the_answer_is_linked_to_its_request(db, study: Study, server):
    # given two instructions, one with an input, when a model is asked
    study.instruction("Write a poem.")
    study.instruction("Summarise.", input="A long text.")
    result = ask(db, server)
    # then both have its answer, with the counts that an imported one has, and the request that brought it
    assert responses(db) == [
        ("Write a poem.", 0, "m answers: Write a poem."),
        ("Summarise.", 0, "m answers: Summarise.\n\nA long text."),
    ]
    for row in db.execute("SELECT r.*, c.answer, c.stage FROM responses AS r JOIN calls AS c ON c.id = r.call_id"):
        assert (row["response"], row["stage"]) == (row["answer"], "inference")
        assert row["words"] == len(row["response"].replace(":", "").split())
        assert row["characters"] == len(row["response"])
        assert row["run_id"] == db.execute("SELECT id FROM runs WHERE command = 'infer'").fetchone()["id"]
    assert result.summary == "m: 2 answers stored (0 known)"


def test_a_second_run_asks_nothing_and_says_so(db, study: Study, server):
    study.instruction("one")
    ask(db, server)
    result = ask(db, server)
    assert result.summary == "m: nothing to do (1 known)"
    assert len(server.requests) == 1


def test_only_what_is_missing_is_asked(db, study: Study, server):
    # given an imported answer to one of two instructions
    study.response(study.instruction("known"), "m", "an imported answer")
    study.instruction("new")
    # when the model is asked, then the imported one stays and the other comes
    ask(db, server)
    assert responses(db) == [("known", 0, "an imported answer"), ("new", 0, "m answers: new")]
    assert [received.prompt for received in server.requests] == ["new"]


def test_samples_are_answers_of_their_own(db, study: Study, server):
    study.instruction("one")
    ask(db, server)
    ask(db, server, samples=3)
    assert [sample for _, sample, _ in responses(db)] == [0, 1, 2]
    assert len(server.requests) == 3


def test_limit_means_the_same_instructions_for_every_model(db, study: Study, server):
    for text in ("a", "b", "c"):
        study.instruction(text)
    study.response(1, "m", "an answer that m has already")
    ask(db, server, limit=2)
    ask(db, server, "n", limit=2)
    assert [text for text, _, _ in responses(db, "m")] == [text for text, _, _ in responses(db, "n")] == ["a", "b"]


def test_one_scenario_alone(db, study: Study, server):
    study.instruction("w", "Writing")
    study.instruction("c", "Coding")
    ask(db, server, scenarios=["Coding"])
    assert [text for text, _, _ in responses(db)] == ["c"]
    with pytest.raises(ParameterError, match="There is no scenario 'Poetry'"):
        ask(db, server, scenarios=["Poetry"])


@pytest.mark.parametrize("provider", ["openai", "gemini"])
def test_reasoning_asks_for_steps_in_the_same_words_of_every_provider(db, study: Study, server, provider, monkeypatch):
    monkeypatch.setenv("A_KEY", "test-key-test-key")
    study.instruction("What is 2 + 3 * 4?", "Reasoning")
    url = f"{server.url}/v1" if provider == "openai" else server.url
    AnswersToAsk(db, Inference("m"), ModelOptions(provider=provider, base_url=url, key_env="A_KEY")).run()
    [received] = server.requests
    assert received.api == provider
    assert received.prompt == prompts.packaged("infer_reasoning").fill(instruction="What is 2 + 3 * 4?")
    assert "step by step" in received.prompt


def test_prompts_in_force_and_settings_are_kept_with_the_run(db, study: Study, server):
    study.instruction("2 + 3?", "Reasoning")
    ask(db, server, overrides={"max_tokens": 77})
    kept = json.loads(db.execute("SELECT parameters FROM runs WHERE command = 'infer'").fetchone()[0])
    prompt = prompts.packaged("infer_reasoning")
    assert kept["prompts"]["Reasoning"] == {"name": "infer_reasoning", "hash": prompt.hash, "text": prompt.text}
    assert (kept["max_tokens"], kept["temperature"], kept["base_url"]) == (77, 0.0, f"{server.url}/v1")


def test_braces_in_an_instruction_are_no_fields(db, study: Study, server):
    study.instruction("Format {instruction} and {x} with str.format", "Reasoning")
    ask(db, server)
    assert server.requests[0].prompt.startswith("Format {instruction} and {x} with str.format\n")


# Settings


def test_settings_are_kept_at_the_first_asking_and_others_need_another_name(db, study: Study, server):
    # given a model that was asked with settings of the user's
    study.instruction("one")
    ask(db, server, overrides={"temperature": 0.3, "max_tokens": 9, "system_prompt": "Be brief."})
    body = server.requests[0].body
    assert (body["temperature"], body["max_tokens"], "top_p" in body) == (0.3, 9, False)
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    # when it is asked without any, then they still hold
    study.instruction("two")
    ask(db, server)
    assert server.requests[1].body["temperature"] == 0.3
    # and others are an error that costs nothing
    for overrides in ({"temperature": 0.0}, {"max_tokens": 10}, {"top_p": 0.5}, {"system_prompt": "Be long."}):
        study.instruction(f"three {overrides}")
        with pytest.raises(ParameterError, match="another name"):
            ask(db, server, overrides=overrides)
    assert len(server.requests) == 2


def test_two_names_of_one_model_are_two_models(db, study: Study, server):
    study.instruction("one")
    with transaction(db):
        model_settings.add(db, "warm", {"provider": "openai", "model_id": "m", "temperature": 1.0})
    ask(db, server)
    ask(db, server, "warm")
    assert [(received.model, received.body["temperature"]) for received in server.requests] == [("m", 0.0), ("m", 1.0)]
    assert len(responses(db, "m")) == len(responses(db, "warm")) == 1


def test_what_the_model_refuses_is_left_out_and_remembered(db, study: Study, server):
    study.instruction("<<refused-temperature>> one")
    ask(db, server)
    assert "omit" in db.execute("SELECT settings FROM models").fetchone()[0]
    study.instruction("<<refused-temperature>> two")
    ask(db, server)
    assert len(responses(db)) == 2
    assert [received.status for received in server.requests] == [400, 200, 200]


def test_a_run_says_what_the_model_refuses(db, study: Study, server, madetl: Madetl):
    study.instruction("<<refused-temperature>> one")
    done = madetl("infer", "--model", "m", "--base-url", f"{server.url}/v1", "--model-id", "m-large")
    assert "m-large refuses --temperature: it is asked without, from now on too" in done.stderr
    assert "without temperature, which it refuses" in " ".join(madetl("models").stdout.split())
    study.instruction("two")
    assert "refuses --temperature" in madetl("infer", "--model", "m").stderr
    assert "refuses" not in madetl("infer", "--model", "m").stderr  # nothing was asked


def test_the_models_other_name_is_given_where_it_was_not_found(db, study: Study, server, madetl: Madetl):
    """The error for an unknown model names --model-id, and infer takes it; it is kept, as other settings are."""
    study.instruction("one")
    server.behaviour.mode = "404"
    address = ("--base-url", f"{server.url}/v1")
    assert "--model-id gives another name" in madetl("infer", "--model", "m", *address, status=1).stderr
    server.behaviour.mode = "ok"
    madetl("infer", "--model", "m", "--model-id", "m-large", *address)
    study.instruction("two")
    madetl("infer", "--model", "m")
    assert [received.model for received in server.requests] == ["m", "m-large", "m-large"]
    refused = madetl("infer", "--model", "m", "--model-id", "m-small", status=1).stderr
    assert "m was asked with --model-id m-large so far" in refused
    assert "madetl models add NEW-NAME --model-id" in refused


def test_stops_and_penalties_are_sent_where_given_and_kept(db, study: Study, server, madetl: Madetl):
    study.instruction("one")
    given = ("--stop", "END", "--stop", "\n\n", "--presence-penalty", 0.5, "--frequency-penalty", 0.25)
    madetl("infer", "--model", "m", "--base-url", f"{server.url}/v1", *given)
    study.instruction("two")
    madetl("infer", "--model", "m")
    for received in server.requests:
        asked = [received.body[name] for name in ("stop", "presence_penalty", "frequency_penalty")]
        assert asked == [["END", "\n\n"], 0.5, 0.25]
    study.instruction("three")
    assert "another name" in madetl("infer", "--model", "m", "--stop", "STOP", status=1).stderr
    assert len(server.requests) == 2


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize("safety", [(), ("--safety", "default")])
def test_an_answer_is_not_paid_for_again_because_of_what_gemini_may_hold_back(
    db, study: Study, server, madetl: Madetl, safety
):
    # given an answer from when Gemini was asked without a word about safety, whose run was deleted
    study.instruction("one")
    options = ModelOptions(provider="gemini", base_url=server.url, key_env="A_KEY", safety="default")
    AnswersToAsk(db, Inference("m"), options).run()
    assert "safetySettings" not in server.requests[0].body
    db.execute("UPDATE models SET settings = json_remove(settings, '$.options')")
    db.execute("DELETE FROM runs WHERE command = 'infer'")
    # when it is asked with today's default or another setting, then the ledger gives it
    done = madetl("infer", "--model", "m", "--key-env", "A_KEY", *safety)
    assert "1 answer taken from the ledger" in done.stderr
    assert len(server.requests) == 1
    assert f"safety {'default' if safety else 'block-none'}" in madetl("models").stdout
    recorded = db.execute("SELECT json_extract(parameters, '$.options.safety') FROM runs ORDER BY id DESC").fetchone()
    assert recorded[0] == ("default" if safety else "block-none")
    # and a new question goes out with the setting
    study.instruction("two")
    madetl("infer", "--model", "m", "--key-env", "A_KEY")
    assert bool(server.requests[1].body.get("safetySettings")) == (not safety)


# Misbehaviour

FAILURES = {
    "empty": "empty", "refusal": "refused", "blocked": "blocked", "blocked-prompt": "blocked", "400": "client_error",
    "too-long": "client_error", "429": "rate_limited", "500": "server_error", "503": "server_error",
    "closed": "connection_error", "half": "connection_error", "invalid-json": "server_error", "html": "server_error",
    "no-choices": "invalid", "slow": "timeout",
}  # fmt: skip


@pytest.mark.parametrize("mode", FAILURES)
@pytest.mark.slow
def test_failures_are_rows_with_reasons_and_never_texts(db, study: Study, server, mode):
    # given one instruction that fails and one that does not
    study.instruction(f"<<{mode}>> bad")
    study.instruction("good")
    # when a model is asked
    result = ask(db, server, model_options={"timeout": 0.3 if mode == "slow" else 30.0})
    # then the good one is answered, the other one has a reason in the ledger and no response
    assert [text for text, _, _ in responses(db)] == ["good"]
    assert result.report.undone == 1
    outcomes = [row[0] for row in db.execute("SELECT outcome FROM calls WHERE answer IS NULL OR answer = ''")]
    assert set(outcomes) == {FAILURES[mode]} == set(result.report.failed)
    assert db.execute("SELECT count(*) FROM calls WHERE outcome <> 'ok' AND error IS NULL").fetchone()[0] == 0


def test_what_was_cut_off_is_stored_and_counted(db, study: Study, server):
    study.instruction("<<cut>> a question with an answer that is long")
    result = ask(db, server)
    [(_, _, text)] = responses(db)
    assert text == db.execute("SELECT answer FROM calls WHERE outcome = 'truncated'").fetchone()[0]
    assert result.summary == "m: 1 answer stored (0 known), 1 of them cut off at the longest (--max-tokens)"
    assert result.report.undone == 0


@pytest.mark.parametrize("plan", [["429"], ["500"], ["closed"], ["429-retry"]])
@pytest.mark.slow
def test_transient_failures_are_tried_again(db, study: Study, server, plan):
    server.behaviour.plan.extend(plan)
    study.instruction("one")
    result = ask(db, server)
    assert len(responses(db)) == 1
    assert [row[0] for row in db.execute("SELECT attempt FROM calls")] == [1, 2]
    assert result.report.undone == 0


@pytest.mark.slow
def test_second_run_tries_what_was_transient_and_lists_the_rest(db, study: Study, server):
    # given a server error, twice, and a refusal
    study.instruction("one")
    study.instruction("two")
    server.behaviour.plan.extend(["500", "refusal", "500"])
    ask(db, server, options={"concurrency": 1})
    # when the server is up again, then the error is asked again, the refusal only listed
    result = ask(db, server)
    assert responses(db) == [("one", 0, "m answers: one")]
    assert (result.report.requests, dict(result.report.left)) == (1, {"refused": 1})
    assert result.summary == "m: 1 answer stored (0 known), 1 missing"
    # unless everything is to be
    assert ask(db, server, options={"retry_failed": True}).report.undone == 0
    assert len(responses(db)) == 2


@pytest.mark.parametrize(
    ("mode", "words"),
    [("401", "Incorrect API key"), ("403", "may not use"), ("404", "does not exist"), ("redirect", "--base-url")],
)
def test_wrong_key_and_retired_model_stop_the_run_at_the_first_answer(db, study: Study, server, mode, words):
    for number in range(50):
        study.instruction(f"question {number}")
    server.behaviour.mode = mode
    with pytest.raises(AskingError, match=words):
        ask(db, server, options={"concurrency": 1})
    assert len(server.requests) == 1
    assert responses(db) == []
    assert [row[0] for row in db.execute("SELECT outcome FROM runs")] == ["failed"]
    # and when it is mended, everything is asked
    server.behaviour.mode = "ok"
    assert ask(db, server).report.done == 50


def test_an_answer_out_of_the_ledger_is_not_paid_for_again(db, study: Study, server):
    # given an answer whose run was deleted
    study.instruction("one")
    ask(db, server)
    db.execute("DELETE FROM runs WHERE command = 'infer'")
    assert responses(db) == []
    # when the model is asked again, then it comes out of the ledger, unless a fresh one is wanted
    assert ask(db, server).report.reused == 1
    db.execute("DELETE FROM runs WHERE command = 'infer'")
    assert ask(db, server, options={"fresh": True}).report.done == 1
    assert len(server.requests) == 2


def test_a_missing_key_is_found_before_anything_is_written(db, study: Study, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    study.instruction("one")
    with pytest.raises(ParameterError, match="OPENAI_API_KEY"):
        AnswersToAsk(db, Inference("gpt-4.1")).run()
    assert [db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("models", "runs", "calls")] == [
        0
    ] * 3


def test_without_instructions_there_is_something_to_do_first(db, server):
    with pytest.raises(ParameterError, match="madetl import instructions"):
        ask(db, server)


# Before paying


def test_dry_run_counts_and_asks_nobody(db, study: Study, server):
    for number in range(10):
        study.instruction("x" * 84 + f" {number:3}")  # 88 Latin characters: 22 tokens, and the frame of 16
    ask(db, server, limit=2)
    model_options = ModelOptions(base_url=f"{server.url}/v1", price_in=1.0, price_out=2.0)
    before = db.total_changes
    found = AnswersToAsk(db, Inference("n", overrides={"max_tokens": 100}), model_options).dry_run()
    assert (found.requests, found.tokens_in, found.tokens_out) == (10, 380, 1000)
    assert found.cost == pytest.approx((380 * 1.0 + 1000 * 2.0) / 1e6)
    assert AnswersToAsk(db, Inference("m"), model_options).dry_run().requests == 8
    assert AnswersToAsk(db, Inference("n"), ModelOptions(base_url=f"{server.url}/v1")).dry_run().cost is None
    assert (db.total_changes, len(server.requests)) == (before, 2)


def test_max_cost_is_never_passed(db, study: Study, server):
    # given questions of which each costs at most (16 + 88 bytes) * 10 + 100 * 10 = 2040 millionths, and in the end
    # 2 words in and 4 out, 60 millionths: six are answered while 2340 leave room for the most that one can cost
    for number in range(20):
        study.instruction("x" * 84 + f" {number:3}")
    limit = 2340 / 1e6
    model_options = {"price_in": 10.0, "price_out": 10.0}
    result = ask(db, server, overrides={"max_tokens": 100}, model_options=model_options, options={"max_cost": limit})
    spent = db.execute("SELECT sum(cost) FROM calls").fetchone()[0]
    assert spent == pytest.approx(6 * 60 / 1e6)
    assert result.report.stopped == "max_cost"
    assert (result.report.done, result.report.not_asked, result.report.undone) == (6, 14, 14)


def test_max_cost_needs_a_price(db, study: Study, server):
    study.instruction("one")
    with pytest.raises(ParameterError, match="--price-in and --price-out"):
        ask(db, server, options={"max_cost": 1.0})
    assert len(server.requests) == 0


# The command


def test_the_command_from_dry_run_to_second_run(db_file, study: Study, server, madetl: Madetl, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-very-secret-key")
    study.instruction("one")
    study.instruction("<<refusal>> two")
    arguments = ("infer", "--model", "m", "--base-url", f"{server.url}/v1", "--key-env", "MY_KEY")
    dry = madetl(*arguments, "--dry-run").stdout
    assert "requests" in dry
    assert "unknown: no price" in dry
    assert dry.rstrip().endswith("Pool: 2 instructions in Writing")
    # a failure is exit status 1, with a count and the provider's words
    done = madetl(*arguments, "--price-in", 1, "--price-out", 1, status=1)
    assert done.stdout == "m: 1 answer stored (0 known), 1 missing\nPool: 2 instructions in Writing\n"
    assert "1 failed: refused (I'm sorry" in done.stderr
    assert "2 requests; 3 tokens in" in done.stderr
    again = json.loads(madetl(*arguments, "--json", status=1).stdout)
    assert (again["requests"], again["left"], again["known"]) == (0, {"refused": 1}, 1)
    assert server.requests[0].secret == "sk-very-secret-key"
    assert b"very-secret" not in b"".join(file.read_bytes() for file in db_file.parent.iterdir())


def test_a_mistyped_database_is_not_made(madetl: Madetl, db_file: Path):
    assert "no such database" in madetl("infer", "--model", "gpt-4.1", status=1).stderr
    assert "no such database" in madetl("infer", "--model", "gpt-4.1", "--dry-run", status=1).stderr
    assert not db_file.exists()


@pytest.mark.slow
def test_a_wrong_key_says_so_in_the_provider_s_words_without_the_key(db_file, study: Study, server, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-very-secret-key")
    study.instruction("one")
    server.behaviour.mode = "401"
    for debug in ((), ("--debug",)):
        done = subprocess.run(
            [sys.executable, "-m", "madetl", "infer", "--model", "m", "--base-url", f"{server.url}/v1",
             "--key-env", "MY_KEY", *debug],
            capture_output=True, text=True, check=False,
            env=os.environ | {"MADETL_DB": str(db_file)},
        )  # fmt: skip
        assert done.returncode == 1
        assert "Incorrect API key provided" in done.stderr
        assert "secret" not in done.stdout + done.stderr


# Killed


def inferring(db_file: Path, url: str) -> AbstractContextManager[Child]:
    return children.madetl(db_file, "infer", "--model", "m", "--base-url", f"{url}/v1", "--concurrency", 20)


def wait_for_answers(child: Child, db: sqlite3.Connection, count: int) -> None:
    child.until(lambda: db.execute("SELECT count(*) FROM responses").fetchone()[0] >= count)


@pytest.mark.slow
@pytest.mark.soak
def test_killed_and_run_again_every_instruction_is_answered_once(db, study: Study, db_file):
    kills = several((100, 300), range(10, 490, 10))
    # given 500 instructions and a server of 100 ms
    for number in range(500):
        study.instruction(f"question {number}")
    with provider_process("--latency-median", "0.1", "--latency-sigma", "0.5") as server:
        # when the command is killed in the middle, again and again, and then runs to its end
        for enough in kills:
            with inferring(db_file, server.url) as child:
                wait_for_answers(child, db, enough)
        kept = db.execute("SELECT count(*) FROM responses").fetchone()[0]
        with inferring(db_file, server.url) as child:
            out, err = child.communicate()
        stats = server.stats()
    # then it goes on where it was, and nothing is answered twice
    assert child.returncode == 0, err
    assert out.startswith(f"m: {500 - kept} answers stored ({kept} known)")
    assert len({text for text, _, _ in responses(db)}) == len(responses(db)) == 500
    assert stats["answered"] <= 500 + len(kills) * 20  # what was in flight when it was killed
    killed = "SELECT outcome, summary FROM runs WHERE command = 'infer' ORDER BY id"
    assert [tuple(row) for row in db.execute(killed)][: len(kills)] == [("interrupted", "killed")] * len(kills)
    assert db.execute("SELECT count(*) FROM calls WHERE outcome IS NULL").fetchone()[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_kill_save_what_is_in_flight(db, study: Study, db_file, by):
    for number in range(200):
        study.instruction(f"question {number}")
    with provider_process("--latency-median", "0.2") as server:
        with inferring(db_file, server.url) as child:
            wait_for_answers(child, db, 10)
            child.send_signal(by)
            _, err = child.communicate()
        stats = server.stats()
    assert child.returncode == 128 + by, err
    assert "run the same command again" in err
    assert len(responses(db)) == stats["answered"] < 200
    assert db.execute("SELECT outcome FROM runs WHERE command = 'infer'").fetchone()[0] == "interrupted"
