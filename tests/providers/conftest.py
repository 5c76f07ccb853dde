"""Each of the network providers, opened for a server that misbehaves on demand."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from madetl.providers.base import Endpoint, Provider
from tests.support.opened_providers import KEY, OPENERS, installed, with_provider
from tests.support.provider_server import ProviderServer


@pytest.fixture(scope="module")
def server() -> Iterator[ProviderServer]:
    with ProviderServer(slow_seconds=3.0) as running:
        yield running


@pytest.fixture(params=list(OPENERS))
def opened(request: pytest.FixtureRequest, server: ProviderServer, monkeypatch: pytest.MonkeyPatch):
    """Runs a coroutine function with each of the providers, opened for the server: `opened(work, **endpoint)`."""
    opener, path, module = OPENERS[request.param]
    if not installed(module):
        pytest.skip(f"{module} is not installed")
    monkeypatch.setenv("SERVER_KEY", KEY)

    def run(work: Callable[[Provider], Coroutine[Any, Any, Any]], **fields: Any) -> Any:
        fields = {"base_url": server.url + path, "key_env": "SERVER_KEY"} | fields
        return with_provider(opener, Endpoint(request.param.partition("-")[0], "model-x", **fields), work)

    run.name = request.param  # type: ignore[attr-defined]
    return run
