"""Similarity by an embedding model, against a real HTTP server: what is sent, what is stored, what a crash costs."""

from __future__ import annotations

import math
import os
import re
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madetl.asking import model_settings
from madetl.asking.ask import AskingError, AskOptions
from madetl.asking.model_settings import ModelOptions
from madetl.errors import ParameterError
from madetl.selection import select
from madetl.similarity.embed import AnswersToEmbed, EmbeddedAndMeasured, InstructionsToEmbed, batches
from madetl.similarity.measure import scope_of
from madetl.similarity.named import kind_of
from madetl.store import database
from madetl.store.database import transaction
from madetl.store.metrics import ensure_metric, find_metric
from madetl.text import text_hash
from tests.conftest import Study
from tests.support import children
from tests.support.provider_bodies import ReceivedRequest, vector
from tests.support.provider_server import ProviderServer
from tests.support.soak import several

NAME = "text-embedding-3-small"
MODELS = ("m1", "m2", "m3")


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


def fill(study: Study, instructions: int, models: tuple[str, ...] = MODELS, extra: str = "") -> None:
    """Answers that differ from one another, of some thirty words."""
    with transaction(study.db):
        for i in range(instructions):
            instruction = study.instruction(f"instruction {i}", "Writing" if i % 2 else "Coding")
            for model in models:
                words = " ".join(f"word{(i * 5 + k * len(models) + ord(model[-1])) % 41}" for k in range(30))
                study.response(instruction, model, f"{model} on {i}: {words} {extra}")


def measure(db: sqlite3.Connection, server: ProviderServer, name: str = NAME, **options) -> EmbeddedAndMeasured:
    scope = scope_of(db, options.pop("scenarios", ()), None, options.pop("models", None), options.pop("pairs", "all"))
    return AnswersToEmbed(db, model(db, server, name), scope).run(AskOptions(**options))


def model(db: sqlite3.Connection, server: ProviderServer, name: str = NAME) -> model_settings.AskedModel:
    return model_settings.find(db, name, ModelOptions(provider="openai", base_url=f"{server.url}/v1"))


def sent(server: ProviderServer) -> list[str]:
    """Every text that the server was sent, as often as it was."""
    return [text for received in server.requests for text in received.texts]


def vectors(db: sqlite3.Connection) -> dict[str, int]:
    """Whether it was cut, by the hash of each text that has a vector."""
    return {row["hash"]: row["truncated"] for row in db.execute("SELECT hash, truncated FROM embeddings")}


def cosine(a: str, b: str) -> float:
    x, y = vector(a), vector(b)
    return sum(p * q for p, q in zip(x, y, strict=True)) / math.hypot(*x) / math.hypot(*y)


def test_scores_are_the_cosines_and_each_text_is_sent_once(db, study, server):
    # given 120 instructions with three answers each, one answer given twice
    fill(study, 120)
    texts = [row[0] for row in db.execute("SELECT response FROM responses")]
    study.response(study.instruction("instruction 0", "Coding"), "m3", texts[0], sample=1)
    # when they are measured
    done = measure(db, server)
    # then each distinct text was sent once, at most a hundred to a request
    assert Counter(sent(server)) == Counter(texts)
    assert max(len(received.texts) for received in server.requests) == 100
    assert len(server.requests) == 4
    assert done.embedded.summary == f"{NAME}: 360 texts embedded in 4 requests"
    assert done.measured.summary == f"{NAME}: 362 pairs measured (0 known), 3 model pairs"
    # and the scores are what the vectors say
    rows = db.execute(
        "SELECT a.response AS a, b.response AS b, score FROM similarities AS s"
        " JOIN responses AS a ON a.id = response_a_id JOIN responses AS b ON b.id = response_b_id"
    ).fetchall()
    assert all(row["score"] == pytest.approx(cosine(row["a"], row["b"]), abs=1e-6) for row in rows)
    # and the books say who was asked: the metric, the run, the ledger
    metric = db.execute(
        "SELECT m.name, t.parameters FROM metrics AS t JOIN models AS m ON m.id = t.model_id"
    ).fetchone()
    assert tuple(metric) == (NAME, f'{{"kind": "embedding", "model": "{NAME}", "provider": "openai"}}')
    assert tuple(db.execute("SELECT stage, calls, answered FROM spend").fetchone()) == ("similarity", 4, 4)
    assert db.execute("SELECT summary FROM runs").fetchone()[0] == done.summary


def test_the_second_run_asks_nobody_and_needs_no_server(db, study, server):
    fill(study, 5)
    measure(db, server)
    done = measure(db, server)
    assert len(server.requests) == 1
    assert done.summary == (
        f"{NAME}: nothing to embed, every text has its vector\n{NAME}: nothing to do (15 pairs known), 3 model pairs"
    )


def test_a_model_that_came_later_is_all_that_is_sent(db, study, server):
    fill(study, 5)
    measure(db, server)
    before = len(sent(server))
    fill(study, 5, models=("m4",))
    done = measure(db, server)
    assert all(text.startswith("m4 ") for text in sent(server)[before:])
    assert (done.embedded.texts, done.measured.measured, done.measured.known) == (5, 15, 15)


def test_empty_answers_are_never_sent(db, study, server):
    instruction = study.instruction("Say nothing.")
    for name, text in {"m1": "", "m2": "some words", "m3": ""}.items():
        study.response(instruction, name, text)
    done = measure(db, server)
    assert sent(server) == ["some words"]
    assert done.measured.measured == 3
    assert [row[0] for row in db.execute("SELECT score FROM similarities")] == [0.0] * 3


def test_only_the_texts_of_what_is_asked_for_are_sent(db, study, server):
    fill(study, 6)
    measure(db, server, scenarios=["Coding"], models=["m1", "m3"])
    assert sorted(text[:7] for text in sent(server)) == [f"{m} on {i}" for m in ("m1", "m3") for i in (0, 2, 4)]
    ids = [row[0] for row in db.execute("SELECT id FROM responses WHERE response LIKE 'm_ on 1:%' ORDER BY model_id")]
    study.judgment(ids[0], ids[1], "tie")
    server.requests.clear()
    measure(db, server, pairs="judged")
    assert sorted(text[:7] for text in sent(server)) == ["m1 on 1", "m2 on 1"]
    # an answer whose only counterpart is another model's is not among them
    study.response(study.instruction("instruction 7"), "m1", "m1 on 7")
    study.response(study.instruction("instruction 7"), "m2", "m2 on 7")
    measure(db, server, models=["m1", "m3"])
    assert "m1 on 7" not in sent(server)


def test_a_text_over_the_models_limit_is_cut_and_that_is_recorded(db, study, server):
    server.behaviour.max_tokens_in = 300
    fill(study, 3)
    long = study.response(study.instruction("instruction 0", "Coding"), "m4", "long " * 100)
    done = measure(db, server)
    hash_of_long = db.execute("SELECT hash FROM responses WHERE id = ?", (long,)).fetchone()[0]
    assert {key for key, cut in vectors(db).items() if cut} == {hash_of_long}
    assert "10 texts embedded in 1 request, 1 of them cut at the model's limit" in done.embedded.summary
    assert done.measured.measured == 12


def test_a_refused_text_keeps_no_other_from_its_vector(db, study, server):
    # given 33 texts in one request, one of which the provider's filter refuses
    fill(study, 11)
    bad = study.response(study.instruction("instruction 0", "Coding"), "m4", "<<blocked-prompt>> this text")
    done = measure(db, server)
    # then all others have their vectors, and the failure is a row with its reason
    assert len(vectors(db)) == 33
    assert (done.report.failed, done.embedded.missing, done.measured.without_vector) == ({"blocked": 1}, 1, 3)
    assert "content management policy" in done.report.examples["blocked"]
    # and a second run does not ask again, unless it is told to
    before = len(server.requests)
    again = measure(db, server)
    assert len(server.requests) == before
    assert (again.report.left, again.report.undone) == ({"blocked": 1}, 1)
    assert measure(db, server, retry_failed=True).report.failed == {"blocked": 1}
    assert len(server.requests) == before + 1
    assert not db.execute(
        "SELECT 1 FROM embeddings AS e JOIN responses AS r USING (hash) WHERE r.id = ?", (bad,)
    ).fetchone()


def test_if_everything_is_refused_it_is_not_taken_apart(db, study, server):
    fill(study, 400)
    server.behaviour.mode = "400"
    assert measure(db, server).report.failed == {"client_error": 12}
    assert len(server.requests) == 12


@pytest.mark.parametrize("mode", ["429", "429-retry", "500", "503", "closed", "half", "invalid-json", "no-choices"])
@pytest.mark.slow
def test_what_may_pass_is_asked_again(db, study, server, mode):
    fill(study, 3)
    server.behaviour.plan.extend([mode, "ok"])
    done = measure(db, server)
    assert (done.report.undone, done.embedded.missing, done.measured.measured) == (0, 0, 9)
    outcomes = [row[0] for row in db.execute("SELECT outcome FROM calls ORDER BY id")]
    assert outcomes[-1] == "ok"
    assert len(outcomes) == 2


def test_what_is_no_vector_keeps_no_other_from_its_own(db, study, server):
    # given a server that has no finite numbers for one of ten texts
    fill(study, 3)
    bad = study.response(study.instruction("instruction 0", "Coding"), "m4", "<<odd>> this text")
    server.behaviour.odd = lambda received, good: with_vector(received, good, [math.nan] * 16)
    done = measure(db, server)
    # then the nine others have their vectors, the tenth is a failure with its reason, and what it took is in the books
    assert len(vectors(db)) == 9
    assert (done.report.failed, done.embedded.missing) == ({"invalid": 1}, 1)
    assert "data.0.embedding.0: input should be a finite number" in done.report.examples["invalid"]
    assert db.execute("SELECT count(*) FROM calls WHERE outcome = 'invalid' AND tokens_in > 0").fetchone()[0] == 4
    # and the next run asks for it on demand alone
    asked = len(server.requests)
    assert measure(db, server).report.left == {"invalid": 1}
    assert len(server.requests) == asked
    server.behaviour.odd = lambda _, good: good
    assert measure(db, server, retry_failed=True).embedded.missing == 0
    assert db.execute("SELECT 1 FROM embeddings JOIN responses AS r USING (hash) WHERE r.id = ?", (bad,)).fetchone()


def test_vectors_of_another_length_than_the_metrics_are_refused(db, study, server):
    fill(study, 3)
    measure(db, server)
    study.response(study.instruction("instruction 0", "Coding"), "m4", "<<odd>> this text")
    server.behaviour.odd = lambda received, good: with_vector(received, good, [1.0, 2.0])
    done = measure(db, server)
    assert (done.embedded.missing, done.report.failed) == (1, {"invalid": 1})
    words = "the vectors have 2 numbers, and the others of this metric 16"
    assert done.report.examples["invalid"] == words
    assert {row[0] for row in db.execute("SELECT error FROM calls WHERE outcome = 'invalid'")} == {words}


def with_vector(received: ReceivedRequest, good: dict[str, Any], odd: list[float]) -> dict[str, Any]:
    """The good answer with another vector for the marked text."""
    for row, text in zip(good["data"], received.texts, strict=True):
        if "<<odd>>" in text:
            row["embedding"] = odd
    return good


def test_a_wrong_key_stops_the_run_and_leaves_no_metric(db, study, server):
    fill(study, 200)
    server.behaviour.mode = "401"
    with pytest.raises(AskingError, match="Incorrect API key"):
        measure(db, server, concurrency=2)
    assert len(server.requests) <= 2
    assert db.execute("SELECT count(*) FROM metrics").fetchone()[0] == 0


def test_nothing_is_sent_that_could_cost_too_much(db, study, server):
    fill(study, 200)
    priced = model_settings.find(db, NAME, ModelOptions(base_url=f"{server.url}/v1", price_in=1.0, price_out=0.0))
    most = 0.03  # USD; a request costs 0.0033, and could cost what its 21,000 bytes would at a token each
    work = AnswersToEmbed(db, priced, scope_of(db, (), None, None, "all"))
    done = work.run(AskOptions(max_cost=most, concurrency=1))
    assert done.report.stopped == "max_cost"
    assert 0 < done.embedded.texts < 600
    assert done.measured.measured > 0
    assert done.report.cost <= most


@given(
    sizes=st.lists(st.integers(0, 40_000), max_size=30),
    repeats=st.lists(st.integers(0, 29), max_size=10),
    most=st.integers(1, 8),
)
@settings(deadline=None, max_examples=60)
def test_batches_hold_every_text_once_and_are_bounded(sizes, repeats, most):
    texts = [f"{i}:" + "x" * size for i, size in enumerate(sizes)]
    texts += [texts[i] for i in repeats if i < len(texts)]
    groups = list(batches(((text_hash(text), text) for text in texts), most))
    assert Counter(text for group in groups for _, text in group) == Counter(set(texts))
    assert all(key == text_hash(text) for group in groups for key, text in group)
    assert all(len(group) <= most for group in groups)
    assert all(sum(len(text) for _, text in group) <= 151_000 for group in groups)
    assert all(len(group) == 1 for group in groups if any(len(text) > 12_100 for _, text in group))


class TestInstructions:
    def test_select_takes_them_for_its_diversity(self, db, study, server):
        fill(study, 12)
        study.instruction("never answered")
        study.response(study.instruction("With input.", input="the input"), "m1", "an answer")
        done = InstructionsToEmbed(db, model(db, server), (), None).run()
        assert done.summary == f"{NAME}: 13 texts embedded in 1 request"
        assert set(sent(server)) == {*(f"instruction {i}" for i in range(12)), "With input.\nthe input"}
        hashes = {row[0] for row in db.execute("SELECT hash FROM instructions WHERE instruction <> 'never answered'")}
        assert vectors(db).keys() == hashes

        measure(db, server)
        picked = select.select(
            db, select.SelectionParameters(metric=NAME, top_k=3, diversity=0.5, instruction_metric=NAME)
        )
        assert picked.selected == 9

    def test_a_scenario_alone(self, db, study, server):
        fill(study, 6)
        InstructionsToEmbed(db, model(db, server), ["Coding"], None).run()
        assert sent(server) == ["instruction 0", "instruction 2", "instruction 4"]

    def test_the_error_names_the_command_that_makes_them(self, db, study, server):
        fill(study, 6)
        parameters = select.SelectionParameters(metric=NAME, top_k=2, diversity=0.5, instruction_metric="embed-4")
        measure(db, server)
        with pytest.raises(ParameterError, match=r"`madetl similarity --metric embed-4 --instructions` asks it"):
            select.select(db, parameters)
        parameters = select.SelectionParameters(metric=NAME, top_k=2, diversity=0.5, instruction_metric=NAME)
        with pytest.raises(ParameterError, match=rf"`madetl similarity --metric {NAME} --instructions` makes them"):
            select.select(db, parameters)

    def test_vectors_of_ones_own_are_still_ones_own(self, db, study, server):
        fill(study, 3)
        measure(db, server)
        with transaction(db):
            ensure_metric(db, "mine")
        parameters = select.SelectionParameters(metric=NAME, top_k=2, diversity=0.5, instruction_metric="mine")
        with pytest.raises(ParameterError, match="Store them in the table embeddings"):
            select.select(db, parameters)


class TestNames:
    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("text-embedding-3-small", "embedding"),
            ("text-embedding-ada-002", "embedding"),
            ("gemini-embedding-001", "embedding"),
            ("nomic-embed-text", "embedding"),
            ("gpt-4.1", "llm"),
            ("o3-mini", "llm"),
            ("gemini-2.5-pro", "llm"),
            ("char-ngram", None),
            ("bert-score", None),
            ("nope", None),
        ],
    )
    def test_what_the_name_says(self, db, name, kind):
        assert kind_of(db, name) == kind

    def test_what_is_said_comes_before_the_name(self, db):
        assert kind_of(db, "gpt-4.1", "embedding") == "embedding"

    def test_a_known_model_of_unknown_kind_is_an_error(self, db):
        db.execute("INSERT INTO models (name, provider) VALUES ('mine', 'openai')")
        with pytest.raises(
            ParameterError, match=r"Is mine an embedding model, or a chat model .* --as embedding or --as llm"
        ):
            kind_of(db, "mine")

    def test_it_is_said_once(self, db, study, server):
        fill(study, 2)
        measure(db, server, "mine")
        assert kind_of(db, "mine") == "embedding"

    def test_stored_vectors_of_ones_own_are_not_asked_for(self, db):
        with transaction(db):
            ensure_metric(db, NAME, {"dimensions": 8})
        assert kind_of(db, NAME) is None


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("enough", several([6], range(4, 16)))
def test_a_run_that_was_stopped_sends_only_what_has_no_vector(db_file: Path, how: signal.Signals, enough: int):
    # given 1800 texts, 18 requests, two at a time, 0.2 s each
    with database.writing(db_file) as db:
        fill(Study(db), 600)
    with ProviderServer(latency_median=0.2) as server:
        command = ("similarity", "--metric", NAME, "--base-url", f"{server.url}/v1", "--concurrency", 2)
        with children.madetl(db_file, *command) as child:
            # when it is killed after some answers have come
            child.until(lambda: server.answered >= enough)
            child.send_signal(how)
            child.wait()
        with database.writing(db_file) as db:
            stored = set(vectors(db))
            assert 0 < len(stored) < 1800
            # then the second run sends nothing that has a vector
            server.requests.clear()
            done = measure(db, server)
            again = {text_hash(text) for text in sent(server)}
            assert not again & stored
            assert len(again) == len(sent(server)) == 1800 - len(stored)
            assert done.measured.measured == 1800
            assert find_metric(db, NAME) == 1


class TestTheCommand:
    @pytest.fixture
    def where(self, server) -> tuple[str, str]:
        return "--base-url", f"{server.url}/v1"

    def test_embeds_measures_and_selects(self, madetl, db_file, where):
        with database.writing(db_file) as db:
            fill(Study(db), 12)
        done = madetl("similarity", "--metric", NAME, *where)
        assert done.stdout == (
            f"{NAME}: 36 texts embedded in 1 request\n{NAME}: 36 pairs measured (0 known), 3 model pairs\n"
            "Pool: 6 instructions in Coding; 6 instructions in Writing\n"
        )
        assert "1 request; " in done.stderr
        madetl("similarity", "--metric", NAME, "--instructions")
        madetl("select", "--metric", NAME, "--diversity", 0.5, "--instruction-metric", NAME)
        assert "nothing to embed" in madetl("similarity", "--metric", NAME).stdout

    def test_a_dry_run_says_what_it_costs_and_what_follows_and_changes_nothing(self, madetl, db_file, where, server):
        with database.writing(db_file) as db:
            fill(Study(db), 40)
        before = db_file.read_bytes()
        shown = madetl("similarity", "--metric", NAME, "--dry-run", *where).stdout
        assert "requests" in shown
        assert re.search(r"human judgments for K = 10 +30\b", shown)  # three model pairs, K = 10
        assert db_file.read_bytes() == before
        assert not server.requests
        assert "asks no model" in madetl("similarity", "--dry-run").stdout

    def test_what_is_left_undone_is_exit_status_1(self, madetl, db_file, where):
        with database.writing(db_file) as db:
            fill(Study(db), 3, extra="<<400>>")
        done = madetl("similarity", "--metric", NAME, *where, status=1)
        assert "9 are left" in done.stdout
        assert "9 failed: client_error" in done.stderr

    def test_bad_input_is_one_line(self, madetl, db_file, where):
        with database.writing(db_file) as db:
            fill(Study(db), 1)
        error = madetl("similarity", "--metric", "mine", "--as", "embedding", status=1).stderr
        assert "Who is to be asked for 'mine'?" in error
        error = madetl("similarity", "--metric", "char-ngram", "--instructions", status=1).stderr
        assert "--instructions is for embedding models, and char-ngram is none" in error
        error = madetl("similarity", "--metric", NAME, "--base-url", "http://127.0.0.1:9/v1", status=1).stderr
        assert "is the server up" in error.lower() or "connection" in error.lower()
        assert os.environ.get("OPENAI_API_KEY", "no key") not in error
