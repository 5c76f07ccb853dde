"""Gemini's formats: a request's settings under its names, and its answers read.

Pure functions that both of Google's packages share. The formats are those of REST's `models.generateContent` and of
what it has for embeddings.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from madetl.providers.base import ChatAnswer, ChatRequest, Embeddings, Endpoint, Outcome, ProviderError
from madetl.providers.failures import from_refusal, gemini_refusal
from madetl.providers.http import Received
from madetl.providers.keys import KeyAccess
from madetl.providers.messages import sampling
from madetl.providers.reading import Count, Part, Reply, Vector, count_at, member, parsed, shown

_LONGEST_PAGE = 10_000  # bytes of an error that is not JSON

_DONE = {"STOP", "MAX_TOKENS", "FINISH_REASON_UNSPECIFIED", None}
"""Any other finish reason (SAFETY, RECITATION, BLOCKLIST, PROHIBITED_CONTENT, SPII, LANGUAGE, …) is a block."""


SAFETY = ("block-none", "default")
"""Values of the option `safety`: ask that no answer is held back, the default here; or leave that to Gemini."""
_HARMS = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
_NAMES = {"max_tokens": "max_output_tokens", "stop": "stop_sequences"}


def safety_settings(endpoint: Endpoint) -> list[dict[str, str]]:
    """What the endpoint's option `safety` asks for, as REST's `safetySettings`; nothing for "default".

    Source: the method's inference script asks with BLOCK_NONE in these four categories.
    """
    if endpoint.options.get("safety") == "default":
        return []
    return [{"category": f"HARM_CATEGORY_{harm}", "threshold": "BLOCK_NONE"} for harm in _HARMS]


def generation_settings(request: ChatRequest, endpoint: Endpoint) -> dict[str, Any]:
    """The request's parameters under Gemini's names, without those that the model refuses."""
    taken = {_NAMES.get(name, name): value for name, value in sampling(request, endpoint).items()}
    if request.schema is None or "response_format" in endpoint.omit:
        return taken
    return taken | {"response_mime_type": "application/json", "response_json_schema": request.schema}


class _GeminiPart(Part):
    model_config = ConfigDict(alias_generator=to_camel)


class _UsageMetadata(_GeminiPart):
    prompt_token_count: Count | None = None
    candidates_token_count: Count | None = None
    thoughts_token_count: Count | None = None


class _TextPart(_GeminiPart):
    text: str | None = None
    thought: bool | None = None


class _Content(_GeminiPart):
    parts: list[_TextPart] | None = None


class _Candidate(_GeminiPart):
    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: Any = None
    safety_ratings: Any = None


class _Feedback(_GeminiPart):
    block_reason: str | None = None
    block_reason_message: Any = None
    safety_ratings: Any = None


class _Response(_GeminiPart):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _UsageMetadata | None = None
    model_version: str | None = None


class _Values(Part):
    values: Vector


class _EmbeddingBatch(Part):
    embeddings: list[_Values]


class _OneEmbedding(Part):
    embedding: _Values


def gemini_reply(received: Received, latency: float, access: KeyAccess) -> Reply:
    """What was received as an answer. Raises ProviderError for another status than 200, and where it is no JSON."""
    if received.status == 200:
        reply = parsed(received.body, 200, latency, access)
        code = member(reply.data, "error", "code")
        if isinstance(code, int) and 300 <= code < 600:  # a gateway passes on the error of the server behind it
            raise from_refusal(gemini_refusal(code, reply.data, {}), access, latency)
        return reply
    try:
        body: Any = json.loads(received.body)
    except (ValueError, RecursionError):
        body = received.body[:_LONGEST_PAGE].decode(errors="replace")
    raise from_refusal(gemini_refusal(received.status, body, received.headers), access, latency)


def read_chat(reply: Reply) -> ChatAnswer:
    """A GenerateContentResponse as an answer. Raises ProviderError: blocked (with the reason), or invalid."""
    paid = {
        "tokens_in": count_at(reply.data, "usageMetadata", "promptTokenCount"),
        "tokens_out": _tokens_out(reply.data),
    }
    found = reply.fitted(_Response, **paid)
    feedback = found.prompt_feedback or _Feedback()
    candidate = found.candidates[0] if found.candidates else None
    if feedback.block_reason or (candidate and candidate.finish_reason not in _DONE):
        raise _blocked(reply, found, feedback, candidate or _Candidate())
    if candidate is None:
        raise reply.invalid(f"it has no candidates: {shown(reply.data)}", **paid)
    text = _text(candidate)
    cut = candidate.finish_reason == "MAX_TOKENS"
    outcome: Outcome = "empty" if not text.strip() else "truncated" if cut else "ok"
    version, seconds = found.model_version, reply.latency
    return ChatAnswer(
        text, outcome, candidate.finish_reason, version, **paid, latency=seconds, http_status=reply.status
    )


def read_embeddings(reply: Reply, texts: int, version: str) -> Embeddings:
    """The answer of `batchEmbedContents`, or of `embedContent` for one text. Raises ProviderError: invalid."""
    if isinstance(reply.data, dict) and "embedding" in reply.data:
        rows = [reply.fitted(_OneEmbedding).embedding]
    else:
        rows = reply.fitted(_EmbeddingBatch).embeddings
    return reply.embeddings([row.values for row in rows], [False] * texts, version, None)


def _blocked(reply: Reply, found: _Response, feedback: _Feedback, candidate: _Candidate) -> ProviderError:
    words = feedback.block_reason_message or candidate.finish_message
    where = f"prompt: {feedback.block_reason}" if feedback.block_reason else f"{candidate.finish_reason}"
    ratings = feedback.safety_ratings or candidate.safety_ratings
    rated = ratings if isinstance(ratings, list) else []
    high = [str(member(rating, "category")) for rating in rated if member(rating, "blocked")]
    message = ", ".join([f"blocked ({where})", *high, *([str(words)] if words else [])])
    return ProviderError(
        reply.clean(message),
        outcome="blocked",
        text=_text(candidate) or None,
        tokens_in=count_at(reply.data, "usageMetadata", "promptTokenCount"),
        tokens_out=_tokens_out(reply.data),
        model_version=found.model_version,
        latency=reply.latency,
        http_status=reply.status,
    )


def _text(candidate: _Candidate) -> str:
    """What was said; thoughts are none of it."""
    parts = (candidate.content and candidate.content.parts) or []
    return "".join(part.text or "" for part in parts if not part.thought)


def _tokens_out(data: Any) -> int | None:
    """What is paid for as output: the thoughts too."""
    counts = [count_at(data, "usageMetadata", name) for name in ("candidatesTokenCount", "thoughtsTokenCount")]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
