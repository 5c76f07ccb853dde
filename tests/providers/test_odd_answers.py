"""Answers with the status 200 that are not as the format has them: what is told of them, and what is still read."""

from __future__ import annotations

import copy
import gzip
import json
import math
import zlib
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from madetl.providers import gemini_answers, keys, vllm
from madetl.providers import openai as openai_format
from madetl.providers.base import ChatAnswer, ChatRequest, Embeddings, Endpoint, ProviderError
from madetl.providers.failures import from_refusal, gemini_refusal, openai_refusal
from madetl.providers.http import PACKINGS, Received, Unpacking, UnreadableBodyError
from madetl.providers.reading import MOST_TOKENS, Reply
from tests.support.provider_bodies import ReceivedRequest, bomb, good_body, vector

ACCESS = keys.KeyAccess("http://127.0.0.1:1/v1", None, False, "K")
FIELDS = {
    "openai": {
        "model": ("model",),
        "finish": ("choices", 0, "finish_reason"),
        "choices": ("choices",),
        "message": ("choices", 0, "message"),
        "text": ("choices", 0, "message", "content"),
        "usage": ("usage",),
        "tokens_in": ("usage", "prompt_tokens"),
        "tokens_out": ("usage", "completion_tokens"),
    },
    "gemini": {
        "model": ("modelVersion",),
        "finish": ("candidates", 0, "finishReason"),
        "choices": ("candidates",),
        "message": ("candidates", 0, "content"),
        "text": ("candidates", 0, "content", "parts", 0, "text"),
        "usage": ("usageMetadata",),
        "tokens_in": ("usageMetadata", "promptTokenCount"),
        "tokens_out": ("usageMetadata", "candidatesTokenCount"),
    },
}
ODD: dict[str, Any] = {"object": {"a": 1}, "number": 10**30, "negative": -1, "nan": math.nan, "true": True}
TEXTS = [[], *ODD.values()]  # in the place of a text
COUNTS = [[], "many", 1.5, *ODD.values()]  # in the place of a number of tokens
MISSING = "<missing>"


def body(api: str, kind: str = "chat", texts: tuple[str, ...] = ("two words",)) -> dict[str, Any]:
    """A good answer."""
    if api == "openai":
        asked: dict[str, Any] = {"input": list(texts), "messages": [{"role": "user", "content": texts[0]}]}
    else:
        asked = {"requests": [{"content": {"parts": [{"text": text}]}} for text in texts]}
        asked["contents"] = [{"parts": [{"text": texts[0]}]}]
    return good_body(ReceivedRequest(api, kind, "m", f"/v1/{kind}", {}, asked), "four words of text")


def changed(data: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """The data with another value at the path; MISSING takes it away."""
    data = copy.deepcopy(data)
    inner = data
    for step in path[:-1]:
        inner = inner[step]
    if value is MISSING:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return data


def read_chat(api: str, data: Any) -> ChatAnswer:
    reader = openai_format.read_chat if api == "openai" else gemini_answers.read_chat
    return reader(Reply(data, 200, 0.1, ACCESS))


def read_embeddings(api: str, data: Any, texts: int) -> Embeddings:
    reply = Reply(data, 200, 0.1, ACCESS)
    return (
        openai_format.read_embeddings(reply, texts)
        if api == "openai"
        else gemini_answers.read_embeddings(reply, texts, "m")
    )


def invalid(read: Any, *arguments: Any) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        read(*arguments)
    assert (raised.value.outcome, raised.value.transient, raised.value.http_status) == ("invalid", False, 200)
    return raised.value


def name_of(path: tuple[str | int, ...]) -> str:
    return ".".join(map(str, path))


# Chat answers


@pytest.mark.parametrize(
    ("api", "field", "odd"),
    [
        (api, field, odd)
        for api in FIELDS
        for field in ("model", "finish", "text")
        for odd in TEXTS
        if (api, field, odd) != ("openai", "text", [])  # a message of no parts, which is empty
    ],
    ids=repr,
)
def test_what_is_no_text_is_named_and_its_tokens_are_kept(api: str, field: str, odd: Any):
    path = FIELDS[api][field]
    error = invalid(read_chat, api, changed(body(api), path, odd))
    assert f"the answer does not fit its format: {name_of(path)}: " in str(error)
    assert "found " in str(error)
    assert (error.tokens_in, error.tokens_out) == (2, 4)
    assert error.text is None


@pytest.mark.parametrize("api", FIELDS)
@pytest.mark.parametrize("odd", COUNTS, ids=repr)
@pytest.mark.parametrize(("field", "other"), [("tokens_in", "tokens_out"), ("tokens_out", "tokens_in")])
def test_what_is_no_number_of_tokens_is_named_and_the_other_is_kept(api: str, field: str, other: str, odd: Any):
    path = FIELDS[api][field]
    error = invalid(read_chat, api, changed(body(api), path, odd))
    assert f"{name_of(path)}: " in str(error)
    assert getattr(error, field) is None
    assert getattr(error, other) == {"tokens_in": 2, "tokens_out": 4}[other]


@pytest.mark.parametrize("api", FIELDS)
@pytest.mark.parametrize("odd", [*ODD.values(), "text", [], [5], None, MISSING], ids=repr)
def test_choices_that_are_none_are_told(api: str, odd: Any):
    error = invalid(read_chat, api, changed(body(api), FIELDS[api]["choices"], odd))
    assert FIELDS[api]["choices"][0] in str(error)
    assert (error.tokens_in, error.tokens_out) == (2, 4)


@pytest.mark.parametrize("api", FIELDS)
@pytest.mark.parametrize("odd", [[], "text", 5, None, {}], ids=repr)
def test_an_answer_that_is_another_thing_altogether_is_told(api: str, odd: Any):
    assert "the answer does not fit its format" in str(invalid(read_chat, api, odd))


@pytest.mark.parametrize("api", FIELDS)
@pytest.mark.parametrize("odd", [None, MISSING], ids=["null", "missing"])
@pytest.mark.parametrize("field", ["model", "finish", "usage", "tokens_in", "tokens_out"])
def test_what_servers_leave_out_is_unknown(api: str, field: str, odd: Any):
    answer = read_chat(api, changed(body(api), FIELDS[api][field], odd))
    assert (answer.outcome, answer.text) == ("ok", "four words of text")
    read = {"model": answer.model_version, "finish": answer.finish_reason, "usage": answer.tokens_in}
    read |= {"tokens_in": answer.tokens_in, "tokens_out": answer.tokens_out}
    assert read[field] is None


@pytest.mark.parametrize("api", FIELDS)
def test_a_message_without_text_is_an_empty_answer(api: str):
    for odd in (None, MISSING, ""):
        assert read_chat(api, changed(body(api), FIELDS[api]["text"], odd)).outcome == "empty"


def test_whole_numbers_may_be_written_with_a_point_and_texts_in_parts():
    data = changed(body("openai"), FIELDS["openai"]["tokens_in"], 12.0)
    data = changed(
        data, FIELDS["openai"]["text"], [{"type": "text", "text": "one "}, {"type": "image"}, {"text": "two"}]
    )
    answer = read_chat("openai", data)
    assert (answer.text, answer.tokens_in) == ("one two", 12)


@pytest.mark.parametrize("api", FIELDS)
def test_an_error_that_comes_with_status_200_is_that_error(api: str):
    data = {"error": {"code": 429, "message": "slow down"}}
    received = Received(200, {}, json.dumps(data).encode())
    with pytest.raises(ProviderError) as raised:
        read_chat(api, data) if api == "openai" else gemini_answers.gemini_reply(received, 0.1, ACCESS)
    assert (raised.value.outcome, raised.value.http_status) == ("rate_limited", 429)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def paths(data: Any, above: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in the data."""
    steps = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path for step, inner in steps for path in ((*above, step), *paths(inner, (*above, step)))]


def is_count(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value <= 2 * MOST_TOKENS)


def is_text(value: Any) -> bool:
    return value is None or type(value) is str


@given(st.data(), st.sampled_from(sorted(FIELDS)))
def test_whatever_stands_anywhere_an_answer_is_sound_or_is_told(data: st.DataObject, api: str):
    good = body(api)
    found = changed(good, data.draw(st.sampled_from(paths(good))), data.draw(JSON))
    try:
        answer: Any = read_chat(api, found)
    except ProviderError as error:
        answer = error
    assert len(str(answer)) < 600
    assert is_count(answer.tokens_in)
    assert is_count(answer.tokens_out)
    assert is_text(answer.model_version)
    assert is_text(answer.text)


@given(st.data(), st.sampled_from(sorted(FIELDS)))
def test_whatever_stands_anywhere_vectors_are_sound_or_that_is_told(data: st.DataObject, api: str):
    good = body(api, "embed", ("one", "two", "three"))
    found = changed(good, data.draw(st.sampled_from(paths(good))), data.draw(JSON))
    try:
        answer = read_embeddings(api, found, 3)
    except ProviderError as error:
        event(f"told: {error.outcome}")
        return
    assert is_count(answer.tokens_in)
    assert len({len(row) for row in answer.vectors}) == 1
    assert len(answer.vectors) == 3
    assert all(math.isfinite(value) for row in answer.vectors for value in row)


@given(JSON, st.sampled_from([openai_refusal, gemini_refusal]), st.integers(300, 599))
def test_whatever_an_error_says_it_is_told(data: Any, refusal: Any, status: int):
    for found in (data, {"error": data}, {"error": {"code": data, "message": data, "details": [data]}}, [data]):
        error = from_refusal(refusal(status, found, {"Retry-After": "soon"}), ACCESS, 0.1)
        assert error.http_status == status
        assert str(error).startswith(f"HTTP {status}: ")
        assert len(str(error)) < 600


# Embeddings


@pytest.mark.parametrize("api", FIELDS)
@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([[1.0], [1.0]], "2 embeddings came for 3 texts"),
        ([[1.0]] * 4, "4 embeddings came for 3 texts"),
        ([[1.0, 2.0], [1.0], [1.0, 2.0]], "different lengths: 1, 2"),
        ([[1.0], [0.0], [1.0]], "zero throughout"),
        ([[1.0], [math.nan], [1.0]], "finite number"),
        ([[1.0], [math.inf], [1.0]], "finite number"),
        ([[1.0], [10**400], [1.0]], "number"),
        ([[1.0], ["a"], [1.0]], "valid number"),
        ([[1.0], "AAAA", [1.0]], "valid list"),
        ([[1.0], [], [1.0]], "at least 1 item"),
        ([[1.0], None, [1.0]], "valid list"),
    ],
)
def test_vectors_that_are_none_are_told(api: str, rows: Any, words: str):
    data = {"data": [{"embedding": row} for row in rows], "usage": {"prompt_tokens": 9}}
    error = invalid(read_embeddings, api, data if api == "openai" else {"embeddings": [{"values": r} for r in rows]}, 3)
    assert words in str(error)
    assert error.tokens_in == (9 if api == "openai" else None)


def test_the_order_of_vectors_is_that_of_their_indices():
    def found(*indices: Any) -> list[list[float]]:
        rows = [{"embedding": [1.0 + n], "index": index} for n, index in enumerate(indices)]
        rows = [{name: value for name, value in row.items() if value is not MISSING} for row in rows]
        return [list(row) for row in read_embeddings("openai", {"data": rows}, 3).vectors]

    assert found(2, 0, 1) == [[2.0], [3.0], [1.0]]
    assert found(MISSING, MISSING, MISSING) == [[1.0], [2.0], [3.0]]
    for indices in ((0, 0, 1), (1, 2, 3), (0, MISSING, 2), (0, 1, 10**30), (0, -1, 1)):
        with pytest.raises(ProviderError, match="the indices are"):
            found(*indices)


# Models in this process


def output(**fields: Any) -> SimpleNamespace:
    first = {"text": "an answer", "token_ids": [1, 2], "finish_reason": "stop"}
    return SimpleNamespace(outputs=[SimpleNamespace(**first | fields)], prompt_token_ids=(1, 2, 3))


class Engine:
    """Gives what it was made with, whatever it is asked: an input for the provider."""

    model_config = SimpleNamespace(max_model_len=100)

    def __init__(self, outputs: list[Any]) -> None:
        self.outputs = outputs

    def get_tokenizer(self) -> Any:
        def tokenize(texts: list[str]) -> dict[str, Any]:
            return {"input_ids": [[1, 2]] * len(texts)}

        tokenize.apply_chat_template = lambda *_, **__: [1, 2, 3]  # type: ignore[attr-defined]
        return tokenize

    def chat(self, *_: Any, **__: Any) -> list[Any]:
        return self.outputs

    def embed(self, *_: Any, **__: Any) -> list[Any]:
        return self.outputs


def with_engine(runner: str, *outputs: Any) -> vllm.VllmProvider:
    provider = vllm.VllmProvider(Endpoint("vllm", "m"))
    provider._engine, provider._runner = Engine(list(outputs)), runner
    return provider


@pytest.fixture
def no_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm, "_sampling", lambda *_: None)


@pytest.mark.usefixtures("no_sampling")
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"text": None}, "outputs.0.text"),
        ({"text": 5}, "outputs.0.text"),
        ({"finish_reason": {}}, "outputs.0.finish_reason"),
        ({"token_ids": 10**30}, "outputs.0.token_ids"),
    ],
)
def test_an_odd_output_of_vllm_fails_alone(fields: dict[str, Any], named: str):
    provider = with_engine("generate", output(), output(**fields), SimpleNamespace(), output(finish_reason=None))
    found = provider.chat_many([ChatRequest("q")] * 4)
    assert [answer.outcome for answer in found] == ["ok", "invalid", "invalid", "ok"]
    assert named in str(found[1])
    assert "outputs: field required" in str(found[2])
    assert isinstance(found[0], ChatAnswer)
    assert (found[0].tokens_in, found[0].tokens_out) == (3, 2)


@pytest.mark.usefixtures("no_sampling")
def test_too_few_outputs_of_vllm_are_asked_for_one_by_one():
    found = with_engine("generate", output()).chat_many([ChatRequest("q")] * 3)
    assert [answer.outcome for answer in found] == ["ok"] * 3
    found = with_engine("generate").chat_many([ChatRequest("q")] * 2)
    assert {str(answer) for answer in found} == {"the answer does not fit its format: 0 answers came for 1 question"}


def test_odd_vectors_of_vllm_are_told():
    def pooled(*rows: Any) -> list[Any]:
        return [SimpleNamespace(outputs=SimpleNamespace(embedding=row)) for row in rows]

    assert with_engine("pooling", *pooled([1.0], [2.0])).embed_many(["a", "b"]).tokens_in == 4
    for rows in ([[1.0]], [[1.0], [math.nan]], [[1.0], [1.0, 2.0]], [[1.0], None]):
        with pytest.raises(ProviderError) as raised:
            with_engine("pooling", *pooled(*rows)).embed_many(["a", "b"])
        assert (raised.value.outcome, raised.value.tokens_in) == ("invalid", 4)


# Bodies


@given(
    st.binary(max_size=5000), st.sampled_from(["", "identity", "gzip", "X-GZIP", "deflate", "raw"]), st.integers(1, 99)
)
def test_a_body_is_unpacked_however_it_is_packed_and_cut(content: bytes, packing: str, size: int):
    raw = zlib.compressobj(wbits=-15)
    packed = {
        "gzip": gzip.compress(content),
        "X-GZIP": gzip.compress(content),
        "deflate": zlib.compress(content),
        "raw": raw.compress(content) + raw.flush(),
    }.get(packing, content)
    unpacking = Unpacking("deflate" if packing == "raw" else packing)
    chunks = [packed[start : start + size] for start in range(0, len(packed), size)]
    assert b"".join(piece for chunk in chunks for piece in unpacking(chunk)) == content


def test_a_bomb_is_given_up_at_the_limit():
    packed, out = bomb(), 0
    assert len(packed) < 12_000_000
    unpacking = Unpacking("gzip", most=2**23)
    pieces = unpacking(packed)
    for _ in range(2**23 // 2**20 + 1):
        out += len(next(pieces, b""))
        if out == 2**23:
            break
    with pytest.raises(UnreadableBodyError, match="larger than 8 MiB"):
        next(pieces)


def test_a_body_of_ordinary_bytes_has_the_same_limit():
    unpacking = Unpacking("", most=10)
    assert list(unpacking(b"12345")) == [b"12345"]
    with pytest.raises(UnreadableBodyError):
        list(unpacking(b"123456"))


@pytest.mark.parametrize("packing", ["br", "zstd", "gzip, gzip", "deflate, gzip"])
def test_a_packing_that_was_not_asked_for_is_told(packing: str):
    assert packing not in PACKINGS.split(", ")
    with pytest.raises(UnreadableBodyError, match=packing):
        Unpacking(packing)


def test_what_cannot_be_unpacked_is_an_error_of_the_transport():
    with pytest.raises(OSError, match="cannot be unpacked"):
        list(Unpacking("gzip")(b"no gzip at all"))


# Over a real connection


@pytest.mark.slow
def test_odd_answers_arrive_through_every_package(opened, server):
    """Given a field of another type, each of the packages lets through what came."""
    fields = FIELDS["openai" if opened.name == "openai" else "gemini"]
    for field in ("model", "finish", "text", "tokens_in", "choices"):
        server.behaviour.odd = lambda _, good, path=fields[field]: changed(good, path, {"a": 10**30})
        with pytest.raises(ProviderError) as raised:
            opened(lambda provider: provider.chat(ChatRequest("<<odd>> words")))
        assert (raised.value.outcome, raised.value.http_status) == ("invalid", 200)
        assert fields[field][-1] in str(raised.value)
        assert raised.value.tokens_out == 4
        assert raised.value.tokens_in == (None if field == "tokens_in" else 2)


@pytest.mark.slow
def test_odd_vectors_arrive_through_every_package(opened, server):
    field, inner = ("data", "embedding") if opened.name == "openai" else ("embeddings", "values")
    for odd in (["a"], "AAAA", {"b": 1}, [math.nan] * 16, [1.0]):
        server.behaviour.odd = lambda _, good, odd=odd: changed(good, (field, 1, inner), odd)
        with pytest.raises(ProviderError) as raised:
            opened(lambda provider: provider.embed(["<<odd>> one", "two", "three"]))
        assert raised.value.outcome == "invalid"
    server.behaviour.odd = lambda _, good: {**good, field: good[field][:2]}
    with pytest.raises(ProviderError, match=r"2 embeddings came for 3 texts|3 texts were sent"):
        opened(lambda provider: provider.embed(["<<odd>> one", "two", "three"]))


@pytest.mark.slow
def test_odd_errors_arrive_through_every_package(opened, server):
    for odd in ([], "x", 5, None, {"error": []}, {"error": {"code": {}, "message": [1], "param": 5, "details": {}}}):
        server.behaviour.odd = lambda *_, odd=odd: odd
        with pytest.raises(ProviderError) as raised:
            opened(lambda provider: provider.chat(ChatRequest("<<odd-500>> words")))
        assert (raised.value.outcome, raised.value.http_status) == ("server_error", 500)


@pytest.mark.slow
def test_a_packed_answer_is_unpacked(opened):
    answer = opened(lambda provider: provider.chat(ChatRequest("<<gzip>> words")))
    assert answer.text == "model-x answers: <<gzip>> words"
    found = opened(lambda provider: provider.embed(["<<gzip>> words"]))
    assert list(found.vectors[0]) == vector("<<gzip>> words")
