"""vLLM in this process, answering for real on the CPU."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from madetl.errors import ParameterError
from madetl.providers import open_provider, provider_of
from madetl.providers.base import ChatAnswer, ChatRequest, Endpoint, ProviderError
from madetl.providers.vllm import VllmProvider, parallel_size
from tests.vllm.conftest import MAX_MODEL_LEN, OPTIONS

SCHEMA = {
    "type": "object",
    "properties": {"verdict": {"enum": ["first", "second", "tie"]}},
    "required": ["verdict"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def provider(tiny_model: Path) -> Iterator[VllmProvider]:
    opened = open_provider(Endpoint(provider_of(str(tiny_model)), str(tiny_model), options=OPTIONS))
    assert isinstance(opened, VllmProvider)
    yield opened
    opened.close()


def test_answers_in_the_order_of_the_requests(provider: VllmProvider):
    requests = [ChatRequest(f"question {i}", temperature=0.0, max_tokens=4 + i) for i in range(5)]

    answers = provider.chat_many(requests)

    assert [answer.tokens_out for answer in answers] == [4, 5, 6, 7, 8]
    assert {answer.outcome for answer in answers} == {"truncated"}
    assert all(isinstance(answer, ChatAnswer) and answer.text and answer.latency > 0 for answer in answers)
    assert [answer.text for answer in provider.chat_many(requests)] == [answer.text for answer in answers]


def test_a_prompt_that_is_too_long_fails_alone(provider: VllmProvider):
    requests = [ChatRequest("short", max_tokens=3), ChatRequest("long " * 2000), ChatRequest("short too", max_tokens=3)]

    first, second, third = provider.chat_many(requests)

    assert isinstance(first, ChatAnswer)
    assert isinstance(third, ChatAnswer)
    assert isinstance(second, ProviderError)
    assert second.outcome == "client_error"
    assert f"takes {MAX_MODEL_LEN - 1}" in str(second)


def test_the_prompt_is_the_models_own_chat_template(provider: VllmProvider):
    """Given ChatML, the counted tokens are those of the template around system prompt and question."""
    (answer,) = provider.chat_many([ChatRequest("question", system="be brief", max_tokens=1)])

    tokenizer = provider._engine.get_tokenizer()
    text = "<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\nquestion<|im_end|>\n<|im_start|>assistant\n"
    assert answer.tokens_in == len(tokenizer.encode(text))


def test_structured_output_keeps_to_the_schema(provider: VllmProvider):
    (answer,) = provider.chat_many([ChatRequest("who wins?", schema=SCHEMA, temperature=0.0, max_tokens=200)])

    assert isinstance(answer, ChatAnswer)
    assert answer.outcome == "ok"
    assert json.loads(answer.text)["verdict"] in SCHEMA["properties"]["verdict"]["enum"]


def test_a_schema_that_vllm_does_not_take_fails_alone(provider: VllmProvider):
    bad = ChatRequest("x", schema={"type": "nothing of the kind"}, max_tokens=3)

    good, failed = provider.chat_many([ChatRequest("x", max_tokens=3), bad])

    assert isinstance(good, ChatAnswer)
    assert isinstance(failed, ProviderError)
    assert failed.outcome == "client_error"


def test_an_answer_ends_before_a_stop(provider: VllmProvider):
    """The same answer, whole and ended before a text that stands in it."""
    (whole,) = provider.chat_many([ChatRequest("x", temperature=0.0, max_tokens=20)])
    assert isinstance(whole, ChatAnswer)
    stop = whole.text[2:4]

    (ended,) = provider.chat_many([ChatRequest("x", temperature=0.0, max_tokens=20, stop=(stop,))])

    assert isinstance(ended, ChatAnswer)
    assert ended.text == whole.text[: whole.text.index(stop)]


def test_no_requests_no_answers(provider: VllmProvider):
    assert provider.chat_many([]) == []


def test_another_chat_template_and_embeddings(tiny_model: Path, tmp_path: Path):
    """Given a template that refuses a system prompt, one request fails alone; the same model embeds, and cuts."""
    template = tmp_path / "template.jinja"
    template.write_text("{{ raise_exception('no system prompt') if messages[0]['role'] == 'system' }}{{ messages }}")
    options = OPTIONS | {"chat_template": str(template)}
    opened = VllmProvider(Endpoint("vllm", str(tiny_model), options=options))
    try:
        failed, good = opened.chat_many([ChatRequest("a", system="b"), ChatRequest("a", max_tokens=2)])
        assert isinstance(failed, ProviderError)
        assert "no system prompt" in str(failed)
        assert isinstance(good, ChatAnswer)

        found = opened.embed_many(["short", "long " * 2000])
        assert list(found.truncated) == [False, True]
        assert [len(vector) for vector in found.vectors] == [128, 128]
    finally:
        opened.close()


def test_a_folder_without_a_model_says_so(tmp_path: Path):
    opened = VllmProvider(Endpoint("vllm", str(tmp_path), options=OPTIONS))

    with pytest.raises(ProviderError, match=r"config\.json") as raised:
        opened.chat_many([ChatRequest("x")])

    assert raised.value.fatal


def test_a_chat_template_that_is_not_there():
    with pytest.raises(ParameterError, match="no chat template"):
        VllmProvider(Endpoint("vllm", "some/model", options={"chat_template": "nowhere.jinja"}))


@pytest.mark.parametrize(("gpus", "heads", "size"), [(0, 32, 1), (1, 32, 1), (4, 32, 4), (3, 32, 2), (8, 28, 7)])
def test_tensor_parallelism_divides_the_heads(gpus: int, heads: int, size: int):
    assert parallel_size(gpus, heads) == size
