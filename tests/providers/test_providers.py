"""The providers against a real server that behaves, and misbehaves in every way that is known."""

from __future__ import annotations

import asyncio
import json
import traceback
from typing import Any

import pytest

from madetl.providers.base import ChatAnswer, ChatRequest, Endpoint, Provider, ProviderError
from tests.support.opened_providers import KEY, open_openai, with_provider
from tests.support.provider_bodies import MODES, vector
from tests.support.provider_server import ProviderServer, provider_process

pytestmark = pytest.mark.slow
SCHEMA = {"type": "object", "properties": {"score": {"type": "number"}, "why": {"type": "string"}}}


def _ask(opened, prompt: str, timeout: float = 20.0, **fields: Any) -> ChatAnswer:
    return opened(lambda provider: provider.chat(ChatRequest(prompt, **fields)), options={"timeout": timeout})


def _fail(opened, mode: str, timeout: float = 20.0, **fields: Any) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        _ask(opened, f"please <<{mode}>>", timeout, **fields)
    return raised.value


# What comes back


def test_an_answer_holds_all_that_the_server_said(opened):
    answer = _ask(opened, "two words", system="be brief", temperature=0.0, max_tokens=9, top_p=0.5)

    assert answer.text == "model-x answers: two words"
    assert (answer.outcome, answer.tokens_in, answer.tokens_out, answer.http_status) == ("ok", 2, 4, 200)
    assert answer.model_version.startswith("model-x-")
    assert 0 < answer.latency < 5


def test_the_request_holds_all_that_was_asked(opened, server: ProviderServer):
    _ask(opened, "question", system="be brief", temperature=0.0, max_tokens=9, top_p=0.5)

    body = server.requests[-1].body
    if opened.name == "openai":
        messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "question"}]
        assert body == {"model": "model-x", "messages": messages, "temperature": 0.0, "max_tokens": 9, "top_p": 0.5}
    else:
        assert body["systemInstruction"]["parts"] == [{"text": "be brief"}]
        assert body["generationConfig"] == {"temperature": 0.0, "maxOutputTokens": 9, "topP": 0.5}


def test_stops_and_penalties_are_sent_under_the_names_of_each(opened, server: ProviderServer):
    _ask(opened, "question", presence_penalty=0.5, frequency_penalty=-1.0, stop=("END", "\n\n"))

    body = server.requests[-1].body
    if opened.name == "openai":
        found = {name: body[name] for name in ("presence_penalty", "frequency_penalty", "stop")}
        assert found == {"presence_penalty": 0.5, "frequency_penalty": -1.0, "stop": ["END", "\n\n"]}
    else:
        settings = {"presencePenalty": 0.5, "frequencyPenalty": -1.0, "stopSequences": ["END", "\n\n"]}
        assert body["generationConfig"] == settings


def test_gemini_is_asked_to_hold_nothing_back(opened, server: ProviderServer):
    """In the four categories that its text models know; `default` says nothing of it. Others have no such setting."""
    _ask(opened, "question")
    if opened.name == "openai":
        assert "safetySettings" not in server.requests[-1].body
        return
    rows = server.requests[-1].body["safetySettings"]
    assert {_named(row["category"], HARMS): _named(row["threshold"], THRESHOLDS) for row in rows} == {
        f"HARM_CATEGORY_{name}": "BLOCK_NONE"
        for name in ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
    }

    opened(lambda provider: provider.chat(ChatRequest("question")), options={"safety": "default"})
    assert not server.requests[-1].body.get("safetySettings")


def test_a_refused_threshold_says_what_to_do(opened):
    error = _fail(opened, "refused-threshold")
    assert (error.outcome, error.fatal, error.hint) == (
        "client_error", True, "--safety default asks with the provider's own thresholds.",
    )  # fmt: skip


def _named(value: Any, numbers: dict[int, str]) -> str:
    """An enumeration's word: the older package sends its number."""
    return numbers.get(value, value) if isinstance(value, int) else value


HARMS = {7: "HARM_CATEGORY_HARASSMENT", 8: "HARM_CATEGORY_HATE_SPEECH", 9: "HARM_CATEGORY_SEXUALLY_EXPLICIT",
         10: "HARM_CATEGORY_DANGEROUS_CONTENT"}  # fmt: skip
THRESHOLDS = {4: "BLOCK_NONE"}


def test_nothing_is_sent_that_was_not_asked(opened, server: ProviderServer):
    _ask(opened, "question")

    assert set(server.requests[-1].body) - {"generationConfig", "safetySettings"} <= {"model", "messages", "contents"}
    assert not server.requests[-1].body.get("generationConfig")


def test_structured_output(opened):
    answer = _ask(opened, "judge", schema=SCHEMA)

    assert json.loads(answer.text) == {"score": 0.5, "why": "about judge"}


def test_what_a_model_refuses_is_left_out_or_renamed(opened, server: ProviderServer):
    fields = {"omit": frozenset({"temperature", "system"}), "rename": (("max_tokens", "max_completion_tokens"),)}
    request = ChatRequest("question", system="be brief", temperature=0.0, max_tokens=9)

    opened(lambda provider: provider.chat(request), **fields)

    body, sent = server.requests[-1].body, server.requests[-1]
    assert sent.prompt == "be brief\n\nquestion"
    assert "temperature" not in body.get("generationConfig", body)
    if opened.name == "openai":
        assert (body.get("max_tokens"), body["max_completion_tokens"]) == (None, 9)


def test_embeddings_come_in_the_order_of_the_texts(opened):
    texts = ["the first text", "another", "the third of the texts"]

    found = opened(lambda provider: provider.embed(texts))

    assert [list(row) for row in found.vectors] == [vector(text) for text in texts]
    assert list(found.truncated) == [False, False, False]


@pytest.mark.parametrize("mode", ["429", "500", "401", "closed", "half", "invalid-json", "no-choices", "deep", "bomb"])
def test_embeddings_fail_as_answers_do(opened, mode: str):
    with pytest.raises(ProviderError) as raised:
        opened(lambda provider: provider.embed([f"<<{mode}>>", "another"]))

    assert raised.value.outcome == _fail(opened, mode).outcome


def test_a_hundred_at_once(opened):
    async def work(provider: Provider):
        return await asyncio.gather(*[provider.chat(ChatRequest(f"number {i}")) for i in range(100)])

    assert [answer.text for answer in opened(work)] == [f"model-x answers: number {i}" for i in range(100)]


# What goes wrong: outcome, whether trying again can help, and whether to stop

CASES = [
    ("429", "rate_limited", 429, False),
    ("429-retry", "rate_limited", 429, False),
    ("429-quota", "rate_limited", 429, True),
    ("500", "server_error", 500, False),
    ("503", "server_error", 503, False),
    ("closed", "connection_error", None, False),
    ("half", "connection_error", None, False),
    ("invalid-json", "server_error", 200, False),
    ("html", "server_error", 200, False),
    ("no-choices", "invalid", 200, False),
    ("deep", "server_error", 200, False),
    ("bomb", "invalid", None, False),
    ("blocked", "blocked", 200, False),
    ("401", "client_error", 401, True),
    ("403", "client_error", 403, True),
    ("404", "client_error", 404, True),
    ("400", "client_error", 400, False),
    ("redirect", "client_error", 302, True),
]


@pytest.mark.parametrize(("mode", "outcome", "status", "fatal"), CASES, ids=[case[0] for case in CASES])
def test_each_failure_is_told_apart(opened, mode: str, outcome: str, status: int | None, fatal: bool):
    error = _fail(opened, mode)

    assert (error.outcome, error.http_status, error.fatal) == (outcome, status, fatal)
    assert error.transient == (outcome in ("rate_limited", "server_error", "connection_error"))
    assert str(error)
    assert "\n" not in str(error)
    assert bool(error.hint) >= fatal


@pytest.mark.parametrize("mode", ["slow", "drip", "drip-head"])
def test_a_slow_answer_is_given_up(opened, mode: str):
    """Also one that comes byte by byte, each long before the time is over."""
    error = _fail(opened, mode, timeout=0.5)

    assert (error.outcome, error.http_status) == ("timeout", None)
    assert 0.4 < error.latency < 2.5


def test_nobody_listens(opened):
    with pytest.raises(ProviderError) as raised:
        opened(lambda provider: provider.chat(ChatRequest("x")), base_url="http://127.0.0.1:9")

    assert raised.value.outcome == "connection_error"


def test_how_long_to_wait_is_passed_on(opened):
    assert _fail(opened, "429").retry_after is None
    assert _fail(opened, "429-retry").retry_after == 1.0
    assert _fail(opened, "503").retry_after == 1.0
    assert 20 < _fail(opened, "429-date").retry_after <= 30


def test_nothing_is_retried_by_the_packages(opened, server: ProviderServer):
    for mode in ("429-retry", "500", "503", "closed", "half", "404"):
        before = server.counts.requests
        _fail(opened, mode)
        assert server.counts.requests == before + 1, mode


def test_empty_and_cut_answers_are_answers(opened):
    assert _ask(opened, "<<empty>>").outcome == "empty"
    cut = _ask(opened, "<<cut>>")
    assert (cut.outcome, cut.text) == ("truncated", "model-x answe"[: len(cut.text)])


def test_a_refusal_is_told_from_a_block(opened):
    error = _fail(opened, "refusal")

    assert error.outcome == ("refused" if opened.name == "openai" else "blocked")
    assert ("can't help" if opened.name == "openai" else "RECITATION") in str(error)
    assert error.tokens_in == 2


def test_a_blocked_prompt_keeps_its_reason(opened):
    error = _fail(opened, "blocked-prompt")

    assert error.outcome == "blocked"
    assert ("content management policy" if opened.name == "openai" else "PROHIBITED_CONTENT") in str(error)


def test_a_wrong_structure_is_left_to_the_caller(opened):
    assert _ask(opened, "<<wrong-structure>>", schema=SCHEMA).text == '{"something": "else"'


@pytest.mark.parametrize("opened", ["openai"], indirect=True)
def test_refused_parameters_are_learnt_from_the_error(opened):
    temperature = _fail(opened, "refused-temperature", temperature=0.0)
    tokens = _fail(opened, "refused-max-tokens", max_tokens=5)

    assert (temperature.refused_parameter, temperature.replacement) == ("temperature", None)
    assert (tokens.refused_parameter, tokens.replacement) == ("max_tokens", "max_completion_tokens")


@pytest.mark.parametrize("opened", ["openai"], indirect=True)
def test_only_the_texts_that_are_too_long_are_cut(opened, server: ProviderServer):
    """Given a limit of 100 tokens, a token being a character, and a batch in which two texts are longer."""
    texts = ["short", "a" * 99 + " " + "b" * 900, "c" * 100, "d" * 101]
    server.behaviour.max_tokens_in = 100
    try:
        found = opened(lambda provider: provider.embed(texts))
    finally:
        server.behaviour.max_tokens_in = None

    assert list(found.truncated) == [False, True, False, True]
    assert list(found.vectors[0]) == vector("short")
    assert list(found.vectors[2]) == vector("c" * 100)


# Keys


@pytest.mark.parametrize("mode", MODES)
def test_a_key_shows_nowhere(opened, mode: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture):
    """Given a server that repeats the key in its errors, it is in no message, hint, trace, log or output."""
    caplog.set_level("DEBUG")
    shown = ""
    try:
        _ask(
            opened,
            f"<<{mode}>>",
            0.5 if mode == "slow" or mode.startswith("drip") else 20.0,
            temperature=0.0,
            max_tokens=5,
        )
    except ProviderError as error:
        shown = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
        shown += repr(error.__cause__) + repr(error.__context__)

    captured = capfd.readouterr()
    assert KEY not in shown + captured.out + captured.err + caplog.text


def test_the_key_goes_to_the_server_that_it_was_named_for(opened, server: ProviderServer):
    _ask(opened, "x")

    assert server.requests[-1].secret == KEY


def test_an_address_without_a_named_key_gets_none(opened, server: ProviderServer, monkeypatch: pytest.MonkeyPatch):
    for name in ("OPENAI_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY", "OPENAI_ORG_ID", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, KEY)
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"X-Gateway-Secret: {KEY}\nAuthorization: Bearer {KEY}")

    answer = opened(lambda provider: provider.chat(ChatRequest("x")), key_env=None)

    assert answer.text
    assert KEY not in repr(server.requests[-1])
    assert server.requests[-1].secret == ""


def test_the_default_key_goes_to_the_address_in_the_environment(opened, server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_BASE_URL", server.url + "/v1")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)

    opened(lambda provider: provider.chat(ChatRequest("x")), key_env=None, base_url=None)

    assert server.requests[-1].secret == KEY


# The server itself


def test_the_token_bucket_lets_through_what_it_may(monkeypatch: pytest.MonkeyPatch):
    with ProviderServer(rate=1.0, burst=3.0) as limited:
        endpoint = Endpoint("openai", "m", base_url=f"{limited.url}/v1")

        async def work(provider: Provider):
            return await asyncio.gather(*[provider.chat(ChatRequest(str(i))) for i in range(5)], return_exceptions=True)

        found = with_provider(open_openai, endpoint, work)

        assert [getattr(one, "outcome", None) for one in found].count("ok") == 3
        assert {one.retry_after for one in found if isinstance(one, ProviderError)} == {1.0}
        assert limited.counts.early == 0
        with pytest.raises(ProviderError):
            with_provider(open_openai, endpoint, lambda provider: provider.chat(ChatRequest("4")))
        assert limited.counts.early == 1


def test_a_server_process_counts(monkeypatch: pytest.MonkeyPatch):
    with provider_process("--latency-median", "0.01", "--latency-sigma", "0.5", "--seed", "1") as process:
        endpoint = Endpoint("openai", "m", base_url=f"{process.url}/v1")

        async def work(provider: Provider):
            return await asyncio.gather(*[provider.chat(ChatRequest(str(i))) for i in range(20)])

        with_provider(open_openai, endpoint, work)
        stats = process.stats()

    assert (stats["requests"], stats["answered"], stats["distinct"], stats["answered_twice"]) == (20, 20, 20, 0)
    assert len(stats["latencies"]) == 20
    assert stats["most_in_flight"] > 1
