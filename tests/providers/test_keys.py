"""Where keys may go, what a provider's words mean, and which provider a name speaks of."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from madetl.errors import MissingExtraError, ParameterError
from madetl.providers import failures, keys, open_provider, provider_of
from madetl.providers.base import Endpoint

KEY = "tk-Secret/of+this=test-0123456789"


def _access(base_url: str | None = None, key_env: str | None = None, home: keys.Home = keys.OPENAI, **environment: str):
    return keys.access(Endpoint("openai", "m", base_url=base_url, key_env=key_env), home, environment)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.openai.com/v1",
        "https://api.openai.com.evil.example/v1",
        "https://evil.example/api.openai.com",
        "https://api.openai.com:8443/v1",
        "https://127.0.0.1:8000/v1",
        "https://generativelanguage.googleapis.com",
    ],
)
def test_the_default_key_does_not_leave_its_host(url: str):
    assert _access(url, OPENAI_API_KEY=KEY).key is None


@pytest.mark.parametrize("url", [None, "https://api.openai.com/v1", "https://API.OpenAI.com:443/v1/"])
def test_the_default_key_goes_home(url: str | None):
    assert _access(url, OPENAI_API_KEY=f" {KEY}\n").key == KEY


def test_the_environments_address_is_a_home_only_as_a_whole():
    environment = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "http://gateway.example:8000/v1"}

    assert _access(**environment).key == KEY
    assert _access("http://gateway.example:8000/other", **environment).key == KEY
    assert _access("http://gateway.example:8001/v1", **environment).key is None
    assert _access("https://gateway.example:8000/v1", **environment).key is None


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_ADMIN_KEY"])
def test_a_default_key_cannot_be_named_for_a_stranger(name: str):
    with pytest.raises(ParameterError, match=r"does not go to evil\.example"):
        _access("https://evil.example/v1", key_env=name, **{name: KEY})


def test_a_missing_key_names_its_variable():
    with pytest.raises(ParameterError, match="OPENAI_API_KEY"):
        _access()
    with pytest.raises(ParameterError, match="MY_KEY"):
        _access("http://127.0.0.1:8000/v1", key_env="MY_KEY")
    with pytest.raises(ParameterError, match="GOOGLE_API_KEY"):
        _access(home=keys.GEMINI)


def test_the_second_of_geminis_names_counts_where_the_first_is_not_set():
    assert _access(home=keys.GEMINI, GEMINI_API_KEY=KEY).key == KEY
    assert _access(home=keys.GEMINI, GEMINI_API_KEY="other-key", GOOGLE_API_KEY=KEY).key == KEY


def test_a_key_that_is_none_is_not_repeated():
    with pytest.raises(ParameterError, match="OPENAI_API_KEY does not hold a key") as raised:
        _access(OPENAI_API_KEY="tk-abc def\x00ghi")
    assert "abc" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hunter22@host/v1",
        "https:/user:hunter22@host",
        "//user:hunter22@host",
        "https://api.openai.com\\@evil.example/hunter22",
        "https://host/v1?key=hunter22",
        "https://host/v1#hunter22",
    ],
)
def test_credentials_in_an_address_are_refused_and_not_repeated(url: str):
    for source in ({"base_url": url}, {"OPENAI_BASE_URL": url}):
        with pytest.raises(ParameterError) as raised:
            _access(**source, OPENAI_API_KEY=KEY)
        assert "hunter22" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["", "host", "ftp://host", "https://", "http://a b", "http://host:99999", "http://hôst"]
)
def test_what_is_no_address_is_said_to_be_none(url: str):
    with pytest.raises(ParameterError, match="not a base URL"):
        keys.checked_url(url)


@given(key=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6), around=st.text())
def test_scrubbing_leaves_no_key(key: str, around: str):
    assume("[" not in key and "]" not in key)  # of which the word that stands in for keys is made
    access = keys.KeyAccess("http://host", key, own=False, key_name="K")

    for text in (key, around + key + around, key * 3, f"https://host/?key={quote(key, safe='')}&x"):
        assert key not in access.scrub(text)
        assert quote(key, safe="") not in access.scrub(text)


def test_a_key_is_in_no_repr():
    assert KEY not in repr(keys.KeyAccess("http://host", KEY, own=False, key_name="K"))


def test_what_looks_like_a_key_is_hidden_too():
    access = keys.KeyAccess("http://host", None, own=False, key_name="K")

    assert access.scrub("got sk-proj-abc123def456 and AIzaSyA1234567890") == "got [key] and [key]"
    assert access.scrub("the task-based risk-assessment of sk-learn") == "the task-based risk-assessment of sk-learn"


# The provider's words


def test_retry_after_in_every_form():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    later = format_datetime(now + timedelta(seconds=90), usegmt=True)
    earlier = format_datetime(now - timedelta(seconds=90), usegmt=True)

    cases = {"3": 3.0, "0.5": 0.5, "-4": 0.0, later: 90.0, earlier: 0.0, "": None, "soon": None, "nan": None}
    assert {text: failures.retry_after({"Retry-After": text}, now) for text in cases} == cases
    assert failures.retry_after({"retry-after-ms": "250", "retry-after": "1"}, now) == 0.25


@given(st.text())
def test_retry_after_takes_anything(text: str):
    seconds = failures.retry_after({"Retry-After": text})

    assert seconds is None or seconds >= 0


WORDS = [
    ("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
     ("max_tokens", "max_completion_tokens")),
    ("Unsupported value: 'temperature' does not support 0.0 with this model. Only the default (1) value is supported.",
     ("temperature", None)),
    ("Unsupported parameter: 'top_p' is not supported with this model.", ("top_p", None)),
    ("Unrecognized request argument supplied: response_format", ("response_format", None)),
    ("Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
     ("response_format", None)),
    ("Unsupported value: 'messages[0].role' does not support 'system' with this model.", ("system", None)),
    ("Developer instruction is not enabled for models/gemma-3-27b-it", ("system", None)),
    ("JSON mode is not enabled for models/gemma-3-27b-it", ("response_format", None)),
    ("max_tokens is too large: 100000. This model supports at most 16384 completion tokens.", (None, None)),
    ("Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3 instead.", (None, None)),
    ("Unsupported parameter: 'tools' is not supported with this model.", (None, None)),
]  # fmt: skip


@pytest.mark.parametrize(("message", "expected"), WORDS)
def test_which_parameter_is_refused(message: str, expected: tuple[str | None, str | None]):
    assert failures.refused_parameter(failures.Refusal(400, message)) == expected
    assert failures.refused_parameter(failures.Refusal(500, message)) == (None, None)


NAMES = st.sampled_from(["error", "message", "code", "type", "param", "status", "details", "reason", "detail"])
BODIES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda part: st.lists(part) | st.dictionaries(NAMES, part)
)


@pytest.mark.slow
@pytest.mark.parametrize("read", [failures.openai_refusal, failures.gemini_refusal])
@given(body=BODIES)
def test_any_body_of_an_error_is_read(read, body: Any):
    error = failures.from_refusal(read(400, body, {}), keys.KeyAccess("http://host", KEY, False, "K"), 0.1)

    assert error.outcome == "client_error"
    assert str(error)


def test_geminis_details_are_read():
    reason, wait = {"@type": "ErrorInfo", "reason": "API_KEY_INVALID"}, {"@type": "RetryInfo", "retryDelay": "17s"}
    body = {"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}
    body["error"]["details"] = [reason, wait]
    access = keys.KeyAccess("https://host", KEY, True, "GOOGLE_API_KEY")

    error = failures.from_refusal(failures.gemini_refusal(400, body, {}), access, 0.1)

    assert (error.outcome, error.fatal, error.retry_after) == ("client_error", True, 17.0)
    assert "GOOGLE_API_KEY" in error.hint


# Which provider


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("gpt-4.1", "openai"),
        ("o3-mini", "openai"),
        ("text-embedding-3-small", "openai"),
        ("gemini-pro", "gemini"),
        ("gemini-2.5-flash", "gemini"),
        ("Qwen/Qwen2.5-7B-Instruct", "vllm"),
    ],
)
def test_the_provider_follows_from_the_name(name: str, provider: str):
    assert provider_of(name) == provider


def test_a_folder_is_vllms_and_other_names_are_nobodys(tmp_path: Path):
    assert provider_of(str(tmp_path)) == "vllm"
    with pytest.raises(ParameterError, match="--provider"):
        provider_of("olmo")


def test_what_is_not_installed_is_named():
    if importlib.util.find_spec("vllm"):
        pytest.skip("vllm is installed")
    with pytest.raises(MissingExtraError, match=r"madetl\[vllm\]"):
        open_provider(Endpoint("vllm", "org/name"))


def test_a_provider_that_there_is_not():
    with pytest.raises(ParameterError, match="openai, gemini, vllm"):
        open_provider(Endpoint("other", "x"))
    with pytest.raises(ParameterError, match="--provider openai"):
        open_provider(Endpoint("vllm", "org/name", base_url="http://127.0.0.1:8000/v1"))


def test_gemini_is_asked_through_the_package_that_is_there(monkeypatch: pytest.MonkeyPatch):
    """Given that google-genai is missing, the older package is used; given neither, the extra is named."""
    endpoint = Endpoint("gemini", "gemini-pro", base_url="http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "google.genai", None)
    if _installed("google.generativeai"):
        assert type(open_provider(endpoint)).__name__ == "LegacyGeminiProvider"

    monkeypatch.setitem(sys.modules, "google.generativeai", None)
    with pytest.raises(MissingExtraError, match=r"madetl\[gemini\]"):
        open_provider(endpoint)


def test_the_providers_packages_wait_until_they_are_needed():
    """A plain `import madetl.providers` loads none of them."""
    heavy = "{'openai', 'google.genai', 'google.ai', 'vllm', 'httpx2', 'aiohttp'} & set(sys.modules)"
    code = f"import sys, madetl.providers, madetl.providers.keys, madetl.providers.failures; print({heavy})"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
