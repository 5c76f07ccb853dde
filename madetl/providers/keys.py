"""Where a key may go, and how it is kept out of every message.

A base URL may come from a database of another person. So the default key goes to the provider's own host (over HTTPS)
and to the address in the environment, nowhere else; any other address needs a variable named with it, which may not be
one of the default ones, or is asked without a key. Nothing here sends a request.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from madetl.errors import ParameterError
from madetl.providers.base import Endpoint

_URL = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?(?:/[A-Za-z0-9._~%!$&'()*+,;=:/-]*)?")
_LOOKS_LIKE_A_KEY = re.compile(r"\bsk-[\w*-]{8,}|\bAIza[\w*-]{8,}|(?<=Bearer )[^\s,;'\")]+")
_SHORTEST_SECRET = 6  # 'EMPTY', 'none': what keyless servers are given is no secret, and may be a word of the message
HIDDEN = "[key]"
_OTHER_DEFAULTS = ("OPENAI_ADMIN_KEY",)


@dataclass(frozen=True)
class Home:
    """Where a provider itself is asked: address, hosts, and variables (of several, the first that is set counts)."""

    base_url: str
    hosts: tuple[str, ...]
    key_names: tuple[str, ...]
    url_names: tuple[str, ...]


OPENAI = Home(
    "https://api.openai.com/v1",
    ("api.openai.com", "eu.api.openai.com", "us.api.openai.com"),
    ("OPENAI_API_KEY",),
    ("OPENAI_BASE_URL",),
)
GEMINI = Home(
    "https://generativelanguage.googleapis.com",
    ("generativelanguage.googleapis.com",),
    ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    ("GOOGLE_GEMINI_BASE_URL",),
)


HOMES = {"openai": OPENAI, "gemini": GEMINI}


def address_of(endpoint: Endpoint, home: Home, environment: Mapping[str, str] = os.environ) -> tuple[str, str | None]:
    """Where its requests go as it is written, and the address in the environment."""
    configured = next((environment[name] for name in home.url_names if environment.get(name)), None)
    return endpoint.base_url or configured or home.base_url, configured


def at_home(endpoint: Endpoint, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether requests go to the provider's own host, or, for a model in this process, nowhere.

    Raises ParameterError for an address that cannot be used.
    """
    home = HOMES.get(endpoint.provider)
    return home is None or _is_home(checked_url(address_of(endpoint, home, environment)[0]), home)


@dataclass(frozen=True)
class KeyAccess:
    """Where requests go and with which key (None: without one). `own`: the provider's host, or the environment's.

    `key_name` is the variable that the key came from, or should have. The key shows in no repr.
    """

    base_url: str
    key: str | None = field(repr=False)
    own: bool
    key_name: str

    def scrub(self, words: str) -> str:
        """The words without the key, as it is or as a URL writes it, and without anything that looks like one."""
        if self.key and len(self.key) >= _SHORTEST_SECRET:
            for form in (self.key, quote(self.key, safe=""), quote(self.key)):
                words = words.replace(form, HIDDEN)
        return _LOOKS_LIKE_A_KEY.sub(HIDDEN, words)


def access(endpoint: Endpoint, home: Home, environment: Mapping[str, str] = os.environ) -> KeyAccess:
    """Decides where an endpoint's requests go and whether a key goes with them.

    Raises ParameterError for an address that cannot be used, and for a key that is needed and missing.
    """
    address, configured = address_of(endpoint, home, environment)
    base_url = checked_url(address)
    at_home = _is_home(base_url, home)
    own = at_home or (configured is not None and _origin(base_url) == _origin(checked_url(configured)))
    if endpoint.key_env:
        _refuse_default_key(endpoint.key_env, base_url, own)
        return KeyAccess(base_url, _key(endpoint.key_env, environment, needed=True), own, endpoint.key_env)
    name = next((name for name in home.key_names if environment.get(name)), home.key_names[0])
    if not own:
        return KeyAccess(base_url, None, own, name)
    return KeyAccess(base_url, _key(name, environment, needed=at_home), own, name)


def checked_url(url: str) -> str:
    """The address without a slash at its end. Raises ParameterError where it holds credentials or is no address."""
    url = url.strip()
    if "@" in url:
        raise ParameterError("The base URL has a name or password in it. Leave them out, and name the key's variable.")
    if "?" in url or "#" in url:
        raise ParameterError("A base URL ends with its path: leave out what begins with ? or #.")
    if not _URL.fullmatch(url) or not _port_exists(url):
        raise ParameterError(f"{url!r} is not a base URL. Give one like http://127.0.0.1:8000/v1")
    return url.rstrip("/")


def _port_exists(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or {"https": 443, "http": 80}[parts.scheme]


def _is_home(url: str, home: Home) -> bool:
    scheme, host, port = _origin(url)
    return scheme == "https" and port == 443 and host in home.hosts


def _refuse_default_key(name: str, base_url: str, own: bool) -> None:
    """Raises ParameterError for a default key's variable with a foreign address, which a database could name."""
    if not own and name in OPENAI.key_names + GEMINI.key_names + _OTHER_DEFAULTS:
        host = urlsplit(base_url).hostname
        raise ParameterError(
            f"{name} does not go to {host}: it is for the provider's own host. Put the key for {host} into a variable "
            "of another name and give that with --key-env, or set OPENAI_BASE_URL (Gemini: GOOGLE_GEMINI_BASE_URL)."
        )


def _key(name: str, environment: Mapping[str, str], *, needed: bool) -> str | None:
    key = environment.get(name, "").strip()
    if not key and needed:
        raise ParameterError(f"There is no key: set the environment variable {name}, or name another with --key-env.")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ParameterError(f"{name} does not hold a key: it has characters in it that no key has.")
    return key or None
