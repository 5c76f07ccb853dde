"""The bodies that the providers' servers send: OpenAI's and Gemini's, good and bad. Pure functions of the request.

A `Mode` is one way to behave. The text of an answer follows from the request alone, so that a test knows what to expect
without having asked.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from dataclasses import dataclass, field
from typing import Any

MODES = (
    "ok", "429", "429-retry", "429-date", "429-quota", "500", "503", "slow", "closed", "half", "invalid-json", "html",
    "no-choices", "empty", "cut", "refusal", "blocked", "blocked-prompt", "wrong-structure", "401", "403", "404", "400",
    "too-long", "refused-temperature", "refused-max-tokens", "refused-threshold", "redirect", "odd",
    "odd-500", "deep", "gzip", "bomb", "drip", "drip-head",
)  # fmt: skip
"""Every way to behave. A refused parameter is refused only while the request has it.

odd, odd-500: the good body as `Behaviour.odd` changes it. bomb: ten megabytes of gzip that hold ten gigabytes. drip: a
byte at a time, of the body or from the head on.
"""

DIMENSIONS = 16
_PROTO_TYPES = {1: "string", 2: "number", 3: "integer", 4: "boolean", 5: "array", 6: "object"}


@dataclass
class ReceivedRequest:
    """One request as the server understood it. `kind` is 'chat' or 'embed'; `api` 'openai' or 'gemini'."""

    api: str
    kind: str
    model: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    key: str = field(default="")  # the same for the same request asked again
    mode: str = "ok"
    status: int = 0

    @property
    def texts(self) -> list[str]:
        """What the user's messages say, or the texts to embed."""
        if self.kind == "embed":
            return _texts_to_embed(self)
        if self.api == "openai":
            return [str(message["content"]) for message in self.body.get("messages", []) if message["role"] == "user"]
        return [part["text"] for content in self.body.get("contents", []) for part in content["parts"]]

    @property
    def prompt(self) -> str:
        return "\n".join(self.texts)

    @property
    def schema(self) -> dict[str, Any] | None:
        if self.api == "openai":
            structured = self.body.get("response_format") or {}
            return structured.get("json_schema", {}).get("schema")
        settings = self.body.get("generationConfig", {})
        return settings.get("responseJsonSchema") or settings.get("responseSchema")

    @property
    def secret(self) -> str:
        """The key that came with the request, in whichever place."""
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        return bearer or self.headers.get("x-goog-api-key", "")


def answer_text(received: ReceivedRequest) -> str:
    """The good answer: a small instance of the schema, or one sentence that names model and prompt."""
    if received.schema:
        return json.dumps(instance(received.schema, received.prompt))
    return f"{received.model} answers: {received.prompt}"


def instance(schema: dict[str, Any], text: str) -> Any:
    """A value that fits the schema."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = _PROTO_TYPES.get(schema.get("type", "object"), str(schema.get("type", "object")).lower())
    if kind == "object":
        return {name: instance(part, text) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [instance(schema.get("items", {"type": "string"}), text)]
    return {"number": 0.5, "integer": 1, "boolean": True}.get(kind, f"about {text}")


def vector(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """A bag of words, hashed: texts that share words point the same way."""
    values = [0.0] * dimensions
    for word in re.findall(r"\w+", text.lower()) or [""]:
        values[int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") % dimensions] += 1.0
    return values


def good_body(received: ReceivedRequest, text: str) -> dict[str, Any]:
    """An answer with nothing wrong, in the asked format."""
    if received.kind == "embed":
        return _embeddings(received)
    return _openai_chat(received, text) if received.api == "openai" else _gemini_chat(received, text)


def odd_body(received: ReceivedRequest, text: str) -> dict[str, Any]:
    """A 200 that is not what was hoped for: empty, cut off, refused, blocked, of the wrong structure."""
    mode = received.mode
    if mode == "wrong-structure":
        return good_body(received, '{"something": "else"')
    if received.api == "openai":
        changes = {
            "empty": {"content": "", "finish": "stop"},
            "cut": {"content": text[: len(text) // 2], "finish": "length"},
            "refusal": {"content": None, "refusal": "I'm sorry, I can't help with that.", "finish": "stop"},
            "blocked": {"content": "", "finish": "content_filter"},
        }[mode]
        return _openai_chat(received, **changes)
    if mode == "blocked-prompt":
        return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, **_gemini_usage(received, 0)}
    changes = {
        "empty": {"text": "", "finish": "STOP"},
        "cut": {"text": text[: len(text) // 2], "finish": "MAX_TOKENS"},
        "refusal": {"text": None, "finish": "RECITATION"},
        "blocked": {"text": None, "finish": "SAFETY"},
    }[mode]
    return _gemini_chat(received, **changes)


def bomb(megabytes: int = 10_000) -> bytes:
    """Gzip of so many megabytes of spaces: a block of one, written out as often. Its checksum at the end is missing."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b" " * 2**20) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * megabytes


def error_body(
    received: ReceivedRequest, status: int, message: str, code: str | None = None, param: str | None = None
) -> Any:
    """An error in the asked format. It repeats the key that came with the request, as a careless provider might."""
    message = f"{message} (key {received.secret})" if received.secret else message
    if received.api == "openai":
        return {"error": {"message": message, "type": "error", "param": param, "code": code}}
    names = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
    names |= {429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}
    error: dict[str, Any] = {"code": status, "message": message, "status": names.get(status, "UNKNOWN")}
    if code == "insufficient_quota":
        quota = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [quota]}]
    return {"error": error}


def _openai_chat(
    received: ReceivedRequest, content: str | None, finish: str = "stop", refusal: str | None = None
) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, "refusal": refusal}
    words_in, words_out = len(received.prompt.split()), len((content or "").split())
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": f"{received.model}-2026-01-01",
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": {"prompt_tokens": words_in, "completion_tokens": words_out, "total_tokens": words_in + words_out},
    }


def _gemini_chat(received: ReceivedRequest, text: str | None, finish: str = "STOP") -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0, "finishReason": finish}
    if text is not None:
        candidate["content"] = {"role": "model", "parts": [{"text": text}]}
    return {
        "candidates": [candidate],
        **_gemini_usage(received, len((text or "").split())),
        "modelVersion": f"{received.model}-001",
    }


def _gemini_usage(received: ReceivedRequest, words_out: int) -> dict[str, Any]:
    words_in = len(received.prompt.split())
    counts = {"promptTokenCount": words_in, "candidatesTokenCount": words_out, "totalTokenCount": words_in + words_out}
    return {"usageMetadata": counts}


def _embeddings(received: ReceivedRequest) -> dict[str, Any]:
    vectors = [vector(text) for text in received.texts]
    if received.api == "openai":
        rows = [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(vectors)]
        words = sum(len(text.split()) for text in received.texts)
        usage = {"prompt_tokens": words, "total_tokens": words}
        return {"object": "list", "data": rows, "model": f"{received.model}-2026-01-01", "usage": usage}
    if received.path.partition("?")[0].endswith(":embedContent"):
        return {"embedding": {"values": vectors[0]}}
    return {"embeddings": [{"values": row} for row in vectors]}


def _texts_to_embed(received: ReceivedRequest) -> list[str]:
    if received.api == "openai":
        given = received.body.get("input", [])
        return [given] if isinstance(given, str) else list(given)
    requests = received.body.get("requests", [received.body])
    return ["".join(part["text"] for part in request["content"]["parts"]) for request in requests]
