"""The HTTP client that the network providers share, how much of an answer they read, and what its errors mean.

It is the `openai` package's, over aiohttp where that is installed: measured at 100 requests in flight against a server
without latency, it makes 800 requests a second where the package's default transport makes 450.
Redirects are off: a key goes nowhere but to the address that it was meant for.

A body is unpacked here, piece by piece, and given up at MOST_BYTES: ten megabytes of gzip can hold as many gigabytes.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import openai

from madetl.providers.base import ProviderError
from madetl.providers.failures import clean
from madetl.providers.keys import KeyAccess

TIMEOUT = 300.0  # seconds for a whole answer: a reasoning model thinks for minutes
MOST_BYTES = 64 * 2**20  # of one body, unpacked: a hundred long vectors, written with an indent, take a tenth of it
PACKINGS = "gzip, deflate"  # those that `Unpacking` knows, and the only ones that are asked for
_CONNECT_TIMEOUT = 15.0
_PIECE = 2**20  # bytes unpacked at once
_KNOWN = ("gzip", "x-gzip", "deflate")
_HTTPX: Any = importlib.import_module(openai.DefaultAsyncHttpxClient.__bases__[0].__module__.partition(".")[0])
"""httpx, or its successor where the package uses that."""


@dataclass(frozen=True)
class Received:
    """A whole HTTP answer, its body unpacked."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class UnreadableBodyError(Exception):
    """A body that is too large, or packed in a way that was not asked for."""


class Unpacking:
    """Unpacks a body as it arrives. `packing` is its Content-Encoding; of two on top of each other, none is known.

    Raises UnreadableBodyError for one that is not known, and where more than `most` bytes would come out; OSError where
    the bytes are not what the packing says.
    """

    def __init__(self, packing: str, most: int = MOST_BYTES) -> None:
        self._packing = packing.strip().lower()
        if self._packing not in ("", "identity", *_KNOWN):
            raise UnreadableBodyError(f"the answer is packed as {packing[:40]!r}, which was not asked for")
        self._most = self._room = most
        self._unpacker: Any = None
        self._held = b""

    def __call__(self, packed: bytes) -> Iterator[bytes]:
        """What these further bytes hold, in pieces of bounded size."""
        if self._packing not in _KNOWN:
            yield self._counted(packed)
            return
        packed, self._held = self._held + packed, b""
        if self._unpacker is None:
            if len(packed) < 2:  # too little to tell the two kinds of deflate apart
                self._held = packed
                return
            self._unpacker = zlib.decompressobj(_window_bits(self._packing, packed))
        while packed and not self._unpacker.eof:
            try:
                piece = self._unpacker.decompress(packed, _PIECE)
            except zlib.error as error:
                raise OSError(f"the answer cannot be unpacked: {error}") from error
            packed = self._unpacker.unconsumed_tail
            yield self._counted(piece)

    def _counted(self, piece: bytes) -> bytes:
        self._room -= len(piece)
        if self._room < 0:
            raise UnreadableBodyError(f"the answer is larger than {self._most / 2**20:g} MiB")
        return piece


def _window_bits(packing: str, begin: bytes) -> int:
    """zlib's own number for the packing; 'deflate' comes with zlib's header, or from some servers without one."""
    if packing != "deflate":
        return 16 + zlib.MAX_WBITS
    has_header = begin[0] & 15 == 8 and int.from_bytes(begin[:2], "big") % 31 == 0
    return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS


class _UnpackedStream(_HTTPX.AsyncByteStream):  # type: ignore[misc]
    """The body of a response, unpacked."""

    def __init__(self, packed: Any, unpacking: Unpacking) -> None:
        self._packed, self._unpacking = packed, unpacking

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._packed:
            for piece in self._unpacking(chunk):
                yield piece

    async def aclose(self) -> None:
        await self._packed.aclose()


def http_client(timeout: float) -> Any:
    """A fresh client; it belongs to the event loop of its first request."""
    settings: dict[str, Any] = {
        "timeout": openai.Timeout(timeout, connect=_CONNECT_TIMEOUT, pool=None),
        "follow_redirects": False,
        "headers": {"Accept-Encoding": PACKINGS},
        "event_hooks": {"request": [], "response": [_unpack_within_limit]},
    }
    try:
        return openai.DefaultAioHttpClient(**settings)
    except RuntimeError:  # aiohttp is not installed
        return openai.DefaultAsyncHttpxClient(**settings)


async def _unpack_within_limit(response: Any) -> None:
    """Puts this module's unpacking in the place of httpx's, before the body is read."""
    unpacking = Unpacking(response.headers.get("content-encoding", ""))
    response.headers.pop("content-encoding", None)
    response.stream = _UnpackedStream(response.stream, unpacking)


def no_answer(error: Exception, access: KeyAccess, timeout: float, latency: float) -> ProviderError:
    """The error for a request to which no HTTP answer came, or only a part of one."""
    causes = list(_causes(error))
    if unreadable := next((cause for cause in causes if isinstance(cause, UnreadableBodyError)), None):
        return ProviderError(clean(str(unreadable), access), outcome="invalid", latency=latency)
    if isinstance(error, ValueError):
        message = clean(f"the request cannot be sent: {error}", access)
        return ProviderError(message, outcome="client_error", latency=latency)
    if _is_timeout(causes):
        message = f"no answer from {access.base_url} within {timeout:.0f} s"
        return ProviderError(message, outcome="timeout", latency=latency)
    words = next((str(cause) for cause in reversed(causes) if str(cause)), type(error).__name__)
    message = clean(f"no answer from {access.base_url}: {words}", access)
    return ProviderError(message, outcome="connection_error", latency=latency)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _is_timeout(causes: list[BaseException]) -> bool:
    """The aiohttp transport reports a connection that was closed as one that took too long: its own error tells."""
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return True
    from_aiohttp = any(type(cause).__module__.startswith("aiohttp") for cause in causes)
    return not from_aiohttp and any("Timeout" in type(cause).__name__ for cause in causes)
