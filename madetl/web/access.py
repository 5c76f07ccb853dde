"""Tells annotators by links, cookies and form tokens, all derived from one key and compared in constant time.

The key is random and lies in a file of its own beside the database, readable by its owner alone: links survive a
restart, and the database can be mailed without letting anybody in. No token is stored, and none is ever written to a
log. Whoever deletes the file makes all links invalid.
"""

from __future__ import annotations

import hmac
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

from madetl.errors import ParameterError

_KEY_BYTES = 32
_TOKEN_BYTES = 24


def key_file(database: Path) -> Path:
    """Where the key of a database's links lies."""
    return database.with_name(f"{database.name}.links")


def read_key(path: Path) -> bytes:
    """The key, made where there is none. Raises ParameterError where the file holds something else."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _parsed(path)
    key = secrets.token_bytes(_KEY_BYTES)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{key.hex()}\n")
    return key


def _parsed(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii"))
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise ParameterError(f"{path} does not hold the key of links. Delete it: new links are made then.")
    return key


class PageAccess:
    """The tokens of some annotators (names by id)."""

    def __init__(self, key: bytes, annotators: Mapping[int, str]) -> None:
        self._key = key
        self._links = {annotator: self._derived("link", name).encode() for annotator, name in annotators.items()}
        self._sessions = {annotator: self._derived("session", name).encode() for annotator, name in annotators.items()}
        self._forms = {annotator: self._derived("form", name) for annotator, name in annotators.items()}
        # Cookies do not know ports: two studies on one machine need two names.
        self.cookie = f"madetl_{self._derived('cookie')[:8]}"

    def link_token(self, annotator: int) -> str:
        """What the annotator's link ends with."""
        return self._links[annotator].decode()

    def session_token(self, annotator: int) -> str:
        """What the annotator's cookie holds."""
        return self._sessions[annotator].decode()

    def form_token(self, annotator: int) -> str:
        """What every form of the annotator's pages holds."""
        return self._forms[annotator]

    def of_link(self, token: str) -> int | None:
        """The annotator whose link this is."""
        return _found(self._links, token)

    def of_session(self, token: str) -> int | None:
        """The annotator whose cookie this is."""
        return _found(self._sessions, token)

    def is_form(self, annotator: int, token: str) -> bool:
        """Whether the form was on one of this annotator's pages."""
        return hmac.compare_digest(self._forms[annotator].encode(), token.encode(errors="replace"))

    def mark(self, annotator: int, key: str) -> str:
        """A name for `key`, different for each annotator, from which nobody can tell the key."""
        return self._derived("mark", str(annotator), key)[:16]

    def _derived(self, *parts: str) -> str:
        digest = hmac.digest(self._key, "\0".join(parts).encode(), "sha256")
        return urlsafe_b64encode(digest[:_TOKEN_BYTES]).decode()


def _found(tokens: Mapping[int, bytes], token: str) -> int | None:
    """The annotator of a token. Each is compared, so that the time taken does not tell which ones exist."""
    given = token.encode(errors="replace")
    found = [annotator for annotator, known in tokens.items() if hmac.compare_digest(known, given)]
    return found[0] if found else None
