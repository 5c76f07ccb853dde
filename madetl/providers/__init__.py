"""Ask a model: openai.py (any OpenAI-compatible endpoint), gemini.py and gemini_legacy.py, vllm.py.

Nothing here touches the database, retries or sleeps. Requests, answers and errors are those of base.py. The packages of
the providers are imported when one is opened.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from madetl.errors import MissingExtraError, ParameterError
from madetl.providers.base import BatchProvider, Endpoint, Provider

NAMES = ("openai", "gemini", "vllm")
_OPENAI = re.compile(r"gpt-|chatgpt-|o\d|text-embedding-|ft:gpt-")
_GEMINI = re.compile(r"(models/)?gemini")
_HUB = re.compile(r"[\w.-]+/[\w.-]+")


def provider_of(name: str) -> str:
    """The provider that a model's name implies. Raises ParameterError where it implies none."""
    if _OPENAI.match(name):
        return "openai"
    if _GEMINI.match(name):
        return "gemini"
    if _HUB.fullmatch(name) or Path(name).is_dir():
        return "vllm"
    raise ParameterError(
        f"Who is to be asked for {name!r}? Give --provider openai (with --base-url for a server of your own), "
        "gemini or vllm, or the model's folder."
    )


def open_provider(endpoint: Endpoint) -> Provider | BatchProvider:
    """The endpoint's provider, ready to be asked; close it afterwards.

    Raises MissingExtraError where its package is not installed, and ParameterError for an address or a key that cannot
    be used.
    """
    if endpoint.provider == "openai":
        return _openai(endpoint)
    if endpoint.provider == "gemini":
        return _gemini(endpoint)
    if endpoint.provider == "vllm":
        return _vllm(endpoint)
    raise ParameterError(f"There is no provider {endpoint.provider!r}: it is one of {', '.join(NAMES)}.")


def _openai(endpoint: Endpoint) -> Provider:
    from madetl.providers.openai import OpenAIProvider

    return OpenAIProvider(endpoint)


def _gemini(endpoint: Endpoint) -> Provider:
    if _installed("google.genai"):
        from madetl.providers.gemini import GeminiProvider

        return GeminiProvider(endpoint)
    if _installed("google.generativeai"):
        from madetl.providers.gemini_legacy import LegacyGeminiProvider

        return LegacyGeminiProvider(endpoint)
    raise MissingExtraError(f"{endpoint.model_id} (Gemini)", "gemini")


def _vllm(endpoint: Endpoint) -> BatchProvider:
    if endpoint.base_url:
        raise ParameterError(
            f"{endpoint.model_id} runs in this process and has no address. For a vllm server use --provider openai."
        )
    if not _installed("vllm"):
        raise MissingExtraError(f"{endpoint.model_id} (vLLM, in this process)", "vllm")
    from madetl.providers.vllm import VllmProvider

    return VllmProvider(endpoint)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a package above it is missing
        return False
