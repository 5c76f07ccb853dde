"""The providers that ask over a network, opened for the tests' own server."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Coroutine
from typing import Any

from madetl.providers.base import Endpoint, Provider

KEY = "tk-Secret/of+this=test-0123456789"

Opener = Callable[[Endpoint], Provider]


def open_gemini(endpoint: Endpoint) -> Provider:
    from madetl.providers.gemini import GeminiProvider

    return GeminiProvider(endpoint)


def open_legacy_gemini(endpoint: Endpoint) -> Provider:
    from madetl.providers.gemini_legacy import LegacyGeminiProvider

    return LegacyGeminiProvider(endpoint)


def open_openai(endpoint: Endpoint) -> Provider:
    from madetl.providers.openai import OpenAIProvider

    return OpenAIProvider(endpoint)


OPENERS: dict[str, tuple[Opener, str, str]] = {
    "openai": (open_openai, "/v1", "openai"),
    "gemini": (open_gemini, "", "google.genai"),
    "gemini-legacy": (open_legacy_gemini, "", "google.generativeai"),
}
"""By name: how to open it, the path of its API at the server, and the package that it needs."""


def installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a package above it is missing
        return False


def with_provider(opener: Opener, endpoint: Endpoint, work: Callable[[Provider], Coroutine[Any, Any, Any]]) -> Any:
    """What `work` returns for the opened provider, which is closed afterwards."""

    async def inside() -> Any:
        provider = opener(endpoint)
        try:
            return await work(provider)
        finally:
            await provider.close()

    return asyncio.run(inside())
