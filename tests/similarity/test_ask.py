"""Similarity by a chat model, against a real HTTP server: what is asked, what is stored, what misbehaviour leaves."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from madetl.asking import model_settings, prompts
from madetl.asking.ask import AskOptions
from madetl.asking.model_settings import ModelOptions
from madetl.asking.structured import prompt_settings
from madetl.errors import InputError, ParameterError
from madetl.selection import select
from madetl.similarity import ask, rubric
from madetl.similarity.ask import AskedAbout, ChatMetric, ScoresToAsk
from madetl.similarity.measure import measure as compute
from madetl.similarity.measure import scope_of
from madetl.similarity.named import metric_named
from madetl.similarity.prefilter import Prefilter, parsed
from madetl.store import database
from madetl.store.database import transaction
from madetl.text import text_hash
from tests.conftest import Study
from tests.support import children
from tests.support.provider_bodies import ReceivedRequest
from tests.support.provider_server import ProviderServer
from tests.support.soak import several

NAME = "gpt-4.1"


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


def fill(study: Study, instructions: int, models: int = 3, extra: str = "") -> None:
    """Answers of some thirty words that differ from one another; model m1 and m2 differ most on the last ones."""
    with transaction(study.db):
        for i in range(instructions):
            instruction = study.instruction(f"instruction {i}")
            for m in range(models):
                words = " ".join(f"w{k}" if k > i * m else f"m{m}w{k}" for k in range(30))
                study.response(instruction, f"m{m + 1}", f"answer {i} of {m}: {words}{extra}")


def chat_metric(db: sqlite3.Connection, server: ProviderServer, **settings) -> ChatMetric:
    scope = scope_of(
        db, settings.pop("scenarios", ()), None, settings.pop("models", None), settings.pop("pairs", "all")
    )
    name, prefilter = settings.pop("name", NAME), settings.pop("prefilter", None)
    model = model_settings.find(db, name, ModelOptions(provider="openai", base_url=f"{server.url}/v1"))
    return ChatMetric(model, ask.settings_for(db, name, settings), scope, prefilter)


def measure(db: sqlite3.Connection, server: ProviderServer, asking: AskOptions | None = None, **settings) -> AskedAbout:
    return ScoresToAsk(db, chat_metric(db, server, **settings)).run(asking)


def saying(answer: object) -> Callable[[ReceivedRequest], str]:
    return lambda _: answer if isinstance(answer, str) else json.dumps(answer)


def rows(db: sqlite3.Connection) -> list[tuple[float, str]]:
    return [tuple(row) for row in db.execute("SELECT score, explanation FROM similarities ORDER BY id")]


def outcomes(db: sqlite3.Connection) -> list[str]:
    return [row[0] for row in db.execute("SELECT outcome FROM calls ORDER BY id")]


# What is asked, and what is kept


def test_every_pair_is_asked_about_and_its_score_and_explanation_are_kept(db, study, server):
    # given a model that finds answers the more alike the later the instruction
    def answer(received: ReceivedRequest) -> str:
        number = int(re.search(r"instruction (\d)", received.prompt)[1])
        return json.dumps({"explanation": f"of {number}", "score": number / 10})

    server.behaviour.answer = answer
    fill(study, 4)
    # when it measures
    done = measure(db, server)
    # then there is a row per pair of answers
    assert done.summary == "gpt-4.1: 12 pairs measured (0 known)"
    assert sorted(rows(db)) == sorted([(i / 10, f"of {i}") for i in range(4)] * 3)
    a, b = db.execute("SELECT model_a_id, model_b_id FROM pairs ORDER BY id LIMIT 1").fetchone()
    assert a < b
    ratios = db.execute("SELECT min(length_ratio), min(shorter_words) FROM similarities").fetchone()
    assert ratios[0] >= 1
    assert ratios[1] > 20
    # and a selection takes it as any other metric
    picked = select.select(db, select.SelectionParameters(metric=NAME, top_k=1))
    assert [pair.lowest for pair in picked.pairs] == [0.0] * 3
    # and the run and the metric keep the prompt in force
    [metric] = [json.loads(row[0]) for row in db.execute("SELECT parameters FROM metrics")]
    prompt = prompts.packaged("similarity")
    assert metric == {
        "kind": "llm", "provider": "openai", "model": NAME, "prompt": prompt.text, "prompt_hash": prompt.hash,
        "temperature": 0.0, "top_p": None,
    }  # fmt: skip
    assert json.loads(db.execute("SELECT parameters FROM runs").fetchone()[0]).items() >= metric.items()
    assert measure(db, server).summary == "gpt-4.1: nothing to do (12 pairs known)"
    assert len(server.requests) == 12


def test_the_question_holds_both_answers_and_no_name(db, study, server):
    instruction = study.instruction("Shorten this.", input="A long text {first}.")
    texts = [f"The answer of nobody in particular, {word}." for word in ("one", "two")]
    for model, text in zip(("famous-model", "other-model"), texts, strict=True):
        study.response(instruction, model, text)
    measure(db, server)
    [received] = server.requests
    assert "Shorten this.\n\nA long text {first}." in received.prompt
    # the one with the lower hash stands first
    low, high = sorted(texts, key=text_hash)
    assert 0 < received.prompt.index(low) < received.prompt.index(high)
    assert "model" not in received.prompt
    assert received.schema["required"] == ["explanation", "score"]
    assert (received.body["temperature"], received.body["max_tokens"]) == (0.0, 2048)


def test_the_order_does_not_depend_on_whose_answer_is_which():
    how = prompt_settings("similarity", {})
    assert rubric.request(how, "i", "one", "two") == rubric.request(how, "i", "two", "one")


def test_what_needs_no_opinion_costs_nothing(db, study, server):
    instruction = study.instruction("Say it.")
    for name, text in {"m1": "", "m2": "the same", "m3": "the same", "m4": "something else"}.items():
        study.response(instruction, name, text)
    done = measure(db, server)
    assert done.summary == "gpt-4.1: 6 pairs measured (0 known), 4 of them without asking (empty or the same)"
    # m2 and m3 said the same, so that m4 is compared with both in one question
    assert len(server.requests) == 1
    by_pair = {
        (row["a"], row["b"]): row["score"]
        for row in db.execute(
            "SELECT a.name AS a, b.name AS b, score FROM similarities JOIN pairs AS p ON p.id = pair_id"
            " JOIN models AS a ON a.id = model_a_id JOIN models AS b ON b.id = model_b_id"
        )
    }
    assert by_pair == {
        ("m1", "m2"): 0, ("m1", "m3"): 0, ("m1", "m4"): 0, ("m2", "m3"): 1, ("m2", "m4"): 0.5, ("m3", "m4"): 0.5
    }  # fmt: skip
    assert measure(db, server).measured == 0


def test_a_text_that_no_database_stores_is_mended(db, study, server):
    server.behaviour.answer = saying('{"explanation": "a\\u0000b\\ud800", "score": 0.25}')
    fill(study, 1, models=2)
    measure(db, server)
    assert rows(db) == [(0.25, "a\ufffdb\ufffd")]


# Structured output that is none


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ("I find them rather alike.", "it is not JSON"),
        ("[0.5]", "it is not a JSON object"),
        ({"score": 0.5}, "it has no 'explanation'"),
        ({"explanation": "because"}, "it has no 'score'"),
        ({"explanation": "because", "score": "0.5"}, "'score' is no number"),
        ({"explanation": "because", "score": True}, "'score' is no number"),
        ({"explanation": "because", "score": 85}, "'score' is 85, and should be from 0 to 1"),
        ({"explanation": "because", "score": -0.1}, "should be from 0 to 1"),
        ('{"explanation": "because", "score": NaN}', "should be from 0 to 1"),
        ({"explanation": " ", "score": 0.5}, "'explanation' is no text"),
    ],
)
def test_an_answer_that_cannot_be_read_is_asked_again_with_its_fault_and_then_failed(db, study, server, answer, fault):
    fill(study, 1, models=2)
    server.behaviour.answer = saying(answer)
    done = measure(db, server)
    assert (done.measured, done.report.failed) == (0, {"invalid": 1})
    assert rows(db) == []
    assert outcomes(db) == ["invalid", "invalid"]
    first, second = server.requests
    assert second.prompt.startswith(first.prompt)
    assert fault in second.prompt.removeprefix(first.prompt)
    assert fault in db.execute("SELECT error FROM calls").fetchone()[0]
    # a second run lists it; told so, it asks again, and a good answer counts
    again = measure(db, server)
    assert (len(server.requests), again.report.left) == (2, {"invalid": 1})
    assert again.summary == "gpt-4.1: 0 pairs measured (0 known); 1 are left"
    server.behaviour.answer = saying({"explanation": "now", "score": 0.5})
    assert measure(db, server, AskOptions(retry_failed=True)).measured == 1
    assert rows(db) == [(0.5, "now")]


def test_a_good_answer_after_the_fault_was_named_counts(db, study, server):
    fill(study, 1, models=2)
    server.behaviour.plan.extend(["wrong-structure", "ok"])
    done = measure(db, server)
    assert (done.measured, done.report.undone, outcomes(db)) == (1, 0, ["invalid", "ok"])
    assert '{"something": "else"' in server.requests[1].prompt


def test_json_in_a_fence_is_read(db, study, server):
    fill(study, 1, models=2)
    server.behaviour.answer = saying('Here it is:\n```json\n{"explanation": "fenced", "score": 1}\n```')
    measure(db, server)
    assert rows(db) == [(1.0, "fenced")]


@pytest.mark.parametrize(
    ("mode", "calls"),
    [
        ("empty", ["empty"]),
        ("refusal", ["refused"]),
        ("blocked", ["blocked"]),
        ("blocked-prompt", ["blocked"]),
        ("400", ["client_error"]),
        ("cut", ["invalid", "invalid"]),
        ("wrong-structure", ["invalid", "invalid"]),
    ],
)
def test_what_is_no_answer_is_a_row_with_its_reason_and_no_score(db, study, server, mode, calls):
    fill(study, 1, models=2)
    server.behaviour.mode = mode
    done = measure(db, server)
    assert (done.report.failed, outcomes(db), rows(db)) == ({calls[0]: 1}, calls, [])
    assert db.execute("SELECT count(*) FROM calls WHERE error IS NULL").fetchone()[0] == 0


@pytest.mark.parametrize("mode", ["429", "429-retry", "500", "503", "closed", "half", "invalid-json", "no-choices"])
@pytest.mark.slow
def test_what_may_pass_is_asked_again(db, study, server, mode):
    fill(study, 1, models=2)
    server.behaviour.plan.extend([mode, "ok"])
    assert measure(db, server).measured == 1


def test_a_refused_temperature_is_left_out(db, study, server):
    fill(study, 2, models=2)
    server.behaviour.mode = "refused-temperature"
    assert measure(db, server).measured == 2
    assert measure(db, server, name=NAME).known == 2


# Prefilter


class TestPrefilter:
    def test_asks_about_what_a_selection_would_pick(self, db, study, server):
        # given 12 instructions, measured by n-grams, and a short answer among them that no selection takes
        fill(study, 12)
        short = study.response(study.instruction("instruction 3"), "m4", "too short")
        compute(db, metric_named(db, "char-ngram"))
        done = measure(db, server, prefilter=Prefilter("char-ngram", 3))
        # then the pairs are those that select picks
        assert (done.measured, len(server.requests)) == (9, 9)
        select.select(db, select.SelectionParameters(metric="char-ngram", top_k=3))
        pairs = "SELECT response_a_id, response_b_id FROM"
        received = {tuple(row) for row in db.execute(f"{pairs} similarities WHERE explanation IS NOT NULL")}
        assert received == {tuple(row) for row in db.execute(f"{pairs} selections")}
        assert short not in {one for pair in received for one in pair}
        # and a larger N asks about the further ones alone
        assert (
            measure(db, server, prefilter=Prefilter("char-ngram", 3)).summary
            == "gpt-4.1: nothing to do (9 pairs known)"
        )
        assert (
            measure(db, server, prefilter=Prefilter("char-ngram", 5)).summary == "gpt-4.1: 6 pairs measured (9 known)"
        )

    def test_without_filters_short_answers_count(self, db, study, server):
        fill(study, 2, models=2)
        study.response(study.instruction("instruction 0"), "m3", "short")
        compute(db, metric_named(db, "char-ngram"))
        assert measure(db, server, prefilter=Prefilter("char-ngram", 9, min_words=0, max_length_ratio=0)).measured == 4

    def test_stays_within_the_scope(self, db, study, server):
        fill(study, 4)
        compute(db, metric_named(db, "char-ngram"))
        assert measure(db, server, prefilter=Prefilter("char-ngram", 2), models=["m1", "m2"]).measured == 2

    def test_nothing_left_is_an_error_that_names_the_filters(self, db, study, server):
        instruction = study.instruction("Say it.")
        study.response(instruction, "m1", "one"), study.response(instruction, "m2", "two")
        compute(db, metric_named(db, "char-ngram"))
        with pytest.raises(ParameterError, match=r"no pair .* with more than 20 words .* --min-words"):
            measure(db, server, prefilter=Prefilter("char-ngram", 2))
        with pytest.raises(ParameterError, match="No metric is called 'bleu'"):
            measure(db, server, prefilter=Prefilter("bleu", 2))

    @pytest.mark.parametrize("text", ["char-ngram", "char-ngram:", ":5", "char-ngram:0", "char-ngram:-1", "a:b"])
    def test_what_it_is_given(self, text):
        with pytest.raises(ParameterError, match="such as char-ngram:100"):
            parsed(text)

    def test_a_metric_may_have_a_colon_in_its_name(self):
        assert parsed("nomic:latest:20", min_words=20, max_length_ratio=4.0) == Prefilter("nomic:latest", 20)


# Which metric it is


class TestSettings:
    def test_a_second_run_goes_on_as_the_first_began(self, db, study, server):
        fill(study, 2)
        own = "{instruction} {first} {second} alike?"
        measure(db, server, prompt=own, temperature=0.5, models=["m1", "m2"])
        assert measure(db, server).known == 2
        assert {received.body["temperature"] for received in server.requests} == {0.5}
        assert all(received.prompt.endswith("alike?") for received in server.requests)

    def test_a_longer_answer_is_the_same_metric_and_a_new_request(self, db, study, server):
        fill(study, 1, models=2)
        server.behaviour.mode = "cut"
        measure(db, server, max_tokens=10)
        server.behaviour.mode = "ok"
        assert measure(db, server, max_tokens=100).measured == 1
        assert measure(db, server).known == 1

    def test_other_settings_are_another_metric(self, db, study, server):
        fill(study, 2)
        measure(db, server)
        other = chat_metric(db, server, temperature=1.0)
        assert ["with another prompt or sampling" in warning for warning in ask.warnings(db, other)] == [True]
        assert re.match(r"gpt-4.1@[0-9a-f]{8}: 6 pairs measured", ScoresToAsk(db, other).run().summary)
        with pytest.raises(ParameterError, match=r"2 metrics are called 'gpt-4\.1'") as caught:
            measure(db, server)
        assert "You compare" not in str(caught.value)  # the whole prompt would hide the names
        [second] = [row[0] for row in db.execute("SELECT hash FROM metrics WHERE id = 2")]
        assert ask.settings_for(db, f"gpt-4.1@{second[:8]}", {}).temperature == 1.0

    def test_a_stop_makes_another_metric_that_goes_on_as_it_began(self, db, study, server):
        fill(study, 1, models=2)
        measure(db, server, stop=["END"])
        assert server.requests[0].body["stop"] == ["END"]
        study.response(study.instruction("instruction 0"), "m3", "a third answer, of more than twenty words " * 4)
        assert measure(db, server).measured == 2
        assert server.requests[-1].body["stop"] == ["END"]
        [kept] = [json.loads(row[0]) for row in db.execute("SELECT parameters FROM metrics")]
        assert (kept["stop"], "presence_penalty" in kept) == (["END"], False)

    def test_a_prompt_without_places_for_the_texts_is_refused(self, tmp_path):
        file = tmp_path / "prompt.txt"
        file.write_text("Are {first} and {second} alike?")
        with pytest.raises(InputError, match=r"needs \{instruction\}"):
            prompts.from_file(file, *rubric.NEEDED)


# Never twice


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("enough", several([60], range(40, 175, 3)))
def test_a_run_that_was_stopped_asks_only_what_is_missing(db_file: Path, how: signal.Signals, enough: int):
    with database.writing(db_file) as db:
        fill(Study(db), 60)
    with ProviderServer(latency_median=0.05) as server:
        command = ("similarity", "--metric", NAME, "--base-url", f"{server.url}/v1", "--concurrency", 8)
        with children.madetl(db_file, *command) as child:
            child.until(lambda: server.answered >= enough)
            child.send_signal(how)
            child.wait()
        with database.writing(db_file) as db:
            before = len(rows(db))
            assert 0 < before < 180
            done = measure(db, server)
            assert (done.known, done.measured) == (before, 180 - before)
            assert server.answered <= 180 + 8
            assert (
                db.execute("SELECT count(DISTINCT request_hash) FROM calls WHERE outcome = 'ok'").fetchone()[0] == 180
            )


@pytest.mark.parametrize(("models", "instructions"), [(2, 3), (5, 7), (8, 10)])
def test_requests_are_pairs_times_instructions(db, study, server, models, instructions):
    """For 8 models and 1000 instructions, 28,000; a dry run says so without asking."""
    fill(study, instructions, models)
    metric = chat_metric(db, server)
    expected = models * (models - 1) // 2 * instructions
    assert ScoresToAsk(db, metric).dry_run().requests == expected
    assert ask.judgments_after(db, metric, 10) == models * (models - 1) // 2 * min(10, instructions)
    assert not server.requests
    ScoresToAsk(db, metric).run()
    assert len(server.requests) == expected


class TestTheCommand:
    @pytest.fixture
    def where(self, server) -> tuple[str, str]:
        return "--base-url", f"{server.url}/v1"

    def test_prefilters_and_selects(self, madetl, db_file, where):
        with database.writing(db_file) as db:
            fill(Study(db), 12)
        madetl("similarity")
        prefiltered = ("similarity", "--metric", NAME, "--prefilter", "char-ngram:4", *where)
        shown = madetl(*prefiltered, "--dry-run").stdout
        assert re.search(r"requests +12\b", shown)
        assert re.search(r"human judgments for K = 10 +12\b", shown)
        assert madetl(*prefiltered).stdout == (
            "gpt-4.1: 12 pairs measured (0 known)\nPool: 12 instructions in Writing\n"
        )
        picked = madetl("select", "--metric", NAME, "--top-k", 2)
        assert "It asks for 6 judgments of people" in picked.stdout
        assert "--dry-run says what that costs" in picked.stderr

    def test_a_dry_run_of_all_pairs_says_how_to_ask_about_fewer(self, madetl, db_file, where, server):
        with database.writing(db_file) as db:
            fill(Study(db), 12)
        done = madetl("similarity", "--metric", NAME, "--dry-run", *where)
        assert re.search(r"requests +36\b", done.stdout)
        assert re.search(r"human judgments for K = 10 +30\b", done.stdout)
        assert "--prefilter char-ngram:100" in done.stderr
        assert not server.requests

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--metric", "char-ngram", "--prefilter", "x:3"), "--prefilter is an option for chat models"),
            (("--metric", NAME, "--min-words", "3"), "--min-words is an option of --prefilter"),
            (("--metric", NAME, "--batch-size", "3"), "--batch-size is an option for bert-score"),
            (("--metric", NAME, "--instructions"), "--instructions is for embedding models"),
            (("--metric", NAME, "--prefilter", "char-ngram"), "such as char-ngram:100"),
        ],
    )
    def test_options_that_do_not_fit_are_one_line(self, madetl, db_file, arguments, message):
        with database.writing(db_file) as db:
            fill(Study(db), 1)
        assert message in madetl("similarity", *arguments, status=1).stderr

    def test_what_is_left_undone_is_exit_status_1(self, madetl, db_file, where, server):
        server.behaviour.mode = "wrong-structure"
        with database.writing(db_file) as db:
            fill(Study(db), 1)
        done = madetl("similarity", "--metric", NAME, *where, status=1)
        assert done.stdout == "gpt-4.1: 0 pairs measured (0 known); 3 are left\nPool: 1 instruction in Writing\n"
        assert "3 failed: invalid (it is not JSON" in done.stderr
